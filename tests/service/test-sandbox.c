/* The engine tries every forbidden act from inside its own lock; each must be denied, and what it
 * needs must go on working. */
#include <gio/gio.h>
#include <string.h>

static void
test_probe (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) probe = g_subprocess_new (
      G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error, g_getenv ("ATELIER_ENGINE"), "--probe-sandbox", NULL);
  g_autofree char *output = NULL;
  g_auto (GStrv) lines = NULL;
  guint n_denied = 0, n_allowed = 0, n_missing = 0, n_working = 0;

  g_assert_no_error (error);
  g_assert_true (g_subprocess_communicate_utf8 (probe, NULL, NULL, &output, NULL, &error));
  lines = g_strsplit (output, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    {
      g_test_message ("%s", *line);
      n_denied += g_str_has_prefix (*line, "denied: ");
      n_allowed += g_str_has_prefix (*line, "ALLOWED: ");
      n_working += g_str_has_prefix (*line, "works: ");
      n_missing += g_str_has_prefix (*line, "not lockable here: ");
    }
  g_assert_cmpuint (n_allowed, ==, 0);
  g_assert_cmpuint (n_denied + n_missing, ==, 31);
  g_assert_cmpuint (n_working, ==, 1);
  g_assert_true (g_subprocess_get_successful (probe));
  if (n_missing > 0)
    g_test_message ("%u acts need Landlock, which this kernel lacks", n_missing);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sandbox/probe", test_probe);
  return g_test_run ();
}
