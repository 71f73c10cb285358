/* The Qwen-Image transformer (Qwen team 2025; diffusers 0.42.1 QwenImageTransformer2DModel):
 * Flux.1's double blocks without the single ones.
 *
 *   h = img_in(latent); c = txt_in(RMS(context))         RMS eps 1e-6 with weights
 *   temb = mlp(sin(1000 t)) (+ addition_t_embedding[0], Layered)      256 sinusoids, cosines first
 *   blocks: img_mod.1, txt_mod.1 (SiLU(temb)) -> shift, scale, gate of attention and MLP each
 *   out = proj_out(LN(h) (1 + scale) + shift), scale, shift = norm_out.linear(SiLU(temb))
 *
 * Rotary: neighbouring pairs, axes frame, row, column (axes_dims_rope), theta 10000. A picture of h
 * x w tokens is centred: (index, y - (h - h/2), x - (w - w/2)); text token j stands at p + j on all
 * axes, p the largest of the pictures' h/2 and w/2. Layered (use_layer3d_rope): the last picture's
 * index is -1 and p at least the number of the others. zero_cond_t (Edit-2511): tokens of pictures
 * but the first are modulated as at t = 0.
 *
 * forward: latent [1, tokens, in], context [1, T, dim], timestep [1] in 0…1, img_shapes [n, 3]
 * (frames, rows, columns of each picture), context_mask [1, T] (nullable; 0: not attended to,
 * though its position counts) -> output [1, tokens, out]. Names: diffusers', also below
 * "model.diffusion_model.".
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

#include "engine/models/blocks/names.h"
#include "engine/models/blocks/resnet.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/blocks/stages.h"
#include "engine/models/blocks/timestep.h"
#include "engine/models/classes.h"
#include "engine/models/image/flux-blocks.h"

#define MAX_PICTURES 64

typedef struct
{
  AtlNetwork net;
  AtlFluxBlocks blocks;
  AtlAffine txt_norm, norm_out;
  AtlEmbedder time;
  AtlWeight *addition; /* (nullable) [2, dim] */
  gboolean zero_cond, is_layered;
} Qwen;

/* Flux's names, canonical here, to this network's. */
static const AtlNamePair top[] = { { "x_embedder", "img_in" },
                                   { "context_embedder", "txt_in" },
                                   { NULL, NULL } };

static const AtlNamePair block[] = {
  { "norm1.linear", "img_mod.1" },
  { "norm1_context.linear", "txt_mod.1" },
  { "ff.net", "img_mlp.net" },
  { "ff_context.net", "txt_mlp.net" },
  { NULL, NULL },
};

static char *
own_name (const AtlSource *source, const char *canonical)
{
  char *out = atl_name_translate (canonical, top);
  unsigned index;
  int n = 0;

  if (out != NULL)
    return out;
  if (sscanf (canonical, "transformer_blocks.%u.%n", &index, &n) == 1 && n > 0)
    {
      g_autofree char *inner = atl_name_translate (canonical + n, block);
      if (inner != NULL)
        return g_strdup_printf ("%.*s%s", n, canonical, inner);
    }
  return g_strdup (canonical);
}

static const char *
find_prefix (const AtlCheckpoint *cp)
{
  return atl_denoiser_prefix (cp, "transformer_blocks.0.txt_mod.1.weight", "txt_norm.weight", NULL);
}

static gboolean
recognizes (const AtlCheckpoint *cp)
{
  return find_prefix (cp) != NULL;
}

static void
read_weights (Qwen *m, AtlSource *s)
{
  gint64 D;

  atl_flux_blocks_read (&m->blocks, s, TRUE);
  D = m->blocks.dim;
  m->txt_norm = atl_source_norm (s, -1, FALSE, "txt_norm");
  atl_embedder_read (&m->time, s, D, ATL_DENOISER_FREQS, "time_text_embed.timestep_embedder");
  if (atl_source_has (s, "time_text_embed.addition_t_embedding"))
    m->addition = atl_source_tensor (s, ATL_USE_ROWS, 2, (gint64[]){ 2, D }, FALSE,
                                     "time_text_embed.addition_t_embedding.weight");
  m->norm_out = atl_source_linear (s, 2 * D, D, "norm_out.linear");
}

static gboolean
qwen_read (
    gpointer model, AtlSource *s, AtlCheckpoint *cp, const AtlLoadOptions *options, GError **error)
{
  Qwen *m = model;

  s->takes_low_rank = TRUE;
  s->map = own_name;
  s->lora_maps[0] = own_name;
  s->prefix = find_prefix (cp);
  if (!atl_flux_blocks_config (&m->blocks, cp, error) ||
      (!atl_checkpoint_get_bool (cp, "zero_cond_t", &m->zero_cond, error) && *error != NULL) ||
      (!atl_checkpoint_get_bool (cp, "use_layer3d_rope", &m->is_layered, error) && *error != NULL))
    return FALSE;
  /* What ComfyUI's files say, which have no configuration. */
  m->zero_cond |= atl_source_has (s, "__index_timestep_zero__");
  read_weights (m, s);
  return TRUE;
}

/* --- Forward --- */

/* The first n tokens' of `own`, the others' of `other`: [1, tokens, D] each. */
static void
mix (AtlGraph *g,
     AtlTensor *const *own,
     AtlTensor *const *other,
     AtlTensor *like,
     gint64 n,
     AtlTensor **parts)
{
  AtlTensor *zero = atl_affine (g, like, 0.0f, 0.0f);

  for (guint i = 0; i < 6; i++)
    parts[i] =
        atl_concat (g, 1, 2,
                    (AtlTensor *[]){
                        atl_add (g, atl_contiguous (g, atl_slice (g, zero, 1, 0, n)), own[i]),
                        atl_add (g, atl_contiguous (g, atl_slice (g, zero, 1, n, like->dim[1] - n)),
                                 other[i]) });
}

static AtlTensor *
embed_time (AtlGraph *g, const Qwen *m, GPtrArray *inputs, const char *name)
{
  AtlTensor *t = atl_runner_input (g, inputs, name);

  t = atl_embedder (g, &m->time, t);
  if (m->addition != NULL)
    t = atl_add (g, t,
                 atl_embed (g, atl_weight (g, m->addition),
                            atl_runner_input (g, inputs, "addition_row"), 1.0f));
  return atl_act (g, ATL_ACT_SILU, t);
}

typedef struct
{
  const Qwen *m;
  gint64 n_first; /* tokens of the first picture */
  AtlStage stage;
} Call;

/* The blocks of this part; FALSE where it ends before the last one. */
static gboolean
run_blocks (const Call *call,
            AtlGraph *g,
            GPtrArray *inputs,
            AtlTensor *temb,
            AtlTensor **image,
            AtlTensor *text)
{
  const Qwen *m = call->m;
  const AtlFluxBlocks *b = &m->blocks;
  AtlFluxPass p = {
    .blocks = b, .g = g, .stage = call->stage, .inputs = inputs, .T = text->dim[1]
  };
  gboolean is_mixed = m->zero_cond && call->n_first < (*image)->dim[1];
  AtlTensor *temb0 = NULL, *mod[6], *mod0[6], *mixed[6], *mod_text[6];

  p.rope = atl_runner_input (g, inputs, "rope");
  if (is_mixed)
    temb0 = embed_time (g, m, inputs, "zero_features");
  for (guint i = atl_stage_first_block (call->stage); i < b->n_double; i++)
    {
      atl_modulation (g, temb, &b->image[i].mod, 6, mod);
      if (is_mixed)
        {
          atl_modulation (g, temb0, &b->image[i].mod, 6, mod0);
          mix (g, mod, mod0, *image, call->n_first, mixed);
        }
      atl_modulation (g, temb, &b->text[i].mod, 6, mod_text);
      atl_flux_double (&p, i, is_mixed ? mixed : mod, mod_text, image, &text);
      if (atl_stage_pause (call->stage, g, *image, text))
        return FALSE;
    }
  atl_stage_finish (call->stage, g, *image);
  return TRUE;
}

static void
describe (AtlGraph *g, gpointer data, GPtrArray *inputs)
{
  const Call *call = data;
  const Qwen *m = call->m;
  const AtlFluxBlocks *b = &m->blocks;
  AtlTensor *image, *text = NULL, *temb = embed_time (g, m, inputs, "time_features"), *mod[2];

  if (!atl_stage_resume (call->stage, g, inputs, &image, &text))
    {
      image = atl_apply (g, atl_runner_input (g, inputs, "latent"), &b->x_embedder);
      if (atl_stage_begin (call->stage, g, image))
        return;
      text = atl_norm (g, ATL_NORM_RMS, atl_runner_input (g, inputs, "context"),
                       atl_weight (g, m->txt_norm.w), NULL, ATL_DENOISER_EPS);
      text = atl_apply (g, text, &b->context_embedder);
    }
  if (call->stage != ATL_STAGE_END && !run_blocks (call, g, inputs, temb, &image, text))
    return;
  atl_modulation_of_end (g, temb, &m->norm_out, FALSE, mod);
  atl_graph_output (g, atl_apply (g, atl_modulated (g, image, mod), &b->proj_out), "output");
}

/* Positions [tokens, 3] of all pictures, and where text begins. */
static AtlArray *
picture_ids (const Qwen *m, const AtlArray *shapes, gint64 tokens, gint64 *text_start)
{
  AtlArray *ids = atl_array_new ("image_ids", ATL_DTYPE_F32, 2, (gint64[]){ tokens, 3 });
  gint64 n = shapes->dim[0], at = 0;

  *text_start = m->is_layered ? n - 1 : 0;
  for (gint64 k = 0; k < n; k++)
    {
      const gint32 *shape = atl_array_i32 (shapes) + 3 * k;
      gint64 first = m->is_layered && k == n - 1 ? -1 : k, h = shape[1], w = shape[2];

      *text_start = MAX (*text_start, MAX (h / 2, w / 2));
      for (gint64 f = 0; f < shape[0]; f++)
        for (gint64 i = 0; i < h * w; i++, at++)
          {
            float *id = atl_array_f32 (ids) + 3 * at;

            id[0] = (float) (first + f);
            id[1] = (float) (i / w - (h - h / 2));
            id[2] = (float) (i % w - (w - w / 2));
          }
    }
  return ids;
}

/* Text that the mask shows, and its positions. */
static void
keep_shown (
    const AtlArray *context, const AtlArray *mask, gint64 start, AtlArray **text, AtlArray **ids)
{
  gint64 T = context->dim[1], D = context->dim[2], n = 0;

  *text = atl_array_new ("context", ATL_DTYPE_F32, 3, (gint64[]){ 1, T, D });
  *ids = atl_array_new ("context_ids", ATL_DTYPE_F32, 2, (gint64[]){ T, 3 });
  for (gint64 j = 0; j < T; j++)
    {
      if (mask != NULL && atl_array_i32 (mask)[j] == 0)
        continue;
      memcpy (atl_array_f32 (*text) + n * D, atl_array_f32 (context) + j * D,
              (gsize) D * sizeof (float));
      for (guint a = 0; a < 3; a++)
        atl_array_f32 (*ids)[3 * n + a] = (float) (start + j);
      n++;
    }
  (*text)->dim[1] = (*ids)->dim[0] = n;
}

static gboolean
check_shapes (const Qwen *m,
              const AtlArray *latent,
              const AtlArray *context,
              const AtlArray *shapes,
              const AtlArray *mask,
              GError **error)
{
  gint64 tokens = 0;
  gboolean ok = latent->dim[0] == 1 && context->dim[0] == 1 && shapes->dim[1] == 3 &&
                shapes->dim[0] <= MAX_PICTURES && m->blocks.n_axes == 3 &&
                (mask == NULL ||
                 (mask->dtype == ATL_DTYPE_I32 && atl_array_n_elems (mask) == context->dim[1]));

  for (gint64 k = 0; ok && k < shapes->dim[0]; k++)
    {
      const gint32 *shape = atl_array_i32 (shapes) + 3 * k;

      ok = shape[0] >= 1 && shape[1] >= 1 && shape[2] >= 1 && shape[0] <= 4096 &&
           shape[1] <= 65536 && shape[2] <= 65536;
      tokens += ok ? (gint64) shape[0] * shape[1] * shape[2] : 0;
    }
  if (ok && tokens == latent->dim[1])
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               _ ("The latent, the text and the sizes of the pictures do not belong together"));
  return FALSE;
}

static gboolean
qwen_run (gpointer model,
          const AtlRequest *request,
          GPtrArray *outputs,
          GCancellable *cancellable,
          GError **error)
{
  Qwen *m = model;
  AtlArray *latent = atl_request_require (request, "latent", ATL_DTYPE_F32, 3, error);
  AtlArray *context =
      latent == NULL ? NULL : atl_request_require (request, "context", ATL_DTYPE_F32, 3, error);
  AtlArray *timestep =
      context == NULL ? NULL : atl_request_require (request, "timestep", ATL_DTYPE_F32, 1, error);
  AtlArray *shapes = timestep == NULL
                         ? NULL
                         : atl_request_require (request, "img_shapes", ATL_DTYPE_I32, 2, error);
  AtlArray *mask = atl_request_find (request, "context_mask");
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  g_autoptr (AtlArray) features = NULL;
  g_autoptr (AtlArray) zero = NULL;
  g_autoptr (AtlArray) row = NULL;
  g_autoptr (AtlArray) image_ids = NULL;
  g_autoptr (AtlArray) text = NULL;
  g_autoptr (AtlArray) text_ids = NULL;
  g_autoptr (AtlArray) rope = NULL;
  Call call = { .m = m, .stage = atl_stage_of (request) };
  g_autofree char *key = NULL;
  float t, none = 0.0f;
  gint64 start;

  if (shapes == NULL || !check_shapes (m, latent, context, shapes, mask, error))
    return FALSE;
  image_ids = picture_ids (m, shapes, latent->dim[1], &start);
  keep_shown (context, mask, start, &text, &text_ids);
  if (text->dim[1] < 1)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("The mask hides the whole text"));
      return FALSE;
    }
  rope = atl_flux_blocks_rope (&m->blocks, text_ids, image_ids);
  call.n_first =
      (gint64) atl_array_i32 (shapes)[0] * atl_array_i32 (shapes)[1] * atl_array_i32 (shapes)[2];
  t = 1000.0f * atl_array_f32 (timestep)[0];
  features = atl_array_new ("time_features", ATL_DTYPE_F32, 2, (gint64[]){ 1, ATL_DENOISER_FREQS });
  zero = atl_array_new ("zero_features", ATL_DTYPE_F32, 2, (gint64[]){ 1, ATL_DENOISER_FREQS });
  row = atl_array_new ("addition_row", ATL_DTYPE_I32, 1, (gint64[]){ 1 });
  atl_timestep_features (&t, 1, ATL_DENOISER_FREQS, atl_array_f32 (features));
  atl_timestep_features (&none, 1, ATL_DENOISER_FREQS, atl_array_f32 (zero));
  atl_array_i32 (row)[0] = atl_request_number (request, "additional_t_cond", 0) != 0;
  g_ptr_array_add (inputs, latent);
  g_ptr_array_add (inputs, text);
  g_ptr_array_add (inputs, features);
  g_ptr_array_add (inputs, rope);
  g_ptr_array_add (inputs, zero);
  g_ptr_array_add (inputs, row);
  key = g_strdup_printf ("%s %" G_GINT64_FORMAT, atl_request_function (request), call.n_first);
  return atl_stage_add_inputs (call.stage, request, TRUE, inputs, error) &&
         atl_runner_run (m->net.runner, key, describe, &call, inputs, outputs, cancellable, error);
}

const AtlComponentClass atl_qwen_image_class = {
  .name = "qwen-image",
  .origins = (const char *const[]){ "QwenImageTransformer2DModel", "qwen_image", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ ATL_STAGE_FUNCTIONS, ATL_STAGE_OF_ATTENTION, NULL },
  .lora_places = ATL_LORA_IN_DENOISER,
  .size = sizeof (Qwen),
  .read = qwen_read,
  .run = qwen_run,
};
