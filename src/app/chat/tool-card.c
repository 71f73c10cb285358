/* What a model would like to have done. */
#include "app/chat/tool-card.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/accessible.h"
#include "app/chat/code-block.h"
#include "app/chat/json-lines.h"
#include "base/json-bounded.h"

GtkWidget *
atl_tool_card_new (const char *text)
{
  const char *end = strchr (text, '\n');
  g_autofree char *name = end != NULL ? g_strndup (text, (gsize) (end - text)) : g_strdup (text);
  g_autofree char *words = g_strdup_printf (_ ("The model asks for the tool “%s”"), name);
  GtkWidget *expander = gtk_expander_new (words);
  GtkWidget *title = gtk_expander_get_label_widget (GTK_EXPANDER (expander));
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *note = gtk_label_new (_ ("Nothing was run. Reply with what the tool says."));
  GtkWidget *code = atl_code_block_new ();

  atl_code_block_set (ATL_CODE_BLOCK (code), end != NULL ? end + 1 : "", "json");
  /* The name is as long as somebody likes, and letters as large. */
  gtk_label_set_xalign (GTK_LABEL (title), 0);
  gtk_label_set_wrap (GTK_LABEL (title), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (title), PANGO_WRAP_WORD_CHAR);
  gtk_label_set_xalign (GTK_LABEL (note), 0);
  gtk_label_set_wrap (GTK_LABEL (note), TRUE);
  gtk_widget_add_css_class (note, "caption");
  gtk_widget_add_css_class (note, "dim-label");
  gtk_widget_set_margin_top (box, 6);
  gtk_box_append (GTK_BOX (box), code);
  gtk_box_append (GTK_BOX (box), note);
  gtk_expander_set_child (GTK_EXPANDER (expander), box);
  atl_accessible_set_name (expander, words);
  gtk_widget_add_css_class (expander, "tool-card");
  gtk_widget_add_css_class (expander, "card");
  return expander;
}

char *
atl_tool_card_to_text (const char *name, const char *arguments)
{
  g_autofree char *lines = atl_json_lines (arguments);

  /* The engine checked the name; a fence in it would end the listing all the same. */
  return g_strdup_printf ("```" ATL_TOOL_CARD_LANGUAGE "\n%.*s\n%s\n```\n",
                          (int) strcspn (name, "\r\n`"), name, lines);
}

#define OPENING "```" ATL_TOOL_CARD_LANGUAGE "\n"
#define CLOSING "\n```"

/* The next line that opens a listing, or NULL. */
static const char *
find_opening (const char *text)
{
  for (const char *p = text; (p = strstr (p, OPENING)) != NULL; p++)
    if (p == text || p[-1] == '\n')
      return p;
  return NULL;
}

/* The end of the listing whose inside begins here: the line of its closing fence; or NULL. */
static const char *
find_closing (const char *inside)
{
  for (const char *p = inside; (p = strstr (p, CLOSING)) != NULL; p++)
    if (p[strlen (CLOSING)] == '\0' || p[strlen (CLOSING)] == '\n')
      return p;
  return NULL;
}

/* From a name, a line end and an object; FALSE if they are not these. */
static gboolean
add_call (JsonArray *calls, const char *inside, gsize length)
{
  const char *end = memchr (inside, '\n', length);
  g_autoptr (JsonNode) arguments =
      end != NULL ? atl_json_parse (end + 1, length - (gsize) (end + 1 - inside), "arguments", NULL)
                  : NULL;
  g_autofree char *name = end != NULL ? g_strndup (inside, (gsize) (end - inside)) : NULL;
  /* Some templates want nine characters. */
  g_autofree char *id = g_strdup_printf ("call%05u", json_array_get_length (calls));
  JsonObject *call, *function;

  if (arguments == NULL || !JSON_NODE_HOLDS_OBJECT (arguments) || *g_strstrip (name) == '\0')
    return FALSE;
  function = json_object_new ();
  json_object_set_string_member (function, "name", name);
  json_object_set_member (function, "arguments", g_steal_pointer (&arguments));
  call = json_object_new ();
  json_object_set_string_member (call, "id", id);
  json_object_set_string_member (call, "type", "function");
  json_object_set_object_member (call, "function", function);
  json_array_add_object_element (calls, call);
  return TRUE;
}

JsonArray *
atl_tool_card_calls (const char *text, char **rest)
{
  g_autoptr (JsonArray) calls = json_array_new ();
  g_autoptr (GString) others = g_string_new (NULL);
  const char *opening;

  while ((opening = find_opening (text)) != NULL)
    {
      const char *inside = opening + strlen (OPENING);
      const char *end = find_closing (inside);

      if (end == NULL || !add_call (calls, inside, (gsize) (end - inside)))
        return NULL;
      g_string_append_len (others, text, opening - text);
      text = end + strlen (CLOSING);
    }
  if (json_array_get_length (calls) == 0)
    return NULL;
  g_string_append (others, text);
  *rest = g_strdup (g_strstrip (others->str));
  return g_steal_pointer (&calls);
}
