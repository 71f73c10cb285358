/* What the authors of a model recommend for its answers.
 *
 *   atl_chat_params_init (&params);
 *   atl_chat_params_apply (&params, atl_recommended (model), NULL);
 *
 * Threading: the main thread.
 */
#pragma once

#include "client/model.h"

G_BEGIN_DECLS

/* Of the model's file, else of the catalogue of starters; a{sv} for atl_chat_params_apply(), NULL
 * where neither says anything. Borrowed from `model`. */
GVariant *atl_recommended (AtlModel *model);

/* "The model's file recommends: temperature 0.7, top-p 0.8", "" where nothing is recommended. The
 * caller's. */
char *atl_recommended_words (AtlModel *model);

G_END_DECLS
