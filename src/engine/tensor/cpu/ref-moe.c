/* Reference of routing to experts and of summing what they say. */
#include <math.h>

#include "engine/tensor/cpu/cpu-private.h"

typedef struct
{
  float p;      /* probability, or the logit for SOFTMAX_AFTER */
  float choice; /* what the selection looks at */
  gboolean taken;
} Candidate;

static void
probabilities (const AtlOpParams *p, const float *logits, gint64 n, Candidate *c)
{
  double sum = 0.0;
  float largest = -INFINITY;

  for (gint64 i = 0; i < n; i++)
    largest = MAX (largest, logits[i]);
  for (gint64 i = 0; i < n; i++)
    {
      switch (p->route)
        {
        case ATL_ROUTE_SOFTMAX:
          c[i].p = expf (logits[i] - largest);
          sum += c[i].p;
          break;
        case ATL_ROUTE_SIGMOID:
          c[i].p = 1.0f / (1.0f + expf (-logits[i]));
          break;
        case ATL_ROUTE_SOFTMAX_AFTER:
        case ATL_ROUTE_SIGMOID_AFTER:
        default:
          c[i].p = logits[i];
          break;
        }
    }
  if (p->route == ATL_ROUTE_SOFTMAX)
    for (gint64 i = 0; i < n; i++)
      c[i].p = (float) (c[i].p / sum);
}

/* Index of the largest untaken one in [first, end); ties to the lower index. A NaN is never larger,
 * so the first untaken one stands in when nothing else is comparable. */
static gint64
best_of (const Candidate *c, gint64 first, gint64 end)
{
  gint64 best = -1;

  for (gint64 i = first; i < end; i++)
    if (!c[i].taken && (best < 0 || c[i].choice > c[best].choice))
      best = i;
  return best;
}

/* Takes every expert outside the best groups out of the choice. */
static void
keep_groups (const AtlOpParams *p, gint64 n, Candidate *c, float *group_score)
{
  const gint64 per_group = n / p->n_groups;

  for (gint64 g = 0; g < p->n_groups; g++)
    {
      gint64 first = best_of (c, g * per_group, (g + 1) * per_group);
      gint64 second;

      c[first].taken = TRUE;
      second = best_of (c, g * per_group, (g + 1) * per_group);
      c[first].taken = FALSE;
      group_score[g] = c[first].choice;
      if (second >= 0 && !p->group_by_best)
        group_score[g] += c[second].choice;
    }
  for (gint64 dropped = 0; dropped < p->n_groups - p->n_groups_used; dropped++)
    {
      gint64 worst = -1;

      /* Ties drop the higher index. */
      for (gint64 g = 0; g < p->n_groups; g++)
        if (!c[g * per_group].taken && (worst < 0 || !(group_score[g] > group_score[worst])))
          worst = g;
      for (gint64 i = worst * per_group; i < (worst + 1) * per_group; i++)
        c[i].taken = TRUE;
    }
}

static void
route_row (const AtlOpParams *p,
           const float *logits,
           const float *bias,
           gint64 n,
           gint64 k,
           Candidate *c,
           float *group_score,
           float *weights,
           gint32 *ids)
{
  double sum = 0.0;

  probabilities (p, logits, n, c);
  for (gint64 i = 0; i < n; i++)
    {
      c[i].choice = c[i].p + (bias != NULL ? bias[i] : 0.0f);
      c[i].taken = FALSE;
    }
  if (p->n_groups > 0)
    keep_groups (p, n, c, group_score);
  for (gint64 j = 0; j < k; j++)
    {
      gint64 best = best_of (c, 0, n);

      c[best].taken = TRUE;
      ids[j] = (gint32) best;
      weights[j] = c[best].p;
    }

  if (p->route == ATL_ROUTE_SOFTMAX_AFTER)
    {
      float largest = -INFINITY;

      for (gint64 j = 0; j < k; j++)
        largest = MAX (largest, weights[j]);
      for (gint64 j = 0; j < k; j++)
        weights[j] = expf (weights[j] - largest);
    }
  if (p->route == ATL_ROUTE_SIGMOID_AFTER)
    for (gint64 j = 0; j < k; j++)
      weights[j] = 1.0f / (1.0f + expf (-weights[j]));
  for (gint64 j = 0; j < k; j++)
    sum += weights[j];
  for (gint64 j = 0; j < k; j++)
    {
      if (p->renorm || p->route == ATL_ROUTE_SOFTMAX_AFTER)
        weights[j] = (float) (weights[j] / sum);
      weights[j] *= p->scale;
    }
}

void
atl_ref_route (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *logits = node->src[0];
  const float *x = atl_cpu_f32 (run, logits);
  const float *bias = atl_cpu_f32 (run, node->src[1]);
  const gint64 n_experts = logits->dim[1];
  const gint64 k = node->dst->dim[1];
  float *weights = atl_tensor_host (node->dst);
  gint32 *ids = atl_tensor_host (node->dst2);
  g_autofree Candidate *candidates = g_new (Candidate, n_experts);
  g_autofree float *group_score = g_new (float, MAX (node->p.n_groups, 1));
  gint64 n, stride;

  atl_cpu_f32_rows (logits, &n, &stride);
  for (gint64 i = 0; i < n; i++)
    route_row (&node->p, x + i * stride, bias, n_experts, k, candidates, group_score,
               weights + i * k, ids + i * k);
}

typedef struct
{
  const float *x, *weights, *residual;
  gint64 n, k, dim, residual_stride;
  float *dst;
  gint64 per_chunk;
} Sum;

static void
sum_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Sum *s = args;
  gint64 first = chunk * s->per_chunk;

  for (gint64 t = first; t < MIN (first + s->per_chunk, s->n); t++)
    {
      float *out = s->dst + t * s->dim;

      for (gint64 i = 0; i < s->dim; i++)
        out[i] = s->residual != NULL ? s->residual[t * s->residual_stride + i] : 0.0f;
      for (gint64 j = 0; j < s->k; j++)
        {
          const float *x = s->x + (t * s->k + j) * s->dim;
          float w = s->weights[t * s->k + j];

          for (gint64 i = 0; i < s->dim; i++)
            out[i] += w * x[i];
        }
    }
}

void
atl_ref_expert_sum (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  Sum s = {
    .x = atl_cpu_f32 (run, x),
    .weights = atl_cpu_f32 (run, node->src[1]),
    .residual = atl_cpu_f32 (run, node->src[2]),
    .n = x->dim[0],
    .k = x->dim[1],
    .dim = x->dim[2],
    .dst = atl_tensor_host (node->dst),
  };
  gint64 n_rows;

  if (s.residual != NULL)
    atl_cpu_f32_rows (node->src[2], &n_rows, &s.residual_stride);
  s.per_chunk = atl_cpu_chunk_items (run, s.n, 16384 / (s.dim * s.k) + 1);
  atl_pool_run (run->pool, (s.n + s.per_chunk - 1) / s.per_chunk, sum_chunk, &s);
}
