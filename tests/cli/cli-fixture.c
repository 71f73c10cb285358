/* Running atelier-cli, and looking at what it left. */
#include "cli-fixture.h"

#include <stdarg.h>
#include <string.h>

void
cli_result_clear (CliResult *self)
{
  g_clear_pointer (&self->out, g_free);
  g_clear_pointer (&self->err, g_free);
}

/* What `first` holds, then the list's. */
static void
run (CliResult *result, const char *input, GPtrArray *args, va_list list)
{
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  const char *arg;

  while ((arg = va_arg (list, const char *)) != NULL)
    g_ptr_array_add (args, (gpointer) arg);
  g_ptr_array_add (args, NULL);
  process = g_subprocess_newv ((const char *const *) args->pdata,
                               G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE |
                                   G_SUBPROCESS_FLAGS_STDERR_PIPE,
                               &error);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (process, input != NULL ? input : "", NULL, &result->out,
                                 &result->err, &error);
  g_assert_no_error (error);
  result->status =
      g_subprocess_get_if_exited (process) ? g_subprocess_get_exit_status (process) : -1;
}

void
cli_run (CliResult *result, const char *input, ...)
{
  g_autoptr (GPtrArray) args = g_ptr_array_new ();
  va_list list;

  g_ptr_array_add (args, (gpointer) g_getenv ("ATELIER_CLI"));
  va_start (list, input);
  run (result, input, args, list);
  va_end (list);
}

void
cli_image (CliResult *result, const char *model, ...)
{
  g_autoptr (GPtrArray) args = g_ptr_array_new ();
  va_list list;

  g_ptr_array_add (args, (gpointer) g_getenv ("ATELIER_CLI"));
  g_ptr_array_add (args, (gpointer) "image");
  if (model != NULL)
    {
      g_ptr_array_add (args, (gpointer) "--model");
      g_ptr_array_add (args, (gpointer) model);
    }
  va_start (list, model);
  run (result, NULL, args, list);
  va_end (list);
}

char *
cli_images_begin (void)
{
  g_autofree char *folder = g_dir_make_tmp ("atelier-image-XXXXXX", NULL);
  g_autofree char *script =
      g_build_filename (g_getenv ("ATELIER_SOURCE"), "tests", "golden", "unpack", NULL);
  const char *argv[] = { script, folder, "sd15", "upscale", "wan21", NULL };
  g_autoptr (GError) error = NULL;
  int status;

  g_assert_nonnull (folder);
  g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status,
                &error);
  g_assert_no_error (error);
  g_assert_true (g_spawn_check_wait_status (status, NULL));
  return g_steal_pointer (&folder);
}

void
cli_images_end (char *folder)
{
  g_autofree char *remove = g_strdup_printf ("rm -r '%s'", folder);

  g_spawn_command_line_sync (remove, NULL, NULL, NULL, NULL);
  g_free (folder);
}

char *
cli_printed_path (const CliResult *result)
{
  g_assert_cmpstr (result->err, ==, "");
  g_assert_cmpint (result->status, ==, 0);
  g_assert_true (g_str_has_suffix (result->out, "\n"));
  g_assert_null (memchr (result->out, '\n', strlen (result->out) - 1));
  return g_strndup (result->out, strlen (result->out) - 1);
}

GBytes *
cli_file_bytes (const char *path)
{
  g_autoptr (GError) error = NULL;
  char *data;
  gsize size;

  g_file_get_contents (path, &data, &size, &error);
  g_assert_no_error (error);
  return g_bytes_new_take (data, size);
}

AtlPicture *
cli_read_picture (const char *path)
{
  g_autoptr (GBytes) bytes = cli_file_bytes (path);
  g_autoptr (GError) error = NULL;
  AtlPicture *picture = atl_picture_decode (g_bytes_get_data (bytes, NULL),
                                            g_bytes_get_size (bytes), 1 << 20, &error);

  g_assert_no_error (error);
  return picture;
}
