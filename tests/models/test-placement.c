/* What lives where when a device has less memory than a model needs: layers, and a mixture's
 * experts by themselves. The device is PoCL with the memory that the test says; the numbers must be
 * those of the CPU, whatever lives where. */
#include <string.h>

#include "model-fixture.h"
#include "opencl-fixture.h"

#define N_IDS 23
/* Float32 throughout, in another order. */
#define TOLERANCE 2e-5

static const gint32 ids[N_IDS] = { 1,  7,  3,  9, 2, 8, 4, 6, 5, 1, 11, 12,
                                   13, 14, 15, 3, 7, 9, 2, 4, 8, 6, 10 };

typedef struct
{
  AtlCheckpoint *cp;
  AtlBackend *backends[2];
  guint64 memory; /* of the device, as it is */
  float *want;    /* logits of the last id */
  guint n_vocab;
} World;

static gboolean
world_open (World *self, const char *family)
{
  g_autoptr (GError) error = NULL;

  self->backends[0] = opencl_fixture_open (opencl_fixture_cache_dir ());
  if (self->backends[0] == NULL)
    return FALSE;
  self->memory = self->backends[0]->memory_total;
  self->backends[1] = model_fixture_cpu (TRUE);
  self->cp = model_fixture_open (family, "model.gguf");

  g_autoptr (AtlLlm) llm = model_fixture_load (self->cp, self->backends[1]);
  g_autoptr (AtlLlmCache) cache = atl_llm_cache_new (llm, 64, ATL_DTYPE_F32, &error);

  g_assert_no_error (error);
  self->n_vocab = atl_llm_info (llm)->n_vocab;
  self->want =
      g_memdup2 (model_fixture_feed (llm, cache, ids, N_IDS), self->n_vocab * sizeof *self->want);
  return TRUE;
}

static void
world_close (World *self)
{
  g_free (self->want);
  atl_checkpoint_unref (self->cp);
  atl_backend_free (self->backends[0]);
}

/* Loads with `memory` bytes free on the device, runs, and frees. Returns the words. */
static char *
try (World *self, guint64 memory, guint n_gpu_layers, guint n_cpu_experts, AtlLlmInfo *info)
{
  AtlLlmOptions options = { .n_gpu_layers = n_gpu_layers,
                            .n_cpu_experts = n_cpu_experts,
                            .n_ctx_hint = 64,
                            .n_batch = 16,
                            .kv_dtype = ATL_DTYPE_F16 };
  AtlBackend *gpu = self->backends[0];
  g_autoptr (GError) error = NULL;
  double distance;
  char *words;

  gpu->memory_total = gpu->memory_free = memory;
  g_autoptr (AtlLlm) llm =
      atl_llm_new (self->cp, self->backends, 2, &options, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  g_autoptr (AtlLlmCache) cache = atl_llm_cache_new (llm, 64, ATL_DTYPE_F32, &error);
  g_assert_no_error (error);

  /* In pieces: a prompt, then one by one. */
  model_fixture_feed (llm, cache, ids, N_IDS - 3);
  for (guint i = N_IDS - 3; i + 1 < N_IDS; i++)
    model_fixture_feed (llm, cache, ids + i, 1);
  distance = model_fixture_distance (model_fixture_feed (llm, cache, ids + N_IDS - 1, 1),
                                     self->want, self->n_vocab);
  *info = *atl_llm_info (llm);
  words = atl_llm_placement (llm);
  g_test_message ("%" G_GUINT64_FORMAT " KiB: %u layers, %u apart, distance %.2g: %s",
                  memory / 1024, info->n_layers_on_device, info->n_layers_apart, distance, words);
  g_assert_cmpfloat (distance, <, TOLERANCE);
  /* What was promised to fit does. */
  if (n_gpu_layers == G_MAXUINT)
    g_assert_cmpuint (info->device_bytes, <=, memory);
  return words;
}

/* Every amount of memory, from none to plenty. */
static void
test_memory (gconstpointer family)
{
  guint n_kinds = 0, last_layers = 0;
  gboolean was_apart = FALSE;
  World world = { 0 };
  AtlLlmInfo info;
  guint64 least, most;

  if (!world_open (&world, family))
    return;
  g_autofree char *all = try (&world, world.memory, G_MAXUINT, G_MAXUINT, &info);
  g_assert_cmpstr (all, ==, world.backends[0]->description);
  g_assert_cmpuint (info.n_layers_on_device, ==, info.n_layer);
  g_assert_cmpuint (info.n_layers_apart, ==, 0);
  /* A little more than 8 MiB of scratch is kept free, and a tenth. */
  least = (8 << 20) * 10 / 9;
  most = (info.device_bytes + (17 << 19)) * 10 / 9;
  for (guint64 memory = least; memory < most; memory += (most - least) / 12)
    {
      g_autofree char *words = try (&world, memory, G_MAXUINT, G_MAXUINT, &info);

      g_assert_cmpuint (info.n_layers_on_device, >=, last_layers);
      last_layers = info.n_layers_on_device;
      was_apart = was_apart || info.n_layers_apart > 0;
      n_kinds += info.n_layers_apart > 0
                     ? strstr (words, "experts") != NULL && strstr (words, "memory is full") != NULL
                     : 1;
    }
  g_assert_cmpuint (n_kinds, >=, 12);
  g_assert_cmpint (was_apart, ==, g_str_equal (family, "llm-mixtral"));
  world_close (&world);
}

/* A number from a larger device, or from when more was free, is no reason to fail. */
static void
test_too_many (void)
{
  World world = { 0 };
  AtlLlmInfo info;
  guint n_cut = 0;

  if (!world_open (&world, "llm-llama2"))
    return;
  g_autofree char *all = try (&world, world.memory, 1000, G_MAXUINT, &info);
  g_assert_cmpstr (all, ==, world.backends[0]->description);
  /* What is computed between layers takes a little more than 8 MiB. */
  for (guint64 memory = 8 << 20; memory < 9 << 20; memory += 32 << 10)
    {
      g_autofree char *some = try (&world, memory, 1000, G_MAXUINT, &info);

      g_assert_cmpuint (info.device_bytes, <=, memory);
      if (info.n_layers_on_device > 0 && info.n_layers_on_device < info.n_layer)
        n_cut += strstr (some, "memory is full") != NULL;
    }
  g_assert_cmpuint (n_cut, >, 0);
  g_assert_cmpuint (info.n_layers_on_device, ==, info.n_layer);
  g_autofree char *none = try (&world, 0, 1000, G_MAXUINT, &info);
  g_assert_cmpuint (info.n_layers_on_device, ==, 0);
  g_assert_cmpstr (none, ==, world.backends[1]->description);
  world_close (&world);
}

/* Any number of layers on the device, with their experts or without: also where layers read the
 * keys of others, which may be elsewhere. */
static void
test_layers (gconstpointer family)
{
  World world = { 0 };
  AtlLlmInfo info = { .n_layer = 1 };
  gboolean has_experts = FALSE;

  if (!world_open (&world, family))
    return;
  for (guint n = 0; n <= info.n_layer; n++)
    for (guint apart = 0; apart < 2; apart++)
      {
        g_autofree char *words = try (&world, world.memory, n, apart ? 1000 : 0, &info);

        g_assert_cmpuint (info.n_layers_on_device, ==, n);
        g_assert_true (g_utf8_validate (words, -1, NULL));
        if (n == info.n_layer && apart)
          has_experts = info.n_layers_apart > 0;
      }
  /* Of layers that have some, wherever the first is. */
  if (has_experts)
    {
      g_autofree char *words = try (&world, world.memory, 1000, 1, &info);

      g_assert_cmpuint (info.n_layers_apart, ==, 1);
    }
  world_close (&world);
}

static void
test_options (void)
{
  World world = { 0 };
  AtlLlmInfo info;

  if (!world_open (&world, "llm-mixtral"))
    return;
  g_autofree char *apart = try (&world, world.memory, G_MAXUINT, 1, &info);
  g_assert_cmpuint (info.n_layers_on_device, ==, info.n_layer);
  g_assert_cmpuint (info.n_layers_apart, ==, 1);
  g_assert_nonnull (
      strstr (apart, ", the experts of 1 layer on the processor, because the settings"));

  g_autofree char *one = try (&world, world.memory, 1, G_MAXUINT, &info);
  g_assert_cmpuint (info.n_layers_on_device, ==, 1);
  g_assert_cmpuint (info.n_layers_apart, ==, 0);
  g_assert_nonnull (strstr (one, "1 of "));
  g_assert_nonnull (strstr (one, "the rest on the processor, because the settings say so"));

  g_autofree char *both = try (&world, world.memory, 1, 1000, &info);
  g_assert_cmpuint (info.n_layers_apart, ==, 1);
  g_assert_nonnull (strstr (both, "the rest and the experts of 1 layer on the processor"));

  g_autofree char *whole = try (&world, world.memory, 1000, 0, &info);
  g_assert_cmpstr (whole, ==, world.backends[0]->description);
  g_autofree char *none = try (&world, world.memory, 0, G_MAXUINT, &info);
  g_assert_nonnull (strstr (none, "CPU"));
  g_assert_cmpuint (info.n_layers_on_device, ==, 0);
  world_close (&world);
}

int
main (int argc, char **argv)
{
  static const char *const families[] = { "llm-deepseek2-lite", "llm-gpt-oss",       "llm-llama4",
                                          "llm-gemma4",         "llm-gemma4-moe",    "llm-gemma3n",
                                          "llm-qwen35",         "llm-granitehybrid", "llm-mamba2" };
  int status;

  g_test_init (&argc, &argv, NULL);
  opencl_fixture_cache_dir ();
  g_test_add_data_func ("/placement/memory/mixture", "llm-mixtral", test_memory);
  g_test_add_data_func ("/placement/memory/dense", "llm-llama2", test_memory);
  g_test_add_func ("/placement/options", test_options);
  g_test_add_func ("/placement/too-many", test_too_many);
  for (gsize i = 0; i < G_N_ELEMENTS (families); i++)
    {
      g_autofree char *path = g_strdup_printf ("/placement/layers/%s", families[i]);
      g_test_add_data_func (path, families[i], test_layers);
    }
  status = g_test_run ();
  model_fixture_end ();
  return status;
}
