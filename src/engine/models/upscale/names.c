/* Names of the enlargers' layers; BLOCKS and UPS are how many of them the file has.
 *
 *   canonical           first files                  BSRGAN                   ncnn, n-th weights
 *   conv_first          model.0                      conv_first               0
 *   body.N.rdbD.convC   model.1.sub.N.RDBD.convC.0   RRDB_trunk.N.RDBD.convC  15 N + 5 D + C - 5
 *   conv_body           model.1.sub.BLOCKS           trunk_conv               the next one
 *   conv_upU            model.(3 U)                  upconvU                  the next ones
 *   conv_hr             model.(3 UPS + 2)            HRconv                   the next one
 *   conv_last           model.(3 UPS + 4)            conv_last                the last one
 */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/upscale/names.h"

#include <stdio.h>
#include <string.h>

#include "engine/models/blocks/names.h"

#define MAX_BLOCKS 128
#define MAX_UPS 4

static gboolean
has (const AtlCheckpoint *cp, const char *prefix, const char *format, guint n)
{
  g_autofree char *name = NULL;
  g_autofree char *number = g_strdup_printf ("%u", n);
  g_auto (GStrv) parts = g_strsplit (format, "#", 2);
  g_autofree char *whole = g_strjoinv (number, parts);

  name = g_strconcat (prefix, whole, NULL);
  return atl_checkpoint_find (cp, name) != NULL;
}

/* How many of `format`, "#" for the number, there are from `first` on. */
static guint
count (const AtlCheckpoint *cp, const char *prefix, const char *format, guint first, guint max)
{
  guint n = 0;

  while (n < max && has (cp, prefix, format, first + n))
    n++;
  return n;
}

/* The numbers in "body.N.rdbD.convC", and what follows. */
static gboolean
in_body (const char *canonical, guint *block, guint *unit, guint *conv, const char **rest)
{
  int n = 0;

  if (sscanf (canonical, "body.%u.rdb%u.conv%u%n", block, unit, conv, &n) != 3 || n == 0)
    return FALSE;
  *rest = canonical + n;
  return TRUE;
}

static char *
with_number (const char *canonical, const char *head, guint number)
{
  g_autofree char *to = g_strdup_printf ("%u", number);

  return atl_name_replace_head (canonical, head, to);
}

static guint
blocks_of (const AtlSource *source)
{
  return source->map_number & 0xffff;
}

static guint
ups_of (const AtlSource *source)
{
  return source->map_number >> 16;
}

/* The layers around the body, in files that number them. */
static char *
numbered (
    const char *canonical, const char *body, guint up_first, guint up_step, guint hr, guint last)
{
  char *out = atl_name_replace_head (canonical, "conv_body", body);
  guint up;
  int n = 0;

  if (out == NULL)
    out = with_number (canonical, "conv_hr", hr);
  if (out == NULL)
    out = with_number (canonical, "conv_last", last);
  if (out == NULL && sscanf (canonical, "conv_up%u%n", &up, &n) == 1 && n > 0)
    out = g_strdup_printf ("%u%s", up_first + up_step * (up - 1), canonical + n);
  if (out == NULL)
    out = atl_name_replace_head (canonical, "conv_first", "0");
  return out;
}

static char *
first_name (const AtlSource *source, const char *canonical)
{
  guint block, unit, conv, ups = ups_of (source);
  const char *rest;
  g_autofree char *body = g_strdup_printf ("1.sub.%u", blocks_of (source));
  g_autofree char *outer = NULL;

  if (in_body (canonical, &block, &unit, &conv, &rest))
    return g_strdup_printf ("model.1.sub.%u.RDB%u.conv%u.0%s", block, unit, conv, rest);
  outer = numbered (canonical, body, 3, 3, 3 * ups + 2, 3 * ups + 4);
  return outer != NULL ? g_strconcat ("model.", outer, NULL) : NULL;
}

static char *
ncnn_name (const AtlSource *source, const char *canonical)
{
  guint block, unit, conv, after = 15 * blocks_of (source) + 1, ups = ups_of (source);
  const char *rest;
  g_autofree char *body = g_strdup_printf ("%u", after);

  if (in_body (canonical, &block, &unit, &conv, &rest))
    return g_strdup_printf ("%u%s", 15 * block + 5 * unit + conv - 5, rest);
  return numbered (canonical, body, after + 1, 1, after + ups + 1, after + ups + 2);
}

static char *
bsrgan_name (const AtlSource *source, const char *canonical)
{
  static const AtlNamePair pairs[] = { { "conv_body", "trunk_conv" },
                                       { "conv_hr", "HRconv" },
                                       { NULL, NULL } };
  guint block, unit, conv;
  const char *rest;
  char *out = atl_name_translate (canonical, pairs);

  if (in_body (canonical, &block, &unit, &conv, &rest))
    return g_strdup_printf ("RRDB_trunk.%u.RDB%u.conv%u%s", block, unit, conv, rest);
  if (out == NULL && g_str_has_prefix (canonical, "conv_up"))
    return g_strconcat ("upconv", canonical + strlen ("conv_up"), NULL);
  return out != NULL ? out : g_strdup (canonical);
}

/* --- Which layout --- */

/* Layers of a kind in a network of ncnn's. */
static guint
count_layers (const AtlCheckpoint *cp, const char *kind)
{
  const AtlMetaValue *layers = atl_checkpoint_meta (cp, "ncnn.layers");
  guint n = 0;

  for (gsize i = 0; layers != NULL && i < layers->v_array.n; i++)
    {
      const char *layer = ((char **) layers->v_array.elems)[i];

      n += g_str_has_prefix (layer, kind) &&
           (layer[strlen (kind)] == '\0' || layer[strlen (kind)] == ' ');
    }
  return n;
}

static gboolean
ncnn_layout (const AtlCheckpoint *cp, AtlEsrganLayout *layout)
{
  guint n = count_layers (cp, "Convolution"), ups = count_layers (cp, "Interp");

  if (ups > MAX_UPS || n < 19 + ups || (n - 4 - ups) % 15 != 0 || count_layers (cp, "PReLU") > 0 ||
      count_layers (cp, "PixelShuffle") > 0)
    return FALSE;
  layout->prefix = "";
  layout->map = ncnn_name;
  layout->n_ups = ups;
  layout->n_blocks = (n - 4 - ups) / 15;
  return count_layers (cp, "Concat") == 12 * layout->n_blocks;
}

gboolean
atl_esrgan_layout (const AtlCheckpoint *cp, AtlEsrganLayout *layout)
{
  static const char *const prefixes[] = { "", "module." };

  for (gsize i = 0; i < G_N_ELEMENTS (prefixes); i++)
    {
      const char *p = layout->prefix = prefixes[i];

      layout->map = NULL;
      layout->n_blocks = count (cp, p, "body.#.rdb1.conv1.weight", 0, MAX_BLOCKS);
      layout->n_ups = count (cp, p, "conv_up#.weight", 1, MAX_UPS);
      if (layout->n_blocks > 0)
        return TRUE;
      layout->map = bsrgan_name;
      layout->n_blocks = count (cp, p, "RRDB_trunk.#.RDB1.conv1.weight", 0, MAX_BLOCKS);
      layout->n_ups = count (cp, p, "upconv#.weight", 1, MAX_UPS);
      if (layout->n_blocks > 0)
        return TRUE;
      layout->map = first_name;
      layout->n_blocks = count (cp, p, "model.1.sub.#.RDB1.conv1.0.weight", 0, MAX_BLOCKS);
      layout->n_ups = 0;
      /* The last layer's number tells how often it doubles. */
      while (layout->n_ups < MAX_UPS && !has (cp, p, "model.#.weight", 3 * layout->n_ups + 4))
        layout->n_ups++;
      if (layout->n_blocks > 0)
        return TRUE;
    }
  return ncnn_layout (cp, layout);
}

void
atl_esrgan_layout_apply (const AtlEsrganLayout *layout, AtlSource *source)
{
  source->prefix = layout->prefix;
  source->map = layout->map;
  source->map_number = layout->n_blocks | layout->n_ups << 16;
}

static char *
without_body (const AtlSource *source, const char *canonical)
{
  return g_strdup (g_str_has_prefix (canonical, "body.") ? canonical + strlen ("body.")
                                                         : canonical);
}

const char *
atl_compact_prefix (const AtlCheckpoint *cp, AtlNameMap *map)
{
  static const char *const prefixes[] = { "", "module." };
  const AtlTensorInfo *conv, *slopes;

  *map = NULL;
  for (gsize i = 0; i <= G_N_ELEMENTS (prefixes); i++)
    {
      gboolean is_ncnn = i == G_N_ELEMENTS (prefixes);
      const char *prefix = is_ncnn ? "" : prefixes[i];
      g_autofree char *first = g_strconcat (prefix, is_ncnn ? "" : "body.", "0.weight", NULL);
      g_autofree char *second = g_strconcat (prefix, is_ncnn ? "" : "body.", "1.weight", NULL);

      if (is_ncnn && count_layers (cp, "PixelShuffle") != 1)
        return NULL;
      conv = atl_checkpoint_find (cp, first);
      slopes = atl_checkpoint_find (cp, second);
      if (conv != NULL && conv->n_dims == 4 && slopes != NULL && slopes->n_dims == 1)
        {
          if (is_ncnn)
            *map = without_body;
          return prefix;
        }
    }
  return NULL;
}
