/* Things of which each may come once and so many must: properties of an object that are counted,
 * items of an array that differ. */
#define G_LOG_DOMAIN "atl-grammar"

#include <string.h>

#include "base/json-bounded.h"
#include "engine/samplers/grammar-schema-private.h"

#define COMMA "space \",\" space "
/* Of so many different values, any order is told apart. */
#define MAX_UNORDERED 8

/* --- In their order --- */

typedef struct
{
  AtlSchemaConverter *c;
  const AtlSchemaChoices *choices;
  const char *name;
  GHashTable *rules; /* (owned) next choice and written ones -> (owned) rule; "" for nothing */
} Counting;

/* What repeats behind the choices, `n` being written; NULL if it must and there is none. */
static char *
repeated_tail (const Counting *self, gint64 n)
{
  const AtlSchemaChoices *choices = self->choices;
  gint64 need = MAX (choices->min - n, 0), room = choices->max - n;
  gboolean begins = n == 0 && choices->begins;
  GString *out;

  if (choices->repeated == NULL || (choices->max >= 0 && room <= 0))
    return need == 0 ? g_strdup ("") : NULL;
  out = g_string_new ("(");
  if (begins)
    g_string_append_printf (out, "%s ", choices->repeated);
  g_string_append_printf (out, "(" COMMA "%s){%" G_GINT64_FORMAT ",", choices->repeated,
                          begins ? MAX (need - 1, 0) : need);
  if (choices->max >= 0)
    g_string_append_printf (out, "%" G_GINT64_FORMAT, begins ? room - 1 : room);
  g_string_append (out, begins && need == 0 ? "})?" : "})");
  return g_string_free (out, FALSE);
}

/* What may come from the choice `i` on, `n` being written: the name of a rule, "" for nothing; NULL
 * if there are too few. The recursion is one level a choice. */
static const char *
counted_tail (Counting *self, guint i, gint64 n)
{
  const AtlSchemaChoices *choices = self->choices;
  /* Beyond the least number all counts are alike when there is no most. */
  gint64 kept = choices->max < 0 ? MIN (n, MAX (choices->min, 1)) : n;
  gint64 key = kept * (G_MAXUINT16 + 1) + i;
  const char *with = NULL, *without;
  gpointer known;
  char *name = NULL;

  if (i > G_MAXUINT16 || self->c->rules->len > ATL_SCHEMA_MAX_OUTPUT)
    return NULL;
  if (g_hash_table_lookup_extended (self->rules, &key, NULL, &known))
    return known;
  if (i == choices->rules->len)
    {
      g_autofree char *body = repeated_tail (self, kept);

      if (body != NULL)
        name = *body != '\0' ? atl_schema_add_rule (self->c, self->name, body) : g_strdup ("");
    }
  else
    {
      if (choices->max < 0 || kept < choices->max)
        with = counted_tail (self, i + 1, kept + 1);
      without = counted_tail (self, i + 1, kept);
      if (with != NULL)
        {
          g_autofree char *body =
              g_strdup_printf ("(%s%s %s)%s%s", kept == 0 && choices->begins ? "" : COMMA,
                               (char *) choices->rules->pdata[i], with,
                               without == NULL    ? ""
                               : *without == '\0' ? "?"
                                                  : " | ",
                               without != NULL ? without : "");

          name = atl_schema_add_rule (self->c, self->name, body);
        }
      else
        name = g_strdup (without);
    }
  g_hash_table_insert (self->rules, g_memdup2 (&key, sizeof key), name);
  return name;
}

char *
atl_schema_convert_choices (AtlSchemaConverter *c,
                            const AtlSchemaChoices *choices,
                            const char *name)
{
  g_autofree char *wanted = g_strconcat (name, "-rest", NULL);
  Counting self = { c, choices, wanted, NULL };
  const char *rule;
  char *result;

  self.rules = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
  rule = counted_tail (&self, 0, 0);
  result = g_strdup (rule != NULL ? rule : "[]");
  g_hash_table_unref (self.rules);
  return result;
}

/* --- In any order --- */

/* The rules of all sets of values that are written, the largest first. */
static char *
convert_unordered (AtlSchemaConverter *c, const AtlSchemaChoices *choices, const char *name)
{
  guint n = choices->rules->len, n_sets = 1u << n;
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  g_ptr_array_set_size (names, (gint) n_sets);
  for (guint set = n_sets; set-- > 0;)
    {
      gint64 n_written = __builtin_popcount (set);
      GString *out = g_string_new (NULL);
      g_autofree char *body = NULL;

      for (guint i = 0; i < n; i++)
        if ((set & 1u << i) == 0 && (choices->max < 0 || n_written < choices->max))
          g_string_append_printf (out, "%s%s%s %s", out->len > 0 ? " | " : "",
                                  set != 0 ? COMMA : "", (char *) choices->rules->pdata[i],
                                  (char *) names->pdata[set | 1u << i]);
      if (n_written >= choices->min && out->len > 0)
        {
          g_string_prepend (out, "(");
          g_string_append (out, ")?");
        }
      else if (out->len == 0)
        g_string_append (out, n_written >= choices->min ? "\"\"" : "[]");
      body = g_string_free (out, FALSE);
      names->pdata[set] = atl_schema_add_rule (c, name, body);
    }
  return g_strdup (names->pdata[0]);
}

/* The values that the schema of an item lists; NULL if it does not. */
static JsonArray *
listed_values (AtlSchemaConverter *c, JsonNode *item)
{
  for (guint i = 0; i < 10 && item != NULL && JSON_NODE_HOLDS_OBJECT (item); i++)
    {
      JsonObject *object = json_node_get_object (item);
      const char *ref = atl_json_string (object, "$ref", NULL);

      if (ref == NULL)
        return atl_json_array (object, "enum");
      item = ref[0] == '#' ? atl_schema_resolve (c, ref) : NULL;
    }
  return NULL;
}

char *
atl_schema_convert_unique (
    AtlSchemaConverter *c, JsonNode *item, gint64 min, gint64 max, const char *name)
{
  JsonArray *values = listed_values (c, item);
  g_autoptr (GPtrArray) rules = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *items = NULL;
  AtlSchemaChoices choices = { .rules = rules, .begins = TRUE, .min = min, .max = max };

  if (values == NULL)
    return NULL;
  for (guint i = 0; i < json_array_get_length (values); i++)
    {
      g_autofree char *text = atl_schema_json_text (json_array_get_element (values, i));
      GString *literal = g_string_new (NULL);
      char *rule;

      atl_grammar_append_literal (literal, text);
      rule = g_string_free (literal, FALSE);
      if (g_ptr_array_find_with_equal_func (rules, rule, g_str_equal, NULL))
        g_free (rule);
      else
        g_ptr_array_add (rules, rule);
    }
  atl_schema_need (c, "space");
  items = rules->len <= MAX_UNORDERED ? convert_unordered (c, &choices, name)
                                      : atl_schema_convert_choices (c, &choices, name);
  return g_strdup_printf ("\"[\" space %s space \"]\"", items);
}
