/* Ops of pictures and clips: convolution, group norm, resizing. Channels are last. */
#define G_LOG_DOMAIN "atl-tensor"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/tensor/graph-private.h"

AtlTensor *
atl_group_norm (AtlGraph *self,
                AtlTensor *x,
                AtlTensor *weight,
                AtlTensor *bias,
                gint64 groups,
                float eps,
                AtlAct act)
{
  gint64 channels;
  AtlNode *node;

  GRAPH_CHECK (self);
  channels = x->dim[x->n_dims - 1];
  if (groups < 1 || channels % groups != 0 || x->n_dims < 2)
    {
      graph_fail_shape (self, "group-norm", x, _ ("channels that split into the groups"));
      return &self->dummy;
    }
  if ((weight != NULL && atl_tensor_n_elems (weight) != channels) ||
      (bias != NULL && atl_tensor_n_elems (bias) != channels))
    {
      graph_fail_shape (self, "group-norm", weight != NULL ? weight : bias,
                        _ ("one value a channel"));
      return &self->dummy;
    }
  x = atl_contiguous (self, x);
  GRAPH_CHECK (self);
  node = graph_new_node (self, ATL_OP_GROUP_NORM, x->n_dims, x->dim);
  node->src[0] = x;
  node->src[1] = weight;
  node->src[2] = bias;
  node->p.groups = groups;
  node->p.eps = eps;
  node->p.act = act;
  return node->dst;
}

/* [B, H, W, C] -> [B, 1, H, W, C] */
static AtlTensor *
as_frames (AtlGraph *self, AtlTensor *x)
{
  GRAPH_CHECK (self);
  if (x->n_dims == 5)
    return x;
  return atl_reshape_to (self, x, x->dim[0], 1, x->dim[1], x->dim[2], x->dim[3]);
}

AtlTensor *
graph_plain_conv (AtlGraph *self,
                  AtlTensor *x,
                  AtlTensor *w,
                  AtlTensor *bias,
                  AtlTensor *residual,
                  const AtlOpParams *p)
{
  gint64 dim[5], kernel[3];
  guint n_dims = x->n_dims;
  AtlNode *node;

  GRAPH_CHECK (self);
  if (x->n_dims < 4 || w->n_dims < 4 || w->n_dims > 5 || w->dim[1] != x->dim[x->n_dims - 1])
    {
      graph_fail_shape (self, "conv", w,
                        _ ("[out, in, (frames,) height, width] with the input's channels"));
      return &self->dummy;
    }
  if (bias != NULL && atl_tensor_n_elems (bias) != w->dim[0])
    {
      graph_fail_shape (self, "conv", bias, _ ("one value per output channel"));
      return &self->dummy;
    }
  x = atl_contiguous (self, as_frames (self, x));
  GRAPH_CHECK (self);
  kernel[0] = w->n_dims == 5 ? w->dim[2] : 1;
  kernel[1] = w->dim[w->n_dims - 2];
  kernel[2] = w->dim[w->n_dims - 1];
  dim[0] = x->dim[0];
  dim[4] = w->dim[0];
  for (guint i = 0; i < 3; i++)
    {
      gint64 stride = MAX (p->stride[i], 1);
      gint64 padded = x->dim[i + 1] + p->pad_before[i] + p->pad_after[i];

      if (padded < kernel[i])
        {
          graph_fail_shape (self, "conv", x, _ ("a picture at least as large as the kernel"));
          return &self->dummy;
        }
      dim[i + 1] = (padded - kernel[i]) / stride + 1;
    }
  if (residual != NULL)
    {
      residual = atl_contiguous (self, as_frames (self, residual));
      GRAPH_CHECK (self);
      for (guint i = 0; i < 5; i++)
        if (residual->dim[i] != dim[i])
          {
            g_autofree char *expected = atl_shape_to_string (5, dim);
            graph_fail_shape (self, "conv residual", residual, expected);
            return &self->dummy;
          }
    }
  node = graph_new_node (self, ATL_OP_CONV, 5, dim);
  node->src[0] = x;
  node->src[1] = w;
  node->src[2] = bias;
  node->src[3] = residual;
  node->p = *p;
  for (guint i = 0; i < 3; i++)
    node->p.stride[i] = MAX (p->stride[i], 1);
  if (n_dims == 5)
    return node->dst;
  return atl_reshape_to (self, node->dst, dim[0], dim[2], dim[3], dim[4]);
}

AtlTensor *
atl_conv (AtlGraph *self,
          AtlTensor *x,
          AtlTensor *w,
          AtlTensor *bias,
          AtlTensor *residual,
          const AtlOpParams *p)
{
  AtlOpParams plain = *p;
  AtlTensor *y;

  if (!graph_has_deltas (w))
    return graph_plain_conv (self, x, w, bias, residual, p);
  plain.act = ATL_ACT_NONE;
  y = graph_changed_product (self, x, w, bias, residual, &plain);
  return p->act != ATL_ACT_NONE ? atl_act (self, p->act, y) : y;
}

AtlTensor *
atl_conv2d (AtlGraph *self, AtlTensor *x, AtlTensor *w, AtlTensor *bias, gint64 stride, gint64 pad)
{
  AtlOpParams p = { .stride = { 1, stride, stride },
                    .pad_before = { 0, pad, pad },
                    .pad_after = { 0, pad, pad } };

  return atl_conv (self, x, w, bias, NULL, &p);
}

AtlTensor *
atl_upsample (AtlGraph *self, AtlTensor *x, gint64 frames, gint64 height, gint64 width)
{
  guint n_dims = x->n_dims;
  AtlNode *node;

  GRAPH_CHECK (self);
  if (n_dims < 4)
    {
      graph_fail_shape (self, "upsample", x, _ ("[batch, (frames,) height, width, channels]"));
      return &self->dummy;
    }
  x = atl_contiguous (self, as_frames (self, x));
  GRAPH_CHECK (self);
  node =
      graph_new_node (self, ATL_OP_UPSAMPLE, 5,
                      (gint64[]){ x->dim[0], n_dims == 5 ? frames : 1, height, width, x->dim[4] });
  node->src[0] = x;
  if (n_dims == 5)
    return node->dst;
  return atl_reshape_to (self, node->dst, x->dim[0], height, width, x->dim[4]);
}
