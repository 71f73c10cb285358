/* CLIP vision towers (Radford et al. 2021; transformers 5.23 CLIPVisionModel; Wan authors'
 * open-clip ViT-H/14), also in Llava (LlavaForConditionalGeneration).
 *
 *   x = [class_embedding, patches of a convolution without bias (kernel = stride = patch_size)] +
 *   position_embedding; x = pre_layrnorm(x); layers (vision-layers.h), eps 1e-5
 *   hidden: the state after layer `layer` counted as in transformers (-1 the last, -2 what enters
 *   the last), no final norm. Llava: the layer that its configuration says (-2), without the class
 *   token, through linear_2(GELU(linear_1 x)), exact GELU
 *   pooled = visual_projection(post_layernorm(class token of the last layer)), where there is one
 *
 * encode_image: image [B, 3, H, W], pre-processed -> hidden [B, 1 + patches, dim], pooled [B, n].
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
#include "engine/models/blocks/runner.h"
#include "engine/models/classes.h"
#include "engine/models/encoders/vision-layers.h"

#define EPS 1e-5f
#define AUTHOR_HEAD_DIM 80
#define HEAD_DIM 64

typedef struct
{
  AtlNetwork net;
  gint64 n_positions, patch;
  int layer; /* that is asked for where a request says nothing */
  AtlWeight *class_token, *positions;
  AtlAffine patches, pre_norm;
  AtlVisionLayers layers;
  AtlAffine post_norm, projection; /* nullable */
  AtlAffine project[2];            /* (nullable) Llava's */
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
recognizes (const AtlCheckpoint *cp)
{
  const char *prefix = atl_vision_prefix (cp);
  g_autofree char *name =
      g_strconcat (prefix != NULL ? prefix : "", "embeddings.class_embedding", NULL);

  return is_author (cp) || (prefix != NULL && atl_checkpoint_find (cp, name) != NULL);
}

static void
read_weights (ClipVision *m, AtlSource *s, const AtlCheckpoint *cp)
{
  gboolean author = is_author (cp);
  const char *act = atl_vision_act (cp);
  const AtlMetaValue *chosen = atl_checkpoint_meta (cp, "vision_feature_layer");
  AtlVisionLayers *l = &m->layers;
  gint64 dim[ATL_MAX_DIMS];
  guint n_dims;

  if (!atl_source_shape (s, "embeddings.patch_embedding", &n_dims, dim) || n_dims != 4)
    {
      atl_weights_fail (m->net.weights, _ ("%s holds no vision tower"), atl_checkpoint_name (cp));
      return;
    }
  l->width = dim[0];
  m->patch = dim[2];
  m->patches.w =
      atl_source_tensor (s, ATL_USE_CONV, 4, dim, FALSE, "embeddings.patch_embedding.weight");
  m->patches.b =
      atl_source_tensor (s, ATL_USE_VECTOR, 1, &l->width, TRUE, "embeddings.patch_embedding.bias");
  m->class_token = atl_source_tensor (s, ATL_USE_VECTOR, author ? 3 : 1,
                                      author ? (gint64[]){ 1, 1, l->width } : &l->width, FALSE,
                                      "embeddings.class_embedding");
  m->positions =
      atl_source_tensor (s, ATL_USE_VECTOR, author ? 3 : 2,
                         author ? (gint64[]){ 1, -1, l->width } : (gint64[]){ -1, l->width }, FALSE,
                         "embeddings.position_embedding.weight");
  if (m->positions != NULL)
    m->n_positions = m->positions->dim[m->positions->n_dims - 2];
  l->n_heads = (gint64) atl_vision_uint (cp, "num_attention_heads", 1024);
  if (l->n_heads == 0)
    l->n_heads = MAX (l->width / (author ? AUTHOR_HEAD_DIM : HEAD_DIM), 1);
  l->eps = EPS;
  l->act = g_strcmp0 (act, "gelu") == 0 || (act == NULL && author) ? ATL_ACT_GELU_ERF
                                                                   : ATL_ACT_GELU_QUICK;
  m->pre_norm = atl_source_norm (s, l->width, FALSE, "pre_layrnorm");
  atl_vision_layers_read (l, s);
  m->post_norm = atl_source_norm (s, l->width, TRUE, "post_layernorm");
  s->prefix = NULL;
  if (!author && atl_source_has (s, "visual_projection"))
    m->projection = atl_source_linear (s, -1, l->width, "visual_projection");
  s->prefix = atl_source_has (s, "model.multi_modal_projector.linear_1") ? "model." : NULL;
  m->layer = -1;
  if (author || !atl_source_has (s, "multi_modal_projector.linear_1"))
    return;
  m->project[0] = atl_source_linear (s, -1, l->width, "multi_modal_projector.linear_1");
  m->project[1] = atl_source_linear (s, -1, -1, "multi_modal_projector.linear_2");
  m->layer = chosen != NULL && chosen->type == ATL_META_INT
                 ? (int) CLAMP (chosen->v_int, -(gint64) l->n - 1, -1)
                 : -2;
}

static gboolean
vision_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  ClipVision *m = model;

  s->prefix = is_author (cp) ? "visual." : atl_vision_prefix (cp);
  s->map = is_author (cp) ? author_name : NULL;
  read_weights (m, s, cp);
  return TRUE;
}

static void
describe (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const Call *c = model;
  const ClipVision *m = c->m;
  AtlOpParams p = { .stride = { 1, m->patch, m->patch } };
  AtlTensor *x = atl_permute_to (g, atl_runner_input (g, inputs, "image"), 0, 2, 3, 1);
  const AtlVisionLayers *l = &m->layers;
  AtlTensor *first;
  gint64 B = x->dim[0];

  x = atl_conv (g, x, atl_weight (g, m->patches.w), atl_weight (g, m->patches.b), NULL, &p);
  x = atl_reshape_to (g, x, B, x->dim[1] * x->dim[2], l->width);
  x = atl_concat (g, 1, 2, (AtlTensor *[]){ atl_vision_token (g, x, m->class_token), x });
  x = atl_add (g, x, atl_weight (g, m->positions));
  x = atl_vision_layers_run (g, l, atl_vision_norm (g, x, &m->pre_norm, EPS), c->n_run);
  if (m->project[0].w != NULL)
    {
      x = atl_contiguous (g, atl_slice (g, x, 1, 1, x->dim[1] - 1));
      x = atl_linear_act (g, x, atl_weight (g, m->project[0].w), atl_weight (g, m->project[0].b),
                          ATL_ACT_GELU_ERF);
      x = atl_apply (g, x, &m->project[1]);
    }
  else if (c->n_run == l->n && m->projection.w != NULL && m->post_norm.w != NULL)
    {
      first = atl_contiguous (g, atl_slice (g, x, 1, 0, 1));
      first = atl_vision_norm (g, atl_reshape_to (g, first, B, l->width), &m->post_norm, EPS);
      atl_graph_output (g, atl_apply (g, first, &m->projection), "pooled");
    }
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
  int which = (int) atl_request_number (request, "layer", m->layer);
  Call call = { .m = m };
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  g_autofree char *key = g_strdup_printf ("%d", which);

  if (image == NULL)
    return FALSE;
  if (which >= 0 || which < -(int) m->layers.n - 1 ||
      (image->dim[2] / m->patch) * (image->dim[3] / m->patch) + 1 != m->n_positions)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("A picture of %" PRId64 " × %" PRId64
                      " does not fit this vision tower of %" PRId64 " patches"),
                   image->dim[3], image->dim[2], m->n_positions - 1);
      return FALSE;
    }
  call.n_run = (guint) ((int) m->layers.n + 1 + which);
  g_ptr_array_add (inputs, image);
  return atl_runner_run (m->net.runner, key, describe, &call, inputs, outputs, cancellable, error);
}

const AtlComponentClass atl_clip_vision_class = {
  .name = "clip-vision",
  .origins = (const char *const[]){ "CLIPVisionModel", "CLIPVisionModelWithProjection",
                                    "LlavaForConditionalGeneration", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ "encode_image", NULL },
  .size = sizeof (ClipVision),
  .read = vision_read,
  .run = vision_run,
};
