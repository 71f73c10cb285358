/* Which page a model is opened on. */
#include "app/models/open-model.h"

#include "app/images/pictures-session.h"
#include "app/models/model-list.h"

typedef struct
{
  GtkWidget *widget; /* (nullable) weak */
  AtlSession *session;
  char *path;
} Opening;

static void
open_as (GtkWidget *widget, AtlSession *session, const char *path, gboolean is_picture)
{
  const char *paths[] = { path, NULL };

  if (is_picture)
    atl_pictures_session_load_model (atl_pictures_session_get (session), paths, TRUE);
  else
    atl_session_load_model (session, paths, TRUE);
  if (widget != NULL)
    gtk_widget_activate_action (widget, "win.show-page", "s", is_picture ? "images" : "chats");
}

static void
inspected_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Opening *opening = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModelInfo) info = atl_client_inspect_finish (ATL_CLIENT (source), result, &error);

  /* What is wrong with it, loading it tells. */
  open_as (opening->widget, opening->session, opening->path, info != NULL && info->is_picture);
  g_clear_weak_pointer (&opening->widget);
  g_object_unref (opening->session);
  g_free (opening->path);
  g_free (opening);
}

void
atl_open_model (GtkWidget *widget, AtlSession *session, const char *path)
{
  AtlModelEntry *entry = atl_model_list_find (atl_session_get_models (session), path);
  const char *paths[] = { path, NULL };
  Opening *opening;

  if (entry != NULL && entry->kind != ATL_MODEL_UNKNOWN)
    {
      open_as (widget, session, path, entry->kind == ATL_MODEL_PICTURES);
      return;
    }
  opening = g_new0 (Opening, 1);
  g_set_weak_pointer (&opening->widget, widget);
  opening->session = g_object_ref (session);
  opening->path = g_strdup (path);
  atl_client_inspect_async (atl_session_get_client (session), paths, NULL, NULL, inspected_cb,
                            opening);
}
