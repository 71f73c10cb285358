/* What the files of the graph builder share. Not for anybody else. */
#pragma once

#include "engine/tensor/graph.h"

struct _AtlGraph
{
  GPtrArray *tensors; /* (owned) AtlTensor */
  GPtrArray *nodes;   /* (owned) AtlNode */
  GHashTable *names;  /* char* (interned) -> AtlTensor, inputs and outputs */
  GError *error;      /* (nullable) the first mistake */
  AtlTensor dummy;    /* what calls return after a mistake */
};

/* A contiguous tensor of the given kind. */
AtlTensor *graph_new_tensor (
    AtlGraph *self, AtlTensorKind kind, AtlDType dtype, guint n_dims, const gint64 *dim);
/* A node with an f32 result of this shape; src are set by the caller. */
AtlNode *graph_new_node (AtlGraph *self, AtlOp op, guint n_dims, const gint64 *dim);
AtlTensor *graph_new_view (AtlGraph *self, AtlTensor *t);
/* `t` as f32 rows with one row stride; inserts a copy where needed. */
AtlTensor *graph_as_rows (AtlGraph *self, AtlTensor *t);
/* Records "op: what (name: found, expected)". */
void graph_fail_shape (AtlGraph *self, const char *op, const AtlTensor *t, const char *expected);
gboolean graph_same_shape (const AtlTensor *a, guint n_dims, const gint64 *dim);
/* Vectors may come as [n], [1, n], [n, 1, 1]…: only the count matters. NULL is fine; otherwise
 * records a mistake. */
gboolean graph_check_vector (AtlGraph *self, const char *op, AtlTensor *t, gint64 n);
/* x W^T + b + residual, and with `p` a convolution, of weights as they are. */
AtlTensor *graph_plain_product (AtlGraph *self,
                                AtlTensor *x,
                                AtlTensor *w,
                                AtlTensor *bias,
                                AtlTensor *residual,
                                const AtlOpParams *p);
AtlTensor *graph_plain_conv (AtlGraph *self,
                             AtlTensor *x,
                             AtlTensor *w,
                             AtlTensor *bias,
                             AtlTensor *residual,
                             const AtlOpParams *p);
/* graph-deltas.c: whether anything is to be added to the weight, and something that is not only
 * added. */
gboolean graph_has_deltas (const AtlTensor *w);
gboolean graph_has_gains (const AtlTensor *w);
/* y + what is added to the weight, where there are no gains. */
AtlTensor *graph_add_deltas (
    AtlGraph *self, AtlTensor *x, AtlTensor *w, float a, const AtlOpParams *p, AtlTensor *y);
/* As graph_plain_product() with all that is added to the weight; p->act is left out. */
AtlTensor *graph_changed_product (AtlGraph *self,
                                  AtlTensor *x,
                                  AtlTensor *w,
                                  AtlTensor *bias,
                                  AtlTensor *residual,
                                  const AtlOpParams *p);
/* The name of a weight or input, or "a computed value". */
const char *graph_label (const AtlTensor *t);

#define GRAPH_CHECK(self)                                                                          \
  G_STMT_START                                                                                     \
  {                                                                                                \
    if ((self)->error != NULL)                                                                     \
      return &(self)->dummy;                                                                       \
  }                                                                                                \
  G_STMT_END
