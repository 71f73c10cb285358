/* Normally distributed noise from a seed: the numbers that torch.randn gives on a CPU after
 * torch.manual_seed, so that a recipe made elsewhere begins with the same noise.
 *
 *   AtlNoise *noise = atl_noise_new (42);
 *   atl_noise_fill (noise, x, n);
 *
 * Mersenne twister (mt19937, seeded by its low 32 bits), 24-bit uniforms; runs of sixteen values
 * become normal by Box and Muller's transform, eight radii and eight angles each, the last run
 * drawn anew when n is no multiple of sixteen. Below sixteen values: pairs from 53-bit uniforms.
 * Source: PyTorch 2.13, aten/src/ATen/native/cpu/DistributionTemplates.h, ATen/core/
 * TransformationHelper.h, read as documentation; checked against torch's numbers.
 *
 * Threading: one thread at a time per AtlNoise.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _AtlNoise AtlNoise;

AtlNoise *atl_noise_new (guint64 seed);
void atl_noise_free (AtlNoise *self);
/* x[n] = unit normal noise. */
void atl_noise_fill (AtlNoise *self, float *x, gsize n);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlNoise, atl_noise_free)

G_END_DECLS
