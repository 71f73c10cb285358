/* Takes the wheel from spin buttons and sliders, and from boxes within a list at their end. */
#include "app/wheel.h"

#include <math.h>

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

static gboolean
can_move (GtkAdjustment *adjustment, double by)
{
  double value = gtk_adjustment_get_value (adjustment);
  double end = gtk_adjustment_get_upper (adjustment) - gtk_adjustment_get_page_size (adjustment);

  return by < 0 ? value > gtk_adjustment_get_lower (adjustment) + 0.5 : value < end - 0.5;
}

/* GTK lets the inner one have every turn of the wheel, whether it can scroll or not. The length of
 * a turn is GTK's own. */
static gboolean
scroll_cb (GtkEventControllerScroll *scroll, double dx, double dy, GtkScrolledWindow *inner)
{
  GtkWidget *parent = gtk_widget_get_parent (GTK_WIDGET (inner));
  GtkWidget *outer =
      parent != NULL ? gtk_widget_get_ancestor (parent, GTK_TYPE_SCROLLED_WINDOW) : NULL;
  GtkAdjustment *adjustment;

  if (outer == NULL || dy == 0 || can_move (gtk_scrolled_window_get_vadjustment (inner), dy))
    return GDK_EVENT_PROPAGATE;
  adjustment = gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (outer));
  gtk_adjustment_set_value (adjustment,
                            gtk_adjustment_get_value (adjustment) +
                                dy * pow (gtk_adjustment_get_page_size (adjustment), 2.0 / 3.0));
  return GDK_EVENT_STOP;
}

static void
pass_on (GtkWidget *inner)
{
  GtkEventController *scroll;

  if (gtk_widget_get_parent (inner) == NULL ||
      gtk_widget_get_ancestor (gtk_widget_get_parent (inner), GTK_TYPE_SCROLLED_WINDOW) == NULL)
    return;
  scroll = gtk_event_controller_scroll_new (GTK_EVENT_CONTROLLER_SCROLL_VERTICAL);
  gtk_event_controller_set_propagation_phase (scroll, GTK_PHASE_CAPTURE);
  g_signal_connect (scroll, "scroll", G_CALLBACK (scroll_cb), inner);
  gtk_widget_add_controller (inner, scroll);
}

void
atl_wheel_ignore (GtkWidget *root)
{
  if (GTK_IS_SCROLLED_WINDOW (root))
    pass_on (root);
  if (GTK_IS_SPIN_BUTTON (root) || GTK_IS_RANGE (root))
    ignore (root);
  for (GtkWidget *child = gtk_widget_get_first_child (root); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    atl_wheel_ignore (child);
}
