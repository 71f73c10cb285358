/* A backend that pretends to be another one: it takes weights, plans and runs as that one would,
 * computes nothing, holds nothing, and counts. Walking a whole pipeline with it says beforehand
 * what the walk will take.
 *
 *   AtlBackend *pretended = atl_rehearsal_new (backend, error);
 *   ... load, plan and run on it, free what is to be freed ...
 *   atl_rehearsal_counts (pretended)->peak_bytes
 *
 * What is read from its buffers is zero; large reads leave the reader's memory, which begins as
 * zeros in arrays, as it is. Weights are not looked at: what files hold is not read for it.
 *
 * Threading: one thread at a time; the backend it stands for may compute on another meanwhile.
 */
#pragma once

#include "engine/tensor/backend.h"

G_BEGIN_DECLS

typedef struct
{
  guint64 held_bytes, peak_bytes; /* weights, also those used in place, and working memory */
  guint64 weight_bytes;           /* of all weights so far but those that come and go */
  guint64 largest_alloc;          /* of one buffer */
  double products;                /* multiplications with an addition, see atl_node_products */
} AtlRehearsalCounts;

/* `of` is borrowed and outlives it. ATL_ERROR_FULL when there are too many devices. */
AtlBackend *atl_rehearsal_new (AtlBackend *of, GError **error);
/* On this thread, until it is given NULL: hollow arrays (array.h) are held by this one too, as they
 * are in the host's memory. */
void atl_rehearsal_count_arrays (AtlBackend *self);
/* Borrowed. */
const AtlRehearsalCounts *atl_rehearsal_counts (const AtlBackend *self);

G_END_DECLS
