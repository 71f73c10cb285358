/* Values to text, as Python's str() and repr() write them. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

#include <math.h>
#include <string.h>

#define MAX_NESTING 100

void
j_print_fixed (JHeap *heap, JBuf *buf, double value, int precision)
{
  char format[16];
  char text[420];

  g_snprintf (format, sizeof format, "%%.%df", CLAMP (precision, 0, 100));
  j_buf_append_literal (heap, buf, g_ascii_formatd (text, sizeof text, format, value));
}

/* The shortest decimal that reads back as the same number, in Python's layout: an exponent below
 * 1e-4 and from 1e16 on. */
void
j_print_float (JHeap *heap, JBuf *buf, double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  char digits[32];
  int n_digits = 0;
  int exponent;
  char *mark;

  if (isnan (value) || isinf (value))
    {
      j_buf_append_literal (heap, buf, isnan (value) ? "nan" : value < 0 ? "-inf" : "inf");
      return;
    }
  for (int precision = 0; precision < 17; precision++)
    {
      char format[8];

      g_snprintf (format, sizeof format, "%%.%de", precision);
      g_ascii_formatd (text, sizeof text, format, value);
      if (g_ascii_strtod (text, NULL) == value)
        break;
    }
  mark = strchr (text, 'e');
  exponent = (int) g_ascii_strtoll (mark + 1, NULL, 10);
  for (const char *c = text; c < mark; c++)
    if (g_ascii_isdigit (*c))
      digits[n_digits++] = *c;
  if (signbit (value))
    j_buf_append (heap, buf, "-", 1);
  if (exponent < -4 || exponent >= 16)
    {
      j_buf_append (heap, buf, digits, 1);
      if (n_digits > 1)
        j_buf_append (heap, buf, ".", 1);
      j_buf_append (heap, buf, digits + 1, (gsize) n_digits - 1);
      j_buf_printf (heap, buf, "e%c%02d", exponent < 0 ? '-' : '+', ABS (exponent));
    }
  else if (exponent < 0)
    {
      j_buf_append_literal (heap, buf, "0.");
      j_buf_append_n (heap, buf, '0', (gsize) (-exponent - 1));
      j_buf_append (heap, buf, digits, (gsize) n_digits);
    }
  else
    {
      int whole = MIN (exponent + 1, n_digits);

      j_buf_append (heap, buf, digits, (gsize) whole);
      j_buf_append_n (heap, buf, '0', (gsize) (exponent + 1 - whole));
      j_buf_append (heap, buf, ".", 1);
      if (n_digits > whole)
        j_buf_append (heap, buf, digits + whole, (gsize) (n_digits - whole));
      else
        j_buf_append (heap, buf, "0", 1);
    }
}

/* Python's str.isprintable() for one character. */
static gboolean
is_printable (gunichar c)
{
  if (c < 0x7f)
    return c >= 0x20;
  switch (g_unichar_type (c))
    {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT:
    case G_UNICODE_UNASSIGNED:
    case G_UNICODE_PRIVATE_USE:
    case G_UNICODE_SURROGATE:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
    case G_UNICODE_SPACE_SEPARATOR:
      return FALSE;
    default:
      return TRUE;
    }
}

static void
print_quoted (JHeap *heap, JBuf *buf, const JStr *str)
{
  gboolean has_single = str->n_bytes > 0 && memchr (str->bytes, '\'', str->n_bytes) != NULL;
  gboolean has_double = str->n_bytes > 0 && memchr (str->bytes, '"', str->n_bytes) != NULL;
  char quote = has_single && !has_double ? '"' : '\'';

  j_buf_append (heap, buf, &quote, 1);
  for (gsize at = 0; at < str->n_bytes;)
    {
      gunichar c = g_utf8_get_char (str->bytes + at);
      gsize n = g_utf8_skip[(guint8) str->bytes[at]];

      if (c == (gunichar) quote || c == '\\')
        {
          char escaped[2] = { '\\', (char) c };

          j_buf_append (heap, buf, escaped, 2);
        }
      else if (c == '\n' || c == '\r' || c == '\t')
        j_buf_append_literal (heap, buf, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
      else if (is_printable (c))
        j_buf_append (heap, buf, str->bytes + at, n);
      else if (c < 0x100)
        j_buf_printf (heap, buf, "\\x%02x", c);
      else if (c < 0x10000)
        j_buf_printf (heap, buf, "\\u%04x", c);
      else
        j_buf_printf (heap, buf, "\\U%08x", c);
      at += n;
    }
  j_buf_append (heap, buf, &quote, 1);
}

static void print_repr (JRun *run, JBuf *buf, JValue value, gboolean sorted, guint depth);

static void
print_dict (JRun *run, JBuf *buf, const JDict *dict, gboolean sorted, guint depth)
{
  JHeap *heap = &run->heap;
  gsize *order = j_new (heap, gsize, dict->n + 1);

  for (gsize i = 0; i < dict->n; i++)
    {
      gsize at = i;

      if (sorted && j_is (dict->entries[i].key, J_STR))
        for (; at > 0 && j_is (dict->entries[order[at - 1]].key, J_STR) &&
               j_less (heap, dict->entries[i].key, dict->entries[order[at - 1]].key);
             at--)
          order[at] = order[at - 1];
      order[at] = i;
    }
  j_buf_append (heap, buf, "{", 1);
  for (gsize i = 0; i < dict->n; i++)
    {
      if (i > 0)
        j_buf_append (heap, buf, ", ", 2);
      print_repr (run, buf, dict->entries[order[i]].key, sorted, depth + 1);
      j_buf_append (heap, buf, ": ", 2);
      print_repr (run, buf, dict->entries[order[i]].value, sorted, depth + 1);
    }
  j_buf_append (heap, buf, "}", 1);
}

static void
print_items (JRun *run,
             JBuf *buf,
             const char *open,
             const char *close,
             const JValue *items,
             gsize n,
             gboolean sorted,
             guint depth)
{
  j_buf_append_literal (&run->heap, buf, open);
  for (gsize i = 0; i < n; i++)
    {
      if (i > 0)
        j_buf_append (&run->heap, buf, ", ", 2);
      print_repr (run, buf, items[i], sorted, depth + 1);
    }
  j_buf_append_literal (&run->heap, buf, close);
}

static void
print_range (JHeap *heap, JBuf *buf, const JRange *range)
{
  j_buf_printf (heap, buf, "range(%" G_GINT64_FORMAT ", %" G_GINT64_FORMAT, range->start,
                range->stop);
  if (range->step != 1)
    j_buf_printf (heap, buf, ", %" G_GINT64_FORMAT, range->step);
  j_buf_append (heap, buf, ")", 1);
}

static void
print_view (JRun *run, JBuf *buf, JValue value, gboolean sorted, guint depth)
{
  static const char *const names[] = { "dict_keys([", "dict_values([", "dict_items([" };
  gsize n;
  JValue *items = j_elements (run, value, &n);

  print_items (run, buf, names[value.view->what], "])", items, n, sorted, depth);
}

static void
print_repr (JRun *run, JBuf *buf, JValue value, gboolean sorted, guint depth)
{
  JHeap *heap = &run->heap;

  j_work (heap, 1);
  if (depth > MAX_NESTING)
    {
      /* Python prints this for a list that holds itself. */
      j_buf_append_literal (heap, buf, "...");
      return;
    }
  switch (value.kind)
    {
    case J_UNSET:
    case J_UNDEFINED:
      j_buf_append_literal (heap, buf, "Undefined");
      return;
    case J_NONE:
      j_buf_append_literal (heap, buf, "None");
      return;
    case J_BOOL:
      j_buf_append_literal (heap, buf, value.b ? "True" : "False");
      return;
    case J_INT:
      j_buf_printf (heap, buf, "%" G_GINT64_FORMAT, value.i);
      return;
    case J_FLOAT:
      j_print_float (heap, buf, value.f);
      return;
    case J_STR:
      j_work (heap, value.str->n_bytes / 16);
      if (value.str->safe)
        j_buf_append_literal (heap, buf, "Markup(");
      print_quoted (heap, buf, value.str);
      if (value.str->safe)
        j_buf_append (heap, buf, ")", 1);
      return;
    case J_LIST:
      print_items (run, buf, "[", "]", value.list->items, value.list->n, sorted, depth);
      return;
    case J_TUPLE:
      print_items (run, buf, "(", value.list->n == 1 ? ",)" : ")", value.list->items, value.list->n,
                   sorted, depth);
      return;
    case J_DICT:
      print_dict (run, buf, value.dict, sorted, depth);
      return;
    case J_NAMESPACE:
      j_buf_append_literal (heap, buf, "<Namespace ");
      print_dict (run, buf, value.dict, sorted, depth);
      j_buf_append (heap, buf, ">", 1);
      return;
    case J_VIEW:
      print_view (run, buf, value, sorted, depth);
      return;
    case J_RANGE:
      print_range (heap, buf, value.range);
      return;
    case J_MACRO:
      j_buf_append_literal (heap, buf, "<Macro '");
      j_buf_append_str (heap, buf, value.macro->def->name);
      j_buf_append_literal (heap, buf, "'>");
      return;
    default:
      j_buf_printf (heap, buf, "<%s object>", j_type_name (value));
    }
}

void
j_print_repr (JRun *run, JBuf *buf, JValue value)
{
  print_repr (run, buf, value, FALSE, 0);
}

void
j_print_sorted (JRun *run, JBuf *buf, JValue value)
{
  print_repr (run, buf, value, TRUE, 0);
}

void
j_print (JRun *run, JBuf *buf, JValue value)
{
  if (j_is (value, J_UNDEFINED))
    return;
  if (j_is (value, J_STR))
    {
      j_work (&run->heap, value.str->n_bytes / 256);
      j_buf_append_str (&run->heap, buf, value.str);
    }
  else
    print_repr (run, buf, value, FALSE, 0);
}

const JStr *
j_to_str (JRun *run, JValue value)
{
  JBuf buf = { 0 };

  if (j_is (value, J_STR))
    return value.str;
  j_print (run, &buf, value);
  return j_buf_str (&run->heap, &buf);
}
