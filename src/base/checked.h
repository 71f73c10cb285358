/* Arithmetic on sizes that come from untrusted bytes: every result is checked.
 *
 *   gsize n;
 *   if (!atl_checked_mul (rows, row_bytes, &n))
 *     refuse the file in words
 *
 * All functions return FALSE on overflow and leave *out untouched. Any thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

static inline gboolean
atl_checked_mul (guint64 a, guint64 b, guint64 *out)
{
  guint64 r;
  if (__builtin_mul_overflow (a, b, &r))
    return FALSE;
  *out = r;
  return TRUE;
}

static inline gboolean
atl_checked_add (guint64 a, guint64 b, guint64 *out)
{
  guint64 r;
  if (__builtin_add_overflow (a, b, &r))
    return FALSE;
  *out = r;
  return TRUE;
}

/* Rounds `value` up to a multiple of `alignment` (a power of two). */
gboolean atl_checked_align (guint64 value, guint64 alignment, guint64 *out);

/* The product of `n` dimensions, each at least 1 and the product at most G_MAXINT64. */
gboolean atl_checked_product (const gint64 *dims, guint n, guint64 *out);

G_END_DECLS
