/* What Hugging Face's language models are called in GGUF: a row a family.
 *
 *   const AtlHfFamily *family = atl_hf_family_find ("qwen2");
 *
 * Names of modules are those after "model.layers.N." ("self_attn.q_proj"); a number of an expert or
 * a head stands as "*". What nearly all families share is one list; a family's own list comes
 * first (both in hf-names.c). A module that becomes several tensors has a row for each, one after
 * the other. Settings likewise: see hf-settings.c.
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
  ATL_HF_TURNED = 1 << 6,    /* plain experts in one tensor are [expert, in, out] */
  ATL_HF_SHARED_IS_DENSE = 1 << 7, /* without experts, the shared one is the feed-forward */
} AtlHfFlags;

/* How the rows of a module become those of a tensor (hf-layout.c); K key and V value heads of a
 * gated delta net, r = V / K. */
typedef enum
{
  ATL_HF_AS_IS,
  ATL_HF_MINUS_EXP,        /* each number x as -exp (x) */
  ATL_HF_COLUMN,           /* a list as one column */
  ATL_HF_MINUS_EXP_COLUMN, /* both */
  ATL_HF_GROUPS,           /* a list as a row for each group of a state space */
  ATL_HF_FIRST_HALF,       /* gates of [2 F, in], or of each expert's */
  ATL_HF_SECOND_HALF,      /* ups */
  ATL_HF_QKV_OF_KEY_HEADS, /* per key head q, k, its v, its z: all q, all k, all v */
  ATL_HF_Z_OF_KEY_HEADS,   /* and all z */
  ATL_HF_TILED_LAST,       /* q, k, v: value head h * r + i to i * K + h */
  ATL_HF_TILED,            /* the same where all rows are value heads */
  ATL_HF_TILED_ONES,       /* one row a head */
  ATL_HF_TILED_MINUS_EXP,  /* one number a head */
  ATL_HF_TILED_COLUMNS,    /* columns, not rows */
  ATL_HF_SECTIONS,         /* z, x, B, C, dt, each times one of ssm_multipliers */
  ATL_HF_PADDED,           /* to the size of the vocabulary, with copies of the first row */
  ATL_HF_TIED_HEAD,        /* only if there is no output layer of its own */
  ATL_HF_BY_HEADS,         /* per head q, k, v: all q, all k, all v */
  ATL_HF_GROUPED_Q,        /* per key head its q, its k, its v: all q, in the family's order */
  ATL_HF_GROUPED_K,        /* all k, likewise */
  ATL_HF_GROUPED_V,        /* all v */
  ATL_HF_GROUPED_QKV,      /* all q, all k, all v */
  ATL_HF_JOINED_Q,         /* all q, all k, all v: the q, in the family's order */
  ATL_HF_JOINED_K,         /* the k, likewise */
  ATL_HF_JOINED_V,         /* the v */
  ATL_HF_LAYOUT_MASK = 0xff,
  ATL_HF_BARE = 0x100, /* the name in GGUF is whole: no ".weight" after it */
} AtlHfLayout;

typedef struct
{
  const char *hf;   /* after "model.layers.N." or "model." */
  const char *gguf; /* after "blk.N."; NULL: nothing that is needed */
  guint layout;     /* AtlHfLayout */
  /* (nullable) settings, as words, whose product the numbers are multiplied by; "name[1]" is an
   * element of a list */
  const char *factors;
} AtlHfName;

/* A setting that its authors' code takes where the file has none. */
typedef struct
{
  const char *key;
  double value;
} AtlHfDefault;

typedef struct AtlHfConfig AtlHfConfig; /* hf-config.h */

typedef struct
{
  const char *types; /* model_type of config.json: words with a space around each */
  const char *arch;  /* general.architecture */
  AtlHfFlags flags;
  const AtlHfName *names;       /* (nullable) of layers, ended by hf NULL */
  const AtlHfDefault *defaults; /* (nullable) ended by key NULL */
  const AtlHfName *model_names; /* (nullable) outside of layers, ended by hf NULL */
  const char *layers;           /* (nullable) what stands before a layer's number; "layers." */
  /* (nullable) Of several rows with a type, whether the settings are of this one. */
  gboolean (*is_meant) (const AtlHfConfig *config);
} AtlHfFamily;

/* The first row of that type whose settings they are; NULL for a type that is not known. */
const AtlHfFamily *atl_hf_family_find (const char *model_type, const AtlHfConfig *config);
/* "layers.", or what the family has in its place. */
const char *atl_hf_family_layers (const AtlHfFamily *self);
/* The first family of that general.architecture, or NULL. */
const AtlHfFamily *atl_hf_family_of_arch (const char *arch);
/* "llama, mistral, …", for messages; the caller frees. */
char *atl_hf_family_list (void);

/* The first of the rows of a module of a layer, or (`in_layer` FALSE) of the model; NULL when the
 * name is not known. */
const AtlHfName *
atl_hf_family_name (const AtlHfFamily *self, const char *module, gboolean in_layer);
/* The next row of the same module, or NULL. */
const AtlHfName *atl_hf_name_next (const AtlHfName *self);

G_END_DECLS
