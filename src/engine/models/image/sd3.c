/* The Stable Diffusion 3 and 3.5 transformers (Esser et al. 2024; diffusers 0.42.1
 * SD3Transformer2DModel).
 *
 *   x = conv(latent), kernel = stride = patch, + the middle of a stored table of positions
 *   c = context_embedder(context)
 *   e = SiLU(mlp(sin(t)) + mlp(pooled))               256 sinusoids of t, cosines first
 *   per block, for picture and text each: shift, scale, gate (attention), shift, scale, gate (MLP)
 *     = Linear(e); one attention over picture and text; q and k RMS-normed per head in 3.5;
 *     x += gate * out; x += gate * Linear(GELU_tanh(Linear(LN(x) (1 + scale) + shift)))
 *   with a second attention (3.5 Medium's first blocks) of the picture alone: three more parts
 *     shift, scale, gate; it reads the state from before the first attention
 *   last block: the text only gives keys and values, its modulation has two parts
 *   out = proj_out(LN(x) (1 + scale) + shift), (y, x, channel) of a patch
 *
 * The modulation of the end and of the last block's text: scale, shift in diffusers' files, shift,
 * scale in the authors'. LN and RMS eps 1e-6, LN without weights.
 *
 * forward: latent [B, C, H, W], timestep [B] or [1] in 0…1000, context [B, T, dim], pooled [B, n],
 * skip_layers (optional) i32 [k]: blocks to leave out -> output [B, C_out, H, W]. Names:
 * diffusers', or the authors' (below "model.diffusion_model." or at the top). Heads: configuration,
 * else 64 wide.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/models/blocks/denoiser.h"
#include "engine/models/blocks/patches.h"
#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/blocks/stages.h"
#include "engine/models/blocks/timestep.h"
#include "engine/models/classes.h"
#include "engine/models/image/sd3-names.h"
#include "engine/tensor/quants/dequant.h"

#define MAX_BLOCKS 128

typedef struct
{
  AtlQkv qkv;    /* nullable */
  AtlAffine out; /* w nullable */
} Attention;

/* What picture and text have each in a block. */
typedef struct
{
  AtlAffine mod, mlp1, mlp2; /* mlp: w nullable */
  Attention attn;
} Stream;

typedef struct
{
  Stream image, text;
  Attention second; /* nullable */
} Block;

typedef struct
{
  AtlNetwork net;
  gint64 dim, head_dim, n_heads, patch, table_side;
  gboolean shift_first; /* of the two-part modulations */
  guint n_blocks;
  Block blocks[MAX_BLOCKS];
  gboolean skipped[MAX_BLOCKS]; /* in this run */
  AtlEmbedder time, pooled;
  AtlAffine proj, context_embedder, norm_out, proj_out;
  const AtlTensorInfo *table; /* the checkpoint's: [1, side * side, dim] */
  AtlArray *positions;        /* (owned, nullable) its middle for the last size */
} Sd3;

static const char *
find_prefix (const AtlCheckpoint *cp, gboolean *is_author)
{
  const char *prefix = atl_denoiser_prefix (cp, "joint_blocks.0.x_block.attn.qkv.weight", NULL);

  *is_author = prefix != NULL;
  return prefix != NULL
             ? prefix
             : atl_denoiser_prefix (cp, "pos_embed.pos_embed",
                                    "transformer_blocks.0.norm1_context.linear.weight", NULL);
}

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  gboolean is_author;

  return find_prefix (cp, &is_author) != NULL;
}

static void
sd3_clear (gpointer model)
{
  Sd3 *m = model;

  atl_array_free (m->positions);
}

/* --- Weights --- */

/* q, k and v below `p`, or stacked as `fused`; the rest by the names that follow. */
static void
read_attention (
    Sd3 *m, AtlSource *s, Attention *a, const char *p, const char *const *names, const char *fused)
{
  gint64 D = m->dim;

  atl_source_split (s, D, 3, p, names, (gint64[]){ D, D, D }, fused, a->qkv.proj);
  if (atl_source_has (s, "%s.%s", p, names[3]))
    a->out = atl_source_linear (s, D, D, "%s.%s", p, names[3]);
  a->qkv.norm_q = atl_source_norm (s, m->head_dim, TRUE, "%s.%s", p, names[4]);
  a->qkv.norm_k = atl_source_norm (s, m->head_dim, TRUE, "%s.%s", p, names[5]);
}

static void
read_mlp (Sd3 *m, AtlSource *s, Stream *t, const char *p, const char *name)
{
  t->mlp1 = atl_source_linear (s, -1, m->dim, "%s.%s.net.0.proj", p, name);
  t->mlp2 = atl_source_linear (s, m->dim, t->mlp1.w != NULL ? t->mlp1.w->dim[0] : -1, "%s.%s.net.2",
                               p, name);
}

static void
read_block (Sd3 *m, AtlSource *s, guint i, gboolean is_last)
{
  static const char *const own[] = { "to_q", "to_k", "to_v", "to_out.0", "norm_q", "norm_k" };
  static const char *const added[] = { "add_q_proj", "add_k_proj",   "add_v_proj",
                                       "to_add_out", "norm_added_q", "norm_added_k" };
  Block *b = &m->blocks[i];
  gint64 D = m->dim;
  g_autofree char *p = g_strdup_printf ("transformer_blocks.%u", i);
  g_autofree char *attn = g_strconcat (p, ".attn", NULL);
  g_autofree char *attn2 = g_strconcat (p, ".attn2", NULL);
  g_autofree char *image = g_strdup_printf ("joint_blocks.%u.x_block.attn.qkv", i);
  g_autofree char *text = g_strdup_printf ("joint_blocks.%u.context_block.attn.qkv", i);
  g_autofree char *second = g_strdup_printf ("joint_blocks.%u.x_block.attn2.qkv", i);
  gboolean is_dual = atl_source_has (s, "%s.to_q", attn2) || atl_source_has (s, "%s", second);

  b->image.mod = atl_source_linear (s, (is_dual ? 9 : 6) * D, D, "%s.norm1.linear", p);
  s->turns_halves = is_last;
  b->text.mod = atl_source_linear (s, (is_last ? 2 : 6) * D, D, "%s.norm1_context.linear", p);
  s->turns_halves = FALSE;
  read_attention (m, s, &b->image.attn, attn, own, image);
  read_attention (m, s, &b->text.attn, attn, added, text);
  if (is_dual)
    read_attention (m, s, &b->second, attn2, own, second);
  read_mlp (m, s, &b->image, p, "ff");
  if (!is_last)
    read_mlp (m, s, &b->text, p, "ff_context");
  if (b->image.attn.out.w == NULL || (is_dual && b->second.out.w == NULL) ||
      (!is_last && b->text.attn.out.w == NULL))
    atl_weights_fail (m->net.weights, _ ("%s: block %u of its transformer is not complete"),
                      atl_checkpoint_name (atl_weights_checkpoint (m->net.weights)), i);
}

/* The table of positions stays in the file: only the part for a picture's size is ever used. */
static void
read_table (Sd3 *m, AtlSource *s)
{
  AtlCheckpoint *cp = atl_weights_checkpoint (m->net.weights);
  g_autofree char *mapped =
      s->map != NULL ? s->map (s, "pos_embed.pos_embed") : g_strdup ("pos_embed.pos_embed");
  g_autofree char *name = g_strconcat (s->prefix, mapped, NULL);
  const AtlTensorInfo *info = atl_checkpoint_find (cp, name);
  gint64 n = info != NULL && info->n_dims >= 2 ? info->dim[info->n_dims - 2] : 0, side = 0;

  while (side < 8192 && (side + 1) * (side + 1) <= n)
    side++;
  if (side < 1 || side * side != n || info->dim[info->n_dims - 1] != m->dim ||
      (info->n_dims == 3 && info->dim[0] != 1) || info->n_dims > 3 || info->data == NULL ||
      !atl_dtype_is_float_like (info->dtype) ||
      m->dim % atl_dtype_info (info->dtype)->block_elems != 0)
    {
      atl_weights_fail (m->net.weights, _ ("%s: “%s” is no square table of positions"),
                        atl_checkpoint_name (cp), name);
      return;
    }
  m->table = info;
  m->table_side = side;
}

static void
read_weights (Sd3 *m, AtlSource *s, const AtlCheckpoint *cp)
{
  gint64 dim[ATL_MAX_DIMS], D;
  guint64 head_dim = 64;
  guint n_dims;

  if (!atl_source_shape (s, "pos_embed.proj", &n_dims, dim) || n_dims != 4 || dim[2] != dim[3])
    {
      atl_weights_fail (m->net.weights,
                        _ ("%s: the patches of this transformer are not those of SD3"),
                        atl_checkpoint_name (cp));
      return;
    }
  D = m->dim = dim[0];
  m->patch = dim[2];
  atl_checkpoint_get_uint (cp, "attention_head_dim", 1, 4096, &head_dim, NULL);
  m->head_dim = (gint64) head_dim;
  if (D % m->head_dim != 0)
    {
      atl_weights_fail (m->net.weights, _ ("%s: heads of %d do not fit into %d"),
                        atl_checkpoint_name (cp), (int) m->head_dim, (int) D);
      return;
    }
  m->n_heads = D / m->head_dim;
  m->proj = atl_source_conv (s, D, dim[1], 0, m->patch, "pos_embed.proj");
  read_table (m, s);
  m->context_embedder = atl_source_linear (s, D, -1, "context_embedder");
  atl_embedder_read (&m->time, s, D, ATL_DENOISER_FREQS, "time_text_embed.timestep_embedder");
  atl_embedder_read (&m->pooled, s, D, -1, "time_text_embed.text_embedder");
  while (m->n_blocks < MAX_BLOCKS &&
         atl_source_has (s, "transformer_blocks.%u.norm1.linear", m->n_blocks))
    m->n_blocks++;
  for (guint i = 0; i < m->n_blocks; i++)
    read_block (m, s, i, i + 1 == m->n_blocks);
  if (m->n_blocks == 0)
    atl_weights_fail (m->net.weights, _ ("%s holds no transformer blocks"),
                      atl_checkpoint_name (cp));
  s->turns_halves = TRUE;
  m->norm_out = atl_source_linear (s, 2 * D, D, "norm_out.linear");
  s->turns_halves = FALSE;
  m->proj_out = atl_source_linear (s, -1, D, "proj_out");
  if (m->proj_out.w != NULL && m->proj_out.w->dim[0] % (m->patch * m->patch) != 0)
    atl_weights_fail (m->net.weights, _ ("%s: the output does not divide into patches"),
                      atl_checkpoint_name (cp));
}

static gboolean
sd3_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  Sd3 *m = model;

  s->lora_maps[0] = atl_sd3_author_name;
  s->prefix = find_prefix (cp, &m->shift_first);
  if (s->prefix == NULL)
    s->prefix = "";
  if (m->shift_first)
    s->map = atl_sd3_author_name;
  read_weights (m, s, cp);
  return TRUE;
}

/* --- Forward --- */

typedef struct
{
  const Sd3 *m;
  AtlGraph *g;
  AtlTensor *temb; /* [B, dim], through SiLU */
} Pass;

static AtlTensor *
feed_forward (Pass *p, const Stream *t, AtlTensor *x, AtlTensor *const *mod)
{
  AtlGraph *g = p->g;
  AtlTensor *y = atl_modulated (g, x, mod + 3);

  y = atl_linear_act (g, y, atl_weight (g, t->mlp1.w), atl_weight (g, t->mlp1.b),
                      ATL_ACT_GELU_TANH);
  return atl_gated (g, x, atl_apply (g, y, &t->mlp2), mod[5]);
}

static void
block (Pass *p, const Block *b, AtlTensor **image, AtlTensor **text)
{
  AtlGraph *g = p->g;
  AtlTensor *x = *image, *c = *text, *own[3], *of_text[3], *joint[3], *y, *own_y, *y_of_second;
  AtlTensor *mod[9], *text_mod[6];
  gboolean is_last = b->text.mlp1.w == NULL;
  gint64 n = x->dim[1], n_heads = p->m->n_heads;

  atl_modulation (g, p->temb, &b->image.mod, b->second.qkv.proj[0].w != NULL ? 9 : 6, mod);
  if (is_last)
    atl_modulation_of_end (g, p->temb, &b->text.mod, p->m->shift_first, text_mod);
  else
    atl_modulation (g, p->temb, &b->text.mod, 6, text_mod);
  atl_qkv (g, &b->image.attn.qkv, atl_modulated (g, x, mod), n_heads, own);
  atl_qkv (g, &b->text.attn.qkv, atl_modulated (g, c, text_mod), n_heads, of_text);
  atl_qkv_join (g, own, of_text, joint);
  if (is_last)
    joint[0] = own[0];
  y = atl_qkv_attend (g, joint, NULL);
  own_y = is_last ? y : atl_contiguous (g, atl_slice (g, y, 1, 0, n));
  x = atl_gated (g, x, atl_apply (g, own_y, &b->image.attn.out), mod[2]);
  if (b->second.qkv.proj[0].w != NULL)
    {
      atl_qkv (g, &b->second.qkv, atl_modulated (g, *image, mod + 6), n_heads, own);
      y_of_second = atl_qkv_attend (g, own, NULL);
      x = atl_gated (g, x, atl_apply (g, y_of_second, &b->second.out), mod[8]);
    }
  *image = feed_forward (p, &b->image, x, mod);
  if (is_last)
    return;
  y = atl_contiguous (g, atl_slice (g, y, 1, n, c->dim[1]));
  c = atl_gated (g, c, atl_apply (g, y, &b->text.attn.out), text_mod[2]);
  *text = feed_forward (p, &b->text, c, text_mod);
}

typedef struct
{
  const Sd3 *m;
  AtlStage stage;
} Call;

/* The picture's tokens, before the blocks. */
static AtlTensor *
embed_patches (AtlGraph *g, const Sd3 *m, GPtrArray *inputs)
{
  AtlOpParams patches = { .stride = { 1, m->patch, m->patch } };
  AtlTensor *x =
      atl_conv (g, atl_permute_to (g, atl_runner_input (g, inputs, "latent"), 0, 2, 3, 1),
                atl_weight (g, m->proj.w), atl_weight (g, m->proj.b), NULL, &patches);

  x = atl_add (g, x, atl_runner_input (g, inputs, "positions"));
  return atl_reshape_to (g, x, x->dim[0], x->dim[1] * x->dim[2], m->dim);
}

/* The picture's tokens behind the blocks of this part; NULL where it ends before the last one. */
static AtlTensor *
run_blocks (const Call *call, Pass *p, GPtrArray *inputs)
{
  const Sd3 *m = call->m;
  AtlTensor *x, *text;

  if (!atl_stage_resume (call->stage, p->g, inputs, &x, &text))
    {
      x = embed_patches (p->g, m, inputs);
      if (atl_stage_begin (call->stage, p->g, x))
        return NULL;
      text = atl_apply (p->g, atl_runner_input (p->g, inputs, "context"), &m->context_embedder);
    }
  if (call->stage == ATL_STAGE_END)
    return x;
  for (guint i = atl_stage_first_block (call->stage); i < m->n_blocks; i++)
    {
      if (!m->skipped[i])
        block (p, &m->blocks[i], &x, &text);
      if (atl_stage_pause (call->stage, p->g, x, text))
        return NULL;
    }
  atl_stage_finish (call->stage, p->g, x);
  return x;
}

static void
describe (AtlGraph *g, gpointer data, GPtrArray *inputs)
{
  const Call *call = data;
  const Sd3 *m = call->m;
  const AtlArray *latent = atl_arrays_find (inputs, "latent");
  gint64 h = latent->dim[2] / m->patch, w = latent->dim[3] / m->patch;
  Pass p = { .m = m, .g = g };
  AtlTensor *x, *ends[2];

  p.temb = atl_embedder (g, &m->time, atl_runner_input (g, inputs, "time_features"));
  p.temb =
      atl_add (g, p.temb, atl_embedder (g, &m->pooled, atl_runner_input (g, inputs, "pooled")));
  p.temb = atl_act (g, ATL_ACT_SILU, p.temb);
  x = run_blocks (call, &p, inputs);
  if (x == NULL)
    return;
  atl_modulation_of_end (g, p.temb, &m->norm_out, m->shift_first, ends);
  x = atl_modulated (g, x, ends);
  atl_graph_output (g, atl_patches_join (g, atl_apply (g, x, &m->proj_out), h, w, m->patch),
                    "output");
}

/* The middle of the table, for h x w patches. */
static AtlArray *
cut_positions (Sd3 *m, gint64 h, gint64 w)
{
  const AtlDTypeInfo *type = atl_dtype_info (m->table->dtype);
  gsize row = (gsize) (m->dim / type->block_elems) * type->block_bytes;
  gint64 top = (m->table_side - h) / 2, left = (m->table_side - w) / 2;

  if (m->positions != NULL && m->positions->dim[0] == h && m->positions->dim[1] == w)
    return m->positions;
  g_clear_pointer (&m->positions, atl_array_free);
  m->positions = atl_array_new ("positions", ATL_DTYPE_F32, 3, (gint64[]){ h, w, m->dim });
  for (gint64 y = 0; y < h; y++)
    atl_dequantize (m->table->dtype,
                    m->table->data + row * (gsize) ((top + y) * m->table_side + left),
                    atl_array_f32 (m->positions) + y * w * m->dim, (gsize) (w * m->dim));
  return m->positions;
}

static gboolean
check_shapes (const Sd3 *m,
              const AtlArray *latent,
              const AtlArray *t,
              const AtlArray *context,
              const AtlArray *pooled,
              GError **error)
{
  gint64 B = latent->dim[0], limit = m->table_side * m->patch;

  if (latent->dim[2] % m->patch != 0 || latent->dim[3] % m->patch != 0 || context->dim[0] != B ||
      pooled->dim[0] != B || (t->dim[0] != B && t->dim[0] != 1))
    g_set_error (
        error, ATL_ERROR, ATL_ERROR_INVALID,
        _ ("The latent's size must be a multiple of %d, and the text and the timestep must "
           "belong to it"),
        (int) m->patch);
  else if (latent->dim[2] > limit || latent->dim[3] > limit)
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                 _ ("This model has positions for latents of up to %d × %d, not for %d × %d"),
                 (int) limit, (int) limit, (int) latent->dim[3], (int) latent->dim[2]);
  else
    return TRUE;
  return FALSE;
}

/* Which blocks this run leaves out, and a key that tells graphs apart by them. The caller's. */
static char *
read_skipped (Sd3 *m, const char *function, const AtlArray *list)
{
  GString *key = g_string_new (function);

  memset (m->skipped, 0, sizeof m->skipped);
  for (gint64 i = 0; list != NULL && i < atl_array_n_elems (list); i++)
    {
      gint32 block = atl_array_i32 (list)[i];

      if (block >= 0 && block < (gint32) m->n_blocks)
        m->skipped[block] = TRUE;
    }
  for (guint i = 0; i < m->n_blocks; i++)
    if (m->skipped[i])
      g_string_append_printf (key, "-%u", i);
  return g_string_free (key, FALSE);
}

static gboolean
sd3_run (gpointer model,
         const AtlRequest *request,
         GPtrArray *outputs,
         GCancellable *cancellable,
         GError **error)
{
  static const AtlNeededInput needed[] = {
    { "latent", 4 }, { "timestep", 1 }, { "context", 3 }, { "pooled", 2 }
  };
  Sd3 *m = model;
  Call call = { .m = m, .stage = atl_stage_of (request) };
  const AtlArray *skip = atl_request_find (request, "skip_layers");
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  g_autoptr (AtlArray) features = NULL;
  g_autofree char *key = NULL;
  AtlArray *in[G_N_ELEMENTS (needed)];

  if (!atl_request_require_all (request, needed, G_N_ELEMENTS (needed), in, error))
    return FALSE;
  if (!check_shapes (m, in[0], in[1], in[2], in[3], error))
    return FALSE;
  if (skip != NULL && skip->dtype != ATL_DTYPE_I32)
    skip = NULL;
  key = read_skipped (m, atl_request_function (request), skip);
  features = atl_timestep_array ("time_features", in[1], in[0]->dim[0], 1.0f, ATL_DENOISER_FREQS);
  g_ptr_array_add (inputs, in[0]);
  g_ptr_array_add (inputs, in[2]);
  g_ptr_array_add (inputs, in[3]);
  g_ptr_array_add (inputs, features);
  g_ptr_array_add (inputs, cut_positions (m, in[0]->dim[2] / m->patch, in[0]->dim[3] / m->patch));
  return atl_stage_add_inputs (call.stage, request, TRUE, inputs, error) &&
         atl_runner_run (m->net.runner, key, describe, &call, inputs, outputs, cancellable, error);
}

const AtlComponentClass atl_sd3_class = {
  .name = "sd3",
  .origins = (const char *const[]){ "SD3Transformer2DModel", "sd3", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ ATL_STAGE_FUNCTIONS, NULL },
  .lora_places = ATL_LORA_IN_DENOISER,
  .size = sizeof (Sd3),
  .read = sd3_read,
  .run = sd3_run,
  .clear = sd3_clear,
};
