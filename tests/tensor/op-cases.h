/* Cases of every op, built as graphs, for any backend.
 *
 *   for (guint i = 0; i < op_cases_n (); i++)
 *     {
 *       g_autoptr (GArray) got = op_case_run (i, backends, n_backends, &error);
 *       g_autoptr (GArray) want = op_case_run (i, &reference, 1, &error);
 *       double worst = op_case_compare (i, got, want, TRUE);   ... at most 1 when within tolerance
 *     }
 *
 * Sizes are odd on purpose, numbers come from a generator with a fixed seed of the case, so two
 * runs of a case see the same inputs, weights and states.
 */
#pragma once

#include "engine/tensor/plan.h"
#include "engine/tensor/weights.h"

typedef struct _OpCase OpCase;

guint op_cases_n (void);
const OpCase *op_case_get (guint i);
/* "linear/q4_0/in-160-out-37-n-3": the part before the first stroke is the op. */
const char *op_case_name (const OpCase *c);

/* Builds the case, with its weights and states on backends[0], runs it and
 * returns all its outputs one after the other as floats (indices too). NULL with `error`. The last
 * backend must be a host backend. */
GArray *
op_case_run (const OpCase *c, AtlBackend *const *backends, guint n_backends, GError **error);

/* The distance of two results as a multiple of what is allowed: at most 1 is a pass. `exact` is for
 * backends that keep float32 throughout; otherwise products may round activations and weights to
 * about 15 bits. A NaN on either side alone is infinitely far. */
double op_case_compare (const OpCase *c, const GArray *got, const GArray *want, gboolean exact);

/* Deterministic random numbers for tests: uniform in [-1, 1). */
typedef struct
{
  guint64 state;
} OpRandom;

float op_random (OpRandom *r);
guint32 op_random_bits (OpRandom *r);
/* Random blocks of any float-like dtype with finite scales; values of magnitude about one or below.
 */
void op_random_weights (OpRandom *r, AtlDType dtype, guint8 *out, gsize n_elems);
