/* Which kernel files make which program, their build options, and launching. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/programs.h"

#include <glib/gi18n.h>
#include <string.h>

#include "atl-opencl-kernels.h"
#include "engine/tensor/opencl/program-cache.h"
#include "engine/tensor/opencl/weight.h"

#define MAX_SOURCES 12

static const char *const family_names[ATL_CL_N_FAMILIES] = {
  [ATL_CL_ELEMENTWISE] = "elementwise",
  [ATL_CL_NORM] = "norm",
  [ATL_CL_ROWS] = "rows",
  [ATL_CL_ROUTE] = "route",
  [ATL_CL_ATTENTION] = "attention",
  [ATL_CL_RECURRENT] = "recurrent",
  [ATL_CL_LINEAR] = "linear",
  [ATL_CL_CONV] = "conv",
  [ATL_CL_GEMV] = "gemv",
};

static const struct
{
  const char *file; /* dequant-<file>.cl */
  gboolean conv;
} dequants[ATL_N_DTYPES] = {
  [ATL_DTYPE_F32] = { "f32", TRUE },   [ATL_DTYPE_F16] = { "f16", TRUE },
  [ATL_DTYPE_BF16] = { "bf16", TRUE }, [ATL_DTYPE_F8_E4M3] = { "f8-e4m3" },
  [ATL_DTYPE_F8_E5M2] = { "f8-e5m2" }, [ATL_DTYPE_Q4_0] = { "q4-0" },
  [ATL_DTYPE_Q4_1] = { "q4-1" },       [ATL_DTYPE_Q5_0] = { "q5-0" },
  [ATL_DTYPE_Q5_1] = { "q5-1" },       [ATL_DTYPE_Q8_0] = { "q8-0" },
  [ATL_DTYPE_Q2_K] = { "q2-k" },       [ATL_DTYPE_Q3_K] = { "q3-k" },
  [ATL_DTYPE_Q4_K] = { "q4-k" },       [ATL_DTYPE_Q5_K] = { "q5-k" },
  [ATL_DTYPE_Q6_K] = { "q6-k" },       [ATL_DTYPE_IQ4_NL] = { "iq4-nl" },
  [ATL_DTYPE_IQ4_XS] = { "iq4-xs" },   [ATL_DTYPE_MXFP4] = { "mxfp4" },
  [ATL_CL_WIDE] = { "wide" },          [ATL_DTYPE_F8_E4M3_32] = { "f8-e4m3-32" },
};

gboolean
atl_cl_dtype_has_kernels (AtlDType dtype)
{
  return dequants[dtype].file != NULL;
}

gboolean
atl_cl_dtype_has_conv (AtlDType dtype)
{
  return dequants[dtype].conv;
}

/* The numbers of enums and tuned sizes, so that kernels never repeat them. */
static char *
build_options (const AtlOpencl *self)
{
  return g_strdup_printf (
      "-cl-std=CL1.2 -cl-mad-enable -cl-kernel-arg-info"
      " -DACT_SILU=%d -DACT_GELU_TANH=%d -DACT_GELU_ERF=%d -DACT_GELU_QUICK=%d -DACT_RELU=%d"
      " -DACT_SIGMOID=%d -DACT_TANH=%d -DACT_EXP=%d -DACT_ABS=%d -DACT_SQUARE=%d -DACT_SQRT=%d"
      " -DACT_RELU_SQUARED=%d -DACT_SOFTPLUS=%d -DACT_CLAMPED_QUICK=%d -DACT_CLAMPED_PLUS_ONE=%d"
      " -DACT_LEAKY_RELU=%d"
      " -DBINARY_ADD=%d -DBINARY_SUB=%d -DBINARY_MUL=%d -DBINARY_DIV=%d"
      " -DBINARY_MIN=%d -DNORM_LAYER=%d -DNORM_L2=%d -DROPE_HALVES=%d -DROUTE_SOFTMAX=%d"
      " -DROUTE_SIGMOID=%d -DROUTE_SOFTMAX_AFTER=%d -DROUTE_SIGMOID_AFTER=%d -DKV_F32=%d"
      " -DKV_F16=%d -DKV_Q8_0=%d"
      " -DGEMV_LANES=%u -DGEMV_GROUPS=%u -DGEMV_ROWS=%u",
      ATL_ACT_SILU, ATL_ACT_GELU_TANH, ATL_ACT_GELU_ERF, ATL_ACT_GELU_QUICK, ATL_ACT_RELU,
      ATL_ACT_SIGMOID, ATL_ACT_TANH, ATL_ACT_EXP, ATL_ACT_ABS, ATL_ACT_SQUARE, ATL_ACT_SQRT,
      ATL_ACT_RELU_SQUARED, ATL_ACT_SOFTPLUS, ATL_ACT_CLAMPED_QUICK, ATL_ACT_CLAMPED_PLUS_ONE,
      ATL_ACT_LEAKY_RELU, ATL_ADD, ATL_SUB, ATL_MUL, ATL_DIV, ATL_MIN, ATL_NORM_LAYER, ATL_NORM_L2,
      ATL_ROPE_HALVES, ATL_ROUTE_SOFTMAX, ATL_ROUTE_SIGMOID, ATL_ROUTE_SOFTMAX_AFTER,
      ATL_ROUTE_SIGMOID_AFTER, ATL_DTYPE_F32, ATL_DTYPE_F16, ATL_DTYPE_Q8_0,
      self->tuning.gemv_lanes, self->tuning.gemv_groups, self->tuning.gemv_rows);
}

static const char *
kernel_file (const char *name)
{
  g_autofree char *path = g_strdup_printf ("/io/github/atelier/Atelier/kernels/%s.cl", name);
  g_autoptr (GBytes) bytes =
      g_resource_lookup_data (atl_opencl_get_resource (), path, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);

  g_assert (bytes != NULL);
  /* Static and terminated: the resource is part of the program, and not compressed. */
  return g_bytes_get_data (bytes, NULL);
}

static const char *const gemv_columns[] = {
  "\n#define COLUMNS 1\n",
  "\n#undef COLUMNS\n#define COLUMNS 4\n",
  "\n#undef COLUMNS\n#define COLUMNS 8\n",
  NULL,
};
static const char *const attention_values[] = {
  "\n#define DV 64\n",
  "\n#undef DV\n#define DV 128\n",
  "\n#undef DV\n#define DV 256\n",
  NULL,
};
static const char *const recurrence_keys[] = {
  "\n#define KEYS 64\n",
  "\n#undef KEYS\n#define KEYS 128\n",
  "\n#undef KEYS\n#define KEYS 256\n",
  "\n#undef KEYS\n#define KEYS 0\n",
  NULL,
};

/* Kernels that are compiled once for each value of a parameter. */
static const struct
{
  const char *file;          /* (nullable) none */
  const char *const *values; /* NULL at the end */
} templates[ATL_CL_N_FAMILIES] = {
  [ATL_CL_ATTENTION] = { "attention-many", attention_values },
  [ATL_CL_RECURRENT] = { "recurrence", recurrence_keys },
  [ATL_CL_LINEAR] = { "gemv", gemv_columns },
};

static guint
program_sources (AtlClFamily family, AtlDType dtype, const char *sources[MAX_SOURCES])
{
  guint n = 0;

  sources[n++] = kernel_file ("common");
  if (family < ATL_CL_LINEAR)
    sources[n++] = kernel_file (family_names[family]);
  else
    {
      g_autofree char *dequant = g_strconcat ("dequant-", dequants[dtype].file, NULL);

      sources[n++] = kernel_file ("unpack");
      if (dtype == ATL_DTYPE_Q4_K || dtype == ATL_DTYPE_Q5_K)
        sources[n++] = kernel_file ("k-scales");
      if (dtype == ATL_DTYPE_F8_E4M3 || dtype == ATL_DTYPE_F8_E4M3_32)
        sources[n++] = kernel_file ("e4m3");
      sources[n++] = kernel_file (dequant);
      sources[n++] = kernel_file ("tile");
      if (family == ATL_CL_GEMV)
        sources[n++] = gemv_columns[0];
      sources[n++] = kernel_file (family_names[family]);
    }
  if (templates[family].file != NULL)
    for (guint i = 0; templates[family].values[i] != NULL; i++)
      {
        sources[n++] = templates[family].values[i];
        sources[n++] = kernel_file (templates[family].file);
      }
  g_assert (n <= MAX_SOURCES);
  return n;
}

static gboolean
collect_kernels (AtlOpencl *self, AtlClProgram *program, const char *name, GError **error)
{
  g_autofree cl_kernel *kernels = NULL;
  cl_uint n = 0;
  cl_int status = clCreateKernelsInProgram (program->program, 0, NULL, &n);

  if (status == CL_SUCCESS && n > 0)
    {
      kernels = g_new0 (cl_kernel, n);
      status = clCreateKernelsInProgram (program->program, n, kernels, NULL);
    }
  if (status != CL_SUCCESS || n == 0)
    {
      g_autofree char *doing = g_strdup_printf (_ ("opening the kernels of “%s”"), name);
      return atl_cl_lose (self, status, doing, error);
    }
  program->kernels = g_new0 (AtlClKernel, n);
  program->n_kernels = n;
  for (guint i = 0; i < n; i++)
    {
      AtlClKernel *k = &program->kernels[i];

      k->kernel = kernels[i];
      if (clGetKernelInfo (k->kernel, CL_KERNEL_FUNCTION_NAME, sizeof k->name, k->name, NULL) !=
              CL_SUCCESS ||
          clGetKernelWorkGroupInfo (k->kernel, self->device, CL_KERNEL_COMPILE_WORK_GROUP_SIZE,
                                    sizeof k->local, k->local, NULL) != CL_SUCCESS ||
          k->local[0] == 0)
        status = CL_INVALID_KERNEL_NAME;
    }
  if (status != CL_SUCCESS)
    {
      g_autofree char *doing = g_strdup_printf (_ ("asking about the kernels of “%s”"), name);
      return atl_cl_lose (self, status, doing, error);
    }
  return TRUE;
}

/* All that makes one program; `sources` and the two strings are the caller's to keep and free. */
static AtlClBuild
describe_build (const AtlOpencl *self,
                AtlClFamily family,
                AtlDType dtype,
                const char *sources[MAX_SOURCES],
                char **name,
                char **options)
{
  *options = build_options (self);
  *name = family < ATL_CL_LINEAR
              ? g_strdup (family_names[family])
              : g_strdup_printf ("%s-%s", family_names[family], atl_dtype_name (dtype));
  return (AtlClBuild){
    .context = self->context,
    .device = self->device,
    .device_name = self->parent.description,
    .name = *name,
    .sources = sources,
    .n_sources = program_sources (family, dtype, sources),
    .options = *options,
    /* What is measured once need not be kept. */
    .cache_dir = family == ATL_CL_GEMV ? NULL : self->cache_dir,
    /* PoCL's binaries are made of everything compiled anew. */
    .driver_keeps = self->is_pocl,
    .no_compiler = self->no_compiler,
  };
}

static gboolean
build (AtlOpencl *self, AtlClFamily family, AtlDType dtype, GError **error)
{
  const char *sources[MAX_SOURCES];
  g_autofree char *name = NULL;
  g_autofree char *options = NULL;
  AtlClBuild request = describe_build (self, family, dtype, sources, &name, &options);
  AtlClProgram *program = g_new0 (AtlClProgram, 1);

  atl_cl_enter (self);
  program->program = atl_cl_program_build (&request, NULL, error);
  atl_cl_leave (self);
  if (program->program == NULL || !collect_kernels (self, program, name, error))
    {
      atl_cl_program_free (program);
      return FALSE;
    }
  self->programs[family][dtype] = program;
  return TRUE;
}

void
atl_cl_program_keep (AtlOpencl *self, AtlClFamily family, AtlDType dtype)
{
  const char *sources[MAX_SOURCES];
  g_autofree char *name = NULL;
  g_autofree char *options = NULL;
  AtlClBuild request = describe_build (self, family, dtype, sources, &name, &options);

  atl_cl_program_note (&request);
}

/* PoCL compiles a kernel once for few groups and once for more (2^16 work-items in a row). */
#define MANY_GROUPS 65537

/* Zero for every number, the stand-in for every buffer: common.cl promises that this does nothing.
 * Programs that came as binaries may not know their parameters; they are compiled already. */
static gboolean
launch_empty (AtlOpencl *self, const AtlClKernel *k, GError **error)
{
  static const guint8 zeros[64];
  const gsize many[3] = { k->local[0] * MANY_GROUPS, k->local[1], k->local[2] };
  cl_uint n_args = 0;
  cl_int status = clGetKernelInfo (k->kernel, CL_KERNEL_NUM_ARGS, sizeof n_args, &n_args, NULL);

  for (cl_uint i = 0; i < n_args && status == CL_SUCCESS; i++)
    {
      cl_kernel_arg_address_qualifier where;
      char type[32] = "";

      if (clGetKernelArgInfo (k->kernel, i, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof where, &where,
                              NULL) != CL_SUCCESS)
        return TRUE;
      if (where != CL_KERNEL_ARG_ADDRESS_PRIVATE)
        {
          status = clSetKernelArg (k->kernel, i, sizeof (cl_mem), &self->nothing);
          continue;
        }
      if (clGetKernelArgInfo (k->kernel, i, CL_KERNEL_ARG_TYPE_NAME, sizeof type, type, NULL) !=
          CL_SUCCESS)
        return TRUE;
      gsize size = strstr (type, "long") != NULL ? 8 : 4;
      gsize length = strlen (type);
      if (length > 0 && g_ascii_isdigit (type[length - 1]))
        size *= (gsize) (type[length - 1] - '0');
      status = clSetKernelArg (k->kernel, i, size, zeros);
    }
  atl_cl_enter (self);
  if (status == CL_SUCCESS)
    status =
        clEnqueueNDRangeKernel (self->queue, k->kernel, 3, NULL, k->local, k->local, 0, NULL, NULL);
  if (status == CL_SUCCESS && self->is_pocl)
    status =
        clEnqueueNDRangeKernel (self->queue, k->kernel, 3, NULL, many, k->local, 0, NULL, NULL);
  atl_cl_leave (self);
  if (status != CL_SUCCESS)
    {
      g_autofree char *doing = g_strdup_printf (_ ("trying “%s”"), k->name);
      return atl_cl_lose (self, status, doing, error);
    }
  return TRUE;
}

gboolean
atl_cl_program_prepare (
    AtlOpencl *self, AtlClFamily family, AtlDType dtype, gboolean launch, GError **error)
{
  if (!atl_cl_alive (self, error))
    return FALSE;
  if (self->programs[family][dtype] == NULL && !build (self, family, dtype, error))
    return FALSE;
  if (!launch)
    return TRUE;
  AtlClProgram *program = self->programs[family][dtype];
  for (guint i = 0; i < program->n_kernels; i++)
    if (!launch_empty (self, &program->kernels[i], error))
      return FALSE;
  return atl_cl_finish (self, N_ ("trying its kernels"), error);
}

gboolean
atl_cl_call_begin (AtlClCall *call,
                   AtlOpencl *cl,
                   AtlClFamily family,
                   AtlDType dtype,
                   const char *kernel,
                   GError **error)
{
  AtlClProgram *program;

  if (!atl_cl_alive (cl, error))
    return FALSE;
  if (cl->programs[family][dtype] == NULL && !build (cl, family, dtype, error))
    return FALSE;
  program = cl->programs[family][dtype];
  for (guint i = 0; i < program->n_kernels; i++)
    if (strcmp (program->kernels[i].name, kernel) == 0)
      {
        *call = (AtlClCall){ .cl = cl, .kernel = &program->kernels[i], .status = CL_SUCCESS };
        return TRUE;
      }
  g_error ("there is no kernel “%s” in “%s”", kernel, family_names[family]);
}

static void
set_arg (AtlClCall *call, gsize size, const void *value)
{
  cl_int status = clSetKernelArg (call->kernel->kernel, call->n_args++, size, value);

  if (call->status == CL_SUCCESS)
    call->status = status;
}

void
atl_cl_arg_int (AtlClCall *call, cl_int value)
{
  set_arg (call, sizeof value, &value);
}

void
atl_cl_arg_uint (AtlClCall *call, guint64 value)
{
  cl_uint v = (cl_uint) value;

  g_assert (value <= G_MAXUINT32);
  set_arg (call, sizeof v, &v);
}

void
atl_cl_arg_ulong (AtlClCall *call, guint64 value)
{
  cl_ulong v = value;

  set_arg (call, sizeof v, &v);
}

void
atl_cl_arg_float (AtlClCall *call, float value)
{
  set_arg (call, sizeof value, &value);
}

void
atl_cl_arg_int4 (AtlClCall *call, gint64 a, gint64 b, gint64 c, gint64 d)
{
  cl_int4 v = { .s = { (cl_int) a, (cl_int) b, (cl_int) c, (cl_int) d } };

  set_arg (call, sizeof v, &v);
}

void
atl_cl_arg_ulong4 (AtlClCall *call, gint64 a, gint64 b, gint64 c, gint64 d)
{
  cl_ulong4 v = { .s = { (cl_ulong) a, (cl_ulong) b, (cl_ulong) c, (cl_ulong) d } };

  set_arg (call, sizeof v, &v);
}

void
atl_cl_arg_strides (AtlClCall *call, const gint64 stride[ATL_MAX_DIMS])
{
  cl_long8 v = { .s = { 0 } };

  for (guint i = 0; i < ATL_MAX_DIMS; i++)
    v.s[i] = stride[i];
  set_arg (call, sizeof v, &v);
}

void
atl_cl_arg_dims (AtlClCall *call, const gint64 dim[ATL_MAX_DIMS])
{
  cl_uint8 v = { .s = { 0 } };

  for (guint i = 0; i < ATL_MAX_DIMS; i++)
    v.s[i] = (cl_uint) dim[i];
  set_arg (call, sizeof v, &v);
}

void
atl_cl_arg_memory (AtlClCall *call, cl_mem memory)
{
  set_arg (call, sizeof memory, memory != NULL ? &memory : &call->cl->nothing);
}

void
atl_cl_arg_tensor (AtlClCall *call, const AtlTensor *t, guint unit)
{
  atl_cl_arg_tensor_at (call, t, unit, 0);
}

void
atl_cl_arg_tensor_at (AtlClCall *call, const AtlTensor *t, guint unit, guint64 plus)
{
  const AtlTensor *base;

  if (t == NULL)
    {
      atl_cl_arg_memory (call, NULL);
      atl_cl_arg_ulong (call, 0);
      return;
    }
  base = t->base != NULL ? t->base : t;
  if (base->kind == ATL_TENSOR_WEIGHT)
    {
      const AtlClWeight *weight = base->weight->store[call->cl->parent.index];

      g_assert (weight != NULL && weight->vector != NULL);
      atl_cl_arg_memory (call, weight->vector);
      atl_cl_arg_ulong (call, (guint64) t->offset * sizeof (float) / unit + plus);
      return;
    }
  AtlBuffer *buffer = base->kind == ATL_TENSOR_STATE ? base->state->buffer : base->buffer;
  gsize offset = atl_tensor_byte_offset (t);
  if (base->kind == ATL_TENSOR_STATE)
    offset -= base->buffer_offset;
  g_assert (buffer != NULL && offset % unit == 0);
  atl_cl_arg_memory (call, buffer->impl);
  atl_cl_arg_ulong (call, offset / unit + plus);
}

void
atl_cl_arg_scratch (AtlClCall *call, AtlBuffer *scratch, gsize offset_bytes)
{
  g_assert (scratch != NULL && offset_bytes <= scratch->size_bytes);
  atl_cl_arg_memory (call, scratch->impl);
  atl_cl_arg_ulong (call, offset_bytes / sizeof (float));
}

static gboolean
launch (AtlClCall *call, const gsize global[3], GError **error)
{
  atl_cl_enter (call->cl);
  if (call->status == CL_SUCCESS)
    call->status = clEnqueueNDRangeKernel (call->cl->queue, call->kernel->kernel, 3, NULL, global,
                                           call->kernel->local, 0, NULL, NULL);
  atl_cl_leave (call->cl);
  if (call->status != CL_SUCCESS)
    {
      g_autofree char *doing = g_strdup_printf (_ ("starting “%s”"), call->kernel->name);
      return atl_cl_lose (call->cl, call->status, doing, error);
    }
  call->cl->n_launches++;
  return TRUE;
}

gboolean
atl_cl_call_groups (AtlClCall *call, guint64 x, guint64 y, guint64 z, GError **error)
{
  const gsize *local = call->kernel->local;

  if (x == 0 || y == 0 || z == 0)
    return TRUE;
  return launch (call, (gsize[]){ x * local[0], y * local[1], z * local[2] }, error);
}

gboolean
atl_cl_call_items (AtlClCall *call, guint64 x, guint64 rows, GError **error)
{
  const gsize local = call->kernel->local[0];
  const guint64 most = 1 << 24; /* groups; FOR_ITEMS takes the rest in strides */

  if (x == 0 || rows == 0)
    return TRUE;
  return launch (
      call, (gsize[]){ MIN ((x + local - 1) / local, most) * local, MIN (rows, 32768), 1 }, error);
}

void
atl_cl_arg_first (AtlClCall *call)
{
  const cl_uint4 zero = { .s = { 0 } };

  call->first_arg = call->n_args;
  set_arg (call, sizeof zero, &zero);
}

gboolean
atl_cl_call_tiles (AtlClCall *call, guint64 x, guint64 y, guint64 z, double flops, GError **error)
{
  AtlOpencl *cl = call->cl;
  const guint64 n[3] = { x, y, z };
  guint64 left = atl_cl_pace_groups (cl, flops), at_once[3];

  /* The last axes whole, as far as that goes. */
  for (guint i = 3; i-- > 0;)
    {
      at_once[i] = CLAMP (left, 1, MAX (n[i], 1));
      left /= at_once[i];
    }
  for (guint64 c = 0; c < z; c += at_once[2])
    for (guint64 b = 0; b < y; b += at_once[1])
      for (guint64 a = 0; a < x; a += at_once[0])
        {
          const cl_uint4 first = { .s = { (cl_uint) a, (cl_uint) b, (cl_uint) c } };
          const guint64 m[3] = { MIN (at_once[0], x - a), MIN (at_once[1], y - b),
                                 MIN (at_once[2], z - c) };

          if (call->status == CL_SUCCESS)
            call->status =
                clSetKernelArg (call->kernel->kernel, call->first_arg, sizeof first, &first);
          cl->n_flops += flops * (double) (m[0] * m[1] * m[2]);
          if (!atl_cl_call_groups (call, m[0], m[1], m[2], error) || !atl_cl_pace (cl, error))
            return FALSE;
        }
  return TRUE;
}
