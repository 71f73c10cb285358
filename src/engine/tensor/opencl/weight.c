/* Upload: rows are repacked in pieces by a few threads, and each piece is sent. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/weight.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/tensor/opencl/programs.h"
#include "engine/tensor/quants/dequant.h"

#define PIECE_BYTES (16u << 20)
#define PLANE_ALIGNMENT 256
#define MAX_THREADS 8
/* Below this many bytes a piece is not worth a second thread. */
#define BYTES_PER_THREAD (1u << 20)

AtlDType
atl_cl_matrix_dtype (AtlDType dtype)
{
  if (atl_cl_dtype_has_kernels (dtype))
    return dtype;
  return dtype == ATL_DTYPE_F64 ? ATL_DTYPE_F32 : ATL_CL_WIDE;
}

AtlDType
atl_cl_conv_dtype (AtlDType dtype)
{
  return atl_cl_dtype_has_conv (dtype) ? dtype : ATL_DTYPE_F32;
}

gint64
atl_cl_conv_channels (gint64 n_channels)
{
  return (n_channels + 15) & ~(gint64) 15;
}

/* Elements of a row of the weight as the kernels see it, and rows. A convolution's row is all taps
 * of one output channel. */
static void
matrix_shape (const AtlWeight *w, gboolean conv, gint64 *n_rows, gint64 *row)
{
  *n_rows = w->dim[0];
  *row = 1;
  if (conv)
    {
      for (guint i = 2; i < w->n_dims; i++)
        *row *= w->dim[i];
      *row *= atl_cl_conv_channels (w->dim[1]);
      return;
    }
  for (guint i = 1; i + 1 < w->n_dims; i++)
    *n_rows *= w->dim[i];
  *row = w->dim[w->n_dims - 1];
  if (w->n_dims == 1)
    *n_rows = 1;
}

static gsize
place_planes (const AtlClLayout *layout, gint64 n_rows, guint64 offset[ATL_CL_PLANES])
{
  gsize at = 0;

  for (guint i = 0; i < ATL_CL_PLANES; i++)
    {
      offset[i] = i < layout->n_planes ? at : 0;
      if (i < layout->n_planes)
        at += ((gsize) n_rows * layout->row_bytes[i] + PLANE_ALIGNMENT - 1) &
              ~(gsize) (PLANE_ALIGNMENT - 1);
    }
  return at;
}

static gsize
matrix_bytes (const AtlWeight *w, gboolean conv)
{
  AtlDType dtype = conv ? atl_cl_conv_dtype (w->dtype) : atl_cl_matrix_dtype (w->dtype);
  guint64 offset[ATL_CL_PLANES];
  AtlClLayout layout;
  gint64 n_rows, row;

  matrix_shape (w, conv, &n_rows, &row);
  atl_cl_layout_init (&layout, dtype, row);
  return place_planes (&layout, n_rows, offset);
}

gsize
atl_cl_upload_cost (AtlBackend *backend, const AtlWeight *weight)
{
  gsize cost = 0;

  if (weight->use & (ATL_USE_LINEAR | ATL_USE_ROWS))
    cost += atl_cl_memory_size (matrix_bytes (weight, FALSE));
  if (weight->use & ATL_USE_CONV)
    cost += atl_cl_memory_size (matrix_bytes (weight, TRUE));
  if (weight->use & ATL_USE_VECTOR)
    cost += atl_cl_memory_size ((gsize) atl_weight_n_elems (weight) * sizeof (float));
  return cost;
}

/* --- Making rows --- */

typedef struct
{
  const AtlWeight *weight;
  const AtlClLayout *layout;
  AtlDType dtype; /* as stored */
  gboolean conv;
  gint64 row; /* elements of a row before padding */
  gsize source_row_bytes;
} Source;

typedef struct
{
  const Source *source;
  gint64 first, n; /* rows */
  guint8 *planes[ATL_CL_PLANES];
} Work;

/* A row of floats to the planes of the type that stands in for one without kernels. */
static void
store_row (const Source *s, AtlClWidener *widener, const float *src, Work *work, gint64 r)
{
  guint8 *dst = work->planes[0] + (gsize) r * s->layout->row_bytes[0];

  memset (dst, 0, s->layout->row_bytes[0]);
  if (s->dtype == ATL_DTYPE_F32)
    {
      memcpy (dst, src, (gsize) s->row * sizeof *src);
      return;
    }
  /* Blocks of quantised types are whole groups of sixteen. */
  float *scales = (float *) (gpointer) (work->planes[1] + (gsize) r * s->layout->row_bytes[1]);
  for (gint64 i = 0; i < s->layout->k / 16; i++)
    if (i * 16 < s->row)
      atl_cl_widen (widener, src + i * 16, (gint8 *) dst + i * 16, &scales[i]);
    else
      scales[i] = 0.0f;
}

/* [in, taps] of one output channel to [taps, cp], in the file's type or, where that has no kernels,
 * as floats. */
static void
conv_row (const Source *s, const guint8 *src, guint8 *dst, float *floats)
{
  const AtlWeight *w = s->weight;
  gint64 channels = w->dim[1], padded = atl_cl_conv_channels (channels);
  gint64 taps = s->row / padded;
  gsize size = s->dtype == ATL_DTYPE_F32 ? 4 : 2;

  if (floats != NULL)
    {
      atl_dequantize (w->dtype, src, floats, (gsize) (channels * taps));
      src = (const guint8 *) floats;
    }
  memset (dst, 0, s->layout->row_bytes[0]);
  for (gint64 c = 0; c < channels; c++)
    for (gint64 t = 0; t < taps; t++)
      memcpy (dst + (gsize) (t * padded + c) * size, src + (gsize) (c * taps + t) * size, size);
}

static gpointer
make_rows (gpointer data)
{
  Work *work = data;
  const Source *s = work->source;
  const AtlWeight *w = s->weight;
  const guint8 *src = w->data + (gsize) work->first * s->source_row_bytes;

  if (!s->conv && s->dtype == w->dtype)
    {
      atl_cl_repack (s->layout, s->dtype, src, s->row, work->n, work->planes);
      return NULL;
    }

  gsize n_floats =
      s->conv ? (gsize) (s->row / atl_cl_conv_channels (w->dim[1]) * w->dim[1]) : (gsize) s->row;
  g_autofree float *floats = s->dtype == w->dtype ? NULL : g_new (float, n_floats);
  AtlClWidener widener;

  atl_cl_widener_init (&widener);
  for (gint64 r = 0; r < work->n; r++, src += s->source_row_bytes)
    {
      if (s->conv)
        {
          conv_row (s, src, work->planes[0] + (gsize) r * s->layout->row_bytes[0], floats);
          continue;
        }
      atl_dequantize (w->dtype, src, floats, n_floats);
      store_row (s, &widener, floats, work, r);
    }
  return NULL;
}

static void
make_piece (const Source *s, gint64 first, gint64 n, guint8 *const planes[ATL_CL_PLANES])
{
  guint n_threads = (guint) MIN ((gsize) n * s->source_row_bytes / BYTES_PER_THREAD + 1,
                                 MIN (g_get_num_processors (), MAX_THREADS));
  gint64 share = (n + n_threads - 1) / n_threads;
  GThread *threads[MAX_THREADS] = { NULL };
  Work work[MAX_THREADS];

  for (guint t = 0; t < n_threads; t++)
    {
      gint64 from = MIN (t * share, n), to = MIN (from + share, n);

      work[t] = (Work){ .source = s, .first = first + from, .n = to - from };
      for (guint i = 0; i < s->layout->n_planes; i++)
        work[t].planes[i] = planes[i] + (gsize) from * s->layout->row_bytes[i];
      if (t + 1 < n_threads)
        threads[t] = g_thread_try_new ("repack", make_rows, &work[t], NULL);
      if (threads[t] == NULL)
        make_rows (&work[t]);
    }
  for (guint t = 0; t < n_threads; t++)
    if (threads[t] != NULL)
      g_thread_join (threads[t]);
}

/* --- Sending --- */

static gboolean
send_matrix (AtlOpencl *self,
             const Source *s,
             gint64 n_rows,
             AtlClMatrix *m,
             const char *name,
             GError **error)
{
  g_autofree char *doing = g_strdup_printf (_ ("sending “%s”"), name);
  g_autofree guint8 *piece = NULL;
  gsize row_total = 0;
  gint64 rows_per_piece;

  for (guint i = 0; i < s->layout->n_planes; i++)
    row_total += s->layout->row_bytes[i];
  rows_per_piece = CLAMP ((gint64) (PIECE_BYTES / MAX (row_total, 1)), 1, n_rows);
  piece = g_malloc ((gsize) rows_per_piece * row_total);
  for (gint64 first = 0; first < n_rows; first += rows_per_piece)
    {
      gint64 n = MIN (rows_per_piece, n_rows - first);
      guint8 *planes[ATL_CL_PLANES] = { NULL };
      guint8 *at = piece;

      for (guint i = 0; i < s->layout->n_planes; i++)
        {
          planes[i] = at;
          at += (gsize) n * s->layout->row_bytes[i];
        }
      make_piece (s, first, n, planes);
      /* Blocking: of a device that fails nobody could say when it has stopped reading the piece. */
      for (guint i = 0; i < s->layout->n_planes; i++)
        if (!atl_cl_write (self, m->memory, m->plane[i] + (gsize) first * s->layout->row_bytes[i],
                           planes[i], (gsize) n * s->layout->row_bytes[i], doing, error))
          return FALSE;
    }
  return TRUE;
}

static gboolean
upload_matrix (AtlOpencl *self, const AtlWeight *w, gboolean conv, AtlClMatrix *m, GError **error)
{
  Source source = { .weight = w, .conv = conv };
  AtlClLayout layout;
  gint64 n_rows;

  source.dtype = conv ? atl_cl_conv_dtype (w->dtype) : atl_cl_matrix_dtype (w->dtype);
  source.layout = &layout;
  matrix_shape (w, conv, &n_rows, &source.row);
  source.source_row_bytes = w->size_bytes / (gsize) n_rows;
  atl_cl_layout_init (&layout, source.dtype, source.row);
  m->dtype = source.dtype;
  m->n_rows = n_rows;
  m->k = layout.k;
  m->size_bytes = place_planes (&layout, n_rows, m->plane);
  m->memory = atl_cl_memory_new (self, m->size_bytes, w->name, error);
  return m->memory != NULL && send_matrix (self, &source, n_rows, m, w->name, error);
}

static gboolean
upload_vector (AtlOpencl *self, const AtlWeight *w, AtlClWeight *to, GError **error)
{
  gsize n = (gsize) atl_weight_n_elems (w);
  g_autofree float *values = g_new (float, n);

  if (!atl_dequantize (w->dtype, w->data, values, n))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("“%s” has the type %s, which is no number"), w->name,
                   atl_dtype_name (w->dtype));
      return FALSE;
    }
  if (w->scale != 1.0f)
    for (gsize i = 0; i < n; i++)
      values[i] *= w->scale;
  to->vector_bytes = n * sizeof (float);
  to->vector = atl_cl_memory_new (self, to->vector_bytes, w->name, error);
  if (to->vector == NULL)
    return FALSE;
  return atl_cl_write (self, to->vector, 0, values, to->vector_bytes, N_ ("sending a vector"),
                       error);
}

gboolean
atl_cl_upload (AtlBackend *backend, AtlWeight *weight, GError **error)
{
  AtlOpencl *self = atl_opencl (backend);
  AtlClWeight *store = weight->store[backend->index];

  if (!atl_cl_alive (self, error))
    return FALSE;
  if (!atl_dtype_is_float_like (weight->dtype))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("“%s” has the type %s, which cannot be used here"), weight->name,
                   atl_dtype_name (weight->dtype));
      return FALSE;
    }
  if (store == NULL)
    store = weight->store[backend->index] = g_new0 (AtlClWeight, 1);
  if (((weight->use & (ATL_USE_LINEAR | ATL_USE_ROWS)) && store->matrix.memory == NULL &&
       !upload_matrix (self, weight, FALSE, &store->matrix, error)) ||
      ((weight->use & ATL_USE_CONV) && store->conv.memory == NULL &&
       !upload_matrix (self, weight, TRUE, &store->conv, error)) ||
      ((weight->use & ATL_USE_VECTOR) && store->vector == NULL &&
       !upload_vector (self, weight, store, error)))
    {
      atl_cl_drop (backend, weight);
      return FALSE;
    }
  return TRUE;
}

void
atl_cl_drop (AtlBackend *backend, AtlWeight *weight)
{
  AtlOpencl *self = atl_opencl (backend);
  AtlClWeight *store = g_steal_pointer ((AtlClWeight **) &weight->store[backend->index]);

  if (store == NULL)
    return;
  atl_cl_memory_free (self, &store->matrix.memory, store->matrix.size_bytes);
  atl_cl_memory_free (self, &store->conv.memory, store->conv.size_bytes);
  atl_cl_memory_free (self, &store->vector, store->vector_bytes);
  g_free (store);
}
