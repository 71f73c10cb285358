/* Experts that a file holds one by one, as the one weight [experts, out, in] that ops take. Its
 * bytes are put together when it is uploaded.
 *
 *   GPtrArray *stacks = atl_stacks_new ();
 *   w = atl_source_stack (&source, stacks, 4, -1, dim, "ff.experts", "w1");
 *
 * Threading: as the source's.
 */
#pragma once

#include "engine/models/blocks/source.h"

G_BEGIN_DECLS

/* What stacked weights need as long as they are there: freed after the weight table. */
GPtrArray *atl_stacks_new (void);
/* "PREFIX.0.NAME" to "PREFIX.(n-1).NAME", each [out, in] (out -1: as the first one has), LoRAs
 * merged. In the files' type; in float32 where types or scales differ. NULL with the weight
 * table's mistake. */
AtlWeight *atl_source_stack (AtlSource *source,
                             GPtrArray *stacks,
                             guint n,
                             gint64 out,
                             gint64 in,
                             const char *prefix,
                             const char *name);

G_END_DECLS
