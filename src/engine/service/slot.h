/* A loaded model, and what it takes: a chat model, one that makes pictures, or one that enlarges
 * them.
 *
 * Threading: `n_jobs` is the main thread's; the model is used under the lock: workers that read
 * take it shared, unloading exclusively.
 */
#pragma once

#include "engine/diffusion/model.h"
#include "engine/diffusion/upscale.h"
#include "engine/pipelines/chat-model.h"
#include "engine/service/devices.h"
#include "engine/service/service.h"

G_BEGIN_DECLS

/* Files of a model's conversations: keep.h. */
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
  guint64 mapped_bytes; /* (atomic) of these, pages of the file that the system counts as free */
  guint idle_minutes;   /* unloaded when unused for so long; 0: stays */
  gint64 used_at;       /* (atomic) monotonic: the last turn's end */
  /* Of pictures, measured on the drawing thread: seconds for a unit of work (AtlDiffusionCost) in
   * steps, and after them; 0: not yet. */
  double step_rate, decode_rate;
  AtlService *service;   /* borrowed */
  AtlKeepTable *keeping; /* (owned) */
} AtlSlot;

#define ATL_NOT_LOADED_WORDS N_ ("This model is not loaded any more")

AtlSlot *atl_slot_ref (AtlSlot *self);
void atl_slot_unref (AtlSlot *self);
/* What a person calls its model; there is one. With its lock. */
const char *atl_slot_name (const AtlSlot *self);
/* With its lock. */
gboolean atl_slot_has_model (const AtlSlot *self);
/* Inside the turnstile or while it is loaded: what it takes, as told to others. */
void atl_slot_note_memory (AtlSlot *self);
/* On a worker: moves a slot whose GPU failed to the CPU. */
gboolean atl_slot_move_to_cpu (AtlSlot *self, AtlDevices *devices, GError **error);

G_END_DECLS
