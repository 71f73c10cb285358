/* What the engine remembers of chats, on disk: as the settings say, and no longer than the chats.
 */
#define G_LOG_DOMAIN "atl-app"

#include <string.h>

#include "app/session/session-private.h"
#include "store/chats.h"

#define KEY_PREFIX "chat-"
#define GIGABYTE G_GUINT64_CONSTANT (1000000000)

char *
atl_session_chat_key (gint64 chat_id)
{
  return g_strdup_printf (KEY_PREFIX "%" G_GINT64_FORMAT, chat_id);
}

/* Chats of a store that is not there tomorrow are not kept. */
static gboolean
is_wanted (AtlSession *self)
{
  return self->temporary_dir == NULL && g_settings_get_boolean (self->settings, "keep-chats");
}

static guint64
limit_bytes (AtlSession *self)
{
  return GIGABYTE * (guint64) g_settings_get_int (self->settings, "keep-chats-gb");
}

static void
apply (AtlSession *self)
{
  AtlKeptChats *kept = atl_client_get_kept_chats (self->client);

  if (!is_wanted (self))
    {
      if (kept != NULL)
        atl_kept_chats_clear (kept);
      atl_client_set_kept_chats (self->client, NULL);
    }
  else if (kept != NULL)
    atl_kept_chats_set_limit (kept, limit_bytes (self));
  else
    atl_client_set_kept_chats (self->client, atl_kept_chats_new (NULL, limit_bytes (self)));
}

void
atl_session_init_keeping (AtlSession *self)
{
  apply (self);
  g_signal_connect_object (self->settings, "changed::keep-chats", G_CALLBACK (apply), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->settings, "changed::keep-chats-gb", G_CALLBACK (apply), self,
                           G_CONNECT_SWAPPED);
}

void
atl_session_forget_destroyed_chats (AtlSession *self)
{
  AtlKeptChats *kept = atl_client_get_kept_chats (self->client);
  g_autoptr (GPtrArray) keys = kept != NULL ? atl_kept_chats_list (kept) : NULL;

  for (guint i = 0; keys != NULL && i < keys->len; i++)
    {
      const char *key = keys->pdata[i];
      gint64 id;

      if (!g_str_has_prefix (key, KEY_PREFIX))
        continue;
      id = g_ascii_strtoll (key + strlen (KEY_PREFIX), NULL, 10);
      if (atl_store_chat_is_destroyed (self->store, id))
        atl_kept_chats_remove (kept, key);
    }
  atl_session_forget_files (self);
}
