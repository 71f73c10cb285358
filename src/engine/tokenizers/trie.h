/* A prefix tree over byte strings, for "which pieces begin here" in one walk.
 *
 *   AtlTrieWalk w = { 0 };                       the root
 *   while (p < end && atl_trie_step (trie, &w, *p++))
 *     if (w.value >= 0) ... a string ends at p
 *
 * The children of a node lie side by side and sorted, so a tree of 250,000 pieces takes about
 * 12 bytes a byte of distinct prefix.
 *
 * Threading: immutable once built.
 */
#pragma once

#include "engine/tokenizers/text-budget.h"

G_BEGIN_DECLS

typedef struct
{
  const char *text; /* borrowed until atl_trie_new returns */
  guint32 length;   /* at least 1 */
  gint32 value;     /* 0 or more; of equal texts the last in the array counts */
} AtlTrieEntry;

typedef struct _AtlTrie AtlTrie;

/* Sorts `entries` in place. */
AtlTrie *atl_trie_new (AtlTrieEntry *entries, gsize n);
void atl_trie_free (AtlTrie *self); /* accepts NULL */

typedef struct
{
  guint32 node; /* 0: the root */
  gint32 value; /* of the string that ends here, −1 when none does */
} AtlTrieWalk;

/* One byte further; FALSE when no string goes on like this. */
gboolean atl_trie_step (const AtlTrie *self, AtlTrieWalk *walk, guint8 byte);

/* The longest string at the beginning of [p, end): its length in bytes and value; 0 if none, or
 * when `budget`, which pays for the steps, is spent. */
gsize atl_trie_longest (
    const AtlTrie *self, const char *p, const char *end, AtlTextBudget *budget, gint32 *value);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlTrie, atl_trie_free)

G_END_DECLS
