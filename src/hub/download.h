/* One file from one web address, onto disk, verified.
 *
 *   AtlDownload request = { .url = url, .target = path, .sha256 = hex, .size_bytes = n };
 *   atl_download_async (&request, progress_cb, self, cancellable, done_cb, self);
 *   ... in done_cb: char *path = atl_download_finish (result, &error);
 *
 * What arrives is kept beside the target as NAME.part and taken up again by the next call for the
 * same target, also after a restart or a power cut (at most the last 8 MiB are fetched again). The
 * target appears only when its SHA-256 matches, under a name that was free. Connections that break
 * are retried by themselves; what ends in an error can be called again and goes on.
 *
 * Errors, in words: ATL_ERROR_NETWORK, ATL_ERROR_NOT_FOUND, ATL_ERROR_FULL (the part is kept),
 * ATL_ERROR_BAD_FILE (what came is not what was promised; the part is removed), ATL_ERROR_BUSY
 * (another process downloads it), G_IO_ERROR_CANCELLED (the part is kept).
 *
 * Threading: call from any thread with a main context; work happens on a thread of its own.
 */
#pragma once

#include "hub/progress.h"

G_BEGIN_DECLS

typedef struct
{
  const char *url;    /* http or https */
  const char *target; /* path; its folder is made */
  const char *what;   /* (nullable) name for people; default: the name of the target */
  const char *sha256; /* 64 hex digits: the content must match */
  guint64 size_bytes; /* 0: not known; else the content must be of this size */
  const char *token;  /* (nullable) sent as a bearer token to the host of `url`, to no other */
} AtlDownload;

/* Copies `request`. */
void atl_download_async (const AtlDownload *request,
                         AtlHubProgressFunc progress,
                         gpointer progress_data,
                         GCancellable *cancellable,
                         GAsyncReadyCallback callback,
                         gpointer data);

/* The path of the verified file, the caller's. */
char *atl_download_finish (GAsyncResult *result, GError **error);

G_END_DECLS
