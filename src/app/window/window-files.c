/* Files that come to the window: dropped, opened, imported. */
#include <glib/gi18n.h>
#include <string.h>

#include "app/chat/adapter-list.h"
#include "app/dialogs.h"
#include "app/gallery/gallery-view.h"
#include "app/images/brought-names.h"
#include "app/images/brought-parts.h"
#include "app/images/images-page.h"
#include "app/models/add-model.h"
#include "app/models/model-adder.h"
#include "app/window/window-private.h"

static void
imported_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlWindow) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) ids = atl_store_import_finish (result, &error);
  g_autofree char *words = NULL;

  if (ids == NULL)
    {
      atl_window_toast (self, error->message);
      return;
    }
  atl_session_emit_chats_changed (self->session);
  words = g_strdup_printf (ngettext ("%u chat imported", "%u chats imported", ids->len), ids->len);
  atl_window_toast (self, words);
  if (ids->len > 0)
    atl_window_open_chat (self, g_array_index (ids, gint64, 0), 0);
}

static void
import_loaded_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlWindow) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = g_file_load_bytes_finish (G_FILE (source), result, NULL, &error);
  g_autofree char *name = g_file_get_basename (G_FILE (source));

  if (bytes == NULL)
    {
      atl_window_toast (self, error->message);
      return;
    }
  atl_store_import_async (atl_store_dir (atl_window_get_store (self)), bytes, name, NULL,
                          imported_cb, g_object_ref (self));
}

static void
import_asked_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlWindow) self = data;
  g_autoptr (GFileInfo) info = g_file_query_info_finish (G_FILE (source), result, NULL);

  if (info != NULL && g_file_info_get_size (info) > (goffset) ATL_IMPORT_MAX_BYTES)
    {
      atl_window_toast (self, _ ("This file is too large for chats: at most 256 MB are read."));
      return;
    }
  g_file_load_bytes_async (G_FILE (source), NULL, import_loaded_cb, g_object_ref (self));
}

void
atl_window_import_file (AtlWindow *self, GFile *file)
{
  /* It may lie on another computer: its size is asked for without waiting. */
  g_file_query_info_async (file, G_FILE_ATTRIBUTE_STANDARD_SIZE, G_FILE_QUERY_INFO_NONE,
                           G_PRIORITY_DEFAULT, NULL, import_asked_cb, g_object_ref (self));
}

static void
import_chosen_cb (GtkNativeDialog *chooser, int response, AtlWindow *self)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (chooser));
      atl_window_import_file (self, file);
    }
  g_clear_object (&self->chooser);
}

void
atl_window_import (AtlWindow *self)
{
  g_autoptr (GtkFileFilter) filter = gtk_file_filter_new ();

  gtk_file_filter_set_name (filter, _ ("Chats (.json, .jsonl)"));
  gtk_file_filter_add_pattern (filter, "*.json");
  gtk_file_filter_add_pattern (filter, "*.jsonl");
  self->chooser = gtk_file_chooser_native_new (_ ("Import chats"), GTK_WINDOW (self),
                                               GTK_FILE_CHOOSER_ACTION_OPEN, _ ("_Import"), NULL);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (self->chooser), TRUE);
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (self->chooser), filter);
  g_signal_connect (self->chooser, "response", G_CALLBACK (import_chosen_cb), self);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (self->chooser));
}

static gboolean
is_folder (GFile *file)
{
  return g_file_query_file_type (file, G_FILE_QUERY_INFO_NONE, NULL) == G_FILE_TYPE_DIRECTORY;
}

/* On the Images page a picture is one to begin with; in chats it is attached. */
static gboolean
takes_picture (AtlWindow *self, const char *name)
{
  return atl_window_shows_page (self, "images") && atl_images_page_is_picture_name (name);
}

static gboolean
is_model (GFile *file)
{
  return is_folder (file) || atl_add_model_is_model (file);
}

/* Of a model for pictures, or of the one that is chosen and lacks it. */
static gboolean
is_words (AtlWindow *self, GFile *file, gboolean has_models)
{
  g_autofree char *name = g_file_get_basename (file);
  const char *path = g_file_peek_path (file);

  return atl_window_shows_page (self, "images") && path != NULL &&
         atl_brought_names_is_words (name) &&
         (has_models || atl_brought_parts_wants (atl_pictures_session_get (self->session), path));
}

/* What the Images page has no use for stays out of the chats, too. */
static void
refuse (AtlWindow *self, const char *name)
{
  g_autofree char *words = NULL;

  if (atl_brought_names_is_words (name) &&
      atl_brought_parts_refuse (atl_pictures_session_get (self->session), name))
    return;
  /* Translators: the name of a file. */
  words = g_strdup_printf (
      _ ("“%s” is no model, and no picture that can be used here: those are PNG, JPEG and WebP."),
      name);
  atl_window_toast (self, words);
}

void
atl_window_open_files (AtlWindow *self, GtkWidget *at, GFile *const *files, guint n_files)
{
  g_autoptr (GPtrArray) models = g_ptr_array_new ();
  g_autoptr (GPtrArray) words = g_ptr_array_new ();
  g_autoptr (GSList) texts = NULL;
  AtlModelAdder *adder = atl_model_adder_get (self->session);

  for (guint i = 0; i < n_files; i++)
    if (is_model (files[i]))
      g_ptr_array_add (models, files[i]);
  for (guint i = 0; i < n_files; i++)
    {
      g_autofree char *name = g_file_get_basename (files[i]);

      if (g_ptr_array_find (models, files[i], NULL))
        continue;
      if (is_words (self, files[i], models->len > 0))
        g_ptr_array_add (words, files[i]);
      else if (takes_picture (self, name))
        atl_images_page_drop (ATL_IMAGES_PAGE (self->images_page), at, files[i]);
      else if (atl_window_shows_page (self, "images"))
        refuse (self, name);
      else
        texts = g_slist_append (texts, files[i]);
    }
  /* Together, so that one question is asked, and parts are those of the model beside them. */
  if (atl_window_shows_page (self, "images") && models->len + words->len > 0)
    atl_model_adder_bring_for_pictures (adder, GTK_WINDOW (self), (GFile *const *) models->pdata,
                                        models->len, (GFile *const *) words->pdata, words->len);
  else if (models->len > 0)
    atl_model_adder_bring (adder, GTK_WINDOW (self), (GFile *const *) models->pdata, models->len);
  /* What is among them that is no text, attaching it tells. */
  if (texts != NULL)
    atl_chat_page_attach (ATL_CHAT_PAGE (self->chat_page), texts);
}

static void
parts_chosen_cb (GtkNativeDialog *chooser, int response, AtlWindow *self)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GPtrArray) files = atl_chosen_files (GTK_FILE_CHOOSER (chooser));

      atl_window_open_files (self, NULL, (GFile *const *) files->pdata, files->len);
    }
  g_clear_object (&self->chooser);
}

void
atl_window_choose_parts (AtlWindow *self)
{
  self->chooser =
      gtk_file_chooser_native_new (_ ("Which parts of the model do you have?"), GTK_WINDOW (self),
                                   GTK_FILE_CHOOSER_ACTION_OPEN, _ ("_Open"), NULL);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (self->chooser), TRUE);
  gtk_file_chooser_set_select_multiple (GTK_FILE_CHOOSER (self->chooser), TRUE);
  g_signal_connect (self->chooser, "response", G_CALLBACK (parts_chosen_cb), self);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (self->chooser));
}

static gboolean
drop_cb (GtkDropTarget *target, const GValue *value, double x, double y, AtlWindow *self)
{
  g_autoptr (GPtrArray) files = g_ptr_array_new ();
  GtkWidget *at, *adapters, *gallery;

  gtk_revealer_set_reveal_child (GTK_REVEALER (self->drop_revealer), FALSE);
  if (!G_VALUE_HOLDS (value, GDK_TYPE_FILE_LIST))
    return FALSE;
  at = gtk_widget_pick (GTK_WIDGET (self), x, y, GTK_PICK_DEFAULT);
  for (GSList *l = g_value_get_boxed (value); l != NULL; l = l->next)
    g_ptr_array_add (files, l->data);
  adapters = at != NULL ? gtk_widget_get_ancestor (at, ATL_TYPE_ADAPTER_LIST) : NULL;
  if (adapters != NULL)
    {
      atl_adapter_list_add (ATL_ADAPTER_LIST (adapters), (GFile *const *) files->pdata, files->len);
      return TRUE;
    }
  gallery = at != NULL ? gtk_widget_get_ancestor (at, ATL_TYPE_GALLERY_VIEW) : NULL;
  if (gallery != NULL)
    {
      atl_gallery_view_import (ATL_GALLERY_VIEW (gallery), g_value_get_boxed (value));
      return TRUE;
    }
  atl_window_open_files (self, at, (GFile *const *) files->pdata, files->len);
  return TRUE;
}

/* What a drop at that place would do. */
static const char *
words_at (AtlWindow *self, double x, double y)
{
  GtkWidget *at = gtk_widget_pick (GTK_WIDGET (self), x, y, GTK_PICK_DEFAULT);

  if (at != NULL && gtk_widget_get_ancestor (at, ATL_TYPE_ADAPTER_LIST) != NULL)
    return _ ("The model is used with this adapter from now on.");
  if (!atl_window_shows_page (self, "images"))
    return _ ("A model is loaded, a text file is attached to your message.");
  if (at != NULL && gtk_widget_get_ancestor (at, ATL_TYPE_GALLERY_VIEW) != NULL)
    return _ ("Pictures are added to the gallery.");
  if (at != NULL && atl_images_page_is_prompt (ATL_IMAGES_PAGE (self->images_page), at))
    return _ ("The settings that the picture was made with come back.");
  if (atl_pictures_session_follows (atl_pictures_session_get (self->session)))
    return _ ("A model is added. A picture becomes one to follow; on the prompt, its settings come "
              "back.");
  return _ ("A model is added. A picture becomes what the next one begins with; on the prompt, its "
            "settings come back.");
}

static GdkDragAction
motion_cb (GtkDropTarget *target, double x, double y, AtlWindow *self)
{
  adw_status_page_set_description (
      ADW_STATUS_PAGE (gtk_revealer_get_child (GTK_REVEALER (self->drop_revealer))),
      words_at (self, x, y));
  gtk_revealer_set_reveal_child (GTK_REVEALER (self->drop_revealer), TRUE);
  return GDK_ACTION_COPY;
}

static void
leave_cb (GtkDropTarget *target, AtlWindow *self)
{
  gtk_revealer_set_reveal_child (GTK_REVEALER (self->drop_revealer), FALSE);
}

/* What is not shown is not there for a screen reader either. */
static void
drop_revealed_cb (GtkRevealer *revealer)
{
  gtk_widget_set_visible (GTK_WIDGET (revealer), gtk_revealer_get_reveal_child (revealer) ||
                                                     gtk_revealer_get_child_revealed (revealer));
}

/* In the capture phase, because the text view of the composer takes drops as text. */
void
atl_window_install_drop (AtlWindow *self)
{
  GtkDropTarget *target = gtk_drop_target_new (GDK_TYPE_FILE_LIST, GDK_ACTION_COPY);

  gtk_event_controller_set_propagation_phase (GTK_EVENT_CONTROLLER (target), GTK_PHASE_CAPTURE);
  g_signal_connect (target, "drop", G_CALLBACK (drop_cb), self);
  g_signal_connect (target, "enter", G_CALLBACK (motion_cb), self);
  g_signal_connect (target, "motion", G_CALLBACK (motion_cb), self);
  g_signal_connect (target, "leave", G_CALLBACK (leave_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self), GTK_EVENT_CONTROLLER (target));
  g_signal_connect (self->drop_revealer, "notify::reveal-child", G_CALLBACK (drop_revealed_cb),
                    NULL);
  g_signal_connect (self->drop_revealer, "notify::child-revealed", G_CALLBACK (drop_revealed_cb),
                    NULL);
}
