/* Nunchaku's files: an encoder written from the layout, and what becomes of it. */
#include <math.h>
#include <string.h>

#include "engine/convert/hf.h"
#include "engine/convert/svdq.h"
#include "engine/tensor/quants/dequant.h"
#include "engine/tensor/quants/half.h"

#include "svdq-matrix.h"

#define GELU_SHIFT 0.171875f

static void
add (AtlCheckpoint *cp,
     const char *module,
     const char *part,
     AtlDType dtype,
     gint64 rows,
     gint64 columns,
     gconstpointer data)
{
  g_autofree char *name = g_strdup_printf ("%s.%s", module, part);
  g_autoptr (GError) error = NULL;
  AtlTensorInfo info = { .name = name,
                         .dtype = dtype,
                         .n_dims = columns > 0 ? 2 : 1,
                         .dim = { rows, columns },
                         .data = data };

  info.size_bytes = (gsize) (rows * MAX (columns, 1)) * atl_dtype_info (dtype)->block_bytes;
  atl_checkpoint_add_tensor (cp, &info, &error);
  g_assert_no_error (error);
}

/* `without`: a part left out. */
static void
add_matrix (AtlCheckpoint *cp,
            const char *module,
            const SvdqMatrix *m,
            gboolean is_fp4,
            const char *without)
{
  const struct
  {
    const char *name;
    AtlDType dtype;
    gint64 rows, columns;
    gconstpointer data;
  } parts[] = {
    { "qweight", ATL_DTYPE_I8, N_OUT, N_IN / 2, m->words },
    { "wscales", is_fp4 ? ATL_DTYPE_F8_E4M3 : ATL_DTYPE_BF16, N_IN / (is_fp4 ? 16 : 64), N_OUT,
      is_fp4 ? (gconstpointer) m->small_scales : m->scales },
    { is_fp4 ? "wcscales" : NULL, ATL_DTYPE_BF16, N_OUT, 0, m->row_scales },
    { is_fp4 ? "wtscale" : NULL, ATL_DTYPE_BF16, 1, 0, &m->whole },
    { "bias", ATL_DTYPE_BF16, N_OUT, 0, m->biases },
    { "smooth", ATL_DTYPE_BF16, N_IN, 0, m->smooths },
    { "smooth_orig", ATL_DTYPE_BF16, N_IN, 0, m->biases },
    { "lora_down", ATL_DTYPE_BF16, N_IN, RANK, m->downs },
    { "lora_up", ATL_DTYPE_BF16, N_OUT, RANK, m->ups },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (parts); i++)
    if (parts[i].name != NULL && g_strcmp0 (parts[i].name, without) != 0)
      add (cp, module, parts[i].name, parts[i].dtype, parts[i].rows, parts[i].columns,
           parts[i].data);
}

/* What multiplies x / smooth. */
static float
residual (const SvdqMatrix *m, gboolean is_fp4, guint o, guint i)
{
  static const float e2m1[] = { 0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f };
  gint code = m->code[o][i];

  return is_fp4 ? (code < 8 ? e2m1[code] : -e2m1[code - 8]) * m->scale[o][i / 16] *
                      m->row_scale[o] * m->whole_scale
                : (float) code * m->scale[o][i / 16];
}

static float
whole (const SvdqMatrix *m, gboolean is_fp4, guint o, guint i)
{
  float sum = residual (m, is_fp4, o, i) / m->smooth[i];

  for (guint r = 0; r < RANK; r++)
    sum += m->up[o][r] * m->down[r][i];
  return sum;
}

static AtlCheckpoint *
translate (AtlCheckpoint *cp)
{
  g_autoptr (GError) error = NULL;
  AtlCheckpoint *out;

  g_assert_true (atl_svdq_is_model (cp));
  out = atl_hf_adopt_part (cp, &error);
  g_assert_no_error (error);
  return out;
}

/* All numbers of a tensor, which has this many; the caller frees. */
static float *
read_all (AtlCheckpoint *cp,
          const char *module,
          const char *part,
          AtlDType dtype,
          gint64 rows,
          gint64 columns)
{
  g_autofree char *name = g_strconcat (module, part, NULL);
  const AtlTensorInfo *info = atl_checkpoint_find (cp, name);
  g_autofree guint8 *bytes = NULL;
  float *out = g_new (float, (rows * MAX (columns, 1)));

  g_test_message ("%s", name);
  g_assert_nonnull (info);
  g_assert_cmpint (info->dtype, ==, dtype);
  g_assert_cmpint (info->dim[0], ==, rows);
  g_assert_cmpint (info->n_dims, ==, columns > 0 ? 2 : 1);
  if (columns > 0)
    g_assert_cmpint (info->dim[1], ==, columns);
  bytes = g_malloc (info->size_bytes);
  atl_tensor_info_read (info, 0, atl_tensor_info_n_rows (info), bytes);
  g_assert_true (atl_dequantize (dtype, bytes, out, (gsize) (rows * MAX (columns, 1))));
  return out;
}

/* Layer `name` is rows [first, first + n) of the matrix. */
static void
check (AtlCheckpoint *cp,
       const char *name,
       const SvdqMatrix *m,
       gboolean is_fp4,
       guint first,
       guint n,
       float shift)
{
  g_autofree float *all = read_all (cp, name, ".weight", ATL_DTYPE_F16, n, N_IN);
  g_autofree float *bias = read_all (cp, name, ".bias", ATL_DTYPE_F32, n, 0);
  g_autofree float *codes = NULL, *smooth = NULL, *down = NULL, *up = NULL;
  g_autofree char *few = g_strconcat (name, ".svd.weight", NULL);

  for (guint o = 0; o < n; o++)
    {
      float sum = m->bias[first + o];

      for (guint i = 0; i < N_IN; i++)
        {
          float want = whole (m, is_fp4, first + o, i);

          g_assert_cmpfloat (fabsf (all[o * N_IN + i] - want), <=, 1e-3f * (fabsf (want) + 0.1f));
          sum += shift * residual (m, is_fp4, first + o, i) / m->smooth[i];
        }
      g_assert_cmpfloat (fabsf (bias[o] - sum), <=, 1e-4f);
    }
  if (is_fp4)
    {
      g_assert_null (atl_checkpoint_find (cp, few));
      return;
    }
  codes = read_all (cp, name, ".svd.weight", ATL_DTYPE_Q4_0, n, N_IN);
  smooth = read_all (cp, name, ".svd.smooth", ATL_DTYPE_F32, N_IN, 0);
  down = read_all (cp, name, ".svd.down", ATL_DTYPE_BF16, RANK, N_IN);
  up = read_all (cp, name, ".svd.up", ATL_DTYPE_BF16, n, RANK);
  for (guint i = 0; i < N_IN; i++)
    {
      g_assert_cmpfloat (smooth[i], ==, 1.0f / m->smooth[i]);
      for (guint r = 0; r < RANK; r++)
        g_assert_cmpfloat (down[r * N_IN + i], ==, m->down[r][i]);
      for (guint o = 0; o < n; o++)
        g_assert_cmpfloat (codes[o * N_IN + i], ==, residual (m, FALSE, first + o, i));
    }
  for (guint o = 0; o < n; o++)
    for (guint r = 0; r < RANK; r++)
      g_assert_cmpfloat (up[o * RANK + r], ==, m->up[first + o][r]);
}

static void
test_matrices (void)
{
  g_autoptr (AtlCheckpoint) cp = atl_checkpoint_new ("svdq.safetensors");
  g_autofree SvdqMatrix *a = svdq_matrix_new (1, FALSE), *b = svdq_matrix_new (2, TRUE);
  g_autoptr (AtlCheckpoint) out = NULL;

  add_matrix (cp, "transformer_blocks.0.out_proj", a, FALSE, NULL);
  add_matrix (cp, "transformer_blocks.0.mlp_fc2", a, FALSE, NULL);
  add_matrix (cp, "transformer_blocks.1.img_mlp.net.2", a, FALSE, NULL);
  add_matrix (cp, "transformer_blocks.2.mlp_fc1", b, TRUE, NULL);
  add_matrix (cp, "transformer_blocks.2.mlp_fc2", b, TRUE, NULL);
  out = translate (cp);
  check (out, "transformer_blocks.0.attn.to_out.0", a, FALSE, 0, N_OUT, 0.0f);
  check (out, "transformer_blocks.0.ff.net.2", a, FALSE, 0, N_OUT, GELU_SHIFT);
  check (out, "transformer_blocks.1.img_mlp.net.2", a, FALSE, 0, N_OUT, GELU_SHIFT);
  check (out, "transformer_blocks.2.ff.net.0.proj", b, TRUE, 0, N_OUT, 0.0f);
  check (out, "transformer_blocks.2.ff.net.2", b, TRUE, 0, N_OUT, 0.0f);
  g_assert_null (atl_checkpoint_find (out, "transformer_blocks.0.out_proj.qweight"));
}

static void
test_fused (void)
{
  static const char *const to[] = { "attn.to_q", "attn.to_k", "attn.to_v" };
  g_autoptr (AtlCheckpoint) cp = atl_checkpoint_new ("svdq.safetensors");
  g_autofree SvdqMatrix *a = svdq_matrix_new (3, FALSE);
  g_autofree float *row = g_new0 (float, 6 * 4);
  g_autoptr (AtlCheckpoint) out = NULL;
  const AtlTensorInfo *info;

  row[4 * 3] = 7.0f;
  add_matrix (cp, "transformer_blocks.12.qkv_proj", a, FALSE, NULL);
  add_matrix (cp, "single_transformer_blocks.3.attn.to_qkv", a, FALSE, NULL);
  add (cp, "transformer_blocks.12.norm_q", "weight", ATL_DTYPE_F32, 4, 0, row);
  /* Not quantised, yet still two in one. */
  add (cp, "layers.0.feed_forward.net.0.proj", "weight", ATL_DTYPE_F32, 6, 4, row);
  out = translate (cp);
  for (guint i = 0; i < 3; i++)
    {
      g_autofree char *twelve = g_strdup_printf ("transformer_blocks.12.%s", to[i]);
      g_autofree char *three = g_strdup_printf ("single_transformer_blocks.3.%s", to[i]);

      check (out, twelve, a, FALSE, i * N_OUT / 3, N_OUT / 3, 0.0f);
      check (out, three, a, FALSE, i * N_OUT / 3, N_OUT / 3, 0.0f);
    }
  g_assert_nonnull (atl_checkpoint_find (out, "transformer_blocks.12.attn.norm_q.weight"));
  info = atl_checkpoint_find (out, "layers.0.feed_forward.w1.weight");
  g_assert_nonnull (info);
  g_assert_cmpint (info->dim[0], ==, 3);
  g_assert_cmpfloat (((const float *) (gconstpointer) info->data)[0], ==, 7.0f);
  g_assert_nonnull (atl_checkpoint_find (out, "layers.0.feed_forward.w3.weight"));
}

/* Two matrices side by side become one layer, whichever comes first. */
static void
test_halves (void)
{
  for (guint order = 0; order < 2; order++)
    {
      g_autoptr (AtlCheckpoint) cp = atl_checkpoint_new ("svdq.safetensors");
      g_autofree SvdqMatrix *a = svdq_matrix_new (4, FALSE), *b = svdq_matrix_new (5, FALSE);
      g_autoptr (AtlCheckpoint) out = NULL;
      g_autofree float *all = NULL, *codes = NULL, *down = NULL, *up = NULL, *bias = NULL;
      const char *layer = "single_transformer_blocks.0.proj_out";

      for (guint i = 0; i < 2; i++)
        add_matrix (cp,
                    i == order ? "single_transformer_blocks.0.out_proj"
                               : "single_transformer_blocks.0.mlp_fc2",
                    i == order ? a : b, FALSE, NULL);
      out = translate (cp);
      all = read_all (out, layer, ".weight", ATL_DTYPE_F16, N_OUT, 2 * N_IN);
      codes = read_all (out, layer, ".svd.weight", ATL_DTYPE_Q4_0, N_OUT, 2 * N_IN);
      down = read_all (out, layer, ".svd.down", ATL_DTYPE_BF16, 2 * RANK, 2 * N_IN);
      up = read_all (out, layer, ".svd.up", ATL_DTYPE_BF16, N_OUT, 2 * RANK);
      bias = read_all (out, layer, ".bias", ATL_DTYPE_F32, N_OUT, 0);
      for (guint o = 0; o < N_OUT; o++)
        {
          float sum = a->bias[o] + b->bias[o];

          for (guint i = 0; i < 2 * N_IN; i++)
            {
              const SvdqMatrix *m = i < N_IN ? a : b;
              float want = whole (m, FALSE, o, i % N_IN);

              g_assert_cmpfloat (fabsf (all[o * 2 * N_IN + i] - want), <=,
                                 1e-3f * (fabsf (want) + 0.1f));
              g_assert_cmpfloat (codes[o * 2 * N_IN + i], ==, residual (m, FALSE, o, i % N_IN));
              if (i >= N_IN)
                sum += GELU_SHIFT * residual (b, FALSE, o, i - N_IN) / b->smooth[i - N_IN];
            }
          g_assert_cmpfloat (fabsf (bias[o] - sum), <=, 1e-4f);
          for (guint r = 0; r < 2 * RANK; r++)
            g_assert_cmpfloat (up[o * 2 * RANK + r], ==, (r < RANK ? a : b)->up[o][r % RANK]);
        }
      for (guint r = 0; r < 2 * RANK; r++)
        for (guint i = 0; i < 2 * N_IN; i++)
          g_assert_cmpfloat (down[r * 2 * N_IN + i], ==,
                             (r < RANK) == (i < N_IN) ? (r < RANK ? a : b)->down[r % RANK][i % N_IN]
                                                      : 0.0f);
    }
}

/* --- The affine form --- */

typedef struct
{
  guint code[N_OUT][N_IN];
  float scale[N_OUT][N_IN / 64], zero[N_OUT][N_IN / 64];
  guint16 words[N_OUT * N_IN / 4], scales[16 * N_OUT], zeros[16 * N_OUT], biases[N_OUT];
} Affine;

static Affine *
new_affine (guint32 seed, guint group)
{
  static const float scales[] = { 0.0625f, 0.125f, 0.15625f, 0.21875f };
  Affine *a = g_new0 (Affine, 1);
  GRand *rand = g_rand_new_with_seed (seed);
  guint16 *out = a->words;

  for (guint o = 0; o < N_OUT; o++)
    {
      for (guint i = 0; i < N_IN; i++)
        a->code[o][i] = (guint) g_rand_int_range (rand, 0, 16);
      for (guint g = 0; g < N_IN / group; g++)
        {
          a->scale[o][g] = scales[g_rand_int_range (rand, 0, G_N_ELEMENTS (scales))];
          a->zero[o][g] = -7.0f * a->scale[o][g];
          a->scales[g * N_OUT + o] = atl_f32_to_bf16 (a->scale[o][g]);
          a->zeros[g * N_OUT + o] = atl_f32_to_bf16 (a->zero[o][g]);
        }
      a->biases[o] = atl_f32_to_bf16 (0.125f * (float) (o % 9));
    }
  for (guint o = 0; o < N_OUT; o += 4)
    for (guint k = 0; k < N_IN; k += 64)
      for (guint row = 0; row < 4; row++)
        for (guint half = 0; half < 64; half += 32)
          for (guint j = 0; j < 8; j++, out++)
            {
              *out = 0;
              for (guint i = 0; i < 4; i++)
                *out |= (guint16) (a->code[o + row][k + half + 8 * i + j] << 4 * i);
              *out = GUINT16_TO_LE (*out);
            }
  g_rand_free (rand);
  return a;
}

static void
check_affine (AtlCheckpoint *cp, const char *name, const Affine *a, guint group, guint n_kinds)
{
  g_autofree float *all = read_all (cp, name, ".weight", ATL_DTYPE_Q4_1, N_OUT, N_IN);
  g_autofree float *bias =
      n_kinds > 0 ? read_all (cp, name, ".bias", ATL_DTYPE_F32, N_OUT, 0) : NULL;

  for (guint r = 0; r < N_OUT; r++)
    {
      guint each = N_OUT / MAX (n_kinds, 1), o = r % each * MAX (n_kinds, 1) + r / each;

      for (guint i = 0; i < N_IN; i++)
        g_assert_cmpfloat (all[r * N_IN + i], ==,
                           (float) a->code[o][i] * a->scale[o][i / group] + a->zero[o][i / group]);
      if (bias != NULL)
        g_assert_cmpfloat (bias[r], ==,
                           0.125f * (float) (o % 9) - (r / each % 3 == 1 ? 1.0f : 0.0f));
    }
}

static void
test_affine (void)
{
  static const struct
  {
    const char *name;
    guint n_kinds;
  } modulations[] = { { "transformer_blocks.0.norm1.linear", 6 },
                      { "transformer_blocks.0.norm1_context.linear", 6 },
                      { "transformer_blocks.0.txt_mod.1", 6 },
                      { "single_transformer_blocks.5.norm.linear", 3 } };
  g_autoptr (AtlCheckpoint) cp = atl_checkpoint_new ("svdq.safetensors");
  g_autofree Affine *a = new_affine (6, 64), *t5 = new_affine (7, 128);
  const char *q = "encoder.block.0.layer.0.SelfAttention.q";
  g_autoptr (AtlCheckpoint) out = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (modulations); i++)
    {
      add (cp, modulations[i].name, "qweight", ATL_DTYPE_I32, N_OUT / 4, N_IN / 2, a->words);
      add (cp, modulations[i].name, "wscales", ATL_DTYPE_BF16, 16, N_OUT, a->scales);
      add (cp, modulations[i].name, "wzeros", ATL_DTYPE_BF16, 16, N_OUT, a->zeros);
      add (cp, modulations[i].name, "bias", ATL_DTYPE_BF16, N_OUT, 0, a->biases);
    }
  add (cp, q, "qweight", ATL_DTYPE_I16, N_OUT / 4, N_IN, t5->words);
  add (cp, q, "scales", ATL_DTYPE_BF16, 8, N_OUT, t5->scales);
  add (cp, q, "scaled_zeros", ATL_DTYPE_BF16, 8, N_OUT, t5->zeros);
  out = translate (cp);
  for (gsize i = 0; i < G_N_ELEMENTS (modulations); i++)
    check_affine (out, modulations[i].name, a, 64, modulations[i].n_kinds);
  check_affine (out, q, t5, 128, 0);
}

/* --- Refusals --- */

static void
refuse (AtlCheckpoint *cp, const char *names)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlCheckpoint) out = atl_hf_adopt_part (cp, &error);

  g_assert_null (out);
  g_assert_true (error != NULL && error->domain == ATL_ERROR);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, names));
}

static void
test_missing (void)
{
  static const char *const one_of_two[] = { "lora_down", "lora_up" };
  g_autofree SvdqMatrix *m = svdq_matrix_new (8, FALSE);

  for (gsize i = 0; i < G_N_ELEMENTS (one_of_two); i++)
    {
      g_autoptr (AtlCheckpoint) cp = atl_checkpoint_new ("svdq.safetensors");

      add_matrix (cp, "transformer_blocks.0.out_proj", m, FALSE, one_of_two[i]);
      refuse (cp, one_of_two[i]);
    }
  {
    g_autoptr (AtlCheckpoint) cp = atl_checkpoint_new ("svdq.safetensors");

    add_matrix (cp, "single_transformer_blocks.0.out_proj", m, FALSE, NULL);
    refuse (cp, "single_transformer_blocks.0.proj_out");
  }
}

static void
test_shapes (void)
{
  static const struct
  {
    const char *part;
    AtlDType dtype;
    gint64 rows, columns;
  } cases[] = {
    { "qweight", ATL_DTYPE_I8, N_OUT - 1, N_IN / 2 },
    { "qweight", ATL_DTYPE_I8, N_OUT, N_IN / 4 - 1 },
    { "qweight", ATL_DTYPE_I8, N_OUT, 0 },
    { "wscales", ATL_DTYPE_BF16, N_IN / 64, N_OUT / 2 },
    { "wscales", ATL_DTYPE_F32, N_IN / 64, N_OUT },
    { "wscales", ATL_DTYPE_F8_E4M3, N_IN / 64, N_OUT },
    { "smooth", ATL_DTYPE_BF16, N_IN / 2, 0 },
    { "smooth", ATL_DTYPE_I32, N_IN, 0 },
    { "bias", ATL_DTYPE_BF16, N_OUT / 2, 0 },
    { "lora_down", ATL_DTYPE_BF16, N_IN, RANK / 2 },
    { "lora_down", ATL_DTYPE_BF16, N_IN / 2, RANK },
    { "lora_down", ATL_DTYPE_BF16, N_IN, 9 },
    { "lora_up", ATL_DTYPE_F16, N_OUT, RANK },
    { "lora_up", ATL_DTYPE_BF16, N_OUT / 3, RANK },
  };
  g_autofree SvdqMatrix *m = svdq_matrix_new (9, FALSE);
  g_autofree guint8 *zeros = g_malloc0 (sizeof (float) * N_OUT * N_IN);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (AtlCheckpoint) cp = atl_checkpoint_new ("svdq.safetensors");

      add_matrix (cp, "transformer_blocks.0.qkv_proj", m, FALSE, cases[i].part);
      add (cp, "transformer_blocks.0.qkv_proj", cases[i].part, cases[i].dtype, cases[i].rows,
           cases[i].columns, zeros);
      refuse (cp, "transformer_blocks.0.qkv_proj");
    }
}

/* Other files, GPTQ's among them, are left alone. */
static void
test_others (void)
{
  g_autoptr (AtlCheckpoint) cp = atl_checkpoint_new ("gptq.safetensors");
  g_autofree guint8 *zeros = g_malloc0 (4096);

  add (cp, "model.layers.0.q", "qweight", ATL_DTYPE_I32, 16, 16, zeros);
  add (cp, "model.layers.0.q", "qzeros", ATL_DTYPE_I32, 1, 2, zeros);
  add (cp, "model.layers.0.q", "scales", ATL_DTYPE_F16, 1, 16, zeros);
  g_assert_false (atl_svdq_is_model (cp));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/convert/svdq/matrices", test_matrices);
  g_test_add_func ("/convert/svdq/fused", test_fused);
  g_test_add_func ("/convert/svdq/halves", test_halves);
  g_test_add_func ("/convert/svdq/affine", test_affine);
  g_test_add_func ("/convert/svdq/missing", test_missing);
  g_test_add_func ("/convert/svdq/shapes", test_shapes);
  g_test_add_func ("/convert/svdq/others", test_others);
  return g_test_run ();
}
