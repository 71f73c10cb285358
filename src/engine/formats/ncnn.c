/* ncnn's pairs of files. */
#define G_LOG_DOMAIN "atl-formats"

#include "engine/formats/ncnn.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/checked.h"
#include "engine/formats/format-error.h"

#define MAGIC "7767517"
#define MAX_PARAM_BYTES (16u << 20)
#define MAX_LAYERS 65536
/* Words of a line are taken apart one by one; none of a network is as long. */
#define MAX_LINE_BYTES 65536
#define TAG_F16 0x01306b47u
#define TAG_F32 0x0002c056u

/* Keys of a convolution's parameters. */
enum
{
  OUTPUTS = 0,
  KERNEL_W = 1,
  HAS_BIAS = 5,
  N_WEIGHTS = 6,
  IS_INT8 = 8,
  KERNEL_H = 11,
  IS_DYNAMIC = 19,
  N_KEYS = 32
};

typedef struct
{
  const char *file, *bin_file;
  const guint8 *bin, *bin_end;
  AtlCheckpoint *cp;
  GPtrArray *layers; /* (owned) char* (owned) */
  guint n_weighted;
} Reader;

static void
reader_clear (Reader *self)
{
  g_ptr_array_unref (self->layers);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Reader, reader_clear)

gboolean
atl_ncnn_is_param (const guint8 *data, gsize size)
{
  return size > strlen (MAGIC) && memcmp (data, MAGIC, strlen (MAGIC)) == 0 &&
         (data[strlen (MAGIC)] == '\n' || data[strlen (MAGIC)] == '\r');
}

static gboolean
bad_line (const Reader *self, const char *line, GError **error)
{
  g_autofree char *shown = atl_format_excerpt (line, strlen (line));

  return atl_format_fail (error, ATL_ERROR_BAD_FILE, _ ("%s: “%s” describes no layer"), self->file,
                          shown);
}

/* `n` numbers out of the file of weights. */
static gboolean
add_tensor (
    Reader *self, const char *what, AtlDType dtype, guint n_dims, const gint64 *dim, GError **error)
{
  g_autofree char *name = g_strdup_printf ("%u.%s", self->n_weighted, what);
  AtlTensorInfo info = { .name = name, .dtype = dtype, .n_dims = n_dims, .data = self->bin };
  guint64 n, bytes, padded;

  memcpy (info.dim, dim, n_dims * sizeof *dim);
  if (!atl_checked_product (dim, n_dims, &n) || !atl_dtype_row_bytes (dtype, n, &bytes) ||
      !atl_checked_align (bytes, 4, &padded) || padded > (guint64) (self->bin_end - self->bin))
    return atl_format_fail (
        error, ATL_ERROR_BAD_FILE,
        _ ("%s ends before the weights of layer %u: it does not belong to %s, or its download was "
           "not finished"),
        self->bin_file, self->n_weighted, self->file);
  info.size_bytes = (gsize) bytes;
  self->bin += padded;
  return atl_checkpoint_add_tensor (self->cp, &info, error);
}

/* The type of a block of weights, which stands before it. */
static gboolean
read_tag (Reader *self, AtlDType *dtype, GError **error)
{
  guint32 tag = G_MAXUINT32;

  if (self->bin_end - self->bin >= 4)
    {
      memcpy (&tag, self->bin, sizeof tag);
      tag = GUINT32_FROM_LE (tag);
      self->bin += 4;
    }
  *dtype = tag == TAG_F16 ? ATL_DTYPE_F16 : ATL_DTYPE_F32;
  if (tag == TAG_F16 || tag == TAG_F32 || tag == 0)
    return TRUE;
  return atl_format_fail (
      error, ATL_ERROR_UNSUPPORTED,
      _ ("%s: the weights of layer %u are quantised or do not belong to %s; the network in float16 "
         "or float32 works"),
      self->bin_file, self->n_weighted, self->file);
}

/* The whole numbers among the parameters "key=value". */
static gboolean
read_numbers (char **tokens, gint64 *numbers)
{
  for (; *tokens != NULL; tokens++)
    {
      char *end;
      gint64 key = g_ascii_strtoll (*tokens, &end, 10);

      if (end == *tokens || *end != '=')
        return FALSE;
      if (key < 0 || key >= N_KEYS)
        continue;
      numbers[key] = g_ascii_strtoll (end + 1, NULL, 10);
    }
  return TRUE;
}

static gboolean
add_convolution (Reader *self, const gint64 *p, const char *line, GError **error)
{
  gint64 kw = p[KERNEL_W], kh = p[KERNEL_H] > 0 ? p[KERNEL_H] : kw, out = p[OUTPUTS];
  AtlDType dtype;

  if (out < 1 || out > 1 << 20 || kw < 1 || kw > 64 || kh > 64 || p[N_WEIGHTS] < 1 ||
      p[N_WEIGHTS] % (out * kw * kh) != 0 || p[IS_INT8] != 0 || p[IS_DYNAMIC] != 0)
    return bad_line (self, line, error);
  return read_tag (self, &dtype, error) &&
         add_tensor (self, "weight", dtype, 4,
                     (gint64[]){ out, p[N_WEIGHTS] / (out * kw * kh), kh, kw }, error) &&
         (p[HAS_BIAS] == 0 || add_tensor (self, "bias", ATL_DTYPE_F32, 1, &out, error));
}

static gboolean
add_slopes (Reader *self, const gint64 *p, const char *line, GError **error)
{
  return p[OUTPUTS] >= 1 ? add_tensor (self, "weight", ATL_DTYPE_F32, 1, &p[OUTPUTS], error)
                         : bad_line (self, line, error);
}

static gboolean
read_layer (Reader *self, const char *line, GError **error)
{
  static const char *const weightless[] = { "Input",    "Split",        "Concat", "Eltwise", "ReLU",
                                            "BinaryOp", "PixelShuffle", "Interp", "Reorg",   "Noop",
                                            NULL };
  g_auto (GStrv) raw = g_strsplit_set (line, " \t\r", -1);
  g_autoptr (GPtrArray) tokens = g_ptr_array_new ();
  g_autofree char *rest = NULL;
  gint64 numbers[N_KEYS] = { 0 };
  guint64 inputs, outputs;
  char **params;
  const char *kind;

  for (char **t = raw; *t != NULL; t++)
    if (**t != '\0')
      g_ptr_array_add (tokens, *t);
  g_ptr_array_add (tokens, NULL);
  /* Kind, name, how many inputs and outputs, their names, then the parameters. */
  if (tokens->len < 5 ||
      !g_ascii_string_to_unsigned (tokens->pdata[2], 10, 0, MAX_LAYERS, &inputs, NULL) ||
      !g_ascii_string_to_unsigned (tokens->pdata[3], 10, 0, MAX_LAYERS, &outputs, NULL) ||
      4 + inputs + outputs > tokens->len - 1)
    return bad_line (self, line, error);
  params = (char **) tokens->pdata + 4 + inputs + outputs;
  if (!read_numbers (params, numbers))
    return bad_line (self, line, error);
  kind = tokens->pdata[0];
  if (strcmp (kind, "Convolution") == 0 || strcmp (kind, "PReLU") == 0)
    {
      if (!(*kind == 'C' ? add_convolution (self, numbers, line, error)
                         : add_slopes (self, numbers, line, error)))
        return FALSE;
      self->n_weighted++;
    }
  else if (!g_strv_contains (weightless, kind))
    {
      g_autofree char *shown = atl_format_excerpt (kind, strlen (kind));

      return atl_format_fail (
          error, ATL_ERROR_UNSUPPORTED,
          _ ("%s has a layer of the kind “%s”; only enlargers of the ESRGAN family can be used"),
          self->file, shown);
    }
  rest = g_strjoinv (" ", params);
  g_ptr_array_add (self->layers, g_strconcat (kind, *rest != '\0' ? " " : "", rest, NULL));
  return TRUE;
}

static gboolean
read_layers (Reader *self, char **lines, GError **error)
{
  AtlMetaValue value = { .type = ATL_META_ARRAY, .v_array.elem_type = ATL_META_STRING };
  guint64 n_layers = 0;
  char *end;

  /* No map is empty, so that there is a first line. */
  if (lines[1] != NULL)
    n_layers = g_ascii_strtoull (lines[1], &end, 10);
  if (n_layers < 1 || n_layers > MAX_LAYERS)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE, _ ("%s does not say how many layers it has"),
                            self->file);
  lines += 2;
  for (guint64 i = 0; i < n_layers; i++)
    {
      if (lines[i] == NULL || *g_strstrip (lines[i]) == '\0')
        return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                                _ ("%s ends before its last layer; its download was not finished"),
                                self->file);
      if (strlen (lines[i]) > MAX_LINE_BYTES)
        return bad_line (self, lines[i], error);
      if (!read_layer (self, lines[i], error))
        return FALSE;
    }
  if (self->bin != self->bin_end)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s does not belong to %s: %zu of its bytes are of no layer"),
                            self->bin_file, self->file, (gsize) (self->bin_end - self->bin));
  value.v_array.n = self->layers->len;
  value.v_array.elems = self->layers->pdata;
  return atl_checkpoint_add_meta (self->cp, "ncnn.layers", &value, error);
}

AtlCheckpoint *
atl_ncnn_open (AtlFileMap *param, AtlFileMap *bin, GError **error)
{
  const char *text = (const char *) atl_file_map_data (param);
  gsize size = atl_file_map_size (param);
  g_auto (Reader) self = { .file = atl_file_map_name (param),
                           .bin_file = atl_file_map_name (bin),
                           .bin = atl_file_map_data (bin) };
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_autofree char *copy = NULL;
  g_auto (GStrv) lines = NULL;

  self.layers = g_ptr_array_new_with_free_func (g_free);
  self.bin_end = self.bin + atl_file_map_size (bin);
  if (size > MAX_PARAM_BYTES || !g_utf8_validate_len (text, size, NULL))
    {
      atl_format_fail (error, ATL_ERROR_BAD_FILE, _ ("%s does not say how many layers it has"),
                       self.file);
      return NULL;
    }
  cp = atl_checkpoint_new (self.file);
  self.cp = cp;
  atl_checkpoint_add_map (cp, param);
  atl_checkpoint_add_map (cp, bin);
  copy = g_strndup (text, size);
  lines = g_strsplit (copy, "\n", MAX_LAYERS + 3);
  return read_layers (&self, lines, error) ? g_steal_pointer (&cp) : NULL;
}
