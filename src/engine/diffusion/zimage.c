/* Z-Image: Turbo, base and Omni (diffusers 0.42.1, pipelines/z_image).
 *
 * Text: the prompt as a user's turn through Qwen3, the hidden state before its last layer, no
 * padding, at most 512 tokens. The network is asked at 1 - sigma and its answer negated. Steps from
 * 1 down to 1/n, shifted by 3. Guidance g > 0: positive + g (positive - negative), which is one
 * less than elsewhere; with cfg_normalization c > 0 the result is no longer than c times the
 * positive; none once 1 - sigma exceeds cfg_truncation.
 *
 * From a picture: begins at n - n strength. Omni edits: the text is cut into pieces around the
 * pictures, each encoded by itself, and the network takes lists (zimage-edit.h).
 *
 * Settings: prompt, negative_prompt, guidance, cfg_normalization, cfg_truncation, width, height,
 * steps, strength, max_sequence_length, scheduler, sigmas. Inputs: initial_latent [1, 16, H/8,
 * W/8], image, noise; of Omni image_1, image_2, … and condition_1, … (what SigLIP sees; else made
 * of the pictures).
 */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/diffusion/family-list.h"
#include "engine/diffusion/knobs.h"
#include "engine/diffusion/latents.h"
#include "engine/diffusion/part-checks.h"
#include "engine/diffusion/published.h"
#include "engine/diffusion/tokens.h"
#include "engine/diffusion/zimage-edit.h"

#define FACTOR 8
#define CHANNELS 16
#define MAX_TEXT 512

/* Pieces of a text, [T, dim] each: one, or with pictures two more than those. */
typedef struct
{
  guint n;
  AtlArray *pieces[ATL_ZIMAGE_MAX_PICTURES + 2]; /* (owned) */
} Text;

typedef struct
{
  double guidance, normalization, truncation;
  AtlLatent latent;
  Text positive, negative; /* (owned) negative n 0: none */
  AtlZImageReferences references;
} ZImage;

static void
zimage_clear (ZImage *self)
{
  for (guint i = 0; i < G_N_ELEMENTS (self->positive.pieces); i++)
    {
      g_clear_pointer (&self->positive.pieces[i], atl_array_free);
      g_clear_pointer (&self->negative.pieces[i], atl_array_free);
    }
  atl_zimage_references_clear (&self->references);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (ZImage, zimage_clear)

/* --- Text --- */

static AtlArray *
encode_piece (AtlRun *run, const char *piece, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("encode_text");
  AtlArray *hidden;

  if (!atl_request_add_text (request, run, "tokenizer", piece,
                             atl_run_text_length (run, MAX_TEXT, MAX_TEXT), ATL_TEXT_SPECIAL, NULL,
                             error))
    return NULL;
  atl_request_set_number (request, "layer", -2);
  hidden = atl_run_output_of (run, "text_encoder", request, "hidden", error);
  if (hidden == NULL)
    return NULL;
  hidden->n_dims = 2;
  memcpy (hidden->dim, (gint64[]){ hidden->dim[1], hidden->dim[2] }, 2 * sizeof *hidden->dim);
  return hidden;
}

static gboolean
encode (AtlRun *run, const ZImage *self, const char *prompt, Text *text, GError **error)
{
  g_autofree char *turn =
      g_strconcat ("<|im_start|>user\n", prompt, "<|im_end|>\n<|im_start|>assistant\n", NULL);
  g_auto (GStrv) around =
      self->references.n > 0 ? atl_zimage_pieces (prompt, self->references.n) : NULL;
  char *whole[] = { turn, NULL };

  for (char **piece = around != NULL ? around : whole; *piece != NULL; piece++)
    {
      text->pieces[text->n] = encode_piece (run, *piece, error);
      if (text->pieces[text->n] == NULL)
        return FALSE;
      text->n++;
    }
  return TRUE;
}

static gboolean
encode_text (AtlRun *run, ZImage *self, GError **error)
{
  atl_run_progress (run, _ ("Reading the prompt"), 0, 0);
  if (!encode (run, self, atl_settings_string (run->settings, "prompt", ""), &self->positive,
               error))
    return FALSE;
  if (self->guidance > 0)
    {
      if (!encode (run, self, atl_settings_string (run->settings, "negative_prompt", ""),
                   &self->negative, error))
        return FALSE;
      atl_run_trace (run, "negative_context", self->negative.pieces[0]);
    }
  atl_run_trace (run, "context", self->positive.pieces[0]);
  atl_parts_release (run->parts, "text_encoder");
  return TRUE;
}

/* --- Sampling --- */

static AtlArray *
forward (AtlRun *run,
         const AtlArray *latent,
         double time,
         gconstpointer text,
         gpointer user_data,
         GError **error)
{
  const ZImage *self = user_data;
  const Text *words = text;
  g_autoptr (AtlRequest) request = atl_request_new ("forward");
  AtlArray *x;

  atl_request_add (request, atl_array_number ("timestep", time));
  if (words->n > 1)
    {
      atl_zimage_references_add (&self->references, request, latent);
      for (guint i = 0; i < words->n; i++)
        {
          g_autofree char *name = g_strdup_printf ("captions_%u", i);

          atl_request_add (request, atl_array_copy (words->pieces[i], name));
        }
      return atl_run_output_of (run, "transformer", request, "output", error);
    }
  x = atl_array_copy (latent, "latent");
  x->n_dims = 5;
  memcpy (x->dim, (gint64[]){ 1, latent->dim[1], 1, latent->dim[2], latent->dim[3] },
          5 * sizeof *x->dim);
  atl_request_add (request, x);
  x = atl_array_copy (words->pieces[0], "context");
  x->n_dims = 3;
  memcpy (x->dim, (gint64[]){ 1, x->dim[0], x->dim[1] }, 3 * sizeof *x->dim);
  atl_request_add (request, x);
  return atl_run_output_of (run, "transformer", request, "output", error);
}

static double
length_of (const AtlArray *x)
{
  double sum = 0;

  for (gint64 i = 0; i < atl_array_n_elems (x); i++)
    sum += (double) atl_array_f32 (x)[i] * atl_array_f32 (x)[i];
  return sqrt (sum);
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
  const ZImage *self = user_data;
  /* In single precision, as the origin: sinusoids of 1000 times this show the rounding. */
  double time = (1000.0f - (float) timestep) / 1000.0f;
  gboolean is_guided = self->negative.n > 0 && time <= self->truncation;
  g_autoptr (AtlArray) positive = NULL;
  double most, length;

  if (!atl_run_guided (run, forward, scaled, time, &self->positive,
                       is_guided ? &self->negative : NULL, 1 + self->guidance, out, &positive,
                       user_data, error))
    return FALSE;
  if (is_guided && self->normalization > 0)
    {
      most = self->normalization * length_of (positive);
      length = length_of (out);
      if (length > most)
        atl_array_affine (out, (float) (most / length), 0.0f);
    }
  atl_array_affine (out, -1.0f, 0.0f);
  return TRUE;
}

/* --- The pipeline --- */

/* Whether the denoiser has an entrance for what SigLIP sees. */
static gboolean
is_omni (AtlBundle *bundle)
{
  return atl_denoiser_find (atl_bundle_checkpoint (bundle, "transformer", NULL),
                            "siglip_embedder.0.weight") != NULL;
}

static gboolean
run_zimage (AtlRun *run, GError **error)
{
  gboolean omni = is_omni (run->bundle);
  g_auto (ZImage) self = {
    .guidance = atl_settings_number (run->settings, "guidance", omni ? 5 : 0),
    .normalization = atl_settings_number (run->settings, "cfg_normalization", 0),
    .truncation = atl_settings_number (run->settings, "cfg_truncation", 1),
    .latent = { .factor = FACTOR, .channels = CHANNELS, .scaling = 0.3611, .shift = 0.1159 },
  };
  g_autoptr (AtlSchedule) schedule = NULL;
  g_autoptr (AtlArray) clean = NULL;
  g_autoptr (AtlArray) latent = NULL;

  self.references.n = omni ? atl_zimage_references_count (run) : 0;
  if (!atl_latent_init (&self.latent, run, 2 * FACTOR, 1024, error) ||
      !atl_zimage_references_read (run, &self.latent, &self.references, error) ||
      !encode_text (run, &self, error))
    return FALSE;
  schedule = atl_run_schedule (run, error);
  if (schedule == NULL || !atl_run_set_flow_steps (run, schedule, omni ? 50 : 8, NAN, error) ||
      (self.references.n == 0 && !atl_vae_encode_input (run, &self.latent, &clean, error)))
    return FALSE;
  latent = atl_flow_draw (
      run, schedule,
      &(AtlFlowWalk){
          .latent = &self.latent, .channels = CHANNELS, .clean = clean, .predict = predict },
      &self, error);
  return latent != NULL && atl_vae_decode (run, latent, &self.latent, error);
}

/* --- The family --- */

static void
zimage_refine (AtlBundle *bundle, AtlTraits *traits)
{
  if (!is_omni (bundle))
    {
      traits->abilities |= ATL_CAN_IMAGE;
      return;
    }
  traits->abilities |= ATL_CAN_REFERENCE;
  traits->max_references = ATL_ZIMAGE_MAX_PICTURES;
  traits->steps = 50;
  traits->guidance = 5;
}

static const char *const text_names[] = { "cap_embedder.1.weight", NULL };
static const AtlTextReader text_reader = { "transformer", text_names, 1 };

static const AtlPart zimage_parts[] = {
  { "transformer", N_ ("the denoiser"), "forward", "ZImageTransformer2DModel", NULL, FALSE },
  { "text_encoder", N_ ("the text encoder Qwen3"), "encode_text", "Qwen3ForCausalLM", atl_is_qwen3,
    FALSE, .reader = &text_reader },
  { ATL_ZIMAGE_SIGLIP, N_ ("the picture encoder SigLIP"), "encode_image", "Siglip2VisionModel",
    NULL, TRUE },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKL", atl_is_vae_of_16, FALSE },
  ATL_TINY_PART ("AutoencoderTiny", atl_is_taef1, NULL),
};

static const AtlPublished zimage_published[] = {
  { "tokenizer", "Qwen/Qwen3-4B", "tokenizer.json", 11422654 },
  { "text_encoder", "Comfy-Org/z_image_turbo", "split_files/text_encoders/qwen_3_4b.safetensors",
    0 },
  ATL_PUBLISHED_FLUX_VAE ("vae"),
  ATL_PUBLISHED_TAEF1 (ATL_TINY_ROLE),
};

const AtlDiffusionFamily atl_family_zimage = {
  .name = "zimage",
  .words = "Z-Image",
  .pipelines = (const char *const[]){ "ZImagePipeline", "ZImageImg2ImgPipeline",
                                      "ZImageOmniPipeline", NULL },
  .component = "zimage",
  .parts = zimage_parts,
  .n_parts = G_N_ELEMENTS (zimage_parts),
  .published = zimage_published,
  .n_published = G_N_ELEMENTS (zimage_published),
  .traits = { .abilities = ATL_CAN_PICTURE | ATL_CAN_NEGATIVE | ATL_CAN_GUIDANCE | ATL_CAN_LORA,
              .multiple = 2 * FACTOR,
              .side = 1024,
              .steps = 8,
              .guidance = 0,
              .adds_guidance = TRUE,
              .frames = 1,
              .is_flow = TRUE,
              .knobs = (const AtlKnob *const[]){ &atl_knob_faster, &atl_knob_method_of_parts,
                                                 &atl_knob_shift, NULL } },
  .refine = zimage_refine,
  .schedule = { .name = "FlowMatchEulerDiscreteScheduler",
                .config = "{\"shift\": 3.0, \"use_dynamic_shifting\": false}" },
  .first_timestep = 1,
  .lora = { .bases = (const char *const[]){ "z-image", "zimage", NULL },
            .marks = (const char *const[]){ "layers_0_attention_to_", "layers_0_attention_qkv",
                                            "layers_0_feed_forward_w", NULL } },
  .run = run_zimage,
};
