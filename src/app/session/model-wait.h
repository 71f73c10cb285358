/* Waits for the model that is being loaded, for who wants to ask it something.
 *
 *   atl_session_prepare (session, n_ctx);
 *   if (atl_session_get_is_loading (session))
 *     self->wait = atl_model_wait_new (session, ready_cb, self);
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/session/session.h"

G_BEGIN_DECLS

typedef struct _AtlModelWait AtlModelWait;

/* Called once, from the main loop, unless the wait is freed before; it may free it. `error`
 * (nullable): why loading failed. Without one `model` is what is in use now, which is NULL where
 * loading was given up. Both borrowed. */
typedef void (*AtlModelReady) (AtlModel *model, const GError *error, gpointer data);

/* `session` is borrowed and must live as long. */
AtlModelWait *atl_model_wait_new (AtlSession *session, AtlModelReady ready, gpointer data);
/* Waits no longer; NULL is nothing. */
void atl_model_wait_free (AtlModelWait *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlModelWait, atl_model_wait_free)

G_END_DECLS
