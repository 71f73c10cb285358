/* Parts of pictures' models in the library, beside the denoisers that share them. Private to hub/.
 *
 * Threading: any thread; blocks on the disk.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Whether a folder is the library's, or its folder of denoisers: a model in it is our own. */
gboolean atl_library_is_place (const char *folder);
/* Puts links to the parts beside the denoiser at `path` into folders of the library, hard ones
 * where the disk allows. What is there already is not put there again; a different file of the same
 * name gets a number. What cannot be linked is left out: loading names it as missing. */
void atl_library_share_parts (const char *path);

G_END_DECLS
