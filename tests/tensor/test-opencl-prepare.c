/* Compiling for a device in one place and computing in another that has no compiler. */
#include <string.h>

#include "engine/tensor/opencl/program-cache.h"
#include "engine/tensor/opencl/programs.h"
#include "engine/tensor/opencl/weight.h"
#include "opencl-fixture.h"

static void
prepared_cb (guint n_done, guint n_total, gpointer user_data)
{
  guint *last = user_data;

  g_assert_cmpuint (n_done, <=, n_total);
  g_assert_cmpuint (n_done, ==, *last);
  *last = n_done + 1;
}

/* One backend compiles, another may not and finds all of it, and nothing else. */
static void
test_prepare (void)
{
  g_autofree char *dir = g_dir_make_tmp ("atl-prepare-XXXXXX", NULL);
  AtlBackend *backend = opencl_fixture_open (dir);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  AtlOpenclNeeds needs = { .matrices = 1ull << ATL_DTYPE_F32 | 1ull << ATL_DTYPE_Q4_K |
                                       1ull << ATL_DTYPE_IQ2_S | 1ull << ATL_DTYPE_IQ3_S |
                                       1ull << ATL_DTYPE_I32,
                           .convs = 1ull << ATL_DTYPE_F32 };
  AtlOpenclNeeds more = { .matrices = 1ull << ATL_DTYPE_Q6_K };
  guint n_calls = 0;

  if (backend == NULL)
    return;
  AtlOpencl *cl = atl_opencl (backend);
  g_cancellable_cancel (cancellable);
  g_assert_false (atl_opencl_backend_prepare (backend, &needs, NULL, NULL, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_true (atl_opencl_backend_is_prepared (backend, &needs));
  atl_opencl_backend_forbid_compiler (backend);
  g_assert_false (atl_opencl_backend_is_prepared (backend, &needs));
  g_assert_false (atl_cl_program_prepare (cl, ATL_CL_NORM, 0, FALSE, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_DEVICE);
  g_assert_nonnull (strstr (error->message, "“norm” is not compiled"));
  g_clear_error (&error);
  atl_backend_free (backend);

  backend = opencl_fixture_open (dir);
  cl = atl_opencl (backend);
  g_assert_true (atl_opencl_backend_prepare (backend, &needs, prepared_cb, &n_calls, NULL, &error));
  g_assert_no_error (error);
  /* Measuring, the families, f32, q4_K, the one that both IQ types become, the convolution. */
  g_assert_cmpuint (n_calls, ==, 1 + 1 + ATL_CL_LINEAR + 3 + 1);
  for (guint family = 0; family < ATL_CL_LINEAR; family++)
    g_assert_nonnull (cl->programs[family][0]);
  g_assert_nonnull (cl->programs[ATL_CL_LINEAR][ATL_DTYPE_F32]);
  g_assert_nonnull (cl->programs[ATL_CL_LINEAR][ATL_DTYPE_Q4_K]);
  g_assert_nonnull (cl->programs[ATL_CL_LINEAR][ATL_CL_WIDE]);
  g_assert_null (cl->programs[ATL_CL_LINEAR][ATL_DTYPE_Q6_K]);
  g_assert_nonnull (cl->programs[ATL_CL_CONV][ATL_DTYPE_F32]);
  atl_backend_free (backend);

  backend = opencl_fixture_open (dir);
  cl = atl_opencl (backend);
  atl_opencl_backend_forbid_compiler (backend);
  g_assert_true (atl_opencl_backend_is_prepared (backend, &needs));
  g_assert_nonnull (cl->programs[ATL_CL_LINEAR][ATL_CL_WIDE]);
  g_assert_false (atl_opencl_backend_is_prepared (backend, &more));
  /* That is no failure of the device. */
  g_assert_true (atl_opencl_backend_is_prepared (backend, &needs));
  atl_backend_free (backend);
  opencl_fixture_remove_dir (dir);
}

/* Binaries that a driver gives out are all that a locked process needs. */
static void
test_no_compiler (void)
{
  AtlBackend *backend = opencl_fixture_open (NULL);
  g_autofree char *dir = g_dir_make_tmp ("atl-no-compiler-XXXXXX", NULL);
  const char *source =
      "kernel __attribute__ ((reqd_work_group_size (1, 1, 1))) void nothing (int n) {}";
  g_auto (cl_program) first = NULL;
  g_auto (cl_program) second = NULL;
  g_autoptr (GError) error = NULL;
  gboolean from_cache;

  if (backend == NULL)
    return;
  AtlOpencl *cl = atl_opencl (backend);
  AtlClBuild build = { .context = cl->context,
                       .device = cl->device,
                       .device_name = "device",
                       .name = "nothing",
                       .sources = &source,
                       .n_sources = 1,
                       .options = "",
                       .cache_dir = dir,
                       .no_compiler = TRUE };
  g_assert_null (atl_cl_program_build (&build, &from_cache, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_DEVICE);
  g_clear_error (&error);
  build.no_compiler = FALSE;
  first = atl_cl_program_build (&build, &from_cache, &error);
  g_assert_no_error (error);
  g_assert_false (from_cache);
  build.no_compiler = TRUE;
  second = atl_cl_program_build (&build, &from_cache, &error);
  g_assert_no_error (error);
  g_assert_true (from_cache);
  opencl_fixture_remove_dir (dir);
  atl_backend_free (backend);
}

static void
test_by_name (void)
{
  g_autoptr (GPtrArray) devices = atl_opencl_devices (NULL);
  AtlOpenclDevice *device = opencl_fixture_device ();
  g_autofree char *name = NULL;

  if (device == NULL)
    return;
  name = g_utf8_strup (device->name, -1);
  g_assert_cmpstr (atl_opencl_device_by_name (devices, name)->name, ==, device->name);
  name[g_utf8_strlen (name, -1) / 2] = '\0';
  g_assert_nonnull (atl_opencl_device_by_name (devices, name));
  g_assert_null (atl_opencl_device_by_name (devices, "no such device"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  opencl_fixture_cache_dir ();
  g_test_add_func ("/opencl-prepare/programs", test_prepare);
  g_test_add_func ("/opencl-prepare/no-compiler", test_no_compiler);
  g_test_add_func ("/opencl-prepare/by-name", test_by_name);
  return g_test_run ();
}
