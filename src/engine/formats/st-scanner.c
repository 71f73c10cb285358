/* A strict scanner for safetensors headers. */
#define G_LOG_DOMAIN "atl-formats"

#include "engine/formats/st-scanner.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/formats/format-error.h"

void
atl_st_scanner_init (AtlStScanner *self, const char *text, gsize size, const char *file)
{
  *self = (AtlStScanner){ text, text, text + size, file };
}

static gboolean
fail (const AtlStScanner *self, const char *what, GError **error)
{
  g_autofree char *found = NULL;

  if (self->at >= self->end)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE, _ ("%s: the header ends inside %s"),
                            self->file, _ (what));
  found = atl_format_excerpt (self->at, MIN ((gsize) (self->end - self->at), 12));
  return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                          _ ("%s: the header is broken: “%s” at byte %zu cannot be %s"), self->file,
                          found, (gsize) (self->at - self->start), _ (what));
}

/* Skips white space; the next character, or '\0' at the end. */
static char
peek (AtlStScanner *self)
{
  while (self->at < self->end &&
         (*self->at == ' ' || *self->at == '\n' || *self->at == '\t' || *self->at == '\r'))
    self->at++;
  return self->at < self->end ? *self->at : '\0';
}

gboolean
atl_st_expect (AtlStScanner *self, char c, const char *what, GError **error)
{
  if (peek (self) != c)
    return fail (self, what, error);
  self->at++;
  return TRUE;
}

/* Four hexadecimal digits at `at`; -1 if there are none. */
static gint
hex4 (const AtlStScanner *self, const char *at)
{
  gint value = 0;

  if (self->end - at < 4)
    return -1;
  for (guint i = 0; i < 4; i++)
    {
      gint digit = g_ascii_xdigit_value (at[i]);

      if (digit < 0)
        return -1;
      value = value << 4 | digit;
    }
  return value;
}

/* The part of an escape after its backslash. */
static gboolean
read_escape (AtlStScanner *self, GString *out)
{
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  const char *name;
  gint unit, low;

  if (self->at >= self->end)
    return FALSE;
  name = *self->at != '\0' ? strchr (names, *self->at) : NULL;
  if (name != NULL)
    {
      g_string_append_c (out, values[name - names]);
      self->at++;
      return TRUE;
    }
  if (*self->at != 'u')
    return FALSE;

  unit = hex4 (self, self->at + 1);
  if (unit <= 0 || (unit >= 0xdc00 && unit < 0xe000))
    return FALSE;
  self->at += 5;
  if (unit >= 0xd800 && unit < 0xdc00)
    {
      if (self->end - self->at < 6 || self->at[0] != '\\' || self->at[1] != 'u')
        return FALSE;
      low = hex4 (self, self->at + 2);
      if (low < 0xdc00 || low >= 0xe000)
        return FALSE;
      self->at += 6;
      unit = 0x10000 + ((unit - 0xd800) << 10 | (low - 0xdc00));
    }
  g_string_append_unichar (out, (gunichar) unit);
  return TRUE;
}

gboolean
atl_st_text (AtlStScanner *self, const char *what, char **out, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);

  if (!atl_st_expect (self, '"', what, error))
    return FALSE;
  while (self->at < self->end && *self->at != '"')
    {
      const char *run = self->at;

      while (self->at < self->end && *self->at != '"' && *self->at != '\\')
        {
          if ((guchar) *self->at < 0x20)
            return fail (self, what, error);
          self->at++;
        }
      g_string_append_len (text, run, self->at - run);
      if (self->at < self->end && *self->at == '\\')
        {
          self->at++;
          if (!read_escape (self, text))
            return fail (self, what, error);
        }
    }
  if (self->at >= self->end)
    return fail (self, what, error);
  if (!g_utf8_validate_len (text->str, text->len, NULL))
    {
      g_autofree char *shown = atl_format_excerpt (text->str, text->len);
      return atl_format_fail (error, ATL_ERROR_BAD_FILE, _ ("%s: “%s” is not valid UTF-8 text"),
                              self->file, shown);
    }
  self->at++;
  *out = g_string_free (g_steal_pointer (&text), FALSE);
  return TRUE;
}

gboolean
atl_st_uint (AtlStScanner *self, const char *what, guint64 *out, GError **error)
{
  const char *start;
  guint64 value = 0;

  peek (self);
  start = self->at;
  while (self->at < self->end && g_ascii_isdigit (*self->at))
    {
      if (__builtin_mul_overflow (value, (guint64) 10, &value) ||
          __builtin_add_overflow (value, (guint64) (*self->at - '0'), &value))
        break;
      self->at++;
    }
  if (self->at == start || (*start == '0' && self->at - start > 1) ||
      (self->at < self->end &&
       (g_ascii_isdigit (*self->at) || *self->at == '.' || *self->at == 'e' || *self->at == 'E')))
    {
      self->at = start;
      return fail (self, what, error);
    }
  *out = value;
  return TRUE;
}

gboolean
atl_st_next (AtlStScanner *self,
             char close,
             gboolean *first,
             gboolean *more,
             const char *what,
             GError **error)
{
  char c = peek (self);

  *more = TRUE;
  if (c == close)
    {
      self->at++;
      *more = FALSE;
      return TRUE;
    }
  if (!*first)
    return atl_st_expect (self, ',', what, error);
  *first = FALSE;
  return TRUE;
}

gboolean
atl_st_skip (AtlStScanner *self, const char *what, GError **error)
{
  gsize depth = 0;

  do
    {
      char c = peek (self);

      if (c == '"')
        {
          g_autofree char *ignored = NULL;

          if (!atl_st_text (self, what, &ignored, error))
            return FALSE;
          continue;
        }
      if (self->at >= self->end || (depth == 0 && strchr (",:]}", c) != NULL))
        return fail (self, what, error);
      if (c == '{' || c == '[')
        depth++;
      else if (c == '}' || c == ']')
        depth--;
      else if (c != ',' && c != ':')
        {
          /* A number or a word; one character at least, so that the loop always moves. */
          while (self->at + 1 < self->end && strchr ("{}[],:\" \n\t\r", self->at[1]) == NULL)
            self->at++;
        }
      self->at++;
    }
  while (depth > 0);
  return TRUE;
}

gboolean
atl_st_finish (AtlStScanner *self, GError **error)
{
  while (self->at < self->end && *self->at == ' ')
    self->at++;
  if (self->at < self->end)
    return fail (self, N_ ("padding"), error);
  return TRUE;
}
