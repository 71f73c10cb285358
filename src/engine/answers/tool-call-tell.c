/* From the parts of a call to the sink. */
#define G_LOG_DOMAIN "atl-answers"

#include <string.h>

#include "base/json-bounded.h"
#include "engine/answers/json-scan.h"
#include "engine/answers/tool-call-parser.h"

/* Mistral's templates want exactly nine letters and digits; others take anything. */
static void
make_id (char id[10])
{
  static const char letters[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS;

  for (guint i = 0; i < 9; i++)
    id[i] = letters[g_random_int_range (0, sizeof letters - 1)];
  id[9] = '\0';
}

/* TRUE if all of `text` is one JSON object; `*is_strict`: as it stands. */
static gboolean
is_object (const char *text, gsize n, gboolean *is_strict)
{
  AtlJsonScan scan;
  gsize used;

  atl_json_scan_init (&scan);
  if (atl_json_scan_push (&scan, text, n, &used) != ATL_JSON_SCAN_DONE)
    return FALSE;
  while (used < n && g_ascii_isspace (text[used]))
    used++;
  *is_strict = !scan.has_raw;
  return used == n && text[strspn (text, " \t\r\n")] == '{';
}

gboolean
atl_tool_call_tell (AtlToolSet *tools,
                    const AtlToolCallSink *sink,
                    const char *id,
                    const char *name,
                    const char *arguments,
                    gsize n)
{
  gint tool = tools != NULL ? atl_tool_set_find (tools, name, strlen (name)) : 0;
  g_autoptr (JsonNode) node = NULL;
  g_autofree char *text = NULL;
  g_autofree char *changed = NULL;
  gboolean is_strict = FALSE;
  char own_id[10];
  AtlToolCall call = { .id = id, .name = name };

  if (tool < 0 || *name == '\0')
    return FALSE;
  node = atl_json_parse (arguments, n, "arguments", NULL);
  /* OpenAI's own form: the arguments' JSON as a string. */
  if (node != NULL && JSON_NODE_HOLDS_VALUE (node) && json_node_get_string (node) != NULL)
    {
      text = g_strdup (json_node_get_string (node));
      json_node_unref (node);
      node = atl_json_parse (text, strlen (text), "arguments", NULL);
    }
  else
    text = g_strndup (arguments, n);
  if (node == NULL || !JSON_NODE_HOLDS_OBJECT (node) ||
      !is_object (text, strlen (text), &is_strict))
    return FALSE;
  if (tools != NULL)
    changed = atl_tool_set_arguments (tools, (guint) tool, json_node_get_object (node));
  if (changed == NULL && !is_strict && (changed = atl_json_write (node)) == NULL)
    return FALSE;
  /* A number beyond what a double holds has no text that goes back. */
  if (changed != NULL && !is_object (changed, strlen (changed), &is_strict))
    return FALSE;
  call.arguments = g_strstrip (changed != NULL ? changed : text);
  if (id == NULL || *id == '\0')
    {
      make_id (own_id);
      call.id = own_id;
    }
  sink->call (&call, sink->user_data);
  return TRUE;
}
