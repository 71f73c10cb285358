/* The messages of a chat: a tree, of which one path from a root to a leaf is shown.
 *
 * Editing a question or regenerating an answer adds a sibling; every message remembers which of its
 * children was shown last, so switching away and back returns to the same path.
 *
 *   g_autoptr (GPtrArray) path = atl_store_message_list (store, chat_id, &error);
 *   const AtlMessage *m = g_ptr_array_index (path, 0);
 *   if (m->n_branches > 1) ... "2/3" is m->branch + 1, m->n_branches
 *
 * Regenerate: atl_store_answer_begin() with the same parent as the old answer. Edit a question:
 * atl_store_turn_begin() with the parent of the old question.
 *
 * Threading: that of the handle. Structs are plain copies.
 */
#pragma once

#include "store/store.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_ROLE_SYSTEM,
  ATL_ROLE_USER,
  ATL_ROLE_ASSISTANT,
  ATL_ROLE_TOOL,
} AtlRole;

typedef enum
{
  ATL_MESSAGE_COMPLETE,
  ATL_MESSAGE_STREAMING,   /* some process writes it now */
  ATL_MESSAGE_INTERRUPTED, /* stopped by a person or by a crash; the text so far is kept */
  ATL_MESSAGE_ERROR,       /* ended by an error, see error_text; the text so far is kept */
} AtlMessageState;

typedef struct
{
  gint64 id;
  gint64 chat_id;
  gint64 parent_id; /* 0: a root */
  AtlRole role;
  AtlMessageState state;
  char *content;          /* never NULL */
  char *thinking;         /* (nullable) reasoning that came before the answer */
  char *attachments_json; /* (nullable) array of {"name", "mime", "text"} */
  char *error_text;       /* (nullable) words */
  char *error_name;       /* (nullable) its code, by atl_error_dbus_name() */
  char *stats_json; /* (nullable) object: tokens_per_s, first_token_ms, n_tokens, context_used,
                       context_size, device, model, thinking_ms */
  char *model_name; /* (nullable) that wrote it */
  gint64 created_us;
  guint branch;     /* 0-based position among its siblings, oldest first */
  guint n_branches; /* siblings including itself, at least 1 */
} AtlMessage;

/* NULL is fine. */
void atl_message_free (AtlMessage *message);

/* "system", "user", "assistant", "tool"; static. */
const char *atl_role_name (AtlRole role);
gboolean atl_role_from_name (const char *name, AtlRole *out);

/* --- Writing a turn --- */

/* Adds a complete message below `parent_id` (0: a root) and shows it. Its id, or 0 on error. */
gint64 atl_store_message_add (AtlStore *self,
                              gint64 chat_id,
                              gint64 parent_id,
                              AtlRole role,
                              const char *content,
                              const char *attachments_json,
                              GError **error);

/* Adds an empty answer in state streaming below `parent_id` and shows it; it belongs to this handle
 * until atl_store_answer_finish(). Its id, or 0 on error. */
gint64 atl_store_answer_begin (
    AtlStore *self, gint64 chat_id, gint64 parent_id, const char *model_name, GError **error);

/* A person's message and the empty answer to it in one commit. */
gboolean atl_store_turn_begin (AtlStore *self,
                               gint64 chat_id,
                               gint64 parent_id,
                               const char *content,
                               const char *attachments_json,
                               const char *model_name,
                               gint64 *user_id,
                               gint64 *answer_id,
                               GError **error);

/* Takes a finished or interrupted answer up again ("continue"): streaming, text kept. */
gboolean atl_store_answer_resume (AtlStore *self, gint64 id, GError **error);

/* Saves the whole text so far of a streaming answer; call it once a second. NULL `thinking`
 * stores none. On ATL_ERROR_FULL keep the text and call again with the next second's. */
gboolean atl_store_message_checkpoint (
    AtlStore *self, gint64 id, const char *content, const char *thinking, GError **error);

/* Ends a streaming answer with its final text. `state` is any but streaming; `failure` (nullable)
 * is the error that ended it. */
gboolean atl_store_answer_finish (AtlStore *self,
                                  gint64 id,
                                  AtlMessageState state,
                                  const char *content,
                                  const char *thinking,
                                  const GError *failure,
                                  const char *stats_json,
                                  GError **error);

/* Replaces the text in place (correcting an answer); siblings and state stay. */
gboolean
atl_store_message_set_content (AtlStore *self, gint64 id, const char *content, GError **error);

/* --- Reading --- */

/* The caller's, with its place among its siblings. ATL_ERROR_NOT_FOUND also for one that is in the
 * trash or cannot be read. */
AtlMessage *atl_store_message_get (AtlStore *self, gint64 id, GError **error);

/* The shown path from root to leaf, oldest first. A row that cannot be read ends up in
 * atl_store_take_reports() and is left out. (transfer full) (element-type AtlMessage) */
GPtrArray *atl_store_message_list (AtlStore *self, gint64 chat_id, GError **error);

/* --- Branches --- */

/* Shows the sibling `step` places further (-1 older, +1 newer; stays at the ends) of `id`. The id
 * now shown, or 0 on error. */
gint64 atl_store_branch_step (AtlStore *self, gint64 id, int step, GError **error);

/* Makes the path through `id` the shown one (a search result was clicked). */
gboolean atl_store_branch_show (AtlStore *self, gint64 id, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlMessage, atl_message_free)

G_END_DECLS
