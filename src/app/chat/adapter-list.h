/* The adapters (LoRA) of the model in use: added by a button or a drop, with a slider each for how
 * strong they are. A list is remembered for each model, in the setting "adapters". Adding and
 * removing load the model again; a slider counts at once.
 *
 * Signal "notice" (sentence).
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_ADAPTER_LIST (atl_adapter_list_get_type ())
G_DECLARE_FINAL_TYPE (AtlAdapterList, atl_adapter_list, ATL, ADAPTER_LIST, AdwPreferencesGroup)

/* Shows the adapters of the session's model; follows it from then on. */
void atl_adapter_list_set_session (AtlAdapterList *self, AtlSession *session);

/* Adds .gguf or .safetensors files, or PEFT's folders, for the model in use: together, and when it
 * is refused with them none of them stays. */
void atl_adapter_list_add (AtlAdapterList *self, GFile *const *files, guint n_files);

/* What people call the adapter at `path`: "adapter_model.safetensors" says nothing, its folder's
 * name does. The caller's. */
char *atl_adapter_list_dup_name (const char *path);

G_END_DECLS
