/* Files in the making: appended to, hashed, flushed, resumed, moved into place. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/hub-private.h"
#include "hub/part-file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/json-bounded.h"
#include "base/sync.h"

static guint64 room_to_spare = 64u << 20;

struct _AtlPart
{
  char *target;     /* (owned) */
  char *path;       /* (owned) NAME.part */
  char *state_path; /* (owned) NAME.part.state */
  int fd;
  guint64 size;        /* bytes written */
  guint64 flushed;     /* of them, known to be on disk */
  guint64 hashed;      /* of them, in the checksum */
  GChecksum *checksum; /* (owned) */
  GHashTable *notes;   /* (owned) */
};

gboolean
atl_hub_is_sha256 (const char *text)
{
  return text != NULL && strlen (text) == 64 && strspn (text, "0123456789abcdefABCDEF") == 64;
}

/* Changes with every boot: tells a restart of the program, which loses nothing, from one of the
 * machine. */
static char *
boot_id (void)
{
  char *text = NULL;

  if (!g_file_get_contents ("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
    return g_strdup ("");
  return g_strstrip (text);
}

static void
set_io_error (GError **error, int code, const char *doing, const char *path)
{
  if (code == ENOSPC || code == EDQUOT)
    g_set_error (error, ATL_ERROR, ATL_ERROR_FULL,
                 _ ("The disk is full: %s could not be written further. What was fetched is kept; "
                    "free some space and try again, it goes on from there"),
                 path);
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s %s was not possible: %s"), doing, path,
                 g_strerror (code));
}

void
atl_hub_set_room_to_spare (guint64 bytes)
{
  room_to_spare = bytes;
}

guint64
atl_part_bytes_there (const char *target)
{
  g_autofree char *path = g_strconcat (target, ".part", NULL);
  struct stat info;

  return lstat (path, &info) == 0 && S_ISREG (info.st_mode) ? (guint64) info.st_size : 0;
}

gboolean
atl_hub_check_room (const char *path, guint64 bytes, const char *what, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *needed = NULL, *there = NULL;
  struct statvfs vfs;
  guint64 room;

  if (statvfs (folder, &vfs) != 0)
    return TRUE; /* writing will tell */
  room = (guint64) vfs.f_bavail * vfs.f_frsize;
  if (bytes <= room && room - bytes >= room_to_spare)
    return TRUE;
  /* With what is left to others, so that the two numbers agree. */
  needed = g_format_size (bytes + MIN (room_to_spare, G_MAXUINT64 - bytes));
  there = g_format_size (room);
  g_set_error (
      error, ATL_ERROR, ATL_ERROR_FULL,
      _ ("Not enough room on the disk for %s: it needs %s more and %s are free in %s. What was "
         "fetched is kept"),
      what, needed, there, folder);
  return FALSE;
}

/* Reads the state; what it says about another key is forgotten. Returns how many bytes count. */
static guint64
read_state (AtlPart *self, const char *key, guint64 size)
{
  g_autofree char *text = NULL;
  g_autofree char *boot = boot_id ();
  g_autoptr (JsonNode) root = NULL;
  JsonObject *object, *notes;
  gsize length;
  gint64 flushed;

  if (!g_file_get_contents (self->state_path, &text, &length, NULL))
    return 0;
  root = atl_json_parse (text, length, self->state_path, NULL);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    return 0;
  object = json_node_get_object (root);
  if (g_ascii_strcasecmp (atl_json_string (object, "key", ""), key) != 0)
    return 0;
  notes = atl_json_object (object, "notes");
  if (notes != NULL)
    {
      g_autoptr (GList) names = json_object_get_members (notes);

      for (GList *l = names; l != NULL; l = l->next)
        atl_part_set_note (self, l->data, atl_json_string (notes, l->data, NULL));
    }
  flushed = atl_json_int (object, "flushed", 0);
  if (boot[0] != '\0' && g_str_equal (boot, atl_json_string (object, "boot", "")))
    return size;
  return MIN ((guint64) MAX (flushed, 0), size);
}

static gboolean
write_state (AtlPart *self, GError **error)
{
  g_autoptr (JsonNode) root = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new (), *notes = json_object_new ();
  g_autofree char *text = NULL;
  g_autofree char *boot = boot_id ();
  g_autoptr (GError) local = NULL;
  GHashTableIter iter;
  gpointer name, value;

  json_node_take_object (root, object);
  json_object_set_string_member (object, "key", g_hash_table_lookup (self->notes, "key"));
  json_object_set_string_member (object, "boot", boot);
  json_object_set_int_member (object, "flushed", (gint64) self->flushed);
  json_object_set_object_member (object, "notes", notes);
  g_hash_table_iter_init (&iter, self->notes);
  while (g_hash_table_iter_next (&iter, &name, &value))
    json_object_set_string_member (notes, name, value);
  text = json_to_string (root, FALSE);
  if (g_file_set_contents_full (self->state_path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                                &local))
    return TRUE;
  if (g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOSPC))
    set_io_error (error, ENOSPC, _ ("Writing"), self->state_path);
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s", local->message);
  return FALSE;
}

/* Opens the part and locks it. Whoever held it before may have moved it into place meanwhile: the
 * lock is worth something only on the file that has the name now. */
static gboolean
open_locked (AtlPart *self, GError **error)
{
  g_autofree char *name = g_path_get_basename (self->target);

  for (int i = 0; i < 10; i++)
    {
      struct stat held, named;

      self->fd = open (self->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
      if (self->fd < 0 || fstat (self->fd, &held) != 0)
        {
          set_io_error (error, errno, _ ("Writing"), self->path);
          return FALSE;
        }
      if (!S_ISREG (held.st_mode) || flock (self->fd, LOCK_EX | LOCK_NB) != 0)
        break;
      if (lstat (self->path, &named) == 0 && named.st_ino == held.st_ino &&
          named.st_dev == held.st_dev)
        return TRUE;
      close (self->fd);
    }
  if (self->fd >= 0)
    close (self->fd);
  self->fd = -1;
  g_set_error (error, ATL_ERROR, ATL_ERROR_BUSY,
               _ ("%s is being fetched already, by another window or command"), name);
  return FALSE;
}

AtlPart *
atl_part_open (const char *target, const char *key, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (target);
  g_autoptr (AtlPart) self = g_new0 (AtlPart, 1);
  struct stat st;

  self->fd = -1;
  self->target = g_strdup (target);
  self->path = g_strconcat (target, ".part", NULL);
  self->state_path = g_strconcat (target, ".part.state", NULL);
  self->checksum = g_checksum_new (G_CHECKSUM_SHA256);
  self->notes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);

  if (g_mkdir_with_parents (folder, 0755) != 0)
    {
      set_io_error (error, errno, _ ("Making the folder"), folder);
      return NULL;
    }
  if (!open_locked (self, error))
    return NULL;
  if (fstat (self->fd, &st) != 0)
    {
      set_io_error (error, errno, _ ("Reading"), self->path);
      return NULL;
    }
  self->size = read_state (self, key, (guint64) st.st_size);
  if (self->size == 0)
    g_hash_table_remove_all (self->notes);
  self->flushed = self->size;
  atl_part_set_note (self, "key", key);
  if ((guint64) st.st_size != self->size && ftruncate (self->fd, (off_t) self->size) != 0)
    {
      set_io_error (error, errno, _ ("Writing"), self->path);
      return NULL;
    }
  if (lseek (self->fd, (off_t) self->size, SEEK_SET) < 0 || !write_state (self, error))
    return NULL;
  return g_steal_pointer (&self);
}

void
atl_part_close (AtlPart *self)
{
  if (self == NULL)
    return;
  if (self->fd >= 0)
    {
      atl_part_flush (self, NULL);
      close (self->fd);
    }
  g_checksum_free (self->checksum);
  g_hash_table_unref (self->notes);
  g_free (self->target);
  g_free (self->path);
  g_free (self->state_path);
  g_free (self);
}

guint64
atl_part_size (const AtlPart *self)
{
  return self->size;
}

const char *
atl_part_path (const AtlPart *self)
{
  return self->path;
}

gboolean
atl_part_truncate (AtlPart *self, guint64 size, GError **error)
{
  g_return_val_if_fail (size <= self->size, FALSE);
  if (size == self->size)
    return TRUE;
  if (ftruncate (self->fd, (off_t) size) != 0 || lseek (self->fd, (off_t) size, SEEK_SET) < 0)
    {
      set_io_error (error, errno, _ ("Writing"), self->path);
      return FALSE;
    }
  self->size = size;
  self->flushed = MIN (self->flushed, size);
  if (self->hashed > size)
    {
      g_checksum_reset (self->checksum);
      self->hashed = 0;
    }
  return TRUE;
}

gboolean
atl_part_catch_up (AtlPart *self, AtlReporter *reporter, GCancellable *cancellable, GError **error)
{
  enum
  {
    CHUNK = 1 << 20
  };
  g_autofree guint8 *buffer = NULL;

  if (self->hashed == self->size)
    return TRUE;
  buffer = g_malloc (CHUNK);
  while (self->hashed < self->size)
    {
      gsize wanted = (gsize) MIN (self->size - self->hashed, (guint64) CHUNK);
      gssize n = pread (self->fd, buffer, wanted, (off_t) self->hashed);

      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      if (n <= 0)
        {
          set_io_error (error, n < 0 ? errno : EIO, _ ("Reading"), self->path);
          return FALSE;
        }
      g_checksum_update (self->checksum, buffer, n);
      self->hashed += (guint64) n;
      atl_reporter_done (reporter, self->hashed);
    }
  return TRUE;
}

gboolean
atl_part_append (AtlPart *self, gconstpointer data, gsize size, GError **error)
{
  const guint8 *bytes = data;

  g_return_val_if_fail (self->hashed == self->size, FALSE);
  while (size > 0)
    {
      gssize n = write (self->fd, bytes, size);

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        {
          set_io_error (error, n < 0 ? errno : ENOSPC, _ ("Writing"), self->path);
          return FALSE;
        }
      g_checksum_update (self->checksum, bytes, n);
      self->size += (guint64) n;
      self->hashed = self->size;
      bytes += n;
      size -= (gsize) n;
    }
  if (self->size - self->flushed >= ATL_PART_FLUSH_BYTES)
    return atl_part_flush (self, error);
  return TRUE;
}

void
atl_part_set_note (AtlPart *self, const char *name, const char *value)
{
  if (value != NULL)
    g_hash_table_insert (self->notes, g_strdup (name), g_strdup (value));
  else
    g_hash_table_remove (self->notes, name);
}

const char *
atl_part_note (const AtlPart *self, const char *name)
{
  return g_hash_table_lookup (self->notes, name);
}

gboolean
atl_part_flush (AtlPart *self, GError **error)
{
  if (fdatasync (self->fd) != 0)
    {
      set_io_error (error, errno, _ ("Writing"), self->path);
      return FALSE;
    }
  self->flushed = self->size;
  return write_state (self, error);
}

/* "dir/name.gguf", 2 -> "dir/name (2).gguf" */
static char *
numbered (const char *path, int number)
{
  const char *slash = strrchr (path, '/');
  const char *dot = strrchr (path, '.');

  if (number <= 1)
    return g_strdup (path);
  if (dot == NULL || dot <= slash + 1)
    dot = path + strlen (path);
  return g_strdup_printf ("%.*s (%d)%s", (int) (dot - path), path, number, dot);
}

char *
atl_hub_move_in (const char *from, const char *to, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (to);

  for (int i = 1; i < 10000; i++)
    {
      g_autofree char *name = numbered (to, i);

      if (renameat2 (AT_FDCWD, from, AT_FDCWD, name, RENAME_NOREPLACE) == 0)
        {
          atl_sync_path (folder);
          return g_steal_pointer (&name);
        }
      /* File systems without the flag: a hard link does not replace either. */
      if ((errno == EINVAL || errno == ENOSYS) && link (from, name) == 0)
        {
          g_unlink (from);
          atl_sync_path (folder);
          return g_steal_pointer (&name);
        }
      if (errno != EEXIST)
        break;
    }
  set_io_error (error, errno, _ ("Moving into place"), to);
  return NULL;
}

char *
atl_part_finish (AtlPart *self, const char *sha256, GError **error)
{
  g_autofree char *name = g_path_get_basename (self->target);
  const char *found;
  char *path;

  g_return_val_if_fail (self->hashed == self->size, NULL);
  found = g_checksum_get_string (self->checksum);
  if (g_ascii_strcasecmp (found, sha256) != 0)
    {
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_BAD_FILE,
          _ ("%s: what was fetched is not the file that was promised (its SHA-256 begins with "
             "%.12s, expected %.12s). It was removed; try again"),
          name, found, sha256);
      atl_part_discard (self);
      return NULL;
    }
  if (fsync (self->fd) != 0)
    {
      set_io_error (error, errno, _ ("Writing"), self->path);
      return NULL;
    }
  path = atl_hub_move_in (self->path, self->target, error);
  if (path == NULL)
    return NULL;
  g_unlink (self->state_path);
  close (self->fd);
  self->fd = -1;
  return path;
}

void
atl_part_discard (AtlPart *self)
{
  g_unlink (self->path);
  g_unlink (self->state_path);
  if (self->fd >= 0)
    close (self->fd);
  self->fd = -1;
}
