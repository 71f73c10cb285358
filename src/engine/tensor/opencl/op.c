/* Questions about operands that every op family asks. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/op.h"

#include "engine/tensor/quants/dequant.h"

static const AtlTensor *
base_of (const AtlTensor *t)
{
  return t->base != NULL ? t->base : t;
}

gboolean
atl_cl_is_float (const AtlTensor *t)
{
  if (t == NULL)
    return TRUE;
  if (base_of (t)->kind == ATL_TENSOR_WEIGHT)
    return (base_of (t)->weight->use & ATL_USE_VECTOR) != 0;
  return t->dtype == ATL_DTYPE_F32;
}

gboolean
atl_cl_is_index (const AtlTensor *t)
{
  return t->dtype == ATL_DTYPE_I32 && base_of (t)->kind != ATL_TENSOR_WEIGHT &&
         atl_tensor_is_contiguous (t);
}

gboolean
atl_cl_is_rows (const AtlTensor *t, gint64 *n_rows, gint64 *row_stride)
{
  return atl_cl_is_float (t) && atl_tensor_rows (t, n_rows, row_stride) && atl_cl_fits (*n_rows) &&
         atl_cl_fits (*row_stride);
}

gboolean
atl_cl_is_weight (const AtlTensor *t, AtlWeightUse use)
{
  const AtlTensor *base = base_of (t);

  return base->kind == ATL_TENSOR_WEIGHT && (base->weight->use & use) != 0 && t->offset == 0 &&
         atl_tensor_is_contiguous (t) && atl_tensor_n_elems (t) == atl_tensor_n_elems (base) &&
         t->dim[t->n_dims - 1] == base->weight->dim[base->weight->n_dims - 1] &&
         atl_dtype_is_float_like (base->weight->dtype);
}

gboolean
atl_cl_fits (gint64 size)
{
  return size >= 0 && size <= G_MAXINT32;
}
