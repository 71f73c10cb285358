/* Lists the processor and the OpenCL devices for a person or, as JSON, for a script. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/devices.h"

#include <glib/gi18n.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/tensor/opencl/opencl.h"
#include "engine/tools/usage.h"

/* "model name : AMD Ryzen…" of the first processor; a plain word where /proc has none. */
static char *
processor_name (void)
{
  g_autofree char *text = NULL;
  const char *p;

  if (!g_file_get_contents ("/proc/cpuinfo", &text, NULL, NULL))
    return g_strdup ("Processor");
  p = strstr (text, "model name");
  p = p != NULL ? strchr (p, ':') : NULL;
  if (p == NULL)
    return g_strdup ("Processor");
  return g_strstrip (g_strndup (p + 1, strcspn (p + 1, "\n")));
}

static guint64
processor_memory (void)
{
  long pages = sysconf (_SC_PHYS_PAGES), size = sysconf (_SC_PAGE_SIZE);

  return pages > 0 && size > 0 ? (guint64) pages * (guint64) size : 0;
}

static void
add_device (JsonBuilder *b, const AtlOpenclDevice *d, gboolean used)
{
  json_builder_begin_object (b);
  json_builder_set_member_name (b, "name");
  json_builder_add_string_value (b, d->name);
  json_builder_set_member_name (b, "vendor");
  json_builder_add_string_value (b, d->vendor);
  json_builder_set_member_name (b, "driver");
  json_builder_add_string_value (b, d->driver);
  json_builder_set_member_name (b, "gpu");
  json_builder_add_boolean_value (b, d->is_gpu);
  json_builder_set_member_name (b, "unified_memory");
  json_builder_add_boolean_value (b, d->unified_memory);
  json_builder_set_member_name (b, "memory_bytes");
  json_builder_add_int_value (b, (gint64) d->memory_total);
  json_builder_set_member_name (b, "max_alloc_bytes");
  json_builder_add_int_value (b, (gint64) d->max_alloc);
  json_builder_set_member_name (b, "used");
  json_builder_add_boolean_value (b, used);
  json_builder_set_member_name (b, "why_not");
  if (d->why_not != NULL)
    json_builder_add_string_value (b, d->why_not);
  else
    json_builder_add_null_value (b);
  json_builder_end_object (b);
}

static void
print_json (const char *cpu, GPtrArray *devices, const AtlOpenclDevice *chosen, const char *why)
{
  g_autoptr (JsonBuilder) b = json_builder_new ();
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree char *text = NULL;

  json_builder_begin_object (b);
  json_builder_set_member_name (b, "cpu");
  json_builder_begin_object (b);
  json_builder_set_member_name (b, "name");
  json_builder_add_string_value (b, cpu);
  json_builder_set_member_name (b, "threads");
  json_builder_add_int_value (b, g_get_num_processors ());
  json_builder_set_member_name (b, "memory_bytes");
  json_builder_add_int_value (b, (gint64) processor_memory ());
  json_builder_end_object (b);
  json_builder_set_member_name (b, "opencl");
  json_builder_begin_array (b);
  for (guint i = 0; i < devices->len; i++)
    add_device (b, devices->pdata[i], devices->pdata[i] == chosen);
  json_builder_end_array (b);
  json_builder_set_member_name (b, "note");
  if (why != NULL)
    json_builder_add_string_value (b, why);
  else
    json_builder_add_null_value (b);
  json_builder_end_object (b);

  root = json_builder_get_root (b);
  json_generator_set_root (generator, root);
  text = json_generator_to_data (generator, NULL);
  printf ("%s\n", text);
}

static void
print_words (const char *cpu, GPtrArray *devices, const AtlOpenclDevice *chosen, const char *why)
{
  g_autofree char *memory = g_format_size_full (processor_memory (), G_FORMAT_SIZE_IEC_UNITS);

  printf (_ ("Processor: %s\n  %u threads, %s of memory; always used\n"), cpu,
          g_get_num_processors (), memory);
  for (guint i = 0; i < devices->len; i++)
    {
      const AtlOpenclDevice *d = devices->pdata[i];
      g_autofree char *size = g_format_size_full (d->memory_total, G_FORMAT_SIZE_IEC_UNITS);

      printf (d->unified_memory ? _ ("OpenCL: %s\n  %s shared with the processor, driver %s\n")
                                : _ ("OpenCL: %s\n  %s of its own, driver %s\n"),
              d->name, size, d->driver);
      if (d == chosen)
        printf (_ ("  used\n"));
      else if (d->why_not != NULL)
        printf (_ ("  not used by itself: %s\n"), d->why_not);
      else
        printf (_ ("  not used: %s comes first\n"), chosen->name);
    }
  if (devices->len == 0)
    printf (_ ("OpenCL: no device\n"));
  if (why != NULL)
    printf ("%s\n", why);
}

int
atl_tool_devices (int argc, char **argv)
{
  g_autoptr (GPtrArray) devices = NULL;
  g_autofree char *why = NULL;
  g_autofree char *cpu = NULL;
  gboolean json = FALSE;

  for (int i = 1; i < argc; i++)
    if (strcmp (argv[i], "--json") == 0)
      json = TRUE;
    else
      return atl_tool_usage (
          argc, argv,
          _ ("[--json]\n\n"
             "Says what this computer can compute on, and what of it is used.\n\n"
             "  --json   one JSON object on one line\n"));

  cpu = processor_name ();
  devices = atl_opencl_devices (&why);
  (json ? print_json : print_words) (cpu, devices, atl_opencl_device_choose (devices), why);
  return 0;
}
