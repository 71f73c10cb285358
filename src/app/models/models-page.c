/* The library. While it is in sight, the engine is asked whether each model fits. */
#include "app/models/models-page.h"

#include <adwaita.h>
#include <glib/gi18n.h>

#include "app/images/pictures-session.h"
#include "app/models/model-list-row.h"
#include "app/models/starter-button.h"

struct _AtlModelsPage
{
  GtkWidget parent_instance;

  AtlSession *session; /* (nullable) */
  GPtrArray *rows;     /* (element-type AtlModelListRow) borrowed */

  GtkWidget *stack;
  GtkWidget *own_group;
  GtkWidget *other_group;
  GtkWidget *starter;
};

G_DEFINE_FINAL_TYPE (AtlModelsPage, atl_models_page, GTK_TYPE_WIDGET)

static AtlModelListRow *
find_row (AtlModelsPage *self, const char *path)
{
  for (guint i = 0; i < self->rows->len; i++)
    {
      AtlModelListRow *row = g_ptr_array_index (self->rows, i);
      if (g_str_equal (atl_model_list_row_get_entry (row)->path, path))
        return row;
    }
  return NULL;
}

static void
judged_cb (AtlModelsPage *self, AtlModelEntry *entry)
{
  AtlModelListRow *row = find_row (self, entry->path);

  if (row != NULL)
    atl_model_list_row_refresh (row);
}

static void
inspect (AtlModelsPage *self)
{
  if (gtk_widget_get_mapped (GTK_WIDGET (self)))
    atl_model_list_inspect (atl_session_get_models (self->session), TRUE);
}

static void
refresh_rows (AtlModelsPage *self)
{
  for (guint i = 0; i < self->rows->len; i++)
    atl_model_list_row_refresh (g_ptr_array_index (self->rows, i));
}

/* The place of the row that has the focus; -1: none has. */
static int
find_focused (AtlModelsPage *self)
{
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));
  GtkWidget *focus = root != NULL ? gtk_root_get_focus (root) : NULL;

  for (guint i = 0; focus != NULL && i < self->rows->len; i++)
    if (focus == g_ptr_array_index (self->rows, i) ||
        gtk_widget_is_ancestor (focus, g_ptr_array_index (self->rows, i)))
      return (int) i;
  return -1;
}

/* The row of the same model, or where it stood when it was removed. */
static void
focus_again (AtlModelsPage *self, int place, const char *path)
{
  AtlModelListRow *row = find_row (self, path);

  if (row == NULL && self->rows->len > 0)
    row = g_ptr_array_index (self->rows, MIN ((guint) place, self->rows->len - 1));
  if (row != NULL)
    gtk_widget_grab_focus (GTK_WIDGET (row));
  else
    gtk_widget_child_focus (self->stack, GTK_DIR_TAB_FORWARD);
}

static void
rebuild (AtlModelsPage *self)
{
  GListModel *models = G_LIST_MODEL (atl_session_get_models (self->session));
  guint n_own = 0, n_other = 0;
  int focused = find_focused (self);
  g_autofree char *path =
      focused >= 0
          ? g_strdup (atl_model_list_row_get_entry (g_ptr_array_index (self->rows, focused))->path)
          : NULL;

  for (guint i = 0; i < self->rows->len; i++)
    {
      GtkWidget *row = g_ptr_array_index (self->rows, i);
      AtlModelEntry *entry = atl_model_list_row_get_entry (ATL_MODEL_LIST_ROW (row));
      adw_preferences_group_remove (
          ADW_PREFERENCES_GROUP (entry->origin ? self->other_group : self->own_group), row);
    }
  g_ptr_array_set_size (self->rows, 0);
  for (guint i = 0; i < g_list_model_get_n_items (models); i++)
    {
      g_autoptr (AtlModelEntry) entry = g_list_model_get_item (models, i);
      GtkWidget *row = atl_model_list_row_new (self->session, entry);
      adw_preferences_group_add (
          ADW_PREFERENCES_GROUP (entry->origin ? self->other_group : self->own_group), row);
      g_ptr_array_add (self->rows, row);
      *(entry->origin ? &n_other : &n_own) += 1;
    }
  gtk_widget_set_visible (self->own_group, n_own > 0);
  gtk_widget_set_visible (self->other_group, n_other > 0);
  gtk_stack_set_visible_child_name (GTK_STACK (self->stack),
                                    n_own + n_other > 0 ? "list" : "empty");
  if (focused >= 0)
    focus_again (self, focused, path);
  inspect (self);
}

static void
map (GtkWidget *widget)
{
  AtlModelsPage *self = ATL_MODELS_PAGE (widget);

  GTK_WIDGET_CLASS (atl_models_page_parent_class)->map (widget);
  if (self->session == NULL)
    return;
  atl_model_list_refresh (atl_session_get_models (self->session));
  inspect (self);
}

void
atl_models_page_set_session (AtlModelsPage *self, AtlSession *session)
{
  g_return_if_fail (self->session == NULL);

  self->session = g_object_ref (session);
  atl_starter_button_set_session (ATL_STARTER_BUTTON (self->starter), session);
  g_signal_connect_object (atl_session_get_models (session), "items-changed", G_CALLBACK (rebuild),
                           self, G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_session_get_models (session), "judged", G_CALLBACK (judged_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "notify::model", G_CALLBACK (refresh_rows), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_pictures_session_get (session), "notify::model",
                           G_CALLBACK (refresh_rows), self, G_CONNECT_SWAPPED);
  rebuild (self);
}

static void
atl_models_page_dispose (GObject *object)
{
  AtlModelsPage *self = ATL_MODELS_PAGE (object);

  g_clear_pointer (&self->stack, gtk_widget_unparent);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_models_page_parent_class)->dispose (object);
}

static void
atl_models_page_finalize (GObject *object)
{
  AtlModelsPage *self = ATL_MODELS_PAGE (object);

  g_ptr_array_unref (self->rows);
  G_OBJECT_CLASS (atl_models_page_parent_class)->finalize (object);
}

static void
atl_models_page_class_init (AtlModelsPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_models_page_dispose;
  G_OBJECT_CLASS (klass)->finalize = atl_models_page_finalize;
  widget_class->map = map;
  g_type_ensure (ATL_TYPE_STARTER_BUTTON);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/models-page.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlModelsPage, name)
  BIND (stack);
  BIND (own_group);
  BIND (other_group);
  BIND (starter);
#undef BIND
}

static void
atl_models_page_init (AtlModelsPage *self)
{
  self->rows = g_ptr_array_new ();
  gtk_widget_init_template (GTK_WIDGET (self));
}
