/* Low-rank adapters on a decoder: what they add, that strengths change without loading, and files
 * that do not fit. That adapters of PEFT give their authors' numbers is what golden cases say. */
#include <math.h>
#include <string.h>

#include "conformance.h"
#include "convert/hf-fixture.h"
#include "engine/convert/hf-adapter.h"
#include "engine/formats/open.h"
#include "engine/tensor/array.h"
#include "model-fixture.h"

static const gint32 tokens[] = { 5, 17, 42, 9, 88, 3, 61 };

static void
add_matrix (AtlCheckpoint *cp, const char *name, gint64 rows, gint64 cols, GRand *rand)
{
  AtlTensorInfo info = { .name = name, .dtype = ATL_DTYPE_F32, .n_dims = 2, .dim = { rows, cols } };
  float *values = g_new (float, (rows * cols));

  for (gint64 i = 0; i < rows * cols; i++)
    values[i] = (float) g_rand_double_range (rand, -0.2, 0.2);
  atl_checkpoint_take (cp, values, g_free);
  info.data = (const guint8 *) values;
  info.size_bytes = (gsize) (rows * cols) * sizeof (float);
  g_assert_true (atl_checkpoint_add_tensor (cp, &info, NULL));
}

static AtlCheckpoint *
make_adapter (AtlCheckpoint *base, const char *arch, const char *target, gint64 rank, gint64 more)
{
  AtlCheckpoint *cp = atl_checkpoint_new ("adapter.gguf");
  const AtlTensorInfo *w = atl_checkpoint_find (base, "blk.0.ffn_down.weight");
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  g_autofree char *a = g_strconcat (target, ".lora_a", NULL);
  g_autofree char *b = g_strconcat (target, ".lora_b", NULL);

  hf_add_text (cp, "general.type", "adapter");
  hf_add_text (cp, "adapter.type", "lora");
  hf_add_text (cp, "general.architecture", arch);
  add_matrix (cp, a, rank, w->dim[1] + more, rand);
  add_matrix (cp, b, w->dim[0], rank, rand);
  return cp;
}

/* The logits after all tokens, the caller's. */
static float *
answer (AtlLlm *llm)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlLlmCache) cache = atl_llm_cache_new (llm, 16, ATL_DTYPE_F32, &error);

  g_assert_no_error (error);
  return g_memdup2 (model_fixture_feed (llm, cache, tokens, G_N_ELEMENTS (tokens)),
                    atl_llm_info (llm)->n_vocab * sizeof (float));
}

static void
test_strength (void)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open ("llm-llama2", "model.gguf");
  g_autoptr (AtlLlm) llm = model_fixture_load (cp, model_fixture_cpu (TRUE));
  g_autoptr (AtlCheckpoint) one = make_adapter (cp, "llama", "blk.0.ffn_down.weight", 4, 0);
  g_autoptr (AtlCheckpoint) same = make_adapter (cp, "llama", "blk.0.ffn_down.weight", 4, 0);
  g_autofree float *plain = answer (llm);
  g_autofree float *whole = NULL, *halves = NULL, *nothing = NULL, *gone = NULL;
  guint n = atl_llm_info (llm)->n_vocab;
  g_autoptr (GError) error = NULL;

  g_assert_true (atl_llm_set_adapters (llm, &(AtlLlmAdapter){ one, 1 }, 1, &error));
  g_assert_no_error (error);
  whole = answer (llm);
  g_assert_cmpfloat (model_fixture_distance (whole, plain, n), >, 0.01);
  /* Two halves are a whole. */
  g_assert_true (
      atl_llm_set_adapters (llm, (AtlLlmAdapter[]){ { one, 0.5 }, { same, 0.5 } }, 2, &error));
  halves = answer (llm);
  g_assert_cmpfloat (model_fixture_distance (halves, whole, n), <, 1e-5);
  g_assert_true (
      atl_llm_set_adapters (llm, (AtlLlmAdapter[]){ { same, -0.5 }, { one, 0.5 } }, 2, &error));
  nothing = answer (llm);
  g_assert_cmpfloat (model_fixture_distance (nothing, plain, n), <, 1e-5);
  g_assert_true (atl_llm_set_adapters (llm, NULL, 0, &error));
  gone = answer (llm);
  g_assert_cmpfloat (model_fixture_distance (gone, plain, n), ==, 0);
}

static void
refuse (AtlLlm *llm, AtlCheckpoint *base, AtlCheckpoint *file, double strength)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlCheckpoint) adapter = atl_hf_adapter_adopt (file, base, &error);

  if (adapter != NULL)
    g_assert_false (atl_llm_set_adapters (llm, &(AtlLlmAdapter){ adapter, strength }, 1, &error));
  g_assert_nonnull (error);
  g_assert_true (error->domain == ATL_ERROR);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_test_message ("%s", error->message);
}

static void
test_refused (void)
{
  static const struct
  {
    const char *arch, *target;
    gint64 more;
    double strength;
  } cases[] = {
    { "qwen2", "blk.0.ffn_down.weight", 0, 1 },   { "llama", "blk.99.ffn_down.weight", 0, 1 },
    { "llama", "blk.0.ffn_down.weight", 1, 1 },   { "llama", "token_embd.weight", 0, 1 },
    { "llama", "blk.0.attn_norm.weight", 0, 1 },  { "llama", "blk.0.ffn_down.weight", 0, 1e9 },
    { "llama", "blk.0.ffn_down.weight", 0, NAN },
  };
  g_autoptr (AtlCheckpoint) cp = model_fixture_open ("llm-llama2", "model.gguf");
  g_autoptr (AtlLlm) llm = model_fixture_load (cp, model_fixture_cpu (TRUE));
  g_autofree float *before = answer (llm);
  g_autofree float *after = NULL;
  g_autoptr (AtlCheckpoint) half = make_adapter (cp, "llama", "blk.0.ffn_down.weight", 4, 0);
  g_autoptr (AtlCheckpoint) odd = atl_checkpoint_new ("odd");
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (AtlCheckpoint) adapter =
          make_adapter (cp, cases[i].arch, cases[i].target, 4, cases[i].more);
      refuse (llm, cp, adapter, cases[i].strength);
    }
  add_matrix (half, "blk.1.ffn_down.weight.lora_a", 4, 8, rand);
  refuse (llm, cp, half, 1);
  add_matrix (odd, "something.weight", 4, 8, rand);
  refuse (llm, cp, odd, 1);
  refuse (llm, cp, cp, 1);
  after = answer (llm);
  g_assert_cmpfloat (model_fixture_distance (after, before, atl_llm_info (llm)->n_vocab), ==, 0);
}

/* Damaged LoRA files of the conformance data. */
static void
test_files (void)
{
  static const char *const names[] = { "rank-mismatch", "rank-0", "half-missing", "nothing" };
  g_autoptr (AtlCheckpoint) cp = model_fixture_open ("llm-llama2", "model.gguf");
  g_autoptr (AtlLlm) llm = model_fixture_load (cp, model_fixture_cpu (TRUE));

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *relative =
          g_strdup_printf ("gguf-bad/generated/st-lora-%s.safetensors", names[i]);
      g_autofree char *path = atl_test_conformance (relative);
      g_autoptr (AtlFileMap) map = path != NULL ? atl_file_map_new (path, NULL) : NULL;
      g_autoptr (AtlCheckpoint) file = NULL;

      if (map == NULL)
        return;
      file = atl_checkpoint_open (&map, NULL, 1, NULL);
      if (file != NULL)
        refuse (llm, cp, file, 1);
    }
}

/* --- PEFT's DoRA --- */

#define PEFT_MODULE "base_model.model.model.layers.0.mlp.down_proj"

static const float *
floats_of (AtlCheckpoint *cp, const char *name)
{
  return (const float *) (gconstpointer) atl_checkpoint_find (cp, name)->data;
}

/* The model with m (W + f B A) / |W + f B A| in place of W, row by row. */
static AtlCheckpoint *
decompose (AtlCheckpoint *base, AtlCheckpoint *peft, gint64 rank, double f)
{
  AtlCheckpoint *cp = atl_checkpoint_new ("changed.gguf");
  AtlTensorInfo info = *atl_checkpoint_find (base, "blk.0.ffn_down.weight");
  const float *a = floats_of (peft, PEFT_MODULE ".lora_A.weight");
  const float *b = floats_of (peft, PEFT_MODULE ".lora_B.weight");
  const float *m = floats_of (peft, PEFT_MODULE ".lora_magnitude_vector");
  g_autoptr (AtlArray) w = atl_array_from_tensor (&info, NULL);
  gint64 rows = info.dim[0], cols = info.dim[1];
  float *values = g_memdup2 (atl_array_f32 (w), (gsize) (rows * cols) * sizeof (float));

  for (gint64 i = 0; i < rows; i++)
    {
      double squares = 0;

      for (gint64 j = 0; j < cols; j++)
        {
          double sum = values[i * cols + j];

          for (gint64 k = 0; k < rank; k++)
            sum += f * b[i * rank + k] * a[k * cols + j];
          values[i * cols + j] = (float) sum;
          squares += sum * sum;
        }
      for (gint64 j = 0; j < cols; j++)
        values[i * cols + j] *= (float) (m[i] / sqrt (squares));
    }
  atl_checkpoint_set_base (cp, base);
  atl_checkpoint_take (cp, values, g_free);
  info.dtype = ATL_DTYPE_F32;
  info.data = (const guint8 *) values;
  info.size_bytes = (gsize) (rows * cols) * sizeof (float);
  g_assert_true (atl_checkpoint_add_tensor (cp, &info, NULL));
  for (guint i = 0; i < atl_checkpoint_n_tensors (base); i++)
    if (strcmp (atl_checkpoint_tensor (base, i)->name, info.name) != 0)
      g_assert_true (atl_checkpoint_add_tensor (cp, atl_checkpoint_tensor (base, i), NULL));
  for (guint i = 0; i < atl_checkpoint_n_meta (base); i++)
    {
      const char *key = atl_checkpoint_meta_key (base, i);

      g_assert_true (atl_checkpoint_add_meta (cp, key, atl_checkpoint_meta (base, key), NULL));
    }
  return cp;
}

static void
test_dora (void)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open ("llm-llama2", "model.gguf");
  const AtlTensorInfo *w = atl_checkpoint_find (cp, "blk.0.ffn_down.weight");
  g_autoptr (AtlCheckpoint) peft = atl_checkpoint_new ("adapter_model.safetensors");
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlCheckpoint) adapter = NULL, changed = NULL;
  g_autoptr (AtlLlm) llm = model_fixture_load (cp, model_fixture_cpu (TRUE));
  g_autoptr (AtlLlm) other = NULL;
  g_autofree float *plain = answer (llm);
  g_autofree float *got = NULL, *want = NULL;
  guint n = atl_llm_info (llm)->n_vocab;
  float *m = g_new (float, w->dim[0]);
  AtlTensorInfo vector = { .name = PEFT_MODULE ".lora_magnitude_vector",
                           .dtype = ATL_DTYPE_F32,
                           .n_dims = 1,
                           .dim = { w->dim[0] },
                           .data = (const guint8 *) m,
                           .size_bytes = (gsize) w->dim[0] * sizeof *m };

  add_matrix (peft, PEFT_MODULE ".lora_A.weight", 4, w->dim[1], rand);
  add_matrix (peft, PEFT_MODULE ".lora_B.weight", w->dim[0], 4, rand);
  for (gint64 i = 0; i < w->dim[0]; i++)
    m[i] = (float) g_rand_double_range (rand, 0.5, 2);
  atl_checkpoint_take (peft, m, g_free);
  g_assert_true (atl_checkpoint_add_tensor (peft, &vector, NULL));
  hf_add_number (peft, "adapter_config.lora_alpha", 6);
  /* Neither is this layer's. */
  hf_add_number (peft, "adapter_config.alpha_pattern.proj", 100);
  hf_add_number (peft, "adapter_config.alpha_pattern.up_proj", 50);
  hf_add_flag (peft, "adapter_config.use_dora", TRUE);
  adapter = atl_hf_adapter_adopt (peft, cp, &error);
  g_assert_no_error (error);
  g_assert_true (atl_llm_set_adapters (llm, &(AtlLlmAdapter){ adapter, 1 }, 1, &error));
  g_assert_no_error (error);
  got = answer (llm);
  changed = decompose (cp, peft, 4, 6.0 / 4);
  other = model_fixture_load (changed, model_fixture_cpu (TRUE));
  want = answer (other);
  g_assert_cmpfloat (model_fixture_distance (want, plain, n), >, 0.01);
  g_assert_cmpfloat (model_fixture_distance (got, want, n), <, 1e-4);
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/models/adapter/strength", test_strength);
  g_test_add_func ("/models/adapter/refused", test_refused);
  g_test_add_func ("/models/adapter/files", test_files);
  g_test_add_func ("/models/adapter/dora", test_dora);
  result = g_test_run ();
  model_fixture_end ();
  return result;
}
