/* Models with one thing changed, and how they end. */
#include "changed-model.h"

#include <math.h>
#include <string.h>

#include "engine/convert/hf.h"

#define MAX_GROWTH (64 * 1024 * 1024)
/* Of so many absurd values one is tried where there is little time. */
#define THIN 12

void
changed_model_check_words (const GError *error)
{
  g_assert_nonnull (error);
  g_assert_true (error->domain == ATL_ERROR);
  g_assert_cmpuint (strlen (error->message), >, 10);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_null (strstr (error->message, "(null)"));
  g_test_message ("%s", error->message);
}

gboolean
changed_model_try (AtlCheckpoint *files, GError **error)
{
  static const gint32 ids[] = { 1, 2, 3, 4 };
  AtlBackend *cpu = model_fixture_one_thread ();
  g_autoptr (AtlCheckpoint) cp = atl_hf_adopt (files, error);
  g_autoptr (AtlLlm) llm = NULL;
  g_autoptr (AtlLlmCache) cache = NULL;
  guint64 weights, kv, scratch, before = model_fixture_peak ();

  if (cp == NULL)
    return FALSE;
  /* What is asked before loading must be as safe. */
  atl_llm_supports (cp, NULL);
  atl_llm_estimate (cp, 4096, ATL_DTYPE_F16, &weights, &kv, &scratch, NULL, NULL);

  llm = atl_llm_new (cp, &cpu, 1, NULL, NULL, NULL, NULL, error);
  if (llm == NULL)
    {
      g_assert_cmpuint (model_fixture_peak () - before, <, MAX_GROWTH);
      return FALSE;
    }
  cache = atl_llm_cache_new (llm, 16, ATL_DTYPE_F32, error);
  if (cache == NULL)
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    if (ids[i] < (gint32) atl_llm_info (llm)->n_vocab)
      model_fixture_feed (llm, cache, &ids[i], 1);
  g_assert_cmpuint (model_fixture_peak () - before, <, MAX_GROWTH);
  return TRUE;
}

AtlCheckpoint *
changed_model (AtlCheckpoint *from, const Change *c)
{
  AtlCheckpoint *to = atl_checkpoint_new ("changed.gguf");
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < atl_checkpoint_n_tensors (from); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (from, i);

      if (g_strcmp0 (c->tensor, info->name) == 0)
        info = c->info;
      if (info != NULL)
        atl_checkpoint_add_tensor (to, info, &error);
      g_assert_no_error (error);
    }
  for (guint i = 0; i < atl_checkpoint_n_meta (from); i++)
    {
      const char *key = atl_checkpoint_meta_key (from, i);

      if (g_strcmp0 (c->key, key) != 0)
        atl_checkpoint_add_meta (to, key, atl_checkpoint_meta (from, key), &error);
      g_assert_no_error (error);
    }
  if (c->key != NULL && c->value != NULL)
    atl_checkpoint_add_meta (to, c->key, c->value, &error);
  g_assert_no_error (error);
  return to;
}

void
changed_model_refuse (AtlCheckpoint *from, const Change *c)
{
  g_autoptr (AtlCheckpoint) cp = changed_model (from, c);
  g_autoptr (GError) error = NULL;

  if (changed_model_try (cp, &error))
    {
      g_test_message ("%s%s was accepted", c->tensor != NULL ? c->tensor : "",
                      c->key != NULL ? c->key : "");
      g_test_fail ();
      return;
    }
  changed_model_check_words (error);
  if (c->tensor != NULL && strstr (error->message, c->tensor) == NULL)
    {
      g_test_message ("%s was changed, and that is not what is said", c->tensor);
      g_test_fail ();
    }
}

void
changed_model_survive (AtlCheckpoint *from, const Change *c)
{
  g_autoptr (AtlCheckpoint) cp = changed_model (from, c);
  g_autoptr (GError) error = NULL;

  if (!changed_model_try (cp, &error))
    changed_model_check_words (error);
}

void
changed_model_expect (AtlCheckpoint *from, const Change *c, gboolean refused)
{
  if (refused)
    changed_model_refuse (from, c);
  else
    changed_model_survive (from, c);
}

gboolean
changed_model_retype (AtlTensorInfo *info, AtlDType dtype)
{
  info->dtype = dtype;
  return changed_model_fill (info);
}

gboolean
changed_model_fill (AtlTensorInfo *info)
{
  static guint8 zeros[1 << 23];
  guint64 size, n_rows = 1;

  for (guint k = 0; k + 1 < info->n_dims; k++)
    n_rows *= (guint64) info->dim[k];
  if (!atl_dtype_row_bytes (info->dtype,
                            info->n_dims > 0 ? (guint64) info->dim[info->n_dims - 1] : 1, &size))
    return FALSE;
  info->data = zeros;
  info->size_bytes = size * n_rows;
  g_assert_cmpuint (info->size_bytes, <=, sizeof zeros);
  return TRUE;
}

static void
try_shape (AtlCheckpoint *from,
           const AtlTensorInfo *have,
           AtlTensorInfo *info,
           gboolean is_rows,
           ChangedModelShape func)
{
  gboolean differs = info->n_dims != have->n_dims ||
                     memcmp (info->dim, have->dim, have->n_dims * sizeof *have->dim) != 0;

  if (differs && changed_model_fill (info))
    func (from, &(Change){ .tensor = have->name, .info = info }, is_rows);
}

void
changed_model_try_shapes (AtlCheckpoint *from, const AtlTensorInfo *have, ChangedModelShape func)
{
  const guint n = have->n_dims;
  AtlTensorInfo info;

  for (guint k = 0; k < n; k++)
    for (gint sign = -1; sign <= 1; sign += 2)
      {
        info = *have;
        info.dim[k] += sign * (gint64) (k + 1 < n ? 1 : atl_dtype_info (info.dtype)->block_elems);
        try_shape (from, have, &info, k == 0, func);
      }
  info = *have;
  info.dim[0] = 0;
  try_shape (from, have, &info, FALSE, func);
  info = *have;
  info.n_dims = 1;
  info.dim[0] = atl_dtype_info (info.dtype)->block_elems;
  try_shape (from, have, &info, FALSE, func);
  if (n < 2)
    return;
  info = *have;
  info.dim[n - 1] = have->dim[n - 2];
  info.dim[n - 2] = have->dim[n - 1];
  try_shape (from, have, &info, FALSE, func);
  info = *have;
  info.n_dims = n - 1;
  info.dim[0] = have->dim[0] * have->dim[1];
  for (guint k = 1; k + 1 < n; k++)
    info.dim[k] = have->dim[k + 1];
  try_shape (from, have, &info, FALSE, func);
}

AtlMetaValue
changed_model_number (double number)
{
  if (!isfinite (number) || number != floor (number) || fabs (number) > 1e18)
    return (AtlMetaValue){ .type = ATL_META_FLOAT, .v_float = number };
  return number >= 0.0 ? (AtlMetaValue){ .type = ATL_META_UINT, .v_uint = (guint64) number }
                       : (AtlMetaValue){ .type = ATL_META_INT, .v_int = (gint64) number };
}

void
changed_model_add_tests (const char *group,
                         const GPtrArray *paths,
                         char *(*name) (const char *path),
                         const ChangedModelTest *tests)
{
  g_assert_cmpuint (paths->len, >, 10);
  for (guint i = 0; i < paths->len; i++)
    {
      g_autofree char *model = name (paths->pdata[i]);

      for (const ChangedModelTest *t = tests; t->name != NULL; t++)
        {
          g_autofree char *path = g_strdup_printf ("/models/%s/%s/%s", group, model, t->name);
          g_test_add_data_func (path, paths->pdata[i], t->func);
        }
    }
}

/* --- Absurd values --- */

static const guint64 wholes[] = { 0,          1,          3,          7,           255,
                                  65536,      1u << 30,   1u << 31,   G_MAXUINT32, 1ull << 32,
                                  1ull << 62, 1ull << 63, G_MAXUINT64 };
static const double reals[] = { NAN, INFINITY, -INFINITY, -1.0, 0.0, 1e-300, 1e300, 3.5 };

/* So that other values are tried of the next key. */
static void
try_value (AtlCheckpoint *from, const Change *c)
{
  static guint n;

  if (g_getenv ("ATELIER_FAULT_ROUNDS") != NULL || n++ % THIN == 0)
    changed_model_survive (from, c);
}

static void
try_numbers (AtlCheckpoint *cp, const char *key)
{
  AtlMetaValue value = { 0 };
  Change c = { .key = key, .value = &value };

  for (gsize k = 0; k < G_N_ELEMENTS (wholes); k++)
    {
      value = (AtlMetaValue){ .type = ATL_META_UINT, .v_uint = wholes[k] };
      try_value (cp, &c);
      value = (AtlMetaValue){ .type = ATL_META_INT, .v_int = -(gint64) (wholes[k] / 2) };
      try_value (cp, &c);
    }
  for (gsize k = 0; k < G_N_ELEMENTS (reals); k++)
    {
      value = (AtlMetaValue){ .type = ATL_META_FLOAT, .v_float = reals[k] };
      try_value (cp, &c);
    }
  value = (AtlMetaValue){ .type = ATL_META_BOOL, .v_bool = TRUE };
  try_value (cp, &c);
  value = (AtlMetaValue){ .type = ATL_META_STRING, .v_string = { "%s%n", 4 } };
  try_value (cp, &c);
  c.value = NULL;
  try_value (cp, &c);
}

/* Lists of n equal numbers, of every type; n is none, one, one less than it was, more, and as it
 * was with every number: of another length the number hardly matters. Where one number stood,
 * a list of one is read like it or not at all: fewer numbers do. */
static void
try_lists (AtlCheckpoint *cp, const char *key, gsize n_have, gboolean is_list)
{
  const gsize lengths[] = { 0, 1, MAX (n_have, 1) - 1, n_have + 1, n_have };
  gsize room = n_have + 1;
  g_autofree guint64 *whole = g_new (guint64, room);
  g_autofree double *real = g_new (double, room);
  g_autofree gboolean *flag = g_new0 (gboolean, room);
  AtlMetaValue value = { .type = ATL_META_ARRAY };
  Change c = { .key = key, .value = &value };

  for (gsize l = 0; l < G_N_ELEMENTS (lengths); l++)
    {
      const gboolean is_last = l + 1 == G_N_ELEMENTS (lengths);

      value.v_array.n = lengths[l];
      value.v_array.elem_type = ATL_META_BOOL;
      value.v_array.elems = flag;
      try_value (cp, &c);
      value.v_array.elems = whole;
      for (gsize k = 0; k < (is_last ? G_N_ELEMENTS (wholes) : 1); k++)
        {
          for (gsize i = 0; i < room; i++)
            whole[i] = wholes[k];
          value.v_array.elem_type = ATL_META_UINT;
          try_value (cp, &c);
          value.v_array.elem_type = ATL_META_INT;
          if (is_list || k == 0)
            try_value (cp, &c);
        }
      value.v_array.elem_type = ATL_META_FLOAT;
      value.v_array.elems = real;
      for (gsize k = 0; k < (is_last && is_list ? G_N_ELEMENTS (reals) : 1); k++)
        {
          for (gsize i = 0; i < room; i++)
            real[i] = reals[k];
          try_value (cp, &c);
        }
    }
}

void
changed_model_try_values (AtlCheckpoint *from, const char *key)
{
  const AtlMetaValue *have = atl_checkpoint_meta (from, key);

  try_numbers (from, key);
  try_lists (from, key, have->type == ATL_META_ARRAY ? have->v_array.n : 1,
             have->type == ATL_META_ARRAY);
}
