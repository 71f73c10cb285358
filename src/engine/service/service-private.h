/* The inside of the service: its tables and its threads.
 *
 * Slots (slot.h) hold loaded models, jobs (job.h) are requests on their way, the ledger (ledger.h)
 * knows what takes memory. Beside them: load.h, keep.h, picture.h, picture-judge.h and, for the
 * methods themselves, handlers.h.
 */
#pragma once

#include "base/turnstile.h"
#include "engine/service/memory.h"
#include "engine/service/service.h"
#include "engine1.h"

G_BEGIN_DECLS

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
  guint device_state;      /* as last told */
  guint device_waited_ms;  /* by the device's driver, as last seen */
  guint device_silent_ms;  /* of that, what this process did not stand still for */
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

/* To the client; `params` is taken if floating. The main thread. */
void atl_service_emit (AtlService *self, const char *signal, GVariant *params);
/* Emits StatusChanged with the ledger as it is. The main thread. */
void atl_service_status_changed (AtlService *self);

G_END_DECLS
