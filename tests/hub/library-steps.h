/* What the tests of the library of models have in common: a home folder of the program's own, files
 * in it, and what a scan says of it. Each program includes it once. */
#pragma once

#include "rough-server.h"

#include "base/error.h"
#include "hub/library.h"

static char *home; /* of the whole program: GLib reads the variables once */

static inline char *
put (const char *relative, const char *text)
{
  char *path = g_build_filename (home, relative, NULL);
  g_autofree char *folder = g_path_get_dirname (path);

  g_assert_cmpint (g_mkdir_with_parents (folder, 0755), ==, 0);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  return path;
}

static inline void
put_quietly (const char *relative, const char *text)
{
  g_free (put (relative, text));
}

static inline void
set_up (void)
{
  g_autofree char *models = g_strdup (atl_library_dir ());

  g_assert_true (g_str_has_prefix (models, home));
  remove_tree (home);
  g_assert_cmpint (g_mkdir_with_parents (home, 0700), ==, 0);
}

/* "name size files/expected", one a line. */
static inline char *
models_text (GPtrArray *models)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < models->len; i++)
    {
      const AtlModelFile *m = models->pdata[i];

      g_string_append_printf (out, "%s%s %d %u/%u%s", i > 0 ? "\n" : "", m->name,
                              (int) m->size_bytes, m->n_files, m->n_expected,
                              m->reference ? " ref" : "");
    }
  return g_string_free (out, FALSE);
}

static inline void
expect_scan (const char *folder, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) models = atl_library_scan (folder, NULL, &error);
  g_autofree char *text = NULL;

  g_assert_no_error (error);
  text = models_text (models);
  g_assert_cmpstr (text, ==, expected);
}

typedef struct
{
  GMainLoop *loop;
  char *path;
  GError *error;
} Wait;

static inline void
added_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Wait *wait = data;

  wait->path = atl_library_add_finish (result, &wait->error);
  g_main_loop_quit (wait->loop);
}

static inline char *
add (const char *path, AtlAddMode mode, GCancellable *cancellable, GError **error)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  Wait wait = { .loop = loop };

  atl_library_add_async (path, mode, NULL, NULL, cancellable, added_cb, &wait);
  g_main_loop_run (loop);
  if (wait.error != NULL)
    g_propagate_error (error, wait.error);
  return wait.path;
}

static inline void
library_home_init (int *argc, char ***argv)
{
  g_autofree char *data = NULL, *cache = NULL, *ollama = NULL;

  home = g_dir_make_tmp ("atelier-home-XXXXXX", NULL);
  data = g_build_filename (home, "data", NULL);
  cache = g_build_filename (home, "cache", NULL);
  ollama = g_build_filename (home, "ollama", NULL);
  g_setenv ("HOME", home, TRUE);
  g_setenv ("XDG_DATA_HOME", data, TRUE);
  g_setenv ("XDG_CACHE_HOME", cache, TRUE);
  g_setenv ("OLLAMA_MODELS", ollama, TRUE);
  g_unsetenv ("HF_HOME");
  g_test_init (argc, argv, NULL);
}

static inline void
library_home_clear (void)
{
  remove_tree (home);
  g_clear_pointer (&home, g_free);
}
