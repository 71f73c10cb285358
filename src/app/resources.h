/* The compiled resources, registered by hand: a static library drops constructors nobody calls.
 *
 * Threading: the main thread, before anything is shown.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Once a process. */
void atl_app_register_resource (void);

G_END_DECLS
