/* What a model would like to have done. */
#include "app/chat/tool-card.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/accessible.h"
#include "app/chat/code-block.h"
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
  g_autoptr (JsonNode) node = atl_json_parse (arguments, strlen (arguments), "arguments", NULL);
  g_autofree char *pretty = node != NULL ? json_to_string (node, TRUE) : NULL;

  /* The engine checked the name; a fence in it would end the listing all the same. */
  return g_strdup_printf ("```" ATL_TOOL_CARD_LANGUAGE "\n%.*s\n%s\n```\n",
                          (int) strcspn (name, "\r\n`"), name, pretty != NULL ? pretty : arguments);
}
