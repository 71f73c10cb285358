/* Prompts as the conditions of Stable Diffusion's UNets; sd.c says what is taken from where. */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/diffusion/sd-private.h"

void
atl_sd_clear (AtlSd *self)
{
  g_clear_pointer (&self->context, atl_array_free);
  g_clear_pointer (&self->pooled, atl_array_free);
  g_clear_pointer (&self->ids, atl_array_free);
  g_clear_pointer (&self->clean, atl_array_free);
  g_clear_pointer (&self->noise, atl_array_free);
  g_clear_pointer (&self->mask, atl_array_free);
  g_clear_pointer (&self->masked, atl_array_free);
}

static void
zero (AtlArray *array)
{
  if (array != NULL)
    memset (array->data, 0, atl_array_size (array));
}

static gboolean
encode_sd (AtlRun *run, AtlSd *self, GError **error)
{
  int skip = (int) CLAMP (atl_settings_number (run->settings, "clip_skip", 0), 0, 10);
  AtlClipEncoder encoder = { "text_encoder", "tokenizer", -1 - skip, TRUE };
  g_auto (AtlClipText) negative = { 0 };
  g_auto (AtlClipText) positive = { 0 };
  const char *unwanted = atl_settings_string (run->settings, "negative_prompt", "");

  if (!atl_clip_encode_pair (run, &encoder, self->is_guided ? unwanted : NULL,
                             atl_settings_string (run->settings, "prompt", ""), &negative,
                             &positive, error))
    return FALSE;
  self->context = atl_array_batch ("context", negative.hidden, positive.hidden);
  atl_parts_release (run->parts, encoder.encoder);
  return TRUE;
}

/* Height and width, or what the caller says, into ids. */
static void
put_pair (AtlRun *run, const char *name, double first, double second, float *ids)
{
  guint n;
  g_autofree double *given = atl_settings_numbers (run->settings, name, &n);

  ids[0] = (float) (n == 2 ? given[0] : first);
  ids[1] = (float) (n == 2 ? given[1] : second);
}

static void
make_time_ids (AtlRun *run, AtlSd *self, gboolean is_refiner)
{
  gint64 n = is_refiner ? 5 : 6, rows = self->is_guided ? 2 : 1;
  double H = (double) (self->latent.height * self->latent.factor);
  double W = (double) (self->latent.width * self->latent.factor);

  self->ids = atl_array_new ("time_ids", ATL_DTYPE_F32, 2, (gint64[]){ rows, n });
  for (gint64 b = 0; b < rows; b++)
    {
      float *ids = atl_array_f32 (self->ids) + b * n;
      gboolean is_negative = self->is_guided && b == 0;

      put_pair (run, "original_size", H, W, ids);
      put_pair (run, "crops_coords_top_left", 0, 0, ids + 2);
      if (is_refiner)
        ids[4] = (float) (is_negative
                              ? atl_settings_number (run->settings, "negative_aesthetic_score", 2.5)
                              : atl_settings_number (run->settings, "aesthetic_score", 6));
      else
        put_pair (run, "target_size", H, W, ids + 4);
    }
}

static gboolean
encode_sdxl (AtlRun *run, AtlSd *self, GError **error)
{
  int skip = (int) CLAMP (atl_settings_number (run->settings, "clip_skip", 0), 0, 10);
  AtlClipEncoder encoders[2] = { { "text_encoder", "tokenizer", -2 - skip, FALSE },
                                 { "text_encoder_2", "tokenizer_2", -2 - skip, FALSE } };
  guint first = atl_bundle_has (run->bundle, encoders[0].encoder) ? 0 : 1;
  gboolean zeros = atl_json_bool (atl_bundle_json (run->bundle, NULL, "model_index.json"),
                                  "force_zeros_for_empty_prompt", TRUE) &&
                   !atl_settings_has (run->settings, "negative_prompt");
  const char *wanted = atl_settings_string (run->settings, "prompt", "");
  const char *unwanted = atl_settings_string (run->settings, "negative_prompt", "");
  g_autoptr (AtlArray) good = NULL;
  g_autoptr (AtlArray) bad = NULL;
  g_auto (AtlClipText) negative = { 0 };
  g_auto (AtlClipText) positive = { 0 };

  for (guint i = first; i < 2; i++)
    {
      g_autoptr (AtlArray) good_before = g_steal_pointer (&good);
      g_autoptr (AtlArray) bad_before = g_steal_pointer (&bad);

      if (i == 1)
        {
          wanted = atl_settings_string (run->settings, "prompt_2", wanted);
          unwanted = atl_settings_string (run->settings, "negative_prompt_2", unwanted);
        }
      atl_clip_text_clear (&negative);
      atl_clip_text_clear (&positive);
      if (!atl_clip_encode_pair (run, &encoders[i], self->is_guided ? unwanted : NULL, wanted,
                                 &negative, &positive, error))
        return FALSE;
      atl_parts_release (run->parts, encoders[i].encoder);
      if (zeros && self->is_guided)
        {
          zero (negative.hidden);
          zero (negative.pooled);
        }
      if (!atl_clip_side_by_side (good_before, positive.hidden, &good, error) ||
          (self->is_guided && !atl_clip_side_by_side (bad_before, negative.hidden, &bad, error)))
        return FALSE;
    }
  if (positive.pooled == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, "%s",
                   _ ("The second text encoder has no projection, so it is not SDXL's"));
      return FALSE;
    }
  self->context = atl_array_batch ("context", bad, good);
  self->pooled =
      atl_array_batch ("pooled", self->is_guided ? negative.pooled : NULL, positive.pooled);
  make_time_ids (run, self, first == 1);
  atl_run_trace (run, "pooled", self->pooled);
  atl_run_trace (run, "time_ids", self->ids);
  return TRUE;
}

gboolean
atl_sd_encode_text (AtlRun *run, AtlSd *self, GError **error)
{
  if (!(self->is_xl ? encode_sdxl : encode_sd) (run, self, error))
    return FALSE;
  atl_run_trace (run, "text_hidden", self->context);
  return TRUE;
}
