/* A bump allocator with a limit, and errors by long jump. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-heap.h"

#include <glib/gi18n.h>
#include <stdarg.h>
#include <string.h>

#define CHUNK_BYTES ((gsize) 32 * 1024)
#define ALIGN 16

struct _JChunk
{
  JChunk *next;
  gsize size_bytes;
  gsize used_bytes;
  /* Keeps the bytes that follow aligned for every type. */
  gsize pad;
  guint8 bytes[];
};

G_STATIC_ASSERT (sizeof (JChunk) % ALIGN == 0);

void
j_heap_init (JHeap *heap, gsize limit_bytes)
{
  memset (heap, 0, sizeof *heap);
  heap->limit_bytes = limit_bytes;
  heap->steps_left = G_MAXUINT64;
}

void
j_heap_clear (JHeap *heap)
{
  while (heap->chunks != NULL)
    {
      JChunk *next = heap->chunks->next;

      g_free (heap->chunks);
      heap->chunks = next;
    }
  heap->used_bytes = 0;
  g_clear_error (&heap->error);
}

static JChunk *
add_chunk (JHeap *heap, gsize n_bytes)
{
  JChunk *chunk;
  gsize size = MAX (n_bytes, CHUNK_BYTES);

  if (size > heap->limit_bytes || heap->used_bytes > heap->limit_bytes - size)
    j_throw_limit (heap, _ ("the template needs more than %zu MiB of memory"),
                   heap->limit_bytes >> 20);
  chunk = g_try_malloc (sizeof (JChunk) + size);
  if (chunk == NULL)
    j_throw_limit (heap, _ ("out of memory while working on a template"));
  chunk->size_bytes = size;
  chunk->used_bytes = 0;
  heap->used_bytes += size;
  if (heap->chunks != NULL && n_bytes > CHUNK_BYTES / 2)
    {
      /* A large piece has a chunk of its own; small ones go on filling the newest. */
      chunk->next = heap->chunks->next;
      heap->chunks->next = chunk;
    }
  else
    {
      chunk->next = heap->chunks;
      heap->chunks = chunk;
    }
  return chunk;
}

gpointer
j_alloc (JHeap *heap, gsize n, gsize size)
{
  gsize n_bytes;
  JChunk *chunk;
  guint8 *result;

  if (__builtin_mul_overflow (n, size, &n_bytes) || n_bytes > heap->limit_bytes)
    j_throw_limit (heap, _ ("the template needs more than %zu MiB of memory"),
                   heap->limit_bytes >> 20);
  n_bytes = (n_bytes + ALIGN - 1) & ~(gsize) (ALIGN - 1);
  chunk = heap->chunks;
  if (chunk == NULL || chunk->size_bytes - chunk->used_bytes < n_bytes)
    chunk = add_chunk (heap, n_bytes);
  result = chunk->bytes + chunk->used_bytes;
  chunk->used_bytes += n_bytes;
  memset (result, 0, n_bytes);
  return result;
}

gpointer
j_grow (JHeap *heap, gpointer old, gsize n_old, gsize n, gsize size)
{
  JChunk *chunk = heap->chunks;
  guint8 *bytes = old;
  gsize n_bytes;
  gpointer result;

  if (bytes != NULL && !__builtin_mul_overflow (n, size, &n_bytes))
    {
      gsize old_bytes = (n_old * size + ALIGN - 1) & ~(gsize) (ALIGN - 1);

      if (bytes + old_bytes == chunk->bytes + chunk->used_bytes &&
          n_bytes <= chunk->size_bytes - (gsize) (bytes - chunk->bytes))
        {
          gsize new_bytes = (n_bytes + ALIGN - 1) & ~(gsize) (ALIGN - 1);

          if (new_bytes <= chunk->size_bytes - (gsize) (bytes - chunk->bytes))
            {
              memset (bytes + n_old * size, 0, new_bytes - n_old * size);
              chunk->used_bytes = (gsize) (bytes - chunk->bytes) + new_bytes;
              return bytes;
            }
        }
    }
  result = j_alloc (heap, n, size);
  if (n_old > 0)
    memcpy (result, old, n_old * size);
  return result;
}

char *
j_strndup (JHeap *heap, const char *text, gsize n)
{
  char *copy = j_alloc (heap, n + 1, 1);

  if (n > 0)
    memcpy (copy, text, n);
  return copy;
}

static void throw_valist (JHeap *heap, AtlError code, const char *format, va_list args)
    G_GNUC_PRINTF (3, 0) G_GNUC_NORETURN;

static void
throw_valist (JHeap *heap, AtlError code, const char *format, va_list args)
{
  g_autofree char *text = g_strdup_vprintf (format, args);

  g_clear_error (&heap->error);
  /* The text may quote bytes of a template that were cut inside a character. */
  if (!g_utf8_validate (text, -1, NULL))
    {
      char *valid = g_utf8_make_valid (text, -1);

      g_free (text);
      text = valid;
    }
  if (heap->line > 0)
    heap->error = g_error_new (ATL_ERROR, code, _ ("chat template, line %d: %s"), heap->line, text);
  else
    heap->error = g_error_new (ATL_ERROR, code, _ ("chat template: %s"), text);
  /* longjmp runs no cleanup handlers. */
  g_clear_pointer (&text, g_free);
  longjmp (heap->escape, 1);
}

void
j_throw (JHeap *heap, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  throw_valist (heap, ATL_ERROR_INVALID, format, args);
  va_end (args);
}

void
j_throw_limit (JHeap *heap, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  throw_valist (heap, ATL_ERROR_TOO_COMPLEX, format, args);
  va_end (args);
}

void
j_throw_text (JHeap *heap, const char *text, gsize n)
{
  char *copy = g_strndup (text, MIN (n, 4096));
  char *valid = g_utf8_make_valid (copy, -1);

  g_clear_error (&heap->error);
  heap->error = g_error_new_literal (ATL_ERROR, ATL_ERROR_INVALID, valid);
  g_free (valid);
  g_free (copy);
  longjmp (heap->escape, 1);
}

GError *
j_heap_steal_error (JHeap *heap)
{
  return g_steal_pointer (&heap->error);
}
