/* What a file is, told by how it begins, so that a person hears at once what cannot be used and
 * why.
 *
 *   const char *words;
 *   if (atl_content_kind (bytes, n, &words) == ATL_CONTENT_OTHER) ... "“%s” is %s." name, words
 *
 * Threading: any, but the words follow the language of the main thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The beginning of a file that is looked at. */
#define ATL_CONTENT_LOOK_BYTES 4096

typedef enum
{
  ATL_CONTENT_TEXT,  /* or nothing that is known: whether it is text its bytes must tell */
  ATL_CONTENT_MODEL, /* that can be opened, by itself or in its folder */
  ATL_CONTENT_PICTURE,
  ATL_CONTENT_OTHER, /* known, and of no use here */
} AtlContentKind;

/* `words` (out, nullable): what it is called in a sentence, "a PDF document"; static, translated.
 * NULL where nothing is known. */
AtlContentKind atl_content_kind (const char *bytes, gsize n_bytes, const char **words);

G_END_DECLS
