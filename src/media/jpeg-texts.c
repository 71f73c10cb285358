/* Texts in the APP1 markers of a JPEG file: EXIF, and XMP. A marker holds at most 64 kB; XMP that
 * is longer goes into markers of its own (XMP specification, part 3, "Extended XMP in JPEG"): the
 * first packet names the MD5 sum of the rest, and each of its pieces repeats that and says where it
 * belongs. */
#define G_LOG_DOMAIN "atl-media"

#include <string.h>

#include "media/picture-private.h"

#define XMP_HEADER "http://ns.adobe.com/xap/1.0/"
#define MORE_HEADER "http://ns.adobe.com/xmp/extension/"
#define SUM_BYTES 32u
/* In front of a piece: header, sum, length of all pieces, place of this one. */
#define MORE_BYTES (sizeof MORE_HEADER + SUM_BYTES + 8)

/* --- Writing --- */

static void
add (GPtrArray *parts, GByteArray *bytes)
{
  g_ptr_array_add (parts, g_byte_array_free_to_bytes (bytes));
}

static void
append_number (GByteArray *out, guint32 n)
{
  n = GUINT32_TO_BE (n);
  g_byte_array_append (out, (const guint8 *) &n, sizeof n);
}

static void
add_packet (GPtrArray *parts, const char *packet)
{
  GByteArray *part = g_byte_array_new ();

  g_byte_array_append (part, (const guint8 *) XMP_HEADER, sizeof XMP_HEADER);
  g_byte_array_append (part, (const guint8 *) packet, (guint) strlen (packet));
  add (parts, part);
}

static void
add_long (GPtrArray *parts, const char *xmp)
{
  gsize n = strlen (xmp), most = ATL_JPEG_MAX_MARKER - MORE_BYTES;
  g_autofree char *lower = g_compute_checksum_for_string (G_CHECKSUM_MD5, xmp, (gssize) n);
  g_autofree char *sum = g_ascii_strup (lower, -1);
  g_autofree char *note = g_strdup_printf (
      "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">"
      "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
      "<rdf:Description rdf:about=\"\" xmlns:xmpNote=\"http://ns.adobe.com/xmp/note/\">"
      "<xmpNote:HasExtendedXMP>%s</xmpNote:HasExtendedXMP>"
      "</rdf:Description></rdf:RDF></x:xmpmeta>",
      sum);
  g_autofree char *packet = atl_xmp_packet (note);

  add_packet (parts, packet);
  for (gsize at = 0; at < n; at += most)
    {
      GByteArray *part = g_byte_array_new ();

      g_byte_array_append (part, (const guint8 *) MORE_HEADER, sizeof MORE_HEADER);
      g_byte_array_append (part, (const guint8 *) sum, SUM_BYTES);
      append_number (part, (guint32) n);
      append_number (part, (guint32) at);
      g_byte_array_append (part, (const guint8 *) xmp + at, (guint) MIN (most, n - at));
      add (parts, part);
    }
}

GPtrArray *
atl_jpeg_texts (const AtlPicture *self)
{
  GPtrArray *parts = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  g_autofree char *xmp = atl_xmp_write (self);
  g_autofree char *packet = xmp != NULL ? atl_xmp_packet (xmp) : NULL;
  g_autoptr (GByteArray) exif = atl_exif_write (self);

  /* EXIF comes first, by its specification. What does not fit into it is in the other. */
  if (exif != NULL && exif->len <= ATL_JPEG_MAX_MARKER)
    add (parts, g_steal_pointer (&exif));
  if (packet != NULL && strlen (packet) + sizeof XMP_HEADER <= ATL_JPEG_MAX_MARKER)
    add_packet (parts, packet);
  else if (xmp != NULL)
    add_long (parts, xmp);
  return parts;
}

/* --- Reading --- */

/* The data of `part` behind `header` and its zero; NULL when it begins otherwise. */
static const guint8 *
behind (GBytes *part, const char *header, gsize *size)
{
  const guint8 *data = g_bytes_get_data (part, size);
  gsize n = strlen (header) + 1;

  if (*size < n || memcmp (data, header, n) != 0)
    return NULL;
  *size -= n;
  return data + n;
}

static guint32
read_number (const guint8 *p)
{
  return (guint32) p[0] << 24 | (guint32) p[1] << 16 | (guint32) p[2] << 8 | p[3];
}

/* The pieces of the first long packet, put together where they belong. */
static void
read_long (AtlPicture *self, GPtrArray *parts)
{
  const guint8 *first = NULL;
  g_autofree guint8 *xmp = NULL;
  gsize n = 0, n_read = 0;

  for (guint i = 0; i < parts->len; i++)
    {
      gsize size, at;
      const guint8 *data = behind (parts->pdata[i], MORE_HEADER, &size);

      if (data == NULL || size < SUM_BYTES + 8 ||
          (first != NULL && memcmp (first, data, SUM_BYTES + 4) != 0))
        continue;
      at = read_number (data + SUM_BYTES + 4);
      size -= SUM_BYTES + 8;
      if (first == NULL)
        {
          first = data;
          n = read_number (data + SUM_BYTES);
          if (n > ATL_PICTURE_MAX_TEXT)
            return;
          xmp = g_malloc0 (n + 1);
        }
      if (at > n || size > n - at)
        return;
      memcpy (xmp + at, data + SUM_BYTES + 8, size);
      n_read += size;
    }
  /* What is missing is zeros, which no text has. */
  if (first != NULL && n_read >= n)
    atl_xmp_read (self, (const char *) xmp, n);
}

guint
atl_jpeg_read_texts (AtlPicture *self, GPtrArray *parts)
{
  guint orientation = 0;

  for (guint i = 0; i < parts->len; i++)
    {
      gsize size;
      const guint8 *data = behind (parts->pdata[i], XMP_HEADER, &size);

      if (data != NULL)
        atl_xmp_read (self, (const char *) data, size);
      else
        {
          guint told;

          data = g_bytes_get_data (parts->pdata[i], &size);
          told = atl_exif_read (self, data, size);
          orientation = orientation != 0 ? orientation : told;
        }
    }
  read_long (self, parts);
  return orientation;
}
