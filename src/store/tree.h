/* The shape of one chat's messages without their text: who is whose child, what is shown.
 *
 *   g_autoptr (AtlTree) tree = atl_tree_load (store, chat_id, error);
 *   for (int i = atl_tree_shown (tree, -1); i >= 0; i = atl_tree_shown (tree, i)) ...
 *
 * Built from the database as it is, whatever it is: a parent that is missing makes a root, a cycle
 * is cut, a shown child that is gone is replaced by the newest one. Messages in the trash are not
 * in it.
 *
 * Threading: that of the handle.
 */
#pragma once

#include "store/store-private.h"

G_BEGIN_DECLS

typedef struct
{
  gint64 id;
  gint64 parent_id;
  gint64 shown_child_id;
  int parent;      /* index, -1: a root */
  int first_child; /* index, -1: none; then along next_sibling, oldest first */
  int next_sibling;
  guint branch; /* position among its siblings */
  guint n_children;
} AtlTreeNode;

typedef struct
{
  AtlTreeNode *node; /* (owned) ascending id */
  int n;
  int first_root;
  guint n_roots;
  gint64 shown_root_id;
} AtlTree;

/* Of the chat's messages outside the trash; NULL on error. The caller's. */
AtlTree *atl_tree_load (AtlStore *self, gint64 chat_id, GError **error);
/* Accepts NULL. */
void atl_tree_free (AtlTree *tree);

/* The index of message `id`, -1 when it is not there. */
int atl_tree_find (const AtlTree *tree, gint64 id);

/* The child of `index` that is shown (-1: the root that is shown); -1 at the end of the path. */
int atl_tree_shown (const AtlTree *tree, int index);

/* Siblings of `index` including itself. */
guint atl_tree_n_siblings (const AtlTree *tree, int index);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlTree, atl_tree_free)

G_END_DECLS
