/* Products with weights, and embedding: host side of kernels/linear.cl. */
#define G_LOG_DOMAIN "atl-opencl"

#include "engine/tensor/opencl/op.h"

/* Up to this many columns the weights are read straight (gemv_1, _4, _8), beyond by tiles. */
#define GEMV_COLUMNS 8
/* With experts: the same question is how many columns an expert gets on average. */
#define GEMV_COLUMNS_PER_EXPERT 8

/* One product: everything that the kernels' parameters need. */
typedef struct
{
  const AtlClMatrix *w;
  gint64 n_rows; /* of dst, of one expert */

  const AtlTensor *x;
  gboolean packed; /* x was copied to scratch at `packed_at` */
  gsize packed_at;
  gint64 x_stride;
  gint64 n_cols, x_div;

  const AtlTensor *ids; /* (nullable) experts */
  gint64 n_experts;
  gboolean sorted; /* `order` and `tiles` lie in scratch */
  gsize order_at, tiles_at;
  gint64 n_tiles;

  const AtlTensor *dst; /* (nullable) scratch at `dst_at` instead */
  gsize dst_at;
  gint64 dst_stride, column; /* first column of dst and residual that it fills */
  const AtlTensor *bias;     /* (nullable) */
  gboolean mul;              /* by scratch at mul_at, [n_cols, n_rows] */
  gsize mul_at;
  const AtlTensor *residual; /* (nullable) */
  gint64 residual_stride;
  float scale, a;
  AtlAct act;
} Product;

static void
epilogue_args (AtlClCall *call, const Product *p, AtlBuffer *scratch, int flags)
{
  if (p->dst != NULL)
    atl_cl_arg_tensor_at (call, p->dst, sizeof (float), (guint64) p->column);
  else
    atl_cl_arg_scratch (call, scratch, p->dst_at);
  atl_cl_arg_uint (call, (guint64) p->dst_stride);
  atl_cl_arg_tensor (call, p->bias, sizeof (float));
  if (p->mul)
    atl_cl_arg_scratch (call, scratch, p->mul_at);
  else
    atl_cl_arg_tensor (call, NULL, sizeof (float));
  atl_cl_arg_uint (call, (guint64) p->n_rows);
  atl_cl_arg_tensor_at (call, p->residual, sizeof (float),
                        p->residual != NULL ? (guint64) p->column : 0);
  atl_cl_arg_uint (call, (guint64) p->residual_stride);
  atl_cl_arg_float (call, p->scale);
  atl_cl_arg_float (call, p->a);
  atl_cl_arg_int (call, (cl_int) p->act);
  atl_cl_arg_int (call, flags | (p->bias != NULL ? ATL_CL_HAS_BIAS : 0) |
                            (p->mul ? ATL_CL_HAS_MUL : 0) |
                            (p->residual != NULL ? ATL_CL_HAS_RESIDUAL : 0));
}

static void
weight_args (AtlClCall *call, const AtlClMatrix *w)
{
  atl_cl_arg_memory (call, w->memory);
  for (guint i = 1; i < ATL_CL_PLANES; i++)
    atl_cl_arg_ulong (call, w->plane[i]);
  atl_cl_arg_uint (call, (guint64) w->k / 16);
}

static void
x_args (AtlClCall *call, const Product *p, AtlBuffer *scratch)
{
  atl_cl_arg_uint (call, (guint64) p->n_rows);
  if (p->packed)
    atl_cl_arg_scratch (call, scratch, p->packed_at);
  else
    atl_cl_arg_tensor (call, p->x, sizeof (float));
  atl_cl_arg_uint (call, (guint64) p->x_stride);
  atl_cl_arg_uint (call, (guint64) p->n_cols);
  atl_cl_arg_uint (call, (guint64) p->x_div);
}

static gboolean
run_gemv (AtlOpencl *cl, const Product *p, AtlBuffer *scratch, GError **error)
{
  gint64 columns = p->ids != NULL || p->n_cols == 1 ? 1 : p->n_cols <= 4 ? 4 : 8;
  const char *kernel = columns == 1 ? "gemv_1" : columns == 4 ? "gemv_4" : "gemv_8";
  gint64 rows_per_group = (gint64) cl->tuning.gemv_groups * cl->tuning.gemv_rows;
  AtlClCall call;

  cl->n_flops += 2.0 * (double) p->n_rows * (double) p->n_cols * (double) p->w->k;
  if (!atl_cl_call_begin (&call, cl, ATL_CL_LINEAR, p->w->dtype, kernel, error))
    return FALSE;
  weight_args (&call, p->w);
  x_args (&call, p, scratch);
  atl_cl_arg_tensor (&call, p->ids, sizeof (gint32));
  atl_cl_arg_uint (&call, (guint64) p->n_experts);
  epilogue_args (&call, p, scratch, p->ids != NULL ? ATL_CL_HAS_IDS : 0);
  return atl_cl_call_groups (&call, (guint64) ((p->n_rows + rows_per_group - 1) / rows_per_group),
                             (guint64) ((p->n_cols + columns - 1) / columns), 1, error);
}

static gboolean
run_gemm (AtlOpencl *cl, const Product *p, AtlBuffer *scratch, GError **error)
{
  guint64 n_tiles = p->sorted
                        ? (guint64) p->n_tiles
                        : (guint64) (p->n_cols + ATL_CL_TILE_COLUMNS - 1) / ATL_CL_TILE_COLUMNS;
  guint64 row_tiles = (guint64) (p->n_rows + ATL_CL_TILE_ROWS - 1) / ATL_CL_TILE_ROWS;
  AtlClCall call;

  if (!atl_cl_call_begin (&call, cl, ATL_CL_LINEAR, p->w->dtype, "gemm", error))
    return FALSE;
  weight_args (&call, p->w);
  x_args (&call, p, scratch);
  if (p->sorted)
    {
      atl_cl_arg_scratch (&call, scratch, p->order_at);
      atl_cl_arg_memory (&call, scratch->impl);
      atl_cl_arg_ulong (&call, p->tiles_at / (4 * sizeof (gint32)));
    }
  else
    {
      atl_cl_arg_tensor (&call, NULL, sizeof (gint32));
      atl_cl_arg_tensor (&call, NULL, sizeof (gint32));
    }
  atl_cl_arg_first (&call);
  epilogue_args (&call, p, scratch, p->sorted ? ATL_CL_HAS_IDS : 0);
  return atl_cl_call_tiles (&call, n_tiles, row_tiles, 1,
                            2.0 * ATL_CL_TILE_COLUMNS * ATL_CL_TILE_ROWS * (double) p->w->k, error);
}

static gboolean
run_product (AtlOpencl *cl, const Product *p, AtlBuffer *scratch, GError **error)
{
  if (p->sorted || (p->ids == NULL && p->n_cols > GEMV_COLUMNS))
    return run_gemm (cl, p, scratch, error);
  return run_gemv (cl, p, scratch, error);
}

/* --- Preparing x --- */

static gint64
padded_k (gint64 k)
{
  return (k + 31) & ~(gint64) 31;
}

/* Whether the kernels can read x where it lies: whole slices of K, 16-byte aligned rows. */
static gboolean
must_pack (const AtlTensor *x, gint64 n_rows, gint64 row_stride)
{
  gint64 k = x->dim[x->n_dims - 1];

  return k != padded_k (k) || (n_rows > 1 && row_stride % 4 != 0) ||
         (x->base != NULL && x->offset % 4 != 0);
}

static gboolean
pack (AtlOpencl *cl, Product *p, AtlBuffer *scratch, gsize at, GError **error)
{
  gint64 n_rows, row_stride, k = p->x->dim[p->x->n_dims - 1];
  AtlClCall call;

  atl_tensor_rows (p->x, &n_rows, &row_stride);
  p->x_stride = row_stride;
  if (!must_pack (p->x, n_rows, row_stride))
    return TRUE;
  p->packed = TRUE;
  p->packed_at = at;
  p->x_stride = padded_k (k);
  if (!atl_cl_call_begin (&call, cl, ATL_CL_ELEMENTWISE, 0, "pack_rows", error))
    return FALSE;
  atl_cl_arg_tensor (&call, p->x, sizeof (float));
  atl_cl_arg_ulong (&call, (guint64) row_stride);
  atl_cl_arg_uint (&call, (guint64) k);
  atl_cl_arg_scratch (&call, scratch, at);
  atl_cl_arg_uint (&call, (guint64) p->x_stride);
  atl_cl_arg_uint (&call, (guint64) n_rows);
  return atl_cl_call_items (&call, (guint64) p->x_stride, (guint64) n_rows, error);
}

/* Scratch: packed x | result of the gate | order | tiles, each aligned. */
typedef struct
{
  gsize gate, order, tiles, end;
} Scratch;

static gsize
align (gsize n)
{
  return (n + 255) & ~(gsize) 255;
}

static Scratch
scratch_layout (const AtlNode *node, const AtlTensor *x, gint64 n_cols, gint64 n_tiles)
{
  gint64 n_rows, row_stride;
  Scratch s;

  atl_tensor_rows (x, &n_rows, &row_stride);
  s.gate = must_pack (x, n_rows, row_stride)
               ? align ((gsize) (n_rows * padded_k (x->dim[x->n_dims - 1])) * sizeof (float))
               : 0;
  s.order = s.gate +
            (node->p.gated ? align ((gsize) atl_tensor_n_elems (node->dst) * sizeof (float)) : 0);
  s.tiles = s.order + (n_tiles > 0 ? align ((gsize) n_cols * sizeof (gint32)) : 0);
  s.end = s.tiles + align ((gsize) n_tiles * 4 * sizeof (gint32));
  return s;
}

/* --- LINEAR --- */

static gboolean
linear_supports (const AtlOpencl *cl, const AtlNode *node)
{
  const AtlTensor *residual = node->src[ATL_LINEAR_RESIDUAL];
  gint64 n, stride;

  if (!atl_cl_is_rows (node->src[ATL_LINEAR_X], &n, &stride) ||
      !atl_tensor_is_contiguous (node->dst))
    return FALSE;
  for (guint i = 0; i < node->p.n_weights; i++)
    {
      const AtlTensor *w = node->src[ATL_LINEAR_W0 + i], *b = node->src[ATL_LINEAR_B0 + i];

      if (!atl_cl_is_weight (w, ATL_USE_LINEAR) || !atl_cl_fits (w->dim[0]) ||
          !atl_cl_is_float (b) || (b != NULL && !atl_tensor_is_contiguous (b)))
        return FALSE;
    }
  return residual == NULL || atl_cl_is_rows (residual, &n, &stride);
}

static gsize
linear_scratch (const AtlOpencl *cl, const AtlNode *node)
{
  return scratch_layout (node, node->src[ATL_LINEAR_X], 0, 0).end;
}

static gboolean
linear_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  const AtlTensor *x = node->src[ATL_LINEAR_X];
  const AtlTensor *residual = node->src[ATL_LINEAR_RESIDUAL];
  Scratch s = scratch_layout (node, x, 0, 0);
  Product p = { .x = x, .x_div = 1, .dst_stride = node->dst->dim[node->dst->n_dims - 1] };
  gint64 ignored;

  atl_tensor_rows (x, &p.n_cols, &ignored);
  if (residual != NULL)
    atl_tensor_rows (residual, &ignored, &p.residual_stride);
  if (!pack (cl, &p, scratch, 0, error))
    return FALSE;
  for (guint i = 0; i < node->p.n_weights; i++)
    {
      const AtlTensor *w = node->src[ATL_LINEAR_W0 + i];
      gboolean is_gate = node->p.gated && i == 0;

      p.w = &atl_cl_weight (cl, w)->matrix;
      p.n_rows = w->dim[0];
      p.scale = (w->base != NULL ? w->base : w)->weight->scale;
      p.bias = node->src[ATL_LINEAR_B0 + i];
      p.dst = is_gate ? NULL : node->dst;
      p.dst_at = s.gate;
      p.act = !node->p.gated || is_gate ? node->p.act : atl_act_of_factor (node->p.act);
      p.a = node->p.gated ? 1.0f : node->p.a;
      p.mul = node->p.gated && i == 1;
      p.mul_at = s.gate;
      p.residual = is_gate ? NULL : residual;
      if (!run_product (cl, &p, scratch, error))
        return FALSE;
      if (!node->p.gated)
        p.column += p.n_rows;
    }
  return TRUE;
}

const AtlClOp atl_cl_op_linear = { linear_supports, linear_scratch, linear_run };

/* --- EXPERT_LINEAR --- */

static gint64
expert_tiles (const AtlNode *node)
{
  gint64 n_cols = atl_tensor_n_elems (node->src[ATL_EXPERT_IDS]);
  gint64 n_experts = node->src[ATL_EXPERT_W0]->dim[0];

  if (n_cols <= GEMV_COLUMNS_PER_EXPERT * n_experts)
    return 0;
  /* Every expert may leave one tile unfilled. */
  return n_cols / ATL_CL_TILE_COLUMNS + n_experts;
}

static gboolean
expert_supports (const AtlOpencl *cl, const AtlNode *node)
{
  const AtlTensor *ids = node->src[ATL_EXPERT_IDS];
  gint64 n, stride;

  /* 1024 and 65535: MAX_EXPERTS of kernels/route.cl, groups of a launch. */
  if (!atl_cl_is_rows (node->src[ATL_EXPERT_X], &n, &stride) || !atl_cl_is_index (ids) ||
      !atl_tensor_is_contiguous (node->dst) || !atl_cl_fits (atl_tensor_n_elems (ids)) ||
      node->src[ATL_EXPERT_W0]->dim[0] > 1024 ||
      (expert_tiles (node) == 0 && atl_tensor_n_elems (ids) > 65535))
    return FALSE;
  for (guint i = 0; i < node->p.n_weights; i++)
    {
      const AtlTensor *b = node->src[ATL_EXPERT_B0 + i];

      if (!atl_cl_is_weight (node->src[ATL_EXPERT_W0 + i], ATL_USE_LINEAR) ||
          !atl_cl_is_float (b) || (b != NULL && !atl_tensor_is_contiguous (b)))
        return FALSE;
    }
  return TRUE;
}

static gsize
expert_scratch (const AtlOpencl *cl, const AtlNode *node)
{
  return scratch_layout (node, node->src[ATL_EXPERT_X],
                         atl_tensor_n_elems (node->src[ATL_EXPERT_IDS]), expert_tiles (node))
      .end;
}

static gboolean
sort_by_expert (AtlOpencl *cl, const Product *p, AtlBuffer *scratch, GError **error)
{
  AtlClCall call;

  if (!atl_cl_call_begin (&call, cl, ATL_CL_ROUTE, 0, "sort_by_expert", error))
    return FALSE;
  atl_cl_arg_tensor (&call, p->ids, sizeof (gint32));
  atl_cl_arg_uint (&call, (guint64) p->n_cols);
  atl_cl_arg_uint (&call, (guint64) p->n_experts);
  atl_cl_arg_uint (&call, ATL_CL_TILE_COLUMNS);
  atl_cl_arg_scratch (&call, scratch, p->order_at);
  atl_cl_arg_memory (&call, scratch->impl);
  atl_cl_arg_ulong (&call, p->tiles_at / (4 * sizeof (gint32)));
  atl_cl_arg_uint (&call, (guint64) p->n_tiles);
  return atl_cl_call_groups (&call, 1, 1, 1, error);
}

static gboolean
expert_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  const AtlTensor *x = node->src[ATL_EXPERT_X], *ids = node->src[ATL_EXPERT_IDS];
  gint64 k = ids->dim[ids->n_dims - 1];
  Product p = { .x = x,
                .x_div = x->n_dims == 3 ? 1 : k,
                .ids = ids,
                .n_cols = atl_tensor_n_elems (ids),
                .n_experts = node->src[ATL_EXPERT_W0]->dim[0],
                .n_tiles = expert_tiles (node),
                .dst_stride = node->dst->dim[2],
                .a = 1.0f };
  Scratch s = scratch_layout (node, x, p.n_cols, p.n_tiles);

  p.sorted = p.n_tiles > 0;
  p.order_at = s.order;
  p.tiles_at = s.tiles;
  if (!pack (cl, &p, scratch, 0, error) || (p.sorted && !sort_by_expert (cl, &p, scratch, error)))
    return FALSE;
  for (guint i = 0; i < node->p.n_weights; i++)
    {
      const AtlTensor *w = node->src[ATL_EXPERT_W0 + i];
      gboolean is_gate = node->p.gated && i == 0;

      p.w = &atl_cl_weight (cl, w)->matrix;
      p.n_rows = w->dim[1];
      p.scale = (w->base != NULL ? w->base : w)->weight->scale;
      p.bias = node->src[ATL_EXPERT_B0 + i];
      p.dst = is_gate ? NULL : node->dst;
      p.dst_at = s.gate;
      p.act = !node->p.gated || is_gate ? node->p.act : atl_act_of_factor (node->p.act);
      p.mul = node->p.gated && i == 1;
      p.mul_at = s.gate;
      if (!run_product (cl, &p, scratch, error))
        return FALSE;
    }
  return TRUE;
}

const AtlClOp atl_cl_op_expert_linear = { expert_supports, expert_scratch, expert_run };

/* --- EMBED --- */

static gboolean
embed_supports (const AtlOpencl *cl, const AtlNode *node)
{
  return atl_cl_is_weight (node->src[0], ATL_USE_ROWS) && atl_cl_is_index (node->src[1]) &&
         atl_cl_fits (atl_tensor_n_elems (node->src[1])) && atl_cl_fits (node->src[0]->dim[0]) &&
         atl_tensor_is_contiguous (node->dst);
}

static gboolean
embed_run (AtlOpencl *cl, const AtlNode *node, AtlBuffer *scratch, GError **error)
{
  const AtlTensor *w = node->src[0], *ids = node->src[1];
  const AtlClMatrix *m = &atl_cl_weight (cl, w)->matrix;
  guint64 n = (guint64) atl_tensor_n_elems (ids);
  AtlClCall call;

  if (!atl_cl_call_begin (&call, cl, ATL_CL_LINEAR, m->dtype, "embed", error))
    return FALSE;
  weight_args (&call, m);
  atl_cl_arg_uint (&call, (guint64) w->dim[0]);
  atl_cl_arg_uint (&call, (guint64) w->dim[1]);
  atl_cl_arg_tensor (&call, ids, sizeof (gint32));
  atl_cl_arg_uint (&call, n);
  atl_cl_arg_tensor (&call, node->dst, sizeof (float));
  atl_cl_arg_float (&call, node->p.a * (w->base != NULL ? w->base : w)->weight->scale);
  return atl_cl_call_items (&call, (guint64) m->k / 16, n, error);
}

const AtlClOp atl_cl_op_embed = { embed_supports, NULL, embed_run };
