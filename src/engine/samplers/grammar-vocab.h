/* The vocabulary as the matcher wants it: pieces by id, and sorted with what neighbours share.
 *
 * Threading: immutable once made.
 */
#pragma once

#include "engine/samplers/grammar-private.h"

G_BEGIN_DECLS

/* Longer pieces are never allowed: no real vocabulary has them. */
#define ATL_GBNF_VOCAB_MAX_PIECE 1024

typedef struct
{
  guint32 offset; /* of bytes[] */
  guint16 n;
  guint16 shared; /* bytes at the beginning that it shares with the piece before it */
  gint32 id;
} AtlGbnfPiece;

struct _AtlGrammarVocab
{
  gint ref_count; /* (atomic) */
  gsize n_tokens;
  char *bytes;          /* (owned) all pieces */
  guint32 *places;      /* (owned) [n_tokens + 1] offsets of the pieces by id */
  AtlGbnfPiece *sorted; /* (owned) [n_sorted] the pieces that have bytes */
  gsize n_sorted;
  gint32 *ends; /* (owned) */
  gsize n_ends;
};

/* Borrowed; *n is 0 for a control token and for an id outside of the vocabulary. */
const char *atl_gbnf_vocab_piece (const AtlGrammarVocab *vocab, gint32 id, gsize *n);
gboolean atl_gbnf_vocab_is_end (const AtlGrammarVocab *vocab, gint32 id);

G_END_DECLS
