/* What a brought file is called among a model's files: a part by what the model lacks no longer
 * with it, a file of a vocabulary by its name.
 *
 *   g_autoptr (GPtrArray) names = atl_brought_names_of_part (path, before, after);
 *
 * Threading: the main thread; tokenizer.json is looked into.
 */
#pragma once

#include "client/model-info.h"

G_BEGIN_DECLS

/* What the model lacked `before` and does not `after`, asked with the part beside it: "vae/x.gguf",
 * one for each part that the file is; empty when it is none. (transfer full) (element-type char) */
GPtrArray *
atl_brought_names_of_part (const char *path, const AtlModelInfo *before, const AtlModelInfo *after);
/* The names under which the file is wanted as one of a vocabulary: several parts may have the same.
 * `lacking` may be NULL. (transfer full) (element-type char) */
GPtrArray *atl_brought_names_of_words (const char *path, const AtlModelInfo *lacking);
/* Why what was given for a part is none: borrowed from `after`; NULL when nothing is known. */
const char *atl_brought_names_misfit (const AtlModelInfo *after);
/* Whether files of vocabularies have that name: "vocab.json". */
gboolean atl_brought_names_is_words (const char *name);

G_END_DECLS
