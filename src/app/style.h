/* Light or dark and the size of text, as the settings say.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Applies "color-scheme" and "zoom" now and whenever they change. `settings` must stay alive. */
void atl_style_follow (GSettings *settings);

G_END_DECLS
