/* Files of chats that are not in memory: naming, replacing, and removing the oldest. */
#define G_LOG_DOMAIN "atl-client"

#include "client/kept-chats.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MAX_KEY_CHARS 64u
#define SUFFIX ".chat"
#define ROOM_SUFFIX ".room"
#define DISK_RESERVE_BYTES ((guint64) 1 << 30)

/* In the whole process: an engine may speak of the rooms of a folder that was given up. */
static gint last_number; /* (atomic) */

typedef struct
{
  guint64 number, max_bytes;
  int fd; /* holds the lock */
  char *key, *path;
} Room;

struct _AtlKeptChats
{
  char *dir;
  guint64 limit_bytes;
  GPtrArray *rooms; /* Room (owned) */
};

static void
room_free (gpointer data)
{
  Room *room = data;

  close (room->fd);
  g_free (room->key);
  g_free (room->path);
  g_free (room);
}

static gboolean
is_key (const char *key)
{
  gsize n = strlen (key);

  for (gsize i = 0; i < n; i++)
    if (!g_ascii_isalnum (key[i]) && key[i] != '-')
      return FALSE;
  return n >= 1 && n <= MAX_KEY_CHARS;
}

static char *
file_path (const AtlKeptChats *self, const char *key)
{
  g_autofree char *name = g_strconcat (key, SUFFIX, NULL);

  return g_build_filename (self->dir, name, NULL);
}

/* --- What is there --- */

typedef struct
{
  char *key;
  guint64 bytes;
  gint64 used_at; /* seconds since 1970 */
} Entry;

static void
entry_free (gpointer data)
{
  g_free (((Entry *) data)->key);
  g_free (data);
}

/* Entry, the one used last first. */
static GPtrArray *
list_files (const AtlKeptChats *self)
{
  GPtrArray *list = g_ptr_array_new_with_free_func (entry_free);
  g_autoptr (GDir) dir = g_dir_open (self->dir, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (self->dir, name, NULL);
      g_autofree char *key = NULL;
      struct stat st;
      Entry *entry;

      if (!g_str_has_suffix (name, SUFFIX))
        continue;
      key = g_strndup (name, strlen (name) - strlen (SUFFIX));
      if (!is_key (key) || lstat (path, &st) != 0 || !S_ISREG (st.st_mode))
        continue;
      entry = g_new0 (Entry, 1);
      entry->key = g_steal_pointer (&key);
      entry->bytes = (guint64) st.st_size;
      entry->used_at = st.st_mtime;
      g_ptr_array_add (list, entry);
    }
  return list;
}

static gint
compare_entries (gconstpointer a, gconstpointer b)
{
  const Entry *x = *(Entry *const *) a, *y = *(Entry *const *) b;

  return x->used_at > y->used_at ? -1 : x->used_at < y->used_at;
}

static void
prune (AtlKeptChats *self)
{
  g_autoptr (GPtrArray) list = list_files (self);
  gint64 oldest = g_get_real_time () / G_USEC_PER_SEC - (gint64) ATL_KEPT_DAYS * 24 * 3600;
  guint64 bytes = 0;

  g_ptr_array_sort (list, compare_entries);
  for (guint i = 0; i < list->len; i++)
    {
      const Entry *entry = list->pdata[i];

      bytes += entry->bytes;
      if (bytes > self->limit_bytes || entry->used_at < oldest)
        atl_kept_chats_remove (self, entry->key);
    }
}

/* Of programs that were killed. A lock tells those of others that run. */
static void
remove_orphans (AtlKeptChats *self)
{
  g_autoptr (GDir) dir = g_dir_open (self->dir, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (self->dir, name, NULL);
      int fd;

      if (!g_str_has_suffix (name, ROOM_SUFFIX))
        continue;
      fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
      if (fd < 0)
        continue;
      if (flock (fd, LOCK_EX | LOCK_NB) == 0)
        unlink (path);
      close (fd);
    }
}

/* --- Life --- */

AtlKeptChats *
atl_kept_chats_new (const char *dir, guint64 limit_bytes)
{
  AtlKeptChats *self = g_new0 (AtlKeptChats, 1);

  self->dir = dir != NULL ? g_strdup (dir)
                          : g_build_filename (g_get_user_cache_dir (), "atelier", "chats", NULL);
  self->limit_bytes = limit_bytes;
  self->rooms = g_ptr_array_new_with_free_func (room_free);
  remove_orphans (self);
  prune (self);
  return self;
}

void
atl_kept_chats_free (AtlKeptChats *self)
{
  if (self == NULL)
    return;
  while (self->rooms->len > 0)
    atl_kept_chats_end_room (self, ((Room *) self->rooms->pdata[0])->number, FALSE);
  g_ptr_array_unref (self->rooms);
  g_free (self->dir);
  g_free (self);
}

void
atl_kept_chats_set_limit (AtlKeptChats *self, guint64 limit_bytes)
{
  self->limit_bytes = limit_bytes;
  prune (self);
}

/* --- Reading --- */

int
atl_kept_chats_open (AtlKeptChats *self, const char *key)
{
  g_autofree char *path = NULL;
  struct stat st;
  int fd;

  if (!is_key (key))
    return -1;
  path = file_path (self, key);
  fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0)
    return -1;
  if (fstat (fd, &st) != 0 || !S_ISREG (st.st_mode))
    {
      close (fd);
      return -1;
    }
  /* Used now. */
  if (futimens (fd, NULL) != 0)
    g_debug ("%s: %s", path, g_strerror (errno));
  return fd;
}

/* --- Writing --- */

static guint64
free_bytes (const AtlKeptChats *self)
{
  struct statvfs st;
  guint64 bytes;

  if (statvfs (self->dir, &st) != 0)
    return 0;
  bytes = (guint64) st.f_bavail * st.f_frsize;
  return bytes - MIN (bytes, DISK_RESERVE_BYTES);
}

int
atl_kept_chats_add_room (AtlKeptChats *self, const char *key, guint64 *number, guint64 *max_bytes)
{
  g_autofree char *name = NULL;
  g_autofree char *path = NULL;
  Room *room;
  int fd;

  if (!is_key (key) || g_mkdir_with_parents (self->dir, 0700) != 0)
    return -1;
  *max_bytes = MIN (self->limit_bytes, free_bytes (self));
  if (*max_bytes == 0)
    return -1;
  *number = (guint64) g_atomic_int_add (&last_number, 1) + 1;
  name = g_strdup_printf ("%s.%d-%" G_GUINT64_FORMAT ROOM_SUFFIX, key, (int) getpid (), *number);
  path = g_build_filename (self->dir, name, NULL);
  fd = open (path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return -1;
  if (flock (fd, LOCK_EX | LOCK_NB) != 0)
    g_debug ("%s: %s", path, g_strerror (errno));
  room = g_new0 (Room, 1);
  room->number = *number;
  room->max_bytes = *max_bytes;
  room->fd = fd;
  room->key = g_strdup (key);
  room->path = g_steal_pointer (&path);
  g_ptr_array_add (self->rooms, room);
  return fd;
}

void
atl_kept_chats_end_room (AtlKeptChats *self, guint64 number, gboolean is_whole)
{
  for (guint i = 0; i < self->rooms->len; i++)
    {
      Room *room = self->rooms->pdata[i];
      g_autofree char *path = NULL;
      struct stat st;

      if (room->number != number)
        continue;
      path = file_path (self, room->key);
      /* Nothing rests on the file: it need not reach the disk before its name does. */
      if (!is_whole || fstat (room->fd, &st) != 0 || st.st_size == 0 ||
          (guint64) st.st_size > room->max_bytes || rename (room->path, path) != 0)
        unlink (room->path);
      g_ptr_array_remove_index_fast (self->rooms, i);
      if (is_whole)
        prune (self);
      return;
    }
}

/* --- All of it --- */

guint64
atl_kept_chats_bytes (AtlKeptChats *self)
{
  g_autoptr (GPtrArray) list = list_files (self);
  guint64 bytes = 0;

  for (guint i = 0; i < list->len; i++)
    bytes += ((Entry *) list->pdata[i])->bytes;
  return bytes;
}

GPtrArray *
atl_kept_chats_list (AtlKeptChats *self)
{
  g_autoptr (GPtrArray) list = list_files (self);
  GPtrArray *keys = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < list->len; i++)
    g_ptr_array_add (keys, g_strdup (((Entry *) list->pdata[i])->key));
  return keys;
}

void
atl_kept_chats_remove (AtlKeptChats *self, const char *key)
{
  g_autofree char *path = is_key (key) ? file_path (self, key) : NULL;

  if (path != NULL && unlink (path) != 0 && errno != ENOENT)
    g_debug ("%s: %s", path, g_strerror (errno));
}

void
atl_kept_chats_clear (AtlKeptChats *self)
{
  g_autoptr (GPtrArray) keys = atl_kept_chats_list (self);

  for (guint i = 0; i < keys->len; i++)
    atl_kept_chats_remove (self, keys->pdata[i]);
}
