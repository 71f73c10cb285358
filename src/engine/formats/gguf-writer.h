/* Writes GGUF files (version 3): metadata, the table of tensors, then their bytes in that order.
 *
 *   g_autoptr (AtlGgufWriter) w = atl_gguf_writer_new ("out.gguf", error);
 *   atl_gguf_writer_add_meta (w, key, value);                        for each
 *   atl_gguf_writer_add_tensor (w, name, dtype, n_dims, dim);        for each
 *   atl_gguf_writer_begin (w, error);
 *   atl_gguf_writer_append (w, bytes, n, error);                     in the order of the table
 *   atl_gguf_writer_finish (w, error);
 *
 * The file grows without a name (under a hidden one beside its place where the file system knows no
 * such files) and takes its own when it is complete and on the disk; freed before that, or ended by
 * whatever ends the program, nothing of it remains. A file that is there is never replaced.
 *
 * Threading: one thread.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

typedef struct _AtlGgufWriter AtlGgufWriter;

/* ATL_ERROR_BUSY when something has that name already; ATL_ERROR_INVALID when the folder cannot be
 * written. */
AtlGgufWriter *atl_gguf_writer_new (const char *path, GError **error);
void atl_gguf_writer_free (AtlGgufWriter *self);

/* Numbers keep the width that they had in a file; others become u32 or u64, i32 or i64, f32. */
void atl_gguf_writer_add_meta (AtlGgufWriter *self, const char *key, const AtlMetaValue *value);

/* `dim` outermost first; 1 to 4 dimensions, the last a multiple of the type's block. */
void atl_gguf_writer_add_tensor (
    AtlGgufWriter *self, const char *name, AtlDType dtype, guint n_dims, const gint64 *dim);

/* Bytes of the whole file, once all is added. */
guint64 atl_gguf_writer_size (const AtlGgufWriter *self);

/* Whether the disk has room for the file and `more` bytes (other parts of it): ATL_ERROR_FULL in
 * words. */
gboolean atl_gguf_writer_check_room (const AtlGgufWriter *self, guint64 more, GError **error);

/* Looks whether the disk has room (ATL_ERROR_FULL in words), then writes what comes before the
 * bytes of the tensors. */
gboolean atl_gguf_writer_begin (AtlGgufWriter *self, GError **error);

/* The next bytes; tensors follow each other, and padding is put in where one ends. */
gboolean atl_gguf_writer_append (AtlGgufWriter *self, const guint8 *bytes, gsize n, GError **error);

/* After the last byte of the last tensor. ATL_ERROR_BUSY when somebody took the name meanwhile. */
gboolean atl_gguf_writer_finish (AtlGgufWriter *self, GError **error);

/* Takes a finished file away again, as one part of several that will not be complete. */
void atl_gguf_writer_undo (AtlGgufWriter *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlGgufWriter, atl_gguf_writer_free)

G_END_DECLS
