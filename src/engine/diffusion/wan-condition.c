/* What clips of Wan are made from besides words (diffusers 0.42.1 WanImageToVideoPipeline,
 * WanVACEPipeline).
 *
 * Picture: the clip [picture, grey…, last picture] encoded, behind a mask of four channels: 1 on
 * given frames, the first counted four times, four frames to a latent one. Networks that have an
 * embedder for pictures also get CLIP's tokens of what enters its last layer. Networks that expand
 * timesteps take the picture as their first frame instead.
 * Control: [inactive = video (1 - mask), reactive = video mask, mask as 8 x 8 channels]; each
 * reference on white in front, without reactive and mask.
 */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/diffusion/clip-pixels.h"
#include "engine/diffusion/decode.h"
#include "engine/diffusion/latents.h"
#include "engine/diffusion/part-checks.h"
#include "engine/diffusion/wan-private.h"

#define COLORS 3
#define MAX_SIDE_BLOCKS 64

/* --- The denoiser --- */

static const AtlTensorInfo *
find_weight (AtlBundle *bundle, const char *name)
{
  return atl_denoiser_find (atl_bundle_checkpoint (bundle, "transformer", NULL), name);
}

gboolean
atl_wan_takes_condition (AtlBundle *bundle, gint64 channels)
{
  const AtlTensorInfo *patch = find_weight (bundle, "patch_embedding.weight");

  return patch != NULL && patch->n_dims == 5 && patch->dim[1] == 2 * channels + ATL_WAN_TIME_FACTOR;
}

gboolean
atl_wan_takes_control (AtlBundle *bundle)
{
  return find_weight (bundle, "vace_patch_embedding.weight") != NULL;
}

static gboolean
takes_picture_tokens (AtlRun *run)
{
  return find_weight (run->bundle, "condition_embedder.image_embedder.norm1.weight") != NULL ||
         find_weight (run->bundle, "img_emb.proj.0.weight") != NULL;
}

static gint64
count_side_blocks (AtlRun *run)
{
  gint64 n = 0;

  for (; n < MAX_SIDE_BLOCKS; n++)
    {
      g_autofree char *ours = g_strdup_printf ("vace_blocks.%d.proj_out.weight", (int) n);
      g_autofree char *theirs = g_strdup_printf ("vace_blocks.%d.after_proj.weight", (int) n);

      if (find_weight (run->bundle, ours) == NULL && find_weight (run->bundle, theirs) == NULL)
        break;
    }
  return n;
}

/* --- Clips --- */

static gint64
clip_frames (const AtlWan *self)
{
  return 1 + ATL_WAN_TIME_FACTOR * (self->frames - 1);
}

/* Zeros, which are mid grey; NULL where memory is out. */
static AtlArray *
new_clip (const AtlWan *self, gint64 frames, GError **error)
{
  return atl_array_try_new (
      "image", ATL_DTYPE_F32, 5,
      (gint64[]){ 1, COLORS, frames, self->height * self->factor, self->width * self->factor },
      error);
}

/* Takes the clip (nullable, where there was no memory for it): its latent, normalised. */
static AtlArray *
encode_clip (AtlRun *run, const AtlWan *self, AtlArray *clip, GError **error)
{
  AtlArray *mean = clip != NULL ? atl_run_encode (run, clip, error) : NULL;

  if (mean != NULL)
    atl_latent_normalize (mean, self->mean, self->std);
  return mean;
}

/* The picture of that name as a frame of the clip. */
static gboolean
put_picture (AtlRun *run, AtlArray *clip, const char *name, gint64 frame, GError **error)
{
  gint64 F = clip->dim[2], n = clip->dim[3] * clip->dim[4];
  g_autoptr (AtlArray) picture = atl_run_picture (run, name, clip->dim[3], clip->dim[4], error);

  for (gint64 c = 0; picture != NULL && c < COLORS && !atl_array_is_hollow (clip); c++)
    memcpy (atl_array_f32 (clip) + (c * F + frame) * n, atl_array_f32 (picture) + c * n,
            (gsize) n * sizeof (float));
  return picture != NULL;
}

/* --- Pictures --- */

static gboolean
read_first (AtlRun *run, AtlWan *self, GError **error)
{
  g_autoptr (AtlArray) clip = new_clip (self, 1, error);

  if (clip == NULL || !put_picture (run, clip, "image", 0, error))
    return FALSE;
  self->first = encode_clip (run, self, g_steal_pointer (&clip), error);
  return self->first != NULL;
}

gboolean
atl_wan_is_picture (const AtlRun *run, const AtlWan *self)
{
  return self->frames == 1 && atl_run_input (run, "image") != NULL &&
         !atl_wan_takes_condition (run->bundle, self->channels) &&
         !atl_wan_takes_control (run->bundle);
}

gboolean
atl_wan_read_start (AtlRun *run, AtlWan *self, GError **error)
{
  g_autoptr (AtlArray) clip = NULL;

  if (atl_run_input (run, "mask") != NULL)
    {
      g_autoptr (AtlArray) mask =
          atl_run_mask (run, self->height * self->factor, self->width * self->factor, error);

      if (mask == NULL)
        return FALSE;
      self->mask = atl_mask_shrink (mask, self->height, self->width);
    }
  atl_run_progress (run, _ ("Looking at the picture"), 0, 0);
  clip = new_clip (self, 1, error);
  if (clip == NULL || !put_picture (run, clip, "image", 0, error))
    return FALSE;
  self->clean = encode_clip (run, self, g_steal_pointer (&clip), error);
  atl_parts_release (run->parts, "vae");
  return self->clean != NULL;
}

static gboolean
read_tokens (AtlRun *run, AtlWan *self, gboolean has_last, GError **error)
{
  JsonObject *processor =
      atl_bundle_json (run->bundle, "image_processor", "preprocessor_config.json");
  g_autoptr (AtlRequest) request = atl_request_new ("encode_image");
  g_autoptr (AtlArray) first = atl_clip_pixels (atl_run_input (run, "image"), processor);
  g_autoptr (AtlArray) last =
      has_last ? atl_clip_pixels (atl_run_input (run, "last_image"), processor) : NULL;

  atl_run_trace (run, "clip_pixels", first);
  atl_request_add (request, last != NULL ? atl_array_batch ("image", first, last)
                                         : atl_array_copy (first, "image"));
  atl_request_set_number (request, "layer", -2);
  self->image_context = atl_run_output_of (run, "image_encoder", request, "hidden", error);
  atl_parts_release (run->parts, "image_encoder");
  if (self->image_context == NULL)
    return FALSE;
  g_free (self->image_context->name);
  self->image_context->name = g_strdup ("image_context");
  atl_run_trace (run, "image_context", self->image_context);
  return TRUE;
}

static gboolean
read_pictures (AtlRun *run, AtlWan *self, GError **error)
{
  gint64 F = clip_frames (self), n = self->height * self->width;
  gboolean has_last = atl_run_input (run, "last_image") != NULL && F > 1;
  g_autoptr (AtlArray) clip = new_clip (self, F, error);
  g_autoptr (AtlArray) mask = NULL;
  g_autoptr (AtlArray) latent = NULL;

  if (clip == NULL || !put_picture (run, clip, "image", 0, error) ||
      (has_last && !put_picture (run, clip, "last_image", F - 1, error)) ||
      (takes_picture_tokens (run) && !read_tokens (run, self, has_last, error)))
    return FALSE;
  latent = encode_clip (run, self, g_steal_pointer (&clip), error);
  if (latent == NULL)
    return FALSE;
  mask =
      atl_array_new ("mask", ATL_DTYPE_F32, 5,
                     (gint64[]){ 1, ATL_WAN_TIME_FACTOR, self->frames, self->height, self->width });
  for (gint64 k = 0; k < ATL_WAN_TIME_FACTOR && !atl_array_is_hollow (mask); k++)
    {
      float *of_channel = atl_array_f32 (mask) + k * self->frames * n;

      for (gint64 i = 0; i < n; i++)
        of_channel[i] = 1.0f;
      for (gint64 i = 0; has_last && k == ATL_WAN_TIME_FACTOR - 1 && i < n; i++)
        of_channel[(self->frames - 1) * n + i] = 1.0f;
    }
  self->condition = atl_array_join ("condition", 1, 2, (const AtlArray *const[]){ mask, latent });
  return TRUE;
}

/* --- Control --- */

/* An input [frames, channels, H, W] of the clip's size, NULL when there is none. */
static gboolean
find_frames (
    AtlRun *run, const AtlWan *self, const char *name, gint64 n, AtlArray **found, GError **error)
{
  AtlArray *a = atl_run_input (run, name);
  gint64 H = self->height * self->factor, W = self->width * self->factor;

  *found = a;
  if (a == NULL ||
      (a->dtype == ATL_DTYPE_F32 && a->n_dims == 4 && a->dim[0] == clip_frames (self) &&
       a->dim[1] == n && a->dim[2] == H && a->dim[3] == W))
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               _ ("“%s” must have %d frames of %d × %d pixels"), name, (int) clip_frames (self),
               (int) W, (int) H);
  return FALSE;
}

/* The clip where the mask is (or is not) set, in -1…1; without a clip grey. */
static AtlArray *
masked_clip (
    const AtlWan *self, const AtlArray *video, const AtlArray *mask, gboolean where, GError **error)
{
  gint64 F = clip_frames (self);
  gint64 n = self->height * self->width * self->factor * self->factor;
  AtlArray *clip = new_clip (self, F, error);

  if (clip == NULL || video == NULL || atl_array_is_hollow (clip))
    return clip;
  for (gint64 c = 0; c < COLORS; c++)
    for (gint64 f = 0; f < F; f++)
      for (gint64 i = 0; i < n; i++)
        {
          gboolean is_set = mask == NULL || atl_array_f32 (mask)[f * n + i] > 0.5f;

          if (is_set == where)
            atl_array_f32 (clip)[(c * F + f) * n + i] =
                2.0f * atl_array_f32 (video)[(f * COLORS + c) * n + i] - 1.0f;
        }
  return clip;
}

/* Fitted on white without smoothing, as one frame; `from` [3, h, w] in 0…1. */
static AtlArray *
fit_reference (const AtlWan *self, const float *from, gint64 h, gint64 w, GError **error)
{
  AtlArray *clip = new_clip (self, 1, error);
  gint64 H = self->height * self->factor, W = self->width * self->factor;
  double scale = MIN ((double) H / (double) h, (double) W / (double) w);
  gint64 new_h = CLAMP ((gint64) ((double) h * scale), 1, H);
  gint64 new_w = CLAMP ((gint64) ((double) w * scale), 1, W);
  gint64 top = (H - new_h) / 2, left = (W - new_w) / 2;
  float *to;

  if (clip == NULL || atl_array_is_hollow (clip))
    return clip;
  to = atl_array_f32 (clip);
  for (gint64 i = 0; i < COLORS * H * W; i++)
    to[i] = 1.0f;
  for (gint64 y = 0; y < new_h; y++)
    for (gint64 x = 0; x < new_w; x++)
      {
        float sy = MAX (((float) y + 0.5f) * ((float) h / (float) new_h) - 0.5f, 0.0f);
        float sx = MAX (((float) x + 0.5f) * ((float) w / (float) new_w) - 0.5f, 0.0f);
        gint64 y0 = MIN ((gint64) sy, h - 1), x0 = MIN ((gint64) sx, w - 1);
        gint64 y1 = MIN (y0 + 1, h - 1), x1 = MIN (x0 + 1, w - 1);
        float fy = sy - (float) y0, fx = sx - (float) x0;

        for (gint64 c = 0; c < COLORS; c++)
          {
            const float *p = from + c * h * w;
            float upper = p[y0 * w + x0] * (1 - fx) + p[y0 * w + x1] * fx;
            float lower = p[y1 * w + x0] * (1 - fx) + p[y1 * w + x1] * fx;

            to[(c * H + y + top) * W + x + left] = 2.0f * (upper * (1 - fy) + lower * fy) - 1.0f;
          }
      }
  return clip;
}

/* The mask as channels: offsets within a cell, frames the nearest of the clip's. */
static void
put_mask (const AtlWan *self, const AtlArray *mask)
{
  gint64 f = self->factor, h = self->height, w = self->width, F = clip_frames (self);
  gint64 all = self->control->dim[2], n_frames = self->frames;
  float scale = (float) F / (float) n_frames;
  float *to = atl_array_f32 (self->control) + 2 * self->channels * all * h * w;

  for (gint64 k = 0; k < f * f && !atl_array_is_hollow (self->control); k++)
    for (gint64 i = 0; i < n_frames; i++)
      {
        gint64 source = MIN ((gint64) (((float) i + 0.5f) * scale), F - 1);
        const float *from = mask != NULL ? atl_array_f32 (mask) + source * h * f * w * f : NULL;
        float *frame = to + (k * all + self->n_references + i) * h * w;

        for (gint64 y = 0; y < h; y++)
          for (gint64 x = 0; x < w; x++)
            frame[y * w + x] = from != NULL ? from[(y * f + k / f) * w * f + x * f + k % f] : 1.0f;
      }
}

/* Latent frames [1, C, n, h, w] into channels from `channel` on, frames from `frame` on. */
static void
put_latent (const AtlWan *self, const AtlArray *latent, gint64 channel, gint64 frame)
{
  gint64 all = self->control->dim[2], n = latent->dim[2], cell = self->height * self->width;

  for (gint64 c = 0; c < self->channels && !atl_array_is_hollow (self->control); c++)
    memcpy (atl_array_f32 (self->control) + ((channel + c) * all + frame) * cell,
            atl_array_f32 (latent) + c * n * cell, (gsize) (n * cell) * sizeof (float));
}

static gboolean
read_scale (AtlRun *run, AtlWan *self, GError **error)
{
  gint64 n = count_side_blocks (run);
  guint n_given;
  g_autofree double *given = atl_settings_numbers (run->settings, "conditioning_scale", &n_given);

  if (n == 0 || (given != NULL && n_given != n))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("“conditioning_scale” must be one number, or %d of them"), (int) n);
      return FALSE;
    }
  self->control_scale = atl_array_new ("control_scale", ATL_DTYPE_F32, 1, &n);
  for (gint64 i = 0; i < n; i++)
    atl_array_f32 (self->control_scale)[i] =
        (float) (given != NULL ? given[i]
                               : atl_settings_number (run->settings, "conditioning_scale", 1.0));
  return TRUE;
}

/* The pictures [3, h, w] to follow: the rows of "reference_image", else image_1 and so on. */
static guint
find_references (AtlRun *run, const float **pixels, gint64 *h, gint64 *w, GError **error)
{
  guint n = 0;

  for (guint i = 0; i <= ATL_WAN_MAX_REFERENCES; i++)
    {
      g_autofree char *name =
          i > 0 ? g_strdup_printf ("image_%u", i) : g_strdup ("reference_image");
      const AtlArray *a = atl_run_input (run, name);

      if (a == NULL)
        continue;
      if (a->dtype != ATL_DTYPE_F32 || a->n_dims != 4 || a->dim[1] != COLORS ||
          atl_array_n_elems (a) == 0 || n + a->dim[0] > ATL_WAN_MAX_REFERENCES)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                       _ ("“%s” must be at most %d pictures in colours"), name,
                       ATL_WAN_MAX_REFERENCES);
          return G_MAXUINT;
        }
      for (gint64 k = 0; k < a->dim[0]; k++, n++)
        {
          h[n] = a->dim[2];
          w[n] = a->dim[3];
          pixels[n] = atl_array_f32 (a) + k * COLORS * h[n] * w[n];
        }
    }
  return n;
}

static gboolean
read_control (AtlRun *run, AtlWan *self, GError **error)
{
  const float *pixels[ATL_WAN_MAX_REFERENCES];
  gint64 h[ATL_WAN_MAX_REFERENCES], w[ATL_WAN_MAX_REFERENCES];
  guint n = find_references (run, pixels, h, w, error);
  AtlArray *video, *mask;

  if (n == G_MAXUINT || !read_scale (run, self, error) ||
      !find_frames (run, self, "control_video", COLORS, &video, error) ||
      !find_frames (run, self, "mask", 1, &mask, error))
    return FALSE;
  self->n_references = n;
  self->control =
      atl_array_new ("control", ATL_DTYPE_F32, 5,
                     (gint64[]){ 1, 2 * self->channels + self->factor * self->factor,
                                 self->n_references + self->frames, self->height, self->width });
  for (guint half = 0; half < 2; half++)
    {
      g_autoptr (AtlArray) latent =
          encode_clip (run, self, masked_clip (self, video, mask, half == 1, error), error);

      if (latent == NULL)
        return FALSE;
      put_latent (self, latent, half * self->channels, self->n_references);
    }
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (AtlArray) latent =
          encode_clip (run, self, fit_reference (self, pixels[i], h[i], w[i], error), error);

      if (latent == NULL)
        return FALSE;
      /* Each one is put before all that are there. */
      put_latent (self, latent, 0, self->n_references - 1 - i);
    }
  put_mask (self, mask);
  atl_run_trace (run, "control", self->control);
  return TRUE;
}

gboolean
atl_wan_read_condition (AtlRun *run, AtlWan *self, GError **error)
{
  gboolean takes_condition = atl_wan_takes_condition (run->bundle, self->channels);
  gboolean takes_control = atl_wan_takes_control (run->bundle);
  gboolean has_image = atl_run_input (run, "image") != NULL, ok;

  if (!takes_control && !takes_condition && !has_image)
    return TRUE;
  atl_run_progress (run, _ ("Looking at the picture"), 0, 0);
  if (takes_control)
    ok = read_control (run, self, error);
  else if (takes_condition)
    ok = read_pictures (run, self, error);
  else if (self->expands)
    ok = read_first (run, self, error);
  else
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED, "%s",
                   _ ("This model makes clips from words only, not from a picture"));
      ok = FALSE;
    }
  atl_parts_release (run->parts, "vae");
  return ok;
}
