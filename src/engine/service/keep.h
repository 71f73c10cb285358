/* Files of conversations that leave the memory.
 *
 * Threading: the main thread, unless said.
 */
#pragma once

#include "engine/service/slot.h"

G_BEGIN_DECLS

AtlKeepTable *atl_keep_table_new (AtlService *service);
/* Accepts NULL. */
void atl_keep_table_free (AtlKeepTable *self);
/* What the pipeline asks for files. */
AtlChatKeep atl_keep_table_files (AtlKeepTable *self);
/* Inside the turnstile, with the slot's lock: writes what changed before the model goes. */
void atl_keep_before_unload (AtlSlot *slot);

/* Now and then, on the main thread: has conversations kept whose model nobody asked for a while, on
 * a worker and as long as nobody asks. */
void atl_keep_due (AtlService *self);

G_END_DECLS
