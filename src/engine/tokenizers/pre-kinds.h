/* Well-known pre-tokenisers: by the name a GGUF file gives, by the pattern a tokenizer.json holds.
 *
 * Threading: any thread.
 */
#pragma once

#include "engine/tokenizers/pre-tokenizer.h"

G_BEGIN_DECLS

/* The scanner that equals `pattern`, or NULL; static. */
const AtlScan *atl_pre_kind_of_pattern (const char *pattern);

/* What llama.cpp ties to a name besides its patterns. */
typedef struct
{
  gboolean ignore_merges;
  gboolean add_bos;     /* unless the file says otherwise */
  gboolean plain_chars; /* pieces are plain text with U+2581 for a space, not GPT-2 letters */
} AtlPreTraits;

/* All FALSE for a name that is not known. */
AtlPreTraits atl_pre_kind_traits (const char *name);

/* The first name of the kind that has exactly these scanners and treats whole words so; NULL when
 * there is none. Static. */
const char *atl_pre_kind_of_scans (const AtlScan *const *scans, guint n, gboolean ignore_merges);

G_END_DECLS
