/* Attention in words (kern-attend.c, kern-attend-range.c) where sums are as large as they get,
 * where rows are nothing or no number, with the sizes of tiles, blocks and heads that leave
 * something over, and with ranges of keys. */
#include <math.h>

#include "engine/tensor/cpu/cpu-private.h"
#include "engine/tensor/cpu/kernels.h"
#include "op-cases.h"

#if defined(__x86_64__)

#define N_ROWS 7
#define MAX_DIM 200
#define MAX_KEYS 300
/* Twice what random rows are off by. */
#define TOLERANCE 3e-4

typedef struct
{
  float q[N_ROWS][MAX_DIM], k[MAX_KEYS][MAX_DIM], v[MAX_KEYS][MAX_DIM], out[N_ROWS][MAX_DIM];
  gint64 n, dim, v_dim;
  gboolean in_ranges; /* the keys that rows see; else all */
  gint32 first[N_ROWS], end[N_ROWS];
} Case;

static const AtlCpuAttend *variants[] = { &atl_cpu_attend_avx2, &atl_cpu_attend_avx2_vnni,
                                          &atl_cpu_attend_avx512 };
static const AtlCpuAttendRange *range_variants[] = { &atl_cpu_attend_range_avx2,
                                                     &atl_cpu_attend_range_avx2_vnni,
                                                     &atl_cpu_attend_range_avx512 };

static gboolean
is_there (guint variant)
{
  const AtlCpuFeatures *features = atl_cpu_features ();
  const gboolean there = variant == 0   ? features->best >= ATL_CPU_AVX2
                         : variant == 1 ? features->avx_vnni
                                        : features->best >= ATL_CPU_AVX512 && features->vnni;

  if (!there)
    g_test_message ("the processor lacks what variant %u needs", variant);
  return there;
}

static void
ranges_of_block (const Case *c, gint64 at, gsize lanes, gint32 *ranges)
{
  for (gsize i = 0; i < lanes; i++)
    {
      ranges[i] = i < N_ROWS ? c->first[i] - (gint32) at : 0;
      ranges[lanes + i] = i < N_ROWS ? c->end[i] - (gint32) at : G_MAXINT32;
    }
}

static void
run (guint variant, Case *c)
{
  const AtlCpuAttend *kernels = variants[variant];
  const AtlCpuAttendRange *in_ranges = range_variants[variant];
  const gsize lanes = kernels->n_lanes;
  const gsize k_words = (gsize) (atl_attend_words (c->dim) * ATL_ATTEND_KEYS + c->dim);
  const gsize v_words = (gsize) (atl_attend_words (c->v_dim) * ATL_ATTEND_KEYS + c->v_dim);
  g_autofree float *queries = g_new (float, (gsize) atl_attend_words (c->dim) * lanes);
  g_autofree float *keys = g_new (float, k_words);
  g_autofree float *values = g_new (float, v_words);
  g_autofree float *sums = g_new0 (float, ((gsize) c->v_dim * lanes));
  g_autofree float *state = g_new0 (float, 2 * lanes);
  g_autofree gint32 *ranges = g_new0 (gint32, 2 * lanes);
  const float *rows[ATL_ATTEND_KEYS];
  float *out[N_ROWS];

  for (gsize i = 0; i < lanes; i++)
    state[i] = -INFINITY;
  for (guint r = 0; r < N_ROWS; r++)
    {
      rows[r] = c->q[r];
      out[r] = c->out[r];
    }
  kernels->queries (rows, N_ROWS, c->dim, (float) (1.0 / G_LN2), (guint8 *) queries);
  for (gint64 at = 0; at < c->n; at += ATL_ATTEND_KEYS)
    {
      const gint64 n = MIN (ATL_ATTEND_KEYS, c->n - at);

      for (gint64 i = 0; i < n; i++)
        rows[i] = c->k[at + i];
      kernels->keys (rows, n, c->dim, (guint8 *) keys);
      for (gint64 i = 0; i < n; i++)
        rows[i] = c->v[at + i];
      if (!c->in_ranges)
        {
          kernels->values (rows, n, c->v_dim, (guint8 *) values);
          kernels->step ((guint8 *) queries, (guint8 *) keys, (guint8 *) values, n, c->dim,
                         c->v_dim, state, sums);
          continue;
        }
      ranges_of_block (c, at, lanes, ranges);
      in_ranges->values (rows, n, c->v_dim, (guint8 *) values);
      in_ranges->step ((guint8 *) queries, (guint8 *) keys, (guint8 *) values, ranges, n, c->dim,
                       c->v_dim, state, sums);
    }
  kernels->finish (state, sums, c->v_dim, N_ROWS, out);
}

/* A row's result in doubles; `size` is that of the largest value. */
static void
expect (const Case *c, guint row, double *out, double *size)
{
  const gint64 first = c->in_ranges ? c->first[row] : 0;
  const gint64 end = c->in_ranges ? c->end[row] : c->n;
  double weights[MAX_KEYS], most = -G_MAXDOUBLE, total = 0.0;

  for (gint64 i = first; i < end; i++)
    {
      weights[i] = 0.0;
      for (gint64 d = 0; d < c->dim; d++)
        weights[i] += (double) c->q[row][d] * (double) c->k[i][d];
      most = isnan (weights[i]) ? NAN : MAX (most, weights[i]);
    }
  for (gint64 i = first; i < end; i++)
    {
      weights[i] = exp (weights[i] - most);
      total += weights[i];
    }
  *size = 0.0;
  for (gint64 d = 0; d < c->v_dim; d++)
    {
      out[d] = 0.0;
      for (gint64 i = first; i < end; i++)
        {
          out[d] += weights[i] / total * (double) c->v[i][d];
          *size = MAX (*size, fabs ((double) c->v[i][d]));
        }
    }
}

static void
check (Case *c)
{
  g_autofree Case *first = NULL;

  for (guint variant = 0; variant < G_N_ELEMENTS (variants); variant++)
    {
      if (!is_there (variant))
        continue;
      run (variant, c);
      for (guint r = 0; r < N_ROWS; r++)
        {
          double want[MAX_DIM], size;

          expect (c, r, want, &size);
          for (gint64 d = 0; d < c->v_dim; d++)
            if (isnan (want[d]))
              g_assert_true (isnan (c->out[r][d]));
            else
              g_assert_cmpfloat (fabs ((double) c->out[r][d] - want[d]), <=, TOLERANCE * size);
        }
      /* Both kinds of AVX2 agree. */
      if (variant == 0)
        first = g_memdup2 (c, sizeof *c);
      else if (variant == 1)
        for (guint r = 0; r < N_ROWS; r++)
          g_assert_cmpmem (first->out[r], (gsize) c->v_dim * sizeof (float), c->out[r],
                           (gsize) c->v_dim * sizeof (float));
    }
}

static Case *
random_case (gint64 n, gint64 dim, gint64 v_dim)
{
  Case *c = g_new0 (Case, 1);
  OpRandom random = { (guint64) (n * 1000 + dim) };

  c->n = n;
  c->dim = dim;
  c->v_dim = v_dim;
  for (gint64 d = 0; d < MAX_DIM; d++)
    {
      for (guint r = 0; r < N_ROWS; r++)
        c->q[r][d] = op_random (&random) * 4.0f / sqrtf ((float) dim);
      for (guint i = 0; i < MAX_KEYS; i++)
        {
          c->k[i][d] = op_random (&random);
          c->v[i][d] = op_random (&random);
        }
    }
  return c;
}

static void
test_shapes (void)
{
  const gint64 shapes[][3] = {
    { 1, 1, 1 },     { 2, 3, 5 },     { 77, 40, 40 },  { 126, 64, 64 },
    { 127, 72, 72 }, { 300, 80, 96 }, { 253, 129, 7 }, { 130, 200, 200 }
  };

  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++)
    {
      g_autofree Case *c = random_case (shapes[i][0], shapes[i][1], shapes[i][2]);

      check (c);
    }
}

/* All products have one sign and the largest size; then one of them is much larger than the others.
 */
static void
test_largest (void)
{
  for (guint spike = 0; spike < 2; spike++)
    {
      g_autofree Case *c = random_case (126, 128, 40);

      for (gint64 d = 0; d < MAX_DIM; d++)
        {
          for (guint r = 0; r < N_ROWS; r++)
            c->q[r][d] = r % 2 == 0 ? 0.05f : -0.05f;
          for (guint i = 0; i < MAX_KEYS; i++)
            {
              c->k[i][d] = 1.0f;
              c->v[i][d] = d % 2 == 0 ? -3.0f : 3.0f;
            }
        }
      if (spike == 1)
        for (guint r = 0; r < N_ROWS; r++)
          {
            c->q[r][r] = 5.0f;
            c->k[17][r] = 1.5f;
            c->v[17][r] = 100.0f;
          }
      check (c);
    }
}

/* What is no number, or infinite, is not lost; what is nothing makes none. */
static void
test_odd_numbers (void)
{
  g_autofree Case *c = random_case (140, 40, 40);

  memset (c->q[1], 0, sizeof c->q[1]);
  c->q[3][7] = NAN;
  c->v[133][5] = NAN;
  for (guint i = 0; i < MAX_KEYS; i++)
    c->v[i][9] = 0.0f;
  memset (c->k[2], 0, sizeof c->k[2]);
  for (gint64 d = 0; d < c->dim; d++)
    c->k[4][d] = d == 0 ? 1e-42f : 0.0f;
  check (c);
  c->k[3][11] = INFINITY;
  for (guint variant = 0; variant < G_N_ELEMENTS (variants); variant++)
    if (is_there (variant))
      {
        run (variant, c);
        g_assert_true (isnan (c->out[0][0]));
      }
}

/* All keys, none, one, and ranges that begin and end anywhere in blocks. */
static void
set_ranges (Case *c)
{
  const gint32 n = (gint32) c->n;
  const gint32 ranges[N_ROWS][2] = { { 0, n },         { n / 2, n / 2 },     { n - 1, n }, { 0, 1 },
                                     { n / 3, n - 5 }, { n / 2, n / 2 + 4 }, { 5, n / 2 } };

  c->in_ranges = TRUE;
  for (guint r = 0; r < N_ROWS; r++)
    {
      c->first[r] = ranges[r][0];
      c->end[r] = ranges[r][1];
    }
}

static void
test_ranges (void)
{
  const gint64 shapes[][3] = { { 40, 40, 40 },  { 126, 64, 64 }, { 127, 72, 70 },  { 300, 80, 96 },
                               { 253, 129, 7 }, { 252, 64, 65 }, { 130, 200, 200 } };

  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++)
    {
      g_autofree Case *c = random_case (shapes[i][0], shapes[i][1], shapes[i][2]);

      set_ranges (c);
      check (c);
      /* Values that differ much in size, and largest weights for small ones. */
      for (gint64 k = 0; k < c->n; k++)
        for (gint64 d = 0; d < c->v_dim; d++)
          c->v[k][d] *= k % 7 == 0 ? 100.0f : k % 7 == 1 ? 0.0f : 1.0f;
      check (c);
    }
}

/* A row has the same numbers, to the last bit, whatever is beside it and in keys it does not see.
 */
static void
test_alone (void)
{
  for (guint variant = 0; variant < G_N_ELEMENTS (variants); variant++)
    for (guint row = 0; row < N_ROWS && is_there (variant); row++)
      {
        g_autofree Case *c = random_case (300, 64, 64);
        g_autofree Case *other = random_case (299, 64, 64);

        set_ranges (c);
        run (variant, c);
        set_ranges (other);
        other->n = c->n;
        memcpy (other->q[row], c->q[row], sizeof c->q[row]);
        other->first[row] = c->first[row];
        other->end[row] = c->end[row];
        for (gint32 i = 0; i < MAX_KEYS; i++)
          {
            const gboolean seen = i >= c->first[row] && i < c->end[row];

            memcpy (other->k[i], c->k[i], sizeof c->k[i]);
            memcpy (other->v[i], c->v[i], sizeof c->v[i]);
            if (!seen)
              other->k[i][i % 64] = other->v[i][i % 64] = i % 2 == 0 ? NAN : INFINITY;
          }
        run (variant, other);
        g_assert_cmpmem (other->out[row], 64 * sizeof (float), c->out[row], 64 * sizeof (float));
      }
}

/* What is seen and no number is not lost; where nothing is seen or all values are nothing, zeros.
 */
static void
test_odd_ranges (void)
{
  for (guint variant = 0; variant < G_N_ELEMENTS (variants); variant++)
    {
      g_autofree Case *c = random_case (200, 40, 40);

      if (!is_there (variant))
        continue;
      set_ranges (c);
      c->v[50][3] = NAN;
      c->q[4][7] = INFINITY;
      memset (c->v[199], 0, sizeof c->v[199]);
      run (variant, c);
      g_assert_true (isnan (c->out[0][0]) && isnan (c->out[4][0]) && isnan (c->out[6][0]));
      for (gint64 d = 0; d < c->v_dim; d++)
        {
          g_assert_cmpfloat (c->out[1][d], ==, 0.0f);
          g_assert_cmpfloat (c->out[2][d], ==, 0.0f);
          g_assert_true (isfinite (c->out[3][d]) && isfinite (c->out[5][d]));
        }
    }
}
#endif

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#if defined(__x86_64__)
  g_test_add_func ("/attend/shapes", test_shapes);
  g_test_add_func ("/attend/largest", test_largest);
  g_test_add_func ("/attend/odd-numbers", test_odd_numbers);
  g_test_add_func ("/attend/ranges", test_ranges);
  g_test_add_func ("/attend/alone", test_alone);
  g_test_add_func ("/attend/odd-ranges", test_odd_ranges);
#endif
  return g_test_run ();
}
