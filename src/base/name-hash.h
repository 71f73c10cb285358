/* Hashing names that come from files of others.
 *
 *   table = g_hash_table_new (atl_name_hash, g_str_equal);
 *
 * With g_str_hash, whose collisions anybody can write down, a file could make every insertion walk
 * all others. The start value of this one is not known to the file's author.
 *
 * Threading: any thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A GHashFunc for texts; another one in every process. */
guint atl_name_hash (gconstpointer key);

G_END_DECLS
