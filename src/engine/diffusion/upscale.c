/* Pictures through an enlarger, tile by tile. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/upscale.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/diffusion/arrays.h"
#include "engine/diffusion/resample.h"
#include "engine/formats/open.h"
#include "engine/models/component.h"
#include "engine/models/upscale-traits.h"

/* Pixels around a tile that are computed with it. What lies further away changes a pixel by less
 * than it shows; a multiple of what any network folds. */
#define MARGIN 16
/* Pixels on both sides of a border between tiles in which one goes over into the other. */
#define FEATHER 8
#define MIN_TILE 32
#define MAX_TILE 1024
#define TILE_BYTES (512u << 20)
#define MAX_RESULT_PIXELS (256u << 20)
#define COLORS 3

struct _AtlUpscaler
{
  AtlCheckpoint *cp; /* (owned) */
  AtlUpscaleTraits traits;
  AtlBackend *backends[ATL_MAX_BACKENDS];
  guint n_backends;
  AtlComponent *network; /* (owned, nullable) */
};

AtlUpscaler *
atl_upscaler_open (AtlFileMap *const *maps, const char *const *names, guint n, GError **error)
{
  g_autoptr (AtlUpscaler) self = g_new0 (AtlUpscaler, 1);

  self->cp = atl_checkpoint_open (maps, names, n, error);
  if (self->cp == NULL || !atl_upscale_traits (self->cp, &self->traits, error))
    return NULL;
  return g_steal_pointer (&self);
}

void
atl_upscaler_free (AtlUpscaler *self)
{
  if (self == NULL)
    return;
  atl_component_free (self->network);
  atl_checkpoint_unref (self->cp);
  g_free (self);
}

guint
atl_upscaler_scale (const AtlUpscaler *self)
{
  return self->traits.scale;
}

const char *
atl_upscaler_kind (const AtlUpscaler *self)
{
  return self->traits.kind;
}

static guint
choose_tile (const AtlUpscaler *self)
{
  double side = sqrt ((double) TILE_BYTES / (double) MAX (self->traits.wide_bytes, 1));

  return (guint) CLAMP (side - 2 * MARGIN, MIN_TILE, MAX_TILE);
}

guint64
atl_upscaler_memory (const AtlUpscaler *self, guint tile)
{
  guint64 side = (tile > 0 ? CLAMP (tile, MIN_TILE, MAX_TILE) : choose_tile (self)) + 2 * MARGIN;

  return atl_checkpoint_weight_bytes (self->cp) + side * side * (guint64) self->traits.wide_bytes;
}

void
atl_upscaler_dtypes (const AtlUpscaler *self, guint64 *matrices, guint64 *convs)
{
  *matrices = *convs = 1ull << ATL_DTYPE_F32;
  atl_component_dtypes (self->cp, matrices, convs);
}

void
atl_upscaler_use (AtlUpscaler *self, AtlBackend *const *backends, guint n)
{
  g_return_if_fail (n >= 1 && n <= ATL_MAX_BACKENDS);
  if (n == self->n_backends && memcmp (self->backends, backends, n * sizeof *backends) == 0)
    return;
  atl_upscaler_drop (self);
  memcpy (self->backends, backends, n * sizeof *backends);
  self->n_backends = n;
}

void
atl_upscaler_drop (AtlUpscaler *self)
{
  g_clear_pointer (&self->network, atl_component_free);
}

static gboolean
load (AtlUpscaler *self, GCancellable *cancellable, GError **error)
{
  AtlLoadOptions options = { .cancellable = cancellable };
  const AtlComponentClass *klass;

  if (self->network != NULL)
    return TRUE;
  klass = atl_component_class_for (self->cp, NULL, "upscale", error);
  if (klass != NULL)
    self->network =
        atl_component_load (klass, self->cp, self->backends, self->n_backends, &options, error);
  return self->network != NULL;
}

/* --- Tiles --- */

/* How one direction of a picture is divided: `n` tiles of `tile` pixels, the last one perhaps
 * smaller, each computed in a window of `window` pixels. All windows are alike, so that one plan
 * serves them all. */
typedef struct
{
  gint64 size;  /* pixels */
  gint64 whole; /* with those that are mirrored so that it can be folded */
  gint64 tile, window;
  guint n;
} Division;

static Division
divide (gint64 size, gint64 tile, gint64 fold)
{
  Division d = { .size = size, .whole = (size + fold - 1) / fold * fold };

  if (d.whole <= tile + 2 * MARGIN)
    tile = d.whole;
  d.n = (guint) ((d.whole + tile - 1) / tile);
  /* As even as folding allows. */
  d.tile = (d.whole + d.n - 1) / d.n;
  d.tile = (d.tile + MARGIN - 1) / MARGIN * MARGIN;
  d.n = (guint) ((d.whole + d.tile - 1) / d.tile);
  d.window = MIN (d.whole, d.tile + 2 * MARGIN);
  return d;
}

/* Where the window of tile i begins. */
static gint64
window_of (const Division *d, guint i)
{
  return CLAMP ((gint64) i * d->tile - MARGIN, 0, d->whole - d->window);
}

/* Pixels of the result in one direction: [start, end) of a tile, of which the first `ramp` go over
 * from the tile before. */
typedef struct
{
  gint64 start, end, ramp;
} Span;

static Span
span_of (const Division *d, guint i, double factor, gint64 size)
{
  gint64 feather = MAX (llround (FEATHER * factor), 1);
  Span span = { llround ((double) (i * d->tile) * factor),
                llround ((double) ((i + 1) * d->tile) * factor), 0 };

  if (i > 0)
    {
      span.start = MAX (span.start - feather, 0);
      span.ramp = 2 * feather;
    }
  span.end = i + 1 < d->n ? MIN (span.end + feather, size) : size;
  return span;
}

/* How much of pixel k of a span is its own. */
static float
share (const Span *span, gint64 k)
{
  return k < span->ramp ? ((float) k + 0.5f) / (float) span->ramp : 1.0f;
}

static gint64
mirrored (gint64 i, gint64 n)
{
  return i < n ? i : MAX (2 * (n - 1) - i, 0);
}

typedef struct
{
  AtlUpscaler *self;
  const AtlUpscaleRequest *request;
  double factor;
  Division x, y;
  guint8 *out; /* [height, width, channels] */
  gint64 out_width, out_height;
} Job;

/* Channel `channel` of the window that begins at (left, top), in 0…1. */
static void
read_plane (const Job *job, gint64 left, gint64 top, guint channel, float *out)
{
  const AtlUpscaleRequest *r = job->request;

  for (gint64 i = 0; i < job->y.window; i++)
    {
      const guint8 *row =
          r->pixels + (gsize) mirrored (top + i, job->y.size) * r->width * r->channels;

      for (gint64 k = 0; k < job->x.window; k++)
        *out++ =
            (float) row[(gsize) mirrored (left + k, job->x.size) * r->channels + channel] / 255.0f;
    }
}

static void
set_no_memory (GError **error)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "%s",
               _ ("There is not enough memory to enlarge this picture"));
}

/* The network's planes, one after the other, of the window whose colours are `colours`. The
 * caller's. */
static float *
enlarge (Job *job, const float *colors, GCancellable *cancellable, GError **error)
{
  AtlUpscaler *self = job->self;
  gint64 h = job->y.window, w = job->x.window, n = self->traits.colors;
  gsize area = (gsize) (h * w), large = area * self->traits.scale * self->traits.scale;
  g_autofree float *out = g_try_new (float, (COLORS * large));

  if (out == NULL)
    {
      set_no_memory (error);
      return NULL;
    }
  /* A network for grey sees one colour after the other. */
  for (gint64 first = 0; first < COLORS; first += n)
    {
      g_autoptr (AtlRequest) request = atl_request_new ("upscale");
      g_autoptr (GPtrArray) outputs = NULL;
      AtlArray *image =
          atl_array_try_new ("image", ATL_DTYPE_F32, 4, (gint64[]){ 1, n, h, w }, error);

      if (image == NULL)
        return NULL;
      memcpy (image->data, colors + (gsize) first * area, atl_array_size (image));
      atl_request_add (request, image);
      outputs = atl_component_run (self->network, request, cancellable, error);
      if (outputs == NULL)
        return NULL;
      if (!atl_array_is_finite (outputs->pdata[0]))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                       _ ("The network gave no numbers for a part of the picture; its file may be "
                          "damaged"));
          return NULL;
        }
      memcpy (out + (gsize) first * large, ((AtlArray *) outputs->pdata[0])->data,
              (gsize) n * large * sizeof (float));
    }
  return g_steal_pointer (&out);
}

/* Puts a tile's pixels where they belong. */
static void
blend (Job *job, const Span *x, const Span *y, const guint8 *pixels)
{
  guint n = job->request->channels;

  for (gint64 i = y->start; i < y->end; i++)
    {
      guint8 *to = job->out + (gsize) (i * job->out_width + x->start) * n;
      float own = share (y, i - y->start);

      for (gint64 k = 0; k < x->end - x->start; k++)
        {
          float part = own * share (x, k);

          for (guint c = 0; c < n; c++, to++, pixels++)
            *to = part >= 1.0f ? *pixels
                               : (guint8) lrintf ((float) *to + part * (float) (*pixels - *to));
        }
    }
}

static gboolean
run_tile (Job *job, guint ix, guint iy, GCancellable *cancellable, GError **error)
{
  const AtlUpscaleRequest *r = job->request;
  gint64 left = window_of (&job->x, ix), top = window_of (&job->y, iy);
  gint64 scale = job->self->traits.scale;
  gsize area = (gsize) (job->x.window * job->y.window), large = area * (gsize) (scale * scale);
  gboolean is_gray = r->channels <= 2, has_alpha = r->channels % 2 == 0;
  g_autofree float *colors = g_try_new (float, (COLORS + 1) * area);
  g_autofree float *enlarged = NULL;
  g_autofree guint8 *pixels = NULL;
  Span x, y;

  if (colors == NULL)
    {
      set_no_memory (error);
      return FALSE;
    }
  for (guint c = 0; c < COLORS; c++)
    read_plane (job, left, top, is_gray ? 0 : c, colors + c * area);
  enlarged = enlarge (job, colors, cancellable, error);
  if (enlarged == NULL)
    return FALSE;
  for (gsize i = 0; is_gray && i < large; i++)
    enlarged[i] = (enlarged[i] + enlarged[large + i] + enlarged[2 * large + i]) / 3.0f;

  if (has_alpha)
    read_plane (job, left, top, r->channels - 1, colors + COLORS * area);
  x = span_of (&job->x, ix, job->factor, job->out_width);
  y = span_of (&job->y, iy, job->factor, job->out_height);
  pixels = g_try_malloc ((gsize) ((x.end - x.start) * (y.end - y.start)) * r->channels);
  if (pixels == NULL)
    {
      set_no_memory (error);
      return FALSE;
    }
  for (guint c = 0; c < r->channels; c++)
    {
      gboolean is_alpha = has_alpha && c + 1 == r->channels;
      gint64 s = is_alpha ? 1 : scale;
      AtlPlane plane = { .data = is_alpha ? colors + COLORS * area : enlarged + c * large,
                         .width = s * job->x.window,
                         .height = s * job->y.window,
                         .x = s * left,
                         .y = s * top };

      atl_resample (&plane, job->factor / (double) s, x.start, y.start, x.end - x.start,
                    y.end - y.start, pixels + c, r->channels,
                    (gsize) (x.end - x.start) * r->channels);
    }
  blend (job, &x, &y, pixels);
  return TRUE;
}

static gboolean
run_tiles (Job *job, guint tile, GCancellable *cancellable, GError **error)
{
  const AtlUpscaleRequest *r = job->request;
  guint total, done = 0;

  job->x = divide (r->width, tile, job->self->traits.fold);
  job->y = divide (r->height, tile, job->self->traits.fold);
  total = job->x.n * job->y.n;
  for (guint iy = 0; iy < job->y.n; iy++)
    for (guint ix = 0; ix < job->x.n; ix++)
      {
        if (g_cancellable_set_error_if_cancelled (cancellable, error) ||
            !run_tile (job, ix, iy, cancellable, error))
          return FALSE;
        if (r->progress != NULL)
          r->progress (++done, total, r->progress_data);
      }
  return TRUE;
}

static gboolean
check (const AtlUpscaleRequest *r, double factor, Job *job, GError **error)
{
  if (r->width < 1 || r->height < 1 || r->width > ATL_UPSCALE_MAX_SIDE ||
      r->height > ATL_UPSCALE_MAX_SIDE || r->channels < 1 || r->channels > 4 ||
      !(factor >= ATL_UPSCALE_MIN_FACTOR) || factor > ATL_UPSCALE_MAX_FACTOR)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("Pictures of up to %d × %d can be enlarged up to %d times, not %u × %u %g "
                      "times"),
                   ATL_UPSCALE_MAX_SIDE, ATL_UPSCALE_MAX_SIDE, (int) ATL_UPSCALE_MAX_FACTOR,
                   r->width, r->height, factor);
      return FALSE;
    }
  job->out_width = MAX (llround (r->width * factor), 1);
  job->out_height = MAX (llround (r->height * factor), 1);
  if (job->out_width * job->out_height <= MAX_RESULT_PIXELS)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               _ ("The enlarged picture would have %d × %d pixels; %u million are the most. A "
                  "smaller factor would do"),
               (int) job->out_width, (int) job->out_height, MAX_RESULT_PIXELS >> 20);
  return FALSE;
}

guint8 *
atl_upscaler_run (AtlUpscaler *self,
                  const AtlUpscaleRequest *request,
                  guint *width,
                  guint *height,
                  GCancellable *cancellable,
                  GError **error)
{
  g_autofree guint8 *out = NULL;
  Job job = { .self = self,
              .request = request,
              .factor = request->factor != 0 ? request->factor : self->traits.scale };
  guint tile = request->tile > 0 ? CLAMP (request->tile, MIN_TILE, MAX_TILE) : choose_tile (self);
  g_autoptr (GError) local = NULL;
  gsize size;

  g_return_val_if_fail (self->n_backends > 0, NULL);
  if (!check (request, job.factor, &job, error) || !load (self, cancellable, error))
    return NULL;
  size = (gsize) (job.out_width * job.out_height) * request->channels;
  job.out = out = g_try_malloc (size);
  if (out == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY,
                   _ ("There is not enough memory for the enlarged picture (%zu MiB)"), size >> 20);
      return NULL;
    }
  /* Where memory is short, smaller tiles do. */
  while (!run_tiles (&job, tile, cancellable, &local))
    {
      if (tile <= MIN_TILE || !g_error_matches (local, ATL_ERROR, ATL_ERROR_NO_MEMORY))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
      g_clear_error (&local);
      tile = MAX (tile / 2, MIN_TILE);
    }
  *width = (guint) job.out_width;
  *height = (guint) job.out_height;
  return g_steal_pointer (&out);
}
