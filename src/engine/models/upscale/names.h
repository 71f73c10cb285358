/* Where the enlargers' files have their layers: canonical names are those of Real-ESRGAN's own
 * files (esrgan.c, compact.c say which), translated into those of a file.
 *
 * Threading: pure functions.
 */
#pragma once

#include "engine/models/blocks/source.h"

G_BEGIN_DECLS

/* How an ESRGAN's file is laid out. */
typedef struct
{
  const char *prefix; /* static */
  AtlNameMap map;     /* (nullable) */
  guint n_blocks;
  guint n_ups; /* doublings */
} AtlEsrganLayout;

/* FALSE where the file holds no ESRGAN. */
gboolean atl_esrgan_layout (const AtlCheckpoint *cp, AtlEsrganLayout *layout);
/* Sets what `source` needs for names of that layout. */
void atl_esrgan_layout_apply (const AtlEsrganLayout *layout, AtlSource *source);

/* What stands before a Compact network's names; NULL where the file holds none. Names in ncnn's
 * files lack "body.": *map is set then. */
const char *atl_compact_prefix (const AtlCheckpoint *cp, AtlNameMap *map);

G_END_DECLS
