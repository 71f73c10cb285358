/* Passes names on to the widgets that screen readers really meet. */
#include "app/accessible.h"

#include <adwaita.h>
#include <glib/gi18n.h>

static gboolean
has_label (GtkWidget *widget)
{
  return g_object_get_data (G_OBJECT (widget), "atl-accessible-name") != NULL;
}

void
atl_accessible_set_name (GtkWidget *widget, const char *name)
{
  gtk_accessible_update_property (GTK_ACCESSIBLE (widget), GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
  g_object_set_data (G_OBJECT (widget), "atl-accessible-name", GINT_TO_POINTER (1));
}

/* A menu button is announced by the toggle inside it, which is labelled by the menu button; that
 * of a drop-down is not. */
static void
name_button (GtkWidget *button)
{
  const char *name = gtk_widget_get_tooltip_text (button);
  GtkWidget *inner = gtk_widget_get_first_child (button);

  if (name == NULL || !GTK_IS_TOGGLE_BUTTON (inner))
    return;
  atl_accessible_set_name (GTK_IS_MENU_BUTTON (button) ? button : inner, name);
}

/* The title of the row that the list is in, or that of its first row. A group names its list
 * itself, by its own title. */
static const char *
find_title (GtkWidget *list)
{
  GtkWidget *row = gtk_widget_get_ancestor (list, ADW_TYPE_PREFERENCES_ROW);
  GtkWidget *group = gtk_widget_get_ancestor (list, ADW_TYPE_PREFERENCES_GROUP);

  if (row == NULL && group != NULL &&
      *adw_preferences_group_get_title (ADW_PREFERENCES_GROUP (group)) != '\0')
    return NULL;
  if (row == NULL)
    row = gtk_widget_get_first_child (list);
  return ADW_IS_PREFERENCES_ROW (row) ? adw_preferences_row_get_title (ADW_PREFERENCES_ROW (row))
                                      : NULL;
}

/* The button that libadwaita puts into the header of a window of preferences. */
static gboolean
is_search_of_rows (GtkWidget *widget)
{
  return GTK_IS_TOGGLE_BUTTON (widget) && gtk_widget_get_tooltip_text (widget) != NULL &&
         ADW_IS_PREFERENCES_WINDOW (gtk_widget_get_root (widget)) &&
         gtk_widget_get_ancestor (widget, ADW_TYPE_HEADER_BAR) != NULL;
}

/* The one in the head of the row, which the row names nowhere; those in its rows are named by them.
 */
static gboolean
is_switch_of_expander (GtkWidget *widget)
{
  GtkWidget *row = gtk_widget_get_ancestor (widget, ADW_TYPE_EXPANDER_ROW);

  return GTK_IS_SWITCH (widget) && row != NULL &&
         g_strcmp0 (gtk_buildable_get_buildable_id (GTK_BUILDABLE (widget)), "enable_switch") == 0;
}

/* A stop of the Tab key where nothing in it takes the focus, so that arrows scroll it. (Taking it
 * out by "focusable" would end the way of the Tab key there: GTK 4.8 says then that it took the
 * focus.)
 */
static void
name_scrolled (GtkWidget *scrolled)
{
  GtkWidget *child = gtk_scrolled_window_get_child (GTK_SCROLLED_WINDOW (scrolled));

  if (GTK_IS_LIST_VIEW (child) || GTK_IS_GRID_VIEW (child) || GTK_IS_TEXT_VIEW (child))
    gtk_accessible_update_relation (GTK_ACCESSIBLE (scrolled), GTK_ACCESSIBLE_RELATION_LABELLED_BY,
                                    child, NULL, -1);
  else
    atl_accessible_set_name (scrolled, _ ("Scrolled part"));
}

void
atl_accessible_complete (GtkWidget *root)
{
  if (GTK_IS_MENU_BUTTON (root) || GTK_IS_DROP_DOWN (root))
    name_button (root);
  else if (is_search_of_rows (root))
    atl_accessible_set_name (root, gtk_widget_get_tooltip_text (root));
  else if (GTK_IS_SCROLLED_WINDOW (root) && !has_label (root))
    name_scrolled (root);
  else if (GTK_IS_LIST_BOX (root) && !has_label (root))
    {
      const char *title = find_title (root);
      if (title != NULL && *title != '\0')
        atl_accessible_set_name (root, title);
    }
  else if (ADW_IS_EXPANDER_ROW (root))
    atl_accessible_set_name (root, adw_preferences_row_get_title (ADW_PREFERENCES_ROW (root)));
  else if (is_switch_of_expander (root))
    atl_accessible_set_name (root, adw_preferences_row_get_title (ADW_PREFERENCES_ROW (
                                       gtk_widget_get_ancestor (root, ADW_TYPE_EXPANDER_ROW))));
  for (GtkWidget *child = gtk_widget_get_first_child (root); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    atl_accessible_complete (child);
}

static void
name_lists (GtkWidget *root, const char *name)
{
  if (GTK_IS_LIST_VIEW (root))
    gtk_accessible_update_property (GTK_ACCESSIBLE (root), GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
  for (GtkWidget *child = gtk_widget_get_first_child (root); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    name_lists (child, name);
}

/* The row shows what is chosen as the only item of a list, which GTK does not name. */
static void
name_chosen (GtkWidget *root)
{
  GtkWidget *label = gtk_widget_get_first_child (root);

  if (GTK_IS_POPOVER (root))
    return;
  if (GTK_IS_LIST_VIEW (gtk_widget_get_parent (root)))
    {
      while (label != NULL && !GTK_IS_LABEL (label))
        label = gtk_widget_get_first_child (label);
      if (label != NULL)
        atl_accessible_set_name (root, gtk_label_get_text (GTK_LABEL (label)));
      return;
    }
  for (GtkWidget *child = label; child != NULL; child = gtk_widget_get_next_sibling (child))
    name_chosen (child);
}

void
atl_accessible_name_combo_row (GtkWidget *row)
{
  name_lists (row, adw_preferences_row_get_title (ADW_PREFERENCES_ROW (row)));
  name_chosen (row);
  g_signal_connect_after (row, "notify::selected-item", G_CALLBACK (name_chosen), NULL);
}

void
atl_accessible_name_close_button (GtkWidget *root)
{
  if (GTK_IS_BUTTON (root) && gtk_widget_has_css_class (root, "close"))
    {
      gtk_widget_set_tooltip_text (root, _ ("Close"));
      gtk_accessible_update_property (GTK_ACCESSIBLE (root), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                      _ ("Close"), -1);
      return;
    }
  for (GtkWidget *child = gtk_widget_get_first_child (root); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    atl_accessible_name_close_button (child);
}

void
atl_accessible_set_menu_button (GtkMenuButton *button, const char *name)
{
  gtk_widget_set_tooltip_text (GTK_WIDGET (button), name);
  name_button (GTK_WIDGET (button));
}

void
atl_accessible_name_list_item (GtkListItem *item, const char *name)
{
  GtkWidget *child = gtk_list_item_get_child (item);
  GtkWidget *row = child != NULL ? gtk_widget_get_parent (child) : NULL;

  if (row != NULL)
    gtk_accessible_update_property (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
}
