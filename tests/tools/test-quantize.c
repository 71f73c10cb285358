/* `quantize` and `convert` as they are called: every type and mix loses no more than llama.cpp's
 * tests allow it, each tensor gets the type that its name promises, whatever its rows; and a folder
 * answers the same once it is one file. */
#include <glib/gstdio.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json-bounded.h"
#include "engine/convert/hf.h"
#include "engine/convert/mixes.h"
#include "engine/formats/gguf-writer.h"
#include "engine/formats/gguf.h"
#include "engine/tensor/quants/dequant.h"
#include "engine/tools/inspect.h"
#include "engine/tools/quantize.h"

#include "conformance.h"
#include "model-fixture.h"

/* Of the vectors that the limits are for; each limit is of a length divided by this. */
#define N_REFERENCE 4096

static char *folder;

/* What it prints is for people. */
static int
call (int (*tool) (int, char **), const char *in, const char *out, const char *type)
{
  char *argv[] = { "quantize", (char *) in, (char *) out, (char *) type, NULL };
  int keep = dup (STDOUT_FILENO), nowhere = open ("/dev/null", O_WRONLY | O_CLOEXEC), rc;

  fflush (stdout);
  dup2 (nowhere, STDOUT_FILENO);
  rc = tool (type != NULL ? 4 : 3, argv);
  fflush (stdout);
  dup2 (keep, STDOUT_FILENO);
  close (keep);
  close (nowhere);
  return rc;
}

/* What it says on its way to failing; the caller frees. */
static char *
refusal (int (*tool) (int, char **), const char *in, const char *out, const char *type)
{
  g_autofree char *path = g_build_filename (folder, "words", NULL);
  int keep = dup (STDERR_FILENO), words = open (path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  char *text = NULL;

  fflush (stderr);
  dup2 (words, STDERR_FILENO);
  g_assert_cmpint (call (tool, in, out, type), !=, 0);
  fflush (stderr);
  dup2 (keep, STDERR_FILENO);
  close (keep);
  close (words);
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  return text;
}

static void
remove_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *inner = g_build_filename (path, name, NULL);

      if (g_file_test (inner, G_FILE_TEST_IS_DIR) && !g_file_test (inner, G_FILE_TEST_IS_SYMLINK))
        remove_folder (inner);
      else
        g_remove (inner);
    }
  g_rmdir (path);
}

static AtlCheckpoint *
open_file (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlFileMap) map = atl_file_map_new (path, &error);
  AtlCheckpoint *cp;

  g_assert_no_error (error);
  cp = atl_gguf_open (&map, 1, &error);
  g_assert_no_error (error);
  return cp;
}

/* --- A model of odd tensors --- */

typedef struct
{
  const char *name;
  guint n_dims;
  gint64 dim[3];
} Shape;

static const Shape shapes[] = {
  { "token_embd.weight", 2, { 16, 256 } },
  { "output_norm.weight", 1, { 512 } },
  { "blk.0.attn_norm.weight", 1, { 512 } },
  { "blk.0.attn_q.weight", 2, { 8, 512 } },
  { "blk.0.attn_k.weight", 2, { 4, 1024 } },
  { "blk.0.attn_v.weight", 2, { 16, 256 } },
  { "blk.0.attn_output.weight", 2, { 16, 288 } }, /* no block of 256 divides it */
  { "blk.0.ffn_gate_inp.weight", 2, { 8, 512 } },
  { "blk.0.ffn_gate_exps.weight", 3, { 8, 2, 256 } },
  { "blk.0.ffn_up_exps.weight", 3, { 8, 2, 288 } },
  { "blk.0.ffn_down_exps.weight", 3, { 8, 2, 512 } },
  { "blk.1.attn_norm.weight", 1, { 512 } },
  { "blk.1.attn_qkv.weight", 2, { 8, 512 } },
  { "blk.1.attn_output.weight", 2, { 5, 50 } }, /* nor one of 32 */
  { "blk.1.ffn_gate.weight", 2, { 600, 512 } },
  { "blk.1.ffn_down.weight", 2, { 1, 256 } },
};

typedef struct
{
  const char *arch;
  guint n_heads, n_heads_kv, n_experts;
  gboolean has_output;
  const float *input; /* (nullable) [N_REFERENCE] for every tensor, over and over */
} Model;

static void
add_text (AtlGgufWriter *w, const char *key, const char *text)
{
  AtlMetaValue value = { .type = ATL_META_STRING };

  value.v_string.chars = text;
  value.v_string.length = strlen (text);
  atl_gguf_writer_add_meta (w, key, &value);
}

static void
add_number (AtlGgufWriter *w, const char *arch, const char *name, guint number)
{
  g_autofree char *key = g_strconcat (arch, ".", name, NULL);
  AtlMetaValue value = { .type = ATL_META_UINT, .width = 4, .v_uint = number };

  atl_gguf_writer_add_meta (w, key, &value);
}

static gsize
n_elems (const Shape *shape)
{
  gsize n = 1;

  for (guint i = 0; i < shape->n_dims; i++)
    n *= (gsize) shape->dim[i];
  return n;
}

/* What the limits are for: 0.1 + 2 cos (i). */
static float
value_at (const Model *model, gsize i)
{
  return model->input != NULL ? model->input[i % N_REFERENCE]
                              : (float) (0.1 + 2.0 * cos ((double) (i % N_REFERENCE)));
}

static char *
write_model (const Model *model, const char *name)
{
  char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlGgufWriter) w = NULL;
  const Shape output = { "output.weight", 2, { 8, 288 } };

  g_remove (path);
  w = atl_gguf_writer_new (path, &error);
  g_assert_no_error (error);
  add_text (w, "general.architecture", model->arch);
  add_number (w, model->arch, "block_count", 2);
  add_number (w, model->arch, "attention.head_count", model->n_heads);
  add_number (w, model->arch, "attention.head_count_kv", model->n_heads_kv);
  add_number (w, model->arch, "expert_count", model->n_experts);
  for (gsize i = 0; i < G_N_ELEMENTS (shapes) + model->has_output; i++)
    {
      const Shape *s = i < G_N_ELEMENTS (shapes) ? &shapes[i] : &output;
      atl_gguf_writer_add_tensor (w, s->name, ATL_DTYPE_F32, s->n_dims, s->dim);
    }
  g_assert_true (atl_gguf_writer_begin (w, &error));
  for (gsize i = 0; i < G_N_ELEMENTS (shapes) + model->has_output; i++)
    {
      gsize n = n_elems (i < G_N_ELEMENTS (shapes) ? &shapes[i] : &output);
      g_autofree float *values = g_new (float, n);

      for (gsize k = 0; k < n; k++)
        values[k] = value_at (model, k);
      g_assert_true (
          atl_gguf_writer_append (w, (const guint8 *) values, n * sizeof *values, &error));
    }
  g_assert_true (atl_gguf_writer_finish (w, &error));
  return path;
}

/* --- Errors --- */

static double
error_of (const Model *model, const AtlTensorInfo *info)
{
  const AtlDTypeInfo *type = atl_dtype_info (info->dtype);
  gsize n = info->size_bytes / type->block_bytes * type->block_elems;
  g_autofree float *got = g_new (float, n);
  double sum = 0;

  g_assert_true (atl_dequantize (info->dtype, info->data, got, n));
  for (gsize i = 0; i < n; i++)
    sum += ((double) got[i] - value_at (model, i)) * ((double) got[i] - value_at (model, i));
  return sqrt (sum / (double) n);
}

static JsonObject *
find_type (JsonNode *root, AtlDType dtype)
{
  JsonArray *list = atl_json_array (json_node_get_object (root), "types");

  for (guint i = 0; i < json_array_get_length (list); i++)
    {
      JsonObject *object = json_array_get_object_element (list, i);

      if (g_ascii_strcasecmp (atl_json_string (object, "type", ""), atl_dtype_name (dtype)) == 0)
        return object;
    }
  return NULL;
}

/* Every tensor of every mix, whatever type it got. */
static void
check_errors (JsonNode *root, const Model *model, const char *in)
{
  for (const AtlMix *mix = atl_mix_list (); mix->name != NULL; mix++)
    {
      g_autofree char *out = g_strdup_printf ("%s/%s.gguf", folder, mix->name);
      g_autoptr (AtlCheckpoint) cp = NULL;
      guint n_checked = 0;

      g_remove (out);
      g_assert_cmpint (call (atl_tool_quantize, in, out, mix->name), ==, 0);
      cp = open_file (out);
      for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
        {
          const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);
          JsonObject *limits = find_type (root, info->dtype);
          double limit, error = error_of (model, info);

          if (limits == NULL)
            limit = info->dtype == ATL_DTYPE_F32 ? 0 : info->dtype == ATL_DTYPE_F16 ? 1e-3 : 8e-3;
          else if (model->input != NULL)
            limit = 1.1 * atl_json_double (limits, "golden_rmse", 0);
          else
            limit = sqrt (N_REFERENCE) * atl_json_double (limits, "max_quantize_error", 0);
          /* What was recorded is of whole vectors: a part of one may be a little worse. */
          if (model->input != NULL && limits != NULL && info->size_bytes < N_REFERENCE / 4)
            continue;
          n_checked++;
          if (error > limit)
            g_test_fail_printf ("%s: %s as %s is off by %g, more than %g", mix->name, info->name,
                                atl_dtype_name (info->dtype), error, limit);
        }
      g_assert_cmpuint (n_checked, >, 8);
    }
}

static void
test_errors (void)
{
  g_autofree char *path = atl_test_conformance ("quant/README.json");
  g_autofree char *input_path = atl_test_conformance ("quant/input.f32");
  Model model = { .arch = "llama", .n_heads = 8, .n_heads_kv = 8, .n_experts = 8 };
  g_autofree char *in = NULL, *text = NULL, *input = NULL, *recorded = NULL;
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;

  if (path == NULL || input_path == NULL)
    return;
  g_file_get_contents (path, &text, &size, &error);
  g_assert_no_error (error);
  root = atl_json_parse (text, size, path, &error);
  g_assert_no_error (error);
  in = write_model (&model, "cos.gguf");
  check_errors (root, &model, in);
  g_file_get_contents (input_path, &input, &size, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (size, ==, N_REFERENCE * sizeof (float));
  model.input = (const float *) (gpointer) input;
  recorded = write_model (&model, "recorded.gguf");
  check_errors (root, &model, recorded);
}

/* --- Types --- */

/* As llama.cpp's own quantiser chose them for these files. */
static void
test_types (void)
{
  static const struct
  {
    Model model;
    const char *mix, *tensor;
    AtlDType dtype;
  } cases[] = {
    { { "llama", 8, 8, 0, TRUE }, "Q4_K_M", "output.weight", ATL_DTYPE_Q8_0 },
    { { "llama", 8, 8, 0, TRUE }, "Q4_K_M", "token_embd.weight", ATL_DTYPE_Q4_K },
    { { "llama", 8, 8, 0, FALSE }, "Q4_K_M", "token_embd.weight", ATL_DTYPE_Q6_K },
    { { "llama", 8, 8, 0, FALSE }, "Q8_0", "token_embd.weight", ATL_DTYPE_Q8_0 },
    { { "llama", 8, 8, 0, FALSE }, "Q4_0", "token_embd.weight", ATL_DTYPE_Q6_K },
    { { "falcon", 8, 8, 0, FALSE }, "Q4_K_M", "token_embd.weight", ATL_DTYPE_Q8_0 },
    { { "llama", 8, 8, 0, FALSE }, "Q4_K_M", "blk.0.attn_norm.weight", ATL_DTYPE_F32 },
    { { "llama", 8, 8, 0, FALSE }, "Q4_K_M", "blk.0.ffn_gate_inp.weight", ATL_DTYPE_F32 },
    { { "llama", 8, 8, 0, FALSE }, "Q4_K_M", "blk.0.attn_q.weight", ATL_DTYPE_Q4_K },
    { { "llama", 8, 8, 0, FALSE }, "Q4_K_M", "blk.0.attn_v.weight", ATL_DTYPE_Q4_K },
    { { "llama", 8, 8, 0, FALSE }, "Q4_K_M", "blk.1.attn_qkv.weight", ATL_DTYPE_Q6_K },
    { { "llama", 8, 8, 0, FALSE }, "Q4_K_M", "blk.1.ffn_gate.weight", ATL_DTYPE_Q4_K },
    { { "llama", 8, 8, 0, FALSE }, "Q4_K_M", "blk.1.ffn_down.weight", ATL_DTYPE_Q6_K },
    { { "llama", 8, 8, 0, FALSE }, "Q4_K_S", "blk.0.attn_v.weight", ATL_DTYPE_Q5_K },
    { { "llama", 8, 8, 0, FALSE }, "Q4_K_S", "blk.1.attn_qkv.weight", ATL_DTYPE_Q5_K },
    { { "llama", 8, 8, 0, FALSE }, "Q5_K_M", "blk.1.attn_qkv.weight", ATL_DTYPE_Q6_K },
    { { "llama", 8, 8, 0, FALSE }, "Q3_K_M", "blk.0.attn_v.weight", ATL_DTYPE_Q5_K },
    { { "llama", 8, 8, 0, FALSE }, "Q3_K_M", "blk.1.ffn_down.weight", ATL_DTYPE_Q4_K },
    { { "falcon", 8, 8, 0, FALSE }, "Q3_K_M", "blk.0.ffn_down_exps.weight", ATL_DTYPE_Q3_K },
    { { "llama", 8, 8, 0, FALSE }, "Q2_K", "blk.0.attn_v.weight", ATL_DTYPE_Q3_K },
    { { "llama", 8, 2, 0, FALSE }, "Q2_K", "blk.0.attn_v.weight", ATL_DTYPE_Q4_K },
    { { "llama", 8, 2, 8, FALSE }, "Q2_K", "blk.0.attn_v.weight", ATL_DTYPE_Q8_0 },
    { { "llama", 8, 8, 8, FALSE }, "Q4_K_M", "blk.0.attn_k.weight", ATL_DTYPE_Q8_0 },
    { { "llama", 8, 8, 8, FALSE }, "Q6_K", "blk.0.attn_k.weight", ATL_DTYPE_Q8_0 },
    { { "llama", 8, 8, 4, FALSE }, "Q4_K_M", "blk.0.attn_k.weight", ATL_DTYPE_Q4_K },
    { { "llama", 8, 8, 8, FALSE }, "Q4_K_M", "blk.0.attn_output.weight", ATL_DTYPE_Q5_1 },
    { { "llama", 8, 8, 0, FALSE }, "Q4_K_M", "blk.0.attn_output.weight", ATL_DTYPE_Q5_0 },
    { { "llama", 8, 8, 0, FALSE }, "Q6_K", "blk.0.attn_output.weight", ATL_DTYPE_Q8_0 },
    { { "llama", 8, 8, 0, FALSE }, "Q3_K_S", "blk.0.attn_output.weight", ATL_DTYPE_Q4_0 },
    { { "llama", 8, 8, 0, FALSE }, "Q4_1", "blk.0.attn_output.weight", ATL_DTYPE_Q4_1 },
    { { "llama", 8, 8, 0, FALSE }, "Q4_K_M", "blk.1.attn_output.weight", ATL_DTYPE_F16 },
    { { "llama", 8, 8, 0, FALSE }, "Q5_0", "blk.1.attn_output.weight", ATL_DTYPE_F16 },
    { { "llama", 8, 8, 8, FALSE }, "Q5_K_S", "blk.0.ffn_up_exps.weight", ATL_DTYPE_Q5_1 },
    { { "llama", 8, 8, 8, FALSE }, "Q4_K_M", "blk.0.ffn_gate_exps.weight", ATL_DTYPE_Q4_K },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *in = write_model (&cases[i].model, "types.gguf");
      g_autofree char *out = g_build_filename (folder, "typed.gguf", NULL);
      g_autoptr (AtlCheckpoint) cp = NULL;
      const AtlTensorInfo *info;

      g_remove (out);
      g_assert_cmpint (call (atl_tool_quantize, in, out, cases[i].mix), ==, 0);
      cp = open_file (out);
      info = atl_checkpoint_find (cp, cases[i].tensor);
      g_assert_nonnull (info);
      if (info->dtype != cases[i].dtype)
        g_test_fail_printf ("%s of %s, %u experts: %s is %s, not %s", cases[i].mix,
                            cases[i].model.arch, cases[i].model.n_experts, info->name,
                            atl_dtype_name (info->dtype), atl_dtype_name (cases[i].dtype));
    }
}

/* --- Folders --- */

#define LETTERS                                                                                    \
  "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": "       \
  "[\"a b\"]}, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "         \
  "\"use_regex\": true}, \"decoder\": {\"type\": \"ByteLevel\"}}"

static void
read_logits (AtlCheckpoint *cp, float **logits, guint *n)
{
  static const gint32 ids[] = { 1, 7, 3, 20, 11 };
  g_autoptr (AtlLlm) llm = model_fixture_load (cp, model_fixture_cpu (TRUE));
  g_autoptr (AtlLlmCache) cache = atl_llm_cache_new (llm, 16, ATL_DTYPE_F32, NULL);

  *n = atl_llm_info (llm)->n_vocab;
  *logits =
      g_memdup2 (model_fixture_feed (llm, cache, ids, G_N_ELEMENTS (ids)), *n * sizeof (float));
}

/* The shipped folders of some families have no vocabulary: a link to all their files, and letters.
 */
static char *
with_vocabulary (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  g_autofree char *target = g_build_filename (folder, "letters", NULL);
  gboolean has_one = FALSE;
  const char *name;

  remove_folder (target);
  g_assert_cmpint (g_mkdir (target, 0700), ==, 0);
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *from = g_canonicalize_filename (name, path);
      g_autofree char *to = g_build_filename (target, name, NULL);

      has_one |= g_str_has_prefix (name, "tokenizer");
      g_assert_cmpint (symlink (from, to), ==, 0);
    }
  if (!has_one)
    {
      g_autofree char *file = g_build_filename (target, "tokenizer.json", NULL);

      g_assert_true (g_file_set_contents (file, LETTERS, -1, NULL));
    }
  return g_steal_pointer (&target);
}

static void
test_folder (gconstpointer path)
{
  g_autoptr (AtlCheckpoint) files = model_fixture_open_folder (path);
  g_autofree char *whole = with_vocabulary (path);
  g_autofree char *out = g_build_filename (folder, "converted.gguf", NULL);
  g_autofree float *want = NULL, *got = NULL;
  g_autoptr (AtlCheckpoint) adopted = NULL;
  g_autoptr (AtlCheckpoint) written = NULL;
  g_autoptr (GError) error = NULL;
  guint n = 0, n_written = 0;

  g_remove (out);
  g_assert_cmpint (call (atl_tool_convert, whole, out, NULL), ==, 0);
  written = open_file (out);
  adopted = atl_hf_adopt (files, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (atl_checkpoint_n_tensors (written), ==, atl_checkpoint_n_tensors (adopted));
  read_logits (adopted, &want, &n);
  read_logits (written, &got, &n_written);
  g_assert_cmpuint (n, ==, n_written);
  /* Scaled fp8 and inputs in another order have no type of GGUF's: half precision. */
  g_assert_cmpfloat (model_fixture_distance (got, want, n), <, 2e-3);
}

/* Any part of a model that was written in parts stands for all of them. */
static void
test_parts (void)
{
  Model model = { "llama", 8, 8, 0, TRUE };
  g_autofree char *in = write_model (&model, "whole.gguf");
  g_autofree char *out = g_build_filename (folder, "cut.gguf", NULL);
  g_autofree char *part = g_build_filename (folder, "cut-00002-of-00003.gguf", NULL);
  g_autofree char *again = g_build_filename (folder, "again.gguf", NULL);
  char *cut[] = {
    (char *) "quantize", (char *) "--split-size", (char *) "1M", in, out, (char *) "F32", NULL
  };
  char *look[] = { (char *) "inspect", part, NULL };
  g_autoptr (AtlCheckpoint) all = NULL;
  g_autoptr (AtlCheckpoint) joined = NULL;
  int keep = dup (STDOUT_FILENO), nowhere = open ("/dev/null", O_WRONLY | O_CLOEXEC), rc;

  fflush (stdout);
  dup2 (nowhere, STDOUT_FILENO);
  rc = atl_tool_quantize (6, cut) | atl_tool_inspect (2, look);
  fflush (stdout);
  dup2 (keep, STDOUT_FILENO);
  close (keep);
  close (nowhere);
  g_assert_cmpint (rc, ==, 0);
  g_assert_cmpint (call (atl_tool_quantize, part, again, "F32"), ==, 0);
  all = open_file (in);
  joined = open_file (again);
  g_assert_cmpuint (atl_checkpoint_n_tensors (joined), ==, atl_checkpoint_n_tensors (all));
}

/* A folder that lacks something says what. */
static void
test_incomplete (gconstpointer path)
{
  static const struct
  {
    const char *without, *words;
  } cases[] = {
    { "config.json", "with its config.json" },
    { "tokenizer.json", "tokenizer.json or tokenizer.model should lie beside" },
    { "model.safetensors", "holds no .safetensors files" },
  };
  g_autofree char *out = g_build_filename (folder, "incomplete.gguf", NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *whole = with_vocabulary (path);
      g_autofree char *file = g_build_filename (whole, cases[i].without, NULL);
      g_autofree char *text = NULL;

      g_assert_cmpint (g_remove (file), ==, 0);
      text = refusal (atl_tool_convert, whole, out, NULL);
      if (strstr (text, cases[i].words) == NULL)
        g_test_fail_printf ("without %s: %s", cases[i].without, text);
      g_assert_false (g_file_test (out, G_FILE_TEST_EXISTS));
    }
}

/* A type that no file is written in is another matter than one that there is not. */
static void
test_type_words (void)
{
  g_autofree char *out = g_build_filename (folder, "no-type.gguf", NULL);
  g_autofree char *known = refusal (atl_tool_quantize, "in.gguf", out, "iq2_xxs");
  g_autofree char *unknown = refusal (atl_tool_quantize, "in.gguf", out, "Q9");

  g_assert_nonnull (strstr (known, "the type “iq2_xxs” can be read, but is not written"));
  g_assert_nonnull (strstr (unknown, "there is no type “Q9”"));
}

/* A program that is ended while it writes leaves nothing behind: the file of a large model would
 * lie hidden for good. */
static void
test_killed (void)
{
  g_autofree char *place = g_build_filename (folder, "killed", NULL);
  g_autofree char *out = g_build_filename (place, "out.gguf", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = NULL;
  int probe, status;
  pid_t pid;

  g_assert_cmpint (g_mkdir (place, 0700), ==, 0);
  probe = open (place, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  if (probe < 0)
    {
      g_test_skip ("this file system has no files without a name");
      return;
    }
  close (probe);
  pid = fork ();
  g_assert_cmpint (pid, >=, 0);
  if (pid == 0)
    {
      const gint64 dim[] = { 8, 8 };
      AtlGgufWriter *writer = atl_gguf_writer_new (out, NULL);

      atl_gguf_writer_add_tensor (writer, "a", ATL_DTYPE_F32, 2, dim);
      atl_gguf_writer_begin (writer, NULL);
      raise (SIGKILL);
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFSIGNALED (status));
  dir = g_dir_open (place, 0, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (g_dir_read_name (dir), ==, NULL);
}

int
main (int argc, char **argv)
{
  g_autoptr (GPtrArray) paths = NULL;
  g_autoptr (GError) error = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("atelier-quantize-XXXXXX", &error);
  g_assert_no_error (error);
  g_test_add_func ("/tools/quantize/errors", test_errors);
  g_test_add_func ("/tools/quantize/types", test_types);
  g_test_add_func ("/tools/quantize/parts", test_parts);
  g_test_add_func ("/tools/quantize/type-words", test_type_words);
  g_test_add_func ("/tools/quantize/killed", test_killed);
  paths = model_fixture_folders ();
  g_assert_cmpuint (paths->len, >, 10);
  for (guint i = 0; i < paths->len; i++)
    {
      g_autofree char *base = g_path_get_basename (paths->pdata[i]);
      g_autofree char *path = g_strdup_printf ("/tools/convert/%s", base);

      g_test_add_data_func (path, paths->pdata[i], test_folder);
      if (strcmp (base, "olmoe") == 0)
        g_test_add_data_func ("/tools/convert/incomplete", paths->pdata[i], test_incomplete);
    }
  status = g_test_run ();
  model_fixture_end ();
  remove_folder (folder);
  g_free (folder);
  return status;
}
