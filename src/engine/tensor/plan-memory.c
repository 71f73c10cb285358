/* Lifetimes and arenas: every value gets the lowest place in its backend's arena that no value
 * alive at the same time occupies; largest first. An arena that is larger than a backend's largest
 * buffer becomes several. */
#define G_LOG_DOMAIN "atl-tensor"

#include "engine/tensor/plan-private.h"

gsize
plan_tensor_bytes (const AtlTensor *t)
{
  const AtlDTypeInfo *info = atl_dtype_info (t->dtype);

  return (gsize) atl_tensor_n_elems (t) / info->block_elems * info->block_bytes;
}

static void
touch (AtlPlan *self, GHashTable *index, AtlTensor *t, guint step)
{
  PlanValue value = { 0 };
  gpointer found;

  t = atl_tensor_base (t);
  if (t->kind != ATL_TENSOR_VALUE && t->kind != ATL_TENSOR_INPUT)
    return;
  if (g_hash_table_lookup_extended (index, t, NULL, &found))
    {
      PlanValue *v = &g_array_index (self->values, PlanValue, GPOINTER_TO_UINT (found));
      v->first = MIN (v->first, step);
      v->last = MAX (v->last, step);
      return;
    }
  value.tensor = t;
  value.backend = plan_backend_index (self, t->backend);
  value.first = value.last = step;
  value.size_bytes = plan_tensor_bytes (t);
  g_hash_table_insert (index, t, GUINT_TO_POINTER (self->values->len));
  g_array_append_val (self->values, value);
}

static gint
compare_size (gconstpointer a, gconstpointer b, gpointer data)
{
  const PlanValue *values = data;
  const PlanValue *va = &values[*(const guint *) a], *vb = &values[*(const guint *) b];

  if (va->size_bytes != vb->size_bytes)
    return va->size_bytes > vb->size_bytes ? -1 : 1;
  return va->first < vb->first ? -1 : va->first > vb->first;
}

/* Lowest offset in `bucket` where `value` fits beside the already placed ones. `placed` is sorted
 * by offset. */
static gsize
lowest_offset (const PlanValue *values, GArray *placed, const PlanValue *value, gsize alignment)
{
  gsize offset = 0;

  for (guint i = 0; i < placed->len; i++)
    {
      const PlanValue *other = &values[g_array_index (placed, guint, i)];

      if (other->last < value->first || value->last < other->first)
        continue;
      if (other->offset >= offset + value->size_bytes)
        break;
      offset = MAX (offset, (other->offset + other->size_bytes + alignment - 1) & ~(alignment - 1));
    }
  return offset;
}

static void
insert_sorted (const PlanValue *values, GArray *placed, guint which)
{
  guint i = placed->len;

  while (i > 0 && values[g_array_index (placed, guint, i - 1)].offset > values[which].offset)
    i--;
  g_array_insert_val (placed, i, which);
}

static void
layout_backend (AtlPlan *self, guint b)
{
  AtlBackend *backend = self->backends[b];
  PlanArena *arena = &self->arena[b];
  PlanValue *values = (PlanValue *) self->values->data;
  g_autoptr (GArray) order = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GPtrArray) buckets = g_ptr_array_new_with_free_func ((GDestroyNotify) g_array_unref);

  for (guint i = 0; i < self->values->len; i++)
    if (values[i].backend == b)
      g_array_append_val (order, i);
  g_array_sort_with_data (order, compare_size, values);

  arena->bucket_sizes = g_array_new (FALSE, TRUE, sizeof (gsize));
  for (guint i = 0; i < order->len; i++)
    {
      guint which = g_array_index (order, guint, i);
      PlanValue *value = &values[which];

      for (guint k = 0;; k++)
        {
          if (k == buckets->len)
            {
              gsize zero = 0;
              g_ptr_array_add (buckets, g_array_new (FALSE, FALSE, sizeof (guint)));
              g_array_append_val (arena->bucket_sizes, zero);
            }
          GArray *placed = buckets->pdata[k];
          gsize *size = &g_array_index (arena->bucket_sizes, gsize, k);
          gsize offset = lowest_offset (values, placed, value, backend->alignment);

          if (placed->len > 0 && offset + value->size_bytes > backend->max_alloc)
            continue;
          value->bucket = k;
          value->offset = offset;
          *size = MAX (*size, offset + value->size_bytes);
          insert_sorted (values, placed, which);
          break;
        }
    }
}

void
plan_memory_layout (AtlPlan *self)
{
  g_autoptr (GHashTable) index = g_hash_table_new (NULL, NULL);
  guint end = self->steps->len;

  for (guint s = 0; s < self->steps->len; s++)
    {
      PlanStep *step = &g_array_index (self->steps, PlanStep, s);

      if (step->kind == STEP_TRANSFER)
        {
          touch (self, index, step->from, s);
          touch (self, index, step->to, s);
          continue;
        }
      /* Inside a run of nodes a finer clock would save memory; runs are split per node here so that
       * lifetimes are per node while the steps stay coarse. */
      g_assert (step->n == 1);
      AtlNode *node = self->nodes->pdata[step->first];
      for (guint i = 0; i < ATL_NODE_MAX_SRC; i++)
        if (node->src[i] != NULL)
          touch (self, index, node->src[i], s);
      touch (self, index, node->dst, s);
      if (node->dst2 != NULL)
        touch (self, index, node->dst2, s);
      gsize scratch = node->backend->klass->scratch_bytes != NULL
                          ? node->backend->klass->scratch_bytes (node->backend, node)
                          : 0;
      PlanArena *arena = &self->arena[plan_backend_index (self, node->backend)];
      arena->scratch_bytes = MAX (arena->scratch_bytes, scratch);
    }

  /* Inputs are written before the first step and may be kept over several runs; outputs are read
   * after the last. */
  for (guint i = 0; i < atl_graph_n_tensors (self->graph); i++)
    {
      AtlTensor *t = atl_graph_tensor (self->graph, i);

      if (t->base == NULL && (t->kind == ATL_TENSOR_INPUT || t->is_output))
        {
          touch (self, index, t, end);
          if (t->kind == ATL_TENSOR_INPUT)
            touch (self, index, t, 0);
        }
    }
  for (guint b = 0; b < self->n_backends; b++)
    layout_backend (self, b);
}
