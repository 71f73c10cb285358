/* Models with one thing changed, and how they end. */
#include "changed-model.h"

#include <string.h>

#define MAX_GROWTH (128 * 1024 * 1024)

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
changed_model_try (AtlCheckpoint *cp, GError **error)
{
  static const gint32 ids[] = { 1, 2, 3, 4 };
  AtlBackend *cpu = model_fixture_cpu (TRUE);
  g_autoptr (AtlLlm) llm = NULL;
  g_autoptr (AtlLlmCache) cache = NULL;
  guint64 weights, kv, scratch, before = model_fixture_peak ();

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
