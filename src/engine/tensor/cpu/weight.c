/* Uploads to the CPU: what a weight becomes beside the bytes of its file.
 *
 * Rows that are looked up are used where the file is mapped. Those of products are copied, unless
 * the weight is to stay in its file (in_file): quantised ones are packed for the level's vectors
 * (pack.h), floats are copied as they are, since files are mapped in small pages, from which they
 * stream at two thirds of the speed. Both read the file instead of its mapping: pages that are met
 * once and given back take longer. Vectors become float32; convolutions become panels of 16
 * output channels, so that the innermost loop over outputs is one vector; of two bytes an element
 * where the file has no more.
 */
#include "engine/tensor/cpu/cpu-private.h"

#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>

#include "base/language.h"

/* Input channels in a panel, and elements of a panel of 16 output channels. */
static gint64
conv_channels (const AtlCpu *cpu, const AtlWeight *w)
{
  gint64 unit = cpu->kernels != NULL ? cpu->kernels->channel_unit : 1;
  return (w->dim[1] + unit - 1) / unit * unit;
}

static gint64
conv_panel (const AtlCpu *cpu, const AtlWeight *w)
{
  gint64 taps = atl_weight_n_elems (w) / w->dim[0] / w->dim[1];
  return taps * conv_channels (cpu, w) * ATL_CPU_CONV_PANEL;
}

/* What holds the weight as it is: an f8 is exact in bf16. */
static AtlDType
conv_dtype (const AtlCpu *cpu, const AtlWeight *w)
{
  if (cpu->kernels == NULL || w->scale != 1.0f)
    return ATL_DTYPE_F32;
  switch (w->dtype)
    {
    case ATL_DTYPE_F16:
      return ATL_DTYPE_F16;
    case ATL_DTYPE_BF16:
    case ATL_DTYPE_F8_E4M3:
    case ATL_DTYPE_F8_E5M2:
      return ATL_DTYPE_BF16;
    default:
      return ATL_DTYPE_F32;
    }
}

static gsize
conv_bytes (const AtlCpu *cpu, const AtlWeight *w)
{
  gint64 panels = (w->dim[0] + ATL_CPU_CONV_PANEL - 1) / ATL_CPU_CONV_PANEL;
  return (gsize) (panels * conv_panel (cpu, w)) * atl_dtype_info (conv_dtype (cpu, w))->block_bytes;
}

/* Exact products of stacked experts are the reference's, which reads the rows as they are. */
static gboolean
wants_packing (const AtlCpu *cpu, const AtlWeight *w)
{
  return (w->use & ATL_USE_LINEAR) && !w->in_file && !(cpu->exact && w->n_dims > 2) &&
         cpu->kernels != NULL && w->n_dims >= 2 && atl_pack_info (w->dtype) != NULL;
}

/* Groups of all experts; each expert's last group is padded. */
static gsize
packed_bytes (const AtlWeight *w)
{
  gint64 n_in = w->dim[w->n_dims - 1];
  gint64 n_out = w->dim[w->n_dims - 2];
  gint64 n_experts = atl_weight_n_elems (w) / (n_in * n_out);
  gint64 n_groups = n_experts * ((n_out + ATL_PACK_ROWS - 1) / ATL_PACK_ROWS);

  return (gsize) n_groups * atl_pack_group_bytes (w->dtype, n_in);
}

/* Of what lies in a file map, whose small pages stream at three quarters of the speed. */
static gboolean
wants_large_pages (const AtlCpu *cpu, const AtlWeight *w)
{
  return (w->use & ATL_USE_LINEAR) && !w->in_file && cpu->kernels != NULL && w->n_dims >= 2 &&
         w->made == NULL && w->bytes == NULL && w->size_bytes >= ATL_CPU_SLABS_MIN &&
         (w->dtype == ATL_DTYPE_F16 || w->dtype == ATL_DTYPE_BF16 || w->dtype == ATL_DTYPE_F32);
}

gsize
atl_cpu_weight_cost (AtlCpu *cpu, const AtlWeight *w)
{
  gsize cost = 0;

  if (w->use & ATL_USE_VECTOR)
    cost += (gsize) atl_weight_n_elems (w) * sizeof (float);
  if (w->use & ATL_USE_CONV)
    cost += conv_bytes (cpu, w);
  if (wants_packing (cpu, w))
    cost += packed_bytes (w);
  if (wants_large_pages (cpu, w))
    cost += w->size_bytes;
  return cost;
}

/* For as long as the weight is there, or for a moment only. */
static gpointer
alloc_bytes (AtlCpu *cpu, gsize bytes, gboolean lasting, const AtlWeight *w, GError **error)
{
  gpointer p = lasting ? atl_cpu_slabs_alloc (cpu->slabs, bytes) : atl_cpu_alloc (bytes);
  g_autofree char *size = NULL;

  if (p != NULL)
    return p;
  size = atl_language_size (bytes);
  g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY,
               _ ("The computer has no %s of free memory left for “%s”."), size, w->name);
  return NULL;
}

static gboolean
to_f32 (const AtlWeight *w, gint64 first, gint64 n, float *dst, GError **error)
{
  const AtlDTypeInfo *info = atl_dtype_info (w->dtype);

  if (!atl_dequantize (w->dtype, w->data + first / info->block_elems * info->block_bytes, dst, n))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("“%s” has the type %s, which holds no weights that can be used."), w->name,
                   info->name);
      return FALSE;
    }
  if (w->scale != 1.0f)
    for (gint64 i = 0; i < n; i++)
      dst[i] *= w->scale;
  return TRUE;
}

typedef struct
{
  const AtlWeight *w;
  AtlDType dtype;      /* of the panels */
  const guint8 *plain; /* [Cout, Cin, taps] of plain_dtype */
  AtlDType plain_dtype;
  gint64 taps, channels, block;
  guint8 *out;
} ConvPacking;

/* [Cout, Cin, taps] -> [Cout / 16][blocks of Cin][taps][block][16], one panel a chunk. */
static void
pack_conv_chunk (gconstpointer args, guint chunk, guint worker)
{
  const ConvPacking *p = args;
  const gint64 n_in = p->w->dim[1];
  const gint64 first = (gint64) chunk * ATL_CPU_CONV_PANEL;
  const gint64 n = MIN (ATL_CPU_CONV_PANEL, p->w->dim[0] - first);
  const gint64 per_out = n_in * p->taps;
  const gint64 n_elems = p->taps * p->channels * ATL_CPU_CONV_PANEL;
  const gsize size = atl_dtype_info (p->dtype)->block_bytes;
  guint8 *out = p->out + (gsize) (chunk * n_elems) * size;

  memset (out, 0, (gsize) n_elems * size);
  for (gint64 t = 0; t < p->taps; t++)
    for (gint64 i = 0; i < n_in; i++)
      {
        const gint64 to =
            (((i / p->block) * p->taps + t) * p->block + i % p->block) * ATL_CPU_CONV_PANEL;
        const gint64 from = first * per_out + i * p->taps + t;

        if (p->dtype == ATL_DTYPE_F32)
          for (gint64 o = 0; o < n; o++)
            memcpy (out + (to + o) * 4, p->plain + (from + o * per_out) * 4, 4);
        else if (p->plain_dtype == p->dtype)
          for (gint64 o = 0; o < n; o++)
            memcpy (out + (to + o) * 2, p->plain + (from + o * per_out) * 2, 2);
        else /* the upper half of a float32 that is a bf16 */
          for (gint64 o = 0; o < n; o++)
            memcpy (out + (to + o) * 2, p->plain + (from + o * per_out) * 4 + 2, 2);
      }
}

static guint8 *
pack_conv (AtlCpu *cpu, const AtlWeight *w, AtlDType dtype, GError **error)
{
  float *floats = NULL;
  ConvPacking p = {
    .w = w,
    .dtype = dtype,
    .plain = w->data,
    .plain_dtype = w->dtype,
    .taps = atl_weight_n_elems (w) / w->dim[0] / w->dim[1],
    .channels = conv_channels (cpu, w),
  };

  p.block = cpu->kernels != NULL && cpu->kernels->channel_unit > 1 ? cpu->kernels->channel_unit
                                                                   : p.channels;

  /* One output channel at a time would cut blocks when they do not divide it, so all at once. */
  if (w->dtype != dtype || w->scale != 1.0f)
    {
      floats = alloc_bytes (cpu, (gsize) atl_weight_n_elems (w) * sizeof (float), FALSE, w, error);
      if (floats == NULL || !to_f32 (w, 0, atl_weight_n_elems (w), floats, error))
        {
          free (floats);
          return NULL;
        }
      p.plain = (const guint8 *) floats;
      p.plain_dtype = ATL_DTYPE_F32;
    }
  p.out = alloc_bytes (cpu, conv_bytes (cpu, w), TRUE, w, error);
  if (p.out != NULL)
    atl_pool_run (cpu->pool, (w->dim[0] + ATL_CPU_CONV_PANEL - 1) / ATL_CPU_CONV_PANEL,
                  pack_conv_chunk, &p);
  free (floats);
  return p.out;
}

/* Whether the weight is what its file holds, and can be read from there. */
static gboolean
lies_in_file (const AtlWeight *w)
{
  return w->map != NULL && w->made == NULL && w->bytes == NULL &&
         w->data >= atl_file_map_data (w->map) &&
         w->size_bytes <=
             atl_file_map_size (w->map) -
                 MIN ((gsize) (w->data - atl_file_map_data (w->map)), atl_file_map_size (w->map));
}

/* What a chunk reads of a file at a time, so that it is packed from the second-level cache. */
#define READ_BYTES ((gsize) 256 * 1024)

typedef struct
{
  const AtlWeight *w;
  guint8 *out;
  guint8 *room; /* (nullable) [worker][room_bytes] of the file; NULL: packed where they are */
  gsize room_bytes;
  gint64 n_in, n_out, n_groups, groups_per_expert, groups_per_chunk;
  gsize row_bytes, group_bytes;
} Packing;

/* The first row of a group; the row after the last of those before it. */
static gint64
first_row (const Packing *p, gint64 group)
{
  return group / p->groups_per_expert * p->n_out + group % p->groups_per_expert * ATL_PACK_ROWS;
}

static void
pack_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Packing *p = args;
  const gint64 first = chunk * p->groups_per_chunk;
  const gint64 end = MIN (first + p->groups_per_chunk, p->n_groups);
  const gint64 row = first_row (p, first);
  const guint8 *data = p->w->data + (gsize) row * p->row_bytes;

  if (p->room != NULL)
    {
      guint8 *room = p->room + worker * p->room_bytes;

      atl_file_map_read (p->w->map, data, (gsize) (first_row (p, end) - row) * p->row_bytes, room);
      data = room;
    }
  for (gint64 g = first; g < end; g++)
    atl_pack_group (p->w->dtype, data + (gsize) (first_row (p, g) - row) * p->row_bytes,
                    p->row_bytes,
                    (guint) MIN (ATL_PACK_ROWS, first_row (p, g + 1) - first_row (p, g)), p->n_in,
                    p->out + (gsize) g * p->group_bytes);
}

static guint8 *
pack_rows (AtlCpu *cpu, const AtlWeight *w, GError **error)
{
  const AtlDTypeInfo *info = atl_dtype_info (w->dtype);
  Packing p = {
    .w = w,
    .out = alloc_bytes (cpu, packed_bytes (w), TRUE, w, error),
    .n_in = w->dim[w->n_dims - 1],
    .n_out = w->dim[w->n_dims - 2],
  };
  gsize source_bytes;

  if (p.out == NULL)
    return NULL;
  p.groups_per_expert = (p.n_out + ATL_PACK_ROWS - 1) / ATL_PACK_ROWS;
  p.row_bytes = (gsize) p.n_in / info->block_elems * info->block_bytes;
  p.group_bytes = atl_pack_group_bytes (w->dtype, p.n_in);
  p.n_groups = (gint64) (packed_bytes (w) / p.group_bytes);
  source_bytes = ATL_PACK_ROWS * p.row_bytes;
  p.groups_per_chunk = (gint64) CLAMP (READ_BYTES / source_bytes, 1, (gsize) p.n_groups);
  /* What little there is, or where there is no memory for it, is read where it is mapped. */
  p.room_bytes = (gsize) p.groups_per_chunk * source_bytes;
  if (lies_in_file (w) && w->size_bytes >= READ_BYTES)
    p.room = atl_cpu_alloc (p.room_bytes * cpu->n_threads);
  atl_pool_run (cpu->pool, (guint) ((p.n_groups + p.groups_per_chunk - 1) / p.groups_per_chunk),
                pack_chunk, &p);
  free (p.room);
  return p.out;
}

typedef struct
{
  const AtlWeight *w;
  guint8 *out;
  gboolean from_file;
} Copying;

static void
copy_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Copying *c = args;
  const gsize first = (gsize) chunk * ATL_CPU_HUGE_BYTES;
  const gsize size = MIN (ATL_CPU_HUGE_BYTES, c->w->size_bytes - first);

  if (c->from_file)
    atl_file_map_read (c->w->map, c->w->data + first, size, c->out + first);
  else
    memcpy (c->out + first, c->w->data + first, size);
}

static guint8 *
copy_rows (AtlCpu *cpu, const AtlWeight *w, GError **error)
{
  Copying c = { w, alloc_bytes (cpu, w->size_bytes, TRUE, w, error), lies_in_file (w) };

  if (c.out != NULL)
    atl_pool_run (cpu->pool,
                  (guint) ((w->size_bytes + ATL_CPU_HUGE_BYTES - 1) / ATL_CPU_HUGE_BYTES),
                  copy_chunk, &c);
  return c.out;
}

gboolean
atl_cpu_weight_upload (AtlCpu *cpu, AtlWeight *w, GError **error)
{
  AtlCpuWeight *store;

  if (w->store[cpu->base.index] != NULL)
    return TRUE;
  if (!atl_dtype_is_float_like (w->dtype))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("“%s” has the type %s, which holds no weights that can be used."), w->name,
                   atl_dtype_name (w->dtype));
      return FALSE;
    }
  store = g_new0 (AtlCpuWeight, 1);
  w->store[cpu->base.index] = store;
  if (w->use & ATL_USE_VECTOR)
    {
      store->f32 =
          alloc_bytes (cpu, (gsize) atl_weight_n_elems (w) * sizeof (float), TRUE, w, error);
      if (store->f32 == NULL || !to_f32 (w, 0, atl_weight_n_elems (w), store->f32, error))
        goto fail;
    }
  if (w->use & ATL_USE_CONV)
    {
      store->conv_dtype = conv_dtype (cpu, w);
      store->conv = pack_conv (cpu, w, store->conv_dtype, error);
      if (store->conv == NULL)
        goto fail;
    }
  if (wants_packing (cpu, w))
    {
      store->packed = pack_rows (cpu, w, error);
      if (store->packed == NULL)
        goto fail;
    }
  if (wants_large_pages (cpu, w))
    {
      store->rows = copy_rows (cpu, w, error);
      if (store->rows == NULL)
        goto fail;
    }
  return TRUE;

fail:
  atl_cpu_weight_drop (cpu, w);
  return FALSE;
}

void
atl_cpu_weight_drop (AtlCpu *cpu, AtlWeight *w)
{
  AtlCpuWeight *store = w->store[cpu->base.index];

  if (store == NULL)
    return;
  atl_cpu_slabs_free (cpu->slabs, store->f32);
  atl_cpu_slabs_free (cpu->slabs, store->conv);
  atl_cpu_slabs_free (cpu->slabs, store->packed);
  atl_cpu_slabs_free (cpu->slabs, store->rows);
  g_free (store);
  w->store[cpu->base.index] = NULL;
}

AtlCpuRows
atl_cpu_rows (const AtlTensor *t)
{
  const AtlTensor *base = t->base != NULL ? t->base : t;
  const AtlDTypeInfo *info = atl_dtype_info (t->dtype);
  gint64 n_rows;
  gint64 row_stride;
  AtlCpuRows rows = { .dtype = t->dtype, .scale = 1.0f };
  gboolean ok = atl_tensor_rows (t, &n_rows, &row_stride);

  g_assert (ok);
  rows.row_bytes = (gsize) row_stride / info->block_elems * info->block_bytes;
  if (base->weight != NULL)
    {
      rows.data = base->weight->data + (gsize) t->offset / info->block_elems * info->block_bytes;
      rows.scale = base->weight->scale;
    }
  else
    {
      rows.data = atl_tensor_host (t);
    }
  return rows;
}

void
atl_cpu_row_f32 (const AtlCpuRows *rows, gint64 i, gint64 n, float *out)
{
  gboolean ok = atl_dequantize (rows->dtype, rows->data + (gsize) i * rows->row_bytes, out, n);

  g_assert (ok);
  if (rows->scale != 1.0f)
    for (gint64 k = 0; k < n; k++)
      out[k] *= rows->scale;
}
