/* Something that is done while memory runs out, at one allocation after the other (oom.h).
 *
 *   static const RefusedCase store = { "store", keep_chats, FALSE };
 *   refused_start (argv);
 *   g_test_add_data_func ("/memory/store", &store, refused_test);
 *
 * Each time it goes well or is refused in words, and nothing leaks; then the same goes well.
 * $ATELIER_FAULT_ROUNDS allocations (60), spread evenly; every second time, all after it fail too.
 * With OOM_LOUD=1 it says which.
 *
 * GLib ends a program when it gets no memory. What it allocates for these is told where it is large
 * enough to be refused in practice, and must be none.
 */
#pragma once

#include "base/error.h"

typedef struct
{
  const char *name;
  gboolean (*act) (GError **error); /* the same each time, and leaves nothing behind */
  gboolean has_threads;             /* what they keep for themselves is no leak */
  gsize least;                      /* only allocations of so many bytes are refused */
} RefusedCase;

/* First in main: may start the program anew. */
void refused_start (char **argv);

/* `data` is a RefusedCase. */
void refused_test (gconstpointer data);
