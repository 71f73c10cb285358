/* A fuzz target with libFuzzer, which keeps what reaches new code and goes on from there:
 *   fuzz-gguf FOLDER [OPTION...]
 * Before it begins, the target's seeds are written to FOLDER (once) and its words to a dictionary
 * beside it. `tests/reliability/run fuzz` builds and starts these programs. */
#include "fuzz.h"

#include <stdio.h>
#include <string.h>

#include "seeds.h"

static void
write_seeds (const char *folder)
{
  g_autoptr (GPtrArray) seeds = atl_fuzz_seeds (&atl_fuzz_target);

  for (guint i = 0; i < seeds->len; i++)
    {
      g_autofree char *name = g_strdup_printf ("seed-%03u", i);
      g_autofree char *path = g_build_filename (folder, name, NULL);
      gsize size;
      const char *bytes = g_bytes_get_data (seeds->pdata[i], &size);

      if (!g_file_test (path, G_FILE_TEST_EXISTS))
        g_file_set_contents (path, bytes, (gssize) size, NULL);
    }
}

static void
write_words (const char *path)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (const AtlFuzzBytes *word = atl_fuzz_target.words; word->bytes != NULL; word++)
    {
      g_string_append_c (text, '"');
      for (gsize i = 0; i < word->size; i++)
        g_string_append_printf (text, "\\x%02x", (guint8) word->bytes[i]);
      g_string_append (text, "\"\n");
    }
  g_file_set_contents (path, text->str, (gssize) text->len, NULL);
}

int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  char *test_argv[] = { (*argv)[0], NULL }, **test_args = test_argv;
  int test_argc = 1;
  g_autofree char *words = NULL;
  char **longer;

  g_test_init (&test_argc, &test_args, NULL);
  if (*argc < 2 || (*argv)[1][0] == '-')
    return 0;
  write_seeds ((*argv)[1]);
  words = g_strconcat ((*argv)[1], ".dict", NULL);
  write_words (words);
  /* libFuzzer keeps the vector as long as it runs. */
  longer = g_new0 (char *, *argc + 2);
  memcpy (longer, *argv, (gsize) *argc * sizeof *longer);
  longer[*argc] = g_strconcat ("-dict=", words, NULL);
  (*argc)++;
  *argv = longer;
  return 0;
}
