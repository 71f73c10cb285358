/* Tensors of the engine: computed values, weights, states, and views of them.
 *
 * A tensor has a dtype, one to five dimensions (row-major, outermost first) and strides in
 * elements. Computed values and inputs are float32 (indices are int32); weights keep the dtype of
 * their file; states (a KV cache) may be f32, f16, q8_0 or q4_0. The graph owns its tensors;
 * weights and states outlive graphs and belong to the model.
 *
 * Where the bytes are: a planned tensor has a buffer of one backend and an offset in it. Only that
 * backend looks inside a buffer.
 *
 * Threading: a graph, its tensors and its plan belong to one thread at a time; weights are
 * immutable after upload and shared.
 */
#pragma once

#include "base/checkpoint.h"
#include "base/dtype.h"
#include "base/error.h"

G_BEGIN_DECLS

#define ATL_MAX_BACKENDS 8

typedef struct _AtlBackend AtlBackend;
typedef struct _AtlBuffer AtlBuffer;
typedef struct _AtlTensor AtlTensor;
typedef struct _AtlWeight AtlWeight;
typedef struct _AtlState AtlState;
typedef struct _AtlNode AtlNode;
typedef struct _AtlGraph AtlGraph;

/* What a weight is used for decides its layout on a backend. A tied embedding has both bits. */
typedef enum
{
  ATL_USE_LINEAR = 1 << 0, /* [out, in] (or [experts, out, in]): rows are dotted with activations */
  ATL_USE_ROWS = 1 << 1,   /* [n, dim]: rows are looked up */
  ATL_USE_VECTOR = 1 << 2, /* norm weights, biases, tables: used as float32, any shape */
  ATL_USE_CONV = 1 << 3,   /* [out, in, kh, kw] or [out, in, kf, kh, kw] */
} AtlWeightUse;

/* An addition to what a weight W does: W x becomes W x + scale * (C x - W x), where C x is
 *
 *   W x + factor * D x                 without a gain: only scale * factor * D x is computed
 *   gain * (W x + factor * D x)        with a gain [out]
 *   W (gain * x) + factor * D (gain * x)  with a gain [in] of the input
 *
 * and D x is b (a x), or for a Kronecker product (b (x) a) x, of which the rows from `first` on are
 * taken. Everything lies where W lies. */
typedef struct
{
  AtlWeight *a;    /* [rank, in]; of a convolution [rank, in, (kf,) kh, kw] */
  AtlWeight *b;    /* [out, rank] */
  AtlWeight *gain; /* (nullable) */
  gboolean is_kronecker;
  gboolean is_gain_of_input;
  gint64 first;
  float scale;
  float factor; /* 1 without a gain */
} AtlWeightDelta;

struct _AtlWeight
{
  char *name; /* (owned) */
  AtlDType dtype;
  guint n_dims;
  gint64 dim[ATL_MAX_DIMS];
  AtlWeightUse use;
  const guint8 *data; /* the file's bytes, row-major blocks, possibly unaligned; NULL: see made */
  gsize size_bytes;
  const AtlFileMap *map;     /* (nullable) the checkpoint's that the data lies in */
  const AtlTensorInfo *made; /* (nullable) its bytes are made on demand, from row made_row on */
  gint64 made_row;
  AtlWeight *order; /* (nullable) a VECTOR [in] or [experts, in] of the same table: column i is for
                       input order[i], and products put their inputs into that order */
  float scale;      /* effective value = stored value * scale (scaled fp8); 1 otherwise */
  GBytes *bytes;    /* (owned) (nullable) set when the data is not inside a file map */
  gboolean
      in_file; /* products read the file's bytes, no packed copy is made: less memory, slower */
  gboolean streams; /* sent to its backend when a step needs it and dropped behind it, which is slow
                     */
  gint layer;       /* placement hint: index of the layer, -1 input side, G_MAXINT output side */
  const AtlWeight *part_of; /* (nullable) the weight whose rows from part_first on these are */
  gint64 part_first;
  AtlWeightDelta
      *deltas; /* (owned) (nullable) what products with it add; seen by graphs made later */
  guint n_deltas;
  AtlBackend *home; /* (nullable) the backend that the placement chose, after upload */
  gpointer
      store[ATL_MAX_BACKENDS]; /* the backend's own form, by backend->index; NULL = not there */
};

/* Memory that survives runs: a KV cache, a recurrent state. Contiguous. Between runs of a plan the
 * buffer may be exchanged for another one of the same backend; it may be smaller than the shape
 * says as long as no node touches what is missing. */
struct _AtlState
{
  char *name; /* (owned) */
  AtlDType dtype;
  guint n_dims;
  gint64 dim[ATL_MAX_DIMS];
  gsize size_bytes;
  AtlBuffer *buffer; /* (owned) */
};

typedef enum
{
  ATL_TENSOR_VALUE, /* the result of a node */
  ATL_TENSOR_INPUT, /* written by the host before each run */
  ATL_TENSOR_WEIGHT,
  ATL_TENSOR_STATE,
} AtlTensorKind;

struct _AtlTensor
{
  guint index; /* in the graph */
  AtlTensorKind kind;
  AtlDType dtype;
  guint n_dims;
  gint64 dim[ATL_MAX_DIMS];
  gint64 stride[ATL_MAX_DIMS]; /* elements; of quantised weights and states: as if unpacked */
  AtlTensor *base;             /* (nullable) this is a view of `base`, which is never a view */
  gint64 offset;               /* elements from the start of the base */
  AtlWeight *weight;           /* (nullable) */
  AtlState *state;             /* (nullable) */
  const char *name;            /* (nullable) interned; inputs and outputs have one */
  gboolean is_output;          /* read by the host after each run */

  /* Written by the planner. */
  AtlNode *producer;   /* (nullable) */
  AtlBackend *backend; /* where the value lives; of a view: its base's */
  AtlBuffer *buffer;   /* of the base; NULL for weights; of a state see state->buffer */
  gsize buffer_offset; /* bytes, of the base */
};

static inline AtlTensor *
atl_tensor_base (AtlTensor *t)
{
  return t->base != NULL ? t->base : t;
}

static inline gint64
atl_tensor_last_dim (const AtlTensor *t)
{
  return t->dim[t->n_dims - 1];
}

static inline gint64
atl_tensor_n_elems (const AtlTensor *t)
{
  gint64 n = 1;
  for (guint i = 0; i < t->n_dims; i++)
    n *= t->dim[i];
  return n;
}

static inline gint64
atl_weight_n_elems (const AtlWeight *w)
{
  gint64 n = 1;
  for (guint i = 0; i < w->n_dims; i++)
    n *= w->dim[i];
  return n;
}

/* Byte offset of element 0 of `t` (view offset included) in its buffer. Not for quantised views
 * that start inside a block. */
static inline gsize
atl_tensor_byte_offset (const AtlTensor *t)
{
  const AtlDTypeInfo *info = atl_dtype_info (t->dtype);
  const AtlTensor *b = t->base != NULL ? t->base : t;
  return b->buffer_offset + (gsize) t->offset / info->block_elems * info->block_bytes;
}

/* TRUE if the elements follow each other without gaps in row-major order. */
gboolean atl_tensor_is_contiguous (const AtlTensor *t);

/* Sees `t` as [n_rows, dim[last]]: TRUE if the innermost stride is 1 and all outer dimensions
 * collapse to one row stride (elements). */
gboolean atl_tensor_rows (const AtlTensor *t, gint64 *n_rows, gint64 *row_stride);

/* "[2, 77, 768]"; for messages. */
char *atl_shape_to_string (guint n_dims, const gint64 *dim);

G_END_DECLS
