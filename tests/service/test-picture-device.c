/* Pictures on a GPU: the same as the CPU's, in every way that its memory allows, and on the CPU
 * when it fails. The service runs in this process, on PoCL with a layer that makes its calls fail.
 */
#include "gpu-world.h"

#include <string.h>

#include "small-model.h"

#define SIDE 64u
#define STEPS 2u
/* Of 255: floats are added in another order. */
#define MOST_APART 3

/* A device whose memory is watched. */
static AtlBackendClass watched;
static const AtlBackendClass *plain;
static guint64 most_used;

static void
note_use (const AtlBackend *backend)
{
  most_used = MAX (most_used, backend->memory_total - backend->memory_free);
}

static AtlBuffer *
watched_alloc (AtlBackend *backend, gsize size, GError **error)
{
  AtlBuffer *buffer = plain->alloc (backend, size, error);

  note_use (backend);
  return buffer;
}

static gboolean
watched_upload (AtlBackend *backend, AtlWeight *weight, GError **error)
{
  gboolean ok = plain->upload (backend, weight, error);

  note_use (backend);
  return ok;
}

static guint
load (World *world, const char *path, const char *options)
{
  g_autoptr (GError) error = NULL;
  guint model = world_load (world, path, options, &error);

  g_assert_no_error (error);
  return model;
}

static char *
where (World *world)
{
  return atl_dict_string (world->stats, ATL_INFO_RUNS_ON, "");
}

static int
apart (GBytes *a, GBytes *b)
{
  const guint8 *x = g_bytes_get_data (a, NULL), *y = g_bytes_get_data (b, NULL);
  int most = 0;

  g_assert_cmpuint (g_bytes_get_size (a), ==, g_bytes_get_size (b));
  for (gsize i = 0; i < g_bytes_get_size (a); i++)
    most = MAX (most, ABS (x[i] - y[i]));
  return most;
}

/* A byte less than the last way took, or a tenth where that only makes more weights come and go,
 * until the CPU has to do it: each time what was told is what is used, and the picture is the same.
 */
static void
test_ways (gconstpointer family)
{
  g_autofree char *folder = small_model_folder (family);
  g_autoptr (GHashTable) ways = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GBytes) on_cpu = NULL;
  gboolean is_over = FALSE;
  AtlBackend *gpu;
  guint cpu, model;
  World world;

  if (!gpu_world_open (&world))
    return;
  gpu = world.devices->gpu;
  plain = gpu->klass;
  watched = *plain;
  watched.alloc = watched_alloc;
  watched.upload = watched_upload;
  cpu = load (&world, folder, "{'device': <'cpu'>}");
  on_cpu = world_draw (&world, cpu, SIDE, STEPS);
  g_assert_nonnull (on_cpu);
  while (!is_over)
    {
      g_autoptr (GVariant) price = NULL;
      g_autoptr (GBytes) drawn = NULL;
      g_autofree char *words = NULL;
      g_autofree char *runs_on = NULL;
      guint64 needed, there;

      /* Loaded anew: nothing of it is there. */
      model = load (&world, folder, "{'device': <'auto'>}");
      price = world_price (&world, model, SIDE);
      needed = atl_dict_uint64 (price, ATL_INFO_NEEDED_BYTES, 0);
      words = atl_dict_string (price, ATL_INFO_RUNS_ON, "");
      most_used = 0;
      gpu->klass = &watched;
      there = gpu->memory_total - gpu->memory_free;
      drawn = world_draw (&world, model, SIDE, STEPS);
      gpu->klass = plain;
      g_assert_nonnull (drawn);
      runs_on = where (&world);
      g_assert_cmpstr (runs_on, ==, words);
      is_over = g_str_has_prefix (runs_on, "CPU");
      if (is_over)
        {
          g_assert_cmpuint (most_used, ==, 0);
          g_assert_nonnull (strstr (runs_on, "no room"));
          g_assert_cmpint (apart (drawn, on_cpu), ==, 0);
        }
      else
        {
          g_autofree char *fit = atl_dict_string (price, ATL_INFO_FIT_WORDS, "");

          g_assert_nonnull (strstr (runs_on, gpu->description));
          g_assert_cmpuint (most_used - there, >, needed / 2);
          g_assert_cmpuint (most_used - there, <=, needed);
          /* Random weights make tiles' pixels differ freely. */
          if (strstr (fit, "tiles") == NULL)
            g_assert_cmpint (apart (drawn, on_cpu), <=, MOST_APART);
          g_test_message ("%s: %s (%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT ")", runs_on, fit,
                          most_used - there, needed);
          g_hash_table_add (ways, g_strdup (strchr (fit, ':') != NULL ? strchr (fit, ':') : ""));
          /* What is free is that without a tenth. */
          if (strstr (runs_on, "sent") != NULL)
            needed -= needed / 10;
          gpu->memory_total = (needed - 1) / 9 * 10 + there;
          gpu->memory_free = gpu->memory_total - there;
        }
      world_unload (&world, model);
    }
  /* Kept, one part after the other, and weights that come and go at least. */
  g_assert_cmpuint (g_hash_table_size (ways), >=, 3);
  world_close (&world);
}

static gboolean
has_layer (void)
{
  if (gpu_world_arm == NULL)
    g_test_skip ("the OpenCL loader took no layer: this case did not run");
  return gpu_world_arm != NULL;
}

/* Wherever the device is lost: the CPU draws the picture, and the next. */
static void
test_lost (void)
{
  static const long calls[] = { 1, 40, 400 };
  g_autofree char *folder = small_model_folder ("sd15");

  if (!has_layer ())
    return;
  for (gsize i = 0; i < G_N_ELEMENTS (calls); i++)
    {
      g_autoptr (GBytes) on_cpu = NULL, drawn = NULL, next = NULL;
      g_autofree char *runs_on = NULL;
      World world;
      guint cpu, model;

      if (!gpu_world_open (&world))
        return;
      cpu = load (&world, folder, "{'device': <'cpu'>}");
      on_cpu = world_draw (&world, cpu, SIDE, STEPS);
      model = load (&world, folder, "{'device': <'auto'>}");
      gpu_world_arm (calls[i], CL_OUT_OF_RESOURCES);
      drawn = world_draw (&world, model, SIDE, STEPS);
      g_assert_nonnull (drawn);
      runs_on = where (&world);
      g_test_message ("%s", runs_on);
      g_assert_nonnull (strstr (runs_on, "the graphics card failed while running"));
      g_assert_nonnull (
          strstr (world.text->str, "The graphics card failed: drawing on the processor"));
      g_assert_cmpint (apart (drawn, on_cpu), ==, 0);
      next = world_draw (&world, model, SIDE, STEPS);
      g_assert_nonnull (next);
      g_assert_true (g_bytes_equal (next, drawn));
      gpu_world_arm (-1, CL_SUCCESS);
      world_close (&world);
    }
}

/* Less memory than the device says: another way or the CPU, and a picture. */
static void
test_no_memory (void)
{
  g_autofree char *folder = small_model_folder ("sd15");
  g_autoptr (GBytes) on_cpu = NULL;
  World world;
  guint cpu;

  if (!has_layer () || !gpu_world_open (&world))
    return;
  cpu = load (&world, folder, "{'device': <'cpu'>}");
  on_cpu = world_draw (&world, cpu, SIDE, STEPS);
  for (long call = 0; call < 60; call += 20)
    {
      g_autoptr (GBytes) drawn = NULL;
      g_autofree char *runs_on = NULL;
      guint model = load (&world, folder, "{'device': <'auto'>}");

      gpu_world_arm (call, CL_MEM_OBJECT_ALLOCATION_FAILURE);
      drawn = world_draw (&world, model, SIDE, STEPS);
      gpu_world_arm (-1, CL_SUCCESS);
      g_assert_nonnull (drawn);
      runs_on = where (&world);
      g_test_message ("%s: %s", runs_on, world.text->str);
      g_assert_cmpint (apart (drawn, on_cpu), <=, MOST_APART);
      world_unload (&world, model);
    }
  world_close (&world);
}

/* An idle chat goes when a picture needs its room there, and the picture's weights when a chat
 * does. */
static void
test_shares (void)
{
  g_autofree char *folder = small_model_folder ("sd15");
  g_autofree char *path = world_model_path ();
  g_autoptr (GVariant) price = NULL;
  g_autoptr (GBytes) drawn = NULL, again = NULL;
  g_autofree char *runs_on = NULL;
  guint64 needed, of_chat;
  AtlBackend *gpu;
  guint model;
  World world;

  if (path == NULL || !gpu_world_open (&world))
    return;
  gpu = world.devices->gpu;
  model = load (&world, folder, "{'device': <'gpu'>}");
  price = world_price (&world, model, SIDE);
  needed = atl_dict_uint64 (price, ATL_INFO_NEEDED_BYTES, 0);
  of_chat = gpu->memory_free;
  load (&world, path, "{'device': <'gpu'>}");
  of_chat -= gpu->memory_free;
  g_assert_cmpuint (of_chat, >, needed / 8);
  gpu->memory_total = needed / 9 * 10 + 4096;
  gpu->memory_free = gpu->memory_total - of_chat;
  drawn = world_draw (&world, model, SIDE, STEPS);
  g_assert_nonnull (drawn);
  runs_on = where (&world);
  g_assert_cmpstr (runs_on, ==, gpu->description);
  while (world.unloaded->len == 0)
    g_main_context_iteration (NULL, TRUE);
  g_test_message ("%s", world.unloaded->str);

  g_assert_cmpuint (gpu->memory_free, <, of_chat);
  load (&world, path, "{'device': <'gpu'>}");
  g_assert_cmpuint (gpu->memory_free, >, needed / 2);
  again = world_draw (&world, model, SIDE, STEPS);
  g_assert_true (g_bytes_equal (again, drawn));
  world_close (&world);
}

static void
test_enlarge (void)
{
  static const char *const files[] = { "esrgan-x2.safetensors", "compact-x4.pth" };
  g_autofree char *folder = small_model_folder ("upscale");
  World world;

  if (!gpu_world_open (&world))
    return;
  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *path = g_build_filename (folder, files[i], NULL);
      g_autoptr (GBytes) on_cpu = NULL, on_gpu = NULL;
      g_autofree char *runs_on = NULL;
      guint cpu = load (&world, path, "{'device': <'cpu'>}");
      guint gpu = load (&world, path, "{'device': <'gpu'>}");

      on_cpu = world_enlarge (&world, cpu, 40, 2);
      on_gpu = world_enlarge (&world, gpu, 40, 2);
      g_assert_nonnull (on_gpu);
      runs_on = where (&world);
      g_assert_cmpstr (runs_on, ==, world.devices->gpu->description);
      g_assert_cmpint (apart (on_cpu, on_gpu), <=, MOST_APART);
      if (gpu_world_arm != NULL && i + 1 == G_N_ELEMENTS (files))
        {
          g_autoptr (GBytes) lost = NULL;
          g_autofree char *after = NULL;

          gpu_world_arm (5, CL_OUT_OF_RESOURCES);
          lost = world_enlarge (&world, gpu, 40, 2);
          gpu_world_arm (-1, CL_SUCCESS);
          g_assert_nonnull (lost);
          after = where (&world);
          g_assert_nonnull (strstr (after, "the graphics card failed while running"));
          g_assert_cmpint (apart (on_cpu, lost), ==, 0);
        }
    }
  world_close (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  gpu_world_init ();
  g_test_add_data_func ("/picture-device/ways/sd15", "sd15", test_ways);
  g_test_add_data_func ("/picture-device/ways/wan21", "wan21", test_ways);
  g_test_add_func ("/picture-device/lost", test_lost);
  g_test_add_func ("/picture-device/no-memory", test_no_memory);
  g_test_add_func ("/picture-device/shares", test_shares);
  g_test_add_func ("/picture-device/enlarge", test_enlarge);
  return g_test_run ();
}
