/* Safetensors: u64 header length | header in JSON | tensor data, without a gap. */
#define G_LOG_DOMAIN "atl-formats"

#include "engine/formats/safetensors.h"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "engine/formats/format-error.h"
#include "engine/formats/safetensors-private.h"
#include "engine/formats/st-scanner.h"

/* The limit of the reference implementation. */
#define MAX_HEADER_BYTES 100000000
#define MAX_TENSORS (1u << 18)
#define MAX_METADATA (1u << 16)

static const struct
{
  const char *name;
  AtlDType dtype;
} dtypes[] = {
  { "F32", ATL_DTYPE_F32 }, { "F16", ATL_DTYPE_F16 },         { "BF16", ATL_DTYPE_BF16 },
  { "F64", ATL_DTYPE_F64 }, { "F8_E4M3", ATL_DTYPE_F8_E4M3 }, { "F8_E5M2", ATL_DTYPE_F8_E5M2 },
  { "I8", ATL_DTYPE_I8 },   { "U8", ATL_DTYPE_U8 },           { "I16", ATL_DTYPE_I16 },
  { "U16", ATL_DTYPE_U16 }, { "I32", ATL_DTYPE_I32 },         { "U32", ATL_DTYPE_U32 },
  { "I64", ATL_DTYPE_I64 }, { "U64", ATL_DTYPE_U64 },         { "BOOL", ATL_DTYPE_BOOL },
};

typedef struct
{
  AtlStScanner scanner;
  const char *file;
  const guint8 *data; /* what follows the header */
  guint64 data_size;
  AtlCheckpoint *cp;
  GArray *spans;
} Reader;

typedef struct
{
  guint64 begin;
  guint64 end;
  guint index; /* in the checkpoint, for messages */
} Span;

/* A tensor's description as it is read. */
typedef struct
{
  char *dtype; /* (owned) */
  gboolean has_shape;
  guint n_dims; /* may exceed ATL_MAX_DIMS; only the first are kept */
  guint64 dim[ATL_MAX_DIMS];
  gboolean has_offsets;
  guint64 begin;
  guint64 end;
} Entry;

gboolean
atl_safetensors_is_safetensors (const guint8 *data, gsize size)
{
  guint64 length;

  if (size < 9 || data[8] != '{')
    return FALSE;
  memcpy (&length, data, sizeof length);
  return GUINT64_FROM_LE (length) <= MAX_HEADER_BYTES;
}

static gboolean
read_shape (Reader *self, Entry *entry, GError **error)
{
  gboolean first = TRUE, more;

  if (!atl_st_expect (&self->scanner, '[', N_ ("a shape"), error))
    return FALSE;
  while (TRUE)
    {
      guint64 dim;

      if (!atl_st_next (&self->scanner, ']', &first, &more, N_ ("a shape"), error))
        return FALSE;
      if (!more)
        break;
      if (!atl_st_uint (&self->scanner, N_ ("a dimension"), &dim, error))
        return FALSE;
      if (entry->n_dims < ATL_MAX_DIMS)
        entry->dim[entry->n_dims] = dim;
      entry->n_dims++;
    }
  entry->has_shape = TRUE;
  return TRUE;
}

static gboolean
read_offsets (Reader *self, Entry *entry, GError **error)
{
  entry->has_offsets = TRUE;
  return atl_st_expect (&self->scanner, '[', N_ ("data_offsets"), error) &&
         atl_st_uint (&self->scanner, N_ ("an offset"), &entry->begin, error) &&
         atl_st_expect (&self->scanner, ',', N_ ("data_offsets"), error) &&
         atl_st_uint (&self->scanner, N_ ("an offset"), &entry->end, error) &&
         atl_st_expect (&self->scanner, ']', N_ ("the end of data_offsets"), error);
}

static gboolean
read_field (Reader *self, const char *name, Entry *entry, GError **error)
{
  g_autofree char *field = NULL;
  gboolean twice;

  if (!atl_st_text (&self->scanner, N_ ("the name of a field"), &field, error) ||
      !atl_st_expect (&self->scanner, ':', N_ ("a tensor's description"), error))
    return FALSE;
  if (strcmp (field, "dtype") == 0 && entry->dtype == NULL)
    return atl_st_text (&self->scanner, N_ ("a dtype"), &entry->dtype, error);
  if (strcmp (field, "shape") == 0 && !entry->has_shape)
    return read_shape (self, entry, error);
  if (strcmp (field, "data_offsets") == 0 && !entry->has_offsets)
    return read_offsets (self, entry, error);

  /* An unknown field (strides, say) could change what the others mean. */
  twice = strcmp (field, "dtype") == 0 || strcmp (field, "shape") == 0 ||
          strcmp (field, "data_offsets") == 0;
  {
    g_autofree char *shown_field = atl_format_excerpt (field, strlen (field));
    g_autofree char *shown = atl_format_excerpt (name, strlen (name));

    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            twice ? _ ("%s: the tensor “%s” has the field “%s” twice")
                                  : _ ("%s: the tensor “%s” has the unknown field “%s”"),
                            self->file, shown, shown_field);
  }
}

static gboolean
find_dtype (Reader *self, const char *name, const Entry *entry, AtlDType *out, GError **error)
{
  g_autofree char *shown = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (dtypes); i++)
    if (strcmp (dtypes[i].name, entry->dtype) == 0)
      {
        *out = dtypes[i].dtype;
        return TRUE;
      }
  shown = atl_format_excerpt (entry->dtype, strlen (entry->dtype));
  return atl_format_fail (error, ATL_ERROR_UNSUPPORTED,
                          _ ("%s: the tensor “%s” has the element type “%s”, which cannot be used "
                             "here; the same model in F16, BF16 or F8_E4M3 would work"),
                          self->file, name, shown);
}

/* Checks a complete description against itself and the file, and adds the tensor. */
static gboolean
add_tensor (Reader *self, const char *name, const Entry *entry, GError **error)
{
  AtlTensorInfo info = { .name = name, .n_dims = entry->n_dims };
  Span span = { entry->begin, entry->end, atl_checkpoint_n_tensors (self->cp) };
  guint64 elems = 1, bytes;
  gboolean empty = FALSE;

  if (entry->dtype == NULL || !entry->has_shape || !entry->has_offsets)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s: the description of the tensor “%s” lacks its %s"), self->file,
                            name,
                            entry->dtype == NULL ? "dtype"
                            : !entry->has_shape  ? "shape"
                                                 : "data_offsets");
  if (!find_dtype (self, name, entry, &info.dtype, error))
    return FALSE;
  if (entry->n_dims > ATL_MAX_DIMS)
    return atl_format_fail (error, ATL_ERROR_UNSUPPORTED,
                            _ ("%s: the tensor “%s” has %u dimensions; at most %d can be used"),
                            self->file, name, entry->n_dims, ATL_MAX_DIMS);

  for (guint i = 0; i < entry->n_dims; i++)
    {
      /* Zeros are left out of the product, so that they cannot hide an absurd shape. */
      if (entry->dim[i] > G_MAXINT64 ||
          (entry->dim[i] > 0 && !atl_checked_mul (elems, entry->dim[i], &elems)) ||
          elems > G_MAXINT64)
        return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                                _ ("%s: the shape of the tensor “%s” is impossibly large"),
                                self->file, name);
      empty |= entry->dim[i] == 0;
      info.dim[i] = (gint64) entry->dim[i];
    }
  if (empty)
    elems = 0;
  if (entry->begin > entry->end || entry->end > self->data_size)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s: the tensor “%s” should lie at bytes %" PRIu64 " to %" PRIu64
                               ", but the file has %" PRIu64
                               " there; it is damaged or its download was not finished"),
                            self->file, name, entry->begin, entry->end, self->data_size);
  if (!atl_dtype_row_bytes (info.dtype, elems, &bytes) || bytes != entry->end - entry->begin)
    return atl_format_fail (
        error, ATL_ERROR_BAD_FILE,
        _ ("%s: the tensor “%s” has %" PRIu64 " bytes, which do not fit its shape"), self->file,
        name, entry->end - entry->begin);
  if (span.index >= MAX_TENSORS)
    return atl_format_fail (error, ATL_ERROR_UNSUPPORTED,
                            _ ("%s: more than %u tensors cannot be read"), self->file, MAX_TENSORS);

  info.data = self->data + entry->begin;
  info.size_bytes = (gsize) bytes;
  g_array_append_val (self->spans, span);
  return atl_checkpoint_add_tensor (self->cp, &info, error);
}

static gboolean
read_entry (Reader *self, const char *name, Entry *entry, GError **error)
{
  gboolean first = TRUE, more;

  if (!atl_st_expect (&self->scanner, '{', N_ ("a tensor's description"), error))
    return FALSE;
  while (TRUE)
    {
      if (!atl_st_next (&self->scanner, '}', &first, &more, N_ ("a tensor's description"), error))
        return FALSE;
      if (!more)
        return add_tensor (self, name, entry, error);
      if (!read_field (self, name, entry, error))
        return FALSE;
    }
}

/* Reads "__metadata__", texts by name, into `meta`. */
static gboolean
read_metadata (Reader *self, AtlCheckpoint *meta, GError **error)
{
  gboolean first = TRUE, more;

  if (!atl_st_expect (&self->scanner, '{', N_ ("the metadata"), error))
    return FALSE;
  while (TRUE)
    {
      g_autofree char *name = NULL, *text = NULL, *key = NULL;
      AtlMetaValue value = { .type = ATL_META_STRING };

      if (!atl_st_next (&self->scanner, '}', &first, &more, N_ ("the metadata"), error))
        return FALSE;
      if (!more)
        return TRUE;
      if (!atl_st_text (&self->scanner, N_ ("the name of metadata"), &name, error) ||
          !atl_st_expect (&self->scanner, ':', N_ ("the metadata"), error) ||
          !atl_st_text (&self->scanner, N_ ("metadata, which are texts"), &text, error))
        return FALSE;
      if (atl_checkpoint_n_meta (meta) >= MAX_METADATA)
        return atl_format_fail (error, ATL_ERROR_UNSUPPORTED,
                                _ ("%s: more than %u metadata cannot be read"), self->file,
                                MAX_METADATA);
      key = g_strconcat ("__metadata__.", name, NULL);
      value.v_string.chars = text;
      value.v_string.length = strlen (text);
      if (!atl_checkpoint_add_meta (meta, key, &value, error))
        return FALSE;
    }
}

static int
compare_spans (gconstpointer a, gconstpointer b)
{
  const Span *x = a, *y = b;

  if (x->begin != y->begin)
    return x->begin < y->begin ? -1 : 1;
  return x->end < y->end ? -1 : x->end > y->end;
}

/* Every byte after the header belongs to exactly one tensor. */
static gboolean
check_cover (Reader *self, GError **error)
{
  guint64 at = 0;

  g_array_sort (self->spans, compare_spans);
  for (guint i = 0; i < self->spans->len; i++)
    {
      const Span *span = &g_array_index (self->spans, Span, i);

      if (span->begin != at)
        return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                                _ ("%s: the tensor “%s” begins at byte %" PRIu64
                                   " instead of %" PRIu64 ": tensors overlap or leave a gap"),
                                self->file, atl_checkpoint_tensor (self->cp, span->index)->name,
                                span->begin, at);
      at = span->end;
    }
  if (at != self->data_size)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s: %" PRIu64 " bytes at the end belong to no tensor"), self->file,
                            self->data_size - at);
  return TRUE;
}

static gboolean
read_header (Reader *self, AtlCheckpoint *meta, GError **error)
{
  AtlStScanner *scanner = &self->scanner;
  gboolean first = TRUE, more, has_metadata = FALSE;

  if (!atl_st_expect (scanner, '{', N_ ("the header"), error))
    return FALSE;
  while (TRUE)
    {
      g_autofree char *name = NULL;
      Entry entry = { 0 };
      gboolean ok;

      if (!atl_st_next (scanner, '}', &first, &more, N_ ("the header"), error))
        return FALSE;
      if (!more)
        return atl_st_finish (scanner, error) && check_cover (self, error);
      if (!atl_st_text (scanner, N_ ("the name of a tensor"), &name, error) ||
          !atl_st_expect (scanner, ':', N_ ("the header"), error))
        return FALSE;
      if (strcmp (name, "__metadata__") == 0)
        {
          if (has_metadata)
            return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                                    _ ("%s: the metadata are there twice"), self->file);
          has_metadata = TRUE;
          if (!read_metadata (self, meta, error))
            return FALSE;
          continue;
        }
      if (name[0] == '\0')
        return atl_format_fail (error, ATL_ERROR_BAD_FILE, _ ("%s: a tensor has no name"),
                                self->file);
      ok = read_entry (self, name, &entry, error);
      g_free (entry.dtype);
      if (!ok)
        return FALSE;
    }
}

/* What one file's metadata add to those of the files before it. */
static gboolean
merge_metadata (AtlCheckpoint *cp, const AtlCheckpoint *meta, GError **error)
{
  for (guint i = 0; i < atl_checkpoint_n_meta (meta); i++)
    {
      const char *key = atl_checkpoint_meta_key (meta, i);

      if (atl_checkpoint_meta (cp, key) == NULL &&
          !atl_checkpoint_add_meta (cp, key, atl_checkpoint_meta (meta, key), error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
read_file (AtlFileMap *map, AtlCheckpoint *cp, GError **error)
{
  const char *file = atl_file_map_name (map);
  const guint8 *bytes = atl_file_map_data (map);
  gsize size = atl_file_map_size (map);
  g_autoptr (GArray) spans = g_array_new (FALSE, FALSE, sizeof (Span));
  g_autoptr (AtlCheckpoint) meta = atl_checkpoint_new (file);
  Reader self = { .file = file, .cp = cp, .spans = spans };
  guint64 length;

  if (size < sizeof length)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s has only %zu bytes and is no safetensors file"), file, size);
  memcpy (&length, bytes, sizeof length);
  length = GUINT64_FROM_LE (length);
  if (length > MAX_HEADER_BYTES || length < 2)
    return atl_format_fail (
        error, ATL_ERROR_BAD_FILE,
        _ ("%s is no safetensors file: its header would be %" PRIu64 " bytes long"), file, length);
  if (length > size - sizeof length)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s ends inside its header: it is damaged or its download was not "
                               "finished"),
                            file);
  bytes += sizeof length;
  if (bytes[0] != '{')
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s is no safetensors file: its header is no JSON text"), file);

  atl_st_scanner_init (&self.scanner, (const char *) bytes, (gsize) length, file);
  self.data = bytes + length;
  self.data_size = size - sizeof length - length;
  return read_header (&self, meta, error) && merge_metadata (cp, meta, error);
}

static int
compare_maps (gconstpointer a, gconstpointer b)
{
  return strcmp (atl_file_map_name (*(AtlFileMap *const *) a),
                 atl_file_map_name (*(AtlFileMap *const *) b));
}

AtlCheckpoint *
atl_safetensors_open (
    AtlFileMap *const *maps, guint n_maps, const char *index_json, gsize index_size, GError **error)
{
  g_autoptr (GPtrArray) ordered = g_ptr_array_new ();
  g_autoptr (AtlCheckpoint) cp = NULL;

  g_return_val_if_fail (n_maps >= 1, NULL);
  for (guint i = 0; i < n_maps; i++)
    g_ptr_array_add (ordered, maps[i]);
  g_ptr_array_sort (ordered, compare_maps);

  cp = atl_checkpoint_new (atl_file_map_name (ordered->pdata[0]));
  for (guint i = 0; i < n_maps; i++)
    {
      atl_checkpoint_add_map (cp, ordered->pdata[i]);
      if (!read_file (ordered->pdata[i], cp, error))
        return NULL;
    }
  if (index_json != NULL &&
      !atl_safetensors_check_index (cp, ordered, index_json, index_size, error))
    return NULL;
  return g_steal_pointer (&cp);
}
