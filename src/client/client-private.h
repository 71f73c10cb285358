/* What the files of client/ share: requests in flight and the fields of the client and its handles.
 *
 * A request is in flight from the moment it is registered until its owner removes it. When the
 * engine ends, the first request in flight that computes with a model is blamed, then every
 * request's gone() is called; a request that waits for a method's reply gets the error there.
 */
#pragma once

#include "client/client.h"
#include "client/engine-process.h"
#include "client/picture-rates.h"

G_BEGIN_DECLS

typedef struct _AtlRequest AtlRequest;

struct _AtlRequest
{
  guint id;
  AtlModel *model;  /* (nullable) borrowed: blamed when the engine dies */
  guint stop_timer; /* runs from the cancel to the kill */
  gpointer owner;
  /* A signal with this request's number; (nullable). */
  void (*signal) (AtlRequest *request, const char *name, GVariant *params);
  /* The engine ended; (nullable). */
  void (*gone) (AtlRequest *request, const char *sentence);
};

struct _AtlClient
{
  GObject parent_instance;

  GMainContext *context;
  AtlEngineProcess *process; /* (nullable) */
  AtlEngineState state;
  char *sentence;
  AtlEngineStatus *status; /* (nullable) */
  gboolean is_starting;
  GCancellable *start_cancellable;
  GQueue waiting; /* (element-type GTask) for the start */
  guint restart_timer;
  guint n_failures;      /* runs in a row that ended soon */
  guint n_failed_starts; /* odd: the next start leaves GPUs alone */
  gboolean gpu_hung;     /* so does every start after a GPU hung */
  gboolean is_given_up;  /* the running engine was ended for that: no model is to blame */
  gint64 started_at;
  guint status_timer;
  gboolean is_disposed;

  GHashTable *loaded;   /* AtlModel (owned) that the running engine has */
  GHashTable *requests; /* id -> AtlRequest, borrowed */
  guint next_request;
  GHashTable *crashes; /* key -> count */

  AtlPictureRates *rates;    /* (owned) */
  GHashTable *picture_sizes; /* of files that were read: path -> guint[2], for their price */
  AtlKeptChats *kept;        /* (owned) (nullable) */
  GPtrArray *handed;         /* files of conversations that the engine has: client-keep.c */
};

struct _AtlModel
{
  GObject parent_instance;

  char **paths;
  char *kv_type;
  char **adapters;
  char *draft;
  char *device;
  AtlLoadOptions options; /* its strings are those above */
  AtlModelInfo *info;
  guint id;         /* number in the running engine; 0: not loaded */
  guint n_requests; /* in flight */
  gint64 used_us;   /* monotonic, when the last of them ended; 0: none did */
  GQueue reloading; /* (element-type GTask) waiting for the load under way; the head does it */
};

/* client-requests.c */
void atl_client_add_request (AtlClient *self, AtlRequest *request);
void atl_client_remove_request (AtlClient *self, AtlRequest *request);
/* Asks the engine to end a request; ends the engine when it does not obey. */
void atl_client_cancel_request (AtlClient *self, AtlRequest *request);
/* (nullable) The model of the oldest request in flight that has one; borrowed. */
AtlModel *atl_client_model_at_work (AtlClient *self);
/* Calls every gone(), oldest first. */
void atl_client_end_requests (AtlClient *self, const char *sentence);
/* Timers on the client's own context. */
guint atl_client_add_timer (AtlClient *self, guint interval_ms, GSourceFunc func, gpointer data);
void atl_client_remove_timer (AtlClient *self, guint *id);

/* client-run.c */
/* The ledger as the engine told it; NULL when there is none. */
void atl_client_take_status (AtlClient *self, GVariant *dict);
/* client.c */
/* Process number of the running engine, 0 when none: tests end it. */
GPid atl_client_get_pid (AtlClient *self);
/* Notes that `model` is number `id` in the running engine, or (id 0) that it no longer is. */
void atl_client_set_model_loaded (AtlClient *self, AtlModel *model, guint id, AtlModelInfo *info);

/* client-keep.c */
void atl_client_init_keeping (AtlClient *self);
/* Gives the engine files for a conversation of a loaded model, before it is asked. */
void atl_client_hand_over (AtlClient *self, AtlModel *model, const char *conversation);
/* The engine is done with a file, in which n_tokens are kept; 0: none. */
void atl_client_take_kept (AtlClient *self, guint64 number, guint n_tokens);
/* The engine ended: with all of them. */
void atl_client_drop_kept (AtlClient *self);

/* model.c */
AtlModel *atl_model_new (const char *const *paths, const AtlLoadOptions *options);
void atl_model_set_loaded (AtlModel *self, guint id, AtlModelInfo *info);

/* client-load.c */
typedef struct
{
  GPtrArray *names;
  GUnixFDList *fds;
  char *title; /* what a person calls them */
} AtlOpenFiles;
void atl_open_files_free (AtlOpenFiles *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlOpenFiles, atl_open_files_free)
/* Opens on a worker thread, with what the options (nullable) add to the model. */
void atl_open_files_async (const char *const *paths,
                           const AtlLoadOptions *options,
                           GCancellable *cancellable,
                           GAsyncReadyCallback callback,
                           gpointer user_data);
AtlOpenFiles *atl_open_files_finish (GAsyncResult *result, GError **error);
/* What came of compiling for the GPU. */
typedef struct
{
  gboolean is_tried;
  char *problem; /* (owned) (nullable) */
} AtlCompiled;

/* The arguments "(ua(sh)a{sv})" of Inspect and LoadModel, floating. */
GVariant *atl_load_arguments (guint request,
                              const AtlOpenFiles *files,
                              const AtlLoadOptions *options,
                              const AtlCompiled *compiled /* nullable */);

/* Makes sure that the handle's model is in the running engine. `insist` loads a model
 * that crashed before. */
void atl_client_ensure_model_async (AtlClient *self,
                                    AtlModel *model,
                                    gboolean insist,
                                    AtlProgressFunc progress,
                                    gpointer progress_data,
                                    GCancellable *cancellable,
                                    GAsyncReadyCallback callback,
                                    gpointer user_data);
gboolean atl_client_ensure_model_finish (AtlClient *self, GAsyncResult *result, GError **error);

/* picture-room.c: files for pixels that the engine writes */

/* Adds an empty one, and its name. ATL_ERROR_NO_MEMORY in words. */
gboolean atl_room_add (GUnixFDList *fds, GPtrArray *names, const char *name, GError **error);
/* A copy of the pixels [height, width, 3] in descriptor `room` of `fds` (nullable: the engine is
 * not to have any). The numbers are the engine's, and not believed. ATL_ERROR_ENGINE_GONE,
 * ATL_ERROR_NO_MEMORY in words. Owned. */
GBytes *atl_room_read (GUnixFDList *fds,
                       int room,
                       guint width,
                       guint height,
                       guint max_side,
                       guint64 offset,
                       GError **error);

G_END_DECLS
