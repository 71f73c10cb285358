/* An adapter beside a model's files: its strength changes the next answer, without loading anything
 * again, and what was computed with another strength is forgotten. */
#include <glib/gstdio.h>
#include <string.h>

#include "conformance.h"
#include "engine/convert/requant.h"
#include "engine/formats/gguf.h"
#include "engine/pipelines/chat-file.h"
#include "engine/pipelines/chat-model-private.h"
#include "engine/pipelines/chat-turn.h"
#include "engine/tensor/cpu/cpu.h"

#define WIDTH 64 /* of stories260K */
#define RANK 2
#define CONFIG "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4, \"bias\": \"none\"}"

static char *folder;

static char *
write_file (const char *name, const char *bytes, gsize n)
{
  char *path = g_build_filename (folder, name, NULL);

  g_assert_true (g_file_set_contents (path, bytes, (gssize) n, NULL));
  return path;
}

/* PEFT's names; numbers large enough to change every answer. */
static char *
write_adapter (void)
{
  static const char header[] =
      "{\"base_model.model.model.layers.1.self_attn.o_proj.lora_A.weight\":"
      "{\"dtype\":\"F32\",\"shape\":[2,64],\"data_offsets\":[0,512]},"
      "\"base_model.model.model.layers.1.self_attn.o_proj.lora_B.weight\":"
      "{\"dtype\":\"F32\",\"shape\":[64,2],\"data_offsets\":[512,1024]}}";
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);
  guint64 length = GUINT64_TO_LE (sizeof header - 1);

  g_byte_array_append (bytes, (const guint8 *) &length, sizeof length);
  g_byte_array_append (bytes, (const guint8 *) header, sizeof header - 1);
  for (guint i = 0; i < 2 * WIDTH * RANK; i++)
    {
      float value = (float) g_rand_double_range (rand, -0.5, 0.5);
      g_byte_array_append (bytes, (const guint8 *) &value, sizeof value);
    }
  return write_file ("adapter_model.safetensors", (const char *) bytes->data, bytes->len);
}

static AtlChatModel *
open_file (const char *model, gboolean with_adapter)
{
  g_autofree char *weights = write_adapter ();
  g_autofree char *config = write_file ("adapter_config.json", CONFIG, strlen (CONFIG));
  const char *paths[] = { model, weights, config };
  const char *names[] = { "model.gguf", "adapter-0/adapter_model.safetensors",
                          "adapter-0/adapter_config.json" };
  AtlFileMap *maps[3] = { NULL };
  g_autoptr (GError) error = NULL;
  AtlChatModel *self;

  for (guint i = 0; i < 3; i++)
    {
      maps[i] = atl_file_map_new (paths[i], &error);
      g_assert_no_error (error);
    }
  self = atl_chat_model_open (maps, names, with_adapter ? 3 : 1, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < 3; i++)
    atl_file_map_unref (maps[i]);
  return self;
}

static AtlChatModel *
open_model (gboolean with_adapter)
{
  g_autofree char *model = atl_test_conformance ("models/stories260K.gguf");

  return model != NULL ? open_file (model, with_adapter) : NULL;
}

static void
text_cb (const char *text, gboolean is_thinking, gpointer user_data)
{
  g_string_append (user_data, text);
}

static void
done_cb (AtlChatTurn *turn, gpointer user_data)
{
  g_atomic_int_set ((gint *) user_data, TRUE);
}

static char *
answer (AtlChatModel *model)
{
  GString *text = g_string_new (NULL);
  AtlTurnOptions options = { .max_tokens = 24, .thinking = -1, .conversation = "one" };
  AtlTurnSink sink = { .text = text_cb, .user_data = text };
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  AtlChatTurn *turn;
  gint is_done = FALSE;

  atl_sampling_params_init (&options.sampling);
  options.sampling.temperature = 0;
  turn = atl_chat_turn_new (model, NULL, "Once upon a time there was", &options, &sink, cancellable,
                            &error);
  g_assert_no_error (error);
  atl_chat_turn_start (turn, done_cb, &is_done);
  while (!g_atomic_int_get (&is_done))
    g_usleep (200);
  g_assert_null (atl_chat_turn_error (turn));
  atl_chat_turn_free (turn);
  return g_string_free (text, FALSE);
}

/* What is kept of a chat names the adapters and how strong they are. */
static void
check_identity (AtlChatModel *plain, AtlChatModel *changed)
{
  guint8 one[ATL_CHAT_IDENTITY_BYTES], other[ATL_CHAT_IDENTITY_BYTES];
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlLlmCache) a = atl_llm_cache_new (plain->llm, 256, ATL_DTYPE_F16, &error);
  g_autoptr (AtlLlmCache) b = atl_llm_cache_new (changed->llm, 128, ATL_DTYPE_F16, &error);

  g_assert_no_error (error);
  atl_chat_identity (plain, a, one);
  atl_chat_identity (changed, b, other);
  g_assert_cmpint (memcmp (one, other, sizeof one), !=, 0);
  g_assert_true (atl_chat_model_set_strengths (changed, (double[]){ 0.5 }, 1, &error));
  atl_chat_identity (changed, b, one);
  g_assert_cmpint (memcmp (one, other, sizeof one), !=, 0);
  g_assert_true (atl_chat_model_set_strengths (changed, (double[]){ 1 }, 1, &error));
  atl_chat_identity (changed, b, one);
  g_assert_cmpint (memcmp (one, other, sizeof one), ==, 0);
}

/* What the ledger is told. */
static void
check_memory (AtlChatModel *plain, AtlChatModel *changed)
{
  const guint64 bytes = 2 * WIDTH * RANK * sizeof (float);
  AtlChatMemory without, with;

  g_assert_true (atl_chat_model_estimate (plain, 256, ATL_DTYPE_F16, &without, NULL));
  g_assert_true (atl_chat_model_estimate (changed, 256, ATL_DTYPE_F16, &with, NULL));
  g_assert_cmpuint (with.weight_bytes, ==, without.weight_bytes + bytes);
  g_assert_cmpuint (atl_chat_model_host_bytes (changed), ==,
                    atl_chat_model_host_bytes (plain) + bytes);
}

static void
test_strength (void)
{
  AtlCpuOptions cpu_options = { .best_level = TRUE, .n_threads = 1 };
  AtlChatModelOptions options = { .n_ctx = 256,
                                  .kv_dtype = ATL_DTYPE_F16,
                                  .n_gpu_layers = G_MAXUINT };
  g_autoptr (GError) error = NULL;
  AtlBackend *cpu = atl_cpu_backend_new (&cpu_options, &error);
  AtlChatModel *plain = open_model (FALSE), *changed = open_model (TRUE);
  g_autofree char *without = NULL, *with = NULL, *nothing = NULL, *again = NULL;

  g_assert_no_error (error);
  if (plain != NULL)
    {
      atl_chat_model_load (plain, &cpu, 1, &options, NULL, NULL, NULL, &error);
      atl_chat_model_load (changed, &cpu, 1, &options, NULL, NULL, NULL, &error);
      g_assert_no_error (error);
      check_memory (plain, changed);
      check_identity (plain, changed);
      without = answer (plain);
      with = answer (changed);
      g_assert_cmpstr (with, !=, without);
      g_assert_true (atl_chat_model_set_strengths (changed, (double[]){ 0 }, 1, &error));
      nothing = answer (changed);
      g_assert_cmpstr (nothing, ==, without);
      g_assert_true (atl_chat_model_set_strengths (changed, (double[]){ 1 }, 1, &error));
      again = answer (changed);
      g_assert_cmpstr (again, ==, with);
      g_assert_false (atl_chat_model_set_strengths (changed, (double[]){ 1, 1 }, 2, &error));
      g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
      g_clear_error (&error);
      g_assert_false (atl_chat_model_set_strengths (changed, (double[]){ 1e9 }, 1, &error));
      g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
    }
  atl_chat_model_free (plain);
  atl_chat_model_free (changed);
  atl_backend_free (cpu);
}

/* The GPU needs programs for an adapter's matrices too, before it is loaded: of a model in eight
 * bits none would be there. */
static void
test_programs (void)
{
  g_autofree char *path = atl_test_conformance ("models/stories260K.gguf");
  g_autofree char *small = g_build_filename (folder, "small.gguf", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlFileMap) map = NULL;
  g_autoptr (AtlCheckpoint) cp = NULL;
  AtlRequant job = { .mix = atl_mix_find ("Q8_0") };
  AtlRequantSummary summary;

  if (path == NULL)
    return;
  map = atl_file_map_new (path, &error);
  g_assert_no_error (error);
  job.cp = cp = atl_gguf_open (&map, 1, &error);
  g_assert_no_error (error);
  g_assert_true (atl_requant_write (&job, small, &summary, &error));
  g_assert_no_error (error);
  for (guint with_adapter = 0; with_adapter < 2; with_adapter++)
    {
      AtlChatModel *model = open_file (small, with_adapter);
      guint64 dtypes = atl_chat_model_matrix_dtypes (model);

      g_assert_cmpuint (dtypes >> ATL_DTYPE_F32 & 1, ==, with_adapter);
      atl_chat_model_free (model);
    }
}

int
main (int argc, char **argv)
{
  static const char *const names[] = { "adapter_model.safetensors", "adapter_config.json",
                                       "small.gguf" };
  int result;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("atelier-adapters-XXXXXX", NULL);
  g_test_add_func ("/pipelines/adapters/strength", test_strength);
  g_test_add_func ("/pipelines/adapters/programs", test_programs);
  result = g_test_run ();
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = g_build_filename (folder, names[i], NULL);
      g_unlink (path);
    }
  g_rmdir (folder);
  g_free (folder);
  return result;
}
