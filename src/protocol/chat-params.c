/* The table of parameters and its three outer forms: dictionary, JSON, number by key. */
#define G_LOG_DOMAIN "atl-protocol"

#include "protocol/chat-params.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "base/language.h"
#include "protocol/protocol.h"

#define MAX_STOP_STRINGS 16u
#define MAX_STOP_BYTES 1024u

#define OFFSET(field) G_STRUCT_OFFSET (AtlChatParams, field)

static const AtlChatParamSpec specs[] = {
  /* clang-format off */
  { "temperature", ATL_PARAM_DOUBLE, 0, 5, 0.7, 0.05, TRUE, N_("How creative"), "temperature",
    N_("Low values stay with the likeliest words, high values surprise. 0 always takes the likeliest."),
    OFFSET (temperature) },
  { "max-tokens", ATL_PARAM_INT, -1, 1 << 24, -1, 64, TRUE, N_("Longest answer"), "max tokens",
    N_("Ends an answer after so many tokens (about three quarters of a word each). -1: no limit."),
    OFFSET (max_tokens) },
  { "top-p", ATL_PARAM_DOUBLE, 0, 1, 0.95, 0.01, FALSE, N_("Likely words only"), "top-p",
    N_("Keeps the likeliest words that together reach this probability. 1: off."),
    OFFSET (top_p) },
  { "top-k", ATL_PARAM_INT, 0, 1 << 20, 40, 1, FALSE, N_("Number of candidates"), "top-k",
    N_("Keeps only this many of the likeliest words. 0: off."),
    OFFSET (top_k) },
  { "min-p", ATL_PARAM_DOUBLE, 0, 1, 0.05, 0.01, FALSE, N_("Least likelihood"), "min-p",
    N_("Drops words less likely than this share of the likeliest one. 0: off."),
    OFFSET (min_p) },
  { "typical-p", ATL_PARAM_DOUBLE, 0, 1, 1, 0.01, FALSE, N_("Typical words"), "typical-p",
    N_("Keeps words about as surprising as expected. 1: off."),
    OFFSET (typical_p) },
  { "top-n-sigma", ATL_PARAM_DOUBLE, -1, 10, -1, 0.1, FALSE, N_("Distance from the best"), "top-n-sigma",
    N_("Keeps words within so many standard deviations of the likeliest. 0 or less: off."),
    OFFSET (top_n_sigma) },
  { "dynatemp-range", ATL_PARAM_DOUBLE, 0, 5, 0, 0.05, FALSE, N_("Creativity range"), "dynatemp range",
    N_("Lets the temperature vary by this much with the model's certainty. 0: off."),
    OFFSET (dynatemp_range) },
  { "dynatemp-exponent", ATL_PARAM_DOUBLE, 0.01, 10, 1, 0.1, FALSE, N_("Creativity curve"), "dynatemp exponent",
    N_("How the varying temperature follows the model's certainty."),
    OFFSET (dynatemp_exponent) },
  { "xtc-probability", ATL_PARAM_DOUBLE, 0, 1, 0, 0.05, FALSE, N_("Avoid the obvious"), "XTC probability",
    N_("How often the likeliest words are left out. 0: off."),
    OFFSET (xtc_probability) },
  { "xtc-threshold", ATL_PARAM_DOUBLE, 0, 1, 0.1, 0.01, FALSE, N_("What counts as obvious"), "XTC threshold",
    N_("Words likelier than this may be left out."),
    OFFSET (xtc_threshold) },
  { "repeat-penalty", ATL_PARAM_DOUBLE, 0.01, 10, 1, 0.01, FALSE, N_("Avoid repetition"), "repeat penalty",
    N_("Makes words that came up recently less likely. 1: off."),
    OFFSET (repeat_penalty) },
  { "repeat-last-n", ATL_PARAM_INT, -1, 1 << 24, 64, 16, FALSE, N_("Memory of repetition"), "repeat last n",
    N_("How many recent tokens count as repetition. -1: all."),
    OFFSET (repeat_last_n) },
  { "frequency-penalty", ATL_PARAM_DOUBLE, -2, 2, 0, 0.05, FALSE, N_("Penalty by number of uses"), "frequency penalty",
    N_("Makes words less likely the more often they were used."),
    OFFSET (frequency_penalty) },
  { "presence-penalty", ATL_PARAM_DOUBLE, -2, 2, 0, 0.05, FALSE, N_("Penalty for any use"), "presence penalty",
    N_("Makes words less likely once they were used."),
    OFFSET (presence_penalty) },
  { "dry-multiplier", ATL_PARAM_DOUBLE, 0, 10, 0, 0.1, FALSE, N_("Avoid repeated phrases"), "DRY multiplier",
    N_("Makes it less likely that a phrase is said again. 0: off."),
    OFFSET (dry_multiplier) },
  { "dry-base", ATL_PARAM_DOUBLE, 1, 8, 1.75, 0.05, FALSE, N_("Growth with the phrase"), "DRY base",
    N_("How fast the penalty grows with the length of the phrase."),
    OFFSET (dry_base) },
  { "dry-allowed-length", ATL_PARAM_INT, 1, 65536, 2, 1, FALSE, N_("Allowed phrase length"), "DRY allowed length",
    N_("Phrases up to so many tokens may repeat freely."),
    OFFSET (dry_allowed_length) },
  { "dry-penalty-last-n", ATL_PARAM_INT, -1, 1 << 24, -1, 16, FALSE, N_("Memory of phrases"), "DRY last n",
    N_("How many recent tokens are searched for phrases. -1: all."),
    OFFSET (dry_penalty_last_n) },
  { "mirostat", ATL_PARAM_INT, 0, 2, 0, 1, FALSE, N_("Steady surprise"), "mirostat",
    N_("Keeps the text equally surprising throughout; replaces the filters above. 0: off."),
    OFFSET (mirostat) },
  { "mirostat-tau", ATL_PARAM_DOUBLE, 0, 20, 5, 0.1, FALSE, N_("Amount of surprise"), "mirostat tau",
    N_("The surprise that mirostat aims at."),
    OFFSET (mirostat_tau) },
  { "mirostat-eta", ATL_PARAM_DOUBLE, 0, 1, 0.1, 0.01, FALSE, N_("Speed of correction"), "mirostat eta",
    N_("How fast mirostat corrects."),
    OFFSET (mirostat_eta) },
  { "seed", ATL_PARAM_INT64, -1, 4294967295.0, -1, 1, FALSE, N_("Seed"), "seed",
    N_("The same seed gives the same answer again. -1: another one each time."),
    OFFSET (seed) },
  { "continue-last", ATL_PARAM_BOOL, 0, 1, 0, 1, FALSE, N_("Continue the last answer"), "continue",
    N_("Goes on with the last answer instead of beginning one."),
    OFFSET (continue_last) },
  { "thinking", ATL_PARAM_INT, -1, 1, -1, 1, FALSE, N_("Think first"), "thinking",
    N_("Whether the model may reason before it answers. -1: as the model likes."),
    OFFSET (thinking) },
  { "speculate", ATL_PARAM_BOOL, 0, 1, 1, 1, FALSE, N_("Guess ahead"), "speculative decoding",
    N_("Checks several guessed words at a time where the text repeats itself. Faster; the text stays the same."),
    OFFSET (speculate) },
  { "shift-context", ATL_PARAM_BOOL, 0, 1, 0, 1, FALSE, N_("Forget the oldest when full"), "context shift",
    N_("When the context is full, drops the oldest part instead of stopping."),
    OFFSET (shift_context) },
  /* clang-format on */
};

static const struct
{
  const char *key;
  gsize offset;
  gsize max_bytes;
  gboolean is_setting; /* is kept in presets */
} texts[] = {
  { "grammar", OFFSET (grammar), ATL_MAX_GRAMMAR_BYTES, TRUE },
  { "json-schema", OFFSET (json_schema), ATL_MAX_GRAMMAR_BYTES, TRUE },
  { "tools", OFFSET (tools), ATL_MAX_GRAMMAR_BYTES, TRUE },
  { "tool-choice", OFFSET (tool_choice), 256, TRUE },
  { "conversation", OFFSET (conversation), ATL_MAX_CONVERSATION_BYTES, FALSE },
};

static char **
text_field (const AtlChatParams *self, gsize i)
{
  return (char **) G_STRUCT_MEMBER_P (self, texts[i].offset);
}

const AtlChatParamSpec *
atl_chat_param_specs (guint *n_specs)
{
  *n_specs = G_N_ELEMENTS (specs);
  return specs;
}

const AtlChatParamSpec *
atl_chat_param_find (const char *key)
{
  for (gsize i = 0; i < G_N_ELEMENTS (specs); i++)
    if (strcmp (specs[i].key, key) == 0)
      return &specs[i];
  return NULL;
}

double
atl_chat_param_get (const AtlChatParams *self, const AtlChatParamSpec *spec)
{
  switch (spec->kind)
    {
    case ATL_PARAM_DOUBLE:
      return G_STRUCT_MEMBER (double, self, spec->offset);
    case ATL_PARAM_INT64:
      return (double) G_STRUCT_MEMBER (gint64, self, spec->offset);
    case ATL_PARAM_INT:
    case ATL_PARAM_BOOL:
    default:
      return G_STRUCT_MEMBER (gint, self, spec->offset);
    }
}

gboolean
atl_chat_param_set (AtlChatParams *self, const AtlChatParamSpec *spec, double value, GError **error)
{
  if (!isfinite (value) || value < spec->min || value > spec->max ||
      (spec->kind != ATL_PARAM_DOUBLE && value != floor (value)))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   spec->kind == ATL_PARAM_DOUBLE
                       ? _ ("%s is %g; it must be a number from %g to %g")
                       : _ ("%s is %g; it must be a whole number from %g to %g"),
                   spec->term, value, spec->min, spec->max);
      return FALSE;
    }
  switch (spec->kind)
    {
    case ATL_PARAM_DOUBLE:
      G_STRUCT_MEMBER (double, self, spec->offset) = value;
      break;
    case ATL_PARAM_INT64:
      G_STRUCT_MEMBER (gint64, self, spec->offset) = (gint64) value;
      break;
    case ATL_PARAM_INT:
    case ATL_PARAM_BOOL:
    default:
      G_STRUCT_MEMBER (gint, self, spec->offset) = (gint) value;
      break;
    }
  return TRUE;
}

void
atl_chat_params_init (AtlChatParams *self)
{
  *self = (AtlChatParams){ 0 };
  for (gsize i = 0; i < G_N_ELEMENTS (specs); i++)
    atl_chat_param_set (self, &specs[i], specs[i].fallback, NULL);
}

void
atl_chat_params_clear (AtlChatParams *self)
{
  if (self == NULL)
    return;
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    g_clear_pointer (text_field (self, i), g_free);
  g_clear_pointer (&self->stop, g_strfreev);
}

void
atl_chat_params_copy (AtlChatParams *dest, const AtlChatParams *src)
{
  *dest = *src;
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    *text_field (dest, i) = g_strdup (*text_field (src, i));
  dest->stop = g_strdupv (src->stop);
}

/* A number of whatever type the other side chose. */
static gboolean
variant_to_double (GVariant *value, double *out)
{
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_DOUBLE))
    *out = g_variant_get_double (value);
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_INT32))
    *out = g_variant_get_int32 (value);
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_UINT32))
    *out = g_variant_get_uint32 (value);
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_INT64))
    *out = (double) g_variant_get_int64 (value);
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_UINT64))
    *out = (double) g_variant_get_uint64 (value);
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN))
    *out = g_variant_get_boolean (value);
  else
    return FALSE;
  return TRUE;
}

static gboolean
set_text (AtlChatParams *self, gsize i, const char *chars, GError **error)
{
  if (strlen (chars) > texts[i].max_bytes)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("%s has %zu bytes; at most %zu are accepted"), texts[i].key, strlen (chars),
                   texts[i].max_bytes);
      return FALSE;
    }
  g_free (*text_field (self, i));
  *text_field (self, i) = *chars != '\0' ? g_strdup (chars) : NULL;
  return TRUE;
}

/* Takes `stop`. */
static gboolean
set_stop (AtlChatParams *self, char **stop, GError **error)
{
  guint n = g_strv_length (stop);
  gboolean fits = n <= MAX_STOP_STRINGS;

  for (guint i = 0; i < n && fits; i++)
    fits = *stop[i] != '\0' && strlen (stop[i]) <= MAX_STOP_BYTES;
  if (!fits)
    {
      g_strfreev (stop);
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("stop: at most %u strings of 1 to %u bytes are accepted"), MAX_STOP_STRINGS,
                   MAX_STOP_BYTES);
      return FALSE;
    }
  g_strfreev (self->stop);
  self->stop = stop;
  if (n == 0)
    g_clear_pointer (&self->stop, g_strfreev);
  return TRUE;
}

static gboolean
set_wrong_type (GError **error, const char *key)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s: the value has the wrong type"), key);
  return FALSE;
}

gboolean
atl_chat_params_apply (AtlChatParams *self, GVariant *dict, GError **error)
{
  if (dict == NULL)
    return TRUE;
  if (!g_variant_is_of_type (dict, G_VARIANT_TYPE_VARDICT))
    return set_wrong_type (error, "parameters");

  for (gsize i = 0; i < G_N_ELEMENTS (specs); i++)
    {
      g_autoptr (GVariant) value = g_variant_lookup_value (dict, specs[i].key, NULL);
      double number;

      if (value == NULL)
        continue;
      if (!variant_to_double (value, &number))
        return set_wrong_type (error, specs[i].key);
      if (!atl_chat_param_set (self, &specs[i], number, error))
        return FALSE;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GVariant) value = g_variant_lookup_value (dict, texts[i].key, NULL);

      if (value == NULL)
        continue;
      if (!g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
        return set_wrong_type (error, texts[i].key);
      if (!set_text (self, i, g_variant_get_string (value, NULL), error))
        return FALSE;
    }

  self->n_probs = MIN (atl_dict_uint (dict, ATL_PARAM_N_PROBS, self->n_probs), ATL_MAX_PROBS);

  g_autoptr (GVariant) stop = g_variant_lookup_value (dict, "stop", NULL);
  if (stop == NULL)
    return TRUE;
  if (!g_variant_is_of_type (stop, G_VARIANT_TYPE_STRING_ARRAY))
    return set_wrong_type (error, "stop");
  return set_stop (self, g_variant_dup_strv (stop, NULL), error);
}

char *
atl_chat_params_to_words (GVariant *dict)
{
  GString *words = g_string_new (NULL);

  for (gsize i = 0; dict != NULL && i < G_N_ELEMENTS (specs); i++)
    {
      g_autoptr (GVariant) value = g_variant_lookup_value (dict, specs[i].key, NULL);
      double number;

      if (value != NULL && variant_to_double (value, &number))
        {
          g_autofree char *part =
              atl_language_printf ("%s%s %g", words->len > 0 ? ", " : "", specs[i].term, number);
          g_string_append (words, part);
        }
    }
  return g_string_free (words, FALSE);
}

GVariant *
atl_chat_params_to_variant (const AtlChatParams *self)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE_VARDICT);
  for (gsize i = 0; i < G_N_ELEMENTS (specs); i++)
    {
      double value = atl_chat_param_get (self, &specs[i]);

      g_variant_builder_add (&builder, "{sv}", specs[i].key,
                             specs[i].kind == ATL_PARAM_DOUBLE  ? g_variant_new_double (value)
                             : specs[i].kind == ATL_PARAM_INT64 ? g_variant_new_int64 (self->seed)
                             : specs[i].kind == ATL_PARAM_BOOL
                                 ? g_variant_new_boolean (value != 0)
                                 : g_variant_new_int32 ((gint) value));
    }
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    if (*text_field (self, i) != NULL)
      g_variant_builder_add (&builder, "{sv}", texts[i].key,
                             g_variant_new_string (*text_field (self, i)));
  if (self->n_probs > 0)
    g_variant_builder_add (&builder, "{sv}", ATL_PARAM_N_PROBS,
                           g_variant_new_uint32 (self->n_probs));
  if (self->stop != NULL)
    g_variant_builder_add (&builder, "{sv}", "stop",
                           g_variant_new_strv ((const char *const *) self->stop, -1));
  return g_variant_builder_end (&builder);
}

static gboolean
apply_json_stop (AtlChatParams *self, JsonNode *node, GError **error)
{
  g_autoptr (GStrvBuilder) strings = g_strv_builder_new ();
  JsonArray *array = JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

  for (guint i = 0; array != NULL && i < json_array_get_length (array); i++)
    {
      JsonNode *element = json_array_get_element (array, i);

      if (json_node_get_value_type (element) != G_TYPE_STRING)
        return set_wrong_type (error, "stop");
      g_strv_builder_add (strings, json_node_get_string (element));
    }
  if (array == NULL)
    return set_wrong_type (error, "stop");
  return set_stop (self, g_strv_builder_end (strings), error);
}

gboolean
atl_chat_params_apply_json (AtlChatParams *self, const char *json, GError **error)
{
  g_autoptr (JsonNode) root = atl_json_parse (json, strlen (json), "parameters", error);
  JsonObject *object;

  if (root == NULL)
    return FALSE;
  if (!JSON_NODE_HOLDS_OBJECT (root))
    return set_wrong_type (error, "parameters");
  object = json_node_get_object (root);

  for (gsize i = 0; i < G_N_ELEMENTS (specs); i++)
    {
      JsonNode *node = json_object_get_member (object, specs[i].key);
      GType type = node != NULL ? json_node_get_value_type (node) : G_TYPE_INVALID;

      if (node == NULL)
        continue;
      if (type != G_TYPE_INT64 && type != G_TYPE_DOUBLE && type != G_TYPE_BOOLEAN)
        return set_wrong_type (error, specs[i].key);
      if (!atl_chat_param_set (self, &specs[i],
                               type == G_TYPE_BOOLEAN ? json_node_get_boolean (node)
                                                      : json_node_get_double (node),
                               error))
        return FALSE;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      JsonNode *node = json_object_get_member (object, texts[i].key);

      if (node == NULL || !texts[i].is_setting)
        continue;
      if (json_node_get_value_type (node) != G_TYPE_STRING)
        return set_wrong_type (error, texts[i].key);
      if (!set_text (self, i, json_node_get_string (node), error))
        return FALSE;
    }
  if (json_object_has_member (object, "stop"))
    return apply_json_stop (self, json_object_get_member (object, "stop"), error);
  return TRUE;
}
