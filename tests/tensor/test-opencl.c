/* The parts of the OpenCL backend that no op case reaches: what is said without a device, the
 * program cache, tuning files, repacking and upload in pieces, cancelling, preparing. */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/opencl/context.h"
#include "engine/tensor/opencl/program-cache.h"
#include "engine/tensor/opencl/repack.h"
#include "engine/tensor/opencl/tuning/measure.h"
#include "engine/tensor/quants/dequant.h"
#include "op-cases.h"
#include "opencl-fixture.h"

/* --- Devices --- */

static void
test_no_driver (void)
{
  if (g_test_subprocess ())
    {
      g_autofree char *why = NULL;
      g_autoptr (GPtrArray) devices = atl_opencl_devices (&why);

      g_assert_cmpuint (devices->len, ==, 0);
      g_assert_null (atl_opencl_device_choose (devices));
      g_print ("%s", why);
      return;
    }
  /* The loader of this process has looked already; the child's looks there. */
  g_setenv ("OCL_ICD_VENDORS", "/nonexistent", TRUE);
  g_test_trap_subprocess (NULL, 0, 0);
  g_unsetenv ("OCL_ICD_VENDORS");
  g_test_trap_assert_passed ();
  g_test_trap_assert_stdout ("*No OpenCL driver is installed*");
}

static void
test_devices (void)
{
  g_autofree char *why = NULL;
  g_autoptr (GPtrArray) devices = atl_opencl_devices (&why);
  gboolean unusable = FALSE;

  if (devices->len == 0)
    {
      g_assert_nonnull (why);
      g_test_skip ("no OpenCL device found (package pocl-opencl-icd)");
      return;
    }
  for (guint i = 0; i < devices->len; i++)
    {
      AtlOpenclDevice *d = devices->pdata[i];

      g_assert_cmpuint (strlen (d->name), >, 0);
      g_assert_cmpuint (d->memory_total, >, 0);
      g_assert_cmpuint (d->max_alloc, >, 0);
      /* Best first. */
      g_assert_false (unusable && d->why_not == NULL);
      unusable = d->why_not != NULL;
      if (!d->is_gpu)
        g_assert_nonnull (d->why_not);
    }
  g_assert_true (atl_opencl_device_choose (devices) == NULL ||
                 atl_opencl_device_choose (devices) == devices->pdata[0]);
}

static void
test_gone_device (void)
{
  AtlOpenclDevice gone = { .name = (char *) "Voodoo", .platform_index = 31, .device_index = 9 };
  g_autoptr (GError) error = NULL;

  g_assert_null (atl_opencl_backend_new (&gone, NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_DEVICE);
  g_assert_nonnull (strstr (error->message, "Voodoo"));
}

/* --- Program cache --- */

static const char cache_source[] = "__kernel void twice (__global int *x) { x[0] *= 2; }";

static void
build_twice (AtlOpencl *cl, const char *dir, const char *source, gboolean expect_cached)
{
  AtlClBuild build = { .context = cl->context,
                       .device = cl->device,
                       .device_name = "test",
                       .name = "twice",
                       .sources = &source,
                       .n_sources = 1,
                       .options = "-cl-std=CL1.2",
                       .cache_dir = dir };
  g_autoptr (GError) error = NULL;
  gboolean cached;
  g_auto (cl_program) program = atl_cl_program_build (&build, &cached, &error);
  cl_kernel kernel;
  cl_mem memory;
  cl_int status, value = 21;
  gsize one = 1;

  g_assert_no_error (error);
  g_assert_cmpint (cached, ==, expect_cached);
  kernel = clCreateKernel (program, "twice", &status);
  g_assert_cmpint (status, ==, CL_SUCCESS);
  memory = clCreateBuffer (cl->context, CL_MEM_COPY_HOST_PTR, sizeof value, &value, &status);
  g_assert_cmpint (status, ==, CL_SUCCESS);
  clSetKernelArg (kernel, 0, sizeof memory, &memory);
  status = clEnqueueNDRangeKernel (cl->queue, kernel, 1, NULL, &one, NULL, 0, NULL, NULL);
  g_assert_cmpint (status, ==, CL_SUCCESS);
  clEnqueueReadBuffer (cl->queue, memory, CL_TRUE, 0, sizeof value, &value, 0, NULL, NULL);
  g_assert_cmpint (value, ==, 42);
  clReleaseMemObject (memory);
  clReleaseKernel (kernel);
}

static void
test_cache (void)
{
  AtlBackend *backend = opencl_fixture_open (NULL);
  g_autofree char *top = NULL;
  g_autofree char *dir = NULL;
  g_autofree char *path = NULL;
  g_autofree char *good = NULL;
  const char *source = cache_source;
  gsize size;

  if (backend == NULL)
    return;
  AtlOpencl *cl = atl_opencl (backend);
  top = g_dir_make_tmp ("atl-cache-XXXXXX", NULL);
  /* The folder need not exist. */
  dir = g_build_filename (top, "kernels", NULL);
  build_twice (cl, dir, source, FALSE);
  build_twice (cl, dir, source, TRUE);
  build_twice (cl, NULL, source, FALSE);
  build_twice (cl, dir, "__kernel void twice (__global int *x) { x[0] += x[0]; }", FALSE);

  AtlClBuild build = { .context = cl->context,
                       .device = cl->device,
                       .sources = &source,
                       .n_sources = 1,
                       .options = "-cl-std=CL1.2",
                       .cache_dir = dir };
  path = atl_cl_program_cache_path (&build);
  g_assert_true (g_file_get_contents (path, &good, &size, NULL));
  g_assert_cmpuint (size, >, 100);

  /* Every kind of damage is noticed, costs a build and is repaired. */
  for (guint damage = 0; damage < 5; damage++)
    {
      g_autofree char *bad = g_memdup2 (good, size);
      gsize bad_size = size;

      if (damage == 0)
        bad_size = size / 2;
      else if (damage == 1)
        bad_size = 0;
      else if (damage == 2)
        bad[size - 1] ^= 1;
      else if (damage == 3)
        bad[0] ^= 1;
      else
        bad[10] ^= 1;
      g_assert_true (g_file_set_contents (path, bad, (gssize) bad_size, NULL));
      build_twice (cl, dir, source, FALSE);
      build_twice (cl, dir, source, TRUE);
    }

  /* Sound by our checksum, but nothing that the driver takes. Mesa 22's rusticl panics on that. */
  g_autofree char *platform = atl_cl_platform_string (cl->platform, CL_PLATFORM_NAME);
  if (strcmp (platform, "rusticl") != 0)
    {
      g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
      guint8 file[8 + 32 + 64];
      gsize n = 32;

      memcpy (file, good, 8);
      memset (file + 40, 'x', 64);
      g_checksum_update (checksum, file + 40, 64);
      g_checksum_get_digest (checksum, file + 8, &n);
      g_assert_true (g_file_set_contents (path, (char *) file, sizeof file, NULL));
      build_twice (cl, dir, source, FALSE);
      build_twice (cl, dir, source, TRUE);
    }

  /* A folder that cannot be written costs nothing but time. */
  g_autofree char *blocked = g_build_filename (path, "below-a-file", NULL);
  build_twice (cl, blocked, source, FALSE);

  atl_backend_free (backend);
  opencl_fixture_remove_dir (dir);
  opencl_fixture_remove_dir (top);
}

static void
test_bad_source (void)
{
  AtlBackend *backend = opencl_fixture_open (NULL);
  const char *source = "__kernel void broken (__global int *x) { x[0] = nonsense; }";
  g_autoptr (GError) error = NULL;

  if (backend == NULL)
    return;
  AtlOpencl *cl = atl_opencl (backend);
  AtlClBuild build = { .context = cl->context,
                       .device = cl->device,
                       .device_name = "Some GPU",
                       .name = "broken",
                       .sources = &source,
                       .n_sources = 1,
                       .options = "" };
  g_assert_null (atl_cl_program_build (&build, NULL, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_DEVICE);
  g_assert_nonnull (strstr (error->message, "Some GPU"));
  g_assert_nonnull (strstr (error->message, "broken"));
  atl_backend_free (backend);
}

/* --- Tuning --- */

static void
test_tuning (void)
{
  g_autofree char *dir = g_dir_make_tmp ("atl-tuning-XXXXXX", NULL);
  AtlClTuning stored = { .gemv_lanes = 64, .gemv_groups = 2, .gemv_rows = 1 };
  AtlClTuning found = atl_cl_tuning_default;

  g_assert_true (atl_cl_tuning_is_valid (&found));
  g_assert_false (atl_cl_tuning_load (&found, dir, "GPU | 1.0"));
  atl_cl_tuning_store (&stored, dir, "GPU | 1.0");
  g_assert_true (atl_cl_tuning_load (&found, dir, "GPU | 1.0"));
  g_assert_cmpmem (&found, sizeof found, &stored, sizeof stored);
  /* Another driver measures again. */
  g_assert_false (atl_cl_tuning_load (&found, dir, "GPU | 1.1"));

  /* What the kernels would not take is not believed. */
  static const AtlClTuning bad[] = {
    { 48, 1, 1 }, { 256, 4, 1 }, { 32, 0, 1 }, { 32, 2, 9 }, { 0 }
  };
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_assert_false (atl_cl_tuning_is_valid (&bad[i]));
      atl_cl_tuning_store (&bad[i], dir, "GPU | 1.0");
      g_assert_false (atl_cl_tuning_load (&found, dir, "GPU | 1.0"));
    }
  g_assert_cmpmem (&found, sizeof found, &stored, sizeof stored);
  opencl_fixture_remove_dir (dir);
}

/* Only that it measures, stores and leaves a device that works: PoCL's times mean nothing. */
static void
test_measure (void)
{
  g_autofree char *dir = g_dir_make_tmp ("atl-measure-XXXXXX", NULL);
  AtlBackend *backend = opencl_fixture_open (dir);
  g_autoptr (GError) error = NULL;

  if (backend == NULL)
    return;
  AtlOpencl *cl = atl_opencl (backend);
  gboolean is_cpu = cl->is_cpu;
  guint64 before = backend->memory_free;

  cl->is_cpu = FALSE;
  g_assert_true (atl_cl_tuning_measure (cl, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (atl_cl_tuning_is_valid (&cl->tuning));
  g_assert_cmpuint (backend->memory_free, ==, before);
  AtlClTuning found = cl->tuning;
  /* Once is enough. */
  g_assert_true (atl_cl_tuning_measure (cl, NULL, &error));
  g_assert_cmpmem (&found, sizeof found, &cl->tuning, sizeof cl->tuning);
  cl->tuning = atl_cl_tuning_default;
  atl_cl_tuning_restore (cl);
  g_assert_cmpmem (&found, sizeof found, &cl->tuning, sizeof cl->tuning);
  cl->is_cpu = is_cpu;
  atl_backend_free (backend);
  opencl_fixture_remove_dir (dir);
}

/* --- Weights --- */

static void
test_widen (void)
{
  OpRandom r = { .state = 3 };
  AtlClWidener widener;

  atl_cl_widener_init (&widener);
  for (guint round = 0; round < 2000; round++)
    {
      guint most = 1 + op_random_bits (&r) % 127;
      float true_scale = (op_random (&r) + 1.5f) * 1e-3f, scale;
      float values[16];
      gint8 quants[16];

      for (guint i = 0; i < 16; i++)
        values[i] =
            true_scale * (float) ((gint) (op_random_bits (&r) % (2 * most + 1)) - (gint) most);
      atl_cl_widen (&widener, values, quants, &scale);
      for (guint i = 0; i < 16; i++)
        g_assert_cmpfloat_with_epsilon ((float) quants[i] * scale, values[i], true_scale * 1e-4f);
    }

  /* No such group: 8 bits are kept. */
  float odd[16], scale;
  gint8 quants[16];
  for (guint i = 0; i < 16; i++)
    odd[i] = expf (op_random (&r));
  atl_cl_widen (&widener, odd, quants, &scale);
  for (guint i = 0; i < 16; i++)
    g_assert_cmpfloat_with_epsilon ((float) quants[i] * scale, odd[i], 0.012);
  memset (odd, 0, sizeof odd);
  atl_cl_widen (&widener, odd, quants, &scale);
  g_assert_cmpfloat (scale, ==, 0.0f);
  odd[3] = NAN;
  odd[4] = INFINITY;
  atl_cl_widen (&widener, odd, quants, &scale);
  g_assert_true (isnan (scale));
}

static AtlBackend *
place_cb (const AtlWeight *w, gpointer user_data)
{
  return user_data;
}

/* More rows than one piece holds, made by several threads, and all of them looked up again. */
static void
test_upload (gconstpointer data)
{
  AtlDType dtype = GPOINTER_TO_UINT (data);
  const AtlDTypeInfo *info = atl_dtype_info (dtype);
  const gint64 rows = 9001, dim = 1024, looked_up = 900;
  gsize size = (gsize) (rows * dim) / info->block_elems * info->block_bytes;
  gsize row_bytes = size / (gsize) rows;
  AtlBackend *backend = opencl_fixture_open (NULL);
  AtlCpuOptions plain = { .n_threads = 1, .level = ATL_CPU_REFERENCE, .exact = TRUE };
  g_autoptr (GError) error = NULL;
  OpRandom r = { .state = 5 };

  if (backend == NULL)
    return;
  AtlBackend *backends[2] = { backend, atl_cpu_backend_new (&plain, NULL) };
  guint64 free_before = backend->memory_free;
  g_autofree guint8 *bytes = g_malloc (size);
  /* Random blocks are slow to make: a few, repeated with a row's shift. */
  op_random_weights (&r, dtype, bytes, (gsize) dim * 37);
  for (gint64 i = 37; i < rows; i++)
    memcpy (bytes + (gsize) i * row_bytes, bytes + (gsize) (i * 7 % 37) * row_bytes, row_bytes);

  AtlCheckpoint *checkpoint = atl_checkpoint_new ("test");
  AtlWeights *weights = atl_weights_new (checkpoint);
  AtlWeight *w = atl_weights_add_bytes (weights, ATL_USE_ROWS, 0, dtype, 2, (gint64[]){ rows, dim },
                                        g_bytes_new (bytes, size), "table");
  gsize cost = backend->klass->upload_cost (backend, w);
  g_assert_true (atl_weights_upload (weights, place_cb, backend, NULL, NULL, NULL, &error));
  g_assert_no_error (error);
  /* What it said is what it took. */
  g_assert_cmpuint (free_before - backend->memory_free, ==, cost);

  AtlGraph *g = atl_graph_new ();
  AtlTensor *ids = atl_graph_input (g, "ids", ATL_DTYPE_I32, 1, (gint64[]){ looked_up });
  atl_graph_output (g, atl_embed (g, atl_weight (g, w), ids, 1.0f), "out");
  AtlPlan *plan = atl_plan_new (g, backends, 2, &error);
  g_assert_no_error (error);
  g_assert_true (atl_plan_allocate (plan, &error));
  gint32 which[900];
  for (gint32 i = 0; i < looked_up; i++)
    which[i] = (gint32) (rows - 1 - i * 10);
  g_assert_true (atl_plan_set_input (plan, "ids", which, sizeof which, &error));
  g_assert_true (atl_plan_run (plan, NULL, &error));
  g_autofree float *got = g_new (float, (looked_up * dim));
  g_autofree float *want = g_new (float, dim);
  g_assert_true (
      atl_plan_get_output (plan, "out", got, (gsize) (looked_up * dim) * sizeof *got, &error));
  for (gint64 i = 0; i < looked_up; i++)
    {
      g_assert_true (atl_dequantize (dtype, bytes + (gsize) which[i] * row_bytes, want, dim));
      for (gint64 d = 0; d < dim; d++)
        if (!(fabsf (got[i * dim + d] - want[d]) <= 2e-6f * fabsf (want[d]) + 1e-7f))
          g_error ("row %d, element %d: %g instead of %g", which[i], (int) d,
                   (double) got[i * dim + d], (double) want[d]);
    }

  atl_plan_free (plan);
  atl_weights_free (weights);
  atl_checkpoint_unref (checkpoint);
  g_assert_cmpuint (backend->memory_free, ==, free_before);
  atl_backend_free (backends[1]);
  atl_backend_free (backend);
}

/* --- Runs --- */

static void
test_cancel (void)
{
  AtlBackend *backend = opencl_fixture_open (opencl_fixture_cache_dir ());
  AtlCpuOptions plain = { .n_threads = 1, .level = ATL_CPU_REFERENCE, .exact = TRUE };
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  float x[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

  if (backend == NULL)
    return;
  AtlBackend *backends[2] = { backend, atl_cpu_backend_new (&plain, NULL) };
  AtlGraph *g = atl_graph_new ();
  AtlTensor *t = atl_graph_input (g, "x", ATL_DTYPE_F32, 1, (gint64[]){ 8 });
  for (guint i = 0; i < 1000; i++)
    t = atl_affine (g, t, 1.0f, 1.0f);
  atl_graph_output (g, t, "out");
  AtlPlan *plan = atl_plan_new (g, backends, 2, &error);
  g_assert_no_error (error);
  g_assert_true (atl_plan_allocate (plan, &error));
  g_assert_true (atl_plan_set_input (plan, "x", x, sizeof x, &error));

  /* Long runs are paced in batches and give the same. */
  for (guint run = 0; run < 3; run++)
    {
      g_assert_true (atl_plan_run (plan, cancellable, &error));
      g_assert_true (atl_plan_get_output (plan, "out", x, sizeof x, &error));
      g_assert_cmpfloat (x[3], ==, 1004.0f);
      x[3] = 4;
    }
  g_cancellable_cancel (cancellable);
  g_assert_false (atl_plan_run (plan, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  /* Cancelling is no failure of the device. */
  g_assert_true (atl_plan_run (plan, NULL, &error));
  g_assert_true (atl_plan_get_output (plan, "out", x, sizeof x, &error));
  g_assert_cmpfloat (x[7], ==, 1008.0f);
  atl_plan_free (plan);
  atl_backend_free (backends[1]);
  atl_backend_free (backend);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  opencl_fixture_cache_dir ();
  g_test_add_func ("/opencl/devices/no-driver", test_no_driver);
  g_test_add_func ("/opencl/devices/list", test_devices);
  g_test_add_func ("/opencl/devices/gone", test_gone_device);
  g_test_add_func ("/opencl/cache", test_cache);
  g_test_add_func ("/opencl/bad-source", test_bad_source);
  g_test_add_func ("/opencl/tuning/file", test_tuning);
  g_test_add_func ("/opencl/tuning/measure", test_measure);
  g_test_add_func ("/opencl/weights/widen", test_widen);
  g_test_add_data_func ("/opencl/weights/upload/f32", GUINT_TO_POINTER (ATL_DTYPE_F32),
                        test_upload);
  g_test_add_data_func ("/opencl/weights/upload/q5_K", GUINT_TO_POINTER (ATL_DTYPE_Q5_K),
                        test_upload);
  g_test_add_data_func ("/opencl/weights/upload/q8_0", GUINT_TO_POINTER (ATL_DTYPE_Q8_0),
                        test_upload);
  g_test_add_data_func ("/opencl/weights/upload/iq3_s", GUINT_TO_POINTER (ATL_DTYPE_IQ3_S),
                        test_upload);
  g_test_add_func ("/opencl/cancel", test_cancel);
  return g_test_run ();
}
