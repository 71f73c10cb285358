/* Low-rank adapters (Hu et al., 2021, "LoRA", eq. 3): W x + strength * alpha / r * B (A x), added
 * while the model runs, so that the strength can change at any time and quantised weights need no
 * other form.
 *
 * Files in GGUF's form (general.type "adapter", adapter.type "lora") name each pair after the
 * weight it changes: "blk.0.attn_q.weight.lora_a" [r, in] and ".lora_b" [out, r];
 * adapter.lora.alpha is for all, 0 means that the scale is in the numbers. DoRA's magnitudes [out],
 * which only PEFT's files have, are ".lora_magnitude" here (blocks/lora-change.h). */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/blocks/lora-change.h"
#include "engine/models/llm/llm-private.h"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/fail.h"
#include "engine/tensor/quants/dequant.h"

#define MAX_RANK (1 << 14)
#define MAX_STRENGTH 1e3

/* What one adapter adds to one weight of the model. */
typedef struct
{
  AtlWeight *weight; /* borrowed from the decoder */
  AtlWeightDelta delta;
} Addition;

typedef struct
{
  AtlCheckpoint *cp;   /* (owned) */
  AtlWeights *weights; /* (owned) the additions' */
  GArray *additions;   /* (owned) Addition, scales for a strength of 1 */
} LlmAdapter;

static void
adapter_free (gpointer data)
{
  LlmAdapter *self = data;

  g_array_unref (self->additions);
  atl_weights_free (self->weights);
  atl_checkpoint_unref (self->cp);
  g_free (self);
}

static gboolean
check_kind (const LlmAdapter *self, const AtlLlm *llm, GError **error)
{
  const char *type = atl_checkpoint_get_string (self->cp, "general.type");
  const char *kind = atl_checkpoint_get_string (self->cp, "adapter.type");
  const char *architecture = atl_checkpoint_get_string (self->cp, "general.architecture");

  if (g_strcmp0 (type, "adapter") != 0)
    return atl_fail (error, ATL_ERROR_INVALID,
                     _ ("%s is no adapter (LoRA) for language models but a file of the kind “%s”"),
                     atl_checkpoint_name (self->cp), type != NULL ? type : "unknown");
  if (g_strcmp0 (kind, "lora") != 0)
    return atl_fail (error, ATL_ERROR_UNSUPPORTED,
                     _ ("%s is an adapter of the kind “%s”; the kind “lora” is known here"),
                     atl_checkpoint_name (self->cp), kind != NULL ? kind : "unknown");
  if (g_strcmp0 (architecture, llm->info.architecture) != 0)
    return atl_fail (error, ATL_ERROR_INVALID,
                     _ ("%s was made for “%s” models; this model is of the family “%s”"),
                     atl_checkpoint_name (self->cp),
                     architecture != NULL ? architecture : "unknown", llm->info.architecture);
  return TRUE;
}

/* A matrix of the file as float32, rows [first, first + n). */
static AtlWeight *
add_rows (LlmAdapter *self,
          const AtlTensorInfo *info,
          gint64 first,
          gint64 n,
          AtlBackend *home,
          gint layer)
{
  gint64 n_in = info->dim[1], dim[2] = { n, n_in };
  gsize row_bytes = info->size_bytes / (gsize) info->dim[0];
  float *values = g_new (float, (n * n_in));
  AtlWeight *w;

  atl_dequantize (info->dtype, info->data + (gsize) first * row_bytes, values, (gsize) (n * n_in));
  w = atl_weights_add_bytes (self->weights, ATL_USE_LINEAR, layer, ATL_DTYPE_F32, 2, dim,
                             g_bytes_new_take (values, (gsize) (n * n_in) * sizeof (float)),
                             info->name);
  w->home = home;
  return w;
}

static float *
read_floats (const AtlTensorInfo *info)
{
  gsize n = (gsize) atl_tensor_info_n_elems (info);
  float *values = g_new (float, n);

  atl_dequantize (info->dtype, info->data, values, n);
  return values;
}

/* DoRA's gains of a weight that is rows of the changed one. FALSE with an error. */
static gboolean
add_gain (LlmAdapter *self,
          Addition *addition,
          const AtlTensorInfo *a,
          const AtlTensorInfo *b,
          const AtlTensorInfo *magnitude,
          GError **error)
{
  const AtlWeight *w = addition->weight;
  gint64 first = w->part_of != NULL ? w->part_first : 0;
  AtlWeight weight = *w;
  AtlLoraChange change = { .form = ATL_LORA_PRODUCT, .rows = b->dim[0], .cols = a->dim[1] };
  AtlWeightDelta *delta = &addition->delta;
  g_autofree float *magnitudes = NULL;
  float *gains;

  if (magnitude->n_dims < 1 || magnitude->dim[0] != b->dim[0] || magnitude->data == NULL ||
      !atl_dtype_is_float_like (magnitude->dtype) || w->order != NULL)
    return atl_fail (error, ATL_ERROR_UNSUPPORTED,
                     _ ("%s has magnitudes for “%s” that cannot be used here"),
                     atl_checkpoint_name (self->cp), w->name);
  weight.bytes = w->bytes != NULL ? g_bytes_ref (w->bytes) : NULL;
  if (!atl_weight_make (&weight, error))
    return FALSE;
  magnitudes = read_floats (magnitude);
  change.a = (AtlLoraMatrix){ read_floats (a), a->dim[0], a->dim[1] };
  change.b = (AtlLoraMatrix){ read_floats (b), b->dim[0], b->dim[1] };
  gains = atl_lora_gains (&change, delta->scale, magnitudes, &weight, first, ATL_LORA_OF_ROWS);
  atl_lora_change_clear (&change);
  g_clear_pointer (&weight.bytes, g_bytes_unref);
  delta->gain = atl_weights_add_bytes (
      self->weights, ATL_USE_VECTOR, w->layer, ATL_DTYPE_F32, 1, (gint64[]){ w->dim[0] },
      g_bytes_new_take (gains, (gsize) w->dim[0] * sizeof *gains), magnitude->name);
  delta->gain->home = w->home;
  delta->factor = delta->scale;
  delta->scale = 1;
  return TRUE;
}

/* A model whose output is its embedding has the changes of its output there: looking up rows is no
 * product, and stays as it is. */
static gboolean
is_changed_by (const AtlLlm *llm, const AtlWeight *w, const char *name)
{
  const AtlWeight *whole = w->part_of != NULL ? w->part_of : w;

  if (strcmp (whole->name, name) == 0)
    return TRUE;
  return strcmp (name, "output.weight") == 0 && strcmp (whole->name, "token_embd.weight") == 0 &&
         (w->use & ATL_USE_LINEAR) != 0;
}

static gboolean
is_matrix (const AtlTensorInfo *info)
{
  return info->n_dims == 2 && info->data != NULL && info->dim[0] >= 1 && info->dim[1] >= 1 &&
         atl_dtype_is_float_like (info->dtype);
}

/* Adds the pair, and the magnitudes (nullable), to every weight that is `name`, or rows of it. */
static gboolean
add_pair (LlmAdapter *self,
          AtlLlm *llm,
          const char *name,
          const AtlTensorInfo *a,
          const AtlTensorInfo *b,
          const AtlTensorInfo *magnitude,
          GError **error)
{
  AtlWeights *weights = llm->decoder.weights;
  gint64 rank = a->dim[0];
  double alpha = 0;
  gboolean found = FALSE;

  if (!is_matrix (a) || !is_matrix (b) || b->dim[1] != rank || rank > MAX_RANK)
    return atl_fail (error, ATL_ERROR_BAD_FILE,
                     _ ("%s changes “%s” by two matrices that do not fit each other"),
                     atl_checkpoint_name (self->cp), name);
  atl_checkpoint_get_float (self->cp, "adapter.lora.alpha", 0, 1e9, &alpha, NULL);
  for (guint i = 0; i < atl_weights_n (weights); i++)
    {
      AtlWeight *w = atl_weights_get (weights, i);
      const AtlWeight *whole = w->part_of != NULL ? w->part_of : w;
      Addition addition = { .weight = w };

      if (w->use == 0 || !is_changed_by (llm, w, name))
        continue;
      if ((w->use != ATL_USE_LINEAR && strcmp (name, "output.weight") != 0) || whole->n_dims != 2)
        return atl_fail (
            error, ATL_ERROR_UNSUPPORTED,
            _ ("%s changes “%s”; embeddings, norms and experts cannot be changed by an adapter "
               "here"),
            atl_checkpoint_name (self->cp), name);
      if (a->dim[1] != whole->dim[1] || b->dim[0] != whole->dim[0])
        return atl_fail (
            error, ATL_ERROR_INVALID,
            _ ("%s was made for a model of another size: its change of “%s” is [%" PRId64
               ", %" PRId64 "], the weight is [%" PRId64 ", %" PRId64 "]"),
            atl_checkpoint_name (self->cp), name, b->dim[0], a->dim[1], whole->dim[0],
            whole->dim[1]);
      addition.delta.a = add_rows (self, a, 0, rank, w->home, w->layer);
      addition.delta.b =
          add_rows (self, b, w->part_of != NULL ? w->part_first : 0, w->dim[0], w->home, w->layer);
      addition.delta.scale = alpha > 0 ? (float) (alpha / (double) rank) : 1.0f;
      addition.delta.factor = 1;
      if (magnitude != NULL && !add_gain (self, &addition, a, b, magnitude, error))
        return FALSE;
      g_array_append_val (self->additions, addition);
      found = TRUE;
    }
  if (!found)
    return atl_fail (
        error, ATL_ERROR_INVALID,
        _ ("%s changes “%s”, which this model does not have: it was made for another one"),
        atl_checkpoint_name (self->cp), name);
  return TRUE;
}

static AtlBackend *
place_at_home (const AtlWeight *weight, gpointer data)
{
  return weight->home;
}

static gboolean
read_pairs (LlmAdapter *self, AtlLlm *llm, GError **error)
{
  for (guint i = 0; i < atl_checkpoint_n_tensors (self->cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (self->cp, i), *other;
      gboolean is_a = g_str_has_suffix (info->name, ".lora_a");
      g_autofree char *name = NULL, *fellow = NULL, *magnitude = NULL;

      if (g_str_has_suffix (info->name, ".lora_magnitude"))
        continue;

      if (!is_a && !g_str_has_suffix (info->name, ".lora_b"))
        return atl_fail (error, ATL_ERROR_UNSUPPORTED,
                         _ ("%s holds the tensor “%s”, which is no part of a LoRA"),
                         atl_checkpoint_name (self->cp), info->name);
      name = g_strndup (info->name, strlen (info->name) - strlen (".lora_a"));
      fellow = g_strconcat (name, is_a ? ".lora_b" : ".lora_a", NULL);
      other = atl_checkpoint_find (self->cp, fellow);
      if (other == NULL)
        return atl_fail (error, ATL_ERROR_BAD_FILE, _ ("%s has “%s” but not “%s”"),
                         atl_checkpoint_name (self->cp), info->name, fellow);
      magnitude = g_strconcat (name, ".lora_magnitude", NULL);
      if (is_a && !add_pair (self, llm, name, info, other,
                             atl_checkpoint_find (self->cp, magnitude), error))
        return FALSE;
    }
  if (self->additions->len == 0)
    return atl_fail (error, ATL_ERROR_BAD_FILE, _ ("%s holds no changes of weights at all"),
                     atl_checkpoint_name (self->cp));
  return atl_weights_upload (self->weights, place_at_home, NULL, NULL, NULL, NULL, error);
}

static LlmAdapter *
adapter_new (AtlLlm *llm, AtlCheckpoint *cp, GError **error)
{
  LlmAdapter *self = g_new0 (LlmAdapter, 1);

  self->cp = atl_checkpoint_ref (cp);
  self->weights = atl_weights_new (cp);
  self->additions = g_array_new (FALSE, FALSE, sizeof (Addition));
  if (check_kind (self, llm, error) && read_pairs (self, llm, error))
    return self;
  adapter_free (self);
  return NULL;
}

/* Hands the model's weights their lists of additions. */
static void
attach (const LlmAdapter *adapter, double strength)
{
  for (guint i = 0; strength != 0 && i < adapter->additions->len; i++)
    {
      const Addition *addition = &g_array_index (adapter->additions, Addition, i);
      AtlWeight *w = addition->weight;
      AtlWeightDelta delta = addition->delta;

      delta.scale *= (float) strength;
      w->deltas = g_renew (AtlWeightDelta, w->deltas, w->n_deltas + 1);
      w->deltas[w->n_deltas++] = delta;
    }
}

static LlmAdapter *
find_adapter (const AtlLlm *self, const AtlCheckpoint *cp)
{
  for (guint i = 0; self->adapters != NULL && i < self->adapters->len; i++)
    if (((LlmAdapter *) self->adapters->pdata[i])->cp == cp)
      return self->adapters->pdata[i];
  return NULL;
}

gboolean
atl_llm_set_adapters (AtlLlm *self, const AtlLlmAdapter *adapters, guint n, GError **error)
{
  g_autoptr (GPtrArray) made = g_ptr_array_new_with_free_func (adapter_free);
  GPtrArray *chosen = g_ptr_array_new ();

  for (guint i = 0; i < n; i++)
    {
      LlmAdapter *adapter = find_adapter (self, adapters[i].cp);

      if (!(fabs (adapters[i].strength) <= MAX_STRENGTH))
        g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                     _ ("The strength of an adapter is %g; -%g to %g are possible"),
                     adapters[i].strength, MAX_STRENGTH, MAX_STRENGTH);
      else if (adapter != NULL || (adapter = adapter_new (self, adapters[i].cp, error)) != NULL)
        {
          if (find_adapter (self, adapters[i].cp) == NULL)
            g_ptr_array_add (made, adapter);
          g_ptr_array_add (chosen, adapter);
          continue;
        }
      g_ptr_array_unref (chosen);
      return FALSE;
    }

  for (guint i = 0; i < ATL_LLM_MAX_PLANS; i++)
    llm_plan_clear (&self->plans[i]);
  for (guint i = 0; i < atl_weights_n (self->decoder.weights); i++)
    {
      AtlWeight *w = atl_weights_get (self->decoder.weights, i);

      g_clear_pointer (&w->deltas, g_free);
      w->n_deltas = 0;
    }
  for (guint i = 0; i < n; i++)
    attach (chosen->pdata[i], adapters[i].strength);
  for (guint i = 0; self->adapters != NULL && i < self->adapters->len; i++)
    if (!g_ptr_array_find (chosen, self->adapters->pdata[i], NULL))
      adapter_free (self->adapters->pdata[i]);
  if (self->adapters != NULL)
    g_ptr_array_set_free_func (self->adapters, NULL);
  g_clear_pointer (&self->adapters, g_ptr_array_unref);
  g_ptr_array_set_free_func (made, NULL);
  g_ptr_array_set_free_func (chosen, adapter_free);
  self->adapters = chosen;
  return TRUE;
}
