/* Chroma1 (diffusers 0.42.1 ChromaPipeline).
 *
 * Text: T5 with its mask, padded to 512 tokens; the transformer sees the text, its end and the
 * first padding token. Guidance neg + g (pos - neg) for g > 1, the negative prompt "" by default.
 * Steps from 1 down to 1/n, shifted by mu where the schedule says so. Latents and positions as in
 * Flux.1.
 *
 * Settings: prompt, negative_prompt, guidance, width, height, steps, strength, max_sequence_length,
 * scheduler, sigmas. Inputs: initial_latent [1, tokens, 64], image, noise [1, 16, H/8, W/8].
 */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <math.h>

#include "engine/diffusion/family-list.h"
#include "engine/diffusion/flux-tokens.h"
#include "engine/diffusion/knobs.h"
#include "engine/diffusion/latents.h"
#include "engine/diffusion/part-checks.h"
#include "engine/diffusion/published.h"
#include "engine/diffusion/t5-encode.h"

#define FACTOR 8
#define CHANNELS 16
#define MAX_TEXT 512

static gboolean
encode (AtlRun *run, gint64 n_tokens, const char *text, AtlFluxText *out, GError **error)
{
  static const AtlT5Encoder t5 = { "text_encoder", "tokenizer", MAX_TEXT, TRUE };
  gint64 n_valid, T;

  out->context = atl_t5_encode (run, &t5, text, &n_valid, error);
  if (out->context == NULL)
    return FALSE;
  T = out->context->dim[1];
  out->mask = atl_array_new ("attention_mask", ATL_DTYPE_I32, 2, (gint64[]){ 1, T + n_tokens });
  for (gint64 i = 0; i < out->mask->dim[1]; i++)
    atl_array_i32 (out->mask)[i] = i <= n_valid || i >= T;
  return TRUE;
}

static gboolean
encode_text (AtlRun *run, AtlFluxTokens *self, GError **error)
{
  gint64 n = self->image_ids->dim[0];

  atl_run_progress (run, _ ("Reading the prompt"), 0, 0);
  if (!encode (run, n, atl_settings_string (run->settings, "prompt", ""), &self->positive, error) ||
      (self->cfg_scale > 1 &&
       !encode (run, n, atl_settings_string (run->settings, "negative_prompt", ""), &self->negative,
                error)))
    return FALSE;
  atl_run_trace (run, "context", self->positive.context);
  atl_parts_release (run->parts, "text_encoder");
  self->context_ids = atl_array_new ("context_ids", ATL_DTYPE_F32, 2,
                                     (gint64[]){ self->positive.context->dim[1], 3 });
  return TRUE;
}

static gboolean
run_chroma (AtlRun *run, GError **error)
{
  AtlLatent size = { .factor = FACTOR, .channels = CHANNELS, .scaling = 0.3611, .shift = 0.1159 };
  g_auto (AtlFluxTokens)
      tokens = { .guidance = NAN, .cfg_scale = atl_settings_number (run->settings, "guidance", 5) };
  g_autoptr (AtlSchedule) schedule = NULL;
  g_autoptr (AtlArray) latent = NULL;
  g_autoptr (AtlArray) clean = NULL;

  if (!atl_latent_init (&size, run, 2 * FACTOR, 1024, error))
    return FALSE;
  tokens.image_ids = atl_grid_ids ("image_ids", 3, 0, size.height / 2, size.width / 2);
  if (!encode_text (run, &tokens, error))
    return FALSE;
  schedule = atl_run_schedule (run, error);
  if (schedule == NULL ||
      !atl_run_set_flow_steps (run, schedule, 35,
                               atl_schedule_mu (schedule, (double) tokens.image_ids->dim[0]),
                               error) ||
      !atl_vae_encode_input (run, &size, &clean, error))
    return FALSE;
  latent = atl_flow_draw (run, schedule,
                          &(AtlFlowWalk){ .latent = &size,
                                          .channels = CHANNELS,
                                          .clean = clean,
                                          .is_packed = TRUE,
                                          .predict = atl_flux_tokens_predict },
                          &tokens, error);
  return latent != NULL && atl_vae_decode (run, latent, &size, error);
}

/* --- The family --- */

static const char *const text_names[] = { "context_embedder.weight", "txt_in.weight", NULL };
static const AtlTextReader text_reader = { "transformer", text_names, 1 };

static const AtlPart chroma_parts[] = {
  { "transformer", N_ ("the denoiser"), "forward", "ChromaTransformer2DModel", NULL, FALSE },
  { "text_encoder", N_ ("the text encoder T5"), "encode_text", "T5EncoderModel", atl_is_t5, FALSE,
    .reader = &text_reader },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKL", atl_is_vae_of_16, FALSE },
  ATL_TINY_PART ("AutoencoderTiny", atl_is_taef1, NULL),
};

static const AtlPublished chroma_published[] = {
  ATL_PUBLISHED_T5_WORDS ("tokenizer"),
  ATL_PUBLISHED_T5 ("text_encoder"),
  ATL_PUBLISHED_FLUX_VAE ("vae"),
  ATL_PUBLISHED_TAEF1 (ATL_TINY_ROLE),
};

const AtlDiffusionFamily atl_family_chroma = {
  .name = "chroma",
  .words = "Chroma",
  .pipelines = (const char *const[]){ "ChromaPipeline", "ChromaImg2ImgPipeline", NULL },
  .component = "chroma",
  .parts = chroma_parts,
  .n_parts = G_N_ELEMENTS (chroma_parts),
  .published = chroma_published,
  .n_published = G_N_ELEMENTS (chroma_published),
  .traits = { .abilities = ATL_CAN_PICTURE | ATL_CAN_NEGATIVE | ATL_CAN_IMAGE | ATL_CAN_GUIDANCE |
                           ATL_CAN_LORA,
              .multiple = 2 * FACTOR,
              .side = 1024,
              .steps = 35,
              .guidance = 5,
              .frames = 1,
              .is_flow = TRUE,
              .knobs = (const AtlKnob *const[]){ &atl_knob_faster, &atl_knob_method_of_attention,
                                                 NULL } },
  .schedule = { .name = "FlowMatchEulerDiscreteScheduler", .config = "{\"shift\": 1.0}" },
  .first_timestep = 1,
  /* It is made from Flux. */
  .lora = { .bases = (const char *const[]){ "chroma", NULL }, .shared = &atl_family_flux },
  .run = run_chroma,
};
