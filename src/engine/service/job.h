/* A request on its way.
 *
 * A job is queued, running and done; or, cancelled before it ran, done at once. run() is called on
 * a worker and touches only the job and its slot; done() is called on the main thread exactly once.
 * An answer's run() prepares it and leaves it to the model's thread, which ends the job.
 */
#pragma once

#include "engine/diffusion/cost.h"
#include "engine/service/slot.h"
#include "engine/service/text-sender.h"
#include "engine/pipelines/chat-turn.h"
#include "protocol/chat-params.h"

G_BEGIN_DECLS

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

  /* What many kinds are given, and what they give. */
  GPtrArray *maps;       /* (owned) (nullable) AtlFileMap */
  GPtrArray *names;      /* (owned) (nullable) of them; terminated by NULL */
  guint n_own;           /* of them; those that only lie nearby come behind */
  GVariant *info;        /* (owned) (nullable) the result of loading and inspecting */
  GVariant *stats;       /* (owned) (nullable) the result of asking and drawing */
  gboolean is_continued; /* run() left the end to atl_job_end() */

  /* The rest is one kind's alone. */
  struct
  {
    guint n_ctx;
    guint n_threads;
    AtlDType kv_dtype;
    guint n_gpu_layers, n_cpu_experts;
    gboolean from_disk;
    GArray *strengths;           /* (owned) (nullable) double: of adapters */
    char *device;                /* (owned) */
    gboolean is_compiled;        /* the client says so */
    char *gpu_problem;           /* (owned) (nullable) why not */
    AtlChatModel *model;         /* until it moves into a slot; freed on the worker */
    AtlDiffusionModel *pictures; /* likewise */
    AtlUpscaler *upscaler;       /* likewise */
    char *name;                  /* (owned) what the person calls the files */
    gint64 progress_sent_at;
    guint idle_minutes;
  } load; /* and inspect */
  struct
  {
    char *text; /* (owned) */
    gboolean is_messages;
    AtlChatParams params;
    AtlTurnOptions options;
    double queued_s;
    AtlTextSender *sender; /* (owned) */
    gint64 prefill_sent_at;
  } ask;
  struct
  {
    GVariant *settings; /* (owned) */
    int room, preview;  /* descriptors for pixels; 0: none */
    GArray *sizes;      /* (owned) guint[2], parallel to maps: of raw pixels, else 0 */
    AtlDiffusionCost cost;
    char *runs_on;                       /* (owned) (nullable) where it was made */
    guint max_side;                      /* of a picture that is read */
    guint width, height;                 /* the result */
    char *phase;                         /* (owned) */
    gint64 step_ended_at;                /* monotonic: the first step, later when it rested */
    gint64 steps_ended_at;               /* 0: not yet */
    double step_seconds, decode_seconds; /* measured: one step, all behind the last one; 0: not */
    gint64 rested_us, next_preview_at;
    guint n_previews;
    gboolean is_paused; /* (mutex pause_mutex) */
    gint is_enough;     /* (atomic) ends with what is there */
    guint n_steps_done, n_steps;
    GPtrArray *loras; /* (owned) (nullable) AtlLora */
  } draw;             /* pictures: create, enlarge, read, judge */
  struct
  {
    gint64 deadline;  /* monotonic */
    GPtrArray *slots; /* (owned) AtlSlot */
  } keep;             /* chats in their files */
};

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

G_END_DECLS
