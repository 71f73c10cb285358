/* Reading the weights of Wan's autoencoders. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/vae/wan-vae.h"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

/* Stages in levels with shortcuts: Wan 2.2. */
static gboolean
has_levels (const AtlCheckpoint *cp)
{
  return atl_checkpoint_find (cp, "decoder.up_blocks.0.upsampler.resample.1.weight") != NULL ||
         atl_checkpoint_find (cp, "decoder.upsamples.0.upsamples.0.residual.0.gamma") != NULL ||
         atl_checkpoint_find (cp, "vae.decoder.upsamples.0.upsamples.0.residual.0.gamma") != NULL;
}

static AtlWeight *
gamma_weight (AtlSource *s, gint64 c, const char *p, const char *name)
{
  return atl_source_tensor (s, ATL_USE_VECTOR, 1, &c, FALSE, "%s.%s.gamma", p, name);
}

static gint64
read_residual (Residual *r, AtlSource *s, gint64 in, const char *p)
{
  g_autofree char *conv = g_strconcat (p, ".residual.2", NULL);
  gint64 out = atl_source_rows (s, conv);

  r->norm1 = gamma_weight (s, in, p, "residual.0");
  r->conv1 = atl_source_conv (s, out, in, 3, 3, "%s.residual.2", p);
  r->norm2 = gamma_weight (s, out, p, "residual.3");
  r->conv2 = atl_source_conv (s, out, out, 3, 3, "%s.residual.6", p);
  if (atl_source_has (s, "%s.shortcut", p))
    r->shortcut = atl_source_linear (s, out, in, "%s.shortcut", p);
  else if (in != out)
    atl_weights_fail (s->weights, _ ("%s.shortcut is missing"), p);
  return out;
}

static void
read_middle (Half *h, AtlSource *s, gint64 c, const char *half)
{
  g_autofree char *first = g_strconcat (half, ".middle.0", NULL);
  g_autofree char *second = g_strconcat (half, ".middle.2", NULL);
  AtlAffine fused;

  read_residual (&h->mid[0], s, c, first);
  h->attention_norm =
      atl_source_tensor (s, ATL_USE_VECTOR, 1, &c, FALSE, "%s.middle.1.norm.gamma", half);
  fused = atl_source_linear (s, 3 * c, c, "%s.middle.1.to_qkv", half);
  for (guint i = 0; i < 3; i++)
    {
      h->qkv[i].w = atl_weights_add_rows (s->weights, fused.w, ATL_USE_LINEAR, i * c, c);
      h->qkv[i].b = atl_weights_add_rows (s->weights, fused.b, ATL_USE_VECTOR, i * c, c);
    }
  if (fused.w != NULL)
    fused.w->use = 0;
  if (fused.b != NULL)
    fused.b->use = 0;
  h->proj = atl_source_linear (s, c, c, "%s.middle.1.proj", half);
  read_residual (&h->mid[1], s, c, second);
}

static gint64
read_stages (Half *h, AtlSource *s, gint64 c, const char *kind, gboolean up)
{
  guint before = h->n_stages;

  for (guint i = 0; h->n_stages < MAX_STAGES; i++)
    {
      g_autofree char *p = g_strdup_printf ("%s.%u", kind, i);
      Stage *stage = &h->stages[h->n_stages];

      if (atl_source_has (s, "%s.residual.2", p))
        c = read_residual (&stage->residual, s, c, p);
      else if (atl_source_has (s, "%s.resample.1", p))
        {
          g_autofree char *conv = g_strconcat (p, ".resample.1", NULL);
          gint64 out = atl_source_rows (s, conv);

          stage->is_resample = TRUE;
          stage->resample = atl_source_conv (s, out, c, 0, 3, "%s", conv);
          if (atl_source_has (s, "%s.time_conv", p))
            {
              gint64 dim[5] = { up ? 2 * c : out, up ? c : out, 3, 1, 1 };

              stage->time_conv.w =
                  atl_source_tensor (s, ATL_USE_CONV, 5, dim, FALSE, "%s.time_conv.weight", p);
              stage->time_conv.b =
                  atl_source_tensor (s, ATL_USE_VECTOR, 1, dim, FALSE, "%s.time_conv.bias", p);
            }
          c = out;
        }
      else
        break;
      h->n_stages++;
    }
  h->levels[h->n_levels++].n_stages = h->n_stages - before;
  return c;
}

/* The shortcut beside the level that was read last. */
static void
add_shortcut (Half *h, AtlSource *s, gint64 in, gint64 out, gboolean up)
{
  Level *level = &h->levels[h->n_levels - 1];
  const Stage *last = &h->stages[h->n_stages - 1];
  gint64 more, less;

  level->channels = out;
  level->space = last->is_resample ? 2 : 1;
  level->time = last->is_resample && last->time_conv.w != NULL ? 2 : 1;
  level->has_shortcut = !up || last->is_resample;
  more = (up ? out : in) * level->time * level->space * level->space;
  less = up ? in : out;
  if (level->has_shortcut && (less < 1 || more % less != 0 || more / less > MAX_GROUP))
    atl_weights_fail (s->weights,
                      _ ("a level of the autoencoder leads from %d to %d channels, which has no "
                         "shortcut"),
                      (int) in, (int) out);
}

static gint64
read_levels (Half *h, AtlSource *s, gint64 c, const char *kind, gboolean up)
{
  if (!has_levels (atl_weights_checkpoint (s->weights)))
    return read_stages (h, s, c, kind, up);
  while (h->n_levels < MAX_LEVELS)
    {
      g_autofree char *inner =
          g_strdup_printf ("%s.%u.%s", kind, h->n_levels, strchr (kind, '.') + 1);
      guint before = h->n_stages;
      gint64 in = c;

      c = read_stages (h, s, c, inner, up);
      if (h->n_stages == before)
        {
          h->n_levels--;
          break;
        }
      add_shortcut (h, s, in, c, up);
    }
  return c;
}

/* The side of patches that give that many channels. */
static gint64
patch_side (AtlSource *s, gint64 channels)
{
  gint64 side = 1;

  while (COLORS * side * side < channels && side < 16)
    side++;
  if (channels > 0 && COLORS * side * side != channels)
    atl_weights_fail (s->weights, _ ("%d channels are no patches of colours"), (int) channels);
  return side;
}

void
atl_wan_vae_read_weights (WanVae *m, AtlSource *s)
{
  gint64 c = atl_source_rows (s, "encoder.conv1"), z;

  if (c > 0)
    {
      m->encoder.conv_in = atl_source_conv (s, c, -1, 3, 3, "encoder.conv1");
      m->encoder.patch =
          patch_side (s, m->encoder.conv_in.w != NULL ? m->encoder.conv_in.w->dim[1] : -1);
      c = read_levels (&m->encoder, s, c, "encoder.downsamples", FALSE);
      read_middle (&m->encoder, s, c, "encoder");
      m->encoder.norm_out = gamma_weight (s, c, "encoder", "head.0");
      z = atl_source_rows (s, "encoder.head.2");
      m->encoder.conv_out = atl_source_conv (s, z, c, 3, 3, "encoder.head.2");
      m->quant = atl_source_linear (s, z, z, "conv1");
    }
  c = atl_source_rows (s, "decoder.conv1");
  if (c > 0)
    {
      m->decoder.conv_in = atl_source_conv (s, c, -1, 3, 3, "decoder.conv1");
      z = m->decoder.conv_in.w != NULL ? m->decoder.conv_in.w->dim[1] : -1;
      m->post_quant = atl_source_linear (s, z, z, "conv2");
      read_middle (&m->decoder, s, c, "decoder");
      c = read_levels (&m->decoder, s, c, "decoder.upsamples", TRUE);
      m->decoder.norm_out = gamma_weight (s, c, "decoder", "head.0");
      m->decoder.conv_out = atl_source_conv (s, -1, c, 3, 3, "decoder.head.2");
      m->decoder.patch = patch_side (s, atl_source_rows (s, "decoder.head.2"));
    }
  if (m->encoder.n_stages == 0 && m->decoder.n_stages == 0)
    atl_weights_fail (m->net.weights, _ ("%s holds no Wan autoencoder"),
                      atl_checkpoint_name (atl_weights_checkpoint (m->net.weights)));
}
