/* The tables in a pickle, without running it.
 *
 *   g_autoptr (AtlPickle) pickle = atl_pickle_parse (bytes, size, name, &error);
 *   AtlPickleValue root = atl_pickle_root (pickle);
 *
 * A pickle (Python's pickletools, protocols 2 to 5) is a program for a small machine that builds
 * values. This machine knows numbers, texts, lists, tables, and what torch.save() writes of
 * tensors; a name of anything else (a class, a function) is refused, so nothing in the file is ever
 * called. Time is linear in the size of the pickle, and memory is bounded.
 *
 * Threading: immutable once made.
 */
#pragma once

#include "base/dtype.h"
#include "base/error.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_PICKLE_NOTHING, /* None, and values of which nothing is kept */
  ATL_PICKLE_INT,     /* number; True is 1 */
  ATL_PICKLE_FLOAT,
  ATL_PICKLE_TEXT,
  ATL_PICKLE_LIST, /* lists and tuples */
  ATL_PICKLE_TABLE,
  ATL_PICKLE_NAME,    /* of torch or collections; not handed out */
  ATL_PICKLE_STORAGE, /* dtype, key: where the bytes of tensors are */
  ATL_PICKLE_TENSOR,  /* items: storage, offset, shape, strides (in elements) */
} AtlPickleKind;

typedef struct _AtlPickle AtlPickle;
typedef guint AtlPickleValue; /* values are numbers of one pickle */

/* ATL_ERROR_BAD_FILE when it is damaged, ATL_ERROR_UNSUPPORTED when it names what this machine does
 * not know. `name` is for messages; texts are copied. */
AtlPickle *atl_pickle_parse (const guint8 *data, gsize size, const char *name, GError **error);
void atl_pickle_free (AtlPickle *self);

AtlPickleValue atl_pickle_root (const AtlPickle *self);
AtlPickleKind atl_pickle_kind (const AtlPickle *self, AtlPickleValue value);
gint64 atl_pickle_int (const AtlPickle *self, AtlPickleValue value);
/* Valid UTF-8 without NUL; borrowed. */
const char *atl_pickle_text (const AtlPickle *self, AtlPickleValue value);
/* Of a list, a table (twice its members: name, value, name, value …) or a tensor. */
guint atl_pickle_n_items (const AtlPickle *self, AtlPickleValue value);
AtlPickleValue atl_pickle_item (const AtlPickle *self, AtlPickleValue value, guint index);
/* Of a storage: type, the name of its bytes, elements. */
AtlDType
atl_pickle_storage (const AtlPickle *self, AtlPickleValue value, const char **key, gint64 *n_elems);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlPickle, atl_pickle_free)

G_END_DECLS
