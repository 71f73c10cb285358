/* The template language against conformance/jinja: what Jinja2 3.1.6 prints for 1,703 templates,
 * one test case a file and section; then its limits, and damaged templates. */
#include "engine/tokenizers/jinja.h"

#include <string.h>

#include "base/json-bounded.h"
#include "conformance.h"

/* --- Conformance --- */

/* A NUL, which json-glib cannot hold, travels as this private character. */
#define NUL_STAND_IN "\xee\x80\x80"

static void
append_literal (GString *out, const char *text)
{
  g_string_append_c (out, '\'');
  for (const char *c = text; *c != '\0';)
    {
      if (g_str_has_prefix (c, NUL_STAND_IN))
        {
          g_string_append (out, "\\x00");
          c += strlen (NUL_STAND_IN);
          continue;
        }
      if (*c == '\'' || *c == '\\')
        g_string_append_c (out, '\\');
      g_string_append_c (out, *c++);
    }
  g_string_append_c (out, '\'');
}

/* "{% set name = {...} %}" for each member of the context, all of them objects of strings. */
static char *
context_as_source (JsonObject *context)
{
  GString *out = g_string_new (NULL);
  g_autoptr (GList) names = json_object_get_members (context);

  for (GList *name = names; name != NULL; name = name->next)
    {
      JsonObject *object = json_object_get_object_member (context, name->data);
      g_autoptr (GList) members = json_object_get_members (object);

      g_string_append_printf (out, "{%% set %s = {", (const char *) name->data);
      for (GList *member = members; member != NULL; member = member->next)
        {
          append_literal (out, member->data);
          g_string_append (out, ": ");
          append_literal (out, json_object_get_string_member (object, member->data));
          g_string_append (out, ", ");
        }
      g_string_append (out, "} %}");
    }
  return g_string_free (out, FALSE);
}

static gboolean
mentions_nul (JsonNode *node)
{
  g_autofree char *text = json_to_string (node, FALSE);

  return strstr (text, NUL_STAND_IN) != NULL;
}

/* Four cases were recorded after the reference had changed the list in their context: what it held
 * before is put back. */
static JsonObject *
context_of (JsonObject *item)
{
  static const struct
  {
    const char *name;
    const char *before;
  } damaged[] = {
    { "array.pop() last", "{\"arr\": [\"a\", \"b\", \"c\"]}" },
    { "array.pop() with index", "{\"arr\": [\"a\", \"b\", \"c\"]}" },
    { "array.append()", "{\"arr\": [\"a\", \"b\", \"c\"]}" },
    { "syntax line 460", "{\"a\": {\"b\": [1, 2]}, \"c\": {\"d\": {\"e\": 3}}}" },
  };
  const char *name = json_object_get_string_member (item, "name");

  for (gsize i = 0; i < G_N_ELEMENTS (damaged); i++)
    if (strcmp (name, damaged[i].name) == 0)
      {
        g_autoptr (JsonNode) node = json_from_string (damaged[i].before, NULL);

        return json_object_ref (json_node_get_object (node));
      }
  return json_object_ref (json_object_get_object_member (item, "context"));
}

static char *
run_case (JsonObject *item, GError **error)
{
  JsonObject *options = json_object_get_object_member (item, "options");
  g_autoptr (JsonObject) context = context_of (item);
  AtlJinjaOptions jinja_options = {
    .trim_blocks = atl_json_bool (options, "trim_blocks", FALSE),
    .lstrip_blocks = atl_json_bool (options, "lstrip_blocks", FALSE),
    .keep_trailing_newline = atl_json_bool (options, "keep_trailing_newline", FALSE),
  };
  g_autofree char *source = g_strdup (json_object_get_string_member (item, "template"));
  g_autoptr (GDateTime) now = g_date_time_new_utc (2025, 7, 10, 12, 0, 0);
  g_autoptr (AtlJinja) jinja = NULL;

  if (mentions_nul (json_object_get_member (item, "context")))
    {
      g_autofree char *prefix = context_as_source (context);
      char *joined = g_strconcat (prefix, source, NULL);

      g_free (source);
      source = joined;
    }
  jinja = atl_jinja_parse (source, -1, &jinja_options, error);
  return jinja != NULL ? atl_jinja_render (jinja, context, NULL, now, error) : NULL;
}

static gboolean
check_case (JsonObject *item)
{
  const char *name = json_object_get_string_member (item, "name");
  gboolean lenient = atl_json_bool (item, "lenient", FALSE);
  gboolean free_choice = atl_json_bool (item, "expect_no_crash", FALSE);
  gboolean wants_error = atl_json_bool (item, "expect_error", FALSE);
  const char *expected = atl_json_string (item, "expected", NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *got = run_case (item, &error);

  g_assert_true ((got == NULL) == (error != NULL));
  if (error != NULL)
    g_assert_true (error->domain == ATL_ERROR && g_utf8_validate (error->message, -1, NULL));
  if (free_choice)
    return TRUE;
  if (error != NULL && (wants_error || lenient))
    return TRUE;
  if (got != NULL && expected != NULL && strcmp (got, expected) == 0)
    return TRUE;
  if (got != NULL && wants_error && lenient)
    return TRUE;
  g_test_message ("FAILED %s\n template: %s\n wanted: %s\n got: %s", name,
                  json_object_get_string_member (item, "template"),
                  wants_error ? "(an error)" : expected, got != NULL ? got : error->message);
  return FALSE;
}

typedef struct
{
  JsonArray *cases;
  char *section;
} Group;

static void
test_group (gconstpointer data)
{
  const Group *group = data;
  guint n_failed = 0;
  guint n = 0;

  for (guint i = 0; i < json_array_get_length (group->cases); i++)
    {
      JsonObject *item = json_array_get_object_element (group->cases, i);

      if (strcmp (atl_json_string (item, "section", "all"), group->section) != 0)
        continue;
      n++;
      n_failed += !check_case (item);
    }
  g_test_message ("%u cases, %u failed", n, n_failed);
  g_assert_cmpuint (n, >, 0);
  if (n_failed > 0)
    g_test_fail ();
}

/* Replaces the escape of NUL, where it is one, by that of the stand-in. */
static void
replace_nul (char *text)
{
  for (char *at = text; (at = strstr (at, "\\u0000")) != NULL; at += 6)
    {
      gsize n_before = 0;

      while (at - n_before > text && at[-1 - (gssize) n_before] == '\\')
        n_before++;
      if (n_before % 2 == 0)
        memcpy (at, "\\ue000", 6);
    }
}

static void
test_absent (gconstpointer data)
{
  g_autofree char *path = atl_test_conformance (data);

  g_assert_null (path);
}

static void
add_file (const char *name)
{
  g_autofree char *relative = g_strdup_printf ("jinja/%s.json", name);
  g_autofree char *path = atl_test_conformance_find (relative);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;
  JsonNode *root;
  JsonArray *cases;
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  if (path == NULL)
    {
      g_autofree char *test_name = g_strdup_printf ("/jinja/%s", name);

      /* Says so by being skipped. */
      g_test_add_data_func (test_name, g_steal_pointer (&relative), test_absent);
      return;
    }
  g_file_get_contents (path, &text, &size, &error);
  g_assert_no_error (error);
  replace_nul (text);
  root = atl_json_parse (text, size, name, &error); /* lives as long as the test */
  g_assert_no_error (error);
  cases = json_object_get_array_member (json_node_get_object (root), "cases");
  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      const char *section =
          atl_json_string (json_array_get_object_element (cases, i), "section", "all");
      Group *group;
      g_autofree char *test_name = NULL;

      if (!g_hash_table_add (seen, (gpointer) section))
        continue;
      group = g_new0 (Group, 1);
      group->cases = cases;
      group->section = g_strdup (section);
      test_name = g_strdup_printf ("/jinja/%s/%s", name, section);
      g_test_add_data_func (test_name, group, test_group);
    }
}

/* --- Limits --- */

static char *
render_source (const char *source, GError **error)
{
  g_autoptr (AtlJinja) jinja = atl_jinja_parse (source, -1, NULL, error);

  return jinja != NULL ? atl_jinja_render (jinja, NULL, NULL, NULL, error) : NULL;
}

static void
expect_limit (const char *name, const char *source)
{
  g_autoptr (GError) error = NULL;
  gint64 start = g_get_monotonic_time ();
  g_autofree char *text = render_source (source, &error);
  gint64 ms = (g_get_monotonic_time () - start) / 1000;

  g_test_message ("%s: %" G_GINT64_FORMAT " ms, %s", name, ms,
                  error != NULL ? error->message : "no error");
  g_assert_error (error, ATL_ERROR, ATL_ERROR_TOO_COMPLEX);
}

static char *
repeated (const char *before, const char *unit, guint n, const char *after)
{
  GString *text = g_string_new (before);

  for (guint i = 0; i < n; i++)
    g_string_append (text, unit);
  g_string_append (text, after);
  return g_string_free (text, FALSE);
}

static void
test_limits (void)
{
  static const struct
  {
    const char *name;
    const char *source;
  } sources[] = {
    { "huge range", "{% for i in range(1000000000) %}{% endfor %}" },
    { "nested loops",
      "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}" },
    { "nested loops that print",
      "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}" },
    { "growing list", "{% set l = [1] %}{% for i in l %}{% set _ = l.append(i) %}{% endfor %}" },
    { "self call", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}" },
    { "self call by arguments", "{% macro f(x) %}{{ f(f(x)) }}{% endmacro %}{{ f(1) }}" },
    { "caller chain", "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}"
                      "{% call f() %}x{% endcall %}" },
    { "recursive loop", "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}" },
    { "repeated string", "{{ 'x' * 1000000000 }}" },
    { "repeated list", "{{ [1] * 1000000000 }}" },
    { "doubling",
      "{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}"
      "{% endfor %}" },
    { "doubling by format", "{% set ns = namespace(s='x') %}{% for i in range(64) %}"
                            "{% set ns.s = '{0}{0}'.format(ns.s) %}{% endfor %}" },
    { "doubling list",
      "{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}"
      "{% endfor %}" },
    { "shared structure",
      "{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = [ns.s, ns.s] %}"
      "{% endfor %}{{ ns.s }}" },
    { "shared structure as JSON",
      "{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = [ns.s, ns.s] %}"
      "{% endfor %}{{ ns.s | tojson }}" },
    { "shared structures compared",
      "{% set n = namespace(s=[1], t=[1]) %}{% for i in range(64) %}"
      "{% set n.s = [n.s, n.s] %}{% set n.t = [n.t, n.t] %}{% endfor %}{{ n.s == n.t }}" },
    { "list in itself", "{% set l = [] %}{% set _ = l.append(l) %}{{ l | tojson }}" },
    { "wide field", "{{ '%1000000000d' % 1 }}" },
    { "wide field in braces", "{{ '{:1000000000}'.format(1) }}" },
    { "wide text", "{{ 'x'.center(1000000000) }}" },
    { "indent by much", "{{ 'a\\nb' | indent(1000000000) }}" },
    { "JSON indented by much", "{{ [[1]] | tojson(indent=1000000000) }}" },
    { "many slices", "{{ [1] | slice(1000000000) | list }}" },
    { "large batch", "{{ [1] | batch(1000000000, 'x') | list }}" },
    { "replace everywhere", "{% set s = 'x' * 100000 %}{{ s.replace('', s) }}" },
    { "search and search",
      "{% set s = 'x' * 10000000 %}{% for i in range(100000) %}{{ 'y' in s }}{% endfor %}" },
    { "compare and compare", "{% set s = 'x' * 10000000 %}{% set t = 'x' * 10000000 %}"
                             "{% for i in range(100000) %}{{ s == t }}{% endfor %}" },
    { "sort and sort", "{% set l = range(100000) | list %}{% for i in range(100000) %}"
                       "{% set _ = l | sort(reverse=true) %}{% endfor %}" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (sources); i++)
    expect_limit (sources[i].name, sources[i].source);
}

static void
test_deep_syntax (void)
{
  static const struct
  {
    const char *name;
    const char *before;
    const char *unit;
    const char *after;
  } shapes[] = {
    { "parentheses", "{{ ", "(", " }}" },
    { "brackets", "{{ ", "[", " }}" },
    { "braces", "{{ ", "{1:", " }}" },
    { "not", "{{ ", "not ", "1 }}" },
    { "minus", "{{ ", "- ", "1 }}" },
    { "sums", "{{ 1", "+1", " }}" },
    { "powers", "{{ 1", "**1", " }}" },
    { "attributes", "{{ a", ".b", " }}" },
    { "subscripts", "{{ a", "[0]", " }}" },
    { "calls", "{{ a", "()", " }}" },
    { "filters", "{{ a", "|e", " }}" },
    { "tests", "{{ a", " is none and a", " }}" },
    { "conditions", "{{ 1", " if 1 else 1", " }}" },
    { "tags", "", "{% if 1 %}", "" },
    { "loops", "", "{% for a in b %}", "" },
    { "macros", "", "{% macro a() %}", "" },
    { "targets", "{% set ", "(", " = 1 %}" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (shapes); i++)
    {
      g_autofree char *source = repeated (shapes[i].before, shapes[i].unit, 60000, shapes[i].after);

      expect_limit (shapes[i].name, source);
    }
}

/* Depth that real templates have stays within the limits. */
static void
test_reasonable (void)
{
  g_autofree char *parens = repeated ("{{ ", "(", 60, "1");
  g_autofree char *closed = repeated (parens, ")", 60, " }}");
  g_autofree char *chain = repeated ("{{ 'a'", " + 'a'", 150, " }}");
  g_autofree char *branches = repeated ("{% if 0 %}", "{% elif 0 %}", 2000, "{% endif %}x");
  const char *macro = "{% macro f(n) %}{% if n %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}"
                      "{{ f(60) | length }}";
  const char *const sources[] = { closed, chain, branches, macro };

  for (gsize i = 0; i < G_N_ELEMENTS (sources); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *text = render_source (sources[i], &error);

      g_assert_no_error (error);
      g_assert_nonnull (text);
    }
}

static void
expect_text (const char *source, const char *wanted)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = render_source (source, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, wanted);
}

static void
expect_message (const char *source, const char *pattern)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = render_source (source, &error);

  g_assert_null (text);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
  if (!g_pattern_match_simple (pattern, error->message))
    g_error ("%s: \"%s\" does not match \"%s\"", source, error->message, pattern);
}

static void
test_messages (void)
{
  expect_message ("{{ raise_exception('roles must alternate') }}", "roles must alternate");
  expect_message ("a\nb {{ x.y }}", "*line 2*'x' is undefined*");
  expect_message ("{{ {}.a.b }}", "*'dict object' has no attribute 'a'*");
  expect_message ("\n\n{% if %}", "*line 3*");
  expect_message ("{% include 'x' %}", "*'include' is not supported*");
  expect_message ("{{ 1 | nothing }}", "*no filter named 'nothing'*");
  expect_message ("{{ strftime_now('%Y') }}", "*no clock*");
  expect_message ("{{ 9223372036854775807 + 1 }}", "*64 bits*");
  expect_message ("\xff", "*UTF-8*");
}

/* What the suites do not cover. */
static void
test_details (void)
{
  expect_text ("{{ 0.1 + 0.2 }} {{ 1e16 }} {{ 1e-5 }} {{ 123456789012345.0 }} {{ 5e-324 }}",
               "0.30000000000000004 1e+16 1e-05 123456789012345.0 5e-324");
  expect_text ("{{ 7 // -2 }} {{ -7 % 3 }} {{ 7.5 % -2 }} {{ 2 ** 10 }} {{ 2 ** -1 }}",
               "-4 2 -0.5 1024 0.5");
  expect_text ("{{ 2.5 | round }} {{ 2.675 | round(2) }} {{ 25 | round(-1) }} {{ 7 | round }}",
               "2.0 2.67 20 7");
  expect_text ("{{ 'äöü€😀'[1:4] }}{{ 'äöü' | length }}{{ 'straße'.upper() }}", "öü€3STRASSE");
  expect_text ("{{ \"it's\" | list | first }}{{ [\"it's\", 'a\"b', '\\x00\\u2028'] }}",
               "i[\"it's\", 'a\"b', '\\x00\\u2028']");
  expect_text ("{{ 'a' is in 'abc' }}{{ 3 in range(1, 9, 2) }}{{ range(3) }}",
               "TrueTruerange(0, 3)");
  expect_text ("{% set x = [1, 2, 3] | map('string') %}{{ x | join }}{{ x | join }}", "123");
  expect_text ("{% for a in [[1, [2]], [3]] recursive %}{{ loop.depth }}"
               "{% if a is sequence %}{{ loop(a) }}{% else %}{{ a }}{% endif %}{% endfor %}",
               "121232123");
}

/* --- Damage --- */

static void
test_mutations (void)
{
  static const char *const seeds[] = {
    "{%- for m in messages %}{{ '<|' ~ m['role'] ~ '|>' + m.content | trim }}{% endfor -%}\n",
    "{% macro f(a, b=2, *c) %}{{ a[1:b] ~ varargs }}{% endmacro %}{{ f([1, 2.5e3, none], b=1) }}",
    "{% set ns = namespace(x={'a': [1, (2,)]}) %}{% if ns.x.a is defined and not 1 > 2 %}"
    "{{ ns.x | tojson(indent=2) }}{% elif false %}{# c #}{% else %}{% raw %}{{{% endraw %}"
    "{% endif %}",
    "{% call(x) g() %}{% filter upper %}{{ x }}{% endfilter %}{% endcall %}{% set a %}b{% endset "
    "%}",
    "{{ '%05.2f|%-5s' % (1.5, 'x') }}{{ '{0:>8}{a!r}'.format(1, a='\\u00e9') }}"
    "{{ [3, 1] | sort(reverse=true) | map('string') | select('ne', '1') | list }}",
  };
  static const char pool[] = "{%-+#}|()[]'\"\\.,:=~*/<>!\n e0x_1aif";
  g_autoptr (GRand) random = g_rand_new_with_seed (20250710);
  AtlJinjaLimits limits = { .max_steps = 20000, .max_memory = 4 << 20 };
  guint n = 0;

  for (; n < 40000; n++)
    {
      GString *text = g_string_new (seeds[g_rand_int_range (random, 0, G_N_ELEMENTS (seeds))]);
      int n_edits = g_rand_int_range (random, 1, 6);
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlJinja) jinja = NULL;
      AtlJinjaOptions options = { .trim_blocks = n & 1, .lstrip_blocks = (n >> 1) & 1 };

      for (int i = 0; i < n_edits && text->len > 1; i++)
        {
          gsize at = (gsize) g_rand_int_range (random, 0, (gint32) text->len);
          gsize from = (gsize) g_rand_int_range (random, 0, (gint32) text->len);

          switch (g_rand_int_range (random, 0, 4))
            {
            case 0:
              g_string_erase (text, (gssize) at, 1);
              break;
            case 1:
              g_string_insert_c (text, (gssize) at,
                                 pool[g_rand_int_range (random, 0, sizeof pool - 1)]);
              break;
            case 2:
              text->str[at] = (char) g_rand_int_range (random, 1, 256);
              break;
            default:
              {
                g_autofree char *piece = g_strndup (text->str + from, MIN (12, text->len - from));

                g_string_insert (text, (gssize) at, piece);
              }
            }
        }
      jinja = atl_jinja_parse (text->str, (gssize) text->len, &options, &error);
      if (jinja != NULL)
        {
          g_autofree char *out = atl_jinja_render (jinja, NULL, &limits, NULL, &error);

          g_assert_true ((out == NULL) == (error != NULL));
        }
      else
        g_assert_nonnull (error);
      g_string_free (text, TRUE);
    }
  g_test_message ("%u damaged templates", n);
}

int
main (int argc, char *argv[])
{
  static const char *const files[] = { "huggingface-js", "llama-cpp", "minja", "robustness" };

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    add_file (files[i]);
  g_test_add_func ("/jinja/limits", test_limits);
  g_test_add_func ("/jinja/deep-syntax", test_deep_syntax);
  g_test_add_func ("/jinja/reasonable", test_reasonable);
  g_test_add_func ("/jinja/messages", test_messages);
  g_test_add_func ("/jinja/details", test_details);
  g_test_add_func ("/jinja/mutations", test_mutations);
  return g_test_run ();
}
