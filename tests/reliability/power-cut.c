/* See power-cut.h. What a write changes is remembered until its file is flushed; the names that are
 * on the disk are hard links in a folder beside the one that is watched. */

/* With it, the headers would give these functions the names of others. */
#undef _FILE_OFFSET_BITS
#include "power-cut.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512

typedef struct
{
  guint64 inode;
  int fd; /* our own; closing it would drop the program's locks on the file */
  gint64 offset;
  gint64 old_size;
  GByteArray *old; /* what was at offset; past the end of the file nothing was */
  gsize length;    /* of the change; 0: only the size */
} Change;

static GRecMutex mutex;
static char *root, *disk;
static GPtrArray *changes;
static GHashTable *files; /* inode -> fd + 1 */
static guint n_calls, last_call;
static PowerCutKind cut_kind;
static GRand *dice;
static gboolean is_cutting;

#define NEXT(name)                                                                                 \
  static __typeof__ (&name) next;                                                                  \
  if (next == NULL)                                                                                \
  next = (__typeof__ (&name)) dlsym (RTLD_NEXT, #name)

static void
change_free (gpointer data)
{
  Change *change = data;

  g_byte_array_unref (change->old);
  g_free (change);
}

/* --- What is under the folder --- */

static gboolean
is_inside (const char *path)
{
  gsize n = strlen (root);

  return strncmp (path, root, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* TRUE for a file or folder inside; `path` gets where it is, or was. */
static gboolean
find_path (int fd, char path[PATH_MAX])
{
  char link_name[64];
  ssize_t n;

  if (root == NULL || is_cutting)
    return FALSE;
  g_snprintf (link_name, sizeof link_name, "/proc/self/fd/%d", fd);
  n = readlink (link_name, path, PATH_MAX - 1);
  if (n <= 0)
    return FALSE;
  path[n] = '\0';
  return is_inside (path);
}

/* A descriptor of our own for the file of `fd`. */
static int
own_fd (int fd, guint64 inode)
{
  int own = GPOINTER_TO_INT (g_hash_table_lookup (files, GSIZE_TO_POINTER (inode))) - 1;
  char link_name[64];

  if (own < 0)
    {
      g_snprintf (link_name, sizeof link_name, "/proc/self/fd/%d", fd);
      own = open (link_name, O_RDWR | O_CLOEXEC);
      g_assert_cmpint (own, >=, 0);
      g_hash_table_insert (files, GSIZE_TO_POINTER (inode), GINT_TO_POINTER (own + 1));
    }
  return own;
}

/* --- Remembering --- */

/* Before `length` bytes at `offset` are written, or the file is cut there (length 0). */
static void
remember (int fd, gint64 offset, gsize length)
{
  Change *change = g_new0 (Change, 1);
  struct stat st;
  gint64 end;

  g_assert_cmpint (fstat (fd, &st), ==, 0);
  change->inode = st.st_ino;
  change->fd = own_fd (fd, st.st_ino);
  change->offset = offset;
  change->old_size = st.st_size;
  end = length > 0 ? MIN (st.st_size, offset + (gint64) length) : st.st_size;
  change->length = length > 0 ? length : (gsize) MAX (end - offset, 0);
  change->old = g_byte_array_new ();
  if (end > offset)
    {
      g_byte_array_set_size (change->old, (guint) (end - offset));
      g_assert_cmpint (pread (change->fd, change->old->data, change->old->len, offset), ==,
                       (gssize) change->old->len);
    }
  g_ptr_array_add (changes, change);
}

static void
forget (guint64 inode)
{
  for (guint i = changes->len; i > 0; i--)
    if (((Change *) changes->pdata[i - 1])->inode == inode)
      g_ptr_array_remove_index (changes, i - 1);
}

/* Makes the files of folder `to` those of `from`, by links. */
static void
mirror_names (const char *from, const char *to)
{
  for (guint pass = 0; pass < 2; pass++)
    {
      const char *source = pass == 0 ? to : from, *other = pass == 0 ? from : to;
      DIR *dir = opendir (source);
      struct dirent *entry;

      while (dir != NULL && (entry = readdir (dir)) != NULL)
        {
          g_autofree char *here = g_build_filename (source, entry->d_name, NULL);
          g_autofree char *there = g_build_filename (other, entry->d_name, NULL);
          struct stat a, b;
          gboolean same;

          if (lstat (here, &a) != 0 || S_ISDIR (a.st_mode))
            continue;
          same = lstat (there, &b) == 0 && b.st_ino == a.st_ino;
          /* First what must go from `to`, then what must come. */
          if (pass == 0 && !same)
            unlink (here);
          else if (pass == 1 && !same)
            g_assert_cmpint (link (here, there), ==, 0);
        }
      if (dir != NULL)
        closedir (dir);
    }
}

/* Calls `mirror_names` for a folder and those in it. */
static void
mirror_tree (const char *from, const char *to)
{
  DIR *dir;
  struct dirent *entry;

  mkdir (to, 0700);
  mirror_names (from, to);
  dir = opendir (from);
  while (dir != NULL && (entry = readdir (dir)) != NULL)
    if (entry->d_type == DT_DIR && strcmp (entry->d_name, ".") != 0 &&
        strcmp (entry->d_name, "..") != 0)
      {
        g_autofree char *here = g_build_filename (from, entry->d_name, NULL);
        g_autofree char *there = g_build_filename (to, entry->d_name, NULL);

        mirror_tree (here, there);
      }
  if (dir != NULL)
    closedir (dir);
}

/* --- The cut --- */

static gboolean
heads (void)
{
  return g_rand_boolean (dice);
}

/* Takes one change back; with POWER_CUT_SOME, a sector that survived once keeps what was written
 * before as well. */
static void
take_back (const Change *change, GHashTable *kept)
{
  const guint8 zeros[SECTOR] = { 0 };
  gint64 end = change->offset + (gint64) change->length, next;

  for (gint64 at = change->offset; at < end; at = next)
    {
      g_autofree char *sector =
          g_strdup_printf ("%" G_GUINT64_FORMAT " %" G_GINT64_FORMAT, change->inode, at / SECTOR);
      gint64 old_end = change->offset + change->old->len, n;

      next = MIN (end, (at / SECTOR + 1) * SECTOR);
      if (g_hash_table_contains (kept, sector))
        continue;
      if (cut_kind == POWER_CUT_SOME && heads ())
        {
          g_hash_table_add (kept, g_steal_pointer (&sector));
          continue;
        }
      n = CLAMP (old_end - at, 0, next - at);
      if (n > 0)
        g_assert_cmpint (
            pwrite (change->fd, change->old->data + (at - change->offset), (gsize) n, at), ==, n);
      /* The length may survive without the bytes. */
      if (n < next - at)
        g_assert_cmpint (pwrite (change->fd, zeros, (gsize) (next - at - n), at + n), >, 0);
    }
  if (cut_kind == POWER_CUT_NOTHING || heads ())
    g_assert_cmpint (ftruncate (change->fd, change->old_size), ==, 0);
}

/* In a folder that was never flushed no name is certain. */
static void
take_back_names (const char *from, const char *to)
{
  DIR *dir = opendir (to);
  struct dirent *entry;

  mkdir (from, 0700);
  mirror_names (from, to);
  while (dir != NULL && (entry = readdir (dir)) != NULL)
    if (entry->d_type == DT_DIR && strcmp (entry->d_name, ".") != 0 &&
        strcmp (entry->d_name, "..") != 0)
      {
        g_autofree char *here = g_build_filename (from, entry->d_name, NULL);
        g_autofree char *there = g_build_filename (to, entry->d_name, NULL);

        take_back_names (here, there);
      }
  if (dir != NULL)
    closedir (dir);
}

void
power_cut_now (void)
{
  g_autoptr (GHashTable) kept = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  g_rec_mutex_lock (&mutex);
  is_cutting = TRUE;
  if (cut_kind != POWER_CUT_ALL)
    {
      for (guint i = changes->len; i > 0; i--)
        take_back (changes->pdata[i - 1], kept);
      if (cut_kind == POWER_CUT_NOTHING || heads ())
        take_back_names (disk, root);
    }
  kill (getpid (), SIGKILL);
  for (;;)
    pause ();
}

void
power_cut_arm (const char *dir, guint at, PowerCutKind kind, guint seed)
{
  g_assert_null (root);
  changes = g_ptr_array_new_with_free_func (change_free);
  files = g_hash_table_new (NULL, NULL);
  disk = g_strconcat (dir, ".disk", NULL);
  mirror_tree (dir, disk);
  dice = g_rand_new_with_seed (seed);
  cut_kind = kind;
  last_call = at;
  root = realpath (dir, NULL);
  g_assert_nonnull (root);
}

guint
power_cut_n_calls (void)
{
  return n_calls;
}

/* After a call that counts. */
static void
count (void)
{
  if (++n_calls == last_call)
    power_cut_now ();
}

/* --- In front of the C library --- */

ssize_t
write (int fd, const void *bytes, size_t size)
{
  NEXT (write);
  char path[PATH_MAX];
  ssize_t n;

  if (!find_path (fd, path))
    return next (fd, bytes, size);
  g_rec_mutex_lock (&mutex);
  if (fcntl (fd, F_GETFL) & O_APPEND)
    lseek (fd, 0, SEEK_END);
  if (size > 0)
    remember (fd, lseek (fd, 0, SEEK_CUR), size);
  n = next (fd, bytes, size);
  count ();
  g_rec_mutex_unlock (&mutex);
  return n;
}

ssize_t
pwrite (int fd, const void *bytes, size_t size, off_t offset)
{
  NEXT (pwrite);
  char path[PATH_MAX];
  ssize_t n;

  if (!find_path (fd, path))
    return next (fd, bytes, size, offset);
  g_rec_mutex_lock (&mutex);
  if (size > 0)
    remember (fd, offset, size);
  n = next (fd, bytes, size, offset);
  count ();
  g_rec_mutex_unlock (&mutex);
  return n;
}

ssize_t
pwrite64 (int fd, const void *bytes, size_t size, off64_t offset)
{
  return pwrite (fd, bytes, size, offset);
}

/* Into a file that is appended to, as programs do that copy. */
ssize_t
copy_file_range (int from, off64_t *at, int fd, off64_t *to, size_t size, unsigned flags)
{
  NEXT (copy_file_range);
  char path[PATH_MAX];
  ssize_t n;

  if (!find_path (fd, path))
    return next (from, at, fd, to, size, flags);
  g_rec_mutex_lock (&mutex);
  if (size > 0)
    remember (fd, to != NULL ? *to : lseek (fd, 0, SEEK_CUR), size);
  n = next (from, at, fd, to, size, flags);
  count ();
  g_rec_mutex_unlock (&mutex);
  return n;
}

int
ftruncate (int fd, off_t size)
{
  NEXT (ftruncate);
  char path[PATH_MAX];
  int status;

  /* The index of the write-ahead log is mapped, and made anew after a cut. */
  if (!find_path (fd, path) || g_str_has_suffix (path, "-shm"))
    return next (fd, size);
  g_rec_mutex_lock (&mutex);
  remember (fd, size, 0);
  status = next (fd, size);
  count ();
  g_rec_mutex_unlock (&mutex);
  return status;
}

int
ftruncate64 (int fd, off64_t size)
{
  return ftruncate (fd, size);
}

static void
flushed (int fd, const char *path)
{
  struct stat st;

  if (fstat (fd, &st) != 0)
    return;
  if (S_ISDIR (st.st_mode))
    {
      g_autofree char *mirror = g_strconcat (disk, path + strlen (root), NULL);

      g_mkdir_with_parents (mirror, 0700);
      mirror_names (path, mirror);
    }
  else
    forget (st.st_ino);
}

int
fsync (int fd)
{
  NEXT (fsync);
  char path[PATH_MAX];
  int status;

  if (!find_path (fd, path))
    return next (fd);
  g_rec_mutex_lock (&mutex);
  /* A cut before it is as good as one in it. */
  count ();
  status = next (fd);
  if (status == 0)
    flushed (fd, path);
  g_rec_mutex_unlock (&mutex);
  return status;
}

int
fdatasync (int fd)
{
  return fsync (fd);
}

/* Names: only counted, since what is on the disk is kept beside. */
#define NAMES(name, parameters, arguments, path)                                                   \
  int name parameters                                                                              \
  {                                                                                                \
    NEXT (name);                                                                                   \
    int status = next arguments;                                                                   \
    if (root != NULL && !is_cutting && is_inside (path))                                           \
      {                                                                                            \
        g_rec_mutex_lock (&mutex);                                                                 \
        count ();                                                                                  \
        g_rec_mutex_unlock (&mutex);                                                               \
      }                                                                                            \
    return status;                                                                                 \
  }
NAMES (unlink, (const char *path), (path), path)
NAMES (link, (const char *from, const char *to), (from, to), to)
NAMES (linkat,
       (int from_dir, const char *from, int to_dir, const char *to, int flags),
       (from_dir, from, to_dir, to, flags),
       to)
NAMES (renameat2,
       (int from_dir, const char *from, int to_dir, const char *to, unsigned flags),
       (from_dir, from, to_dir, to, flags),
       to)

int
rename (const char *from, const char *to)
{
  NEXT (rename);
  int status = next (from, to);

  if (root == NULL || is_cutting || !is_inside (to))
    return status;
  g_rec_mutex_lock (&mutex);
  if (status == 0 && is_inside (from) && g_file_test (to, G_FILE_TEST_IS_DIR))
    {
      g_autofree char *mirror_from = g_strconcat (disk, from + strlen (root), NULL);
      g_autofree char *mirror_to = g_strconcat (disk, to + strlen (root), NULL);

      next (mirror_from, mirror_to);
    }
  count ();
  g_rec_mutex_unlock (&mutex);
  return status;
}
