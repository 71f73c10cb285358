/* What a latent will look like, while it is drawn. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/preview.h"

#include <string.h>

#include "engine/diffusion/decode.h"
#include "engine/diffusion/latents.h"

/* Pixels of the chart that colours are fitted to: with 16 x 16 cells there are more of them than
 * channels. */
#define CHART_CELLS 16

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
    atl_latent_normalise (mean, means, stds);
  mean->n_dims = 4;
  memcpy (mean->dim, (gint64[]){ 1, mean->dim[1], mean->dim[3], mean->dim[4] },
          4 * sizeof *mean->dim);
  return mean;
}

/* Autoencoders that are not one of those published: what they make of a chart tells. */
static gboolean
fit (AtlRun *run, gint64 channels, AtlColours *out)
{
  g_autoptr (AtlArray) chart = atl_colours_chart (CHART_CELLS * run->latent.factor);
  g_autoptr (AtlArray) latent = encode_chart (run, chart);

  return latent != NULL && latent->dim[1] == channels && atl_colours_fit (latent, chart, out);
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

static const AtlColours *
colours_for (AtlPreview *self, AtlRun *run, gint64 channels)
{
  if (!self->is_known)
    {
      const AtlColours *published = atl_colours_published (channels, run->latent.scaling);

      self->is_known = TRUE;
      if (published != NULL && is_published (run, channels))
        self->colours = *published;
      else if (run->latent.factor > 0 && fit (run, channels, &self->colours))
        self->is_fitted = TRUE;
      else
        self->colours = published != NULL ? *published : (AtlColours){ 0 };
    }
  return self->colours.n_channels == channels ? &self->colours : NULL;
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
  const AtlColours *colours = plain != NULL ? colours_for (self, run, plain->dim[1]) : NULL;
  gint64 frames = plain != NULL && plain->n_dims == 5 ? plain->dim[2] : 1;

  return colours != NULL ? atl_colours_paint (colours, plain, frames / 2, max_side, width, height)
                         : NULL;
}

void
atl_preview_learn (AtlPreview *self, AtlRun *run)
{
  const AtlArray *sample = atl_arrays_find (run->outputs, "final_latent");
  const AtlArray *image = atl_arrays_find (run->outputs, "image");
  g_autoptr (AtlArray) latent = sample != NULL ? spread (run, sample) : NULL;
  g_autoptr (AtlArray) picture = NULL;
  AtlColours better;

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
  if (latent->n_dims == 4 && latent->dim[1] == self->colours.n_channels &&
      atl_colours_fit (latent, picture, &better))
    self->colours = better;
}
