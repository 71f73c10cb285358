/* The tokenize command on a tokenizer written here: what it prints, and what it returns. */
#include <glib/gstdio.h>
#include <string.h>

#include "engine/tools/tokenize.h"

#include "tokenizers/tiny-tokenizers.h"

/* Made and removed by the parent; the children that print get it by the environment. */
#define FILE_VARIABLE "ATELIER_TEST_TOKENIZE"
static const char *model;

static void
test_prints (gconstpointer data)
{
  const char *const *arguments = data;

  if (g_test_subprocess ())
    {
      char *argv[8] = { (char *) "tokenize" };
      int argc = 1;

      for (; arguments[argc - 1] != NULL; argc++)
        argv[argc] =
            (char *) (strcmp (arguments[argc - 1], "MODEL") == 0 ? model : arguments[argc - 1]);
      g_assert_cmpint (atl_tool_tokenize (argc, argv), ==, 0);
      return;
    }
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_passed ();
  while (*arguments != NULL)
    arguments++;
  g_test_trap_assert_stdout (arguments[1]);
}

static void
test_refused (gconstpointer data)
{
  if (g_test_subprocess ())
    {
      char *missing[] = { (char *) "tokenize", (char *) "/nonexistent/m.gguf", (char *) "x", NULL };
      char *arguments[] = { (char *) "tokenize", (char *) "--ids", (char *) "--json",
                            (char *) model, NULL };

      if (g_str_equal (data, "missing"))
        g_assert_cmpint (atl_tool_tokenize (3, missing), ==, 1);
      else
        g_assert_cmpint (atl_tool_tokenize (4, arguments), ==, 2);
      return;
    }
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_passed ();
  g_test_trap_assert_stderr (g_str_equal (data, "missing") ? "*m.gguf*\n"
                                                           : "Usage: atelier-cli tokenize*\n");
}

int
main (int argc, char **argv)
{
  /* The arguments, NULL, and what they print. */
  static const char *const words[] = { "MODEL", "abc \n\xc3\xa9", NULL,
                                       "    11  <|im_end|>\n     6  abc\n     3   \n    10  "
                                       "\xc3\xa9\n" };
  static const char *const ids[] = { "--ids", "--no-special", "MODEL", "abc ab", NULL, "6 3 4\n" };
  static const char *const special[] = { "--ids", "--parse-special", "MODEL", "a<|im_end|>",
                                         NULL,    "11 0 11\n" };
  static const char *const json[] = { "--json", "MODEL", "ab", NULL,
                                      "{\"kind\":\"BPE (byte level)\",\"n_vocab\":13,\"warning\":"
                                      "null,\"ids\":[11,4],\"pieces\":[\"<|im_end|>\",\"ab\"]}\n" };
  g_autofree char *made = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  if (!g_test_subprocess ())
    {
      int fd = g_file_open_tmp ("atelier-tokenize-XXXXXX.json", &made, NULL);

      g_assert_cmpint (fd, >=, 0);
      g_close (fd, NULL);
      g_assert_true (g_file_set_contents (made, tiny_json[0], -1, NULL));
      g_setenv (FILE_VARIABLE, made, TRUE);
    }
  model = g_getenv (FILE_VARIABLE);
  g_assert_nonnull (model);
  g_test_add_data_func ("/tools/tokenize/words", words, test_prints);
  g_test_add_data_func ("/tools/tokenize/ids", ids, test_prints);
  g_test_add_data_func ("/tools/tokenize/special", special, test_prints);
  g_test_add_data_func ("/tools/tokenize/json", json, test_prints);
  g_test_add_data_func ("/tools/tokenize/missing", "missing", test_refused);
  g_test_add_data_func ("/tools/tokenize/arguments", "arguments", test_refused);
  status = g_test_run ();
  if (made != NULL)
    g_unlink (made);
  return status;
}
