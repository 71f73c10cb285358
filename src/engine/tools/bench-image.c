/* Passes of one network of pictures or clips. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/bench-image.h"

#include <json-glib/json-glib.h>
#include <stdlib.h>
#include <string.h>

#include "engine/convert/hf.h"
#include "engine/formats/open.h"
#include "engine/tensor/cpu/cpu.h"
#include "engine/tools/bench-run.h"
#include "engine/tools/bench-shapes.h"

typedef struct
{
  const char *name, *function;
  double load_s, seconds; /* of a pass: the median */
  double peak;            /* of the tiles, products a second; 0: not known */
  double memory;          /* bytes at the peak, without mapped files */
  double device_memory;   /* bytes; 0: no device */
  AtlCpuCost costs[ATL_N_OPS];
} Result;

static double
now (void)
{
  return (double) g_get_monotonic_time () / 1e6;
}

/* Bytes of this process that are in memory and belong to no file; 0 where the system does not say.
 */
static double
own_memory (void)
{
  g_autofree char *text = NULL;
  const char *line;

  if (!g_file_get_contents ("/proc/self/status", &text, NULL, NULL))
    return 0.0;
  line = strstr (text, "\nRssAnon:");
  return line != NULL ? 1024.0 * g_ascii_strtod (line + strlen ("\nRssAnon:"), NULL) : 0.0;
}

typedef struct
{
  gint stop; /* atomic */
  double most;
} Watch;

static gpointer
watch (gpointer data)
{
  Watch *w = data;

  while (!g_atomic_int_get (&w->stop))
    {
      w->most = MAX (w->most, own_memory ());
      g_usleep (10000);
    }
  w->most = MAX (w->most, own_memory ());
  return NULL;
}

static double
products (const Result *r)
{
  double sum = 0.0;

  for (guint i = 0; i < ATL_N_OPS; i++)
    sum += r->costs[i].products;
  return sum;
}

static void
add_number (JsonBuilder *j, const char *name, double value)
{
  json_builder_set_member_name (j, name);
  json_builder_add_double_value (j, value);
}

static void
print_json (const BenchImagePlan *plan, const Result *r)
{
  g_autoptr (JsonBuilder) j = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree char *text = NULL;

  json_builder_begin_object (j);
  json_builder_set_member_name (j, "model");
  json_builder_add_string_value (j, r->name);
  json_builder_set_member_name (j, "function");
  json_builder_add_string_value (j, r->function);
  add_number (j, "width", plan->width);
  add_number (j, "height", plan->height);
  add_number (j, "frames", plan->frames);
  add_number (j, "seconds", r->seconds);
  add_number (j, "products_per_s", products (r) / r->seconds);
  if (r->peak > 0.0)
    add_number (j, "peak_products_per_s", r->peak);
  add_number (j, "memory_bytes", r->memory);
  if (r->device_memory > 0.0)
    add_number (j, "device_memory_bytes", r->device_memory);
  add_number (j, "load_s", r->load_s);
  json_builder_set_member_name (j, "operations");
  json_builder_begin_object (j);
  for (guint i = 0; i < ATL_N_OPS; i++)
    if (r->costs[i].n > 0)
      {
        json_builder_set_member_name (j, atl_op_name (i));
        json_builder_begin_object (j);
        add_number (j, "n", (double) r->costs[i].n);
        add_number (j, "seconds", r->costs[i].seconds);
        add_number (j, "products", r->costs[i].products);
        json_builder_end_object (j);
      }
  json_builder_end_object (j);
  json_builder_end_object (j);
  root = json_builder_get_root (j);
  text = json_to_string (root, FALSE);
  g_print ("%s\n", text);
}

static void
print_text (const BenchImagePlan *plan, const Result *r)
{
  double rate = products (r) / r->seconds;

  g_print ("%-24s %s %ux%u", r->name, r->function, plan->width, plan->height);
  if (plan->frames > 1)
    g_print ("x%u", plan->frames);
  g_print ("  %.3f s  %.0f GFLOP/s", r->seconds, 2.0 * rate / 1e9);
  if (r->peak > 0.0)
    g_print (", %.0f %% of %.0f", 100.0 * rate / r->peak, 2.0 * r->peak / 1e9);
  g_print ("  memory %.2f GB", r->memory / 1e9);
  if (r->device_memory > 0.0)
    g_print (", %.2f GB on the device", r->device_memory / 1e9);
  g_print ("  load %.2f s\n", r->load_s);
  for (guint i = 0; i < ATL_N_OPS; i++)
    if (r->costs[i].n > 0)
      {
        const AtlCpuCost *c = &r->costs[i];

        g_print ("  %-16s %5" G_GUINT64_FORMAT "  %7.3f s", atl_op_name (i), c->n, c->seconds);
        if (c->products > 0.0)
          g_print ("  %6.1f G products, %.0f GFLOP/s", c->products / 1e9,
                   2.0 * c->products / c->seconds / 1e9);
        g_print ("\n");
      }
}

/* --- A device's seconds by kind of operation: each is waited for --- */

static AtlBackendClass timed;
static const AtlBackendClass *plain;
static AtlCpuCost *timed_costs;

static gboolean
timed_run (AtlBackend *backend,
           AtlNode *const *nodes,
           guint n_nodes,
           AtlBuffer *scratch,
           GCancellable *cancellable,
           GError **error)
{
  for (guint i = 0; i < n_nodes; i++)
    {
      const AtlTensor *dst = atl_tensor_base (nodes[i]->dst);
      AtlCpuCost *cost = &timed_costs[nodes[i]->op];
      double start = now ();
      guint32 word;

      if (!plain->run (backend, nodes + i, 1, scratch, cancellable, error) ||
          (dst->buffer != NULL &&
           !plain->read (backend, dst->buffer, dst->buffer_offset, &word, sizeof word, error)))
        return FALSE;
      cost->n++;
      cost->seconds += now () - start;
      cost->products += atl_node_products (nodes[i]);
    }
  return TRUE;
}

/* One pass more. */
static gboolean
time_operations (AtlBackend *device,
                 AtlComponent *component,
                 const AtlRequest *request,
                 AtlCpuCost *costs,
                 GError **error)
{
  g_autoptr (GPtrArray) outputs = NULL;

  plain = device->klass;
  timed = *plain;
  timed.run = timed_run;
  timed_costs = costs;
  device->klass = &timed;
  outputs = atl_component_run (component, request, NULL, error);
  device->klass = plain;
  return outputs != NULL;
}

/* Loads the network and runs passes; the first is not counted. */
static gboolean
measure (const BenchImagePlan *plan,
         const AtlComponentClass *klass,
         AtlCheckpoint *cp,
         AtlBackend **backends,
         guint n_backends,
         Result *r,
         GError **error)
{
  AtlBackend *host = backends[n_backends - 1];
  double start = now (), times[BENCH_MAX_REPEATS];
  AtlCpuCost costs[ATL_N_OPS];
  g_autoptr (AtlRequest) request =
      bench_shape_request (klass, cp, r->function, plan->width, plan->height, plan->frames);
  g_autoptr (AtlComponent) component =
      atl_component_load (klass, cp, backends, n_backends, NULL, error);
  gboolean ok = component != NULL;

  r->load_s = now () - start;
  for (guint i = 0; ok && i <= plan->n_repeats; i++)
    {
      g_autoptr (GPtrArray) outputs = NULL;

      memset (costs, 0, sizeof costs);
      atl_cpu_backend_count (host, costs);
      start = now ();
      outputs = atl_component_run (component, request, NULL, error);
      ok = outputs != NULL;
      if (i > 0)
        times[i - 1] = now () - start;
    }
  if (ok && n_backends > 1)
    {
      memset (costs, 0, sizeof costs);
      r->device_memory = (double) (backends[0]->memory_total - backends[0]->memory_free);
      ok = time_operations (backends[0], component, request, costs, error);
    }
  atl_cpu_backend_count (host, NULL);
  if (!ok)
    return FALSE;
  r->seconds = bench_median (times, (int) plan->n_repeats);
  memcpy (r->costs, costs, sizeof costs);
  return TRUE;
}

static gboolean
bench_function (const BenchImagePlan *plan,
                AtlCheckpoint *cp,
                const char *name,
                const char *function,
                AtlBackend **backends,
                guint n_backends,
                GError **error)
{
  const AtlComponentClass *klass = atl_component_class_for (cp, NULL, function, error);
  Result r = { .name = name, .function = function };
  Watch w = { 0 };
  GThread *thread;
  gboolean ok;

  if (klass == NULL)
    return FALSE;
  if (n_backends == 1)
    r.peak = atl_cpu_backend_peak (backends[0]);
  thread = g_thread_new ("memory", watch, &w);
  ok = measure (plan, klass, cp, backends, n_backends, &r, error);
  g_atomic_int_set (&w.stop, 1);
  g_thread_join (thread);
  r.memory = w.most;
  if (ok && plan->json)
    print_json (plan, &r);
  else if (ok)
    print_text (plan, &r);
  return ok;
}

gboolean
bench_image_run (const BenchImagePlan *plan,
                 const char *what,
                 AtlBackend **backends,
                 guint n_backends,
                 GError **error)
{
  static const char *const functions[] = { "forward", "vae_decode" };
  GError *local = NULL;
  g_autoptr (AtlCheckpoint) cp = bench_shape_new (what, &local);
  g_autofree char *name = g_path_get_basename (what);
  guint n = 0;

  if (cp == NULL && local == NULL)
    {
      g_autoptr (AtlFileMap) map = atl_file_map_new (what, &local);
      g_autoptr (AtlCheckpoint) files =
          map != NULL ? atl_checkpoint_open (&map, NULL, 1, &local) : NULL;

      cp = files != NULL ? atl_hf_adopt_part (files, &local) : NULL;
    }
  if (cp == NULL)
    {
      g_propagate_prefixed_error (error, local, "It is none of %s: ", bench_shape_names ());
      return FALSE;
    }
  for (guint i = 0; i < G_N_ELEMENTS (functions); i++)
    {
      if (atl_component_class_for (cp, NULL, functions[i], NULL) == NULL)
        continue;
      n++;
      if (!bench_function (plan, cp, name, functions[i], backends, n_backends, error))
        return FALSE;
    }
  if (n > 0)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
               "It holds neither a denoiser nor an autoencoder");
  return FALSE;
}
