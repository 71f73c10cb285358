/* Chats and the folders they are sorted into.
 *
 *   gint64 id = atl_store_chat_add (store, 0, &error);
 *   g_autoptr (AtlChat) chat = atl_store_chat_get (store, id, &error);
 *   g_set_str (&chat->draft, "half a sentence");
 *   atl_store_chat_update (store, chat, ATL_CHAT_DRAFT, &error);
 *
 * Deleting is in store/trash.h: nothing here destroys anything.
 *
 * Threading: that of the handle. Structs are plain copies and never change behind the caller.
 */
#pragma once

#include "store/store.h"

G_BEGIN_DECLS

typedef struct
{
  gint64 id;
  char *name;
  gint64 position; /* sort key, ascending */
} AtlFolder;

typedef struct
{
  gint64 id;
  gint64 folder_id;    /* 0: in no folder (also while its folder is in the trash) */
  char *title;         /* never NULL; "" until it has one */
  gboolean auto_title; /* the title may still be replaced by a generated one */
  gboolean pinned;
  gint64 created_us;
  gint64 updated_us;   /* when the last message was added */
  gint64 trashed_us;   /* 0: not in the trash */
  char *model_id;      /* (nullable) what the person chose: a library path or catalogue id */
  char *settings_json; /* (nullable) object: sampling, context, preset name */
  char *draft;         /* (nullable) text in the composer */
  char *system_prompt; /* (nullable) */
} AtlChat;

typedef enum
{
  ATL_CHAT_TITLE = 1 << 0, /* with auto_title */
  ATL_CHAT_FOLDER = 1 << 1,
  ATL_CHAT_PINNED = 1 << 2,
  ATL_CHAT_MODEL = 1 << 3,
  ATL_CHAT_SETTINGS = 1 << 4,
  ATL_CHAT_DRAFT = 1 << 5,
  ATL_CHAT_SYSTEM_PROMPT = 1 << 6,
} AtlChatFields;

/* NULL is fine. */
void atl_folder_free (AtlFolder *folder);
void atl_chat_free (AtlChat *chat);

/* A new, empty chat; its id, or 0 on error. */
gint64 atl_store_chat_add (AtlStore *self, gint64 folder_id, GError **error);

/* The caller's. ATL_ERROR_NOT_FOUND also for a chat in the trash. */
AtlChat *atl_store_chat_get (AtlStore *self, gint64 id, GError **error);

/* Neither among the chats nor in the trash. FALSE also when that cannot be told. */
gboolean atl_store_chat_is_destroyed (AtlStore *self, gint64 id);

/* All chats outside the trash, pinned first, then newest `updated_us` first. For speed the long
 * fields (settings_json, draft, system_prompt) are NULL. (transfer full) (element-type AtlChat) */
GPtrArray *atl_store_chat_list (AtlStore *self, GError **error);

/* Those in the trash in which anything was written, last deleted first; else as above. */
GPtrArray *atl_store_chat_list_trashed (AtlStore *self, GError **error);

/* Writes the fields named by `fields` from `chat` (by chat->id). Leaves updated_us alone. */
gboolean
atl_store_chat_update (AtlStore *self, const AtlChat *chat, AtlChatFields fields, GError **error);

/* What a chat is called by its first question: its first words, cut between two; "" when there are
 * none. The caller's. */
char *atl_chat_title_from_text (const char *text);

/* Sets a generated title, only while auto_title holds (a person's own title wins a race). */
gboolean
atl_store_chat_suggest_title (AtlStore *self, gint64 id, const char *title, GError **error);

/* A new folder below those there are; its id, or 0 on error. Two may have the same name. */
gint64 atl_store_folder_add (AtlStore *self, const char *name, GError **error);
/* An id that is not there is no error. */
gboolean atl_store_folder_rename (AtlStore *self, gint64 id, const char *name, GError **error);
/* By position, then name. (transfer full) (element-type AtlFolder) */
GPtrArray *atl_store_folder_list (AtlStore *self, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlFolder, atl_folder_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlChat, atl_chat_free)

G_END_DECLS
