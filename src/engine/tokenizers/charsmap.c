/* Reading SentencePiece's precompiled character map. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/charsmap.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/tokenizers/codepoints.h"

/* A key is a handful of characters; the bound keeps a crafted map from making the walk long. */
#define MAX_KEY 64
#define MAX_REPLACEMENT 64

struct _AtlCharsmap
{
  guint32 *units; /* [n_units] */
  gsize n_units;
  char *replacements; /* terminated */
  gsize replacements_size;
};

AtlCharsmap *
atl_charsmap_new (const guint8 *data, gsize size, GError **error)
{
  guint32 trie_size = 0;
  AtlCharsmap *self;

  if (size >= 4)
    trie_size = data[0] | data[1] << 8 | data[2] << 16 | (guint32) data[3] << 24;
  if (size < 4 || trie_size > size - 4 || trie_size % 4 != 0 || trie_size == 0)
    {
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_BAD_FILE,
          _ ("The tokenizer's character map says it has %u bytes of tree, but is %zu bytes long"),
          trie_size, size);
      return NULL;
    }

  self = g_new0 (AtlCharsmap, 1);
  self->n_units = trie_size / 4;
  self->units = g_new (guint32, self->n_units);
  for (gsize i = 0; i < self->n_units; i++)
    {
      const guint8 *u = data + 4 + 4 * i;

      self->units[i] = u[0] | u[1] << 8 | u[2] << 16 | (guint32) u[3] << 24;
    }
  self->replacements_size = size - 4 - trie_size;
  self->replacements = g_malloc0 (self->replacements_size + 1);
  memcpy (self->replacements, data + 4 + trie_size, self->replacements_size);
  return self;
}

void
atl_charsmap_free (AtlCharsmap *self)
{
  if (self == NULL)
    return;
  g_free (self->units);
  g_free (self->replacements);
  g_free (self);
}

static gsize
unit_offset (guint32 unit)
{
  return (gsize) (unit >> 10) << ((unit & (1u << 9)) >> 6);
}

/* The longest key at the beginning of [p, end): its length and the replacement; 0 if none. */
static gsize
longest_key (const AtlCharsmap *self, const char *p, const char *end, const char **replacement)
{
  gsize at = unit_offset (self->units[0]), longest = 0;

  for (gsize i = 0; i < MAX_KEY && p + i < end && p[i] != 0; i++)
    {
      guint8 byte = (guint8) p[i];
      guint32 unit, value;

      at ^= byte;
      if (at >= self->n_units)
        break;
      unit = self->units[at];
      if ((unit & (1u << 31 | 0xff)) != byte)
        break;
      at ^= unit_offset (unit);
      if (at >= self->n_units)
        break;
      if ((unit >> 8 & 1) == 0)
        continue;
      value = self->units[at] & ~(1u << 31);
      if (value >= self->replacements_size)
        break;
      longest = i + 1;
      *replacement = self->replacements + value;
    }
  return longest;
}

void
atl_charsmap_apply (const AtlCharsmap *self, const char *text, gsize len, GString *out)
{
  const char *p = text, *end = text + len;

  while (p < end)
    {
      const char *replacement = NULL;
      gsize n = longest_key (self, p, end, &replacement);
      gunichar c;

      /* A key that ends inside a character is not one that a sound map has. */
      if (n > 0 && (p + n == end || (p[n] & 0xc0) != 0x80) &&
          strnlen (replacement, MAX_REPLACEMENT + 1) <= MAX_REPLACEMENT &&
          g_utf8_validate (replacement, -1, NULL))
        g_string_append (out, replacement);
      else
        {
          n = atl_utf8_decode (p, end, &c);
          n = MAX (n, 1);
          g_string_append_len (out, p, (gssize) n);
        }
      p += n;
    }
}
