/* How what a preset holds is read off a chat and given to one, and how it comes back. */
#include "app/chat/chat-presets.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/dialogs.h"
#include "app/window/undo.h"
#include "base/json-bounded.h"

#define SYSTEM_PROMPT "system-prompt"

typedef struct
{
  GWeakRef pane;
  AtlPresetChanged changed;
  AtlSession *session;           /* (nullable) of a preset */
  char *name;                    /* (nullable) of a preset */
  gint64 id;                     /* of a preset that was renamed from that name; 0 */
  AtlConversation *conversation; /* (nullable) whose settings come back */
  char *json;
} Kept;

/* --- What a preset holds --- */

static char *
read_off (AtlConversation *conversation)
{
  g_autoptr (JsonNode) node = json_node_alloc ();
  g_autoptr (JsonNode) copy = NULL;
  g_autofree char *text = NULL;

  json_node_init_object (node, atl_conversation_get_settings (conversation));
  text = json_to_string (node, FALSE);
  copy = json_from_string (text, NULL);
  json_object_set_string_member (json_node_get_object (copy), SYSTEM_PROMPT,
                                 atl_conversation_get_system_prompt (conversation));
  return json_to_string (copy, FALSE);
}

static gboolean
apply (AtlConversation *conversation, const char *json)
{
  g_autoptr (JsonNode) node = atl_json_parse (json, strlen (json), "preset", NULL);
  g_autoptr (JsonObject) settings = NULL;

  if (node == NULL || !JSON_NODE_HOLDS_OBJECT (node))
    return FALSE;
  settings = json_node_dup_object (node);
  atl_conversation_set_system_prompt (conversation, atl_json_string (settings, SYSTEM_PROMPT, ""));
  if (json_object_has_member (settings, SYSTEM_PROMPT))
    json_object_remove_member (settings, SYSTEM_PROMPT);
  atl_conversation_replace_settings (conversation, settings);
  return TRUE;
}

/* --- Undo --- */

static void
free_kept (gpointer data)
{
  Kept *kept = data;

  g_weak_ref_clear (&kept->pane);
  g_clear_object (&kept->session);
  g_clear_object (&kept->conversation);
  g_free (kept->name);
  g_free (kept->json);
  g_free (kept);
}

static gboolean
bring_back (gpointer data, GError **error)
{
  Kept *kept = data;
  g_autoptr (GtkWidget) pane = g_weak_ref_get (&kept->pane);

  if (kept->conversation != NULL)
    apply (kept->conversation, kept->json);
  else if (kept->id != 0)
    {
      if (!atl_store_preset_rename (atl_session_get_store (kept->session), kept->id, kept->name,
                                    error))
        return FALSE;
    }
  else if (atl_store_preset_save (atl_session_get_store (kept->session), kept->name, kept->json,
                                  error) == 0)
    return FALSE;
  if (pane != NULL)
    kept->changed (pane);
  return TRUE;
}

static Kept *
keep (GtkWidget *pane, const char *json, AtlPresetChanged changed)
{
  Kept *kept = g_new0 (Kept, 1);

  g_weak_ref_init (&kept->pane, pane);
  kept->changed = changed;
  kept->json = g_strdup (json);
  return kept;
}

static void
offer_back (GtkWidget *pane,
            AtlSession *session,
            const AtlPreset *preset,
            const char *sentence,
            AtlPresetChanged changed)
{
  Kept *kept = keep (pane, preset->settings_json, changed);

  kept->session = g_object_ref (session);
  kept->name = g_strdup (preset->name);
  atl_undo_offer (pane, sentence, bring_back, kept, free_kept);
}

/* --- In use --- */

gboolean
atl_chat_preset_take (GtkWidget *pane,
                      AtlConversation *conversation,
                      const AtlPreset *preset,
                      AtlPresetChanged changed)
{
  g_autofree char *before = read_off (conversation);
  g_autofree char *words = NULL;
  gboolean has_own = json_object_get_size (atl_conversation_get_settings (conversation)) > 0 ||
                     *atl_conversation_get_system_prompt (conversation) != '\0';
  Kept *kept;

  if (!apply (conversation, preset->settings_json))
    return FALSE;
  if (!has_own)
    return TRUE;
  words = g_strdup_printf (_ ("Settings and instructions are those of “%s” now"), preset->name);
  kept = keep (pane, before, changed);
  kept->conversation = g_object_ref (conversation);
  atl_undo_offer (pane, words, bring_back, kept, free_kept);
  return TRUE;
}

static const AtlPreset *
find_name (GPtrArray *presets, const char *name)
{
  for (guint i = 0; presets != NULL && i < presets->len; i++)
    {
      const AtlPreset *preset = g_ptr_array_index (presets, i);

      if (g_ascii_strcasecmp (preset->name, name) == 0)
        return preset;
    }
  return NULL;
}

gint64
atl_chat_preset_save (GtkWidget *pane,
                      AtlSession *session,
                      AtlConversation *conversation,
                      GPtrArray *presets,
                      const char *name,
                      AtlPresetChanged changed)
{
  const AtlPreset *same = find_name (presets, name);
  g_autofree char *json = read_off (conversation);
  g_autofree char *words = NULL;
  g_autoptr (GError) error = NULL;
  gint64 id = atl_store_preset_save (atl_session_get_store (session), name, json, &error);

  if (id == 0)
    atl_session_emit_notice (session, error->message);
  if (id == 0 || same == NULL || g_str_equal (same->settings_json, json))
    return id;
  words = g_strdup_printf (_ ("Preset “%s” replaced"), same->name);
  offer_back (pane, session, same, words, changed);
  return id;
}

/* --- Another name --- */

typedef struct
{
  GtkWidget *pane; /* there as long as the dialog answers */
  AtlSession *session;
  gint64 id;
  char *name;
  AtlPresetChanged renamed;
} Rename;

static void
free_rename (gpointer data)
{
  Rename *rename = data;

  g_object_unref (rename->session);
  g_free (rename->name);
  g_free (rename);
}

static void
rename_to (const char *name, gpointer data)
{
  Rename *rename = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *words = NULL;
  Kept *kept;

  if (g_str_equal (rename->name, name))
    return;
  if (!atl_store_preset_rename (atl_session_get_store (rename->session), rename->id, name, &error))
    {
      atl_session_emit_notice (rename->session, error->message);
      return;
    }
  rename->renamed (rename->pane);
  words = g_strdup_printf (_ ("Preset “%s” renamed"), rename->name);
  kept = keep (rename->pane, NULL, rename->renamed);
  kept->session = g_object_ref (rename->session);
  kept->name = g_strdup (rename->name);
  kept->id = rename->id;
  atl_undo_offer (rename->pane, words, bring_back, kept, free_kept);
}

void
atl_chat_preset_ask_rename (GtkWidget *pane,
                            AtlSession *session,
                            const AtlPreset *preset,
                            AtlPresetChanged renamed)
{
  Rename *rename = g_new0 (Rename, 1);

  rename->pane = pane;
  rename->session = g_object_ref (session);
  rename->id = preset->id;
  rename->name = g_strdup (preset->name);
  rename->renamed = renamed;
  atl_dialog_ask_text (pane, _ ("Rename preset"), NULL, _ ("Name"), preset->name, _ ("_Rename"),
                       rename_to, rename, free_rename);
}

void
atl_chat_preset_remove (GtkWidget *pane,
                        AtlSession *session,
                        const AtlPreset *preset,
                        AtlPresetChanged changed)
{
  g_autofree char *words = g_strdup_printf (_ ("Preset “%s” removed"), preset->name);
  g_autoptr (GError) error = NULL;

  if (!atl_store_preset_remove (atl_session_get_store (session), preset->id, &error))
    {
      atl_session_emit_notice (session, error->message);
      return;
    }
  offer_back (pane, session, preset, words, changed);
}
