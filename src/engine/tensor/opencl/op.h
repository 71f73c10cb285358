/* Inside the folder: what one op family's host file offers. One host file per kernel file.
 *
 * Threading: as backend.h.
 */
#pragma once

#include "engine/tensor/opencl/programs.h"
#include "engine/tensor/opencl/weight.h"

G_BEGIN_DECLS

typedef struct
{
  /* Judges dtypes, strides, sizes and uses; weights need not be uploaded yet. */
  gboolean (*supports) (const AtlOpencl *cl, const AtlNode *node);
  /* (nullable) none */
  gsize (*scratch_bytes) (const AtlOpencl *cl, const AtlNode *node);
  /* Launches; adds its arithmetic to cl->n_flops. */
  gboolean (*run) (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error);
} AtlClOp;

extern const AtlClOp atl_cl_op_embed, atl_cl_op_linear, atl_cl_op_expert_linear; /* linear.c */
extern const AtlClOp atl_cl_op_conv;                                             /* conv.c */
extern const AtlClOp atl_cl_op_attention;                                        /* attention.c */
extern const AtlClOp atl_cl_op_norm, atl_cl_op_group_norm;                       /* norm.c */
extern const AtlClOp atl_cl_op_rope, atl_cl_op_store_rows, atl_cl_op_reorder;    /* rows.c */
extern const AtlClOp atl_cl_op_causal_conv, atl_cl_op_recurrence;                /* recurrent.c */
extern const AtlClOp atl_cl_op_route, atl_cl_op_expert_sum;                      /* route.c */
extern const AtlClOp atl_cl_op_binary, atl_cl_op_unary, atl_cl_op_glu, atl_cl_op_copy,
    atl_cl_op_concat, atl_cl_op_upsample; /* elementwise.c */

/* Operands as ops see them: a float32 value, input, state or VECTOR weight; NULL is TRUE. */
gboolean atl_cl_is_float (const AtlTensor *t);
/* The same for indices. */
gboolean atl_cl_is_index (const AtlTensor *t);
/* Float rows: innermost stride 1 and one row stride (elements). */
gboolean atl_cl_is_rows (const AtlTensor *t, gint64 *n_rows, gint64 *row_stride);
/* A weight with this use, seen whole (views of weights keep the innermost dimension). */
gboolean atl_cl_is_weight (const AtlTensor *t, AtlWeightUse use);
/* Sizes that kernels keep in 32 bits. */
gboolean atl_cl_fits (gint64 size);

G_END_DECLS
