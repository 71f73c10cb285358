/* Names of members that were chosen to slow the parser down. */
#define G_LOG_DOMAIN "atl-base"

#include <string.h>

#include "base/json-private.h"

/* Names of an object with one hash; by chance there are two or three among a hundred thousand. */
#define MOST_ALIKE 256

/* g_str_hash(), a byte at a time. */
static guint32
add_byte (guint32 hash, char byte)
{
  return (hash << 5) + hash + (guint32) (signed char) byte;
}

/* An escape, whose place behind is returned. */
static const char *
add_escape (const char *p, const char *end, guint32 *hash)
{
  static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
  int unit = atl_json_escaped_unit (p, end), low;
  const char *known;
  char utf8[6];
  gint n;

  if (unit < 0)
    {
      known = p[1] != '\0' ? strchr (from, p[1]) : NULL;
      *hash = add_byte (*hash, known != NULL ? to[known - from] : p[1]);
      return p + 2;
    }
  p += ATL_JSON_ESCAPE_BYTES;
  low = unit >= 0xd800 && unit < 0xdc00 ? atl_json_escaped_unit (p, end) : -1;
  if (low >= 0xdc00 && low < 0xe000)
    {
      unit = 0x10000 + ((unit - 0xd800) << 10 | (low - 0xdc00));
      p += ATL_JSON_ESCAPE_BYTES;
    }
  n = g_unichar_to_utf8 ((gunichar) unit, utf8);
  for (gint i = 0; i < n; i++)
    *hash = add_byte (*hash, utf8[i]);
  return p;
}

/* The hash of the text behind a quotation mark; what follows it is returned. */
static const char *
hash_text (const char *p, const char *end, guint32 *hash)
{
  *hash = 5381;
  while (p < end && *p != '"')
    if (*p == '\\' && p + 1 < end)
      p = add_escape (p, end, hash);
    else
      *hash = add_byte (*hash, *p++);
  return MIN (p + 1, end);
}

static gboolean
is_name (const char *p, const char *end)
{
  while (p < end && g_ascii_isspace (*p))
    p++;
  return p < end && *p == ':';
}

static int
compare_hashes (gconstpointer a, gconstpointer b)
{
  guint32 x = *(const guint32 *) a, y = *(const guint32 *) b;

  return x < y ? -1 : x > y;
}

/* Takes the names from `start` on away. */
static gboolean
are_alike (GArray *hashes, guint start)
{
  guint32 *hash = &g_array_index (hashes, guint32, start);
  guint n = hashes->len - start, longest = 0;

  if (n > MOST_ALIKE)
    qsort (hash, n, sizeof *hash, compare_hashes);
  for (guint i = 0, run = 0; n > MOST_ALIKE && i < n; i++)
    {
      run = i > 0 && hash[i] == hash[i - 1] ? run + 1 : 1;
      longest = MAX (longest, run);
    }
  g_array_set_size (hashes, start);
  return longest > MOST_ALIKE;
}

gboolean
atl_json_names_collide (const char *data, gsize size)
{
  g_autoptr (GArray) hashes = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_autoptr (GArray) starts = g_array_new (FALSE, FALSE, sizeof (guint));
  const char *end = data + size;
  gboolean is_bad = FALSE;

  for (const char *p = data; p < end && !is_bad;)
    {
      char c = *p++;
      guint32 hash;

      if (c == '"')
        {
          p = hash_text (p, end, &hash);
          if (is_name (p, end))
            g_array_append_val (hashes, hash);
        }
      else if (c == '{')
        g_array_append_val (starts, hashes->len);
      else if (c == '}' && starts->len > 0)
        {
          is_bad = are_alike (hashes, g_array_index (starts, guint, starts->len - 1));
          g_array_set_size (starts, starts->len - 1);
        }
    }
  /* A file that ends early is read as far as it goes. */
  for (; starts->len > 0 && !is_bad; g_array_set_size (starts, starts->len - 1))
    is_bad = are_alike (hashes, g_array_index (starts, guint, starts->len - 1));
  return is_bad;
}
