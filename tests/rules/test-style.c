/* House style as far as a program can see it: an opening comment, which in public headers says what
 * threads may do, length, tabs, clang-format. */
#include <gio/gio.h>

#include "source-files.h"

#define MAX_LINES 600
#define MAX_COLUMNS 100

static const char *const code_endings[] = { ".c", ".h", ".cl", NULL };

/* Files that hold mostly data may be longer. */
static gboolean
is_table (const char *relative)
{
  g_autofree char *base = g_path_get_basename (relative);

  return strstr (base, "table") != NULL || strstr (base, "-data") != NULL ||
         strstr (base, "unicode") != NULL;
}

/* clang-format sees to the others, and leaves comments as they are: it would run the lines of a
 * formula into each other. */
static gboolean
is_long_comment (const char *relative, const char *line)
{
  const char *start = line + strspn (line, " ");

  return !g_str_has_suffix (relative, ".cl") && (g_str_has_prefix (start, "/*") || *start == '*') &&
         g_utf8_strlen (line, -1) > MAX_COLUMNS;
}

static gboolean
is_public_header (const char *relative)
{
  return g_str_has_prefix (relative, "src/") && g_str_has_suffix (relative, ".h") &&
         !g_str_has_suffix (relative, "-private.h");
}

static guint
check_text (const char *relative, const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  guint n_lines = g_strv_length (lines), n_wrong = 0;

  if (!g_str_has_prefix (text, "/*") && !g_str_has_prefix (text, "//"))
    {
      g_test_message ("%s: does not open with a comment that says what it is for", relative);
      n_wrong++;
    }
  if (is_public_header (relative) && strstr (text, "hread") == NULL)
    {
      g_test_message ("%s: does not say what threads may do with it", relative);
      n_wrong++;
    }
  if (n_lines > MAX_LINES + 1 && !is_table (relative))
    {
      g_test_message ("%s: %u lines, at most %d", relative, n_lines - 1, MAX_LINES);
      n_wrong++;
    }
  for (guint i = 0; lines[i] != NULL; i++)
    {
      gsize length = strlen (lines[i]);

      if (strchr (lines[i], '\t') != NULL || (length > 0 && lines[i][length - 1] == ' ') ||
          (length > 0 && lines[i][length - 1] == '\r'))
        {
          g_test_message ("%s:%u: a tab, or white space at the end", relative, i + 1);
          n_wrong++;
        }
      if (is_long_comment (relative, lines[i]))
        {
          g_test_message ("%s:%u: a comment of more than %d columns", relative, i + 1, MAX_COLUMNS);
          n_wrong++;
        }
    }
  return n_wrong;
}

static void
test_shape (gconstpointer folder)
{
  g_autoptr (GPtrArray) files = source_files (folder, code_endings);
  guint n_wrong = 0;

  g_assert_cmpuint (files->len, >, 0);
  for (guint i = 0; i < files->len; i++)
    {
      gsize size;
      g_autofree char *text = read_source (files->pdata[i], &size);

      n_wrong += check_text (files->pdata[i], text);
    }
  if (n_wrong > 0)
    g_test_fail_printf ("%u things to tidy", n_wrong);
}

static void
test_checker (void)
{
  g_autofree char *blank = g_strnfill (MAX_LINES + 1, '\n');
  g_autofree char *long_text = g_strconcat ("/* x */", blank, NULL);
  g_autofree char *filled = g_strnfill (MAX_COLUMNS, 'x');
  g_autofree char *long_comment = g_strconcat ("/* x\n * ", filled, " */\n", NULL);

  g_assert_cmpuint (check_text ("a.c", "/* x */\nint a;\n"), ==, 0);
  g_assert_cmpuint (check_text ("a.c", "int a;\n"), ==, 1);
  g_assert_cmpuint (check_text ("a.c", "/* x */\n\tint a;\n"), ==, 1);
  g_assert_cmpuint (check_text ("a.c", "/* x */\nint a; \n"), ==, 1);
  g_assert_cmpuint (check_text ("a.c", long_text), ==, 1);
  g_assert_cmpuint (check_text ("a.c", long_comment), ==, 1);
  g_assert_cmpuint (check_text ("a.cl", long_comment), ==, 0);
  g_assert_cmpuint (check_text ("a-table.c", long_text), ==, 0);
  g_assert_cmpuint (check_text ("src/a.h", "/* x */\n"), ==, 1);
  g_assert_cmpuint (check_text ("src/a.h", "/* x\n *\n * Threading: any.\n */\n"), ==, 0);
  g_assert_cmpuint (check_text ("src/a-private.h", "/* x */\n"), ==, 0);
}

/* One run of clang-format over all files of a folder. Other versions lay code out differently, so
 * only the one of Debian 12 judges. */
static void
test_format (gconstpointer folder)
{
  static const char *const endings[] = { ".c", ".h", NULL };
  g_autofree char *program = g_find_program_in_path ("clang-format");
  g_autoptr (GPtrArray) files = source_files (folder, endings);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GSubprocessLauncher) launcher = NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *version = NULL, *command = NULL, *output = NULL;

  if (program == NULL)
    {
      g_test_skip ("clang-format is not installed: the layout was not checked");
      return;
    }
  command = g_strdup_printf ("%s --version", program);
  g_spawn_command_line_sync (command, &version, NULL, NULL, NULL);
  if (version == NULL || strstr (version, "version 14.") == NULL)
    {
      g_test_skip ("clang-format 14 is not installed: the layout was not checked");
      return;
    }
  g_assert_cmpuint (files->len, >, 0);
  g_ptr_array_add (argv, program);
  g_ptr_array_add (argv, (gpointer) "--dry-run");
  g_ptr_array_add (argv, (gpointer) "-Werror");
  g_ptr_array_add (argv, (gpointer) "--ferror-limit=1");
  for (guint i = 0; i < files->len; i++)
    g_ptr_array_add (argv, files->pdata[i]);
  g_ptr_array_add (argv, NULL);
  launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_subprocess_launcher_set_cwd (launcher, source_dir ());
  process = g_subprocess_launcher_spawnv (launcher, (const char *const *) argv->pdata, &error);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (process, NULL, NULL, NULL, &output, &error);
  g_assert_no_error (error);
  if (g_subprocess_get_exit_status (process) != 0)
    {
      g_auto (GStrv) lines = g_strsplit (output, "\n", -1);

      for (guint i = 0; lines[i] != NULL; i++)
        if (strstr (lines[i], "error:") != NULL)
          g_test_message ("%s", lines[i]);
    }
  if (g_subprocess_get_exit_status (process) != 0)
    g_test_fail_printf ("clang-format -i is needed");
}

int
main (int argc, char **argv)
{
  g_autoptr (GPtrArray) folders = NULL;

  g_test_init (&argc, &argv, NULL);
  g_test_set_nonfatal_assertions ();
  folders = source_folders ("src");
  g_ptr_array_add (folders, g_strdup ("tests"));
  g_test_add_func ("/rules/style/checker", test_checker);
  for (guint i = 0; i < folders->len; i++)
    {
      const char *folder = folders->pdata[i];
      g_autofree char *shape = g_strconcat ("/rules/style/shape/", folder, NULL);
      g_autofree char *format = g_strconcat ("/rules/style/format/", folder, NULL);

      g_test_add_data_func (shape, folder, test_shape);
      g_test_add_data_func (format, folder, test_format);
    }
  return g_test_run ();
}
