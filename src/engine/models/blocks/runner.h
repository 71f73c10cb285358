/* Runs a component's graphs: one plan per set of input shapes, kept for the next step.
 *
 *   AtlRunner *runner = atl_runner_new (backends, n_backends);
 *   atl_runner_run (runner, "decode", describe, model, inputs, outputs, cancellable, error);
 *
 * `describe` builds the graph for arrays of these names and shapes: for every array it declares
 * atl_graph_input (g, array->name, array->dtype, array->n_dims, array->dim) and marks its outputs.
 * The values of the arrays must not matter to it, only their shapes.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/tensor/array.h"
#include "engine/tensor/plan.h"

G_BEGIN_DECLS

typedef struct _AtlRunner AtlRunner;

/* Describes the pass into `g`; mistakes are the graph's own. */
typedef void (*AtlDescribeFunc) (AtlGraph *g, gpointer model, GPtrArray *inputs);

AtlRunner *atl_runner_new (AtlBackend *const *backends, guint n_backends);
void atl_runner_free (AtlRunner *self);
/* Graphs are described anew: something that stands in them has changed. */
void atl_runner_forget (AtlRunner *self);

/* `key` distinguishes graphs of one model whose inputs have the same shapes. Sets every input,
 * runs, and appends the graph's outputs to `outputs` as arrays named as in the graph. */
gboolean atl_runner_run (AtlRunner *self,
                         const char *key,
                         AtlDescribeFunc describe,
                         gpointer model,
                         GPtrArray *inputs,
                         GPtrArray *outputs,
                         GCancellable *cancellable,
                         GError **error);

/* The declared input of that name; convenience for describe functions: declares it on first use. */
AtlTensor *atl_runner_input (AtlGraph *g, GPtrArray *inputs, const char *name);

/* Where weights go when a component has no wishes of its own: the first backend. For
 * atl_weights_upload; user_data: AtlBackend*. */
AtlBackend *atl_place_on (const AtlWeight *weight, gpointer user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlRunner, atl_runner_free)

G_END_DECLS
