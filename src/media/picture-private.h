/* The formats behind picture.h; each encodes and decodes one. */
#pragma once

#include "media/picture.h"

G_BEGIN_DECLS

/* Texts of a file are bounded: so much of each, and so many. */
#define ATL_PICTURE_MAX_TEXT (4u << 20)
#define ATL_PICTURE_MAX_TEXTS 64u

/* ATL_ERROR_FULL in words when there are too many pixels, ATL_ERROR_BAD_FILE when there are none.
 */
gboolean atl_picture_check_size (guint64 width, guint64 height, guint64 max_pixels, GError **error);

/* The names of its texts in the order of files, which is the same in every run: sorted. The names
 * are the picture's, the list the caller's. */
GList *atl_picture_text_keys (const AtlPicture *self);

/* ATL_ERROR_NO_MEMORY in words. */
void atl_picture_set_no_memory (GError **error);

/* Pixels upright and opaque (over white), with the file's texts; ATL_ERROR_BAD_FILE,
 * ATL_ERROR_FULL for one of more than `max_pixels`, ATL_ERROR_NO_MEMORY. Encoding writes the texts
 * too; `quality` is 1 to 100. Any thread; the caller's. */
AtlPicture *atl_png_decode (const guint8 *data, gsize size, guint64 max_pixels, GError **error);
GBytes *atl_png_encode (const AtlPicture *self, GError **error);
AtlPicture *atl_jpeg_decode (const guint8 *data, gsize size, guint64 max_pixels, GError **error);
GBytes *atl_jpeg_encode (const AtlPicture *self, guint quality, GError **error);
AtlPicture *atl_webp_decode (const guint8 *data, gsize size, guint64 max_pixels, GError **error);
GBytes *atl_webp_encode (const AtlPicture *self, guint quality, GError **error);

/* The texts as XMP (nullable: there are none; the caller's), and back. Reading ignores what it does
 * not understand. */
char *atl_xmp_write (const AtlPicture *self);
void atl_xmp_read (AtlPicture *self, const char *data, gsize size);
/* With the wrapper by which programs find it in files that they do not know. The caller's. */
char *atl_xmp_packet (const char *xmp);

/* The texts of an EXIF block, with or without its "Exif" in front. Its orientation, 0 when it tells
 * none. */
guint atl_exif_read (AtlPicture *self, const guint8 *data, gsize size);
/* An EXIF block, "Exif" in front, with "parameters" as UserComment: where A1111 and those that read
 * its files look for it. NULL when there is none. The caller's. */
GByteArray *atl_exif_write (const AtlPicture *self);

/* What a marker of a JPEG file holds at most. */
#define ATL_JPEG_MAX_MARKER 65533u

/* The texts as contents of APP1 markers (GBytes, owned by the array, which is the caller's); and
 * back, of all those of a file in their order; the orientation is the first that is told. */
GPtrArray *atl_jpeg_texts (const AtlPicture *self);
guint atl_jpeg_read_texts (AtlPicture *self, GPtrArray *parts);

#define ATL_ORIENTATION_LAST 8u

/* Turns and mirrors the pixels as EXIF's orientation wants; 0 and 1, and what is none, leave them.
 * Takes and gives back the picture; NULL with ATL_ERROR_NO_MEMORY. */
AtlPicture *atl_picture_take_upright (AtlPicture *self, guint orientation, GError **error);

G_END_DECLS
