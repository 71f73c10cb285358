/* The parts of the GGUF reader: a bounded cursor, the metadata, the tensor table.
 *
 * Layout of a file, all little endian:
 *
 *   "GGUF" | version u32 | n_tensors | n_pairs | pairs | tensor infos | padding | tensor data
 *
 * Counts, lengths and dimensions have 32 bits in version 1 and 64 bits since version 2.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

/* More than any model has (160,000 tensors in the largest mixture of experts), and few enough for
 * the tables to stay small. */
#define ATL_GGUF_MAX_TENSORS (1u << 18)
#define ATL_GGUF_MAX_PAIRS (1u << 16)
#define ATL_GGUF_MAX_KEY_BYTES 65535
/* Decoded metadata: a vocabulary of 500,000 entries with its merges takes about half of this. */
#define ATL_GGUF_MAX_META_BYTES (64u << 20)
#define ATL_GGUF_MAX_ALIGNMENT (1u << 20)

typedef struct
{
  const guint8 *data;
  gsize size;
  gsize at;
  const char *file; /* for messages */
  guint version;
} AtlGgufCursor;

typedef struct
{
  AtlGgufCursor cursor; /* after the pairs */
  AtlFileMap *map;
  guint64 n_tensors;
  guint64 n_pairs;
  guint64 alignment;
} AtlGgufFile;

/* Each reads one thing and moves on; `what` names it in the message when the file ends before. */
gboolean
atl_gguf_take (AtlGgufCursor *self, gsize n, const char *what, const guint8 **out, GError **error);
gboolean atl_gguf_u32 (AtlGgufCursor *self, const char *what, guint32 *out, GError **error);
gboolean atl_gguf_u64 (AtlGgufCursor *self, const char *what, guint64 *out, GError **error);
/* A count, length or dimension: 32 or 64 bits by version. */
gboolean atl_gguf_count (AtlGgufCursor *self, const char *what, guint64 *out, GError **error);
/* Borrows the bytes from the map; they are not terminated. */
gboolean atl_gguf_string (
    AtlGgufCursor *self, const char *what, const char **chars, gsize *length, GError **error);
static inline gsize
atl_gguf_remaining (const AtlGgufCursor *self)
{
  return self->size - self->at;
}

/* The numbers of the format for types of metadata and of tensors. */
typedef enum
{
  ATL_GGUF_U8,
  ATL_GGUF_I8,
  ATL_GGUF_U16,
  ATL_GGUF_I16,
  ATL_GGUF_U32,
  ATL_GGUF_I32,
  ATL_GGUF_F32,
  ATL_GGUF_BOOL,
  ATL_GGUF_STRING,
  ATL_GGUF_ARRAY,
  ATL_GGUF_U64,
  ATL_GGUF_I64,
  ATL_GGUF_F64,
  ATL_GGUF_N_TYPES
} AtlGgufType;
/* -1 for a type that the format does not have. */
gint atl_gguf_id_of_dtype (AtlDType dtype);

/* Reads the pairs into `cp`, and the alignment. */
gboolean atl_gguf_read_meta (AtlGgufFile *self, AtlCheckpoint *cp, GError **error);

/* Reads the tensor table, vets every entry against the file and adds the tensors to `cp`.
 * `architecture` (nullable) decides which limits on names and dimensions hold. */
gboolean atl_gguf_read_tensors (AtlGgufFile *self,
                                const char *architecture,
                                AtlCheckpoint *cp,
                                GError **error);

G_END_DECLS
