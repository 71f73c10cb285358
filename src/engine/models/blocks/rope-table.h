/* Tables of cosines and sines for rotary position embeddings (Su et al. 2021, "RoFormer").
 *
 * The rotation op takes a ready table, so that every kind of scaling and every layout of axes is
 * host code in double precision, written once. One row per token: cosines in the first half, sines
 * in the second.
 *
 *   AtlRopeParams p = { .n_rot = 128, .base = 500000.0, .factor = 1.0, .attn_factor = 1.0 };
 *   double *freqs = g_new (double, p.n_rot / 2);
 *   float mscale = atl_rope_frequencies (&p, NULL, freqs);
 *   atl_rope_table (freqs, p.n_rot, mscale, positions, n_tokens, table);
 *
 * Threading: pure functions.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  ATL_ROPE_PLAIN,
  ATL_ROPE_LINEAR,   /* angle / factor */
  ATL_ROPE_YARN,     /* Peng et al. 2023; llama.cpp's and transformers' common form */
  ATL_ROPE_DIVISORS, /* angle / divisor[i] (llama3 rope_freqs, longrope factors) */
} AtlRopeScaling;

typedef struct
{
  guint n_rot; /* rotated components of a head, even */
  double base; /* rope_theta */
  AtlRopeScaling scaling;
  double factor;               /* of linear and yarn */
  double original_context;     /* yarn */
  double beta_fast, beta_slow; /* yarn; 32 and 1 */
  gboolean exact_ramp;         /* yarn; the ends of its ramp are not rounded to components */
  double attn_factor; /* multiplies cosines and sines; yarn: 0.1 ln factor + 1; 1 when unused */
} AtlRopeParams;

/* frequencies[n_rot / 2] = base^(-2i/n_rot), scaled. `divisors` (n_rot / 2) is used with DIVISORS
 * only. Returns what cosines and sines are multiplied by. */
double
atl_rope_frequencies (const AtlRopeParams *params, const float *divisors, double *frequencies);

/* table[n_tokens, n_rot] from one position a token. */
void atl_rope_table (const double *frequencies,
                     guint n_rot,
                     double multiplier,
                     const gint32 *positions,
                     guint n_tokens,
                     float *table);

/* table [n_tokens, head_dim] for rotation along several axes: `axis` [n_axes] components of a head
 * each, their sum is head_dim, laid end to end; positions [n_tokens, n_axes], one number an axis;
 * angles position * base^(-2i/axis), in double precision. */
void atl_rope_axes (const gint64 *axis,
                    guint n_axes,
                    double base,
                    const float *positions,
                    gint64 n_tokens,
                    float *table);

G_END_DECLS
