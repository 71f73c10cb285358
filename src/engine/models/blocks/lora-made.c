/* Weights that LoRAs change as a whole: made again in float32 from what the file has, as often as a
 * strength changes. */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>

#include "base/checked.h"
#include "engine/models/blocks/lora-private.h"
#include "engine/tensor/quants/dequant.h"

void
lora_made_free (gpointer data)
{
  LoraMade *made = data;

  g_clear_pointer (&made->original.bytes, g_bytes_unref);
  g_array_unref (made->parts);
  g_free (made);
}

void
lora_made_add (AtlLoras *self, AtlWeight *weight, const LoraPart *part)
{
  LoraMade *made = NULL;

  /* Files come one after the other for one weight. */
  if (self->made->len > 0)
    made = self->made->pdata[self->made->len - 1];
  if (made == NULL || made->weight != weight)
    {
      made = g_new0 (LoraMade, 1);
      made->weight = weight;
      made->original = *weight;
      made->original.bytes = weight->bytes != NULL ? g_bytes_ref (weight->bytes) : NULL;
      made->parts = g_array_new (FALSE, FALSE, sizeof (LoraPart));
      g_ptr_array_add (self->made, made);
    }
  g_array_append_vals (made->parts, part, 1);
}

void
atl_loras_set_stack (AtlLoras *self, const AtlWeight *part, AtlWeight *stack)
{
  for (guint i = 0; i < self->made->len; i++)
    {
      LoraMade *made = self->made->pdata[i];

      if (made->weight == part)
        made->stack = stack;
    }
}

gboolean
lora_is_vector (const AtlTensorInfo *info, gint64 n)
{
  guint64 have;

  return info->data != NULL && atl_dtype_is_float_like (info->dtype) &&
         atl_dtype_info (info->dtype)->block_elems == 1 &&
         atl_checked_product (info->dim, info->n_dims, &have) && have == (guint64) n;
}

/* numbers += s * what the part adds to a vector: a bias, a norm's weight, a table. */
static gboolean
add_vector (
    const LoraPart *part, float s, AtlLoraPart which, float factor, gint64 n, float *numbers)
{
  const AtlTensorInfo *info = part->group->part[which];
  g_autofree float *diff = NULL;

  if (info == NULL)
    return TRUE;
  diff = g_new (float, part->total);
  if (!atl_dequantize (info->dtype, info->data, diff, (gsize) part->total))
    return FALSE;
  for (gint64 i = 0; i < n; i++)
    numbers[i] += s * factor * diff[(part->first + i + part->turn) % part->total];
  return TRUE;
}

/* numbers += s * (C - W), C the changed weight, where `w` has W. */
static gboolean
add_rows (const LoraPart *part, float s, const AtlWeight *original, float *numbers)
{
  const AtlLoraGroup *group = part->group;
  gint64 rows = original->dim[0], cols = atl_weight_n_elems (original) / rows, in, kernel;
  gsize row_bytes = original->size_bytes / (gsize) rows;
  g_auto (AtlLoraChange) change = { 0 };
  g_autofree float *gains = NULL, *d = NULL, *w = NULL;
  AtlLoraAxis axis = ATL_LORA_NO_MAGNITUDE;

  if (!atl_lora_change_read (group, part->total, cols, TRUE, &change))
    return FALSE;
  in = original->n_dims > 1 ? original->dim[1] : 1;
  kernel = cols / in;
  if (original->n_dims > 1 && !atl_lora_magnitude_axis (group, part->total, in, &axis))
    return FALSE;
  change.turn = part->turn;
  if (axis != ATL_LORA_NO_MAGNITUDE)
    {
      g_autofree float *m =
          atl_lora_magnitudes (group, axis == ATL_LORA_OF_INPUT ? in : part->total);

      gains = atl_lora_gains (&change, group->factor, m, original,
                              axis == ATL_LORA_OF_INPUT ? 0 : part->first, axis);
    }
  d = g_new (float, cols);
  w = g_new (float, cols);
  for (gint64 i = 0; i < rows; i++)
    {
      float *out = numbers + i * cols;

      atl_lora_change_row (&change, part->first + i, d);
      if (gains != NULL)
        atl_dequantize (original->dtype, original->data + (gsize) i * row_bytes, w, (gsize) cols);
      for (gint64 k = 0; k < cols; k++)
        {
          float was = gains != NULL ? w[k] * original->scale : 0;
          float gain = gains == NULL               ? 1.0f
                       : axis == ATL_LORA_OF_INPUT ? gains[k / kernel]
                                                   : gains[i];

          out[k] += s * (gain * (was + group->factor * d[k]) - was);
        }
    }
  return TRUE;
}

/* Where nobody reads the numbers: as large as if it were made. */
static void
pretend (LoraMade *made, gint64 n)
{
  AtlWeight *weight = made->weight;

  if (weight->data == NULL)
    weight->data = (const guint8 *) weight;
  weight->made = NULL;
  weight->dtype = ATL_DTYPE_F32;
  weight->size_bytes = (gsize) n * sizeof (float);
  weight->scale = 1.0f;
}

static void
restore (LoraMade *made)
{
  AtlWeight *weight = made->weight;

  g_clear_pointer (&weight->bytes, g_bytes_unref);
  weight->bytes = made->original.bytes != NULL ? g_bytes_ref (made->original.bytes) : NULL;
  weight->data = made->original.data;
  weight->made = made->original.made;
  weight->dtype = made->original.dtype;
  weight->size_bytes = made->original.size_bytes;
  weight->scale = made->original.scale;
  weight->in_file = FALSE;
}

static gboolean
are_all_off (const AtlLoras *self, const LoraMade *made)
{
  for (guint i = 0; i < made->parts->len; i++)
    if (self->scales[g_array_index (made->parts, LoraPart, i).lora] != 0)
      return FALSE;
  return TRUE;
}

static gboolean
add_part (const AtlLoras *self, const LoraPart *part, const AtlWeight *original, float *numbers)
{
  gint64 n = atl_weight_n_elems (original);
  float s = self->scales[part->lora];

  if (part->is_bias)
    return add_vector (part, s, ATL_LORA_DIFF_BIAS, 1.0f, n, numbers) &&
           add_vector (part, s, ATL_LORA_UP_BIAS, part->group->factor, n, numbers);
  return add_rows (part, s, original, numbers);
}

gboolean
lora_made_make (const AtlLoras *self, LoraMade *made, GError **error)
{
  gint64 n = atl_weight_n_elems (made->weight);
  gsize size_bytes = (gsize) n * sizeof (float);
  AtlWeight original = made->original;
  gboolean ok = TRUE;
  float *numbers;

  if (atl_bytes_are_hollow (size_bytes))
    {
      pretend (made, n);
      return TRUE;
    }
  restore (made);
  if (are_all_off (self, made))
    return TRUE;
  original.bytes = original.bytes != NULL ? g_bytes_ref (original.bytes) : NULL;
  numbers = g_try_malloc (size_bytes);
  if (numbers == NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY,
                 _ ("The computer has not enough free memory left for “%s”."), original.name);
  /* What no file holds as it is. */
  if (numbers == NULL || !atl_weight_make (&original, error))
    ok = FALSE;
  else
    {
      atl_dequantize (original.dtype, original.data, numbers, (gsize) n);
      for (gint64 k = 0; k < n; k++)
        numbers[k] *= original.scale;
      for (guint i = 0; ok && i < made->parts->len; i++)
        {
          const LoraPart *part = &g_array_index (made->parts, LoraPart, i);

          ok = add_part (self, part, &original, numbers);
          if (!ok)
            {
              g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                           _ ("The LoRA's change of “%s” cannot be read"), original.name);
              if (error != NULL)
                atl_error_blame_lora (*error, part->lora);
            }
        }
    }
  g_clear_pointer (&original.bytes, g_bytes_unref);
  if (!ok)
    {
      g_free (numbers);
      return FALSE;
    }
  g_clear_pointer (&made->weight->bytes, g_bytes_unref);
  made->weight->made = NULL;
  made->weight->bytes = g_bytes_new_take (numbers, size_bytes);
  made->weight->data = (const guint8 *) numbers;
  made->weight->size_bytes = size_bytes;
  made->weight->dtype = ATL_DTYPE_F32;
  made->weight->scale = 1.0f;
  return TRUE;
}

gboolean
lora_made_remake (const AtlLoras *self, LoraMade *made)
{
  AtlWeight *used = made->stack != NULL ? made->stack : made->weight;
  AtlBackend *home = used->home;
  g_autoptr (GError) error = NULL;

  if (home != NULL && used->store[home->index] != NULL)
    atl_weight_withdraw (used, home);
  if (!lora_made_make (self, made, &error) ||
      (home != NULL && !used->streams && !atl_weight_send (used, home, &error)))
    {
      g_debug ("%s", error->message);
      return FALSE;
    }
  return TRUE;
}
