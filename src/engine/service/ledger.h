/* The memory ledger: what takes memory, and what goes when others need it.
 *
 * Threading: of each function, as it says; else the main thread.
 */
#pragma once

#include "engine/service/memory.h"
#include "engine/service/slot.h"

G_BEGIN_DECLS

/* Its part of a service that begins; clear: of one that ends, with a reference to each slot. */
void atl_ledger_init (AtlService *self);
void atl_ledger_clear (AtlService *self);
/* Takes a reference; from now on it may be unloaded while it is idle. */
void atl_ledger_add (AtlService *self, AtlSlot *slot);
/* Accepts a slot that is not in it. */
void atl_ledger_remove (AtlService *self, AtlSlot *slot);
/* What is free now, and (nullable) how much more could be made free. Any thread. */
void atl_ledger_read (AtlService *self, AtlMemory *memory, guint64 *idle_bytes);
/* Inside the turnstile: frees idle conversations and models, never `keep` (nullable), until `bytes`
 * are free. FALSE with ATL_ERROR_NO_MEMORY in words. */
gboolean
atl_ledger_make_room (AtlService *self, guint64 bytes, const AtlSlot *keep, GError **error);
/* What idle models hold of the GPU's memory. Any thread. */
guint64 atl_ledger_idle_vram (AtlService *self, const AtlSlot *keep);
/* Inside the turnstile: frees what idle models hold there, never `keep` (nullable), until `bytes`
 * are free or nothing is left. Models for pictures stay loaded and read their weights again;
 * `for_pictures`: chats are unloaded too. */
void
atl_ledger_make_vram (AtlService *self, guint64 bytes, const AtlSlot *keep, gboolean for_pictures);
/* AtlChatRoom of a slot. */
gboolean atl_ledger_room_cb (guint64 bytes, gpointer slot, GError **error);

G_END_DECLS
