/* Icons are freed on the main thread.
 *
 * GTK loads them on threads, which may drop the last reference to one whose widget has gone. While
 * such a thread finalises it, it still stands in the icon theme's cache: a widget that asks for the
 * same icon at that moment gets nothing, and GTK reads from there (GTK 4.8, gtkicontheme.c,
 * icon_cache_lookup()).
 */
#pragma once

/* Once, before there are windows; on the main thread. */
void atl_icon_threads_init (void);
