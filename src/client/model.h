/* A model that was loaded: the handle to ask it with. It outlives the engine process.
 *
 * When the engine is lost the handle stays, `is-loaded` turns FALSE, and the next request starts
 * the engine and loads the model again by itself, unless this model ended the engine three times.
 * Dropping the last reference does not unload: see atl_client_unload_async().
 *
 * Threading: the thread that owns the client's main context.
 */
#pragma once

#include "client/model-info.h"

G_BEGIN_DECLS

/* After so many crashes a model is loaded again only when the person insists. */
#define ATL_MODEL_MAX_CRASHES 3u

typedef struct
{
  guint n_ctx;         /* 0: ATL_DEFAULT_N_CTX, shrunk to fit with a notice */
  const char *kv_type; /* (nullable) "f16" (the default), "q8_0", "q4_0" */
  const char *device;  /* (nullable) "auto" (the default), "cpu", "gpu" */
  gint gpu_layers;     /* -1: as many as fit */
  gint cpu_experts;    /* layers, from the first, whose experts stay on the CPU; -1: as must */
  guint n_threads;     /* 0: all cores */
  gboolean insist;     /* the person asked for it: forget earlier crashes */
  gboolean from_disk;  /* what does not fit into memory may be read from the disk, far slower */
  guint idle_minutes;  /* the engine unloads it when it is unused for so long; 0: it stays */
  /* (nullable) Adapters (LoRA), ended by NULL: a .gguf or .safetensors file or PEFT's folder, and
   * its strength after a colon: "/home/ada/pirate.gguf:0.8". Without one it is 1. */
  const char *const *adapters;
  /* (nullable) A smaller model with the same vocabulary, a file or a folder, whose guesses the
   * model checks several at a time: faster, the same text. */
  const char *draft;
} AtlLoadOptions;

#define ATL_LOAD_OPTIONS_INIT                                                                      \
  {                                                                                                \
    0, NULL, NULL, -1, -1, 0, FALSE, FALSE, 0, NULL, NULL                                          \
  }

#define ATL_TYPE_MODEL (atl_model_get_type ())
G_DECLARE_FINAL_TYPE (AtlModel, atl_model, ATL, MODEL, GObject)

/* Properties: "is-loaded" (boolean, notifies), "info" (AtlModelInfo, notifies after a reload). */

const AtlModelInfo *atl_model_get_info (AtlModel *self); /* borrowed */
gboolean atl_model_get_is_loaded (AtlModel *self);
/* What names the model for crash counting: the path of its first file; borrowed. */
const char *atl_model_get_key (AtlModel *self);
/* The files as given to atl_client_load_model_async(), terminated by NULL; borrowed. */
const char *const *atl_model_get_paths (AtlModel *self);

/* What it was loaded with, or is when it is asked next; borrowed. */
const AtlLoadOptions *atl_model_get_options (AtlModel *self);

/* As AtlLoadOptions.adapters, those that it is loaded with, NULL where there are none; borrowed. */
const char *const *atl_model_get_adapters (AtlModel *self);

/* For how long nobody has asked it anything: 0 while somebody does, G_MAXINT64 where nobody ever
 * did. */
gint64 atl_model_get_unused_us (AtlModel *self);

/* The path of "PATH[:STRENGTH]", the caller's; `strength` (out, nullable) is 1 where it says none.
 */
char *atl_adapter_parse (const char *text, double *strength);

G_END_DECLS
