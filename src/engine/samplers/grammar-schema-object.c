/* Objects of JSON schemas: properties in the schema's order, the required ones first, others behind
 * them, and allOf, which puts objects together. */
#define G_LOG_DOMAIN "atl-grammar"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/samplers/grammar-schema-private.h"

/* --- Properties --- */

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
append_other_names (
    AtlSchemaConverter *c, GString *out, char **names, guint from, guint to, gsize at)
{
  g_autoptr (GString) taken = g_string_new (NULL);
  gboolean is_name = names[from][at] == '\0';

  if (at > 200 || out->len > ATL_SCHEMA_MAX_OUTPUT)
    {
      atl_schema_fail (c, ATL_ERROR_TOO_COMPLEX, _ ("the names of properties are too long"));
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
  /* Escapes of signs that no letter stands for, unless a name begins with one: letters by their
   * numbers and "\/" would spell the names, too. */
  if (strchr (taken->str, '\\') == NULL)
    g_string_append (out, " | [\\\\] [\"\\\\bfnrt] char*");
  g_string_append (out, is_name ? ")" : ")?");
}

/* The key of an additional property: any string but the names of the others. */
static char *
other_key (AtlSchemaConverter *c, GPtrArray *properties)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  GString *out = g_string_new ("\"\\\"\" ");

  if (properties->len == 0)
    {
      g_string_free (out, TRUE);
      return g_strdup (atl_schema_need (c, "string"));
    }
  atl_schema_need (c, "char");
  for (guint i = 0; i < properties->len; i++)
    {
      char *quoted = atl_json_quote (((Property *) properties->pdata[i])->name);

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
optional_tail (AtlSchemaConverter *c, GPtrArray *optional, const char *additional, const char *name)
{
  char *rest = NULL; /* (nullable) rule of what may follow, its comma first */
  GString *first = g_string_new (NULL);

  if (additional != NULL)
    {
      g_autofree char *wanted = g_strconcat (name, "-rest", NULL);
      g_autofree char *body = g_strdup_printf ("(space \",\" space %s)*", additional);

      rest = atl_schema_add_rule (c, wanted, body);
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
          rest = atl_schema_add_rule (c, wanted, body);
        }
    }
  g_free (rest);
  return g_string_free (first, FALSE);
}

/* The key of a property that no name lists, as "propertyNames" wants it. */
static char *
additional_key (AtlSchemaConverter *c, JsonObject *schema, GPtrArray *properties, const char *name)
{
  JsonNode *names = json_object_get_member (schema, "propertyNames");
  g_autofree char *wanted = g_strconcat (name, "-key", NULL);
  g_autoptr (JsonNode) texts = NULL;
  JsonObject *copy;

  if (names == NULL || !JSON_NODE_HOLDS_OBJECT (names))
    return other_key (c, properties);
  if (json_object_has_member (json_node_get_object (names), "$ref"))
    return atl_schema_convert (c, names, wanted);
  /* A name is a string, though the schema need not say so. */
  copy = atl_schema_copy (json_node_get_object (names));
  json_object_set_string_member (copy, "type", "string");
  texts = json_node_new (JSON_NODE_OBJECT);
  json_node_take_object (texts, copy);
  return atl_schema_convert (c, texts, wanted);
}

/* The rule of a property whose name has one of the patterns: key, colon, value; NULL if no pattern
 * can be written. Others do not come then: what has none of the patterns is no grammar. */
static char *
patterned_pair (AtlSchemaConverter *c, JsonObject *patterns, const char *name)
{
  g_autofree char *wanted = g_strconcat (name, "-patterned", NULL);
  g_autoptr (GString) body = g_string_new (NULL);
  JsonObjectIter iter;
  const char *pattern;
  JsonNode *schema;

  json_object_iter_init_ordered (&iter, patterns);
  while (json_object_iter_next_ordered (&iter, &pattern, &schema) && c->error == NULL)
    {
      g_autofree char *key = atl_gbnf_from_regex (pattern, 0, &c->error);
      g_autofree char *value = key != NULL ? atl_schema_convert (c, schema, wanted) : NULL;

      if (value == NULL)
        continue;
      atl_schema_need (c, "char");
      atl_schema_need (c, "dot");
      g_string_append_printf (body, "%s\"\\\"\" (%s) \"\\\"\" space \":\" space %s",
                              body->len > 0 ? " | " : "", key, value);
    }
  return body->len > 0 ? atl_schema_add_rule (c, wanted, body->str) : NULL;
}

/* The rule of an additional property: key, colon, value; NULL if there may be none. */
static char *
additional_pair (AtlSchemaConverter *c,
                 JsonObject *schema,
                 JsonNode *additional,
                 GPtrArray *properties,
                 const char *name)
{
  JsonObject *patterns = atl_json_object (schema, "patternProperties");
  g_autofree char *key = NULL;
  g_autofree char *value = NULL;
  g_autofree char *body = NULL;
  g_autofree char *wanted = g_strconcat (name, "-additional", NULL);

  if (patterns != NULL && json_object_get_size (patterns) > 0)
    return patterned_pair (c, patterns, name);
  if (additional == NULL)
    return NULL;
  if (JSON_NODE_HOLDS_VALUE (additional))
    {
      if (!json_node_get_boolean (additional))
        return NULL;
      value = g_strdup (atl_schema_need (c, "value"));
    }
  else
    value = atl_schema_convert (c, additional, wanted);
  key = additional_key (c, schema, properties, name);
  if (value == NULL || key == NULL)
    return NULL;
  body = g_strdup_printf ("%s space \":\" space %s", key, value);
  return atl_schema_add_rule (c, wanted, body);
}

static void
add_property (AtlSchemaConverter *c,
              GPtrArray *properties,
              const char *key,
              JsonNode *schema,
              gboolean required,
              const char *name)
{
  Property *property;
  g_autofree char *wanted = g_strdup_printf ("%s-%s", name, key);
  g_autofree char *value = NULL;
  g_autofree char *quoted = atl_json_quote (key);
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
  value = atl_schema_convert (c, schema, wanted);
  if (value == NULL)
    return;
  atl_grammar_append_literal (body, quoted);
  g_string_append_printf (body, " space \":\" space %s", value);
  property = g_new0 (Property, 1);
  property->name = g_strdup (key);
  property->rule = atl_schema_add_rule (c, wanted, body->str);
  property->required = required;
  g_ptr_array_add (properties, property);
}

/* The optional properties and `pair`, counted, behind `n_required` others; with its comma. */
static char *
counted_properties (AtlSchemaConverter *c,
                    JsonObject *schema,
                    GPtrArray *optional,
                    const char *pair,
                    guint n_required,
                    const char *name)
{
  gint64 max = atl_schema_count (schema, "maxProperties", -1);
  g_autoptr (GPtrArray) rules = g_ptr_array_new ();
  AtlSchemaChoices choices = { .rules = rules, .repeated = pair, .begins = n_required == 0 };

  if (max >= 0 && max < n_required)
    return g_strdup ("[]");
  for (guint i = 0; i < optional->len; i++)
    g_ptr_array_add (rules, ((Property *) optional->pdata[i])->rule);
  choices.min = MAX (atl_schema_count (schema, "minProperties", 0) - n_required, 0);
  choices.max = max >= 0 ? max - n_required : -1;
  return atl_schema_convert_choices (c, &choices, name);
}

static char *
convert_object (AtlSchemaConverter *c,
                JsonObject *schema,
                GPtrArray *properties,
                JsonNode *additional,
                const char *name)
{
  static const char *const counts[] = { "minProperties", "maxProperties", NULL };
  g_autofree char *pair = additional_pair (c, schema, additional, properties, name);
  g_autoptr (GPtrArray) optional = g_ptr_array_new ();
  GString *out = g_string_new ("\"{\" space");
  guint n_required = 0;

  atl_schema_need (c, "space");
  for (guint i = 0; i < properties->len; i++)
    {
      const Property *property = properties->pdata[i];

      if (!property->required)
        {
          g_ptr_array_add (optional, properties->pdata[i]);
          continue;
        }
      g_string_append_printf (out, "%s %s", n_required > 0 ? " space \",\" space" : "",
                              property->rule);
      n_required++;
    }
  if (atl_schema_has_any (schema, counts))
    {
      g_autofree char *tail = counted_properties (c, schema, optional, pair, n_required, name);

      g_string_append_printf (out, " %s", tail);
    }
  else if (optional->len > 0 || pair != NULL)
    {
      g_autofree char *tail = optional_tail (c, optional, pair, name);

      if (n_required > 0)
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
add_properties (AtlSchemaConverter *c,
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

/* What a property that is not listed has for a value: the first pattern of its name says it. */
static JsonNode *
unlisted_schema (JsonObject *schema, const char *key)
{
  JsonObject *patterns = atl_json_object (schema, "patternProperties");
  JsonObjectIter iter;
  const char *pattern;
  JsonNode *value;

  if (patterns == NULL)
    return json_object_get_member (schema, "additionalProperties");
  json_object_iter_init_ordered (&iter, patterns);
  while (json_object_iter_next_ordered (&iter, &pattern, &value))
    if (g_regex_match_simple (pattern, key, 0, 0))
      return value;
  return json_object_get_member (schema, "additionalProperties");
}

/* What "required" names and "properties" does not: an additional property that must come. */
static void
add_unlisted (AtlSchemaConverter *c, GPtrArray *properties, JsonObject *schema, const char *name)
{
  JsonArray *required = atl_json_array (schema, "required");
  JsonObject *members = atl_json_object (schema, "properties");
  g_autoptr (JsonNode) any = json_node_init_boolean (json_node_alloc (), TRUE);

  for (guint i = 0; required != NULL && i < json_array_get_length (required) && c->error == NULL;
       i++)
    {
      JsonNode *node = json_array_get_element (required, i);
      const char *key = JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;

      if (key != NULL && (members == NULL || !json_object_has_member (members, key)))
        {
          JsonNode *additional = unlisted_schema (schema, key);

          add_property (c, properties, key, additional != NULL ? additional : any, TRUE, name);
        }
    }
}

const char *const atl_schema_object_words[] = { "minProperties", "maxProperties",
                                                "patternProperties", "propertyNames", NULL };

char *
atl_schema_convert_object (AtlSchemaConverter *c, JsonObject *schema, const char *name)
{
  g_autoptr (GPtrArray) properties = g_ptr_array_new_with_free_func (property_free);
  g_autoptr (JsonNode) any = json_node_init_boolean (json_node_alloc (), TRUE);
  JsonNode *additional = json_object_get_member (schema, "additionalProperties");

  add_properties (c, properties, schema, FALSE, TRUE, name);
  add_unlisted (c, properties, schema, name);
  if (c->error != NULL)
    return NULL;
  /* Nothing is added to what is listed unless it is asked for, or too little is listed. */
  if (additional == NULL && atl_schema_has_any (schema, atl_schema_object_words) &&
      (properties->len == 0 || atl_schema_count (schema, "minProperties", 0) > properties->len))
    additional = any;
  return convert_object (c, schema, properties, additional, name);
}

/* --- allOf --- */

/* Whether it says something of properties, or lists values, which only the parts of an object are
 * put together from. */
static gboolean
is_of_objects (AtlSchemaConverter *c, JsonObject *schema)
{
  static const char *const words[] = { "properties", "required", "additionalProperties", "enum",
                                       NULL };
  JsonArray *any_of = atl_json_array (schema, "anyOf");

  for (guint i = 0; any_of != NULL && i < json_array_get_length (any_of); i++)
    {
      JsonObject *choice = atl_schema_part (c, json_array_get_element (any_of, i));

      if (choice != NULL && json_object_has_member (choice, "properties"))
        return TRUE;
    }
  return atl_schema_has_any (schema, words) || atl_schema_has_any (schema, atl_schema_object_words);
}

/* Parts that say nothing of properties, choices or values, as one schema. */
static char *
convert_merged (AtlSchemaConverter *c, JsonObject *schema, GPtrArray *parts, const char *name)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
  JsonObject *merged = atl_schema_copy (schema);

  for (guint i = 0; i < parts->len; i++)
    atl_schema_merge (merged, parts->pdata[i]);
  json_object_remove_member (merged, "allOf");
  json_node_take_object (node, merged);
  return atl_schema_convert (c, node, name);
}

/* Keeps of `values` (NULL: all) those that `part` lists too. */
static GPtrArray *
intersect (GPtrArray *values, JsonArray *part)
{
  GPtrArray *kept = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < json_array_get_length (part); i++)
    {
      char *text = atl_schema_json_text (json_array_get_element (part, i));

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
char *
atl_schema_convert_all_of (AtlSchemaConverter *c,
                           JsonObject *schema,
                           JsonArray *parts,
                           const char *name)
{
  g_autoptr (GPtrArray) properties = g_ptr_array_new_with_free_func (property_free);
  g_autoptr (GPtrArray) all = g_ptr_array_new ();
  GPtrArray *values = NULL;
  gboolean of_objects = is_of_objects (c, schema);
  GString *out;

  for (guint i = 0; i < json_array_get_length (parts); i++)
    atl_schema_flatten (c, json_array_get_element (parts, i), 0, all);
  if (c->error != NULL)
    return NULL;
  for (guint i = 0; i < all->len; i++)
    of_objects = of_objects || is_of_objects (c, all->pdata[i]);
  if (!of_objects)
    return convert_merged (c, schema, all, name);
  /* What stands beside it is one more part. */
  add_properties (c, properties, schema, FALSE, TRUE, name);
  for (guint k = 0; k < properties->len; k++)
    {
      Property *property = properties->pdata[k];

      for (guint i = 0; i < all->len && !property->required; i++)
        property->required = is_required (all->pdata[i], property->name);
    }
  for (guint i = 0; i < all->len && c->error == NULL; i++)
    {
      JsonObject *part = all->pdata[i];
      JsonArray *any_of = atl_json_array (part, "anyOf");
      JsonArray *listed = atl_json_array (part, "enum");

      for (guint k = 0; any_of != NULL && k < json_array_get_length (any_of); k++)
        {
          JsonObject *choice = atl_schema_part (c, json_array_get_element (any_of, k));

          if (choice != NULL)
            add_properties (c, properties, choice, FALSE, FALSE, name);
        }
      if (any_of == NULL)
        add_properties (c, properties, part, TRUE, TRUE, name);
      if (listed != NULL)
        values = intersect (values, listed);
    }
  if (values == NULL)
    return convert_object (c, schema, properties, NULL, name);
  out = g_string_new ("(");
  for (guint i = 0; i < values->len; i++)
    {
      if (i > 0)
        g_string_append (out, " | ");
      atl_grammar_append_literal (out, values->pdata[i]);
    }
  if (values->len == 0)
    g_string_append (out, "[]");
  g_string_append_c (out, ')');
  g_ptr_array_unref (values);
  return g_string_free (out, FALSE);
}
