/* Checkpoints under the names of Hugging Face, made in memory: for the tests of convert/.
 *
 *   AtlCheckpoint *hf = hf_make ("falcon"), *cp;
 *   hf_add_counted (hf, "transformer.h.0.mlp.dense_h_to_4h.weight", 2, dim);
 *   cp = hf_translate_taken (hf);
 *
 * What cannot be made ends the test.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

/* A setting, as config.json has it; numbers with a fraction and without one are kept apart. */
void hf_add_text (AtlCheckpoint *cp, const char *key, const char *text);
void hf_add_number (AtlCheckpoint *cp, const char *key, double number);
void hf_add_whole (AtlCheckpoint *cp, const char *key, gint64 number);
void hf_add_flag (AtlCheckpoint *cp, const char *key, gboolean flag);
void hf_add_list (AtlCheckpoint *cp, const char *key, const double *numbers, gsize n);
void hf_add_wholes (AtlCheckpoint *cp, const char *key, const gint64 *numbers, gsize n);
void hf_add_words (AtlCheckpoint *cp, const char *key, const char *const *words, gsize n);
/* `data` is the caller's and stays. */
void hf_add_tensor_of (AtlCheckpoint *cp,
                       const char *name,
                       AtlDType dtype,
                       guint n_dims,
                       const gint64 *dim,
                       gconstpointer data,
                       gsize size);
/* A tensor of n float32 numbers 0, 1, 2, … */
void hf_add_counted (AtlCheckpoint *cp, const char *name, guint n_dims, const gint64 *dim);
/* All numbers of a float32 tensor, read in steps of `step` rows. */
void hf_check_numbers (
    const AtlCheckpoint *cp, const char *name, const float *want, gsize n, gint64 step);
/* Of what was translated. */
guint64 hf_get_uint (const AtlCheckpoint *cp, const char *key);
/* In GGUF's vocabulary; takes the checkpoint. */
AtlCheckpoint *hf_translate_taken (AtlCheckpoint *hf);
/* It is not, with this error, whose message has the word (nullable); takes the checkpoint. */
void hf_expect_refused (AtlCheckpoint *hf, AtlError code, const char *word);
/* Two layers of width 64, with four heads of queries and two of keys. */
AtlCheckpoint *hf_make (const char *type);

G_END_DECLS
