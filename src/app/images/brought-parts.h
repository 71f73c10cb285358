/* Parts of models that a person brings as files, wherever they are dropped: a tiny decoder goes to
 * where every model finds it, another part to the model that is chosen and lacks it, or draws
 * without it and takes it.
 *
 *   if (!atl_brought_parts_take (pictures, path, info))
 *     …    it is a model
 *
 * Parts that come before the model does wait for it. Those of one drop with a model are held until
 * that one is chosen (dropped-parts.h).
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/images/pictures-session.h"

G_BEGIN_DECLS

/* `info` is what the engine said of the file. FALSE when it is a model by itself: one that chats is
 * taken while another one is being looked at, or lacks something. What comes of it, notices tell.
 */
gboolean
atl_brought_parts_take (AtlPicturesSession *pictures, const char *path, const AtlModelInfo *info);
/* Whether the file is, by its name, of a vocabulary which the chosen model lacks; tokenizer.json is
 * looked into. */
gboolean atl_brought_parts_wants (AtlPicturesSession *pictures, const char *path);
/* Files of vocabularies (element-type filename), all that were brought at a time: each goes to
 * where the chosen model lacks it, the others wait until a model is whole, or others come. FALSE
 * when the model lacks none of them and none is being looked at, unless it is said to `keep` them.
 */
gboolean
atl_brought_parts_take_words (AtlPicturesSession *pictures, GPtrArray *paths, gboolean keep);
/* Says that the file is none of the parts which the chosen model lacks; FALSE when it lacks none.
 */
gboolean atl_brought_parts_refuse (AtlPicturesSession *pictures, const char *path);

G_END_DECLS
