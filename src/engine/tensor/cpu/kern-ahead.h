/* What of packed weights (pack.h) is asked for before products of few rows read it. Used by
 * kern-quant.c.
 *
 * Threading: any; each call works on the memory that it is given.
 */
#pragma once

#include "engine/tensor/cpu/kern-codes.h"

/* Where groups are read side by side: none is far ahead of what is computed. */
#define PREFETCH_NEAR_TWO 1024

/* Asks for the lines of 32 elements. The processor's own prefetching ends at each page of 4 KiB. In
 * two steps, into the second-level cache and then the first, more is under way at a time. */
INLINE void
ask_for_lines (AtlDType t, const guint8 *far, const guint8 *near)
{
#pragma GCC unroll 8
  for (guint line = 0; line < quant_bytes_of (t); line += 64)
    {
      __builtin_prefetch (far + line, 0, 2);
      __builtin_prefetch (near + line);
    }
}

/* A group in memory. */
typedef struct
{
  gsize quants_at, bytes;
  gsize skip;      /* from its end to the start of the group that is read next in its stead */
  gsize meta_step; /* bytes of meta for 32 elements */
} GroupPlace;

/* What is read `ahead` bytes of codes after those at `at`. */
INLINE gsize
lines_ahead (const GroupPlace *p, gsize at, gsize ahead)
{
  at += ahead;
  return at < p->bytes ? at : at + p->skip + p->quants_at;
}

/* What is read `ahead` bytes of meta after those at `at`. */
INLINE gsize
meta_ahead (const GroupPlace *p, gsize at, gsize ahead)
{
  at += ahead;
  return at < p->quants_at ? at : at + p->skip + p->bytes - p->quants_at;
}
