/* Qwen-Image: from words, from a picture, inside a mask (diffusers 0.42.1, pipelines/qwenimage).
 *
 * Text: the prompt in its template through Qwen2.5-VL, the last hidden state behind the final norm,
 * without the template's first 34 tokens. Tokens are 2x2 patches of the latent. Steps from 1 down
 * to 1/n, shifted by mu of the number of tokens. With a negative prompt and true_cfg_scale > 1:
 * negative
 * + s (positive - negative), each token brought to the length of the positive one. From a picture:
 * begins at n - n strength; with a mask, what lies outside becomes the picture again after every
 * step, as noisy as the next expects it. Latents: (mean - latents_mean) / latents_std.
 *
 * Settings: prompt, negative_prompt, true_cfg_scale, width, height, steps, strength,
 * max_sequence_length, scheduler, sigmas. Inputs: initial_latent [1, tokens, 64], image, mask,
 * noise.
 */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/diffusion/family-list.h"
#include "engine/diffusion/latents.h"

#define FACTOR 8
#define CHANNELS 16
#define MAX_TEXT 1024
#define TEMPLATE_TOKENS 34

static const char template_start[] =
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, "
    "quantity, "
    "text, spatial relationships of the objects and background:<|im_end|>\n<|im_start|>user\n";
static const char template_end[] = "<|im_end|>\n<|im_start|>assistant\n";

static const char default_schedule[] =
    "{\"use_dynamic_shifting\": true, \"base_shift\": 0.5, \"max_shift\": 0.9, "
    "\"base_image_seq_len\": 256, \"max_image_seq_len\": 8192, \"shift_terminal\": 0.02}";

/* Of the authors' autoencoder, for files without a configuration. */
static const float default_mean[CHANNELS] = { -0.7571f, -0.7089f, -0.9113f, 0.1075f,
                                              -0.1745f, 0.9653f,  -0.1517f, 1.5508f,
                                              0.4134f,  -0.0715f, 0.5517f,  -0.3632f,
                                              -0.1922f, -0.9497f, 0.2503f,  -0.2921f };
static const float default_std[CHANNELS] = { 2.8184f, 1.4541f, 2.3275f, 2.6558f, 1.2196f, 1.7708f,
                                             2.6052f, 2.0743f, 3.2687f, 2.1526f, 2.8652f, 1.5579f,
                                             1.6382f, 1.1253f, 2.8251f, 1.916f };

typedef struct
{
  gint64 height, width; /* of the latent */
  double true_cfg;
  float *mean, *std;              /* (owned) */
  AtlArray *positive, *negative;  /* (owned) negative nullable */
  AtlArray *clean, *noise, *mask; /* (owned, nullable) [1, C, h, w]; mask [1, 1, h, w] */
} Qwen;

static void
qwen_clear (Qwen *self)
{
  AtlArray **owned[] = { &self->positive, &self->negative, &self->clean, &self->noise,
                         &self->mask };

  for (gsize i = 0; i < G_N_ELEMENTS (owned); i++)
    g_clear_pointer (owned[i], atl_array_free);
  g_free (self->mean);
  g_free (self->std);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Qwen, qwen_clear)

/* --- Text --- */

static AtlArray *
encode (AtlRun *run, const char *prompt, GError **error)
{
  AtlTokenizer *tokenizer = atl_bundle_tokenizer (run->bundle, "tokenizer", error);
  g_autofree char *text = g_strconcat (template_start, prompt, template_end, NULL);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (AtlRequest) request = atl_request_new ("encode_text");
  gint64 most = (gint64) CLAMP (
      atl_settings_number (run->settings, "max_sequence_length", MAX_TEXT), 1, MAX_TEXT);
  AtlArray *array;

  if (tokenizer == NULL ||
      !atl_tokenizer_encode (tokenizer, text, -1, ATL_TOKENIZE_PARSE_SPECIAL, ids, error))
    return NULL;
  array = atl_array_new ("token_ids", ATL_DTYPE_I32, 2,
                         (gint64[]){ 1, MIN ((gint64) ids->len, most + TEMPLATE_TOKENS) });
  memcpy (array->data, ids->data, atl_array_size (array));
  atl_request_add (request, array);
  atl_request_set_number (request, "layer", -1);
  atl_request_set_number (request, "drop", TEMPLATE_TOKENS);
  return atl_run_output_of (run, "text_encoder", request, "hidden", error);
}

static gboolean
encode_text (AtlRun *run, Qwen *self, GError **error)
{
  const char *negative = atl_settings_string (run->settings, "negative_prompt", NULL);

  atl_run_progress (run, _ ("Reading the prompt"), 0, 0);
  self->positive = encode (run, atl_settings_string (run->settings, "prompt", ""), error);
  if (self->positive == NULL)
    return FALSE;
  atl_run_trace (run, "text", self->positive);
  if (self->true_cfg > 1 && negative != NULL)
    {
      self->negative = encode (run, negative, error);
      if (self->negative == NULL)
        return FALSE;
    }
  atl_parts_release (run->parts, "text_encoder");
  return TRUE;
}

/* --- Pictures --- */

static gboolean
read_picture (AtlRun *run, Qwen *self, GError **error)
{
  gint64 H = self->height * FACTOR, W = self->width * FACTOR;
  g_autoptr (AtlRequest) request = atl_request_new ("vae_encode");
  const AtlArray *mask = atl_run_input (run, "mask");
  AtlArray *picture;

  if (atl_run_input (run, "image") == NULL)
    return TRUE;
  if (mask != NULL && (mask->dtype != ATL_DTYPE_F32 || mask->n_dims != 4 || mask->dim[1] != 1 ||
                       mask->dim[2] != H || mask->dim[3] != W))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The mask must have the size of the picture, %d × %d pixels"), (int) W,
                   (int) H);
      return FALSE;
    }
  picture = atl_run_picture (run, "image", H, W, error);
  if (picture == NULL)
    return FALSE;
  atl_run_progress (run, _ ("Looking at the picture"), 0, 0);
  picture->n_dims = 5;
  memcpy (picture->dim, (gint64[]){ 1, 3, 1, H, W }, 5 * sizeof *picture->dim);
  atl_request_add (request, picture);
  self->clean = atl_run_output_of (run, "vae", request, "mean", error);
  if (self->clean == NULL)
    return FALSE;
  atl_latent_normalise (self->clean, self->mean, self->std);
  self->clean->n_dims = 4;
  memcpy (self->clean->dim, (gint64[]){ 1, CHANNELS, self->height, self->width },
          4 * sizeof *self->clean->dim);
  if (mask != NULL)
    self->mask = atl_mask_shrink (mask, self->height, self->width);
  atl_parts_release (run->parts, "vae");
  return TRUE;
}

/* --- Sampling --- */

static AtlArray *
forward (AtlRun *run,
         const Qwen *self,
         const AtlArray *latent,
         double timestep,
         const AtlArray *context,
         GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("forward");
  AtlArray *shapes = atl_array_new ("img_shapes", ATL_DTYPE_I32, 2, (gint64[]){ 1, 3 });

  atl_array_i32 (shapes)[0] = 1;
  atl_array_i32 (shapes)[1] = (gint32) self->height / 2;
  atl_array_i32 (shapes)[2] = (gint32) self->width / 2;
  atl_request_add (request, shapes);
  atl_request_add (request, atl_array_copy (latent, "latent"));
  atl_request_add (request, atl_array_number ("timestep", timestep / 1000));
  atl_request_add (request, atl_array_copy (context, "context"));
  return atl_run_output_of (run, "transformer", request, "output", error);
}

/* Each token of x [1, tokens, C] becomes as long as that of `like`. */
static void
keep_lengths (AtlArray *x, const AtlArray *like)
{
  gint64 C = x->dim[2];

  for (gint64 t = 0; t < x->dim[1]; t++)
    {
      float *a = atl_array_f32 (x) + t * C;
      const float *b = atl_array_f32 (like) + t * C;
      double of_a = 0, of_b = 0;

      for (gint64 c = 0; c < C; c++)
        {
          of_a += (double) a[c] * a[c];
          of_b += (double) b[c] * b[c];
        }
      for (gint64 c = 0; c < C && of_a > 0; c++)
        a[c] *= (float) sqrt (of_b / of_a);
    }
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
  const Qwen *self = user_data;
  g_autoptr (AtlArray) positive = forward (run, self, scaled, timestep, self->positive, error);
  g_autoptr (AtlArray) negative = NULL;

  if (positive == NULL)
    return FALSE;
  if (call == 0)
    atl_run_trace (run, "first_output", positive);
  memcpy (out->data, positive->data, atl_array_size (out));
  if (self->negative == NULL)
    return TRUE;
  negative = forward (run, self, scaled, timestep, self->negative, error);
  if (negative == NULL)
    return FALSE;
  atl_guide (out, negative, positive, self->true_cfg);
  keep_lengths (out, positive);
  return TRUE;
}

/* Outside the mask the picture comes back, as noisy as the next step expects it. */
static void
keep_outside (AtlRun *run, AtlSchedule *schedule, guint call, AtlArray *x, gpointer user_data)
{
  const Qwen *self = user_data;
  gint64 n = self->height * self->width;
  g_autoptr (AtlArray) latent = atl_latent_unpack (x, self->height, self->width);
  g_autoptr (AtlArray) outside = atl_array_copy (self->clean, "outside");
  g_autoptr (AtlArray) packed = NULL;

  if (call + 1 < atl_schedule_n_calls (schedule))
    atl_schedule_add_noise (schedule, call + 1, atl_array_f32 (self->clean),
                            atl_array_f32 (self->noise), atl_array_f32 (outside),
                            (gsize) atl_array_n_elems (outside));
  for (gint64 i = 0; i < CHANNELS * n; i++)
    if (atl_array_f32 (self->mask)[i % n] == 0.0f)
      atl_array_f32 (latent)[i] = atl_array_f32 (outside)[i];
  packed = atl_latent_pack (latent, "latent");
  memcpy (x->data, packed->data, atl_array_size (x));
}

static gboolean
decode (AtlRun *run, const Qwen *self, const AtlArray *x, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("vae_decode");
  AtlArray *latent = atl_latent_unpack (x, self->height, self->width), *image;

  atl_run_progress (run, _ ("Finishing"), 0, 0);
  atl_latent_restore (latent, self->mean, self->std);
  latent->n_dims = 5;
  memcpy (latent->dim, (gint64[]){ 1, CHANNELS, 1, self->height, self->width },
          5 * sizeof *latent->dim);
  atl_request_add (request, latent);
  image = atl_run_output_of (run, "vae", request, "image", error);
  atl_parts_release (run->parts, "vae");
  if (image == NULL)
    return FALSE;
  image->n_dims = 4;
  memcpy (image->dim, (gint64[]){ 1, 3, self->height * FACTOR, self->width * FACTOR },
          4 * sizeof *image->dim);
  atl_array_to_picture (image);
  atl_run_take_output (run, "image", image);
  return TRUE;
}

static gboolean
run_qwen (AtlRun *run, GError **error)
{
  g_auto (Qwen) self = { .true_cfg = atl_settings_number (run->settings, "true_cfg_scale", 4) };
  AtlCheckpoint *vae = atl_bundle_checkpoint (run->bundle, "vae", error);
  g_autoptr (AtlSchedule) schedule = NULL;
  AtlArray *x;
  guint first;

  if (vae == NULL)
    return FALSE;
  self.mean = atl_latent_statistics (vae, "latents_mean", CHANNELS, default_mean, CHANNELS, error);
  self.std = self.mean == NULL ? NULL
                               : atl_latent_statistics (vae, "latents_std", CHANNELS, default_std,
                                                        CHANNELS, error);
  if (self.std == NULL)
    return FALSE;
  atl_run_size (run, 2 * FACTOR, 1328, &self.width, &self.height);
  self.width /= FACTOR;
  self.height /= FACTOR;
  if (!encode_text (run, &self, error))
    return FALSE;
  schedule =
      atl_run_schedule (run, "FlowMatchEulerDiscreteScheduler", default_schedule, NULL, error);
  if (schedule == NULL ||
      !atl_run_set_flow_steps (
          run, schedule, 50,
          atl_schedule_mu (schedule, (double) (self.height / 2 * (self.width / 2))), error) ||
      !read_picture (run, &self, error))
    return FALSE;
  x = atl_flow_start (run, schedule, CHANNELS, self.height, self.width, self.clean, &first,
                      &self.noise, error);
  if (x == NULL)
    return FALSE;
  if (!atl_run_sample (run, schedule, first, x, predict, self.mask != NULL ? keep_outside : NULL,
                       &self, error))
    {
      atl_array_free (x);
      return FALSE;
    }
  atl_parts_release (run->parts, "transformer");
  atl_run_take_output (run, "final_latent", x);
  return decode (run, &self, x, error);
}

/* --- The family --- */

static gboolean
recognises (AtlBundle *bundle, GError **error)
{
  return atl_bundle_loose (bundle, "qwen-image", error) != NULL;
}

static void
qwen_traits (AtlBundle *bundle, AtlTraits *traits)
{
  traits->abilities |= ATL_CAN_NEGATIVE | ATL_CAN_IMAGE | ATL_CAN_MASK;
  traits->multiple = 2 * FACTOR;
  traits->side = 1328;
  traits->steps = 50;
  traits->guidance = 4;
}

static const AtlPart qwen_parts[] = {
  { "transformer", N_ ("the denoiser"), "forward", "QwenImageTransformer2DModel", NULL, FALSE },
  { "text_encoder", N_ ("the text encoder Qwen2.5-VL"), "encode_text",
    "Qwen2_5_VLForConditionalGeneration", NULL, FALSE },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKLQwenImage", NULL, FALSE },
};

const AtlDiffusionFamily atl_family_qwen_image = {
  .name = "qwen-image",
  .words = "Qwen-Image",
  .pipelines = (const char *const[]){ "QwenImagePipeline", "QwenImageImg2ImgPipeline",
                                      "QwenImageInpaintPipeline", NULL },
  .recognises = recognises,
  .parts = qwen_parts,
  .n_parts = G_N_ELEMENTS (qwen_parts),
  .traits = qwen_traits,
  .run = run_qwen,
};
