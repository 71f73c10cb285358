/* How the CPU backend keeps weights: slabs hand out memory that nobody else has, packed groups say
 * the values of the file's blocks, and products of two groups are those of each. */
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/tensor/cpu/cpu-private.h"
#include "engine/tensor/cpu/pack.h"
#include "engine/tensor/cpu/slabs.h"

#define N_PIECES 40

/* Sizes around those at which a slab, or an allocation of its own, begins. */
static gsize
piece_bytes (GRand *rand)
{
  switch (g_rand_int_range (rand, 0, 4))
    {
    case 0:
      return (gsize) g_rand_int_range (rand, 1, 4096);
    case 1:
      return ATL_CPU_SLABS_MIN + (gsize) g_rand_int_range (rand, -2, 3);
    case 2:
      return (gsize) g_rand_int_range (rand, 300000, 3000000);
    default:
      return (gsize) g_rand_int_range (rand, 7000000, 9000000);
    }
}

static void
fill (guint8 *piece, gsize bytes, guint8 value)
{
  for (gsize i = 0; i < bytes; i += 64)
    piece[i] = value;
  piece[bytes - 1] = value;
}

static void
check (const guint8 *piece, gsize bytes, guint8 value)
{
  for (gsize i = 0; i < bytes; i += 64)
    g_assert_cmpuint (piece[i], ==, value);
  g_assert_cmpuint (piece[bytes - 1], ==, value);
}

static void
test_slabs (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  AtlPool *pool = atl_pool_new (2);
  AtlCpuSlabs *slabs = atl_cpu_slabs_new (pool);
  guint8 *piece[N_PIECES] = { NULL };
  gsize bytes[N_PIECES];

  for (guint step = 0; step < 4 * N_PIECES; step++)
    {
      guint i = (guint) g_rand_int_range (rand, 0, N_PIECES);

      if (piece[i] != NULL)
        {
          check (piece[i], bytes[i], (guint8) i);
          atl_cpu_slabs_free (slabs, piece[i]);
        }
      bytes[i] = piece_bytes (rand);
      piece[i] = atl_cpu_slabs_alloc (slabs, bytes[i]);
      g_assert_nonnull (piece[i]);
      g_assert_cmpuint ((gsize) piece[i] % 64, ==, 0);
      fill (piece[i], bytes[i], (guint8) i);
    }
  for (guint i = 0; i < N_PIECES; i++)
    {
      if (piece[i] != NULL)
        check (piece[i], bytes[i], (guint8) i);
      atl_cpu_slabs_free (slabs, piece[i]);
    }
  g_assert_null (atl_cpu_slabs_alloc (slabs, G_MAXSIZE - 64));
  atl_cpu_slabs_free_all (slabs);
  atl_pool_free (pool);
}

/* Pages of [memory, memory + n * 4096) that are in memory. */
static guint
count_resident (guint8 *memory, guint n)
{
  g_autofree unsigned char *is_there = g_malloc0 (n);
  guint there = 0;

  g_assert_cmpint (mincore (memory, (gsize) n * 4096, is_there), ==, 0);
  for (guint i = 0; i < n; i++)
    there += is_there[i] & 1;
  return there;
}

/* Few weights take little: what is made ready for more is a share of them, to whole large pages. */
static void
test_slabs_touch_little (void)
{
  AtlPool *pool = atl_pool_new (2);
  AtlCpuSlabs *slabs = atl_cpu_slabs_new (pool);
  guint8 *first = NULL, *piece[64];
  const gsize bytes = 64 * 1024;

  /* What fills memory for tests touches all of it. */
  mallopt (M_PERTURB, 0);
  for (guint i = 0; i < G_N_ELEMENTS (piece); i++)
    {
      gsize used = (i + 1) * bytes, most;

      piece[i] = atl_cpu_slabs_alloc (slabs, bytes);
      first = i == 0 ? piece[0] : first;
      g_assert_true (piece[i] == first + i * bytes);
      most = used + used / 4 + 2 * ATL_CPU_HUGE_BYTES;
      g_assert_cmpuint (count_resident (first, 16 * 1024 * 1024 / 4096), <=, most / 4096);
    }
  for (guint i = 0; i < G_N_ELEMENTS (piece); i++)
    atl_cpu_slabs_free (slabs, piece[i]);
  atl_cpu_slabs_free_all (slabs);
  atl_pool_free (pool);
}

/* A group of fewer rows is that of all with the others' blocks made of zeros. */
static void
test_partial_groups (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (8);
  const gint64 n_in = 512;

  for (guint dtype = 0; dtype < ATL_N_DTYPES; dtype++)
    {
      const AtlDTypeInfo *info = atl_dtype_info (dtype);
      gsize row_bytes, group_bytes;

      if (atl_pack_info (dtype) == NULL)
        continue;
      row_bytes = (gsize) n_in / info->block_elems * info->block_bytes;
      group_bytes = atl_pack_group_bytes (dtype, n_in);
      for (guint n_rows = 1; n_rows <= ATL_PACK_ROWS; n_rows += 5)
        {
          g_autofree guint8 *few = g_malloc (n_rows * row_bytes);
          g_autofree guint8 *all = g_malloc0 (ATL_PACK_ROWS * row_bytes);
          g_autofree guint8 *packed_few = g_malloc0 (group_bytes);
          g_autofree guint8 *packed_all = g_malloc0 (group_bytes);

          for (gsize i = 0; i < n_rows * row_bytes; i++)
            few[i] = (guint8) g_rand_int_range (rand, 0, 256);
          memcpy (all, few, n_rows * row_bytes);
          atl_pack_group (dtype, few, row_bytes, n_rows, n_in, packed_few);
          atl_pack_group (dtype, all, row_bytes, ATL_PACK_ROWS, n_in, packed_all);
          g_assert_cmpmem (packed_few, group_bytes, packed_all, group_bytes);
        }
    }
}

/* The nibble of element e of row r of a block's lines: pack.h. */
static guint
nibble_at (const guint8 *lines, guint r, guint e)
{
  guint quad = e / 4;

  return lines[64 * (quad / 2) + 4 * r + e % 4] >> 4 * (quad % 2) & 15;
}

/* Where pack.h says that codes and scales lie, for a type with nibbles, bits and scales. */
static void
test_layout (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (9);
  guint8 rows[16][176], packed[320 + 8 * 320];

  g_assert_cmpuint (sizeof packed, ==, atl_pack_group_bytes (ATL_DTYPE_Q5_K, 256));
  for (guint r = 0; r < 16; r++)
    for (guint i = 0; i < 176; i++)
      rows[r][i] = (guint8) g_rand_int_range (rand, 0, 256);
  atl_pack_group (ATL_DTYPE_Q5_K, rows[0], 176, 16, 256, packed);
  for (guint r = 0; r < 16; r++)
    {
      const guint8 *s = rows[r] + 4;

      g_assert_cmpmem (packed + 2 * r, 2, rows[r], 2);
      g_assert_cmpmem (packed + 32 + 2 * r, 2, rows[r] + 2, 2);
      for (guint j = 0; j < 8; j++)
        {
          guint scale = j < 4 ? s[j] & 63 : (guint) (s[j + 4] & 15) | (guint) (s[j - 4] >> 6) << 4;
          guint min = j < 4 ? s[j + 4] & 63 : (guint) s[j + 4] >> 4 | (guint) (s[j] >> 6) << 4;

          g_assert_cmpuint (packed[64 + 16 * j + r], ==, scale);
          g_assert_cmpuint (packed[192 + 16 * j + r], ==, min);
        }
      for (guint e = 0; e < 256; e++)
        {
          const guint8 *lines = packed + 320 + e / 32 * 320;
          guint low = rows[r][48 + e / 64 * 32 + e % 32] >> (e / 32 % 2 * 4) & 15;
          guint high = rows[r][16 + e % 32] >> e / 32 & 1;

          g_assert_cmpuint (nibble_at (lines, r, e % 32), ==, low);
          g_assert_cmpuint (lines[256 + 4 * r + e % 4] >> e % 32 / 4 & 1, ==, high);
        }
    }
}

/* A group's bytes as they may be: halves that are finite, all codes. */
static guint8 *
random_group (GRand *rand, AtlDType dtype, gint64 n_in)
{
  const AtlDTypeInfo *info = atl_dtype_info (dtype);
  const gsize row_bytes = (gsize) n_in / info->block_elems * info->block_bytes;
  g_autofree guint8 *rows = g_malloc (ATL_PACK_ROWS * row_bytes);
  guint8 *group = g_aligned_alloc0 (1, atl_pack_group_bytes (dtype, n_in), 64);

  for (gsize i = 0; i < ATL_PACK_ROWS * row_bytes; i++)
    rows[i] = (guint8) g_rand_int_range (rand, 0, 256) & 0xbb;
  atl_pack_group (dtype, rows, row_bytes, ATL_PACK_ROWS, n_in, group);
  return group;
}

/* Two groups side by side give the numbers of one after the other, to the last bit. */
static void
test_two_groups (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (10);
  const gint64 n_in = 768;
  float x[2][768];

  for (gint64 i = 0; i < 2 * n_in; i++)
    x[i / n_in][i % n_in] = (float) g_rand_double_range (rand, -2.0, 2.0);
  for (guint dtype = 0; dtype < ATL_N_DTYPES; dtype++)
    {
      guint8 *group[2];

      if (atl_pack_info (dtype) == NULL)
        continue;
      for (guint g = 0; g < 2; g++)
        group[g] = random_group (rand, dtype, n_in);
      for (AtlCpuLevel level = ATL_CPU_REFERENCE; level <= atl_cpu_features ()->best; level++)
        for (guint exact = 0; exact < 2; exact++)
          {
            const AtlCpuKernels *k = atl_cpu_kernels (level, exact);
            gint8 q[2 * 768 * 2];
            AtlQuantBlock blocks[2 * 768 / 32];
            AtlQuantRows rows = { .n_blocks = n_in / 32, .q = q, .blocks = blocks };
            float one[32], two[32];

            if (k == NULL)
              continue;
            for (guint r = 0; r < 2; r++)
              k->quantize_row (x[r], n_in, r, &rows);
            for (guint r = 0; r < 2; r++)
              {
                for (guint g = 0; g < 2; g++)
                  k->packed_dot (dtype, group[g], &rows, r, 1, one + 16 * g);
                k->packed_dot_two (dtype, (const guint8 *const *) group, &rows, r, two);
                g_assert_cmpmem (one, sizeof one, two, sizeof two);
              }
          }
      for (guint g = 0; g < 2; g++)
        g_aligned_free (group[g]);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/weights-cpu/slabs", test_slabs);
  g_test_add_func ("/weights-cpu/partial-groups", test_partial_groups);
  g_test_add_func ("/weights-cpu/layout", test_layout);
  g_test_add_func ("/weights-cpu/two-groups", test_two_groups);
  g_test_add_func ("/weights-cpu/slabs-touch-little", test_slabs_touch_little);
  return g_test_run ();
}
