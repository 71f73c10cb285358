/* What the tests of kept chats share: a model whose chats go to a file, and questions.
 *
 *   kept_files_init (&files);
 *   model = kept_open_model (&c, KEPT_N_CTX, NULL, &files);
 *   text = kept_ask (model, question, &stats);
 *   kept_keep_all (model);                            files.kept is the file now
 */
#pragma once

#include "engine/pipelines/chat-turn.h"

#define KEPT_N_CTX 3072u

typedef struct
{
  const char *family;
  const char *kv_type;
  guint n_repeats; /* of the question's sentence: beyond a window and its spare, where it counts */
  gboolean is_inexact; /* a chat that comes in pieces gives other numbers than in one */
} KeptCase;

extern const char kept_sentence[];

typedef struct
{
  int kept; /* -1: none yet */
  int room; /* -1: none is offered */
  guint64 max_bytes;
  guint n_kept; /* tokens */
  guint n_ends, n_agains;
} KeptFiles;

/* An empty file without a name. */
int kept_new_file (void);
void kept_files_init (KeptFiles *files);
void kept_files_clear (KeptFiles *files);
AtlDType kept_kv_dtype (const KeptCase *c);
/* `gpu` and `files` may be NULL. */
AtlChatModel *kept_open_model (const KeptCase *c, guint n_ctx, AtlBackend *gpu, KeptFiles *files);
/* One greedy answer of some tokens, in the chat "chat-1"; the caller frees. */
char *kept_ask (AtlChatModel *model, const char *prompt, AtlTurnStats *stats);
/* All of the model's chats. */
void kept_keep_all (AtlChatModel *model);
/* The case's; the caller frees. */
char *kept_make_question (const KeptCase *c);
