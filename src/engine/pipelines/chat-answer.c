/* From logits to ids and from ids to text, for one sequence. */
#define G_LOG_DOMAIN "atl-pipelines"

#include "engine/pipelines/chat-answer.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/answers/answer-reader.h"
#include "engine/answers/harmony.h"
#include "engine/pipelines/chat-constraint.h"
#include "engine/pipelines/chat-model-private.h"
#include "engine/pipelines/token-probs.h"
#include "engine/tokenizers/detokenizer.h"

/* Where the template shows no marks, models that reason use these. */
#define DEFAULT_OPEN "<think>"
#define DEFAULT_CLOSE "</think>"
#define MAX_PROBS 100u
#define MAX_MARK_TOKEN 96u

struct _AtlChatAnswer
{
  AtlChatModel *model;
  const AtlTurnSink *sink;
  guint n_vocab;
  float *logits; /* (owned) [n_vocab] scratch of the sampler */
  AtlSampler *sampler;
  AtlToolSet *tools;             /* (nullable) */
  AtlChatConstraint *constraint; /* (nullable) */
  AtlDetokenizer *detokenizer;
  AtlAnswerReader *reader;
  GHashTable *marks; /* ids of control tokens whose names the reader must see */
  GString *piece;
  const char *open, *close; /* marks of the thinking section */
  gint64 thinking_since;
  double thinking_s;
  gboolean continues;

  guint n_probs;
  double norm;                   /* of the logits that the last choice was made from */
  float logprob;                 /* of that choice */
  AtlTokenProb probs[MAX_PROBS]; /* the likeliest there */
  guint n_top;
};

static double
seconds_since (gint64 start)
{
  return (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
}

static void
text_cb (const char *text, gboolean is_thinking, gpointer user_data)
{
  AtlChatAnswer *self = user_data;

  self->sink->text (text, is_thinking, self->sink->user_data);
}

static void
call_cb (const AtlToolCall *call, gpointer user_data)
{
  AtlChatAnswer *self = user_data;

  if (self->sink->call != NULL)
    self->sink->call (call->id, call->name, call->arguments, self->sink->user_data);
}

/* --- Beginning --- */

/* Remembers the control tokens in a mark: they have no text, but the reader must see them. */
static void
add_mark_cb (const char *mark, gpointer data)
{
  AtlChatAnswer *self = data;
  const AtlTokenizer *tokenizer = self->model->tokenizer;

  while (*mark != '\0')
    {
      gsize n = MIN (strlen (mark), MAX_MARK_TOKEN);

      for (; n > 1; n--)
        {
          g_autofree char *name = g_strndup (mark, n);
          gint32 id = atl_tokenizer_find (tokenizer, name);

          if (id < 0 || atl_tokenizer_token_type (tokenizer, id) != ATL_TOKEN_CONTROL)
            continue;
          g_hash_table_add (self->marks, GINT_TO_POINTER (id));
          break;
        }
      mark += n > 1 ? n : 1;
    }
}

static void
make_reader (AtlChatAnswer *self, const AtlTurnOptions *options, gboolean is_thinking)
{
  const AtlAnswerSink sink = { text_cb, call_cb, self };
  AtlAnswerReaderOptions reader = { .think_open = self->open,
                                    .think_close = self->close,
                                    .is_thinking = is_thinking,
                                    .continues = self->continues,
                                    .stop = atl_chat_constraint_is_due (options, self->tools)
                                                ? NULL
                                                : options->stop,
                                    .tools = self->tools,
                                    .format = self->model->tool_format };

  atl_chat_template_answer_tags (self->model->chat, &reader.answer_open, &reader.answer_close);
  add_mark_cb (self->open, self);
  add_mark_cb (self->close, self);
  if (reader.answer_open != NULL)
    {
      add_mark_cb (reader.answer_open, self);
      add_mark_cb (reader.answer_close, self);
    }
  if (reader.format->style == ATL_CALL_HARMONY)
    atl_harmony_visit_marks (add_mark_cb, self);
  else if (self->tools != NULL)
    atl_tool_format_visit_marks (reader.format, add_mark_cb, self);
  self->reader = atl_answer_reader_new (&reader, &sink);
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
  g_autoptr (GError) local = NULL;
  gboolean has_marks;

  self->model = model;
  self->sink = sink;
  self->continues = continues;
  self->n_probs = MIN (options->n_probs, MAX_PROBS);
  self->n_vocab = atl_llm_info (model->llm)->n_vocab;
  self->logits = g_new (float, self->n_vocab);
  self->piece = g_string_new (NULL);
  self->marks = g_hash_table_new (NULL, NULL);
  self->sampler = atl_sampler_new (&options->sampling, self->n_vocab, error);
  if (self->sampler == NULL)
    return NULL;
  if (options->tools != NULL && json_array_get_length (options->tools) > 0 &&
      (self->tools = atl_tool_set_new (options->tools, error)) == NULL)
    return NULL;
  has_marks = atl_chat_template_thinking_tags (model->chat, &self->open, &self->close);
  if (!has_marks)
    {
      self->open = DEFAULT_OPEN;
      self->close = DEFAULT_CLOSE;
    }
  for (guint i = 0; i < prompt->len; i++)
    atl_sampler_accept (self->sampler, g_array_index (prompt, gint32, i));
  /* Behind a prompt that ends in text, the first piece's space belongs to the text. */
  self->detokenizer = atl_detokenizer_new (model->tokenizer, FALSE, !continues);
  make_reader (self, options, is_thinking);
  self->thinking_since = g_get_monotonic_time ();
  self->constraint = atl_chat_constraint_new (
      model, options, self->tools, self->open, self->close,
      has_marks && options->thinking != 0 && !is_thinking && !continues, is_thinking, &local);
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return NULL;
    }
  if (self->constraint != NULL)
    atl_chat_constraint_apply (self->constraint, self->sampler);
  return g_steal_pointer (&self);
}

void
atl_chat_answer_free (AtlChatAnswer *self)
{
  if (self == NULL)
    return;
  atl_sampler_free (self->sampler);
  atl_chat_constraint_free (self->constraint);
  atl_detokenizer_free (self->detokenizer);
  atl_answer_reader_free (self->reader);
  atl_tool_set_unref (self->tools);
  g_hash_table_unref (self->marks);
  g_string_free (self->piece, TRUE);
  g_free (self->logits);
  g_free (self);
}

/* --- Tokens --- */

static void
note_probs (AtlChatAnswer *self, const float *logits, gint32 id)
{
  if (self->n_probs == 0)
    return;
  self->norm = atl_token_probs_norm (logits, self->n_vocab);
  self->logprob = (float) (logits[id] - self->norm);
  self->n_top = atl_token_probs_top (logits, self->n_vocab, self->norm, self->probs, self->n_probs);
}

gboolean
atl_chat_answer_sample (AtlChatAnswer *self, const float *logits, gint32 *id, GError **error)
{
  memcpy (self->logits, logits, self->n_vocab * sizeof (float));
  *id = atl_sampler_sample (self->sampler, self->logits, self->n_vocab);
  if (*id != ATL_TOKEN_NONE)
    {
      note_probs (self, logits, *id);
      return TRUE;
    }
  if (self->constraint != NULL && atl_token_probs_norm (logits, self->n_vocab) > -INFINITY)
    g_set_error_literal (error, ATL_ERROR, ATL_ERROR_TOO_COMPLEX,
                         atl_chat_constraint_failure (self->constraint));
  else
    g_set_error (
        error, ATL_ERROR, ATL_ERROR_DEVICE,
        _ ("The model's numbers became invalid (no next token is possible); its file may be "
           "damaged"));
  return FALSE;
}

/* What a token stands for, for people: marks by their names. */
static char *
name_token (const AtlChatAnswer *self, gint32 id)
{
  gsize n;
  const char *bytes = atl_tokenizer_token_bytes (self->model->tokenizer, id, TRUE, &n);

  return g_utf8_make_valid (bytes, (gssize) n);
}

static void
tell_token (AtlChatAnswer *self, gint32 id, gboolean is_thinking)
{
  AtlTurnToken token = { id, self->piece->str, self->logprob };
  AtlTurnToken top[MAX_PROBS];

  if (self->n_probs == 0 || self->sink->token == NULL)
    return;
  for (guint i = 0; i < self->n_top; i++)
    top[i] = (AtlTurnToken){ self->probs[i].id, name_token (self, self->probs[i].id),
                             self->probs[i].logprob };
  self->sink->token (&token, top, self->n_top, is_thinking, self->sink->user_data);
  for (guint i = 0; i < self->n_top; i++)
    g_free ((char *) top[i].text);
}

static void
append_piece (AtlChatAnswer *self, gint32 id)
{
  if (g_hash_table_contains (self->marks, GINT_TO_POINTER (id)))
    {
      atl_detokenizer_finish (self->detokenizer, self->piece);
      g_string_append (self->piece, atl_tokenizer_token_text (self->model->tokenizer, id));
    }
  else
    atl_detokenizer_push (self->detokenizer, id, self->piece);
}

/* The piece goes on its way; TRUE when a stop string came. */
static gboolean
push_piece (AtlChatAnswer *self)
{
  gboolean was_thinking = atl_answer_reader_is_thinking (self->reader), is_thinking, stopped;

  if (self->piece->len == 0)
    return FALSE;
  stopped = atl_answer_reader_push (self->reader, self->piece->str);
  is_thinking = atl_answer_reader_is_thinking (self->reader);
  if (is_thinking && !was_thinking)
    self->thinking_since = g_get_monotonic_time ();
  else if (was_thinking && !is_thinking)
    self->thinking_s += seconds_since (self->thinking_since);
  return stopped;
}

gboolean
atl_chat_answer_push (AtlChatAnswer *self, gint32 id)
{
  gboolean was_thinking = atl_answer_reader_is_thinking (self->reader), stopped;

  atl_sampler_accept (self->sampler, id);
  g_string_truncate (self->piece, 0);
  append_piece (self, id);
  tell_token (self, id, was_thinking);
  stopped = push_piece (self);
  if (self->constraint != NULL && !stopped)
    {
      atl_chat_constraint_accept (self->constraint, id,
                                  atl_answer_reader_is_thinking (self->reader),
                                  atl_answer_reader_take_opened (self->reader));
      atl_chat_constraint_apply (self->constraint, self->sampler);
    }
  return stopped;
}

/* --- Ending --- */

void
atl_chat_answer_complete (AtlChatAnswer *self)
{
  g_autofree char *rest = NULL;

  if (self->constraint == NULL)
    return;
  rest = atl_chat_constraint_rest (self->constraint);
  if (*rest == '\0')
    return;
  /* Half a character is given up: the grammar has not seen it. */
  g_string_truncate (self->piece, 0);
  atl_detokenizer_finish (self->detokenizer, self->piece);
  g_string_truncate (self->piece, 0);
  if (atl_answer_reader_is_thinking (self->reader))
    g_string_append (self->piece, self->close);
  g_string_append (self->piece, rest);
  push_piece (self);
}

void
atl_chat_answer_finish (AtlChatAnswer *self)
{
  if (atl_answer_reader_is_thinking (self->reader))
    self->thinking_s += seconds_since (self->thinking_since);
  g_string_truncate (self->piece, 0);
  atl_detokenizer_finish (self->detokenizer, self->piece);
  if (self->piece->len > 0)
    atl_answer_reader_push (self->reader, self->piece->str);
  atl_answer_reader_finish (self->reader);
}

guint
atl_chat_answer_n_calls (const AtlChatAnswer *self)
{
  return atl_answer_reader_n_calls (self->reader);
}

double
atl_chat_answer_thinking_s (const AtlChatAnswer *self)
{
  return self->thinking_s;
}
