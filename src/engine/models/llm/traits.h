/* What distinguishes one decoder family from another, as data.
 *
 * A family that these traits can say is one row of the table in traits.c; hparams.c reads the
 * numbers, decoder-weights.c the tensors, decoder-graph.c writes the forward pass from both.
 * Threading: constant data.
 */
#pragma once

#include "engine/tensor/ops.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_NORMS_PRE,      /* x += f(norm(x)) */
  ATL_NORMS_SANDWICH, /* x += post(f(norm(x))) */
  ATL_NORMS_POST,     /* x += post(f(x)) */
} AtlNormPlace;

typedef enum
{
  ATL_QK_NORM_NONE,
  ATL_QK_NORM_HEAD,       /* RMS over each head, weight [head_dim] */
  ATL_QK_NORM_WHOLE,      /* RMS over the whole projection, weight [heads * head_dim] */
  ATL_QK_NORM_LAYER_HEAD, /* layer norm per head, weight [heads, head_dim]; if the tensors are there
                           */
  ATL_QK_NORM_HEAD_OPTIONAL, /* as HEAD, if the tensors are there */
  ATL_QK_NORM_HEAD_AFTER,    /* as HEAD, but of rotated heads */
  ATL_QK_NORM_BARE_AFTER, /* RMS over each rotated head, without weight; not in layers that do not
                           * rotate, nor with 128 experts */
} AtlQkNorm;

/* Which layers see only a window of attention.sliding_window tokens. */
typedef enum
{
  ATL_WINDOW_NONE,
  ATL_WINDOW_ALL,
  ATL_WINDOW_EVEN,    /* layers 0, 2, 4… */
  ATL_WINDOW_5_OF_6,  /* all but every sixth */
  ATL_WINDOW_4_OF_5,  /* all but every fifth */
  ATL_WINDOW_3_OF_4,  /* all but every fourth; if the key is there */
  ATL_WINDOW_PATTERN, /* attention.sliding_window_pattern, one flag a layer; if it is there */
} AtlWindowPattern;

/* What a window is. */
typedef enum
{
  ATL_WINDOW_SLIDES, /* the last W tokens */
  ATL_WINDOW_CHUNKS, /* the tokens with the same position / W */
} AtlWindowKind;

/* Which layers rotate queries and keys. */
typedef enum
{
  ATL_ROTATE_ALL,
  ATL_ROTATE_3_OF_4,        /* none where (il + 1) % 4 == 0 */
  ATL_ROTATE_WINDOWED_ONLY, /* if the model has windows at all */
  ATL_ROTATE_FINETUNED,     /* none if rope.scaling.finetuned is there and false */
  ATL_ROTATE_NONE,
} AtlRotateLayers;

/* Mixers that carry a state from token to token instead of looking back: mixer-*.c. */
typedef enum
{
  ATL_RECURRENT_NONE,
  ATL_RECURRENT_SHORT_CONV, /* gated convolution of LFM2 */
  ATL_RECURRENT_MAMBA2,
  ATL_RECURRENT_DELTA, /* gated delta net of Qwen */
} AtlRecurrentKind;

/* Which layers have them. */
typedef enum
{
  ATL_RECURRENT_ALL,         /* and no layer has attention */
  ATL_RECURRENT_BESIDE,      /* all, and all have attention as well */
  ATL_RECURRENT_BY_KV_HEADS, /* those with attention.head_count_kv 0 in place of attention */
  ATL_RECURRENT_BY_INTERVAL, /* those that attention.recurrent_layers says, or, if it is not there,
                                all but each full_attention_interval-th; the rest have attention */
} AtlRecurrentLayers;

/* Attention and feed-forward both read the residual, where use_parallel_residual says so. */
typedef enum
{
  ATL_PARALLEL_NEVER,
  ATL_PARALLEL_UNLESS_SAID, /* absent: they do */
  ATL_PARALLEL_AS_SAID,     /* the key has to be there */
} AtlParallelKey;

/* Biases that every model of the family has; elsewhere they may be there. */
typedef enum
{
  ATL_BIAS_NORMS = 1 << 0,
  ATL_BIAS_QKV = 1 << 1,
  ATL_BIAS_OUT = 1 << 2, /* of attention's output, where q, k and v have them */
  ATL_BIAS_FFN = 1 << 3,
  ATL_BIAS_EXPERTS = 1 << 4, /* of experts and of their router */
} AtlBiases;

typedef enum
{
  ATL_LOGITS_PLAIN,
  ATL_LOGITS_MULTIPLIED, /* by logit_scale */
  ATL_LOGITS_DIVIDED,    /* by logit_scale */
} AtlLogitScaling;

typedef struct
{
  const char *architecture; /* general.architecture */
  AtlNormKind norm;
  AtlNormPlace norms;
  AtlParallelKey parallel_key;
  guint biases;              /* AtlBiases */
  gboolean ffn_norm_is_post; /* "post_attention_norm" is the name of the norm before feed-forward */

  /* attention */
  gboolean mla; /* latent attention: keys and values are one small vector a token */
  AtlQkNorm qk_norm;
  gboolean sinks;           /* attn_sinks: one more score a head, whose value is nothing */
  gboolean unscaled_scores; /* 1 in place of 1/sqrt(d) */
  gboolean v_norm;          /* RMS over each head of the values, without weight */
  gboolean keys_as_values;  /* full layers may lack attn_v: values are keys before their norm */
  gboolean shared_kv;       /* the last attention.shared_kv_layers have no keys of their own */
  gboolean gated_attention; /* attn_q has a gate behind each head's query: out * sigmoid (gate) */
  gboolean warm_unrotated;  /* queries of layers that do not rotate grow with their position */
  gboolean warm;            /* those of all layers do, if attention.temperature_scale is there */
  guint embd_scale_layers;  /* the size (in layers) with scores scaled by 1/sqrt(D/H); 0 = none */

  /* recurrence */
  AtlRecurrentKind recurrent;
  AtlRecurrentLayers recurrent_layers;
  gboolean fused_rates;       /* DELTA: one tensor ssm_ba, not ssm_beta and ssm_alpha */
  gboolean tiled_keys;        /* DELTA: value head h has key head h % K, not h / (V / K) */
  gboolean ssm_norm_optional; /* MAMBA2: no norm where ssm_norm is missing */
  gboolean lone_sublayers;    /* a layer is a mixer, an attention or a feed-forward alone */

  /* positions */
  AtlRopePairing pairing;
  AtlRotateLayers rotate;
  double swa_rope_base;        /* of windowed layers if the key is absent; 0 = as the others */
  gboolean scaled_windows;     /* scaling of positions holds for windowed layers, too */
  gboolean full_divisors_only; /* rope_freqs does not hold for windowed layers */
  gboolean exact_ramp;         /* ends of YaRN's ramp are not rounded */

  AtlWindowPattern window;
  AtlWindowKind window_kind;
  guint window_default;     /* if the key is absent */
  gboolean window_required; /* it must not be */

  /* feed-forward */
  AtlAct act;
  gboolean no_feed_forward;      /* a layer is its mixer alone */
  gboolean ungated;              /* down(act(up x)), of experts too */
  gboolean fused_gate_up;        /* ffn_up is [2F, D], gate rows first */
  AtlRouteKind route;            /* if the file does not say */
  gboolean route_renorm;         /* if the file does not say */
  gboolean route_by_bias;        /* if the file does not say: sigmoid where exp_probs_b is there */
  gboolean experts_scale_input;  /* experts see weight * x; their sum is plain */
  gboolean dense_beside_experts; /* layers with experts have a dense feed-forward as well, each
                                  * between norms of its own, and a router of the residual */
  gboolean shared_gate;          /* the shared experts' sum * sigmoid (ffn_gate_inp_shexp . x) */
  gboolean choice_bias;          /* exp_probs_b has to be there */
  guint n_shared_experts;        /* if the file does not say */

  /* ends, and beside the layers */
  gboolean per_layer_embedding; /* if embedding_length_per_layer_input is not 0 */
  gboolean streams;             /* gemma3n.c */
  gboolean embed_sqrt;          /* embedding * sqrt(n_embd) */
  double embed_scale;           /* embedding * this, if the file does not say; 0 = 1 */
  double residual_depth;        /* residuals * this / sqrt(layers), likewise */
  double logits_width;          /* logits * this / n_embd, likewise */
  AtlLogitScaling logits;
  const char *output_norm; /* (nullable) its name, where that is not "output_norm" */
} AtlLlmTraits;

/* NULL if no row has that name. */
const AtlLlmTraits *atl_llm_traits_find (const char *architecture);

G_END_DECLS
