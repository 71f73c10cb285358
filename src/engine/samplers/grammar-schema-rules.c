/* What the converter from JSON schemas writes: the built-in rules, rules of its own, texts. */
#define G_LOG_DOMAIN "atl-grammar"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/samplers/grammar-schema-private.h"

/* --- Built-in rules --- */

static const struct
{
  const char *name;
  const char *body;
  const char *needs; /* separated by blanks */
} builtins[] = {
  { "space", "| \" \" | \"\\n\"{1,2} [ \\t]{0,20}", "" },
  { "char", "[^\"\\\\\\x7F\\x00-\\x1F] | [\\\\] escape", "escape" },
  /* Half of a surrogate pair alone, or the character 0, is a string that many readers refuse. */
  { "escape",
    "[\"\\\\bfnrt] | \"u\" ([1-9abcefABCEF] [0-9a-fA-F]{3} | \"0\" ([1-9a-fA-F] [0-9a-fA-F]{2} | "
    "\"0\" ([1-9a-fA-F] [0-9a-fA-F] | \"0\" [1-9a-fA-F])) | [dD] [0-7] [0-9a-fA-F]{2} | "
    "[dD] [89abAB] [0-9a-fA-F]{2} \"\\\\u\" [dD] [c-fC-F] [0-9a-fA-F]{2})",
    "" },
  { "string", "\"\\\"\" char* \"\\\"\"", "char" },
  { "boolean", "\"true\" | \"false\"", "" },
  { "null", "\"null\"", "" },
  { "integral-part", "[0] | [1-9] [0-9]{0,15}", "" },
  { "integer", "\"-\"? integral-part", "integral-part" },
  /* No more than a double can hold. */
  { "number",
    "\"-\"? integral-part (\".\" [0-9]{1,16})? ([eE] [-+]? ([0-9]{1,2} | \"1\" [0-9]{2} | \"2\" "
    "[0-8] [0-9]))?",
    "integral-part" },
  { "value", "object | array | string | number | boolean | null",
    "object array string number boolean null" },
  { "object",
    "\"{\" space (string space \":\" space value (space \",\" space string space \":\" space "
    "value)*)? "
    "space \"}\"",
    "space string value" },
  { "array", "\"[\" space (value (space \",\" space value)*)? space \"]\"", "space value" },
  /* What "." of a pattern stands for: no line ends. */
  { "dot", "[^\"\\\\\\x7F\\x00-\\x1F\\u2028\\u2029] | [\\\\] [\"\\\\bft]", "" },
  /* Days that there are, in years that there were. */
  { "date",
    "year \"-\" ((\"0\" [13578] | \"1\" [02]) \"-\" (\"0\" [1-9] | [1-2] [0-9] | \"3\" [0-1]) | "
    "(\"0\" [469] | \"11\") \"-\" (\"0\" [1-9] | [1-2] [0-9] | \"30\") | "
    "\"02-\" (\"0\" [1-9] | \"1\" [0-9] | \"2\" [0-8])) | "
    "([0-9]{2} (\"0\" [48] | [2468] [048] | [13579] [26]) | (\"0\" [48] | [2468] [048] | [13579] "
    "[26]) \"00\") \"-02-29\"",
    "year" },
  { "year", "[0-9]{3} [1-9] | [0-9]{2} [1-9] \"0\" | [0-9] [1-9] \"00\" | [1-9] \"000\"", "" },
  { "time",
    "([01] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9] \":\" [0-5] [0-9] (\".\" [0-9]{3})? (\"Z\" | "
    "[-+] "
    "([01] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9])",
    "" },
  { "date-time", "date \"T\" time", "date time" },
  { "uuid",
    "[0-9a-fA-F]{8} \"-\" [0-9a-fA-F]{4} \"-\" [0-9a-fA-F]{4} \"-\" [0-9a-fA-F]{4} \"-\" "
    "[0-9a-fA-F]{12}",
    "" },
  { "duration",
    "\"P\" ([0-9]{1,4} \"W\" | duration-date (\"T\" duration-time)? | \"T\" duration-time)",
    "duration-date duration-time" },
  { "duration-date",
    "[0-9]{1,4} \"Y\" ([0-9]{1,2} \"M\" ([0-9]{1,3} \"D\")?)? | [0-9]{1,4} \"M\" ([0-9]{1,3} "
    "\"D\")? | [0-9]{1,4} \"D\"",
    "" },
  { "duration-time",
    "[0-9]{1,4} \"H\" ([0-9]{1,4} \"M\" ([0-9]{1,4} \"S\")?)? | "
    "[0-9]{1,4} \"M\" ([0-9]{1,4} \"S\")? | [0-9]{1,4} \"S\"",
    "" },
  { "ipv4", "octet (\".\" octet){3}", "octet" },
  { "octet", "\"25\" [0-5] | \"2\" [0-4] [0-9] | \"1\" [0-9]{2} | [1-9]? [0-9]", "" },
  /* Whole, or with one gap and at most one group behind it. */
  { "ipv6", "(hextet \":\"){7} hextet | \"::\" hextet? | (hextet \":\"){1,6} \":\" hextet?",
    "hextet" },
  { "hextet", "[0-9a-fA-F]{1,4}", "" },
  { "hostname", "label (\".\" label){0,3}", "label" },
  { "label", "[a-zA-Z0-9] ([a-zA-Z0-9-]{0,60} [a-zA-Z0-9])?", "" },
  { "email",
    "[a-zA-Z0-9_+-]{1,20} (\".\" [a-zA-Z0-9_+-]{1,20}){0,2} \"@\" label (\".\" label){1,3}",
    "label" },
  { "uri", "[a-zA-Z] [a-zA-Z0-9+.-]{0,20} \":\" uri-char{1,200} (\"#\" uri-char{0,60})?",
    "uri-char" },
  { "uri-char", "[a-zA-Z0-9._~:/?@!$&()*+,;=-] | \"%\" [0-9a-fA-F]{2}", "" },
};

/* Writes a built-in rule and those it needs, once. */
const char *
atl_schema_need (AtlSchemaConverter *c, const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (builtins); i++)
    {
      g_auto (GStrv) needs = NULL;

      if (strcmp (builtins[i].name, name) != 0)
        continue;
      if (!g_hash_table_add (c->literals, (gpointer) builtins[i].name))
        return name;
      g_string_append_printf (c->rules, "%s ::= %s\n", name, builtins[i].body);
      needs = g_strsplit (builtins[i].needs, " ", 0);
      for (char **other = needs; *other != NULL; other++)
        if (**other != '\0')
          atl_schema_need (c, *other);
      return name;
    }
  g_assert_not_reached ();
}

static gboolean
is_builtin (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (builtins); i++)
    if (strcmp (builtins[i].name, name) == 0)
      return TRUE;
  return FALSE;
}

/* --- Helpers --- */

void
atl_schema_fail (AtlSchemaConverter *c, AtlError code, const char *message)
{
  if (c->error == NULL)
    c->error = g_error_new (ATL_ERROR, code, _ ("JSON schema: %s"), message);
}

void
atl_grammar_append_literal (GString *out, const char *text)
{
  g_string_append_c (out, '"');
  for (; *text != '\0'; text++)
    switch (*text)
      {
      case '"':
        g_string_append (out, "\\\"");
        break;
      case '\\':
        g_string_append (out, "\\\\");
        break;
      case '\n':
        g_string_append (out, "\\n");
        break;
      case '\r':
        g_string_append (out, "\\r");
        break;
      case '\t':
        g_string_append (out, "\\t");
        break;
      default:
        g_string_append_c (out, *text);
      }
  g_string_append_c (out, '"');
}

/* A value of the schema as the JSON text that stands for it. */
char *
atl_schema_json_text (JsonNode *node)
{
  GString *out;

  if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
    return atl_json_quote (json_node_get_string (node));
  if (JSON_NODE_HOLDS_ARRAY (node))
    {
      JsonArray *array = json_node_get_array (node);

      out = g_string_new ("[");
      for (guint i = 0; i < json_array_get_length (array); i++)
        {
          g_autofree char *item = atl_schema_json_text (json_array_get_element (array, i));

          g_string_append_printf (out, "%s%s", i > 0 ? "," : "", item);
        }
      g_string_append_c (out, ']');
      return g_string_free (out, FALSE);
    }
  if (JSON_NODE_HOLDS_OBJECT (node))
    {
      JsonObjectIter iter;
      const char *name;
      JsonNode *member;

      out = g_string_new ("{");
      json_object_iter_init_ordered (&iter, json_node_get_object (node));
      while (json_object_iter_next_ordered (&iter, &name, &member))
        {
          g_autofree char *key = atl_json_quote (name);
          g_autofree char *value = atl_schema_json_text (member);

          g_string_append_printf (out, "%s%s:%s", out->len > 1 ? "," : "", key, value);
        }
      g_string_append_c (out, '}');
      return g_string_free (out, FALSE);
    }
  /* A number beyond all others can only be null. */
  char *text = atl_json_write (node);

  return text != NULL ? text : g_strdup ("null");
}

/* A rule with the given body under a name that is free. */
char *
atl_schema_add_rule (AtlSchemaConverter *c, const char *wanted, const char *body)
{
  GString *name = g_string_new (NULL);
  gpointer known, count;
  gsize length;

  for (const char *at = wanted; *at != '\0' && name->len < 60; at++)
    g_string_append_c (name, g_ascii_isalnum (*at) ? *at : '-');
  if (name->len == 0 || is_builtin (name->str) || strcmp (name->str, "root") == 0)
    g_string_append (name, "-x");
  length = name->len;
  if (g_hash_table_lookup_extended (c->names, name->str, &known, &count))
    {
      /* Thousands of rules may ask for one name: the search goes on where it ended. */
      g_autofree char *stem = g_strdup (name->str);
      guint i = GPOINTER_TO_UINT (count);

      do
        {
          g_string_truncate (name, length);
          g_string_append_printf (name, "-%u", i++);
        }
      while (g_hash_table_contains (c->names, name->str));
      g_hash_table_replace (c->names, g_steal_pointer (&stem), GUINT_TO_POINTER (i));
    }
  g_hash_table_insert (c->names, g_strdup (name->str), GUINT_TO_POINTER (2));
  if (body != NULL)
    g_string_append_printf (c->rules, "%s ::= %s\n", name->str, body);
  if (c->rules->len > ATL_SCHEMA_MAX_OUTPUT)
    atl_schema_fail (c, ATL_ERROR_TOO_COMPLEX, _ ("it makes too large a grammar"));
  return g_string_free (name, FALSE);
}
