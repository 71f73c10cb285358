/* What foretelling steps keeps in memory, found by a pass that does what the cache would. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/step-pass.h"

/* A step that keeps all attention, and one that is given all of it. */
static gboolean
count_attention (const AtlStepRule *rule,
                 const AtlStepPass *pass,
                 AtlArray **output,
                 guint64 *bytes,
                 GError **error)
{
  g_autoptr (AtlAttentionCache) cache = atl_attention_cache_new ();
  g_autoptr (AtlArray) again = NULL;
  guint orders = rule->method == ATL_SKIP_PYRAMID ? 0 : MIN (rule->order, ATL_SERIES_MAX_ORDER);

  *output = atl_attention_cache_run (cache, pass->request, 0, TRUE, TRUE, 0, pass->run,
                                     pass->user_data, error);
  if (*output == NULL)
    return FALSE;
  again = atl_attention_cache_run (cache, pass->request, 1, FALSE, FALSE, 0, pass->run,
                                   pass->user_data, error);
  /* All differences, and what is foretold. */
  *bytes = (orders + 2) * atl_attention_cache_bytes (cache);
  if (again == NULL)
    g_clear_pointer (output, atl_array_free);
  return again != NULL;
}

gboolean
atl_step_cache_count (const AtlStepRule *rule,
                      AtlRequest *request,
                      AtlPassFunc run,
                      gpointer user_data,
                      AtlArray **output,
                      guint64 *bytes,
                      GError **error)
{
  const AtlStepPass pass = { request, run, user_data };
  const char *const probe[] = { rule->probe != NULL ? rule->probe : "before" };
  g_autoptr (AtlArray) before = NULL;
  g_autoptr (AtlArray) hidden = NULL;
  g_autoptr (AtlArray) probed = NULL;
  g_autoptr (AtlArray) ended = NULL;
  AtlArray *last = NULL;

  if (rule->method == ATL_SKIP_EASY || rule->method == ATL_SKIP_TAYLOR)
    {
      *output = atl_step_pass_whole (&pass, error);
      *bytes = *output != NULL ? (ATL_SERIES_MAX_ORDER + 1) * atl_array_size (*output) : 0;
      return *output != NULL;
    }
  if (rule->method == ATL_SKIP_TAYLOR_ATTENTION || rule->method == ATL_SKIP_PYRAMID)
    return count_attention (rule, &pass, output, bytes, error);
  if (rule->method != ATL_SKIP_FIRST_BLOCK &&
      !atl_step_pass_call (&pass, "forward_probe", probe, 1, &probed, error))
    return FALSE;
  if (!atl_step_pass_first (&pass, &before, &hidden, error))
    return FALSE;
  *output = atl_step_pass_rest (&pass, &last, error);
  if (*output == NULL)
    {
      atl_array_free (last);
      return FALSE;
    }
  /* The residual and what is compared stay; two more come and go with each pass. */
  *bytes = 4 * (guint64) atl_array_size (last);
  ended = atl_step_pass_end (&pass, last, error);
  if (ended == NULL)
    g_clear_pointer (output, atl_array_free);
  return ended != NULL;
}
