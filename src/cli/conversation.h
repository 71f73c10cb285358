/* Messages of a chat, as the JSON array that the client takes.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

typedef struct _AtlConversation AtlConversation;

AtlConversation *atl_conversation_new (const char *system); /* nullable */
void atl_conversation_free (AtlConversation *self);

/* Replaces the system prompt; NULL removes it. */
void atl_conversation_set_system (AtlConversation *self, const char *system);
void atl_conversation_add (AtlConversation *self, const char *role, const char *content);
/* Takes the last message away if it has this role; FALSE if not. */
gboolean atl_conversation_drop_last (AtlConversation *self, const char *role);
/* All but the system prompt goes. */
void atl_conversation_clear (AtlConversation *self);
guint atl_conversation_n (const AtlConversation *self);
const char *atl_conversation_role (const AtlConversation *self, guint i);    /* borrowed */
const char *atl_conversation_content (const AtlConversation *self, guint i); /* borrowed */
char *atl_conversation_to_json (const AtlConversation *self);                /* owned */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlConversation, atl_conversation_free)

G_END_DECLS
