/* Cases of rope, store-rows and attention. */
#include "op-cases-private.h"

/* Sums of products in another order, an own exp, and softmax over hundreds of terms. */
#define EXACT 1e-5
/* Probabilities or keys rounded to no less than 15 bits. */
#define FAST 1e-4
/* Many queries: all of it is rounded to words (kern-attend.c, kern-attend-range.c). */
#define FAST_PLAIN 2.5e-4

/* a: batch (0: none), b: tokens, c: heads, d: head size, e: n_rot, f: pairing; flags 1: strided */
static void
build_rope (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *table = op_input_of (b, p->b, p->e);
  AtlTensor *x;

  if (p->a > 0)
    x = op_input_of (b, p->a, p->b, p->c, p->d);
  else if (p->flags & 1)
    x = atl_reshape_to (
        b->graph, atl_slice (b->graph, op_input_of (b, p->b, p->c * p->d + 24), 1, 8, p->c * p->d),
        p->b, p->c, p->d);
  else
    x = op_input_of (b, p->b, p->c, p->d);
  op_output (b, atl_rope (b->graph, x, table, (AtlRopePairing) p->f));
}

enum
{
  USE_RANGES = 1,
  USE_BIAS = 2,
  USE_SINKS = 4,
  USE_SOFTCAP = 8,
  USE_STATE = 16,
  HEADS_FIRST = 32,
  SHARED_BIAS = 64,
  RISING = 128,
};

/* Keys and values as a decoder keeps them: stored row by row into a state that is longer. */
static AtlTensor *
through_state (OpBuild *b, const OpCaseParams *p, gint64 n, gint64 kv_heads, gint64 dim)
{
  g_autofree gint32 *ids = g_new (gint32, n);
  AtlTensor *state = op_state (b, p->dtype, 3, (gint64[]){ n + 9, kv_heads, dim });
  AtlTensor *x = op_input_of (b, n, kv_heads, dim);

  /* What has the largest scores comes last, so that earlier sums count for less again and again. */
  if (p->flags & RISING)
    for (gint64 at = n - n / 4; at > 0; at -= n / 4)
      {
        AtlTensor *parts[] = { atl_affine (b->graph, atl_slice (b->graph, x, 0, 0, at), 3.0f, 0.0f),
                               atl_slice (b->graph, x, 0, at, n - at) };

        x = atl_concat (b->graph, 0, G_N_ELEMENTS (parts), parts);
      }
  /* Backwards, so that a wrong index shows. */
  for (gint64 i = 0; i < n; i++)
    ids[i] = (gint32) (n - 1 - i);
  state = atl_store_rows (b->graph, state, x, op_input_i32 (b, 1, (gint64[]){ n }, ids));
  return atl_slice (b->graph, state, 0, 0, n);
}

/* a: batch, b: queries, c: keys, d: heads * 100 + kv heads, e: head size, f: size of values */
static void
build_attention (OpBuild *b, const OpCaseParams *p)
{
  gint64 heads = p->d / 100;
  gint64 kv_heads = p->d % 100;
  AtlTensor *q;
  AtlTensor *k;
  AtlTensor *v;
  AtlTensor *ranges = NULL;
  AtlTensor *bias = NULL;
  AtlTensor *sinks = NULL;

  if (p->flags & USE_STATE)
    {
      q = op_input_of (b, p->b, heads, p->e);
      OpCaseParams values = *p;

      values.flags &= ~RISING;
      k = through_state (b, p, p->c, kv_heads, p->e);
      v = through_state (b, &values, p->c, kv_heads, p->f);
    }
  else if (p->flags & HEADS_FIRST)
    {
      q = atl_permute_to (b->graph, op_input_of (b, p->a, heads, p->b, p->e), 0, 2, 1, 3);
      k = atl_permute_to (b->graph, op_input_of (b, p->a, kv_heads, p->c, p->e), 0, 2, 1, 3);
      v = atl_permute_to (b->graph, op_input_of (b, p->a, kv_heads, p->c, p->f), 0, 2, 1, 3);
    }
  else
    {
      q = op_input_of (b, p->a, p->b, heads, p->e);
      k = op_input_of (b, p->a, p->c, kv_heads, p->e);
      v = op_input_of (b, p->a, p->c, kv_heads, p->f);
    }
  /* Sharper than random, so that some keys matter more than others. */
  q = atl_affine (b->graph, q, 4.0f, 0.0f);

  if (p->flags & USE_RANGES)
    {
      /* A causal window; the first query, when there are several, sees nothing. */
      g_autofree gint32 *r = g_new (gint32, 2 * p->b);

      for (gint64 i = 0; i < p->b; i++)
        {
          gint64 end = p->c - p->b + i + 1;
          r[2 * i] = (gint32) MAX (end - 50, 0);
          r[2 * i + 1] = (gint32) (p->b > 1 && i == 0 ? r[0] : end);
        }
      ranges = op_input_i32 (b, 2, (gint64[]){ p->b, 2 }, r);
    }
  if (p->flags & USE_BIAS)
    bias = p->flags & SHARED_BIAS ? op_input_of (b, 1, 1, p->b, p->c)
                                  : op_input_of (b, p->a, heads, p->b, p->c);
  if (p->flags & USE_SINKS)
    sinks = op_vector (b, heads);
  op_output (b, atl_attention (b->graph, q, k, v, ranges, bias, sinks, 0.0f,
                               p->flags & USE_SOFTCAP ? 1.5f : 0.0f));
}

/* The state itself after rows were stored, read through a copy where it can be. */
static void
build_store (OpBuild *b, const OpCaseParams *p)
{
  AtlTensor *v = through_state (b, p, 5, 2, 64);
  AtlTensor *q = op_input_of (b, 1, 2, 64);

  /* All weight on the values: equal keys give their mean. */
  op_output (b, atl_attention (b->graph, atl_affine (b->graph, q, 0.0f, 0.0f), v, v, NULL, NULL,
                               NULL, 1.0f, 0.0f));
}

static void
add_rope (void)
{
  static const OpCaseParams ropes[] = {
    { .b = 1, .c = 9, .d = 64, .e = 64 },         { .b = 7, .c = 3, .d = 128, .e = 128 },
    { .b = 5, .c = 2, .d = 80, .e = 20 },         { .b = 4, .c = 3, .d = 64, .e = 32, .flags = 1 },
    { .a = 2, .b = 6, .c = 2, .d = 40, .e = 40 }, { .b = 33, .c = 5, .d = 34, .e = 18 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (ropes); i++)
    for (gint64 pairing = ATL_ROPE_NEIGHBORS; pairing <= ATL_ROPE_HALVES; pairing++)
      {
        OpCaseParams p = ropes[i];

        p.f = pairing;
        op_case_add (build_rope, &p, 1e-6, 1e-6, "rope/%u-pairing-%d", i, (int) pairing);
      }
}

void
op_cases_attention (void)
{
  static const AtlDType dtypes[] = { ATL_DTYPE_F32, ATL_DTYPE_F16, ATL_DTYPE_Q8_0, ATL_DTYPE_Q4_0 };
  static const OpCaseParams plain[] = {
    { .a = 1, .b = 1, .c = 1, .d = 101, .e = 8, .f = 8 },
    { .a = 1, .b = 5, .c = 5, .d = 402, .e = 64, .f = 64 },
    { .a = 2, .b = 37, .c = 77, .d = 303, .e = 40, .f = 40 },
    { .a = 1, .b = 64, .c = 64, .d = 202, .e = 128, .f = 96 },
    { .a = 1, .b = 19, .c = 23, .d = 101, .e = 512, .f = 512 },
    { .a = 2, .b = 65, .c = 130, .d = 202, .e = 160, .f = 160 },
    { .a = 1, .b = 3, .c = 700, .d = 401, .e = 72, .f = 72 },
    { .a = 2, .b = 33, .c = 40, .d = 202, .e = 64, .f = 64, .flags = HEADS_FIRST },
    { .a = 2, .b = 33, .c = 40, .d = 202, .e = 64, .f = 64, .flags = USE_BIAS },
    { .a = 2, .b = 33, .c = 40, .d = 202, .e = 64, .f = 64, .flags = USE_BIAS | SHARED_BIAS },
    { .a = 1, .b = 12, .c = 90, .d = 404, .e = 32, .f = 32, .flags = USE_RANGES | USE_SOFTCAP },
    { .a = 1, .b = 12, .c = 90, .d = 402, .e = 64, .f = 64, .flags = USE_RANGES | USE_SINKS },
    { .a = 2, .b = 40, .c = 90, .d = 402, .e = 64, .f = 64, .flags = USE_RANGES | USE_BIAS },
    { .a = 1, .b = 1, .c = 90, .d = 802, .e = 64, .f = 64, .flags = USE_SINKS | USE_SOFTCAP },
    { .a = 2, .b = 2, .c = 203, .d = 1203, .e = 64, .f = 64, .flags = HEADS_FIRST },
    { .a = 1, .b = 1, .c = 300, .d = 602, .e = 100, .f = 37 },
    /* Enough for words. */
    { .a = 1, .b = 300, .c = 401, .d = 402, .e = 40, .f = 40 },
    { .a = 2, .b = 301, .c = 131, .d = 402, .e = 130, .f = 96, .flags = HEADS_FIRST },
    { .a = 2, .b = 150, .c = 301, .d = 1602, .e = 40, .f = 72, .flags = USE_RANGES },
    { .a = 1, .b = 128, .c = 128, .d = 903, .e = 64, .f = 64, .flags = USE_RANGES | USE_SINKS },
  };
  static const OpCaseParams cached[] = {
    { .b = 1, .c = 3, .d = 903, .e = 64, .f = 64 },
    { .b = 1, .c = 300, .d = 602, .e = 128, .f = 128 },
    { .b = 1, .c = 1100, .d = 301, .e = 64, .f = 64 },
    { .b = 4, .c = 61, .d = 903, .e = 64, .f = 64, .flags = USE_RANGES },
    { .b = 70, .c = 101, .d = 602, .e = 128, .f = 128, .flags = USE_RANGES },
    { .b = 70, .c = 101, .d = 402, .e = 96, .f = 64, .flags = USE_RANGES | USE_SINKS },
    { .b = 190, .c = 290, .d = 903, .e = 64, .f = 64, .flags = USE_RANGES },
    /* Every number of queries that meets a key at once, and chunks that do not hold all heads. */
    { .b = 1, .c = 533, .d = 1402, .e = 64, .f = 64 },
    { .b = 1, .c = 129, .d = 802, .e = 64, .f = 96 },
    { .b = 1, .c = 70, .d = 1002, .e = 64, .f = 64 },
    { .b = 3, .c = 150, .d = 6408, .e = 128, .f = 128, .flags = USE_RANGES },
    { .b = 8, .c = 170, .d = 1202, .e = 32, .f = 32, .flags = USE_RANGES },
    { .b = 1, .c = 411, .d = 903, .e = 32, .f = 64, .flags = RISING },
    { .b = 3, .c = 301, .d = 802, .e = 32, .f = 32, .flags = RISING | USE_RANGES },
  };

  add_rope ();
  for (guint i = 0; i < G_N_ELEMENTS (plain); i++)
    op_case_add (build_attention, &plain[i], EXACT, FAST_PLAIN, "attention/plain-%u", i);
  for (guint d = 0; d < G_N_ELEMENTS (dtypes); d++)
    {
      OpCaseParams store = { .dtype = dtypes[d] };

      op_case_add (build_store, &store, EXACT, FAST, "store-rows/%s", atl_dtype_name (dtypes[d]));
      for (guint i = 0; i < G_N_ELEMENTS (cached); i++)
        {
          OpCaseParams p = cached[i];

          p.dtype = dtypes[d];
          p.flags |= USE_STATE;
          /* In integers, as products of few rows are, or in words. */
          op_case_add (build_attention, &p, EXACT,
                       atl_dtype_info (p.dtype)->quantized || p.b >= 128 ? FAST_PLAIN : FAST,
                       "attention/%s-%u", atl_dtype_name (p.dtype), i);
        }
    }
}
