/* The shapes of pictures, such as "3:2". Which sizes in pixels they have for a model, the engine
 * says (AtlModelInfo.sizes).
 *
 * Threading: pure functions.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What is offered while there is no model: NULL-terminated, the square first. Static. */
const char *const *atl_picture_shapes (void);

/* Width by height of "3:2"; 1 of what is no shape. */
double atl_picture_shape_ratio (const char *shape);

/* The multiple of `multiple` that is nearest to `size`, from one to as many as 4096 px hold. */
guint atl_picture_round_side (double size, guint multiple);

G_END_DECLS
