/* The weights of Wan's transformer (wan.c says what is computed). */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <inttypes.h>

#include "engine/models/video/wan-private.h"

static void
read_attention (WanAttention *a, AtlSource *s, gint64 D, const char *p, const char *name)
{
  a->q = atl_source_linear (s, D, D, "%s.%s.q", p, name);
  a->k = atl_source_linear (s, D, D, "%s.%s.k", p, name);
  a->v = atl_source_linear (s, D, D, "%s.%s.v", p, name);
  a->o = atl_source_linear (s, D, D, "%s.%s.o", p, name);
  a->norm_q = atl_source_norm (s, D, FALSE, "%s.%s.norm_q", p, name);
  a->norm_k = atl_source_norm (s, D, FALSE, "%s.%s.norm_k", p, name);
}

static void
read_block (WanBlock *b, AtlSource *s, gint64 D, const char *p)
{
  read_attention (&b->self, s, D, p, "self_attn");
  read_attention (&b->cross, s, D, p, "cross_attn");
  if (atl_source_has (s, "%s.cross_attn.k_img", p))
    {
      b->k_img = atl_source_linear (s, D, D, "%s.cross_attn.k_img", p);
      b->v_img = atl_source_linear (s, D, D, "%s.cross_attn.v_img", p);
      b->norm_k_img = atl_source_norm (s, D, FALSE, "%s.cross_attn.norm_k_img", p);
    }
  b->norm3 = atl_source_norm (s, D, FALSE, "%s.norm3", p);
  b->ffn1 = atl_source_linear (s, -1, D, "%s.ffn.0", p);
  b->ffn2 = atl_source_linear (s, D, -1, "%s.ffn.2", p);
  b->modulation =
      atl_source_tensor (s, ATL_USE_VECTOR, 3, (gint64[]){ 1, 6, D }, FALSE, "%s.modulation", p);
  if (atl_source_has (s, "%s.before_proj", p))
    b->before_proj = atl_source_linear (s, D, D, "%s.before_proj", p);
  if (atl_source_has (s, "%s.after_proj", p))
    b->after_proj = atl_source_linear (s, D, D, "%s.after_proj", p);
}

static WanBlock *
read_blocks (AtlSource *s, gint64 D, const char *kind, guint *n)
{
  WanBlock *blocks;

  *n = 0;
  while (*n < WAN_MAX_BLOCKS && atl_source_has (s, "%s.%u.norm3", kind, *n))
    (*n)++;
  blocks = g_new0 (WanBlock, MAX (*n, 1));
  for (guint i = 0; i < *n; i++)
    {
      g_autofree char *p = g_strdup_printf ("%s.%u", kind, i);
      read_block (&blocks[i], s, D, p);
    }
  return blocks;
}

static void
read_vace_layers (Wan *m, const AtlCheckpoint *cp)
{
  const AtlMetaValue *list = atl_checkpoint_meta (cp, "vace_layers");

  for (guint i = 0; i < m->n_vace; i++)
    {
      m->vace_layer[i] = (gint) (i * MAX (m->n_blocks / m->n_vace, 1));
      if (list != NULL && list->type == ATL_META_ARRAY && list->v_array.elem_type == ATL_META_INT &&
          list->v_array.n == m->n_vace)
        m->vace_layer[i] = (gint) CLAMP (((gint64 *) list->v_array.elems)[i], 0, WAN_MAX_BLOCKS);
    }
}

void
wan_read_weights (Wan *m, AtlSource *s, const AtlCheckpoint *cp)
{
  gint64 dim[ATL_MAX_DIMS], D;
  guint n_dims;
  guint64 heads = 0;

  if (!atl_source_shape (s, "patch_embedding", &n_dims, dim) || n_dims != 5 || dim[2] != 1)
    {
      atl_weights_fail (m->net.weights,
                        _ ("%s: the patches of this transformer are not those of Wan"),
                        atl_checkpoint_name (cp));
      return;
    }
  D = m->dim = dim[0];
  m->patch_h = dim[3];
  m->patch_w = dim[4];
  atl_checkpoint_get_uint (cp, "num_attention_heads", 1, 1024, &heads, NULL);
  m->n_heads = heads > 0 ? (gint64) heads : MAX (D / 128, 1);
  if (D % m->n_heads != 0 || D / m->n_heads % 2 != 0 || D / m->n_heads < 6)
    atl_weights_fail (m->net.weights, _ ("%s: %" PRId64 " heads do not fit into %" PRId64),
                      atl_checkpoint_name (cp), m->n_heads, D);

  m->patch.w = atl_source_tensor (s, ATL_USE_CONV, 5, dim, FALSE, "patch_embedding.weight");
  m->patch.b = atl_source_tensor (s, ATL_USE_VECTOR, 1, &D, TRUE, "patch_embedding.bias");
  m->time.first = atl_source_linear (s, D, -1, "time_embedding.0");
  m->n_freqs = m->time.first.w != NULL ? m->time.first.w->dim[1] : 0;
  if (m->n_freqs % 2 != 0)
    atl_weights_fail (m->net.weights, _ ("%s: %" PRId64 " sinusoids of the timestep are no pairs"),
                      atl_checkpoint_name (cp), m->n_freqs);
  m->time.second = atl_source_linear (s, D, D, "time_embedding.2");
  m->time_proj = atl_source_linear (s, 6 * D, D, "time_projection.1");
  m->text1 = atl_source_linear (s, D, -1, "text_embedding.0");
  m->text2 = atl_source_linear (s, D, D, "text_embedding.2");
  if (atl_source_has (s, "img_emb.proj.1"))
    {
      m->img_norm1 = atl_source_norm (s, -1, FALSE, "img_emb.proj.0");
      m->img1 = atl_source_linear (s, -1, -1, "img_emb.proj.1");
      m->img2 = atl_source_linear (s, D, -1, "img_emb.proj.3");
      m->img_norm2 = atl_source_norm (s, D, FALSE, "img_emb.proj.4");
      m->img_pos = atl_source_tensor (s, ATL_USE_VECTOR, 3, (gint64[]){ 1, -1, -1 }, TRUE,
                                      "img_emb.emb_pos");
    }
  m->blocks = read_blocks (s, D, "blocks", &m->n_blocks);
  m->vace = read_blocks (s, D, "vace_blocks", &m->n_vace);
  if (m->n_blocks == 0)
    atl_weights_fail (m->net.weights, _ ("%s holds no transformer blocks"),
                      atl_checkpoint_name (cp));
  if (m->n_vace > 0 && atl_source_shape (s, "vace_patch_embedding", &n_dims, dim) && n_dims == 5)
    {
      m->vace_patch.w =
          atl_source_tensor (s, ATL_USE_CONV, 5, dim, FALSE, "vace_patch_embedding.weight");
      m->vace_patch.b =
          atl_source_tensor (s, ATL_USE_VECTOR, 1, &D, TRUE, "vace_patch_embedding.bias");
      read_vace_layers (m, cp);
    }
  m->head = atl_source_linear (s, -1, D, "head.head");
  m->head_modulation =
      atl_source_tensor (s, ATL_USE_VECTOR, 3, (gint64[]){ 1, 2, D }, FALSE, "head.modulation");
  if (m->head.w != NULL && m->head.w->dim[0] % (m->patch_h * m->patch_w) != 0)
    atl_weights_fail (m->net.weights, _ ("%s: the output does not divide into patches"),
                      atl_checkpoint_name (cp));
}
