/* Describing a forward pass.
 *
 * Model code calls one function per op; shapes and dtypes are checked as it is described. The first
 * mistake is remembered (it names the op, the weights and the shapes); every later call returns
 * a harmless tensor, and atl_plan_new reports the error: forward passes need no error checks
 * of their own.
 *
 *   AtlGraph *g = atl_graph_new ();
 *   AtlTensor *x = atl_embed (g, atl_weight (g, m->token_embd), ids, 1.0f);
 *   AtlTensor *n = atl_norm (g, ATL_NORM_RMS, x, atl_weight (g, l->attn_norm), NULL, eps);
 *   x = atl_linear_add (g, atl_attention (...), atl_weight (g, l->wo), NULL, x);
 *   atl_graph_output (g, x, "logits");
 *
 * All returned tensors belong to the graph. Nullable arguments say so. Shapes are written outermost
 * first. Threading: one thread at a time.
 */
#pragma once

#include "engine/tensor/ops.h"

G_BEGIN_DECLS

AtlGraph *atl_graph_new (void);
void atl_graph_free (AtlGraph *self);
/* The first mistake, or NULL. Borrowed. */
const GError *atl_graph_error (const AtlGraph *self);
/* Records a mistake of the model code itself (first one wins). */
void atl_graph_fail (AtlGraph *self, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* --- Leaves --- */

/* Host-written before each run. dtype f32 or i32. `name` is unique in the graph. */
AtlTensor *
atl_graph_input (AtlGraph *self, const char *name, AtlDType dtype, guint n_dims, const gint64 *dim);
/* A weight; NULL in gives NULL out, so that optional weights need no special case. */
AtlTensor *atl_weight (AtlGraph *self, AtlWeight *weight);
/* What a state (backend.h) holds when the run begins; ops that store write to it in place. */
AtlTensor *atl_state (AtlGraph *self, AtlState *state);
/* Marks (and if it is a view, copies) a tensor to be read after the run; returns it. */
AtlTensor *atl_graph_output (AtlGraph *self, AtlTensor *t, const char *name);

/* --- Views: no data moves (a reshape that needs it inserts a copy) --- */

AtlTensor *atl_reshape (AtlGraph *self,
                        AtlTensor *t,
                        guint n_dims,
                        const gint64 *dim); /* one -1 is inferred */
#define atl_reshape_to(g, t, ...)                                                                  \
  atl_reshape ((g), (t), sizeof ((gint64[]){ __VA_ARGS__ }) / sizeof (gint64),                     \
               (gint64[]){ __VA_ARGS__ })
/* New dimension i is old dimension axes[i]. */
AtlTensor *atl_permute (AtlGraph *self, AtlTensor *t, const guint *axes);
#define atl_permute_to(g, t, ...) atl_permute ((g), (t), (guint[]){ __VA_ARGS__ })
/* Indices start to start + n - 1 of `axis`. */
AtlTensor *atl_slice (AtlGraph *self, AtlTensor *t, guint axis, gint64 start, gint64 n);
/* Contiguous version: `t` itself or a copy. */
AtlTensor *atl_contiguous (AtlGraph *self, AtlTensor *t);

/* --- Ops; formulas in ops.h --- */

AtlTensor *atl_embed (AtlGraph *self, AtlTensor *w, AtlTensor *ids, float scale);
AtlTensor *atl_linear (AtlGraph *self, AtlTensor *x, AtlTensor *w, AtlTensor *bias);
AtlTensor *atl_linear_act (AtlGraph *self, AtlTensor *x, AtlTensor *w, AtlTensor *bias, AtlAct act);
/* x W^T + b + residual */
AtlTensor *
atl_linear_add (AtlGraph *self, AtlTensor *x, AtlTensor *w, AtlTensor *bias, AtlTensor *residual);
/* (x W^T + b) * a + residual (nullable) */
AtlTensor *atl_linear_scaled_add (
    AtlGraph *self, AtlTensor *x, AtlTensor *w, AtlTensor *bias, float a, AtlTensor *residual);
/* y and what AtlWeight.deltas add to the product of x with a weight that is not used itself; none
 * of them has a gain. */
AtlTensor *atl_linear_deltas (AtlGraph *self, AtlTensor *x, const AtlWeight *w, AtlTensor *y);
/* Two or three products of one input, returned as views of one tensor [.., out_i]. Biases nullable.
 */
void atl_linear_multi (AtlGraph *self,
                       AtlTensor *x,
                       guint n,
                       AtlTensor *const *w,
                       AtlTensor *const *bias,
                       AtlTensor **out);
/* act(x Wg^T + bg) * (x Wu^T + bu) */
AtlTensor *atl_linear_gated (AtlGraph *self,
                             AtlTensor *x,
                             AtlTensor *w_gate,
                             AtlTensor *b_gate,
                             AtlTensor *w_up,
                             AtlTensor *b_up,
                             AtlAct act);

/* The inputs of a product in the order of its weight's columns; ids nullable. The products below
 * and above do it by themselves, once for all that share an input and an order. */
AtlTensor *atl_reorder (AtlGraph *self, AtlTensor *x, AtlTensor *order, AtlTensor *ids);

/* logits [n, E] -> *weights [n, k], *ids [n, k]; p from zeroed params: route, renorm, scale (0 =
 * 1), n_groups… */
void atl_route (AtlGraph *self,
                AtlTensor *logits,
                AtlTensor *bias,
                gint64 k,
                const AtlOpParams *p,
                AtlTensor **weights,
                AtlTensor **ids);
AtlTensor *
atl_expert_linear (AtlGraph *self, AtlTensor *x, AtlTensor *w, AtlTensor *bias, AtlTensor *ids);
AtlTensor *atl_expert_gated (AtlGraph *self,
                             AtlTensor *x,
                             AtlTensor *w_gate,
                             AtlTensor *b_gate,
                             AtlTensor *w_up,
                             AtlTensor *b_up,
                             AtlAct act,
                             AtlTensor *ids);
AtlTensor *atl_expert_sum (AtlGraph *self, AtlTensor *x, AtlTensor *weights, AtlTensor *residual);

AtlTensor *atl_norm (
    AtlGraph *self, AtlNormKind kind, AtlTensor *x, AtlTensor *weight, AtlTensor *bias, float eps);
/* norm(x) * (1 + scale) + shift; weight, bias nullable. */
AtlTensor *atl_norm_modulated (AtlGraph *self,
                               AtlNormKind kind,
                               AtlTensor *x,
                               AtlTensor *weight,
                               AtlTensor *bias,
                               float eps,
                               AtlTensor *scale,
                               AtlTensor *shift);
/* x / max(|x|, eps) * a * weight */
AtlTensor *atl_norm_l2 (AtlGraph *self, AtlTensor *x, AtlTensor *weight, float eps, float a);
AtlTensor *atl_group_norm (AtlGraph *self,
                           AtlTensor *x,
                           AtlTensor *weight,
                           AtlTensor *bias,
                           gint64 groups,
                           float eps,
                           AtlAct act);

AtlTensor *atl_rope (AtlGraph *self, AtlTensor *x, AtlTensor *table, AtlRopePairing pairing);
AtlTensor *atl_store_rows (AtlGraph *self, AtlTensor *state, AtlTensor *x, AtlTensor *ids);
/* q [.., Tq, H, D] etc. with 3 or 4 dimensions (B = 1 when 3). Result has q's number of dimensions.
 * ranges, bias, sinks nullable. scale 0 means 1/sqrt(D). Reading a state here sees earlier
 * atl_store_rows of the graph. */
AtlTensor *atl_attention (AtlGraph *self,
                          AtlTensor *q,
                          AtlTensor *k,
                          AtlTensor *v,
                          AtlTensor *ranges,
                          AtlTensor *bias,
                          AtlTensor *sinks,
                          float scale,
                          float softcap);

/* The recurrent ops; `slots` i32 [2] says which slot of the state is read and which is written. The
 * tensors of each op are named in ops.h. */
AtlTensor *atl_causal_conv (AtlGraph *self,
                            AtlTensor *x,
                            AtlTensor *w,
                            AtlTensor *bias,
                            AtlAct act,
                            AtlTensor *state,
                            AtlTensor *slots);
/* dt_bias and d nullable. */
AtlTensor *atl_ssm_scan (AtlGraph *self,
                         AtlTensor *x,
                         AtlTensor *b,
                         AtlTensor *c,
                         AtlTensor *dt,
                         AtlTensor *dt_bias,
                         AtlTensor *a,
                         AtlTensor *d,
                         AtlTensor *state,
                         AtlTensor *slots);
/* dt_bias nullable; scale 0 means 1/sqrt(Dk). */
AtlTensor *atl_delta_rule (AtlGraph *self,
                           AtlTensor *q,
                           AtlTensor *k,
                           AtlTensor *v,
                           AtlTensor *alpha,
                           AtlTensor *beta,
                           AtlTensor *a,
                           AtlTensor *dt_bias,
                           gboolean tiled,
                           float eps,
                           float scale,
                           AtlTensor *state,
                           AtlTensor *slots);

AtlTensor *atl_binary (AtlGraph *self, AtlBinary op, AtlTensor *a, AtlTensor *b);
#define atl_add(g, a, b) atl_binary ((g), ATL_ADD, (a), (b))
#define atl_sub(g, a, b) atl_binary ((g), ATL_SUB, (a), (b))
#define atl_mul(g, a, b) atl_binary ((g), ATL_MUL, (a), (b))
/* Of every number, in x's shape. */
AtlTensor *atl_act (AtlGraph *self, AtlAct act, AtlTensor *x);
/* x * a + b */
AtlTensor *atl_affine (AtlGraph *self, AtlTensor *x, float a, float b);
/* x [..., 2 n], gate and value side by side (`gate_second`: value first), to [..., n]. */
AtlTensor *atl_glu (AtlGraph *self, AtlTensor *x, AtlAct act, gboolean gate_second);
/* Parts of the same shape but for `axis`. */
AtlTensor *atl_concat (AtlGraph *self, guint axis, guint n, AtlTensor *const *parts);

/* x [B, H, W, C] with a 4-D weight, or [B, F, H, W, C] with a 5-D (or 4-D: every frame alone)
 * weight; result has x's number of dimensions. p from zeroed params: stride (0 = 1), pad_before,
 * pad_after, act. bias, residual nullable. */
AtlTensor *atl_conv (AtlGraph *self,
                     AtlTensor *x,
                     AtlTensor *w,
                     AtlTensor *bias,
                     AtlTensor *residual,
                     const AtlOpParams *p);
/* Square kernel conveniences: padding on all sides, stride. */
AtlTensor *
atl_conv2d (AtlGraph *self, AtlTensor *x, AtlTensor *w, AtlTensor *bias, gint64 stride, gint64 pad);
/* To the given size; F ignored for 4-D x. */
AtlTensor *atl_upsample (AtlGraph *self, AtlTensor *x, gint64 frames, gint64 height, gint64 width);

/* --- For the planner and backends --- */

guint atl_graph_n_nodes (const AtlGraph *self);
AtlNode *atl_graph_node (const AtlGraph *self, guint i);
guint atl_graph_n_tensors (const AtlGraph *self);
AtlTensor *atl_graph_tensor (const AtlGraph *self, guint i);
AtlTensor *atl_graph_find (const AtlGraph *self, const char *name); /* input or output; nullable */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlGraph, atl_graph_free)

G_END_DECLS
