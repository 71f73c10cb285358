/* From descriptors to a slot, and back to free memory.
 *
 * Threading: the compute thread, unless said.
 */
#pragma once

#include "engine/service/fit.h"
#include "engine/service/job.h"

G_BEGIN_DECLS

/* --- load-arguments.c --- */

/* The beginning of Inspect and LoadModel, on the main thread: a job with files and options that
 * will be run on a worker; NULL when it was refused, and the call answered. */
AtlJob *atl_load_begin (AtlService *service,
                        guint request,
                        GDBusMethodInvocation *invocation,
                        GUnixFDList *fds,
                        GVariant *files,
                        GVariant *options,
                        gboolean (*run) (AtlJob *, GError **),
                        void (*done) (AtlJob *, const GError *));

/* --- inspect.c: on a worker --- */

/* What the files are, into job->load.model, job->load.pictures or job->load.upscaler. Errors in
 * words. */
gboolean atl_load_open (AtlJob *job, GError **error);
/* Whether job->load.model fits; `free_bytes` (out) are free, or become so when what is idle goes.
 */
gboolean atl_load_judge (AtlJob *job, AtlFit *fit, guint64 *free_bytes, GError **error);
/* What is told about a chat model, a{sv} with ATL_INFO_*. The caller's. */
GVariant *atl_load_info (const AtlChatModel *model,
                         const AtlFit *fit,
                         guint64 free_bytes,
                         const char *runs_on);

/* --- programs.c --- */

/* On the compute thread: whether the GPU has the programs that a model needs. If not, either the
 * client is asked (job->info is set), or the CPU takes over, or the load fails. */
gboolean atl_job_check_programs (AtlJob *job, const AtlOpenclNeeds *needs, GError **error);

/* --- adapters.c --- */

/* Strengths (ad, nullable) of adapters into the job. */
void atl_job_take_strengths (AtlJob *self, GVariant *strengths);
/* job->load.strengths into the model. ATL_ERROR_INVALID for another number of them. */
gboolean atl_job_set_strengths (AtlJob *self, AtlChatModel *model, GError **error);

/* --- unload.c --- */

/* On the compute thread: frees the model of the job's slot. */
gboolean atl_job_unload (AtlJob *job, GError **error);

G_END_DECLS
