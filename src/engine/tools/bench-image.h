/* `atelier-cli bench --image`: how long a network of pictures or clips takes for one pass.
 *
 *   BenchImagePlan plan = { .width = 512, .height = 512, .frames = 1, .n_repeats = 3 };
 *   bench_image_run (&plan, "sd15-unet:f16", backends, n_backends, &error);
 *
 * Threading: call from main.
 */
#pragma once

#include "engine/tensor/backend.h"

G_BEGIN_DECLS

typedef struct
{
  guint width, height, frames; /* pixels, in multiples of 16; frames of a clip */
  guint n_repeats;
  gboolean json;
} BenchImagePlan;

/* `what` is a shape of bench-shapes.h or a file; of a file that holds a denoiser and an autoencoder
 * both are measured. Prints the median of the seconds of a pass, multiplications with an addition a
 * second and their share of what the tiles reach, seconds by kind of operation (of a device from a
 * pass more, in which each is waited for; what falls back to the host is among them), and the
 * memory at its peak while it was loaded and run, the mapped file not counted. */
gboolean bench_image_run (const BenchImagePlan *plan,
                          const char *what,
                          AtlBackend **backends,
                          guint n_backends,
                          GError **error);

G_END_DECLS
