/* The benchmark of language models: medians of quiet repeats, beside the memory bandwidth that
 * bounds decoding; and of networks of pictures (bench-image.h). */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/bench.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "engine/convert/requant.h"
#include "engine/formats/open.h"
#include "engine/tensor/cpu/cpu.h"
#include "engine/tensor/opencl/opencl.h"
#include "engine/tools/bench-draft.h"
#include "engine/tools/bench-image.h"
#include "engine/tools/bench-run.h"
#include "engine/tools/bench-synthetic.h"

typedef struct
{
  int n_threads;
  BenchPlan plan;
  gboolean json;
  AtlBackend *backends[2];
  guint n_backends;
} Bench;

/* "512,8192" into a list of numbers in [least, most]. */
static gboolean
parse_list (const char *text, guint least, guint most, BenchList *out)
{
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);

  out->n = 0;
  for (guint i = 0; parts[i] != NULL; i++)
    {
      guint64 value;

      if (i == BENCH_MAX_LIST ||
          !g_ascii_string_to_unsigned (parts[i], 10, least, most, &value, NULL))
        return FALSE;
      out->value[out->n++] = (guint) value;
    }
  return out->n > 0;
}

static void
prepend (BenchList *list, guint value)
{
  list->n = MIN (list->n + 1, BENCH_MAX_LIST);
  memmove (list->value + 1, list->value, (list->n - 1) * sizeof *list->value);
  list->value[0] = value;
}

static void
json_list (
    JsonBuilder *j, const char *name, const char *key, const BenchList *list, const double *v)
{
  if (list->n == 0)
    return;
  json_builder_set_member_name (j, name);
  json_builder_begin_array (j);
  for (guint i = 0; i < list->n; i++)
    {
      json_builder_begin_object (j);
      json_builder_set_member_name (j, key);
      json_builder_add_int_value (j, list->value[i]);
      json_builder_set_member_name (j, "tokens_per_s");
      json_builder_add_double_value (j, v[i]);
      json_builder_end_object (j);
    }
  json_builder_end_array (j);
}

static void
print_json (const Bench *b, const char *name, const BenchResult *r)
{
  const BenchSpeeds *s = &r->speeds;
  g_autoptr (JsonBuilder) j = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree char *text = NULL;
  const struct
  {
    const char *name;
    double value;
  } numbers[] = {
    { "prefill_tokens_per_s", s->prefill },
    { "decode_tokens_per_s", s->decode[0] },
    { "decode_bytes_per_token", (double) r->bytes_per_token },
    { "decode_bandwidth_share", s->share },
    { "read_bandwidth_bytes_per_s", s->bandwidth },
    { "read_bandwidth_best_bytes_per_s", s->bandwidth_best },
    { "load_s", r->load_s },
    { "n_prompt", b->plan.n_prompt },
    { "n_generate", b->plan.n_generate },
    { "n_depth", b->plan.depths.value[0] },
    { "n_threads", b->n_threads },
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
  json_list (j, "depths", "depth", &b->plan.depths, s->decode);
  json_list (j, "rows", "rows", &b->plan.rows, s->rows);
  json_list (j, "parallel", "chats", &b->plan.chats, s->chats);
  json_builder_end_object (j);
  root = json_builder_get_root (j);
  text = json_to_string (root, FALSE);
  g_print ("%s\n", text);
}

static void
print_list (const char *what, const BenchList *list, const double *v)
{
  if (list->n == 0)
    return;
  g_print ("  %s", what);
  for (guint i = 0; i < list->n; i++)
    g_print ("%s %u: %.2f t/s (%.2f)", i > 0 ? "," : "", list->value[i], v[i], v[i] / v[0]);
  g_print ("\n");
}

static void
print_result (const Bench *b, const char *name, const BenchResult *r)
{
  const BenchSpeeds *s = &r->speeds;
  double used = s->decode[0] * (double) r->bytes_per_token;

  if (b->json)
    {
      print_json (b, name, r);
      return;
    }
  g_print ("%-28s prefill %8.1f t/s   decode %7.2f t/s   %5.1f GB/s, %3.0f %% of %.1f GB/s   load "
           "%.2f s\n",
           name, s->prefill, s->decode[0], used / 1e9, 100.0 * s->share, s->bandwidth / 1e9,
           r->load_s);
  if (b->plan.depths.n > 1)
    print_list ("decode at", &b->plan.depths, s->decode);
  print_list ("tokens at once", &b->plan.rows, s->rows);
  print_list ("chats together", &b->plan.chats, s->chats);
}

/* What --device means to other commands, as --backend says it; NULL with an error. */
static char *
backend_of (const char *device, GError **error)
{
  g_autofree char *why = NULL;
  g_autoptr (GPtrArray) devices = atl_opencl_devices (&why);
  const char *name = g_getenv ("ATELIER_OPENCL_DEVICE");
  AtlOpenclDevice *chosen = name != NULL && *name != '\0'
                                ? atl_opencl_device_by_name (devices, name)
                                : atl_opencl_device_choose (devices);
  guint index = 0;

  if (g_str_equal (device, "cpu") || (chosen == NULL && g_str_equal (device, "auto")))
    return g_strdup ("cpu");
  if (chosen == NULL || !(g_str_equal (device, "gpu") || g_str_equal (device, "auto")))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, "There is no device “%s”%s%s", device,
                   why != NULL ? ": " : "", why != NULL ? why : "");
      return NULL;
    }
  g_ptr_array_find (devices, chosen, &index);
  return g_strdup_printf ("opencl:%u", index);
}

static gboolean
open_backends (Bench *b, const char *name, GError **error)
{
  AtlCpuOptions cpu = { .n_threads = (guint) b->n_threads, .best_level = TRUE };

  if (name != NULL && g_str_has_prefix (name, "opencl"))
    {
      g_autofree char *why = NULL;
      g_autoptr (GPtrArray) devices = atl_opencl_devices (&why);
      guint64 index = 0;
      g_autofree char *cache =
          g_build_filename (g_get_user_cache_dir (), "atelier", "kernels", NULL);

      if ((name[6] != '\0' && (name[6] != ':' || !g_ascii_string_to_unsigned (
                                                     name + 7, 10, 0, G_MAXUINT, &index, NULL))) ||
          index >= devices->len)
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
  else if (name != NULL && !g_str_equal (name, "cpu"))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, "There is no backend “%s”", name);
      return FALSE;
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
  BenchResult result = { 0 };

  if (!bench_run (&b->plan, cp, (AtlBackend **) b->backends, b->n_backends, &result, &error))
    {
      g_printerr ("%s: %s\n", name, error->message);
      return FALSE;
    }
  print_result (b, name, &result);
  return TRUE;
}

/* The same model as a file, for other engines and other runs. */
static gboolean
save_synthetic (const char *spec, const char *path, GError **error)
{
  g_autoptr (AtlCheckpoint) cp = bench_synthetic_new (spec, error);
  AtlRequant job = { .cp = cp };
  AtlRequantSummary summary;

  return cp != NULL && atl_requant_write (&job, path, &summary, error);
}

static gboolean
bench_guesses (const Bench *b, BenchDraftPlan *plan, const char *model)
{
  g_autoptr (GError) error = NULL;

  plan->model = model;
  plan->n_generate = b->plan.n_generate;
  plan->n_repeats = b->plan.n_repeats;
  plan->json = b->json;
  if (bench_draft_run (plan, b->backends, b->n_backends, &error))
    return TRUE;
  g_printerr ("%s: %s\n", model, error->message);
  return FALSE;
}

/* "512x768" */
static gboolean
parse_size (const char *text, BenchImagePlan *plan)
{
  g_auto (GStrv) parts = g_strsplit (text, "x", -1);
  guint *out[] = { &plan->width, &plan->height, &plan->frames };
  guint n = g_strv_length (parts);

  if (n < 2 || n > 3)
    return FALSE;
  for (guint i = 0; i < n; i++)
    {
      guint64 value;

      if (!g_ascii_string_to_unsigned (parts[i], 10, i < 2 ? 16 : 1, 8192, &value, NULL) ||
          (i < 2 && value % 16 != 0))
        return FALSE;
      *out[i] = (guint) value;
    }
  return TRUE;
}

static gboolean
bench_images (Bench *b, BenchImagePlan *plan, char **what)
{
  gboolean ok = TRUE;

  plan->n_repeats = b->plan.n_repeats;
  plan->json = b->json;
  for (guint i = 0; what[i] != NULL; i++)
    {
      g_autoptr (GError) error = NULL;

      if (bench_image_run (plan, what[i], b->backends, b->n_backends, &error))
        continue;
      g_printerr ("%s: %s\n", what[i], error->message);
      ok = FALSE;
    }
  return ok;
}

static gboolean
bench_file (Bench *b, const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlFileMap) map = atl_file_map_new (path, &error);
  g_autoptr (AtlCheckpoint) cp = map != NULL ? atl_checkpoint_open (&map, NULL, 1, &error) : NULL;
  g_autofree char *name = g_path_get_basename (path);

  if (cp == NULL)
    {
      g_printerr ("%s\n", error->message);
      return FALSE;
    }
  return bench_checkpoint (b, cp, name);
}

static gboolean
bench_synthetic (Bench *b, const char *shape)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlCheckpoint) cp = bench_synthetic_new (shape, &error);

  if (cp == NULL)
    {
      g_printerr ("%s\n", error->message);
      return FALSE;
    }
  return bench_checkpoint (b, cp, shape);
}

int
atl_tool_bench (int argc, char **argv)
{
  Bench b = { .n_threads = (int) g_get_num_processors (), .plan.depths.n = 1 };
  int n_prompt = 512, n_generate = 64, n_repeats = 3;
  g_autofree char *backend = NULL, *kv = NULL, *depths = NULL, *rows = NULL, *chats = NULL,
                  *draft = NULL, *save = NULL, *size = NULL, *device = NULL;
  BenchImagePlan image_plan = { .width = 512, .height = 512, .frames = 1 };
  BenchDraftPlan guesses = { 0 };
  g_autoptr (BenchMemory) memory = NULL;
  gboolean lookup = FALSE;
  g_auto (GStrv) files = NULL, synthetic = NULL, images = NULL;
  GOptionEntry entries[] = {
    { "synthetic", 0, 0, G_OPTION_ARG_STRING_ARRAY, &synthetic, "Random weights of a real shape",
      "SHAPE:TYPE" },
    { "save", 0, 0, G_OPTION_ARG_FILENAME, &save,
      "Instead: write these random weights as a file that any engine runs", "OUT.gguf" },
    { "image", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &images,
      "Instead: a pass of a network of pictures, of random weights or from a file",
      "SHAPE[:TYPE]|FILE" },
    { "size", 0, 0, G_OPTION_ARG_STRING, &size, "Of the picture or clip (512x512)",
      "WxH[xFRAMES]" },
    { "threads", 't', 0, G_OPTION_ARG_INT, &b.n_threads, "Threads", "N" },
    { "prompt", 'p', 0, G_OPTION_ARG_INT, &n_prompt, "Tokens of the prompt (512)", "N" },
    { "generate", 'n', 0, G_OPTION_ARG_INT, &n_generate, "Tokens to decode (64)", "N" },
    { "depth", 'd', 0, G_OPTION_ARG_STRING, &depths, "Tokens in the context before decoding (0)",
      "N,…" },
    { "rows", 0, 0, G_OPTION_ARG_STRING, &rows, "Passes of so many tokens of one chat", "N,…" },
    { "parallel", 0, 0, G_OPTION_ARG_STRING, &chats, "Also decode so many chats at the same time",
      "N,…" },
    { "lookup", 0, 0, G_OPTION_ARG_NONE, &lookup,
      "Instead: real answers with and without guessing ahead from the text", NULL },
    { "draft", 0, 0, G_OPTION_ARG_FILENAME, &draft,
      "The same, and with the guesses of this smaller model", "MODEL.gguf" },
    { "temperature", 0, 0, G_OPTION_ARG_DOUBLE, &guesses.temperature, "Of these answers (0)", "N" },
    { "repeat", 'r', 0, G_OPTION_ARG_INT, &n_repeats, "Repeats; the median counts (3)", "N" },
    { "backend", 0, 0, G_OPTION_ARG_STRING, &backend,
      "cpu, cpu-avx2, cpu-avx512, cpu-reference, opencl:N", "NAME" },
    { "device", 0, 0, G_OPTION_ARG_STRING, &device, "Instead of it: auto, cpu or gpu", "DEVICE" },
    { "kv-type", 0, 0, G_OPTION_ARG_STRING, &kv, "f16, f32, q8_0 or q4_0 context", "TYPE" },
    { "kv", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_STRING, &kv, NULL, NULL },
    { "json", 0, 0, G_OPTION_ARG_NONE, &b.json, "One JSON object a line", NULL },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &files, NULL, "MODEL.gguf…" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  gboolean ok = TRUE;

  b.plan.kv_dtype = ATL_DTYPE_F16;
  g_option_context_set_summary (context,
                                "Measures how fast models read, write or draw on this machine.");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) ||
      (files == NULL && synthetic == NULL && images == NULL) ||
      (save != NULL && (synthetic == NULL || synthetic[1] != NULL)) || b.n_threads < 1 ||
      b.n_threads > 1024 || n_prompt < 1 || n_prompt > 1 << 20 || n_generate < 1 ||
      n_generate > 1 << 20 || n_repeats < 1 || n_repeats > BENCH_MAX_REPEATS ||
      (size != NULL && !parse_size (size, &image_plan)) ||
      (depths != NULL && !parse_list (depths, 0, 1 << 20, &b.plan.depths)) ||
      (rows != NULL && !parse_list (rows, 1, 4096, &b.plan.rows)) ||
      (chats != NULL && !parse_list (chats, 1, BENCH_MAX_CHATS, &b.plan.chats)) ||
      !(guesses.temperature >= 0 && guesses.temperature <= 100) ||
      (kv != NULL && !atl_dtype_from_name (kv, &b.plan.kv_dtype)))
    {
      g_printerr ("%s\n",
                  error != NULL
                      ? error->message
                      : "Name a model file or --synthetic SHAPE:TYPE, and numbers in range.");
      return 2;
    }
  if (save != NULL)
    {
      ok = save_synthetic (synthetic[0], save, &error);
      if (!ok)
        g_printerr ("%s\n", error->message);
      return ok ? 0 : 1;
    }
  if (device != NULL)
    {
      g_free (backend);
      backend = backend_of (device, &error);
    }
  if (error != NULL || !open_backends (&b, backend, &error))
    {
      g_printerr ("%s\n", error->message);
      return 1;
    }
  if (b.plan.chats.n > 0 && b.plan.chats.value[0] != 1)
    prepend (&b.plan.chats, 1); /* what the others are compared with */
  b.plan.n_prompt = (guint) n_prompt;
  b.plan.n_generate = (guint) n_generate;
  b.plan.n_repeats = (guint) n_repeats;
  guesses.draft = draft;
  if (!lookup && draft == NULL && (files != NULL || synthetic != NULL))
    b.plan.memory = memory = bench_memory_new ((guint) b.n_threads);

  if (images != NULL)
    ok &= bench_images (&b, &image_plan, images);
  for (guint i = 0; files != NULL && files[i] != NULL; i++)
    ok &= lookup || draft != NULL ? bench_guesses (&b, &guesses, files[i])
                                  : bench_file (&b, files[i]);
  for (guint i = 0; synthetic != NULL && synthetic[i] != NULL; i++)
    ok &= bench_synthetic (&b, synthetic[i]);
  for (guint i = 0; i < b.n_backends; i++)
    atl_backend_free (b.backends[i]);
  return ok ? 0 : 1;
}
