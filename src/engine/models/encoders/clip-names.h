/* Where a CLIP text encoder lies in a file, and under which names.
 *
 * transformers' names below one of several prefixes, or OpenCLIP's, whose q, k and v are stacked
 * ("attn.in_proj_weight") and whose projection is transposed.
 *
 * Threading: that of the checkpoint or source.
 */
#pragma once

#include "engine/models/blocks/source.h"

G_BEGIN_DECLS

typedef struct
{
  const char *prefix; /* static */
  gboolean is_open;   /* OpenCLIP's names */
} AtlClipPlace;

/* `role` (nullable) as in AtlLoadOptions decides where a file holds two of them. FALSE when there
 * is none. */
gboolean atl_clip_find (const AtlCheckpoint *cp, const char *role, AtlClipPlace *place);

/* An AtlNameMap: transformers' names, and "self_attn.in_proj" for the stacked ones, to OpenCLIP's.
 */
char *atl_open_clip_name (const AtlSource *source, const char *canonical);

G_END_DECLS
