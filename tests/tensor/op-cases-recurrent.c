/* Cases of the ops that carry a state. Each runs three times in one graph: from nothing into slot
 * 2, from there into slot 0, and once more in place; then the whole state is a result too, so that
 * a slot that should have stayed as it was shows. */
#include "op-cases-private.h"

#define N_SLOTS 4
#define N_RUNS 3
#define TOLERANCE 1e-5

static AtlTensor *
slots_of_run (OpBuild *b, guint run)
{
  static const gint32 slots[N_RUNS][2] = { { -1, 2 }, { 2, 0 }, { 0, 0 } };

  return op_input_i32 (b, 1, (gint64[]){ 2 }, slots[run]);
}

/* a: tokens of the first run, b: of the second, c: channels, d: taps, e: activation; flags: 1 bias,
 * 2 x is a slice of wider rows */
static void
build_causal_conv (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *w = op_weight_of (b, ATL_USE_VECTOR, ATL_DTYPE_F32, p->c, p->d);
  AtlTensor *bias = p->flags & 1 ? op_vector (b, p->c) : NULL;
  AtlTensor *state = op_state (b, ATL_DTYPE_F32, 3, (gint64[]){ N_SLOTS, p->d - 1, p->c });
  const gint64 n_tokens[N_RUNS] = { p->a, p->b, 1 };

  for (guint i = 0; i < N_RUNS; i++)
    {
      AtlTensor *x = op_input_of (b, n_tokens[i], p->c + (p->flags & 2 ? 7 : 0));

      if (p->flags & 2)
        x = atl_slice (b->graph, x, 1, 5, p->c);
      op_output (b,
                 atl_causal_conv (b->graph, x, w, bias, (AtlAct) p->e, state, slots_of_run (b, i)));
    }
  op_output (b, state);
}

/* a, b: tokens; c: heads, d: groups, e: N, f: P; flags: 1 dt bias, 2 d */
static void
build_ssm_scan (OpBuild *b, const OpCaseParams *p)
{
  gint64 n_x = p->c * p->f, n_b = p->d * p->e;
  AtlTensor *dt_bias = p->flags & 1 ? op_vector (b, p->c) : NULL;
  AtlTensor *d = p->flags & 2 ? op_vector (b, p->c) : NULL;
  AtlTensor *state = op_state (b, ATL_DTYPE_F32, 4, (gint64[]){ N_SLOTS, p->c, p->e, p->f });
  const gint64 n_tokens[N_RUNS] = { p->a, p->b, 1 };
  /* Decays between e^-0.1 and e^-4, as those of trained models. */
  AtlTensor *a = atl_affine (b->graph, op_input_of (b, p->c), 1.5f, -1.6f);

  for (guint i = 0; i < N_RUNS; i++)
    {
      gint64 T = n_tokens[i];
      AtlTensor *all = op_input_of (b, T, n_x + 2 * n_b + p->c);
      AtlTensor *x = atl_slice (b->graph, all, 1, 0, n_x);
      AtlTensor *k = atl_slice (b->graph, all, 1, n_x, n_b);
      AtlTensor *q = atl_slice (b->graph, all, 1, n_x + n_b, n_b);

      op_output (b, atl_ssm_scan (b->graph, atl_reshape_to (b->graph, x, T, p->c, p->f),
                                  atl_reshape_to (b->graph, k, T, p->d, p->e),
                                  atl_reshape_to (b->graph, q, T, p->d, p->e),
                                  atl_slice (b->graph, all, 1, n_x + 2 * n_b, p->c), dt_bias, a, d,
                                  state, slots_of_run (b, i)));
    }
  op_output (b, state);
}

/* a, b: tokens; c: value heads, d: key heads, e: Dk, f: Dv; flags: 1 dt bias, 2 tiled */
static void
build_delta_rule (OpBuild *b, const OpCaseParams *p)
{
  gint64 n_k = p->d * p->e, n_v = p->c * p->f;
  AtlTensor *dt_bias = p->flags & 1 ? op_vector (b, p->c) : NULL;
  AtlTensor *state = op_state (b, ATL_DTYPE_F32, 4, (gint64[]){ N_SLOTS, p->c, p->e, p->f });
  const gint64 n_tokens[N_RUNS] = { p->a, p->b, 1 };
  AtlTensor *a = atl_affine (b->graph, op_input_of (b, p->c), 0.5f, -0.6f);

  for (guint i = 0; i < N_RUNS; i++)
    {
      gint64 T = n_tokens[i];
      AtlTensor *qkv = op_input_of (b, T, 2 * n_k + n_v);
      AtlTensor *q = atl_slice (b->graph, qkv, 1, 0, n_k);
      AtlTensor *k = atl_slice (b->graph, qkv, 1, n_k, n_k);
      AtlTensor *v = atl_slice (b->graph, qkv, 1, 2 * n_k, n_v);

      op_output (
          b, atl_delta_rule (b->graph, atl_reshape_to (b->graph, q, T, p->d, p->e),
                             atl_reshape_to (b->graph, k, T, p->d, p->e),
                             atl_reshape_to (b->graph, v, T, p->c, p->f), op_input_of (b, T, p->c),
                             atl_affine (b->graph, op_input_of (b, T, p->c), 4.0f, 0.0f), a,
                             dt_bias, p->flags & 2, 1e-6f, 0.0f, state, slots_of_run (b, i)));
    }
  op_output (b, state);
}

void
op_cases_recurrent (void)
{
  static const OpCaseParams convs[] = {
    { .a = 1, .b = 1, .c = 5, .d = 2, .e = ATL_ACT_NONE, .flags = 0 },
    { .a = 1, .b = 2, .c = 130, .d = 4, .e = ATL_ACT_SILU, .flags = 1 },
    { .a = 9, .b = 3, .c = 257, .d = 4, .e = ATL_ACT_SILU, .flags = 3 },
    { .a = 33, .b = 70, .c = 64, .d = 3, .e = ATL_ACT_NONE, .flags = 2 },
    { .a = 2, .b = 5, .c = 37, .d = 11, .e = ATL_ACT_TANH, .flags = 1 },
    { .a = 40, .b = 1, .c = 3, .d = 40, .e = ATL_ACT_SILU, .flags = 1 },
  };
  static const OpCaseParams scans[] = {
    { .a = 1, .b = 1, .c = 1, .d = 1, .e = 1, .f = 1, .flags = 0 },
    { .a = 5, .b = 13, .c = 6, .d = 2, .e = 16, .f = 9, .flags = 3 },
    { .a = 67, .b = 64, .c = 4, .d = 4, .e = 128, .f = 64, .flags = 3 },
    { .a = 8, .b = 16, .c = 3, .d = 1, .e = 33, .f = 40, .flags = 1 },
    { .a = 2, .b = 130, .c = 8, .d = 2, .e = 24, .f = 24, .flags = 2 },
    { .a = 11, .b = 6, .c = 2, .d = 1, .e = 301, .f = 70, .flags = 3 },
  };
  static const OpCaseParams deltas[] = {
    { .a = 1, .b = 1, .c = 1, .d = 1, .e = 1, .f = 1, .flags = 0 },
    { .a = 5, .b = 14, .c = 6, .d = 3, .e = 16, .f = 9, .flags = 1 },
    { .a = 67, .b = 64, .c = 4, .d = 2, .e = 128, .f = 128, .flags = 3 },
    { .a = 8, .b = 16, .c = 3, .d = 1, .e = 33, .f = 40, .flags = 2 },
    { .a = 3, .b = 131, .c = 8, .d = 2, .e = 24, .f = 72, .flags = 1 },
    { .a = 7, .b = 4, .c = 8, .d = 2, .e = 64, .f = 32, .flags = 3 },
    { .a = 9, .b = 18, .c = 2, .d = 1, .e = 130, .f = 65, .flags = 1 },
    { .a = 3, .b = 6, .c = 2, .d = 2, .e = 259, .f = 33, .flags = 3 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (convs); i++)
    op_case_add (build_causal_conv, &convs[i], TOLERANCE, TOLERANCE, "causal-conv/%u", i);
  for (guint i = 0; i < G_N_ELEMENTS (scans); i++)
    op_case_add (build_ssm_scan, &scans[i], TOLERANCE, TOLERANCE, "ssm-scan/%u", i);
  for (guint i = 0; i < G_N_ELEMENTS (deltas); i++)
    op_case_add (build_delta_rule, &deltas[i], TOLERANCE, TOLERANCE, "delta-rule/%u", i);
}
