/* LoRA, LoHa and LoKr deltas, merged in float32. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/blocks/lora.h"

#include <string.h>

#include "engine/tensor/array.h"
#include "engine/tensor/quants/dequant.h"

/* A tensor of a LoRA file seen as a matrix [rows, cols]. */
typedef struct
{
  float *data; /* (owned) */
  gint64 rows, cols;
} Matrix;

static void
matrix_clear (Matrix *m)
{
  g_clear_pointer (&m->data, g_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Matrix, matrix_clear)

/* The file's spellings of a module's prefix. */
static const AtlTensorInfo *
find (const AtlSource *s, AtlCheckpoint *cp, const char *module, const char *suffix)
{
  static const char *const unet[] = { "unet.", "base_model.model.", "", NULL };
  static const char *const te[] = { "text_encoder.", "te.", NULL };
  static const char *const transformer[] = { "transformer.", "diffusion_model.", "", NULL };
  const char *const *prefixes = g_str_equal (s->lora_prefix, "unet")      ? unet
                                : g_str_has_prefix (s->lora_prefix, "te") ? te
                                                                          : transformer;
  g_autofree char *flat = g_strdelimit (g_strdup (module), ".", '_');
  g_autofree char *kohya =
      g_strconcat ("lora_", g_str_equal (s->lora_prefix, "transformer") ? "unet" : s->lora_prefix,
                   "_", flat, suffix, NULL);
  const AtlTensorInfo *info = atl_checkpoint_find (cp, kohya);

  for (guint i = 0; info == NULL && prefixes[i] != NULL; i++)
    {
      g_autofree char *name = g_strconcat (prefixes[i], module, suffix, NULL);
      info = atl_checkpoint_find (cp, name);
    }
  return info;
}

static gboolean
read_matrix (
    const AtlSource *s, AtlCheckpoint *cp, const char *module, const char *suffix, Matrix *out)
{
  const AtlTensorInfo *info = find (s, cp, module, suffix);
  gint64 n = 1;

  if (info == NULL || info->n_dims < 2)
    return FALSE;
  for (guint i = 0; i < info->n_dims; i++)
    n *= info->dim[i];
  if (n < 1 || info->dim[0] < 1)
    return FALSE;
  out->rows = info->dim[0];
  out->cols = n / info->dim[0];
  out->data = g_new (float, n);
  if (!atl_dequantize (info->dtype, info->data, out->data, (gsize) n))
    {
      matrix_clear (out);
      return FALSE;
    }
  return TRUE;
}

/* out [a.rows, b.cols] = a . b; FALSE if they do not fit. */
static gboolean
product (const Matrix *a, const Matrix *b, Matrix *out)
{
  if (a->cols != b->rows)
    return FALSE;
  out->rows = a->rows;
  out->cols = b->cols;
  out->data = g_new0 (float, a->rows * b->cols);
  for (gint64 i = 0; i < a->rows; i++)
    for (gint64 k = 0; k < a->cols; k++)
      {
        float x = a->data[i * a->cols + k];
        for (gint64 j = 0; j < b->cols; j++)
          out->data[i * b->cols + j] += x * b->data[k * b->cols + j];
      }
  return TRUE;
}

static float
alpha_factor (const AtlSource *s, AtlCheckpoint *cp, const char *module, gint64 rank)
{
  const AtlTensorInfo *info = find (s, cp, module, ".alpha");
  float alpha;

  if (info == NULL || !atl_dequantize (info->dtype, info->data, &alpha, 1))
    return 1.0f;
  return alpha / (float) MAX (rank, 1);
}

/* up . down in one of its spellings. */
static gboolean
low_rank (const AtlSource *s,
          AtlCheckpoint *cp,
          const char *module,
          gboolean *bad,
          Matrix *delta,
          float *factor)
{
  static const char *const pairs[][2] = {
    { ".lora_down.weight", ".lora_up.weight" },
    { ".lora_A.weight", ".lora_B.weight" },
    { ".lora.down.weight", ".lora.up.weight" },
    { ".lora_A.default.weight", ".lora_B.default.weight" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (pairs); i++)
    {
      g_auto (Matrix) down = { 0 }, up = { 0 };

      if (!read_matrix (s, cp, module, pairs[i][0], &down))
        continue;
      if (!read_matrix (s, cp, module, pairs[i][1], &up) || !product (&up, &down, delta))
        *bad = TRUE;
      *factor = alpha_factor (s, cp, module, down.rows);
      return !*bad;
    }
  return FALSE;
}

static gboolean
hadamard (const AtlSource *s,
          AtlCheckpoint *cp,
          const char *module,
          gboolean *bad,
          Matrix *delta,
          float *factor)
{
  g_auto (Matrix) a1 = { 0 }, b1 = { 0 }, a2 = { 0 }, b2 = { 0 }, second = { 0 };

  if (!read_matrix (s, cp, module, ".hada_w1_a", &a1))
    return FALSE;
  if (!read_matrix (s, cp, module, ".hada_w1_b", &b1) ||
      !read_matrix (s, cp, module, ".hada_w2_a", &a2) ||
      !read_matrix (s, cp, module, ".hada_w2_b", &b2) || !product (&a1, &b1, delta) ||
      !product (&a2, &b2, &second) || delta->rows != second.rows || delta->cols != second.cols)
    {
      *bad = TRUE;
      return FALSE;
    }
  for (gint64 i = 0; i < delta->rows * delta->cols; i++)
    delta->data[i] *= second.data[i];
  *factor = alpha_factor (s, cp, module, b1.rows);
  return TRUE;
}

static gboolean
kronecker_part (const AtlSource *s,
                AtlCheckpoint *cp,
                const char *module,
                const char *name,
                Matrix *out,
                gint64 *rank)
{
  g_autofree char *whole = g_strconcat (".", name, NULL);
  g_autofree char *first = g_strconcat (".", name, "_a", NULL);
  g_autofree char *second = g_strconcat (".", name, "_b", NULL);
  g_auto (Matrix) a = { 0 }, b = { 0 };

  if (read_matrix (s, cp, module, whole, out))
    return TRUE;
  if (!read_matrix (s, cp, module, first, &a) || !read_matrix (s, cp, module, second, &b) ||
      !product (&a, &b, out))
    return FALSE;
  *rank = b.rows;
  return TRUE;
}

static gboolean
kronecker (const AtlSource *s,
           AtlCheckpoint *cp,
           const char *module,
           gboolean *bad,
           Matrix *delta,
           float *factor)
{
  g_auto (Matrix) w1 = { 0 }, w2 = { 0 };
  gint64 rank = 0;

  if (!kronecker_part (s, cp, module, "lokr_w1", &w1, &rank))
    return FALSE;
  if (!kronecker_part (s, cp, module, "lokr_w2", &w2, &rank))
    {
      *bad = TRUE;
      return FALSE;
    }
  delta->rows = w1.rows * w2.rows;
  delta->cols = w1.cols * w2.cols;
  delta->data = g_new (float, delta->rows * delta->cols);
  for (gint64 i = 0; i < delta->rows; i++)
    for (gint64 j = 0; j < delta->cols; j++)
      delta->data[i * delta->cols + j] = w1.data[i / w2.rows * w1.cols + j / w2.cols] *
                                         w2.data[i % w2.rows * w2.cols + j % w2.cols];
  /* Both factors whole: alpha has nothing to scale. */
  *factor = rank > 0 ? alpha_factor (s, cp, module, rank) : 1.0f;
  return TRUE;
}

void
atl_lora_merge (AtlSource *source, AtlWeight *weight, const char *module)
{
  gint64 n = 1;
  float *merged = NULL;

  for (guint i = 0; i < weight->n_dims; i++)
    n *= weight->dim[i];

  for (guint i = 0; i < source->n_loras; i++)
    {
      AtlCheckpoint *cp = source->loras[i].cp;
      g_auto (Matrix) delta = { 0 };
      gboolean bad = FALSE;
      float factor = 1.0f;

      if (!low_rank (source, cp, module, &bad, &delta, &factor) && !bad &&
          !hadamard (source, cp, module, &bad, &delta, &factor) && !bad)
        kronecker (source, cp, module, &bad, &delta, &factor);
      if (!bad && delta.data == NULL)
        continue;
      if (bad || delta.rows != weight->dim[0] || delta.rows * delta.cols != n)
        {
          atl_weights_fail (source->weights,
                            "%s does not fit this model: its change of “%s” has another shape",
                            atl_checkpoint_name (cp), module);
          g_free (merged);
          return;
        }
      if (merged == NULL)
        {
          merged = g_new (float, n);
          atl_dequantize (weight->dtype, weight->data, merged, (gsize) n);
          for (gint64 k = 0; k < n; k++)
            merged[k] *= weight->scale;
        }
      factor *= source->loras[i].scale;
      for (gint64 k = 0; k < n; k++)
        merged[k] += factor * delta.data[k];
    }
  if (merged == NULL)
    return;

  source->n_merged++;
  g_clear_pointer (&weight->bytes, g_bytes_unref);
  weight->bytes = g_bytes_new_take (merged, (gsize) n * sizeof (float));
  weight->data = (const guint8 *) merged;
  weight->size_bytes = (gsize) n * sizeof (float);
  weight->dtype = ATL_DTYPE_F32;
  weight->scale = 1.0f;
}

void
atl_source_apply_fp8_scale (AtlSource *source, AtlWeight *weight, const char *name)
{
  static const char *const suffixes[] = { ".scale_weight", ".weight_scale" };
  AtlCheckpoint *cp = atl_weights_checkpoint (source->weights);
  g_autofree char *layer = NULL;

  if ((weight->dtype != ATL_DTYPE_F8_E4M3 && weight->dtype != ATL_DTYPE_F8_E5M2) ||
      !g_str_has_suffix (name, ".weight"))
    return;
  layer = g_strndup (name, strlen (name) - strlen (".weight"));
  for (gsize i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *key = g_strconcat (layer, suffixes[i], NULL);
      const AtlTensorInfo *info = atl_checkpoint_find (cp, key);
      float scale;

      if (info == NULL)
        continue;
      if (info->size_bytes != atl_dtype_info (info->dtype)->block_bytes ||
          !atl_dequantize (info->dtype, info->data, &scale, 1))
        {
          atl_weights_fail (source->weights, "%s: “%s” should be one number",
                            atl_checkpoint_name (cp), key);
          return;
        }
      weight->scale = scale;
    }
}
