/* The machine that builds the values of a pickle, opcode by opcode (Python's pickletools.py). */
#define G_LOG_DOMAIN "atl-formats"

#include "engine/formats/pickle-private.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/formats/format-error.h"

#define MAX_VALUES (1u << 20)
/* Of a storage's name in the archive: PyTorch counts them. Each storage has its own. */
#define MAX_KEY_BYTES 255

static void
machine_clear (PickleMachine *self)
{
  g_clear_pointer (&self->stack, g_array_unref);
  g_clear_pointer (&self->memo, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (PickleMachine, machine_clear)

/* What a name does when it is called. */
typedef enum
{
  CALL_STORAGE, /* a type of storages; never called */
  CALL_TABLE,
  CALL_TENSOR,
  CALL_SAME,    /* its first argument */
  CALL_NOTHING, /* a value that no weights need */
} Call;

static const struct
{
  const char *module, *name;
  Call call;
  AtlDType dtype;
} globals[] = {
  { "torch", "FloatStorage", CALL_STORAGE, ATL_DTYPE_F32 },
  { "torch", "HalfStorage", CALL_STORAGE, ATL_DTYPE_F16 },
  { "torch", "BFloat16Storage", CALL_STORAGE, ATL_DTYPE_BF16 },
  { "torch", "DoubleStorage", CALL_STORAGE, ATL_DTYPE_F64 },
  { "torch", "LongStorage", CALL_STORAGE, ATL_DTYPE_I64 },
  { "torch", "IntStorage", CALL_STORAGE, ATL_DTYPE_I32 },
  { "torch", "ShortStorage", CALL_STORAGE, ATL_DTYPE_I16 },
  { "torch", "CharStorage", CALL_STORAGE, ATL_DTYPE_I8 },
  { "torch", "ByteStorage", CALL_STORAGE, ATL_DTYPE_U8 },
  { "torch", "BoolStorage", CALL_STORAGE, ATL_DTYPE_BOOL },
  { "torch._utils", "_rebuild_tensor_v2", CALL_TENSOR, 0 },
  { "torch._utils", "_rebuild_tensor", CALL_TENSOR, 0 },
  { "torch._utils", "_rebuild_parameter", CALL_SAME, 0 },
  { "torch", "Size", CALL_SAME, 0 },
  { "collections", "OrderedDict", CALL_TABLE, 0 },
  { "torch", "device", CALL_NOTHING, 0 },
  { "torch", "float32", CALL_NOTHING, 0 },
  { "torch", "float16", CALL_NOTHING, 0 },
  { "torch", "bfloat16", CALL_NOTHING, 0 },
  { "_codecs", "encode", CALL_NOTHING, 0 },
  { "numpy", "dtype", CALL_NOTHING, 0 },
  { "numpy.core.multiarray", "scalar", CALL_NOTHING, 0 },
  { "numpy._core.multiarray", "scalar", CALL_NOTHING, 0 },
};

static gboolean
damaged (const PickleMachine *self, GError **error)
{
  return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                          _ ("%s: the list of its tensors (data.pkl) is damaged"), self->name);
}

/* --- Names and calls --- */

static gboolean
push_name (PickleMachine *self, const char *module, const char *name, GError **error)
{
  g_autofree char *whole = NULL, *shown = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (globals); i++)
    if (strcmp (globals[i].module, module) == 0 && strcmp (globals[i].name, name) == 0)
      {
        pickle_push_new (self, (PickleValue){ .kind = ATL_PICKLE_NAME, .global = i });
        return TRUE;
      }
  whole = g_strconcat (module, ".", name, NULL);
  shown = atl_format_excerpt (whole, strlen (whole));
  return atl_format_fail (error, ATL_ERROR_UNSUPPORTED,
                          _ ("%s holds more than weights: it wants to have “%s” run. Nothing in it "
                             "was run; the same model as a .safetensors file works"),
                          self->name, shown);
}

/* A line of text; NULL when there is none. */
static char *
take_line (PickleMachine *self)
{
  const char *line = (const char *) self->p;
  const char *stop = memchr (line, '\n', (gsize) (self->end - self->p));

  if (stop == NULL || !g_utf8_validate_len (line, (gsize) (stop - line), NULL))
    return NULL;
  self->p = (const guint8 *) stop + 1;
  return g_strndup (line, (gsize) (stop - line));
}

static gboolean
read_global (PickleMachine *self, GError **error)
{
  g_autofree char *module = take_line (self);
  g_autofree char *name = module != NULL ? take_line (self) : NULL;

  return name != NULL ? push_name (self, module, name, error) : damaged (self, error);
}

static gboolean
stack_global (PickleMachine *self, GError **error)
{
  AtlPickleValue name, module;
  const PickleValue *n, *m;

  if (!pickle_pop (self, &name) || !pickle_pop (self, &module))
    return damaged (self, error);
  n = pickle_value_at (self->pickle, name);
  m = pickle_value_at (self->pickle, module);
  if (n->kind != ATL_PICKLE_TEXT || m->kind != ATL_PICKLE_TEXT)
    return damaged (self, error);
  return push_name (self, m->text, n->text, error);
}

/* ("storage", type, key, device, elements). */
static gboolean
push_storage (PickleMachine *self)
{
  AtlPickleValue id;
  const PickleValue *tuple, *type, *key, *count;
  PickleValue storage = { .kind = ATL_PICKLE_STORAGE };

  if (!pickle_pop (self, &id))
    return FALSE;
  tuple = pickle_value_at (self->pickle, id);
  if (tuple->kind != ATL_PICKLE_LIST || tuple->items->len < 5)
    return FALSE;
  type = pickle_value_at (self->pickle, g_array_index (tuple->items, AtlPickleValue, 1));
  key = pickle_value_at (self->pickle, g_array_index (tuple->items, AtlPickleValue, 2));
  count = pickle_value_at (self->pickle, g_array_index (tuple->items, AtlPickleValue, 4));
  if (type->kind != ATL_PICKLE_NAME || globals[type->global].call != CALL_STORAGE ||
      key->kind != ATL_PICKLE_TEXT || strlen (key->text) > MAX_KEY_BYTES ||
      count->kind != ATL_PICKLE_INT || count->number < 0)
    return FALSE;
  storage.dtype = globals[type->global].dtype;
  storage.text = g_strdup (key->text);
  storage.number = count->number;
  pickle_push_new (self, storage);
  return TRUE;
}

static gboolean
call (PickleMachine *self)
{
  AtlPickleValue args_at, name_at;
  const PickleValue *args, *name;

  if (!pickle_pop (self, &args_at) || !pickle_pop (self, &name_at))
    return FALSE;
  args = pickle_value_at (self->pickle, args_at);
  name = pickle_value_at (self->pickle, name_at);
  if (args->kind != ATL_PICKLE_LIST || name->kind != ATL_PICKLE_NAME)
    return FALSE;
  switch (globals[name->global].call)
    {
    case CALL_TABLE:
      return args->items->len == 0 &&
             pickle_push_list (self, ATL_PICKLE_TABLE, pickle_values_new ());
    case CALL_TENSOR:
      {
        GArray *items = pickle_values_new ();

        if (args->items->len >= 4)
          g_array_append_vals (items, args->items->data, 4);
        return pickle_push_list (self, ATL_PICKLE_TENSOR, items) && items->len == 4;
      }
    case CALL_SAME:
      if (args->items->len == 0)
        return FALSE;
      pickle_push (self, g_array_index (args->items, AtlPickleValue, 0));
      return TRUE;
    case CALL_NOTHING:
      pickle_push_new (self, (PickleValue){ .kind = ATL_PICKLE_NOTHING });
      return TRUE;
    case CALL_STORAGE:
    default:
      return FALSE;
    }
}

/* State beside a value, such as the versions of its modules: nothing that weights need. */
static gboolean
build (PickleMachine *self)
{
  AtlPickleValue state;
  AtlPickleKind kind;

  if (!pickle_pop (self, &state) || self->stack->len == 0)
    return FALSE;
  state = g_array_index (self->stack, AtlPickleValue, self->stack->len - 1);
  if (state == PICKLE_MARK)
    return FALSE;
  kind = atl_pickle_kind (self->pickle, state);
  return kind == ATL_PICKLE_TABLE || kind == ATL_PICKLE_TENSOR || kind == ATL_PICKLE_NOTHING;
}

/* --- The memory of values --- */

static gboolean
put (PickleMachine *self, guint64 slot)
{
  AtlPickleValue top = PICKLE_MARK;

  if (self->stack->len > 0)
    top = g_array_index (self->stack, AtlPickleValue, self->stack->len - 1);
  if (top == PICKLE_MARK || slot > G_MAXUINT)
    return FALSE;
  g_hash_table_insert (self->memo, GUINT_TO_POINTER ((guint) slot), GUINT_TO_POINTER (top));
  return TRUE;
}

static gboolean
get (PickleMachine *self, guint64 slot)
{
  gpointer value;

  if (slot > G_MAXUINT ||
      !g_hash_table_lookup_extended (self->memo, GUINT_TO_POINTER ((guint) slot), NULL, &value))
    return FALSE;
  pickle_push (self, GPOINTER_TO_UINT (value));
  return TRUE;
}

/* --- Opcodes --- */

/* Those that push numbers and texts; *known is FALSE for others. */
static gboolean
step_atom (PickleMachine *self, guint8 op, gboolean *known)
{
  guint64 n = 0;

  *known = TRUE;
  switch (op)
    {
    case 'N':
    case 0x8f: /* a set */
      pickle_push_new (self, (PickleValue){ .kind = ATL_PICKLE_NOTHING });
      return TRUE;
    case 0x88:
    case 0x89:
      pickle_push_int (self, op == 0x88);
      return TRUE;
    case 'K':
    case 'M':
      if (!pickle_take_uint (self, op == 'K' ? 1 : 2, &n))
        return FALSE;
      pickle_push_int (self, (gint64) n);
      return TRUE;
    case 'J':
      if (!pickle_take_uint (self, 4, &n))
        return FALSE;
      pickle_push_int (self, (gint32) (guint32) n);
      return TRUE;
    case 'G':
      pickle_push_new (self, (PickleValue){ .kind = ATL_PICKLE_FLOAT });
      return pickle_take_uint (self, 8, &n);
    case 0x8a:
      return pickle_push_long (self, 1);
    case 0x8b:
      return pickle_push_long (self, 4);
    case 'X':
    case 'T':
      return pickle_push_text (self, 4);
    case 0x8c:
    case 'U':
      return pickle_push_text (self, 1);
    case 0x8d:
      return pickle_push_text (self, 8);
    case 'B':
      return pickle_push_bytes (self, 4);
    case 'C':
      return pickle_push_bytes (self, 1);
    case 0x8e:
      return pickle_push_bytes (self, 8);
    default:
      *known = FALSE;
      return TRUE;
    }
}

/* Those that build lists and tables and remember values. */
static gboolean
step_build (PickleMachine *self, guint8 op, gboolean *known)
{
  AtlPickleValue dropped;
  guint64 n = 0;

  *known = TRUE;
  switch (op)
    {
    case '(':
      pickle_push (self, PICKLE_MARK);
      return TRUE;
    case '0':
      return pickle_pop (self, &dropped);
    case '1':
      {
        g_autoptr (GArray) items = pickle_pop_to_mark (self);
        return items != NULL;
      }
    case ')':
    case ']':
      return pickle_push_list (self, ATL_PICKLE_LIST, pickle_values_new ());
    case '}':
      return pickle_push_list (self, ATL_PICKLE_TABLE, pickle_values_new ());
    case 't':
    case 'l':
      return pickle_push_list (self, ATL_PICKLE_LIST, pickle_pop_to_mark (self));
    case 'd':
      return pickle_push_list (self, ATL_PICKLE_TABLE, pickle_pop_to_mark (self));
    case 0x85:
    case 0x86:
    case 0x87:
      return pickle_push_tuple (self, op - 0x84u);
    case 'a':
      return pickle_append_last (self, ATL_PICKLE_LIST, 1);
    case 's':
      return pickle_append_last (self, ATL_PICKLE_TABLE, 2);
    case 'e':
    case 0x90:
      return pickle_append (self, ATL_PICKLE_LIST, pickle_pop_to_mark (self));
    case 'u':
      return pickle_append (self, ATL_PICKLE_TABLE, pickle_pop_to_mark (self));
    case 'b':
      return build (self);
    case 'Q':
      return push_storage (self);
    case 'R':
    case 0x81:
      return call (self);
    case 'q':
    case 'r':
      return pickle_take_uint (self, op == 'q' ? 1 : 4, &n) && put (self, n);
    case 0x94:
      return put (self, g_hash_table_size (self->memo));
    case 'h':
    case 'j':
      return pickle_take_uint (self, op == 'h' ? 1 : 4, &n) && get (self, n);
    case 0x80: /* version */
      return pickle_take_uint (self, 1, &n) && n >= 2 && n <= 5;
    case 0x95: /* frame */
      return pickle_take_uint (self, 8, &n);
    default:
      *known = FALSE;
      return TRUE;
    }
}

static gboolean
run (PickleMachine *self, GError **error)
{
  gboolean known;
  guint8 op;

  while (self->p < self->end)
    {
      op = *self->p++;
      /* An opcode is a byte, what it leaves on the stack or in the memory is more. */
      if (self->pickle->values->len >= MAX_VALUES || self->stack->len >= MAX_VALUES ||
          g_hash_table_size (self->memo) >= MAX_VALUES)
        return atl_format_fail (error, ATL_ERROR_UNSUPPORTED,
                                _ ("%s: the list of its tensors is larger than any model's"),
                                self->name);
      if (op == '.')
        return (pickle_pop (self, &self->pickle->root) && self->stack->len == 0) ||
               damaged (self, error);
      if (op == 'c' || op == 0x93)
        {
          if (!(op == 'c' ? read_global (self, error) : stack_global (self, error)))
            return FALSE;
          continue;
        }
      if (!step_atom (self, op, &known) || (!known && (!step_build (self, op, &known) || !known)))
        return damaged (self, error);
    }
  return damaged (self, error);
}

AtlPickle *
atl_pickle_parse (const guint8 *data, gsize size, const char *name, GError **error)
{
  g_autoptr (AtlPickle) pickle = g_new0 (AtlPickle, 1);
  g_auto (PickleMachine) self = { .p = data, .end = data + size, .name = name, .pickle = pickle };

  pickle->values = g_array_new (FALSE, FALSE, sizeof (PickleValue));
  g_array_set_clear_func (pickle->values, pickle_value_clear);
  self.stack = pickle_values_new ();
  self.memo = g_hash_table_new (NULL, NULL);
  return run (&self, error) ? g_steal_pointer (&pickle) : NULL;
}

void
atl_pickle_free (AtlPickle *self)
{
  if (self == NULL)
    return;
  g_array_unref (self->values);
  g_free (self);
}

AtlPickleValue
atl_pickle_root (const AtlPickle *self)
{
  return self->root;
}

AtlPickleKind
atl_pickle_kind (const AtlPickle *self, AtlPickleValue value)
{
  return pickle_value_at (self, value)->kind;
}

gint64
atl_pickle_int (const AtlPickle *self, AtlPickleValue value)
{
  return pickle_value_at (self, value)->number;
}

const char *
atl_pickle_text (const AtlPickle *self, AtlPickleValue value)
{
  return pickle_value_at (self, value)->text;
}

guint
atl_pickle_n_items (const AtlPickle *self, AtlPickleValue value)
{
  return pickle_value_at (self, value)->items->len;
}

AtlPickleValue
atl_pickle_item (const AtlPickle *self, AtlPickleValue value, guint index)
{
  return g_array_index (pickle_value_at (self, value)->items, AtlPickleValue, index);
}

AtlDType
atl_pickle_storage (const AtlPickle *self, AtlPickleValue value, const char **key, gint64 *n_elems)
{
  const PickleValue *v = pickle_value_at (self, value);

  *key = v->text;
  *n_elems = v->number;
  return v->dtype;
}
