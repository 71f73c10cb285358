/* Cases of binary, unary, glu, copy and concat. */
#include "op-cases-private.h"

#define TOLERANCE 2e-6

/* Pairs of shapes that broadcast; 0 ends a shape. */
static const gint64 shapes[][2][5] = {
  { { 7, 33 }, { 7, 33 } },
  { { 7, 33 }, { 33 } },
  { { 7, 33 }, { 7, 1 } },
  { { 1, 33 }, { 7, 1 } },
  { { 2, 3, 4, 5, 6 }, { 1, 3, 1, 5, 1 } },
  { { 5 }, { 3, 1, 5 } },
  { { 1 }, { 4, 129 } },
};

static guint
shape_dims (const gint64 *shape)
{
  guint n = 0;

  while (n < 5 && shape[n] != 0)
    n++;
  return n;
}

/* a: operation, b: shapes */
static void
build_binary (OpBuild *b, const OpCaseParams *p)
{
  const gint64 *sa = shapes[p->b][0];
  const gint64 *sb = shapes[p->b][1];
  AtlTensor *x = op_input (b, shape_dims (sa), sa);
  AtlTensor *y = op_input (b, shape_dims (sb), sb);

  if (p->a == ATL_DIV)
    y = atl_affine (b->graph, y, 0.25f, 2.0f);
  op_output (b, atl_binary (b->graph, (AtlBinary) p->a, x, y));
}

static void
build_binary_strided (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *x = atl_permute_to (b->graph, op_input_of (b, 5, 9, 7), 2, 0, 1);
  AtlTensor *y = atl_slice (b->graph, op_input_of (b, 7, 5, 20), 2, 4, 9);

  op_output (b, atl_add (b->graph, x, y));
  op_output (b, atl_mul (b->graph, y, op_vector (b, 9)));
  op_output (b, atl_sub (b->graph, y, x));
}

/* a: activation */
static void
build_unary (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *x = op_input_of (b, 13, 67);

  /* Square roots want what is not negative; the others are shown large values too. */
  if (p->a == ATL_ACT_SQRT)
    x = atl_act (b->graph, ATL_ACT_ABS, x);
  else if (p->a == ATL_ACT_EXP)
    x = atl_affine (b->graph, x, 30.0f, -10.0f);
  else
    x = atl_affine (b->graph, x, 12.0f, 0.5f);
  op_output (b, atl_act (b->graph, (AtlAct) p->a, x));
}

static void
build_unary_strided (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *x = atl_permute_to (b->graph, op_input_of (b, 6, 11), 1, 0);

  op_output (b, atl_affine (b->graph, x, -2.0f, 0.25f));
}

/* a: activation, b: width; flags 1: gate second, 2: strided */
static void
build_glu (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *x;

  if (p->flags & 2)
    x = atl_slice (b->graph, op_input_of (b, 9, 2 * p->b + 6), 1, 3, 2 * p->b);
  else
    x = op_input_of (b, 3, 3, 2 * p->b);
  op_output (b,
             atl_glu (b->graph, atl_affine (b->graph, x, 3.0f, 0.0f), (AtlAct) p->a, p->flags & 1));
}

static void
build_copy (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *x = op_input_of (b, 3, 5, 7, 2);
  gint32 ids[6] = { 1, -2, 3, 100000, 5, 6 };
  AtlTensor *i = op_input_i32 (b, 2, (gint64[]){ 2, 3 }, ids);

  op_output (b, atl_contiguous (b->graph, atl_permute_to (b->graph, x, 3, 1, 0, 2)));
  op_output (b, atl_contiguous (b->graph, atl_slice (b->graph, x, 2, 1, 5)));
  op_output (b, atl_contiguous (b->graph, atl_permute_to (b->graph, i, 1, 0)));
}

/* a: axis */
static void
build_concat (OpBuild *b, const OpCaseParams *p)
{
  gint64 dim[3] = { 4, 5, 6 };
  AtlTensor *parts[4];

  for (guint i = 0; i < 3; i++)
    {
      dim[p->a] = 2 + i;
      parts[i] = op_input (b, 3, dim);
    }
  /* One that does not lie in memory as it is seen. */
  dim[p->a] = 3;
  parts[3] = atl_permute_to (b->graph, op_input_of (b, dim[2], dim[0], dim[1]), 1, 2, 0);
  op_output (b, atl_concat (b->graph, (guint) p->a, 4, parts));
}

void
op_cases_elementwise (void)
{
  OpCaseParams none = { 0 };

  for (gint64 op = ATL_ADD; op <= ATL_MAX; op++)
    for (guint s = 0; s < G_N_ELEMENTS (shapes); s++)
      {
        OpCaseParams p = { .a = op, .b = s };
        op_case_add (build_binary, &p, TOLERANCE, TOLERANCE, "binary/op-%d-shapes-%u", (int) op, s);
      }
  op_case_add (build_binary_strided, &none, TOLERANCE, TOLERANCE, "binary/strided");
  for (gint64 act = ATL_ACT_NONE; act < ATL_N_ACTS; act++)
    {
      OpCaseParams p = { .a = act };
      op_case_add (build_unary, &p, TOLERANCE, TOLERANCE, "unary/act-%d", (int) act);
    }
  op_case_add (build_unary_strided, &none, TOLERANCE, TOLERANCE, "unary/strided");
  for (guint flags = 0; flags < 6; flags++)
    {
      OpCaseParams p = { .a = flags & 4   ? ATL_ACT_CLAMPED_QUICK
                              : flags & 1 ? ATL_ACT_GELU_ERF
                                          : ATL_ACT_SILU,
                         .b = 51,
                         .flags = flags };
      op_case_add (build_glu, &p, TOLERANCE, TOLERANCE, "glu/flags-%u", flags);
    }
  op_case_add (build_copy, &none, 1e-7, 1e-7, "copy/views");
  for (gint64 axis = 0; axis < 3; axis++)
    {
      OpCaseParams p = { .a = axis };
      op_case_add (build_concat, &p, 1e-7, 1e-7, "concat/axis-%d", (int) axis);
    }
}
