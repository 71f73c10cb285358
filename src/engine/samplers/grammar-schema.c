/* JSON schemas as grammars. Each schema becomes an expression, larger ones a rule of their own; the
 * language is the one that llama.cpp's converter allows (common/json-schema-to-grammar.cpp):
 * properties in the schema's order with the required ones first, at most 16 digits, little white
 * space. */
#define G_LOG_DOMAIN "atl-grammar"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "base/name-hash.h"
#include "engine/samplers/grammar-schema-private.h"

#define MAX_DEPTH 60
#define MAX_REFS 200
#define MOST 50000
#define MAX_NAME_SHOWN 40

static gboolean
type_is (const char *type, const char *wanted)
{
  return type == NULL || strcmp (type, wanted) == 0;
}

/* A count such as minLength, or `fallback`. */
gint64
atl_schema_count (JsonObject *object, const char *name, gint64 fallback)
{
  JsonNode *node = json_object_get_member (object, name);
  double value;

  if (node == NULL || !JSON_NODE_HOLDS_VALUE (node))
    return fallback;
  value = json_node_get_double (node);
  /* Nothing is as long as the most that a grammar repeats. */
  return value >= 0 ? (gint64) MIN (value, MOST) : fallback;
}

static gboolean
is_true (JsonObject *schema, const char *name)
{
  JsonNode *node = json_object_get_member (schema, name);

  return node != NULL && JSON_NODE_HOLDS_VALUE (node) && json_node_get_boolean (node);
}

/* --- References --- */

/* The node that "#/a/b/0" points to; NULL if there is none. */
JsonNode *
atl_schema_resolve (AtlSchemaConverter *c, const char *path)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", 0);
  JsonNode *node = c->root;

  for (guint i = 1; parts[0] != NULL && parts[i] != NULL && node != NULL; i++)
    {
      GString *part = g_string_new (parts[i]);

      g_string_replace (part, "~1", "/", 0);
      g_string_replace (part, "~0", "~", 0);
      if (JSON_NODE_HOLDS_OBJECT (node))
        node = json_object_get_member (json_node_get_object (node), part->str);
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
convert_ref (AtlSchemaConverter *c, const char *path)
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
      atl_schema_fail (c, ATL_ERROR_UNSUPPORTED,
                       _ ("a $ref to another document cannot be followed"));
      return NULL;
    }
  target = atl_schema_resolve (c, path);
  if (target == NULL || g_hash_table_size (c->refs) >= MAX_REFS)
    {
      atl_schema_fail (c, ATL_ERROR_INVALID,
                       target == NULL ? _ ("a $ref points to nothing") : _ ("too many $refs"));
      return NULL;
    }
  /* The name comes first: a schema may refer to itself. */
  name = atl_schema_add_rule (c, last != NULL ? last + 1 : "ref", NULL);
  g_hash_table_insert (c->refs, g_strdup (path), g_strdup (name));
  body = atl_schema_convert (c, target, name);
  if (body != NULL)
    g_string_append_printf (c->rules, "%s ::= %s\n", name, body);
  return name;
}

/* --- Alternatives --- */

static char *
convert_alternatives (AtlSchemaConverter *c,
                      JsonObject *schema,
                      JsonArray *schemas,
                      const char *name)
{
  GString *out = g_string_new ("(");

  for (guint i = 0; i < json_array_get_length (schemas) && c->error == NULL; i++)
    {
      JsonNode *alternative = json_array_get_element (schemas, i);
      g_autoptr (JsonNode) merged = atl_schema_with_siblings (c, schema, alternative);
      g_autofree char *sub = g_strdup_printf ("%s-%u", name, i);
      g_autofree char *item = atl_schema_convert (c, merged != NULL ? merged : alternative, sub);

      g_string_append_printf (out, "%s%s", i > 0 ? " | " : "", item != NULL ? item : "");
    }
  if (json_array_get_length (schemas) == 0)
    atl_schema_fail (c, ATL_ERROR_INVALID, _ ("a list of alternatives is empty"));
  g_string_append_c (out, ')');
  return g_string_free (out, FALSE);
}

/* "type": ["a", "b"]: the same schema with each of the types. */
static char *
convert_types (AtlSchemaConverter *c, JsonObject *schema, JsonArray *types, const char *name)
{
  GString *out = g_string_new ("(");

  for (guint i = 0; i < json_array_get_length (types) && c->error == NULL; i++)
    {
      g_autoptr (JsonNode) one = json_node_new (JSON_NODE_OBJECT);
      JsonObject *copy = atl_schema_copy (schema);
      g_autofree char *sub = g_strdup_printf ("%s-%u", name, i);
      g_autofree char *item = NULL;

      json_object_set_member (copy, "type", json_node_copy (json_array_get_element (types, i)));
      json_node_take_object (one, copy);
      item = atl_schema_convert (c, one, sub);
      g_string_append_printf (out, "%s%s", i > 0 ? " | " : "", item != NULL ? item : "");
    }
  if (json_array_get_length (types) == 0)
    atl_schema_fail (c, ATL_ERROR_INVALID, _ ("a list of types is empty"));
  g_string_append_c (out, ')');
  return g_string_free (out, FALSE);
}

static char *
convert_enum (JsonArray *values)
{
  GString *out = g_string_new ("(");

  for (guint i = 0; i < json_array_get_length (values); i++)
    {
      g_autofree char *text = atl_schema_json_text (json_array_get_element (values, i));

      if (i > 0)
        g_string_append (out, " | ");
      atl_grammar_append_literal (out, text);
    }
  g_string_append_c (out, ')');
  return g_string_free (out, FALSE);
}

/* --- Arrays, strings, numbers --- */

/* What comes at a place of an array: the rule of `node`'s values; NULL for none that there are. */
static char *
item_rule (AtlSchemaConverter *c, JsonNode *node, const char *name)
{
  g_autofree char *body = NULL;

  if (node == NULL)
    return g_strdup (atl_schema_need (c, "value"));
  if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_BOOLEAN &&
      !json_node_get_boolean (node))
    return NULL;
  body = atl_schema_convert (c, node, name);
  return body != NULL ? atl_schema_add_rule (c, name, body) : NULL;
}

/* The first items each by itself, and all of them unless fewer are allowed; others only where the
 * least number asks for them. */
static char *
convert_tuple (
    AtlSchemaConverter *c, JsonArray *items, JsonNode *others, JsonObject *schema, const char *name)
{
  gint64 n = json_array_get_length (items);
  gint64 max = atl_schema_count (schema, "maxItems", n),
         min = atl_schema_count (schema, "minItems", 0);
  GString *out = g_string_new ("\"[\" space");

  atl_schema_need (c, "space");
  for (gint64 i = 0; i < MIN (n, max) && c->error == NULL; i++)
    {
      g_autofree char *sub = g_strdup_printf ("%s-%u", name, (guint) i);
      g_autofree char *item =
          atl_schema_convert (c, json_array_get_element (items, (guint) i), sub);

      g_string_append_printf (out, "%s %s", i > 0 ? " space \",\" space" : "",
                              item != NULL ? item : "");
    }
  if (min > n && c->error == NULL)
    {
      g_autofree char *sub = g_strconcat (name, "-item", NULL);
      g_autofree char *item = item_rule (c, others, sub);

      g_string_append_printf (out, " (%s %s){%" G_GINT64_FORMAT "}",
                              n > 0 ? "space \",\" space" : "", item != NULL ? item : "[]",
                              min - n);
    }
  g_string_append (out, " space \"]\"");
  return g_string_free (out, FALSE);
}

static char *
convert_array (AtlSchemaConverter *c, JsonObject *schema, const char *name)
{
  JsonNode *prefix = json_object_get_member (schema, "prefixItems");
  JsonNode *items = json_object_get_member (schema, "items");
  gint64 min = atl_schema_count (schema, "minItems", 0);
  gint64 max = atl_schema_count (schema, "maxItems", -1);
  g_autofree char *sub = g_strconcat (name, "-item", NULL);
  g_autofree char *item = NULL;
  GString *out;

  if (prefix != NULL && JSON_NODE_HOLDS_ARRAY (prefix) &&
      json_array_get_length (json_node_get_array (prefix)) > 0)
    return convert_tuple (c, json_node_get_array (prefix), items, schema, name);
  /* The older word for it. */
  if (items != NULL && JSON_NODE_HOLDS_ARRAY (items) &&
      json_array_get_length (json_node_get_array (items)) > 0)
    return convert_tuple (c, json_node_get_array (items),
                          json_object_get_member (schema, "additionalItems"), schema, name);
  if (items != NULL && JSON_NODE_HOLDS_ARRAY (items))
    items = NULL;
  if (is_true (schema, "uniqueItems"))
    {
      char *unique = atl_schema_convert_unique (c, items, min, max, sub);

      if (unique != NULL)
        return unique;
    }
  item = item_rule (c, items, sub);
  if (c->error != NULL)
    return NULL;
  atl_schema_need (c, "space");
  out = g_string_new ("\"[\" space ");
  if (max != 0 && (item != NULL || min > 0))
    {
      g_string_append_printf (out, "(%s (space \",\" space %s){%" G_GINT64_FORMAT ",",
                              item != NULL ? item : "[]", item != NULL ? item : "[]",
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
convert_pattern (AtlSchemaConverter *c, const char *pattern)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *inside = atl_gbnf_from_regex (pattern, 0, &error);

  if (error != NULL)
    {
      if (c->error == NULL)
        c->error = g_steal_pointer (&error);
      return NULL;
    }
  if (inside == NULL)
    return g_strdup (atl_schema_need (c, "string"));
  atl_schema_need (c, "char");
  atl_schema_need (c, "dot");
  return quoted (inside);
}

static char *
convert_lengths (AtlSchemaConverter *c, JsonObject *schema)
{
  gint64 min = atl_schema_count (schema, "minLength", 0);
  gint64 max = atl_schema_count (schema, "maxLength", -1);
  g_autofree char *inside = NULL;

  atl_schema_need (c, "char");
  if (max >= 0)
    inside = g_strdup_printf ("char{%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT "}", min, max);
  else
    inside = g_strdup_printf ("char{%" G_GINT64_FORMAT ",}", min);
  return quoted (inside);
}

/* A bound of numbers, taken from the stricter of both words. */
static double
limit_of (
    JsonObject *schema, const char *name, const char *exclusive, gboolean upper, gboolean *excluded)
{
  double bound = upper ? INFINITY : -INFINITY;
  JsonNode *node = json_object_get_member (schema, name);

  *excluded = FALSE;
  if (node != NULL && JSON_NODE_HOLDS_VALUE (node))
    bound = json_node_get_double (node);
  node = json_object_get_member (schema, exclusive);
  if (node == NULL || !JSON_NODE_HOLDS_VALUE (node))
    return bound;
  if (json_node_get_value_type (node) == G_TYPE_BOOLEAN)
    *excluded = json_node_get_boolean (node); /* as in draft 4 */
  else if (upper ? json_node_get_double (node) <= bound : json_node_get_double (node) >= bound)
    {
      bound = json_node_get_double (node);
      *excluded = TRUE;
    }
  return bound;
}

/* The same as the last integer that is allowed. */
static gint64
bound_of (JsonObject *schema, const char *name, const char *exclusive, gboolean upper)
{
  const double far = 9e15;
  gboolean excluded;
  double bound = limit_of (schema, name, exclusive, upper, &excluded);

  if (excluded)
    bound = upper ? ceil (bound) - 1 : floor (bound) + 1;
  else
    bound = upper ? floor (bound) : ceil (bound);
  if (isnan (bound) || fabs (bound) >= far)
    return upper ? G_MAXINT64 : -G_MAXINT64;
  return (gint64) bound;
}

static char *
convert_numbers (AtlSchemaConverter *c, JsonObject *schema, gboolean integer)
{
  JsonNode *step = json_object_get_member (schema, "multipleOf");
  AtlSchemaRange range = { 0 };

  range.min = limit_of (schema, "minimum", "exclusiveMinimum", FALSE, &range.min_excluded);
  range.max = limit_of (schema, "maximum", "exclusiveMaximum", TRUE, &range.max_excluded);
  if (step != NULL && JSON_NODE_HOLDS_VALUE (step))
    return atl_schema_convert_multiples (c, json_node_get_double (step), &range, integer);
  if (integer)
    return atl_gbnf_from_integers (bound_of (schema, "minimum", "exclusiveMinimum", FALSE),
                                   bound_of (schema, "maximum", "exclusiveMaximum", TRUE));
  return atl_gbnf_from_numbers (range.min, range.max, range.min_excluded, range.max_excluded);
}

/* --- One schema --- */

static const char *
format_rule (const char *format)
{
  static const char *const known[] = { "date", "time", "date-time", "duration", "ipv4",
                                       "ipv6", "uri",  "email",     "hostname" };

  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    if (strcmp (format, known[i]) == 0)
      return known[i];
  if (g_str_has_prefix (format, "uuid") &&
      (format[4] == '\0' || (format[4] >= '1' && format[4] <= '5' && format[5] == '\0')))
    return "uuid";
  return NULL;
}

static char *
convert_by_type (AtlSchemaConverter *c, JsonObject *schema, const char *type, const char *name)
{
  static const char *const lengths[] = { "minLength", "maxLength", NULL };
  static const char *const counted[] = { "minItems", "maxItems", NULL };
  static const char *const items[] = { "items", "prefixItems", NULL };
  static const char *const ranges[] = { "minimum",          "maximum",    "exclusiveMinimum",
                                        "exclusiveMaximum", "multipleOf", NULL };
  JsonNode *additional = json_object_get_member (schema, "additionalProperties");
  gboolean any_additional = additional == NULL || (JSON_NODE_HOLDS_VALUE (additional) &&
                                                   json_node_get_boolean (additional));
  g_autofree char *shown = NULL, *words = NULL;
  const char *pattern = atl_json_string (schema, "pattern", NULL);
  const char *format = atl_json_string (schema, "format", NULL);
  JsonArray *all_of = atl_json_array (schema, "allOf");

  if (all_of != NULL)
    return atl_schema_convert_all_of (c, schema, all_of, name);
  if (type_is (type, "object") &&
      (atl_json_object (schema, "properties") != NULL || !any_additional ||
       (type != NULL && (atl_json_array (schema, "required") != NULL ||
                         atl_schema_has_any (schema, atl_schema_object_words)))))
    return atl_schema_convert_object (c, schema, name);
  if (type_is (type, "array") && atl_schema_has_any (schema, items))
    return convert_array (c, schema, name);
  if (g_strcmp0 (type, "array") == 0 && atl_schema_has_any (schema, counted))
    return convert_array (c, schema, name);
  if (type_is (type, "string") && pattern != NULL)
    return convert_pattern (c, pattern);
  if (type_is (type, "string") && format != NULL && format_rule (format) != NULL)
    return quoted (atl_schema_need (c, format_rule (format)));
  if (g_strcmp0 (type, "string") == 0 && atl_schema_has_any (schema, lengths))
    return convert_lengths (c, schema);
  if ((g_strcmp0 (type, "integer") == 0 || g_strcmp0 (type, "number") == 0) &&
      atl_schema_has_any (schema, ranges))
    return convert_numbers (c, schema, strcmp (type, "integer") == 0);
  if (type == NULL)
    return g_strdup (atl_schema_need (c, "value"));
  if (strcmp (type, "object") == 0 || strcmp (type, "array") == 0 || strcmp (type, "string") == 0 ||
      strcmp (type, "number") == 0 || strcmp (type, "integer") == 0 ||
      strcmp (type, "boolean") == 0 || strcmp (type, "null") == 0)
    return g_strdup (atl_schema_need (c, type));
  shown = g_utf8_substring (type, 0, MIN (g_utf8_strlen (type, -1), MAX_NAME_SHOWN));
  words = g_strdup_printf (_ ("it names the type “%s”, which there is not"), shown);
  atl_schema_fail (c, ATL_ERROR_INVALID, words);
  return NULL;
}

static char *
convert_schema (AtlSchemaConverter *c, JsonObject *schema, const char *name)
{
  JsonNode *type = json_object_get_member (schema, "type");
  const char *ref = atl_json_string (schema, "$ref", NULL);
  JsonArray *one_of = atl_json_array (schema, "oneOf");
  JsonArray *any_of = one_of != NULL ? one_of : atl_json_array (schema, "anyOf");
  JsonNode *constant = json_object_get_member (schema, "const");
  JsonArray *values = atl_json_array (schema, "enum");

  if (ref != NULL)
    return convert_ref (c, ref);
  if (any_of != NULL)
    return convert_alternatives (c, schema, any_of, name);
  if (type != NULL && JSON_NODE_HOLDS_ARRAY (type))
    return convert_types (c, schema, json_node_get_array (type), name);
  if (constant != NULL)
    {
      g_autofree char *text = atl_schema_json_text (constant);
      GString *out = g_string_new (NULL);

      atl_grammar_append_literal (out, text);
      return g_string_free (out, FALSE);
    }
  if (values != NULL)
    return convert_enum (values);
  if (type != NULL &&
      (!JSON_NODE_HOLDS_VALUE (type) || json_node_get_value_type (type) != G_TYPE_STRING))
    {
      atl_schema_fail (c, ATL_ERROR_INVALID, _ ("a type must be a name or a list of names"));
      return NULL;
    }
  return convert_by_type (c, schema, type != NULL ? json_node_get_string (type) : NULL, name);
}

/* The expression for `schema`; NULL with c->error. `name` is for rules that it needs. */
char *
atl_schema_convert (AtlSchemaConverter *c, JsonNode *schema, const char *name)
{
  char *result = NULL;

  if (c->error != NULL)
    return NULL;
  if (++c->depth > MAX_DEPTH)
    atl_schema_fail (c, ATL_ERROR_TOO_COMPLEX, _ ("it is nested too deeply"));
  else if (c->rules->len > ATL_SCHEMA_MAX_OUTPUT)
    atl_schema_fail (c, ATL_ERROR_TOO_COMPLEX, _ ("it makes too large a grammar"));
  else if (JSON_NODE_HOLDS_OBJECT (schema))
    result = convert_schema (c, json_node_get_object (schema), name);
  else if (JSON_NODE_HOLDS_VALUE (schema) && json_node_get_value_type (schema) == G_TYPE_BOOLEAN)
    result = g_strdup (json_node_get_boolean (schema) ? atl_schema_need (c, "value") : "[]");
  else
    atl_schema_fail (c, ATL_ERROR_INVALID, _ ("a schema must be an object or a boolean"));
  c->depth--;
  if (c->error != NULL)
    g_clear_pointer (&result, g_free);
  return result;
}

/* --- Rules of several schemas --- */

AtlSchemaRules *
atl_schema_rules_new (void)
{
  AtlSchemaConverter *c = g_new0 (AtlSchemaConverter, 1);

  c->rules = g_string_new (NULL);
  c->names = g_hash_table_new_full (atl_name_hash, g_str_equal, g_free, NULL);
  c->refs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  c->literals = g_hash_table_new (g_str_hash, g_str_equal);
  return c;
}

char *
atl_schema_rules_free_to_gbnf (AtlSchemaRules *self)
{
  char *text = g_string_free (self->rules, FALSE);

  g_hash_table_unref (self->names);
  g_hash_table_unref (self->refs);
  g_hash_table_unref (self->literals);
  g_clear_error (&self->error);
  g_free (self);
  return text;
}

void
atl_schema_rules_free (AtlSchemaRules *self)
{
  if (self != NULL)
    g_free (atl_schema_rules_free_to_gbnf (self));
}

char *
atl_schema_rules_add_schema (
    AtlSchemaRules *self, JsonNode *schema, JsonNode *root, const char *wanted, GError **error)
{
  g_autofree char *body = NULL;
  char *name = NULL;

  g_return_val_if_fail (self != NULL && schema != NULL && root != NULL, NULL);
  /* A path means another place in another document. */
  if (root != self->root)
    g_hash_table_remove_all (self->refs);
  self->root = root;
  body = atl_schema_convert (self, schema, wanted);
  if (body != NULL)
    name = atl_schema_add_rule (self, wanted, body);
  if (self->error != NULL)
    {
      g_clear_pointer (&name, g_free);
      g_propagate_error (error, g_steal_pointer (&self->error));
    }
  return name;
}

char *
atl_schema_rules_text (AtlSchemaRules *self, JsonObject *schema, char without)
{
  const char *pattern = atl_json_string (schema, "pattern", NULL);
  const char *format = atl_json_string (schema, "format", NULL);

  if (pattern != NULL)
    return atl_gbnf_from_regex (pattern, without, NULL);
  if (format != NULL && format_rule (format) != NULL)
    return g_strdup (atl_schema_need (self, format_rule (format)));
  return NULL;
}

char *
atl_schema_rules_add (AtlSchemaRules *self, const char *wanted, const char *body)
{
  return atl_schema_add_rule (self, wanted, body);
}

void
atl_schema_rules_define (AtlSchemaRules *self, const char *name, const char *body)
{
  g_string_append_printf (self->rules, "%s ::= %s\n", name, body);
}

char *
atl_grammar_schema_to_gbnf (JsonNode *schema, GError **error)
{
  g_autoptr (AtlSchemaRules) c = atl_schema_rules_new ();
  g_autofree char *root = NULL;

  g_return_val_if_fail (schema != NULL, NULL);
  root = atl_schema_rules_add_schema (c, schema, schema, "r", error);
  if (root == NULL)
    return NULL;
  atl_schema_rules_define (c, "root", root);
  return atl_schema_rules_free_to_gbnf (g_steal_pointer (&c));
}

AtlGrammar *
atl_grammar_new_json_schema (JsonNode *schema, GError **error)
{
  g_autofree char *source = atl_grammar_schema_to_gbnf (schema, error);

  return source != NULL ? atl_grammar_new_gbnf (source, "root", error) : NULL;
}
