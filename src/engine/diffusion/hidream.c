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
#include "engine/diffusion/clip-pixels.h"
#include "engine/diffusion/family-list.h"
#include "engine/diffusion/latents.h"
#include "engine/diffusion/part-checks.h"
#include "engine/diffusion/t5-encode.h"
#include "engine/diffusion/tokens.h"

#define CHANNELS 16
#define FACTOR 8
#define MAX_TEXT 128
#define MAX_CLIP 218
#define PART_DENOISER "transformer"
#define PART_EDITOR "editor" /* where I1 is the denoiser */
#define PART_REFINER "refiner"
#define EDITING "HiDreamImageEditingPipeline"
#define TARGET "Target Image Description:"

/* Of Full; Dev and Fast bring their own. */
static const char default_schedule[] =
    "{\"prediction_type\": \"flow_prediction\", \"use_flow_sigmas\": true, \"flow_shift\": 3.0, "
    "\"solver_order\": 2, \"solver_type\": \"bh2\", \"predict_x0\": true, "
    "\"lower_order_final\": true}";

/* What the encoders make of a text. */
typedef struct
{
  AtlArray *pooled, *context, *llama; /* (owned) */
} Text;

enum
{
  NEGATIVE,
  POSITIVE,
  REFINED,
  N_TEXTS
};

typedef struct
{
  gboolean is_guided;
  double guidance;
  AtlLatent latent;
  Text texts[N_TEXTS];          /* (owned) */
  Text batch;                   /* (owned) of the denoiser under way */
  const char *editor, *refiner; /* roles: the denoiser; (nullable) the one of the last steps */
  /* Of editing. */
  gboolean edits, keeps_norm;
  double image_guidance;
  guint n_edits;       /* steps before the refiner's */
  gboolean has_turned; /* to the refiner */
  double max_seq[2];   /* of editor and refiner; negative: their own */
  AtlArray *picture;   /* (owned, nullable) clean latent */
} HiDream;

static void
text_clear (Text *self)
{
  g_clear_pointer (&self->pooled, atl_array_free);
  g_clear_pointer (&self->context, atl_array_free);
  g_clear_pointer (&self->llama, atl_array_free);
}

static void
hidream_clear (HiDream *self)
{
  for (guint i = 0; i < N_TEXTS; i++)
    text_clear (&self->texts[i]);
  text_clear (&self->batch);
  g_clear_pointer (&self->picture, atl_array_free);
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

/* All texts through encoder number `encoder`. */
static gboolean
encode_all (AtlRun *run,
            const HiDream *self,
            guint encoder,
            EncodeFunc encode,
            AtlArray *out[N_TEXTS],
            GError **error)
{
  static const char *const settings[] = { "negative_prompt", "prompt", "target_prompt" };
  g_autofree char *role =
      encoder == 0 ? g_strdup ("text_encoder") : g_strdup_printf ("text_encoder_%u", encoder + 1);
  const char *whole = atl_run_text_for (run, "prompt", encoder);
  const char *target = strstr (whole, TARGET);

  for (guint i = 0; i < N_TEXTS; i++)
    {
      const char *text = i == POSITIVE ? whole : atl_run_text_for (run, settings[i], encoder);

      if ((i == NEGATIVE && !self->is_guided) || (i == REFINED && self->refiner == NULL))
        continue;
      if (i == REFINED && *text == '\0' && target != NULL)
        text = target + strlen (TARGET) + strspn (target + strlen (TARGET), " ");
      out[i] = encode (run, encoder, text, error);
      if (out[i] == NULL)
        return FALSE;
    }
  atl_parts_release (run->parts, role);
  return TRUE;
}

static gboolean
encode_clips (AtlRun *run, HiDream *self, GError **error)
{
  AtlArray *pooled[2][N_TEXTS] = { { NULL }, { NULL } };
  gboolean ok = encode_all (run, self, 0, encode_clip, pooled[0], error) &&
                encode_all (run, self, 1, encode_clip, pooled[1], error);

  for (guint i = 0; i < N_TEXTS; i++)
    {
      if (ok && pooled[0][i] != NULL)
        self->texts[i].pooled = atl_array_join (
            "pooled", 1, 2, (const AtlArray *const[]){ pooled[0][i], pooled[1][i] });
      atl_array_free (pooled[0][i]);
      atl_array_free (pooled[1][i]);
    }
  return ok;
}

static gboolean
encode_text (AtlRun *run, HiDream *self, GError **error)
{
  AtlArray *context[N_TEXTS] = { NULL }, *llama[N_TEXTS] = { NULL };
  gboolean ok;

  atl_run_progress (run, _ ("Reading the prompt"), 0, 0);
  ok = encode_clips (run, self, error) && encode_all (run, self, 2, encode_t5, context, error) &&
       encode_all (run, self, 3, encode_llama, llama, error);
  for (guint i = 0; i < N_TEXTS; i++)
    {
      self->texts[i].context = context[i];
      self->texts[i].llama = llama[i];
    }
  return ok;
}

/* Texts beside each other, as the network takes a batch. */
static void
set_batch (HiDream *self, const guint *which, guint n)
{
  const AtlArray *pooled[3], *context[3], *llama[3];

  g_assert (n <= G_N_ELEMENTS (pooled));
  text_clear (&self->batch);
  for (guint i = 0; i < n; i++)
    {
      pooled[i] = self->texts[which[i]].pooled;
      context[i] = self->texts[which[i]].context;
      llama[i] = self->texts[which[i]].llama;
    }
  self->batch.pooled = atl_array_join ("pooled", 0, n, pooled);
  self->batch.context = atl_array_join ("context", 0, n, context);
  self->batch.llama = atl_array_join ("context_2", 1, n, llama);
}

/* --- Sampling --- */

/* What a network says of a batch of latents. The caller's. */
static AtlArray *
forward (AtlRun *run,
         const HiDream *self,
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

/* The noisy latent three times, the first beside nothing, the others beside the picture. */
static AtlArray *
beside_picture (const HiDream *self, const AtlArray *x)
{
  g_autoptr (AtlArray) zeros =
      atl_array_new ("zeros", ATL_DTYPE_F32, self->picture->n_dims, self->picture->dim);
  const AtlArray *noisy[] = { x, x, x }, *clean[] = { zeros, self->picture, self->picture };
  g_autoptr (AtlArray) left = atl_array_join ("latent", 0, 3, noisy);
  g_autoptr (AtlArray) right = atl_array_join ("latent", 0, 3, clean);

  return atl_array_join ("latent", 3, 2, (const AtlArray *const[]){ left, right });
}

/* The three predictions [3, C, h, 2 w], of which the left halves count, as one: out [1, C, h, w].
 */
static void
guide_edit (const HiDream *self, const AtlArray *three, AtlArray *out)
{
  gint64 C = out->dim[1], h = out->dim[2], w = out->dim[3];
  gint64 plane = h * 2 * w, whole = C * plane;
  const float *p = atl_array_f32 (three);
  double g = self->guidance, gi = self->image_guidance;

  for (gint64 y = 0; y < h; y++)
    for (gint64 x = 0; x < w; x++)
      {
        double of_t = 0, of_f = 0, factor = 1;

        for (gint64 c = 0; self->keeps_norm && c < C; c++)
          {
            const float *u = p + c * plane + y * 2 * w + x;
            double i = u[whole], f = u[2 * whole], t = i + g * (f - i);

            of_t += t * t;
            of_f += f * f;
          }
        if (self->keeps_norm)
          factor = MIN (sqrt (of_f) / (sqrt (of_t) + 1e-8), 1.0);
        for (gint64 c = 0; c < C; c++)
          {
            const float *at = p + c * plane + y * 2 * w + x;
            double u = at[0], i = at[whole], f = at[2 * whole], t = i + g * (f - i);

            atl_array_f32 (out)[(c * h + y) * w + x] =
                (float) (self->keeps_norm ? u + gi * (t * factor - u)
                                          : u + gi * (i - u) + g * (f - i));
          }
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
  HiDream *self = user_data;
  gboolean edits = self->edits && call < self->n_edits;
  gboolean refines = self->edits && !edits;
  g_autoptr (AtlArray) output = NULL;

  if (refines && !self->has_turned)
    {
      self->has_turned = TRUE;
      atl_parts_release (run->parts, self->editor);
      set_batch (self, (guint[]){ NEGATIVE, REFINED }, 2);
    }
  output = forward (run, self, refines ? self->refiner : self->editor,
                    edits ? beside_picture (self, scaled)
                          : atl_array_batch ("latent", self->is_guided ? scaled : NULL, scaled),
                    timestep, self->max_seq[refines], error);
  if (output == NULL)
    return FALSE;
  if (call == 0)
    atl_run_trace (run, "first_output", output);
  atl_array_affine (output, -1.0f, 0.0f);
  if (edits)
    guide_edit (self, output, out);
  else
    atl_guide_batch (out, output, self->guidance);
  return TRUE;
}

/* --- Editing --- */

/* Whether a denoiser's file is called E1: its network is I1's. */
static gboolean
is_editor (const AtlCheckpoint *cp)
{
  g_autofree char *name = g_ascii_strdown (atl_checkpoint_name (cp), -1);

  return strstr (name, "_e1") != NULL || strstr (name, "-e1") != NULL ||
         g_str_has_prefix (name, "e1");
}

/* Which parts edit and refine; no editor: I1. */
static void
find_editor (AtlBundle *bundle, const char *pipeline, const char **editor, const char **refiner)
{
  AtlCheckpoint *cp = atl_bundle_checkpoint (bundle, PART_DENOISER, NULL);

  *editor = *refiner = NULL;
  if (pipeline != NULL ? g_str_equal (pipeline, EDITING) : cp != NULL && is_editor (cp))
    {
      *editor = PART_DENOISER;
      if (atl_bundle_has (bundle, PART_REFINER) &&
          atl_bundle_checkpoint (bundle, PART_REFINER, NULL) != cp)
        *refiner = PART_REFINER;
    }
  else if (pipeline == NULL && atl_bundle_has (bundle, PART_EDITOR))
    {
      *editor = PART_EDITOR;
      *refiner = PART_DENOISER;
    }
}

/* In the shape of a picture, sides multiples of 16. */
static void
fit_area (double width, double height, double area, gint64 *to_width, gint64 *to_height)
{
  double scale = sqrt (area / (width * height));

  /* A picture of just that area stays as it is. */
  *to_width = MAX ((gint64) (width * scale + 0.5) / (2 * FACTOR), 1) * (2 * FACTOR);
  *to_height = MAX ((gint64) (height * scale + 0.5) / (2 * FACTOR), 1) * (2 * FACTOR);
}

/* The picture in -1…1, in its own shape and, where a size is asked for, of that area. NULL where
 * there is none; the caller's. */
static AtlArray *
find_picture (const AtlRun *run)
{
  gboolean is_unit = atl_run_input (run, "image_1") != NULL;
  const AtlArray *a = atl_run_input (run, is_unit ? "image_1" : "image");
  gint64 width, height;
  AtlArray *picture;

  if (a == NULL || a->dtype != ATL_DTYPE_F32 || a->n_dims != 4 || a->dim[0] != 1 ||
      a->dim[1] != 3 || a->dim[2] < 1 || a->dim[3] < 1)
    return NULL;
  if (!is_unit)
    return atl_array_copy (a, "image");
  atl_run_size (run, 2 * FACTOR, 1024, &width, &height);
  fit_area ((double) a->dim[3], (double) a->dim[2], (double) width * (double) height, &width,
            &height);
  picture = width == a->dim[3] && height == a->dim[2]
                ? atl_array_copy (a, "image")
                : atl_resize_picture (a, "image", height, width, ATL_FILTER_BICUBIC);
  atl_array_affine (picture, 2.0f, -1.0f);
  return picture;
}

/* Finds out whether and how this run edits; the latent gets the picture's size. */
static gboolean
prepare_edit (AtlRun *run, HiDream *self, GError **error)
{
  g_autoptr (AtlArray) given = find_picture (run);
  double refine = CLAMP (atl_settings_number (run->settings, "refine_strength", 0.3), 0, 1);
  guint n_max = 0;
  g_autofree double *max_seq = atl_settings_numbers (run->settings, "max_seq", &n_max);

  find_editor (run->bundle, run->pipeline, &self->editor, &self->refiner);
  if (self->editor == NULL || given == NULL)
    {
      self->editor = self->editor != NULL ? self->editor : PART_DENOISER;
      self->refiner = NULL;
      return TRUE;
    }
  if (given->dim[2] % (2 * FACTOR) != 0 || given->dim[3] % (2 * FACTOR) != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("A reference picture's width and height must be multiples of %d pixels"),
                   2 * FACTOR);
      return FALSE;
    }
  self->picture = g_steal_pointer (&given);
  self->latent.height = self->picture->dim[2] / FACTOR;
  self->latent.width = self->picture->dim[3] / FACTOR;
  run->latent = self->latent;
  self->edits = self->is_guided = TRUE;
  self->keeps_norm = atl_settings_number (run->settings, "clip_cfg_norm", 1) != 0;
  self->image_guidance = atl_settings_number (run->settings, "image_guidance_scale", 1.5);
  if (max_seq != NULL && n_max == 2)
    memcpy (self->max_seq, max_seq, sizeof self->max_seq);
  if (refine <= 0 || (*atl_settings_string (run->settings, "target_prompt", "") == '\0' &&
                      strstr (atl_settings_string (run->settings, "prompt", ""), TARGET) == NULL))
    self->refiner = NULL;
  return TRUE;
}

/* The picture's latent, and who does which steps. */
static gboolean
read_picture (AtlRun *run, HiDream *self, guint n_steps, GError **error)
{
  double refine = CLAMP (atl_settings_number (run->settings, "refine_strength", 0.3), 0, 1);
  g_autoptr (AtlArray) picture = g_steal_pointer (&self->picture);

  atl_run_progress (run, _ ("Looking at the picture"), 0, 0);
  self->picture = atl_vae_encode (run, picture, &self->latent, error);
  if (self->picture == NULL)
    return FALSE;
  atl_run_trace (run, "picture_latent", self->picture);
  atl_parts_release (run->parts, "vae");
  self->n_edits = self->refiner != NULL ? (guint) (n_steps * (1.0 - refine)) : n_steps;
  set_batch (self,
             self->keeps_norm ? (guint[]){ POSITIVE, NEGATIVE, POSITIVE }
                              : (guint[]){ NEGATIVE, NEGATIVE, POSITIVE },
             3);
  return TRUE;
}

/* --- The pipeline --- */

static gboolean
run_hidream (AtlRun *run, GError **error)
{
  g_auto (HiDream) self = { .guidance = atl_settings_number (run->settings, "guidance", 5.0),
                            .max_seq = { -1, -1 },
                            .latent = { .factor = FACTOR, .scaling = 0.3611, .shift = 0.1159 } };
  g_autoptr (AtlSchedule) schedule = NULL;
  AtlArray *x;

  self.is_guided = self.guidance > 1;
  /* Two rows and columns of a latent make a token. */
  if (!atl_latent_init (&self.latent, run, 2 * FACTOR, 1024, error) ||
      !prepare_edit (run, &self, error) || !encode_text (run, &self, error))
    return FALSE;
  schedule = atl_run_schedule (run, "UniPCMultistepScheduler", default_schedule, NULL, error);
  if (schedule == NULL || !atl_run_set_steps (run, schedule, 50, NAN, error))
    return FALSE;
  if (self.edits)
    {
      if (!read_picture (run, &self, atl_schedule_n_calls (schedule), error))
        return FALSE;
    }
  else if (self.is_guided)
    set_batch (&self, (guint[]){ NEGATIVE, POSITIVE }, 2);
  else
    set_batch (&self, (guint[]){ POSITIVE }, 1);
  atl_run_trace (run, "text", self.edits ? self.texts[POSITIVE].context : self.batch.context);
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
hidream_traits (AtlBundle *bundle, AtlTraits *traits)
{
  const char *editor, *refiner;

  find_editor (bundle, atl_bundle_pipeline (bundle), &editor, &refiner);
  traits->abilities |= ATL_CAN_NEGATIVE | (editor != NULL ? ATL_CAN_REFERENCE : 0);
  traits->max_references = editor != NULL;
  traits->multiple = 2 * FACTOR;
  traits->side = 1024;
  traits->steps = editor != NULL ? 28 : 50;
  traits->guidance = editor != NULL ? 3.0 : 5.0;
}

static void
reference_size (
    const AtlTraits *traits, double width, double height, gint64 *to_width, gint64 *to_height)
{
  fit_area (width, height, (double) traits->side * traits->side, to_width, to_height);
}

static gboolean
fits_llama (AtlBundle *bundle, const AtlCheckpoint *cp)
{
  static const char *const reads[] = { "caption_projection.0.linear.weight", NULL };

  return atl_encoder_fits (bundle, cp, reads, 1);
}

static const AtlPart hidream_parts[] = {
  { PART_DENOISER, N_ ("the denoiser"), "forward", "HiDreamImageTransformer2DModel", NULL, FALSE },
  { PART_EDITOR, N_ ("the denoiser"), "forward", "HiDreamImageTransformer2DModel", is_editor,
    TRUE },
  { "text_encoder", N_ ("the text encoder CLIP-L"), "encode_text", "CLIPTextModelWithProjection",
    atl_is_clip_l, FALSE },
  { "text_encoder_2", N_ ("the text encoder CLIP-G"), "encode_text", "CLIPTextModelWithProjection",
    atl_is_clip_g, FALSE },
  { "text_encoder_3", N_ ("the text encoder T5"), "encode_text", "T5EncoderModel", atl_is_t5,
    FALSE },
  { "text_encoder_4", N_ ("the text encoder Llama"), "encode_text", "LlamaForCausalLM",
    atl_is_llama, FALSE, NULL, fits_llama },
  { "vae", N_ ("the autoencoder (VAE)"), "vae_decode", "AutoencoderKL", atl_is_vae_of_16, FALSE },
  ATL_TINY_PART ("AutoencoderTiny", atl_is_taef1, NULL),
};

const AtlDiffusionFamily atl_family_hidream = {
  .name = "hidream",
  .words = "HiDream",
  .pipelines = (const char *const[]){ "HiDreamImagePipeline", EDITING, NULL },
  .component = "hidream",
  .parts = hidream_parts,
  .n_parts = G_N_ELEMENTS (hidream_parts),
  .traits = hidream_traits,
  .reference_size = reference_size,
  .run = run_hidream,
};
