/* Reads /proc/meminfo and the limits of control groups, version 1 and 2. */
#define G_LOG_DOMAIN "atl-service"

#include "engine/service/memory.h"

#include <string.h>

typedef struct
{
  const char *controller; /* of /proc/self/cgroup: "" in version 2 */
  const char *mount;
  const char *limit, *usage;
  const char *droppable; /* a line of memory.stat: file pages that nobody uses */
} Version;

static const Version versions[] = {
  { "", "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file " },
  { "memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
    "total_inactive_file " },
};

static char *
read_file (const char *root, const char *path)
{
  g_autofree char *full = g_strconcat (root, path, NULL);
  char *text = NULL;

  g_file_get_contents (full, &text, NULL, NULL);
  return text;
}

/* The number behind `key` at the beginning of a line. */
static gboolean
find_number (const char *text, const char *key, guint64 *out)
{
  gsize length = strlen (key);

  for (const char *line = text; line != NULL && *line != '\0';)
    {
      if (strncmp (line, key, length) == 0)
        {
          *out = g_ascii_strtoull (line + length, NULL, 10);
          return TRUE;
        }
      line = strchr (line, '\n');
      line = line != NULL ? line + 1 : NULL;
    }
  return FALSE;
}

/* FALSE for "max" and for version 1's way to say it, a number near 2^63. */
static gboolean
read_number (const char *root, const char *folder, const char *name, guint64 *out)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autofree char *text = read_file (root, path);

  if (text == NULL || !g_ascii_isdigit (*text))
    return FALSE;
  *out = g_ascii_strtoull (text, NULL, 10);
  return *out < G_MAXUINT64 / 4;
}

static void
apply_group (const char *root, const Version *version, const char *folder, AtlMemory *memory)
{
  g_autofree char *stat_path = g_build_filename (folder, "memory.stat", NULL);
  g_autofree char *stat = NULL;
  guint64 limit, usage = 0, droppable = 0;

  if (!read_number (root, folder, version->limit, &limit))
    return;
  read_number (root, folder, version->usage, &usage);
  stat = read_file (root, stat_path);
  find_number (stat, version->droppable, &droppable);
  usage -= MIN (usage, droppable);
  memory->total_bytes = MIN (memory->total_bytes, limit);
  memory->free_bytes = MIN (memory->free_bytes, limit - MIN (limit, usage));
}

/* The path of this process's group; in a container the part outside is not visible. */
static char *
find_group (const char *cgroups, const char *controller)
{
  g_auto (GStrv) lines = g_strsplit (cgroups, "\n", -1);

  for (char **line = lines; *line != NULL; line++)
    {
      g_auto (GStrv) fields = g_strsplit (*line, ":", 3);
      g_auto (GStrv) names = NULL;

      if (g_strv_length (fields) != 3)
        continue;
      names = g_strsplit (fields[1], ",", -1);
      if (g_str_equal (fields[1], controller) ||
          g_strv_contains ((const char *const *) names, controller))
        return g_strdup (fields[2]);
    }
  return NULL;
}

void
atl_memory_read (const char *root, AtlMemory *memory)
{
  g_autofree char *meminfo = read_file (root, "/proc/meminfo");
  g_autofree char *cgroups = read_file (root, "/proc/self/cgroup");

  *memory = (AtlMemory){ 0 };
  if (!find_number (meminfo, "MemTotal:", &memory->total_bytes))
    return;
  memory->total_bytes *= 1024;
  if (find_number (meminfo, "MemAvailable:", &memory->free_bytes))
    memory->free_bytes *= 1024;

  for (gsize i = 0; cgroups != NULL && i < G_N_ELEMENTS (versions); i++)
    {
      g_autofree char *group = find_group (cgroups, versions[i].controller);

      /* Every group on the way to the root may have a limit. */
      while (group != NULL)
        {
          g_autofree char *folder = g_build_filename (versions[i].mount, group, NULL);
          char *slash = strrchr (group, '/');

          apply_group (root, &versions[i], folder, memory);
          if (slash == NULL || group[1] == '\0')
            break;
          slash[slash == group ? 1 : 0] = '\0';
        }
    }
}
