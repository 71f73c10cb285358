/* A matrix as Nunchaku packs it: an encoder of our own, written from the layout.
 *
 *   g_autofree SvdqMatrix *m = svdq_matrix_new (1, FALSE);
 */
#pragma once

#include <glib.h>

#define N_OUT 384
#define N_IN 256
#define RANK 32

/* One matrix, as numbers and as it is packed. */
typedef struct
{
  gint code[N_OUT][N_IN];
  float scale[N_OUT][N_IN / 16]; /* of every 16, 64 in the integer form */
  float row_scale[N_OUT], smooth[N_IN], bias[N_OUT], down[RANK][N_IN], up[N_OUT][RANK];
  float whole_scale;
  guint32 words[N_OUT * N_IN / 8];
  guint8 small_scales[N_OUT * N_IN / 16];
  guint16 scales[N_OUT * N_IN / 64], row_scales[N_OUT], smooths[N_IN], biases[N_OUT];
  guint16 downs[N_IN * RANK], ups[N_OUT * RANK], whole;
} SvdqMatrix;

/* Random numbers that bf16, half precision and (scales) e4m3 hold; g_free(). */
SvdqMatrix *svdq_matrix_new (guint32 seed, gboolean is_fp4);
