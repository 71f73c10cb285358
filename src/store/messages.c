/* Reading the shown path of a chat, and moving between branches. */
#define G_LOG_DOMAIN "atl-store"

#include "store/messages.h"

#include <glib/gi18n.h>

#include "store/message-rows.h"
#include "store/tree.h"

static void
set_branch (AtlMessage *message, const AtlTree *tree, int index)
{
  message->branch = tree->node[index].branch;
  message->n_branches = atl_tree_n_siblings (tree, index);
}

AtlMessage *
atl_store_message_get (AtlStore *self, gint64 id, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (AtlMessage) message = atl_message_read (self, id, &local);
  g_autoptr (AtlTree) tree = NULL;
  int index;

  if (message == NULL)
    {
      if (local != NULL)
        g_propagate_error (error, g_steal_pointer (&local));
      else
        g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("This message is no longer there"));
      return NULL;
    }
  tree = atl_tree_load (self, message->chat_id, error);
  if (tree == NULL)
    return NULL;
  index = atl_tree_find (tree, id);
  if (index >= 0)
    set_branch (message, tree, index);
  return g_steal_pointer (&message);
}

GPtrArray *
atl_store_message_list (AtlStore *self, gint64 chat_id, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_message_free);
  g_autoptr (AtlTree) tree = atl_tree_load (self, chat_id, error);

  if (tree == NULL)
    return NULL;
  for (int i = atl_tree_shown (tree, -1); i >= 0; i = atl_tree_shown (tree, i))
    {
      g_autoptr (GError) local = NULL;
      AtlMessage *message = atl_message_read (self, tree->node[i].id, &local);

      if (message != NULL)
        {
          set_branch (message, tree, i);
          g_ptr_array_add (list, message);
        }
      else if (local != NULL && g_error_matches (local, ATL_ERROR, ATL_ERROR_BAD_FILE))
        /* A damaged page takes its own messages, not the chat. */
        atl_store_report (self, "%s", local->message);
      else if (local != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
    }
  return g_steal_pointer (&list);
}

/* The tree that holds `id` and its place there. */
static AtlTree *
tree_of (AtlStore *self, gint64 id, gint64 *chat_id, int *index, GError **error)
{
  g_autoptr (AtlTree) tree = NULL;

  if (!atl_message_chat (self, id, chat_id, error))
    return NULL;
  tree = atl_tree_load (self, *chat_id, error);
  if (tree == NULL)
    return NULL;
  *index = atl_tree_find (tree, id);
  if (*index >= 0)
    return g_steal_pointer (&tree);
  g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("This message is no longer there"));
  return NULL;
}

gint64
atl_store_branch_step (AtlStore *self, gint64 id, int step, GError **error)
{
  gint64 chat_id;
  int index, parent, target;
  g_autoptr (AtlTree) tree = tree_of (self, id, &chat_id, &index, error);
  guint wanted, n;

  if (tree == NULL)
    return 0;
  n = atl_tree_n_siblings (tree, index);
  wanted = (guint) CLAMP ((gint64) tree->node[index].branch + step, 0, (gint64) n - 1);
  parent = tree->node[index].parent;
  target = parent < 0 ? tree->first_root : tree->node[parent].first_child;
  while (tree->node[target].branch != wanted)
    target = tree->node[target].next_sibling;
  if (!atl_message_show (self, chat_id, parent < 0 ? 0 : tree->node[parent].id,
                         tree->node[target].id, error))
    return 0;
  return tree->node[target].id;
}

gboolean
atl_message_show_path (AtlStore *self, gint64 id, GError **error)
{
  gint64 chat_id;
  int index;
  g_autoptr (AtlTree) tree = tree_of (self, id, &chat_id, &index, error);
  gboolean ok = tree != NULL;

  while (ok && index >= 0)
    {
      int parent = tree->node[index].parent;

      ok = atl_message_show (self, chat_id, parent < 0 ? 0 : tree->node[parent].id,
                             tree->node[index].id, error);
      index = parent;
    }
  return ok;
}

gboolean
atl_store_branch_show (AtlStore *self, gint64 id, GError **error)
{
  return atl_db_begin (self, error) && atl_db_end (self, atl_message_show_path (self, id, error),
                                                   _ ("showing the message"), error);
}
