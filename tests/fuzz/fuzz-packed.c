/* Any quantised weights of two modules of a Hugging Face folder: how they say that they are packed,
 * and parts of any type, shape and content. Refused in words that name a tensor, or rows of
 * numbers.
 *
 * Input: 8 bytes of settings, then a record a part: the part and its module, the type, the number
 * of dimensions, the dimensions, and how its bytes are made; bytes are the input's own, again and
 * again, or small numbers, as groups and shapes are. */
#include <string.h>

#include "engine/convert/hf.h"
#include "fuzz.h"

enum
{
  N_SETTINGS = 8,
  MAX_PARTS = 24,
  MAX_BYTES = 1 << 16
};

static const char *const parts[] = {
  "weight",
  "bias",
  "weight_scale_inv",
  "weight_scale",
  "qweight",
  "qzeros",
  "scales",
  "g_idx",
  "weight_g_idx",
  "weight_packed",
  "weight_shape",
  "q_weight",
  "q_scale",
  "q_scale_max",
  "q_groups",
  "q_invperm",
  "q_perm",
  "input_scale",
  "weight_zero_point",
};

static const AtlDType types[] = {
  ATL_DTYPE_I32, ATL_DTYPE_F16,     ATL_DTYPE_F32,     ATL_DTYPE_BF16, ATL_DTYPE_I8,
  ATL_DTYPE_I64, ATL_DTYPE_F8_E4M3, ATL_DTYPE_F8_E5M2, ATL_DTYPE_I16,  ATL_DTYPE_U8,
};

/* How the bytes of a part are made. */
enum
{
  INPUT,
  ZEROS,
  COUNT,  /* 0, 1, 2, … */
  GROUPS, /* 32 of each */
  MIXED,  /* 0 and 1 by turns */
  SHAPE,  /* 64, 64, … */
  FOUR,   /* 4, 0, 0, … */
  N_FILLS
};

/* Settings: method, bits, size of groups, flags, blocks' rows and columns in fours, size of
 * compressed-tensors' groups in eights, modules. */
static const AtlFuzzBytes seeds[] = {
  /* GPTQ: qweight [8, 64], qzeros [2, 8], scales [2, 64], g_idx */
  ATL_FUZZ_BYTES (
      "\0\x04\x20\0\0\0\0\0"
      "\x04\0\x02\x08\x40\0\x05\0\x02\x02\x08\0\x06\x01\x02\x02\x40\0\x07\0\x01\x40\x03"),
  ATL_FUZZ_BYTES (
      "\0\x08\x20\x03\0\0\0\0"
      "\x04\0\x02\x10\x40\0\x05\0\x02\x02\x10\0\x06\x01\x02\x02\x40\0\x07\0\x01\x40\x04"),
  /* AWQ: qweight [64, 8], qzeros [2, 8], scales [2, 64] */
  ATL_FUZZ_BYTES ("\x01\x04\x20\0\0\0\0\0"
                  "\x04\0\x02\x40\x08\0\x05\0\x02\x02\x08\0\x06\x01\x02\x02\x40\0"),
  /* That and compressed-tensors' words, fewer than the weight has. */
  ATL_FUZZ_BYTES ("\x01\x04\x20\0\0\0\0\0"
                  "\x04\0\x02\x40\x08\0\x09\0\x02\x02\xb8\0\x06\x01\x02\x02\x40\0"),
  /* FP8: weight [64, 64], a table of blocks */
  ATL_FUZZ_BYTES ("\x02\0\0\0\x08\x08\0\0\0\x06\x02\x40\x40\0\x02\x02\x02\x02\x02\0"),
  ATL_FUZZ_BYTES ("\x02\0\0\0\x08\x08\0\0\0\x06\x02\x40\x40\0\x02\x02\0\0"),
  /* compressed-tensors: packed [64, 8], shape, scale [64, 2], zeros [8, 2]; bytes; fp8 by rows */
  ATL_FUZZ_BYTES (
      "\x03\0\0\0\0\0\x04\0"
      "\x09\0\x02\x40\x08\0\x0a\0\x01\x02\x05\x03\x03\x02\x40\x02\0\x12\0\x02\x08\x02\0"),
  ATL_FUZZ_BYTES ("\x03\0\0\0\0\0\x04\0\0\x04\x02\x40\x40\0\x03\x02\x02\x40\x01\0"),
  ATL_FUZZ_BYTES ("\x03\0\0\0\x04\x04\x04\0\0\x06\x02\x40\x40\0\x03\x02\x02\x40\x01\0"),
  /* EXL2: q_weight [8, 64], q_scale [1, 8], q_scale_max [1], q_groups [2], q_invperm [64] */
  ATL_FUZZ_BYTES ("\x04\0\0\0\0\0\0\0"
                  "\x0b\0\x02\x08\x40\0\x0c\0\x02\x01\x08\0\x0d\x01\x01\x01\0\x0e\x08\x01\x02\x06"
                  "\x0f\0\x01\x40\x02"),
  { NULL, 0 },
};

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES ("\x07\0\x01\x40\x04"),
  ATL_FUZZ_BYTES ("\x08\0\x01\x40\x03"),
  ATL_FUZZ_BYTES ("\x0a\0\x01\x02\x05"),
  ATL_FUZZ_BYTES ("\x02\x40\x40"),
  { NULL, 0 },
};

const AtlFuzzTarget atl_fuzz_target = { "packed", NULL, NULL, seeds, words };

typedef struct
{
  const guint8 *data;
  gsize size, at;
} Reader;

static guint
next (Reader *r)
{
  return r->at < r->size ? r->data[r->at++] : 0;
}

static void
add_number (AtlCheckpoint *hf, const char *key, gint64 number)
{
  AtlMetaValue value = { .type = ATL_META_INT, .v_int = number };

  atl_checkpoint_add_meta (hf, key, &value, NULL);
}

static void
add_flag (AtlCheckpoint *hf, const char *key, gboolean flag)
{
  AtlMetaValue value = { .type = ATL_META_BOOL, .v_bool = flag };

  atl_checkpoint_add_meta (hf, key, &value, NULL);
}

static void
add_text (AtlCheckpoint *hf, const char *key, const char *text)
{
  AtlMetaValue value = { .type = ATL_META_STRING };

  value.v_string.chars = text;
  value.v_string.length = strlen (text);
  atl_checkpoint_add_meta (hf, key, &value, NULL);
}

static void
add_settings (AtlCheckpoint *hf, Reader *r)
{
  static const char *const methods[] = { "gptq", "awq", "fp8", "compressed-tensors", "exl2" };
  guint method = next (r), flags;
  gint64 *block = g_new (gint64, 2);
  AtlMetaValue list = { .type = ATL_META_ARRAY };

  add_text (hf, "model_type", "qwen2");
  add_number (hf, "num_hidden_layers", 1);
  add_number (hf, "hidden_size", 64);
  add_number (hf, "num_attention_heads", 4);
  add_text (hf, "quantization_config.quant_method", methods[method % G_N_ELEMENTS (methods)]);
  add_number (hf, "quantization_config.bits", next (r));
  add_number (hf, "quantization_config.group_size", (gint8) next (r));
  flags = next (r);
  add_flag (hf, "quantization_config.sym", (flags & 1) == 0);
  add_flag (hf, "quantization_config.desc_act", (flags & 2) != 0);
  if ((flags & 4) != 0)
    add_text (hf, "quantization_config.checkpoint_format", "gptq_v2");
  block[0] = 4 * next (r);
  block[1] = 4 * next (r);
  atl_checkpoint_take (hf, block, g_free);
  list.v_array.elem_type = ATL_META_INT;
  list.v_array.n = 2;
  list.v_array.elems = block;
  if (block[0] > 0)
    atl_checkpoint_add_meta (hf, "quantization_config.weight_block_size", &list, NULL);
  add_number (hf, "quantization_config.config_groups.group_0.weights.group_size", 8 * next (r));
}

static void
fill (guint8 *bytes, const AtlTensorInfo *info, guint how, const Reader *r)
{
  gsize width = (gsize) atl_dtype_info (info->dtype)->block_bytes, n = info->size_bytes / width;

  if (how == INPUT)
    for (gsize i = 0; i < info->size_bytes; i++)
      bytes[i] = r->data[(r->at + 7 * i) % r->size];
  else
    for (gsize i = 0; i < n; i++)
      {
        gsize number = how == COUNT            ? i
                       : how == GROUPS         ? i / 32
                       : how == MIXED          ? i % 2
                       : how == SHAPE          ? 64
                       : how == FOUR && i == 0 ? 4
                                               : 0;

        for (gsize b = 0; b < MIN (width, sizeof number); b++)
          bytes[i * width + b] = (guint8) (number >> 8 * b);
      }
}

static void
add_part (AtlCheckpoint *hf, Reader *r)
{
  guint part = next (r), type = next (r);
  const char *module = part & 0x80 ? "self_attn.q_proj" : "mlp.up_proj";
  g_autofree char *name =
      g_strdup_printf ("model.layers.0.%s.%s", module, parts[(part & 0x7f) % G_N_ELEMENTS (parts)]);
  AtlTensorInfo info = { .name = name, .dtype = types[type % G_N_ELEMENTS (types)] };
  gsize n = 1;
  guint8 *bytes;

  info.n_dims = next (r) % 4;
  for (guint i = 0; i < info.n_dims; i++)
    {
      info.dim[i] = next (r);
      n *= (gsize) info.dim[i];
    }
  info.size_bytes = n * (gsize) atl_dtype_info (info.dtype)->block_bytes;
  if (info.size_bytes > MAX_BYTES)
    return;
  /* A block of its own, so that what is read past its end is seen. */
  bytes = g_malloc0 (info.size_bytes);
  fill (bytes, &info, next (r) % N_FILLS, r);
  atl_checkpoint_take (hf, bytes, g_free);
  info.data = bytes;
  atl_checkpoint_add_tensor (hf, &info, NULL);
}

/* All rows at once, and each by itself: the same. */
static void
read_rows (const AtlTensorInfo *info)
{
  gint64 n_rows = atl_tensor_info_n_rows (info);
  g_autofree guint8 *all = g_malloc (info->size_bytes), *one = g_malloc (info->size_bytes);
  gsize row_bytes;

  g_assert_cmpuint (info->size_bytes, <=, 64 * MAX_BYTES);
  if (n_rows == 0 || info->size_bytes == 0)
    return;
  row_bytes = info->size_bytes / (gsize) n_rows;
  atl_tensor_info_read (info, 0, n_rows, all);
  for (gint64 r = 0; r < n_rows; r++)
    atl_tensor_info_read (info, r, 1, one + (gsize) r * row_bytes);
  g_assert_cmpmem (all, info->size_bytes, one, info->size_bytes);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (AtlCheckpoint) hf = atl_checkpoint_new ("model");
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_autoptr (GError) error = NULL;
  Reader r = { data, size, 0 };

  if (size < N_SETTINGS)
    return 0;
  add_settings (hf, &r);
  r.at = N_SETTINGS;
  for (guint i = 0; i < MAX_PARTS && r.at < size; i++)
    add_part (hf, &r);
  cp = atl_hf_translate (hf, &error);
  if (cp == NULL)
    {
      g_assert_true (error->domain == ATL_ERROR);
      g_assert_null (strstr (error->message, "(null)"));
      return 0;
    }
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);

      read_rows (info);
      if (info->sorted != NULL)
        read_rows (&info->sorted->info);
    }
  return 0;
}
