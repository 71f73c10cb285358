/* Settings of Hugging Face's models, looked up in config.json and in what the family takes for
 * granted. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf-config.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/convert/hf-module-name.h"
#include "engine/formats/safetensors.h"

gboolean
atl_hf_config_init (AtlHfConfig *self, const AtlCheckpoint *hf, GError **error)
{
  const char *inner = atl_checkpoint_get_string (hf, "text_config.model_type");
  const char *type = atl_checkpoint_get_string (hf, "model_type");
  g_autofree char *known = NULL;

  *self = (AtlHfConfig){ .cp = hf };
  if (inner != NULL)
    {
      self->nested = TRUE;
      self->family = atl_hf_family_find (inner, self);
      type = inner;
    }
  if (self->family == NULL && type != NULL)
    self->family = atl_hf_family_find (type, self);
  if (self->family != NULL)
    return TRUE;
  if (type == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("%s: its config.json does not say what kind of model it is (“model_type”)"),
                   atl_checkpoint_name (hf));
      return FALSE;
    }
  known = atl_hf_family_list ();
  g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
               _ ("%s is a “%s” model, which cannot be read from its authors' files yet; models of "
                  "these families can: %s"),
               atl_checkpoint_name (hf), type, known);
  return FALSE;
}

const AtlMetaValue *
atl_hf_config_meta (const AtlHfConfig *self, const char *key)
{
  const AtlMetaValue *value = NULL;

  if (self->nested)
    {
      g_autofree char *inner = g_strconcat ("text_config.", key, NULL);
      value = atl_checkpoint_meta (self->cp, inner);
    }
  return value != NULL ? value : atl_checkpoint_meta (self->cp, key);
}

/* A list with a number a layer, which is the same for all of them. */
static gboolean
same_in_all_layers (const AtlMetaValue *value, double *number)
{
  const gint64 *list = value->v_array.elems;

  if (value->type != ATL_META_ARRAY || value->v_array.elem_type != ATL_META_INT ||
      value->v_array.n == 0)
    return FALSE;
  for (gsize i = 1; i < value->v_array.n; i++)
    if (list[i] != list[0])
      return FALSE;
  *number = (double) list[0];
  return TRUE;
}

static void
note_odd (const AtlHfConfig *self, const char *key)
{
  if (self->odd != NULL && *self->odd == NULL)
    *self->odd = g_intern_string (key);
}

gboolean
atl_hf_config_is_null (const AtlHfConfig *self, const char *key)
{
  g_autofree char *name = g_strconcat (ATL_CONFIG_NULL, key, NULL);
  g_autofree char *inner = g_strconcat (ATL_CONFIG_NULL, "text_config.", key, NULL);

  return atl_checkpoint_meta (self->cp, self->nested ? inner : name) != NULL;
}

gboolean
atl_hf_config_number (const AtlHfConfig *self, const char *key, double min, double max, double *out)
{
  const AtlMetaValue *value = atl_hf_config_meta (self, key);
  double number;

  if (value == NULL && g_str_has_suffix (key, "_softcapping") && atl_hf_config_is_null (self, key))
    {
      *out = 0; /* none, whatever the class assumes */
      return TRUE;
    }
  if (value == NULL)
    {
      const AtlHfDefault *d = self->family->defaults;

      for (; d != NULL && d->key != NULL; d++)
        if (strcmp (d->key, key) == 0)
          {
            *out = d->value;
            return TRUE;
          }
      return FALSE;
    }
  if (value->type == ATL_META_FLOAT)
    number = value->v_float;
  else if (value->type == ATL_META_INT)
    number = (double) value->v_int;
  else if (value->type == ATL_META_UINT)
    number = (double) value->v_uint;
  else if (!same_in_all_layers (value, &number))
    number = NAN;
  if (!(number >= min && number <= max))
    {
      note_odd (self, key);
      return FALSE;
    }
  *out = number;
  return TRUE;
}

gboolean
atl_hf_config_bool (const AtlHfConfig *self, const char *key, gboolean fallback)
{
  const AtlMetaValue *value = atl_hf_config_meta (self, key);

  if (value != NULL && value->type != ATL_META_BOOL)
    note_odd (self, key);
  return value != NULL && value->type == ATL_META_BOOL ? value->v_bool : fallback;
}

const char *
atl_hf_config_string (const AtlHfConfig *self, const char *key)
{
  const AtlMetaValue *value = atl_hf_config_meta (self, key);

  if (value != NULL && value->type != ATL_META_STRING)
    note_odd (self, key);
  return value != NULL && value->type == ATL_META_STRING ? value->v_string.chars : NULL;
}

guint
atl_hf_config_n_layers (const AtlHfConfig *self)
{
  static const char *const names[] = { "num_hidden_layers", "num_layers", "n_layer" };
  const AtlMetaValue *kinds = atl_hf_config_meta (self, "layers_block_type");
  double n = 0;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (atl_hf_config_meta (self, names[i]) != NULL)
      {
        atl_hf_config_number (self, names[i], 1, HF_MAX_LAYERS, &n);
        return (guint) n;
      }
  return kinds != NULL && kinds->type == ATL_META_ARRAY && kinds->v_array.n <= HF_MAX_LAYERS
             ? (guint) kinds->v_array.n
             : 0;
}

/* Falcon's first decoders have as many as queries, or one, whatever its settings count. */
gint64
atl_hf_config_key_heads (const AtlHfConfig *self)
{
  const gboolean is_falcon = strcmp (self->family->arch, "falcon") == 0;
  double n = 0;

  if (is_falcon && !atl_hf_config_bool (self, "new_decoder_architecture", FALSE))
    {
      if (atl_hf_config_bool (self, "multi_query", TRUE))
        return 1;
    }
  else if (atl_hf_config_number (self, is_falcon ? "num_kv_heads" : "num_key_value_heads", 1,
                                 1 << 24, &n))
    return (gint64) n;
  return atl_hf_config_number (self, "num_attention_heads", 1, 1 << 24, &n) ? (gint64) n : 0;
}

static gboolean
list_element (const AtlMetaValue *value, guint64 i, double *number)
{
  if (value->type != ATL_META_ARRAY || i >= value->v_array.n)
    return FALSE;
  if (value->v_array.elem_type == ATL_META_INT)
    *number = (double) ((const gint64 *) value->v_array.elems)[i];
  else if (value->v_array.elem_type == ATL_META_FLOAT)
    *number = ((const double *) value->v_array.elems)[i];
  else
    return FALSE;
  return isfinite (*number);
}

gboolean
atl_hf_config_factors (const AtlHfConfig *self, const char *words, double *product)
{
  g_auto (GStrv) list = g_strsplit (words, " ", -1);

  *product = 1;
  for (guint i = 0; list[i] != NULL; i++)
    {
      char *bracket = strchr (list[i], '[');
      double factor = 1;

      if (bracket != NULL)
        *bracket++ = '\0';
      if (atl_hf_config_meta (self, list[i]) == NULL)
        continue;
      if (bracket != NULL ? !list_element (atl_hf_config_meta (self, list[i]),
                                           g_ascii_strtoull (bracket, NULL, 10), &factor)
                          : !atl_hf_config_number (self, list[i], -1e9, 1e9, &factor))
        return FALSE;
      *product *= factor;
    }
  return TRUE;
}
