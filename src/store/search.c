/* Search: what a person typed becomes a full-text expression that cannot be a syntax error, plus
 * plain substrings for what the index does not know as words. */
#define G_LOG_DOMAIN "atl-store"

#include "store/search.h"

#include <string.h>

#include "store/store-private.h"

#define MAX_WORDS 16
#define SNIPPET_CONTEXT_BYTES 80

/* Around a match in what FTS5 returns: noncharacters, which text does not contain. */
#define MARK_START "\xef\xb7\x90"
#define MARK_END "\xef\xb7\x91"
#define SNIPPET(table) "snippet (" table ", 0, '" MARK_START "', '" MARK_END "', '…', 24)"

typedef struct
{
  char *match;           /* (owned) (nullable) FTS5 expression */
  GPtrArray *substrings; /* (owned) of words that must occur as they are */
} Query;

void
atl_search_hit_free (AtlSearchHit *hit)
{
  if (hit == NULL)
    return;
  g_free (hit->chat_title);
  g_free (hit->snippet);
  g_free (hit->match);
  g_free (hit);
}

static gboolean
separates_no_words (gunichar c)
{
  switch (g_unichar_get_script (c))
    {
    case G_UNICODE_SCRIPT_HAN:
    case G_UNICODE_SCRIPT_HIRAGANA:
    case G_UNICODE_SCRIPT_KATAKANA:
    case G_UNICODE_SCRIPT_THAI:
    case G_UNICODE_SCRIPT_LAO:
    case G_UNICODE_SCRIPT_KHMER:
    case G_UNICODE_SCRIPT_MYANMAR:
      return TRUE;
    default:
      return FALSE;
    }
}

/* TRUE when the index knows `word` as the beginning of a word. Signs alone ("++") are no word to
 * it. */
static gboolean
is_indexed (const char *word)
{
  gboolean any = FALSE;

  for (const char *p = word; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (separates_no_words (c))
        return FALSE;
      any = any || g_unichar_isalnum (c);
    }
  return any;
}

static void
query_clear (Query *query)
{
  g_clear_pointer (&query->match, g_free);
  g_clear_pointer (&query->substrings, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Query, query_clear)

/* FALSE when nothing was asked for. */
static gboolean
query_init (Query *query, const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  g_autofree char *normal = g_utf8_normalize (valid, -1, G_NORMALIZE_NFC);
  g_auto (GStrv) words = g_strsplit_set (normal, " \t\r\n\v\f", -1);
  g_autoptr (GString) match = g_string_new (NULL);
  guint n = 0;

  query->substrings = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; words[i] != NULL && n < MAX_WORDS; i++)
    {
      if (words[i][0] == '\0')
        continue;
      n++;
      if (!is_indexed (words[i]))
        {
          g_ptr_array_add (query->substrings, g_strdup (words[i]));
          continue;
        }
      g_string_append (match, "\"");
      for (const char *p = words[i]; *p != '\0'; p++)
        g_string_append_len (match, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1);
      g_string_append (match, "\" * ");
    }
  query->match = match->len > 0 ? g_string_free (g_steal_pointer (&match), FALSE) : NULL;
  return n > 0;
}

/* Takes the marks out of `marked` and notes where they were; line breaks become spaces. */
static void
set_marked (AtlSearchHit *hit, const char *marked)
{
  g_autoptr (GString) plain = g_string_new (NULL);
  g_autoptr (GArray) matches = g_array_new (FALSE, FALSE, sizeof (AtlMatch));
  AtlMatch current = { 0 };
  gboolean open = FALSE;

  while (*marked != '\0')
    {
      if (g_str_has_prefix (marked, MARK_START))
        {
          current.start = (guint) plain->len;
          open = TRUE;
          marked += strlen (MARK_START);
        }
      else if (g_str_has_prefix (marked, MARK_END))
        {
          current.end = (guint) plain->len;
          if (open && current.end > current.start)
            g_array_append_val (matches, current);
          open = FALSE;
          marked += strlen (MARK_END);
        }
      else
        {
          g_string_append_c (plain, g_ascii_isspace (*marked) ? ' ' : *marked);
          marked++;
        }
    }
  hit->snippet = g_string_free (g_steal_pointer (&plain), FALSE);
  hit->n_matches = matches->len;
  hit->match = (AtlMatch *) g_array_free (g_steal_pointer (&matches), FALSE);
}

/* The text around the first place of `needle`, all its places marked. */
static char *
mark_substring (const char *text, const char *needle)
{
  const char *first = strstr (text, needle);
  const char *start = first - MIN (first - text, SNIPPET_CONTEXT_BYTES);
  gsize rest = strlen (first);
  const char *end = first + MIN (rest, strlen (needle) + SNIPPET_CONTEXT_BYTES);
  g_autoptr (GString) out = g_string_new (NULL);
  g_autofree char *marked = g_strconcat (MARK_START, needle, MARK_END, NULL);

  /* Not inside a character. */
  while (start > text && (*start & 0xc0) == 0x80)
    start--;
  while (*end != '\0' && (*end & 0xc0) == 0x80)
    end++;
  if (start > text)
    g_string_append (out, "…");
  g_string_append_len (out, start, end - start);
  if (*end != '\0')
    g_string_append (out, "…");
  g_string_replace (out, needle, marked, 0);
  return g_string_free (g_steal_pointer (&out), FALSE);
}

static gboolean
has_substrings (const Query *query, const char *text)
{
  for (guint i = 0; i < query->substrings->len; i++)
    if (strstr (text, query->substrings->pdata[i]) == NULL)
      return FALSE;
  return TRUE;
}

/* Columns: chat, message, title, whole text, time, snippet (full-text statements only). Parameters:
 * ?1 the expression, ?2 the chat. */
static gboolean
collect (AtlStore *self,
         const char *sql_match,
         const char *sql_scan,
         const Query *query,
         gint64 chat_id,
         guint limit,
         GPtrArray *hits,
         GError **error)
{
  g_autoptr (AtlStmt) stmt = atl_db_stmt (self, query->match != NULL ? sql_match : sql_scan, error);
  g_autoptr (GError) local = NULL;

  if (stmt == NULL)
    return FALSE;
  sqlite3_bind_text (stmt, 1, query->match, -1, SQLITE_STATIC);
  sqlite3_bind_int64 (stmt, 2, chat_id);
  for (guint n = 0; n < limit && atl_db_next (self, stmt, "searching", &local);)
    {
      const char *raw = (const char *) sqlite3_column_text (stmt, 3);
      g_autofree char *shown = NULL;
      AtlSearchHit *hit;

      if (raw == NULL || !has_substrings (query, raw))
        continue;
      if (query->match != NULL)
        shown = atl_db_text (self, stmt, 5);
      else
        {
          g_autofree char *text = atl_db_text (self, stmt, 3);

          shown = strstr (text, query->substrings->pdata[0]) != NULL
                      ? mark_substring (text, query->substrings->pdata[0])
                      : g_strdup ("");
        }
      if (shown == NULL)
        continue;
      hit = g_new0 (AtlSearchHit, 1);
      hit->chat_id = sqlite3_column_int64 (stmt, 0);
      hit->message_id = sqlite3_column_int64 (stmt, 1);
      hit->chat_title = atl_db_text (self, stmt, 2);
      if (hit->chat_title == NULL)
        hit->chat_title = g_strdup ("");
      hit->created_us = sqlite3_column_int64 (stmt, 4);
      set_marked (hit, shown);
      g_ptr_array_add (hits, hit);
      n++;
    }
  if (local == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

GPtrArray *
atl_store_search (AtlStore *self, const char *text, guint limit, GError **error)
{
  /* CROSS JOIN keeps the order of the loops: the index first, newest first, so that the limit ends
   * the search early. */
  static const char titles_match[] = "SELECT c.id, 0, c.title, c.title, c.updated_us, " SNIPPET (
      "chat_search") " FROM chat_search CROSS JOIN chats c ON c.id = chat_search.rowid"
                     " WHERE chat_search MATCH ?1 AND c.trashed_us IS NULL ORDER BY "
                     "chat_search.rowid DESC";
  static const char titles_scan[] = "SELECT id, 0, title, title, updated_us FROM chats"
                                    " WHERE trashed_us IS NULL ORDER BY id DESC";
  static const char messages_match[] =
      "SELECT m.chat_id, m.id, c.title, m.content, m.created_us, " SNIPPET (
          "message_search") " FROM message_search CROSS JOIN messages m ON m.id = "
                            "message_search.rowid"
                            " CROSS JOIN chats c ON c.id = m.chat_id"
                            " WHERE message_search MATCH ?1 AND m.trashed_us IS NULL AND "
                            "c.trashed_us IS NULL"
                            " ORDER BY message_search.rowid DESC";
  static const char messages_scan[] =
      "SELECT m.chat_id, m.id, c.title, m.content, m.created_us"
      " FROM messages m CROSS JOIN chats c ON c.id = m.chat_id"
      " WHERE m.trashed_us IS NULL AND c.trashed_us IS NULL ORDER BY m.id DESC";
  g_autoptr (GPtrArray) hits =
      g_ptr_array_new_with_free_func ((GDestroyNotify) atl_search_hit_free);
  g_auto (Query) query = { 0 };

  g_return_val_if_fail (text != NULL, NULL);
  if (!query_init (&query, text))
    return g_steal_pointer (&hits);
  if (!collect (self, titles_match, titles_scan, &query, 0, limit, hits, error) ||
      !collect (self, messages_match, messages_scan, &query, 0, limit, hits, error))
    return NULL;
  return g_steal_pointer (&hits);
}

GPtrArray *
atl_store_search_chat (
    AtlStore *self, gint64 chat_id, const char *text, guint limit, GError **error)
{
  static const char match[] = "SELECT m.chat_id, m.id, c.title, m.content, m.created_us, " SNIPPET (
      "message_search") " FROM message_search CROSS JOIN messages m ON m.id = message_search.rowid"
                        " CROSS JOIN chats c ON c.id = m.chat_id"
                        " WHERE message_search MATCH ?1 AND m.chat_id = ?2 AND m.trashed_us IS NULL"
                        " ORDER BY message_search.rowid";
  static const char scan[] = "SELECT m.chat_id, m.id, c.title, m.content, m.created_us"
                             " FROM messages m CROSS JOIN chats c ON c.id = m.chat_id"
                             " WHERE m.chat_id = ?2 AND m.trashed_us IS NULL ORDER BY m.id";
  g_autoptr (GPtrArray) hits =
      g_ptr_array_new_with_free_func ((GDestroyNotify) atl_search_hit_free);
  g_auto (Query) query = { 0 };

  g_return_val_if_fail (text != NULL, NULL);
  if (!query_init (&query, text))
    return g_steal_pointer (&hits);
  return collect (self, match, scan, &query, chat_id, limit, hits, error) ? g_steal_pointer (&hits)
                                                                          : NULL;
}
