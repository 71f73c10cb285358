/* Tiny decoders that a person brings as files: copied to where every model finds them.
 *
 *   atl_tiny_decoders_take (pictures, path);
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/images/pictures-session.h"

G_BEGIN_DECLS

/* What comes of it, a notice tells; the model in use is loaded anew with it. */
void atl_tiny_decoders_take (AtlPicturesSession *pictures, const char *path);

G_END_DECLS
