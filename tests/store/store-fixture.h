/* A store in a temporary folder, for the tests of this folder. Include once per test program. */
#pragma once

#include <glib/gstdio.h>
#include <string.h>

#include "remove-tree.h"
#include "store/chats.h"
#include "store/messages.h"
#include "store/store.h"
#include "store/trash.h"

typedef struct
{
  char *dir;
  AtlStore *store;
} Fixture;

static inline void
fixture_open (Fixture *f)
{
  g_autoptr (GError) error = NULL;

  f->store = atl_store_open (f->dir, &error);
  g_assert_no_error (error);
}

/* The id of the last message of the shown path, 0 when the chat is empty. */
static inline gint64
last_shown (AtlStore *store, gint64 chat)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) list = atl_store_message_list (store, chat, &error);

  g_assert_no_error (error);
  return list->len > 0 ? ((AtlMessage *) g_ptr_array_index (list, list->len - 1))->id : 0;
}

static inline void
fixture_reopen (Fixture *f)
{
  g_clear_pointer (&f->store, atl_store_free);
  fixture_open (f);
}

static inline void
fixture_set_up (Fixture *f, gconstpointer data)
{
  f->dir = g_dir_make_tmp ("atelier-store-XXXXXX", NULL);
  g_assert_nonnull (f->dir);
  fixture_open (f);
}

static inline void
fixture_tear_down (Fixture *f, gconstpointer data)
{
  g_clear_pointer (&f->store, atl_store_free);
  remove_tree (f->dir);
  g_free (f->dir);
}

static inline gint64
add_chat (AtlStore *store)
{
  g_autoptr (GError) error = NULL;
  gint64 id = atl_store_chat_add (store, 0, &error);

  g_assert_no_error (error);
  g_assert_cmpint (id, >, 0);
  return id;
}

static inline gint64
add_message (AtlStore *store, gint64 chat, gint64 parent, AtlRole role, const char *text)
{
  g_autoptr (GError) error = NULL;
  gint64 id = atl_store_message_add (store, chat, parent, role, text, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpint (id, >, 0);
  return id;
}

/* The shown path as "role:content|...", for comparing at a glance. */
static inline char *
path_text (AtlStore *store, gint64 chat)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) path = atl_store_message_list (store, chat, &error);
  GString *out = g_string_new (NULL);

  g_assert_no_error (error);
  for (guint i = 0; i < path->len; i++)
    {
      const AtlMessage *m = path->pdata[i];

      g_string_append_printf (out, "%s%c:%s", i > 0 ? "|" : "", atl_role_name (m->role)[0],
                              m->content);
    }
  return g_string_free (out, FALSE);
}

#define assert_path(store, chat, expected)                                                         \
  G_STMT_START                                                                                     \
  {                                                                                                \
    g_autofree char *path_ = path_text (store, chat);                                              \
    g_assert_cmpstr (path_, ==, expected);                                                         \
  }                                                                                                \
  G_STMT_END

#define assert_reports(store, n)                                                                   \
  G_STMT_START                                                                                     \
  {                                                                                                \
    g_auto (GStrv) reports_ = atl_store_take_reports (store);                                      \
    g_assert_cmpuint (g_strv_length (reports_), ==, n);                                            \
  }                                                                                                \
  G_STMT_END
