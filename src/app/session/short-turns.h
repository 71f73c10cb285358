/* The main thread among the threads that compute: it needs a processor seldom, for a few
 * milliseconds, and then at once, or frames are late.
 *
 *   atl_short_turns_ask ();   // first thing in main()
 *
 * Threading: asks for the thread it is called on.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* From Linux 6.12 a thread that asks for shorter turns goes before those with longer ones, and has
 * no larger share of the processor by it: the engine is as fast as before. Older kernels do
 * nothing. */
void atl_short_turns_ask (void);

G_END_DECLS
