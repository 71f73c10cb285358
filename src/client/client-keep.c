/* Handing files for chats to the engine, and taking them back. */
#define G_LOG_DOMAIN "atl-client"

#include <unistd.h>

#include "client/client-private.h"

/* A file that was handed over, and for what. */
typedef struct
{
  guint64 number;
  guint model; /* its number in the running engine */
  char *conversation;
} Handed;

static void
handed_free (gpointer data)
{
  g_free (((Handed *) data)->conversation);
  g_free (data);
}

static const Handed *
find_handed (AtlClient *self, guint model, const char *conversation)
{
  for (guint i = 0; i < self->handed->len; i++)
    {
      const Handed *handed = self->handed->pdata[i];

      if (handed->model == model && g_str_equal (handed->conversation, conversation))
        return handed;
    }
  return NULL;
}

void
atl_client_take_kept (AtlClient *self, guint64 number, guint n_tokens)
{
  for (guint i = 0; i < self->handed->len; i++)
    if (((Handed *) self->handed->pdata[i])->number == number)
      {
        g_ptr_array_remove_index_fast (self->handed, i);
        if (self->kept != NULL)
          atl_kept_chats_end_room (self->kept, number, n_tokens > 0);
        return;
      }
}

void
atl_client_drop_kept (AtlClient *self)
{
  while (self->handed->len > 0)
    atl_client_take_kept (self, ((Handed *) self->handed->pdata[0])->number, 0);
}

/* --- Handing over --- */

typedef struct
{
  AtlClient *client;
  guint64 number; /* 0: nothing was handed over */
} Asked;

static void
handed_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Asked *asked = user_data;
  g_autoptr (AtlClient) self = asked->client;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply =
      atl_engine_process_call_finish (ATL_ENGINE_PROCESS (source), result, &error);

  if (reply == NULL)
    atl_client_take_kept (self, asked->number, 0);
}

static void
add_file (GVariantBuilder *files, GUnixFDList *fds, const char *name, int fd)
{
  gint handle = fd >= 0 ? g_unix_fd_list_append (fds, fd, NULL) : -1;

  if (handle >= 0)
    g_variant_builder_add (files, "(sh)", name, handle);
}

static void
send_files (AtlClient *self,
            guint model,
            const char *conversation,
            int kept,
            int room,
            guint64 number,
            guint64 max_bytes)
{
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  GVariantBuilder files;
  Asked *asked = g_new0 (Asked, 1);

  g_variant_builder_init (&files, G_VARIANT_TYPE ("a(sh)"));
  add_file (&files, fds, ATL_KEEP_KEPT, kept);
  add_file (&files, fds, ATL_KEEP_ROOM, room);
  asked->client = g_object_ref (self);
  asked->number = number;
  atl_engine_process_call (
      self->process, "KeepConversation",
      g_variant_new ("(usa(sh)tt)", model, conversation, &files, number, max_bytes), "()", fds,
      handed_cb, asked);
}

void
atl_client_hand_over (AtlClient *self, AtlModel *model, const char *conversation)
{
  guint64 number = 0, max_bytes = 0;
  Handed *handed;
  int kept, room;

  if (self->kept == NULL || self->process == NULL || model->id == 0 ||
      find_handed (self, model->id, conversation) != NULL)
    return;
  kept = atl_kept_chats_open (self->kept, conversation);
  room = atl_kept_chats_add_room (self->kept, conversation, &number, &max_bytes);
  if (room >= 0)
    {
      handed = g_new0 (Handed, 1);
      handed->number = number;
      handed->model = model->id;
      handed->conversation = g_strdup (conversation);
      g_ptr_array_add (self->handed, handed);
    }
  if (room >= 0 || kept >= 0)
    send_files (self, model->id, conversation, kept, room, number, max_bytes);
  if (kept >= 0)
    close (kept);
}

/* --- For the owner --- */

void
atl_client_init_keeping (AtlClient *self)
{
  self->handed = g_ptr_array_new_with_free_func (handed_free);
}

void
atl_client_set_kept_chats (AtlClient *self, AtlKeptChats *kept)
{
  g_return_if_fail (ATL_IS_CLIENT (self));

  /* The engine need not write what nobody takes. */
  for (guint i = 0; self->process != NULL && i < self->handed->len; i++)
    {
      const Handed *handed = self->handed->pdata[i];

      send_files (self, handed->model, handed->conversation, -1, -1, 0, 0);
    }
  atl_client_drop_kept (self);
  atl_kept_chats_free (self->kept);
  self->kept = kept;
}

AtlKeptChats *
atl_client_get_kept_chats (AtlClient *self)
{
  g_return_val_if_fail (ATL_IS_CLIENT (self), NULL);
  return self->kept;
}

static void
kept_all_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) reply =
      atl_engine_process_call_finish (ATL_ENGINE_PROCESS (source), result, &error);

  if (reply != NULL)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

void
atl_client_keep_all_async (AtlClient *self,
                           guint timeout_ms,
                           GAsyncReadyCallback callback,
                           gpointer user_data)
{
  g_autoptr (GTask) task = NULL;

  g_return_if_fail (ATL_IS_CLIENT (self));
  task = g_task_new (self, NULL, callback, user_data);
  g_task_set_source_tag (task, atl_client_keep_all_async);
  if (self->process == NULL || self->handed->len == 0)
    g_task_return_boolean (task, TRUE);
  else
    atl_engine_process_call (self->process, "KeepAll", g_variant_new ("(u)", timeout_ms), "()",
                             NULL, kept_all_cb, g_steal_pointer (&task));
}

gboolean
atl_client_keep_all_finish (AtlClient *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
