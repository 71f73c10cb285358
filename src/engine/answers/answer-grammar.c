/* From a row of tool-format.c and the tools' schemas to GBNF. */
#define G_LOG_DOMAIN "atl-answers"

#include "engine/answers/answer-grammar.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/answers/answer-grammar-private.h"

#define BLANKS " \t\r\n\f"
#define GAP "(| \" \" | \"\\n\" [ \\t]{0,20})"
#define MAX_ALTERNATIVES_DEPTH 4u

static void
mark (AtlCallWriter *w, GString *out, const char *text)
{
  if (text != NULL)
    atl_answer_grammar_append_mark (w->options, out, text);
}

/* A rule with this body, which goes; its name. */
static char *
rule (AtlCallWriter *w, const char *wanted, GString *body)
{
  g_autofree char *text = g_string_free (body, FALSE);

  return atl_schema_rules_add (w->rules, wanted, text);
}

static gboolean
blame_tool (const AtlTool *tool, GError **error)
{
  g_prefix_error (error, _ ("The parameters of the tool “%s”: "), tool->name);
  return FALSE;
}

/* --- Arguments --- */

/* The rule of a tool's arguments as a JSON object. */
static char *
json_arguments (AtlCallWriter *w, guint i, GError **error)
{
  const AtlTool *tool = atl_tool_set_get (w->options->tools, i);
  g_autoptr (JsonNode) any = json_from_string ("{\"type\": \"object\"}", NULL);
  JsonNode *schema = tool->schema != NULL ? tool->schema : any;
  JsonObject *object = json_node_get_object (schema);
  const char *type = atl_json_string (object, "type", NULL);
  char *name;

  if (type != NULL && !g_str_equal (type, "object"))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("they must be an object, not “%s”"),
                   type);
      blame_tool (tool, error);
      return NULL;
    }
  if (type == NULL && json_object_get_size (object) == 0)
    schema = any;
  name = atl_schema_rules_add_schema (w->rules, schema, schema, "arguments", error);
  if (name == NULL)
    blame_tool (tool, error);
  return name;
}

gboolean
atl_call_requires (JsonObject *schema, const char *key)
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

/* The rule of one argument's value in JSON. */
static char *
json_value (AtlCallWriter *w, const AtlTool *tool, JsonNode *schema, GError **error)
{
  char *name = atl_schema_rules_add_schema (w->rules, schema, tool->schema, "value", error);

  if (name == NULL)
    blame_tool (tool, error);
  return name;
}

static void
append_listed (GString *out, JsonNode *value)
{
  g_autofree char *text =
      JSON_NODE_HOLDS_VALUE (value) && json_node_get_value_type (value) == G_TYPE_STRING
          ? json_node_dup_string (value)
          : atl_json_write (value);

  atl_grammar_append_literal (out, text != NULL ? text : "null");
}

static char *bare_texts (AtlCallWriter *w, const AtlTool *tool, JsonNode *schema, guint depth);

/* Texts and values in JSON, whichever each of the schemas wants; they go. */
static char *
alternative_texts (AtlCallWriter *w, const AtlTool *tool, GPtrArray *schemas, guint depth)
{
  g_autoptr (GPtrArray) owned = schemas;
  g_autoptr (GString) out = g_string_new ("(");

  for (guint i = 0; i < schemas->len; i++)
    {
      g_autofree char *text = bare_texts (w, tool, schemas->pdata[i], depth + 1);

      if (text == NULL)
        return NULL;
      g_string_append_printf (out, "%s%s", i > 0 ? " | " : "", text);
    }
  g_string_append_c (out, ')');
  return g_string_free (g_steal_pointer (&out), FALSE);
}

/* What the schema asks for as bare text, without the closing mark: values that it lists, text of a
 * shape, JSON where it wants no text; NULL for any text. */
static char *
bare_texts (AtlCallWriter *w, const AtlTool *tool, JsonNode *schema, guint depth)
{
  const char *close = w->options->format->value_close;
  JsonObject *object = JSON_NODE_HOLDS_OBJECT (schema) ? json_node_get_object (schema) : NULL;
  JsonArray *values = object != NULL ? atl_json_array (object, "enum") : NULL;
  GPtrArray *schemas = object != NULL ? atl_call_alternatives (schema) : NULL;
  const char *type = object != NULL ? atl_json_string (object, "type", NULL) : NULL;
  GString *out;

  if (schemas != NULL && depth < MAX_ALTERNATIVES_DEPTH)
    return alternative_texts (w, tool, schemas, depth);
  g_clear_pointer (&schemas, g_ptr_array_unref);
  if (object == NULL)
    return NULL;
  if (json_object_has_member (object, "const"))
    {
      out = g_string_new (NULL);
      append_listed (out, json_object_get_member (object, "const"));
      return g_string_free (out, FALSE);
    }
  if (values == NULL || json_array_get_length (values) == 0)
    {
      if (type == NULL)
        return NULL;
      return g_str_equal (type, "string")
                 ? atl_call_bounded_text (w, object, close + strspn (close, BLANKS))
                 : atl_schema_rules_add_schema (w->rules, schema, tool->schema, "value", NULL);
    }
  out = g_string_new ("(");
  for (guint i = 0; i < json_array_get_length (values); i++)
    {
      g_string_append (out, i > 0 ? " | " : "");
      append_listed (out, json_array_get_element (values, i));
    }
  g_string_append_c (out, ')');
  return g_string_free (out, FALSE);
}

/* The same with the closing mark. */
static char *
closed_texts (AtlCallWriter *w, const AtlTool *tool, JsonNode *schema)
{
  g_autofree char *text = bare_texts (w, tool, schema, 0);
  GString *out;

  if (text == NULL)
    return NULL;
  out = g_string_new (text);
  mark (w, out, w->options->format->value_close);
  return g_string_free (out, FALSE);
}

/* Key and value of ATL_CALL_TAGGED. */
static char *
tagged_pair (AtlCallWriter *w, guint i, const char *key, JsonNode *schema, GError **error)
{
  const AtlToolFormat *f = w->options->format;
  const AtlTool *tool = atl_tool_set_get (w->options->tools, i);
  gboolean is_text = (atl_tool_set_types (w->options->tools, i, key) & ATL_TOOL_STRING) != 0;
  /* A schema that makes no sense is refused as in the other notations. */
  g_autofree char *checked = json_value (w, tool, schema, error);
  g_autofree char *value = NULL;
  GString *out;

  if (checked == NULL)
    return NULL;
  value = is_text ? closed_texts (w, tool, schema) : g_steal_pointer (&checked);
  out = g_string_new (NULL);
  mark (w, out, f->key_open);
  mark (w, out, key);
  mark (w, out, is_text || f->key_end_json == NULL ? f->key_end : f->key_end_json);
  if (value != NULL)
    g_string_append_printf (out, " %s", value);
  if (!is_text)
    mark (w, out, f->value_close);
  else if (value == NULL)
    {
      const char *start = f->value_close + strspn (f->value_close, BLANKS);
      gsize n = strcspn (start, BLANKS);
      g_autofree char *close = g_strndup (start, n);
      g_autofree char *until = atl_call_text_until (w, close);

      g_string_append_printf (out, " %s", until);
      mark (w, out, start + n);
    }
  return rule (w, "argument", out);
}

/* A word, or what is none in quotes. */
static void
append_python_key (GString *out, const char *key)
{
  g_autofree char *quoted = atl_json_quote (key);
  gboolean is_word = *key != '\0' && !g_ascii_isdigit (*key) &&
                     key[strspn (key, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_")] == '\0';

  atl_grammar_append_literal (out, is_word ? key : quoted);
  g_string_append (out, " \"=\"");
}

/* key=value of ATL_CALL_PYTHON, key:value of ATL_CALL_GEMMA. */
static char *
listed_pair (AtlCallWriter *w, guint i, const char *key, JsonNode *schema, GError **error)
{
  gboolean is_gemma = w->options->format->style == ATL_CALL_GEMMA;
  g_autofree char *value =
      is_gemma ? atl_call_gemma_value (w, i, schema, error)
               : json_value (w, atl_tool_set_get (w->options->tools, i), schema, error);
  GString *out = g_string_new (NULL);

  if (value == NULL)
    {
      g_string_free (out, TRUE);
      return NULL;
    }
  if (is_gemma)
    atl_call_append_gemma_key (w, out, key);
  else
    append_python_key (out, key);
  g_string_append_printf (out, " %s", value);
  return rule (w, "argument", out);
}

/* Two rules each: one for the first that is written, one for those behind it. */
char *
atl_call_chain (AtlCallWriter *w,
                const char *const *names,
                const gboolean *needed,
                guint n,
                const char *separator)
{
  char *first = g_strdup (""), *behind = g_strdup ("");

  for (guint k = n; k > 0; k--)
    {
      const char *name = names[k - 1], *next = separator != NULL ? behind : first;
      GString *one = g_string_new (NULL), *other = g_string_new (NULL);

      g_string_printf (one, needed[k - 1] ? "%s %s" : "(%s %s)?", name, next);
      g_string_printf (other, needed[k - 1] ? "\"%s\" %s %s" : "(\"%s\" %s %s)?",
                       separator != NULL ? separator : "", name, behind);
      /* Left out, what comes behind it may still come. */
      if (!needed[k - 1] && *first != '\0')
        g_string_printf (one, "%s %s | %s", name, next, first);
      if (!needed[k - 1] && *behind != '\0')
        g_string_printf (other, "\"%s\" %s %s | %s", separator != NULL ? separator : "", name,
                         behind, behind);
      g_free (first);
      g_free (behind);
      first = rule (w, "pairs", one);
      behind = separator != NULL ? rule (w, "pairs", other) : g_strdup (first);
      if (separator == NULL)
        g_string_free (other, TRUE);
    }
  g_free (behind);
  return first;
}

/* The pairs of a tool in the schema's order. */
static char *
pairs (AtlCallWriter *w, guint i, const char *separator, GError **error)
{
  const AtlTool *tool = atl_tool_set_get (w->options->tools, i);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GArray) required = g_array_new (FALSE, FALSE, sizeof (gboolean));
  JsonObjectIter iter;
  const char *key;
  JsonNode *schema;

  if (tool->members == NULL)
    return g_strdup ("");
  json_object_iter_init_ordered (&iter, tool->members);
  while (json_object_iter_next_ordered (&iter, &key, &schema))
    {
      gboolean needed = atl_call_requires (json_node_get_object (tool->schema), key);
      char *name = separator != NULL ? listed_pair (w, i, key, schema, error)
                                     : tagged_pair (w, i, key, schema, error);

      if (name == NULL)
        return NULL;
      g_ptr_array_add (names, name);
      g_array_append_val (required, needed);
    }
  return atl_call_chain (w, (const char *const *) names->pdata,
                         (const gboolean *) (gpointer) required->data, names->len, separator);
}

/* --- One call --- */

static void
append_id (GString *out, const char *key, const char *before, const char *after)
{
  if (key != NULL)
    g_string_append_printf (out,
                            " (%s \"\\\"%s\\\":\" " GAP " \"\\\"\" [a-zA-Z0-9]{1,16} \"\\\"\" %s)?",
                            before, key, after);
}

static char *
json_call (AtlCallWriter *w, guint i, GError **error)
{
  const AtlToolFormat *f = w->options->format;
  const char *name = atl_tool_set_get (w->options->tools, i)->name;
  g_autofree char *arguments = json_arguments (w, i, error);
  GString *out;

  if (arguments == NULL)
    return NULL;
  out = g_string_new ("\"{\" " GAP);
  if (f->name_key == NULL)
    g_string_append_printf (out, " \"\\\"%s\\\":\" " GAP " %s " GAP " \"}\"", name, arguments);
  else
    {
      append_id (out, f->id_key, "", "\",\" " GAP);
      g_string_append_printf (
          out, " \"\\\"%s\\\":\" " GAP " \"\\\"%s\\\",\" " GAP " \"\\\"%s\\\":\" " GAP " %s",
          f->name_key, name, f->args_key, arguments);
      append_id (out, f->id_key, "\",\" " GAP, "");
      g_string_append (out, " " GAP " \"}\"");
    }
  return rule (w, "call", out);
}

static char *
framed_call (AtlCallWriter *w, guint i, GError **error)
{
  const AtlToolFormat *f = w->options->format;
  const AtlTool *tool = atl_tool_set_get (w->options->tools, i);
  g_autofree char *arguments =
      f->style == ATL_CALL_NAMED ? json_arguments (w, i, error) : pairs (w, i, NULL, error);
  GString *out;

  if (arguments == NULL)
    return NULL;
  out = g_string_new (NULL);
  mark (w, out, f->call_open);
  if (f->id_end != NULL)
    {
      g_string_append (out, " [a-zA-Z0-9]{1,24}");
      mark (w, out, f->id_end);
    }
  mark (w, out, f->name_prefix);
  mark (w, out, tool->name);
  if (f->name_tail != NULL)
    g_string_append_printf (out, " %s", f->name_tail);
  mark (w, out, f->name_end);
  g_string_append_printf (out, " %s", arguments);
  mark (w, out, f->call_close);
  return rule (w, "call", out);
}

static char *
listed_call (AtlCallWriter *w, guint i, GError **error)
{
  gboolean is_gemma = w->options->format->style == ATL_CALL_GEMMA;
  const char *name = atl_tool_set_get (w->options->tools, i)->name;
  g_autofree char *arguments = pairs (w, i, is_gemma ? "," : ", ", error);
  GString *out;

  if (arguments == NULL)
    return NULL;
  out = g_string_new (NULL);
  g_string_append_printf (out, "\"%s%s%s\" %s \"%s\"", is_gemma ? "call:" : "", name,
                          is_gemma ? "{" : "(", arguments, is_gemma ? "}" : ")");
  return rule (w, "call", out);
}

static char *
harmony_call (AtlCallWriter *w, guint i, GError **error)
{
  g_autofree char *arguments = json_arguments (w, i, error);
  GString *out;

  if (arguments == NULL)
    return NULL;
  out = g_string_new (NULL);
  mark (w, out, atl_tool_set_get (w->options->tools, i)->name);
  g_string_append (out, " (");
  mark (w, out, "<|channel|>commentary");
  g_string_append (out, ")? (\" \"?");
  mark (w, out, "<|constrain|>");
  g_string_append (out, " \"json\" | \" json\")?");
  mark (w, out, "<|message|>");
  g_string_append_printf (out, " %s", arguments);
  return rule (w, "call", out);
}

static char *
one_call (AtlCallWriter *w, guint i, GError **error)
{
  switch (w->options->format->style)
    {
    case ATL_CALL_JSON:
      return json_call (w, i, error);
    case ATL_CALL_NAMED:
    case ATL_CALL_TAGGED:
      return framed_call (w, i, error);
    case ATL_CALL_HARMONY:
      return harmony_call (w, i, error);
    case ATL_CALL_PYTHON:
    case ATL_CALL_GEMMA:
    default:
      return listed_call (w, i, error);
    }
}

/* The rule of a call of any tool that may be called. */
static char *
any_call (AtlCallWriter *w, GError **error)
{
  const AtlAnswerGrammar *g = w->options;
  g_autoptr (GString) out = g_string_new (NULL);

  for (guint i = 0; i < atl_tool_set_n (g->tools); i++)
    {
      g_autofree char *call = NULL;

      if (g->only_tool >= 0 && (guint) g->only_tool != i)
        continue;
      call = one_call (w, i, error);
      if (call == NULL)
        return NULL;
      g_string_append_printf (out, "%s%s", out->len > 0 ? " | " : "", call);
    }
  return atl_schema_rules_add (w->rules, "any-call", out->str);
}

/* --- Sections --- */

/* `item` and up to `more` others, each behind `between`, which is GBNF. */
static void
append_several (GString *out, const char *item, const char *between, guint more)
{
  g_string_append_printf (out, " %s", item);
  if (more > 0)
    g_string_append_printf (out, " (%s %s){0,%u}", between, item, more);
}

/* The rule of what follows the opening mark (its line end included), up to the section's end. */
static char *
section_rest (AtlCallWriter *w, const char *call)
{
  const AtlToolFormat *f = w->options->format;
  guint more = f->single ? 0 : w->options->max_calls - 1;
  g_autoptr (GString) between = g_string_new (NULL);
  GString *out = g_string_new (NULL);
  gsize n = strlen (f->open);

  while (n > 0 && strchr (BLANKS, f->open[n - 1]) != NULL)
    n--;
  mark (w, out, f->open + n);
  if (f->is_list || f->style == ATL_CALL_PYTHON)
    {
      g_string_append (out, " \"[\" " GAP);
      append_several (out, call, "\",\" " GAP, w->options->max_calls - 1);
      g_string_append (out, " " GAP " \"]\"");
    }
  else
    {
      mark (w, between, f->between);
      append_several (out, call, between->str, more);
    }
  mark (w, out, f->close);
  return rule (w, "section-rest", out);
}

/* The rule of everything that calls the tools, from the answer's beginning. */
static char *
all_calls (AtlCallWriter *w, const char *call, const char *rest)
{
  const AtlToolFormat *f = w->options->format;
  GString *out = g_string_new (NULL);
  gsize n = strlen (f->open);
  g_autofree char *section = NULL;
  g_autofree char *open = NULL;

  if (f->style == ATL_CALL_HARMONY)
    {
      mark (w, out, "<|channel|>commentary to=functions.");
      g_string_append_printf (out, " %s", call);
      return rule (w, "calls", out);
    }
  while (n > 0 && strchr (BLANKS, f->open[n - 1]) != NULL)
    n--;
  open = g_strndup (f->open, n);
  mark (w, out, open);
  g_string_append_printf (out, " %s", rest);
  section = rule (w, "section", out);
  out = g_string_new (NULL);
  if (f->is_bare)
    {
      g_string_append_printf (out, " %s", call);
      if (f->style == ATL_CALL_NAMED && w->options->max_calls > 1)
        g_string_append_printf (out, " %s{0,%u}", section, w->options->max_calls - 1);
    }
  else
    append_several (out, section, "\"\\n\"?", f->single ? w->options->max_calls - 1 : 0);
  return rule (w, "calls", out);
}

static gboolean
write_rules (AtlCallWriter *w, GError **error)
{
  const AtlAnswerGrammar *g = w->options;
  gboolean is_harmony = g->format != NULL && g->format->style == ATL_CALL_HARMONY;
  g_autoptr (GString) root = g_string_new (NULL);
  g_autoptr (GString) after = g_string_new (NULL);

  if (g->schema != NULL && !g->calls_only)
    {
      g_autofree char *answer =
          atl_schema_rules_add_schema (w->rules, g->schema, g->schema, "answer", error);

      if (answer == NULL)
        return FALSE;
      if (is_harmony)
        mark (w, root, "<|channel|>final<|message|>");
      g_string_append_printf (root, " %s", answer);
    }
  if (g->tools != NULL && atl_tool_set_n (g->tools) > 0)
    {
      g_autofree char *call = any_call (w, error);
      g_autofree char *rest = NULL;
      g_autofree char *calls = NULL;

      if (call == NULL)
        return FALSE;
      rest = is_harmony ? g_strdup (call) : section_rest (w, call);
      calls = all_calls (w, call, rest);
      g_string_append_printf (root, "%s %s", root->len > 0 ? " |" : "", calls);
      atl_schema_rules_define (w->rules, ATL_ANSWER_LAZY, rest);
    }
  atl_schema_rules_define (w->rules, ATL_ANSWER_ROOT, root->str);
  if (is_harmony)
    mark (w, after, "<|start|>assistant");
  else
    g_string_append (after, "\"\\n\"{0,2}");
  g_string_append (after, " " ATL_ANSWER_ROOT);
  atl_schema_rules_define (w->rules, ATL_ANSWER_AFTER, after->str);
  return TRUE;
}

char *
atl_answer_grammar_write (const AtlAnswerGrammar *self, GError **error)
{
  AtlCallWriter w = { .options = self };
  gboolean ok;

  g_return_val_if_fail (self->tools == NULL || self->format != NULL, NULL);
  g_return_val_if_fail (self->max_calls > 0, NULL);
  w.rules = atl_schema_rules_new ();
  w.until = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  /* These names are taken, whatever the schemas call their parts. */
  g_free (atl_schema_rules_add (w.rules, ATL_ANSWER_LAZY, NULL));
  g_free (atl_schema_rules_add (w.rules, ATL_ANSWER_AFTER, NULL));
  ok = write_rules (&w, error);
  g_hash_table_unref (w.until);
  g_free (w.gemma);
  if (ok)
    return atl_schema_rules_free_to_gbnf (w.rules);
  atl_schema_rules_free (w.rules);
  return NULL;
}
