/* What Hugging Face's language models are called in GGUF: a row a family.
 *
 *   const AtlHfFamily *family = atl_hf_family_find ("qwen2");
 *
 * Names of modules are those after "model.layers.N." ("self_attn.q_proj"); a number of an expert or
 * a head stands as "*". What nearly all families share is one list; a family's own list comes
 * first. Settings likewise: see hf-settings.c.
 *
 * Threading: constant data.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_HF_PERMUTE = 1 << 0, /* q and k rows: rotary halves to neighbours, as GGUF stores them */
  ATL_HF_NORM_PLUS_ONE = 1 << 1, /* norm weights are stored without the 1 that is added to them */
  ATL_HF_WINDOW = 1 << 2,        /* sliding_window is part of the file */
  ATL_HF_PATTERN = 1 << 3,       /* and so is layer_types, as one flag a layer */
  ATL_HF_MIXED = 1 << 4,         /* some layers do not attend: layer_types says which */
  ATL_HF_ALTERNATE = 1 << 5, /* rows of experts' gates and ups by turns, not one after the other */
} AtlHfFlags;

typedef struct
{
  const char *hf;   /* after "model.layers.N." or "model." */
  const char *gguf; /* after "blk.N."; NULL: nothing that is needed */
} AtlHfName;

/* A setting that its authors' code takes where the file has none. */
typedef struct
{
  const char *key;
  double value;
} AtlHfDefault;

typedef struct
{
  const char *types; /* model_type of config.json: words with a space around each */
  const char *arch;  /* general.architecture */
  AtlHfFlags flags;
  const AtlHfName *names;       /* (nullable) ended by hf NULL */
  const AtlHfDefault *defaults; /* (nullable) ended by key NULL */
} AtlHfFamily;

/* NULL for a type that is not known. */
const AtlHfFamily *atl_hf_family_find (const char *model_type);
/* The first family of that general.architecture, or NULL. */
const AtlHfFamily *atl_hf_family_of_arch (const char *arch);
/* "llama, mistral, …", for messages; the caller frees. */
char *atl_hf_family_list (void);

/* GGUF's name of a module of a layer, or (`in_layer` FALSE) of the model; `*found` FALSE when the
 * name is not known, NULL with *found TRUE for what is left out. */
const char *atl_hf_family_name (const AtlHfFamily *self,
                                const char *module,
                                gboolean in_layer,
                                gboolean *found);

G_END_DECLS
