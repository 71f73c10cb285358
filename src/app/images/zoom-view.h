/* A picture as large as its place, or nearer: zoomed with wheel, pinch and keys, moved by dragging.
 * Several that share an AtlZoom show the same part of their pictures.
 *
 *   g_autoptr (AtlZoom) zoom = atl_zoom_new ();
 *   left = atl_zoom_view_new (zoom);
 *   right = atl_zoom_view_new (zoom);
 *   atl_zoom_view_set_texture (ATL_ZOOM_VIEW (left), texture, "A fox");
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* What is shown: how much nearer than the whole picture, and where. Signal: "changed" (). */
#define ATL_TYPE_ZOOM (atl_zoom_get_type ())
G_DECLARE_FINAL_TYPE (AtlZoom, atl_zoom, ATL, ZOOM, GObject)

AtlZoom *atl_zoom_new (void);
/* The whole picture again. */
void atl_zoom_reset (AtlZoom *self);

#define ATL_TYPE_ZOOM_VIEW (atl_zoom_view_get_type ())
G_DECLARE_FINAL_TYPE (AtlZoomView, atl_zoom_view, ATL, ZOOM_VIEW, GtkWidget)

GtkWidget *atl_zoom_view_new (AtlZoom *zoom);
/* `texture` (nullable); `words` (nullable) are what a screen reader tells about it. */
void atl_zoom_view_set_texture (AtlZoomView *self, GdkTexture *texture, const char *words);
/* Nearer or farther by `step`, 1.25 being one step of the wheel. */
void atl_zoom_view_zoom_by (AtlZoomView *self, double step);
/* One pixel of the picture is one of the screen; or, if it is so, the whole picture. */
void atl_zoom_view_toggle_full_size (AtlZoomView *self);
/* By parts of the view's size. */
void atl_zoom_view_move_by (AtlZoomView *self, double x, double y);

G_END_DECLS
