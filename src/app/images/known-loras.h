/* Where LoRAs are: recipes only say what they are called.
 *
 *   atl_known_loras_note (session, "/home/ada/ink.safetensors");      // it is used
 *   missing = atl_known_loras_restore (session, settings, recipe);    // later: by its name
 *
 * Known are those of the library and those that were used once, as long as they are there.
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/images/picture-settings.h"
#include "app/session/session.h"

G_BEGIN_DECLS

void atl_known_loras_note (AtlSession *session, const char *path);
/* Whether a recipe means the file by this name, which has no ending; others write folders before
 * it. Models are named so, too. */
gboolean atl_known_loras_is_called (const char *path, const char *name);
/* The LoRAs of `settings` become those of `recipe` (a{sv}), with their strengths. The names of
 * those that are nowhere, "a, b"; NULL when all are there; the caller's. */
char *atl_known_loras_restore (AtlSession *session, AtlPictureSettings *settings, GVariant *recipe);

G_END_DECLS
