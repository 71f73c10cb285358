/* Memory that is lowered until a picture is refused, for each family: on the processor and on a
 * device every way of drawing is met, the picture stays the same or has no seams, a refusal names
 * what would help, and what it names does. The service runs in this process; the amounts of memory
 * are made up. Without ATELIER_FAULT_ROUNDS only the processor, and the families that come with the
 * source; service/picture-device has the ways of a device at a small size. */
#include "gpu-world.h"

#include <string.h>

#include "engine/service/fit.h"
#include "engine/service/service-private.h"
#include "family-models.h"

/* Larger than the smallest tile, so that there are some. */
#define SIDE 320u
#define STEPS 2u
/* Of 255: floats are added in another order. Networks with random weights make more of that than
 * others; what is another picture is tens away. */
#define MEAN_APART 2.0
/* Steps between neighbours across a seam, beside the largest anywhere in the picture as a whole. */
#define MOST_SEAM 1.6

static guint64 free_bytes;

static void
read_memory (AtlMemory *memory)
{
  memory->total_bytes = 64ull << 30;
  memory->free_bytes = free_bytes + atl_fit_reserve (memory->total_bytes);
}

/* --- Pictures --- */

static double
mean_apart (GBytes *a, GBytes *b)
{
  const guint8 *x = g_bytes_get_data (a, NULL), *y = g_bytes_get_data (b, NULL);
  gsize n = g_bytes_get_size (a);
  double sum = 0;

  g_assert_cmpuint (n, ==, g_bytes_get_size (b));
  for (gsize i = 0; i < n; i++)
    sum += ABS (x[i] - y[i]);
  return sum / (double) n;
}

/* The largest mean step from one column (or row) to the next. */
static double
largest_step (GBytes *picture, gboolean is_row)
{
  const guint8 *rgb = g_bytes_get_data (picture, NULL);
  double most = 0;

  for (guint i = 0; i + 1 < SIDE; i++)
    {
      double sum = 0;

      for (guint k = 0; k < SIDE; k++)
        for (guint c = 0; c < 3; c++)
          {
            guint a = is_row ? i * SIDE + k : k * SIDE + i, b = is_row ? a + SIDE : a + 1;

            sum += ABS (rgb[a * 3 + c] - rgb[b * 3 + c]);
          }
      most = MAX (most, sum / (3 * SIDE));
    }
  return most;
}

/* --- One family --- */

typedef struct
{
  const FamilyModel *model;
  char *folder;
  GBytes *kept;  /* (owned) the picture with all the memory there is */
  GBytes *tiled; /* (owned) (nullable) the last that was finished in tiles */
  guint64 least; /* bytes that some way needs */
  GHashTable *ways;
} Sweep;

static GVariant *
draw_settings (const FamilyModel *model, guint width, guint height)
{
  g_autoptr (GVariant) own = g_variant_ref_sink (
      g_variant_new_parsed (model->settings != NULL ? model->settings : "@a{sv} {}"));
  GVariantDict dict;

  g_variant_dict_init (&dict, own);
  g_variant_dict_insert (&dict, "prompt", "s", "a red fox");
  g_variant_dict_insert (&dict, "seed", "u", 3);
  g_variant_dict_insert (&dict, "width", "u", width);
  g_variant_dict_insert (&dict, "height", "u", height);
  g_variant_dict_insert (&dict, "steps", "u", STEPS);
  return g_variant_dict_end (&dict);
}

/* The same picture; or, where its autoencoder works in tiles, one without seams, which weights that
 * come and go leave as it is. */
static void
compare (Sweep *self, GBytes *drawn, const char *words)
{
  gboolean comes_and_goes =
      strstr (words, "from the disk") != NULL || strstr (words, "are sent") != NULL;
  gboolean is_tiled = comes_and_goes || strstr (words, "tiles") != NULL ||
                      strstr (words, "reads the prompt") != NULL;
  double seam, apart = mean_apart (drawn, self->kept);

  if (!is_tiled)
    {
      g_test_message ("  %.3f apart", apart);
      g_assert_cmpfloat (apart, <=, MEAN_APART);
      return;
    }
  seam = MAX (largest_step (drawn, TRUE) / largest_step (self->kept, TRUE),
              largest_step (drawn, FALSE) / largest_step (self->kept, FALSE));
  g_test_message ("  in tiles %.3f apart, its steps %.2f of those as a whole", apart, seam);
  g_assert_cmpfloat (seam, <=, MOST_SEAM);
  if (comes_and_goes && self->tiled != NULL)
    {
      apart = mean_apart (drawn, self->tiled);
      g_test_message ("  %.3f from the one before", apart);
      g_assert_cmpfloat (apart, <=, MEAN_APART);
    }
  g_clear_pointer (&self->tiled, g_bytes_unref);
  self->tiled = g_bytes_ref (drawn);
}

/* One limit: what is told beforehand, and what is made. The bytes that it needs; 0 when refused. */
static guint64
try_limit (World *world, Sweep *self, const char *device, GVariant **told)
{
  g_autofree char *options = g_strdup_printf ("{'device': <'%s'>}", device);
  g_autoptr (GError) error = NULL;
  guint model = world_load (world, self->folder, options, &error);
  g_autoptr (GVariant) price = NULL;
  g_autoptr (GBytes) drawn = NULL;
  g_autofree char *words = NULL;
  guint64 needed;

  g_assert_no_error (error);
  price =
      world_price_of (world, model, draw_settings (self->model, SIDE, SIDE), self->model->inputs);
  words = atl_dict_string (price, ATL_INFO_FIT_WORDS, "");
  needed = atl_dict_uint64 (price, ATL_INFO_NEEDED_BYTES, 0);
  drawn = world_draw_of (world, model, draw_settings (self->model, SIDE, SIDE), SIDE, SIDE,
                         self->model->inputs);
  if (atl_dict_bool (price, ATL_INFO_FITS, FALSE))
    {
      if (drawn == NULL)
        g_error ("%s: “%s”, but: %s", self->model->name, words, world->failure);
      g_test_message ("%s on %s, %" G_GUINT64_FORMAT ": %s", self->model->name, device, needed,
                      words);
      self->least = MIN (self->least, needed);
      if (self->kept == NULL)
        self->kept = g_bytes_ref (drawn);
      compare (self, drawn, words);
      g_hash_table_add (self->ways,
                        g_strdup (strchr (words, ':') != NULL ? strchr (words, ':') : ""));
    }
  else
    {
      guint width = atl_dict_uint (price, ATL_PRICE_FIT_WIDTH, 0);
      guint height = atl_dict_uint (price, ATL_PRICE_FIT_HEIGHT, 0);

      g_assert_null (drawn);
      g_test_message ("%s on %s, refused: %s", self->model->name, device, world->failure);
      /* Pictures that it begins with are read before it is judged. */
      g_assert_true (strstr (world->failure, words) != NULL ||
                     (*self->model->inputs != '\0' &&
                      strstr (world->failure, "free memory left for") != NULL));
      /* The least that is known to do is what is told. */
      g_assert_cmpuint (needed, <=, self->least);
      needed = 0;
      /* What it names does. */
      if (width > 0)
        {
          g_autofree char *size = g_strdup_printf ("%u × %u pixels would fit", width, height);
          g_autoptr (GBytes) smaller = NULL;

          g_assert_nonnull (strstr (words, size));
          smaller = world_draw_of (world, model, draw_settings (self->model, width, height), width,
                                   height, self->model->inputs);
          if (smaller == NULL)
            g_error ("%s: “%s”, but: %s", self->model->name, words, world->failure);
        }
      else
        g_assert_true (strstr (words, "smaller model") != NULL ||
                       strstr (words, "processor") != NULL);
    }
  if (told != NULL)
    *told = g_steal_pointer (&price);
  world_unload (world, model);
  return needed;
}

static gboolean
sweep_init (Sweep *self, gconstpointer model)
{
  *self = (Sweep){ .model = model, .least = G_MAXUINT64 };
  self->folder = family_model_folder (self->model);
  if (self->folder == NULL)
    {
      g_test_skip ("no golden cases of this family: this case did not run");
      return FALSE;
    }
  self->ways = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return TRUE;
}

static void
sweep_clear (Sweep *self)
{
  patched_model_remove (self->folder);
  g_free (self->folder);
  g_bytes_unref (self->kept);
  g_clear_pointer (&self->tiled, g_bytes_unref);
  g_hash_table_unref (self->ways);
}

/* A byte less than the last way took, until it is refused; and then nearly nothing. */
static void
test_host (gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  AtlDevices *devices = atl_devices_new (FALSE, NULL, &error);
  guint64 needed;
  World world;
  Sweep sweep;

  g_assert_no_error (error);
  if (!sweep_init (&sweep, data))
    {
      atl_devices_free (devices);
      return;
    }
  world_open (&world, devices);
  free_bytes = 60ull << 30;
  world.service->read_memory = read_memory;
  while ((needed = try_limit (&world, &sweep, "cpu", NULL)) > 0)
    {
      g_assert_cmpuint (needed, <=, free_bytes);
      free_bytes = needed - 1;
    }
  free_bytes = 4096;
  g_assert_cmpuint (try_limit (&world, &sweep, "cpu", NULL), ==, 0);
  /* All kept, one after the other; what little tiles of so small networks save varies. */
  g_assert_cmpuint (g_hash_table_size (sweep.ways), >=, 2);
  world_close (&world);
  sweep_clear (&sweep);
}

/* A picture to begin with that there is no room for is refused, and is not read. */
static void
test_start (gconstpointer data)
{
  g_autofree char *folder = family_model_folder (data);
  g_autoptr (GError) error = NULL;
  AtlDevices *devices = atl_devices_new (FALSE, NULL, &error);
  const guint64 array = (3 + 1) * SIDE * SIDE * sizeof (float);
  guint model;
  World world;

  g_assert_no_error (error);
  world_open (&world, devices);
  world.service->read_memory = read_memory;
  free_bytes = array - 1;
  model = world_load (&world, folder, "{'device': <'cpu'>}", &error);
  g_assert_no_error (error);
  g_assert_null (
      world_draw_of (&world, model, draw_settings (data, SIDE, SIDE), SIDE, SIDE, "image"));
  g_assert_nonnull (strstr (world.failure, "of free memory left for “image”"));
  free_bytes = array;
  g_assert_null (
      world_draw_of (&world, model, draw_settings (data, SIDE, SIDE), SIDE, SIDE, "image"));
  g_assert_nonnull (strstr (world.failure, "A picture of"));
  world_close (&world);
  patched_model_remove (folder);
}

static void
set_device_room (AtlBackend *gpu, guint64 room)
{
  /* What is free is that without a tenth. */
  gpu->memory_total = gpu->memory_free = room / 9 * 10 + (room % 9) * 10 / 9;
}

/* The same on a device. Weights that come and go may be ever fewer: a third less each time. */
static void
test_device (gconstpointer data)
{
  guint64 needed;
  AtlBackend *gpu;
  World world;
  Sweep sweep;

  if (!gpu_world_open (&world))
    return;
  if (!sweep_init (&sweep, data))
    {
      world_close (&world);
      return;
    }
  gpu = world.devices->gpu;
  free_bytes = 60ull << 30;
  world.service->read_memory = read_memory;
  while ((needed = try_limit (&world, &sweep, "gpu", NULL)) > 0)
    set_device_room (gpu, needed - (g_hash_table_size (sweep.ways) > 3 ? needed / 3 : 1));
  set_device_room (gpu, 4096);
  g_assert_cmpuint (try_limit (&world, &sweep, "gpu", NULL), ==, 0);
  /* Room on the device, none beside it, whose memory it does not share. */
  gpu->shares_memory = FALSE;
  set_device_room (gpu, 1ull << 40);
  free_bytes = 4096;
  sweep.least = G_MAXUINT64;
  g_assert_cmpuint (try_limit (&world, &sweep, "gpu", NULL), ==, 0);
  g_assert_nonnull (strstr (world.failure, "of the computer's memory"));
  g_assert_cmpuint (g_hash_table_size (sweep.ways), >=, 3);
  world_close (&world);
  sweep_clear (&sweep);
}

int
main (int argc, char **argv)
{
  gboolean is_long = g_getenv ("ATELIER_FAULT_ROUNDS") != NULL;

  g_test_init (&argc, &argv, NULL);
  gpu_world_init ();
  for (guint i = 0; i < family_models_n (); i++)
    {
      const FamilyModel *model = family_model (i);
      g_autofree char *host = g_strdup_printf ("/limits/host/%s", model->name);
      g_autofree char *device = g_strdup_printf ("/limits/device/%s", model->name);

      if (!is_long && (!model->is_shipped || *model->inputs != '\0'))
        continue;
      if (g_str_equal (model->name, "sd15"))
        g_test_add_data_func ("/limits/start", model, test_start);
      g_test_add_data_func (host, model, test_host);
      /* At this size minutes, on a device that is a processor. */
      if (is_long)
        g_test_add_data_func (device, model, test_device);
    }
  return g_test_run ();
}
