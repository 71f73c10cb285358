/* Reference of the ops that carry a state: one token after the other, one head a chunk; sums over
 * the state are taken in double. */
#include <math.h>
#include <string.h>

#include "engine/tensor/cpu/act.h"
#include "engine/tensor/cpu/cpu-private.h"

void
atl_cpu_slots (
    const AtlTensor *state, const AtlTensor *slots, const float **from, float **to, gint64 *n)
{
  const gint32 *slot = atl_tensor_host (slots);
  float *data = atl_tensor_host (state);

  *n = atl_tensor_n_elems (state) / state->dim[0];
  g_assert (slot[0] < state->dim[0] && slot[1] >= 0 && slot[1] < state->dim[0]);
  *from = slot[0] < 0 ? NULL : data + slot[0] * *n;
  *to = data + slot[1] * *n;
}

/* --- causal-conv --- */

/* Channels of a chunk. */
#define CONV_CHANNELS 64

typedef struct
{
  AtlAct act;
  gint64 n_tokens, n_channels, n_taps;
  const float *x;
  gint64 x_stride;
  const float *w, *bias; /* [channels, taps], (nullable) */
  const float *from;     /* (nullable) [taps - 1, channels] */
  float *to;
  float *dst;
} Conv;

/* Row `at` of the input; rows before the first are the state's. */
static float
conv_input (const Conv *m, gint64 at, gint64 channel)
{
  if (at >= 0)
    return m->x[at * m->x_stride + channel];
  return m->from != NULL ? m->from[(at + m->n_taps - 1) * m->n_channels + channel] : 0.0f;
}

static void
conv_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Conv *m = args;
  const gint64 first = (gint64) chunk * CONV_CHANNELS;

  for (gint64 c = first; c < MIN (first + CONV_CHANNELS, m->n_channels); c++)
    {
      for (gint64 t = 0; t < m->n_tokens; t++)
        {
          double sum = m->bias != NULL ? m->bias[c] : 0.0;

          for (gint64 j = 0; j < m->n_taps; j++)
            sum += (double) m->w[c * m->n_taps + j] * conv_input (m, t - (m->n_taps - 1) + j, c);
          m->dst[t * m->n_channels + c] = atl_act_apply (m->act, (float) sum);
        }
      /* Upwards, since what is read lies above what is written when both are one slot. */
      for (gint64 j = 0; j < m->n_taps - 1; j++)
        m->to[j * m->n_channels + c] = conv_input (m, m->n_tokens - (m->n_taps - 1) + j, c);
    }
}

void
atl_ref_causal_conv (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[ATL_CAUSAL_CONV_X];
  Conv m = {
    .act = node->p.act,
    .n_channels = x->dim[1],
    .n_taps = node->src[ATL_CAUSAL_CONV_W]->dim[1],
    .x = atl_cpu_f32 (run, x),
    .w = atl_cpu_f32 (run, node->src[ATL_CAUSAL_CONV_W]),
    .bias = atl_cpu_f32 (run, node->src[ATL_CAUSAL_CONV_BIAS]),
    .dst = atl_tensor_host (node->dst),
  };
  gint64 n;

  atl_cpu_f32_rows (x, &m.n_tokens, &m.x_stride);
  atl_cpu_slots (node->src[ATL_CAUSAL_CONV_STATE], node->src[ATL_CAUSAL_CONV_SLOTS], &m.from, &m.to,
                 &n);
  atl_pool_run (run->pool, (guint) ((m.n_channels + CONV_CHANNELS - 1) / CONV_CHANNELS), conv_chunk,
                &m);
}

/* --- ssm-scan and delta-rule --- */

typedef struct
{
  const AtlNode *node;
  const AtlCpuRun *run;
  const float *from;
  float *to;
  double *sums; /* [threads, width of a state's row] */
} Recurrence;

static const float *
head_at (const Recurrence *m, guint slot, gint64 token, gint64 head)
{
  const AtlTensor *t = m->node->src[slot];

  return atl_cpu_f32 (m->run, t) + token * t->stride[0] + head * t->dim[2];
}

static float
scalar_at (const Recurrence *m, guint slot, gint64 token, gint64 head)
{
  const AtlTensor *t = m->node->src[slot];

  return atl_cpu_f32 (m->run, t)[token * t->stride[0] + head];
}

static float
vector_at (const Recurrence *m, guint slot, gint64 head, float missing)
{
  const float *v = atl_cpu_f32 (m->run, m->node->src[slot]);

  return v != NULL ? v[head] : missing;
}

/* The head's state where it is to be written, holding what was there before. */
static float *
begin_state (const Recurrence *m, gint64 head, gint64 n)
{
  float *s = m->to + head * n;

  if (m->from == NULL)
    memset (s, 0, (gsize) n * sizeof *s);
  else if (m->from != m->to)
    memcpy (s, m->from + head * n, (gsize) n * sizeof *s);
  return s;
}

/* sums[n] = S^T x */
static void
read_state (const float *s, gint64 n_rows, gint64 n, const float *x, double *sums)
{
  memset (sums, 0, (gsize) n * sizeof *sums);
  for (gint64 i = 0; i < n_rows; i++)
    for (gint64 j = 0; j < n; j++)
      sums[j] += (double) s[i * n + j] * x[i];
}

static void
ssm_head (gconstpointer args, guint chunk, guint worker)
{
  const Recurrence *m = args;
  const AtlTensor *x = m->node->src[ATL_SSM_X];
  const gint64 n_keys = m->node->src[ATL_SSM_B]->dim[2], n = x->dim[2], head = chunk;
  const gint64 group = head / (x->dim[1] / m->node->src[ATL_SSM_B]->dim[1]);
  const float a = vector_at (m, ATL_SSM_A, head, 0.0f);
  const float d = vector_at (m, ATL_SSM_D, head, 0.0f);
  float *s = begin_state (m, head, n_keys * n);
  double *sums = m->sums + worker * n;

  for (gint64 t = 0; t < x->dim[0]; t++)
    {
      const float *in = head_at (m, ATL_SSM_X, t, head);
      const float *b = head_at (m, ATL_SSM_B, t, group);
      float *out = (float *) atl_tensor_host (m->node->dst) + (t * x->dim[1] + head) * n;
      float dt = atl_act_apply (ATL_ACT_SOFTPLUS, scalar_at (m, ATL_SSM_DT, t, head) +
                                                      vector_at (m, ATL_SSM_DT_BIAS, head, 0.0f));
      float decay = expf (dt * a);

      for (gint64 i = 0; i < n_keys; i++)
        for (gint64 j = 0; j < n; j++)
          s[i * n + j] = decay * s[i * n + j] + dt * b[i] * in[j];
      read_state (s, n_keys, n, head_at (m, ATL_SSM_C, t, group), sums);
      for (gint64 j = 0; j < n; j++)
        out[j] = (float) sums[j] + d * in[j];
    }
}

static float
inverse_norm (const float *x, gint64 n, float eps)
{
  double sum = eps;

  for (gint64 i = 0; i < n; i++)
    sum += (double) x[i] * x[i];
  return (float) (1.0 / sqrt (sum));
}

static void
delta_head (gconstpointer args, guint chunk, guint worker)
{
  const Recurrence *m = args;
  const AtlOpParams *p = &m->node->p;
  const AtlTensor *v = m->node->src[ATL_DELTA_V];
  const gint64 n_key_heads = m->node->src[ATL_DELTA_K]->dim[1];
  const gint64 n_keys = m->node->src[ATL_DELTA_K]->dim[2], n = v->dim[2], head = chunk;
  const gint64 key_head = p->tiled ? head % n_key_heads : head / (v->dim[1] / n_key_heads);
  float *s = begin_state (m, head, n_keys * n);
  double *sums = m->sums + worker * n;

  for (gint64 t = 0; t < v->dim[0]; t++)
    {
      const float *k = head_at (m, ATL_DELTA_K, t, key_head);
      const float *q = head_at (m, ATL_DELTA_Q, t, key_head);
      const float *in = head_at (m, ATL_DELTA_V, t, head);
      float *out = (float *) atl_tensor_host (m->node->dst) + (t * v->dim[1] + head) * n;
      float k_factor = inverse_norm (k, n_keys, p->eps);
      float q_factor = inverse_norm (q, n_keys, p->eps) * p->scale;
      float beta = atl_act_apply (ATL_ACT_SIGMOID, scalar_at (m, ATL_DELTA_BETA, t, head));
      float decay =
          expf (vector_at (m, ATL_DELTA_A, head, 0.0f) *
                atl_act_apply (ATL_ACT_SOFTPLUS, scalar_at (m, ATL_DELTA_ALPHA, t, head) +
                                                     vector_at (m, ATL_DELTA_DT_BIAS, head, 0.0f)));

      for (gint64 i = 0; i < n_keys * n; i++)
        s[i] *= decay;
      read_state (s, n_keys, n, k, sums);
      for (gint64 j = 0; j < n; j++)
        sums[j] = beta * (in[j] - k_factor * sums[j]) * k_factor;
      for (gint64 i = 0; i < n_keys; i++)
        for (gint64 j = 0; j < n; j++)
          s[i * n + j] += (float) (k[i] * sums[j]);
      read_state (s, n_keys, n, q, sums);
      for (gint64 j = 0; j < n; j++)
        out[j] = (float) (sums[j] * q_factor);
    }
}

gsize
atl_ref_recurrent_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  return (gsize) cpu->n_threads * (gsize) node->dst->dim[2] * sizeof (double);
}

void
atl_ref_ssm_scan (AtlCpuRun *run, const AtlNode *node)
{
  Recurrence m = { .node = node, .run = run, .sums = (double *) run->scratch };
  gint64 n;

  atl_cpu_slots (node->src[ATL_SSM_STATE], node->src[ATL_SSM_SLOTS], &m.from, &m.to, &n);
  atl_pool_run (run->pool, (guint) node->dst->dim[1], ssm_head, &m);
}

void
atl_ref_delta_rule (AtlCpuRun *run, const AtlNode *node)
{
  Recurrence m = { .node = node, .run = run, .sums = (double *) run->scratch };
  gint64 n;

  atl_cpu_slots (node->src[ATL_DELTA_STATE], node->src[ATL_DELTA_SLOTS], &m.from, &m.to, &n);
  atl_pool_run (run->pool, (guint) node->dst->dim[1], delta_head, &m);
}
