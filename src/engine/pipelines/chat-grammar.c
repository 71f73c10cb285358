/* The vocabulary as grammars see it. */
#define G_LOG_DOMAIN "atl-pipelines"

#include "engine/pipelines/chat-model-private.h"

static const char *
piece_cb (gpointer data, gint32 id, gsize *n_bytes)
{
  const char *bytes = atl_tokenizer_token_bytes (data, id, FALSE, n_bytes);

  return *n_bytes > 0 ? bytes : NULL;
}

/* Sorting a vocabulary takes a while: once a model is enough. */
AtlGrammarVocab *
atl_chat_grammar_vocab (AtlChatModel *self)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->mutex);
  g_autoptr (GArray) ends = NULL;
  guint n_vocab = atl_tokenizer_n_vocab (self->tokenizer);

  if (self->grammar_vocab != NULL)
    return self->grammar_vocab;
  ends = g_array_new (FALSE, FALSE, sizeof (gint32));
  for (gint32 id = 0; id < (gint32) n_vocab; id++)
    if (atl_tokenizer_is_eog (self->tokenizer, id))
      g_array_append_val (ends, id);
  self->grammar_vocab = atl_grammar_vocab_new (n_vocab, piece_cb, self->tokenizer,
                                               (const gint32 *) (gpointer) ends->data, ends->len);
  return self->grammar_vocab;
}
