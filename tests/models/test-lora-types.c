/* LoRAs over weights of few bits: as over the same weights unpacked with the change added, on the
 * processor and on a device. */
#include <string.h>

#include "engine/tensor/quants/dequant.h"
#include "engine/tensor/quants/quantize.h"

#include "flux-fixture.h"
#include "model-fixture.h"
#include "opencl-fixture.h"

#define RANK 3
#define STRENGTH 0.7f

typedef struct
{
  const char *name;
  AtlDType dtype;
} Type;

static const Type types[] = {
  { "q4_0", ATL_DTYPE_Q4_0 }, { "q5_1", ATL_DTYPE_Q5_1 }, { "q8_0", ATL_DTYPE_Q8_0 },
  { "q4_K", ATL_DTYPE_Q4_K }, { "q6_K", ATL_DTYPE_Q6_K }, { "bf16", ATL_DTYPE_BF16 },
  { "f16", ATL_DTYPE_F16 },
};

static const struct
{
  const char *module;
  gint64 in, out;
} changed[] = {
  { "transformer_blocks.0.attn.to_q", FLUX_FIXTURE_WIDTH, FLUX_FIXTURE_WIDTH },
  { "transformer_blocks.0.ff.net.2", 4 * FLUX_FIXTURE_WIDTH, FLUX_FIXTURE_WIDTH },
  { "transformer_blocks.0.ff_context.net.2", 4 * FLUX_FIXTURE_WIDTH, FLUX_FIXTURE_WIDTH },
  { "single_transformer_blocks.0.proj_out", 5 * FLUX_FIXTURE_WIDTH, FLUX_FIXTURE_WIDTH },
};

static AtlBackend *device; /* (nullable) once a test asked for it */

/* What is changed, of a kind of numbers. */
typedef struct
{
  AtlCheckpoint *packed, *merged, *lora;
  GPtrArray *data; /* (owned) */
} World;

static float *
numbers (World *world, gint64 n, guint32 seed, float size)
{
  float *x = g_new (float, n);

  for (gint64 i = 0; i < n; i++)
    {
      seed = seed * 1664525 + 1013904223;
      x[i] = ((float) (seed >> 8) / (1 << 24) - 0.5f) * size;
    }
  g_ptr_array_add (world->data, x);
  return x;
}

/* One layer of that type, unpacked with the change added, and the change. FALSE where its rows are
 * no whole blocks. */
static gboolean
change (World *world, AtlDType dtype, const AtlTensorInfo *from, guint i)
{
  gint64 rows = from->dim[0], cols = from->dim[1], n = rows * cols;
  g_autofree char *a = g_strconcat ("transformer.", changed[i].module, ".lora_A.weight", NULL);
  g_autofree char *b = g_strconcat ("transformer.", changed[i].module, ".lora_B.weight", NULL);
  g_autofree guint8 *bytes = g_malloc (from->size_bytes);
  g_autofree float *whole = g_new (float, n);
  gsize block = atl_dtype_info (dtype)->block_elems;
  gsize size = (gsize) n / block * atl_dtype_info (dtype)->block_bytes;
  float *merged = g_new (float, n), *down, *up;
  guint8 *packed = g_malloc0 (size);
  AtlTensorInfo info;

  g_ptr_array_add (world->data, merged);
  g_ptr_array_add (world->data, packed);
  if (cols % (gint64) block != 0)
    return FALSE;
  down = numbers (world, RANK * cols, 11 + i, 0.3f);
  up = numbers (world, rows * RANK, 71 + i, 0.3f);
  atl_tensor_info_read (from, 0, rows, bytes);
  g_assert_true (atl_dequantize (from->dtype, bytes, whole, (gsize) n));
  g_assert_true (atl_quantize (dtype, whole, packed, (gsize) n));
  g_assert_true (atl_dequantize (dtype, packed, merged, (gsize) n));
  for (gint64 r = 0; r < rows; r++)
    for (gint64 c = 0; c < cols; c++)
      for (gint64 k = 0; k < RANK; k++)
        merged[r * cols + c] += STRENGTH * up[r * RANK + k] * down[k * cols + c];
  info = (AtlTensorInfo){ .name = from->name, .n_dims = 2, .dim = { rows, cols } };
  info.dtype = dtype;
  info.data = packed;
  info.size_bytes = size;
  g_assert_true (atl_checkpoint_add_tensor (world->packed, &info, NULL));
  flux_fixture_add (world->merged, from->name, rows, cols, merged);
  flux_fixture_add (world->lora, a, RANK, cols, down);
  flux_fixture_add (world->lora, b, rows, RANK, up);
  return TRUE;
}

static AtlCheckpoint *
copy_of (AtlCheckpoint *plain, const char *name)
{
  AtlCheckpoint *cp = atl_checkpoint_new (name);

  atl_checkpoint_set_base (cp, plain);
  for (guint i = 0; i < atl_checkpoint_n_meta (plain); i++)
    {
      const char *key = atl_checkpoint_meta_key (plain, i);

      g_assert_true (atl_checkpoint_add_meta (cp, key, atl_checkpoint_meta (plain, key), NULL));
    }
  return cp;
}

static void
test_type (gconstpointer data)
{
  const Type *type = data;
  g_autoptr (AtlCheckpoint) plain = flux_fixture_open (TRUE);
  World world = { .packed = copy_of (plain, "packed.gguf"),
                  .merged = copy_of (plain, "merged.safetensors"),
                  .lora = atl_checkpoint_new ("lora.safetensors"),
                  .data = g_ptr_array_new_with_free_func (g_free) };
  AtlLoraFile lora = { world.lora, STRENGTH };
  AtlBackend *cpu = model_fixture_cpu (TRUE);
  guint n_changed = 0;

  for (guint i = 0; i < atl_checkpoint_n_tensors (plain); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (plain, i);
      gboolean done = FALSE;

      for (guint k = 0; k < G_N_ELEMENTS (changed) && !done; k++)
        {
          g_autofree char *name = g_strconcat (changed[k].module, ".weight", NULL);

          done = g_str_equal (info->name, name) && change (&world, type->dtype, info, k);
        }
      n_changed += done;
      if (!done)
        {
          g_assert_true (atl_checkpoint_add_tensor (world.packed, info, NULL));
          g_assert_true (atl_checkpoint_add_tensor (world.merged, info, NULL));
        }
    }
  g_assert_cmpuint (n_changed, >=, 2);
  {
    g_autoptr (AtlArray) expected = flux_fixture_forward (world.merged, cpu, NULL, 0);
    g_autoptr (AtlArray) without = flux_fixture_forward (world.packed, cpu, NULL, 0);
    g_autoptr (AtlArray) exact = flux_fixture_forward (world.packed, cpu, &lora, 1);
    g_autoptr (AtlArray) fast =
        flux_fixture_forward (world.packed, model_fixture_cpu (FALSE), &lora, 1);

    g_test_message ("changed by %g, off by %g, %g", atl_array_rel_l2 (without, expected),
                    atl_array_rel_l2 (exact, expected), atl_array_rel_l2 (fast, expected));
    g_assert_cmpfloat (atl_array_rel_l2 (without, expected), >, 1e-2);
    g_assert_cmpfloat (atl_array_rel_l2 (exact, expected), <, 1e-4);
    /* Products of few bits round what goes in. */
    g_assert_cmpfloat (atl_array_rel_l2 (fast, expected), <, 1e-2);
    if (device == NULL)
      device = opencl_fixture_open (opencl_fixture_cache_dir ());
    if (device != NULL)
      {
        g_autoptr (AtlArray) on_device = flux_fixture_forward (world.packed, device, &lora, 1);

        g_assert_cmpfloat (atl_array_rel_l2 (on_device, expected), <, 1e-4);
      }
  }
  atl_checkpoint_unref (world.packed);
  atl_checkpoint_unref (world.merged);
  atl_checkpoint_unref (world.lora);
  g_ptr_array_unref (world.data);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      g_autofree char *path = g_strconcat ("/models/lora-types/", types[i].name, NULL);

      g_test_add_data_func (path, &types[i], test_type);
    }
  status = g_test_run ();
  if (device != NULL)
    atl_backend_free (device);
  model_fixture_end ();
  return status;
}
