/* The steps inside a section of calls: names, arguments in JSON, keys and values between marks,
 * notations read in one piece. */
#define G_LOG_DOMAIN "atl-answers"

#include <string.h>

#include "base/json-bounded.h"
#include "engine/answers/call-values.h"
#include "engine/answers/tool-call-private.h"

/* --- A call is whole --- */

/* Around JSON, where a model takes a call for a listing. */
#define FENCE "```"

static gboolean
tell (AtlToolCallParser *self, const char *id, const char *name, const char *arguments, gsize n)
{
  if (!atl_tool_call_tell (self->tools, &self->sink, id, name, arguments, n))
    return FALSE;
  self->n_calls++;
  self->n_in_section++;
  return TRUE;
}

/* {"name": ..., "arguments": ...}, or {name: arguments}: its parts; FALSE if it is none. */
static gboolean
split_object (const AtlToolFormat *f, JsonNode *node, char **id, char **name, char **arguments)
{
  JsonObject *object = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  const char *keys[] = { f->args_key, "arguments", "parameters" };
  JsonNode *inner = NULL, *id_node;
  const char *word;
  JsonObjectIter iter;

  if (object == NULL)
    return FALSE;
  if (f->name_key == NULL)
    {
      if (json_object_get_size (object) != 1)
        return FALSE;
      json_object_iter_init_ordered (&iter, object);
      json_object_iter_next_ordered (&iter, &word, &inner);
    }
  else
    {
      word = atl_json_string (object, f->name_key, NULL);
      if (word == NULL && atl_json_object (object, "function") != NULL)
        return split_object (f, json_object_get_member (object, "function"), id, name, arguments);
      for (gsize i = 0; i < G_N_ELEMENTS (keys) && inner == NULL; i++)
        inner = json_object_get_member (object, keys[i]);
    }
  if (word == NULL)
    return FALSE;
  id_node = f->id_key != NULL ? json_object_get_member (object, f->id_key) : NULL;
  if (id_node != NULL && JSON_NODE_HOLDS_VALUE (id_node) &&
      json_node_get_value_type (id_node) == G_TYPE_STRING)
    *id = json_node_dup_string (id_node);
  *name = g_strdup (word);
  *arguments =
      inner != NULL && !JSON_NODE_HOLDS_NULL (inner) ? atl_json_write (inner) : g_strdup ("{}");
  return *arguments != NULL;
}

static gboolean
tell_object (AtlToolCallParser *self, JsonNode *node)
{
  g_autofree char *id = NULL;
  g_autofree char *name = NULL;
  g_autofree char *arguments = NULL;

  return split_object (self->format, node, &id, &name, &arguments) &&
         tell (self, id, name, arguments, strlen (arguments));
}

/* The JSON value [start, at) of ATL_CALL_JSON. */
static gboolean
tell_json (AtlToolCallParser *self)
{
  g_autoptr (JsonNode) node =
      atl_json_parse (self->held->str + self->start, self->at - self->start, "call", NULL);
  JsonArray *list;

  if (node == NULL)
    return FALSE;
  if (!JSON_NODE_HOLDS_ARRAY (node))
    return tell_object (self, node);
  list = json_node_get_array (node);
  /* All or none, so that a list is either calls or text. */
  for (guint i = 0; i < json_array_get_length (list); i++)
    {
      g_autofree char *id = NULL;
      g_autofree char *name = NULL;
      g_autofree char *arguments = NULL;

      if (!split_object (self->format, json_array_get_element (list, i), &id, &name, &arguments) ||
          (self->tools != NULL && atl_tool_set_find (self->tools, name, strlen (name)) < 0) ||
          *arguments != '{')
        return FALSE;
    }
  for (guint i = 0; i < json_array_get_length (list); i++)
    if (!tell_object (self, json_array_get_element (list, i)))
      return FALSE;
  return json_array_get_length (list) > 0;
}

/* --- Inside a section --- */

static gboolean
begin_args (AtlToolCallParser *self, gsize at)
{
  self->start = self->at = at;
  atl_json_scan_init (&self->scan);
  self->state = ATL_CALL_AT_ARGS;
  return TRUE;
}

/* Whether the section's closing mark, or for one that is followed by nothing the end, is here. */
gboolean
atl_call_step_close (AtlToolCallParser *self)
{
  gsize at = atl_call_skip_blanks (self, self->at), end;

  if (self->format->close == NULL)
    return atl_call_end_section (self);
  switch (atl_call_match (self, at, self->format->close, &end))
    {
    case ATL_CALL_PARTLY:
      return FALSE;
    case ATL_CALL_YES:
      self->at = end;
      return atl_call_end_section (self);
    case ATL_CALL_NO:
    default:
      return atl_call_end_section (self);
    }
}

/* Between calls of one section. */
gboolean
atl_call_step_call (AtlToolCallParser *self)
{
  const AtlToolFormat *f = self->format;
  gsize at = atl_call_skip_blanks (self, self->at), end = 0;
  AtlCallMatch match;

  if (self->n_in_section > 0 && f->style != ATL_CALL_PYTHON && f->style != ATL_CALL_GEMMA &&
      at < self->held->len && (self->held->str[at] == ',' || self->held->str[at] == ';'))
    at = atl_call_skip_blanks (self, at + 1);
  if (at == self->held->len && !self->at_end)
    return FALSE;
  switch (f->style)
    {
    case ATL_CALL_JSON:
      match = self->n_in_section == 0 ? atl_call_match (self, at, FENCE "json", &end) : ATL_CALL_NO;
      if (match == ATL_CALL_PARTLY)
        return FALSE;
      if (match == ATL_CALL_YES)
        {
          self->at = end;
          return TRUE;
        }
      if (self->held->str[at] == '{' || self->held->str[at] == '[')
        return begin_args (self, at);
      break;
    case ATL_CALL_NAMED:
    case ATL_CALL_TAGGED:
      if (f->text_head != NULL && self->n_in_section == 0)
        {
          match = atl_call_match_head (self, at, &end);
          if (match == ATL_CALL_PARTLY)
            return FALSE;
          if (match == ATL_CALL_YES)
            {
              self->at = end;
              return atl_call_end_section (self);
            }
        }
      match = f->call_open != NULL ? atl_call_match (self, at, f->call_open, &end) : ATL_CALL_YES;
      if (match == ATL_CALL_PARTLY)
        return FALSE;
      if (match == ATL_CALL_YES && (f->call_open != NULL || self->n_in_section == 0))
        {
          self->at = f->call_open != NULL ? end : at;
          self->state = ATL_CALL_AT_NAME;
          return TRUE;
        }
      break;
    case ATL_CALL_PYTHON:
    case ATL_CALL_GEMMA:
      self->start = self->at = at;
      self->state = ATL_CALL_AT_WHOLE;
      return TRUE;
    case ATL_CALL_HARMONY:
    default:
      break;
    }
  if (self->n_in_section == 0)
    return atl_call_fail (self);
  self->state = ATL_CALL_AT_CLOSE;
  return TRUE;
}

/* The letters up to `mark`, blanks around them aside, and what stands behind it. */
static AtlCallMatch
read_until (AtlToolCallParser *self, const char *mark, char **text)
{
  gsize at = atl_call_skip_blanks (self, self->at), end;
  gsize n = strspn (self->held->str + at, ATL_CALL_NAME_LETTERS);
  AtlCallMatch match;

  if (n > ATL_CALL_MAX_NAME)
    return ATL_CALL_NO;
  if (at + n == self->held->len && !self->at_end)
    return ATL_CALL_PARTLY;
  match = atl_call_match (self, atl_call_skip_blanks (self, at + n), mark, &end);
  if (match != ATL_CALL_YES)
    return match;
  g_free (*text);
  *text = g_strndup (self->held->str + at, n);
  self->at = end;
  return ATL_CALL_YES;
}

/* Takes prefix and tail off the name; the whole is then the id. */
static void
clean_name (AtlToolCallParser *self)
{
  const AtlToolFormat *f = self->format;
  char *colon;

  if (f->name_prefix == NULL)
    return;
  g_free (self->id);
  self->id = g_strdup (self->name);
  if (g_str_has_prefix (self->name, f->name_prefix))
    memmove (self->name, self->name + strlen (f->name_prefix),
             strlen (self->name + strlen (f->name_prefix)) + 1);
  colon = strrchr (self->name, ':');
  if (colon != NULL && colon[1] != '\0' && strspn (colon + 1, G_CSET_DIGITS) == strlen (colon + 1))
    *colon = '\0';
}

gboolean
atl_call_step_name (AtlToolCallParser *self)
{
  const AtlToolFormat *f = self->format;
  g_autofree char *id = NULL;
  gsize before = self->at;
  AtlCallMatch match = f->id_end != NULL ? read_until (self, f->id_end, &id) : ATL_CALL_YES;

  if (match == ATL_CALL_YES)
    {
      match = read_until (self, f->name_end, &self->name);
      if (match != ATL_CALL_YES && f->style == ATL_CALL_NAMED && f->call_open == NULL)
        {
          /* Mistral: name[CALL_ID]id[ARGS]. */
          AtlCallMatch with_id = read_until (self, "[CALL_ID]", &self->name);

          if (with_id == ATL_CALL_YES)
            match = read_until (self, f->name_end, &id);
          else if (with_id == ATL_CALL_PARTLY)
            match = ATL_CALL_PARTLY;
        }
    }
  if (match == ATL_CALL_PARTLY)
    {
      self->at = before;
      return FALSE;
    }
  if (match == ATL_CALL_NO || *self->name == '\0')
    {
      atl_call_forget (self);
      return atl_call_fail (self);
    }
  clean_name (self);
  if (id != NULL)
    {
      g_free (self->id);
      self->id = g_steal_pointer (&id);
    }
  g_string_assign (self->arguments, "{");
  if (f->style == ATL_CALL_NAMED)
    return begin_args (self, atl_call_skip_blanks (self, self->at));
  self->state = ATL_CALL_AT_KEY;
  return TRUE;
}

gboolean
atl_call_step_args (AtlToolCallParser *self)
{
  gsize used;
  AtlJsonScanState scanned = atl_json_scan_push (&self->scan, self->held->str + self->at,
                                                 self->held->len - self->at, &used);
  gboolean ok;

  self->at += used;
  if (scanned == ATL_JSON_SCAN_MORE)
    return FALSE;
  ok = scanned == ATL_JSON_SCAN_DONE &&
       (self->format->style == ATL_CALL_JSON
            ? tell_json (self)
            : tell (self, self->id, self->name, self->held->str + self->start,
                    self->at - self->start));
  atl_call_forget (self);
  if (!ok)
    return atl_call_fail (self);
  atl_call_consume (self);
  self->state = ATL_CALL_AT_AFTER_ARGS;
  return TRUE;
}

gboolean
atl_call_step_after_args (AtlToolCallParser *self)
{
  const AtlToolFormat *f = self->format;
  gsize end;

  if (f->style == ATL_CALL_JSON)
    switch (atl_call_match (self, atl_call_skip_blanks (self, self->at), FENCE, &end))
      {
      case ATL_CALL_PARTLY:
        return FALSE;
      case ATL_CALL_YES:
        self->at = end;
        break;
      case ATL_CALL_NO:
      default:
        break;
      }
  if (f->call_close != NULL)
    switch (atl_call_match (self, atl_call_skip_blanks (self, self->at), f->call_close, &end))
      {
      case ATL_CALL_PARTLY:
        return FALSE;
      case ATL_CALL_YES:
        self->at = end;
        break;
      case ATL_CALL_NO:
      default:
        break;
      }
  /* A bare call may be followed by another. */
  self->state = (f->single && !f->is_bare) || (f->is_list && f->close == NULL) ? ATL_CALL_AT_CLOSE
                                                                               : ATL_CALL_AT_CALL;
  return TRUE;
}

gboolean
atl_call_step_key (AtlToolCallParser *self)
{
  const AtlToolFormat *f = self->format;
  gsize at = atl_call_skip_blanks (self, self->at), end, key, n;
  AtlCallMatch match = atl_call_match (self, at, f->call_close, &end), json;
  g_autofree char *mark = NULL;

  if (match == ATL_CALL_YES)
    {
      gboolean ok;

      g_string_append_c (self->arguments, '}');
      self->at = end;
      ok = tell (self, self->id, self->name, self->arguments->str, self->arguments->len);
      atl_call_forget (self);
      if (!ok)
        return atl_call_fail (self);
      atl_call_consume (self);
      self->state = f->single ? ATL_CALL_AT_CLOSE : ATL_CALL_AT_CALL;
      return TRUE;
    }
  if (match == ATL_CALL_PARTLY)
    return FALSE;
  match = atl_call_match (self, at, f->key_open, &key);
  if (match == ATL_CALL_PARTLY)
    return FALSE;
  mark = atl_call_trimmed (f->key_end);
  n = match == ATL_CALL_YES ? strcspn (self->held->str + key, (char[]){ *mark, '\0' }) : 0;
  if (match == ATL_CALL_NO || n > ATL_CALL_MAX_NAME || n == 0)
    {
      if (match == ATL_CALL_YES && n == 0 && key == self->held->len && !self->at_end)
        return FALSE;
      atl_call_forget (self);
      return atl_call_fail (self);
    }
  match = atl_call_match (self, key + n, f->key_end, &end);
  json =
      f->key_end_json != NULL ? atl_call_match (self, key + n, f->key_end_json, &at) : ATL_CALL_NO;
  if (match == ATL_CALL_NO && json == ATL_CALL_NO)
    {
      atl_call_forget (self);
      return atl_call_fail (self);
    }
  if (match != ATL_CALL_YES && json != ATL_CALL_YES)
    return FALSE;
  end = match == ATL_CALL_YES ? end : at;
  /* A line end that belongs to the mark is no part of the value. */
  if (g_str_has_suffix (f->key_end, "\n"))
    {
      if (end == self->held->len)
        return FALSE;
      end += self->held->str[end] == '\n';
    }
  self->is_json_value = match != ATL_CALL_YES;
  g_free (self->key);
  self->key = g_strstrip (g_strndup (self->held->str + key, n));
  self->start = self->at = end;
  self->state = ATL_CALL_AT_VALUE;
  return TRUE;
}

/* The JSON of a value as its tool's schema wants it. */
static char *
type_value (const AtlToolCallParser *self, const char *text)
{
  gint tool =
      self->tools != NULL ? atl_tool_set_find (self->tools, self->name, strlen (self->name)) : -1;
  g_autoptr (JsonNode) node = NULL;
  char *json;

  /* Where the format says that it is JSON, the schema need not. */
  if (self->is_json_value)
    node = atl_json_parse (text, strlen (text), "value", NULL);
  json = node != NULL ? atl_json_write (node) : NULL;
  if (json != NULL)
    return json;
  return tool >= 0 ? atl_tool_set_value (self->tools, (guint) tool, self->key, text)
                   : atl_json_quote (text);
}

gboolean
atl_call_step_value (AtlToolCallParser *self)
{
  const AtlToolFormat *f = self->format;
  g_autofree char *mark = atl_call_trimmed (f->value_close);
  g_autofree char *text = NULL;
  g_autofree char *json = NULL;
  g_autofree char *key = NULL;
  const char *end = strstr (self->held->str + self->at, mark);
  gsize n;

  if (end == NULL)
    {
      /* The mark's beginning may be there already. */
      n = strlen (mark) - 1;
      self->at = MAX (self->start, self->held->len > n ? self->held->len - n : 0);
      return FALSE;
    }
  n = (gsize) (end - self->held->str) - self->start;
  if (*f->value_close == '\n' && n > 0 && self->held->str[self->start + n - 1] == '\n')
    n--;
  text = g_strndup (self->held->str + self->start, n);
  json = type_value (self, text);
  key = atl_json_quote (self->key);
  g_string_append_printf (self->arguments, "%s%s: %s", self->arguments->len > 1 ? ", " : "", key,
                          json);
  self->at = (gsize) (end - self->held->str) + strlen (mark);
  self->state = ATL_CALL_AT_KEY;
  return TRUE;
}

/* --- Python's and Gemma's notation --- */

typedef struct
{
  GPtrArray *names, *arguments;
} Found;

static void
found_cb (const char *name, const char *arguments, gpointer data)
{
  Found *found = data;

  g_ptr_array_add (found->names, g_strdup (name));
  g_ptr_array_add (found->arguments, g_strdup (arguments));
}

/* The calls of `n` bytes of text; LFM2 may have been asked for JSON. */
static gboolean
tell_whole (AtlToolCallParser *self, const char *text, gsize n)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) arguments = g_ptr_array_new_with_free_func (g_free);
  Found found = { names, arguments };
  guint before = self->n_calls;

  if (!(self->format->style == ATL_CALL_GEMMA ? atl_call_from_gemma (text, n, found_cb, &found)
                                              : atl_calls_from_python (text, n, found_cb, &found)))
    return FALSE;
  for (guint i = 0; i < names->len && self->tools != NULL; i++)
    if (atl_tool_set_find (self->tools, names->pdata[i], strlen (names->pdata[i])) < 0)
      return FALSE;
  for (guint i = 0; i < names->len; i++)
    tell (self, NULL, names->pdata[i], arguments->pdata[i], strlen (arguments->pdata[i]));
  return self->n_calls > before;
}

gboolean
atl_call_step_whole (AtlToolCallParser *self)
{
  const char *mark = self->format->close;
  const char *end = strstr (self->held->str + self->at, mark);
  gsize n;

  if (end == NULL && !self->at_end)
    {
      n = strlen (mark) - 1;
      self->at = MAX (self->start, self->held->len > n ? self->held->len - n : 0);
      return FALSE;
    }
  n = (end != NULL ? (gsize) (end - self->held->str) : self->held->len) - self->start;
  if (!tell_whole (self, self->held->str + self->start, n))
    return atl_call_fail (self);
  self->at = self->start + n + (end != NULL ? strlen (mark) : 0);
  return atl_call_end_section (self);
}
