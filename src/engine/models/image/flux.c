/* The Flux.1 transformer: dev, schnell, Fill, Kontext (Black Forest Labs 2024; diffusers 0.42.1
 * FluxTransformer2DModel).
 *
 *   h = x_embedder(latent); c = context_embedder(context)
 *   temb = mlp(sin(1000 t)) + mlp(sin(1000 g)) + mlp(pooled)   256 sinusoids, cosines first; no g
 * in schnell double block: shift, scale, gate (attention), shift, scale, gate (MLP) =
 * Linear(SiLU(temb)) for picture and text each; one attention over text, then picture; q and k
 * RMS-normed per head, then rotary; x += gate * out; x += gate * Linear(GELU_tanh(Linear(LN(x) (1 +
 * scale) + shift))) single block on [text, picture]: shift, scale, gate; x += gate *
 * Linear([attention, GELU_tanh(mlp)]) out = proj_out(LN(picture) (1 + scale) + shift)   scale
 * before shift in diffusers' norm_out, the other way round in the authors' files
 *
 * LN and RMS eps 1e-6, LN without weights. Rotary: neighbouring pairs, one axis after the other
 * (axes_dims_rope, 16/56/56), theta 10000, positions as given in ids.
 *
 * forward: latent [B, tokens, in], context [B, T, dim], pooled [B, n], timestep [B] in 0…1,
 * guidance [B] (where the model has it), image_ids [tokens, axes], context_ids [T, axes] -> output
 * [B, tokens, out]. Names: diffusers', or the authors' (also GGUF and below
 * "model.diffusion_model."). Heads: configuration, else 128 wide.
 */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/blocks/lora.h"

#include <glib/gi18n.h>
#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/blocks/timestep.h"
#include "engine/models/classes.h"
#include "engine/models/image/flux-blocks.h"
#include "engine/models/image/flux-names.h"

#define FREQ_DIM 256

typedef struct
{
  AtlWeights *weights; /* (owned) */
  AtlRunner *runner;   /* (owned) */
  AtlFluxBlocks blocks;
  AtlAffine time1, time2, guidance1, guidance2, pooled1, pooled2; /* guidance: w nullable */
  AtlAffine out_scale, out_shift;
} Flux;

static const char *
find_prefix (const AtlCheckpoint *cp, gboolean *is_author)
{
  static const char *const prefixes[] = { "", "model.diffusion_model.", NULL };

  for (guint i = 0; prefixes[i] != NULL; i++)
    {
      g_autofree char *author =
          g_strconcat (prefixes[i], "double_blocks.0.img_mod.lin.weight", NULL);
      g_autofree char *other =
          g_strconcat (prefixes[i], "transformer_blocks.0.norm1_context.linear.weight", NULL);
      g_autofree char *pooled =
          g_strconcat (prefixes[i], "time_text_embed.text_embedder.linear_1.weight", NULL);
      g_autofree char *single =
          g_strconcat (prefixes[i], "single_transformer_blocks.0.norm.linear.weight", NULL);

      *is_author = atl_checkpoint_find (cp, author) != NULL;
      if (*is_author ||
          (atl_checkpoint_find (cp, other) != NULL && atl_checkpoint_find (cp, pooled) != NULL &&
           atl_checkpoint_find (cp, single) != NULL))
        return prefixes[i];
    }
  return NULL;
}

static gboolean
recognises (const AtlCheckpoint *cp)
{
  gboolean is_author;

  return find_prefix (cp, &is_author) != NULL;
}

static void
flux_free (gpointer model)
{
  Flux *m = model;

  atl_runner_free (m->runner);
  atl_weights_free (m->weights);
  g_free (m);
}

/* --- Weights --- */

static void
read_weights (Flux *m, AtlSource *s, gboolean is_author)
{
  AtlAffine ends[2] = { 0 };
  gint64 D;

  atl_flux_blocks_read (&m->blocks, s, TRUE);
  D = m->blocks.dim;
  m->time1 = atl_source_linear (s, D, FREQ_DIM, "time_text_embed.timestep_embedder.linear_1");
  m->time2 = atl_source_linear (s, D, D, "time_text_embed.timestep_embedder.linear_2");
  if (atl_source_has (s, "time_text_embed.guidance_embedder.linear_1"))
    {
      m->guidance1 =
          atl_source_linear (s, D, FREQ_DIM, "time_text_embed.guidance_embedder.linear_1");
      m->guidance2 = atl_source_linear (s, D, D, "time_text_embed.guidance_embedder.linear_2");
    }
  m->pooled1 = atl_source_linear (s, D, -1, "time_text_embed.text_embedder.linear_1");
  m->pooled2 = atl_source_linear (s, D, D, "time_text_embed.text_embedder.linear_2");
  atl_source_split (s, D, 2, (const char *const[]){ "norm_out.a", "norm_out.b" },
                    (gint64[]){ D, D }, "norm_out.linear", ends);
  m->out_scale = ends[is_author ? 1 : 0];
  m->out_shift = ends[is_author ? 0 : 1];
}

static gpointer
flux_load (AtlCheckpoint *cp,
           AtlBackend *const *backends,
           guint n_backends,
           const AtlLoadOptions *options,
           GError **error)
{
  Flux *m = g_new0 (Flux, 1);
  gboolean is_author = FALSE;
  AtlSource s = { .loras = options->loras,
                  .n_loras = options->n_loras,
                  .lora_prefix = "transformer",
                  .lora_maps = { atl_flux_author_name, atl_flux_xlabs_name } };

  m->weights = s.weights = atl_weights_new (cp);
  m->runner = atl_runner_new (backends, n_backends);
  s.prefix = find_prefix (cp, &is_author);
  if (is_author)
    s.map = atl_flux_author_name;
  if (!atl_flux_blocks_config (&m->blocks, cp, error))
    {
      flux_free (m);
      return NULL;
    }
  read_weights (m, &s, is_author);
  atl_lora_check (&s);
  if (!atl_source_finish (&s, backends[0], options, error))
    {
      flux_free (m);
      return NULL;
    }
  return m;
}

/* --- Forward --- */

/* The n parts of a modulation, [B, 1, D] each. */
static void
modulation (AtlGraph *g, AtlTensor *temb, const AtlAffine *a, guint n, AtlTensor **parts)
{
  AtlTensor *all = atl_apply (g, temb, a);
  gint64 B = all->dim[0], D = all->dim[1] / n;

  for (guint i = 0; i < n; i++)
    parts[i] = atl_reshape_to (g, atl_slice (g, all, 1, i * D, D), B, 1, D);
}

static AtlTensor *
embed (AtlGraph *g, AtlTensor *x, const AtlAffine *first, const AtlAffine *second)
{
  x = atl_linear_act (g, x, atl_weight (g, first->w), atl_weight (g, first->b), ATL_ACT_SILU);
  return atl_apply (g, x, second);
}

static void
describe (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const Flux *m = model;
  const AtlFluxBlocks *b = &m->blocks;
  AtlTensor *image = atl_apply (g, atl_runner_input (g, inputs, "latent"), &b->x_embedder);
  AtlTensor *text = atl_apply (g, atl_runner_input (g, inputs, "context"), &b->context_embedder);
  AtlFluxPass p = { .blocks = b, .g = g, .B = image->dim[0], .T = text->dim[1] };
  AtlTensor *temb, *x, *mod[6], *mod_text[6];

  p.rope = atl_runner_input (g, inputs, "rope");
  temb = embed (g, atl_runner_input (g, inputs, "time_features"), &m->time1, &m->time2);
  if (m->guidance1.w != NULL)
    temb = atl_add (
        g, temb,
        embed (g, atl_runner_input (g, inputs, "guidance_features"), &m->guidance1, &m->guidance2));
  temb = atl_add (g, temb,
                  embed (g, atl_runner_input (g, inputs, "pooled"), &m->pooled1, &m->pooled2));
  temb = atl_act (g, ATL_ACT_SILU, temb);
  for (guint i = 0; i < b->n_double; i++)
    {
      modulation (g, temb, &b->image[i].mod, 6, mod);
      modulation (g, temb, &b->text[i].mod, 6, mod_text);
      atl_flux_double (&p, i, mod, mod_text, &image, &text);
    }
  x = atl_concat (g, 1, 2, (AtlTensor *[]){ text, image });
  for (guint i = 0; i < b->n_single; i++)
    {
      modulation (g, temb, &b->single[i].mod, 3, mod);
      x = atl_flux_single (&p, i, mod, x);
    }
  modulation (g, temb, &m->out_scale, 1, &mod[0]);
  modulation (g, temb, &m->out_shift, 1, &mod[1]);
  atl_graph_output (g, atl_flux_end (&p, x, mod[0], mod[1], image->dim[1]), "output");
}

/* Sinusoids of 1000 times a number for each picture. */
static AtlArray *
features (const char *name, const AtlArray *numbers, gint64 B)
{
  AtlArray *f = atl_array_new (name, ATL_DTYPE_F32, 2, (gint64[]){ B, FREQ_DIM });

  for (gint64 b = 0; b < B; b++)
    {
      float t = 1000.0f * atl_array_f32 (numbers)[numbers->dim[0] == B ? b : 0];

      atl_timestep_features (&t, 1, FREQ_DIM, atl_array_f32 (f) + b * FREQ_DIM);
    }
  return f;
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
  static const struct
  {
    const char *name;
    guint n_dims;
  } needed[] = { { "latent", 3 },    { "context", 3 },     { "pooled", 2 },
                 { "image_ids", 2 }, { "context_ids", 2 }, { "timestep", 1 } };
  Flux *m = model;
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  g_autoptr (AtlArray) time = NULL;
  g_autoptr (AtlArray) guidance = NULL;
  g_autoptr (AtlArray) rope = NULL;
  AtlArray *in[G_N_ELEMENTS (needed)], *strength;

  for (gsize i = 0; i < G_N_ELEMENTS (needed); i++)
    {
      in[i] = atl_request_require (request, needed[i].name, ATL_DTYPE_F32, needed[i].n_dims, error);
      if (in[i] == NULL)
        return FALSE;
    }
  if (!check_shapes (m, in[0], in[1], in[2], in[3], in[4], error))
    return FALSE;
  time = features ("time_features", in[5], in[0]->dim[0]);
  if (m->guidance1.w != NULL)
    {
      strength = atl_request_require (request, "guidance", ATL_DTYPE_F32, 1, error);
      if (strength == NULL)
        return FALSE;
      guidance = features ("guidance_features", strength, in[0]->dim[0]);
      g_ptr_array_add (inputs, guidance);
    }
  rope = atl_flux_blocks_rope (&m->blocks, in[4], in[3]);
  g_ptr_array_add (inputs, in[0]);
  g_ptr_array_add (inputs, in[1]);
  g_ptr_array_add (inputs, in[2]);
  g_ptr_array_add (inputs, time);
  g_ptr_array_add (inputs, rope);
  return atl_runner_run (m->runner, "forward", describe, m, inputs, outputs, cancellable, error);
}

const AtlComponentClass atl_flux_class = {
  .name = "flux",
  .origins = (const char *const[]){ "FluxTransformer2DModel", NULL },
  .recognises = recognises,
  .functions = (const char *const[]){ "forward", NULL },
  .load = flux_load,
  .run = flux_run,
  .free = flux_free,
};
