/* A Hugging Face checkpoint on its way to GGUF's names: what the files of the translation share.
 * Private to convert/.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/convert/hf-origin.h"
#include "engine/convert/hf-settings.h"
#include "engine/convert/hf-source.h"

G_BEGIN_DECLS

typedef struct
{
  char *name; /* (owned) in the file, for messages */
  const AtlTensorInfo *part[ATL_HF_N_PARTS];
} HfModule;

/* One tensor in the making. */
typedef struct
{
  char *gguf; /* (owned) without "weight" or "bias" */
  const AtlHfName *name;
  gboolean is_bias;
  gboolean is_stack;
  GPtrArray *modules; /* HfModule (borrowed) by index in the stack */
} HfTarget;

typedef struct
{
  AtlCheckpoint *hf, *out;
  AtlHfConfig config;
  AtlHfQuant quant;
  GPtrArray *modules; /* (owned) HfModule */
  GHashTable *by_name;
  GPtrArray *targets; /* (owned) HfTarget */
  GHashTable *by_gguf;
  HfOrigins *origins; /* of `out` */
  gboolean tied;
} HfTranslation;

/* Puts the tensor together from its modules, whose bytes stay in their files, and adds it to
 * `out`. ATL_ERROR_BAD_FILE and ATL_ERROR_UNSUPPORTED name the module. */
gboolean hf_add_tensor (HfTranslation *self, const HfTarget *target, GError **error);

G_END_DECLS
