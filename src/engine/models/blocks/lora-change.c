/* Reading a group's tensors into one of the few forms of a change; rows of it; DoRA's gains. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/blocks/lora-change.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "engine/tensor/quants/dequant.h"

/* However small a weight is, a factor of its change may have as many elements. */
#define SMALL_FACTOR ((guint64) 1 << 20)

typedef struct
{
  const AtlLoraGroup *group;
  guint64
      limit; /* elements: no factor of an honest change has more, and none larger is allocated */
  gboolean numbers;
} Reader;

static void
matrix_clear (AtlLoraMatrix *m)
{
  g_clear_pointer (&m->data, g_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlLoraMatrix, matrix_clear)

void
atl_lora_change_clear (AtlLoraChange *self)
{
  matrix_clear (&self->a);
  matrix_clear (&self->b);
  matrix_clear (&self->a2);
  matrix_clear (&self->b2);
}

/* --- Matrices --- */

static gboolean
allocate (const Reader *r, gint64 rows, gint64 cols, AtlLoraMatrix *out)
{
  guint64 n;

  out->rows = rows;
  out->cols = cols;
  if (rows < 1 || cols < 1 || !atl_checked_mul ((guint64) rows, (guint64) cols, &n) || n > r->limit)
    return FALSE;
  if (r->numbers)
    out->data = g_new0 (float, n);
  return TRUE;
}

/* [first dimension, all others]; a vector is one column. */
static gboolean
read_matrix (const Reader *r, AtlLoraPart part, AtlLoraMatrix *out)
{
  const AtlTensorInfo *info = r->group->part[part];
  guint64 n;

  if (info == NULL || info->data == NULL || info->n_dims < 1 || info->dim[0] < 1 ||
      !atl_dtype_is_float_like (info->dtype) ||
      !atl_checked_product (info->dim, info->n_dims, &n) || n < 1 ||
      n % atl_dtype_info (info->dtype)->block_elems != 0 ||
      !allocate (r, info->dim[0], (gint64) n / info->dim[0], out))
    return FALSE;
  return !r->numbers || atl_dequantize (info->dtype, info->data, out->data, n);
}

/* sum_k x[k] * rows of b, into out [b.cols]. */
static void
combine (const float *x, const AtlLoraMatrix *b, float *out)
{
  memset (out, 0, (gsize) b->cols * sizeof *out);
  for (gint64 k = 0; k < b->rows; k++)
    {
      const float *row = b->data + k * b->cols;
      float f = x[k];

      for (gint64 j = 0; j < b->cols; j++)
        out[j] += f * row[j];
    }
}

static gboolean
multiply (const Reader *r, const AtlLoraMatrix *a, const AtlLoraMatrix *b, AtlLoraMatrix *out)
{
  if (a->cols != b->rows || !allocate (r, a->rows, b->cols, out))
    return FALSE;
  for (gint64 i = 0; r->numbers && i < a->rows; i++)
    combine (a->data + i * a->cols, b, out->data + i * b->cols);
  return TRUE;
}

static gboolean
transpose (const Reader *r, const AtlLoraMatrix *m, AtlLoraMatrix *out)
{
  if (!allocate (r, m->cols, m->rows, out))
    return FALSE;
  for (gint64 i = 0; r->numbers && i < m->rows; i++)
    for (gint64 j = 0; j < m->cols; j++)
      out->data[j * m->rows + i] = m->data[i * m->cols + j];
  return TRUE;
}

/* Tucker's core [i, j, kernel] with down [j, in]: out [i, in * kernel], of which element
 * [i, n, k] is sum_j core[i, j, k] * down[j, n]. */
static gboolean
through_core (const Reader *r, AtlLoraPart core, const AtlLoraMatrix *down, AtlLoraMatrix *out)
{
  const AtlTensorInfo *info = r->group->part[core];
  g_auto (AtlLoraMatrix) m = { 0 };
  gint64 n_j, n_k;

  if (!read_matrix (r, core, &m) || info->n_dims < 2 || info->dim[1] != down->rows)
    return FALSE;
  n_j = info->dim[1];
  n_k = m.cols / n_j;
  if (!allocate (r, m.rows, down->cols * n_k, out))
    return FALSE;
  for (gint64 i = 0; r->numbers && i < m.rows; i++)
    for (gint64 j = 0; j < n_j; j++)
      for (gint64 n = 0; n < down->cols; n++)
        for (gint64 k = 0; k < n_k; k++)
          out->data[(i * down->cols + n) * n_k + k] +=
              m.data[(i * n_j + j) * n_k + k] * down->data[j * down->cols + n];
  return TRUE;
}

/* --- Forms --- */

static gboolean
read_pair (const Reader *r, AtlLoraChange *out)
{
  g_auto (AtlLoraMatrix) down = { 0 };

  out->form = ATL_LORA_PRODUCT;
  if (!read_matrix (r, ATL_LORA_UP, &out->b) || !read_matrix (r, ATL_LORA_DOWN, &down))
    return FALSE;
  if (r->group->part[ATL_LORA_MID] != NULL)
    return through_core (r, ATL_LORA_MID, &down, &out->a);
  out->a = down;
  down.data = NULL;
  return TRUE;
}

/* One of the two products of a LoHa; with a core, w_a is [rank, out]. */
static gboolean
read_half (const Reader *r,
           AtlLoraPart w_a,
           AtlLoraPart w_b,
           AtlLoraPart core,
           AtlLoraMatrix *a,
           AtlLoraMatrix *b)
{
  g_auto (AtlLoraMatrix) first = { 0 }, second = { 0 };

  if (!read_matrix (r, w_a, &first) || !read_matrix (r, w_b, &second))
    return FALSE;
  if (r->group->part[core] != NULL)
    return through_core (r, core, &second, a) && transpose (r, &first, b);
  *a = second;
  *b = first;
  first.data = second.data = NULL;
  return TRUE;
}

static gboolean
read_hadamard (const Reader *r, AtlLoraChange *out)
{
  out->form = ATL_LORA_HADAMARD;
  return read_half (r, ATL_LORA_HADA_W1_A, ATL_LORA_HADA_W1_B, ATL_LORA_HADA_T1, &out->a,
                    &out->b) &&
         read_half (r, ATL_LORA_HADA_W2_A, ATL_LORA_HADA_W2_B, ATL_LORA_HADA_T2, &out->a2,
                    &out->b2) &&
         out->a2.rows == out->b2.cols && out->b2.rows == out->b.rows && out->a2.cols == out->a.cols;
}

/* A factor of a LoKr: whole, or a product, or that through a core. */
static gboolean
read_factor (const Reader *r, AtlLoraPart whole, AtlLoraPart core, AtlLoraMatrix *out)
{
  g_auto (AtlLoraMatrix) a = { 0 }, b = { 0 }, inner = { 0 }, outer = { 0 };

  if (r->group->part[whole] != NULL)
    return read_matrix (r, whole, out);
  /* NAME_a and NAME_b stand behind NAME. */
  if (!read_matrix (r, whole + 1, &a) || !read_matrix (r, whole + 2, &b))
    return FALSE;
  if (core == ATL_LORA_N_PARTS || r->group->part[core] == NULL)
    return multiply (r, &a, &b, out);
  return through_core (r, core, &b, &inner) && transpose (r, &a, &outer) &&
         multiply (r, &outer, &inner, out);
}

static gboolean
read_kronecker (const Reader *r, AtlLoraChange *out)
{
  out->form = ATL_LORA_KRONECKER;
  return read_factor (r, ATL_LORA_LOKR_W1, ATL_LORA_N_PARTS, &out->b) &&
         read_factor (r, ATL_LORA_LOKR_W2, ATL_LORA_LOKR_T2, &out->a);
}

static gboolean
has_any (const AtlLoraGroup *group, AtlLoraPart first, AtlLoraPart last)
{
  for (AtlLoraPart part = first; part <= last; part++)
    if (group->part[part] != NULL)
      return TRUE;
  return FALSE;
}

gboolean
atl_lora_change_read (
    const AtlLoraGroup *group, gint64 rows, gint64 cols, gboolean numbers, AtlLoraChange *out)
{
  Reader r = { .group = group,
               .limit = MAX (4 * (guint64) rows * (guint64) cols, SMALL_FACTOR),
               .numbers = numbers };
  gboolean ok = TRUE;

  *out = (AtlLoraChange){ .rows = rows, .cols = cols };
  if (has_any (group, ATL_LORA_DOWN, ATL_LORA_MID))
    ok = read_pair (&r, out);
  else if (has_any (group, ATL_LORA_HADA_W1_A, ATL_LORA_HADA_T2))
    ok = read_hadamard (&r, out);
  else if (has_any (group, ATL_LORA_LOKR_W1, ATL_LORA_LOKR_T2))
    ok = read_kronecker (&r, out);
  else if (group->part[ATL_LORA_DIFF] != NULL)
    {
      out->form = ATL_LORA_WHOLE;
      ok = read_matrix (&r, ATL_LORA_DIFF, &out->a) && out->a.rows * out->a.cols == rows * cols;
    }
  if (ok && (out->form == ATL_LORA_PRODUCT || out->form == ATL_LORA_HADAMARD))
    ok = out->a.rows == out->b.cols && out->b.rows == rows && out->a.cols == cols;
  if (ok && out->form == ATL_LORA_KRONECKER)
    ok = rows % out->b.rows == 0 && rows / out->b.rows == out->a.rows && cols % out->b.cols == 0 &&
         cols / out->b.cols == out->a.cols;
  if (!ok)
    atl_lora_change_clear (out);
  return ok;
}

void
atl_lora_change_row (const AtlLoraChange *self, gint64 i, float *out)
{
  i = (i + self->turn) % self->rows;
  switch (self->form)
    {
    case ATL_LORA_PRODUCT:
      combine (self->b.data + i * self->b.cols, &self->a, out);
      return;
    case ATL_LORA_HADAMARD:
      {
        g_autofree float *second = g_new (float, self->cols);

        combine (self->b.data + i * self->b.cols, &self->a, out);
        combine (self->b2.data + i * self->b2.cols, &self->a2, second);
        for (gint64 k = 0; k < self->cols; k++)
          out[k] *= second[k];
        return;
      }
    case ATL_LORA_KRONECKER:
      {
        const float *b = self->b.data + i / self->a.rows * self->b.cols;
        const float *a = self->a.data + i % self->a.rows * self->a.cols;

        for (gint64 k = 0; k < self->cols; k++)
          out[k] = b[k / self->a.cols] * a[k % self->a.cols];
        return;
      }
    case ATL_LORA_WHOLE:
      memcpy (out, self->a.data + i * self->cols, (gsize) self->cols * sizeof *out);
      return;
    case ATL_LORA_NOTHING:
    default:
      memset (out, 0, (gsize) self->cols * sizeof *out);
      return;
    }
}

/* --- Magnitudes --- */

gboolean
atl_lora_magnitude_axis (const AtlLoraGroup *group, gint64 rows, gint64 in, AtlLoraAxis *axis)
{
  const AtlTensorInfo *info = group->part[ATL_LORA_MAGNITUDE];
  gboolean is_of_input = FALSE;
  guint64 n;

  *axis = ATL_LORA_NO_MAGNITUDE;
  if (info == NULL)
    {
      info = group->part[ATL_LORA_DORA_SCALE];
      is_of_input = info != NULL && info->n_dims >= 2 && info->dim[0] == 1 && rows != 1;
    }
  if (info == NULL)
    return TRUE;
  *axis = is_of_input ? ATL_LORA_OF_INPUT : ATL_LORA_OF_ROWS;
  return info->data != NULL && atl_dtype_is_float_like (info->dtype) &&
         atl_dtype_info (info->dtype)->block_elems == 1 &&
         atl_checked_product (info->dim, info->n_dims, &n) &&
         n == (guint64) (is_of_input ? in : rows);
}

float *
atl_lora_magnitudes (const AtlLoraGroup *group, gint64 n)
{
  const AtlTensorInfo *info = group->part[ATL_LORA_MAGNITUDE] != NULL
                                  ? group->part[ATL_LORA_MAGNITUDE]
                                  : group->part[ATL_LORA_DORA_SCALE];
  float *out = g_new (float, n);

  atl_dequantize (info->dtype, info->data, out, (gsize) n);
  return out;
}

float *
atl_lora_gains (const AtlLoraChange *change,
                double factor,
                const float *magnitudes,
                const AtlWeight *weight,
                gint64 first,
                AtlLoraAxis axis)
{
  gint64 rows = weight->dim[0], cols = change->cols, in = weight->dim[1], kernel = cols / in;
  gint64 n = axis == ATL_LORA_OF_ROWS ? rows : in;
  gsize row_bytes = weight->size_bytes / (gsize) rows;
  g_autofree double *squares = g_new0 (double, n);
  g_autofree float *w = g_new (float, cols);
  g_autofree float *d = g_new (float, cols);
  float *gains = g_new (float, n);

  for (gint64 i = 0; i < rows; i++)
    {
      atl_dequantize (weight->dtype, weight->data + (gsize) i * row_bytes, w, (gsize) cols);
      atl_lora_change_row (change, first + i, d);
      for (gint64 k = 0; k < cols; k++)
        {
          double sum = (double) w[k] * weight->scale + factor * d[k];

          squares[axis == ATL_LORA_OF_ROWS ? i : k / kernel] += sum * sum;
        }
    }
  for (gint64 i = 0; i < n; i++)
    {
      gint64 of = axis == ATL_LORA_OF_ROWS ? (first + i + change->turn) % change->rows : i;

      gains[i] = (float) (magnitudes[of] / (sqrt (squares[i]) + FLT_EPSILON));
    }
  return gains;
}
