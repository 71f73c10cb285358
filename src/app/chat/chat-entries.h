/* The lines of the sidebar: headings of days and folders, chats, places found by a search.
 *
 *   g_autoptr (GPtrArray) lines = atl_chat_entries_list (store, &error);
 *
 * Threading: the main thread.
 */
#pragma once

#include <gio/gio.h>

#include "store/store.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_CHAT_ENTRY_HEADING,
  ATL_CHAT_ENTRY_FOLDER, /* a heading that is a folder */
  ATL_CHAT_ENTRY_CHAT,
  ATL_CHAT_ENTRY_HIT, /* a message found; a title found is a chat */
} AtlChatEntryKind;

#define ATL_TYPE_CHAT_ENTRY (atl_chat_entry_get_type ())
G_DECLARE_FINAL_TYPE (AtlChatEntry, atl_chat_entry, ATL, CHAT_ENTRY, GObject)

struct _AtlChatEntry
{
  GObject parent_instance;

  AtlChatEntryKind kind;
  gint64 id;           /* of the chat or folder */
  gint64 folder_id;    /* of a chat that is in one, else 0 */
  gint64 message_id;   /* of a hit */
  char *title;         /* never empty */
  char *markup;        /* (nullable) the snippet of a hit, matches in bold */
  gboolean pinned;     /* a chat, or the heading above such */
  gboolean is_running; /* being answered; set by whoever shows it */
};

/* "Pinned", the folders, then days, each with its chats. (transfer full) (element-type
 * AtlChatEntry); NULL on error. */
GPtrArray *atl_chat_entries_list (AtlStore *store, GError **error);
/* What a search finds. */
GPtrArray *atl_chat_entries_search (AtlStore *store, const char *query, GError **error);
/* Whether both look the same. */
gboolean atl_chat_entry_equal (const AtlChatEntry *a, const AtlChatEntry *b);
/* The heading of a day, "Today", "Yesterday", "Last 7 days", "March 2026"; the caller's. */
char *atl_chat_entries_day (gint64 time_us, gint64 now_us);

G_END_DECLS
