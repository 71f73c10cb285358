/* The widget of one Markdown block: a label, a code block, a table, a line.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/chat/markdown.h"

G_BEGIN_DECLS

/* Floating. */
GtkWidget *atl_markdown_widget_new (const AtlMdBlock *block);

/* Makes `widget`, which shows `old`, show `block`. FALSE when another widget is needed. */
gboolean
atl_markdown_widget_update (GtkWidget *widget, const AtlMdBlock *old, const AtlMdBlock *block);

/* Sets its distance to `before`, the block above it; NULL: it is the first. */
void atl_markdown_widget_set_before (GtkWidget *widget,
                                     const AtlMdBlock *before,
                                     const AtlMdBlock *block);

G_END_DECLS
