/* WebP, by libwebp; XMP and EXIF by its container library. */
#define G_LOG_DOMAIN "atl-media"

#include <glib/gi18n.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "media/picture-private.h"

/* The orientation, 0 when none is told. */
static guint
read_texts (AtlPicture *self, const guint8 *data, gsize size)
{
  WebPData file = { data, size };
  WebPDemuxer *demuxer = WebPDemux (&file);
  WebPChunkIterator chunk;
  guint orientation = 0;

  if (demuxer == NULL)
    return 0;
  if (WebPDemuxGetChunk (demuxer, "XMP ", 1, &chunk))
    {
      atl_xmp_read (self, (const char *) chunk.chunk.bytes, chunk.chunk.size);
      WebPDemuxReleaseChunkIterator (&chunk);
    }
  if (WebPDemuxGetChunk (demuxer, "EXIF", 1, &chunk))
    {
      orientation = atl_exif_read (self, chunk.chunk.bytes, chunk.chunk.size);
      WebPDemuxReleaseChunkIterator (&chunk);
    }
  WebPDemuxDelete (demuxer);
  return orientation;
}

AtlPicture *
atl_webp_decode (const guint8 *data, gsize size, guint64 max_pixels, GError **error)
{
  WebPDecoderConfig config;
  WebPBitstreamFeatures features;
  g_autofree guint8 *rgba = NULL;
  AtlPicture *self;
  gsize stride;
  VP8StatusCode status;

  if (WebPGetFeatures (data, size, &features) != VP8_STATUS_OK)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, "%s", _ ("This WebP file is damaged"));
      return NULL;
    }
  if (features.has_animation)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED, "%s",
                   _ ("This WebP file is an animation; a still picture is needed"));
      return NULL;
    }
  if (!atl_picture_check_size ((guint64) MAX (features.width, 0),
                               (guint64) MAX (features.height, 0), max_pixels, error))
    return NULL;
  stride = (gsize) features.width * 4;
  rgba = g_try_malloc (stride * (gsize) features.height);
  if (rgba == NULL || !WebPInitDecoderConfig (&config))
    {
      atl_picture_set_no_memory (error);
      return NULL;
    }
  config.output.colorspace = MODE_RGBA;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = rgba;
  config.output.u.RGBA.stride = (int) stride;
  config.output.u.RGBA.size = stride * (gsize) features.height;
  status = WebPDecode (data, size, &config);
  if (status == VP8_STATUS_OUT_OF_MEMORY)
    {
      atl_picture_set_no_memory (error);
      return NULL;
    }
  if (status != VP8_STATUS_OK)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, "%s", _ ("This WebP file is damaged"));
      return NULL;
    }
  self = atl_picture_try_new ((guint) features.width, (guint) features.height, error);
  if (self == NULL)
    return NULL;
  for (gsize i = 0; i < (gsize) self->width * self->height; i++)
    for (guint c = 0; c < 3; c++)
      {
        guint alpha = rgba[4 * i + 3];

        self->rgb[3 * i + c] =
            (guint8) ((rgba[4 * i + c] * alpha + 255 * (255 - alpha) + 127) / 255);
      }
  return atl_picture_take_upright (self, read_texts (self, data, size), error);
}

/* `encoded` with the texts around it; NULL when it has none. */
static GBytes *
with_texts (const AtlPicture *self, const guint8 *encoded, gsize size)
{
  g_autofree char *xmp = atl_xmp_write (self);
  g_autofree char *packet = xmp != NULL ? atl_xmp_packet (xmp) : NULL;
  g_autoptr (GByteArray) exif = atl_exif_write (self);
  WebPData image = { encoded, size }, whole = { 0 };
  WebPMux *mux = xmp != NULL ? WebPMuxCreate (&image, 0) : NULL;
  GBytes *bytes = NULL;

  if (mux == NULL)
    return NULL;
  WebPMuxSetChunk (mux, "XMP ", &(WebPData){ (const uint8_t *) packet, strlen (packet) }, 0);
  /* Here the block stands without its name. */
  if (exif != NULL)
    WebPMuxSetChunk (mux, "EXIF", &(WebPData){ exif->data + 6, exif->len - 6 }, 0);
  if (WebPMuxAssemble (mux, &whole) == WEBP_MUX_OK)
    bytes = g_bytes_new (whole.bytes, whole.size);
  WebPMuxDelete (mux);
  WebPDataClear (&whole);
  return bytes;
}

GBytes *
atl_webp_encode (const AtlPicture *self, guint quality, GError **error)
{
  uint8_t *encoded = NULL;
  gsize size;
  GBytes *bytes;

  if (self->width > WEBP_MAX_DIMENSION || self->height > WEBP_MAX_DIMENSION)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("A WebP file has at most %u pixels to a side; save it as PNG"),
                   WEBP_MAX_DIMENSION);
      return NULL;
    }
  size = WebPEncodeRGB (self->rgb, (int) self->width, (int) self->height, (int) self->width * 3,
                        (float) quality, &encoded);
  if (size == 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "%s",
                   _ ("There is not enough memory to save this picture"));
      return NULL;
    }
  bytes = with_texts (self, encoded, size);
  if (bytes == NULL)
    bytes = g_bytes_new (encoded, size);
  WebPFree (encoded);
  return bytes;
}
