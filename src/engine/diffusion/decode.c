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

/* Where nothing is computed one tile stands for all: the first window of at most `size` cells; `*n`
 * is how many there are. */
static AtlArray *
cut_one_tile (const AtlArray *whole, gint64 size, gint64 *n)
{
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

/* Like encoding, counted only. Takes the pixels. */
static AtlArray *
count_encode (AtlRun *run, AtlArray *pixels, GError **error)
{
  g_autoptr (AtlArray) owned = pixels;
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

/* --- Counting decoded pixels --- */

/* Memory that is not looked at. */
static AtlArray *
hold (guint64 bytes)
{
  return atl_array_new ("held", ATL_DTYPE_F32, 1, (gint64[]){ MAX ((gint64) bytes / 4, 1) });
}

/* What is held beside the pixels that decoding gave, one tile's or all. */
static void
count_pixels (AtlRun *run, const AtlArray *pixels)
{
  guint64 height = (guint64) (run->latent.height * run->latent.factor);
  guint64 width = (guint64) (run->latent.width * run->latent.factor);
  guint64 h = (guint64) pixels->dim[pixels->n_dims - 2];
  guint64 w = (guint64) pixels->dim[pixels->n_dims - 1], size = atl_array_size (pixels);
  guint64 whole = size / (h * w) * height * width;
  g_autoptr (AtlArray) rest = hold (whole - size);
  g_autoptr (AtlArray) rows = NULL;
  g_autoptr (AtlArray) copied = NULL;
  g_autoptr (AtlArray) bytes = NULL;

  run->count->frames = pixels->n_dims == 5 ? (guint) pixels->dim[2] : 1;
  /* Two rows of tiles go over into each other while more are decoded. */
  if (whole > size)
    rows = hold (size * 2 * width / w * 4 / 3);
  atl_parts_release (run->parts, "vae");
  g_clear_pointer (&rows, atl_array_free);
  /* A clip is laid out anew; the picture in bytes is made, and handed over in a file that is memory
   * too. */
  copied = hold (run->count->frames > 1 ? whole : 0);
  bytes = hold (2 * height * width * 3);
}

AtlArray *
atl_run_decode (AtlRun *run, AtlArray *latent, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("vae_decode");
  g_autoptr (AtlArray) pixels = NULL;
  g_autoptr (AtlArray) whole = NULL;
  gint64 n_tiles = 1, scale = scale_of (run, latent);

  /* Translators: shown while the last numbers become a picture. */
  atl_run_progress (run, _ ("Finishing"), 0, 0);
  if (run->count != NULL && run->tile > 0)
    {
      whole = latent;
      latent = cut_one_tile (whole, MAX (run->tile / scale, 1), &n_tiles);
    }
  atl_request_add (request, latent);
  if (run->count == NULL)
    ask_for_tiles (run, scale, request);
  pixels = atl_run_output_of (run, "vae", request, "image", error);
  if (run->count != NULL && pixels != NULL)
    count_pixels (run, pixels);
  atl_parts_release (run->parts, "vae");
  if (pixels == NULL)
    return NULL;
  if (run->count != NULL)
    {
      /* Nobody looks at the pixels. */
      run->count->products[ATL_COUNT_DECODE] *= (double) n_tiles;
      run->count->is_done = TRUE;
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "");
      return NULL;
    }
  return atl_pixels_check (pixels, error) ? g_steal_pointer (&pixels) : NULL;
}
