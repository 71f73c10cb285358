/* Attention of many queries (prefill, pictures): a chunk is some hundred rows (a query and a head
 * each) of one key/value head; blocks of keys and values are laid out for the level's tiles and
 * meet all of them. */
#include <math.h>
#include <string.h>

#include "engine/tensor/cpu/attention-private.h"

/* Keys of a step with many queries. */
#define TILE_KEYS 128
#define MAX_TILE_ROWS 1024
/* Room for the rows of a chunk and their sums. */
#define TILE_BYTES (1024 * 1024)

/* What a worker has for itself; all in floats. */
typedef struct
{
  float *rows;     /* [tiles] as prepare_rows makes them */
  float *sums;     /* [rows][v_width] */
  float *state;    /* [rows][2] */
  float *k_panels; /* [TILE_KEYS / 16] */
  float *v_panels; /* [v_width / 16] */
  float *floats;   /* one panel */
  float *lines;    /* [16][dim] or [TILE_KEYS][v_dim] */
  float *scores;   /* [tile_rows][TILE_KEYS] */
  float *weights;  /* one tile's rows */
} Own;

static gint64
rows_of_chunk (const AtlCpuKernels *k, gint64 dim, gint64 v_dim)
{
  gint64 bytes =
      (attention_round_up (dim, 32) + attention_round_up (v_dim, 32)) * (gint64) sizeof (float);
  gint64 rows = CLAMP (TILE_BYTES / bytes, k->tile_rows, MAX_TILE_ROWS);

  return rows / k->tile_rows * k->tile_rows;
}

static gint64
own_layout (const AtlCpuKernels *k, gint64 dim, gint64 v_dim, float *memory, Own *own)
{
  const gint64 rows = rows_of_chunk (k, dim, v_dim);
  const gint64 width = attention_round_up (dim, 32);
  const gint64 v_width = attention_round_up (v_dim, 32);
  const gint64 sizes[] = {
    rows * width,
    rows * v_width,
    rows * 2,
    TILE_KEYS * width,
    TILE_KEYS * v_width,
    MAX (width, TILE_KEYS) * 16,
    MAX (16 * dim, TILE_KEYS * v_dim),
    (gint64) k->tile_rows * TILE_KEYS,
    (gint64) k->tile_rows * TILE_KEYS,
  };
  float **fields[] = { &own->rows,   &own->sums,  &own->state,  &own->k_panels, &own->v_panels,
                       &own->floats, &own->lines, &own->scores, &own->weights };

  return attention_divide (memory, sizes, fields, G_N_ELEMENTS (sizes));
}

/* Keys [at, at + n) as panels of 16 keys; those beyond n are zero. */
static void
make_keys (const Attention *a, gint64 batch, gint64 kv, gint64 at, gint64 n, const Own *own)
{
  const AtlCpuKernels *k = a->kernels;
  const gint64 panel = attention_round_up (a->dim, 32) * 16;

  for (gint64 first = 0; first < attention_round_up (n, 32); first += 16)
    {
      gint64 n_keys = CLAMP (n - first, 0, 16);
      float *to = own->k_panels + first / 16 * panel;
      float *floats = k->prepare_panel != NULL ? own->floats : to;

      for (gint64 i = 0; i < n_keys; i++)
        k->cache_row (a->k.dtype, attention_at (&a->k, batch, at + first + i, kv), a->dim,
                      own->lines + i * a->dim);
      k->plain_panel (ATL_DTYPE_F32, (const guint8 *) own->lines, (gsize) a->dim * sizeof (float),
                      (guint) n_keys, 0, a->dim, floats);
      if (k->prepare_panel != NULL)
        k->prepare_panel (floats, a->dim, (guint8 *) to);
    }
}

/* Values [at, at + n) as panels of 16 components. */
static void
make_values (const Attention *a, gint64 batch, gint64 kv, gint64 at, gint64 n, const Own *own)
{
  const AtlCpuKernels *k = a->kernels;

  for (gint64 i = 0; i < n; i++)
    k->cache_row (a->v.dtype, attention_at (&a->v, batch, at + i, kv), a->v_dim,
                  own->lines + i * a->v_dim);
  for (gint64 first = 0; first < a->v_dim; first += 16)
    {
      gint64 n_columns = MIN (a->v_dim - first, 16);
      float *to = own->v_panels + first * TILE_KEYS;
      float *floats = k->prepare_panel != NULL ? own->floats : to;

      for (gint64 i = 0; i < n; i++)
        {
          memcpy (floats + i * 16, own->lines + i * a->v_dim + first,
                  (gsize) n_columns * sizeof (float));
          if (n_columns < 16)
            memset (floats + i * 16 + n_columns, 0, (gsize) (16 - n_columns) * sizeof (float));
        }
      if (k->prepare_panel != NULL)
        k->prepare_panel (floats, n, (guint8 *) to);
    }
}

/* Scores, softmax and weighted values of one tile of rows with the block of keys in `own`. Row r of
 * the chunk is query r / per_kv and head r % per_kv of the key/value head. */
static void
tile_step (const Attention *a,
           gint64 batch,
           gint64 kv,
           gint64 first_row,
           gint64 in_chunk,
           gint64 n_rows,
           gint64 at,
           gint64 n,
           const Own *own)
{
  const AtlCpuKernels *k = a->kernels;
  const gint64 width = attention_round_up (a->dim, 32);
  const gint64 v_width = attention_round_up (a->v_dim, 32);
  const float *rows[ATL_TILE_MAX_ROWS];
  float corrections[ATL_TILE_MAX_ROWS];
  gint64 end = 0;

  /* Causal blocks: nothing to do where no row of the tile sees a key, nor behind the last that one
   * sees. */
  for (gint64 r = 0; r < n_rows; r++)
    {
      gint64 from, to;

      attention_range (a, batch, (first_row + r) / a->per_kv, &from, &to);
      if (from < at + n && to > at && from < to)
        end = MAX (end, to - at);
    }
  if (end == 0)
    return;
  if (k->prepare_panel == NULL)
    n = MIN (n, attention_round_up (end, 32));

  for (gint64 j = 0; j < n; j += 32)
    k->tile (a->dim, (const guint8 *) (own->rows + in_chunk * width),
             (const guint8 *) (own->k_panels + j / 16 * width * 16),
             (const guint8 *) (own->k_panels + (j / 16 + 1) * width * 16), own->scores + j,
             TILE_KEYS, FALSE);
  if (a->is_plain && k->softmax_tile != NULL)
    k->softmax_tile (own->scores, TILE_KEYS, n, n_rows, a->scale, own->state + 2 * in_chunk,
                     corrections, (guint8 *) own->weights);
  else
    {
      for (gint64 r = 0; r < n_rows; r++)
        {
          gint64 query = (first_row + r) / a->per_kv;
          gint64 head = kv * a->per_kv + (first_row + r) % a->per_kv;

          rows[r] = own->scores + r * TILE_KEYS;
          corrections[r] =
              attention_step_row (a, batch, query, head, at, n, own->scores + r * TILE_KEYS,
                                  own->state + 2 * (in_chunk + r));
        }
      k->prepare_rows (rows, n_rows, n, (guint8 *) own->weights);
    }
  for (gint64 r = 0; r < n_rows; r++)
    if (corrections[r] != 1.0f)
      {
        float *sums = own->sums + (in_chunk + r) * v_width;

        for (gint64 d = 0; d < v_width; d++)
          sums[d] *= corrections[r];
      }
  for (gint64 d = 0; d < a->v_dim; d += 32)
    {
      const float *panel = own->v_panels + d * TILE_KEYS;
      const float *second = d + 16 < a->v_dim ? panel + 16 * TILE_KEYS : NULL;

      k->tile (n, (const guint8 *) own->weights, (const guint8 *) panel, (const guint8 *) second,
               own->sums + in_chunk * v_width + d, v_width, TRUE);
    }
}

static void
many_chunk (gconstpointer args, guint chunk, guint worker)
{
  const Attention *a = args;
  const AtlCpuKernels *k = a->kernels;
  const gint64 width = attention_round_up (a->dim, 32);
  const gint64 v_width = attention_round_up (a->v_dim, 32);
  const gint64 kv = chunk / a->n_row_blocks % a->n_kv;
  const gint64 batch = chunk / a->n_row_blocks / a->n_kv;
  const gint64 first = chunk % a->n_row_blocks * a->tile_rows_max;
  const gint64 n_rows = MIN (a->tile_rows_max, a->n_q * a->per_kv - first);
  gint64 from = a->n_k;
  gint64 to = 0;
  Own own;

  own_layout (k, a->dim, a->v_dim, (float *) (a->own + worker * a->own_bytes), &own);
  if (k->begin != NULL)
    k->begin ();

  for (gint64 r = 0; r < n_rows; r += k->tile_rows)
    {
      const float *rows[ATL_TILE_MAX_ROWS];
      gint64 n = MIN (k->tile_rows, n_rows - r);

      for (gint64 i = 0; i < n; i++)
        {
          gint64 row = first + r + i;
          gint64 start, end;

          rows[i] = (const float *) attention_at (&a->q, batch, row / a->per_kv,
                                                  kv * a->per_kv + row % a->per_kv);
          attention_range (a, batch, row / a->per_kv, &start, &end);
          if (start < end)
            {
              from = MIN (from, start);
              to = MAX (to, end);
            }
        }
      k->prepare_rows (rows, n, a->dim, (guint8 *) (own.rows + r * width));
    }
  /* Rows of a last tile that are missing. */
  memset (own.weights, 0, (gsize) (k->tile_rows * TILE_KEYS) * sizeof (float));
  memset (own.sums, 0,
          (gsize) (attention_round_up (n_rows, k->tile_rows) * v_width) * sizeof (float));
  for (gint64 r = 0; r < n_rows; r++)
    {
      own.state[2 * r] = -INFINITY;
      own.state[2 * r + 1] = 0.0f;
    }

  for (gint64 at = from; at < to; at += TILE_KEYS)
    {
      gint64 n = MIN (TILE_KEYS, to - at);

      make_keys (a, batch, kv, at, n, &own);
      make_values (a, batch, kv, at, n, &own);
      for (gint64 r = 0; r < n_rows; r += k->tile_rows)
        tile_step (a, batch, kv, first + r, r, MIN (k->tile_rows, n_rows - r), at, n, &own);
    }
  if (k->end != NULL)
    k->end ();

  for (gint64 r = 0; r < n_rows; r++)
    {
      gint64 query = (first + r) / a->per_kv;
      gint64 head = kv * a->per_kv + (first + r) % a->per_kv;
      float *out = a->dst + ((batch * a->n_q + query) * a->n_heads + head) * a->v_dim;
      const float *sums = own.sums + r * v_width;
      float total = own.state[2 * r + 1];
      float factor;

      if (a->sinks != NULL && total > 0.0f)
        total += expf (a->sinks[head] - own.state[2 * r]);
      factor = total > 0.0f ? 1.0f / total : 0.0f;
      for (gint64 d = 0; d < a->v_dim; d++)
        out[d] = sums[d] * factor;
    }
}

void
attention_run_many (AtlCpuRun *run, Attention *a)
{
  const AtlCpuKernels *k = a->kernels;
  const gint64 rows = a->n_q * a->per_kv;
  gint64 even;

  a->own = run->scratch;
  a->own_bytes = (gsize) own_layout (k, a->dim, a->v_dim, NULL, &(Own){ 0 }) * sizeof (float);
  /* Few heads: smaller chunks, so that all threads have some. */
  even = rows * a->n_batch * a->n_kv / (3 * (gint64) run->cpu->n_threads);
  a->tile_rows_max = MIN (rows_of_chunk (k, a->dim, a->v_dim),
                          attention_round_up (MAX (even, k->tile_rows), k->tile_rows));
  a->n_row_blocks = (rows + a->tile_rows_max - 1) / a->tile_rows_max;
  atl_pool_run (run->pool, a->n_batch * a->n_kv * a->n_row_blocks, many_chunk, a);
}

gsize
attention_many_scratch (const AtlCpu *cpu, const AtlNode *node)
{
  const gint64 dim = node->src[0]->dim[3];
  const gint64 v_dim = node->src[2]->dim[3];

  return cpu->n_threads * (gsize) own_layout (cpu->kernels, dim, v_dim, NULL, &(Own){ 0 }) *
         sizeof (float);
}
