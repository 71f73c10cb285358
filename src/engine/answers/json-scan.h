/* Where a JSON value ends, while it is still coming in.
 *
 *   AtlJsonScan scan;
 *   atl_json_scan_init (&scan);
 *   switch (atl_json_scan_push (&scan, text, n, &used)) ...
 *
 * The scanner is strict (RFC 8259) but for one thing: line ends and tabs may stand in strings as
 * they are, as models write them; `has_raw` then says that the text may be no JSON for others yet,
 * as it also does of escapes that may be half of a pair. Each byte is looked at once, and nesting
 * is bounded by ATL_JSON_MAX_DEPTH.
 *
 * Threading: plain data; the caller synchronises.
 */
#pragma once

#include "base/json-bounded.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_JSON_SCAN_MORE, /* right so far */
  ATL_JSON_SCAN_DONE, /* the value is whole */
  ATL_JSON_SCAN_BAD,  /* no JSON */
} AtlJsonScanState;

typedef struct
{
  guint8 place;
  guint8 token[40]; /* the number or word so far */
  guint n_token;
  guint n_hex; /* digits of \u still to come */
  guint depth;
  guint64 is_object; /* a bit a level */
  gboolean has_raw;
} AtlJsonScan;

void atl_json_scan_init (AtlJsonScan *self);
/* Goes on by up to `n` bytes; `*used` of them belong to the value. A number or word at the top is
 * whole only when something follows it. */
AtlJsonScanState atl_json_scan_push (AtlJsonScan *self, const char *text, gsize n, gsize *used);

G_END_DECLS
