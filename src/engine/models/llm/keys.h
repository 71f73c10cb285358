/* Reading hyperparameters "<architecture>.<name>": a list of calls whose first error is kept.
 *
 *   AtlLlmKeys k = { .cp = cp, .prefix = "llama" };
 *   atl_llm_key_uint (&k, "block_count", 1, 1024, TRUE, &n_layer);
 *   if (k.error != NULL) ...
 *
 * Once there is an error every call does nothing and says FALSE. Used by the hparams*.c files.
 * Threading: none.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

typedef struct
{
  const AtlCheckpoint *cp;
  const char *prefix;
  GError *error; /* the owner of the struct takes it */
} AtlLlmKeys;

/* TRUE and *out if the key is there; an absent one leaves *out alone, and is an error if
 * `required`. Outside [min, max], or no number: ATL_ERROR_BAD_FILE. */
gboolean atl_llm_key_uint (
    AtlLlmKeys *k, const char *name, guint min, guint max, gboolean required, guint *out);
gboolean atl_llm_key_float (AtlLlmKeys *k, const char *name, double min, double max, double *out);
gboolean atl_llm_key_bool (AtlLlmKeys *k, const char *name, gboolean *out);
/* The error that an absent key is, where the format's default would be another model's. */
void atl_llm_key_need (AtlLlmKeys *k, const char *name);
/* NULL if absent. */
const AtlMetaValue *atl_llm_key_meta (AtlLlmKeys *k, const char *name);
gboolean atl_llm_key_is (AtlLlmKeys *k, const char *name, const char *text);

/* One number a layer: an array of at least n, or one number for all. out[i * stride_bytes] is
 * a guint; all of them are left alone if the key is absent. */
gboolean atl_llm_key_layers (AtlLlmKeys *k,
                             const char *name,
                             guint min,
                             guint max,
                             gboolean required,
                             guint n,
                             guint *out,
                             gsize stride_bytes);

/* Records ATL_ERROR_BAD_FILE, with the file's name in front. */
void atl_llm_key_fail (AtlLlmKeys *k, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* How one number ought to stand to another. */
typedef enum
{
  ATL_LLM_AT_MOST,
  ATL_LLM_MORE_THAN,
  ATL_LLM_EXACTLY,
  ATL_LLM_DIVISOR, /* of it */
} AtlLlmFit;

/* The error that the number of `name` does not stand to `limit`, which is or follows from that of
 * `because`, as it ought to. */
void atl_llm_key_unfit (
    AtlLlmKeys *k, AtlLlmFit fit, const char *name, guint value, const char *because, guint limit);

/* Whether the file says that the output layer is not the table of tokens. */
void atl_llm_key_tied (AtlLlmKeys *k, gboolean *has_own_head);

G_END_DECLS
