/* Products of few rows: activations rounded once, then each group of 16 outputs on its own. */
#include "engine/tensor/cpu/product.h"

#include <string.h>

#include "engine/tensor/cpu/act.h"

/* Up to so many rows plain weights are dotted rather than made into tiles. */
#define FEW_PLAIN_ROWS 8

AtlSource
atl_product_source (
    const AtlCpuRun *run, const AtlTensor *t, gint64 expert, gint64 first_out, const float *bias)
{
  const AtlCpuWeight *w = atl_cpu_weight (run, t);
  const gint64 n_in = t->dim[t->n_dims - 1];
  AtlSource s = { .n_out = t->dim[t->n_dims - 2], .first_out = first_out, .bias = bias };
  AtlCpuRows rows;

  if (w != NULL && w->packed != NULL && t->base == NULL)
    {
      gint64 n_groups = (s.n_out + ATL_PACK_ROWS - 1) / ATL_PACK_ROWS;

      s.kind = ATL_SOURCE_PACKED;
      s.dtype = t->dtype;
      s.stride = atl_pack_group_bytes (t->dtype, n_in);
      s.data = w->packed + (gsize) (expert * n_groups) * s.stride;
      s.scale = t->weight->scale;
      return s;
    }
  rows = atl_cpu_rows (t);
  s.dtype = rows.dtype;
  s.stride = rows.row_bytes;
  if (w != NULL && w->rows != NULL && t->base == NULL)
    rows.data = w->rows;
  s.data = rows.data + (gsize) (expert * s.n_out) * rows.row_bytes;
  s.scale = rows.scale;
  if (s.dtype == ATL_DTYPE_F32 || s.dtype == ATL_DTYPE_F16 || s.dtype == ATL_DTYPE_BF16 ||
      s.dtype == ATL_DTYPE_F8_E4M3 || s.dtype == ATL_DTYPE_F8_E5M2)
    s.kind = ATL_SOURCE_PLAIN;
  else if (atl_pack_info (s.dtype) != NULL && t->base == NULL && run->cpu->kernels != NULL)
    s.kind = ATL_SOURCE_FILE;
  else
    s.kind = ATL_SOURCE_OTHER;
  return s;
}

gint64
atl_product_count_groups (AtlProduct *p)
{
  guint n = p->gated ? 1 : p->n_sources;

  for (guint i = 0; i < n; i++)
    p->first_group[i + 1] =
        p->first_group[i] + (p->source[i].n_out + ATL_PACK_ROWS - 1) / ATL_PACK_ROWS;
  return p->first_group[n];
}

gboolean
atl_product_is_few (const AtlProduct *p, gboolean exact, gint64 n_rows)
{
  for (guint i = 0; i < p->n_sources; i++)
    switch (p->source[i].kind)
      {
      case ATL_SOURCE_PACKED:
      case ATL_SOURCE_FILE:
        if (exact || n_rows > p->kernels->fast_rows)
          return FALSE;
        break;
      case ATL_SOURCE_PLAIN:
        if (n_rows > FEW_PLAIN_ROWS)
          return FALSE;
        break;
      case ATL_SOURCE_OTHER:
      default:
        return FALSE;
      }
  return TRUE;
}

guint
atl_product_tile_rows (const AtlCpuKernels *kernels, gboolean exact)
{
  return (guint) MAX (FEW_PLAIN_ROWS, exact ? 0 : kernels->fast_rows) + 1;
}

void
atl_product_row_classes (const AtlCpuKernels *kernels,
                         gboolean exact,
                         guint *few_rows,
                         guint *many_rows)
{
  *few_rows = 0;
  *many_rows = 0;
  if (kernels == NULL)
    return;
  *few_rows = exact ? 1 : (guint) MIN (FEW_PLAIN_ROWS, kernels->fast_rows);
  *many_rows = atl_product_tile_rows (kernels, exact);
  if (kernels->byte_tiles != NULL || kernels->attend_range != NULL)
    *many_rows = MAX (*many_rows, ATL_PROMPT_MIN_ROWS);
}

gsize
atl_product_quant_bytes (gint64 n, gint64 n_in)
{
  return (gsize) (n * (n_in / 32)) * (64 + sizeof (AtlQuantBlock)) + 64;
}

AtlQuantRows
atl_product_quant_rows (gint64 n, gint64 n_in, guint8 *memory)
{
  AtlQuantRows rows = { .n_blocks = n_in / 32 };

  rows.q = (gint8 *) memory;
  rows.blocks = (AtlQuantBlock *) (memory + (gsize) (n * rows.n_blocks) * 64);
  return rows;
}

static void
quantize_chunk (gconstpointer args, guint chunk, guint worker)
{
  const AtlProduct *p = args;
  AtlQuantRows rows = p->quantized;

  p->kernels->quantize_row (p->x + chunk * p->x_stride, p->n_in, chunk, &rows);
}

void
atl_product_quantize (AtlCpuRun *run, const AtlProduct *p)
{
  gboolean needed = FALSE;

  for (guint i = 0; i < p->n_sources; i++)
    needed |= atl_source_is_quantized (&p->source[i]);
  if (!needed)
    return;
  /* One row takes a microsecond or two: less than waking others. */
  if (p->n * p->n_in < 32768)
    for (gint64 i = 0; i < p->n; i++)
      quantize_chunk (p, (guint) i, 0);
  else
    atl_pool_run (run->pool, p->n, quantize_chunk, p);
}

static guint
source_of (const AtlProduct *p, gint64 group)
{
  guint i = 0;

  if (!p->gated)
    while (group >= p->first_group[i + 1])
      i++;
  return i;
}

guint
atl_product_group_columns (const AtlProduct *p, gint64 group, gint64 *column)
{
  guint i = source_of (p, group);
  gint64 first = (group - p->first_group[i]) * ATL_PACK_ROWS;

  *column = p->source[i].first_out + first;
  return (guint) MIN (ATL_PACK_ROWS, p->source[i].n_out - first);
}

const AtlSource *
atl_product_source_of (const AtlProduct *p, gint64 group, gint64 *column)
{
  const guint i = source_of (p, group);

  *column = (group - p->first_group[i]) * ATL_PACK_ROWS;
  return &p->source[i];
}

/* Room for one packed group, a thread's own. */
static guint8 *
own_group (gsize bytes)
{
  static GPrivate memory = G_PRIVATE_INIT (g_aligned_free);
  static __thread gsize room;
  guint8 *group = g_private_get (&memory);

  if (room < bytes)
    {
      group = g_aligned_alloc (1, bytes, 64);
      g_private_replace (&memory, group);
      room = bytes;
    }
  return group;
}

/* Packing moves bits only: the sums are those of a weight that was packed when it was loaded. */
static void
file_dot (const AtlProduct *p, const AtlSource *s, gint64 group, gint64 first, gint64 n, float *out)
{
  guint8 *packed = own_group (atl_pack_group_bytes (s->dtype, p->n_in));

  atl_pack_group (s->dtype, s->data + (gsize) (group * ATL_PACK_ROWS) * s->stride, s->stride,
                  (guint) MIN (ATL_PACK_ROWS, s->n_out - group * ATL_PACK_ROWS), p->n_in, packed);
  p->kernels->packed_dot (s->dtype, packed, &p->quantized, first, n, out);
}

static void
source_dot (
    const AtlProduct *p, const AtlSource *s, gint64 group, gint64 first, gint64 n, float *out)
{
  if (s->kind == ATL_SOURCE_PACKED)
    {
      p->kernels->packed_dot (s->dtype, s->data + (gsize) group * s->stride, &p->quantized, first,
                              n, out);
      return;
    }
  if (s->kind == ATL_SOURCE_FILE)
    {
      file_dot (p, s, group, first, n, out);
      return;
    }
  memset (out, 0, (gsize) n * ATL_PACK_ROWS * sizeof (float));
  p->kernels->plain_dot (s->dtype, s->data + (gsize) (group * ATL_PACK_ROWS) * s->stride, s->stride,
                         (guint) MIN (ATL_PACK_ROWS, s->n_out - group * ATL_PACK_ROWS), p->n_in,
                         p->x + first * p->x_stride, p->x_stride, n, out);
}

/* One row with a group of each of two sources, out[2][16]; FALSE, nothing done, where that is no
 * faster than one after the other. */
static gboolean
two_dots (const AtlProduct *p,
          const AtlSource *const source[2],
          const gint64 group[2],
          gint64 row,
          float *out)
{
  const guint8 *data[2];

  for (guint i = 0; i < 2; i++)
    {
      if (source[i]->kind != ATL_SOURCE_PACKED || source[i]->dtype != source[0]->dtype)
        return FALSE;
      data[i] = source[i]->data + (gsize) group[i] * source[i]->stride;
    }
  p->kernels->packed_dot_two (source[0]->dtype, data, &p->quantized, row, out);
  return TRUE;
}

static void
scale_and_bias (const AtlSource *s, gint64 group, gint64 n, float *sums)
{
  if (s->scale != 1.0f)
    for (gint64 i = 0; i < n * ATL_PACK_ROWS; i++)
      sums[i] *= s->scale;
  if (s->bias != NULL)
    {
      const float *bias = s->bias + group * ATL_PACK_ROWS;
      gint64 n_columns = MIN (ATL_PACK_ROWS, s->n_out - group * ATL_PACK_ROWS);

      for (gint64 t = 0; t < n; t++)
        for (gint64 i = 0; i < n_columns; i++)
          sums[t * ATL_PACK_ROWS + i] += bias[i];
    }
}

static void
activate (const AtlProduct *p, AtlAct act, float *values, gint64 n)
{
  if (act != ATL_ACT_NONE && !p->kernels->act_row (act, values, n))
    for (gint64 j = 0; j < n; j++)
      values[j] = atl_act_apply (act, values[j]);
}

void
atl_product_finish (const AtlProduct *p, gint64 group, gint64 n, float *sums, float *second)
{
  const guint i = source_of (p, group);
  const gint64 own = group - p->first_group[i];
  const gint64 count = n * ATL_PACK_ROWS;

  scale_and_bias (&p->source[i], own, n, sums);
  activate (p, p->act, sums, count);
  if (p->gated)
    {
      scale_and_bias (&p->source[1], own, n, second);
      activate (p, atl_act_of_factor (p->act), second, count);
      for (gint64 j = 0; j < count; j++)
        sums[j] *= second[j];
    }
  if (p->a != 1.0f)
    for (gint64 j = 0; j < count; j++)
      sums[j] *= p->a;
}

void
atl_product_few (
    const AtlProduct *p, gint64 group, gint64 first, gint64 n, float *out, float *second)
{
  const guint i = source_of (p, group);
  const gint64 own = group - p->first_group[i];

  float both[2 * ATL_PACK_ROWS];

  if (p->gated && n == 1 &&
      two_dots (p, (const AtlSource *[]){ &p->source[0], &p->source[1] }, (gint64[]){ own, own },
                first, both))
    {
      memcpy (out, both, sizeof both / 2);
      memcpy (second, both + ATL_PACK_ROWS, sizeof both / 2);
    }
  else
    {
      source_dot (p, &p->source[i], own, first, n, out);
      if (p->gated)
        source_dot (p, &p->source[1], own, first, n, second);
    }
  atl_product_finish (p, group, n, out, second);
}

gboolean
atl_product_two (const AtlProduct *p, gint64 group, gint64 row, float *out)
{
  const guint i = source_of (p, group);
  const AtlSource *s = &p->source[i];
  const gint64 own = group - p->first_group[i];

  if (p->gated || group + 1 >= p->first_group[i + 1] ||
      !two_dots (p, (const AtlSource *[]){ s, s }, (gint64[]){ own, own + 1 }, row, out))
    return FALSE;
  for (guint k = 0; k < 2; k++)
    atl_product_finish (p, group + k, 1, out + k * ATL_PACK_ROWS, NULL);
  return TRUE;
}
