/* Which part of a pass is asked for, from what it goes on, and what it gives. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/blocks/stages.h"

#include "engine/models/blocks/runner.h"

AtlStage
atl_stage_of (const AtlRequest *request)
{
  static const char *const functions[] = { ATL_STAGE_FUNCTIONS, ATL_STAGE_OF_ATTENTION };

  for (guint i = 0; i < G_N_ELEMENTS (functions); i++)
    if (g_str_equal (functions[i], atl_request_function (request)))
      return i;
  return ATL_STAGE_WHOLE;
}

static gboolean
add (const AtlRequest *request, const char *name, GPtrArray *inputs, GError **error)
{
  AtlArray *array = atl_request_require (request, name, ATL_DTYPE_F32, 3, error);

  if (array != NULL)
    g_ptr_array_add (inputs, array);
  return array != NULL;
}

gboolean
atl_stage_add_inputs (
    AtlStage stage, const AtlRequest *request, gboolean has_text, GPtrArray *inputs, GError **error)
{
  const GPtrArray *all = atl_request_arrays (request);

  if (stage == ATL_STAGE_REST)
    return add (request, "hidden", inputs, error) &&
           (!has_text || add (request, "hidden_text", inputs, error));
  for (guint i = 0; stage == ATL_STAGE_ATTENTION && i < all->len; i++)
    {
      const AtlArray *array = all->pdata[i];

      if (g_str_has_prefix (array->name, ATL_STAGE_REUSE) &&
          !add (request, array->name, inputs, error))
        return FALSE;
    }
  return stage != ATL_STAGE_END || add (request, "last", inputs, error);
}

gboolean
atl_stage_resume (
    AtlStage stage, AtlGraph *g, GPtrArray *inputs, AtlTensor **image, AtlTensor **text)
{
  if (stage != ATL_STAGE_REST && stage != ATL_STAGE_END)
    return FALSE;
  *image = atl_runner_input (g, inputs, stage == ATL_STAGE_REST ? "hidden" : "last");
  if (stage == ATL_STAGE_REST && text != NULL)
    *text = atl_runner_input (g, inputs, "hidden_text");
  return TRUE;
}

gboolean
atl_stage_begin (AtlStage stage, AtlGraph *g, AtlTensor *image)
{
  if (stage == ATL_STAGE_PROBE || stage == ATL_STAGE_FIRST)
    atl_graph_output (g, image, "before");
  return stage == ATL_STAGE_PROBE;
}

guint
atl_stage_first_block (AtlStage stage)
{
  return stage == ATL_STAGE_REST ? 1 : 0;
}

gboolean
atl_stage_pause (AtlStage stage, AtlGraph *g, AtlTensor *image, AtlTensor *text)
{
  if (stage != ATL_STAGE_FIRST)
    return FALSE;
  atl_graph_output (g, image, "hidden");
  if (text != NULL)
    atl_graph_output (g, text, "hidden_text");
  return TRUE;
}

void
atl_stage_finish (AtlStage stage, AtlGraph *g, AtlTensor *image)
{
  if (stage == ATL_STAGE_REST)
    atl_graph_output (g, image, "last");
}

AtlTensor *
atl_stage_reuse (AtlStage stage, AtlGraph *g, GPtrArray *inputs, const char *kind, guint block)
{
  g_autofree char *name = NULL;

  if (stage != ATL_STAGE_ATTENTION)
    return NULL;
  name = g_strdup_printf (ATL_STAGE_REUSE "%s.%u", kind, block);
  return atl_arrays_find (inputs, name) != NULL ? atl_runner_input (g, inputs, name) : NULL;
}

AtlTensor *
atl_stage_keep (AtlStage stage, AtlGraph *g, AtlTensor *x, const char *kind, guint block)
{
  g_autofree char *name = NULL;

  if (stage != ATL_STAGE_ATTENTION)
    return x;
  name = g_strdup_printf (ATL_STAGE_REUSE "%s.%u", kind, block);
  atl_graph_output (g, x, name);
  return x;
}
