/* For tests: files put together byte by byte, and mapped without touching a disk. */
#pragma once

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file-map.h"

/* A map of `size` bytes that goes by `name`. */
static inline AtlFileMap *
build_map (const char *name, const void *data, gsize size)
{
  g_autoptr (GError) error = NULL;
  int fd = memfd_create ("test", MFD_CLOEXEC);
  AtlFileMap *map;

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (write (fd, data, size), ==, (gssize) size);
  map = atl_file_map_new_from_fd (fd, name, &error);
  g_assert_no_error (error);
  close (fd);
  return map;
}

/* --- GGUF --- */

typedef struct
{
  GByteArray *bytes;
  guint version;
} GgufBuilder;

static inline void
build_u32 (GgufBuilder *self, guint32 value)
{
  value = GUINT32_TO_LE (value);
  g_byte_array_append (self->bytes, (const guint8 *) &value, sizeof value);
}

static inline void
build_u64 (GgufBuilder *self, guint64 value)
{
  value = GUINT64_TO_LE (value);
  g_byte_array_append (self->bytes, (const guint8 *) &value, sizeof value);
}

static inline void
build_count (GgufBuilder *self, guint64 value)
{
  if (self->version == 1)
    build_u32 (self, (guint32) value);
  else
    build_u64 (self, value);
}

static inline void
build_text (GgufBuilder *self, const char *text)
{
  build_count (self, strlen (text));
  g_byte_array_append (self->bytes, (const guint8 *) text, (guint) strlen (text));
}

static inline void
build_header (GgufBuilder *self, guint version, guint64 n_tensors, guint64 n_pairs)
{
  self->bytes = g_byte_array_new ();
  self->version = version;
  g_byte_array_append (self->bytes, (const guint8 *) "GGUF", 4);
  build_u32 (self, version);
  build_count (self, n_tensors);
  build_count (self, n_pairs);
}

/* A key and the number of its type; the value follows. */
static inline void
build_key (GgufBuilder *self, const char *key, guint32 type)
{
  build_text (self, key);
  build_u32 (self, type);
}

static inline void
build_key_u32 (GgufBuilder *self, const char *key, guint32 value)
{
  build_key (self, key, 4);
  build_u32 (self, value);
}

static inline void
build_key_text (GgufBuilder *self, const char *key, const char *value)
{
  build_key (self, key, 8);
  build_text (self, value);
}

/* Dimensions innermost first, as in the file. */
static inline void
build_tensor (GgufBuilder *self,
              const char *name,
              guint n_dims,
              const guint64 *dims,
              guint32 type,
              guint64 offset)
{
  build_text (self, name);
  build_u32 (self, n_dims);
  for (guint i = 0; i < n_dims; i++)
    build_count (self, dims[i]);
  build_u32 (self, type);
  build_u64 (self, offset);
}

static inline void
build_pad (GgufBuilder *self, guint alignment)
{
  while (self->bytes->len % alignment != 0)
    g_byte_array_append (self->bytes, (const guint8 *) "", 1);
}

static inline AtlFileMap *
build_finish (GgufBuilder *self, const char *name)
{
  AtlFileMap *map = build_map (name, self->bytes->data, self->bytes->len);

  g_clear_pointer (&self->bytes, g_byte_array_unref);
  return map;
}

/* --- safetensors --- */

/* A file with the given header and `data_size` bytes counting up from 1. */
static inline AtlFileMap *
build_safetensors (const char *name, const char *header, gsize data_size)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint64 length = GUINT64_TO_LE ((guint64) strlen (header));

  g_byte_array_append (bytes, (const guint8 *) &length, sizeof length);
  g_byte_array_append (bytes, (const guint8 *) header, (guint) strlen (header));
  for (gsize i = 0; i < data_size; i++)
    {
      guint8 byte = (guint8) (i + 1);
      g_byte_array_append (bytes, &byte, 1);
    }
  return build_map (name, bytes->data, bytes->len);
}
