/* What waits to be drawn: it survives the end of the program, is put in order by keys, and a pause
 * ends with it. */
#include "images-steps.h"

#include <glib/gstdio.h>

#include "app/images/job-bar.h"
#include "app/images/picture-task.h"
#include "app/images/pictures-session-private.h"

#define WAIT_S 60

static GListModel *
queue_of (AppFixture *f)
{
  return G_LIST_MODEL (atl_pictures_session_get_queue (app_pictures (f)));
}

static guint
n_waiting (AppFixture *f)
{
  return g_list_model_get_n_items (queue_of (f));
}

/* "first, second" */
static char *
prompts (AppFixture *f)
{
  GString *all = g_string_new (NULL);

  for (guint i = 0; i < n_waiting (f); i++)
    {
      g_autoptr (AtlPictureTask) task = g_list_model_get_item (queue_of (f), i);

      g_string_append_printf (all, "%s%s", i > 0 ? ", " : "",
                              atl_picture_task_get_settings (task)->prompt);
    }
  return g_string_free (all, FALSE);
}

static void
check_prompts (AppFixture *f, const char *wanted)
{
  g_autofree char *all = prompts (f);

  g_assert_cmpstr (all, ==, wanted);
}

static guint32
seed_of (AppFixture *f, guint at)
{
  g_autoptr (AtlPictureTask) task = g_list_model_get_item (queue_of (f), at);

  return atl_picture_task_get_seed (task);
}

/* One that is drawn for long, and three that wait, two of them alike but for their seed. */
static void
fill (AppFixture *f)
{
  app_set_up_long_picture (f, "long", 1);
  app_create (f);
  app_set_up_picture (f, "alike", 2, 2);
  app_create (f);
  app_set_up_picture (f, "last", 3, 1);
  app_create (f);
  g_assert_true (app_fixture_wait (app_is_drawing, f, WAIT_S));
}

static gboolean
is_kept (AppFixture *f)
{
  g_autofree char *json =
      atl_store_setting_get (atl_session_get_store (f->session), "images-queue", NULL);

  return json != NULL && *json != '\0';
}

/* Closed while the picture is being stopped: it does not come back. */
static void
test_stopped_is_not_kept (void)
{
  AppFixture f;
  g_autofree char *dir = g_dir_make_tmp ("atelier-queue-XXXXXX", NULL);

  app_fixture_keep_store (dir);
  app_start_drawing (&f);
  fill (&f);
  app_assert_soon (is_kept (&f));
  /* As stopping it does, before the engine has heard of it. */
  atl_picture_task_stop (atl_pictures_session_get_current (app_pictures (&f)));
  atl_pictures_session_keep_queue (app_pictures (&f));
  app_fixture_stop (&f);

  app_fixture_start (&f);
  check_prompts (&f, "alike, alike, last");
  app_fixture_stop (&f);
  app_fixture_use_store (NULL);
  remove_tree (dir);
}

/* Closed while it draws: what was not finished waits in the next window until it is asked for, and
 * becomes the same pictures. */
static void
test_kept (void)
{
  AppFixture f;
  g_autofree char *dir = g_dir_make_tmp ("atelier-queue-XXXXXX", NULL);
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *drawn = g_build_filename (folder, "last.png", NULL);
  g_autoptr (AtlPictureTask) first = NULL;
  guint32 seeds[4];

  app_fixture_keep_store (dir);
  app_start_drawing (&f);
  fill (&f);
  for (guint i = 0; i < G_N_ELEMENTS (seeds); i++)
    seeds[i] = seed_of (&f, i);
  /* Also when the program does not end by itself. */
  app_assert_soon (is_kept (&f));
  app_fixture_stop (&f);

  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  check_prompts (&f, "long, alike, alike, last");
  for (guint i = 0; i < G_N_ELEMENTS (seeds); i++)
    g_assert_cmpuint (seed_of (&f, i), ==, seeds[i]);
  g_assert_true (atl_pictures_session_get_is_paused (app_pictures (&f)));
  g_assert_true (atl_pictures_session_get_has_kept (app_pictures (&f)));
  g_assert_null (atl_pictures_session_get_current (app_pictures (&f)));
  app_fixture_spin (300);
  app_fixture_shot (GTK_WIDGET (f.window), "images-kept");
  first = g_list_model_get_item (queue_of (&f), 0);
  atl_picture_queue_remove (atl_pictures_session_get_queue (app_pictures (&f)), first);
  atl_pictures_session_set_is_paused (app_pictures (&f), FALSE);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  g_assert_true (g_file_test (drawn, G_FILE_TEST_EXISTS));
  app_fixture_stop (&f);

  app_fixture_start (&f);
  g_assert_cmpuint (n_waiting (&f), ==, 0);
  g_assert_false (atl_pictures_session_get_is_paused (app_pictures (&f)));
  app_fixture_stop (&f);
  app_fixture_use_store (NULL);
  remove_tree (dir);
}

static gboolean
have_failed (gpointer data)
{
  AppFixture *f = data;

  return atl_picture_queue_n_failed (atl_pictures_session_get_queue (app_pictures (f))) ==
         n_waiting (f);
}

/* Its model is gone meanwhile: said of the picture, which stays. What the store holds may be
 * damaged. */
static void
test_gone (void)
{
  static const char *const damaged[] = {
    "",
    "{",
    "[]",
    "[7]",
    "[{}]",
    "{\"a\":1}",
    "[{\"model\":\"/x\",\"settings\":\"{}\"}]",
    "[{\"source\":\"/x.png\",\"factor\":99}]",
    "[{\"model\":\"/x\",\"settings\":\"}\",\"seeds\":{}}]",
  };
  static const char gone[] =
      "[{\"model\":\"/nonexistent/m\",\"settings\":\"{\\\"prompt\\\":\\\"lost\\\"}\","
      "\"seeds\":[3,-1,{},\"x\"]}]";
  AppFixture f;
  GtkWidget *button, *label;
  int least, natural;
  g_autoptr (AtlPictureTask) waiting = NULL;
  g_autoptr (AtlPictureSettings) settings = NULL;
  g_autofree char *dir = g_dir_make_tmp ("atelier-queue-XXXXXX", NULL);

  app_fixture_keep_store (dir);
  for (guint i = 0; i <= G_N_ELEMENTS (damaged); i++)
    {
      AtlSession *session = atl_session_new (dir, NULL);

      g_assert_true (atl_store_setting_set (atl_session_get_store (session), "images-queue",
                                            i < G_N_ELEMENTS (damaged) ? damaged[i] : gone, NULL));
      g_object_run_dispose (G_OBJECT (session));
      g_object_unref (session);
      if (i == G_N_ELEMENTS (damaged))
        break;
      session = atl_session_new (dir, NULL);
      g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (
                            atl_pictures_session_get_queue (atl_pictures_session_get (session)))),
                        ==, 0);
      g_object_run_dispose (G_OBJECT (session));
      g_object_unref (session);
    }
  app_fixture_start (&f);
  g_assert_cmpuint (seed_of (&f, 0), ==, 3);
  atl_pictures_session_set_is_paused (app_pictures (&f), FALSE);
  g_assert_true (app_fixture_wait (have_failed, &f, WAIT_S));
  /* What waits does not hide it. */
  atl_pictures_session_set_is_paused (app_pictures (&f), TRUE);
  settings = atl_picture_settings_new ();
  waiting = atl_picture_task_new_kept ("/nonexistent/m", settings, 1);
  atl_picture_queue_append (atl_pictures_session_get_queue (app_pictures (&f)), waiting);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  button = app_fixture_find_id (GTK_WIDGET (f.window), "queue_button");
  g_assert_nonnull (button);
  label = app_fixture_find_id (button, "queue_label");
  g_assert_cmpstr (gtk_label_get_text (GTK_LABEL (label)), ==, "1 waits · 3 failed");
  gtk_test_accessible_assert_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                       "What comes next: 1 waits · 3 failed");
  /* Longer words in other languages do not make a narrow window wider. */
  gtk_widget_measure (label, GTK_ORIENTATION_HORIZONTAL, -1, &least, &natural, NULL, NULL);
  g_assert_cmpint (least, <, natural);
  gtk_widget_measure (gtk_widget_get_ancestor (button, ATL_TYPE_JOB_BAR),
                      GTK_ORIENTATION_HORIZONTAL, -1, &least, NULL, NULL, NULL);
  g_assert_cmpint (least, <, 340);
  app_fixture_stop (&f);
  app_fixture_use_store (NULL);
  remove_tree (dir);
}

static gboolean
is_row (GtkWidget *widget, gconstpointer at)
{
  return gtk_list_box_row_get_index (GTK_LIST_BOX_ROW (widget)) == GPOINTER_TO_INT (at);
}

static GtkWidget *
row_at (GtkWidget *view, int at)
{
  return app_fixture_find (view, GTK_TYPE_LIST_BOX_ROW, is_row, GINT_TO_POINTER (at));
}

static void
check_focus (AppFixture *f, GtkWidget *view, int at)
{
  GtkWidget *focus = gtk_window_get_focus (GTK_WINDOW (f->window));

  g_assert_true (focus == row_at (view, at));
}

static gboolean
has_icon (GtkWidget *button, gconstpointer name)
{
  return g_strcmp0 (gtk_button_get_icon_name (GTK_BUTTON (button)), name) == 0;
}

/* The keyboard stays with what it moved, and goes to the neighbour of what it took out. */
static void
test_keys (void)
{
  AppFixture f;
  GtkWidget *button, *view, *up;
  g_autoptr (AtlPictureTask) first = NULL;

  app_start_drawing (&f);
  fill (&f);
  check_prompts (&f, "long, alike, alike, last");
  button = app_fixture_find_id (GTK_WIDGET (f.window), "queue_button");
  g_assert_nonnull (button);
  gtk_menu_button_popup (GTK_MENU_BUTTON (button));
  view = app_fixture_find_id (button, "queue_view");
  g_assert_nonnull (view);
  app_assert_soon (row_at (view, 3) != NULL && gtk_widget_get_mapped (row_at (view, 3)));
  /* A screen reader hears the key once, after the name. */
  up = app_fixture_find (row_at (view, 3), GTK_TYPE_BUTTON, has_icon, "go-up-symbolic");
  gtk_test_accessible_assert_property (GTK_ACCESSIBLE (up), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                       "Earlier");
  gtk_test_accessible_assert_property (GTK_ACCESSIBLE (up), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                       "Alt+Up");
  gtk_widget_grab_focus (row_at (view, 3));
  g_assert_true (app_press (view, GDK_KEY_Up, GDK_ALT_MASK));
  check_prompts (&f, "long, alike, last, alike");
  check_focus (&f, view, 2);
  g_assert_true (app_press (view, GDK_KEY_Delete, 0));
  check_prompts (&f, "long, alike, alike");
  check_focus (&f, view, 2);
  g_assert_true (app_press (view, GDK_KEY_Delete, 0));
  check_prompts (&f, "long, alike");
  check_focus (&f, view, 1);
  /* Both come back to where they were. */
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.undo", NULL);
  check_prompts (&f, "long, alike, alike");
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.undo", NULL);
  check_prompts (&f, "long, alike, last, alike");
  /* What is drawn is stopped, not taken out. */
  gtk_widget_grab_focus (row_at (view, 0));
  g_assert_false (app_press (view, GDK_KEY_Delete, 0));
  check_prompts (&f, "long, alike, last, alike");
  app_clear_queue (&f);
  atl_pictures_session_stop (app_pictures (&f), FALSE);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  app_fixture_stop (&f);
}

/* All that rests is taken out in a pause: an undo brings it back, and the pause. */
static void
test_clear (void)
{
  AppFixture f;
  GtkWidget *button, *view, *clear;

  app_start_drawing (&f);
  atl_pictures_session_set_is_paused (app_pictures (&f), TRUE);
  app_set_up_picture (&f, "resting", 2, 2);
  app_create (&f);
  button = app_fixture_find_id (GTK_WIDGET (f.window), "queue_button");
  gtk_menu_button_popup (GTK_MENU_BUTTON (button));
  view = app_fixture_find_id (button, "queue_view");
  clear = gtk_widget_get_last_child (gtk_widget_get_first_child (view));
  app_assert_soon (gtk_widget_get_mapped (clear));
  g_signal_emit_by_name (clear, "clicked");
  check_prompts (&f, "");
  g_assert_false (atl_pictures_session_get_is_paused (app_pictures (&f)));
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.undo", NULL);
  check_prompts (&f, "resting, resting");
  g_assert_true (atl_pictures_session_get_is_paused (app_pictures (&f)));
  g_assert_null (atl_pictures_session_get_current (app_pictures (&f)));
  atl_pictures_session_set_is_paused (app_pictures (&f), FALSE);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  app_fixture_stop (&f);
}

/* Who stops the last picture during a pause is not paused for the next one. */
static void
test_pause (void)
{
  AppFixture f;

  app_start_drawing (&f);
  app_set_up_long_picture (&f, "paused", 1);
  app_create (&f);
  g_assert_true (app_fixture_wait (app_is_drawing, &f, WAIT_S));
  atl_pictures_session_set_is_paused (app_pictures (&f), TRUE);
  atl_pictures_session_stop (app_pictures (&f), FALSE);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  g_assert_false (atl_pictures_session_get_is_paused (app_pictures (&f)));
  app_set_up_picture (&f, "not paused", 2, 1);
  app_create (&f);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_begin_pictures (&argc, &argv);
  g_test_add_func ("/queue/kept", test_kept);
  g_test_add_func ("/queue/stopped-is-not-kept", test_stopped_is_not_kept);
  g_test_add_func ("/queue/gone", test_gone);
  g_test_add_func ("/queue/keys", test_keys);
  g_test_add_func ("/queue/clear", test_clear);
  g_test_add_func ("/queue/pause", test_pause);
  return app_run_pictures ();
}
