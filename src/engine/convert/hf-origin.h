/* The other way round: what the authors' files call a tensor or key in GGUF's vocabulary, for
 * messages. Private to convert/.
 *
 *   HfOrigins *origins = hf_origins_new (&config);
 *   hf_origins_add (origins, "blk.0.attn_q", FALSE, parts);   model.layers.0.self_attn.q_proj.…
 *   name = hf_origins_find (origins, "blk.1.attn_q.weight");   "model.layers.1.self_attn.q_proj…"
 *
 * Threading: immutable once all names are added.
 */
#pragma once

#include "engine/convert/hf-settings.h"
#include "engine/convert/hf-source.h"

G_BEGIN_DECLS

typedef struct _HfOrigins HfOrigins;

/* `config` and what it points to must live as long. */
HfOrigins *hf_origins_new (const AtlHfConfig *config);
void hf_origins_free (HfOrigins *self);

/* That the parts of a module (AtlHfPart, NULL for those it has not) are called `gguf`, with
 * “.weight” or “.bias” after it but for a bare one. The first that is said of a name stays. */
void hf_origins_add (HfOrigins *self,
                     const char *gguf,
                     gboolean is_bare,
                     const AtlTensorInfo *const *parts);

/* What is not there is called as its like in another layer, else as the family's list has it; a key
 * as the setting that is there, else the first that it may come from. NULL for what has no other
 * name; the caller frees. An AtlOriginFunc. */
char *hf_origins_find (gconstpointer self, const char *gguf);

G_END_DECLS
