/* The decoder's weights and forward pass; shared by the files of this folder only.
 *
 * Specification (names are GGUF's; shapes [out, in]; D n_embd, H heads, K kv heads, d head_dim, F
 * n_ff, E experts):
 *
 *   x = token_embd[ids] * embed_scale
 *   per layer:
 *     a = attention(norm(x))                 or a recurrent mixer, or both
 *     x = x + residual_scale * a
 *     f = down(act(gate n) * (up n))         n = norm(x); or experts, or down(act(up n))
 *     x = x + residual_scale * f
 *   logits = cap(output . output_norm(x)) * logit_scale
 *
 * Norms sit where the traits say. No ffn_norm tensor: attention and feed-forward both read the
 * first norm (parallel residual).
 *
 * Threading: immutable once read; describing a pass is as the graph's.
 */
#pragma once

#include "engine/models/llm/hparams.h"
#include "engine/models/llm/llm.h"
#include "engine/tensor/graph.h"

G_BEGIN_DECLS

typedef struct
{
  AtlWeight *attn_norm, *attn_norm_b;               /* [D] */
  AtlWeight *wq, *wk, *wv, *wo;                     /* [H*d, D] [K*d, D] [K*dv, D] [D, H*dv] */
  AtlWeight *bq, *bk, *bv, *bo;                     /* (nullable) */
  AtlWeight *q_norm, *k_norm;                       /* (nullable) */
  AtlWeight *sinks;                                 /* (nullable) [H] */
  AtlWeight *post_attn_norm;                        /* (nullable) [D] */
  AtlWeight *ffn_norm, *ffn_norm_b;                 /* (nullable) [D] */
  AtlWeight *gate, *up, *down;                      /* [F, D] [F, D] [D, F]; gate nullable */
  AtlWeight *gate_b, *up_b, *down_b;                /* (nullable) */
  AtlWeight *post_ffn_norm;                         /* (nullable) [D] */
  AtlWeight *router, *router_b, *choice_b;          /* [E, D] [E] [E], with experts only */
  AtlWeight *gate_exps, *up_exps, *down_exps;       /* [E, F, D] [E, F, D] [E, D, F] */
  AtlWeight *gate_exps_b, *up_exps_b, *down_exps_b; /* (nullable) [E, F] [E, F] [E, D] */
  AtlWeight *shared_router;                         /* (nullable) [1, D] */
  AtlWeight *gate_shared, *up_shared, *down_shared; /* (nullable) */
  /* Recurrent mixers: what each tensor is to which mixer is said in mixer-*.c. */
  AtlWeight *mix_in, *mix_out;
  AtlWeight *mix_gate, *mix_rates, *mix_alpha, *mix_beta; /* (nullable) */
  AtlWeight *mix_conv, *mix_conv_b;                       /* [channels, taps]; (nullable) */
  AtlWeight *mix_a, *mix_d, *mix_dt_b, *mix_norm;         /* (nullable) */
  /* Latent attention, L kv_lora, R n_rope: wq is [H*(nope+R), Q or D], wo [D, H*dv]. */
  AtlWeight *wq_a, *q_a_norm;   /* (nullable) [Q, D] [Q] */
  AtlWeight *wkv_a, *kv_a_norm; /* [L + R, D] [L] */
  AtlWeight *k_b, *v_b;         /* [H, L, nope] [H, dv, L] */
  AtlWeight *kv_b;              /* (nullable) what they are made from */
  /* Gemma 4 and 3n; P is n_embd_per_layer, N n_streams. */
  AtlWeight *latent_down, *latent_up;           /* (nullable) [L, D] [D, L] */
  AtlWeight *gate_up_exps;                      /* [E, 2F, D] in place of gate_exps and up_exps */
  AtlWeight *router_scale, *expert_scale;       /* [D] [E, 1] */
  AtlWeight *dense_post_norm;                   /* [D] */
  AtlWeight *experts_norm, *experts_post_norm;  /* [D] */
  AtlWeight *out_scale;                         /* (nullable) [1] */
  AtlWeight *per_layer_gate, *per_layer_out;    /* (nullable) [P, D] [D, P] */
  AtlWeight *per_layer_post_norm;               /* (nullable) [D] */
  AtlWeight *altup_router, *altup_router_norm;  /* [N, D] [D] */
  AtlWeight *altup_predict, *altup_correct;     /* [N * N, N] [N, N] */
  AtlWeight *altup_scale;                       /* [D] */
  AtlWeight *laurel_l, *laurel_r, *laurel_norm; /* [r, D] [D, r] [D] */
  AtlWeight *mean_ff;                           /* (nullable) [1, F], sparse layers */
} AtlDecoderLayer;

typedef struct
{
  AtlLlmHparams h;
  AtlWeights *weights; /* (owned) */
  AtlWeight *token_embd, *output, *output_b, *output_norm, *output_norm_b;
  /* (nullable) Gemma 4 and 3n: [V, n_layer * P] [n_layer * P, D] [P] */
  AtlWeight *per_layer_embd, *per_layer_proj, *per_layer_norm;
  /* Gemma 3n: of streams 1 to N - 1, [D, D] each; means of a row, [1, D] */
  AtlWeight *stream_in[ATL_LLM_MAX_STREAMS], *stream_out[ATL_LLM_MAX_STREAMS];
  AtlWeight *mean_in, *mean_out;
  AtlDecoderLayer *layers; /* (owned) [n_layer] */
} AtlDecoder;

gboolean atl_decoder_init (AtlDecoder *self, AtlCheckpoint *cp, guint n_ctx, GError **error);
/* The same without the layer that makes logits. */
gboolean
atl_decoder_init_headless (AtlDecoder *self, AtlCheckpoint *cp, guint n_ctx, GError **error);
/* Makes the weights that the file has in another layout than the pass needs: reads tensors. Between
 * init and the upload of the weights. */
void atl_decoder_unfold (AtlDecoder *self);
/* The types, 1 << AtlDType, of what it makes. */
guint64 atl_decoder_latent_dtypes (const AtlDecoder *self);
void atl_decoder_clear (AtlDecoder *self);

/* One sequence's share of a step. */
typedef struct
{
  guint n_tokens;
  /* [n_layer, ATL_LLM_N_STATES]; NULL where a layer has no such state; (nullable) nothing is kept
   * of the one segment that there is then */
  AtlState *const *states;
} AtlDecoderSegment;

/* Where the state `role` of layer `il` is in `states`. */
static inline gsize
atl_decoder_state_index (guint il, AtlLlmStateRole role)
{
  return (gsize) il * ATL_LLM_N_STATES + role;
}

/* Inputs of the graph, T tokens in all, segments one after the other; one that nothing needs is not
 * there:
 *   ids i32 [T]
 *   cells i32 [T], the row in the sequence's states; ranges i32 [T, 2]
 *   cells_local, ranges_local, rope_local: the same of windowed layers
 *   rope f32 [T, n_rot]
 *   heads i32 [T, H] (0 … H - 1), with latent attention
 *   warmth f32 [T, 1, 1], where queries grow
 *   slots i32 [n_segments, 2], with recurrent mixers: which slot of the states is read, or -1, and
 *   which is written
 * Output: logits f32 [n_output_rows, n_vocab]: every token (n_output_rows == T), the last of each
 * segment (== n_segments), or none at all (0). */
AtlGraph *atl_decoder_graph (const AtlDecoder *self,
                             const AtlDecoderSegment *segments,
                             guint n_segments,
                             guint n_output_rows);

/* Whether the residual of a text can be had without keeping anything of it: plain attention over
 * all tokens in every layer. */
gboolean atl_decoder_can_encode (const AtlDecoder *self);
/* Describes into `g` hidden states of a text of T tokens. Inputs as above, without cells. Outputs
 * "hidden_<i>" f32 [T, D] where wanted[i], 0 <= i <= n_layer: 0 the embeddings, i the residual
 * after layer i, n_layer that after the last layer and its norm. Layers behind the last that is
 * wanted are not computed. has_rows: two inputs more, "rows" f32 [T, D], which stand in place of
 * the embeddings where "keep" f32 [T, 1] is 0, and are 0 where it is 1. */
void atl_decoder_describe_hidden (
    const AtlDecoder *self, AtlGraph *g, guint n_tokens, const gboolean *wanted, gboolean has_rows);

G_END_DECLS
