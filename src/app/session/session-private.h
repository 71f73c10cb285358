/* The fields that the files of the session share: session.c has store and client,
 * session-model.c the model in use, session-ease.c what it is loaded without where it must,
 * session-conversations.c the conversations, session-keep.c what is kept of them on disk. */
#pragma once

#include "app/session/session.h"

struct _AtlSession
{
  GObject parent_instance;

  AtlStore *store;
  AtlSaver *saver;
  GError *store_error; /* (nullable) */
  char *temporary_dir; /* (nullable) */
  AtlClient *client;
  GSettings *settings;
  AtlModelList *models;

  AtlModel *model;    /* (nullable) */
  GCancellable *load; /* (nullable) of the load in progress */
  char **load_paths;  /* (nullable) */
  char *load_name;    /* (nullable) */
  char *load_phase;   /* (nullable) */
  double load_fraction;
  gboolean load_insists;
  gboolean load_from_disk;
  gboolean load_by_itself;                   /* nobody asked for this load, but for an answer */
  gboolean load_has_draft, load_drops_draft; /* it failed with its draft model: once more without */
  gboolean load_has_kv_type;
  gboolean load_has_adapters, load_drops_missing, load_drops_adapters;
  char *adapter_words;     /* (nullable) why this load does without an adapter */
  char **refused_paths;    /* (nullable) of the last load that lacked memory */
  gboolean load_made_room; /* the old model was unloaded so that this one fits */
  guint n_ctx;             /* what the open chat wants */
  guint load_n_ctx;        /* what the load under way asks for */
  guint refused_n_ctx;     /* for which this load found no memory, 0: none */
  gint gpu_layers, cpu_experts;
  guint idle_source;
  guint watch_source;
  gboolean in_trouble;       /* a person was told, and not yet that it is over */
  gboolean saver_in_trouble; /* when it was asked last */

  GHashTable *conversations; /* gint64 -> weak AtlConversation */
  GHashTable *files;         /* gint64 of a chat -> AtlAttachedFiles */
  GPtrArray *running;        /* (element-type AtlConversation) */
  GPtrArray *retired;        /* (element-type AtlModel) replaced while they answered */
};

/* A model that was in use: its idle time begins anew. session-model.c. */
void atl_session_restart_idle_timer (AtlSession *self);
/* Gives the memory of the model in use back where nobody has asked it anything for so long. What is
 * missing of that time, 0 where there is nothing to wait for. */
gint64 atl_session_unload_unused (AtlSession *self, gint64 limit_us);
/* session-ease.c: `load` without what was dropped; whether a load that failed is begun again
 * without something that a person chose: adapters, the draft model or the type of its memory; or,
 * where nothing else makes room, the context. */
void atl_session_ease_init (AtlSession *self, AtlSessionLoad *load);
gboolean atl_session_ease_choices (AtlSession *self, const GError *error);
gboolean atl_session_ease_context (AtlSession *self, const GError *error);
/* What a person should know about a model that was just loaded. */
void atl_session_tell_loaded (AtlSession *self, AtlModel *model);
/* The store in `dir`, else a temporary one, with store_error set; FALSE where no folder takes one.
 * And closing it: session-store.c. */
gboolean atl_session_open_store (AtlSession *self, const char *dir, GError **error);
void atl_session_close_store (AtlSession *self);
/* Whether the saver can save: session-trouble.c. */
void atl_session_watch_saver (AtlSession *self);
/* Keeps chats as the settings say, now and when they change: session-keep.c. */
void atl_session_init_keeping (AtlSession *self);
/* Files of chats that are gone for good: session-conversations.c. */
void atl_session_forget_files (AtlSession *self);
/* A value of `conversations`. */
void atl_session_free_weak (gpointer data);
/* Whether somebody waits for an answer of the model; see session-room.c for these. */
gboolean atl_session_is_busy (AtlSession *self, AtlModel *model);
/* An answer ended: what only waited for it is unloaded. */
void atl_session_unload_retired (AtlSession *self);
/* Whether the model at `path` could fit if the one in use were not in memory; TRUE where that is
 * not known. */
gboolean atl_session_room_would_do (AtlSession *self, const char *path);
