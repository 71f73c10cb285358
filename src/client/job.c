/* From the model to the question, and once more. */
#define G_LOG_DOMAIN "atl-client"

#include "client/job.h"

#include <glib/gi18n.h>

static void ensured_cb (GObject *source, GAsyncResult *result, gpointer user_data);

/* For a callback, which lets go of the owner. */
static AtlJob *
hold (AtlJob *self)
{
  g_object_ref (self->request.owner);
  return self;
}

static void
failed (AtlJob *self, const GError *error)
{
  if (self->is_running)
    self->klass->failed (self->request.owner, error);
}

static void
loading_cb (double fraction, const char *phase, gpointer user_data)
{
  AtlJob *self = user_data;

  if (self->is_running && self->klass->loading != NULL)
    self->klass->loading (self->request.owner, fraction, phase);
}

void
atl_job_begin (AtlJob *self)
{
  atl_client_ensure_model_async (self->client, self->model, FALSE, loading_cb, self,
                                 self->cancellable, ensured_cb, hold (self));
}

/* The engine may unload an idle model while the question is on its way: once it is loaded again. */
static gboolean
ask_again (AtlJob *self, const GError *error)
{
  if (!g_error_matches (error, ATL_ERROR, ATL_ERROR_NOT_FOUND) || self->was_refused ||
      (self->klass->is_fresh != NULL && !self->klass->is_fresh (self->request.owner)))
    return FALSE;
  self->was_refused = TRUE;
  atl_client_remove_request (self->client, &self->request);
  if (self->model->id == self->asked_id)
    atl_client_set_model_loaded (self->client, self->model, 0, NULL);
  atl_job_begin (self);
  return TRUE;
}

static void
signal_cb (AtlRequest *request, const char *name, GVariant *params)
{
  AtlJob *self = (AtlJob *) request;
  g_autoptr (GObject) owner = g_object_ref (request->owner);
  g_autoptr (GError) error = NULL;
  const char *code, *message;
  guint id;

  if (!g_str_equal (name, "Failed"))
    {
      self->klass->take_signal (owner, name, params);
      return;
    }
  if (!g_variant_is_of_type (params, G_VARIANT_TYPE ("(uss)")))
    return;
  g_variant_get (params, "(u&s&s)", &id, &code, &message);
  error = g_dbus_error_new_for_dbus_error (
      code, *message != '\0' ? message : _ ("The engine gave no reason."));
  g_dbus_error_strip_remote_error (error);
  if (!ask_again (self, error))
    failed (self, error);
}

static void
gone_cb (AtlRequest *request, const char *sentence)
{
  g_autoptr (GError) error = g_error_new_literal (ATL_ERROR, ATL_ERROR_ENGINE_GONE, sentence);

  failed ((AtlJob *) request, error);
}

static void
ensured_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AtlJob *self = user_data;
  g_autoptr (GObject) owner = self->request.owner;
  g_autoptr (GError) error = NULL;

  if (atl_client_ensure_model_finish (self->client, result, &error) &&
      !g_cancellable_set_error_if_cancelled (self->cancellable, &error) &&
      self->client->process == NULL)
    error = g_error_new_literal (ATL_ERROR, ATL_ERROR_ENGINE_GONE, self->client->sentence);
  if (error != NULL)
    {
      failed (self, error);
      return;
    }
  self->request.model = self->model;
  atl_client_add_request (self->client, &self->request);
  self->asked_id = self->model->id;
  self->klass->ask (owner);
}

/* The engine accepted or refused; an engine that ended is told through gone_cb(). */
static void
accepted_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AtlJob *self = user_data;
  g_autoptr (GObject) owner = self->request.owner;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply =
      atl_engine_process_call_finish (ATL_ENGINE_PROCESS (source), result, &error);

  if (reply == NULL && !ask_again (self, error))
    failed (self, error);
}

void
atl_job_call (AtlJob *self, const char *method, GVariant *params, GUnixFDList *fds)
{
  atl_engine_process_call (self->client->process, method, params, "()", fds, accepted_cb,
                           hold (self));
}

gboolean
atl_job_is_asked (const AtlJob *self)
{
  return self->is_running && self->request.id != 0;
}

gboolean
atl_job_stop (AtlJob *self)
{
  if (!self->is_running || self->is_stopping)
    return FALSE;
  self->is_stopping = TRUE;
  g_cancellable_cancel (self->cancellable);
  if (self->request.id != 0)
    atl_client_cancel_request (self->client, &self->request);
  return TRUE;
}

gboolean
atl_job_end (AtlJob *self)
{
  if (!self->is_running)
    return FALSE;
  self->is_running = FALSE;
  atl_client_remove_request (self->client, &self->request);
  return TRUE;
}

void
atl_job_init (AtlJob *self, gpointer owner, const AtlJobClass *klass)
{
  self->klass = klass;
  self->cancellable = g_cancellable_new ();
  self->is_running = TRUE;
  self->request.owner = owner;
  self->request.signal = signal_cb;
  self->request.gone = gone_cb;
}

void
atl_job_set (AtlJob *self, AtlClient *client, AtlModel *model)
{
  self->client = g_object_ref (client);
  self->model = g_object_ref (model);
}

void
atl_job_clear (AtlJob *self)
{
  g_clear_object (&self->client);
  g_clear_object (&self->model);
  g_clear_object (&self->cancellable);
}
