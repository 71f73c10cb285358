/* One network of a picture or clip model, or an encoder: a UNet, a transformer, a VAE, a text
 * encoder, a vision tower.
 *
 * A component takes named arrays and numbers and gives named arrays: exactly what its authors'
 * class takes and returns (docs: shared names of the golden cases). Pipelines, the golden runner
 * and tests all speak to it through this one door; its file in encoders/, vae/, image/, video/ has
 * the rest.
 *
 *   const AtlComponentClass *klass = atl_component_class_for (checkpoint);
 *   AtlComponent *unet = atl_component_load (klass, checkpoint, backends, n, &options, &error);
 *   AtlRequest *r = atl_request_new ("forward");
 *   atl_request_add (r, latent); atl_request_add (r, timestep); atl_request_add (r, context);
 *   GPtrArray *out = atl_component_run (unet, r, NULL, &error);       { "output" }
 *
 * Layout at this door is that of the origin (channels first: [batch, channels, (frames,) height,
 * width]); inside, pictures are channels last.
 *
 * Threading: one thread at a time per component.
 */
#pragma once

#include "engine/tensor/array.h"
#include "engine/tensor/weights.h"

G_BEGIN_DECLS

typedef struct _AtlComponent AtlComponent;
typedef struct _AtlRequest AtlRequest;
typedef struct _AtlComponentClass AtlComponentClass;
typedef struct _AtlSource AtlSource; /* blocks/source.h */
typedef struct _AtlRunner AtlRunner; /* blocks/runner.h */
typedef struct _AtlLoras AtlLoras;   /* blocks/lora.h */

/* --- Requests --- */

/* `function`: "forward", "vae_encode", "vae_decode", "encode_text", "encode_image", "upscale". */
AtlRequest *atl_request_new (const char *function);
void atl_request_free (AtlRequest *self);
const char *atl_request_function (const AtlRequest *self);
/* Asks for another function with the same arrays and numbers. */
void atl_request_set_function (AtlRequest *self, const char *function);
/* Takes the array. */
void atl_request_add (AtlRequest *self, AtlArray *array);
void atl_request_set_number (AtlRequest *self, const char *name, double value);
double atl_request_number (const AtlRequest *self, const char *name, double fallback);
/* NULL if absent; borrowed. */
AtlArray *atl_request_find (const AtlRequest *self, const char *name);
/* The same, the caller's: it is no longer in the request. */
AtlArray *atl_request_take (AtlRequest *self, const char *name);
/* All of them (element-type AtlArray*); borrowed. */
const GPtrArray *atl_request_arrays (const AtlRequest *self);
/* Absence, another number of dimensions or element type is ATL_ERROR_INVALID. Borrowed. */
AtlArray *atl_request_require (
    const AtlRequest *self, const char *name, AtlDType dtype, guint n_dims, GError **error);

typedef struct
{
  const char *name;
  guint n_dims;
} AtlNeededInput;
/* Several arrays of float32 in their order; as atl_request_require() of each. */
gboolean atl_request_require_all (const AtlRequest *self,
                                  const AtlNeededInput *needed,
                                  gsize n,
                                  AtlArray **arrays,
                                  GError **error);

/* --- Components --- */

typedef struct
{
  AtlCheckpoint *cp; /* borrowed */
  float scale;
} AtlLoraFile;

/* Which network a LoRA file's tensor is for. Tools number text encoders or do not. */
typedef enum
{
  ATL_LORA_IN_DENOISER = 1 << 0,
  ATL_LORA_IN_TEXT = 1 << 1,
  ATL_LORA_IN_TEXT_1 = 1 << 2,
  ATL_LORA_IN_TEXT_2 = 1 << 3,
  ATL_LORA_IN_TEXT_3 = 1 << 4,
  ATL_LORA_IN_ANY_TEXT =
      ATL_LORA_IN_TEXT | ATL_LORA_IN_TEXT_1 | ATL_LORA_IN_TEXT_2 | ATL_LORA_IN_TEXT_3,
} AtlLoraPlace;

/* Whether a tensor's name is that of a change of weights, and (out) of the text encoders'. */
gboolean atl_lora_is_change (const char *name, gboolean *of_text);

typedef struct
{
  const AtlLoraFile *loras; /* what changes the weights, in order */
  guint n_loras;
  /* (nullable) The part it is to play, where a file holds several networks of one class:
   * "text_encoder", "text_encoder_2". */
  const char *role;
  /* Less memory: the host's products read weights from the file, and a device is sent what is
   * beyond keep_bytes when it is needed. */
  gboolean in_file;
  guint64 keep_bytes;
  AtlProgressFunc progress; /* (nullable) */
  gpointer progress_data;
  GCancellable *cancellable; /* (nullable) */
} AtlLoadOptions;

/* What each network has; the first member of its struct. Made and freed by atl_component_load() and
 * atl_component_free(). */
typedef struct
{
  AtlWeights *weights; /* (owned) */
  AtlRunner *runner;   /* (owned) */
  AtlLoras *loras;     /* (owned) (nullable) */
} AtlNetwork;

struct _AtlComponentClass
{
  const char *name; /* "sd-unet" */
  /* NULL-terminated class names in configs ("_class_name", "architectures") and
   * general.architecture values that this class stands for. */
  const char *const *origins;
  /* Whether the names and shapes in a file without a configuration are this network's. A file may
   * hold several networks (an original Stable Diffusion file): each class says yes to it.
   * (nullable) */
  gboolean (*recognizes) (const AtlCheckpoint *cp);
  /* NULL-terminated functions it answers. */
  const char *const *functions;
  /* Of the struct that begins with an AtlNetwork; it comes to `read` zeroed. */
  gsize size;
  /* Which parts of LoRA files are this network's, of AtlLoraPlace; 0: it takes none. `read` may
   * leave fewer in the source. */
  guint lora_places;
  /* Sets the source's names, reads the configuration and asks the source for all weights. FALSE
   * with an error when the configuration makes no sense; the weights' mistakes are their table's,
   * looked at afterwards. */
  gboolean (*read) (gpointer model,
                    AtlSource *source,
                    AtlCheckpoint *cp,
                    const AtlLoadOptions *options,
                    GError **error);
  /* (nullable) Frees what the struct owns besides its network, which is gone by then; also after a
   * `read` that failed. */
  void (*clear) (gpointer model);
  gboolean (*run) (gpointer model,
                   const AtlRequest *request,
                   GPtrArray *outputs,
                   GCancellable *cancellable,
                   GError **error);
  /* (nullable, both or none) Instead of `read` and `clear`, for a model that is more than one table
   * of weights: makes and frees it whole. */
  gpointer (*load) (AtlCheckpoint *cp,
                    AtlBackend *const *backends,
                    guint n_backends,
                    const AtlLoadOptions *options,
                    GError **error);
  void (*free) (gpointer model);
};

/* All classes, NULL-terminated. Adding one is a line in component.c. */
const AtlComponentClass *const *atl_component_classes (void);
/* Whether the checkpoint says it is this class, or its names look like it. */
gboolean atl_component_class_claims (const AtlComponentClass *klass, const AtlCheckpoint *cp);
/* The class that answers `function` for this checkpoint: by `origin` (nullable: a class name the
 * caller knows), by the checkpoint's "_class_name"/"architectures"/"general.architecture", else by
 * recognising names. NULL with ATL_ERROR_UNSUPPORTED in words. */
const AtlComponentClass *atl_component_class_for (const AtlCheckpoint *cp,
                                                  const char *origin,
                                                  const char *function,
                                                  GError **error);

/* Adds the types of the weights that products and convolutions of a file's networks may read, as
 * 1 << AtlDType. */
void atl_component_dtypes (const AtlCheckpoint *cp, guint64 *matrices, guint64 *convs);

/* `backends` are borrowed, host last. options nullable. */
AtlComponent *atl_component_load (const AtlComponentClass *klass,
                                  AtlCheckpoint *cp,
                                  AtlBackend *const *backends,
                                  guint n_backends,
                                  const AtlLoadOptions *options,
                                  GError **error);
void atl_component_free (AtlComponent *self);
/* The same LoRA files as it was loaded with, with other strengths. FALSE where it must be loaded
 * anew for that. */
gboolean atl_component_set_lora_scales (AtlComponent *self, const AtlLoraFile *loras, guint n);
/* What LoRA files say of this network that it has no place for, in words; NULL without. */
const char *atl_component_notice (const AtlComponent *self);
/* A new set of arrays, the caller's. */
GPtrArray *atl_component_run (AtlComponent *self,
                              const AtlRequest *request,
                              GCancellable *cancellable,
                              GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlRequest, atl_request_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlComponent, atl_component_free)

G_END_DECLS
