/* Puts settings of Hugging Face's models under GGUF's keys. Private to hf-settings.c and hf-rope.c.
 *
 *   if (hf_number (w, "rope_theta", &base))
 *     hf_put_float (w, "rope.freq_base", base);
 *
 * After a mistake nothing more is put, so that what follows reads as a list.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/convert/hf-module-name.h"
#include "engine/convert/hf-settings.h"

G_BEGIN_DECLS

typedef struct
{
  const AtlHfConfig *config;
  AtlCheckpoint *out; /* being made */
  const char *arch;
  GError *error; /* (owned) (nullable) the first mistake */
} HfWriter;

/* `key` without the name of the architecture, but for "general.…". */
void hf_put (HfWriter *w, const char *key, const AtlMetaValue *value);
/* A whole number that is not negative. */
void hf_put_uint (HfWriter *w, const char *key, double number);
void hf_put_ints (HfWriter *w, const char *key, const gint64 *numbers, gsize n);
void hf_put_float (HfWriter *w, const char *key, double number);
void hf_put_string (HfWriter *w, const char *key, const char *text);

/* The number under `key` in config.json, or what the family takes without it. */
gboolean hf_number (const HfWriter *w, const char *key, double *out);
/* The first of `keys` (words) that is there. */
gboolean hf_first_number (const HfWriter *w, const char *keys, double *out);

/* The list of the layers' kinds, one text a layer; NULL if there is none, or a mistake if it is of
 * another kind or length. */
const AtlMetaValue *hf_layer_types (HfWriter *w);

/* The mistake, after the name of the model, unless there is one already. */
void hf_fail (HfWriter *w, AtlError code, const char *format, ...) G_GNUC_PRINTF (3, 4);

/* hf-hybrid.c: layers that carry a state; Llama 4. */
void hf_put_hybrid (HfWriter *w);
/* hf-gemma.c: Gemma 3n and 4. */
void hf_put_gemma (HfWriter *w);
/* hf-gemma.c: the setting `name` of the layers that see everything: where single layers are listed,
 * theirs; else under its `own` name. FALSE when there is none, or after a mistake. */
gboolean hf_full_number (HfWriter *w, const char *name, const char *own, double *out);
/* hf-own.c: families with settings of their own kind. */
void hf_put_own (HfWriter *w);
/* hf-rope.c: everything about positions. */
void hf_put_rope (HfWriter *w);

G_END_DECLS
