/* Parts of models that a person brings as files, wherever they are dropped: a tiny decoder goes to
 * where every model finds it, another part to the model that is chosen and lacks it.
 *
 *   if (!atl_brought_parts_take (pictures, path, info))
 *     atl_add_model (parent, session, file);
 *
 * Parts that come before the model does, as in one drop of all its files, wait for it.
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/images/pictures-session.h"

G_BEGIN_DECLS

/* `info` (nullable) is what the engine said of the file. FALSE when it is something else: a model,
 * or a file that nothing is known of while no model lacks anything. What comes of it, notices tell.
 */
gboolean
atl_brought_parts_take (AtlPicturesSession *pictures, const char *path, const AtlModelInfo *info);
/* Whether a file of this name, no weights, is one that the chosen model lacks: a vocabulary. */
gboolean atl_brought_parts_wants (AtlPicturesSession *pictures, const char *name);

G_END_DECLS
