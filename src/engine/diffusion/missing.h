/* What a model's files lack, and which published files would do: a single file from the web has no
 * vocabulary, often no text encoder and no autoencoder.
 *
 *   g_autoptr (GArray) missing = atl_missing_parts (bundle, family);
 *   for each AtlMissingPart: fetch repository/file and add it to the model's files as `name`
 *
 * Threading: as the bundle's.
 */
#pragma once

#include "engine/diffusion/family.h"

G_BEGIN_DECLS

typedef struct
{
  const char *role;  /* "text_encoder_2", "tokenizer" */
  const char *words; /* for people, translated: "the text encoder T5" */
  /* Published at Hugging Face; several files of one role come one after another. NULL where none is
   * known that fits. */
  const char *repository, *file;
  char *name;         /* (owned) (nullable) what it is called among the model's files */
  guint64 size_bytes; /* 0: not known */
  /* (owned) (nullable) A file that was given and is not it, and why: "the text encoder T5 has to
   * give 4096 numbers, and this one gives 512"; translated. */
  char *misfit_file, *misfit;
  /* It works without. Where no file is published besides, it is only taken when a person brings
   * one. */
  gboolean is_optional;
} AtlMissingPart;

/* AtlMissingPart, the caller's; empty when nothing is missing, a vocabulary of what it also draws
 * without apart. Looks at names, and at text encoders
 * that may hold their vocabularies. */
GArray *atl_missing_parts (AtlBundle *bundle, const AtlDiffusionFamily *family);
/* Whether the vocabulary of a text encoder's role is there, in its own folder or in the encoder's
 * file. */
gboolean atl_has_vocabulary (AtlBundle *bundle, const char *encoder);
/* The same for files that are no bundle yet, and what is optional behind it: of a whole model only
 * what a person may bring. NULL with an error when they are not even the beginning of one. */
GArray *
atl_missing_for (AtlFileMap *const *maps, const char *const *names, guint n, GError **error);
/* "the text encoder T5 (REPOSITORY, FILE), …" for a refusal, and why files that were given are none
 * of them; NULL when the list is empty. The caller's. */
char *atl_missing_to_words (const GArray *missing);
/* Files that were given as optional parts, which none of them fits or whose vocabulary is missing,
 * in words; NULL without. The caller's. */
char *atl_missing_unused (AtlBundle *bundle, const AtlDiffusionFamily *family);

G_END_DECLS
