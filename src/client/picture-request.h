/* What is asked of a model that makes pictures: settings, pictures that go in, LoRAs.
 *
 *   g_autoptr (AtlPictureRequest) request = atl_picture_request_new (settings);
 *   atl_picture_request_add_file (request, ATL_CREATE_IMAGE, "/home/ada/fox.png");
 *   atl_picture_request_add_lora (request, "/home/ada/ink.safetensors", 0.8);
 *   job = atl_client_create (client, model, request);
 *
 * Threading: filled by one thread, then immutable; reference counting is atomic.
 */
#pragma once

#include <gio/gunixfdlist.h>

#include "protocol/protocol.h"

G_BEGIN_DECLS

typedef struct _AtlPictureRequest AtlPictureRequest;

/* `settings` (a{sv}, floating taken) have the keys ATL_MADE_* of protocol.h and those of the
 * model's parameters (AtlModelInfo.params). */
AtlPictureRequest *atl_picture_request_new (GVariant *settings);
AtlPictureRequest *atl_picture_request_ref (AtlPictureRequest *self);
/* NULL is fine. */
void atl_picture_request_unref (AtlPictureRequest *self);

/* --- Filling, before it is handed over --- */

/* `role` is ATL_CREATE_IMAGE, _MASK (white where it may change) or _REFERENCE; of references there
 * may be several. A file on the disk, opened when the job begins: */
void atl_picture_request_add_file (AtlPictureRequest *self, const char *role, const char *path);
/* the bytes of a PNG, JPEG or WebP file: */
void atl_picture_request_add_bytes (AtlPictureRequest *self, const char *role, GBytes *bytes);
/* or pixels, [height, width, 3], 8 bits a colour. */
void atl_picture_request_add_pixels (
    AtlPictureRequest *self, const char *role, GBytes *rgb, guint width, guint height);
/* `strength` NAN: as the file is meant. */
void atl_picture_request_add_lora (AtlPictureRequest *self, const char *path, double strength);

/* --- Reading --- */

GVariant *atl_picture_request_get_settings (AtlPictureRequest *self); /* borrowed */

/* The settings as the engine takes them, with the LoRAs' names and strengths and the roles and
 * sizes of its inputs; floating. `sizes` (nullable): of files, as far as known, path -> guint[2].
 */
GVariant *atl_picture_request_make_settings (AtlPictureRequest *self, GHashTable *sizes);

/* Opens its files for the engine behind what `fds` and `names` have already. Waits for the disk: on
 * a worker. ATL_ERROR_NOT_FOUND, ATL_ERROR_BAD_FILE, ATL_ERROR_NO_MEMORY in words. */
gboolean atl_picture_request_open (AtlPictureRequest *self,
                                   GUnixFDList *fds,
                                   GPtrArray *names,
                                   GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlPictureRequest, atl_picture_request_unref)

G_END_DECLS
