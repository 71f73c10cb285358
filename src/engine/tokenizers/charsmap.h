/* SentencePiece's precompiled character map: longest-prefix replacement by a double array.
 *
 * The blob is a 32-bit length, that many bytes of a Darts double array, then the replacements, each
 * ended by NUL. Every index it holds is checked when it is followed.
 *
 * Threading: immutable once built.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

typedef struct _AtlCharsmap AtlCharsmap;

/* Copies `data`. ATL_ERROR_BAD_FILE when the lengths contradict each other. */
AtlCharsmap *atl_charsmap_new (const guint8 *data, gsize size, GError **error);
void atl_charsmap_free (AtlCharsmap *self); /* accepts NULL */

/* Appends `text` with every longest known prefix replaced; valid UTF-8 in, valid UTF-8 out. */
void atl_charsmap_apply (const AtlCharsmap *self, const char *text, gsize len, GString *out);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlCharsmap, atl_charsmap_free)

G_END_DECLS
