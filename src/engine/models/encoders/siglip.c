/* SigLIP towers (Zhai et al. 2023; transformers 5.23 SiglipVisionModel), SigLIP 2 with pictures of
 * any shape (Siglip2VisionModel), and what Gemma 3 makes of one (Gemma3ForConditionalGeneration).
 *
 *   x = patches of a convolution with bias + position_embedding, row by row; layers
 *   (vision-layers.h), GELU tanh, eps 1e-6; hidden = post_layernorm(x)
 *   pooled, where there is a head: y = attention(probe; hidden), pooled = y + mlp(LN(y))
 *   Gemma 3: means of k x k cells, RMS norm with 1 + weight (eps 1e-6), x . W, W stored [in, out]
 *   SigLIP 2: patches as rows (y, x, channel) through a linear layer; its positions, a square grid,
 *   are brought to the picture's (bilinear, with smoothing where that is smaller)
 *
 * encode_image: image [1, 3, H, W] in -1…1 -> hidden [1, n, dim], pooled [1, dim]; of SigLIP 2 also
 * grid i32 [1, 2] (rows and columns). Names: transformers', below "vision_model." or bare, in
 * larger models below "vision_tower.". Heads 72 wide where nothing is said and that fits, else 64.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "engine/models/blocks/runner.h"
#include "engine/models/classes.h"
#include "engine/models/encoders/vision-layers.h"
#include "engine/tensor/quants/dequant.h"

#define EPS 1e-6f
#define HEAD_DIM 64
#define WIDE_HEAD_DIM 72
#define COLORS 3
#define MAX_SIDE 4096
#define MAX_CELLS 16384

typedef struct
{
  AtlWeight *probe;
  AtlAffine qkv[3], out, norm, fc1, fc2;
} Head;

typedef struct
{
  AtlNetwork net;
  gint64 n_positions, patch;
  gboolean is_free; /* pictures of any shape: SigLIP 2 */
  float *grid;      /* (owned, nullable) [n_positions, width] of SigLIP 2 */
  AtlWeight *positions;
  AtlAffine patches, post_norm;
  AtlVisionLayers layers;
  Head head;             /* probe NULL: none */
  gint64 pool;           /* Gemma 3: cells of a side that become one; 0: none */
  AtlWeight *soft_norm;  /* (nullable) */
  AtlWeight *projection; /* (nullable) [out, in] */
} Siglip;

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  const char *prefix = atl_vision_prefix (cp);
  g_autofree char *name =
      g_strconcat (prefix != NULL ? prefix : "", "embeddings.class_embedding", NULL);

  return prefix != NULL && atl_checkpoint_find (cp, name) == NULL;
}

static void
siglip_clear (gpointer model)
{
  g_free (((Siglip *) model)->grid);
}

/* --- Weights --- */

/* A matrix [in, out] of the file as float32, turned; NULL with a mistake recorded. */
static AtlWeight *
read_turned (Siglip *m, AtlSource *s, const char *name)
{
  const AtlCheckpoint *cp = atl_weights_checkpoint (s->weights);
  const AtlTensorInfo *info = atl_checkpoint_find (cp, name);
  gint64 in = info != NULL && info->n_dims == 2 ? info->dim[0] : 0;
  gint64 out = in > 0 ? info->dim[1] : 0;
  g_autofree guint8 *bytes = NULL;
  g_autofree float *plain = NULL;
  float *turned;

  if (in != m->layers.width || !atl_dtype_is_float_like (info->dtype))
    {
      atl_weights_fail (s->weights, _ ("%s: the parts of its vision tower do not fit together"),
                        atl_checkpoint_name (cp));
      return NULL;
    }
  bytes = g_malloc (info->size_bytes);
  plain = g_new (float, (in * out));
  turned = g_new (float, (in * out));
  atl_tensor_info_read (info, 0, in, bytes);
  atl_dequantize (info->dtype, bytes, plain, (gsize) (in * out));
  for (gint64 i = 0; i < in; i++)
    for (gint64 o = 0; o < out; o++)
      turned[o * in + i] = plain[i * out + o];
  return atl_weights_add_bytes (
      s->weights, ATL_USE_LINEAR, -1, ATL_DTYPE_F32, 2, (gint64[]){ out, in },
      g_bytes_new_take (turned, (gsize) (in * out) * sizeof (float)), name);
}

static void
read_head (Siglip *m, AtlSource *s)
{
  static const char *const names[] = { "q", "k", "v" };
  Head *h = &m->head;
  gint64 D = m->layers.width;
  AtlWeight *w, *b;

  if (!atl_source_has (s, "head.probe"))
    return;
  h->probe = atl_source_tensor (s, ATL_USE_VECTOR, 3, (gint64[]){ 1, 1, D }, FALSE, "head.probe");
  w = atl_source_tensor (s, ATL_USE_LINEAR, 2, (gint64[]){ 3 * D, D }, FALSE,
                         "head.attention.in_proj_weight");
  b = atl_source_tensor (s, ATL_USE_VECTOR, 1, (gint64[]){ 3 * D }, FALSE,
                         "head.attention.in_proj_bias");
  for (guint k = 0; k < G_N_ELEMENTS (names); k++)
    {
      h->qkv[k].w = atl_weights_add_rows (s->weights, w, ATL_USE_LINEAR, k * D, D);
      h->qkv[k].b = atl_weights_add_rows (s->weights, b, ATL_USE_VECTOR, k * D, D);
    }
  /* Only its thirds are used. */
  if (w != NULL)
    w->use = 0;
  if (b != NULL)
    b->use = 0;
  h->out = atl_source_linear (s, D, D, "head.attention.out_proj");
  h->norm = atl_source_norm (s, D, FALSE, "head.layernorm");
  h->fc1 = atl_source_linear (s, -1, D, "head.mlp.fc1");
  h->fc2 = atl_source_linear (s, D, -1, "head.mlp.fc2");
}

/* Gemma 3's, beside the tower. */
static void
read_projector (Siglip *m, AtlSource *s, const AtlCheckpoint *cp)
{
  static const char *const prefixes[] = { "multi_modal_projector.",
                                          "model.multi_modal_projector." };
  gint64 side = (gint64) floor (sqrt ((double) m->n_positions) + 0.5), tokens = 256;
  guint64 said = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (prefixes); i++)
    {
      g_autofree char *matrix = g_strconcat (prefixes[i], "mm_input_projection_weight", NULL);

      if (atl_checkpoint_find (cp, matrix) == NULL)
        continue;
      s->prefix = prefixes[i];
      m->soft_norm = atl_source_tensor (s, ATL_USE_VECTOR, 1, &m->layers.width, FALSE,
                                        "mm_soft_emb_norm.weight");
      m->projection = read_turned (m, s, matrix);
      if (atl_checkpoint_get_uint (cp, "mm_tokens_per_image", 1, MAX_CELLS, &said, NULL))
        tokens = (gint64) said;
      m->pool = side / MAX ((gint64) floor (sqrt ((double) tokens) + 0.5), 1);
      if (m->pool < 1 || side % m->pool != 0 || side * side != m->n_positions)
        atl_weights_fail (s->weights, _ ("%s: the parts of its vision tower do not fit together"),
                          atl_checkpoint_name (cp));
      return;
    }
}

/* SigLIP 2's table as numbers. */
static void
read_grid (Siglip *m, AtlSource *s, const AtlCheckpoint *cp)
{
  g_autofree char *name = g_strconcat (s->prefix, "embeddings.position_embedding.weight", NULL);
  const AtlTensorInfo *info = atl_checkpoint_find (cp, name);
  gint64 side = (gint64) floor (sqrt ((double) m->n_positions) + 0.5);
  g_autofree guint8 *bytes = NULL;

  if (info == NULL || side * side != m->n_positions || !atl_dtype_is_float_like (info->dtype))
    {
      atl_weights_fail (s->weights, _ ("%s holds no vision tower"), atl_checkpoint_name (cp));
      return;
    }
  bytes = g_malloc (info->size_bytes);
  m->grid = g_new (float, m->n_positions * m->layers.width);
  atl_tensor_info_read (info, 0, m->n_positions, bytes);
  atl_dequantize (info->dtype, bytes, m->grid, (gsize) (m->n_positions * m->layers.width));
}

static gboolean
siglip_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  Siglip *m = model;
  AtlVisionLayers *l = &m->layers;
  gint64 dim[ATL_MAX_DIMS];
  guint n_dims;

  s->prefix = atl_vision_prefix (cp);
  if (s->prefix == NULL || !atl_source_shape (s, "embeddings.patch_embedding", &n_dims, dim) ||
      (n_dims != 4 && n_dims != 2))
    {
      atl_weights_fail (s->weights, _ ("%s holds no vision tower"), atl_checkpoint_name (cp));
      return TRUE;
    }
  l->width = dim[0];
  m->is_free = n_dims == 2;
  m->patch = m->is_free ? (gint64) floor (sqrt ((double) dim[1] / COLORS) + 0.5) : dim[2];
  m->patches.w = atl_source_tensor (s, m->is_free ? ATL_USE_LINEAR : ATL_USE_CONV, n_dims, dim,
                                    FALSE, "embeddings.patch_embedding.weight");
  m->patches.b =
      atl_source_tensor (s, ATL_USE_VECTOR, 1, &l->width, TRUE, "embeddings.patch_embedding.bias");
  if (m->patch < 1 || (m->is_free && m->patch * m->patch * COLORS != dim[1]))
    atl_weights_fail (s->weights, _ ("%s holds no vision tower"), atl_checkpoint_name (cp));
  m->positions = atl_source_tensor (s, ATL_USE_VECTOR, 2, (gint64[]){ -1, l->width }, FALSE,
                                    "embeddings.position_embedding.weight");
  if (m->positions != NULL)
    m->n_positions = m->positions->dim[0];
  l->n_heads = (gint64) atl_vision_uint (cp, "num_attention_heads", 1024);
  if (l->n_heads == 0)
    l->n_heads = MAX (l->width / (l->width % WIDE_HEAD_DIM == 0 ? WIDE_HEAD_DIM : HEAD_DIM), 1);
  l->eps = EPS;
  l->act = ATL_ACT_GELU_TANH;
  atl_vision_layers_read (l, s);
  m->post_norm = atl_source_norm (s, l->width, FALSE, "post_layernorm");
  read_head (m, s);
  if (m->is_free)
    {
      read_grid (m, s, cp);
      /* They are an input of the pass. */
      if (m->positions != NULL)
        m->positions->use = 0;
    }
  read_projector (m, s, cp);
  return TRUE;
}

/* --- The pass --- */

static AtlTensor *
pool (AtlGraph *g, const Siglip *m, AtlTensor *x)
{
  gint64 side = (gint64) floor (sqrt ((double) m->n_positions) + 0.5), k = m->pool, n = side / k;
  AtlTensor *sum = NULL;

  x = atl_reshape_to (g, x, n, k, n, k, m->layers.width);
  for (gint64 y = 0; y < k; y++)
    for (gint64 c = 0; c < k; c++)
      {
        AtlTensor *part = atl_contiguous (g, atl_slice (g, atl_slice (g, x, 1, y, 1), 3, c, 1));

        part = atl_reshape_to (g, part, 1, n * n, m->layers.width);
        sum = sum != NULL ? atl_add (g, sum, part) : part;
      }
  return atl_affine (g, sum, 1.0f / (float) (k * k), 0.0f);
}

static AtlTensor *
look (AtlGraph *g, const Siglip *m, AtlTensor *x)
{
  const Head *h = &m->head;
  const AtlVisionLayers *l = &m->layers;
  gint64 B = x->dim[0], T = x->dim[1], D = l->width, d = D / l->n_heads;
  AtlTensor *q = atl_apply (g, atl_vision_token (g, x, h->probe), &h->qkv[0]);
  AtlTensor *k = atl_apply (g, x, &h->qkv[1]), *v = atl_apply (g, x, &h->qkv[2]), *y, *n;

  q = atl_reshape_to (g, q, B, 1, l->n_heads, d);
  k = atl_reshape_to (g, k, B, T, l->n_heads, d);
  v = atl_reshape_to (g, v, B, T, l->n_heads, d);
  y = atl_attention (g, q, k, v, NULL, NULL, NULL, 0.0f, 0.0f);
  y = atl_apply (g, atl_reshape_to (g, y, B, D), &h->out);
  n = atl_linear_act (g, atl_vision_norm (g, y, &h->norm, EPS), atl_weight (g, h->fc1.w),
                      atl_weight (g, h->fc1.b), l->act);
  return atl_linear_add (g, n, atl_weight (g, h->fc2.w), atl_weight (g, h->fc2.b), y);
}

static void
describe (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const Siglip *m = model;
  const AtlVisionLayers *l = &m->layers;
  AtlOpParams p = { .stride = { 1, m->patch, m->patch } };
  AtlTensor *x = atl_runner_input (g, inputs, "image"), *n;

  if (m->is_free)
    x = atl_apply (g, x, &m->patches);
  else
    {
      x = atl_conv (g, atl_permute_to (g, x, 0, 2, 3, 1), atl_weight (g, m->patches.w),
                    atl_weight (g, m->patches.b), NULL, &p);
      x = atl_reshape_to (g, x, x->dim[0], x->dim[1] * x->dim[2], l->width);
    }
  x = atl_add (
      g, x, m->is_free ? atl_runner_input (g, inputs, "positions") : atl_weight (g, m->positions));
  x = atl_vision_layers_run (g, l, x, l->n);
  x = atl_vision_norm (g, x, &m->post_norm, EPS);
  if (m->head.probe != NULL)
    atl_graph_output (g, look (g, m, x), "pooled");
  if (m->projection != NULL)
    {
      n = atl_norm (g, ATL_NORM_RMS, pool (g, m, x), NULL, NULL, EPS);
      n = atl_add (g, n, atl_mul (g, n, atl_weight (g, m->soft_norm)));
      x = atl_linear (g, n, atl_weight (g, m->projection), NULL);
    }
  atl_graph_output (g, x, "hidden");
}

/* --- The request --- */

/* What line `o` of `n` is made of lines of a grid of `side`: `w` [side], 0 for most. As torch's
 * bilinear interpolation with antialias and without aligned corners. */
static void
weigh (gint64 o, gint64 n, gint64 side, double *w)
{
  double scale = (double) side / (double) n, wide = MAX (scale, 1.0);
  double center = ((double) o + 0.5) * scale, sum = 0;

  for (gint64 i = 0; i < side; i++)
    {
      w[i] = MAX (0.0, 1.0 - fabs (((double) i - center + 0.5) / wide));
      sum += w[i];
    }
  for (gint64 i = 0; i < side; i++)
    w[i] /= sum;
}

/* Positions of a grid of h x w, [h * w, width]. */
static AtlArray *
stretch_grid (const Siglip *m, gint64 h, gint64 w)
{
  gint64 side = (gint64) floor (sqrt ((double) m->n_positions) + 0.5), D = m->layers.width;
  AtlArray *out = atl_array_new ("positions", ATL_DTYPE_F32, 2, (gint64[]){ h * w, D });
  g_autofree double *down = g_new (double, side), *across = g_new (double, side);

  for (gint64 y = 0; y < h; y++)
    {
      weigh (y, h, side, down);
      for (gint64 x = 0; x < w; x++)
        {
          float *to = atl_array_f32 (out) + (y * w + x) * D;

          weigh (x, w, side, across);
          for (gint64 k = 0; k < side * side; k++)
            {
              float weight = (float) (down[k / side] * across[k % side]);

              for (gint64 d = 0; weight != 0.0f && d < D; d++)
                to[d] += weight * m->grid[k * D + d];
            }
        }
    }
  return out;
}

/* The patches [1, h * w, patch * patch * 3] of a picture. */
static AtlArray *
cut_patches (const Siglip *m, const AtlArray *image, gint64 h, gint64 w)
{
  gint64 P = m->patch, H = image->dim[2], W = image->dim[3];
  AtlArray *out = atl_array_new ("image", ATL_DTYPE_F32, 3, (gint64[]){ 1, h * w, P * P * COLORS });
  float *to = atl_array_f32 (out);

  for (gint64 k = 0; k < h * w; k++)
    for (gint64 y = 0; y < P; y++)
      for (gint64 x = 0; x < P; x++)
        for (gint64 c = 0; c < COLORS; c++)
          *to++ = atl_array_f32 (image)[(c * H + k / w * P + y) * W + k % w * P + x];
  return out;
}

static gboolean
siglip_run (gpointer model,
            const AtlRequest *request,
            GPtrArray *outputs,
            GCancellable *cancellable,
            GError **error)
{
  Siglip *m = model;
  AtlArray *image = atl_request_require (request, "image", ATL_DTYPE_F32, 4, error), *grid;
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  g_autoptr (GPtrArray) made = atl_arrays_new ();
  gint64 h, w;

  if (image == NULL)
    return FALSE;
  h = image->dim[2] / m->patch;
  w = image->dim[3] / m->patch;
  if (image->dim[1] != COLORS || h < 1 || w < 1 || image->dim[2] > MAX_SIDE ||
      image->dim[3] > MAX_SIDE ||
      (m->is_free ? image->dim[0] != 1 || h * w > MAX_CELLS || h * m->patch != image->dim[2] ||
                        w * m->patch != image->dim[3]
                  : h * w != m->n_positions))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("A picture of %" PRId64 " × %" PRId64
                      " does not fit this vision tower of %" PRId64 " patches"),
                   image->dim[3], image->dim[2], m->n_positions);
      return FALSE;
    }
  if (m->is_free)
    {
      g_ptr_array_add (made, cut_patches (m, image, h, w));
      g_ptr_array_add (made, stretch_grid (m, h, w));
      g_ptr_array_add (inputs, made->pdata[0]);
      g_ptr_array_add (inputs, made->pdata[1]);
    }
  else
    g_ptr_array_add (inputs, image);
  if (!atl_runner_run (m->net.runner, "encode", describe, m, inputs, outputs, cancellable, error))
    return FALSE;
  if (m->is_free)
    {
      grid = atl_array_new ("grid", ATL_DTYPE_I32, 2, (gint64[]){ 1, 2 });
      atl_array_i32 (grid)[0] = (gint32) h;
      atl_array_i32 (grid)[1] = (gint32) w;
      g_ptr_array_add (outputs, grid);
    }
  return TRUE;
}

const AtlComponentClass atl_siglip_class = {
  .name = "siglip",
  .origins = (const char *const[]){ "SiglipVisionModel", "Siglip2VisionModel",
                                    "Gemma3ForConditionalGeneration", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ "encode_image", NULL },
  .size = sizeof (Siglip),
  .read = siglip_read,
  .run = siglip_run,
  .clear = siglip_clear,
};
