/* Flux.2: dev and klein (diffusers 0.42.1, pipelines/flux2).
 *
 * Text: hidden states of three layers side by side, all of 512 rows: dev through Mistral Small with
 * a fixed system message, padded in front (10, 20, 30); klein through Qwen3, padded behind (9, 18,
 * 27). Latent: 32 channels in 2x2 patches, normalised by the statistics that the autoencoder keeps.
 * Positions (0, row, column, 0), text's (0, 0, 0, i), those of reference n (10 + 10 n, row, column,
 * 0): its tokens lie behind, the output's are cut off. Steps from 1 down to 1/n, shifted by a mu of
 * the number of tokens and of steps.
 *
 * dev: the guidance (4) is an input. klein: none where it is distilled (model_index.json), else
 * twice with the negative prompt, which may be empty.
 *
 * Settings: prompt, negative_prompt, guidance, is_distilled, width, height, steps,
 * max_sequence_length, text_encoder_out_layers, scheduler, sigmas. Inputs: initial_latent [1, 128,
 * H/16, W/16], image or image_1, image_2, … (references, cut in their middle to multiples of 16).
 */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/diffusion/family-list.h"
#include "engine/diffusion/flux-tokens.h"
#include "engine/diffusion/knobs.h"
#include "engine/diffusion/latents.h"
#include "engine/diffusion/part-checks.h"
#include "engine/diffusion/tokens.h"
#include "engine/tensor/quants/dequant.h"

#define PIXELS 16   /* a token's side */
#define MIN_SIDE 64 /* of a reference, in pixels */
#define CHANNELS 128
#define MAX_TEXT 512
#define MAX_REFERENCES 10
#define N_LAYERS 3

/* The autoencoder's numbers as they are: they are normalised as tokens. */
static const AtlLatent plain = { .factor = PIXELS / 2, .channels = CHANNELS / 4, .scaling = 1 };

static const char system_message[] =
    "You are an AI that reasons about image descriptions. You give structured responses focusing "
    "on object relationships, object\nattribution and actions without speculation.";

typedef struct
{
  gboolean is_klein;
  gint64 rows, columns; /* of tokens */
  float mean[CHANNELS], std[CHANNELS];
  AtlFluxTokens tokens;
} Flux2;

static void
flux2_clear (Flux2 *self)
{
  atl_flux_tokens_clear (&self->tokens);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Flux2, flux2_clear)

static gboolean
is_klein (AtlBundle *bundle)
{
  AtlCheckpoint *cp = atl_bundle_checkpoint (bundle, "text_encoder", NULL);

  return cp != NULL &&
         g_strcmp0 (atl_checkpoint_get_string (cp, "general.architecture"), "qwen3") == 0;
}

/* Klein's two kinds have the same network: the folder says it, else the name of a lone file, as its
 * authors call the other one base. */
static gboolean
is_distilled (AtlBundle *bundle)
{
  JsonObject *index = atl_bundle_json (bundle, NULL, "model_index.json");
  AtlCheckpoint *denoiser = atl_bundle_checkpoint (bundle, "transformer", NULL);
  g_autofree char *name =
      denoiser != NULL ? g_ascii_strdown (atl_checkpoint_name (denoiser), -1) : NULL;

  if (index != NULL)
    return atl_json_bool (index, "is_distilled", FALSE);
  return name != NULL && strstr (name, "klein") != NULL && strstr (name, "base") == NULL;
}

/* --- Text --- */

static char *
in_template (const Flux2 *self, const char *prompt)
{
  g_auto (GStrv) parts = NULL;
  g_autofree char *clean = NULL;

  if (self->is_klein)
    return g_strconcat ("<|im_start|>user\n", prompt,
                        "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n", NULL);
  parts = g_strsplit (prompt, "[IMG]", -1);
  clean = g_strjoinv ("", parts);
  return g_strconcat ("<s>[SYSTEM_PROMPT]", system_message, "[/SYSTEM_PROMPT][INST]", clean,
                      "[/INST]", NULL);
}

/* Whether the text encoder has the layers that this model reads; they are published ones unless the
 * request says otherwise. */
static gboolean
check_depth (AtlRun *run, const AtlArray *wanted, GError **error)
{
  const AtlCheckpoint *cp = atl_bundle_checkpoint (run->bundle, "text_encoder", NULL);
  const char *arch = cp != NULL ? atl_checkpoint_get_string (cp, "general.architecture") : NULL;
  g_autofree char *key = g_strconcat (arch != NULL ? arch : "", ".block_count", NULL);
  const gint32 *list = atl_array_i32 (wanted);
  guint64 n = 0;

  if (cp == NULL || !atl_checkpoint_get_uint (cp, key, 1, 1024, &n, NULL) ||
      ((gint64) n >= list[0] && (gint64) n >= list[1] && (gint64) n >= list[2]))
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               _ ("The text encoder %s has %d layers; Flux.2 reads what comes out of layers %d, %d "
                  "and %d. Another one belongs to this model"),
               atl_checkpoint_name (cp), (int) n, list[0], list[1], list[2]);
  return FALSE;
}

/* Which hidden states. */
static AtlArray *
layers (AtlRun *run, const Flux2 *self)
{
  static const gint32 published[2][N_LAYERS] = { { 10, 20, 30 }, { 9, 18, 27 } };
  guint n = 0;
  g_autofree double *asked = atl_settings_numbers (run->settings, "text_encoder_out_layers", &n);
  AtlArray *list = atl_array_new ("layer", ATL_DTYPE_I32, 2, (gint64[]){ 1, N_LAYERS });

  for (guint i = 0; i < N_LAYERS; i++)
    atl_array_i32 (list)[i] = asked != NULL && n == N_LAYERS
                                  ? (gint32) CLAMP (asked[i], -1000, 1000)
                                  : published[self->is_klein][i];
  return list;
}

static AtlArray *
encode (AtlRun *run, const Flux2 *self, const char *prompt, GError **error)
{
  guint flags = ATL_TEXT_SPECIAL | ATL_TEXT_PAD | (self->is_klein ? 0 : ATL_TEXT_IN_FRONT);
  g_autofree char *text = in_template (self, prompt);
  g_autoptr (AtlRequest) request = atl_request_new ("encode_text");
  AtlArray *wanted = layers (run, self);

  atl_request_add (request, wanted);
  if (!check_depth (run, wanted, error) ||
      !atl_request_add_text (request, run, "tokenizer", text,
                             atl_run_text_length (run, MAX_TEXT, MAX_TEXT), flags, NULL, error))
    return NULL;
  return atl_run_output_of (run, "text_encoder", request, "hidden", error);
}

static gboolean
encode_text (AtlRun *run, Flux2 *self, gboolean twice, GError **error)
{
  AtlFluxTokens *tokens = &self->tokens;
  gint64 T;

  atl_run_progress (run, _ ("Reading the prompt"), 0, 0);
  tokens->positive.context =
      encode (run, self, atl_settings_string (run->settings, "prompt", ""), error);
  if (tokens->positive.context == NULL)
    return FALSE;
  if (twice)
    {
      tokens->negative.context =
          encode (run, self, atl_settings_string (run->settings, "negative_prompt", ""), error);
      if (tokens->negative.context == NULL)
        return FALSE;
    }
  atl_run_trace (run, "context", tokens->positive.context);
  atl_parts_release (run->parts, "text_encoder");
  T = tokens->positive.context->dim[1];
  tokens->context_ids = atl_array_new ("context_ids", ATL_DTYPE_F32, 2, (gint64[]){ T, 4 });
  for (gint64 i = 0; i < T; i++)
    atl_array_f32 (tokens->context_ids)[4 * i + 3] = (float) i;
  return TRUE;
}

/* --- Pictures --- */

static gboolean
read_list (const AtlCheckpoint *vae, const char *name, float *out, GError **error)
{
  const AtlTensorInfo *info = atl_vae_find (vae, name);

  if (info != NULL && info->n_dims == 1 && info->dim[0] == CHANNELS &&
      atl_dtype_is_float_like (info->dtype))
    {
      g_autofree guint8 *bytes = g_malloc (info->size_bytes);

      atl_tensor_info_read (info, 0, 1, bytes);
      if (atl_dequantize (info->dtype, bytes, out, CHANNELS))
        return TRUE;
    }
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
               _ ("%s: “%s” does not have a number for each of the %d channels of a latent"),
               atl_checkpoint_name (vae), name, CHANNELS);
  return FALSE;
}

static gboolean
read_statistics (AtlRun *run, Flux2 *self, GError **error)
{
  AtlCheckpoint *vae = atl_bundle_checkpoint (run->bundle, "vae", error);
  double eps = 1e-4;

  if (vae == NULL || !read_list (vae, "bn.running_mean", self->mean, error) ||
      !read_list (vae, "bn.running_var", self->std, error))
    return FALSE;
  atl_checkpoint_get_float (vae, "batch_norm_eps", 0, 1, &eps, NULL);
  for (guint i = 0; i < CHANNELS; i++)
    self->std[i] = sqrtf (MAX (self->std[i], 0.0f) + (float) eps);
  return TRUE;
}

/* Tokens [1, n, 128] between the network's and the autoencoder's scale. */
static void
normalize (const Flux2 *self, AtlArray *tokens, gboolean is_back)
{
  float *p = atl_array_f32 (tokens);

  for (gint64 i = 0; i < atl_array_n_elems (tokens) && !atl_array_is_hollow (tokens); i++, p++)
    {
      gint64 c = i % CHANNELS;

      *p = is_back ? *p * self->std[c] + self->mean[c] : (*p - self->mean[c]) / self->std[c];
    }
}

static gboolean
read_references (AtlRun *run, Flux2 *self, GError **error)
{
  const AtlArray *given;

  for (guint n = 0; n < MAX_REFERENCES && (given = atl_run_reference (run, "image", n)) != NULL;
       n++)
    {
      g_autoptr (AtlArray) picture = atl_crop_reference (given, PIXELS, MIN_SIDE, error);
      g_autoptr (AtlArray) latent =
          picture != NULL ? atl_vae_encode (run, picture, &plain, error) : NULL;
      AtlArray *tokens;

      if (latent == NULL)
        return FALSE;
      tokens = atl_latent_pack (latent, "references");
      normalize (self, tokens, FALSE);
      atl_flux_tokens_add_reference (
          &self->tokens, tokens,
          atl_grid_ids ("image_ids", 4, 10 + 10 * n, latent->dim[2] / 2, latent->dim[3] / 2));
    }
  return TRUE;
}

/* [1, 128, rows, columns] as tokens. */
static AtlArray *
begin (AtlRun *run, const Flux2 *self, GError **error)
{
  gint64 n = self->rows * self->columns;
  g_autoptr (AtlArray) noise = atl_run_noise (
      run, "initial_latent", 4, (gint64[]){ 1, CHANNELS, self->rows, self->columns }, error);
  AtlArray *x;

  if (noise == NULL)
    return NULL;
  x = atl_array_new ("latent", ATL_DTYPE_F32, 3, (gint64[]){ 1, n, CHANNELS });
  for (gint64 i = 0; i < n && !atl_array_is_hollow (x); i++)
    for (gint64 c = 0; c < CHANNELS; c++)
      atl_array_f32 (x)[i * CHANNELS + c] = atl_array_f32 (noise)[c * n + i];
  return x;
}

/* --- The pipeline --- */

/* The authors' fit of mu to tokens and steps. */
static double
shift_of (double tokens, double steps)
{
  double many = 0.00016927 * tokens + 0.45666666, few = 8.73809524e-5 * tokens + 1.89833333;
  double slope = (many - few) / 190;

  return tokens > 4300 ? many : slope * steps + many - 200 * slope;
}

static gboolean
run_flux2 (AtlRun *run, GError **error)
{
  double guidance = atl_settings_number (run->settings, "guidance", 4);
  g_auto (Flux2) self = { .is_klein = is_klein (run->bundle),
                          .tokens = { .guidance = guidance, .cfg_scale = guidance } };
  gboolean fast = self.is_klein && atl_settings_number (run->settings, "is_distilled",
                                                        is_distilled (run->bundle)) != 0;
  guint fallback = fast ? 4 : 50;
  double steps = atl_settings_number (run->settings, "steps", fallback);
  const AtlArray *first = atl_run_reference (run, "image", 0);
  g_autoptr (AtlSchedule) schedule = NULL;
  g_autoptr (AtlArray) tokens = NULL;
  g_autoptr (AtlArray) latent = NULL;
  gint64 width, height;
  AtlArray *x;

  atl_run_size (run, PIXELS, 1024, &width, &height);
  if (first != NULL && !atl_settings_has (run->settings, "width") &&
      !atl_settings_has (run->settings, "height"))
    {
      width = MAX (first->dim[3] / PIXELS * PIXELS, PIXELS);
      height = MAX (first->dim[2] / PIXELS * PIXELS, PIXELS);
    }
  self.rows = height / PIXELS;
  self.columns = width / PIXELS;
  run->latent = plain;
  run->latent.height = 2 * self.rows;
  run->latent.width = 2 * self.columns;
  if (!read_statistics (run, &self, error) ||
      !encode_text (run, &self, self.is_klein && !fast && guidance > 1, error))
    return FALSE;
  schedule = atl_run_schedule (run, error);
  if (schedule == NULL ||
      !atl_run_set_flow_steps (run, schedule, fallback,
                               shift_of ((double) (self.rows * self.columns), steps), error))
    return FALSE;
  self.tokens.image_ids = atl_grid_ids ("image_ids", 4, 0, self.rows, self.columns);
  if (!read_references (run, &self, error))
    return FALSE;
  atl_parts_release (run->parts, "vae");
  x = begin (run, &self, error);
  if (x == NULL)
    return FALSE;
  x = atl_run_sample (run, schedule, 0, x, "transformer", atl_flux_tokens_predict, NULL,
                      &self.tokens, error);
  if (x == NULL)
    return FALSE;
  tokens = atl_array_copy (x, "tokens");
  normalize (&self, tokens, TRUE);
  latent = atl_latent_unpack (tokens, 2 * self.rows, 2 * self.columns);
  return atl_vae_decode (run, latent, &plain, error);
}

/* --- The family --- */

static void
flux2_refine (AtlBundle *bundle, AtlTraits *traits)
{
  gboolean klein = is_klein (bundle), fast = klein && is_distilled (bundle);

  if (klein && !fast)
    traits->abilities |= ATL_CAN_NEGATIVE;
  if (!fast)
    return;
  traits->steps = 4;
  /* It was taught its guidance. */
  traits->abilities &= ~(guint) ATL_CAN_GUIDANCE;
}

static const char *const text_names[] = { "context_embedder.weight", "txt_in.weight", NULL };
static const AtlTextReader text_reader = { "transformer", text_names, N_LAYERS };

/* Its text encoder, by the width of what it reads of each of three layers. */
static gint64
text_width (AtlBundle *bundle)
{
  static const char *const reads[] = { "context_embedder.weight", "txt_in.weight" };
  const AtlCheckpoint *denoiser = atl_bundle_checkpoint (bundle, "transformer", NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (reads); i++)
    {
      const AtlTensorInfo *info = atl_denoiser_find (denoiser, reads[i]);

      if (info != NULL && info->n_dims == 2)
        return info->dim[1] / N_LAYERS;
    }
  return 0;
}

static gboolean
reads_qwen_4b (AtlBundle *bundle)
{
  return text_width (bundle) == 2560;
}

static gboolean
reads_qwen_8b (AtlBundle *bundle)
{
  return text_width (bundle) == 4096;
}

static gboolean
reads_qwen (AtlBundle *bundle)
{
  return reads_qwen_4b (bundle) || reads_qwen_8b (bundle);
}

static gboolean
reads_mistral (AtlBundle *bundle)
{
  return !reads_qwen (bundle);
}

static const AtlPart flux2_parts[] = {
  { "transformer", N_ ("the denoiser"), "forward", "Flux2Transformer2DModel", NULL, FALSE },
  { "text_encoder", N_ ("the text encoder Mistral or Qwen3"), "encode_text",
    "Mistral3ForConditionalGeneration", NULL, FALSE, .reader = &text_reader },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKLFlux2", atl_is_vae_of_32,
    FALSE },
  ATL_TINY_PART ("AutoencoderTiny", atl_is_taef2, NULL),
};

static const AtlPublished flux2_published[] = {
  { "tokenizer", "black-forest-labs/FLUX.2-dev", "tokenizer/tokenizer.json", 0, reads_mistral },
  { "tokenizer", "Qwen/Qwen3-4B", "tokenizer.json", 11422654, reads_qwen },
  { "text_encoder", "Comfy-Org/flux2-dev",
    "split_files/text_encoders/mistral_3_small_flux2_fp8.safetensors", 0, reads_mistral },
  { "text_encoder", "Comfy-Org/z_image_turbo", "split_files/text_encoders/qwen_3_4b.safetensors", 0,
    reads_qwen_4b },
  { "text_encoder", "Comfy-Org/flux2-klein-9B", "split_files/text_encoders/qwen_3_8b.safetensors",
    0, reads_qwen_8b },
  { "vae", "Comfy-Org/flux2-dev", "split_files/vae/flux2-vae.safetensors", 0 },
  { ATL_TINY_ROLE, "madebyollin/taef2", "taef2.safetensors", 0 },
};

const AtlDiffusionFamily atl_family_flux2 = {
  .name = "flux2",
  .words = "Flux.2",
  .pipelines = (const char *const[]){ "Flux2Pipeline", "Flux2KleinPipeline", NULL },
  .component = "flux2",
  .parts = flux2_parts,
  .n_parts = G_N_ELEMENTS (flux2_parts),
  .published = flux2_published,
  .n_published = G_N_ELEMENTS (flux2_published),
  .traits = { .abilities = ATL_CAN_PICTURE | ATL_CAN_REFERENCE | ATL_CAN_GUIDANCE | ATL_CAN_LORA,
              .multiple = PIXELS,
              .side = 1024,
              .steps = 50,
              .guidance = 4,
              .max_references = MAX_REFERENCES,
              .frames = 1,
              .is_flow = TRUE,
              .knobs =
                  (const AtlKnob *const[]){ &atl_knob_faster, &atl_knob_method_of_parts, NULL } },
  .refine = flux2_refine,
  .schedule = { .name = "FlowMatchEulerDiscreteScheduler",
                .config = "{\"shift\": 3.0, \"use_dynamic_shifting\": true, \"base_shift\": 0.5, "
                          "\"max_shift\": 1.15, \"base_image_seq_len\": 256, "
                          "\"max_image_seq_len\": 4096}" },
  .first_timestep = 1,
  .lora = { .bases = (const char *const[]){ "flux-2", "flux.2", "flux2", NULL },
            .keeps_guidance = TRUE },
  .run = run_flux2,
};
