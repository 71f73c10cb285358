/* A list of messages with its system prompt in front. */
#define G_LOG_DOMAIN "atl-cli"

#include "cli/conversation.h"

typedef struct
{
  char *role;
  char *content;
} Message;

struct _AtlConversation
{
  char *system; /* (nullable) */
  GPtrArray *messages;
};

static void
message_free (gpointer data)
{
  Message *message = data;

  g_free (message->role);
  g_free (message->content);
  g_free (message);
}

AtlConversation *
atl_conversation_new (const char *system)
{
  AtlConversation *self = g_new0 (AtlConversation, 1);

  self->messages = g_ptr_array_new_with_free_func (message_free);
  atl_conversation_set_system (self, system);
  return self;
}

void
atl_conversation_free (AtlConversation *self)
{
  if (self == NULL)
    return;
  g_free (self->system);
  g_ptr_array_unref (self->messages);
  g_free (self);
}

void
atl_conversation_set_system (AtlConversation *self, const char *system)
{
  g_free (self->system);
  self->system = system != NULL && *system != '\0' ? g_utf8_make_valid (system, -1) : NULL;
}

void
atl_conversation_add (AtlConversation *self, const char *role, const char *content)
{
  Message *message = g_new0 (Message, 1);

  message->role = g_strdup (role);
  message->content = g_utf8_make_valid (content, -1);
  g_ptr_array_add (self->messages, message);
}

gboolean
atl_conversation_drop_last (AtlConversation *self, const char *role)
{
  guint n = self->messages->len;

  if (n == 0 || !g_str_equal (atl_conversation_role (self, n - 1), role))
    return FALSE;
  g_ptr_array_remove_index (self->messages, n - 1);
  return TRUE;
}

void
atl_conversation_clear (AtlConversation *self)
{
  g_ptr_array_set_size (self->messages, 0);
}

guint
atl_conversation_n (const AtlConversation *self)
{
  return self->messages->len;
}

const char *
atl_conversation_role (const AtlConversation *self, guint i)
{
  return ((Message *) g_ptr_array_index (self->messages, i))->role;
}

const char *
atl_conversation_content (const AtlConversation *self, guint i)
{
  return ((Message *) g_ptr_array_index (self->messages, i))->content;
}

static void
add_message (JsonBuilder *builder, const char *role, const char *content)
{
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "role");
  json_builder_add_string_value (builder, role);
  json_builder_set_member_name (builder, "content");
  json_builder_add_string_value (builder, content);
  json_builder_end_object (builder);
}

char *
atl_conversation_to_json (const AtlConversation *self)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;

  json_builder_begin_array (builder);
  if (self->system != NULL)
    add_message (builder, "system", self->system);
  for (guint i = 0; i < self->messages->len; i++)
    add_message (builder, atl_conversation_role (self, i), atl_conversation_content (self, i));
  json_builder_end_array (builder);
  root = json_builder_get_root (builder);
  return json_to_string (root, FALSE);
}
