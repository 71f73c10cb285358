/* Qwen-Image: from words, from a picture, inside a mask; Qwen-Image-Edit and Edit-Plus: from other
 * pictures (diffusers 0.42.1, pipelines/qwenimage).
 *
 * Text: the prompt in its template through Qwen2.5-VL, the last hidden state behind the final norm,
 * without the template's first 34 tokens. Tokens are 2x2 patches of the latent. Steps from 1 down
 * to 1/n, shifted by mu of the number of tokens. With a negative prompt and true_cfg_scale > 1:
 * negative + s (positive - negative), each token brought to the length of the positive one. From a
 * picture: begins at n - n strength; with a mask, what lies outside becomes the picture again after
 * every step, as noisy as the next expects it. Latents: (mean - latents_mean) / latents_std.
 *
 * Editing: the pictures stand in the prompt (qwen-edit.h), and their tokens behind the latent's;
 * the output's are cut off.
 *
 * Settings: prompt, negative_prompt, true_cfg_scale, width, height, steps, strength,
 * max_sequence_length, scheduler, sigmas; "guidance" is true_cfg_scale with a space for a negative
 * prompt where there is none, as the authors advise. Inputs: initial_latent [1, tokens, 64], image,
 * mask, noise; for editing image_1, image_2, … and condition_1, … (what the vision tower sees; else
 * made of the pictures).
 */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/diffusion/decode.h"
#include "engine/diffusion/family-list.h"
#include "engine/diffusion/knobs.h"
#include "engine/diffusion/latents.h"
#include "engine/diffusion/part-checks.h"
#include "engine/diffusion/qwen-edit.h"
#include "engine/diffusion/tokens.h"

#define FACTOR 8
#define CHANNELS 16
#define MAX_TEXT 1024
#define SIDE 1328
#define EDIT_SIDE 1024
#define TEMPLATE_TOKENS 34

static const char template_start[] =
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, "
    "quantity, "
    "text, spatial relationships of the objects and background:<|im_end|>\n<|im_start|>user\n";
static const char template_end[] = "<|im_end|>\n<|im_start|>assistant\n";

typedef struct
{
  AtlLatent latent; /* its size */
  double true_cfg;
  float *mean, *std;              /* (owned) */
  AtlArray *positive, *negative;  /* (owned) negative nullable */
  AtlArray *clean, *noise, *mask; /* (owned, nullable) [1, C, h, w]; mask [1, 1, h, w] */
  AtlQwenReferences references;   /* (owned) */
} Qwen;

static void
qwen_clear (Qwen *self)
{
  AtlArray **owned[] = { &self->positive, &self->negative, &self->clean, &self->noise,
                         &self->mask };

  for (gsize i = 0; i < G_N_ELEMENTS (owned); i++)
    g_clear_pointer (owned[i], atl_array_free);
  atl_qwen_references_clear (&self->references);
  g_free (self->mean);
  g_free (self->std);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Qwen, qwen_clear)

/* --- Text --- */

static AtlArray *
encode (AtlRun *run, const Qwen *self, const char *prompt, GError **error)
{
  g_autofree char *text = g_strconcat (template_start, prompt, template_end, NULL);
  g_autoptr (AtlRequest) request = atl_request_new ("encode_text");
  gint64 length = atl_run_text_length (run, MAX_TEXT, MAX_TEXT);

  if (self->references.n > 0)
    return atl_qwen_references_encode (run, &self->references, prompt, length, error);
  if (!atl_request_add_text (request, run, "tokenizer", text, length + TEMPLATE_TOKENS,
                             ATL_TEXT_SPECIAL, NULL, error))
    return NULL;
  atl_request_set_number (request, "layer", -1);
  atl_request_set_number (request, "drop", TEMPLATE_TOKENS);
  return atl_run_output_of (run, "text_encoder", request, "hidden", error);
}

static gboolean
encode_text (AtlRun *run, Qwen *self, GError **error)
{
  const char *negative = atl_settings_string (
      run->settings, "negative_prompt", atl_settings_has (run->settings, "guidance") ? " " : NULL);

  if (!atl_qwen_references_look (run, &self->references, error))
    return FALSE;
  atl_run_progress (run, _ ("Reading the prompt"), 0, 0);
  self->positive = encode (run, self, atl_settings_string (run->settings, "prompt", ""), error);
  if (self->positive == NULL)
    return FALSE;
  atl_run_trace (run, "text", self->positive);
  if (self->true_cfg > 1 && negative != NULL)
    {
      self->negative = encode (run, self, negative, error);
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
  const AtlLatent *latent = &self->latent;
  gint64 H = latent->height * FACTOR, W = latent->width * FACTOR;
  g_autoptr (AtlArray) mask = NULL;
  AtlArray *picture;

  if (self->references.n > 0)
    return atl_qwen_references_measure (run, &self->references, self->mean, self->std, error);
  if (atl_run_input (run, "image") == NULL)
    return TRUE;
  if (atl_run_input (run, "mask") != NULL)
    {
      mask = atl_run_mask (run, H, W, error);
      if (mask == NULL)
        return FALSE;
      self->mask = atl_mask_shrink (mask, latent->height, latent->width);
    }
  picture = atl_run_picture (run, "image", H, W, error);
  if (picture == NULL)
    return FALSE;
  atl_run_progress (run, _ ("Looking at the picture"), 0, 0);
  self->clean = atl_qwen_latent_of (run, picture, self->mean, self->std, error);
  if (self->clean == NULL)
    return FALSE;
  atl_parts_release (run->parts, "vae");
  return TRUE;
}

/* --- Sampling --- */

static AtlArray *
forward (AtlRun *run,
         const AtlArray *latent,
         double timestep,
         gconstpointer text,
         gpointer user_data,
         GError **error)
{
  const Qwen *self = user_data;
  const AtlQwenReferences *references = &self->references;
  g_autoptr (AtlRequest) request = atl_request_new ("forward");
  gint64 n = 1 + references->n;
  AtlArray *shapes = atl_array_new ("img_shapes", ATL_DTYPE_I32, 2, (gint64[]){ n, 3 });

  for (gint64 i = 0; i < n; i++)
    {
      gint32 *shape = atl_array_i32 (shapes) + 3 * i;

      shape[0] = 1;
      shape[1] = (gint32) (i == 0 ? self->latent.height / 2 : references->size[i - 1][0]);
      shape[2] = (gint32) (i == 0 ? self->latent.width / 2 : references->size[i - 1][1]);
    }
  atl_request_add (request, shapes);
  atl_request_add (request, atl_array_copy (latent, "latent"));
  atl_request_add (request, atl_array_number ("timestep", timestep / 1000));
  atl_request_add (request, atl_array_copy (text, "context"));
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
  g_autoptr (AtlArray) positive = NULL;
  g_autoptr (AtlArray) joined = NULL;

  if (self->references.tokens != NULL)
    joined = atl_array_join ("latent", 1, 2,
                             (const AtlArray *const[]){ scaled, self->references.tokens });
  if (!atl_run_guided (run, forward, joined != NULL ? joined : scaled, timestep, self->positive,
                       self->negative, self->true_cfg, out, &positive, user_data, error))
    return FALSE;
  if (self->negative != NULL)
    keep_lengths (out, positive);
  return TRUE;
}

static void
keep_outside (AtlRun *run, AtlSchedule *schedule, guint call, AtlArray *x, gpointer user_data)
{
  const Qwen *self = user_data;
  g_autoptr (AtlArray) latent = atl_latent_unpack (x, self->latent.height, self->latent.width);
  g_autoptr (AtlArray) packed = NULL;

  atl_latent_keep_outside (schedule, call, latent, self->clean, self->noise, self->mask);
  packed = atl_latent_pack (latent, "latent");
  memcpy (x->data, packed->data, atl_array_size (x));
}

static gboolean
decode (AtlRun *run, const Qwen *self, AtlArray *latent /* taken */, GError **error)
{
  gint64 h = self->latent.height, w = self->latent.width;
  AtlArray *image;

  atl_latent_restore (latent, self->mean, self->std);
  latent->n_dims = 5;
  memcpy (latent->dim, (gint64[]){ 1, CHANNELS, 1, h, w }, 5 * sizeof *latent->dim);
  image = atl_run_decode (run, latent, error);
  if (image == NULL)
    return FALSE;
  image->n_dims = 4;
  memcpy (image->dim, (gint64[]){ 1, 3, h * FACTOR, w * FACTOR }, 4 * sizeof *image->dim);
  atl_array_to_picture (image);
  atl_run_take_output (run, "image", image);
  return TRUE;
}

/* --- Kinds --- */

#define EDITING_WORD "edit"

enum
{
  DRAWS,
  EDITS,
  EDITS_PLUS
};

/* By the pipeline's class, else by what the denoiser's file says or is called: all have the same
 * network. */
static guint
kind_of (AtlBundle *bundle, const char *pipeline)
{
  AtlCheckpoint *cp;

  if (pipeline != NULL)
    return g_str_equal (pipeline, "QwenImageEditPlusPipeline") ? EDITS_PLUS
           : g_str_equal (pipeline, "QwenImageEditPipeline")   ? EDITS
                                                               : DRAWS;
  cp = atl_bundle_checkpoint (bundle, "transformer", NULL);
  if (cp == NULL)
    return DRAWS;
  /* ComfyUI's mark of 2511. */
  if (atl_denoiser_find (cp, "__index_timestep_zero__") != NULL)
    return EDITS_PLUS;
  if (!atl_denoiser_is_called (cp, (const char *const[]){ EDITING_WORD, NULL }))
    return DRAWS;
  return atl_denoiser_is_called (cp, (const char *const[]){ "2509", "2511", "plus", NULL })
             ? EDITS_PLUS
             : EDITS;
}

static gboolean
run_qwen (AtlRun *run, GError **error)
{
  g_auto (Qwen)
      self = { .true_cfg = atl_settings_number (run->settings, "true_cfg_scale",
                                                atl_settings_number (run->settings, "guidance", 4)),
               .latent = { .factor = FACTOR, .channels = CHANNELS } };
  AtlCheckpoint *vae = atl_bundle_checkpoint (run->bundle, "vae", error);
  guint kind = kind_of (run->bundle, run->pipeline);
  g_autoptr (AtlSchedule) schedule = NULL;
  AtlArray *latent;

  if (vae == NULL || !atl_wan_statistics (vae, CHANNELS, &self.mean, &self.std, error) ||
      !atl_latent_init (&self.latent, run, 2 * FACTOR, kind == DRAWS ? SIDE : EDIT_SIDE, error))
    return FALSE;
  self.references.is_plus = kind == EDITS_PLUS;
  self.references.n = atl_qwen_references_count (run, kind != DRAWS);
  if (self.references.n > 0 && !atl_bundle_has (run->bundle, "vision_tower"))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, "%s",
                   _ ("The file of the text encoder Qwen2.5-VL holds no vision tower, which must "
                      "look at the pictures. A complete file does, or an mmproj file beside it"));
      return FALSE;
    }
  if (!encode_text (run, &self, error))
    return FALSE;
  schedule = atl_run_schedule (run, error);
  if (schedule == NULL ||
      !atl_run_set_flow_steps (
          run, schedule, 50,
          atl_schedule_mu (schedule, (double) (self.latent.height / 2 * (self.latent.width / 2))),
          error) ||
      !read_picture (run, &self, error))
    return FALSE;
  latent = atl_flow_draw (run, schedule,
                          &(AtlFlowWalk){ .latent = &self.latent,
                                          .channels = CHANNELS,
                                          .clean = self.clean,
                                          .noise = &self.noise,
                                          .is_packed = TRUE,
                                          .predict = predict,
                                          .after = self.mask != NULL ? keep_outside : NULL },
                          &self, error);
  return latent != NULL && decode (run, &self, latent, error);
}

/* --- The family --- */

static void
qwen_refine (AtlBundle *bundle, AtlTraits *traits)
{
  guint kind = kind_of (bundle, atl_bundle_pipeline (bundle));

  if (kind == DRAWS)
    {
      traits->abilities |= ATL_CAN_IMAGE | ATL_CAN_MASK;
      return;
    }
  traits->abilities |= ATL_CAN_REFERENCE;
  traits->max_references = kind == EDITS_PLUS ? ATL_QWEN_MAX_PICTURES : 1;
  traits->side = EDIT_SIDE;
}

static void
reference_size (
    const AtlTraits *traits, double width, double height, gint64 *to_width, gint64 *to_height)
{
  atl_qwen_fit_area (width, height, (double) traits->side * traits->side, to_width, to_height);
}

/* Qwen-Image-Layered is the same network, told with one more number that it splits a picture. */
static gboolean
check_kind (AtlBundle *bundle, GError **error)
{
  AtlCheckpoint *cp = atl_bundle_has (bundle, "transformer")
                          ? atl_bundle_checkpoint (bundle, "transformer", NULL)
                          : NULL;

  if (atl_denoiser_find (cp, "time_text_embed.addition_t_embedding.weight") == NULL)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
               _ ("%s is Qwen-Image-Layered, which splits a picture into transparent layers. "
                  "Atelier cannot do that; Qwen-Image and Qwen-Image-Edit work"),
               atl_checkpoint_name (cp));
  return FALSE;
}

static const char *const text_names[] = { "txt_norm.weight", NULL };
static const AtlTextReader text_reader = { "transformer", text_names, 1 };

/* It draws in Wan 2.1's latent. */
static gboolean
fits_preview (AtlBundle *bundle, const AtlCheckpoint *cp)
{
  return atl_tiny_channels (cp) == CHANNELS;
}

static const AtlPart qwen_parts[] = {
  { "transformer", N_ ("the denoiser"), "forward", "QwenImageTransformer2DModel", NULL, FALSE },
  { "text_encoder", N_ ("the text encoder Qwen2.5-VL"), "encode_text",
    "Qwen2_5_VLForConditionalGeneration", atl_is_qwen25_vl, FALSE, .reader = &text_reader },
  { "vision_tower", N_ ("the vision tower of Qwen2.5-VL"), "encode_image",
    "Qwen2_5_VisionTransformerPretrainedModel", NULL, TRUE, .beside = "text_encoder" },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKLQwenImage", atl_is_qwen_vae,
    FALSE },
  ATL_TINY_PART ("TAEHV", atl_is_taew, fits_preview),
};

static const AtlPublished qwen_published[] = {
  { "tokenizer", "Qwen/Qwen2.5-VL-7B-Instruct", "tokenizer.json", 0 },
  { "text_encoder", "Comfy-Org/Qwen-Image_ComfyUI",
    "split_files/text_encoders/qwen_2.5_vl_7b_fp8_scaled.safetensors", 0 },
  { "vae", "Comfy-Org/Qwen-Image_ComfyUI", "split_files/vae/qwen_image_vae.safetensors", 0 },
  { ATL_TINY_ROLE, "lightx2v/Autoencoders", "taew2_1.safetensors", 0 },
};

const AtlDiffusionFamily atl_family_qwen_image = {
  .name = "qwen-image",
  .words = "Qwen-Image",
  .editing_word = EDITING_WORD,
  .pipelines =
      (const char *const[]){ "QwenImagePipeline", "QwenImageImg2ImgPipeline",
                             "QwenImageInpaintPipeline", "QwenImageEditPipeline",
                             "QwenImageEditPlusPipeline", "QwenImageLayeredPipeline", NULL },
  .component = "qwen-image",
  .check = check_kind,
  .parts = qwen_parts,
  .n_parts = G_N_ELEMENTS (qwen_parts),
  .published = qwen_published,
  .n_published = G_N_ELEMENTS (qwen_published),
  .traits = { .abilities = ATL_CAN_PICTURE | ATL_CAN_NEGATIVE | ATL_CAN_GUIDANCE | ATL_CAN_LORA,
              .multiple = 2 * FACTOR,
              .side = SIDE,
              .steps = 50,
              .guidance = 4,
              .frames = 1,
              .is_flow = TRUE,
              .knobs = (const AtlKnob *const[]){ &atl_knob_faster, &atl_knob_method_of_attention,
                                                 NULL } },
  .refine = qwen_refine,
  .schedule = { .name = "FlowMatchEulerDiscreteScheduler",
                .config =
                    "{\"use_dynamic_shifting\": true, \"base_shift\": 0.5, \"max_shift\": 0.9, "
                    "\"base_image_seq_len\": 256, \"max_image_seq_len\": 8192, \"shift_terminal\": "
                    "0.02}" },
  .first_timestep = 1,
  .lora = { .bases = (const char *const[]){ "qwen-image", "qwen_image", NULL },
            .marks = (const char *const[]){ "_img_mlp_net_", NULL },
            .shift = 3,
            .is_shift_sized = TRUE },
  .reference_size = reference_size,
  .run = run_qwen,
};
