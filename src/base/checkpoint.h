/* What a model sees of its files: named, typed, vetted tensors and typed metadata.
 *
 * A reader in engine/formats (GGUF, safetensors, sharded or single) builds one; a model in
 * engine/models reads one and never knows the format. Several files (shards) make one checkpoint.
 * Everything a checkpoint hands out was checked by the reader: the bytes of a tensor lie inside the
 * file and are exactly dims x dtype long, names are unique UTF-8, strings are terminated.
 *
 *   g_autoptr (AtlCheckpoint) cp = atl_gguf_open (map, error);
 *   const AtlTensorInfo *w = atl_checkpoint_find (cp, "token_embd.weight");
 *   guint64 n_layer;
 *   if (!atl_checkpoint_require_uint (cp, "llama.block_count", 1, 1024, &n_layer, error)) ...
 *
 * Metadata keys are those of the file: "llama.block_count" in GGUF; for a Hugging Face or diffusers
 * folder the members of config.json, nested ones joined by dots ("rope_scaling.factor").
 *
 * Threading: immutable once built; reference counting is atomic.
 */
#pragma once

#include "base/dtype.h"
#include "base/error.h"
#include "base/file-map.h"

G_BEGIN_DECLS

#define ATL_MAX_DIMS 5

typedef struct _AtlTensorInfo AtlTensorInfo;

/* Writes rows [first, first + n) of a tensor that no file holds in this form; a row is one run of
 * the innermost dimension. Called from several threads at a time. */
typedef void (*AtlRowsFunc) (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out);

typedef struct _AtlSortedTensor AtlSortedTensor;

struct _AtlTensorInfo
{
  const char *name;
  AtlDType dtype;
  guint n_dims;             /* 0 (a scalar) to ATL_MAX_DIMS */
  gint64 dim[ATL_MAX_DIMS]; /* row-major, outermost first (reversed with respect to GGUF's ne) */
  const guint8 *data;       /* may be unaligned; NULL: made on demand by `rows` */
  gsize size_bytes;
  AtlRowsFunc rows;              /* (nullable) */
  gconstpointer rows_data;       /* (nullable) for `rows`; the checkpoint keeps it alive */
  const AtlSortedTensor *sorted; /* (nullable) the same in fewer bytes; kept alive likewise */
};

/* A matrix whose columns stand in another order: column i is that of input order[i]; of a stack
 * [experts, out, in] that of input order[e * in + i]. Only products can use it, which put their
 * inputs into that order; everybody else reads the tensor that has it. */
struct _AtlSortedTensor
{
  AtlTensorInfo info;
  const guint32 *order; /* [in] or [experts, in], each row a permutation of 0 … in - 1 */
};

typedef enum
{
  ATL_META_BOOL,
  ATL_META_INT,  /* gint64 */
  ATL_META_UINT, /* guint64 */
  ATL_META_FLOAT,
  ATL_META_STRING,
  ATL_META_ARRAY, /* of one of the above, never nested */
} AtlMetaType;

typedef struct
{
  AtlMetaType type;
  guint8 width; /* bytes that a number, or each of a list, has in the file; 0: not said */
  union
  {
    gboolean v_bool;
    gint64 v_int;
    guint64 v_uint;
    double v_float;
    struct
    {
      const char *chars;
      gsize length;
    } v_string; /* terminated; may hold NUL inside */
    struct
    {
      AtlMetaType elem_type;
      gsize n;
      gpointer elems; /* gboolean*, gint64*, guint64*, double*, or GBytes-free char** */
      gsize *lengths; /* (nullable) of strings */
    } v_array;
  };
} AtlMetaValue;

typedef struct _AtlCheckpoint AtlCheckpoint;

/* --- Building (formats only) --- */

AtlCheckpoint *atl_checkpoint_new (const char *name);
/* Keeps `map` alive as long as the checkpoint. */
void atl_checkpoint_add_map (AtlCheckpoint *self, AtlFileMap *map);
/* Copies `info` and its name. FALSE with ATL_ERROR_BAD_FILE if the name is there already. */
gboolean atl_checkpoint_add_tensor (AtlCheckpoint *self, const AtlTensorInfo *info, GError **error);
/* Copies `value` and all it points to. FALSE with ATL_ERROR_BAD_FILE if the key is there. */
gboolean atl_checkpoint_add_meta (AtlCheckpoint *self,
                                  const char *key,
                                  const AtlMetaValue *value,
                                  GError **error);

/* Frees `data` with the checkpoint. */
void atl_checkpoint_take (AtlCheckpoint *self, gpointer data, GDestroyNotify destroy);
/* Keeps `base`, whose bytes this checkpoint's tensors show, alive as long as this one. */
void atl_checkpoint_set_base (AtlCheckpoint *self, AtlCheckpoint *base);

/* What the person's own files call a tensor or key that the checkpoint has, or should have, under
 * `name`; NULL when nothing else. The caller frees. */
typedef char *(*AtlOriginFunc) (gconstpointer data, const char *name);
/* For a checkpoint that was made from one in another vocabulary; `data` lives as long as it does.
 */
void atl_checkpoint_set_origin (AtlCheckpoint *self, AtlOriginFunc func, gconstpointer data);

/* --- Reading --- */

AtlCheckpoint *atl_checkpoint_ref (AtlCheckpoint *self);
void atl_checkpoint_unref (AtlCheckpoint *self);
const char *atl_checkpoint_name (const AtlCheckpoint *self);
guint atl_checkpoint_n_tensors (const AtlCheckpoint *self);
const AtlTensorInfo *atl_checkpoint_tensor (const AtlCheckpoint *self, guint index);
const AtlTensorInfo *atl_checkpoint_find (const AtlCheckpoint *self,
                                          const char *name); /* nullable */
/* Elements of a tensor. */
gint64 atl_tensor_info_n_elems (const AtlTensorInfo *info);
/* Rows of a tensor: the product of all dimensions but the innermost; 1 for a scalar. */
gint64 atl_tensor_info_n_rows (const AtlTensorInfo *info);
/* Copies rows, or makes them on all processors. */
void atl_tensor_info_read (const AtlTensorInfo *info, gint64 first_row, gint64 n_rows, guint8 *out);
/* Puts the names of the person's own files into a message that is about this checkpoint; nothing
 * where there is no error. */
void atl_checkpoint_say_origins (const AtlCheckpoint *self, GError *error);
/* Of all tensors, each in its smaller form. */
guint64 atl_checkpoint_weight_bytes (const AtlCheckpoint *self);
/* The checkpoint's map that `data` lies in; NULL: none. */
AtlFileMap *atl_checkpoint_map_of (const AtlCheckpoint *self, const guint8 *data);
/* Returns pages of a tensor that was copied elsewhere to the system. */
void atl_checkpoint_forget (const AtlCheckpoint *self, const AtlTensorInfo *info);

guint atl_checkpoint_n_meta (const AtlCheckpoint *self);
const char *atl_checkpoint_meta_key (const AtlCheckpoint *self, guint index);
const AtlMetaValue *atl_checkpoint_meta (const AtlCheckpoint *self, const char *key); /* nullable */

/* A number of any integer type inside [min, max]. `get` returns FALSE without an error when the key
 * is absent, and FALSE with ATL_ERROR_BAD_FILE when it is mistyped or out of range; `require` makes
 * absence an error too. */
gboolean atl_checkpoint_get_uint (const AtlCheckpoint *self,
                                  const char *key,
                                  guint64 min,
                                  guint64 max,
                                  guint64 *out,
                                  GError **error);
gboolean atl_checkpoint_require_uint (const AtlCheckpoint *self,
                                      const char *key,
                                      guint64 min,
                                      guint64 max,
                                      guint64 *out,
                                      GError **error);
/* A finite float (or integer) inside [min, max]; rules as above. */
gboolean atl_checkpoint_get_float (const AtlCheckpoint *self,
                                   const char *key,
                                   double min,
                                   double max,
                                   double *out,
                                   GError **error);
gboolean
atl_checkpoint_get_bool (const AtlCheckpoint *self, const char *key, gboolean *out, GError **error);
/* NULL when absent or no string; borrowed. */
const char *atl_checkpoint_get_string (const AtlCheckpoint *self, const char *key);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlCheckpoint, atl_checkpoint_unref)

G_END_DECLS
