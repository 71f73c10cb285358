/* More room around the start picture: its edges can be dragged outwards, or given in percent.
 *
 * Signals: "done" (left, top, right, bottom: guint percent), "cancelled".
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ATL_TYPE_EXTEND_EDITOR (atl_extend_editor_get_type ())
G_DECLARE_FINAL_TYPE (AtlExtendEditor, atl_extend_editor, ATL, EXTEND_EDITOR, GtkWidget)

void atl_extend_editor_begin (AtlExtendEditor *self, GdkTexture *picture, const guint extend[4]);
/* As by its button: emits "done". */
void atl_extend_editor_finish (AtlExtendEditor *self);

G_END_DECLS
