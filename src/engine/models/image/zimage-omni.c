/* Z-Image's mode that edits pictures (diffusers 0.42.1 ZImageTransformer2DModel with lists).
 *
 *   tokens: all pieces of text, all pictures (conditions, the target last), what SigLIP saw in
 *           them; each piece filled up to a multiple of 32 with its kind's padding token
 *   pictures through noise_refiner, text through context_refiner,
 *   SigLIP's = Linear(RMS(x)) through siglip_refiner, all together through layers
 *
 * Tokens of clean pictures, of the text before them and of their features are modulated as at t =
 * 1, the others as at t, in the last layer too.
 *
 * Positions: text j starts at p (first 1) and p grows by its length without padding and 2; picture
 * j stands at the end of text j (first axis, then row, column), its features one further, with rows
 * and columns stretched to the latent's, cut off; padding of pictures and features at 0. The origin
 * counts the padding of text twice, so that later pieces turn by the table of earlier ones: a quirk
 * that the weights know. It also lays features out channel by channel before it reads them row by
 * row.
 *
 * forward: noisy i32 [1, pictures], timestep [1], images_J [C, 1, H, W] or [1, C, 1, H, W],
 * captions_J [T, dim] (one more than pictures), image_features_J [h, w, n] (where there are) ->
 * output like the last picture.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/rope-table.h"
#include "engine/models/blocks/timestep.h"
#include "engine/models/image/zimage-private.h"

#define MAX_PICTURES 16

/* One of the three kinds of tokens. */
typedef struct
{
  const char *name;  /* of the inputs */
  gint64 n, width;   /* rows with padding, numbers of a row */
  GArray *values;    /* (owned) float [n, width] */
  GArray *keep;      /* (owned) float [n]: 0 for padding */
  GArray *noisy;     /* (owned) float [n] */
  GArray *positions; /* (owned) float [at least n, 3] */
} Tokens;

static void
tokens_init (Tokens *self, const char *name, gint64 width)
{
  *self = (Tokens){ .name = name, .width = width };
  self->values = g_array_new (FALSE, TRUE, sizeof (float));
  self->keep = g_array_new (FALSE, TRUE, sizeof (float));
  self->noisy = g_array_new (FALSE, TRUE, sizeof (float));
  self->positions = g_array_new (FALSE, TRUE, sizeof (float));
}

static void
tokens_clear (Tokens *self)
{
  g_clear_pointer (&self->values, g_array_unref);
  g_clear_pointer (&self->keep, g_array_unref);
  g_clear_pointer (&self->noisy, g_array_unref);
  g_clear_pointer (&self->positions, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Tokens, tokens_clear)

static void
add_position (Tokens *self, float a, float b, float c)
{
  g_array_append_vals (self->positions, (float[]){ a, b, c }, ZIMAGE_N_AXES);
}

/* Rows for n tokens, zeros, and the padding behind them; where they are written. */
static float *
add_rows (Tokens *self, gint64 n, gboolean is_noisy)
{
  gint64 total = MAX (zimage_filled (n), ZIMAGE_MULTIPLE);
  gsize at = self->values->len;
  float noisy = is_noisy ? 1.0f : 0.0f;

  for (gint64 i = 0; i < total; i++)
    {
      float keep = i < n ? 1.0f : 0.0f;

      g_array_append_val (self->keep, keep);
      g_array_append_val (self->noisy, noisy);
    }
  g_array_set_size (self->values, (guint) (at + (gsize) (total * self->width)));
  self->n += total;
  return &g_array_index (self->values, float, at);
}

static void
add_zero_positions (Tokens *self, gint64 n)
{
  for (gint64 i = 0; i < n; i++)
    add_position (self, 0, 0, 0);
}

/* --- The pass --- */

static AtlTensor *
input (AtlGraph *g, GPtrArray *inputs, const char *kind, const char *what)
{
  g_autofree char *name = g_strconcat (kind, "_", what, NULL);

  return atl_runner_input (g, inputs, name);
}

/* x, the padding token where it is not kept. */
static AtlTensor *
with_padding (AtlGraph *g, AtlTensor *x, AtlWeight *pad, GPtrArray *inputs, const char *kind)
{
  AtlTensor *keep = input (g, inputs, kind, "keep");
  AtlTensor *rows = atl_embed (g, atl_weight (g, pad), input (g, inputs, kind, "zeros"), 1.0f);

  return atl_add (g, atl_mul (g, x, keep), atl_mul (g, rows, atl_affine (g, keep, -1.0f, 1.0f)));
}

/* Each token's time: the first row of `time` [2, M] where noisy [T, 1] is 1, else the second. */
static AtlTensor *
choose_time (AtlGraph *g, AtlTensor *time, AtlTensor *noisy)
{
  AtlTensor *row[2];

  for (guint i = 0; i < 2; i++)
    row[i] = atl_contiguous (g, atl_slice (g, time, 0, i, 1));
  return atl_add (g, atl_mul (g, noisy, row[0]),
                  atl_mul (g, atl_affine (g, noisy, -1.0f, 1.0f), row[1]));
}

typedef struct
{
  const ZImage *m;
  AtlStage stage;
  gint64 first, n; /* the target's among the pictures' tokens */
} Call;

/* The stream of text, pictures and their features, before the layers. */
static AtlTensor *
refine (AtlGraph *g,
        const ZImage *m,
        GPtrArray *inputs,
        guint n,
        AtlTensor *const *rope,
        AtlTensor *time,
        AtlTensor *noisy)
{
  AtlTensor *x[3];

  x[0] = input (g, inputs, "text", "values");
  x[0] = atl_apply (g, zimage_rms (g, m, x[0], &m->text_norm), &m->text_linear);
  x[0] = with_padding (g, x[0], m->text_pad, inputs, "text");
  for (guint i = 0; i < m->n_text_refiners; i++)
    x[0] = zimage_block (g, m, &m->text_refiners[i], x[0], rope[0], NULL);
  x[1] = atl_apply (g, input (g, inputs, "image", "values"), &m->x_embedder);
  x[1] = with_padding (g, x[1], m->x_pad, inputs, "image");
  for (guint i = 0; i < m->n_refiners; i++)
    x[1] = zimage_block (g, m, &m->refiners[i], x[1], rope[1], choose_time (g, time, noisy));
  if (n > 2)
    {
      x[2] = zimage_rms (g, m, input (g, inputs, "siglip", "values"), &m->siglip_norm);
      x[2] = atl_apply (g, x[2], &m->siglip_linear);
      x[2] = with_padding (g, x[2], m->siglip_pad, inputs, "siglip");
      for (guint i = 0; i < m->n_siglip_refiners; i++)
        x[2] = zimage_block (g, m, &m->siglip_refiners[i], x[2], rope[2], NULL);
    }
  return atl_concat (g, 0, n, x);
}

static void
describe (AtlGraph *g, gpointer data, GPtrArray *inputs)
{
  static const char *const kinds[] = { "text", "image", "siglip" };
  const Call *call = data;
  const ZImage *m = call->m;
  guint n = atl_arrays_find (inputs, "siglip_values") != NULL ? 3 : 2;
  AtlTensor *rope[3], *noisy[3], *x = zimage_resume (g, m, call->stage, inputs), *time;
  gint64 first;

  time = atl_embedder (g, &m->time, atl_runner_input (g, inputs, "time_features"));
  for (guint i = 0; i < n; i++)
    {
      rope[i] = input (g, inputs, kinds[i], "rope");
      noisy[i] = input (g, inputs, kinds[i], "noisy");
    }
  first = rope[0]->dim[0] + call->first;
  if (x == NULL)
    x = refine (g, m, inputs, n, rope, time, noisy[1]);
  rope[0] = atl_concat (g, 0, n, rope);
  time = choose_time (g, time, atl_concat (g, 0, n, noisy));
  x = zimage_layers (g, m, call->stage, x, rope[0], time);
  if (x == NULL)
    return;
  x = atl_contiguous (g, atl_slice (g, x, 0, first, call->n));
  time = atl_contiguous (g, atl_slice (g, time, 0, first, call->n));
  atl_graph_output (g, zimage_end (g, m, x, time), "tokens_out");
}

/* --- The request --- */

static AtlArray *
find_piece (const AtlRequest *request, const char *kind, guint index, guint n_dims)
{
  g_autofree char *name = g_strdup_printf ("%s_%u", kind, index);
  AtlArray *a = atl_request_find (request, name);

  return a != NULL && a->dtype == ATL_DTYPE_F32 && (n_dims == 0 || a->n_dims == n_dims) &&
                 atl_array_n_elems (a) > 0
             ? a
             : NULL;
}

/* The latent's channels, rows and columns; FALSE where the model has no use for them. */
static gboolean
read_size (const ZImage *m, const AtlArray *a, gint64 *H, gint64 *W)
{
  const gint64 *dim = a->n_dims == 5 ? a->dim + 1 : a->dim;

  if ((a->n_dims != 4 && (a->n_dims != 5 || a->dim[0] != 1)) || dim[0] != m->channels ||
      dim[1] != 1)
    return FALSE;
  *H = dim[2];
  *W = dim[3];
  return *H % ZIMAGE_PATCH == 0 && *W % ZIMAGE_PATCH == 0 && *H <= ZIMAGE_MAX_SIDE &&
         *W <= ZIMAGE_MAX_SIDE;
}

/* Piece j of text, which begins at `start`. */
static void
add_text (Tokens *text, const AtlArray *a, gint64 start, gboolean is_noisy)
{
  gint64 n = a->dim[0], total = zimage_filled (n);

  memcpy (add_rows (text, n, is_noisy), a->data, atl_array_size (a));
  for (gint64 i = 0; i < total; i++)
    add_position (text, (float) (start + i), 0, 0);
  add_zero_positions (text, total - n);
}

static void
add_picture (Tokens *image, AtlArray *a, gint64 C, gint64 H, gint64 W, gint64 at, gboolean is_noisy)
{
  gint64 h = H / ZIMAGE_PATCH, w = W / ZIMAGE_PATCH;

  zimage_patch (atl_array_f32 (a), add_rows (image, h * w, is_noisy), C, H, W, FALSE);
  for (gint64 i = 0; i < h * w; i++)
    add_position (image, (float) at, (float) (i / w), (float) (i % w));
  add_zero_positions (image, zimage_filled (h * w) - h * w);
}

/* Features [h, w, C] of a picture whose latent is H x W (0: there is none). */
static void
add_features (Tokens *siglip, const AtlArray *a, gint64 H, gint64 W, gint64 at, gboolean is_noisy)
{
  gint64 h = a->dim[0], w = a->dim[1], C = a->dim[2];
  float *to = add_rows (siglip, h * w, is_noisy);

  for (gint64 k = 0; k < h * w * C; k++)
    to[k] = atl_array_f32 (a)[k % (h * w) * C + k / (h * w)];
  for (gint64 i = 0; i < h * w; i++)
    {
      float row = (float) (i / w), column = (float) (i % w);

      if (H > 0)
        {
          row = (float) (gint64) (row / (float) MAX (h - 1, 1) * (float) (H - 1));
          column = (float) (gint64) (column / (float) MAX (w - 1, 1) * (float) (W - 1));
        }
      add_position (siglip, (float) at, row, column);
    }
  add_zero_positions (siglip, zimage_filled (h * w) - h * w);
}

/* A kind's tokens as inputs. */
static void
add_inputs (const ZImage *m, const Tokens *t, GPtrArray *inputs)
{
  const struct
  {
    const char *what;
    AtlDType dtype;
    gint64 width; /* 0: one dimension */
    const GArray *from;
  } arrays[] = { { "values", ATL_DTYPE_F32, t->width, t->values },
                 { "keep", ATL_DTYPE_F32, 1, t->keep },
                 { "noisy", ATL_DTYPE_F32, 1, t->noisy },
                 { "zeros", ATL_DTYPE_I32, 0, NULL },
                 { "rope", ATL_DTYPE_F32, m->head_dim, NULL } };

  for (gsize i = 0; i < G_N_ELEMENTS (arrays); i++)
    {
      g_autofree char *name = g_strconcat (t->name, "_", arrays[i].what, NULL);
      AtlArray *a = atl_array_new (name, arrays[i].dtype, arrays[i].width > 0 ? 2 : 1,
                                   (gint64[]){ t->n, arrays[i].width });

      if (arrays[i].from != NULL)
        memcpy (a->data, arrays[i].from->data, atl_array_size (a));
      else if (arrays[i].width > 0)
        atl_rope_axes (m->axis, ZIMAGE_N_AXES, m->theta, (const float *) t->positions->data, t->n,
                       atl_array_f32 (a));
      g_ptr_array_add (inputs, a);
    }
}

static gboolean
does_not_fit (GError **error)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               _ ("The pictures and the text do not fit this Z-Image transformer"));
  return FALSE;
}

gboolean
zimage_run_omni (ZImage *m,
                 const AtlRequest *request,
                 GPtrArray *outputs,
                 GCancellable *cancellable,
                 GError **error)
{
  AtlArray *noisy = atl_request_find (request, "noisy"), *target = NULL;
  AtlArray *timestep = atl_request_require (request, "timestep", ATL_DTYPE_F32, 1, error);
  g_autoptr (GPtrArray) inputs = atl_arrays_new ();
  g_auto (Tokens) text = { 0 };
  g_auto (Tokens) image = { 0 };
  g_auto (Tokens) siglip = { 0 };
  gboolean has_features = FALSE;
  gint64 start = 1, n_pictures, H = 0, W = 0;
  Call call = { .m = m, .stage = atl_stage_of (request) };
  g_autofree char *key = NULL;
  float times[2];

  if (timestep == NULL)
    return FALSE;
  n_pictures = atl_array_n_elems (noisy);
  if (noisy->dtype != ATL_DTYPE_I32 || n_pictures < 1 || n_pictures > MAX_PICTURES)
    return does_not_fit (error);
  tokens_init (&text, "text", m->text_norm.w->dim[0]);
  tokens_init (&image, "image", m->channels * ZIMAGE_PATCH * ZIMAGE_PATCH);
  tokens_init (&siglip, "siglip", m->siglip_norm.w != NULL ? m->siglip_norm.w->dim[0] : 1);
  for (guint j = 0; j < n_pictures; j++)
    has_features |= find_piece (request, "image_features", j, 3) != NULL;
  has_features = has_features && m->siglip_linear.w != NULL;
  for (guint j = 0; j <= n_pictures; j++)
    {
      gboolean is_noisy = j == n_pictures || atl_array_i32 (noisy)[j] != 0;
      AtlArray *words = find_piece (request, "captions", j, 2), *picture, *features;
      gint64 end;

      if (words == NULL || words->dim[1] != text.width || words->dim[0] > ZIMAGE_MAX_TEXT)
        return does_not_fit (error);
      add_text (&text, words, start, is_noisy);
      end = start + words->dim[0];
      start = end + 2;
      if (j == n_pictures)
        break;
      picture = find_piece (request, "images", j, 0);
      H = W = 0;
      if (picture != NULL && !read_size (m, picture, &H, &W))
        return does_not_fit (error);
      if (picture != NULL)
        {
          target = picture;
          call.first = image.n;
          call.n = H / ZIMAGE_PATCH * (W / ZIMAGE_PATCH);
          add_picture (&image, picture, m->channels, H, W, end, is_noisy);
        }
      else
        {
          add_rows (&image, 0, is_noisy);
          add_zero_positions (&image, ZIMAGE_MULTIPLE);
        }
      features = has_features ? find_piece (request, "image_features", j, 3) : NULL;
      if (features != NULL && features->dim[2] != siglip.width)
        return does_not_fit (error);
      if (features != NULL)
        add_features (&siglip, features, H, W, end + 1, is_noisy);
      else if (has_features)
        {
          add_rows (&siglip, 0, is_noisy);
          add_zero_positions (&siglip, ZIMAGE_MULTIPLE);
        }
    }
  if (target == NULL)
    return does_not_fit (error);
  times[0] = atl_array_f32 (timestep)[0];
  times[1] = 1.0f;
  {
    g_autoptr (AtlArray) both = atl_array_new ("times", ATL_DTYPE_F32, 1, (gint64[]){ 2 });

    memcpy (both->data, times, sizeof times);
    g_ptr_array_add (inputs, atl_timestep_array ("time_features", both, 2, (float) m->time_scale,
                                                 ATL_DENOISER_FREQS));
  }
  add_inputs (m, &text, inputs);
  add_inputs (m, &image, inputs);
  if (has_features)
    add_inputs (m, &siglip, inputs);
  key = g_strdup_printf ("%s omni %" G_GINT64_FORMAT " %" G_GINT64_FORMAT,
                         atl_request_function (request), call.first, call.n);
  return zimage_compute (m, request, key, describe, &call, inputs, target, outputs, cancellable,
                         error);
}
