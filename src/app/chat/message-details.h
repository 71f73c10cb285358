/* The numbers of an answer: the quiet line below it and the popover with all of them.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/chat/message-item.h"

G_BEGIN_DECLS

/* "34 tokens/s · first word after 0.4 s · CPU, 2 threads"; NULL when nothing is known. The
 * caller's. */
char *atl_message_details_line (const AtlMessageItem *item);
/* What a person should know about how it ended; NULL when it ended by itself, with words. The
 * caller's. */
char *atl_message_details_note (const AtlMessageItem *item);
/* A popover with everything; floating. */
GtkWidget *atl_message_details_popover (const AtlMessageItem *item);

/* What stands above the thoughts: how long they took, or, while they come and are folded away,
 * their last line. The caller's. */
char *atl_message_details_thinking (const AtlMessageItem *item, gboolean is_open);

G_END_DECLS
