/* The downloading itself: one address into one part file, with resumption and retries.
 *
 * Threading: a worker thread with the session's context as its default; blocks.
 */
#pragma once

#include "hub/http.h"
#include "hub/part-file.h"

G_BEGIN_DECLS

typedef struct
{
  const char *url;
  const char *what;    /* for people */
  const char *token;   /* (nullable) */
  guint64 size_bytes;  /* 0: not known */
  guint64 base_bytes;  /* progress that lies before this file */
  guint64 total_bytes; /* of the progress; 0: this file's */
} AtlFetch;

/* Brings the address to `target` (part-file.h says how it is resumed) and returns the path of the
 * file, the caller's, once its hash is `sha256` (nullable: not checked). */
char *atl_fetch_file (SoupSession *session,
                      const AtlFetch *fetch,
                      const char *target,
                      const char *sha256,
                      AtlReporter *reporter,
                      GCancellable *cancellable,
                      GError **error);

G_END_DECLS
