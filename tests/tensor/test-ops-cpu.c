/* Every op case on the CPU: each level that the machine has, in exact and in fast mode, against the
 * plain C reference. */
#include <math.h>

#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/cpu/cpu-private.h"
#include "engine/tensor/cpu/kernels.h"
#include "engine/tensor/quants/quantize.h"
#include "op-cases.h"

typedef struct
{
  AtlBackend *backend;
  AtlBackend *reference;
  gboolean exact;
  guint first, n;
} Suite;

static void
run_case (gconstpointer data)
{
  const Suite *s = data;

  for (guint i = s->first; i < s->first + s->n; i++)
    {
      const OpCase *c = op_case_get (i);
      g_autoptr (GError) error = NULL;
      g_autoptr (GArray) want = op_case_run (c, &s->reference, 1, &error);
      g_autoptr (GArray) got = NULL;
      double distance;

      g_assert_no_error (error);
      got = op_case_run (c, &s->backend, 1, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (want->len, >, 0);
      distance = op_case_compare (c, got, want, s->exact);
      if (!(distance <= 1.0))
        {
          g_test_message ("%s is off by %.3g times its tolerance", op_case_name (c), distance);
          g_test_fail ();
        }
    }
}

/* "linear/q4_0/in-160-out-37-n-3" -> "linear/q4_0": one test for each such group. */
static char *
group_of (const OpCase *c)
{
  const char *name = op_case_name (c);
  const char *last = strrchr (name, '/');

  return g_strndup (name, last - name);
}

static AtlBackend *
add_backend (AtlCpuLevel level, gboolean exact, guint n_threads, AtlBackend *reference)
{
  AtlCpuOptions options = { .level = level, .exact = exact, .n_threads = n_threads };
  AtlBackend *backend = atl_cpu_backend_new (&options, NULL);

  g_assert_nonnull (backend);
  for (guint i = 0; i < op_cases_n ();)
    {
      g_autofree char *group = group_of (op_case_get (i));
      g_autofree char *path = NULL;
      Suite *suite = g_new0 (Suite, 1);

      suite->backend = backend;
      suite->reference = reference;
      suite->exact = exact;
      suite->first = i;
      for (; i < op_cases_n (); i++, suite->n++)
        {
          g_autofree char *next = group_of (op_case_get (i));
          if (!g_str_equal (group, next))
            break;
        }
      path = g_strdup_printf ("/ops/%s/%s/%u/%s", atl_cpu_backend_level_name (backend),
                              exact ? "exact" : "fast", suite->first, group);
      g_test_add_data_func_full (path, suite, run_case, g_free);
    }
  return backend;
}

static AtlBackend *
place_cb (const AtlWeight *w, gpointer user_data)
{
  return user_data;
}

/* A value that is no number must not vanish where activations become integers. */
static void
test_not_a_number (gconstpointer data)
{
  AtlBackend *cpu = (AtlBackend *) data;
  AtlCheckpoint *checkpoint = atl_checkpoint_new ("test");
  AtlWeights *weights = atl_weights_new (checkpoint);
  AtlGraph *graph = atl_graph_new ();
  g_autoptr (AtlPlan) plan = NULL;
  g_autoptr (GError) error = NULL;
  OpRandom random = { 1 };
  guint8 *bytes = g_malloc (20 * 2 * 34);
  AtlTensor *x = atl_graph_input (graph, "x", ATL_DTYPE_F32, 2, (gint64[]){ 2, 64 });
  float values[128];
  float out[40];
  AtlWeight *w;

  for (guint i = 0; i < 128; i++)
    values[i] = op_random (&random);
  values[64 + 40] = NAN;
  op_random_weights (&random, ATL_DTYPE_Q8_0, bytes, 20 * 64);
  w = atl_weights_add_bytes (weights, ATL_USE_LINEAR, 0, ATL_DTYPE_Q8_0, 2, (gint64[]){ 20, 64 },
                             g_bytes_new_take (bytes, 20 * 2 * 34), "w");
  atl_graph_output (graph, atl_linear (graph, x, atl_weight (graph, w), NULL), "out");
  atl_weights_upload (weights, place_cb, cpu, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  plan = atl_plan_new (graph, &cpu, 1, &error);
  g_assert_no_error (error);
  g_assert_true (atl_plan_allocate (plan, &error));
  g_assert_true (atl_plan_set_input (plan, "x", values, sizeof values, &error));
  g_assert_true (atl_plan_run (plan, NULL, &error));
  g_assert_true (atl_plan_get_output (plan, "out", out, sizeof out, &error));
  for (guint i = 0; i < 20; i++)
    {
      g_assert_true (isfinite (out[i]));
      g_assert_true (isnan (out[20 + i]));
    }
  g_clear_pointer (&plan, atl_plan_free);
  atl_weights_free (weights);
  atl_checkpoint_unref (checkpoint);
}

/* y = W x for random W [n_experts, 37, n_in] and x [n, n_in], with W packed or left in its file. */
static float *
run_product (
    AtlBackend *cpu, AtlDType dtype, gint64 n_experts, gint64 n_in, gint64 n, gboolean in_file)
{
  const AtlDTypeInfo *info = atl_dtype_info (dtype);
  const gsize size = (gsize) (n_experts * 37 * n_in / info->block_elems * info->block_bytes);
  AtlCheckpoint *checkpoint = atl_checkpoint_new ("test");
  AtlWeights *weights = atl_weights_new (checkpoint);
  AtlGraph *graph = atl_graph_new ();
  g_autoptr (AtlPlan) plan = NULL;
  g_autoptr (GError) error = NULL;
  OpRandom random = { 7 };
  guint8 *bytes = g_malloc (size);
  AtlTensor *x = atl_graph_input (graph, "x", ATL_DTYPE_F32, 2, (gint64[]){ n, n_in });
  AtlTensor *ids = NULL, *y;
  g_autofree float *values = g_new (float, (n * n_in));
  g_autofree gint32 *chosen = g_new (gint32, 2 * n);
  gint64 n_out = n_experts > 1 ? 2 * 37 * n : 37 * n;
  float *out = g_new (float, n_out);
  AtlWeight *w;

  for (gint64 i = 0; i < n * n_in; i++)
    values[i] = op_random (&random);
  for (gint64 i = 0; i < 2 * n; i++)
    chosen[i] = (gint32) ((i * 3 + i / 2) % n_experts);
  op_random_weights (&random, dtype, bytes, (gsize) (n_experts * 37 * n_in));
  w = atl_weights_add_bytes (weights, ATL_USE_LINEAR, 0, dtype, n_experts > 1 ? 3 : 2,
                             n_experts > 1 ? (gint64[]){ n_experts, 37, n_in }
                                           : (gint64[]){ 37, n_in },
                             g_bytes_new_take (bytes, size), "w");
  w->in_file = in_file;
  if (n_experts > 1)
    {
      ids = atl_graph_input (graph, "ids", ATL_DTYPE_I32, 2, (gint64[]){ n, 2 });
      y = atl_expert_linear (graph, x, atl_weight (graph, w), NULL, ids);
    }
  else
    y = atl_linear (graph, x, atl_weight (graph, w), NULL);
  atl_graph_output (graph, y, "y");
  g_assert_cmpuint (cpu->klass->upload_cost (cpu, w) == 0, ==, in_file);
  atl_weights_upload (weights, place_cb, cpu, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  plan = atl_plan_new (graph, &cpu, 1, &error);
  g_assert_no_error (error);
  g_assert_true (atl_plan_allocate (plan, &error));
  g_assert_true (atl_plan_set_input (plan, "x", values, (gsize) (n * n_in) * 4, &error));
  if (ids != NULL)
    g_assert_true (atl_plan_set_input (plan, "ids", chosen, (gsize) n * 8, &error));
  g_assert_true (atl_plan_run (plan, NULL, &error));
  g_assert_true (atl_plan_get_output (plan, "y", out, (gsize) n_out * 4, &error));
  g_clear_pointer (&plan, atl_plan_free);
  atl_weights_free (weights);
  atl_checkpoint_unref (checkpoint);
  return out;
}

static const AtlDType packed_dtypes[] = {
  ATL_DTYPE_Q4_0,    ATL_DTYPE_Q4_1,   ATL_DTYPE_Q5_0,   ATL_DTYPE_Q5_1,    ATL_DTYPE_Q8_0,
  ATL_DTYPE_Q2_K,    ATL_DTYPE_Q3_K,   ATL_DTYPE_Q4_K,   ATL_DTYPE_Q5_K,    ATL_DTYPE_Q6_K,
  ATL_DTYPE_MXFP4,   ATL_DTYPE_IQ4_NL, ATL_DTYPE_IQ4_XS, ATL_DTYPE_NVFP4,   ATL_DTYPE_Q1_0,
  ATL_DTYPE_Q2_0,    ATL_DTYPE_TQ1_0,  ATL_DTYPE_TQ2_0,  ATL_DTYPE_IQ1_S,   ATL_DTYPE_IQ1_M,
  ATL_DTYPE_IQ2_XXS, ATL_DTYPE_IQ2_XS, ATL_DTYPE_IQ2_S,  ATL_DTYPE_IQ3_XXS, ATL_DTYPE_IQ3_S,
};

static gint64
odd_width (AtlDType dtype)
{
  guint block = atl_dtype_info (dtype)->block_elems;
  return block == 256 ? 512 : 3 * block;
}

/* A weight that stays in its file gives the same numbers, bit for bit, as a packed one. */
static void
test_in_file (gconstpointer data)
{
  static const gint64 rows[] = { 1, 3, 9, 70, 130 };

  for (guint d = 0; d < G_N_ELEMENTS (packed_dtypes); d++)
    for (guint r = 0; r < G_N_ELEMENTS (rows); r++)
      for (gint64 experts = 1; experts <= 5; experts += 4)
        {
          AtlDType dtype = packed_dtypes[d];
          gint64 n_in = odd_width (dtype);
          AtlBackend *cpu = (AtlBackend *) data;
          g_autofree float *packed = run_product (cpu, dtype, experts, n_in, rows[r], FALSE);
          g_autofree float *in_file = run_product (cpu, dtype, experts, n_in, rows[r], TRUE);
          gsize n = (gsize) (37 * rows[r] * (experts > 1 ? 2 : 1));

          g_test_message ("%s, %d rows, %d experts", atl_dtype_name (dtype), (int) rows[r],
                          (int) experts);
          g_assert_cmpmem (packed, n * 4, in_file, n * 4);
        }
}

/* Two levels give products of few packed rows the same numbers, bit for bit. AMX and AVX-512: rows
 * in tiles of bytes have those of rows that are dotted one by one, since a chat's text must not
 * depend on how many others are computed beside it. AVX-512 and AVX2, both with VNNI: the same
 * integers. */
static void
check_same_products (AtlBackend *const *levels, const gint64 *rows, guint n_rows)
{
  for (guint d = 0; d < G_N_ELEMENTS (packed_dtypes); d++)
    for (guint r = 0; r < n_rows; r++)
      for (gint64 experts = 1; experts <= 3; experts += 2)
        {
          AtlDType dtype = packed_dtypes[d];
          gint64 n_in = odd_width (dtype);
          g_autofree float *one = run_product (levels[0], dtype, experts, n_in, rows[r], FALSE);
          g_autofree float *other = run_product (levels[1], dtype, experts, n_in, rows[r], FALSE);
          gsize n = (gsize) (37 * rows[r] * (experts > 1 ? 2 : 1));

          g_test_message ("%s, %d rows, %d experts", atl_dtype_name (dtype), (int) rows[r],
                          (int) experts);
          g_assert_cmpmem (one, n * 4, other, n * 4);
        }
}

static void
test_tiles_of_bytes (gconstpointer data)
{
  static const gint64 rows[] = { 8, 16, 31 };

  check_same_products (data, rows, G_N_ELEMENTS (rows));
}

static void
test_dots_of_vnni (gconstpointer data)
{
  static const gint64 rows[] = { 1, 2, 3, 4, 9 };

  check_same_products (data, rows, G_N_ELEMENTS (rows));
}

#if defined(__x86_64__)
/* A level uses what the processor has: tiles of words with VNNI and without it must give the same
 * numbers, bit for bit, or the second are never seen on a machine that has the first. */
static void
test_tiles_of_words (void)
{
  const AtlCpuTiles *tiles[] = { &atl_cpu_words_avx2, &atl_cpu_words_avx2_vnni };
  const AtlCpuKernels *kernels = atl_cpu_kernels (ATL_CPU_AVX2, FALSE);
  const guint n_rows = 5;

  if (kernels->quant_tiles != &atl_cpu_words_avx2_vnni)
    {
      g_test_skip ("the processor has no VNNI of 256 bits");
      return;
    }
  for (guint d = 0; d < G_N_ELEMENTS (packed_dtypes); d++)
    {
      const AtlDType dtype = packed_dtypes[d];
      const AtlDTypeInfo *info = atl_dtype_info (dtype);
      const gint64 n = 256;
      const gsize row_bytes = (gsize) n / info->block_elems * info->block_bytes;
      g_autofree guint8 *weights = g_malloc (16 * row_bytes);
      g_autofree guint8 *group = g_malloc (atl_pack_group_bytes (dtype, n));
      g_autofree float *x = g_new (float, (n_rows * n));
      float sums[2][ATL_TILE_MAX_ROWS * 32];
      const float *rows[5];
      OpRandom random = { d };

      for (guint i = 0; i < n_rows * n; i++)
        x[i] = op_random (&random);
      for (guint r = 0; r < n_rows; r++)
        rows[r] = x + r * n;
      op_random_weights (&random, dtype, weights, (gsize) (16 * n));
      atl_pack_group (dtype, weights, row_bytes, 16, n, group);
      for (guint v = 0; v < 2; v++)
        {
          g_autofree guint8 *a = g_malloc (tiles[v]->slab_bytes);
          g_autofree guint8 *b = g_malloc (n * 16 * sizeof (float));

          tiles[v]->prepare_rows (rows, n_rows, n, a);
          tiles[v]->pack_panel (dtype, group, n, 0, n, b);
          tiles[v]->tile_ahead (n, a, b, b, sums[v], 32, FALSE, a);
          tiles[v]->tile_ahead (n, a, b, b, sums[v], 32, TRUE, a);
        }
      g_test_message ("%s", atl_dtype_name (dtype));
      g_assert_cmpmem (sums[0], kernels->tile_rows * 32 * sizeof (float), sums[1],
                       kernels->tile_rows * 32 * sizeof (float));
      g_assert_cmpfloat (sums[0][3], ==, sums[0][16 + 3]);
    }
}

/* Plain weights in words: where every product has the largest size and the same sign the sums are
 * as large as they get and may not wrap; what is no number stays none; and both kinds of AVX2
 * agree.
 */
static void
test_plain_words (void)
{
  const AtlCpuTiles *tiles[] = { &atl_cpu_plain_words_avx2, &atl_cpu_plain_words_avx2_vnni,
                                 &atl_cpu_plain_words_avx512, &atl_cpu_plain_words_avx512_crossed };
  const AtlCpuFeatures *features = atl_cpu_features ();
  const gint64 n = 256;
  float x[5][256], weights[16][256], sums[4][ATL_TILE_MAX_ROWS * 32];
  const float *rows[5] = { x[0], x[1], x[2], x[3], x[4] };
  OpRandom random = { 1 };

  for (gint64 i = 0; i < n; i++)
    {
      x[0][i] = 3.0f;
      x[1][i] = i % 32 == 5 ? 128.0f : 1.0f;
      x[2][i] = op_random (&random);
      x[3][i] = i == 77 ? NAN : 1.0f;
      x[4][i] = 0.0f;
    }
  for (gint64 i = 0; i < n; i++)
    for (guint c = 0; c < 16; c++)
      weights[c][i] = c == 0              ? -2.0f
                      : c == 1 && i == 40 ? NAN
                      : c == 2            ? 0.0f
                                          : op_random (&random);
  for (guint v = 0; v < G_N_ELEMENTS (tiles); v++)
    {
      g_autofree guint8 *a = g_malloc (tiles[v]->slab_bytes);
      g_autofree guint8 *b = g_malloc (n * 16 * sizeof (float));

      if (v == 1 ? !features->avx_vnni
                 : v >= 2 && (features->best < ATL_CPU_AVX512 || !features->vnni))
        {
          g_test_message ("the processor lacks what variant %u needs", v);
          continue;
        }
      tiles[v]->prepare_rows (rows, 5, n, a);
      tiles[v]->rows_panel (ATL_DTYPE_F32, (const guint8 *) weights, sizeof weights[0], 16, 0, n,
                            b);
      tiles[v]->tile_ahead (n, a, b, b, sums[v], 32, FALSE, a);
      for (guint r = 0; r < 5; r++)
        for (guint c = 0; c < 16; c++)
          {
            double sum = 0.0, size = 0.0, most = 0.0, of_weights = 0.0;

            for (gint64 i = 0; i < n; i++)
              {
                sum += (double) x[r][i] * (double) weights[c][i];
                size += fabs ((double) x[r][i] * (double) weights[c][i]);
                of_weights += fabs ((double) weights[c][i]);
                most = MAX (most, fabs ((double) x[r][i]));
              }
            g_test_message ("variant %u, row %u, column %u: %g, should be %g", v, r, c,
                            (double) sums[v][r * 32 + c], sum);
            if (isnan (sum))
              g_assert_true (isnan (sums[v][r * 32 + c]));
            else
              /* A row keeps at least 14 bits and a sign of its largest. */
              g_assert_cmpfloat (fabs ((double) sums[v][r * 32 + c] - sum), <=,
                                 2e-4 * size + 0x1p-15 * most * of_weights);
          }
      if (v == 1)
        g_assert_cmpmem (sums[0], 3 * 32 * sizeof (float), sums[1], 3 * 32 * sizeof (float));
    }
}

/* The sum that tiles of bytes round, in double precision, from weights that are floats. */
static double
exact_sum (const float *x, const float *w, gint64 n)
{
  double sum = 0.0;

  for (gint64 i = 0; i < n; i++)
    sum += (double) x[i] * (double) w[i];
  return sum;
}

/* Without VNNI products of bytes are summed in 16 bits first: the numbers are the same, bit for
 * bit, also where all codes and all activations are the largest and of one sign.
 */
static void
test_folded_bytes (void)
{
  const AtlCpuTiles *tiles[] = { &atl_cpu_bytes_avx2, &atl_cpu_bytes_avx2_vnni };
  const gint64 n = 256;
  float x[6][256], w[16 * 256], sums[2][ATL_TILE_MAX_ROWS * 32];
  const float *rows[6] = { x[0], x[1], x[2], x[3], x[4], x[5] };
  guint n_taken = 0;

  if (!atl_cpu_features ()->avx_vnni)
    {
      g_test_skip ("the processor has no VNNI of 256 bits");
      return;
    }
  g_assert_false (tiles[0]->takes (ATL_DTYPE_Q8_0));
  for (guint d = 0; d < G_N_ELEMENTS (packed_dtypes); d++)
    for (guint largest = 0; largest < 2; largest++)
      {
        const AtlDType dtype = packed_dtypes[d];
        const AtlDTypeInfo *info = atl_dtype_info (dtype);
        const gsize row_bytes = (gsize) n / info->block_elems * info->block_bytes;
        g_autofree guint8 *weights = g_malloc (16 * row_bytes);
        g_autofree guint8 *group = g_malloc (atl_pack_group_bytes (dtype, n));
        OpRandom random = { d };

        if (!tiles[0]->takes (dtype))
          continue;
        n_taken++;
        for (guint r = 0; r < 6; r++)
          for (gint64 i = 0; i < n; i++)
            x[r][i] = largest ? 1.0f : op_random (&random);
        /* Of one sign but for one of a block, so that types with minima use both of their ends. */
        for (gint64 i = 0; i < 16 * n; i++)
          w[i] = i % 32 == 31 ? 0.5f : i / n % 2 == 0 ? -1.0f : 1.0f;
        if (!largest || !atl_quantize (dtype, w, weights, (gsize) (16 * n)))
          op_random_weights (&random, dtype, weights, (gsize) (16 * n));
        atl_pack_group (dtype, weights, row_bytes, 16, n, group);
        for (guint v = 0; v < 2; v++)
          {
            g_autofree guint8 *a = g_malloc (tiles[v]->slab_bytes);
            g_autofree guint8 *b = g_malloc (n * 16 * sizeof (float));

            tiles[v]->prepare_rows (rows, 6, n, a);
            tiles[v]->pack_panel (dtype, group, n, 0, n, b);
            tiles[v]->tile_ahead (n, a, b, b, sums[v], 32, FALSE, a);
          }
        g_test_message ("%s", info->name);
        g_assert_cmpmem (sums[0], 6 * 32 * sizeof (float), sums[1], 6 * 32 * sizeof (float));
      }
  g_assert_cmpuint (n_taken, >, 0);
}

/* Tiles of bytes for many rows: a large activation among small ones costs these nothing, whatever
 * is no number stays none, a row's numbers do not depend on its neighbours, and both levels agree.
 */
static void
test_bytes_of_many_rows (void)
{
  const AtlCpuTiles *tiles[] = { &atl_cpu_bytes_avx2_vnni, &atl_cpu_bytes_avx512 };
  const AtlCpuFeatures *features = atl_cpu_features ();
  const gboolean usable[] = { features->avx_vnni,
                              features->best >= ATL_CPU_AVX512 && features->vnni };
  const gint64 n = 256;
  float x[6][256], sums[2][ATL_TILE_MAX_ROWS * 32], alone[ATL_TILE_MAX_ROWS * 32];

  if (!usable[0] && !usable[1])
    {
      g_test_skip ("the processor has no VNNI");
      return;
    }
  for (guint d = 0; d < G_N_ELEMENTS (packed_dtypes); d++)
    {
      const AtlDType dtype = packed_dtypes[d];
      const AtlDTypeInfo *info = atl_dtype_info (dtype);
      const gsize row_bytes = (gsize) n / info->block_elems * info->block_bytes;
      g_autofree guint8 *weights = g_malloc (16 * row_bytes);
      g_autofree guint8 *group = g_malloc (atl_pack_group_bytes (dtype, n));
      const float *rows[6] = { x[0], x[1], x[2], x[3], x[4], x[5] };
      OpRandom random = { d };

      for (gint64 i = 0; i < n; i++)
        {
          x[0][i] = op_random (&random);
          x[1][i] = i % 32 == 7 ? 1000.0f : op_random (&random); /* one of each block */
          x[2][i] = i == 77 ? -1000.0f : op_random (&random);    /* one of all */
          x[3][i] = i == 99 ? NAN : op_random (&random);
          x[4][i] = i == 255 ? INFINITY : op_random (&random);
          x[5][i] = i == 13 ? 5.0f : 0.0f;
        }
      op_random_weights (&random, dtype, weights, (gsize) (16 * n));
      atl_pack_group (dtype, weights, row_bytes, 16, n, group);
      for (guint v = 0; v < 2; v++)
        {
          g_autofree guint8 *a = g_malloc (tiles[v]->slab_bytes);
          g_autofree guint8 *b = g_malloc (n * 16 * sizeof (float));

          if (!usable[v])
            continue;
          tiles[v]->prepare_rows (rows, 6, n, a);
          tiles[v]->pack_panel (dtype, group, n, 0, n, b);
          tiles[v]->tile_ahead (n, a, b, b, sums[v], 32, FALSE, a);
          tiles[v]->prepare_rows (rows + 2, 1, n, a);
          tiles[v]->tile_ahead (n, a, b, b, alone, 32, FALSE, a);
          g_assert_cmpmem (sums[v] + 2 * 32, 32 * sizeof (float), alone, 32 * sizeof (float));
          for (guint c = 0; c < 16; c++)
            {
              float w[256];

              atl_dequantize (dtype, weights + c * row_bytes, w, n);
              for (guint r = 0; r < 6; r++)
                {
                  const double want = exact_sum (x[r], w, n), got = (double) sums[v][r * 32 + c];
                  double size = 0.0;

                  g_test_message ("%s, variant %u, row %u, column %u: %g, should be %g",
                                  atl_dtype_name (dtype), v, r, c, got, want);
                  g_assert_true ((double) sums[v][r * 32 + 16 + c] == got || r == 3 || r == 4);
                  if (r == 3 || r == 4)
                    {
                      g_assert_true (isnan (got));
                      continue;
                    }
                  /* Small numbers lie between -1 and 1: half a step of 2 / 255 each at most, beside
                   * float32's last places of the large ones. */
                  for (gint64 i = 0; i < n; i++)
                    size += fabs ((double) w[i]) * (r == 5 ? 1e-5 : 1.0 / 255.0);
                  g_assert_cmpfloat (fabs (got - want), <=, size + 2e-6 * fabs (want));
                }
            }
        }
      if (usable[0] && usable[1])
        for (guint r = 0; r < 6; r++)
          if (r != 3 && r != 4)
            g_assert_cmpmem (sums[0] + r * 32, 32 * sizeof (float), sums[1] + r * 32,
                             32 * sizeof (float));
    }
}
#endif

/* levels: by level, fast. */
static void
add_level (AtlCpuLevel level, AtlBackend *reference, AtlBackend **levels)
{
  g_autofree char *path = g_strdup_printf ("/ops/not-a-number/%d", level);
  g_autofree char *in_file = g_strdup_printf ("/ops/in-file/%d", level);

  add_backend (level, TRUE, 2, reference);
  levels[level] = add_backend (level, FALSE, 3, reference);
  g_test_add_data_func (path, levels[level], test_not_a_number);
  g_test_add_data_func (in_file, levels[level], test_in_file);
  if (level == ATL_CPU_AVX512 && atl_cpu_features ()->vnni && atl_cpu_features ()->avx_vnni)
    g_test_add_data_func ("/ops/dots-of-vnni", levels + ATL_CPU_AVX2, test_dots_of_vnni);
  if (level == ATL_CPU_AMX)
    g_test_add_data_func ("/ops/tiles-of-bytes", levels + ATL_CPU_AVX512, test_tiles_of_bytes);
}

int
main (int argc, char **argv)
{
  AtlCpuOptions plain = { .n_threads = 1, .level = ATL_CPU_REFERENCE, .exact = TRUE };
  AtlCpuLevel best = atl_cpu_best_level ();
  AtlBackend *reference;
  AtlBackend *levels[ATL_CPU_AMX + 1] = { NULL };

  g_test_init (&argc, &argv, NULL);
  reference = atl_cpu_backend_new (&plain, NULL);
  g_assert_nonnull (reference);

  /* The reference with several threads, then each level above it. */
  add_backend (ATL_CPU_REFERENCE, TRUE, 3, reference);
  for (AtlCpuLevel level = ATL_CPU_AVX2; level <= ATL_CPU_AMX; level++)
    if (atl_cpu_has_level (level))
      add_level (level, reference, levels);
#if defined(__x86_64__)
  if (best >= ATL_CPU_AVX2 && best <= ATL_CPU_AMX)
    {
      g_test_add_func ("/ops/tiles-of-words", test_tiles_of_words);
      g_test_add_func ("/ops/plain-words", test_plain_words);
      g_test_add_func ("/ops/bytes-of-many-rows", test_bytes_of_many_rows);
      g_test_add_func ("/ops/folded-bytes", test_folded_bytes);
    }
#endif
  if (best == ATL_CPU_NEON)
    add_backend (best, TRUE, 2, reference);
  return g_test_run ();
}
