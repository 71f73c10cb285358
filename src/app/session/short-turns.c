/* sched_setattr(), which the C library of the oldest supported system does not have. */
#define G_LOG_DOMAIN "atl-app"

#include "app/session/short-turns.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Threads and processes that are started from here begin as if nothing had been asked for. */
#define RESET_ON_FORK 1u
/* The shortest that the kernel takes. */
#define TURN_NS (100u * 1000u)

/* linux/sched/types.h, its first version. */
typedef struct
{
  guint32 size;
  guint32 policy;
  guint64 flags;
  gint32 nice;
  guint32 priority;
  guint64 runtime_ns; /* of an ordinary thread: its turn */
  guint64 deadline_ns;
  guint64 period_ns;
} Attributes;

void
atl_short_turns_ask (void)
{
  Attributes attributes = { 0 };

  /* All else stays as it is. */
  if (syscall (SYS_sched_getattr, 0, &attributes, (guint) sizeof attributes, 0u) != 0 ||
      attributes.policy != 0)
    return;
  attributes.size = sizeof attributes;
  attributes.flags = RESET_ON_FORK;
  attributes.runtime_ns = TURN_NS;
  if (syscall (SYS_sched_setattr, 0, &attributes, 0u) != 0)
    g_debug ("sched_setattr: %s", g_strerror (errno));
}
