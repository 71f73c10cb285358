/* Products with weights that something is added to (tensor.h, AtlWeightDelta). */
#define G_LOG_DOMAIN "atl-tensor"

#include <string.h>

#include "engine/tensor/graph-private.h"

gboolean
graph_has_deltas (const AtlTensor *w)
{
  for (guint i = 0; w->weight != NULL && i < w->weight->n_deltas; i++)
    if (w->weight->deltas[i].scale != 0)
      return TRUE;
  return FALSE;
}

gboolean
graph_has_gains (const AtlTensor *w)
{
  for (guint i = 0; w->weight != NULL && i < w->weight->n_deltas; i++)
    if (w->weight->deltas[i].scale != 0 && w->weight->deltas[i].gain != NULL)
      return TRUE;
  return FALSE;
}

/* The innermost dimension of x as [n_outer, n_inner], and everything before it one. */
static AtlTensor *
unfold (AtlGraph *self, AtlTensor *x, gint64 n_inner)
{
  gint64 n = x->dim[x->n_dims - 1];

  return atl_reshape_to (self, atl_contiguous (self, x), atl_tensor_n_elems (x) / n, n / n_inner,
                         n_inner);
}

/* (b (x) a) x without the product itself: with x as [in_b, in_a] it is b (x a^T), whose element
 * [i, j] is number i * out_a + j of the result. A convolution's kernel is a's: the rows of in_b are
 * pictures of their own to it. */
static AtlTensor *
kronecker (AtlGraph *self, AtlTensor *x, const AtlWeightDelta *delta, const AtlOpParams *p)
{
  AtlTensor *a = atl_weight (self, delta->a), *b = atl_weight (self, delta->b), *y;
  gint64 in_a, in_b, out_a, out_b, dim[ATL_MAX_DIMS];
  guint n_dims = x->n_dims;

  GRAPH_CHECK (self);
  in_a = a->dim[1];
  out_a = a->dim[0];
  in_b = b->dim[1];
  out_b = b->dim[0];
  memcpy (dim, x->dim, sizeof dim);
  if (p == NULL)
    y = graph_plain_product (self, unfold (self, x, in_a), a, NULL, NULL, NULL);
  else
    {
      x = atl_reshape_to (self, atl_contiguous (self, x), dim[0], dim[1], dim[2], in_b, in_a);
      x = atl_contiguous (self, atl_permute_to (self, x, 0, 3, 1, 2, 4));
      x = atl_reshape_to (self, x, dim[0] * in_b, dim[1], dim[2], in_a);
      y = graph_plain_conv (self, x, a, NULL, NULL, p);
      GRAPH_CHECK (self);
      dim[1] = y->dim[1];
      dim[2] = y->dim[2];
      y = atl_reshape_to (self, y, dim[0], in_b, dim[1] * dim[2], out_a);
      y = atl_contiguous (self, atl_permute_to (self, y, 0, 2, 1, 3));
      y = atl_reshape_to (self, y, dim[0] * dim[1] * dim[2], in_b, out_a);
    }
  GRAPH_CHECK (self);
  y = atl_contiguous (self, atl_permute_to (self, y, 0, 2, 1));
  y = graph_plain_product (self, y, b, NULL, NULL, NULL);
  y = atl_contiguous (self, atl_permute_to (self, y, 0, 2, 1));
  dim[n_dims - 1] = out_a * out_b;
  return atl_reshape (self, y, n_dims, dim);
}

/* y + scale * D x, or that alone without y. */
static AtlTensor *
add_product (AtlGraph *self,
             AtlTensor *x,
             const AtlWeightDelta *delta,
             gint64 n_out,
             float scale,
             const AtlOpParams *p,
             AtlTensor *y)
{
  AtlTensor *d;

  if (!delta->is_kronecker)
    {
      d = graph_plain_product (self, x, atl_weight (self, delta->a), NULL, NULL, p);
      return atl_linear_scaled_add (self, d, atl_weight (self, delta->b), NULL, scale, y);
    }
  d = kronecker (self, x, delta, p);
  GRAPH_CHECK (self);
  if (d->dim[d->n_dims - 1] != n_out)
    d = atl_slice (self, d, d->n_dims - 1, delta->first, n_out);
  if (scale != 1.0f)
    d = atl_affine (self, d, scale, 0.0f);
  return y != NULL ? atl_add (self, y, d) : d;
}

static AtlTensor *
add_deltas (
    AtlGraph *self, AtlTensor *x, const AtlWeight *w, float a, const AtlOpParams *p, AtlTensor *y)
{
  for (guint i = 0; i < w->n_deltas; i++)
    {
      const AtlWeightDelta *delta = &w->deltas[i];

      if (delta->scale != 0 && delta->gain == NULL)
        y = add_product (self, x, delta, w->dim[0], a * delta->scale, p, y);
    }
  return y;
}

AtlTensor *
graph_add_deltas (
    AtlGraph *self, AtlTensor *x, AtlTensor *w, float a, const AtlOpParams *p, AtlTensor *y)
{
  return w->weight != NULL ? add_deltas (self, x, w->weight, a, p, y) : y;
}

AtlTensor *
atl_linear_deltas (AtlGraph *self, AtlTensor *x, const AtlWeight *w, AtlTensor *y)
{
  return add_deltas (self, x, w, 1.0f, NULL, y);
}

/* C x of one delta with a gain; `wx` is W x. */
static AtlTensor *
gained (AtlGraph *self,
        AtlTensor *x,
        AtlTensor *w,
        AtlTensor *wx,
        const AtlWeightDelta *delta,
        const AtlOpParams *p)
{
  AtlTensor *gain = atl_weight (self, delta->gain);

  if (delta->is_gain_of_input)
    {
      x = atl_mul (self, x, gain);
      wx = graph_plain_product (self, x, w, NULL, NULL, p);
    }
  GRAPH_CHECK (self);
  if (delta->a != NULL)
    wx = add_product (self, x, delta, w->dim[0], delta->factor, p, wx);
  return delta->is_gain_of_input ? wx : atl_mul (self, wx, gain);
}

AtlTensor *
graph_changed_product (AtlGraph *self,
                       AtlTensor *x,
                       AtlTensor *w,
                       AtlTensor *bias,
                       AtlTensor *residual,
                       const AtlOpParams *p)
{
  AtlTensor *wx, *y = NULL;
  float rest = 1.0f;

  if (!graph_has_gains (w))
    return graph_add_deltas (self, x, w, 1.0f, p,
                             graph_plain_product (self, x, w, bias, residual, p));
  wx = graph_plain_product (self, x, w, NULL, NULL, p);
  for (guint i = 0; i < w->weight->n_deltas; i++)
    {
      const AtlWeightDelta *delta = &w->weight->deltas[i];
      AtlTensor *c;

      if (delta->scale == 0 || delta->gain == NULL)
        continue;
      rest -= delta->scale;
      c = gained (self, x, w, wx, delta, p);
      if (delta->scale != 1.0f)
        c = atl_affine (self, c, delta->scale, 0.0f);
      y = y != NULL ? atl_add (self, y, c) : c;
    }
  if (rest != 0)
    y = atl_add (self, y, rest != 1.0f ? atl_affine (self, wx, rest, 0.0f) : wx);
  y = graph_add_deltas (self, x, w, 1.0f, p, y);
  if (bias != NULL)
    y = atl_add (self, y, bias);
  return residual != NULL ? atl_add (self, y, residual) : y;
}
