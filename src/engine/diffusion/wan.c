/* Wan 2.1 and 2.2: words, pictures and controls to a picture or clip (diffusers 0.42.1
 * WanPipeline, WanImageToVideoPipeline, WanVACEPipeline, WanVideoToVideoPipeline).
 *
 * Text: UMT5 on the cleaned prompt, padded to 512 tokens whose rows are zero. Noise [1, C, 1 +
 * (frames - 1) / 4, H / f, W / f]; guidance neg + g (pos - neg) for g > 1. Two networks (A14B): the
 * first for timesteps from boundary_ratio * 1000 on, then transformer_2 with guidance_2; the
 * solver's history runs on. The network gets whole timesteps. Latents: (mean - latents_mean) /
 * latents_std, decoded pixels clamped.
 *
 * A picture to begin with, where the bundle expands timesteps (TI2V-5B): its latent stands in the
 * first frame at every step and at the end, and its tokens have timestep 0. What other networks
 * take, wan-condition.c makes. Where one frame is all that is asked for, that would be the picture
 * itself: it is drawn from the picture instead (WanVideoToVideoPipeline, but beginning at n - n
 * strength as other families do), inside a mask as Qwen-Image does.
 *
 * Settings: prompt, negative_prompt, width, height, frames, steps, strength, guidance,
 * guidance_2, boundary_ratio, max_sequence_length, conditioning_scale, scheduler, shift. Inputs:
 * initial_latent, noise, image, last_image, control_video, mask, reference_image.
 */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/diffusion/decode.h"
#include "engine/diffusion/family-list.h"
#include "engine/diffusion/knobs.h"
#include "engine/diffusion/latents.h"
#include "engine/diffusion/part-checks.h"
#include "engine/diffusion/t5-encode.h"
#include "engine/diffusion/wan-private.h"
#include "engine/tokenizers/prompt-clean.h"

#define MAX_TEXT 512
#define MAX_FRAMES 1025
#define SIDE 480
#define SIDE_22 704
#define CHANNELS_22 48 /* of the latents of Wan 2.2's own autoencoder */

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
  g_clear_pointer (&self->clean, atl_array_free);
  g_clear_pointer (&self->noise, atl_array_free);
  g_clear_pointer (&self->mask, atl_array_free);
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

/* Which of two networks. */
static gboolean
is_low (const AtlWan *self, double t)
{
  return self->boundary > 0 && t < self->boundary;
}

static const char *
role_of (const AtlWan *self, double t)
{
  return is_low (self, t) ? "transformer_2" : "transformer";
}

static AtlArray *
forward (AtlRun *run,
         const AtlArray *latent,
         double t,
         gconstpointer text,
         gpointer user_data,
         GError **error)
{
  const AtlWan *self = user_data;
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
  atl_request_add (request, atl_array_copy (text, "context"));
  return atl_run_output_of (run, role_of (self, t), request, "output", error);
}

static void
put_first_frame (const AtlWan *self, AtlArray *x)
{
  gint64 frame = self->height * self->width, all = frame * self->frames;

  for (gint64 c = 0; c < self->channels && !atl_array_is_hollow (x); c++)
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
  double guidance = is_low (self, timestep) ? self->guidance_2 : self->guidance;
  g_autoptr (AtlArray) latent = atl_array_copy (scaled, "latent");

  if (is_low (self, timestep))
    atl_parts_release (run->parts, "transformer");
  if (self->first != NULL)
    put_first_frame (self, latent);
  return atl_run_guided (run, forward, latent, timestep, self->positive,
                         guidance > 1 ? self->negative : NULL, guidance, out, NULL, user_data,
                         error);
}

static void
keep_outside (AtlRun *run, AtlSchedule *schedule, guint call, AtlArray *x, gpointer user_data)
{
  const AtlWan *self = user_data;

  atl_latent_keep_outside (schedule, call, x, self->clean, self->noise, self->mask);
}

/* The picture, as noisy as the call that is returned expects it, instead of the noise x. */
static guint
begin_with_picture (AtlRun *run, AtlWan *self, AtlSchedule *schedule, AtlArray *x)
{
  guint first =
      atl_run_flow_start (run, schedule, atl_settings_number (run->settings, "strength", 0.6));

  self->noise = atl_array_copy (x, "noise");
  if (atl_array_is_hollow (x))
    return first;
  if (first < atl_schedule_n_calls (schedule))
    atl_schedule_add_noise (schedule, first, atl_array_f32 (self->clean), atl_array_f32 (x),
                            atl_array_f32 (x), (gsize) atl_array_n_elems (x));
  else
    memcpy (x->data, self->clean->data, atl_array_size (x));
  return first;
}

/* --- The pipeline --- */

static gint64
vae_channels (const AtlCheckpoint *vae)
{
  static const char *const names[] = { "post_quant_conv.weight", "conv2.weight" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      const AtlTensorInfo *info = atl_vae_find (vae, names[i]);
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
  is_22 = self->channels == CHANNELS_22;
  factor = is_22 ? 16 : 8;
  atl_checkpoint_get_uint (vae, "scale_factor_spatial", 1, 64, &factor, NULL);
  self->factor = (gint64) factor;
  if (!atl_wan_statistics (vae, self->channels, &self->mean, &self->std, error))
    return FALSE;
  /* Two rows and columns of a latent make a token. */
  atl_run_size (run, self->factor * 2, is_22 ? SIDE_22 : SIDE, &self->width, &self->height);
  self->width /= self->factor;
  self->height /= self->factor;
  run->latent = (AtlLatent){
    .factor = self->factor, .channels = self->channels, .height = self->height, .width = self->width
  };
  self->frames = ((gint64) CLAMP (frames, 1, MAX_FRAMES) - 1) / ATL_WAN_TIME_FACTOR + 1;
  return TRUE;
}

/* The first frame of what goes on from a picture is that picture. */
static gboolean
check_frames (AtlRun *run, const AtlWan *self, GError **error)
{
  if (self->frames > 1 || !atl_wan_takes_condition (run->bundle, self->channels))
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
               _ ("This model goes on from a picture to a clip, whose first frame is the picture "
                  "itself. For pictures choose one that draws from words"));
  return FALSE;
}

/* [1, 3, F, H, W], which it takes, to [F, 3, H, W]; NULL where memory is out. */
static AtlArray *
frames_first (AtlArray *video, GError **error)
{
  gint64 F = video->dim[2], n = video->dim[3] * video->dim[4];
  AtlArray *out;

  if (F == 1)
    {
      video->n_dims = 4;
      memcpy (video->dim, (gint64[]){ 1, 3, video->dim[3], video->dim[4] }, 4 * sizeof *video->dim);
      return video;
    }
  out = atl_array_try_new ("video", ATL_DTYPE_F32, 4,
                           (gint64[]){ F, 3, video->dim[3], video->dim[4] }, error);
  for (gint64 f = 0; out != NULL && f < F; f++)
    for (gint64 c = 0; c < 3; c++)
      memcpy (atl_array_f32 (out) + (f * 3 + c) * n, atl_array_f32 (video) + (c * F + f) * n,
              (gsize) n * sizeof (float));
  atl_array_free (video);
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

  if (atl_array_is_hollow (out))
    return out;
  for (gint64 c = 0; c < self->channels; c++)
    memcpy (atl_array_f32 (out) + c * n,
            atl_array_f32 (latent) + c * latent->dim[2] * cell + self->n_references * cell,
            (gsize) n * sizeof (float));
  return out;
}

static gboolean
decode (AtlRun *run, const AtlWan *self, const AtlArray *latent, GError **error)
{
  AtlArray *input = without_references (self, latent), *video;

  if (self->first != NULL)
    put_first_frame (self, input);
  atl_latent_restore (input, self->mean, self->std);
  video = atl_run_decode (run, input, error);
  if (video != NULL)
    video = frames_first (video, error);
  if (video == NULL)
    return FALSE;
  atl_array_to_picture (video);
  atl_run_take_output (run, video->dim[0] == 1 ? "image" : "video", video);
  return TRUE;
}

/* Whether it takes a timestep for each token, so that frames may be given. */
static gboolean
expands (AtlBundle *bundle)
{
  return atl_json_bool (atl_bundle_json (bundle, NULL, "model_index.json"), "expand_timesteps",
                        FALSE);
}

static gboolean
run_wan (AtlRun *run, GError **error)
{
  JsonObject *index = atl_bundle_json (run->bundle, NULL, "model_index.json");
  g_auto (AtlWan) self = { .guidance = atl_settings_number (run->settings, "guidance", 5.0) };
  g_autoptr (AtlSchedule) schedule = NULL;
  gboolean is_picture;
  guint first = 0;
  AtlArray *x;

  self.guidance_2 = atl_settings_number (run->settings, "guidance_2", self.guidance);
  self.expands =
      atl_settings_number (run->settings, "expand_timesteps", expands (run->bundle)) != 0;
  if (atl_bundle_has (run->bundle, "transformer_2"))
    self.boundary = 1000 * atl_settings_number (run->settings, "boundary_ratio",
                                                atl_json_double (index, "boundary_ratio", 0.875));
  if (!read_latent (run, &self, error) || !check_frames (run, &self, error))
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
  schedule = atl_run_schedule (run, error);
  is_picture = atl_wan_is_picture (run, &self);
  if (schedule == NULL || !atl_run_set_steps (run, schedule, 30, NAN, error) ||
      !(is_picture ? atl_wan_read_start : atl_wan_read_condition) (run, &self, error))
    return FALSE;
  x = atl_run_noise (
      run, is_picture ? "noise" : "initial_latent", 5,
      (gint64[]){ 1, self.channels, self.n_references + self.frames, self.height, self.width },
      error);
  if (x == NULL)
    return FALSE;
  if (is_picture)
    first = begin_with_picture (run, &self, schedule, x);
  x = atl_run_sample (run, schedule, first, x, "transformer", predict,
                      self.mask != NULL ? keep_outside : NULL, &self, error);
  atl_parts_release (run->parts, "transformer_2");
  return x != NULL && decode (run, &self, x, error);
}

/* --- The family --- */

static void
wan_refine (AtlBundle *bundle, AtlTraits *traits)
{
  static const AtlKnob *const of_two_networks[] = { &atl_knob_faster, &atl_knob_method_of_attention,
                                                    &atl_knob_shift, &atl_knob_guidance_2, NULL };
  AtlCheckpoint *vae = atl_bundle_checkpoint (bundle, "vae", NULL);
  gint64 channels = vae != NULL ? vae_channels (vae) : 0;

  if (atl_wan_takes_control (bundle))
    {
      traits->abilities |= ATL_CAN_REFERENCE;
      traits->max_references = ATL_WAN_MAX_REFERENCES;
    }
  else if (vae != NULL && atl_wan_takes_condition (bundle, channels))
    traits->abilities |= ATL_CAN_IMAGE;
  else
    traits->abilities |= ATL_CAN_IMAGE | ATL_CAN_MASK;
  if (atl_bundle_has (bundle, "transformer_2"))
    traits->knobs = of_two_networks;
  if (channels != CHANNELS_22)
    return;
  traits->multiple = 32;
  traits->side = SIDE_22;
  traits->frames = 121;
  traits->fps = 24;
}

/* Of 2.1's, by the width of its blocks and the channels that it reads. */
static const AtlTeaFit *
wan_tea_fit (const AtlStepNetwork *network)
{
  static const AtlTeaFit t2v_1_3b = {
    { 2396.76752, -1311.10545, 201.331979, -8.29855975, 0.137887774 }, { 0.05, 0.065, 0.08 }
  };
  static const AtlTeaFit t2v_14b = { { -5784.54975374, 5449.50911966, -1811.16591783, 256.27178429,
                                       -13.02252404 },
                                     { 0.1, 0.14, 0.2 } };
  static const AtlTeaFit i2v_14b = {
    { -302.33167, 223.948934, -52.546397, 5.87348440, -0.201973289 }, { 0.13, 0.19, 0.26 }
  };
  const AtlTensorInfo *info = atl_denoiser_find (network->cp, "patch_embedding.weight");

  if (info == NULL || info->n_dims != 5)
    return NULL;
  return info->dim[0] == 1536 && info->dim[1] == 16   ? &t2v_1_3b
         : info->dim[0] == 5120 && info->dim[1] == 16 ? &t2v_14b
         : info->dim[0] == 5120 && info->dim[1] == 36 ? &i2v_14b
                                                      : NULL;
}

static const char *const text_names[] = { "text_embedding.0.weight",
                                          "condition_embedder.text_embedder.linear_1.weight",
                                          NULL };
static const AtlTextReader text_reader = { "transformer", text_names, 1 };

/* Wan 2.2's 5B works on 48 channels, everything else on 16. */
static gboolean
is_5b (AtlBundle *bundle)
{
  const AtlTensorInfo *in = atl_denoiser_find (atl_bundle_checkpoint (bundle, "transformer", NULL),
                                               "patch_embedding.weight");

  return in != NULL && in->n_dims == 5 && in->dim[1] == CHANNELS_22;
}

static gboolean
is_not_5b (AtlBundle *bundle)
{
  return !is_5b (bundle);
}

static gboolean
fits_latent (AtlBundle *bundle, const AtlCheckpoint *cp)
{
  static const char *const outs[] = { "conv2.bias", "post_quant_conv.bias" };

  for (gsize k = 0; k < G_N_ELEMENTS (outs); k++)
    {
      const AtlTensorInfo *out = atl_vae_find (cp, outs[k]);

      if (out != NULL && out->n_dims == 1)
        return is_5b (bundle) == (out->dim[0] == CHANNELS_22);
    }
  return TRUE;
}

static gboolean
fits_preview (AtlBundle *bundle, const AtlCheckpoint *cp)
{
  const AtlCheckpoint *vae = atl_bundle_checkpoint (bundle, "vae", NULL);

  return vae == NULL || vae_channels (vae) == atl_tiny_channels (cp);
}

static const AtlPart wan_parts[] = {
  { "transformer", N_ ("the denoiser"), "forward", "WanTransformer3DModel", NULL, FALSE },
  { "text_encoder", N_ ("the text encoder UMT5"), "encode_text", "UMT5EncoderModel", atl_is_umt5,
    FALSE, .reader = &text_reader },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKLWan", atl_is_wan_vae, FALSE,
    .fits = fits_latent },
  { "image_encoder", N_ ("the picture encoder CLIP"), "encode_image", "CLIPVisionModel", NULL,
    TRUE },
  ATL_TINY_PART ("TAEHV", atl_is_taew, fits_preview),
};

static const AtlPublished wan_published[] = {
  { "tokenizer", "google/umt5-xxl", "spiece.model", 4548313 },
  { "text_encoder", "Comfy-Org/Wan_2.1_ComfyUI_repackaged",
    "split_files/text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors", 0 },
  { "vae", "Comfy-Org/Wan_2.1_ComfyUI_repackaged", "split_files/vae/wan_2.1_vae.safetensors", 0,
    is_not_5b },
  { "vae", "Comfy-Org/Wan_2.2_ComfyUI_Repackaged", "split_files/vae/wan2.2_vae.safetensors", 0,
    is_5b },
};

const AtlDiffusionFamily atl_family_wan = {
  .name = "wan",
  .words = "Wan",
  .pipelines = (const char *const[]){ "WanPipeline", "WanImageToVideoPipeline", "WanVACEPipeline",
                                      "WanVideoToVideoPipeline", NULL },
  .component = "wan",
  .parts = wan_parts,
  .n_parts = G_N_ELEMENTS (wan_parts),
  .published = wan_published,
  .n_published = G_N_ELEMENTS (wan_published),
  .traits = { .abilities = ATL_CAN_PICTURE | ATL_CAN_NEGATIVE | ATL_CAN_CLIP | ATL_CAN_GUIDANCE |
                           ATL_CAN_LORA,
              .multiple = 16,
              .side = SIDE,
              .steps = 30,
              .guidance = 5,
              .frames = 81,
              .fps = 16,
              .is_flow = TRUE,
              .knobs = (const AtlKnob *const[]){ &atl_knob_faster, &atl_knob_method_of_all,
                                                 &atl_knob_shift, NULL } },
  .refine = wan_refine,
  .schedule = { .name = "UniPCMultistepScheduler",
                .config = "{\"prediction_type\": \"flow_prediction\", \"use_flow_sigmas\": true, "
                          "\"flow_shift\": 5.0, "
                          "\"solver_order\": 2, \"solver_type\": \"bh2\", \"predict_x0\": true, "
                          "\"lower_order_final\": true}" },
  .first_timestep = 1000,
  .tea_fit = wan_tea_fit,
  .lora = { .bases = (const char *const[]){ "wan", NULL },
            .marks = (const char *const[]){ "_cross_attn_", NULL },
            .sampler = "Euler",
            .shift = 5 },
  .run = run_wan,
};
