/* What a picture was made with, as texts inside its file: "parameters" in the form of A1111, which
 * many programs read, and "atelier", JSON with all of it.
 *
 * Threading: pure functions.
 */
#pragma once

#include "media/picture.h"

G_BEGIN_DECLS

/* `settings` and `facts` are a{sv} with ATL_MADE_* of protocol.h. */
void atl_image_recipe_add (AtlPicture *picture, GVariant *settings, GVariant *facts);

G_END_DECLS
