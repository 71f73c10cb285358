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
#include "engine/diffusion/latents.h"
#include "engine/diffusion/sd-private.h"

#define CHANNELS 4
#define PART_UNET "unet"

static const char betas[] = "{\"beta_start\": 0.00085, \"beta_end\": 0.012, \"beta_schedule\": "
                            "\"scaled_linear\", \"set_alpha_to_one\": false}";
/* What the pipelines correct in configurations. */
static const char corrections[] = "{\"clip_sample\": false, \"steps_offset\": 1}";

/* --- Pictures to start from --- */

/* Grey, which is 0, wherever the mask says paint. */
static void
blank (AtlArray *picture, const AtlArray *mask)
{
  gint64 n = picture->dim[2] * picture->dim[3];

  for (gint64 c = 0; c < 3; c++)
    for (gint64 i = 0; i < n; i++)
      if (atl_array_f32 (mask)[i] >= 0.5f)
        atl_array_f32 (picture)[c * n + i] = 0.0f;
}

/* The mask in the picture's size; one that covers all when there is none. */
static AtlArray *
full_mask (const AtlRun *run, gint64 H, gint64 W, GError **error)
{
  const AtlArray *given = atl_run_input (run, "mask");
  AtlArray *mask;

  if (given == NULL)
    {
      mask = atl_array_new ("mask", ATL_DTYPE_F32, 4, (gint64[]){ 1, 1, H, W });
      atl_array_affine (mask, 1.0f, 1.0f);
      return mask;
    }
  if (given->dtype != ATL_DTYPE_F32 || given->n_dims != 4 || given->dim[0] != 1 ||
      given->dim[1] != 1 || given->dim[2] != H || given->dim[3] != W)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The mask must have the size of the picture, %d × %d pixels"), (int) W,
                   (int) H);
      return NULL;
    }
  return atl_array_copy (given, "mask");
}

static gint64
unet_channels (AtlRun *run)
{
  static const char *const names[] = { "conv_in.weight",
                                       "model.diffusion_model.input_blocks.0.0.weight" };
  AtlCheckpoint *cp = atl_bundle_checkpoint (run->bundle, PART_UNET, NULL);

  for (gsize i = 0; cp != NULL && i < G_N_ELEMENTS (names); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_find (cp, names[i]);
      if (info != NULL && info->n_dims == 4)
        return info->dim[1];
    }
  return CHANNELS;
}

static gboolean
read_pictures (AtlRun *run, AtlSd *self, GError **error)
{
  gint64 H = self->height * ATL_SD_FACTOR, W = self->width * ATL_SD_FACTOR;
  gboolean has_image = atl_run_input (run, "image") != NULL;
  gboolean is_nine = unet_channels (run) > CHANNELS;
  g_autoptr (AtlArray) picture = NULL;
  g_autoptr (AtlArray) mask = NULL;

  if (!has_image && !is_nine)
    return TRUE;
  atl_run_progress (run, _ ("Looking at the picture"), 0, 0);
  picture = has_image ? atl_run_picture (run, "image", H, W, error)
                      : atl_array_new ("image", ATL_DTYPE_F32, 4, (gint64[]){ 1, 3, H, W });
  if (picture == NULL)
    return FALSE;
  if (has_image)
    {
      self->clean = atl_vae_encode (run, picture, self->scaling, 0, error);
      if (self->clean == NULL)
        return FALSE;
    }
  if (is_nine || atl_run_input (run, "mask") != NULL)
    {
      mask = full_mask (run, H, W, error);
      if (mask == NULL)
        return FALSE;
      self->mask = atl_mask_shrink (mask, self->height, self->width);
    }
  if (is_nine)
    {
      blank (picture, mask);
      self->masked = atl_vae_encode (run, picture, self->scaling, 0, error);
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
  g_autoptr (AtlArray) negative = NULL;
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
  if (!self->is_guided)
    {
      memcpy (out->data, output->data, atl_array_size (out));
      return TRUE;
    }
  negative = atl_array_rows (output, "negative", 0, 1);
  positive = atl_array_rows (output, "positive", 1, 1);
  atl_guide (out, negative, positive, self->guidance);
  if (self->rescale > 0)
    atl_guidance_rescale (out, positive, self->rescale);
  return TRUE;
}

/* What was not to be painted becomes the picture again, as noisy as the next step expects it. */
static void
keep_outside (AtlRun *run, AtlSchedule *schedule, guint call, AtlArray *x, gpointer user_data)
{
  AtlSd *self = user_data;
  gint64 n = self->height * self->width;
  g_autoptr (AtlArray) outside = atl_array_copy (self->clean, "outside");

  if (call + 1 < atl_schedule_n_calls (schedule))
    atl_schedule_add_noise (schedule, call + 1, atl_array_f32 (self->clean),
                            atl_array_f32 (self->noise), atl_array_f32 (outside),
                            (gsize) atl_array_n_elems (outside));
  for (gint64 c = 0; c < CHANNELS; c++)
    for (gint64 i = 0; i < n; i++)
      if (atl_array_f32 (self->mask)[i] == 0.0f)
        atl_array_f32 (x)[c * n + i] = atl_array_f32 (outside)[c * n + i];
}

/* The latent that sampling begins with. */
static AtlArray *
start (AtlRun *run, AtlSd *self, AtlSchedule *schedule, guint *first, GError **error)
{
  gint64 dim[] = { 1, CHANNELS, self->height, self->width };
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
  g_auto (AtlSd)
      self = { .is_xl = is_xl,
               .guidance = atl_settings_number (run->settings, "guidance", is_xl ? 5.0 : 7.5),
               .rescale = atl_settings_number (run->settings, "guidance_rescale", 0) };
  AtlCheckpoint *vae = atl_bundle_checkpoint (run->bundle, "vae", error);
  g_autoptr (AtlSchedule) schedule = NULL;
  AtlArray *x;
  guint first;

  if (vae == NULL)
    return FALSE;
  self.scaling = is_xl ? 0.13025 : 0.18215;
  atl_checkpoint_get_float (vae, "scaling_factor", 1e-6, 1e6, &self.scaling, NULL);
  self.is_guided = self.guidance > 1;
  atl_run_size (run, ATL_SD_FACTOR, is_xl ? 1024 : 512, &self.width, &self.height);
  self.width /= ATL_SD_FACTOR;
  self.height /= ATL_SD_FACTOR;

  atl_run_progress (run, _ ("Reading the prompt"), 0, 0);
  if (!atl_sd_encode_text (run, &self, error))
    return FALSE;
  schedule = atl_run_schedule (run, "EulerDiscreteScheduler", betas, corrections, error);
  if (schedule == NULL || !atl_run_set_steps (run, schedule, 20, NAN, error) ||
      !read_pictures (run, &self, error))
    return FALSE;
  x = start (run, &self, schedule, &first, error);
  if (x == NULL)
    return FALSE;
  if (!atl_run_sample (run, schedule, first, x, predict,
                       self.mask != NULL && self.masked == NULL && self.clean != NULL ? keep_outside
                                                                                      : NULL,
                       &self, error))
    {
      atl_array_free (x);
      return FALSE;
    }
  atl_parts_release (run->parts, PART_UNET);
  atl_run_take_output (run, "final_latent", x);
  return atl_vae_decode (run, x, self.scaling, 0, error);
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
  return atl_checkpoint_find (cp, "model.diffusion_model.label_emb.0.0.weight") != NULL ||
         atl_checkpoint_find (cp, "add_embedding.linear_1.weight") != NULL;
}

static gboolean
recognises_sd (AtlBundle *bundle, GError **error)
{
  AtlCheckpoint *cp = atl_bundle_loose (bundle, "sd-unet", error);

  return cp != NULL && !is_xl_unet (cp);
}

static gboolean
recognises_sdxl (AtlBundle *bundle, GError **error)
{
  AtlCheckpoint *cp = atl_bundle_loose (bundle, "sd-unet", error);

  return cp != NULL && is_xl_unet (cp);
}

static void
sd_traits (AtlBundle *bundle, AtlTraits *traits)
{
  traits->abilities |= ATL_CAN_NEGATIVE | ATL_CAN_IMAGE | ATL_CAN_MASK | ATL_CAN_WEIGHTS;
}

static void
sdxl_traits (AtlBundle *bundle, AtlTraits *traits)
{
  sd_traits (bundle, traits);
  traits->side = 1024;
  traits->guidance = 5.0;
}

static const AtlPart sd_parts[] = {
  { PART_UNET, N_ ("the UNet"), "forward", "UNet2DConditionModel", NULL, FALSE },
  { "text_encoder", N_ ("the text encoder CLIP-L"), "encode_text", "CLIPTextModel", atl_is_clip_l,
    FALSE },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKL", NULL, FALSE },
};

/* The refiner has bigG alone. */
static const AtlPart sdxl_parts[] = {
  { PART_UNET, N_ ("the UNet"), "forward", "UNet2DConditionModel", NULL, FALSE },
  { "text_encoder", N_ ("the text encoder CLIP-L"), "encode_text", "CLIPTextModel", atl_is_clip_l,
    TRUE },
  { "text_encoder_2", N_ ("the text encoder CLIP-G"), "encode_text", "CLIPTextModelWithProjection",
    atl_is_clip_g, FALSE },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKL", NULL, FALSE },
};

const AtlDiffusionFamily atl_family_sd = {
  .name = "sd",
  .words = "Stable Diffusion 1.5",
  .pipelines = (const char *const[]){ "StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline",
                                      "StableDiffusionInpaintPipeline", NULL },
  .recognises = recognises_sd,
  .parts = sd_parts,
  .n_parts = G_N_ELEMENTS (sd_parts),
  .traits = sd_traits,
  .run = run_sd1,
};

const AtlDiffusionFamily atl_family_sdxl = {
  .name = "sdxl",
  .words = "Stable Diffusion XL",
  .pipelines =
      (const char *const[]){ "StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline",
                             "StableDiffusionXLInpaintPipeline", NULL },
  .recognises = recognises_sdxl,
  .parts = sdxl_parts,
  .n_parts = G_N_ELEMENTS (sdxl_parts),
  .traits = sdxl_traits,
  .run = run_sdxl,
};
