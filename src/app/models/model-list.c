/* Gathers models from the library folder, the store's memory and other apps' folders. */
#define G_LOG_DOMAIN "atl-app"

#include "app/models/model-list.h"

#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>

#include "app/models/model-inspector.h"
#include "hub/library.h"
#include "hub/model-folder.h"
#include "hub/starter.h"
#include "store/library.h"

struct _AtlModelList
{
  GObject parent_instance;

  AtlStore *store;
  AtlModelInspector *inspector;
  GPtrArray *entries; /* (element-type AtlModelEntry) */
  GPtrArray *files;   /* (nullable) (element-type AtlModelFile) of our folder */
  GPtrArray *apps;    /* (nullable) (element-type AtlOtherApp) */
  GCancellable *looking;
};

static GType
get_item_type (GListModel *list)
{
  return ATL_TYPE_MODEL_ENTRY;
}

static guint
get_n_items (GListModel *list)
{
  return ATL_MODEL_LIST (list)->entries->len;
}

static gpointer
get_item (GListModel *list, guint position)
{
  AtlModelList *self = ATL_MODEL_LIST (list);
  return position < self->entries->len ? g_object_ref (g_ptr_array_index (self->entries, position))
                                       : NULL;
}

static void
list_model_init (GListModelInterface *interface)
{
  interface->get_item_type = get_item_type;
  interface->get_n_items = get_n_items;
  interface->get_item = get_item;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (AtlModelList,
                               atl_model_list,
                               G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, list_model_init))

static guint refreshed_signal;
static guint judged_signal;

AtlModelEntry *
atl_model_list_find (AtlModelList *self, const char *path)
{
  for (guint i = 0; i < self->entries->len; i++)
    {
      AtlModelEntry *entry = g_ptr_array_index (self->entries, i);
      if (g_str_equal (entry->path, path))
        return entry;
    }
  return NULL;
}

char *
atl_model_list_get_name (AtlModelList *self, const char *path)
{
  AtlModelEntry *entry = atl_model_list_find (self, path);
  char *name, *dot;

  if (entry != NULL)
    return g_strdup (entry->name);
  name = g_path_get_basename (path);
  dot = strrchr (name, '.');
  if (dot != NULL && dot != name)
    *dot = '\0';
  return name;
}

static int
compare (gconstpointer a, gconstpointer b)
{
  const AtlModelEntry *x = *(AtlModelEntry *const *) a, *y = *(AtlModelEntry *const *) b;

  if (x->last_used_us != y->last_used_us)
    return x->last_used_us > y->last_used_us ? -1 : 1;
  return g_utf8_collate (x->name, y->name);
}

static AtlModelEntry *
add (GPtrArray *entries, const char *path, const char *name)
{
  const AtlStarter *starter = atl_starter_for_path (path);
  AtlModelEntry *entry = atl_model_entry_new (path, starter ? starter->title : name);

  entry->is_toy = starter != NULL && starter->toy;
  g_ptr_array_add (entries, entry);
  return entry;
}

static AtlModelEntry *
find_in (GPtrArray *entries, const char *path)
{
  for (guint i = 0; i < entries->len; i++)
    {
      AtlModelEntry *entry = g_ptr_array_index (entries, i);
      if (g_str_equal (entry->path, path))
        return entry;
    }
  return NULL;
}

static void
add_file (GPtrArray *entries, const AtlModelFile *file, gboolean in_library)
{
  AtlModelEntry *entry = find_in (entries, file->path);

  if (entry != NULL)
    return;
  entry = add (entries, file->path, file->name);
  entry->size_bytes = file->size_bytes;
  entry->changed_us = file->changed_us;
  entry->origin = g_strdup (file->origin);
  entry->in_library = in_library;
  entry->reference = file->reference;
  entry->kind =
      atl_model_folder_check_pictures (file->path) ? ATL_MODEL_PICTURES : ATL_MODEL_UNKNOWN;
  if (file->n_files < file->n_expected)
    entry->why_not = g_strdup_printf (_ ("%u of %u files are missing"),
                                      file->n_expected - file->n_files, file->n_expected);
}

static void
measure_folder (AtlModelEntry *entry)
{
  g_auto (GStrv) names = atl_model_folder_files (entry->path);

  for (guint i = 0; names[i] != NULL; i++)
    {
      g_autofree char *file = g_build_filename (entry->path, names[i], NULL);
      GStatBuf st;

      if (g_stat (file, &st) != 0)
        continue;
      entry->size_bytes += (guint64) st.st_size;
      entry->changed_us = MAX (entry->changed_us, atl_model_file_changed (&st));
    }
}

static AtlModelKind
kind_of (const AtlModelRow *row)
{
  return g_strcmp0 (row->kind, "image") == 0      ? ATL_MODEL_PICTURES
         : g_strcmp0 (row->kind, "llm") == 0      ? ATL_MODEL_CHAT
         : g_strcmp0 (row->kind, "upscaler") == 0 ? ATL_MODEL_UPSCALER
                                                  : ATL_MODEL_UNKNOWN;
}

/* Of a model that is in no folder we look through. */
static void
add_remembered (GPtrArray *entries, const AtlModelRow *row)
{
  AtlModelEntry *entry;
  GStatBuf st;

  /* A file that is gone is no model any more; its row waits for its return. */
  if (g_stat (row->path, &st) != 0)
    return;
  entry = add (entries, row->path, row->name);
  entry->size_bytes = row->size_bytes;
  entry->changed_us = atl_model_file_changed (&st);
  entry->last_used_us = row->last_used_us;
  entry->kind = kind_of (row);
}

/* The toy for pictures that comes with the program, which lies in none of these folders. */
static void
add_picture_starter (GPtrArray *entries)
{
  g_autofree char *path = atl_starter_pictures ();
  AtlModelEntry *entry;

  if (path == NULL || find_in (entries, path) != NULL)
    return;
  entry = add (entries, path, _ ("Doodle"));
  entry->kind = ATL_MODEL_PICTURES;
  entry->is_toy = TRUE;
  measure_folder (entry);
}

static void
rebuild (AtlModelList *self)
{
  g_autoptr (GPtrArray) rows = atl_store_model_list (self->store, NULL);
  GPtrArray *entries = g_ptr_array_new_with_free_func (g_object_unref);
  guint n_old = self->entries->len;

  for (guint i = 0; self->files != NULL && i < self->files->len; i++)
    add_file (entries, g_ptr_array_index (self->files, i), TRUE);
  for (guint i = 0; self->apps != NULL && i < self->apps->len; i++)
    {
      const AtlOtherApp *app = g_ptr_array_index (self->apps, i);
      for (guint k = 0; k < app->models->len; k++)
        add_file (entries, g_ptr_array_index (app->models, k), FALSE);
    }
  add_picture_starter (entries);
  for (guint i = 0; rows != NULL && i < rows->len; i++)
    {
      const AtlModelRow *row = g_ptr_array_index (rows, i);
      AtlModelEntry *entry = find_in (entries, row->path);
      if (entry == NULL)
        {
          add_remembered (entries, row);
          continue;
        }
      if (atl_starter_for_path (row->path) == NULL && !entry->is_toy)
        {
          g_free (entry->name);
          entry->name = g_strdup (row->name);
        }
      entry->last_used_us = row->last_used_us;
      entry->kind = kind_of (row);
    }
  for (guint i = 0; i < entries->len; i++)
    atl_model_inspector_fill (self->inspector, g_ptr_array_index (entries, i));
  g_ptr_array_sort (entries, compare);
  g_ptr_array_unref (self->entries);
  self->entries = entries;
  g_list_model_items_changed (G_LIST_MODEL (self), 0, n_old, entries->len);
}

static void
apps_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlModelList) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) apps = atl_other_apps_find_finish (result, &error);

  if (apps == NULL || self->store == NULL)
    return;
  g_clear_pointer (&self->apps, g_ptr_array_unref);
  self->apps = g_steal_pointer (&apps);
  rebuild (self);
  g_signal_emit (self, refreshed_signal, 0);
}

static void
files_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlModelList) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) files = atl_library_scan_finish (result, &error);

  if (self->store == NULL)
    return;
  if (files == NULL)
    {
      if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
      g_warning ("The folder of models could not be read: %s", error->message);
      files = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_model_file_free);
    }
  g_clear_pointer (&self->files, g_ptr_array_unref);
  self->files = g_steal_pointer (&files);
  rebuild (self);
  g_signal_emit (self, refreshed_signal, 0);
}

void
atl_model_list_refresh (AtlModelList *self)
{
  g_return_if_fail (ATL_IS_MODEL_LIST (self));

  g_cancellable_cancel (self->looking);
  g_object_unref (self->looking);
  self->looking = g_cancellable_new ();
  atl_library_scan_async (atl_library_dir (), self->looking, files_cb, g_object_ref (self));
  atl_other_apps_find_async (self->looking, apps_cb, g_object_ref (self));
}

static void
judged_cb (AtlModelList *self, const char *path)
{
  AtlModelEntry *entry = atl_model_list_find (self, path);

  if (entry == NULL)
    return;
  atl_model_inspector_fill (self->inspector, entry);
  g_signal_emit (self, judged_signal, 0, entry);
}

void
atl_model_list_inspect (AtlModelList *self, gboolean all)
{
  g_return_if_fail (ATL_IS_MODEL_LIST (self));

  atl_model_inspector_look (self->inspector, self->entries, all);
}

gboolean
atl_model_list_get_is_ready (AtlModelList *self)
{
  return self->files != NULL;
}

gboolean
atl_model_list_may_answer (AtlModelList *self, gboolean usable)
{
  GListModel *list = G_LIST_MODEL (self);

  for (guint i = 0; i < g_list_model_get_n_items (list); i++)
    {
      g_autoptr (AtlModelEntry) entry = g_list_model_get_item (list, i);

      if (atl_model_entry_may_answer (entry) && (!usable || entry->why_not == NULL))
        return TRUE;
    }
  return FALSE;
}

/* The store goes with the session; what is looked for just now holds the list for longer. */
static void
atl_model_list_dispose (GObject *object)
{
  AtlModelList *self = ATL_MODEL_LIST (object);

  self->store = NULL;
  g_cancellable_cancel (self->looking);
  g_object_run_dispose (G_OBJECT (self->inspector));
  G_OBJECT_CLASS (atl_model_list_parent_class)->dispose (object);
}

static void
atl_model_list_finalize (GObject *object)
{
  AtlModelList *self = ATL_MODEL_LIST (object);

  g_object_unref (self->looking);
  g_object_unref (self->inspector);
  g_ptr_array_unref (self->entries);
  g_clear_pointer (&self->files, g_ptr_array_unref);
  g_clear_pointer (&self->apps, g_ptr_array_unref);
  G_OBJECT_CLASS (atl_model_list_parent_class)->finalize (object);
}

static void
atl_model_list_class_init (AtlModelListClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = atl_model_list_dispose;
  G_OBJECT_CLASS (klass)->finalize = atl_model_list_finalize;
  refreshed_signal = g_signal_new ("refreshed", ATL_TYPE_MODEL_LIST, G_SIGNAL_RUN_LAST, 0, NULL,
                                   NULL, NULL, G_TYPE_NONE, 0);
  judged_signal = g_signal_new ("judged", ATL_TYPE_MODEL_LIST, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                NULL, G_TYPE_NONE, 1, ATL_TYPE_MODEL_ENTRY);
}

static void
atl_model_list_init (AtlModelList *self)
{
  self->entries = g_ptr_array_new_with_free_func (g_object_unref);
  self->looking = g_cancellable_new ();
}

AtlModelList *
atl_model_list_new (AtlStore *store, AtlClient *client)
{
  AtlModelList *self = g_object_new (ATL_TYPE_MODEL_LIST, NULL);

  self->store = store;
  self->inspector = atl_model_inspector_new (client);
  g_signal_connect_object (self->inspector, "judged", G_CALLBACK (judged_cb), self,
                           G_CONNECT_SWAPPED);
  rebuild (self);
  return self;
}
