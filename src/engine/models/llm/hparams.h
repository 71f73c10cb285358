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

typedef struct
{
  const AtlLlmTraits *traits;
  guint n_layer, n_vocab, n_embd, n_ff, n_ctx_train;
  guint n_head, n_head_kv, head_dim, head_dim_v;
  float norm_eps;
  float embed_scale;                  /* 1 when unused */
  float residual_scale;               /* 1 when unused */
  float attn_scale;                   /* of scores */
  float attn_softcap, logit_softcap;  /* 0 = none */
  float logit_scale;                  /* factor of the logits, ready to multiply */
  guint window;                       /* tokens; 0 = none */
  guint8 *windowed;                   /* (owned) one flag a layer */
  guint8 *rotated;                    /* (owned) one flag a layer */
  AtlRopeParams rope;                 /* full layers */
  AtlRopeParams rope_local;           /* windowed layers */
  const AtlTensorInfo *rope_divisors; /* (nullable) f32 [n_rot / 2], applies to the full layers */
  guint n_expert, n_expert_used, n_ff_expert, n_ff_shared;
} AtlLlmHparams;

/* What a layer can keep of the tokens before; which of these a layer has is its mixer's matter. */
typedef enum
{
  ATL_LLM_STATE_K, /* keys, a row a token */
  ATL_LLM_STATE_V, /* values, a row a token */
  ATL_LLM_N_STATES
} AtlLlmStateRole;

typedef struct
{
  const char *name; /* "keys"; static */
  AtlDType dtype;
  guint n_dims;
  gint64 dim[ATL_MAX_DIMS];
} AtlLlmStateShape;

/* n_ctx: the context the model is opened with (longrope chooses by it). FALSE with
 * ATL_ERROR_BAD_FILE or ATL_ERROR_UNSUPPORTED. */
gboolean
atl_llm_hparams_read (AtlLlmHparams *self, const AtlCheckpoint *cp, guint n_ctx, GError **error);
void atl_llm_hparams_clear (AtlLlmHparams *self);

/* The one place that says what a context of n_ctx tokens is kept in: the shape of the state `role`
 * of layer `il`, or FALSE if the layer has none. kv_dtype is that of the states with a row a token;
 * rows must be whole blocks of it to be kept so. */
gboolean atl_llm_hparams_state (const AtlLlmHparams *self,
                                guint il,
                                AtlLlmStateRole role,
                                guint n_ctx,
                                AtlDType kv_dtype,
                                AtlLlmStateShape *shape);
/* Bytes of all states of layer `il`. */
guint64
atl_llm_hparams_layer_bytes (const AtlLlmHparams *self, guint il, guint n_ctx, AtlDType kv_dtype);
/* Bytes of all states of all layers. */
guint64 atl_llm_hparams_cache_bytes (const AtlLlmHparams *self, guint n_ctx, AtlDType kv_dtype);

G_END_DECLS
