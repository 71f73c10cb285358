/* Copies a vocabulary's pieces and sorts them. */
#define G_LOG_DOMAIN "atl-grammar"

#include <string.h>

#include "engine/samplers/grammar-vocab.h"

static int
compare_pieces (gconstpointer a, gconstpointer b, gpointer data)
{
  const AtlGbnfPiece *x = a;
  const AtlGbnfPiece *y = b;
  const char *bytes = data;
  int order = memcmp (bytes + x->offset, bytes + y->offset, MIN (x->n, y->n));

  if (order != 0)
    return order;
  return x->n != y->n ? (x->n < y->n ? -1 : 1) : x->id < y->id ? -1 : x->id > y->id;
}

static guint16
shared_bytes (const char *bytes, const AtlGbnfPiece *a, const AtlGbnfPiece *b)
{
  guint16 n = 0;

  while (n < a->n && n < b->n && bytes[a->offset + n] == bytes[b->offset + n])
    n++;
  return n;
}

AtlGrammarVocab *
atl_grammar_vocab_new (gsize n_tokens,
                       AtlGrammarPieceFunc piece,
                       gpointer data,
                       const gint32 *end_ids,
                       gsize n_end_ids)
{
  AtlGrammarVocab *self;
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  g_return_val_if_fail (piece != NULL && n_tokens > 0 && n_tokens < G_MAXINT32, NULL);
  self = g_new0 (AtlGrammarVocab, 1);
  self->ref_count = 1;
  self->n_tokens = n_tokens;
  self->places = g_new0 (guint32, n_tokens + 1);
  self->sorted = g_new0 (AtlGbnfPiece, n_tokens);
  for (gsize id = 0; id < n_tokens; id++)
    {
      gsize n = 0;
      const char *text = piece (data, (gint32) id, &n);

      self->places[id] = bytes->len;
      if (text == NULL || n == 0 || n > ATL_GBNF_VOCAB_MAX_PIECE || bytes->len > G_MAXINT32 - n)
        continue;
      self->sorted[self->n_sorted++] = (AtlGbnfPiece){ bytes->len, (guint16) n, 0, (gint32) id };
      g_byte_array_append (bytes, (const guint8 *) text, (guint) n);
    }
  self->places[n_tokens] = bytes->len;
  self->bytes = (char *) g_byte_array_free (g_steal_pointer (&bytes), FALSE);
  if (self->n_sorted > 0)
    g_qsort_with_data (self->sorted, (gint) self->n_sorted, sizeof (AtlGbnfPiece), compare_pieces,
                       self->bytes);
  for (gsize i = 1; i < self->n_sorted; i++)
    self->sorted[i].shared = shared_bytes (self->bytes, &self->sorted[i - 1], &self->sorted[i]);
  self->ends = g_new (gint32, n_end_ids + 1);
  for (gsize i = 0; i < n_end_ids; i++)
    if (end_ids[i] >= 0 && (gsize) end_ids[i] < n_tokens)
      self->ends[self->n_ends++] = end_ids[i];
  return self;
}

AtlGrammarVocab *
atl_grammar_vocab_ref (AtlGrammarVocab *self)
{
  g_return_val_if_fail (self != NULL, NULL);
  g_atomic_int_inc (&self->ref_count);
  return self;
}

void
atl_grammar_vocab_unref (AtlGrammarVocab *self)
{
  if (self == NULL || !g_atomic_int_dec_and_test (&self->ref_count))
    return;
  g_free (self->bytes);
  g_free (self->places);
  g_free (self->sorted);
  g_free (self->ends);
  g_free (self);
}

const char *
atl_gbnf_vocab_piece (const AtlGrammarVocab *vocab, gint32 id, gsize *n)
{
  *n = 0;
  if (id < 0 || (gsize) id >= vocab->n_tokens)
    return NULL;
  *n = vocab->places[id + 1] - vocab->places[id];
  return *n > 0 ? vocab->bytes + vocab->places[id] : NULL;
}

gboolean
atl_gbnf_vocab_is_end (const AtlGrammarVocab *vocab, gint32 id)
{
  for (gsize i = 0; i < vocab->n_ends; i++)
    if (vocab->ends[i] == id)
      return TRUE;
  return FALSE;
}
