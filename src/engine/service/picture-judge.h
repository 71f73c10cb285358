/* Whether a picture fits into memory, and how; and what it costs.
 *
 * Threading: any.
 */
#pragma once

#include "engine/diffusion/fit.h"
#include "engine/service/slot.h"

G_BEGIN_DECLS

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

G_END_DECLS
