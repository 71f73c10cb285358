/* Walking pipelines without computing them. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/cost.h"

#include <string.h>

#include "engine/tensor/rehearsal.h"

static const char *const must_be_pictures[] = { "image", "mask" };

double
atl_count_products (const AtlRunCount *self)
{
  double sum = 0;

  for (guint i = 0; i < self->n_backends; i++)
    sum += atl_rehearsal_counts (self->backends[i])->products;
  return sum;
}

guint64
atl_count_weights (const AtlRunCount *self)
{
  guint64 sum = 0;

  for (guint i = 0; i < self->n_backends; i++)
    sum += atl_rehearsal_counts (self->backends[i])->weight_bytes;
  return sum;
}

/* One walk; FALSE with an error other than having come to the end. */
static gboolean
walk (AtlRun *run, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (run->family->run (run, &local) || run->count->is_done)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* Grey pictures of the size that is asked for where none are given, into `inputs`. */
static void
add_pictures (const AtlRun *run, GPtrArray *inputs)
{
  gint64 width = run->latent.width * run->latent.factor;
  gint64 height = run->latent.height * run->latent.factor;

  for (gsize i = 0; i < G_N_ELEMENTS (must_be_pictures); i++)
    if (atl_arrays_find (inputs, must_be_pictures[i]) == NULL)
      g_ptr_array_add (inputs, atl_array_new (must_be_pictures[i], ATL_DTYPE_F32, 4,
                                              (gint64[]){ 1, i == 0 ? 3 : 1, height, width }));
}

static void
read_counts (const AtlRunCount *count, AtlDiffusionCost *cost)
{
  const AtlRehearsalCounts *first = atl_rehearsal_counts (count->backends[0]);

  cost->weights = first->weight_bytes;
  cost->peak = cost->peak_frugal = first->peak_bytes;
  cost->resident = first->held_bytes;
  cost->largest = count->largest_part;
  cost->is_possible = TRUE;
  for (guint i = 0; i < count->n_backends; i++)
    {
      const AtlRehearsalCounts *counts = atl_rehearsal_counts (count->backends[i]);

      cost->is_possible =
          cost->is_possible && counts->largest_alloc <= count->backends[i]->max_alloc;
      if (i > 0)
        {
          cost->host += counts->peak_bytes;
          cost->host_resident += counts->held_bytes;
        }
    }
  /* On the host alone its memory is the one there is. */
  if (count->n_backends > 1)
    cost->host += count->cache_bytes;
  else
    cost->peak_frugal = cost->peak += count->cache_bytes;
  cost->text = count->products[ATL_COUNT_TEXT];
  cost->encode = count->products[ATL_COUNT_ENCODE];
  cost->decode = count->products[ATL_COUNT_DECODE];
  cost->steps = count->n_steps;
  cost->step = count->n_asked > 0 ? count->products[ATL_COUNT_STEP] / count->n_asked : 0;
  cost->total = cost->text + cost->encode + cost->decode + cost->steps * cost->step;
}

/* `inputs` is added to when a picture turns out to be missing. */
static gboolean
rehearse_once (AtlRun *run,
               AtlBackend *const *backends,
               guint n_backends,
               const AtlLoraFile *loras,
               guint n_loras,
               const AtlDiffusionHow *how,
               AtlDiffusionCost *cost,
               GError **error)
{
  AtlBackend *pretended[ATL_MAX_BACKENDS] = { NULL };
  AtlRunCount count = { .backends = pretended };
  gboolean ok = TRUE;

  for (guint i = 0; i < n_backends && ok; i++)
    {
      pretended[i] = atl_rehearsal_new (backends[i], error);
      ok = pretended[i] != NULL;
      count.n_backends += ok;
    }
  run->count = &count;
  run->outputs = atl_arrays_new ();
  run->noise = atl_noise_new (0);
  run->parts = ok ? atl_parts_new (run->bundle, pretended, n_backends) : NULL;
  if (ok)
    {
      atl_parts_set_frugal (run->parts, how->is_frugal);
      atl_parts_set_streams (run->parts, how->streams, how->keep);
      atl_parts_set_on_host (run->parts, how->on_host);
      atl_parts_set_loras (run->parts, loras, n_loras);
      if (pretended[n_backends - 1]->is_host)
        atl_rehearsal_count_arrays (pretended[n_backends - 1]);
      ok = walk (run, error);
      g_ptr_array_set_size (run->outputs, 0);
      atl_rehearsal_count_arrays (NULL);
    }
  if (ok)
    {
      read_counts (&count, cost);
      cost->width = (guint) (run->latent.width * run->latent.factor);
      cost->height = (guint) (run->latent.height * run->latent.factor);
      cost->frames = count.frames;
    }
  g_clear_pointer (&run->parts, atl_parts_free);
  g_clear_pointer (&run->noise, atl_noise_free);
  g_clear_pointer (&run->outputs, g_ptr_array_unref);
  g_clear_pointer (&run->sampler, g_free);
  for (guint i = 0; i < count.n_backends; i++)
    atl_backend_free (pretended[i]);
  return ok;
}

gboolean
atl_diffusion_rehearse (AtlBundle *bundle,
                        const AtlDiffusionFamily *family,
                        const char *pipeline,
                        AtlBackend *const *backends,
                        guint n_backends,
                        const AtlSettings *settings,
                        GPtrArray *inputs,
                        const AtlLoraFile *loras,
                        guint n_loras,
                        const AtlDiffusionHow *how,
                        AtlDiffusionCost *cost,
                        GError **error)
{
  g_autoptr (GPtrArray) pictures = g_ptr_array_new ();
  g_autoptr (GPtrArray) made = atl_arrays_new ();
  g_autoptr (GError) local = NULL;
  AtlRun run = { .family = family,
                 .pipeline = pipeline,
                 .bundle = bundle,
                 .settings = settings,
                 .inputs = pictures,
                 .tile = how->tile };
  gboolean ok;

  *cost = (AtlDiffusionCost){ 0 };
  atl_arrays_set_hollow (TRUE);
  for (guint i = 0; inputs != NULL && i < inputs->len; i++)
    g_ptr_array_add (pictures, inputs->pdata[i]);
  ok = rehearse_once (&run, backends, n_backends, loras, n_loras, how, cost, &local);
  if (!ok && g_error_matches (local, ATL_ERROR, ATL_ERROR_INVALID) && run.latent.height > 0)
    {
      g_clear_error (&local);
      for (guint i = 0; i < pictures->len; i++)
        g_ptr_array_add (
            made, atl_array_copy (pictures->pdata[i], ((AtlArray *) pictures->pdata[i])->name));
      add_pictures (&run, made);
      run.inputs = made;
      ok = rehearse_once (&run, backends, n_backends, loras, n_loras, how, cost, &local);
    }
  atl_arrays_set_hollow (FALSE);
  if (!ok)
    g_propagate_error (error, g_steal_pointer (&local));
  return ok;
}
