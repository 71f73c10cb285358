/* What enlargers' names and shapes tell. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/upscale-traits.h"

#include <glib/gi18n.h>
#include <math.h>

#include "engine/models/upscale/names.h"

/* Rows (0) or columns (1) of a canonical layer; 0 where it is absent. */
static gint64
side (const AtlSource *s, const char *name, guint which)
{
  gint64 dim[ATL_MAX_DIMS];
  guint n_dims;

  return atl_source_shape (s, name, &n_dims, dim) && n_dims == 4 ? dim[which] : 0;
}

static void
esrgan_traits (const AtlEsrganLayout *layout, const AtlSource *s, AtlUpscaleTraits *t)
{
  gint64 nf = side (s, "conv_first", 0), gc = side (s, "body.0.rdb1.conv1", 0);
  gint64 in = side (s, "conv_first", 1), area = (gint64) 1 << (2 * layout->n_ups), wide;

  t->kind = "ESRGAN";
  t->colors = (guint) side (s, "conv_last", 0);
  t->fold = t->colors > 0 ? (guint) lround (sqrt ((double) in / t->colors)) : 0;
  if (t->fold < 1)
    return;
  t->scale = (1u << layout->n_ups) / t->fold;
  /* Three planes of the last resolution, or what a unit needs. */
  wide = MAX (3 * nf * area, 6 * nf + 9 * gc);
  t->wide_bytes = (gint64) sizeof (float) * wide / (t->fold * t->fold);
}

static void
compact_traits (const AtlSource *s, AtlUpscaleTraits *t)
{
  gint64 widest = 0;

  t->kind = "Compact";
  t->fold = 1;
  t->colors = (guint) side (s, "body.0", 1);
  for (guint i = 0; i < 256; i++)
    {
      g_autofree char *name = g_strdup_printf ("body.%u", 2 * i);
      gint64 out = side (s, name, 0);

      if (out == 0)
        break;
      widest = MAX (widest, out);
      t->scale = t->colors > 0 ? (guint) lround (sqrt ((double) out / t->colors)) : 0;
    }
  t->wide_bytes = (gint64) sizeof (float) * (5 * widest);
}

gboolean
atl_upscale_traits (const AtlCheckpoint *cp, AtlUpscaleTraits *traits, GError **error)
{
  AtlSource s = { .weights = atl_weights_new ((AtlCheckpoint *) cp) };
  AtlEsrganLayout layout;

  *traits = (AtlUpscaleTraits){ 0 };
  if (atl_esrgan_layout (cp, &layout))
    {
      atl_esrgan_layout_apply (&layout, &s);
      esrgan_traits (&layout, &s, traits);
    }
  else if ((s.prefix = atl_compact_prefix (cp, &s.map)) != NULL)
    compact_traits (&s, traits);
  atl_weights_free (s.weights);
  if (traits->scale >= 1 && traits->colors >= 1)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
               _ ("%s is no enlarger that is known here; those of the ESRGAN family can be used"),
               atl_checkpoint_name (cp));
  return FALSE;
}
