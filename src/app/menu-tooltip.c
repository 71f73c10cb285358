/* Tooltips that wait until a menu is closed. */
#include "app/menu-tooltip.h"

#define KEY "atl-menu-tooltip"

/* Whoever sets a new text meanwhile does not bring it back. */
static gboolean
query_cb (GtkWidget *widget,
          int x,
          int y,
          gboolean by_keyboard,
          GtkTooltip *tooltip,
          GtkToggleButton *toggle)
{
  if (gtk_toggle_button_get_active (toggle))
    g_signal_stop_emission_by_name (widget, "query-tooltip");
  return FALSE;
}

/* The toggle inside knows: GTK 4.8's menu button does not say whether it is open. */
void
atl_menu_tooltip_rests (GtkMenuButton *button, GtkWidget *widget)
{
  GtkWidget *toggle = gtk_widget_get_first_child (GTK_WIDGET (button));

  if (!GTK_IS_TOGGLE_BUTTON (toggle) || g_object_get_data (G_OBJECT (widget), KEY) == toggle)
    return;
  g_object_set_data (G_OBJECT (widget), KEY, toggle);
  g_signal_connect_object (widget, "query-tooltip", G_CALLBACK (query_cb), toggle, 0);
}
