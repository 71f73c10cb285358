/* Values of a checkpoint's table of metadata, and reading them with their bounds checked. */
#define G_LOG_DOMAIN "atl-base"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/checkpoint-private.h"

void
atl_meta_value_free (AtlMetaValue *value)
{
  if (value->type == ATL_META_STRING)
    g_free ((char *) value->v_string.chars);
  else if (value->type == ATL_META_ARRAY)
    {
      if (value->v_array.elem_type == ATL_META_STRING)
        {
          char **strings = value->v_array.elems;
          /* All strings of an array share one allocation, the first pointer owns it. */
          if (value->v_array.n > 0)
            g_free (strings[0]);
          g_free (value->v_array.lengths);
        }
      g_free (value->v_array.elems);
    }
  g_free (value);
}

static gsize
meta_elem_size (AtlMetaType type)
{
  switch (type)
    {
    case ATL_META_BOOL:
      return sizeof (gboolean);
    case ATL_META_INT:
    case ATL_META_UINT:
      return sizeof (gint64);
    case ATL_META_FLOAT:
      return sizeof (double);
    case ATL_META_STRING:
      return sizeof (char *);
    case ATL_META_ARRAY:
      break;
    }
  g_assert_not_reached ();
}

AtlMetaValue *
atl_meta_value_copy (const AtlMetaValue *value)
{
  AtlMetaValue *copy = g_memdup2 (value, sizeof *value);

  if (value->type == ATL_META_STRING)
    {
      char *chars = g_malloc (value->v_string.length + 1);
      memcpy (chars, value->v_string.chars, value->v_string.length);
      chars[value->v_string.length] = '\0';
      copy->v_string.chars = chars;
    }
  else if (value->type == ATL_META_ARRAY && value->v_array.elem_type == ATL_META_STRING)
    {
      gsize n = value->v_array.n, total = 0;
      char **strings = g_new (char *, n + 1);
      gsize *lengths = g_new (gsize, n + 1);
      char *pool;

      for (gsize i = 0; i < n; i++)
        {
          lengths[i] = value->v_array.lengths != NULL
                           ? value->v_array.lengths[i]
                           : strlen (((char **) value->v_array.elems)[i]);
          total += lengths[i] + 1;
        }
      pool = n > 0 ? g_malloc (total) : NULL;
      for (gsize i = 0; i < n; i++)
        {
          strings[i] = pool;
          memcpy (pool, ((char **) value->v_array.elems)[i], lengths[i]);
          pool[lengths[i]] = '\0';
          pool += lengths[i] + 1;
        }
      copy->v_array.elems = strings;
      copy->v_array.lengths = lengths;
    }
  else if (value->type == ATL_META_ARRAY)
    {
      copy->v_array.elems = g_memdup2 (
          value->v_array.elems, value->v_array.n * meta_elem_size (value->v_array.elem_type));
      copy->v_array.lengths = NULL;
    }
  return copy;
}

gboolean
atl_checkpoint_get_uint (const AtlCheckpoint *self,
                         const char *key,
                         guint64 min,
                         guint64 max,
                         guint64 *out,
                         GError **error)
{
  const AtlMetaValue *value = atl_checkpoint_meta (self, key);
  guint64 number;

  if (value == NULL)
    return FALSE;
  if (value->type == ATL_META_UINT)
    number = value->v_uint;
  else if (value->type == ATL_META_INT && value->v_int >= 0)
    number = (guint64) value->v_int;
  else
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("%s: “%s” should be a whole number that is not negative"),
                   atl_checkpoint_name (self), key);
      return FALSE;
    }
  if (number < min || number > max)
    {
      if (min == max)
        g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                     _ ("%s: “%s” is %" PRIu64 "; expected %" PRIu64), atl_checkpoint_name (self),
                     key, number, min);
      else
        g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                     _ ("%s: “%s” is %" PRIu64 "; expected %" PRIu64 " to %" PRIu64),
                     atl_checkpoint_name (self), key, number, min, max);
      return FALSE;
    }
  *out = number;
  return TRUE;
}

gboolean
atl_checkpoint_require_uint (const AtlCheckpoint *self,
                             const char *key,
                             guint64 min,
                             guint64 max,
                             guint64 *out,
                             GError **error)
{
  if (atl_checkpoint_meta (self, key) == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s: the key “%s” is missing"),
                   atl_checkpoint_name (self), key);
      return FALSE;
    }
  return atl_checkpoint_get_uint (self, key, min, max, out, error);
}

gboolean
atl_checkpoint_get_float (
    const AtlCheckpoint *self, const char *key, double min, double max, double *out, GError **error)
{
  const AtlMetaValue *value = atl_checkpoint_meta (self, key);
  double number;

  if (value == NULL)
    return FALSE;
  if (value->type == ATL_META_FLOAT)
    number = value->v_float;
  else if (value->type == ATL_META_UINT)
    number = (double) value->v_uint;
  else if (value->type == ATL_META_INT)
    number = (double) value->v_int;
  else
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s: “%s” should be a number"),
                   atl_checkpoint_name (self), key);
      return FALSE;
    }
  if (!isfinite (number) || number < min || number > max)
    {
      if (min == max)
        g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s: “%s” is %g; expected %g"),
                     atl_checkpoint_name (self), key, number, min);
      else
        g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s: “%s” is %g; expected %g to %g"),
                     atl_checkpoint_name (self), key, number, min, max);
      return FALSE;
    }
  *out = number;
  return TRUE;
}

gboolean
atl_checkpoint_get_bool (const AtlCheckpoint *self, const char *key, gboolean *out, GError **error)
{
  const AtlMetaValue *value = atl_checkpoint_meta (self, key);

  if (value == NULL)
    return FALSE;
  if (value->type != ATL_META_BOOL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s: “%s” should be true or false"),
                   atl_checkpoint_name (self), key);
      return FALSE;
    }
  *out = value->v_bool;
  return TRUE;
}

const char *
atl_checkpoint_get_string (const AtlCheckpoint *self, const char *key)
{
  const AtlMetaValue *value = atl_checkpoint_meta (self, key);

  return value != NULL && value->type == ATL_META_STRING ? value->v_string.chars : NULL;
}
