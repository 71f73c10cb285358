/* Checkpoints under the names of Hugging Face, made in memory. */
#include "hf-fixture.h"

#include <string.h>

#include "engine/convert/hf.h"

static void
add (AtlCheckpoint *cp, const char *key, const AtlMetaValue *value)
{
  g_assert_true (atl_checkpoint_add_meta (cp, key, value, NULL));
}

static void
add_array (AtlCheckpoint *cp, const char *key, AtlMetaType type, gconstpointer elements, gsize n)
{
  AtlMetaValue value = { .type = ATL_META_ARRAY };

  value.v_array.elem_type = type;
  value.v_array.n = n;
  value.v_array.elems = (gpointer) elements;
  add (cp, key, &value);
}

void
hf_add_text (AtlCheckpoint *cp, const char *key, const char *text)
{
  AtlMetaValue value = { .type = ATL_META_STRING };

  value.v_string.chars = text;
  value.v_string.length = strlen (text);
  add (cp, key, &value);
}

void
hf_add_number (AtlCheckpoint *cp, const char *key, double number)
{
  add (cp, key, &(AtlMetaValue){ .type = ATL_META_FLOAT, .v_float = number });
}

void
hf_add_whole (AtlCheckpoint *cp, const char *key, gint64 number)
{
  add (cp, key, &(AtlMetaValue){ .type = ATL_META_INT, .v_int = number });
}

void
hf_add_flag (AtlCheckpoint *cp, const char *key, gboolean flag)
{
  add (cp, key, &(AtlMetaValue){ .type = ATL_META_BOOL, .v_bool = flag });
}

void
hf_add_list (AtlCheckpoint *cp, const char *key, const double *numbers, gsize n)
{
  add_array (cp, key, ATL_META_FLOAT, numbers, n);
}

void
hf_add_wholes (AtlCheckpoint *cp, const char *key, const gint64 *numbers, gsize n)
{
  add_array (cp, key, ATL_META_INT, numbers, n);
}

void
hf_add_words (AtlCheckpoint *cp, const char *key, const char *const *words, gsize n)
{
  add_array (cp, key, ATL_META_STRING, words, n);
}

void
hf_add_tensor_of (AtlCheckpoint *cp,
                  const char *name,
                  AtlDType dtype,
                  guint n_dims,
                  const gint64 *dim,
                  gconstpointer data,
                  gsize size)
{
  AtlTensorInfo info = { .name = name, .dtype = dtype, .n_dims = n_dims, .size_bytes = size };

  for (guint i = 0; i < n_dims; i++)
    info.dim[i] = dim[i];
  info.data = data;
  g_assert_true (atl_checkpoint_add_tensor (cp, &info, NULL));
}

void
hf_add_counted (AtlCheckpoint *cp, const char *name, guint n_dims, const gint64 *dim)
{
  gsize n = 1;
  float *values;

  for (guint i = 0; i < n_dims; i++)
    n *= (gsize) dim[i];
  values = g_new (float, n);
  for (gsize i = 0; i < n; i++)
    values[i] = (float) i;
  atl_checkpoint_take (cp, values, g_free);
  hf_add_tensor_of (cp, name, ATL_DTYPE_F32, n_dims, dim, values, n * sizeof (float));
}

void
hf_check_numbers (
    const AtlCheckpoint *cp, const char *name, const float *want, gsize n, gint64 step)
{
  const AtlTensorInfo *info = atl_checkpoint_find (cp, name);
  g_autofree float *got = g_new (float, n);
  gint64 n_rows;

  g_assert_nonnull (info);
  g_assert_cmpint (info->dtype, ==, ATL_DTYPE_F32);
  g_assert_cmpuint (info->size_bytes, ==, n * sizeof (float));
  n_rows = atl_tensor_info_n_rows (info);
  for (gint64 r = 0; r < n_rows; r += step)
    atl_tensor_info_read (info, r, MIN (step, n_rows - r),
                          (guint8 *) got + (gsize) r * (info->size_bytes / (gsize) n_rows));
  for (gsize i = 0; i < n; i++)
    g_assert_cmpfloat_with_epsilon (got[i], want[i], 1e-6 * ABS (want[i]) + 1e-30);
}

guint64
hf_get_uint (const AtlCheckpoint *cp, const char *key)
{
  guint64 value = G_MAXUINT;

  g_assert_true (atl_checkpoint_get_uint (cp, key, 0, G_MAXUINT - 1, &value, NULL));
  return value;
}

AtlCheckpoint *
hf_translate_taken (AtlCheckpoint *hf)
{
  g_autoptr (GError) error = NULL;
  AtlCheckpoint *cp = atl_hf_translate (hf, &error);

  g_assert_no_error (error);
  atl_checkpoint_unref (hf);
  return cp;
}

void
hf_expect_refused (AtlCheckpoint *hf, AtlError code, const char *word)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (atl_hf_translate (hf, &error));
  g_assert_error (error, ATL_ERROR, (gint) code);
  if (word != NULL)
    g_assert_nonnull (strstr (error->message, word));
  atl_checkpoint_unref (hf);
}

AtlCheckpoint *
hf_make (const char *type)
{
  AtlCheckpoint *hf = atl_checkpoint_new ("model");

  hf_add_text (hf, "model_type", type);
  hf_add_number (hf, "num_hidden_layers", 2);
  hf_add_number (hf, "hidden_size", 64);
  hf_add_number (hf, "intermediate_size", 100);
  hf_add_number (hf, "num_attention_heads", 4);
  hf_add_number (hf, "num_key_value_heads", 2);
  return hf;
}
