/* Weights that are on a backend only while a step needs them: sent before it, dropped behind it. */
#define G_LOG_DOMAIN "atl-tensor"

#include "engine/tensor/plan-private.h"
#include "engine/tensor/weights.h"

static AtlWeight *
streamed (const AtlNode *node, guint i)
{
  AtlWeight *w = node->src[i] != NULL ? atl_tensor_base (node->src[i])->weight : NULL;

  return w != NULL && w->streams ? w : NULL;
}

gboolean
plan_node_streams (const AtlNode *node)
{
  for (guint i = 0; i < ATL_NODE_MAX_SRC; i++)
    if (streamed (node, i) != NULL)
      return TRUE;
  return FALSE;
}

void
plan_stream_drop (AtlPlan *self, const PlanStep *step)
{
  AtlBackend *backend = step->backend;

  for (guint n = step->first; n < step->first + step->n; n++)
    for (guint i = 0; i < ATL_NODE_MAX_SRC; i++)
      {
        AtlWeight *w = streamed (self->nodes->pdata[n], i);

        if (w != NULL)
          atl_weight_withdraw (w, backend);
      }
}

gboolean
plan_stream_fetch (AtlPlan *self, const PlanStep *step, GError **error)
{
  for (guint n = step->first; n < step->first + step->n; n++)
    for (guint i = 0; i < ATL_NODE_MAX_SRC; i++)
      {
        AtlWeight *w = streamed (self->nodes->pdata[n], i);

        if (w != NULL && !atl_weight_send (w, step->backend, error))
          {
            plan_stream_drop (self, step);
            return FALSE;
          }
      }
  return TRUE;
}
