/* Autoencoders at work. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/decode.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/models/tiles.h"

/* Below this, in -1…1, a byte is 0. */
#define BLACK (-1.0f + 1.0f / 255.0f)

/* A quarter of a tile goes over into the next. */
#define STRIDE(size) ((size) *3 / 4)

/* `scale`: pixels to a cell. */
static void
ask_for_tiles (const AtlRun *run, gint64 scale, AtlRequest *request)
{
  double side = run->tile, stride = STRIDE (side);

  if (side <= 0)
    return;
  atl_request_set_number (request, "tiled", 1);
  atl_request_set_number (request, "tile_even", 1);
  atl_request_set_number (request, "tile_scale", (double) scale);
  atl_request_set_number (request, "tile_sample_min_height", side);
  atl_request_set_number (request, "tile_sample_min_width", side);
  atl_request_set_number (request, "tile_sample_stride_height", stride);
  atl_request_set_number (request, "tile_sample_stride_width", stride);
}

/* Pixels to a cell of what the autoencoder reads. */
static gint64
scale_of (const AtlRun *run, const AtlArray *latent)
{
  return MAX (run->latent.width * run->latent.factor / latent->dim[latent->n_dims - 1], 1);
}

/* Where nothing is computed one tile stands for all: takes the array and gives its first window of
 * at most `size` cells; `*n` is how many there are. */
static AtlArray *
cut_one_tile (AtlArray *whole, gint64 size, gint64 *n)
{
  g_autoptr (AtlArray) owned = whole;
  gint64 dim[ATL_MAX_DIMS];

  *n = 1;
  memcpy (dim, whole->dim, sizeof dim);
  for (guint i = whole->n_dims - 2; i < whole->n_dims; i++)
    {
      *n *= atl_tiles_count (dim[i], size, STRIDE (size));
      dim[i] = MIN (dim[i], size);
    }
  return atl_array_new (whole->name, ATL_DTYPE_F32, whole->n_dims, dim);
}

/* An array of zeros with other rows and columns. */
static AtlArray *
stretched (const AtlArray *like, gint64 height, gint64 width)
{
  gint64 dim[ATL_MAX_DIMS];

  memcpy (dim, like->dim, sizeof dim);
  dim[like->n_dims - 2] = height;
  dim[like->n_dims - 1] = width;
  return atl_array_new (like->name, ATL_DTYPE_F32, like->n_dims, dim);
}

/* Like encoding, counted only. */
static AtlArray *
count_encode (AtlRun *run, AtlArray *pixels, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("vae_encode");
  double before = run->count->products[ATL_COUNT_ENCODE];
  gint64 H = pixels->dim[pixels->n_dims - 2], W = pixels->dim[pixels->n_dims - 1], n, h;
  g_autoptr (AtlArray) mean = NULL;
  AtlArray *tile = cut_one_tile (pixels, run->tile, &n);

  h = tile->dim[tile->n_dims - 2];
  atl_request_add (request, tile);
  mean = atl_run_output_of (run, "vae", request, "mean", error);
  if (mean == NULL)
    return NULL;
  run->count->products[ATL_COUNT_ENCODE] +=
      (run->count->products[ATL_COUNT_ENCODE] - before) * (double) (n - 1);
  h = MAX (h / MAX (mean->dim[mean->n_dims - 2], 1), 1);
  return stretched (mean, H / h, W / h);
}

/* Takes a latent (nullable) of `height` x `width` pixels: pipelines put it beside their own, cell
 * by cell, so it must be what their model draws in. */
static AtlArray *
check_latent (const AtlRun *run, AtlArray *mean, gint64 height, gint64 width, GError **error)
{
  const AtlLatent *own = &run->latent;
  gint64 factor = MAX (own->factor, 1);

  if (mean == NULL || (mean->n_dims >= 4 && mean->dim[1] == own->channels &&
                       mean->dim[mean->n_dims - 2] == height / factor &&
                       mean->dim[mean->n_dims - 1] == width / factor))
    return mean;
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
               _ ("The autoencoder (VAE) has %d channels and a cell for %d pixels, this model "
                  "draws in %d channels and a cell for %d: it belongs to another model"),
               (int) mean->dim[1], (int) (width / MAX (mean->dim[mean->n_dims - 1], 1)),
               (int) own->channels, (int) factor);
  atl_array_free (mean);
  return NULL;
}

AtlArray *
atl_run_encode (AtlRun *run, AtlArray *pixels, GError **error)
{
  gint64 height = pixels->dim[pixels->n_dims - 2], width = pixels->dim[pixels->n_dims - 1];
  g_autoptr (AtlRequest) request = NULL;

  if (run->count != NULL && run->tile > 0)
    return check_latent (run, count_encode (run, pixels, error), height, width, error);
  request = atl_request_new ("vae_encode");
  atl_request_add (request, pixels);
  ask_for_tiles (run, MAX (run->latent.factor, 1), request);
  return check_latent (run, atl_run_output_of (run, "vae", request, "mean", error), height, width,
                       error);
}

gboolean
atl_pixels_check (const AtlArray *pixels, GError **error)
{
  gint64 n = atl_array_n_elems (pixels);
  const float *x = atl_array_f32 (pixels);
  gboolean is_black = TRUE;

  for (gint64 i = 0; i < n; i++)
    {
      if (!isfinite (x[i]))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                       _ ("The autoencoder's numbers overflowed, so there is no picture. Another "
                          "copy of the VAE may help"));
          return FALSE;
        }
      is_black = is_black && x[i] < BLACK;
    }
  if (!is_black)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
               _ ("The picture came out all black, which means that the model's numbers "
                  "overflowed. Another size or another copy of the model may help"));
  return FALSE;
}

/* Of the whole picture or clip, which is laid out anew where it has several frames, also in bytes
 * of its colours, and two rows of tiles that go over into each other. `tile` is what one window, or
 * all, becomes. */
static guint64
pixel_bytes (const AtlRun *run, const AtlArray *tile)
{
  guint64 h = (guint64) tile->dim[tile->n_dims - 2], w = (guint64) tile->dim[tile->n_dims - 1];
  guint64 height = (guint64) (run->latent.height * run->latent.factor);
  guint64 width = (guint64) (run->latent.width * run->latent.factor);
  guint64 of_pixel = atl_array_size (tile) / (h * w), whole = width * height * of_pixel;
  guint64 rows = w < width || h < height ? 2 * h * width * of_pixel * 4 / 3 : 0;

  return whole * (tile->n_dims == 5 && tile->dim[2] > 1 ? 2 : 1) + whole / 4 + rows;
}

AtlArray *
atl_run_decode (AtlRun *run, AtlArray *latent, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("vae_decode");
  g_autoptr (AtlArray) pixels = NULL;
  gint64 n_tiles = 1, scale = scale_of (run, latent);

  /* Translators: shown while the last numbers become a picture. */
  atl_run_progress (run, _ ("Finishing"), 0, 0);
  if (run->count != NULL && run->tile > 0)
    latent = cut_one_tile (latent, MAX (run->tile / scale, 1), &n_tiles);
  atl_request_add (request, latent);
  if (run->count == NULL)
    ask_for_tiles (run, scale, request);
  pixels = atl_run_output_of (run, "vae", request, "image", error);
  atl_parts_release (run->parts, "vae");
  if (pixels == NULL)
    return NULL;
  if (run->count != NULL)
    {
      /* Nobody looks at the pixels. */
      run->count->pixel_bytes = pixel_bytes (run, pixels);
      run->count->frames = pixels->n_dims == 5 ? (guint) pixels->dim[2] : 1;
      run->count->products[ATL_COUNT_DECODE] *= (double) n_tiles;
      run->count->is_done = TRUE;
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "");
      return NULL;
    }
  return atl_pixels_check (pixels, error) ? g_steal_pointer (&pixels) : NULL;
}
