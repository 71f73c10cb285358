/* What a latent will look like, while it is drawn. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/preview.h"

#include <math.h>
#include <string.h>

#include "engine/diffusion/decode.h"
#include "engine/diffusion/latents.h"
#include "engine/diffusion/part-checks.h"

/* Pixels of the chart that colours are fitted to: with 16 x 16 cells there are more of them than
 * channels. */
#define CHART_CELLS 16

/* The longer side of what a tiny decoder shows, px; where memory is short. */
#define TINY_SIDE 512
#define TINY_SIDE_SHORT 256

/* [1, C, (F,) h, w] of tokens, else a copy; NULL when it is neither. */
static AtlArray *
spread (const AtlRun *run, const AtlArray *latent)
{
  const AtlLatent *how = &run->latent;

  if (latent->dtype != ATL_DTYPE_F32 || latent->dim[0] != 1)
    return NULL;
  if (latent->n_dims == 4 || latent->n_dims == 5)
    return atl_array_copy (latent, "latent");
  if (latent->n_dims == 3 && how->height > 0 && latent->dim[2] % 4 == 0 &&
      latent->dim[1] == how->height / 2 * (how->width / 2))
    return atl_latent_unpack (latent, how->height, how->width);
  return NULL;
}

/* The chart's latent, as the network has it, by the bundle's own autoencoder. */
static AtlArray *
encode_chart (AtlRun *run, const AtlArray *chart)
{
  AtlArray *picture = atl_array_copy (chart, "image"), *mean;
  AtlCheckpoint *vae = atl_bundle_checkpoint (run->bundle, "vae", NULL);
  g_autofree float *means = NULL;
  g_autofree float *stds = NULL;

  if (run->latent.scaling != 0 || vae == NULL)
    {
      atl_array_free (picture);
      return vae != NULL ? atl_vae_encode (run, chart, &run->latent, NULL) : NULL;
    }
  picture->n_dims = 5;
  memcpy (picture->dim, (gint64[]){ 1, 3, 1, chart->dim[2], chart->dim[3] },
          5 * sizeof *picture->dim);
  mean = atl_run_encode (run, picture, NULL);
  if (mean == NULL)
    return NULL;
  if (atl_wan_statistics (vae, mean->dim[1], &means, &stds, NULL))
    atl_latent_normalize (mean, means, stds);
  mean->n_dims = 4;
  memcpy (mean->dim, (gint64[]){ 1, mean->dim[1], mean->dim[3], mean->dim[4] },
          4 * sizeof *mean->dim);
  return mean;
}

/* Autoencoders that are not one of those published: what they make of a chart tells. */
static gboolean
fit (AtlRun *run, gint64 channels, AtlColors *out)
{
  g_autoptr (AtlArray) chart = atl_colors_chart (CHART_CELLS * run->latent.factor);
  g_autoptr (AtlArray) latent = encode_chart (run, chart);

  return latent != NULL && latent->dim[1] == channels && atl_colors_fit (latent, chart, out);
}

static gboolean
is_published (AtlRun *run, gint64 channels)
{
  AtlCheckpoint *vae = atl_bundle_checkpoint (run->bundle, "vae", NULL);
  g_autofree float *means = NULL;
  g_autofree float *stds = NULL;

  return run->latent.scaling != 0 ||
         (vae != NULL && atl_wan_statistics (vae, channels, &means, &stds, NULL) &&
          atl_wan_is_published (means, channels));
}

static const AtlColors *
colors_for (AtlPreview *self, AtlRun *run, gint64 channels)
{
  if (!self->is_known)
    {
      const AtlColors *published = atl_colors_published (channels, run->latent.scaling);

      self->is_known = TRUE;
      if (published != NULL && is_published (run, channels))
        self->colors = *published;
      else if (run->latent.factor > 0 && fit (run, channels, &self->colors))
        self->is_fitted = TRUE;
      else
        self->colors = published != NULL ? *published : (AtlColors){ 0 };
    }
  return self->colors.n_channels == channels ? &self->colors : NULL;
}

/* --- Tiny decoders --- */

static gboolean
reads_clips (AtlRun *run)
{
  return g_strcmp0 (atl_bundle_class (run->bundle, ATL_TINY_ROLE), "TAEHV") == 0;
}

/* Frame `frame` of latent [1, C, (F,) h, w] with squares of `step` cells as one, their mean: [1, C,
 * h', w'], of a clip's decoder [1, C, 1, h', w']. */
static AtlArray *
shrink (const AtlArray *latent, gint64 frame, gint64 step, gboolean is_clip)
{
  gint64 h = latent->dim[latent->n_dims - 2], w = latent->dim[latent->n_dims - 1];
  gint64 C = latent->dim[1], plane = latent->n_dims == 5 ? latent->dim[2] * h * w : h * w;
  gint64 rows = (h + step - 1) / step, columns = (w + step - 1) / step;
  AtlArray *small =
      is_clip ? atl_array_new ("latent", ATL_DTYPE_F32, 5, (gint64[]){ 1, C, 1, rows, columns })
              : atl_array_new ("latent", ATL_DTYPE_F32, 4, (gint64[]){ 1, C, rows, columns });
  float *to = atl_array_f32 (small);

  for (gint64 i = 0; i < C * rows * columns && !atl_array_is_hollow (latent); i++)
    {
      const float *from = atl_array_f32 (latent) + i / (rows * columns) * plane + frame * h * w;
      gint64 y = i / columns % rows * step, x = i % columns * step;
      gint64 bottom = MIN (y + step, h), right = MIN (x + step, w);
      double sum = 0;

      for (gint64 row = y; row < bottom; row++)
        for (gint64 column = x; column < right; column++)
          sum += from[row * w + column];
      to[i] = (float) (sum / (double) ((bottom - y) * (right - x)));
    }
  return small;
}

/* As the bundle's autoencoder has it. */
static void
restore (AtlRun *run, AtlArray *latent)
{
  AtlCheckpoint *vae = atl_bundle_checkpoint (run->bundle, "vae", NULL);
  g_autofree float *means = NULL;
  g_autofree float *stds = NULL;

  if (vae != NULL && atl_wan_statistics (vae, latent->dim[1], &means, &stds, NULL))
    atl_latent_restore (latent, means, stds);
}

/* What the bundle's tiny decoder makes of it, at most `max_side` cells' pixels wide and high. */
static AtlArray *
decode (AtlRun *run, const AtlArray *latent, guint max_side, GError **error)
{
  gint64 frames = latent->n_dims == 5 ? latent->dim[2] : 1;
  gint64 h = latent->dim[latent->n_dims - 2], w = latent->dim[latent->n_dims - 1];
  gint64 side = MIN (max_side, run->tile > 0 ? TINY_SIDE_SHORT : TINY_SIDE);
  gint64 cells = MAX (side / MAX (run->latent.factor, 1), 1);
  gint64 step = (MAX (h, w) + cells - 1) / cells;
  AtlCheckpoint *tiny = atl_bundle_checkpoint (run->bundle, ATL_TINY_ROLE, error);
  g_autoptr (AtlRequest) request = NULL;
  AtlArray *small;

  if (tiny == NULL)
    return NULL;
  small = shrink (latent, frames / 2, step, reads_clips (run));
  if (atl_tiny_reads_raw (tiny))
    restore (run, small);
  request = atl_request_new ("vae_decode");
  atl_request_add (request, small);
  return atl_run_output_of (run, ATL_TINY_ROLE, request, "image", error);
}

/* [1, 3, (1,) H, W] in about -1…1 to [height, width, 3]. NULL where no number is one. */
static guint8 *
to_bytes (const AtlArray *image, guint max_side, guint *width, guint *height)
{
  gint64 h = image->dim[image->n_dims - 2], w = image->dim[image->n_dims - 1];
  gint64 step = (MAX (h, w) + max_side - 1) / max_side, plane = h * w;
  g_autofree guint8 *rgb = NULL;
  gboolean is_there = FALSE;
  guint8 *to;

  *width = (guint) ((w + step - 1) / step);
  *height = (guint) ((h + step - 1) / step);
  rgb = to = g_malloc ((gsize) *width * *height * 3);
  for (gint64 row = 0; row < h; row += step)
    for (gint64 column = 0; column < w; column += step)
      for (guint c = 0; c < 3; c++)
        {
          float x = atl_array_f32 (image)[c * plane + row * w + column];

          is_there = is_there || isfinite (x);
          *to++ = isfinite (x) ? (guint8) (CLAMP (x * 0.5f + 0.5f, 0, 1) * 255 + 0.5f) : 0;
        }
  return is_there ? g_steal_pointer (&rgb) : NULL;
}

static guint8 *
paint_tiny (AtlPreview *self,
            AtlRun *run,
            const AtlArray *latent,
            guint max_side,
            guint *width,
            guint *height)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlArray) image = NULL;
  guint8 *rgb;

  if (self->is_tiny_bad || !atl_bundle_has (run->bundle, ATL_TINY_ROLE))
    return NULL;
  image = decode (run, latent, max_side, &error);
  if (image == NULL && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return NULL;
  rgb = image != NULL ? to_bytes (image, max_side, width, height) : NULL;
  if (rgb == NULL)
    {
      /* Colours do without it, and it is not asked again. */
      g_debug ("no preview: %s", error != NULL ? error->message : "no number in it");
      self->is_tiny_bad = TRUE;
      atl_parts_forget (run->parts, ATL_TINY_ROLE);
    }
  return rgb;
}

void
atl_preview_count (AtlRun *run, const AtlArray *latent)
{
  g_autoptr (AtlArray) plain = NULL;
  g_autoptr (AtlArray) image = NULL;

  if (!atl_bundle_has (run->bundle, ATL_TINY_ROLE))
    return;
  plain = spread (run, latent);
  image = plain != NULL ? decode (run, plain, TINY_SIDE, NULL) : NULL;
}

guint8 *
atl_preview_paint (AtlPreview *self,
                   AtlRun *run,
                   const AtlArray *latent,
                   guint max_side,
                   guint *width,
                   guint *height)
{
  const AtlArray *seen =
      run->estimate != NULL && atl_array_size (run->estimate) == atl_array_size (latent)
          ? run->estimate
          : latent;
  g_autoptr (AtlArray) plain = spread (run, seen);
  const AtlColors *colors;
  gint64 frames;
  guint8 *rgb;

  if (plain == NULL)
    return NULL;
  rgb = paint_tiny (self, run, plain, max_side, width, height);
  if (rgb != NULL)
    return rgb;
  colors = colors_for (self, run, plain->dim[1]);
  frames = plain->n_dims == 5 ? plain->dim[2] : 1;
  return colors != NULL ? atl_colors_paint (colors, plain, frames / 2, max_side, width, height)
                        : NULL;
}

void
atl_preview_learn (AtlPreview *self, AtlRun *run)
{
  const AtlArray *sample = atl_arrays_find (run->outputs, "final_latent");
  const AtlArray *image = atl_arrays_find (run->outputs, "image");
  g_autoptr (AtlArray) latent = sample != NULL ? spread (run, sample) : NULL;
  g_autoptr (AtlArray) picture = NULL;
  AtlColors better;

  if (!self->is_fitted || latent == NULL || image == NULL)
    return;
  if (latent->n_dims == 5 && latent->dim[2] == 1)
    {
      latent->n_dims = 4;
      latent->dim[2] = latent->dim[3];
      latent->dim[3] = latent->dim[4];
    }
  picture = atl_array_copy (image, "picture");
  atl_array_affine (picture, 2.0f, -1.0f);
  if (latent->n_dims == 4 && latent->dim[1] == self->colors.n_channels &&
      atl_colors_fit (latent, picture, &better))
    self->colors = better;
}
