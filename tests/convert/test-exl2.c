/* EXL2 and scaled fp8 out of folders: an encoder written from the layout, and what becomes of it.
 */
#include <string.h>

#include "engine/convert/hf.h"
#include "engine/tensor/quants/dequant.h"
#include "engine/tensor/quants/half.h"
#include "hf-fixture.h"

enum
{
  N_OUT = 16,
  N_GROUPS = 6,
  N_IN = 32 + 64 + 16 + 32 + 16 + 8,
  MAX_WORDS = 200
};

static const guint group_bits[N_GROUPS] = { 5, 3, 2, 8, 6, 4 };
static const guint group_rows[N_GROUPS] = { 32, 64, 16, 32, 16, 8 };

typedef struct
{
  guint32 words[MAX_WORDS][N_OUT], scale[N_GROUPS][N_OUT / 8];
  guint16 max[N_GROUPS], groups[2 * N_GROUPS];
  guint32 place[N_IN];
  guint n_words;
  float want[N_OUT][N_IN];
} Weight;

static void
put_bits (Weight *w, guint word, guint column, guint at, guint bits, guint code)
{
  for (guint b = 0; b < bits; b++)
    if ((code >> b & 1) != 0)
      w->words[word + (at + b) / 32][column] |= 1u << (at + b) % 32;
}

/* Random codes, factors and places; `want` by the formula, in the order of the inputs. */
static void
encode (Weight *w, GRand *rand)
{
  guint input_at[N_IN], row = 0;

  memset (w, 0, sizeof *w);
  for (guint i = 0; i < N_IN; i++)
    w->place[i] = i;
  for (guint i = N_IN - 1; i > 0; i--)
    {
      guint j = (guint) g_rand_int_range (rand, 0, (gint) i + 1), t = w->place[i];

      w->place[i] = w->place[j];
      w->place[j] = t;
    }
  for (guint i = 0; i < N_IN; i++)
    input_at[w->place[i]] = i;
  for (guint g = 0; g < N_GROUPS; g++)
    {
      guint bits = group_bits[g], rows = group_rows[g];

      w->groups[2 * g] = (guint16) bits;
      w->groups[2 * g + 1] = (guint16) w->n_words;
      w->max[g] = atl_f32_to_f16 (0.01f * (float) (g + 1));
      for (guint o = 0; o < N_OUT; o++)
        {
          guint nibble = (guint) g_rand_int_range (rand, 0, 16);
          /* Often a subnormal number. */
          float max = atl_f16_to_f32 (atl_f32_to_f16 (atl_f16_to_f32 (w->max[g]) / 256));
          float factor =
              atl_f16_to_f32 (atl_f32_to_f16 ((float) ((nibble + 1) * (nibble + 1)) * max));

          w->scale[g][o / 8] |= nibble << 4 * (o % 8);
          for (guint i = 0; i < rows; i++)
            {
              guint code = (guint) g_rand_int_range (rand, 0, 1 << bits);

              put_bits (w, w->n_words, o, i * bits, bits, code);
              w->want[o][input_at[row + i]] = atl_f16_to_f32 (
                  atl_f32_to_f16 ((float) ((gint) code - (1 << (bits - 1))) * factor));
            }
        }
      w->n_words += (rows * bits + 31) / 32;
      row += rows;
    }
}

static void
add (AtlCheckpoint *cp,
     const char *part,
     AtlDType dtype,
     gint64 rows,
     gint64 columns,
     gconstpointer data)
{
  g_autofree char *name = g_strconcat ("model.layers.0.mlp.up_proj.", part, NULL);
  AtlTensorInfo info = { .name = name, .dtype = dtype, .n_dims = rows > 0 ? 2 : 1, .data = data };

  info.dim[0] = rows > 0 ? rows : columns;
  info.dim[1] = rows > 0 ? columns : 0;
  info.size_bytes = (gsize) (MAX (rows, 1) * columns) * (gsize) atl_dtype_info (dtype)->block_bytes;
  g_assert_true (atl_checkpoint_add_tensor (cp, &info, NULL));
}

static AtlCheckpoint *
make (const char *method)
{
  AtlCheckpoint *hf = atl_checkpoint_new ("model");

  hf_add_text (hf, "model_type", "qwen2");
  hf_add_text (hf, "quantization_config.quant_method", method);
  hf_add_whole (hf, "num_hidden_layers", 1);
  hf_add_whole (hf, "hidden_size", 64);
  hf_add_whole (hf, "num_attention_heads", 4);
  return hf;
}

static AtlCheckpoint *
make_exl2 (const Weight *w)
{
  AtlCheckpoint *hf = make ("exl2");

  add (hf, "q_weight", ATL_DTYPE_I32, w->n_words, N_OUT, w->words);
  add (hf, "q_scale", ATL_DTYPE_I32, N_GROUPS, N_OUT / 8, w->scale);
  add (hf, "q_scale_max", ATL_DTYPE_F16, 0, N_GROUPS, w->max);
  add (hf, "q_groups", ATL_DTYPE_I16, 0, 2 * N_GROUPS, w->groups);
  add (hf, "q_invperm", ATL_DTYPE_I32, 0, N_IN, w->place);
  return hf;
}

static void
test_exl2 (void)
{
  g_autofree Weight *w = g_new (Weight, 1);
  g_autoptr (GRand) rand = g_rand_new_with_seed (11);

  for (guint round = 0; round < 5; round++)
    {
      g_autoptr (GError) error = NULL;
      AtlCheckpoint *hf, *cp;
      const AtlTensorInfo *info;
      guint8 bytes[2 * N_IN];
      float got[N_IN];

      encode (w, rand);
      hf = make_exl2 (w);
      cp = atl_hf_translate (hf, &error);
      g_assert_no_error (error);
      info = atl_checkpoint_find (cp, "blk.0.ffn_up.weight");
      g_assert_nonnull (info);
      g_assert_cmpint (info->dim[0], ==, N_OUT);
      g_assert_cmpint (info->dim[1], ==, N_IN);
      for (guint o = 0; o < N_OUT; o++)
        {
          atl_tensor_info_read (info, o, 1, bytes);
          g_assert_true (atl_dequantize (info->dtype, bytes, got, N_IN));
          for (guint i = 0; i < N_IN; i++)
            g_assert_cmpfloat (got[i], ==, w->want[o][i]);
        }
      g_assert_cmpstr (atl_checkpoint_get_string (cp, "general.quantisation"), ==, "EXL2");
      atl_checkpoint_unref (cp);
      atl_checkpoint_unref (hf);
    }
}

/* What does not fit is refused by the name of the weight. */
static void
test_exl2_refused (void)
{
  g_autofree Weight *w = g_new (Weight, 1);
  g_autoptr (GRand) rand = g_rand_new_with_seed (12);

  for (guint what = 0; what < 6; what++)
    {
      AtlCheckpoint *hf;

      encode (w, rand);
      switch (what)
        {
        case 0:
          w->groups[2] = 7;
          break;
        case 1:
          w->groups[3] = 0;
          break;
        case 2:
          w->groups[2 * N_GROUPS - 1] = 9999;
          break;
        case 3:
          w->place[3] = N_IN;
          break;
        case 4:
          w->place[3] = w->place[4];
          break;
        default:
          w->n_words -= 2;
          break;
        }
      hf = make_exl2 (w);
      hf_expect_refused (hf, ATL_ERROR_BAD_FILE, "mlp.up_proj");
    }
  {
    AtlCheckpoint *hf = make ("exl3");

    hf_expect_refused (hf, ATL_ERROR_UNSUPPORTED, "exl3");
  }
}

/* Bytes with float32 factors a block lose nothing; where blocks do not fit it is single precision.
 */
static void
test_fp8 (void)
{
  static const gint64 widths[] = { 64, 48 };
  guint8 bytes[3 * 64];
  float factors[4] = { 0.3f, 1.7f, 0.011f, 2.9f };

  for (guint i = 0; i < sizeof bytes; i++)
    bytes[i] = (guint8) (i % 126 | (i & 1) << 7);
  for (guint round = 0; round < G_N_ELEMENTS (widths); round++)
    {
      AtlCheckpoint *hf = make ("fp8"), *cp;
      gint64 n_in = widths[round], block[2] = { 2, 32 };
      AtlMetaValue list = { .type = ATL_META_ARRAY };
      const AtlTensorInfo *info;
      g_autoptr (GError) error = NULL;
      guint8 row[64 * 4];
      float got[64];

      list.v_array.elem_type = ATL_META_INT;
      list.v_array.n = 2;
      list.v_array.elems = block;
      g_assert_true (
          atl_checkpoint_add_meta (hf, "quantization_config.weight_block_size", &list, NULL));
      add (hf, "weight", ATL_DTYPE_F8_E4M3, 3, n_in, bytes);
      add (hf, "weight_scale_inv", ATL_DTYPE_F32, 2, 2, factors);
      cp = atl_hf_translate (hf, &error);
      g_assert_no_error (error);
      info = atl_checkpoint_find (cp, "blk.0.ffn_up.weight");
      g_assert_cmpint (info->dtype, ==, round == 0 ? ATL_DTYPE_F8_E4M3_32 : ATL_DTYPE_F32);
      for (guint r = 0; r < 3; r++)
        {
          atl_tensor_info_read (info, r, 1, row);
          g_assert_true (atl_dequantize (info->dtype, row, got, (gsize) n_in));
          for (gint64 i = 0; i < n_in; i++)
            {
              float want = atl_f8_e4m3_to_f32 (bytes[r * n_in + i]) * factors[r / 2 * 2 + i / 32];

              g_assert_cmpfloat (got[i], ==, want);
            }
        }
      atl_checkpoint_unref (cp);
      atl_checkpoint_unref (hf);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hf/exl2", test_exl2);
  g_test_add_func ("/hf/exl2/refused", test_exl2_refused);
  g_test_add_func ("/hf/fp8", test_fp8);
  return g_test_run ();
}
