/* Greedy longest match within words. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/wordpiece.h"

#include <string.h>

#include "engine/tokenizers/trie.h"

struct _AtlWordpiece
{
  AtlTrie *first; /* pieces that begin a word, without their prefix */
  AtlTrie *next;  /* pieces that continue one, likewise */
  gint32 unknown_id;
  guint max_chars;
};

static AtlTrie *
pieces_with_prefix (const AtlVocabulary *v, const char *prefix, AtlTrieEntry *entries)
{
  gsize n = 0, skip = strlen (prefix);

  for (guint id = 0; id < v->n; id++)
    if (v->length[id] > skip && v->text[id] != NULL && memcmp (v->text[id], prefix, skip) == 0)
      entries[n++] =
          (AtlTrieEntry){ v->text[id] + skip, v->length[id] - (guint32) skip, (gint32) id };
  return atl_trie_new (entries, n);
}

AtlWordpiece *
atl_wordpiece_new (const AtlVocabulary *vocabulary,
                   const char *first_prefix,
                   const char *next_prefix,
                   gint32 unknown_id,
                   guint max_chars)
{
  AtlWordpiece *self = g_new0 (AtlWordpiece, 1);
  g_autofree AtlTrieEntry *entries = g_new (AtlTrieEntry, vocabulary->n);

  self->first = pieces_with_prefix (vocabulary, first_prefix, entries);
  self->next = pieces_with_prefix (vocabulary, next_prefix, entries);
  self->unknown_id = unknown_id;
  self->max_chars = max_chars;
  return self;
}

void
atl_wordpiece_free (AtlWordpiece *self)
{
  if (self == NULL)
    return;
  atl_trie_free (self->first);
  atl_trie_free (self->next);
  g_free (self);
}

void
atl_wordpiece_encode (
    const AtlWordpiece *self, const char *word, gsize length, AtlTextBudget *budget, GArray *ids)
{
  const char *p = word, *end = word + length;
  guint before = ids->len;
  gboolean covered =
      self->max_chars == 0 || g_utf8_strlen (word, (gssize) length) <= (glong) self->max_chars;

  while (covered && p < end)
    {
      gint32 id = -1;
      gsize n = atl_trie_longest (p == word ? self->first : self->next, p, end, budget, &id);

      covered = n > 0;
      p += n;
      if (covered)
        g_array_append_val (ids, id);
    }
  if (!covered)
    {
      g_array_set_size (ids, before);
      if (self->unknown_id >= 0)
        g_array_append_val (ids, self->unknown_id);
    }
}
