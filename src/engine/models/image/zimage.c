/* The Z-Image transformer: Turbo and base (Tongyi 2025; diffusers 0.42.1 ZImageTransformer2DModel).
 *
 *   a = Linear(SiLU(Linear(sin256(t_scale t))))       min(dim, 256) wide, cosines first
 *   image = x_embedder(2x2 patches), text = Linear(RMS(context)); both filled up to a multiple of
 *   32 tokens with x_pad_token and cap_pad_token, which are attended like any other
 *   image through noise_refiner (modulated), text through context_refiner, [image, text] through
 *   layers (modulated)
 *   modulated block: scale_1, gate_1, scale_2, gate_2 = Linear(a)
 *     x += tanh(gate_1) RMS(attention(RMS(x) (1 + scale_1)))
 *     x += tanh(gate_2) RMS(w2(silu(w1 h) * w3 h)), h = RMS(x) (1 + scale_2)
 *   plain block: the same without scales and gates
 *   output = linear(LN(x) (1 + Linear(SiLU(a)))), LN eps 1e-6 without weights
 *
 * Attention: q and k RMS-normed per head, then rotary: neighbouring pairs, axes 32/48/48, theta
 * 256. Positions: text (1 + i, 0, 0), filling included; image (1 + text, row, column), its filling
 * (0, 0, 0). Channel of a patch: (dy * 2 + dx) * 16 + c. No biases in attention and feed-forward.
 *
 * With several pictures (editing): zimage-omni.c.
 *
 * forward: latent [1, 16, 1, H, W], context [1, T, dim], timestep [1] (0 noise … 1 picture) ->
 * output like latent; the pipeline's velocity is its negative. Names: diffusers', or the authors'
 * (fused qkv; also below "model.diffusion_model.").
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/models/blocks/names.h"
#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/rope-table.h"
#include "engine/models/blocks/timestep.h"
#include "engine/models/classes.h"
#include "engine/models/image/zimage-private.h"

/* --- Names --- */

static const AtlNamePair author_names[] = {
  { "attention.to_out.0", "attention.out" },
  { "attention.norm_q", "attention.q_norm" },
  { "attention.norm_k", "attention.k_norm" },
  { NULL, NULL },
};

static char *
author_name (const AtlSource *source, const char *canonical)
{
  const char *inner = strstr (canonical, ".attention.");
  char *out;

  if (inner != NULL)
    {
      g_autofree char *block = g_strndup (canonical, (gsize) (inner + 1 - canonical));
      g_autofree char *name = atl_name_translate (inner + 1, author_names);

      return name != NULL ? g_strconcat (block, name, NULL) : g_strdup (canonical);
    }
  out = atl_name_replace_head (canonical, "all_x_embedder.2-1", "x_embedder");
  if (out == NULL)
    out = atl_name_replace_head (canonical, "all_final_layer.2-1", "final_layer");
  return out != NULL ? out : g_strdup (canonical);
}

/* What stands before all names; NULL for another network. Lumina 2 has most of these names, but
 * fills nothing up. */
static const char *
find_prefix (const AtlCheckpoint *cp, gboolean *is_author)
{
  const char *prefix =
      atl_denoiser_prefix (cp, "layers.0.adaLN_modulation.0.weight", "x_pad_token", NULL);
  g_autofree char *embedder = g_strconcat (prefix != NULL ? prefix : "", "x_embedder.weight", NULL);

  *is_author = atl_checkpoint_find (cp, embedder) != NULL;
  return prefix;
}

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  gboolean is_author;

  return find_prefix (cp, &is_author) != NULL;
}

static gboolean
zimage_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  ZImage *m = model;
  gboolean is_author = FALSE;

  s->takes_low_rank = TRUE;
  s->lora_maps[0] = author_name;
  s->prefix = find_prefix (cp, &is_author);
  if (is_author)
    s->map = author_name;
  return zimage_read_weights (m, s, cp, error);
}

/* --- Forward --- */

AtlTensor *
zimage_rms (AtlGraph *g, const ZImage *m, AtlTensor *x, const AtlAffine *a)
{
  return atl_norm (g, ATL_NORM_RMS, x, atl_weight (g, a->w), NULL, m->eps);
}

static AtlTensor *
attend (AtlGraph *g, const ZImage *m, const ZImageBlock *b, AtlTensor *x, AtlTensor *rope)
{
  gint64 heads[3] = { m->n_heads, m->n_kv_heads, m->n_kv_heads }, T = x->dim[0];
  AtlTensor *qkv[3];

  atl_apply_multi (g, x, 3, (const AtlAffine[]){ b->q, b->k, b->v }, qkv);
  for (guint i = 0; i < 3; i++)
    qkv[i] = atl_reshape_to (g, qkv[i], T, heads[i], m->head_dim);
  qkv[0] = atl_rope (g, zimage_rms (g, m, qkv[0], &b->norm_q), rope, ATL_ROPE_NEIGHBORS);
  qkv[1] = atl_rope (g, zimage_rms (g, m, qkv[1], &b->norm_k), rope, ATL_ROPE_NEIGHBORS);
  x = atl_attention (g, qkv[0], qkv[1], qkv[2], NULL, NULL, NULL, 0.0f, 0.0f);
  return atl_apply (g, atl_reshape_to (g, x, T, m->dim), &b->out);
}

/* One of the n parts of a modulation [1, n * D]. */
static AtlTensor *
part (AtlGraph *g, AtlTensor *mod, gint64 D, guint i)
{
  return atl_contiguous (g, atl_slice (g, mod, 1, i * D, D));
}

AtlTensor *
zimage_block (AtlGraph *g,
              const ZImage *m,
              const ZImageBlock *b,
              AtlTensor *x,
              AtlTensor *rope,
              AtlTensor *time)
{
  AtlTensor *scale[2] = { NULL, NULL }, *gate[2] = { NULL, NULL }, *y;

  if (b->mod.w != NULL)
    {
      AtlTensor *mod = atl_apply (g, time, &b->mod);

      for (guint i = 0; i < 2; i++)
        {
          scale[i] = atl_affine (g, part (g, mod, m->dim, 2 * i), 1.0f, 1.0f);
          gate[i] = atl_act (g, ATL_ACT_TANH, part (g, mod, m->dim, 2 * i + 1));
        }
    }
  y = zimage_rms (g, m, x, &b->norm1);
  if (scale[0] != NULL)
    y = atl_mul (g, y, scale[0]);
  y = zimage_rms (g, m, attend (g, m, b, y, rope), &b->norm2);
  x = atl_add (g, x, gate[0] != NULL ? atl_mul (g, y, gate[0]) : y);
  y = zimage_rms (g, m, x, &b->ffn_norm1);
  if (scale[1] != NULL)
    y = atl_mul (g, y, scale[1]);
  y = atl_apply_gated (g, y, &b->w1, &b->w3, ATL_ACT_SILU);
  y = zimage_rms (g, m, atl_apply (g, y, &b->w2), &b->ffn_norm2);
  return atl_add (g, x, gate[1] != NULL ? atl_mul (g, y, gate[1]) : y);
}

AtlTensor *
zimage_end (AtlGraph *g, const ZImage *m, AtlTensor *x, AtlTensor *time)
{
  x = atl_norm (g, ATL_NORM_LAYER, x, NULL, NULL, ATL_DENOISER_EPS);
  time = atl_apply (g, atl_act (g, ATL_ACT_SILU, time), &m->out_mod);
  return atl_apply (g, atl_mul (g, x, atl_affine (g, time, 1.0f, 1.0f)), &m->out);
}

/* x with as many rows of `pad` behind it as the input `name` has numbers. */
static AtlTensor *
fill_up (AtlGraph *g, AtlTensor *x, AtlWeight *pad, GPtrArray *inputs, const char *name)
{
  AtlTensor *rows;

  if (atl_arrays_find (inputs, name) == NULL)
    return x;
  rows = atl_embed (g, atl_weight (g, pad), atl_runner_input (g, inputs, name), 1.0f);
  return atl_concat (g, 0, 2, (AtlTensor *[]){ x, rows });
}

AtlTensor *
zimage_resume (AtlGraph *g, const ZImage *m, AtlStage stage, GPtrArray *inputs)
{
  AtlTensor *x;

  return atl_stage_resume (stage, g, inputs, &x, NULL) ? atl_reshape_to (g, x, x->dim[1], m->dim)
                                                       : NULL;
}

static AtlTensor *
as_batch (AtlGraph *g, AtlTensor *x)
{
  return atl_reshape_to (g, x, 1, x->dim[0], x->dim[1]);
}

AtlTensor *
zimage_layers (
    AtlGraph *g, const ZImage *m, AtlStage stage, AtlTensor *x, AtlTensor *rope, AtlTensor *time)
{
  if (stage == ATL_STAGE_END)
    return x;
  if (atl_stage_begin (stage, g, as_batch (g, x)))
    return NULL;
  for (guint i = atl_stage_first_block (stage); i < m->n_layers; i++)
    {
      x = zimage_block (g, m, &m->layers[i], x, rope, time);
      if (atl_stage_pause (stage, g, as_batch (g, x), NULL))
        return NULL;
    }
  atl_stage_finish (stage, g, as_batch (g, x));
  return x;
}

typedef struct
{
  const ZImage *m;
  AtlStage stage;
} Call;

/* The stream of picture, then text, before the layers. */
static AtlTensor *
refine (AtlGraph *g, const ZImage *m, GPtrArray *inputs, AtlTensor *const *rope, AtlTensor *time)
{
  AtlTensor *image = atl_apply (g, atl_runner_input (g, inputs, "tokens"), &m->x_embedder);
  AtlTensor *text = zimage_rms (g, m, atl_runner_input (g, inputs, "text"), &m->text_norm);

  image = fill_up (g, image, m->x_pad, inputs, "image_filling");
  text = fill_up (g, atl_apply (g, text, &m->text_linear), m->text_pad, inputs, "text_filling");
  for (guint i = 0; i < m->n_refiners; i++)
    image = zimage_block (g, m, &m->refiners[i], image, rope[0], time);
  for (guint i = 0; i < m->n_text_refiners; i++)
    text = zimage_block (g, m, &m->text_refiners[i], text, rope[1], NULL);
  return atl_concat (g, 0, 2, (AtlTensor *[]){ image, text });
}

static void
describe (AtlGraph *g, gpointer data, GPtrArray *inputs)
{
  const Call *call = data;
  const ZImage *m = call->m;
  const AtlArray *tokens = atl_arrays_find (inputs, "tokens");
  AtlTensor *time = atl_embedder (g, &m->time, atl_runner_input (g, inputs, "time_features"));
  AtlTensor *rope[2] = { NULL, NULL }, *x = zimage_resume (g, m, call->stage, inputs);

  if (call->stage != ATL_STAGE_END)
    {
      rope[0] = atl_runner_input (g, inputs, "rope_image");
      rope[1] = atl_runner_input (g, inputs, "rope_text");
    }
  if (x == NULL)
    x = refine (g, m, inputs, rope, time);
  if (call->stage != ATL_STAGE_END)
    rope[0] = atl_concat (g, 0, 2, rope);
  x = zimage_layers (g, m, call->stage, x, rope[0], time);
  if (x == NULL)
    return;
  x = atl_contiguous (g, atl_slice (g, x, 0, 0, tokens->dim[0]));
  atl_graph_output (g, zimage_end (g, m, x, time), "tokens_out");
}

/* Latent [C, H, W] to tokens [n, 4 C] or back. */
void
zimage_patch (float *latent, float *tokens, gint64 C, gint64 H, gint64 W, gboolean is_back)
{
  if (atl_bytes_are_hollow ((gsize) (C * H * W) * sizeof *latent))
    return;
  for (gint64 y = 0; y < H; y++)
    for (gint64 x = 0; x < W; x++)
      for (gint64 c = 0; c < C; c++)
        {
          gint64 token = y / ZIMAGE_PATCH * (W / ZIMAGE_PATCH) + x / ZIMAGE_PATCH;
          gint64 channel = (y % ZIMAGE_PATCH * ZIMAGE_PATCH + x % ZIMAGE_PATCH) * C + c;
          float *a = &latent[(c * H + y) * W + x],
                *b = &tokens[token * ZIMAGE_PATCH * ZIMAGE_PATCH * C + channel];

          if (is_back)
            *a = *b;
          else
            *b = *a;
        }
}

gint64
zimage_filled (gint64 n)
{
  return (n + ZIMAGE_MULTIPLE - 1) / ZIMAGE_MULTIPLE * ZIMAGE_MULTIPLE;
}

/* Zeros, the row of a padding token, for the rows behind n; nothing where there are none. */
static void
add_filling (GPtrArray *inputs, const char *name, gint64 n)
{
  gint64 missing = zimage_filled (n) - n;

  if (missing > 0)
    g_ptr_array_add (inputs, atl_array_new (name, ATL_DTYPE_I32, 1, &missing));
}

/* `positions` [n, 3]. */
static void
add_rope (const ZImage *m, GPtrArray *inputs, const char *name, const float *positions, gint64 n)
{
  AtlArray *rope = atl_array_new (name, ATL_DTYPE_F32, 2, (gint64[]){ n, m->head_dim });

  atl_rope_axes (m->axis, ZIMAGE_N_AXES, m->theta, positions, n, atl_array_f32 (rope));
  g_ptr_array_add (inputs, rope);
}

static void
add_positions (const ZImage *m, GPtrArray *inputs, gint64 n_text, gint64 rows, gint64 columns)
{
  gint64 T = zimage_filled (n_text), n = zimage_filled (rows * columns);
  g_autofree float *positions = g_new0 (float, MAX (T, n) * ZIMAGE_N_AXES);

  for (gint64 i = 0; i < T; i++)
    positions[i * ZIMAGE_N_AXES] = (float) (1 + i);
  add_rope (m, inputs, "rope_text", positions, T);
  memset (positions, 0, (gsize) (T * ZIMAGE_N_AXES) * sizeof *positions);
  for (gint64 i = 0; i < rows * columns; i++)
    {
      positions[i * ZIMAGE_N_AXES] = (float) (T + 1);
      positions[i * ZIMAGE_N_AXES + 1] = (float) (i / columns);
      positions[i * ZIMAGE_N_AXES + 2] = (float) (i % columns);
    }
  add_rope (m, inputs, "rope_image", positions, n);
}

gboolean
zimage_compute (ZImage *m,
                const AtlRequest *request,
                const char *key,
                AtlDescribeFunc describe_pass,
                gpointer call,
                GPtrArray *made,
                const AtlArray *like,
                GPtrArray *outputs,
                GCancellable *cancellable,
                GError **error)
{
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  AtlArray *tokens, *output;

  g_ptr_array_extend (inputs, made, NULL, NULL);
  if (!atl_stage_add_inputs (atl_stage_of (request), request, FALSE, inputs, error) ||
      !atl_runner_run (m->net.runner, key, describe_pass, call, inputs, outputs, cancellable,
                       error))
    return FALSE;
  tokens = atl_arrays_find (outputs, "tokens_out");
  if (tokens == NULL)
    return TRUE;
  output = atl_array_new ("output", ATL_DTYPE_F32, like->n_dims, like->dim);
  zimage_patch (atl_array_f32 (output), atl_array_f32 (tokens), m->channels,
                like->dim[like->n_dims - 2], like->dim[like->n_dims - 1], TRUE);
  g_ptr_array_remove (outputs, tokens);
  g_ptr_array_add (outputs, output);
  return TRUE;
}

static gboolean
zimage_run (gpointer model,
            const AtlRequest *request,
            GPtrArray *outputs,
            GCancellable *cancellable,
            GError **error)
{
  ZImage *m = model;
  Call call = { .m = m, .stage = atl_stage_of (request) };
  AtlArray *latent, *context, *timestep, *tokens, *text, *time;
  g_autoptr (GPtrArray) inputs = atl_arrays_new ();
  gint64 H, W, T, n;

  if (atl_request_find (request, "noisy") != NULL)
    return zimage_run_omni (m, request, outputs, cancellable, error);
  latent = atl_request_require (request, "latent", ATL_DTYPE_F32, 5, error);
  context =
      latent == NULL ? NULL : atl_request_require (request, "context", ATL_DTYPE_F32, 3, error);
  timestep =
      context == NULL ? NULL : atl_request_require (request, "timestep", ATL_DTYPE_F32, 1, error);
  if (timestep == NULL)
    return FALSE;
  H = latent->dim[3];
  W = latent->dim[4];
  T = context->dim[1];
  if (latent->dim[0] != 1 || latent->dim[1] != m->channels || latent->dim[2] != 1 ||
      H % ZIMAGE_PATCH != 0 || W % ZIMAGE_PATCH != 0 || H > ZIMAGE_MAX_SIDE ||
      W > ZIMAGE_MAX_SIDE || context->dim[0] != 1 || T > ZIMAGE_MAX_TEXT ||
      context->dim[2] != m->text_norm.w->dim[0])
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The latent and the text do not fit this Z-Image transformer"));
      return FALSE;
    }
  n = H / ZIMAGE_PATCH * (W / ZIMAGE_PATCH);
  tokens = atl_array_new ("tokens", ATL_DTYPE_F32, 2,
                          (gint64[]){ n, m->channels * ZIMAGE_PATCH * ZIMAGE_PATCH });
  zimage_patch (atl_array_f32 (latent), atl_array_f32 (tokens), m->channels, H, W, FALSE);
  text = atl_array_new ("text", ATL_DTYPE_F32, 2, (gint64[]){ T, context->dim[2] });
  memcpy (text->data, context->data, atl_array_size (text));
  time =
      atl_timestep_array ("time_features", timestep, 1, (float) m->time_scale, ATL_DENOISER_FREQS);
  g_ptr_array_add (inputs, tokens);
  g_ptr_array_add (inputs, text);
  g_ptr_array_add (inputs, time);
  add_filling (inputs, "image_filling", n);
  add_filling (inputs, "text_filling", T);
  add_positions (m, inputs, T, H / ZIMAGE_PATCH, W / ZIMAGE_PATCH);
  return zimage_compute (m, request, atl_request_function (request), describe, &call, inputs,
                         latent, outputs, cancellable, error);
}

const AtlComponentClass atl_zimage_class = {
  .name = "zimage",
  .origins = (const char *const[]){ "ZImageTransformer2DModel", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ ATL_STAGE_FUNCTIONS, NULL },
  .lora_places = ATL_LORA_IN_DENOISER,
  .size = sizeof (ZImage),
  .read = zimage_read,
  .run = zimage_run,
};
