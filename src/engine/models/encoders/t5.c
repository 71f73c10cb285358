/* UMT5 text encoder (Chung et al. 2023; transformers 5.23 UMT5EncoderModel), and T5 v1.1, which
 * differs in that only its first layer has a table of relative positions.
 *
 *   x = shared[ids]
 *   per layer: x += o(attention(RMS(x)))
 *              x += wo(gelu_tanh(wi_0 n) * wi_1 n),  n = RMS(x)
 *   hidden = RMS(x)
 *
 * Scores are not scaled; bias[h, i, j] = table[bucket(j - i), h] is added to them. Buckets:
 * bidirectional, 32, distances up to 128 logarithmically. RMS eps 1e-6, no biases anywhere.
 *
 * encode_text: token_ids [1, T], attention_mask [1, T] (ones, then zeros) -> hidden [1, T, dim];
 * padded tokens are not attended to; UMT5's rows of them are zero, as its pipelines make them.
 * Names: transformers' (in a file of everything below "text_encoders.t5xxl.transformer.", or
 * umt5xxl), or the Wan authors' ("blocks.0.attn.q", "ffn.gate.0", "pos_embedding.embedding").
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/models/blocks/names.h"
#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/classes.h"

#define EPS 1e-6f
#define MAX_LAYERS 64
#define MAX_DISTANCE 128

typedef struct
{
  AtlAffine norm1, q, k, v, o, norm2, wi_0, wi_1, wo;
  AtlWeight *positions; /* (nullable) [buckets, heads] */
} Layer;

typedef struct
{
  AtlNetwork net;
  gint64 width, n_heads, n_buckets, vocab;
  guint n_layers;
  gboolean is_umt5;
  AtlWeight *shared;
  AtlAffine final_norm;
  Layer layers[MAX_LAYERS];
} T5;

static const AtlNamePair author_names[] = {
  { "layer.0.SelfAttention.q", "attn.q" },
  { "layer.0.SelfAttention.k", "attn.k" },
  { "layer.0.SelfAttention.v", "attn.v" },
  { "layer.0.SelfAttention.o", "attn.o" },
  { "layer.0.SelfAttention.relative_attention_bias", "pos_embedding.embedding" },
  { "layer.0.layer_norm", "norm1" },
  { "layer.1.layer_norm", "norm2" },
  { "layer.1.DenseReluDense.wi_0", "ffn.gate.0" },
  { "layer.1.DenseReluDense.wi_1", "ffn.fc1" },
  { "layer.1.DenseReluDense.wo", "ffn.fc2" },
  { NULL, NULL },
};

static char *
author_name (const AtlSource *source, const char *canonical)
{
  guint index;
  int n = 0;
  char *out;

  if (sscanf (canonical, "encoder.block.%u.%n", &index, &n) == 1 && n > 0)
    {
      g_autofree char *inner = atl_name_translate (canonical + n, author_names);
      return inner != NULL ? g_strdup_printf ("blocks.%u.%s", index, inner) : NULL;
    }
  out = atl_name_replace_head (canonical, "shared", "token_embedding");
  return out != NULL ? out : atl_name_replace_head (canonical, "encoder.final_layer_norm", "norm");
}

static gboolean
is_author (const AtlCheckpoint *cp)
{
  return atl_checkpoint_find (cp, "blocks.0.ffn.gate.0.weight") != NULL;
}

/* Where transformers' names begin: in a file of their own or one with everything in it; NULL
 * without any. */
static const char *
find_prefix (const AtlCheckpoint *cp)
{
  static const char *const prefixes[] = { "", "text_encoders.t5xxl.transformer.",
                                          "text_encoders.umt5xxl.transformer.", NULL };

  for (guint i = 0; prefixes[i] != NULL; i++)
    {
      g_autofree char *name =
          g_strconcat (prefixes[i], "encoder.block.0.layer.1.DenseReluDense.wi_0.weight", NULL);

      if (atl_checkpoint_find (cp, name) != NULL)
        return prefixes[i];
    }
  return NULL;
}

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  return is_author (cp) || find_prefix (cp) != NULL;
}

static void
read_layer (T5 *m, AtlSource *s, guint i)
{
  Layer *l = &m->layers[i];
  gint64 D = m->width, inner;
  g_autofree char *a = g_strdup_printf ("encoder.block.%u.layer.0", i);
  g_autofree char *f = g_strdup_printf ("encoder.block.%u.layer.1", i);

  l->norm1 = atl_source_norm (s, D, FALSE, "%s.layer_norm", a);
  l->q = atl_source_linear (s, -1, D, "%s.SelfAttention.q", a);
  inner = l->q.w != NULL ? l->q.w->dim[0] : -1;
  l->k = atl_source_linear (s, inner, D, "%s.SelfAttention.k", a);
  l->v = atl_source_linear (s, inner, D, "%s.SelfAttention.v", a);
  l->o = atl_source_linear (s, D, inner, "%s.SelfAttention.o", a);
  l->positions = atl_source_tensor (s, ATL_USE_ROWS, 2, (gint64[]){ m->n_buckets, m->n_heads },
                                    i > 0, "%s.SelfAttention.relative_attention_bias.weight", a);
  if (inner > 0 && (m->n_heads <= 0 || inner % m->n_heads != 0))
    atl_weights_fail (m->net.weights, _ ("%s: %" PRId64 " heads do not divide %" PRId64), a,
                      m->n_heads, inner);
  l->norm2 = atl_source_norm (s, D, FALSE, "%s.layer_norm", f);
  l->wi_0 = atl_source_linear (s, -1, D, "%s.DenseReluDense.wi_0", f);
  inner = l->wi_0.w != NULL ? l->wi_0.w->dim[0] : -1;
  l->wi_1 = atl_source_linear (s, inner, D, "%s.DenseReluDense.wi_1", f);
  l->wo = atl_source_linear (s, D, inner, "%s.DenseReluDense.wo", f);
}

static void
read_weights (T5 *m, AtlSource *s)
{
  const char *name = atl_checkpoint_name (atl_weights_checkpoint (m->net.weights));
  gint64 dim[ATL_MAX_DIMS];
  guint n_dims;

  m->shared = atl_source_tensor (s, ATL_USE_ROWS, 2, (gint64[]){ -1, -1 }, FALSE, "shared.weight");
  if (m->shared == NULL)
    return;
  m->vocab = m->shared->dim[0];
  m->width = m->shared->dim[1];
  if (!atl_source_shape (s, "encoder.block.0.layer.0.SelfAttention.relative_attention_bias",
                         &n_dims, dim) ||
      n_dims != 2)
    {
      atl_weights_fail (m->net.weights, _ ("%s: the table of relative positions is missing"), name);
      return;
    }
  m->n_buckets = dim[0];
  m->n_heads = dim[1];
  if (m->n_buckets < 4 || m->n_buckets % 4 != 0)
    atl_weights_fail (m->net.weights, _ ("%s: %" PRId64 " position buckets make no encoder"), name,
                      m->n_buckets);
  while (m->n_layers < MAX_LAYERS &&
         atl_source_has (s, "encoder.block.%u.layer.0.SelfAttention.q", m->n_layers))
    m->n_layers++;
  for (guint i = 0; i < m->n_layers; i++)
    read_layer (m, s, i);
  m->final_norm = atl_source_norm (s, m->width, FALSE, "encoder.final_layer_norm");
}

static gboolean
t5_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  T5 *m = model;

  s->map = is_author (cp) ? author_name : NULL;
  s->prefix = find_prefix (cp);
  read_weights (m, s);
  /* It has a bias in each layer; with a single layer only the configuration tells. */
  m->is_umt5 = (m->n_layers > 1 && m->layers[1].positions != NULL) ||
               g_strcmp0 (atl_checkpoint_get_string (cp, "model_type"), "umt5") == 0;
  return TRUE;
}

static AtlTensor *
rms (AtlGraph *g, AtlTensor *x, const AtlAffine *a)
{
  return atl_norm (g, ATL_NORM_RMS, x, atl_weight (g, a->w), NULL, EPS);
}

static void
describe (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const T5 *m = model;
  AtlTensor *ids = atl_runner_input (g, inputs, "token_ids");
  AtlTensor *buckets = atl_runner_input (g, inputs, "buckets");
  AtlTensor *x = atl_embed (g, atl_weight (g, m->shared), ids, 1.0f);
  AtlTensor *ranges =
      atl_arrays_find (inputs, "ranges") != NULL ? atl_runner_input (g, inputs, "ranges") : NULL;
  AtlTensor *bias = NULL;
  gint64 T = ids->dim[1];

  for (guint i = 0; i < m->n_layers; i++)
    {
      const Layer *l = &m->layers[i];
      AtlTensor *w[3] = { atl_weight (g, l->q.w), atl_weight (g, l->k.w), atl_weight (g, l->v.w) };
      AtlTensor *qkv[3], *n;
      gint64 d = l->q.w->dim[0] / m->n_heads;

      if (l->positions != NULL)
        {
          bias = atl_embed (g, atl_weight (g, l->positions), buckets, 1.0f);
          bias = atl_reshape_to (g, atl_contiguous (g, atl_permute_to (g, bias, 2, 0, 1)), 1,
                                 m->n_heads, T, T);
        }
      atl_linear_multi (g, rms (g, x, &l->norm1), 3, w, NULL, qkv);
      for (guint k = 0; k < 3; k++)
        qkv[k] = atl_reshape_to (g, qkv[k], 1, T, m->n_heads, d);
      n = atl_attention (g, qkv[0], qkv[1], qkv[2], ranges, bias, NULL, 1.0f, 0.0f);
      x = atl_linear_add (g, atl_reshape_to (g, n, 1, T, m->n_heads * d), atl_weight (g, l->o.w),
                          NULL, x);
      n = atl_linear_gated (g, rms (g, x, &l->norm2), atl_weight (g, l->wi_0.w), NULL,
                            atl_weight (g, l->wi_1.w), NULL, ATL_ACT_GELU_TANH);
      x = atl_linear_add (g, n, atl_weight (g, l->wo.w), NULL, x);
    }
  atl_graph_output (g, rms (g, x, &m->final_norm), "hidden");
}

/* Bucket of the distance from query i to key j: half for each direction, the first quarter exact.
 */
static gint32
bucket (gint64 distance, gint64 n_buckets)
{
  gint64 half = n_buckets / 2, exact = half / 2, d = ABS (distance);
  gint64 b = d;

  if (d >= exact)
    {
      b = exact + (gint64) (log ((double) d / exact) / log ((double) MAX_DISTANCE / exact) *
                            (double) (half - exact));
      b = MIN (b, half - 1);
    }
  return (gint32) (distance > 0 ? half + b : b);
}

static gboolean
count_valid (const T5 *m, const AtlArray *ids, const AtlArray *mask, gint64 *out, GError **error)
{
  gint64 n = ids->dim[1];

  if (mask != NULL)
    {
      gboolean prefix = atl_array_n_elems (mask) == n && mask->dtype == ATL_DTYPE_I32;

      for (n = 0; prefix && n < ids->dim[1] && atl_array_i32 (mask)[n] != 0;)
        n++;
      for (gint64 i = n; prefix && i < ids->dim[1]; i++)
        prefix = atl_array_i32 (mask)[i] == 0;
      if (!prefix || n == 0)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                       _ ("The attention mask must be ones, then zeros, one per token"));
          return FALSE;
        }
    }
  for (gint64 i = 0; i < ids->dim[1]; i++)
    if (atl_array_i32 (ids)[i] < 0 || atl_array_i32 (ids)[i] >= m->vocab)
      {
        g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                     _ ("The token %d is outside the vocabulary"), atl_array_i32 (ids)[i]);
        return FALSE;
      }
  *out = n;
  return TRUE;
}

static gboolean
t5_run (gpointer model,
        const AtlRequest *request,
        GPtrArray *outputs,
        GCancellable *cancellable,
        GError **error)
{
  T5 *m = model;
  AtlArray *ids = atl_request_require (request, "token_ids", ATL_DTYPE_I32, 2, error);
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  g_autoptr (GPtrArray) computed = atl_arrays_new ();
  g_autoptr (AtlArray) valid = NULL;
  g_autoptr (AtlArray) buckets = NULL;
  g_autoptr (AtlArray) ranges = NULL;
  AtlArray *hidden;
  gint64 T, n, n_rows;

  if (ids == NULL)
    return FALSE;
  T = ids->dim[1];
  if (ids->dim[0] != 1 || T > 4096)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("One text of at most 4096 tokens is encoded at a time"));
      return FALSE;
    }
  if (!count_valid (m, ids, atl_request_find (request, "attention_mask"), &n, error))
    return FALSE;

  /* UMT5's pipelines set the padding's rows to zero; T5's keep what it sees of the text. */
  n_rows = m->is_umt5 ? n : T;
  valid = atl_array_new ("token_ids", ATL_DTYPE_I32, 2, (gint64[]){ 1, n_rows });
  memcpy (valid->data, ids->data, (gsize) n_rows * sizeof (gint32));
  buckets = atl_array_new ("buckets", ATL_DTYPE_I32, 2, (gint64[]){ n_rows, n_rows });
  for (gint64 i = 0; i < n_rows; i++)
    for (gint64 j = 0; j < n_rows; j++)
      atl_array_i32 (buckets)[i * n_rows + j] = bucket (j - i, m->n_buckets);
  if (n < n_rows)
    {
      ranges = atl_array_new ("ranges", ATL_DTYPE_I32, 2, (gint64[]){ n_rows, 2 });
      for (gint64 i = 0; i < n_rows; i++)
        atl_array_i32 (ranges)[2 * i + 1] = (gint32) n;
      g_ptr_array_add (inputs, ranges);
    }
  g_ptr_array_add (inputs, valid);
  g_ptr_array_add (inputs, buckets);
  if (!atl_runner_run (m->net.runner, "encode", describe, m, inputs, computed, cancellable, error))
    return FALSE;

  hidden = atl_array_new ("hidden", ATL_DTYPE_F32, 3, (gint64[]){ 1, T, m->width });
  memcpy (hidden->data, ((AtlArray *) computed->pdata[0])->data,
          atl_array_size (computed->pdata[0]));
  g_ptr_array_add (outputs, hidden);
  return TRUE;
}

const AtlComponentClass atl_t5_class = {
  .name = "t5",
  .origins = (const char *const[]){ "UMT5EncoderModel", "T5EncoderModel", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ "encode_text", NULL },
  .size = sizeof (T5),
  .lora_places = ATL_LORA_IN_ANY_TEXT,
  .read = t5_read,
  .run = t5_run,
};
