/* The thread pool: every chunk exactly once, also when workers lose their core in the middle of
 * one. */
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "engine/tensor/cpu/pool.h"

typedef struct
{
  guint8 *counts;
} Plain;

static void
plain_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Plain *p = args;
  p->counts[chunk]++;
}

static void
test_plain (void)
{
  g_autoptr (AtlPool) pool = atl_pool_new (4);
  guint8 counts[300];

  for (guint round = 0; round < 3000; round++)
    {
      guint n = 1 + round % 300;
      Plain p = { counts };

      memset (counts, 0, sizeof counts);
      atl_pool_run (pool, n, plain_chunk, &p);
      for (guint i = 0; i < n; i++)
        g_assert_cmpuint (counts[i], ==, 1);
    }
}

typedef struct
{
  guint *results;
  guint *commits;
  atomic_uint *late; /* how many chunks were slow */
  guint round;
  GThread *main_thread;
} Restartable;

static void
compute (gconstpointer args, guint chunk, gpointer scratch)
{
  const Restartable *r = args;

  /* A worker that loses its core now and then. */
  if (chunk % 16 == 3 && r->round % 8 == 1 && g_thread_self () != r->main_thread)
    {
      atomic_fetch_add (r->late, 1);
      g_usleep (3000);
    }
  *(guint *) scratch = r->round * 1000 + chunk;
}

static void
commit (gconstpointer args, guint chunk, gconstpointer scratch)
{
  const Restartable *r = args;

  r->results[chunk] = *(const guint *) scratch;
  r->commits[chunk]++;
}

static void
test_restartable (void)
{
  g_autoptr (AtlPool) pool = atl_pool_new (4);
  guint results[64];
  guint commits[64];
  atomic_uint late = 0;

  for (guint round = 0; round < 2000; round++)
    {
      guint n = 2 + round % 63;
      Restartable r = { results, commits, &late, round, g_thread_self () };

      memset (results, 0, sizeof results);
      memset (commits, 0, sizeof commits);
      atl_pool_run_restartable (pool, n, compute, commit, &r, sizeof r);
      for (guint i = 0; i < n; i++)
        {
          g_assert_cmpuint (results[i], ==, round * 1000 + i);
          g_assert_cmpuint (commits[i], ==, 1);
        }
    }
  atl_pool_quiesce (pool);
  g_test_message ("%u chunks were late", atomic_load (&late));
}

static void
test_mixed (void)
{
  g_autoptr (AtlPool) pool = atl_pool_new (3);
  guint results[64];
  guint commits[64] = { 0 };
  guint8 counts[40];
  atomic_uint late = 0;

  for (guint round = 0; round < 1500; round++)
    {
      Restartable r = { results, commits, &late, round, g_thread_self () };
      Plain p = { counts };

      memset (commits, 0, sizeof commits);
      memset (counts, 0, sizeof counts);
      atl_pool_run_restartable (pool, 20, compute, commit, &r, sizeof r);
      atl_pool_run (pool, 40, plain_chunk, &p);
      for (guint i = 0; i < 20; i++)
        g_assert_cmpuint (commits[i], ==, 1);
      for (guint i = 0; i < 40; i++)
        g_assert_cmpuint (counts[i], ==, 1);
      /* Let the workers fall asleep now and then. */
      if (round % 100 == 0)
        g_usleep (300);
    }
}

/* What is asked for ahead is never read, so it may be anything; and nothing of a region changes. */
static void
test_ahead (void)
{
  g_autoptr (AtlPool) pool = atl_pool_new (3);
  g_autofree guint8 *there = g_malloc (100000);
  guint results[64];
  guint commits[64];
  guint8 counts[40];
  atomic_uint late = 0;

  g_assert_cmpuint (atl_pool_n_lanes (pool), ==, atl_pool_n_threads (pool));
  g_assert_cmpuint (atl_pool_lane_start (pool, 0, 40), ==, 0);
  g_assert_cmpuint (atl_pool_lane_start (pool, atl_pool_n_lanes (pool), 40), ==, 40);
  for (guint round = 0; round < 1000; round++)
    {
      AtlPoolAhead ahead[ATL_POOL_AHEADS] = { { there, 100000 },
                                              { NULL, round },
                                              { (const guint8 *) G_MAXSIZE - 4096, 1000 * round } };
      Restartable r = { results, commits, &late, round, g_thread_self () };
      Plain p = { counts };

      memset (commits, 0, sizeof commits);
      memset (counts, 0, sizeof counts);
      for (guint lane = 0; lane < atl_pool_n_lanes (pool); lane++)
        atl_pool_ask_ahead (pool, lane, round % 5 == 4 ? NULL : ahead);
      atl_pool_run_restartable (pool, 20, compute, commit, &r, sizeof r);
      atl_pool_run (pool, 40, plain_chunk, &p);
      for (guint i = 0; i < 20; i++)
        {
          g_assert_cmpuint (results[i], ==, round * 1000 + i);
          g_assert_cmpuint (commits[i], ==, 1);
        }
      for (guint i = 0; i < 40; i++)
        g_assert_cmpuint (counts[i], ==, 1);
    }
}

static void
test_one_thread (void)
{
  g_autoptr (AtlPool) pool = atl_pool_new (1);
  guint8 counts[7] = { 0 };
  Plain p = { counts };

  g_assert_cmpuint (atl_pool_n_threads (pool), ==, 1);
  atl_pool_run (pool, 7, plain_chunk, &p);
  atl_pool_run (pool, 0, plain_chunk, &p);
  for (guint i = 0; i < 7; i++)
    g_assert_cmpuint (counts[i], ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pool/plain", test_plain);
  g_test_add_func ("/pool/restartable", test_restartable);
  g_test_add_func ("/pool/mixed", test_mixed);
  g_test_add_func ("/pool/ahead", test_ahead);
  g_test_add_func ("/pool/one-thread", test_one_thread);
  return g_test_run ();
}
