/* Hyperparameters by name, with the first error kept. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/keys.h"

#include <glib/gi18n.h>
#include <string.h>

gboolean
atl_llm_key_uint (
    AtlLlmKeys *k, const char *name, guint min, guint max, gboolean required, guint *out)
{
  g_autofree char *key = g_strconcat (k->prefix, ".", name, NULL);
  guint64 value;
  gboolean found;

  if (k->error != NULL)
    return FALSE;
  found = required ? atl_checkpoint_require_uint (k->cp, key, min, max, &value, &k->error)
                   : atl_checkpoint_get_uint (k->cp, key, min, max, &value, &k->error);
  if (found)
    *out = (guint) value;
  return found;
}

gboolean
atl_llm_key_float (AtlLlmKeys *k, const char *name, double min, double max, double *out)
{
  g_autofree char *key = g_strconcat (k->prefix, ".", name, NULL);

  return k->error == NULL && atl_checkpoint_get_float (k->cp, key, min, max, out, &k->error);
}

gboolean
atl_llm_key_bool (AtlLlmKeys *k, const char *name, gboolean *out)
{
  g_autofree char *key = g_strconcat (k->prefix, ".", name, NULL);

  return k->error == NULL && atl_checkpoint_get_bool (k->cp, key, out, &k->error);
}

const AtlMetaValue *
atl_llm_key_meta (AtlLlmKeys *k, const char *name)
{
  g_autofree char *key = g_strconcat (k->prefix, ".", name, NULL);

  return atl_checkpoint_meta (k->cp, key);
}

void
atl_llm_key_need (AtlLlmKeys *k, const char *name)
{
  if (k->error == NULL && atl_llm_key_meta (k, name) == NULL)
    k->error = g_error_new (ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s: the key “%s.%s” is missing"),
                            atl_checkpoint_name (k->cp), k->prefix, name);
}

gboolean
atl_llm_key_is (AtlLlmKeys *k, const char *name, const char *text)
{
  const AtlMetaValue *value = atl_llm_key_meta (k, name);

  return value != NULL && value->type == ATL_META_STRING &&
         g_strcmp0 (value->v_string.chars, text) == 0;
}

/* Element `i` of a whole-number array. */
static gboolean
array_uint (const AtlMetaValue *array, guint i, guint min, guint max, guint *out)
{
  guint64 value;

  if (array->v_array.elem_type == ATL_META_UINT)
    {
      value = ((const guint64 *) array->v_array.elems)[i];
    }
  else if (array->v_array.elem_type == ATL_META_INT)
    {
      gint64 v = ((const gint64 *) array->v_array.elems)[i];

      if (v < 0)
        return FALSE;
      value = (guint64) v;
    }
  else
    {
      return FALSE;
    }
  *out = (guint) MIN (value, G_MAXUINT);
  return value >= min && value <= max;
}

gboolean
atl_llm_key_layers (AtlLlmKeys *k,
                    const char *name,
                    guint min,
                    guint max,
                    gboolean required,
                    guint n,
                    guint *out,
                    gsize stride_bytes)
{
  const AtlMetaValue *meta = atl_llm_key_meta (k, name);
  guint value = 0;

  if (k->error != NULL)
    return FALSE;
  if (meta == NULL || meta->type != ATL_META_ARRAY)
    {
      if (!atl_llm_key_uint (k, name, min, max, required, &value))
        return FALSE;
      for (guint i = 0; i < n; i++)
        *(guint *) ((guint8 *) out + i * stride_bytes) = value;
      return TRUE;
    }
  if (meta->v_array.n < n)
    {
      atl_llm_key_fail (k, _ ("“%s.%s” has %zu numbers for %u layers"), k->prefix, name,
                        meta->v_array.n, n);
      return FALSE;
    }
  for (guint i = 0; i < n; i++)
    {
      if (!array_uint (meta, i, min, max, &value))
        {
          atl_llm_key_fail (k, _ ("number %u of “%s.%s” should be a whole number from %u to %u"), i,
                            k->prefix, name, min, max);
          return FALSE;
        }
      *(guint *) ((guint8 *) out + i * stride_bytes) = value;
    }
  return TRUE;
}

void
atl_llm_key_fail (AtlLlmKeys *k, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  if (k->error != NULL)
    return;
  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  k->error =
      g_error_new (ATL_ERROR, ATL_ERROR_BAD_FILE, "%s: %s", atl_checkpoint_name (k->cp), what);
}

void
atl_llm_key_unfit (
    AtlLlmKeys *k, AtlLlmFit fit, const char *name, guint value, const char *because, guint limit)
{
  const char *p = k->prefix;

  switch (fit)
    {
    case ATL_LLM_AT_MOST:
      atl_llm_key_fail (k, _ ("“%s.%s” is %u; expected at most %u, because of “%s.%s”"), p, name,
                        value, limit, p, because);
      break;
    case ATL_LLM_MORE_THAN:
      atl_llm_key_fail (k, _ ("“%s.%s” is %u; expected more than %u, because of “%s.%s”"), p, name,
                        value, limit, p, because);
      break;
    case ATL_LLM_EXACTLY:
      atl_llm_key_fail (k, _ ("“%s.%s” is %u; expected %u, because of “%s.%s”"), p, name, value,
                        limit, p, because);
      break;
    case ATL_LLM_DIVISOR:
    default:
      atl_llm_key_fail (k, _ ("“%s.%s” is %u; expected a number that divides %u (“%s.%s”)"), p,
                        name, value, limit, p, because);
      break;
    }
}

void
atl_llm_key_tied (AtlLlmKeys *k, gboolean *has_own_head)
{
  gboolean tied = TRUE;

  atl_llm_key_bool (k, "tie_word_embeddings", &tied);
  *has_own_head = !tied;
}
