/* The start picture of a request: as it is, with its mask, or on a larger ground.
 *
 *   atl_picture_prepare_async (client, request, settings, abilities, cancellable, ready_cb, self);
 *
 * Threading: the main thread; slow work is done by the engine and on a worker.
 */
#pragma once

#include "app/images/picture-settings.h"
#include "client/client.h"

G_BEGIN_DECLS

/* What is asked of the model `info`: settings, LoRAs, pictures to follow. Owned. */
AtlPictureRequest *atl_picture_prepare_request (const AtlPictureSettings *settings,
                                                const AtlModelInfo *info,
                                                guint32 seed);
/* The same with what it begins with, for a price: nothing is read. Owned. */
AtlPictureRequest *atl_picture_prepare_price (const AtlPictureSettings *settings,
                                              const AtlModelInfo *info);

/* Adds to `request` (kept until the end) what `settings` begin with, as far as a model with
 * `abilities` (ATL_PICTURE_*) takes it. */
void atl_picture_prepare_async (AtlClient *client,
                                AtlPictureRequest *request,
                                const AtlPictureSettings *settings,
                                guint abilities,
                                GCancellable *cancellable,
                                GAsyncReadyCallback callback,
                                gpointer data);
/* The same request. Owned. Errors: those of reading the pictures, in words. */
AtlPictureRequest *atl_picture_prepare_finish (GAsyncResult *result, GError **error);

G_END_DECLS
