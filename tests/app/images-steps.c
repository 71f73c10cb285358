/* A model that draws, and pictures asked from it. */
#include "images-steps.h"

#include "app/images/images-page.h"
#include "app/words.h"
#include "atelier-config.h"

#define WAIT_S 60

char *app_models_dir;

char *
app_draw_model (void)
{
  return g_build_filename (app_models_dir, "sd15", "model", NULL);
}

/* `archives` (nullable): the folder that they are in. */
static void
unpack_from (const char *archives, const char *const *families)
{
  g_autofree char *script =
      g_build_filename (g_getenv ("ATELIER_SOURCE"), "tests", "golden", "unpack", NULL);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GError) error = NULL;
  int status;

  g_ptr_array_add (argv, script);
  if (archives != NULL)
    {
      g_ptr_array_add (argv, (char *) "-f");
      g_ptr_array_add (argv, (char *) archives);
    }
  g_ptr_array_add (argv, app_models_dir);
  for (guint i = 0; families[i] != NULL; i++)
    g_ptr_array_add (argv, (char *) families[i]);
  g_ptr_array_add (argv, NULL);
  g_spawn_sync (NULL, (char **) argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status,
                &error);
  g_assert_no_error (error);
  g_assert_true (g_spawn_check_wait_status (status, NULL));
}

static void
unpack (const char *const *families)
{
  unpack_from (NULL, families);
}

gboolean
app_unpack_other (const char *family)
{
  const char *path = g_getenv ("ATELIER_GOLDEN_PATH");
  g_autofree char *shared =
      g_build_filename (g_getenv ("ATELIER_SOURCE"), "..", "shared", "golden", NULL);
  g_auto (GStrv) folders = g_strsplit (path != NULL ? path : shared, ":", 12);
  g_autofree char *name = g_strconcat (family, ".tar.xz", NULL);

  for (char **folder = folders; *folder != NULL; folder++)
    {
      g_autofree char *archive = g_build_filename (*folder, name, NULL);

      if (!g_file_test (archive, G_FILE_TEST_EXISTS))
        continue;
      unpack_from (*folder, (const char *const[]){ family, NULL });
      return TRUE;
    }
  return FALSE;
}

void
app_begin_pictures (int *argc, char ***argv)
{
  app_fixture_init (argc, argv);
  app_models_dir = g_dir_make_tmp ("atelier-images-XXXXXX", NULL);
  unpack ((const char *const[]){ "sd15", "upscale", NULL });
}

int
app_run_pictures (void)
{
  int status = g_test_run ();

  remove_tree (app_models_dir);
  g_clear_pointer (&app_models_dir, g_free);
  return status;
}

void
app_unpack_more (const char *family)
{
  unpack ((const char *const[]){ family, NULL });
}

AtlPicturesSession *
app_pictures (AppFixture *f)
{
  return atl_pictures_session_get (f->session);
}

gboolean
app_has_draw_model (gpointer f)
{
  return atl_pictures_session_get_model (app_pictures (f)) != NULL;
}

gboolean
app_draws_nothing (gpointer f)
{
  return atl_pictures_session_get_current (app_pictures (f)) == NULL &&
         g_list_model_get_n_items (
             G_LIST_MODEL (atl_pictures_session_get_queue (app_pictures (f)))) == 0;
}

gboolean
app_is_drawing (gpointer f)
{
  AtlPictureTask *task = atl_pictures_session_get_current (app_pictures (f));
  guint n_steps;

  return task != NULL && atl_picture_task_get_step (task, &n_steps) > 0;
}

void
app_start_drawing (AppFixture *f)
{
  g_autofree char *path = app_draw_model ();

  app_fixture_start (f);
  gtk_widget_activate_action (GTK_WIDGET (f->window), "win.show-page", "s", "images");
  app_fixture_spin (100);
  atl_pictures_session_load_model (app_pictures (f), (const char *[]){ path, NULL }, TRUE);
  g_assert_true (app_fixture_wait (app_has_draw_model, f, WAIT_S));
}

AtlPictureSettings *
app_draft (AppFixture *f)
{
  return atl_pictures_session_get_settings (app_pictures (f));
}

/* A small picture, so that the test is quick. */
void
app_set_up_picture (AppFixture *f, const char *prompt, guint steps, guint count)
{
  AtlPictureSettings *s = atl_picture_settings_copy (app_draft (f));

  atl_set_string (&s->prompt, prompt);
  atl_set_string (&s->shape, "");
  s->width = 72;
  s->height = 64;
  s->steps = steps;
  s->count = count;
  atl_pictures_session_take_settings (app_pictures (f), s);
}

/* Large and of many steps: no machine has it finished before it is stopped, however long the test
 * itself is kept waiting. */
void
app_set_up_long_picture (AppFixture *f, const char *prompt, guint count)
{
  AtlPictureSettings *s;

  app_set_up_picture (f, prompt, ATL_MAX_PICTURE_STEPS, count);
  s = atl_picture_settings_copy (app_draft (f));
  s->width = s->height = 512;
  atl_pictures_session_take_settings (app_pictures (f), s);
}

void
app_create (AppFixture *f)
{
  gtk_widget_activate_action (f->window->images_page, "images.create", NULL);
}

guint
app_n_picture_files (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  guint n = 0;

  while (dir != NULL && g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

void
app_clear_queue (AppFixture *f)
{
  AtlPictureQueue *queue = atl_pictures_session_get_queue (app_pictures (f));
  AtlPictureTask *task;

  while ((task = atl_picture_queue_next (queue)) != NULL)
    atl_picture_queue_remove (queue, task);
}

static gboolean
shows_start (gpointer picture)
{
  return gtk_picture_get_paintable (picture) != NULL &&
         gdk_paintable_get_intrinsic_width (gtk_picture_get_paintable (picture)) == 72 &&
         gtk_test_accessible_check_property (picture, GTK_ACCESSIBLE_PROPERTY_LABEL,
                                             "The picture to begin with") == NULL;
}

void
app_check_start (AppFixture *f, GtkWidget *picture, const char *path)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  AtlPictureSettings *settings;

  g_assert_false (shows_start (picture));
  atl_images_page_drop (ATL_IMAGES_PAGE (f->window->images_page), NULL, file);
  g_assert_true (app_fixture_wait (shows_start, picture, WAIT_S));
  settings = atl_picture_settings_copy (app_draft (f));
  atl_picture_settings_clear_start (settings);
  atl_pictures_session_take_settings (app_pictures (f), settings);
  g_assert_false (shows_start (picture));
}

/* --- Cases --- */

static void
start_afresh (gpointer fixture, gconstpointer data)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autoptr (GSettings) settings = g_settings_new (ATL_APP_ID);
  g_autoptr (GSettingsSchema) schema = NULL;
  g_auto (GStrv) keys = NULL;

  remove_tree (folder);
  g_object_get (settings, "settings-schema", &schema, NULL);
  keys = g_settings_schema_list_keys (schema);
  for (guint i = 0; keys[i] != NULL; i++)
    g_settings_reset (settings, keys[i]);
}

static void
run_case (gpointer fixture, gconstpointer test)
{
  (*(AppCase const *) test) ();
}

void
app_add_case (const char *name, AppCase test)
{
  /* A pointer to a function is no pointer to data. */
  AppCase *kept = g_new (AppCase, 1);

  *kept = test;
  g_test_add_vtable (name, 0, kept, start_afresh, run_case, NULL);
}
