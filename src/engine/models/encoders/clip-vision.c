/* CLIP vision towers (Radford et al. 2021; transformers 5.23 CLIPVisionModel; Wan authors'
 * open-clip ViT-H/14).
 *
 *   x = [class_embedding, patches of a convolution without bias (kernel = stride = patch_size)] +
 * position_embedding x = pre_layrnorm(x) per layer (pre-norm, LayerNorm eps 1e-5, biases): x +=
 * out_proj(attention(layer_norm1 x)); x += fc2(act(fc1(layer_norm2 x))) hidden: the state after
 * layer `layer` counted as in transformers (-1 the last, -2 what enters the last), no final norm
 *
 * encode_image: image [B, 3, H, W], pre-processed -> hidden [B, 1 + patches, dim].
 * Names: transformers' below "vision_model.", or the authors' below "visual." (fused to_qkv, heads
 * 80 wide, class token and positions with leading ones). Activation: configuration, else exact GELU
 * (authors) or quick_gelu (transformers' default).
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/models/blocks/names.h"
#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/classes.h"

#define EPS 1e-5f
#define MAX_LAYERS 64
#define AUTHOR_HEAD_DIM 80

typedef struct
{
  AtlAffine norm1, qkv[3], out, norm2, fc1, fc2;
} Layer;

typedef struct
{
  AtlNetwork net;
  gint64 width, n_heads, n_positions, patch;
  guint n_layers;
  AtlAct act;
  AtlWeight *class_token, *positions;
  AtlAffine patches, pre_norm;
  Layer layers[MAX_LAYERS];
} ClipVision;

typedef struct
{
  const ClipVision *m;
  guint n_run;
} Call;

static const AtlNamePair author_top[] = {
  { "embeddings.class_embedding", "cls_embedding" },
  { "embeddings.position_embedding.weight", "pos_embedding" },
  { "embeddings.patch_embedding", "patch_embedding" },
  { "pre_layrnorm", "pre_norm" },
  { NULL, NULL },
};

static const AtlNamePair author_layer[] = {
  { "layer_norm1", "norm1" },
  { "layer_norm2", "norm2" },
  { "self_attn.qkv", "attn.to_qkv" },
  { "self_attn.out_proj", "attn.proj" },
  { "mlp.fc1", "mlp.0" },
  { "mlp.fc2", "mlp.2" },
  { NULL, NULL },
};

static char *
author_name (const AtlSource *source, const char *canonical)
{
  guint index;
  int n = 0;

  if (sscanf (canonical, "encoder.layers.%u.%n", &index, &n) == 1 && n > 0)
    {
      g_autofree char *inner = atl_name_translate (canonical + n, author_layer);
      return inner != NULL ? g_strdup_printf ("transformer.%u.%s", index, inner) : NULL;
    }
  return atl_name_translate (canonical, author_top);
}

static gboolean
is_author (const AtlCheckpoint *cp)
{
  return atl_checkpoint_find (cp, "visual.transformer.0.attn.to_qkv.weight") != NULL;
}

static gboolean
recognises (const AtlCheckpoint *cp)
{
  return is_author (cp) ||
         atl_checkpoint_find (cp, "vision_model.embeddings.class_embedding") != NULL;
}

static void
read_layer (ClipVision *m, AtlSource *s, guint i)
{
  static const char *const names[] = { "q_proj", "k_proj", "v_proj" };
  Layer *l = &m->layers[i];
  gint64 D = m->width;
  g_autofree char *p = g_strdup_printf ("encoder.layers.%u", i);

  l->norm1 = atl_source_norm (s, D, FALSE, "%s.layer_norm1", p);
  if (atl_source_has (s, "%s.self_attn.qkv", p))
    {
      AtlAffine fused = atl_source_linear (s, 3 * D, D, "%s.self_attn.qkv", p);

      for (guint k = 0; k < 3; k++)
        {
          l->qkv[k].w = atl_weights_add_rows (m->net.weights, fused.w, ATL_USE_LINEAR, k * D, D);
          l->qkv[k].b = atl_weights_add_rows (m->net.weights, fused.b, ATL_USE_VECTOR, k * D, D);
        }
      /* Only its thirds are used. */
      if (fused.w != NULL)
        fused.w->use = 0;
      if (fused.b != NULL)
        fused.b->use = 0;
    }
  else
    for (guint k = 0; k < 3; k++)
      l->qkv[k] = atl_source_linear (s, D, D, "%s.self_attn.%s", p, names[k]);
  l->out = atl_source_linear (s, D, D, "%s.self_attn.out_proj", p);
  l->norm2 = atl_source_norm (s, D, FALSE, "%s.layer_norm2", p);
  l->fc1 = atl_source_linear (s, -1, D, "%s.mlp.fc1", p);
  l->fc2 = atl_source_linear (s, D, -1, "%s.mlp.fc2", p);
}

static void
read_weights (ClipVision *m, AtlSource *s, const AtlCheckpoint *cp)
{
  gboolean author = is_author (cp);
  const char *act = atl_checkpoint_get_string (cp, "hidden_act");
  gint64 dim[ATL_MAX_DIMS];
  guint n_dims;
  guint64 heads = 0;

  if (!atl_source_shape (s, "embeddings.patch_embedding", &n_dims, dim) || n_dims != 4)
    {
      atl_weights_fail (m->net.weights, _ ("%s holds no vision tower"), atl_checkpoint_name (cp));
      return;
    }
  m->width = dim[0];
  m->patch = dim[2];
  m->patches.w =
      atl_source_tensor (s, ATL_USE_CONV, 4, dim, FALSE, "embeddings.patch_embedding.weight");
  m->patches.b =
      atl_source_tensor (s, ATL_USE_VECTOR, 1, &m->width, TRUE, "embeddings.patch_embedding.bias");
  m->class_token = atl_source_tensor (s, ATL_USE_VECTOR, author ? 3 : 1,
                                      author ? (gint64[]){ 1, 1, m->width } : &m->width, FALSE,
                                      "embeddings.class_embedding");
  m->positions =
      atl_source_tensor (s, ATL_USE_VECTOR, author ? 3 : 2,
                         author ? (gint64[]){ 1, -1, m->width } : (gint64[]){ -1, m->width }, FALSE,
                         "embeddings.position_embedding.weight");
  if (m->positions != NULL)
    m->n_positions = m->positions->dim[m->positions->n_dims - 2];
  atl_checkpoint_get_uint (cp, "num_attention_heads", 1, 1024, &heads, NULL);
  m->n_heads = heads > 0 ? (gint64) heads : MAX (m->width / (author ? AUTHOR_HEAD_DIM : 64), 1);
  m->act = g_strcmp0 (act, "gelu") == 0 || (act == NULL && author) ? ATL_ACT_GELU_ERF
                                                                   : ATL_ACT_GELU_QUICK;
  m->pre_norm = atl_source_norm (s, m->width, FALSE, "pre_layrnorm");
  while (m->n_layers < MAX_LAYERS &&
         atl_source_has (s, "encoder.layers.%u.layer_norm1", m->n_layers))
    m->n_layers++;
  if (m->n_layers == 0 || m->width % m->n_heads != 0)
    atl_weights_fail (m->net.weights,
                      _ ("%s: %u layers and %" PRId64 " heads make no vision tower"),
                      atl_checkpoint_name (cp), m->n_layers, m->n_heads);
  for (guint i = 0; i < m->n_layers; i++)
    read_layer (m, s, i);
}

static gboolean
vision_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  ClipVision *m = model;

  s->prefix = is_author (cp) ? "visual." : "vision_model.";
  s->map = is_author (cp) ? author_name : NULL;
  read_weights (m, s, cp);
  return TRUE;
}

static AtlTensor *
layer_norm (AtlGraph *g, AtlTensor *x, const AtlAffine *a)
{
  return atl_norm (g, ATL_NORM_LAYER, x, atl_weight (g, a->w), atl_weight (g, a->b), EPS);
}

static AtlTensor *
layer (AtlGraph *g, const ClipVision *m, const Layer *l, AtlTensor *x)
{
  gint64 B = x->dim[0], T = x->dim[1];
  AtlTensor *n = layer_norm (g, x, &l->norm1), *w[3], *b[3], *qkv[3];

  for (guint i = 0; i < 3; i++)
    {
      w[i] = atl_weight (g, l->qkv[i].w);
      b[i] = atl_weight (g, l->qkv[i].b);
    }
  atl_linear_multi (g, n, 3, w, b, qkv);
  for (guint i = 0; i < 3; i++)
    qkv[i] = atl_reshape_to (g, qkv[i], B, T, m->n_heads, m->width / m->n_heads);
  n = atl_attention (g, qkv[0], qkv[1], qkv[2], NULL, NULL, NULL, 0.0f, 0.0f);
  x = atl_linear_add (g, atl_reshape_to (g, n, B, T, m->width), atl_weight (g, l->out.w),
                      atl_weight (g, l->out.b), x);
  n = atl_linear_act (g, layer_norm (g, x, &l->norm2), atl_weight (g, l->fc1.w),
                      atl_weight (g, l->fc1.b), m->act);
  return atl_linear_add (g, n, atl_weight (g, l->fc2.w), atl_weight (g, l->fc2.b), x);
}

static void
describe (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const Call *c = model;
  const ClipVision *m = c->m;
  AtlOpParams p = { .stride = { 1, m->patch, m->patch } };
  AtlTensor *x = atl_permute_to (g, atl_runner_input (g, inputs, "image"), 0, 2, 3, 1);
  AtlTensor *token;
  gint64 B = x->dim[0];

  x = atl_conv (g, x, atl_weight (g, m->patches.w), atl_weight (g, m->patches.b), NULL, &p);
  x = atl_reshape_to (g, x, B, x->dim[1] * x->dim[2], m->width);
  /* The class token once per picture: zeros of the right shape, plus the token. */
  token = atl_affine (g, atl_slice (g, x, 1, 0, 1), 0.0f, 0.0f);
  token = atl_add (g, token, atl_weight (g, m->class_token));
  x = atl_concat (g, 1, 2, (AtlTensor *[]){ token, x });
  x = layer_norm (g, atl_add (g, x, atl_weight (g, m->positions)), &m->pre_norm);
  for (guint i = 0; i < c->n_run; i++)
    x = layer (g, m, &m->layers[i], x);
  atl_graph_output (g, x, "hidden");
}

static gboolean
vision_run (gpointer model,
            const AtlRequest *request,
            GPtrArray *outputs,
            GCancellable *cancellable,
            GError **error)
{
  ClipVision *m = model;
  AtlArray *image = atl_request_require (request, "image", ATL_DTYPE_F32, 4, error);
  int which = (int) atl_request_number (request, "layer", -1);
  Call call = { .m = m };
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  g_autofree char *key = g_strdup_printf ("%d", which);

  if (image == NULL)
    return FALSE;
  if (which >= 0 || which < -(int) m->n_layers - 1 ||
      (image->dim[2] / m->patch) * (image->dim[3] / m->patch) + 1 != m->n_positions)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("A picture of %" PRId64 " × %" PRId64
                      " does not fit this vision tower of %" PRId64 " patches"),
                   image->dim[3], image->dim[2], m->n_positions - 1);
      return FALSE;
    }
  call.n_run = (guint) ((int) m->n_layers + 1 + which);
  g_ptr_array_add (inputs, image);
  return atl_runner_run (m->net.runner, key, describe, &call, inputs, outputs, cancellable, error);
}

const AtlComponentClass atl_clip_vision_class = {
  .name = "clip-vision",
  .origins = (const char *const[]){ "CLIPVisionModel", "CLIPVisionModelWithProjection", NULL },
  .recognises = recognises,
  .functions = (const char *const[]){ "encode_image", NULL },
  .size = sizeof (ClipVision),
  .read = vision_read,
  .run = vision_run,
};
