/* The graph's storage, its leaves and its views. Ops are in graph-ops.c and graph-image.c. */
#define G_LOG_DOMAIN "atl-tensor"

#include "engine/tensor/backend.h"

#include <inttypes.h>
#include <glib/gi18n.h>
#include "engine/tensor/graph-private.h"

AtlGraph *
atl_graph_new (void)
{
  AtlGraph *self = g_new0 (AtlGraph, 1);

  self->tensors = g_ptr_array_new_with_free_func (g_free);
  self->nodes = g_ptr_array_new_with_free_func (g_free);
  self->names = g_hash_table_new (g_str_hash, g_str_equal);
  self->dummy.n_dims = ATL_MAX_DIMS;
  self->dummy.dtype = ATL_DTYPE_F32;
  for (guint i = 0; i < ATL_MAX_DIMS; i++)
    self->dummy.dim[i] = self->dummy.stride[i] = 1;
  return self;
}

void
atl_graph_free (AtlGraph *self)
{
  if (self == NULL)
    return;
  g_ptr_array_unref (self->tensors);
  g_ptr_array_unref (self->nodes);
  g_hash_table_unref (self->names);
  g_clear_error (&self->error);
  g_free (self);
}

const GError *
atl_graph_error (const AtlGraph *self)
{
  return self->error;
}

void
atl_graph_fail (AtlGraph *self, const char *format, ...)
{
  va_list args;

  if (self->error != NULL)
    return;
  va_start (args, format);
  self->error = g_error_new_valist (ATL_ERROR, ATL_ERROR_BAD_FILE, format, args);
  va_end (args);
}

const char *
graph_label (const AtlTensor *t)
{
  const AtlTensor *b = t->base != NULL ? t->base : t;

  if (b->weight != NULL)
    return b->weight->name;
  if (b->state != NULL)
    return b->state->name;
  return b->name != NULL ? b->name : _ ("a computed value");
}

void
graph_fail_shape (AtlGraph *self, const char *op, const AtlTensor *t, const char *expected)
{
  g_autofree char *found = atl_shape_to_string (t->n_dims, t->dim);

  atl_graph_fail (self, _ ("%s: %s is %s %s; expected %s"), op, graph_label (t),
                  atl_dtype_name (t->dtype), found, expected);
}

static void
set_contiguous (AtlTensor *t)
{
  gint64 stride = 1;

  for (guint i = t->n_dims; i-- > 0;)
    {
      t->stride[i] = stride;
      stride *= t->dim[i];
    }
}

AtlTensor *
graph_new_tensor (
    AtlGraph *self, AtlTensorKind kind, AtlDType dtype, guint n_dims, const gint64 *dim)
{
  AtlTensor *t = g_new0 (AtlTensor, 1);

  g_assert (n_dims >= 1 && n_dims <= ATL_MAX_DIMS);
  t->index = self->tensors->len;
  t->kind = kind;
  t->dtype = dtype;
  t->n_dims = n_dims;
  for (guint i = 0; i < n_dims; i++)
    t->dim[i] = dim[i];
  set_contiguous (t);
  g_ptr_array_add (self->tensors, t);
  return t;
}

AtlNode *
graph_new_node (AtlGraph *self, AtlOp op, guint n_dims, const gint64 *dim)
{
  AtlNode *node = g_new0 (AtlNode, 1);

  node->op = op;
  node->dst = graph_new_tensor (self, ATL_TENSOR_VALUE, ATL_DTYPE_F32, n_dims, dim);
  node->dst->producer = node;
  g_ptr_array_add (self->nodes, node);
  return node;
}

AtlTensor *
graph_new_view (AtlGraph *self, AtlTensor *t)
{
  AtlTensor *v = g_memdup2 (t, sizeof *t);

  v->index = self->tensors->len;
  v->base = atl_tensor_base (t);
  v->name = NULL;
  v->is_output = FALSE;
  g_ptr_array_add (self->tensors, v);
  return v;
}

AtlTensor *
atl_graph_input (AtlGraph *self, const char *name, AtlDType dtype, guint n_dims, const gint64 *dim)
{
  AtlTensor *t;

  GRAPH_CHECK (self);
  for (guint i = 0; i < n_dims; i++)
    if (dim[i] < 1)
      {
        atl_graph_fail (self, _ ("The input %s is empty"), name);
        return &self->dummy;
      }
  t = graph_new_tensor (self, ATL_TENSOR_INPUT, dtype, n_dims, dim);
  t->name = g_intern_string (name);
  g_assert (!g_hash_table_contains (self->names, name));
  g_hash_table_insert (self->names, (gpointer) t->name, t);
  return t;
}

AtlTensor *
atl_weight (AtlGraph *self, AtlWeight *weight)
{
  AtlTensor *t;

  if (weight == NULL)
    return NULL;
  GRAPH_CHECK (self);
  t = graph_new_tensor (self, ATL_TENSOR_WEIGHT, weight->dtype, MAX (weight->n_dims, 1),
                        weight->n_dims > 0 ? weight->dim : (gint64[]){ 1 });
  t->weight = weight;
  return t;
}

AtlTensor *
atl_state (AtlGraph *self, AtlState *state)
{
  AtlTensor *t;

  GRAPH_CHECK (self);
  t = graph_new_tensor (self, ATL_TENSOR_STATE, state->dtype, state->n_dims, state->dim);
  t->state = state;
  t->backend = state->buffer->backend;
  return t;
}

AtlTensor *
atl_graph_output (AtlGraph *self, AtlTensor *t, const char *name)
{
  GRAPH_CHECK (self);
  if (t->base != NULL || t->kind != ATL_TENSOR_VALUE || t->name != NULL)
    {
      AtlNode *node = graph_new_node (self, ATL_OP_COPY, t->n_dims, t->dim);
      node->src[0] = t;
      node->dst->dtype = t->dtype;
      t = node->dst;
    }
  t->name = g_intern_string (name);
  t->is_output = TRUE;
  g_assert (!g_hash_table_contains (self->names, name));
  g_hash_table_insert (self->names, (gpointer) t->name, t);
  return t;
}

AtlTensor *
atl_contiguous (AtlGraph *self, AtlTensor *t)
{
  AtlNode *node;

  GRAPH_CHECK (self);
  if (atl_tensor_is_contiguous (t) && t->kind != ATL_TENSOR_WEIGHT)
    return t;
  node = graph_new_node (self, ATL_OP_COPY, t->n_dims, t->dim);
  node->src[0] = t;
  node->dst->dtype = t->dtype == ATL_DTYPE_I32 ? ATL_DTYPE_I32 : ATL_DTYPE_F32;
  return node->dst;
}

AtlTensor *
graph_as_rows (AtlGraph *self, AtlTensor *t)
{
  gint64 n, stride;

  GRAPH_CHECK (self);
  return atl_tensor_rows (t, &n, &stride) ? t : atl_contiguous (self, t);
}

/* Strides of `t` seen with another shape, if no data needs to move: old and new dimensions are
 * matched in groups of equal product, and within a group the old ones must follow each other. */
static gboolean
reshape_strides (const AtlTensor *t, guint n_dims, const gint64 *dim, gint64 *stride)
{
  gint64 old_dim[ATL_MAX_DIMS], old_stride[ATL_MAX_DIMS];
  guint n_old = 0, oi = 0, ni = 0;

  for (guint i = 0; i < t->n_dims; i++)
    if (t->dim[i] != 1)
      {
        old_dim[n_old] = t->dim[i];
        old_stride[n_old++] = t->stride[i];
      }

  while (ni < n_dims && oi < n_old)
    {
      guint nj = ni + 1, oj = oi + 1;
      gint64 np = dim[ni], op = old_dim[oi];

      while (np != op)
        {
          if (np < op)
            np *= dim[nj++];
          else
            op *= old_dim[oj++];
        }
      for (guint k = oi; k + 1 < oj; k++)
        if (old_stride[k] != old_stride[k + 1] * old_dim[k + 1])
          return FALSE;
      stride[nj - 1] = old_stride[oj - 1];
      for (guint k = nj - 1; k > ni; k--)
        stride[k - 1] = stride[k] * dim[k];
      ni = nj;
      oi = oj;
    }
  /* What is left has size one. */
  for (; ni < n_dims; ni++)
    stride[ni] = ni > 0 ? stride[ni - 1] : 1;
  return TRUE;
}

AtlTensor *
atl_reshape (AtlGraph *self, AtlTensor *t, guint n_dims, const gint64 *dim)
{
  gint64 full[ATL_MAX_DIMS], stride[ATL_MAX_DIMS];
  gint64 known = 1, total;
  int inferred = -1;
  AtlTensor *v;

  GRAPH_CHECK (self);
  g_assert (n_dims >= 1 && n_dims <= ATL_MAX_DIMS);
  total = atl_tensor_n_elems (t);
  for (guint i = 0; i < n_dims; i++)
    {
      full[i] = dim[i];
      if (dim[i] < 0)
        inferred = (int) i;
      else
        known *= dim[i];
    }
  if (inferred >= 0 && known > 0)
    {
      full[inferred] = total / known;
      known *= full[inferred];
    }
  if (known != total)
    {
      g_autofree char *wanted = atl_shape_to_string (n_dims, dim);
      graph_fail_shape (self, "reshape", t, wanted);
      return &self->dummy;
    }
  if (!reshape_strides (t, n_dims, full, stride))
    {
      t = atl_contiguous (self, t);
      GRAPH_CHECK (self);
      gboolean fits = reshape_strides (t, n_dims, full, stride);
      g_assert (fits);
    }
  v = graph_new_view (self, t);
  v->n_dims = n_dims;
  for (guint i = 0; i < n_dims; i++)
    {
      v->dim[i] = full[i];
      v->stride[i] = stride[i];
    }
  return v;
}

AtlTensor *
atl_permute (AtlGraph *self, AtlTensor *t, const guint *axes)
{
  AtlTensor *v;

  GRAPH_CHECK (self);
  v = graph_new_view (self, t);
  for (guint i = 0; i < t->n_dims; i++)
    {
      g_assert (axes[i] < t->n_dims);
      v->dim[i] = t->dim[axes[i]];
      v->stride[i] = t->stride[axes[i]];
    }
  return v;
}

AtlTensor *
atl_slice (AtlGraph *self, AtlTensor *t, guint axis, gint64 start, gint64 n)
{
  AtlTensor *v;

  GRAPH_CHECK (self);
  if (axis >= t->n_dims || start < 0 || n < 1 || start > t->dim[axis] - n)
    {
      g_autofree char *wanted =
          g_strdup_printf (_ ("at least %" PRId64 " in dimension %u"), start + n, axis);
      graph_fail_shape (self, "slice", t, wanted);
      return &self->dummy;
    }
  v = graph_new_view (self, t);
  v->dim[axis] = n;
  v->offset = t->offset + start * t->stride[axis];
  return v;
}

guint
atl_graph_n_nodes (const AtlGraph *self)
{
  return self->nodes->len;
}

AtlNode *
atl_graph_node (const AtlGraph *self, guint i)
{
  return self->nodes->pdata[i];
}

guint
atl_graph_n_tensors (const AtlGraph *self)
{
  return self->tensors->len;
}

AtlTensor *
atl_graph_tensor (const AtlGraph *self, guint i)
{
  return self->tensors->pdata[i];
}

AtlTensor *
atl_graph_find (const AtlGraph *self, const char *name)
{
  return g_hash_table_lookup (self->names, name);
}
