/* What plan.c (placement, running) and plan-memory.c (lifetimes, arenas) share. */
#pragma once

#include "engine/tensor/plan.h"

typedef enum
{
  STEP_RUN,
  STEP_TRANSFER
} StepKind;

/* Either nodes [first, first + n) on one backend, or one value copied to another backend. */
typedef struct
{
  StepKind kind;
  AtlBackend *backend;  /* RUN */
  guint first, n;       /* RUN: in plan->nodes */
  gboolean streams;     /* RUN: of one node with weights that are sent for it */
  AtlTensor *from, *to; /* TRANSFER: whole base tensors */
} PlanStep;

/* One tensor that needs memory of the plan. */
typedef struct
{
  AtlTensor *tensor;
  guint backend;     /* index in plan->backends */
  guint first, last; /* steps in which it must be kept */
  gsize size_bytes;
  guint bucket; /* which buffer of the backend's arena */
  gsize offset;
} PlanValue;

typedef struct
{
  GArray *bucket_sizes; /* gsize */
  GPtrArray *buffers;   /* AtlBuffer, after allocation */
  gsize scratch_bytes;
  AtlBuffer *scratch;
} PlanArena;

struct _AtlPlan
{
  AtlGraph *graph; /* (owned) */
  AtlBackend *backends[ATL_MAX_BACKENDS];
  guint n_backends;
  GPtrArray *nodes;   /* AtlNode, borrowed from the graph, in order */
  GPtrArray *mirrors; /* (owned) AtlTensor: copies of values on other backends, and views of them */
  GArray *steps;      /* PlanStep */
  GArray *values;     /* PlanValue */
  PlanArena arena[ATL_MAX_BACKENDS];
  guint n_fallbacks; /* nodes that are on the host because their backend cannot do them */
  guint8 *staging;   /* (owned) host memory for transfers between two devices */
  gsize staging_bytes;
  gboolean allocated;
};

/* Index of a backend in the plan. */
guint plan_backend_index (const AtlPlan *self, const AtlBackend *backend);
gsize plan_tensor_bytes (const AtlTensor *t);
/* Fills values and arenas from nodes and steps. */
void plan_memory_layout (AtlPlan *self);

/* plan-stream.c: whether the node has weights that are only sent when they are needed; sending
 * those of a step, FALSE with none of them sent; and dropping them. */
gboolean plan_node_streams (const AtlNode *node);
gboolean plan_stream_fetch (AtlPlan *self, const PlanStep *step, GError **error);
void plan_stream_drop (AtlPlan *self, const PlanStep *step);
