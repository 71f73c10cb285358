/* Starts, watches and restarts the engine process, and asks it for things. Nothing here blocks.
 *
 *   g_autoptr (AtlClient) client = atl_client_new ();
 *   const char *paths[] = { "/home/me/model.gguf", NULL };
 *   atl_client_load_model_async (client, paths, NULL, progress_cb, self, cancellable,
 *                                loaded_cb, self);
 *   ...
 *   job = atl_client_chat (client, model, "[{\"role\":\"user\",\"content\":\"Hi\"}]", &params);
 *
 * The engine starts with the first request. When it ends by itself, every pending call and job
 * fails with ATL_ERROR_ENGINE_GONE and words for the person, and another engine is started after a
 * moment (one that keeps ending is started again by the next request only). Models come back when
 * they are asked.
 *
 * Where the engine's program is: $ATELIER_ENGINE, else the build tree this library was built in,
 * else libexecdir.
 *
 * Properties:
 *   "state"    AtlEngineState, notifies
 *   "sentence" char *: the state in words for the person ("Ready", "The engine stopped
 *              unexpectedly. Your text so far is kept."), notifies
 *   "status"   AtlEngineStatus (nullable): the ledger; refreshed every 2 s while an engine runs and
 *              somebody is connected to notify::status, and after each load and unload
 * Signals:
 *   "engine-lost"   (const char *sentence)           the engine ended or was ended
 *   "model-unloaded" (AtlModel *model, const char *words)
 *                                                    by the engine, to make room or because it was
 *                                                    idle; it is loaded again when it is asked
 *   "model-crashed" (AtlModel *model, guint count)   and this model was at work; store the count
 *
 * Threading: the thread that owns the main context which was the thread's default at creation.
 */
#pragma once

#include "client/chat-job.h"
#include "client/kept-chats.h"
#include "client/picture-file.h"
#include "client/picture-job.h"
#include "client/picture-price.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_ENGINE_STOPPED, /* not running, nothing wrong */
  ATL_ENGINE_STARTING,
  ATL_ENGINE_READY,
  ATL_ENGINE_NOT_RESPONDING, /* silent for some seconds; ended and restarted soon */
  ATL_ENGINE_LOST,           /* ended by itself or was ended; restarts in a moment */
} AtlEngineState;

#define ATL_TYPE_ENGINE_STATE (atl_engine_state_get_type ())
GType atl_engine_state_get_type (void);

#define ATL_TYPE_CLIENT (atl_client_get_type ())
G_DECLARE_FINAL_TYPE (AtlClient, atl_client, ATL, CLIENT, GObject)

/* fraction: 0 to 1, never falls. phase: a sentence. */
typedef void (*AtlProgressFunc) (double fraction, const char *phase, gpointer user_data);

/* Starts nothing yet: the engine comes with the first request that needs it. */
AtlClient *atl_client_new (void);

/* Path of the engine's program, which also runs atelier-cli's tools; owned. ATL_ERROR_NOT_FOUND
 * says where it was looked for. */
char *atl_client_find_engine (GError **error);

AtlEngineState atl_client_get_state (AtlClient *self);
AtlEngineStatus *atl_client_get_status (AtlClient *self); /* (nullable) borrowed */

/* Starts the engine if none runs. Optional: every request does it. */
void atl_client_start_async (AtlClient *self,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data);
gboolean atl_client_start_finish (AtlClient *self, GAsyncResult *result, GError **error);
/* Ends the engine and every request; models stay as handles. Also done on dispose. */
void atl_client_stop (AtlClient *self);

/* Asks the running engine for the ledger now; "status" notifies. Nothing happens without one. */
void atl_client_refresh_status (AtlClient *self);

/* Reads metadata only: what the file is, memory needed, whether it fits now. `paths` as for
 * loading. Errors: ATL_ERROR_BAD_FILE, ATL_ERROR_NOT_FOUND, ATL_ERROR_ENGINE_GONE. */
void atl_client_inspect_async (AtlClient *self,
                               const char *const *paths,
                               const AtlLoadOptions *options,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer user_data);
/* Owned. */
AtlModelInfo *atl_client_inspect_finish (AtlClient *self, GAsyncResult *result, GError **error);

/* Whether answers can keep to this JSON schema and calls to these tools (both nullable, JSON text).
 * ATL_ERROR_INVALID, _UNSUPPORTED and _TOO_COMPLEX say what is wrong with them. */
void atl_client_check_form_async (AtlClient *self,
                                  const char *json_schema,
                                  const char *tools,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data);
gboolean atl_client_check_form_finish (AtlClient *self, GAsyncResult *result, GError **error);

/* Loads the model in the local files `paths` (NULL-terminated): one .gguf (its other shards
 * "-00002-of-00003" are found beside it), several files, or one folder with *.safetensors and
 * config.json. `options` may be NULL. `progress` (nullable) runs on the main context, never after
 * `callback`. Cancelling ends with G_IO_ERROR_CANCELLED and frees everything.
 * Errors: ATL_ERROR_BAD_FILE, _UNSUPPORTED, _NO_MEMORY (with the nearest thing that fits),
 * _NOT_FOUND, _ENGINE_GONE, _BUSY (ended the engine three times; options->insist overrides). */
void atl_client_load_model_async (AtlClient *self,
                                  const char *const *paths,
                                  const AtlLoadOptions *options,
                                  AtlProgressFunc progress,
                                  gpointer progress_data,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data);
/* Owned. */
AtlModel *atl_client_load_model_finish (AtlClient *self, GAsyncResult *result, GError **error);

/* Other strengths for the adapters that the model was loaded with, in their order; nothing is
 * loaded again. ATL_ERROR_BUSY while it answers. */
void atl_client_set_strengths_async (AtlClient *self,
                                     AtlModel *model,
                                     const double *strengths,
                                     guint n,
                                     GCancellable *cancellable,
                                     GAsyncReadyCallback callback,
                                     gpointer user_data);
gboolean atl_client_set_strengths_finish (AtlClient *self, GAsyncResult *result, GError **error);

/* Ends the model's jobs and frees its memory. The handle can be asked again: that reloads it. */
void atl_client_unload_async (AtlClient *self,
                              AtlModel *model,
                              GCancellable *cancellable,
                              GAsyncReadyCallback callback,
                              gpointer user_data);
gboolean atl_client_unload_finish (AtlClient *self, GAsyncResult *result, GError **error);

/* Starts an answer to `messages`, a JSON array of {"role": "system"|"user"|"assistant"|"tool",
 * "content": "...", optional "thinking"}. `params` (nullable: defaults with the model's
 * recommendation) is copied. Returns at once; owned. */
AtlChatJob *atl_client_chat (AtlClient *self,
                             AtlModel *model,
                             const char *messages,
                             const AtlChatParams *params);
/* Goes on with raw text, without a template. */
AtlChatJob *atl_client_complete (AtlClient *self,
                                 AtlModel *model,
                                 const char *prompt,
                                 const AtlChatParams *params);

/* Starts a picture. Returns at once; owned. */
AtlPictureJob *atl_client_create (AtlClient *self, AtlModel *model, AtlPictureRequest *request);

/* Enlarges the one ATL_CREATE_IMAGE of the request by its setting ATL_MADE_FACTOR ("d", else the
 * model's own) with an upscaler (AtlModelInfo.is_upscaler). Signals as of a picture, tiles as
 * steps, no previews. Returns at once; owned. */
AtlPictureJob *atl_client_upscale (AtlClient *self, AtlModel *model, AtlPictureRequest *request);
/* What that picture would take; nothing but the model's description is loaded, and it takes a
 * moment the first time for a size, then none. Errors: those of loading, ATL_ERROR_INVALID. */
void atl_client_price_picture_async (AtlClient *self,
                                     AtlModel *model,
                                     AtlPictureRequest *request,
                                     GCancellable *cancellable,
                                     GAsyncReadyCallback callback,
                                     gpointer user_data);
/* Owned. */
AtlPicturePrice *
atl_client_price_picture_finish (AtlClient *self, GAsyncResult *result, GError **error);
/* The seconds that the upscaler, a model's key, will take for a picture of width × height px;
 * negative until it has made one larger on this machine. */
double atl_client_price_larger (AtlClient *self, const char *upscaler, guint width, guint height);
/* Where measurements for prices are kept; NULL, as at first: only while the client lives.
 * atl_client_rates_path() is where both programs do. */
void atl_client_set_rates_file (AtlClient *self, const char *path);
/* In the person's folder of state; owned. */
char *atl_client_rates_path (void);

/* Reads a picture of others in the engine, behind its sandbox: the file `path`, or (path NULL) the
 * bytes of one. `max_side` in px, 0: as large as it is. Errors in words: ATL_ERROR_NOT_FOUND,
 * _BAD_FILE, _UNSUPPORTED (no PNG, JPEG or WebP), _FULL (too many pixels), _ENGINE_GONE. */
void atl_client_read_picture_async (AtlClient *self,
                                    const char *path,
                                    GBytes *bytes,
                                    guint max_side,
                                    GCancellable *cancellable,
                                    GAsyncReadyCallback callback,
                                    gpointer user_data);
/* Owned. */
AtlPictureFile *
atl_client_read_picture_finish (AtlClient *self, GAsyncResult *result, GError **error);

/* Where files that the model file `path` lacks are looked for, in folders by their role
 * ("text_encoder/t5.safetensors"): known by the file's name and size, so that it may be moved, or
 * by the folder's path. The caller's; NULL when it is not there. */
char *atl_client_parts_dir (const char *path);

/* A title of a few words for the conversation, made by the model. It is asked after the
 * conversation, so that the cached prefix of the chat survives. `conversation` (nullable) as in
 * AtlChatParams. */
void atl_client_title_async (AtlClient *self,
                             AtlModel *model,
                             const char *messages,
                             const char *conversation,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data);
/* Owned. */
char *atl_client_title_finish (AtlClient *self, GAsyncResult *result, GError **error);

/* Where what the engine remembers of conversations (AtlChatParams.conversation) is kept while it is
 * not in its memory, across restarts; NULL, as at first: nowhere. Taken over. */
void atl_client_set_kept_chats (AtlClient *self, AtlKeptChats *kept);
AtlKeptChats *atl_client_get_kept_chats (AtlClient *self); /* (nullable) borrowed */
/* Before the engine is stopped: has all of it written, which takes at most `timeout_ms`. What is
 * not done then is lost, and computed again one day. The callback comes soon after that, unless the
 * engine hangs. */
void atl_client_keep_all_async (AtlClient *self,
                                guint timeout_ms,
                                GAsyncReadyCallback callback,
                                gpointer user_data);
gboolean atl_client_keep_all_finish (AtlClient *self, GAsyncResult *result, GError **error);

/* Crashes counted for a model's key (atl_model_get_key()): set from the store at the start. */
guint atl_client_get_crash_count (AtlClient *self, const char *key);
void atl_client_set_crash_count (AtlClient *self, const char *key, guint count);

G_END_DECLS
