/* The Chroma transformer (lodestone-rock 2025; diffusers 0.42.1 ChromaTransformer2DModel): Flux.1's
 * blocks, whose shifts, scales and gates come out of one small network instead of a layer each.
 *
 *   row i of 3 singles + 12 doubles + 2: v = sin16(1000 t) | sin16(0) | sin32(1000 i), cosines
 * first x = in_proj(v); x += linear_2(SiLU(linear_1(RMS(x)))) for each layer; P = out_proj(x)
 *   singles first (shift, scale, gate), then the pictures' of all doubles (6 each), then the texts'
 *   of all doubles, then the final shift and scale; no SiLU on the way in
 *
 * RMS eps 1e-6. The middle part is the guidance, always 0. Text that the mask hides is left out:
 * its positions are all the same, so nothing else sees a difference.
 *
 * forward: latent [B, tokens, in], context [B, T, dim], timestep [B] in 0…1, image_ids [tokens,
 * axes], context_ids [T, axes], attention_mask [B, T + tokens] (nullable, 0: hidden; the tokens'
 * part is all 1) -> output [B, tokens, out]. Names: diffusers', or the authors'.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/models/blocks/names.h"
#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/blocks/timestep.h"
#include "engine/models/classes.h"
#include "engine/models/image/flux-blocks.h"
#include "engine/models/image/flux-names.h"

#define FEATURES 64
#define MAX_LAYERS 32

typedef struct
{
  AtlNetwork net;
  AtlFluxBlocks blocks;
  AtlAffine in, out, norm[MAX_LAYERS], linear1[MAX_LAYERS], linear2[MAX_LAYERS];
  guint n_layers;
} Chroma;

static const AtlNamePair layer[] = { { "linear_1", "in_layer" },
                                     { "linear_2", "out_layer" },
                                     { NULL, NULL } };

static char *
author_name (const AtlSource *source, const char *canonical)
{
  static const char head[] = "distilled_guidance_layer.";
  const char *rest = g_str_has_prefix (canonical, head) ? canonical + strlen (head) : NULL;
  const char *last =
      rest != NULL && g_str_has_prefix (rest, "layers.") ? strchr (rest + 7, '.') : NULL;
  g_autofree char *inner = last != NULL ? atl_name_translate (last + 1, layer) : NULL;

  if (inner != NULL)
    return g_strdup_printf ("%.*s.%s", (int) (last - canonical), canonical, inner);
  if (rest != NULL && g_str_has_prefix (rest, "norms.") && g_str_has_suffix (rest, ".weight"))
    return g_strdup_printf ("%.*sscale", (int) (strlen (canonical) - strlen ("weight")), canonical);
  return atl_flux_author_name (source, canonical);
}

static const char *
find_prefix (const AtlCheckpoint *cp)
{
  return atl_denoiser_prefix (cp, "distilled_guidance_layer.in_proj.weight", NULL);
}

static gboolean
recognises (const AtlCheckpoint *cp)
{
  return find_prefix (cp) != NULL;
}

static void
read_weights (Chroma *m, AtlSource *s)
{
  static const char p[] = "distilled_guidance_layer";
  gint64 n = atl_source_rows (s, "distilled_guidance_layer.in_proj");

  atl_flux_blocks_read (&m->blocks, s, FALSE);
  m->in = atl_source_linear (s, n, FEATURES, "%s.in_proj", p);
  while (m->n_layers < MAX_LAYERS && atl_source_has (s, "%s.layers.%u.linear_1", p, m->n_layers))
    {
      guint i = m->n_layers++;

      m->linear1[i] = atl_source_linear (s, -1, n, "%s.layers.%u.linear_1", p, i);
      m->linear2[i] = atl_source_linear (s, n, -1, "%s.layers.%u.linear_2", p, i);
      m->norm[i] = atl_source_norm (s, n, FALSE, "%s.norms.%u", p, i);
    }
  m->out = atl_source_linear (s, m->blocks.dim, n, "%s.out_proj", p);
}

static gboolean
chroma_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  Chroma *m = model;

  s->lora_maps[0] = author_name;
  s->prefix = find_prefix (cp);
  if (!atl_source_has (s, "transformer_blocks.0.ff.net.2"))
    s->map = author_name;
  if (!atl_flux_blocks_config (&m->blocks, cp, error))
    return FALSE;
  read_weights (m, s);
  return TRUE;
}

/* --- Forward --- */

static AtlTensor *
table (AtlGraph *g, const Chroma *m, AtlTensor *x)
{
  x = atl_apply (g, x, &m->in);
  for (guint i = 0; i < m->n_layers; i++)
    {
      AtlTensor *n =
          atl_norm (g, ATL_NORM_RMS, x, atl_weight (g, m->norm[i].w), NULL, ATL_DENOISER_EPS);

      n = atl_linear_act (g, n, atl_weight (g, m->linear1[i].w), atl_weight (g, m->linear1[i].b),
                          ATL_ACT_SILU);
      x = atl_linear_add (g, n, atl_weight (g, m->linear2[i].w), atl_weight (g, m->linear2[i].b),
                          x);
    }
  return atl_apply (g, x, &m->out);
}

/* `n` rows of the table from `first` on, [1, 1, D] each. */
static void
rows (AtlGraph *g, AtlTensor *P, gint64 first, guint n, AtlTensor **parts)
{
  for (guint i = 0; i < n; i++)
    parts[i] = atl_reshape_to (g, atl_slice (g, P, 0, first + i, 1), 1, 1, P->dim[1]);
}

static void
describe (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const Chroma *m = model;
  const AtlFluxBlocks *b = &m->blocks;
  AtlTensor *image = atl_apply (g, atl_runner_input (g, inputs, "latent"), &b->x_embedder);
  AtlTensor *text = atl_apply (g, atl_runner_input (g, inputs, "context"), &b->context_embedder);
  AtlTensor *P = table (g, m, atl_runner_input (g, inputs, "features"));
  AtlFluxPass p = { .blocks = b, .g = g, .T = text->dim[1] };
  gint64 pictures = 3 * (gint64) b->n_single, texts = pictures + 6 * (gint64) b->n_double;
  AtlTensor *x, *mod[6], *mod_text[6];

  p.rope = atl_runner_input (g, inputs, "rope");
  for (guint i = 0; i < b->n_double; i++)
    {
      rows (g, P, pictures + 6 * (gint64) i, 6, mod);
      rows (g, P, texts + 6 * (gint64) i, 6, mod_text);
      atl_flux_double (&p, i, mod, mod_text, &image, &text);
    }
  x = atl_concat (g, 1, 2, (AtlTensor *[]){ text, image });
  for (guint i = 0; i < b->n_single; i++)
    {
      rows (g, P, 3 * (gint64) i, 3, mod);
      x = atl_flux_single (&p, i, mod, x);
    }
  rows (g, P, P->dim[0] - 2, 2, mod);
  atl_graph_output (g, atl_flux_end (&p, x, mod, image->dim[1]), "output");
}

/* [rows, 64] of one timestep. */
static AtlArray *
features (const Chroma *m, float timestep)
{
  gint64 n = 3 * (gint64) m->blocks.n_single + 12 * (gint64) m->blocks.n_double + 2;
  AtlArray *f = atl_array_new ("features", ATL_DTYPE_F32, 2, (gint64[]){ n, FEATURES });
  float t = 1000.0f * timestep, none = 0.0f;

  for (gint64 i = 0; i < n; i++)
    {
      float *row = atl_array_f32 (f) + i * FEATURES, index = 1000.0f * (float) i;

      atl_timestep_features (&t, 1, 16, row);
      atl_timestep_features (&none, 1, 16, row + 16);
      atl_timestep_features (&index, 1, 32, row + 32);
    }
  return f;
}

/* Picture b of a batch: `from` [B, n, C] as [1, n, C], of it only rows that the mask (nullable,
 * [B, …]) shows. */
static AtlArray *
one_of (const AtlArray *from, gint64 b, const AtlArray *mask, const char *name)
{
  gint64 n = from->dim[1], C = from->dim[2], kept = 0;
  AtlArray *one = atl_array_new (name, ATL_DTYPE_F32, 3, (gint64[]){ 1, n, C });
  gboolean is_hollow = atl_array_is_hollow (one);

  for (gint64 i = 0; i < n; i++)
    if (mask == NULL || atl_array_i32 (mask)[b * mask->dim[1] + i] != 0)
      {
        if (!is_hollow)
          memcpy (atl_array_f32 (one) + kept * C, atl_array_f32 (from) + (b * n + i) * C,
                  (gsize) C * sizeof (float));
        kept++;
      }
  one->dim[1] = kept;
  return one;
}

/* All text stands in one place, so the first rows serve for those that are left. */
static AtlArray *
first_rows (const AtlArray *from, gint64 n, const char *name)
{
  AtlArray *kept = atl_array_new (name, ATL_DTYPE_F32, 2, (gint64[]){ n, from->dim[1] });

  memcpy (kept->data, from->data, atl_array_size (kept));
  return kept;
}

static gboolean
run_one (Chroma *m,
         const AtlArray *latent,
         const AtlArray *context,
         const AtlArray *mask,
         const AtlArray *context_ids,
         const AtlArray *image_ids,
         float timestep,
         gint64 b,
         AtlArray **all,
         GCancellable *cancellable,
         GError **error)
{
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  g_autoptr (GPtrArray) outputs = atl_arrays_new ();
  g_autoptr (AtlArray) x = one_of (latent, b, NULL, "latent");
  g_autoptr (AtlArray) text = one_of (context, b, mask, "context");
  g_autoptr (AtlArray) ids = NULL;
  g_autoptr (AtlArray) rope = NULL;
  g_autoptr (AtlArray) f = features (m, timestep);
  const AtlArray *out;

  if (text->dim[1] < 1)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("The mask hides the whole text"));
      return FALSE;
    }
  ids = first_rows (context_ids, text->dim[1], "context_ids");
  rope = atl_flux_blocks_rope (&m->blocks, ids, image_ids);
  g_ptr_array_add (inputs, x);
  g_ptr_array_add (inputs, text);
  g_ptr_array_add (inputs, f);
  g_ptr_array_add (inputs, rope);
  if (!atl_runner_run (m->net.runner, "forward", describe, m, inputs, outputs, cancellable, error))
    return FALSE;
  out = outputs->pdata[0];
  if (*all == NULL)
    *all = atl_array_new ("output", ATL_DTYPE_F32, 3,
                          (gint64[]){ latent->dim[0], out->dim[1], out->dim[2] });
  if (!atl_array_is_hollow (out))
    memcpy ((guint8 *) (*all)->data + (gsize) b * atl_array_size (out), out->data,
            atl_array_size (out));
  return TRUE;
}

static gboolean
chroma_run (gpointer model,
            const AtlRequest *request,
            GPtrArray *outputs,
            GCancellable *cancellable,
            GError **error)
{
  static const AtlNeededInput needed[] = {
    { "latent", 3 }, { "context", 3 }, { "image_ids", 2 }, { "context_ids", 2 }, { "timestep", 1 }
  };
  Chroma *m = model;
  AtlArray *in[G_N_ELEMENTS (needed)], *all = NULL;
  AtlArray *mask = atl_request_find (request, "attention_mask");
  gint64 B;

  if (!atl_request_require_all (request, needed, G_N_ELEMENTS (needed), in, error))
    return FALSE;
  B = in[0]->dim[0];
  if (in[1]->dim[0] != B || in[2]->dim[0] != in[0]->dim[1] || in[3]->dim[0] != in[1]->dim[1] ||
      in[2]->dim[1] != m->blocks.n_axes || in[3]->dim[1] != m->blocks.n_axes ||
      (in[4]->dim[0] != B && in[4]->dim[0] != 1) ||
      (mask != NULL && (mask->dtype != ATL_DTYPE_I32 || mask->n_dims != 2 || mask->dim[0] != B ||
                        mask->dim[1] < in[1]->dim[1])))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The latent, the text, its mask and their positions do not belong together"));
      return FALSE;
    }
  for (gint64 b = 0; b < B; b++)
    if (!run_one (m, in[0], in[1], mask, in[3], in[2],
                  atl_array_f32 (in[4])[in[4]->dim[0] == B ? b : 0], b, &all, cancellable, error))
      {
        atl_array_free (all);
        return FALSE;
      }
  g_ptr_array_add (outputs, all);
  return TRUE;
}

const AtlComponentClass atl_chroma_class = {
  .name = "chroma",
  .origins = (const char *const[]){ "ChromaTransformer2DModel", NULL },
  .recognises = recognises,
  .functions = (const char *const[]){ "forward", NULL },
  .lora_prefix = "transformer",
  .size = sizeof (Chroma),
  .read = chroma_read,
  .run = chroma_run,
};
