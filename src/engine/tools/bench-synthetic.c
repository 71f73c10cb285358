/* Random language models of published shapes. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/bench-synthetic.h"

#include <string.h>

#include "engine/tools/bench-noise.h"

typedef struct
{
  const char *name, *architecture;
  guint n_layer, n_embd, n_ff, n_head, n_head_kv, n_vocab;
  gboolean tied, qkv_bias;
  guint head_dim;                  /* 0: n_embd / n_head; else queries and keys are normed, too */
  guint n_experts, n_experts_used; /* 0: none; n_ff is of one */
} Shape;

static const Shape shapes[] = {
  { "smollm2-135m", "llama", 30, 576, 1536, 9, 3, 49152, TRUE, FALSE },
  { "qwen2.5-0.5b", "qwen2", 24, 896, 4864, 14, 2, 151936, TRUE, TRUE },
  { "llama-3.2-1b", "llama", 16, 2048, 8192, 32, 8, 128256, TRUE, FALSE },
  { "llama-3-8b", "llama", 32, 4096, 14336, 32, 8, 128256, FALSE, FALSE },
  { "qwen3-30b-a3b", "qwen3moe", 48, 2048, 768, 32, 4, 151936, FALSE, FALSE, 128, 128, 8 },
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
  const Shape *shape;
  const Mix *mix;
} Model;

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

static void
meta_uint (AtlCheckpoint *cp, const char *architecture, const char *key, guint64 value)
{
  g_autofree char *full = g_strconcat (architecture, ".", key, NULL);
  AtlMetaValue v = { .type = ATL_META_UINT, .width = 4, .v_uint = value };

  atl_checkpoint_add_meta (cp, full, &v, NULL);
}

static void
meta_float (AtlCheckpoint *cp, const char *architecture, const char *key, double value)
{
  g_autofree char *full = g_strconcat (architecture, ".", key, NULL);
  AtlMetaValue v = { .type = ATL_META_FLOAT, .width = 4, .v_float = value };

  atl_checkpoint_add_meta (cp, full, &v, NULL);
}

static void
meta_string (AtlCheckpoint *cp, const char *key, const char *text)
{
  AtlMetaValue v = { .type = ATL_META_STRING };

  v.v_string.chars = text;
  v.v_string.length = strlen (text);
  atl_checkpoint_add_meta (cp, key, &v, NULL);
}

static guint
head_dim_of (const Shape *s)
{
  return s->head_dim > 0 ? s->head_dim : s->n_embd / s->n_head;
}

/* Also what other engines want to know before they run a file. */
static void
add_metadata (AtlCheckpoint *cp, const Shape *s)
{
  const char *a = s->architecture;

  meta_string (cp, "general.architecture", a);
  meta_string (cp, "tokenizer.ggml.model", "no_vocab");
  meta_uint (cp, a, "vocab_size", s->n_vocab);
  meta_uint (cp, a, "block_count", s->n_layer);
  meta_uint (cp, a, "embedding_length", s->n_embd);
  meta_uint (cp, a, "feed_forward_length", s->n_ff);
  meta_uint (cp, a, "attention.head_count", s->n_head);
  meta_uint (cp, a, "attention.head_count_kv", s->n_head_kv);
  meta_uint (cp, a, "rope.dimension_count", head_dim_of (s));
  if (s->head_dim > 0)
    {
      meta_uint (cp, a, "attention.key_length", s->head_dim);
      meta_uint (cp, a, "attention.value_length", s->head_dim);
    }
  if (s->n_experts > 0)
    {
      meta_uint (cp, a, "expert_count", s->n_experts);
      meta_uint (cp, a, "expert_used_count", s->n_experts_used);
      meta_uint (cp, a, "expert_feed_forward_length", s->n_ff);
    }
  meta_uint (cp, a, "context_length", 131072);
  meta_float (cp, a, "attention.layer_norm_rms_epsilon", 1e-5);
}

/* The feed-forward part; of experts the weights are stacked. */
static void
feed_forward (BenchNoise *b, const Shape *s, AtlDType wide, AtlDType down_type, guint il)
{
  const gint64 D = s->n_embd, F = s->n_ff, E = s->n_experts;

  if (E > 0)
    {
      bench_noise_tensor (b, ATL_DTYPE_F32, 2, (gint64[]){ E, D }, "blk.%u.ffn_gate_inp.weight",
                          il);
      bench_noise_tensor (b, wide, 3, (gint64[]){ E, F, D }, "blk.%u.ffn_gate_exps.weight", il);
      bench_noise_tensor (b, wide, 3, (gint64[]){ E, F, D }, "blk.%u.ffn_up_exps.weight", il);
      bench_noise_tensor (b, down_type, 3, (gint64[]){ E, D, F }, "blk.%u.ffn_down_exps.weight",
                          il);
      return;
    }
  bench_noise_tensor (b, wide, 2, (gint64[]){ F, D }, "blk.%u.ffn_gate.weight", il);
  bench_noise_tensor (b, wide, 2, (gint64[]){ F, D }, "blk.%u.ffn_up.weight", il);
  bench_noise_tensor (b, down_type, 2, (gint64[]){ D, F }, "blk.%u.ffn_down.weight", il);
}

static void
layer (BenchNoise *b, const Shape *s, const Mix *m, guint il)
{
  gint64 D = s->n_embd, F = s->n_ff, d = head_dim_of (s), q = s->n_head * d, kv = s->n_head_kv * d;
  AtlDType wide = fall_back (m->most, D), down_type, v_type;
  /* Published mixes give half of the layers' values and down projections the better type. */
  gboolean better =
      il < s->n_layer / 8 || il >= 7 * s->n_layer / 8 || (il - s->n_layer / 8) % 3 == 2;

  v_type = fall_back (better ? m->sensitive : m->most, D);
  down_type = fall_back (better ? m->sensitive : m->most, F);
  bench_noise_tensor (b, ATL_DTYPE_F32, 1, &D, "blk.%u.attn_norm.weight", il);
  bench_noise_tensor (b, wide, 2, (gint64[]){ q, D }, "blk.%u.attn_q.weight", il);
  bench_noise_tensor (b, wide, 2, (gint64[]){ kv, D }, "blk.%u.attn_k.weight", il);
  bench_noise_tensor (b, v_type, 2, (gint64[]){ kv, D }, "blk.%u.attn_v.weight", il);
  bench_noise_tensor (b, fall_back (m->most, q), 2, (gint64[]){ D, q }, "blk.%u.attn_output.weight",
                      il);
  if (s->head_dim > 0)
    {
      bench_noise_tensor (b, ATL_DTYPE_F32, 1, &d, "blk.%u.attn_q_norm.weight", il);
      bench_noise_tensor (b, ATL_DTYPE_F32, 1, &d, "blk.%u.attn_k_norm.weight", il);
    }
  if (s->qkv_bias)
    {
      bench_noise_tensor (b, ATL_DTYPE_F32, 1, &q, "blk.%u.attn_q.bias", il);
      bench_noise_tensor (b, ATL_DTYPE_F32, 1, &kv, "blk.%u.attn_k.bias", il);
      bench_noise_tensor (b, ATL_DTYPE_F32, 1, &kv, "blk.%u.attn_v.bias", il);
    }
  bench_noise_tensor (b, ATL_DTYPE_F32, 1, &D, "blk.%u.ffn_norm.weight", il);
  feed_forward (b, s, wide, down_type, il);
}

static void
describe (BenchNoise *b, gconstpointer data)
{
  const Model *model = data;
  const Shape *s = model->shape;
  gint64 D = s->n_embd, V = s->n_vocab;
  AtlDType embedding = fall_back (model->mix->embedding, D);

  bench_noise_tensor (b, embedding, 2, (gint64[]){ V, D }, "token_embd.weight");
  if (!s->tied)
    bench_noise_tensor (b, embedding, 2, (gint64[]){ V, D }, "output.weight");
  bench_noise_tensor (b, ATL_DTYPE_F32, 1, &D, "output_norm.weight");
  for (guint il = 0; il < s->n_layer; il++)
    layer (b, s, model->mix, il);
}

AtlCheckpoint *
bench_synthetic_new (const char *spec, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (spec, ":", 2);
  Model model = { 0 };
  AtlCheckpoint *cp;

  for (gsize i = 0; i < G_N_ELEMENTS (shapes); i++)
    if (parts[0] != NULL && g_ascii_strcasecmp (shapes[i].name, parts[0]) == 0)
      model.shape = &shapes[i];
  for (gsize i = 0; i < G_N_ELEMENTS (mixes); i++)
    if (parts[0] != NULL && parts[1] != NULL && g_ascii_strcasecmp (mixes[i].name, parts[1]) == 0)
      model.mix = &mixes[i];
  if (model.shape == NULL || model.mix == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   "“%s” is no synthetic model; shapes: smollm2-135m, qwen2.5-0.5b, llama-3.2-1b, "
                   "llama-3-8b, qwen3-30b-a3b; types: f16, q8_0, q4_0, q4_k_m; for example "
                   "llama-3.2-1b:q4_0",
                   spec);
      return NULL;
    }

  cp = bench_noise_build (spec, describe, &model, error);
  if (cp != NULL)
    add_metadata (cp, model.shape);
  return cp;
}
