/* Sorts chats under headings and marks what a search found. */
#include "app/chat/chat-entries.h"

#include <glib/gi18n.h>
#include <string.h>

#include "store/chats.h"
#include "store/search.h"

#define MAX_HITS 200
#define LEAD_CHARS 18

G_DEFINE_FINAL_TYPE (AtlChatEntry, atl_chat_entry, G_TYPE_OBJECT)

static void
atl_chat_entry_finalize (GObject *object)
{
  AtlChatEntry *self = ATL_CHAT_ENTRY (object);

  g_free (self->title);
  g_free (self->markup);
  G_OBJECT_CLASS (atl_chat_entry_parent_class)->finalize (object);
}

static void
atl_chat_entry_class_init (AtlChatEntryClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = atl_chat_entry_finalize;
}

static void
atl_chat_entry_init (AtlChatEntry *self)
{
}

static AtlChatEntry *
add (GPtrArray *entries, AtlChatEntryKind kind, gint64 id, const char *title)
{
  AtlChatEntry *entry = g_object_new (ATL_TYPE_CHAT_ENTRY, NULL);

  entry->kind = kind;
  entry->id = id;
  entry->title = g_strdup (title && *title ? title : _ ("New chat"));
  g_ptr_array_add (entries, entry);
  return entry;
}

gboolean
atl_chat_entry_equal (const AtlChatEntry *a, const AtlChatEntry *b)
{
  return a->kind == b->kind && a->id == b->id && a->message_id == b->message_id &&
         a->pinned == b->pinned && a->is_running == b->is_running &&
         g_str_equal (a->title, b->title) && g_strcmp0 (a->markup, b->markup) == 0;
}

char *
atl_chat_entries_day (gint64 time_us, gint64 now_us)
{
  g_autoptr (GDateTime) then = g_date_time_new_from_unix_local (time_us / G_USEC_PER_SEC);
  g_autoptr (GDateTime) now = g_date_time_new_from_unix_local (now_us / G_USEC_PER_SEC);
  GDate a, b;
  int days;

  if (then == NULL || now == NULL)
    return g_strdup (_ ("Earlier"));
  g_date_clear (&a, 1);
  g_date_clear (&b, 1);
  g_date_set_dmy (&a, (GDateDay) g_date_time_get_day_of_month (then),
                  (GDateMonth) g_date_time_get_month (then),
                  (GDateYear) g_date_time_get_year (then));
  g_date_set_dmy (&b, (GDateDay) g_date_time_get_day_of_month (now),
                  (GDateMonth) g_date_time_get_month (now), (GDateYear) g_date_time_get_year (now));
  days = g_date_days_between (&a, &b);
  if (days <= 0)
    return g_strdup (_ ("Today"));
  if (days == 1)
    return g_strdup (_ ("Yesterday"));
  if (days <= 7)
    return g_strdup (_ ("Last 7 days"));
  if (days <= 30)
    return g_strdup (_ ("Last 30 days"));
  /* Translators: a month as a heading, see g_date_time_format() */
  return g_date_time_format (then, _ ("%B %Y"));
}

static void
add_chat (GPtrArray *entries, const AtlChat *chat)
{
  AtlChatEntry *entry = add (entries, ATL_CHAT_ENTRY_CHAT, chat->id, chat->title);
  entry->folder_id = chat->folder_id;
  entry->pinned = chat->pinned;
}

static void
add_pinned (GPtrArray *entries, GPtrArray *chats)
{
  gboolean any = FALSE;

  for (guint i = 0; i < chats->len; i++)
    {
      const AtlChat *chat = g_ptr_array_index (chats, i);
      if (!chat->pinned)
        continue;
      if (!any)
        add (entries, ATL_CHAT_ENTRY_HEADING, 0, _ ("Pinned"))->pinned = TRUE;
      any = TRUE;
      add_chat (entries, chat);
    }
}

static void
add_folders (GPtrArray *entries, GPtrArray *chats, GPtrArray *folders)
{
  for (guint f = 0; f < folders->len; f++)
    {
      const AtlFolder *folder = g_ptr_array_index (folders, f);
      add (entries, ATL_CHAT_ENTRY_FOLDER, folder->id, folder->name);
      for (guint i = 0; i < chats->len; i++)
        {
          const AtlChat *chat = g_ptr_array_index (chats, i);
          if (!chat->pinned && chat->folder_id == folder->id)
            add_chat (entries, chat);
        }
    }
}

static void
add_days (GPtrArray *entries, GPtrArray *chats)
{
  gint64 now = g_get_real_time ();
  g_autofree char *heading = NULL;

  for (guint i = 0; i < chats->len; i++)
    {
      const AtlChat *chat = g_ptr_array_index (chats, i);
      g_autofree char *day = NULL;
      if (chat->pinned || chat->folder_id != 0)
        continue;
      day = atl_chat_entries_day (chat->updated_us, now);
      if (g_strcmp0 (day, heading) != 0)
        {
          add (entries, ATL_CHAT_ENTRY_HEADING, 0, day);
          g_free (heading);
          heading = g_steal_pointer (&day);
        }
      add_chat (entries, chat);
    }
}

GPtrArray *
atl_chat_entries_list (AtlStore *store, GError **error)
{
  g_autoptr (GPtrArray) chats = atl_store_chat_list (store, error);
  g_autoptr (GPtrArray) folders = NULL;
  GPtrArray *entries;

  if (chats == NULL)
    return NULL;
  folders = atl_store_folder_list (store, error);
  if (folders == NULL)
    return NULL;
  entries = g_ptr_array_new_with_free_func (g_object_unref);
  add_pinned (entries, chats);
  add_folders (entries, chats, folders);
  add_days (entries, chats);
  return entries;
}

/* Where to begin so that the first match stands on the first of two short lines: at a word, a few
 * words before it. */
static gsize
snippet_start (const AtlSearchHit *hit)
{
  gsize first = hit->n_matches > 0 ? MIN (hit->match[0].start, strlen (hit->snippet)) : 0;
  const char *p = hit->snippet + first;
  guint n_chars = 0;

  while (p > hit->snippet && n_chars++ < LEAD_CHARS)
    p = g_utf8_prev_char (p);
  if (p == hit->snippet)
    return 0;
  while (p < hit->snippet + first && *p != ' ')
    p = g_utf8_next_char (p);
  return (gsize) (p - hit->snippet);
}

static char *
mark_matches (const AtlSearchHit *hit)
{
  gsize length = strlen (hit->snippet);
  gsize at = snippet_start (hit);
  g_autoptr (GString) markup = g_string_new (at > 0 ? "…" : NULL);

  for (guint i = 0; i < hit->n_matches; i++)
    {
      gsize start = hit->match[i].start, end = hit->match[i].end;
      if (start < at || end > length || end < start)
        continue;
      g_autofree char *before = g_markup_escape_text (hit->snippet + at, start - at);
      g_autofree char *match = g_markup_escape_text (hit->snippet + start, end - start);
      g_string_append_printf (markup, "%s<b>%s</b>", before, match);
      at = end;
    }
  g_autofree char *rest = g_markup_escape_text (hit->snippet + at, length - at);
  g_string_append (markup, rest);
  return g_strdup (markup->str);
}

/* A chat is called by its first question until it has a title: it would be there twice. */
static gboolean
is_listed (GPtrArray *entries, const AtlSearchHit *hit)
{
  for (guint i = 0; i < entries->len; i++)
    {
      const AtlChatEntry *entry = g_ptr_array_index (entries, i);

      if (hit->message_id != 0 && entry->kind == ATL_CHAT_ENTRY_CHAT && entry->id == hit->chat_id &&
          g_strcmp0 (hit->snippet, hit->chat_title) == 0)
        return TRUE;
    }
  return FALSE;
}

GPtrArray *
atl_chat_entries_search (AtlStore *store, const char *query, GError **error)
{
  g_autoptr (GPtrArray) hits = atl_store_search (store, query, MAX_HITS, error);
  GPtrArray *entries;

  if (hits == NULL)
    return NULL;
  entries = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; i < hits->len; i++)
    {
      const AtlSearchHit *hit = g_ptr_array_index (hits, i);
      AtlChatEntry *entry;

      if (is_listed (entries, hit))
        continue;
      entry = add (entries, hit->message_id ? ATL_CHAT_ENTRY_HIT : ATL_CHAT_ENTRY_CHAT,
                   hit->chat_id, hit->chat_title);
      entry->message_id = hit->message_id;
      if (hit->message_id != 0)
        entry->markup = mark_matches (hit);
    }
  return entries;
}
