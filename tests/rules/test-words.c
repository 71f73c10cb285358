/* Sentences for people: every file that has some is known to the translators, and every language
 * has all of them. */
#include <gio/gio.h>

#include "source-files.h"

static const char *const endings[] = { ".c", ".h", NULL };

static gboolean
has_words (const char *text)
{
  g_autoptr (GRegex) marks = g_regex_new ("\\b(_|N_|C_|NC_|gettext|ngettext)\\s*\\(\\s*\"",
                                          G_REGEX_DEFAULT, G_REGEX_MATCH_DEFAULT, NULL);

  return g_regex_match (marks, text, G_REGEX_MATCH_DEFAULT, NULL);
}

static void
test_files (void)
{
  gsize size;
  g_autofree char *list = read_source ("po/POTFILES", &size);
  g_auto (GStrv) known = g_strsplit (list, "\n", -1);
  g_autoptr (GPtrArray) files = source_files ("src", endings);
  guint n_wrong = 0;

  g_assert_true (has_words ("puts (_ (\"x\"))"));
  g_assert_true (has_words ("ngettext (\"a\", \"b\", n)"));
  g_assert_false (has_words ("x_ (\"a\") _ (variable)"));
  for (guint i = 0; i < files->len; i++)
    {
      g_autofree char *text = read_source (files->pdata[i], &size);

      if (has_words (text) && !g_strv_contains ((const char *const *) known, files->pdata[i]))
        {
          g_test_message ("po/POTFILES lacks %s", (char *) files->pdata[i]);
          n_wrong++;
        }
    }
  for (guint i = 0; known[i] != NULL; i++)
    {
      g_autofree char *path = g_build_filename (source_dir (), known[i], NULL);

      if (*known[i] != '\0' && *known[i] != '#' && !g_file_test (path, G_FILE_TEST_EXISTS))
        {
          g_test_message ("po/POTFILES names %s, which is not there", known[i]);
          n_wrong++;
        }
    }
  g_assert_cmpuint (n_wrong, ==, 0);
}

/* msgfmt also compares the placeholders of each translation with the original's. */
static void
test_language (gconstpointer language)
{
  g_autofree char *program = g_find_program_in_path ("msgfmt");
  g_autofree char *path = g_strdup_printf ("%s/po/%s.po", source_dir (), (const char *) language);
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *words = NULL;

  if (program == NULL)
    {
      g_test_skip ("msgfmt is not installed: the translations were not checked");
      return;
    }
  process = g_subprocess_new (G_SUBPROCESS_FLAGS_STDERR_PIPE, &error, program, "--check",
                              "--statistics", "-o", "/dev/null", path, NULL);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (process, NULL, NULL, NULL, &words, &error);
  g_assert_no_error (error);
  g_test_message ("%s", words);
  g_assert_true (g_subprocess_get_successful (process));
  g_assert_null (strstr (words, "untranslated"));
  g_assert_null (strstr (words, "fuzzy"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/words/files", test_files);
  g_test_add_data_func ("/words/de", "de", test_language);
  g_test_add_data_func ("/words/fr", "fr", test_language);
  return g_test_run ();
}
