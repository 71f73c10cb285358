/* The two packed forms of Nunchaku's files (SVDQuant, Li et al. 2024; nunchaku lora/flux/packer.py
 * and deepcompressor backend/nunchaku, tinychat): four bits a weight, in the order in which the
 * threads of a GPU's matrix instructions read them.
 *
 * SVDQuant, y = x (up down)^T + (x / smooth) (code scale)^T + bias:
 *
 *   qweight i8 [out, in / 2]; wscales f16 or bf16, one for 64 inputs (codes -8 … 7), or f8 e4m3,
 *   one for 16 (codes are e2m1), then also wcscales [out] and wtscale [1] or one of them
 *   smooth [in], bias [out], lora_down [in, rank], lora_up [out, rank]
 *   (smooth_factor, proj_down and proj_up in newer files)
 *
 * A row's scales, smoothing and bias stand in groups of 16: 0 1 8 9 2 3 10 11 4 5 12 13 6 7 14 15.
 *
 * AWQ (of modulations and T5), w = code scale + zero, codes 0 … 15: qweight i32 [out / 4, in / 2]
 * or i16 [out / 4, in], wscales and wzeros (scales and scaled_zeros) [groups, out].
 *
 * Threading: immutable once read. Private to convert/.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

/* What was in the file under "MODULE.": names without their older or newer spelling. */
typedef enum
{
  ATL_SVDQ_WORDS,
  ATL_SVDQ_SCALES,
  ATL_SVDQ_ROW_SCALE,
  ATL_SVDQ_SCALE,
  ATL_SVDQ_ZEROS,
  ATL_SVDQ_SMOOTH,
  ATL_SVDQ_DOWN,
  ATL_SVDQ_UP,
  ATL_SVDQ_BIAS,
  ATL_SVDQ_N_PARTS
} AtlSvdqPart;

typedef struct
{
  const AtlTensorInfo *part[ATL_SVDQ_N_PARTS];
  gint64 n_out, n_in;
  gint64 rank;  /* of the low-rank branch; 0: there is none */
  gint64 group; /* inputs that share a scale */
  gboolean is_affine, is_fp4;
  float *unsmooth; /* (owned) (nullable) [in]: 1 / smooth */
} AtlSvdqMatrix;

/* The part that a tensor of this name is, and (out) the length of its module's name; N_PARTS for
 * other tensors. Smoothing that is for reference only is none. */
AtlSvdqPart atl_svdq_part_of (const char *name, gsize *module_length);
/* Whether these parts are one of the two forms. */
gboolean atl_svdq_is_matrix (const AtlSvdqMatrix *self);
/* Checks the parts and sets the rest. ATL_ERROR_BAD_FILE or _UNSUPPORTED names tensor and type. */
gboolean atl_svdq_matrix_read (AtlSvdqMatrix *self, const char *module, GError **error);
void atl_svdq_matrix_clear (AtlSvdqMatrix *self);

/* Whether its rows are blocks of Q4_0 (or Q4_1 if affine) without loss: scales that half precision
 * holds. */
gboolean atl_svdq_fits_blocks (const AtlSvdqMatrix *self);
/* Row `out` in those blocks, n_in / 32 of them. */
void atl_svdq_blocks (const AtlSvdqMatrix *self, gint64 out, guint8 *blocks);
/* Row `out` in floats, as it multiplies x / smooth. */
void atl_svdq_row (const AtlSvdqMatrix *self, gint64 out, float *row);
/* Single numbers of the low-rank branch, as they stand in the file (16 bits of its type). */
guint16 atl_svdq_down (const AtlSvdqMatrix *self, gint64 rank, gint64 in);
guint16 atl_svdq_up (const AtlSvdqMatrix *self, gint64 out, gint64 rank);
/* 0 without one. */
float atl_svdq_bias (const AtlSvdqMatrix *self, gint64 out);
/* A 16 bit number of the file. */
float atl_svdq_float (const AtlTensorInfo *info, guint16 bits);

G_END_DECLS
