/* The schema as a list of migrations, and the runner that applies them.
 *
 * A new database runs all of them from the first; an older one those it lacks. A migration once
 * released never changes: a new table or column is a new migration at the end.
 *
 * Threading: the connection's.
 */
#pragma once

#include <sqlite3.h>

#include "base/error.h"

G_BEGIN_DECLS

typedef struct
{
  int version;     /* PRAGMA user_version after it ran; 1, 2, 3... without gaps */
  const char *sql; /* statements, each ended by ';' */
} AtlMigration;

/* The application's own list. */
const AtlMigration *atl_schema_migrations (guint *n);

/* PRAGMA user_version; -1 on error (code in *rc). */
int atl_schema_version (sqlite3 *db, int *rc);

/* Brings `db` to the version of the last of `steps`, each step in a transaction of its own: an
 * interruption leaves the version before or after a step, never between. Two processes may do it at
 * once. Before the first step on a database that holds something, a copy is written to
 * backups/before-version-N.db in `dir`. ATL_ERROR_UNSUPPORTED when the database is newer than the
 * last step. */
gboolean atl_schema_migrate (
    sqlite3 *db, const AtlMigration *steps, guint n_steps, const char *dir, GError **error);

G_END_DECLS
