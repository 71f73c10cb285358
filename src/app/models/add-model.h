/* What happens to a model file that a person brings: "Use it where it is" or "Copy it in", then it
 * is loaded. A folder offers the models in it.
 *
 *   atl_add_model (GTK_WINDOW (window), session, file);
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/session/session.h"

G_BEGIN_DECLS

/* TRUE for a name that may be a model: .gguf, .safetensors. */
gboolean atl_add_model_is_model_name (const char *name);
/* The same of a file, which may be the weights beside a description. */
gboolean atl_add_model_is_model (GFile *file);

/* `file` is a model file or a folder with models; words for anything else go to the session's
 * notices. A file that is in the library already is just loaded. */
void atl_add_model (GtkWindow *parent, AtlSession *session, GFile *file);

/* The file chooser for a model. */
void atl_add_model_choose (GtkWindow *parent, AtlSession *session);

G_END_DECLS
