/* Keeps the scrollbar still while a list has rows that were never laid out. */
#include "app/scrolling.h"

void
atl_scrolling_reset (GtkWidget *scroller)
{
  GtkAdjustment *adjustment = gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (scroller));

  gtk_adjustment_configure (adjustment, 0, 0, 0, 0, 0, 0);
}
