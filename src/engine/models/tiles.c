/* Autoencoders in tiles. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/tiles.h"

#include <string.h>

/* Pixels to a cell of most latents; another number shows in the first tile. */
#define USUAL_SCALE 8

/* Along one axis, in cells of the input. */
typedef struct
{
  gint64 size, stride, whole;
  gint64 n;    /* tiles, all of one size; 0: one every stride, and smaller ones at the end */
  gint64 unit; /* what they begin at multiples of */
} Axis;

typedef struct
{
  const AtlComponentClass *klass;
  gpointer model;
  const AtlRequest *request;
  const AtlArray *input;
  gboolean is_encode, is_even;
  gint64 scale;           /* pixels to a cell */
  Axis axis[2];           /* rows, columns */
  GPtrArray *above, *row; /* (owned) sets of outputs by column; members may be NULL */
  GCancellable *cancellable;
} Tiling;

gboolean
atl_tiles_wanted (const AtlRequest *request)
{
  return atl_request_number (request, "tiled", 0) != 0 &&
         g_str_has_prefix (atl_request_function (request), "vae_");
}

gint64
atl_tiles_count (gint64 whole, gint64 size, gint64 stride)
{
  stride = CLAMP (stride, 1, size);
  return whole <= size ? 1 : (whole - size + stride - 1) / stride + 1;
}

/* Where tile i begins; the whole length behind the last one. */
static gint64
start_of (const Axis *axis, gint64 i)
{
  if (axis->n == 0)
    return MIN (i * axis->stride, axis->whole);
  if (i >= axis->n)
    return axis->whole;
  return i * (axis->whole - axis->size) / MAX (axis->n - 1, 1) / axis->unit * axis->unit;
}

/* How much of tile i goes over from the one before. */
static gint64
overlap_of (const Axis *axis, gint64 i)
{
  return axis->n == 0 ? axis->size - axis->stride
                      : start_of (axis, i - 1) + axis->size - start_of (axis, i);
}

/* From the input's cells to an output's. */
static gint64
to_output (const Tiling *self, gint64 n)
{
  return self->is_encode ? n / self->scale : n * self->scale;
}

static gint64
planes_of (const AtlArray *a)
{
  return atl_array_n_elems (a) / a->dim[a->n_dims - 1] / a->dim[a->n_dims - 2];
}

/* Copies h rows of w numbers of every plane. */
static void
copy_window (const AtlArray *from,
             gint64 from_y,
             gint64 from_x,
             AtlArray *to,
             gint64 to_y,
             gint64 to_x,
             gint64 h,
             gint64 w)
{
  gint64 from_w = from->dim[from->n_dims - 1], to_w = to->dim[to->n_dims - 1];
  gint64 from_plane = from_w * from->dim[from->n_dims - 2];
  gint64 to_plane = to_w * to->dim[to->n_dims - 2];

  for (gint64 p = 0; p < planes_of (from); p++)
    for (gint64 y = 0; y < h; y++)
      memcpy (atl_array_f32 (to) + p * to_plane + (to_y + y) * to_w + to_x,
              atl_array_f32 (from) + p * from_plane + (from_y + y) * from_w + from_x,
              (gsize) w * sizeof (float));
}

/* A new array like `like` but for its last two dimensions; NULL where memory is out. */
static AtlArray *
new_like (const AtlArray *like, gint64 h, gint64 w, GError **error)
{
  gint64 dim[ATL_MAX_DIMS];

  memcpy (dim, like->dim, sizeof dim);
  dim[like->n_dims - 2] = h;
  dim[like->n_dims - 1] = w;
  return atl_array_try_new (like->name, ATL_DTYPE_F32, like->n_dims, dim, error);
}

/* The end of `before` goes over into the beginning of `tile` along an axis (0: rows). */
static void
blend (const AtlArray *before, AtlArray *tile, guint axis, gint64 extent, gboolean is_even)
{
  gint64 h = tile->dim[tile->n_dims - 2], w = tile->dim[tile->n_dims - 1];
  gint64 before_h = before->dim[before->n_dims - 2], before_w = before->dim[before->n_dims - 1];

  extent = MIN (extent, axis == 0 ? MIN (h, before_h) : MIN (w, before_w));
  for (gint64 p = 0; p < planes_of (tile); p++)
    for (gint64 y = 0; y < (axis == 0 ? extent : MIN (h, before_h)); y++)
      for (gint64 x = 0; x < (axis == 1 ? extent : MIN (w, before_w)); x++)
        {
          gint64 by = axis == 0 ? before_h - extent + y : y;
          gint64 bx = axis == 1 ? before_w - extent + x : x;
          float share = (float) (axis == 0 ? y : x) / (float) extent;
          share = is_even ? share * share * (3 - 2 * share) : share;
          float *to = atl_array_f32 (tile) + (p * h + y) * w + x;

          *to = atl_array_f32 (before)[(p * before_h + by) * before_w + bx] * (1 - share) +
                *to * share;
        }
}

/* The outputs of the window at (y, x) of the input. */
static GPtrArray *
run_window (Tiling *self, gint64 y, gint64 x, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new (atl_request_function (self->request));
  g_autoptr (GPtrArray) outputs = atl_arrays_new ();
  gint64 h = MIN (self->axis[0].size, self->axis[0].whole - y);
  gint64 w = MIN (self->axis[1].size, self->axis[1].whole - x);
  AtlArray *window = new_like (self->input, h, w, error);

  if (window == NULL)
    return NULL;
  copy_window (self->input, y, x, window, 0, 0, h, w);
  atl_request_add (request, window);
  if (g_cancellable_set_error_if_cancelled (self->cancellable, error) ||
      !self->klass->run (self->model, request, outputs, self->cancellable, error))
    return NULL;
  return g_steal_pointer (&outputs);
}

/* Tile sizes from the request. */
static void
measure (Tiling *self)
{
  static const char *const names[2][2] = {
    { "tile_sample_min_height", "tile_sample_stride_height" },
    { "tile_sample_min_width", "tile_sample_stride_width" },
  };
  gint64 unit = self->is_encode ? 1 : self->scale;

  for (guint i = 0; i < 2; i++)
    {
      Axis *axis = &self->axis[i];
      double size = atl_request_number (self->request, names[i][0], 256);
      double stride = atl_request_number (self->request, names[i][1], size * 3 / 4);

      axis->whole = self->input->dim[self->input->n_dims - 2 + i];
      axis->unit = self->is_encode ? self->scale : 1;
      axis->size = (gint64) CLAMP (size, self->scale, 1 << 20) / self->scale * self->scale / unit;
      axis->stride =
          (gint64) CLAMP (stride, self->scale, 1 << 20) / self->scale * self->scale / unit;
      axis->stride = MIN (axis->stride, axis->size);
      if (self->is_even)
        {
          axis->size = MIN (axis->size, axis->whole);
          axis->n = atl_tiles_count (axis->whole, axis->size, axis->stride);
        }
    }
}

/* Blends the tile (i, k) and puts what it keeps into the results. */
static void
place (Tiling *self, GPtrArray *tile, gint64 i, gint64 k, GPtrArray *results)
{
  const Axis *rows = &self->axis[0], *columns = &self->axis[1];
  GPtrArray *above = self->above != NULL ? self->above->pdata[k] : NULL;
  GPtrArray *left = k > 0 ? self->row->pdata[k - 1] : NULL;
  gint64 y = to_output (self, start_of (rows, i)), x = to_output (self, start_of (columns, k));
  gint64 kept_h = to_output (self, start_of (rows, i + 1)) - y;
  gint64 kept_w = to_output (self, start_of (columns, k + 1)) - x;

  for (guint o = 0; o < tile->len; o++)
    {
      AtlArray *a = tile->pdata[o], *result = results->pdata[o];
      gint64 h = MIN (kept_h, result->dim[result->n_dims - 2] - y);
      gint64 w = MIN (kept_w, result->dim[result->n_dims - 1] - x);

      if (above != NULL)
        blend (above->pdata[o], a, 0, to_output (self, overlap_of (rows, i)), self->is_even);
      if (left != NULL)
        blend (left->pdata[o], a, 1, to_output (self, overlap_of (columns, k)), self->is_even);
      copy_window (a, 0, 0, result, y, x, MIN (h, a->dim[a->n_dims - 2]),
                   MIN (w, a->dim[a->n_dims - 1]));
    }
}

static gboolean
run_tiles (Tiling *self, GPtrArray *first, GPtrArray *results, GError **error)
{
  const Axis *rows = &self->axis[0], *columns = &self->axis[1];

  for (gint64 i = 0; start_of (rows, i) < rows->whole; i++)
    {
      self->row = g_ptr_array_new_with_free_func ((GDestroyNotify) g_ptr_array_unref);
      for (gint64 k = 0; start_of (columns, k) < columns->whole; k++)
        {
          GPtrArray *tile = i == 0 && k == 0 ? g_ptr_array_ref (first)
                                             : run_window (self, start_of (rows, i),
                                                           start_of (columns, k), error);

          if (tile == NULL)
            return FALSE;
          place (self, tile, i, k, results);
          g_ptr_array_add (self->row, tile);
        }
      g_clear_pointer (&self->above, g_ptr_array_unref);
      self->above = g_steal_pointer (&self->row);
    }
  return TRUE;
}

gboolean
atl_tiles_run (const AtlComponentClass *klass,
               gpointer model,
               const AtlRequest *request,
               GPtrArray *outputs,
               GCancellable *cancellable,
               GError **error)
{
  gboolean is_encode = g_str_equal (atl_request_function (request), "vae_encode");
  const char *name = is_encode ? "image" : "latent";
  const AtlArray *input = atl_request_find (request, name);
  Tiling self = { .klass = klass,
                  .model = model,
                  .request = request,
                  .input = input,
                  .is_encode = is_encode,
                  .is_even = atl_request_number (request, "tile_even", 0) != 0,
                  .scale = (gint64) CLAMP (atl_request_number (request, "tile_scale", USUAL_SCALE),
                                           1, 1024),
                  .cancellable = cancellable };
  g_autoptr (GPtrArray) first = NULL;
  gint64 in, out;
  gboolean ok;

  /* Whole where there is nothing to cut; the network says what is wrong with other inputs. */
  if (input == NULL || input->dtype != ATL_DTYPE_F32 || input->n_dims < 4)
    return klass->run (model, request, outputs, cancellable, error);
  for (guint attempt = 0; attempt < 2; attempt++)
    {
      const AtlArray *shown;

      measure (&self);
      if (self.axis[0].size >= self.axis[0].whole && self.axis[1].size >= self.axis[1].whole)
        return klass->run (model, request, outputs, cancellable, error);
      g_clear_pointer (&first, g_ptr_array_unref);
      first = run_window (&self, 0, 0, error);
      if (first == NULL)
        return FALSE;
      g_assert (first->len > 0);
      shown = first->pdata[0];
      in = MIN (self.axis[0].size, self.axis[0].whole);
      out = shown->dim[shown->n_dims - 2];
      if (out < 1 || (is_encode ? in / out : out / in) == self.scale)
        break;
      self.scale = MAX (is_encode ? in / out : out / in, 1);
    }
  for (guint k = 0; k < first->len; k++)
    {
      AtlArray *whole = new_like (first->pdata[k], to_output (&self, self.axis[0].whole),
                                  to_output (&self, self.axis[1].whole), error);

      if (whole == NULL)
        return FALSE;
      g_ptr_array_add (outputs, whole);
    }
  ok = run_tiles (&self, first, outputs, error);
  g_clear_pointer (&self.above, g_ptr_array_unref);
  g_clear_pointer (&self.row, g_ptr_array_unref);
  return ok;
}
