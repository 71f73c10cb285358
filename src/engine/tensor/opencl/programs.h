/* Inside the folder: from kernel files to kernels that can be launched.
 *
 *   AtlClCall call;
 *   if (!atl_cl_call_begin (&call, cl, ATL_CL_LINEAR, dtype, "gemv_1", error))
 *     return FALSE;
 *   atl_cl_arg_memory (&call, matrix->memory);
 *   atl_cl_arg_uint (&call, n_rows);           ... in the order of the kernel's parameters
 *   return atl_cl_call_groups (&call, n, 1, 1, error);
 *
 * Setting arguments remembers the first failure, which the launch reports.
 *
 * Threading: as backend.h.
 */
#pragma once

#include "engine/tensor/opencl/context.h"

G_BEGIN_DECLS

/* Sides of the tiles in linear.cl and conv.cl. */
#define ATL_CL_TILE_ROWS 128
#define ATL_CL_TILE_COLUMNS 64

/* Bits of `flags` in the kernels: common.cl. */
enum
{
  ATL_CL_HAS_BIAS = 1,
  ATL_CL_HAS_MUL = 2,
  ATL_CL_HAS_RESIDUAL = 4,
  ATL_CL_HAS_IDS = 8,
  ATL_CL_HAS_SCALE = 16,
  ATL_CL_HAS_SHIFT = 32,
  ATL_CL_HAS_WEIGHT = 64,
  ATL_CL_HAS_RANGES = 128,
  ATL_CL_HAS_SINKS = 256,
  ATL_CL_RENORM = 512,
  ATL_CL_GATE_SECOND = 1024,
  ATL_CL_RANGES_PER_BATCH = 2048,
  ATL_CL_IS_FINAL = 4096,
  ATL_CL_GROUP_BY_BEST = 8192,
};

/* Whether there are kernels that read the type as it is packed (repack.h). */
gboolean atl_cl_dtype_has_kernels (AtlDType dtype);
/* Of those, the ones that convolutions read. */
gboolean atl_cl_dtype_has_conv (AtlDType dtype);

/* Builds the program unless it is built, and launches each of its kernels once with nothing to do:
 * drivers that compile at the first launch do it now. */
gboolean atl_cl_program_prepare (
    AtlOpencl *self, AtlClFamily family, AtlDType dtype, gboolean launch, GError **error);

/* After preparing: what it takes to find the program again without a compiler is on disk. */
void atl_cl_program_keep (AtlOpencl *self, AtlClFamily family, AtlDType dtype);

typedef struct
{
  AtlOpencl *cl;
  const AtlClKernel *kernel;
  cl_uint n_args, first_arg;
  cl_int status;
} AtlClCall;

/* `dtype` 0 for families without weight types. Builds the program if need be. */
gboolean atl_cl_call_begin (AtlClCall *call,
                            AtlOpencl *cl,
                            AtlClFamily family,
                            AtlDType dtype,
                            const char *kernel,
                            GError **error);

void atl_cl_arg_int (AtlClCall *call, cl_int value);
void atl_cl_arg_uint (AtlClCall *call, guint64 value); /* below 2^32 */
void atl_cl_arg_ulong (AtlClCall *call, guint64 value);
void atl_cl_arg_float (AtlClCall *call, float value);
void atl_cl_arg_int4 (AtlClCall *call, gint64 a, gint64 b, gint64 c, gint64 d);
void atl_cl_arg_ulong4 (AtlClCall *call, gint64 a, gint64 b, gint64 c, gint64 d);
/* long8 and uint8 whose last three are zero. */
void atl_cl_arg_strides (AtlClCall *call, const gint64 stride[ATL_MAX_DIMS]);
void atl_cl_arg_dims (AtlClCall *call, const gint64 dim[ATL_MAX_DIMS]);
void atl_cl_arg_memory (AtlClCall *call, cl_mem memory); /* nullable: stands in */
/* Two parameters: buffer and offset in units of `unit` bytes. `t` nullable. Weights: their float32
 * form. */
void atl_cl_arg_tensor (AtlClCall *call, const AtlTensor *t, guint unit);
/* The same, `plus` units further on. */
void atl_cl_arg_tensor_at (AtlClCall *call, const AtlTensor *t, guint unit, guint64 plus);
/* The same for a place in the run's scratch buffer, in floats. */
void atl_cl_arg_scratch (AtlClCall *call, AtlBuffer *scratch, gsize offset_bytes);

/* Launches with so many work-groups. */
gboolean atl_cl_call_groups (AtlClCall *call, guint64 x, guint64 y, guint64 z, GError **error);
/* Launches kernels that own items (ITEMS in common.cl): at least `x` work-items, unless that is too
 * many for one launch (FOR_ITEMS goes on), and `rows` of them (FOR_ROWS). */
gboolean atl_cl_call_items (AtlClCall *call, guint64 x, guint64 rows, GError **error);

/* The place of a uint4: the first group of a launch, for atl_cl_call_tiles. */
void atl_cl_arg_first (AtlClCall *call);
/* Launches so many work-groups of `flops` each, in as many launches as it takes for none to hold
 * the device for long: desktops freeze meanwhile, and drivers give up after seconds. Which groups
 * are launched together changes no number. Between launches the run is paced: FALSE when cancelled
 * or lost. Counts the arithmetic. */
gboolean
atl_cl_call_tiles (AtlClCall *call, guint64 x, guint64 y, guint64 z, double flops, GError **error);

G_END_DECLS
