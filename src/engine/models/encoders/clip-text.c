/* CLIP text encoders (Radford et al. 2021; transformers 5.23 CLIPTextModel,
 * CLIPTextModelWithProjection).
 *
 *   x = token_embedding[ids] + position_embedding[0..T)
 *   per layer (pre-norm, LayerNorm eps 1e-5, biases everywhere):
 *     x += out_proj(attention(layer_norm1(x)))    causal, no padding mask, 1/sqrt(head_dim)
 *     x += fc2(act(fc1(layer_norm2(x))))          quick_gelu (CLIP-L), exact gelu (OpenCLIP bigG)
 *   hidden: states after layer `layer` (-1 the last, -2 the one before…), through
 *           final_layer_norm if asked
 *   pooled: final_layer_norm(last)[row of the first highest token id], through text_projection
 *           where there is one
 *
 * Names: transformers' below "text_model."; original files have them elsewhere, or in OpenCLIP's
 * form (clip-names.h). Unless the request says so, hidden states before the last one skip the final
 * norm. Traps: `position_ids` tensors are skipped; clip skip 2 still uses the final norm in SD 1.5.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/classes.h"
#include "engine/models/encoders/clip-names.h"

#define MAX_LAYERS 64

typedef struct
{
  AtlAffine norm1, q, k, v, out, norm2, fc1, fc2;
} Layer;

typedef struct
{
  AtlNetwork net;
  guint n_layers, n_heads;
  gint64 width, n_positions, vocab;
  AtlAct act;
  AtlWeight *tokens, *positions;
  AtlAffine final_norm, projection; /* projection nullable */
  Layer layers[MAX_LAYERS];
} ClipText;

/* What a description depends on besides shapes. */
typedef struct
{
  const ClipText *m;
  guint n_run;     /* layers that reach `hidden` */
  gboolean normed; /* hidden through final_layer_norm */
  gint64 pool_row;
  gint64 drop;
} Call;

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  AtlClipPlace place;

  return atl_clip_find (cp, NULL, &place);
}

static void
read_layer (AtlSource *s, const ClipText *m, guint i, gint64 mlp, Layer *l)
{
  gint64 D = m->width;
  g_autofree char *p = g_strdup_printf ("encoder.layers.%u", i);
  g_autofree char *attention = g_strconcat (p, ".self_attn", NULL);
  g_autofree char *fused = g_strconcat (attention, ".in_proj", NULL);
  AtlAffine qkv[3] = { 0 };

  l->norm1 = atl_source_norm (s, D, FALSE, "%s.layer_norm1", p);
  atl_source_split (s, D, 3, attention, (const char *const[]){ "q_proj", "k_proj", "v_proj" },
                    (gint64[]){ D, D, D }, fused, qkv);
  l->q = qkv[0];
  l->k = qkv[1];
  l->v = qkv[2];
  l->out = atl_source_linear (s, D, D, "%s.self_attn.out_proj", p);
  l->norm2 = atl_source_norm (s, D, FALSE, "%s.layer_norm2", p);
  l->fc1 = atl_source_linear (s, mlp, D, "%s.mlp.fc1", p);
  l->fc2 = atl_source_linear (s, D, mlp, "%s.mlp.fc2", p);
}

static gboolean
read_weights (ClipText *m, AtlSource *s, AtlCheckpoint *cp, GError **error)
{
  const char *act = atl_checkpoint_get_string (cp, "hidden_act");
  guint64 n_heads = 0;
  gint64 dim[ATL_MAX_DIMS];
  guint n_dims;
  gint64 mlp = 0;

  if (!atl_source_shape (s, "embeddings.position_embedding", &n_dims, dim) || n_dims != 2)
    atl_weights_fail (m->net.weights, _ ("%s holds no CLIP text encoder"),
                      atl_checkpoint_name (cp));
  else
    {
      m->n_positions = dim[0];
      m->width = dim[1];
    }
  while (m->n_layers < MAX_LAYERS &&
         atl_source_has (s, "encoder.layers.%u.layer_norm1", m->n_layers))
    m->n_layers++;
  if (atl_source_shape (s, "encoder.layers.0.mlp.fc1", &n_dims, dim))
    mlp = dim[0];
  atl_checkpoint_get_uint (cp, "num_attention_heads", 1, 1024, &n_heads, error);
  if (error != NULL && *error != NULL)
    return FALSE;
  m->n_heads = n_heads > 0 ? (guint) n_heads : (guint) MAX (m->width / 64, 1);
  /* Without a configuration: OpenCLIP's encoders, which are wide, have the exact gelu. */
  if (act == NULL && (s->map != NULL || m->width >= 1024))
    act = "gelu";
  m->act = g_strcmp0 (act, "gelu") == 0 ? ATL_ACT_GELU_ERF : ATL_ACT_GELU_QUICK;
  if (m->n_layers == 0 || m->width % m->n_heads != 0)
    atl_weights_fail (m->net.weights, _ ("%s: %u layers and %u heads make no text encoder"),
                      atl_checkpoint_name (cp), m->n_layers, m->n_heads);

  if (!atl_weights_check (m->net.weights, error))
    return FALSE;
  m->tokens = atl_source_tensor (s, ATL_USE_ROWS, 2, (gint64[]){ -1, m->width }, FALSE,
                                 "embeddings.token_embedding.weight");
  m->positions = atl_source_tensor (s, ATL_USE_ROWS, 2, (gint64[]){ m->n_positions, m->width },
                                    FALSE, "embeddings.position_embedding.weight");
  for (guint i = 0; i < m->n_layers; i++)
    read_layer (s, m, i, mlp, &m->layers[i]);
  m->final_norm = atl_source_norm (s, m->width, FALSE, "final_layer_norm");
  if (m->tokens != NULL)
    m->vocab = m->tokens->dim[0];
  return atl_weights_check (m->net.weights, error);
}

/* What files call this encoder: those for models with two number them, and the one with a
 * projection is the second. */
static guint
lora_places (const AtlCheckpoint *cp, const AtlLoadOptions *options)
{
  gboolean projects = options->role != NULL
                          ? g_str_equal (options->role, "text_encoder_2")
                          : atl_checkpoint_find (cp, "text_projection.weight") != NULL;

  return projects ? ATL_LORA_IN_TEXT_2 : ATL_LORA_IN_TEXT | ATL_LORA_IN_TEXT_1;
}

/* The matrix behind the pooled vector, where there is one: beside the encoder, without a bias;
 * OpenCLIP's is transposed. */
static gboolean
read_projection (ClipText *m, AtlCheckpoint *cp, const AtlClipPlace *place, GError **error)
{
  g_autofree char *stem = g_str_has_suffix (place->prefix, "text_model.")
                              ? g_strndup (place->prefix, strlen (place->prefix) - 11)
                              : g_strdup (place->prefix);
  g_autofree char *name =
      g_strconcat (stem, "text_projection", place->is_open ? "" : ".weight", NULL);
  const AtlTensorInfo *info = atl_checkpoint_find (cp, name);
  g_autoptr (AtlArray) plain = NULL;
  gint64 n;
  float *rows;

  if (info == NULL)
    return TRUE;
  if (!place->is_open)
    {
      AtlSource top = { .weights = m->net.weights, .prefix = stem };
      m->projection = atl_source_linear (&top, -1, m->width, "text_projection");
      return TRUE;
    }
  plain = atl_array_from_tensor (info, error);
  if (plain == NULL)
    return FALSE;
  if (plain->dtype != ATL_DTYPE_F32 || plain->n_dims != 2 || plain->dim[0] != m->width)
    {
      atl_weights_fail (m->net.weights, _ ("%s: “%s” has another width than the encoder"),
                        atl_checkpoint_name (cp), name);
      return TRUE;
    }
  n = plain->dim[1];
  rows = g_new (float, n * m->width);
  for (gint64 i = 0; i < n; i++)
    for (gint64 k = 0; k < m->width; k++)
      rows[i * m->width + k] = atl_array_f32 (plain)[k * n + i];
  m->projection.w = atl_weights_add_bytes (
      m->net.weights, ATL_USE_LINEAR, 0, ATL_DTYPE_F32, 2, (gint64[]){ n, m->width },
      g_bytes_new_take (rows, (gsize) (n * m->width) * sizeof *rows), name);
  return TRUE;
}

static gboolean
clip_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  AtlClipPlace place = { "", FALSE };
  gboolean is_there = atl_clip_find (cp, options->role, &place);
  ClipText *m = model;

  s->prefix = place.prefix;
  s->map = place.is_open ? atl_open_clip_name : NULL;
  s->lora_root = "text_model.";
  if (!is_there)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s holds no CLIP text encoder"),
                   atl_checkpoint_name (cp));
      return FALSE;
    }
  s->lora_places = lora_places (cp, options);
  if (!read_weights (m, s, cp, error))
    return FALSE;
  if (!read_projection (m, cp, &place, error))
    return FALSE;
  return TRUE;
}

static AtlTensor *
layer_norm (AtlGraph *g, AtlTensor *x, const AtlAffine *a)
{
  return atl_norm (g, ATL_NORM_LAYER, x, atl_weight (g, a->w), atl_weight (g, a->b), 1e-5f);
}

static AtlTensor *
layer (AtlGraph *g, const ClipText *m, const Layer *l, AtlTensor *x, AtlTensor *ranges)
{
  AtlTensor *n = layer_norm (g, x, &l->norm1);
  AtlTensor *w[3] = { atl_weight (g, l->q.w), atl_weight (g, l->k.w), atl_weight (g, l->v.w) };
  AtlTensor *b[3] = { atl_weight (g, l->q.b), atl_weight (g, l->k.b), atl_weight (g, l->v.b) };
  AtlTensor *qkv[3];

  atl_linear_multi (g, n, 3, w, b, qkv);
  for (guint i = 0; i < 3; i++)
    qkv[i] = atl_reshape_to (g, qkv[i], x->dim[0], x->dim[1], m->n_heads, m->width / m->n_heads);
  n = atl_attention (g, qkv[0], qkv[1], qkv[2], ranges, NULL, NULL, 0.0f, 0.0f);
  n = atl_reshape_to (g, n, x->dim[0], x->dim[1], m->width);
  x = atl_linear_add (g, n, atl_weight (g, l->out.w), atl_weight (g, l->out.b), x);
  n = atl_linear_act (g, layer_norm (g, x, &l->norm2), atl_weight (g, l->fc1.w),
                      atl_weight (g, l->fc1.b), m->act);
  return atl_linear_add (g, n, atl_weight (g, l->fc2.w), atl_weight (g, l->fc2.b), x);
}

static void
describe (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const Call *c = model;
  const ClipText *m = c->m;
  AtlTensor *ids = atl_runner_input (g, inputs, "token_ids");
  AtlTensor *ranges = atl_runner_input (g, inputs, "ranges");
  AtlTensor *x = atl_embed (g, atl_weight (g, m->tokens), ids, 1.0f);
  AtlTensor *hidden, *row;

  x = atl_add (
      g, x,
      atl_embed (g, atl_weight (g, m->positions), atl_runner_input (g, inputs, "positions"), 1.0f));
  hidden = c->n_run == 0 ? x : NULL;
  for (guint i = 0; i < m->n_layers; i++)
    {
      x = layer (g, m, &m->layers[i], x, ranges);
      if (i + 1 == c->n_run)
        hidden = x;
    }
  if (c->normed)
    hidden = layer_norm (g, hidden, &m->final_norm);
  if (c->drop > 0)
    hidden = atl_slice (g, hidden, 1, c->drop, hidden->dim[1] - c->drop);
  atl_graph_output (g, hidden, "hidden");

  row = atl_reshape_to (g, atl_slice (g, x, 1, c->pool_row, 1), x->dim[0], m->width);
  row = layer_norm (g, row, &m->final_norm);
  if (m->projection.w != NULL)
    row = atl_apply (g, row, &m->projection);
  atl_graph_output (g, row, "pooled");
}

static gboolean
clip_run (gpointer model,
          const AtlRequest *request,
          GPtrArray *outputs,
          GCancellable *cancellable,
          GError **error)
{
  ClipText *m = model;
  AtlArray *ids = atl_request_require (request, "token_ids", ATL_DTYPE_I32, 2, error);
  int which = (int) atl_request_number (request, "layer", -1);
  Call call = { .m = m,
                .normed = atl_request_number (request, "final_layer_norm", which == -1) != 0.0,
                .drop = (gint64) atl_request_number (request, "drop", 0.0) };
  AtlArray *ranges, *positions;
  g_autofree char *key = NULL;
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  gint64 T;
  gboolean ok;

  if (ids == NULL)
    return FALSE;
  T = ids->dim[1];
  if (ids->dim[0] != 1 || T > m->n_positions || which >= 0 || which < -(int) m->n_layers - 1 ||
      call.drop < 0 || call.drop >= T)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("A text of %" PRId64 " tokens or the layer %d does not fit this text "
                      "encoder of %" PRId64 " tokens and %u layers"),
                   T, which, m->n_positions, m->n_layers);
      return FALSE;
    }
  for (gint64 i = 0; i < T; i++)
    {
      gint32 id = atl_array_i32 (ids)[i];

      if (id < 0 || id >= m->vocab)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                       _ ("The token %d is outside the vocabulary"), id);
          return FALSE;
        }
      if (id > atl_array_i32 (ids)[call.pool_row])
        call.pool_row = i;
    }
  call.n_run = (guint) ((int) m->n_layers + 1 + which);

  positions = atl_array_new ("positions", ATL_DTYPE_I32, 2, (gint64[]){ 1, T });
  ranges = atl_array_new ("ranges", ATL_DTYPE_I32, 2, (gint64[]){ T, 2 });
  for (gint64 i = 0; i < T; i++)
    {
      atl_array_i32 (positions)[i] = (gint32) i;
      atl_array_i32 (ranges)[2 * i + 1] = (gint32) i + 1;
    }
  g_ptr_array_add (inputs, ids);
  g_ptr_array_add (inputs, positions);
  g_ptr_array_add (inputs, ranges);
  key = g_strdup_printf ("%d %d %d %d", which, call.normed, (int) call.pool_row, (int) call.drop);
  ok = atl_runner_run (m->net.runner, key, describe, &call, inputs, outputs, cancellable, error);
  atl_array_free (positions);
  atl_array_free (ranges);
  return ok;
}

const AtlComponentClass atl_clip_text_class = {
  .name = "clip-text",
  .origins = (const char *const[]){ "CLIPTextModel", "CLIPTextModelWithProjection", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ "encode_text", NULL },
  .lora_places = ATL_LORA_IN_ANY_TEXT,
  .size = sizeof (ClipText),
  .read = clip_read,
  .run = clip_run,
};
