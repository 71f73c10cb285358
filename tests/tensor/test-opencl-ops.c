/* Every op case on the OpenCL device against the plain C reference, and against itself in as many
 * launches as there are work-groups. No case may fall back: the host backend beside the device
 * counts its runs. */
#include <string.h>

#include "engine/tensor/cpu/cpu.h"
#include "op-cases.h"
#include "opencl-fixture.h"

static AtlBackend *device;    /* under test */
static AtlBackend *host;      /* beside it */
static AtlBackend *reference; /* the definition */
static const AtlBackendClass *host_class;
static guint n_host_nodes;

static gboolean
counting_run (AtlBackend *self,
              AtlNode *const *nodes,
              guint n_nodes,
              AtlBuffer *scratch,
              GCancellable *cancellable,
              GError **error)
{
  n_host_nodes += n_nodes;
  return host_class->run (self, nodes, n_nodes, scratch, cancellable, error);
}

/* Bit for bit, whatever number of work-groups go into a launch. */
static gboolean
is_same_in_pieces (const OpCase *c, const GArray *whole)
{
  static const double works[] = { 1, 3e6 };
  AtlBackend *backends[2] = { device, host };
  gboolean is_same = TRUE;

  for (guint i = 0; i < G_N_ELEMENTS (works) && is_same; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GArray) pieces = NULL;

      atl_opencl_backend_set_launch (device, works[i]);
      pieces = op_case_run (c, backends, 2, &error);
      atl_opencl_backend_set_launch (device, 0);
      g_assert_no_error (error);
      is_same = pieces->len == whole->len &&
                memcmp (pieces->data, whole->data, whole->len * sizeof (float)) == 0;
    }
  return is_same;
}

static void
run_cases (gconstpointer data)
{
  guint first = GPOINTER_TO_UINT (data) & 0xffff, n = GPOINTER_TO_UINT (data) >> 16;
  AtlBackend *backends[2] = { device, host };

  if (device == NULL)
    {
      opencl_fixture_device ();
      return;
    }
  for (guint i = first; i < first + n; i++)
    {
      const OpCase *c = op_case_get (i);
      g_autoptr (GError) error = NULL;
      g_autoptr (GArray) want = op_case_run (c, &reference, 1, &error);
      g_autoptr (GArray) got = NULL;
      double distance;

      g_assert_no_error (error);
      n_host_nodes = 0;
      got = op_case_run (c, backends, 2, &error);
      if (error != NULL)
        {
          g_test_message ("%s: %s", op_case_name (c), error->message);
          g_test_fail ();
          continue;
        }
      distance = op_case_compare (c, got, want, TRUE);
      if (!(distance <= 1.0))
        {
          g_test_message ("%s is off by %.3g times its tolerance", op_case_name (c), distance);
          g_test_fail ();
        }
      if (!is_same_in_pieces (c, got))
        {
          g_test_message ("%s depends on how it is launched", op_case_name (c));
          g_test_fail ();
        }
      if (n_host_nodes > 0)
        {
          g_test_message ("%s: %u operations ran on the CPU", op_case_name (c), n_host_nodes);
          g_test_fail ();
        }
    }
}

/* "linear/q4_0/in-160-out-37-n-3" -> "linear/q4_0": one test for each such group. */
static char *
group_of (guint i)
{
  const char *name = op_case_name (op_case_get (i));

  return g_strndup (name, (gsize) (strrchr (name, '/') - name));
}

int
main (int argc, char **argv)
{
  AtlCpuOptions plain = { .n_threads = 1, .level = ATL_CPU_REFERENCE, .exact = TRUE };
  const char *cache_dir = opencl_fixture_cache_dir ();
  AtlOpenclDevice *chosen;
  AtlBackendClass counting;
  int status;

  g_test_init (&argc, &argv, NULL);
  chosen = opencl_fixture_device ();
  reference = atl_cpu_backend_new (&plain, NULL);
  host = atl_cpu_backend_new (&plain, NULL);
  host_class = host->klass;
  counting = *host_class;
  counting.run = counting_run;
  host->klass = &counting;
  if (chosen != NULL)
    {
      g_autoptr (GError) error = NULL;
      device = atl_opencl_backend_new (chosen, cache_dir, &error);
      g_assert_no_error (error);
    }

  for (guint i = 0; i < op_cases_n ();)
    {
      g_autofree char *group = group_of (i);
      g_autofree char *path = g_strdup_printf ("/opencl/%u/%s", i, group);
      guint n = 1;

      while (i + n < op_cases_n ())
        {
          g_autofree char *next = group_of (i + n);
          if (!g_str_equal (group, next))
            break;
          n++;
        }
      g_test_add_data_func (path, GUINT_TO_POINTER (i | n << 16), run_cases);
      i += n;
    }
  status = g_test_run ();
  atl_backend_free (device);
  atl_backend_free (host);
  atl_backend_free (reference);
  return status;
}
