/* Foretelling arrays from differences. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/series.h"

#include <string.h>

#include "engine/diffusion/arrays.h"

void
atl_series_clear (AtlSeries *self)
{
  for (guint i = 0; i < G_N_ELEMENTS (self->factors); i++)
    g_clear_pointer (&self->factors[i], atl_array_free);
  self->n = 0;
}

/* a = of_a * a + of_b * b */
static void
combine (AtlArray *a, float of_a, const AtlArray *b, float of_b)
{
  gint64 n = atl_array_n_elems (a);

  for (gint64 i = 0; i < n && !atl_array_is_hollow (a); i++)
    atl_array_f32 (a)[i] = of_a * atl_array_f32 (a)[i] + of_b * atl_array_f32 (b)[i];
}

static gboolean
is_shaped_like (const AtlArray *a, const AtlArray *b)
{
  return a->n_dims == b->n_dims && memcmp (a->dim, b->dim, a->n_dims * sizeof *a->dim) == 0;
}

void
atl_series_learn (AtlSeries *self, const AtlArray *value, guint order, guint step)
{
  AtlArray *next = atl_array_copy (value, "factor");
  guint n = 0;

  if (self->n > 0 && (step <= self->step || !is_shaped_like (value, self->factors[0])))
    atl_series_clear (self);
  /* A place's old one becomes the new one of the place behind it. */
  for (; n <= MIN (order, ATL_SERIES_MAX_ORDER) && next != NULL; n++)
    {
      AtlArray *difference = self->factors[n];
      float per_step = 1.0f / (float) (step - self->step);

      if (difference != NULL)
        combine (difference, -per_step, next, per_step);
      self->factors[n] = next;
      next = difference;
    }
  atl_array_free (next);
  self->n = n;
  self->step = step;
}

AtlArray *
atl_series_foretell (const AtlSeries *self, const char *name, guint step)
{
  double ahead = (double) step - self->step, weight = 1;
  AtlArray *value = atl_array_copy (self->factors[0], name);

  for (guint j = 1; j < self->n; j++)
    {
      weight *= ahead / j;
      combine (value, 1.0f, self->factors[j], (float) weight);
    }
  return value;
}
