/* LoRA files: opening them, and what they say about themselves.
 *
 *   g_autoptr (AtlCheckpoint) cp = atl_lora_open (map, "ink.safetensors", error);
 *   g_auto (AtlLoraFacts) facts = { 0 };
 *   atl_lora_read_facts (cp, "ink.safetensors", NULL, &facts);
 *
 * How they change weights: models/blocks/lora.h.
 *
 * Threading: any thread.
 */
#pragma once

#include "engine/diffusion/family.h"

G_BEGIN_DECLS

/* Which timesteps its sampler takes. */
typedef enum
{
  ATL_LORA_SPACING_OWN,     /* the sampler's own */
  ATL_LORA_SPACING_TRAILING /* evenly down from the last one (lora-steps.h) */
} AtlLoraSpacing;

typedef struct
{
  char *title;                      /* (owned) */
  const AtlDiffusionFamily *family; /* (nullable) that it was made for, where it can be told */
  GPtrArray *triggers;              /* (owned) words that call what it was taught */
  double strength;                  /* that it was made for; most: 1 */
  /* Of one that makes few steps enough; 0, -1 and NULL where it is none, or sets none. */
  guint steps;
  double guidance, eta;
  const char *sampler, *schedule; /* usual names (media/sampler-names.h); static */
  AtlLoraSpacing spacing;
  double shift; /* of a flow's steps; 0: the model's own */
} AtlLoraFacts;

/* A zeroed one is fine. */
void atl_lora_facts_clear (AtlLoraFacts *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlLoraFacts, atl_lora_facts_clear)

/* ATL_ERROR_BAD_FILE, and ATL_ERROR_UNSUPPORTED for what is no LoRA, in words. */
AtlCheckpoint *atl_lora_open (AtlFileMap *map, const char *name, GError **error);
/* `name` is the file's, which often says more than what is in it; with its folder's and a slash
 * before it where files are called like others. `published` (nullable): of
 * atl_lora_published_name(). `family` (nullable) is that of the model it is to change, for a file
 * that does not tell its own. */
void atl_lora_read_facts (const AtlCheckpoint *cp,
                          const char *name,
                          const char *published,
                          const AtlDiffusionFamily *family,
                          AtlLoraFacts *facts);
/* FALSE where the file is known to be another family's. */
gboolean atl_lora_facts_suit (const AtlLoraFacts *self, const AtlDiffusionFamily *family);

G_END_DECLS
