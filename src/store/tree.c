/* The shape of one chat: reads ids and parents, links them, and survives whatever it finds. */
#define G_LOG_DOMAIN "atl-store"

#include "store/tree.h"

#include <glib/gi18n.h>
#include <stdlib.h>

int
atl_tree_find (const AtlTree *tree, gint64 id)
{
  int low = 0, high = tree->n - 1;

  while (low <= high)
    {
      int middle = low + (high - low) / 2;

      if (tree->node[middle].id == id)
        return middle;
      if (tree->node[middle].id < id)
        low = middle + 1;
      else
        high = middle - 1;
    }
  return -1;
}

/* Links children oldest first. Going from the newest to the oldest makes prepending enough. A
 * message is always younger than its parent, so a parent with the higher id is damage: such a
 * message becomes a root, which also rules out cycles. */
static void
link_nodes (AtlTree *tree)
{
  tree->first_root = -1;
  for (int i = tree->n - 1; i >= 0; i--)
    {
      AtlTreeNode *node = &tree->node[i];
      int parent = node->parent_id > 0 && node->parent_id < node->id
                       ? atl_tree_find (tree, node->parent_id)
                       : -1;
      int *first = parent >= 0 ? &tree->node[parent].first_child : &tree->first_root;

      node->parent = parent;
      node->next_sibling = *first;
      *first = i;
      if (parent >= 0)
        tree->node[parent].n_children++;
      else
        tree->n_roots++;
    }
  for (int i = -1; i < tree->n; i++)
    {
      guint branch = 0;

      for (int c = i < 0 ? tree->first_root : tree->node[i].first_child; c >= 0;
           c = tree->node[c].next_sibling)
        tree->node[c].branch = branch++;
    }
}

static int
compare_ids (const void *a, const void *b)
{
  gint64 left = ((const AtlTreeNode *) a)->id, right = ((const AtlTreeNode *) b)->id;

  return left < right ? -1 : left > right;
}

AtlTree *
atl_tree_load (AtlStore *self, gint64 chat_id, GError **error)
{
  g_autoptr (GArray) nodes = g_array_new (FALSE, FALSE, sizeof (AtlTreeNode));
  g_autoptr (GError) local = NULL;
  g_autoptr (AtlStmt) stmt = NULL;
  gint64 shown_root_id;
  AtlTree *tree;

  if (!atl_db_int (self, "SELECT shown_root_id FROM chats WHERE id = ?1", chat_id, 0,
                   &shown_root_id, error))
    return NULL;
  /* Answered from the index messages_tree alone. */
  stmt = atl_db_stmt (self,
                      "SELECT id, parent_id, shown_child_id FROM messages"
                      " WHERE chat_id = ?1 AND trashed_us IS NULL",
                      error);
  if (stmt == NULL)
    return NULL;
  atl_stmt_bind (stmt, "i", chat_id);
  while (atl_db_next (self, stmt, _ ("reading a chat"), &local))
    {
      AtlTreeNode node = {
        .id = sqlite3_column_int64 (stmt, 0),
        .parent_id = sqlite3_column_int64 (stmt, 1),
        .shown_child_id = sqlite3_column_int64 (stmt, 2),
        .first_child = -1,
        .next_sibling = -1,
      };
      g_array_append_val (nodes, node);
    }
  if (local != NULL)
    {
      /* Damage in the middle: what was read is still worth showing. */
      if (nodes->len == 0 || !g_error_matches (local, ATL_ERROR, ATL_ERROR_BAD_FILE))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
      atl_store_report (self, "%s", local->message);
    }

  tree = g_new0 (AtlTree, 1);
  tree->n = nodes->len;
  tree->node = (AtlTreeNode *) g_array_free (g_steal_pointer (&nodes), FALSE);
  tree->shown_root_id = shown_root_id;
  /* The index is in the order of parents, atl_tree_find() wants that of ids. */
  if (tree->n > 0)
    qsort (tree->node, tree->n, sizeof *tree->node, compare_ids);
  link_nodes (tree);
  return tree;
}

void
atl_tree_free (AtlTree *tree)
{
  if (tree == NULL)
    return;
  g_free (tree->node);
  g_free (tree);
}

int
atl_tree_shown (const AtlTree *tree, int index)
{
  gint64 wanted = index < 0 ? tree->shown_root_id : tree->node[index].shown_child_id;
  int first = index < 0 ? tree->first_root : tree->node[index].first_child;
  int newest = -1;

  for (int i = first; i >= 0; i = tree->node[i].next_sibling)
    {
      if (tree->node[i].id == wanted)
        return i;
      newest = i;
    }
  return newest;
}

guint
atl_tree_n_siblings (const AtlTree *tree, int index)
{
  int parent = tree->node[index].parent;

  return parent < 0 ? tree->n_roots : tree->node[parent].n_children;
}
