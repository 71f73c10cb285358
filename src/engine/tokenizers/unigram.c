/* Viterbi over the pieces of a unigram model. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/unigram.h"

#include <glib/gi18n.h>
#include <math.h>

#include "engine/tokenizers/codepoints.h"
#include "engine/tokenizers/trie.h"

#define UNKNOWN_PENALTY 10.0

struct _AtlUnigram
{
  const AtlVocabulary *vocabulary;
  AtlTrie *trie;
  double unknown_score;
  gint32 unknown_id;
  gboolean byte_fallback;
  gint32 byte_id[256];
};

/* The best way to reach a byte position. */
typedef struct
{
  double score;
  guint32 from;
  gint32 id; /* −1: an unknown character */
} Best;

AtlUnigram *
atl_unigram_new (const AtlVocabulary *vocabulary,
                 gint32 unknown_id,
                 gboolean byte_fallback,
                 GError **error)
{
  AtlUnigram *self;
  g_autofree AtlTrieEntry *entries = g_new (AtlTrieEntry, vocabulary->n);
  double least = 0.0;
  gsize n = 0;

  for (guint id = 0; id < vocabulary->n; id++)
    {
      AtlTokenType type = vocabulary->type[id];

      if (!isfinite (vocabulary->score[id]))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                       _ ("The score of piece %u of the vocabulary is no number"), id);
          return NULL;
        }
      if (vocabulary->text[id] == NULL || (gint32) id == unknown_id)
        continue;
      if (type == ATL_TOKEN_NORMAL)
        least = MIN (least, vocabulary->score[id]);
      if (type == ATL_TOKEN_NORMAL || type == ATL_TOKEN_USER_DEFINED || type == ATL_TOKEN_UNUSED)
        entries[n++] = (AtlTrieEntry){ vocabulary->text[id], vocabulary->length[id], (gint32) id };
    }

  self = g_new0 (AtlUnigram, 1);
  self->vocabulary = vocabulary;
  self->trie = atl_trie_new (entries, n);
  self->unknown_score = least - UNKNOWN_PENALTY;
  self->unknown_id = unknown_id;
  self->byte_fallback = byte_fallback;
  atl_vocabulary_byte_ids (vocabulary, self->byte_id);
  return self;
}

void
atl_unigram_free (AtlUnigram *self)
{
  if (self == NULL)
    return;
  atl_trie_free (self->trie);
  g_free (self);
}

static void
offer (Best *best, double score, gsize from, gint32 id)
{
  if (score > best->score)
    *best = (Best){ score, (guint32) from, id };
}

/* The end of the chain is at `length`; its links are turned round so that it reads forward. */
static void
append_chain (const AtlUnigram *self, Best *best, const char *text, gsize length, GArray *ids)
{
  gboolean unknown = FALSE;
  gsize at = length, next = length;

  while (at > 0)
    {
      gsize from = best[at].from;

      best[at].from = (guint32) next;
      next = at;
      at = from;
    }
  for (gsize from = 0; from < length; from = next, next = best[next].from)
    {
      gint32 id = best[next].id;
      gboolean known = id >= 0;

      if (known)
        g_array_append_val (ids, id);
      else if (self->byte_fallback)
        known = atl_vocabulary_append_bytes (self->byte_id, text + from, next - from, ids);
      if (!known && !unknown && self->unknown_id >= 0)
        g_array_append_val (ids, self->unknown_id);
      unknown = !known;
    }
}

void
atl_unigram_encode (const AtlUnigram *self,
                    AtlUnigramWork *work,
                    const char *text,
                    gsize length,
                    AtlTextBudget *budget,
                    GArray *ids)
{
  const AtlVocabulary *v = self->vocabulary;
  Best *best;

  if (length == 0)
    return;
  if (work->best == NULL)
    work->best = g_array_new (FALSE, FALSE, sizeof (Best));
  g_array_set_size (work->best, (guint) length + 1);
  best = (Best *) (gpointer) work->best->data;
  best[0] = (Best){ 0.0, 0, -1 };
  for (gsize i = 1; i <= length; i++)
    best[i] = (Best){ -INFINITY, 0, -1 };

  for (gsize at = 0; at < length;)
    {
      AtlTrieWalk walk = { 0, -1 };
      gunichar c;
      gsize one = MAX (atl_utf8_decode (text + at, text + length, &c), 1);
      gboolean covered = FALSE;
      gsize end;

      for (end = at; end < length && atl_trie_step (self->trie, &walk, (guint8) text[end]);)
        {
          end++;
          if (walk.value < 0)
            continue;
          /* Pieces the user added are worth more than any the model learnt. */
          offer (&best[end],
                 best[at].score +
                     (v->type[walk.value] == ATL_TOKEN_USER_DEFINED ? 0.0 : v->score[walk.value]),
                 at, walk.value);
          covered = covered || end - at == one;
        }
      if (!atl_text_budget_spend (budget, end - at))
        return;
      if (!covered)
        offer (&best[at + one], best[at].score + self->unknown_score, at, -1);
      at += one;
    }
  append_chain (self, best, text, length, ids);
}
