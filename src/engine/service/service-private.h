/* The inside of the service: slots hold loaded models, jobs are requests on their way.
 *
 * A job is queued, running and done; or, cancelled before it ran, done at once. run() is called on
 * a worker and touches only the job and its slot; done() is called on the main thread exactly once.
 * A slot's model is used under its lock: workers that read take it shared, unloading exclusively.
 * An answer's run() prepares it and leaves it to the model's thread, which ends the job.
 */
#pragma once

#include "engine/diffusion/fit.h"
#include "engine/diffusion/lora-file.h"
#include "engine/diffusion/model.h"
#include "engine/diffusion/upscale.h"
#include "engine/pipelines/chat-model.h"
#include "engine/pipelines/chat-turn.h"
#include "engine/service/fit.h"
#include "engine/service/memory.h"
#include "engine/service/service.h"
#include "engine/service/text-sender.h"
#include "engine1.h"
#include "media/picture.h"
#include "protocol/chat-params.h"
#include "protocol/protocol.h"

G_BEGIN_DECLS

/* Files of a model's conversations: keep.c. */
typedef struct _AtlKeepTable AtlKeepTable;

typedef struct
{
  gint ref_count; /* (atomic) */
  guint id;
  guint n_jobs; /* on the main thread: queued or running */
  GRWLock lock;
  AtlChatModel *model;         /* (lock) (nullable) NULL once unloaded */
  AtlDiffusionModel *pictures; /* (lock) (nullable) instead of it: makes pictures */
  AtlUpscaler *upscaler;       /* (lock) (nullable) likewise: enlarges them */
  char *name;                  /* (nullable) of a model for pictures */
  GPtrArray *loras;            /* (nullable) AtlLora of its last picture; on the drawing thread */
  char *device;                /* (nullable) as asked */
  char *runs_on;               /* changed under the lock while no turn is under way */
  AtlChatModelOptions options;
  AtlBackend *cpu;  /* borrowed from the devices */
  AtlBackend *gpu;  /* (nullable) of pictures: likewise, where they may be made */
  guint64 gpu_room; /* (atomic) of pictures: more than this the GPU did not give; 0: not known */
  gboolean uses_gpu;
  guint64 ram_bytes, vram_bytes; /* (atomic) without conversations */
  guint64 mapped_bytes;          /* of these, pages of the file that the system counts as free */
  guint idle_minutes;            /* unloaded when unused for so long; 0: stays */
  gint64 used_at;                /* (atomic) monotonic: the last turn's end */
  /* Of pictures, measured on the drawing thread: seconds for a unit of work (AtlDiffusionCost) in
   * steps, and after them; 0: not yet. */
  double step_rate, decode_rate;
  AtlService *service;   /* borrowed */
  AtlKeepTable *keeping; /* (owned) */
} AtlSlot;

#define ATL_NOT_LOADED_WORDS N_ ("This model is not loaded any more")

AtlSlot *atl_slot_ref (AtlSlot *self);
void atl_slot_unref (AtlSlot *self);

typedef struct _AtlJob AtlJob;

typedef enum
{
  ATL_JOB_QUEUED,
  ATL_JOB_RUNNING,
  ATL_JOB_DONE
} AtlJobState;

struct _AtlJob
{
  gint ref_count; /* (atomic) */
  gint state;     /* (atomic) AtlJobState */
  AtlService *service;
  guint request;                     /* 0: cannot be cancelled */
  GDBusMethodInvocation *invocation; /* (owned) (nullable) answered by done() */
  GCancellable *cancellable;
  AtlSlot *slot; /* (nullable) */
  gint64 accepted_at;
  gboolean (*run) (AtlJob *job, GError **error);
  void (*done) (AtlJob *job, const GError *error);
  GError *error;

  /* Loading and inspecting */
  GPtrArray *maps;  /* AtlFileMap */
  GPtrArray *names; /* terminated by NULL */
  guint n_own;      /* of them; those that only lie nearby come behind */
  guint n_ctx;
  guint n_threads;
  AtlDType kv_dtype;
  guint n_gpu_layers, n_cpu_experts;
  gboolean from_disk;
  GArray *strengths; /* double: of adapters */
  char *device;
  gboolean is_compiled;        /* the client says so */
  char *gpu_problem;           /* (nullable) why not */
  AtlChatModel *model;         /* until it moves into a slot; freed on the worker */
  AtlDiffusionModel *pictures; /* likewise */
  AtlUpscaler *upscaler;       /* likewise */
  char *name;                  /* what the person calls the files */
  GVariant *info;              /* the result */
  gint64 progress_sent_at;
  guint idle_minutes;

  /* Asking */
  char *text;
  gboolean is_messages;
  AtlChatParams params;
  AtlTurnOptions options;
  double queued_s;
  gboolean is_continued; /* run() left the end to atl_job_end() */
  AtlTextSender *sender;
  gint64 prefill_sent_at;
  GVariant *stats; /* the result */
  gint64 n_tokens; /* the result */

  /* Making pictures */
  GVariant *settings;
  int room, preview; /* descriptors for pixels; 0: none */
  GArray *sizes;     /* guint[2], parallel to maps: of raw pixels, else 0 */
  AtlDiffusionCost cost;
  char *runs_on;       /* (nullable) where it was made */
  guint max_side;      /* of a picture that is read */
  guint width, height; /* the result */
  char *phase;
  gint64 step_ended_at;                /* monotonic: the first step, later when it rested */
  gint64 steps_ended_at;               /* 0: not yet */
  double step_seconds, decode_seconds; /* measured: one step, all behind the last one; 0: not */
  gint64 rested_us, next_preview_at;
  guint n_previews;
  gboolean is_paused; /* (mutex pause_mutex) */
  gint is_enough;     /* (atomic) ends with what is there */
  guint n_steps_done, n_steps;
  GPtrArray *loras; /* (nullable) AtlLora */

  /* Keeping */
  gint64 deadline;  /* monotonic */
  GPtrArray *slots; /* AtlSlot (owned) */
};

struct _AtlService
{
  GDBusConnection *connection;
  GMainContext *context;
  AtlIpcEngine1 *skeleton;
  AtlDevices *devices;
  char *sandbox_sentence;
  gboolean sandbox_is_full;
  gboolean is_greeted;
  GHashTable *slots;    /* id -> AtlSlot */
  GHashTable *requests; /* request -> AtlJob, not done yet */
  guint next_slot;
  guint n_jobs;            /* queued or running */
  guint n_loads;           /* of these, LoadModel */
  guint silent_s;          /* of the device, as last told */
  GSource *watch;          /* (nullable) looks at the device */
  GThreadPool *compute;    /* one thread: loading and unloading */
  GThreadPool *reading;    /* one thread: inspecting, counting */
  GThreadPool *preparing;  /* prompts; the models' own threads go on with them */
  GThreadPool *drawing;    /* one thread: making pictures */
  AtlTurnstile *turnstile; /* every model computes inside */
  GMutex ledger_mutex;
  GPtrArray *ledger; /* (mutex ledger_mutex) AtlSlot (owned): the loaded models */
  GMutex pause_mutex;
  GCond pause_cond; /* a job's pause or end */
  GSource *idle_source;
  void (*read_memory) (AtlMemory *memory); /* what the machine has; tests make it up */
};

/* --- job.c --- */

/* A job for `invocation`, registered under `request`. When it cannot be (not greeted, too many,
 * number taken) the invocation is answered with the reason and NULL returned. `always`: a full
 * queue is no reason. */
AtlJob *atl_job_new (AtlService *service,
                     guint request,
                     gboolean always,
                     GDBusMethodInvocation *invocation);
/* One of the service's own, with nobody to answer. */
AtlJob *atl_job_new_own (AtlService *service,
                         gboolean (*run) (AtlJob *, GError **),
                         void (*done) (AtlJob *, const GError *));
void atl_job_unref (AtlJob *self);
/* Takes the caller's reference; done() will follow. */
void atl_job_start (AtlJob *self, GThreadPool *pool);
/* From any thread, once, after run() set is_continued: the job is over, with job->error. */
void atl_job_end (AtlJob *self);
/* From done(): the same job once more, with another purpose that cannot be cancelled. */
void atl_job_again (AtlJob *self,
                    gboolean (*run) (AtlJob *, GError **),
                    void (*done) (AtlJob *, const GError *),
                    GThreadPool *pool);
/* Ends the job unqueued, with an error. Takes the reference and the error. */
void atl_job_refuse (AtlJob *self, GError *error);
void atl_job_cancel (AtlJob *self);
/* The slot of a model's number into the job; FALSE with ATL_ERROR_NOT_FOUND. */
gboolean atl_job_set_slot (AtlJob *self, guint model, GError **error);
void atl_job_pool_cb (gpointer job, gpointer user_data);

/* --- load.c: LoadModel, Inspect --- */

gboolean atl_handle_load (AtlIpcEngine1 *skeleton,
                          GDBusMethodInvocation *invocation,
                          GUnixFDList *fds,
                          guint request,
                          GVariant *files,
                          GVariant *options,
                          AtlService *self);
gboolean atl_handle_inspect (AtlIpcEngine1 *skeleton,
                             GDBusMethodInvocation *invocation,
                             GUnixFDList *fds,
                             guint request,
                             GVariant *files,
                             GVariant *options,
                             AtlService *self);
/* --- programs.c --- */

/* On the compute thread: whether the GPU has the programs that a model needs. If not, either the
 * client is asked (job->info is set), or the CPU takes over, or the load fails. */
gboolean atl_job_check_programs (AtlJob *job, const AtlOpenclNeeds *needs, GError **error);

/* --- unload.c --- */

/* On the compute thread: frees the model of the job's slot. */
gboolean atl_job_unload (AtlJob *job, GError **error);
gboolean atl_handle_unload (AtlIpcEngine1 *skeleton,
                            GDBusMethodInvocation *invocation,
                            guint model,
                            AtlService *self);
/* On a worker: moves a slot whose GPU failed to the CPU. */
gboolean atl_slot_move_to_cpu (AtlSlot *self, AtlDevices *devices, GError **error);

/* --- job.c: of a slot, with its lock --- */

/* What a person calls its model; there is one. */
const char *atl_slot_name (const AtlSlot *self);
gboolean atl_slot_has_model (const AtlSlot *self);

/* --- picture-judge.c --- */

/* Where a model for pictures may run, and what it holds there. */
typedef struct
{
  AtlDiffusionModel *model;
  const AtlDevices *devices;
  AtlBackend *gpu; /* (nullable) */
  AtlBackend *cpu;
  const char *device;    /* (nullable) as asked */
  const char *cpu_words; /* (nullable) what it runs on where `gpu` is NULL */
  guint64 ram_bytes, vram_bytes;
  guint64 gpu_room;  /* 0: not known */
  gint64 more_bytes; /* of LoRAs, beside those that the model has now */
} AtlPicturePlace;

/* Of a slot, with its lock. Borrows. */
AtlPicturePlace atl_picture_place (AtlSlot *slot);

typedef struct
{
  gboolean fits;
  gboolean uses_gpu;
  AtlBackend *backends[2]; /* where it is made, the host last */
  guint n_backends;
  AtlDiffusionHow how;              /* of running, so that it fits */
  guint64 free_bytes, needed_bytes; /* on the first of them */
  guint64 host_bytes;               /* that must be free in the computer's memory */
  guint fit_width, fit_height;      /* the largest that would fit, where it does not; 0: none */
  AtlDiffusionCost cost;
  char *words;   /* never NULL once judged */
  char *runs_on; /* likewise */
} AtlPictureFit;

void atl_picture_fit_clear (AtlPictureFit *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlPictureFit, atl_picture_fit_clear)
/* How one picture with these settings fits: on the GPU in one of its ways, else on the CPU unless
 * the GPU was insisted on. Any thread. */
gboolean atl_picture_judge (AtlService *service,
                            const AtlPicturePlace *place,
                            const AtlSettings *settings,
                            GPtrArray *inputs,
                            AtlPictureFit *fit,
                            GError **error);
gboolean atl_handle_price_picture (AtlIpcEngine1 *skeleton,
                                   GDBusMethodInvocation *invocation,
                                   guint model,
                                   GVariant *settings,
                                   AtlService *self);

/* --- picture-load.c: models for pictures --- */

/* Whether the names are those of a folder for pictures. */
gboolean atl_picture_is_folder (const AtlJob *job);
/* Into job->pictures. */
gboolean atl_picture_open (AtlJob *job, GError **error);
/* What Inspect tells; `missing` (nullable) is why it cannot be used. */
gboolean atl_picture_inspect (AtlJob *job, const char *missing, GError **error);
/* Moves job->pictures into `slot`. */
void atl_picture_load (AtlJob *job, AtlSlot *slot);

/* --- picture-input.c --- */

/* Decodes an untrusted picture, or takes raw pixels of `width` and `height` (0: a file). */
AtlPicture *atl_picture_input_decode (AtlFileMap *map, guint width, guint height, GError **error);
/* [1, n_channels, height, width] in 0…1, filtered to that size. The caller's. */
AtlArray *atl_picture_input_array (
    const AtlPicture *picture, const char *name, guint n_channels, gint64 width, gint64 height);
/* Files of Create and ReadPicture into the job: rooms, pictures. */
gboolean atl_picture_take_files (AtlJob *job, GUnixFDList *fds, GVariant *files, GError **error);
/* The job's pictures into `inputs`, under the names and in the sizes that the family takes, and the
 * size of the result into the settings. Errors in words. */
gboolean
atl_picture_take_inputs (AtlJob *job, AtlSettings *settings, GPtrArray *inputs, GError **error);
/* Outside the mask, where there is one, `rgb` [height, width, 3] becomes the picture of `inputs`
 * again, with a soft edge: what went through the autoencoder and back is not quite what it was. */
void atl_picture_keep_rest (GPtrArray *inputs, guint8 *rgb, gint64 width, gint64 height);
/* The n-th file of that name, and its size if it is raw; NULL. Borrowed. */
AtlFileMap *
atl_picture_find_file (const AtlJob *job, const char *name, guint n, guint *width, guint *height);

/* --- picture-read.c: ReadPicture --- */

gboolean atl_handle_read_picture (AtlIpcEngine1 *skeleton,
                                  GDBusMethodInvocation *invocation,
                                  GUnixFDList *fds,
                                  guint request,
                                  GVariant *files,
                                  GVariant *options,
                                  AtlService *self);

/* --- picture-lora.c --- */

typedef struct _AtlLora AtlLora;

/* A LoRA's file into the job; `fd` stays the caller's. */
gboolean atl_picture_take_lora (AtlJob *job, int fd, const char *name, GError **error);
/* The job's LoRAs into its model, and what few-step ones want into the settings where the person
 * said nothing. */
gboolean atl_picture_use_loras (AtlJob *job, AtlSettings *settings, GError **error);
/* What Inspect tells when the job's one file is a LoRA; NULL without an error when it is none. */
GVariant *atl_picture_inspect_lora (AtlJob *job);

/* --- picture-settings.c --- */

/* As asked for; else of the shape (0: none), never larger than what the model was trained for. */
void atl_picture_choose_size (AtlSettings *settings,
                              const AtlTraits *traits,
                              guint shape_width,
                              guint shape_height,
                              gint64 *width,
                              gint64 *height);
/* From usual names to what the pipelines take. ATL_ERROR_INVALID, naming those that there are. */
gboolean
atl_picture_choose_sampler (AtlSettings *settings, const AtlTraits *traits, GError **error);
/* What is offered, as ATL_INFO_SAMPLERS, _SCHEDULES, _SIZES and _KNOBS, floating. */
GVariant *atl_picture_samplers (const AtlTraits *traits);
GVariant *atl_picture_schedules (const AtlTraits *traits);
GVariant *atl_picture_sizes (const AtlTraits *traits);
GVariant *atl_picture_knobs (const AtlTraits *traits);
void atl_picture_set_defaults (AtlSettings *settings, const AtlTraits *traits);
/* Whether steps were left out ("faster"), whose time says nothing of others'; after the run. */
gboolean atl_picture_left_out_steps (const AtlJob *job);
/* What a picture was made with, a{sv}, floating. */
GVariant *atl_picture_make_facts (const AtlJob *job, const AtlSettings *settings);

/* --- picture-send.c: on the worker that draws --- */

/* AtlRunHooks of a job. */
void atl_picture_progress_cb (const char *phase, guint step, guint n_steps, gpointer user_data);
void atl_picture_step_cb (const AtlArray *latent, guint step, guint n_steps, gpointer user_data);
/* When the run succeeded. */
void atl_picture_note_end (AtlJob *job);
gboolean atl_picture_write (int fd, const guint8 *bytes, gsize size, GError **error);
gboolean atl_handle_enough (AtlIpcEngine1 *skeleton,
                            GDBusMethodInvocation *invocation,
                            guint request,
                            AtlService *self);
gboolean atl_handle_pause (AtlIpcEngine1 *skeleton,
                           GDBusMethodInvocation *invocation,
                           guint request,
                           gboolean is_paused,
                           AtlService *self);

/* After `done` of `total` tiles of another phase than steps: tells, lets others compute, rests. */
void atl_picture_tile_done (AtlJob *job, const char *phase, guint done, guint total);

/* --- picture-upscale.c: Upscale, and models for it --- */

/* Into job->upscaler. */
gboolean atl_upscale_open (AtlJob *job, GError **error);
/* Whether the files' names leave nothing else. */
gboolean atl_upscale_is_meant (const AtlJob *job);
/* What is told about it, into job->info. */
void atl_upscale_inspect (AtlJob *job, const char *runs_on);
/* Moves job->upscaler into `slot`. */
void atl_upscale_load (AtlJob *job, AtlSlot *slot);
gboolean atl_handle_upscale (AtlIpcEngine1 *skeleton,
                             GDBusMethodInvocation *invocation,
                             GUnixFDList *fds,
                             guint request,
                             guint model,
                             GVariant *settings,
                             GVariant *files,
                             AtlService *self);

/* --- picture-ask.c: Create --- */

/* The beginning of both: answers the call, and has `run` called on the worker that draws, which
 * leaves PictureDone's arguments in job->stats. */
gboolean atl_picture_begin (AtlService *self,
                            GDBusMethodInvocation *invocation,
                            GUnixFDList *fds,
                            guint request,
                            guint model,
                            GVariant *settings,
                            GVariant *files,
                            gboolean (*run) (AtlJob *, GError **));

gboolean atl_handle_create (AtlIpcEngine1 *skeleton,
                            GDBusMethodInvocation *invocation,
                            GUnixFDList *fds,
                            guint request,
                            guint model,
                            GVariant *settings,
                            GVariant *files,
                            AtlService *self);

/* --- adapters.c --- */

/* Strengths (ad, nullable) of adapters into the job. */
void atl_job_take_strengths (AtlJob *self, GVariant *strengths);
gboolean atl_job_set_strengths (AtlJob *self, AtlChatModel *model, GError **error);
gboolean atl_handle_set_adapters (AtlIpcEngine1 *skeleton,
                                  GDBusMethodInvocation *invocation,
                                  guint model,
                                  GVariant *strengths,
                                  AtlService *self);
/* Inside the turnstile or while it is loaded: what it takes, as told to others. */
void atl_slot_note_memory (AtlSlot *self);

/* --- ask.c: Chat, Complete, CountTokens --- */

gboolean atl_handle_chat (AtlIpcEngine1 *skeleton,
                          GDBusMethodInvocation *invocation,
                          guint request,
                          guint model,
                          const char *messages,
                          GVariant *params,
                          AtlService *self);
gboolean atl_handle_complete (AtlIpcEngine1 *skeleton,
                              GDBusMethodInvocation *invocation,
                              guint request,
                              guint model,
                              const char *prompt,
                              GVariant *params,
                              AtlService *self);
gboolean atl_handle_count_tokens (AtlIpcEngine1 *skeleton,
                                  GDBusMethodInvocation *invocation,
                                  guint model,
                                  const char *text,
                                  gboolean is_messages,
                                  AtlService *self);

/* --- keep.c: KeepConversation, KeepAll --- */

AtlKeepTable *atl_keep_table_new (AtlService *service);
/* Accepts NULL. */
void atl_keep_table_free (AtlKeepTable *self);
/* What the pipeline asks for files. */
AtlChatKeep atl_keep_table_files (AtlKeepTable *self);
/* Inside the turnstile, with the slot's lock: writes what changed before the model goes. */
void atl_keep_before_unload (AtlSlot *slot);
gboolean atl_handle_keep_conversation (AtlIpcEngine1 *skeleton,
                                       GDBusMethodInvocation *invocation,
                                       GUnixFDList *fds,
                                       guint model,
                                       const char *conversation,
                                       GVariant *files,
                                       guint64 number,
                                       guint64 max_bytes,
                                       AtlService *self);
gboolean atl_handle_keep_all (AtlIpcEngine1 *skeleton,
                              GDBusMethodInvocation *invocation,
                              guint timeout_ms,
                              AtlService *self);
/* Now and then, on the main thread: has conversations kept whose model nobody asked for a while, on
 * a worker and as long as nobody asks. */
void atl_keep_due (AtlService *self);

/* --- ledger.c: what takes memory, and what goes when others need it --- */

void atl_ledger_init (AtlService *self);
void atl_ledger_clear (AtlService *self);
void atl_ledger_add (AtlService *self, AtlSlot *slot);
/* Accepts a slot that is not in it. */
void atl_ledger_remove (AtlService *self, AtlSlot *slot);
/* What is free now, and (nullable) how much more could be made free. Any thread. */
void atl_ledger_read (AtlService *self, AtlMemory *memory, guint64 *idle_bytes);
/* Inside the turnstile: frees idle conversations and models, never `keep` (nullable), until `bytes`
 * are free. FALSE with ATL_ERROR_NO_MEMORY in words. */
gboolean
atl_ledger_make_room (AtlService *self, guint64 bytes, const AtlSlot *keep, GError **error);
/* What idle models hold of the GPU's memory. Any thread. */
guint64 atl_ledger_idle_vram (AtlService *self, const AtlSlot *keep);
/* Inside the turnstile: frees what idle models hold there, never `keep` (nullable), until `bytes`
 * are free or nothing is left. Models for pictures stay loaded and read their weights again;
 * `for_pictures`: chats are unloaded too. */
void
atl_ledger_make_vram (AtlService *self, guint64 bytes, const AtlSlot *keep, gboolean for_pictures);
/* AtlChatRoom of a slot. */
gboolean atl_ledger_room_cb (guint64 bytes, gpointer slot, GError **error);

/* --- service.c --- */

void atl_service_emit (AtlService *self, const char *signal, GVariant *params);
void atl_service_status_changed (AtlService *self);

G_END_DECLS
