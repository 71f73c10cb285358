/* What pipelines do with arrays. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/arrays.h"

#include <math.h>
#include <string.h>

AtlArray *
atl_array_number (const char *name, double value)
{
  AtlArray *a = atl_array_new (name, ATL_DTYPE_F32, 1, (gint64[]){ 1 });

  atl_array_f32 (a)[0] = (float) value;
  return a;
}

AtlArray *
atl_array_copy (const AtlArray *self, const char *name)
{
  AtlArray *copy = atl_array_new (name, self->dtype, self->n_dims, self->dim);

  if (!atl_array_is_hollow (self))
    memcpy (copy->data, self->data, atl_array_size (self));
  return copy;
}

AtlArray *
atl_array_try_copy (const AtlArray *self, const char *name, GError **error)
{
  AtlArray *copy = atl_array_try_new (name, self->dtype, self->n_dims, self->dim, error);

  if (copy != NULL && !atl_array_is_hollow (self))
    memcpy (copy->data, self->data, atl_array_size (self));
  return copy;
}

AtlArray *
atl_array_rows (const AtlArray *self, const char *name, gint64 first, gint64 n)
{
  gint64 dim[ATL_MAX_DIMS];
  gsize row = atl_array_size (self) / (gsize) self->dim[0];
  AtlArray *rows;

  g_assert (first >= 0 && n > 0 && first + n <= self->dim[0]);
  memcpy (dim, self->dim, sizeof dim);
  dim[0] = n;
  rows = atl_array_new (name, self->dtype, self->n_dims, dim);
  if (!atl_array_is_hollow (rows))
    memcpy (rows->data, (const guint8 *) self->data + row * (gsize) first, row * (gsize) n);
  return rows;
}

AtlArray *
atl_array_join (const char *name, guint axis, guint n, const AtlArray *const *arrays)
{
  gint64 dim[ATL_MAX_DIMS], outer = 1;
  AtlArray *joined;
  guint8 *to;

  memcpy (dim, arrays[0]->dim, sizeof dim);
  for (guint i = 0; i < axis; i++)
    outer *= dim[i];
  for (guint i = 1; i < n; i++)
    {
      g_assert (arrays[i]->n_dims == arrays[0]->n_dims && arrays[i]->dtype == arrays[0]->dtype);
      for (guint d = 0; d < arrays[0]->n_dims; d++)
        g_assert (d == axis || arrays[i]->dim[d] == arrays[0]->dim[d]);
      dim[axis] += arrays[i]->dim[axis];
    }
  joined = atl_array_new (name, arrays[0]->dtype, arrays[0]->n_dims, dim);
  if (atl_array_is_hollow (joined))
    return joined;
  to = joined->data;
  for (gint64 o = 0; o < outer; o++)
    for (guint i = 0; i < n; i++)
      {
        gsize bytes = atl_array_size (arrays[i]) / (gsize) outer;

        memcpy (to, (const guint8 *) arrays[i]->data + (gsize) o * bytes, bytes);
        to += bytes;
      }
  return joined;
}

AtlArray *
atl_array_batch (const char *name, const AtlArray *negative, const AtlArray *positive)
{
  return negative != NULL
             ? atl_array_join (name, 0, 2, (const AtlArray *const[]){ negative, positive })
             : atl_array_copy (positive, name);
}

void
atl_array_affine (AtlArray *self, float scale, float shift)
{
  gint64 n = atl_array_n_elems (self);
  float *x = atl_array_f32 (self);

  if (atl_array_is_hollow (self))
    return;
  for (gint64 i = 0; i < n; i++)
    x[i] = x[i] * scale + shift;
}

void
atl_guide (AtlArray *out, const AtlArray *negative, const AtlArray *positive, double scale)
{
  gint64 n = atl_array_n_elems (out);
  float s = (float) scale, *to = atl_array_f32 (out);
  const float *a = atl_array_f32 (negative), *b = atl_array_f32 (positive);

  g_assert (atl_array_n_elems (negative) >= n && atl_array_n_elems (positive) >= n);
  if (atl_array_is_hollow (out))
    return;
  for (gint64 i = 0; i < n; i++)
    to[i] = a[i] + s * (b[i] - a[i]);
}

void
atl_guide_batch (AtlArray *out, const AtlArray *batch, double scale)
{
  g_autoptr (AtlArray) negative = NULL;
  g_autoptr (AtlArray) positive = NULL;

  if (atl_array_is_hollow (out))
    return;
  if (batch->dim[0] == 1)
    {
      memcpy (out->data, batch->data, atl_array_size (out));
      return;
    }
  negative = atl_array_rows (batch, "negative", 0, 1);
  positive = atl_array_rows (batch, "positive", 1, 1);
  atl_guide (out, negative, positive, scale);
}

/* Of a sample: divided by n - 1. */
static double
standard_deviation (const AtlArray *array)
{
  gint64 n = atl_array_n_elems (array);
  const float *x = atl_array_f32 (array);
  double mean = 0.0, sum = 0.0;

  for (gint64 i = 0; i < n; i++)
    mean += x[i];
  mean /= (double) n;
  for (gint64 i = 0; i < n; i++)
    sum += (x[i] - mean) * (x[i] - mean);
  return sqrt (sum / (double) MAX (n - 1, 1));
}

void
atl_guidance_rescale (AtlArray *guided, const AtlArray *positive, double r)
{
  double of_guided = atl_array_is_hollow (guided) ? 0.0 : standard_deviation (guided);

  if (of_guided > 0.0)
    atl_array_affine (guided, (float) (r * standard_deviation (positive) / of_guided + 1.0 - r),
                      0.0f);
}

gboolean
atl_array_is_finite (const AtlArray *self)
{
  gint64 n = self->dtype == ATL_DTYPE_F32 ? atl_array_n_elems (self) : 0;

  for (gint64 i = 0; i < n; i++)
    if (!isfinite (atl_array_f32 (self)[i]))
      return FALSE;
  return TRUE;
}

void
atl_array_to_picture (AtlArray *self)
{
  gint64 n = atl_array_n_elems (self);
  float *x = atl_array_f32 (self);

  for (gint64 i = 0; i < n; i++)
    x[i] = CLAMP (x[i] * 0.5f + 0.5f, 0.0f, 1.0f);
}
