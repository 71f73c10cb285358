/* Wan 2.1 and 2.2: words, pictures and controls to a picture or clip (diffusers 0.42.1
 * WanPipeline, WanImageToVideoPipeline, WanVACEPipeline).
 *
 * Text: UMT5 on the cleaned prompt, padded to 512 tokens whose rows are zero. Noise [1, C, 1 +
 * (frames - 1) / 4, H / f, W / f]; guidance neg + g (pos - neg) for g > 1. Two networks (A14B): the
 * first for timesteps from boundary_ratio * 1000 on, then transformer_2 with guidance_2; the
 * solver's history runs on. The network gets whole timesteps. Latents: (mean - latents_mean) /
 * latents_std, decoded pixels clamped.
 *
 * A picture to begin with, where the bundle expands timesteps (TI2V-5B): its latent stands in the
 * first frame at every step and at the end, and its tokens have timestep 0. What other networks
 * take, wan-condition.c makes.
 *
 * Settings: prompt, negative_prompt, width, height, frames, steps, guidance, guidance_2,
 * boundary_ratio, max_sequence_length, conditioning_scale, scheduler, shift. Inputs:
 * initial_latent, image, last_image, control_video, mask, reference_image.
 */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/diffusion/family-list.h"
#include "engine/diffusion/latents.h"
#include "engine/diffusion/t5-encode.h"
#include "engine/diffusion/wan-private.h"
#include "engine/tokenizers/prompt-clean.h"

#define MAX_TEXT 512
#define MAX_FRAMES 1025

static const char default_schedule[] =
    "{\"prediction_type\": \"flow_prediction\", \"use_flow_sigmas\": true, \"flow_shift\": 5.0, "
    "\"solver_order\": 2, \"solver_type\": \"bh2\", \"predict_x0\": true, "
    "\"lower_order_final\": true}";

/* Of the authors' autoencoders, for files without a configuration. */
static const float mean_21[] = { -0.7571f, -0.7089f, -0.9113f, 0.1075f,  -0.1745f, 0.9653f,
                                 -0.1517f, 1.5508f,  0.4134f,  -0.0715f, 0.5517f,  -0.3632f,
                                 -0.1922f, -0.9497f, 0.2503f,  -0.2921f };
static const float std_21[] = { 2.8184f, 1.4541f, 2.3275f, 2.6558f, 1.2196f, 1.7708f,
                                2.6052f, 2.0743f, 3.2687f, 2.1526f, 2.8652f, 1.5579f,
                                1.6382f, 1.1253f, 2.8251f, 1.916f };
static const float mean_22[] = {
  -0.2289f, -0.0052f, -0.1323f, -0.2339f, -0.2799f, 0.0174f,  0.1838f,  0.1557f,  -0.1382f, 0.0542f,
  0.2813f,  0.0891f,  0.157f,   -0.0098f, 0.0375f,  -0.1825f, -0.2246f, -0.1207f, -0.0698f, 0.5109f,
  0.2665f,  -0.2108f, -0.2158f, 0.2502f,  -0.2055f, -0.0322f, 0.1109f,  0.1567f,  -0.0729f, 0.0899f,
  -0.2799f, -0.123f,  -0.0313f, -0.1649f, 0.0117f,  0.0723f,  -0.2839f, -0.2083f, -0.052f,  0.3748f,
  0.0152f,  0.1957f,  0.1433f,  -0.2944f, 0.3573f,  -0.0548f, -0.1681f, -0.0667f
};
static const float std_22[] = { 0.4765f, 1.0364f, 0.4514f, 1.1677f, 0.5313f, 0.499f,  0.4818f,
                                0.5013f, 0.8158f, 1.0344f, 0.5894f, 1.0901f, 0.6885f, 0.6165f,
                                0.8454f, 0.4978f, 0.5759f, 0.3523f, 0.7135f, 0.6804f, 0.5833f,
                                1.4146f, 0.8986f, 0.5659f, 0.7069f, 0.5338f, 0.4889f, 0.4917f,
                                0.4069f, 0.4999f, 0.6866f, 0.4093f, 0.5709f, 0.6065f, 0.6415f,
                                0.4944f, 0.5726f, 1.2042f, 0.5458f, 1.6887f, 0.3971f, 1.06f,
                                0.3943f, 0.5537f, 0.5444f, 0.4089f, 0.7468f, 0.7744f };

static void
wan_clear (AtlWan *self)
{
  g_free (self->mean);
  g_free (self->std);
  g_clear_pointer (&self->positive, atl_array_free);
  g_clear_pointer (&self->negative, atl_array_free);
  g_clear_pointer (&self->first, atl_array_free);
  g_clear_pointer (&self->condition, atl_array_free);
  g_clear_pointer (&self->image_context, atl_array_free);
  g_clear_pointer (&self->control, atl_array_free);
  g_clear_pointer (&self->control_scale, atl_array_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlWan, wan_clear)

/* --- Text --- */

static AtlArray *
encode_text (AtlRun *run, const char *text, GError **error)
{
  static const AtlT5Encoder encoder = { "text_encoder", "tokenizer", MAX_TEXT, TRUE };
  g_autofree char *clean = atl_prompt_clean (text, -1);

  return atl_t5_encode (run, &encoder, clean, NULL, error);
}

/* --- Sampling --- */

/* One number, or with a given first frame 0 for its tokens: every second row and column. */
static AtlArray *
make_timestep (const AtlWan *self, double t)
{
  gint64 per_frame = (self->height / 2) * (self->width / 2);
  AtlArray *a;

  if (self->first == NULL)
    {
      a = atl_array_new ("timestep", ATL_DTYPE_F32, 1, (gint64[]){ 1 });
      atl_array_f32 (a)[0] = (float) t;
      return a;
    }
  a = atl_array_new ("timestep", ATL_DTYPE_F32, 2, (gint64[]){ 1, self->frames * per_frame });
  for (gint64 i = per_frame; i < a->dim[1]; i++)
    atl_array_f32 (a)[i] = (float) t;
  return a;
}

static AtlArray *
forward (AtlRun *run,
         const AtlWan *self,
         const char *role,
         const AtlArray *latent,
         double t,
         const AtlArray *context,
         GError **error)
{
  const AtlArray *more[] = { self->image_context, self->control, self->control_scale };
  g_autoptr (AtlRequest) request = atl_request_new ("forward");

  atl_request_add (
      request,
      self->condition != NULL
          ? atl_array_join ("latent", 1, 2, (const AtlArray *const[]){ latent, self->condition })
          : atl_array_copy (latent, "latent"));
  for (gsize i = 0; i < G_N_ELEMENTS (more); i++)
    if (more[i] != NULL)
      atl_request_add (request, atl_array_copy (more[i], more[i]->name));
  atl_request_add (request, make_timestep (self, t));
  atl_request_add (request, atl_array_copy (context, "context"));
  return atl_run_output_of (run, role, request, "output", error);
}

static void
put_first_frame (const AtlWan *self, AtlArray *x)
{
  gint64 frame = self->height * self->width, all = frame * self->frames;

  for (gint64 c = 0; c < self->channels; c++)
    memcpy (atl_array_f32 (x) + c * all, atl_array_f32 (self->first) + c * frame,
            (gsize) frame * sizeof (float));
}

static gboolean
predict (AtlRun *run,
         const AtlArray *scaled,
         double timestep,
         guint call,
         AtlArray *out,
         gpointer user_data,
         GError **error)
{
  const AtlWan *self = user_data;
  gboolean is_low = self->boundary > 0 && timestep < self->boundary;
  const char *role = is_low ? "transformer_2" : "transformer";
  double guidance = is_low ? self->guidance_2 : self->guidance;
  g_autoptr (AtlArray) latent = atl_array_copy (scaled, "latent");
  g_autoptr (AtlArray) positive = NULL;
  g_autoptr (AtlArray) negative = NULL;

  if (is_low)
    atl_parts_release (run->parts, "transformer");
  if (self->first != NULL)
    put_first_frame (self, latent);
  positive = forward (run, self, role, latent, timestep, self->positive, error);
  if (positive == NULL)
    return FALSE;
  if (call == 0)
    atl_run_trace (run, "first_output", positive);
  if (guidance <= 1 || self->negative == NULL)
    {
      memcpy (out->data, positive->data, atl_array_size (out));
      return TRUE;
    }
  negative = forward (run, self, role, latent, timestep, self->negative, error);
  if (negative == NULL)
    return FALSE;
  atl_guide (out, negative, positive, guidance);
  return TRUE;
}

/* --- The pipeline --- */

static gint64
vae_channels (const AtlCheckpoint *vae)
{
  static const char *const names[] = { "post_quant_conv.weight", "conv2.weight" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_find (vae, names[i]);
      if (info != NULL && info->n_dims >= 2)
        return info->dim[1];
    }
  return 16;
}

static gboolean
read_latent (AtlRun *run, AtlWan *self, GError **error)
{
  AtlCheckpoint *vae = atl_bundle_checkpoint (run->bundle, "vae", error);
  double frames = atl_settings_number (run->settings, "frames", 1);
  guint64 factor = 8;
  gboolean is_22;

  if (vae == NULL)
    return FALSE;
  self->channels = vae_channels (vae);
  is_22 = self->channels == G_N_ELEMENTS (mean_22);
  factor = is_22 ? 16 : 8;
  atl_checkpoint_get_uint (vae, "scale_factor_spatial", 1, 64, &factor, NULL);
  self->factor = (gint64) factor;
  self->mean =
      atl_latent_statistics (vae, "latents_mean", self->channels, is_22 ? mean_22 : mean_21,
                             is_22 ? G_N_ELEMENTS (mean_22) : G_N_ELEMENTS (mean_21), error);
  self->std =
      self->mean == NULL
          ? NULL
          : atl_latent_statistics (vae, "latents_std", self->channels, is_22 ? std_22 : std_21,
                                   is_22 ? G_N_ELEMENTS (std_22) : G_N_ELEMENTS (std_21), error);
  if (self->std == NULL)
    return FALSE;
  /* Two rows and columns of a latent make a token. */
  atl_run_size (run, self->factor * 2, is_22 ? 704 : 480, &self->width, &self->height);
  self->width /= self->factor;
  self->height /= self->factor;
  self->frames = ((gint64) CLAMP (frames, 1, MAX_FRAMES) - 1) / ATL_WAN_TIME_FACTOR + 1;
  return TRUE;
}

/* [1, 3, F, H, W] to [F, 3, H, W]. */
static AtlArray *
frames_first (const AtlArray *video)
{
  gint64 F = video->dim[2], n = video->dim[3] * video->dim[4];
  AtlArray *out =
      atl_array_new ("video", ATL_DTYPE_F32, 4, (gint64[]){ F, 3, video->dim[3], video->dim[4] });

  for (gint64 f = 0; f < F; f++)
    for (gint64 c = 0; c < 3; c++)
      memcpy (atl_array_f32 (out) + (f * 3 + c) * n, atl_array_f32 (video) + (c * F + f) * n,
              (gsize) n * sizeof (float));
  return out;
}

/* The clip's own frames. The caller's. */
static AtlArray *
without_references (const AtlWan *self, const AtlArray *latent)
{
  gint64 cell = self->height * self->width, n = self->frames * cell;
  AtlArray *out =
      atl_array_new ("latent", ATL_DTYPE_F32, 5,
                     (gint64[]){ 1, self->channels, self->frames, self->height, self->width });

  for (gint64 c = 0; c < self->channels; c++)
    memcpy (atl_array_f32 (out) + c * n,
            atl_array_f32 (latent) + c * latent->dim[2] * cell + self->n_references * cell,
            (gsize) n * sizeof (float));
  return out;
}

static gboolean
decode (AtlRun *run, const AtlWan *self, AtlArray *latent, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("vae_decode");
  g_autoptr (AtlArray) pixels = NULL;
  AtlArray *input = without_references (self, latent), *video;

  atl_run_take_output (run, "final_latent", latent);
  atl_run_progress (run, _ ("Finishing"), 0, 0);
  if (self->first != NULL)
    put_first_frame (self, input);
  atl_latent_restore (input, self->mean, self->std);
  atl_request_add (request, input);
  pixels = atl_run_output_of (run, "vae", request, "image", error);
  if (pixels == NULL)
    return FALSE;
  atl_parts_release (run->parts, "vae");
  video = frames_first (pixels);
  atl_array_to_picture (video);
  if (video->dim[0] == 1)
    atl_run_take_output (run, "image", atl_array_copy (video, "image"));
  atl_run_take_output (run, "video", video);
  return TRUE;
}

static gboolean
run_wan (AtlRun *run, GError **error)
{
  JsonObject *index = atl_bundle_json (run->bundle, NULL, "model_index.json");
  g_auto (AtlWan) self = { .guidance = atl_settings_number (run->settings, "guidance", 5.0) };
  g_autoptr (AtlSchedule) schedule = NULL;
  AtlArray *x;

  self.guidance_2 = atl_settings_number (run->settings, "guidance_2", self.guidance);
  self.expands = atl_settings_number (run->settings, "expand_timesteps",
                                      atl_json_bool (index, "expand_timesteps", FALSE)) != 0;
  if (atl_bundle_has (run->bundle, "transformer_2"))
    self.boundary = 1000 * atl_settings_number (run->settings, "boundary_ratio",
                                                atl_json_double (index, "boundary_ratio", 0.875));
  if (!read_latent (run, &self, error))
    return FALSE;
  atl_run_progress (run, _ ("Reading the prompt"), 0, 0);
  self.positive = encode_text (run, atl_settings_string (run->settings, "prompt", ""), error);
  if (self.positive == NULL)
    return FALSE;
  if (self.guidance > 1 || (self.boundary > 0 && self.guidance_2 > 1))
    {
      self.negative =
          encode_text (run, atl_settings_string (run->settings, "negative_prompt", ""), error);
      if (self.negative == NULL)
        return FALSE;
    }
  atl_parts_release (run->parts, "text_encoder");
  schedule = atl_run_schedule (run, "UniPCMultistepScheduler", default_schedule, NULL, error);
  if (schedule == NULL || !atl_run_set_steps (run, schedule, 30, NAN, error) ||
      !atl_wan_read_condition (run, &self, error))
    return FALSE;
  x = atl_run_noise (
      run, "initial_latent", 5,
      (gint64[]){ 1, self.channels, self.n_references + self.frames, self.height, self.width },
      error);
  if (x == NULL)
    return FALSE;
  if (!atl_run_sample (run, schedule, 0, x, predict, NULL, &self, error))
    {
      atl_array_free (x);
      return FALSE;
    }
  atl_parts_release (run->parts, "transformer");
  atl_parts_release (run->parts, "transformer_2");
  return decode (run, &self, x, error);
}

/* --- The family --- */

static gboolean
recognises (AtlBundle *bundle, GError **error)
{
  return atl_bundle_loose (bundle, "wan", error) != NULL;
}

static void
wan_traits (AtlBundle *bundle, AtlTraits *traits)
{
  AtlCheckpoint *vae = atl_bundle_checkpoint (bundle, "vae", NULL);
  gboolean is_22 = vae != NULL && vae_channels (vae) == G_N_ELEMENTS (mean_22);

  traits->abilities |= ATL_CAN_NEGATIVE | ATL_CAN_CLIP;
  traits->multiple = is_22 ? 32 : 16;
  traits->side = is_22 ? 704 : 480;
  traits->steps = 30;
  traits->guidance = 5.0;
  traits->frames = is_22 ? 121 : 81;
  traits->fps = is_22 ? 24 : 16;
}

static const AtlPart wan_parts[] = {
  { "transformer", N_ ("the denoiser"), "forward", "WanTransformer3DModel", NULL, FALSE },
  { "text_encoder", N_ ("the text encoder UMT5"), "encode_text", "UMT5EncoderModel", NULL, FALSE },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKLWan", NULL, FALSE },
  { "image_encoder", N_ ("the picture encoder CLIP"), "encode_image", "CLIPVisionModel", NULL,
    TRUE },
};

const AtlDiffusionFamily atl_family_wan = {
  .name = "wan",
  .words = "Wan",
  .pipelines =
      (const char *const[]){ "WanPipeline", "WanImageToVideoPipeline", "WanVACEPipeline", NULL },
  .recognises = recognises,
  .parts = wan_parts,
  .n_parts = G_N_ELEMENTS (wan_parts),
  .traits = wan_traits,
  .run = run_wan,
};
