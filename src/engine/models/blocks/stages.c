/* Which part of a pass is asked for, and from what it goes on. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/blocks/stages.h"

AtlStage
atl_stage_of (const AtlRequest *request)
{
  static const char *const functions[] = { ATL_STAGE_FUNCTIONS };

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
  if (stage == ATL_STAGE_REST)
    return add (request, "hidden", inputs, error) &&
           (!has_text || add (request, "hidden_text", inputs, error));
  return stage != ATL_STAGE_END || add (request, "last", inputs, error);
}
