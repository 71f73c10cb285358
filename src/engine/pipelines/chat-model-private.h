/* The inside of a chat model, shared by opening (chat-model.c), its facts (chat-facts.c), prompts
 * (chat-prompt.c) and turns (chat-turn.c).
 */
#pragma once

#include "engine/answers/tool-format.h"
#include "engine/answers/tool-set.h"
#include "engine/models/llm/llm.h"
#include "engine/pipelines/chat-model.h"
#include "engine/samplers/grammar.h"
#include "engine/tokenizers/chat-template.h"
#include "engine/tokenizers/tokenizer.h"

G_BEGIN_DECLS

typedef struct _AtlConversations AtlConversations;
typedef struct _AtlDraftModel AtlDraftModel;
typedef struct _AtlScheduler AtlScheduler;

struct _AtlChatModel
{
  AtlCheckpoint *checkpoint;
  GPtrArray *maps;                  /* (owned) AtlFileMap: all files, the adapters' as well */
  AtlTokenizer *tokenizer;          /* (nullable) when it cannot run */
  AtlChatTemplate *chat;            /* (nullable) when it cannot run */
  AtlChatTemplate *tool_chat;       /* (nullable) of its own for conversations with tools */
  const AtlToolFormat *tool_format; /* of calls */
  gboolean names_tools;             /* the template tells the tools */
  AtlChatFacts facts;
  GPtrArray *adapters; /* (owned) AtlCheckpoint, in the order of their files: chat-adapters.c */
  double *strengths;   /* (owned) [adapters->len] */
  AtlChatModel *draft; /* (owned) (nullable) a smaller one that guesses ahead: chat-draft.c */

  /* After loading */
  AtlLlm *llm;
  AtlDraftModel *guesser; /* (owned) (nullable) of the draft's decoder; may go at any time */
  guint n_ctx;
  gboolean may_leave_memory;   /* there is a budget for its weights */
  AtlTurnstile *turnstile;     /* borrowed, or: */
  AtlTurnstile *own_turnstile; /* (owned) (nullable) */
  AtlConversations *conversations;
  AtlScheduler *scheduler;

  char *files_sum; /* (owned) (nullable) inside the turnstile: chat-identity.c */

  GMutex mutex;
  AtlGrammarVocab *grammar_vocab; /* (mutex mutex) (nullable) made for the first grammar */
};

/* Fills the facts from metadata, vocabulary and template. */
void atl_chat_facts_init (AtlChatFacts *facts,
                          AtlCheckpoint *checkpoint,
                          AtlTokenizer *tokenizer,
                          AtlChatTemplate *chat,
                          guint64 size_bytes);
void atl_chat_facts_clear (AtlChatFacts *facts);

/* --- chat-adapters.c --- */

/* How many of the files, the first, are the model's; the others belong to adapters. */
guint atl_chat_adapters_n_model_files (const char *const *names, guint n);
/* Opens the adapters among the files, for the model whose checkpoint is open. */
gboolean atl_chat_adapters_open (
    AtlChatModel *self, AtlFileMap *const *maps, const char *const *names, guint n, GError **error);
/* What they take in memory, wherever the weights are that they change. */
guint64 atl_chat_adapters_bytes (const AtlChatModel *self);
/* Inside the turnstile, with no conversation kept: as the strengths say. */
gboolean atl_chat_adapters_apply (AtlChatModel *self, GError **error);

/* --- chat-draft.c --- */

/* How many of the files, the first, are not the draft model's. */
guint atl_chat_draft_n_other_files (const char *const *names, guint n);
/* Opens the draft model in the files (none: there is none); its vocabulary must be the model's. */
gboolean atl_chat_draft_open (
    AtlChatModel *self, AtlFileMap *const *maps, const char *const *names, guint n, GError **error);
/* Inside the turnstile, before the model itself, which takes what is left of a device. */
gboolean atl_chat_draft_load (AtlChatModel *self,
                              AtlBackend *const *backends,
                              guint n_backends,
                              const AtlChatModelOptions *options,
                              AtlProgressFunc progress,
                              gpointer progress_data,
                              GCancellable *cancellable,
                              GError **error);

/* --- chat-identity.c --- */

/* Names, in ATL_CHAT_IDENTITY_BYTES (chat-file.h), whatever decides which numbers a cache like
 * `cache` holds for some tokens: the files, adapters and strengths, how it computes. Inside the
 * turnstile, loaded. */
void atl_chat_identity (AtlChatModel *self, const AtlLlmCache *cache, guint8 *identity);

typedef struct
{
  JsonArray *messages;    /* (nullable) a conversation, or: */
  const char *text;       /* (nullable) raw text */
  JsonArray *tools;       /* (nullable) */
  gboolean continue_last; /* the last message is the beginning of the answer */
  gint thinking;          /* -1, 0, 1 */
} AtlPromptOptions;

/* Appends the prompt's ids. `*is_thinking` says whether it ends inside a thinking section. */
gboolean atl_chat_prompt_encode (const AtlChatModel *self,
                                 const AtlPromptOptions *options,
                                 GArray *ids,
                                 gboolean *is_thinking,
                                 GError **error);

/* A conversation without its oldest turns: system messages stay, then the first user message and
 * all up to the next one go, and so on. At most atl_chat_prompt_n_older() turns: one is left. */
JsonArray *atl_chat_prompt_drop_oldest (JsonArray *messages, guint n_turns);
guint atl_chat_prompt_n_older (JsonArray *messages);

/* How many ids (gint32) both begin with. */
guint atl_chat_common_prefix (const GArray *a, const GArray *b);

/* The vocabulary for grammars, made once; borrowed. */
AtlGrammarVocab *atl_chat_grammar_vocab (AtlChatModel *self);

/* The text of a special token, or NULL. */
const char *atl_chat_special (const AtlChatModel *self, AtlSpecialToken which);

/* --- chat-tools.c --- */

/* Finds out how the model is told of tools and how it calls them. */
void atl_chat_tools_detect (AtlChatModel *self);
/* The template of conversations with tools; borrowed. */
const AtlChatTemplate *atl_chat_tools_template (const AtlChatModel *self);
/* Tools (atl_tool_set_json) for a template that looks at no more than simple ones: every property
 * has a simple type and a description, if only an empty one. The caller's. */
JsonArray *atl_chat_tools_plain (JsonArray *tools);
/* The messages as the template prints all of them: calls and results that it would leave out become
 * text, and tools (nullable) that it does not know are told in the system message. The caller's. */
JsonArray *atl_chat_tools_adapt (const AtlChatModel *self, JsonArray *messages, AtlToolSet *tools);

G_END_DECLS
