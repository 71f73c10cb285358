/* Placement, transfers, and replay of a planned graph. */
#define G_LOG_DOMAIN "atl-tensor"

#include "engine/tensor/plan-private.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/tensor/weights.h"

guint
plan_backend_index (const AtlPlan *self, const AtlBackend *backend)
{
  for (guint i = 0; i < self->n_backends; i++)
    if (self->backends[i] == backend)
      return i;
  g_assert_not_reached ();
}

static AtlBackend *
host_backend (const AtlPlan *self)
{
  return self->backends[self->n_backends - 1];
}

/* Where the rule wants the node; see plan.h. */
static AtlBackend *
preferred_backend (const AtlPlan *self, const AtlNode *node)
{
  for (guint i = 0; i < ATL_NODE_MAX_SRC; i++)
    if (node->src[i] != NULL && node->src[i]->kind == ATL_TENSOR_STATE)
      return atl_tensor_base (node->src[i])->state->buffer->backend;
  for (guint i = 0; i < ATL_NODE_MAX_SRC; i++)
    if (node->src[i] != NULL && node->src[i]->kind == ATL_TENSOR_WEIGHT)
      {
        AtlBackend *home = atl_tensor_base (node->src[i])->weight->home;
        return home != NULL ? home : host_backend (self);
      }
  /* A residual may come from afar, where the embedding was looked up; the branch that is added to
   * it was computed last, where the layer is. */
  const AtlTensor *latest = NULL;
  for (guint i = 0; i < ATL_NODE_MAX_SRC; i++)
    {
      const AtlTensor *src = node->src[i] != NULL ? atl_tensor_base (node->src[i]) : NULL;

      if (src != NULL && src->kind == ATL_TENSOR_VALUE &&
          (latest == NULL || src->index > latest->index))
        latest = src;
    }
  return latest != NULL ? latest->backend : self->backends[0];
}

static gboolean
ensure_weights (AtlBackend *backend, const AtlNode *node, GError **error)
{
  for (guint i = 0; i < ATL_NODE_MAX_SRC; i++)
    {
      AtlWeight *w = node->src[i] != NULL ? atl_tensor_base (node->src[i])->weight : NULL;

      if (w != NULL && !w->streams && w->store[backend->index] == NULL &&
          ((!backend->is_rehearsal && !atl_weight_make (w, error)) ||
           !backend->klass->upload (backend, w, error)))
        return FALSE;
    }
  return TRUE;
}

static AtlTensor *
mirror_of (AtlPlan *self, GHashTable *mirrors, AtlTensor *base, AtlBackend *backend)
{
  GHashTable *of_backend = g_hash_table_lookup (mirrors, backend);
  AtlTensor *mirror;
  PlanStep step = { .kind = STEP_TRANSFER };

  if (of_backend == NULL)
    {
      of_backend = g_hash_table_new (NULL, NULL);
      g_hash_table_insert (mirrors, backend, of_backend);
    }
  /* A state changes between uses: it is copied each time. */
  mirror = base->kind == ATL_TENSOR_STATE ? NULL : g_hash_table_lookup (of_backend, base);
  if (mirror != NULL)
    return mirror;

  mirror = g_memdup2 (base, sizeof *base);
  mirror->kind = ATL_TENSOR_VALUE;
  mirror->state = NULL;
  mirror->name = NULL;
  mirror->is_output = FALSE;
  mirror->backend = backend;
  mirror->buffer = NULL;
  g_ptr_array_add (self->mirrors, mirror);
  g_hash_table_insert (of_backend, base, mirror);
  step.from = base;
  step.to = mirror;
  g_array_append_val (self->steps, step);
  return mirror;
}

/* Replaces sources that live elsewhere by their copies on the node's backend. */
static void
bring_sources (AtlPlan *self, GHashTable *mirrors, AtlNode *node)
{
  for (guint i = 0; i < ATL_NODE_MAX_SRC; i++)
    {
      AtlTensor *t = node->src[i];
      AtlTensor *base;

      if (t == NULL)
        continue;
      base = atl_tensor_base (t);
      if (base->kind == ATL_TENSOR_WEIGHT)
        continue;
      if (base->backend == NULL) /* an input nobody has claimed */
        base->backend = node->backend;
      if (base->backend == node->backend)
        continue;

      AtlTensor *mirror = mirror_of (self, mirrors, base, node->backend);
      if (t != base)
        {
          AtlTensor *view = g_memdup2 (t, sizeof *t);
          view->base = mirror;
          g_ptr_array_add (self->mirrors, view);
          node->src[i] = view;
        }
      else
        node->src[i] = mirror;
    }
}

static gboolean
place (AtlPlan *self, GError **error)
{
  g_autoptr (GHashTable) mirrors =
      g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify) g_hash_table_unref);

  for (guint i = 0; i < atl_graph_n_nodes (self->graph); i++)
    {
      AtlNode *node = atl_graph_node (self->graph, i);
      AtlBackend *backend = preferred_backend (self, node);
      PlanStep step = { .kind = STEP_RUN, .n = 1 };

      if (!backend->klass->supports (backend, node))
        {
          self->n_fallbacks++;
          g_debug ("%s cannot do %s: on the host", backend->description, atl_op_name (node->op));
          if (atl_op_writes_state (node->op))
            {
              g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                           _ ("%s cannot keep the %s values of “%s”"), backend->description,
                           atl_dtype_name (node->dst->dtype), atl_op_name (node->op));
              return FALSE;
            }
          backend = host_backend (self);
          if (!backend->klass->supports (backend, node))
            {
              g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                           _ ("The operation “%s” on %s values is not supported"),
                           atl_op_name (node->op), atl_dtype_name (node->src[0]->dtype));
              return FALSE;
            }
        }
      if (!ensure_weights (backend, node, error))
        return FALSE;
      node->backend = backend;
      if (node->dst->kind == ATL_TENSOR_VALUE)
        node->dst->backend = backend;
      if (node->dst2 != NULL)
        node->dst2->backend = backend;
      bring_sources (self, mirrors, node);
      step.backend = backend;
      step.streams = plan_node_streams (node);
      step.first = self->nodes->len;
      g_ptr_array_add (self->nodes, node);
      g_array_append_val (self->steps, step);
    }
  for (guint i = 0; i < atl_graph_n_tensors (self->graph); i++)
    {
      AtlTensor *t = atl_graph_tensor (self->graph, i);
      if (t->kind == ATL_TENSOR_INPUT && t->base == NULL && t->backend == NULL)
        t->backend = host_backend (self);
    }
  return TRUE;
}

/* Neighbouring nodes of one backend become one step. */
static void
merge_steps (AtlPlan *self)
{
  g_autoptr (GArray) old = self->steps;

  self->steps = g_array_new (FALSE, FALSE, sizeof (PlanStep));
  for (guint i = 0; i < old->len; i++)
    {
      PlanStep *step = &g_array_index (old, PlanStep, i);
      PlanStep *last = self->steps->len > 0
                           ? &g_array_index (self->steps, PlanStep, self->steps->len - 1)
                           : NULL;

      if (last != NULL && last->kind == STEP_RUN && step->kind == STEP_RUN &&
          last->backend == step->backend && !last->streams && !step->streams)
        last->n += step->n;
      else
        g_array_append_val (self->steps, *step);
    }
}

AtlPlan *
atl_plan_new (AtlGraph *graph, AtlBackend *const *backends, guint n_backends, GError **error)
{
  g_autoptr (AtlPlan) self = g_new0 (AtlPlan, 1);

  g_assert (n_backends >= 1 && n_backends <= ATL_MAX_BACKENDS);
  g_assert (backends[n_backends - 1]->is_host);
  self->graph = graph;
  self->n_backends = n_backends;
  memcpy (self->backends, backends, n_backends * sizeof *backends);
  self->nodes = g_ptr_array_new ();
  self->mirrors = g_ptr_array_new_with_free_func (g_free);
  self->steps = g_array_new (FALSE, FALSE, sizeof (PlanStep));
  self->values = g_array_new (FALSE, FALSE, sizeof (PlanValue));

  if (atl_graph_error (graph) != NULL)
    {
      if (error != NULL)
        *error = g_error_copy (atl_graph_error (graph));
      return NULL;
    }
  if (!place (self, error))
    return NULL;
  plan_memory_layout (self);
  merge_steps (self);
  return g_steal_pointer (&self);
}

static void
release_buffers (AtlPlan *self)
{
  for (guint b = 0; b < self->n_backends; b++)
    {
      PlanArena *arena = &self->arena[b];
      AtlBackend *backend = self->backends[b];

      for (guint i = 0; arena->buffers != NULL && i < arena->buffers->len; i++)
        backend->klass->free_buffer (backend, arena->buffers->pdata[i]);
      g_clear_pointer (&arena->buffers, g_ptr_array_unref);
      if (arena->scratch != NULL)
        backend->klass->free_buffer (backend, g_steal_pointer (&arena->scratch));
    }
  g_clear_pointer (&self->staging, g_free);
  self->allocated = FALSE;
}

void
atl_plan_free (AtlPlan *self)
{
  if (self == NULL)
    return;
  release_buffers (self);
  for (guint b = 0; b < self->n_backends; b++)
    g_clear_pointer (&self->arena[b].bucket_sizes, g_array_unref);
  g_array_unref (self->values);
  g_array_unref (self->steps);
  g_ptr_array_unref (self->mirrors);
  g_ptr_array_unref (self->nodes);
  atl_graph_free (self->graph);
  g_free (self);
}

gboolean
atl_plan_allocate (AtlPlan *self, GError **error)
{
  if (self->allocated)
    return TRUE;
  for (guint b = 0; b < self->n_backends; b++)
    {
      PlanArena *arena = &self->arena[b];
      AtlBackend *backend = self->backends[b];

      arena->buffers = g_ptr_array_new ();
      for (guint i = 0; i < arena->bucket_sizes->len; i++)
        {
          gsize size = g_array_index (arena->bucket_sizes, gsize, i);
          AtlBuffer *buffer = backend->klass->alloc (backend, MAX (size, 1), error);

          if (buffer == NULL)
            {
              release_buffers (self);
              return FALSE;
            }
          g_ptr_array_add (arena->buffers, buffer);
        }
      if (arena->scratch_bytes > 0)
        {
          arena->scratch = backend->klass->alloc (backend, arena->scratch_bytes, error);
          if (arena->scratch == NULL)
            {
              release_buffers (self);
              return FALSE;
            }
        }
    }

  for (guint i = 0; i < self->values->len; i++)
    {
      PlanValue *v = &g_array_index (self->values, PlanValue, i);
      v->tensor->buffer = self->arena[v->backend].buffers->pdata[v->bucket];
      v->tensor->buffer_offset = v->offset;
    }
  for (guint i = 0; i < self->steps->len; i++)
    {
      PlanStep *step = &g_array_index (self->steps, PlanStep, i);
      if (step->kind == STEP_TRANSFER && !step->from->backend->is_host &&
          !step->to->backend->is_host)
        self->staging_bytes = MAX (self->staging_bytes, plan_tensor_bytes (step->from));
    }
  if (self->staging_bytes > 0)
    self->staging = g_malloc (self->staging_bytes);
  self->allocated = TRUE;
  return TRUE;
}

static AtlTensor *
named_tensor (const AtlPlan *self, const char *name, gsize size_bytes, GError **error)
{
  AtlTensor *t = atl_graph_find (self->graph, name);

  g_assert (self->allocated);
  if (t == NULL || size_bytes > plan_tensor_bytes (t))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("“%s” is no tensor of this computation, or has another size"), name);
      return NULL;
    }
  return t;
}

gboolean
atl_plan_set_input (
    AtlPlan *self, const char *name, const void *data, gsize size_bytes, GError **error)
{
  AtlTensor *t = named_tensor (self, name, size_bytes, error);

  if (t == NULL)
    return FALSE;
  g_return_val_if_fail (t->kind == ATL_TENSOR_INPUT && size_bytes == plan_tensor_bytes (t), FALSE);
  return t->backend->klass->write (t->backend, t->buffer, t->buffer_offset, data, size_bytes,
                                   error);
}

gboolean
atl_plan_get_output (AtlPlan *self, const char *name, void *data, gsize size_bytes, GError **error)
{
  AtlTensor *t = named_tensor (self, name, size_bytes, error);

  if (t == NULL)
    return FALSE;
  return t->backend->klass->read (t->backend, t->buffer, t->buffer_offset, data, size_bytes, error);
}

static gboolean
transfer (AtlPlan *self, const PlanStep *step, GError **error)
{
  AtlTensor *from = step->from, *to = step->to;
  AtlBackend *a = from->backend, *b = to->backend;
  gboolean is_state = from->kind == ATL_TENSOR_STATE;
  AtlBuffer *buffer = is_state ? from->state->buffer : from->buffer;
  gsize n = plan_tensor_bytes (from);

  /* A state may have less memory than its shape says, as long as nobody reads beyond. */
  if (is_state)
    n = MIN (n, buffer->size_bytes);
  if (a->is_host)
    return b->klass->write (b, to->buffer, to->buffer_offset,
                            (guint8 *) buffer->host + from->buffer_offset, n, error);
  if (b->is_host)
    return a->klass->read (a, buffer, from->buffer_offset,
                           (guint8 *) to->buffer->host + to->buffer_offset, n, error);
  return a->klass->read (a, buffer, from->buffer_offset, self->staging, n, error) &&
         b->klass->write (b, to->buffer, to->buffer_offset, self->staging, n, error);
}

gboolean
atl_plan_run (AtlPlan *self, GCancellable *cancellable, GError **error)
{
  g_assert (self->allocated);
  for (guint i = 0; i < self->steps->len; i++)
    {
      PlanStep *step = &g_array_index (self->steps, PlanStep, i);

      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      if (step->kind == STEP_TRANSFER)
        {
          if (!transfer (self, step, error))
            return FALSE;
          continue;
        }
      AtlBuffer *scratch = self->arena[plan_backend_index (self, step->backend)].scratch;
      gboolean ok;

      if (step->streams && !plan_stream_fetch (self, step, error))
        return FALSE;
      ok = step->backend->klass->run (step->backend,
                                      (AtlNode *const *) self->nodes->pdata + step->first, step->n,
                                      scratch, cancellable, error);
      if (step->streams)
        plan_stream_drop (self, step);
      if (!ok)
        return FALSE;
    }
  return TRUE;
}

const AtlTensor *
atl_plan_tensor (const AtlPlan *self, const char *name)
{
  return atl_graph_find (self->graph, name);
}
