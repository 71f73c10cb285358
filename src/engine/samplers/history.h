/* The tokens seen so far, and the penalties that look at them.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/samplers/candidates.h"

G_BEGIN_DECLS

typedef struct
{
  gint32 *ring;    /* (owned) [cap] */
  gsize cap;       /* the longest look back */
  gsize n;         /* tokens in the ring, at most cap */
  gsize next;      /* where the next token goes */
  guint32 *counts; /* (owned) [n_vocab] how often each token is among the last `window` */
  gsize n_vocab;
  gsize window;
  gint32 *repeats; /* (owned) [cap] scratch of DRY */
  gint32 *lengths; /* (owned) [n_vocab] scratch of DRY: all 0 between calls */
} AtlHistory;

/* Remembers `cap` tokens; counts the last `window` of them. */
void atl_history_init (AtlHistory *self, gsize n_vocab, gsize cap, gsize window);
void atl_history_clear (AtlHistory *self);
/* Ids outside of the vocabulary are remembered but never penalised. */
void atl_history_add (AtlHistory *self, gint32 id);

typedef struct
{
  float multiplier;
  float base;
  gsize allowed_length;
  gsize last_n;
  const gint32 *breakers; /* sequences, each ended by -1 */
  gsize n_breakers;       /* entries of the array */
} AtlDryParams;

/* Where the logits to change are: a dense array of the vocabulary, or (with logits NULL) a set. */
typedef struct
{
  float *logits; /* [n_vocab] (nullable) */
  AtlCandidates *candidates;
} AtlLogitView;

/* Repetition penalty, https://arxiv.org/abs/1909.05858: positive logits of the counted tokens are
 * divided, others multiplied by `repeat`; `frequency` times the count and `presence` are
 * subtracted. */
void atl_history_penalize (
    AtlHistory *self, AtlLogitView *view, float repeat, float frequency, float presence);
/* "Don't repeat yourself": a token that would continue a repetition of at least allowed_length
 * tokens loses multiplier * base^(length - allowed_length). Single-token breakers are never
 * penalised. */
void atl_history_dry (AtlHistory *self, AtlLogitView *view, const AtlDryParams *params);

G_END_DECLS
