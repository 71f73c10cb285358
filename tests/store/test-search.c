/* Search: what is found, what is not, and where the match is said to be. */
#include <sqlite3.h>

#include "store-fixture.h"

#include "store/search.h"

/* "id:snippet with [matches]" of each hit, one a line. */
static char *
hits_text (GPtrArray *hits)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < hits->len; i++)
    {
      const AtlSearchHit *hit = hits->pdata[i];
      guint at = 0;

      g_string_append_printf (out, "%s%s:", i > 0 ? "\n" : "", hit->message_id != 0 ? "m" : "t");
      for (guint j = 0; j < hit->n_matches; j++)
        {
          g_assert_cmpuint (hit->match[j].start, >=, at);
          g_assert_cmpuint (hit->match[j].end, >, hit->match[j].start);
          g_assert_cmpuint (hit->match[j].end, <=, strlen (hit->snippet));
          g_string_append_len (out, hit->snippet + at, hit->match[j].start - at);
          g_string_append_c (out, '[');
          g_string_append_len (out, hit->snippet + hit->match[j].start,
                               hit->match[j].end - hit->match[j].start);
          g_string_append_c (out, ']');
          at = hit->match[j].end;
        }
      g_string_append (out, hit->snippet + at);
    }
  return g_string_free (out, FALSE);
}

static void
expect (AtlStore *store, const char *query, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) hits = atl_store_search (store, query, 10, &error);
  g_autofree char *text = NULL;

  g_assert_no_error (error);
  text = hits_text (hits);
  g_assert_cmpstr (text, ==, expected);
}

static void
test_words (Fixture *f, gconstpointer data)
{
  gint64 chat = add_chat (f->store);

  g_assert_true (atl_store_chat_suggest_title (f->store, chat, "Capital cities", NULL));
  add_message (f->store, chat, 0, ATL_ROLE_USER, "What is the capital of France?");
  add_message (f->store, chat, 0, ATL_ROLE_USER, "Où est la Forêt-Noire?\nCafé crème");
  expect (f->store, "cap", "t:[Capital] cities\nm:What is the [capital] of France?");
  expect (f->store, "fra CAP", "m:What is the [capital] of [France]?");
  expect (f->store, "foret", "m:Où est la [Forêt]-Noire? Café crème");
  expect (f->store, "forêt-noire", "m:Où est la [Forêt-Noire]? Café crème");
  expect (f->store, "CAFÉ", "m:Où est la Forêt-Noire? [Café] crème");
  expect (f->store, "apital", "");
  expect (f->store, "", "");
  expect (f->store, "  \n ", "");
}

static void
test_hostile_queries (Fixture *f, gconstpointer data)
{
  static const char *const queries[] = { "\"",        "a\"b",     "AND", "OR NOT",  "NEAR(a b)",
                                         "content:x", "*",        "^a",  "(",       ")",
                                         "a*b*",      "-a",       "+",   "'; DROP", "{}",
                                         "a AND",     "\xff\xfe", "%",   "_",       "\\",
                                         "title : a", "\x01",     "--",  ".." };
  gint64 chat = add_chat (f->store);
  g_autofree char *many = g_strnfill (100000, 'x');

  add_message (f->store, chat, 0, ATL_ROLE_USER, "plain words");
  for (gsize i = 0; i < G_N_ELEMENTS (queries); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GPtrArray) hits = atl_store_search (f->store, queries[i], 10, &error);

      g_assert_no_error (error);
      g_assert_nonnull (hits);
    }
  expect (f->store, many, "");
  for (gsize i = 1; i < 100000; i += 2)
    many[i] = ' ';
  expect (f->store, many, "");
}

static void
test_without_spaces (Fixture *f, gconstpointer data)
{
  gint64 chat = add_chat (f->store);

  add_message (f->store, chat, 0, ATL_ROLE_USER, "法国的首都是巴黎吗");
  add_message (f->store, chat, 0, ATL_ROLE_USER, "the ++ operator in C++");
  expect (f->store, "首都", "m:法国的[首都]是巴黎吗");
  expect (f->store, "C ++", "m:the ++ operator in [C]++");
  expect (f->store, "++", "m:the [++] operator in C[++]");
  expect (f->store, "operator 首都", "");
}

/* An answer is Markdown; a line in a list of hits is plain text. */
static void
test_markdown (Fixture *f, gconstpointer data)
{
  gint64 chat = add_chat (f->store);

  add_message (
      f->store, chat, 0, ATL_ROLE_ASSISTANT,
      "## Ten plums\n\n1. **Blue plum**: sweet\n2. **Mirabelle** # 2**3 of *these*, 2 * 3");
  expect (f->store, "plum",
          "m:Ten [plums]  1. Blue [plum]: sweet 2. Mirabelle # 2**3 of these, 2 * 3");
  expect (f->store, "**",
          "m:Ten plums  1. [**]Blue plum[**]: sweet 2. [**]Mirabelle[**] # 2[**]3 of these, 2 * 3");
}

static void
test_follows_changes (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 chat = add_chat (f->store), asked, answer;
  gint64 other = add_chat (f->store);
  g_autoptr (GPtrArray) inside = NULL;

  g_assert_true (
      atl_store_turn_begin (f->store, chat, 0, "zebra", NULL, NULL, &asked, &answer, &error));
  g_assert_true (atl_store_message_checkpoint (f->store, answer, "giraffe", NULL, &error));
  g_assert_true (atl_store_message_checkpoint (f->store, answer, "giraffe elephant", NULL, &error));
  g_assert_true (atl_store_answer_finish (f->store, answer, ATL_MESSAGE_COMPLETE, "lion", NULL,
                                          NULL, NULL, &error));
  expect (f->store, "giraffe", "");
  expect (f->store, "lion", "m:[lion]");
  g_assert_true (atl_store_answer_resume (f->store, answer, &error));
  g_assert_true (atl_store_answer_finish (f->store, answer, ATL_MESSAGE_COMPLETE, "lion tiger",
                                          NULL, NULL, NULL, &error));
  expect (f->store, "tiger", "m:lion [tiger]");
  g_assert_true (atl_store_message_set_content (f->store, answer, "puma", &error));
  expect (f->store, "lion", "");
  expect (f->store, "puma", "m:[puma]");

  add_message (f->store, other, 0, ATL_ROLE_USER, "zebra too");
  inside = atl_store_search_chat (f->store, other, "zebra", 10, &error);
  g_assert_cmpuint (inside->len, ==, 1);

  g_assert_true (atl_store_trash (f->store, ATL_TRASH_MESSAGE, asked, &error));
  expect (f->store, "puma", "");
  g_assert_true (atl_store_restore (f->store, ATL_TRASH_MESSAGE, asked, &error));
  expect (f->store, "puma", "m:[puma]");
  g_assert_true (atl_store_trash (f->store, ATL_TRASH_CHAT, chat, &error));
  expect (f->store, "puma", "");
  g_assert_cmpint (atl_store_trash_purge (f->store, G_MAXINT64, &error), ==, 1);
  expect (f->store, "zebra", "m:[zebra] too");
  g_assert_no_error (error);
}

/* A sanity check of scale: a hundred thousand messages answer correctly; how quickly is printed,
 * not asserted. */
static void
test_large (Fixture *f, gconstpointer data)
{
  static const char sql[] =
      "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
      " INSERT INTO messages (chat_id, parent_id, role, state, content, created_us)"
      " SELECT 1 + i % 50, NULL, 0, 0, 'alpha beta gamma number' || i || ' some epsilon words "
      "about eta and theta' || iif (i = 31415, ' needle', ''), i FROM n";
  g_autofree char *path = g_build_filename (f->dir, "atelier.db", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) one = NULL, common = NULL, scanned = NULL;
  sqlite3 *db = NULL;
  gint64 start;

  for (int c = 0; c < 50; c++)
    add_chat (f->store);
  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);

  start = g_get_monotonic_time ();
  one = atl_store_search (f->store, "needl", 50, &error);
  g_test_message ("rare word: %.1f ms", (g_get_monotonic_time () - start) / 1000.);
  g_assert_cmpuint (one->len, ==, 1);
  start = g_get_monotonic_time ();
  common = atl_store_search (f->store, "a e", 50, &error);
  g_test_message ("common beginnings: %.1f ms", (g_get_monotonic_time () - start) / 1000.);
  g_assert_cmpuint (common->len, ==, 50);
  start = g_get_monotonic_time ();
  scanned = atl_store_search (f->store, "首都", 50, &error);
  g_test_message ("substring scan: %.1f ms", (g_get_monotonic_time () - start) / 1000.);
  g_assert_cmpuint (scanned->len, ==, 0);
  g_assert_no_error (error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func)                                                                            \
  g_test_add ("/store/search/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)
  ADD ("words", test_words);
  ADD ("hostile-queries", test_hostile_queries);
  ADD ("without-spaces", test_without_spaces);
  ADD ("markdown", test_markdown);
  ADD ("follows-changes", test_follows_changes);
  ADD ("large", test_large);
  return g_test_run ();
}
