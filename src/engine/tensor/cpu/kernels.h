/* The inner loops that are compiled once per level (kern-*.c), and how the rest calls them. */
#pragma once

#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/cpu/pack.h"
#include "engine/tensor/ops.h"

G_BEGIN_DECLS

/* Activations of one row in two bytes an element: x = scale (128 hi + lo), in blocks of 32 of the
 * 32 high bytes, then the 32 low bytes. */
typedef struct
{
  float scale;
  gint32 sum[3];     /* of the 15-bit integers: elements 0-15, 16-31, all */
  float real_sum[3]; /* the same times scale */
  guint32 unused;
} AtlQuantBlock;

typedef struct
{
  gint64 n_blocks;       /* per row */
  gint8 *q;              /* [rows, n_blocks, 64] */
  AtlQuantBlock *blocks; /* [rows, n_blocks] */
} AtlQuantRows;

/* One row of ATL_OP_NORM; vectors of `dim` floats, each nullable. */
typedef struct
{
  AtlNormKind kind;
  float eps, a;
  gint64 dim;
  const float *weight, *bias, *scale, *shift;
} AtlNormRow;

/* Where sums of products go, and what becomes of them on the way; n columns. The second source's
 * are `second`, laid out as the first's. */
typedef struct
{
  gint64 n;
  AtlAct act;
  float scale, second_scale, factor;
  const float *bias;        /* (nullable) */
  const float *second;      /* (nullable): no gate */
  const float *second_bias; /* (nullable) */
  const float *residual;    /* (nullable) */
  gint64 residual_stride;
  float *out;
  gint64 out_stride;
} AtlSumsTo;

/* Tokens that a recurrence takes at once. */
#define ATL_RECUR_TOKENS 8

/* A few tokens of one head of a linear recurrence with state S [n_keys, n]. For each token t:
 * S = decay S; u = scale v; delta: u -= scale S^T k; S += k u^T; out = S^T q + skip v. */
typedef struct
{
  gint64 n_keys, n;
  guint n_tokens; /* at most ATL_RECUR_TOKENS */
  gboolean delta;
  const float *from; /* S before */
  float *to;         /* S after; may be `from` */
  const float *k[ATL_RECUR_TOKENS], *q[ATL_RECUR_TOKENS], *v[ATL_RECUR_TOKENS];
  float *out[ATL_RECUR_TOKENS];
  float decay[ATL_RECUR_TOKENS], scale[ATL_RECUR_TOKENS];
  float skip;
  float eps, q_scale; /* delta: k and q are first divided by sqrt (|.|^2 + eps), q times q_scale */
  float *scratch;     /* ATL_RECUR_SCRATCH (n) floats */
} AtlRecurStep;

#define ATL_RECUR_SCRATCH(n) (3 * ATL_RECUR_TOKENS * (n))

/* Some cached keys or values; and memory that will be wanted soon, asked for while they are worked
 * on: for each of them ahead_bytes (0: nothing), ahead_stride apart, for the first cache, and what
 * lies far_bytes behind it for the second (tiles may ask for either). Each head lies head_bytes
 * further than the one before, what is multiplied with it in_stride bytes and its results
 * out_stride floats. */
#define ATL_CACHE_ROWS 64
#define ATL_CACHE_STEP 16 /* multiples of it are best */
/* Sums of weights are kept in as many lanes as a vector has, at most these. */
#define ATL_SOFTMAX_LANES 16
typedef struct
{
  const guint8 *data;
  gsize row_bytes;
  gint64 n, width; /* rows, at most ATL_CACHE_ROWS; elements of a row */
  const guint8 *ahead;
  gsize ahead_bytes, ahead_stride, far_bytes;
  gint64 n_heads, out_stride;
  gsize head_bytes, in_stride;
} AtlCacheRows;

/* Rows of the largest matrix tile of a level. */
#define ATL_TILE_MAX_ROWS 32

/* Tiles in another arithmetic; the functions are those of AtlCpuKernels, and so is tile_k. */
typedef struct
{
  gboolean (*takes) (AtlDType dtype); /* (nullable) The weights that these are for; or all */
  void (*prepare_panel) (const float *panel, gint64 n, guint8 *out); /* n <= tile_k */
  /* (nullable) Instead, from the codes: elements [k, k + n) of a packed group, both multiples of
   * 32. */
  void (*pack_panel) (
      AtlDType dtype, const guint8 *group, gint64 n_in, gint64 k, gint64 n, guint8 *out);
  /* (nullable) Or from up to 16 plain rows of f32, f16, bf16 or f8: elements [k, k + n), n a
   * multiple of 32; missing rows are zero. */
  void (*rows_panel) (AtlDType dtype,
                      const guint8 *rows,
                      gsize row_bytes,
                      guint n_rows,
                      gint64 k,
                      gint64 n,
                      guint8 *out);
  void (*prepare_rows) (const float *const *rows, gint64 n, gint64 n_k, guint8 *out);
  /* (nullable) Beside tile_ahead none is needed. */
  void (*tile) (gint64 n_k,
                const guint8 *a,
                const guint8 *b0,
                const guint8 *b1,
                float *c,
                gint64 ldc,
                gboolean add);
  /* (nullable) As that of AtlCpuKernels. */
  void (*tile_ahead) (gint64 n_k,
                      const guint8 *a,
                      const guint8 *b0,
                      const guint8 *b1,
                      float *c,
                      gint64 ldc,
                      gboolean add,
                      const guint8 *next);
  guint n_rows;     /* of a tile, in place of tile_rows; 0: those */
  gsize slab_bytes; /* tile_k elements of a tile's prepared rows; at most 4 bytes each */
} AtlCpuTiles;

/* Where prompts begin, whose products may be of bytes (AtlCpuKernels.byte_tiles) and whose
 * attention is in words (attend_range): fewer rows are computed as exactly as one by one. Narrow
 * products take little of a real model's time. */
#define ATL_PROMPT_MIN_ROWS 128
#define ATL_PROMPT_MIN_WIDTH 512

/* The scores and sums of values of AtlCpuKernels for a quantised cache in integers, of all heads
 * and up to ATL_CACHE_ROWS rows at a time. Queries of a head are prepared once, in queries_bytes.
 */
typedef struct
{
  gsize (*queries_bytes) (gint64 n_q, gint64 width);
  void (*prepare_queries) (const float *const *q, gint64 n_q, gint64 width, guint8 *out);
  void (*scores) (const AtlCacheRows *keys, const guint8 *q, gint64 n_q, float *out);
  void (*weigh_values) (const AtlCacheRows *values, const float *p, gint64 n_q, float *sums);
} AtlCpuCacheTiles;

/* Attention of many queries that all see every key, in words of 16 bits (kern-attend.c): tiles of
 * n_lanes queries meet blocks of at most ATL_ATTEND_KEYS keys and values. Results are within about
 * 2e-4 of their size. */
#define ATL_ATTEND_KEYS 126
typedef struct
{
  guint n_lanes;
  /* n <= n_lanes queries, whose scores are multiplied with `factor`, in atl_attend_words (dim) *
   * n_lanes words of 32 bits; missing ones are zero. */
  void (*queries) (const float *const *rows, gint64 n, gint64 dim, float factor, guint8 *out);
  /* n <= ATL_ATTEND_KEYS keys or values, in atl_attend_words (dim) * ATL_ATTEND_KEYS + dim words of
   * 32 bits. */
  void (*keys) (const float *const *rows, gint64 n, gint64 dim, guint8 *out);
  void (*values) (const float *const *rows, gint64 n, gint64 dim, guint8 *out);
  /* Adds weighted values of a block to sums[v_dim][n_lanes]. state[2][n_lanes] is -INFINITY and
   * zeros at first, then what weights are relative to (in powers of two, for a `factor` that is
   * scale / ln 2) and their sum. */
  void (*step) (const guint8 *queries,
                const guint8 *keys,
                const guint8 *values,
                gint64 n,
                gint64 dim,
                gint64 v_dim,
                float *state,
                float *sums);
  /* out[r][v_dim] of n <= n_lanes queries; zeros where the sum of weights is zero. */
  void (*finish) (const float *state, const float *sums, gint64 v_dim, gint64 n, float *const *out);
} AtlCpuAttend;

/* The same where each query sees a range of keys of its own (kern-attend-range.c): its numbers
 * depend on nothing else. Queries, keys and results are those of AtlCpuAttend. */
typedef struct
{
  /* n <= ATL_ATTEND_KEYS values, in as much memory. */
  void (*values) (const float *const *rows, gint64 n, gint64 dim, guint8 *out);
  /* Lane i sees keys [ranges[i], ranges[n_lanes + i]) of the block, which may lie outside it. */
  void (*step) (const guint8 *queries,
                const guint8 *keys,
                const guint8 *values,
                const gint32 *ranges,
                gint64 n,
                gint64 dim,
                gint64 v_dim,
                float *state,
                float *sums);
} AtlCpuAttendRange;

/* Words of 32 bits that a row takes there. */
static inline gint64
atl_attend_words (gint64 dim)
{
  return (dim + 1) / 2 + 1;
}

/* Convolutions of 3 x 3 taps as products of 6 lines of 6 forms each (kern-winograd.c). Channels are
 * taken at most ATL_WINOGRAD_CHANNELS at a time; the forms of one thing lie `form` floats apart. */
#define ATL_WINOGRAD_CHANNELS 128
typedef struct
{
  /* A line of forms of n channels of a panel (of f32, f16 or bf16, taps `tap` elements apart):
   * out[n][16]. */
  void (*weights) (guint line,
                   AtlDType dtype,
                   const guint8 *panel,
                   gint64 tap,
                   gint64 n,
                   float *out,
                   gint64 form);
  /* That of n channels of 6 x 6 pixels, which are where x[6][6] says: out[n]. Reads and writes
   * whole vectors of at most 16. */
  void (*patch) (guint line, const float *const *x, gint64 n, float *out, gint64 form);
  /* c[n_rows][n_panels * 16] (+)= a . b of one form: a[n_rows][ATL_WINOGRAD_CHANNELS] and
   * b[n_panels][ATL_WINOGRAD_CHANNELS][16], of which n_k channels count; ldc floats between rows,
   * room for an even number of panels. */
  void (*multiply) (gint64 n_rows,
                    gint64 n_k,
                    const float *a,
                    const float *b,
                    gint64 n_panels,
                    float *c,
                    gint64 ldc,
                    gboolean add);
  /* 4 x 4 pixels, `pixel` floats apart, of n channels (a multiple of 16) from the forms' sums. */
  void (*pixels) (const float *sums, gint64 form, gint64 n, float *out, gint64 pixel);
} AtlCpuWinograd;

typedef struct
{
  /* --- products of few rows --- */

  /* Row `row` of `out` from n_in floats (a multiple of 32). */
  void (*quantize_row) (const float *x, gint64 n_in, gint64 row, AtlQuantRows *out);
  /* out[t][r] = packed row r of the group at `group` . activation row first + t, for t < n_rows. */
  void (*packed_dot) (AtlDType dtype,
                      const guint8 *group,
                      const AtlQuantRows *x,
                      gint64 first,
                      gint64 n_rows,
                      float *out /* [n_rows][16] */);
  /* The same numbers for one row and two groups of the same dtype, sooner. */
  void (*packed_dot_two) (AtlDType dtype,
                          const guint8 *const group[2],
                          const AtlQuantRows *x,
                          gint64 row,
                          float *out /* [2][16] */);
  /* The same for up to 16 plain rows of f32, f16, bf16 or f8 and float activations. */
  void (*plain_dot) (AtlDType dtype,
                     const guint8 *rows,
                     gsize row_bytes,
                     guint n_weight_rows,
                     gint64 n_in,
                     const float *x,
                     gint64 x_stride,
                     gint64 n_rows,
                     float *out /* [n_rows][16] */);

  /* --- products of many rows --- */

  /* Elements [k, k + n) of a packed group as floats [n][16]; both multiples of 32. */
  void (*unpack_panel) (
      AtlDType dtype, const guint8 *group, gint64 n_in, gint64 k, gint64 n, float *out);
  /* The same of plain rows (f32, f16, bf16, f8); missing rows become zero. */
  void (*plain_panel) (AtlDType dtype,
                       const guint8 *rows,
                       gsize row_bytes,
                       guint n_weight_rows,
                       gint64 k,
                       gint64 n,
                       float *out);
  /* A panel [n][16] of f32, f16 or bf16 as `tile` takes it, in the room of prepare_panel; n is a
   * multiple of channel_unit. */
  void (*load_panel) (AtlDType dtype, const guint8 *panel, gint64 n, guint8 *out);
  /* Turns an f32 panel [n][16] into what `tile` takes; NULL: the f32 panel itself. The result takes
   * n * 16 * 4 bytes rounded up to 32 in n. */
  void (*prepare_panel) (const float *panel, gint64 n, guint8 *out);
  /* Packs n <= tile_rows rows of activations, n_k elements, for `tile`: tile_rows * n_k (rounded up
   * to 32) * 4 bytes. Missing rows are zero. */
  void (*prepare_rows) (const float *const *rows, gint64 n, gint64 n_k, guint8 *out);
  /* c[tile_rows][32] (+)= a . (b0 | b1): n_k elements, ldc floats between rows. Without b1
   * (nullable) columns 16 to 31 are left as they are or hold anything. */
  void (*tile) (gint64 n_k,
                const guint8 *a,
                const guint8 *b0,
                const guint8 *b1,
                float *c,
                gint64 ldc,
                gboolean add);
  /* (nullable) The same, which asks meanwhile for as many rows at `next`. */
  void (*tile_ahead) (gint64 n_k,
                      const guint8 *a,
                      const guint8 *b0,
                      const guint8 *b1,
                      float *c,
                      gint64 ldc,
                      gboolean add,
                      const guint8 *next);
  /* (nullable) The same sums, sooner, for panels of weights that are exact in bf16: low
   * parts are not looked at. */
  void (*tile_bf16) (gint64 n_k,
                     const guint8 *a,
                     const guint8 *b0,
                     const guint8 *b1,
                     float *c,
                     gint64 ldc,
                     gboolean add);
  /* (nullable) For weights whose type is quantised: faster, and as exact as packed_dot. */
  const AtlCpuTiles *quant_tiles;
  /* (nullable) For the same from ATL_PROMPT_MIN_WIDTH inner elements and ATL_PROMPT_MIN_ROWS rows
   * on: faster still, but activations keep 8 bits, so that a product is off by 4e-3 of its size
   * (kern-bytes.c). */
  const AtlCpuTiles *byte_tiles;
  /* (nullable) For f16, bf16 and f8, n_in a multiple of 32: faster, within 1e-4 of a sum's size. */
  const AtlCpuTiles *plain_tiles;
  /* Where tiles take split numbers, for pictures (all nullable): a pixel of n channels split, each
   * channel_unit of them in channel_unit * 4 bytes, `stride` bytes apart; and tiles of sums as
   * above, c[tile_rows][32] in one piece, whose rows are pixels that lie one after the other: for
   * each of n_units units of inner elements a[i] is where the first of them is. */
  void (*split_pixel) (const float *x, gint64 n, gsize stride, guint8 *out);
  void (*tile_pixels) (guint n_units,
                       const guint8 *const *a,
                       const guint8 *b0,
                       const guint8 *b1,
                       float *c,
                       gboolean add);
  void (*tile_pixels_bf16) (guint n_units,
                            const guint8 *const *a,
                            const guint8 *b0,
                            const guint8 *b1,
                            float *c,
                            gboolean add);
  /* (nullable) Sums differ by about 2e-6 of their size from exact ones. */
  const AtlCpuWinograd *winograd;
  guint channel_unit; /* 1 where nothing is split */
  guint tile_rows;
  gint64 tile_k;        /* elements of the inner dimension that are best taken at a time */
  gint64 fast_rows;     /* up to so many activation rows packed_dot is faster than tiles */
  void (*begin) (void); /* (nullable) before a thread's first tile of a chunk */
  void (*end) (void);   /* (nullable) after its last */

  /* --- attention; cached dtypes are f32, f16, q8_0, q4_0 --- */

  /* n elements of a cached row (whole blocks) as floats. */
  void (*cache_row) (AtlDType dtype, const guint8 *row, gint64 n, float *out);
  /* out[j * ATL_CACHE_ROWS + k] = q row j . key k of a head; q [n_q, width]. Keys are
   * computed ATL_CACHE_STEP at a time, so places up to the next multiple may be written. */
  void (*scores) (AtlDType dtype, const AtlCacheRows *keys, const float *q, gint64 n_q, float *out);
  /* sums[j, width] += sum over k of p[j * ATL_CACHE_ROWS + k] * value k. */
  void (*weigh_values) (
      AtlDType dtype, const AtlCacheRows *values, const float *p, gint64 n_q, float *sums);
  /* (nullable) For caches of q8_0 and of q4_0. */
  const AtlCpuCacheTiles *q8_tiles, *q4_tiles;
  /* Scores s[n] become weights exp (score - largest): scaled, capped, bias added; `largest` and
   * `sum` (of all weights so far) are brought up to date. Returns what earlier sums must be
   * multiplied with. */
  float (*softmax_step) (float *s,
                         gint64 n,
                         float scale,
                         float softcap,
                         const float *bias,
                         float *largest,
                         float *sum);
  /* The same for the first n[r] <= ATL_CACHE_ROWS scores of each row, ATL_CACHE_ROWS apart; the
   * others become zeros. scale > 0. states[r] is -INFINITY at first, then what weights are relative
   * to, exp (score - state): the largest score, or a little less. The lanes of a row's sums,
   * ATL_SOFTMAX_LANES apart, are zeros at first; corrections[r] is what softmax_step returns. */
  void (*softmax_rows) (float *s,
                        const gint64 *n,
                        gint64 n_rows,
                        float scale,
                        float *states,
                        float *sums,
                        float *corrections);

  /* (nullable) The same for all rows of a tile at once: n_rows of n scores (at most 128), ld floats
   * apart, become weights where prepare_rows would put them, missing rows not written;
   * state[r][2] holds what weights are relative to (as softmax_rows) and their sum, correction[r]
   * is what it returns. */
  void (*softmax_tile) (const float *scores,
                        gint64 ld,
                        gint64 n,
                        gint64 n_rows,
                        float scale,
                        float *state,
                        float *correction,
                        guint8 *out);

  /* (nullable, both or neither) */
  const AtlCpuAttend *attend;
  const AtlCpuAttendRange *attend_range;

  /* --- rows of floats --- */

  /* Functions with an activation return FALSE, nothing done, when the level has no form of it. */

  /* x[i] = act (x[i]) */
  gboolean (*act_row) (AtlAct act, float *x, gint64 n);
  /* out[i] = act (x[i] * a + b) */
  gboolean (*unary_row) (AtlAct act, const float *x, float a, float b, gint64 n, float *out);
  /* out[i] = act (gate[i]) * up[i] */
  gboolean (*glu_row) (AtlAct act, const float *gate, const float *up, gint64 n, float *out);
  /* out[i] = a[i * sa] op b[i * sb]; strides 0 or 1 */
  void (*binary_row) (
      AtlBinary op, const float *a, gint64 sa, const float *b, gint64 sb, gint64 n, float *out);
  void (*norm_row) (const AtlNormRow *m, const float *x, float *out);
  void (*rope_row) (AtlRopePairing pairing,
                    const float *x,
                    const float *table,
                    gint64 n_rot,
                    gint64 n,
                    float *out);
  /* Converts n floats to a cached row; FALSE, nothing done, for a dtype without a form. */
  gboolean (*store_cache_row) (AtlDType dtype, const float *x, gint64 n, guint8 *out);

  /* out[i] = sum over j of taps[j * ld + i] * rows[j][i] + bias[i]; bias nullable. */
  void (*conv_row) (const float *const *rows,
                    gint64 n_taps,
                    const float *taps,
                    gint64 ld,
                    const float *bias,
                    gint64 n,
                    float *out);
  void (*recur) (const AtlRecurStep *step);

  /* out[r][i] = act (sums[r][i] * scale + bias[i]) * gate * factor + residual[r][i], where gate =
   * atl_act_of_factor (act) (second[r][i] * second_scale + second_bias[i]); FALSE, nothing done,
   * for an activation without a form. */
  gboolean (*write_sums) (const AtlSumsTo *f, const float *sums, gint64 ld, gint64 n_rows);

  /* Of n_rows contiguous rows: sums of the columns, sums of (x - mean)^2, act ((x - mean) * factor
   * + shift). */
  void (*column_sums) (const float *x, gint64 n_rows, gint64 n, float *sums);
  void (*column_squares) (const float *x, gint64 n_rows, gint64 n, const float *mean, float *sums);
  gboolean (*normalize_columns) (AtlAct act,
                                 const float *x,
                                 gint64 n_rows,
                                 gint64 n,
                                 const float *mean,
                                 const float *factor,
                                 const float *shift,
                                 float *out);
} AtlCpuKernels;

#if defined(__x86_64__)
/* Tiles in words of packed weights and of plain ones (kern-words.c, kern-plain-words.c): for AVX2,
 * without and with its VNNI, which give the same numbers, and for AVX-512 with VNNI, also with
 * crossed sums (kern-dot.h), which the others for AVX2 have, too. */
extern const AtlCpuTiles atl_cpu_words_avx2, atl_cpu_words_avx2_vnni, atl_cpu_words_avx512,
    atl_cpu_words_avx512_crossed;
extern const AtlCpuTiles atl_cpu_plain_words_avx2, atl_cpu_plain_words_avx2_vnni,
    atl_cpu_plain_words_avx512, atl_cpu_plain_words_avx512_crossed;
extern const AtlCpuAttend atl_cpu_attend_avx2, atl_cpu_attend_avx2_vnni, atl_cpu_attend_avx512;
extern const AtlCpuAttendRange atl_cpu_attend_range_avx2, atl_cpu_attend_range_avx2_vnni,
    atl_cpu_attend_range_avx512;
/* Tiles in bytes (kern-bytes.c), which give the same numbers at both levels. */
extern const AtlCpuTiles atl_cpu_bytes_avx2, atl_cpu_bytes_avx2_vnni, atl_cpu_bytes_avx512;
/* Makes the products of few packed rows of `kernels`, of AVX2, those of its VNNI (kern-quant.c),
 * which give the same numbers as AVX-512's. */
void atl_cpu_dots_avx2_vnni (AtlCpuKernels *kernels);
/* Few queries over a quantised cache (kern-cache-*.c), with VNNI. */
extern const AtlCpuCacheTiles atl_cpu_cache_q8_0_avx512, atl_cpu_cache_q4_0_avx512;
#endif

/* `exact`: no rounding below float32 in tiles. NULL when the level is plain C. */
const AtlCpuKernels *atl_cpu_kernels (AtlCpuLevel level, gboolean exact);

G_END_DECLS
