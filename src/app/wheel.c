/* Takes the wheel from spin buttons and sliders. */
#include "app/wheel.h"

static void
ignore (GtkWidget *widget)
{
  g_autoptr (GListModel) controllers = gtk_widget_observe_controllers (widget);

  for (guint i = 0; i < g_list_model_get_n_items (controllers); i++)
    {
      g_autoptr (GtkEventController) controller = g_list_model_get_item (controllers, i);
      if (GTK_IS_EVENT_CONTROLLER_SCROLL (controller))
        gtk_event_controller_set_propagation_phase (controller, GTK_PHASE_NONE);
    }
}

void
atl_wheel_ignore (GtkWidget *root)
{
  if (GTK_IS_SPIN_BUTTON (root) || GTK_IS_RANGE (root))
    ignore (root);
  for (GtkWidget *child = gtk_widget_get_first_child (root); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    atl_wheel_ignore (child);
}
