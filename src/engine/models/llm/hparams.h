/* The numbers of one decoder, read from metadata and checked against each other.
 *
 * Every value is inside a range that makes later products safe: n_layer <= 1024, sizes <= 2^20,
 * heads <= 4096. Threading: plain data.
 */
#pragma once

#include "base/checkpoint.h"
#include "engine/models/blocks/rope-table.h"
#include "engine/models/llm/traits.h"

G_BEGIN_DECLS

#define ATL_LLM_MAX_STREAMS 8

/* One layer. */
typedef struct
{
  gboolean attends;           /* FALSE: none of the next five means anything */
  guint n_head, n_head_kv;    /* n_head_kv divides n_head */
  guint head_dim, head_dim_v; /* of the keys and values that are kept */
  guint n_ff;                 /* of its dense feed-forward; 0 where it has none */
  gboolean has_experts;
  gboolean windowed; /* sees a window only, and rotates with rope_local */
  gboolean rotated;
  gboolean warm;              /* its queries grow with their position */
  AtlRecurrentKind recurrent; /* a mixer in place of attention, or beside it */
  double sparsity; /* gates below mean + sparsity * deviation do not pass; -INFINITY: all do */
  guint kv_layer;  /* whose keys and values it reads: its own, or those of an earlier layer */
} AtlLlmLayer;

/* Multi-head latent attention (DeepSeek-AI 2024, "DeepSeek-V2"); n_kv_lora 0: none. */
typedef struct
{
  guint n_q_lora;            /* 0: queries are not compressed */
  guint n_kv_lora;           /* numbers of the latent that stands for all keys and values */
  guint n_nope, n_rope, n_v; /* a head's unrotated and rotated components, its values */
} AtlLlmMla;

#define ATL_LLM_MAX_SLOTS 10

/* Of the recurrent mixers; all 0 where there are none. */
typedef struct
{
  guint n_taps;     /* of the causal convolution */
  guint n_channels; /* that it goes over */
  guint n_heads;    /* states a layer; 0: the convolution is all there is */
  guint n_groups;   /* heads of keys, which divide n_heads */
  guint n_keys, n;  /* a state is [n_keys, n] */
  gboolean has_norm;
  guint n_slots; /* states that a sequence has room for: two to work with, and checkpoints; at most
                    ATL_LLM_MAX_SLOTS */
} AtlLlmSsm;

/* Queries at position p are multiplied by 1 + scale ln (1 + floor ((p + offset) / length)). */
typedef struct
{
  double scale; /* 0: in no layer */
  guint length, offset;
} AtlLlmWarmth;

typedef struct
{
  guint n, n_used; /* n 0: no layer has experts */
  guint n_ff, n_ff_shared;
  guint
      n_latent; /* width that experts see and give, between two projections; 0: that of the rest */
  AtlRouteKind kind;
  gboolean renorm;
  float scale;
  guint n_groups, n_groups_used; /* 0: no groups */
  gboolean group_by_best;        /* a group counts as its best expert, not its best two */
  gboolean has_choice_bias;      /* exp_probs_b: added for the choice only */
} AtlLlmExperts;

typedef struct
{
  const AtlLlmTraits *traits;
  guint n_layer, n_vocab, n_embd, n_ctx_train;
  guint n_next; /* blocks behind the layers, which guess further tokens */
  guint n_head, n_head_kv, head_dim, head_dim_v, n_ff; /* the largest of any layer */
  gboolean has_own_head;                               /* output.weight has to be there */
  AtlLlmLayer *layers;                                 /* (owned) [n_layer] */
  float norm_eps;
  float embed_scale;                  /* 1 when unused */
  float residual_scale;               /* 1 when unused */
  float attn_scale;                   /* of scores */
  float attn_softcap, logit_softcap;  /* 0 = none */
  float logit_scale;                  /* factor of the logits, ready to multiply */
  guint window;                       /* tokens; 0 = none */
  AtlRopeParams rope;                 /* full layers */
  AtlRopeParams rope_local;           /* windowed layers */
  const AtlTensorInfo *rope_divisors; /* (nullable) f32 [n_rot / 2], applies to the full layers */
  AtlLlmExperts experts;
  AtlLlmMla mla;
  AtlLlmWarmth warmth;
  gboolean
      parallel; /* attention and feed-forward both read the residual, through norms of their own */
  gboolean keys_as_values; /* full layers have no values of their own */
  gboolean has_key_bias;   /* some layer adds a bias to its keys */
  guint n_embd_per_layer;  /* 0: no per-layer embeddings */
  guint n_streams;         /* of the residual; 1, but in Gemma 3n */
  guint active_stream;     /* the one that attention and feed-forward work on */
  AtlLlmSsm ssm;
} AtlLlmHparams;

/* What a layer can keep of the tokens before; which of these a layer has is its mixer's matter. */
typedef enum
{
  ATL_LLM_STATE_K, /* keys, a row a token */
  ATL_LLM_STATE_V, /* values, a row a token */
  /* The rest has n_slots, of which one holds what came before. */
  ATL_LLM_STATE_CONV, /* the last inputs of a convolution */
  ATL_LLM_STATE_SSM,  /* the state of a scan or a delta rule */
  ATL_LLM_N_STATES
} AtlLlmStateRole;

typedef struct
{
  const char *name; /* "keys"; static */
  AtlDType dtype;
  guint n_dims;
  gint64 dim[ATL_MAX_DIMS];
} AtlLlmStateShape;

/* Bytes of one state of that shape. */
guint64 atl_llm_state_bytes (const AtlLlmStateShape *shape);

/* n_ctx: the context the model is opened with (longrope chooses by it). FALSE with
 * ATL_ERROR_BAD_FILE or ATL_ERROR_UNSUPPORTED. */
gboolean
atl_llm_hparams_read (AtlLlmHparams *self, const AtlCheckpoint *cp, guint n_ctx, GError **error);
void atl_llm_hparams_clear (AtlLlmHparams *self);

/* The one place that says what a context of n_ctx tokens is kept in: the shape of the state `role`
 * of layer `il`, or FALSE if the layer has none. kv_dtype is that of the states with a row a token,
 * but keys with a bias are kept as q8_0 where it is q4_0; rows must be whole blocks of it to be
 * kept so. */
gboolean atl_llm_hparams_state (const AtlLlmHparams *self,
                                guint il,
                                AtlLlmStateRole role,
                                guint n_ctx,
                                AtlDType kv_dtype,
                                AtlLlmStateShape *shape);
/* Room of a windowed layer beside its window, to go on for a while before what it sees is moved. */
#define ATL_LLM_LOCAL_SPARE 1024u
/* Tokens that a windowed layer keeps of a context of n_ctx: its window and that room. */
guint atl_llm_hparams_local_cells (const AtlLlmHparams *self, guint n_ctx);
/* FALSE with ATL_ERROR_UNSUPPORTED where rows are not whole blocks of kv_dtype. */
gboolean atl_llm_hparams_check_kv (const AtlLlmHparams *self, AtlDType kv_dtype, GError **error);
/* Bytes of all states of layer `il`. */
guint64
atl_llm_hparams_layer_bytes (const AtlLlmHparams *self, guint il, guint n_ctx, AtlDType kv_dtype);
/* Bytes of all states of all layers. */
guint64 atl_llm_hparams_cache_bytes (const AtlLlmHparams *self, guint n_ctx, AtlDType kv_dtype);

G_END_DECLS
