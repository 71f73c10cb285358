/* What the nodes to come are made of is asked for before their turn.
 *
 * Decoding reads all weights between two visits of a node, so that nothing of the node is left in a
 * cache: its tensors, their weights and where these lie are found one through the other, each a
 * read of memory. Here each is asked for some nodes after the one that leads to it, so that none
 * waits.
 */
#include "engine/tensor/cpu/cpu-private.h"

#define LINE_BYTES 64

/* How many nodes ahead. A product looks for where the weights of the next one lie, which are some
 * eight nodes on: behind queries and keys come their norms, rotations, rows stored and attention.
 */
enum
{
  VALUES_AT = 8,
  PLACES_AT = 9,
  WEIGHTS_AT = 10,
  TENSORS_AT = 11,
  NODES_AT = 12
};

/* Of a vector's values: what is longer comes by itself. */
#define MOST_VALUES ((gsize) 8 * 1024)

static inline void
ask_for (gconstpointer data, gsize bytes)
{
  for (gsize at = 0; at < bytes; at += LINE_BYTES)
    __builtin_prefetch ((const guint8 *) data + at);
}

static inline const AtlWeight *
weight_of (const AtlNode *node, guint i)
{
  const AtlTensor *t = node->src[i];

  return t != NULL && t->base == NULL ? t->weight : NULL;
}

void
atl_cpu_ask_nodes (const AtlCpuRun *run, AtlNode *const *nodes, guint n_nodes)
{
  const guint index = run->cpu->base.index;

  if (n_nodes <= NODES_AT)
    return;
  ask_for (nodes[NODES_AT], sizeof (AtlNode));
  ask_for (nodes[TENSORS_AT]->dst, sizeof (AtlTensor));
  for (guint i = 0; i < ATL_NODE_MAX_SRC; i++)
    {
      const AtlWeight *w;

      if (nodes[TENSORS_AT]->src[i] != NULL)
        ask_for (nodes[TENSORS_AT]->src[i], sizeof (AtlTensor));
      w = weight_of (nodes[WEIGHTS_AT], i);
      if (w != NULL)
        __builtin_prefetch (&w->store[index]);
      w = weight_of (nodes[PLACES_AT], i);
      if (w != NULL)
        ask_for (w->store[index], sizeof (AtlCpuWeight));
      w = weight_of (nodes[VALUES_AT], i);
      if (w != NULL && w->store[index] != NULL)
        {
          const AtlCpuWeight *place = w->store[index];
          const gsize bytes =
              (gsize) atl_tensor_n_elems (nodes[VALUES_AT]->src[i]) * sizeof (float);

          if (place->f32 != NULL)
            ask_for (place->f32, MIN (bytes, MOST_VALUES));
        }
    }
}
