/* Which page a model is opened on. */
#include "app/models/open-model.h"

#include <glib/gi18n.h>

#include "app/images/pictures-session.h"
#include "app/models/model-list.h"
#include "store/library.h"

typedef struct
{
  GtkWidget *widget; /* (nullable) weak */
  AtlSession *session;
  char *path;
  void (*opened) (gpointer data); /* (nullable) */
  gpointer data;
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

/* It is asked for when there is a picture to enlarge. */
static void
choose_upscaler (GtkWidget *widget, AtlSession *session, const char *path)
{
  g_autofree char *name = atl_model_list_get_name (atl_session_get_models (session), path);
  g_autofree char *words = g_strdup_printf (
      _ ("“%s” enlarges pictures from now on: choose Enlarge in the menu of one."), name);

  atl_pictures_session_set_upscaler (atl_pictures_session_get (session), path);
  atl_session_emit_notice (session, words);
  if (widget != NULL)
    gtk_widget_activate_action (widget, "win.show-page", "s", "images");
}

/* So that it is still offered when the next one is chosen. */
static void
remember_upscaler (AtlSession *session, const char *path, const AtlModelInfo *info)
{
  g_autoptr (GError) error = NULL;
  AtlModelRow row = { .path = (char *) path,
                      .name = info->name,
                      .kind = (char *) "upscaler",
                      .architecture = info->architecture,
                      .size_bytes = info->size_bytes };

  if (atl_store_model_save (atl_session_get_store (session), &row, &error) == 0)
    g_warning ("The library could not be updated: %s", error->message);
  atl_session_emit_models_changed (session);
}

static void
inspected_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Opening *opening = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModelInfo) info = atl_client_inspect_finish (ATL_CLIENT (source), result, &error);

  /* What is wrong with it, loading it tells. */
  if (info != NULL && info->is_upscaler)
    {
      remember_upscaler (opening->session, opening->path, info);
      choose_upscaler (opening->widget, opening->session, opening->path);
    }
  else
    open_as (opening->widget, opening->session, opening->path, info != NULL && info->is_picture);
  if (opening->opened != NULL)
    opening->opened (opening->data);
  g_clear_weak_pointer (&opening->widget);
  g_object_unref (opening->session);
  g_free (opening->path);
  g_free (opening);
}

/* FALSE: the list does not know what it is. */
static gboolean
open_known (GtkWidget *widget, AtlSession *session, const char *path)
{
  AtlModelEntry *entry = atl_model_list_find (atl_session_get_models (session), path);

  if (entry == NULL || entry->kind == ATL_MODEL_UNKNOWN)
    return FALSE;
  if (entry->kind == ATL_MODEL_UPSCALER)
    choose_upscaler (widget, session, path);
  else
    open_as (widget, session, path, entry->kind == ATL_MODEL_PICTURES);
  return TRUE;
}

void
atl_open_model_then (GtkWidget *widget,
                     AtlSession *session,
                     const char *path,
                     void (*opened) (gpointer data),
                     gpointer data)
{
  const char *paths[] = { path, NULL };
  Opening *opening;

  if (open_known (widget, session, path))
    {
      if (opened != NULL)
        opened (data);
      return;
    }
  opening = g_new0 (Opening, 1);
  g_set_weak_pointer (&opening->widget, widget);
  opening->session = g_object_ref (session);
  opening->path = g_strdup (path);
  opening->opened = opened;
  opening->data = data;
  atl_client_inspect_async (atl_session_get_client (session), paths, NULL, NULL, inspected_cb,
                            opening);
}

void
atl_open_model (GtkWidget *widget, AtlSession *session, const char *path)
{
  atl_open_model_then (widget, session, path, NULL, NULL);
}
