/* Search over titles and messages, with what was found marked. */
#define G_LOG_DOMAIN "atl-store"

#include "store/search.h"

#include <string.h>

#include "store/query.h"
#include "store/store-private.h"

#define SNIPPET_CONTEXT_BYTES 80

/* Around a match in what FTS5 returns: noncharacters, which text does not contain. */
#define MARK_START "\xef\xb7\x90"
#define MARK_END "\xef\xb7\x91"
#define SNIPPET(table) "snippet (" table ", 0, '" MARK_START "', '" MARK_END "', '…', 24)"

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

/* Whether words end or begin on one side of stars only: those of a list, of a product and of 2**3
 * stand. */
static gboolean
is_emphasis (char before, char after)
{
  gboolean opens = before == '\0' || g_ascii_isspace (before) || g_ascii_ispunct (before);
  gboolean closes = after == '\0' || g_ascii_isspace (after) || g_ascii_ispunct (after);

  return opens != closes;
}

/* Bytes of Markdown at `text` that a line of plain text is better without: the stars around words,
 * the signs before a heading. `before`: the byte before, 0 at the start. */
static gsize
markdown_length (const char *text, char before)
{
  gsize n;

  if (g_str_has_prefix (text, "**") && (!g_ascii_isalnum (before) || !g_ascii_isalnum (text[2])))
    return 2;
  if (text[0] == '*' && text[1] != '*' && before != '*' && is_emphasis (before, text[1]))
    return 1;
  if (before != '\0' && before != '\n')
    return 0;
  n = strspn (text, "#");
  return n > 0 && n <= 6 && text[n] == ' ' ? n + 1 : 0;
}

/* Takes the marks out of `marked` and notes where they were; line breaks become spaces, and
 * Markdown's signs go. */
static void
set_marked (AtlSearchHit *hit, const char *marked)
{
  g_autoptr (GString) plain = g_string_new (NULL);
  g_autoptr (GArray) matches = g_array_new (FALSE, FALSE, sizeof (AtlMatch));
  AtlMatch current = { 0 };
  gboolean open = FALSE;
  char before = '\0';

  while (*marked != '\0')
    {
      gsize markdown = open ? 0 : markdown_length (marked, before);

      if (markdown > 0)
        marked += markdown;
      else if (g_str_has_prefix (marked, MARK_START))
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
          before = *marked;
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

/* Columns: chat, message, title, whole text, time, snippet (full-text statements only). Parameters:
 * ?1 the expression, ?2 the chat. */
static gboolean
collect (AtlStore *self,
         const char *sql_match,
         const char *sql_scan,
         const AtlQuery *query,
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

      if (raw == NULL || !atl_query_admits (query, raw))
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
  g_auto (AtlQuery) query = { 0 };

  g_return_val_if_fail (text != NULL, NULL);
  if (!atl_query_init (&query, text))
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
  g_auto (AtlQuery) query = { 0 };

  g_return_val_if_fail (text != NULL, NULL);
  if (!atl_query_init (&query, text))
    return g_steal_pointer (&hits);
  return collect (self, match, scan, &query, chat_id, limit, hits, error) ? g_steal_pointer (&hits)
                                                                          : NULL;
}
