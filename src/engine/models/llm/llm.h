/* Decoder language models: load, key-value caches, decode.
 *
 *   AtlLlm *llm = atl_llm_new (checkpoint, backends, n_backends, NULL, NULL, NULL, NULL, error);
 *   AtlLlmCache *cache = atl_llm_cache_new (llm, 4096, ATL_DTYPE_F16, error);
 *   AtlLlmBatch batch = { .cache = cache, .tokens = ids, .n_tokens = n };
 *   atl_llm_decode (llm, &batch, 1, NULL, error);
 *   const float *logits = atl_llm_logits (llm, 0);     [n_vocab] of the last token
 *
 * Threading: one thread at a time per AtlLlm.
 */
#pragma once

#include "engine/tensor/backend.h"
#include "engine/tensor/weights.h"

G_BEGIN_DECLS

typedef struct _AtlLlm AtlLlm;
typedef struct _AtlLlmCache AtlLlmCache;

typedef struct
{
  const char *architecture; /* "llama"; static for the life of the model */
  char *description;        /* "llama, 16 layers, 1.2 B parameters, q4_K" */
  guint n_layer, n_vocab, n_embd, n_head, n_head_kv, head_dim;
  guint n_ctx_train;
  gboolean is_recurrent; /* has layers whose state cannot be cut off behind any token */
  guint64 n_params;
  guint64 weight_bytes;
  guint64 device_bytes, host_bytes; /* what the uploads take beyond the mapped file */
  guint64 matrix_dtypes; /* 1 << AtlDType of the weights that products read, as uploaded */
  guint n_layers_on_device;
  guint n_layers_apart; /* of those, the ones whose experts are on the CPU */
  guint64 file_bytes;   /* of weights that stay in the file */
  gboolean is_chosen;   /* the options said how many, not the device's memory */
} AtlLlmInfo;

typedef struct
{
  guint n_gpu_layers;  /* at most; G_MAXUINT: as many as fit well in the device's free memory */
  guint n_cpu_experts; /* layers, from the first with some, whose experts stay on the CPU;
                          G_MAXUINT: as many as must, so that the rest of more layers fits */
  guint n_ctx_hint;  /* context the caller will open; 0: 4096. Reserved on the device while placing;
                        longrope chooses its factors by it */
  guint n_batch;     /* tokens per prefill chunk; 0: 512 */
  AtlDType kv_dtype; /* hint for placing; F32 = 0 means F16 */
  guint64 weight_budget; /* bytes of weights that may be copied into the computer's memory; the rest
                            is read from the file whenever it is used, far slower. 0: all */
} AtlLlmOptions;

/* TRUE if general.architecture is one that atl_llm_new knows; otherwise *why (nullable, caller
 * frees) says in words what it is and what would work. Reads metadata only. */
gboolean atl_llm_supports (const AtlCheckpoint *cp, char **why);

/* Memory it would take with this context, before anything is allocated: bytes of weights beyond the
 * file and of one cache. ATL_ERROR_UNSUPPORTED where it cannot be kept as kv_dtype. */
gboolean atl_llm_estimate (AtlCheckpoint *cp,
                           guint n_ctx,
                           AtlDType kv_dtype,
                           guint64 *weight_bytes,
                           guint64 *kv_bytes,
                           guint64 *scratch_bytes,
                           AtlLlmInfo *info /* nullable; clear it */,
                           GError **error);
void atl_llm_info_clear (AtlLlmInfo *info);

/* `backends` are borrowed, the host backend last. options nullable. */
AtlLlm *atl_llm_new (AtlCheckpoint *cp,
                     AtlBackend *const *backends,
                     guint n_backends,
                     const AtlLlmOptions *options,
                     AtlProgressFunc progress,
                     gpointer progress_data,
                     GCancellable *cancellable,
                     GError **error);
void atl_llm_free (AtlLlm *self);
/* What it is; borrowed, immutable. */
const AtlLlmInfo *atl_llm_info (const AtlLlm *self);

/* The types, 1 << AtlDType, of an adapter's matrices as uploaded. */
#define ATL_LLM_ADAPTER_DTYPES (1ull << ATL_DTYPE_F32)

/* A low-rank adapter (LoRA): a checkpoint in GGUF's form (convert/hf-adapter.h makes it of others),
 * which must live as long as it is set. */
typedef struct
{
  AtlCheckpoint *cp;
  double strength; /* 1 as it was trained; 0 nothing; may be negative */
} AtlLlmAdapter;

/* Lets products with the adapters' weights add what they say, in place of those set before; n 0:
 * none, each checkpoint at most once. Quantised weights stay as they are. Checkpoints that were set
 * before are not read again, so that changing strengths is quick. Caches hold what was computed
 * before: the caller empties them. On error (ATL_ERROR_BAD_FILE; ATL_ERROR_INVALID when it was made
 * for another model) nothing changes. */
gboolean
atl_llm_set_adapters (AtlLlm *self, const AtlLlmAdapter *adapters, guint n, GError **error);

/* One sequence of at most n_ctx tokens. Memory is taken as it grows, a step at a time. kv_dtype
 * F32, F16, Q8_0 or Q4_0 (head_dim must be a multiple of 32 for the last two). */
AtlLlmCache *atl_llm_cache_new (AtlLlm *llm, guint n_ctx, AtlDType kv_dtype, GError **error);
void atl_llm_cache_free (AtlLlmCache *self);
/* How many tokens it takes at most, and how many are in it. */
guint atl_llm_cache_n_ctx (const AtlLlmCache *self);
guint atl_llm_cache_length (const AtlLlmCache *self);
/* Memory taken so far. */
gsize atl_llm_cache_bytes (const AtlLlmCache *self);
/* Bytes that room for `n` more tokens would take beyond that; 0 when there is room. */
guint64 atl_llm_cache_growth (const AtlLlmCache *self, guint n);
/* Takes them; atl_llm_decode() does it by itself. ATL_ERROR_NO_MEMORY; what is there stays. */
gboolean atl_llm_cache_reserve (AtlLlmCache *self, guint n, GError **error);
/* Copies the first `n` tokens of another cache of the same model and type into this empty one, or
 * as many of them as `from` can stop at (atl_llm_cache_reach). ATL_ERROR_NO_MEMORY. */
gboolean atl_llm_cache_copy (AtlLlmCache *self, const AtlLlmCache *from, guint n, GError **error);
/* Where atl_llm_cache_truncate() would stop: at `length`, or before it. */
guint atl_llm_cache_reach (const AtlLlmCache *self, guint length);
/* Makes it cheap to come back to the present length: a copy of what a recurrent model carries stays
 * here while newer checkpoints leave room for it. Nothing to do for other models. */
void atl_llm_cache_checkpoint (AtlLlmCache *self);
/* The same, and it goes after all others that lie here or come, until another one is pinned. */
void atl_llm_cache_pin (AtlLlmCache *self);
/* Forgets what is behind position `length` (at most the present one) and returns the length that
 * holds now: `length` itself, or less where a model with recurrent state can only go back further:
 * to a checkpoint, or to where the last decode began; or 0 where windowed layers have let go of
 * what lies before it. The caller decodes the rest again. 0 always works. */
guint atl_llm_cache_truncate (AtlLlmCache *self, guint length);

typedef struct
{
  AtlLlmCache *cache;
  const gint32 *tokens;
  guint n_tokens;
  gboolean all_logits; /* one row a token instead of the last one's only */
} AtlLlmBatch;

/* Appends the tokens of every batch entry to its cache. Ids outside the vocabulary:
 * ATL_ERROR_INVALID; no room: ATL_ERROR_TOO_LONG; in both cases, and on cancel or device failure,
 * the caches keep their old length (or 0, where windowed layers moved on in the middle of a long
 * text).
 */
gboolean atl_llm_decode (AtlLlm *self,
                         const AtlLlmBatch *batch,
                         guint n_batch,
                         GCancellable *cancellable,
                         GError **error);
/* Logits of the last decode, [n_vocab] per row, rows in batch order. Borrowed until the next
 * decode. */
guint atl_llm_n_logits (const AtlLlm *self);
const float *atl_llm_logits (const AtlLlm *self, guint row);
/* The numbers of a token do not depend on what else is computed beside it: among runs of at most
 * few_rows tokens, and among pieces of at least many_rows tokens (AtlBackend.few_rows). */
guint atl_llm_few_rows (const AtlLlm *self);
guint atl_llm_many_rows (const AtlLlm *self);
/* What runs where, in words: "AMD Radeon…" or "20 of 28 layers on AMD Radeon…, the rest on the CPU,
 * because …". Caller frees. */
char *atl_llm_placement (const AtlLlm *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlLlm, atl_llm_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlLlmCache, atl_llm_cache_free)

G_END_DECLS
