/* Golden cases of encoders, denoisers and autoencoders. */
#define G_LOG_DOMAIN "atl-tools"

#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/models/component.h"
#include "engine/diffusion/prompt-weights.h"
#include "engine/tools/golden-case.h"

#define MAX_LORAS 8

/* Numbers and lists of numbers among the case's parameters become numbers and arrays of the
 * request. */
static void
add_params (AtlRequest *request, JsonObject *params)
{
  g_autoptr (GList) members = params != NULL ? json_object_get_members (params) : NULL;

  for (GList *l = members; l != NULL; l = l->next)
    {
      const char *name = l->data;
      JsonNode *node = json_object_get_member (params, name);

      if (JSON_NODE_HOLDS_VALUE (node))
        {
          GType type = json_node_get_value_type (node);
          if (type == G_TYPE_INT64 || type == G_TYPE_DOUBLE || type == G_TYPE_BOOLEAN)
            atl_request_set_number (request, name,
                                    type == G_TYPE_BOOLEAN ? json_node_get_boolean (node)
                                                           : json_node_get_double (node));
        }
      else if (JSON_NODE_HOLDS_ARRAY (node) &&
               (g_str_equal (name, "token_ids") || g_str_equal (name, "attention_mask")))
        {
          JsonArray *list = json_node_get_array (node);
          guint n = json_array_get_length (list);
          AtlArray *a = atl_array_new (name, ATL_DTYPE_I32, 2, (gint64[]){ 1, n });

          for (guint i = 0; i < n; i++)
            atl_array_i32 (a)[i] = (gint32) json_array_get_int_element (list, i);
          atl_request_add (request, a);
        }
    }
}

static AtlArray *
copy_array (const AtlArray *a)
{
  AtlArray *copy = atl_array_new (a->name, a->dtype, a->n_dims, a->dim);

  memcpy (copy->data, a->data, atl_array_size (a));
  return copy;
}

gboolean
golden_open_loras (const GoldenCase *self,
                   AtlLoraFile *loras,
                   AtlCheckpoint **checkpoints,
                   guint max,
                   guint *n,
                   GError **error)
{
  JsonArray *list = atl_json_array (self->params, "loras");

  *n = 0;
  for (guint i = 0; list != NULL && i < json_array_get_length (list) && i < max; i++)
    {
      JsonObject *lora = json_array_get_object_element (list, i);

      checkpoints[i] = golden_open (self, atl_json_string (lora, "file", ""), NULL, error);
      if (checkpoints[i] == NULL)
        return FALSE;
      loras[i].cp = checkpoints[i];
      loras[i].scale = (float) atl_json_double (lora, "scale", 1.0);
      *n = i + 1;
    }
  return TRUE;
}

/* Hidden states of one chunk of token ids. */
static AtlArray *
encode_chunk (AtlComponent *component, const gint32 *ids, gint64 n, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("encode_text");
  g_autoptr (GPtrArray) outputs = NULL;
  AtlArray *array = atl_array_new ("token_ids", ATL_DTYPE_I32, 2, (gint64[]){ 1, n });

  memcpy (array->data, ids, (gsize) n * sizeof *ids);
  atl_request_add (request, array);
  outputs = atl_component_run (component, request, NULL, error);
  return outputs != NULL ? copy_array (atl_arrays_find (outputs, "hidden")) : NULL;
}

/* A prompt in chunks with a weight per token: each is encoded alone, weighted, and laid end to end.
 */
static GPtrArray *
run_weighted (const GoldenCase *c, AtlComponent *component, GError **error)
{
  AtlPromptRule rule = g_str_equal (atl_json_string (c->params, "rule", ""), "comfyui")
                           ? ATL_PROMPT_COMFYUI
                           : ATL_PROMPT_A1111;
  JsonArray *ids = atl_json_array (c->params, "token_ids");
  JsonArray *weights = atl_json_array (c->params, "weights");
  gint64 n_chunks = atl_json_int (c->params, "chunks", 1);
  gint64 n = ids != NULL ? json_array_get_length (ids) / MAX (n_chunks, 1) : 0;
  g_autofree gint32 *chunk = g_new (gint32, MAX (n, 1));
  g_autofree float *weight = g_new (float, MAX (n, 1));
  g_autoptr (GPtrArray) outputs = atl_arrays_new ();
  g_autoptr (AtlArray) empty = NULL;
  AtlArray *all = NULL;

  if (n < 2 || weights == NULL || json_array_get_length (weights) != json_array_get_length (ids))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, "%s: no ids and weights", c->name);
      return NULL;
    }
  /* The empty prompt: the start token, then the end token, which also pads. */
  for (gint64 i = 0; i < n; i++)
    chunk[i] = (gint32) json_array_get_int_element (ids, (guint) (i == 0 ? 0 : n - 1));
  empty = encode_chunk (component, chunk, n, error);
  if (empty == NULL)
    return NULL;

  for (gint64 k = 0; k < n_chunks; k++)
    {
      g_autoptr (AtlArray) hidden = NULL;

      for (gint64 i = 0; i < n; i++)
        {
          chunk[i] = (gint32) json_array_get_int_element (ids, (guint) (k * n + i));
          weight[i] = (float) json_array_get_double_element (weights, (guint) (k * n + i));
        }
      hidden = encode_chunk (component, chunk, n, error);
      if (hidden == NULL)
        return NULL;
      atl_prompt_weights_apply (rule, hidden, weight, empty);
      if (all == NULL)
        {
          all = atl_array_new ("hidden", ATL_DTYPE_F32, 3,
                               (gint64[]){ 1, n * n_chunks, hidden->dim[2] });
          g_ptr_array_add (outputs, all);
        }
      memcpy (atl_array_f32 (all) + k * n * hidden->dim[2], hidden->data, atl_array_size (hidden));
    }
  return g_steal_pointer (&outputs);
}

static gboolean
run (GoldenReport *report,
     const GoldenCase *c,
     const GoldenBackend *backend,
     AtlCheckpoint **lora_checkpoints,
     GError **error)
{
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_autoptr (AtlComponent) component = NULL;
  g_autoptr (AtlRequest) request = atl_request_new (c->kind);
  g_autoptr (GPtrArray) outputs = NULL;
  AtlLoraFile loras[MAX_LORAS];
  AtlLoadOptions options = { .loras = loras };
  const AtlComponentClass *klass;

  cp = golden_open (c, c->model, c->component, error);
  if (cp == NULL ||
      !golden_open_loras (c, loras, lora_checkpoints, MAX_LORAS, &options.n_loras, error))
    return FALSE;
  klass = atl_component_class_for (cp, c->architecture, c->kind, error);
  if (klass == NULL)
    return FALSE;
  component = atl_component_load (klass, cp, backend->list, backend->n, &options, error);
  if (component == NULL)
    return FALSE;

  if (atl_json_string (c->params, "rule", NULL) != NULL)
    outputs = run_weighted (c, component, error);
  else
    {
      for (guint i = 0; i < c->inputs->len; i++)
        atl_request_add (request, copy_array (c->inputs->pdata[i]));
      add_params (request, c->params);
      outputs = atl_component_run (component, request, NULL, error);
    }
  if (outputs == NULL)
    return FALSE;
  for (guint i = 0; i < c->expected->len; i++)
    {
      const AtlArray *expected = c->expected->pdata[i];
      AtlArray *got = atl_arrays_find (outputs, expected->name);

      golden_report_result (report, c, backend, expected->name,
                            got != NULL ? atl_array_rel_l2 (got, expected) : INFINITY,
                            golden_tolerance (c, backend));
    }
  return TRUE;
}

void
golden_run_component (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend)
{
  AtlCheckpoint *lora_checkpoints[MAX_LORAS] = { NULL };
  g_autoptr (GError) error = NULL;

  if (!run (report, c, backend, lora_checkpoints, &error))
    golden_report_error (report, c, backend, error);
  for (guint i = 0; i < MAX_LORAS; i++)
    atl_checkpoint_unref (lora_checkpoints[i]);
}
