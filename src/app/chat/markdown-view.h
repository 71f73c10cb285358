/* Shows Markdown as widgets, and changes only what differs when the text grows.
 *
 *   GtkWidget *view = atl_markdown_view_new ();
 *   atl_markdown_view_set_text (ATL_MARKDOWN_VIEW (view), answer);
 *
 * A very long text shows its beginning and a button for more.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ATL_TYPE_MARKDOWN_VIEW (atl_markdown_view_get_type ())
G_DECLARE_FINAL_TYPE (AtlMarkdownView, atl_markdown_view, ATL, MARKDOWN_VIEW, GtkWidget)

GtkWidget *atl_markdown_view_new (void);
void atl_markdown_view_set_text (AtlMarkdownView *self, const char *text);
/* What it shows, for a screen reader; the caller's. */
char *atl_markdown_view_get_words (AtlMarkdownView *self);
/* How many block widgets the last set_text() made anew: for tests of streaming. */
guint atl_markdown_view_get_n_rebuilt (AtlMarkdownView *self);

G_END_DECLS
