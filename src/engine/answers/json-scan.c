/* A pushdown automaton over the bytes of JSON. */
#define G_LOG_DOMAIN "atl-answers"

#include "engine/answers/json-scan.h"

#include <string.h>

G_STATIC_ASSERT (ATL_JSON_MAX_DEPTH <= 64);

typedef enum
{
  VALUE,        /* one must come */
  VALUE_OR_END, /* after '[' */
  KEY,          /* after a comma in an object */
  KEY_OR_END,   /* after '{' */
  COLON,
  NEXT, /* a comma or the end */
  IN_STRING,
  IN_KEY,
  ESCAPED, /* in a string; ESCAPED_KEY, HEX_KEY: in a key */
  ESCAPED_KEY,
  HEX,
  HEX_KEY,
  TOKEN, /* in a number or word */
  DONE,
  BAD,
} Place;

void
atl_json_scan_init (AtlJsonScan *self)
{
  memset (self, 0, sizeof *self);
  self->place = VALUE;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)? */
static gboolean
is_number (const char *p)
{
  p += *p == '-';
  if (!g_ascii_isdigit (*p))
    return FALSE;
  if (*p == '0')
    p++;
  else
    p += strspn (p, "0123456789");
  if (*p == '.')
    {
      if (!g_ascii_isdigit (*++p))
        return FALSE;
      p += strspn (p, "0123456789");
    }
  if (*p == 'e' || *p == 'E')
    {
      p++;
      p += *p == '-' || *p == '+';
      if (!g_ascii_isdigit (*p))
        return FALSE;
      p += strspn (p, "0123456789");
    }
  return *p == '\0';
}

static Place
end_value (const AtlJsonScan *self)
{
  return self->depth == 0 ? DONE : NEXT;
}

static Place
end_token (AtlJsonScan *self)
{
  const char *token = (const char *) self->token;

  self->token[self->n_token] = '\0';
  return is_number (token) || g_str_equal (token, "true") || g_str_equal (token, "false") ||
                 g_str_equal (token, "null")
             ? end_value (self)
             : BAD;
}

static gboolean
in_object (const AtlJsonScan *self)
{
  return self->depth > 0 && (self->is_object >> (self->depth - 1) & 1) != 0;
}

static Place
open_level (AtlJsonScan *self, gboolean is_object)
{
  guint64 bit = G_GUINT64_CONSTANT (1) << self->depth;

  if (self->depth >= ATL_JSON_MAX_DEPTH - 1)
    return BAD;
  self->is_object = is_object ? self->is_object | bit : self->is_object & ~bit;
  self->depth++;
  return is_object ? KEY_OR_END : VALUE_OR_END;
}

static Place
close_level (AtlJsonScan *self)
{
  self->depth--;
  return end_value (self);
}

static Place
begin_value (AtlJsonScan *self, guint8 c)
{
  if (c == '{' || c == '[')
    return open_level (self, c == '{');
  if (c == '"')
    return IN_STRING;
  if (!g_ascii_isalnum (c) && c != '-')
    return BAD;
  self->token[0] = c;
  self->n_token = 1;
  return TOKEN;
}

static Place
step_string (AtlJsonScan *self, guint8 c, gboolean is_key)
{
  if (c == '"')
    return is_key ? COLON : end_value (self);
  if (c == '\\')
    return is_key ? ESCAPED_KEY : ESCAPED;
  if (c < 0x20)
    {
      if (c != '\n' && c != '\t' && c != '\r')
        return BAD;
      self->has_raw = TRUE;
    }
  return is_key ? IN_KEY : IN_STRING;
}

static Place
step_escape (AtlJsonScan *self, guint8 c, gboolean is_key)
{
  if (c == 'u')
    {
      self->n_hex = 4;
      return is_key ? HEX_KEY : HEX;
    }
  return c != '\0' && strchr ("\"\\/bfnrt", c) != NULL ? (is_key ? IN_KEY : IN_STRING) : BAD;
}

static Place
step_hex (AtlJsonScan *self, guint8 c, gboolean is_key)
{
  if (!g_ascii_isxdigit (c))
    return BAD;
  /* Maybe half of a pair, which other readers refuse without its other half. */
  if (self->n_hex == 4 && (c == 'd' || c == 'D'))
    self->has_raw = TRUE;
  if (--self->n_hex > 0)
    return is_key ? HEX_KEY : HEX;
  return is_key ? IN_KEY : IN_STRING;
}

/* Between values, blanks aside. */
static Place
step_between (AtlJsonScan *self, guint8 c)
{
  switch ((Place) self->place)
    {
    case VALUE_OR_END:
      return c == ']' ? close_level (self) : begin_value (self, c);
    case KEY_OR_END:
      return c == '}' ? close_level (self) : c == '"' ? IN_KEY : BAD;
    case KEY:
      return c == '"' ? IN_KEY : BAD;
    case COLON:
      return c == ':' ? VALUE : BAD;
    case NEXT:
      if (c == ',')
        return in_object (self) ? KEY : VALUE;
      return c == (in_object (self) ? '}' : ']') ? close_level (self) : BAD;
    default:
      return begin_value (self, c);
    }
}

/* TRUE if the byte belongs to the value. */
static gboolean
step (AtlJsonScan *self, guint8 c)
{
  switch ((Place) self->place)
    {
    case IN_STRING:
    case IN_KEY:
      self->place = step_string (self, c, self->place == IN_KEY);
      return TRUE;
    case ESCAPED:
    case ESCAPED_KEY:
      self->place = step_escape (self, c, self->place == ESCAPED_KEY);
      return TRUE;
    case HEX:
    case HEX_KEY:
      self->place = step_hex (self, c, self->place == HEX_KEY);
      return TRUE;
    case TOKEN:
      if (g_ascii_isalnum (c) || c == '.' || c == '+' || c == '-')
        {
          if (self->n_token >= sizeof self->token - 1)
            self->place = BAD;
          else
            self->token[self->n_token++] = c;
          return TRUE;
        }
      self->place = end_token (self);
      return FALSE;
    case VALUE:
    case VALUE_OR_END:
    case KEY:
    case KEY_OR_END:
    case COLON:
    case NEXT:
      if (c == ' ' || c == '\n' || c == '\t' || c == '\r')
        return TRUE;
      self->place = step_between (self, c);
      return TRUE;
    case DONE:
    case BAD:
    default:
      return TRUE;
    }
}

AtlJsonScanState
atl_json_scan_push (AtlJsonScan *self, const char *text, gsize n, gsize *used)
{
  gsize i = 0;

  while (i < n && self->place != DONE && self->place != BAD)
    i += step (self, (guint8) text[i]);
  *used = i;
  return self->place == DONE  ? ATL_JSON_SCAN_DONE
         : self->place == BAD ? ATL_JSON_SCAN_BAD
                              : ATL_JSON_SCAN_MORE;
}
