/* The Wan 2.1 / 2.2 diffusion transformer (Wan-Video/Wan2.1 wan/modules/model.py; diffusers 0.42.1
 * WanTransformer3DModel, WanVACETransformer3DModel).
 *
 *   x = patch_embedding(latent)             Conv3d, kernel = stride = (1, 2, 2); tokens in (frame,
 *                                           row, column) order
 *   e = Linear(SiLU(Linear(sinusoids(t))))  256 sinusoids, cosines first;
 *   e6 = Linear(SiLU(e)) as 6 x dim
 *   text = Linear(GELU_tanh(Linear(context)))  no mask
 *   per block: shift, scale, gate (self), shift, scale, gate (ffn) = modulation[6] + e6
 *     x += gate * self_attn(LN(x) (1 + scale) + shift)  q, k RMS-normed over the whole dim, rotary
 *     x += cross_attn(norm3(x), text)                   norm3 affine; no gate
 *     x += gate * ffn(LN(x) (1 + scale) + shift)        Linear, GELU_tanh, Linear
 *   out = Linear(LN(x) (1 + scale) + shift)  shift, scale = head.modulation[2] + e; unpatched,
 *                                            channels last per patch
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
 * diffusers'. Heads: configuration, else 128 wide. In parts, and with attention kept: stages.h; not
 * with VACE.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/stages.h"
#include "engine/models/blocks/timestep.h"
#include "engine/models/classes.h"
#include "engine/models/video/wan-names.h"
#include "engine/models/video/wan-private.h"
#include "engine/models/video/wan-rope.h"

#define EPS 1e-6f

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
recognizes (const AtlCheckpoint *cp)
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
  wan_read_weights (m, s, cp);
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
  AtlStage stage;
  GPtrArray *inputs; /* borrowed */
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
self_attention (Pass *p, const WanAttention *a, AtlTensor *x)
{
  AtlGraph *g = p->g;
  AtlTensor *w[3] = { atl_weight (g, a->q.w), atl_weight (g, a->k.w), atl_weight (g, a->v.w) };
  AtlTensor *b[3] = { atl_weight (g, a->q.b), atl_weight (g, a->k.b), atl_weight (g, a->v.b) };
  AtlTensor *qkv[3];

  atl_linear_multi (g, x, 3, w, b, qkv);
  AtlTensor *q = atl_rope (g, heads (p, rms (p, qkv[0], &a->norm_q)), p->rope, ATL_ROPE_NEIGHBORS);
  AtlTensor *k = atl_rope (g, heads (p, rms (p, qkv[1], &a->norm_k)), p->rope, ATL_ROPE_NEIGHBORS);

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

/* Added to the residual, but where it is kept for another pass. */
static AtlTensor *
cross_attention (Pass *p, const WanBlock *b, guint i, AtlTensor *x, AtlTensor *residual)
{
  AtlGraph *g = p->g;
  const WanAttention *a = &b->cross;
  AtlTensor *q = heads (p, rms (p, atl_apply (g, x, &a->q), &a->norm_q));
  AtlTensor *y = attend_to (p, q, p->text, &a->k, &a->norm_k, &a->v);

  if (p->image != NULL && b->k_img.w != NULL)
    y = atl_add (g, y, attend_to (p, q, p->image, &b->k_img, &b->norm_k_img, &b->v_img));
  if (p->stage == ATL_STAGE_ATTENTION)
    return atl_add (g, residual, atl_stage_keep (p->stage, g, atl_apply (g, y, &a->o), "cross", i));
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

/* Block i of the main ones, or of the side's. */
static AtlTensor *
block (Pass *p, const WanBlock *b, guint i, AtlTensor *x)
{
  AtlGraph *g = p->g;
  AtlTensor *mod[6], *y;

  split (p, atl_add (g, p->e6, atl_weight (g, b->modulation)), 6, mod);
  y = atl_stage_reuse (p->stage, g, p->inputs, "self", i);
  if (y == NULL)
    y = atl_stage_keep (p->stage, g, self_attention (p, &b->self, atl_modulated (g, x, mod)),
                        "self", i);
  x = atl_gated (g, x, y, mod[2]);
  y = atl_stage_reuse (p->stage, g, p->inputs, "cross", i);
  if (y != NULL)
    x = atl_add (g, x, y);
  else
    {
      y = atl_norm (g, ATL_NORM_LAYER, x, atl_weight (g, b->norm3.w), atl_weight (g, b->norm3.b),
                    EPS);
      x = cross_attention (p, b, i, y, x);
    }
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
      const WanBlock *b = &m->vace[i];

      if (b->before_proj.w != NULL)
        c = atl_linear_add (g, c, atl_weight (g, b->before_proj.w),
                            atl_weight (g, b->before_proj.b), x);
      c = block (p, b, i, c);
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

/* The tokens behind the blocks of this part; NULL where it ends before the last one. */
static AtlTensor *
run_blocks (Pass *p, AtlTensor *x)
{
  AtlGraph *g = p->g;
  const Wan *m = p->m;
  AtlTensor *hints[WAN_MAX_BLOCKS];

  p->rope = atl_runner_input (g, p->inputs, "rope");
  p->text =
      atl_linear_act (g, atl_runner_input (g, p->inputs, "context"), atl_weight (g, m->text1.w),
                      atl_weight (g, m->text1.b), ATL_ACT_GELU_TANH);
  p->text = atl_apply (g, p->text, &m->text2);
  if (atl_arrays_find (p->inputs, "image_context") != NULL)
    p->image = image_tokens (g, m, p->inputs);

  if (m->n_vace > 0)
    run_vace (p, p->inputs, x, hints);
  for (guint i = atl_stage_first_block (p->stage); i < m->n_blocks; i++)
    {
      x = block (p, &m->blocks[i], i, x);
      for (guint k = 0; k < m->n_vace; k++)
        if (m->vace_layer[k] == (gint) i)
          x = atl_add (g, x, hints[k]);
      if (atl_stage_pause (p->stage, g, x, NULL))
        return NULL;
    }
  atl_stage_finish (p->stage, g, x);
  return x;
}

static void
describe (AtlGraph *g, gpointer data, GPtrArray *inputs)
{
  const Call *call = data;
  const Wan *m = call->m;
  const AtlArray *latent = atl_arrays_find (inputs, "latent");
  gint64 F = latent->dim[2], h = latent->dim[3] / m->patch_h, w = latent->dim[4] / m->patch_w;
  Pass p = { .m = m,
             .g = g,
             .B = latent->dim[0],
             .T = F * h * w,
             .d = m->dim / m->n_heads,
             .stage = call->stage,
             .inputs = inputs };
  AtlTensor *x, *e, *mod[2];
  gboolean is_probe = FALSE;

  if (!atl_stage_resume (p.stage, g, inputs, &x, NULL))
    {
      x = embed_patches (g, m, atl_runner_input (g, inputs, "latent"), &m->patch);
      x = atl_reshape_to (g, x, p.B, p.T, m->dim);
      is_probe = atl_stage_begin (p.stage, g, x);
    }
  e = atl_embedder (g, &m->time, atl_runner_input (g, inputs, "time_features"));
  if (p.stage != ATL_STAGE_END)
    {
      p.e6 = atl_apply (g, atl_act (g, ATL_ACT_SILU, e), &m->time_proj);
      p.e6 = atl_reshape_to (g, p.e6, p.B, e->dim[1], 6, m->dim);
    }
  if (is_probe)
    {
      atl_graph_output (g, e, "probe");
      atl_graph_output (g, p.e6, "probe_projected");
      return;
    }
  if (p.stage != ATL_STAGE_END)
    x = run_blocks (&p, x);
  if (x == NULL)
    return;
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
  .recognizes = recognizes,
  .functions = (const char *const[]){ ATL_STAGE_FUNCTIONS, ATL_STAGE_OF_ATTENTION, NULL },
  .lora_places = ATL_LORA_IN_DENOISER,
  .size = sizeof (Wan),
  .read = wan_read,
  .run = wan_run,
  .clear = wan_clear,
};
