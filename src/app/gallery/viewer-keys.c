/* Keys of the viewer, and what they and its buttons do to the picture. */
#include "app/gallery/viewer-window-private.h"

#include <glib/gi18n.h>

#define ZOOM_STEP 1.25
#define MOVE_STEP 0.15

static AtlZoomView *
view (AtlViewerWindow *self)
{
  return atl_picture_frame_get_view (ATL_PICTURE_FRAME (self->frames[0]));
}

static void
undo_cb (AdwToast *toast, AtlViewerWindow *self)
{
  if (self->owner != NULL)
    gtk_widget_activate_action (self->owner, "win.undo", NULL);
  /* Taken back it is not to be offered any longer. */
  if (toast == NULL && self->deleted != NULL)
    adw_toast_dismiss (self->deleted);
}

static void delete (AtlViewerWindow *self)
{
  gint64 id = atl_gallery_item_get_id (atl_viewer_window_item (self));
  AdwToast *toast;

  gtk_widget_activate_action (GTK_WIDGET (self), "gallery.trash", "x", id);
  if (atl_gallery_find (self->gallery, id) != NULL)
    return;
  toast =
      adw_toast_new (g_dngettext (GETTEXT_PACKAGE, "Picture deleted", "%u pictures deleted", 1));
  adw_toast_set_button_label (toast, _ ("_Undo"));
  g_signal_connect_object (toast, "button-clicked", G_CALLBACK (undo_cb), self, 0);
  g_set_weak_pointer (&self->deleted, toast);
  adw_toast_overlay_add_toast (ADW_TOAST_OVERLAY (self->toasts), toast);
}

void
atl_viewer_window_star (AtlViewerWindow *self)
{
  gtk_widget_activate_action (GTK_WIDGET (self), "gallery.star", "x",
                              atl_gallery_item_get_id (atl_viewer_window_item (self)));
}

static void
toggle_recipe (AtlViewerWindow *self)
{
  GtkToggleButton *button = GTK_TOGGLE_BUTTON (self->recipe_button);

  gtk_toggle_button_set_active (button, !gtk_toggle_button_get_active (button));
}

/* Keys of a single picture. */
static gboolean
single_key (AtlViewerWindow *self, guint key)
{
  gboolean rtl = gtk_widget_get_direction (GTK_WIDGET (self)) == GTK_TEXT_DIR_RTL;

  switch (key)
    {
    case GDK_KEY_Left:
      atl_viewer_window_step (self, rtl ? 1 : -1);
      return TRUE;
    case GDK_KEY_Right:
      atl_viewer_window_step (self, rtl ? -1 : 1);
      return TRUE;
    case GDK_KEY_Up:
    case GDK_KEY_Page_Up:
      atl_viewer_window_step (self, -1);
      return TRUE;
    case GDK_KEY_Down:
    case GDK_KEY_Page_Down:
      atl_viewer_window_step (self, 1);
      return TRUE;
    case GDK_KEY_Home:
      atl_viewer_window_show_at (self, 0);
      return TRUE;
    case GDK_KEY_End:
      atl_viewer_window_show_at (self, g_list_model_get_n_items (self->pictures) - 1);
      return TRUE;
    case GDK_KEY_s:
    case GDK_KEY_S:
      atl_viewer_window_star (self);
      return TRUE;
    case GDK_KEY_i:
    case GDK_KEY_I:
      toggle_recipe (self);
      return TRUE;
    case GDK_KEY_Delete:
    case GDK_KEY_KP_Delete:
      delete (self);
      return TRUE;
    default:
      return FALSE;
    }
}

static gboolean
zoom_key (AtlViewerWindow *self, guint key)
{
  switch (key)
    {
    case GDK_KEY_plus:
    case GDK_KEY_equal:
    case GDK_KEY_KP_Add:
      atl_zoom_view_zoom_by (view (self), ZOOM_STEP);
      return TRUE;
    case GDK_KEY_minus:
    case GDK_KEY_KP_Subtract:
      atl_zoom_view_zoom_by (view (self), 1 / ZOOM_STEP);
      return TRUE;
    case GDK_KEY_0:
    case GDK_KEY_KP_0:
      atl_zoom_reset (self->zoom);
      return TRUE;
    case GDK_KEY_f:
    case GDK_KEY_F:
      atl_zoom_view_toggle_full_size (view (self));
      return TRUE;
    case GDK_KEY_F11:
      if (gtk_window_is_fullscreen (GTK_WINDOW (self)))
        gtk_window_unfullscreen (GTK_WINDOW (self));
      else
        gtk_window_fullscreen (GTK_WINDOW (self));
      return TRUE;
    case GDK_KEY_space:
    case GDK_KEY_Escape:
      gtk_window_close (GTK_WINDOW (self));
      return TRUE;
    default:
      return FALSE;
    }
}

static gboolean
move_key (AtlViewerWindow *self, guint key)
{
  switch (key)
    {
    case GDK_KEY_Left:
      atl_zoom_view_move_by (view (self), -MOVE_STEP, 0);
      return TRUE;
    case GDK_KEY_Right:
      atl_zoom_view_move_by (view (self), MOVE_STEP, 0);
      return TRUE;
    case GDK_KEY_Up:
      atl_zoom_view_move_by (view (self), 0, -MOVE_STEP);
      return TRUE;
    case GDK_KEY_Down:
      atl_zoom_view_move_by (view (self), 0, MOVE_STEP);
      return TRUE;
    case GDK_KEY_z:
      undo_cb (NULL, self);
      return TRUE;
    case GDK_KEY_w:
      gtk_window_close (GTK_WINDOW (self));
      return TRUE;
    default:
      return zoom_key (self, key);
    }
}

/* The menu of the picture that has the focus, of the first of two otherwise. */
static void
popup_menu (AtlViewerWindow *self, gboolean second)
{
  gtk_menu_button_popup (
      GTK_MENU_BUTTON (self->pictures != NULL ? self->menu : self->menus[second ? 1 : 0]));
}

static gboolean
is_in_second (AtlViewerWindow *self, GtkWidget *widget)
{
  return self->frames[1] != NULL && widget != NULL &&
         (widget == self->menus[1] || gtk_widget_is_ancestor (widget, self->menus[1]) ||
          gtk_widget_is_ancestor (widget, self->frames[1]));
}

static void
pressed_cb (GtkGestureClick *click, int n, double x, double y, AtlViewerWindow *self)
{
  GtkWidget *at = gtk_widget_pick (self->toasts, x, y, GTK_PICK_DEFAULT);

  popup_menu (self, is_in_second (self, at));
}

static gboolean
key_cb (
    GtkEventControllerKey *keys, guint key, guint code, GdkModifierType mods, AtlViewerWindow *self)
{
  GtkWidget *focus = gtk_window_get_focus (GTK_WINDOW (self));

  if (key == GDK_KEY_Menu || (key == GDK_KEY_F10 && (mods & GDK_SHIFT_MASK) != 0))
    {
      popup_menu (self, is_in_second (self, focus));
      return GDK_EVENT_STOP;
    }
  mods &= gtk_accelerator_get_default_mod_mask () & ~GDK_SHIFT_MASK;
  /* The open menu, and the text of the recipe, have keys of their own. */
  if (focus != NULL && (gtk_widget_get_ancestor (focus, GTK_TYPE_POPOVER) != NULL ||
                        (GTK_IS_LABEL (focus) && key != GDK_KEY_Escape)))
    return GDK_EVENT_PROPAGATE;
  /* Space presses the button that has the focus. */
  if (key == GDK_KEY_space && GTK_IS_BUTTON (focus))
    return GDK_EVENT_PROPAGATE;
  if (mods == GDK_CONTROL_MASK)
    return move_key (self, key);
  if (mods != 0)
    return GDK_EVENT_PROPAGATE;
  return zoom_key (self, key) || (self->pictures != NULL && single_key (self, key));
}

void
atl_viewer_window_install_keys (AtlViewerWindow *self)
{
  GtkEventController *keys = gtk_event_controller_key_new ();
  GtkGesture *click = gtk_gesture_click_new ();

  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self), keys);
  gtk_gesture_single_set_button (GTK_GESTURE_SINGLE (click), GDK_BUTTON_SECONDARY);
  g_signal_connect (click, "pressed", G_CALLBACK (pressed_cb), self);
  gtk_widget_add_controller (self->toasts, GTK_EVENT_CONTROLLER (click));
}
