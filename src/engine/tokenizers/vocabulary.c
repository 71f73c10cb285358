/* Pieces by id and by text. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/vocabulary.h"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

AtlVocabulary *
atl_vocabulary_new (guint64 n, GError **error)
{
  AtlVocabulary *self;

  if (n == 0 || n > ATL_VOCABULARY_MAX_TOKENS)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("The vocabulary has %" PRIu64 " pieces; 1 to %u are possible"), n,
                   ATL_VOCABULARY_MAX_TOKENS);
      return NULL;
    }
  self = g_new0 (AtlVocabulary, 1);
  self->n = (guint) n;
  self->text = g_new0 (char *, n);
  self->length = g_new0 (guint32, n);
  self->type = g_new0 (guint8, n);
  self->score = g_new0 (double, n);
  self->chunk = g_string_chunk_new (64 * 1024);
  for (guint i = 0; i < self->n; i++)
    self->type[i] = ATL_TOKEN_UNUSED;
  return self;
}

void
atl_vocabulary_free (AtlVocabulary *self)
{
  if (self == NULL)
    return;
  g_free (self->text);
  g_free (self->length);
  g_free (self->type);
  g_free (self->score);
  g_free (self->slot);
  g_string_chunk_free (self->chunk);
  g_free (self);
}

gboolean
atl_vocabulary_set (AtlVocabulary *self,
                    guint id,
                    const char *text,
                    gsize length,
                    AtlTokenType type,
                    double score,
                    GError **error)
{
  g_return_val_if_fail (id < self->n, FALSE);

  if (length > ATL_VOCABULARY_MAX_PIECE)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("Piece %u of the vocabulary is %zu bytes long; at most %d are "
                      "possible"),
                   id, length, ATL_VOCABULARY_MAX_PIECE);
      return FALSE;
    }
  /* No text holds such a piece: it stays without one, as some vocabularies list it. */
  if (length > 0 && memchr (text, 0, length) != NULL)
    length = 0;
  if (!g_utf8_validate_len (text, length, NULL))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("Piece %u of the vocabulary is not valid UTF-8 text"), id);
      return FALSE;
    }
  self->total_bytes += length;
  if (self->total_bytes > ATL_VOCABULARY_MAX_BYTES)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("The pieces of the vocabulary are more than %d MB of text"),
                   ATL_VOCABULARY_MAX_BYTES / (1024 * 1024));
      return FALSE;
    }
  self->text[id] =
      length > 0 ? g_string_chunk_insert_len (self->chunk, text, (gssize) length) : NULL;
  self->length[id] = (guint32) length;
  self->type[id] = (guint8) type;
  self->score[id] = score;
  return TRUE;
}

/* FNV-1a, finished by a multiplication so that the low bits depend on all of the text. */
static guint32
hash (const char *text, gsize length)
{
  guint64 h = 0xcbf29ce484222325u;

  for (gsize i = 0; i < length; i++)
    h = (h ^ (guint8) text[i]) * 0x100000001b3u;
  h = (h ^ (h >> 32)) * 0x9e3779b97f4a7c15u;
  return (guint32) (h >> 32);
}

static gboolean
is_at (const AtlVocabulary *self, guint32 at, guint32 h, const char *text, gsize length)
{
  const guint32 id = self->slot[at].id - 1;

  return self->slot[at].hash == h && self->length[id] == length &&
         memcmp (self->text[id], text, length) == 0;
}

gboolean
atl_vocabulary_index (AtlVocabulary *self, GError **error)
{
  guint32 size = 16;

  g_return_val_if_fail (self->slot == NULL, FALSE);

  while (size < self->n * 2u)
    size *= 2;
  self->slot = g_new0 (AtlVocabularySlot, size);
  self->slot_mask = size - 1;
  self->max_length = 0;

  for (guint id = 0; id < self->n; id++)
    {
      guint32 h, at;
      guint probes = 0;

      if (self->text[id] == NULL)
        continue;
      self->max_length = MAX (self->max_length, self->length[id]);
      h = hash (self->text[id], self->length[id]);
      at = h & self->slot_mask;
      while (self->slot[at].id != 0)
        {
          if (is_at (self, at, h, self->text[id], self->length[id]))
            {
              self->has_twins = TRUE;
              break;
            }
          at = (at + 1) & self->slot_mask;
          if (++probes > ATL_VOCABULARY_MAX_PROBES)
            {
              g_set_error_literal (
                  error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                  _ ("The pieces of the vocabulary were made to be slow to look up"));
              return FALSE;
            }
        }
      self->slot[at] = (AtlVocabularySlot){ id + 1, h };
    }
  return TRUE;
}

gint32
atl_vocabulary_find (const AtlVocabulary *self, const char *text, gsize length)
{
  guint32 h, at;

  if (length == 0 || length > self->max_length)
    return -1;
  h = hash (text, length);
  for (at = h & self->slot_mask; self->slot[at].id != 0; at = (at + 1) & self->slot_mask)
    if (is_at (self, at, h, text, length))
      return (gint32) self->slot[at].id - 1;
  return -1;
}

gint32
atl_vocabulary_find_near (const AtlVocabulary *self, gint32 guess, const char *text, gsize length)
{
  if (guess >= 0 && (guint) guess < self->n && !self->has_twins && length > 0 &&
      self->length[guess] == length && memcmp (self->text[guess], text, length) == 0)
    return guess;
  return atl_vocabulary_find (self, text, length);
}

void
atl_vocabulary_byte_ids (const AtlVocabulary *self, gint32 ids[256])
{
  for (guint b = 0; b < 256; b++)
    {
      char name[8];

      g_snprintf (name, sizeof name, "<0x%02X>", b);
      ids[b] = atl_vocabulary_find (self, name, 6);
    }
}

gboolean
atl_vocabulary_append_bytes (const gint32 byte_ids[256], const char *p, gsize length, GArray *ids)
{
  for (gsize i = 0; i < length; i++)
    if (byte_ids[(guint8) p[i]] < 0)
      return FALSE;
  for (gsize i = 0; i < length; i++)
    g_array_append_val (ids, byte_ids[(guint8) p[i]]);
  return TRUE;
}

int
atl_vocabulary_byte_value (const char *text)
{
  if (strlen (text) != 6 || strncmp (text, "<0x", 3) != 0 || text[5] != '>' ||
      !g_ascii_isxdigit (text[3]) || !g_ascii_isxdigit (text[4]))
    return -1;
  return g_ascii_xdigit_value (text[3]) * 16 + g_ascii_xdigit_value (text[4]);
}

char *
atl_vocabulary_quote (const char *text, gsize length)
{
  g_autofree char *valid = g_utf8_make_valid (text, (gssize) MIN (length, 400));
  char *quote = g_utf8_substring (valid, 0, MIN (80, g_utf8_strlen (valid, -1)));

  for (char *p = quote; *p != 0; p++)
    if ((guint8) *p < 0x20 || *p == 0x7f)
      *p = ' ';
  return quote;
}
