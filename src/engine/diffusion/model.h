/* A model that makes pictures or clips: the door of this room.
 *
 *   g_autoptr (AtlDiffusionModel) model = atl_diffusion_model_open (maps, names, n, NULL, error);
 *   atl_diffusion_model_use (model, backends, n_backends);
 *   atl_settings_set_string (settings, "prompt", "a red fox");
 *   GPtrArray *out = atl_diffusion_model_run (model, settings, inputs, NULL, NULL, error);
 *   atl_arrays_find (out, "image")                                    [1, 3, H, W] in 0…1
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/diffusion/cost.h"

G_BEGIN_DECLS

typedef struct _AtlDiffusionModel AtlDiffusionModel;

/* Looks at names and configurations; loads nothing. `pipeline` (nullable) names the class where a
 * bundle serves several. Errors: ATL_ERROR_UNSUPPORTED, ATL_ERROR_BAD_FILE, ATL_ERROR_NOT_FOUND
 * naming the missing part. */
AtlDiffusionModel *atl_diffusion_model_open (AtlFileMap *const *maps,
                                             const char *const *names,
                                             guint n,
                                             const char *pipeline,
                                             GError **error);
void atl_diffusion_model_free (AtlDiffusionModel *self);

/* What it is and what it can do; borrowed, valid as long as the model, immutable. */
const AtlDiffusionFamily *atl_diffusion_model_family (const AtlDiffusionModel *self);
const AtlTraits *atl_diffusion_model_traits (const AtlDiffusionModel *self);

/* Where it computes; borrowed, the host's last, and they outlive the model. What is loaded on
 * others is freed; LoRAs stay. */
void atl_diffusion_model_use (AtlDiffusionModel *self, AtlBackend *const *backends, guint n);
/* What such a run takes when it is made in that way, in cost->peak; otherwise like the next. */
gboolean atl_diffusion_model_rehearse (AtlDiffusionModel *self,
                                       AtlBackend *const *backends,
                                       guint n_backends,
                                       const AtlSettings *settings,
                                       GPtrArray *inputs,
                                       const AtlDiffusionHow *how,
                                       AtlDiffusionCost *cost,
                                       GError **error);
/* What a run with these settings and inputs (nullable) takes on those backends (NULL: those in
 * use). Loads nothing; the answer for a request is kept, so that asking again is quick. Any thread,
 * also while a picture is made. Errors: those of settings and files. */
gboolean atl_diffusion_model_cost (AtlDiffusionModel *self,
                                   AtlBackend *const *backends,
                                   guint n_backends,
                                   const AtlSettings *settings,
                                   GPtrArray *inputs,
                                   AtlDiffusionCost *cost,
                                   GError **error);
/* Types of the weights that products and convolutions of its parts may read, 1 << AtlDType, also
 * those of LoRAs: what a device's programs are compiled for. Any thread. */
void atl_diffusion_model_dtypes (AtlDiffusionModel *self, guint64 *matrices, guint64 *convs);
/* Frees all weights; the next run loads them again. */
void atl_diffusion_model_drop (AtlDiffusionModel *self);

/* How the next runs keep within memory; what is loaded is kept when it can be. After
 * atl_diffusion_model_use(). */
void atl_diffusion_model_set_how (AtlDiffusionModel *self, const AtlDiffusionHow *how);
/* See atl_parts_set_loras. After atl_diffusion_model_use(). */
gboolean atl_diffusion_model_set_loras (AtlDiffusionModel *self, const AtlLoraFile *loras, guint n);
/* Bytes of those that are set, which prices hold. Any thread. */
guint64 atl_diffusion_model_lora_bytes (AtlDiffusionModel *self);

/* One picture or clip. The setting "vae_tile" (px, 0: whole) makes the autoencoder work in tiles.
 * `inputs` (nullable) are borrowed. hooks nullable. The results are the caller's: "image" or
 * "video", "final_latent". */
GPtrArray *atl_diffusion_model_run (AtlDiffusionModel *self,
                                    const AtlSettings *settings,
                                    GPtrArray *inputs,
                                    const AtlRunHooks *hooks,
                                    GCancellable *cancellable,
                                    GError **error);

/* Within hooks.step: what its latent will look like, roughly and in little time (preview.h). The
 * caller's `rgb` [height, width, 3], neither side larger than max_side. FALSE where nothing can be
 * seen in it. */
gboolean atl_diffusion_model_preview (AtlDiffusionModel *self,
                                      const AtlArray *latent,
                                      guint max_side,
                                      guint8 **rgb,
                                      guint *width,
                                      guint *height);

/* The class of the schedule that the last run took (see schedule.h); NULL before. Borrowed. */
const char *atl_diffusion_model_sampler (const AtlDiffusionModel *self);
/* Steps that the last run computed; it may have left out others (the setting "faster"). */
guint atl_diffusion_model_n_computed (const AtlDiffusionModel *self);
/* How it left them out (the setting "faster_method"); NULL where it computed all. Static. */
const char *atl_diffusion_model_method (const AtlDiffusionModel *self);
/* Seconds that the last run spent on loading parts. */
double atl_diffusion_model_load_seconds (const AtlDiffusionModel *self);
/* Whether the parts of the last run stay for the next one. Any thread. */
gboolean atl_diffusion_model_is_warm (const AtlDiffusionModel *self);
/* What its LoRAs would change that the parts loaded so far do not have, and files that were given
 * as parts and do not fit, in words; NULL without. The caller frees. */
char *atl_diffusion_model_notice (const AtlDiffusionModel *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlDiffusionModel, atl_diffusion_model_free)

G_END_DECLS
