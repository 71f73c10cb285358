/* Reference of attention, rotary positions, and rows stored into a state. */
#include <math.h>
#include <string.h>

#include "engine/tensor/cpu/cpu-private.h"
#include "engine/tensor/quants/half.h"

/* --- rope --- */

typedef struct
{
  const AtlNode *node;
  const float *x;
  float *dst;
  gint64 dim[ATL_MAX_DIMS], stride[ATL_MAX_DIMS]; /* of x, aligned at the end */
  const float *table;
  gint64 n_rows, per_chunk;
} Rope;

static void
rope_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Rope *r = args;
  const AtlOpParams *p = &r->node->p;
  const gint64 half = p->n_rot / 2;
  const gint64 head_dim = r->dim[4];
  gint64 first = chunk * r->per_chunk;

  for (gint64 row = first; row < MIN (first + r->per_chunk, r->n_rows); row++)
    {
      gint64 rest = row;
      gint64 at = 0;
      gint64 token = row / r->dim[3] % r->dim[2];
      const float *c = r->table + token * p->n_rot;
      const float *s = c + half;
      const float *x;
      float *out = r->dst + row * head_dim;

      for (gint d = 3; d >= 0; d--)
        {
          at += rest % r->dim[d] * r->stride[d];
          rest /= r->dim[d];
        }
      x = r->x + at;
      for (gint64 i = 0; i < half; i++)
        {
          gint64 a = p->pairing == ATL_ROPE_NEIGHBORS ? 2 * i : i;
          gint64 b = p->pairing == ATL_ROPE_NEIGHBORS ? 2 * i + 1 : i + half;

          out[a] = x[a] * c[i] - x[b] * s[i];
          out[b] = x[a] * s[i] + x[b] * c[i];
        }
      for (gint64 i = p->n_rot; i < head_dim; i++)
        out[i] = x[i];
    }
}

void
atl_ref_rope (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  Rope r = {
    .node = node,
    .x = atl_cpu_f32 (run, x),
    .dst = atl_tensor_host (node->dst),
    .table = atl_cpu_f32 (run, node->src[1]),
  };

  atl_cpu_align_dims (x, ATL_MAX_DIMS, r.dim, r.stride);
  r.n_rows = atl_tensor_n_elems (x) / r.dim[4];
  r.per_chunk = atl_cpu_chunk_items (run, r.n_rows, 16384 / r.dim[4] + 1);
  atl_pool_run (run->pool, (r.n_rows + r.per_chunk - 1) / r.per_chunk, rope_chunk, &r);
}

/* --- store-rows --- */

static void
store_q8_0 (const float *x, gint64 n, guint8 *out)
{
  for (gint64 b = 0; b < n / 32; b++, x += 32, out += 34)
    {
      float largest = 0.0f;
      float scale;
      float inverse;

      for (guint i = 0; i < 32; i++)
        largest = MAX (largest, fabsf (x[i]));
      scale = largest / 127.0f;
      inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
      atl_store_f16 (out, scale);
      for (guint i = 0; i < 32; i++)
        out[2 + i] = (guint8) (gint8) CLAMP (rintf (x[i] * inverse), -127.0f, 127.0f);
    }
}

/* The value of largest magnitude gets the code 0, that is -8. */
static void
store_q4_0 (const float *x, gint64 n, guint8 *out)
{
  for (gint64 b = 0; b < n / 32; b++, x += 32, out += 18)
    {
      float extreme = 0.0f;
      float scale;
      float inverse;

      for (guint i = 0; i < 32; i++)
        if (fabsf (x[i]) > fabsf (extreme))
          extreme = x[i];
      scale = extreme / -8.0f;
      inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
      atl_store_f16 (out, scale);
      for (guint i = 0; i < 16; i++)
        {
          guint lo = (guint) CLAMP (rintf (x[i] * inverse) + 8.0f, 0.0f, 15.0f);
          guint hi = (guint) CLAMP (rintf (x[i + 16] * inverse) + 8.0f, 0.0f, 15.0f);
          out[2 + i] = (guint8) (lo | hi << 4);
        }
    }
}

void
atl_ref_store_rows (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[0];
  const AtlTensor *state = node->src[2];
  const AtlDTypeInfo *info = atl_dtype_info (state->dtype);
  const gint32 *ids = atl_tensor_host (node->src[1]);
  const float *src = atl_cpu_f32 (run, x);
  const gint64 width = x->dim[x->n_dims - 1];
  const gsize row_bytes = (gsize) width / info->block_elems * info->block_bytes;
  guint8 *dst = atl_tensor_host (state);
  gint64 n, stride;

  atl_cpu_f32_rows (x, &n, &stride);
  for (gint64 i = 0; i < n; i++)
    {
      const float *row = src + i * stride;
      guint8 *out = dst + (gsize) ids[i] * row_bytes;

      g_assert (ids[i] >= 0 && ids[i] < state->dim[0]);
      switch (state->dtype)
        {
        case ATL_DTYPE_F32:
          memcpy (out, row, row_bytes);
          break;
        case ATL_DTYPE_F16:
          for (gint64 k = 0; k < width; k++)
            ((guint16 *) out)[k] = atl_f32_to_f16 (row[k]);
          break;
        case ATL_DTYPE_Q8_0:
          store_q8_0 (row, width, out);
          break;
        case ATL_DTYPE_Q4_0:
          store_q4_0 (row, width, out);
          break;
        default:
          g_assert_not_reached ();
        }
    }
}

/* --- attention --- */

typedef struct
{
  AtlDType dtype;
  const guint8 *data;
  gint64 stride[4];
} Operand;

typedef struct
{
  const AtlNode *node;
  gint64 B, Tq, H, D, Tk, Kh, Dv;
  Operand q, k, v;
  const gint32 *ranges; /* (nullable) */
  gint64 ranges_batch;  /* elements between batches; 0: shared */
  const float *bias;    /* (nullable) */
  gint64 bias_stride[4];
  const float *sinks; /* (nullable) */
  float *dst;
  float *scratch; /* per worker: [Tk + D + Dv] */
} Attention;

/* `n` elements from element `at` on: the memory itself if it is float32, else converted. */
static const float *
operand_row (const Operand *o, gint64 at, gint64 n, float *converted)
{
  const AtlDTypeInfo *info = atl_dtype_info (o->dtype);
  const guint8 *data = o->data + (gsize) at / info->block_elems * info->block_bytes;

  if (o->dtype == ATL_DTYPE_F32)
    return (const float *) data;
  atl_dequantize (o->dtype, data, converted, n);
  return converted;
}

/* out[d] = sum over j in [start, end) of weight[j] v[j][d], for one head. */
static void
weigh_values (const Attention *a,
              gint64 b,
              gint64 kh,
              const float *weight,
              gint64 start,
              gint64 end,
              float *v_row,
              float *out)
{
  double sum[64];

  for (gint64 first = 0; first < a->Dv; first += (gint64) G_N_ELEMENTS (sum))
    {
      gint64 n = MIN ((gint64) G_N_ELEMENTS (sum), a->Dv - first);

      memset (sum, 0, sizeof sum);
      for (gint64 j = start; j < end; j++)
        {
          gint64 at = b * a->v.stride[0] + j * a->v.stride[1] + kh * a->v.stride[2];
          const float *v = operand_row (&a->v, at, a->Dv, v_row) + first;

          for (gint64 d = 0; d < n; d++)
            sum[d] += (double) weight[j] * v[d];
        }
      for (gint64 d = 0; d < n; d++)
        out[first + d] = (float) sum[d];
    }
}

/* One chunk is one head of one query. */
static void
attention_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Attention *a = args;
  const AtlOpParams *p = &a->node->p;
  gint64 h = chunk % a->H;
  gint64 i = chunk / a->H % a->Tq;
  gint64 b = chunk / a->H / a->Tq;
  gint64 kh = h / (a->H / a->Kh);
  float *score = a->scratch + worker * (a->Tk + a->D + a->Dv);
  float *k_row = score + a->Tk;
  float *v_row = k_row + a->D;
  const float *q =
      (const float *) a->q.data + b * a->q.stride[0] + i * a->q.stride[1] + h * a->q.stride[2];
  float *out = a->dst + (gint64) chunk * a->Dv;
  gint64 start = 0;
  gint64 end = a->Tk;
  float largest = a->sinks != NULL ? a->sinks[h] : -INFINITY;
  double sum = 0.0;

  if (a->ranges != NULL)
    {
      const gint32 *range = a->ranges + b * a->ranges_batch + i * 2;
      start = MAX (range[0], 0);
      end = MIN (range[1], a->Tk);
    }
  for (gint64 j = start; j < end; j++)
    {
      gint64 at = b * a->k.stride[0] + j * a->k.stride[1] + kh * a->k.stride[2];
      float s = atl_ref_dot (q, operand_row (&a->k, at, a->D, k_row), a->D) * p->scale;

      if (p->softcap != 0.0f)
        s = p->softcap * tanhf (s / p->softcap);
      if (a->bias != NULL)
        s += a->bias[b * a->bias_stride[0] + h * a->bias_stride[1] + i * a->bias_stride[2] +
                     j * a->bias_stride[3]];
      score[j] = s;
      largest = MAX (largest, s);
    }

  memset (out, 0, (gsize) a->Dv * sizeof (float));
  if (start >= end || largest == -INFINITY)
    return;
  if (a->sinks != NULL)
    sum += expf (a->sinks[h] - largest);
  for (gint64 j = start; j < end; j++)
    {
      score[j] = expf (score[j] - largest);
      sum += score[j];
    }
  for (gint64 j = start; j < end; j++)
    score[j] = (float) (score[j] / sum);
  weigh_values (a, b, kh, score, start, end, v_row, out);
}

static Operand
operand (AtlCpuRun *run, const AtlTensor *t)
{
  Operand o = { .dtype = t->dtype };
  gint64 dim[4];

  if (atl_cpu_weight (run, t) != NULL)
    {
      o.dtype = ATL_DTYPE_F32;
      o.data = (const guint8 *) atl_cpu_f32 (run, t);
    }
  else
    {
      o.data = atl_tensor_host (t);
    }
  atl_cpu_align_dims (t, 4, dim, o.stride);
  return o;
}

gsize
atl_ref_attention_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  gint64 n = node->src[1]->dim[1] + node->src[1]->dim[3] + node->src[2]->dim[3];
  return cpu->n_threads * (gsize) n * sizeof (float);
}

void
atl_ref_attention (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *q = node->src[0];
  const AtlTensor *k = node->src[1];
  const AtlTensor *v = node->src[2];
  Attention a = {
    .node = node,
    .B = q->dim[0],
    .Tq = q->dim[1],
    .H = q->dim[2],
    .D = q->dim[3],
    .Tk = k->dim[1],
    .Kh = k->dim[2],
    .Dv = v->dim[3],
    .q = operand (run, q),
    .k = operand (run, k),
    .v = operand (run, v),
    .bias = atl_cpu_f32 (run, node->src[4]),
    .sinks = atl_cpu_f32 (run, node->src[5]),
    .dst = atl_tensor_host (node->dst),
    .scratch = (float *) run->scratch,
  };

  if (node->src[3] != NULL)
    {
      a.ranges = atl_tensor_host (node->src[3]);
      if (atl_tensor_n_elems (node->src[3]) > 2 * a.Tq)
        a.ranges_batch = 2 * a.Tq;
    }
  if (a.bias != NULL)
    {
      gint64 dim[4];
      atl_cpu_align_dims (node->src[4], 4, dim, a.bias_stride);
    }
  atl_pool_run (run->pool, a.B * a.Tq * a.H, attention_chunk, &a);
}
