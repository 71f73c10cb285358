/* What the service refuses arrives in the person's language, with numbers as they are written
 * there; files, templates and the protocol keep the point. */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "base/language.h"
#include "engine/service/service-private.h"
#include "service-fixture.h"

static void
read_memory (AtlMemory *memory)
{
  memory->total_bytes = 1024ull * 1024 * 1024;
  memory->free_bytes = 1;
}

static void
test_too_large (void)
{
  g_autofree char *path = world_model_path ();
  g_autoptr (GError) error = NULL;
  AtlDevices *devices;
  World world;

  if (path == NULL)
    return;
  devices = atl_devices_new (TRUE, NULL, &error);
  g_assert_no_error (error);
  world_open (&world, devices);
  world.service->read_memory = read_memory;
  g_assert_cmpuint (world_load (&world, path, "{'device': <'cpu'>}", &error), ==, 0);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY);
  g_test_message ("%s", error->message);
  g_assert_true (g_str_has_prefix (error->message, "Nicht genug Speicher. Braucht "));
  g_assert_nonnull (strstr (error->message, " sind frei. Entladen Sie andere Modelle"));
  world_close (&world);
}

static void
test_numbers (void)
{
  g_autofree char *plain = g_strdup_printf ("%.1f", 1.5);
  g_autofree char *size = atl_language_size (1500000000);
  g_autofree char *sentence = atl_language_printf ("%.1f", 1.5);
  locale_t german = newlocale (LC_NUMERIC_MASK, "de_DE.UTF-8", (locale_t) 0);

  g_assert_cmpstr (setlocale (LC_NUMERIC, NULL), ==, "C");
  g_assert_cmpstr (plain, ==, "1.5");
  if (german == (locale_t) 0)
    {
      g_test_skip ("the locale de_DE.UTF-8 is not installed: the comma was not checked");
      return;
    }
  freelocale (german);
  g_assert_cmpstr (sentence, ==, "1,5");
  g_assert_true (g_str_has_prefix (size, "1,5"));
  g_assert_cmpfloat (g_strtod ("1.5", NULL), ==, 1.5);
}

int
main (int argc, char **argv)
{
  locale_t german = newlocale (LC_ALL_MASK, "de_DE.UTF-8", (locale_t) 0);

  g_setenv ("LC_ALL", german != (locale_t) 0 ? "de_DE.UTF-8" : "C.UTF-8", TRUE);
  g_setenv ("LANGUAGE", "de", TRUE);
  atl_language_open ();
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/language/too-large", test_too_large);
  g_test_add_func ("/language/numbers", test_numbers);
  return g_test_run ();
}
