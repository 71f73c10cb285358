/* The engine ends, hangs, or keeps ending: the client says so in time, in words, and goes on. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client-fixture.h"

#define STORY "Once upon a time"
#define TINY "stories260K.gguf"
/* The engine may be silent for nearly 7 s. */
#define SHORT_PAUSE_US (4 * G_USEC_PER_SEC)

typedef struct
{
  char *sentence;
  gboolean is_lost;
  gboolean is_silent;
  guint n_crashes;
} Watch;

static void
lost_cb (AtlClient *client, const char *sentence, Watch *watch)
{
  g_free (watch->sentence);
  watch->sentence = g_strdup (sentence);
  watch->is_lost = TRUE;
}

static void
crashed_cb (AtlClient *client, AtlModel *model, guint count, Watch *watch)
{
  watch->n_crashes = count;
}

static void
state_cb (AtlClient *client, GParamSpec *pspec, Watch *watch)
{
  if (atl_client_get_state (client) == ATL_ENGINE_NOT_RESPONDING)
    watch->is_silent = TRUE;
}

static void
watch_client (Watch *watch, AtlClient *client)
{
  g_signal_connect (client, "engine-lost", G_CALLBACK (lost_cb), watch);
  g_signal_connect (client, "model-crashed", G_CALLBACK (crashed_cb), watch);
  g_signal_connect (client, "notify::state", G_CALLBACK (state_cb), watch);
}

static void
test_killed (Fixture *fixture, gconstpointer data)
{
  Watch watch = { 0 };

  if (fixture->model == NULL)
    return;
  watch_client (&watch, fixture->client);
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (Answer) answer = answer_endless (fixture, STORY);
      gint64 killed_at;

      watch.is_lost = FALSE;
      kill (atl_client_get_pid (fixture->client), i == 0 ? SIGKILL : SIGSEGV);
      killed_at = g_get_monotonic_time ();
      g_assert_true (answer_wait (answer));
      g_assert_error (answer->error, ATL_ERROR, ATL_ERROR_ENGINE_GONE);
      g_test_message ("told after %.1f ms: %s", (g_get_monotonic_time () - killed_at) / 1000.0,
                      answer->error->message);
      g_assert_nonnull (strstr (answer->error->message, "What was written so far is kept"));
      g_assert_cmpuint (answer->text->len, >, 0);
      g_assert_true (watch.is_lost);
      g_assert_false (atl_model_get_is_loaded (fixture->model));
      g_assert_cmpuint (watch.n_crashes, ==, i + 1);

      /* Asking again starts the engine and loads the model. */
      {
        g_auto (AtlChatParams) params = { 0 };
        g_autoptr (Answer) again = NULL;

        params_greedy (&params, 10);
        again = answer_new (atl_client_complete (fixture->client, fixture->model, STORY, &params));
        g_assert_true (answer_wait (again));
        g_assert_no_error (again->error);
        g_assert_true (atl_model_get_is_loaded (fixture->model));
        g_test_message ("answered again after %.1f ms",
                        (g_get_monotonic_time () - killed_at) / 1000.0);
      }
    }
  g_free (watch.sentence);
}

static void
test_idle_kill (Fixture *fixture, gconstpointer data)
{
  Watch watch = { 0 };
  GPid pid;

  if (fixture->model == NULL)
    return;
  watch_client (&watch, fixture->client);
  pid = atl_client_get_pid (fixture->client);
  kill (pid, SIGKILL);
  g_assert_true (fixture_wait (&watch.is_lost, WAIT_MS));
  /* Nobody was at work: nobody is blamed. It comes back by itself. */
  g_assert_cmpuint (watch.n_crashes, ==, 0);
  fixture_wait_for_other_engine (fixture->client, pid);
  g_free (watch.sentence);
}

/* Ctrl-C in a terminal reaches the engine too: the client decides what it ends. */
static void
test_interrupt (Fixture *fixture, gconstpointer data)
{
  Watch watch = { 0 };
  GPid pid;

  if (fixture->model == NULL)
    return;
  watch_client (&watch, fixture->client);
  pid = atl_client_get_pid (fixture->client);
  kill (pid, SIGINT);
  g_assert_false (fixture_wait (&watch.is_lost, 500));
  g_assert_cmpint (atl_client_get_pid (fixture->client), ==, pid);
  g_assert_cmpint (kill (pid, 0), ==, 0);
  g_free (watch.sentence);
}

static void
test_stopped (Fixture *fixture, gconstpointer data)
{
  Watch watch = { 0 };
  g_autoptr (Answer) answer = NULL;
  gint64 stopped_at;

  if (fixture->model == NULL)
    return;
  watch_client (&watch, fixture->client);
  answer = answer_endless (fixture, STORY);
  kill (atl_client_get_pid (fixture->client), SIGSTOP);
  stopped_at = g_get_monotonic_time ();
  g_assert_true (fixture_wait (&watch.is_silent, WAIT_MS));
  g_test_message ("shown after %.1f s", (g_get_monotonic_time () - stopped_at) / 1e6);
  g_assert_true (fixture_wait (&watch.is_lost, WAIT_MS));
  while (atl_client_get_state (fixture->client) != ATL_ENGINE_READY)
    g_main_context_iteration (NULL, TRUE);
  g_test_message ("recovered after %.1f s", (g_get_monotonic_time () - stopped_at) / 1e6);
  g_assert_true (answer->is_over);
  g_free (watch.sentence);
}

/* A pause that is over soon is no reason to end anything. A machine on which this program itself
 * stands still for seconds shows nothing: then once more. */
static void
test_paused (Fixture *fixture, gconstpointer data)
{
  Watch watch = { 0 };

  if (fixture->model == NULL)
    return;
  watch_client (&watch, fixture->client);
  for (guint i = 0; i < 20; i++)
    {
      GPid pid = atl_client_get_pid (fixture->client);
      gint64 stopped_at = g_get_monotonic_time ();

      watch.is_silent = watch.is_lost = FALSE;
      kill (pid, SIGSTOP);
      g_assert_true (fixture_wait (&watch.is_silent, WAIT_MS));
      kill (pid, SIGCONT);
      if (g_get_monotonic_time () - stopped_at > SHORT_PAUSE_US)
        {
          fixture_sleep (1500);
          assert_soon (atl_client_get_state (fixture->client) == ATL_ENGINE_READY);
          continue;
        }
      assert_soon (atl_client_get_state (fixture->client) == ATL_ENGINE_READY);
      g_assert_cmpint (atl_client_get_pid (fixture->client), ==, pid);
      g_assert_false (watch.is_lost);
      g_free (watch.sentence);
      return;
    }
  g_free (watch.sentence);
  g_test_skip ("this machine stood still again and again: a short pause was not tried");
}

/* The state of a process that may be called anything follows the last bracket. Asked between fork
 * and exec: without memory of its own. */
static gboolean
stands_still (GPid pid)
{
  char path[64], stat[512];
  const char *end;
  int fd;
  gssize n;

  g_snprintf (path, sizeof path, "/proc/%d/stat", pid);
  fd = open (path, O_RDONLY | O_CLOEXEC);
  n = fd >= 0 ? read (fd, stat, sizeof stat - 1) : 0;
  if (fd >= 0)
    close (fd);
  stat[MAX (n, 0)] = '\0';
  end = strrchr (stat, ')');
  return end != NULL && strlen (end) > 2 && end[2] == 'T';
}

/* Both stood still, as after Ctrl-Z in a terminal: nobody was silent. */
static void
test_both_stood (Fixture *fixture, gconstpointer data)
{
  Watch watch = { 0 };
  GPid engine, waker;

  if (fixture->model == NULL)
    return;
  watch_client (&watch, fixture->client);
  engine = atl_client_get_pid (fixture->client);
  waker = fork ();
  if (waker == 0)
    {
      const struct timespec long_time = { .tv_sec = 12 }, short_time = { .tv_nsec = 10000000 };
      GPid parent = getppid ();

      /* However long it took them to be stopped. */
      while (getppid () == parent && !(stands_still (engine) && stands_still (parent)))
        nanosleep (&short_time, NULL);
      nanosleep (&long_time, NULL);
      kill (engine, SIGCONT);
      kill (parent, SIGCONT);
      _exit (0);
    }
  kill (engine, SIGSTOP);
  kill (getpid (), SIGSTOP);
  fixture_sleep (3000);
  assert_soon (atl_client_get_state (fixture->client) == ATL_ENGINE_READY);
  if (watch.is_lost)
    g_test_message ("%s", watch.sentence);
  g_assert_cmpint (atl_client_get_pid (fixture->client), ==, engine);
  g_assert_false (watch.is_lost);
  waitpid (waker, NULL, 0);
  g_free (watch.sentence);
}

static void
test_three_crashes (Fixture *fixture, gconstpointer data)
{
  Watch watch = { 0 };
  AtlLoadOptions insist = ATL_LOAD_OPTIONS_INIT;
  g_autoptr (Answer) refused = NULL;
  g_autoptr (AtlModel) again = NULL;
  g_autoptr (GError) error = NULL;

  if (fixture->model == NULL)
    return;
  watch_client (&watch, fixture->client);
  for (guint i = 0; i < ATL_MODEL_MAX_CRASHES; i++)
    {
      g_autoptr (Answer) answer = answer_endless (fixture, STORY);

      g_assert_no_error (answer->error);
      kill (atl_client_get_pid (fixture->client), SIGSEGV);
      g_assert_true (answer_wait (answer));
      g_assert_cmpuint (watch.n_crashes, ==, i + 1);
    }
  refused = answer_new (atl_client_complete (fixture->client, fixture->model, STORY, NULL));
  g_assert_true (answer_wait (refused));
  g_assert_error (refused->error, ATL_ERROR, ATL_ERROR_BUSY);
  g_assert_nonnull (strstr (refused->error->message, "3 times"));

  g_assert_null (fixture_load (fixture->client, fixture->model_path, NULL, NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BUSY);
  g_clear_error (&error);
  insist.insist = TRUE;
  again = fixture_load (fixture->client, fixture->model_path, &insist, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (atl_client_get_crash_count (fixture->client, atl_model_get_key (again)), ==, 0);
  g_free (watch.sentence);
}

/* The engine ends with the client's process; here, with its connection. */
static void
test_orphan (void)
{
  AtlClient *client = atl_client_new ();
  GPid pid;

  atl_client_start_async (client, NULL, NULL, NULL);
  while (atl_client_get_state (client) != ATL_ENGINE_READY)
    g_main_context_iteration (NULL, TRUE);
  pid = atl_client_get_pid (client);
  while (atl_client_get_status (client) == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_object_unref (client);
  assert_soon (kill (pid, 0) != 0);
}

static void
add (const char *name, void (*test) (Fixture *, gconstpointer))
{
  g_test_add (name, Fixture, TINY, fixture_set_up, test, fixture_tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("/lost/killed", test_killed);
  add ("/lost/idle-kill", test_idle_kill);
  add ("/lost/interrupt", test_interrupt);
  add ("/lost/stopped", test_stopped);
  add ("/lost/paused", test_paused);
  add ("/lost/both-stood", test_both_stood);
  add ("/lost/three-crashes", test_three_crashes);
  g_test_add_func ("/lost/orphan", test_orphan);
  return g_test_run ();
}
