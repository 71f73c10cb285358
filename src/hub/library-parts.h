/* Parts of pictures' models in the library, beside the denoisers that share them. Private to hub/.
 *
 * Threading: any thread; blocks on the disk.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Whether two files are the same one, or of one size and equal wherever they were compared. */
gboolean atl_library_is_same (const char *path, const char *other);
/* "ae.safetensors", "ae (2).safetensors" in `folder`; the caller's. */
char *atl_library_numbered (const char *folder, const char *base, guint number);

/* Whether a folder is the library's, or its folder of denoisers: a model in it is our own. */
gboolean atl_library_is_place (const char *folder);
/* Puts links to the parts beside the denoiser at `path` into folders of the library, hard ones
 * where the disk allows. What is there already is not put there again; a different file of the same
 * name gets a number. What cannot be linked is left out: loading names it as missing. */
void atl_library_share_parts (const char *path);

G_END_DECLS
