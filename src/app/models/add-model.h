/* Which files look like models, and the file chooser for one. What happens to a file that was
 * brought is models/model-adder.h's.
 *
 *   if (atl_add_model_is_model (file))
 *     atl_model_adder_bring (atl_model_adder_get (session), GTK_WINDOW (window), &file, 1);
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/session/session.h"

G_BEGIN_DECLS

/* TRUE for a name that models have (.gguf, .safetensors, .sft, .pth, ncnn's .param), in letters of
 * either case, and for weights (.bin) that have their description beside them. Looks at the folder;
 * reads no file. */
gboolean atl_add_model_is_model (GFile *file);

/* Asks for one or more files and brings them as if they had been dropped on `parent`. */
void atl_add_model_choose (GtkWindow *parent, AtlSession *session);

G_END_DECLS
