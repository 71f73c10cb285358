/* compressed-tensors and scaled fp8: what the codes of a small matrix mean, in every number of
 * bits, with groups and blocks that do not divide it, and refused in words where the parts do not
 * fit. */
#include <string.h>

#include "engine/convert/hf.h"
#include "engine/tensor/quants/dequant.h"
#include "engine/tensor/quants/half.h"
#include "hf-fixture.h"

enum
{
  N_IN = 96,
  N_OUT = 6,
  GROUP = 64, /* the last is shorter */
  N_GROUPS = 2,
  MAX_WORDS = N_IN * 8 / 32,
  MAX_ZERO_WORDS = (N_OUT * 8 + 31) / 32
};

#define CONFIG "quantization_config.config_groups."

typedef struct
{
  guint32 words[N_OUT * MAX_WORDS], zeros[MAX_ZERO_WORDS * N_GROUPS], shape[2];
  gint8 bytes[N_OUT][N_IN], byte_zeros[N_OUT][N_GROUPS];
  float scales[N_OUT][N_GROUPS], want[N_OUT][N_IN];
} Weight;

static void
put_bits (guint32 *words, guint stride, guint at, guint bits, guint code)
{
  for (guint b = at; b < at + bits; b++)
    words[b / 32 * stride] |= (code >> (b - at) & 1) << b % 32;
}

/* Codes of `bits`, above zero by half the range as they are packed; scales that half precision
 * holds. */
static void
encode (Weight *w, guint bits, gboolean symmetric, GRand *rand)
{
  const gint half = 1 << (bits - 1);
  const guint n_words = (N_IN * bits + 31) / 32;

  memset (w, 0, sizeof *w);
  w->shape[0] = N_OUT;
  w->shape[1] = N_IN;
  for (guint o = 0; o < N_OUT; o++)
    for (guint g = 0; g < N_GROUPS; g++)
      {
        gint zero = symmetric ? 0 : g_rand_int_range (rand, -half, half);

        w->scales[o][g] = (float) g_rand_int_range (rand, 1, 1000) / 1024.0f;
        w->byte_zeros[o][g] = (gint8) zero;
        put_bits (w->zeros + g, N_GROUPS, o * bits, bits, (guint) (zero + half));
        for (guint i = g * GROUP; i < MIN (N_IN, (g + 1) * GROUP); i++)
          {
            gint q = g_rand_int_range (rand, -half, half);

            w->bytes[o][i] = (gint8) q;
            put_bits (w->words + o * n_words, 1, i * bits, bits, (guint) (q + half));
            w->want[o][i] = (float) (q - zero) * w->scales[o][g];
          }
      }
}

static void
add_pair (AtlCheckpoint *cp, const char *key, gint64 *pair)
{
  AtlMetaValue list = { .type = ATL_META_ARRAY };

  list.v_array.elem_type = ATL_META_INT;
  list.v_array.n = 2;
  list.v_array.elems = pair;
  g_assert_true (atl_checkpoint_add_meta (cp, key, &list, NULL));
}

/* No rows: a list; no columns either: one number. */
static void
add (AtlCheckpoint *cp,
     const char *part,
     AtlDType dtype,
     gint64 rows,
     gint64 columns,
     gconstpointer data)
{
  g_autofree char *name = g_strconcat ("model.layers.0.mlp.up_proj.", part, NULL);
  AtlTensorInfo info = { .name = name, .dtype = dtype, .data = data };

  if (rows > 0)
    info.dim[info.n_dims++] = rows;
  if (columns > 0)
    info.dim[info.n_dims++] = columns;
  info.size_bytes =
      (gsize) (MAX (rows, 1) * MAX (columns, 1)) * (gsize) atl_dtype_info (dtype)->block_bytes;
  g_assert_true (atl_checkpoint_add_tensor (cp, &info, NULL));
}

static AtlCheckpoint *
make (const char *method, gboolean symmetric)
{
  AtlCheckpoint *hf = atl_checkpoint_new ("model");
  AtlMetaValue flag = { .type = ATL_META_BOOL, .v_bool = symmetric };

  hf_add_text (hf, "model_type", "qwen2");
  hf_add_text (hf, "quantization_config.quant_method", method);
  g_assert_true (atl_checkpoint_add_meta (hf, CONFIG "group_0.weights.symmetric", &flag, NULL));
  hf_add_whole (hf, "num_hidden_layers", 1);
  hf_add_whole (hf, "hidden_size", N_IN);
  hf_add_whole (hf, "num_attention_heads", 4);
  return hf;
}

static AtlCheckpoint *
make_packed (const Weight *w, guint bits, gboolean symmetric)
{
  AtlCheckpoint *hf = make ("compressed-tensors", symmetric);

  add (hf, "weight_packed", ATL_DTYPE_I32, N_OUT, (N_IN * bits + 31) / 32, w->words);
  add (hf, "weight_shape", ATL_DTYPE_I32, 0, 2, w->shape);
  add (hf, "weight_scale", ATL_DTYPE_F32, N_OUT, N_GROUPS, w->scales);
  if (!symmetric)
    add (hf, "weight_zero_point", ATL_DTYPE_I32, (N_OUT * bits + 31) / 32, N_GROUPS, w->zeros);
  return hf;
}

static AtlCheckpoint *
make_bytes (const Weight *w, gboolean symmetric)
{
  AtlCheckpoint *hf = make ("compressed-tensors", symmetric);

  add (hf, "weight", ATL_DTYPE_I8, N_OUT, N_IN, w->bytes);
  add (hf, "weight_scale", ATL_DTYPE_F32, N_OUT, N_GROUPS, w->scales);
  if (!symmetric)
    add (hf, "weight_zero_point", ATL_DTYPE_I8, N_OUT, N_GROUPS, w->byte_zeros);
  return hf;
}

/* Takes the reference. Every number is the wanted one, or that in half precision. */
static void
check_numbers (AtlCheckpoint *hf, AtlDType dtype, const float *want, gint64 n_out, gint64 n_in)
{
  g_autoptr (GError) error = NULL;
  AtlCheckpoint *cp = atl_hf_translate (hf, &error);
  const AtlTensorInfo *info;
  g_autofree guint8 *row = g_malloc ((gsize) n_in * 4 + 64);
  g_autofree float *got = g_new (float, n_in);

  g_assert_no_error (error);
  info = atl_checkpoint_find (cp, "blk.0.ffn_up.weight");
  g_assert_nonnull (info);
  g_assert_cmpstr (atl_dtype_name (info->dtype), ==, atl_dtype_name (dtype));
  for (gint64 o = 0; o < n_out; o++)
    {
      atl_tensor_info_read (info, o, 1, row);
      g_assert_true (atl_dequantize (info->dtype, row, got, (gsize) n_in));
      for (gint64 i = 0; i < n_in; i++)
        {
          float number = want[o * n_in + i];

          if (dtype == ATL_DTYPE_F16)
            number = atl_f16_to_f32 (atl_f32_to_f16 (number));
          g_assert_cmpfloat (got[i], ==, number);
        }
    }
  atl_checkpoint_unref (cp);
  atl_checkpoint_unref (hf);
}

static void
check_refused (AtlCheckpoint *hf, const char *word)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (atl_hf_translate (hf, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_assert_nonnull (strstr (error->message, "mlp.up_proj"));
  g_assert_nonnull (strstr (error->message, word));
  atl_checkpoint_unref (hf);
}

/* The narrowest block that holds the range; of 8 bits with zeros nothing but half precision does.
 */
static AtlDType
type_of (guint bits, gboolean symmetric)
{
  if (!symmetric)
    bits++;
  if (bits <= 4)
    return ATL_DTYPE_Q4_0;
  if (bits == 5)
    return ATL_DTYPE_Q5_0;
  return bits <= 8 ? ATL_DTYPE_Q8_0 : ATL_DTYPE_F16;
}

static void
test_bits (void)
{
  g_autofree Weight *w = g_new (Weight, 1);
  g_autoptr (GRand) rand = g_rand_new_with_seed (31);

  for (guint bits = 2; bits <= 8; bits++)
    for (guint symmetric = 0; symmetric < 2; symmetric++)
      {
        AtlCheckpoint *hf;

        encode (w, bits, symmetric, rand);
        hf = make_packed (w, bits, symmetric);
        /* The other modules' group comes first. */
        hf_add_whole (hf, CONFIG "group_0.weights.group_size", 32);
        hf_add_whole (hf, CONFIG "group_1.weights.group_size", GROUP);
        check_numbers (hf, type_of (bits, symmetric), &w->want[0][0], N_OUT, N_IN);
      }
}

static void
test_bytes (void)
{
  g_autofree Weight *w = g_new (Weight, 1);
  g_autoptr (GRand) rand = g_rand_new_with_seed (32);

  for (guint symmetric = 0; symmetric < 2; symmetric++)
    {
      AtlCheckpoint *hf;

      encode (w, 8, symmetric, rand);
      hf = make_bytes (w, symmetric);
      hf_add_whole (hf, CONFIG "group_0.weights.group_size", GROUP);
      check_numbers (hf, type_of (8, symmetric), &w->want[0][0], N_OUT, N_IN);
    }
}

static void
test_refused (void)
{
  g_autofree Weight *w = g_new (Weight, 1);
  g_autoptr (GRand) rand = g_rand_new_with_seed (33);
  AtlCheckpoint *hf;

  encode (w, 4, FALSE, rand);
  /* 13 words are no number of bits. */
  hf = make ("compressed-tensors", TRUE);
  add (hf, "weight_packed", ATL_DTYPE_I32, N_OUT, 13, w->words);
  add (hf, "weight_shape", ATL_DTYPE_I32, 0, 2, w->shape);
  add (hf, "weight_scale", ATL_DTYPE_F32, N_OUT, N_GROUPS, w->scales);
  check_refused (hf, "weight_packed");
  /* Five groups, of a length that nothing tells. */
  hf = make ("compressed-tensors", TRUE);
  add (hf, "weight_packed", ATL_DTYPE_I32, 2, 12, w->words);
  w->shape[0] = 2;
  add (hf, "weight_shape", ATL_DTYPE_I32, 0, 2, w->shape);
  add (hf, "weight_scale", ATL_DTYPE_F32, 2, 5, w->scales);
  check_refused (hf, "weight_scale");
  /* Zeros are needed, and of the weight's rows. */
  hf = make ("compressed-tensors", FALSE);
  add (hf, "weight", ATL_DTYPE_I8, N_OUT, N_IN, w->bytes);
  add (hf, "weight_scale", ATL_DTYPE_F32, N_OUT, 1, w->scales);
  check_refused (hf, "weight_zero_point");
  hf = make ("compressed-tensors", FALSE);
  add (hf, "weight", ATL_DTYPE_I8, N_OUT, N_IN, w->bytes);
  add (hf, "weight_scale", ATL_DTYPE_F32, N_OUT, 1, w->scales);
  add (hf, "weight_zero_point", ATL_DTYPE_I8, N_OUT - 1, 1, w->byte_zeros);
  check_refused (hf, "weight_zero_point");
}

enum
{
  F8_OUT = 6,
  F8_IN = 64,
  BLOCK_OUT = 4, /* neither divides what it is of */
  BLOCK_IN = 48
};

/* The factor of row o and input i in each form: one, one a row, one a block. */
static void
test_fp8 (void)
{
  static const struct
  {
    const char *method, *part, *key;
    gint64 rows, columns;
  } forms[] = {
    { "fp8", "weight_scale_inv", NULL, 0, 0 },
    { "compressed-tensors", "weight_scale", NULL, 0, 1 },
    { "compressed-tensors", "weight_scale", NULL, F8_OUT, 1 },
    { "fp8", "weight_scale_inv", "quantization_config.weight_block_size", 2, 2 },
    { "compressed-tensors", "weight_scale", CONFIG "group_1.weights.block_structure", 2, 2 },
  };
  guint8 bytes[F8_OUT * F8_IN];
  float factors[F8_OUT] = { 0.3f, 1.7f, 0.011f, 2.9f, 0.7f, 5.1f };
  gint64 block[2] = { BLOCK_OUT, BLOCK_IN };

  for (guint i = 0; i < sizeof bytes; i++)
    bytes[i] = (guint8) (i % 126 | (i & 1) << 7);
  for (guint f = 0; f < G_N_ELEMENTS (forms); f++)
    {
      AtlCheckpoint *hf = make (forms[f].method, TRUE);
      float want[F8_OUT][F8_IN];

      for (guint o = 0; o < F8_OUT; o++)
        for (guint i = 0; i < F8_IN; i++)
          {
            guint at = forms[f].key != NULL      ? o / BLOCK_OUT * 2 + i / BLOCK_IN
                       : forms[f].rows == F8_OUT ? o
                                                 : 0;

            want[o][i] = atl_f8_e4m3_to_f32 (bytes[o * F8_IN + i]) * factors[at];
          }
      if (forms[f].key != NULL)
        add_pair (hf, forms[f].key, block);
      add (hf, "weight", ATL_DTYPE_F8_E4M3, F8_OUT, F8_IN, bytes);
      add (hf, forms[f].part, ATL_DTYPE_F32, forms[f].rows, forms[f].columns, factors);
      /* What the other side of a product was measured with is not needed. */
      add (hf, "activation_scale", ATL_DTYPE_F32, 0, 0, factors);
      check_numbers (hf, forms[f].key != NULL ? ATL_DTYPE_F32 : ATL_DTYPE_F8_E4M3_32, &want[0][0],
                     F8_OUT, F8_IN);
    }
  {
    /* Three by two factors divide the six rows, and mean something else. */
    AtlCheckpoint *hf = make ("compressed-tensors", TRUE);

    add (hf, "weight", ATL_DTYPE_F8_E4M3, F8_OUT, F8_IN, bytes);
    add (hf, "weight_scale", ATL_DTYPE_F32, 3, 2, factors);
    check_refused (hf, "fp8");
    hf = make ("fp8", TRUE);
    add (hf, "weight", ATL_DTYPE_F8_E4M3, 0, F8_IN, bytes);
    add (hf, "weight_scale_inv", ATL_DTYPE_F32, 0, 0, factors);
    check_refused (hf, "fp8");
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hf/compressed/bits", test_bits);
  g_test_add_func ("/hf/compressed/bytes", test_bytes);
  g_test_add_func ("/hf/compressed/refused", test_refused);
  g_test_add_func ("/hf/compressed/fp8", test_fp8);
  return g_test_run ();
}
