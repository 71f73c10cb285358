/* The benchmark of language models: medians of quiet repeats, beside the memory bandwidth that
 * bounds decoding. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/bench.h"

#include <json-glib/json-glib.h>
#include <stdlib.h>
#include <string.h>

#include "engine/formats/open.h"
#include "engine/models/llm/llm.h"
#include "engine/samplers/sampler.h"
#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/opencl/opencl.h"
#include "engine/tools/bench-synthetic.h"

#define MAX_REPEATS 32
#define PREFETCH_WORDS 512
#define BANDWIDTH_BYTES (512u << 20)

typedef struct
{
  int n_threads, n_prompt, n_generate, n_depth, n_repeats, n_parallel;
  gboolean json;
  AtlDType kv_dtype;
  AtlBackend *backends[2];
  guint n_backends;
  double bandwidth; /* bytes per second, all threads reading */
} Bench;

typedef struct
{
  double load_s, prefill, decode; /* tokens per second */
  double one, parallel;    /* of one chat and of n_parallel together, with choosing the tokens */
  guint64 bytes_per_token; /* weights read for one decoded token */
} Result;

static double
now (void)
{
  return (double) g_get_monotonic_time () / 1e6;
}

static int
compare_doubles (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return x < y ? -1 : x > y;
}

static double
median (double *values, int n)
{
  qsort (values, (gsize) n, sizeof *values, compare_doubles);
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2.0;
}

/* --- Memory bandwidth --- */

typedef struct
{
  const guint64 *data;
  gsize n;
  guint64 sum;
} Slice;

static gpointer
read_slice (gpointer data)
{
  Slice *s = data;
  guint64 a = 0, b = 0, c = 0, d = 0;

  for (gsize i = 0; i + 32 <= s->n; i += 32)
    {
      /* Ahead of the processor's own prefetching, as the products do: this is the roof. */
      for (gsize k = 0; k < 32; k += 8)
        __builtin_prefetch (s->data + i + k + PREFETCH_WORDS);
      for (gsize k = 0; k < 32; k += 4)
        {
          a += s->data[i + k];
          b += s->data[i + k + 1];
          c += s->data[i + k + 2];
          d += s->data[i + k + 3];
        }
    }
  s->sum = a + b + c + d;
  return NULL;
}

static double
measure_bandwidth (int n_threads)
{
  guint64 *data = g_malloc (BANDWIDTH_BYTES);
  gsize per = BANDWIDTH_BYTES / sizeof *data / (gsize) n_threads;
  g_autofree Slice *slices = g_new0 (Slice, n_threads);
  g_autofree GThread **threads = g_new0 (GThread *, n_threads);
  double best = 0.0;

  memset (data, 1, BANDWIDTH_BYTES);
  for (int round = 0; round < 5; round++)
    {
      double start = now ();

      for (int i = 0; i < n_threads; i++)
        {
          slices[i] = (Slice){ data + (gsize) i * per, per, 0 };
          threads[i] = g_thread_new ("bandwidth", read_slice, &slices[i]);
        }
      for (int i = 0; i < n_threads; i++)
        g_thread_join (threads[i]);
      best = MAX (best, BANDWIDTH_BYTES / (now () - start));
    }
  g_free (data);
  return best;
}

/* --- One model --- */

/* Weights that every decoded token reads: all but the embedding rows, of experts the chosen share.
 */
static guint64
decode_bytes (AtlCheckpoint *cp)
{
  gboolean tied = atl_checkpoint_find (cp, "output.weight") == NULL;
  const char *arch = atl_checkpoint_get_string (cp, "general.architecture");
  g_autofree char *n_key = g_strconcat (arch, ".expert_count", NULL);
  g_autofree char *used_key = g_strconcat (arch, ".expert_used_count", NULL);
  guint64 n_experts = 0, n_used = 0, total = 0;

  atl_checkpoint_get_uint (cp, n_key, 0, G_MAXUINT32, &n_experts, NULL);
  atl_checkpoint_get_uint (cp, used_key, 0, G_MAXUINT32, &n_used, NULL);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *t = atl_checkpoint_tensor (cp, i);

      if (!tied && g_str_equal (t->name, "token_embd.weight"))
        continue;
      if (n_experts > 0 && strstr (t->name, "_exps.") != NULL)
        total += t->size_bytes / n_experts * n_used;
      else
        total += t->size_bytes;
    }
  return total;
}

/* Tokens per second of `n` chats that each choose their next token from what was computed for all
 * of them in one step. */
static gboolean
run_chats (const Bench *b, AtlLlm *llm, guint n, double *rate, GError **error)
{
  guint n_vocab = atl_llm_info (llm)->n_vocab;
  g_autoptr (GPtrArray) caches =
      g_ptr_array_new_with_free_func ((GDestroyNotify) atl_llm_cache_free);
  g_autoptr (GPtrArray) samplers =
      g_ptr_array_new_with_free_func ((GDestroyNotify) atl_sampler_free);
  g_autofree AtlLlmBatch *batch = g_new0 (AtlLlmBatch, n);
  g_autofree gint32 *next = g_new0 (gint32, n);
  g_autofree gint32 *depth = g_new0 (gint32, MAX (b->n_depth, 1));
  g_autofree float *logits = g_new (float, n_vocab);
  AtlSamplingParams params;
  double start = 0;

  atl_sampling_params_init (&params);
  for (guint i = 0; i < n; i++)
    {
      AtlLlmCache *cache =
          atl_llm_cache_new (llm, (guint) (b->n_depth + b->n_generate + 4), b->kv_dtype, error);

      if (cache == NULL)
        return FALSE;
      g_ptr_array_add (caches, cache);
      params.seed = i;
      g_ptr_array_add (samplers, atl_sampler_new (&params, n_vocab, NULL));
      batch[i] = (AtlLlmBatch){ cache, depth, (guint) b->n_depth, FALSE };
      if (b->n_depth > 0 && !atl_llm_decode (llm, &batch[i], 1, NULL, error))
        return FALSE;
      batch[i] = (AtlLlmBatch){ cache, &next[i], 1, FALSE };
      next[i] = (gint32) ((i * 7919u + 13u) % n_vocab);
    }
  /* The first steps make the plan and are not counted. */
  for (int step = -2; step < b->n_generate; step++)
    {
      if (step == 0)
        start = now ();
      if (!atl_llm_decode (llm, batch, n, NULL, error))
        return FALSE;
      for (guint i = 0; i < n; i++)
        {
          memcpy (logits, atl_llm_logits (llm, i), n_vocab * sizeof *logits);
          next[i] = MAX (0, atl_sampler_sample (samplers->pdata[i], logits, n_vocab));
        }
    }
  *rate = (double) n * b->n_generate / (now () - start);
  return TRUE;
}

static gboolean
run_model (const Bench *b, AtlCheckpoint *cp, Result *out, GError **error)
{
  guint n_ctx = (guint) (b->n_depth + b->n_prompt + b->n_generate + 1);
  AtlLlmOptions options = { .n_gpu_layers = G_MAXUINT,
                            .n_cpu_experts = G_MAXUINT,
                            .n_ctx_hint = n_ctx,
                            .kv_dtype = b->kv_dtype };
  double prefill[MAX_REPEATS], decode[MAX_REPEATS], start = now ();
  g_autoptr (AtlLlm) llm =
      atl_llm_new (cp, b->backends, b->n_backends, &options, NULL, NULL, NULL, error);
  g_autoptr (AtlLlmCache) cache = NULL;
  g_autofree gint32 *tokens = NULL;
  guint n_max = (guint) MAX (b->n_prompt, b->n_depth);

  if (llm == NULL)
    return FALSE;
  out->load_s = now () - start;
  out->bytes_per_token = decode_bytes (cp);
  cache = atl_llm_cache_new (llm, n_ctx, b->kv_dtype, error);
  if (cache == NULL)
    return FALSE;
  tokens = g_new (gint32, MAX (n_max, 1));
  for (guint i = 0; i < n_max; i++)
    tokens[i] = (gint32) ((i * 7919u + 13u) % atl_llm_info (llm)->n_vocab);

  /* The first round warms caches and plans and is not counted. */
  for (int r = -1; r < b->n_repeats; r++)
    {
      AtlLlmBatch batch = { cache, tokens, (guint) b->n_prompt, FALSE };
      double t;

      atl_llm_cache_truncate (cache, 0);
      start = now ();
      if (b->n_prompt > 0 && !atl_llm_decode (llm, &batch, 1, NULL, error))
        return FALSE;
      t = now () - start;
      if (r >= 0)
        prefill[r] = b->n_prompt / t;

      atl_llm_cache_truncate (cache, 0);
      if (b->n_depth > 0)
        {
          batch.n_tokens = (guint) b->n_depth;
          if (!atl_llm_decode (llm, &batch, 1, NULL, error))
            return FALSE;
        }
      batch.n_tokens = 1;
      start = now ();
      for (int i = 0; i < b->n_generate; i++)
        if (!atl_llm_decode (llm, &batch, 1, NULL, error))
          return FALSE;
      t = now () - start;
      if (r >= 0)
        decode[r] = b->n_generate / t;
    }
  out->prefill = median (prefill, b->n_repeats);
  out->decode = median (decode, b->n_repeats);
  for (int r = 0; r < b->n_repeats && b->n_parallel > 1; r++)
    if (!run_chats (b, llm, 1, &prefill[r], error) ||
        !run_chats (b, llm, (guint) b->n_parallel, &decode[r], error))
      return FALSE;
  if (b->n_parallel > 1)
    {
      out->one = median (prefill, b->n_repeats);
      out->parallel = median (decode, b->n_repeats);
    }
  return TRUE;
}

static void
print_result (const Bench *b, const char *name, const Result *r)
{
  double used = r->decode * (double) r->bytes_per_token;

  if (b->json)
    {
      g_autoptr (JsonBuilder) j = json_builder_new ();
      g_autoptr (JsonNode) root = NULL;
      g_autofree char *text = NULL;
      const struct
      {
        const char *name;
        double value;
      } numbers[] = {
        { "prefill_tokens_per_s", r->prefill },
        { "decode_tokens_per_s", r->decode },
        { "decode_bytes_per_token", (double) r->bytes_per_token },
        { "decode_bandwidth_share", used / b->bandwidth },
        { "read_bandwidth_bytes_per_s", b->bandwidth },
        { "load_s", r->load_s },
        { "n_prompt", b->n_prompt },
        { "n_generate", b->n_generate },
        { "n_depth", b->n_depth },
        { "n_threads", b->n_threads },
        { "n_parallel", b->n_parallel },
        { "one_chat_tokens_per_s", r->one },
        { "parallel_tokens_per_s", r->parallel },
      };

      json_builder_begin_object (j);
      json_builder_set_member_name (j, "model");
      json_builder_add_string_value (j, name);
      json_builder_set_member_name (j, "backend");
      json_builder_add_string_value (j, b->backends[0]->description);
      for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
        {
          json_builder_set_member_name (j, numbers[i].name);
          json_builder_add_double_value (j, numbers[i].value);
        }
      json_builder_end_object (j);
      root = json_builder_get_root (j);
      text = json_to_string (root, FALSE);
      g_print ("%s\n", text);
      return;
    }
  g_print ("%-28s prefill %8.1f t/s   decode %7.2f t/s   %5.1f GB/s, %3.0f %% of %.1f GB/s   load "
           "%.2f s\n",
           name, r->prefill, r->decode, used / 1e9, 100.0 * used / b->bandwidth, b->bandwidth / 1e9,
           r->load_s);
  if (b->n_parallel > 1)
    g_print ("%-28s %d chats together %7.2f t/s, %.2f times the %.2f t/s of one\n", "",
             b->n_parallel, r->parallel, r->parallel / r->one, r->one);
}

static gboolean
open_backends (Bench *b, const char *name, GError **error)
{
  AtlCpuOptions cpu = { .n_threads = (guint) b->n_threads, .best_level = TRUE };

  if (name != NULL && g_str_has_prefix (name, "opencl"))
    {
      g_autofree char *why = NULL;
      g_autoptr (GPtrArray) devices = atl_opencl_devices (&why);
      guint index =
          g_str_has_prefix (name, "opencl:") ? (guint) g_ascii_strtoull (name + 7, NULL, 10) : 0;
      g_autofree char *cache =
          g_build_filename (g_get_user_cache_dir (), "atelier", "kernels", NULL);

      if (index >= devices->len)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, "There is no such OpenCL device%s%s",
                       why != NULL ? ": " : "", why != NULL ? why : "");
          return FALSE;
        }
      b->backends[0] = atl_opencl_backend_new (devices->pdata[index], cache, error);
      if (b->backends[0] == NULL)
        return FALSE;
      b->n_backends = 1;
    }
  else if (g_strcmp0 (name, "cpu-avx2") == 0 || g_strcmp0 (name, "cpu-avx512") == 0 ||
           g_strcmp0 (name, "cpu-reference") == 0)
    {
      cpu.best_level = FALSE;
      cpu.level = g_str_has_suffix (name, "avx2")     ? ATL_CPU_AVX2
                  : g_str_has_suffix (name, "avx512") ? ATL_CPU_AVX512
                                                      : ATL_CPU_REFERENCE;
    }
  b->backends[b->n_backends] = atl_cpu_backend_new (&cpu, error);
  if (b->backends[b->n_backends] == NULL)
    return FALSE;
  b->n_backends++;
  return TRUE;
}

static gboolean
bench_checkpoint (const Bench *b, AtlCheckpoint *cp, const char *name)
{
  g_autoptr (GError) error = NULL;
  Result result = { 0 };

  if (cp == NULL || !run_model (b, cp, &result, &error))
    {
      g_printerr ("%s: %s\n", name, error != NULL ? error->message : "cannot be opened");
      return FALSE;
    }
  print_result (b, name, &result);
  return TRUE;
}

int
atl_tool_bench (int argc, char **argv)
{
  Bench b = {
    .n_threads = (int) g_get_num_processors (), .n_prompt = 512, .n_generate = 64, .n_repeats = 3
  };
  g_autofree char *backend = NULL, *kv = NULL;
  g_auto (GStrv) files = NULL, synthetic = NULL;
  GOptionEntry entries[] = {
    { "synthetic", 0, 0, G_OPTION_ARG_STRING_ARRAY, &synthetic, "Random weights of a real shape",
      "SHAPE:TYPE" },
    { "threads", 't', 0, G_OPTION_ARG_INT, &b.n_threads, "Threads", "N" },
    { "prompt", 'p', 0, G_OPTION_ARG_INT, &b.n_prompt, "Tokens of the prompt (512)", "N" },
    { "generate", 'n', 0, G_OPTION_ARG_INT, &b.n_generate, "Tokens to decode (64)", "N" },
    { "depth", 'd', 0, G_OPTION_ARG_INT, &b.n_depth, "Tokens in the context before decoding", "N" },
    { "parallel", 0, 0, G_OPTION_ARG_INT, &b.n_parallel,
      "Also decode so many chats at the same time", "N" },
    { "repeat", 'r', 0, G_OPTION_ARG_INT, &b.n_repeats, "Repeats; the median counts (3)", "N" },
    { "backend", 0, 0, G_OPTION_ARG_STRING, &backend,
      "cpu, cpu-avx2, cpu-avx512, cpu-reference, opencl:N", "NAME" },
    { "kv", 0, 0, G_OPTION_ARG_STRING, &kv, "f16, f32, q8_0 or q4_0 context", "TYPE" },
    { "json", 0, 0, G_OPTION_ARG_NONE, &b.json, "One JSON object a line", NULL },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &files, NULL, "MODEL.gguf…" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  gboolean ok = TRUE;

  b.kv_dtype = ATL_DTYPE_F16;
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) ||
      (files == NULL && synthetic == NULL) || b.n_threads < 1 || b.n_threads > 1024 ||
      b.n_prompt < 1 || b.n_prompt > 1 << 20 || b.n_generate < 1 || b.n_generate > 1 << 20 ||
      b.n_depth < 0 || b.n_depth > 1 << 20 || b.n_repeats < 1 || b.n_repeats > MAX_REPEATS ||
      b.n_parallel < 0 || b.n_parallel > 256 ||
      (kv != NULL && !atl_dtype_from_name (kv, &b.kv_dtype)))
    {
      g_printerr ("%s\n",
                  error != NULL
                      ? error->message
                      : "Name a model file or --synthetic SHAPE:TYPE, and numbers in range.");
      return 2;
    }
  if (!open_backends (&b, backend, &error))
    {
      g_printerr ("%s\n", error->message);
      return 1;
    }
  b.bandwidth = measure_bandwidth (b.n_threads);

  for (guint i = 0; files != NULL && files[i] != NULL; i++)
    {
      g_autoptr (AtlFileMap) map = atl_file_map_new (files[i], &error);
      g_autoptr (AtlCheckpoint) cp =
          map != NULL ? atl_checkpoint_open (&map, NULL, 1, &error) : NULL;
      g_autofree char *name = g_path_get_basename (files[i]);

      if (cp == NULL)
        g_printerr ("%s\n", error->message);
      g_clear_error (&error);
      ok &= bench_checkpoint (&b, cp, name);
    }
  for (guint i = 0; synthetic != NULL && synthetic[i] != NULL; i++)
    {
      g_autoptr (AtlCheckpoint) cp = bench_synthetic_new (synthetic[i], &error);

      if (cp == NULL)
        g_printerr ("%s\n", error->message);
      g_clear_error (&error);
      ok &= bench_checkpoint (&b, cp, synthetic[i]);
    }
  for (guint i = 0; i < b.n_backends; i++)
    atl_backend_free (b.backends[i]);
  return ok ? 0 : 1;
}
