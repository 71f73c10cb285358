/* The key/value pairs of a GGUF file. */
#define G_LOG_DOMAIN "atl-formats"

#include "engine/formats/format-error.h"
#include "engine/formats/gguf-private.h"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

/* Bytes in the file; 0 for what has no fixed size. */
static const guint8 type_bytes[ATL_GGUF_N_TYPES] = {
  [ATL_GGUF_U8] = 1,  [ATL_GGUF_I8] = 1,  [ATL_GGUF_U16] = 2, [ATL_GGUF_I16] = 2,
  [ATL_GGUF_U32] = 4, [ATL_GGUF_I32] = 4, [ATL_GGUF_F32] = 4, [ATL_GGUF_BOOL] = 1,
  [ATL_GGUF_U64] = 8, [ATL_GGUF_I64] = 8, [ATL_GGUF_F64] = 8,
};

static const AtlMetaType type_meta[ATL_GGUF_N_TYPES] = {
  [ATL_GGUF_U8] = ATL_META_UINT,       [ATL_GGUF_I8] = ATL_META_INT,
  [ATL_GGUF_U16] = ATL_META_UINT,      [ATL_GGUF_I16] = ATL_META_INT,
  [ATL_GGUF_U32] = ATL_META_UINT,      [ATL_GGUF_I32] = ATL_META_INT,
  [ATL_GGUF_F32] = ATL_META_FLOAT,     [ATL_GGUF_BOOL] = ATL_META_BOOL,
  [ATL_GGUF_STRING] = ATL_META_STRING, [ATL_GGUF_ARRAY] = ATL_META_ARRAY,
  [ATL_GGUF_U64] = ATL_META_UINT,      [ATL_GGUF_I64] = ATL_META_INT,
  [ATL_GGUF_F64] = ATL_META_FLOAT,
};

typedef struct
{
  AtlGgufCursor *cursor;
  const char *key;
  gsize budget; /* of decoded bytes, over all pairs */
} Reader;

static gboolean
charge (Reader *self, guint64 bytes, GError **error)
{
  if (bytes > self->budget)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s: the metadata up to “%s” take more than %u MiB"),
                            self->cursor->file, self->key, ATL_GGUF_MAX_META_BYTES >> 20);
  self->budget -= (gsize) bytes;
  return TRUE;
}

static gint64
decode_int (guint type, const guint8 *p)
{
  guint16 v16;
  guint32 v32;
  guint64 v64;

  switch (type_bytes[type])
    {
    case 1:
      return type == ATL_GGUF_I8 ? (gint8) p[0] : p[0];
    case 2:
      memcpy (&v16, p, 2);
      v16 = GUINT16_FROM_LE (v16);
      return type == ATL_GGUF_I16 ? (gint16) v16 : v16;
    case 4:
      memcpy (&v32, p, 4);
      v32 = GUINT32_FROM_LE (v32);
      return type == ATL_GGUF_I32 ? (gint32) v32 : (gint64) v32;
    default:
      memcpy (&v64, p, 8);
      return (gint64) GUINT64_FROM_LE (v64);
    }
}

static double
decode_float (guint type, const guint8 *p)
{
  guint64 bits = (guint64) decode_int (type == ATL_GGUF_F32 ? ATL_GGUF_U32 : ATL_GGUF_U64, p);

  if (type == ATL_GGUF_F32)
    {
      guint32 narrow = (guint32) bits;
      float value;

      memcpy (&value, &narrow, sizeof value);
      return value;
    }
  else
    {
      double value;

      memcpy (&value, &bits, sizeof value);
      return value;
    }
}

/* Fills in one number or bool. */
static void
decode_scalar (guint type, const guint8 *p, AtlMetaValue *value)
{
  value->type = type_meta[type];
  value->width = (guint8) type_bytes[type];
  switch (value->type)
    {
    case ATL_META_BOOL:
      value->v_bool = p[0] != 0;
      break;
    case ATL_META_INT:
      value->v_int = decode_int (type, p);
      break;
    case ATL_META_UINT:
      value->v_uint = (guint64) decode_int (type, p);
      break;
    case ATL_META_FLOAT:
      value->v_float = decode_float (type, p);
      break;
    case ATL_META_STRING:
    case ATL_META_ARRAY:
      g_assert_not_reached ();
    }
}

static gpointer
decode_numbers (guint type, const guint8 *p, gsize n)
{
  AtlMetaType meta = type_meta[type];
  gsize step = type_bytes[type];
  gpointer elems;

  if (meta == ATL_META_BOOL)
    {
      gboolean *bools = elems = g_new (gboolean, n);
      for (gsize i = 0; i < n; i++)
        bools[i] = p[i] != 0;
    }
  else if (meta == ATL_META_FLOAT)
    {
      double *floats = elems = g_new (double, n);
      for (gsize i = 0; i < n; i++)
        floats[i] = decode_float (type, p + i * step);
    }
  else
    {
      gint64 *ints = elems = g_new (gint64, n);
      for (gsize i = 0; i < n; i++)
        ints[i] = decode_int (type, p + i * step);
    }
  return elems;
}

static gboolean
read_strings (Reader *self, gsize n, const char ***strings, gsize **lengths, GError **error)
{
  g_autofree const char **chars = g_new (const char *, n);
  g_autofree gsize *sizes = g_new (gsize, n);

  for (gsize i = 0; i < n; i++)
    if (!atl_gguf_string (self->cursor, N_ ("a text in a list"), &chars[i], &sizes[i], error) ||
        !charge (self, sizes[i] + 1, error))
      return FALSE;
  *strings = g_steal_pointer (&chars);
  *lengths = g_steal_pointer (&sizes);
  return TRUE;
}

static gboolean
read_array (Reader *self, const char *key, AtlCheckpoint *cp, GError **error)
{
  AtlGgufCursor *cursor = self->cursor;
  AtlMetaValue value = { .type = ATL_META_ARRAY };
  g_autofree gsize *lengths = NULL;
  g_autofree const char **strings = NULL;
  g_autofree gpointer numbers = NULL;
  guint64 n, smallest;
  guint32 type;

  if (!atl_gguf_u32 (cursor, N_ ("the type of a list"), &type, error) ||
      !atl_gguf_count (cursor, N_ ("the length of a list"), &n, error))
    return FALSE;
  if (type == ATL_GGUF_ARRAY)
    return atl_format_fail (error, ATL_ERROR_UNSUPPORTED,
                            _ ("%s: “%s” is a list of lists, which no known model uses"),
                            cursor->file, key);
  if (type >= ATL_GGUF_N_TYPES)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s: “%s” is a list of values of the unknown type %u"), cursor->file,
                            key, type);

  smallest = type == ATL_GGUF_STRING ? (cursor->version >= 2 ? 8 : 4) : type_bytes[type];
  if (n > atl_gguf_remaining (cursor) / smallest)
    return atl_format_fail (
        error, ATL_ERROR_BAD_FILE,
        _ ("%s: “%s” claims %" PRIu64 " entries, but only %zu bytes are left in the file"),
        cursor->file, key, n, atl_gguf_remaining (cursor));

  value.v_array.elem_type = type_meta[type];
  value.width = (guint8) type_bytes[type];
  value.v_array.n = (gsize) n;
  if (type == ATL_GGUF_STRING)
    {
      if (!charge (self, n * (sizeof (char *) + sizeof (gsize)), error) ||
          !read_strings (self, (gsize) n, &strings, &lengths, error))
        return FALSE;
      value.v_array.elems = strings;
      value.v_array.lengths = lengths;
    }
  else
    {
      const guint8 *bytes;
      gsize decoded = type == ATL_GGUF_BOOL ? sizeof (gboolean) : sizeof (gint64);

      if (!charge (self, n * decoded, error) ||
          !atl_gguf_take (cursor, (gsize) (n * smallest), N_ ("a list"), &bytes, error))
        return FALSE;
      value.v_array.elems = numbers = decode_numbers (type, bytes, (gsize) n);
    }
  return atl_checkpoint_add_meta (cp, key, &value, error);
}

static gboolean
read_text (Reader *self, const char *key, AtlCheckpoint *cp, GError **error)
{
  AtlMetaValue value = { .type = ATL_META_STRING };
  g_autofree char *repaired = NULL;
  const char *chars;
  gsize length;

  if (!atl_gguf_string (self->cursor, N_ ("a text"), &chars, &length, error))
    return FALSE;
  /* Names and templates are shown and parsed as text, so what is no UTF-8 is replaced here, once.
   * Entries of lists stay as they are: a token may be any bytes. */
  if (!g_utf8_validate_len (chars, length, NULL))
    {
      /* Every bad byte becomes three. */
      if (!charge (self, 2 * (guint64) length, error))
        return FALSE;
      repaired = g_utf8_make_valid (chars, (gssize) length);
      chars = repaired;
      length = strlen (repaired);
    }
  if (!charge (self, (guint64) length + 1, error))
    return FALSE;
  value.v_string.chars = chars;
  value.v_string.length = length;
  return atl_checkpoint_add_meta (cp, key, &value, error);
}

static gboolean
read_key (Reader *self, char **out, GError **error)
{
  AtlGgufCursor *cursor = self->cursor;
  const char *chars;
  gsize length;

  if (!atl_gguf_string (cursor, N_ ("the name of a setting"), &chars, &length, error))
    return FALSE;
  if (length == 0 || length > ATL_GGUF_MAX_KEY_BYTES)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s: a setting's name has %zu bytes; expected 1 to %u"),
                            cursor->file, length, ATL_GGUF_MAX_KEY_BYTES);
  /* That refuses zeros, too. */
  if (!g_utf8_validate_len (chars, length, NULL))
    {
      g_autofree char *shown = atl_format_excerpt (chars, length);
      return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                              _ ("%s: the setting's name “%s” is not valid UTF-8 text"),
                              cursor->file, shown);
    }
  *out = g_strndup (chars, length);
  return charge (self, length + sizeof (AtlMetaValue), error);
}

static gboolean
read_pair (Reader *self, AtlGgufFile *file, AtlCheckpoint *cp, GError **error)
{
  AtlGgufCursor *cursor = self->cursor;
  g_autofree char *key = NULL;
  AtlMetaValue value;
  const guint8 *bytes;
  guint32 type;

  if (!read_key (self, &key, error) ||
      !atl_gguf_u32 (cursor, N_ ("the type of a setting"), &type, error))
    return FALSE;
  self->key = key;
  if (type >= ATL_GGUF_N_TYPES)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE, _ ("%s: “%s” has the unknown value type %u"),
                            cursor->file, key, type);
  if (strcmp (key, "general.alignment") == 0 && type != ATL_GGUF_U32)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s: “general.alignment” should be an unsigned 32-bit number"),
                            cursor->file);
  if (type == ATL_GGUF_STRING)
    return read_text (self, key, cp, error);
  if (type == ATL_GGUF_ARRAY)
    return read_array (self, key, cp, error);

  if (!atl_gguf_take (cursor, type_bytes[type], N_ ("a setting"), &bytes, error))
    return FALSE;
  decode_scalar (type, bytes, &value);
  if (strcmp (key, "general.alignment") == 0)
    {
      guint64 alignment = value.v_uint;

      if (alignment == 0 || (alignment & (alignment - 1)) != 0 ||
          alignment > ATL_GGUF_MAX_ALIGNMENT)
        return atl_format_fail (
            error, ATL_ERROR_BAD_FILE,
            _ ("%s: “general.alignment” is %" PRIu64 "; expected a power of two up to %u"),
            cursor->file, alignment, ATL_GGUF_MAX_ALIGNMENT);
      file->alignment = alignment;
    }
  return atl_checkpoint_add_meta (cp, key, &value, error);
}

gboolean
atl_gguf_read_meta (AtlGgufFile *self, AtlCheckpoint *cp, GError **error)
{
  Reader reader = { &self->cursor, "", ATL_GGUF_MAX_META_BYTES };

  for (guint64 i = 0; i < self->n_pairs; i++)
    {
      if (!read_pair (&reader, self, cp, error))
        return FALSE;
      reader.key = "";
    }
  return TRUE;
}
