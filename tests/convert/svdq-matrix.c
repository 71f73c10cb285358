/* Packs the numbers of a matrix in the order in which lanes of a GPU read them. */
#include "svdq-matrix.h"

#include "engine/tensor/quants/half.h"

static float
pick (GRand *rand, const float *from, guint n)
{
  return from[g_rand_int_range (rand, 0, (gint) n)];
}

/* The numbers of a list in the order in which lanes of a GPU read them. */
static void
pack_list (const float *list, gint n, gint stride, guint16 *out)
{
  for (gint tile = 0; tile < n / 16; tile++)
    for (gint lane = 0; lane < 4; lane++)
      for (gint half = 0; half < 2; half++)
        for (gint i = 0; i < 2; i++)
          *out++ = atl_f32_to_bf16 (list[(tile * 16 + half * 8 + lane * 2 + i) * stride]);
}

static void
pack_words (SvdqMatrix *m)
{
  guint32 *out = m->words;

  for (gint tile = 0; tile < N_OUT / 128; tile++)
    for (gint k = 0; k < N_IN; k += 64)
      for (gint pack = 0; pack < 8; pack++)
        for (gint n_lane = 0; n_lane < 8; n_lane++)
          for (gint k_lane = 0; k_lane < 4; k_lane++)
            for (gint n_half = 0; n_half < 2; n_half++)
              for (gint k_half = 0; k_half < 2; k_half++, out++)
                {
                  const gint *code = m->code[tile * 128 + pack * 16 + n_half * 8 + n_lane];

                  *out = 0;
                  for (guint i = 0; i < 8; i++)
                    *out |= (guint32) (code[k + k_half * 32 + k_lane * 8 + (gint) i] & 15) << 4 * i;
                  *out = GUINT32_TO_LE (*out);
                }
}

/* Tiles of 16 x 16, of `rows` first; (rows, columns) of `at`. */
static void
pack_low_rank (const float *at,
               gint rows,
               gint row_stride,
               gint columns,
               gint column_stride,
               gboolean outer_is_columns,
               guint16 *out)
{
  gint n_outer = (outer_is_columns ? columns : rows) / 16;
  gint n_inner = (outer_is_columns ? rows : columns) / 16;

  for (gint outer = 0; outer < n_outer; outer++)
    for (gint inner = 0; inner < n_inner; inner++)
      for (gint n_lane = 0; n_lane < 8; n_lane++)
        for (gint k_lane = 0; k_lane < 4; k_lane++)
          for (gint n_half = 0; n_half < 2; n_half++)
            for (gint k_half = 0; k_half < 2; k_half++)
              for (gint i = 0; i < 2; i++)
                {
                  gint row = (outer_is_columns ? inner : outer) * 16 + n_half * 8 + n_lane;
                  gint column =
                      (outer_is_columns ? outer : inner) * 16 + k_half * 8 + k_lane * 2 + i;

                  *out++ = atl_f32_to_bf16 (at[row * row_stride + column * column_stride]);
                }
}

static void
pack (SvdqMatrix *m)
{
  guint8 *small = m->small_scales;

  pack_words (m);
  for (gint tile = 0; tile < N_OUT / 128; tile++)
    for (gint g = 0; g < N_IN / 64; g++)
      pack_list (&m->scale[tile * 128][4 * g], 128, N_IN / 16,
                 m->scales + (tile * (N_IN / 64) + g) * 128);
  for (gint tile = 0; tile < N_OUT / 128; tile++)
    for (gint g = 0; g < N_IN / 64; g++)
      for (gint lane = 0; lane < 8; lane++)
        for (gint quad = 0; quad < 4; quad++)
          for (gint part = 0; part < 4; part++)
            for (gint i = 0; i < 4; i++)
              *small++ = atl_f32_to_f8_e4m3 (
                  m->scale[tile * 128 + part * 32 + quad * 8 + lane][4 * g + i]);
  pack_list (m->row_scale, N_OUT, 1, m->row_scales);
  pack_list (m->smooth, N_IN, 1, m->smooths);
  pack_list (m->bias, N_OUT, 1, m->biases);
  pack_low_rank (&m->down[0][0], RANK, N_IN, N_IN, 1, TRUE, m->downs);
  pack_low_rank (&m->up[0][0], N_OUT, RANK, RANK, 1, FALSE, m->ups);
  m->whole = atl_f32_to_bf16 (m->whole_scale);
}

SvdqMatrix *
svdq_matrix_new (guint32 seed, gboolean is_fp4)
{
  static const float scales[] = { 0.0625f, 0.125f, 0.15625f, 0.21875f };
  static const float others[] = { 0.5f, 0.75f, 1.0f, 1.5f, 2.0f };
  static const float low_rank[] = { -0.5f, -0.0625f, 0.0f, 0.03125f, 0.25f };
  SvdqMatrix *m = g_new0 (SvdqMatrix, 1);
  GRand *rand = g_rand_new_with_seed (seed);

  for (guint o = 0; o < N_OUT; o++)
    {
      for (guint i = 0; i < N_IN; i++)
        m->code[o][i] = g_rand_int_range (rand, is_fp4 ? 0 : -8, is_fp4 ? 16 : 8);
      for (guint g = 0; g < N_IN / 16; g++)
        m->scale[o][g] =
            !is_fp4 && g % 4 != 0 ? m->scale[o][g - 1] : pick (rand, scales, G_N_ELEMENTS (scales));
      m->row_scale[o] = pick (rand, others, G_N_ELEMENTS (others));
      m->bias[o] = pick (rand, low_rank, G_N_ELEMENTS (low_rank));
      for (guint r = 0; r < RANK; r++)
        m->up[o][r] = pick (rand, low_rank, G_N_ELEMENTS (low_rank));
    }
  for (guint i = 0; i < N_IN; i++)
    {
      m->smooth[i] = pick (rand, others, G_N_ELEMENTS (others));
      for (guint r = 0; r < RANK; r++)
        m->down[r][i] = pick (rand, low_rank, G_N_ELEMENTS (low_rank));
    }
  m->whole_scale = 0.5f;
  g_rand_free (rand);
  pack (m);
  return m;
}
