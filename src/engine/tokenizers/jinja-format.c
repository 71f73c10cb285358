/* Formatting: "..." % args, "...".format (args), and dates. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#define MAX_WIDTH 100000

/* --- One field --- */

typedef struct
{
  gunichar fill;
  char align; /* < > ^ = or 0 for the type's own */
  char sign;  /* + - or blank */
  gboolean alternate;
  char group; /* , or _ or 0 */
  gint64 width;
  gint64 precision; /* -1: none */
  char type;        /* 0: the value's own */
} Spec;

static gint64
read_number (JRun *run, const char **at, const char *end)
{
  gint64 value = 0;

  while (*at < end && g_ascii_isdigit (**at))
    {
      value = value * 10 + (**at - '0');
      (*at)++;
      if (value > MAX_WIDTH)
        j_throw_limit (&run->heap, _ ("a field is formatted wider than %d characters"), MAX_WIDTH);
    }
  return value;
}

static void
append_padded (
    JHeap *heap, JBuf *buf, const Spec *spec, const JStr *sign, const JStr *body, char align)
{
  gsize length = sign->n_chars + body->n_chars;
  gsize room = spec->width > (gint64) length ? (gsize) spec->width - length : 0;
  gsize left = 0;

  if (spec->align != 0)
    align = spec->align;
  if (align == '>')
    left = room;
  else if (align == '^')
    left = room / 2;
  for (gsize i = 0; i < left; i++)
    j_buf_append_char (heap, buf, spec->fill);
  j_buf_append_str (heap, buf, sign);
  for (gsize i = 0; align == '=' && i < room; i++)
    j_buf_append_char (heap, buf, spec->fill);
  j_buf_append_str (heap, buf, body);
  for (gsize i = left; align != '=' && i < room; i++)
    j_buf_append_char (heap, buf, spec->fill);
}

/* Puts `mark` between groups of `size` digits of the whole part of `digits`. */
static const JStr *
group_digits (JHeap *heap, const JStr *digits, char mark, gsize size)
{
  JBuf buf = { 0 };
  gsize whole = 0;

  while (whole < digits->n_bytes && g_ascii_isxdigit (digits->bytes[whole]))
    whole++;
  for (gsize i = 0; i < digits->n_bytes; i++)
    {
      if (i > 0 && i < whole && (whole - i) % size == 0)
        j_buf_append (heap, &buf, &mark, 1);
      j_buf_append (heap, &buf, digits->bytes + i, 1);
    }
  return j_buf_str (heap, &buf);
}

static void
append_magnitude (JHeap *heap, JBuf *buf, guint64 value, guint base, gboolean upper)
{
  char digits[64];
  gsize n = sizeof digits;

  do
    {
      digits[--n] = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[value % base];
      value /= base;
    }
  while (value > 0);
  j_buf_append (heap, buf, digits + n, sizeof digits - n);
}

static void
append_float (JHeap *heap, JBuf *buf, double value, char type, gint64 precision, gboolean alternate)
{
  char format[16];
  char text[512];

  if (isnan (value) || isinf (value))
    {
      gboolean upper = g_ascii_isupper (type);

      j_buf_append_literal (heap, buf,
                            isnan (value) ? (upper ? "NAN" : "nan") : (upper ? "INF" : "inf"));
      return;
    }
  precision = precision < 0 ? 6 : MIN (precision, 100);
  g_snprintf (format, sizeof format, "%%%s.%d%c", alternate ? "#" : "", (int) precision, type);
  j_buf_append_literal (heap, buf, g_ascii_formatd (text, sizeof text, format, value));
}

static const JStr *
sign_of (JHeap *heap, gboolean negative, char wanted)
{
  return j_str_literal (heap, negative ? "-" : wanted == '+' ? "+" : wanted == ' ' ? " " : "");
}

static void
append_int_field (JHeap *heap, JBuf *buf, const Spec *spec, gint64 value, gboolean percent)
{
  char type = spec->type;
  guint base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
  guint64 magnitude = value < 0 ? 0 - (guint64) value : (guint64) value;
  JBuf digits = { 0 };
  JBuf prefix = { 0 };
  const JStr *body;

  append_magnitude (heap, &digits, magnitude, base, type == 'X');
  body = j_buf_str (heap, &digits);
  if (percent && spec->precision > (gint64) body->n_bytes)
    {
      JBuf padded = { 0 };

      j_buf_append_n (heap, &padded, '0', (gsize) spec->precision - body->n_bytes);
      j_buf_append_str (heap, &padded, body);
      body = j_buf_str (heap, &padded);
    }
  if (spec->group != 0)
    body = group_digits (heap, body, spec->group, base == 10 ? 3 : 4);
  j_buf_append_str (heap, &prefix, sign_of (heap, value < 0, spec->sign));
  if (spec->alternate && base != 10)
    j_buf_append_literal (heap, &prefix,
                          base == 2     ? "0b"
                          : base == 8   ? "0o"
                          : type == 'X' ? "0X"
                                        : "0x");
  append_padded (heap, buf, spec, j_buf_str (heap, &prefix), body, '>');
}

static void
append_float_field (JHeap *heap, JBuf *buf, const Spec *spec, double value)
{
  JBuf digits = { 0 };
  const JStr *body;
  double magnitude = fabs (value);

  if (spec->type == '%')
    {
      append_float (heap, &digits, magnitude * 100, 'f', spec->precision, FALSE);
      j_buf_append (heap, &digits, "%", 1);
    }
  else if (spec->type == 0 && spec->precision < 0)
    j_print_float (heap, &digits, magnitude);
  else
    append_float (heap, &digits, magnitude, spec->type == 0 ? 'g' : spec->type, spec->precision,
                  spec->alternate);
  body = j_buf_str (heap, &digits);
  if (spec->group != 0)
    body = group_digits (heap, body, spec->group, 3);
  append_padded (heap, buf, spec, sign_of (heap, signbit (value) && !isnan (value), spec->sign),
                 body, '>');
}

static void
append_text_field (JHeap *heap, JBuf *buf, const Spec *spec, const JStr *text, char align)
{
  if (spec->precision >= 0)
    text = j_str_sub (heap, text, 0, (gsize) spec->precision);
  append_padded (heap, buf, spec, j_str_literal (heap, ""), text, align);
}

/* --- % --- */

typedef struct
{
  JRun *run;
  JValue args;
  gsize next;     /* of the tuple's values */
  gboolean named; /* a %(name)s was used */
} Percent;

static JValue
next_argument (Percent *p)
{
  if (j_is (p->args, J_TUPLE))
    {
      if (p->next < p->args.list->n)
        return p->args.list->items[p->next++];
    }
  else if (p->next++ == 0)
    return p->args;
  j_throw (&p->run->heap, _ ("not enough arguments for the format string"));
}

static void
percent_field (Percent *p, JBuf *buf, const Spec *spec, JValue value)
{
  JHeap *heap = &p->run->heap;
  double number;
  JBuf text = { 0 };

  switch (spec->type)
    {
    case 's':
      append_text_field (heap, buf, spec, j_to_str (p->run, value), '>');
      return;
    case 'r':
    case 'a':
      j_print_repr (p->run, &text, value);
      append_text_field (heap, buf, spec, j_buf_str (heap, &text), '>');
      return;
    case 'c':
      if (j_is (value, J_INT) && value.i >= 0 && value.i <= 0x10ffff)
        j_buf_append_char (heap, &text, (gunichar) value.i);
      else if (j_is (value, J_STR) && value.str->n_chars == 1)
        j_buf_append_str (heap, &text, value.str);
      else
        j_throw (heap, _ ("%%c needs a character"));
      append_text_field (heap, buf, spec, j_buf_str (heap, &text), '>');
      return;
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
      if (!j_number (value, &number))
        j_throw (heap, _ ("%%%c needs a number, not %s"), spec->type, j_type_name (value));
      if (j_is (value, J_FLOAT))
        {
          if (isnan (number) || fabs (number) >= 9223372036854775808.0 ||
              strchr ("xXo", spec->type) != NULL)
            j_throw (heap, _ ("%%%c needs an integer"), spec->type);
          append_int_field (heap, buf, spec, (gint64) number, TRUE);
        }
      else
        append_int_field (heap, buf, spec, j_is (value, J_INT) ? value.i : value.b, TRUE);
      return;
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
      if (!j_number (value, &number))
        j_throw (heap, _ ("%%%c needs a number, not %s"), spec->type, j_type_name (value));
      append_float_field (heap, buf, spec, number);
      return;
    default:
      j_throw (heap, _ ("unsupported format character '%c'"), spec->type);
    }
}

/* A width or precision, which "*" takes from the arguments. */
static gint64
percent_number (Percent *p, const char **at, const char *end)
{
  JValue value;

  if (*at == end || **at != '*')
    return read_number (p->run, at, end);
  (*at)++;
  value = next_argument (p);
  if (!j_is (value, J_INT) || ABS (value.i) > MAX_WIDTH)
    j_throw (&p->run->heap, _ ("* needs a small integer"));
  return value.i;
}

const JStr *
j_format_percent (JRun *run, const JStr *format, JValue args)
{
  JHeap *heap = &run->heap;
  Percent p = { .run = run, .args = args };
  JBuf buf = { 0 };
  const char *at = format->bytes;
  const char *end = at + format->n_bytes;

  while (at < end)
    {
      const char *mark = memchr (at, '%', (gsize) (end - at));
      Spec spec = { .fill = ' ', .precision = -1 };
      JValue value = { 0 };

      j_work (heap, 1);
      j_buf_append (heap, &buf, at, (gsize) ((mark != NULL ? mark : end) - at));
      if (mark == NULL)
        break;
      at = mark + 1;
      if (at < end && *at == '(')
        {
          const char *close = memchr (at, ')', (gsize) (end - at));
          JValue *member;

          if (close == NULL || !j_is (args, J_DICT))
            j_throw (heap, _ ("a format with names needs a mapping"));
          member = j_dict_get_str (args.dict, j_str_wrap (heap, at + 1, (gsize) (close - at - 1)));
          if (member == NULL)
            j_throw (heap, _ ("the format names a key that is not there"));
          value = *member;
          p.named = TRUE;
          at = close + 1;
        }
      for (; at < end && strchr ("-+ 0#", *at) != NULL && *at != '\0'; at++)
        if (*at == '-')
          spec.align = '<';
        else if (*at == '+' || (*at == ' ' && spec.sign != '+'))
          spec.sign = *at;
        else if (*at == '#')
          spec.alternate = TRUE;
        else if (*at == '0' && spec.align == 0)
          {
            spec.align = '=';
            spec.fill = '0';
          }
      spec.width = percent_number (&p, &at, end);
      if (at < end && *at == '.')
        {
          at++;
          spec.precision = MAX (0, percent_number (&p, &at, end));
        }
      if (spec.width < 0)
        {
          spec.width = -spec.width;
          spec.align = '<';
        }
      if (spec.align == '<')
        spec.fill = ' ';
      while (at < end && (*at == 'l' || *at == 'h' || *at == 'L'))
        at++;
      if (at == end)
        j_throw (heap, _ ("incomplete format"));
      spec.type = *at++;
      if (spec.type == '%')
        {
          j_buf_append (heap, &buf, "%", 1);
          continue;
        }
      if (strchr ("srac", spec.type) != NULL && spec.align == '=')
        {
          spec.align = '>';
          spec.fill = ' ';
        }
      if (value.kind == J_UNSET)
        value = next_argument (&p);
      percent_field (&p, &buf, &spec, value);
    }
  if (j_is (args, J_TUPLE)
          ? p.next < args.list->n
          : !p.named && p.next == 0 && !j_is (args, J_DICT) && !j_is (args, J_LIST))
    j_throw (heap, _ ("not all arguments were converted by the format string"));
  return j_buf_str (heap, &buf);
}

/* --- {} --- */

static Spec
parse_spec (JRun *run, const char *at, const char *end)
{
  Spec spec = { .fill = ' ', .precision = -1 };

  if (at < end)
    {
      const char *next = g_utf8_next_char (at);

      if (next < end && strchr ("<>^=", *next) != NULL)
        {
          spec.fill = g_utf8_get_char (at);
          spec.align = *next;
          at = next + 1;
        }
      else if (strchr ("<>^=", *at) != NULL)
        spec.align = *at++;
    }
  if (at < end && strchr ("+- ", *at) != NULL)
    spec.sign = *at++;
  if (at < end && *at == '#')
    {
      spec.alternate = TRUE;
      at++;
    }
  if (at < end && *at == '0')
    {
      if (spec.align == 0)
        {
          spec.align = '=';
          spec.fill = '0';
        }
      at++;
    }
  spec.width = read_number (run, &at, end);
  if (at < end && (*at == ',' || *at == '_'))
    spec.group = *at++;
  if (at < end && *at == '.')
    {
      at++;
      spec.precision = read_number (run, &at, end);
    }
  if (at < end)
    spec.type = *at++;
  if (at != end)
    j_throw (&run->heap, _ ("invalid format specification"));
  return spec;
}

static void
brace_field (JRun *run, JBuf *buf, const Spec *spec, JValue value)
{
  JHeap *heap = &run->heap;
  gboolean integer = j_is (value, J_INT) || (j_is (value, J_BOOL) && spec->type != 0);
  double number;

  if (integer && (spec->type == 0 || strchr ("dxXobn", spec->type) != NULL))
    append_int_field (heap, buf, spec, j_is (value, J_INT) ? value.i : value.b, FALSE);
  else if (j_number (value, &number) && (j_is (value, J_FLOAT) || integer) &&
           (spec->type == 0 || strchr ("eEfFgG%", spec->type) != NULL))
    append_float_field (heap, buf, spec, number);
  else if (spec->type == 0 || spec->type == 's')
    append_text_field (heap, buf, spec, j_to_str (run, value), '<');
  else
    j_throw (heap, _ ("format '%c' does not suit a value of type %s"), spec->type,
             j_type_name (value));
}

/* The value that "0.name[key]" picks. */
static JValue
brace_value (JRun *run, const char *at, const char *end, const JArgs *args, gint64 *automatic)
{
  JHeap *heap = &run->heap;
  const char *stop = at;
  JValue value = { 0 };
  gboolean digits = TRUE;

  for (; stop < end && *stop != '.' && *stop != '['; stop++)
    digits &= g_ascii_isdigit (*stop);
  if (digits)
    {
      gint64 index = stop > at ? read_number (run, &at, stop) : (*automatic)++;

      if ((guint64) index >= args->n_pos)
        j_throw (heap, _ ("the format needs more arguments"));
      value = args->pos[index];
    }
  else
    {
      const JStr *name = j_str_wrap (heap, at, (gsize) (stop - at));

      for (gsize i = 0; i < args->n_kw; i++)
        if (j_str_equal (args->names[i], name))
          value = args->kw[i];
      if (value.kind == J_UNSET)
        j_throw (heap, _ ("the format names an argument that is not given"));
    }
  for (at = stop; at < end;)
    {
      gboolean element = *at == '[';
      const char *start = ++at;

      while (at < end && (element ? *at != ']' : *at != '.' && *at != '['))
        at++;
      if (element && at == end)
        j_throw (heap, _ ("a '[' in the format is not closed"));
      if (element)
        {
          const char *number = start;
          gint64 index = read_number (run, &number, at);

          value = j_getitem (run, value,
                             number == at && at > start
                                 ? j_int (index)
                                 : j_str (j_str_wrap (heap, start, (gsize) (at - start))));
          at++;
        }
      else
        value = j_getattr (run, value, j_str_wrap (heap, start, (gsize) (at - start)));
    }
  return value;
}

const JStr *
j_format_braces (JRun *run, const JStr *format, const JArgs *args)
{
  JHeap *heap = &run->heap;
  JBuf buf = { 0 };
  const char *at = format->bytes;
  const char *end = at + format->n_bytes;
  gint64 automatic = 0;

  while (at < end)
    {
      const char *start = at;
      const char *close, *colon, *bang;
      Spec spec = { .fill = ' ', .precision = -1 };
      JValue value;

      j_work (heap, 1);
      while (at < end && *at != '{' && *at != '}')
        at++;
      j_buf_append (heap, &buf, start, (gsize) (at - start));
      if (at == end)
        break;
      if (at + 1 < end && at[1] == at[0])
        {
          j_buf_append (heap, &buf, at, 1);
          at += 2;
          continue;
        }
      close = *at == '{' ? memchr (at, '}', (gsize) (end - at)) : NULL;
      if (close == NULL)
        j_throw (heap, _ ("a single '%c' in the format string"), *at);
      at++;
      colon = memchr (at, ':', (gsize) (close - at));
      bang = memchr (at, '!', (gsize) ((colon != NULL ? colon : close) - at));
      value = brace_value (run, at,
                           bang != NULL    ? bang
                           : colon != NULL ? colon
                                           : close,
                           args, &automatic);
      if (bang != NULL)
        {
          JBuf text = { 0 };

          if (bang + 1 < close && bang[1] == 's')
            j_print (run, &text, value);
          else if (bang + 1 < close && (bang[1] == 'r' || bang[1] == 'a'))
            j_print_repr (run, &text, value);
          else
            j_throw (heap, _ ("unknown conversion in the format string"));
          value = j_str (j_buf_str (heap, &text));
        }
      if (colon != NULL)
        spec = parse_spec (run, colon + 1, close);
      if (j_is (value, J_BOOL) && colon != NULL && colon + 1 == close)
        spec = (Spec){ .fill = ' ', .precision = -1 };
      brace_field (run, &buf, &spec, value);
      at = close + 1;
    }
  return j_buf_str (heap, &buf);
}
