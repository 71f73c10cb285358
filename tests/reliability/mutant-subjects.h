/* The files that mutants are made of: those of small models of the source's own, and of those that
 * lie unpacked elsewhere. */
#pragma once

#include <glib.h>

typedef struct
{
  char *original; /* the changed file, as it was */
  gsize size;
  gsize head; /* what is not weights */
  char *path; /* what is changed */
  char *load; /* what is loaded: the file, or its folder */
  gboolean draws, is_lora;
} MutantSubject;

/* Copies into `scratch` (element-type MutantSubject), in an order: of the families that come with
 * the source, or of all in the folder $ATELIER_GOLDEN. */
GPtrArray *mutant_subjects_find (const char *scratch);
/* Unpacks what comes with the source, runs the tests, removes it. */
int mutant_subjects_run (void);
