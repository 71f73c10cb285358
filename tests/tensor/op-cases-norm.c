/* Cases of norm and group-norm. */
#include "op-cases-private.h"

#define TOLERANCE 3e-6

enum
{
  NORM_WEIGHT = 1,
  NORM_BIAS = 2,
  NORM_PER_HEAD = 4,
  NORM_MODULATED = 8,
  NORM_STRIDED = 16
};

/* a: kind, b: rows, c: width, d: rows of the modulation; with PER_HEAD x is [b, 3, c] */
static void
build_norm (OpBuild *b, const OpCaseParams *p)
{
  gint64 heads = p->flags & NORM_PER_HEAD ? 3 : 1;
  AtlTensor *weight = NULL;
  AtlTensor *bias = NULL;
  AtlTensor *x;
  AtlTensor *out;

  if (p->flags & NORM_STRIDED)
    x = atl_slice (b->graph, op_input_of (b, p->b, heads, p->c + 5), 2, 3, p->c);
  else
    x = op_input_of (b, p->b, heads, p->c);
  if (p->flags & NORM_WEIGHT)
    weight = op_weight_of (b, ATL_USE_VECTOR, ATL_DTYPE_F16, heads, p->c);
  if (p->flags & NORM_BIAS)
    bias = op_weight_of (b, ATL_USE_VECTOR, ATL_DTYPE_F32, heads, p->c);
  if (p->flags & NORM_MODULATED)
    out = atl_norm_modulated (b->graph, (AtlNormKind) p->a, x, weight, bias, 1e-5f,
                              op_input_of (b, p->d, p->c), op_input_of (b, p->d, p->c));
  else if (p->a == ATL_NORM_L2)
    out = atl_norm_l2 (b->graph, x, weight, 1e-6f, 2.5f);
  else
    out = atl_norm (b->graph, (AtlNormKind) p->a, x, weight, bias, 1e-5f);
  op_output (b, out);
}

/* a: batch, b: height, c: width, d: channels, e: groups, f: activation */
static void
build_group_norm (OpBuild *b, const OpCaseParams *p)
{
  /* A mean far from zero shows a variance that is computed carelessly. */
  AtlTensor *x = atl_affine (b->graph, op_input_of (b, p->a, p->b, p->c, p->d), 1.0f, 3.0f);
  AtlTensor *weight = p->flags ? op_vector (b, p->d) : NULL;
  AtlTensor *bias = p->flags ? op_vector (b, p->d) : NULL;

  op_output (b, atl_group_norm (b->graph, x, weight, bias, p->e, 1e-6f, (AtlAct) p->f));
}

void
op_cases_norm (void)
{
  static const gint64 widths[] = { 1, 17, 576, 1536 };
  static const guint flags[] = { 0,
                                 NORM_WEIGHT,
                                 NORM_WEIGHT | NORM_BIAS,
                                 NORM_WEIGHT | NORM_PER_HEAD,
                                 NORM_MODULATED,
                                 NORM_WEIGHT | NORM_BIAS | NORM_MODULATED | NORM_STRIDED };

  for (gint64 kind = ATL_NORM_RMS; kind <= ATL_NORM_L2; kind++)
    for (guint w = 0; w < G_N_ELEMENTS (widths); w++)
      for (guint f = 0; f < G_N_ELEMENTS (flags); f++)
        {
          OpCaseParams p = { .a = kind, .b = 6, .c = widths[w], .flags = flags[f] };

          /* A layer norm of one value is 0/0 up to eps: nothing to compare. */
          if (kind == ATL_NORM_LAYER && p.c == 1)
            continue;
          p.d = f % 2 ? 6 : 2;
          op_case_add (build_norm, &p, TOLERANCE, TOLERANCE, "norm/kind-%d-width-%d-flags-%u",
                       (int) kind, (int) p.c, p.flags);
        }
  {
    static const OpCaseParams groups[] = {
      { .a = 2, .b = 5, .c = 7, .d = 12, .e = 4, .f = ATL_ACT_SILU, .flags = 1 },
      { .a = 1, .b = 9, .c = 3, .d = 320, .e = 32, .f = ATL_ACT_NONE, .flags = 1 },
      { .a = 1, .b = 16, .c = 16, .d = 64, .e = 32, .f = ATL_ACT_SILU, .flags = 0 },
      { .a = 3, .b = 33, .c = 31, .d = 48, .e = 1, .f = ATL_ACT_SILU, .flags = 1 },
      { .a = 1, .b = 1, .c = 1, .d = 256, .e = 32, .f = ATL_ACT_NONE, .flags = 1 },
    };

    for (guint i = 0; i < G_N_ELEMENTS (groups); i++)
      op_case_add (build_group_norm, &groups[i], 5e-6, 5e-6, "group-norm/%u", i);
  }
}
