/* Two vocabularies for the same numbers: the person's (protocol) and the samplers'. */
#define G_LOG_DOMAIN "atl-service"

#include "engine/service/turn-options.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "protocol/protocol.h"

#define MAX_PENALTY_TOKENS 65536

static gint
last_n (gint n)
{
  return n < 0 ? MAX_PENALTY_TOKENS : MIN (n, MAX_PENALTY_TOKENS);
}

static void
set_sampling (AtlSamplingParams *to, const AtlChatParams *from)
{
  atl_sampling_params_init (to);
  to->seed = from->seed < 0 ? g_random_int () : (guint64) from->seed;
  to->temperature = (float) from->temperature;
  to->dynatemp_range = (float) from->dynatemp_range;
  to->dynatemp_exponent = (float) from->dynatemp_exponent;
  to->top_k = from->top_k;
  to->top_p = (float) from->top_p;
  to->min_p = (float) from->min_p;
  to->typical_p = (float) from->typical_p;
  to->top_n_sigma = (float) MAX (from->top_n_sigma, 0);
  to->xtc_probability = (float) from->xtc_probability;
  to->xtc_threshold = (float) from->xtc_threshold;
  to->repeat_last_n = last_n (from->repeat_last_n);
  to->repeat_penalty = (float) from->repeat_penalty;
  to->presence_penalty = (float) from->presence_penalty;
  to->frequency_penalty = (float) from->frequency_penalty;
  to->dry_multiplier = (float) from->dry_multiplier;
  to->dry_base = (float) from->dry_base;
  to->dry_allowed_length = from->dry_allowed_length;
  to->dry_penalty_last_n =
      from->dry_penalty_last_n < 0 ? -1 : MIN (from->dry_penalty_last_n, MAX_PENALTY_TOKENS);
  to->mirostat = from->mirostat;
  to->mirostat_tau = (float) from->mirostat_tau;
  to->mirostat_eta = (float) from->mirostat_eta;
}

gboolean
atl_turn_options_init (AtlTurnOptions *options, const AtlChatParams *params, GError **error)
{
  *options = (AtlTurnOptions){ 0 };
  set_sampling (&options->sampling, params);
  options->max_tokens = params->max_tokens;
  options->stop = (const char *const *) params->stop;
  options->grammar = params->grammar;
  options->json_schema = params->json_schema;
  options->continue_last = params->continue_last;
  options->thinking = params->thinking;
  options->shift_context = params->shift_context;
  options->speculate = params->speculate;
  options->conversation = params->conversation;
  if (params->grammar != NULL && params->json_schema != NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("A grammar and a JSON schema were given; only one can hold"));
      return FALSE;
    }
  if (params->tools == NULL && params->tool_choice != NULL &&
      !g_str_equal (params->tool_choice, "auto") && !g_str_equal (params->tool_choice, "none"))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("A tool must be called (“%s”), but no tools were given"),
                   params->tool_choice);
      return FALSE;
    }
  options->n_probs = params->n_probs;
  options->tool_choice = params->tool_choice;
  if (params->tools != NULL && g_strcmp0 (params->tool_choice, "none") != 0)
    {
      g_autoptr (JsonNode) tools =
          atl_json_parse (params->tools, strlen (params->tools), "tools", error);

      if (tools == NULL)
        return FALSE;
      if (!JSON_NODE_HOLDS_ARRAY (tools))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("tools: a JSON array was expected"));
          return FALSE;
        }
      options->tools = json_array_ref (json_node_get_array (tools));
    }
  return atl_sampling_params_check (&options->sampling, error);
}

void
atl_turn_options_clear (AtlTurnOptions *options)
{
  g_clear_pointer (&options->tools, json_array_unref);
}

static double
rate (guint n, double seconds)
{
  return seconds > 0 ? n / seconds : 0;
}

GVariant *
atl_turn_stats_to_variant (
    const AtlTurnStats *stats, double queued_s, guint n_ctx, const char *ran_on, guint64 seed)
{
  static const char *const stops[] = {
    [ATL_TURN_EOS] = ATL_STOP_EOS,
    [ATL_TURN_STOP_STRING] = ATL_STOP_STRING,
    [ATL_TURN_LENGTH] = ATL_STOP_LENGTH,
    [ATL_TURN_STOPPED] = ATL_STOP_STOPPED,
    [ATL_TURN_CONTEXT_FULL] = ATL_STOP_CONTEXT_FULL,
  };
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_STAT_N_PROMPT, "u", stats->n_prompt);
  g_variant_dict_insert (&dict, ATL_STAT_N_CACHED, "u", stats->n_cached);
  g_variant_dict_insert (&dict, ATL_STAT_N_GENERATED, "u", stats->n_generated);
  g_variant_dict_insert (&dict, ATL_STAT_TOKENS_PER_S, "d",
                         rate (stats->n_generated, stats->generate_s));
  g_variant_dict_insert (&dict, ATL_STAT_PREFILL_PER_S, "d",
                         rate (stats->n_prompt - stats->n_cached, stats->prefill_s));
  g_variant_dict_insert (&dict, ATL_STAT_FIRST_TOKEN_MS, "d",
                         stats->n_generated > 0 ? (queued_s + stats->first_token_s) * 1000 : 0);
  g_variant_dict_insert (&dict, ATL_STAT_THINKING_MS, "d", stats->thinking_s * 1000);
  g_variant_dict_insert (&dict, ATL_STAT_N_CTX_USED, "u", stats->n_ctx_used);
  g_variant_dict_insert (&dict, ATL_STAT_N_CTX, "u", n_ctx);
  g_variant_dict_insert (&dict, ATL_STAT_N_SHIFTED, "u", stats->n_shifted);
  g_variant_dict_insert (&dict, ATL_STAT_N_CALLS, "u", stats->n_calls);
  g_variant_dict_insert (&dict, ATL_STAT_N_DRAFTED, "u", stats->n_drafted);
  g_variant_dict_insert (&dict, ATL_STAT_N_ACCEPTED, "u", stats->n_accepted);
  g_variant_dict_insert (&dict, ATL_STAT_STOP_REASON, "s", stops[stats->stop]);
  g_variant_dict_insert (&dict, ATL_STAT_RAN_ON, "s", ran_on);
  g_variant_dict_insert (&dict, ATL_STAT_SEED, "t", seed);
  return g_variant_dict_end (&dict);
}
