/* Ranges of integers as grammars over their digits. */
#define G_LOG_DOMAIN "atl-grammar"

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
