/* Checkpoints that torch.save() wrote (.pth, .pt, .bin, .ckpt), read without running anything.
 *
 *   if (atl_torch_is_torch (data, size))
 *     cp = atl_torch_open (maps, n, &error);
 *
 * A ZIP archive of "data.pkl", which names the tensors, and "data/KEY", their bytes (PyTorch
 * ≥ 1.6). The tensors are those of the outermost table or, where that has one, of the table
 * "params_ema", "params", "state_dict" or "model" in it; other entries are left out. The older
 * form, a bare pickle, is refused (formats/file-kind.h).
 *
 * Threading: any thread; the result is immutable.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

/* Whether it begins like such an archive. */
gboolean atl_torch_is_torch (const guint8 *data, gsize size);

/* One checkpoint of `n` files, as one or all the parts of one. ATL_ERROR_BAD_FILE when something
 * does not fit the file, ATL_ERROR_UNSUPPORTED when it holds other than tensors. */
AtlCheckpoint *atl_torch_open (AtlFileMap *const *maps, guint n, GError **error);

G_END_DECLS
