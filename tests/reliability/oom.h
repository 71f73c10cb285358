/* Memory that runs out when a test wants it to.
 *
 *   oom_arm (&(OomPlan){ .at = 7, .least = 1 });
 *   ... the 7th allocation that could be refused is ...
 *   oom_disarm ();
 *   g_assert_true (oom_n_refused () == 1);
 *
 * A library whose malloc and its like, and mmap, stand before those of the C library: linked into a
 * test, or loaded into any program by LD_PRELOAD with OOM_AT, OOM_LEAST and OOM_MOST in its
 * environment (OOM_LOUD=1 tells where). GLib ends a program whose g_malloc() fails, so what it
 * calls is passed over (but for g_try_malloc() and its like), as is what the C library takes for
 * itself.
 *
 * Threading: one plan for all threads; arm and disarm from one.
 */
#pragma once

#include <stddef.h>

typedef struct
{
  unsigned at;    /* which of them is refused, from 1; 0: none */
  int goes_on;    /* and all after it */
  size_t least;   /* of what size those are that count */
  size_t most;    /* 0: no limit */
  size_t too_big; /* of what size GLib's own are counted; 0: none are */
} OomPlan;

void oom_arm (const OomPlan *plan);
void oom_disarm (void);

/* Since it was armed: what could have been refused, what was, and GLib's that were too big. */
unsigned oom_n_seen (void);
unsigned oom_n_refused (void);
unsigned oom_n_too_big (void);

/* Blocks that are allocated and not freed, since the program began. */
long oom_n_blocks (void);
