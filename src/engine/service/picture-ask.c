/* Create: from a call to a run of the pipeline, and its pixels into the caller's file. */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>
#include <malloc.h>
#include <math.h>

#include "engine/service/service-private.h"

/* --- On the worker that draws --- */

/* [1, 3, H, W], or the first frame of [F, 3, H, W], in 0…1 to bytes. */
static guint8 *
to_bytes (const AtlArray *array, gint64 *width, gint64 *height, GError **error)
{
  gint64 h = array->dim[2], w = array->dim[3], n = h * w;
  const float *x = atl_array_f32 (array);
  g_autofree guint8 *rgb = g_try_malloc ((gsize) n * 3);
  gboolean is_black = TRUE;

  if (rgb == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "%s",
                   _ ("There is no memory left for the finished picture"));
      return NULL;
    }
  for (gint64 i = 0; i < n; i++)
    for (guint c = 0; c < 3; c++)
      {
        float value = x[c * n + i];

        if (!isfinite (value))
          {
            g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                         _ ("The autoencoder's numbers overflowed, so there is no picture. Another "
                            "copy of the VAE may help"));
            return NULL;
          }
        rgb[i * 3 + c] = (guint8) (CLAMP (value, 0.0f, 1.0f) * 255.0f + 0.5f);
        is_black = is_black && rgb[i * 3 + c] == 0;
      }
  if (is_black)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                   _ ("The picture came out all black, which means that the model's numbers "
                      "overflowed. Another size or another copy of the model may help"));
      return NULL;
    }
  *width = w;
  *height = h;
  return g_steal_pointer (&rgb);
}

/* Inside the turnstile. */
static GPtrArray *
draw (AtlJob *job, AtlSettings *settings, GPtrArray *inputs, GError **error)
{
  AtlSlot *slot = job->slot;
  const AtlRunHooks hooks = { .progress = atl_picture_progress_cb,
                              .step = atl_picture_step_cb,
                              .user_data = job,
                              .is_enough = &job->is_enough };
  g_auto (AtlPictureFit) fit = { 0 };
  GPtrArray *outputs;

  if (!atl_picture_judge (job->service, slot->pictures, slot->cpu, settings, inputs,
                          slot->ram_bytes, &fit, error))
    return NULL;
  job->cost = fit.cost;
  if (fit.fits && fit.how.is_frugal)
    {
      atl_diffusion_model_drop (slot->pictures);
      malloc_trim (0);
    }
  if (!fit.fits || !atl_ledger_make_room (job->service, fit.needed_bytes, slot, NULL))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, _ ("Not enough memory. %s"), fit.words);
      return NULL;
    }
  atl_diffusion_model_set_how (slot->pictures, &fit.how);
  outputs =
      atl_diffusion_model_run (slot->pictures, settings, inputs, &hooks, job->cancellable, error);
  if (outputs != NULL)
    atl_picture_note_end (job);
  if (fit.how.is_frugal)
    atl_diffusion_model_drop (slot->pictures);
  __atomic_store_n (&slot->ram_bytes, fit.how.is_frugal ? 0 : fit.cost.weights, __ATOMIC_RELAXED);
  malloc_trim (0);
  return outputs;
}

/* With the slot's lock. */
static gboolean
create (AtlJob *job, GError **error)
{
  g_autoptr (AtlSettings) settings = atl_settings_new ();
  g_autoptr (GPtrArray) inputs = atl_arrays_new ();
  g_autoptr (GPtrArray) outputs = NULL;
  g_autofree guint8 *rgb = NULL;
  const AtlArray *picture;
  gint64 width, height;

  if (job->slot->pictures == NULL)
    {
      if (atl_slot_has_model (job->slot))
        g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                     job->slot->model != NULL ? _ ("%s chats and makes no pictures")
                                              : _ ("%s enlarges pictures and makes none"),
                     atl_slot_name (job->slot));
      else
        g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ (ATL_NOT_LOADED_WORDS));
      return FALSE;
    }
  atl_settings_add_dict (settings, job->settings);
  if (!atl_picture_use_loras (job, settings, error))
    return FALSE;
  atl_picture_set_defaults (settings, atl_diffusion_model_traits (job->slot->pictures));
  if (!atl_picture_choose_sampler (settings, atl_diffusion_model_traits (job->slot->pictures),
                                   error) ||
      !atl_picture_take_inputs (job, settings, inputs, error))
    return FALSE;
  atl_turnstile_enter (job->service->turnstile);
  outputs = draw (job, settings, inputs, error);
  atl_turnstile_leave (job->service->turnstile);
  if (outputs == NULL)
    return FALSE;
  picture = atl_arrays_find (outputs, "image");
  if (picture == NULL)
    picture = atl_arrays_find (outputs, "video");
  g_assert (picture != NULL && picture->n_dims == 4);
  rgb = to_bytes (picture, &width, &height, error);
  if (rgb == NULL || !atl_picture_write (job->room, rgb, (gsize) (width * height * 3), error))
    return FALSE;
  job->stats =
      g_variant_ref_sink (g_variant_new ("(uuu@a{sv})", job->request, (guint) width, (guint) height,
                                         atl_picture_make_facts (job, settings)));
  return TRUE;
}

static gboolean
create_run (AtlJob *job, GError **error)
{
  gboolean ok;

  g_rw_lock_reader_lock (&job->slot->lock);
  ok = create (job, error);
  g_rw_lock_reader_unlock (&job->slot->lock);
  __atomic_store_n (&job->slot->used_at, g_get_monotonic_time (), __ATOMIC_RELAXED);
  return ok;
}

/* --- On the main thread --- */

static void
create_done (AtlJob *job, const GError *error)
{
  if (job->invocation != NULL)
    g_dbus_method_invocation_return_gerror (g_steal_pointer (&job->invocation), error);
  else if (error != NULL)
    {
      g_autofree char *name = g_dbus_error_encode_gerror (error);

      atl_service_emit (job->service, "Failed",
                        g_variant_new ("(uss)", job->request, name, error->message));
    }
  else
    atl_service_emit (job->service, "PictureDone", job->stats);
}

gboolean
atl_picture_begin (AtlService *self,
                   GDBusMethodInvocation *invocation,
                   GUnixFDList *fds,
                   guint request,
                   guint model,
                   GVariant *settings,
                   GVariant *files,
                   gboolean (*run) (AtlJob *, GError **))
{
  AtlJob *job = atl_job_new (self, request, FALSE, invocation);
  GError *error = NULL;

  if (job == NULL)
    return G_DBUS_METHOD_INVOCATION_HANDLED;
  job->run = run;
  job->done = create_done;
  job->settings = g_variant_ref (settings);
  atl_picture_take_files (job, fds, files, &error);
  if (error == NULL && request == 0)
    g_set_error (&error, ATL_ERROR, ATL_ERROR_INVALID, _ ("request 0 cannot be told apart"));
  else if (error == NULL && (job->room == 0 || (run != create_run && job->maps->len == 0)))
    g_set_error (&error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                 _ ("there is no file for the picture"));
  else if (error == NULL)
    atl_job_set_slot (job, model, &error);
  if (error != NULL)
    {
      atl_job_refuse (job, error);
      return G_DBUS_METHOD_INVOCATION_HANDLED;
    }
  g_dbus_method_invocation_return_value (g_steal_pointer (&job->invocation), NULL);
  atl_job_start (job, self->drawing);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

gboolean
atl_handle_create (AtlIpcEngine1 *skeleton,
                   GDBusMethodInvocation *invocation,
                   GUnixFDList *fds,
                   guint request,
                   guint model,
                   GVariant *settings,
                   GVariant *files,
                   AtlService *self)
{
  return atl_picture_begin (self, invocation, fds, request, model, settings, files, create_run);
}
