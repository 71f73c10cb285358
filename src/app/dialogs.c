/* A dialog that asks for a name; a toast that can be read. */
#include "app/dialogs.h"

#include <adwaita.h>
#include <glib/gi18n.h>

#include "app/accessible.h"

/* Characters that a toast shows in one line without cutting them off. */
#define LONG_SENTENCE 48
/* Pixels beside its title: its own, the button that closes it; another one without its letters. */
#define TOAST_MARGINS 96
#define TOAST_BUTTON 42

typedef struct
{
  GtkWidget *owner; /* weak */
  GtkWidget *entry;
  AtlTextFunc accepted;
  gpointer data;
  GDestroyNotify free_data;
} Asked;

static char *
entered (GtkWidget *entry)
{
  return g_strstrip (g_strdup (gtk_editable_get_text (GTK_EDITABLE (entry))));
}

static void
changed_cb (GtkEditable *entry, AdwMessageDialog *dialog)
{
  g_autofree char *text = entered (GTK_WIDGET (entry));
  adw_message_dialog_set_response_enabled (dialog, "accept", *text != '\0');
}

static void
response_cb (AdwMessageDialog *dialog, const char *response, Asked *asked)
{
  g_autofree char *text = entered (asked->entry);

  if (g_str_equal (response, "accept") && asked->owner != NULL)
    asked->accepted (text, asked->data);
}

static void
free_asked (gpointer data, GClosure *closure)
{
  Asked *asked = data;
  if (asked->owner != NULL)
    g_object_remove_weak_pointer (G_OBJECT (asked->owner), (gpointer *) &asked->owner);
  if (asked->free_data != NULL)
    asked->free_data (asked->data);
  g_free (asked);
}

void
atl_dialog_ask_text (GtkWidget *owner,
                     const char *heading,
                     const char *body,
                     const char *label,
                     const char *text,
                     const char *accept_label,
                     AtlTextFunc accepted,
                     gpointer data,
                     GDestroyNotify free_data)
{
  GtkWindow *parent = GTK_WINDOW (gtk_widget_get_root (owner));
  AdwMessageDialog *dialog = ADW_MESSAGE_DIALOG (adw_message_dialog_new (parent, heading, body));
  Asked *asked = g_new0 (Asked, 1);

  asked->owner = owner;
  g_object_add_weak_pointer (G_OBJECT (owner), (gpointer *) &asked->owner);
  asked->accepted = accepted;
  asked->data = data;
  asked->free_data = free_data;
  asked->entry = gtk_entry_new ();
  gtk_editable_set_text (GTK_EDITABLE (asked->entry), text);
  gtk_accessible_update_property (GTK_ACCESSIBLE (asked->entry), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  label, -1);
  gtk_entry_set_placeholder_text (GTK_ENTRY (asked->entry), label);
  gtk_entry_set_activates_default (GTK_ENTRY (asked->entry), TRUE);
  adw_message_dialog_set_extra_child (dialog, asked->entry);
  adw_message_dialog_add_responses (dialog, "cancel", _ ("_Cancel"), "accept", accept_label, NULL);
  adw_message_dialog_set_response_appearance (dialog, "accept", ADW_RESPONSE_SUGGESTED);
  adw_message_dialog_set_default_response (dialog, "accept");
  adw_message_dialog_set_close_response (dialog, "cancel");
  g_signal_connect (asked->entry, "changed", G_CALLBACK (changed_cb), dialog);
  g_signal_connect_data (dialog, "response", G_CALLBACK (response_cb), asked, free_asked, 0);
  changed_cb (GTK_EDITABLE (asked->entry), dialog);
  gtk_window_present (GTK_WINDOW (dialog));
  gtk_widget_grab_focus (asked->entry);
}

GPtrArray *
atl_chosen_files (GtkFileChooser *chooser)
{
  g_autoptr (GListModel) chosen = gtk_file_chooser_get_files (chooser);
  GPtrArray *files = g_ptr_array_new_with_free_func (g_object_unref);

  for (guint i = 0; i < g_list_model_get_n_items (chosen); i++)
    g_ptr_array_add (files, g_list_model_get_item (chosen, i));
  return files;
}

/* How many letters of a toast's title fit beside its buttons. A title that wraps takes all it
 * wants, wider than the window, and moves the buttons out of it. */
static int
toast_chars (GtkWidget *overlay, const char *button)
{
  PangoContext *context = gtk_widget_get_pango_context (overlay);
  PangoFontMetrics *metrics = pango_context_get_metrics (context, NULL, NULL);
  int letter = pango_font_metrics_get_approximate_char_width (metrics);
  int taken = TOAST_MARGINS * PANGO_SCALE;

  pango_font_metrics_unref (metrics);
  if (button != NULL)
    taken += TOAST_BUTTON * PANGO_SCALE + (int) g_utf8_strlen (button, -1) * letter;
  if (gtk_widget_get_width (overlay) <= 0 || letter <= 0)
    return LONG_SENTENCE;
  /* Bold ones are wider. */
  return CLAMP ((gtk_widget_get_width (overlay) * PANGO_SCALE - taken) * 4 / (5 * letter), 8,
                LONG_SENTENCE);
}

AdwToast *
atl_toast_new (GtkWidget *overlay, const char *sentence, const char *button)
{
  g_autofree char *escaped = g_markup_escape_text (sentence, -1);
  AdwToast *toast = adw_toast_new (escaped);
  const int n_chars = toast_chars (overlay, button);

  adw_toast_set_button_label (toast, button);
  adw_toast_set_timeout (toast, 3);
  if (g_utf8_strlen (sentence, -1) > n_chars)
    {
      GtkWidget *label = gtk_label_new (sentence);
      gtk_label_set_wrap (GTK_LABEL (label), TRUE);
      gtk_label_set_wrap_mode (GTK_LABEL (label), PANGO_WRAP_WORD_CHAR);
      gtk_label_set_xalign (GTK_LABEL (label), 0);
      gtk_label_set_max_width_chars (GTK_LABEL (label), n_chars);
      gtk_widget_add_css_class (label, "heading");
      adw_toast_set_custom_title (toast, label);
      adw_toast_set_timeout (toast, 8);
    }
  return toast;
}

static void
free_last (gpointer data)
{
  AdwToast **last = data;

  g_clear_weak_pointer (last);
  g_free (last);
}

void
atl_toast_add (GtkWidget *overlay, AdwToast *toast)
{
  adw_toast_overlay_add_toast (ADW_TOAST_OVERLAY (overlay), toast);
  /* Libadwaita leaves the button without a name. */
  for (GtkWidget *child = gtk_widget_get_first_child (overlay); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    if (g_str_equal (gtk_widget_get_css_name (child), "toast"))
      atl_accessible_name_close_button (child);
}

AdwToast *
atl_toast_show (GtkWidget *overlay, const char *sentence)
{
  AdwToast **last = g_object_get_data (G_OBJECT (overlay), "atl-toast");

  if (last == NULL)
    {
      last = g_new0 (AdwToast *, 1);
      g_object_set_data_full (G_OBJECT (overlay), "atl-toast", last, free_last);
    }
  if (*last == NULL || g_strcmp0 (g_object_get_data (G_OBJECT (*last), "sentence"), sentence) != 0)
    {
      g_set_weak_pointer (last, atl_toast_new (overlay, sentence, NULL));
      g_object_set_data_full (G_OBJECT (*last), "sentence", g_strdup (sentence), g_free);
      adw_toast_set_priority (*last, ADW_TOAST_PRIORITY_HIGH);
      atl_toast_add (overlay, *last);
    }
  atl_accessible_announce (overlay, sentence);
  return *last;
}
