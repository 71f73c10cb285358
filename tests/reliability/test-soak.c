/* Models are loaded, asked and unloaded for a long time: neither process keeps a descriptor, and
 * the engine's memory does not grow. $ATELIER_FAULT_ROUNDS cycles (24); of its memory only a long
 * run can tell, from 400 cycles on. */
#include <stdio.h>

#include "client/picture-fixture.h"
#include "rounds.h"

#define TINY "stories260K.gguf"
#define MOST_DRIFT 0.02
/* Its memory settles in the first hundred cycles, which are a quarter of this. */
#define LONG_RUN 400

static guint
count_engine_descriptors (GPid pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/fd", (int) pid);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  guint n = 0;

  while (dir != NULL && g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

/* Resident pages that belong to the process alone. */
static gsize
engine_bytes (GPid pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/statm", (int) pid);
  g_autofree char *text = NULL;
  unsigned long all, resident, shared;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpint (sscanf (text, "%lu %lu %lu", &all, &resident, &shared), ==, 3);
  return (gsize) (resident - shared) * 4096;
}

static void
chat_once (AtlClient *client, const char *path)
{
  g_auto (AtlChatParams) params = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModel) model = fixture_load (client, path, NULL, NULL, &error);
  g_autoptr (Answer) answer = NULL;

  g_assert_no_error (error);
  params_greedy (&params, 16);
  answer = answer_new (atl_client_complete (client, model, "Once upon a time", &params));
  g_assert_true (answer_wait (answer));
  g_assert_no_error (answer->error);
  g_assert_true (fixture_unload (client, model, &error));
  g_assert_no_error (error);
}

static void
draw_once (AtlClient *client)
{
  g_autoptr (AtlModel) model = picture_fixture_load (client, "sd15/model");
  g_auto (Drawing) drawing = { 0 };
  g_autoptr (GError) error = NULL;
  guint width, height;

  g_assert_nonnull (drawing_draw (&drawing, client, model, &width, &height));
  g_assert_true (fixture_unload (client, model, &error));
  g_assert_no_error (error);
}

static void
test_soak (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = fixture_model_path (TINY);
  guint n = rounds (24), ours = 0, its = 0;
  gsize most[4] = { 0 }; /* in each quarter */
  GPid pid = 0;

  if (path == NULL)
    return;
  for (guint i = 0; i < n; i++)
    {
      chat_once (fixture->client, path);
      if (i % 4 == 0)
        draw_once (fixture->client);
      if (i == n / 4)
        {
          pid = atl_client_get_pid (fixture->client);
          ours = count_descriptors ();
          its = count_engine_descriptors (pid);
        }
      if (i >= n / 4)
        most[4 * i / n] = MAX (most[4 * i / n], engine_bytes (pid));
    }
  g_assert_cmpint (atl_client_get_pid (fixture->client), ==, pid);
  g_test_message ("%u cycles: descriptors %u and %u, the engine's memory at most %.1f, %.1f and "
                  "%.1f MB in the second, third and last quarter",
                  n, ours, its, most[1] / 1e6, most[2] / 1e6, most[3] / 1e6);
  /* Threads close what they hold a little later. */
  assert_soon (count_engine_descriptors (pid) <= its);
  assert_soon (count_descriptors () <= ours);
  /* From one cycle to the next it moves by as much as is allowed; what is kept moves the most. */
  if (n >= LONG_RUN)
    g_assert_cmpfloat ((double) most[3], <, most[1] * (1 + MOST_DRIFT));
}

int
main (int argc, char **argv)
{
  static const char *const families[] = { "sd15", NULL };

  g_test_init (&argc, &argv, NULL);
  g_test_add ("/soak/load-and-unload", Fixture, NULL, fixture_set_up, test_soak, fixture_tear_down);
  return picture_fixture_run (families);
}
