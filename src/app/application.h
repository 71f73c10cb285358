/* The application: one instance, its window, what it opens at start, its global actions and keys.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_APPLICATION (atl_application_get_type ())
G_DECLARE_FINAL_TYPE (AtlApplication, atl_application, ATL, APPLICATION, AdwApplication)

/* `store_dir` is NULL outside tests. */
AtlApplication *atl_application_new (const char *store_dir, GApplicationFlags flags);

G_END_DECLS
