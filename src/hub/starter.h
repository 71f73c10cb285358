/* The starter model: the best small chat model that this computer can hold and reach.
 *
 *   g_autofree char *there = atl_starter_find (NULL, ATL_STARTER_BEST);
 *   if (there == NULL)
 *     atl_starter_fetch_async (NULL, ATL_STARTER_BEST, progress_cb, self, NULL, done_cb, self);
 *
 * The catalogue (data/starters.json, compiled in) lists models in order of preference, each with
 * its sources. One that does not suit this machine's memory is passed over; when no source of a
 * model can be reached the next model is tried. A file is used only when its SHA-256 matches: the
 * one in the catalogue, or for a file of the Hugging Face hub the one in the hub's own metadata.
 *
 * Errors as in hub/download.h.
 *
 * Threading: as hub/download.h; the catalogue may be read from any thread.
 */
#pragma once

#include "hub/reporter.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_STARTER_BEST,
  ATL_STARTER_SMALL, /* only models marked as toys: seconds to fetch, silly to talk to */
} AtlStarterKind;

typedef struct
{
  const char *id;
  const char *title;
  const char *license;   /* SPDX */
  const char *file;      /* its name in the models folder */
  const char *about;     /* one sentence for people */
  const char *sha256;    /* (nullable) when the catalogue knows it */
  guint64 size_bytes;    /* of the file; approximate when sha256 is NULL */
  guint64 memory_bytes;  /* that should be free to run it well */
  gboolean toy;          /* a toy, to be labelled as one */
  const char *inside;    /* (nullable) its name in the file, where that is not the title */
  GVariant *recommended; /* a{sv} for atl_chat_params_apply(): what suits it */
} AtlStarter;

/* All starters, best first; static, `n` (out) how many. */
const AtlStarter *atl_starter_list (guint *n);

/* The starter that a file in the models folder is, by its name; NULL when it is none. Static. */
const AtlStarter *atl_starter_for_path (const char *path);

/* What to begin with when a model is sampled: `own` (a{sv}, nullable), what its file names, else
 * what the catalogue knows of the model at `path` (nullable) or called `name`, or by its file
 * `inside` (nullable; in any spelling, with anything behind it); NULL where neither says anything.
 * `from_catalog` (out, nullable) tells which. Borrowed from `own` or static. */
GVariant *atl_starter_recommended (
    const char *path, const char *name, const char *inside, GVariant *own, gboolean *from_catalog);

/* The one that would be fetched for this machine now. Static. */
const AtlStarter *atl_starter_choose (AtlStarterKind kind);

/* The path of a starter that is in `models_dir` (NULL: the default) already, verified when it was
 * fetched; best first. ATL_STARTER_BEST finds a toy only when nothing better is there. The
 * caller's; NULL when there is none. */
char *atl_starter_find (const char *models_dir, AtlStarterKind kind);

/* The folder of the picture model that comes with the program, a toy: $ATELIER_PICTURE_STARTER when
 * set, else the one of the tree this was built in, else the installed one. The caller's; NULL when
 * there is none. */
char *atl_starter_pictures (void);

/* Fetches into `models_dir` (NULL: the default). Returns at once with what atl_starter_find()
 * finds, except that a toy does not count when the best is asked for. */
void atl_starter_fetch_async (const char *models_dir,
                              AtlStarterKind kind,
                              AtlHubProgressFunc progress,
                              gpointer progress_data,
                              GCancellable *cancellable,
                              GAsyncReadyCallback callback,
                              gpointer data);

/* The path of the verified file, the caller's. */
char *atl_starter_fetch_finish (GAsyncResult *result, GError **error);

/* Fetches that one into `folder`, whatever is elsewhere. A worker thread's; blocks. The path, the
 * caller's. */
char *atl_starter_fetch_anew (const AtlStarter *starter,
                              const char *folder,
                              AtlReporter *reporter,
                              GCancellable *cancellable,
                              GError **error);

G_END_DECLS
