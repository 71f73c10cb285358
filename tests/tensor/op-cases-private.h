/* Between the files that define op cases. */
#pragma once

#include "op-cases.h"

/* Parameters of a case; their meaning is the build function's own. */
typedef struct
{
  gint64 a, b, c, d, e, f;
  AtlDType dtype;
  guint flags;
} OpCaseParams;

typedef struct
{
  OpRandom random;
  AtlGraph *graph;
  AtlWeights *weights;
  AtlCheckpoint *checkpoint;
  GPtrArray *inputs;  /* (owned) OpInput */
  GPtrArray *states;  /* (owned) AtlState */
  GPtrArray *outputs; /* interned names */
  AtlBackend *backend;
  GError *error;
} OpBuild;

typedef void (*OpBuildFunc) (OpBuild *b, const OpCaseParams *p);

struct _OpCase
{
  char *name;
  OpBuildFunc build;
  OpCaseParams p;
  double exact_tolerance; /* rel_l2; 0: equal */
  double fast_tolerance;
};

/* A random f32 input in [-1, 1). */
AtlTensor *op_input (OpBuild *b, guint n_dims, const gint64 *dim);
#define op_input_of(b, ...)                                                                        \
  op_input ((b), sizeof ((gint64[]){ __VA_ARGS__ }) / sizeof (gint64), (gint64[]){ __VA_ARGS__ })
/* An i32 input with these values. */
AtlTensor *op_input_i32 (OpBuild *b, guint n_dims, const gint64 *dim, const gint32 *values);
/* A random weight, already wrapped for the graph. */
AtlTensor *
op_weight (OpBuild *b, AtlWeightUse use, AtlDType dtype, guint n_dims, const gint64 *dim);
#define op_weight_of(b, use, dtype, ...)                                                           \
  op_weight ((b), (use), (dtype), sizeof ((gint64[]){ __VA_ARGS__ }) / sizeof (gint64),            \
             (gint64[]){ __VA_ARGS__ })
AtlTensor *op_vector (OpBuild *b, gint64 n);
/* A zeroed state. */
AtlTensor *op_state (OpBuild *b, AtlDType dtype, guint n_dims, const gint64 *dim);
void op_output (OpBuild *b, AtlTensor *t);

/* Registers a case; the name is a printf format. */
void op_case_add (OpBuildFunc build,
                  const OpCaseParams *p,
                  double exact_tolerance,
                  double fast_tolerance,
                  const char *format,
                  ...) G_GNUC_PRINTF (5, 6);

/* Each defines the cases of its family. */
void op_cases_linear (void);
void op_cases_norm (void);
void op_cases_attention (void);
void op_cases_elementwise (void);
void op_cases_conv (void);
void op_cases_recurrent (void);
