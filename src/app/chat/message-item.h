/* One message on the screen: what the store knows about it and what only the running answer knows.
 *
 * A row shows it; the conversation writes it. Every change emits "changed"; a row that redraws
 * collects changes for 50 ms. Fields are read directly, written by the conversation only.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gio/gio.h>

#include "client/model-info.h"
#include "store/attachments.h"
#include "store/messages.h"

G_BEGIN_DECLS

/* The numbers of a finished answer, kept in the store as JSON. Zero: not known. */
typedef struct
{
  double tokens_per_s, first_token_ms, thinking_ms;
  guint n_tokens, n_prompt, context_used, context_size;
  guint n_drafted, n_accepted; /* guessed ahead, and of these right */
  char *ran_on;                /* (nullable) */
  gboolean is_json;            /* it was to keep to a JSON schema */
  char *stop_reason;           /* (nullable) one of ATL_STOP_* */
} AtlAnswerStats;

/* What the store keeps of a finished run. `before`: of the same answer, when the run continued it;
 * all zero otherwise but for what it was to be. Lengths and times add up, the speed is that of both
 * together. The caller's. */
char *atl_answer_stats_to_json (const AtlChatStats *stats, const AtlAnswerStats *before);

#define ATL_TYPE_MESSAGE_ITEM (atl_message_item_get_type ())
G_DECLARE_FINAL_TYPE (AtlMessageItem, atl_message_item, ATL, MESSAGE_ITEM, GObject)

struct _AtlMessageItem
{
  GObject parent_instance;

  gint64 id, parent_id;
  AtlRole role;
  AtlMessageState state;
  GString *content;
  GString *thinking;
  GPtrArray *attachments; /* (element-type AtlAttachment) */
  char *error_text;       /* (nullable) */
  gboolean is_too_long;   /* the error: the conversation does not fit into the context */
  char *model_name;       /* (nullable) */
  AtlAnswerStats stats;
  guint branch, n_branches;
  gint64 created_us;

  /* Only of the answer being made */
  char *phase;              /* (nullable) what goes on before the first word */
  double fraction;          /* of the phase, below 0: unknown */
  gint64 thinking_since_us; /* monotonic, 0: not thinking */
  gboolean is_last;         /* of the chat */
  gboolean is_found;        /* the search is here */
  gboolean engine_lost;     /* the error was the engine's end: "Try again" */
};

AtlMessageItem *atl_message_item_new (const AtlMessage *message);
/* Takes over what the store says; emits "changed" when something differs. */
void atl_message_item_update (AtlMessageItem *self, const AtlMessage *message);
/* How it ended, where the store could not be told yet; `failure` and `stats_json` as
 * atl_store_answer_finish() takes them. */
void atl_message_item_end (AtlMessageItem *self,
                           AtlMessageState state,
                           const GError *failure,
                           const char *stats_json);
void atl_message_item_set_is_last (AtlMessageItem *self, gboolean is_last);
void atl_message_item_set_is_found (AtlMessageItem *self, gboolean is_found);
void atl_message_item_set_phase (AtlMessageItem *self, const char *phase, double fraction);
void atl_message_item_changed (AtlMessageItem *self);
/* The answer as Markdown: one that is JSON as a listing. The caller's. */
char *atl_message_item_to_markdown (const AtlMessageItem *self);

G_END_DECLS
