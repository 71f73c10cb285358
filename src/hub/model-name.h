/* What a file name says about a model: shard numbers, and a name for people.
 *
 * Threading: any.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  char *stem;         /* (owned) without shard number and ending: "llama-70b" */
  const char *ending; /* ".gguf", ".safetensors" or ".pth"; static */
  guint shard;        /* from 1; 0: a single file */
  guint n_shards;     /* 0: a single file */
} AtlModelName;

/* FALSE when `name` (no folder) is not that of a model file, or is hidden. */
gboolean atl_model_name_parse (const char *name, AtlModelName *out);
void atl_model_name_clear (AtlModelName *name);

/* The file name of shard `shard` of the same model under another stem; the caller's. */
char *atl_model_name_format (const AtlModelName *name, const char *stem, guint shard);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlModelName, atl_model_name_clear)

G_END_DECLS
