/* What every job for a loaded model does: it waits until the model is in the engine, asks, asks
 * once more when the model was unloaded meanwhile, and ends exactly once. Embedded in the job's
 * object. Private to client/.
 *
 *   static const AtlJobClass job_class = { loading, NULL, ask, take_signal, failed };
 *   atl_job_init (&self->job, self, &job_class);
 *   atl_job_set (&self->job, client, model);
 *   atl_job_begin (&self->job);                // ask() follows, or failed()
 *   ... in ask():
 *   atl_job_call (&self->job, "Chat", params, NULL);
 *   ... in failed(), and where it finishes:
 *   if (atl_job_end (&self->job))
 *     g_signal_emit (…);
 *
 * Threading: the client's thread.
 */
#pragma once

#include "client/client-private.h"

G_BEGIN_DECLS

/* What differs; `owner` is the object. */
typedef struct
{
  /* The model is being loaded; (nullable). */
  void (*loading) (gpointer owner, double fraction, const char *phase);
  /* Whether nothing has come yet, so that asking again changes nothing; NULL: always. */
  gboolean (*is_fresh) (gpointer owner);
  /* The model is there: time for atl_job_call(). */
  void (*ask) (gpointer owner);
  /* A signal of the engine for this job, but for "Failed". */
  void (*take_signal) (gpointer owner, const char *name, GVariant *params);
  /* It cannot go on; G_IO_ERROR_CANCELLED when it was stopped before it was asked. */
  void (*failed) (gpointer owner, const GError *error);
} AtlJobClass;

typedef struct
{
  AtlRequest request; /* its owner is the object */
  const AtlJobClass *klass;
  AtlClient *client;         /* (owned) */
  AtlModel *model;           /* (owned) */
  GCancellable *cancellable; /* (owned) of what comes before it is asked */
  guint asked_id;            /* the model's number in the engine then */
  gboolean is_running, is_stopping;
  gboolean was_refused; /* the engine had unloaded the model meanwhile */
} AtlJob;

/* It is running from now on; `owner` is borrowed. */
void atl_job_init (AtlJob *self, gpointer owner, const AtlJobClass *klass);
/* What it asks, and which model; references are taken. Once. */
void atl_job_set (AtlJob *self, AtlClient *client, AtlModel *model);
/* For the owner's finalize: the engine is not asked to stop. */
void atl_job_clear (AtlJob *self);

/* Has the model loaded if it is not; ask() follows later, or failed(). */
void atl_job_begin (AtlJob *self);
/* `params` (floating taken) and `fds` (nullable) as the method has them. */
void atl_job_call (AtlJob *self, const char *method, GVariant *params, GUnixFDList *fds);
/* Whether the engine knows of it: it was asked and has not ended. */
gboolean atl_job_is_asked (const AtlJob *self);
/* FALSE when it had ended before, or is being stopped. */
gboolean atl_job_stop (AtlJob *self);
/* FALSE when it had ended before. */
gboolean atl_job_end (AtlJob *self);

G_END_DECLS
