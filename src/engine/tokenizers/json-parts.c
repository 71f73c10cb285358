/* Reading the pipeline around the model of a tokenizer.json. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/json-parts.h"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

#include "base/json-bounded.h"

#define MARK "\xe2\x96\x81" /* U+2581 */
#define MAX_STEPS 64        /* each goes over the whole text */
#define MAX_LITERAL 32      /* bytes of a replacement: it may be put for every character */

gboolean
atl_json_bad (GError **error, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("tokenizer.json: %s"), message);
  return FALSE;
}

/* The member of an object that is an object itself, or NULL. */
static JsonObject *
part_of (JsonObject *root, const char *member)
{
  return atl_json_object (root, member);
}

static gboolean
unknown (const char *what, const char *type, GError **error)
{
  g_autofree char *shown = atl_vocabulary_quote (type, strlen (type));

  g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
               _ ("tokenizer.json: its %s is of the kind “%s”, which is not known here"), _ (what),
               shown);
  return FALSE;
}

/* Runs `read` over the objects of the list `member`. */
typedef gboolean (*ReadPart) (JsonObject *part, gpointer data, GError **error);

static gboolean
read_list (JsonObject *part, const char *member, ReadPart read, gpointer data, GError **error)
{
  JsonArray *list = atl_json_array (part, member);
  guint n = list != NULL ? json_array_get_length (list) : 0;

  if (list == NULL)
    return atl_json_bad (error, _ ("a sequence has no list “%s”"), member);
  for (guint i = 0; i < n; i++)
    {
      JsonNode *node = json_array_get_element (list, i);

      if (!JSON_NODE_HOLDS_OBJECT (node))
        return atl_json_bad (error, _ ("an entry of “%s” is no object"), member);
      if (!read (json_node_get_object (node), data, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
count_step (AtlJsonTraits *traits, GError **error)
{
  return ++traits->n_steps <= MAX_STEPS ||
         atl_json_bad (error, _ ("it takes a text apart in more than %d steps"), MAX_STEPS);
}

/* A pattern is {"String": text} or {"Regex": expression}; one of the two is set. */
static gboolean
read_pattern (JsonObject *part, const char **literal, const char **regex, GError **error)
{
  JsonObject *pattern = atl_json_object (part, "pattern");

  *literal = atl_json_string (pattern, "String", NULL);
  *regex = atl_json_string (pattern, "Regex", NULL);
  if ((*literal == NULL || **literal == 0) && *regex == NULL)
    return atl_json_bad (error, _ ("a pattern is neither a text nor an expression"));
  return TRUE;
}

/* --- Normalizer --- */

typedef struct
{
  AtlNormalizer *normalizer;
  AtlJsonTraits *traits;
} NormalizerState;

static gboolean
read_replace (JsonObject *part, AtlNormalizer *normalizer, GError **error)
{
  const char *content = atl_json_string (part, "content", ""), *literal, *regex;

  if (!read_pattern (part, &literal, &regex, error))
    return FALSE;
  if (strlen (content) > MAX_LITERAL)
    return atl_json_bad (error, _ ("a replacement is longer than %d bytes"), MAX_LITERAL);
  if (regex != NULL)
    return atl_normalizer_add_replace_regex (normalizer, regex, content, error);
  atl_normalizer_add_replace (normalizer, literal, content);
  return TRUE;
}

static gboolean
read_precompiled (JsonObject *part, AtlNormalizer *normalizer, GError **error)
{
  const char *text = atl_json_string (part, "precompiled_charsmap", NULL);
  g_autofree guint8 *blob = NULL;
  AtlCharsmap *charsmap;
  gsize size;

  if (text == NULL || *text == 0)
    return TRUE;
  blob = g_base64_decode (text, &size);
  charsmap = atl_charsmap_new (blob, size, error);
  if (charsmap == NULL)
    return FALSE;
  atl_normalizer_add_charsmap (normalizer, charsmap);
  return TRUE;
}

static gboolean
read_normalizer (JsonObject *part, gpointer data, GError **error)
{
  static const char *const forms[] = { "NFC", "NFD", "NFKC", "NFKD" };
  NormalizerState *state = data;
  AtlNormalizer *n = state->normalizer;
  const char *type = atl_json_string (part, "type", "");

  if (!count_step (state->traits, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (forms); i++)
    if (strcmp (type, forms[i]) == 0)
      {
        atl_normalizer_add_form (n, (AtlNormalForm) i);
        return TRUE;
      }
  if (strcmp (type, "Sequence") == 0)
    return read_list (part, "normalizers", read_normalizer, state, error);
  if (strcmp (type, "Replace") == 0)
    return read_replace (part, n, error);
  if (strcmp (type, "Precompiled") == 0)
    return read_precompiled (part, n, error);
  if (strcmp (type, "Lowercase") == 0)
    atl_normalizer_add_lowercase (n);
  else if (strcmp (type, "StripAccents") == 0)
    atl_normalizer_add_strip_accents (n);
  else if (strcmp (type, "Strip") == 0)
    atl_normalizer_add_strip (n, atl_json_bool (part, "strip_left", TRUE),
                              atl_json_bool (part, "strip_right", TRUE));
  else if (strcmp (type, "Prepend") == 0)
    {
      const char *text = atl_json_string (part, "prepend", "");

      if (strlen (text) > MAX_LITERAL)
        return atl_json_bad (error, _ ("the text put in front is longer than %d bytes"),
                             MAX_LITERAL);
      atl_normalizer_add_prepend (n, text);
      state->traits->space_prefix = strcmp (text, MARK) == 0 || strcmp (text, " ") == 0;
    }
  else if (strcmp (type, "BertNormalizer") == 0)
    {
      gboolean lowercase = atl_json_bool (part, "lowercase", TRUE);

      atl_normalizer_add_bert (n, atl_json_bool (part, "clean_text", TRUE),
                               atl_json_bool (part, "handle_chinese_chars", TRUE),
                               atl_json_bool (part, "strip_accents", lowercase), FALSE, lowercase);
    }
  else
    return unknown (N_ ("normalizer"), type, error);
  return TRUE;
}

gboolean
atl_json_read_normalizer (JsonObject *root,
                          AtlNormalizer *normalizer,
                          AtlJsonTraits *traits,
                          GError **error)
{
  JsonObject *part = part_of (root, "normalizer");
  NormalizerState state = { normalizer, traits };

  return part == NULL || read_normalizer (part, &state, error);
}

/* --- Pre-tokenizer --- */

typedef struct
{
  AtlPreTokenizer *pre;
  AtlJsonTraits *traits;
} PreState;

static gboolean
read_behavior (JsonObject *part, AtlSplitBehavior *behavior, GError **error)
{
  static const struct
  {
    const char *name;
    AtlSplitBehavior behavior;
  } known[] = {
    { "Isolated", ATL_SPLIT_ISOLATED },
    { "Removed", ATL_SPLIT_REMOVED },
    { "MergedWithPrevious", ATL_SPLIT_MERGED_WITH_PREVIOUS },
    { "MergedWithNext", ATL_SPLIT_MERGED_WITH_NEXT },
    { "Contiguous", ATL_SPLIT_CONTIGUOUS },
  };
  const char *name = atl_json_string (part, "behavior", "Isolated");
  gboolean invert = atl_json_bool (part, "invert", FALSE);

  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    if (strcmp (known[i].name, name) == 0)
      {
        *behavior = known[i].behavior;
        if (invert && *behavior == ATL_SPLIT_REMOVED)
          *behavior = ATL_SPLIT_KEEP_ONLY;
        else if (invert && *behavior != ATL_SPLIT_ISOLATED)
          return unknown (N_ ("way of splitting"), "inverted", error);
        return TRUE;
      }
  return unknown (N_ ("way of splitting"), name, error);
}

static gboolean
read_split (JsonObject *part, AtlPreTokenizer *pre, GError **error)
{
  AtlScan scan = { .kind = ATL_SCAN_LITERAL };
  const char *literal, *regex;
  AtlSplitBehavior behavior;

  if (!read_pattern (part, &literal, &regex, error) || !read_behavior (part, &behavior, error))
    return FALSE;
  if (regex != NULL)
    return atl_pre_tokenizer_add_regex (pre, regex, behavior, error);
  scan.extra = literal;
  atl_pre_tokenizer_add_scan (pre, &scan, behavior);
  return TRUE;
}

static gboolean
read_metaspace (JsonObject *part, PreState *state, GError **error)
{
  const char *mark = atl_json_string (part, "replacement", MARK);
  gboolean old_prefix = atl_json_bool (part, "add_prefix_space", TRUE);
  const char *name = atl_json_string (part, "prepend_scheme", old_prefix ? "always" : "never");
  AtlPrependScheme scheme;

  if (g_utf8_strlen (mark, -1) != 1)
    return atl_json_bad (error, _ ("the mark for spaces is not one character"));
  if (strcmp (name, "always") == 0)
    scheme = ATL_PREPEND_ALWAYS;
  else if (strcmp (name, "first") == 0)
    scheme = ATL_PREPEND_FIRST;
  else if (strcmp (name, "never") == 0)
    scheme = ATL_PREPEND_NEVER;
  else
    return unknown (N_ ("way of putting a space in front"), name, error);
  atl_pre_tokenizer_add_metaspace (state->pre, mark, scheme, atl_json_bool (part, "split", TRUE));
  state->traits->space_prefix = scheme != ATL_PREPEND_NEVER;
  return TRUE;
}

static gboolean
read_pre_tokenizer (JsonObject *part, gpointer data, GError **error)
{
  const AtlScan spaces = { .kind = ATL_SCAN_SPACES };
  const AtlScan gpt2 = { .kind = ATL_SCAN_GPT2 };
  const AtlScan words = { .kind = ATL_SCAN_WORDS };
  const AtlScan punctuation = { .kind = ATL_SCAN_CLASS_ONE,
                                .classes = ATL_CP_PUNCT,
                                .extra = "$+<=>^`|~" };
  PreState *state = data;
  const char *type = atl_json_string (part, "type", "");

  if (!count_step (state->traits, error))
    return FALSE;
  if (strcmp (type, "Sequence") == 0)
    return read_list (part, "pretokenizers", read_pre_tokenizer, state, error);
  /* What comes after ByteLevel sees its letters, not the text. */
  if (state->traits->byte_level)
    atl_pre_tokenizer_add_letters (state->pre);
  if (strcmp (type, "Split") == 0)
    return read_split (part, state->pre, error);
  if (strcmp (type, "Metaspace") == 0)
    return read_metaspace (part, state, error);
  if (strcmp (type, "ByteLevel") == 0)
    {
      state->traits->byte_level = TRUE;
      if (atl_json_bool (part, "add_prefix_space", TRUE))
        {
          atl_pre_tokenizer_add_space_prefix (state->pre);
          state->traits->space_prefix = TRUE;
        }
      if (atl_json_bool (part, "use_regex", TRUE))
        atl_pre_tokenizer_add_scan (state->pre, &gpt2, ATL_SPLIT_ISOLATED);
    }
  else if (strcmp (type, "Digits") == 0)
    {
      const AtlScan digits = { .kind = ATL_SCAN_NUMBERS,
                               .digits = atl_json_bool (part, "individual_digits", FALSE) };

      atl_pre_tokenizer_add_scan (state->pre, &digits, ATL_SPLIT_ISOLATED);
    }
  else if (strcmp (type, "Punctuation") == 0)
    {
      AtlSplitBehavior behavior;

      if (!read_behavior (part, &behavior, error))
        return FALSE;
      atl_pre_tokenizer_add_scan (state->pre, &punctuation, behavior);
    }
  else if (strcmp (type, "Whitespace") == 0)
    atl_pre_tokenizer_add_scan (state->pre, &words, ATL_SPLIT_KEEP_ONLY);
  else if (strcmp (type, "WhitespaceSplit") == 0)
    atl_pre_tokenizer_add_scan (state->pre, &spaces, ATL_SPLIT_REMOVED);
  else if (strcmp (type, "BertPreTokenizer") == 0)
    {
      atl_pre_tokenizer_add_scan (state->pre, &spaces, ATL_SPLIT_REMOVED);
      atl_pre_tokenizer_add_scan (state->pre, &punctuation, ATL_SPLIT_ISOLATED);
    }
  else if (strcmp (type, "CharDelimiterSplit") == 0)
    {
      const AtlScan delimiter = { .kind = ATL_SCAN_LITERAL,
                                  .extra = atl_json_string (part, "delimiter", " ") };

      atl_pre_tokenizer_add_scan (state->pre, &delimiter, ATL_SPLIT_REMOVED);
    }
  else
    return unknown (N_ ("pre_tokenizer"), type, error);
  return TRUE;
}

gboolean
atl_json_read_pre_tokenizer (JsonObject *root,
                             AtlPreTokenizer *pre,
                             AtlJsonTraits *traits,
                             GError **error)
{
  JsonObject *part = part_of (root, "pre_tokenizer");
  PreState state = { pre, traits };

  return part == NULL || read_pre_tokenizer (part, &state, error);
}

/* --- Decoder: only how pieces are spelled is taken from it --- */

static gboolean
read_decoder (JsonObject *part, gpointer data, GError **error)
{
  static const char *const silent[] = { "Fuse", "Strip" };
  AtlPieceSpelling *spelling = data;
  const char *type = atl_json_string (part, "type", "");

  for (guint i = 0; i < G_N_ELEMENTS (silent); i++)
    if (strcmp (type, silent[i]) == 0)
      return TRUE;
  if (strcmp (type, "Sequence") == 0)
    return read_list (part, "decoders", read_decoder, spelling, error);
  if (strcmp (type, "ByteLevel") == 0)
    spelling->letters = TRUE;
  else if (strcmp (type, "Metaspace") == 0 || strcmp (type, "ByteFallback") == 0 ||
           strcmp (type, "Replace") == 0)
    spelling->marks = TRUE;
  else if (strcmp (type, "WordPiece") == 0)
    g_strlcpy (spelling->continuation, atl_json_string (part, "prefix", "##"),
               sizeof spelling->continuation);
  else if (strcmp (type, "BPEDecoder") == 0)
    g_strlcpy (spelling->end_of_word, atl_json_string (part, "suffix", "</w>"),
               sizeof spelling->end_of_word);
  else
    return unknown (N_ ("decoder"), type, error);
  return TRUE;
}

gboolean
atl_json_read_decoder (JsonObject *root, AtlPieceSpelling *spelling, GError **error)
{
  JsonObject *part = part_of (root, "decoder");

  return part == NULL || read_decoder (part, spelling, error);
}

/* --- Post-processor --- */

static gboolean
add_affix (AtlTokenizer *tokenizer, gboolean after, JsonNode *node, GError **error)
{
  gint64 id = node != NULL && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_int (node) : -1;
  GArray *list = after ? tokenizer->suffix : tokenizer->prefix;
  gint32 value = (gint32) id;

  if (id < 0 || id >= tokenizer->vocabulary->n || tokenizer->vocabulary->text[id] == NULL)
    return atl_json_bad (
        error, _ ("its post_processor adds the id %" PRId64 ", which is not in the vocabulary"),
        id);
  if (list->len >= 64)
    return atl_json_bad (error, _ ("its post_processor adds more than 64 tokens"));
  g_array_append_val (list, value);
  return TRUE;
}

static gboolean
read_template (JsonObject *part, AtlTokenizer *tokenizer, GError **error)
{
  JsonArray *single = atl_json_array (part, "single");
  JsonObject *table = atl_json_object (part, "special_tokens");
  guint n = single != NULL ? json_array_get_length (single) : 0;
  gboolean after = FALSE;

  for (guint i = 0; i < n; i++)
    {
      JsonNode *node = json_array_get_element (single, i);
      JsonObject *item = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      JsonObject *special = atl_json_object (item, "SpecialToken");
      const char *name = atl_json_string (special, "id", NULL);
      JsonArray *ids = name != NULL ? atl_json_array (atl_json_object (table, name), "ids") : NULL;

      if (atl_json_object (item, "Sequence") != NULL)
        after = TRUE;
      else if (ids == NULL)
        return atl_json_bad (error, _ ("its post_processor names a token that it does not define"));
      for (guint k = 0; ids != NULL && k < json_array_get_length (ids); k++)
        if (!add_affix (tokenizer, after, json_array_get_element (ids, k), error))
          return FALSE;
    }
  return TRUE;
}

/* "cls": ["[CLS]", 101] */
static gboolean
read_pair (
    JsonObject *part, const char *member, AtlTokenizer *tokenizer, gboolean after, GError **error)
{
  JsonArray *pair = atl_json_array (part, member);

  if (pair == NULL || json_array_get_length (pair) != 2)
    return atl_json_bad (error, _ ("its post_processor has no “%s”"), member);
  return add_affix (tokenizer, after, json_array_get_element (pair, 1), error);
}

static gboolean
read_post_processor (JsonObject *part, gpointer data, GError **error)
{
  const char *type = atl_json_string (part, "type", "");

  if (strcmp (type, "Sequence") == 0)
    return read_list (part, "processors", read_post_processor, data, error);
  if (strcmp (type, "ByteLevel") == 0)
    return TRUE;
  if (strcmp (type, "TemplateProcessing") == 0)
    return read_template (part, data, error);
  if (strcmp (type, "BertProcessing") == 0 || strcmp (type, "RobertaProcessing") == 0)
    return read_pair (part, "cls", data, FALSE, error) &&
           read_pair (part, "sep", data, TRUE, error);
  return unknown (N_ ("post_processor"), type, error);
}

gboolean
atl_json_read_post_processor (JsonObject *root, AtlTokenizer *tokenizer, GError **error)
{
  JsonObject *part = part_of (root, "post_processor");

  return part == NULL || read_post_processor (part, tokenizer, error);
}
