/* Files of the Hugging Face hub that a model lacks, fetched and put where it is looked for.
 *
 *   AtlModelPart parts[] = { { "openai/clip-vit-large-patch14", "vocab.json",
 *                              "tokenizer/vocab.json", 961143 } };
 *   atl_model_parts_fetch_async (parts, 1, folder, progress_cb, self, cancellable, done_cb, self);
 *
 * Each published file is on disk once, however many models use it: in "parts/files" of the data
 * folder, under its repository's name; `folder` gets hard links to it (where the disk has none,
 * symbolic ones). Every file must have the hash that the hub says. What is there already is not
 * fetched again, and an interrupted download goes on, also after a restart.
 *
 * Errors as in hub/download.h.
 *
 * Threading: as hub/download.h.
 */
#pragma once

#include "hub/progress.h"

G_BEGIN_DECLS

typedef struct
{
  const char *repository; /* "openai/clip-vit-large-patch14" */
  const char *file;       /* in it */
  const char *name;       /* relative to the folder: "tokenizer/vocab.json" */
  guint64 size_bytes;     /* 0: not known */
  gboolean is_optional;   /* the others do without it: where it cannot be had it is left out */
} AtlModelPart;

/* Copies `parts`. */
void atl_model_parts_fetch_async (const AtlModelPart *parts,
                                  guint n,
                                  const char *folder,
                                  AtlHubProgressFunc progress,
                                  gpointer progress_data,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer data);
gboolean atl_model_parts_fetch_finish (GAsyncResult *result, GError **error);

/* How much of them is still to be fetched; what has no known size counts nothing. */
guint64 atl_model_parts_bytes (const AtlModelPart *parts, guint n);

G_END_DECLS
