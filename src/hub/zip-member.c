/* A bounded reader of zip archives: end record, central directory, local header, one member. Layout
 * after PKWARE's APPNOTE 6.3.3, sections 4.3.7, 4.3.12 and 4.3.16. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/zip-member.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define END_BYTES 22
#define ENTRY_BYTES 46
#define LOCAL_BYTES 30
#define MAX_COMMENT 65535
#define MAX_DIRECTORY (16u << 20)
#define CHUNK (256 * 1024)

typedef struct
{
  int fd;
  const char *name; /* of the archive, for messages */
  guint64 size;
} Archive;

typedef struct
{
  guint method; /* 0 stored, 8 deflated */
  guint64 packed_bytes;
  guint64 header_at;
} Member;

static guint
u16 (const guint8 *p)
{
  return p[0] | (guint) p[1] << 8;
}

static guint32
u32 (const guint8 *p)
{
  return u16 (p) | (guint32) u16 (p + 2) << 16;
}

static gboolean
refuse (const Archive *archive, const char *words, GError **error)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, "%s: %s", archive->name, words);
  return FALSE;
}

static gboolean
read_at (const Archive *archive, guint64 at, gpointer buffer, gsize size, GError **error)
{
  guint8 *bytes = buffer;

  if (at > archive->size || size > archive->size - at)
    return refuse (archive, _ ("the archive points outside itself"), error);
  while (size > 0)
    {
      gssize n = pread (archive->fd, bytes, size, (off_t) at);

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return refuse (archive, _ ("the archive cannot be read"), error);
      bytes += n;
      at += (guint64) n;
      size -= (gsize) n;
    }
  return TRUE;
}

/* The end record lies in the last 22 bytes, or up to a comment's length before. */
static gboolean
find_directory (const Archive *archive, guint64 *at, gsize *size, guint *n, GError **error)
{
  gsize tail = (gsize) MIN (archive->size, (guint64) END_BYTES + MAX_COMMENT);
  g_autofree guint8 *bytes = g_malloc (tail);

  if (tail < END_BYTES)
    return refuse (archive, _ ("it is too short for an archive"), error);
  if (!read_at (archive, archive->size - tail, bytes, tail, error))
    return FALSE;
  for (gsize i = tail - END_BYTES + 1; i-- > 0;)
    if (memcmp (bytes + i, "PK\005\006", 4) == 0 && u16 (bytes + i + 20) == tail - END_BYTES - i)
      {
        *n = u16 (bytes + i + 10);
        *size = u32 (bytes + i + 12);
        *at = u32 (bytes + i + 16);
        if (u16 (bytes + i + 4) != 0 || *size > MAX_DIRECTORY || *at > archive->size ||
            *size > archive->size - *at)
          return refuse (archive, _ ("its list of members is broken"), error);
        return TRUE;
      }
  return refuse (archive, _ ("it is not a zip archive"), error);
}

static gboolean
find_member (
    const Archive *archive, const char *name, guint64 size_bytes, Member *member, GError **error)
{
  g_autofree guint8 *bytes = NULL;
  gsize size, at = 0;
  guint64 directory;
  guint n;

  if (!find_directory (archive, &directory, &size, &n, error))
    return FALSE;
  bytes = g_malloc (MAX (size, 1));
  if (!read_at (archive, directory, bytes, size, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    {
      const guint8 *entry = bytes + at;
      gsize name_bytes, entry_bytes;

      if (size - at < ENTRY_BYTES || memcmp (entry, "PK\001\002", 4) != 0)
        return refuse (archive, _ ("its list of members is broken"), error);
      name_bytes = u16 (entry + 28);
      entry_bytes = ENTRY_BYTES + name_bytes + u16 (entry + 30) + u16 (entry + 32);
      if (entry_bytes > size - at)
        return refuse (archive, _ ("its list of members is broken"), error);
      if (name_bytes == strlen (name) && memcmp (entry + ENTRY_BYTES, name, name_bytes) == 0)
        {
          member->method = u16 (entry + 10);
          member->packed_bytes = u32 (entry + 20);
          member->header_at = u32 (entry + 42);
          if ((u16 (entry + 8) & 1) != 0)
            return refuse (archive, _ ("the member is encrypted"), error);
          if (member->method != 0 && member->method != 8)
            return refuse (archive, _ ("the member is packed in an unknown way"), error);
          if (u32 (entry + 24) != size_bytes ||
              (member->method == 0 && member->packed_bytes != size_bytes))
            return refuse (archive, _ ("the member has another size than expected"), error);
          return TRUE;
        }
      at += entry_bytes;
    }
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s: there is no member %s in it"),
               archive->name, name);
  return FALSE;
}

/* Where the packed bytes begin: after the local header, whose lengths are its own. */
static gboolean
find_data (const Archive *archive, const Member *member, guint64 *at, GError **error)
{
  guint8 header[LOCAL_BYTES];

  if (!read_at (archive, member->header_at, header, LOCAL_BYTES, error))
    return FALSE;
  if (memcmp (header, "PK\003\004", 4) != 0)
    return refuse (archive, _ ("the member is not where the list says"), error);
  *at = member->header_at + LOCAL_BYTES + u16 (header + 26) + u16 (header + 28);
  if (*at > archive->size || member->packed_bytes > archive->size - *at)
    return refuse (archive, _ ("the member reaches past the end"), error);
  return TRUE;
}

typedef struct
{
  AtlZipSink sink;
  gpointer data;
  guint64 left; /* bytes still expected */
} Output;

static gboolean
put (const Archive *archive, Output *output, const guint8 *bytes, gsize size, GError **error)
{
  if (size > output->left)
    return refuse (archive, _ ("the member unpacks to more than it says"), error);
  output->left -= size;
  return size == 0 || output->sink (bytes, size, output->data, error);
}

/* Feeds `size` bytes to the inflater until it has taken them or reached its end. */
static gboolean
inflate (const Archive *archive,
         GConverter *inflater,
         const guint8 *in,
         gsize size,
         guint8 *out,
         Output *output,
         gboolean *ended,
         GError **error)
{
  while (size > 0 && !*ended)
    {
      g_autoptr (GError) local = NULL;
      gsize taken = 0, made = 0;
      GConverterResult result = g_converter_convert (inflater, in, size, out, CHUNK,
                                                     G_CONVERTER_NO_FLAGS, &taken, &made, &local);

      if (result == G_CONVERTER_ERROR)
        {
          if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT))
            return TRUE;
          return refuse (archive, _ ("the member cannot be unpacked"), error);
        }
      if (!put (archive, output, out, made, error))
        return FALSE;
      if (taken == 0 && made == 0)
        return refuse (archive, _ ("the member cannot be unpacked"), error);
      in += taken;
      size -= taken;
      *ended = result == G_CONVERTER_FINISHED;
    }
  return TRUE;
}

/* What the inflater still holds when all input is in. */
static gboolean
drain (const Archive *archive,
       GConverter *inflater,
       guint8 *out,
       Output *output,
       gboolean *ended,
       GError **error)
{
  while (!*ended)
    {
      gsize taken = 0, made = 0;
      GConverterResult result = g_converter_convert (inflater, "", 0, out, CHUNK,
                                                     G_CONVERTER_INPUT_AT_END, &taken, &made, NULL);

      if (result == G_CONVERTER_ERROR || (result == G_CONVERTER_CONVERTED && made == 0))
        return refuse (archive, _ ("the member ends too early"), error);
      if (!put (archive, output, out, made, error))
        return FALSE;
      *ended = result == G_CONVERTER_FINISHED;
    }
  return TRUE;
}

static gboolean
unpack (const Archive *archive,
        const Member *member,
        guint64 at,
        Output *output,
        GCancellable *cancellable,
        GError **error)
{
  g_autoptr (GZlibDecompressor) inflater = g_zlib_decompressor_new (G_ZLIB_COMPRESSOR_FORMAT_RAW);
  g_autofree guint8 *in = g_malloc (CHUNK);
  g_autofree guint8 *out = g_malloc (CHUNK);
  guint64 left = member->packed_bytes;
  gboolean ended = FALSE;

  while (left > 0 && !ended)
    {
      gsize n = (gsize) MIN (left, (guint64) CHUNK);

      if (g_cancellable_set_error_if_cancelled (cancellable, error) ||
          !read_at (archive, at, in, n, error))
        return FALSE;
      if (member->method == 0
              ? !put (archive, output, in, n, error)
              : !inflate (archive, G_CONVERTER (inflater), in, n, out, output, &ended, error))
        return FALSE;
      at += n;
      left -= n;
    }
  if (member->method == 8 && !drain (archive, G_CONVERTER (inflater), out, output, &ended, error))
    return FALSE;
  return output->left == 0 || refuse (archive, _ ("the member is shorter than it says"), error);
}

gboolean
atl_zip_extract (const char *path,
                 const char *member_name,
                 guint64 size_bytes,
                 AtlZipSink sink,
                 gpointer data,
                 GCancellable *cancellable,
                 GError **error)
{
  g_autofree char *name = g_path_get_basename (path);
  Archive archive = { .fd = open (path, O_RDONLY | O_CLOEXEC), .name = name };
  Output output = { sink, data, size_bytes };
  Member member;
  struct stat st;
  guint64 at;
  gboolean ok = FALSE;

  if (archive.fd < 0 || fstat (archive.fd, &st) != 0)
    g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s cannot be opened: %s"), path,
                 g_strerror (errno));
  else
    {
      archive.size = (guint64) st.st_size;
      ok = find_member (&archive, member_name, size_bytes, &member, error) &&
           find_data (&archive, &member, &at, error) &&
           unpack (&archive, &member, at, &output, cancellable, error);
    }
  if (archive.fd >= 0)
    close (archive.fd);
  return ok;
}
