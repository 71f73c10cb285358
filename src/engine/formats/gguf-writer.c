/* The other direction of the GGUF reader. */
#define G_LOG_DOMAIN "atl-formats"

#include "engine/formats/gguf-writer.h"

#include <glib/gi18n.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/language.h"
#include "base/nameless.h"
#include "base/sync.h"
#include "base/write-all.h"
#include "engine/formats/format-error.h"
#include "engine/formats/gguf-private.h"

#define VERSION 3
#define ALIGNMENT 32
/* Room to leave on the disk: a system without any does not work well. */
#define SPARE_BYTES (16u << 20)

struct _AtlGgufWriter
{
  char *path;   /* (owned) */
  char *hidden; /* (owned) (nullable) until it is complete; NULL: it has no name until then */
  int fd;
  GByteArray *pairs; /* (owned) */
  GByteArray *table; /* (owned) */
  guint64 n_pairs, n_tensors;
  GArray *ends;      /* (owned) guint64: where each tensor ends in the data section, unpadded */
  guint64 data_size; /* padded */
  guint64 written;   /* of the data section */
  guint next;        /* the tensor being written */
};

/* --- Little endian --- */

static void
put_number (GByteArray *out, guint64 bits, guint width)
{
  guint8 bytes[8];

  for (guint i = 0; i < width; i++)
    bytes[i] = (guint8) (bits >> 8 * i);
  g_byte_array_append (out, bytes, width);
}

static void
put_text (GByteArray *out, const char *chars, gsize length)
{
  put_number (out, length, 8);
  g_byte_array_append (out, (const guint8 *) chars, (guint) length);
}

static guint64
float_bits (double value, guint width)
{
  guint32 narrow;
  guint64 wide;
  float single = (float) value;

  if (width == 8)
    {
      memcpy (&wide, &value, sizeof wide);
      return wide;
    }
  memcpy (&narrow, &single, sizeof narrow);
  return narrow;
}

static guint
log2_of (guint width)
{
  return width == 1 ? 0 : width == 2 ? 1 : width == 4 ? 2 : 3;
}

/* The type of the format for numbers of a kind and width. */
static AtlGgufType
type_of (AtlMetaType type, guint width)
{
  static const AtlGgufType ints[] = { ATL_GGUF_I8, ATL_GGUF_I16, ATL_GGUF_I32, ATL_GGUF_I64 };
  static const AtlGgufType uints[] = { ATL_GGUF_U8, ATL_GGUF_U16, ATL_GGUF_U32, ATL_GGUF_U64 };

  switch (type)
    {
    case ATL_META_BOOL:
      return ATL_GGUF_BOOL;
    case ATL_META_INT:
      return ints[log2_of (width)];
    case ATL_META_UINT:
      return uints[log2_of (width)];
    case ATL_META_FLOAT:
      return width == 8 ? ATL_GGUF_F64 : ATL_GGUF_F32;
    case ATL_META_STRING:
      return ATL_GGUF_STRING;
    case ATL_META_ARRAY:
      break;
    }
  g_assert_not_reached ();
}

static gboolean
is_wide (AtlMetaType type, guint64 number)
{
  gint64 value = (gint64) number;

  return type == ATL_META_UINT ? number > G_MAXUINT32
                               : type == ATL_META_INT && (value > G_MAXINT32 || value < G_MININT32);
}

static guint
width_of (const AtlMetaValue *value)
{
  if (value->type == ATL_META_ARRAY)
    {
      AtlMetaType type = value->v_array.elem_type;

      if (type == ATL_META_BOOL)
        return 1;
      if (value->width != 0)
        return value->width;
      if (type == ATL_META_INT || type == ATL_META_UINT)
        for (gsize i = 0; i < value->v_array.n; i++)
          if (is_wide (type, ((const guint64 *) value->v_array.elems)[i]))
            return 8;
      return 4;
    }
  if (value->type == ATL_META_BOOL)
    return 1;
  if (value->width != 0)
    return value->width;
  return value->type != ATL_META_FLOAT && is_wide (value->type, value->v_uint) ? 8 : 4;
}

static void
put_array (GByteArray *out, const AtlMetaValue *value, guint width)
{
  gconstpointer elems = value->v_array.elems;

  put_number (out, type_of (value->v_array.elem_type, width), 4);
  put_number (out, value->v_array.n, 8);
  for (gsize i = 0; i < value->v_array.n; i++)
    switch (value->v_array.elem_type)
      {
      case ATL_META_BOOL:
        put_number (out, ((const gboolean *) elems)[i] != 0, 1);
        break;
      case ATL_META_INT:
      case ATL_META_UINT:
        put_number (out, ((const guint64 *) elems)[i], width);
        break;
      case ATL_META_FLOAT:
        put_number (out, float_bits (((const double *) elems)[i], width), width);
        break;
      case ATL_META_STRING:
        put_text (out, ((char *const *) elems)[i],
                  value->v_array.lengths != NULL ? value->v_array.lengths[i]
                                                 : strlen (((char *const *) elems)[i]));
        break;
      case ATL_META_ARRAY:
        g_assert_not_reached ();
      }
}

void
atl_gguf_writer_add_meta (AtlGgufWriter *self, const char *key, const AtlMetaValue *value)
{
  GByteArray *out = self->pairs;
  guint width = value->type == ATL_META_STRING ? 0 : width_of (value);

  put_text (out, key, strlen (key));
  self->n_pairs++;
  if (value->type == ATL_META_ARRAY)
    {
      put_number (out, ATL_GGUF_ARRAY, 4);
      put_array (out, value, width);
      return;
    }
  put_number (out, type_of (value->type, width), 4);
  switch (value->type)
    {
    case ATL_META_BOOL:
      put_number (out, value->v_bool != 0, 1);
      break;
    case ATL_META_INT:
    case ATL_META_UINT:
      put_number (out, value->v_uint, width);
      break;
    case ATL_META_FLOAT:
      put_number (out, float_bits (value->v_float, width), width);
      break;
    default:
      put_text (out, value->v_string.chars, value->v_string.length);
      break;
    }
}

static guint64
padded (guint64 size)
{
  return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void
atl_gguf_writer_add_tensor (
    AtlGgufWriter *self, const char *name, AtlDType dtype, guint n_dims, const gint64 *dim)
{
  gint id = atl_gguf_id_of_dtype (dtype);
  guint64 n = 1, bytes = 0, end;
  gboolean ok;

  g_assert (id >= 0 && n_dims >= 1 && n_dims <= 4);
  put_text (self->table, name, strlen (name));
  put_number (self->table, n_dims, 4);
  for (guint i = n_dims; i-- > 0;)
    {
      put_number (self->table, (guint64) dim[i], 8);
      n *= (guint64) dim[i];
    }
  put_number (self->table, (guint64) id, 4);
  put_number (self->table, self->data_size, 8);
  ok = atl_dtype_row_bytes (dtype, n, &bytes);
  g_assert (ok);
  end = self->data_size + bytes;
  g_array_append_val (self->ends, end);
  self->data_size = padded (end);
  self->n_tensors++;
}

/* --- The file --- */

static gboolean
fail (const AtlGgufWriter *self, int code, GError **error)
{
  if (code == ENOSPC || code == EDQUOT)
    return atl_format_fail (error, ATL_ERROR_FULL, _ ("The disk of %s is full"), self->path);
  return atl_format_fail (error, ATL_ERROR_INVALID, _ ("%s cannot be written: %s"), self->path,
                          g_strerror (code));
}

AtlGgufWriter *
atl_gguf_writer_new (const char *path, GError **error)
{
  AtlGgufWriter *self;
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *base = g_path_get_basename (path);
  GStatBuf st;

  if (g_lstat (path, &st) == 0)
    {
      atl_format_fail (error, ATL_ERROR_BUSY,
                       _ ("%s is there already; choose another name, or remove it first"), path);
      return NULL;
    }
  self = g_new0 (AtlGgufWriter, 1);
  self->path = g_strdup (path);
  self->pairs = g_byte_array_new ();
  self->table = g_byte_array_new ();
  self->ends = g_array_new (FALSE, FALSE, sizeof (guint64));
  self->fd = atl_nameless_open (folder);
  if (self->fd < 0)
    {
      g_autofree char *hidden = g_strdup_printf (".%s.%d.part", base, (int) getpid ());

      self->hidden = g_build_filename (folder, hidden, NULL);
      self->fd = open (self->hidden, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    }
  if (self->fd < 0)
    {
      fail (self, errno, error);
      atl_gguf_writer_free (self);
      return NULL;
    }
  return self;
}

void
atl_gguf_writer_free (AtlGgufWriter *self)
{
  if (self == NULL)
    return;
  if (self->fd >= 0)
    {
      close (self->fd);
      if (self->hidden != NULL)
        g_unlink (self->hidden);
    }
  g_byte_array_unref (self->pairs);
  g_byte_array_unref (self->table);
  g_array_unref (self->ends);
  g_free (self->path);
  g_free (self->hidden);
  g_free (self);
}

static guint64
header_size (const AtlGgufWriter *self)
{
  return padded (24 + (guint64) self->pairs->len + self->table->len);
}

guint64
atl_gguf_writer_size (const AtlGgufWriter *self)
{
  return header_size (self) + self->data_size;
}

static gboolean
write_all (AtlGgufWriter *self, const guint8 *bytes, gsize n, GError **error)
{
  return atl_write_all (self->fd, bytes, n) || fail (self, errno, error);
}

gboolean
atl_gguf_writer_check_room (const AtlGgufWriter *self, guint64 more, GError **error)
{
  guint64 size = atl_gguf_writer_size (self) + more;
  g_autofree char *folder = g_path_get_dirname (self->path);
  g_autofree char *need = atl_language_size (size);
  g_autofree char *have = NULL;
  struct statvfs fs;
  guint64 room;

  if (statvfs (folder, &fs) != 0)
    return TRUE;
  room = (guint64) fs.f_bavail * fs.f_frsize;
  if (room >= size + SPARE_BYTES)
    return TRUE;
  have = atl_language_size (room);
  return atl_format_fail (
      error, ATL_ERROR_FULL,
      _ ("%s would have %s, but its disk has only %s left; choose a smaller type or "
         "another place"),
      self->path, need, have);
}

static gboolean
write_zeros (AtlGgufWriter *self, guint64 n, GError **error)
{
  static const guint8 zeros[ALIGNMENT];

  g_assert (n < ALIGNMENT);
  return write_all (self, zeros, (gsize) n, error);
}

gboolean
atl_gguf_writer_begin (AtlGgufWriter *self, GError **error)
{
  g_autoptr (GByteArray) head = g_byte_array_new ();

  if (!atl_gguf_writer_check_room (self, 0, error))
    return FALSE;
  g_byte_array_append (head, (const guint8 *) "GGUF", 4);
  put_number (head, VERSION, 4);
  put_number (head, self->n_tensors, 8);
  put_number (head, self->n_pairs, 8);
  return write_all (self, head->data, head->len, error) &&
         write_all (self, self->pairs->data, self->pairs->len, error) &&
         write_all (self, self->table->data, self->table->len, error) &&
         write_zeros (self, header_size (self) - 24 - self->pairs->len - self->table->len, error);
}

gboolean
atl_gguf_writer_append (AtlGgufWriter *self, const guint8 *bytes, gsize n, GError **error)
{
  while (n > 0)
    {
      guint64 end, take;

      g_assert (self->next < self->ends->len);
      end = g_array_index (self->ends, guint64, self->next);
      take = MIN (n, end - self->written);
      if (!write_all (self, bytes, (gsize) take, error))
        return FALSE;
      bytes += take;
      n -= (gsize) take;
      self->written += take;
      if (self->written < end)
        continue;
      if (!write_zeros (self, padded (end) - end, error))
        return FALSE;
      self->written = padded (end);
      self->next++;
    }
  return TRUE;
}

/* Gives the file its name, which nobody else may have; FALSE with errno. */
static gboolean
take_name (AtlGgufWriter *self)
{
  if (self->hidden == NULL)
    return atl_nameless_link (self->fd, self->path);
  if (renameat2 (AT_FDCWD, self->hidden, AT_FDCWD, self->path, RENAME_NOREPLACE) == 0)
    return TRUE;
  /* File systems without that kind of renaming: the race that is left is a short one. */
  if (g_file_test (self->path, G_FILE_TEST_EXISTS))
    errno = EEXIST;
  return errno != EEXIST && g_rename (self->hidden, self->path) == 0;
}

gboolean
atl_gguf_writer_finish (AtlGgufWriter *self, GError **error)
{
  g_autofree char *folder = NULL;

  g_assert (self->written == self->data_size);
  if (fsync (self->fd) != 0)
    return fail (self, errno, error);
  if (!take_name (self))
    {
      if (errno == EEXIST)
        return atl_format_fail (error, ATL_ERROR_BUSY, _ ("%s was made by somebody else meanwhile"),
                                self->path);
      return fail (self, errno, error);
    }
  close (self->fd);
  self->fd = -1;
  folder = g_path_get_dirname (self->path);
  atl_sync_path (folder);
  return TRUE;
}

void
atl_gguf_writer_undo (AtlGgufWriter *self)
{
  if (self->fd < 0)
    g_unlink (self->path);
}
