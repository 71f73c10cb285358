/* Which type each tensor of a quantised file gets: one for all, or one of the mixes that people
 * know by name ("Q4_K_M": most of it Q4_K, what matters most Q6_K).
 *
 * The choices are those of llama.cpp's quantiser (src/llama-quant.cpp), so that a name means the
 * same file everywhere.
 *
 * Threading: constant data, pure functions.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

typedef struct
{
  const char *name;  /* "Q4_K_M" */
  guint file_type;   /* general.file_type */
  AtlDType dtype;    /* of what no rule speaks of */
  const char *about; /* for people; translate with gettext() */
} AtlMix;

/* NULL for a name that is not known; case does not matter. "Q4_K" alone is the mix Q4_K_M, and so
 * are Q3_K and Q5_K. */
const AtlMix *atl_mix_find (const char *name);
/* The first whose main type that is; NULL if there is none. */
const AtlMix *atl_mix_of_dtype (AtlDType dtype);
/* All of them, ended by name NULL. */
const AtlMix *atl_mix_list (void);

/* What the choices depend on beside the name. */
typedef struct
{
  guint n_layers;
  guint n_experts;
  guint n_gqa;          /* query heads a key head, at least 1 */
  gboolean has_output;  /* output.weight is there: the embedding is not the output */
  gboolean is_falcon;   /* which has rules of its own */
  gboolean is_70b;      /* 80 layers of Llama or Qwen 2 with grouped heads */
  guint *values_before; /* (owned) [n_layers + 1] layers with values before each, and in all */
  guint *downs_before;  /* (owned) [n_layers + 1] the same of layers with one feed-forward */
} AtlMixModel;

/* Reads what mixes depend on from the metadata and names of `cp`, which is not kept. */
void atl_mix_model_init (AtlMixModel *self, const AtlCheckpoint *cp);
void atl_mix_model_clear (AtlMixModel *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlMixModel, atl_mix_model_clear)

/* The type of a tensor: F32 for small ones, else the mix's, or the nearest type whose blocks divide
 * its rows; a few keep their own. `mix` NULL: its own, where that is one of GGUF's. */
AtlDType atl_mix_choose (const AtlMix *mix, const AtlMixModel *model, const AtlTensorInfo *info);

G_END_DECLS
