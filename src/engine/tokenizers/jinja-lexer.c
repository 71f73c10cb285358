/* The lexer: text up to the next tag, then the tokens inside it. The whitespace rules (trim_blocks,
 * lstrip_blocks, the signs - and + at tags, the newline at the end) are those of Jinja2's lexer. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-lexer.h"

#include <glib/gi18n.h>
#include <errno.h>
#include <string.h>

#define MAX_NAME_BYTES 1024

/* Jinja2 knows one kind of newline. */
static char *
unify_newlines (JHeap *heap, const char *source, gsize *n)
{
  char *copy = j_strndup (heap, source, *n);
  gsize to = 0;

  for (gsize from = 0; from < *n; from++)
    {
      if (source[from] == '\r')
        {
          if (from + 1 < *n && source[from + 1] == '\n')
            from++;
          copy[to++] = '\n';
        }
      else
        copy[to++] = source[from];
    }
  *n = to;
  return copy;
}

void
j_lexer_init (
    JLexer *lexer, JHeap *heap, const AtlJinjaOptions *options, const char *source, gsize n)
{
  memset (lexer, 0, sizeof *lexer);
  lexer->heap = heap;
  if (options != NULL)
    lexer->options = *options;
  lexer->source = unify_newlines (heap, source, &n);
  lexer->n = n;
  if (!lexer->options.keep_trailing_newline && n > 0 && lexer->source[n - 1] == '\n')
    lexer->n--;
  lexer->line = 1;
  lexer->line_starting = TRUE;
}

static gboolean
looking_at (const JLexer *lexer, gsize at, const char *literal)
{
  gsize n = strlen (literal);

  return at <= lexer->n && lexer->n - at >= n && memcmp (lexer->source + at, literal, n) == 0;
}

static gsize
skip_space (const JLexer *lexer, gsize at)
{
  while (at < lexer->n)
    {
      gunichar c = g_utf8_get_char (lexer->source + at);

      if (!j_char_is_space (c))
        break;
      at += g_utf8_skip[(guint8) lexer->source[at]];
    }
  return at;
}

/* The end of source[start, end) without white space at its end. */
static gsize
strip_end (const JLexer *lexer, gsize start, gsize end)
{
  while (end > start)
    {
      const char *last = g_utf8_prev_char (lexer->source + end);

      if (!j_char_is_space (g_utf8_get_char (last)))
        break;
      end = (gsize) (last - lexer->source);
    }
  return end;
}

static void
move_to (JLexer *lexer, gsize at)
{
  for (gsize i = lexer->at; i < at; i++)
    lexer->line += lexer->source[i] == '\n';
  lexer->at = at;
}

static JToken
token (const JLexer *lexer, JTokenType type)
{
  return (JToken){ .type = type, .line = lexer->line };
}

static void G_GNUC_NORETURN
fail_at (JLexer *lexer, int line, const char *message)
{
  lexer->heap->line = line;
  j_throw (lexer->heap, "%s", message);
}

/* Where the text before a tag at `tag` ends, given the sign after the tag's opening. */
static gsize
text_end (const JLexer *lexer, gsize start, gsize tag, char sign, gboolean is_variable)
{
  gsize line;

  if (sign == '-')
    return strip_end (lexer, start, tag);
  if (sign == '+' || !lexer->options.lstrip_blocks || is_variable)
    return tag;
  for (line = tag; line > start && lexer->source[line - 1] != '\n';)
    line--;
  if (line == start && !lexer->line_starting)
    return tag;
  return strip_end (lexer, line, tag) == line ? line : tag;
}

/* The end of a block tag's or comment's closing mark `mark` ("%}" or "#}") at `at`, with the white
 * space it swallows; 0 if there is none. */
static gsize
match_close (const JLexer *lexer, gsize at, const char *mark)
{
  if (at < lexer->n && lexer->source[at] == '-' && looking_at (lexer, at + 1, mark))
    return skip_space (lexer, at + 3);
  if (at < lexer->n && lexer->source[at] == '+' && looking_at (lexer, at + 1, mark))
    return at + 3;
  if (!looking_at (lexer, at, mark))
    return 0;
  at += 2;
  if (lexer->options.trim_blocks && at < lexer->n && lexer->source[at] == '\n')
    at++;
  return at;
}

/* If a block tag that only says `word` opens at `at`: where its closing mark begins, else 0. */
static gsize
match_word_tag (const JLexer *lexer, gsize at, const char *word)
{
  if (!looking_at (lexer, at, "{%"))
    return 0;
  at += 2;
  if (at < lexer->n && (lexer->source[at] == '-' || lexer->source[at] == '+'))
    at++;
  at = skip_space (lexer, at);
  if (!looking_at (lexer, at, word))
    return 0;
  return skip_space (lexer, at + strlen (word));
}

/* Everything up to endraw, as it is. */
static JToken
lex_raw (JLexer *lexer)
{
  gsize start = lexer->at;
  int line = lexer->line;

  for (gsize tag = start; tag + 1 < lexer->n; tag++)
    {
      gsize close = match_word_tag (lexer, tag, "endraw");
      gsize end = close > 0 ? match_close (lexer, close, "%}") : 0;

      if (end > 0)
        {
          gsize stop = text_end (lexer, start, tag, lexer->source[tag + 2], FALSE);
          JToken result = token (lexer, J_TOKEN_DATA);

          result.text = j_str_wrap (lexer->heap, lexer->source + start, stop - start);
          move_to (lexer, end);
          lexer->line_starting = lexer->source[end - 1] == '\n';
          return result;
        }
    }
  fail_at (lexer, line, _ ("missing end of raw directive"));
}

static void
lex_comment (JLexer *lexer)
{
  int line = lexer->line;

  for (gsize at = lexer->at; at < lexer->n; at++)
    {
      gsize end;

      if (lexer->source[at] != '#' && lexer->source[at] != '-' && lexer->source[at] != '+')
        continue;
      end = match_close (lexer, at, "#}");
      if (end > 0)
        {
          move_to (lexer, end);
          lexer->line_starting = lexer->source[end - 1] == '\n';
          return;
        }
    }
  fail_at (lexer, line, _ ("missing end of comment tag"));
}

/* Text up to the next tag. Comments and raw sections are worked off on the way: the result may be
 * an empty text, which the parser drops. */
static JToken
lex_text (JLexer *lexer)
{
  gsize start = lexer->at;
  gsize tag = start;
  gsize end, raw;
  char kind, sign;
  JToken result = token (lexer, J_TOKEN_DATA);

  while (tag < lexer->n && !(lexer->source[tag] == '{' && tag + 1 < lexer->n &&
                             (lexer->source[tag + 1] == '{' || lexer->source[tag + 1] == '%' ||
                              lexer->source[tag + 1] == '#')))
    tag++;
  if (tag == lexer->n)
    {
      result.text = j_str_wrap (lexer->heap, lexer->source + start, tag - start);
      if (start == tag)
        result.type = J_TOKEN_END;
      move_to (lexer, tag);
      return result;
    }

  kind = lexer->source[tag + 1];
  sign = tag + 2 < lexer->n ? lexer->source[tag + 2] : '\0';
  end = text_end (lexer, start, tag, sign, kind == '{');
  result.text = j_str_wrap (lexer->heap, lexer->source + start, end - start);
  move_to (lexer, tag + 2 + (sign == '-' || sign == '+'));
  lexer->line_starting = FALSE;

  if (kind == '#')
    lex_comment (lexer);
  else if (kind == '%' && (raw = match_word_tag (lexer, tag, "raw")) > 0 &&
           (looking_at (lexer, raw, "%}") || looking_at (lexer, raw, "-%}")))
    {
      JToken body;
      JBuf joined = { 0 };

      move_to (lexer, lexer->source[raw] == '-' ? skip_space (lexer, raw + 3) : raw + 2);
      lexer->line_starting = lexer->source[lexer->at - 1] == '\n';
      body = lex_raw (lexer);
      j_buf_append_str (lexer->heap, &joined, result.text);
      j_buf_append_str (lexer->heap, &joined, body.text);
      result.text = j_buf_str (lexer->heap, &joined);
    }
  else
    {
      lexer->state = kind == '{' ? J_IN_VARIABLE : J_IN_BLOCK;
      lexer->pending = kind == '{' ? J_TOKEN_VARIABLE_BEGIN : J_TOKEN_BLOCK_BEGIN;
    }
  return result;
}

static JToken
lex_string (JLexer *lexer)
{
  char quote = lexer->source[lexer->at];
  gsize start = lexer->at + 1;
  gsize at = start;
  JToken result = token (lexer, J_TOKEN_STRING);

  while (at < lexer->n && lexer->source[at] != quote)
    at += lexer->source[at] == '\\' ? 2 : 1;
  if (at >= lexer->n)
    fail_at (lexer, lexer->line, _ ("a string is not closed"));
  lexer->heap->line = result.line;
  result.text = j_str_unescape (lexer->heap, lexer->source + start, lexer->source + at);
  move_to (lexer, at + 1);
  return result;
}

/* Digits with single underscores between them; the position after the last digit. */
static gsize
skip_digits (const JLexer *lexer, gsize at, guint base)
{
  gsize end = at;

  while (at < lexer->n)
    {
      int digit = g_ascii_xdigit_value (lexer->source[at]);

      if (digit >= 0 && digit < (int) base)
        end = ++at;
      else if (lexer->source[at] == '_' && at == end && at > 0 && lexer->source[at - 1] != '_')
        at++;
      else
        break;
    }
  return end;
}

static JToken
lex_number (JLexer *lexer)
{
  const char *source = lexer->source;
  gsize start = lexer->at;
  gsize end, digits = start;
  guint base = 10;
  char *text, *stop;
  gsize n = 0;
  JToken result = token (lexer, J_TOKEN_INTEGER);

  if (source[start] == '0' && start + 2 < lexer->n)
    {
      char c = g_ascii_tolower (source[start + 1]);
      guint wanted = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 10;

      if (wanted != 10 && skip_digits (lexer, start + 2, wanted) > start + 2)
        {
          base = wanted;
          digits = start + 2;
        }
    }
  end = skip_digits (lexer, digits, base);
  /* After a dot ("a.0.1") a number is an index and has no fraction. */
  if (base == 10 && (start == 0 || source[start - 1] != '.'))
    {
      gsize at = end;

      if (at + 1 < lexer->n && source[at] == '.' && g_ascii_isdigit (source[at + 1]))
        {
          at = end = skip_digits (lexer, at + 1, 10);
          result.type = J_TOKEN_FLOAT;
        }
      if (at < lexer->n && (source[at] == 'e' || source[at] == 'E'))
        {
          at++;
          if (at < lexer->n && (source[at] == '+' || source[at] == '-'))
            at++;
          if (at < lexer->n && g_ascii_isdigit (source[at]))
            {
              end = skip_digits (lexer, at, 10);
              result.type = J_TOKEN_FLOAT;
            }
        }
    }
  if (result.type == J_TOKEN_INTEGER && base == 10 && source[start] == '0')
    for (gsize i = start; i < end; i++)
      if (source[i] != '0' && source[i] != '_')
        {
          /* "0123" is the number 0 followed by another number, which no expression allows. */
          end = i;
          break;
        }
  text = j_strndup (lexer->heap, source + digits, end - digits);
  for (gsize i = 0; i < end - digits; i++)
    if (text[i] != '_')
      text[n++] = text[i];
  text[n] = '\0';
  if (result.type == J_TOKEN_FLOAT)
    result.number = g_ascii_strtod (text, NULL);
  else
    {
      errno = 0;
      result.integer = g_ascii_strtoll (text, &stop, base);
      if (errno == ERANGE)
        fail_at (lexer, lexer->line, _ ("an integer of the template does not fit 64 bits"));
    }
  move_to (lexer, end);
  return result;
}

static gboolean
is_name_char (gunichar c, gboolean first)
{
  if (c < 0x80)
    return c == '_' || g_ascii_isalpha ((char) c) || (!first && g_ascii_isdigit ((char) c));
  return g_unichar_isalpha (c) || (!first && (g_unichar_isalnum (c) || g_unichar_ismark (c)));
}

static JToken
lex_name (JLexer *lexer)
{
  gsize at = lexer->at;
  JToken result = token (lexer, J_TOKEN_NAME);

  while (at < lexer->n && is_name_char (g_utf8_get_char (lexer->source + at), at == lexer->at))
    at += g_utf8_skip[(guint8) lexer->source[at]];
  if (at == lexer->at)
    {
      lexer->heap->line = lexer->line;
      j_throw (lexer->heap, _ ("unexpected character '%.*s'"),
               (int) g_utf8_skip[(guint8) lexer->source[at]], lexer->source + at);
    }
  if (at - lexer->at > MAX_NAME_BYTES)
    fail_at (lexer, lexer->line, _ ("a name is too long"));
  result.text = j_str_wrap (lexer->heap, lexer->source + lexer->at, at - lexer->at);
  move_to (lexer, at);
  return result;
}

static const struct
{
  char text[3];
  guint8 type;
} operators[] = {
  { "//", J_TOKEN_FLOORDIV }, { "**", J_TOKEN_POW },     { "==", J_TOKEN_EQ },
  { "!=", J_TOKEN_NE },       { ">=", J_TOKEN_GTEQ },    { "<=", J_TOKEN_LTEQ },
  { "+", J_TOKEN_ADD },       { "-", J_TOKEN_SUB },      { "*", J_TOKEN_MUL },
  { "/", J_TOKEN_DIV },       { "%", J_TOKEN_MOD },      { "~", J_TOKEN_TILDE },
  { ">", J_TOKEN_GT },        { "<", J_TOKEN_LT },       { "=", J_TOKEN_ASSIGN },
  { ".", J_TOKEN_DOT },       { ",", J_TOKEN_COMMA },    { ":", J_TOKEN_COLON },
  { ";", J_TOKEN_SEMICOLON }, { "|", J_TOKEN_PIPE },     { "(", J_TOKEN_LPAREN },
  { ")", J_TOKEN_RPAREN },    { "[", J_TOKEN_LBRACKET }, { "]", J_TOKEN_RBRACKET },
  { "{", J_TOKEN_LBRACE },    { "}", J_TOKEN_RBRACE },
};

static void
balance (JLexer *lexer, char c)
{
  if (c == '(' || c == '[' || c == '{')
    {
      if (lexer->n_braces == J_MAX_BRACES)
        {
          lexer->heap->line = lexer->line;
          j_throw_limit (lexer->heap, _ ("brackets are nested more than %d deep"), J_MAX_BRACES);
        }
      lexer->braces[lexer->n_braces++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    }
  else if (c == ')' || c == ']' || c == '}')
    {
      if (lexer->n_braces == 0 || lexer->braces[--lexer->n_braces] != c)
        {
          lexer->heap->line = lexer->line;
          j_throw (lexer->heap, _ ("unexpected '%c'"), c);
        }
    }
}

/* The end of the tag at the current position, or 0. */
static gsize
match_tag_end (const JLexer *lexer)
{
  gsize at = lexer->at;

  /* Inside of brackets "}}" closes two dicts. */
  if (lexer->n_braces > 0)
    return 0;
  if (lexer->state == J_IN_BLOCK)
    return match_close (lexer, at, "%}");
  if (looking_at (lexer, at, "-}}"))
    return skip_space (lexer, at + 3);
  return looking_at (lexer, at, "}}") ? at + 2 : 0;
}

static JToken
lex_inside (JLexer *lexer)
{
  gsize end;
  char c;

  move_to (lexer, skip_space (lexer, lexer->at));
  if (lexer->at == lexer->n)
    return token (lexer, J_TOKEN_END);
  end = match_tag_end (lexer);
  if (end > 0)
    {
      JToken result =
          token (lexer, lexer->state == J_IN_BLOCK ? J_TOKEN_BLOCK_END : J_TOKEN_VARIABLE_END);

      move_to (lexer, end);
      lexer->line_starting = lexer->source[end - 1] == '\n';
      lexer->state = J_IN_TEXT;
      return result;
    }
  c = lexer->source[lexer->at];
  if (g_ascii_isdigit (c))
    return lex_number (lexer);
  if (c == '"' || c == '\'')
    return lex_string (lexer);
  for (gsize i = 0; i < G_N_ELEMENTS (operators); i++)
    if (looking_at (lexer, lexer->at, operators[i].text))
      {
        JToken result = token (lexer, operators[i].type);

        balance (lexer, c);
        move_to (lexer, lexer->at + strlen (operators[i].text));
        return result;
      }
  return lex_name (lexer);
}

JToken
j_lexer_next (JLexer *lexer)
{
  if (lexer->pending != J_TOKEN_END)
    {
      JToken result = token (lexer, lexer->pending);

      lexer->pending = J_TOKEN_END;
      return result;
    }
  return lexer->state == J_IN_TEXT ? lex_text (lexer) : lex_inside (lexer);
}

const char *
j_token_name (JTokenType type)
{
  switch (type)
    {
    case J_TOKEN_END:
      return _ ("end of template");
    case J_TOKEN_DATA:
      return _ ("text");
    case J_TOKEN_BLOCK_BEGIN:
      return "{%";
    case J_TOKEN_BLOCK_END:
      return "%}";
    case J_TOKEN_VARIABLE_BEGIN:
      return "{{";
    case J_TOKEN_VARIABLE_END:
      return "}}";
    case J_TOKEN_NAME:
      return _ ("name");
    case J_TOKEN_STRING:
      return _ ("string");
    case J_TOKEN_INTEGER:
      return _ ("integer");
    case J_TOKEN_FLOAT:
      return _ ("float");
    default:
      for (gsize i = 0; i < G_N_ELEMENTS (operators); i++)
        if (operators[i].type == type)
          return operators[i].text;
      return _ ("token");
    }
}
