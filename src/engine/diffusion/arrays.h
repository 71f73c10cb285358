/* What pipelines do with arrays between networks: copies, rows, joining, guidance.
 *
 * Threading: pure functions.
 */
#pragma once

#include "engine/tensor/array.h"

G_BEGIN_DECLS

/* One number, [1]. The caller's. */
AtlArray *atl_array_number (const char *name, double value);
AtlArray *atl_array_copy (const AtlArray *self, const char *name);
/* The same of what may be large. NULL where memory is out: ATL_ERROR_NO_MEMORY. */
AtlArray *atl_array_try_copy (const AtlArray *self, const char *name, GError **error);
/* The rows [first, first + n) of the outermost dimension. The caller's. */
AtlArray *atl_array_rows (const AtlArray *self, const char *name, gint64 first, gint64 n);
/* Joined along dimension `axis`; all other dimensions are equal. The caller's. */
AtlArray *atl_array_join (const char *name, guint axis, guint n, const AtlArray *const *arrays);
/* `negative` (nullable) before `positive` along the batch. The caller's. */
AtlArray *atl_array_batch (const char *name, const AtlArray *negative, const AtlArray *positive);
/* x = x * scale + shift. */
void atl_array_affine (AtlArray *self, float scale, float shift);
/* out = negative + scale * (positive - negative) for as many numbers as out has; out may be either.
 */
void atl_guide (AtlArray *out, const AtlArray *negative, const AtlArray *positive, double scale);
/* The same of a batch, [2, …] with the negative first; of one row, [1, …], a copy. */
void atl_guide_batch (AtlArray *out, const AtlArray *batch, double scale);
/* Guidance rescale (Lin et al. 2023, section 3.4): guided * (r * std(positive) / std(guided) +
 * 1 - r), standard deviations over everything but the batch of one. */
void atl_guidance_rescale (AtlArray *guided, const AtlArray *positive, double r);
/* Whether all of its numbers are numbers; TRUE of what is not float32. */
gboolean atl_array_is_finite (const AtlArray *self);
/* From -1…1 to 0…1, clamped. */
void atl_array_to_picture (AtlArray *self);

G_END_DECLS
