/* Making rows of Nunchaku's matrices. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/svdq-rows.h"

#include <string.h>

#include "engine/tensor/quants/half.h"

#define BLOCK 32

static gint64
row_of (const AtlSvdqLayer *self, gint64 row)
{
  gint64 n = self->n_rows / self->alternate;

  return self->first + row % n * self->alternate + row / n;
}

void
atl_svdq_block_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out)
{
  const AtlSvdqLayer *self = info->rows_data;
  guint bytes = atl_dtype_info (info->dtype)->block_bytes;

  for (gint64 r = first; r < first + n; r++)
    for (guint i = 0; i < self->n_of; i++)
      {
        atl_svdq_blocks (self->of[i], row_of (self, r), out);
        out += self->of[i]->n_in / BLOCK * bytes;
      }
}

/* An affine matrix in floats. */
void
atl_svdq_plain_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out)
{
  const AtlSvdqLayer *self = info->rows_data;

  for (gint64 r = first; r < first + n; r++, out += self->n_in * (gint64) sizeof (float))
    atl_svdq_row (self->of[0], row_of (self, r), (float *) (gpointer) out);
}

/* down in floats, [rank, in]; the caller frees. */
static float *
unpack_down (const AtlSvdqMatrix *m)
{
  float *down = g_new (float, m->rank * m->n_in);

  for (gint64 j = 0; j < m->rank; j++)
    for (gint64 k = 0; k < m->n_in; k++)
      down[j * m->n_in + k] = atl_svdq_float (m->part[ATL_SVDQ_DOWN], atl_svdq_down (m, j, k));
  return down;
}

/* Both branches as one matrix. */
void
atl_svdq_whole_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out)
{
  const AtlSvdqLayer *self = info->rows_data;
  g_autofree float *row = g_new (float, self->n_in);
  gint64 left = 0;

  for (guint i = 0; i < self->n_of; left += self->of[i]->n_in, i++)
    {
      const AtlSvdqMatrix *m = self->of[i];
      g_autofree float *down = unpack_down (m);

      for (gint64 r = 0; r < n; r++)
        {
          gint64 from = row_of (self, first + r);
          guint8 *to = out + 2 * (r * self->n_in + left);

          atl_svdq_row (m, from, row);
          for (gint64 k = 0; k < m->n_in; k++)
            row[k] *= m->unsmooth[k];
          for (gint64 j = 0; j < m->rank; j++)
            {
              float up = atl_svdq_float (m->part[ATL_SVDQ_UP], atl_svdq_up (m, from, j));

              for (gint64 k = 0; k < m->n_in; k++)
                row[k] += up * down[j * m->n_in + k];
            }
          for (gint64 k = 0; k < m->n_in; k++)
            atl_store_f16 (to + 2 * k, row[k]);
        }
    }
}

void
atl_svdq_smooth_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out)
{
  const AtlSvdqLayer *self = info->rows_data;

  for (guint i = 0; n > 0 && i < self->n_of; i++)
    {
      gsize size = (gsize) self->of[i]->n_in * sizeof (float);

      memcpy (out, self->of[i]->unsmooth, size);
      out += size;
    }
}

/* The branches of several matrices are blocks on a diagonal. */
void
atl_svdq_down_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out)
{
  const AtlSvdqLayer *self = info->rows_data;

  for (gint64 r = first; r < first + n; r++)
    {
      gint64 rank = r;

      for (guint i = 0; i < self->n_of; i++)
        {
          const AtlSvdqMatrix *m = self->of[i];
          gboolean is_here = rank >= 0 && rank < m->rank;

          for (gint64 k = 0; k < m->n_in; k++, out += 2)
            atl_store_u16 (out, is_here ? atl_svdq_down (m, rank, k) : 0);
          rank -= m->rank;
        }
    }
}

void
atl_svdq_up_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out)
{
  const AtlSvdqLayer *self = info->rows_data;

  for (gint64 r = first; r < first + n; r++)
    for (guint i = 0; i < self->n_of; i++)
      for (gint64 j = 0; j < self->of[i]->rank; j++, out += 2)
        atl_store_u16 (out, atl_svdq_up (self->of[i], row_of (self, r), j));
}

void
atl_svdq_bias_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out)
{
  const AtlSvdqLayer *self = info->rows_data;
  g_autofree float *row = g_new (float, self->n_in);

  for (gint64 r = 0; n > 0 && r < self->n_rows; r++)
    {
      double sum = 0;

      for (guint i = 0; i < self->n_of; i++)
        {
          const AtlSvdqMatrix *m = self->of[i];

          sum += atl_svdq_bias (m, row_of (self, r));
          if (self->shift[i] == 0)
            continue;
          /* The file's has what the shift adds taken off. */
          atl_svdq_row (m, row_of (self, r), row);
          for (gint64 k = 0; k < m->n_in; k++)
            sum += self->shift[i] * row[k] * m->unsmooth[k];
        }
      /* Of shift, scale, gate: the scale. */
      if (self->alternate > 1 && r * self->alternate / self->n_rows % 3 == 1)
        sum -= 1.0;
      ((float *) (gpointer) out)[r] = (float) sum;
    }
}
