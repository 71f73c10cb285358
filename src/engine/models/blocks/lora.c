/* LoRA as thin products beside weights; LoHa, LoKr and odd ones merged in float32. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/blocks/lora.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/checked.h"
#include "base/json-bounded.h"
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

static const AtlTensorInfo *
find_kohya (AtlCheckpoint *cp, const char *part, const char *module, const char *suffix)
{
  g_autofree char *flat = g_strdelimit (g_strdup (module), ".", '_');
  g_autofree char *name = g_strconcat ("lora_", part, "_", flat, suffix, NULL);

  return atl_checkpoint_find (cp, name);
}

static const AtlTensorInfo *
find_dotted (AtlCheckpoint *cp, const char *const *prefixes, const char *module, const char *suffix)
{
  const AtlTensorInfo *info = NULL;

  for (guint i = 0; info == NULL && prefixes[i] != NULL; i++)
    {
      g_autofree char *name = g_strconcat (prefixes[i], module, suffix, NULL);
      info = atl_checkpoint_find (cp, name);
    }
  return info;
}

/* The module's name in another scheme; NULL if it has none. */
static char *
map_module (const AtlSource *s, guint which, const char *module)
{
  g_autofree char *canonical = g_strconcat (module, ".weight", NULL);
  char *mapped = s->lora_maps[which](s, canonical);

  if (mapped == NULL || !g_str_has_suffix (mapped, ".weight"))
    {
      g_free (mapped);
      return NULL;
    }
  mapped[strlen (mapped) - strlen (".weight")] = '\0';
  return mapped;
}

/* The file's spellings of a module. */
static const AtlTensorInfo *
find (const AtlSource *s, AtlCheckpoint *cp, const char *module, const char *suffix)
{
  static const char *const unet[] = { "unet.", "base_model.model.", "", NULL };
  static const char *const te[] = { "text_encoder.", "te.", NULL };
  static const char *const te2[] = { "text_encoder_2.", NULL };
  static const char *const transformer[] = { "transformer.", "diffusion_model.",
                                             "base_model.model.", "", NULL };
  const char *const *prefixes = g_str_equal (s->lora_prefix, "unet")      ? unet
                                : g_str_equal (s->lora_prefix, "te2")     ? te2
                                : g_str_has_prefix (s->lora_prefix, "te") ? te
                                                                          : transformer;
  const char *part = g_str_equal (s->lora_prefix, "transformer") ? "unet" : s->lora_prefix;
  const AtlTensorInfo *info = find_kohya (cp, part, module, suffix);

  if (info == NULL && part != s->lora_prefix)
    info = find_kohya (cp, s->lora_prefix, module, suffix);
  if (info == NULL)
    info = find_dotted (cp, prefixes, module, suffix);
  for (guint i = 0; info == NULL && i < G_N_ELEMENTS (s->lora_maps) && s->lora_maps[i]; i++)
    {
      g_autofree char *mapped = map_module (s, i, module);

      if (mapped != NULL)
        info = find_kohya (cp, part, mapped, suffix);
      if (mapped != NULL && info == NULL)
        info = find_dotted (cp, prefixes, mapped, suffix);
    }
  return info;
}

/* `limit` is the number of elements of the weight: no factor of an honest change has many more, and
 * nothing larger is allocated. FALSE when the tensor is absent, or unusable: `*bad` is then set. */
static gboolean
read_matrix (const AtlSource *s,
             AtlCheckpoint *cp,
             const char *module,
             const char *suffix,
             gint64 limit,
             gboolean *bad,
             Matrix *out)
{
  const AtlTensorInfo *info = find (s, cp, module, suffix);
  guint64 n;

  if (info == NULL)
    return FALSE;
  if (info->n_dims < 2 || !atl_checked_product (info->dim, info->n_dims, &n) ||
      n > 4 * (guint64) limit)
    {
      *bad = TRUE;
      return FALSE;
    }
  out->rows = info->dim[0];
  out->cols = (gint64) n / info->dim[0];
  out->data = g_new (float, n);
  if (!atl_dequantize (info->dtype, info->data, out->data, n))
    {
      matrix_clear (out);
      *bad = TRUE;
      return FALSE;
    }
  return TRUE;
}

/* out [a.rows, b.cols] = a . b; FALSE if they do not fit or are larger than `limit`. */
static gboolean
product (const Matrix *a, const Matrix *b, gint64 limit, Matrix *out)
{
  if (a->cols != b->rows || a->rows > limit / b->cols)
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

/* peft's patterns match a module's name or its end behind a dot. */
static double
pattern_value (JsonObject *patterns, const char *module, double fallback)
{
  g_autoptr (GList) keys = patterns != NULL ? json_object_get_members (patterns) : NULL;

  for (GList *l = keys; l != NULL; l = l->next)
    {
      g_autofree char *end = g_strconcat (".", (char *) l->data, NULL);

      if (g_str_equal (module, l->data) || g_str_has_suffix (module, end))
        return atl_json_double (patterns, l->data, fallback);
    }
  return fallback;
}

/* What the header's "lora_adapter_metadata" says; 1 without it. */
static float
metadata_factor (AtlCheckpoint *cp, const char *module, gint64 rank)
{
  const char *text = atl_checkpoint_get_string (cp, "__metadata__.lora_adapter_metadata");
  g_autoptr (JsonNode) node =
      text != NULL ? atl_json_parse (text, strlen (text), "lora_adapter_metadata", NULL) : NULL;
  JsonObject *all =
      node != NULL && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  double alpha;

  if (all == NULL || !json_object_has_member (all, "transformer.lora_alpha"))
    return 1.0f;
  alpha = pattern_value (atl_json_object (all, "transformer.alpha_pattern"), module,
                         atl_json_double (all, "transformer.lora_alpha", (double) rank));
  return (float) (alpha / (double) MAX (rank, 1));
}

static float
alpha_factor (const AtlSource *s, AtlCheckpoint *cp, const char *module, gint64 rank)
{
  const AtlTensorInfo *info = find (s, cp, module, ".alpha");
  float alpha;

  if (info == NULL)
    return metadata_factor (cp, module, rank);
  if (atl_dtype_info (info->dtype)->block_elems != 1 ||
      info->size_bytes != atl_dtype_info (info->dtype)->block_bytes ||
      !atl_dequantize (info->dtype, info->data, &alpha, 1))
    return 1.0f;
  return alpha / (float) MAX (rank, 1);
}

static const char *const pairs[][2] = {
  { ".lora_down.weight", ".lora_up.weight" },
  { ".lora_A.weight", ".lora_B.weight" },
  { ".lora.down.weight", ".lora.up.weight" },
  { ".lora_A.default.weight", ".lora_B.default.weight" },
  { ".down.weight", ".up.weight" },
};

/* up . down in one of its spellings. */
static gboolean
low_rank (const AtlSource *s,
          AtlCheckpoint *cp,
          const char *module,
          gint64 limit,
          gboolean *bad,
          Matrix *delta,
          float *factor)
{
  for (gsize i = 0; i < G_N_ELEMENTS (pairs); i++)
    {
      g_auto (Matrix) down = { 0 }, up = { 0 };

      if (!read_matrix (s, cp, module, pairs[i][0], limit, bad, &down))
        {
          if (*bad)
            return FALSE;
          continue;
        }
      if (!read_matrix (s, cp, module, pairs[i][1], limit, bad, &up) ||
          !product (&up, &down, limit, delta))
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
          gint64 limit,
          gboolean *bad,
          Matrix *delta,
          float *factor)
{
  g_auto (Matrix) a1 = { 0 }, b1 = { 0 }, a2 = { 0 }, b2 = { 0 }, second = { 0 };

  if (!read_matrix (s, cp, module, ".hada_w1_a", limit, bad, &a1))
    return FALSE;
  if (!read_matrix (s, cp, module, ".hada_w1_b", limit, bad, &b1) ||
      !read_matrix (s, cp, module, ".hada_w2_a", limit, bad, &a2) ||
      !read_matrix (s, cp, module, ".hada_w2_b", limit, bad, &b2) ||
      !product (&a1, &b1, limit, delta) || !product (&a2, &b2, limit, &second) ||
      delta->rows != second.rows || delta->cols != second.cols)
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
                gint64 limit,
                gboolean *bad,
                Matrix *out,
                gint64 *rank)
{
  g_autofree char *whole = g_strconcat (".", name, NULL);
  g_autofree char *first = g_strconcat (".", name, "_a", NULL);
  g_autofree char *second = g_strconcat (".", name, "_b", NULL);
  g_auto (Matrix) a = { 0 }, b = { 0 };

  if (read_matrix (s, cp, module, whole, limit, bad, out))
    return TRUE;
  if (*bad || !read_matrix (s, cp, module, first, limit, bad, &a))
    return FALSE;
  if (!read_matrix (s, cp, module, second, limit, bad, &b) || !product (&a, &b, limit, out))
    {
      *bad = TRUE;
      return FALSE;
    }
  *rank = b.rows;
  return TRUE;
}

static gboolean
kronecker (const AtlSource *s,
           AtlCheckpoint *cp,
           const char *module,
           gint64 limit,
           gboolean *bad,
           Matrix *delta,
           float *factor)
{
  g_auto (Matrix) w1 = { 0 }, w2 = { 0 };
  gint64 rank = 0;
  guint64 n1, n2, n;

  if (!kronecker_part (s, cp, module, "lokr_w1", limit, bad, &w1, &rank))
    return FALSE;
  n1 = (guint64) w1.rows * (guint64) w1.cols;
  if (!kronecker_part (s, cp, module, "lokr_w2", limit, bad, &w2, &rank))
    {
      *bad = TRUE;
      return FALSE;
    }
  n2 = (guint64) w2.rows * (guint64) w2.cols;
  if (!atl_checked_mul (n1, n2, &n) || n > (guint64) limit)
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

/* --- Thin products --- */

static gboolean
is_float (const AtlTensorInfo *info)
{
  return info->data != NULL && (info->dtype == ATL_DTYPE_F32 || info->dtype == ATL_DTYPE_F16 ||
                                info->dtype == ATL_DTYPE_BF16);
}

/* Whether the second of two shapes is the first's but for how many rows it has, and ones behind. */
static gboolean
has_rows_of (const AtlWeight *weight, const AtlTensorInfo *info)
{
  for (guint i = 1; i < MAX (weight->n_dims, info->n_dims); i++)
    if ((i < weight->n_dims ? weight->dim[i] : 1) != (i < info->n_dims ? info->dim[i] : 1))
      return FALSE;
  return TRUE;
}

/* [total, rank], with ones behind. */
static gboolean
is_matrix (const AtlTensorInfo *info, gint64 total, gint64 rank)
{
  for (guint i = 2; i < info->n_dims; i++)
    if (info->dim[i] != 1)
      return FALSE;
  return info->n_dims >= 2 && info->dim[0] == total && info->dim[1] == rank;
}

/* `n` rows of a LoRA's tensor from `first` on. */
static AtlWeight *
add_thin (AtlSource *source,
          AtlCheckpoint *cp,
          const AtlTensorInfo *info,
          const AtlWeight *of,
          AtlWeightUse use,
          gint64 first,
          gint64 n)
{
  gsize row = info->size_bytes / (gsize) info->dim[0];
  GBytes *bytes =
      g_bytes_new_with_free_func (info->data + (gsize) first * row, (gsize) n * row,
                                  (GDestroyNotify) atl_checkpoint_unref, atl_checkpoint_ref (cp));
  gint64 dim[ATL_MAX_DIMS];
  guint n_dims = use == ATL_USE_CONV ? of->n_dims : 2;

  memcpy (dim, info->dim, sizeof dim);
  for (guint i = info->n_dims; i < n_dims; i++)
    dim[i] = 1;
  dim[0] = n;
  return atl_weights_add_bytes (source->weights, use, of->layer, info->dtype, n_dims, dim, bytes,
                                info->name);
}

/* The change of file `lora` as two products beside the weight; FALSE where it is none of that kind,
 * and the weight is what it was. */
static gboolean
add_beside (AtlSource *source,
            guint lora,
            AtlWeight *weight,
            const char *module,
            gint64 first,
            gint64 total)
{
  AtlCheckpoint *cp = source->loras[lora].cp;
  AtlLoraChange change = { .weight = weight, .delta = weight->n_deltas, .lora = lora };
  const AtlTensorInfo *down = NULL, *up = NULL;
  AtlWeightDelta delta;

  if (source->lora_changes == NULL ||
      (weight->use != ATL_USE_LINEAR && weight->use != ATL_USE_CONV))
    return FALSE;
  for (gsize i = 0; down == NULL && i < G_N_ELEMENTS (pairs); i++)
    {
      down = find (source, cp, module, pairs[i][0]);
      up = down != NULL ? find (source, cp, module, pairs[i][1]) : NULL;
    }
  if (up == NULL || !is_float (down) || !is_float (up) || down->n_dims < 2 || down->dim[0] < 1 ||
      !has_rows_of (weight, down) || !is_matrix (up, total, down->dim[0]))
    return FALSE;
  change.factor = alpha_factor (source, cp, module, down->dim[0]);
  delta.a = add_thin (source, cp, down, weight, weight->use, 0, down->dim[0]);
  delta.b = add_thin (source, cp, up, weight, ATL_USE_LINEAR, first, weight->dim[0]);
  delta.scale = change.factor * source->loras[lora].scale;
  weight->deltas = g_renew (AtlWeightDelta, weight->deltas, weight->n_deltas + 1);
  weight->deltas[weight->n_deltas++] = delta;
  g_array_append_val (source->lora_changes, change);
  source->merged_loras |= 1u << MIN (lora, 31);
  return TRUE;
}

/* --- Merging --- */

static gboolean
has_change (const AtlSource *source, AtlCheckpoint *cp, const char *module)
{
  static const char *const others[] = { ".hada_w1_a", ".lokr_w1", ".lokr_w1_a" };

  for (gsize i = 0; i < G_N_ELEMENTS (pairs); i++)
    if (find (source, cp, module, pairs[i][0]) != NULL)
      return TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (others); i++)
    if (find (source, cp, module, others[i]) != NULL)
      return TRUE;
  return FALSE;
}

/* Where nobody reads the numbers: as large as if it were merged. */
static void
pretend_merged (AtlSource *source, AtlCheckpoint *cp, guint lora, AtlWeight *weight, gint64 n)
{
  source->merged_loras |= 1u << MIN (lora, 31);
  source->n_merged++;
  source->n_replaced++;
  if (weight->data == NULL)
    weight->data = atl_checkpoint_tensor (cp, 0)->data;
  weight->made = NULL;
  weight->dtype = ATL_DTYPE_F32;
  weight->size_bytes = (gsize) n * sizeof (float);
  weight->scale = 1.0f;
}

void
atl_lora_merge (AtlSource *source, AtlWeight *weight, const char *module)
{
  atl_lora_merge_rows (source, weight, module, 0, weight->dim[0]);
}

void
atl_lora_merge_rows (
    AtlSource *source, AtlWeight *weight, const char *module, gint64 first, gint64 total)
{
  gint64 n = 1, limit, cols;
  gboolean is_changed = FALSE;
  float *merged = NULL;

  for (guint i = 0; i < weight->n_dims; i++)
    n *= weight->dim[i];
  cols = n / weight->dim[0];
  limit = cols * total;

  for (guint i = 0; i < source->n_loras; i++)
    {
      AtlCheckpoint *cp = source->loras[i].cp;
      g_auto (Matrix) delta = { 0 };
      gboolean bad = FALSE;
      float factor = 1.0f;

      if (add_beside (source, i, weight, module, first, total))
        {
          is_changed = TRUE;
          continue;
        }
      if (atl_bytes_are_hollow ((gsize) n * sizeof (float)))
        {
          if (has_change (source, cp, module))
            pretend_merged (source, cp, i, weight, n);
          continue;
        }
      if (!low_rank (source, cp, module, limit, &bad, &delta, &factor) && !bad &&
          !hadamard (source, cp, module, limit, &bad, &delta, &factor) && !bad)
        kronecker (source, cp, module, limit, &bad, &delta, &factor);
      if (!bad && delta.data == NULL)
        continue;
      if (bad || delta.rows != total || delta.cols != cols)
        {
          atl_weights_fail (source->weights,
                            _ ("%s does not fit this model: its change of “%s” has another shape"),
                            atl_checkpoint_name (cp), module);
          g_free (merged);
          return;
        }
      source->merged_loras |= 1u << MIN (i, 31);
      if (merged == NULL)
        {
          g_autoptr (GError) error = NULL;

          /* What no file holds as it is. */
          if (!atl_weight_make (weight, &error))
            {
              atl_weights_fail (source->weights, "%s", error->message);
              return;
            }
          merged = g_new (float, n);
          atl_dequantize (weight->dtype, weight->data, merged, (gsize) n);
          for (gint64 k = 0; k < n; k++)
            merged[k] *= weight->scale;
        }
      factor *= source->loras[i].scale;
      for (gint64 k = 0; k < n; k++)
        merged[k] += factor * delta.data[first * cols + k];
    }
  source->n_merged += is_changed || merged != NULL;
  if (merged == NULL)
    return;

  source->n_replaced++;
  weight->made = NULL;
  g_clear_pointer (&weight->bytes, g_bytes_unref);
  weight->bytes = g_bytes_new_take (merged, (gsize) n * sizeof (float));
  weight->data = (const guint8 *) merged;
  weight->size_bytes = (gsize) n * sizeof (float);
  weight->dtype = ATL_DTYPE_F32;
  weight->scale = 1.0f;
}
