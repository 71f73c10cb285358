/* From a graph to something that runs: placement, lifetimes, one arena per backend, transfers.
 *
 *   AtlPlan *plan = atl_plan_new (graph, backends, n_backends, error);     (takes the graph)
 *   atl_plan_allocate (plan, error);
 *   atl_plan_set_input (plan, "ids", ids, sizeof ids, error);
 *   atl_plan_run (plan, cancellable, error);
 *   atl_plan_get_output (plan, "logits", logits, size, error);
 *
 * Placement: a node runs where its first weight lives (weight->home); without a weight, where its
 * last computed source lives; else on backends[0]. If that backend does not support the node it
 * falls back to the host backend, which is always last in the list and supports everything (a debug
 * message names it). Values that cross are copied once. A plan is replayed any number of times.
 *
 * Threading: one thread at a time, and one plan at a time on a backend.
 */
#pragma once

#include "engine/tensor/backend.h"
#include "engine/tensor/graph.h"

G_BEGIN_DECLS

typedef struct _AtlPlan AtlPlan;

/* `backends` are borrowed and must outlive the plan; the last one must be a host backend. Takes
 * ownership of `graph` in every case. Fails with the graph's own error if it has one. */
AtlPlan *
atl_plan_new (AtlGraph *graph, AtlBackend *const *backends, guint n_backends, GError **error);
/* With its graph and its memory. Accepts NULL. */
void atl_plan_free (AtlPlan *self);

/* ATL_ERROR_NO_MEMORY when a backend refuses; nothing stays allocated then. */
gboolean atl_plan_allocate (AtlPlan *self, GError **error);

/* Copies `size_bytes` to the beginning of the input's tensor, in its dtype and shape; after
 * atl_plan_allocate(). ATL_ERROR_INVALID for a name that is none and for more than it holds; errors
 * of the device. */
gboolean atl_plan_set_input (
    AtlPlan *self, const char *name, const void *data, gsize size_bytes, GError **error);
/* Computes every node once with the inputs as they are. G_IO_ERROR_CANCELLED between two steps:
 * outputs and states are not to be relied on then; errors of the device. */
gboolean atl_plan_run (AtlPlan *self, GCancellable *cancellable, GError **error);
/* Copies the first `size_bytes` of the last run's output to `data`. Errors as of inputs. */
gboolean
atl_plan_get_output (AtlPlan *self, const char *name, void *data, gsize size_bytes, GError **error);
/* Shape of an output or input by name; NULL if there is none. Borrowed. */
const AtlTensor *atl_plan_tensor (const AtlPlan *self, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlPlan, atl_plan_free)

G_END_DECLS
