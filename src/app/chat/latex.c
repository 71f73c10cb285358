/* A recursive reader of LaTeX math that writes Pango markup. It sets what a line of text can show:
 * symbols, sub- and superscripts, roots, fractions with a slash, matrices row by row. */
#include "app/chat/latex.h"

#include <string.h>

/* Groups nested deeper are shown as source: hostile input must not exhaust the stack. */
#define MAX_DEPTH 24

typedef struct
{
  const char *p;
  GString *out;
  guint depth;
} Reader;

static void read_sequence (Reader *r, const char *end_env, gboolean in_group);

static void
append_escaped (GString *out, const char *text, gssize length)
{
  g_autofree char *escaped = g_markup_escape_text (text, length);
  g_string_append (out, escaped);
}

static gboolean
ends_with_space (const GString *out)
{
  return out->len == 0 || out->str[out->len - 1] == ' ' || out->str[out->len - 1] == '\n';
}

/* A relation or binary operator: spaces on both sides, but a sign in front of a number has none. */
static void
append_operator (Reader *r, const char *text)
{
  gboolean after_operand = !ends_with_space (r->out) && r->out->str[r->out->len - 1] != '(' &&
                           !g_str_has_suffix (r->out->str, "<sup>") &&
                           !g_str_has_suffix (r->out->str, "<sub>") &&
                           !g_str_has_suffix (r->out->str, "[");
  if (after_operand)
    g_string_append_c (r->out, ' ');
  append_escaped (r->out, text, -1);
  if (after_operand)
    g_string_append_c (r->out, ' ');
}

/* Reads one argument (a group, a command or a character) and returns its markup. */
static char *
read_argument (Reader *r)
{
  Reader inner = { r->p, g_string_new (NULL), r->depth + 1 };

  while (*inner.p == ' ' || *inner.p == '\n')
    inner.p++;
  if (*inner.p == '{')
    {
      inner.p++;
      read_sequence (&inner, NULL, TRUE);
    }
  else if (*inner.p == '\\' && g_ascii_isalpha (inner.p[1]))
    {
      const char *name = inner.p + 1;
      while (g_ascii_isalpha (*name))
        name++;
      g_autofree char *command = g_strndup (inner.p + 1, name - inner.p - 1);
      const char *symbol = atl_latex_symbol (command);
      append_escaped (inner.out, symbol ? symbol : command, -1);
      inner.p = name;
    }
  else if (*inner.p != '\0' && *inner.p != '}')
    {
      const char *next = g_utf8_next_char (inner.p);
      gboolean letter = g_ascii_isalpha (*inner.p);
      g_string_append (inner.out, letter ? "<i>" : "");
      append_escaped (inner.out, inner.p, next - inner.p);
      g_string_append (inner.out, letter ? "</i>" : "");
      inner.p = next;
    }
  r->p = inner.p;
  return g_string_free (inner.out, FALSE);
}

/* The raw text of a group, for \text and names of environments. */
static char *
read_raw_argument (Reader *r)
{
  const char *start;
  guint depth = 1;

  while (*r->p == ' ')
    r->p++;
  if (*r->p != '{')
    return g_strdup ("");
  start = ++r->p;
  while (*r->p != '\0')
    {
      if (*r->p == '{')
        depth++;
      else if (*r->p == '}' && --depth == 0)
        break;
      r->p++;
    }
  char *text = g_strndup (start, r->p - start);
  if (*r->p == '}')
    r->p++;
  return text;
}

static gsize
visible_length (const char *markup)
{
  gsize n = 0;
  gboolean tag = FALSE;
  for (const char *p = markup; *p != '\0'; p = g_utf8_next_char (p))
    {
      if (*p == '<')
        tag = TRUE;
      else if (*p == '>')
        tag = FALSE;
      else if (!tag)
        n++;
    }
  return n;
}

/* Characters on the line: a power or an index belongs to the one before it. */
static gsize
n_factors (const char *markup)
{
  g_autoptr (GString) line = g_string_new (NULL);
  const char *open;

  while ((open = strstr (markup, "<su")) != NULL)
    {
      const char *close = strstr (open, "</su");
      g_string_append_len (line, markup, open - markup);
      if (close == NULL)
        break;
      markup = strchr (close, '>') + 1;
    }
  if (open == NULL)
    g_string_append (line, markup);
  return visible_length (line->str);
}

static gboolean
is_number (const char *markup)
{
  return markup[strspn (markup, "0123456789.,")] == '\0';
}

/* A sum gets brackets; below a slash so does a product, of which only the first factor would seem
 * to stand there. */
static void
append_grouped (GString *out, const char *markup, gboolean below)
{
  gboolean brackets =
      strchr (markup, ' ') != NULL || (below && n_factors (markup) > 1 && !is_number (markup));
  g_string_append_printf (out, brackets ? "(%s)" : "%s", markup);
}

static void
append_fraction (Reader *r)
{
  g_autofree char *top = read_argument (r);
  g_autofree char *bottom = read_argument (r);

  if (visible_length (top) <= 2 && visible_length (bottom) <= 2 && !strstr (top, "<s") &&
      !strstr (bottom, "<s"))
    {
      g_string_append_printf (r->out, "<sup>%s</sup>⁄<sub>%s</sub>", top, bottom);
      return;
    }
  append_grouped (r->out, top, FALSE);
  g_string_append (r->out, "\u2009/\u2009");
  append_grouped (r->out, bottom, TRUE);
}

static void
append_root (Reader *r)
{
  if (*r->p == '[')
    {
      const char *end = strchr (r->p, ']');
      if (end != NULL && end - r->p < 16)
        {
          g_string_append (r->out, "<sup>");
          append_escaped (r->out, r->p + 1, end - r->p - 1);
          g_string_append (r->out, "</sup>");
          r->p = end + 1;
        }
    }
  g_autofree char *inside = read_argument (r);
  g_string_append_printf (r->out, "√<span overline=\"single\">%s</span>", inside);
}

static void
append_blackboard (GString *out, const char *text)
{
  static const struct
  {
    char letter;
    const char *symbol;
  } special[] = { { 'C', "ℂ" }, { 'H', "ℍ" }, { 'N', "ℕ" }, { 'P', "ℙ" },
                  { 'Q', "ℚ" }, { 'R', "ℝ" }, { 'Z', "ℤ" } };

  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    {
      guint i;
      for (i = 0; i < G_N_ELEMENTS (special) && special[i].letter != *p; i++)
        ;
      if (i < G_N_ELEMENTS (special))
        g_string_append (out, special[i].symbol);
      else if (*p >= 'A' && *p <= 'Z')
        g_string_append_unichar (out, 0x1D538 + (*p - 'A'));
      else
        append_escaped (out, p, g_utf8_next_char (p) - p);
    }
}

/* Puts a combining character after the first character of the argument. */
static void
append_accent (Reader *r, const char *combining)
{
  g_autofree char *inside = read_argument (r);
  if (visible_length (inside) == 1)
    g_string_append_printf (r->out, "%s%s", inside, combining);
  else
    g_string_append_printf (r->out, "<span overline=\"single\">%s</span>", inside);
}

/* Brackets of a matrix for the first, a middle, the last and an only row. */
static void
environment_brackets (const char *name, const char *left[4], const char *right[4])
{
  static const struct
  {
    const char *name, *left[4], *right[4];
  } kinds[] = {
    { "pmatrix", { "⎛ ", "⎜ ", "⎝ ", "( " }, { " ⎞", " ⎟", " ⎠", " )" } },
    { "bmatrix", { "⎡ ", "⎢ ", "⎣ ", "[ " }, { " ⎤", " ⎥", " ⎦", " ]" } },
    { "vmatrix", { "| ", "| ", "| ", "| " }, { " |", " |", " |", " |" } },
    { "cases", { "⎧ ", "⎨ ", "⎩ ", "{ " }, { "", "", "", "" } },
  };

  for (guint i = 0; i < 4; i++)
    left[i] = right[i] = "";
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
    if (g_str_has_prefix (name, kinds[k].name))
      {
        memcpy (left, kinds[k].left, sizeof kinds[k].left);
        memcpy (right, kinds[k].right, sizeof kinds[k].right);
      }
}

static void
append_environment (Reader *r)
{
  g_autofree char *name = read_raw_argument (r);
  Reader inner = { r->p, g_string_new (NULL), r->depth + 1 };
  const char *left[4], *right[4];

  if (g_str_has_prefix (name, "array") && *inner.p == '{')
    g_free (read_raw_argument (&inner)); /* the column specification */
  read_sequence (&inner, name, FALSE);
  r->p = inner.p;
  environment_brackets (name, left, right);

  g_autofree char *body = g_string_free (inner.out, FALSE);
  g_auto (GStrv) rows = g_strsplit (g_strstrip (body), "\n", -1);
  guint n = g_strv_length (rows);
  while (n > 0 && *g_strstrip (rows[n - 1]) == '\0')
    n--;
  if (n > 1 && !ends_with_space (r->out))
    g_string_append_c (r->out, '\n');
  for (guint i = 0; i < n; i++)
    {
      guint place = n == 1 ? 3 : i == 0 ? 0 : i == n - 1 ? 2 : 1;
      g_string_append_printf (r->out, "%s%s%s%s", left[place], g_strstrip (rows[i]), right[place],
                              i + 1 < n ? "\n" : "");
    }
}

static void
append_styled (Reader *r, const char *open, const char *close)
{
  g_autofree char *inside = read_argument (r);
  g_string_append_printf (r->out, "%s%s%s", open, inside, close);
}

/* Commands with arguments. FALSE when `command` is none. */
static gboolean
read_structure (Reader *r, const char *command)
{
  if (g_str_equal (command, "frac") || g_str_equal (command, "dfrac") ||
      g_str_equal (command, "tfrac"))
    append_fraction (r);
  else if (g_str_equal (command, "binom"))
    {
      g_autofree char *top = read_argument (r);
      g_autofree char *bottom = read_argument (r);
      g_string_append_printf (r->out, "C(%s, %s)", top, bottom);
    }
  else if (g_str_equal (command, "sqrt"))
    append_root (r);
  else if (g_str_equal (command, "text") || g_str_equal (command, "mathrm") ||
           g_str_equal (command, "operatorname") || g_str_equal (command, "textit") ||
           g_str_equal (command, "mbox"))
    {
      g_autofree char *text = read_raw_argument (r);
      append_escaped (r->out, text, -1);
    }
  else if (g_str_equal (command, "mathbf") || g_str_equal (command, "boldsymbol") ||
           g_str_equal (command, "textbf"))
    append_styled (r, "<b>", "</b>");
  else if (g_str_equal (command, "mathbb"))
    {
      g_autofree char *text = read_raw_argument (r);
      append_blackboard (r->out, text);
    }
  else if (g_str_equal (command, "mathcal") || g_str_equal (command, "mathscr") ||
           g_str_equal (command, "mathfrak") || g_str_equal (command, "mathit"))
    append_styled (r, "<i>", "</i>");
  else if (g_str_equal (command, "boxed"))
    append_styled (r, "[", "]");
  else if (g_str_equal (command, "overline") || g_str_equal (command, "widehat") ||
           g_str_equal (command, "overrightarrow"))
    append_styled (r, "<span overline=\"single\">", "</span>");
  else if (g_str_equal (command, "underline") || g_str_equal (command, "underbrace"))
    append_styled (r, "<u>", "</u>");
  else if (g_str_equal (command, "hat"))
    append_accent (r, "\u0302");
  else if (g_str_equal (command, "bar"))
    append_accent (r, "\u0304");
  else if (g_str_equal (command, "vec"))
    append_accent (r, "\u20d7");
  else if (g_str_equal (command, "dot"))
    append_accent (r, "\u0307");
  else if (g_str_equal (command, "ddot"))
    append_accent (r, "\u0308");
  else if (g_str_equal (command, "tilde"))
    append_accent (r, "\u0303");
  else if (g_str_equal (command, "begin"))
    append_environment (r);
  else
    return FALSE;
  return TRUE;
}

/* \left( \right. \bigl[ …: sizes of brackets, which text does not have. */
static gboolean
skip_bracket_size (Reader *r, const char *command)
{
  static const char *const sizes[] = { "left", "right", "big",  "Big",  "bigg",   "Bigg",
                                       "bigl", "bigr",  "Bigl", "Bigr", "middle", NULL };
  if (!g_strv_contains (sizes, command))
    return FALSE;
  while (*r->p == ' ')
    r->p++;
  if (*r->p == '.')
    r->p++;
  return TRUE;
}

static gboolean
is_ignored (const char *command)
{
  static const char *const ignored[] = { "displaystyle", "textstyle", "limits",
                                         "nolimits",     "nonumber",  "hline",
                                         "label",        "rm",        NULL };
  return g_strv_contains (ignored, command);
}

static void
read_word_command (Reader *r, const char *command)
{
  const char *symbol = atl_latex_symbol (command);

  if (symbol != NULL && atl_latex_symbol_is_relation (command))
    append_operator (r, symbol);
  else if (symbol != NULL)
    {
      gboolean named = g_ascii_isalpha (symbol[0]) && !ends_with_space (r->out) &&
                       r->out->str[r->out->len - 1] != '(';
      g_string_append (r->out, named ? "\u2009" : "");
      append_escaped (r->out, symbol, -1);
      if (g_ascii_isalpha (symbol[0]) && g_ascii_isalpha (*(r->p + strspn (r->p, " "))))
        g_string_append (r->out, "\u2009");
    }
  else if (!skip_bracket_size (r, command) && !is_ignored (command) && !read_structure (r, command))
    {
      g_string_append_c (r->out, '\\');
      append_escaped (r->out, command, -1);
      if (*r->p == ' ')
        g_string_append_c (r->out, ' ');
    }
}

/* After a backslash. TRUE when `end_env` was closed. */
static gboolean
read_command (Reader *r, const char *end_env)
{
  const char *start = r->p;

  if (!g_ascii_isalpha (*start))
    {
      const char *next = *start ? g_utf8_next_char (start) : start;
      r->p = next;
      if (*start == '\\')
        g_string_append_c (r->out, '\n');
      else if (*start == ',' || *start == ':' || *start == ';')
        g_string_append (r->out, "\u2009");
      else if (*start == '|')
        g_string_append (r->out, "‖");
      else if (*start != '!' && *start != '(' && *start != ')' && *start != '[' && *start != ']')
        append_escaped (r->out, start, next - start);
      return FALSE;
    }
  while (g_ascii_isalpha (*r->p))
    r->p++;
  g_autofree char *command = g_strndup (start, r->p - start);
  if (*r->p == '*')
    r->p++;
  if (g_str_equal (command, "end"))
    {
      g_autofree char *name = read_raw_argument (r);
      return end_env != NULL;
    }
  read_word_command (r, command);
  return FALSE;
}

static void
read_script (Reader *r, char kind)
{
  const char *tag = kind == '^' ? "sup" : "sub";
  g_autofree char *inside = NULL;

  if (kind == '^' && g_str_has_prefix (r->p, "\\circ"))
    {
      r->p += strlen ("\\circ");
      g_string_append (r->out, "°");
      return;
    }
  inside = read_argument (r);
  if (*inside != '\0')
    g_string_append_printf (r->out, "<%s>%s</%s>", tag, inside, tag);
}

static void
read_letters (Reader *r)
{
  const char *start = r->p;
  while (g_ascii_isalpha (*r->p))
    r->p++;
  g_string_append (r->out, "<i>");
  g_string_append_len (r->out, start, r->p - start);
  g_string_append (r->out, "</i>");
}

static void
read_sequence (Reader *r, const char *end_env, gboolean in_group)
{
  if (r->depth > MAX_DEPTH)
    {
      append_escaped (r->out, r->p, -1);
      r->p += strlen (r->p);
      return;
    }
  while (*r->p != '\0')
    {
      char c = *r->p;
      if (g_ascii_isalpha (c))
        {
          read_letters (r);
          continue;
        }
      const char *here = r->p;
      r->p = g_utf8_next_char (r->p);
      if (c == '}' && in_group)
        return;
      else if (c == '\\')
        {
          if (read_command (r, end_env))
            return;
        }
      else if (c == '{')
        {
          Reader inner = { r->p, r->out, r->depth + 1 };
          read_sequence (&inner, NULL, TRUE);
          r->p = inner.p;
        }
      else if (c == '^' || c == '_')
        read_script (r, c);
      else if (c == '=' || c == '<' || c == '>' || c == '+')
        append_operator (r, (char[]){ c, '\0' });
      else if (c == '-')
        append_operator (r, "−");
      else if (c == '&')
        g_string_append (r->out, end_env && strstr (end_env, "align") ? "" : "\u2003");
      else if (c == '\'')
        g_string_append (r->out, "′");
      else if (c == '~')
        g_string_append_c (r->out, ' ');
      else if (c != ' ' && c != '\n' && c != '\t' && c != '\r' && c != '}')
        append_escaped (r->out, here, r->p - here);
    }
}

char *
atl_latex_to_markup (const char *tex)
{
  Reader r = { tex, NULL, 0 };

  if (strlen (tex) > ATL_LATEX_MAX_BYTES)
    return g_markup_escape_text (tex, -1);
  r.out = g_string_new (NULL);
  read_sequence (&r, NULL, FALSE);
  return g_strstrip (g_string_free (r.out, FALSE));
}
