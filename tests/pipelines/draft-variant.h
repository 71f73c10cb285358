/* Copies of tiny models that guess badly, or have another vocabulary: for tests of draft models.
 *
 *   path = draft_variant_write (folder, "llm-llama2", &(DraftVariant){ .draft = DRAFT_HOSTILE });
 */
#pragma once

#include <glib.h>

typedef enum
{
  DRAFT_NONE,
  DRAFT_SAME,    /* the model's own file */
  DRAFT_HOSTILE, /* the least likely token is its guess, and it is sure of it */
  DRAFT_BLIND,   /* the guess has nothing to do with the text */
  DRAFT_BROKEN,  /* no number is one */
  N_DRAFTS
} Draft;

typedef struct
{
  Draft draft;
  gint n_more;      /* tokens at the end of the vocabulary */
  const char *more; /* what these are called, before a number */
  gboolean renamed; /* the first mark is called otherwise */
} DraftVariant;

/* A changed copy of the family's model in `folder`; the caller frees the path. */
char *draft_variant_write (const char *folder, const char *family, const DraftVariant *v);
