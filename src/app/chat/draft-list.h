/* The draft model of the model in use: a smaller one of the same family that guesses ahead, so that
 * answers come faster and stay the same. Offers the models of the list that are smaller; the engine
 * says which of them fit, and why another one does not. The choice is remembered for each model, in
 * the setting "drafts", and loads the model again.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_DRAFT_LIST (atl_draft_list_get_type ())
G_DECLARE_FINAL_TYPE (AtlDraftList, atl_draft_list, ATL, DRAFT_LIST, AdwPreferencesGroup)

/* Offers drafts for the session's model; follows it from then on. */
void atl_draft_list_set_session (AtlDraftList *self, AtlSession *session);

G_END_DECLS
