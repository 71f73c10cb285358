/* The thread that saves answers: the newest text arrives, finished answers are left alone. */
#include "store-fixture.h"

#include <sqlite3.h>

#include "store/saver.h"

static gint64
begin_answer (Fixture *f)
{
  gint64 answer;

  g_assert_true (atl_store_turn_begin (f->store, add_chat (f->store), 0, "Tell me", NULL, "toy",
                                       NULL, &answer, NULL));
  return answer;
}

static void
assert_text (Fixture *f, gint64 id, const char *text, const char *thinking)
{
  g_autoptr (AtlMessage) message = atl_store_message_get (f->store, id, NULL);

  g_assert_nonnull (message);
  g_assert_cmpstr (message->content, ==, text);
  g_assert_cmpstr (message->thinking, ==, thinking);
}

static void
test_newest (Fixture *f, gconstpointer data)
{
  g_autoptr (AtlSaver) saver = atl_saver_new (f->store);
  gint64 first = begin_answer (f), second = begin_answer (f);

  g_assert_false (atl_saver_take_activity (saver));
  for (guint i = 0; i <= 200; i++)
    {
      g_autofree char *text = g_strdup_printf ("text %u", i);
      atl_saver_put (saver, first, text, NULL);
      atl_saver_put (saver, second, text, "hm");
    }
  atl_saver_flush (saver);
  assert_text (f, first, "text 200", NULL);
  assert_text (f, second, "text 200", "hm");
  g_assert_true (atl_saver_take_activity (saver));
  g_assert_false (atl_saver_take_activity (saver));
}

static void
test_finished (Fixture *f, gconstpointer data)
{
  g_autoptr (AtlSaver) saver = atl_saver_new (f->store);
  gint64 answer = begin_answer (f);

  atl_saver_put (saver, answer, "half", NULL);
  atl_saver_flush (saver);
  g_assert_true (atl_store_answer_finish (f->store, answer, ATL_MESSAGE_COMPLETE, "whole", NULL,
                                          NULL, NULL, NULL));
  atl_saver_put (saver, answer, "half and late", NULL);
  atl_saver_flush (saver);
  assert_text (f, answer, "whole", NULL);
}

/* What was put is written before the saver goes. */
static void
test_free_writes (Fixture *f, gconstpointer data)
{
  AtlSaver *saver = atl_saver_new (f->store);
  gint64 answer = begin_answer (f);

  atl_saver_put (saver, answer, "to the end", NULL);
  atl_saver_free (saver);
  assert_text (f, answer, "to the end", NULL);
}

static void
run_sql (Fixture *f, const char *sql)
{
  g_autofree char *path = g_build_filename (f->dir, "atelier.db", NULL);
  sqlite3 *db = NULL;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);
}

/* A disk that takes nothing for a while: told once, and the last word arrives in the end. */
static void
test_trouble (Fixture *f, gconstpointer data)
{
  g_autoptr (AtlSaver) saver = atl_saver_new (f->store);
  gint64 answer = begin_answer (f);
  g_autofree char *first = NULL, *second = NULL;
  gint64 end_us = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;
  AtlMessageState state = ATL_MESSAGE_STREAMING;

  run_sql (f, "CREATE TRIGGER full BEFORE UPDATE ON messages BEGIN SELECT RAISE (FAIL, 'x'); END");
  atl_saver_put (saver, answer, "half", NULL);
  atl_saver_flush (saver);
  first = atl_saver_take_trouble (saver);
  g_assert_nonnull (first);
  atl_saver_finish (saver, answer, ATL_MESSAGE_COMPLETE, "whole", "hm", NULL, NULL);
  atl_saver_flush (saver);
  second = atl_saver_take_trouble (saver);
  g_assert_null (second);
  run_sql (f, "DROP TRIGGER full");
  while (state == ATL_MESSAGE_STREAMING && g_get_monotonic_time () < end_us)
    {
      g_autoptr (AtlMessage) message = atl_store_message_get (f->store, answer, NULL);
      state = message->state;
      g_usleep (50000);
    }
  g_assert_cmpint (state, ==, ATL_MESSAGE_COMPLETE);
  assert_text (f, answer, "whole", "hm");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func)                                                                            \
  g_test_add ("/store/saver/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)
  ADD ("newest", test_newest);
  ADD ("finished", test_finished);
  ADD ("trouble", test_trouble);
  ADD ("free-writes", test_free_writes);
  return g_test_run ();
}
