/* What the files of models should contain: the SHA-256 of each, noted when it was fetched or
 * copied, else when it was checked first.
 *
 *   atl_checksum_note (path, sha256, ATL_CHECKSUM_FETCHED, url);
 *   g_autoptr (AtlChecksum) known = atl_checksum_find (path);
 *   if (known == NULL || strcmp (known->sha256, now) == 0) ...
 *
 * One small JSON file for each in $XDG_DATA_HOME/atelier/checksums, under a name made of the path
 * (of files in the library: below its folder), links followed. A note that is lost or damaged is
 * as if there had been none. Of a file without a note, its own name may say it: Ollama's and the
 * Hugging Face cache's do, and so does the catalogue of starter models.
 *
 * Threading: any; blocks shortly.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  ATL_CHECKSUM_FETCHED, /* what its publisher says */
  ATL_CHECKSUM_COPIED,  /* of the original, while it was copied */
  ATL_CHECKSUM_SEEN,    /* what it contained when it was checked first */
} AtlChecksumOrigin;

typedef struct
{
  char *sha256; /* 64 lower-case hex digits */
  AtlChecksumOrigin origin;
  char *url;         /* (nullable) where it came from */
  gint64 noted_us;   /* when, in real time; 0: nobody noted it, its name or the catalogue says so */
  gint64 changed_us; /* when the file had been written to last then; 0: as above */
} AtlChecksum;

/* NULL is fine. */
void atl_checksum_free (AtlChecksum *self);

/* What the file should contain; NULL when nobody knows. */
AtlChecksum *atl_checksum_find (const char *path);

/* Replaces what was known. What cannot be written is left out: the first check will note it. */
void
atl_checksum_note (const char *path, const char *sha256, AtlChecksumOrigin origin, const char *url);

/* What is known of `from` is known of `to` as well, the same file by another name. */
void atl_checksum_share (const char *from, const char *to);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlChecksum, atl_checksum_free)

G_END_DECLS
