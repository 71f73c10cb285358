/* Published weights as rows: plain floats and MXFP4; scaled fp8 is in hf-fp8.c, packed integers in
 * hf-packed.c. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf-source.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

/* --- quantization_config --- */

static guint
get_uint (const AtlCheckpoint *hf, const char *name, guint fallback)
{
  static const char *const roots[] = { "quantization_config.", "text_config.quantization_config.",
                                       "compression_config." };
  guint64 value;

  for (guint i = 0; i < G_N_ELEMENTS (roots); i++)
    {
      g_autofree char *key = g_strconcat (roots[i], name, NULL);

      if (atl_checkpoint_get_uint (hf, key, 0, 1 << 20, &value, NULL))
        return (guint) value;
    }
  return fallback;
}

static const char *
get_string (const AtlCheckpoint *hf, const char *name)
{
  g_autofree char *key = g_strconcat ("quantization_config.", name, NULL);
  g_autofree char *inner = g_strconcat ("text_config.", key, NULL);
  const char *text = atl_checkpoint_get_string (hf, key);

  return text != NULL ? text : atl_checkpoint_get_string (hf, inner);
}

/* compressed-tensors keeps a list of settings, each for some of the modules; which ones, the shapes
 * of their tensors say. */
#define GROUP_KEY "quantization_config.config_groups.group_%u.weights.%s"

static const AtlMetaValue *
find_block (const AtlCheckpoint *hf)
{
  const AtlMetaValue *value = atl_checkpoint_meta (hf, "quantization_config.weight_block_size");

  for (guint i = 0; value == NULL && i < ATL_HF_MAX_GROUPS; i++)
    {
      g_autofree char *key = g_strdup_printf (GROUP_KEY, i, "block_structure");

      value = atl_checkpoint_meta (hf, key);
    }
  return value;
}

static void
read_group_sizes (AtlHfQuant *quant, const AtlCheckpoint *hf)
{
  for (guint i = 0; i < ATL_HF_MAX_GROUPS; i++)
    {
      g_autofree char *key = g_strdup_printf (GROUP_KEY, i, "group_size");
      guint64 size;

      if (atl_checkpoint_get_uint (hf, key, 1, 1 << 20, &size, NULL))
        quant->group_sizes[i] = (guint) size;
    }
}

/* GPTQ says "sym", AWQ "zero_point", compressed-tensors of each group of modules whether. */
static gboolean
is_symmetric (const AtlCheckpoint *hf)
{
  static const struct
  {
    const char *key;
    gboolean value; /* that means no */
  } keys[] = {
    { "quantization_config.sym", FALSE },
    { "quantization_config.zero_point", TRUE },
    { "quantization_config.config_groups.group_0.weights.symmetric", FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      const AtlMetaValue *value = atl_checkpoint_meta (hf, keys[i].key);

      if (value != NULL && value->type == ATL_META_BOOL && value->v_bool == keys[i].value)
        return FALSE;
    }
  return TRUE;
}

static gboolean
is_kind (const AtlMetaValue *value, AtlMetaType kind)
{
  switch (kind)
    {
    case ATL_META_ARRAY:
      return value->type == ATL_META_ARRAY && value->v_array.elem_type == ATL_META_INT;
    case ATL_META_FLOAT:
      return value->type == ATL_META_INT || value->type == ATL_META_UINT ||
             (value->type == ATL_META_FLOAT && isfinite (value->v_float));
    default:
      return value->type == kind;
    }
}

/* What is there has to be of its kind: a default in its place would make other weights. */
static gboolean
check_kinds (const AtlCheckpoint *hf, GError **error)
{
  static const struct
  {
    const char *key;
    AtlMetaType kind;
  } keys[] = {
    { "quant_method", ATL_META_STRING },
    { "checkpoint_format", ATL_META_STRING },
    { "version", ATL_META_STRING },
    { "bits", ATL_META_FLOAT },
    { "w_bit", ATL_META_FLOAT },
    { "group_size", ATL_META_FLOAT },
    { "q_group_size", ATL_META_FLOAT },
    { "desc_act", ATL_META_BOOL },
    { "sym", ATL_META_BOOL },
    { "zero_point", ATL_META_BOOL },
    { "weight_block_size", ATL_META_ARRAY },
  };
  static const char *const roots[] = { "quantization_config.", "text_config.quantization_config." };

  for (guint i = 0; i < G_N_ELEMENTS (keys) * G_N_ELEMENTS (roots); i++)
    {
      g_autofree char *key =
          g_strconcat (roots[i % G_N_ELEMENTS (roots)], keys[i / G_N_ELEMENTS (roots)].key, NULL);
      const AtlMetaValue *value = atl_checkpoint_meta (hf, key);

      if (value == NULL || is_kind (value, keys[i / G_N_ELEMENTS (roots)].kind))
        continue;
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("%s: the setting “%s” has no value that makes sense"),
                   atl_checkpoint_name (hf), key);
      return FALSE;
    }
  return TRUE;
}

gboolean
atl_hf_quant_read (AtlHfQuant *quant, const AtlCheckpoint *hf, GError **error)
{
  static const char *const known[] = { "gptq",  "awq",      "fp8", "compressed-tensors",
                                       "mxfp4", "modelopt", "exl2" };
  const char *method = get_string (hf, "quant_method");
  const char *form = get_string (hf, "checkpoint_format");
  const char *version = get_string (hf, "version");
  const AtlMetaValue *block = find_block (hf);
  gboolean is_known = method == NULL;

  /* Old GPTQ folders keep quantize_config.json, which has no method. */
  *quant = (AtlHfQuant){ .method = method, .block = { 128, 128 } };
  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    is_known |= g_strcmp0 (method, known[i]) == 0;
  if (!is_known)
    {
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
          _ ("%s: its weights are quantised as “%s”, which is not known here; GPTQ, AWQ, EXL2, "
             "FP8, compressed-tensors and MXFP4 are, and so is the same model without "
             "quantisation"),
          atl_checkpoint_name (hf), method);
      return FALSE;
    }
  if (g_strcmp0 (method, "awq") == 0 && version != NULL &&
      g_ascii_strcasecmp (version, "gemm") != 0)
    {
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
          _ ("%s: its weights are packed in the AWQ form “%s”; the form “gemm” is known here"),
          atl_checkpoint_name (hf), version);
      return FALSE;
    }
  quant->bits = get_uint (hf, "bits", get_uint (hf, "w_bit", 4));
  /* A negative size, which is one group for all inputs, is no unsigned number and stays 0. */
  quant->group_size = get_uint (hf, "group_size", get_uint (hf, "q_group_size", 0));
  quant->zero_offset = g_strcmp0 (form, "gptq_v2") == 0 ? 0 : 1;
  if (block != NULL && block->type == ATL_META_ARRAY && block->v_array.n == 2 &&
      block->v_array.elem_type == ATL_META_INT)
    for (guint i = 0; i < 2; i++)
      quant->block[i] = (guint) CLAMP (((const gint64 *) block->v_array.elems)[i], 1, 1 << 20);
  read_group_sizes (quant, hf);
  quant->symmetric = is_symmetric (hf);
  atl_checkpoint_get_bool (hf, "quantization_config.desc_act", &quant->ordered, NULL);
  return check_kinds (hf, error);
}

char *
atl_hf_quant_words (const AtlHfQuant *quant)
{
  const char *method = quant->method;

  if (g_strcmp0 (method, "gptq") == 0 || g_strcmp0 (method, "awq") == 0)
    {
      g_autofree char *upper = g_ascii_strup (method, -1);
      return g_strdup_printf (_ ("%s, %u bits"), upper, quant->bits);
    }
  if (g_strcmp0 (method, "fp8") == 0 || g_strcmp0 (method, "exl2") == 0)
    return g_ascii_strup (method, -1);
  return g_strcmp0 (method, "mxfp4") != 0 ? g_strdup (method) : NULL;
}

/* --- MXFP4 --- */

/* In the file each byte holds neighbours, here the halves of a block. */
static void
mx_rows (const AtlHfSource *self, gint64 first, gint64 stride, gint64 n, guint8 *out)
{
  gint64 n_blocks = self->dim[self->n_dims - 1] / 32;

  for (gint64 i = 0; i < n * n_blocks; i++, out += 17)
    {
      gint64 b = (first + i / n_blocks * stride) * n_blocks + i % n_blocks;
      const guint8 *codes = self->part[ATL_HF_MX_BLOCKS]->data + 16 * b;

      out[0] = self->part[ATL_HF_MX_SCALES]->data[b];
      for (guint j = 0; j < 16; j++)
        {
          guint8 low = codes[j / 2] >> (j % 2 * 4) & 15;
          guint8 high = codes[8 + j / 2] >> (j % 2 * 4) & 15;

          out[1 + j] = (guint8) (low | high << 4);
        }
    }
}

static gboolean
init_mx (AtlHfSource *self, const char *name, GError **error)
{
  const AtlTensorInfo *blocks = self->part[ATL_HF_MX_BLOCKS],
                      *scales = self->part[ATL_HF_MX_SCALES];
  guint n = blocks->n_dims;

  if (scales == NULL || blocks->dtype != ATL_DTYPE_U8 || scales->dtype != ATL_DTYPE_U8 || n < 3 ||
      blocks->dim[n - 1] != 16 || scales->n_dims != n - 1 ||
      memcmp (blocks->dim, scales->dim, (n - 1) * sizeof *blocks->dim) != 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("The scales of the MXFP4 tensor “%s” do not fit its blocks"), name);
      return FALSE;
    }
  self->n_dims = n - 1;
  memcpy (self->dim, blocks->dim, (n - 1) * sizeof *self->dim);
  self->dim[n - 2] *= 32;
  self->dtype = ATL_DTYPE_MXFP4;
  self->rows = mx_rows;
  return TRUE;
}

/* --- All --- */

static gboolean
init_plain (AtlHfSource *self, const char *name, GError **error)
{
  const AtlTensorInfo *info = self->part[ATL_HF_WEIGHT];

  self->n_dims = info->n_dims;
  memcpy (self->dim, info->dim, sizeof self->dim);
  self->dtype = info->dtype;
  self->plain = info->data;
  switch (info->dtype)
    {
    case ATL_DTYPE_F32:
    case ATL_DTYPE_F16:
    case ATL_DTYPE_BF16:
      return TRUE;
    case ATL_DTYPE_F8_E4M3:
    case ATL_DTYPE_F8_E5M2:
      self->n_rows = atl_tensor_info_n_rows (info);
      if (info->size_bytes > 0 && self->n_dims >= 1 &&
          (self->part[ATL_HF_SCALE_INV] != NULL || self->part[ATL_HF_SCALE] != NULL))
        return atl_hf_fp8_init (self, name, error);
      if (self->quant.method == NULL)
        return TRUE;
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_BAD_FILE,
          _ ("The scales of the fp8 tensor “%s” (“%s_scale_inv” or “%s_scale”) are missing"),
          info->name, info->name, info->name);
      return FALSE;
    case ATL_DTYPE_I8:
      if (self->n_dims == 2 && self->part[ATL_HF_SCALE] != NULL)
        return atl_hf_packed_init (self, name, error);
      G_GNUC_FALLTHROUGH;
    default:
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("The tensor “%s” has the type %s, which is not known for weights here"),
                   info->name, atl_dtype_name (info->dtype));
      return FALSE;
    }
}

/* What the scales that are there belong to. */
static const char *
missing_weight (const AtlTensorInfo *const *parts)
{
  if (parts[ATL_HF_SCALES] != NULL || parts[ATL_HF_QZEROS] != NULL || parts[ATL_HF_G_IDX] != NULL)
    return ".qweight";
  if (parts[ATL_HF_PACKED_ZERO] != NULL || parts[ATL_HF_PACKED_SHAPE] != NULL)
    return ".weight_packed";
  if (parts[ATL_HF_EXL_SCALE] != NULL || parts[ATL_HF_EXL_GROUPS] != NULL)
    return ".q_weight";
  return parts[ATL_HF_MX_SCALES] != NULL ? "_blocks" : ".weight";
}

AtlHfSource *
atl_hf_source_new (const char *name,
                   const AtlTensorInfo *const *parts,
                   const AtlHfQuant *quant,
                   GError **error)
{
  AtlHfSource *self = g_new0 (AtlHfSource, 1);
  gboolean ok;

  memcpy (self->part, parts, sizeof self->part);
  self->quant = *quant;
  if (parts[ATL_HF_QWEIGHT] != NULL || parts[ATL_HF_PACKED] != NULL)
    ok = atl_hf_packed_init (self, name, error);
  else if (parts[ATL_HF_EXL_WEIGHT] != NULL)
    ok = atl_hf_exl2_init (self, name, error);
  else if (parts[ATL_HF_MX_BLOCKS] != NULL)
    ok = init_mx (self, name, error);
  else if (parts[ATL_HF_WEIGHT] != NULL)
    ok = init_plain (self, name, error);
  else
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("The tensor “%s%s” is missing, and its scales are there"), name,
                   missing_weight (parts));
      ok = FALSE;
    }
  if (!ok)
    {
      atl_hf_source_free (self);
      return NULL;
    }
  atl_hf_source_set_dtype (self, self->dtype);
  return self;
}

/* Along the file's rows, so that each part of it is met once a stretch. */
static void
turned_rows (const AtlHfSource *self, gint64 first, gint64 stride, gint64 n, guint8 *out)
{
  const guint8 *data = self->part[ATL_HF_WEIGHT]->data;
  const gsize size = atl_dtype_info (self->dtype)->block_bytes;
  const gint64 n_out = self->dim[self->n_dims - 2], n_in = self->dim[self->n_dims - 1];

  while (n > 0)
    {
      gint64 expert = first / n_out, o = first % n_out;
      gint64 count = stride > 0 ? MIN (n, (n_out - o + stride - 1) / stride) : n;

      for (gint64 i = 0; i < n_in; i++)
        {
          const guint8 *from = data + (gsize) ((expert * n_in + i) * n_out + o) * size;
          guint8 *to = out + (gsize) i * size;

          for (gint64 k = 0; k < count; k++)
            memcpy (to + (gsize) k * self->row_bytes, from + (gsize) (k * stride) * size, size);
        }
      out += (gsize) count * self->row_bytes;
      first += count * stride;
      n -= count;
    }
}

gboolean
atl_hf_source_turn (AtlHfSource *self)
{
  gint64 n_in;

  if (self->plain == NULL || self->n_dims != 3 || atl_dtype_info (self->dtype)->block_elems != 1)
    return FALSE;
  n_in = self->dim[1];
  self->dim[1] = self->dim[2];
  self->dim[2] = n_in;
  self->plain = NULL;
  self->rows = turned_rows;
  atl_hf_source_set_dtype (self, self->dtype);
  return TRUE;
}

void
atl_hf_source_flatten (AtlHfSource *self)
{
  gint64 n = 1;

  for (guint i = 0; i < self->n_dims; i++)
    n *= self->dim[i];
  self->n_dims = 2;
  self->dim[0] = n;
  self->dim[1] = 1;
  atl_hf_source_set_dtype (self, self->dtype);
}

void
atl_hf_source_set_dtype (AtlHfSource *self, AtlDType dtype)
{
  guint64 bytes = 0;
  gint64 n_in = self->n_dims > 0 ? self->dim[self->n_dims - 1] : 1;
  gboolean ok = atl_dtype_row_bytes (dtype, (guint64) n_in, &bytes);

  g_assert (ok);
  self->dtype = dtype;
  self->row_bytes = (gsize) bytes;
  self->n_rows = 1;
  for (guint i = 0; i + 1 < self->n_dims; i++)
    self->n_rows *= self->dim[i];
}

void
atl_hf_source_free (AtlHfSource *self)
{
  if (self == NULL)
    return;
  g_free (self->group_of);
  g_free (self->order);
  atl_hf_streams_free (self->streams);
  g_free (self);
}
