/* A tokenizer from the `tokenizer.*` metadata of a GGUF file, behaving as llama.cpp's. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "engine/tokenizers/from-checkpoint.h"

static const CheckpointDefaults defaults[] = {
  { "llama", FAMILY_SENTENCEPIECE, TRUE, FALSE, TRUE, 1, 2, 0, -1, -1, -1 },
  { "gpt2", FAMILY_BPE, FALSE, FALSE, FALSE, -1, -1, -1, -1, -1, -1 },
  { "gemma4", FAMILY_BPE, TRUE, FALSE, FALSE, -1, -1, -1, -1, -1, -1 },
  { "t5", FAMILY_UNIGRAM, FALSE, TRUE, FALSE, -1, 1, 2, -1, 0, -1 },
  { "bert", FAMILY_WORDPIECE, TRUE, FALSE, FALSE, 101, -1, 100, 102, 0, 103 },
};

const AtlMetaValue *
checkpoint_get_array (const AtlCheckpoint *cp, const char *key, const char *of_what, GError **error)
{
  const AtlMetaValue *value = atl_checkpoint_meta (cp, key);

  if (value != NULL && value->type != ATL_META_ARRAY)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s: %s is not a list of %s"),
                   atl_checkpoint_name (cp), key, _ (of_what));
      return NULL;
    }
  return value;
}

gboolean
checkpoint_set_mistyped (const AtlCheckpoint *cp,
                         const char *key,
                         const char *expected,
                         GError **error)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s: %s is not %s"),
               atl_checkpoint_name (cp), key, _ (expected));
  return FALSE;
}

static gboolean
check_lists (const AtlCheckpoint *cp,
             gsize n,
             const AtlMetaValue *scores,
             const AtlMetaValue *types,
             GError **error)
{
  const char *name = atl_checkpoint_name (cp);

  if (scores != NULL && scores->v_array.elem_type != ATL_META_FLOAT)
    return checkpoint_set_mistyped (cp, KEY ("scores"), N_ ("a list of numbers with a fraction"),
                                    error);
  if (types != NULL && types->v_array.elem_type != ATL_META_INT)
    return checkpoint_set_mistyped (cp, KEY ("token_type"), N_ ("a list of signed whole numbers"),
                                    error);
  if ((scores != NULL && scores->v_array.n != n) || (types != NULL && types->v_array.n != n))
    {
      gboolean is_scores = scores != NULL && scores->v_array.n != n;

      if (is_scores)
        g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                     _ ("%s: the vocabulary has %zu pieces but %zu scores"), name, n,
                     scores->v_array.n);
      else
        g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                     _ ("%s: the vocabulary has %zu pieces but %zu types"), name, n,
                     types->v_array.n);
      return FALSE;
    }
  return TRUE;
}

static gboolean
load_vocabulary (CheckpointLoader *self, GError **error)
{
  const AtlCheckpoint *cp = self->cp;
  g_autoptr (GError) local = NULL;
  const AtlMetaValue *tokens = checkpoint_get_array (cp, KEY ("tokens"), N_ ("texts"), &local);
  const AtlMetaValue *scores =
      local != NULL ? NULL : checkpoint_get_array (cp, KEY ("scores"), N_ ("numbers"), &local);
  const AtlMetaValue *types =
      local != NULL ? NULL : checkpoint_get_array (cp, KEY ("token_type"), N_ ("numbers"), &local);
  g_autoptr (AtlVocabulary) vocabulary = NULL;
  char *const *texts;

  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (tokens == NULL || tokens->v_array.elem_type != ATL_META_STRING)
    return checkpoint_set_mistyped (cp, KEY ("tokens"), N_ ("a list of texts"), error);
  if (!check_lists (cp, tokens->v_array.n, scores, types, error))
    return FALSE;
  vocabulary = atl_vocabulary_new (tokens->v_array.n, error);
  if (vocabulary == NULL)
    return FALSE;

  texts = tokens->v_array.elems;
  for (guint i = 0; i < vocabulary->n; i++)
    {
      gint64 type = types != NULL ? ((const gint64 *) types->v_array.elems)[i] : ATL_TOKEN_NORMAL;
      double score = scores != NULL ? ((const double *) scores->v_array.elems)[i] : 0.0;
      gsize length =
          tokens->v_array.lengths != NULL ? tokens->v_array.lengths[i] : strlen (texts[i]);

      if (type < ATL_TOKEN_NORMAL || type > ATL_TOKEN_BYTE)
        type = ATL_TOKEN_UNUSED;
      if (isnan (score))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                       _ ("%s: the score of piece %u is not a number"), atl_checkpoint_name (cp),
                       i);
          return FALSE;
        }
      if (!atl_vocabulary_set (vocabulary, i, texts[i], length, (AtlTokenType) type, score, error))
        {
          g_prefix_error (error, "%s: ", atl_checkpoint_name (cp));
          return FALSE;
        }
      if (type == ATL_TOKEN_BYTE && atl_vocabulary_byte_value (texts[i]) < 0)
        {
          g_autofree char *shown = atl_vocabulary_quote (texts[i], length);

          g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                       _ ("%s: piece %u stands for a byte but is spelled “%s” instead of, say, "
                          "“<0x0A>”"),
                       atl_checkpoint_name (cp), i, shown);
          return FALSE;
        }
    }
  if (!atl_vocabulary_index (vocabulary, error))
    return FALSE;
  atl_tokenizer_take_vocabulary (self->tokenizer, g_steal_pointer (&vocabulary));
  return TRUE;
}

/* --- Special tokens --- */

/* An id named by the file. `strict`: one outside the vocabulary is an error, not "none". Some
 * converters write −1, as a 32-bit number, for "none". */
static gboolean
read_special (
    CheckpointLoader *self, const char *key, gboolean strict, AtlSpecialToken which, GError **error)
{
  const guint n = self->tokenizer->vocabulary->n;
  g_autoptr (GError) local = NULL;
  guint64 id;

  if (!atl_checkpoint_get_uint (self->cp, key, 0, G_MAXUINT64, &id, &local))
    {
      const AtlMetaValue *value = atl_checkpoint_meta (self->cp, key);

      if (local == NULL || (value != NULL && value->type == ATL_META_INT && value->v_int == -1))
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (id < n)
    self->tokenizer->special[which] = (gint32) id;
  else if (strict && id != G_MAXUINT32)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("%s: %s is %" PRIu64 ", but the vocabulary has %u pieces"),
                   atl_checkpoint_name (self->cp), key, id, n);
      return FALSE;
    }
  else
    self->tokenizer->special[which] = -1;
  return TRUE;
}

static gboolean
read_specials (CheckpointLoader *self, GError **error)
{
  static const struct
  {
    const char *key;
    gboolean strict;
    AtlSpecialToken which;
  } keys[] = {
    { KEY ("bos_token_id"), TRUE, ATL_SPECIAL_BOS },
    { KEY ("eos_token_id"), TRUE, ATL_SPECIAL_EOS },
    { KEY ("eot_token_id"), TRUE, ATL_SPECIAL_EOT },
    { KEY ("eom_token_id"), TRUE, ATL_SPECIAL_EOM },
    { KEY ("unknown_token_id"), TRUE, ATL_SPECIAL_UNK },
    { KEY ("seperator_token_id"), FALSE, ATL_SPECIAL_SEP }, /* so spelled in every file */
    { KEY ("separator_token_id"), FALSE, ATL_SPECIAL_SEP },
    { KEY ("padding_token_id"), FALSE, ATL_SPECIAL_PAD },
    { KEY ("cls_token_id"), FALSE, ATL_SPECIAL_CLS },
    { KEY ("mask_token_id"), FALSE, ATL_SPECIAL_MASK },
    { KEY ("prefix_token_id"), FALSE, ATL_SPECIAL_FIM_PREFIX },
    { KEY ("suffix_token_id"), FALSE, ATL_SPECIAL_FIM_SUFFIX },
    { KEY ("middle_token_id"), FALSE, ATL_SPECIAL_FIM_MIDDLE },
    { KEY ("fim_pre_token_id"), FALSE, ATL_SPECIAL_FIM_PREFIX },
    { KEY ("fim_suf_token_id"), FALSE, ATL_SPECIAL_FIM_SUFFIX },
    { KEY ("fim_mid_token_id"), FALSE, ATL_SPECIAL_FIM_MIDDLE },
  };
  const gint32 n = (gint32) self->tokenizer->vocabulary->n;
  gint32 *special = self->tokenizer->special;

  special[ATL_SPECIAL_BOS] = self->defaults->bos;
  special[ATL_SPECIAL_EOS] = self->defaults->eos;
  special[ATL_SPECIAL_UNK] = self->defaults->unk;
  special[ATL_SPECIAL_SEP] = self->defaults->sep;
  special[ATL_SPECIAL_PAD] = self->defaults->pad;
  special[ATL_SPECIAL_MASK] = self->defaults->mask;
  for (guint i = 0; i < ATL_N_SPECIAL; i++)
    if (special[i] >= n)
      special[i] = -1;

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    if (!read_special (self, keys[i].key, keys[i].strict, keys[i].which, error))
      return FALSE;
  if (self->defaults->family == FAMILY_WORDPIECE && special[ATL_SPECIAL_CLS] >= 0 &&
      atl_checkpoint_meta (self->cp, KEY ("bos_token_id")) == NULL)
    special[ATL_SPECIAL_BOS] = special[ATL_SPECIAL_CLS];
  return TRUE;
}

gboolean
checkpoint_get_flag (
    CheckpointLoader *self, const char *key, gboolean fallback, gboolean *out, GError **error)
{
  g_autoptr (GError) local = NULL;

  *out = fallback;
  if (atl_checkpoint_get_bool (self->cp, key, out, &local) || local == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* `add_sep_token` is about pairs of texts and asks for nothing here. */
static gboolean
read_affixes (CheckpointLoader *self, GError **error)
{
  AtlTokenizer *t = self->tokenizer;
  gboolean frame = self->defaults->family == FAMILY_WORDPIECE;
  gboolean add_bos, add_eos;
  gint32 begin = t->special[ATL_SPECIAL_BOS];
  gint32 end = t->special[frame ? ATL_SPECIAL_SEP : ATL_SPECIAL_EOS];

  if (!checkpoint_get_flag (self, KEY ("add_bos_token"),
                            self->defaults->add_bos || self->traits.add_bos, &add_bos, error) ||
      !checkpoint_get_flag (self, KEY ("add_eos_token"), self->defaults->add_eos, &add_eos, error))
    return FALSE;

  /* BERT's frame and Gemma 4's begin token belong to the model whatever the file says. */
  if (begin >= 0 && (add_bos || frame || g_strcmp0 (self->pre, "gemma4") == 0))
    g_array_append_val (t->prefix, begin);
  if (end >= 0 && (add_eos || frame))
    g_array_append_val (t->suffix, end);
  return TRUE;
}

/* --- Added tokens and templates --- */

static gboolean
contains_any (const char *text, const char *const *parts)
{
  for (guint i = 0; parts[i] != NULL; i++)
    if (strstr (text, parts[i]) != NULL)
      return TRUE;
  return FALSE;
}

/* GGUF does not say which tokens swallow the white space beside them; for a few families it is
 * known by name. */
static void
add_added_tokens (CheckpointLoader *self)
{
  AtlTokenizer *t = self->tokenizer;
  const char *general_name = atl_checkpoint_get_string (self->cp, "general.name");
  const char *arch = atl_checkpoint_get_string (self->cp, "general.architecture");
  g_autofree char *name = g_ascii_strdown (general_name != NULL ? general_name : "", -1);
  gboolean phi3 = contains_any (name, (const char *[]){ "phi-3", "phi3", NULL });
  gboolean mask_strips =
      contains_any (name, (const char *[]){ "modern-bert", NULL }) ||
      contains_any (self->pre != NULL ? self->pre : "",
                    (const char *[]){ "jina-v2-de", "jina-v2-es", "jina-v2-code", NULL }) ||
      contains_any (arch != NULL ? arch : "",
                    (const char *[]){ "nomic-bert-moe", "jina-bert-v3", NULL });

  for (guint id = 0; id < t->vocabulary->n; id++)
    {
      AtlAddedToken token = { .id = (gint32) id };
      const char *text = t->vocabulary->text[id];

      switch (t->vocabulary->type[id])
        {
        case ATL_TOKEN_CONTROL:
        case ATL_TOKEN_UNKNOWN:
        case ATL_TOKEN_USER_DEFINED:
          break;
        default:
          continue;
        }
      if (text == NULL)
        continue;
      token.rstrip = phi3 && strcmp (text, "<unk>") != 0 && strcmp (text, "<s>") != 0 &&
                     strcmp (text, "<|endoftext|>") != 0;
      token.lstrip = mask_strips && (strcmp (text, "<mask>") == 0 || strcmp (text, "[MASK]") == 0);
      g_array_append_val (t->added, token);
    }
}

static void
add_templates (CheckpointLoader *self)
{
  static const char prefix[] = "tokenizer.chat_template";

  for (guint i = 0; i < atl_checkpoint_n_meta (self->cp); i++)
    {
      const char *key = atl_checkpoint_meta_key (self->cp, i);
      const char *text = atl_checkpoint_get_string (self->cp, key);

      if (text == NULL || !g_str_has_prefix (key, prefix))
        continue;
      key += strlen (prefix);
      if (*key == 0)
        atl_tokenizer_add_template (self->tokenizer, "", text);
      else if (*key == '.' && key[1] != 0)
        atl_tokenizer_add_template (self->tokenizer, key + 1, text);
    }
}

static const CheckpointDefaults *
find_defaults (const AtlCheckpoint *cp, GError **error)
{
  const char *model = atl_checkpoint_get_string (cp, KEY ("model"));
  g_autofree char *shown = NULL;

  if (atl_checkpoint_meta (cp, KEY ("model")) == NULL)
    {
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
          _ ("%s holds no vocabulary (tokenizer.ggml.model is missing), so it reads no text"),
          atl_checkpoint_name (cp));
      return NULL;
    }
  if (model == NULL)
    {
      checkpoint_set_mistyped (cp, KEY ("model"), N_ ("a text"), error);
      return NULL;
    }
  for (guint i = 0; i < G_N_ELEMENTS (defaults); i++)
    if (strcmp (defaults[i].model, model) == 0)
      return &defaults[i];
  shown = atl_vocabulary_quote (model, strlen (model));
  g_set_error (
      error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
      _ ("%s has a tokenizer of the kind “%s”; known here are llama, gpt2, gemma4, t5 and bert"),
      atl_checkpoint_name (cp), shown);
  return NULL;
}

AtlTokenizer *
atl_tokenizer_new_from_checkpoint (const AtlCheckpoint *checkpoint, GError **error)
{
  g_autoptr (AtlTokenizer) tokenizer = atl_tokenizer_alloc ();
  CheckpointLoader loader = { .cp = checkpoint, .tokenizer = tokenizer };
  gboolean ok;

  loader.defaults = find_defaults (checkpoint, error);
  if (loader.defaults == NULL)
    return NULL;
  loader.pre = atl_checkpoint_get_string (checkpoint, KEY ("pre"));
  if (strcmp (loader.defaults->model, "gemma4") == 0)
    loader.pre = "gemma4";
  if (loader.defaults->family == FAMILY_BPE && loader.pre != NULL)
    loader.traits = atl_pre_kind_traits (loader.pre);

  if (!load_vocabulary (&loader, error) || !read_specials (&loader, error) ||
      !read_affixes (&loader, error))
    return NULL;
  atl_tokenizer_find_specials (tokenizer, TRUE);
  add_added_tokens (&loader);
  switch (loader.defaults->family)
    {
    case FAMILY_BPE:
      ok = checkpoint_load_bpe (&loader, error);
      break;
    case FAMILY_SENTENCEPIECE:
      ok = checkpoint_load_sentencepiece (&loader, error);
      break;
    case FAMILY_UNIGRAM:
      ok = checkpoint_load_unigram (&loader, error);
      break;
    default:
      ok = checkpoint_load_wordpiece (&loader, error);
      break;
    }
  if (!ok)
    return NULL;
  add_templates (&loader);
  atl_tokenizer_finish (tokenizer);
  return g_steal_pointer (&tokenizer);
}
