/* Parts of models for pictures that a person has as files, put where models find them.
 *
 *   atl_given_part_take_async ("/home/ann/ae.safetensors", folder, "vae/ae.safetensors",
 *                              ATL_GIVEN_LINK, NULL, done_cb, self);
 *
 * Nothing is overwritten: a file of another content that has the name makes this one's get a
 * number; the same content is there already.
 *
 * Threading: as hub/download.h.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  ATL_GIVEN_COPY,
  ATL_GIVEN_LINK, /* hard where the disk can, else symbolic: for what is large */
} AtlGivenMode;

/* `name` is relative to the folder. */
void atl_given_part_take_async (const char *path,
                                const char *folder,
                                const char *name,
                                AtlGivenMode mode,
                                GCancellable *cancellable,
                                GAsyncReadyCallback callback,
                                gpointer data);
/* Where it is now, the caller's. Errors: ATL_ERROR_FULL, ATL_ERROR_INVALID. */
char *atl_given_part_take_finish (GAsyncResult *result, GError **error);

G_END_DECLS
