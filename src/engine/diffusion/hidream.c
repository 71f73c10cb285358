/* HiDream-I1 Full, Dev and Fast (diffusers 0.42.1, pipelines/hidream_image).
 *
 * Text: the projected vectors of CLIP-L and CLIP-G side by side (longer tables of positions than
 * elsewhere), T5 with masked padding, and all layers of Llama 3.1 behind its begin token, padded on
 * the right with its end token. Guidance: neg + g (pos - neg) for g > 1, in a batch of two. The
 * network's output is negated. Latents: (mean - shift) * scaling.
 *
 * Settings: prompt, prompt_2 (CLIP-G), prompt_3 (T5), prompt_4 (Llama), the same with negative_;
 * width, height, steps, guidance, max_sequence_length, scheduler. Inputs: initial_latent [1, 16,
 * H/8, W/8], noise of the steps.
 */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <math.h>

#include "engine/diffusion/clip-encode.h"
#include "engine/diffusion/family-list.h"
#include "engine/diffusion/latents.h"
#include "engine/diffusion/t5-encode.h"
#include "engine/diffusion/tokens.h"

#define CHANNELS 16
#define FACTOR 8
#define MAX_TEXT 128
#define MAX_CLIP 218
#define PART_DENOISER "transformer"

/* Of Full; Dev and Fast bring their own. */
static const char default_schedule[] =
    "{\"prediction_type\": \"flow_prediction\", \"use_flow_sigmas\": true, \"flow_shift\": 3.0, "
    "\"solver_order\": 2, \"solver_type\": \"bh2\", \"predict_x0\": true, "
    "\"lower_order_final\": true}";

typedef struct
{
  gboolean is_guided;
  double guidance;
  AtlLatent latent;
  AtlArray *pooled, *context, *llama; /* (owned) the negative first when guided */
} HiDream;

static void
hidream_clear (HiDream *self)
{
  g_clear_pointer (&self->pooled, atl_array_free);
  g_clear_pointer (&self->context, atl_array_free);
  g_clear_pointer (&self->llama, atl_array_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HiDream, hidream_clear)

/* --- Text --- */

static gint64
text_length (const AtlRun *run)
{
  return atl_run_text_length (run, MAX_TEXT, MAX_CLIP);
}

/* The projected vector. What stands behind the end token has no effect on it. */
static AtlArray *
encode_clip (AtlRun *run, guint encoder, const char *text, GError **error)
{
  static const char *const roles[2] = { "text_encoder", "text_encoder_2" };
  static const char *const tokenizers[2] = { "tokenizer", "tokenizer_2" };
  g_autoptr (AtlRequest) request = atl_request_new ("encode_text");

  if (!atl_request_add_text (request, run, tokenizers[encoder], text, text_length (run),
                             ATL_TEXT_BEGIN | ATL_TEXT_END, NULL, error))
    return NULL;
  return atl_run_output_of (run, roles[encoder], request, "pooled", error);
}

static AtlArray *
encode_t5 (AtlRun *run, guint encoder, const char *text, GError **error)
{
  AtlT5Encoder t5 = { "text_encoder_3", "tokenizer_3", (guint) text_length (run), TRUE };

  return atl_t5_encode (run, &t5, text, NULL, error);
}

/* All layers, [layers, 1, n, dim]. */
static AtlArray *
encode_llama (AtlRun *run, guint encoder, const char *text, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("encode_text");

  if (!atl_request_add_text (request, run, "tokenizer_4", text, text_length (run),
                             ATL_TEXT_BEGIN | ATL_TEXT_PAD, NULL, error))
    return NULL;
  atl_request_set_number (request, "all_layers", 1);
  return atl_run_output_of (run, "text_encoder_4", request, "hidden", error);
}

typedef AtlArray *(*EncodeFunc) (AtlRun *run, guint encoder, const char *text, GError **error);

/* Both texts through encoder number `encoder`, joined along `axis`, the negative first. */
static AtlArray *
encode_pair (
    AtlRun *run, const HiDream *self, guint encoder, guint axis, EncodeFunc encode, GError **error)
{
  g_autofree char *role =
      encoder == 0 ? g_strdup ("text_encoder") : g_strdup_printf ("text_encoder_%u", encoder + 1);
  g_autoptr (AtlArray) positive =
      encode (run, encoder, atl_run_text_for (run, "prompt", encoder), error);
  g_autoptr (AtlArray) negative = NULL;

  if (positive == NULL)
    return NULL;
  if (self->is_guided)
    {
      negative = encode (run, encoder, atl_run_text_for (run, "negative_prompt", encoder), error);
      if (negative == NULL)
        return NULL;
    }
  atl_parts_release (run->parts, role);
  return negative != NULL
             ? atl_array_join ("text", axis, 2, (const AtlArray *const[]){ negative, positive })
             : g_steal_pointer (&positive);
}

static gboolean
encode_text (AtlRun *run, HiDream *self, GError **error)
{
  g_autoptr (AtlArray) small = NULL;
  g_autoptr (AtlArray) large = NULL;

  atl_run_progress (run, _ ("Reading the prompt"), 0, 0);
  small = encode_pair (run, self, 0, 0, encode_clip, error);
  if (small == NULL)
    return FALSE;
  large = encode_pair (run, self, 1, 0, encode_clip, error);
  if (large == NULL)
    return FALSE;
  self->pooled = atl_array_join ("pooled", 1, 2, (const AtlArray *const[]){ small, large });
  self->context = encode_pair (run, self, 2, 0, encode_t5, error);
  if (self->context == NULL)
    return FALSE;
  self->llama = encode_pair (run, self, 3, 1, encode_llama, error);
  if (self->llama == NULL)
    return FALSE;
  atl_run_trace (run, "text", self->context);
  atl_run_trace (run, "pooled", self->pooled);
  return TRUE;
}

/* --- Sampling --- */

static gboolean
predict (AtlRun *run,
         const AtlArray *scaled,
         double timestep,
         guint call,
         AtlArray *out,
         gpointer user_data,
         GError **error)
{
  const HiDream *self = user_data;
  g_autoptr (AtlRequest) request = atl_request_new ("forward");
  g_autoptr (AtlArray) output = NULL;

  atl_request_add (request, atl_array_number ("timestep", timestep));
  atl_request_add (request, atl_array_batch ("latent", self->is_guided ? scaled : NULL, scaled));
  atl_request_add (request, atl_array_copy (self->context, "context"));
  atl_request_add (request, atl_array_copy (self->llama, "context_2"));
  atl_request_add (request, atl_array_copy (self->pooled, "pooled"));
  output = atl_run_output_of (run, PART_DENOISER, request, "output", error);
  if (output == NULL)
    return FALSE;
  if (call == 0)
    atl_run_trace (run, "first_output", output);
  atl_array_affine (output, -1.0f, 0.0f);
  atl_guide_batch (out, output, self->guidance);
  return TRUE;
}

static gboolean
run_hidream (AtlRun *run, GError **error)
{
  g_auto (HiDream) self = { .guidance = atl_settings_number (run->settings, "guidance", 5.0),
                            .latent = { .factor = FACTOR, .scaling = 0.3611, .shift = 0.1159 } };
  g_autoptr (AtlSchedule) schedule = NULL;
  AtlArray *x;

  self.is_guided = self.guidance > 1;
  /* Two rows and columns of a latent make a token. */
  if (!atl_latent_init (&self.latent, run, 2 * FACTOR, 1024, error) ||
      !encode_text (run, &self, error))
    return FALSE;
  schedule = atl_run_schedule (run, "UniPCMultistepScheduler", default_schedule, NULL, error);
  if (schedule == NULL || !atl_run_set_steps (run, schedule, 50, NAN, error))
    return FALSE;
  x = atl_run_noise (run, "initial_latent", 4,
                     (gint64[]){ 1, CHANNELS, self.latent.height, self.latent.width }, error);
  if (x == NULL)
    return FALSE;
  x = atl_run_sample (run, schedule, 0, x, PART_DENOISER, predict, NULL, &self, error);
  return x != NULL && atl_vae_decode (run, x, &self.latent, error);
}

/* --- The family --- */

static void
hidream_traits (AtlBundle *bundle, AtlTraits *traits)
{
  traits->abilities |= ATL_CAN_NEGATIVE;
  traits->multiple = 2 * FACTOR;
  traits->side = 1024;
  traits->steps = 50;
  traits->guidance = 5.0;
}

static const AtlPart hidream_parts[] = {
  { PART_DENOISER, N_ ("the denoiser"), "forward", "HiDreamImageTransformer2DModel", NULL, FALSE },
  { "text_encoder", N_ ("the text encoder CLIP-L"), "encode_text", "CLIPTextModelWithProjection",
    atl_is_clip_l, FALSE },
  { "text_encoder_2", N_ ("the text encoder CLIP-G"), "encode_text", "CLIPTextModelWithProjection",
    atl_is_clip_g, FALSE },
  { "text_encoder_3", N_ ("the text encoder T5"), "encode_text", "T5EncoderModel", NULL, FALSE },
  { "text_encoder_4", N_ ("the text encoder Llama"), "encode_text", "LlamaForCausalLM", NULL,
    FALSE },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKL", NULL, FALSE },
};

const AtlDiffusionFamily atl_family_hidream = {
  .name = "hidream",
  .words = "HiDream",
  .pipelines = (const char *const[]){ "HiDreamImagePipeline", NULL },
  .component = "hidream",
  .parts = hidream_parts,
  .n_parts = G_N_ELEMENTS (hidream_parts),
  .traits = hidream_traits,
  .run = run_hidream,
};
