/* The grammar as data: making and freeing it, and its sets of characters. */
#define G_LOG_DOMAIN "atl-grammar"

#include "engine/samplers/grammar-private.h"

AtlGrammar *
atl_gbnf_create (void)
{
  AtlGrammar *self = g_new0 (AtlGrammar, 1);

  self->ref_count = 1;
  self->symbols = g_array_new (FALSE, FALSE, sizeof (AtlGbnfSymbol));
  self->alts = g_array_new (FALSE, FALSE, sizeof (guint32));
  self->rules = g_array_new (FALSE, FALSE, sizeof (AtlGbnfRule));
  self->repeats = g_array_new (FALSE, FALSE, sizeof (AtlGbnfRepeat));
  self->sets = g_array_new (FALSE, FALSE, sizeof (AtlGbnfSet));
  self->ranges = g_array_new (FALSE, FALSE, sizeof (AtlGbnfRange));
  return self;
}

AtlGrammar *
atl_grammar_ref (AtlGrammar *self)
{
  g_return_val_if_fail (self != NULL, NULL);
  g_atomic_int_inc (&self->ref_count);
  return self;
}

void
atl_grammar_unref (AtlGrammar *self)
{
  if (self == NULL || !g_atomic_int_dec_and_test (&self->ref_count))
    return;
  g_array_unref (self->symbols);
  g_array_unref (self->alts);
  g_array_unref (self->rules);
  g_array_unref (self->repeats);
  g_array_unref (self->sets);
  g_array_unref (self->ranges);
  g_free (self);
}

gboolean
atl_gbnf_set_meets (const AtlGrammar *grammar, guint32 set, gunichar low, gunichar high)
{
  const AtlGbnfSet *ranges = atl_gbnf_set (grammar, set);
  guint32 left = 0;
  guint32 right = ranges->n_ranges;

  /* The first range that does not end before `low`. */
  while (left < right)
    {
      guint32 middle = (left + right) / 2;

      if (atl_gbnf_range (grammar, ranges->first_range + middle)->high < low)
        left = middle + 1;
      else
        right = middle;
    }
  return left < ranges->n_ranges &&
         atl_gbnf_range (grammar, ranges->first_range + left)->low <= high;
}

static int
compare_ranges (gconstpointer a, gconstpointer b)
{
  const AtlGbnfRange *x = a;
  const AtlGbnfRange *y = b;

  return x->low < y->low ? -1 : x->low > y->low;
}

guint32
atl_gbnf_add_set (AtlGrammar *grammar, GArray *ranges, gboolean negated)
{
  AtlGbnfSet set = { grammar->ranges->len, 0 };
  gunichar next = 0; /* the first character that no range covered so far */
  guint n = 0;

  g_array_sort (ranges, compare_ranges);
  for (guint i = 0; i < ranges->len; i++)
    {
      AtlGbnfRange *range = &g_array_index (ranges, AtlGbnfRange, i);
      AtlGbnfRange *last = n > 0 ? &g_array_index (ranges, AtlGbnfRange, n - 1) : NULL;

      if (last != NULL && range->low <= last->high + 1)
        last->high = MAX (last->high, range->high);
      else
        g_array_index (ranges, AtlGbnfRange, n++) = *range;
    }
  g_array_set_size (ranges, n);
  for (guint i = 0; i < n; i++)
    {
      AtlGbnfRange range = g_array_index (ranges, AtlGbnfRange, i);

      if (negated)
        {
          AtlGbnfRange gap = { next, range.low - 1 };

          if (range.low > next)
            g_array_append_val (grammar->ranges, gap);
          next = range.high + 1;
        }
      else
        g_array_append_val (grammar->ranges, range);
    }
  if (negated && next <= 0x10ffff)
    {
      AtlGbnfRange rest = { next, 0x10ffff };

      g_array_append_val (grammar->ranges, rest);
    }
  set.n_ranges = grammar->ranges->len - set.first_range;
  g_array_append_val (grammar->sets, set);
  return grammar->sets->len - 1;
}
