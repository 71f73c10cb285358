/* LoRAs that make few steps enough (LCM, DMD2, Lightning, Hyper, TCD, PCM, Turbo, LightX2V…): which
 * one it is, and what it wants set.
 *
 * Nothing in their tensors says so: LCM's, DMD2's, Lightning's and Hyper's UNet LoRAs change the
 * same layers with the same rank, as LoRAs of styles may. What tells them apart is their name or
 * title, or, of published files under another name, size and SHA-256.
 *
 *   atl_lora_find_steps ("sdxl_lightning_4step_lora", "sdxl", &facts);
 *
 * Threading: pure functions, any thread.
 */
#pragma once

#include "base/file-map.h"
#include "engine/diffusion/lora-file.h"

G_BEGIN_DECLS

/* The name under which this very file was published, NULL where it is none of those known. Reads
 * all of a file that has the size of one. Static. */
const char *atl_lora_published_name (AtlFileMap *map);
/* The same by size and lower-case hex digits. */
const char *atl_lora_published_as (guint64 size, const char *sha256);
/* Whether one of that size was published. */
gboolean atl_lora_is_published_size (guint64 size);

/* What `names`, file name and title in any letter case, say of a LoRA for facts->family (nullable)
 * into steps, guidance, sampler, schedule, strength, eta, shift, spacing. */
void atl_lora_find_steps (const char *names, AtlLoraFacts *facts);
/* The timesteps that facts->spacing means for `n_steps`, from 1000 of training; NULL where the
 * sampler has its own. The caller frees. */
double *atl_lora_timesteps (const AtlLoraFacts *facts, guint n_steps);

G_END_DECLS
