/* Finding the devices once, at the start, before the engine locks itself in. */
#define G_LOG_DOMAIN "atl-service"

#include "engine/service/devices.h"

#include <glib/gi18n.h>

#include "engine/service/memory.h"
#include "engine/tensor/cpu/cpu.h"
#include "protocol/protocol.h"

static GVariant *
device_row (const char *type, const char *name, guint64 memory, gboolean used, const char *why_not)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_DEVICE_TYPE, "s", type);
  g_variant_dict_insert (&dict, ATL_DEVICE_NAME, "s", name);
  g_variant_dict_insert (&dict, ATL_DEVICE_MEMORY, "t", memory);
  g_variant_dict_insert (&dict, ATL_DEVICE_USED, "b", used);
  g_variant_dict_insert (&dict, ATL_DEVICE_WHY_NOT, "s", why_not != NULL ? why_not : "");
  return g_variant_dict_end (&dict);
}

static AtlOpenclDevice *
choose_gpu (GPtrArray *devices)
{
  const char *name = g_getenv (ATL_DEVICE_VARIABLE);

  if (name != NULL && *name != '\0')
    return atl_opencl_device_by_name (devices, name);
  return atl_opencl_device_choose (devices);
}

/* Opens the best GPU and lists all of them. */
static void
find_gpus (AtlDevices *self, const char *cache_dir, GVariantBuilder *list)
{
  g_autofree char *why = NULL;
  g_autoptr (GPtrArray) devices = atl_opencl_devices (&why);
  AtlOpenclDevice *chosen = choose_gpu (devices);
  g_autoptr (GError) error = NULL;

  if (chosen != NULL)
    self->gpu = atl_opencl_backend_new (chosen, cache_dir, &error);
  for (guint i = 0; i < devices->len; i++)
    {
      AtlOpenclDevice *device = g_ptr_array_index (devices, i);
      const char *why_not = device->why_not;

      if (device == chosen)
        why_not = error != NULL ? error->message : NULL;
      else if (why_not == NULL)
        why_not = _ ("another graphics card is in use");
      g_variant_builder_add_value (
          list, device_row (device->is_gpu ? "gpu" : "accelerator", device->name,
                            device->memory_total, device == chosen && self->gpu != NULL, why_not));
      if (device->is_gpu && device->why_not != NULL && self->why_no_gpu == NULL)
        self->why_no_gpu =
            g_strdup_printf (_ ("%s cannot be used: %s"), device->name, device->why_not);
    }
  if (self->gpu != NULL)
    g_clear_pointer (&self->why_no_gpu, g_free);
  else if (error != NULL)
    {
      g_free (self->why_no_gpu);
      self->why_no_gpu =
          g_strdup_printf (_ ("%s could not be opened: %s"), chosen->name, error->message);
    }
  else if (self->why_no_gpu == NULL)
    self->why_no_gpu = g_strdup (_ ("no graphics card was found"));
}

AtlDevices *
atl_devices_new (gboolean cpu_only, const char *cache_dir, GError **error)
{
  g_autoptr (GVariantBuilder) list = g_variant_builder_new (G_VARIANT_TYPE ("aa{sv}"));
  AtlDevices *self = g_new0 (AtlDevices, 1);
  AtlMemory memory;

  self->cpu = atl_cpu_backend_new (NULL, error);
  if (self->cpu == NULL)
    {
      g_free (self);
      return NULL;
    }
  atl_memory_read ("", &memory);
  g_variant_builder_add_value (
      list, device_row ("cpu", self->cpu->description, memory.total_bytes, TRUE, NULL));
  if (cpu_only)
    self->why_no_gpu = g_strdup (_ ("graphics cards are left alone after a failure"));
  else
    find_gpus (self, cache_dir, list);
  self->list = g_variant_ref_sink (g_variant_builder_end (list));
  return self;
}

void
atl_devices_forbid_compiler (AtlDevices *self)
{
  if (self->gpu != NULL)
    atl_opencl_backend_forbid_compiler (self->gpu);
}

gboolean
atl_devices_compile (const char *cache_dir,
                     const AtlOpenclNeeds *needs,
                     AtlOpenclProgress progress,
                     gpointer progress_data,
                     GError **error)
{
  g_autoptr (GPtrArray) devices = atl_opencl_devices (NULL);
  AtlOpenclDevice *device = choose_gpu (devices);
  AtlBackend *backend;
  gboolean ok;

  if (device == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("no graphics card was found"));
      return FALSE;
    }
  backend = atl_opencl_backend_new (device, cache_dir, error);
  if (backend == NULL)
    return FALSE;
  ok = atl_opencl_backend_prepare (backend, needs, progress, progress_data, NULL, error);
  atl_backend_free (backend);
  return ok;
}

void
atl_devices_free (AtlDevices *self)
{
  if (self == NULL)
    return;
  atl_backend_free (self->gpu);
  for (guint i = 0; i < self->n_more; i++)
    atl_backend_free (self->more_cpu[i]);
  atl_backend_free (self->cpu);
  g_free (self->why_no_gpu);
  g_free (self->why_unprepared);
  g_variant_unref (self->list);
  g_free (self);
}

AtlBackend *
atl_devices_cpu (AtlDevices *self, guint n_threads)
{
  AtlCpuOptions options = { .n_threads = n_threads, .best_level = TRUE };
  AtlBackend *backend;

  if (n_threads == 0 || n_threads >= g_get_num_processors ())
    return self->cpu;
  for (guint i = 0; i < self->n_more; i++)
    if (self->more_threads[i] == n_threads)
      return self->more_cpu[i];
  if (self->n_more == G_N_ELEMENTS (self->more_cpu))
    return self->cpu;
  backend = atl_cpu_backend_new (&options, NULL);
  if (backend == NULL)
    return self->cpu;
  self->more_threads[self->n_more] = n_threads;
  self->more_cpu[self->n_more++] = backend;
  return backend;
}

guint
atl_devices_choose (AtlDevices *self, const char *device, AtlBackend *out[2], GError **error)
{
  gboolean has_gpu = self->gpu != NULL && !g_atomic_int_get (&self->gpu_failed);

  if (device == NULL || g_str_equal (device, "auto"))
    device = has_gpu ? "gpu" : "cpu";
  if (g_str_equal (device, "cpu"))
    {
      out[0] = self->cpu;
      return 1;
    }
  if (!g_str_equal (device, "gpu"))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("device is “%s”; it must be auto, cpu or gpu"), device);
      return 0;
    }
  if (!has_gpu)
    {
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_DEVICE,
          _ ("The graphics card cannot be used, because %s. Choose “auto” to use the processor"),
          self->gpu != NULL ? _ ("it failed while running") : self->why_no_gpu);
      return 0;
    }
  out[0] = self->gpu;
  out[1] = self->cpu;
  return 2;
}

gboolean
atl_devices_gave_up (AtlDevices *self, const GError *error)
{
  if (!g_error_matches (error, ATL_ERROR, ATL_ERROR_DEVICE))
    return FALSE;
  g_atomic_int_set (&self->gpu_failed, 1);
  return TRUE;
}

char *
atl_devices_cpu_words (AtlDevices *self, const AtlBackend *cpu, const char *device)
{
  const char *why = self->why_no_gpu;

  if (g_atomic_int_get (&self->gpu_failed))
    why = _ ("the graphics card failed while running");
  else if (g_strcmp0 (device, "cpu") == 0)
    why = _ ("the settings say so");
  else if (self->why_unprepared != NULL)
    why = self->why_unprepared;
  else if (self->gpu != NULL)
    why = _ ("the graphics card has no room for it");
  return g_strdup_printf (_ ("%s, because %s"), cpu->description, why);
}
