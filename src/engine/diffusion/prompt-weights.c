/* Prompt weights on hidden states. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/prompt-weights.h"

static double
mean (const AtlArray *a)
{
  double sum = 0.0;
  gint64 n = atl_array_n_elems (a);

  for (gint64 i = 0; i < n; i++)
    sum += atl_array_f32 (a)[i];
  return sum / (double) n;
}

void
atl_prompt_weights_apply (AtlPromptRule rule,
                          AtlArray *hidden,
                          const float *weights,
                          const AtlArray *empty)
{
  gint64 T = hidden->dim[1], D = hidden->dim[2];
  double before = mean (hidden), after;

  for (gint64 t = 0; t < T; t++)
    {
      float *row = atl_array_f32 (hidden) + t * D;

      if (weights[t] == 1.0f)
        continue;
      for (gint64 i = 0; i < D; i++)
        {
          float e = rule == ATL_PROMPT_COMFYUI ? atl_array_f32 (empty)[t * D + i] : 0.0f;
          row[i] = (row[i] - e) * weights[t] + e;
        }
    }
  if (rule != ATL_PROMPT_A1111)
    return;
  after = mean (hidden);
  if (after == 0.0)
    return;
  for (gint64 i = 0; i < T * D; i++)
    atl_array_f32 (hidden)[i] = (float) (atl_array_f32 (hidden)[i] * (before / after));
}
