/* The filters about numbers. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#define FILTER(name)                                                                               \
  static JValue filter_##name (JRun *run, JValue self, const JValue *arg, const JArgs *args)

FILTER (abs)
{
  if (j_is (self, J_FLOAT))
    return j_float (fabs (self.f));
  if (j_is (self, J_INT) || j_is (self, J_BOOL))
    {
      gint64 i = j_is (self, J_INT) ? self.i : self.b;

      return i < 0 ? j_negate (run, self) : j_int (i);
    }
  j_throw (&run->heap, _ ("abs needs a number, not %s"), j_type_name (self));
}

/* --- Text to numbers --- */

/* The digits of `text` without white space around them and single underscores between them,
 * terminated; NULL if underscores stand elsewhere or other white space is inside. */
static char *
clean_number (JHeap *heap, const JStr *text)
{
  const JStr *bare = j_text_strip (heap, text, NULL, TRUE, TRUE);
  char *clean = j_strndup (heap, bare->bytes, bare->n_bytes);
  gsize to = 0;

  for (gsize i = 0; i < bare->n_bytes; i++)
    {
      char c = bare->bytes[i];

      if (c == '_')
        {
          if (i == 0 || i + 1 == bare->n_bytes || !g_ascii_isxdigit (bare->bytes[i - 1]) ||
              !g_ascii_isxdigit (bare->bytes[i + 1]))
            return NULL;
        }
      else if (c == '\0' || g_ascii_isspace (c))
        return NULL;
      else
        clean[to++] = c;
    }
  clean[to] = '\0';
  return clean;
}

static gboolean
parse_int (JRun *run, const JStr *text, gint64 base, gint64 *out)
{
  char *clean = clean_number (&run->heap, text);
  const char *at = clean;
  gboolean negative;
  guint64 value = 0;

  if (clean == NULL)
    return FALSE;
  negative = *at == '-';
  if (*at == '-' || *at == '+')
    at++;
  if (at[0] == '0' && at[1] != '\0')
    {
      char mark = g_ascii_tolower (at[1]);
      gint64 marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;

      if (marked != 0 && (base == marked || base == 0))
        {
          at += 2;
          base = marked;
        }
    }
  if (base == 0)
    base = 10;
  if (base < 2 || base > 36)
    j_throw (&run->heap, _ ("the base of int must be 0 or from 2 to 36"));
  if (*at == '\0')
    return FALSE;
  for (; *at != '\0'; at++)
    {
      int digit = g_ascii_isdigit (*at)   ? *at - '0'
                  : g_ascii_isalpha (*at) ? g_ascii_tolower (*at) - 'a' + 10
                                          : 99;

      if (digit >= base)
        return FALSE;
      if (__builtin_mul_overflow (value, (guint64) base, &value) ||
          __builtin_add_overflow (value, (guint64) digit, &value) || value > G_MAXINT64)
        j_throw (&run->heap, _ ("an integer does not fit 64 bits"));
    }
  *out = negative ? -(gint64) value : (gint64) value;
  return TRUE;
}

static gboolean
parse_float (JRun *run, const JStr *text, double *out)
{
  char *clean = clean_number (&run->heap, text);
  const char *digits;
  char *end;

  if (clean == NULL || *clean == '\0')
    return FALSE;
  digits = clean + (*clean == '-' || *clean == '+');
  /* C reads hexadecimal numbers and nan(...) too; Python does not. */
  if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X'))
    return FALSE;
  if (strchr (clean, '(') != NULL)
    return FALSE;
  *out = g_ascii_strtod (clean, &end);
  return *end == '\0';
}

static gboolean
float_to_int (JRun *run, double value, gint64 *out)
{
  if (isnan (value) || isinf (value))
    return FALSE;
  if (fabs (value) >= 9223372036854775808.0)
    j_throw (&run->heap, _ ("an integer does not fit 64 bits"));
  *out = (gint64) value;
  return TRUE;
}

FILTER (int)
{
  JValue fallback = j_is (arg[0], J_UNSET) ? j_int (0) : arg[0];
  gint64 base = j_arg_int (run, arg[1], N_ ("the base of int"), 10);
  gint64 result;
  double number;

  switch (self.kind)
    {
    case J_UNDEFINED:
      j_throw_undefined (run, self);
    case J_BOOL:
      return j_int (self.b);
    case J_INT:
      return self;
    case J_FLOAT:
      if (isinf (self.f))
        j_throw (&run->heap, _ ("infinity is no integer"));
      return float_to_int (run, self.f, &result) ? j_int (result) : fallback;
    case J_STR:
      if (parse_int (run, self.str, base, &result))
        return j_int (result);
      if (parse_float (run, self.str, &number) && float_to_int (run, number, &result))
        return j_int (result);
      return fallback;
    default:
      return fallback;
    }
}

FILTER (float)
{
  double number;

  if (j_is (self, J_UNDEFINED))
    j_throw_undefined (run, self);
  if (j_number (self, &number) || (j_is (self, J_STR) && parse_float (run, self.str, &number)))
    return j_float (number);
  return j_is (arg[0], J_UNSET) ? j_float (0.0) : arg[0];
}

/* --- Rounding --- */

static double
power_of_ten (gint64 exponent)
{
  return pow (10.0, (double) CLAMP (exponent, -400, 400));
}

/* Half to even on the exact decimal value, as printf rounds. */
static double
round_float (JHeap *heap, double value, gint64 precision)
{
  JBuf buf = { 0 };
  double scale;

  if (isnan (value) || isinf (value) || precision > 100)
    return value;
  if (precision >= 0)
    {
      j_print_fixed (heap, &buf, value, (int) precision);
      return g_ascii_strtod (buf.bytes, NULL);
    }
  scale = power_of_ten (-precision);
  return isinf (scale) ? copysign (0.0, value) : rint (value / scale) * scale;
}

static gint64
round_int (gint64 value, gint64 precision)
{
  gint64 scale = 1;
  gint64 rest, base;

  if (precision >= 0)
    return value;
  if (precision < -18)
    return 0;
  for (; precision < 0; precision++)
    scale *= 10;
  rest = value % scale;
  if (rest < 0)
    rest += scale;
  base = value - rest;
  if (rest * 2 > scale || (rest * 2 == scale && (base / scale) % 2 != 0))
    base = base > G_MAXINT64 - scale ? base : base + scale;
  return base;
}

FILTER (round)
{
  gint64 precision = j_arg_int (run, arg[0], N_ ("the precision of round"), 0);
  const JStr *method = j_arg_str (run, arg[1], N_ ("the method of round"));
  double number;
  double scale, scaled;

  if (!j_number (self, &number))
    j_throw (&run->heap, _ ("round needs a number, not %s"), j_type_name (self));
  if (method == NULL || j_str_is (method, "common"))
    {
      if (j_is (self, J_FLOAT))
        return j_float (round_float (&run->heap, number, precision));
      return j_int (round_int (j_is (self, J_INT) ? self.i : self.b, precision));
    }
  if (!j_str_is (method, "ceil") && !j_str_is (method, "floor"))
    j_throw (&run->heap, _ ("the method of round must be common, ceil or floor"));
  scale = power_of_ten (precision);
  scaled = number * scale;
  if (isnan (scaled) || isinf (scaled))
    j_throw (&run->heap, _ ("round: the number is too large"));
  return j_float ((j_str_is (method, "ceil") ? ceil (scaled) : floor (scaled)) / scale);
}

FILTER (filesizeformat)
{
  static const char *const decimal[] = { "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB" };
  static const char *const binary[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB" };
  gboolean by_1024 = j_arg_bool (arg[0], FALSE);
  double base = by_1024 ? 1024 : 1000;
  double unit = base;
  double bytes;
  JBuf buf = { 0 };

  if (!j_number (self, &bytes) && !(j_is (self, J_STR) && parse_float (run, self.str, &bytes)))
    j_throw (&run->heap, _ ("filesizeformat needs a number, not %s"), j_type_name (self));
  if (bytes == 1)
    j_buf_append_literal (&run->heap, &buf, "1 Byte");
  else if (bytes < base)
    {
      j_print_fixed (&run->heap, &buf, trunc (bytes), 0);
      j_buf_append_literal (&run->heap, &buf, " Bytes");
    }
  else
    {
      gsize i = 0;

      for (; i + 1 < G_N_ELEMENTS (decimal) && bytes >= unit * base; i++)
        unit *= base;
      j_print_fixed (&run->heap, &buf, bytes / unit, 1);
      j_buf_append (&run->heap, &buf, " ", 1);
      j_buf_append_literal (&run->heap, &buf, by_1024 ? binary[i] : decimal[i]);
    }
  return j_str (j_buf_str (&run->heap, &buf));
}

const JBuiltin j_filters_number[] = {
  { "abs", "", filter_abs },
  { "filesizeformat", "? binary", filter_filesizeformat },
  { "float", "? default", filter_float },
  { "int", "? default base", filter_int },
  { "round", "? precision method", filter_round },
  { NULL },
};
