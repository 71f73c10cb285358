/* The Chroma transformer (lodestone-rock 2025; diffusers 0.42.1 ChromaTransformer2DModel): Flux.1's
 * blocks, whose shifts, scales and gates come out of one small network instead of a layer each.
 *
 *   for row i of 3 singles + 12 doubles + 2:
 *     v = sin16(1000 t) | sin16(0) | sin32(1000 i)        cosines first
 *     x = in_proj(v);  per layer: x += linear_2(SiLU(linear_1(RMS(x))));  P[i] = out_proj(x)
 *
 * Rows: singles first (shift, scale, gate), then the pictures' of all doubles (6 each), then the
 * texts' of all doubles, then the final shift and scale. No SiLU on the way in. RMS eps 1e-6. The
 * middle part is the guidance, always 0. Text that the mask hides is left out: its positions are
 * all the same, so nothing else sees a difference.
 *
 * forward: latent [B, tokens, in], context [B, T, dim], timestep [B] in 0…1, image_ids [tokens,
 * axes], context_ids [T, axes], attention_mask [B, T + tokens] (nullable, 0: hidden; the tokens'
 * part is all 1) -> output [B, tokens, out]. Names: diffusers', or the authors'. In parts (B = 1):
 * stages.h.
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
recognizes (const AtlCheckpoint *cp)
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

/* user_data: the table. */
static void
modulate (AtlFluxPass *p, AtlFluxKind kind, guint i, AtlTensor **mod, gpointer user_data)
{
  guint first[] = { 3 * p->blocks->n_single, 3 * p->blocks->n_single + 6 * p->blocks->n_double, 0 };
  guint n = kind == ATL_FLUX_SINGLE ? 3 : 6;

  rows (p->g, user_data, first[kind] + n * i, n, mod);
}

typedef struct
{
  const Chroma *m;
  AtlStage stage;
} Call;

static void
describe (AtlGraph *g, gpointer data, GPtrArray *inputs)
{
  const Call *call = data;
  AtlFluxPass p = { .blocks = &call->m->blocks, .g = g, .stage = call->stage, .inputs = inputs };
  AtlTensor *P = table (g, call->m, atl_runner_input (g, inputs, "features"));
  AtlTensor *x = atl_flux_run (&p, modulate, P), *mod[2];

  if (x == NULL)
    return;
  rows (g, P, P->dim[0] - 2, 2, mod);
  atl_flux_end (&p, x, mod);
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
         const AtlRequest *request,
         AtlArray *const *in,
         const AtlArray *mask,
         gint64 b,
         GPtrArray *outputs,
         GCancellable *cancellable,
         GError **error)
{
  Call call = { .m = m, .stage = atl_stage_of (request) };
  const AtlArray *times = in[4];
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  g_autoptr (AtlArray) x = one_of (in[0], b, NULL, "latent");
  g_autoptr (AtlArray) text = one_of (in[1], b, mask, "context");
  g_autoptr (AtlArray) ids = NULL;
  g_autoptr (AtlArray) rope = NULL;
  g_autoptr (AtlArray) f = features (m, atl_array_f32 (times)[MIN (b, times->dim[0] - 1)]);

  if (text->dim[1] < 1)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("The mask hides the whole text"));
      return FALSE;
    }
  ids = first_rows (in[3], text->dim[1], "context_ids");
  rope = atl_flux_blocks_rope (&m->blocks, ids, in[2]);
  g_ptr_array_add (inputs, x);
  g_ptr_array_add (inputs, text);
  g_ptr_array_add (inputs, f);
  g_ptr_array_add (inputs, rope);
  return atl_stage_add_inputs (call.stage, request, TRUE, inputs, error) &&
         atl_runner_run (m->net.runner, atl_request_function (request), describe, &call, inputs,
                         outputs, cancellable, error);
}

/* Pictures one after another, as their texts may be of different lengths. */
static gboolean
run_batch (Chroma *m,
           const AtlRequest *request,
           AtlArray *const *in,
           const AtlArray *mask,
           GPtrArray *outputs,
           GCancellable *cancellable,
           GError **error)
{
  gint64 B = in[0]->dim[0];
  AtlArray *all = NULL;

  for (gint64 b = 0; b < B; b++)
    {
      g_autoptr (GPtrArray) one = atl_arrays_new ();
      const AtlArray *out;

      if (!run_one (m, request, in, mask, b, one, cancellable, error))
        return FALSE;
      out = one->pdata[0];
      if (all == NULL)
        {
          all =
              atl_array_new ("output", ATL_DTYPE_F32, 3, (gint64[]){ B, out->dim[1], out->dim[2] });
          g_ptr_array_add (outputs, all);
        }
      if (!atl_array_is_hollow (out))
        memcpy ((guint8 *) all->data + (gsize) b * atl_array_size (out), out->data,
                atl_array_size (out));
    }
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
  AtlArray *in[G_N_ELEMENTS (needed)];
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
  if (B == 1)
    return run_one (m, request, in, mask, 0, outputs, cancellable, error);
  if (atl_stage_of (request) == ATL_STAGE_WHOLE)
    return run_batch (m, request, in, mask, outputs, cancellable, error);
  g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED, _ ("%s cannot do “%s”"), "chroma",
               atl_request_function (request));
  return FALSE;
}

const AtlComponentClass atl_chroma_class = {
  .name = "chroma",
  .origins = (const char *const[]){ "ChromaTransformer2DModel", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ ATL_STAGE_FUNCTIONS, ATL_STAGE_OF_ATTENTION, NULL },
  .lora_places = ATL_LORA_IN_DENOISER,
  .size = sizeof (Chroma),
  .read = chroma_read,
  .run = chroma_run,
};
