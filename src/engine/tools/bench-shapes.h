/* Networks of picture and clip models with random weights in their real shapes.
 *
 * Threading: any; each checkpoint is the caller's.
 */
#pragma once

#include "base/checkpoint.h"
#include "engine/models/component.h"

G_BEGIN_DECLS

/* The known shapes, separated by commas; static. */
const char *bench_shape_names (void);
/* `spec` is "SHAPE" or "SHAPE:TYPE" (f16, bf16, f32, f8_e4m3, q8_0, q4_0 …; f16 if absent;
 * convolutions are f16 where the type has blocks). NULL without an error: there is no such shape.
 */
AtlCheckpoint *bench_shape_new (const char *spec, GError **error);
/* The arrays that the network in `cp` wants for a picture of so many pixels, or a clip. */
AtlRequest *bench_shape_request (const AtlComponentClass *klass,
                                 const AtlCheckpoint *cp,
                                 const char *function,
                                 guint width,
                                 guint height,
                                 guint frames);

G_END_DECLS
