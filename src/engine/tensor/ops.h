/* The op vocabulary: what a graph node can compute. Fusion lives here, not in a pattern matcher.
 *
 * Every op is defined below by its formula; the plain C in cpu/ref-*.c is the definition in code
 * and every fast or GPU variant is tested against it. All arithmetic is float32 unless a backend's
 * precision setting says otherwise. `n` rows means: all leading dimensions collapsed. "f32 rows"
 * means innermost stride 1 and one row stride; the builder inserts copies where that does not hold.
 *
 * Threading: any; numbers, and plain structs of their owners.
 */
#pragma once

#include "engine/tensor/tensor.h"

G_BEGIN_DECLS

#define ATL_NODE_MAX_SRC 10

typedef enum
{
  /* dst[n, dim] = W[ids[n]] * a.           src: W (ROWS use), ids i32 [n...] */
  ATL_OP_EMBED,

  /* Products with 1 to 3 weights that share the input x, results side by side along the last
   * dimension: dst[n, sum(out_i)] = act(x W_i^T + b_i) * a + residual.
   * gated (n_weights == 2, equal out): dst[n, out] = act(x W_0^T + b_0) * f(x W_1^T + b_1) +
   * residual, f = atl_act_of_factor (act), mostly none. src: x f32 rows [.., in]; W0 W1 W2 [out_i,
   * in]; b0 b1 b2 f32 (nullable); residual (nullable, f32 rows of dst's shape; may be the same
   * memory as dst). */
  ATL_OP_LINEAR,

  /* The same with per-token experts: W_i is [n_experts, out, in], ids i32 [n, k].
   * x is [n, in] (each token once) or [n, k, in]; dst[n, k, out].  gated as above. Biases
   * [n_experts, out]. src: x, W0, W1 (gated), b0, b1, ids.  */
  ATL_OP_EXPERT_LINEAR,

  /* dst[n, i] = x[n, order[i]]; or, with ids i32 [n, k] of experts,
   * dst[n, k, i] = x[n, order[ids[n, k], i]], x being [n, in] or [n, k, in]. What puts inputs into
   * the order of a weight's columns (AtlWeight.order). src: x f32 rows, order [in] or
   * [experts, in] (a VECTOR weight: whole numbers in 0 … in - 1), ids (nullable) */
  ATL_OP_REORDER,

  /* Router. p = softmax or sigmoid of logits[n, E] (f32); selection by p (+ bias when given,
   * selection only; with groups: keep the best `n_groups_used` of `n_groups` by the sum of the best
   * two, or by the best one if group_by_best); the k largest, ties to the lower index, in
   * descending order; weights = p of the chosen, divided by their sum when renorm; * scale.
   * SOFTMAX_AFTER, SIGMOID_AFTER: p = logits; softmax over the k chosen, sigmoid of each.
   * src: logits, bias (nullable).  dst: weights f32 [n, k]; dst2: ids i32 [n, k] */
  ATL_OP_ROUTE,

  /* dst[n, dim] = sum_k weights[n, k] * x[n, k, dim] + residual.  src: x, weights, residual
     (nullable) */
  ATL_OP_EXPERT_SUM,

  /* Over the last dimension of f32 rows:
   * RMS: x / sqrt(mean(x^2) + eps); LAYER: (x - mean) / sqrt(var + eps) (population); L2: x /
   * max(|x|_2, eps) * a. then * weight + bias (each nullable, [dim] or [heads, dim] with x [..,
   * heads, dim]), then * (1 + scale) + shift (nullable; f32 [m, dim] with n % m == 0: row r uses
   * row r / (n / m); m == n: one each). src: x, weight, bias, scale, shift */
  ATL_OP_NORM,

  /* x [batch, ..., channels]: groups of channels normalised over everything but the batch,
   * * weight + bias, then act. src: x (contiguous), weight, bias */
  ATL_OP_GROUP_NORM,

  /* x [.., tokens, heads, head_dim], table f32 [tokens, n_rot]: cos in the first half of a row, sin
   * in the second. NEIGHBOURS rotates (x[2i], x[2i+1]), HALVES (x[i], x[i + n_rot/2]); components
   * past n_rot are copied. Leading dimensions repeat the table. src: x (innermost stride 1), table
   */
  ATL_OP_ROPE,

  /* state[ids[i], ...] = x[i, ...] converted to the state's dtype; ids outside the state are a
   * programmer's mistake. dst is the state itself. src: x f32 rows [n, row], ids i32 [n], state */
  ATL_OP_STORE_ROWS,

  /* dst[b, i, h, :] = sum_j softmax_j(score) v[b, j, h', :],  h' = h / (H / Kh),
   * score_j = cap(scale * q[b, i, h] . k[b, j, h']) + bias[b|0, h|0, i, j],  cap(s) = softcap ?
   * softcap * tanh(s / softcap) : s over j in [ranges[i,0], ranges[i,1]) (all when NULL; an empty
   * range gives zeros). With sinks[h]: one more logit in the softmax whose value is nothing. q [B,
   * Tq, H, D]; k [B, Tk, Kh, D]; v [B, Tk, Kh, Dv]; f32, k and v also f16, q8_0, q4_0 states;
   * innermost stride 1, other strides free. ranges i32 [Tq, 2] or [B, Tq, 2]. dst f32 [B, Tq, H,
   * Dv] contiguous. src: q, k, v, ranges, bias f32 [B|1, H|1, Tq, Tk], sinks [H] */
  ATL_OP_ATTENTION,

  /* dst = a op b with numpy broadcasting (trailing dimensions aligned), any strides. src: a, b */
  ATL_OP_BINARY,

  /* dst = act(x * a + b), any strides. src: x */
  ATL_OP_UNARY,

  /* x [.., 2h] f32 rows: dst[.., h] = act(x[:h]) * f(x[h:]), f as in LINEAR; gate_second:
   * f(x[:h]) * act(x[h:]). src: x */
  ATL_OP_GLU,

  /* dst (contiguous) = x (any strides), dtype converted between f32, f16, i32 as dst says. src: x
   */
  ATL_OP_COPY,

  /* Along dimension `axis`; any strides. src: 1 to ATL_NODE_MAX_SRC tensors */
  ATL_OP_CONCAT,

  /* Convolution, channels last: x [B, F, H, W, Cin] contiguous, W [Cout, Cin, kf, kh, kw] (file
   * order; 4-D weights: kf = 1), zero padding pad_before/pad_after per (frame, row, column),
   * stride; then + bias[Cout], act, + residual (dst's shape). dst [B, F', H', W', Cout], F' = (F +
   * before + after - kf) / stride + 1. Cross-correlation as in PyTorch. src: x, W, bias, residual
   */
  ATL_OP_CONV,

  /* Nearest neighbour to the size of dst: x [B, F, H, W, C] -> [B, F', H', W', C],
   * source index = floor(i * in / out). src: x contiguous */
  ATL_OP_UPSAMPLE,

  /* The recurrent ops carry a state from one run to the next. It is kept in slots, [n, ...] with
   * i32 slots[2] = { from, to } naming which one is read and which one is written; from == to works
   * in place, from < 0 means zeros; other slots stay as they are, so that a slot is a checkpoint
   * and a run that fails leaves `from` whole. Indices outside the state are a programmer's mistake.
   * Of tensors written [T, heads, dim] only the token stride is free.
   *
   * Causal depthwise convolution of width K over tokens:
   * dst[t, c] = act(sum_j w[c, j] x[t - (K - 1) + j, c] + bias[c]), where the K - 1 rows before
   * the first token are the state's; after it they are the last K - 1 rows of state and x together.
   * src: x f32 rows [T, C], w [C, K], bias [C] (nullable), state f32 [n, K - 1, C], slots */
  ATL_OP_CAUSAL_CONV,

  /* Selective scan (Dao & Gu 2024, "Transformers are SSMs", Mamba-2), token by token, for head h of
   * group g = h / (H / G) with state S [N, P]:
   * dt = softplus(dt[t, h] + dt_bias[h]); S = exp(dt a[h]) S + (dt b[t, g]) x[t, h]^T;
   * dst[t, h] = S^T c[t, g] + d[h] x[t, h].
   * src: x [T, H, P], b [T, G, N], c [T, G, N], dt f32 rows [T, H], dt_bias [H] (nullable), a [H],
   * d [H] (nullable), state f32 [n, H, N, P], slots.  dst [T, H, P] */
  ATL_OP_SSM_SCAN,

  /* Gated delta rule (Yang et al. 2024, "Gated Delta Networks"), token by token, for value head h
   * with key head m = tiled ? h % K : h / (V / K) and state S [Dk, Dv]:
   * k' = k[t, m] / sqrt(|k|^2 + eps); q' = scale q[t, m] / sqrt(|q|^2 + eps);
   * S = exp(a[h] softplus(alpha[t, h] + dt_bias[h])) S;
   * S = S + k' (sigmoid(beta[t, h]) (v[t, h] - S^T k'))^T; dst[t, h] = S^T q'.
   * src: q [T, K, Dk], k [T, K, Dk], v [T, V, Dv], alpha f32 rows [T, V], beta f32 rows [T, V],
   * a [V], dt_bias [V] (nullable), state f32 [n, V, Dk, Dv], slots.  dst [T, V, Dv] */
  ATL_OP_DELTA_RULE,

  ATL_N_OPS
} AtlOp;

typedef enum
{
  ATL_ACT_NONE,
  ATL_ACT_SILU,
  ATL_ACT_GELU_TANH,  /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), float32, no table */
  ATL_ACT_GELU_ERF,   /* 0.5 x (1 + erf(x / sqrt 2)) */
  ATL_ACT_GELU_QUICK, /* x sigmoid(1.702 x) */
  ATL_ACT_RELU,
  ATL_ACT_RELU_SQUARED, /* max(x, 0)^2 */
  ATL_ACT_SIGMOID,
  ATL_ACT_TANH,
  ATL_ACT_EXP,
  ATL_ACT_ABS,
  ATL_ACT_SQUARE,
  ATL_ACT_SQRT,
  ATL_ACT_SOFTPLUS,
  /* OpenAI's gpt-oss: x sigmoid(1.702 x) of min(x, 7). Where it gates, the other factor is
   * CLAMPED_PLUS_ONE of itself: clamp(x, -7, 7) + 1. */
  ATL_ACT_CLAMPED_QUICK,
  ATL_ACT_CLAMPED_PLUS_ONE,
  ATL_ACT_LEAKY_RELU, /* max(x, 0.2 x) */
  ATL_N_ACTS
} AtlAct;

/* What happens to the other factor of a product that `gate` gates. */
static inline AtlAct
atl_act_of_factor (AtlAct gate)
{
  return gate == ATL_ACT_CLAMPED_QUICK ? ATL_ACT_CLAMPED_PLUS_ONE : ATL_ACT_NONE;
}

typedef enum
{
  ATL_NORM_RMS,
  ATL_NORM_LAYER,
  ATL_NORM_L2
} AtlNormKind;
typedef enum
{
  ATL_ROPE_NEIGHBORS,
  ATL_ROPE_HALVES
} AtlRopePairing;
typedef enum
{
  ATL_ADD,
  ATL_SUB,
  ATL_MUL,
  ATL_DIV,
  ATL_MIN,
  ATL_MAX
} AtlBinary;
typedef enum
{
  ATL_ROUTE_SOFTMAX,
  ATL_ROUTE_SIGMOID,
  ATL_ROUTE_SOFTMAX_AFTER,
  ATL_ROUTE_SIGMOID_AFTER
} AtlRouteKind;

/* Slots of src[] by op. */
enum
{
  ATL_LINEAR_X = 0,
  ATL_LINEAR_W0 = 1,
  ATL_LINEAR_B0 = 4,
  ATL_LINEAR_RESIDUAL = 7
};
enum
{
  ATL_EXPERT_X = 0,
  ATL_EXPERT_W0 = 1,
  ATL_EXPERT_B0 = 3,
  ATL_EXPERT_IDS = 5
};

enum
{
  ATL_CAUSAL_CONV_X = 0,
  ATL_CAUSAL_CONV_W,
  ATL_CAUSAL_CONV_BIAS,
  ATL_CAUSAL_CONV_STATE,
  ATL_CAUSAL_CONV_SLOTS
};
enum
{
  ATL_SSM_X = 0,
  ATL_SSM_B,
  ATL_SSM_C,
  ATL_SSM_DT,
  ATL_SSM_DT_BIAS,
  ATL_SSM_A,
  ATL_SSM_D,
  ATL_SSM_STATE,
  ATL_SSM_SLOTS
};
enum
{
  ATL_DELTA_Q = 0,
  ATL_DELTA_K,
  ATL_DELTA_V,
  ATL_DELTA_ALPHA,
  ATL_DELTA_BETA,
  ATL_DELTA_A,
  ATL_DELTA_DT_BIAS,
  ATL_DELTA_STATE,
  ATL_DELTA_SLOTS
};

typedef struct
{
  AtlAct act;
  guint n_weights;      /* LINEAR, EXPERT_LINEAR */
  gboolean gated;       /* LINEAR, EXPERT_LINEAR */
  gboolean gate_second; /* GLU */
  float a, b;           /* UNARY, LINEAR (a, default 1), EMBED (a), L2 norm (a) */
  float eps;            /* norms, DELTA_RULE */
  float scale;          /* ATTENTION, ROUTE, DELTA_RULE */
  float softcap;        /* ATTENTION; 0 = none */
  AtlNormKind norm;
  AtlRopePairing pairing;
  gint64 n_rot;
  AtlBinary binary;
  AtlRouteKind route;
  gboolean renorm;
  gint64 n_groups, n_groups_used;                /* ROUTE; 0 = none */
  gboolean group_by_best;                        /* ROUTE */
  gint64 groups;                                 /* GROUP_NORM */
  guint axis;                                    /* CONCAT */
  gint64 stride[3], pad_before[3], pad_after[3]; /* CONV: frame, row, column */
  gboolean tiled;                                /* DELTA_RULE */
} AtlOpParams;

struct _AtlNode
{
  AtlOp op;
  AtlTensor *src[ATL_NODE_MAX_SRC];
  AtlTensor *dst;
  AtlTensor *dst2; /* (nullable) ROUTE */
  AtlOpParams p;
  AtlBackend *backend; /* written by the planner */
};

/* "linear", for messages and profiles; static. */
const char *atl_op_name (AtlOp op);
/* Multiplications with an addition that a product, an attention or a convolution takes; else 0. */
double atl_node_products (const AtlNode *node);
/* TRUE if the op changes a state among its sources, so that it can only run where that lives. */
gboolean atl_op_writes_state (AtlOp op);

G_END_DECLS
