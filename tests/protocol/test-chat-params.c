/* The table of parameters: ranges hold in every outer form, and every form gives back what it got.
 */
#include <math.h>
#include <string.h>

#include "protocol/chat-params.h"

static void
test_table (void)
{
  guint n;
  const AtlChatParamSpec *specs = atl_chat_param_specs (&n);
  g_auto (AtlChatParams) params = { 0 };

  atl_chat_params_init (&params);
  g_assert_cmpuint (n, >, 20);
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_true (atl_chat_param_find (specs[i].key) == &specs[i]);
      g_assert_cmpfloat (specs[i].min, <=, specs[i].fallback);
      g_assert_cmpfloat (specs[i].fallback, <=, specs[i].max);
      g_assert_cmpfloat (specs[i].step, >, 0);
      g_assert_true (g_str_has_suffix (specs[i].tooltip, "."));
      g_assert_cmpfloat (atl_chat_param_get (&params, &specs[i]), ==, specs[i].fallback);
      g_assert_true (atl_chat_param_set (&params, &specs[i], specs[i].min, NULL));
      g_assert_cmpfloat (atl_chat_param_get (&params, &specs[i]), ==, specs[i].min);
      g_assert_true (atl_chat_param_set (&params, &specs[i], specs[i].max, NULL));
      g_assert_cmpfloat (atl_chat_param_get (&params, &specs[i]), ==, specs[i].max);
      g_assert_false (atl_chat_param_set (&params, &specs[i], NAN, NULL));
      g_assert_false (atl_chat_param_set (&params, &specs[i], INFINITY, NULL));
      g_assert_false (atl_chat_param_set (&params, &specs[i], specs[i].min - 1, NULL));
      g_assert_false (atl_chat_param_set (&params, &specs[i], 1e308, &error));
      g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
      g_assert_nonnull (strstr (error->message, specs[i].term));
      g_assert_cmpfloat (atl_chat_param_get (&params, &specs[i]), ==, specs[i].max);
    }
}

static void
test_words (void)
{
  g_autoptr (GVariant) dict = g_variant_ref_sink (
      g_variant_new_parsed ("{'top-p': <0.9>, 'other': <1>, 'temperature': <0.2>, 'top-k': <20>}"));
  g_autofree char *words = atl_chat_params_to_words (dict);
  g_autofree char *none = atl_chat_params_to_words (NULL);

  g_assert_cmpstr (words, ==, "temperature 0.2, top-p 0.9, top-k 20");
  g_assert_cmpstr (none, ==, "");
}

static void
fill (AtlChatParams *params)
{
  atl_chat_params_init (params);
  params->temperature = 1.25;
  params->top_k = 7;
  params->seed = 4294967295;
  params->continue_last = TRUE;
  params->grammar = g_strdup ("root ::= \"yes\"");
  params->stop = g_strsplit ("a\nb", "\n", -1);
}

static void
assert_filled (const AtlChatParams *params)
{
  g_assert_cmpfloat (params->temperature, ==, 1.25);
  g_assert_cmpint (params->top_k, ==, 7);
  g_assert_cmpint (params->seed, ==, 4294967295);
  g_assert_true (params->continue_last);
  g_assert_cmpstr (params->grammar, ==, "root ::= \"yes\"");
  g_assert_cmpuint (g_strv_length (params->stop), ==, 2);
  g_assert_cmpstr (params->stop[1], ==, "b");
  g_assert_cmpfloat (params->top_p, ==, 0.95);
}

static void
test_forms (void)
{
  g_auto (AtlChatParams) params = { 0 };
  g_auto (AtlChatParams) other = { 0 };
  g_auto (AtlChatParams) third = { 0 };
  g_auto (AtlChatParams) copy = { 0 };
  g_autoptr (GVariant) dict = NULL;
  g_autoptr (GError) error = NULL;

  fill (&params);
  dict = g_variant_ref_sink (atl_chat_params_to_variant (&params));
  atl_chat_params_init (&other);
  g_assert_true (atl_chat_params_apply (&other, dict, &error));
  g_assert_no_error (error);
  assert_filled (&other);

  atl_chat_params_init (&third);
  g_assert_true (atl_chat_params_apply_json (&third,
                                             "{\"temperature\": 1.25, \"top-k\": 7,"
                                             " \"seed\": 4294967295, \"continue-last\": true,"
                                             " \"grammar\": \"root ::= \\\"yes\\\"\","
                                             " \"stop\": [\"a\", \"b\"]}",
                                             &error));
  g_assert_no_error (error);
  assert_filled (&third);

  atl_chat_params_copy (&copy, &params);
  assert_filled (&copy);
  g_assert_true (copy.grammar != params.grammar);
}

static void
test_hostile (void)
{
  static const char *const dicts[] = {
    "{'temperature': <'hot'>}", "{'temperature': <-1.0>}",
    "{'top-k': <2147483647>}",  "{'top-k': <[1, 2]>}",
    "{'grammar': <7>}",         "{'stop': <'text'>}",
    "{'stop': <['']>}",         "{'seed': <-2>}",
    "{'mirostat': <3>}",        "{'top-p': <uint64 18446744073709551615>}",
    "{'max-tokens': <1.5>}",    "{'thinking': <()>}",
  };
  static const char *const jsons[] = {
    "",
    "[]",
    "7",
    "{",
    "{\"temperature\":\"x\"}",
    "{\"temperature\":1e999}",
    "{\"stop\":[1]}",
    "{\"stop\":\"x\"}",
    "{\"seed\":-5}",
    "{\"grammar\":{}}",
    "{\"top-k\":[]}",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (dicts); i++)
    {
      g_auto (AtlChatParams) params = { 0 };
      g_autoptr (GVariant) dict =
          g_variant_parse (G_VARIANT_TYPE_VARDICT, dicts[i], NULL, NULL, NULL);
      g_autoptr (GError) error = NULL;

      g_assert_nonnull (dict);
      atl_chat_params_init (&params);
      if (atl_chat_params_apply (&params, dict, &error))
        g_error ("accepted: %s", dicts[i]);
      g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (jsons); i++)
    {
      g_auto (AtlChatParams) params = { 0 };
      g_autoptr (GError) error = NULL;

      atl_chat_params_init (&params);
      if (atl_chat_params_apply_json (&params, jsons[i], &error))
        g_error ("accepted: %s", jsons[i]);
      g_assert_cmpint (error->domain, ==, ATL_ERROR);
    }
}

static void
test_limits (void)
{
  g_auto (AtlChatParams) params = { 0 };
  g_autofree char *big = g_strnfill ((1 << 20) + 1, 'x');
  g_autoptr (GVariant) dict = g_variant_ref_sink (g_variant_new_parsed ("{'grammar': <%s>}", big));
  g_autoptr (GVariant) unknown =
      g_variant_ref_sink (g_variant_new_parsed ("{'colour': <'blue'>, 'top-k': <3>}"));

  atl_chat_params_init (&params);
  g_assert_false (atl_chat_params_apply (&params, dict, NULL));
  /* Keys of a newer program do no harm. */
  g_assert_true (atl_chat_params_apply (&params, unknown, NULL));
  g_assert_cmpint (params.top_k, ==, 3);
  g_assert_true (atl_chat_params_apply (&params, NULL, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/protocol/chat-params/words", test_words);
  g_test_add_func ("/chat-params/table", test_table);
  g_test_add_func ("/chat-params/forms", test_forms);
  g_test_add_func ("/chat-params/hostile", test_hostile);
  g_test_add_func ("/chat-params/limits", test_limits);
  return g_test_run ();
}
