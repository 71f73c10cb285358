/* The beginnings of files that people drop on a window. */
#include "app/content-kind.h"

#include <glib/gi18n.h>
#include <string.h>

typedef struct
{
  guint offset, length;
  const char *bytes;
  AtlContentKind kind;
  const char *words;
} Beginning;

#define PICTURE N_ ("a picture")
#define ARCHIVE N_ ("a compressed archive")
#define SOUND N_ ("a sound recording")
#define CLIP N_ ("a video clip")
#define PROGRAM N_ ("a program")
#define OFFICE N_ ("an office document")
#define OLD_MODEL N_ ("a model of a kind that cannot be opened here")

/* The first that fits counts: the closer one stands first. */
static const Beginning beginnings[] = {
  { 0, 4, "GGUF", ATL_CONTENT_MODEL, N_ ("a model") },
  { 0, 4, "\x89PNG", ATL_CONTENT_PICTURE, PICTURE },
  { 0, 3, "\xff\xd8\xff", ATL_CONTENT_PICTURE, PICTURE },
  { 0, 6, "GIF87a", ATL_CONTENT_PICTURE, PICTURE },
  { 0, 6, "GIF89a", ATL_CONTENT_PICTURE, PICTURE },
  { 8, 4, "WEBP", ATL_CONTENT_PICTURE, PICTURE },
  { 4, 8, "ftypavif", ATL_CONTENT_PICTURE, PICTURE },
  { 4, 8, "ftypheic", ATL_CONTENT_PICTURE, PICTURE },
  { 0, 4, "II*\0", ATL_CONTENT_PICTURE, PICTURE },
  { 0, 4, "MM\0*", ATL_CONTENT_PICTURE, PICTURE },
  { 0, 5, "%PDF-", ATL_CONTENT_OTHER, N_ ("a PDF document") },
  { 0, 5, "{\\rtf", ATL_CONTENT_OTHER, N_ ("a formatted document (RTF)") },
  { 30, 8, "mimetype", ATL_CONTENT_OTHER, OFFICE }, /* OpenDocument and EPUB */
  { 30, 19, "[Content_Types].xml", ATL_CONTENT_OTHER, OFFICE },
  { 0, 8, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ATL_CONTENT_OTHER, OFFICE },
  { 0, 4, "PK\3\4", ATL_CONTENT_OTHER, ARCHIVE },
  { 0, 2, "\x1f\x8b", ATL_CONTENT_OTHER, ARCHIVE },
  { 0, 3, "BZh", ATL_CONTENT_OTHER, ARCHIVE },
  { 0, 6,
    "\xfd"
    "7zXZ\0",
    ATL_CONTENT_OTHER, ARCHIVE },
  { 0, 4, "\x28\xb5\x2f\xfd", ATL_CONTENT_OTHER, ARCHIVE },
  { 0, 6, "7z\xbc\xaf\x27\x1c", ATL_CONTENT_OTHER, ARCHIVE },
  { 0, 4, "Rar!", ATL_CONTENT_OTHER, ARCHIVE },
  { 257, 5, "ustar", ATL_CONTENT_OTHER, ARCHIVE },
  { 8, 4, "WAVE", ATL_CONTENT_OTHER, SOUND },
  { 0, 3, "ID3", ATL_CONTENT_OTHER, SOUND },
  { 0, 2, "\xff\xfb", ATL_CONTENT_OTHER, SOUND },
  { 0, 4, "fLaC", ATL_CONTENT_OTHER, SOUND },
  { 0, 4, "OggS", ATL_CONTENT_OTHER, SOUND },
  { 4, 7, "ftypM4A", ATL_CONTENT_OTHER, SOUND },
  { 4, 4, "ftyp", ATL_CONTENT_OTHER, CLIP },
  { 0, 4, "\x1a\x45\xdf\xa3", ATL_CONTENT_OTHER, CLIP },
  { 8, 4, "AVI ", ATL_CONTENT_OTHER, CLIP },
  { 0, 4,
    "\x7f"
    "ELF",
    ATL_CONTENT_OTHER, PROGRAM },
  { 0, 2, "MZ", ATL_CONTENT_OTHER, PROGRAM },
  { 0, 16, "SQLite format 3\0", ATL_CONTENT_OTHER, N_ ("a database") },
  { 0, 4, "lmgg", ATL_CONTENT_OTHER, OLD_MODEL },
  { 0, 4, "fmgg", ATL_CONTENT_OTHER, OLD_MODEL },
  { 0, 4, "tjgg", ATL_CONTENT_OTHER, OLD_MODEL },
  { 0, 8, "\x89HDF\r\n\x1a\n", ATL_CONTENT_OTHER, OLD_MODEL },
  { 4, 4, "TFL3", ATL_CONTENT_OTHER, OLD_MODEL },
  { 0, 2, "\x80\x02", ATL_CONTENT_OTHER, OLD_MODEL }, /* a bare pickle */
  { 0, 2, "\x80\x03", ATL_CONTENT_OTHER, OLD_MODEL },
  { 0, 2, "\x80\x04", ATL_CONTENT_OTHER, OLD_MODEL },
};

/* Two letters at the beginning say little: a text may begin so, bytes of no text settle it. */
static gboolean
is_text (const char *bytes, gsize n_bytes)
{
  for (gsize i = 0; i < n_bytes; i++)
    if ((guchar) bytes[i] < 0x20 && strchr ("\t\n\r\f\x1b", bytes[i]) == NULL)
      return FALSE;
  return TRUE;
}

/* The length of its description in eight bytes, then the description. */
static gboolean
is_safetensors (const char *bytes, gsize n_bytes)
{
  return n_bytes >= 10 && memcmp (bytes + 5, "\0\0\0", 3) == 0 && bytes[8] == '{' &&
         (bytes[9] == '"' || bytes[9] == '}' || g_ascii_isspace (bytes[9]));
}

/* What torch.save() writes is an archive whose first file is the pickle. */
static gboolean
is_torch (const char *bytes, gsize n_bytes)
{
  gsize n = MIN (n_bytes, 128);

  if (n < 40 || memcmp (bytes, "PK\3\4", 4) != 0)
    return FALSE;
  for (gsize i = 30; i + 8 <= n; i++)
    if (memcmp (bytes + i, "data.pkl", 8) == 0)
      return TRUE;
  return FALSE;
}

AtlContentKind
atl_content_kind (const char *bytes, gsize n_bytes, const char **words)
{
  const char *ignored;

  if (words == NULL)
    words = &ignored;
  *words = NULL;
  if (is_safetensors (bytes, n_bytes) || is_torch (bytes, n_bytes))
    {
      *words = is_torch (bytes, n_bytes) ? _ ("a PyTorch model") : _ ("a model");
      return ATL_CONTENT_MODEL;
    }
  for (guint i = 0; i < G_N_ELEMENTS (beginnings); i++)
    {
      const Beginning *b = &beginnings[i];

      if (n_bytes < b->offset + b->length || memcmp (bytes + b->offset, b->bytes, b->length) != 0 ||
          (b->length < 4 && is_text (bytes, n_bytes)))
        continue;
      *words = gettext (b->words);
      return b->kind;
    }
  return ATL_CONTENT_TEXT;
}
