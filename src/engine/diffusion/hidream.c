/* HiDream-I1 Full, Dev and Fast (diffusers 0.42.1, pipelines/hidream_image), and E1 (HiDream-ai's
 * pipeline_hidream_image_editing.py).
 *
 * Text: the projected vectors of CLIP-L and CLIP-G side by side (longer tables of positions than
 * elsewhere), T5 with masked padding, and all layers of Llama 3.1 behind its begin token, padded on
 * the right with its end token. Guidance: neg + g (pos - neg) for g > 1, in a batch of two. The
 * network's output is negated. Latents: (mean - shift) * scaling.
 *
 * Editing: the picture's latent stands to the right of the noisy one, the left half of what the
 * network says counts. In a batch of three: u without the picture, i with it and the negative text,
 * f with picture and text: t = i + g (f - i), no longer than f in each cell's channels; v = u + gi
 * (t - u). Without clip_cfg_norm u has the negative text, and v = u + gi (i - u) + g (f - i). From
 * step n - n refine_strength on, I1 (the part "refiner") goes on without the picture, on the text
 * behind "Target Image Description:"; without that part or that text the editor does it all.
 *
 * Settings: prompt, prompt_2 (CLIP-G), prompt_3 (T5), prompt_4 (Llama), the same with negative_ and
 * target_; width, height, steps, guidance, max_sequence_length, scheduler; of editing
 * image_guidance_scale, refine_strength, clip_cfg_norm, max_seq (of editor and refiner). Inputs:
 * initial_latent [1, 16, H/8, W/8], noise of the steps; image (in -1…1), whose size the result has,
 * or image_1 (in 0…1), whose shape it has.
 */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/diffusion/clip-encode.h"
#include "engine/diffusion/family-list.h"
#include "engine/diffusion/hidream-private.h"
#include "engine/diffusion/knobs.h"
#include "engine/diffusion/latents.h"
#include "engine/diffusion/part-checks.h"
#include "engine/diffusion/published.h"

#define CHANNELS 16
#define REPO "Comfy-Org/HiDream-I1_ComfyUI"

static void
hidream_clear (AtlHiDream *self)
{
  for (guint i = 0; i < ATL_HIDREAM_N_TEXTS; i++)
    atl_hidream_text_clear (&self->texts[i]);
  atl_hidream_text_clear (&self->batch);
  g_clear_pointer (&self->picture, atl_array_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlHiDream, hidream_clear)

/* --- Sampling --- */

/* What a network says of a batch of latents. The caller's. */
static AtlArray *
forward (AtlRun *run,
         const AtlHiDream *self,
         const char *role,
         AtlArray *latent, /* taken */
         double timestep,
         double max_seq, /* negative: the network's own */
         GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("forward");

  atl_request_add (request, latent);
  atl_request_add (request, atl_array_number ("timestep", timestep));
  atl_request_add (request, atl_array_copy (self->batch.context, "context"));
  atl_request_add (request, atl_array_copy (self->batch.llama, "context_2"));
  atl_request_add (request, atl_array_copy (self->batch.pooled, "pooled"));
  /* An editor has room for two pictures. */
  if (max_seq >= 0)
    atl_request_set_number (request, "max_seq", max_seq);
  else if (self->edits && role == self->editor)
    atl_request_set_number (request, "n_pictures", 2);
  return atl_run_output_of (run, role, request, "output", error);
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
  AtlHiDream *self = user_data;
  gboolean edits = self->edits && call < self->n_edits;
  gboolean refines = self->edits && !edits;
  g_autoptr (AtlArray) output = NULL;

  if (refines && !self->has_turned)
    {
      self->has_turned = TRUE;
      atl_parts_release (run->parts, self->editor);
      atl_hidream_set_batch (self, (guint[]){ ATL_HIDREAM_NEGATIVE, ATL_HIDREAM_REFINED }, 2);
    }
  output = forward (run, self, refines ? self->refiner : self->editor,
                    edits ? atl_hidream_beside_picture (self, scaled)
                          : atl_array_batch ("latent", self->is_guided ? scaled : NULL, scaled),
                    timestep, self->max_seq[refines], error);
  if (output == NULL)
    return FALSE;
  if (call == 0)
    atl_run_trace (run, "first_output", output);
  atl_array_affine (output, -1.0f, 0.0f);
  if (edits)
    atl_hidream_guide_edit (self, output, out);
  else
    atl_guide_batch (out, output, self->guidance);
  return TRUE;
}

/* --- The pipeline --- */

static gboolean
run_hidream (AtlRun *run, GError **error)
{
  g_auto (AtlHiDream) self = { .guidance = atl_settings_number (run->settings, "guidance", 5.0),
                               .max_seq = { -1, -1 },
                               .latent = { .factor = ATL_HIDREAM_FACTOR,
                                           .channels = CHANNELS,
                                           .scaling = 0.3611,
                                           .shift = 0.1159 } };
  g_autoptr (AtlSchedule) schedule = NULL;
  AtlArray *x;

  self.is_guided = self.guidance > 1;
  /* Two rows and columns of a latent make a token. */
  if (!atl_latent_init (&self.latent, run, ATL_HIDREAM_TOKEN, 1024, error) ||
      !atl_hidream_prepare_edit (run, &self, error) || !atl_hidream_encode_text (run, &self, error))
    return FALSE;
  schedule = atl_run_schedule (run, error);
  if (schedule == NULL || !atl_run_set_steps (run, schedule, 50, NAN, error))
    return FALSE;
  if (self.edits)
    {
      if (!atl_hidream_read_picture (run, &self, atl_schedule_n_calls (schedule), error))
        return FALSE;
    }
  else if (self.is_guided)
    atl_hidream_set_batch (&self, (guint[]){ ATL_HIDREAM_NEGATIVE, ATL_HIDREAM_POSITIVE }, 2);
  else
    atl_hidream_set_batch (&self, (guint[]){ ATL_HIDREAM_POSITIVE }, 1);
  atl_run_trace (run, "text",
                 self.edits ? self.texts[ATL_HIDREAM_POSITIVE].context : self.batch.context);
  atl_run_trace (run, "pooled", self.batch.pooled);
  x = atl_run_noise (run, "initial_latent", 4,
                     (gint64[]){ 1, CHANNELS, self.latent.height, self.latent.width }, error);
  if (x == NULL)
    return FALSE;
  x = atl_run_sample (run, schedule, 0, x, self.refiner != NULL ? self.refiner : self.editor,
                      predict, NULL, &self, error);
  return x != NULL && atl_vae_decode (run, x, &self.latent, error);
}

/* --- The family --- */

static void
hidream_refine (AtlBundle *bundle, AtlTraits *traits)
{
  const char *editor, *refiner;

  atl_hidream_find_editor (bundle, atl_bundle_pipeline (bundle), &editor, &refiner);
  if (editor == NULL)
    return;
  traits->abilities |= ATL_CAN_REFERENCE;
  traits->max_references = 1;
  traits->steps = 28;
  traits->guidance = 3;
}

/* Of Full; Dev and Fast were taught their guidance. */
static const AtlTeaFit *
hidream_tea_fit (const AtlStepNetwork *network)
{
  static const AtlTeaFit full = { { -31360.5009, -712.425503, 49.1363285, 8.2651549, 0.108053901 },
                                  { 0.17, 0.25, 0.3 },
                                  10 };

  return network->is_guided ? &full : NULL;
}

static void
reference_size (
    const AtlTraits *traits, double width, double height, gint64 *to_width, gint64 *to_height)
{
  atl_hidream_fit_area (width, height, (double) traits->side * traits->side, to_width, to_height);
}

static const char *const llama_names[] = { "caption_projection.0.linear.weight", NULL };
static const AtlTextReader llama_reader = { ATL_HIDREAM_DENOISER, llama_names, 1 };

/* Each block has a projection of Llama's states, and behind them is that of T5's. */
static gboolean
fits_t5 (AtlBundle *bundle, const AtlCheckpoint *cp)
{
  const AtlCheckpoint *denoiser = atl_bundle_has (bundle, ATL_HIDREAM_DENOISER)
                                      ? atl_bundle_checkpoint (bundle, ATL_HIDREAM_DENOISER, NULL)
                                      : NULL;
  g_autofree char *last = NULL;
  const char *names[2] = { NULL };
  AtlTextReader reader = { ATL_HIDREAM_DENOISER, names, 1 };

  for (guint i = 0;; i++)
    {
      g_autofree char *name = g_strdup_printf ("caption_projection.%u.linear.weight", i);

      if (atl_denoiser_find (denoiser, name) == NULL)
        break;
      g_free (last);
      last = g_steal_pointer (&name);
    }
  names[0] = last;
  return last == NULL || atl_text_fits (bundle, cp, "text_encoder_3", &reader);
}

/* The pooled vectors of both CLIPs side by side. */
static const char *const pooled_names[] = { "p_embedder.pooled_embedder.linear_1.weight", NULL };
static const AtlTextReader clip_l_reader = { ATL_HIDREAM_DENOISER, pooled_names,
                                             .other = "text_encoder_2", .usual = ATL_CLIP_G_WIDTH };
static const AtlTextReader clip_g_reader = { ATL_HIDREAM_DENOISER, pooled_names,
                                             .other = "text_encoder", .usual = ATL_CLIP_L_WIDTH };

static const AtlPart hidream_parts[] = {
  { ATL_HIDREAM_DENOISER, N_ ("the denoiser"), "forward", "HiDreamImageTransformer2DModel", NULL,
    FALSE },
  { ATL_HIDREAM_EDITOR, N_ ("the denoiser"), "forward", "HiDreamImageTransformer2DModel",
    atl_hidream_is_editor, TRUE },
  { "text_encoder", N_ ("the text encoder CLIP-L"), "encode_text", "CLIPTextModelWithProjection",
    atl_is_clip_l, FALSE, .reader = &clip_l_reader },
  { "text_encoder_2", N_ ("the text encoder CLIP-G"), "encode_text", "CLIPTextModelWithProjection",
    atl_is_clip_g, FALSE, .reader = &clip_g_reader },
  { "text_encoder_3", N_ ("the text encoder T5"), "encode_text", "T5EncoderModel", atl_is_t5, FALSE,
    .fits = fits_t5 },
  { "text_encoder_4", N_ ("the text encoder Llama"), "encode_text", "LlamaForCausalLM",
    atl_is_llama, FALSE, .reader = &llama_reader },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKL", atl_is_vae_of_16, FALSE },
  ATL_TINY_PART ("AutoencoderTiny", atl_is_taef1, NULL),
};

static const AtlPublished hidream_published[] = {
  ATL_PUBLISHED_CLIP_WORDS ("tokenizer"),
  ATL_PUBLISHED_CLIP_G_WORDS ("tokenizer_2"),
  ATL_PUBLISHED_T5_WORDS ("tokenizer_3"),
  { "tokenizer_4", "unsloth/Meta-Llama-3.1-8B-Instruct", "tokenizer.json", 0 },
  { "text_encoder", REPO, "split_files/text_encoders/clip_l_hidream.safetensors", 0 },
  { "text_encoder_2", REPO, "split_files/text_encoders/clip_g_hidream.safetensors", 0 },
  { "text_encoder_3", REPO, "split_files/text_encoders/t5xxl_fp8_e4m3fn_scaled.safetensors", 0 },
  { "text_encoder_4", REPO,
    "split_files/text_encoders/llama_3.1_8b_instruct_fp8_scaled.safetensors", 0 },
  { "vae", REPO, "split_files/vae/ae.safetensors", 335304388 },
  ATL_PUBLISHED_TAEF1 (ATL_TINY_ROLE),
};

const AtlDiffusionFamily atl_family_hidream = {
  .name = "hidream",
  .words = "HiDream",
  .editing_word = "-e1",
  .pipelines = (const char *const[]){ "HiDreamImagePipeline", ATL_HIDREAM_EDITING, NULL },
  .component = "hidream",
  .parts = hidream_parts,
  .n_parts = G_N_ELEMENTS (hidream_parts),
  .published = hidream_published,
  .n_published = G_N_ELEMENTS (hidream_published),
  .traits = { .abilities = ATL_CAN_PICTURE | ATL_CAN_NEGATIVE | ATL_CAN_GUIDANCE | ATL_CAN_LORA,
              .multiple = ATL_HIDREAM_TOKEN,
              .side = 1024,
              .steps = 50,
              .guidance = 5,
              .frames = 1,
              .is_flow = TRUE,
              .knobs = (const AtlKnob *const[]){ &atl_knob_faster, &atl_knob_method_of_fitted,
                                                 &atl_knob_shift, NULL } },
  .refine = hidream_refine,
  .schedule = { .name = "UniPCMultistepScheduler",
                /* of Full; Dev and Fast bring their own */ .config =
                    "{\"prediction_type\": \"flow_prediction\", \"use_flow_sigmas\": true, "
                    "\"flow_shift\": 3.0, "
                    "\"solver_order\": 2, \"solver_type\": \"bh2\", \"predict_x0\": true, "
                    "\"lower_order_final\": true}" },
  .first_timestep = 1000,
  .tea_fit = hidream_tea_fit,
  .lora = { .bases = (const char *const[]){ "hidream", NULL },
            .marks = (const char *const[]){ "double_stream_blocks_", NULL } },
  .reference_size = reference_size,
  .run = run_hidream,
};
