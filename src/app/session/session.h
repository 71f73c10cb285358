/* What all windows and pages share: the store, the engine's client, the settings, the model in use.
 *
 *   AtlSession *session = atl_session_new (NULL, &error);
 *   g_signal_connect (session, "notify::model", G_CALLBACK (model_cb), self);
 *   atl_session_load_model (session, paths, FALSE);
 *
 * Properties (all notify):
 *   "model"          AtlModel (nullable): the one new answers are asked from
 *   "is-loading"     gboolean: a model is being loaded; then
 *   "load-fraction"  double, 0 to 1, never falls, and
 *   "load-phase"     char *, a sentence
 * Signals:
 *   "chats-changed"                        titles, folders or order changed: read them again
 *   "models-changed"                       the library changed
 *   "load-failed"  (GError *, char *name)  loading ended with an error (never for a cancelled one)
 *   "answered"     (char *title, gint64 chat)  an answer ended, in whatever chat
 *   "notice"       (char *sentence)        something a person should read once (a toast)
 *   "trouble"      (char *sentence)        why something could not be saved; NULL: it can again
 *
 * Threading: the main thread.
 */
#pragma once

#include <gio/gio.h>

#include "app/chat/attached-files.h"
#include "client/client.h"
#include "store/saver.h"

G_BEGIN_DECLS

typedef struct _AtlConversation AtlConversation;
typedef struct _AtlModelList AtlModelList;

#define ATL_TYPE_SESSION (atl_session_get_type ())
G_DECLARE_FINAL_TYPE (AtlSession, atl_session, ATL, SESSION, GObject)

/* `store_dir` is NULL outside tests. When the store cannot be opened a temporary one takes its
 * place and atl_session_get_store_error() says why. NULL, with the same error, when no folder of
 * this computer takes even that: every disk is full. */
AtlSession *atl_session_new (const char *store_dir, GError **error);

AtlStore *atl_session_get_store (AtlSession *self);           /* borrowed */
AtlSaver *atl_session_get_saver (AtlSession *self);           /* borrowed */
AtlClient *atl_session_get_client (AtlSession *self);         /* borrowed; NULL after the end */
GSettings *atl_session_get_settings (AtlSession *self);       /* borrowed */
const GError *atl_session_get_store_error (AtlSession *self); /* (nullable) borrowed */

AtlModelList *atl_session_get_models (AtlSession *self); /* borrowed */

AtlModel *atl_session_get_model (AtlSession *self); /* (nullable) borrowed */
/* What people call it: the name in their list of models, else the one in its file; borrowed, NULL
 * without a model. */
const char *atl_session_get_model_name (AtlSession *self);
gboolean atl_session_get_is_loading (AtlSession *self);
double atl_session_get_load_fraction (AtlSession *self);
const char *atl_session_get_load_phase (AtlSession *self); /* borrowed */
/* Display name of what is being loaded; borrowed, "" when nothing is. */
const char *atl_session_get_load_name (AtlSession *self);

/* Loads the model in `paths` (see atl_client_load_model_async()) beside or instead of the one in
 * use; a load in progress is cancelled first. `insist`: although it ended the engine before. */
void atl_session_load_model (AtlSession *self, const char *const *paths, gboolean insist);
/* Whether the last load lacked memory and may be tried again, reading from the disk what does not
 * fit (far slower); and doing so. */
gboolean atl_session_get_can_load_from_disk (AtlSession *self);
void atl_session_load_from_disk (AtlSession *self);
void atl_session_cancel_load (AtlSession *self);
void atl_session_unload_model (AtlSession *self);
/* Makes a model that somebody else has loaded the one in use; a load in progress is cancelled. What
 * was in use before stays loaded and becomes the caller's (nullable). */
AtlModel *atl_session_use_model (AtlSession *self, AtlModel *model);
/* Unloads a model that is not the one in use, when the answers of chats that it makes are finished.
 */
void atl_session_retire (AtlSession *self, AtlModel *model);
/* What the open chat wants of the next load: its context length in tokens, 0 chooses by itself. */
void atl_session_set_n_ctx (AtlSession *self, guint n_ctx);
/* And layers on the graphics card, and layers whose experts stay on the processor; -1: as the
 * memory allows. */
void atl_session_set_offload (AtlSession *self, gint gpu_layers, gint cpu_experts);
/* Whether a chat that wants a context of `n_ctx` tokens (0: the usual) would be answered with fewer
 * by the model as it was loaded for another chat. One that was loaded with more is as good. */
gboolean atl_session_has_too_short_context (AtlSession *self, guint n_ctx);
/* Before a chat that wants `n_ctx` tokens is answered: begins to load the model in use anew where
 * its context is too short for the chat (unless it answers another one), or where it left the
 * memory, since what it is loaded with may have been changed or deleted meanwhile. */
void atl_session_prepare (AtlSession *self, guint n_ctx);

/* The adapters (LoRA) that the model at `path` is loaded with, as AtlLoadOptions wants them; kept
 * in the settings. The list is the caller's (g_strfreev), never NULL. */
char **atl_session_dup_adapters (AtlSession *self, const char *path);
void atl_session_set_adapters (AtlSession *self, const char *path, const char *const *adapters);

/* The smaller model that guesses ahead for the model at `path`, NULL: none; kept in the settings.
 * When a load fails because of it, it is tried again without. The string is the caller's. */
char *atl_session_dup_draft (AtlSession *self, const char *path);
void atl_session_set_draft (AtlSession *self, const char *path, const char *draft);

/* How the model at `path` keeps what it read of a chat, as AtlLoadOptions.kv_type: NULL is exact;
 * kept in the settings. The string is the caller's. */
char *atl_session_dup_kv_type (AtlSession *self, const char *path);
void atl_session_set_kv_type (AtlSession *self, const char *path, const char *kv_type);

/* What the settings say about loading the model at `path`, and the strings that it borrows. */
typedef struct
{
  AtlLoadOptions options;
  char **adapters;
  char *draft, *kv_type; /* (nullable) */
} AtlSessionLoad;

void atl_session_load_init (AtlSessionLoad *load, AtlSession *self, const char *path);
void atl_session_load_clear (AtlSessionLoad *load);
/* Leaves out what may be why a load failed with `error`: the adapters whose files are gone, or all
 * where one was refused. FALSE: they are not the reason. */
gboolean atl_session_load_drop_adapters (AtlSessionLoad *load, const GError *error);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlSessionLoad, atl_session_load_clear)

/* The conversation of a chat: one object a chat, alive while somebody holds it or it is answering.
 * 0 is a new chat, which has no row in the store until something is sent. Owned by the caller. */
AtlConversation *atl_session_open_conversation (AtlSession *self, gint64 chat_id);
/* For conversations: keeps `conversation` alive while it is answering, and finds it by its id. */
void atl_session_conversation_changed (AtlSession *self, AtlConversation *conversation);
/* A running conversation, or NULL; borrowed. Several may run at a time. */
AtlConversation *atl_session_get_running (AtlSession *self);
gboolean atl_session_is_answering (AtlSession *self, gint64 chat_id);

/* The files attached to the message that is being written in a chat (0: the new chat), on disk a
 * moment after each change; borrowed. */
AtlAttachedFiles *atl_session_get_attached_files (AtlSession *self, gint64 chat_id);
/* The new chat is saved: its files are that chat's from now on. */
void atl_session_hand_over_files (AtlSession *self, gint64 chat_id);

/* By this name the engine remembers what it computed for a chat; the caller's. */
char *atl_session_chat_key (gint64 chat_id);
/* After the trash was emptied: what is kept on disk of chats that are gone for good goes as well.
 */
void atl_session_forget_destroyed_chats (AtlSession *self);

void atl_session_emit_chats_changed (AtlSession *self);
void atl_session_emit_models_changed (AtlSession *self);
void atl_session_emit_answered (AtlSession *self, AtlConversation *conversation);
void atl_session_emit_notice (AtlSession *self, const char *sentence);
/* An error as a notice, or as a trouble where the disk is full. */
void atl_session_emit_error (AtlSession *self, const GError *error);
void atl_session_emit_trouble (AtlSession *self, const char *sentence);
/* Something was saved: what was told as a trouble is over. */
void atl_session_saved (AtlSession *self);

G_END_DECLS
