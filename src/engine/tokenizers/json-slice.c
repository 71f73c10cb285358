/* Reading large JSON values one at a time. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/json-slice.h"

#include <math.h>
#include <string.h>

static void
skip_space (AtlJsonReader *self)
{
  while (self->p < self->end &&
         (*self->p == ' ' || *self->p == '\t' || *self->p == '\n' || *self->p == '\r'))
    self->p++;
}

char
atl_json_reader_peek (AtlJsonReader *self)
{
  if (self->p == NULL)
    return 0;
  skip_space (self);
  return self->p < self->end ? *self->p : 0;
}

static gboolean
step (AtlJsonReader *self, char expected)
{
  if (atl_json_reader_peek (self) != expected || expected == 0)
    return FALSE;
  self->p++;
  return TRUE;
}

gboolean
atl_json_reader_enter (AtlJsonReader *self, char bracket)
{
  self->first = TRUE;
  return step (self, bracket);
}

gboolean
atl_json_reader_more (AtlJsonReader *self, char closing)
{
  if (step (self, closing))
    {
      /* The container itself was a value of the one around it. */
      self->first = FALSE;
      return FALSE;
    }
  if (self->first || step (self, ','))
    {
      self->first = FALSE;
      return TRUE;
    }
  self->p = NULL;
  return FALSE;
}

gboolean
atl_json_reader_colon (AtlJsonReader *self)
{
  return step (self, ':');
}

static int
hex4 (AtlJsonReader *self)
{
  int value = 0;

  if (self->end - self->p < 4)
    return -1;
  for (guint i = 0; i < 4; i++, self->p++)
    {
      if (!g_ascii_isxdigit (*self->p))
        return -1;
      value = value * 16 + g_ascii_xdigit_value (*self->p);
    }
  return value;
}

static gboolean
read_escape (AtlJsonReader *self, GString *out)
{
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  const char *known;
  int high, low;

  if (self->p >= self->end || *self->p == 0)
    return FALSE;
  if (*self->p != 'u')
    {
      known = strchr (names, *self->p++);
      if (known != NULL)
        g_string_append_c (out, values[known - names]);
      return known != NULL;
    }

  self->p++;
  high = hex4 (self);
  if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
    return FALSE;
  if (high >= 0xd800 && high <= 0xdbff)
    {
      if (self->end - self->p < 2 || self->p[0] != '\\' || self->p[1] != 'u')
        return FALSE;
      self->p += 2;
      low = hex4 (self);
      if (low < 0xdc00 || low > 0xdfff)
        return FALSE;
      high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    }
  g_string_append_unichar (out, (gunichar) high);
  return TRUE;
}

gboolean
atl_json_reader_string (AtlJsonReader *self, GString *out)
{
  g_string_truncate (out, 0);
  if (!step (self, '"'))
    return FALSE;
  while (self->p < self->end)
    {
      const char *run = self->p;

      while (self->p < self->end && *self->p != '"' && *self->p != '\\' &&
             (guint8) *self->p >= 0x20)
        self->p++;
      g_string_append_len (out, run, self->p - run);
      if (self->p >= self->end || (guint8) *self->p < 0x20)
        return FALSE;
      if (*self->p++ == '"')
        return TRUE;
      if (!read_escape (self, out))
        return FALSE;
    }
  return FALSE;
}

/* A number's characters, terminated; FALSE when there are none or too many. */
static gboolean
read_number (AtlJsonReader *self, char *buffer, gsize size)
{
  gsize n = 0;

  atl_json_reader_peek (self);
  while (self->p != NULL && self->p < self->end && n + 1 < size && *self->p != 0 &&
         strchr ("+-.eE0123456789", *self->p) != NULL)
    buffer[n++] = *self->p++;
  buffer[n] = 0;
  return n > 0 && n + 1 < size && (g_ascii_isdigit (buffer[0]) || buffer[0] == '-');
}

gboolean
atl_json_reader_int (AtlJsonReader *self, gint64 *out)
{
  char buffer[32];

  return read_number (self, buffer, sizeof buffer) &&
         g_ascii_string_to_signed (buffer, 10, G_MININT64, G_MAXINT64, out, NULL);
}

gboolean
atl_json_reader_double (AtlJsonReader *self, double *out)
{
  char buffer[64], *stop = NULL;

  if (!read_number (self, buffer, sizeof buffer))
    return FALSE;
  *out = g_ascii_strtod (buffer, &stop);
  return *stop == 0 && isfinite (*out);
}

gboolean
atl_json_reader_done (AtlJsonReader *self)
{
  return self->p != NULL && atl_json_reader_peek (self) == 0;
}

/* --- Cutting out --- */

/* Steps over any value by its brackets alone; what is inside is read, and judged, later. */
static gboolean
skip_value (AtlJsonReader *self)
{
  char c = atl_json_reader_peek (self);
  gboolean in_string = FALSE;
  gsize depth = 0;

  if (c == 0)
    return FALSE;
  for (; self->p < self->end; self->p++)
    {
      c = *self->p;
      if (in_string)
        {
          if (c == '\\' && self->p + 1 < self->end)
            self->p++;
          in_string = c != '"';
        }
      else if (c == '"')
        in_string = TRUE;
      else if (c == '{' || c == '[')
        depth++;
      else if (depth == 0 && (c == ',' || c == '}' || c == ']'))
        return TRUE;
      else if (c == '}' || c == ']')
        depth--;
      if (depth == 0 && !in_string && (c == '}' || c == ']' || c == '"'))
        {
          self->p++;
          return self->p <= self->end;
        }
    }
  return depth == 0 && !in_string && self->p == self->end;
}

/* Walks an object; for each member `found` may take its value out. */
typedef gboolean (*FoundMember) (const char *name, AtlJsonReader *value, gpointer data);

static gboolean
walk_object (AtlJsonReader *self, FoundMember found, gpointer data)
{
  g_autoptr (GString) name = g_string_new (NULL);

  if (!atl_json_reader_enter (self, '{'))
    return FALSE;
  while (atl_json_reader_more (self, '}'))
    if (!atl_json_reader_string (self, name) || !atl_json_reader_colon (self) ||
        !found (name->str, self, data))
      return FALSE;
  return self->p != NULL;
}

typedef struct
{
  GString *rest;
  const char *copied; /* up to here the text is in `rest` */
  AtlJsonSlices *slices;
} Cutting;

static gboolean
found_in_model (const char *name, AtlJsonReader *value, gpointer data)
{
  Cutting *cutting = data;
  AtlJsonReader *slice = strcmp (name, "vocab") == 0    ? &cutting->slices->vocab
                         : strcmp (name, "merges") == 0 ? &cutting->slices->merges
                                                        : NULL;
  const char *start;

  atl_json_reader_peek (value);
  start = value->p;
  if (!skip_value (value))
    return FALSE;
  if (slice == NULL)
    return TRUE;
  *slice = (AtlJsonReader){ start, value->p, TRUE };
  g_string_append_len (cutting->rest, cutting->copied, start - cutting->copied);
  g_string_append (cutting->rest, "null");
  cutting->copied = value->p;
  return TRUE;
}

static gboolean
found_in_root (const char *name, AtlJsonReader *value, gpointer data)
{
  if (strcmp (name, "model") == 0 && atl_json_reader_peek (value) == '{')
    return walk_object (value, found_in_model, data);
  return skip_value (value);
}

char *
atl_json_slice (const char *json, gsize size, AtlJsonSlices *slices)
{
  AtlJsonReader whole = { json, json + size, TRUE };
  Cutting cutting = { g_string_new (NULL), json, slices };

  *slices = (AtlJsonSlices){ 0 };
  if (!walk_object (&whole, found_in_root, &cutting))
    {
      *slices = (AtlJsonSlices){ 0 };
      g_string_truncate (cutting.rest, 0);
      cutting.copied = json;
    }
  g_string_append_len (cutting.rest, cutting.copied, json + size - cutting.copied);
  return g_string_free (cutting.rest, FALSE);
}
