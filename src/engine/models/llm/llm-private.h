/* What llm.c and llm-cache.c share. */
#pragma once

#include "engine/models/llm/decoder.h"
#include "engine/models/llm/llm-image.h"
#include "engine/tensor/plan.h"

/* Which slot of a recurrent model's states holds what: llm-slots.c. */
typedef struct
{
  guint max;                                 /* 0: the model has none */
  guint n;                                   /* that there is memory for */
  gint32 next;                               /* what a decode under way writes */
  gint32 now;                                /* the sequence's; -1 before the first token */
  gint64 length[ATL_LLM_MAX_SLOTS];          /* tokens that a slot has seen; -1: free */
  gboolean is_checkpoint[ATL_LLM_MAX_SLOTS]; /* kept until others are more useful */
  gint32 pinned;                             /* the one that goes last; -1: none */
} LlmSlots;

struct _AtlLlmCache
{
  AtlLlm *llm; /* borrowed */
  guint n_ctx, length;
  guint local_base; /* the token in cell 0 of windowed layers */
  guint capacity;   /* tokens that the memory taken so far has room for; at most n_ctx */
  AtlDType kv_dtype;
  LlmSlots slots;
  AtlState **states; /* (owned) [n_layer, ATL_LLM_N_STATES], NULL where a layer has none */
  gsize size_bytes;
};

/* A planned graph and what it was planned for. */
typedef struct
{
  AtlPlan *plan; /* (owned) */
  guint64 *key;  /* (owned) n_ctx, kv_dtype, n_tokens for each segment; then n_output_rows */
  guint n_key;
  guint64 last_used;
  AtlState *states;    /* (owned) [n_segments, n_layer, ATL_LLM_N_STATES]; their memory is that of
                          the caches of the run */
  AtlState **pointers; /* (owned) the same, NULL where a layer has no such state */
} AtlLlmPlan;

#define ATL_LLM_MAX_PLANS 20

/* One run of the graph: some tokens of some caches. */
typedef struct
{
  AtlLlmCache *cache;
  const gint32 *tokens;
  guint n_tokens;
  guint start; /* position of the first token */
} LlmPiece;

struct _AtlLlm
{
  AtlDecoder decoder;
  AtlLlmInfo info;
  char *architecture; /* (owned) */
  AtlBackend *backends[ATL_MAX_BACKENDS];
  guint n_backends;
  guint first_gpu_layer; /* layers from here on, and the output, live on backends[0] */
  guint first_experts;   /* experts of layers from here on as well */
  guint n_batch;
  AtlLlmPlan plans[ATL_LLM_MAX_PLANS];
  guint64 clock;
  double *rope_freqs, *rope_local_freqs; /* (owned) */
  double rope_multiplier, rope_local_multiplier;
  GPtrArray *adapters; /* (owned) (nullable) LlmAdapter: llm-adapters.c */
  float *logits;       /* (owned) [n_logits, n_vocab] */
  guint n_logits;
  gsize logits_room;
};

/* --- llm-placement.c --- */

/* Decides what lives where, by the options and by the memory that is free. `scratch_bytes` are kept
 * free on the device, `n_ctx` tokens of context as well. */
void llm_place (AtlLlm *self, const AtlLlmOptions *options, guint64 scratch_bytes, guint n_ctx);
/* Marks the weights of the CPU that would take more than `budget` bytes together, experts first, to
 * be read from their file. After llm_place. */
void llm_keep_in_file (AtlLlm *self, guint64 budget);
AtlBackend *llm_layer_backend (const AtlLlm *self, gint layer);
AtlBackend *llm_weight_backend (const AtlLlm *self, const AtlWeight *weight);

/* --- llm-cache.c --- */

/* The room to take for `n` more tokens. */
guint llm_cache_next_capacity (const AtlLlmCache *self, guint n);
/* Bytes that room for so many tokens and slots would take beyond what there is, and taking it. */
guint64 llm_cache_growth_to (const AtlLlmCache *self, guint capacity, guint n_slots);
gboolean llm_cache_grow_to (AtlLlmCache *self, guint capacity, guint n_slots, GError **error);

/* --- llm-slots.c --- */

/* States of this role have slots in place of rows. */
gboolean llm_role_has_slots (AtlLlmStateRole role);
void llm_slots_init (LlmSlots *self, guint max);
/* How many there should be memory for, so that the next decode need not give up a checkpoint. */
guint llm_slots_wanted (const LlmSlots *self);
/* Chooses `next`, never the present slot. */
void llm_slots_begin (LlmSlots *self);
/* The decode succeeded: `next` holds the sequence, which has `length` tokens now. */
void llm_slots_commit (LlmSlots *self, guint length);
/* Keeps the present slot as it is; pinned, until another one is or all others are pinned. */
void llm_slots_checkpoint (LlmSlots *self, gboolean is_pinned);
/* Goes back to at most `length` tokens; what holds then. */
guint llm_slots_truncate (LlmSlots *self, guint length);
/* The slot with the most tokens, at most `length`; -1 if there is none. */
gint32 llm_slots_find (const LlmSlots *self, guint length);
/* Slot 0 was filled from elsewhere and is all there is: `length` tokens. */
void llm_slots_take (LlmSlots *self, guint length);

/* The slots are those of the image, in its order. */
void llm_slots_set (LlmSlots *self, const AtlLlmCacheImage *image);

/* --- llm-window.c --- */

/* Makes room for tokens [start, start + n_tokens) in windowed layers; n_tokens is at most
 * ATL_LLM_LOCAL_SPARE. */
gboolean llm_window_slide (AtlLlmCache *cache, guint start, guint n_tokens, GError **error);
/* Whether windowed layers still hold what a token at position `length` sees. */
gboolean llm_window_holds (const AtlLlmCache *cache, guint length);

/* --- llm-plan.c --- */

/* The plan for these pieces, its states pointed at their caches; borrowed until the next call. */
AtlPlan *
llm_plan_for (AtlLlm *self, const LlmPiece *pieces, guint n_pieces, guint n_rows, GError **error);
void llm_plan_clear (AtlLlmPlan *self);
