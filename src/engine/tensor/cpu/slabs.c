/* Weights one after the other in slabs: nothing is reused before a slab is empty, since the weights
 * of a model come and go together.
 *
 * The system clears a page when it is first written to, a large one as a whole: two threads that
 * meet a new page both clear it, and one has done so for nothing. So, before weights are filled
 * that have few pages, all threads touch pages of their own, for the weights to come, too: no more
 * than a share of what there is, since nobody may come. Of a weight with many pages each thread
 * meets others, and finds what it cleared in its cache. */
#include "engine/tensor/cpu/slabs.h"

#include <stdlib.h>

#include "engine/tensor/cpu/cpu-private.h"

#define SLAB_BYTES ((gsize) 32 * 1024 * 1024)
#define TOUCH_BYTES ((gsize) 4 * ATL_CPU_HUGE_BYTES) /* at a time */
#define TOUCH_SHARE 4                                /* of what there is, where that is less */
#define SMALL_PAGE 4096

typedef struct
{
  guint8 *memory;
  gsize size, used, touched;
  guint n; /* allocations that live */
} Slab;

struct _AtlCpuSlabs
{
  AtlPool *pool;
  GMutex lock;
  GArray *slabs; /* Slab */
};

AtlCpuSlabs *
atl_cpu_slabs_new (AtlPool *pool)
{
  AtlCpuSlabs *self = g_new0 (AtlCpuSlabs, 1);

  self->pool = pool;
  g_mutex_init (&self->lock);
  self->slabs = g_array_new (FALSE, FALSE, sizeof (Slab));
  return self;
}

void
atl_cpu_slabs_free_all (AtlCpuSlabs *self)
{
  if (self == NULL)
    return;
  g_warn_if_fail (self->slabs->len == 0);
  g_array_unref (self->slabs);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static gsize
round_up (gsize n, gsize unit)
{
  return (n + unit - 1) / unit * unit;
}

static Slab *
slab_with_room (AtlCpuSlabs *self, gsize bytes)
{
  Slab slab = { .size = MAX (SLAB_BYTES, round_up (bytes, ATL_CPU_HUGE_BYTES)) };

  for (guint i = 0; i < self->slabs->len; i++)
    {
      Slab *s = &g_array_index (self->slabs, Slab, i);

      if (bytes <= s->size - s->used)
        return s;
    }
  slab.memory = atl_cpu_alloc (slab.size);
  if (slab.memory == NULL)
    return NULL;
  g_array_append_val (self->slabs, slab);
  return &g_array_index (self->slabs, Slab, self->slabs->len - 1);
}

static void
touch_page (gconstpointer args, guint chunk, guint worker)
{
  volatile guint8 *page = *(guint8 *const *) args + (gsize) chunk * ATL_CPU_HUGE_BYTES;

  for (gsize i = 0; i < ATL_CPU_HUGE_BYTES; i += SMALL_PAGE)
    page[i] = 0;
}

/* Bytes that are touched at a time. */
static gsize
touch_step (const AtlCpuSlabs *self)
{
  gsize used = 0;

  for (guint i = 0; i < self->slabs->len; i++)
    used += g_array_index (self->slabs, Slab, i).used;
  return MIN (TOUCH_BYTES, round_up (used / TOUCH_SHARE, ATL_CPU_HUGE_BYTES));
}

static void
touch (AtlCpuSlabs *self, Slab *slab, gsize n_wanted)
{
  guint8 *first = slab->memory + slab->touched;
  gsize bytes;

  if (slab->used <= slab->touched)
    return;
  if (n_wanted >= TOUCH_BYTES)
    {
      slab->touched = round_up (slab->used, ATL_CPU_HUGE_BYTES);
      return;
    }
  bytes = round_up (slab->used - slab->touched, touch_step (self));
  bytes = MIN (bytes, slab->size - slab->touched);
  atl_pool_run (self->pool, (guint) (bytes / ATL_CPU_HUGE_BYTES), touch_page, &first);
  slab->touched += bytes;
}

gpointer
atl_cpu_slabs_alloc (AtlCpuSlabs *self, gsize bytes)
{
  Slab *slab;
  gpointer memory = NULL;

  if (bytes < ATL_CPU_SLABS_MIN || bytes > G_MAXSIZE / 2)
    return atl_cpu_alloc (bytes);
  g_mutex_lock (&self->lock);
  slab = slab_with_room (self, round_up (bytes, 64));
  if (slab != NULL)
    {
      memory = slab->memory + slab->used;
      slab->used += round_up (bytes, 64);
      slab->n++;
      touch (self, slab, bytes);
    }
  g_mutex_unlock (&self->lock);
  return memory;
}

void
atl_cpu_slabs_free (AtlCpuSlabs *self, gpointer memory)
{
  gpointer unused = memory;

  g_mutex_lock (&self->lock);
  for (guint i = 0; i < self->slabs->len; i++)
    {
      Slab *s = &g_array_index (self->slabs, Slab, i);

      if ((guint8 *) memory < s->memory || (guint8 *) memory >= s->memory + s->size)
        continue;
      unused = NULL;
      if (--s->n == 0)
        {
          unused = s->memory;
          g_array_remove_index_fast (self->slabs, i);
        }
      break;
    }
  g_mutex_unlock (&self->lock);
  free (unused);
}
