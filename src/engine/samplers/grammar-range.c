/* Ranges of integers and of other numbers as grammars over their digits. */
#define G_LOG_DOMAIN "atl-grammar"

#include <math.h>
#include <string.h>

#include "engine/samplers/grammar-private.h"

#define LARGEST G_GINT64_CONSTANT (9999999999999999)

static void
append_class (GString *out, char low, char high)
{
  if (low == high)
    g_string_append_printf (out, "[%c]", low);
  else
    g_string_append_printf (out, "[%c-%c]", low, high);
}

static void
append_any_digits (GString *out, gsize n)
{
  if (n > 0)
    g_string_append_printf (out, " [0-9]{%" G_GSIZE_FORMAT "}", n);
}

static gboolean
all_are (const char *digits, char c)
{
  for (; *digits != '\0'; digits++)
    if (*digits != c)
      return FALSE;
  return TRUE;
}

/* The numbers from `low` to `high`, which have the same number of digits, as alternatives. The
 * recursion is one level a digit. */
static void
append_same_length (GString *out, const char *low, const char *high)
{
  gsize rest = strlen (low) - 1;
  char from = *low;
  char to = *high;
  gboolean low_part, high_part;

  if (all_are (low, '0') && all_are (high, '9'))
    {
      g_string_append_printf (out, "[0-9]{%" G_GSIZE_FORMAT "}", rest + 1);
      return;
    }
  if (rest == 0)
    {
      append_class (out, from, to);
      return;
    }
  if (from == to)
    {
      append_class (out, from, to);
      g_string_append (out, " (");
      append_same_length (out, low + 1, high + 1);
      g_string_append_c (out, ')');
      return;
    }
  /* The first digits that allow any rest form one class; the outer ones are looked at further. */
  low_part = !all_are (low + 1, '0');
  high_part = !all_are (high + 1, '9');
  if (low_part)
    {
      g_autofree char *nines = g_strnfill (rest, '9');

      append_class (out, from, from);
      g_string_append (out, " (");
      append_same_length (out, low + 1, nines);
      g_string_append_c (out, ')');
      from++;
    }
  if (from <= to - high_part)
    {
      if (low_part)
        g_string_append (out, " | ");
      append_class (out, from, (char) (to - high_part));
      append_any_digits (out, rest);
    }
  if (high_part)
    {
      g_autofree char *zeros = g_strnfill (rest, '0');

      if (low_part || from <= to - 1)
        g_string_append (out, " | ");
      append_class (out, to, to);
      g_string_append (out, " (");
      append_same_length (out, zeros, high + 1);
      g_string_append_c (out, ')');
    }
}

/* The numbers from `low` to `high`, neither negative, split by their length. */
static void
append_magnitudes (GString *out, gint64 low, gint64 high)
{
  gboolean first = TRUE;

  for (gint64 start = low; start <= high;)
    {
      char from[24], to[24];
      gint64 end = 9;

      while (end < start)
        end = end * 10 + 9;
      end = MIN (end, high);
      g_snprintf (from, sizeof from, "%" G_GINT64_FORMAT, start);
      g_snprintf (to, sizeof to, "%" G_GINT64_FORMAT, end);
      if (!first)
        g_string_append (out, " | ");
      first = FALSE;
      append_same_length (out, from, to);
      start = end + 1;
    }
}

char *
atl_gbnf_from_integers (gint64 min, gint64 max)
{
  GString *out = g_string_new ("(");
  gboolean negative, positive;

  min = MAX (min, -LARGEST);
  max = MIN (max, LARGEST);
  negative = min < 0 && min <= max;
  positive = max >= 0 && min <= max;
  if (negative)
    {
      g_string_append (out, "\"-\" (");
      append_magnitudes (out, MAX (1, -max), -min);
      g_string_append_c (out, ')');
    }
  if (negative && positive)
    g_string_append (out, " | ");
  if (positive)
    append_magnitudes (out, MAX (0, min), max);
  /* An empty range allows nothing. */
  if (!negative && !positive)
    g_string_append (out, "[]");
  g_string_append_c (out, ')');
  return g_string_free (out, FALSE);
}

/* --- Numbers with a point --- */

/* One bound of numbers that are not negative, as its digits. */
typedef struct
{
  gint64 whole;
  char digits[24]; /* behind the point, without zeros at the end */
  gboolean excluded;
} Bound;

static Bound
bound_new (double value, gboolean excluded)
{
  Bound bound = { .excluded = excluded };
  char text[48];
  char *point;

  if (!(value < (double) LARGEST))
    {
      bound.whole = LARGEST;
      return bound;
    }
  /* The digits that the bound was written with, not those of its binary neighbour. */
  g_ascii_formatd (text, sizeof text, value < 1 ? "%.15f" : "%.15g", value);
  if (strchr (text, 'e') != NULL)
    g_snprintf (text, sizeof text, "%" G_GINT64_FORMAT, (gint64) value);
  bound.whole = g_ascii_strtoll (text, NULL, 10);
  point = strchr (text, '.');
  if (point != NULL)
    g_strlcpy (bound.digits, point + 1, sizeof bound.digits);
  for (gsize n = strlen (bound.digits); n > 0 && bound.digits[n - 1] == '0'; n--)
    bound.digits[n - 1] = '\0';
  return bound;
}

/* Digits behind the point from those of `low` up, or above them if it is excluded. One level a
 * digit, like all of these. */
static void
append_from (GString *out, const char *low, gboolean excluded)
{
  if (*low == '\0')
    {
      g_string_append (out, excluded ? "[0-9]{0,4} [1-9]" : "[0-9]{0,4}");
      return;
    }
  g_string_append_c (out, '(');
  if (*low < '9')
    {
      append_class (out, (char) (*low + 1), '9');
      g_string_append (out, " [0-9]{0,12} | ");
    }
  append_class (out, *low, *low);
  g_string_append_c (out, ' ');
  append_from (out, low + 1, excluded);
  g_string_append_c (out, ')');
}

/* Digits behind the point up to those of `high`, which are some and do not end with 0. */
static void
append_up_to (GString *out, const char *high, gboolean excluded)
{
  gboolean is_last = high[1] == '\0';

  g_string_append_c (out, '(');
  if (*high > '0')
    {
      append_class (out, '0', (char) (*high - 1));
      g_string_append_printf (out, " [0-9]{0,12}%s", is_last && excluded ? "" : " | ");
    }
  if (!is_last)
    {
      /* Fewer digits are less. */
      append_class (out, *high, *high);
      g_string_append (out, " (");
      append_up_to (out, high + 1, excluded);
      g_string_append (out, ")?");
    }
  else if (!excluded)
    {
      append_class (out, *high, *high);
      g_string_append (out, " [0]{0,2}");
    }
  g_string_append_c (out, ')');
}

/* Digits behind the point between both; those of `low` are the smaller ones. */
static void
append_between (GString *out, const Bound *low, const char *from, const Bound *high, const char *to)
{
  char first = *from != '\0' ? *from : '0';
  const char *rest = *from != '\0' ? from + 1 : from;

  if (*to == '\0')
    {
      g_string_append (out, low->excluded || high->excluded ? "[]" : "[0]{0,2}");
      return;
    }
  g_string_append_c (out, '(');
  if (first == *to)
    {
      append_class (out, first, first);
      g_string_append_c (out, ' ');
      append_between (out, low, rest, high, to + 1);
    }
  else
    {
      append_class (out, first, first);
      g_string_append_c (out, ' ');
      append_from (out, rest, low->excluded);
      if (first + 1 < *to)
        {
          g_string_append (out, " | ");
          append_class (out, (char) (first + 1), (char) (*to - 1));
          g_string_append (out, " [0-9]{0,12}");
        }
      if (to[1] != '\0' || !high->excluded)
        {
          g_string_append (out, " | ");
          append_class (out, *to, *to);
          g_string_append_c (out, ' ');
        }
      if (to[1] != '\0')
        {
          g_string_append_c (out, '(');
          append_up_to (out, to + 1, high->excluded);
          g_string_append (out, ")?");
        }
      else if (!high->excluded)
        g_string_append (out, "[0]{0,2}");
    }
  g_string_append_c (out, ')');
}

/* The numbers between two bounds, neither negative. */
static void
append_numbers (GString *out, const Bound *low, const Bound *high)
{
  gboolean all_of_first = *low->digits == '\0' && !low->excluded;
  gboolean begins = *high->digits != '\0' || !high->excluded;
  gint64 from = low->whole + !all_of_first;

  if (low->whole > high->whole ||
      (low->whole == high->whole && strcmp (low->digits, high->digits) > 0))
    {
      g_string_append (out, "[]");
      return;
    }
  if (low->whole == high->whole)
    {
      g_string_append_printf (out, "\"%" G_GINT64_FORMAT "\" ", low->whole);
      if (all_of_first && *high->digits == '\0')
        g_string_append (out, high->excluded ? "[]" : "(\".\" [0]{1,2})?");
      else if (all_of_first)
        {
          g_string_append (out, "(\".\" ");
          append_up_to (out, high->digits, high->excluded);
          g_string_append (out, ")?");
        }
      else
        {
          g_string_append (out, "\".\" ");
          append_between (out, low, low->digits, high, high->digits);
        }
      return;
    }
  if (!all_of_first)
    {
      g_string_append_printf (out, "\"%" G_GINT64_FORMAT ".\" ", low->whole);
      append_from (out, low->digits, low->excluded);
    }
  if (from < high->whole)
    {
      g_string_append (out, all_of_first ? "(" : " | (");
      append_magnitudes (out, from, high->whole - 1);
      g_string_append (out, ") (\".\" [0-9]{1,16})?");
    }
  if (!begins)
    return;
  g_string_append_printf (out, "%s\"%" G_GINT64_FORMAT "\" (\".\" ",
                          all_of_first && from >= high->whole ? "" : " | ", high->whole);
  if (*high->digits != '\0')
    append_up_to (out, high->digits, high->excluded);
  else
    g_string_append (out, "[0]{1,2}");
  g_string_append (out, ")?");
}

char *
atl_gbnf_from_numbers (double min, double max, gboolean min_excluded, gboolean max_excluded)
{
  GString *out = g_string_new ("(");
  gboolean empty, negative, positive;

  /* Bounds that no number of so many digits keeps to are none. */
  if (min >= (double) LARGEST)
    min = -INFINITY;
  if (max <= -(double) LARGEST)
    max = INFINITY;
  empty = !(min <= max) || (min == max && (min_excluded || max_excluded));
  negative = !empty && min < 0;
  positive = !empty && (max > 0 || (max == 0 && !max_excluded));

  if (negative)
    {
      Bound low = bound_new (MAX (0, -max), max >= 0 || max_excluded);
      Bound high = bound_new (-min, min_excluded);

      g_string_append (out, "\"-\" (");
      append_numbers (out, &low, &high);
      g_string_append_c (out, ')');
    }
  if (negative && positive)
    g_string_append (out, " | ");
  if (positive)
    {
      Bound low = bound_new (MAX (0, min), min >= 0 && min_excluded);
      Bound high = bound_new (max, max_excluded);

      append_numbers (out, &low, &high);
    }
  /* An empty range allows nothing. */
  if (!negative && !positive)
    g_string_append (out, "[]");
  g_string_append_c (out, ')');
  return g_string_free (out, FALSE);
}
