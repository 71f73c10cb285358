/* The memory of one template or one rendering, and the way out of it.
 *
 * Everything a template builds is taken from one heap and freed with it at once; nothing is freed
 * singly. An error anywhere below jumps to the one place that opened the heap: with all memory
 * owned by the heap there is nothing to unwind, and code that works on hostile input has no
 * unchecked result. Code that runs under a heap must therefore not hold memory of its own across
 * calls.
 *
 *   JHeap heap;
 *   j_heap_init (&heap, 64 << 20);
 *   if (setjmp (heap.escape) == 0)
 *     result = work (&heap);
 *   else
 *     g_propagate_error (error, j_heap_steal_error (&heap));
 *   j_heap_clear (&heap);
 *
 * Threading: one thread at a time.
 */
#pragma once

#include <setjmp.h>

#include "base/error.h"

#include <glib/gi18n.h>

G_BEGIN_DECLS

typedef struct _JChunk JChunk;

typedef struct
{
  JChunk *chunks;   /* (owned) newest first */
  gsize used_bytes; /* of all chunks */
  gsize limit_bytes;
  guint64 steps_left; /* work still allowed; j_heap_init() sets no limit */
  int line;           /* of the template, for messages; 0 for none */
  jmp_buf escape;
  GError *error; /* (owned) (nullable) */
} JHeap;

/* At most `limit_bytes`; steps are not limited until steps_left is set. Clearing frees all that was
 * taken from it at once. */
void j_heap_init (JHeap *heap, gsize limit_bytes);
void j_heap_clear (JHeap *heap);

/* Zeroed memory, aligned to 16; throws ATL_ERROR_TOO_COMPLEX over the limit. */
gpointer j_alloc (JHeap *heap, gsize n, gsize size);
#define j_new(heap, type, n) ((type *) j_alloc ((heap), (n), sizeof (type)))
/* `old` (nullable, of `n_old` elements) enlarged to `n` elements, in place where it is the newest
 * allocation; what is new is zeroed. */
gpointer j_grow (JHeap *heap, gpointer old, gsize n_old, gsize n, gsize size);
char *j_strndup (JHeap *heap, const char *text, gsize n);

/* Leaves for heap->escape with ATL_ERROR_INVALID (j_throw) or ATL_ERROR_TOO_COMPLEX
 * (j_throw_limit). */
void j_throw (JHeap *heap, const char *format, ...) G_GNUC_PRINTF (2, 3) G_GNUC_NORETURN;
void j_throw_limit (JHeap *heap, const char *format, ...) G_GNUC_PRINTF (2, 3) G_GNUC_NORETURN;
/* As j_throw, with `text` of `n` bytes alone as the message: the template's own words. */
void j_throw_text (JHeap *heap, const char *text, gsize n) G_GNUC_NORETURN;

/* Charges `n` units of work; throws ATL_ERROR_TOO_COMPLEX when the budget is spent. */
static inline void
j_work (JHeap *heap, guint64 n)
{
  if (G_UNLIKELY (n >= heap->steps_left))
    {
      heap->steps_left = 0;
      j_throw_limit (heap, _ ("the template runs for too long"));
    }
  heap->steps_left -= n;
}

/* What was thrown, the caller's; NULL when nothing was. */
GError *j_heap_steal_error (JHeap *heap);

G_END_DECLS
