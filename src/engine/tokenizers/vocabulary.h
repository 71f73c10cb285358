/* The pieces of a tokenizer: text, type and score of each id, and the way back from text to id.
 *
 *   g_autoptr (AtlVocabulary) v = atl_vocabulary_new (n);
 *   atl_vocabulary_set (v, 0, "the", 3, ATL_TOKEN_NORMAL, -3.5f, error) ...
 *   atl_vocabulary_index (v, error) ...
 *   gint32 id = atl_vocabulary_find (v, "the", 3);
 *
 * Two ids may share a text (some files repeat a piece); the text then leads to the last of them.
 *
 * Threading: built by one thread, then read by any.
 */
#pragma once

#include "engine/tokenizers/tokenizer.h"

G_BEGIN_DECLS

#define ATL_VOCABULARY_MAX_TOKENS (1u << 22)
/* Keeps the walk along one piece short; the longest known in real files have a few hundred. */
#define ATL_VOCABULARY_MAX_PIECE 8192
#define ATL_VOCABULARY_MAX_BYTES (16 * 1024 * 1024) /* of all pieces together */

/* A place of the hash table over the texts. */
typedef struct
{
  guint32 id;   /* + 1; 0 when free */
  guint32 hash; /* tells most other texts without looking at them */
} AtlVocabularySlot;

typedef struct
{
  guint n;
  char **text;     /* [n] (owned) terminated; NULL: the file leaves this id out */
  guint32 *length; /* [n] bytes */
  guint8 *type;    /* [n] AtlTokenType */
  double *score;   /* [n] */
  guint32 max_length;
  gsize total_bytes;

  GStringChunk *chunk;
  AtlVocabularySlot *slot; /* [slot_mask + 1] open addressing */
  guint32 slot_mask;
  gboolean has_twins; /* two ids share a text */
} AtlVocabulary;

/* ATL_ERROR_BAD_FILE when `n` is 0 or above ATL_VOCABULARY_MAX_TOKENS. */
AtlVocabulary *atl_vocabulary_new (guint64 n, GError **error);
void atl_vocabulary_free (AtlVocabulary *self); /* accepts NULL */

/* Sets or replaces one id, id < n. ATL_ERROR_BAD_FILE when the piece or all pieces together are too
 * long, or when it is no valid UTF-8. An empty text, or one with a NUL, leaves the id without a
 * piece.
 */
gboolean atl_vocabulary_set (AtlVocabulary *self,
                             guint id,
                             const char *text,
                             gsize length,
                             AtlTokenType type,
                             double score,
                             GError **error);

/* Builds the way back; call once, after the last `set`. ATL_ERROR_BAD_FILE when the pieces were
 * chosen to collide in the hash table. */
gboolean atl_vocabulary_index (AtlVocabulary *self, GError **error);

/* Slots of a hash table that are looked at for one key before the file counts as hostile. */
#define ATL_VOCABULARY_MAX_PROBES 2048

/* The id of exactly these bytes, or −1. */
gint32 atl_vocabulary_find (const AtlVocabulary *self, const char *text, gsize length);

/* The same, sooner where the guess is right; any guess will do. */
gint32
atl_vocabulary_find_near (const AtlVocabulary *self, gint32 guess, const char *text, gsize length);

/* The ids of "<0x00>" to "<0xFF>", −1 where absent. */
void atl_vocabulary_byte_ids (const AtlVocabulary *self, gint32 ids[256]);

/* Appends the byte pieces of [p, p + length) where all of them are there; FALSE and nothing else
 * where one is not. */
gboolean
atl_vocabulary_append_bytes (const gint32 byte_ids[256], const char *p, gsize length, GArray *ids);

/* The value of a byte piece "<0x0A>": exactly two hexadecimal digits; −1 for any other text. */
int atl_vocabulary_byte_value (const char *text);

/* What a message may quote of a file: at most 80 characters of valid UTF-8 on one line; g_free. */
char *atl_vocabulary_quote (const char *text, gsize length);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlVocabulary, atl_vocabulary_free)

G_END_DECLS
