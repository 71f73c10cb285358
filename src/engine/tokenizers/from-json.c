/* A tokenizer from a Hugging Face tokenizer.json, behaving as that library's. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/tokenizers/json-parts.h"
#include "engine/tokenizers/json-slice.h"

typedef enum
{
  MODEL_BPE,
  MODEL_UNIGRAM,
  MODEL_WORDPIECE,
} Model;

typedef struct
{
  AtlTokenizer *tokenizer;
  JsonObject *root, *model;
  JsonArray *added; /* (nullable) */
  AtlJsonSlices slices;
  Model kind;
  AtlJsonTraits traits;
  const char *unk; /* (nullable) text of the unknown piece */
} Loader;

static gboolean
find_model (Loader *self, GError **error)
{
  const char *type;

  self->model = atl_json_object (self->root, "model");
  if (self->model == NULL)
    return atl_json_bad (error, _ ("it has no model"));
  type = atl_json_string (self->model, "type",
                          json_object_has_member (self->model, "merges") ? "BPE" : "");
  if (strcmp (type, "BPE") == 0)
    self->kind = MODEL_BPE;
  else if (strcmp (type, "Unigram") == 0)
    self->kind = MODEL_UNIGRAM;
  else if (strcmp (type, "WordPiece") == 0)
    self->kind = MODEL_WORDPIECE;
  else
    {
      g_autofree char *shown = atl_vocabulary_quote (type, strlen (type));

      g_set_error (
          error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
          _ ("tokenizer.json: its model is of the kind “%s”; known here are BPE, Unigram and "
             "WordPiece"),
          shown);
      return FALSE;
    }
  return TRUE;
}

/* --- Vocabulary --- */

static gboolean
check_id (gint64 id, GError **error)
{
  if (id >= 0 && id < ATL_VOCABULARY_MAX_TOKENS)
    return TRUE;
  return atl_json_bad (error, _ ("a piece has the id %" PRId64 "; 0 to %u are possible"), id,
                       ATL_VOCABULARY_MAX_TOKENS - 1);
}

/* The entry of `added_tokens` at `i`, or NULL. */
static JsonObject *
added_entry (const Loader *self, guint i)
{
  JsonNode *node = json_array_get_element (self->added, i);

  return JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

static guint
n_added (const Loader *self)
{
  return self->added != NULL ? json_array_get_length (self->added) : 0;
}

/* Reads the vocabulary, {"text": id} or [["text", score]]; without `v` only finds the largest id.
 */
static gboolean
read_vocabulary (Loader *self, AtlVocabulary *v, gint64 *largest, GError **error)
{
  const gboolean list = self->kind == MODEL_UNIGRAM;
  AtlJsonReader r = self->slices.vocab;
  g_autoptr (GString) text = g_string_new (NULL);
  gint64 id = -1;

  if (!atl_json_reader_enter (&r, list ? '[' : '{'))
    return atl_json_bad (error, _ ("its model has no vocabulary"));
  while (atl_json_reader_more (&r, list ? ']' : '}'))
    {
      double score = 0.0;

      if (list)
        {
          id++;
          if (!atl_json_reader_enter (&r, '[') || !atl_json_reader_more (&r, ']') ||
              !atl_json_reader_string (&r, text) || !atl_json_reader_more (&r, ']') ||
              !atl_json_reader_double (&r, &score) || atl_json_reader_more (&r, ']'))
            return atl_json_bad (error, _ ("piece %" PRId64 " is not a text and a score"), id);
        }
      else if (!atl_json_reader_string (&r, text) || !atl_json_reader_colon (&r) ||
               !atl_json_reader_int (&r, &id))
        return atl_json_bad (
            error, _ ("the piece after number %" PRId64 " is not a text and a whole number"), id);
      if (!check_id (id, error))
        return FALSE;
      *largest = MAX (*largest, id);
      if (v == NULL)
        continue;
      if (v->text[id] != NULL)
        return atl_json_bad (error, _ ("two pieces have the id %" PRId64), id);
      if (!atl_vocabulary_set (v, (guint) id, text->str, text->len, ATL_TOKEN_NORMAL, score, error))
        return FALSE;
    }
  return atl_json_reader_done (&r) || atl_json_bad (error, _ ("its vocabulary is damaged"));
}

static gboolean
check_added (const Loader *self, gint64 *largest, GError **error)
{
  for (guint i = 0; i < n_added (self); i++)
    {
      gint64 id = atl_json_int (added_entry (self, i), "id", -1);

      if (!check_id (id, error))
        return FALSE;
      *largest = MAX (*largest, id);
    }
  return TRUE;
}

static gboolean
set_added (Loader *self, AtlVocabulary *v, GError **error)
{
  for (guint i = 0; i < n_added (self); i++)
    {
      JsonObject *entry = added_entry (self, i);
      guint id = (guint) atl_json_int (entry, "id", 0);
      const char *text = atl_json_string (entry, "content", "");
      AtlAddedToken token = {
        .id = (gint32) id,
        .lstrip = atl_json_bool (entry, "lstrip", FALSE),
        .rstrip = atl_json_bool (entry, "rstrip", FALSE),
        .single_word = atl_json_bool (entry, "single_word", FALSE),
        .normalized = atl_json_bool (entry, "normalized", FALSE),
      };
      gboolean special = atl_json_bool (entry, "special", FALSE);

      if (!atl_vocabulary_set (v, id, text, strlen (text),
                               special ? ATL_TOKEN_CONTROL : ATL_TOKEN_USER_DEFINED, v->score[id],
                               error))
        return FALSE;
      g_array_append_val (self->tokenizer->added, token);
    }
  return TRUE;
}

static gboolean
load_vocabulary (Loader *self, GError **error)
{
  g_autoptr (AtlVocabulary) v = NULL;
  gint64 largest = -1;

  self->added = atl_json_array (self->root, "added_tokens");
  if (!read_vocabulary (self, NULL, &largest, error) || !check_added (self, &largest, error))
    return FALSE;
  v = atl_vocabulary_new ((guint64) (largest + 1), error);
  if (v == NULL || !read_vocabulary (self, v, &largest, error) || !set_added (self, v, error))
    return FALSE;

  if (atl_json_bool (self->model, "byte_fallback", FALSE))
    for (guint id = 0; id < v->n; id++)
      if (v->text[id] != NULL && v->type[id] == ATL_TOKEN_NORMAL &&
          atl_vocabulary_byte_value (v->text[id]) >= 0)
        v->type[id] = ATL_TOKEN_BYTE;
  if (!atl_vocabulary_index (v, error))
    return FALSE;
  atl_tokenizer_take_vocabulary (self->tokenizer, g_steal_pointer (&v));
  return TRUE;
}

/* --- Model --- */

static gboolean
find_unknown (Loader *self, GError **error)
{
  AtlTokenizer *t = self->tokenizer;
  gint64 id = -1;

  if (self->kind == MODEL_UNIGRAM)
    id = atl_json_int (self->model, "unk_id", -1);
  else
    {
      const char *text = atl_json_string (self->model, "unk_token", NULL);

      if (text != NULL)
        id = atl_vocabulary_find (t->vocabulary, text, strlen (text));
    }
  if (id >= t->vocabulary->n || (id >= 0 && t->vocabulary->text[id] == NULL))
    return atl_json_bad (
        error, _ ("its unknown piece has the id %" PRId64 ", which is not in the vocabulary"), id);
  t->special[ATL_SPECIAL_UNK] = (gint32) MAX (id, -1);
  if (id >= 0 && t->vocabulary->type[id] == ATL_TOKEN_NORMAL)
    t->vocabulary->type[id] = ATL_TOKEN_UNKNOWN;
  return TRUE;
}

/* "left right" or ["left", "right"], as the version of the writer was. */
static gboolean
add_merge (AtlBpe *bpe, AtlJsonReader *r, GString *left, GString *right, guint i, GError **error)
{
  if (atl_json_reader_peek (r) == '"' && atl_json_reader_string (r, left))
    return atl_bpe_add_merge_line (bpe, left->str, left->len, error);
  if (atl_json_reader_enter (r, '[') && atl_json_reader_more (r, ']') &&
      atl_json_reader_string (r, left) && atl_json_reader_more (r, ']') &&
      atl_json_reader_string (r, right) && !atl_json_reader_more (r, ']') && r->p != NULL)
    return atl_bpe_add_merge (bpe, left->str, left->len, right->str, right->len, error);
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("merge %u is not two texts"), i);
  return FALSE;
}

static gboolean
add_merges (Loader *self, GError **error)
{
  g_autoptr (GString) left = g_string_new (NULL);
  g_autoptr (GString) right = g_string_new (NULL);
  AtlJsonReader r = self->slices.merges;

  if (!atl_json_reader_enter (&r, '['))
    return atl_json_bad (error, _ ("its BPE model has no merges"));
  for (guint i = 0; atl_json_reader_more (&r, ']'); i++)
    if (!add_merge (self->tokenizer->bpe, &r, left, right, i, error))
      {
        g_prefix_error (error, _ ("tokenizer.json: "));
        return FALSE;
      }
  return atl_json_reader_done (&r) || atl_json_bad (error, _ ("its merges are damaged"));
}

static gboolean
load_bpe (Loader *self, GError **error)
{
  AtlTokenizer *t = self->tokenizer;
  const char *prefix = atl_json_string (self->model, "continuing_subword_prefix", "");
  const char *suffix = atl_json_string (self->model, "end_of_word_suffix", "");
  AtlBpeConfig config = {
    .kind = self->traits.byte_level ? ATL_BPE_BYTES : ATL_BPE_CHARS,
    .ignore_merges = atl_json_bool (self->model, "ignore_merges", FALSE),
    .byte_fallback = atl_json_bool (self->model, "byte_fallback", FALSE),
    .fuse_unknown = atl_json_bool (self->model, "fuse_unk", FALSE),
    .unknown_id = t->special[ATL_SPECIAL_UNK],
    .end_of_word = *suffix != 0 ? suffix : NULL,
  };

  if (*prefix != 0)
    {
      g_set_error_literal (
          error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
          _ ("tokenizer.json: its BPE pieces mark the continuation of a word, which "
             "is not known here"));
      return FALSE;
    }
  t->bpe = atl_bpe_new (t->vocabulary, &config, error);
  if (t->bpe == NULL || !add_merges (self, error))
    return FALSE;
  if (*suffix != 0)
    g_strlcpy (t->spelling.end_of_word, suffix, sizeof t->spelling.end_of_word);
  t->kind = g_strdup (config.end_of_word != NULL ? "CLIP BPE"
                      : self->traits.byte_level  ? "BPE (byte level)"
                                                 : "BPE");
  return TRUE;
}

static gboolean
load_model (Loader *self, GError **error)
{
  AtlTokenizer *t = self->tokenizer;
  gint32 unk;

  if (!find_unknown (self, error))
    return FALSE;
  unk = t->special[ATL_SPECIAL_UNK];
  switch (self->kind)
    {
    case MODEL_BPE:
      return load_bpe (self, error);
    case MODEL_UNIGRAM:
      t->unigram = atl_unigram_new (t->vocabulary, unk,
                                    atl_json_bool (self->model, "byte_fallback", FALSE), error);
      t->kind = g_strdup ("unigram");
      return t->unigram != NULL;
    default:
      t->wordpiece = atl_wordpiece_new (
          t->vocabulary, "", atl_json_string (self->model, "continuing_subword_prefix", "##"), unk,
          (guint) CLAMP (atl_json_int (self->model, "max_input_chars_per_word", 100), 1, 100000));
      t->kind = g_strdup ("WordPiece");
      self->traits.space_prefix = TRUE;
      return TRUE;
    }
}

/* --- tokenizer_config.json --- */

/* A token is given as a text or as an object with "content". */
static gint32
config_token (AtlTokenizer *self, JsonObject *config, const char *member)
{
  const char *text = atl_json_string (config, member, NULL);

  if (text == NULL)
    text = atl_json_string (atl_json_object (config, member), "content", NULL);
  return text != NULL ? atl_tokenizer_find (self, text) : -1;
}

static void
read_templates (AtlTokenizer *self, JsonObject *config)
{
  JsonArray *list = atl_json_array (config, "chat_template");
  const char *text = atl_json_string (config, "chat_template", NULL);

  if (text != NULL)
    atl_tokenizer_add_template (self, "", text);
  for (guint i = 0; list != NULL && i < json_array_get_length (list); i++)
    {
      JsonNode *node = json_array_get_element (list, i);
      JsonObject *entry = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      const char *name = atl_json_string (entry, "name", "");

      text = atl_json_string (entry, "template", NULL);
      if (text != NULL)
        atl_tokenizer_add_template (self, strcmp (name, "default") == 0 ? "" : name, text);
    }
}

void
atl_tokenizer_read_config (AtlTokenizer *t, JsonObject *config)
{
  static const struct
  {
    const char *member;
    AtlSpecialToken which;
  } tokens[] = {
    { "bos_token", ATL_SPECIAL_BOS },   { "eos_token", ATL_SPECIAL_EOS },
    { "unk_token", ATL_SPECIAL_UNK },   { "pad_token", ATL_SPECIAL_PAD },
    { "sep_token", ATL_SPECIAL_SEP },   { "cls_token", ATL_SPECIAL_CLS },
    { "mask_token", ATL_SPECIAL_MASK },
  };

  for (guint i = 0; i < G_N_ELEMENTS (tokens); i++)
    {
      gint32 id = config_token (t, config, tokens[i].member);

      if (id >= 0)
        t->special[tokens[i].which] = id;
    }
  if (atl_json_bool (config, "add_bos_token", FALSE) && t->prefix->len == 0 &&
      t->special[ATL_SPECIAL_BOS] >= 0)
    g_array_append_val (t->prefix, t->special[ATL_SPECIAL_BOS]);
  if (atl_json_bool (config, "add_eos_token", FALSE) && t->suffix->len == 0 &&
      t->special[ATL_SPECIAL_EOS] >= 0)
    g_array_append_val (t->suffix, t->special[ATL_SPECIAL_EOS]);
  read_templates (t, config);
}

/* Without a config the tokens that frame a text are the begin and end tokens. */
static void
default_frame (AtlTokenizer *t)
{
  if (t->special[ATL_SPECIAL_BOS] < 0 && t->prefix->len > 0)
    t->special[ATL_SPECIAL_BOS] = g_array_index (t->prefix, gint32, 0);
  if (t->special[ATL_SPECIAL_EOS] < 0 && t->suffix->len > 0)
    t->special[ATL_SPECIAL_EOS] = g_array_index (t->suffix, gint32, t->suffix->len - 1);
}

static gboolean
load (Loader *self, JsonObject *config, GError **error)
{
  AtlTokenizer *t = self->tokenizer;

  t->normalizer = atl_normalizer_new ();
  t->pre_tokenizer = atl_pre_tokenizer_new ();
  if (!find_model (self, error) || !load_vocabulary (self, error) ||
      !atl_json_read_normalizer (self->root, t->normalizer, &self->traits, error) ||
      !atl_json_read_pre_tokenizer (self->root, t->pre_tokenizer, &self->traits, error) ||
      !atl_json_read_decoder (self->root, &t->spelling, error) ||
      !atl_json_read_post_processor (self->root, t, error) || !load_model (self, error))
    return FALSE;
  t->spelling.letters = t->spelling.letters || self->traits.byte_level;
  t->spelling.marks = t->spelling.marks || self->kind == MODEL_UNIGRAM;
  t->space_prefix = self->traits.space_prefix;
  if (atl_normalizer_is_empty (t->normalizer))
    g_clear_pointer (&t->normalizer, atl_normalizer_free);
  if (config != NULL)
    atl_tokenizer_read_config (t, config);
  default_frame (t);
  atl_tokenizer_find_specials (t, FALSE);
  atl_tokenizer_finish (t);
  return TRUE;
}

AtlTokenizer *
atl_tokenizer_new_from_json (const char *tokenizer_json,
                             gsize tokenizer_size,
                             const char *config_json,
                             gsize config_size,
                             GError **error)
{
  g_autofree char *rest = NULL;
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (JsonNode) config = NULL;
  g_autoptr (AtlTokenizer) tokenizer = NULL;
  Loader loader = { 0 };

  if (tokenizer_size > G_MAXSSIZE || !g_utf8_validate_len (tokenizer_json, tokenizer_size, NULL))
    {
      atl_json_bad (error, _ ("it is not valid UTF-8 text"));
      return NULL;
    }
  rest = atl_json_slice (tokenizer_json, tokenizer_size, &loader.slices);
  root = atl_json_parse (rest, strlen (rest), "tokenizer.json", error);
  if (root == NULL)
    return NULL;
  if (config_json != NULL)
    {
      config = atl_json_parse (config_json, config_size, "tokenizer_config.json", error);
      if (config == NULL)
        return NULL;
    }
  if (!JSON_NODE_HOLDS_OBJECT (root) || (config != NULL && !JSON_NODE_HOLDS_OBJECT (config)))
    {
      atl_json_bad (error, _ ("it is no object"));
      return NULL;
    }
  tokenizer = atl_tokenizer_alloc ();
  loader.tokenizer = tokenizer;
  loader.root = json_node_get_object (root);
  if (!load (&loader, config != NULL ? json_node_get_object (config) : NULL, error))
    return NULL;
  return g_steal_pointer (&tokenizer);
}
