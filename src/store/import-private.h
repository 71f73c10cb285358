/* One run of atl_store_import(): what its readers of single chats share. All inside one
 * transaction, which is undone when any of them returns FALSE; all errors are ATL_ERROR_BAD_FILE
 * (the file is not understood) or the database's. Threading: that of the handle. */
#pragma once

#include <json-glib/json-glib.h>

#include "store/chats.h"

G_BEGIN_DECLS

typedef struct
{
  AtlStore *store;
  const char *name;     /* of the file, for messages */
  GArray *chats;        /* ids of the chats made so far (gint64) */
  gboolean is_untitled; /* the last of them has the file's name only */
} AtlImport;

/* Sets `error` to the file's name and `words`; always FALSE. */
gboolean atl_import_refuse (const AtlImport *import, GError **error, const char *words);

/* A chat's title from the file's name: "chat.json" -> "chat". The caller's. */
char *atl_import_title (const char *name);

/* Adds a chat without messages (its id and folder are not read) and notes it in import->chats. Its
 * id; 0 with `error`. */
gint64 atl_import_chat (AtlImport *import, const AtlChat *chat, GError **error);

/* A list of {"role" or "from", "content" or "value"}; a system message that opens it becomes the
 * chat's system prompt. `title` (nullable). */
gboolean atl_import_list (AtlImport *import, JsonArray *list, const char *title, GError **error);

/* LM Studio's chat `object`, whose messages (`list`) have versions, of which one is selected and
 * carries what follows. */
gboolean
atl_import_versions (AtlImport *import, JsonObject *object, JsonArray *list, GError **error);

/* ChatGPT's chat `object` with its "mapping": node id -> {message, children}. */
gboolean
atl_import_mapping (AtlImport *import, JsonObject *object, JsonObject *mapping, GError **error);

G_END_DECLS
