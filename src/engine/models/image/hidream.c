/* The HiDream-I1 and E1 transformers (HiDream.ai 2025; diffusers 0.42.1
 * HiDreamImageTransformer2DModel).
 *
 *   x = x_embedder(patches (y, x, channel)); e = SiLU(mlp(sin(t)) + mlp(pooled)), 256 sinusoids
 *   L_i = caption_projection.i(Llama's layer llama_layers[i]) for each block, T = the last
 *     projection(T5); c = [T, L of the last entry]
 *   double block i: shift, scale, gate (attention), shift, scale, gate (feed-forward) for picture
 *     and text each = Linear(e); one attention over [x, c, L_i]; x and [c, L_i] += gate * out, then
 *     gate * feed-forward(LN (1 + scale) + shift); c = its first rows
 *   single block: the same with six parts over [x, c, L_i], of which [x, c] stays
 *   out = linear(LN(x) (1 + scale) + shift), shift before scale
 *
 * Feed-forward: w2(SiLU(w1 x) * w3 x); of picture and single blocks sum_k p_k expert_k(x) +
 * shared(x), p = softmax(gate x), the best `num_activated_experts` as they are. Queries and keys:
 * RMS norm over all heads together, eps 1e-5. LN eps 1e-6, without weights. Rotary: neighbouring
 * pairs, axes (0, row, column) of 64, 32, 32, theta 10000; text is not rotated.
 *
 * Latents that are not square are filled up to max_seq tokens (4096) with zero patches whose keys
 * are zero: they take part in the softmax with score 0.
 *
 * forward: latent [B, C, H, W], timestep [B] or [1] in 0…1000, context [B, T, n] (T5), context_2
 * [layers, B, T, n] (Llama), pooled [B, n]; numbers max_seq (optional) and n_pictures (as many
 * times max_seq, 1) -> output [B, C, H, W], not negated. Names: diffusers' (or below
 * "model.diffusion_model."); heads 128 wide, two experts and block i with layer i without a
 * configuration.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>

#include "engine/models/blocks/patches.h"
#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/rope-table.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/blocks/stack.h"
#include "engine/models/blocks/stages.h"
#include "engine/models/blocks/timestep.h"
#include "engine/models/classes.h"
#include "engine/models/image/hidream-private.h"

#define QK_EPS 1e-5f
#define MAX_SEQ (1 << 24)

static const char *
find_prefix (const AtlCheckpoint *cp)
{
  return atl_denoiser_prefix (cp, "double_stream_blocks.0.block.attn1.to_q_t.weight", NULL);
}

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  return find_prefix (cp) != NULL;
}

static void
hidream_clear (gpointer model)
{
  HiDream *m = model;

  g_ptr_array_unref (m->stacks);
}

static gboolean
hidream_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  HiDream *m = model;

  s->prefix = find_prefix (cp);
  m->stacks = atl_stacks_new ();
  return hidream_read_weights (m, s, cp, error);
}

/* --- Forward --- */

typedef struct
{
  const HiDream *m;
  AtlGraph *g;
  gint64 B;
  AtlTensor *temb, *rope, *llama;
  AtlTensor *mask; /* (nullable) [tokens, 1, 1] of the keys of all tokens */
} Pass;

static AtlTensor *
rows (Pass *p, AtlTensor *x, gint64 first, gint64 n)
{
  return atl_contiguous (p->g, atl_slice (p->g, x, 1, first, n));
}

static AtlTensor *
swiglu (Pass *p, const HiDreamGated *f, AtlTensor *x)
{
  AtlGraph *g = p->g;

  x = atl_linear_gated (g, x, atl_weight (g, f->w1.w), NULL, atl_weight (g, f->w3.w), NULL,
                        ATL_ACT_SILU);
  return atl_linear (g, x, atl_weight (g, f->w2.w), NULL);
}

static AtlTensor *
feed_forward (Pass *p, const HiDreamExperts *e, AtlTensor *x)
{
  AtlGraph *g = p->g;
  AtlOpParams route = { .route = ATL_ROUTE_SOFTMAX };
  gint64 n = x->dim[1], D = p->m->dim;
  AtlTensor *weights, *ids, *y;

  if (e->gate.w == NULL)
    return swiglu (p, &e->shared, x);
  x = atl_reshape_to (g, x, p->B * n, D);
  atl_route (g, atl_apply (g, x, &e->gate), NULL, p->m->n_used, &route, &weights, &ids);
  y = atl_expert_gated (g, x, atl_weight (g, e->w1), NULL, atl_weight (g, e->w3), NULL,
                        ATL_ACT_SILU, ids);
  y = atl_expert_linear (g, y, atl_weight (g, e->w2), NULL, ids);
  y = atl_expert_sum (g, y, weights, swiglu (p, &e->shared, x));
  return atl_reshape_to (g, y, p->B, n, D);
}

/* q, k and v of a stream, [B, tokens, dim], q and k normed. */
static void
project (Pass *p, const HiDreamAttention *a, AtlTensor *x, AtlTensor **qkv)
{
  AtlGraph *g = p->g;
  AtlTensor *w[3] = { atl_weight (g, a->q.w), atl_weight (g, a->k.w), atl_weight (g, a->v.w) };
  AtlTensor *b[3] = { atl_weight (g, a->q.b), atl_weight (g, a->k.b), atl_weight (g, a->v.b) };

  atl_linear_multi (g, x, 3, w, b, qkv);
  qkv[0] = atl_norm (g, ATL_NORM_RMS, qkv[0], atl_weight (g, a->norm_q.w), NULL, QK_EPS);
  qkv[1] = atl_norm (g, ATL_NORM_RMS, qkv[1], atl_weight (g, a->norm_k.w), NULL, QK_EPS);
}

static AtlTensor *
attend (Pass *p, AtlTensor **qkv)
{
  AtlGraph *g = p->g;
  gint64 n = qkv[0]->dim[1];

  for (guint i = 0; i < 3; i++)
    qkv[i] = atl_reshape_to (g, qkv[i], p->B, n, p->m->n_heads, p->m->head_dim);
  if (p->mask != NULL)
    qkv[1] = atl_mul (g, qkv[1], p->mask);
  return atl_qkv_attend (g, qkv, p->rope);
}

/* The text of entry i, [B, tokens, dim]; one entry more than blocks takes the last projection. */
static AtlTensor *
own_text (Pass *p, guint i)
{
  const AtlAffine *caption = i < p->m->n_blocks ? &p->m->blocks[i].caption : &p->m->caption_t5;
  AtlTensor *all = p->llama;
  gint64 last = all->dim[0] - 1;
  gint64 layer = p->m->llama_layer[i] < 0 ? MIN ((gint64) i, last) : p->m->llama_layer[i];
  AtlTensor *x = atl_reshape_to (p->g, atl_slice (p->g, all, 0, MIN (layer, last), 1), all->dim[1],
                                 all->dim[2], all->dim[3]);

  return atl_linear (p->g, x, atl_weight (p->g, caption->w), NULL);
}

static void
double_block (Pass *p, guint i, AtlTensor **image, AtlTensor **text)
{
  AtlGraph *g = p->g;
  const HiDreamBlock *b = &p->m->blocks[i];
  AtlTensor *mod[12], *x = *image, *y;
  AtlTensor *c = atl_concat (g, 1, 2, (AtlTensor *[]){ *text, own_text (p, i) });
  AtlTensor *of_image[3], *of_text[3], *joint[3];
  gint64 n = x->dim[1], n_text = (*text)->dim[1];

  atl_modulation (g, p->temb, &b->mod, 12, mod);
  project (p, &b->image, atl_modulated (g, x, mod), of_image);
  project (p, &b->text, atl_modulated (g, c, mod + 6), of_text);
  atl_qkv_join (g, of_image, of_text, joint);
  y = attend (p, joint);
  x = atl_gated (g, x, atl_apply (g, rows (p, y, 0, n), &b->image.out), mod[2]);
  /* What becomes of the block's own text nobody reads. */
  c = rows (p, c, 0, n_text);
  c = atl_gated (g, c, atl_apply (g, rows (p, y, n, n_text), &b->text.out), mod[8]);
  *image = atl_gated (g, x, feed_forward (p, &b->ff, atl_modulated (g, x, mod + 3)), mod[5]);
  *text = atl_gated (g, c, swiglu (p, &b->ff_text, atl_modulated (g, c, mod + 9)), mod[11]);
}

static AtlTensor *
single_block (Pass *p, guint i, AtlTensor *x)
{
  AtlGraph *g = p->g;
  const HiDreamBlock *b = &p->m->blocks[i];
  AtlTensor *mod[6], *qkv[3], *y;
  AtlTensor *all = atl_concat (g, 1, 2, (AtlTensor *[]){ x, own_text (p, i) });
  gint64 n = x->dim[1];

  atl_modulation (g, p->temb, &b->mod, 6, mod);
  project (p, &b->image, atl_modulated (g, all, mod), qkv);
  y = rows (p, attend (p, qkv), 0, n);
  x = atl_gated (g, x, atl_apply (g, y, &b->image.out), mod[2]);
  return atl_gated (g, x, feed_forward (p, &b->ff, atl_modulated (g, x, mod + 3)), mod[5]);
}

typedef struct
{
  const HiDream *m;
  AtlStage stage;
} Call;

/* The picture's tokens, padding included, before the blocks. */
static AtlTensor *
embed_patches (AtlGraph *g, const HiDream *m, GPtrArray *inputs)
{
  AtlTensor *x = atl_patches_cut (g, atl_runner_input (g, inputs, "latent"), m->patch);

  if (atl_arrays_find (inputs, "padding") != NULL)
    x = atl_concat (g, 1, 2, (AtlTensor *[]){ x, atl_runner_input (g, inputs, "padding") });
  return atl_apply (g, x, &m->x_embedder);
}

/* The picture's tokens behind the blocks of this part; NULL where it ends before the last one. */
static AtlTensor *
run_blocks (const Call *call, Pass *p, GPtrArray *inputs)
{
  const HiDream *m = call->m;
  AtlGraph *g = p->g;
  AtlTensor *x, *text;
  gint64 n;

  p->llama = atl_runner_input (g, inputs, "context_2");
  if (!atl_stage_resume (call->stage, g, inputs, &x, &text))
    {
      x = embed_patches (g, m, inputs);
      atl_stage_begin (call->stage, g, x);
      text = atl_linear (g, atl_runner_input (g, inputs, "context"),
                         atl_weight (g, m->caption_t5.w), NULL);
      text = atl_concat (g, 1, 2, (AtlTensor *[]){ text, own_text (p, m->n_entries - 1) });
    }
  n = x->dim[1];
  p->rope = atl_runner_input (g, inputs, "rope");
  if (atl_arrays_find (inputs, "mask") != NULL)
    p->mask = atl_runner_input (g, inputs, "mask");
  for (guint i = atl_stage_first_block (call->stage); i < m->n_double; i++)
    {
      double_block (p, i, &x, &text);
      if (atl_stage_pause (call->stage, g, x, text))
        return NULL;
    }
  x = atl_concat (g, 1, 2, (AtlTensor *[]){ x, text });
  for (guint i = m->n_double; i < m->n_blocks; i++)
    x = single_block (p, i, x);
  x = rows (p, x, 0, n);
  atl_stage_finish (call->stage, g, x);
  return x;
}

static void
describe (AtlGraph *g, gpointer data, GPtrArray *inputs)
{
  const Call *call = data;
  const HiDream *m = call->m;
  const AtlArray *latent = atl_arrays_find (inputs, "latent");
  gint64 h = latent->dim[2] / m->patch, w = latent->dim[3] / m->patch;
  Pass p = { .m = m, .g = g, .B = latent->dim[0] };
  AtlTensor *x, *mod[2];

  p.temb = atl_embedder (g, &m->time, atl_runner_input (g, inputs, "time_features"));
  if (call->stage == ATL_STAGE_PROBE)
    {
      atl_stage_begin (call->stage, g, embed_patches (g, m, inputs));
      atl_graph_output (g, p.temb, "probe");
      return;
    }
  p.temb =
      atl_add (g, p.temb, atl_embedder (g, &m->pooled, atl_runner_input (g, inputs, "pooled")));
  p.temb = atl_act (g, ATL_ACT_SILU, p.temb);
  x = call->stage == ATL_STAGE_END ? atl_runner_input (g, inputs, "last")
                                   : run_blocks (call, &p, inputs);
  if (x == NULL)
    return;
  atl_modulation_of_end (g, p.temb, &m->out_mod, TRUE, mod);
  x = atl_modulated (g, rows (&p, x, 0, h * w), mod);
  atl_graph_output (g, atl_patches_join (g, atl_apply (g, x, &m->out), h, w, m->patch), "output");
}

/* The table of h x w tokens of a picture, then of those that are not rotated. */
static AtlArray *
make_rope (const HiDream *m, gint64 h, gint64 w, gint64 n_tokens)
{
  AtlArray *rope = atl_array_new ("rope", ATL_DTYPE_F32, 2, (gint64[]){ n_tokens, m->head_dim });
  g_autofree float *positions = g_new0 (float, (n_tokens * HIDREAM_N_AXES));

  for (gint64 i = 0; i < h * w; i++)
    {
      positions[i * HIDREAM_N_AXES + 1] = (float) (i / w);
      positions[i * HIDREAM_N_AXES + 2] = (float) (i % w);
    }
  atl_rope_axes (m->axis, HIDREAM_N_AXES, 10000.0, positions, n_tokens, atl_array_f32 (rope));
  return rope;
}

static gboolean
check_shapes (const HiDream *m, AtlArray *const *in, GError **error)
{
  const AtlArray *latent = in[0], *t = in[1];
  gint64 B = latent->dim[0];

  if (latent->dim[2] % m->patch == 0 && latent->dim[3] % m->patch == 0 &&
      (t->dim[0] == B || t->dim[0] == 1) && in[2]->dim[0] == B && in[3]->dim[1] == B &&
      in[4]->dim[0] == B)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               _ ("The latent's size must be a multiple of %d, and the text and the timestep must "
                  "belong to it"),
               (int) m->patch);
  return FALSE;
}

/* Zero patches behind those of a picture that is not square, and the mask of their keys. */
static void
add_padding (const HiDream *m,
             const AtlArray *latent,
             gint64 n,
             gint64 n_padded,
             gint64 n_tokens,
             GPtrArray *inputs,
             GPtrArray *made)
{
  AtlArray *padding = atl_array_new (
      "padding", ATL_DTYPE_F32, 3,
      (gint64[]){ latent->dim[0], n_padded - n, m->patch * m->patch * latent->dim[1] });
  AtlArray *mask = atl_array_new ("mask", ATL_DTYPE_F32, 3, (gint64[]){ n_tokens, 1, 1 });

  for (gint64 i = 0; i < n_tokens; i++)
    atl_array_f32 (mask)[i] = i < n || i >= n_padded ? 1.0f : 0.0f;
  g_ptr_array_add (made, padding);
  g_ptr_array_add (made, mask);
  g_ptr_array_add (inputs, padding);
  g_ptr_array_add (inputs, mask);
}

static gboolean
hidream_run (gpointer model,
             const AtlRequest *request,
             GPtrArray *outputs,
             GCancellable *cancellable,
             GError **error)
{
  static const AtlNeededInput needed[] = {
    { "latent", 4 }, { "timestep", 1 }, { "context", 3 }, { "context_2", 4 }, { "pooled", 2 }
  };
  HiDream *m = model;
  Call call = { .m = m, .stage = atl_stage_of (request) };
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  g_autoptr (GPtrArray) made = atl_arrays_new ();
  AtlArray *in[G_N_ELEMENTS (needed)], *features, *rope;
  gint64 B, h, w, n, n_padded, n_tokens;

  if (!atl_request_require_all (request, needed, G_N_ELEMENTS (needed), in, error))
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (needed); i++)
    if (i != 1)
      g_ptr_array_add (inputs, in[i]);
  if (!check_shapes (m, in, error))
    return FALSE;
  B = in[0]->dim[0];
  h = in[0]->dim[2] / m->patch;
  w = in[0]->dim[3] / m->patch;
  n = n_padded = h * w;
  if (h != w)
    n_padded =
        MAX (n, (gint64) CLAMP (atl_request_number (request, "max_seq", (double) m->max_seq) *
                                    atl_request_number (request, "n_pictures", 1),
                                0, MAX_SEQ));
  n_tokens = n_padded + in[2]->dim[1] + 2 * in[3]->dim[2];
  if (n_padded > n)
    add_padding (m, in[0], n, n_padded, n_tokens, inputs, made);
  features = atl_timestep_array ("time_features", in[1], B, 1.0f, ATL_DENOISER_FREQS);
  rope = make_rope (m, h, w, n_tokens);
  g_ptr_array_add (made, features);
  g_ptr_array_add (made, rope);
  g_ptr_array_add (inputs, features);
  g_ptr_array_add (inputs, rope);
  return atl_stage_add_inputs (call.stage, request, TRUE, inputs, error) &&
         atl_runner_run (m->net.runner, atl_request_function (request), describe, &call, inputs,
                         outputs, cancellable, error);
}

const AtlComponentClass atl_hidream_class = {
  .name = "hidream",
  .origins = (const char *const[]){ "HiDreamImageTransformer2DModel", "hidream", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ ATL_STAGE_FUNCTIONS, NULL },
  .lora_places = ATL_LORA_IN_DENOISER,
  .size = sizeof (HiDream),
  .read = hidream_read,
  .run = hidream_run,
  .clear = hidream_clear,
};
