/* A model in a running engine, for a program that waits: load, answer, stop on Ctrl-C.
 *
 * Threading: the main thread; runs the default main context while it waits.
 */
#pragma once

#include "cli/options.h"

G_BEGIN_DECLS

typedef struct
{
  AtlClient *client;
  AtlModel *model;
  guint sigint;
  gboolean is_interrupted; /* Ctrl-C came; the reader resets it */
  AtlChatJob *job;         /* (nullable) under way */
  GCancellable *cancellable;
} AtlCliSession;

typedef struct
{
  /* (nullable) Text as it comes; FALSE stops the answer. */
  gboolean (*text) (const char *text, gboolean is_thinking, gpointer user_data);
  gpointer user_data;
} AtlCliSink;

/* Finds the model (`name` NULL: the starter, else the first of the library), starts the engine and
 * loads, with a line of progress on standard error when that is a terminal. */
gboolean atl_cli_session_open (AtlCliSession *self,
                               const char *name,
                               const AtlLoadOptions *options,
                               GError **error);
void atl_cli_session_close (AtlCliSession *self);

/* Waits for the whole answer to `messages` (or goes on with `prompt`; the other is NULL). Ctrl-C
 * stops it. The job (owned) has text and statistics; NULL with an error when it failed. */
AtlChatJob *atl_cli_session_answer (AtlCliSession *self,
                                    const char *messages,
                                    const char *prompt,
                                    const AtlChatParams *params,
                                    const AtlCliSink *sink,
                                    GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlCliSession, atl_cli_session_close)

G_END_DECLS
