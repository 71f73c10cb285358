/* JSON schemas as grammars. Each schema becomes an expression, larger ones a rule of their own; the
 * language is the one that llama.cpp's converter allows (common/json-schema-to-grammar.cpp):
 * properties in the schema's order with the required ones first, at most 16 digits, little white
 * space. */
#define G_LOG_DOMAIN "atl-grammar"

#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/samplers/grammar-private.h"

#define MAX_OUTPUT (1 << 20)
#define MAX_DEPTH 60
#define MAX_REFS 200

typedef struct
{
  JsonNode *root;
  GString *rules;
  GHashTable *names;    /* (owned) of rules, taken */
  GHashTable *refs;     /* (owned) path -> name of its rule */
  GHashTable *literals; /* (owned) of the built-in rules that are written */
  guint depth;
  GError *error; /* (nullable) */
} Converter;

/* --- Built-in rules --- */

static const struct
{
  const char *name;
  const char *body;
  const char *needs; /* separated by blanks */
} builtins[] = {
  { "space", "| \" \" | \"\\n\"{1,2} [ \\t]{0,20}", "" },
  { "char", "[^\"\\\\\\x7F\\x00-\\x1F] | [\\\\] ([\"\\\\bfnrt] | \"u\" [0-9a-fA-F]{4})", "" },
  { "string", "\"\\\"\" char* \"\\\"\"", "char" },
  { "boolean", "\"true\" | \"false\"", "" },
  { "null", "\"null\"", "" },
  { "integral-part", "[0] | [1-9] [0-9]{0,15}", "" },
  { "integer", "\"-\"? integral-part", "integral-part" },
  { "number", "\"-\"? integral-part (\".\" [0-9]{1,16})? ([eE] [-+]? integral-part)?",
    "integral-part" },
  { "value", "object | array | string | number | boolean | null",
    "object array string number boolean null" },
  { "object",
    "\"{\" space (string space \":\" space value (space \",\" space string space \":\" space "
    "value)*)? "
    "space \"}\"",
    "space string value" },
  { "array", "\"[\" space (value (space \",\" space value)*)? space \"]\"", "space value" },
  { "date",
    "[0-9]{4} \"-\" (\"0\" [1-9] | \"1\" [0-2]) \"-\" (\"0\" [1-9] | [1-2] [0-9] | \"3\" [0-1])",
    "" },
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
};

/* Writes a built-in rule and those it needs, once. */
static const char *
need (Converter *c, const char *name)
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
          need (c, *other);
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

static void
fail (Converter *c, AtlError code, const char *message)
{
  if (c->error == NULL)
    c->error = g_error_new (ATL_ERROR, code, "JSON schema: %s", message);
}

void
g_append_literal (GString *out, const char *text)
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

/* The text of a string in JSON, with its quotes and the escapes that models write. */
static char *
json_string (const char *text)
{
  GString *out = g_string_new ("\"");

  for (; *text != '\0'; text++)
    switch (*text)
      {
      case '"':
      case '\\':
        g_string_append_c (out, '\\');
        g_string_append_c (out, *text);
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
      case '\b':
        g_string_append (out, "\\b");
        break;
      case '\f':
        g_string_append (out, "\\f");
        break;
      default:
        if ((guint8) *text < 0x20)
          g_string_append_printf (out, "\\u%04x", (guint8) *text);
        else
          g_string_append_c (out, *text);
      }
  g_string_append_c (out, '"');
  return g_string_free (out, FALSE);
}

/* A value of the schema as the JSON text that stands for it. */
static char *
json_text (JsonNode *node)
{
  GString *out;

  if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
    return json_string (json_node_get_string (node));
  if (JSON_NODE_HOLDS_ARRAY (node))
    {
      JsonArray *array = json_node_get_array (node);

      out = g_string_new ("[");
      for (guint i = 0; i < json_array_get_length (array); i++)
        {
          g_autofree char *item = json_text (json_array_get_element (array, i));

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
          g_autofree char *key = json_string (name);
          g_autofree char *value = json_text (member);

          g_string_append_printf (out, "%s%s:%s", out->len > 1 ? "," : "", key, value);
        }
      g_string_append_c (out, '}');
      return g_string_free (out, FALSE);
    }
  return json_to_string (node, FALSE);
}

/* A rule with the given body under a name that is free. */
static char *
add_rule (Converter *c, const char *wanted, const char *body)
{
  GString *name = g_string_new (NULL);
  gsize length;

  for (const char *at = wanted; *at != '\0' && name->len < 60; at++)
    g_string_append_c (name, g_ascii_isalnum (*at) ? *at : '-');
  if (name->len == 0 || is_builtin (name->str) || strcmp (name->str, "root") == 0)
    g_string_append (name, "-x");
  length = name->len;
  for (guint i = 2; g_hash_table_contains (c->names, name->str); i++)
    {
      g_string_truncate (name, length);
      g_string_append_printf (name, "-%u", i);
    }
  g_hash_table_add (c->names, g_strdup (name->str));
  if (body != NULL)
    g_string_append_printf (c->rules, "%s ::= %s\n", name->str, body);
  if (c->rules->len > MAX_OUTPUT)
    fail (c, ATL_ERROR_TOO_COMPLEX, "it makes too large a grammar");
  return g_string_free (name, FALSE);
}

static char *convert (Converter *c, JsonNode *schema, const char *name);

static JsonNode *
member (JsonObject *object, const char *name)
{
  return json_object_get_member (object, name);
}

static gboolean
type_is (const char *type, const char *wanted)
{
  return type == NULL || strcmp (type, wanted) == 0;
}

/* A count such as minLength, or `fallback`. */
static gint64
count_of (JsonObject *object, const char *name, gint64 fallback)
{
  JsonNode *node = member (object, name);
  double value;

  if (node == NULL || !JSON_NODE_HOLDS_VALUE (node))
    return fallback;
  value = json_node_get_double (node);
  return value >= 0 && value < 1e9 ? (gint64) value : fallback;
}

/* --- References --- */

/* The node that "#/a/b/0" points to; NULL if there is none. */
static JsonNode *
resolve (Converter *c, const char *path)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", 0);
  JsonNode *node = c->root;

  for (guint i = 1; parts[0] != NULL && parts[i] != NULL && node != NULL; i++)
    {
      GString *part = g_string_new (parts[i]);

      g_string_replace (part, "~1", "/", 0);
      g_string_replace (part, "~0", "~", 0);
      if (JSON_NODE_HOLDS_OBJECT (node))
        node = member (json_node_get_object (node), part->str);
      else if (JSON_NODE_HOLDS_ARRAY (node) && g_ascii_isdigit (part->str[0]))
        {
          guint64 index = g_ascii_strtoull (part->str, NULL, 10);
          JsonArray *array = json_node_get_array (node);

          node = index < json_array_get_length (array)
                     ? json_array_get_element (array, (guint) index)
                     : NULL;
        }
      else
        node = NULL;
      g_string_free (part, TRUE);
    }
  return node;
}

static char *
convert_ref (Converter *c, const char *path)
{
  const char *known = g_hash_table_lookup (c->refs, path);
  const char *last = strrchr (path, '/');
  JsonNode *target;
  char *name;
  g_autofree char *body = NULL;

  if (known != NULL)
    return g_strdup (known);
  if (path[0] != '#')
    {
      fail (c, ATL_ERROR_UNSUPPORTED, "a $ref to another document cannot be followed");
      return NULL;
    }
  target = resolve (c, path);
  if (target == NULL || g_hash_table_size (c->refs) >= MAX_REFS)
    {
      fail (c, ATL_ERROR_INVALID, target == NULL ? "a $ref points to nothing" : "too many $refs");
      return NULL;
    }
  /* The name comes first: a schema may refer to itself. */
  name = add_rule (c, last != NULL ? last + 1 : "ref", NULL);
  g_hash_table_insert (c->refs, g_strdup (path), g_strdup (name));
  body = convert (c, target, name);
  if (body != NULL)
    g_string_append_printf (c->rules, "%s ::= %s\n", name, body);
  return name;
}

/* --- Alternatives --- */

static char *
convert_alternatives (Converter *c, JsonArray *schemas, const char *name)
{
  GString *out = g_string_new ("(");

  for (guint i = 0; i < json_array_get_length (schemas) && c->error == NULL; i++)
    {
      g_autofree char *sub = g_strdup_printf ("%s-%u", name, i);
      g_autofree char *item = convert (c, json_array_get_element (schemas, i), sub);

      g_string_append_printf (out, "%s%s", i > 0 ? " | " : "", item != NULL ? item : "");
    }
  if (json_array_get_length (schemas) == 0)
    fail (c, ATL_ERROR_INVALID, "a list of alternatives is empty");
  g_string_append_c (out, ')');
  return g_string_free (out, FALSE);
}

/* "type": ["a", "b"]: the same schema with each of the types. */
static char *
convert_types (Converter *c, JsonObject *schema, JsonArray *types, const char *name)
{
  GString *out = g_string_new ("(");

  for (guint i = 0; i < json_array_get_length (types) && c->error == NULL; i++)
    {
      g_autoptr (JsonNode) one = json_node_new (JSON_NODE_OBJECT);
      JsonObject *copy = json_object_new ();
      JsonObjectIter iter;
      const char *key;
      JsonNode *value;
      g_autofree char *sub = g_strdup_printf ("%s-%u", name, i);
      g_autofree char *item = NULL;

      json_object_iter_init_ordered (&iter, schema);
      while (json_object_iter_next_ordered (&iter, &key, &value))
        json_object_set_member (copy, key, json_node_copy (value));
      json_object_set_member (copy, "type", json_node_copy (json_array_get_element (types, i)));
      json_node_take_object (one, copy);
      item = convert (c, one, sub);
      g_string_append_printf (out, "%s%s", i > 0 ? " | " : "", item != NULL ? item : "");
    }
  if (json_array_get_length (types) == 0)
    fail (c, ATL_ERROR_INVALID, "a list of types is empty");
  g_string_append_c (out, ')');
  return g_string_free (out, FALSE);
}

static char *
convert_enum (JsonArray *values)
{
  GString *out = g_string_new ("(");

  for (guint i = 0; i < json_array_get_length (values); i++)
    {
      g_autofree char *text = json_text (json_array_get_element (values, i));

      if (i > 0)
        g_string_append (out, " | ");
      g_append_literal (out, text);
    }
  g_string_append_c (out, ')');
  return g_string_free (out, FALSE);
}

/* --- Objects --- */

typedef struct
{
  char *name; /* (owned) of the property */
  char *rule; /* (owned) of its key, colon and value */
  gboolean required;
} Property;

static void
property_free (gpointer data)
{
  Property *property = data;

  g_free (property->name);
  g_free (property->rule);
  g_free (property);
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* A character in a GBNF class. */
static void
append_in_class (GString *out, gunichar c)
{
  if (c < 0x20 || c == 0x7f)
    g_string_append_printf (out, "\\x%02X", c);
  else if (c == '\\' || c == ']' || c == '[' || c == '"' || c == '-')
    g_string_append_printf (out, "\\%c", (char) c);
  else if (c == '^')
    g_string_append (out, "\\x5E");
  else
    g_string_append_unichar (out, c);
}

/* Strings that begin with the common prefix so far and are none of names[from, to), which are
 * sorted and share their first `at` bytes. The recursion is one level a character of the longest
 * name. */
static void
append_other_names (Converter *c, GString *out, char **names, guint from, guint to, gsize at)
{
  g_autoptr (GString) taken = g_string_new (NULL);
  gboolean is_name = names[from][at] == '\0';

  if (at > 200 || out->len > MAX_OUTPUT)
    {
      fail (c, ATL_ERROR_TOO_COMPLEX, "the names of properties are too long");
      return;
    }
  g_string_append_c (out, '(');
  for (guint i = from; i < to;)
    {
      gunichar letter = g_utf8_get_char (names[i] + at);
      gsize n = (gsize) (g_utf8_next_char (names[i] + at) - (names[i] + at));
      guint end = i;

      while (end < to && g_utf8_get_char (names[end] + at) == letter)
        end++;
      if (letter != 0)
        {
          g_string_append_c (out, '[');
          append_in_class (out, letter);
          append_in_class (taken, letter);
          g_string_append (out, "] ");
          append_other_names (c, out, names, i, end, at + n);
          g_string_append (out, " | ");
        }
      i = end;
    }
  g_string_append_printf (out, "[^\"\\\\\\x7F\\x00-\\x1F%s] char*", taken->str);
  /* A spelling with an escape is taken for another name, unless a name begins with one. */
  if (strchr (taken->str, '\\') == NULL)
    g_string_append (out, " | [\\\\] ([\"\\\\bfnrt] | \"u\" [0-9a-fA-F]{4}) char*");
  g_string_append (out, is_name ? ")" : ")?");
}

/* The key of an additional property: any string but the names of the others. */
static char *
other_key (Converter *c, GPtrArray *properties)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  GString *out = g_string_new ("\"\\\"\" ");

  if (properties->len == 0)
    {
      g_string_free (out, TRUE);
      return g_strdup (need (c, "string"));
    }
  need (c, "char");
  for (guint i = 0; i < properties->len; i++)
    {
      char *quoted = json_string (((Property *) properties->pdata[i])->name);

      /* As it is spelled between the quotes. */
      quoted[strlen (quoted) - 1] = '\0';
      g_ptr_array_add (names, g_strdup (quoted + 1));
      g_free (quoted);
    }
  g_ptr_array_sort (names, compare_names);
  append_other_names (c, out, (char **) names->pdata, 0, names->len, 0);
  g_string_append (out, " \"\\\"\"");
  return g_string_free (out, FALSE);
}

/* "a"-pairs from property `from` on, of which at least one is written: each may come if those
 * before it came or were left out. Built from the end, so that every tail is one rule. */
static char *
optional_tail (Converter *c, GPtrArray *optional, const char *additional, const char *name)
{
  char *rest = NULL; /* (nullable) rule of what may follow, its comma first */
  GString *first = g_string_new (NULL);

  if (additional != NULL)
    {
      g_autofree char *wanted = g_strconcat (name, "-rest", NULL);
      g_autofree char *body = g_strdup_printf ("(space \",\" space %s)*", additional);

      rest = add_rule (c, wanted, body);
      g_string_printf (first, "%s %s", additional, rest);
    }
  for (guint i = optional->len; i > 0; i--)
    {
      const Property *property = optional->pdata[i - 1];
      g_autofree char *alternative =
          g_strdup_printf ("%s %s", property->rule, rest != NULL ? rest : "");

      if (first->len > 0)
        g_string_prepend (first, " | ");
      g_string_prepend (first, alternative);
      if (i > 1)
        {
          g_autofree char *wanted = g_strdup_printf ("%s-rest", name);
          g_autofree char *body =
              rest != NULL
                  ? g_strdup_printf ("(space \",\" space %s %s) | %s", property->rule, rest, rest)
                  : g_strdup_printf ("(space \",\" space %s)?", property->rule);

          g_free (rest);
          rest = add_rule (c, wanted, body);
        }
    }
  g_free (rest);
  return g_string_free (first, FALSE);
}

/* The rule of an additional property: key, colon, value; NULL if there may be none. */
static char *
additional_pair (Converter *c, JsonNode *additional, GPtrArray *properties, const char *name)
{
  g_autofree char *key = NULL;
  g_autofree char *value = NULL;
  g_autofree char *body = NULL;
  g_autofree char *wanted = g_strconcat (name, "-additional", NULL);

  if (additional == NULL)
    return NULL;
  if (JSON_NODE_HOLDS_VALUE (additional))
    {
      if (!json_node_get_boolean (additional))
        return NULL;
      value = g_strdup (need (c, "value"));
    }
  else
    value = convert (c, additional, wanted);
  key = other_key (c, properties);
  if (value == NULL)
    return NULL;
  body = g_strdup_printf ("%s space \":\" space %s", key, value);
  return add_rule (c, wanted, body);
}

static void
add_property (Converter *c,
              GPtrArray *properties,
              const char *key,
              JsonNode *schema,
              gboolean required,
              const char *name)
{
  Property *property;
  g_autofree char *wanted = g_strdup_printf ("%s-%s", name, key);
  g_autofree char *value = NULL;
  g_autofree char *quoted = json_string (key);
  g_autoptr (GString) body = g_string_new (NULL);

  for (guint i = 0; i < properties->len; i++)
    {
      property = properties->pdata[i];
      if (strcmp (property->name, key) == 0)
        {
          property->required |= required;
          return;
        }
    }
  value = convert (c, schema, wanted);
  if (value == NULL)
    return;
  g_append_literal (body, quoted);
  g_string_append_printf (body, " space \":\" space %s", value);
  property = g_new0 (Property, 1);
  property->name = g_strdup (key);
  property->rule = add_rule (c, wanted, body->str);
  property->required = required;
  g_ptr_array_add (properties, property);
}

static char *
convert_object (Converter *c, GPtrArray *properties, JsonNode *additional, const char *name)
{
  g_autofree char *pair = additional_pair (c, additional, properties, name);
  g_autoptr (GPtrArray) optional = g_ptr_array_new ();
  GString *out = g_string_new ("\"{\" space");
  gboolean any_required = FALSE;

  need (c, "space");
  for (guint i = 0; i < properties->len; i++)
    {
      const Property *property = properties->pdata[i];

      if (!property->required)
        {
          g_ptr_array_add (optional, properties->pdata[i]);
          continue;
        }
      g_string_append_printf (out, "%s %s", any_required ? " space \",\" space" : "",
                              property->rule);
      any_required = TRUE;
    }
  if (optional->len > 0 || pair != NULL)
    {
      g_autofree char *tail = optional_tail (c, optional, pair, name);

      if (any_required)
        g_string_append_printf (out, " (space \",\" space (%s))?", tail);
      else
        g_string_append_printf (out, " (%s)?", tail);
    }
  g_string_append (out, " space \"}\"");
  return g_string_free (out, FALSE);
}

static gboolean
is_required (JsonObject *schema, const char *key)
{
  JsonArray *required = atl_json_array (schema, "required");

  for (guint i = 0; required != NULL && i < json_array_get_length (required); i++)
    {
      JsonNode *node = json_array_get_element (required, i);

      if (JSON_NODE_HOLDS_VALUE (node) && g_strcmp0 (json_node_get_string (node), key) == 0)
        return TRUE;
    }
  return FALSE;
}

static void
add_properties (Converter *c,
                GPtrArray *properties,
                JsonObject *schema,
                gboolean all_required,
                gboolean may_require,
                const char *name)
{
  JsonObject *members = atl_json_object (schema, "properties");
  JsonObjectIter iter;
  const char *key;
  JsonNode *value;

  if (members == NULL)
    return;
  json_object_iter_init_ordered (&iter, members);
  while (json_object_iter_next_ordered (&iter, &key, &value) && c->error == NULL)
    add_property (c, properties, key, value,
                  all_required || (may_require && is_required (schema, key)), name);
}

/* --- allOf --- */

/* The object that a part of allOf is, its references followed. */
static JsonObject *
part_of (Converter *c, JsonNode *node)
{
  for (guint i = 0; i < 10 && node != NULL && JSON_NODE_HOLDS_OBJECT (node); i++)
    {
      JsonObject *object = json_node_get_object (node);
      const char *ref = atl_json_string (object, "$ref", NULL);

      if (ref == NULL)
        return object;
      node = ref[0] == '#' ? resolve (c, ref) : NULL;
    }
  fail (c, ATL_ERROR_INVALID, "a part of allOf is no schema");
  return NULL;
}

/* Keeps of `values` (NULL: all) those that `part` lists too. */
static GPtrArray *
intersect (GPtrArray *values, JsonArray *part)
{
  GPtrArray *kept = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < json_array_get_length (part); i++)
    {
      char *text = json_text (json_array_get_element (part, i));

      if (values == NULL || g_ptr_array_find_with_equal_func (values, text, g_str_equal, NULL))
        g_ptr_array_add (kept, text);
      else
        g_free (text);
    }
  if (values != NULL)
    g_ptr_array_unref (values);
  return kept;
}

/* The properties of all parts together, those of a part required (as the reference has it), those
 * of an anyOf among the parts not; or the values that all parts list. */
static char *
convert_all_of (Converter *c, JsonArray *parts, const char *name)
{
  g_autoptr (GPtrArray) properties = g_ptr_array_new_with_free_func (property_free);
  GPtrArray *values = NULL;
  GString *out;

  for (guint i = 0; i < json_array_get_length (parts) && c->error == NULL; i++)
    {
      JsonObject *part = part_of (c, json_array_get_element (parts, i));
      JsonArray *any_of = part != NULL ? atl_json_array (part, "anyOf") : NULL;
      JsonArray *listed = part != NULL ? atl_json_array (part, "enum") : NULL;

      if (part == NULL)
        break;
      for (guint k = 0; any_of != NULL && k < json_array_get_length (any_of); k++)
        {
          JsonObject *choice = part_of (c, json_array_get_element (any_of, k));

          if (choice != NULL)
            add_properties (c, properties, choice, FALSE, FALSE, name);
        }
      if (any_of == NULL)
        add_properties (c, properties, part, TRUE, TRUE, name);
      if (listed != NULL)
        values = intersect (values, listed);
    }
  if (values == NULL)
    return convert_object (c, properties, NULL, name);
  out = g_string_new ("(");
  for (guint i = 0; i < values->len; i++)
    {
      if (i > 0)
        g_string_append (out, " | ");
      g_append_literal (out, values->pdata[i]);
    }
  if (values->len == 0)
    g_string_append (out, "[]");
  g_string_append_c (out, ')');
  g_ptr_array_unref (values);
  return g_string_free (out, FALSE);
}

/* --- Arrays, strings, numbers --- */

static char *
convert_tuple (Converter *c, JsonArray *items, const char *name)
{
  GString *out = g_string_new ("\"[\" space");

  need (c, "space");
  for (guint i = 0; i < json_array_get_length (items) && c->error == NULL; i++)
    {
      g_autofree char *sub = g_strdup_printf ("%s-%u", name, i);
      g_autofree char *item = convert (c, json_array_get_element (items, i), sub);

      g_string_append_printf (out, "%s %s", i > 0 ? " space \",\" space" : "",
                              item != NULL ? item : "");
    }
  g_string_append (out, " space \"]\"");
  return g_string_free (out, FALSE);
}

static char *
convert_array (Converter *c, JsonObject *schema, const char *name)
{
  JsonNode *prefix = member (schema, "prefixItems");
  JsonNode *items = prefix != NULL ? prefix : member (schema, "items");
  gint64 min = count_of (schema, "minItems", 0);
  gint64 max = count_of (schema, "maxItems", -1);
  g_autofree char *sub = g_strconcat (name, "-item", NULL);
  g_autofree char *item = NULL;
  g_autofree char *body = NULL;
  GString *out;

  if (JSON_NODE_HOLDS_ARRAY (items))
    return convert_tuple (c, json_node_get_array (items), name);
  body = convert (c, items, sub);
  if (body == NULL)
    return NULL;
  item = add_rule (c, sub, body);
  need (c, "space");
  out = g_string_new ("\"[\" space ");
  if (max == 0)
    g_string_append (out, "");
  else
    {
      g_string_append_printf (out, "(%s (space \",\" space %s){%" G_GINT64_FORMAT ",", item, item,
                              MAX (min - 1, 0));
      if (max > 0)
        g_string_append_printf (out, "%" G_GINT64_FORMAT, max - 1);
      g_string_append (out, min > 0 ? "})" : "})?");
    }
  g_string_append (out, " space \"]\"");
  return g_string_free (out, FALSE);
}

static char *
quoted (const char *inside)
{
  return g_strdup_printf ("(\"\\\"\" %s \"\\\"\")", inside);
}

static char *
convert_pattern (Converter *c, const char *pattern)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *inside = g_regex_to_gbnf (pattern, &error);

  if (error != NULL)
    {
      fail (c, ATL_ERROR_INVALID, error->message + strlen ("JSON schema: "));
      return NULL;
    }
  if (inside == NULL)
    return g_strdup (need (c, "string"));
  need (c, "char");
  return quoted (inside);
}

static char *
convert_lengths (Converter *c, JsonObject *schema)
{
  gint64 min = count_of (schema, "minLength", 0);
  gint64 max = count_of (schema, "maxLength", -1);
  g_autofree char *inside = NULL;

  need (c, "char");
  if (max >= 0)
    inside = g_strdup_printf ("char{%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT "}", min, max);
  else
    inside = g_strdup_printf ("char{%" G_GINT64_FORMAT ",}", min);
  return quoted (inside);
}

/* A bound of a range of integers; `upper` rounds down, else up; an exclusive one is moved by one.
 */
static gint64
bound_of (JsonObject *schema, const char *name, const char *exclusive, gboolean upper)
{
  const double far = 9e15;
  double bound = upper ? far : -far;
  JsonNode *node = member (schema, name);

  if (node != NULL && JSON_NODE_HOLDS_VALUE (node))
    bound = upper ? floor (json_node_get_double (node)) : ceil (json_node_get_double (node));
  node = member (schema, exclusive);
  if (node != NULL && JSON_NODE_HOLDS_VALUE (node))
    {
      double value = json_node_get_double (node);

      bound = upper ? MIN (bound, ceil (value) - 1) : MAX (bound, floor (value) + 1);
    }
  if (isnan (bound) || fabs (bound) >= far)
    return bound > 0 ? G_MAXINT64 : -G_MAXINT64;
  return (gint64) bound;
}

static gboolean
has_any (JsonObject *schema, const char *const *names)
{
  for (; *names != NULL; names++)
    if (json_object_has_member (schema, *names))
      return TRUE;
  return FALSE;
}

/* --- One schema --- */

static const char *
format_rule (const char *format)
{
  if (strcmp (format, "date") == 0 || strcmp (format, "time") == 0 ||
      strcmp (format, "date-time") == 0)
    return format;
  if (g_str_has_prefix (format, "uuid") &&
      (format[4] == '\0' || (format[4] >= '1' && format[4] <= '5' && format[5] == '\0')))
    return "uuid";
  return NULL;
}

static char *
convert_by_type (Converter *c, JsonObject *schema, const char *type, const char *name)
{
  static const char *const lengths[] = { "minLength", "maxLength", NULL };
  static const char *const ranges[] = { "minimum", "maximum", "exclusiveMinimum",
                                        "exclusiveMaximum", NULL };
  JsonNode *additional = member (schema, "additionalProperties");
  gboolean any_additional = additional == NULL || (JSON_NODE_HOLDS_VALUE (additional) &&
                                                   json_node_get_boolean (additional));
  const char *pattern = atl_json_string (schema, "pattern", NULL);
  const char *format = atl_json_string (schema, "format", NULL);
  JsonArray *all_of = atl_json_array (schema, "allOf");

  if (type_is (type, "object") &&
      (atl_json_object (schema, "properties") != NULL || !any_additional))
    {
      g_autoptr (GPtrArray) properties = g_ptr_array_new_with_free_func (property_free);

      add_properties (c, properties, schema, FALSE, TRUE, name);
      return c->error == NULL ? convert_object (c, properties, additional, name) : NULL;
    }
  if ((type_is (type, "object") || type_is (type, "string")) && all_of != NULL)
    return convert_all_of (c, all_of, name);
  if (type_is (type, "array") &&
      (json_object_has_member (schema, "items") || json_object_has_member (schema, "prefixItems")))
    return convert_array (c, schema, name);
  if (type_is (type, "string") && pattern != NULL)
    return convert_pattern (c, pattern);
  if (type_is (type, "string") && format != NULL && format_rule (format) != NULL)
    return quoted (need (c, format_rule (format)));
  if (g_strcmp0 (type, "string") == 0 && has_any (schema, lengths))
    return convert_lengths (c, schema);
  if (g_strcmp0 (type, "integer") == 0 && has_any (schema, ranges))
    return g_integers_to_gbnf (bound_of (schema, "minimum", "exclusiveMinimum", FALSE),
                               bound_of (schema, "maximum", "exclusiveMaximum", TRUE));
  if (type == NULL)
    return g_strdup (need (c, "value"));
  if (strcmp (type, "object") == 0 || strcmp (type, "array") == 0 || strcmp (type, "string") == 0 ||
      strcmp (type, "number") == 0 || strcmp (type, "integer") == 0 ||
      strcmp (type, "boolean") == 0 || strcmp (type, "null") == 0)
    return g_strdup (need (c, type));
  fail (c, ATL_ERROR_INVALID, "it names a type that there is not");
  return NULL;
}

static char *
convert_schema (Converter *c, JsonObject *schema, const char *name)
{
  JsonNode *type = member (schema, "type");
  const char *ref = atl_json_string (schema, "$ref", NULL);
  JsonArray *one_of = atl_json_array (schema, "oneOf");
  JsonArray *any_of = one_of != NULL ? one_of : atl_json_array (schema, "anyOf");
  JsonNode *constant = member (schema, "const");
  JsonArray *values = atl_json_array (schema, "enum");

  if (ref != NULL)
    return convert_ref (c, ref);
  if (any_of != NULL)
    return convert_alternatives (c, any_of, name);
  if (type != NULL && JSON_NODE_HOLDS_ARRAY (type))
    return convert_types (c, schema, json_node_get_array (type), name);
  if (constant != NULL)
    {
      g_autofree char *text = json_text (constant);
      GString *out = g_string_new (NULL);

      g_append_literal (out, text);
      return g_string_free (out, FALSE);
    }
  if (values != NULL)
    return convert_enum (values);
  if (type != NULL &&
      (!JSON_NODE_HOLDS_VALUE (type) || json_node_get_value_type (type) != G_TYPE_STRING))
    {
      fail (c, ATL_ERROR_INVALID, "a type must be a name or a list of names");
      return NULL;
    }
  return convert_by_type (c, schema, type != NULL ? json_node_get_string (type) : NULL, name);
}

/* The expression for `schema`; NULL with c->error. `name` is for rules that it needs. */
static char *
convert (Converter *c, JsonNode *schema, const char *name)
{
  char *result = NULL;

  if (c->error != NULL)
    return NULL;
  if (++c->depth > MAX_DEPTH)
    fail (c, ATL_ERROR_TOO_COMPLEX, "it is nested too deeply");
  else if (c->rules->len > MAX_OUTPUT)
    fail (c, ATL_ERROR_TOO_COMPLEX, "it makes too large a grammar");
  else if (JSON_NODE_HOLDS_OBJECT (schema))
    result = convert_schema (c, json_node_get_object (schema), name);
  else if (JSON_NODE_HOLDS_VALUE (schema) && json_node_get_value_type (schema) == G_TYPE_BOOLEAN)
    result = g_strdup (json_node_get_boolean (schema) ? need (c, "value") : "[]");
  else
    fail (c, ATL_ERROR_INVALID, "a schema must be an object or a boolean");
  c->depth--;
  if (c->error != NULL)
    g_clear_pointer (&result, g_free);
  return result;
}

char *
atl_grammar_schema_to_gbnf (JsonNode *schema, GError **error)
{
  Converter c = { .root = schema };
  g_autofree char *root = NULL;

  g_return_val_if_fail (schema != NULL, NULL);
  c.rules = g_string_new (NULL);
  c.names = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  c.refs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  c.literals = g_hash_table_new (g_str_hash, g_str_equal);
  root = convert (&c, schema, "r");
  if (root != NULL)
    g_string_append_printf (c.rules, "root ::= %s\n", root);
  g_hash_table_unref (c.names);
  g_hash_table_unref (c.refs);
  g_hash_table_unref (c.literals);
  if (c.error != NULL)
    {
      g_propagate_error (error, c.error);
      g_string_free (c.rules, TRUE);
      return NULL;
    }
  return g_string_free (c.rules, FALSE);
}

AtlGrammar *
atl_grammar_new_json_schema (JsonNode *schema, GError **error)
{
  g_autofree char *source = atl_grammar_schema_to_gbnf (schema, error);

  return source != NULL ? atl_grammar_new_gbnf (source, "root", error) : NULL;
}
