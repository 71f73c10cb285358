/* Inside the folder: a weight in the device's memory, in the forms that its uses need.
 *
 * LINEAR and ROWS share one matrix of planes (repack.h); VECTOR is float32; CONV is a matrix
 * [out, taps * cp] with the channels innermost, as pixels are, padded to cp = a multiple of 16.
 * Types without kernels are expanded while they are uploaded: the rare IQ, TQ and ternary types to
 * "wide" (10 bits a weight), f64 to f32.
 *
 * Threading: as backend.h.
 */
#pragma once

#include "engine/tensor/opencl/context.h"
#include "engine/tensor/opencl/repack.h"

G_BEGIN_DECLS

typedef struct
{
  cl_mem memory; /* (owned) (nullable) not uploaded for this use */
  gsize size_bytes;
  guint64 plane[ATL_CL_PLANES]; /* byte offsets */
  AtlDType dtype;               /* as stored: one that has kernels */
  gint64 n_rows;                /* of all experts */
  gint64 k;                     /* elements of a row as stored, a multiple of 32 */
} AtlClMatrix;

typedef struct
{
  AtlClMatrix matrix;
  AtlClMatrix conv;
  cl_mem vector; /* (owned) (nullable) */
  gsize vector_bytes;
} AtlClWeight;

/* The type that a weight of `dtype` is stored as for products or for convolutions. */
AtlDType atl_cl_matrix_dtype (AtlDType dtype);
AtlDType atl_cl_conv_dtype (AtlDType dtype);

/* Channels of a convolution's weight row as stored. */
gint64 atl_cl_conv_channels (gint64 n_channels);

/* The vtable's functions of the same names. */
gsize atl_cl_upload_cost (AtlBackend *backend, const AtlWeight *weight);
gboolean atl_cl_upload (AtlBackend *backend, AtlWeight *weight, GError **error);
void atl_cl_drop (AtlBackend *backend, AtlWeight *weight);

/* NULL unless uploaded here. */
static inline const AtlClWeight *
atl_cl_weight (const AtlOpencl *cl, const AtlTensor *t)
{
  const AtlTensor *base = t->base != NULL ? t->base : t;

  return base->weight->store[cl->parent.index];
}

G_END_DECLS
