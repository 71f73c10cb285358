/* "Pictures to follow": what a model that edits, or draws after examples, is shown.
 *
 * Rows can be dragged; Alt+Up and Alt+Down move the focused one, Delete takes it out.
 *
 * Shows and changes the draft of the AtlPicturesSession; signal "changed" when it did.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/images/pictures-session.h"

G_BEGIN_DECLS

#define ATL_TYPE_REFERENCE_GROUP (atl_reference_group_get_type ())
G_DECLARE_FINAL_TYPE (
    AtlReferenceGroup, atl_reference_group, ATL, REFERENCE_GROUP, AdwPreferencesGroup)

void atl_reference_group_set_session (AtlReferenceGroup *self, AtlPicturesSession *pictures);
/* Shows the draft. */
void atl_reference_group_refresh (AtlReferenceGroup *self);

G_END_DECLS
