/* How one tensor is put together from rows of published weights: one module after the other
 * (experts), parts of each (gates and ups in one), in another order (rotary halves, heads), times a
 * number. Private to convert/.
 *
 * Threading: immutable once added.
 */
#pragma once

#include "engine/convert/hf-layout.h"
#include "engine/convert/hf-source.h"

G_BEGIN_DECLS

typedef struct
{
  AtlHfSource **sources; /* (owned) all of one shape and type */
  guint n_sources;
  gint64 n_units;   /* of all sources: experts, or one a source */
  gint64 unit_rows; /* of a source that a unit has */
  AtlHfPlan plan;   /* of each unit */
  AtlDType dtype;   /* of the rows that it gives: the sources', or F32 where numbers change */
  gsize row_bytes;
} AtlHfRecipe;

/* Takes `sources` (ended by NULL); `unit_rows` divides the rows of each. */
AtlHfRecipe *atl_hf_recipe_new (AtlHfSource **sources, gint64 unit_rows, const AtlHfPlan *plan);
void atl_hf_recipe_free (AtlHfRecipe *self);

/* Adds the tensor of that shape to `out`: a view where the bytes lie in the file as they are
 * wanted, else made on demand. Takes the recipe; `sorted` is nullable. */
gboolean atl_hf_recipe_add (AtlHfRecipe *self,
                            AtlCheckpoint *out,
                            const char *name,
                            guint n_dims,
                            const gint64 *dim,
                            const AtlSortedTensor *sorted,
                            GError **error);

/* Describes that tensor, but for its name, without adding it: for what stands beside another one.
 * `out` takes the recipe. */
void atl_hf_recipe_describe (
    AtlHfRecipe *self, AtlCheckpoint *out, guint n_dims, const gint64 *dim, AtlTensorInfo *info);

/* The same for a list (a bias, a norm), whose elements are rows of one: as F32, made at once. Takes
 * the recipe. */
gboolean atl_hf_recipe_add_list (AtlHfRecipe *self,
                                 AtlCheckpoint *out,
                                 const char *name,
                                 guint n_dims,
                                 const gint64 *dim,
                                 GError **error);

G_END_DECLS
