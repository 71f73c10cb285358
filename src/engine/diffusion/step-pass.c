/* Asking a denoiser for parts of a pass. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/step-pass.h"

#include <glib/gi18n.h>

#include "engine/diffusion/arrays.h"

gboolean
atl_step_pass_call (const AtlStepPass *pass,
                    const char *function,
                    const char *const *names,
                    guint n,
                    AtlArray **arrays,
                    GError **error)
{
  g_autoptr (GPtrArray) outputs = NULL;

  atl_request_set_function (pass->request, function);
  outputs = pass->run (pass->request, pass->user_data, error);
  for (guint i = 0; i < n; i++)
    arrays[i] = NULL;
  if (outputs == NULL)
    return FALSE;
  for (guint i = 0; i < n; i++)
    for (guint k = 0; k < outputs->len; k++)
      if (g_str_equal (((AtlArray *) outputs->pdata[k])->name, names[i]))
        {
          arrays[i] = g_ptr_array_steal_index (outputs, k);
          break;
        }
  if (arrays[0] != NULL)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("the part “%s” gives no “%s”"), function,
               names[0]);
  return FALSE;
}

AtlArray *
atl_step_pass_whole (const AtlStepPass *pass, GError **error)
{
  static const char *const names[] = { "output" };
  AtlArray *output;

  return atl_step_pass_call (pass, "forward", names, 1, &output, error) ? output : NULL;
}

gboolean
atl_step_pass_first (const AtlStepPass *pass, AtlArray **before, AtlArray **hidden, GError **error)
{
  static const char *const names[] = { "hidden", "hidden_text", "before" };
  AtlArray *arrays[3];

  *before = *hidden = NULL;
  if (!atl_step_pass_call (pass, "forward_first", names, 3, arrays, error))
    return FALSE;
  *hidden = atl_array_copy (arrays[0], "last");
  *before = arrays[2];
  atl_request_add (pass->request, arrays[0]);
  if (arrays[1] != NULL)
    atl_request_add (pass->request, arrays[1]);
  return *before != NULL;
}

AtlArray *
atl_step_pass_rest (const AtlStepPass *pass, AtlArray **last, GError **error)
{
  static const char *const names[] = { "output", "last" };
  AtlArray *arrays[2] = { NULL };

  atl_step_pass_call (pass, "forward_rest", names, 2, arrays, error);
  *last = arrays[1];
  return arrays[0];
}

AtlArray *
atl_step_pass_end (const AtlStepPass *pass, AtlArray *last, GError **error)
{
  static const char *const names[] = { "output" };
  AtlArray *output;

  g_free (last->name);
  last->name = g_strdup ("last");
  atl_request_add (pass->request, last);
  return atl_step_pass_call (pass, "forward_end", names, 1, &output, error) ? output : NULL;
}
