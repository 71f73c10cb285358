/* How the model in use keeps what it has read of a chat: exactly, or rounded so that it takes half
 * or a quarter of the memory. Each choice says what it would take; the engine counts. The choice is
 * remembered for each model, in the setting "kv-types", and loads the model again.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_KV_LIST (atl_kv_list_get_type ())
G_DECLARE_FINAL_TYPE (AtlKvList, atl_kv_list, ATL, KV_LIST, AdwPreferencesGroup)

/* Offers the choices for the session's model; follows it from then on. */
void atl_kv_list_set_session (AtlKvList *self, AtlSession *session);

G_END_DECLS
