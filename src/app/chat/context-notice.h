/* Says in good time that a chat fills what its model can see, and offers two ways to go on.
 *
 * Hidden while there is room. Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/chat/conversation.h"

G_BEGIN_DECLS

#define ATL_TYPE_CONTEXT_NOTICE (atl_context_notice_get_type ())
G_DECLARE_FINAL_TYPE (AtlContextNotice, atl_context_notice, ATL, CONTEXT_NOTICE, GtkWidget)

/* A summary that is being made for another chat is given up. */
void atl_context_notice_set_conversation (AtlContextNotice *self,
                                          AtlSession *session,
                                          AtlConversation *conversation);
/* After the context of the conversation or the model changed. */
void atl_context_notice_refresh (AtlContextNotice *self);

G_END_DECLS
