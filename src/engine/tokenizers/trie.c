/* A prefix tree laid out breadth first. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/trie.h"

#include <string.h>

typedef struct
{
  guint32 first_child;
  guint16 n_children;
  guint8 byte; /* on the edge that leads here */
  gint32 value;
} Node;

struct _AtlTrie
{
  Node *nodes;
  guint32 root_child[256]; /* node index + 1: the root is visited most and may have 256 children */
};

/* A node still to be expanded: its strings are entries[from .. to), equal as far as it is deep. */
typedef struct
{
  gsize from, to;
} Range;

static int
compare_entries (const void *a, const void *b)
{
  const AtlTrieEntry *x = a, *y = b;
  int order = memcmp (x->text, y->text, MIN (x->length, y->length));

  if (order == 0)
    order = (x->length > y->length) - (x->length < y->length);
  if (order == 0)
    order = (x->value > y->value) - (x->value < y->value);
  return order;
}

AtlTrie *
atl_trie_new (AtlTrieEntry *entries, gsize n)
{
  AtlTrie *self = g_new0 (AtlTrie, 1);
  g_autoptr (GArray) nodes = g_array_new (FALSE, TRUE, sizeof (Node));
  /* Of the nodes of one depth and of the next: never more than there are strings, while the nodes
   * are as many as all their bytes. */
  g_autoptr (GArray) ranges = g_array_new (FALSE, FALSE, sizeof (Range));
  g_autoptr (GArray) deeper = g_array_new (FALSE, FALSE, sizeof (Range));
  Node root = { .value = -1 };
  Range all = { 0, n };
  guint at = 0;

  qsort (entries, n, sizeof *entries, compare_entries);
  g_array_append_val (nodes, root);
  g_array_append_val (ranges, all);

  for (guint32 depth = 0; ranges->len > 0; depth++)
    {
      GArray *swap = ranges;

      g_array_set_size (deeper, 0);
      for (guint k = 0; k < ranges->len; k++, at++)
        {
          Range r = g_array_index (ranges, Range, k);
          gsize i = r.from;

          while (i < r.to && entries[i].length == depth)
            g_array_index (nodes, Node, at).value = entries[i++].value;

          g_array_index (nodes, Node, at).first_child = nodes->len;
          while (i < r.to)
            {
              guint8 byte = (guint8) entries[i].text[depth];
              Node child = { .byte = byte, .value = -1 };
              Range inner = { i, i };

              while (inner.to < r.to && (guint8) entries[inner.to].text[depth] == byte)
                inner.to++;
              if (at == 0)
                self->root_child[byte] = nodes->len + 1;
              g_array_append_val (nodes, child);
              g_array_append_val (deeper, inner);
              g_array_index (nodes, Node, at).n_children++;
              i = inner.to;
            }
        }
      ranges = deeper;
      deeper = swap;
    }
  self->nodes = (Node *) (gpointer) g_array_steal (nodes, NULL);
  return self;
}

void
atl_trie_free (AtlTrie *self)
{
  if (self == NULL)
    return;
  g_free (self->nodes);
  g_free (self);
}

gboolean
atl_trie_step (const AtlTrie *self, AtlTrieWalk *walk, guint8 byte)
{
  guint32 low, high;

  if (walk->node == 0)
    {
      if (self->root_child[byte] == 0)
        return FALSE;
      walk->node = self->root_child[byte] - 1;
      walk->value = self->nodes[walk->node].value;
      return TRUE;
    }

  low = self->nodes[walk->node].first_child;
  high = low + self->nodes[walk->node].n_children;
  while (low < high)
    {
      guint32 middle = low + (high - low) / 2;
      guint8 found = self->nodes[middle].byte;

      if (found == byte)
        {
          walk->node = middle;
          walk->value = self->nodes[middle].value;
          return TRUE;
        }
      if (found < byte)
        low = middle + 1;
      else
        high = middle;
    }
  return FALSE;
}

gsize
atl_trie_longest (
    const AtlTrie *self, const char *p, const char *end, AtlTextBudget *budget, gint32 *value)
{
  AtlTrieWalk walk = { 0, -1 };
  gsize length = 0;
  const char *q;

  for (q = p; q < end && atl_trie_step (self, &walk, (guint8) *q); q++)
    if (walk.value >= 0)
      {
        length = (gsize) (q - p) + 1;
        *value = walk.value;
      }
  return atl_text_budget_spend (budget, (gsize) (q - p)) ? length : 0;
}
