/* Golden cases of encoders, denoisers and autoencoders. */
#define G_LOG_DOMAIN "atl-tools"

#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/convert/hf.h"
#include "engine/diffusion/step-cache.h"
#include "engine/models/component.h"
#include "engine/tools/golden-case.h"

#define MAX_LORAS 8

/* "img_shapes": frames, rows and columns of each picture, also as a list for each prompt. */
static void
add_shapes (AtlRequest *request, JsonArray *list)
{
  AtlArray *a;

  if (json_array_get_length (list) == 1 &&
      JSON_NODE_HOLDS_ARRAY (json_array_get_element (list, 0)) &&
      json_array_get_length (json_array_get_array_element (list, 0)) > 0 &&
      JSON_NODE_HOLDS_ARRAY (json_array_get_element (json_array_get_array_element (list, 0), 0)))
    list = json_array_get_array_element (list, 0);
  a = atl_array_new ("img_shapes", ATL_DTYPE_I32, 2, (gint64[]){ json_array_get_length (list), 3 });
  for (guint i = 0; i < json_array_get_length (list); i++)
    {
      JsonNode *node = json_array_get_element (list, i);
      JsonArray *shape = JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

      for (guint k = 0; shape != NULL && json_array_get_length (shape) == 3 && k < 3; k++)
        atl_array_i32 (a)[3 * i + k] = (gint32) json_array_get_int_element (shape, k);
    }
  atl_request_add (request, a);
}

/* Numbers and lists of numbers among the case's parameters become numbers and arrays of the
 * request. */
static void
add_params (AtlRequest *request, JsonObject *params)
{
  static const char *const lists[] = { "token_ids", "attention_mask", "layer", "noisy", NULL };
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
          else if (g_str_equal (name, "layer") &&
                   g_strcmp0 (json_node_get_string (node), "all") == 0)
            atl_request_set_number (request, "all_layers", 1);
        }
      else if (JSON_NODE_HOLDS_ARRAY (node) && g_str_equal (name, "img_shapes"))
        add_shapes (request, json_node_get_array (node));
      else if (JSON_NODE_HOLDS_ARRAY (node) && g_strv_contains (lists, name))
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
copy_array (const AtlArray *a, const char *name)
{
  AtlArray *copy = atl_array_new (name, a->dtype, a->n_dims, a->dim);

  memcpy (copy->data, a->data, atl_array_size (a));
  return copy;
}

/* Lists of names of inputs, such as "images": ["a", null, "b"], become images_0 and images_2. */
static void
add_named (AtlRequest *request, const GoldenCase *c)
{
  static const char *const lists[] = { "images", "captions", "image_features" };

  for (gsize i = 0; i < G_N_ELEMENTS (lists); i++)
    {
      JsonArray *list = c->params != NULL ? atl_json_array (c->params, lists[i]) : NULL;

      for (guint k = 0; list != NULL && k < json_array_get_length (list); k++)
        {
          JsonNode *node = json_array_get_element (list, k);
          g_autofree char *name = g_strdup_printf ("%s_%u", lists[i], k);
          AtlArray *a = JSON_NODE_HOLDS_VALUE (node) && json_node_get_string (node) != NULL
                            ? atl_arrays_find (c->inputs, json_node_get_string (node))
                            : NULL;

          if (a != NULL)
            atl_request_add (request, copy_array (a, name));
        }
    }
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

static AtlRequest *
make_request (const GoldenCase *c)
{
  AtlRequest *request = atl_request_new (c->kind);

  /* The cases of Wan have what TAEHV's own code gives, those of its family what a pipeline has. */
  if (g_strcmp0 (c->architecture, "TAEHV") == 0 &&
      (c->params == NULL || !json_object_has_member (c->params, "patch")))
    atl_request_set_number (request, "unit_range", 1);
  for (guint i = 0; i < c->inputs->len; i++)
    {
      const AtlArray *a = c->inputs->pdata[i];

      atl_request_add (request, copy_array (a, a->name));
    }
  add_named (request, c);
  add_params (request, c->params);
  return request;
}

static GPtrArray *
run_component (const AtlRequest *request, gpointer user_data, GError **error)
{
  return atl_component_run (user_data, request, NULL, error);
}

/* The same in parts, as what leaves out steps has it: the second of two steps that are alike is
 * made of what the first one kept. */
static gboolean
run_parts (GoldenReport *report,
           const GoldenCase *c,
           const GoldenBackend *backend,
           AtlComponent *component,
           AtlSkipMethod method,
           const char *name,
           GError **error)
{
  const AtlStepRule rule = { .method = method, .n_steps = 3, .n_first = 1, .interval = 9 };
  g_autoptr (AtlStepCache) cache = atl_step_cache_new (&rule, 0, NULL);
  const AtlArray *expected = atl_arrays_find (c->expected, "output");
  double worst = expected != NULL ? 0 : INFINITY;

  for (guint step = 0; step < 2 && expected != NULL; step++)
    {
      g_autoptr (AtlRequest) request = make_request (c);
      g_autoptr (GError) local = NULL;
      g_autoptr (AtlArray) output =
          atl_step_cache_run (cache, request, run_component, component, &local);

      /* Some with this network's name have side blocks, which read the whole. */
      if (output == NULL && g_error_matches (local, ATL_ERROR, ATL_ERROR_UNSUPPORTED))
        return TRUE;
      if (output == NULL)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
      worst = MAX (worst, atl_array_rel_l2 (output, expected));
      if (atl_step_cache_computed (cache) != (step == 0))
        worst = INFINITY;
    }
  golden_report_result (report, c, backend, name, worst, golden_tolerance (c, backend));
  return TRUE;
}

/* Where a case says so its authors kept the rows of the text and not those of the padding. */
static void
keep_valid_rows (const GoldenCase *c, const AtlRequest *request, GPtrArray *outputs)
{
  AtlArray *mask = atl_request_find (request, "attention_mask");
  AtlArray *hidden = atl_arrays_find (outputs, "hidden");
  gint64 n = 0;

  if (g_strcmp0 (atl_json_string (c->params, "rows", NULL), "the valid tokens only") != 0 ||
      mask == NULL || mask->dtype != ATL_DTYPE_I32 || hidden == NULL || hidden->n_dims != 3 ||
      hidden->dim[0] != 1)
    return;
  for (gint64 i = 0; i < atl_array_n_elems (mask); i++)
    n += atl_array_i32 (mask)[i] != 0;
  hidden->dim[1] = MIN (hidden->dim[1], n);
}

static gboolean
run (GoldenReport *report,
     const GoldenCase *c,
     const GoldenBackend *backend,
     AtlCheckpoint **lora_checkpoints,
     GError **error)
{
  g_autoptr (AtlCheckpoint) files = NULL;
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_autoptr (AtlComponent) component = NULL;
  g_autoptr (AtlRequest) request = NULL;
  g_autoptr (GPtrArray) outputs = NULL;
  AtlLoraFile loras[MAX_LORAS];
  AtlLoadOptions options = { .loras = loras };
  const AtlComponentClass *klass;
  const char *projector;

  projector = atl_json_string (atl_json_object (c->params, "components"), "mmproj", NULL);
  /* A picture's own file beside a language model. */
  if (projector != NULL && g_str_equal (c->kind, "encode_image"))
    files = golden_open (c, c->model, projector, error);
  else
    files = golden_open (c, c->model, c->component, error);
  /* A vision tower beside a language model keeps its names. */
  if (files != NULL)
    cp = g_str_equal (c->kind, "encode_image") ? atl_checkpoint_ref (files)
                                               : atl_hf_adopt_part (files, error);
  if (cp == NULL ||
      !golden_open_loras (c, loras, lora_checkpoints, MAX_LORAS, &options.n_loras, error))
    return FALSE;
  klass = atl_component_class_for (cp, c->architecture, c->kind, error);
  if (klass == NULL)
    return FALSE;
  component = atl_component_load (klass, cp, backend->list, backend->n, &options, error);
  if (component == NULL)
    return FALSE;
  request = make_request (c);
  outputs = atl_component_run (component, request, NULL, error);
  if (outputs == NULL)
    return FALSE;
  keep_valid_rows (c, request, outputs);
  golden_report_outputs (report, c, backend, outputs);
  return !g_str_equal (c->kind, "forward") ||
         ((!g_strv_contains (klass->functions, "forward_first") ||
           run_parts (report, c, backend, component, ATL_SKIP_FIRST_BLOCK, "output in parts",
                      error)) &&
          (!g_strv_contains (klass->functions, "forward_attention") ||
           run_parts (report, c, backend, component, ATL_SKIP_TAYLOR_ATTENTION,
                      "output of kept attention", error)));
}

void
golden_run_component (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend)
{
  AtlCheckpoint *lora_checkpoints[MAX_LORAS] = { NULL };
  g_autoptr (GError) error = NULL;

  if (golden_is_prompt (c))
    {
      golden_run_prompt (report, c, backend);
      return;
    }
  if (!run (report, c, backend, lora_checkpoints, &error))
    golden_report_error (report, c, backend, error);
  for (guint i = 0; i < MAX_LORAS; i++)
    atl_checkpoint_unref (lora_checkpoints[i]);
}
