/* Create: from a call to a run of the pipeline, and its pixels into the caller's file. */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>
#include <malloc.h>
#include <math.h>

#include "engine/service/handlers.h"
#include "engine/service/ledger.h"
#include "engine/service/picture-judge.h"
#include "engine/service/picture.h"
#include "engine/service/service-private.h"

#define ROOM_TRIES 3u

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

/* Frees what would be in the way of the way of running that was chosen. */
static gboolean
make_room (AtlJob *job, const AtlPictureFit *fit)
{
  AtlSlot *slot = job->slot;
  AtlBackend *gpu = fit->uses_gpu ? fit->backends[0] : NULL;
  guint64 held = 0;

  atl_diffusion_model_use (slot->pictures, fit->backends, fit->n_backends);
  if (gpu != NULL)
    {
      held = __atomic_load_n (&slot->vram_bytes, __ATOMIC_RELAXED);
      held = MIN (held, fit->needed_bytes);
    }
  /* Plans of other sizes go too where they are in the way. */
  if (fit->how.is_frugal ||
      (gpu != NULL && gpu->memory_free + MIN (held, fit->cost.weights) < fit->needed_bytes))
    {
      atl_diffusion_model_drop (slot->pictures);
      held = 0;
    }
  if (gpu != NULL)
    atl_ledger_make_vram (job->service, fit->needed_bytes - held, slot, TRUE);
  malloc_trim (0);
  return atl_ledger_make_room (job->service, fit->host_bytes, slot, NULL);
}

/* What it holds after a run that ended well or not. */
static void
note_memory (AtlSlot *slot, const AtlPictureFit *fit, gboolean is_there)
{
  guint64 ram = fit->uses_gpu ? fit->cost.host_resident : fit->cost.weights;
  guint64 vram = fit->uses_gpu ? fit->cost.resident : 0;

  __atomic_store_n (&slot->ram_bytes, is_there && !fit->how.is_frugal ? ram : 0, __ATOMIC_RELAXED);
  __atomic_store_n (&slot->vram_bytes, is_there && !fit->how.is_frugal ? vram : 0,
                    __ATOMIC_RELAXED);
  slot->uses_gpu = fit->uses_gpu;
  malloc_trim (0);
}

/* Judges until what was judged to fit has its room: others may take some of it meanwhile. FALSE
 * with an error, in words where it does not fit. */
static gboolean
find_room (AtlJob *job,
           const AtlPicturePlace *place,
           const AtlSettings *settings,
           GPtrArray *inputs,
           AtlPictureFit *fit,
           GError **error)
{
  for (guint i = 0; i < ROOM_TRIES; i++)
    {
      atl_picture_fit_clear (fit);
      if (!atl_picture_judge (job->service, place, settings, inputs, fit, error))
        return FALSE;
      if (!fit->fits)
        break;
      if (make_room (job, fit))
        return TRUE;
    }
  g_set_error_literal (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, fit->words);
  return FALSE;
}

/* Inside the turnstile. TRUE when it is worth trying again in another way or place. */
static gboolean
draw_once (
    AtlJob *job, AtlSettings *settings, GPtrArray *inputs, GPtrArray **outputs, GError **error)
{
  AtlSlot *slot = job->slot;
  const AtlRunHooks hooks = { .progress = atl_picture_progress_cb,
                              .step = atl_picture_step_cb,
                              .user_data = job,
                              .is_enough = &job->draw.is_enough };
  const AtlPicturePlace place = atl_picture_place (slot);
  g_auto (AtlPictureFit) fit = { 0 };
  g_autoptr (GError) local = NULL;
  gboolean is_lost;

  if (!find_room (job, &place, settings, inputs, &fit, error))
    return FALSE;
  job->draw.cost = fit.cost;
  g_free (job->draw.runs_on);
  job->draw.runs_on = g_strdup (fit.runs_on);
  if (fit.uses_gpu != slot->uses_gpu)
    slot->step_rate = slot->decode_rate = 0;
  atl_diffusion_model_set_how (slot->pictures, &fit.how);
  *outputs =
      atl_diffusion_model_run (slot->pictures, settings, inputs, &hooks, job->cancellable, &local);
  if (*outputs != NULL)
    atl_picture_note_end (job);
  is_lost = fit.uses_gpu && *outputs == NULL && !g_cancellable_is_cancelled (job->cancellable);
  if (fit.how.is_frugal || is_lost)
    atl_diffusion_model_drop (slot->pictures);
  note_memory (slot, &fit, !is_lost);
  if (*outputs != NULL)
    return FALSE;
  if (fit.uses_gpu && atl_devices_gave_up (job->service->devices, local))
    return TRUE;
  if (fit.uses_gpu && g_error_matches (local, ATL_ERROR, ATL_ERROR_NO_MEMORY))
    {
      /* Others have what seemed to be free. */
      __atomic_store_n (&slot->gpu_room, MAX (fit.needed_bytes / 4 * 3, 1), __ATOMIC_RELAXED);
      return TRUE;
    }
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* Inside the turnstile. A GPU that fails, or has less room than it seemed, is no reason to give up.
 */
static GPtrArray *
draw (AtlJob *job, AtlSettings *settings, GPtrArray *inputs, GError **error)
{
  GPtrArray *outputs = NULL;

  /* Each time either the GPU is out or what is asked of it is less by a quarter. */
  while (draw_once (job, settings, inputs, &outputs, error))
    {
      atl_picture_progress_cb (
          g_atomic_int_get (&job->service->devices->gpu_failed)
              ? _ ("The graphics card failed: drawing on the processor")
              : _ ("The graphics card has less room than it said: beginning anew"),
          0, 0, job);
      job->draw.n_steps_done = 0;
      job->draw.step_seconds = job->draw.decode_seconds = 0;
      job->draw.steps_ended_at = 0;
    }
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
  atl_settings_add_dict (settings, job->draw.settings);
  atl_picture_clean_words (settings);
  if (!atl_picture_use_loras (job, settings, error))
    return FALSE;
  atl_picture_set_defaults (settings, atl_diffusion_model_traits (job->slot->pictures));
  if (!atl_picture_check_method (settings, atl_diffusion_model_traits (job->slot->pictures),
                                 error) ||
      !atl_picture_choose_sampler (settings, atl_diffusion_model_traits (job->slot->pictures),
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
  if (rgb == NULL || !atl_picture_keep_rest (inputs, rgb, width, height, error) ||
      !atl_picture_write (job->draw.room, rgb, (gsize) (width * height * 3), error))
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
  job->draw.settings = g_variant_ref (settings);
  atl_picture_take_files (job, fds, files, &error);
  if (error == NULL && request == 0)
    g_set_error (&error, ATL_ERROR, ATL_ERROR_INVALID, _ ("request 0 cannot be told apart"));
  else if (error == NULL && (job->draw.room == 0 || (run != create_run && job->maps->len == 0)))
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
