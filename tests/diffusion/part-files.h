/* Files as parts of models are told by: enough names and shapes, all of zeros.
 *
 *   PartFiles files;
 *   part_files_init (&files);
 *   part_files_add_t5 (&files, "t5.safetensors", 4096, FALSE);
 *   bundle = part_files_assign (&files, &atl_family_flux);
 *   part_files_clear (&files);
 */
#pragma once

#include "engine/diffusion/family-list.h"

typedef struct
{
  char *folder;            /* (owned) */
  GPtrArray *maps, *names; /* (owned) */
} PartFiles;

void part_files_init (PartFiles *self);
void part_files_clear (PartFiles *self);
/* `logical` is what the engine is told the file as. */
void part_files_add_bytes (PartFiles *self, const char *logical, const char *bytes, gsize n);
/* A safetensors file: `n` names and [rows, columns] of F32; rows 0: vectors. */
void part_files_add (PartFiles *self,
                     const char *logical,
                     guint n,
                     const char *const *tensors,
                     guint rows,
                     guint columns);
/* Encoders that give `width` numbers. */
void part_files_add_t5 (PartFiles *self, const char *logical, guint width, gboolean is_umt5);
void part_files_add_clip (PartFiles *self, const char *logical, guint width);
/* A denoiser that reads `width` numbers a token. */
void part_files_add_chroma (PartFiles *self, const char *logical, guint width);
/* The files as parts of that family; the caller's. */
AtlBundle *part_files_assign (PartFiles *files, const AtlDiffusionFamily *family);
