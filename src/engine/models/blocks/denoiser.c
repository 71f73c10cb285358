/* What the transformers that denoise pictures do alike. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/blocks/denoiser.h"

#include <glib/gi18n.h>
#include <stdarg.h>
#include <string.h>

#include "engine/models/blocks/resnet.h"

/* --- Files --- */

static gboolean
has_all (const AtlCheckpoint *cp, const char *prefix, va_list names)
{
  const char *name;

  while ((name = va_arg (names, const char *)) != NULL)
    {
      g_autofree char *full = g_strconcat (prefix, name, NULL);

      if (atl_checkpoint_find (cp, full) == NULL)
        return FALSE;
    }
  return TRUE;
}

const char *
atl_denoiser_prefix (const AtlCheckpoint *cp, ...)
{
  static const char *const prefixes[] = { "", "model.diffusion_model." };

  for (gsize i = 0; i < G_N_ELEMENTS (prefixes); i++)
    {
      gboolean found;
      va_list names;

      va_start (names, cp);
      found = has_all (cp, prefixes[i], names);
      va_end (names);
      if (found)
        return prefixes[i];
    }
  return NULL;
}

gboolean
atl_denoiser_axes (const AtlCheckpoint *cp,
                   const char *key,
                   guint min,
                   guint max,
                   gint64 head_dim,
                   gint64 *axis,
                   guint *n_axes,
                   GError **error)
{
  const AtlMetaValue *list = atl_checkpoint_meta (cp, key);
  gint64 sum = 0;

  if (list != NULL && list->type == ATL_META_ARRAY && list->v_array.elem_type == ATL_META_INT &&
      list->v_array.n >= min && list->v_array.n <= max)
    {
      *n_axes = (guint) list->v_array.n;
      memcpy (axis, list->v_array.elems, *n_axes * sizeof *axis);
    }
  for (guint i = 0; i < *n_axes; i++)
    sum += axis[i] >= 2 && axis[i] % 2 == 0 && axis[i] <= head_dim ? axis[i] : head_dim + 1;
  if (sum == head_dim)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
               _ ("%s: the axes of its rotation do not fill a head of %d"),
               atl_checkpoint_name (cp), (int) head_dim);
  return FALSE;
}

/* --- Embedders and modulation --- */

void
atl_embedder_read (AtlEmbedder *self, AtlSource *s, gint64 out, gint64 in, const char *name)
{
  self->first = atl_source_linear (s, -1, in, "%s.linear_1", name);
  self->second = atl_source_linear (s, out, -1, "%s.linear_2", name);
}

AtlTensor *
atl_embedder (AtlGraph *g, const AtlEmbedder *self, AtlTensor *x)
{
  return atl_apply (g, atl_apply_act (g, x, &self->first, ATL_ACT_SILU), &self->second);
}

void
atl_modulation (AtlGraph *g, AtlTensor *temb, const AtlAffine *a, guint n, AtlTensor **parts)
{
  AtlTensor *all = atl_apply (g, temb, a);
  gint64 B = all->dim[0], D = all->dim[1] / n;

  for (guint i = 0; i < n; i++)
    parts[i] = atl_reshape_to (g, atl_slice (g, all, 1, i * D, D), B, 1, D);
}

void
atl_modulation_of_end (
    AtlGraph *g, AtlTensor *temb, const AtlAffine *a, gboolean shift_first, AtlTensor **parts)
{
  AtlTensor *halves[2];

  atl_modulation (g, temb, a, 2, halves);
  parts[0] = halves[shift_first ? 0 : 1];
  parts[1] = halves[shift_first ? 1 : 0];
}

AtlTensor *
atl_modulated (AtlGraph *g, AtlTensor *x, AtlTensor *const *mod)
{
  return atl_norm_modulated (g, ATL_NORM_LAYER, x, NULL, NULL, ATL_DENOISER_EPS, mod[1], mod[0]);
}

AtlTensor *
atl_gated (AtlGraph *g, AtlTensor *x, AtlTensor *y, AtlTensor *gate)
{
  return atl_add (g, x, atl_mul (g, y, gate));
}

/* --- Attention --- */

static AtlTensor *
normed (AtlGraph *g, AtlTensor *x, const AtlAffine *norm)
{
  return norm->w == NULL
             ? x
             : atl_norm (g, ATL_NORM_RMS, x, atl_weight (g, norm->w), NULL, ATL_DENOISER_EPS);
}

void
atl_qkv (AtlGraph *g, const AtlQkv *self, AtlTensor *x, gint64 n_heads, AtlTensor **qkv)
{
  atl_apply_multi (g, x, 3, self->proj, qkv);
  for (guint i = 0; i < 3; i++)
    qkv[i] = atl_reshape_to (g, qkv[i], x->dim[0], x->dim[1], n_heads, qkv[i]->dim[2] / n_heads);
  qkv[0] = normed (g, qkv[0], &self->norm_q);
  qkv[1] = normed (g, qkv[1], &self->norm_k);
}

void
atl_qkv_join (AtlGraph *g, AtlTensor *const *first, AtlTensor *const *second, AtlTensor **joint)
{
  for (guint i = 0; i < 3; i++)
    joint[i] = atl_concat (g, 1, 2, (AtlTensor *[]){ first[i], second[i] });
}

AtlTensor *
atl_qkv_attend (AtlGraph *g, AtlTensor *const *qkv, AtlTensor *rope)
{
  AtlTensor *q = rope != NULL ? atl_rope (g, qkv[0], rope, ATL_ROPE_NEIGHBORS) : qkv[0];
  AtlTensor *k = rope != NULL ? atl_rope (g, qkv[1], rope, ATL_ROPE_NEIGHBORS) : qkv[1];
  AtlTensor *y = atl_attention (g, q, k, qkv[2], NULL, NULL, NULL, 0.0f, 0.0f);

  return atl_reshape_to (g, y, y->dim[0], y->dim[1], y->dim[2] * y->dim[3]);
}
