/* Grammars at work: which one holds now, and when. */
#define G_LOG_DOMAIN "atl-pipelines"

#include "engine/pipelines/chat-constraint.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/answers/answer-grammar.h"

/* So that a model that must call does not call for ever. */
#define MAX_CALLS 8u

typedef enum
{
  FREE,     /* anything goes */
  NO_END,   /* thinking before an answer that must come */
  DECIDING, /* a thinking section or the answer */
  ANSWER,
  CALLS, /* that nobody asked for */
} Mode;

struct _AtlChatConstraint
{
  AtlChatModel *model;
  AtlGrammar *root, *after;    /* (nullable) the answer must come */
  AtlGrammar *lazy;            /* (nullable) calls may come */
  AtlGrammarMatcher *answer;   /* (nullable) of ANSWER, DECIDING, CALLS */
  AtlGrammarMatcher *thinking; /* (nullable) of DECIDING: the mark that opens the section */
  Mode mode;
  gboolean answer_lives, thinking_lives; /* in DECIDING: still possible */
  const char *think_close;               /* borrowed */
  float *spare;                          /* (nullable) [n_spare] */
  gsize n_spare;
};

/* --- Grammars --- */

static gint32
find_token_cb (const char *text, gsize n, gpointer data)
{
  g_autofree char *name = g_strndup (text, n);
  gint32 id = atl_tokenizer_find (data, name);

  return id >= 0 && atl_tokenizer_token_type (data, id) == ATL_TOKEN_CONTROL ? id : -1;
}

static const char *
token_name_cb (gpointer data, gint32 id, gsize *n)
{
  const char *name = atl_tokenizer_token_text (data, id);

  *n = name != NULL ? strlen (name) : 0;
  return name != NULL ? name : "";
}

static gboolean
must_call (const AtlTurnOptions *options, const AtlToolSet *tools)
{
  return tools != NULL && options->tool_choice != NULL &&
         !g_str_equal (options->tool_choice, "auto");
}

gboolean
atl_chat_constraint_is_due (const AtlTurnOptions *options, const AtlToolSet *tools)
{
  return options->json_schema != NULL || must_call (options, tools);
}

/* The tool that must be called, -1 for any; FALSE if it is not there. */
static gboolean
find_tool (const AtlTurnOptions *options, AtlToolSet *tools, gint *only, GError **error)
{
  const char *choice = options->tool_choice;

  *only = -1;
  if (!must_call (options, tools) || g_str_equal (choice, "required"))
    return TRUE;
  *only = atl_tool_set_find (tools, choice, strlen (choice));
  if (*only < 0)
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                 _ ("The tool “%s” is to be called, but it is not among the tools"), choice);
  return *only >= 0;
}

static AtlGrammar *
parse (const char *gbnf, const char *root, GError **error)
{
  return atl_grammar_new_gbnf (gbnf, root, error);
}

static gboolean
make_answer_grammars (AtlChatConstraint *self,
                      const AtlTurnOptions *options,
                      AtlToolSet *tools,
                      GError **error)
{
  AtlAnswerGrammar g = { .format = atl_tool_format_generic (),
                         .tools = tools,
                         .max_calls = MAX_CALLS };
  g_autoptr (JsonNode) schema = NULL;
  g_autoptr (GError) local = NULL;
  g_autofree char *gbnf = NULL;

  if (self->model != NULL)
    {
      g.format = self->model->tool_format;
      g.find_token = find_token_cb;
      g.data = self->model->tokenizer;
    }
  g.calls_only = must_call (options, tools);
  if (!find_tool (options, tools, &g.only_tool, error))
    return FALSE;
  if (g.only_tool >= 0)
    g.max_calls = 1;
  if (options->json_schema != NULL)
    {
      schema = atl_json_parse (options->json_schema, strlen (options->json_schema), "JSON schema",
                               error);
      if (schema == NULL)
        return FALSE;
      g.schema = schema;
    }
  if (tools == NULL && schema == NULL)
    return TRUE;
  gbnf = atl_answer_grammar_write (&g, &local);
  if (gbnf != NULL && (schema != NULL || g.calls_only))
    {
      self->root = parse (gbnf, ATL_ANSWER_ROOT, &local);
      if (self->root != NULL)
        self->after = parse (gbnf, ATL_ANSWER_AFTER, &local);
    }
  else if (gbnf != NULL)
    self->lazy = parse (gbnf, ATL_ANSWER_LAZY, &local);
  /* Tools that make too large a grammar may be called without one, if they need not be. */
  if (local != NULL && schema == NULL && !g.calls_only &&
      g_error_matches (local, ATL_ERROR, ATL_ERROR_TOO_COMPLEX))
    return TRUE;
  if (local != NULL)
    g_propagate_error (error, g_steal_pointer (&local));
  return local == NULL && (gbnf != NULL && (self->root == NULL || self->after != NULL)) &&
         (self->root != NULL || self->lazy != NULL);
}

/* The mark that opens a thinking section, blanks before it. */
static AtlGrammarMatcher *
thinking_matcher (AtlChatConstraint *self, const char *open)
{
  AtlAnswerGrammar g = { .find_token = find_token_cb, .data = self->model->tokenizer };
  /* A channel begins at once. */
  g_autoptr (GString) gbnf = g_string_new (
      self->model->tool_format->style == ATL_CALL_HARMONY ? "root ::=" : "root ::= [ \\n]{0,4}");
  g_autoptr (AtlGrammar) grammar = NULL;

  atl_answer_grammar_append_mark (&g, gbnf, open);
  g_string_append_c (gbnf, '\n');
  grammar = atl_grammar_new_gbnf (gbnf->str, "root", NULL);
  return grammar != NULL ? atl_grammar_matcher_new (grammar, atl_chat_grammar_vocab (self->model))
                         : NULL;
}

static void
begin (AtlChatConstraint *self, AtlGrammar *grammar, Mode mode)
{
  g_clear_pointer (&self->answer, atl_grammar_matcher_free);
  self->answer = atl_grammar_matcher_new (grammar, atl_chat_grammar_vocab (self->model));
  self->mode = mode;
}

AtlChatConstraint *
atl_chat_constraint_new (AtlChatModel *model,
                         const AtlTurnOptions *options,
                         AtlToolSet *tools,
                         const char *think_open,
                         const char *think_close,
                         gboolean may_think,
                         gboolean after_thinking,
                         GError **error)
{
  g_autoptr (AtlChatConstraint) self = g_new0 (AtlChatConstraint, 1);

  self->model = model;
  self->think_close = think_close;
  if (options->grammar != NULL)
    {
      self->root = parse (options->grammar, "root", error);
      if (self->root == NULL)
        return NULL;
      self->after = atl_grammar_ref (self->root);
    }
  else if (!make_answer_grammars (self, options, tools, error))
    return NULL;
  if (self->root == NULL && self->lazy == NULL)
    return NULL;
  if (self->root == NULL)
    return g_steal_pointer (&self);
  if (after_thinking)
    {
      self->mode = NO_END;
      return g_steal_pointer (&self);
    }
  begin (self, self->root, ANSWER);
  self->thinking = may_think ? thinking_matcher (self, think_open) : NULL;
  if (self->thinking != NULL)
    {
      self->mode = DECIDING;
      self->answer_lives = self->thinking_lives = TRUE;
    }
  return g_steal_pointer (&self);
}

void
atl_chat_constraint_free (AtlChatConstraint *self)
{
  if (self == NULL)
    return;
  atl_grammar_matcher_free (self->answer);
  atl_grammar_matcher_free (self->thinking);
  atl_grammar_unref (self->root);
  atl_grammar_unref (self->after);
  atl_grammar_unref (self->lazy);
  g_free (self->spare);
  g_free (self);
}

gboolean
atl_chat_constraint_check (const AtlTurnOptions *options, AtlToolSet *tools, GError **error)
{
  g_autoptr (AtlChatConstraint) self = g_new0 (AtlChatConstraint, 1);

  return make_answer_grammars (self, options, tools, error);
}

/* --- Masks --- */

static gboolean
is_end (const AtlChatConstraint *self, gint32 id)
{
  return atl_tokenizer_is_eog (self->model->tokenizer, id);
}

static gboolean
allows_cb (gpointer data, gint32 id)
{
  AtlChatConstraint *self = data;

  if (self->mode == NO_END)
    return !is_end (self, id);
  return (self->thinking_lives && self->mode == DECIDING && !is_end (self, id) &&
          atl_grammar_matcher_allows (self->thinking, id)) ||
         ((self->mode != DECIDING || self->answer_lives) &&
          atl_grammar_matcher_allows (self->answer, id));
}

static void
mask_cb (gpointer data, float *logits, gsize n_vocab)
{
  AtlChatConstraint *self = data;
  gboolean both = self->mode == DECIDING && self->thinking_lives;

  if (self->mode == NO_END)
    {
      for (gsize id = 0; id < n_vocab; id++)
        if (is_end (self, (gint32) id))
          logits[id] = -INFINITY;
      return;
    }
  if (both)
    {
      if (self->n_spare < n_vocab)
        {
          self->spare = g_renew (float, self->spare, n_vocab);
          self->n_spare = n_vocab;
        }
      memcpy (self->spare, logits, n_vocab * sizeof (float));
      atl_grammar_matcher_mask (self->thinking, self->spare, n_vocab);
    }
  if (self->mode != DECIDING || self->answer_lives)
    atl_grammar_matcher_mask (self->answer, logits, n_vocab);
  else
    for (gsize id = 0; id < n_vocab; id++)
      logits[id] = -INFINITY;
  for (gsize id = 0; both && id < n_vocab; id++)
    if (self->spare[id] > logits[id] && !is_end (self, (gint32) id))
      logits[id] = self->spare[id];
}

void
atl_chat_constraint_apply (AtlChatConstraint *self, AtlSampler *sampler)
{
  const AtlSamplerConstraint constraint = { self, allows_cb, mask_cb };

  atl_sampler_set_constraint (sampler, self->mode == FREE ? NULL : &constraint);
}

/* --- Going on --- */

static void
decide (AtlChatConstraint *self, gint32 id)
{
  self->thinking_lives = self->thinking_lives && atl_grammar_matcher_accept (self->thinking, id);
  self->answer_lives = self->answer_lives && atl_grammar_matcher_accept (self->answer, id);
  if (!self->thinking_lives)
    self->mode = ANSWER;
}

void
atl_chat_constraint_accept (AtlChatConstraint *self,
                            gint32 id,
                            gboolean is_thinking,
                            const char *opened)
{
  switch (self->mode)
    {
    case FREE:
      break;
    case NO_END:
      if (!is_thinking)
        begin (self, self->after, ANSWER);
      return;
    case DECIDING:
      decide (self, id);
      if (is_thinking)
        self->mode = NO_END;
      return;
    case ANSWER:
      atl_grammar_matcher_accept (self->answer, id);
      return;
    case CALLS:
    default:
      atl_grammar_matcher_accept (self->answer, id);
      if (atl_grammar_matcher_is_complete (self->answer))
        self->mode = FREE;
      break;
    }
  if (opened == NULL || self->lazy == NULL || self->mode != FREE)
    return;
  begin (self, self->lazy, CALLS);
  /* A model that writes its calls in another way goes its own way. */
  if (!atl_grammar_matcher_accept_text (self->answer, opened, strlen (opened)))
    self->mode = FREE;
}

const char *
atl_chat_constraint_failure (const AtlChatConstraint *self)
{
  return self->answer != NULL && atl_grammar_matcher_failed (self->answer)
             ? _ ("The grammar is too ambiguous to be followed; a simpler one may work")
             : _ ("The grammar leaves this model no way to go on");
}

char *
atl_chat_constraint_rest (AtlChatConstraint *self)
{
  g_autofree char *mark = NULL;
  g_autofree char *answer = NULL;

  if (self->mode == DECIDING && !self->answer_lives)
    {
      /* Only the mark can be what has begun: an empty section comes before the answer. */
      mark = atl_grammar_matcher_shortest (self->thinking, token_name_cb, self->model->tokenizer);
      if (mark == NULL)
        return g_strdup ("");
    }
  if (self->root != NULL && (self->mode == NO_END || mark != NULL))
    begin (self, self->after, ANSWER);
  if (self->mode == ANSWER || self->mode == DECIDING)
    answer = atl_grammar_matcher_shortest (self->answer, token_name_cb, self->model->tokenizer);
  if (answer == NULL)
    return g_strdup ("");
  return g_strconcat (mark != NULL ? mark : "", mark != NULL ? self->think_close : "", answer,
                      NULL);
}
