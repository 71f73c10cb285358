/* What is derived once a loader has read its file: special tokens by their names, the tokens that
 * end generation, the bytes of every piece, the matchers of added tokens. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include <string.h>

#include "engine/tokenizers/tokenizer-private.h"

#define MARK "\xe2\x96\x81" /* U+2581 */
#define BAR "\xef\xbd\x9c"  /* U+FF5C, in DeepSeek's names */

/* Names by which families call a token, in the order they are tried. */
static const char *const eot_names[] = { "<|eot_id|>",
                                         "<|im_end|>",
                                         "<|end|>",
                                         "<end_of_turn>",
                                         "<turn|>",
                                         "<|endoftext|>",
                                         "<|end_of_text|>",
                                         "<EOT>",
                                         "_<EOT>",
                                         "[EOT]",
                                         "<" BAR "end" MARK "of" MARK "sentence" BAR ">",
                                         "<end_of_utterance>",
                                         NULL };
static const char *const eom_names[] = { "<|eom_id|>", NULL };
static const char *const fim_prefix_names[] = { "<|fim_prefix|>",
                                                "<fim-prefix>",
                                                "<fim_prefix>",
                                                "<" BAR "fim" MARK "begin" BAR ">",
                                                "<PRE>",
                                                MARK "<PRE>",
                                                "<|code_prefix|>",
                                                "<|prefix|>",
                                                NULL };
static const char *const fim_suffix_names[] = { "<|fim_suffix|>",
                                                "<fim-suffix>",
                                                "<fim_suffix>",
                                                "<" BAR "fim" MARK "hole" BAR ">",
                                                "<SUF>",
                                                MARK "<SUF>",
                                                "<|code_suffix|>",
                                                "<|suffix|>",
                                                NULL };
static const char *const fim_middle_names[] = { "<|fim_middle|>",
                                                "<fim-middle>",
                                                "<fim_middle>",
                                                "<" BAR "fim" MARK "end" BAR ">",
                                                "<MID>",
                                                MARK "<MID>",
                                                "<|code_middle|>",
                                                "<|middle|>",
                                                NULL };

/* Further tokens after which nothing of the answer follows. */
static const char *const eog_names[] = {
  "<|return|>",   "<|call|>",     "<|calls|>",        "<|flush|>",  "<|fim_pad|>", "<fim-pad>",
  "<fim_pad>",    "<|fim_repo|>", "<|repo_name|>",    "<fim-repo>", "<REPO>",      "<reponame>",
  "<|file_sep|>", "[EOS]",        "<|tool_response>", NULL
};

static gint32
find_named (AtlTokenizer *self, const char *name, gboolean retype)
{
  AtlVocabulary *v = self->vocabulary;
  gint32 id = atl_vocabulary_find (v, name, strlen (name));

  if (id < 0 || v->type[id] == ATL_TOKEN_UNUSED)
    return -1;
  if (v->type[id] != ATL_TOKEN_CONTROL)
    {
      /* Some converters mark only a few control tokens as such; a text a user may type must not be
       * taken for one all the same. */
      if (!retype)
        return -1;
      v->type[id] = ATL_TOKEN_CONTROL;
    }
  return id;
}

static void
default_special (AtlTokenizer *self,
                 AtlSpecialToken which,
                 const char *const *names,
                 gboolean retype)
{
  for (guint i = 0; names[i] != NULL && self->special[which] < 0; i++)
    self->special[which] = find_named (self, names[i], retype);
}

static void
add_eog (AtlTokenizer *self, gint32 id)
{
  if (id >= 0 && !atl_tokenizer_is_eog (self, id))
    g_array_append_val (self->eog, id);
}

void
atl_tokenizer_find_specials (AtlTokenizer *self, gboolean retype)
{
  gint32 end, call, flush, is_return;

  default_special (self, ATL_SPECIAL_EOT, eot_names, retype);
  default_special (self, ATL_SPECIAL_EOM, eom_names, retype);
  default_special (self, ATL_SPECIAL_FIM_PREFIX, fim_prefix_names, retype);
  default_special (self, ATL_SPECIAL_FIM_SUFFIX, fim_suffix_names, retype);
  default_special (self, ATL_SPECIAL_FIM_MIDDLE, fim_middle_names, retype);

  add_eog (self, self->special[ATL_SPECIAL_EOS]);
  add_eog (self, self->special[ATL_SPECIAL_EOT]);
  add_eog (self, self->special[ATL_SPECIAL_EOM]);
  for (guint i = 0; eot_names[i] != NULL; i++)
    add_eog (self, find_named (self, eot_names[i], retype));
  for (guint i = 0; eog_names[i] != NULL; i++)
    add_eog (self, find_named (self, eog_names[i], retype));
  /* To Gemma "</s>" is a tag of HTML, which it writes like any other. */
  if (atl_tokenizer_find (self, "<end_of_turn>") < 0 && atl_tokenizer_find (self, "<turn|>") < 0)
    add_eog (self, find_named (self, "</s>", retype));

  /* In gpt-oss and Solar <|end|> ends one message of several in an answer, not the answer. */
  end = find_named (self, "<|end|>", FALSE);
  call = MAX (find_named (self, "<|call|>", FALSE), find_named (self, "<|calls|>", FALSE));
  is_return = find_named (self, "<|return|>", FALSE);
  flush = find_named (self, "<|flush|>", FALSE);
  if (end >= 0 && call >= 0 && MAX (is_return, flush) >= 0 && self->special[ATL_SPECIAL_EOS] != end)
    {
      if (self->special[ATL_SPECIAL_EOT] == end)
        self->special[ATL_SPECIAL_EOT] = -1;
      for (guint i = 0; i < self->eog->len; i++)
        if (g_array_index (self->eog, gint32, i) == end)
          g_array_remove_index_fast (self->eog, i--);
    }
}

/* --- The bytes of pieces --- */

static void
append_letters (const char *p, const char *end, GByteArray *out)
{
  while (p < end)
    {
      const char *next = g_utf8_next_char (p);
      int byte = atl_bpe_letter_byte (g_utf8_get_char (p));
      guint8 value = (guint8) byte;

      if (byte >= 0)
        g_byte_array_append (out, &value, 1);
      else
        g_byte_array_append (out, (const guint8 *) p, (guint) (next - p));
      p = next;
    }
}

static void
append_marks (const char *p, const char *end, GByteArray *out)
{
  while (p < end)
    if (end - p >= 3 && memcmp (p, MARK, 3) == 0)
      {
        g_byte_array_append (out, (const guint8 *) " ", 1);
        p += 3;
      }
    else
      g_byte_array_append (out, (const guint8 *) p++, 1);
}

static void
append_piece (const AtlTokenizer *self, guint id, GByteArray *out)
{
  const AtlPieceSpelling *how = &self->spelling;
  const char *p = self->vocabulary->text[id], *end = p + self->vocabulary->length[id];
  gboolean ends_word = FALSE;
  int byte;

  switch (self->vocabulary->type[id])
    {
    case ATL_TOKEN_BYTE:
      byte = atl_vocabulary_byte_value (p);
      if (byte >= 0)
        {
          guint8 value = (guint8) byte;

          g_byte_array_append (out, &value, 1);
          return;
        }
      break;
    case ATL_TOKEN_NORMAL:
      break;
    default:
      g_byte_array_append (out, (const guint8 *) p, (guint) (end - p));
      return;
    }

  if (*how->end_of_word != 0 && g_str_has_suffix (p, how->end_of_word))
    {
      end -= strlen (how->end_of_word);
      ends_word = TRUE;
    }
  if (*how->continuation != 0)
    {
      if (g_str_has_prefix (p, how->continuation))
        p += strlen (how->continuation);
      else
        g_byte_array_append (out, (const guint8 *) " ", 1);
    }
  if (how->letters)
    append_letters (p, end, out);
  else if (how->marks)
    append_marks (p, end, out);
  else
    g_byte_array_append (out, (const guint8 *) p, (guint) (end - p));
  if (ends_word)
    g_byte_array_append (out, (const guint8 *) " ", 1);
}

static void
build_bytes (AtlTokenizer *self)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  self->bytes_offset = g_new (guint32, (gsize) self->vocabulary->n + 1);
  for (guint id = 0; id < self->vocabulary->n; id++)
    {
      self->bytes_offset[id] = bytes->len;
      if (self->vocabulary->text[id] != NULL)
        append_piece (self, id, bytes);
    }
  self->bytes_offset[self->vocabulary->n] = bytes->len;
  g_byte_array_append (bytes, (const guint8 *) "", 1);
  self->bytes = (char *) g_byte_array_steal (bytes, NULL);
}

/* --- Added tokens --- */

static AtlAddedTokens *
build_added (const AtlTokenizer *self, gboolean normalized)
{
  g_autoptr (GArray) tokens = g_array_new (FALSE, FALSE, sizeof (AtlAddedToken));
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < self->added->len; i++)
    {
      AtlAddedToken token = g_array_index (self->added, AtlAddedToken, i);
      const char *text = self->vocabulary->text[token.id];
      g_autoptr (GString) shown = g_string_new (NULL);

      if (text == NULL || token.normalized != normalized)
        continue;
      token.special = self->vocabulary->type[token.id] == ATL_TOKEN_CONTROL ||
                      self->vocabulary->type[token.id] == ATL_TOKEN_UNKNOWN;
      if (!normalized || self->normalizer == NULL ||
          !atl_normalizer_run (self->normalizer, text, strlen (text), shown, NULL))
        g_string_assign (shown, text);
      g_array_append_val (tokens, token);
      g_ptr_array_add (texts, g_strdup (shown->str));
    }
  if (normalized && tokens->len == 0)
    return NULL;
  return atl_added_tokens_new ((const AtlAddedToken *) (gpointer) tokens->data,
                               (const char *const *) texts->pdata, tokens->len);
}

static void
name_templates (AtlTokenizer *self)
{
  g_autoptr (GList) names = g_hash_table_get_keys (self->templates);

  names = g_list_sort (names, (GCompareFunc) g_strcmp0);
  for (GList *l = names; l != NULL; l = l->next)
    if (*(const char *) l->data != 0)
      g_ptr_array_add (self->template_names, l->data);
  g_ptr_array_add (self->template_names, NULL);
}

void
atl_tokenizer_finish (AtlTokenizer *self)
{
  g_assert (self->vocabulary != NULL && self->kind != NULL);
  g_assert ((self->bpe != NULL) + (self->unigram != NULL) + (self->wordpiece != NULL) == 1);

  build_bytes (self);
  self->added_raw = build_added (self, FALSE);
  self->added_normalized = build_added (self, TRUE);
  name_templates (self);
}

void
atl_tokenizer_add_user_defined (AtlTokenizer *self, gint32 id)
{
  AtlAddedToken token = { .id = id };

  g_return_if_fail (self->vocabulary->type[id] == ATL_TOKEN_NORMAL);
  self->vocabulary->type[id] = ATL_TOKEN_USER_DEFINED;
  g_array_append_val (self->added, token);
  atl_added_tokens_free (self->added_raw);
  self->added_raw = build_added (self, FALSE);
}
