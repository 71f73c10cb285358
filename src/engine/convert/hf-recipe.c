/* Rows of published weights put together to one tensor. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf-recipe.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/tensor/quants/dequant.h"

/* Rows that are made at a time where they change on their way. */
#define STRETCH_BYTES (1 << 18)

static gint64
n_columns (const AtlHfSource *source)
{
  return source->n_dims > 0 ? source->dim[source->n_dims - 1] : 1;
}

AtlHfRecipe *
atl_hf_recipe_new (AtlHfSource **sources, gint64 unit_rows, const AtlHfPlan *plan)
{
  AtlHfRecipe *self = g_new0 (AtlHfRecipe, 1);
  guint64 bytes = 0;
  gboolean ok;

  self->sources = sources;
  while (sources[self->n_sources] != NULL)
    self->n_sources++;
  self->unit_rows = unit_rows;
  self->n_units = self->n_sources * (sources[0]->n_rows / unit_rows);
  self->plan = *plan;
  self->dtype = sources[0]->dtype;
  for (guint i = 0; i < plan->n_pieces; i++)
    if (plan->piece[i].factor != 1.0f)
      self->dtype = ATL_DTYPE_F32;
  ok = atl_dtype_row_bytes (self->dtype, (guint64) n_columns (sources[0]), &bytes);
  g_assert (ok);
  self->row_bytes = (gsize) bytes;
  return self;
}

void
atl_hf_recipe_free (AtlHfRecipe *self)
{
  for (guint i = 0; i < self->n_sources; i++)
    atl_hf_source_free (self->sources[i]);
  g_free (self->sources);
  g_free (self);
}

/* `n` rows of a source, of which each is `stride` after the one before. */
static void
source_rows (const AtlHfSource *source, gint64 first, gint64 stride, gint64 n, guint8 *out)
{
  const gsize size = source->row_bytes;

  if (source->plain == NULL)
    source->rows (source, first, stride, n, out);
  else if (stride == 1)
    memcpy (out, source->plain + (gsize) first * size, (gsize) n * size);
  else
    for (gint64 i = 0; i < n; i++)
      memcpy (out + (gsize) i * size, source->plain + (gsize) (first + i * stride) * size, size);
}

static void
move_columns (const AtlHfSource *source, const AtlHfPiece *columns, const guint8 *row, guint8 *out)
{
  const AtlDTypeInfo *type = atl_dtype_info (source->dtype);
  const gint64 n = atl_hf_piece_size (columns), in_run = columns->size[ATL_HF_LEVELS - 1];
  const gsize run = (gsize) in_run / type->block_elems * type->block_bytes;

  for (gint64 i = 0; i < n; i += in_run, out += run)
    {
      gint64 first = atl_hf_piece_row (columns, i);

      memcpy (out, row + (gsize) first / type->block_elems * type->block_bytes, run);
    }
}

/* Rows that change on their way. */
static void
changed_rows (const AtlHfRecipe *self,
              const AtlHfSource *source,
              float factor,
              gint64 first,
              gint64 stride,
              gint64 n,
              guint8 *out)
{
  const AtlHfPiece *columns = &self->plan.columns;
  gint64 width = n_columns (source), step = MAX (1, STRETCH_BYTES / (gint64) source->row_bytes);
  g_autofree guint8 *rows = g_malloc ((gsize) MIN (n, step) * source->row_bytes);
  g_autofree guint8 *moved = columns->size[0] > 0 ? g_malloc (source->row_bytes) : NULL;
  g_autofree float *values =
      self->dtype != source->dtype || factor != 1.0f ? g_new (float, width) : NULL;

  for (gint64 done = 0; done < n; done += step)
    {
      gint64 count = MIN (step, n - done);

      source_rows (source, first + done * stride, stride, count, rows);
      for (gint64 i = 0; i < count; i++, out += self->row_bytes)
        {
          const guint8 *row = rows + (gsize) i * source->row_bytes;

          if (moved != NULL)
            {
              move_columns (source, columns, row, moved);
              row = moved;
            }
          if (values == NULL)
            memcpy (out, row, source->row_bytes);
          else
            {
              atl_dequantize (source->dtype, row, values, (gsize) width);
              for (gint64 k = 0; k < width; k++)
                values[k] *= factor;
              memcpy (out, values, (gsize) width * sizeof (float));
            }
        }
    }
}

static void
recipe_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out)
{
  const AtlHfRecipe *self = info->rows_data;
  const AtlHfPlan *plan = &self->plan;
  const gint64 per_source = self->n_units / self->n_sources;
  const guint last = ATL_HF_LEVELS - 1;

  while (n > 0)
    {
      gint64 unit = first / plan->n_rows, row = first % plan->n_rows, start, count;
      const AtlHfSource *source = self->sources[unit / per_source];
      const AtlHfPiece *piece = plan->piece;

      for (;; piece++)
        {
          gint64 size = atl_hf_piece_size (piece);

          if (row < size)
            break;
          row -= size;
        }
      start = unit % per_source * self->unit_rows + atl_hf_piece_row (piece, row);
      count = MIN (n, piece->size[last] - row % piece->size[last]);
      if (self->dtype == source->dtype && piece->factor == 1.0f && plan->columns.size[0] == 0)
        source_rows (source, start, piece->stride[last], count, out);
      else
        changed_rows (self, source, piece->factor, start, piece->stride[last], count, out);
      out += (gsize) count * self->row_bytes;
      first += count;
      n -= count;
    }
}

static gboolean
check (AtlHfRecipe *self, const AtlCheckpoint *out, const char *name, GError **error)
{
  if (self->plan.n_rows > 0 &&
      atl_hf_plan_fits (&self->plan, self->unit_rows, n_columns (self->sources[0])))
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s: “%s” is too small"),
               atl_checkpoint_name (out), name);
  atl_hf_recipe_free (self);
  return FALSE;
}

void
atl_hf_recipe_describe (
    AtlHfRecipe *self, AtlCheckpoint *out, guint n_dims, const gint64 *dim, AtlTensorInfo *info)
{
  const AtlHfSource *source = self->sources[0];

  *info = (AtlTensorInfo){ .dtype = self->dtype, .n_dims = n_dims };
  memcpy (info->dim, dim, n_dims * sizeof *dim);
  info->size_bytes = (gsize) (self->n_units * self->plan.n_rows) * self->row_bytes;
  atl_checkpoint_take (out, self, (GDestroyNotify) atl_hf_recipe_free);
  if (source->plain != NULL && self->n_sources == 1 &&
      atl_hf_plan_is_plain (&self->plan, self->unit_rows))
    info->data = source->plain;
  else
    {
      info->rows = recipe_rows;
      info->rows_data = self;
    }
}

gboolean
atl_hf_recipe_add (AtlHfRecipe *self,
                   AtlCheckpoint *out,
                   const char *name,
                   guint n_dims,
                   const gint64 *dim,
                   const AtlSortedTensor *sorted,
                   GError **error)
{
  AtlTensorInfo info;

  if (!check (self, out, name, error))
    return FALSE;
  atl_hf_recipe_describe (self, out, n_dims, dim, &info);
  info.name = name;
  info.sorted = sorted;
  return atl_checkpoint_add_tensor (out, &info, error);
}

gboolean
atl_hf_recipe_add_list (AtlHfRecipe *self,
                        AtlCheckpoint *out,
                        const char *name,
                        guint n_dims,
                        const gint64 *dim,
                        GError **error)
{
  AtlTensorInfo info = { .name = name, .dtype = ATL_DTYPE_F32, .n_dims = n_dims };
  AtlTensorInfo rows = { .rows_data = self };
  gint64 n = self->n_units * self->plan.n_rows;
  g_autofree guint8 *bytes = NULL;
  float *values;

  if (!check (self, out, name, error))
    return FALSE;
  bytes = g_malloc ((gsize) n * self->row_bytes);
  values = g_new (float, n);
  recipe_rows (&rows, 0, n, bytes);
  atl_dequantize (self->dtype, bytes, values, (gsize) n);
  for (gint64 i = 0; i < n; i++)
    if (self->plan.change == ATL_HF_ADD_ONE)
      values[i] += 1.0f;
    else if (self->plan.change == ATL_HF_NEGATIVE_EXP)
      values[i] = (float) -exp ((double) values[i]);
  memcpy (info.dim, dim, n_dims * sizeof *dim);
  info.data = (const guint8 *) values;
  info.size_bytes = (gsize) n * sizeof (float);
  atl_hf_recipe_free (self);
  atl_checkpoint_take (out, values, g_free);
  return atl_checkpoint_add_tensor (out, &info, error);
}
