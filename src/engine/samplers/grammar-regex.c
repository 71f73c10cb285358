/* Regular expressions (of JSON schemas' "pattern") as grammars for the inside of a JSON string:
 * what the expression matches is the string's value, what the grammar reads is its spelling in
 * JSON. Or for bare text, on one line and without the character that ends it. */
#define G_LOG_DOMAIN "atl-grammar"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/samplers/grammar-private.h"

#define MAX_NESTING 50
#define MAX_OUTPUT (1 << 18)

typedef struct
{
  const char *at;
  GString *out;
  guint nesting;
  char without;         /* bare text that does not have this; 0: in JSON */
  gboolean unsupported; /* valid, but no grammar expresses it */
  const char *error;    /* (nullable) what is wrong with it; static */
} Regex;

/* A set of characters of a class under construction: of the ASCII ones each by itself. */
typedef struct
{
  gboolean ascii[128];
  GString *others; /* GBNF class text of the rest */
} Class;

static gboolean
give_up (Regex *r)
{
  r->unsupported = TRUE;
  return FALSE;
}

static gboolean
wrong (Regex *r, const char *why)
{
  r->error = why;
  return FALSE;
}

/* A character as it is spelled in a GBNF class. */
static void
append_class_char (GString *out, gunichar c)
{
  if (c < 0x20 || c == 0x7f)
    g_string_append_printf (out, "\\x%02X", c);
  else if (c < 0x80 && strchr ("\\]-[^\"", (char) c) != NULL)
    {
      if (c == '^')
        g_string_append (out, "\\x5E");
      else
        g_string_append_printf (out, "\\%c", (char) c);
    }
  else
    g_string_append_unichar (out, c);
}

/* Whether bare text may have it. */
static gboolean
is_bare (const Regex *r, gunichar c)
{
  return c >= 0x20 && c != 0x7f && c != (guchar) r->without;
}

/* One character of the value as JSON spells it, or as it is, as a GBNF literal. */
static void
append_char (Regex *r, gunichar c)
{
  GString *out = r->out;
  char text[8] = { 0 };
  g_autofree char *escaped = NULL;

  if (r->without != 0)
    {
      r->unsupported |= !is_bare (r, c);
      g_unichar_to_utf8 (c, text);
    }
  else if (c == '"' || c == '\\')
    escaped = g_strdup_printf ("\\%c", (char) c);
  else if (c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == '\b')
    escaped = g_strdup_printf ("\\%c", c == '\n'   ? 'n'
                                       : c == '\r' ? 'r'
                                       : c == '\t' ? 't'
                                       : c == '\f' ? 'f'
                                                   : 'b');
  else if (c < 0x20 || c == 0x7f)
    escaped = g_strdup_printf ("\\u%04x", c);
  else
    g_unichar_to_utf8 (c, text);
  g_string_append_c (out, ' ');
  atl_grammar_append_literal (out, escaped != NULL ? escaped : text);
}

/* --- Classes --- */

static void
class_add (Class *class, gunichar low, gunichar high)
{
  for (gunichar c = low; c <= high && c < 128; c++)
    class->ascii[c] = TRUE;
  if (high >= 128)
    {
      append_class_char (class->others, MAX (low, 128));
      g_string_append_c (class->others, '-');
      append_class_char (class->others, high);
    }
}

/* Adds what a letter after a backslash stands for; FALSE if it is none of the shorthands. */
static gboolean
class_add_shorthand (Class *class, char letter)
{
  char lower = g_ascii_tolower (letter);

  /* strchr() would find the end of the pattern, too. */
  if (lower == '\0' || strchr ("dws", lower) == NULL)
    return FALSE;
  for (gunichar c = 0; c < 128; c++)
    {
      gboolean member = lower == 'd'   ? g_ascii_isdigit ((char) c)
                        : lower == 'w' ? g_ascii_isalnum ((char) c) || c == '_'
                                       : g_ascii_isspace ((char) c);

      if (member == (letter == lower))
        class->ascii[c] = TRUE;
    }
  if (letter != lower)
    g_string_append (class->others, "\\x80-\\U0010FFFF");
  return TRUE;
}

/* Writes a class: the characters that JSON writes as they are as one GBNF class, the others one by
 * one. */
static void
append_class (Regex *r, const Class *class, gboolean negated)
{
  GString *out = r->out;
  g_autoptr (GString) plain = g_string_new (NULL);

  for (gunichar c = 0x20; c < 0x7f; c++)
    if (class->ascii[c] != negated && (r->without != 0 ? is_bare (r, c) : c != '"' && c != '\\'))
      append_class_char (plain, c);
  g_string_append (out, " (");
  if (negated)
    {
      /* What is not in the class: beyond ASCII by exclusion. */
      g_string_append (out, "[");
      g_string_append (out, plain->str);
      g_string_append (out, "]");
      g_string_append_printf (out, " | [^\\x00-\\x7F%s]", class->others->str);
    }
  else
    g_string_append_printf (out, "[%s%s]", plain->str, class->others->str);
  /* The character 0 never: a string that has it is one that many readers refuse. */
  for (gunichar c = 1; c < 128 && r->without == 0; c++)
    if (class->ascii[c] != negated && (c < 0x20 || c == 0x7f || c == '"' || c == '\\'))
      {
        g_string_append (out, " |");
        append_char (r, c);
      }
  g_string_append_c (out, ')');
}

/* The character that an escape stands for; 0 if it is none of those. */
static gunichar
escaped_char (Regex *r)
{
  char c = *r->at;

  switch (c)
    {
    case 'n':
      r->at++;
      return '\n';
    case 'r':
      r->at++;
      return '\r';
    case 't':
      r->at++;
      return '\t';
    case 'f':
      r->at++;
      return '\f';
    case 'x':
    case 'u':
      {
        guint n = c == 'x' ? 2 : 4;
        gunichar value = 0;

        for (guint i = 1; i <= n; i++)
          {
            int digit = g_ascii_xdigit_value (r->at[i]);

            if (digit < 0)
              return 0;
            value = value << 4 | (gunichar) digit;
          }
        if (value >= 0xd800 && value < 0xe000)
          return 0;
        r->at += n + 1;
        return value;
      }
    default:
      if (c == '\0' || g_ascii_isalnum (c))
        return 0;
      {
        gunichar value = g_utf8_get_char (r->at);

        r->at = g_utf8_next_char (r->at);
        return value;
      }
    }
}

static gboolean
class_char (Regex *r, gunichar *c)
{
  if (*r->at == '\0')
    return wrong (r, _ ("a class is not closed"));
  if (*r->at == '\\')
    {
      r->at++;
      *c = escaped_char (r);
      return *c != 0 || give_up (r);
    }
  *c = g_utf8_get_char (r->at);
  r->at = g_utf8_next_char (r->at);
  return TRUE;
}

static gboolean
parse_class (Regex *r)
{
  Class class = { { 0 }, g_string_new (NULL) };
  gboolean negated = FALSE;
  gboolean ok = TRUE;

  r->at++;
  if (*r->at == '^')
    {
      negated = TRUE;
      r->at++;
    }
  /* A bracket in front is one of its characters, as in most languages: the empty class that it is
   * in ECMAScript would allow nothing. */
  for (gboolean is_first = TRUE; ok && (*r->at != ']' || is_first); is_first = FALSE)
    {
      gunichar low, high;

      if (*r->at == '\\' && r->at[1] != '\0' && class_add_shorthand (&class, r->at[1]))
        {
          r->at += 2;
          continue;
        }
      ok = class_char (r, &low);
      high = low;
      if (ok && *r->at == '-' && r->at[1] != ']' && r->at[1] != '\0')
        {
          r->at++;
          ok = class_char (r, &high);
          if (ok && high < low)
            ok = wrong (r, _ ("a range of a class is the wrong way round"));
        }
      if (ok)
        class_add (&class, low, high);
    }
  if (ok)
    {
      r->at++;
      append_class (r, &class, negated);
    }
  g_string_free (class.others, TRUE);
  return ok;
}

/* --- Sequences --- */

static gboolean parse_alternatives (Regex *r);

static gboolean
parse_group (Regex *r)
{
  r->at++;
  if (*r->at == '?')
    {
      /* Look-around and the like change what is matched elsewhere. */
      if (r->at[1] != ':')
        return give_up (r);
      r->at += 2;
    }
  if (++r->nesting > MAX_NESTING)
    return give_up (r);
  g_string_append (r->out, " (");
  if (!parse_alternatives (r))
    return FALSE;
  if (*r->at != ')')
    return wrong (r, _ ("a group is not closed"));
  r->at++;
  r->nesting--;
  g_string_append_c (r->out, ')');
  return TRUE;
}

static gboolean
parse_escape (Regex *r)
{
  Class class = { { 0 }, g_string_new (NULL) };
  gunichar c;

  r->at++;
  if (class_add_shorthand (&class, *r->at))
    {
      r->at++;
      append_class (r, &class, FALSE);
      g_string_free (class.others, TRUE);
      return TRUE;
    }
  g_string_free (class.others, TRUE);
  if (*r->at == '\0')
    return wrong (r, _ ("it ends with a backslash"));
  c = escaped_char (r);
  if (c == 0)
    return give_up (r);
  append_char (r, c);
  return TRUE;
}

/* {m}, {m,} or {m,n}; copied as it is once checked. */
static gboolean
parse_bounds (Regex *r)
{
  const char *end = strchr (r->at, '}');
  const char *c = r->at + 1;

  if (end == NULL || !g_ascii_isdigit (*c))
    return give_up (r);
  for (; c < end; c++)
    if (!g_ascii_isdigit (*c) && *c != ',')
      return give_up (r);
  g_string_append_len (r->out, r->at, end + 1 - r->at);
  r->at = end + 1;
  return TRUE;
}

/* `rule` of JSON's strings, or any character of bare text. */
static void
append_any (Regex *r, const char *rule, const char *repeat)
{
  if (r->without == 0)
    {
      g_string_append_printf (r->out, " %s%s", rule, repeat);
      return;
    }
  g_string_append (r->out, " [^\\x00-\\x1F\\x7F");
  append_class_char (r->out, (guchar) r->without);
  g_string_append_printf (r->out, "]%s", repeat);
}

static gboolean
parse_item (Regex *r)
{
  switch (*r->at)
    {
    case '(':
      return parse_group (r);
    case '[':
      return parse_class (r);
    case '\\':
      return parse_escape (r);
    case '.':
      r->at++;
      append_any (r, "dot", "");
      return TRUE;
    case '^':
    case '$':
      return give_up (r);
    case '*':
    case '+':
    case '?':
    case '{':
      return wrong (r, _ ("there is nothing to repeat"));
    default:
      append_char (r, g_utf8_get_char (r->at));
      r->at = g_utf8_next_char (r->at);
      return TRUE;
    }
}

static gboolean
parse_alternatives (Regex *r)
{
  while (*r->at != '\0' && *r->at != ')')
    {
      if (r->out->len > MAX_OUTPUT)
        return give_up (r);
      if (*r->at == '|')
        {
          g_string_append (r->out, " |");
          r->at++;
          continue;
        }
      if (!parse_item (r))
        return FALSE;
      if (*r->at == '{')
        {
          if (!parse_bounds (r))
            return FALSE;
        }
      else if (*r->at != '\0' && strchr ("*+?", *r->at) != NULL)
        g_string_append_c (r->out, *r->at++);
      /* Lazy or possessive: the same language where only the whole string counts. */
      if (*r->at == '?')
        r->at++;
    }
  return TRUE;
}

char *
atl_gbnf_from_regex (const char *pattern, char without, GError **error)
{
  gboolean from_start = *pattern == '^';
  gsize n = strlen (pattern);
  gsize n_backslashes = 0;
  gboolean to_end;
  g_autofree char *body = NULL;
  Regex r = { .without = without };
  gboolean ok;

  while (n > 1 + n_backslashes && pattern[n - 2 - n_backslashes] == '\\')
    n_backslashes++;
  to_end = n > (gsize) from_start && pattern[n - 1] == '$' && n_backslashes % 2 == 0;
  body = g_strndup (pattern + from_start, n - from_start - to_end);
  r.at = body;
  r.out = g_string_new ("(");
  /* Where it is not anchored anything may stand before or behind. */
  if (!from_start)
    append_any (&r, "char", "*");
  g_string_append (r.out, " (");
  ok = parse_alternatives (&r);
  if (ok && *r.at == ')')
    ok = wrong (&r, _ ("a ')' has no '('"));
  g_string_append_c (r.out, ')');
  if (!to_end)
    append_any (&r, "char", "*");
  g_string_append_c (r.out, ')');
  ok = ok && !r.unsupported;
  if (r.error != NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                 _ ("JSON schema: the pattern “%s” is not a regular expression: %s"), pattern,
                 r.error);
  return g_string_free (r.out, !ok);
}
