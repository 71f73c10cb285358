/* Stable Diffusion 1.x and XL, their inpainting models and the XL refiner (diffusers 0.42.1,
 * pipelines/stable_diffusion and stable_diffusion_xl).
 *
 * Text: 1.x takes CLIP-L's last layer through the final norm (clip_skip n: n layers before it); XL
 * joins the last but one layers of CLIP-L and bigG without that norm, and bigG's pooled vector. The
 * refiner has bigG only. XL without a negative prompt takes zeros ("force_zeros_for_empty_prompt").
 * Guidance: uncond + g (cond - uncond) for g > 1, else one pass; "guidance_rescale" after it.
 * From a picture: its latent's mean, scaled, with noise of the first step. Inpainting with four
 * channels: after every step what lies outside the mask becomes the picture's latent with the same
 * noise at the next step's level (the last time without); with nine the mask and the latent of the
 * picture, grey where it is painted, are inputs. Latents: mean * scaling_factor.
 *
 * Settings: prompt, prompt_2, negative_prompt, negative_prompt_2, width, height, steps, guidance,
 * guidance_rescale, strength, clip_skip, weighting, scheduler, scheduler_config, timesteps, eta,
 * and XL's original_size, crops_coords_top_left, target_size (height first), aesthetic_score.
 * Inputs: image, mask [1, 1, H, W] (1: paint here), initial_latent or noise [1, 4, H/8, W/8].
 */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/diffusion/family-list.h"
#include "engine/diffusion/knobs.h"
#include "engine/diffusion/part-checks.h"
#include "engine/diffusion/published.h"
#include "engine/diffusion/sd-private.h"
#include "engine/models/clip-traits.h"

#define CHANNELS 4
#define FACTOR 8
#define PART_UNET "unet"

/* --- Pictures to start from --- */

/* Grey, which is 0, wherever the mask says paint. */
static void
blank (AtlArray *picture, const AtlArray *mask)
{
  gint64 n = picture->dim[2] * picture->dim[3];

  for (gint64 c = 0; c < 3 && !atl_array_is_hollow (picture); c++)
    for (gint64 i = 0; i < n; i++)
      if (atl_array_f32 (mask)[i] >= 0.5f)
        atl_array_f32 (picture)[c * n + i] = 0.0f;
}

static gint64
unet_channels (AtlRun *run)
{
  static const char *const names[] = { "conv_in.weight", "input_blocks.0.0.weight" };
  AtlCheckpoint *cp = atl_bundle_checkpoint (run->bundle, PART_UNET, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      const AtlTensorInfo *info = atl_denoiser_find (cp, names[i]);

      if (info != NULL && info->n_dims == 4)
        return info->dim[1];
    }
  return CHANNELS;
}

/* The mask in the picture's size; one that covers all when there is none. */
static AtlArray *
full_mask (const AtlRun *run, gint64 H, gint64 W, GError **error)
{
  AtlArray *mask;

  if (atl_run_input (run, "mask") != NULL)
    return atl_run_mask (run, H, W, error);
  mask = atl_array_new ("mask", ATL_DTYPE_F32, 4, (gint64[]){ 1, 1, H, W });
  atl_array_affine (mask, 1.0f, 1.0f);
  return mask;
}

static gboolean
read_pictures (AtlRun *run, AtlSd *self, GError **error)
{
  const AtlLatent *latent = &self->latent;
  gint64 H = latent->height * FACTOR, W = latent->width * FACTOR;
  gboolean has_image = atl_run_input (run, "image") != NULL;
  gboolean is_nine = unet_channels (run) > CHANNELS;
  g_autoptr (AtlArray) picture = NULL;
  g_autoptr (AtlArray) mask = NULL;

  if (!atl_vae_encode_input (run, latent, &self->clean, error))
    return FALSE;
  if (is_nine || (has_image && atl_run_input (run, "mask") != NULL))
    {
      mask = full_mask (run, H, W, error);
      if (mask == NULL)
        return FALSE;
      self->mask = atl_mask_shrink (mask, latent->height, latent->width);
    }
  if (is_nine)
    {
      picture = has_image ? atl_run_picture (run, "image", H, W, error)
                          : atl_array_new ("image", ATL_DTYPE_F32, 4, (gint64[]){ 1, 3, H, W });
      if (picture == NULL)
        return FALSE;
      blank (picture, mask);
      self->masked = atl_vae_encode (run, picture, latent, error);
      if (self->masked == NULL)
        return FALSE;
    }
  atl_parts_release (run->parts, "vae");
  return TRUE;
}

/* --- Sampling --- */

static AtlArray *
twice (const char *name, const AtlArray *array, gboolean is_guided)
{
  return atl_array_batch (name, is_guided ? array : NULL, array);
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
  AtlSd *self = user_data;
  g_autoptr (AtlRequest) request = atl_request_new ("forward");
  g_autoptr (AtlArray) output = NULL;
  g_autoptr (AtlArray) positive = NULL;

  atl_request_add (request, atl_array_number ("timestep", timestep));
  atl_request_add (request, twice ("latent", scaled, self->is_guided));
  atl_request_add (request, atl_array_copy (self->context, "context"));
  if (self->is_xl)
    {
      atl_request_add (request, atl_array_copy (self->pooled, "pooled"));
      atl_request_add (request, atl_array_copy (self->ids, "time_ids"));
    }
  if (self->masked != NULL)
    {
      atl_request_add (request, twice ("mask", self->mask, self->is_guided));
      atl_request_add (request, twice ("image_latent", self->masked, self->is_guided));
    }
  output = atl_run_output_of (run, PART_UNET, request, "output", error);
  if (output == NULL)
    return FALSE;
  atl_run_trace (run, "denoiser", output);
  atl_guide_batch (out, output, self->guidance);
  if (self->is_guided && self->rescale > 0)
    {
      positive = atl_array_rows (output, "positive", 1, 1);
      atl_guidance_rescale (out, positive, self->rescale);
    }
  return TRUE;
}

static void
keep_outside (AtlRun *run, AtlSchedule *schedule, guint call, AtlArray *x, gpointer user_data)
{
  const AtlSd *self = user_data;

  atl_latent_keep_outside (schedule, call, x, self->clean, self->noise, self->mask);
}

/* The latent that sampling begins with. */
static AtlArray *
start (AtlRun *run, AtlSd *self, AtlSchedule *schedule, guint *first, GError **error)
{
  gint64 dim[] = { 1, CHANNELS, self->latent.height, self->latent.width };
  double strength =
      CLAMP (atl_settings_number (run->settings, "strength", self->mask != NULL ? 1.0 : 0.6), 0, 1);
  gboolean from_picture = self->clean != NULL && !(self->mask != NULL && strength >= 1);
  AtlArray *x =
      atl_run_noise (run, self->clean != NULL ? "noise" : "initial_latent", 4, dim, error);

  if (x == NULL)
    return NULL;
  *first = 0;
  if (self->clean != NULL)
    self->noise = atl_array_copy (x, "noise");
  if (from_picture)
    {
      *first = atl_schedule_first_call (schedule, strength);
      if (atl_array_is_hollow (x))
        return x;
      if (*first < atl_schedule_n_calls (schedule))
        atl_schedule_add_noise (schedule, *first, atl_array_f32 (self->clean), atl_array_f32 (x),
                                atl_array_f32 (x), (gsize) atl_array_n_elems (x));
      else
        memcpy (x->data, self->clean->data, atl_array_size (x));
    }
  else
    atl_array_affine (x, (float) atl_schedule_init_noise_sigma (schedule), 0.0f);
  return x;
}

static gboolean
run_sd (AtlRun *run, gboolean is_xl, GError **error)
{
  g_auto (AtlSd) self = {
    .is_xl = is_xl,
    .guidance = atl_settings_number (run->settings, "guidance", is_xl ? 5.0 : 7.5),
    .rescale = atl_settings_number (run->settings, "guidance_rescale", 0),
    .latent = { .factor = FACTOR, .channels = CHANNELS, .scaling = is_xl ? 0.13025 : 0.18215 }
  };
  g_autoptr (AtlSchedule) schedule = NULL;
  AtlStepFunc after;
  AtlArray *x;
  guint first;

  self.is_guided = self.guidance > 1;
  if (!atl_latent_init (&self.latent, run, FACTOR, is_xl ? 1024 : 512, error))
    return FALSE;
  atl_run_progress (run, _ ("Reading the prompt"), 0, 0);
  if (!atl_sd_encode_text (run, &self, error))
    return FALSE;
  schedule = atl_run_schedule (run, error);
  if (schedule == NULL || !atl_run_set_steps (run, schedule, 20, NAN, error) ||
      !read_pictures (run, &self, error))
    return FALSE;
  x = start (run, &self, schedule, &first, error);
  if (x == NULL)
    return FALSE;
  after = self.mask != NULL && self.masked == NULL && self.clean != NULL ? keep_outside : NULL;
  x = atl_run_sample (run, schedule, first, x, PART_UNET, predict, after, &self, error);
  return x != NULL && atl_vae_decode (run, x, &self.latent, error);
}

/* --- The two families --- */

static gboolean
run_sd1 (AtlRun *run, GError **error)
{
  return run_sd (run, FALSE, error);
}

static gboolean
run_sdxl (AtlRun *run, GError **error)
{
  return run_sd (run, TRUE, error);
}

/* Both have a UNet; XL's also takes size numbers. */
static gboolean
is_xl_unet (const AtlCheckpoint *cp)
{
  return atl_denoiser_find (cp, "label_emb.0.0.weight") != NULL ||
         atl_denoiser_find (cp, "add_embedding.linear_1.weight") != NULL;
}

static gboolean
is_small_unet (const AtlCheckpoint *cp)
{
  return !is_xl_unet (cp);
}

#define ABILITIES                                                                                  \
  (ATL_CAN_PICTURE | ATL_CAN_NEGATIVE | ATL_CAN_IMAGE | ATL_CAN_MASK | ATL_CAN_WEIGHTS |           \
   ATL_CAN_GUIDANCE | ATL_CAN_LORA)
/* The pipelines correct what configurations say of these two. */
#define SCHEDULE                                                                                   \
  {                                                                                                \
    .name = "EulerDiscreteScheduler",                                                              \
    .config = "{\"beta_start\": 0.00085, \"beta_end\": 0.012, \"beta_schedule\": "                 \
              "\"scaled_linear\", \"set_alpha_to_one\": false}",                                   \
    .fixed = "{\"clip_sample\": false, \"steps_offset\": 1}"                                       \
  }

static const AtlKnob *const sd_knobs[] = { &atl_knob_faster,
                                           &atl_knob_method_of_whole,
                                           &atl_knob_weighting,
                                           &atl_knob_clip_skip,
                                           &atl_knob_guidance_rescale,
                                           &atl_knob_eta,
                                           NULL };

static const AtlPart sd_parts[] = {
  { PART_UNET, N_ ("the UNet"), "forward", "UNet2DConditionModel", NULL, FALSE },
  { "text_encoder", N_ ("the text encoder CLIP-L"), "encode_text", "CLIPTextModel", atl_is_clip_l,
    FALSE },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKL", atl_is_vae_of_4, FALSE },
  ATL_TINY_PART ("AutoencoderTiny", atl_is_taesd, NULL),
};

/* Beside the pooled vector 256 waves of each of six numbers are read: the size, the corner and the
 * size wanted; of five in the refiner. */
#define BESIDE(n) (n * 256)

static const char *const pooled_names[] = { "add_embedding.linear_1.weight", "label_emb.0.0.weight",
                                            NULL };

static gboolean
fits_pooled (AtlBundle *bundle, const AtlCheckpoint *cp)
{
  static const AtlTextReader refiner = { PART_UNET, pooled_names, .beside = BESIDE (5) };
  static const AtlTextReader base = { PART_UNET, pooled_names, .beside = BESIDE (6) };

  return atl_text_fits (bundle, cp, "text_encoder_2", &refiner) ||
         atl_text_fits (bundle, cp, "text_encoder_2", &base);
}

/* The refiner has bigG alone: the states that it attends to are as wide as its pooled vector. */
static gboolean
needs_clip_l (AtlBundle *bundle)
{
  const AtlCheckpoint *unet =
      atl_bundle_has (bundle, PART_UNET) ? atl_bundle_checkpoint (bundle, PART_UNET, NULL) : NULL;
  const AtlCheckpoint *second = atl_bundle_has (bundle, "text_encoder_2")
                                    ? atl_bundle_checkpoint (bundle, "text_encoder_2", NULL)
                                    : NULL;
  gint64 width = second != NULL ? atl_clip_pooled_width (second, "text_encoder_2") : 0;

  for (guint i = 0; unet != NULL && i < atl_checkpoint_n_tensors (unet); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (unet, i);

      if (info->n_dims == 2 && g_str_has_suffix (info->name, "attn2.to_k.weight"))
        return info->dim[1] != (width > 0 ? width : ATL_CLIP_G_WIDTH);
    }
  return FALSE;
}

static const AtlPart sdxl_parts[] = {
  { PART_UNET, N_ ("the UNet"), "forward", "UNet2DConditionModel", NULL, FALSE },
  { "text_encoder", N_ ("the text encoder CLIP-L"), "encode_text", "CLIPTextModel", atl_is_clip_l,
    TRUE, needs_clip_l },
  { "text_encoder_2", N_ ("the text encoder CLIP-G"), "encode_text", "CLIPTextModelWithProjection",
    atl_is_clip_g, FALSE, .fits = fits_pooled },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKL", atl_is_vae_of_4, FALSE },
  ATL_TINY_PART ("AutoencoderTiny", atl_is_taesdxl, NULL),
};

static const AtlPublished sd_published[] = {
  ATL_PUBLISHED_CLIP_WORDS ("tokenizer"),
  ATL_PUBLISHED_CLIP_L ("text_encoder"),
  { "vae", "stabilityai/sd-vae-ft-mse", "diffusion_pytorch_model.safetensors", 334643276 },
  { ATL_TINY_ROLE, "madebyollin/taesd", "diffusion_pytorch_model.safetensors", 0 },
};

static const AtlPublished sdxl_published[] = {
  ATL_PUBLISHED_CLIP_WORDS ("tokenizer"),
  ATL_PUBLISHED_CLIP_G_WORDS ("tokenizer_2"),
  ATL_PUBLISHED_CLIP_L ("text_encoder"),
  { "text_encoder_2", ATL_REPO_SDXL, "text_encoder_2/model.fp16.safetensors", 0 },
  { "vae", "stabilityai/sdxl-vae", "sdxl_vae.safetensors", 334641164 },
  { ATL_TINY_ROLE, "madebyollin/taesdxl", "diffusion_pytorch_model.safetensors", 0 },
};

const AtlDiffusionFamily atl_family_sd = {
  .name = "sd",
  .words = "Stable Diffusion 1.5",
  .pipelines = (const char *const[]){ "StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline",
                                      "StableDiffusionInpaintPipeline", NULL },
  .component = "sd-unet",
  .accepts = is_small_unet,
  .parts = sd_parts,
  .n_parts = G_N_ELEMENTS (sd_parts),
  .published = sd_published,
  .n_published = G_N_ELEMENTS (sd_published),
  .traits = { .abilities = ABILITIES,
              .multiple = FACTOR,
              .side = 512,
              .steps = 20,
              .guidance = 7,
              .frames = 1,
              .knobs = sd_knobs },
  .schedule = SCHEDULE,
  .first_timestep = 1000,
  .lora = { .bases = (const char *const[]){ "stable-diffusion-v1", "sd_v1", NULL },
            .text_width = 768 },
  .run = run_sd1,
};

const AtlDiffusionFamily atl_family_sdxl = {
  .name = "sdxl",
  .words = "Stable Diffusion XL",
  .pipelines =
      (const char *const[]){ "StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline",
                             "StableDiffusionXLInpaintPipeline", NULL },
  .component = "sd-unet",
  .accepts = is_xl_unet,
  .parts = sdxl_parts,
  .n_parts = G_N_ELEMENTS (sdxl_parts),
  .published = sdxl_published,
  .n_published = G_N_ELEMENTS (sdxl_published),
  .traits = { .abilities = ABILITIES,
              .multiple = FACTOR,
              .side = 1024,
              .steps = 20,
              .guidance = 5,
              .frames = 1,
              .knobs = sd_knobs },
  .schedule = SCHEDULE,
  .first_timestep = 1000,
  .lora = { .bases = (const char *const[]){ "stable-diffusion-xl", "sdxl", NULL },
            .text_width = 2048,
            .has_clip_g = TRUE },
  .run = run_sdxl,
};
