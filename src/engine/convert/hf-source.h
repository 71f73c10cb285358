/* Rows of one published weight in a type that the engine computes with. Private to convert/.
 *
 * A module of a Hugging Face checkpoint ("model.layers.0.mlp.up_proj") has one or several tensors,
 * by the way it was quantised; a source gives its rows whatever they are:
 *
 *   weight                                   as it is: F32, F16, BF16
 *   weight (fp8) + weight_scale(_inv)        one scale, one a row or one a block: see hf-fp8.c
 *   qweight, qzeros, scales, g_idx           GPTQ and AWQ: see hf-packed.c
 *   weight_packed, weight_scale, …           compressed-tensors' packed integers: the same
 *   weight (i8) + weight_scale, …            its integers of 8 bits: the same
 *   q_weight, q_scale, q_groups, …           EXL2: see hf-exl2.c
 *   _blocks, _scales                         MXFP4 as OpenAI publishes it
 *
 * Threading: immutable once built.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_HF_WEIGHT,
  ATL_HF_BIAS,
  ATL_HF_SCALE_INV,
  ATL_HF_SCALE,
  ATL_HF_QWEIGHT,
  ATL_HF_QZEROS,
  ATL_HF_SCALES,
  ATL_HF_G_IDX,
  ATL_HF_PACKED,
  ATL_HF_PACKED_ZERO,
  ATL_HF_PACKED_SHAPE,
  ATL_HF_EXL_WEIGHT,
  ATL_HF_EXL_SCALE,
  ATL_HF_EXL_SCALE_MAX,
  ATL_HF_EXL_GROUPS,
  ATL_HF_EXL_INVPERM,
  ATL_HF_EXL_PERM,
  ATL_HF_MX_BLOCKS,
  ATL_HF_MX_SCALES,
  ATL_HF_N_PARTS
} AtlHfPart;

/* Settings of compressed-tensors for some modules each that are looked at. */
enum
{
  ATL_HF_MAX_GROUPS = 8
};

/* The settings of the whole checkpoint, from quantization_config. */
typedef struct
{
  const char *method; /* (nullable) "gptq", "awq", "fp8", "compressed-tensors", … */
  guint bits;         /* 2, 3, 4 or 8; 4 unless it says so */
  guint group_size;   /* inputs that share a scale; 0: all */
  guint zero_offset;  /* what GPTQ's packed zeros are too small by: 1, or 0 in its second format */
  guint block[2];     /* rows and columns that share a scale of scaled fp8 */
  guint group_sizes[ATL_HF_MAX_GROUPS]; /* compressed-tensors: those that it speaks of, or 0 */
  gboolean ordered; /* GPTQ: inputs are in groups by their weight, so that g_idx has to be there */
  gboolean symmetric; /* the middle of the range is 0, so that there need be no zeros */
} AtlHfQuant;

typedef struct _AtlHfSource AtlHfSource;
typedef struct _AtlHfStreams AtlHfStreams; /* hf-exl2.c */

struct _AtlHfSource
{
  const AtlTensorInfo *part[ATL_HF_N_PARTS];
  AtlHfQuant quant;
  AtlDType dtype;           /* of the rows that it gives */
  guint n_dims;             /* of the whole */
  gint64 dim[ATL_MAX_DIMS]; /* the last is a row */
  gint64 n_rows;
  gsize row_bytes;
  const guint8 *plain; /* (nullable) the rows as they lie in the file */
  /* Otherwise: */
  /* n rows, each `stride` after the one before */
  void (*rows) (const AtlHfSource *self, gint64 first, gint64 stride, gint64 n, guint8 *out);
  gboolean in_blocks;  /* fp8: factors belong to blocks of rows and columns, not to rows */
  gboolean along_out;  /* AWQ: integers hold neighbouring outputs */
  gboolean rows_first; /* compressed-tensors: tables have a row an output, not a row a group */
  guint32 *group_of;   /* (owned) (nullable) the group of each input, where they are not in order */
  guint32 *order;      /* (owned) (nullable) which input stands where, once sorted */
  AtlHfStreams *streams; /* (owned) (nullable) of EXL2 */
};

/* Reads quantization_config. ATL_ERROR_UNSUPPORTED for methods that are not known. */
gboolean atl_hf_quant_read (AtlHfQuant *quant, const AtlCheckpoint *hf, GError **error);
/* "GPTQ, 4 bits", or NULL; the caller frees. */
char *atl_hf_quant_words (const AtlHfQuant *quant);

/* `parts` and `name` (of the module) are borrowed. ATL_ERROR_UNSUPPORTED names the tensor and its
 * form; ATL_ERROR_BAD_FILE the shape that does not fit. */
AtlHfSource *atl_hf_source_new (const char *name,
                                const AtlTensorInfo *const *parts,
                                const AtlHfQuant *quant,
                                GError **error);
void atl_hf_source_free (AtlHfSource *self);
/* Gives rows of `dtype` in place of its own, where that loses nothing: Q4_0 as Q5_0, both as F16
 * (which rounds as the published dequantisation in half precision does). */
void atl_hf_source_set_dtype (AtlHfSource *self, AtlDType dtype);
/* Takes plain floats [expert, in, out] as [expert, out, in]; FALSE for what they are not. */
gboolean atl_hf_source_turn (AtlHfSource *self);
/* Packed integers whose inputs belong to groups in any order: gives rows in which they stand group
 * by group, as `order` then says. FALSE where that makes no blocks of integers of them either. */
gboolean atl_hf_source_sort (AtlHfSource *self);
/* Takes a list (of lists) as rows of one number. */
void atl_hf_source_flatten (AtlHfSource *self);

/* hf-fp8.c: fills in a source whose weight is fp8 and has scales. */
gboolean atl_hf_fp8_init (AtlHfSource *self, const char *name, GError **error);

/* hf-exl2.c: fills in a source in the EXL2 form. */
gboolean atl_hf_exl2_init (AtlHfSource *self, const char *name, GError **error);
void atl_hf_streams_free (AtlHfStreams *self); /* accepts NULL */

/* hf-packed.c: the `bits` at position `i` of a stream whose words are `stride` words apart. */
guint atl_hf_take_bits (const guint8 *words, gint64 stride, gint64 i, guint bits);
/* Fills in a source whose parts are packed integers, or integers of 8 bits. */
gboolean atl_hf_packed_init (AtlHfSource *self, const char *name, GError **error);
/* hf-packed-check.c: its shape, its bits and the groups of its inputs, where all parts fit. */
gboolean atl_hf_packed_check (AtlHfSource *self, const char *name, GError **error);
gint64 atl_hf_packed_groups (const AtlHfSource *self);

G_END_DECLS
