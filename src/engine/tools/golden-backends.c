/* Opens backends by name for tools that compare them. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/golden-backends.h"

#include <string.h>

#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/opencl/opencl.h"

static AtlBackend *
own (GoldenBackends *self, AtlBackend *backend)
{
  if (backend != NULL)
    self->owned[self->n_owned++] = backend;
  return backend;
}

static gboolean
add_cpu (GoldenBackends *self, const char *name, const AtlCpuOptions *options, GError **error)
{
  AtlBackend *cpu = own (self, atl_cpu_backend_new (options, error));
  char *copy;

  if (cpu == NULL)
    return FALSE;
  copy = self->names[self->n] = g_strdup (name);
  self->list[self->n++] =
      (GoldenBackend){ .name = copy, .list = { cpu }, .n = 1, .exact = options->exact };
  return TRUE;
}

/* "cpu", "cpu-fast", "cpu-avx2", "cpu-avx2-fast"… */
static gboolean
add_cpu_named (GoldenBackends *self, const char *name, GError **error)
{
  static const struct
  {
    const char *name;
    AtlCpuLevel level;
  } levels[] = {
    { "cpu-reference", ATL_CPU_REFERENCE }, { "cpu-avx2", ATL_CPU_AVX2 },
    { "cpu-avx512", ATL_CPU_AVX512 },       { "cpu-amx", ATL_CPU_AMX },
    { "cpu-neon", ATL_CPU_NEON },
  };
  gboolean fast = g_str_has_suffix (name, "-fast");
  g_autofree char *plain = g_strndup (name, strlen (name) - (fast ? strlen ("-fast") : 0));
  AtlCpuOptions options = { .best_level = TRUE, .exact = !fast };

  if (g_str_equal (plain, "cpu"))
    return add_cpu (self, name, &options, error);
  for (gsize i = 0; i < G_N_ELEMENTS (levels); i++)
    if (g_str_equal (plain, levels[i].name))
      {
        if (!atl_cpu_has_level (levels[i].level))
          {
            g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
                         "This processor lacks the instructions of “%s”.", plain);
            return FALSE;
          }
        options.best_level = FALSE;
        options.level = levels[i].level;
        return add_cpu (self, name, &options, error);
      }
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               "There is no backend “%s”; there are cpu, cpu-fast, cpu-LEVEL (reference, avx2, "
               "avx512, amx, neon), opencl and opencl:N.",
               name);
  return FALSE;
}

/* Every device, or the one that is wanted by number. */
static gboolean
add_opencl (GoldenBackends *self, const char *wanted, GError **error)
{
  g_autofree char *why = NULL;
  g_autofree char *cache = g_build_filename (g_get_user_cache_dir (), "atelier", "kernels", NULL);
  g_autoptr (GPtrArray) devices = atl_opencl_devices (&why);
  AtlCpuOptions options = { .best_level = TRUE, .exact = TRUE };
  AtlBackend *host = NULL;
  guint n_before = self->n;

  for (guint i = 0; i < devices->len && self->n_owned + 2 <= ATL_MAX_BACKENDS; i++)
    {
      g_autofree char *name = g_strdup_printf ("opencl:%u", i);
      AtlBackend *device;

      if (wanted != NULL && !g_str_equal (wanted, "opencl") && !g_str_equal (wanted, name))
        continue;
      if (host == NULL && (host = own (self, atl_cpu_backend_new (&options, error))) == NULL)
        return FALSE;
      device = own (self, atl_opencl_backend_new (devices->pdata[i], cache, error));
      if (device == NULL)
        return FALSE;
      self->names[self->n] = g_steal_pointer (&name);
      self->list[self->n] = (GoldenBackend){
        .name = self->names[self->n], .list = { device, host }, .n = 2, .exact = TRUE
      };
      self->n++;
    }
  if (self->n == n_before)
    self->without_opencl = why != NULL ? g_steal_pointer (&why)
                                       : g_strdup_printf ("there are %u devices", devices->len);
  return TRUE;
}

gboolean
golden_backends_open (GoldenBackends *self, const char *wanted, GError **error)
{
  *self = (GoldenBackends){ 0 };
  if (wanted == NULL)
    return add_cpu_named (self, "cpu", error) && add_cpu_named (self, "cpu-fast", error) &&
           add_opencl (self, NULL, error);
  if (!g_str_equal (wanted, "opencl") && !g_str_has_prefix (wanted, "opencl:"))
    return add_cpu_named (self, wanted, error);
  if (!add_opencl (self, wanted, error))
    return FALSE;
  if (self->n > 0)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, "There is no OpenCL device to run on: %s",
               self->without_opencl);
  return FALSE;
}

void
golden_backends_clear (GoldenBackends *self)
{
  /* Devices before the host that stands behind them. */
  for (guint i = self->n_owned; i-- > 0;)
    atl_backend_free (self->owned[i]);
  for (guint i = 0; i < ATL_MAX_BACKENDS; i++)
    g_free (self->names[i]);
  g_free (self->without_opencl);
  *self = (GoldenBackends){ 0 };
}
