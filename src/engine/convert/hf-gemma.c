/* Settings that only Gemma 3n and 4 have. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf-writer.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

static gboolean
is_full (const AtlMetaValue *types, gsize layer)
{
  return strcmp (((char *const *) types->v_array.elems)[layer], "full_attention") == 0;
}

/* layer_types, which these families cannot do without; NULL after a mistake. */
static const AtlMetaValue *
find_types (HfWriter *w, gsize *n_layers)
{
  const AtlMetaValue *types = hf_layer_types (w);

  if (types != NULL && types->v_array.n >= 1)
    {
      *n_layers = types->v_array.n;
      return types;
    }
  hf_fail (
      w, ATL_ERROR_BAD_FILE,
      _ ("the list of windowed layers (layer_types) is missing, or has another length than there "
         "are layers"));
  return NULL;
}

/* The gate's threshold in standard deviations: the normal distribution's quantile of the share that
 * is cut off, by bisection (its derivative is known, its inverse is not in the C library). */
static double
quantile (double share)
{
  double low = -10, high = 10;

  for (guint i = 0; i < 100; i++)
    {
      double middle = (low + high) / 2;

      if (0.5 * erfc (-middle / sqrt (2)) < share)
        low = middle;
      else
        high = middle;
    }
  return (low + high) / 2;
}

static void
put_sparsity (HfWriter *w, gsize n_layers)
{
  const AtlMetaValue *pattern = atl_hf_config_meta (w->config, "activation_sparsity_pattern");
  AtlMetaValue value = { .type = ATL_META_ARRAY };
  double list[HF_MAX_LAYERS];

  if (pattern == NULL)
    return;
  if (pattern->type != ATL_META_ARRAY || pattern->v_array.n != n_layers ||
      (pattern->v_array.elem_type != ATL_META_FLOAT && pattern->v_array.elem_type != ATL_META_INT))
    {
      hf_fail (w, ATL_ERROR_BAD_FILE, _ ("“activation_sparsity_pattern” should have %zu numbers"),
               n_layers);
      return;
    }
  for (gsize i = 0; i < n_layers; i++)
    {
      double share = pattern->v_array.elem_type == ATL_META_FLOAT
                         ? ((const double *) pattern->v_array.elems)[i]
                         : (double) ((const gint64 *) pattern->v_array.elems)[i];

      if (!(share >= 0 && share < 1))
        hf_fail (w, ATL_ERROR_BAD_FILE, _ ("%g is no share of gates to leave out"), share);
      list[i] = share > 0 && share < 1 ? (double) (float) quantile (share) : -INFINITY;
    }
  value.v_array.elem_type = ATL_META_FLOAT;
  value.v_array.n = n_layers;
  value.v_array.elems = list;
  hf_put (w, "activation_sparsity_scale", &value);
}

/* Widths of feed-forwards: a list, or one that layers with others' keys have twice. */
static void
put_widths (HfWriter *w, gsize n_layers, gsize n_shared)
{
  const AtlMetaValue *value = atl_hf_config_meta (w->config, "intermediate_size");
  gboolean wide = atl_hf_config_bool (w->config, "use_double_wide_mlp", FALSE);
  gint64 list[HF_MAX_LAYERS];
  double one;

  if (value != NULL && value->type == ATL_META_ARRAY && value->v_array.elem_type == ATL_META_INT &&
      value->v_array.n == n_layers)
    {
      hf_put_ints (w, "feed_forward_length", value->v_array.elems, n_layers);
      return;
    }
  if (!wide || n_shared == 0 || !hf_number (w, "intermediate_size", &one) || !(one >= 1) ||
      !(one <= 1 << 24))
    return;
  for (gsize i = 0; i < n_layers; i++)
    list[i] = (gint64) one * (i >= n_layers - n_shared ? 2 : 1);
  hf_put_ints (w, "feed_forward_length", list, n_layers);
}

/* Whether layers that differ from the others are listed, as transformers 5 writes it: a number of
 * the layer, with zeros before it, and what is different there; it may be none. */
static gboolean
lists_layers (const HfWriter *w)
{
  const AtlCheckpoint *cp = w->config->cp;

  if (atl_hf_config_is_null (w->config, "per_layer_config"))
    return TRUE;
  for (guint i = 0; i < atl_checkpoint_n_meta (cp); i++)
    {
      const char *key = atl_checkpoint_meta_key (cp, i);

      if (g_str_has_prefix (key, "per_layer_config.") ||
          g_str_has_prefix (key, "text_config.per_layer_config."))
        return TRUE;
    }
  return FALSE;
}

/* The setting as one layer has it. */
static gboolean
layer_number (const HfWriter *w, gsize layer, const char *name, double *out)
{
  for (int digits = 1; digits <= 3; digits++)
    {
      g_autofree char *key = g_strdup_printf ("per_layer_config.%0*zu.%s", digits, layer, name);

      if (atl_hf_config_meta (w->config, key) != NULL)
        return hf_number (w, key, out);
    }
  return hf_number (w, name, out);
}

gboolean
hf_full_number (HfWriter *w, const char *name, const char *own, double *out)
{
  const AtlMetaValue *types = lists_layers (w) ? hf_layer_types (w) : NULL;
  gboolean found = FALSE;

  if (types == NULL)
    return hf_number (w, own, out);
  for (gsize i = 0; i < types->v_array.n; i++)
    {
      double one = 0, usual = 0;

      if (!layer_number (w, i, name, &one) || !hf_number (w, name, &usual))
        return FALSE;
      if (is_full (types, i) ? found && one != *out : one != usual)
        {
          hf_fail (w, ATL_ERROR_UNSUPPORTED,
                   _ ("layers of one kind differ in “%s”, which is not known here"), name);
          return FALSE;
        }
      if (!is_full (types, i))
        continue;
      *out = one;
      found = TRUE;
    }
  return found;
}

static void
put_gemma4 (HfWriter *w, const AtlMetaValue *types, gsize n_layers)
{
  double full = 0, windowed = 0, keys = 0, own = 0;
  gint64 list[HF_MAX_LAYERS];

  hf_full_number (w, "head_dim", "global_head_dim", &full);
  hf_number (w, "head_dim", &windowed);
  if (!(full >= 2 && full <= 1 << 16 && windowed >= 2 && windowed <= 1 << 16))
    {
      hf_fail (w, ATL_ERROR_BAD_FILE,
               _ ("heads of %g and %g (head_dim, global_head_dim) make no sense"), windowed, full);
      return;
    }
  hf_put_uint (w, "attention.key_length", full);
  hf_put_uint (w, "attention.value_length", full);
  hf_put_uint (w, "attention.key_length_swa", windowed);
  hf_put_uint (w, "attention.value_length_swa", windowed);
  if (!(lists_layers (w) || atl_hf_config_bool (w->config, "attention_k_eq_v", FALSE)) ||
      !hf_full_number (w, "num_key_value_heads", "num_global_key_value_heads", &keys) ||
      !hf_number (w, "num_key_value_heads", &own))
    return;
  for (gsize i = 0; i < n_layers; i++)
    list[i] = (gint64) (is_full (types, i) ? keys : own);
  hf_put_ints (w, "attention.head_count_kv", list, n_layers);
}

void
hf_put_gemma (HfWriter *w)
{
  gboolean streams = strcmp (w->arch, "gemma3n") == 0;
  const AtlMetaValue *types;
  double shared = 0, value;
  gsize n_layers = 0;

  if (!streams && strcmp (w->arch, "gemma4") != 0)
    return;
  types = find_types (w, &n_layers);
  if (types == NULL)
    return;
  hf_number (w, "num_kv_shared_layers", &shared);
  if (!(shared >= 0 && shared < (double) n_layers))
    {
      hf_fail (w, ATL_ERROR_BAD_FILE, _ ("%g of %zu layers cannot share keys"), shared, n_layers);
      return;
    }
  hf_put_uint (w, "attention.shared_kv_layers", shared);
  if (hf_number (w, "hidden_size_per_layer_input", &value) && value >= 0)
    hf_put_uint (w, "embedding_length_per_layer_input", value);
  put_widths (w, n_layers, (gsize) shared);
  if (!streams)
    {
      put_gemma4 (w, types, n_layers);
      return;
    }
  if (hf_number (w, "altup_num_inputs", &value) && value >= 1)
    hf_put_uint (w, "altup.num_inputs", value);
  if (hf_number (w, "altup_active_idx", &value) && value >= 0)
    hf_put_uint (w, "altup.active_idx", value);
  put_sparsity (w, n_layers);
}
