/* Encoding, and what a tokenizer says about itself. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include <glib/gi18n.h>
#include <string.h>

#include "base/name-hash.h"
#include "engine/tokenizers/tokenizer-private.h"

AtlTokenizer *
atl_tokenizer_alloc (void)
{
  AtlTokenizer *self = g_new0 (AtlTokenizer, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->added = g_array_new (FALSE, TRUE, sizeof (AtlAddedToken));
  self->prefix = g_array_new (FALSE, FALSE, sizeof (gint32));
  self->suffix = g_array_new (FALSE, FALSE, sizeof (gint32));
  self->eog = g_array_new (FALSE, FALSE, sizeof (gint32));
  self->templates = g_hash_table_new_full (atl_name_hash, g_str_equal, g_free, g_free);
  self->template_names = g_ptr_array_new ();
  for (guint i = 0; i < ATL_N_SPECIAL; i++)
    self->special[i] = -1;
  return self;
}

AtlTokenizer *
atl_tokenizer_ref (AtlTokenizer *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
atl_tokenizer_unref (AtlTokenizer *self)
{
  if (self == NULL || !g_atomic_ref_count_dec (&self->ref_count))
    return;
  /* The algorithms borrow the vocabulary and go first. */
  atl_bpe_free (self->bpe);
  atl_unigram_free (self->unigram);
  atl_wordpiece_free (self->wordpiece);
  atl_added_tokens_free (self->added_raw);
  atl_added_tokens_free (self->added_normalized);
  atl_normalizer_free (self->normalizer);
  atl_pre_tokenizer_free (self->pre_tokenizer);
  atl_vocabulary_free (self->vocabulary);
  g_array_unref (self->added);
  g_array_unref (self->prefix);
  g_array_unref (self->suffix);
  g_array_unref (self->eog);
  g_ptr_array_unref (self->template_names);
  g_hash_table_unref (self->templates);
  g_free (self->bytes);
  g_free (self->bytes_offset);
  g_free (self->kind);
  g_free (self->warning);
  g_free (self);
}

void
atl_tokenizer_take_vocabulary (AtlTokenizer *self, AtlVocabulary *vocabulary)
{
  g_assert (self->vocabulary == NULL && vocabulary->slot != NULL);
  self->vocabulary = vocabulary;
}

/* --- Encoding --- */

typedef struct
{
  const AtlTokenizer *tokenizer;
  gboolean parse_special;
  GArray *ids;
  GString *normal;
  GString *bytes;
  AtlPreWork pre;
  AtlBpeWork bpe;
  AtlUnigramWork unigram;
  AtlTextBudget budget;
} Session;

static void
encode_word (Session *session, const char *word, gsize len)
{
  const AtlTokenizer *self = session->tokenizer;

  if (self->bpe != NULL)
    atl_bpe_encode (self->bpe, &session->bpe, word, len, &session->budget, session->ids);
  else if (self->unigram != NULL)
    atl_unigram_encode (self->unigram, &session->unigram, word, len, &session->budget,
                        session->ids);
  else
    atl_wordpiece_encode (self->wordpiece, word, len, &session->budget, session->ids);
}

/* A word that was turned into letters for bytes is turned back. */
static void
encode_letters (Session *session, const char *word, gsize len)
{
  g_string_truncate (session->bytes, 0);
  for (const char *p = word, *end = word + len; p < end; p = g_utf8_next_char (p))
    g_string_append_c (session->bytes, (char) atl_bpe_letter_byte (g_utf8_get_char (p)));
  encode_word (session, session->bytes->str, session->bytes->len);
}

static gboolean
encode_words (Session *session, const char *text, gsize len, gboolean first, GError **error)
{
  AtlPreWork *pre = &session->pre;

  if (session->tokenizer->pre_tokenizer == NULL)
    {
      encode_word (session, text, len);
      return TRUE;
    }
  if (!atl_pre_tokenizer_run (session->tokenizer->pre_tokenizer, pre, text, len, first, error))
    return FALSE;
  for (guint i = 0; i < pre->spans->len; i++)
    {
      AtlPreSpan span = g_array_index (pre->spans, AtlPreSpan, i);
      gsize from = pre->text.offset[span.start];

      if (atl_pre_tokenizer_makes_letters (session->tokenizer->pre_tokenizer))
        encode_letters (session, pre->text.text + from, pre->text.offset[span.end] - from);
      else
        encode_word (session, pre->text.text + from, pre->text.offset[span.end] - from);
    }
  return TRUE;
}

typedef gboolean (*EncodeFunc) (
    Session *session, const char *text, gsize len, gboolean first, GError **error);

/* Added tokens as they are, the text between them through `between`. */
static gboolean
encode_around (Session *session,
               const AtlAddedTokens *added,
               const char *text,
               gsize len,
               gboolean first,
               EncodeFunc between,
               GError **error)
{
  AtlAddedMatch match;
  gsize from = 0;

  while (atl_added_tokens_next (added, text, len, from, session->parse_special, &session->budget,
                                &match))
    {
      if (match.from > from &&
          !between (session, text + from, match.from - from, first && from == 0, error))
        return FALSE;
      g_array_append_val (session->ids, match.id);
      from = match.to;
    }
  return from == len || between (session, text + from, len - from, first && from == 0, error);
}

static gboolean
encode_plain (Session *session, const char *text, gsize len, gboolean first, GError **error)
{
  const AtlTokenizer *self = session->tokenizer;

  if (self->normalizer != NULL)
    {
      g_string_truncate (session->normal, 0);
      if (!atl_normalizer_run (self->normalizer, text, len, session->normal, error))
        return FALSE;
      text = session->normal->str;
      len = session->normal->len;
    }
  if (self->added_normalized != NULL)
    return encode_around (session, self->added_normalized, text, len, first, encode_words, error);
  return encode_words (session, text, len, first, error);
}

gboolean
atl_tokenizer_encode (const AtlTokenizer *self,
                      const char *text,
                      gssize len,
                      AtlTokenizeFlags flags,
                      GArray *ids,
                      GError **error)
{
  gsize size = len < 0 ? strlen (text) : (gsize) len;
  gboolean add_special = (flags & ATL_TOKENIZE_ADD_SPECIAL) != 0;
  Session session = { .tokenizer = self, .ids = ids };
  g_autofree char *repaired = NULL;
  guint before = ids->len;
  gboolean ok = TRUE;

  g_return_val_if_fail (g_array_get_element_size (ids) == sizeof (gint32), FALSE);

  if (size > ATL_TOKENIZER_MAX_TEXT)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The text is %zu MB long; at most %d MB can be read at once"),
                   size / (1024 * 1024), ATL_TOKENIZER_MAX_TEXT / (1024 * 1024));
      return FALSE;
    }
  repaired = atl_utf8_repair (text, size, &size);
  if (repaired != NULL)
    text = repaired;

  if (add_special)
    g_array_append_vals (ids, self->prefix->data, self->prefix->len);
  if (size > 0)
    {
      session.parse_special = (flags & ATL_TOKENIZE_PARSE_SPECIAL) != 0;
      session.normal = g_string_new (NULL);
      session.bytes = g_string_new (NULL);
      session.budget = atl_text_budget (size);
      ok = encode_around (&session, self->added_raw, text, size, TRUE, encode_plain, error);
      if (ok && atl_text_budget_spent (&session.budget))
        {
          g_set_error_literal (error, ATL_ERROR, ATL_ERROR_TOO_COMPLEX,
                               _ ("The pieces of the model's vocabulary are made so that this text "
                                  "would take minutes to read"));
          ok = FALSE;
        }
      g_string_free (session.normal, TRUE);
      g_string_free (session.bytes, TRUE);
      atl_pre_work_clear (&session.pre);
      atl_bpe_work_clear (&session.bpe);
      g_clear_pointer (&session.unigram.best, g_array_unref);
    }
  if (add_special)
    g_array_append_vals (ids, self->suffix->data, self->suffix->len);
  if (!ok)
    g_array_set_size (ids, before);
  return ok;
}

/* --- The vocabulary --- */

static gboolean
has_id (const AtlTokenizer *self, gint32 id)
{
  return id >= 0 && (guint) id < self->vocabulary->n;
}

guint
atl_tokenizer_n_vocab (const AtlTokenizer *self)
{
  return self->vocabulary->n;
}

const char *
atl_tokenizer_token_text (const AtlTokenizer *self, gint32 id)
{
  return has_id (self, id) ? self->vocabulary->text[id] : NULL;
}

AtlTokenType
atl_tokenizer_token_type (const AtlTokenizer *self, gint32 id)
{
  return has_id (self, id) ? (AtlTokenType) self->vocabulary->type[id] : ATL_TOKEN_UNUSED;
}

gint32
atl_tokenizer_find (const AtlTokenizer *self, const char *text)
{
  return atl_vocabulary_find (self->vocabulary, text, strlen (text));
}

const char *
atl_tokenizer_token_bytes (const AtlTokenizer *self, gint32 id, gboolean show_special, gsize *len)
{
  AtlTokenType type = atl_tokenizer_token_type (self, id);

  *len = 0;
  if (type == ATL_TOKEN_UNUSED ||
      (!show_special && (type == ATL_TOKEN_CONTROL || type == ATL_TOKEN_UNKNOWN)))
    return "";
  *len = self->bytes_offset[id + 1] - self->bytes_offset[id];
  return self->bytes + self->bytes_offset[id];
}

gint32
atl_tokenizer_special (const AtlTokenizer *self, AtlSpecialToken which)
{
  g_return_val_if_fail (which < ATL_N_SPECIAL, -1);
  return self->special[which];
}

gboolean
atl_tokenizer_is_eog (const AtlTokenizer *self, gint32 id)
{
  for (guint i = 0; i < self->eog->len; i++)
    if (g_array_index (self->eog, gint32, i) == id)
      return TRUE;
  return FALSE;
}

static gboolean
adds (const GArray *ids, gint32 id)
{
  for (guint i = 0; i < ids->len && id >= 0; i++)
    if (g_array_index (ids, gint32, i) == id)
      return TRUE;
  return FALSE;
}

gboolean
atl_tokenizer_add_bos (const AtlTokenizer *self)
{
  return adds (self->prefix, self->special[ATL_SPECIAL_BOS]);
}

gboolean
atl_tokenizer_adds_space_prefix (const AtlTokenizer *self)
{
  return self->space_prefix;
}

const char *
atl_tokenizer_kind (const AtlTokenizer *self)
{
  return self->kind;
}

const char *
atl_tokenizer_warning (const AtlTokenizer *self)
{
  return self->warning;
}

/* --- Chat templates --- */

void
atl_tokenizer_add_template (AtlTokenizer *self, const char *name, const char *text)
{
  if (!g_hash_table_contains (self->templates, name))
    g_hash_table_insert (self->templates, g_strdup (name), g_strdup (text));
}

const char *
atl_tokenizer_chat_template (const AtlTokenizer *self, const char *name)
{
  return g_hash_table_lookup (self->templates, name != NULL ? name : "");
}

const char *const *
atl_tokenizer_chat_template_names (const AtlTokenizer *self)
{
  return (const char *const *) self->template_names->pdata;
}
