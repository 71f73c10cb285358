/* A row a picture, in the order in which the prompt may speak of them. */
#include "app/images/reference-group.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/dialogs.h"
#include "app/gallery/gallery-actions.h"

#define THUMBNAIL_PX 44
#define THUMBNAIL_SIDE 128u

struct _AtlReferenceGroup
{
  AdwPreferencesGroup parent_instance;

  AtlPicturesSession *pictures;  /* (nullable) borrowed */
  GtkFileChooserNative *chooser; /* (nullable) */
  GCancellable *reading;         /* of the thumbnails that are shown */
  GPtrArray *rows;               /* (element-type GtkWidget) borrowed */
  GtkWidget *first_row;          /* adds one while there is none */
  GtkWidget *add_button;
};

G_DEFINE_FINAL_TYPE (AtlReferenceGroup, atl_reference_group, ADW_TYPE_PREFERENCES_GROUP)

static guint changed_signal;

static GPtrArray *
references_of (AtlReferenceGroup *self)
{
  return atl_pictures_session_get_settings (self->pictures)->references;
}

static void
tell (AtlReferenceGroup *self)
{
  atl_reference_group_refresh (self);
  g_signal_emit (self, changed_signal, 0);
}

/* The row at `at`, or the last one; where there is none, the one that adds. */
static void
focus_row (AtlReferenceGroup *self, guint at)
{
  gtk_widget_grab_focus (self->rows->len == 0 ? self->first_row
                                              : self->rows->pdata[MIN (at, self->rows->len - 1)]);
}

/* Of the row that `widget` is or lies in. */
static gboolean
find_row (AtlReferenceGroup *self, GtkWidget *widget, guint *at)
{
  GtkWidget *row = widget != NULL ? gtk_widget_get_ancestor (widget, ADW_TYPE_ACTION_ROW) : NULL;

  return row != NULL && g_ptr_array_find (self->rows, row, at) && *at < references_of (self)->len;
}

static void
remove_at (AtlReferenceGroup *self, guint at)
{
  g_ptr_array_remove_index (references_of (self), at);
  tell (self);
  focus_row (self, at);
}

static void
remove_cb (GtkButton *button, AtlReferenceGroup *self)
{
  guint at;

  if (find_row (self, GTK_WIDGET (button), &at))
    remove_at (self, at);
}

/* --- Their order --- */

static void
move (AtlReferenceGroup *self, guint from, guint to)
{
  char *path = g_ptr_array_steal_index (references_of (self), from);

  g_ptr_array_insert (references_of (self), (gint) to, path);
  tell (self);
  focus_row (self, to);
}

static gboolean
key_cb (GtkEventControllerKey *keys,
        guint keyval,
        guint keycode,
        GdkModifierType state,
        AtlReferenceGroup *self)
{
  guint at;

  if (!find_row (self, gtk_root_get_focus (gtk_widget_get_root (GTK_WIDGET (self))), &at))
    return FALSE;
  if ((state & GDK_ALT_MASK) != 0 && keyval == GDK_KEY_Up && at > 0)
    move (self, at, at - 1);
  else if ((state & GDK_ALT_MASK) != 0 && keyval == GDK_KEY_Down && at + 1 < self->rows->len)
    move (self, at, at + 1);
  else if (keyval == GDK_KEY_Delete)
    remove_at (self, at);
  else
    return FALSE;
  return TRUE;
}

static GdkContentProvider *
drag_cb (GtkDragSource *source, double x, double y, GtkWidget *row)
{
  return gdk_content_provider_new_typed (ADW_TYPE_ACTION_ROW, row);
}

static gboolean
drop_cb (GtkDropTarget *target, const GValue *value, double x, double y, AtlReferenceGroup *self)
{
  GtkWidget *row = gtk_event_controller_get_widget (GTK_EVENT_CONTROLLER (target));
  guint from, to;

  if (!find_row (self, g_value_get_object (value), &from) || !find_row (self, row, &to))
    return FALSE;
  if (from != to)
    move (self, from, to);
  return TRUE;
}

static void
let_move (AtlReferenceGroup *self, GtkWidget *row)
{
  GtkDragSource *source = gtk_drag_source_new ();
  GtkDropTarget *target = gtk_drop_target_new (ADW_TYPE_ACTION_ROW, GDK_ACTION_MOVE);

  gtk_drag_source_set_actions (source, GDK_ACTION_MOVE);
  g_signal_connect (source, "prepare", G_CALLBACK (drag_cb), row);
  g_signal_connect (target, "drop", G_CALLBACK (drop_cb), self);
  gtk_widget_add_controller (row, GTK_EVENT_CONTROLLER (source));
  gtk_widget_add_controller (row, GTK_EVENT_CONTROLLER (target));
  gtk_widget_set_tooltip_text (
      row, _ ("Drag it, or press Alt+Up or Alt+Down, to change the order. Delete takes it out"));
}

/* --- Showing --- */

static void
read_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GtkPicture) picture = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPictureFile) file =
      atl_client_read_picture_finish (ATL_CLIENT (source), result, &error);
  g_autoptr (GdkTexture) texture = NULL;

  if (file == NULL)
    return;
  texture = gdk_memory_texture_new ((int) file->width, (int) file->height, GDK_MEMORY_R8G8B8,
                                    file->rgb, (gsize) file->width * 3);
  gtk_picture_set_paintable (picture, GDK_PAINTABLE (texture));
}

static void
add_row (AtlReferenceGroup *self, const char *path, guint number)
{
  GtkWidget *row = adw_action_row_new (), *picture = gtk_picture_new ();
  GtkWidget *button = gtk_button_new_from_icon_name ("window-close-symbolic");
  g_autofree char *name = atl_pictures_input_name (path);
  g_autofree char *remove = g_strdup_printf (_ ("Remove “%s”"), name);
  g_autofree char *words = g_strdup_printf (_ ("Picture %u"), number);
  g_autofree char *spoken = NULL;

  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (row), FALSE);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), words);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), name);
  adw_action_row_set_subtitle_lines (ADW_ACTION_ROW (row), 1);
  gtk_picture_set_content_fit (GTK_PICTURE (picture), GTK_CONTENT_FIT_COVER);
  gtk_widget_set_size_request (picture, THUMBNAIL_PX, THUMBNAIL_PX);
  gtk_widget_set_valign (picture, GTK_ALIGN_CENTER);
  gtk_widget_set_overflow (picture, GTK_OVERFLOW_HIDDEN);
  gtk_widget_add_css_class (picture, "thumbnail");
  adw_action_row_add_prefix (ADW_ACTION_ROW (row), picture);
  gtk_widget_add_css_class (button, "flat");
  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  gtk_widget_set_tooltip_text (button, remove);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, remove,
                                  -1);
  g_signal_connect (button, "clicked", G_CALLBACK (remove_cb), self);
  adw_action_row_add_suffix (ADW_ACTION_ROW (row), button);
  spoken = g_strdup_printf ("%s: %s", words, name);
  atl_accessible_set_name (row, spoken);
  let_move (self, row);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self), row);
  g_ptr_array_add (self->rows, row);
  atl_client_read_picture_async (
      atl_session_get_client (atl_pictures_session_get_session (self->pictures)), path, NULL,
      THUMBNAIL_SIDE, self->reading, read_cb, g_object_ref (picture));
}

static guint
max_references (AtlReferenceGroup *self)
{
  const AtlModelInfo *info = atl_pictures_session_get_info (self->pictures);

  return info != NULL && (info->abilities & ATL_PICTURE_REFERENCE) != 0 ? info->max_references : 0;
}

void
atl_reference_group_refresh (AtlReferenceGroup *self)
{
  guint most = max_references (self);

  gtk_widget_set_visible (GTK_WIDGET (self), most > 0);
  gtk_widget_set_visible (self->first_row, references_of (self)->len == 0);
  gtk_widget_set_visible (self->add_button, references_of (self)->len > 0);
  gtk_widget_set_sensitive (self->add_button, references_of (self)->len < most);
  g_cancellable_cancel (self->reading);
  g_object_unref (self->reading);
  self->reading = g_cancellable_new ();
  for (guint i = 0; i < self->rows->len; i++)
    adw_preferences_group_remove (ADW_PREFERENCES_GROUP (self), self->rows->pdata[i]);
  g_ptr_array_set_size (self->rows, 0);
  for (guint i = 0; i < MIN (references_of (self)->len, most); i++)
    add_row (self, references_of (self)->pdata[i], i + 1);
}

static void
chosen_cb (GtkNativeDialog *chooser, int response, AtlReferenceGroup *self)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GPtrArray) files = atl_chosen_files (GTK_FILE_CHOOSER (chooser));

      for (guint i = 0; i < files->len; i++)
        {
          char *path = g_file_get_path (files->pdata[i]);

          if (path != NULL && references_of (self)->len < max_references (self))
            g_ptr_array_add (references_of (self), path);
          else
            g_free (path);
        }
      tell (self);
    }
  g_clear_object (&self->chooser);
}

static void
add_cb (AtlReferenceGroup *self)
{
  g_clear_object (&self->chooser);
  self->chooser = atl_gallery_choose_picture (GTK_WIDGET (self), _ ("Choose pictures to follow"));
  gtk_file_chooser_set_select_multiple (GTK_FILE_CHOOSER (self->chooser), TRUE);
  g_signal_connect (self->chooser, "response", G_CALLBACK (chosen_cb), self);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (self->chooser));
}

void
atl_reference_group_set_session (AtlReferenceGroup *self, AtlPicturesSession *pictures)
{
  g_return_if_fail (self->pictures == NULL);

  self->pictures = pictures;
  atl_reference_group_refresh (self);
}

static void
atl_reference_group_dispose (GObject *object)
{
  AtlReferenceGroup *self = ATL_REFERENCE_GROUP (object);

  g_cancellable_cancel (self->reading);
  g_clear_object (&self->chooser);
  G_OBJECT_CLASS (atl_reference_group_parent_class)->dispose (object);
}

static void
atl_reference_group_finalize (GObject *object)
{
  AtlReferenceGroup *self = ATL_REFERENCE_GROUP (object);

  g_object_unref (self->reading);
  g_ptr_array_unref (self->rows);
  G_OBJECT_CLASS (atl_reference_group_parent_class)->finalize (object);
}

static void
atl_reference_group_class_init (AtlReferenceGroupClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = atl_reference_group_dispose;
  G_OBJECT_CLASS (klass)->finalize = atl_reference_group_finalize;
  changed_signal = g_signal_new ("changed", ATL_TYPE_REFERENCE_GROUP, G_SIGNAL_RUN_LAST, 0, NULL,
                                 NULL, NULL, G_TYPE_NONE, 0);
}

static void
atl_reference_group_init (AtlReferenceGroup *self)
{
  GtkEventController *keys = gtk_event_controller_key_new ();

  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self), keys);
  self->rows = g_ptr_array_new ();
  self->reading = g_cancellable_new ();
  self->add_button = gtk_button_new_from_icon_name ("list-add-symbolic");
  adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (self), _ ("Pictures to follow"));
  adw_preferences_group_set_description (
      ADW_PREFERENCES_GROUP (self), _ ("Say in the prompt what becomes of them: “make it night”."));
  self->first_row = adw_action_row_new ();
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->first_row), _ ("Choose a picture…"));
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->first_row), _ ("Or drop or paste one"));
  adw_action_row_add_prefix (ADW_ACTION_ROW (self->first_row),
                             gtk_image_new_from_icon_name ("document-open-symbolic"));
  gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (self->first_row), TRUE);
  g_signal_connect_swapped (self->first_row, "activated", G_CALLBACK (add_cb), self);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self), self->first_row);
  gtk_widget_add_css_class (self->add_button, "flat");
  gtk_widget_set_tooltip_text (self->add_button, _ ("Add a picture to follow"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->add_button), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Add a picture to follow"), -1);
  g_signal_connect_swapped (self->add_button, "clicked", G_CALLBACK (add_cb), self);
  adw_preferences_group_set_header_suffix (ADW_PREFERENCES_GROUP (self), self->add_button);
}
