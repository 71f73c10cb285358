/* The vision tower of Qwen2.5-VL (Qwen team 2025; transformers 5.23 qwen2_5_vl), which shows
 * pictures to Qwen-Image's text encoder.
 *
 *   x = patch_embed.proj(patch)              (channel, frame, row, column), no bias; a still
 *   picture fills both frames
 *   block: x += attn(RMS(x)); x += down(SiLU(gate(RMS(x))) * up(RMS(x)))
 *   hidden = mlp.2(GELU(mlp.0([ln_q(x) of the patches of a cell])))          GELU exact
 *
 * RMS eps 1e-6. Rotary: halves, axes (row, column) of the patches' grid, theta 10000. Cells of 2 x
 * 2 patches; attention inside windows of 4 x 4 cells (window_size), in the blocks of
 * fullatt_block_indexes among all. Tokens are computed window by window, so that each sees one run
 * of them; the result is row by row again.
 *
 * encode_image: image [1, 3, H, W], normalised as CLIP's, its sides multiples of a cell's -> hidden
 * [1, cells, n], grid i32 [1, 2] (rows and columns of cells). Names: transformers', below "visual."
 * or "model.visual.", or those of llama.cpp's projector files (qwen2.5vl_merger), which have a
 * kernel for each frame. Without a configuration as released: heads of 80, full attention in each
 * eighth block.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

#include "engine/models/blocks/names.h"
#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/rope-table.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/classes.h"

#define EPS 1e-6f
#define MAX_BLOCKS 128
#define FRAMES 2
#define COLORS 3
#define MAX_GRID 1024
#define HEAD_DIM 80
#define FULL_EACH 8

typedef struct
{
  AtlAffine norm1, norm2, qkv[3], proj, gate, up, down;
} Block;

typedef struct
{
  AtlNetwork net;
  gint64 dim, n_heads, patch, merge, window; /* window: cells of a side */
  guint n_blocks;
  Block blocks[MAX_BLOCKS];
  gboolean is_full[MAX_BLOCKS];
  AtlAffine patches, ln_q, mlp1, mlp2;
  AtlWeight *frames[FRAMES]; /* (nullable) a projector file's kernels, one for each frame */
} QwenVision;

/* transformers' names, canonical here, to those of llama.cpp's projector files. */
static const AtlNamePair gguf_top[] = { { "merger.ln_q", "v.post_ln" },
                                        { "merger.mlp.0", "mm.0" },
                                        { "merger.mlp.2", "mm.2" },
                                        { NULL, NULL } };

static const AtlNamePair gguf_block[] = {
  { "norm1", "ln1" },
  { "norm2", "ln2" },
  { "attn.q", "attn_q" },
  { "attn.k", "attn_k" },
  { "attn.v", "attn_v" },
  { "attn.proj", "attn_out" },
  { "mlp.gate_proj", "ffn_gate" },
  { "mlp.up_proj", "ffn_up" },
  { "mlp.down_proj", "ffn_down" },
  { NULL, NULL },
};

static char *
gguf_name (const AtlSource *source, const char *canonical)
{
  guint index;
  int n = 0;

  if (sscanf (canonical, "blocks.%u.%n", &index, &n) == 1 && n > 0)
    {
      g_autofree char *inner = atl_name_translate (canonical + n, gguf_block);
      return inner != NULL ? g_strdup_printf ("v.blk.%u.%s", index, inner) : NULL;
    }
  return g_str_has_prefix (canonical, "v.") ? g_strdup (canonical)
                                            : atl_name_translate (canonical, gguf_top);
}

static gboolean
is_projector (const AtlCheckpoint *cp)
{
  return g_strcmp0 (atl_checkpoint_get_string (cp, "clip.projector_type"), "qwen2.5vl_merger") == 0;
}

static const char *
find_prefix (const AtlCheckpoint *cp)
{
  static const char *const prefixes[] = { "visual.", "model.visual." };

  for (gsize i = 0; i < G_N_ELEMENTS (prefixes); i++)
    {
      g_autofree char *gate = g_strconcat (prefixes[i], "blocks.0.mlp.gate_proj.weight", NULL);
      g_autofree char *norm = g_strconcat (prefixes[i], "merger.ln_q.weight", NULL);

      if (atl_checkpoint_find (cp, gate) != NULL && atl_checkpoint_find (cp, norm) != NULL)
        return prefixes[i];
    }
  return NULL;
}

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  return find_prefix (cp) != NULL || is_projector (cp);
}

static void
read_block (QwenVision *m, AtlSource *s, guint i)
{
  static const char *const names[] = { "q", "k", "v" };
  Block *b = &m->blocks[i];
  gint64 D = m->dim;
  g_autofree char *p = g_strdup_printf ("blocks.%u", i);
  g_autofree char *attn = g_strconcat (p, ".attn", NULL);
  g_autofree char *fused = g_strconcat (attn, ".qkv", NULL);

  b->norm1 = atl_source_norm (s, D, FALSE, "%s.norm1", p);
  b->norm2 = atl_source_norm (s, D, FALSE, "%s.norm2", p);
  atl_source_split (s, D, 3, attn, names, (gint64[]){ D, D, D }, fused, b->qkv);
  b->proj = atl_source_linear (s, D, D, "%s.proj", attn);
  b->gate = atl_source_linear (s, -1, D, "%s.mlp.gate_proj", p);
  b->up = atl_source_linear (s, b->gate.w != NULL ? b->gate.w->dim[0] : -1, D, "%s.mlp.up_proj", p);
  b->down =
      atl_source_linear (s, D, b->gate.w != NULL ? b->gate.w->dim[0] : -1, "%s.mlp.down_proj", p);
}

static void
read_full (QwenVision *m, const AtlCheckpoint *cp)
{
  const AtlMetaValue *list = atl_checkpoint_meta (cp, "vision_config.fullatt_block_indexes");
  gboolean is_list =
      list != NULL && list->type == ATL_META_ARRAY && list->v_array.elem_type == ATL_META_INT;

  guint64 each = FULL_EACH;

  atl_checkpoint_get_uint (cp, "clip.vision.n_wa_pattern", 1, MAX_BLOCKS, &each, NULL);
  for (guint i = 0; i < m->n_blocks && !is_list; i++)
    m->is_full[i] = i % each == each - 1;
  for (gsize i = 0; is_list && i < list->v_array.n; i++)
    {
      gint64 block = ((gint64 *) list->v_array.elems)[i];

      if (block >= 0 && block < (gint64) m->n_blocks)
        m->is_full[block] = TRUE;
    }
}

/* The kernel of the patches: one of two frames, or one for each. */
static gboolean
read_patches (QwenVision *m, AtlSource *s)
{
  gint64 dim[ATL_MAX_DIMS];
  guint n_dims;

  if (atl_source_shape (s, "patch_embed.proj", &n_dims, dim) && n_dims == 5 && dim[1] == COLORS &&
      dim[2] == FRAMES && dim[3] == dim[4])
    {
      m->dim = dim[0];
      m->patch = dim[3];
      m->patches.w = atl_source_tensor (s, ATL_USE_CONV, 5, dim, FALSE, "patch_embed.proj.weight");
      return TRUE;
    }
  if (!atl_source_shape (s, "v.patch_embd", &n_dims, dim) || n_dims != 4 || dim[1] != COLORS ||
      dim[2] != dim[3])
    return FALSE;
  m->dim = dim[0];
  m->patch = dim[3];
  m->frames[0] = atl_source_tensor (s, ATL_USE_CONV, 4, dim, FALSE, "v.patch_embd.weight");
  m->frames[1] = atl_source_tensor (s, ATL_USE_CONV, 4, dim, FALSE, "v.patch_embd.weight.1");
  return TRUE;
}

static void
read_weights (QwenVision *m, AtlSource *s, const AtlCheckpoint *cp)
{
  gint64 wide;
  guint64 heads = 0, window = 112;

  if (!read_patches (m, s))
    {
      atl_weights_fail (m->net.weights, _ ("%s holds no vision tower"), atl_checkpoint_name (cp));
      return;
    }
  atl_checkpoint_get_uint (cp, "vision_config.num_heads", 1, 1024, &heads, NULL);
  atl_checkpoint_get_uint (cp, "clip.vision.attention.head_count", 1, 1024, &heads, NULL);
  atl_checkpoint_get_uint (cp, "vision_config.window_size", 1, 1 << 16, &window, NULL);
  m->n_heads = heads > 0 ? (gint64) heads : MAX (m->dim / HEAD_DIM, 1);
  while (m->n_blocks < MAX_BLOCKS && atl_source_has (s, "blocks.%u.norm1", m->n_blocks))
    m->n_blocks++;
  for (guint i = 0; i < m->n_blocks; i++)
    read_block (m, s, i);
  read_full (m, cp);
  m->ln_q = atl_source_norm (s, m->dim, FALSE, "merger.ln_q");
  m->mlp1 = atl_source_linear (s, -1, -1, "merger.mlp.0");
  m->mlp2 = atl_source_linear (s, -1, m->mlp1.w != NULL ? m->mlp1.w->dim[0] : -1, "merger.mlp.2");
  wide = m->mlp1.w != NULL ? m->mlp1.w->dim[1] : m->dim;
  while ((m->merge + 1) * (m->merge + 1) * m->dim <= wide && m->merge < 16)
    m->merge++;
  if (m->merge < 1 || m->merge * m->merge * m->dim != wide || m->dim % m->n_heads != 0 ||
      m->dim / m->n_heads % 4 != 0 || m->n_blocks == 0)
    {
      atl_weights_fail (m->net.weights, _ ("%s: the parts of its vision tower do not fit together"),
                        atl_checkpoint_name (cp));
      return;
    }
  m->window = MAX ((gint64) window / (m->patch * m->merge), 1);
}

static gboolean
qwen_vision_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  QwenVision *m = model;

  s->prefix = find_prefix (cp);
  s->map = is_projector (cp) ? gguf_name : NULL;
  read_weights (m, s, cp);
  return TRUE;
}

/* --- Forward --- */

static AtlTensor *
rms (AtlGraph *g, AtlTensor *x, const AtlAffine *a)
{
  return atl_norm (g, ATL_NORM_RMS, x, atl_weight (g, a->w), NULL, EPS);
}

static AtlTensor *
block (AtlGraph *g,
       const QwenVision *m,
       const Block *b,
       AtlTensor *x,
       AtlTensor *rope,
       AtlTensor *ranges)
{
  AtlTensor *w[3], *bias[3], *qkv[3], *y;
  gint64 T = x->dim[0];

  for (guint i = 0; i < 3; i++)
    {
      w[i] = atl_weight (g, b->qkv[i].w);
      bias[i] = atl_weight (g, b->qkv[i].b);
    }
  atl_linear_multi (g, rms (g, x, &b->norm1), 3, w, bias, qkv);
  for (guint i = 0; i < 3; i++)
    qkv[i] = atl_reshape_to (g, qkv[i], T, m->n_heads, m->dim / m->n_heads);
  for (guint i = 0; i < 2; i++)
    qkv[i] = atl_rope (g, qkv[i], rope, ATL_ROPE_HALVES);
  y = atl_attention (g, qkv[0], qkv[1], qkv[2], ranges, NULL, NULL, 0.0f, 0.0f);
  x = atl_linear_add (g, atl_reshape_to (g, y, T, m->dim), atl_weight (g, b->proj.w),
                      atl_weight (g, b->proj.b), x);
  y = atl_linear_gated (g, rms (g, x, &b->norm2), atl_weight (g, b->gate.w),
                        atl_weight (g, b->gate.b), atl_weight (g, b->up.w), atl_weight (g, b->up.b),
                        ATL_ACT_SILU);
  return atl_linear_add (g, y, atl_weight (g, b->down.w), atl_weight (g, b->down.b), x);
}

static void
describe (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const QwenVision *m = model;
  AtlOpParams p = { .stride = { FRAMES, m->patch, m->patch } };
  AtlTensor *x = atl_runner_input (g, inputs, "pixels");
  AtlTensor *rope = atl_runner_input (g, inputs, "rope");
  AtlTensor *ranges = atl_runner_input (g, inputs, "ranges");
  gint64 n = rope->dim[0], cell = m->merge * m->merge;

  if (m->frames[0] != NULL)
    {
      /* Both frames of a still are the same. */
      p.stride[0] = 1;
      x = atl_add (g, atl_conv (g, x, atl_weight (g, m->frames[0]), NULL, NULL, &p),
                   atl_conv (g, x, atl_weight (g, m->frames[1]), NULL, NULL, &p));
    }
  else
    x = atl_conv (g, x, atl_weight (g, m->patches.w), NULL, NULL, &p);
  x = atl_reshape_to (g, x, n, m->dim);
  for (guint i = 0; i < m->n_blocks; i++)
    x = block (g, m, &m->blocks[i], x, rope, m->is_full[i] ? NULL : ranges);
  x = atl_reshape_to (g, rms (g, x, &m->ln_q), n / cell, cell * m->dim);
  x = atl_linear_act (g, x, atl_weight (g, m->mlp1.w), atl_weight (g, m->mlp1.b), ATL_ACT_GELU_ERF);
  atl_graph_output (g, atl_apply (g, x, &m->mlp2), "cells");
}

/* The cells of a grid of h x w, window by window: order[i] is the place in the grid, row by row, of
 * the i-th one, window[i] the first cell of its window. The caller's. */
static gint64 *
order_cells (gint64 h, gint64 w, gint64 side, gint64 **window)
{
  gint64 *order = g_new (gint64, h * w), at = 0;

  *window = g_new (gint64, h * w);
  for (gint64 top = 0; top < h; top += side)
    for (gint64 left = 0; left < w; left += side)
      {
        gint64 first = at;

        for (gint64 y = top; y < MIN (top + side, h); y++)
          for (gint64 x = left; x < MIN (left + side, w); x++, at++)
            {
              order[at] = y * w + x;
              (*window)[at] = first;
            }
      }
  return order;
}

/* The patch at (row, column) of the grid, [patch, patch, 3]. */
static void
copy_patch (const QwenVision *m, const AtlArray *image, gint64 row, gint64 column, float *out)
{
  gint64 H = image->dim[2], W = image->dim[3];

  for (gint64 y = 0; y < m->patch; y++)
    for (gint64 x = 0; x < m->patch; x++)
      for (gint64 c = 0; c < COLORS; c++)
        {
          gint64 at = (c * H + row * m->patch + y) * W + column * m->patch + x;

          *out++ = atl_array_f32 (image)[at];
        }
}

static gboolean
qwen_vision_run (gpointer model,
                 const AtlRequest *request,
                 GPtrArray *outputs,
                 GCancellable *cancellable,
                 GError **error)
{
  QwenVision *m = model;
  AtlArray *image = atl_request_require (request, "image", ATL_DTYPE_F32, 4, error);
  g_autoptr (GPtrArray) inputs = atl_arrays_new ();
  g_autoptr (GPtrArray) computed = atl_arrays_new ();
  g_autofree gint64 *order = NULL, *window = NULL;
  g_autofree float *positions = NULL;
  gint64 side = m->patch * m->merge, cell = m->merge * m->merge, h, w, n, size, head, wide;
  AtlArray *pixels, *rope, *ranges, *hidden, *grid;
  gboolean is_hollow;

  if (image == NULL)
    return FALSE;
  h = image->dim[2] / side;
  w = image->dim[3] / side;
  if (image->dim[0] != 1 || image->dim[1] != COLORS || h * side != image->dim[2] ||
      w * side != image->dim[3] || h > MAX_GRID || w > MAX_GRID)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("This vision tower takes pictures whose sides are multiples of %d"),
                   (int) side);
      return FALSE;
    }
  n = h * w * cell;
  size = m->patch * m->patch * COLORS;
  head = m->dim / m->n_heads;
  order = order_cells (h, w, m->window, &window);
  /* The patches stand one below the other, in their order, in both frames. */
  pixels = m->frames[0] != NULL
               ? atl_array_new ("pixels", ATL_DTYPE_F32, 4,
                                (gint64[]){ 1, n * m->patch, m->patch, COLORS })
               : atl_array_new ("pixels", ATL_DTYPE_F32, 5,
                                (gint64[]){ 1, FRAMES, n * m->patch, m->patch, COLORS });
  is_hollow = atl_array_is_hollow (pixels);
  rope = atl_array_new ("rope", ATL_DTYPE_F32, 2, (gint64[]){ n, head });
  ranges = atl_array_new ("ranges", ATL_DTYPE_I32, 2, (gint64[]){ n, 2 });
  g_ptr_array_add (inputs, pixels);
  g_ptr_array_add (inputs, rope);
  g_ptr_array_add (inputs, ranges);
  positions = g_new (float, n * 2);
  for (gint64 i = 0, end = h * w; i < n; i++)
    {
      gint64 k = i / cell, inner = i % cell;
      gint64 row = order[k] / w * m->merge + inner / m->merge;
      gint64 column = order[k] % w * m->merge + inner % m->merge, stop = k + 1;

      if (!is_hollow)
        copy_patch (m, image, row, column, atl_array_f32 (pixels) + i * size);
      positions[2 * i] = (float) row;
      positions[2 * i + 1] = (float) column;
      while (stop < end && window[stop] == window[k])
        stop++;
      atl_array_i32 (ranges)[2 * i] = (gint32) (window[k] * cell);
      atl_array_i32 (ranges)[2 * i + 1] = (gint32) (stop * cell);
    }
  if (m->frames[0] == NULL && !is_hollow)
    memcpy (atl_array_f32 (pixels) + n * size, pixels->data, (gsize) (n * size) * sizeof (float));
  atl_rope_axes ((gint64[]){ head / 2, head / 2 }, 2, 10000.0, positions, n, atl_array_f32 (rope));
  if (!atl_runner_run (m->net.runner, "encode", describe, m, inputs, computed, cancellable, error))
    return FALSE;
  wide = ((AtlArray *) computed->pdata[0])->dim[1];
  hidden = atl_array_new ("hidden", ATL_DTYPE_F32, 3, (gint64[]){ 1, h * w, wide });
  for (gint64 k = 0; k < h * w && !atl_array_is_hollow (hidden); k++)
    memcpy (atl_array_f32 (hidden) + order[k] * wide, atl_array_f32 (computed->pdata[0]) + k * wide,
            (gsize) wide * sizeof (float));
  g_ptr_array_add (outputs, hidden);
  grid = atl_array_new ("grid", ATL_DTYPE_I32, 2, (gint64[]){ 1, 2 });
  atl_array_i32 (grid)[0] = (gint32) h;
  atl_array_i32 (grid)[1] = (gint32) w;
  g_ptr_array_add (outputs, grid);
  return TRUE;
}

const AtlComponentClass atl_qwen_vision_class = {
  .name = "qwen-vision",
  .origins = (const char *const[]){ "Qwen2_5_VisionTransformerPretrainedModel", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ "encode_image", NULL },
  .size = sizeof (QwenVision),
  .read = qwen_vision_read,
  .run = qwen_vision_run,
};
