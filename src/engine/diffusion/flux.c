/* Flux.1: dev, schnell, Fill, Kontext (diffusers 0.42.1, pipelines/flux).
 *
 * Text: CLIP's pooled vector and T5 without a mask, padded to 512 tokens (schnell 256), so that its
 * length is part of the result. Tokens are 2x2 patches of the latent, their positions (0, row,
 * column), text's all 0. Steps from 1 down to 1/n, shifted by mu of the number of tokens where the
 * schedule says so. The guidance (3.5) is an input of dev; true_cfg_scale > 1 with a negative
 * prompt runs twice.
 *
 * From a picture: begins at n - n strength. Fill: [latent, masked picture's latent, mask of 8x8
 * pixels as channels], the mask cut at one half. Kontext: the reference's tokens lie behind, their
 * positions (1, row, column); the output's are cut off.
 *
 * Settings: prompt, prompt_2, negative_prompt, true_cfg_scale, guidance, width, height, steps,
 * strength, max_sequence_length, scheduler, sigmas. Inputs: initial_latent [1, tokens, 64], image,
 * mask, noise [1, 16, H/8, W/8].
 */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/diffusion/clip-encode.h"
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
#define FILL_WIDTH 384 /* numbers of Fill's tokens */

typedef struct
{
  AtlLatent latent;
  AtlFluxTokens tokens;
} Flux;

static void
flux_clear (Flux *self)
{
  atl_flux_tokens_clear (&self->tokens);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Flux, flux_clear)

#define EDITING_WORD "kontext"

typedef enum
{
  DRAWS,
  FILLS,
  FOLLOWS
} Kind;

/* By the pipeline's class, else by what the denoiser's file holds or is called: Kontext's network
 * is that of dev. */
static Kind
kind_of (AtlBundle *bundle, const char *pipeline)
{
  static const char *const names[] = { "x_embedder.weight", "img_in.weight" };
  AtlCheckpoint *cp;

  if (pipeline != NULL)
    return g_str_equal (pipeline, "FluxFillPipeline")      ? FILLS
           : g_str_equal (pipeline, "FluxKontextPipeline") ? FOLLOWS
                                                           : DRAWS;
  cp = atl_bundle_checkpoint (bundle, "transformer", NULL);
  if (cp == NULL)
    return DRAWS;
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      const AtlTensorInfo *info = atl_denoiser_find (cp, names[i]);

      if (info != NULL && info->n_dims == 2 && info->dim[1] == FILL_WIDTH)
        return FILLS;
    }
  return atl_denoiser_is_called (cp, (const char *const[]){ EDITING_WORD, NULL }) ? FOLLOWS : DRAWS;
}

/* --- Text --- */

static gboolean
encode (AtlRun *run, const char *text, const char *text_2, AtlFluxText *out, GError **error)
{
  static const AtlClipEncoder clip = { "text_encoder", "tokenizer", -1, TRUE };
  static const AtlT5Encoder t5 = { "text_encoder_2", "tokenizer_2", MAX_TEXT, FALSE };
  AtlTokenizer *tokenizer = atl_bundle_tokenizer (run->bundle, clip.tokenizer, error);
  g_auto (AtlClipText) first = { 0 };
  g_autoptr (AtlClipPrompt) prompt = NULL;

  if (tokenizer == NULL)
    return FALSE;
  /* The whole prompt gives one vector: there is nothing to weigh. */
  prompt = atl_clip_prompt_new (tokenizer, text, ATL_PROMPT_PLAIN, -1, error);
  if (prompt == NULL || !atl_clip_encode (run, &clip, prompt, &first, error))
    return FALSE;
  out->pooled = g_steal_pointer (&first.pooled);
  out->context = atl_t5_encode (run, &t5, text_2, NULL, error);
  return out->context != NULL;
}

static gboolean
encode_text (AtlRun *run, AtlFluxTokens *self, GError **error)
{
  const char *prompt = atl_settings_string (run->settings, "prompt", "");
  const char *negative = atl_settings_string (run->settings, "negative_prompt", NULL);

  atl_run_progress (run, _ ("Reading the prompt"), 0, 0);
  if (!encode (run, prompt, atl_settings_string (run->settings, "prompt_2", prompt),
               &self->positive, error))
    return FALSE;
  if (self->cfg_scale > 1 && negative != NULL &&
      !encode (run, negative, atl_settings_string (run->settings, "negative_prompt_2", negative),
               &self->negative, error))
    return FALSE;
  atl_run_trace (run, "context", self->positive.context);
  atl_run_trace (run, "pooled", self->positive.pooled);
  atl_parts_release (run->parts, "text_encoder");
  atl_parts_release (run->parts, "text_encoder_2");
  return TRUE;
}

/* --- Pictures --- */

/* [1, tokens, 256]: the 8x8 pixels of each cell of the latent, packed like channels. */
static AtlArray *
pack_mask (const AtlArray *mask, gint64 height, gint64 width)
{
  g_autoptr (AtlArray) cells =
      atl_array_new ("mask", ATL_DTYPE_F32, 4, (gint64[]){ 1, FACTOR * FACTOR, height, width });
  gint64 W = width * FACTOR;

  if (atl_array_is_hollow (cells))
    return atl_latent_pack (cells, "mask");
  for (gint64 y = 0; y < height * FACTOR; y++)
    for (gint64 x = 0; x < W; x++)
      {
        gint64 channel = y % FACTOR * FACTOR + x % FACTOR;

        atl_array_f32 (cells)[(channel * height + y / FACTOR) * width + x / FACTOR] =
            atl_array_f32 (mask)[y * W + x];
      }
  return atl_latent_pack (cells, "mask");
}

static gboolean
read_fill (AtlRun *run, Flux *self, GError **error)
{
  gint64 H = self->latent.height * FACTOR, W = self->latent.width * FACTOR, n = H * W;
  g_autoptr (AtlArray) picture = atl_run_picture (run, "image", H, W, error);
  g_autoptr (AtlArray) mask = picture != NULL ? atl_run_mask (run, H, W, error) : NULL;
  g_autoptr (AtlArray) latent = NULL;
  g_autoptr (AtlArray) tokens = NULL;
  g_autoptr (AtlArray) cells = NULL;

  if (mask == NULL)
    return FALSE;
  for (gint64 i = 0; i < 3 * n && !atl_array_is_hollow (picture); i++)
    atl_array_f32 (picture)[i] *= 1.0f - atl_array_f32 (mask)[i % n];
  latent = atl_vae_encode (run, picture, &self->latent, error);
  if (latent == NULL)
    return FALSE;
  tokens = atl_latent_pack (latent, "masked");
  cells = pack_mask (mask, self->latent.height, self->latent.width);
  self->tokens.extra = atl_array_join ("extra", 2, 2, (const AtlArray *const[]){ tokens, cells });
  return TRUE;
}

static gboolean
read_reference (AtlRun *run, Flux *self, GError **error)
{
  const char *name = atl_run_input (run, "image_1") != NULL ? "image_1" : "image";
  const AtlArray *input = atl_run_input (run, name);
  gint64 H = input->n_dims == 4 ? input->dim[2] : 0, W = input->n_dims == 4 ? input->dim[3] : 0;
  g_autoptr (AtlArray) picture = NULL;
  g_autoptr (AtlArray) latent = NULL;

  if (H < 2 * FACTOR || W < 2 * FACTOR || H % (2 * FACTOR) != 0 || W % (2 * FACTOR) != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("A reference picture's width and height must be multiples of %d pixels"),
                   2 * FACTOR);
      return FALSE;
    }
  picture = atl_run_picture (run, name, H, W, error);
  latent = picture != NULL ? atl_vae_encode (run, picture, &self->latent, error) : NULL;
  if (latent == NULL)
    return FALSE;
  atl_flux_tokens_add_reference (&self->tokens, atl_latent_pack (latent, "reference"),
                                 atl_grid_ids ("image_ids", 3, 1, H / FACTOR / 2, W / FACTOR / 2));
  return TRUE;
}

/* --- The pipeline --- */

static gboolean
run_flux (AtlRun *run, GError **error)
{
  g_auto (Flux) self = {
    .latent = { .factor = FACTOR, .channels = CHANNELS, .scaling = 0.3611, .shift = 0.1159 },
    .tokens = { .guidance = atl_settings_number (run->settings, "guidance", 3.5),
                .cfg_scale = atl_settings_number (run->settings, "true_cfg_scale", 1) }
  };
  AtlFluxTokens *tokens = &self.tokens;
  Kind kind = kind_of (run->bundle, run->pipeline);
  g_autoptr (AtlSchedule) schedule = NULL;
  g_autoptr (AtlArray) latent = NULL;
  g_autoptr (AtlArray) clean = NULL;

  if (!atl_latent_init (&self.latent, run, 2 * FACTOR, 1024, error) ||
      !encode_text (run, tokens, error))
    return FALSE;
  tokens->image_ids =
      atl_grid_ids ("image_ids", 3, 0, self.latent.height / 2, self.latent.width / 2);
  tokens->context_ids = atl_array_new ("context_ids", ATL_DTYPE_F32, 2,
                                       (gint64[]){ tokens->positive.context->dim[1], 3 });
  schedule = atl_run_schedule (run, error);
  if (schedule == NULL ||
      !atl_run_set_flow_steps (
          run, schedule, 28, atl_schedule_mu (schedule, (double) tokens->image_ids->dim[0]), error))
    return FALSE;
  if (kind == FILLS && !read_fill (run, &self, error))
    return FALSE;
  if ((kind == FOLLOWS && atl_run_input (run, "image") != NULL) ||
      atl_run_input (run, "image_1") != NULL)
    if (!read_reference (run, &self, error))
      return FALSE;
  if (tokens->extra == NULL && tokens->references == NULL &&
      !atl_vae_encode_input (run, &self.latent, &clean, error))
    return FALSE;
  latent = atl_flow_draw (run, schedule,
                          &(AtlFlowWalk){ .latent = &self.latent,
                                          .channels = CHANNELS,
                                          .clean = clean,
                                          .is_packed = TRUE,
                                          .predict = atl_flux_tokens_predict },
                          tokens, error);
  return latent != NULL && atl_vae_decode (run, latent, &self.latent, error);
}

/* --- The family --- */

static void
flux_refine (AtlBundle *bundle, AtlTraits *traits)
{
  JsonObject *network = atl_bundle_json (bundle, "transformer", "config.json");
  Kind kind = kind_of (bundle, atl_bundle_pipeline (bundle));

  traits->abilities |= kind == FOLLOWS ? ATL_CAN_REFERENCE
                       : kind == FILLS ? ATL_CAN_MASK
                                       : ATL_CAN_IMAGE;
  /* Schnell was taught its guidance. */
  if (network != NULL && !atl_json_bool (network, "guidance_embeds", FALSE))
    traits->abilities &= ~(guint) ATL_CAN_GUIDANCE;
}

static const AtlTeaFit *
flux_tea_fit (const AtlStepNetwork *network)
{
  static const AtlTeaFit dev = { { 498.651651, -283.781631, 55.8554382, -3.82021401, 0.264230861 },
                                 { 0.25, 0.4, 0.6 } };

  return &dev;
}

/* The closest in shape of the sizes that Kontext was trained with, at 1024 x 1024 a square. */
static void
reference_size (
    const AtlTraits *traits, double width, double height, gint64 *to_width, gint64 *to_height)
{
  static const gint16 sizes[][2] = { { 672, 1568 }, { 688, 1504 }, { 720, 1456 },
                                     { 752, 1392 }, { 800, 1328 }, { 832, 1248 },
                                     { 880, 1184 }, { 944, 1104 }, { 1024, 1024 } };
  double scale = traits->side / 1024.0, closest = INFINITY;

  for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (guint turned = 0; turned < 2; turned++)
      {
        double w = sizes[i][turned], h = sizes[i][1 - turned], off = fabs (width / height - w / h);

        if (off >= closest)
          continue;
        closest = off;
        *to_width = MAX ((gint64) (w * scale) / (2 * FACTOR), 1) * (2 * FACTOR);
        *to_height = MAX ((gint64) (h * scale) / (2 * FACTOR), 1) * (2 * FACTOR);
      }
}

static const char *const text_names[] = { "context_embedder.weight", "txt_in.weight", NULL };
static const AtlTextReader text_reader = { "transformer", text_names, 1 };

static const char *const pooled_names[] = { "time_text_embed.text_embedder.linear_1.weight",
                                            "vector_in.in_layer.weight", NULL };
static const AtlTextReader pooled_reader = { "transformer", pooled_names, 0 };

static const AtlPart flux_parts[] = {
  { "transformer", N_ ("the denoiser"), "forward", "FluxTransformer2DModel", NULL, FALSE },
  { "text_encoder", N_ ("the text encoder CLIP-L"), "encode_text", "CLIPTextModel", atl_is_clip_l,
    FALSE, .reader = &pooled_reader },
  { "text_encoder_2", N_ ("the text encoder T5"), "encode_text", "T5EncoderModel", atl_is_t5, FALSE,
    .reader = &text_reader },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKL", atl_is_vae_of_16, FALSE },
  ATL_TINY_PART ("AutoencoderTiny", atl_is_taef1, NULL),
};

static const AtlPublished flux_published[] = {
  ATL_PUBLISHED_CLIP_WORDS ("tokenizer"), ATL_PUBLISHED_T5_WORDS ("tokenizer_2"),
  ATL_PUBLISHED_CLIP_L ("text_encoder"),  ATL_PUBLISHED_T5 ("text_encoder_2"),
  ATL_PUBLISHED_FLUX_VAE ("vae"),         ATL_PUBLISHED_TAEF1 (ATL_TINY_ROLE),
};

const AtlDiffusionFamily atl_family_flux = {
  .name = "flux",
  .words = "Flux.1",
  .editing_word = EDITING_WORD,
  .pipelines = (const char *const[]){ "FluxPipeline", "FluxImg2ImgPipeline", "FluxFillPipeline",
                                      "FluxKontextPipeline", NULL },
  .component = "flux",
  .parts = flux_parts,
  .n_parts = G_N_ELEMENTS (flux_parts),
  .published = flux_published,
  .n_published = G_N_ELEMENTS (flux_published),
  .traits = { .abilities = ATL_CAN_PICTURE | ATL_CAN_GUIDANCE | ATL_CAN_LORA,
              .multiple = 2 * FACTOR,
              .side = 1024,
              .steps = 28,
              .guidance = 3.5,
              .max_references = 1,
              .frames = 1,
              .is_flow = TRUE,
              .knobs =
                  (const AtlKnob *const[]){ &atl_knob_faster, &atl_knob_method_of_all, NULL } },
  .refine = flux_refine,
  .schedule = { .name = "FlowMatchEulerDiscreteScheduler",
                .config = "{\"shift\": 3.0, \"use_dynamic_shifting\": true, \"base_shift\": 0.5, "
                          "\"max_shift\": 1.15, \"base_image_seq_len\": 256, "
                          "\"max_image_seq_len\": 4096}" },
  .first_timestep = 1,
  .tea_fit = flux_tea_fit,
  .lora = { .bases = (const char *const[]){ "flux-1", "flux.1", "flux1", NULL },
            .keeps_guidance = TRUE,
            .hyper_strength = 0.125 },
  .reference_size = reference_size,
  .run = run_flux,
};
