/* What tests of the client share: a client with a real engine process, and waiting with a limit. */
#pragma once

#include "client/client-private.h"

/* What a test waits for what must come, beside everything else that a machine may do. */
#define WAIT_MS 120000

typedef struct
{
  AtlClient *client;
  AtlModel *model; /* (nullable) */
  char *model_path;
} Fixture;

/* One answer, collected. */
typedef struct
{
  AtlChatJob *job;
  GString *text;
  guint n_text;
  guint n_done, n_total;
  AtlChatStats *stats; /* (nullable) */
  GError *error;       /* (nullable) */
  gboolean is_over;
} Answer;

/* The path of a conformance model, or NULL after marking the test as skipped. */
char *fixture_model_path (const char *name);
void fixture_set_up (Fixture *fixture, gconstpointer model_name);
void fixture_tear_down (Fixture *fixture, gconstpointer data);

/* Iterates the default context until *flag or the limit; TRUE when the flag was set. */
gboolean fixture_wait (const gboolean *flag, guint limit_ms);
void fixture_sleep (guint ms);

/* Fails unless the condition comes true while the default context runs. */
#define assert_soon(condition)                                                                     \
  G_STMT_START                                                                                     \
  {                                                                                                \
    gint64 soon_end_ = g_get_monotonic_time () + WAIT_MS * (gint64) 1000;                          \
                                                                                                   \
    while (!(condition) && g_get_monotonic_time () < soon_end_)                                    \
      fixture_sleep (10);                                                                          \
    g_assert_true (condition);                                                                     \
  }                                                                                                \
  G_STMT_END

/* Loads and waits. */
AtlModel *fixture_load (AtlClient *client,
                        const char *path,
                        const AtlLoadOptions *options,
                        GCancellable *cancellable,
                        GError **error);
gboolean fixture_unload (AtlClient *client, AtlModel *model, GError **error);
AtlModelInfo *fixture_inspect (AtlClient *client,
                               const char *path,
                               const AtlLoadOptions *options,
                               GError **error);

/* Takes the job. */
Answer *answer_new (AtlChatJob *job);
void answer_free (Answer *self);
gboolean answer_wait (Answer *self);

/* Greedy parameters with a length. */
void params_greedy (AtlChatParams *params, gint max_tokens);
/* An answer that never ends by itself, once its first words are there; needs the fixture's model.
 */
Answer *answer_endless (Fixture *fixture, const char *prompt);
/* Until an engine other than `before` is at work. */
void fixture_wait_for_other_engine (AtlClient *client, GPid before);
guint count_descriptors (void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Answer, answer_free)
