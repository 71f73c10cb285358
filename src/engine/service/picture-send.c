/* What is told while a picture is made: how far it is, how long it will take, what can be seen;
 * and resting between two steps. */
#define G_LOG_DOMAIN "atl-service"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

#include "base/write-all.h"
#include "engine/service/handlers.h"
#include "engine/service/picture.h"
#include "engine/service/service-private.h"
#include "protocol/protocol.h"

#define PREVIEW_INTERVAL_US (250 * 1000)
/* Of the time, previews take one part in so many. */
#define PREVIEW_SHARE 20
#define PREVIEW_BYTES ((guint64) ATL_MAX_PREVIEW_SIDE * ATL_MAX_PREVIEW_SIDE * 3)

/* The first step also loads weights: it counts for nothing, except where there is but one. */
static void
send_progress (AtlJob *job, const char *phase, guint step, guint n_steps)
{
  const AtlSlot *slot = job->slot;
  double left = -1;

  if (step > 1)
    job->draw.step_seconds =
        (double) (g_get_monotonic_time () - job->draw.step_ended_at) / G_USEC_PER_SEC / (step - 1);
  if (n_steps > 0 && job->draw.step_seconds > 0)
    left = job->draw.step_seconds * (n_steps - step);
  else if (n_steps > 0 && slot->step_rate > 0)
    left = slot->step_rate * job->draw.cost.step * (n_steps - step);
  /* What follows the steps, at the pace of the steps where it was not measured yet. */
  if (left >= 0 && slot->decode_rate > 0)
    left += slot->decode_rate * job->draw.cost.decode;
  else if (left >= 0 && n_steps > step && job->draw.cost.step > 0)
    left += left / (n_steps - step) * job->draw.cost.decode / job->draw.cost.step;
  atl_service_emit (
      job->service, "PictureProgress",
      g_variant_new ("(usuud)", job->request, phase != NULL ? phase : "", step, n_steps, left));
}

/* Others compute meanwhile. */
static void
rest (AtlJob *job, guint step, guint n_steps)
{
  AtlService *service = job->service;
  gint64 began = g_get_monotonic_time (), rested_us;

  atl_turnstile_leave (service->turnstile);
  atl_service_emit (service, "PictureProgress",
                    g_variant_new ("(usuud)", job->request, _ ("Paused"), step, n_steps, -1.0));
  g_mutex_lock (&service->pause_mutex);
  while (job->draw.is_paused && !g_cancellable_is_cancelled (job->cancellable))
    g_cond_wait (&service->pause_cond, &service->pause_mutex);
  g_mutex_unlock (&service->pause_mutex);
  atl_turnstile_enter (service->turnstile);
  rested_us = g_get_monotonic_time () - began;
  job->draw.step_ended_at += rested_us;
  job->draw.steps_ended_at += job->draw.steps_ended_at > 0 ? rested_us : 0;
  job->draw.rested_us += rested_us;
  if (step > 0)
    send_progress (job, job->draw.phase, step, n_steps);
}

static gboolean
is_paused (AtlJob *job)
{
  gboolean paused;

  g_mutex_lock (&job->service->pause_mutex);
  paused = job->draw.is_paused && !g_cancellable_is_cancelled (job->cancellable);
  g_mutex_unlock (&job->service->pause_mutex);
  return paused;
}

void
atl_picture_progress_cb (const char *phase, guint step, guint n_steps, gpointer user_data)
{
  AtlJob *job = user_data;

  atl_turnstile_yield (job->service->turnstile);
  if (is_paused (job))
    rest (job, step, n_steps);
  if (n_steps > 0 && step > 0)
    return;
  g_free (job->draw.phase);
  job->draw.phase = g_strdup (phase);
  send_progress (job, phase, 0, n_steps);
}

void
atl_picture_tile_done (AtlJob *job, const char *phase, guint done, guint total)
{
  double left = -1;

  if (done == 1)
    job->draw.step_ended_at = g_get_monotonic_time ();
  /* The first also loaded weights. */
  else if (done > 1)
    left = (double) (g_get_monotonic_time () - job->draw.step_ended_at) / G_USEC_PER_SEC /
           (done - 1) * (total - done);
  atl_service_emit (job->service, "PictureProgress",
                    g_variant_new ("(usuud)", job->request, phase, done, total, left));
  atl_turnstile_yield (job->service->turnstile);
  if (is_paused (job))
    rest (job, done, total);
}

gboolean
atl_picture_write (int fd, const guint8 *bytes, gsize size, GError **error)
{
  if (atl_write_all_at (fd, bytes, size, 0))
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_FULL, _ ("The picture cannot be handed over: %s"),
               g_strerror (errno));
  return FALSE;
}

static void
send_preview (AtlJob *job, const AtlArray *latent)
{
  gint64 now = g_get_monotonic_time ();
  guint64 offset = job->draw.n_previews % 2 * PREVIEW_BYTES;
  g_autofree guint8 *rgb = NULL;
  guint width, height;

  if (job->draw.preview == 0 || now < job->draw.next_preview_at ||
      !atl_diffusion_model_preview (job->slot->pictures, latent, ATL_MAX_PREVIEW_SIDE, &rgb, &width,
                                    &height))
    return;
  job->draw.next_preview_at =
      now + MAX (PREVIEW_INTERVAL_US, PREVIEW_SHARE * (g_get_monotonic_time () - now));
  job->draw.n_previews++;
  if (atl_write_all_at (job->draw.preview, rgb, (gsize) width * height * 3, (goffset) offset))
    atl_service_emit (job->service, "PicturePreview",
                      g_variant_new ("(uuut)", job->request, width, height, offset));
}

void
atl_picture_step_cb (const AtlArray *latent, guint step, guint n_steps, gpointer user_data)
{
  AtlJob *job = user_data;

  job->draw.n_steps_done = step;
  job->draw.n_steps = n_steps;
  if (step == 1)
    job->draw.step_ended_at = g_get_monotonic_time ();
  send_progress (job, job->draw.phase, step, n_steps);
  if (step == n_steps || g_atomic_int_get (&job->draw.is_enough) != 0)
    job->draw.steps_ended_at = g_get_monotonic_time ();
  else
    send_preview (job, latent);
}

void
atl_picture_note_end (AtlJob *job)
{
  AtlSlot *slot = job->slot;

  if (job->draw.steps_ended_at > 0)
    job->draw.decode_seconds =
        (double) (g_get_monotonic_time () - job->draw.steps_ended_at) / G_USEC_PER_SEC;
  if (job->draw.step_seconds > 0 && job->draw.cost.step > 0 && !atl_picture_left_out_steps (job))
    slot->step_rate = job->draw.step_seconds / job->draw.cost.step;
  if (job->draw.decode_seconds > 0 && job->draw.cost.decode > 0)
    slot->decode_rate = job->draw.decode_seconds / job->draw.cost.decode;
}

gboolean
atl_handle_enough (AtlIpcEngine1 *skeleton,
                   GDBusMethodInvocation *invocation,
                   guint request,
                   AtlService *self)
{
  AtlJob *job = g_hash_table_lookup (self->requests, GUINT_TO_POINTER (request));

  if (request != 0 && job != NULL)
    {
      g_mutex_lock (&self->pause_mutex);
      g_atomic_int_set (&job->draw.is_enough, 1);
      job->draw.is_paused = FALSE;
      g_cond_broadcast (&self->pause_cond);
      g_mutex_unlock (&self->pause_mutex);
    }
  atl_ipc_engine1_complete_enough (skeleton, invocation);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

gboolean
atl_handle_pause (AtlIpcEngine1 *skeleton,
                  GDBusMethodInvocation *invocation,
                  guint request,
                  gboolean is_paused,
                  AtlService *self)
{
  AtlJob *job = g_hash_table_lookup (self->requests, GUINT_TO_POINTER (request));

  if (request != 0 && job != NULL)
    {
      g_mutex_lock (&self->pause_mutex);
      job->draw.is_paused = is_paused;
      g_cond_broadcast (&self->pause_cond);
      g_mutex_unlock (&self->pause_mutex);
    }
  atl_ipc_engine1_complete_pause (skeleton, invocation);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}
