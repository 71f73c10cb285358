/* The ledger's verdict: how a model fits into the memory that is free now, in numbers and words.
 *
 * Threading: any thread.
 */
#pragma once

#include "engine/pipelines/chat-model.h"

G_BEGIN_DECLS

typedef struct
{
  guint n_ctx; /* 0: ATL_DEFAULT_N_CTX of the protocol, shrunk to fit */
  AtlDType kv_dtype;
  guint64 ram_free; /* bytes */
  guint64 ram_total;
  guint64 vram_free;  /* of the device that will be used, beside ram_free; 0: none of its own */
  const char *device; /* (nullable) its name */
  gboolean from_disk; /* what does not fit may be read from the disk while it answers */
} AtlFitRequest;

typedef struct
{
  gboolean fits;
  guint n_ctx; /* chosen */
  AtlChatMemory memory;
  guint64 needed_bytes;
  guint64 weight_budget; /* of the weights that may be copied; 0: all, nothing is read from the disk
                          */
  char *words;           /* why it fits or not, and what would; never NULL */
  char *notice;          /* (nullable) what was changed so that it fits */
} AtlFit;

/* What is left to the desktop of a machine's `total` memory, so that a model never freezes it. */
guint64 atl_fit_reserve (guint64 total);

/* What a device adds to the computer's free memory: nothing where it has none of its own. */
void atl_fit_add_device (AtlFitRequest *request, const AtlBackend *device);

/* FALSE when the model's own numbers make no sense (the estimate's error). */
gboolean atl_fit_judge (const AtlChatModel *model,
                        const AtlFitRequest *request,
                        AtlFit *fit,
                        GError **error);
void atl_fit_clear (AtlFit *fit);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlFit, atl_fit_clear)

G_END_DECLS
