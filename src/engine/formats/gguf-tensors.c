/* The tensor table of a GGUF file: read, vetted and turned into views of the mapping. */
#define G_LOG_DOMAIN "atl-formats"

#include "engine/formats/format-error.h"
#include "engine/formats/gguf-private.h"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"

/* ggml's own limits, and those of the tools that write pictures' and clips' models. */
#define GGML_MAX_DIMS 4
#define GGML_MAX_NAME_BYTES 64
#define MAX_NAME_BYTES 255

/* By the numbers in the file; what is not here was removed (4, 5, 31 to 33, 36 to 38) or is
 * unknown. The value is the dtype + 1. */
static const guint8 dtype_by_id[] = {
  [0] = ATL_DTYPE_F32 + 1,     [1] = ATL_DTYPE_F16 + 1,      [2] = ATL_DTYPE_Q4_0 + 1,
  [3] = ATL_DTYPE_Q4_1 + 1,    [6] = ATL_DTYPE_Q5_0 + 1,     [7] = ATL_DTYPE_Q5_1 + 1,
  [8] = ATL_DTYPE_Q8_0 + 1,    [9] = ATL_DTYPE_Q8_1 + 1,     [10] = ATL_DTYPE_Q2_K + 1,
  [11] = ATL_DTYPE_Q3_K + 1,   [12] = ATL_DTYPE_Q4_K + 1,    [13] = ATL_DTYPE_Q5_K + 1,
  [14] = ATL_DTYPE_Q6_K + 1,   [15] = ATL_DTYPE_Q8_K + 1,    [16] = ATL_DTYPE_IQ2_XXS + 1,
  [17] = ATL_DTYPE_IQ2_XS + 1, [18] = ATL_DTYPE_IQ3_XXS + 1, [19] = ATL_DTYPE_IQ1_S + 1,
  [20] = ATL_DTYPE_IQ4_NL + 1, [21] = ATL_DTYPE_IQ3_S + 1,   [22] = ATL_DTYPE_IQ2_S + 1,
  [23] = ATL_DTYPE_IQ4_XS + 1, [24] = ATL_DTYPE_I8 + 1,      [25] = ATL_DTYPE_I16 + 1,
  [26] = ATL_DTYPE_I32 + 1,    [27] = ATL_DTYPE_I64 + 1,     [28] = ATL_DTYPE_F64 + 1,
  [29] = ATL_DTYPE_IQ1_M + 1,  [30] = ATL_DTYPE_BF16 + 1,    [34] = ATL_DTYPE_TQ1_0 + 1,
  [35] = ATL_DTYPE_TQ2_0 + 1,  [39] = ATL_DTYPE_MXFP4 + 1,   [40] = ATL_DTYPE_NVFP4 + 1,
  [41] = ATL_DTYPE_Q1_0 + 1,   [42] = ATL_DTYPE_Q2_0 + 1,
};

gint
atl_gguf_id_of_dtype (AtlDType dtype)
{
  for (guint i = 0; i < G_N_ELEMENTS (dtype_by_id); i++)
    if (dtype_by_id[i] == (guint) dtype + 1)
      return (gint) i;
  return -1;
}

typedef struct
{
  guint max_dims;
  guint max_name_bytes;
} Limits;

/* Where the bytes of a tensor that is not empty lie, relative to the data section. */
typedef struct
{
  guint64 offset;
  guint64 end;
  guint index; /* in the checkpoint, for messages */
} Span;

static gboolean
read_name (AtlGgufCursor *cursor, const Limits *limits, char **out, GError **error)
{
  const char *chars;
  gsize length;

  if (!atl_gguf_string (cursor, N_ ("the name of a tensor"), &chars, &length, error))
    return FALSE;
  if (length == 0 || length > limits->max_name_bytes)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s: a tensor's name has %zu bytes; expected 1 to %u"), cursor->file,
                            length, limits->max_name_bytes);
  if (!g_utf8_validate_len (chars, length, NULL))
    {
      g_autofree char *shown = atl_format_excerpt (chars, length);
      return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                              _ ("%s: the tensor's name “%s” is not valid UTF-8 text"),
                              cursor->file, shown);
    }
  *out = g_strndup (chars, length);
  return TRUE;
}

/* Reads the dimensions, innermost first in the file, and counts the elements. */
static gboolean
read_shape (AtlGgufCursor *cursor,
            const Limits *limits,
            AtlTensorInfo *info,
            guint64 *n_elems,
            GError **error)
{
  guint32 n_dims;
  guint64 product = 1;
  gboolean empty = FALSE;

  if (!atl_gguf_u32 (cursor, N_ ("the shape of a tensor"), &n_dims, error))
    return FALSE;
  if (n_dims < 1 || n_dims > limits->max_dims)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s: the tensor “%s” has %u dimensions; expected 1 to %u"),
                            cursor->file, info->name, n_dims, limits->max_dims);
  info->n_dims = n_dims;
  for (guint i = 0; i < n_dims; i++)
    {
      guint64 dim;

      if (!atl_gguf_count (cursor, N_ ("the shape of a tensor"), &dim, error))
        return FALSE;
      /* Zeros are left out of the product, so that they cannot hide an absurd shape. */
      if (dim > G_MAXINT64 || (dim > 0 && !atl_checked_mul (product, dim, &product)) ||
          product > G_MAXINT64)
        return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                                _ ("%s: the shape of the tensor “%s” is impossibly large"),
                                cursor->file, info->name);
      empty |= dim == 0;
      info->dim[n_dims - 1 - i] = (gint64) dim;
    }
  *n_elems = empty ? 0 : product;
  return TRUE;
}

static gboolean
read_dtype (AtlGgufCursor *cursor, AtlTensorInfo *info, GError **error)
{
  guint32 id;

  if (!atl_gguf_u32 (cursor, N_ ("the type of a tensor"), &id, error))
    return FALSE;
  if (id >= G_N_ELEMENTS (dtype_by_id) || dtype_by_id[id] == 0)
    return atl_format_fail (
        error, ATL_ERROR_UNSUPPORTED,
        _ ("%s: the tensor “%s” has the element type %u, which is unknown or no "
           "longer in use; a newer version of the same model may work"),
        cursor->file, info->name, id);
  info->dtype = (AtlDType) (dtype_by_id[id] - 1);
  return TRUE;
}

static gboolean
measure (
    AtlGgufCursor *cursor, AtlTensorInfo *info, guint64 n_elems, guint64 *bytes, GError **error)
{
  guint64 row = (guint64) info->dim[info->n_dims - 1];
  guint block = atl_dtype_info (info->dtype)->block_elems;

  if (row % block != 0)
    return atl_format_fail (
        error, ATL_ERROR_BAD_FILE,
        _ ("%s: the rows of the tensor “%s” have %" PRIu64
           " elements, which is no multiple of the %u that a block of %s holds"),
        cursor->file, info->name, row, block, atl_dtype_name (info->dtype));
  /* Whole rows of whole blocks: the number of elements is a multiple of the block, too. */
  if (!atl_dtype_row_bytes (info->dtype, n_elems, bytes) || *bytes > G_MAXSSIZE)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s: the tensor “%s” is impossibly large"), cursor->file,
                            info->name);
  return TRUE;
}

/* Walks over the table only to learn where it ends: the data section begins at the next multiple of
 * the alignment. The file may end right there, when no tensor has bytes. */
static gboolean
find_data (const AtlGgufFile *self, const Limits *limits, guint64 *out, GError **error)
{
  AtlGgufCursor cursor = self->cursor;

  for (guint64 i = 0; i < self->n_tensors; i++)
    {
      g_autofree char *name = NULL;
      AtlTensorInfo info = { 0 };
      guint64 ignored;
      guint32 type;

      if (!read_name (&cursor, limits, &name, error))
        return FALSE;
      info.name = name;
      if (!read_shape (&cursor, limits, &info, &ignored, error) ||
          !atl_gguf_u32 (&cursor, N_ ("the type of a tensor"), &type, error) ||
          !atl_gguf_u64 (&cursor, N_ ("the place of a tensor"), &ignored, error))
        return FALSE;
    }
  return atl_checked_align (cursor.at, self->alignment, out);
}

/* Reads one entry and checks its place against the data section, `data_size` bytes at `data` (NULL
 * when only the table is vetted). */
static gboolean
read_entry (AtlGgufFile *self,
            const Limits *limits,
            const guint8 *data,
            guint64 data_size,
            AtlCheckpoint *cp,
            GArray *spans,
            GError **error)
{
  AtlGgufCursor *cursor = &self->cursor;
  AtlTensorInfo info = { 0 };
  g_autofree char *name = NULL;
  guint64 n_elems, offset, bytes, end;

  if (!read_name (cursor, limits, &name, error))
    return FALSE;
  info.name = name;
  if (!read_shape (cursor, limits, &info, &n_elems, error) || !read_dtype (cursor, &info, error) ||
      !atl_gguf_u64 (cursor, N_ ("the place of a tensor"), &offset, error) ||
      !measure (cursor, &info, n_elems, &bytes, error))
    return FALSE;
  if (offset % self->alignment != 0)
    return atl_format_fail (
        error, ATL_ERROR_BAD_FILE,
        _ ("%s: the tensor “%s” lies at %" PRIu64 ", which is no multiple of %" PRIu64),
        cursor->file, name, offset, self->alignment);
  info.size_bytes = (gsize) bytes;
  if (bytes > 0)
    {
      Span span;

      if (!atl_checked_add (offset, bytes, &end) || end > data_size)
        return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                                _ ("%s ends before the tensor “%s” does (%" PRIu64
                                   " bytes at %" PRIu64 " of %" PRIu64
                                   "): it is damaged or its download was not finished"),
                                cursor->file, name, bytes, offset, data_size);
      span = (Span){ offset, end, atl_checkpoint_n_tensors (cp) };
      g_array_append_val (spans, span);
    }
  /* An empty tensor may point anywhere; it is given the file's first byte, so that its pointer is
   * valid without being followed. */
  info.data = bytes > 0 && data != NULL ? data + offset : cursor->data;
  return atl_checkpoint_add_tensor (cp, &info, error);
}

static int
compare_spans (gconstpointer a, gconstpointer b)
{
  const Span *x = a, *y = b;

  return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static gboolean
check_overlap (const AtlGgufFile *self, const AtlCheckpoint *cp, GArray *spans, GError **error)
{
  g_array_sort (spans, compare_spans);
  for (guint i = 1; i < spans->len; i++)
    {
      const Span *a = &g_array_index (spans, Span, i - 1), *b = &g_array_index (spans, Span, i);

      if (b->offset < a->end)
        return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                                _ ("%s: the tensors “%s” and “%s” overlap"), self->cursor.file,
                                atl_checkpoint_tensor (cp, a->index)->name,
                                atl_checkpoint_tensor (cp, b->index)->name);
    }
  return TRUE;
}

/* The padding after the last tensor may be there or not, but a file that ends inside it was cut. */
static gboolean
check_end (const AtlGgufFile *self, guint64 data_size, GArray *spans, GError **error)
{
  guint64 end, padded;

  if (spans->len == 0)
    return TRUE;
  end = g_array_index (spans, Span, spans->len - 1).end;
  if (atl_checked_align (end, self->alignment, &padded) && data_size > end && data_size < padded)
    return atl_format_fail (
        error, ATL_ERROR_BAD_FILE,
        _ ("%s ends %" PRIu64 " bytes too early: its download was not finished"), self->cursor.file,
        padded - data_size);
  return TRUE;
}

gboolean
atl_gguf_read_tensors (AtlGgufFile *self,
                       const char *architecture,
                       AtlCheckpoint *cp,
                       GError **error)
{
  g_autoptr (GArray) spans = g_array_new (FALSE, FALSE, sizeof (Span));
  g_autoptr (AtlCheckpoint) scratch = NULL;
  Limits limits = { ATL_MAX_DIMS, MAX_NAME_BYTES };
  const guint8 *data = NULL;
  guint64 start, size = G_MAXINT64;

  /* The format allows four dimensions and names of 64 bytes, and so do the files of language
   * models. Two kinds of files go beyond on purpose: those with a picture or clip model's
   * architecture (five dimensions in a patch embedding of Wan) and those of stable-diffusion.cpp,
   * which hold tensors with long names and no settings at all. */
  if (self->n_pairs > 0 && (architecture == NULL || strcmp (architecture, "llama") == 0))
    limits = (Limits){ GGML_MAX_DIMS, GGML_MAX_NAME_BYTES };

  if (!find_data (self, &limits, &start, error))
    return FALSE;
  if (architecture == NULL && start >= self->cursor.size)
    {
      /* A header alone, as tools keep for reference: no model's file, and nothing to hand out. The
       * table is vetted all the same. */
      cp = scratch = atl_checkpoint_new (self->cursor.file);
    }
  else
    {
      size = start < self->cursor.size ? self->cursor.size - start : 0;
      data = size > 0 ? self->cursor.data + start : NULL;
    }
  for (guint64 i = 0; i < self->n_tensors; i++)
    if (!read_entry (self, &limits, data, size, cp, spans, error))
      return FALSE;
  return check_overlap (self, cp, spans, error) && check_end (self, size, spans, error);
}
