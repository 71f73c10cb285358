/* In the place of the picture: what the chosen model lacks, and a button that fetches it.
 *
 * Shown by the page while atl_pictures_session_get_lacking() has something; when all parts are
 * there the model is loaded.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/images/pictures-session.h"

G_BEGIN_DECLS

#define ATL_TYPE_MISSING_PARTS (atl_missing_parts_get_type ())
G_DECLARE_FINAL_TYPE (AtlMissingParts, atl_missing_parts, ATL, MISSING_PARTS, GtkWidget)

/* Once, before it is shown; takes a reference. */
void atl_missing_parts_set_session (AtlMissingParts *self, AtlPicturesSession *pictures);

G_END_DECLS
