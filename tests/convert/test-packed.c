/* GPTQ whose groups are in any order: beside the tensor stands the same with its inputs sorted, in
 * as few bits as the file has; and only where that loses nothing. */
#include <string.h>

#include "engine/convert/hf.h"
#include "engine/tensor/quants/dequant.h"
#include "engine/tensor/quants/half.h"

enum
{
  N_IN = 160, /* the last group is shorter */
  N_OUT = 8,
  GROUP = 64,
  N_GROUPS = 3,
  N_WORDS = N_IN / 8
};

typedef struct
{
  guint32 words[N_WORDS][N_OUT], zeros[N_GROUPS][1], group[N_IN];
  guint16 scales[N_GROUPS][N_OUT];
  float want[N_OUT][N_IN];
} Weight;

static void
shuffle (guint32 *values, GRand *rand)
{
  for (gint i = N_IN - 1; i > 0; i--)
    {
      gint j = g_rand_int_range (rand, 0, i + 1);
      guint32 t = values[i];

      values[i] = values[j];
      values[j] = t;
    }
}

/* Zeros are stored one too small: a word of them at a time, so that one of 0 borrows. */
static void
encode (Weight *w, gboolean symmetric, GRand *rand)
{
  memset (w, 0, sizeof *w);
  for (guint i = 0; i < N_IN; i++)
    w->group[i] = i / GROUP;
  shuffle (w->group, rand);
  for (guint o = 0; o < N_OUT; o++)
    {
      guint zero[N_GROUPS];

      for (guint g = 0; g < N_GROUPS; g++)
        {
          zero[g] = symmetric ? 8 : (guint) g_rand_int_range (rand, 0, 16);
          w->zeros[g][0] += zero[g] << 4 * o;
          w->scales[g][o] = atl_f32_to_f16 ((float) g_rand_double_range (rand, 0.01, 0.1));
        }
      for (guint i = 0; i < N_IN; i++)
        {
          guint q = (guint) g_rand_int_range (rand, 0, 16), g = w->group[i];

          w->words[i / 8][o] |= q << 4 * (i % 8);
          w->want[o][i] = (float) ((gint) q - (gint) zero[g]) * atl_f16_to_f32 (w->scales[g][o]);
        }
    }
  for (guint g = 0; g < N_GROUPS; g++)
    w->zeros[g][0] -= 0x11111111;
}

static void
add (AtlCheckpoint *hf,
     const char *module,
     const char *part,
     AtlDType dtype,
     gint64 rows,
     gint64 columns,
     gconstpointer data)
{
  g_autofree char *name = g_strdup_printf ("model.layers.0.%s.%s", module, part);
  AtlTensorInfo info = { .name = name, .dtype = dtype, .n_dims = rows > 0 ? 2 : 1, .data = data };

  info.dim[0] = rows > 0 ? rows : columns;
  info.dim[1] = rows > 0 ? columns : 0;
  info.size_bytes = (gsize) (MAX (rows, 1) * columns) * atl_dtype_info (dtype)->block_bytes;
  g_assert_true (atl_checkpoint_add_tensor (hf, &info, NULL));
}

static void
add_weight (AtlCheckpoint *hf, const char *module, const Weight *w)
{
  add (hf, module, "qweight", ATL_DTYPE_I32, N_WORDS, N_OUT, w->words);
  add (hf, module, "qzeros", ATL_DTYPE_I32, N_GROUPS, 1, w->zeros);
  add (hf, module, "scales", ATL_DTYPE_F16, N_GROUPS, N_OUT, w->scales);
  add (hf, module, "g_idx", ATL_DTYPE_I32, 0, N_IN, w->group);
}

static AtlCheckpoint *
make (const char *type)
{
  static const char *const settings[] = { "num_hidden_layers", "hidden_size", "num_attention_heads",
                                          "num_local_experts", "quantization_config.group_size" };
  static const gint64 numbers[] = { 1, N_IN, 4, 2, GROUP };
  AtlCheckpoint *hf = atl_checkpoint_new ("model");
  AtlMetaValue text = { .type = ATL_META_STRING };

  text.v_string.chars = type;
  text.v_string.length = strlen (type);
  g_assert_true (atl_checkpoint_add_meta (hf, "model_type", &text, NULL));
  text.v_string.chars = "gptq";
  text.v_string.length = 4;
  g_assert_true (atl_checkpoint_add_meta (hf, "quantization_config.quant_method", &text, NULL));
  for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      AtlMetaValue number = { .type = ATL_META_INT, .v_int = numbers[i] };
      g_assert_true (atl_checkpoint_add_meta (hf, settings[i], &number, NULL));
    }
  return hf;
}

static const AtlTensorInfo *
translate (AtlCheckpoint *hf, AtlCheckpoint **out, const char *name)
{
  g_autoptr (GError) error = NULL;
  const AtlTensorInfo *info;

  *out = atl_hf_translate (hf, &error);
  g_assert_no_error (error);
  atl_checkpoint_unref (hf);
  info = atl_checkpoint_find (*out, name);
  g_assert_nonnull (info);
  return info;
}

/* Rows first to first + N_OUT of a tensor, as numbers. */
static void
read_rows (const AtlTensorInfo *info, gint64 first, float got[N_OUT][N_IN])
{
  const AtlDTypeInfo *type = atl_dtype_info (info->dtype);
  gsize row_bytes = N_IN / type->block_elems * type->block_bytes;
  g_autofree guint8 *bytes = g_malloc (N_OUT * row_bytes);

  atl_tensor_info_read (info, first, N_OUT, bytes);
  for (guint o = 0; o < N_OUT; o++)
    g_assert_true (atl_dequantize (info->dtype, bytes + o * row_bytes, got[o], N_IN));
}

/* What stands where, and what it is worth. */
static void
check_weight (const AtlTensorInfo *info, gint64 first, const guint32 *order, const Weight *w)
{
  float plain[N_OUT][N_IN], sorted[N_OUT][N_IN];
  guint8 seen[N_IN] = { 0 };

  read_rows (info, first, plain);
  read_rows (&info->sorted->info, first, sorted);
  for (guint i = 0; i < N_IN; i++)
    {
      g_assert_cmpuint (order[i], <, N_IN);
      g_assert_false (seen[order[i]]++);
      for (guint o = 0; o < N_OUT; o++)
        {
          g_assert_cmpfloat (plain[o][i], ==, atl_f16_to_f32 (atl_f32_to_f16 (w->want[o][i])));
          g_assert_cmpfloat (sorted[o][i], ==, w->want[o][order[i]]);
        }
    }
}

static void
test_matrix (void)
{
  g_autofree Weight *w = g_new (Weight, 1);
  g_autoptr (GRand) rand = g_rand_new_with_seed (21);

  for (guint round = 0; round < 6; round++)
    {
      AtlCheckpoint *hf = make ("qwen2"), *cp;
      const AtlTensorInfo *info;
      AtlDType dtype = round % 2 == 0 ? ATL_DTYPE_Q4_0 : ATL_DTYPE_Q5_0;

      encode (w, round % 2 == 0, rand);
      add_weight (hf, "mlp.up_proj", w);
      info = translate (hf, &cp, "blk.0.ffn_up.weight");
      g_assert_cmpint (info->dtype, ==, ATL_DTYPE_F16);
      g_assert_nonnull (info->sorted);
      g_assert_cmpint (info->sorted->info.dtype, ==, dtype);
      g_assert_cmpuint (atl_checkpoint_weight_bytes (cp), ==, info->sorted->info.size_bytes);
      check_weight (info, 0, info->sorted->order, w);
      atl_checkpoint_unref (cp);
    }
}

/* Experts have an order each; one of them that of its inputs. */
static void
test_experts (void)
{
  static const char *const modules[] = { "block_sparse_moe.experts.0.w1",
                                         "block_sparse_moe.experts.1.w1" };
  g_autofree Weight *w = g_new (Weight, 2);
  g_autoptr (GRand) rand = g_rand_new_with_seed (22);
  AtlCheckpoint *hf = make ("mixtral"), *cp;
  const AtlTensorInfo *info;

  for (guint e = 0; e < 2; e++)
    encode (&w[e], e == 0, rand);
  for (guint i = 0; i < N_IN; i++)
    for (guint o = 0; o < N_OUT; o++)
      {
        guint q = w[0].words[i / 8][o] >> 4 * (i % 8) & 15;

        w[0].want[o][i] = (float) ((gint) q - 8) * atl_f16_to_f32 (w[0].scales[i / GROUP][o]);
        w[0].group[i] = i / GROUP;
      }
  for (guint e = 0; e < 2; e++)
    add_weight (hf, modules[e], &w[e]);
  info = translate (hf, &cp, "blk.0.ffn_gate_exps.weight");
  g_assert_nonnull (info->sorted);
  g_assert_cmpint (info->sorted->info.dtype, ==, ATL_DTYPE_Q5_0);
  g_assert_cmpint (info->sorted->info.n_dims, ==, 3);
  for (guint e = 0; e < 2; e++)
    check_weight (info, e * N_OUT, info->sorted->order + e * N_IN, &w[e]);
  for (guint i = 0; i < N_IN; i++)
    g_assert_cmpuint (info->sorted->order[i], ==, i);
  atl_checkpoint_unref (cp);
}

/* Groups in order need no other form, groups of any size have none. */
static void
test_unsorted (void)
{
  g_autofree Weight *w = g_new (Weight, 1);
  g_autoptr (GRand) rand = g_rand_new_with_seed (23);

  for (guint round = 0; round < 2; round++)
    {
      AtlCheckpoint *hf = make ("qwen2"), *cp;
      const AtlTensorInfo *info;

      encode (w, TRUE, rand);
      if (round == 0)
        for (guint i = 0; i < N_IN; i++)
          w->group[i] = i / GROUP;
      else
        w->group[0] = (w->group[0] + 1) % N_GROUPS;
      add_weight (hf, "mlp.up_proj", w);
      info = translate (hf, &cp, "blk.0.ffn_up.weight");
      g_assert_null (info->sorted);
      g_assert_cmpint (info->dtype, ==, round == 0 ? ATL_DTYPE_Q4_0 : ATL_DTYPE_F16);
      atl_checkpoint_unref (cp);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hf/packed/matrix", test_matrix);
  g_test_add_func ("/hf/packed/experts", test_experts);
  g_test_add_func ("/hf/packed/unsorted", test_unsorted);
  return g_test_run ();
}
