/* The engine is killed, or stopped, in the middle of an answer, again and again: each time the
 * answer ends in words with its text so far, the engine comes back, and the same question has the
 * same answer. $ATELIER_FAULT_ROUNDS kills (8), a quarter as many stops. How long it took is told,
 * not judged: that depends on the machine. */
#include <signal.h>
#include <string.h>

#include "client/client-fixture.h"
#include "rounds.h"

#define STORY "Once upon a time"
#define TINY "stories260K.gguf"

static const int endings[] = { SIGKILL, SIGSEGV, SIGABRT, SIGBUS };

typedef struct
{
  gboolean is_silent, is_lost, is_ready;
  gint64 silent_at, lost_at, ready_at;
} Watch;

static void
state_cb (AtlClient *client, GParamSpec *pspec, Watch *watch)
{
  gint64 now = g_get_monotonic_time ();

  switch (atl_client_get_state (client))
    {
    case ATL_ENGINE_NOT_RESPONDING:
      watch->is_silent = TRUE;
      watch->silent_at = now;
      break;
    case ATL_ENGINE_LOST:
      watch->is_lost = TRUE;
      watch->lost_at = now;
      break;
    case ATL_ENGINE_READY:
      watch->is_ready = TRUE;
      watch->ready_at = now;
      break;
    default:
      break;
    }
}

static char *
tell (Fixture *fixture)
{
  g_auto (AtlChatParams) params = { 0 };
  g_autoptr (Answer) answer = NULL;

  params_greedy (&params, 12);
  answer = answer_new (atl_client_complete (fixture->client, fixture->model, STORY, &params));
  g_assert_true (fixture_wait (&answer->is_over, WAIT_MS));
  g_assert_no_error (answer->error);
  return g_strdup (answer->text->str);
}

/* After the third time it is only loaded because somebody insists. */
static void
load_again (Fixture *fixture)
{
  AtlLoadOptions insist = ATL_LOAD_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;

  insist.insist = TRUE;
  g_clear_object (&fixture->model);
  fixture->model = fixture_load (fixture->client, fixture->model_path, &insist, NULL, &error);
  g_assert_no_error (error);
}

static void
assert_same_answer (Fixture *fixture, const char *expected)
{
  g_autofree char *text = NULL;

  load_again (fixture);
  text = tell (fixture);
  g_assert_cmpstr (text, ==, expected);
}

static void
assert_cut_short (Answer *answer)
{
  g_assert_true (fixture_wait (&answer->is_over, WAIT_MS));
  g_assert_error (answer->error, ATL_ERROR, ATL_ERROR_ENGINE_GONE);
  g_assert_true (g_utf8_validate (answer->error->message, -1, NULL));
  g_assert_cmpuint (answer->text->len, >, 0);
}

static double
seconds (gint64 from, gint64 to)
{
  return (double) (to - from) / G_USEC_PER_SEC;
}

static void
test_killed (Fixture *fixture, gconstpointer data)
{
  g_autofree char *expected = NULL;
  double worst_ready = 0, worst_answer = 0;
  guint n = rounds (8), n_fds = 0;

  if (fixture->model == NULL)
    return;
  expected = tell (fixture);
  for (guint i = 0; i < n; i++)
    {
      Watch watch = { 0 };
      gulong handler =
          g_signal_connect (fixture->client, "notify::state", G_CALLBACK (state_cb), &watch);
      g_autoptr (Answer) answer = answer_endless (fixture, STORY);
      GPid pid = atl_client_get_pid (fixture->client);
      gint64 killed_at;

      fixture_sleep (i % 3 == 0 ? 0 : (guint) g_test_rand_int_range (0, 50));
      kill (pid, endings[i % G_N_ELEMENTS (endings)]);
      killed_at = g_get_monotonic_time ();
      assert_cut_short (answer);
      /* One that keeps ending is started again by the next request only: that is this one. */
      assert_same_answer (fixture, expected);
      g_assert_true (watch.is_ready);
      g_assert_cmpint (atl_client_get_pid (fixture->client), !=, pid);
      worst_ready = MAX (worst_ready, seconds (killed_at, watch.ready_at));
      worst_answer = MAX (worst_answer, seconds (killed_at, g_get_monotonic_time ()));
      g_signal_handler_disconnect (fixture->client, handler);
      /* Once all is warm, nothing stays open. */
      if (i == 1)
        n_fds = count_descriptors ();
      else if (i > 1)
        assert_soon (count_descriptors () <= n_fds + 2);
    }
  g_test_message ("%u kills: the engine was back within %.2f s, the next answer within %.2f s", n,
                  worst_ready, worst_answer);
}

static void
test_stopped (Fixture *fixture, gconstpointer data)
{
  g_autofree char *expected = NULL;
  double worst_silent = 0, worst_ready = 0;
  guint n = MAX (rounds (8) / 4, 1);

  if (fixture->model == NULL)
    return;
  expected = tell (fixture);
  for (guint i = 0; i < n; i++)
    {
      Watch watch = { 0 };
      gulong handler =
          g_signal_connect (fixture->client, "notify::state", G_CALLBACK (state_cb), &watch);
      g_autoptr (Answer) answer = answer_endless (fixture, STORY);
      GPid pid = atl_client_get_pid (fixture->client);
      gint64 stopped_at;

      kill (pid, SIGSTOP);
      stopped_at = g_get_monotonic_time ();
      assert_cut_short (answer);
      assert_same_answer (fixture, expected);
      g_assert_true (watch.is_silent);
      g_assert_true (watch.is_ready);
      worst_silent = MAX (worst_silent, seconds (stopped_at, watch.silent_at));
      worst_ready = MAX (worst_ready, seconds (stopped_at, watch.ready_at));
      g_assert_cmpint (atl_client_get_pid (fixture->client), !=, pid);
      g_signal_handler_disconnect (fixture->client, handler);
    }
  g_test_message ("%u stops: said within %.2f s, the engine was back within %.2f s", n,
                  worst_silent, worst_ready);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/engine-ends/killed", Fixture, TINY, fixture_set_up, test_killed, fixture_tear_down);
  g_test_add ("/engine-ends/stopped", Fixture, TINY, fixture_set_up, test_stopped,
              fixture_tear_down);
  return g_test_run ();
}
