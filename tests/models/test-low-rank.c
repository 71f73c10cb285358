/* A transformer in four bits beside low-rank branches (SVDQuant): the same as when all of it is
 * unpacked, LoRA files included. That it is right is what the golden case svdquant says. */
#include <string.h>

#include "engine/convert/hf.h"
#include "engine/formats/open.h"
#include "engine/models/component.h"

#include "model-fixture.h"

#define MODEL "model/forward-flux-int4.safetensors"
#define D 128
#define RANK 4

static AtlCheckpoint *
open_shipped (const char *file)
{
  g_autofree char *path = model_fixture_path ("svdquant", file);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlFileMap) map = atl_file_map_new (path, &error);
  AtlCheckpoint *cp;

  g_assert_no_error (error);
  cp = atl_checkpoint_open (&map, NULL, 1, &error);
  g_assert_no_error (error);
  return cp;
}

/* The shipped model under diffusers' names; without the four-bit form of its layers. */
static AtlCheckpoint *
open_flux (gboolean unpacked)
{
  g_autoptr (AtlCheckpoint) files = open_shipped (MODEL);
  g_autoptr (AtlCheckpoint) out = atl_checkpoint_new ("plain.safetensors");
  g_autoptr (GError) error = NULL;
  AtlCheckpoint *cp = atl_hf_adopt_part (files, &error);

  g_assert_no_error (error);
  if (!unpacked)
    return cp;
  atl_checkpoint_set_base (out, cp);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    if (strstr (atl_checkpoint_tensor (cp, i)->name, ".svd.") == NULL)
      g_assert_true (atl_checkpoint_add_tensor (out, atl_checkpoint_tensor (cp, i), NULL));
  for (guint i = 0; i < atl_checkpoint_n_meta (cp); i++)
    {
      const char *key = atl_checkpoint_meta_key (cp, i);

      g_assert_true (atl_checkpoint_add_meta (out, key, atl_checkpoint_meta (cp, key), NULL));
    }
  atl_checkpoint_unref (cp);
  return g_steal_pointer (&out);
}

/* What the shipped case's inputs give; the caller frees. */
static AtlArray *
forward (AtlCheckpoint *cp, const AtlLoraFile *loras, guint n_loras)
{
  static const char *const names[] = { "latent",   "timestep",  "context",    "pooled",
                                       "guidance", "image_ids", "context_ids" };
  g_autoptr (AtlCheckpoint) inputs = open_shipped ("cases/forward-flux-int4/inputs.safetensors");
  AtlBackend *cpu = model_fixture_cpu (TRUE);
  AtlLoadOptions options = { .loras = loras, .n_loras = n_loras };
  g_autoptr (AtlRequest) request = atl_request_new ("forward");
  g_autoptr (AtlComponent) flux = NULL;
  g_autoptr (GPtrArray) outputs = NULL;
  g_autoptr (GError) error = NULL;
  const AtlComponentClass *klass = atl_component_class_for (cp, NULL, "forward", &error);

  g_assert_no_error (error);
  flux = atl_component_load (klass, cp, &cpu, 1, &options, &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      AtlArray *array = atl_array_from_tensor (atl_checkpoint_find (inputs, names[i]), &error);

      g_assert_no_error (error);
      atl_request_add (request, array);
    }
  outputs = atl_component_run (flux, request, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (outputs->len, ==, 1);
  return g_ptr_array_steal_index (outputs, 0);
}

static void
add_tensor (AtlCheckpoint *cp, const char *name, gint64 rows, gint64 columns, float *data)
{
  AtlTensorInfo info = { .name = name,
                         .dtype = ATL_DTYPE_F32,
                         .n_dims = 2,
                         .dim = { rows, columns },
                         .data = (const guint8 *) data,
                         .size_bytes = (gsize) (rows * columns) * sizeof (float) };

  g_assert_true (atl_checkpoint_add_tensor (cp, &info, NULL));
}

static void
test_same (void)
{
  g_autoptr (AtlCheckpoint) packed = open_flux (FALSE);
  g_autoptr (AtlCheckpoint) plain = open_flux (TRUE);
  g_autoptr (AtlArray) a = forward (packed, NULL, 0);
  g_autoptr (AtlArray) b = forward (plain, NULL, 0);

  /* Unpacked they are in half precision. */
  g_assert_cmpfloat (atl_array_rel_l2 (a, b), <, 1e-3);
}

/* Layers that a LoRA changes, by whatever name it calls them, are unpacked; the others are not. */
static void
test_loras (void)
{
  static const struct
  {
    const char *module, *down, *up;
    gint64 in, out;
  } cases[] = {
    { "transformer.transformer_blocks.0.attn.to_q", "lora_A.weight", "lora_B.weight", D, D },
    { "transformer.single_transformer_blocks.0.proj_out", "lora_A.weight", "lora_B.weight", 5 * D,
      D },
    { "lora_unet_double_blocks_0_img_attn_qkv", "lora_down.weight", "lora_up.weight", D, 3 * D },
    { "lora_unet_single_blocks_0_linear1", "lora_down.weight", "lora_up.weight", D, 7 * D },
  };
  g_autoptr (AtlCheckpoint) packed = open_flux (FALSE);
  g_autoptr (AtlCheckpoint) plain = open_flux (TRUE);
  g_autoptr (AtlArray) unchanged = forward (packed, NULL, 0);
  g_autofree float *numbers = g_new (float, RANK * 7 * D);

  for (gint i = 0; i < RANK * 7 * D; i++)
    numbers[i] = (float) (i * 7 % 13 - 6) * 0.08f;
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (AtlCheckpoint) cp = atl_checkpoint_new ("lora.safetensors");
      g_autofree char *down = g_strconcat (cases[i].module, ".", cases[i].down, NULL);
      g_autofree char *up = g_strconcat (cases[i].module, ".", cases[i].up, NULL);
      AtlLoraFile lora = { cp, 1.0f };
      g_autoptr (AtlArray) a = NULL;
      g_autoptr (AtlArray) b = NULL;

      add_tensor (cp, down, RANK, cases[i].in, numbers);
      add_tensor (cp, up, cases[i].out, RANK, numbers);
      a = forward (packed, &lora, 1);
      b = forward (plain, &lora, 1);
      g_test_message ("%s changes it by %g", cases[i].module, atl_array_rel_l2 (a, unchanged));
      g_assert_cmpfloat (atl_array_rel_l2 (a, unchanged), >, 1e-2);
      g_assert_cmpfloat (atl_array_rel_l2 (a, b), <, 1e-3);
    }
}

/* The authors have the shift before the scale, diffusers after it: a change is where its own names
 * say. */
static void
test_halves (void)
{
  static const char *const names[] = { "lora_unet_final_layer_adaLN_modulation_1",
                                       "transformer.norm_out.linear" };
  g_autoptr (AtlCheckpoint) plain = open_flux (TRUE);
  g_autoptr (AtlArray) unchanged = forward (plain, NULL, 0);
  g_autofree float *numbers = g_new (float, RANK * 3 * D);
  g_autofree float *turned = g_new (float, RANK * 2 * D);
  AtlArray *out[2];

  for (gint i = 0; i < RANK * 3 * D; i++)
    numbers[i] = (float) (i * 7 % 13 - 6) * 0.08f;
  memcpy (turned, numbers + RANK * D, RANK * D * sizeof *turned);
  memcpy (turned + RANK * D, numbers, RANK * D * sizeof *turned);
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autoptr (AtlCheckpoint) cp = atl_checkpoint_new ("lora.safetensors");
      g_autofree char *down = g_strconcat (names[i], ".lora_down.weight", NULL);
      g_autofree char *up = g_strconcat (names[i], ".lora_up.weight", NULL);
      AtlLoraFile lora = { cp, 1.0f };

      add_tensor (cp, down, RANK, D, numbers);
      add_tensor (cp, up, 2 * D, RANK, i == 0 ? numbers : turned);
      out[i] = forward (plain, &lora, 1);
    }
  g_assert_cmpfloat (atl_array_rel_l2 (out[0], unchanged), >, 1e-2);
  /* One of them is made again in float32. */
  g_assert_cmpfloat (atl_array_rel_l2 (out[0], out[1]), <, 1e-3);
  atl_array_free (out[0]);
  atl_array_free (out[1]);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/models/low-rank/same", test_same);
  g_test_add_func ("/models/low-rank/loras", test_loras);
  g_test_add_func ("/models/low-rank/halves", test_halves);
  status = g_test_run ();
  model_fixture_end ();
  return status;
}
