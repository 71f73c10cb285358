/* How one tensor is put together from rows of published weights: one after the other (experts),
 * parts of each (gates and ups in one), in another order (rotary halves). Private to convert/.
 *
 * Threading: immutable once added.
 */
#pragma once

#include "engine/convert/hf-source.h"

G_BEGIN_DECLS

typedef struct
{
  AtlHfSource **sources; /* (owned) all of one shape and type */
  guint n_sources;
  gint64 first;       /* of each source's rows … */
  gint64 n_rows;      /* … this many */
  gint64 stride;      /* rows of a source between two stretches of n_rows (experts in one tensor) */
  gint64 n_stretches; /* of each source */
  guint heads;        /* 0: rows in order; else pairs of rotary halves become neighbours */
} AtlHfRecipe;

void atl_hf_recipe_free (AtlHfRecipe *self);

/* Adds the tensor of that shape to `out`: a view where the bytes lie in the file as they are
 * wanted, else made on demand. Takes the recipe. */
gboolean atl_hf_recipe_add (AtlHfRecipe *self,
                            AtlCheckpoint *out,
                            const char *name,
                            guint n_dims,
                            const gint64 *dim,
                            GError **error);

/* Adds a list (a bias) whose elements stand for rows, and are permuted like rows. Takes the recipe.
 */
gboolean
atl_hf_recipe_add_list (AtlHfRecipe *self, AtlCheckpoint *out, const char *name, GError **error);

G_END_DECLS
