/* How much memory there is, and is free now, for this process: the machine's, or its control
 * group's where that is less.
 *
 * Threading: any thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  guint64 total_bytes;
  guint64 free_bytes; /* could be taken without swapping; file pages that can be dropped count */
} AtlMemory;

/* `root` is "" for this machine, or a folder that holds proc/ and sys/ (tests). What cannot be read
 * limits nothing; without proc/meminfo both are 0. */
void atl_memory_read (const char *root, AtlMemory *memory);

G_END_DECLS
