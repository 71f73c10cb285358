/* Checked arithmetic for sizes read from files. */
#include "base/checked.h"

gboolean
atl_checked_align (guint64 value, guint64 alignment, guint64 *out)
{
  guint64 sum;

  if (alignment == 0 || (alignment & (alignment - 1)) != 0)
    return FALSE;
  if (!atl_checked_add (value, alignment - 1, &sum))
    return FALSE;
  *out = sum & ~(alignment - 1);
  return TRUE;
}

gboolean
atl_checked_product (const gint64 *dims, guint n, guint64 *out)
{
  guint64 product = 1;

  for (guint i = 0; i < n; i++)
    if (dims[i] < 1 || !atl_checked_mul (product, (guint64) dims[i], &product) ||
        product > (guint64) G_MAXINT64)
      return FALSE;
  *out = product;
  return TRUE;
}
