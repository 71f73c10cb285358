/* Parts of models and vocabularies that were dropped together, until it is known for which model.
 *
 *   atl_dropped_parts_add (parts, path, info);
 *   …                                         the model among them is asked about, added, chosen
 *   refused = atl_dropped_parts_hand_on (parts, pictures);
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/images/pictures-session.h"

G_BEGIN_DECLS

typedef struct _AtlDroppedParts AtlDroppedParts;

/* Empty. */
AtlDroppedParts *atl_dropped_parts_new (void);
/* NULL is fine. */
void atl_dropped_parts_free (AtlDroppedParts *self);

/* A file that `info` says to be a part, or a language model that may be one. */
void atl_dropped_parts_add (AtlDroppedParts *self, const char *path, const AtlModelInfo *info);
/* A file of a vocabulary, by its name. */
void atl_dropped_parts_add_words (AtlDroppedParts *self, const char *path);
/* The files of vocabularies in a folder; FALSE when it has none. */
gboolean atl_dropped_parts_add_folder (AtlDroppedParts *self, const char *path);
/* All go to the model that is chosen, being loaded or comes next (brought-parts.h). What is of no
 * use to any: its path, (transfer full) (element-type filename). */
GPtrArray *atl_dropped_parts_hand_on (AtlDroppedParts *self, AtlPicturesSession *pictures);
/* The person does not want the model. */
void atl_dropped_parts_forget (AtlDroppedParts *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlDroppedParts, atl_dropped_parts_free)

G_END_DECLS
