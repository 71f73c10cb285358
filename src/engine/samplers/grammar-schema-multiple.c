/* Multiples of a number ("multipleOf") as grammars over their digits: a digit at a time, with the
 * remainder that the digits so far leave. */
#define G_LOG_DOMAIN "atl-grammar"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/samplers/grammar-schema-private.h"

#define MAX_DIGITS 16
#define LARGEST G_GINT64_CONSTANT (9999999999999999)
/* Of numbers that the schema does not bound: a model that ends its number where it is no multiple
 * is made to go on, and would up to the last digit. Seconds since 1970 have as many. */
#define MAX_FREE_DIGITS 10
#define MAX_DECIMALS 9
/* Remainders that are told apart: each is a rule for each number of digits that still come. */
#define MAX_REMAINDERS 128

/* Numbers are written as whole numbers of units of 10^-decimals. */
typedef struct
{
  AtlSchemaConverter *c;
  gint64 step; /* in units */
  guint decimals;
  GHashTable *rules; /* (owned) left digits and remainder -> (owned) name, "" for what cannot be */
} Digits;

static gint64
power_of_ten (guint n)
{
  gint64 power = 1;

  while (n-- > 0)
    power *= 10;
  return power;
}

static gint64
greatest_divisor (gint64 a, gint64 b)
{
  while (b != 0)
    {
      gint64 rest = a % b;

      a = b;
      b = rest;
    }
  return a;
}

/* How many remainders differ in what may follow when `left` digits still come. */
static gint64
n_remainders (const Digits *self, guint left)
{
  return self->step / greatest_divisor (self->step, power_of_ten (left));
}

static void
append_digits (Digits *self, GString *out, int low, int high, const char *rest)
{
  if (out->len > 0)
    g_string_append (out, " | ");
  g_string_append_printf (out, low == high ? "[%d]" : "[%d-%d]", low, high);
  if (*rest != '\0')
    g_string_append_printf (out, " %s", rest);
}

/* With the point before the decimals; NULL for no alternative, else the name of a rule. */
static char *
digits_rule (Digits *self, GString *alternatives, guint left)
{
  gboolean pointed = self->decimals > 0 && left == self->decimals;
  g_autofree char *all = g_string_free (alternatives, FALSE);
  g_autofree char *body = NULL;

  if (*all == '\0')
    return NULL;
  body = pointed ? g_strdup_printf ("\".\" (%s)", all) : g_steal_pointer (&all);
  return atl_schema_add_rule (self->c, "multiple", body);
}

/* `left` digits, whichever make a multiple behind those that left `remainder`; NULL if none do, ""
 * when none are left. The recursion is one level a digit. */
static const char *
any_digits (Digits *self, guint left, gint64 remainder)
{
  gint64 kept = remainder % n_remainders (self, left);
  gint64 key = kept * (MAX_DIGITS + 1) + left;
  const char *known;
  GString *out;
  char *name;

  if (left == 0)
    return remainder % self->step == 0 ? "" : NULL;
  known = g_hash_table_lookup (self->rules, &key);
  if (known != NULL)
    return *known != '\0' ? known : NULL;
  out = g_string_new (NULL);
  for (int digit = 0; digit < 10;)
    {
      const char *rest = any_digits (self, left - 1, kept * 10 + digit);
      int last = digit;

      while (last < 9 && any_digits (self, left - 1, kept * 10 + last + 1) == rest)
        last++;
      if (rest != NULL)
        append_digits (self, out, digit, last, rest);
      digit = last + 1;
    }
  name = digits_rule (self, out, left);
  if (name == NULL)
    name = g_strdup ("");
  g_hash_table_insert (self->rules, g_memdup2 (&key, sizeof key), name);
  return *name != '\0' ? name : NULL;
}

/* The digits from `at` on of numbers from `low` to `high`, of which the first are written: with
 * `on_low` (`on_high`) they are those of the bound. The caller's; NULL if there are none. */
static char *
bounded_digits (Digits *self,
                const char *low,
                const char *high,
                guint at,
                gint64 remainder,
                gboolean on_low,
                gboolean on_high)
{
  guint left = (guint) strlen (low) - at;
  int first = on_low && left > 0 ? low[at] - '0' : 0;
  int last = on_high && left > 0 ? high[at] - '0' : 9;
  GString *out;

  if ((!on_low && !on_high) || left == 0)
    return g_strdup (any_digits (self, left, remainder));
  out = g_string_new (NULL);
  for (int digit = first; digit <= last; digit++)
    {
      gint64 next = (remainder * 10 + digit) % self->step;
      g_autofree char *rest = bounded_digits (self, low, high, at + 1, next,
                                              on_low && digit == first, on_high && digit == last);

      if (rest != NULL)
        append_digits (self, out, digit, digit, rest);
    }
  return digits_rule (self, out, left);
}

/* Adds the multiples from `low` to `high`, which are not negative and in units. */
static void
append_multiples (Digits *self, GString *out, const char *sign, gint64 low, gint64 high)
{
  /* A digit stands before the point. */
  int least = (int) self->decimals + 1;

  while (low <= MIN (high, LARGEST))
    {
      g_autofree char *from = g_strdup_printf ("%0*" G_GINT64_FORMAT, least, low);
      guint n = (guint) strlen (from);
      gint64 end = MIN (MIN (high, LARGEST), power_of_ten (n) - 1);
      g_autofree char *to = g_strdup_printf ("%0*" G_GINT64_FORMAT, least, end);
      g_autofree char *digits = bounded_digits (self, from, to, 0, 0, TRUE, TRUE);

      if (digits != NULL)
        g_string_append_printf (out, "%s%s%s", out->len > 0 ? " | " : "", sign, digits);
      low = end + 1;
    }
}

/* The most where the schema does not say: what divides a power of ten is met soon by digits that
 * models like, as zeros. */
static gint64
free_bound (const Digits *self)
{
  guint n = MAX_FREE_DIGITS + self->decimals;

  if (n_remainders (self, MAX_DIGITS) == 1 || n >= MAX_DIGITS || self->step >= power_of_ten (n - 2))
    return LARGEST;
  return power_of_ten (n) - 1;
}

/* The bound in units; whole ones are not missed by a rounding of the product. */
static gint64
bound_in_units (double bound, guint decimals, gboolean upper, gboolean excluded)
{
  double units = bound * (double) power_of_ten (decimals), whole = round (units);

  if (fabs (units) >= 1e16)
    return units > 0 ? LARGEST : -LARGEST;
  if (fabs (units - whole) > 1e-6)
    return (gint64) (upper ? floor (units) : ceil (units));
  return (gint64) whole + (!excluded ? 0 : upper ? -1 : 1);
}

static void
append_signed (Digits *self, GString *out, const AtlSchemaRange *range)
{
  gint64 low = bound_in_units (range->min, self->decimals, FALSE, range->min_excluded);
  gint64 high = bound_in_units (range->max, self->decimals, TRUE, range->max_excluded);
  gint64 most = free_bound (self);

  /* As far from the other bound, or from zero. */
  if (isinf (range->max))
    high = MIN (MAX (low, 0) + most, LARGEST);
  if (isinf (range->min))
    low = MAX (MIN (high, 0) - most, -LARGEST);
  append_multiples (self, out, "", MAX (low, 0), high);
  if (low < 0)
    append_multiples (self, out, "\"-\" ", MAX (1, -high), -low);
}

char *
atl_schema_convert_multiples (AtlSchemaConverter *c,
                              double step,
                              const AtlSchemaRange *range,
                              gboolean integer)
{
  Digits digits = { .c = c };
  GString *out = g_string_new ("");
  double units = step;

  while (digits.decimals < MAX_DECIMALS && fabs (units - round (units)) > 1e-9 * units)
    units = step * (double) power_of_ten (++digits.decimals);
  /* Written so that what is no number is refused, too. */
  if (!(step > 0 && units >= 1 && units <= (double) LARGEST &&
        fabs (units - round (units)) <= 1e-9 * units))
    {
      g_string_free (out, TRUE);
      atl_schema_fail (c, ATL_ERROR_UNSUPPORTED, _ ("its “multipleOf” cannot be kept to"));
      return NULL;
    }
  digits.step = (gint64) round (units);
  for (guint whole = integer ? 1 : 0; whole < 2 && c->error == NULL; whole++)
    {
      /* Whole numbers are written without a point; a number with decimals may be one. */
      if (whole)
        {
          digits.step /= greatest_divisor (digits.step, power_of_ten (digits.decimals));
          digits.decimals = 0;
        }
      else if (digits.decimals == 0)
        continue;
      if (n_remainders (&digits, MAX_DIGITS) > MAX_REMAINDERS)
        atl_schema_fail (c, ATL_ERROR_UNSUPPORTED, _ ("its “multipleOf” cannot be kept to"));
      else
        {
          digits.rules = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
          append_signed (&digits, out, range);
          g_hash_table_unref (digits.rules);
        }
    }
  if (out->len == 0)
    g_string_append (out, "[]");
  g_string_prepend (out, "(");
  g_string_append (out, ")");
  return g_string_free (out, FALSE);
}
