/* Taking pictures out of the gallery, with an undo that brings rows and files back. */
#define G_LOG_DOMAIN "atl-app"

#include <glib/gi18n.h>
#include <string.h>

#include "app/gallery/gallery-private.h"
#include "app/images/pictures-session.h"
#include "app/window/undo.h"
#include "hub/desktop-trash.h"
#include "store/trash.h"

typedef struct
{
  gint64 id;
  AtlGalleryItem *item;
  char *path;
  char *trashed; /* (nullable) its name in the desktop's trash; NULL when the file stayed */
} Gone;

typedef struct
{
  AtlGallery *self;
  GPtrArray *gone; /* of Gone */
} Deleted;

static void
gone_free (gpointer data)
{
  Gone *gone = data;

  g_object_unref (gone->item);
  g_free (gone->path);
  g_free (gone->trashed);
  g_free (gone);
}

static void
deleted_free (gpointer data)
{
  Deleted *deleted = data;

  g_ptr_array_unref (deleted->gone);
  g_object_unref (deleted->self);
  g_free (deleted);
}

/* Whether another picture was made under its name since. */
static gboolean
lost_name (AtlStore *store, const Gone *gone)
{
  g_autoptr (AtlPictureRow) row = atl_store_picture_get (store, gone->id, NULL);

  return row != NULL && g_strcmp0 (row->path, gone->path) != 0;
}

/* Beside the one that has its name now: "fox-2.png". */
static gboolean
restore_beside (AtlStore *store, const Gone *gone, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (gone->path);
  g_autofree char *name = g_path_get_basename (gone->path);
  char *dot = strrchr (name, '.');
  g_autofree char *ending = g_strdup (dot != NULL ? dot : "");
  g_autofree char *path = NULL;

  if (dot != NULL)
    *dot = '\0';
  for (guint i = 2; path == NULL || g_file_test (path, G_FILE_TEST_EXISTS); i++)
    {
      g_free (path);
      path = g_strdup_printf ("%s/%s-%u%s", folder, name, i, ending);
    }
  return atl_desktop_untrash (path, gone->trashed, error) &&
         atl_store_picture_move (store, gone->id, path, error);
}

/* FALSE when one of them did not come back; the others did. */
static gboolean
restore_files (Deleted *deleted, GError **error)
{
  AtlStore *store = atl_session_get_store (deleted->self->session);
  gboolean ok = TRUE;

  for (guint i = 0; i < deleted->gone->len; i++)
    {
      const Gone *gone = deleted->gone->pdata[i];

      if (gone->trashed != NULL && lost_name (store, gone))
        ok = restore_beside (store, gone, ok ? error : NULL) && ok;
      /* A person may have brought it back in the file manager. */
      else if (gone->trashed != NULL && !g_file_test (gone->path, G_FILE_TEST_EXISTS))
        ok = atl_desktop_untrash (gone->path, gone->trashed, ok ? error : NULL) && ok;
    }
  return ok;
}

static gboolean
undo_cb (gpointer data, GError **error)
{
  Deleted *deleted = data;
  AtlStore *store = atl_session_get_store (deleted->self->session);
  gboolean ok = restore_files (deleted, error), rows_ok = TRUE;
  g_autoptr (GError) local = NULL;

  rows_ok = atl_store_begin (store, &local);
  if (rows_ok)
    {
      for (guint i = 0; i < deleted->gone->len; i++)
        {
          const Gone *gone = deleted->gone->pdata[i];

          rows_ok =
              atl_store_restore (store, ATL_TRASH_PICTURE, gone->id, rows_ok ? &local : NULL) &&
              rows_ok;
        }
      /* One that is no longer there does not keep the others away. */
      if (!atl_store_end (store, TRUE, rows_ok ? &local : NULL))
        rows_ok = FALSE;
    }
  if (local != NULL && ok)
    g_propagate_error (error, g_steal_pointer (&local));
  atl_gallery_reload (deleted->self);
  return ok && rows_ok;
}

gboolean
atl_gallery_is_ours (const char *path)
{
  g_autofree char *folder = atl_pictures_dir ();
  gsize n = strlen (folder);

  return strncmp (path, folder, n) == 0 && path[n] == '/';
}

/* The rows of all go to the trash together; `deleted` has them afterwards. */
static gboolean
trash_rows (AtlGallery *self, GPtrArray *items, Deleted *deleted, GError **error)
{
  AtlStore *store = atl_session_get_store (self->session);
  gboolean ok = atl_store_begin (store, error);

  if (!ok)
    return FALSE;
  for (guint i = 0; i < items->len && ok; i++)
    {
      g_autofree char *path = atl_gallery_dup_path (self, items->pdata[i]);
      gint64 id = atl_gallery_item_get_id (items->pdata[i]);
      Gone *gone;

      ok = atl_store_trash (store, ATL_TRASH_PICTURE, id, error);
      if (!ok)
        break;
      gone = g_new0 (Gone, 1);
      gone->id = id;
      gone->item = g_object_ref (items->pdata[i]);
      gone->path = g_steal_pointer (&path);
      g_ptr_array_add (deleted->gone, gone);
    }
  return atl_store_end (store, ok, ok ? error : NULL);
}

/* Files that cannot go to the trash keep their rows. */
static void
trash_files (AtlGallery *self, Deleted *deleted, GError **error)
{
  AtlStore *store = atl_session_get_store (self->session);
  gboolean told = FALSE;

  for (guint i = 0; i < deleted->gone->len;)
    {
      Gone *gone = deleted->gone->pdata[i];

      if (gone->path != NULL && atl_gallery_is_ours (gone->path) &&
          g_file_test (gone->path, G_FILE_TEST_EXISTS) &&
          !atl_desktop_trash (gone->path, &gone->trashed, told ? NULL : error))
        {
          told = TRUE;
          atl_store_restore (store, ATL_TRASH_PICTURE, gone->id, NULL);
          g_ptr_array_remove_index (deleted->gone, i);
        }
      else
        i++;
    }
}

static void
take_out (AtlGallery *self, Deleted *deleted)
{
  g_autoptr (GHashTable) gone = g_hash_table_new (NULL, NULL);
  guint at;

  if (deleted->gone->len == 1)
    {
      if (g_list_store_find (self->pictures, ((Gone *) deleted->gone->pdata[0])->item, &at))
        g_list_store_remove (self->pictures, at);
      return;
    }
  for (guint i = 0; i < deleted->gone->len; i++)
    g_hash_table_add (gone, ((Gone *) deleted->gone->pdata[i])->item);
  /* What follows one another goes at once: a list of thousands is not looked at for each. */
  for (guint end = g_list_model_get_n_items (G_LIST_MODEL (self->pictures)); end > 0;)
    {
      guint first = end;

      while (first > 0)
        {
          g_autoptr (AtlGalleryItem) item =
              g_list_model_get_item (G_LIST_MODEL (self->pictures), first - 1);

          if (!g_hash_table_contains (gone, item))
            break;
          first--;
        }
      if (first < end)
        g_list_store_splice (self->pictures, first, end - first, NULL, 0);
      end = first < end ? first : end - 1;
    }
}

static char *
sentence_for (const Deleted *deleted)
{
  guint n = deleted->gone->len, n_files = 0;

  for (guint i = 0; i < n; i++)
    n_files += ((const Gone *) deleted->gone->pdata[i])->trashed != NULL;
  if (n_files > 0)
    return g_strdup_printf (
        g_dngettext (GETTEXT_PACKAGE, "Picture deleted", "%u pictures deleted", n), n);
  return g_strdup (g_dngettext (GETTEXT_PACKAGE,
                                "Taken out of the gallery; the file stays where it is",
                                "Taken out of the gallery; the files stay where they are", n));
}

/* The rows first: killed between, they are out of the gallery and their files where they were, and
 * undo works still. */
static void
delete_all (AtlGallery *self, GtkWidget *widget, GPtrArray *items, gboolean keep_files)
{
  Deleted *deleted = g_new0 (Deleted, 1);
  g_autoptr (GError) error = NULL;
  g_autofree char *words = NULL;

  deleted->self = g_object_ref (self);
  deleted->gone = g_ptr_array_new_with_free_func (gone_free);
  if (trash_rows (self, items, deleted, &error))
    {
      if (!keep_files)
        trash_files (self, deleted, &error);
    }
  else
    g_ptr_array_set_size (deleted->gone, 0);
  if (error != NULL)
    atl_session_emit_notice (self->session, error->message);
  if (deleted->gone->len == 0)
    {
      deleted_free (deleted);
      return;
    }
  take_out (self, deleted);
  words = sentence_for (deleted);
  atl_undo_offer (widget, words, undo_cb, deleted, deleted_free);
  atl_gallery_emit_changed (self);
}

void
atl_gallery_trash (AtlGallery *self, GtkWidget *widget, GPtrArray *items)
{
  delete_all (self, widget, items, FALSE);
}

void
atl_gallery_forget (AtlGallery *self, GtkWidget *widget, AtlGalleryItem *item)
{
  g_autoptr (GPtrArray) items = g_ptr_array_new ();

  g_ptr_array_add (items, item);
  delete_all (self, widget, items, TRUE);
}
