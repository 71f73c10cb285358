/* The Flux.1 transformer: dev, schnell, Fill, Kontext (Black Forest Labs 2024; diffusers 0.42.1
 * FluxTransformer2DModel).
 *
 *   h = x_embedder(latent); c = context_embedder(context)
 *   temb = mlp(sin(1000 t)) + mlp(sin(1000 g)) + mlp(pooled)  256 sinusoids, cosines first; no g in
 *                                                             schnell
 *   double block: shift, scale, gate (attention), shift, scale, gate (MLP) = Linear(SiLU(temb)) for
 *     picture and text each; one attention over text, then picture; q and k RMS-normed per head,
 *     then rotary; x += gate * out;
 *     x += gate * Linear(GELU_tanh(Linear(LN(x) (1 + scale) + shift)))
 *   single block on [text, picture]: shift, scale, gate;
 *     x += gate * Linear([attention, GELU_tanh(mlp)])
 *   out = proj_out(LN(picture) (1 + scale) + shift)  scale before shift in diffusers' norm_out, the
 *                                                    other way round in the authors' files
 *
 * LN and RMS eps 1e-6, LN without weights. Rotary: neighbouring pairs, one axis after the other
 * (axes_dims_rope, 16/56/56), theta 10000, positions as given in ids.
 *
 * forward: latent [B, tokens, in], context [B, T, dim], pooled [B, n], timestep [B] in 0…1,
 * guidance [B] (where the model has it), image_ids [tokens, axes], context_ids [T, axes] -> output
 * [B, tokens, out]. Names: diffusers', or the authors' (also GGUF and below
 * "model.diffusion_model."). Heads: configuration, else 128 wide. In parts: stages.h.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include "engine/models/blocks/runner.h"
#include "engine/models/blocks/stages.h"
#include "engine/models/blocks/timestep.h"
#include "engine/models/classes.h"
#include "engine/models/image/flux-blocks.h"
#include "engine/models/image/flux-names.h"

typedef struct
{
  AtlNetwork net;
  AtlFluxBlocks blocks;
  AtlEmbedder time, guidance, pooled; /* guidance: nullable */
  AtlAffine norm_out;
  gboolean shift_first; /* of norm_out */
} Flux;

static const char *
find_prefix (const AtlCheckpoint *cp, gboolean *is_author)
{
  const char *prefix = atl_denoiser_prefix (cp, "double_blocks.0.img_mod.lin.weight", NULL);

  *is_author = prefix != NULL;
  if (prefix == NULL)
    prefix = atl_denoiser_prefix (cp, "transformer_blocks.0.norm1_context.linear.weight",
                                  "time_text_embed.text_embedder.linear_1.weight",
                                  "single_transformer_blocks.0.norm.linear.weight", NULL);
  return prefix;
}

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  gboolean is_author;

  return find_prefix (cp, &is_author) != NULL;
}

/* --- Weights --- */

static void
read_weights (Flux *m, AtlSource *s)
{
  gint64 D, F = ATL_DENOISER_FREQS;

  atl_flux_blocks_read (&m->blocks, s, TRUE);
  D = m->blocks.dim;
  atl_embedder_read (&m->time, s, D, F, "time_text_embed.timestep_embedder");
  if (atl_source_has (s, "time_text_embed.guidance_embedder.linear_1"))
    atl_embedder_read (&m->guidance, s, D, F, "time_text_embed.guidance_embedder");
  atl_embedder_read (&m->pooled, s, D, -1, "time_text_embed.text_embedder");
  s->turns_halves = TRUE;
  m->norm_out = atl_source_linear (s, 2 * D, D, "norm_out.linear");
  s->turns_halves = FALSE;
}

static gboolean
flux_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  Flux *m = model;

  s->takes_low_rank = TRUE;
  s->lora_maps[0] = atl_flux_author_name;
  s->lora_maps[1] = atl_flux_xlabs_name;
  s->prefix = find_prefix (cp, &m->shift_first);
  if (m->shift_first)
    s->map = atl_flux_author_name;
  if (!atl_flux_blocks_config (&m->blocks, cp, error))
    return FALSE;
  read_weights (m, s);
  return TRUE;
}

/* --- Forward --- */

typedef struct
{
  const Flux *m;
  AtlStage stage;
} Call;

/* user_data: the times' embedding [B, D], through SiLU. */
static void
modulate (AtlFluxPass *p, AtlFluxKind kind, guint i, AtlTensor **mod, gpointer user_data)
{
  const AtlFluxStream *streams[] = { &p->blocks->image[i], &p->blocks->text[i],
                                     &p->blocks->single[i] };

  atl_modulation (p->g, user_data, &streams[kind]->mod, kind == ATL_FLUX_SINGLE ? 3 : 6, mod);
}

static void
describe (AtlGraph *g, gpointer data, GPtrArray *inputs)
{
  const Call *call = data;
  const Flux *m = call->m;
  AtlFluxPass p = { .blocks = &m->blocks, .g = g, .stage = call->stage, .inputs = inputs };
  AtlTensor *x, *temb, *mod[2];

  temb = atl_embedder (g, &m->time, atl_runner_input (g, inputs, "time_features"));
  if (m->guidance.first.w != NULL)
    temb = atl_add (
        g, temb, atl_embedder (g, &m->guidance, atl_runner_input (g, inputs, "guidance_features")));
  temb = atl_add (g, temb, atl_embedder (g, &m->pooled, atl_runner_input (g, inputs, "pooled")));
  temb = atl_act (g, ATL_ACT_SILU, temb);
  x = atl_flux_run (&p, modulate, temb);
  if (x == NULL)
    return;
  atl_modulation_of_end (g, temb, &m->norm_out, m->shift_first, mod);
  atl_flux_end (&p, x, mod);
}

static gboolean
check_shapes (const Flux *m,
              const AtlArray *latent,
              const AtlArray *context,
              const AtlArray *pooled,
              const AtlArray *image_ids,
              const AtlArray *context_ids,
              GError **error)
{
  gint64 B = latent->dim[0];

  if (context->dim[0] == B && pooled->dim[0] == B && image_ids->dim[0] == latent->dim[1] &&
      context_ids->dim[0] == context->dim[1] && image_ids->dim[1] == m->blocks.n_axes &&
      context_ids->dim[1] == m->blocks.n_axes)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               _ ("The latent, the text and their positions do not belong together"));
  return FALSE;
}

static gboolean
flux_run (gpointer model,
          const AtlRequest *request,
          GPtrArray *outputs,
          GCancellable *cancellable,
          GError **error)
{
  static const AtlNeededInput needed[] = { { "latent", 3 },      { "context", 3 },
                                           { "pooled", 2 },      { "image_ids", 2 },
                                           { "context_ids", 2 }, { "timestep", 1 } };
  Flux *m = model;
  Call call = { .m = m, .stage = atl_stage_of (request) };
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  g_autoptr (AtlArray) time = NULL;
  g_autoptr (AtlArray) guidance = NULL;
  g_autoptr (AtlArray) rope = NULL;
  AtlArray *in[G_N_ELEMENTS (needed)];
  gint64 B;

  if (!atl_request_require_all (request, needed, G_N_ELEMENTS (needed), in, error))
    return FALSE;
  if (!check_shapes (m, in[0], in[1], in[2], in[3], in[4], error))
    return FALSE;
  B = in[0]->dim[0];
  time = atl_timestep_array ("time_features", in[5], B, 1000.0f, ATL_DENOISER_FREQS);
  if (m->guidance.first.w != NULL)
    {
      guidance = atl_flux_blocks_guidance (request, B, inputs, error);
      if (guidance == NULL)
        return FALSE;
    }
  rope = atl_flux_blocks_rope (&m->blocks, in[4], in[3]);
  g_ptr_array_add (inputs, in[0]);
  g_ptr_array_add (inputs, in[1]);
  g_ptr_array_add (inputs, in[2]);
  g_ptr_array_add (inputs, time);
  g_ptr_array_add (inputs, rope);
  return atl_stage_add_inputs (call.stage, request, TRUE, inputs, error) &&
         atl_runner_run (m->net.runner, atl_request_function (request), describe, &call, inputs,
                         outputs, cancellable, error);
}

const AtlComponentClass atl_flux_class = {
  .name = "flux",
  .origins = (const char *const[]){ "FluxTransformer2DModel", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ ATL_STAGE_FUNCTIONS, ATL_STAGE_OF_ATTENTION, NULL },
  .lora_places = ATL_LORA_IN_DENOISER,
  .size = sizeof (Flux),
  .read = flux_read,
  .run = flux_run,
};
