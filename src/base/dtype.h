/* Element types of tensors, in files and in memory.
 *
 * A quantised type stores blocks of `block_elems` consecutive elements along the innermost
 * dimension in `block_bytes` bytes. The names are those of GGUF ("q4_K") and are what
 * `atl_dtype_from_name` reads, without regard to case.
 *
 * Threading: constant data, any thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  ATL_DTYPE_F32,
  ATL_DTYPE_F16,
  ATL_DTYPE_BF16,
  ATL_DTYPE_F64,
  ATL_DTYPE_F8_E4M3,
  ATL_DTYPE_F8_E5M2,
  ATL_DTYPE_I8,
  ATL_DTYPE_U8,
  ATL_DTYPE_I16,
  ATL_DTYPE_U16,
  ATL_DTYPE_I32,
  ATL_DTYPE_U32,
  ATL_DTYPE_I64,
  ATL_DTYPE_U64,
  ATL_DTYPE_BOOL,
  ATL_DTYPE_Q4_0,
  ATL_DTYPE_Q4_1,
  ATL_DTYPE_Q5_0,
  ATL_DTYPE_Q5_1,
  ATL_DTYPE_Q8_0,
  ATL_DTYPE_Q2_K,
  ATL_DTYPE_Q3_K,
  ATL_DTYPE_Q4_K,
  ATL_DTYPE_Q5_K,
  ATL_DTYPE_Q6_K,
  ATL_DTYPE_IQ2_XXS,
  ATL_DTYPE_IQ2_XS,
  ATL_DTYPE_IQ2_S,
  ATL_DTYPE_IQ3_XXS,
  ATL_DTYPE_IQ3_S,
  ATL_DTYPE_IQ1_S,
  ATL_DTYPE_IQ1_M,
  ATL_DTYPE_IQ4_NL,
  ATL_DTYPE_IQ4_XS,
  ATL_DTYPE_TQ1_0,
  ATL_DTYPE_TQ2_0,
  ATL_DTYPE_MXFP4,
  ATL_DTYPE_NVFP4,
  ATL_DTYPE_Q1_0,
  ATL_DTYPE_Q2_0,
  ATL_DTYPE_F8_E4M3_32, /* 32 of F8_E4M3 after their factor in F32: in no file, see convert/ */
  ATL_DTYPE_Q8_1,       /* of activations; legal in files, unused by models */
  ATL_DTYPE_Q8_K,       /* likewise */
  ATL_N_DTYPES
} AtlDType;

typedef struct
{
  const char *name;
  guint block_elems;
  guint block_bytes;
  gboolean quantized;
} AtlDTypeInfo;

/* Never NULL for a valid dtype; static. */
const AtlDTypeInfo *atl_dtype_info (AtlDType dtype);

/* Shorthand for the name; "?" for a value out of range. */
const char *atl_dtype_name (AtlDType dtype);

/* FALSE when `name` is none of the names. */
gboolean atl_dtype_from_name (const char *name, AtlDType *out);

/* Bytes of one row of `n_elems` elements; FALSE if n_elems is no multiple of the block or the
 * product overflows. */
gboolean atl_dtype_row_bytes (AtlDType dtype, guint64 n_elems, guint64 *out);

G_END_DECLS
