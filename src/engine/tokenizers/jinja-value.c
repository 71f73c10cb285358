/* Containers of the template language, and what values mean to each other: truth, equality, order.
 */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-value.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#define MAX_NESTING 100
/* Dicts of up to so many entries are searched in order. */
#define SMALL_DICT 8

/* --- Lists --- */

JList *
j_list_new (JHeap *heap, gsize cap)
{
  JList *list = j_new (heap, JList, 1);

  list->items = cap > 0 ? j_new (heap, JValue, cap) : NULL;
  list->cap = cap;
  return list;
}

void
j_list_insert (JHeap *heap, JList *list, gsize at, JValue value)
{
  if (list->n == list->cap)
    {
      gsize cap = MAX (4, list->cap * 2);

      list->items = j_grow (heap, list->items, list->cap, cap, sizeof (JValue));
      list->cap = cap;
    }
  if (at < list->n)
    {
      j_work (heap, (list->n - at) / 16);
      memmove (list->items + at + 1, list->items + at, (list->n - at) * sizeof (JValue));
    }
  list->items[at] = value;
  list->n++;
}

void
j_list_append (JHeap *heap, JList *list, JValue value)
{
  j_list_insert (heap, list, list->n, value);
}

JValue
j_list_remove (JList *list, gsize at)
{
  JValue value = list->items[at];

  memmove (list->items + at, list->items + at + 1, (list->n - at - 1) * sizeof (JValue));
  list->n--;
  return value;
}

JValue
j_tuple2 (JHeap *heap, JValue a, JValue b)
{
  JList *list = j_list_new (heap, 2);

  list->items[0] = a;
  list->items[1] = b;
  list->n = 2;
  return (JValue){ .kind = J_TUPLE, .list = list };
}

JValue
j_iter (JHeap *heap, JValue *items, gsize n)
{
  JIter *iter = j_new (heap, JIter, 1);

  iter->items = items;
  iter->n = n;
  return (JValue){ .kind = J_ITER, .iter = iter };
}

/* --- Dicts --- */

gboolean
j_hashable (JValue value)
{
  switch (value.kind)
    {
    case J_LIST:
    case J_DICT:
    case J_VIEW:
      return FALSE;
    case J_TUPLE:
      for (gsize i = 0; i < value.list->n; i++)
        if (!j_hashable (value.list->items[i]))
          return FALSE;
      return TRUE;
    default:
      return TRUE;
    }
}

static guint
hash_bytes (const char *bytes, gsize n)
{
  guint hash = 2166136261u;

  for (gsize i = 0; i < n; i++)
    hash = (hash ^ (guint8) bytes[i]) * 16777619u;
  return hash;
}

static guint
hash_value (JHeap *heap, JValue value, guint depth)
{
  double number;
  guint hash;

  j_work (heap, 1);
  if (depth > MAX_NESTING)
    j_throw_limit (heap, _ ("a tuple is nested too deeply to be a key"));
  switch (value.kind)
    {
    case J_STR:
      j_work (heap, value.str->n_bytes / 16);
      return hash_bytes (value.str->bytes, value.str->n_bytes);
    case J_BOOL:
    case J_INT:
    case J_FLOAT:
      /* True, 1 and 1.0 are one key. Large integers may share a hash, never an equality. */
      j_number (value, &number);
      number = number == 0.0 ? 0.0 : number;
      return hash_bytes ((const char *) &number, sizeof number);
    case J_TUPLE:
      hash = 17;
      for (gsize i = 0; i < value.list->n; i++)
        hash = hash * 31 + hash_value (heap, value.list->items[i], depth + 1);
      return hash;
    case J_NONE:
    case J_UNDEFINED:
      return value.kind;
    case J_LIST:
    case J_DICT:
    case J_VIEW:
      j_throw (heap, _ ("unhashable type: '%s'"), j_type_name (value));
    default:
      return g_direct_hash (value.pointer);
    }
}

JDict *
j_dict_new (JHeap *heap)
{
  return j_new (heap, JDict, 1);
}

static void
build_index (JHeap *heap, JDict *dict)
{
  gsize size = dict->index_size;

  if (dict->n <= SMALL_DICT)
    {
      dict->index = NULL;
      dict->index_size = 0;
      return;
    }
  if (dict->index == NULL || dict->n * 2 > size)
    {
      for (size = 32; size < dict->cap * 2;)
        size *= 2;
      dict->index = j_new (heap, guint32, size);
      dict->index_size = size;
    }
  else
    memset (dict->index, 0, size * sizeof (guint32));
  for (gsize i = 0; i < dict->n; i++)
    {
      gsize slot = dict->entries[i].hash & (size - 1);

      while (dict->index[slot] != 0)
        slot = (slot + 1) & (size - 1);
      dict->index[slot] = (guint32) (i + 1);
    }
}

static JEntry *
find_entry (JHeap *heap, const JDict *dict, JValue key, guint hash)
{
  if (dict->index == NULL)
    {
      for (gsize i = 0; i < dict->n; i++)
        if (dict->entries[i].hash == hash && j_equal (heap, dict->entries[i].key, key))
          return &dict->entries[i];
      return NULL;
    }
  for (gsize slot = hash & (dict->index_size - 1); dict->index[slot] != 0;
       slot = (slot + 1) & (dict->index_size - 1))
    {
      JEntry *entry = &dict->entries[dict->index[slot] - 1];

      j_work (heap, 1);
      if (entry->hash == hash && j_equal (heap, entry->key, key))
        return entry;
    }
  return NULL;
}

JValue *
j_dict_get (JHeap *heap, const JDict *dict, JValue key)
{
  JEntry *entry = find_entry (heap, dict, key, hash_value (heap, key, 0));

  return entry != NULL ? &entry->value : NULL;
}

JValue *
j_dict_get_str (const JDict *dict, const JStr *key)
{
  guint hash = hash_bytes (key->bytes, key->n_bytes);

  if (dict->index == NULL)
    {
      for (gsize i = 0; i < dict->n; i++)
        if (dict->entries[i].hash == hash && j_is (dict->entries[i].key, J_STR) &&
            j_str_equal (dict->entries[i].key.str, key))
          return &dict->entries[i].value;
      return NULL;
    }
  for (gsize slot = hash & (dict->index_size - 1); dict->index[slot] != 0;
       slot = (slot + 1) & (dict->index_size - 1))
    {
      JEntry *entry = &dict->entries[dict->index[slot] - 1];

      if (entry->hash == hash && j_is (entry->key, J_STR) && j_str_equal (entry->key.str, key))
        return &entry->value;
    }
  return NULL;
}

void
j_dict_set (JHeap *heap, JDict *dict, JValue key, JValue value)
{
  guint hash = hash_value (heap, key, 0);
  JEntry *entry = find_entry (heap, dict, key, hash);

  if (entry != NULL)
    {
      entry->value = value;
      return;
    }
  if (dict->n == dict->cap)
    {
      gsize cap = MAX (4, dict->cap * 2);

      if (cap > G_MAXUINT32 / 4)
        j_throw_limit (heap, _ ("a dict of the template is too large"));
      dict->entries = j_grow (heap, dict->entries, dict->cap, cap, sizeof (JEntry));
      dict->cap = cap;
    }
  dict->entries[dict->n] = (JEntry){ .key = key, .value = value, .hash = hash };
  dict->n++;
  if (dict->index == NULL || dict->n * 2 > dict->index_size)
    build_index (heap, dict);
  else
    {
      gsize slot = hash & (dict->index_size - 1);

      while (dict->index[slot] != 0)
        slot = (slot + 1) & (dict->index_size - 1);
      dict->index[slot] = (guint32) dict->n;
    }
}

gboolean
j_dict_remove (JHeap *heap, JDict *dict, JValue key, JValue *old)
{
  JEntry *entry = find_entry (heap, dict, key, hash_value (heap, key, 0));
  gsize at;

  if (entry == NULL)
    return FALSE;
  if (old != NULL)
    *old = entry->value;
  at = (gsize) (entry - dict->entries);
  memmove (entry, entry + 1, (dict->n - at - 1) * sizeof (JEntry));
  dict->n--;
  j_work (heap, dict->n / 8);
  build_index (heap, dict);
  return TRUE;
}

void
j_dict_clear (JDict *dict)
{
  memset (dict, 0, sizeof *dict);
}

/* --- Meaning --- */

gboolean
j_number (JValue value, double *out)
{
  switch (value.kind)
    {
    case J_BOOL:
      *out = value.b;
      return TRUE;
    case J_INT:
      *out = (double) value.i;
      return TRUE;
    case J_FLOAT:
      *out = value.f;
      return TRUE;
    default:
      return FALSE;
    }
}

/* Compares numbers exactly, as Python does: an int64 may not fit a double. */
static int
compare_numbers (JValue a, JValue b, gboolean *unordered)
{
  gint64 ia = a.kind == J_BOOL ? a.b : a.i;
  gint64 ib = b.kind == J_BOOL ? b.b : b.i;
  gboolean swap = a.kind == J_FLOAT;
  double f;
  int order;

  *unordered = FALSE;
  if (a.kind != J_FLOAT && b.kind != J_FLOAT)
    return ia < ib ? -1 : ia > ib;
  if (a.kind == J_FLOAT && b.kind == J_FLOAT)
    {
      *unordered = isnan (a.f) || isnan (b.f);
      return a.f < b.f ? -1 : a.f > b.f;
    }
  f = swap ? a.f : b.f;
  if (swap)
    ia = ib;
  *unordered = isnan (f);
  if (f >= 9223372036854775808.0)
    order = -1;
  else if (f < -9223372036854775808.0)
    order = 1;
  else
    {
      gint64 whole = (gint64) f;
      double rest = f - (double) whole;

      order = ia < whole ? -1 : ia > whole ? 1 : rest > 0 ? -1 : rest < 0;
    }
  return swap ? -order : order;
}

static gboolean
is_number (JValue value)
{
  return value.kind == J_BOOL || value.kind == J_INT || value.kind == J_FLOAT;
}

static gboolean
equal_at (JHeap *heap, JValue a, JValue b, guint depth)
{
  gboolean unordered;

  j_work (heap, 1);
  if (depth > MAX_NESTING)
    j_throw_limit (heap, _ ("values are nested too deeply to be compared"));
  if (is_number (a) && is_number (b))
    return compare_numbers (a, b, &unordered) == 0 && !unordered;
  if (a.kind != b.kind)
    return FALSE;
  switch (a.kind)
    {
    case J_NONE:
    case J_UNDEFINED:
      return TRUE;
    case J_STR:
      j_work (heap, MIN (a.str->n_bytes, b.str->n_bytes) / 64);
      return j_str_equal (a.str, b.str);
    case J_LIST:
    case J_TUPLE:
      if (a.list == b.list)
        return TRUE;
      if (a.list->n != b.list->n)
        return FALSE;
      for (gsize i = 0; i < a.list->n; i++)
        if (!equal_at (heap, a.list->items[i], b.list->items[i], depth + 1))
          return FALSE;
      return TRUE;
    case J_DICT:
      if (a.dict == b.dict)
        return TRUE;
      if (a.dict->n != b.dict->n)
        return FALSE;
      for (gsize i = 0; i < a.dict->n; i++)
        {
          JEntry *other =
              find_entry (heap, b.dict, a.dict->entries[i].key, a.dict->entries[i].hash);

          if (other == NULL || !equal_at (heap, a.dict->entries[i].value, other->value, depth + 1))
            return FALSE;
        }
      return TRUE;
    case J_RANGE:
      return a.range->n == b.range->n &&
             (a.range->n == 0 || (a.range->start == b.range->start &&
                                  (a.range->n == 1 || a.range->step == b.range->step)));
    default:
      return a.pointer == b.pointer;
    }
}

gboolean
j_equal (JHeap *heap, JValue a, JValue b)
{
  return equal_at (heap, a, b, 0);
}

static gboolean
less_at (JHeap *heap, JValue a, JValue b, guint depth)
{
  gboolean unordered;

  j_work (heap, 1);
  if (depth > MAX_NESTING)
    j_throw_limit (heap, _ ("values are nested too deeply to be compared"));
  if (is_number (a) && is_number (b))
    return compare_numbers (a, b, &unordered) < 0 && !unordered;
  if (a.kind == J_STR && b.kind == J_STR)
    {
      j_work (heap, MIN (a.str->n_bytes, b.str->n_bytes) / 64);
      return j_str_compare (a.str, b.str) < 0;
    }
  if (a.kind == b.kind && (a.kind == J_LIST || a.kind == J_TUPLE))
    {
      for (gsize i = 0; i < a.list->n && i < b.list->n; i++)
        if (!equal_at (heap, a.list->items[i], b.list->items[i], depth + 1))
          return less_at (heap, a.list->items[i], b.list->items[i], depth + 1);
      return a.list->n < b.list->n;
    }
  j_throw (heap, _ ("'<' not supported between '%s' and '%s'"), j_type_name (a), j_type_name (b));
}

gboolean
j_less (JHeap *heap, JValue a, JValue b)
{
  return less_at (heap, a, b, 0);
}

gboolean
j_truthy (JValue value)
{
  gsize n;

  switch (value.kind)
    {
    case J_UNSET:
    case J_UNDEFINED:
    case J_NONE:
      return FALSE;
    case J_BOOL:
      return value.b;
    case J_INT:
      return value.i != 0;
    case J_FLOAT:
      return value.f != 0.0;
    case J_ITER:
      /* A generator object is true even when nothing is left in it. */
      return TRUE;
    default:
      return !j_length (value, &n) || n > 0;
    }
}

gboolean
j_length (JValue value, gsize *n)
{
  switch (value.kind)
    {
    case J_UNDEFINED:
      *n = 0;
      return TRUE;
    case J_STR:
      *n = value.str->n_chars;
      return TRUE;
    case J_LIST:
    case J_TUPLE:
      *n = value.list->n;
      return TRUE;
    case J_DICT:
      *n = value.dict->n;
      return TRUE;
    case J_VIEW:
      *n = value.view->dict->n;
      return TRUE;
    case J_RANGE:
      *n = (gsize) value.range->n;
      return TRUE;
    case J_ITER:
      /* Python refuses; templates written for other engines count on it. */
      *n = value.iter->n - value.iter->next;
      return TRUE;
    default:
      return FALSE;
    }
}

const char *
j_type_name (JValue value)
{
  static const char *const names[] = {
    [J_UNSET] = "nothing",    [J_UNDEFINED] = "Undefined",
    [J_NONE] = "NoneType",    [J_BOOL] = "bool",
    [J_INT] = "int",          [J_FLOAT] = "float",
    [J_STR] = "str",          [J_LIST] = "list",
    [J_TUPLE] = "tuple",      [J_DICT] = "dict",
    [J_VIEW] = "dict view",   [J_RANGE] = "range",
    [J_ITER] = "generator",   [J_NAMESPACE] = "Namespace",
    [J_MACRO] = "Macro",      [J_FUNCTION] = "function",
    [J_LOOP] = "LoopContext", [J_CYCLER] = "Cycler",
    [J_JOINER] = "Joiner",
  };

  return names[value.kind];
}
