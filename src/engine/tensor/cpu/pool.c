/* The thread pool; what it promises is in pool.h.
 *
 * A region lives in a slot of a ring. A worker enters a slot by raising its `n_inside` and then
 * checking that the slot is still the current one; main fills a slot only when nobody is inside and
 * it is not the current one. Both sides use sequentially consistent operations, so that one of the
 * two always sees the other (Dekker), and a late worker can never touch a later region. At most
 * one slot per worker is held by a late one, hence a ring of n_threads + 2 always has a free slot.
 */
#include "engine/tensor/cpu/pool.h"

#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__i386__)
#define cpu_relax() __builtin_ia32_pause ()
#elif defined(__aarch64__)
#define cpu_relax() __asm__ volatile("yield")
#else
#define cpu_relax() ((void) 0)
#endif

/* How long an idle worker burns its core before it sleeps: longer than the serial gaps between the
 * regions of a decode step, far shorter than a scheduler's time slice. */
#define WORKER_SPIN_US 40
/* How long main waits for a plain region's last chunks before it sleeps. */
#define MAIN_SPIN_US 60
/* How late a claimed chunk may be before main takes it over, at least. */
#define STEAL_AFTER_US 20

/* Chunks are handed out in so many lanes of neighbours, so that a thread mostly reads on where it
 * stopped: what was asked for ahead of a chunk's end is then its own next. */
#define MAX_LANES 8

/* Lines that are asked for between two looks at whether there is work. */
#define LINES_AT_A_TIME 8
#define LINE_BYTES 64

#define SLOT_BITS 10
#define SLOT_MASK ((1u << SLOT_BITS) - 1)

enum
{
  CHUNK_CLAIMED = 0,
  CHUNK_COMMITTING,
  CHUNK_DONE,
  CHUNK_STOLEN
};

typedef struct
{
  _Alignas(64) atomic_uint next;
  guint end;
} Lane;

typedef struct
{
  Lane lanes[MAX_LANES];
  guint n_lanes;
  _Alignas(64) atomic_uint done; /* futex of main */
  atomic_uint main_sleeps;
  _Alignas(64) atomic_uint n_inside;
  guint n_chunks;
  AtlPoolFunc func; /* plain regions */
  gconstpointer args;
  AtlPoolCompute compute; /* restartable regions */
  AtlPoolCommit commit;
  _Alignas(16) guint8 args_copy[ATL_POOL_ARGS_MAX];
  atomic_uchar state[ATL_POOL_MAX_RESTARTABLE];
} Region;

/* What a lane will read next. Main writes it while others read: what is read half of an old and
 * half of a new one is asked for in vain, nothing worse. */
typedef struct
{
  _Alignas(64) atomic_uint stamp;
  _Atomic (const guint8 *) data[ATL_POOL_AHEADS];
  atomic_size_t bytes[ATL_POOL_AHEADS];
} Ahead;

typedef struct
{
  AtlPool *pool;
  GThread *thread;
  guint index;
  guint8 *scratch;
  /* Of its lane's Ahead, what is not asked for yet. */
  guint stamp;
  guint n_asked; /* of ATL_POOL_AHEADS */
  gsize at;
} Worker;

struct _AtlPool
{
  _Alignas(64) atomic_uint current; /* sequence number and slot; futex of the workers */
  atomic_uint n_sleeping;
  atomic_bool quit;
  guint sequence;
  guint slot;
  guint n_slots;
  atomic_uint n_threads; /* grows while the first workers look for work already */
  Ahead ahead[MAX_LANES];
  Region *ring;    /* (owned) */
  Worker *workers; /* (owned) [n_threads]; 0 is main */
};

static void
futex_wait (atomic_uint *word, guint value)
{
  syscall (SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void
futex_wake (atomic_uint *word, guint n)
{
  syscall (SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

/* Counts one chunk as done and wakes main if it was the last one. */
static void
finish_chunk (Region *r)
{
  /* The region may be over, and its slot may be used again, as soon as the last chunk is counted;
   * the caller is still inside, so the slot itself stays. */
  if (atomic_fetch_add (&r->done, 1) + 1 == r->n_chunks && atomic_load (&r->main_sleeps))
    futex_wake (&r->done, 1);
}

/* The next chunk for a worker whose lane is `*lane`, or FALSE when all are taken. `n_done` counts
 * the lanes that it found empty. */
static gboolean
take_chunk (Region *r, guint *lane, guint *n_done, guint *chunk)
{
  for (; *n_done < r->n_lanes; *n_done += 1, *lane = (*lane + 1) % r->n_lanes)
    {
      *chunk = atomic_fetch_add (&r->lanes[*lane].next, 1);
      if (*chunk < r->lanes[*lane].end)
        return TRUE;
    }
  return FALSE;
}

static void
work (Region *r, const Worker *w)
{
  guint lane = w->index % r->n_lanes;
  guint n_done = 0;
  guint chunk;

  while (take_chunk (r, &lane, &n_done, &chunk))
    {
      if (r->func != NULL)
        {
          r->func (r->args, chunk, w->index);
        }
      else
        {
          guchar expected = CHUNK_CLAIMED;

          r->compute (r->args_copy, chunk, w->scratch);
          if (!atomic_compare_exchange_strong (&r->state[chunk], &expected, CHUNK_COMMITTING))
            return;
          r->commit (r->args_copy, chunk, w->scratch);
          atomic_store (&r->state[chunk], CHUNK_DONE);
        }
      finish_chunk (r);
    }
}

/* Asks for a little of what comes next; FALSE when that is done. */
static gboolean
ask_some (Worker *w)
{
  Ahead *ahead = &w->pool->ahead[w->index % atl_pool_n_lanes (w->pool)];
  guint stamp = atomic_load_explicit (&ahead->stamp, memory_order_acquire);

  if (stamp != w->stamp)
    {
      w->stamp = stamp;
      w->n_asked = 0;
      w->at = 0;
    }
  for (; w->n_asked < ATL_POOL_AHEADS; w->n_asked++, w->at = 0)
    {
      const guintptr data =
          (guintptr) atomic_load_explicit (&ahead->data[w->n_asked], memory_order_relaxed);

      if (w->at >= atomic_load_explicit (&ahead->bytes[w->n_asked], memory_order_relaxed))
        continue;
      for (guint i = 0; i < LINES_AT_A_TIME; i++)
        __builtin_prefetch ((gconstpointer) (data + w->at + i * LINE_BYTES), 0, 2);
      w->at += LINES_AT_A_TIME * LINE_BYTES;
      return TRUE;
    }
  return FALSE;
}

static gpointer
worker_main (gpointer data)
{
  Worker *w = data;
  AtlPool *self = w->pool;
  guint seen = 0;
  guint spins = 0;
  gint64 idle_since = 0;

  for (;;)
    {
      guint cur = atomic_load (&self->current);
      Region *r;

      if (cur == seen)
        {
          if (atomic_load_explicit (&self->quit, memory_order_relaxed))
            return NULL;
          if (!ask_some (w))
            cpu_relax ();
          if (++spins % 32 != 0)
            continue;
          if (idle_since == 0)
            {
              idle_since = g_get_monotonic_time ();
            }
          else if (g_get_monotonic_time () - idle_since > WORKER_SPIN_US)
            {
              atomic_fetch_add (&self->n_sleeping, 1);
              futex_wait (&self->current, seen);
              atomic_fetch_sub (&self->n_sleeping, 1);
              idle_since = 0;
            }
          continue;
        }
      if (atomic_load (&self->quit))
        return NULL;

      r = &self->ring[cur & SLOT_MASK];
      atomic_fetch_add (&r->n_inside, 1);
      if (atomic_load (&self->current) == cur)
        {
          seen = cur;
          work (r, w);
          spins = 0;
          idle_since = 0;
        }
      atomic_fetch_sub (&r->n_inside, 1);
    }
}

AtlPool *
atl_pool_new (guint n_threads)
{
  AtlPool *self;

  n_threads = CLAMP (n_threads, 1, ATL_POOL_MAX_THREADS);
  self = g_aligned_alloc0 (1, sizeof *self, 64);
  self->n_slots = n_threads + 2;
  self->ring = g_aligned_alloc0 (self->n_slots, sizeof (Region), 64);
  self->workers = g_new0 (Worker, n_threads);
  self->n_threads = 1;
  for (guint i = 0; i < n_threads; i++)
    {
      Worker *w = &self->workers[i];

      w->pool = self;
      w->index = i;
      w->scratch = g_aligned_alloc0 (1, ATL_POOL_SCRATCH_BYTES, 64);
      if (i == 0)
        continue;
      w->thread = g_thread_try_new ("atl-cpu", worker_main, w, NULL);
      if (w->thread == NULL)
        {
          g_aligned_free (g_steal_pointer (&w->scratch));
          break;
        }
      self->n_threads++;
    }
  return self;
}

void
atl_pool_free (AtlPool *self)
{
  if (self == NULL)
    return;
  atomic_store (&self->quit, true);
  atomic_fetch_add (&self->current, 1u << SLOT_BITS);
  futex_wake (&self->current, G_MAXINT);
  for (guint i = 0; i < self->n_threads; i++)
    {
      if (self->workers[i].thread != NULL)
        g_thread_join (self->workers[i].thread);
      g_aligned_free (self->workers[i].scratch);
    }
  g_free (self->workers);
  g_aligned_free (self->ring);
  g_aligned_free (self);
}

guint
atl_pool_n_threads (const AtlPool *self)
{
  return self->n_threads;
}

guint
atl_pool_n_lanes (const AtlPool *self)
{
  guint n = self->n_threads;

  return MIN (n, MAX_LANES);
}

guint
atl_pool_lane_start (const AtlPool *self, guint lane, guint n_chunks)
{
  return (guint) ((guint64) n_chunks * lane / atl_pool_n_lanes (self));
}

void
atl_pool_ask_ahead (AtlPool *self, guint lane, const AtlPoolAhead ahead[ATL_POOL_AHEADS])
{
  Ahead *a = &self->ahead[lane];

  for (guint i = 0; i < ATL_POOL_AHEADS; i++)
    {
      atomic_store_explicit (&a->data[i], ahead != NULL ? ahead[i].data : NULL,
                             memory_order_relaxed);
      atomic_store_explicit (&a->bytes[i], ahead != NULL ? ahead[i].bytes : 0,
                             memory_order_relaxed);
    }
  atomic_fetch_add_explicit (&a->stamp, 1, memory_order_release);
}

static void
deal (AtlPool *self, Region *r, guint n_chunks)
{
  r->n_chunks = n_chunks;
  r->n_lanes = atl_pool_n_lanes (self);
  for (guint i = 0; i < r->n_lanes; i++)
    {
      atomic_store_explicit (&r->lanes[i].next, atl_pool_lane_start (self, i, n_chunks),
                             memory_order_relaxed);
      r->lanes[i].end = atl_pool_lane_start (self, i + 1, n_chunks);
    }
}

/* A slot that nobody is in, ready to be filled but for what its chunks do. */
static Region *
free_slot (AtlPool *self, guint n_chunks)
{
  guint slot = self->slot;

  for (;;)
    {
      Region *r;

      slot = (slot + 1) % self->n_slots;
      if (slot == self->slot)
        continue;
      r = &self->ring[slot];
      if (atomic_load (&r->n_inside) != 0)
        continue;
      self->slot = slot;
      deal (self, r, n_chunks);
      atomic_store_explicit (&r->done, 0, memory_order_relaxed);
      atomic_store_explicit (&r->main_sleeps, 0, memory_order_relaxed);
      return r;
    }
}

static void
publish (AtlPool *self, Region *r)
{
  guint sleeping;

  self->sequence++;
  atomic_store (&self->current, self->sequence << SLOT_BITS | self->slot);
  sleeping = atomic_load (&self->n_sleeping);
  if (sleeping > 0)
    futex_wake (&self->current, MIN (sleeping, r->n_chunks - 1));
}

void
atl_pool_run (AtlPool *self, guint n_chunks, AtlPoolFunc func, gconstpointer args)
{
  Region *r;
  gint64 since = 0;

  if (self->n_threads == 1 || n_chunks <= 1)
    {
      for (guint i = 0; i < n_chunks; i++)
        func (args, i, 0);
      return;
    }

  r = free_slot (self, n_chunks);
  r->func = func;
  r->args = args;
  publish (self, r);
  work (r, &self->workers[0]);

  for (guint spins = 1;; spins++)
    {
      guint done = atomic_load (&r->done);

      if (done == n_chunks)
        return;
      if (!ask_some (&self->workers[0]))
        cpu_relax ();
      if (spins % 32 != 0)
        continue;
      if (since == 0)
        since = g_get_monotonic_time ();
      else if (g_get_monotonic_time () - since > MAIN_SPIN_US)
        {
          atomic_store (&r->main_sleeps, 1);
          done = atomic_load (&r->done);
          if (done != n_chunks)
            futex_wait (&r->done, done);
        }
    }
}

/* Takes over every chunk that is claimed but not being committed. */
static void
steal (AtlPool *self, Region *r)
{
  gpointer scratch = self->workers[0].scratch;

  for (guint chunk = 0; chunk < r->n_chunks; chunk++)
    {
      guchar expected = CHUNK_CLAIMED;

      if (!atomic_compare_exchange_strong (&r->state[chunk], &expected, CHUNK_STOLEN))
        continue;
      r->compute (r->args_copy, chunk, scratch);
      r->commit (r->args_copy, chunk, scratch);
      atomic_fetch_add (&r->done, 1);
    }
}

void
atl_pool_run_restartable (AtlPool *self,
                          guint n_chunks,
                          AtlPoolCompute compute,
                          AtlPoolCommit commit,
                          gconstpointer args,
                          gsize args_bytes)
{
  gpointer scratch = self->workers[0].scratch;
  gint64 start;
  gint64 own_end;
  gint64 patience;
  guint own = 0;
  guint lane = 0;
  guint n_done = 0;
  guint chunk;
  Region *r;

  g_assert (n_chunks <= ATL_POOL_MAX_RESTARTABLE && args_bytes <= ATL_POOL_ARGS_MAX);

  if (self->n_threads == 1 || n_chunks <= 1)
    {
      for (chunk = 0; chunk < n_chunks; chunk++)
        {
          compute (args, chunk, scratch);
          commit (args, chunk, scratch);
        }
      return;
    }

  r = free_slot (self, n_chunks);
  r->func = NULL;
  r->args = NULL;
  r->compute = compute;
  r->commit = commit;
  memcpy (r->args_copy, args, args_bytes);
  for (chunk = 0; chunk < n_chunks; chunk++)
    atomic_store_explicit (&r->state[chunk], CHUNK_CLAIMED, memory_order_relaxed);
  publish (self, r);

  start = g_get_monotonic_time ();
  while (take_chunk (r, &lane, &n_done, &chunk))
    {
      compute (args, chunk, scratch);
      commit (args, chunk, scratch);
      atomic_store (&r->state[chunk], CHUNK_DONE);
      atomic_fetch_add (&r->done, 1);
      own++;
    }

  if (atomic_load (&r->done) == n_chunks)
    return;
  own_end = g_get_monotonic_time ();
  /* A chunk that takes this thread long may take a worker as long. */
  patience = MAX (STEAL_AFTER_US, own > 0 ? 2 * (own_end - start) / own : 0);
  for (guint spins = 1; atomic_load (&r->done) != n_chunks; spins++)
    {
      gint64 waited;

      if (!ask_some (&self->workers[0]))
        cpu_relax ();
      if (spins % 16 != 0)
        continue;
      waited = g_get_monotonic_time () - own_end;
      if (waited > patience)
        {
          steal (self, r);
          /* What is left is being committed: a few stores, unless its worker lost its core. */
          if (waited > patience + MAIN_SPIN_US)
            sched_yield ();
        }
    }
}

void
atl_pool_quiesce (AtlPool *self)
{
  for (guint i = 0; i < self->n_slots; i++)
    while (atomic_load (&self->ring[i].n_inside) != 0)
      sched_yield ();
}
