/* A keyed hash of texts. */
#define G_LOG_DOMAIN "atl-base"

#include "base/name-hash.h"

guint
atl_name_hash (gconstpointer key)
{
  static gsize seed = 0;
  guint64 hash;

  if (g_once_init_enter (&seed))
    g_once_init_leave (&seed, ((gsize) g_random_int () << 16 << 16 | g_random_int ()) | 1);
  hash = seed;
  for (const guint8 *p = key; *p != '\0'; p++)
    {
      hash = (hash ^ *p) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
      hash ^= hash >> 29;
    }
  return (guint) (hash ^ hash >> 32);
}
