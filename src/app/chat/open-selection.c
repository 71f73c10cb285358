/* A selection model that takes no wishes from widgets: its select and unselect are the interface's
 * own, which do nothing. */
#include "app/chat/open-selection.h"

struct _AtlOpenSelection
{
  GObject parent_instance;

  GListModel *model;
  guint position;
};

static GType
get_item_type (GListModel *list)
{
  return g_list_model_get_item_type (ATL_OPEN_SELECTION (list)->model);
}

static guint
get_n_items (GListModel *list)
{
  return g_list_model_get_n_items (ATL_OPEN_SELECTION (list)->model);
}

static gpointer
get_item (GListModel *list, guint position)
{
  return g_list_model_get_item (ATL_OPEN_SELECTION (list)->model, position);
}

static void
list_model_init (GListModelInterface *interface)
{
  interface->get_item_type = get_item_type;
  interface->get_n_items = get_n_items;
  interface->get_item = get_item;
}

static gboolean
is_selected (GtkSelectionModel *model, guint position)
{
  return position == ATL_OPEN_SELECTION (model)->position;
}

static GtkBitset *
get_selection_in_range (GtkSelectionModel *model, guint position, guint n_items)
{
  AtlOpenSelection *self = ATL_OPEN_SELECTION (model);
  GtkBitset *set = gtk_bitset_new_empty ();

  if (self->position < g_list_model_get_n_items (self->model))
    gtk_bitset_add (set, self->position);
  return set;
}

static void
selection_model_init (GtkSelectionModelInterface *interface)
{
  interface->is_selected = is_selected;
  interface->get_selection_in_range = get_selection_in_range;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (AtlOpenSelection,
                               atl_open_selection,
                               G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, list_model_init)
                                   G_IMPLEMENT_INTERFACE (GTK_TYPE_SELECTION_MODEL,
                                                          selection_model_init))

void
atl_open_selection_set_position (AtlOpenSelection *self, guint position)
{
  guint before = self->position;
  guint n_items = g_list_model_get_n_items (self->model);

  if (before == position)
    return;
  self->position = position;
  if (before < n_items)
    gtk_selection_model_selection_changed (GTK_SELECTION_MODEL (self), before, 1);
  if (position < n_items)
    gtk_selection_model_selection_changed (GTK_SELECTION_MODEL (self), position, 1);
}

static void
changed_cb (AtlOpenSelection *self, guint position, guint removed, guint added)
{
  if (self->position != GTK_INVALID_LIST_POSITION && self->position >= position)
    self->position = GTK_INVALID_LIST_POSITION;
  g_list_model_items_changed (G_LIST_MODEL (self), position, removed, added);
}

static void
atl_open_selection_finalize (GObject *object)
{
  g_object_unref (ATL_OPEN_SELECTION (object)->model);
  G_OBJECT_CLASS (atl_open_selection_parent_class)->finalize (object);
}

static void
atl_open_selection_class_init (AtlOpenSelectionClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = atl_open_selection_finalize;
}

static void
atl_open_selection_init (AtlOpenSelection *self)
{
  self->position = GTK_INVALID_LIST_POSITION;
}

AtlOpenSelection *
atl_open_selection_new (GListModel *model)
{
  AtlOpenSelection *self = g_object_new (ATL_TYPE_OPEN_SELECTION, NULL);

  self->model = g_object_ref (model);
  g_signal_connect_object (model, "items-changed", G_CALLBACK (changed_cb), self,
                           G_CONNECT_SWAPPED);
  return self;
}
