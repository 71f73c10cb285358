/* Arguments as grammars: text up to a mark, and the notations that are not JSON. */
#define G_LOG_DOMAIN "atl-answers"

#include <string.h>

#include "base/json-bounded.h"
#include "engine/answers/answer-grammar-private.h"

#define GEMMA_QUOTE "<|\"|>"
/* Longest control token looked for in a mark. */
#define MAX_TOKEN_BYTES 96u
#define GEMMA_DEPTH 16u
/* Of texts whose length a schema bounds. */
#define MAX_LENGTH 2000

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

/* --- Alternatives --- */

/* One schema a type, as if the schema had that. */
static GPtrArray *
schemas_of_types (JsonNode *schema, JsonArray *types)
{
  GPtrArray *schemas = g_ptr_array_new_with_free_func ((GDestroyNotify) json_node_unref);

  for (guint i = 0; i < json_array_get_length (types); i++)
    {
      /* A copy of a node shares the object. */
      JsonObject *object = json_object_new ();
      JsonNode *one = json_node_new (JSON_NODE_OBJECT);
      JsonObjectIter iter;
      const char *key;
      JsonNode *member;

      json_object_iter_init_ordered (&iter, json_node_get_object (schema));
      while (json_object_iter_next_ordered (&iter, &key, &member))
        json_object_set_member (object, key, json_node_copy (member));
      json_object_set_member (object, "type", json_node_copy (json_array_get_element (types, i)));
      json_node_take_object (one, object);
      g_ptr_array_add (schemas, one);
    }
  return schemas;
}

GPtrArray *
atl_call_alternatives (JsonNode *schema)
{
  JsonObject *object = json_node_get_object (schema);
  JsonArray *types = atl_json_array (object, "type"), *list = atl_json_array (object, "anyOf");
  GPtrArray *schemas;

  if (list == NULL)
    list = atl_json_array (object, "oneOf");
  if (list == NULL && types != NULL && json_array_get_length (types) > 0 &&
      !json_object_has_member (object, "enum"))
    return schemas_of_types (schema, types);
  /* What stands beside the list would have to hold for each of them. */
  if (list == NULL || json_array_get_length (list) == 0 || json_object_has_member (object, "type"))
    return NULL;
  schemas = g_ptr_array_new_with_free_func ((GDestroyNotify) json_node_unref);
  for (guint i = 0; i < json_array_get_length (list); i++)
    g_ptr_array_add (schemas, json_node_copy (json_array_get_element (list, i)));
  return schemas;
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

char *
atl_call_bounded_text (AtlCallWriter *w, JsonObject *schema, const char *mark)
{
  gint64 least = CLAMP (atl_json_int (schema, "minLength", 0), 0, MAX_LENGTH);
  gint64 most = CLAMP (atl_json_int (schema, "maxLength", -1), -1, MAX_LENGTH);
  g_autoptr (GString) inner = g_string_new ("[^\\x00\\n\\r");
  g_autoptr (GString) edge = g_string_new ("[^\\x00\\n\\r\\t ");
  char *shaped = atl_schema_rules_text (w->rules, schema, *mark);
  GString *out;

  if (shaped != NULL || (least == 0 && most < 0))
    return shaped;
  append_in_class (inner, g_utf8_get_char (mark));
  append_in_class (edge, g_utf8_get_char (mark));
  g_string_append_c (inner, ']');
  g_string_append_c (edge, ']');
  if (most >= 0 && most < least)
    most = least;
  out = g_string_new ("(");
  if (least == 0)
    g_string_append (out, "\"\"");
  if (least <= 1 && most != 0)
    g_string_append_printf (out, "%s%s", least == 0 ? " | " : "", edge->str);
  if (most < 0 || most >= 2)
    {
      g_string_append_printf (out, "%s%s %s{%u,", least <= 1 ? " | " : "", edge->str, inner->str,
                              (guint) MAX (least - 2, 0));
      if (most >= 2)
        g_string_append_printf (out, "%u", (guint) most - 2);
      g_string_append_printf (out, "} %s", edge->str);
    }
  g_string_append_c (out, ')');
  return g_string_free (out, FALSE);
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

/* A value that the schema names, in Gemma's notation. */
static void
append_gemma_json (AtlCallWriter *w, GString *out, JsonNode *value)
{
  if (JSON_NODE_HOLDS_VALUE (value) && json_node_get_value_type (value) == G_TYPE_STRING)
    append_gemma_string (w, out, json_node_get_string (value));
  else if (JSON_NODE_HOLDS_ARRAY (value))
    {
      JsonArray *array = json_node_get_array (value);

      g_string_append (out, " \"[\"");
      for (guint i = 0; i < json_array_get_length (array); i++)
        {
          g_string_append (out, i > 0 ? " \",\"" : "");
          append_gemma_json (w, out, json_array_get_element (array, i));
        }
      g_string_append (out, " \"]\"");
    }
  else if (JSON_NODE_HOLDS_OBJECT (value))
    {
      JsonObjectIter iter;
      const char *key;
      JsonNode *member;
      gboolean is_first = TRUE;

      g_string_append (out, " \"{\"");
      json_object_iter_init_ordered (&iter, json_node_get_object (value));
      while (json_object_iter_next_ordered (&iter, &key, &member))
        {
          g_string_append (out, is_first ? "" : " \",\"");
          is_first = FALSE;
          atl_call_append_gemma_key (w, out, key);
          append_gemma_json (w, out, member);
        }
      g_string_append (out, " \"}\"");
    }
  else
    {
      g_autofree char *text = atl_json_write (value);

      g_string_append_c (out, ' ');
      atl_grammar_append_literal (out, text != NULL ? text : "null");
    }
}

void
atl_call_append_gemma_key (AtlCallWriter *w, GString *out, const char *key)
{
  if (*key != '\0' && key[strspn (key, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_")] == '\0')
    {
      g_string_append_c (out, ' ');
      atl_grammar_append_literal (out, key);
    }
  else
    append_gemma_string (w, out, key);
  g_string_append (out, " \":\"");
}

/* A schema's own list of values, or its only one; NULL if it has none. */
static char *
gemma_listed (AtlCallWriter *w, JsonObject *schema)
{
  JsonArray *values = atl_json_array (schema, "enum");
  GString *out;

  if (json_object_has_member (schema, "const"))
    {
      out = g_string_new (NULL);
      append_gemma_json (w, out, json_object_get_member (schema, "const"));
      return g_string_free (out, FALSE);
    }
  if (values == NULL || json_array_get_length (values) == 0)
    return NULL;
  out = g_string_new ("(");
  for (guint i = 0; i < json_array_get_length (values); i++)
    {
      g_string_append (out, i > 0 ? " |" : "");
      append_gemma_json (w, out, json_array_get_element (values, i));
    }
  g_string_append_c (out, ')');
  return g_string_free (out, FALSE);
}

static char *
gemma_text (AtlCallWriter *w, JsonObject *schema)
{
  g_autofree char *text = atl_call_bounded_text (w, schema, GEMMA_QUOTE);
  GString *out = g_string_new (NULL);

  atl_answer_grammar_append_mark (w->options, out, GEMMA_QUOTE);
  if (text != NULL)
    {
      g_string_append_printf (out, " %s", text);
      atl_answer_grammar_append_mark (w->options, out, GEMMA_QUOTE);
    }
  else
    {
      text = atl_call_text_until (w, GEMMA_QUOTE);
      g_string_append_printf (out, " %s", text);
    }
  return g_string_free (out, FALSE);
}

static char *gemma_schema (AtlCallWriter *w, JsonNode *node, JsonNode *root, guint depth);

static char *
gemma_list (AtlCallWriter *w, JsonObject *schema, JsonNode *root, guint depth)
{
  gint64 least = CLAMP (atl_json_int (schema, "minItems", 0), 0, 100);
  gint64 most = CLAMP (atl_json_int (schema, "maxItems", 100), least, 100);
  JsonNode *items = json_object_get_member (schema, "items");
  g_autofree char *item =
      items != NULL ? gemma_schema (w, items, root, depth + 1) : g_strdup (gemma_value (w));

  if (most == 0)
    return g_strdup ("\"[]\"");
  return g_strdup_printf ("\"[\" (%s (\",\" %s){%u,%u})%s \"]\"", item, item,
                          (guint) MAX (least - 1, 0), (guint) most - 1, least > 0 ? "" : "?");
}

/* Properties of any names. */
static char *
gemma_map (AtlCallWriter *w, JsonObject *schema, JsonNode *root, guint depth)
{
  gint64 least = CLAMP (atl_json_int (schema, "minProperties", 0), 0, 100);
  gint64 most = CLAMP (atl_json_int (schema, "maxProperties", 100), least, 100);
  JsonNode *others = json_object_get_member (schema, "additionalProperties");
  g_autofree char *value = others != NULL && JSON_NODE_HOLDS_OBJECT (others)
                               ? gemma_schema (w, others, root, depth + 1)
                               : g_strdup (gemma_value (w));

  if (most == 0)
    return g_strdup ("\"{}\"");
  return g_strdup_printf (
      "\"{\" ([a-zA-Z0-9_]+ \":\" %s (\",\" [a-zA-Z0-9_]+ \":\" %s){%u,%u})%s \"}\"", value, value,
      (guint) MAX (least - 1, 0), (guint) most - 1, least > 0 ? "" : "?");
}

/* Properties in the schema's order, as in JSON (see answer-grammar.c, pairs). */
static char *
gemma_object (AtlCallWriter *w, JsonObject *schema, JsonNode *root, guint depth)
{
  JsonObject *properties = atl_json_object (schema, "properties");
  g_autoptr (GPtrArray) rules = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GArray) needed = g_array_new (FALSE, FALSE, sizeof (gboolean));
  JsonObjectIter iter;
  const char *key;
  JsonNode *member;
  char *first;

  if (properties == NULL)
    return gemma_map (w, schema, root, depth);
  json_object_iter_init_ordered (&iter, properties);
  while (json_object_iter_next_ordered (&iter, &key, &member))
    {
      g_autoptr (GString) pair = g_string_new (NULL);
      g_autofree char *value = gemma_schema (w, member, root, depth + 1);
      gboolean is_needed = atl_call_requires (schema, key);

      atl_call_append_gemma_key (w, pair, key);
      g_string_append_printf (pair, " %s", value);
      g_ptr_array_add (rules, atl_schema_rules_add (w->rules, "pair", pair->str));
      g_array_append_val (needed, is_needed);
    }
  first = atl_call_chain (w, (const char *const *) rules->pdata,
                          (const gboolean *) (gpointer) needed->data, rules->len, ",");
  {
    char *object = g_strdup_printf ("\"{\" %s \"}\"", first);

    g_free (first);
    return object;
  }
}

static char *
gemma_alternatives (AtlCallWriter *w, GPtrArray *schemas, JsonNode *root, guint depth)
{
  g_autoptr (GPtrArray) owned = schemas;
  GString *out = g_string_new ("(");

  for (guint i = 0; i < schemas->len; i++)
    {
      g_autofree char *one = gemma_schema (w, schemas->pdata[i], root, depth + 1);

      g_string_append_printf (out, "%s%s", i > 0 ? " | " : "", one);
    }
  g_string_append_c (out, ')');
  return g_string_free (out, FALSE);
}

/* What cannot be said in this notation may be anything. */
static char *
gemma_schema (AtlCallWriter *w, JsonNode *node, JsonNode *root, guint depth)
{
  JsonObject *schema = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  const char *type = schema != NULL ? atl_json_string (schema, "type", "") : "";
  char *body = schema != NULL ? gemma_listed (w, schema) : NULL, *name = NULL;
  GPtrArray *schemas =
      body == NULL && schema != NULL && depth <= GEMMA_DEPTH ? atl_call_alternatives (node) : NULL;

  if (depth > GEMMA_DEPTH)
    ;
  else if (schemas != NULL)
    body = gemma_alternatives (w, schemas, root, depth);
  else if (body != NULL)
    ;
  else if (g_str_equal (type, "string"))
    body = gemma_text (w, schema);
  else if (g_str_equal (type, "array"))
    body = gemma_list (w, schema, root, depth);
  else if (g_str_equal (type, "object"))
    body = gemma_object (w, schema, root, depth);
  else if (g_str_equal (type, "integer") || g_str_equal (type, "number") ||
           g_str_equal (type, "boolean") || g_str_equal (type, "null"))
    return atl_schema_rules_add_schema (w->rules, node, root, "value", NULL);
  name = body != NULL ? atl_schema_rules_add (w->rules, "value", body) : g_strdup (gemma_value (w));
  g_free (body);
  return name;
}

char *
atl_call_gemma_value (AtlCallWriter *w, guint i, JsonNode *schema, GError **error)
{
  const AtlTool *tool = atl_tool_set_get (w->options->tools, i);
  g_autofree char *checked = NULL;

  /* A schema that makes no sense is refused as in the other notations. */
  checked = atl_schema_rules_add_schema (w->rules, schema, tool->schema, "value", error);
  return checked != NULL ? gemma_schema (w, schema, tool->schema, 0) : NULL;
}
