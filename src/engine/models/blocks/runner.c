/* Plans of components, by shape. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/blocks/runner.h"

#include <glib/gi18n.h>
#include <string.h>

/* Of all functions, and of one: of shapes that do not come again. */
#define MAX_PLANS 12
#define MAX_PLANS_OF_ONE 3

typedef struct
{
  char *key;          /* (owned) with the shapes */
  gsize n_function;   /* of it the beginning: the function */
  AtlPlan *plan;      /* (owned) */
  GPtrArray *outputs; /* (owned) names, interned */
  guint64 last_used;
} RunnerPlan;

struct _AtlRunner
{
  AtlBackend *backends[ATL_MAX_BACKENDS];
  guint n_backends;
  RunnerPlan plans[MAX_PLANS];
  guint64 clock;
};

AtlRunner *
atl_runner_new (AtlBackend *const *backends, guint n_backends)
{
  AtlRunner *self = g_new0 (AtlRunner, 1);

  self->n_backends = n_backends;
  memcpy (self->backends, backends, n_backends * sizeof *backends);
  return self;
}

static void
plan_clear (RunnerPlan *p)
{
  g_clear_pointer (&p->key, g_free);
  g_clear_pointer (&p->plan, atl_plan_free);
  g_clear_pointer (&p->outputs, g_ptr_array_unref);
}

void
atl_runner_forget (AtlRunner *self)
{
  for (guint i = 0; i < MAX_PLANS; i++)
    plan_clear (&self->plans[i]);
}

void
atl_runner_free (AtlRunner *self)
{
  if (self == NULL)
    return;
  atl_runner_forget (self);
  g_free (self);
}

static char *
shape_key (const char *key, GPtrArray *inputs)
{
  GString *s = g_string_new (key);

  for (guint i = 0; i < inputs->len; i++)
    {
      const AtlArray *a = inputs->pdata[i];
      g_autofree char *shape = atl_shape_to_string (a->n_dims, a->dim);
      g_string_append_printf (s, " %s%s", a->name, shape);
    }
  return g_string_free (s, FALSE);
}

static RunnerPlan *
find_plan (AtlRunner *self,
           const char *key,
           AtlDescribeFunc describe,
           gpointer model,
           GPtrArray *inputs,
           GError **error)
{
  g_autofree char *full = shape_key (key, inputs);
  RunnerPlan *oldest = &self->plans[0], *oldest_of_one = NULL;
  gsize n_function = strcspn (key, " -");
  guint n_of_one = 0;
  AtlGraph *g;
  g_autoptr (AtlPlan) plan = NULL;

  for (guint i = 0; i < MAX_PLANS; i++)
    {
      RunnerPlan *p = &self->plans[i];
      if (g_strcmp0 (p->key, full) == 0)
        {
          p->last_used = ++self->clock;
          return p;
        }
      if (p->last_used < oldest->last_used)
        oldest = p;
      if (p->key == NULL || p->n_function != n_function || strncmp (p->key, key, n_function) != 0)
        continue;
      n_of_one++;
      if (oldest_of_one == NULL || p->last_used < oldest_of_one->last_used)
        oldest_of_one = p;
    }
  if (n_of_one >= MAX_PLANS_OF_ONE)
    oldest = oldest_of_one;

  plan_clear (oldest);
  g = atl_graph_new ();
  describe (g, model, inputs);
  oldest->outputs = g_ptr_array_new ();
  for (guint i = 0; i < atl_graph_n_tensors (g); i++)
    {
      const AtlTensor *t = atl_graph_tensor (g, i);
      if (t->is_output)
        g_ptr_array_add (oldest->outputs, (gpointer) t->name);
    }
  plan = atl_plan_new (g, self->backends, self->n_backends, error);
  if (plan == NULL || !atl_plan_allocate (plan, error))
    {
      plan_clear (oldest);
      return NULL;
    }
  oldest->plan = g_steal_pointer (&plan);
  oldest->key = g_steal_pointer (&full);
  oldest->n_function = n_function;
  oldest->last_used = ++self->clock;
  return oldest;
}

gboolean
atl_runner_run (AtlRunner *self,
                const char *key,
                AtlDescribeFunc describe,
                gpointer model,
                GPtrArray *inputs,
                GPtrArray *outputs,
                GCancellable *cancellable,
                GError **error)
{
  RunnerPlan *p = find_plan (self, key, describe, model, inputs, error);

  if (p == NULL)
    return FALSE;
  for (guint i = 0; i < inputs->len; i++)
    {
      const AtlArray *a = inputs->pdata[i];
      if (atl_plan_tensor (p->plan, a->name) != NULL &&
          !atl_plan_set_input (p->plan, a->name, a->data, atl_array_size (a), error))
        return FALSE;
    }
  if (!atl_plan_run (p->plan, cancellable, error))
    return FALSE;
  for (guint i = 0; i < p->outputs->len; i++)
    {
      const char *name = p->outputs->pdata[i];
      const AtlTensor *t = atl_plan_tensor (p->plan, name);
      g_autoptr (AtlArray) a = atl_array_try_new (name, ATL_DTYPE_F32, t->n_dims, t->dim, error);

      if (a == NULL || !atl_plan_get_output (p->plan, name, a->data, atl_array_size (a), error))
        return FALSE;
      g_ptr_array_add (outputs, g_steal_pointer (&a));
    }
  return TRUE;
}

AtlTensor *
atl_runner_input (AtlGraph *g, GPtrArray *inputs, const char *name)
{
  AtlTensor *t = atl_graph_find (g, name);
  const AtlArray *a;

  if (t != NULL)
    return t;
  a = atl_arrays_find (inputs, name);
  if (a == NULL)
    {
      atl_graph_fail (g, _ ("The input “%s” is missing"), name);
      return atl_graph_input (g, name, ATL_DTYPE_F32, 1, (gint64[]){ 1 });
    }
  return atl_graph_input (g, name, a->dtype, MAX (a->n_dims, 1),
                          a->n_dims > 0 ? a->dim : (gint64[]){ 1 });
}

AtlBackend *
atl_place_on (const AtlWeight *weight, gpointer user_data)
{
  return user_data;
}
