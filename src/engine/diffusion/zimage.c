/* Z-Image: Turbo and base (diffusers 0.42.1, pipelines/z_image).
 *
 * Text: the prompt as a user's turn through Qwen3, the hidden state before its last layer, no
 * padding, at most 512 tokens. The network is asked at 1 - sigma and its answer negated. Steps from
 * 1 down to 1/n, shifted by 3. Guidance g > 0: positive + g (positive - negative), which is one
 * less than elsewhere; with cfg_normalization c > 0 the result is no longer than c times the
 * positive; none once 1 - sigma exceeds cfg_truncation.
 *
 * From a picture: begins at n - n strength.
 *
 * Settings: prompt, negative_prompt, guidance, cfg_normalization, cfg_truncation, width, height,
 * steps, strength, max_sequence_length, scheduler, sigmas. Inputs: initial_latent [1, 16, H/8,
 * W/8], image, noise.
 */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/diffusion/family-list.h"
#include "engine/diffusion/latents.h"

#define FACTOR 8
#define CHANNELS 16
#define MAX_TEXT 512

static const char default_schedule[] = "{\"shift\": 3.0, \"use_dynamic_shifting\": false}";

typedef struct
{
  double guidance, normalization, truncation, scaling, shift;
  AtlArray *positive, *negative; /* (owned) [1, T, dim]; negative nullable */
} ZImage;

static void
zimage_clear (ZImage *self)
{
  g_clear_pointer (&self->positive, atl_array_free);
  g_clear_pointer (&self->negative, atl_array_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (ZImage, zimage_clear)

/* --- Text --- */

static AtlArray *
encode (AtlRun *run, const char *prompt, GError **error)
{
  AtlTokenizer *tokenizer = atl_bundle_tokenizer (run->bundle, "tokenizer", error);
  g_autofree char *turn =
      g_strconcat ("<|im_start|>user\n", prompt, "<|im_end|>\n<|im_start|>assistant\n", NULL);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (AtlRequest) request = atl_request_new ("encode_text");
  double most =
      CLAMP (atl_settings_number (run->settings, "max_sequence_length", MAX_TEXT), 1, MAX_TEXT);
  AtlArray *array;

  if (tokenizer == NULL ||
      !atl_tokenizer_encode (tokenizer, turn, -1, ATL_TOKENIZE_PARSE_SPECIAL, ids, error))
    return NULL;
  array = atl_array_new ("token_ids", ATL_DTYPE_I32, 2,
                         (gint64[]){ 1, MIN ((gint64) ids->len, (gint64) most) });
  memcpy (array->data, ids->data, atl_array_size (array));
  atl_request_add (request, array);
  atl_request_set_number (request, "layer", -2);
  return atl_run_output_of (run, "text_encoder", request, "hidden", error);
}

static gboolean
encode_text (AtlRun *run, ZImage *self, GError **error)
{
  atl_run_progress (run, _ ("Reading the prompt"), 0, 0);
  self->positive = encode (run, atl_settings_string (run->settings, "prompt", ""), error);
  if (self->positive == NULL)
    return FALSE;
  if (self->guidance > 0)
    {
      self->negative =
          encode (run, atl_settings_string (run->settings, "negative_prompt", ""), error);
      if (self->negative == NULL)
        return FALSE;
      atl_run_trace (run, "negative_context", self->negative);
    }
  atl_run_trace (run, "context", self->positive);
  atl_parts_release (run->parts, "text_encoder");
  return TRUE;
}

/* --- Sampling --- */

static AtlArray *
forward (AtlRun *run, const AtlArray *latent, double time, const AtlArray *context, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("forward");
  AtlArray *x = atl_array_copy (latent, "latent");

  x->n_dims = 5;
  memcpy (x->dim, (gint64[]){ 1, latent->dim[1], 1, latent->dim[2], latent->dim[3] },
          5 * sizeof *x->dim);
  atl_request_add (request, x);
  atl_request_add (request, atl_array_number ("timestep", time));
  atl_request_add (request, atl_array_copy (context, "context"));
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
  g_autoptr (AtlArray) positive = forward (run, scaled, time, self->positive, error);
  g_autoptr (AtlArray) negative = NULL;
  double most, length;

  if (positive == NULL)
    return FALSE;
  if (call == 0)
    atl_run_trace (run, "first_output", positive);
  memcpy (out->data, positive->data, atl_array_size (out));
  if (self->negative != NULL && time <= self->truncation)
    {
      negative = forward (run, scaled, time, self->negative, error);
      if (negative == NULL)
        return FALSE;
      atl_guide (out, negative, positive, 1 + self->guidance);
      most = self->normalization * length_of (positive);
      length = length_of (out);
      if (self->normalization > 0 && length > most)
        atl_array_affine (out, (float) (most / length), 0.0f);
    }
  atl_array_affine (out, -1.0f, 0.0f);
  return TRUE;
}

/* --- The pipeline --- */

/* Noise, or the picture with the noise of call `*first`. The caller's. */
static AtlArray *
begin (AtlRun *run,
       const ZImage *self,
       AtlSchedule *schedule,
       gint64 height,
       gint64 width,
       guint *first,
       GError **error)
{
  gint64 dim[] = { 1, CHANNELS, height, width };
  g_autoptr (AtlArray) picture = NULL;
  g_autoptr (AtlArray) clean = NULL;
  AtlArray *noise;

  *first = 0;
  if (atl_run_input (run, "initial_latent") != NULL)
    return atl_run_noise (run, "initial_latent", 4, dim, error);
  noise = atl_run_noise (run, "noise", 4, dim, error);
  if (noise == NULL || atl_run_input (run, "image") == NULL)
    return noise;
  picture = atl_run_picture (run, "image", height * FACTOR, width * FACTOR, error);
  clean = picture != NULL ? atl_vae_encode (run, picture, self->scaling, self->shift, error) : NULL;
  if (clean == NULL)
    {
      atl_array_free (noise);
      return NULL;
    }
  *first = atl_run_flow_start (run, schedule, atl_settings_number (run->settings, "strength", 0.6));
  if (*first < atl_schedule_n_calls (schedule))
    atl_schedule_add_noise (schedule, *first, atl_array_f32 (clean), atl_array_f32 (noise),
                            atl_array_f32 (noise), (gsize) atl_array_n_elems (noise));
  else
    memcpy (noise->data, clean->data, atl_array_size (noise));
  return noise;
}

static gboolean
run_zimage (AtlRun *run, GError **error)
{
  g_auto (ZImage) self = {
    .guidance = atl_settings_number (run->settings, "guidance", 0),
    .normalization = atl_settings_number (run->settings, "cfg_normalization", 0),
    .truncation = atl_settings_number (run->settings, "cfg_truncation", 1),
    .scaling = 0.3611,
    .shift = 0.1159,
  };
  AtlCheckpoint *vae = atl_bundle_checkpoint (run->bundle, "vae", error);
  g_autoptr (AtlSchedule) schedule = NULL;
  g_autoptr (AtlArray) latent = NULL;
  gint64 width, height;
  AtlArray *x;
  guint first;

  if (vae == NULL)
    return FALSE;
  atl_checkpoint_get_float (vae, "scaling_factor", 1e-6, 1e6, &self.scaling, NULL);
  atl_checkpoint_get_float (vae, "shift_factor", -1e6, 1e6, &self.shift, NULL);
  atl_run_size (run, 2 * FACTOR, 1024, &width, &height);
  if (!encode_text (run, &self, error))
    return FALSE;
  schedule =
      atl_run_schedule (run, "FlowMatchEulerDiscreteScheduler", default_schedule, NULL, error);
  if (schedule == NULL || !atl_run_set_flow_steps (run, schedule, 8, NAN, error))
    return FALSE;
  x = begin (run, &self, schedule, height / FACTOR, width / FACTOR, &first, error);
  if (x == NULL)
    return FALSE;
  atl_parts_release (run->parts, "vae");
  if (!atl_run_sample (run, schedule, first, x, predict, NULL, &self, error))
    {
      atl_array_free (x);
      return FALSE;
    }
  atl_parts_release (run->parts, "transformer");
  latent = atl_array_copy (x, "latent");
  atl_run_take_output (run, "final_latent", x);
  return atl_vae_decode (run, latent, self.scaling, self.shift, error);
}

/* --- The family --- */

static gboolean
recognises (AtlBundle *bundle, GError **error)
{
  return atl_bundle_loose (bundle, "zimage", error) != NULL;
}

static void
zimage_traits (AtlBundle *bundle, AtlTraits *traits)
{
  traits->abilities |= ATL_CAN_IMAGE | ATL_CAN_NEGATIVE;
  traits->multiple = 2 * FACTOR;
  traits->side = 1024;
  traits->steps = 8;
  traits->guidance = 0;
}

static const AtlPart zimage_parts[] = {
  { "transformer", N_ ("the denoiser"), "forward", "ZImageTransformer2DModel", NULL, FALSE },
  { "text_encoder", N_ ("the text encoder Qwen3"), "encode_text", "Qwen3ForCausalLM", NULL, FALSE },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKL", NULL, FALSE },
};

const AtlDiffusionFamily atl_family_zimage = {
  .name = "zimage",
  .words = "Z-Image",
  .pipelines = (const char *const[]){ "ZImagePipeline", "ZImageImg2ImgPipeline", NULL },
  .recognises = recognises,
  .parts = zimage_parts,
  .n_parts = G_N_ELEMENTS (zimage_parts),
  .traits = zimage_traits,
  .run = run_zimage,
};
