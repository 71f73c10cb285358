/* A denoiser of pictures whose weights are packed, with more tokens than tiles of bytes begin at:
 * what those round away is less than what the weights lost when they were packed. The network is
 * the starter's, whose weights were learned: its inner activations have far outliers. */
#include "engine/formats/open.h"
#include "engine/tensor/quants/dequant.h"
#include "engine/tensor/quants/quantize.h"
#include "model-fixture.h"

/* A picture of 256 x 256: 256 tokens. */
#define SIDE 32
#define CHANNELS 16
#define WORDS 77
#define TEXT_DIM 256

static AtlCheckpoint *
open_starter (void)
{
  g_autofree char *path =
      g_test_build_filename (G_TEST_DIST, "..", "data", "starter", "doodle", "transformer",
                             "diffusion_pytorch_model.safetensors", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlFileMap) map = atl_file_map_new (path, &error);
  AtlCheckpoint *cp;

  g_assert_no_error (error);
  cp = atl_checkpoint_open (&map, NULL, 1, &error);
  g_assert_no_error (error);
  return cp;
}

/* The same with its matrices in that type. */
static AtlCheckpoint *
pack (AtlCheckpoint *cp, AtlDType dtype)
{
  AtlCheckpoint *out = atl_checkpoint_new ("packed.gguf");
  const AtlDTypeInfo *type = atl_dtype_info (dtype);

  atl_checkpoint_set_base (out, cp);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      AtlTensorInfo info = *atl_checkpoint_tensor (cp, i);

      if (info.n_dims == 2 && info.dim[1] % type->block_elems == 0)
        {
          const gsize n = (gsize) (info.dim[0] * info.dim[1]);
          g_autofree float *floats = g_new (float, n);

          g_assert_true (atl_dequantize (info.dtype, info.data, floats, n));
          info.dtype = dtype;
          info.size_bytes = n / type->block_elems * type->block_bytes;
          info.data = g_malloc (info.size_bytes);
          g_assert_true (atl_quantize (dtype, floats, (guint8 *) info.data, n));
          atl_checkpoint_take (out, (guint8 *) info.data, g_free);
        }
      g_assert_true (atl_checkpoint_add_tensor (out, &info, NULL));
    }
  return out;
}

/* Twelve even numbers make nearly a normal one. */
static AtlArray *
noise (GRand *rand, const char *name, guint n_dims, const gint64 *dim, double size)
{
  AtlArray *a = atl_array_new (name, ATL_DTYPE_F32, n_dims, dim);

  for (gint64 i = 0; i < atl_array_n_elems (a); i++)
    {
      double sum = -6.0;

      for (guint k = 0; k < 12; k++)
        sum += g_rand_double (rand);
      atl_array_f32 (a)[i] = (float) (sum * size);
    }
  return a;
}

static AtlArray *
forward (AtlCheckpoint *cp, gboolean exact, float timestep)
{
  AtlBackend *backend = model_fixture_cpu (exact);
  GRand *rand = g_rand_new_with_seed (7);
  g_autoptr (AtlRequest) request = atl_request_new ("forward");
  g_autoptr (GError) error = NULL;
  const AtlComponentClass *klass = atl_component_class_for (cp, NULL, "forward", &error);
  g_autoptr (AtlComponent) component = NULL;
  g_autoptr (GPtrArray) outputs = NULL;
  AtlArray *time = atl_array_new ("timestep", ATL_DTYPE_F32, 1, (gint64[]){ 1 });

  g_assert_no_error (error);
  component = atl_component_load (klass, cp, &backend, 1, NULL, &error);
  g_assert_no_error (error);
  atl_array_f32 (time)[0] = timestep;
  atl_request_add (request, time);
  atl_request_add (request,
                   noise (rand, "latent", 5, (gint64[]){ 1, CHANNELS, 1, SIDE, SIDE }, 1.0));
  atl_request_add (request, noise (rand, "context", 3, (gint64[]){ 1, WORDS, TEXT_DIM }, 0.3));
  g_rand_free (rand);
  outputs = atl_component_run (component, request, NULL, &error);
  g_assert_no_error (error);
  return g_ptr_array_steal_index (outputs, 0);
}

static void
test_close (gconstpointer data)
{
  const AtlDType dtype = (AtlDType) GPOINTER_TO_UINT (data);
  g_autoptr (AtlCheckpoint) plain = open_starter ();
  g_autoptr (AtlCheckpoint) packed = pack (plain, dtype);

  for (guint i = 0; i < 3; i++)
    {
      const float timestep = (float[]){ 950.0f, 500.0f, 80.0f }[i];
      g_autoptr (AtlArray) whole = forward (plain, TRUE, timestep);
      g_autoptr (AtlArray) exact = forward (packed, TRUE, timestep);
      g_autoptr (AtlArray) fast = forward (packed, FALSE, timestep);
      const double lost = atl_array_rel_l2 (exact, whole), more = atl_array_rel_l2 (fast, exact);

      g_test_message ("at %g packing loses %g, computing %g", timestep, lost, more);
      g_assert_cmpfloat (lost, >, 1e-4);
      g_assert_cmpfloat (more, <, 0.5 * lost);
    }
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/models/packed-pictures/q8_0", GUINT_TO_POINTER (ATL_DTYPE_Q8_0),
                        test_close);
  g_test_add_data_func ("/models/packed-pictures/q6_K", GUINT_TO_POINTER (ATL_DTYPE_Q6_K),
                        test_close);
  g_test_add_data_func ("/models/packed-pictures/q4_K", GUINT_TO_POINTER (ATL_DTYPE_Q4_K),
                        test_close);
  g_test_add_data_func ("/models/packed-pictures/q4_0", GUINT_TO_POINTER (ATL_DTYPE_Q4_0),
                        test_close);
  status = g_test_run ();
  model_fixture_end ();
  return status;
}
