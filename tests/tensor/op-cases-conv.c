/* Cases of conv and upsample. */
#include "op-cases-private.h"

#define EXACT 5e-6
#define FAST 1e-4

typedef struct
{
  const char *name;
  gint64 batch, in[3], n_in, n_out, kernel[3];
  AtlOpParams p;
  AtlDType dtype;
  gboolean bias, residual;
} ConvCase;

static const ConvCase convs[] = {
  { "1x1", 2, { 1, 5, 7 }, 9, 6, { 1, 1, 1 }, { 0 }, ATL_DTYPE_F32, TRUE, FALSE },
  { "3x3",
    1,
    { 1, 9, 7 },
    5,
    19,
    { 1, 3, 3 },
    { .pad_before = { 0, 1, 1 }, .pad_after = { 0, 1, 1 } },
    ATL_DTYPE_F16,
    TRUE,
    FALSE },
  { "3x3-residual",
    2,
    { 1, 6, 11 },
    32,
    64,
    { 1, 3, 3 },
    { .pad_before = { 0, 1, 1 }, .pad_after = { 0, 1, 1 }, .act = ATL_ACT_SILU },
    ATL_DTYPE_F32,
    TRUE,
    TRUE },
  { "3x3-stride-2",
    1,
    { 1, 12, 9 },
    16,
    33,
    { 1, 3, 3 },
    { .stride = { 1, 2, 2 }, .pad_before = { 0, 1, 1 }, .pad_after = { 0, 1, 1 } },
    ATL_DTYPE_BF16,
    FALSE,
    FALSE },
  { "3x3-uneven-padding",
    1,
    { 1, 8, 8 },
    7,
    5,
    { 1, 3, 3 },
    { .stride = { 1, 2, 2 }, .pad_after = { 0, 1, 1 } },
    ATL_DTYPE_F32,
    TRUE,
    FALSE },
  { "14x14-patches",
    1,
    { 1, 28, 42 },
    3,
    24,
    { 1, 14, 14 },
    { .stride = { 1, 14, 14 } },
    ATL_DTYPE_F16,
    TRUE,
    FALSE },
  { "causal-3d",
    1,
    { 5, 4, 6 },
    8,
    20,
    { 3, 3, 3 },
    { .pad_before = { 2, 1, 1 }, .pad_after = { 0, 1, 1 } },
    ATL_DTYPE_F32,
    TRUE,
    TRUE },
  { "frames-stride",
    2,
    { 5, 3, 4 },
    6,
    7,
    { 3, 1, 1 },
    { .stride = { 2, 1, 1 } },
    ATL_DTYPE_F16,
    TRUE,
    FALSE },
  { "patches-3d",
    1,
    { 2, 6, 8 },
    4,
    48,
    { 1, 2, 2 },
    { .stride = { 1, 2, 2 } },
    ATL_DTYPE_F32,
    TRUE,
    FALSE },
  { "wide",
    1,
    { 1, 17, 19 },
    96,
    112,
    { 1, 3, 3 },
    { .pad_before = { 0, 1, 1 }, .pad_after = { 0, 1, 1 } },
    ATL_DTYPE_F16,
    TRUE,
    FALSE },
  /* Large enough for tiles that read pixels where they are. */
  { "many-positions",
    1,
    { 1, 40, 37 },
    40,
    70,
    { 1, 3, 3 },
    { .pad_before = { 0, 1, 1 }, .pad_after = { 0, 1, 1 }, .act = ATL_ACT_GELU_TANH },
    ATL_DTYPE_F16,
    TRUE,
    TRUE },
  { "many-positions-batch",
    2,
    { 1, 33, 31 },
    36,
    33,
    { 1, 3, 3 },
    { .pad_before = { 0, 1, 1 }, .pad_after = { 0, 1, 1 } },
    ATL_DTYPE_BF16,
    TRUE,
    FALSE },
  { "many-positions-f8",
    1,
    { 1, 26, 40 },
    33,
    17,
    { 1, 1, 1 },
    { 0 },
    ATL_DTYPE_F8_E4M3,
    FALSE,
    FALSE },
  { "many-positions-3d",
    1,
    { 4, 24, 26 },
    33,
    17,
    { 3, 3, 3 },
    { .pad_before = { 2, 1, 1 }, .pad_after = { 0, 1, 1 } },
    ATL_DTYPE_F32,
    TRUE,
    FALSE },
  /* Large enough for Winograd's transform: patches that reach past each edge, channels that fill
   * neither a vector nor a panel, more than one block of them, frames before the first. */
  { "patches",
    2,
    { 1, 23, 18 },
    85,
    150,
    { 1, 3, 3 },
    { .pad_before = { 0, 1, 1 }, .pad_after = { 0, 1, 1 }, .act = ATL_ACT_SILU },
    ATL_DTYPE_F16,
    TRUE,
    TRUE },
  { "patches-no-padding",
    1,
    { 1, 35, 38 },
    64,
    40,
    { 1, 3, 3 },
    { 0 },
    ATL_DTYPE_BF16,
    FALSE,
    FALSE },
  { "patches-much-padding",
    1,
    { 1, 9, 13 },
    160,
    48,
    { 1, 3, 3 },
    { .pad_before = { 0, 5, 2 }, .pad_after = { 0, 1, 7 } },
    ATL_DTYPE_F32,
    TRUE,
    FALSE },
  { "patches-3d",
    2,
    { 5, 11, 14 },
    72,
    33,
    { 3, 3, 3 },
    { .stride = { 2, 1, 1 }, .pad_before = { 2, 1, 1 }, .pad_after = { 0, 1, 1 } },
    ATL_DTYPE_F16,
    TRUE,
    TRUE },
};

/* a: index of the case */
static void
build_conv (OpBuild *b, const OpCaseParams *p)
{
  const ConvCase *c = &convs[p->a];
  gint64 out[3];
  AtlTensor *x = op_input_of (b, c->batch, c->in[0], c->in[1], c->in[2], c->n_in);
  AtlTensor *w = op_weight_of (b, ATL_USE_CONV, c->dtype, c->n_out, c->n_in, c->kernel[0],
                               c->kernel[1], c->kernel[2]);
  AtlTensor *residual = NULL;

  for (guint i = 0; i < 3; i++)
    out[i] = (c->in[i] + c->p.pad_before[i] + c->p.pad_after[i] - c->kernel[i]) /
                 MAX (c->p.stride[i], 1) +
             1;
  if (c->residual)
    residual = op_input_of (b, c->batch, out[0], out[1], out[2], c->n_out);
  op_output (b,
             atl_conv (b->graph, x, w, c->bias ? op_vector (b, c->n_out) : NULL, residual, &c->p));
}

/* The common form: a picture of four dimensions and a kernel of four. */
static void
build_conv_4d (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *x = op_input_of (b, 2, 7, 5, 4);
  AtlTensor *w = op_weight_of (b, ATL_USE_CONV, ATL_DTYPE_F32, 10, 4, 3, 3);

  op_output (b, atl_conv2d (b->graph, x, w, op_vector (b, 10), 1, 1));
}

static void
build_upsample (OpBuild *b, const OpCaseParams *p)
{
  op_output (b, atl_upsample (b->graph, op_input_of (b, 2, 3, 5, 6), 1, 6, 10));
  op_output (b, atl_upsample (b->graph, op_input_of (b, 1, 2, 3, 5, 4), 4, 7, 5));
}

void
op_cases_conv (void)
{
  OpCaseParams none = { 0 };

  for (guint i = 0; i < G_N_ELEMENTS (convs); i++)
    {
      OpCaseParams p = { .a = i };
      op_case_add (build_conv, &p, EXACT, FAST, "conv/%s", convs[i].name);
    }
  op_case_add (build_conv_4d, &none, EXACT, FAST, "conv/picture");
  op_case_add (build_upsample, &none, 1e-7, 1e-7, "upsample/nearest");
}
