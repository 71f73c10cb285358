/* What the files that make a bundle share: its folders. For bundle*.c only.
 *
 * Threading: that of the bundle.
 */
#pragma once

#include "engine/diffusion/bundle.h"

G_BEGIN_DECLS

#define ATL_BUNDLE_NEARBY "nearby"

typedef struct
{
  char *role;                /* (owned) "" for files of the top */
  GPtrArray *maps, *names;   /* (owned) */
  AtlCheckpoint *checkpoint; /* (owned) once opened */
  AtlCheckpoint *plain;      /* (owned) the same under the names that stand in the files */
  AtlTokenizer *tokenizer;   /* (owned) once opened */
} AtlBundleFolder;

struct _AtlBundle
{
  GPtrArray *folders; /* (owned) AtlBundleFolder */
  GPtrArray *loose;   /* (owned) AtlCheckpoint of the top's weight files; NULL until asked for */
  GPtrArray *plain;   /* (owned) of the same files, those with other names there; as loose */
  GPtrArray *nearby, *nearby_plain; /* (owned) the same of files that lie nearby */
  GHashTable *given;   /* (owned) role -> AtlCheckpoint of a loose file, borrowed from loose */
  GHashTable *origins; /* (owned) role -> class name of the part, static */
  GHashTable *misfits; /* (owned) role -> AtlMisfit */
  AtlMisfit misfit;    /* of the part that is looked for; takes 0: none */
  GHashTable *json;    /* (owned) "role/file" -> JsonNode, or NULL when it is none */
};

/* NULL where no file has that role. Borrowed. */
AtlBundleFolder *atl_bundle_find_folder (const AtlBundle *self, const char *role);

G_END_DECLS
