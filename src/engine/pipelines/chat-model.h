/* A language model made ready to chat: files, vocabulary, template, decoder and one cache.
 *
 *   g_autoptr (AtlChatModel) model = atl_chat_model_open (maps, names, n_maps, error);
 *   atl_chat_model_facts (model)                       what it is; nothing was computed
 *   atl_chat_model_estimate (model, 8192, ATL_DTYPE_F16, &memory, error);
 *   atl_chat_model_load (model, backends, n_backends, &options, NULL, NULL, NULL, error);
 *   atl_chat_turn_start (turn, ...);                   chat-turn.h
 *
 * Threading: facts, estimates, counting tokens and preparing turns from any thread (the model must
 * stay loaded); loading and unloading by one thread, while nobody prepares a turn. A loaded model
 * computes on a thread of its own.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "base/turnstile.h"
#include "engine/tensor/backend.h"

G_BEGIN_DECLS

typedef struct _AtlChatModel AtlChatModel;

/* All strings are owned by the model, valid UTF-8 and never NULL unless it says so. */
typedef struct
{
  char *name;
  char *inside; /* what the file calls itself, may be empty */
  char *architecture;
  char *quant;
  char *license;
  guint64 n_params;
  guint64 size_bytes; /* of all files */
  guint n_ctx_train;
  guint n_layers; /* 0: not known */
  gboolean can_run;
  gboolean is_damaged; /* it cannot run because its own vocabulary is broken */
  char *why_not;       /* (nullable) a sentence when it cannot run */
  char *warning;       /* (nullable) something the person should know */
  gboolean has_template, has_system, has_tools, has_thinking, has_vision, has_experts;
  gboolean is_toy;
  GVariant *recommended; /* a{sv}: the author's sampling values, named as on the command line */
} AtlChatFacts;

typedef struct
{
  guint64 weight_bytes; /* mapped or copied, whichever is more */
  guint64 kv_bytes;
  guint64 scratch_bytes;
} AtlChatMemory;

/* Asked from inside the turnstile before a conversation takes `bytes` of memory: frees what is idle
 * if it must. FALSE with ATL_ERROR_NO_MEMORY in words. */
typedef struct
{
  gboolean (*make_room) (guint64 bytes, gpointer user_data, GError **error); /* (nullable) */
  gpointer user_data;
} AtlChatRoom;

/* Files in which conversations are kept while they are not in memory (chat-file.h). All are called
 * inside the turnstile, with the key of a conversation. */
typedef struct
{
  /* The file as it was kept; -1: there is none. The model closes it. */
  int (*open_kept) (const char *key, gpointer user_data);
  /* (nullable: nothing is kept) A file to write to and how long it may become; -1: there is none.
   * It stays the callee's until end_keep() was called. */
  int (*begin_keep) (const char *key, guint64 *max_bytes, gpointer user_data);
  /* `n_tokens` are in the file; 0: nothing is. `is_again`: there was no time, it will be tried
   * again. */
  void (*end_keep) (const char *key, guint n_tokens, gboolean is_again, gpointer user_data);
  gpointer user_data;
} AtlChatKeep;

typedef struct
{
  guint n_ctx;
  AtlDType kv_dtype;
  guint n_gpu_layers;      /* G_MAXUINT: as many as fit */
  guint n_cpu_experts;     /* layers whose experts stay on the CPU; G_MAXUINT: as many as must */
  guint64 weight_budget;   /* bytes of weights that may be copied into memory; the rest is read from
                              the file while it answers. 0: all */
  AtlTurnstile *turnstile; /* (nullable) borrowed: shared by all that compute on these backends */
  AtlChatRoom room;
  AtlChatKeep keep;
} AtlChatModelOptions;

typedef void (*AtlChatProgressFunc) (double fraction, const char *phase, gpointer user_data);

/* What the logical names of an adapter's files (LoRA) begin with, before a number and "/": those of
 * the first are "adapter-0/…". They come after the model's files. */
#define ATL_CHAT_ADAPTER_PREFIX "adapter-"

/* What the logical names of a draft model's files begin with, which come last: a smaller model with
 * the same vocabulary, whose guesses the model checks several at a time. The text stays the same.
 */
#define ATL_CHAT_DRAFT_PREFIX "draft/"

/* Reads metadata, vocabulary and template. A well-formed file that cannot run is opened too, with
 * facts->can_run FALSE. Takes references on the maps. Errors: ATL_ERROR_BAD_FILE, _UNSUPPORTED. */
AtlChatModel *atl_chat_model_open (AtlFileMap *const *maps,
                                   const char *const *names,
                                   guint n_maps,
                                   GError **error);
void atl_chat_model_free (AtlChatModel *self);

/* What the files say; borrowed, valid as long as the model, any thread. */
const AtlChatFacts *atl_chat_model_facts (const AtlChatModel *self);
/* What loading it with a context of `n_ctx` tokens in `kv_dtype` would take, its adapters and its
 * draft model (whose cache is F16) included. Allocates nothing. FALSE with words for a
 * model that cannot run. */
gboolean atl_chat_model_estimate (const AtlChatModel *self,
                                  guint n_ctx,
                                  AtlDType kv_dtype,
                                  AtlChatMemory *memory,
                                  GError **error);

/* The types, 1 << AtlDType, of its matrices once loaded; 0 when it cannot run. */
guint64 atl_chat_model_matrix_dtypes (const AtlChatModel *self);

/* (nullable) The facts of its draft model, while it has one. */
const AtlChatFacts *atl_chat_model_draft_facts (const AtlChatModel *self);
/* From inside the turnstile, turns may be under way: frees the draft model's weights and caches;
 * answers go on without it. The bytes, 0 when there is nothing to free. */
guint64 atl_chat_model_drop_draft (AtlChatModel *self);

/* How strong each of the model's adapters is, `n` numbers for as many adapters; without a call each
 * is 1. Before or after loading; in a loaded model no turn may be under way (ATL_ERROR_BUSY), and
 * what it remembers of conversations is forgotten. Outside the turnstile. */
gboolean
atl_chat_model_set_strengths (AtlChatModel *self, const double *strengths, guint n, GError **error);

/* `backends` are borrowed and outlive the model, the host's last. Frees everything on failure, so
 * that it may be tried again with other options. */
gboolean atl_chat_model_load (AtlChatModel *self,
                              AtlBackend *const *backends,
                              guint n_backends,
                              const AtlChatModelOptions *options,
                              AtlChatProgressFunc progress,
                              gpointer progress_data,
                              GCancellable *cancellable,
                              GError **error);
/* Ends its turns as stopped and waits for them; nothing may be asked of it until it is unloaded.
 * Not from inside the turnstile. */
void atl_chat_model_end_turns (AtlChatModel *self);
/* Ends its turns and frees decoder and caches; facts stay and it may be loaded again. Not from
 * inside the turnstile. */
void atl_chat_model_unload (AtlChatModel *self);
/* The same for an idle model, from inside the turnstile that it shares with others. */
void atl_chat_model_unload_idle (AtlChatModel *self);
gboolean atl_chat_model_is_loaded (const AtlChatModel *self);
/* After loading. */
guint atl_chat_model_n_ctx (const AtlChatModel *self);
guint64 atl_chat_model_host_bytes (const AtlChatModel *self); /* without its conversations */
/* Of these, pages of the file that are read where they are: the system takes them for free. None of
 * a model with a budget for its weights: its pages may go. */
guint64 atl_chat_model_mapped_bytes (const AtlChatModel *self);
guint64 atl_chat_model_conversation_bytes (const AtlChatModel *self);
/* No turn is under way. */
gboolean atl_chat_model_is_idle (const AtlChatModel *self);
/* From inside the turnstile: when the idle conversation that is oldest was last used (monotonic,
 * G_MAXINT64 when there is none), and freeing it; the bytes. */
gint64 atl_chat_model_oldest_conversation (const AtlChatModel *self);
guint64 atl_chat_model_drop_conversation (AtlChatModel *self);
/* From inside the turnstile: writes idle conversations that changed since they were last kept into
 * their files, the one used last first. Stops at `deadline` (monotonic; 0: none), or when
 * should_stop (nullable) says so between two pieces of some MiB. */
void atl_chat_model_keep_conversations (AtlChatModel *self,
                                        gint64 deadline,
                                        gboolean (*should_stop) (gpointer user_data),
                                        gpointer user_data);
/* How many there are; any thread. */
guint atl_chat_model_n_unkept (const AtlChatModel *self);
guint64 atl_chat_model_device_bytes (const AtlChatModel *self);
/* (nullable) What runs where when a device takes part; NULL when all runs on the CPU. Owned. */
char *atl_chat_model_placement (const AtlChatModel *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlChatModel, atl_chat_model_free)

G_END_DECLS
