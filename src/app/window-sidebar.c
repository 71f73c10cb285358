/* The sidebar beside a wide window's page, or in its place where the window is narrow. */
#include "app/window-private.h"

void
atl_window_show_sidebar (AtlWindow *self)
{
  if (adw_leaflet_get_folded (ADW_LEAFLET (self->leaflet)))
    adw_leaflet_set_visible_child (ADW_LEAFLET (self->leaflet), self->sidebar);
  else
    g_settings_set_boolean (atl_session_get_settings (self->session), "sidebar-visible", TRUE);
}

static void
toggle_sidebar_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);
  GSettings *settings = atl_session_get_settings (self->session);

  if (adw_leaflet_get_folded (ADW_LEAFLET (self->leaflet)))
    {
      gboolean content =
          adw_leaflet_get_visible_child (ADW_LEAFLET (self->leaflet)) == self->content;
      adw_leaflet_set_visible_child (ADW_LEAFLET (self->leaflet),
                                     content ? self->sidebar : self->content);
      return;
    }
  g_settings_set_boolean (settings, "sidebar-visible",
                          !g_settings_get_boolean (settings, "sidebar-visible"));
}

static void
sidebar_shown_cb (AdwLeaflet *leaflet, GParamSpec *pspec, AtlWindow *self)
{
  if (adw_leaflet_get_child_transition_running (leaflet))
    return;
  g_signal_handlers_disconnect_by_func (leaflet, sidebar_shown_cb, self);
  gtk_menu_button_popup (GTK_MENU_BUTTON (self->main_menu_button));
}

/* The menu is in the sidebar, which a narrow window does not show: that comes first. */
static void
main_menu_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlWindow *self = ATL_WINDOW (widget);
  AdwLeaflet *leaflet = ADW_LEAFLET (self->leaflet);

  atl_window_show_sidebar (self);
  g_signal_handlers_disconnect_by_func (leaflet, sidebar_shown_cb, self);
  g_signal_connect_object (leaflet, "notify::child-transition-running",
                           G_CALLBACK (sidebar_shown_cb), self, 0);
  sidebar_shown_cb (leaflet, NULL, self);
}

void
atl_window_install_sidebar_actions (GtkWidgetClass *widget_class)
{
  gtk_widget_class_install_action (widget_class, "win.toggle-sidebar", NULL, toggle_sidebar_action);
  gtk_widget_class_install_action (widget_class, "win.main-menu", NULL, main_menu_action);
}
