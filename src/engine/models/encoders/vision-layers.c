/* Layers of vision towers. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/encoders/vision-layers.h"

#include <glib/gi18n.h>
#include <inttypes.h>

const char *
atl_vision_prefix (const AtlCheckpoint *cp)
{
  static const char *const prefixes[] = {
    "vision_model.", "vision_tower.vision_model.", "model.vision_tower.vision_model.",
    "vision_tower.", "model.vision_tower.",        ""
  };

  for (gsize i = 0; i < G_N_ELEMENTS (prefixes); i++)
    {
      g_autofree char *patches =
          g_strconcat (prefixes[i], "embeddings.patch_embedding.weight", NULL);
      g_autofree char *layer =
          g_strconcat (prefixes[i], "encoder.layers.0.layer_norm1.weight", NULL);

      if (atl_checkpoint_find (cp, patches) != NULL && atl_checkpoint_find (cp, layer) != NULL)
        return prefixes[i];
    }
  return NULL;
}

guint64
atl_vision_uint (const AtlCheckpoint *cp, const char *name, guint64 max)
{
  g_autofree char *nested = g_strconcat ("vision_config.", name, NULL);
  guint64 value = 0;

  if (!atl_checkpoint_get_uint (cp, nested, 1, max, &value, NULL))
    atl_checkpoint_get_uint (cp, name, 1, max, &value, NULL);
  return value;
}

const char *
atl_vision_act (const AtlCheckpoint *cp)
{
  const char *act = atl_checkpoint_get_string (cp, "vision_config.hidden_act");

  return act != NULL ? act : atl_checkpoint_get_string (cp, "hidden_act");
}

static void
read_layer (AtlVisionLayers *self, AtlSource *s, guint i)
{
  static const char *const names[] = { "q_proj", "k_proj", "v_proj" };
  AtlVisionLayer *l = &self->layer[i];
  gint64 D = self->width;
  g_autofree char *p = g_strdup_printf ("encoder.layers.%u", i);

  l->norm1 = atl_source_norm (s, D, FALSE, "%s.layer_norm1", p);
  if (atl_source_has (s, "%s.self_attn.qkv", p))
    {
      AtlAffine fused = atl_source_linear (s, 3 * D, D, "%s.self_attn.qkv", p);

      for (guint k = 0; k < 3; k++)
        {
          l->qkv[k].w = atl_weights_add_rows (s->weights, fused.w, ATL_USE_LINEAR, k * D, D);
          l->qkv[k].b = atl_weights_add_rows (s->weights, fused.b, ATL_USE_VECTOR, k * D, D);
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

void
atl_vision_layers_read (AtlVisionLayers *self, AtlSource *s)
{
  while (self->n < ATL_VISION_MAX_LAYERS &&
         atl_source_has (s, "encoder.layers.%u.layer_norm1", self->n))
    self->n++;
  if (self->n == 0 || self->width % self->n_heads != 0)
    atl_weights_fail (s->weights, _ ("%s: %u layers and %" PRId64 " heads make no vision tower"),
                      atl_checkpoint_name (atl_weights_checkpoint (s->weights)), self->n,
                      self->n_heads);
  for (guint i = 0; i < self->n; i++)
    read_layer (self, s, i);
}

AtlTensor *
atl_vision_norm (AtlGraph *g, AtlTensor *x, const AtlAffine *a, float eps)
{
  return atl_norm (g, ATL_NORM_LAYER, x, atl_weight (g, a->w), atl_weight (g, a->b), eps);
}

static AtlTensor *
layer (AtlGraph *g, const AtlVisionLayers *m, const AtlVisionLayer *l, AtlTensor *x)
{
  gint64 B = x->dim[0], T = x->dim[1];
  AtlTensor *n = atl_vision_norm (g, x, &l->norm1, m->eps), *w[3], *b[3], *qkv[3];

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
  n = atl_linear_act (g, atl_vision_norm (g, x, &l->norm2, m->eps), atl_weight (g, l->fc1.w),
                      atl_weight (g, l->fc1.b), m->act);
  return atl_linear_add (g, n, atl_weight (g, l->fc2.w), atl_weight (g, l->fc2.b), x);
}

AtlTensor *
atl_vision_layers_run (AtlGraph *g, const AtlVisionLayers *self, AtlTensor *x, guint n)
{
  for (guint i = 0; i < n; i++)
    x = layer (g, self, &self->layer[i], x);
  return x;
}

AtlTensor *
atl_vision_token (AtlGraph *g, AtlTensor *x, AtlWeight *token)
{
  /* Once for each picture: zeros of the right shape, plus the token. */
  AtlTensor *zeros = atl_affine (g, atl_slice (g, x, 1, 0, 1), 0.0f, 0.0f);

  return atl_add (g, zeros, atl_weight (g, token));
}
