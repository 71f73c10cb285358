/* The compiled resources, registered by hand: a static library drops constructors nobody calls. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

GResource *atl_app_get_resource (void);

G_END_DECLS
