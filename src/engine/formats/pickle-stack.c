/* The values of the pickle machine, its stack, and what it takes from the file. */
#define G_LOG_DOMAIN "atl-formats"

#include <string.h>

#include "engine/formats/pickle-private.h"

void
pickle_value_clear (gpointer data)
{
  PickleValue *self = data;

  g_free (self->text);
  g_clear_pointer (&self->items, g_array_unref);
}

PickleValue *
pickle_value_at (const AtlPickle *self, AtlPickleValue value)
{
  return &g_array_index (self->values, PickleValue, value);
}

GArray *
pickle_values_new (void)
{
  return g_array_new (FALSE, FALSE, sizeof (AtlPickleValue));
}

static AtlPickleValue
add_value (PickleMachine *self, PickleValue value)
{
  g_array_append_val (self->pickle->values, value);
  return self->pickle->values->len - 1;
}

void
pickle_push (PickleMachine *self, AtlPickleValue value)
{
  g_array_append_val (self->stack, value);
}

void
pickle_push_new (PickleMachine *self, PickleValue value)
{
  pickle_push (self, add_value (self, value));
}

void
pickle_push_int (PickleMachine *self, gint64 number)
{
  pickle_push_new (self, (PickleValue){ .kind = ATL_PICKLE_INT, .number = number });
}

/* FALSE also where a mark is. */
gboolean
pickle_pop (PickleMachine *self, AtlPickleValue *out)
{
  if (self->stack->len == 0)
    return FALSE;
  *out = g_array_index (self->stack, AtlPickleValue, self->stack->len - 1);
  g_array_set_size (self->stack, self->stack->len - 1);
  return *out != PICKLE_MARK;
}

/* Everything above the last mark, in its order; the mark goes too. NULL without a mark. */
GArray *
pickle_pop_to_mark (PickleMachine *self)
{
  guint n = self->stack->len;
  GArray *items;

  while (n > 0 && g_array_index (self->stack, AtlPickleValue, n - 1) != PICKLE_MARK)
    n--;
  if (n == 0)
    return NULL;
  items = pickle_values_new ();
  g_array_append_vals (items, &g_array_index (self->stack, AtlPickleValue, n),
                       self->stack->len - n);
  g_array_set_size (self->stack, n - 1);
  return items;
}

gboolean
pickle_push_list (PickleMachine *self, AtlPickleKind kind, GArray *items)
{
  if (items == NULL)
    return FALSE;
  pickle_push_new (self, (PickleValue){ .kind = kind, .items = items });
  return kind != ATL_PICKLE_TABLE || items->len % 2 == 0;
}

/* The last `n` values as a tuple. */
gboolean
pickle_push_tuple (PickleMachine *self, guint n)
{
  GArray *items = pickle_values_new ();

  g_array_set_size (items, n);
  while (n-- > 0)
    if (!pickle_pop (self, &g_array_index (items, AtlPickleValue, n)))
      {
        g_array_unref (items);
        return FALSE;
      }
  return pickle_push_list (self, ATL_PICKLE_LIST, items);
}

/* Appends to the list or table on top of the stack. What nothing is kept of takes nothing. */
gboolean
pickle_append (PickleMachine *self, AtlPickleKind kind, GArray *items)
{
  g_autoptr (GArray) owned = items;
  PickleValue *target;

  if (items == NULL || self->stack->len == 0 ||
      g_array_index (self->stack, AtlPickleValue, self->stack->len - 1) == PICKLE_MARK)
    return FALSE;
  target = pickle_value_at (self->pickle,
                            g_array_index (self->stack, AtlPickleValue, self->stack->len - 1));
  if (target->kind == ATL_PICKLE_NOTHING)
    return TRUE;
  if (target->kind != kind || (kind == ATL_PICKLE_TABLE && items->len % 2 != 0))
    return FALSE;
  g_array_append_vals (target->items, items->data, items->len);
  return TRUE;
}

gboolean
pickle_append_last (PickleMachine *self, AtlPickleKind kind, guint n)
{
  GArray *items = pickle_values_new ();

  g_array_set_size (items, n);
  while (n-- > 0)
    if (!pickle_pop (self, &g_array_index (items, AtlPickleValue, n)))
      {
        g_array_unref (items);
        return FALSE;
      }
  return pickle_append (self, kind, items);
}

/* --- Bytes --- */

static gboolean
take (PickleMachine *self, gsize n, const guint8 **bytes)
{
  if ((gsize) (self->end - self->p) < n)
    return FALSE;
  *bytes = self->p;
  self->p += n;
  return TRUE;
}

/* A number of `n` bytes, at most 8, little endian. */
gboolean
pickle_take_uint (PickleMachine *self, guint n, guint64 *out)
{
  const guint8 *bytes;

  *out = 0;
  if (!take (self, n, &bytes))
    return FALSE;
  for (guint i = 0; i < n; i++)
    *out |= (guint64) bytes[i] << 8 * i;
  return TRUE;
}

/* Bytes behind their length of `n` bytes. */
static gboolean
take_counted (PickleMachine *self, guint n, const guint8 **bytes, gsize *length)
{
  guint64 count;

  if (!pickle_take_uint (self, n, &count) || count > (gsize) (self->end - self->p))
    return FALSE;
  *length = (gsize) count;
  return take (self, *length, bytes);
}

gboolean
pickle_push_text (PickleMachine *self, guint n)
{
  const guint8 *bytes;
  gsize length;

  if (!take_counted (self, n, &bytes, &length) ||
      !g_utf8_validate_len ((const char *) bytes, length, NULL))
    return FALSE;
  pickle_push_new (self, (PickleValue){ .kind = ATL_PICKLE_TEXT,
                                        .text = g_strndup ((const char *) bytes, length) });
  return TRUE;
}

gboolean
pickle_push_bytes (PickleMachine *self, guint n)
{
  const guint8 *bytes;
  gsize length;

  if (!take_counted (self, n, &bytes, &length))
    return FALSE;
  pickle_push_new (self, (PickleValue){ .kind = ATL_PICKLE_NOTHING });
  return TRUE;
}

/* A whole number of any length; those that do not fit are nothing. */
gboolean
pickle_push_long (PickleMachine *self, guint n)
{
  const guint8 *bytes;
  gsize length;
  guint64 bits = 0;

  if (!take_counted (self, n, &bytes, &length))
    return FALSE;
  for (gsize i = 0; i < MIN (length, 8); i++)
    bits |= (guint64) bytes[i] << 8 * i;
  if (length > 0 && length < 8 && bytes[length - 1] >= 128)
    bits |= G_MAXUINT64 << 8 * length;
  if (length <= 8)
    pickle_push_int (self, (gint64) bits);
  else
    pickle_push_new (self, (PickleValue){ .kind = ATL_PICKLE_NOTHING });
  return TRUE;
}
