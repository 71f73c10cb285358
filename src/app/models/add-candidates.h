/* The models that a person is asked about before they are brought in, and what is known of them.
 *
 *   atl_add_candidates_add (candidates, file, info, TRUE);
 *   atl_add_candidates_take_encoders (candidates, FALSE, parts);
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/images/dropped-parts.h"
#include "hub/library.h"

G_BEGIN_DECLS

typedef struct
{
  GPtrArray *models;   /* (element-type AtlModelFile) */
  GHashTable *reasons; /* paths of those that cannot run here -> why */
  GHashTable *infos;   /* paths of those that were brought for pictures -> AtlModelInfo */
} AtlAddCandidates;

/* Empty. What was cleared may be initialised again. */
void atl_add_candidates_init (AtlAddCandidates *self);
void atl_add_candidates_clear (AtlAddCandidates *self);

/* Takes `file`. `info` (nullable): what the engine said of it. `is_for_pictures`: it was brought
 * where pictures are made. */
void atl_add_candidates_add (AtlAddCandidates *self,
                             AtlModelFile *file,
                             AtlModelInfo *info,
                             gboolean is_for_pictures);
gboolean atl_add_candidates_has (const AtlAddCandidates *self, const char *path);
/* Language models that came with a model for pictures which lacks some part, or while one does
 * (`lacks`), are meant as its text encoder: they go to `parts`. */
void
atl_add_candidates_take_encoders (AtlAddCandidates *self, gboolean lacks, AtlDroppedParts *parts);
void atl_add_candidates_forget (AtlAddCandidates *self);

G_END_DECLS
