/* The sidebar beside a wide window's page, or in its place where the window is narrow. */
#include "app/window/window-private.h"

void
atl_window_show_sidebar (AtlWindow *self)
{
  if (adw_leaflet_get_folded (ADW_LEAFLET (self->leaflet)))
    adw_leaflet_set_visible_child (ADW_LEAFLET (self->leaflet), self->sidebar);
  else
    g_settings_set_boolean (atl_session_get_settings (self->session), "sidebar-visible", TRUE);
}

/* --- When it is beside the page --- */

/* Of libadwaita's usual font, 11 pt at 96 dpi. */
#define USUAL_FONT_PX (11 * 96 / 72.0)
#define SIDEBAR_PX 272
#define PAGE_PX 340

/* How much larger than usual the letters in `widget` are. */
static double
font_scale (GtkWidget *widget)
{
  const PangoFontDescription *font =
      pango_context_get_font_description (gtk_widget_get_pango_context (widget));
  double size = pango_units_to_double (pango_font_description_get_size (font));

  return (pango_font_description_get_size_is_absolute (font) ? size : size * 96 / 72) /
         USUAL_FONT_PX;
}

/* What both request is in px, so that a small window has room for either; beside each other they
 * need room for larger letters too. */
void
atl_window_fold (AtlWindow *self, int width)
{
  double needed = SIDEBAR_PX * MAX (font_scale (self->sidebar), 1) +
                  PAGE_PX * MAX (font_scale (self->pages), 1);

  adw_leaflet_set_can_unfold (ADW_LEAFLET (self->leaflet), width >= needed);
}

/* --- Actions --- */

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
