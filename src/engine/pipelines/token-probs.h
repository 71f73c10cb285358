/* How likely tokens are by a model's logits.
 *
 *   AtlTokenProb top[5];
 *   double norm = atl_token_probs_norm (logits, n_vocab);
 *   n = atl_token_probs_top (logits, n_vocab, norm, top, 5);
 *
 * Threading: pure functions.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  gint32 id;
  float logprob; /* natural logarithm of the probability, at temperature 1 */
} AtlTokenProb;

/* The logarithm of the sum of exp (logits[n]): subtracted from a logit it gives a log-probability.
 * NaN counts as impossible; −INFINITY when nothing is possible. */
double atl_token_probs_norm (const float *logits, gsize n);
/* The `k` likeliest of logits[n], the likeliest first, equal ones by id; how many there are. */
guint atl_token_probs_top (const float *logits, gsize n, double norm, AtlTokenProb *top, guint k);

G_END_DECLS
