/* The Wan 2.1 / 2.2 diffusion transformer (Wan-Video/Wan2.1 wan/modules/model.py; diffusers 0.42.1
 * WanTransformer3DModel, WanVACETransformer3DModel).
 *
 *   x = patch_embedding(latent)                 Conv3d, kernel = stride = (1, 2, 2); tokens in
 * (frame, row, column) order e = Linear(SiLU(Linear(sinusoids(t))))      256 sinusoids, cosines
 * first;  e6 = Linear(SiLU(e)) as 6 x dim text = Linear(GELU_tanh(Linear(context)))   no mask per
 * block: shift, scale, gate (self), shift, scale, gate (ffn) = modulation[6] + e6 x += gate *
 * self_attn(LN(x) (1 + scale) + shift)     q, k RMS-normed over the whole dim, rotary x +=
 * cross_attn(norm3(x), text)                      norm3 affine; no gate x += gate * ffn(LN(x) (1 +
 * scale) + shift)           Linear, GELU_tanh, Linear out = Linear(LN(x) (1 + scale) + shift)
 * shift, scale = head.modulation[2] + e;  unpatched, channels last per patch
 *
 * Rotary: adjacent pairs, axes (frame, row, column), row = column = 2 (d // 6) of a head's
 * components, frame the rest, theta 10000. LN eps 1e-6 without weights except norm3. Picture to
 * video: image tokens (CLIP) through LN, Linear, GELU_erf, Linear, LN; own k_img, v_img,
 * norm_k_img; a second softmax with the same q; sums before the output projection.
 * First-last-frame: both pictures' tokens end to end, + emb_pos. VACE: control =
 * vace_patch_embedding(control); side blocks; block 0: control = before_proj(control) + x (x before
 * any block); hint_i = after_proj(control); main block vace_layers[i] adds hint_i *
 * control_scale[i].
 *
 * forward: latent [B, C, F, H, W], timestep [B] or [B, tokens], context [B, T, text_dim];
 * image_context [n, tokens, dim], control [B, 96, F, H, W] and control_scale [n]  ->  output [B,
 * C_out, F, H, W]. Names: the authors' (prefix "model.diffusion_model." or none; also GGUF), or
 * diffusers'. Heads: configuration, else 128 wide.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

#include "engine/models/blocks/denoiser.h"
#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/rope-table.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/blocks/stages.h"
#include "engine/models/blocks/timestep.h"
#include "engine/models/classes.h"
#include "engine/models/video/wan-names.h"
#include "engine/models/video/wan-rope.h"

#define EPS 1e-6f
#define MAX_BLOCKS 128

typedef struct
{
  AtlAffine q, k, v, o, norm_q, norm_k;
} Attention;

typedef struct
{
  Attention self, cross;
  AtlAffine k_img, v_img, norm_k_img; /* w nullable */
  AtlAffine norm3, ffn1, ffn2;
  AtlWeight *modulation;             /* [1, 6, dim] */
  AtlAffine before_proj, after_proj; /* VACE; w nullable */
} Block;

typedef struct
{
  AtlNetwork net;
  gint64 dim, n_heads, patch_h, patch_w, n_freqs;
  guint n_blocks, n_vace;
  Block *blocks, *vace; /* (owned) */
  gint vace_layer[MAX_BLOCKS];
  AtlEmbedder time;
  AtlAffine patch, vace_patch, time_proj, text1, text2, head;
  AtlAffine img_norm1, img1, img2, img_norm2; /* w nullable */
  AtlWeight *img_pos, *head_modulation;       /* img_pos nullable */
} Wan;

static const char *
find_prefix (const AtlCheckpoint *cp, gboolean *diffusers)
{
  const char *prefix =
      atl_denoiser_prefix (cp, "patch_embedding.weight", "blocks.0.attn1.norm_q.weight", NULL);

  *diffusers = prefix != NULL;
  return prefix != NULL ? prefix
                        : atl_denoiser_prefix (cp, "patch_embedding.weight",
                                               "blocks.0.self_attn.norm_q.weight", NULL);
}

static gboolean
recognises (const AtlCheckpoint *cp)
{
  gboolean diffusers;

  return find_prefix (cp, &diffusers) != NULL;
}

static void
wan_clear (gpointer model)
{
  Wan *m = model;

  g_free (m->blocks);
  g_free (m->vace);
}

/* --- Weights --- */

static void
read_attention (Attention *a, AtlSource *s, gint64 D, const char *p, const char *name)
{
  a->q = atl_source_linear (s, D, D, "%s.%s.q", p, name);
  a->k = atl_source_linear (s, D, D, "%s.%s.k", p, name);
  a->v = atl_source_linear (s, D, D, "%s.%s.v", p, name);
  a->o = atl_source_linear (s, D, D, "%s.%s.o", p, name);
  a->norm_q = atl_source_norm (s, D, FALSE, "%s.%s.norm_q", p, name);
  a->norm_k = atl_source_norm (s, D, FALSE, "%s.%s.norm_k", p, name);
}

static void
read_block (Block *b, AtlSource *s, gint64 D, const char *p)
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

static Block *
read_blocks (AtlSource *s, gint64 D, const char *kind, guint *n)
{
  Block *blocks;

  *n = 0;
  while (*n < MAX_BLOCKS && atl_source_has (s, "%s.%u.norm3", kind, *n))
    (*n)++;
  blocks = g_new0 (Block, MAX (*n, 1));
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
        m->vace_layer[i] = (gint) CLAMP (((gint64 *) list->v_array.elems)[i], 0, MAX_BLOCKS);
    }
}

static void
read_weights (Wan *m, AtlSource *s, const AtlCheckpoint *cp)
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

static gboolean
wan_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  Wan *m = model;
  gboolean diffusers = FALSE;

  s->lora_maps[0] = atl_wan_diffusers_name;
  s->prefix = find_prefix (cp, &diffusers);
  if (diffusers)
    s->map = atl_wan_diffusers_name;
  read_weights (m, s, cp);
  return TRUE;
}

/* --- Forward --- */

typedef struct
{
  const Wan *m;
  AtlGraph *g;
  gint64 B, T, d;
  AtlTensor *rope, *text, *image; /* image nullable */
  AtlTensor *e6;                  /* [B, m, 6, D], m = 1 or T */
} Pass;

static AtlTensor *
rms (Pass *p, AtlTensor *x, const AtlAffine *a)
{
  return atl_norm (p->g, ATL_NORM_RMS, x, atl_weight (p->g, a->w), NULL, EPS);
}

static AtlTensor *
heads (Pass *p, AtlTensor *x)
{
  return atl_reshape_to (p->g, x, x->dim[0], x->dim[1], p->m->n_heads, p->d);
}

static AtlTensor *
merge (Pass *p, AtlTensor *x)
{
  return atl_reshape_to (p->g, x, x->dim[0], x->dim[1], p->m->dim);
}

static AtlTensor *
self_attention (Pass *p, const Attention *a, AtlTensor *x)
{
  AtlGraph *g = p->g;
  AtlTensor *w[3] = { atl_weight (g, a->q.w), atl_weight (g, a->k.w), atl_weight (g, a->v.w) };
  AtlTensor *b[3] = { atl_weight (g, a->q.b), atl_weight (g, a->k.b), atl_weight (g, a->v.b) };
  AtlTensor *qkv[3];

  atl_linear_multi (g, x, 3, w, b, qkv);
  AtlTensor *q = atl_rope (g, heads (p, rms (p, qkv[0], &a->norm_q)), p->rope, ATL_ROPE_NEIGHBOURS);
  AtlTensor *k = atl_rope (g, heads (p, rms (p, qkv[1], &a->norm_k)), p->rope, ATL_ROPE_NEIGHBOURS);

  x = atl_attention (g, q, k, heads (p, qkv[2]), NULL, NULL, NULL, 0.0f, 0.0f);
  return atl_apply (g, merge (p, x), &a->o);
}

/* Attention of ready queries to one source of keys and values. */
static AtlTensor *
attend_to (Pass *p,
           AtlTensor *q,
           AtlTensor *source,
           const AtlAffine *wk,
           const AtlAffine *norm_k,
           const AtlAffine *wv)
{
  AtlGraph *g = p->g;
  AtlTensor *w[2] = { atl_weight (g, wk->w), atl_weight (g, wv->w) };
  AtlTensor *b[2] = { atl_weight (g, wk->b), atl_weight (g, wv->b) };
  AtlTensor *kv[2];

  atl_linear_multi (g, source, 2, w, b, kv);
  return merge (p, atl_attention (g, q, heads (p, rms (p, kv[0], norm_k)), heads (p, kv[1]), NULL,
                                  NULL, NULL, 0.0f, 0.0f));
}

static AtlTensor *
cross_attention (Pass *p, const Block *b, AtlTensor *x, AtlTensor *residual)
{
  AtlGraph *g = p->g;
  const Attention *a = &b->cross;
  AtlTensor *q = heads (p, rms (p, atl_apply (g, x, &a->q), &a->norm_q));
  AtlTensor *y = attend_to (p, q, p->text, &a->k, &a->norm_k, &a->v);

  if (p->image != NULL && b->k_img.w != NULL)
    y = atl_add (g, y, attend_to (p, q, p->image, &b->k_img, &b->norm_k_img, &b->v_img));
  return atl_linear_add (g, y, atl_weight (g, a->o.w), atl_weight (g, a->o.b), residual);
}

/* The n parts of a modulation [B, m, n, D], [B, m, D] each. */
static void
split (Pass *p, AtlTensor *all, guint n, AtlTensor **parts)
{
  for (guint i = 0; i < n; i++)
    parts[i] =
        atl_reshape_to (p->g, atl_slice (p->g, all, 2, i, 1), all->dim[0], all->dim[1], p->m->dim);
}

static AtlTensor *
block (Pass *p, const Block *b, AtlTensor *x)
{
  AtlGraph *g = p->g;
  AtlTensor *mod[6], *y;

  split (p, atl_add (g, p->e6, atl_weight (g, b->modulation)), 6, mod);
  x = atl_gated (g, x, self_attention (p, &b->self, atl_modulated (g, x, mod)), mod[2]);
  y = atl_norm (g, ATL_NORM_LAYER, x, atl_weight (g, b->norm3.w), atl_weight (g, b->norm3.b), EPS);
  x = cross_attention (p, b, y, x);
  y = atl_modulated (g, x, mod + 3);
  y = atl_linear_act (g, y, atl_weight (g, b->ffn1.w), atl_weight (g, b->ffn1.b),
                      ATL_ACT_GELU_TANH);
  return atl_gated (g, x, atl_apply (g, y, &b->ffn2), mod[5]);
}

/* [B, C, F, H, W] -> [B, F, h, w, D] */
static AtlTensor *
embed_patches (AtlGraph *g, const Wan *m, AtlTensor *x, const AtlAffine *a)
{
  AtlOpParams p = { .stride = { 1, m->patch_h, m->patch_w } };

  return atl_conv (g, atl_permute_to (g, x, 0, 2, 3, 4, 1), atl_weight (g, a->w),
                   atl_weight (g, a->b), NULL, &p);
}

static AtlTensor *
image_tokens (AtlGraph *g, const Wan *m, GPtrArray *inputs)
{
  AtlTensor *x = atl_runner_input (g, inputs, "image_context");

  if (m->img_pos != NULL)
    {
      x = atl_reshape_to (g, x, 1, x->dim[0] * x->dim[1], x->dim[2]);
      x = atl_add (g, x, atl_weight (g, m->img_pos));
    }
  x = atl_norm (g, ATL_NORM_LAYER, x, atl_weight (g, m->img_norm1.w),
                atl_weight (g, m->img_norm1.b), 1e-5f);
  x = atl_linear_act (g, x, atl_weight (g, m->img1.w), atl_weight (g, m->img1.b), ATL_ACT_GELU_ERF);
  x = atl_apply (g, x, &m->img2);
  return atl_norm (g, ATL_NORM_LAYER, x, atl_weight (g, m->img_norm2.w),
                   atl_weight (g, m->img_norm2.b), 1e-5f);
}

/* Runs the side blocks; hints[i] [B, T, D], scaled. */
static void
run_vace (Pass *p, GPtrArray *inputs, AtlTensor *x, AtlTensor **hints)
{
  AtlGraph *g = p->g;
  const Wan *m = p->m;
  AtlTensor *scales = atl_runner_input (g, inputs, "control_scale");
  AtlTensor *c = embed_patches (g, m, atl_runner_input (g, inputs, "control"), &m->vace_patch);

  c = atl_reshape_to (g, c, p->B, p->T, m->dim);
  for (guint i = 0; i < m->n_vace; i++)
    {
      const Block *b = &m->vace[i];

      if (b->before_proj.w != NULL)
        c = atl_linear_add (g, c, atl_weight (g, b->before_proj.w),
                            atl_weight (g, b->before_proj.b), x);
      c = block (p, b, c);
      hints[i] = atl_mul (g, atl_apply (g, c, &b->after_proj), atl_slice (g, scales, 0, i, 1));
    }
}

static AtlTensor *
unpatch (AtlGraph *g, const Wan *m, AtlTensor *x, gint64 B, gint64 F, gint64 h, gint64 w)
{
  gint64 ph = m->patch_h, pw = m->patch_w, C = x->dim[x->n_dims - 1] / (ph * pw);

  x = atl_reshape_to (g, x, B * F * h, w, ph, pw * C);
  x = atl_permute_to (g, x, 0, 2, 1, 3);
  x = atl_reshape_to (g, x, B, F, h * ph, w * pw, C);
  return atl_permute_to (g, x, 0, 4, 1, 2, 3);
}

typedef struct
{
  const Wan *m;
  AtlStage stage;
} Call;

/* The tokens before the blocks that this part runs. */
static AtlTensor *
enter (const Call *call, Pass *p, GPtrArray *inputs)
{
  AtlGraph *g = p->g;
  AtlTensor *x;

  if (call->stage == ATL_STAGE_REST)
    return atl_runner_input (g, inputs, "hidden");
  if (call->stage == ATL_STAGE_END)
    return atl_runner_input (g, inputs, "last");
  x = embed_patches (g, p->m, atl_runner_input (g, inputs, "latent"), &p->m->patch);
  x = atl_reshape_to (g, x, p->B, p->T, p->m->dim);
  if (call->stage != ATL_STAGE_WHOLE)
    atl_graph_output (g, x, "before");
  return x;
}

static AtlTensor *
run_blocks (const Call *call, Pass *p, GPtrArray *inputs, AtlTensor *x)
{
  AtlGraph *g = p->g;
  const Wan *m = p->m;
  guint first = call->stage == ATL_STAGE_REST ? 1 : 0;
  guint end = call->stage == ATL_STAGE_FIRST ? 1 : m->n_blocks;
  AtlTensor *hints[MAX_BLOCKS];

  p->rope = atl_runner_input (g, inputs, "rope");
  p->text = atl_linear_act (g, atl_runner_input (g, inputs, "context"), atl_weight (g, m->text1.w),
                            atl_weight (g, m->text1.b), ATL_ACT_GELU_TANH);
  p->text = atl_apply (g, p->text, &m->text2);
  if (atl_arrays_find (inputs, "image_context") != NULL)
    p->image = image_tokens (g, m, inputs);

  if (m->n_vace > 0)
    run_vace (p, inputs, x, hints);
  for (guint i = first; i < end; i++)
    {
      x = block (p, &m->blocks[i], x);
      for (guint k = 0; k < m->n_vace; k++)
        if (m->vace_layer[k] == (gint) i)
          x = atl_add (g, x, hints[k]);
    }
  return x;
}

static void
describe (AtlGraph *g, gpointer data, GPtrArray *inputs)
{
  const Call *call = data;
  const Wan *m = call->m;
  const AtlArray *latent = atl_arrays_find (inputs, "latent");
  gint64 F = latent->dim[2], h = latent->dim[3] / m->patch_h, w = latent->dim[4] / m->patch_w;
  Pass p = { .m = m, .g = g, .B = latent->dim[0], .T = F * h * w, .d = m->dim / m->n_heads };
  AtlTensor *x = enter (call, &p, inputs), *e, *mod[2];

  e = atl_embedder (g, &m->time, atl_runner_input (g, inputs, "time_features"));
  if (call->stage != ATL_STAGE_END)
    {
      p.e6 = atl_apply (g, atl_act (g, ATL_ACT_SILU, e), &m->time_proj);
      p.e6 = atl_reshape_to (g, p.e6, p.B, e->dim[1], 6, m->dim);
    }
  if (call->stage == ATL_STAGE_PROBE)
    {
      atl_graph_output (g, e, "probe");
      atl_graph_output (g, p.e6, "probe_projected");
      return;
    }
  if (call->stage != ATL_STAGE_END)
    x = run_blocks (call, &p, inputs, x);
  if (call->stage == ATL_STAGE_FIRST)
    {
      atl_graph_output (g, x, "hidden");
      return;
    }
  if (call->stage == ATL_STAGE_REST)
    atl_graph_output (g, x, "last");
  e = atl_add (g, atl_reshape_to (g, e, p.B, e->dim[1], 1, m->dim),
               atl_weight (g, m->head_modulation));
  split (&p, e, 2, mod);
  x = atl_apply (g, atl_modulated (g, x, mod), &m->head);
  atl_graph_output (g, unpatch (g, m, x, p.B, F, h, w), "output");
}

static gboolean
check_shapes (const Wan *m,
              const AtlArray *latent,
              const AtlArray *t,
              const AtlArray *context,
              GError **error)
{
  gint64 tokens = latent->dim[2] * (latent->dim[3] / m->patch_h) * (latent->dim[4] / m->patch_w);

  if (latent->dim[3] % m->patch_h != 0 || latent->dim[4] % m->patch_w != 0 ||
      context->dim[0] != latent->dim[0] || t->n_dims < 1 || t->n_dims > 2 ||
      t->dim[0] != latent->dim[0] || (t->n_dims == 2 && t->dim[1] != tokens))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The latent's size must be a multiple of %" PRId64
                      ", and the text and the timestep must belong to it"),
                   m->patch_h);
      return FALSE;
    }
  return TRUE;
}

static gboolean
wan_run (gpointer model,
         const AtlRequest *request,
         GPtrArray *outputs,
         GCancellable *cancellable,
         GError **error)
{
  static const char *const optional[] = { "image_context", "control", "control_scale" };
  Wan *m = model;
  Call call = { .m = m, .stage = atl_stage_of (request) };
  AtlArray *latent = atl_request_require (request, "latent", ATL_DTYPE_F32, 5, error);
  AtlArray *context =
      latent == NULL ? NULL : atl_request_require (request, "context", ATL_DTYPE_F32, 3, error);
  AtlArray *timestep = atl_request_find (request, "timestep");
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  g_autoptr (AtlArray) features = NULL;
  g_autoptr (AtlArray) rope = NULL;
  gint64 B, n_times;

  if (context == NULL)
    return FALSE;
  if (timestep == NULL || timestep->dtype != ATL_DTYPE_F32)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("The timestep is missing"));
      return FALSE;
    }
  if (!check_shapes (m, latent, timestep, context, error))
    return FALSE;
  if (m->n_vace > 0 && call.stage != ATL_STAGE_WHOLE)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED, _ ("%s cannot do “%s”"), "wan-vace",
                   atl_request_function (request));
      return FALSE;
    }
  if (m->n_vace > 0 && (!atl_request_require (request, "control", ATL_DTYPE_F32, 5, error) ||
                        !atl_request_require (request, "control_scale", ATL_DTYPE_F32, 1, error)))
    return FALSE;

  B = latent->dim[0];
  n_times = timestep->n_dims == 2 ? timestep->dim[1] : 1;
  features =
      atl_array_new ("time_features", ATL_DTYPE_F32, 3, (gint64[]){ B, n_times, m->n_freqs });
  atl_timestep_features (atl_array_f32 (timestep), (guint) (B * n_times), (guint) m->n_freqs,
                         atl_array_f32 (features));
  rope = atl_wan_rope (m->dim / m->n_heads, latent->dim[2], latent->dim[3] / m->patch_h,
                       latent->dim[4] / m->patch_w);
  g_ptr_array_add (inputs, latent);
  g_ptr_array_add (inputs, context);
  g_ptr_array_add (inputs, features);
  g_ptr_array_add (inputs, rope);
  for (gsize i = 0; i < G_N_ELEMENTS (optional); i++)
    {
      AtlArray *a = atl_request_find (request, optional[i]);
      if (a != NULL)
        g_ptr_array_add (inputs, a);
    }
  return atl_stage_add_inputs (call.stage, request, FALSE, inputs, error) &&
         atl_runner_run (m->net.runner, atl_request_function (request), describe, &call, inputs,
                         outputs, cancellable, error);
}

const AtlComponentClass atl_wan_class = {
  .name = "wan",
  .origins =
      (const char *const[]){ "WanTransformer3DModel", "WanVACETransformer3DModel", "wan", NULL },
  .recognises = recognises,
  .functions = (const char *const[]){ ATL_STAGE_FUNCTIONS, NULL },
  .lora_prefix = "transformer",
  .size = sizeof (Wan),
  .read = wan_read,
  .run = wan_run,
  .clear = wan_clear,
};
