/* Stable Diffusion 3 and 3.5 (diffusers 0.42.1, pipelines/stable_diffusion_3).
 *
 * Text: the last but one layers of CLIP-L and CLIP-G without final norm side by side, zeros up to
 * the width of T5, behind them T5's tokens, whose padding is attended to; without T5 zeros. Pooled:
 * the projected vectors of both CLIPs. Guidance: neg + g (pos - neg) for g > 1, in a batch of two;
 * skip-layer guidance adds s (pos - skipped) in calls after start * calls and before stop * calls,
 * skipped being the positive text through the network without those blocks. From a picture: its
 * latent's mean with noise of the first step. Latents: (mean - shift) * scaling.
 *
 * Settings: prompt, prompt_2 (CLIP-G), prompt_3 (T5), the same with negative_; width, height,
 * steps, guidance, strength, clip_skip, weighting, max_sequence_length, mu, skip_guidance_layers,
 * skip_layer_guidance_scale, skip_layer_guidance_start, skip_layer_guidance_stop. Inputs: image,
 * initial_latent or noise [1, 16, H/8, W/8].
 */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/diffusion/clip-encode.h"
#include "engine/diffusion/family-list.h"
#include "engine/diffusion/knobs.h"
#include "engine/diffusion/latents.h"
#include "engine/diffusion/missing.h"
#include "engine/diffusion/part-checks.h"
#include "engine/diffusion/published.h"
#include "engine/diffusion/t5-encode.h"
#include "engine/diffusion/tokens.h"

#define CHANNELS 16
#define FACTOR 8
#define MAX_TEXT 256
#define MAX_TABLE_SIDE 8192
#define PART_T5 "text_encoder_3"
#define PART_DENOISER "transformer"

typedef struct
{
  gboolean is_guided;
  double guidance;
  AtlLatent latent;
  double skip_scale, skip_start, skip_stop; /* of skip-layer guidance */
  AtlArray *skip;                           /* (owned, nullable) its blocks */
  guint n_calls;
  AtlArray *context, *pooled; /* (owned) negative first when guided */
} Sd3;

static void
sd3_clear (Sd3 *self)
{
  g_clear_pointer (&self->skip, atl_array_free);
  g_clear_pointer (&self->context, atl_array_free);
  g_clear_pointer (&self->pooled, atl_array_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Sd3, sd3_clear)

/* --- Text --- */

/* The width of the text that the denoiser takes; 0 when there is no telling. */
static gint64
text_width (AtlRun *run)
{
  const AtlTensorInfo *info = atl_denoiser_find (
      atl_bundle_checkpoint (run->bundle, PART_DENOISER, NULL), "context_embedder.weight");

  return info != NULL && info->n_dims == 2 ? info->dim[1] : 0;
}

/* Its table of positions is a square, a row a token; 0 without one, which the denoiser refuses. */
static gint64
max_side (AtlBundle *bundle)
{
  const AtlCheckpoint *cp = atl_bundle_checkpoint (bundle, PART_DENOISER, NULL);
  const AtlTensorInfo *info = atl_denoiser_find (cp, "pos_embed.pos_embed");
  gint64 n, side = 0;

  if (info == NULL)
    info = atl_denoiser_find (cp, "pos_embed");
  n = info != NULL && info->n_dims >= 2 ? info->dim[info->n_dims - 2] : 0;
  while (side < MAX_TABLE_SIDE && (side + 1) * (side + 1) <= n)
    side++;
  return side * 2 * FACTOR;
}

static void
sd3_refine (AtlBundle *bundle, AtlTraits *traits)
{
  traits->max_side = (guint) max_side (bundle);
}

static gboolean
check_size (AtlRun *run, const AtlLatent *latent, GError **error)
{
  gint64 side = max_side (run->bundle);

  if (side == 0 || MAX (latent->width, latent->height) * FACTOR <= side)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               _ ("This model makes pictures of up to %d × %d pixels, not of %d × %d"), (int) side,
               (int) side, (int) latent->width * FACTOR, (int) latent->height * FACTOR);
  return FALSE;
}

/* `text` [B, T, n] with zeros up to `width` channels. */
static AtlArray *
widen (const AtlArray *text, gint64 width)
{
  gint64 n = text->dim[2], rows = text->dim[0] * text->dim[1];
  AtlArray *wide =
      atl_array_new ("context", ATL_DTYPE_F32, 3, (gint64[]){ text->dim[0], text->dim[1], width });

  for (gint64 i = 0; i < rows; i++)
    memcpy (atl_array_f32 (wide) + i * width, atl_array_f32 (text) + i * n,
            (gsize) n * sizeof (float));
  return wide;
}

/* Both texts through both CLIPs: hidden [B, T, n], pooled [B, n], the negative first. */
static gboolean
encode_clip (AtlRun *run, Sd3 *self, AtlArray **hidden, GError **error)
{
  int skip = (int) CLAMP (atl_settings_number (run->settings, "clip_skip", 0), 0, 10);
  AtlClipEncoder encoders[2] = { { "text_encoder", "tokenizer", -2 - skip, FALSE },
                                 { "text_encoder_2", "tokenizer_2", -2 - skip, FALSE } };
  g_autoptr (GPtrArray) states = atl_arrays_new ();
  g_autoptr (GPtrArray) pooled = atl_arrays_new ();

  for (guint i = 0; i < 2; i++)
    {
      g_auto (AtlClipText) negative = { 0 };
      g_auto (AtlClipText) positive = { 0 };

      if (!atl_clip_encode_pair (run, &encoders[i],
                                 self->is_guided ? atl_run_text_for (run, "negative_prompt", i)
                                                 : NULL,
                                 atl_run_text_for (run, "prompt", i), &negative, &positive, error))
        return FALSE;
      atl_parts_release (run->parts, encoders[i].encoder);
      if (positive.pooled == NULL)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                       _ ("The text encoder %s has no projection, so it is not one of Stable "
                          "Diffusion 3"),
                       i == 0 ? "CLIP-L" : "CLIP-G");
          return FALSE;
        }
      g_ptr_array_add (states, atl_array_batch ("hidden", negative.hidden, positive.hidden));
      g_ptr_array_add (pooled, atl_array_batch ("pooled", negative.pooled, positive.pooled));
    }
  self->pooled = atl_array_join ("pooled", 1, 2, (const AtlArray *const *) pooled->pdata);
  return atl_clip_side_by_side (states->pdata[0], states->pdata[1], hidden, error);
}

/* Both texts through T5, [B, T, width]; zeros without it or its vocabulary, as the authors have it
 * where T5 is left out. */
static AtlArray *
encode_t5 (AtlRun *run, const Sd3 *self, gint64 width, GError **error)
{
  static const AtlT5Encoder t5 = { PART_T5, "tokenizer_3", MAX_TEXT, FALSE };
  g_autoptr (AtlArray) negative = NULL;
  g_autoptr (AtlArray) positive = NULL;

  if (!atl_bundle_has (run->bundle, PART_T5) || !atl_has_vocabulary (run->bundle, PART_T5))
    {
      gint64 n = atl_run_text_length (run, MAX_TEXT, MAX_TEXT);

      return atl_array_new ("context", ATL_DTYPE_F32, 3,
                            (gint64[]){ self->is_guided ? 2 : 1, n, width });
    }
  if (self->is_guided)
    {
      negative =
          atl_t5_encode (run, &t5, atl_run_text_for (run, "negative_prompt", 2), NULL, error);
      if (negative == NULL)
        return NULL;
    }
  positive = atl_t5_encode (run, &t5, atl_run_text_for (run, "prompt", 2), NULL, error);
  if (positive == NULL)
    return NULL;
  atl_parts_release (run->parts, PART_T5);
  return atl_array_batch ("context", negative, positive);
}

static gboolean
encode_text (AtlRun *run, Sd3 *self, GError **error)
{
  gint64 width = text_width (run);
  g_autoptr (AtlArray) clip = NULL;
  g_autoptr (AtlArray) wide = NULL;
  g_autoptr (AtlArray) t5 = NULL;

  atl_run_progress (run, _ ("Reading the prompt"), 0, 0);
  if (!encode_clip (run, self, &clip, error))
    return FALSE;
  t5 = encode_t5 (run, self, MAX (width, clip->dim[2]), error);
  if (t5 == NULL)
    return FALSE;
  if (t5->dim[2] != width || clip->dim[2] > width)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("The text encoders give %d and %d numbers a token; this model takes %d"),
                   (int) clip->dim[2], (int) t5->dim[2], (int) width);
      return FALSE;
    }
  wide = widen (clip, width);
  self->context = atl_array_join ("context", 1, 2, (const AtlArray *const[]){ wide, t5 });
  atl_run_trace (run, "text", self->context);
  atl_run_trace (run, "pooled", self->pooled);
  return TRUE;
}

/* --- Sampling --- */

/* The denoiser on the rows from `first` on of the texts. */
static AtlArray *
forward (AtlRun *run,
         const Sd3 *self,
         const AtlArray *scaled,
         double timestep,
         gint64 first,
         gint64 n,
         const AtlArray *skip,
         GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("forward");

  atl_request_add (request, atl_array_number ("timestep", timestep));
  atl_request_add (request, atl_array_batch ("latent", n == 2 ? scaled : NULL, scaled));
  atl_request_add (request, atl_array_rows (self->context, "context", first, n));
  atl_request_add (request, atl_array_rows (self->pooled, "pooled", first, n));
  if (skip != NULL)
    atl_request_add (request, atl_array_copy (skip, "skip_layers"));
  return atl_run_output_of (run, PART_DENOISER, request, "output", error);
}

/* out += scale * (positive - without the blocks). */
static gboolean
guide_by_skipping (AtlRun *run,
                   const Sd3 *self,
                   const AtlArray *scaled,
                   double timestep,
                   const AtlArray *positive,
                   AtlArray *out,
                   GError **error)
{
  g_autoptr (AtlArray) skipped = forward (run, self, scaled, timestep, 1, 1, self->skip, error);
  float scale = (float) self->skip_scale;

  if (skipped == NULL)
    return FALSE;
  for (gint64 i = 0; i < atl_array_n_elems (out); i++)
    atl_array_f32 (out)[i] += scale * (atl_array_f32 (positive)[i] - atl_array_f32 (skipped)[i]);
  return TRUE;
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
  const Sd3 *self = user_data;
  g_autoptr (AtlArray) output =
      forward (run, self, scaled, timestep, 0, self->is_guided ? 2 : 1, NULL, error);
  g_autoptr (AtlArray) positive = NULL;

  if (output == NULL)
    return FALSE;
  if (call == 0)
    atl_run_trace (run, "first_output", output);
  atl_guide_batch (out, output, self->guidance);
  if (!self->is_guided || self->skip == NULL || call <= self->n_calls * self->skip_start ||
      call >= self->n_calls * self->skip_stop)
    return TRUE;
  positive = atl_array_rows (output, "positive", 1, 1);
  return guide_by_skipping (run, self, scaled, timestep, positive, out, error);
}

static void
read_skipping (AtlRun *run, Sd3 *self)
{
  guint n;
  g_autofree double *layers = atl_settings_numbers (run->settings, "skip_guidance_layers", &n);

  self->skip_scale = atl_settings_number (run->settings, "skip_layer_guidance_scale", 2.8);
  self->skip_start = atl_settings_number (run->settings, "skip_layer_guidance_start", 0.01);
  self->skip_stop = atl_settings_number (run->settings, "skip_layer_guidance_stop", 0.2);
  if (n == 0)
    return;
  self->skip = atl_array_new ("skip_layers", ATL_DTYPE_I32, 1, (gint64[]){ n });
  for (guint i = 0; i < n; i++)
    atl_array_i32 (self->skip)[i] = (gint32) CLAMP (layers[i], -1, G_MAXINT16);
}

static gboolean
run_sd3 (AtlRun *run, GError **error)
{
  g_auto (Sd3) self = {
    .guidance = atl_settings_number (run->settings, "guidance", 7.0),
    .latent = { .factor = FACTOR, .channels = CHANNELS, .scaling = 1.5305, .shift = 0.0609 }
  };
  g_autoptr (AtlSchedule) schedule = NULL;
  g_autoptr (AtlArray) clean = NULL;
  g_autoptr (AtlArray) latent = NULL;
  double mu;

  self.is_guided = self.guidance > 1;
  read_skipping (run, &self);
  /* Two rows and columns of a latent make a token. */
  if (!atl_latent_init (&self.latent, run, 2 * FACTOR, 1024, error) ||
      !check_size (run, &self.latent, error) || !encode_text (run, &self, error))
    return FALSE;
  schedule = atl_run_schedule (run, error);
  if (schedule == NULL)
    return FALSE;
  mu = atl_settings_number (
      run->settings, "mu",
      atl_schedule_mu (schedule, (double) (self.latent.height / 2 * (self.latent.width / 2))));
  if (!atl_run_set_steps (run, schedule, 28, mu, error) ||
      !atl_vae_encode_input (run, &self.latent, &clean, error))
    return FALSE;
  self.n_calls = atl_schedule_n_calls (schedule);
  latent = atl_flow_draw (
      run, schedule,
      &(AtlFlowWalk){
          .latent = &self.latent, .channels = CHANNELS, .clean = clean, .predict = predict },
      &self, error);
  return latent != NULL && atl_vae_decode (run, latent, &self.latent, error);
}

/* --- The family --- */

static const char *const text_names[] = { "context_embedder.weight", NULL };
static const AtlTextReader text_reader = { PART_DENOISER, text_names, 1 };

/* The pooled vectors of both CLIPs side by side. */
static const char *const pooled_names[] = { "time_text_embed.text_embedder.linear_1.weight",
                                            "y_embedder.mlp.0.weight", NULL };
static const AtlTextReader clip_l_reader = { PART_DENOISER, pooled_names, .other = "text_encoder_2",
                                             .usual = ATL_CLIP_G_WIDTH };
static const AtlTextReader clip_g_reader = { PART_DENOISER, pooled_names, .other = "text_encoder",
                                             .usual = ATL_CLIP_L_WIDTH };

static const AtlPart sd3_parts[] = {
  { PART_DENOISER, N_ ("the denoiser"), "forward", "SD3Transformer2DModel", NULL, FALSE },
  { "text_encoder", N_ ("the text encoder CLIP-L"), "encode_text", "CLIPTextModelWithProjection",
    atl_is_clip_l, FALSE, .reader = &clip_l_reader },
  { "text_encoder_2", N_ ("the text encoder CLIP-G"), "encode_text", "CLIPTextModelWithProjection",
    atl_is_clip_g, FALSE, .reader = &clip_g_reader },
  { PART_T5, N_ ("the text encoder T5"), "encode_text", "T5EncoderModel", atl_is_t5, TRUE,
    .reader = &text_reader },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKL", atl_is_vae_of_16, FALSE },
  ATL_TINY_PART ("AutoencoderTiny", atl_is_taesd3, NULL),
};

static const AtlPublished sd3_published[] = {
  ATL_PUBLISHED_CLIP_WORDS ("tokenizer"),
  ATL_PUBLISHED_CLIP_G_WORDS ("tokenizer_2"),
  ATL_PUBLISHED_T5_WORDS ("tokenizer_3"),
  { "text_encoder", "Comfy-Org/stable-diffusion-3.5-fp8", "text_encoders/clip_l.safetensors",
    246144152 },
  { "text_encoder_2", "Comfy-Org/stable-diffusion-3.5-fp8", "text_encoders/clip_g.safetensors", 0 },
  ATL_PUBLISHED_T5 (PART_T5),
  { "vae", "stabilityai/stable-diffusion-3.5-medium", "vae/diffusion_pytorch_model.safetensors",
    0 },
  { ATL_TINY_ROLE, "madebyollin/taesd3", "diffusion_pytorch_model.safetensors", 0 },
};

const AtlDiffusionFamily atl_family_sd3 = {
  .name = "sd3",
  .words = "Stable Diffusion 3",
  .pipelines =
      (const char *const[]){ "StableDiffusion3Pipeline", "StableDiffusion3Img2ImgPipeline", NULL },
  .component = "sd3",
  .parts = sd3_parts,
  .n_parts = G_N_ELEMENTS (sd3_parts),
  .published = sd3_published,
  .n_published = G_N_ELEMENTS (sd3_published),
  .traits = { .abilities = ATL_CAN_PICTURE | ATL_CAN_NEGATIVE | ATL_CAN_IMAGE | ATL_CAN_WEIGHTS |
                           ATL_CAN_GUIDANCE | ATL_CAN_LORA,
              .multiple = 2 * FACTOR,
              .side = 1024,
              .steps = 28,
              .guidance = 5,
              .frames = 1,
              .is_flow = TRUE,
              .knobs = (const AtlKnob *const[]){ &atl_knob_faster, &atl_knob_method_of_parts,
                                                 &atl_knob_weighting, &atl_knob_shift, NULL } },
  .schedule = { .name = "FlowMatchEulerDiscreteScheduler", .config = "{\"shift\": 3.0}" },
  .first_timestep = 1000,
  .lora = { .bases = (const char *const[]){ "stable-diffusion-3", "sd3", NULL },
            .marks = (const char *const[]){ "joint_blocks_", NULL },
            .hyper_strength = 0.125,
            .hyper_guidance = { 3, 5, 7 } },
  .refine = sd3_refine,
  .run = run_sd3,
};
