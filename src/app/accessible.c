/* Passes names on to the widgets that screen readers really meet. */
#include "app/accessible.h"

#include <adwaita.h>
#include <glib/gi18n.h>
#include <string.h>

#include "app/menu-tooltip.h"

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

  if (GTK_IS_MENU_BUTTON (button))
    atl_menu_tooltip_rests (GTK_MENU_BUTTON (button), button);
  if (name == NULL || !GTK_IS_TOGGLE_BUTTON (inner))
    return;
  atl_accessible_set_name (GTK_IS_MENU_BUTTON (button) ? button : inner, name);
  /* By the tooltip of the menu button: the name again. */
  gtk_accessible_reset_relation (GTK_ACCESSIBLE (inner), GTK_ACCESSIBLE_RELATION_DESCRIBED_BY);
}

/* A tooltip ends in the key that does the same, as in "Search (Ctrl+F)", and would be read after
 * the name: of the words before it nothing but the same again. The part in brackets, the caller's.
 */
static char *
key_of (const char *tooltip)
{
  const char *start = tooltip != NULL ? strrchr (tooltip, '(') : NULL;

  if (start == NULL || start == tooltip || !g_str_has_suffix (start, ")"))
    return NULL;
  return g_strndup (start + 1, strlen (start) - 2);
}

/* GTK before 4.10 has no role for a toggle button: its state is told in words. The tooltip of a
 * button with words says more than these, that of a picture is its name. */
static void
describe_button (GtkWidget *button)
{
  const char *tooltip = gtk_widget_get_tooltip_text (button);
  gboolean has_words = gtk_button_get_label (GTK_BUTTON (button)) != NULL;
  g_autofree char *key = has_words ? g_strdup (tooltip) : key_of (tooltip);
  const char *state = NULL;
  g_autofree char *words = NULL;

  if (GTK_IS_TOGGLE_BUTTON (button) && gtk_get_minor_version () < 10)
    /* Translators: the state of a button, read by a screen reader after its name */
    state = gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (button)) ? _ ("on") : _ ("off");
  words = state && key ? g_strdup_printf ("%s, %s", state, key) : g_strdup (state ? state : key);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                  words ? words : "", -1);
}

/* A button with a picture is labelled by it, and a picture without a name is called by its type. */
static void
unlabel (GtkWidget *button)
{
  gtk_accessible_reset_relation (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_RELATION_LABELLED_BY);
}

/* A label with a mnemonic is a name with an underline, read before the label itself. */
static void
name_plainly (GtkWidget *button)
{
  GtkWidget *label = gtk_button_get_child (GTK_BUTTON (button));

  if (!gtk_button_get_use_underline (GTK_BUTTON (button)) || !GTK_IS_LABEL (label))
    return;
  g_signal_handlers_disconnect_by_func (button, name_plainly, NULL);
  g_signal_connect_after (button, "notify::label", G_CALLBACK (name_plainly), NULL);
  unlabel (button);
  atl_accessible_set_name (button, gtk_label_get_text (GTK_LABEL (label)));
}

static void
complete_button (GtkWidget *button)
{
  gboolean is_part = GTK_IS_MENU_BUTTON (gtk_widget_get_parent (button)) ||
                     GTK_IS_DROP_DOWN (gtk_widget_get_parent (button));
  gboolean is_picture = GTK_IS_IMAGE (gtk_button_get_child (GTK_BUTTON (button)));

  name_plainly (button);
  /* A switcher's buttons are tabs, which have a state of their own. */
  if (is_part || (!is_picture && !GTK_IS_TOGGLE_BUTTON (button)) ||
      gtk_widget_get_ancestor (button, ADW_TYPE_VIEW_SWITCHER) != NULL)
    return;
  if (is_picture)
    unlabel (button);
  if (g_object_get_data (G_OBJECT (button), "atl-accessible-button") != NULL)
    return;
  g_object_set_data (G_OBJECT (button), "atl-accessible-button", GINT_TO_POINTER (1));
  if (is_picture)
    g_signal_connect_after (button, "notify::icon-name", G_CALLBACK (unlabel), NULL);
  describe_button (button);
  g_signal_connect_after (button, "notify::tooltip-markup", G_CALLBACK (describe_button), NULL);
  if (GTK_IS_TOGGLE_BUTTON (button))
    g_signal_connect_after (button, "notify::active", G_CALLBACK (describe_button), NULL);
}

/* Pages of a stack are panels that are called by their type where they have no title. */
static void
complete_stack (GtkStack *stack)
{
  g_autoptr (GtkSelectionModel) pages = gtk_stack_get_pages (stack);

  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (pages)); i++)
    {
      g_autoptr (GObject) page = g_list_model_get_item (G_LIST_MODEL (pages), i);
      if (gtk_stack_page_get_title (GTK_STACK_PAGE (page)) == NULL)
        gtk_accessible_update_property (GTK_ACCESSIBLE (page), GTK_ACCESSIBLE_PROPERTY_LABEL, "",
                                        -1);
    }
}

static GtkWidget *
find_label (GtkWidget *widget)
{
  GtkWidget *label = GTK_IS_LABEL (widget) && gtk_widget_get_mapped (widget) ? widget : NULL;

  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL && label == NULL;
       child = gtk_widget_get_next_sibling (child))
    label = find_label (child);
  return label;
}

/* What is chosen, which the button of a drop-down shows, and GTK does not tell. */
static void
tell_chosen (GtkWidget *drop_down)
{
  GtkWidget *inner = gtk_widget_get_first_child (drop_down);
  GtkWidget *label = inner != NULL ? find_label (inner) : NULL;

  if (label != NULL)
    gtk_accessible_update_property (GTK_ACCESSIBLE (inner), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                    gtk_label_get_text (GTK_LABEL (label)), -1);
}

static void
complete_drop_down (GtkWidget *drop_down)
{
  name_button (drop_down);
  tell_chosen (drop_down);
  if (g_object_get_data (G_OBJECT (drop_down), "atl-accessible-choice") != NULL)
    return;
  g_object_set_data (G_OBJECT (drop_down), "atl-accessible-choice", GINT_TO_POINTER (1));
  g_signal_connect_after (drop_down, "notify::selected-item", G_CALLBACK (tell_chosen), NULL);
}

/* The list of a drop-down and the entry above it, in its pop-up. */
static gboolean
in_drop_down (GtkWidget *widget)
{
  return (GTK_IS_LIST_VIEW (widget) || GTK_IS_SEARCH_ENTRY (widget)) &&
         gtk_widget_get_ancestor (widget, GTK_TYPE_POPOVER) != NULL &&
         gtk_widget_get_ancestor (widget, GTK_TYPE_DROP_DOWN) != NULL;
}

static void
complete_part (GtkWidget *widget)
{
  GtkWidget *drop_down = gtk_widget_get_ancestor (widget, GTK_TYPE_DROP_DOWN);
  const char *name = gtk_widget_get_tooltip_text (drop_down);

  if (GTK_IS_SEARCH_ENTRY (widget))
    name = _ ("Search");
  if (name != NULL)
    atl_accessible_set_name (widget, name);
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

static GtkWidget *
find_head (GtkWidget *widget)
{
  GtkWidget *head = NULL;

  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL && head == NULL;
       child = gtk_widget_get_next_sibling (child))
    head = ADW_IS_ACTION_ROW (child) ? child : find_head (child);
  return head;
}

/* Of a row that opens: its head takes the focus, and does not say whether it is open. */
static void
tell_expanded (GtkWidget *row)
{
  GtkWidget *head = find_head (row);

  if (head != NULL)
    gtk_accessible_update_state (GTK_ACCESSIBLE (head), GTK_ACCESSIBLE_STATE_EXPANDED,
                                 adw_expander_row_get_expanded (ADW_EXPANDER_ROW (row)), -1);
}

static void
complete_expander (GtkWidget *row)
{
  atl_accessible_set_name (row, adw_preferences_row_get_title (ADW_PREFERENCES_ROW (row)));
  tell_expanded (row);
  if (g_object_get_data (G_OBJECT (row), "atl-accessible-expander") != NULL)
    return;
  g_object_set_data (G_OBJECT (row), "atl-accessible-expander", GINT_TO_POINTER (1));
  g_signal_connect_after (row, "notify::expanded", G_CALLBACK (tell_expanded), NULL);
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

/* --- Announcements --- */

/* What has the focus for a screen reader: of an entry not the text in it. */
static GtkWidget *
get_focused (GtkRoot *root)
{
  GtkWidget *focus = gtk_root_get_focus (root);

  return GTK_IS_TEXT (focus) ? gtk_widget_get_parent (focus) : focus;
}

static void
restore_description (GtkWidget *widget)
{
  const char *tooltip = gtk_widget_get_tooltip_text (widget);

  if (tooltip != NULL)
    gtk_accessible_update_property (GTK_ACCESSIBLE (widget), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                    tooltip, -1);
  else
    gtk_accessible_reset_property (GTK_ACCESSIBLE (widget), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION);
  if (GTK_IS_BUTTON (widget) && g_object_get_data (G_OBJECT (widget), "atl-accessible-button"))
    describe_button (widget);
}

static void
focus_moved_cb (GtkRoot *root, GParamSpec *spec, GWeakRef *told)
{
  g_autoptr (GtkWidget) widget = g_weak_ref_get (told);

  if (widget == NULL || widget == get_focused (root))
    return;
  g_weak_ref_set (told, NULL);
  restore_description (widget);
}

static void
free_told (gpointer told, GClosure *closure)
{
  g_weak_ref_clear (told);
  g_free (told);
}

void
atl_accessible_announce (GtkWidget *widget, const char *words)
{
  GtkRoot *root = gtk_widget_get_root (widget);
  GtkWidget *focus = root != NULL ? get_focused (root) : NULL;
  GWeakRef *told = root != NULL ? g_object_get_data (G_OBJECT (root), "atl-accessible-told") : NULL;

  if (focus == NULL)
    return;
  if (told == NULL)
    {
      told = g_new0 (GWeakRef, 1);
      g_weak_ref_init (told, NULL);
      g_object_set_data (G_OBJECT (root), "atl-accessible-told", told);
      g_signal_connect_data (root, "notify::focus-widget", G_CALLBACK (focus_moved_cb), told,
                             free_told, 0);
    }
  g_weak_ref_set (told, focus);
  gtk_accessible_update_property (GTK_ACCESSIBLE (focus), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                  words, -1);
}

void
atl_accessible_announce_beside (GtkWidget *page, GtkWidget *part, const char *words)
{
  GtkRoot *root = gtk_widget_get_root (page);
  GtkWidget *focus = root != NULL ? gtk_root_get_focus (root) : NULL;

  if (focus != NULL && gtk_widget_get_mapped (page) && !gtk_widget_is_ancestor (focus, part))
    atl_accessible_announce (page, words);
}

/* --- Focus by a click only --- */

static void
pressed_cb (GtkGestureClick *gesture, int n_press, double x, double y, GtkWidget *label)
{
  gtk_widget_set_can_focus (label, TRUE);
}

static void
left_cb (GtkEventControllerFocus *controller, GtkWidget *label)
{
  gtk_widget_set_can_focus (label, FALSE);
}

/* (Not by "focusable" alone: GTK 4.8's label then says that it took the focus, and Tab ends
 * there.) */
void
atl_accessible_focus_by_click (GtkWidget *label)
{
  GtkGesture *click = gtk_gesture_click_new ();
  GtkEventController *focus = gtk_event_controller_focus_new ();

  gtk_event_controller_set_propagation_phase (GTK_EVENT_CONTROLLER (click), GTK_PHASE_CAPTURE);
  g_signal_connect (click, "pressed", G_CALLBACK (pressed_cb), label);
  g_signal_connect (focus, "leave", G_CALLBACK (left_cb), label);
  gtk_widget_add_controller (label, GTK_EVENT_CONTROLLER (click));
  gtk_widget_add_controller (label, focus);
  gtk_widget_set_can_focus (label, FALSE);
}

/* --- Leaving a list --- */

static gboolean
leave_cb (GtkEventControllerKey *keys, guint key, guint code, GdkModifierType mods, GtkWidget *list)
{
  gboolean back = key == GDK_KEY_ISO_Left_Tab || (mods & GDK_SHIFT_MASK) != 0;

  if ((key != GDK_KEY_Tab && key != GDK_KEY_KP_Tab && key != GDK_KEY_ISO_Left_Tab) ||
      (mods & (GDK_CONTROL_MASK | GDK_ALT_MASK)) != 0)
    return GDK_EVENT_PROPAGATE;
  /* What cannot take the focus is passed over, with all that is in it. */
  gtk_widget_set_can_focus (list, FALSE);
  g_signal_emit_by_name (gtk_widget_get_root (list), "move-focus",
                         back ? GTK_DIR_TAB_BACKWARD : GTK_DIR_TAB_FORWARD);
  gtk_widget_set_can_focus (list, TRUE);
  return GDK_EVENT_STOP;
}

void
atl_accessible_leave_by_tab (GtkWidget *list)
{
  GtkEventController *keys = gtk_event_controller_key_new ();

  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (leave_cb), list);
  gtk_widget_add_controller (list, keys);
}

/* What `root` itself lacks. */
static void
complete (GtkWidget *root)
{
  if (GTK_IS_BUTTON (root))
    complete_button (root);
  else if (GTK_IS_STACK (root))
    complete_stack (GTK_STACK (root));
  else if (GTK_IS_POPOVER_MENU (root))
    gtk_accessible_update_property (GTK_ACCESSIBLE (root), GTK_ACCESSIBLE_PROPERTY_LABEL, "", -1);
  if (GTK_IS_MENU_BUTTON (root))
    name_button (root);
  else if (GTK_IS_DROP_DOWN (root))
    complete_drop_down (root);
  else if (in_drop_down (root))
    complete_part (root);
  else if (is_search_of_rows (root))
    atl_accessible_set_name (root, gtk_widget_get_tooltip_text (root));
  else if (GTK_IS_SCROLLED_WINDOW (root) &&
           gtk_widget_get_ancestor (root, GTK_TYPE_POPOVER_MENU) != NULL)
    /* In a menu of one item the arrows would come to it. */
    gtk_widget_set_focusable (root, FALSE);
  else if (GTK_IS_SCROLLED_WINDOW (root) && !has_label (root))
    name_scrolled (root);
  else if (GTK_IS_LIST_BOX (root) && !has_label (root))
    {
      const char *title = find_title (root);
      if (title != NULL && *title != '\0')
        atl_accessible_set_name (root, title);
    }
  else if (ADW_IS_EXPANDER_ROW (root))
    complete_expander (root);
  else if (is_switch_of_expander (root))
    atl_accessible_set_name (root, adw_preferences_row_get_title (ADW_PREFERENCES_ROW (
                                       gtk_widget_get_ancestor (root, ADW_TYPE_EXPANDER_ROW))));
}

static gboolean
mapped_hook (GSignalInvocationHint *hint, guint n, const GValue *values, gpointer data)
{
  complete (g_value_get_object (&values[0]));
  return G_SOURCE_CONTINUE;
}

void
atl_accessible_watch (void)
{
  static gboolean watches;

  if (watches)
    return;
  watches = TRUE;
  /* Signals come with the class, which nobody may have needed yet. */
  g_type_class_unref (g_type_class_ref (GTK_TYPE_WIDGET));
  g_signal_add_emission_hook (g_signal_lookup ("map", GTK_TYPE_WIDGET), 0, mapped_hook, NULL, NULL);
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

static gboolean
is_of_toast (GtkWidget *button)
{
  return gtk_widget_has_css_class (button, "circular") &&
         g_str_equal (gtk_widget_get_css_name (gtk_widget_get_parent (button)), "toast");
}

void
atl_accessible_name_close_button (GtkWidget *root)
{
  if (GTK_IS_BUTTON (root) && (gtk_widget_has_css_class (root, "close") || is_of_toast (root)))
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
