/* The Flux.2 transformer: dev and klein (Black Forest Labs 2025; diffusers 0.42.1
 * Flux2Transformer2DModel).
 *
 *   temb = mlp(sin256(1000 t)) [+ mlp(sin256(1000 g))]      cosines first; g in dev only
 *   three modulations for all blocks = Linear(SiLU(temb)): double blocks' picture and text (shift,
 *   scale, gate of the attention, then of the feed-forward), single blocks (shift, scale, gate)
 *   double block: as Flux.1's, feed-forward Linear(silu(a) * b), [a, b] = Linear(x)
 *   single block on [text, picture]: x += gate * Linear([attention, silu(a) * b]) of one Linear to
 *   q, k, v, a, b
 *   out = proj_out(LN(picture) (1 + scale) + shift)
 *
 * LN and RMS (of q and k per head) eps 1e-6, LN without weights; no biases at all. Rotary:
 * neighbouring pairs on four axes of 32, theta 2000.
 *
 * forward: latent [B, tokens, 128], context [B, T, dim], timestep [B] in 0…1, guidance [B] (where
 * the model has it), image_ids [tokens, 4], context_ids [T, 4] -> output [B, tokens, 128].
 * Names: diffusers', or the authors' (also below "model.diffusion_model."), whose last modulation
 * has shift before scale.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/models/blocks/names.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/blocks/timestep.h"
#include "engine/models/classes.h"
#include "engine/models/image/flux-blocks.h"

#define N_AXES 4

typedef struct
{
  AtlNetwork net;
  AtlFluxBlocks blocks;
  AtlEmbedder time, guidance; /* guidance: nullable */
  AtlAffine mod[3];           /* by AtlFluxKind, of all blocks */
  AtlAffine norm_out;
  gboolean shift_first; /* of norm_out */
} Flux2;

/* --- Names --- */

static const AtlNamePair top_names[] = {
  { "x_embedder", "img_in" },
  { "context_embedder", "txt_in" },
  { "time_guidance_embed.timestep_embedder.linear_1", "time_in.in_layer" },
  { "time_guidance_embed.timestep_embedder.linear_2", "time_in.out_layer" },
  { "time_guidance_embed.guidance_embedder.linear_1", "guidance_in.in_layer" },
  { "time_guidance_embed.guidance_embedder.linear_2", "guidance_in.out_layer" },
  { "double_stream_modulation_img.linear", "double_stream_modulation_img.lin" },
  { "double_stream_modulation_txt.linear", "double_stream_modulation_txt.lin" },
  { "single_stream_modulation.linear", "single_stream_modulation.lin" },
  { "norm_out.linear", "final_layer.adaLN_modulation.1" },
  { "proj_out", "final_layer.linear" },
  { NULL, NULL },
};

static const AtlNamePair double_names[] = {
  { "attn.to_out.0", "img_attn.proj" },
  { "attn.to_add_out", "txt_attn.proj" },
  { "attn.norm_q.weight", "img_attn.norm.query_norm.scale" },
  { "attn.norm_k.weight", "img_attn.norm.key_norm.scale" },
  { "attn.norm_added_q.weight", "txt_attn.norm.query_norm.scale" },
  { "attn.norm_added_k.weight", "txt_attn.norm.key_norm.scale" },
  { "ff.linear_in", "img_mlp.0" },
  { "ff.linear_out", "img_mlp.2" },
  { "ff_context.linear_in", "txt_mlp.0" },
  { "ff_context.linear_out", "txt_mlp.2" },
  { NULL, NULL },
};

static const AtlNamePair single_names[] = {
  { "attn.norm_q.weight", "norm.query_norm.scale" },
  { "attn.norm_k.weight", "norm.key_norm.scale" },
  { "attn.to_qkv_mlp_proj", "linear1" },
  { "attn.to_out", "linear2" },
  { NULL, NULL },
};

static char *
author_name (const AtlSource *source, const char *canonical)
{
  static const struct
  {
    const char *from, *to;
    const AtlNamePair *pairs;
  } lists[] = { { "transformer_blocks.", "double_blocks", double_names },
                { "single_transformer_blocks.", "single_blocks", single_names } };
  char *out;

  for (gsize i = 0; i < G_N_ELEMENTS (lists); i++)
    if (g_str_has_prefix (canonical, lists[i].from))
      {
        const char *number = canonical + strlen (lists[i].from), *dot = strchr (number, '.');
        g_autofree char *index = dot != NULL ? g_strndup (number, (gsize) (dot - number)) : NULL;
        g_autofree char *inner = dot != NULL ? atl_name_translate (dot + 1, lists[i].pairs) : NULL;

        return inner != NULL ? g_strdup_printf ("%s.%s.%s", lists[i].to, index, inner) : NULL;
      }
  out = atl_name_translate (canonical, top_names);
  return out != NULL ? out : g_strdup (canonical);
}

static const char *
find_prefix (const AtlCheckpoint *cp, gboolean *is_author)
{
  const char *prefix = atl_denoiser_prefix (cp, "single_stream_modulation.lin.weight", NULL);

  *is_author = prefix != NULL;
  return prefix != NULL ? prefix
                        : atl_denoiser_prefix (cp, "single_stream_modulation.linear.weight", NULL);
}

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  gboolean is_author;

  return find_prefix (cp, &is_author) != NULL;
}

/* --- Weights --- */

static void
read_double (Flux2 *m, AtlSource *s, AtlFluxStream *t, guint i, const char *const *n)
{
  gint64 D = m->blocks.dim, F;
  g_autofree char *p = g_strdup_printf ("transformer_blocks.%u", i);
  g_autofree char *attn = g_strconcat (p, ".attn", NULL);
  g_autofree char *fused = g_strdup_printf ("double_blocks.%u.%s", i, n[7]);
  g_autofree char *in = g_strdup_printf ("%s.%s.linear_in", p, n[6]);
  AtlAffine halves[2] = { 0 };

  atl_source_split (s, D, 3, attn, n, (gint64[]){ D, D, D }, fused, t->qkv.proj);
  t->out = atl_source_linear (s, D, D, "%s.%s", attn, n[3]);
  t->qkv.norm_q = atl_source_norm (s, m->blocks.head_dim, FALSE, "%s.%s", attn, n[4]);
  t->qkv.norm_k = atl_source_norm (s, m->blocks.head_dim, FALSE, "%s.%s", attn, n[5]);
  F = atl_source_rows (s, in) / 2;
  atl_source_split (s, D, 2, in, (const char *const[]){ "gate", "up" }, (gint64[]){ F, F }, in,
                    halves);
  t->mlp_gate = halves[0];
  t->mlp1 = halves[1];
  t->mlp2 = atl_source_linear (s, D, F, "%s.%s.linear_out", p, n[6]);
}

static void
read_single (Flux2 *m, AtlSource *s, AtlFluxStream *t, guint i)
{
  static const char *const names[] = { "to_q", "to_k", "to_v", "mlp" };
  gint64 D = m->blocks.dim;
  g_autofree char *p = g_strdup_printf ("single_transformer_blocks.%u.attn", i);
  g_autofree char *fused = g_strconcat (p, ".to_qkv_mlp_proj", NULL);
  AtlAffine parts[4] = { 0 };

  atl_source_split (s, D, 4, p, names, (gint64[]){ D, D, D, -1 }, fused, parts);
  memcpy (t->qkv.proj, parts, sizeof t->qkv.proj);
  t->mlp1 = parts[3];
  t->qkv.norm_q = atl_source_norm (s, m->blocks.head_dim, FALSE, "%s.norm_q", p);
  t->qkv.norm_k = atl_source_norm (s, m->blocks.head_dim, FALSE, "%s.norm_k", p);
  t->out =
      atl_source_linear (s, D, t->mlp1.w != NULL ? D + t->mlp1.w->dim[0] / 2 : -1, "%s.to_out", p);
}

static void
read_weights (Flux2 *m, AtlSource *s)
{
  static const char *const image[] = { "to_q",   "to_k",   "to_v", "to_out.0",
                                       "norm_q", "norm_k", "ff",   "img_attn.qkv" };
  static const char *const text[] = {
    "add_q_proj",   "add_k_proj",   "add_v_proj", "to_add_out",
    "norm_added_q", "norm_added_k", "ff_context", "txt_attn.qkv"
  };
  AtlFluxBlocks *b = &m->blocks;
  gint64 D = b->dim, F = ATL_DENOISER_FREQS;

  b->x_embedder = atl_source_linear (s, D, -1, "x_embedder");
  b->context_embedder = atl_source_linear (s, D, -1, "context_embedder");
  atl_embedder_read (&m->time, s, D, F, "time_guidance_embed.timestep_embedder");
  if (atl_source_has (s, "time_guidance_embed.guidance_embedder.linear_1"))
    atl_embedder_read (&m->guidance, s, D, F, "time_guidance_embed.guidance_embedder");
  m->mod[ATL_FLUX_TEXT] = atl_source_linear (s, 6 * D, D, "double_stream_modulation_txt.linear");
  m->mod[ATL_FLUX_IMAGE] = atl_source_linear (s, 6 * D, D, "double_stream_modulation_img.linear");
  m->mod[ATL_FLUX_SINGLE] = atl_source_linear (s, 3 * D, D, "single_stream_modulation.linear");
  while (b->n_double < ATL_FLUX_MAX_BLOCKS &&
         atl_source_has (s, "transformer_blocks.%u.ff.linear_in", b->n_double))
    {
      guint i = b->n_double++;

      read_double (m, s, &b->text[i], i, text);
      read_double (m, s, &b->image[i], i, image);
    }
  while (b->n_single < ATL_FLUX_MAX_BLOCKS &&
         atl_source_has (s, "single_transformer_blocks.%u.attn.to_qkv_mlp_proj", b->n_single))
    {
      guint i = b->n_single++;

      read_single (m, s, &b->single[i], i);
    }
  if (b->n_double == 0)
    atl_weights_fail (s->weights, _ ("%s holds no transformer blocks"),
                      atl_checkpoint_name (atl_weights_checkpoint (s->weights)));
  s->turns_halves = TRUE;
  m->norm_out = atl_source_linear (s, 2 * D, D, "norm_out.linear");
  s->turns_halves = FALSE;
  b->proj_out = atl_source_linear (s, -1, D, "proj_out");
}

static gboolean
read_config (AtlFluxBlocks *b, const AtlSource *s, const AtlCheckpoint *cp, GError **error)
{
  static const gint64 published[N_AXES] = { 32, 32, 32, 32 };
  GError *local = NULL;

  memcpy (b->axis, published, sizeof published);
  b->n_axes = N_AXES;
  b->is_gated = TRUE;
  b->theta = 2000;
  atl_checkpoint_get_float (cp, "rope_theta", 1, 1e12, &b->theta, &local);
  if (local != NULL)
    {
      g_propagate_error (error, local);
      return FALSE;
    }
  b->dim = atl_source_rows (s, "x_embedder");
  b->head_dim = atl_source_rows (s, "transformer_blocks.0.attn.norm_q");
  if (b->head_dim < 2 || b->dim < 1 || b->dim % b->head_dim != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("%s: heads of %d do not fit into this Flux transformer"),
                   atl_checkpoint_name (cp), (int) b->head_dim);
      return FALSE;
    }
  b->n_heads = b->dim / b->head_dim;
  return atl_denoiser_axes (cp, "axes_dims_rope", N_AXES, N_AXES, b->head_dim, b->axis, &b->n_axes,
                            error);
}

static gboolean
flux2_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  Flux2 *m = model;

  s->lora_maps[0] = author_name;
  s->prefix = find_prefix (cp, &m->shift_first);
  if (m->shift_first)
    s->map = author_name;
  if (!read_config (&m->blocks, s, cp, error))
    return FALSE;
  read_weights (m, s);
  return TRUE;
}

/* --- Forward --- */

typedef struct
{
  const Flux2 *m;
  AtlStage stage;
} Call;

typedef struct
{
  const Flux2 *m;
  AtlTensor *temb;      /* [B, D], through SiLU */
  AtlTensor *mod[3][6]; /* by AtlFluxKind, once they are asked for */
} Modulation;

/* user_data: a Modulation. All blocks of a kind have the same. */
static void
modulate (AtlFluxPass *p, AtlFluxKind kind, guint i, AtlTensor **mod, gpointer user_data)
{
  Modulation *self = user_data;
  guint n = kind == ATL_FLUX_SINGLE ? 3 : 6;

  if (self->mod[kind][0] == NULL)
    atl_modulation (p->g, self->temb, &self->m->mod[kind], n, self->mod[kind]);
  memcpy (mod, self->mod[kind], n * sizeof *mod);
}

static void
describe (AtlGraph *g, gpointer data, GPtrArray *inputs)
{
  const Call *call = data;
  const Flux2 *m = call->m;
  AtlFluxPass p = { .blocks = &m->blocks, .g = g, .stage = call->stage, .inputs = inputs };
  Modulation modulation = { .m = m };
  AtlTensor *temb, *x, *ends[2];

  temb = atl_embedder (g, &m->time, atl_runner_input (g, inputs, "time_features"));
  if (m->guidance.first.w != NULL)
    temb = atl_add (
        g, temb, atl_embedder (g, &m->guidance, atl_runner_input (g, inputs, "guidance_features")));
  temb = modulation.temb = atl_act (g, ATL_ACT_SILU, temb);
  x = atl_flux_run (&p, modulate, &modulation);
  if (x == NULL)
    return;
  atl_modulation_of_end (g, temb, &m->norm_out, m->shift_first, ends);
  atl_flux_end (&p, x, ends);
}

static gboolean
flux2_run (gpointer model,
           const AtlRequest *request,
           GPtrArray *outputs,
           GCancellable *cancellable,
           GError **error)
{
  static const AtlNeededInput needed[] = {
    { "latent", 3 }, { "context", 3 }, { "image_ids", 2 }, { "context_ids", 2 }, { "timestep", 1 }
  };
  Flux2 *m = model;
  Call call = { .m = m, .stage = atl_stage_of (request) };
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  g_autoptr (AtlArray) time = NULL;
  g_autoptr (AtlArray) guidance = NULL;
  g_autoptr (AtlArray) rope = NULL;
  AtlArray *in[G_N_ELEMENTS (needed)];
  gint64 B;

  if (!atl_request_require_all (request, needed, G_N_ELEMENTS (needed), in, error))
    return FALSE;
  B = in[0]->dim[0];
  if (in[1]->dim[0] != B || in[2]->dim[0] != in[0]->dim[1] || in[3]->dim[0] != in[1]->dim[1] ||
      in[2]->dim[1] != N_AXES || in[3]->dim[1] != N_AXES)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                   _ ("The latent, the text and their positions do not belong together"));
      return FALSE;
    }
  time = atl_timestep_array ("time_features", in[4], B, 1000.0f, ATL_DENOISER_FREQS);
  if (m->guidance.first.w != NULL)
    {
      guidance = atl_flux_blocks_guidance (request, B, inputs, error);
      if (guidance == NULL)
        return FALSE;
    }
  rope = atl_flux_blocks_rope (&m->blocks, in[3], in[2]);
  g_ptr_array_add (inputs, in[0]);
  g_ptr_array_add (inputs, in[1]);
  g_ptr_array_add (inputs, time);
  g_ptr_array_add (inputs, rope);
  return atl_stage_add_inputs (call.stage, request, TRUE, inputs, error) &&
         atl_runner_run (m->net.runner, atl_request_function (request), describe, &call, inputs,
                         outputs, cancellable, error);
}

const AtlComponentClass atl_flux2_class = {
  .name = "flux2",
  .origins = (const char *const[]){ "Flux2Transformer2DModel", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ ATL_STAGE_FUNCTIONS, NULL },
  .lora_places = ATL_LORA_IN_DENOISER,
  .size = sizeof (Flux2),
  .read = flux2_read,
  .run = flux2_run,
};
