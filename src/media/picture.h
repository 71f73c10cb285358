/* Pictures as pixels with texts, and the files they come from and go to: PNG, JPEG, WebP.
 *
 *   AtlPicture *p = atl_picture_decode (data, size, 64 << 20, &error);
 *   p->rgb, p->width, p->height, atl_picture_text (p, "parameters")
 *   GBytes *png = atl_picture_encode (p, ATL_PICTURE_PNG, 0, &error);
 *
 * Decoding reads untrusted bytes: it belongs into the engine's process, behind the sandbox. Sizes
 * are checked before anything is allocated, texts are bounded, and what a decoder complains about
 * is an error in words.
 *
 * Texts: PNG's tEXt, zTXt and iTXt chunks by their keywords. JPEG and WebP keep them as XMP
 * (namespace https://atelier.example/ns/1.0/, one property a text), and "parameters" also as EXIF's
 * UserComment, where other programs look for it. JPEG's comment is read as "comment"; of EXIF,
 * "UserComment", "ImageDescription", "Make" and "Model" are.
 *
 * Threading: plain data; functions from any thread.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_PICTURE_PNG,
  ATL_PICTURE_JPEG,
  ATL_PICTURE_WEBP
} AtlPictureFormat;

typedef struct
{
  guint width, height;
  guint8 *rgb;       /* (owned) [height, width, 3] */
  GHashTable *texts; /* (owned) char* -> char*, both UTF-8 */
} AtlPicture;

/* Black, without texts. width and height 1 to 65535. */
AtlPicture *atl_picture_new (guint width, guint height);
/* The same where a file says how large: ATL_ERROR_NO_MEMORY when there is none for it. */
AtlPicture *atl_picture_try_new (guint width, guint height, GError **error);
void atl_picture_free (AtlPicture *self);

/* NULL when there is none. Borrowed. */
const char *atl_picture_text (const AtlPicture *self, const char *key);
/* `text` is made valid UTF-8; NULL takes it away. Keys are 1 to 79 letters of ASCII. */
void atl_picture_set_text (AtlPicture *self, const char *key, const char *text);

/* A copy whose longer side is at most `max_side` px, without texts; each of its pixels is the mean
 * of those it stands for. */
AtlPicture *atl_picture_shrink (const AtlPicture *self, guint max_side);

/* Decides by content. What is transparent is laid on white, more than 8 bits are cut, what EXIF
 * says a camera held sideways or mirrored is set upright (no file that is written says so). At most
 * `max_pixels`. ATL_ERROR_BAD_FILE, _UNSUPPORTED (another format), _FULL (more pixels),
 * _NO_MEMORY. */
AtlPicture *atl_picture_decode (const guint8 *data, gsize size, guint64 max_pixels, GError **error);

/* `quality` 1 to 100 of JPEG and WebP (0: 92). The file's bytes. ATL_ERROR_NO_MEMORY, _INVALID when
 * the format cannot have this size. */
GBytes *
atl_picture_encode (const AtlPicture *self, AtlPictureFormat format, guint quality, GError **error);

/* Writes `bytes` as FOLDER/STEM.ENDING, or STEM-2.ENDING and so on: a file that is there is never
 * replaced, and the name appears when all is on the disk. The path is the caller's. ATL_ERROR_FULL,
 * ATL_ERROR_INVALID in words. */
char *atl_picture_save (
    GBytes *bytes, const char *folder, const char *stem, const char *ending, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlPicture, atl_picture_free)

G_END_DECLS
