/* Writes a language model as a GGUF file in other types of weights.
 *
 *   AtlRequant job = { .cp = cp, .extra = vocabulary, .mix = atl_mix_find ("Q4_K_M") };
 *   atl_requant_write (&job, "out.gguf", &summary, error);
 *
 * All metadata are kept. Rows are read, made floats, quantised on all processors and written as
 * they come, so that memory stays small whatever the size of the model; what has the wanted type
 * already is copied as it is.
 *
 * Threading: one call at a time per job; the progress function is called on the caller's thread.
 */
#pragma once

#include "engine/convert/mixes.h"

G_BEGIN_DECLS

typedef struct
{
  AtlCheckpoint *cp;          /* in GGUF's vocabulary (convert/hf.h) */
  const AtlCheckpoint *extra; /* (nullable) metadata to add where `cp` has none */
  const AtlMix *mix;          /* NULL: every tensor keeps its type, scaled fp8 its half precision */
  guint64 split_bytes;        /* 0, or how large the parts of a split file may be */
  GCancellable *cancellable;  /* (nullable) */
  void (*progress) (double fraction, const char *tensor, gpointer data); /* (nullable) */
  gpointer progress_data;
} AtlRequant;

typedef struct
{
  guint64 bytes_before, bytes_after; /* of weights; of the file */
  guint64 n_weights;
  guint n_tensors, n_requantized; /* those that were quantised already: they lose twice */
  guint n_other_type;             /* got half precision, as no block divides their rows */
  guint n_shorter_blocks;         /* got another type than the mix's, whose blocks do divide them */
  guint n_parts;                  /* 1: one file; else "name-00001-of-0000N.gguf" and so on */
} AtlRequantSummary;

/* ATL_ERROR_BUSY when `path` is there already, ATL_ERROR_FULL when its disk has no room,
 * ATL_ERROR_UNSUPPORTED naming a tensor that cannot be written, G_IO_ERROR_CANCELLED; in all cases
 * nothing is left behind. A part holds one tensor at least, whatever its size; the first has the
 * metadata, as llama.cpp splits files. */
gboolean atl_requant_write (const AtlRequant *self,
                            const char *path,
                            AtlRequantSummary *summary,
                            GError **error);

G_END_DECLS
