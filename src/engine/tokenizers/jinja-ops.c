/* Operators on values, with Python's rules for types, and walking over iterables. Integers have 64
 * bits: a result that does not fit is an error, not a wrapped number. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

static void G_GNUC_NORETURN
overflow (JRun *run)
{
  j_throw (&run->heap, _ ("the result of an integer calculation does not fit 64 bits"));
}

/* TRUE for int and bool. */
static gboolean
as_int (JValue value, gint64 *out)
{
  if (j_is (value, J_INT))
    *out = value.i;
  else if (j_is (value, J_BOOL))
    *out = value.b;
  else
    return FALSE;
  return TRUE;
}

/* --- Walking --- */

gboolean
j_iterable (JValue value)
{
  switch (value.kind)
    {
    case J_UNDEFINED:
    case J_STR:
    case J_LIST:
    case J_TUPLE:
    case J_DICT:
    case J_VIEW:
    case J_RANGE:
    case J_ITER:
      return TRUE;
    default:
      return FALSE;
    }
}

static JValue *
string_elements (JHeap *heap, const JStr *str)
{
  JValue *items = j_new (heap, JValue, str->n_chars + 1);
  JStr *chars = j_new (heap, JStr, str->n_chars + 1);
  gsize at = 0;

  for (gsize i = 0; i < str->n_chars; i++)
    {
      chars[i].bytes = str->bytes + at;
      chars[i].n_bytes = g_utf8_skip[(guint8) str->bytes[at]];
      chars[i].n_chars = 1;
      at += chars[i].n_bytes;
      items[i] = j_str (&chars[i]);
    }
  return items;
}

JValue *
j_elements (JRun *run, JValue value, gsize *n)
{
  JHeap *heap = &run->heap;
  JValue *items;

  if (!j_iterable (value))
    j_throw (heap, _ ("'%s' object is not iterable"), j_type_name (value));
  j_length (value, n);
  j_work (heap, *n / 2);
  switch (value.kind)
    {
    case J_STR:
      return string_elements (heap, value.str);
    case J_LIST:
    case J_TUPLE:
      items = j_new (heap, JValue, *n + 1);
      if (*n > 0)
        memcpy (items, value.list->items, *n * sizeof (JValue));
      return items;
    case J_DICT:
    case J_VIEW:
      {
        const JDict *dict = j_is (value, J_DICT) ? value.dict : value.view->dict;
        int what = j_is (value, J_DICT) ? J_VIEW_KEYS : (int) value.view->what;

        items = j_new (heap, JValue, *n + 1);
        for (gsize i = 0; i < *n; i++)
          items[i] = what == J_VIEW_KEYS ? dict->entries[i].key
                     : what == J_VIEW_VALUES
                         ? dict->entries[i].value
                         : j_tuple2 (heap, dict->entries[i].key, dict->entries[i].value);
        return items;
      }
    case J_RANGE:
      items = j_new (heap, JValue, *n + 1);
      for (gsize i = 0; i < *n; i++)
        items[i] = j_int (value.range->start + (gint64) i * value.range->step);
      return items;
    case J_ITER:
      items = *n > 0 ? value.iter->items + value.iter->next : j_new (heap, JValue, 1);
      value.iter->next = value.iter->n;
      return items;
    default:
      return j_new (heap, JValue, 1);
    }
}

/* --- Arithmetic --- */

static JValue
repeat (JRun *run, JValue value, gint64 times)
{
  JHeap *heap = &run->heap;
  gsize n = j_is (value, J_STR) ? value.str->n_bytes : value.list->n;
  gsize total;

  times = MAX (times, 0);
  if (__builtin_mul_overflow (n, (guint64) times, &total) || total > heap->limit_bytes)
    j_throw_limit (heap, _ ("the template repeats a value too often"));
  j_work (heap, total / 64);
  if (j_is (value, J_STR))
    {
      char *bytes = j_alloc (heap, total + 1, 1);

      if (n == 1)
        memset (bytes, value.str->bytes[0], total);
      else if (n > 0)
        for (gsize at = 0; at < total; at += n)
          memcpy (bytes + at, value.str->bytes, n);
      return j_str (j_str_marked (heap, j_str_wrap (heap, bytes, total), value.str->safe));
    }
  else
    {
      JList *list = j_list_new (heap, total);

      if (n > 0)
        for (; list->n < total; list->n += n)
          memcpy (list->items + list->n, value.list->items, n * sizeof (JValue));
      return (JValue){ .kind = value.kind, .list = list };
    }
}

static JValue
concatenate (JRun *run, JValue a, JValue b)
{
  JHeap *heap = &run->heap;

  if (j_is (a, J_STR))
    {
      /* Markup does not escape what is added to it, unlike the reference: a prompt is no HTML. */
      JBuf buf = { 0 };

      j_work (heap, (a.str->n_bytes + b.str->n_bytes) / 64);
      j_buf_append_n (heap, &buf, '\0', a.str->n_bytes + b.str->n_bytes);
      if (buf.n > 0)
        {
          memcpy (buf.bytes, a.str->bytes, a.str->n_bytes);
          memcpy (buf.bytes + a.str->n_bytes, b.str->bytes, b.str->n_bytes);
        }
      return j_str (j_buf_str (heap, &buf));
    }
  else
    {
      JList *list = j_list_new (heap, a.list->n + b.list->n);

      j_work (heap, (a.list->n + b.list->n) / 4);
      for (gsize i = 0; i < a.list->n; i++)
        list->items[list->n++] = a.list->items[i];
      for (gsize i = 0; i < b.list->n; i++)
        list->items[list->n++] = b.list->items[i];
      return (JValue){ .kind = a.kind, .list = list };
    }
}

static JValue
int_power (JRun *run, gint64 base, gint64 exponent)
{
  gint64 result = 1;

  while (exponent > 0)
    {
      if ((exponent & 1) != 0 && __builtin_mul_overflow (result, base, &result))
        overflow (run);
      exponent >>= 1;
      if (exponent > 0 && __builtin_mul_overflow (base, base, &base))
        overflow (run);
    }
  return j_int (result);
}

static JValue
int_binary (JRun *run, int op, gint64 a, gint64 b)
{
  gint64 r;

  if (b == 0 && (op == J_TOKEN_DIV || op == J_TOKEN_FLOORDIV || op == J_TOKEN_MOD))
    j_throw (&run->heap, _ ("division by zero"));
  switch (op)
    {
    case J_TOKEN_ADD:
      if (__builtin_add_overflow (a, b, &r))
        overflow (run);
      return j_int (r);
    case J_TOKEN_SUB:
      if (__builtin_sub_overflow (a, b, &r))
        overflow (run);
      return j_int (r);
    case J_TOKEN_MUL:
      if (__builtin_mul_overflow (a, b, &r))
        overflow (run);
      return j_int (r);
    case J_TOKEN_DIV:
      return j_float ((double) a / (double) b);
    case J_TOKEN_FLOORDIV:
      if (a == G_MININT64 && b == -1)
        overflow (run);
      r = a / b;
      return j_int (r - (a % b != 0 && (a < 0) != (b < 0)));
    case J_TOKEN_MOD:
      if (b == -1)
        return j_int (0);
      r = a % b;
      return j_int (r != 0 && (r < 0) != (b < 0) ? r + b : r);
    default:
      if (b >= 0)
        return int_power (run, a, b);
      if (a == 0)
        j_throw (&run->heap, _ ("0 cannot be raised to a negative power"));
      return j_float (pow ((double) a, (double) b));
    }
}

static JValue
float_binary (JRun *run, int op, double a, double b)
{
  double r;

  if (b == 0 && (op == J_TOKEN_DIV || op == J_TOKEN_FLOORDIV || op == J_TOKEN_MOD))
    j_throw (&run->heap, _ ("float division by zero"));
  switch (op)
    {
    case J_TOKEN_ADD:
      return j_float (a + b);
    case J_TOKEN_SUB:
      return j_float (a - b);
    case J_TOKEN_MUL:
      return j_float (a * b);
    case J_TOKEN_DIV:
      return j_float (a / b);
    case J_TOKEN_FLOORDIV:
    case J_TOKEN_MOD:
      r = fmod (a, b);
      if (r != 0 && (r < 0) != (b < 0))
        r += b;
      else if (r == 0)
        r = copysign (0.0, b);
      if (op == J_TOKEN_MOD)
        return j_float (r);
      r = (a - r) / b;
      return j_float (r != 0 ? floor (r + 0.5) : copysign (0.0, a / b));
    default:
      r = pow (a, b);
      if ((a == 0 && b < 0) || (isnan (r) && !isnan (a) && !isnan (b)))
        j_throw (&run->heap, _ ("this power has no real value"));
      if (isinf (r) && !isinf (a) && !isinf (b))
        j_throw (&run->heap, _ ("the result of a power is too large"));
      return j_float (r);
    }
}

static const char *
op_text (int op)
{
  return j_token_name ((JTokenType) op);
}

JValue
j_binary (JRun *run, int op, JValue a, JValue b)
{
  gint64 ia, ib;
  double fa, fb;

  if (j_is (a, J_UNDEFINED))
    j_throw_undefined (run, a);
  if (as_int (a, &ia) && as_int (b, &ib))
    return int_binary (run, op, ia, ib);
  if (j_number (a, &fa) && j_number (b, &fb))
    return float_binary (run, op, fa, fb);
  if (op == J_TOKEN_MOD && j_is (a, J_STR))
    return j_str (j_format_percent (run, a.str, b));
  if (j_is (b, J_UNDEFINED))
    j_throw_undefined (run, b);
  if (op == J_TOKEN_ADD && a.kind == b.kind &&
      (j_is (a, J_STR) || j_is (a, J_LIST) || j_is (a, J_TUPLE)))
    return concatenate (run, a, b);
  if (op == J_TOKEN_MUL)
    {
      if ((j_is (a, J_STR) || j_is (a, J_LIST) || j_is (a, J_TUPLE)) && as_int (b, &ib))
        return repeat (run, a, ib);
      if ((j_is (b, J_STR) || j_is (b, J_LIST) || j_is (b, J_TUPLE)) && as_int (a, &ia))
        return repeat (run, b, ia);
    }
  j_throw (&run->heap, _ ("unsupported operand types for %s: '%s' and '%s'"), op_text (op),
           j_type_name (a), j_type_name (b));
}

JValue
j_negate (JRun *run, JValue value)
{
  gint64 i;

  if (j_is (value, J_UNDEFINED))
    j_throw_undefined (run, value);
  if (as_int (value, &i))
    {
      if (i == G_MININT64)
        overflow (run);
      return j_int (-i);
    }
  if (j_is (value, J_FLOAT))
    return j_float (-value.f);
  j_throw (&run->heap, _ ("bad operand type for unary -: '%s'"), j_type_name (value));
}

JValue
j_plus (JRun *run, JValue value)
{
  gint64 i;

  if (j_is (value, J_UNDEFINED))
    j_throw_undefined (run, value);
  if (as_int (value, &i))
    return j_int (i);
  if (j_is (value, J_FLOAT))
    return value;
  j_throw (&run->heap, _ ("bad operand type for unary +: '%s'"), j_type_name (value));
}

/* --- Comparison --- */

gboolean
j_contains (JRun *run, JValue container, JValue item)
{
  JHeap *heap = &run->heap;
  JValue *items;
  gsize n;

  switch (container.kind)
    {
    case J_UNDEFINED:
      return FALSE;
    case J_STR:
      if (!j_is (item, J_STR))
        j_throw (heap, _ ("'in <string>' requires a string as left operand, not %s"),
                 j_type_name (item));
      j_work (heap, container.str->n_bytes / 16);
      return j_str_find (container.str, item.str, 0) >= 0;
    case J_DICT:
      return j_dict_get (heap, container.dict, item) != NULL;
    case J_VIEW:
      if (container.view->what == J_VIEW_KEYS)
        return j_dict_get (heap, container.view->dict, item) != NULL;
      break;
    case J_LIST:
    case J_TUPLE:
      for (gsize i = 0; i < container.list->n; i++)
        if (j_equal (heap, container.list->items[i], item))
          return TRUE;
      return FALSE;
    default:
      break;
    }
  items = j_elements (run, container, &n);
  for (gsize i = 0; i < n; i++)
    if (j_equal (heap, items[i], item))
      return TRUE;
  return FALSE;
}

gboolean
j_compare (JRun *run, int op, JValue a, JValue b)
{
  JHeap *heap = &run->heap;

  if (op >= J_TOKEN_LT && op <= J_TOKEN_GTEQ)
    {
      if (j_is (a, J_UNDEFINED))
        j_throw_undefined (run, a);
      if (j_is (b, J_UNDEFINED))
        j_throw_undefined (run, b);
    }
  switch (op)
    {
    case J_TOKEN_EQ:
      return j_equal (heap, a, b);
    case J_TOKEN_NE:
      return !j_equal (heap, a, b);
    case J_TOKEN_LT:
      return j_less (heap, a, b);
    case J_TOKEN_GT:
      return j_less (heap, b, a);
    /* Not the negation of the other order: NaN is neither. */
    case J_TOKEN_LTEQ:
      return j_less (heap, a, b) || j_equal (heap, a, b);
    case J_TOKEN_GTEQ:
      return j_less (heap, b, a) || j_equal (heap, a, b);
    case J_OP_IN:
      return j_contains (run, b, a);
    default:
      return !j_contains (run, b, a);
    }
}

/* --- Slices --- */

/* Python's clamping of one bound. */
static gint64
slice_bound (JRun *run, JValue bound, gint64 n, gint64 missing, gboolean backwards)
{
  gint64 at;

  if (j_is (bound, J_NONE))
    return missing;
  if (!as_int (bound, &at))
    j_throw (&run->heap, _ ("slice indices must be integers or None, not %s"), j_type_name (bound));
  if (at < 0)
    at = at < -n ? -1 - n : at;
  if (at < 0)
    at += n;
  return CLAMP (at, backwards ? -1 : 0, backwards ? n - 1 : n);
}

JValue
j_slice (JRun *run, JValue value, JValue start, JValue stop, JValue step)
{
  JHeap *heap = &run->heap;
  gint64 by = 1;
  gint64 from, to, count, n;
  gsize length;
  gboolean text = j_is (value, J_STR);
  JValue *items = NULL;
  JList *list;

  if (j_is (value, J_UNDEFINED))
    j_throw_undefined (run, value);
  if (!text && !j_is (value, J_LIST) && !j_is (value, J_TUPLE) && !j_is (value, J_RANGE) &&
      !j_is (value, J_ITER))
    j_throw (heap, _ ("'%s' object cannot be sliced"), j_type_name (value));
  if (!j_is (step, J_NONE) && !as_int (step, &by))
    j_throw (heap, _ ("slice indices must be integers or None, not %s"), j_type_name (step));
  if (by == 0)
    j_throw (heap, _ ("slice step cannot be zero"));
  j_length (value, &length);
  n = (gint64) length;
  from = slice_bound (run, start, n, by > 0 ? 0 : n - 1, by < 0);
  to = slice_bound (run, stop, n, by > 0 ? n : -1, by < 0);
  if (by > 0)
    count = to > from ? (to - from - 1) / by + 1 : 0;
  else
    count = from > to ? (from - to - 1) / (by == G_MININT64 ? G_MAXINT64 : -by) + 1 : 0;

  if (text && by == 1)
    {
      j_work (heap, value.str->n_bytes / 64);
      return j_str (j_str_sub (heap, value.str, (gsize) from, (gsize) count));
    }
  if (!text || count > 0)
    items = j_elements (run, value, &length);
  if (text)
    {
      JBuf buf = { 0 };

      for (gint64 i = 0; i < count; i++)
        j_buf_append_str (heap, &buf, items[from + i * by].str);
      return j_str (j_str_marked (heap, j_buf_str (heap, &buf), value.str->safe));
    }
  list = j_list_new (heap, (gsize) count);
  for (gint64 i = 0; i < count; i++)
    list->items[list->n++] = items[from + i * by];
  return (JValue){ .kind = j_is (value, J_TUPLE) ? J_TUPLE : J_LIST, .list = list };
}
