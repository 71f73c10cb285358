/* Answers with and without guesses, in turns. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/bench-draft.h"

#include <stdlib.h>

#include "engine/pipelines/chat-turn.h"

#define N_CTX 4096u
#define MAX_REPEATS 9u

typedef enum
{
  WAY_PLAIN,
  WAY_LOOKUP,
  WAY_DRAFT,
  N_WAYS
} Way;

static const char *const way_names[] = { "plain", "lookup", "draft" };

/* What repeats what was said, what has one form only, and what is free. */
static const struct
{
  const char *name;
  const char *text;
} questions[] = {
  { "edit", "Write this function again with the variable total renamed to sum, all else as it is:\n"
            "def mean(values):\n    total = 0\n    count = 0\n    for value in values:\n"
            "        if value is None:\n            continue\n        total = total + value\n"
            "        count = count + 1\n    if count == 0:\n        return None\n"
            "    return total / count\n" },
  { "code",
    "Write a Python class for a binary search tree with insert, find and in-order listing." },
  { "list", "List the numbers from 1 to 30 with their squares, one a line." },
  { "explain", "Explain to a child why the sky is blue." },
  { "story", "Tell a short story about a lighthouse keeper who finds a letter in a bottle." },
};

typedef struct
{
  double speed[MAX_REPEATS];
  guint n_drafted, n_accepted, n_model_drafted, n_model_accepted;
} Result;

static void
text_cb (const char *text, gboolean is_thinking, gpointer user_data)
{
  g_string_append (user_data, text);
}

static AtlChatModel *
open_model (const BenchDraftPlan *plan,
            gboolean with_draft,
            AtlBackend *const *backends,
            guint n_backends,
            GError **error)
{
  const char *names[] = { "model.gguf", ATL_CHAT_DRAFT_PREFIX "model.gguf" };
  AtlChatModelOptions options = {
    .n_ctx = N_CTX, .kv_dtype = ATL_DTYPE_F16, .n_gpu_layers = G_MAXUINT, .n_cpu_experts = G_MAXUINT
  };
  g_autoptr (AtlFileMap) map = atl_file_map_new (plan->model, error);
  g_autoptr (AtlFileMap) draft = NULL;
  g_autoptr (AtlChatModel) model = NULL;
  AtlFileMap *maps[2] = { map, NULL };

  if (map == NULL)
    return NULL;
  if (with_draft && (maps[1] = draft = atl_file_map_new (plan->draft, error)) == NULL)
    return NULL;
  model = atl_chat_model_open (maps, names, with_draft ? 2 : 1, error);
  if (model == NULL ||
      !atl_chat_model_load (model, backends, n_backends, &options, NULL, NULL, NULL, error))
    return NULL;
  return g_steal_pointer (&model);
}

/* One answer; its text is the caller's. */
static char *
ask (AtlChatModel *model,
     const BenchDraftPlan *plan,
     guint question,
     gboolean speculate,
     AtlTurnStats *stats,
     GError **error)
{
  GString *text = g_string_new (NULL);
  g_autoptr (JsonArray) messages = json_array_new ();
  JsonObject *message = json_object_new ();
  AtlTurnOptions options = { .max_tokens = (gint) plan->n_generate,
                             .thinking = 0,
                             .speculate = speculate };
  AtlTurnSink sink = { .text = text_cb, .user_data = text };

  json_object_set_string_member (message, "role", "user");
  json_object_set_string_member (message, "content", questions[question].text);
  json_array_add_object_element (messages, message);
  atl_sampling_params_init (&options.sampling);
  options.sampling.temperature = (float) plan->temperature;
  options.sampling.seed = 1;
  if (!atl_chat_turn_run (model, messages, NULL, &options, &sink, NULL, stats, error))
    {
      g_string_free (text, TRUE);
      return NULL;
    }
  return g_string_free (text, FALSE);
}

static int
compare (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return x < y ? -1 : x > y;
}

static double
median (Result *r, guint n)
{
  qsort (r->speed, n, sizeof *r->speed, compare);
  return n % 2 == 1 ? r->speed[n / 2] : (r->speed[n / 2 - 1] + r->speed[n / 2]) / 2;
}

static void
print_result (const BenchDraftPlan *plan, guint question, Result *results, guint n_ways)
{
  double plain = median (&results[WAY_PLAIN], plan->n_repeats);

  g_print (plan->json ? "{\"question\":\"%s\"" : "%-8s", questions[question].name);
  for (guint way = 0; way < n_ways; way++)
    {
      Result *r = &results[way];
      double speed = median (r, plan->n_repeats);

      if (plan->json)
        g_print (",\"%s\":{\"tokens_per_s\":%.3f,\"n_drafted\":%u,\"n_accepted\":%u,"
                 "\"n_model_drafted\":%u,\"n_model_accepted\":%u}",
                 way_names[way], speed, r->n_drafted, r->n_accepted, r->n_model_drafted,
                 r->n_model_accepted);
      else
        g_print ("  %s %6.2f t/s", way_names[way], speed);
      if (!plan->json && way != WAY_PLAIN)
        g_print (" (%.2f; %u of %u right)", speed / plain, r->n_accepted, r->n_drafted);
    }
  g_print (plan->json ? "}\n" : "\n");
}

static gboolean
measure (const BenchDraftPlan *plan,
         AtlChatModel *const *models,
         guint n_ways,
         guint question,
         GError **error)
{
  Result results[N_WAYS] = { 0 };
  g_autofree char *first = NULL;

  for (guint i = 0; i < plan->n_repeats; i++)
    for (guint way = 0; way < n_ways; way++)
      {
        AtlTurnStats stats;
        g_autofree char *text = ask (models[way], plan, question, way != WAY_PLAIN, &stats, error);

        if (text == NULL)
          return FALSE;
        if (first == NULL)
          first = g_strdup (text);
        if (!g_str_equal (text, first))
          {
            g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                         "The answer to “%s” is another one with guesses (%s)",
                         questions[question].name, way_names[way]);
            return FALSE;
          }
        results[way].speed[i] = stats.n_generated / MAX (stats.generate_s, 1e-9);
        results[way].n_drafted += stats.n_drafted;
        results[way].n_accepted += stats.n_accepted;
        results[way].n_model_drafted += stats.n_model_drafted;
        results[way].n_model_accepted += stats.n_model_accepted;
      }
  print_result (plan, question, results, n_ways);
  return TRUE;
}

gboolean
bench_draft_run (const BenchDraftPlan *plan,
                 AtlBackend *const *backends,
                 guint n_backends,
                 GError **error)
{
  g_autoptr (AtlChatModel) alone = open_model (plan, FALSE, backends, n_backends, error);
  g_autoptr (AtlChatModel) guessed = NULL;
  AtlChatModel *models[N_WAYS] = { alone, alone, NULL };
  BenchDraftPlan limited = *plan;
  guint n_ways = plan->draft != NULL ? N_WAYS : WAY_DRAFT;

  limited.n_repeats = CLAMP (plan->n_repeats, 1, MAX_REPEATS);
  if (alone == NULL)
    return FALSE;
  if (plan->draft != NULL)
    {
      models[WAY_DRAFT] = guessed = open_model (plan, TRUE, backends, n_backends, error);
      if (guessed == NULL)
        return FALSE;
    }
  for (guint i = 0; i < G_N_ELEMENTS (questions); i++)
    if (!measure (&limited, models, n_ways, i, error))
      return FALSE;
  return TRUE;
}
