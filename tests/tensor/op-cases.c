/* The list of cases, and how one is built, run and judged. */
#include "op-cases-private.h"

#include <math.h>
#include <string.h>

typedef struct
{
  char *name;
  GBytes *bytes;
} OpInput;

static GPtrArray *cases;

static void
input_free (gpointer data)
{
  OpInput *input = data;

  g_free (input->name);
  g_bytes_unref (input->bytes);
  g_free (input);
}

static void
ensure_cases (void)
{
  if (cases != NULL)
    return;
  cases = g_ptr_array_new ();
  op_cases_linear ();
  op_cases_norm ();
  op_cases_attention ();
  op_cases_elementwise ();
  op_cases_conv ();
  op_cases_recurrent ();
}

guint
op_cases_n (void)
{
  ensure_cases ();
  return cases->len;
}

const OpCase *
op_case_get (guint i)
{
  ensure_cases ();
  return cases->pdata[i];
}

const char *
op_case_name (const OpCase *c)
{
  return c->name;
}

void
op_case_add (OpBuildFunc build,
             const OpCaseParams *p,
             double exact_tolerance,
             double fast_tolerance,
             const char *format,
             ...)
{
  OpCase *c = g_new0 (OpCase, 1);
  va_list args;

  va_start (args, format);
  c->name = g_strdup_vprintf (format, args);
  va_end (args);
  c->build = build;
  c->p = *p;
  c->exact_tolerance = exact_tolerance;
  c->fast_tolerance = fast_tolerance;
  g_ptr_array_add (cases, c);
}

static AtlTensor *
add_input (OpBuild *b, AtlDType dtype, guint n_dims, const gint64 *dim, GBytes *bytes)
{
  OpInput *input = g_new0 (OpInput, 1);

  input->name = g_strdup_printf ("in%u", b->inputs->len);
  input->bytes = bytes;
  g_ptr_array_add (b->inputs, input);
  return atl_graph_input (b->graph, input->name, dtype, n_dims, dim);
}

static gint64
product (guint n_dims, const gint64 *dim)
{
  gint64 n = 1;

  for (guint i = 0; i < n_dims; i++)
    n *= dim[i];
  return n;
}

AtlTensor *
op_input (OpBuild *b, guint n_dims, const gint64 *dim)
{
  gint64 n = product (n_dims, dim);
  float *x = g_new (float, n);

  for (gint64 i = 0; i < n; i++)
    x[i] = op_random (&b->random);
  return add_input (b, ATL_DTYPE_F32, n_dims, dim, g_bytes_new_take (x, n * sizeof *x));
}

AtlTensor *
op_input_i32 (OpBuild *b, guint n_dims, const gint64 *dim, const gint32 *values)
{
  return add_input (b, ATL_DTYPE_I32, n_dims, dim,
                    g_bytes_new (values, product (n_dims, dim) * sizeof *values));
}

AtlTensor *
op_weight (OpBuild *b, AtlWeightUse use, AtlDType dtype, guint n_dims, const gint64 *dim)
{
  const AtlDTypeInfo *info = atl_dtype_info (dtype);
  gint64 n = product (n_dims, dim);
  gsize size = (gsize) n / info->block_elems * info->block_bytes;
  guint8 *data = g_malloc (size);
  g_autofree char *name = g_strdup_printf ("w%u", atl_weights_n (b->weights));
  AtlWeight *w;

  op_random_weights (&b->random, dtype, data, n);
  w = atl_weights_add_bytes (b->weights, use, 0, dtype, n_dims, dim, g_bytes_new_take (data, size),
                             name);
  return atl_weight (b->graph, w);
}

AtlTensor *
op_vector (OpBuild *b, gint64 n)
{
  return op_weight_of (b, ATL_USE_VECTOR, ATL_DTYPE_F32, n);
}

AtlTensor *
op_state (OpBuild *b, AtlDType dtype, guint n_dims, const gint64 *dim)
{
  AtlState *state = atl_state_new (b->backend, "state", dtype, n_dims, dim, &b->error);

  g_assert_no_error (b->error);
  g_ptr_array_add (b->states, state);
  return atl_state (b->graph, state);
}

void
op_output (OpBuild *b, AtlTensor *t)
{
  g_autofree char *name = g_strdup_printf ("out%u", b->outputs->len);
  const char *interned = g_intern_string (name);

  atl_graph_output (b->graph, t, interned);
  g_ptr_array_add (b->outputs, (gpointer) interned);
}

static AtlBackend *
place_cb (const AtlWeight *weight, gpointer user_data)
{
  return user_data;
}

static gboolean
append_output (GArray *result, AtlPlan *plan, const char *name, GError **error)
{
  const AtlTensor *t = atl_plan_tensor (plan, name);
  gsize n = (gsize) atl_tensor_n_elems (t);
  g_autofree gint32 *raw = g_new (gint32, n);

  g_assert (atl_dtype_info (t->dtype)->block_bytes == 4);
  if (!atl_plan_get_output (plan, name, raw, n * 4, error))
    return FALSE;
  for (gsize i = 0; i < n; i++)
    {
      float v;

      if (t->dtype == ATL_DTYPE_I32)
        v = (float) raw[i];
      else
        memcpy (&v, &raw[i], sizeof v);
      g_array_append_val (result, v);
    }
  return TRUE;
}

static gboolean
run_plan (OpBuild *b, AtlBackend *const *backends, guint n_backends, GArray *result, GError **error)
{
  g_autoptr (AtlPlan) plan = NULL;

  plan = atl_plan_new (g_steal_pointer (&b->graph), backends, n_backends, error);
  if (plan == NULL || !atl_plan_allocate (plan, error))
    return FALSE;
  for (guint i = 0; i < b->inputs->len; i++)
    {
      const OpInput *input = b->inputs->pdata[i];
      gsize size;
      const void *data = g_bytes_get_data (input->bytes, &size);

      if (!atl_plan_set_input (plan, input->name, data, size, error))
        return FALSE;
    }
  if (!atl_plan_run (plan, NULL, error))
    return FALSE;
  for (guint i = 0; i < b->outputs->len; i++)
    if (!append_output (result, plan, b->outputs->pdata[i], error))
      return FALSE;
  return TRUE;
}

GArray *
op_case_run (const OpCase *c, AtlBackend *const *backends, guint n_backends, GError **error)
{
  g_autoptr (GArray) result = g_array_new (FALSE, FALSE, sizeof (float));
  OpBuild b = {
    .random = { g_str_hash (c->name) },
    .graph = atl_graph_new (),
    .checkpoint = atl_checkpoint_new ("test"),
    .inputs = g_ptr_array_new_with_free_func (input_free),
    .states = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_state_free),
    .outputs = g_ptr_array_new (),
    .backend = backends[0],
  };
  gboolean ok;

  b.weights = atl_weights_new (b.checkpoint);
  c->build (&b, &c->p);
  ok = atl_weights_upload (b.weights, place_cb, backends[0], NULL, NULL, NULL, error) &&
       run_plan (&b, backends, n_backends, result, error);

  atl_graph_free (b.graph);
  atl_weights_free (b.weights);
  atl_checkpoint_unref (b.checkpoint);
  g_ptr_array_unref (b.inputs);
  g_ptr_array_unref (b.states);
  g_ptr_array_unref (b.outputs);
  return ok ? g_steal_pointer (&result) : NULL;
}

double
op_case_compare (const OpCase *c, const GArray *got, const GArray *want, gboolean exact)
{
  const float *g = (const float *) got->data;
  const float *w = (const float *) want->data;
  double tolerance = exact ? c->exact_tolerance : c->fast_tolerance;
  double difference = 0.0;
  double size = 0.0;

  if (got->len != want->len)
    return INFINITY;
  for (guint i = 0; i < got->len; i++)
    {
      double d;

      if (g[i] == w[i] || (isnan (g[i]) && isnan (w[i])))
        d = 0.0;
      else
        d = (double) g[i] - w[i];
      if (!isfinite (d))
        return INFINITY;
      difference += d * d;
      if (isfinite (w[i]))
        size += (double) w[i] * w[i];
    }
  if (difference == 0.0)
    return 0.0;
  return sqrt (difference) / (tolerance * sqrt (size));
}
