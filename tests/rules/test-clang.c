/* Clang reads the loops that are written for vectors, too: the guided fuzz targets of
 * tests/reliability/run are built with it, and what gcc alone has (`shuffle.h`) would be noticed
 * there only. Nothing is compiled but for its faults. */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>

#define FOLDER "src/engine/tensor/cpu/"

/* PoCL brings one, whose name has its number. */
static char *
find_clang (void)
{
  static const char *const names[] = { "clang",    "clang-14", "clang-15", "clang-16",
                                       "clang-17", "clang-18", "clang-19", NULL };

  for (guint i = 0; names[i] != NULL; i++)
    {
      char *path = g_find_program_in_path (names[i]);

      if (path != NULL)
        return path;
    }
  return NULL;
}

/* What decides how a file is read: folders, macros and instructions. */
static gboolean
is_for_reading (const char *word)
{
  return g_str_has_prefix (word, "-I") || g_str_has_prefix (word, "-D") ||
         g_str_has_prefix (word, "-m") || g_str_has_prefix (word, "-std=");
}

static gint
by_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* The files of FOLDER by the options that they have in common, [options: files]. */
static GHashTable *
read_commands (const char *build)
{
  g_autofree char *path = g_build_filename (build, "compile_commands.json", NULL);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  GHashTable *groups =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_ptr_array_unref);
  JsonArray *commands;

  json_parser_load_from_file (parser, path, &error);
  g_assert_no_error (error);
  commands = json_node_get_array (json_parser_get_root (parser));
  for (guint i = 0; i < json_array_get_length (commands); i++)
    {
      JsonObject *entry = json_array_get_object_element (commands, i);
      const char *file = json_object_get_string_member (entry, "file");
      g_autoptr (GPtrArray) options = g_ptr_array_new ();
      g_autofree char *joined = NULL;
      g_auto (GStrv) words = NULL;
      GPtrArray *files;

      if (strstr (file, FOLDER) == NULL || !g_str_has_suffix (file, ".c"))
        continue;
      g_shell_parse_argv (json_object_get_string_member (entry, "command"), NULL, &words, &error);
      g_assert_no_error (error);
      for (guint k = 0; words[k] != NULL; k++)
        if (is_for_reading (words[k]))
          g_ptr_array_add (options, words[k]);
      g_ptr_array_add (options, NULL);
      joined = g_strjoinv ("\n", (char **) options->pdata);
      files = g_hash_table_lookup (groups, joined);
      if (files == NULL)
        {
          files = g_ptr_array_new_with_free_func (g_free);
          g_hash_table_insert (groups, g_steal_pointer (&joined), files);
        }
      g_ptr_array_add (files, g_strdup (file));
    }
  return groups;
}

/* Whether clang reads all `files` with these options; says what it found. */
static gboolean
reads (const char *clang, const char *build, const char *options, GPtrArray *files)
{
  g_auto (GStrv) words = g_strsplit (options, "\n", -1);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GSubprocessLauncher) launcher =
      g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *output = NULL;

  g_ptr_array_add (argv, (gpointer) clang);
  g_ptr_array_add (argv, (gpointer) "-fsyntax-only");
  /* Warnings are gcc's to give. */
  g_ptr_array_add (argv, (gpointer) "-w");
  for (guint i = 0; words[i] != NULL; i++)
    g_ptr_array_add (argv, words[i]);
  for (guint i = 0; i < files->len; i++)
    g_ptr_array_add (argv, files->pdata[i]);
  g_ptr_array_add (argv, NULL);
  g_subprocess_launcher_set_cwd (launcher, build);
  process = g_subprocess_launcher_spawnv (launcher, (const char *const *) argv->pdata, &error);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (process, NULL, NULL, NULL, &output, &error);
  g_assert_no_error (error);
  if (g_subprocess_get_successful (process))
    return TRUE;
  g_test_message ("%s", output);
  return FALSE;
}

static void
test_kernels (void)
{
  g_autofree char *clang = find_clang ();
  g_autofree char *build = g_build_filename (g_getenv ("G_TEST_BUILDDIR"), "..", NULL);
  g_autoptr (GHashTable) groups = read_commands (build);
  GHashTableIter iter;
  gpointer options, files;
  guint n_files = 0, n_wrong = 0;

  if (clang == NULL)
    {
      g_test_skip ("clang is not installed: whether it reads the kernels was not checked");
      return;
    }
  g_hash_table_iter_init (&iter, groups);
  while (g_hash_table_iter_next (&iter, &options, &files))
    {
      g_ptr_array_sort (files, by_text);
      n_files += ((GPtrArray *) files)->len;
      n_wrong += !reads (clang, build, options, files);
    }
  g_assert_cmpuint (n_files, >=, 20);
  g_assert_cmpuint (n_wrong, ==, 0);
}

/* What a word of gcc's only is to it. */
static void
test_notices (void)
{
  g_autofree char *clang = find_clang ();
  g_autofree char *folder = g_dir_make_tmp ("atelier-clang-XXXXXX", NULL);
  g_autofree char *file = g_build_filename (folder, "a.c", NULL);
  g_autoptr (GPtrArray) files = g_ptr_array_new ();
  static const char text[] = "typedef int V __attribute__ ((vector_size (16)));\n"
                             "V turn (V a, V by) { return __builtin_shuffle (a, by); }\n";

  g_assert_true (g_file_set_contents (file, text, -1, NULL));
  g_ptr_array_add (files, file);
  if (clang == NULL)
    g_test_skip ("clang is not installed");
  else
    g_assert_false (reads (clang, folder, "-std=gnu11", files));
  g_unlink (file);
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rules/clang/notices", test_notices);
  g_test_add_func ("/rules/clang/kernels", test_kernels);
  return g_test_run ();
}
