/* Makes them: PNG chunk by chunk, JPEG and WebP by changing what their libraries write. */
#include "hostile-pictures.h"

#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <webp/encode.h>
#include <webp/mux.h>
#include <zlib.h>

static void
picture_free (gpointer data)
{
  HostilePicture *picture = data;

  g_free (picture->name);
  g_bytes_unref (picture->bytes);
  g_free (picture);
}

/* Takes the bytes. */
static void
add (GPtrArray *all, const char *name, HostileEnd end, GByteArray *bytes)
{
  HostilePicture *picture = g_new0 (HostilePicture, 1);

  picture->name = g_strdup (name);
  picture->bytes = g_byte_array_free_to_bytes (bytes);
  picture->end = end;
  g_ptr_array_add (all, picture);
}

static GByteArray *
copy (const GByteArray *bytes)
{
  GByteArray *new = g_byte_array_sized_new (bytes->len);

  g_byte_array_append (new, bytes->data, bytes->len);
  return new;
}

static void
put (GByteArray *out, const char *bytes, gsize size)
{
  g_byte_array_append (out, (const guint8 *) bytes, (guint) size);
}
#define PUT(out, bytes) put (out, bytes, sizeof (bytes) - 1)

static void
put32 (GByteArray *out, guint32 n)
{
  g_byte_array_append (
      out,
      (const guint8[]){ (guint8) (n >> 24), (guint8) (n >> 16), (guint8) (n >> 8), (guint8) n }, 4);
}

/* --- PNG --- */

static void
put_chunk (GByteArray *out, const char *type, gconstpointer data, gsize size)
{
  guint start = out->len + 4;

  put32 (out, (guint32) size);
  put (out, type, 4);
  put (out, data, size);
  put32 (out, (guint32) crc32 (0, out->data + start, out->len - start));
}

static GByteArray *
png_begin (guint32 width, guint32 height, guint bits, guint type, guint interlaced)
{
  GByteArray *out = g_byte_array_new ();
  g_autoptr (GByteArray) head = g_byte_array_new ();
  const guint8 rest[5] = { (guint8) bits, (guint8) type, 0, 0, (guint8) interlaced };

  PUT (out, "\x89PNG\r\n\x1a\n");
  put32 (head, width);
  put32 (head, height);
  g_byte_array_append (head, rest, 5);
  put_chunk (out, "IHDR", head->data, head->len);
  return out;
}

/* So many zeros, deflated. */
static GBytes *
deflated (gsize size)
{
  g_autofree guint8 *zeros = g_malloc0 (size);
  uLongf length = compressBound (size);
  guint8 *out = g_malloc (length);

  g_assert_cmpint (compress2 (out, &length, zeros, size, 9), ==, Z_OK);
  return g_bytes_new_take (out, length);
}

/* Pixels of that many bytes before they are deflated, and the end. */
static GByteArray *
png_end (GByteArray *out, gsize size)
{
  g_autoptr (GBytes) pixels = deflated (size);

  put_chunk (out, "IDAT", g_bytes_get_data (pixels, NULL), g_bytes_get_size (pixels));
  put_chunk (out, "IEND", "", 0);
  return out;
}

#define SIDE 16u
#define ROWS(bytes) ((1 + (gsize) (bytes)) * SIDE)

static GByteArray *
png_plain (void)
{
  return png_begin (SIDE, SIDE, 8, 2, 0);
}

static void
add_png_texts (GPtrArray *all)
{
  g_autoptr (GBytes) bomb = deflated (64 << 20);
  g_autoptr (GByteArray) packed = g_byte_array_new ();
  GByteArray *out = png_plain ();

  PUT (packed, "parameters\0\0");
  put (packed, g_bytes_get_data (bomb, NULL), g_bytes_get_size (bomb));
  put_chunk (out, "zTXt", packed->data, packed->len);
  add (all, "png-text-bomb", HOSTILE_OPENS, png_end (out, ROWS (SIDE * 3)));
  out = png_plain ();
  for (guint i = 0; i < 10000; i++)
    {
      g_autofree char *text = g_strdup_printf ("key%u%cvalue", i, '\0');

      put_chunk (out, "tEXt", text, strlen (text) + 6);
    }
  add (all, "png-10000-texts", HOSTILE_OPENS, png_end (out, ROWS (SIDE * 3)));
  out = png_plain ();
  put_chunk (out, "iTXt", "parameters\0\1\0\0\0\xff\xfe\x80", 18);
  put_chunk (out, "tEXt", "no end", 6);
  put_chunk (out, "iTXt", "", 0);
  add (all, "png-odd-texts", HOSTILE_OPENS, png_end (out, ROWS (SIDE * 3)));
}

static void
add_png (GPtrArray *all)
{
  static const guint8 loop[] = "MM\0*\0\0\0\x08\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x08\0\0\0\x08";
  GByteArray *out;

  add (all, "png-65535-square", HOSTILE_REFUSED, png_end (png_begin (65535, 65535, 8, 2, 0), 99));
  add (all, "png-tall", HOSTILE_REFUSED, png_end (png_begin (1, G_MAXINT32, 8, 2, 0), 99));
  add (all, "png-taller", HOSTILE_REFUSED, png_end (png_begin (1, 1u << 31, 8, 2, 0), 99));
  add (all, "png-wide", HOSTILE_REFUSED, png_end (png_begin (1u << 31, 1, 8, 2, 0), 99));
  add (all, "png-0", HOSTILE_REFUSED, png_end (png_begin (0, 0, 8, 2, 0), 99));
  add (all, "png-too-much", HOSTILE_EITHER, png_end (png_plain (), 32 << 20));
  add (all, "png-too-little", HOSTILE_EITHER, png_end (png_plain (), 99));
  /* Seven passes of 16 bits. */
  add (all, "png-16-bit-interlaced", HOSTILE_OPENS,
       png_end (png_begin (33, 17, 16, 6, 1), 33 * 17 * 8 + 7 * 17));
  add (all, "png-16-bit", HOSTILE_OPENS,
       png_end (png_begin (SIDE, SIDE, 16, 6, 0), ROWS (SIDE * 8)));
  add (all, "png-1-bit", HOSTILE_OPENS, png_end (png_begin (SIDE, SIDE, 1, 0, 0), ROWS (SIDE / 8)));
  add (all, "png-3-bit", HOSTILE_REFUSED, png_end (png_begin (SIDE, SIDE, 3, 2, 0), 99));
  add (all, "png-no-palette", HOSTILE_REFUSED,
       png_end (png_begin (SIDE, SIDE, 8, 3, 0), ROWS (SIDE)));
  out = png_plain ();
  put_chunk (out, "iCCP", "junk\0\0notdeflated", 17);
  put_chunk (out, "gAMA", "\0\0\0\0", 4);
  put_chunk (out, "cHRM", "\377\377\377\377", 4);
  put_chunk (out, "eXIf", loop, sizeof loop - 1);
  put_chunk (out, "acTL", "\0\0\0\2\0\0\0\0", 8);
  add (all, "png-junk-chunks", HOSTILE_EITHER, png_end (out, ROWS (SIDE * 3)));
  out = png_plain ();
  put32 (out, G_MAXUINT32);
  PUT (out, "IDAT1234");
  add (all, "png-endless-chunk", HOSTILE_REFUSED, out);
  out = png_plain ();
  put_chunk (out, "IEND", "", 0);
  add (all, "png-no-pixels", HOSTILE_REFUSED, out);
  out = png_end (png_plain (), ROWS (SIDE * 3));
  out->data[out->len - 20] ^= 1;
  add (all, "png-wrong-crc", HOSTILE_REFUSED, out);
  add_png_texts (all);
}

/* --- JPEG --- */

static GByteArray *
jpeg (J_COLOR_SPACE in, J_COLOR_SPACE inside, guint n, gboolean is_progressive)
{
  struct jpeg_compress_struct cinfo;
  struct jpeg_error_mgr errors;
  unsigned char *data = NULL;
  unsigned long size = 0;
  guint8 row[64 * 4];
  JSAMPROW rows[1] = { row };
  GByteArray *out = g_byte_array_new ();

  cinfo.err = jpeg_std_error (&errors);
  jpeg_create_compress (&cinfo);
  jpeg_mem_dest (&cinfo, &data, &size);
  cinfo.image_width = 64;
  cinfo.image_height = 40;
  cinfo.input_components = (int) n;
  cinfo.in_color_space = in;
  jpeg_set_defaults (&cinfo);
  jpeg_set_colorspace (&cinfo, inside);
  if (is_progressive)
    jpeg_simple_progression (&cinfo);
  jpeg_start_compress (&cinfo, TRUE);
  while (cinfo.next_scanline < cinfo.image_height)
    {
      for (guint i = 0; i < 64 * n; i++)
        row[i] = (guint8) (i * 3 + cinfo.next_scanline * 5);
      jpeg_write_scanlines (&cinfo, rows, 1);
    }
  jpeg_finish_compress (&cinfo);
  jpeg_destroy_compress (&cinfo);
  g_byte_array_append (out, data, (guint) size);
  free (data);
  return out;
}

/* Where a marker of this kind begins, from `from` on. */
static guint
find_marker (const GByteArray *file, guint8 low, guint8 high, guint from)
{
  for (guint i = from; i + 1 < file->len; i++)
    if (file->data[i] == 0xff && file->data[i + 1] >= low && file->data[i + 1] <= high)
      return i;
  g_assert_not_reached ();
}

static GByteArray *
with_marker (const GByteArray *file, guint8 kind, const char *data, gsize size, guint times)
{
  GByteArray *out = g_byte_array_new ();

  g_byte_array_append (out, file->data, 2);
  for (guint i = 0; i < times; i++)
    {
      g_byte_array_append (
          out, (const guint8[]){ 0xff, kind, (guint8) ((size + 2) >> 8), (guint8) (size + 2) }, 4);
      put (out, data, size);
    }
  g_byte_array_append (out, file->data + 2, file->len - 2);
  return out;
}

/* A byte of the frame's header is another: 4 is the precision, 5 to 8 are the size. */
static GByteArray *
with_frame (const GByteArray *file, const guint8 *bytes, guint at, guint n)
{
  GByteArray *out = copy (file);

  memcpy (out->data + find_marker (out, 0xc0, 0xc2, 2) + at, bytes, n);
  return out;
}

/* The last scan again and again. */
static GByteArray *
with_scans (const GByteArray *file, guint times)
{
  GByteArray *out = copy (file);
  guint at = 0, end = file->len - 2;

  for (guint i = 2; i + 1 < end; i++)
    if (file->data[i] == 0xff && file->data[i + 1] == 0xda)
      at = i;
  g_byte_array_set_size (out, end);
  for (guint i = 0; i < times; i++)
    g_byte_array_append (out, file->data + at, end - at);
  PUT (out, "\xff\xd9");
  return out;
}

static void
add_jpeg (GPtrArray *all)
{
  static const guint8 largest[] = { 0xff, 0xff, 0xff, 0xff }, none[] = { 0, 0 };
  static const guint8 sampling[] = { 0 }, precision[] = { 12 }, lossless[] = { 0xff, 0xc3 };
  static const guint8 arithmetic[] = { 0xff, 0xc9 };
  static const char exif[] = "Exif\0\0MM\0*\0\0\0\x08\xff\xff\x87\x69\0\4\0\0\0\1\0\0\0\x08"
                             "\x01\x0e\0\2\xff\xff\xff\xff\xff\xff\xff\xf0\x01\x0e\0\2\0\0\0\x04";
  g_autoptr (GByteArray) plain = jpeg (JCS_RGB, JCS_YCbCr, 3, FALSE);
  g_autoptr (GByteArray) progressive = jpeg (JCS_RGB, JCS_YCbCr, 3, TRUE);
  g_autofree char *filling = g_strnfill (65533, 'x');

  add (all, "jpeg-cmyk", HOSTILE_OPENS, jpeg (JCS_CMYK, JCS_CMYK, 4, FALSE));
  add (all, "jpeg-ycck", HOSTILE_OPENS, jpeg (JCS_CMYK, JCS_YCCK, 4, TRUE));
  add (all, "jpeg-grey", HOSTILE_OPENS, jpeg (JCS_GRAYSCALE, JCS_GRAYSCALE, 1, FALSE));
  add (all, "jpeg-progressive", HOSTILE_OPENS, copy (progressive));
  add (all, "jpeg-1000-scans", HOSTILE_REFUSED, with_scans (progressive, 1000));
  add (all, "jpeg-65535-square", HOSTILE_REFUSED, with_frame (plain, largest, 5, 4));
  add (all, "jpeg-0-high", HOSTILE_REFUSED, with_frame (plain, none, 5, 2));
  add (all, "jpeg-0-wide", HOSTILE_REFUSED, with_frame (plain, none, 7, 2));
  add (all, "jpeg-sampling-0", HOSTILE_REFUSED, with_frame (plain, sampling, 11, 1));
  add (all, "jpeg-12-bit", HOSTILE_REFUSED, with_frame (plain, precision, 4, 1));
  add (all, "jpeg-lossless", HOSTILE_REFUSED, with_frame (plain, lossless, 0, 2));
  add (all, "jpeg-arithmetic", HOSTILE_EITHER, with_frame (plain, arithmetic, 0, 2));
  add (all, "jpeg-comments", HOSTILE_OPENS, with_marker (plain, 0xfe, filling, 65533, 100));
  add (all, "jpeg-exif-loop", HOSTILE_OPENS, with_marker (plain, 0xe1, exif, sizeof exif - 1, 3));
  add (all, "jpeg-icc", HOSTILE_OPENS,
       with_marker (plain, 0xe2, "ICC_PROFILE\0\1\xff junk", 19, 20));
  add (all, "jpeg-xmp", HOSTILE_OPENS,
       with_marker (plain, 0xe1, "http://ns.adobe.com/xap/1.0/\0<a><a><a", 38, 2));
}

/* --- WebP --- */

static GByteArray *
webp (void)
{
  guint8 rgb[32 * 32 * 3];
  uint8_t *data = NULL;
  GByteArray *out = g_byte_array_new ();
  gsize size;

  for (guint i = 0; i < sizeof rgb; i++)
    rgb[i] = (guint8) (i * 5);
  size = WebPEncodeRGB (rgb, 32, 32, 32 * 3, 80, &data);
  g_byte_array_append (out, data, (guint) size);
  WebPFree (data);
  return out;
}

static GByteArray *
webp_assembled (WebPMux *mux)
{
  GByteArray *out = g_byte_array_new ();
  WebPData whole = { 0 };

  g_assert_cmpint (WebPMuxAssemble (mux, &whole), ==, WEBP_MUX_OK);
  g_byte_array_append (out, whole.bytes, (guint) whole.size);
  WebPDataClear (&whole);
  WebPMuxDelete (mux);
  return out;
}

static void
add_webp (GPtrArray *all)
{
  g_autoptr (GByteArray) plain = webp ();
  g_autoptr (GString) nested = g_string_new (NULL);
  WebPData data = { plain->data, plain->len };
  WebPMuxFrameInfo frame = { .bitstream = data, .id = WEBP_CHUNK_ANMF, .duration = 1 };
  WebPMux *mux = WebPMuxNew ();
  GByteArray *out;

  for (guint i = 0; i < 500; i++)
    g_assert_cmpint (WebPMuxPushFrame (mux, &frame, 1), ==, WEBP_MUX_OK);
  WebPMuxSetAnimationParams (mux, &(WebPMuxAnimParams){ 0, 0 });
  add (all, "webp-animation", HOSTILE_REFUSED, webp_assembled (mux));
  for (guint i = 0; i < 100000; i++)
    g_string_append (nested, "<a>");
  mux = WebPMuxCreate (&data, 1);
  WebPMuxSetChunk (mux, "XMP ", &(WebPData){ (const uint8_t *) nested->str, nested->len }, 1);
  WebPMuxSetChunk (mux, "EXIF", &(WebPData){ (const uint8_t *) "MM\0*\0\0\0\x08\xff\xff", 10 }, 1);
  WebPMuxSetChunk (mux, "ICCP", &(WebPData){ (const uint8_t *) "junk", 4 }, 1);
  out = webp_assembled (mux);
  add (all, "webp-junk-chunks", HOSTILE_OPENS, copy (out));
  /* The canvas, less 1, in three bytes each from 24 on. */
  memset (out->data + 24, 0xff, 6);
  add (all, "webp-huge-canvas", HOSTILE_REFUSED, out);
  out = copy (plain);
  memset (out->data + 4, 0xff, 4);
  add (all, "webp-endless", HOSTILE_EITHER, out);
  out = copy (plain);
  memset (out->data + 16, 0xff, 4);
  add (all, "webp-endless-chunk", HOSTILE_REFUSED, out);
}

/* --- Others --- */

static void
add_others (GPtrArray *all)
{
  static const struct
  {
    const char *name, *bytes;
    gsize size;
  } others[] = {
    { "empty", "", 0 },
    { "gif", "GIF89a\xff\xff\xff\xff\x80\0\0", 13 },
    { "bmp", "BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\xff\xff\xff\x7f", 22 },
    { "svg", "<!DOCTYPE a [<!ENTITY b \"&c;&c;\">]><svg>&b;</svg>", 49 },
    { "heic",
      "\0\0\0\x18"
      "ftypheic\0\0\0\0",
      16 },
    { "tiff", "II*\0\x08\0\0\0\xff\xff", 10 },
    { "gguf", "GGUF\3\0\0\0\377\377\377\377", 12 },
    { "png-mark", "\x89PNG\r\n\x1a\n", 8 },
    { "jpeg-mark", "\xff\xd8\xff", 3 },
    { "webp-mark", "RIFF\4\0\0\0WEBP", 12 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (others); i++)
    {
      GByteArray *out = g_byte_array_new ();

      put (out, others[i].bytes, others[i].size);
      add (all, others[i].name, HOSTILE_REFUSED, out);
    }
}

GPtrArray *
hostile_pictures (void)
{
  GPtrArray *all = g_ptr_array_new_with_free_func (picture_free);

  add_png (all);
  add_jpeg (all);
  add_webp (all);
  add_others (all);
  return all;
}
