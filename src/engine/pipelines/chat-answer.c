/* From logits to ids and from ids to text, for one sequence. */
#define G_LOG_DOMAIN "atl-pipelines"

#include "engine/pipelines/chat-answer.h"

#include <string.h>

#include "engine/pipelines/chat-model-private.h"
#include "engine/answers/text-splitter.h"
#include "engine/tokenizers/detokenizer.h"

/* Where the template shows no marks, models that reason use these. */
#define DEFAULT_OPEN "<think>"
#define DEFAULT_CLOSE "</think>"

struct _AtlChatAnswer
{
  AtlChatModel *model;
  const AtlTurnSink *sink;
  guint n_vocab;
  float *logits; /* (owned) [n_vocab] scratch of the sampler */
  AtlSampler *sampler;
  AtlGrammarMatcher *matcher; /* (nullable) */
  gboolean is_constrained;    /* the matcher is at work: not while thinking */
  AtlDetokenizer *detokenizer;
  AtlTextSplitter *splitter;
  GString *piece;
  const char *open, *close; /* marks of the thinking section */
  gint64 thinking_since;
  double thinking_s;
};

static double
seconds_since (gint64 start)
{
  return (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
}

static void
emit_cb (const char *text, gboolean is_thinking, gpointer user_data)
{
  AtlChatAnswer *self = user_data;

  self->sink->text (text, is_thinking, self->sink->user_data);
}

/* A grammar holds for the answer; what is thought before it stays free. */
static void
update_constraint (AtlChatAnswer *self)
{
  AtlSamplerConstraint constraint;

  if (self->matcher == NULL || self->is_constrained ||
      atl_text_splitter_is_thinking (self->splitter))
    return;
  self->is_constrained = TRUE;
  constraint = atl_grammar_matcher_constraint (self->matcher);
  atl_sampler_set_constraint (self->sampler, &constraint);
}

AtlChatAnswer *
atl_chat_answer_new (AtlChatModel *model,
                     const AtlTurnOptions *options,
                     const AtlTurnSink *sink,
                     const GArray *prompt,
                     gboolean is_thinking,
                     gboolean continues,
                     GError **error)
{
  g_autoptr (AtlChatAnswer) self = g_new0 (AtlChatAnswer, 1);

  self->model = model;
  self->sink = sink;
  self->n_vocab = atl_llm_info (model->llm)->n_vocab;
  self->logits = g_new (float, self->n_vocab);
  self->piece = g_string_new (NULL);
  self->sampler = atl_sampler_new (&options->sampling, self->n_vocab, error);
  if (self->sampler == NULL)
    return NULL;
  if (!atl_chat_template_thinking_tags (model->chat, &self->open, &self->close))
    {
      self->open = DEFAULT_OPEN;
      self->close = DEFAULT_CLOSE;
    }
  for (guint i = 0; i < prompt->len; i++)
    atl_sampler_accept (self->sampler, g_array_index (prompt, gint32, i));
  /* Behind a prompt that ends in text, the first piece's space belongs to the text. */
  self->detokenizer = atl_detokenizer_new (model->tokenizer, FALSE, !continues);
  self->splitter =
      atl_text_splitter_new (self->open, self->close, is_thinking, options->stop, emit_cb, self);
  self->thinking_since = g_get_monotonic_time ();
  if (options->grammar != NULL || options->json_schema != NULL)
    {
      self->matcher = atl_chat_grammar_new (model, options->grammar, options->json_schema, error);
      if (self->matcher == NULL)
        return NULL;
      update_constraint (self);
    }
  return g_steal_pointer (&self);
}

void
atl_chat_answer_free (AtlChatAnswer *self)
{
  if (self == NULL)
    return;
  atl_sampler_free (self->sampler);
  atl_grammar_matcher_free (self->matcher);
  atl_detokenizer_free (self->detokenizer);
  atl_text_splitter_free (self->splitter);
  g_string_free (self->piece, TRUE);
  g_free (self->logits);
  g_free (self);
}

gboolean
atl_chat_answer_sample (AtlChatAnswer *self, const float *logits, gint32 *id, GError **error)
{
  memcpy (self->logits, logits, self->n_vocab * sizeof (float));
  *id = atl_sampler_sample (self->sampler, self->logits, self->n_vocab);
  if (*id != ATL_TOKEN_NONE)
    return TRUE;
  if (self->is_constrained)
    {
      g_set_error_literal (
          error, ATL_ERROR, ATL_ERROR_TOO_COMPLEX,
          atl_grammar_matcher_failed (self->matcher)
              ? "The grammar is too ambiguous to be followed; a simpler one may work"
              : "The grammar leaves this model no way to go on");
      return FALSE;
    }
  g_set_error (error, ATL_ERROR, ATL_ERROR_DEVICE,
               "The model's numbers became invalid (no next token is possible); its file may be "
               "damaged");
  return FALSE;
}

/* Control tokens have no text, but some vocabularies make the thinking marks control tokens. */
static void
append_piece (AtlChatAnswer *self, gint32 id)
{
  const AtlTokenizer *tokenizer = self->model->tokenizer;
  const char *name = atl_tokenizer_token_text (tokenizer, id);

  if (name != NULL && atl_tokenizer_token_type (tokenizer, id) == ATL_TOKEN_CONTROL &&
      (g_str_equal (name, self->open) || g_str_equal (name, self->close)))
    {
      atl_detokenizer_finish (self->detokenizer, self->piece);
      g_string_append (self->piece, name);
    }
  else
    atl_detokenizer_push (self->detokenizer, id, self->piece);
}

gboolean
atl_chat_answer_push (AtlChatAnswer *self, gint32 id)
{
  gboolean was_thinking = atl_text_splitter_is_thinking (self->splitter), is_thinking, stopped;

  atl_sampler_accept (self->sampler, id);
  if (self->is_constrained)
    atl_grammar_matcher_accept (self->matcher, id);
  g_string_truncate (self->piece, 0);
  append_piece (self, id);
  if (self->piece->len == 0)
    return FALSE;
  stopped = atl_text_splitter_push (self->splitter, self->piece->str);
  is_thinking = atl_text_splitter_is_thinking (self->splitter);
  if (is_thinking && !was_thinking)
    self->thinking_since = g_get_monotonic_time ();
  else if (was_thinking && !is_thinking)
    self->thinking_s += seconds_since (self->thinking_since);
  if (!stopped)
    update_constraint (self);
  return stopped;
}

void
atl_chat_answer_finish (AtlChatAnswer *self)
{
  if (atl_text_splitter_is_thinking (self->splitter))
    self->thinking_s += seconds_since (self->thinking_since);
  g_string_truncate (self->piece, 0);
  atl_detokenizer_finish (self->detokenizer, self->piece);
  if (self->piece->len > 0)
    atl_text_splitter_push (self->splitter, self->piece->str);
  atl_text_splitter_finish (self->splitter);
}

double
atl_chat_answer_thinking_s (const AtlChatAnswer *self)
{
  return self->thinking_s;
}
