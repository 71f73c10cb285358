/* Entries of the list of models in a drop-down, with the reasons of those that cannot be chosen. */
#include "app/models/model-drop-down.h"

#include "app/accessible.h"
#include "app/words.h"

static GListStore *
get_store (GtkDropDown *self)
{
  return G_LIST_STORE (gtk_drop_down_get_model (self));
}

AtlModelEntry *
atl_model_drop_down_get_entry (GtkDropDown *self)
{
  return gtk_drop_down_get_selected_item (self);
}

void
atl_model_drop_down_set_path (GtkDropDown *self, const char *path)
{
  GListModel *entries = G_LIST_MODEL (get_store (self));

  for (guint i = 0; i < g_list_model_get_n_items (entries); i++)
    {
      g_autoptr (AtlModelEntry) entry = g_list_model_get_item (entries, i);
      if (g_strcmp0 (entry->path, path) == 0)
        gtk_drop_down_set_selected (self, i);
    }
}

/* --- Rows --- */

/* In the list, under the name: why a model cannot answer. */
static void
setup_cb (GtkSignalListItemFactory *factory, GtkListItem *item)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *name = gtk_label_new (NULL);
  GtkWidget *detail = gtk_label_new (NULL);

  gtk_label_set_xalign (GTK_LABEL (name), 0);
  gtk_label_set_xalign (GTK_LABEL (detail), 0);
  gtk_label_set_ellipsize (GTK_LABEL (name), PANGO_ELLIPSIZE_MIDDLE);
  gtk_label_set_wrap (GTK_LABEL (detail), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (detail), PANGO_WRAP_WORD_CHAR);
  gtk_label_set_ellipsize (GTK_LABEL (detail), PANGO_ELLIPSIZE_END);
  gtk_label_set_lines (GTK_LABEL (detail), 3);
  gtk_label_set_max_width_chars (GTK_LABEL (detail), 36);
  atl_label_never_hyphenate (GTK_LABEL (detail));
  gtk_widget_add_css_class (detail, "caption");
  gtk_widget_add_css_class (detail, "dim-label");
  gtk_box_append (GTK_BOX (box), name);
  gtk_box_append (GTK_BOX (box), detail);
  gtk_list_item_set_child (item, box);
}

static void
bind_cb (GtkSignalListItemFactory *factory, GtkListItem *item)
{
  AtlModelEntry *entry = gtk_list_item_get_item (item);
  GtkWidget *box = gtk_list_item_get_child (item);
  const char *why_not = entry->why_not ? entry->why_not : entry->too_large;
  gboolean usable = entry->why_not == NULL;

  gtk_label_set_text (GTK_LABEL (gtk_widget_get_first_child (box)), entry->name);
  gtk_label_set_text (GTK_LABEL (gtk_widget_get_last_child (box)), why_not ? why_not : "");
  gtk_widget_set_visible (gtk_widget_get_last_child (box), why_not != NULL);
  gtk_widget_set_tooltip_text (box, why_not);
  /* The reason is to be read: the name alone is grey. */
  gtk_widget_set_sensitive (gtk_widget_get_first_child (box), usable);
  gtk_list_item_set_activatable (item, usable);
  gtk_list_item_set_selectable (item, usable);
  gtk_accessible_update_property (GTK_ACCESSIBLE (box), GTK_ACCESSIBLE_PROPERTY_LABEL, entry->name,
                                  GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, why_not ? why_not : "", -1);
  atl_accessible_name_list_item (item, entry->name);
  gtk_accessible_update_state (GTK_ACCESSIBLE (box), GTK_ACCESSIBLE_STATE_DISABLED, !usable, -1);
}

/* On the button: the name alone. */
static void
setup_name_cb (GtkSignalListItemFactory *factory, GtkListItem *item)
{
  GtkWidget *name = gtk_label_new (NULL);

  gtk_label_set_xalign (GTK_LABEL (name), 0);
  gtk_label_set_ellipsize (GTK_LABEL (name), PANGO_ELLIPSIZE_END);
  gtk_list_item_set_child (item, name);
}

static void
bind_name_cb (GtkSignalListItemFactory *factory, GtkListItem *item)
{
  AtlModelEntry *entry = gtk_list_item_get_item (item);

  gtk_label_set_text (GTK_LABEL (gtk_list_item_get_child (item)), entry->name);
  atl_accessible_name_list_item (item, entry->name);
}

static GtkListItemFactory *
new_factory (GCallback setup, GCallback bind)
{
  GtkListItemFactory *factory = gtk_signal_list_item_factory_new ();

  g_signal_connect (factory, "setup", setup, NULL);
  g_signal_connect (factory, "bind", bind, NULL);
  return factory;
}

/* --- What is in the list --- */

/* A model of which it has turned out that it cannot answer gives way to one that can, unless it is
 * being asked. */
static void
leave_unusable (GtkDropDown *self)
{
  AtlModelEntry *chosen = atl_model_drop_down_get_entry (self);
  GListModel *entries = G_LIST_MODEL (get_store (self));

  if (chosen == NULL || chosen->why_not == NULL || !gtk_widget_get_sensitive (GTK_WIDGET (self)))
    return;
  for (guint i = 0; i < g_list_model_get_n_items (entries); i++)
    {
      g_autoptr (AtlModelEntry) entry = g_list_model_get_item (entries, i);
      if (entry->why_not == NULL)
        {
          gtk_drop_down_set_selected (self, i);
          return;
        }
    }
}

static void
changed_cb (AtlModelList *models, guint position, guint removed, guint added, GtkDropDown *self)
{
  AtlModelEntry *chosen = atl_model_drop_down_get_entry (self);
  g_autofree char *before = g_strdup (chosen != NULL ? chosen->path : NULL);
  g_autoptr (GPtrArray) entries = g_ptr_array_new_with_free_func (g_object_unref);
  GListStore *store = get_store (self);

  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (models)); i++)
    {
      AtlModelEntry *entry = g_list_model_get_item (G_LIST_MODEL (models), i);
      if (atl_model_entry_may_answer (entry))
        g_ptr_array_add (entries, entry);
      else
        g_object_unref (entry);
    }
  g_list_store_splice (store, 0, g_list_model_get_n_items (G_LIST_MODEL (store)), entries->pdata,
                       entries->len);
  atl_model_drop_down_set_path (self, before);
  leave_unusable (self);
  atl_model_list_inspect (models, FALSE);
}

static void
judged_cb (AtlModelList *models, AtlModelEntry *entry, GtkDropDown *self)
{
  guint position, selected = gtk_drop_down_get_selected (self);

  if (!g_list_store_find (get_store (self), entry, &position))
    return;
  if (!atl_model_entry_may_answer (entry))
    {
      g_list_store_remove (get_store (self), position);
      return;
    }
  /* The same again: its row is drawn anew. */
  g_list_store_splice (get_store (self), position, 1, (gpointer *) &entry, 1);
  gtk_drop_down_set_selected (self, selected);
  leave_unusable (self);
}

static GtkWidget *
find_below (GtkWidget *root, GType type)
{
  GtkWidget *found = G_TYPE_CHECK_INSTANCE_TYPE (root, type) ? root : NULL;

  for (GtkWidget *child = gtk_widget_get_first_child (root); child != NULL && found == NULL;
       child = gtk_widget_get_next_sibling (child))
    found = find_below (child, type);
  return found;
}

/* The list has the focus when it opens: without this, letters typed then would go nowhere. */
static void
search_by_letters (GtkDropDown *self)
{
  GtkWidget *popover = find_below (GTK_WIDGET (self), GTK_TYPE_POPOVER);
  GtkWidget *entry = popover != NULL ? find_below (popover, GTK_TYPE_SEARCH_ENTRY) : NULL;

  if (entry != NULL)
    gtk_search_entry_set_key_capture_widget (GTK_SEARCH_ENTRY (entry), popover);
}

void
atl_model_drop_down_set_models (GtkDropDown *self, AtlModelList *models)
{
  g_autoptr (GListStore) store = g_list_store_new (ATL_TYPE_MODEL_ENTRY);
  g_autoptr (GtkListItemFactory) names =
      new_factory (G_CALLBACK (setup_name_cb), G_CALLBACK (bind_name_cb));
  g_autoptr (GtkListItemFactory) rows = new_factory (G_CALLBACK (setup_cb), G_CALLBACK (bind_cb));
  g_autoptr (GtkExpression) name = gtk_property_expression_new (ATL_TYPE_MODEL_ENTRY, NULL, "name");

  search_by_letters (self);
  gtk_drop_down_set_expression (self, name);
  gtk_drop_down_set_factory (self, names);
  gtk_drop_down_set_list_factory (self, rows);
  gtk_drop_down_set_model (self, G_LIST_MODEL (store));
  g_signal_connect_object (models, "items-changed", G_CALLBACK (changed_cb), self, 0);
  g_signal_connect_object (models, "judged", G_CALLBACK (judged_cb), self, 0);
  changed_cb (models, 0, 0, 0, self);
}
