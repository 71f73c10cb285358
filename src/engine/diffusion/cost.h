/* What a picture will take, before anything is loaded: the family's pipeline is walked with
 * backends that only count (tensor/rehearsal.h), so that every part, size and second pass is in it.
 *
 * Threading: one thread at a time; pictures may be made on another meanwhile.
 */
#pragma once

#include "engine/diffusion/family.h"

G_BEGIN_DECLS

/* How a run keeps within memory. */
typedef struct
{
  gboolean is_frugal; /* each part is freed once it is done */
  guint tile;         /* side of the autoencoder's tiles, px; 0: whole */
  /* The host's products read weights from their files, whose pages are memory that the system takes
   * back when it needs it, and a device is sent weights when it needs them: slower. */
  gboolean streams;
  guint64 keep;         /* then: bytes of a part's weights that stay on the device */
  AtlPartKinds on_host; /* beside a device: what the host computes */
} AtlDiffusionHow;

/* Work is in multiplications with an addition, memory in bytes. */
typedef struct
{
  guint width, height, frames;
  guint steps;                       /* of the schedule that are walked */
  double text, encode, step, decode; /* `step`: one step, all its passes */
  double total;                      /* text + encode + steps * step + decode */
  guint64 weights;                   /* of all parts that the run uses */
  guint64 largest;                   /* of the largest of them */
  guint64 peak;                      /* weights and working memory */
  guint64 peak_frugal;               /* the same with each part freed once it is done */
  guint64 resident;                  /* of the peak: what stays behind the run */
  guint64 host;                      /* beside those of a device, what the computer needs */
  guint64 host_resident;             /* of these: what stays behind the run */
  gboolean is_possible;              /* no single buffer is larger than the device gives */
} AtlDiffusionCost;

/* Walks `family`'s pipeline for a bundle whose parts are assigned. The bundle is not shared with a
 * run on another thread. `inputs` (nullable) and `loras` as for a run; pictures that must be there
 * and are not are grey. `cost`'s peak and peak_frugal are those of this way of running. Errors:
 * those of settings and files. */
gboolean atl_diffusion_rehearse (AtlBundle *bundle,
                                 const AtlDiffusionFamily *family,
                                 const char *pipeline,
                                 AtlBackend *const *backends,
                                 guint n_backends,
                                 const AtlSettings *settings,
                                 GPtrArray *inputs,
                                 const AtlLoraFile *loras,
                                 guint n_loras,
                                 const AtlDiffusionHow *how,
                                 AtlDiffusionCost *cost,
                                 GError **error);

G_END_DECLS
