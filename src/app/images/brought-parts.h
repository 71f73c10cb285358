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
 * or a file that nothing is known of. What comes of it, notices tell.
 */
gboolean
atl_brought_parts_take (AtlPicturesSession *pictures, const char *path, const AtlModelInfo *info);
/* Whether the file is, by its name, of a vocabulary which the chosen model lacks; tokenizer.json is
 * looked into. Taking it needs no `info`. */
gboolean atl_brought_parts_wants (AtlPicturesSession *pictures, const char *path);
/* Says that the file is none of the parts which the chosen model lacks; FALSE when it lacks none.
 */
gboolean atl_brought_parts_refuse (AtlPicturesSession *pictures, const char *path);
/* Whether files of vocabularies have that name: "vocab.json". */
gboolean atl_brought_parts_is_words (const char *name);
/* Those that came together with a model, which only tells later whether it lacks them: they wait
 * until one is whole, or others come. */
void
atl_brought_parts_keep_words (AtlPicturesSession *pictures, GFile *const *files, guint n_files);
/* A folder that holds no weights, but a vocabulary for a model that lacks one or is being looked
 * at. FALSE when it holds nothing of use. */
gboolean atl_brought_parts_take_folder (AtlPicturesSession *pictures, const char *path);

G_END_DECLS
