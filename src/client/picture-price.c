/* Asking the engine for a picture's work and memory, and from that its time. */
#define G_LOG_DOMAIN "atl-client"

#include "client/picture-price.h"

#include "client/client-private.h"
#include "client/picture-rates.h"

void
atl_picture_price_free (AtlPicturePrice *self)
{
  if (self == NULL)
    return;
  g_free (self->words);
  g_free (self);
}

typedef struct
{
  AtlModel *model;
  AtlPictureRequest *request;
} Pricing;

static void
pricing_free (gpointer data)
{
  Pricing *self = data;

  g_object_unref (self->model);
  atl_picture_request_unref (self->request);
  g_free (self);
}

static void
priced_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  AtlClient *client = g_task_get_source_object (task);
  Pricing *self = g_task_get_task_data (task);
  g_autoptr (GVariant) dict = NULL;
  g_autoptr (GVariant) work = NULL;
  g_autofree char *place = NULL;
  AtlPicturePrice *price;
  GError *error = NULL;
  g_autoptr (GVariant) reply =
      atl_engine_process_call_finish (ATL_ENGINE_PROCESS (source), result, &error);

  if (reply == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  dict = g_variant_get_child_value (reply, 0);
  work = atl_dict_lookup (dict, ATL_MADE_WORK, "a{sv}");
  place = atl_dict_string (dict, ATL_INFO_RUNS_ON, "");
  price = g_new0 (AtlPicturePrice, 1);
  price->width = atl_dict_uint (dict, ATL_MADE_WIDTH, 0);
  price->height = atl_dict_uint (dict, ATL_MADE_HEIGHT, 0);
  price->steps = atl_dict_uint (dict, ATL_MADE_STEPS, 0);
  price->bytes = atl_dict_uint64 (dict, ATL_INFO_NEEDED_BYTES, 0);
  price->free_bytes = atl_dict_uint64 (dict, ATL_INFO_FREE_BYTES, 0);
  price->fits = atl_dict_bool (dict, ATL_INFO_FITS, FALSE);
  price->is_frugal = atl_dict_bool (dict, ATL_PRICE_IS_FRUGAL, FALSE);
  price->fit_width = atl_dict_uint (dict, ATL_PRICE_FIT_WIDTH, 0);
  price->fit_height = atl_dict_uint (dict, ATL_PRICE_FIT_HEIGHT, 0);
  price->words = atl_dict_string (dict, ATL_INFO_FIT_WORDS, "");
  price->seconds = atl_picture_rates_seconds (client->rates, atl_model_get_key (self->model), place,
                                              work, &price->is_own);
  g_task_return_pointer (task, price, (GDestroyNotify) atl_picture_price_free);
}

static void
ensured_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AtlClient *client = ATL_CLIENT (source);
  g_autoptr (GTask) task = user_data;
  Pricing *self = g_task_get_task_data (task);
  GError *error = NULL;

  if (!atl_client_ensure_model_finish (client, result, &error))
    g_task_return_error (task, error);
  else if (client->process == NULL)
    g_task_return_new_error (task, ATL_ERROR, ATL_ERROR_ENGINE_GONE, "%s", client->sentence);
  else
    atl_engine_process_call (
        client->process, "PricePicture",
        g_variant_new ("(u@a{sv})", self->model->id,
                       atl_picture_request_make_settings (self->request, client->picture_sizes)),
        "(a{sv})", NULL, priced_cb, g_object_ref (task));
}

void
atl_client_price_picture_async (AtlClient *self,
                                AtlModel *model,
                                AtlPictureRequest *request,
                                GCancellable *cancellable,
                                GAsyncReadyCallback callback,
                                gpointer user_data)
{
  Pricing *pricing;
  GTask *task;

  g_return_if_fail (ATL_IS_CLIENT (self) && ATL_IS_MODEL (model) && request != NULL);
  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, atl_client_price_picture_async);
  pricing = g_new0 (Pricing, 1);
  pricing->model = g_object_ref (model);
  pricing->request = atl_picture_request_ref (request);
  g_task_set_task_data (task, pricing, pricing_free);
  atl_client_ensure_model_async (self, model, FALSE, NULL, NULL, cancellable, ensured_cb, task);
}

AtlPicturePrice *
atl_client_price_picture_finish (AtlClient *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

void
atl_client_set_rates_file (AtlClient *self, const char *path)
{
  g_return_if_fail (ATL_IS_CLIENT (self));
  atl_picture_rates_set_file (self->rates, path);
}

char *
atl_client_rates_path (void)
{
  return g_build_filename (g_get_user_state_dir (), "atelier", "picture-rates", NULL);
}

double
atl_client_price_larger (AtlClient *self, const char *upscaler, guint width, guint height)
{
  g_return_val_if_fail (ATL_IS_CLIENT (self) && upscaler != NULL, -1);
  return atl_picture_rates_larger_seconds (self->rates, upscaler, (guint64) width * height);
}
