/* What a file is, told by its first bytes alone.
 *
 *   if (atl_file_kind (data, size) == ATL_FILE_OTHER)
 *     atl_file_refuse (data, size, name, &error);
 *
 * Threading: pure functions, any thread.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_FILE_GGUF,
  ATL_FILE_SAFETENSORS,
  ATL_FILE_JSON,  /* text that begins with a brace */
  ATL_FILE_TORCH, /* an archive of torch.save() */
  ATL_FILE_NCNN,  /* the description of a network; its weights are an ATL_FILE_OTHER beside it */
  ATL_FILE_OTHER,
} AtlFileKind;

/* `data` may be the whole file or its beginning; what is too short is ATL_FILE_OTHER. */
AtlFileKind atl_file_kind (const guint8 *data, gsize size);

/* Sets ATL_ERROR_UNSUPPORTED or ATL_ERROR_BAD_FILE with a sentence that says what the file of kind
 * ATL_FILE_OTHER is, and what would work instead. Returns FALSE. */
gboolean atl_file_refuse (const guint8 *data, gsize size, const char *name, GError **error);

G_END_DECLS
