/* A recursive reader of Python's and Gemma's literals, its depth bounded. */
#define G_LOG_DOMAIN "atl-answers"

#include "engine/answers/call-values.h"

#include <string.h>

#include "base/json-bounded.h"

#define MAX_DEPTH 32
#define GEMMA_QUOTE "<|\"|>"

typedef struct
{
  const char *p, *end;
  gboolean is_gemma;
  guint depth;
} Reader;

static gboolean read_value (Reader *r, GString *out);

static void
skip_blanks (Reader *r)
{
  while (r->p < r->end && g_ascii_isspace (*r->p))
    r->p++;
}

/* Blanks, then exactly `text`. */
static gboolean
take (Reader *r, const char *text)
{
  gsize n = strlen (text);

  skip_blanks (r);
  if ((gsize) (r->end - r->p) < n || memcmp (r->p, text, n) != 0)
    return FALSE;
  r->p += n;
  return TRUE;
}

static gboolean
is_word_letter (char c)
{
  return g_ascii_isalnum (c) || c == '_' || c == '-' || c == '.' || (c & 0x80) != 0;
}

/* A name; empty if there is none. */
static char *
take_word (Reader *r)
{
  const char *start;

  skip_blanks (r);
  for (start = r->p; r->p < r->end && is_word_letter (*r->p); r->p++)
    ;
  return g_strndup (start, (gsize) (r->p - start));
}

static void
append_quoted (GString *out, const char *text)
{
  g_autofree char *quoted = atl_json_quote (text);

  g_string_append (out, quoted);
}

/* The value of n hexadecimal digits, or −1. */
static gint64
take_hex (Reader *r, guint n)
{
  gint64 value = 0;

  if (r->end - r->p < (gssize) n)
    return -1;
  for (guint i = 0; i < n; i++)
    {
      int digit = g_ascii_xdigit_value (r->p[i]);

      if (digit < 0)
        return -1;
      value = value * 16 + digit;
    }
  r->p += n;
  return value;
}

static gboolean
take_escape (Reader *r, GString *text)
{
  static const char from[] = "nrtbfav0", to[] = "\n\r\t\b\f\a\v";
  char c = *r->p++;
  const char *known = c != '\0' ? strchr (from, c) : NULL;
  gint64 value;

  if (c == 'x' || c == 'u' || c == 'U')
    {
      value = take_hex (r, c == 'x' ? 2 : c == 'u' ? 4 : 8);
      if (value >= 0xd800 && value < 0xdc00 && take (r, "\\u"))
        value = 0x10000 + ((value - 0xd800) << 10) + (take_hex (r, 4) - 0xdc00);
      if (value <= 0 || value > 0x10ffff || !g_unichar_validate ((gunichar) value))
        return FALSE;
      g_string_append_unichar (text, (gunichar) value);
    }
  else if (known != NULL && known - from < 7)
    g_string_append_c (text, to[known - from]);
  else if (c == '\'' || c == '"' || c == '\\' || c == '/')
    g_string_append_c (text, c);
  else if (c != '\n')
    {
      g_string_append_c (text, '\\');
      g_string_append_c (text, c);
    }
  return TRUE;
}

static gboolean
read_string (Reader *r, GString *out)
{
  g_autoptr (GString) text = g_string_new (NULL);
  char quote = *r->p;
  const char *triple = quote == '"' ? "\"\"\"" : "'''";
  gboolean is_triple = take (r, triple);

  if (!is_triple)
    r->p++;
  while (r->p < r->end)
    {
      if (is_triple ? r->end - r->p >= 3 && memcmp (r->p, triple, 3) == 0 : *r->p == quote)
        {
          r->p += is_triple ? 3 : 1;
          append_quoted (out, text->str);
          return TRUE;
        }
      if (*r->p == '\\' && r->p + 1 < r->end)
        {
          r->p++;
          if (!take_escape (r, text))
            return FALSE;
        }
      else
        g_string_append_c (text, *r->p++);
    }
  return FALSE;
}

static gboolean
read_gemma_string (Reader *r, GString *out)
{
  const char *end = g_strstr_len (r->p, r->end - r->p, GEMMA_QUOTE);
  g_autofree char *text = NULL;

  if (end == NULL)
    return FALSE;
  text = g_strndup (r->p, (gsize) (end - r->p));
  r->p = end + strlen (GEMMA_QUOTE);
  append_quoted (out, text);
  return TRUE;
}

/* "close" or a comma before the next item; FALSE with *ok cleared when it is neither. */
static gboolean
more_items (Reader *r, const char *close, gboolean *ok)
{
  gboolean comma = take (r, ",");

  if (take (r, close))
    return FALSE;
  *ok = comma;
  return comma;
}

static gboolean
read_list (Reader *r, const char *close, GString *out)
{
  gboolean ok = TRUE;

  g_string_append_c (out, '[');
  if (!take (r, close))
    do
      {
        if (out->str[out->len - 1] != '[')
          g_string_append (out, ", ");
        if (!read_value (r, out))
          return FALSE;
      }
    while (more_items (r, close, &ok));
  g_string_append_c (out, ']');
  return ok;
}

/* A key: a string, or in Gemma's notation a word. */
static gboolean
read_key (Reader *r, GString *out)
{
  g_autofree char *word = NULL;

  skip_blanks (r);
  if (r->is_gemma && take (r, GEMMA_QUOTE))
    return read_gemma_string (r, out);
  if (r->p < r->end && (*r->p == '"' || *r->p == '\''))
    return read_string (r, out);
  if (!r->is_gemma)
    return FALSE;
  word = take_word (r);
  append_quoted (out, word);
  return *word != '\0';
}

/* Behind the opening bracket: "key" `colon` "value", separated by commas, up to `close`. */
static gboolean
read_pairs (Reader *r, const char *colon, const char *close, gboolean word_keys, GString *out)
{
  gboolean ok = TRUE;

  g_string_append_c (out, '{');
  if (!take (r, close))
    do
      {
        if (out->str[out->len - 1] != '{')
          g_string_append (out, ", ");
        skip_blanks (r);
        if (word_keys && r->p < r->end && *r->p != '"')
          {
            g_autofree char *word = take_word (r);

            if (*word == '\0')
              return FALSE;
            append_quoted (out, word);
          }
        else if (!read_key (r, out))
          return FALSE;
        if (!take (r, colon))
          return FALSE;
        g_string_append (out, ": ");
        if (!read_value (r, out))
          return FALSE;
      }
    while (more_items (r, close, &ok));
  g_string_append_c (out, '}');
  return ok;
}

static gboolean
read_word (Reader *r, GString *out)
{
  static const char *const words[][2] = {
    { "True", "true" }, { "False", "false" }, { "None", "null" },
    { "true", "true" }, { "false", "false" }, { "null", "null" },
  };
  const char *sign = "";
  g_autofree char *word = NULL;
  g_autofree char *number = NULL;
  g_autoptr (JsonNode) node = NULL;

  if (take (r, "-"))
    sign = "-";
  else
    take (r, "+");
  word = take_word (r);
  /* "1e+5": the sign is no letter. */
  if ((g_str_has_suffix (word, "e") || g_str_has_suffix (word, "E")) && g_ascii_isdigit (*word) &&
      r->p < r->end && *r->p == '+')
    {
      g_autofree char *rest = NULL;

      r->p++;
      rest = take_word (r);
      number = g_strconcat (sign, word, rest, NULL);
    }
  else
    number = g_strconcat (sign, word, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (words); i++)
    if (g_str_equal (number, words[i][0]))
      {
        g_string_append (out, words[i][1]);
        return TRUE;
      }
  if (!g_ascii_isdigit (*word) && *word != '.')
    return FALSE;
  node = atl_json_parse (number, strlen (number), "number", NULL);
  if (node == NULL || !JSON_NODE_HOLDS_VALUE (node) ||
      json_node_get_value_type (node) == G_TYPE_STRING)
    return FALSE;
  g_free (number);
  number = atl_json_write (node);
  if (number == NULL)
    return FALSE;
  g_string_append (out, number);
  return TRUE;
}

static gboolean
read_value (Reader *r, GString *out)
{
  gboolean ok;

  skip_blanks (r);
  if (r->p >= r->end || ++r->depth > MAX_DEPTH)
    return FALSE;
  if (r->is_gemma && take (r, GEMMA_QUOTE))
    ok = read_gemma_string (r, out);
  else if (*r->p == '"' || *r->p == '\'')
    ok = read_string (r, out);
  else if (take (r, "["))
    ok = read_list (r, "]", out);
  else if (!r->is_gemma && take (r, "("))
    ok = read_list (r, ")", out);
  else if (take (r, "{"))
    ok = read_pairs (r, ":", "}", FALSE, out);
  else
    ok = read_word (r, out);
  r->depth--;
  return ok;
}

gboolean
atl_calls_from_python (const char *text, gsize n, AtlCallFunc func, gpointer data)
{
  Reader r = { .p = text, .end = text + n };
  gboolean is_list = take (&r, "["), ok = TRUE;

  if (is_list && take (&r, "]"))
    return FALSE;
  do
    {
      g_autofree char *name = take_word (&r);
      g_autoptr (GString) arguments = g_string_new (NULL);

      if (*name == '\0' || !take (&r, "(") || !read_pairs (&r, "=", ")", TRUE, arguments))
        return FALSE;
      func (name, arguments->str, data);
      if (!is_list && (skip_blanks (&r), r.p == r.end))
        return TRUE;
    }
  while (is_list ? more_items (&r, "]", &ok) : take (&r, ",") || take (&r, ";"));
  skip_blanks (&r);
  return ok && r.p == r.end;
}

gboolean
atl_call_from_gemma (const char *text, gsize n, AtlCallFunc func, gpointer data)
{
  Reader r = { .p = text, .end = text + n, .is_gemma = TRUE };
  g_autofree char *name = NULL;
  g_autoptr (GString) arguments = g_string_new (NULL);

  if (!take (&r, "call:"))
    return FALSE;
  name = take_word (&r);
  if (*name == '\0' || !take (&r, "{") || !read_pairs (&r, ":", "}", FALSE, arguments))
    return FALSE;
  skip_blanks (&r);
  if (r.p != r.end)
    return FALSE;
  func (name, arguments->str, data);
  return TRUE;
}
