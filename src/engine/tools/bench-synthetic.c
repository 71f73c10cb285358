/* Random models of published shapes. The bytes are blocks of really quantised noise in random
 * order: speed depends on layout and size only, and values stay in a range where nothing overflows.
 */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/bench-synthetic.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/tensor/quants/quantize.h"

#define POOL_ELEMS (256 * 1024)

typedef struct
{
  const char *name, *architecture;
  guint n_layer, n_embd, n_ff, n_head, n_head_kv, n_vocab;
  gboolean tied, qkv_bias;
} Shape;

static const Shape shapes[] = {
  { "smollm2-135m", "llama", 30, 576, 1536, 9, 3, 49152, TRUE, FALSE },
  { "qwen2.5-0.5b", "qwen2", 24, 896, 4864, 14, 2, 151936, TRUE, TRUE },
  { "llama-3.2-1b", "llama", 16, 2048, 8192, 32, 8, 128256, TRUE, FALSE },
  { "llama-3-8b", "llama", 32, 4096, 14336, 32, 8, 128256, FALSE, FALSE },
};

/* The types of a mix: most tensors, the more sensitive ones, and the embedding; rows that do not
 * divide into 256 fall back as in published files. */
typedef struct
{
  const char *name;
  AtlDType most, sensitive, embedding;
} Mix;

static const Mix mixes[] = {
  { "f16", ATL_DTYPE_F16, ATL_DTYPE_F16, ATL_DTYPE_F16 },
  { "q8_0", ATL_DTYPE_Q8_0, ATL_DTYPE_Q8_0, ATL_DTYPE_Q8_0 },
  { "q4_0", ATL_DTYPE_Q4_0, ATL_DTYPE_Q4_0, ATL_DTYPE_Q6_K },
  { "q4_k_m", ATL_DTYPE_Q4_K, ATL_DTYPE_Q6_K, ATL_DTYPE_Q6_K },
};

typedef struct
{
  AtlCheckpoint *cp;
  GRand *rand;
  GBytes *pools[ATL_N_DTYPES]; /* quantised noise, POOL_ELEMS elements each */
  guint8 *data;                /* writable mapping */
  const guint8 *readable;      /* the checkpoint's own */
  gsize used, size;
} Builder;

static AtlDType
fall_back (AtlDType dtype, gint64 row)
{
  if (row % atl_dtype_info (dtype)->block_elems == 0)
    return dtype;
  switch (dtype)
    {
    case ATL_DTYPE_Q4_K:
      return ATL_DTYPE_Q5_0;
    case ATL_DTYPE_Q6_K:
      return ATL_DTYPE_Q8_0;
    default:
      return ATL_DTYPE_F16;
    }
}

static const guint8 *
pool (Builder *b, AtlDType dtype, gsize *size)
{
  if (b->pools[dtype] == NULL)
    {
      g_autofree float *noise = g_new (float, POOL_ELEMS);
      gsize bytes =
          POOL_ELEMS / atl_dtype_info (dtype)->block_elems * atl_dtype_info (dtype)->block_bytes;
      guint8 *out = g_malloc (bytes);

      for (guint i = 0; i < POOL_ELEMS; i++)
        noise[i] = (float) (g_rand_double (b->rand) - 0.5) * 0.05f;
      gboolean ok = atl_quantize (dtype, noise, out, POOL_ELEMS);
      g_assert (ok);
      b->pools[dtype] = g_bytes_new_take (out, bytes);
    }
  return g_bytes_get_data (b->pools[dtype], size);
}

static void
tensor (Builder *b, AtlDType dtype, guint n_dims, const gint64 *dim, const char *format, ...)
    G_GNUC_PRINTF (5, 6);

static void
tensor (Builder *b, AtlDType dtype, guint n_dims, const gint64 *dim, const char *format, ...)
{
  AtlTensorInfo info = { .dtype = dtype, .n_dims = n_dims };
  g_autofree char *name = NULL;
  va_list args;
  gsize n = 1, pool_size, at = 0;

  va_start (args, format);
  name = g_strdup_vprintf (format, args);
  va_end (args);
  for (guint i = 0; i < n_dims; i++)
    n *= (gsize) (info.dim[i] = dim[i]);
  info.name = name;
  info.size_bytes = n / atl_dtype_info (dtype)->block_elems * atl_dtype_info (dtype)->block_bytes;
  info.data = b->readable + b->used;
  g_assert (b->used + info.size_bytes <= b->size);

  if (n_dims == 1)
    for (gsize i = 0; i < n; i++)
      ((float *) (b->data + b->used))[i] = strstr (name, "norm") != NULL ? 1.0f : 0.0f;
  else
    {
      const guint8 *source = pool (b, dtype, &pool_size);

      while (at < info.size_bytes)
        {
          gsize chunk = MIN (info.size_bytes - at, pool_size);
          memcpy (b->data + b->used + at, source, chunk);
          at += chunk;
        }
    }
  b->used += (info.size_bytes + 63) & ~(gsize) 63;
  atl_checkpoint_add_tensor (b->cp, &info, NULL);
}

static void
meta_uint (Builder *b, const char *architecture, const char *key, guint64 value)
{
  g_autofree char *full = g_strconcat (architecture, ".", key, NULL);
  AtlMetaValue v = { .type = ATL_META_UINT, .v_uint = value };

  atl_checkpoint_add_meta (b->cp, full, &v, NULL);
}

static void
layer (Builder *b, const Shape *s, const Mix *m, guint il)
{
  gint64 D = s->n_embd, F = s->n_ff, d = s->n_embd / s->n_head, kv = s->n_head_kv * d;
  AtlDType wide = fall_back (m->most, D), down_type, v_type;
  /* Published mixes give half of the layers' values and down projections the better type. */
  gboolean better =
      il < s->n_layer / 8 || il >= 7 * s->n_layer / 8 || (il - s->n_layer / 8) % 3 == 2;

  v_type = fall_back (better ? m->sensitive : m->most, D);
  down_type = fall_back (better ? m->sensitive : m->most, F);
  tensor (b, ATL_DTYPE_F32, 1, &D, "blk.%u.attn_norm.weight", il);
  tensor (b, wide, 2, (gint64[]){ D, D }, "blk.%u.attn_q.weight", il);
  tensor (b, wide, 2, (gint64[]){ kv, D }, "blk.%u.attn_k.weight", il);
  tensor (b, v_type, 2, (gint64[]){ kv, D }, "blk.%u.attn_v.weight", il);
  tensor (b, wide, 2, (gint64[]){ D, D }, "blk.%u.attn_output.weight", il);
  if (s->qkv_bias)
    {
      tensor (b, ATL_DTYPE_F32, 1, &D, "blk.%u.attn_q.bias", il);
      tensor (b, ATL_DTYPE_F32, 1, &kv, "blk.%u.attn_k.bias", il);
      tensor (b, ATL_DTYPE_F32, 1, &kv, "blk.%u.attn_v.bias", il);
    }
  tensor (b, ATL_DTYPE_F32, 1, &D, "blk.%u.ffn_norm.weight", il);
  tensor (b, wide, 2, (gint64[]){ F, D }, "blk.%u.ffn_gate.weight", il);
  tensor (b, wide, 2, (gint64[]){ F, D }, "blk.%u.ffn_up.weight", il);
  tensor (b, down_type, 2, (gint64[]){ D, F }, "blk.%u.ffn_down.weight", il);
}

/* The weights live in a memory file that the checkpoint maps like any other; `data` is a second,
 * writable mapping for filling it. */
static gboolean
reserve (Builder *b, gsize size, const char *name, GError **error)
{
  int fd = memfd_create (name, MFD_CLOEXEC);
  AtlFileMap *map = NULL;

  b->data = MAP_FAILED;
  if (fd >= 0 && ftruncate (fd, (off_t) size) == 0)
    b->data = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (b->data != MAP_FAILED)
    map = atl_file_map_new_from_fd (fd, name, error);
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "There is no memory for %s", name);
  if (fd >= 0)
    close (fd);
  if (map == NULL)
    return FALSE;
  b->size = size;
  b->readable = atl_file_map_data (map);
  atl_checkpoint_add_map (b->cp, map);
  atl_file_map_unref (map);
  return TRUE;
}

AtlCheckpoint *
bench_synthetic_new (const char *spec, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (spec, ":", 2);
  const Shape *s = NULL;
  const Mix *m = NULL;
  Builder b = { 0 };
  AtlMetaValue arch = { .type = ATL_META_STRING };
  gint64 D, V;

  for (gsize i = 0; i < G_N_ELEMENTS (shapes); i++)
    if (g_ascii_strcasecmp (shapes[i].name, parts[0]) == 0)
      s = &shapes[i];
  for (gsize i = 0; i < G_N_ELEMENTS (mixes); i++)
    if (parts[0] != NULL && parts[1] != NULL && g_ascii_strcasecmp (mixes[i].name, parts[1]) == 0)
      m = &mixes[i];
  if (s == NULL || m == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   "“%s” is no synthetic model; shapes: smollm2-135m, qwen2.5-0.5b, llama-3.2-1b, "
                   "llama-3-8b; types: f16, q8_0, q4_0, q4_k_m; for example llama-3.2-1b:q4_0",
                   spec);
      return NULL;
    }

  D = s->n_embd;
  V = s->n_vocab;
  b.cp = atl_checkpoint_new (spec);
  b.rand = g_rand_new_with_seed (1);
  gsize n_params =
      (gsize) (2 * V * D) + (gsize) s->n_layer * (gsize) (4 * D * D + 3 * D * s->n_ff + 8 * D);
  if (!reserve (&b, n_params * 2 + (1 << 20), spec, error))
    {
      atl_checkpoint_unref (b.cp);
      g_rand_free (b.rand);
      return NULL;
    }
  arch.v_string.chars = s->architecture;
  arch.v_string.length = strlen (s->architecture);
  atl_checkpoint_add_meta (b.cp, "general.architecture", &arch, NULL);
  meta_uint (&b, s->architecture, "block_count", s->n_layer);
  meta_uint (&b, s->architecture, "embedding_length", s->n_embd);
  meta_uint (&b, s->architecture, "feed_forward_length", s->n_ff);
  meta_uint (&b, s->architecture, "attention.head_count", s->n_head);
  meta_uint (&b, s->architecture, "attention.head_count_kv", s->n_head_kv);
  meta_uint (&b, s->architecture, "context_length", 131072);

  tensor (&b, fall_back (m->embedding, D), 2, (gint64[]){ V, D }, "token_embd.weight");
  if (!s->tied)
    tensor (&b, fall_back (m->embedding, D), 2, (gint64[]){ V, D }, "output.weight");
  tensor (&b, ATL_DTYPE_F32, 1, &D, "output_norm.weight");
  for (guint il = 0; il < s->n_layer; il++)
    layer (&b, s, m, il);

  for (guint i = 0; i < ATL_N_DTYPES; i++)
    g_clear_pointer (&b.pools[i], g_bytes_unref);
  g_rand_free (b.rand);
  munmap (b.data, b.size);
  return b.cp;
}
