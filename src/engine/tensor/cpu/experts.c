/* The fast form of expert-linear: each slot of a row meets the weights of the expert it chose. */
#include <string.h>

#include "engine/tensor/cpu/product.h"

/* Activations are rounded in the order of the experts, so that the rows of an expert are neighbours
 * and meet its weights together. */
typedef struct
{
  AtlProduct p; /* sources are those of expert 0; its rows are the sorted slots */
  gsize expert_bytes[2];
  gint64 n_out, n_experts, n_groups;
  gint64 slots_per_row; /* 1 when every slot has its own x, else k */
  const gint32 *first;  /* [n_experts + 1] in slots */
  const gint32 *slots;  /* [n * k], sorted by expert */
  const gint32 *chosen; /* [n_chosen] experts that have slots */
  gint64 n_chosen;
} Experts;

static void
quantize_slot (gconstpointer args, guint chunk, guint worker)
{
  const Experts *e = args;
  AtlQuantRows rows = e->p.quantized;

  e->p.kernels->quantize_row (e->p.x + e->slots[chunk] / e->slots_per_row * e->p.x_stride,
                              e->p.n_in, chunk, &rows);
}

/* A group of one expert for its sorted slots [s, s + n). Plain weights have their activations where
 * they are, one at a time; the weights stay in the nearest cache. */
static void
expert_group (const Experts *e,
              const AtlProduct *p,
              gint64 group,
              gint64 s,
              gint64 n,
              float *out,
              float *second)
{
  if (atl_source_is_quantized (&p->source[0]))
    {
      atl_product_few (p, group, s, n, out, second);
      return;
    }
  for (gint64 i = 0; i < n; i++)
    atl_product_few (p, group, e->slots[s + i] / e->slots_per_row, 1, out + i * ATL_PACK_ROWS,
                     second);
}

/* The products of one expert. */
static AtlProduct
product_of (const Experts *e, gint64 expert)
{
  AtlProduct p = e->p;

  for (guint i = 0; i < p.n_sources; i++)
    {
      p.source[i].data += (gsize) expert * e->expert_bytes[i];
      if (p.source[i].bias != NULL)
        p.source[i].bias += expert * e->n_out;
    }
  return p;
}

/* Results of a group, [n][16], to their places. */
static void
put_group (
    const Experts *e, const AtlProduct *p, gint64 group, gint64 s, gint64 n, const float *from)
{
  gint64 column;
  const guint n_columns = atl_product_group_columns (p, group, &column);

  for (gint64 i = 0; i < n; i++)
    memcpy (p->dst + e->slots[s + i] * p->dst_stride + column, from + i * ATL_PACK_ROWS,
            n_columns * sizeof (float));
}

/* One chunk is some groups of one expert. */
static void
experts_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Experts *e = args;
  const gint64 per_expert = (e->n_groups + e->p.groups_per_chunk - 1) / e->p.groups_per_chunk;
  const gint64 expert = e->chosen[chunk / per_expert];
  const gint64 first = chunk % per_expert * e->p.groups_per_chunk;
  const gint64 first_slot = e->first[expert], end_slot = e->first[expert + 1];
  const AtlProduct p = product_of (e, expert);
  const gint64 end = MIN (first + p.groups_per_chunk, e->n_groups);

  for (gint64 g = first, n_done; g < end; g += n_done)
    {
      float out[ATL_PRODUCT_ROWS * ATL_PACK_ROWS];

      n_done = end_slot == first_slot + 1 && g + 1 < end && atl_product_two (&p, g, first_slot, out)
                   ? 2
                   : 1;
      if (n_done == 2)
        {
          put_group (e, &p, g, first_slot, 1, out);
          put_group (e, &p, g + 1, first_slot, 1, out + ATL_PACK_ROWS);
          continue;
        }
      for (gint64 s = first_slot; s < end_slot; s += ATL_PRODUCT_ROWS)
        {
          const gint64 n = MIN (ATL_PRODUCT_ROWS, end_slot - s);
          float second[ATL_PRODUCT_ROWS * ATL_PACK_ROWS];

          expert_group (e, &p, g, s, n, out, second);
          put_group (e, &p, g, s, n, out);
        }
    }
}

/* --- Plain weights of experts, many rows --- */

static gsize
aligned_floats (gint64 n)
{
  return ((gsize) n * sizeof (float) + 63) & ~(gsize) 63;
}

/* The rows of one expert, their results, and the tiles; an expert has at most all slots. */
static gsize
gather_scratch (const AtlCpu *cpu, gint64 n_slots, gint64 n_in, gint64 n_out)
{
  return aligned_floats (n_slots * n_in) + aligned_floats (n_slots * n_out) +
         atl_product_tiles_scratch (cpu, n_slots, n_in);
}

/* Whether plain weights are turned into tiles. All experts of a pass alike: a row's numbers may
 * depend on how long the pass is, but not on what other rows chose. */
static gboolean
wants_tiles (const AtlCpu *cpu, const AtlProduct *p, gint64 n_tokens)
{
  return p->source[0].kind == ATL_SOURCE_PLAIN &&
         n_tokens >= atl_product_tile_rows (p->kernels, cpu->exact);
}

/* Gathers the rows of each expert, multiplies them as those of any other weight, and puts the
 * results back. */
static void
run_tiles (AtlCpuRun *run, const Experts *e, guint8 *room)
{
  const gint64 n_slots = e->first[e->n_experts];
  float *x = (float *) room;
  float *out = (float *) (room + aligned_floats (n_slots * e->p.n_in));
  AtlCpuRun tiles = *run;

  tiles.scratch = (guint8 *) out + aligned_floats (n_slots * e->n_out);
  for (gint64 expert = 0; expert < e->n_experts; expert++)
    {
      const gint32 *slots = e->slots + e->first[expert];
      const gint64 n = e->first[expert + 1] - e->first[expert];
      AtlProduct p;

      if (n == 0)
        continue;
      for (gint64 i = 0; i < n; i++)
        memcpy (x + i * e->p.n_in, e->p.x + slots[i] / e->slots_per_row * e->p.x_stride,
                (gsize) e->p.n_in * sizeof *x);
      p = product_of (e, expert);
      p.x = x;
      p.x_stride = p.n_in;
      p.n = n;
      p.dst = out;
      p.dst_stride = e->n_out;
      atl_product_tiles (&tiles, &p);
      for (gint64 i = 0; i < n; i++)
        memcpy (e->p.dst + slots[i] * e->p.dst_stride, out + i * e->n_out,
                (gsize) e->n_out * sizeof *out);
    }
}

/* What is first, slots and chosen of Experts. */
static gsize
table_bytes (gint64 n_slots, gint64 n_experts)
{
  return ((gsize) (n_slots + 2 * n_experts + 1) * sizeof (gint32) + 63) & ~(gsize) 63;
}

gsize
atl_fast_expert_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  const AtlTensor *x = node->src[ATL_EXPERT_X];
  const AtlTensor *w = node->src[ATL_EXPERT_W0];
  const gint64 n_in = atl_tensor_last_dim (x);
  const gint64 n_slots = atl_tensor_n_elems (node->src[ATL_EXPERT_IDS]);
  gsize bytes = atl_product_quant_bytes (n_slots, n_in);

  if (!atl_dtype_info (w->dtype)->quantized)
    bytes = gather_scratch (cpu, n_slots, n_in, w->dim[1]);
  return table_bytes (n_slots, w->dim[0]) + bytes;
}

/* Counting sort of the slots by expert. */
static void
sort_slots (const gint32 *ids, gint64 n_slots, gint64 n_experts, gint32 *first, gint32 *slots)
{
  memset (first, 0, (gsize) (n_experts + 1) * sizeof *first);
  for (gint64 s = 0; s < n_slots; s++)
    first[ids[s] + 1]++;
  for (gint64 e = 0; e < n_experts; e++)
    first[e + 1] += first[e];
  for (gint64 s = 0; s < n_slots; s++)
    slots[first[ids[s]]++] = (gint32) s;
  /* Every start has moved to its expert's end, the next one's start. */
  memmove (first + 1, first, (gsize) n_experts * sizeof *first);
  first[0] = 0;
}

/* Puts the slots and what was chosen into the order of the experts. */
static void
order_slots (Experts *e, const gint32 *ids, gint64 n_slots, gint32 *table)
{
  gint32 *slots = table + e->n_experts + 1;
  gint32 *chosen = slots + n_slots;

  sort_slots (ids, n_slots, e->n_experts, table, slots);
  for (gint64 i = 0; i < e->n_experts; i++)
    if (table[i] < table[i + 1])
      chosen[e->n_chosen++] = (gint32) i;
  e->first = table;
  e->slots = slots;
  e->chosen = chosen;
}

gboolean
atl_fast_expert_linear (AtlCpuRun *run, const AtlNode *node)
{
  const AtlTensor *x = node->src[ATL_EXPERT_X];
  const AtlTensor *ids = node->src[ATL_EXPERT_IDS];
  const gint32 *id = atl_tensor_host (ids);
  const gint64 n_slots = atl_tensor_n_elems (ids);
  guint8 *room;
  Experts e = {
    .p = {
      .kernels = run->cpu->kernels,
      .x = atl_cpu_f32 (run, x),
      .n_in = atl_tensor_last_dim (x),
      .n_sources = node->p.n_weights,
      .act = node->p.act,
      .a = 1.0f,
      .gated = node->p.gated,
      .dst = atl_tensor_host (node->dst),
      .dst_stride = atl_tensor_last_dim (node->dst),
    },
    .n_experts = node->src[ATL_EXPERT_W0]->dim[0],
    .n_out = node->src[ATL_EXPERT_W0]->dim[1],
    .slots_per_row = x->n_dims == 3 ? 1 : ids->dim[1],
  };
  AtlProduct *p = &e.p;

  p->n = atl_tensor_n_elems (x) / p->n_in;
  p->x_stride = p->n_in;
  for (guint i = 0; i < p->n_sources; i++)
    {
      const AtlTensor *w = node->src[ATL_EXPERT_W0 + i];
      AtlSource *s = &p->source[i];

      *s = atl_product_source (run, w, 0, 0, atl_cpu_f32 (run, node->src[ATL_EXPERT_B0 + i]));
      e.expert_bytes[i] = s->stride * (gsize) (s->kind == ATL_SOURCE_PACKED
                                                   ? (e.n_out + ATL_PACK_ROWS - 1) / ATL_PACK_ROWS
                                                   : e.n_out);
    }
  /* Gate and up of one kind: rows are either rounded and sorted or not. */
  if (!atl_product_is_few (p, run->cpu->exact, 1) ||
      (p->gated && p->source[1].kind != p->source[0].kind))
    return FALSE;
  if (!atl_cpu_check_experts (run, id, n_slots, e.n_experts))
    return TRUE;

  room = run->scratch + table_bytes (n_slots, e.n_experts);
  order_slots (&e, id, n_slots, (gint32 *) run->scratch);
  if (wants_tiles (run->cpu, p, ids->dim[0]))
    {
      run_tiles (run, &e, room);
      return TRUE;
    }
  p->quantized = atl_product_quant_rows (n_slots, p->n_in, room);
  if (atl_source_is_quantized (&p->source[0]))
    atl_pool_run (run->pool, n_slots, quantize_slot, &e);
  e.n_groups = atl_product_count_groups (p);
  /* An even number: a single row is faster with two groups at a time. */
  p->groups_per_chunk = MAX (2, e.n_groups / (4 * (gint64) run->cpu->n_threads) / 2 * 2);
  atl_pool_run (
      run->pool,
      (guint) (e.n_chosen * ((e.n_groups + p->groups_per_chunk - 1) / p->groups_per_chunk)),
      experts_chunk, &e);
  return TRUE;
}
