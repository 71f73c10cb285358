/* Odd LoRA files for a picture model: refused in words, or merged into a small UNet.
 *
 * The bytes are tensors of the file, eight each: how the module is spelt, which module, which
 * factor of the change, type, number of dimensions and three sizes. */
#include <string.h>

#include "engine/diffusion/lora-file.h"
#include "engine/formats/open.h"
#include "engine/tensor/rehearsal.h"
#include "fuzz.h"
#include "model-fixture.h"

#define MAX_TENSORS 24u
#define BUFFER_FLOATS (1u << 18)

/* Modules of the small UNet and others; widths there are 32. */
static const char *const modules[] = {
  "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
  "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k",
  "mid_block.attentions.0.proj_in",
  "conv_in",
  "down_blocks.0.resnets.0.conv1",
  "down_blocks.0.resnets.0.norm1",
  "time_embedding.linear_1",
  "text_model.encoder.layers.0.self_attn.q_proj",
  "nowhere",
};
static const char *const suffixes[] = {
  ".lora_A.weight",
  ".lora_B.weight",
  ".alpha",
  ".lora_down.weight",
  ".lora_up.weight",
  ".lora_mid.weight",
  ".hada_w1_a",
  ".hada_w1_b",
  ".hada_w2_a",
  ".hada_w2_b",
  ".hada_t1",
  ".lokr_w1",
  ".lokr_w1_a",
  ".lokr_w1_b",
  ".lokr_w2",
  ".lokr_w2_a",
  ".lokr_w2_b",
  ".dora_scale",
  ".lora.down.weight",
  ".lora.up.weight",
  ".diff",
  ".diff_b",
  "_lora1.down.weight",
  "_lora1.up.weight",
  ".hada_t2",
  ".lokr_t2",
  ".lora_magnitude_vector",
  ".w_norm",
  ".b_norm",
  ".lora_B.bias",
};
static const gint64 sizes[] = { 0, 1, 2, 3, 4, 8, 16, 32, 64, 96, 128, 768, 1000, 4096, 100000 };

static const AtlFuzzBytes seeds[] = {
  ATL_FUZZ_BYTES ("\0\0\0\0\2\4\7\1\0\0\1\0\2\7\4\1\0\0\2\0\0\0\0\0"),
  ATL_FUZZ_BYTES ("\1\0\3\0\2\4\7\1\1\0\4\0\2\7\4\1"),
  ATL_FUZZ_BYTES ("\1\3\3\0\4\4\4\3\1\3\4\0\4\7\4\1"),
  ATL_FUZZ_BYTES ("\0\0\6\0\2\7\4\1\0\0\7\0\2\4\7\1\0\0\10\0\2\7\4\1\0\0\11\0\2\4\7\1"),
  ATL_FUZZ_BYTES ("\0\0\13\0\2\4\5\1\0\0\16\0\2\5\4\1"),
  ATL_FUZZ_BYTES ("\0\0\14\0\2\4\3\1\0\0\15\0\2\3\4\1\0\0\17\0\2\5\2\1\0\0\20\0\2\2\5\1"),
  ATL_FUZZ_BYTES ("\4\7\3\0\2\4\7\1\4\7\4\0\2\7\4\1"),
  ATL_FUZZ_BYTES ("\0\0\0\0\2\4\7\1\0\0\1\0\2\7\4\1\0\0\21\0\2\7\1\1"),
  ATL_FUZZ_BYTES ("\0\4\0\0\4\4\7\3\0\4\1\0\4\7\4\1\0\4\32\0\2\7\1\1"),
  ATL_FUZZ_BYTES ("\0\5\33\0\1\7\1\1\0\5\34\0\1\7\1\1\0\4\25\0\1\7\1\1"),
  { NULL, 0 },
};

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES ("\0\0\0\0\2\0\7\1"),
  ATL_FUZZ_BYTES ("\0\0\1\0\2\7\0\1"),
  ATL_FUZZ_BYTES ("\0\0\2\0\1\0\0\0"),
  ATL_FUZZ_BYTES ("\0\0\13\0\2\14\14\1"),
  { NULL, 0 },
};

const AtlFuzzTarget atl_fuzz_target = { "lora", NULL, NULL, seeds, words, NULL, 10 };

static AtlCheckpoint *unet;
static const AtlComponentClass *klass;
static AtlBackend *backend;

static void
open_unet (void)
{
  g_autofree char *folder = model_fixture_path ("sd15", "model/unet");
  g_autofree char *weights = g_build_filename (folder, "diffusion_pytorch_model.safetensors", NULL);
  g_autofree char *config = g_build_filename (folder, "config.json", NULL);
  g_autoptr (GError) error = NULL;
  AtlFileMap *maps[2] = { atl_file_map_new (weights, NULL), atl_file_map_new (config, NULL) };
  const char *names[2] = { "model.safetensors", "config.json" };

  unet = atl_checkpoint_open (maps, names, 2, &error);
  g_assert_no_error (error);
  atl_file_map_unref (maps[0]);
  atl_file_map_unref (maps[1]);
  klass = atl_component_class_for (unet, NULL, "forward", &error);
  g_assert_no_error (error);
  backend = atl_rehearsal_new (model_fixture_cpu (FALSE), &error);
  g_assert_no_error (error);
}

static char *
spell (guint how, const char *module, const char *suffix)
{
  static const char *const starts[] = {
    "unet.",    "lora_unet_",    "base_model.model.", "",
    "lora_te_", "text_encoder.", "diffusion_model.",  "lora_te2_"
  };
  const char *start = starts[how % G_N_ELEMENTS (starts)];
  g_autofree char *flat = g_strdup (module);

  if (g_str_has_prefix (start, "lora_"))
    g_strdelimit (flat, ".", '_');
  return g_strconcat (start, flat, suffix, NULL);
}

static void
add_tensor (AtlCheckpoint *cp, const uint8_t *row)
{
  static const AtlDType dtypes[] = { ATL_DTYPE_F32, ATL_DTYPE_F16, ATL_DTYPE_BF16, ATL_DTYPE_I32,
                                     ATL_DTYPE_F8_E4M3 };
  static float numbers[BUFFER_FLOATS];
  g_autofree char *name = spell (row[0], modules[row[1] % G_N_ELEMENTS (modules)],
                                 suffixes[row[2] % G_N_ELEMENTS (suffixes)]);
  AtlTensorInfo info = { .name = name, .n_dims = row[4] % 5, .data = (const guint8 *) numbers };
  guint64 n = 1;

  info.dtype = dtypes[row[3] % G_N_ELEMENTS (dtypes)];
  for (guint i = 0; i < info.n_dims; i++)
    {
      info.dim[i] = sizes[row[5 + MIN (i, 2)] % G_N_ELEMENTS (sizes)];
      n *= (guint64) info.dim[i];
    }
  info.size_bytes = (gsize) (n * atl_dtype_info (info.dtype)->block_bytes);
  if (n <= BUFFER_FLOATS)
    atl_checkpoint_add_tensor (cp, &info, NULL);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (AtlCheckpoint) cp = atl_checkpoint_new ("fuzzed.safetensors");
  AtlLoraFile file = { cp, 1.0f };
  AtlLoadOptions options = { .loras = &file, .n_loras = 1 };
  g_autoptr (AtlComponent) component = NULL;
  g_auto (AtlLoraFacts) facts = { 0 };
  g_autoptr (GError) error = NULL;

  if (unet == NULL)
    open_unet ();
  for (guint i = 0; i < MAX_TENSORS && size >= 8; i++, data += 8, size -= 8)
    add_tensor (cp, data);
  atl_lora_read_facts (cp, "fuzzed.safetensors", NULL, NULL, &facts);
  g_assert_nonnull (facts.title);
  component = atl_component_load (klass, unet, &backend, 1, &options, &error);
  g_assert_true ((component == NULL) == (error != NULL));
  g_assert_true (component != NULL ||
                 (error->domain == ATL_ERROR && g_utf8_validate (error->message, -1, NULL)));
  return 0;
}
