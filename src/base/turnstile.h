/* A lock that is given in the order in which it was asked for.
 *
 *   AtlTurnstile *turnstile = atl_turnstile_new ();
 *   atl_turnstile_enter (turnstile);
 *   ... one step of computing ...
 *   atl_turnstile_leave (turnstile);
 *
 * Several models compute in turns on the same processors. A plain mutex would let the thread that
 * has just left enter again before those that wait; here every waiter comes first.
 *
 * Threading: any thread; not recursive.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _AtlTurnstile AtlTurnstile;

/* Nobody is inside. The caller's. */
AtlTurnstile *atl_turnstile_new (void);
/* Nobody is inside or waiting. Accepts NULL. */
void atl_turnstile_free (AtlTurnstile *self);

/* Waits until those who asked before have left. */
void atl_turnstile_enter (AtlTurnstile *self);
/* By the thread that is inside: the one that waits longest comes in. */
void atl_turnstile_leave (AtlTurnstile *self);
/* From inside: lets those who wait go first, then comes back. */
void atl_turnstile_yield (AtlTurnstile *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlTurnstile, atl_turnstile_free)

G_END_DECLS
