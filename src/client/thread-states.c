/* Threads by /proc/PID/task. */
#define G_LOG_DOMAIN "atl-client"

#include "client/thread-states.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_THREADS_LOOKED_AT 256

static void
add_thread (AtlThreadStates *self, const char *stat, const char *name)
{
  /* "123 (name) S ...": the name may hold anything, so look for the last bracket. */
  const char *open = strchr (stat, '('), *close = strrchr (stat, ')');
  unsigned long user = 0, system = 0;
  char state;

  if (open == NULL || close == NULL || close < open ||
      (name != NULL && (strlen (name) != (gsize) (close - open - 1) ||
                        strncmp (open + 1, name, strlen (name)) != 0)) ||
      sscanf (close + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu", &state, &user,
              &system) != 3)
    return;
  self->n_ready += state == 'R';
  self->n_waiting_for_disk += state == 'D';
  self->cpu_ms += 1000 * (guint64) (user + system) / (guint64) MAX (sysconf (_SC_CLK_TCK), 1);
}

void
atl_thread_states_read (AtlThreadStates *self, const char *folder, const char *name)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_autofree char *own = g_strdup_printf ("%d", (int) gettid ());
  const char *id;

  *self = (AtlThreadStates){ 0 };
  for (guint n = 0; dir != NULL && n < MAX_THREADS_LOOKED_AT && (id = g_dir_read_name (dir)); n++)
    {
      g_autofree char *path = g_build_filename (folder, id, "stat", NULL);
      g_autofree char *stat = NULL;

      if (!g_str_equal (id, own) && g_file_get_contents (path, &stat, NULL, NULL))
        add_thread (self, stat, name);
    }
}

gboolean
atl_thread_states_are_starved (const AtlThreadStates *before,
                               const AtlThreadStates *now,
                               gint64 elapsed_ms)
{
  guint64 got = now->cpu_ms > before->cpu_ms ? now->cpu_ms - before->cpu_ms : 0;
  guint n = MIN (now->n_ready, g_get_num_processors ());

  return n > 0 && elapsed_ms > 0 && got * 4 < (guint64) elapsed_ms * n;
}
