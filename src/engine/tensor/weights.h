/* The weight table of a model: names, shapes and dtypes checked against the checkpoint, then placed
 * and uploaded.
 *
 *   AtlWeights *ws = atl_weights_new (cp);
 *   m->wq = atl_weights_add (ws, ATL_USE_LINEAR, il, 2, (gint64[]){ n_head * head_dim, n_embd },
 *                            "blk.%u.attn_q.weight", il);
 *
 * Like the graph builder it remembers the first mistake: `atl_weights_check` reports it at the end
 * of the table.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/tensor/backend.h"

G_BEGIN_DECLS

typedef struct _AtlWeights AtlWeights;

AtlWeights *atl_weights_new (AtlCheckpoint *cp);
void atl_weights_free (AtlWeights *self); /* drops uploads */

/* Whether the checkpoint has a tensor of this name. */
gboolean atl_weights_has (const AtlWeights *self, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* Required weight of exactly this shape; dimensions of size 1 at the end may be missing or extra
 * ([n, m, 1, 1] for [n, m]). A dim of -1 takes what the file has (at least 1). `layer` as in
 * AtlWeight. */
AtlWeight *atl_weights_add (AtlWeights *self,
                            AtlWeightUse use,
                            gint layer,
                            guint n_dims,
                            const gint64 *dim,
                            const char *format,
                            ...) G_GNUC_PRINTF (6, 7);
/* NULL without an error if absent; a present one must fit. */
AtlWeight *atl_weights_add_optional (AtlWeights *self,
                                     AtlWeightUse use,
                                     gint layer,
                                     guint n_dims,
                                     const gint64 *dim,
                                     const char *format,
                                     ...) G_GNUC_PRINTF (6, 7);
/* A weight made by the caller (merged, converted): f32 or any dtype; takes `bytes`. */
AtlWeight *atl_weights_add_bytes (AtlWeights *self,
                                  AtlWeightUse use,
                                  gint layer,
                                  AtlDType dtype,
                                  guint n_dims,
                                  const gint64 *dim,
                                  GBytes *bytes,
                                  const char *name);
/* A weight whose bytes `info->rows` makes; `info` is borrowed as long as the table is there. */
AtlWeight *
atl_weights_add_made (AtlWeights *self, AtlWeightUse use, gint layer, const AtlTensorInfo *info);
/* A weight that is rows [first, first + n) of another one's outermost dimension (fused qkv). */
AtlWeight *
atl_weights_add_rows (AtlWeights *self, AtlWeight *of, AtlWeightUse use, gint64 first, gint64 n);
/* Adds a use to a weight (tied output). */
void atl_weights_use (AtlWeight *weight, AtlWeightUse use);
/* Records a mistake found by the model itself. */
void atl_weights_fail (AtlWeights *self, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* The same about the LoRA `at`, as the error then says (base/error.h). */
void atl_weights_fail_lora (AtlWeights *self, guint at, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

/* Makes the bytes of a weight that no file holds as they are; called before every upload. FALSE
 * with ATL_ERROR_NO_MEMORY. */
gboolean atl_weight_make (AtlWeight *weight, GError **error);

/* Before they are uploaded to `backend`: with less memory, and slower. The host's products read
 * weights that lie in files there (AtlWeight.in_file), and those that are made of them are made for
 * each use (AtlWeight.streams). A device keeps the first `keep_bytes` of what makes up most of a
 * model and is sent the rest for each use. */
void atl_weights_save_memory (AtlWeights *self, AtlBackend *backend, guint64 keep_bytes);
/* Makes a weight's bytes if need be, uploads it, and lets go of what the host need not keep. */
gboolean atl_weight_send (AtlWeight *weight, AtlBackend *backend, GError **error);
/* Undoes sending. */
void atl_weight_withdraw (AtlWeight *weight, AtlBackend *backend);
/* FALSE with the first mistake. */
gboolean atl_weights_check (AtlWeights *self, GError **error);
AtlCheckpoint *atl_weights_checkpoint (AtlWeights *self);
guint atl_weights_n (const AtlWeights *self);
AtlWeight *atl_weights_get (const AtlWeights *self, guint i);

typedef void (*AtlProgressFunc) (double fraction, const char *phase, gpointer user_data);
/* Which backend a weight goes to; NULL = host (last). */
typedef AtlBackend *(*AtlPlaceFunc) (const AtlWeight *weight, gpointer user_data);

/* Uploads every weight to the backend that `place` names. Progress by bytes. On failure everything
 * uploaded so far is dropped. */
gboolean atl_weights_upload (AtlWeights *self,
                             AtlPlaceFunc place,
                             gpointer place_data,
                             AtlProgressFunc progress,
                             gpointer progress_data,
                             GCancellable *cancellable,
                             GError **error);

AtlState *atl_state_new (AtlBackend *backend,
                         const char *name,
                         AtlDType dtype,
                         guint n_dims,
                         const gint64 *dim,
                         GError **error); /* zeroed */
void atl_state_free (AtlState *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlWeights, atl_weights_free)

G_END_DECLS
