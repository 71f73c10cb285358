/* What is in flight: numbered requests, stopping them, and ending them with the engine. */
#define G_LOG_DOMAIN "atl-client"

#include "client/client-private.h"

#include <glib/gi18n.h>

/* From asking a request to end until the engine is ended instead. */
#define STOP_PATIENCE_S 10u

guint
atl_client_add_timer (AtlClient *self, guint interval_ms, GSourceFunc func, gpointer data)
{
  g_autoptr (GSource) source = g_timeout_source_new (interval_ms);

  g_source_set_callback (source, func, data, NULL);
  return g_source_attach (source, self->context);
}

void
atl_client_remove_timer (AtlClient *self, guint *id)
{
  GSource *source = *id != 0 ? g_main_context_find_source_by_id (self->context, *id) : NULL;

  if (source != NULL)
    g_source_destroy (source);
  *id = 0;
}

void
atl_client_add_request (AtlClient *self, AtlRequest *request)
{
  do
    request->id = ++self->next_request;
  while (request->id == 0 ||
         g_hash_table_contains (self->requests, GUINT_TO_POINTER (request->id)));
  g_hash_table_insert (self->requests, GUINT_TO_POINTER (request->id), request);
  if (request->model != NULL)
    request->model->n_requests++;
}

void
atl_client_remove_request (AtlClient *self, AtlRequest *request)
{
  atl_client_remove_timer (self, &request->stop_timer);
  if (request->id != 0)
    {
      g_hash_table_remove (self->requests, GUINT_TO_POINTER (request->id));
      if (request->model != NULL)
        {
          request->model->n_requests--;
          request->model->used_us = g_get_monotonic_time ();
        }
    }
  request->id = 0;
}

typedef struct
{
  AtlClient *client;
  guint request;
} StopTimer;

static gboolean
stop_timer_cb (gpointer user_data)
{
  StopTimer *timer = user_data;
  AtlRequest *request =
      g_hash_table_lookup (timer->client->requests, GUINT_TO_POINTER (timer->request));

  if (request != NULL)
    {
      request->stop_timer = 0;
      if (timer->client->process != NULL)
        atl_engine_process_kill (timer->client->process,
                                 _ ("The engine did not stop when asked and was ended."));
    }
  return G_SOURCE_REMOVE;
}

void
atl_client_cancel_request (AtlClient *self, AtlRequest *request)
{
  g_autoptr (GSource) source = NULL;
  StopTimer *timer;

  if (self->process == NULL || request->id == 0 || request->stop_timer != 0)
    return;
  atl_engine_process_send (self->process, "Cancel", g_variant_new ("(u)", request->id));
  timer = g_new0 (StopTimer, 1);
  timer->client = self;
  timer->request = request->id;
  source = g_timeout_source_new_seconds (STOP_PATIENCE_S);
  g_source_set_callback (source, stop_timer_cb, timer, g_free);
  request->stop_timer = g_source_attach (source, self->context);
}

static int
compare_requests (gconstpointer a, gconstpointer b)
{
  guint x = (*(AtlRequest *const *) a)->id, y = (*(AtlRequest *const *) b)->id;

  return x < y ? -1 : x > y;
}

/* In the order they were made: the engine computes them in this order. */
static GPtrArray *
requests_in_order (AtlClient *self)
{
  GPtrArray *list = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer request;

  g_hash_table_iter_init (&iter, self->requests);
  while (g_hash_table_iter_next (&iter, NULL, &request))
    g_ptr_array_add (list, request);
  g_ptr_array_sort (list, compare_requests);
  return list;
}

AtlModel *
atl_client_model_at_work (AtlClient *self)
{
  g_autoptr (GPtrArray) list = requests_in_order (self);

  for (guint i = 0; i < list->len; i++)
    {
      AtlRequest *request = g_ptr_array_index (list, i);

      if (request->model != NULL)
        return request->model;
    }
  return NULL;
}

void
atl_client_end_requests (AtlClient *self, const char *sentence)
{
  g_autoptr (GPtrArray) list = requests_in_order (self);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (guint));

  /* A handler may end other requests: look each one up again. */
  for (guint i = 0; i < list->len; i++)
    g_array_append_val (ids, ((AtlRequest *) g_ptr_array_index (list, i))->id);
  for (guint i = 0; i < ids->len; i++)
    {
      AtlRequest *request =
          g_hash_table_lookup (self->requests, GUINT_TO_POINTER (g_array_index (ids, guint, i)));

      if (request == NULL)
        continue;
      atl_client_remove_timer (self, &request->stop_timer);
      if (request->gone != NULL)
        request->gone (request, sentence);
    }
}
