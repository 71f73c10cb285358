/* Starts the real application on a store of its own, for tests of the window.
 *
 *   AppFixture f;
 *   app_fixture_start (&f);
 *   gint64 chat = app_fixture_add_chat (&f, "Title", "Question", "Answer");
 *   app_fixture_stop (&f);
 *
 * All XDG folders point into a temporary folder, set once a process by app_fixture_init().
 */
#pragma once

#include "app/application.h"
#include "app/window/window-private.h"
#include "remove-tree.h"

/* Seconds that a test waits for what must come, beside everything else that a machine may do. */
#define APP_PATIENCE_S 120

typedef struct
{
  AtlApplication *app;
  AtlSession *session;
  AtlWindow *window;
  char *dir;
} AppFixture;

/* Before g_test_run(): folders, locale, GTK without animations. */
void app_fixture_init (int *argc, char ***argv);

/* The folder (made if it is not there) of the stores that are started from now on; NULL: one of
 * their own each. */
void app_fixture_use_store (const char *dir);
/* The same, and app_fixture_stop() leaves it. */
void app_fixture_keep_store (const char *dir);
void app_fixture_start (AppFixture *f);
void app_fixture_stop (AppFixture *f);

/* Runs the main loop until `done` returns TRUE; FALSE after `seconds` of a machine that has nothing
 * else to do, which is never before APP_PATIENCE_S. */
gboolean app_fixture_wait (gboolean (*done) (gpointer), gpointer data, guint seconds);
/* Runs the main loop for so long and until the windows in sight have drawn what changed: timers of
 * this process and layout. What another process or a thread does is waited for. */
void app_fixture_spin (guint ms);
/* The same for its time only, whatever is drawn. */
void app_fixture_run (guint ms);

/* Fails unless the condition comes true while the main loop runs; generous, because it ends at
 * once when all is well. */
#define app_assert_soon(condition)                                                                 \
  G_STMT_START                                                                                     \
  {                                                                                                \
    gint64 app_end_ = g_get_monotonic_time () + APP_PATIENCE_S * G_USEC_PER_SEC;                   \
                                                                                                   \
    while (!(condition) && g_get_monotonic_time () < app_end_)                                     \
      app_fixture_run (10);                                                                        \
    g_assert_true (condition);                                                                     \
  }                                                                                                \
  G_STMT_END

/* A chat with one exchange; `stats_json` may be NULL. */
gint64 app_fixture_add_chat (AppFixture *f,
                             const char *title,
                             const char *question,
                             const char *answer,
                             const char *thinking,
                             const char *stats_json);

/* The first widget below `root` (itself included) of a type for which `match` holds; NULL. */
typedef gboolean (*AppMatchFunc) (GtkWidget *widget, gconstpointer data);
GtkWidget *app_fixture_find (GtkWidget *root, GType type, AppMatchFunc match, gconstpointer data);
/* The first visible one whose buildable id is `id`. */
GtkWidget *app_fixture_find_id (GtkWidget *root, const char *id);

/* What the widget looks like now, as PNG in $ATELIER_SHOTS (or the build folder). */
void app_fixture_shot (GtkWidget *widget, const char *name);
