/* For tests: archives as torch.save() writes them, put together byte by byte. */
#pragma once

#include <glib.h>
#include <string.h>

typedef struct
{
  const char *name;
  const void *data;
  gsize size;
} BuildMember;

static inline void
zip_u16 (GByteArray *out, guint value)
{
  g_byte_array_append (out, (guint8[]){ value & 255, value >> 8 & 255 }, 2);
}

static inline void
zip_u32 (GByteArray *out, guint32 value)
{
  zip_u16 (out, value & 0xffff);
  zip_u16 (out, value >> 16);
}

/* A ZIP archive of members that are not compressed. The caller's. */
static inline GByteArray *
build_zip (const BuildMember *members, guint n)
{
  GByteArray *out = g_byte_array_new ();
  g_autoptr (GByteArray) directory = g_byte_array_new ();
  guint32 start;

  for (guint i = 0; i < n; i++)
    {
      const BuildMember *m = &members[i];
      guint32 at = out->len, length = (guint32) strlen (m->name);

      for (guint part = 0; part < 2; part++)
        {
          GByteArray *to = part == 0 ? out : directory;

          g_byte_array_append (to, (const guint8 *) (part == 0 ? "PK\3\4" : "PK\1\2"), 4);
          if (part == 1)
            zip_u16 (to, 20);
          zip_u16 (to, 20);
          for (guint zero = 0; zero < 4; zero++)
            zip_u16 (to, 0);
          zip_u32 (to, 0);
          zip_u32 (to, (guint32) m->size);
          zip_u32 (to, (guint32) m->size);
          zip_u16 (to, length);
          zip_u16 (to, 0);
          if (part == 1)
            {
              for (guint zero = 0; zero < 5; zero++)
                zip_u16 (to, 0);
              zip_u32 (to, at);
            }
          g_byte_array_append (to, (const guint8 *) m->name, length);
        }
      g_byte_array_append (out, m->data, (guint) m->size);
    }
  start = out->len;
  g_byte_array_append (out, directory->data, directory->len);
  g_byte_array_append (out, (const guint8 *) "PK\5\6\0\0\0\0", 8);
  zip_u16 (out, n);
  zip_u16 (out, n);
  zip_u32 (out, directory->len);
  zip_u32 (out, start);
  zip_u16 (out, 0);
  return out;
}

/* Pickle of a tensor of the storage "0", which has eight float32: offset, shape and strides are
 * opcodes of their own. */
#define BUILD_TENSOR(offset, shape, strides)                                                       \
  "ctorch._utils\n_rebuild_tensor_v2\n("                                                           \
  "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuK\10tQ" offset shape strides     \
  "\x89"                                                                                           \
  "ccollections\nOrderedDict\n)RtR"
#define BUILD_WEIGHT "X\1\0\0\0w"
