/* Telling kinds of files apart by their first bytes. */
#define G_LOG_DOMAIN "atl-formats"

#include "engine/formats/file-kind.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/formats/format-error.h"
#include "engine/formats/gguf.h"
#include "engine/formats/ncnn.h"
#include "engine/formats/safetensors.h"
#include "engine/formats/torch.h"

/* How far into a file a look goes. */
#define LOOK_BYTES 4096

typedef struct
{
  guint offset;
  guint length;
  const char *bytes;
  const char *sentence; /* "%s" stands for the file's name */
} Signature;

#define PICKLE                                                                                     \
  N_ ("%s is a PyTorch file of the old kind, a bare pickle, which can carry programs and is "      \
      "never "                                                                                     \
      "opened; the same model as a .safetensors or .gguf file works")
#define ARCHIVE N_ ("%s is a compressed archive; unpack it and open the model inside")
#define OLD_GGML                                                                                   \
  N_ ("%s is in the GGML format that came before GGUF; a newer .gguf file of the same model "      \
      "works")
#define PICTURE N_ ("%s is a picture, not a model")
static const Signature signatures[] = {
  { 0, 2, "\x80\x02", PICKLE },
  { 0, 2, "\x80\x03", PICKLE },
  { 0, 2, "\x80\x04", PICKLE },
  { 0, 2, "\x80\x05", PICKLE },
  { 0, 4, "lmgg", OLD_GGML },
  { 0, 4, "fmgg", OLD_GGML },
  { 0, 4, "tjgg", OLD_GGML },
  { 0, 4, "algg", OLD_GGML },
  { 0, 4, "GGML", OLD_GGML },
  { 0, 4, "ggml", OLD_GGML },
  { 0, 4, "Gk0\1",
    N_ ("%s has the weights of an ncnn network; open it together with the .param file") },
  { 0, 2, "\x1f\x8b", ARCHIVE },
  { 0, 3, "BZh", ARCHIVE },
  { 0, 6,
    "\xfd"
    "7zXZ\0",
    ARCHIVE },
  { 0, 4, "\x28\xb5\x2f\xfd", ARCHIVE },
  { 0, 6, "7z\xbc\xaf\x27\x1c", ARCHIVE },
  { 0, 4, "Rar!", ARCHIVE },
  { 257, 5, "ustar", N_ ("%s is a tar archive; unpack it and open the model inside") },
  { 0, 8, "\x89HDF\r\n\x1a\n",
    N_ ("%s is an HDF5 file (Keras); the same model as a .safetensors or .gguf file works") },
  { 4, 4, "TFL3",
    N_ ("%s is a TensorFlow Lite file; a .safetensors or .gguf file of the model works") },
  { 0, 6, "\x93NUMPY", N_ ("%s is a NumPy array, not a model") },
  { 0, 4,
    "\x7f"
    "ELF",
    N_ ("%s is a program, not a model; it was not run") },
  { 0, 2, "MZ", N_ ("%s is a Windows program, not a model; it was not run") },
  { 0, 4, "\x89PNG", PICTURE },
  { 0, 3, "\xff\xd8\xff", PICTURE },
  { 0, 4, "%PDF", N_ ("%s is a PDF document, not a model") },
  { 0, 23, "version https://git-lfs",
    N_ ("%s is only a Git LFS pointer to the model; run “git lfs pull” in its folder, or download "
        "the "
        "file itself") },
};

static const guint8 *
skip_space (const guint8 *data, const guint8 *end)
{
  /* A byte order mark is no content. */
  if (end - data >= 3 && memcmp (data, "\xef\xbb\xbf", 3) == 0)
    data += 3;
  while (data < end && g_ascii_isspace (*data))
    data++;
  return data;
}

AtlFileKind
atl_file_kind (const guint8 *data, gsize size)
{
  const guint8 *end = data + MIN (size, LOOK_BYTES), *text;

  if (atl_gguf_is_gguf (data, size))
    return ATL_FILE_GGUF;
  if (atl_safetensors_is_safetensors (data, size))
    return ATL_FILE_SAFETENSORS;
  if (atl_torch_is_torch (data, size))
    return ATL_FILE_TORCH;
  if (atl_ncnn_is_param (data, size))
    return ATL_FILE_NCNN;
  text = skip_space (data, end);
  return text < end && *text == '{' ? ATL_FILE_JSON : ATL_FILE_OTHER;
}

/* The first line of a file that reads like text; NULL when it does not. */
static char *
first_line (const guint8 *data, gsize size)
{
  gsize n = MIN (size, 256);
  const guint8 *text = skip_space (data, data + n);
  gsize length = 0;

  for (gsize i = 0; i < n; i++)
    if (data[i] < 0x20 && !g_ascii_isspace (data[i]))
      return NULL;
  while (text + length < data + n && text[length] != '\n' && text[length] != '\r')
    length++;
  return length > 0 ? atl_format_excerpt ((const char *) text, length) : NULL;
}

/* The sentence with the file's name in it. */
static gboolean
refuse (const char *sentence, const char *name, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (gettext (sentence), "%s", 2);
  g_autofree char *words = g_strjoinv (name, parts);

  return atl_format_fail (error, ATL_ERROR_UNSUPPORTED, "%s", words);
}

static gboolean
is_zero (const guint8 *data, gsize size)
{
  for (gsize i = 0; i < MIN (size, LOOK_BYTES); i++)
    if (data[i] != 0)
      return FALSE;
  return TRUE;
}

gboolean
atl_file_refuse (const guint8 *data, gsize size, const char *name, GError **error)
{
  const guint8 *text = skip_space (data, data + MIN (size, LOOK_BYTES));
  gsize text_size = MIN (size, LOOK_BYTES) - (gsize) (text - data);
  g_autofree char *line = NULL;

  if (is_zero (data, size))
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s begins with nothing but zeros: its download is not finished"),
                            name);
  if (size >= 4 && memcmp (data, "PK\3\4", 4) == 0)
    return refuse (N_ ("%s is a ZIP archive; unpack it and open the model inside"), name, error);
  if (text_size > 0 && *text == '<')
    return atl_format_fail (
        error, ATL_ERROR_BAD_FILE,
        _ ("%s is a web page, not a model: the download led to a page (often to "
           "sign in); download the file again"),
        name);
  for (guint i = 0; i < G_N_ELEMENTS (signatures); i++)
    {
      const Signature *s = &signatures[i];

      if (size >= s->offset + s->length && memcmp (data + s->offset, s->bytes, s->length) == 0)
        return refuse (s->sentence, name, error);
    }
  if (size < 16)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s has only %zu bytes: its download was not finished"), name, size);
  line = first_line (data, size);
  if (line != NULL)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s is a text that begins with “%s”, not a model; model files are "
                               ".gguf and .safetensors"),
                            name, line);
  return atl_format_fail (
      error, ATL_ERROR_UNSUPPORTED,
      _ ("%s is of no kind that is known here; models in .gguf and .safetensors "
         "files can be opened"),
      name);
}
