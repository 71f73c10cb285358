/* "Begin with a picture": which one, how much of it may change, what of it, and more room around.
 *
 * Shows and changes the draft of the AtlPicturesSession; signal "changed" when a person changed it
 * in place. Actions it asks its page for: images.paint, images.extend-canvas.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/images/pictures-session.h"

G_BEGIN_DECLS

#define ATL_TYPE_START_GROUP (atl_start_group_get_type ())
G_DECLARE_FINAL_TYPE (AtlStartGroup, atl_start_group, ATL, START_GROUP, AdwPreferencesGroup)

void atl_start_group_set_session (AtlStartGroup *self, AtlPicturesSession *pictures);
/* Shows the draft. */
void atl_start_group_refresh (AtlStartGroup *self);

G_END_DECLS
