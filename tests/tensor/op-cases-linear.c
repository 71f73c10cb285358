/* Cases of embed, linear, expert-linear, reorder, route and expert-sum. */
#include "op-cases-private.h"

/* float32 sums in another order differ by a few units in the last place of the largest term. */
#define EXACT 4e-6
/* Activations rounded to 14 bits or more of a block's largest value: 6e-5 of their size, more of a
 * sum that cancels. Rounding to 8 bits gives 4e-3. */
#define FAST 2.5e-4
/* Activations rounded to one of 256 steps in the range of their block, for many rows: numbers
 * spread evenly, as these, lose 2 / 255 / sqrt (12) of their sqrt (1 / 3), which is 3.9e-3. */
#define BYTES 6e-3

static const AtlDType weight_dtypes[] = {
  ATL_DTYPE_F32,        ATL_DTYPE_F16,     ATL_DTYPE_BF16,  ATL_DTYPE_F8_E4M3, ATL_DTYPE_F8_E5M2,
  ATL_DTYPE_Q4_0,       ATL_DTYPE_Q4_1,    ATL_DTYPE_Q5_0,  ATL_DTYPE_Q5_1,    ATL_DTYPE_Q8_0,
  ATL_DTYPE_Q2_K,       ATL_DTYPE_Q3_K,    ATL_DTYPE_Q4_K,  ATL_DTYPE_Q5_K,    ATL_DTYPE_Q6_K,
  ATL_DTYPE_IQ4_NL,     ATL_DTYPE_IQ4_XS,  ATL_DTYPE_MXFP4, ATL_DTYPE_IQ2_XXS, ATL_DTYPE_IQ2_XS,
  ATL_DTYPE_IQ2_S,      ATL_DTYPE_IQ3_XXS, ATL_DTYPE_IQ3_S, ATL_DTYPE_IQ1_S,   ATL_DTYPE_IQ1_M,
  ATL_DTYPE_TQ1_0,      ATL_DTYPE_TQ2_0,   ATL_DTYPE_NVFP4, ATL_DTYPE_Q1_0,    ATL_DTYPE_Q2_0,
  ATL_DTYPE_F8_E4M3_32,
};

/* A width that is an odd number of blocks, or odd at all where there are none. */
static gint64
width_of (AtlDType dtype)
{
  switch (atl_dtype_info (dtype)->block_elems)
    {
    case 256:
      return 768;
    case 1:
      return 173;
    case 32:
      return 160;
    default:
      return 384;
    }
}

/* a: in, b: out, c: tokens */
static void
build_linear (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *w = op_weight_of (b, ATL_USE_LINEAR, p->dtype, p->b, p->a);

  op_output (b, atl_linear (b->graph, op_input_of (b, p->c, p->a), w, NULL));
}

enum
{
  LINEAR_BIAS = 1,
  LINEAR_RESIDUAL = 2,
  LINEAR_GATED = 4,
  LINEAR_ACT = 8,
  LINEAR_STRIDED = 16,
  LINEAR_CLAMPED = 32,
  LINEAR_TANH = 64 /* which has no vector form */
};

/* Everything that is fused into a product. a: in, b: out, c: tokens */
static void
build_fused (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *x;
  AtlTensor *w = op_weight_of (b, ATL_USE_LINEAR, p->dtype, p->b, p->a);
  AtlTensor *bias = p->flags & LINEAR_BIAS ? op_vector (b, p->b) : NULL;
  AtlAct act = p->flags & LINEAR_ACT ? ATL_ACT_GELU_TANH : ATL_ACT_NONE;

  if (p->flags & LINEAR_STRIDED)
    x = atl_slice (b->graph, op_input_of (b, p->c, p->a + 32), 1, 7, p->a);
  else
    x = op_input_of (b, 1, p->c, p->a);

  if (p->flags & LINEAR_GATED)
    {
      AtlTensor *up = op_weight_of (b, ATL_USE_LINEAR, p->dtype, p->b, p->a);
      AtlTensor *up_bias = p->flags & LINEAR_BIAS ? op_vector (b, p->b) : NULL;

      act = p->flags & LINEAR_CLAMPED ? ATL_ACT_CLAMPED_QUICK
            : p->flags & LINEAR_TANH  ? ATL_ACT_TANH
                                      : ATL_ACT_SILU;
      op_output (b, atl_linear_gated (b->graph, x, w, bias, up, up_bias, act));
    }
  else if (p->flags & LINEAR_RESIDUAL)
    {
      AtlTensor *residual =
          p->flags & LINEAR_STRIDED ? op_input_of (b, p->c, p->b) : op_input_of (b, 1, p->c, p->b);

      op_output (b, atl_linear_scaled_add (b->graph, x, w, bias, 0.37f, residual));
    }
  else
    {
      op_output (b, atl_linear_act (b->graph, x, w, bias, act));
    }
}

/* Three weights of different heights, read back through their views; of types that differ, or all
 * of the case's, which backends may take as one. a: in, c: tokens, flags: which have a bias */
static void
build_multi (OpBuild *b, const OpCaseParams *p)
{
  static const gint64 n_rows[2][3] = { { 48, 16, 19 }, { 47, 1, 18 } };
  const gboolean alike = p->dtype != ATL_DTYPE_F32;
  const AtlDType dtypes[3] = { ATL_DTYPE_Q4_K, ATL_DTYPE_Q4_K, ATL_DTYPE_Q6_K };
  AtlTensor *x = op_input_of (b, p->c, p->a);
  AtlTensor *w[3], *bias[3];

  for (guint i = 0; i < 3; i++)
    {
      w[i] = op_weight_of (b, ATL_USE_LINEAR, alike ? p->dtype : dtypes[i], n_rows[alike][i], p->a);
      bias[i] = p->flags >> i & 1 ? op_vector (b, n_rows[alike][i]) : NULL;
    }
  AtlTensor *out[3];

  atl_linear_multi (b->graph, x, 3, w, bias, out);
  for (guint i = 0; i < 3; i++)
    op_output (b, out[i]);
}

/* A table that is looked up and multiplied with, as tied embeddings are. */
static void
build_tied (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *w = op_weight_of (b, ATL_USE_LINEAR | ATL_USE_ROWS, p->dtype, p->b, p->a);
  gint32 ids[3] = { 2, (gint32) p->b - 1, 0 };
  AtlTensor *x = atl_embed (b->graph, w, op_input_i32 (b, 1, (gint64[]){ 3 }, ids), 1.5f);

  op_output (b, x);
  op_output (b, atl_linear (b->graph, x, w, NULL));
}

static void
build_embed (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *w = op_weight_of (b, ATL_USE_ROWS, p->dtype, 29, p->a);
  gint32 ids[6] = { 3, 28, 0, 0, 17, 5 };

  op_output (b, atl_embed (b->graph, w, op_input_i32 (b, 2, (gint64[]){ 2, 3 }, ids), 0.5f));
}

enum
{
  EXPERT_GATED = 1,
  EXPERT_PER_SLOT = 2,
  EXPERT_BIAS = 4,
  EXPERT_CLAMPED = 8
};

/* a: in, b: out, c: tokens, d: experts, e: chosen */
static void
build_experts (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *x =
      p->flags & EXPERT_PER_SLOT ? op_input_of (b, p->c, p->e, p->a) : op_input_of (b, p->c, p->a);
  AtlTensor *w = op_weight_of (b, ATL_USE_LINEAR, p->dtype, p->d, p->b, p->a);
  AtlTensor *bias = NULL;
  g_autofree gint32 *ids = g_new (gint32, p->c * p->e);
  AtlTensor *chosen;

  for (gint64 t = 0; t < p->c; t++)
    {
      guint first = op_random_bits (&b->random);
      for (gint64 k = 0; k < p->e; k++)
        ids[t * p->e + k] = (gint32) ((first + 2 * k) % p->d);
    }
  chosen = op_input_i32 (b, 2, (gint64[]){ p->c, p->e }, ids);
  if (p->flags & EXPERT_BIAS)
    bias = op_weight_of (b, ATL_USE_VECTOR, ATL_DTYPE_F32, p->d, p->b);
  if (p->flags & EXPERT_GATED)
    {
      AtlTensor *up = op_weight_of (b, ATL_USE_LINEAR, p->dtype, p->d, p->b, p->a);
      AtlTensor *up_bias = p->flags & EXPERT_BIAS
                               ? op_weight_of (b, ATL_USE_VECTOR, ATL_DTYPE_F32, p->d, p->b)
                               : NULL;

      op_output (b, atl_expert_gated (
                        b->graph, x, w, bias, up, up_bias,
                        p->flags & EXPERT_CLAMPED ? ATL_ACT_CLAMPED_QUICK : ATL_ACT_SILU, chosen));
    }
  else
    {
      op_output (b, atl_expert_linear (b->graph, x, w, bias, chosen));
    }
}

/* n permutations of the numbers below `width`, as a weight. */
static AtlTensor *
order (OpBuild *b, guint n_dims, gint64 n, gint64 width)
{
  const gint64 dim[2] = { n, width };
  float *values = g_new (float, (n * width));
  GBytes *bytes = g_bytes_new_take (values, (gsize) (n * width) * sizeof *values);

  for (gint64 r = 0; r < n; r++)
    for (gint64 i = 0; i < width; i++)
      {
        gint64 j = op_random_bits (&b->random) % (guint) (i + 1);

        values[r * width + i] = values[r * width + j];
        values[r * width + j] = (float) i;
      }
  return atl_weight (b->graph,
                     atl_weights_add_bytes (b->weights, ATL_USE_VECTOR, 0, ATL_DTYPE_F32, n_dims,
                                            n_dims == 1 ? dim + 1 : dim, bytes, "order"));
}

static void
build_reorder (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *x = p->flags ? atl_slice (b->graph, op_input_of (b, p->c, p->a + 9), 1, 5, p->a)
                          : op_input_of (b, p->c, p->a);

  op_output (b, atl_reorder (b->graph, x, order (b, 1, 1, p->a), NULL));
}

/* a: in, c: tokens, d: experts, e: chosen, flags: every one has an input of its own */
static void
build_reorder_experts (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *x = p->flags ? op_input_of (b, p->c, p->e, p->a) : op_input_of (b, p->c, p->a);
  g_autofree gint32 *ids = g_new (gint32, p->c * p->e);

  for (gint64 i = 0; i < p->c * p->e; i++)
    ids[i] = (gint32) (op_random_bits (&b->random) % (guint) p->d);
  op_output (b, atl_reorder (b->graph, x, order (b, 2, p->d, p->a),
                             op_input_i32 (b, 2, (gint64[]){ p->c, p->e }, ids)));
}

/* Products whose weights' columns are in some order: one that is shared, one that is not, and none.
 * a: in, c: tokens, flags: which of three weights share the first order */
static void
build_ordered (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *x = op_input_of (b, p->c, p->a), *w[3], *bias[3], *out[3];
  AtlTensor *first = order (b, 1, 1, p->a), *second = order (b, 1, 1, p->a);

  for (guint i = 0; i < 3; i++)
    {
      w[i] = op_weight_of (b, ATL_USE_LINEAR, p->dtype, 17, p->a);
      w[i]->weight->order = p->flags >> i & 1 ? first->weight : i == 1 ? second->weight : NULL;
      bias[i] = op_vector (b, 17);
    }
  atl_linear_multi (b->graph, x, 3, w, bias, out);
  for (guint i = 0; i < 3; i++)
    op_output (b, out[i]);
  op_output (b, atl_linear_gated (b->graph, x, w[0], bias[0], w[1], bias[1], ATL_ACT_SILU));
}

/* a: tokens, b: experts, c: chosen, d: groups, e: groups used, f: kind; flags: 1 bias, 2 renorm,
 * 4 groups by their best */
static void
build_route (OpBuild *b, const OpCaseParams *p)
{
  AtlOpParams route = {
    .route = (AtlRouteKind) p->f,
    .renorm = (p->flags & 2) != 0,
    .scale = 1.7f,
    .n_groups = p->d,
    .n_groups_used = p->e,
    .group_by_best = (p->flags & 4) != 0,
  };
  AtlTensor *bias = p->flags & 1 ? op_vector (b, p->b) : NULL;
  AtlTensor *weights;
  AtlTensor *ids;

  atl_route (b->graph, op_input_of (b, p->a, p->b), bias, p->c, &route, &weights, &ids);
  op_output (b, weights);
  op_output (b, ids);
}

static void
build_expert_sum (OpBuild *b, const OpCaseParams *p)
{
  op_output (b, atl_expert_sum (b->graph, op_input_of (b, p->a, p->b, p->c),
                                op_input_of (b, p->a, p->b),
                                p->flags ? op_input_of (b, p->a, p->c) : NULL));
}

static void
add_products (void)
{
  static const gint64 tokens[] = { 1, 3, 8, 9, 33, 70 };

  for (guint d = 0; d < G_N_ELEMENTS (weight_dtypes); d++)
    for (guint t = 0; t < G_N_ELEMENTS (tokens); t++)
      {
        OpCaseParams p = { .a = width_of (weight_dtypes[d]), .b = 37, .c = tokens[t] };

        p.dtype = weight_dtypes[d];
        op_case_add (build_linear, &p, EXACT, FAST, "linear/%s/in-%d-out-%d-n-%d",
                     atl_dtype_name (p.dtype), (int) p.a, (int) p.b, (int) p.c);
      }
  /* Quantised types at widths and numbers of rows where some levels have tiles of bytes: slabs and
   * a rest, tiles and a rest. */
  for (guint d = 0; d < G_N_ELEMENTS (weight_dtypes); d++)
    {
      const gint64 block = atl_dtype_info (weight_dtypes[d])->block_elems;
      OpCaseParams p = { .a = block == 256 ? 768 : block > 32 ? 640 : 544, .b = 37, .c = 131 };

      p.dtype = weight_dtypes[d];
      if (atl_dtype_info (p.dtype)->quantized)
        op_case_add (build_linear, &p, EXACT, BYTES, "linear/%s/in-%d-out-%d-n-%d",
                     atl_dtype_name (p.dtype), (int) p.a, (int) p.b, (int) p.c);
    }
  /* Types without blocks at widths of whole vectors, which have tiles of their own: two slabs and a
   * rest. */
  for (guint d = 0; d < G_N_ELEMENTS (weight_dtypes); d++)
    for (guint t = 3; t < G_N_ELEMENTS (tokens); t++)
      {
        OpCaseParams p = { .a = 544, .b = 37, .c = tokens[t], .dtype = weight_dtypes[d] };

        if (atl_dtype_info (p.dtype)->block_elems == 1)
          op_case_add (build_linear, &p, EXACT, FAST, "linear/%s/in-%d-out-%d-n-%d",
                       atl_dtype_name (p.dtype), (int) p.a, (int) p.b, (int) p.c);
      }
  for (guint d = 0; d < G_N_ELEMENTS (weight_dtypes); d++)
    {
      OpCaseParams p = { .a = width_of (weight_dtypes[d]), .b = 21, .dtype = weight_dtypes[d] };
      const char *name = atl_dtype_name (p.dtype);

      op_case_add (build_embed, &p, 1e-7, 1e-7, "embed/%s", name);
      op_case_add (build_tied, &p, EXACT, FAST, "linear/%s/tied", name);
    }
}

static void
add_fused (void)
{
  static const AtlDType dtypes[] = { ATL_DTYPE_F32, ATL_DTYPE_F16, ATL_DTYPE_Q4_0, ATL_DTYPE_Q6_K };
  static const guint flags[] = {
    LINEAR_BIAS,
    LINEAR_BIAS | LINEAR_ACT,
    LINEAR_RESIDUAL,
    LINEAR_RESIDUAL | LINEAR_BIAS | LINEAR_STRIDED,
    LINEAR_GATED,
    LINEAR_GATED | LINEAR_BIAS,
    LINEAR_STRIDED,
    LINEAR_GATED | LINEAR_CLAMPED,
    LINEAR_TANH | LINEAR_GATED | LINEAR_BIAS,
  };
  static const gint64 tokens[] = { 1, 5, 67 };

  for (guint d = 0; d < G_N_ELEMENTS (dtypes); d++)
    for (guint f = 0; f < G_N_ELEMENTS (flags); f++)
      for (guint t = 0; t < G_N_ELEMENTS (tokens); t++)
        {
          OpCaseParams p = { .a = 512, .b = 75, .c = tokens[t], .dtype = dtypes[d] };

          p.flags = flags[f];
          op_case_add (build_fused, &p, EXACT, FAST, "linear/%s/fused-%u-n-%d",
                       atl_dtype_name (p.dtype), p.flags, (int) p.c);
        }
  /* More rows than are laid out at a time, in blocks that are not all of one size. */
  for (guint d = 0; d < 2; d++)
    {
      OpCaseParams p = { .a = 40, .b = 35, .c = 1061, .dtype = dtypes[d] };

      p.flags = LINEAR_RESIDUAL | LINEAR_BIAS;
      op_case_add (build_fused, &p, EXACT, FAST, "linear/%s/blocks-of-rows",
                   atl_dtype_name (p.dtype));
    }
  for (guint t = 0; t < G_N_ELEMENTS (tokens); t++)
    {
      OpCaseParams halves = { .a = 331, .c = tokens[t], .flags = 5, .dtype = ATL_DTYPE_BF16 };

      op_case_add (build_multi, &halves, EXACT, FAST, "linear/multi-bf16-n-%d", (int) halves.c);
    }
  for (guint t = 0; t < G_N_ELEMENTS (tokens); t++)
    {
      OpCaseParams p = { .a = 512, .c = tokens[t], .flags = 5 };
      OpCaseParams alike = {
        .a = 160, .c = tokens[t], .flags = 6 - t % 4, .dtype = ATL_DTYPE_Q4_0
      };

      op_case_add (build_multi, &p, EXACT, FAST, "linear/multi-n-%d", (int) p.c);
      op_case_add (build_multi, &alike, EXACT, FAST, "linear/multi-alike-n-%d", (int) p.c);
    }
}

void
op_cases_linear (void)
{
  static const AtlDType dtypes[] = { ATL_DTYPE_F32,    ATL_DTYPE_Q4_K, ATL_DTYPE_MXFP4,
                                     ATL_DTYPE_Q8_0,   ATL_DTYPE_BF16, ATL_DTYPE_IQ2_XS,
                                     ATL_DTYPE_F8_E4M3 };
  static const gint64 tokens[] = { 1, 3, 50, 300 };

  add_products ();
  add_fused ();
  for (guint d = 0; d < G_N_ELEMENTS (dtypes); d++)
    for (guint t = 0; t < G_N_ELEMENTS (tokens); t++)
      for (guint flags = 0; flags < 16; flags++)
        {
          OpCaseParams p = { .a = 256, .b = 35, .c = tokens[t], .d = 5, .e = 2, .flags = flags };

          if ((flags & EXPERT_CLAMPED) && !(flags & EXPERT_GATED))
            continue;
          p.dtype = dtypes[d];
          op_case_add (build_experts, &p, EXACT, FAST, "expert-linear/%s/flags-%u-n-%d",
                       atl_dtype_name (p.dtype), flags, (int) p.c);
        }
  for (gint64 kind = ATL_ROUTE_SOFTMAX; kind <= ATL_ROUTE_SIGMOID_AFTER; kind++)
    for (guint flags = 0; flags < 8; flags++)
      for (guint groups = 0; groups < 2; groups++)
        {
          OpCaseParams p = { .a = 7, .b = 24, .c = 5, .f = kind, .flags = flags };

          p.d = groups ? 4 : 0;
          p.e = groups ? 2 : 0;
          op_case_add (build_route, &p, 1e-6, 1e-6, "route/kind-%d-flags-%u-groups-%d", (int) kind,
                       flags, (int) p.d);
        }
  for (guint flags = 0; flags < 2; flags++)
    {
      OpCaseParams p = { .a = 5, .b = 3, .c = 67, .flags = flags };
      op_case_add (build_expert_sum, &p, 1e-6, 1e-6, "expert-sum/residual-%u", flags);
    }
  for (guint flags = 0; flags < 2; flags++)
    {
      OpCaseParams p = { .a = 173, .c = 5, .d = 7, .e = 3, .flags = flags };
      op_case_add (build_reorder, &p, 0, 0, "reorder/in-173-strided-%u", flags);
      op_case_add (build_reorder_experts, &p, 0, 0, "reorder/experts-own-input-%u", flags);
    }
  for (guint flags = 0; flags < 8; flags++)
    {
      OpCaseParams p = { .a = 160, .c = 3, .dtype = ATL_DTYPE_Q4_0, .flags = flags };
      op_case_add (build_ordered, &p, EXACT, FAST, "linear/ordered/shared-%u", flags);
    }
}
