/* The plain C reference itself, against formulas written again in double precision, straight from
 * ops.h, on small shapes. */
#include <math.h>

#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/quants/dequant.h"
#include "op-cases.h"

typedef struct
{
  AtlBackend *cpu;
  AtlGraph *graph;
  AtlCheckpoint *checkpoint;
  AtlWeights *weights;
  OpRandom random;
  GPtrArray *inputs; /* float arrays, in the order of in0, in1… */
  GArray *sizes;
} Fixture;

static void
setup (Fixture *f, gconstpointer data)
{
  AtlCpuOptions options = { .n_threads = 2, .level = ATL_CPU_REFERENCE, .exact = TRUE };

  f->cpu = atl_cpu_backend_new (&options, NULL);
  g_assert_nonnull (f->cpu);
  f->graph = atl_graph_new ();
  f->checkpoint = atl_checkpoint_new ("test");
  f->weights = atl_weights_new (f->checkpoint);
  f->random.state = 42;
  f->inputs = g_ptr_array_new_with_free_func (g_free);
  f->sizes = g_array_new (FALSE, FALSE, sizeof (gsize));
}

static void
teardown (Fixture *f, gconstpointer data)
{
  atl_weights_free (f->weights);
  atl_checkpoint_unref (f->checkpoint);
  g_ptr_array_unref (f->inputs);
  g_array_unref (f->sizes);
  atl_backend_free (f->cpu);
}

static AtlTensor *
input (Fixture *f, guint n_dims, const gint64 *dim, const float **values)
{
  g_autofree char *name = g_strdup_printf ("in%u", f->inputs->len);
  gsize n = 1;
  float *x;

  for (guint i = 0; i < n_dims; i++)
    n *= (gsize) dim[i];
  x = g_new (float, n);
  for (gsize i = 0; i < n; i++)
    x[i] = op_random (&f->random);
  g_ptr_array_add (f->inputs, x);
  g_array_append_val (f->sizes, n);
  *values = x;
  return atl_graph_input (f->graph, name, ATL_DTYPE_F32, n_dims, dim);
}

static AtlTensor *
weight (Fixture *f,
        AtlWeightUse use,
        AtlDType dtype,
        float scale,
        guint n_dims,
        const gint64 *dim,
        float **values)
{
  const AtlDTypeInfo *info = atl_dtype_info (dtype);
  gsize n = 1;
  guint8 *bytes;
  AtlWeight *w;

  for (guint i = 0; i < n_dims; i++)
    n *= (gsize) dim[i];
  bytes = g_malloc (n / info->block_elems * info->block_bytes);
  op_random_weights (&f->random, dtype, bytes, n);
  *values = g_new (float, n);
  g_assert_true (atl_dequantize (dtype, bytes, *values, n));
  for (gsize i = 0; i < n; i++)
    (*values)[i] *= scale;
  g_ptr_array_add (f->inputs, *values);
  g_array_append_val (f->sizes, (gsize){ 0 });
  w = atl_weights_add_bytes (f->weights, use, 0, dtype, n_dims, dim,
                             g_bytes_new_take (bytes, n / info->block_elems * info->block_bytes),
                             "w");
  w->scale = scale;
  return atl_weight (f->graph, w);
}

static AtlBackend *
place_cb (const AtlWeight *w, gpointer user_data)
{
  return user_data;
}

static void
check (Fixture *f, AtlTensor *out, const double *want, gsize n, double tolerance)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPlan) plan = NULL;
  g_autofree float *got = g_new (float, n);
  double difference = 0.0;
  double size = 0.0;

  atl_graph_output (f->graph, out, "out");
  atl_weights_upload (f->weights, place_cb, f->cpu, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  plan = atl_plan_new (f->graph, &f->cpu, 1, &error);
  g_assert_no_error (error);
  atl_plan_allocate (plan, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < f->inputs->len; i++)
    {
      g_autofree char *name = g_strdup_printf ("in%u", i);
      gsize count = g_array_index (f->sizes, gsize, i);

      if (count > 0)
        atl_plan_set_input (plan, name, f->inputs->pdata[i], count * sizeof (float), &error);
      g_assert_no_error (error);
    }
  atl_plan_run (plan, NULL, &error);
  g_assert_no_error (error);
  atl_plan_get_output (plan, "out", got, n * sizeof (float), &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < n; i++)
    {
      difference += (got[i] - want[i]) * (got[i] - want[i]);
      size += want[i] * want[i];
    }
  g_assert_cmpfloat (size, >, 0.0);
  g_assert_cmpfloat (sqrt (difference / size), <, tolerance);
}

static void
test_linear (Fixture *f, gconstpointer data)
{
  AtlDType dtype = GPOINTER_TO_UINT (data);
  const gint64 n = 3, in = 256, out = 11;
  const float *x;
  const float *residual;
  float *w;
  float *bias;
  double want[33];
  AtlTensor *tx = input (f, 2, (gint64[]){ n, in }, &x);
  AtlTensor *tr = input (f, 2, (gint64[]){ n, out }, &residual);
  AtlTensor *tw = weight (f, ATL_USE_LINEAR, dtype, 0.75f, 2, (gint64[]){ out, in }, &w);
  AtlTensor *tb = weight (f, ATL_USE_VECTOR, ATL_DTYPE_F16, 1.0f, 1, (gint64[]){ out }, &bias);

  for (gint64 t = 0; t < n; t++)
    for (gint64 o = 0; o < out; o++)
      {
        double sum = bias[o];
        for (gint64 i = 0; i < in; i++)
          sum += (double) x[t * in + i] * w[o * in + i];
        want[t * out + o] = sum * 0.5 + residual[t * out + o];
      }
  check (f, atl_linear_scaled_add (f->graph, tx, tw, tb, 0.5f, tr), want, n * out, 1e-6);
}

static void
test_gated (Fixture *f, gconstpointer data)
{
  const gint64 n = 2, in = 64, out = 9;
  const float *x;
  float *gate;
  float *up;
  double want[18];
  AtlTensor *tx = input (f, 2, (gint64[]){ n, in }, &x);
  AtlTensor *tg = weight (f, ATL_USE_LINEAR, ATL_DTYPE_F32, 1.0f, 2, (gint64[]){ out, in }, &gate);
  AtlTensor *tu = weight (f, ATL_USE_LINEAR, ATL_DTYPE_Q8_0, 1.0f, 2, (gint64[]){ out, in }, &up);

  for (gint64 t = 0; t < n; t++)
    for (gint64 o = 0; o < out; o++)
      {
        double g = 0.0, u = 0.0;
        for (gint64 i = 0; i < in; i++)
          {
            g += (double) x[t * in + i] * gate[o * in + i];
            u += (double) x[t * in + i] * up[o * in + i];
          }
        want[t * out + o] = g / (1.0 + exp (-g)) * u;
      }
  check (f, atl_linear_gated (f->graph, tx, tg, NULL, tu, NULL, ATL_ACT_SILU), want, n * out, 1e-6);
}

static void
test_norm (Fixture *f, gconstpointer data)
{
  AtlNormKind kind = GPOINTER_TO_UINT (data);
  const gint64 n = 4, dim = 50;
  const float *x;
  float *w;
  double want[200];
  AtlTensor *tx = input (f, 2, (gint64[]){ n, dim }, &x);
  AtlTensor *tw = weight (f, ATL_USE_VECTOR, ATL_DTYPE_F32, 1.0f, 1, (gint64[]){ dim }, &w);

  for (gint64 t = 0; t < n; t++)
    {
      const float *row = x + t * dim;
      double mean = 0.0, squares = 0.0, factor;

      if (kind == ATL_NORM_LAYER)
        for (gint64 i = 0; i < dim; i++)
          mean += row[i] / (double) dim;
      for (gint64 i = 0; i < dim; i++)
        squares += (row[i] - mean) * (row[i] - mean);
      factor = kind == ATL_NORM_L2 ? 3.0 / sqrt (squares) : 1.0 / sqrt (squares / dim + 1e-3);
      for (gint64 i = 0; i < dim; i++)
        want[t * dim + i] = (row[i] - mean) * factor * w[i];
    }
  check (f,
         kind == ATL_NORM_L2 ? atl_norm_l2 (f->graph, tx, tw, 1e-6f, 3.0f)
                             : atl_norm (f->graph, kind, tx, tw, NULL, 1e-3f),
         want, n * dim, 1e-6);
}

static void
test_rope (Fixture *f, gconstpointer data)
{
  AtlRopePairing pairing = GPOINTER_TO_UINT (data);
  const gint64 n = 3, heads = 2, dim = 10, n_rot = 6;
  const float *x;
  const float *table;
  double want[60];
  AtlTensor *tx = input (f, 3, (gint64[]){ n, heads, dim }, &x);
  AtlTensor *tt = input (f, 2, (gint64[]){ n, n_rot }, &table);

  for (gint64 r = 0; r < n * heads; r++)
    {
      const float *row = x + r * dim;
      const float *c = table + r / heads * n_rot;

      for (gint64 i = 0; i < dim; i++)
        want[r * dim + i] = row[i];
      for (gint64 i = 0; i < 3; i++)
        {
          gint64 a = pairing == ATL_ROPE_NEIGHBORS ? 2 * i : i;
          gint64 b = pairing == ATL_ROPE_NEIGHBORS ? 2 * i + 1 : i + 3;

          want[r * dim + a] = (double) row[a] * c[i] - (double) row[b] * c[3 + i];
          want[r * dim + b] = (double) row[a] * c[3 + i] + (double) row[b] * c[i];
        }
    }
  check (f, atl_rope (f->graph, tx, tt, pairing), want, n * heads * dim, 1e-6);
}

static void
test_attention (Fixture *f, gconstpointer data)
{
  const gint64 batch = 2, nq = 3, nk = 5, heads = 4, kv_heads = 2, dim = 8, v_dim = 6;
  const float *q;
  const float *k;
  const float *v;
  const float *bias;
  float *sinks;
  double want[2 * 3 * 4 * 6];
  AtlTensor *tq = input (f, 4, (gint64[]){ batch, nq, heads, dim }, &q);
  AtlTensor *tk = input (f, 4, (gint64[]){ batch, nk, kv_heads, dim }, &k);
  AtlTensor *tv = input (f, 4, (gint64[]){ batch, nk, kv_heads, v_dim }, &v);
  AtlTensor *tb = input (f, 4, (gint64[]){ 1, heads, nq, nk }, &bias);
  AtlTensor *ts = weight (f, ATL_USE_VECTOR, ATL_DTYPE_F32, 1.0f, 1, (gint64[]){ heads }, &sinks);

  for (gint64 b = 0; b < batch; b++)
    for (gint64 i = 0; i < nq; i++)
      for (gint64 h = 0; h < heads; h++)
        {
          double *out = want + ((b * nq + i) * heads + h) * v_dim;
          double p[5], sum = exp (sinks[h]);

          for (gint64 j = 0; j < nk; j++)
            {
              double s = 0.0;
              for (gint64 d = 0; d < dim; d++)
                s += (double) q[((b * nq + i) * heads + h) * dim + d] *
                     k[((b * nk + j) * kv_heads + h / 2) * dim + d];
              s = 2.0 * tanh (0.7 * s / 2.0) + bias[(h * nq + i) * nk + j];
              sum += p[j] = exp (s);
            }
          for (gint64 d = 0; d < v_dim; d++)
            {
              out[d] = 0.0;
              for (gint64 j = 0; j < nk; j++)
                out[d] += p[j] / sum * v[((b * nk + j) * kv_heads + h / 2) * v_dim + d];
            }
        }
  check (f, atl_attention (f->graph, tq, tk, tv, NULL, tb, ts, 0.7f, 2.0f), want,
         G_N_ELEMENTS (want), 2e-6);
}

static void
test_conv (Fixture *f, gconstpointer data)
{
  const gint64 F = 4, H = 5, W = 6, ci = 3, co = 18, k = 3;
  const float *x;
  float *w;
  AtlOpParams p = { .stride = { 1, 2, 1 }, .pad_before = { 2, 1, 0 }, .pad_after = { 0, 1, 1 } };
  const gint64 oF = 4, oH = 3, oW = 5;
  g_autofree double *want = g_new0 (double, (oF * oH * oW * co));
  AtlTensor *tx = input (f, 5, (gint64[]){ 1, F, H, W, ci }, &x);
  AtlTensor *tw =
      weight (f, ATL_USE_CONV, ATL_DTYPE_F16, 1.0f, 5, (gint64[]){ co, ci, k, k, k }, &w);

  for (gint64 at = 0; at < oF * oH * oW * co; at++)
    {
      gint64 o = at % co, c = at / co % oW, r = at / co / oW % oH, fr = at / co / oW / oH;

      for (gint64 tap = 0; tap < k * k * k * ci; tap++)
        {
          gint64 kx = tap % k, ky = tap / k % k, kf = tap / k / k % k, i = tap / k / k / k;
          gint64 sf = fr + kf - 2, sr = 2 * r + ky - 1, sc = c + kx;

          if (sf >= 0 && sf < F && sr >= 0 && sr < H && sc >= 0 && sc < W)
            want[at] += (double) x[((sf * H + sr) * W + sc) * ci + i] *
                        w[(((o * ci + i) * k + kf) * k + ky) * k + kx];
        }
    }
  check (f, atl_conv (f->graph, tx, tw, NULL, NULL, &p), want, oF * oH * oW * co, 1e-6);
}

static void
test_group_norm (Fixture *f, gconstpointer data)
{
  const gint64 n = 6, channels = 8, groups = 2;
  const float *x;
  double want[96];
  AtlTensor *tx = input (f, 4, (gint64[]){ 2, 2, 3, channels }, &x);

  for (gint64 b = 0; b < 2; b++)
    for (gint64 g = 0; g < groups; g++)
      {
        double mean = 0.0, squares = 0.0;

        for (gint64 i = 0; i < n * 4; i++)
          mean += x[(b * n + i / 4) * channels + g * 4 + i % 4] / (double) (n * 4);
        for (gint64 i = 0; i < n * 4; i++)
          squares += pow (x[(b * n + i / 4) * channels + g * 4 + i % 4] - mean, 2.0);
        for (gint64 i = 0; i < n * 4; i++)
          {
            gint64 at = (b * n + i / 4) * channels + g * 4 + i % 4;
            double v = (x[at] - mean) / sqrt (squares / (n * 4) + 1e-5);
            want[at] = v / (1.0 + exp (-v));
          }
      }
  check (f, atl_group_norm (f->graph, tx, NULL, NULL, groups, 1e-5f, ATL_ACT_SILU), want, 96, 1e-6);
}

#define ADD(path, data, func)                                                                      \
  g_test_add (path, Fixture, GUINT_TO_POINTER (data), setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/reference/linear/f32", ATL_DTYPE_F32, test_linear);
  ADD ("/reference/linear/q4_K", ATL_DTYPE_Q4_K, test_linear);
  ADD ("/reference/linear/f8", ATL_DTYPE_F8_E4M3, test_linear);
  ADD ("/reference/linear/gated", 0, test_gated);
  ADD ("/reference/norm/rms", ATL_NORM_RMS, test_norm);
  ADD ("/reference/norm/layer", ATL_NORM_LAYER, test_norm);
  ADD ("/reference/norm/l2", ATL_NORM_L2, test_norm);
  ADD ("/reference/group-norm", 0, test_group_norm);
  ADD ("/reference/rope/neighbours", ATL_ROPE_NEIGHBORS, test_rope);
  ADD ("/reference/rope/halves", ATL_ROPE_HALVES, test_rope);
  ADD ("/reference/attention", 0, test_attention);
  ADD ("/reference/conv", 0, test_conv);
  return g_test_run ();
}
