/* Named arrays in host memory: what goes into a forward pass and what comes out.
 *
 * Element type float32 or int32, contiguous, row-major, outermost first.
 * Threading: plain data, one owner.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

typedef struct
{
  char *name; /* (owned) */
  AtlDType dtype;
  guint n_dims;
  gint64 dim[ATL_MAX_DIMS];
  gpointer data;      /* (owned) float or gint32 */
  gsize mapped_bytes; /* not 0: of its own pages (see atl_arrays_set_hollow) */
  gboolean is_counted;
} AtlArray;

/* Zeroed. dtype is F32 or I32. Ends the program where memory is out. */
AtlArray *atl_array_new (const char *name, AtlDType dtype, guint n_dims, const gint64 *dim);
/* The same for what may be large, as pictures and clips are: NULL where memory is out. Errors:
 * ATL_ERROR_NO_MEMORY. */
AtlArray *atl_array_try_new (
    const char *name, AtlDType dtype, guint n_dims, const gint64 *dim, GError **error);
/* Converts a checkpoint tensor of any type to float32, or whole-number types to int32. */
AtlArray *atl_array_from_tensor (const AtlTensorInfo *info, GError **error);
void atl_array_free (AtlArray *self);

/* Elements and bytes (four an element), and the elements of an array of that type: another type
 * asserts. */
gint64 atl_array_n_elems (const AtlArray *self);
gsize atl_array_size (const AtlArray *self);
static inline float *
atl_array_f32 (const AtlArray *self)
{
  g_assert (self->dtype == ATL_DTYPE_F32);
  return self->data;
}
static inline gint32 *
atl_array_i32 (const AtlArray *self)
{
  g_assert (self->dtype == ATL_DTYPE_I32);
  return self->data;
}

/* For walks that only count (rehearsal.h): on this thread nobody reads the floats of large arrays
 * until it is unset, and what works on them may leave that out. */
void atl_arrays_set_hollow (gboolean is_hollow);
/* Whether that holds for this one, or for one of so many bytes. */
gboolean atl_array_is_hollow (const AtlArray *self);
gboolean atl_bytes_are_hollow (gsize size_bytes);
/* Those that this thread makes from now on are told to `count` when they come and, with less than
 * 0, when they go; NULL: to nobody. */
typedef void (*AtlArrayCount) (gint64 bytes, gpointer user_data);
void atl_arrays_count (AtlArrayCount count, gpointer user_data);

/* A set of arrays with unique names: (element-type AtlArray*), frees its elements. */
GPtrArray *atl_arrays_new (void);
/* NULL if there is none of that name. Borrowed. */
AtlArray *atl_arrays_find (GPtrArray *arrays, const char *name);

/* ||a - b|| / ||b|| over all elements; infinity when shapes differ or a is not finite. */
double atl_array_rel_l2 (const AtlArray *a, const AtlArray *b);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlArray, atl_array_free)

G_END_DECLS
