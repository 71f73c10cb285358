/* Writes small zip archives for tests: members stored or deflated, as wheels have them. */
#pragma once

#include <gio/gio.h>
#include <string.h>

typedef struct
{
  GByteArray *bytes;
  GByteArray *directory;
  guint n;
} ZipWriter;

static inline void
put16 (GByteArray *out, guint value)
{
  const guint8 bytes[2] = { value & 0xff, value >> 8 & 0xff };

  g_byte_array_append (out, bytes, 2);
}

static inline void
put32 (GByteArray *out, guint32 value)
{
  put16 (out, value & 0xffff);
  put16 (out, value >> 16);
}

static inline void
zip_begin (ZipWriter *zip)
{
  zip->bytes = g_byte_array_new ();
  zip->directory = g_byte_array_new ();
  zip->n = 0;
}

static inline void
zip_add (ZipWriter *zip, const char *name, gconstpointer data, gsize size, gboolean deflate)
{
  g_autoptr (GZlibCompressor) compressor = g_zlib_compressor_new (G_ZLIB_COMPRESSOR_FORMAT_RAW, 6);
  g_autofree guint8 *packed = g_malloc (size + size / 8 + 1024);
  guint32 at = zip->bytes->len;
  gsize taken, made = size;

  if (deflate)
    g_assert_cmpint (g_converter_convert (G_CONVERTER (compressor), data, size, packed,
                                          size + size / 8 + 1024, G_CONVERTER_INPUT_AT_END, &taken,
                                          &made, NULL),
                     ==, G_CONVERTER_FINISHED);
  else
    memcpy (packed, data, size);

  g_byte_array_append (zip->bytes, (const guint8 *) "PK\003\004", 4);
  put16 (zip->bytes, 20);
  put16 (zip->bytes, 0);
  put16 (zip->bytes, deflate ? 8 : 0);
  put32 (zip->bytes, 0);
  put32 (zip->bytes, 0); /* the reader checks a SHA-256 instead of the CRC */
  put32 (zip->bytes, (guint32) made);
  put32 (zip->bytes, (guint32) size);
  put16 (zip->bytes, (guint) strlen (name));
  put16 (zip->bytes, 4);
  g_byte_array_append (zip->bytes, (const guint8 *) name, (guint) strlen (name));
  put32 (zip->bytes, 0xfeedbeef); /* an extra field that only the local header has */
  g_byte_array_append (zip->bytes, packed, (guint) made);

  g_byte_array_append (zip->directory, (const guint8 *) "PK\001\002", 4);
  put16 (zip->directory, 20);
  put16 (zip->directory, 20);
  put16 (zip->directory, 0);
  put16 (zip->directory, deflate ? 8 : 0);
  put32 (zip->directory, 0);
  put32 (zip->directory, 0);
  put32 (zip->directory, (guint32) made);
  put32 (zip->directory, (guint32) size);
  put16 (zip->directory, (guint) strlen (name));
  put16 (zip->directory, 0);
  put16 (zip->directory, 0);
  put16 (zip->directory, 0);
  put16 (zip->directory, 0);
  put32 (zip->directory, 0);
  put32 (zip->directory, at);
  g_byte_array_append (zip->directory, (const guint8 *) name, (guint) strlen (name));
  zip->n++;
}

/* The archive, the caller's. */
static inline GByteArray *
zip_end (ZipWriter *zip, const char *comment)
{
  guint32 at = zip->bytes->len;

  g_byte_array_append (zip->bytes, zip->directory->data, zip->directory->len);
  g_byte_array_append (zip->bytes, (const guint8 *) "PK\005\006", 4);
  put16 (zip->bytes, 0);
  put16 (zip->bytes, 0);
  put16 (zip->bytes, zip->n);
  put16 (zip->bytes, zip->n);
  put32 (zip->bytes, zip->directory->len);
  put32 (zip->bytes, at);
  put16 (zip->bytes, (guint) strlen (comment));
  g_byte_array_append (zip->bytes, (const guint8 *) comment, (guint) strlen (comment));
  g_byte_array_unref (zip->directory);
  return zip->bytes;
}
