/* Arguments as grammars: text up to a mark, and the notations that are not JSON. */
#define G_LOG_DOMAIN "atl-answers"

#include <string.h>

#include "base/json-bounded.h"
#include "engine/answers/answer-grammar-private.h"

#define GEMMA_QUOTE "<|\"|>"
/* Longest control token looked for in a mark. */
#define MAX_TOKEN_BYTES 96u

/* --- Marks --- */

/* The longest control token that `text` begins with; its bytes, or 0. */
static gsize
token_at (const AtlAnswerGrammar *g, const char *text, gint32 *id)
{
  gsize n = MIN (strlen (text), MAX_TOKEN_BYTES);

  for (; n > 1 && g->find_token != NULL; n--)
    {
      *id = g->find_token (text, n, g->data);
      if (*id >= 0)
        return n;
    }
  return 0;
}

static void
flush (GString *gbnf, GString *plain)
{
  if (plain->len == 0)
    return;
  g_string_append_c (gbnf, ' ');
  atl_grammar_append_literal (gbnf, plain->str);
  g_string_truncate (plain, 0);
}

void
atl_answer_grammar_append_mark (const AtlAnswerGrammar *self, GString *gbnf, const char *text)
{
  g_autoptr (GString) plain = g_string_new (NULL);

  while (*text != '\0')
    {
      gint32 id = -1;
      gsize n = token_at (self, text, &id);

      if (n > 0)
        {
          flush (gbnf, plain);
          g_string_append_printf (gbnf, " <[%d]>", id);
          text += n;
        }
      else if (*text == '\f')
        {
          flush (gbnf, plain);
          g_string_append (gbnf, " \"\\n\"?");
          text++;
        }
      else
        g_string_append_c (plain, *text++);
    }
  flush (gbnf, plain);
}

/* --- Text up to a mark --- */

static void
append_in_class (GString *out, gunichar c)
{
  if (c < 0x80 && !g_ascii_isalnum ((char) c))
    g_string_append_printf (out, "\\x%02X", c);
  else
    g_string_append_unichar (out, c);
}

/* How many characters of `mark` the text ends with, when it ended with `at` of them and `c` comes.
 */
static guint
go_on (const gunichar *mark, guint at, gunichar c)
{
  for (guint n = at + 1; n > 0; n--)
    if (mark[n - 1] == c && memcmp (mark, mark + at + 1 - n, (n - 1) * sizeof (gunichar)) == 0)
      return n;
  return 0;
}

/* One rule a number of matched characters, as in the search of Knuth, Morris and Pratt. */
char *
atl_call_text_until (AtlCallWriter *w, const char *mark)
{
  g_autofree gunichar *letters = NULL;
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  glong n;
  gint32 id = -1;
  char *known = g_hash_table_lookup (w->until, mark);

  if (known != NULL)
    return g_strdup (known);
  if (token_at (w->options, mark, &id) == strlen (mark))
    {
      g_autofree char *body = g_strdup_printf ("[^\\x00]* <[%d]>", id);

      known = atl_schema_rules_add (w->rules, "text", body);
      g_hash_table_insert (w->until, g_strdup (mark), g_strdup (known));
      return known;
    }
  letters = g_utf8_to_ucs4_fast (mark, -1, &n);
  for (glong i = 0; i < n; i++)
    g_ptr_array_add (names, atl_schema_rules_add (w->rules, "text", NULL));
  for (glong i = 0; i < n; i++)
    {
      g_autoptr (GString) body = g_string_new ("[^\\x00");

      for (glong k = 0; k < n; k++)
        append_in_class (body, letters[k]);
      g_string_append_printf (body, "] %s", (char *) names->pdata[0]);
      for (glong k = 0; k < n; k++)
        {
          guint next = go_on (letters, (guint) i, letters[k]);
          gboolean is_first = TRUE;

          for (glong j = 0; j < k; j++)
            is_first = is_first && letters[j] != letters[k];
          if (!is_first)
            continue;
          g_string_append (body, " | [");
          append_in_class (body, letters[k]);
          g_string_append_printf (body, "] %s", next < n ? (char *) names->pdata[next] : "");
        }
      atl_schema_rules_define (w->rules, names->pdata[i], body->str);
    }
  g_hash_table_insert (w->until, g_strdup (mark), g_strdup (names->pdata[0]));
  return g_strdup (names->pdata[0]);
}

/* --- Gemma --- */

/* Any value in Gemma's notation; written once. */
static const char *
gemma_value (AtlCallWriter *w)
{
  g_autofree char *string = NULL;
  g_autoptr (GString) quote = g_string_new (NULL);
  g_autofree char *body = NULL;

  if (w->gemma != NULL)
    return w->gemma;
  w->gemma = atl_schema_rules_add (w->rules, "gemma", NULL);
  string = atl_call_text_until (w, GEMMA_QUOTE);
  atl_answer_grammar_append_mark (w->options, quote, GEMMA_QUOTE);
  body = g_strdup_printf (
      "%s %s | \"-\"? (\"0\" | [1-9] [0-9]{0,15}) (\".\" [0-9]{1,16})? | \"true\" | \"false\" | "
      "\"null\" | \"[\" (%s (\",\" %s)*)? \"]\" | \"{\" ([a-zA-Z0-9_]+ \":\" %s (\",\" "
      "[a-zA-Z0-9_]+ \":\" %s)*)? \"}\"",
      quote->str, string, w->gemma, w->gemma, w->gemma, w->gemma);
  atl_schema_rules_define (w->rules, w->gemma, body);
  return w->gemma;
}

static void
append_gemma_string (AtlCallWriter *w, GString *out, const char *text)
{
  atl_answer_grammar_append_mark (w->options, out, GEMMA_QUOTE);
  g_string_append_c (out, ' ');
  atl_grammar_append_literal (out, text);
  atl_answer_grammar_append_mark (w->options, out, GEMMA_QUOTE);
}

/* The values that a schema lists; NULL if it lists none. */
static char *
gemma_listed (AtlCallWriter *w, JsonNode *schema)
{
  JsonObject *object = JSON_NODE_HOLDS_OBJECT (schema) ? json_node_get_object (schema) : NULL;
  JsonArray *values = object != NULL ? atl_json_array (object, "enum") : NULL;
  GString *out;

  if (values == NULL || json_array_get_length (values) == 0)
    return NULL;
  out = g_string_new ("(");
  for (guint i = 0; i < json_array_get_length (values); i++)
    {
      JsonNode *value = json_array_get_element (values, i);

      if (i > 0)
        g_string_append (out, " |");
      if (JSON_NODE_HOLDS_VALUE (value) && json_node_get_value_type (value) == G_TYPE_STRING)
        append_gemma_string (w, out, json_node_get_string (value));
      else
        {
          g_autofree char *text = atl_json_write (value);

          atl_grammar_append_literal (out, text != NULL ? text : "null");
        }
    }
  g_string_append_c (out, ')');
  return g_string_free (out, FALSE);
}

char *
atl_call_gemma_value (AtlCallWriter *w, guint i, const char *key, JsonNode *schema, GError **error)
{
  const AtlTool *tool = atl_tool_set_get (w->options->tools, i);
  AtlToolType types = atl_tool_set_types (w->options->tools, i, key);
  char *listed = gemma_listed (w, schema);

  if (listed != NULL)
    return listed;
  /* Numbers and words are written as in JSON. */
  if ((types & (ATL_TOOL_STRING | ATL_TOOL_ARRAY | ATL_TOOL_OBJECT)) == 0)
    return atl_schema_rules_add_schema (w->rules, schema, tool->schema, "value", error);
  if (types == ATL_TOOL_STRING)
    {
      g_autofree char *string = atl_call_text_until (w, GEMMA_QUOTE);
      g_autoptr (GString) quote = g_string_new (NULL);

      atl_answer_grammar_append_mark (w->options, quote, GEMMA_QUOTE);
      return g_strdup_printf ("%s %s", quote->str, string);
    }
  return g_strdup (gemma_value (w));
}
