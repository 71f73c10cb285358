/* Finding a way of running that fits. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/fit.h"

#include <math.h>
#include <string.h>

/* From the quickest to the smallest. */
static const AtlDiffusionHow host_ways[] = {
  { .is_frugal = FALSE },
  { .is_frugal = TRUE },
  { .is_frugal = TRUE, .tile = 1024 },
  { .is_frugal = TRUE, .tile = 768 },
  { .is_frugal = TRUE, .tile = 512 },
  { .is_frugal = TRUE, .tile = 256 },
  { .is_frugal = TRUE, .tile = 256, .streams = TRUE },
};

/* On a device. Encoders of text may be larger than what draws, and run once. */
static const AtlDiffusionHow device_ways[] = {
  { .is_frugal = FALSE },
  { .is_frugal = TRUE },
  { .is_frugal = TRUE, .tile = 1024 },
  { .is_frugal = TRUE, .tile = 512 },
  { .is_frugal = TRUE, .tile = 256 },
  { .is_frugal = TRUE, .tile = 1024, .on_host = ATL_PARTS_TEXT },
  { .is_frugal = TRUE, .tile = 512, .on_host = ATL_PARTS_TEXT },
  { .is_frugal = TRUE, .tile = 256, .on_host = ATL_PARTS_TEXT },
  { .is_frugal = TRUE, .tile = 512, .on_host = ATL_PARTS_TEXT, .streams = TRUE },
  { .is_frugal = TRUE, .tile = 256, .on_host = ATL_PARTS_TEXT, .streams = TRUE },
};

/* Of what is left on a device that is sent weights, so much is for those that stay. */
#define KEEP_SHARE 0.95
#define KEEP_TRIES 4

/* Shrinking by less than this is not looked for. */
#define FINEST_SHRINK 0.04

typedef struct
{
  AtlDiffusionModel *model;
  const AtlDiffusionPlace *at;
  const AtlDiffusionHow *ways;
  guint n_ways;
} Place;

/* What has to be in the host's memory. */
static guint64
on_host (const Place *place, const AtlDiffusionCost *cost)
{
  return cost->host + (place->at->is_shared ? cost->peak : 0);
}

static gboolean
is_in (const Place *place, const AtlDiffusionCost *cost)
{
  return cost->is_possible && cost->peak <= place->at->room &&
         on_host (place, cost) <= place->at->host_room;
}

/* By how many bytes that is too much. */
static double
lack_of (const Place *place, const AtlDiffusionCost *cost)
{
  return MAX ((double) cost->peak - (double) place->at->room, 0) +
         MAX ((double) on_host (place, cost) - (double) place->at->host_room, 0);
}

/* FALSE with an error; else the first way that fits, or the one that lacks least, is in `fit`. */
static gboolean
try_ways (const Place *place,
          const AtlSettings *settings,
          GPtrArray *inputs,
          guint first,
          AtlDiffusionFit *fit,
          GError **error)
{
  guint side = 0;

  for (guint i = first; i < place->n_ways && !fit->fits; i++)
    {
      const AtlDiffusionHow *way = &place->ways[i];
      AtlDiffusionCost cost;

      /* Tiles that hold the whole picture change nothing. */
      if (i > first && i + 1 < place->n_ways && way->tile >= side && way->on_host == 0)
        continue;
      if (!atl_diffusion_model_rehearse (place->model, place->at->backends, place->at->n_backends,
                                         settings, inputs, way, &cost, error))
        return FALSE;
      side = MAX (cost.width, cost.height);
      fit->fits = is_in (place, &cost);
      /* Small networks may take more in tiles than as a whole. */
      if (fit->fits || i == first || lack_of (place, &cost) <= lack_of (place, &fit->cost))
        {
          fit->how = *way;
          fit->cost = cost;
        }
    }
  return TRUE;
}

/* What is left beside weights that come and go is for some that stay. */
static gboolean
keep_some (const Place *place,
           const AtlSettings *settings,
           GPtrArray *inputs,
           AtlDiffusionFit *fit,
           GError **error)
{
  const AtlDiffusionPlace *at = place->at;
  guint64 room = MIN (at->room - fit->cost.peak,
                      at->is_shared ? at->host_room - on_host (place, &fit->cost) : G_MAXUINT64);
  double left = (double) room * KEEP_SHARE;

  for (guint i = 0; i < KEEP_TRIES; i++, left /= 2)
    {
      AtlDiffusionHow how = fit->how;
      AtlDiffusionCost cost;

      how.keep = (guint64) left;
      if (!atl_diffusion_model_rehearse (place->model, place->at->backends, place->at->n_backends,
                                         settings, inputs, &how, &cost, error))
        return FALSE;
      if (!is_in (place, &cost))
        continue;
      fit->how = how;
      fit->cost = cost;
      break;
    }
  return TRUE;
}

/* What a picture of another size begins with: references stay as they are. The caller's. */
static GPtrArray *
resize_inputs (GPtrArray *inputs, double width, double height)
{
  GPtrArray *resized = inputs != NULL ? atl_arrays_new () : NULL;

  for (guint i = 0; inputs != NULL && i < inputs->len; i++)
    {
      const AtlArray *a = inputs->pdata[i];
      gint64 dim[ATL_MAX_DIMS];

      memcpy (dim, a->dim, sizeof dim);
      if (a->n_dims == 4 && (g_str_equal (a->name, "image") || g_str_equal (a->name, "mask")))
        {
          dim[2] = (gint64) height;
          dim[3] = (gint64) width;
        }
      g_ptr_array_add (resized, atl_array_new (a->name, a->dtype, a->n_dims, dim));
    }
  return resized;
}

/* Whether a picture shrunk by that factor fits in the smallest way; its size into `fit`. */
static gboolean
fits_at (const Place *place,
         const AtlSettings *settings,
         GPtrArray *inputs,
         const AtlDiffusionCost *asked,
         double shrink,
         AtlDiffusionFit *fit)
{
  guint multiple = MAX (atl_diffusion_model_traits (place->model)->multiple, 8);
  double width = MAX (floor (asked->width * shrink / multiple), 1) * multiple;
  double height = MAX (floor (asked->height * shrink / multiple), 1) * multiple;
  g_autoptr (AtlSettings) smaller = atl_settings_copy (settings);
  g_autoptr (GPtrArray) resized = NULL;
  AtlDiffusionFit other = { 0 };

  atl_settings_set_number (smaller, "width", width);
  atl_settings_set_number (smaller, "height", height);
  atl_arrays_set_hollow (TRUE);
  resized = resize_inputs (inputs, width, height);
  atl_arrays_set_hollow (FALSE);
  if (!try_ways (place, smaller, resized, place->n_ways - 1, &other, NULL) || !other.fits)
    return FALSE;
  fit->width = other.cost.width;
  fit->height = other.cost.height;
  return TRUE;
}

static void
find_size (const Place *place, const AtlSettings *settings, GPtrArray *inputs, AtlDiffusionFit *fit)
{
  const AtlDiffusionCost asked = fit->cost;
  double low = 0.05, high = 1;

  if (!fits_at (place, settings, inputs, &asked, low, fit))
    return;
  while (high - low > FINEST_SHRINK)
    {
      double middle = (low + high) / 2;

      if (fits_at (place, settings, inputs, &asked, middle, fit))
        low = middle;
      else
        high = middle;
    }
}

gboolean
atl_diffusion_model_fit (AtlDiffusionModel *self,
                         const AtlDiffusionPlace *at,
                         const AtlSettings *settings,
                         GPtrArray *inputs,
                         AtlDiffusionFit *fit,
                         GError **error)
{
  gboolean is_device = !at->backends[0]->is_host;
  const Place place = { self, at, is_device ? device_ways : host_ways,
                        is_device ? G_N_ELEMENTS (device_ways) : G_N_ELEMENTS (host_ways) };

  *fit = (AtlDiffusionFit){ 0 };
  if (!try_ways (&place, settings, inputs, 0, fit, error))
    return FALSE;
  if (fit->fits && is_device && fit->how.streams)
    return keep_some (&place, settings, inputs, fit, error);
  if (!fit->fits && at->wants_size)
    find_size (&place, settings, inputs, fit);
  return TRUE;
}
