/* The thread that saves answers: the newest text arrives, finished answers are left alone. */
#include "store-fixture.h"

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

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func)                                                                            \
  g_test_add ("/store/saver/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)
  ADD ("newest", test_newest);
  ADD ("finished", test_finished);
  ADD ("free-writes", test_free_writes);
  return g_test_run ();
}
