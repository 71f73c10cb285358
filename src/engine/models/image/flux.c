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

#include <math.h>
#include <string.h>

#include "engine/models/blocks/lora.h"
#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/rope-table.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/blocks/timestep.h"
#include "engine/models/classes.h"
#include "engine/models/image/flux-names.h"

#define EPS 1e-6f
#define FREQ_DIM 256
#define MAX_BLOCKS 128
#define MAX_AXES 4

/* What picture and text have each in a double block; a single block uses some of it. */
typedef struct
{
  AtlAffine mod, q, k, v, out, norm_q, norm_k, mlp1, mlp2;
} Stream;

typedef struct
{
  AtlWeights *weights; /* (owned) */
  AtlRunner *runner;   /* (owned) */
  gint64 dim, head_dim, n_heads;
  guint n_axes;
  gint64 axis[MAX_AXES];
  guint n_double, n_single;
  Stream image[MAX_BLOCKS], text[MAX_BLOCKS], single[MAX_BLOCKS];
  AtlAffine x_embedder, context_embedder, time1, time2, guidance1, guidance2, pooled1, pooled2;
  AtlAffine out_scale, out_shift, proj_out; /* guidance: w nullable */
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
read_double (Flux *m, AtlSource *s, guint i)
{
  static const char *const image[] = { "norm1.linear", "to_q",     "to_k",
                                       "to_v",         "to_out.0", "norm_q",
                                       "norm_k",       "ff.net",   "img_attn.qkv" };
  static const char *const text[] = { "norm1_context.linear", "add_q_proj",     "add_k_proj",
                                      "add_v_proj",           "to_add_out",     "norm_added_q",
                                      "norm_added_k",         "ff_context.net", "txt_attn.qkv" };
  gint64 D = m->dim;

  for (guint part = 0; part < 2; part++)
    {
      const char *const *names = part == 0 ? image : text;
      Stream *t = part == 0 ? &m->image[i] : &m->text[i];
      g_autofree char *p = g_strdup_printf ("transformer_blocks.%u", i);
      g_autofree char *q = g_strdup_printf ("%s.attn.%s", p, names[1]);
      g_autofree char *k = g_strdup_printf ("%s.attn.%s", p, names[2]);
      g_autofree char *v = g_strdup_printf ("%s.attn.%s", p, names[3]);
      g_autofree char *fused = g_strdup_printf ("double_blocks.%u.%s", i, names[8]);
      AtlAffine qkv[3] = { 0 };

      t->mod = atl_source_linear (s, 6 * D, D, "%s.%s", p, names[0]);
      atl_source_split (s, D, 3, (const char *const[]){ q, k, v }, (gint64[]){ D, D, D }, fused,
                        qkv);
      t->q = qkv[0];
      t->k = qkv[1];
      t->v = qkv[2];
      t->out = atl_source_linear (s, D, D, "%s.attn.%s", p, names[4]);
      t->norm_q = atl_source_norm (s, m->head_dim, FALSE, "%s.attn.%s", p, names[5]);
      t->norm_k = atl_source_norm (s, m->head_dim, FALSE, "%s.attn.%s", p, names[6]);
      t->mlp1 = atl_source_linear (s, -1, D, "%s.%s.0.proj", p, names[7]);
      t->mlp2 = atl_source_linear (s, D, -1, "%s.%s.2", p, names[7]);
    }
}

static void
read_single (Flux *m, AtlSource *s, guint i)
{
  Stream *t = &m->single[i];
  gint64 D = m->dim;
  g_autofree char *p = g_strdup_printf ("single_transformer_blocks.%u", i);
  g_autofree char *q = g_strconcat (p, ".attn.to_q", NULL);
  g_autofree char *k = g_strconcat (p, ".attn.to_k", NULL);
  g_autofree char *v = g_strconcat (p, ".attn.to_v", NULL);
  g_autofree char *mlp = g_strconcat (p, ".proj_mlp", NULL);
  g_autofree char *fused = g_strdup_printf ("single_blocks.%u.linear1", i);
  AtlAffine parts[4] = { 0 };

  t->mod = atl_source_linear (s, 3 * D, D, "%s.norm.linear", p);
  atl_source_split (s, D, 4, (const char *const[]){ q, k, v, mlp }, (gint64[]){ D, D, D, -1 },
                    fused, parts);
  t->q = parts[0];
  t->k = parts[1];
  t->v = parts[2];
  t->mlp1 = parts[3];
  t->norm_q = atl_source_norm (s, m->head_dim, FALSE, "%s.attn.norm_q", p);
  t->norm_k = atl_source_norm (s, m->head_dim, FALSE, "%s.attn.norm_k", p);
  t->out =
      atl_source_linear (s, D, t->mlp1.w != NULL ? D + t->mlp1.w->dim[0] : -1, "%s.proj_out", p);
}

/* Heads and the axes of their rotation: of the configuration, or the published ones. */
static gboolean
read_config (Flux *m, const AtlCheckpoint *cp, GError **error)
{
  static const gint64 published[] = { 16, 56, 56 };
  const AtlMetaValue *axes = atl_checkpoint_meta (cp, "axes_dims_rope");
  guint64 head_dim = 128;
  gint64 sum = 0;
  GError *local = NULL;

  atl_checkpoint_get_uint (cp, "attention_head_dim", 2, 4096, &head_dim, &local);
  if (local != NULL)
    {
      g_propagate_error (error, local);
      return FALSE;
    }
  m->head_dim = (gint64) head_dim;
  m->n_axes = G_N_ELEMENTS (published);
  memcpy (m->axis, published, sizeof published);
  if (axes != NULL && axes->type == ATL_META_ARRAY && axes->v_array.elem_type == ATL_META_INT &&
      axes->v_array.n >= 1 && axes->v_array.n <= MAX_AXES)
    {
      m->n_axes = (guint) axes->v_array.n;
      memcpy (m->axis, axes->v_array.elems, m->n_axes * sizeof *m->axis);
    }
  for (guint i = 0; i < m->n_axes; i++)
    {
      sum += m->axis[i] >= 2 && m->axis[i] % 2 == 0 && m->axis[i] <= m->head_dim ? m->axis[i]
                                                                                 : m->head_dim + 1;
    }
  if (sum != m->head_dim)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   "%s: the axes of its rotation do not fill a head of %d",
                   atl_checkpoint_name (cp), (int) m->head_dim);
      return FALSE;
    }
  return TRUE;
}

static void
read_weights (Flux *m, AtlSource *s, const AtlCheckpoint *cp, gboolean is_author)
{
  gint64 D = m->dim = atl_source_rows (s, "x_embedder");
  AtlAffine ends[2] = { 0 };

  if (D < 1 || D % m->head_dim != 0)
    {
      atl_weights_fail (m->weights, "%s: heads of %d do not fit into this Flux transformer",
                        atl_checkpoint_name (cp), (int) m->head_dim);
      return;
    }
  m->n_heads = D / m->head_dim;
  while (m->n_double < MAX_BLOCKS &&
         atl_source_has (s, "transformer_blocks.%u.norm1.linear", m->n_double))
    read_double (m, s, m->n_double++);
  while (m->n_single < MAX_BLOCKS &&
         atl_source_has (s, "single_transformer_blocks.%u.norm.linear", m->n_single))
    read_single (m, s, m->n_single++);
  if (m->n_double == 0)
    atl_weights_fail (m->weights, "%s holds no transformer blocks", atl_checkpoint_name (cp));
  m->x_embedder = atl_source_linear (s, D, -1, "x_embedder");
  m->context_embedder = atl_source_linear (s, D, -1, "context_embedder");
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
  m->proj_out = atl_source_linear (s, -1, D, "proj_out");
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
  if (!read_config (m, cp, error))
    {
      flux_free (m);
      return NULL;
    }
  read_weights (m, &s, cp, is_author);
  atl_lora_check (&s);
  if (!atl_source_finish (&s, backends[0], options, error))
    {
      flux_free (m);
      return NULL;
    }
  return m;
}

/* --- Forward --- */

typedef struct
{
  const Flux *m;
  AtlGraph *g;
  gint64 B, T; /* T: text tokens */
  AtlTensor *rope, *temb;
} Pass;

/* Shift, scale and gate number i of a modulation, [B, 1, D]. */
static AtlTensor *
part (Pass *p, AtlTensor *mod, gint64 i)
{
  return atl_reshape_to (p->g, atl_slice (p->g, mod, 1, i * p->m->dim, p->m->dim), p->B, 1,
                         p->m->dim);
}

static AtlTensor *
modulated (Pass *p, AtlTensor *x, AtlTensor *mod, gint64 i)
{
  return atl_norm_modulated (p->g, ATL_NORM_LAYER, x, NULL, NULL, EPS, part (p, mod, i + 1),
                             part (p, mod, i));
}

static AtlTensor *
gated (Pass *p, AtlTensor *x, AtlTensor *y, AtlTensor *mod, gint64 i)
{
  return atl_add (p->g, x, atl_mul (p->g, y, part (p, mod, i)));
}

/* q, k and v of one stream: [B, tokens, heads, head_dim], q and k normed. */
static void
project (Pass *p, const Stream *t, AtlTensor *x, AtlTensor **qkv)
{
  AtlGraph *g = p->g;
  AtlTensor *w[3] = { atl_weight (g, t->q.w), atl_weight (g, t->k.w), atl_weight (g, t->v.w) };
  AtlTensor *b[3] = { atl_weight (g, t->q.b), atl_weight (g, t->k.b), atl_weight (g, t->v.b) };

  atl_linear_multi (g, x, 3, w, b, qkv);
  for (guint i = 0; i < 3; i++)
    qkv[i] = atl_reshape_to (g, qkv[i], p->B, x->dim[1], p->m->n_heads, p->m->head_dim);
  qkv[0] = atl_norm (g, ATL_NORM_RMS, qkv[0], atl_weight (g, t->norm_q.w), NULL, EPS);
  qkv[1] = atl_norm (g, ATL_NORM_RMS, qkv[1], atl_weight (g, t->norm_k.w), NULL, EPS);
}

static AtlTensor *
attend (Pass *p, AtlTensor *const *qkv)
{
  AtlGraph *g = p->g;
  AtlTensor *q = atl_rope (g, qkv[0], p->rope, ATL_ROPE_NEIGHBOURS);
  AtlTensor *k = atl_rope (g, qkv[1], p->rope, ATL_ROPE_NEIGHBOURS);
  AtlTensor *y = atl_attention (g, q, k, qkv[2], NULL, NULL, NULL, 0.0f, 0.0f);

  return atl_reshape_to (g, y, p->B, y->dim[1], p->m->dim);
}

static AtlTensor *
feed_forward (Pass *p, const Stream *t, AtlTensor *x)
{
  x = atl_linear_act (p->g, x, atl_weight (p->g, t->mlp1.w), atl_weight (p->g, t->mlp1.b),
                      ATL_ACT_GELU_TANH);
  return atl_apply (p->g, x, &t->mlp2);
}

static void
double_block (Pass *p, guint i, AtlTensor **image, AtlTensor **text)
{
  AtlGraph *g = p->g;
  const Stream *stream[2] = { &p->m->text[i], &p->m->image[i] };
  AtlTensor *x[2] = { *text, *image }, *mod[2], *qkv[2][3], *joint[3], *y;
  gint64 first[2] = { 0, p->T };

  for (guint s = 0; s < 2; s++)
    {
      mod[s] = atl_apply (g, p->temb, &stream[s]->mod);
      project (p, stream[s], modulated (p, x[s], mod[s], 0), qkv[s]);
    }
  for (guint k = 0; k < 3; k++)
    joint[k] = atl_concat (g, 1, 2, (AtlTensor *[]){ qkv[0][k], qkv[1][k] });
  y = attend (p, joint);
  for (guint s = 0; s < 2; s++)
    {
      AtlTensor *own = atl_contiguous (g, atl_slice (g, y, 1, first[s], x[s]->dim[1]));

      x[s] = gated (p, x[s], atl_apply (g, own, &stream[s]->out), mod[s], 2);
      x[s] =
          gated (p, x[s], feed_forward (p, stream[s], modulated (p, x[s], mod[s], 3)), mod[s], 5);
    }
  *text = x[0];
  *image = x[1];
}

static AtlTensor *
single_block (Pass *p, const Stream *t, AtlTensor *x)
{
  AtlGraph *g = p->g;
  AtlTensor *mod = atl_apply (g, p->temb, &t->mod), *n = modulated (p, x, mod, 0), *qkv[3], *mlp;

  project (p, t, n, qkv);
  mlp = atl_linear_act (g, n, atl_weight (g, t->mlp1.w), atl_weight (g, t->mlp1.b),
                        ATL_ACT_GELU_TANH);
  n = atl_concat (g, 2, 2, (AtlTensor *[]){ attend (p, qkv), mlp });
  return gated (p, x, atl_apply (g, n, &t->out), mod, 2);
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
  AtlTensor *image = atl_apply (g, atl_runner_input (g, inputs, "latent"), &m->x_embedder);
  AtlTensor *text = atl_apply (g, atl_runner_input (g, inputs, "context"), &m->context_embedder);
  Pass p = { .m = m, .g = g, .B = image->dim[0], .T = text->dim[1] };
  AtlTensor *x;

  p.rope = atl_runner_input (g, inputs, "rope");
  p.temb = embed (g, atl_runner_input (g, inputs, "time_features"), &m->time1, &m->time2);
  if (m->guidance1.w != NULL)
    p.temb = atl_add (
        g, p.temb,
        embed (g, atl_runner_input (g, inputs, "guidance_features"), &m->guidance1, &m->guidance2));
  p.temb = atl_add (g, p.temb,
                    embed (g, atl_runner_input (g, inputs, "pooled"), &m->pooled1, &m->pooled2));
  p.temb = atl_act (g, ATL_ACT_SILU, p.temb);
  for (guint i = 0; i < m->n_double; i++)
    double_block (&p, i, &image, &text);
  x = atl_concat (g, 1, 2, (AtlTensor *[]){ text, image });
  for (guint i = 0; i < m->n_single; i++)
    x = single_block (&p, &m->single[i], x);
  x = atl_contiguous (g, atl_slice (g, x, 1, p.T, image->dim[1]));
  x = atl_norm_modulated (g, ATL_NORM_LAYER, x, NULL, NULL, EPS,
                          atl_reshape_to (g, atl_apply (g, p.temb, &m->out_scale), p.B, 1, m->dim),
                          atl_reshape_to (g, atl_apply (g, p.temb, &m->out_shift), p.B, 1, m->dim));
  atl_graph_output (g, atl_apply (g, x, &m->proj_out), "output");
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
      context_ids->dim[0] == context->dim[1] && image_ids->dim[1] == m->n_axes &&
      context_ids->dim[1] == m->n_axes)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               "The latent, the text and their positions do not belong together");
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
  rope = atl_array_new ("rope", ATL_DTYPE_F32, 2,
                        (gint64[]){ in[1]->dim[1] + in[0]->dim[1], m->head_dim });
  atl_rope_axes (m->axis, m->n_axes, 10000.0, atl_array_f32 (in[4]), in[1]->dim[1],
                 atl_array_f32 (rope));
  atl_rope_axes (m->axis, m->n_axes, 10000.0, atl_array_f32 (in[3]), in[0]->dim[1],
                 atl_array_f32 (rope) + in[1]->dim[1] * m->head_dim);
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
