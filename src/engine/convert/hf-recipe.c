/* Rows of published weights put together to one tensor. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf-recipe.h"

#include <string.h>

void
atl_hf_recipe_free (AtlHfRecipe *self)
{
  for (guint i = 0; i < self->n_sources; i++)
    atl_hf_source_free (self->sources[i]);
  g_free (self->sources);
  g_free (self);
}

static void
source_rows (const AtlHfSource *source, gint64 first, gint64 n, guint8 *out)
{
  if (source->plain != NULL)
    memcpy (out, source->plain + (gsize) first * source->row_bytes, (gsize) n * source->row_bytes);
  else
    source->rows (source, first, n, out);
}

static void
recipe_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out)
{
  const AtlHfRecipe *recipe = info->rows_data;
  gsize row_bytes = recipe->sources[0]->row_bytes;

  while (n > 0)
    {
      gint64 stretch = first / recipe->n_rows, row = first % recipe->n_rows;
      const AtlHfSource *source = recipe->sources[stretch / recipe->n_stretches];
      gint64 start = recipe->first + stretch % recipe->n_stretches * recipe->stride;
      gint64 count = MIN (n, recipe->n_rows - row);

      if (recipe->heads > 0)
        {
          gint64 size = recipe->n_rows / recipe->heads, in_head = row % size;

          count = 1;
          row = row - in_head + in_head % 2 * (size / 2) + in_head / 2;
        }
      source_rows (source, start + row, count, out);
      out += (gsize) count * row_bytes;
      first += count;
      n -= count;
    }
}

gboolean
atl_hf_recipe_add (AtlHfRecipe *self,
                   AtlCheckpoint *out,
                   const char *name,
                   guint n_dims,
                   const gint64 *dim,
                   GError **error)
{
  const AtlHfSource *source = self->sources[0];
  AtlTensorInfo info = { .name = name, .dtype = source->dtype, .n_dims = n_dims };

  memcpy (info.dim, dim, n_dims * sizeof *dim);
  info.size_bytes = (gsize) atl_tensor_info_n_rows (&info) * source->row_bytes;
  atl_checkpoint_take (out, self, (GDestroyNotify) atl_hf_recipe_free);
  if (source->plain != NULL && self->n_sources == 1 && self->n_stretches == 1 && self->heads == 0)
    info.data = source->plain + (gsize) self->first * source->row_bytes;
  else
    {
      info.rows = recipe_rows;
      info.rows_data = self;
    }
  return atl_checkpoint_add_tensor (out, &info, error);
}

gboolean
atl_hf_recipe_add_list (AtlHfRecipe *self, AtlCheckpoint *out, const char *name, GError **error)
{
  AtlHfSource *source = self->sources[0];
  AtlTensorInfo info = { .name = name, .dtype = source->dtype, .n_dims = 1 };
  guint8 *bytes;

  source->n_dims = 2;
  source->dim[1] = 1;
  atl_hf_source_set_dtype (source, source->dtype);
  self->n_rows = info.dim[0] = source->dim[0];
  if (source->plain == NULL || info.dim[0] % (2 * self->heads) != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, "%s: “%s” does not divide into the heads",
                   atl_checkpoint_name (out), name);
      atl_hf_recipe_free (self);
      return FALSE;
    }
  info.size_bytes = (gsize) info.dim[0] * source->row_bytes;
  info.data = bytes = g_malloc (info.size_bytes);
  info.rows_data = self;
  recipe_rows (&info, 0, info.dim[0], bytes);
  info.rows_data = NULL;
  atl_hf_recipe_free (self);
  atl_checkpoint_take (out, bytes, g_free);
  return atl_checkpoint_add_tensor (out, &info, error);
}
