/* The weights of Stable Diffusion's UNet (sd-unet.c says what is computed). */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <inttypes.h>

#include "engine/models/image/sd-unet-private.h"

static void
read_attention (
    UnetAttention *a, AtlSource *s, gint64 c, gint64 context, const char *p, const char *name)
{
  a->q = atl_source_linear (s, c, c, "%s.%s.to_q", p, name);
  a->k = atl_source_linear (s, c, context, "%s.%s.to_k", p, name);
  a->v = atl_source_linear (s, c, context, "%s.%s.to_v", p, name);
  a->out = atl_source_linear (s, c, c, "%s.%s.to_out.0", p, name);
}

static void
read_transformer (UnetTransformer *t, AtlSource *s, gint64 c, guint n_heads, const char *prefix)
{
  g_autofree char *proj_in = g_strconcat (prefix, ".proj_in", NULL);
  gint64 dim[ATL_MAX_DIMS];
  guint n_dims = 0;

  atl_source_shape (s, proj_in, &n_dims, dim);
  t->n_heads = n_heads > 0 ? n_heads : n_dims == 4 ? 8 : (guint) MAX (c / 64, 1);
  if (c % t->n_heads != 0)
    atl_weights_fail (s->weights, _ ("%s: %u heads do not divide %" PRId64 " channels"), prefix,
                      t->n_heads, c);
  t->norm = atl_source_norm (s, c, FALSE, "%s.norm", prefix);
  t->proj_in = atl_source_linear (s, c, c, "%s.proj_in", prefix);
  t->proj_out = atl_source_linear (s, c, c, "%s.proj_out", prefix);
  while (t->n_blocks < 64 &&
         atl_source_has (s, "%s.transformer_blocks.%u.norm1", prefix, t->n_blocks))
    t->n_blocks++;
  t->blocks = g_new0 (UnetBlock, MAX (t->n_blocks, 1));
  for (guint i = 0; i < t->n_blocks; i++)
    {
      g_autofree char *p = g_strdup_printf ("%s.transformer_blocks.%u", prefix, i);
      g_autofree char *ff = g_strconcat (p, ".ff.net.0.proj", NULL);
      UnetBlock *b = &t->blocks[i];
      gint64 inner = atl_source_rows (s, ff);

      b->norm1 = atl_source_norm (s, c, FALSE, "%s.norm1", p);
      b->norm2 = atl_source_norm (s, c, FALSE, "%s.norm2", p);
      b->norm3 = atl_source_norm (s, c, FALSE, "%s.norm3", p);
      read_attention (&b->self, s, c, c, p, "attn1");
      read_attention (&b->cross, s, c, -1, p, "attn2");
      b->ff_in = atl_source_linear (s, inner, c, "%s", ff);
      b->ff_out = atl_source_linear (s, c, inner > 0 ? inner / 2 : -1, "%s.ff.net.2", p);
    }
}

/* One level of residual blocks and transformers; `skips` (nullable) are popped by an up level.
 * Returns its channels. */
static gint64
read_level (UnetLevel *level,
            AtlSource *s,
            gint64 c,
            gint64 temb,
            guint n_heads,
            gint64 *skips,
            guint *n_skips,
            const char *prefix)
{
  while (level->n < UNET_MAX_BLOCKS && atl_source_has (s, "%s.resnets.%u.conv1", prefix, level->n))
    {
      g_autofree char *res = g_strdup_printf ("%s.resnets.%u", prefix, level->n);
      g_autofree char *conv = g_strconcat (res, ".conv1", NULL);
      g_autofree char *att = g_strdup_printf ("%s.attentions.%u", prefix, level->n);
      gint64 in = c;

      if (skips != NULL && *n_skips > 0)
        in += skips[--*n_skips];
      c = atl_source_rows (s, conv);
      atl_resnet_init (&level->resnets[level->n], s, in, c, temb, res);
      if (atl_source_has (s, "%s.norm", att))
        read_transformer (&level->transformers[level->n], s, c, n_heads, att);
      level->n++;
    }
  return c;
}

static void
push_skip (AtlSource *s, gint64 *skips, guint *n, gint64 c)
{
  if (*n == UNET_MAX_SKIPS)
    atl_weights_fail (s->weights, _ ("This UNet has more blocks than any known one"));
  else
    skips[(*n)++] = c;
}

static void
read_weights (Unet *m, AtlSource *s)
{
  gint64 skips[UNET_MAX_SKIPS];
  guint n_skips = 0;
  gint64 width = atl_source_rows (s, "conv_in"),
         temb = atl_source_rows (s, "time_embedding.linear_2");
  gint64 c = width;

  if (width < 1 || width % 2 != 0 || temb < 1)
    {
      atl_weights_fail (m->net.weights, _ ("%s holds no Stable Diffusion UNet"),
                        atl_checkpoint_name (atl_weights_checkpoint (m->net.weights)));
      return;
    }
  m->conv_in = atl_source_conv (s, width, -1, 0, 3, "conv_in");
  m->time1 = atl_source_linear (s, temb, width, "time_embedding.linear_1");
  m->time2 = atl_source_linear (s, temb, temb, "time_embedding.linear_2");
  if (atl_source_has (s, "add_embedding.linear_1"))
    {
      m->add1 = atl_source_linear (s, temb, -1, "add_embedding.linear_1");
      m->add2 = atl_source_linear (s, temb, temb, "add_embedding.linear_2");
    }

  push_skip (s, skips, &n_skips, c);
  for (guint i = 0; i < UNET_MAX_LEVELS && atl_source_has (s, "down_blocks.%u.resnets.0.conv1", i);
       i++)
    {
      g_autofree char *p = g_strdup_printf ("down_blocks.%u", i);
      UnetLevel *level = &m->down[m->n_down++];

      c = read_level (level, s, c, temb, m->heads[i], NULL, NULL, p);
      for (guint k = 0; k < level->n; k++)
        push_skip (s, skips, &n_skips, c);
      if (atl_source_has (s, "%s.downsamplers.0.conv", p))
        {
          level->resample = atl_source_conv (s, c, c, 0, 3, "%s.downsamplers.0.conv", p);
          push_skip (s, skips, &n_skips, c);
        }
    }
  if (m->n_down == 0)
    {
      atl_weights_fail (m->net.weights, _ ("%s holds no Stable Diffusion UNet"),
                        atl_checkpoint_name (atl_weights_checkpoint (m->net.weights)));
      return;
    }
  c = read_level (&m->mid, s, c, temb, m->heads[m->n_down - 1], NULL, NULL, "mid_block");
  for (guint i = 0; i < m->n_down && atl_source_has (s, "up_blocks.%u.resnets.0.conv1", i); i++)
    {
      g_autofree char *p = g_strdup_printf ("up_blocks.%u", i);
      UnetLevel *level = &m->up[m->n_up++];

      c = read_level (level, s, c, temb, m->heads[m->n_down - 1 - i], skips, &n_skips, p);
      if (atl_source_has (s, "%s.upsamplers.0.conv", p))
        level->resample = atl_source_conv (s, c, c, 0, 3, "%s.upsamplers.0.conv", p);
    }
  if (n_skips != 0 || m->n_up != m->n_down || m->mid.n != 2)
    atl_weights_fail (m->net.weights, _ ("%s: the UNet's two halves do not fit each other"),
                      atl_checkpoint_name (atl_weights_checkpoint (m->net.weights)));
  m->norm_out = atl_source_norm (s, c, FALSE, "conv_norm_out");
  m->conv_out = atl_source_conv (s, -1, c, 0, 3, "conv_out");
}

/* Numbers of heads and groups, where a configuration says them. */
static gboolean
read_config (Unet *m, const AtlCheckpoint *cp, GError **error)
{
  const AtlMetaValue *heads = atl_checkpoint_meta (cp, "num_attention_heads");
  guint64 groups = 32, one = 0;
  GError *local = NULL;

  if (heads == NULL)
    heads = atl_checkpoint_meta (cp, "attention_head_dim");
  if (heads != NULL && heads->type == ATL_META_ARRAY && heads->v_array.elem_type == ATL_META_INT)
    for (gsize i = 0; i < heads->v_array.n && i < UNET_MAX_LEVELS; i++)
      m->heads[i] = (guint) CLAMP (((gint64 *) heads->v_array.elems)[i], 0, 4096);
  else if (heads != NULL && (heads->type == ATL_META_INT || heads->type == ATL_META_UINT))
    {
      one = (guint64) CLAMP (heads->v_int, 0, 4096);
      for (guint i = 0; i < UNET_MAX_LEVELS; i++)
        m->heads[i] = (guint) one;
    }
  atl_checkpoint_get_uint (cp, "norm_num_groups", 1, 4096, &groups, &local);
  m->groups = (gint64) groups;
  if (local != NULL)
    {
      g_propagate_error (error, local);
      return FALSE;
    }
  return TRUE;
}

gboolean
unet_read_weights (Unet *m, AtlSource *s, const AtlCheckpoint *cp, GError **error)
{
  if (!read_config (m, cp, error))
    return FALSE;
  read_weights (m, s);
  return TRUE;
}
