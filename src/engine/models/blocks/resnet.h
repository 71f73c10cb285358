/* The residual block of UNets and autoencoders, channels last:
 *
 *   x + conv2(silu(norm2(conv1(silu(norm1(x))) + temb_proj(silu(temb)))))
 *
 * where x goes through a 1x1 convolution if widths differ. Source: diffusers 0.42.1 ResnetBlock2D.
 *
 * Threading: as the graph's.
 */
#pragma once

#include "engine/models/blocks/source.h"
#include "engine/tensor/graph.h"

G_BEGIN_DECLS

typedef struct
{
  AtlAffine norm1, conv1, temb, norm2, conv2, shortcut; /* temb, shortcut nullable */
} AtlResnet;

/* Names under `prefix`: norm1, conv1, time_emb_proj, norm2, conv2, conv_shortcut. temb_dim 0:
 * without time. */
void atl_resnet_init (
    AtlResnet *self, AtlSource *source, gint64 in, gint64 out, gint64 temb_dim, const char *prefix);

/* x [B, H, W, in] -> [B, H, W, out]; temb [B, temb_dim], already through SiLU (nullable). */
AtlTensor *atl_resnet (
    AtlGraph *g, const AtlResnet *self, AtlTensor *x, AtlTensor *temb, gint64 groups, float eps);

/* x W^T + b over the last dimension, of an affine pair. */
AtlTensor *atl_apply (AtlGraph *g, AtlTensor *x, const AtlAffine *a);
/* The same, then an activation. */
AtlTensor *atl_apply_act (AtlGraph *g, AtlTensor *x, const AtlAffine *a, AtlAct act);

#define ATL_APPLY_MAX 4
/* n (at most ATL_APPLY_MAX) of one input. */
void atl_apply_multi (AtlGraph *g, AtlTensor *x, guint n, const AtlAffine *a, AtlTensor **y);
/* act (gate (x)) * up (x) */
AtlTensor *
atl_apply_gated (AtlGraph *g, AtlTensor *x, const AtlAffine *gate, const AtlAffine *up, AtlAct act);

/* A 3x3 convolution of each picture or frame with a rim of zeros: x [B, (F,) H, W, in] ->
 * [B, (F,) H / stride, W / stride, out], plus `residual` (nullable), through `act`. */
AtlTensor *atl_conv3 (
    AtlGraph *g, AtlTensor *x, const AtlAffine *a, gint64 stride, AtlTensor *residual, AtlAct act);

G_END_DECLS
