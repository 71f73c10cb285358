/* A transformer in four bits beside low-rank branches (SVDQuant): the same as when all of it is
 * unpacked, LoRA files included. That it is right is what the golden case svdquant says. */
#include <string.h>

#include "flux-fixture.h"
#include "model-fixture.h"

#define D FLUX_FIXTURE_WIDTH
#define RANK 4

static AtlArray *
forward (AtlCheckpoint *cp, const AtlLoraFile *loras, guint n_loras)
{
  return flux_fixture_forward (cp, model_fixture_cpu (TRUE), loras, n_loras);
}

static void
test_same (void)
{
  g_autoptr (AtlCheckpoint) packed = flux_fixture_open (FALSE);
  g_autoptr (AtlCheckpoint) plain = flux_fixture_open (TRUE);
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
  g_autoptr (AtlCheckpoint) packed = flux_fixture_open (FALSE);
  g_autoptr (AtlCheckpoint) plain = flux_fixture_open (TRUE);
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

      flux_fixture_add (cp, down, RANK, cases[i].in, numbers);
      flux_fixture_add (cp, up, cases[i].out, RANK, numbers);
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
  g_autoptr (AtlCheckpoint) plain = flux_fixture_open (TRUE);
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

      flux_fixture_add (cp, down, RANK, D, numbers);
      flux_fixture_add (cp, up, 2 * D, RANK, i == 0 ? numbers : turned);
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
