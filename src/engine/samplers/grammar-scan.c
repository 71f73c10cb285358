/* The GBNF scanner: blanks, names, numbers, characters and their escapes. */
#define G_LOG_DOMAIN "atl-grammar"

#include "engine/samplers/grammar-scan.h"

#include <glib/gi18n.h>

#include "base/error.h"

gboolean
gbnf_fail (GbnfScan *self, const char *message)
{
  if (self->error == NULL)
    self->error =
        g_error_new (ATL_ERROR, ATL_ERROR_INVALID, _ ("grammar, line %u: %s"), self->line, message);
  return FALSE;
}

gboolean
gbnf_fail_limit (GbnfScan *self, const char *message)
{
  if (self->error == NULL)
    self->error = g_error_new (ATL_ERROR, ATL_ERROR_TOO_COMPLEX, _ ("grammar, line %u: %s"),
                               self->line, message);
  return FALSE;
}

int
gbnf_peek (const GbnfScan *self)
{
  return self->at < self->end ? (guint8) *self->at : -1;
}

void
gbnf_skip_space (GbnfScan *self, gboolean newlines)
{
  for (;;)
    {
      int c = gbnf_peek (self);

      if (c == '#')
        while (self->at < self->end && *self->at != '\n' && *self->at != '\r')
          self->at++;
      else if (c == ' ' || c == '\t')
        self->at++;
      else if (newlines && (c == '\n' || c == '\r'))
        {
          self->line += c == '\n';
          self->at++;
        }
      else
        return;
    }
}

gboolean
gbnf_is_name_char (int c)
{
  return c >= 0 && (g_ascii_isalnum ((char) c) || c == '-' || c == '_');
}

char *
gbnf_read_name (GbnfScan *self)
{
  const char *start = self->at;

  while (gbnf_is_name_char (gbnf_peek (self)))
    self->at++;
  return self->at > start ? g_strndup (start, (gsize) (self->at - start)) : NULL;
}

static gboolean
read_hex (GbnfScan *self, guint n_digits, gunichar *out)
{
  gunichar c = 0;

  for (guint i = 0; i < n_digits; i++)
    {
      int digit = self->at < self->end ? g_ascii_xdigit_value (*self->at) : -1;

      if (digit < 0)
        return gbnf_fail (self, _ ("an escape needs more hexadecimal digits"));
      c = c << 4 | (gunichar) digit;
      self->at++;
    }
  if (c > 0x10ffff)
    return gbnf_fail (self, _ ("an escape is no Unicode character"));
  *out = c;
  return TRUE;
}

gboolean
gbnf_read_char (GbnfScan *self, gunichar *out)
{
  int c = gbnf_peek (self);

  if (c < 0)
    return gbnf_fail (self, _ ("the grammar ends inside of a literal or class"));
  if (c != '\\')
    {
      *out = g_utf8_get_char (self->at);
      self->line += *out == '\n';
      self->at = g_utf8_next_char (self->at);
      return TRUE;
    }
  self->at++;
  c = gbnf_peek (self);
  if (c < 0)
    return gbnf_fail (self, _ ("the grammar ends inside of an escape"));
  self->at++;
  switch (c)
    {
    case 'x':
      return read_hex (self, 2, out);
    case 'u':
      return read_hex (self, 4, out);
    case 'U':
      return read_hex (self, 8, out);
    case 't':
      *out = '\t';
      return TRUE;
    case 'r':
      *out = '\r';
      return TRUE;
    case 'n':
      *out = '\n';
      return TRUE;
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
      *out = (gunichar) c;
      return TRUE;
    default:
      return gbnf_fail (self, _ ("unknown escape"));
    }
}

gboolean
gbnf_read_number (GbnfScan *self, guint32 *out)
{
  guint64 value = 0;

  if (self->at >= self->end || !g_ascii_isdigit (*self->at))
    return gbnf_fail (self, _ ("expected a number"));
  while (self->at < self->end && g_ascii_isdigit (*self->at))
    {
      value = value * 10 + (guint64) (*self->at - '0');
      if (value > G_MAXINT32)
        return gbnf_fail (self, _ ("a number is too large"));
      self->at++;
    }
  *out = (guint32) value;
  return TRUE;
}
