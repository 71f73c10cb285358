/* Any bytes as JSON: refused in words, or a tree of valid strings that can be written and read
 * again; and as settings of a chat. */
#include <string.h>

#include "base/json-bounded.h"
#include "fuzz.h"
#include "protocol/chat-params.h"

static const AtlFuzzBytes seeds[] = {
  ATL_FUZZ_BYTES (
      "{\"a\": [1, -2.5e3, true, null, \"x\\u00fc\\ud83e\\udd8a\"], \"b\": {\"c\": {}}}"),
  ATL_FUZZ_BYTES ("{\"temperature\": 0.7, \"top-k\": 40, \"seed\": -1, \"stop\": [\"a\", \"b\"], "
                  "\"grammar\": \"root ::= \\\"a\\\"\", \"thinking\": 1}"),
  ATL_FUZZ_BYTES ("[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]"),
  { NULL, 0 },
};

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES ("["),
  ATL_FUZZ_BYTES ("]"),
  ATL_FUZZ_BYTES ("{"),
  ATL_FUZZ_BYTES ("}"),
  ATL_FUZZ_BYTES ("\""),
  ATL_FUZZ_BYTES ("\\"),
  ATL_FUZZ_BYTES ("\\ud800"),
  ATL_FUZZ_BYTES ("\\udc00"),
  ATL_FUZZ_BYTES ("\\u0000"),
  ATL_FUZZ_BYTES ("'\"'"),
  ATL_FUZZ_BYTES ("/* \" */"),
  ATL_FUZZ_BYTES ("//\"\n"),
  ATL_FUZZ_BYTES (","),
  ATL_FUZZ_BYTES (":"),
  ATL_FUZZ_BYTES ("0x7f"),
  ATL_FUZZ_BYTES ("1e999"),
  ATL_FUZZ_BYTES ("-"),
  ATL_FUZZ_BYTES ("9223372036854775808"),
  ATL_FUZZ_BYTES ("null"),
  ATL_FUZZ_BYTES ("\"a\":"),
  ATL_FUZZ_BYTES ("[[[[[[[[[[[[[[[["),
  { NULL, 0 },
};

const AtlFuzzTarget atl_fuzz_target = { "json", "grammar", ".json", seeds, words, NULL };

static void
check_string (const char *text)
{
  g_assert_true (g_utf8_validate (text, -1, NULL));
}

static void
check_node (JsonNode *node, guint depth)
{
  g_assert_cmpuint (depth, <=, ATL_JSON_MAX_DEPTH);
  if (JSON_NODE_HOLDS_ARRAY (node))
    {
      JsonArray *array = json_node_get_array (node);

      for (guint i = 0; i < json_array_get_length (array); i++)
        check_node (json_array_get_element (array, i), depth + 1);
    }
  else if (JSON_NODE_HOLDS_OBJECT (node))
    {
      JsonObjectIter iter;
      const char *name;
      JsonNode *member;

      json_object_iter_init (&iter, json_node_get_object (node));
      while (json_object_iter_next (&iter, &name, &member))
        {
          check_string (name);
          check_node (member, depth + 1);
        }
    }
  else if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
    check_string (json_node_get_string (node));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) root = atl_json_parse ((const char *) data, size, "fuzzed", &error);
  g_autofree char *text = size > 0 ? g_strndup ((const char *) data, size) : g_strdup ("");
  g_autofree char *written = NULL;
  g_auto (AtlChatParams) params = { 0 };

  g_assert_true ((root == NULL) == (error != NULL));
  if (root == NULL)
    check_string (error->message);
  else
    {
      check_node (root, 0);
      written = atl_json_write (root);
    }
  if (written != NULL)
    {
      g_autoptr (JsonNode) again = atl_json_parse (written, strlen (written), "again", &error);

      g_assert_no_error (error);
      g_assert_nonnull (again);
    }
  g_clear_error (&error);
  atl_chat_params_init (&params);
  if (!g_utf8_validate (text, -1, NULL))
    return 0;
  if (atl_chat_params_apply_json (&params, text, &error))
    {
      g_autoptr (GVariant) dict = g_variant_ref_sink (atl_chat_params_to_variant (&params));

      g_assert_true (atl_chat_params_apply (&params, dict, &error));
      g_assert_no_error (error);
    }
  else
    check_string (error->message);
  return 0;
}
