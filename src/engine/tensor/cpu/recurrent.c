/* The fast forms of the ops that carry a state: what a chunk is, and the numbers a kernel needs.
 *
 * A chunk of the scan and of the delta rule is one head with all its tokens, a few at a time; a
 * chunk of the convolution is a block of channels with all their tokens. Nobody else touches their
 * part of the state, so that reading and writing one slot needs no order. */
#include <math.h>
#include <string.h>

#include "engine/tensor/cpu/act.h"
#include "engine/tensor/cpu/cpu-private.h"

/* --- causal-conv --- */

/* Channels of a chunk. */
#define CONV_CHANNELS 128
/* More taps than this are left to the reference. */
#define CONV_MAX_TAPS 32

typedef struct
{
  const AtlCpuKernels *kernels;
  AtlAct act;
  gint64 n_tokens, n_channels, n_taps;
  const float *x;
  gint64 x_stride;
  const float *w, *bias; /* [channels, taps], (nullable) */
  const float *from;     /* (nullable) */
  float *to;
  float *dst;
  float *scratch; /* a worker's: taps and the rows before the first, [2 taps, CONV_CHANNELS] */
} Conv;

static void
conv_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Conv *m = args;
  const gint64 first = (gint64) chunk * CONV_CHANNELS, n_before = m->n_taps - 1;
  const gint64 n = MIN (CONV_CHANNELS, m->n_channels - first);
  float *taps = m->scratch + (gint64) worker * 2 * m->n_taps * CONV_CHANNELS;
  float *before = taps + m->n_taps * CONV_CHANNELS;
  const float *rows[CONV_MAX_TAPS];

  for (gint64 j = 0; j < m->n_taps; j++)
    for (gint64 c = 0; c < n; c++)
      taps[j * CONV_CHANNELS + c] = m->w[(first + c) * m->n_taps + j];
  for (gint64 j = 0; j < n_before; j++)
    if (m->from != NULL)
      memcpy (before + j * CONV_CHANNELS, m->from + j * m->n_channels + first,
              (gsize) n * sizeof *before);
    else
      memset (before + j * CONV_CHANNELS, 0, (gsize) n * sizeof *before);

  for (gint64 t = 0; t < m->n_tokens; t++)
    {
      float *out = m->dst + t * m->n_channels + first;

      for (gint64 j = 0; j < m->n_taps; j++)
        rows[j] = t + j < n_before ? before + (t + j) * CONV_CHANNELS
                                   : m->x + (t + j - n_before) * m->x_stride + first;
      m->kernels->conv_row (rows, m->n_taps, taps, CONV_CHANNELS,
                            m->bias != NULL ? m->bias + first : NULL, n, out);
      if (!m->kernels->act_row (m->act, out, n))
        for (gint64 c = 0; c < n; c++)
          out[c] = atl_act_apply (m->act, out[c]);
    }
  for (gint64 j = 0; j < n_before; j++)
    {
      gint64 at = m->n_tokens + j;

      memcpy (m->to + j * m->n_channels + first,
              at < n_before ? before + at * CONV_CHANNELS
                            : m->x + (at - n_before) * m->x_stride + first,
              (gsize) n * sizeof *before);
    }
}

gsize
atl_fast_causal_conv_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  gint64 n_taps = MIN (node->src[ATL_CAUSAL_CONV_W]->dim[1], CONV_MAX_TAPS);

  return (gsize) cpu->n_threads * 2 * (gsize) n_taps * CONV_CHANNELS * sizeof (float);
}

gboolean
atl_fast_causal_conv (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[ATL_CAUSAL_CONV_X];
  Conv m = {
    .kernels = run->cpu->kernels,
    .act = node->p.act,
    .n_channels = x->dim[1],
    .n_taps = node->src[ATL_CAUSAL_CONV_W]->dim[1],
    .x = atl_cpu_f32 (run, x),
    .w = atl_cpu_f32 (run, node->src[ATL_CAUSAL_CONV_W]),
    .bias = atl_cpu_f32 (run, node->src[ATL_CAUSAL_CONV_BIAS]),
    .dst = atl_tensor_host (node->dst),
    .scratch = (float *) run->scratch,
  };
  gint64 n;

  if (m.n_taps > CONV_MAX_TAPS)
    return FALSE;
  atl_cpu_f32_rows (x, &m.n_tokens, &m.x_stride);
  atl_cpu_slots (node->src[ATL_CAUSAL_CONV_STATE], node->src[ATL_CAUSAL_CONV_SLOTS], &m.from, &m.to,
                 &n);
  atl_pool_run (run->pool, (guint) ((m.n_channels + CONV_CHANNELS - 1) / CONV_CHANNELS), conv_chunk,
                &m);
  return TRUE;
}

/* --- ssm-scan and delta-rule --- */

/* A tensor of heads as the loops see it. */
typedef struct
{
  const float *data;
  gint64 token_stride, head_stride;
} Heads;

typedef struct
{
  const AtlCpuKernels *kernels;
  gboolean delta, tiled;
  gint64 n_tokens, n_heads, n_key_heads, n_keys, n;
  gint64 n_at_once; /* tokens of a step */
  Heads k, q, v;
  Heads gate;        /* dt or alpha, before its bias */
  Heads beta;        /* delta */
  const float *bias; /* (nullable) */
  const float *a, *d;
  float eps, q_scale;
  const float *from; /* (nullable) */
  float *to, *dst;
  float *scratch; /* a worker's: ATL_RECUR_SCRATCH */
} Recurrence;

static Heads
heads_of (const AtlCpuRun *run, const AtlTensor *t)
{
  return (Heads){ atl_cpu_f32 (run, t), t->stride[0], t->n_dims == 3 ? t->dim[2] : 1 };
}

static const float *
head_at (const Heads *h, gint64 token, gint64 head)
{
  return h->data + token * h->token_stride + head * h->head_stride;
}

static void
recurrence_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Recurrence *m = args;
  const gint64 head = chunk;
  const gint64 key_head = m->tiled ? head % m->n_key_heads : head / (m->n_heads / m->n_key_heads);
  const float bias = m->bias != NULL ? m->bias[head] : 0.0f;
  float *to = m->to + head * m->n_keys * m->n;
  AtlRecurStep step = {
    .n_keys = m->n_keys,
    .n = m->n,
    .delta = m->delta,
    .from = m->from != NULL ? m->from + head * m->n_keys * m->n : to,
    .to = to,
    .skip = m->d != NULL ? m->d[head] : 0.0f,
    .eps = m->eps,
    .q_scale = m->q_scale,
    .scratch = m->scratch + (gint64) worker * ATL_RECUR_SCRATCH (m->n),
  };

  if (m->from == NULL)
    memset (to, 0, (gsize) (m->n_keys * m->n) * sizeof *to);
  for (gint64 first = 0; first < m->n_tokens; first += step.n_tokens)
    {
      step.n_tokens = (guint) MIN (m->n_at_once, m->n_tokens - first);
      for (guint i = 0; i < step.n_tokens; i++)
        {
          gint64 t = first + i;
          float gate = atl_act_apply (ATL_ACT_SOFTPLUS, *head_at (&m->gate, t, head) + bias);

          step.k[i] = head_at (&m->k, t, key_head);
          step.q[i] = head_at (&m->q, t, key_head);
          step.v[i] = head_at (&m->v, t, head);
          step.out[i] = m->dst + (t * m->n_heads + head) * m->n;
          step.decay[i] = expf (gate * m->a[head]);
          step.scale[i] =
              m->delta ? atl_act_apply (ATL_ACT_SIGMOID, *head_at (&m->beta, t, head)) : gate;
        }
      m->kernels->recur (&step);
      step.from = to;
    }
}

static void
run_recurrence (AtlCpuRun *run, Recurrence *m, const AtlNode *node)
{
  m->kernels = run->cpu->kernels;
  m->n_tokens = node->dst->dim[0];
  /* Of few tokens each has the numbers that it would have alone (AtlBackend.few_rows). */
  m->n_at_once = m->n_tokens <= run->cpu->base.few_rows ? 1 : ATL_RECUR_TOKENS;
  m->n_heads = node->dst->dim[1];
  m->n = node->dst->dim[2];
  m->dst = atl_tensor_host (node->dst);
  m->scratch = (float *) run->scratch;
  atl_pool_run (run->pool, (guint) m->n_heads, recurrence_chunk, m);
}

gsize
atl_fast_recurrent_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  return (gsize) cpu->n_threads * ATL_RECUR_SCRATCH ((gsize) node->dst->dim[2]) * sizeof (float);
}

gboolean
atl_fast_ssm_scan (AtlCpuRun *run, const AtlNode *node)
{
  AtlTensor *const *src = node->src;
  Recurrence m = {
    .n_key_heads = src[ATL_SSM_B]->dim[1],
    .n_keys = src[ATL_SSM_B]->dim[2],
    .k = heads_of (run, src[ATL_SSM_B]),
    .q = heads_of (run, src[ATL_SSM_C]),
    .v = heads_of (run, src[ATL_SSM_X]),
    .gate = heads_of (run, src[ATL_SSM_DT]),
    .bias = atl_cpu_f32 (run, src[ATL_SSM_DT_BIAS]),
    .a = atl_cpu_f32 (run, src[ATL_SSM_A]),
    .d = atl_cpu_f32 (run, src[ATL_SSM_D]),
  };
  gint64 n;

  atl_cpu_slots (src[ATL_SSM_STATE], src[ATL_SSM_SLOTS], &m.from, &m.to, &n);
  run_recurrence (run, &m, node);
  return TRUE;
}

gboolean
atl_fast_delta_rule (AtlCpuRun *run, const AtlNode *node)
{
  AtlTensor *const *src = node->src;
  Recurrence m = {
    .delta = TRUE,
    .tiled = node->p.tiled,
    .n_key_heads = src[ATL_DELTA_K]->dim[1],
    .n_keys = src[ATL_DELTA_K]->dim[2],
    .k = heads_of (run, src[ATL_DELTA_K]),
    .q = heads_of (run, src[ATL_DELTA_Q]),
    .v = heads_of (run, src[ATL_DELTA_V]),
    .gate = heads_of (run, src[ATL_DELTA_ALPHA]),
    .beta = heads_of (run, src[ATL_DELTA_BETA]),
    .bias = atl_cpu_f32 (run, src[ATL_DELTA_DT_BIAS]),
    .a = atl_cpu_f32 (run, src[ATL_DELTA_A]),
    .eps = node->p.eps,
    .q_scale = node->p.scale,
  };
  gint64 n;

  atl_cpu_slots (src[ATL_DELTA_STATE], src[ATL_DELTA_SLOTS], &m.from, &m.to, &n);
  run_recurrence (run, &m, node);
  return TRUE;
}
