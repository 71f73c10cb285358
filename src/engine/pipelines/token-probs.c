/* One pass for the sum, one for the largest. */
#define G_LOG_DOMAIN "atl-pipelines"

#include "engine/pipelines/token-probs.h"

#include <math.h>
#include <string.h>

double
atl_token_probs_norm (const float *logits, gsize n)
{
  float largest = -INFINITY;
  double sum = 0;

  for (gsize i = 0; i < n; i++)
    if (logits[i] > largest)
      largest = logits[i];
  if (!isfinite (largest))
    return -INFINITY;
  /* What is e^-30 of the likeliest does not change a sum that is printed. */
  for (gsize i = 0; i < n; i++)
    if (logits[i] > largest - 30)
      sum += expf (logits[i] - largest);
  return largest + log (sum);
}

guint
atl_token_probs_top (const float *logits, gsize n, double norm, AtlTokenProb *top, guint k)
{
  guint n_top = 0;

  for (gsize i = 0; i < n && k > 0; i++)
    {
      guint at = n_top;

      if (!(logits[i] > -INFINITY) || (n_top == k && logits[i] - norm <= top[k - 1].logprob))
        continue;
      while (at > 0 && top[at - 1].logprob < (float) (logits[i] - norm))
        at--;
      if (at == k)
        continue;
      if (n_top < k)
        n_top++;
      memmove (&top[at + 1], &top[at], (n_top - 1 - at) * sizeof *top);
      top[at] = (AtlTokenProb){ (gint32) i, (float) (logits[i] - norm) };
    }
  return n_top;
}
