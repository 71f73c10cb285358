/* Any text as a chat template: refused in words, or a prompt of valid UTF-8 within its limits. */
#include <string.h>

#include "engine/tokenizers/chat-template.h"
#include "engine/tokenizers/jinja.h"
#include "fuzz.h"

static const AtlFuzzBytes seeds[] = {
  ATL_FUZZ_BYTES ("{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m.content | trim "
                  "}}{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}"
                  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"),
  ATL_FUZZ_BYTES ("{%- macro f(a, b=[1, 2]) -%}{{ a ~ b[::-1] }}{%- endmacro -%}"
                  "{% set ns = namespace(n=0) %}{% for k, v in {'a': 1, 'b': 2.5}.items() %}"
                  "{% set ns.n = ns.n + v %}{{ f(k) }}{% endfor %}{{ ns.n | round(1) }}"),
  ATL_FUZZ_BYTES (
      "{% if tools %}{{ tools | tojson(indent=2) }}{% elif messages[0].role != 'user' %}"
      "{{ raise_exception('no') }}{% else %}{{ messages | map(attribute='role') | join("
      "', ') }}{{ strftime_now('%d %B %Y') }}{% endif %}"),
  ATL_FUZZ_BYTES ("{{ messages | selectattr('role', 'equalto', 'user') | list | length }}"
                  "{{ 'a,b'.split(',')[-1] * 3 }}{{ (1 if x is defined else 2) // 2 ** 3 % 5 }}"
                  "{% filter upper %}x{% endfilter %}{# c #}{{ \"%s\" | format(1) }}"),
  { NULL, 0 },
};

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES ("{{ "),
  ATL_FUZZ_BYTES (" }}"),
  ATL_FUZZ_BYTES ("{%- "),
  ATL_FUZZ_BYTES (" -%}"),
  ATL_FUZZ_BYTES ("{% for i in range(99999999) %}"),
  ATL_FUZZ_BYTES ("{% endfor %}"),
  ATL_FUZZ_BYTES (" ** 9999 "),
  ATL_FUZZ_BYTES (" * 999999999 "),
  ATL_FUZZ_BYTES ("(((((((("),
  ATL_FUZZ_BYTES ("[[[[[[[["),
  ATL_FUZZ_BYTES ("-9223372036854775808 "),
  ATL_FUZZ_BYTES (" // 0 "),
  ATL_FUZZ_BYTES ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
  ATL_FUZZ_BYTES ("[::-1]"),
  ATL_FUZZ_BYTES ("|sort"),
  ATL_FUZZ_BYTES ("|tojson(indent=99999)"),
  ATL_FUZZ_BYTES ("|batch(0)"),
  ATL_FUZZ_BYTES (".replace('', 'x')"),
  ATL_FUZZ_BYTES (".items()"),
  ATL_FUZZ_BYTES ("loop.previtem"),
  { NULL, 0 },
};

const AtlFuzzTarget atl_fuzz_target = { "template", "chat-templates/templates", ".jinja", seeds,
                                        words };

static void
check_words (const GError *error)
{
  g_assert_nonnull (error);
  g_assert_true (error->domain == ATL_ERROR);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const AtlJinjaLimits limits = { .max_steps = 100000,
                                         .max_memory = 8 << 20,
                                         .max_output = 1 << 20 };
  g_autofree char *text = g_strndup (size > 0 ? (const char *) data : "", size);
  g_autoptr (AtlChatTemplate) chat = NULL;
  g_autoptr (AtlJinja) jinja = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *prompt = NULL, *plain = NULL;

  jinja = atl_jinja_parse (text, -1, &(AtlJinjaOptions){ .trim_blocks = size % 2 }, &error);
  if (jinja == NULL)
    {
      check_words (error);
      return 0;
    }
  plain = atl_jinja_render (jinja, NULL, &limits, NULL, &error);
  if (plain == NULL)
    check_words (error);
  else
    g_assert_true (g_utf8_validate (plain, -1, NULL));
  g_clear_error (&error);

  /* Its probes render with the limits of everyday, which takes long; so only now and then. */
  if (size % 16 != 0)
    return 0;
  chat = atl_chat_template_new (text, "<s>", "</s>", &error);
  if (chat == NULL)
    {
      check_words (error);
      return 0;
    }
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  g_assert_true (json_parser_load_from_data (
      parser,
      "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"u\"},"
      "{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"v\"}]",
      -1, NULL));
  prompt = atl_chat_template_render (chat, json_node_get_array (json_parser_get_root (parser)),
                                     NULL, NULL, TRUE, NULL, &error);
  if (prompt == NULL)
    check_words (error);
  else
    g_assert_true (g_utf8_validate (prompt, -1, NULL));
  return 0;
}
