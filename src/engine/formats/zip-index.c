/* The directory of a ZIP archive. */
#define G_LOG_DOMAIN "atl-formats"

#include "engine/formats/zip-index.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/name-hash.h"
#include "engine/formats/format-error.h"

#define END_BYTES 22
#define END64_BYTES 56
#define LOCATOR_BYTES 20
#define ENTRY_BYTES 46
#define LOCAL_BYTES 30
#define MAX_COMMENT 65535
#define MAX_MEMBERS 65536
#define MAX_NAME 1024
#define ZIP64_EXTRA 1

struct _AtlZipIndex
{
  GHashTable *members; /* (owned) char* -> AtlZipMember* */
};

typedef struct
{
  const guint8 *data;
  gsize size;
  const char *name;
  guint64 directory, directory_size, n_members;
} Archive;

static guint16
u16 (const guint8 *p)
{
  return (guint16) (p[0] | p[1] << 8);
}

static guint32
u32 (const guint8 *p)
{
  return (guint32) u16 (p) | (guint32) u16 (p + 2) << 16;
}

static guint64
u64 (const guint8 *p)
{
  return (guint64) u32 (p) | (guint64) u32 (p + 4) << 32;
}

static gboolean
fail (const Archive *self, GError **error)
{
  return atl_format_fail (
      error, ATL_ERROR_BAD_FILE,
      _ ("%s: the directory at its end does not fit the file: it is damaged, or its download was "
         "not finished"),
      self->name);
}

/* Where the directory is, from the record at the end of the file. */
static gboolean
read_end (Archive *self, GError **error)
{
  gsize last = self->size >= END_BYTES ? self->size - END_BYTES : 0, at = last;
  gsize first = last > MAX_COMMENT ? last - MAX_COMMENT : 0;

  if (self->size < END_BYTES)
    return fail (self, error);
  while (memcmp (self->data + at, "PK\5\6", 4) != 0 ||
         u16 (self->data + at + 20) != self->size - at - END_BYTES)
    if (at-- == first)
      return fail (self, error);
  self->n_members = u16 (self->data + at + 10);
  self->directory_size = u32 (self->data + at + 12);
  self->directory = u32 (self->data + at + 16);
  if (at >= LOCATOR_BYTES && memcmp (self->data + at - LOCATOR_BYTES, "PK\6\7", 4) == 0)
    {
      guint64 end = u64 (self->data + at - LOCATOR_BYTES + 8);

      if (at < END64_BYTES || end > at - END64_BYTES || memcmp (self->data + end, "PK\6\6", 4) != 0)
        return fail (self, error);
      self->n_members = u64 (self->data + end + 32);
      self->directory_size = u64 (self->data + end + 40);
      self->directory = u64 (self->data + end + 48);
    }
  if (self->directory > at || self->directory_size > at - self->directory)
    return fail (self, error);
  if (self->n_members > MAX_MEMBERS)
    return atl_format_fail (error, ATL_ERROR_UNSUPPORTED,
                            _ ("%s: more than %u members of an archive cannot be read"), self->name,
                            MAX_MEMBERS);
  return TRUE;
}

/* Sizes and the offset that do not fit 32 bits stand in the extra field, in this order. */
static gboolean
read_extra (const guint8 *extra, gsize n, guint64 *unpacked, guint64 *packed, guint64 *offset)
{
  guint64 *const wide[] = { unpacked, packed, offset };

  while (n >= 4)
    {
      gsize length = u16 (extra + 2), at = 0;

      if (length > n - 4)
        return FALSE;
      for (guint i = 0; u16 (extra) == ZIP64_EXTRA && i < G_N_ELEMENTS (wide); i++)
        if (*wide[i] == G_MAXUINT32)
          {
            if (length - at < 8)
              return FALSE;
            *wide[i] = u64 (extra + 4 + at);
            at += 8;
          }
      extra += 4 + length;
      n -= 4 + length;
    }
  return TRUE;
}

static gboolean
add_member (AtlZipIndex *index,
            const Archive *self,
            const guint8 *entry,
            guint64 packed,
            guint64 offset,
            GError **error)
{
  gsize n = u16 (entry + 28);
  const char *bytes = (const char *) entry + ENTRY_BYTES, *slash = memchr (bytes, '/', n);
  AtlZipMember member = { .size = packed };
  g_autofree char *name = NULL;
  guint64 start;

  if (n > MAX_NAME || memchr (bytes, '\0', n) != NULL || offset > self->directory ||
      self->directory - offset < LOCAL_BYTES || memcmp (self->data + offset, "PK\3\4", 4) != 0)
    return fail (self, error);
  start = offset + LOCAL_BYTES + u16 (self->data + offset + 26) + u16 (self->data + offset + 28);
  if (start > self->directory || packed > self->directory - start)
    return fail (self, error);
  member.data = self->data + start;
  name =
      slash != NULL ? g_strndup (slash + 1, n - (gsize) (slash + 1 - bytes)) : g_strndup (bytes, n);
  if (g_hash_table_contains (index->members, name))
    {
      g_autofree char *shown = atl_format_excerpt (name, strlen (name));

      return atl_format_fail (error, ATL_ERROR_BAD_FILE, _ ("%s: “%s” is there twice"), self->name,
                              shown);
    }
  g_hash_table_insert (index->members, g_steal_pointer (&name), g_memdup2 (&member, sizeof member));
  return TRUE;
}

static gboolean
read_directory (AtlZipIndex *index, const Archive *self, GError **error)
{
  const guint8 *p = self->data + self->directory;
  gsize left = self->directory_size;

  for (guint64 i = 0; i < self->n_members; i++)
    {
      gsize length;
      guint64 unpacked, packed, offset;

      if (left < ENTRY_BYTES || memcmp (p, "PK\1\2", 4) != 0)
        return fail (self, error);
      length = (gsize) ENTRY_BYTES + u16 (p + 28) + u16 (p + 30) + u16 (p + 32);
      if (length > left)
        return fail (self, error);
      packed = u32 (p + 20);
      unpacked = u32 (p + 24);
      offset = u32 (p + 42);
      if (!read_extra (p + ENTRY_BYTES + u16 (p + 28), u16 (p + 30), &unpacked, &packed, &offset))
        return fail (self, error);
      if (u16 (p + 10) != 0 || (u16 (p + 8) & 1) != 0 || packed != unpacked)
        return atl_format_fail (error, ATL_ERROR_UNSUPPORTED,
                                _ ("%s: its members are compressed or encrypted, which PyTorch "
                                   "never does; it was packed by something else"),
                                self->name);
      if (!add_member (index, self, p, packed, offset, error))
        return FALSE;
      p += length;
      left -= length;
    }
  return TRUE;
}

AtlZipIndex *
atl_zip_index_new (const guint8 *data, gsize size, const char *name, GError **error)
{
  g_autoptr (AtlZipIndex) index = g_new0 (AtlZipIndex, 1);
  Archive self = { .data = data, .size = size, .name = name };

  index->members = g_hash_table_new_full (atl_name_hash, g_str_equal, g_free, g_free);
  if (!read_end (&self, error) || !read_directory (index, &self, error))
    return NULL;
  return g_steal_pointer (&index);
}

void
atl_zip_index_free (AtlZipIndex *self)
{
  if (self == NULL)
    return;
  g_hash_table_unref (self->members);
  g_free (self);
}

const AtlZipMember *
atl_zip_index_find (const AtlZipIndex *self, const char *path)
{
  return g_hash_table_lookup (self->members, path);
}
