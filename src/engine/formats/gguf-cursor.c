/* Reading from untrusted bytes without ever stepping past their end. */
#define G_LOG_DOMAIN "atl-formats"

#include "engine/formats/format-error.h"
#include "engine/formats/gguf-private.h"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

gboolean
atl_gguf_take (AtlGgufCursor *self, gsize n, const char *what, const guint8 **out, GError **error)
{
  if (n > atl_gguf_remaining (self))
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s ends inside %s (at byte %zu of %zu): it is damaged or its "
                               "download was not finished"),
                            self->file, _ (what), self->at, self->size);
  *out = self->data + self->at;
  self->at += n;
  return TRUE;
}

gboolean
atl_gguf_u32 (AtlGgufCursor *self, const char *what, guint32 *out, GError **error)
{
  const guint8 *bytes;

  if (!atl_gguf_take (self, sizeof *out, what, &bytes, error))
    return FALSE;
  memcpy (out, bytes, sizeof *out);
  *out = GUINT32_FROM_LE (*out);
  return TRUE;
}

gboolean
atl_gguf_u64 (AtlGgufCursor *self, const char *what, guint64 *out, GError **error)
{
  const guint8 *bytes;

  if (!atl_gguf_take (self, sizeof *out, what, &bytes, error))
    return FALSE;
  memcpy (out, bytes, sizeof *out);
  *out = GUINT64_FROM_LE (*out);
  return TRUE;
}

gboolean
atl_gguf_count (AtlGgufCursor *self, const char *what, guint64 *out, GError **error)
{
  guint32 narrow;

  if (self->version >= 2)
    return atl_gguf_u64 (self, what, out, error);
  if (!atl_gguf_u32 (self, what, &narrow, error))
    return FALSE;
  *out = narrow;
  return TRUE;
}

gboolean
atl_gguf_string (
    AtlGgufCursor *self, const char *what, const char **chars, gsize *length, GError **error)
{
  const guint8 *bytes;
  guint64 n;

  if (!atl_gguf_count (self, what, &n, error))
    return FALSE;
  if (n > atl_gguf_remaining (self))
    return atl_format_fail (
        error, ATL_ERROR_BAD_FILE,
        _ ("%s: %s claims a length of %" PRIu64 " bytes, but only %zu are left in the file"),
        self->file, _ (what), n, atl_gguf_remaining (self));
  if (!atl_gguf_take (self, (gsize) n, what, &bytes, error))
    return FALSE;
  *chars = (const char *) bytes;
  *length = (gsize) n;
  return TRUE;
}
