/* "Styles (LoRA)": what a picture is drawn with besides the model, and how strongly.
 *
 * Shows and changes the draft of the AtlPicturesSession; signal "changed" when it did. Signal "say"
 * (char *words): words that one listens to are wanted in the prompt. A file is looked into before
 * it is taken: one for another family is refused in words, one that makes do with few steps sets
 * steps and prompt strength, which are as before once it is removed.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/images/pictures-session.h"

G_BEGIN_DECLS

#define ATL_TYPE_LORA_GROUP (atl_lora_group_get_type ())
G_DECLARE_FINAL_TYPE (AtlLoraGroup, atl_lora_group, ATL, LORA_GROUP, AdwPreferencesGroup)

void atl_lora_group_set_session (AtlLoraGroup *self, AtlPicturesSession *pictures);
/* Shows the draft. */
void atl_lora_group_refresh (AtlLoraGroup *self);
/* `info` is of the file, which is a LoRA. One that is in use already only gets the focus. */
void atl_lora_group_take (AtlLoraGroup *self, const char *path, const AtlModelInfo *info);

G_END_DECLS
