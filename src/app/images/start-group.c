/* The picture that the next one begins with. */
#include "app/gallery/gallery-actions.h"
#include "app/images/start-group.h"

#include <glib/gi18n.h>

#define THUMBNAIL_PX 44

struct _AtlStartGroup
{
  AdwPreferencesGroup parent_instance;

  AtlPicturesSession *pictures;  /* (nullable) borrowed */
  GtkFileChooserNative *chooser; /* (nullable) */
  gboolean showing;

  GtkWidget *choose_row;
  GtkWidget *row;
  GtkWidget *thumbnail;
  GtkWidget *strength_row, *strength_scale, *strength_label;
  GtkWidget *paint_row, *unpaint_button;
  GtkWidget *extend_row;
};

G_DEFINE_FINAL_TYPE (AtlStartGroup, atl_start_group, ADW_TYPE_PREFERENCES_GROUP)

static guint changed_signal;

static AtlPictureSettings *
settings_of (AtlStartGroup *self)
{
  return atl_pictures_session_get_settings (self->pictures);
}

/* --- Showing --- */

static const char *
strength_words (double strength)
{
  return strength <= 0.3   ? _ ("a little")
         : strength <= 0.7 ? _ ("a good deal")
         : strength < 1    ? _ ("nearly all")
                           : _ ("all");
}

static void
show_strength (AtlStartGroup *self)
{
  double strength = settings_of (self)->strength;
  g_autofree char *words = g_strdup_printf ("%s · %.2f", strength_words (strength), strength);

  gtk_range_set_value (GTK_RANGE (self->strength_scale), strength);
  gtk_label_set_text (GTK_LABEL (self->strength_label), words);
}

static char *
extend_words (const AtlPictureSettings *s)
{
  if (!atl_picture_settings_is_extended (s))
    return g_strdup (_ ("Draws beyond its edges"));
  /* Translators: percent of the picture's size, drawn anew on each side. */
  return g_strdup_printf (_ ("Left %u %%, above %u %%, right %u %%, below %u %%"), s->extend[0],
                          s->extend[1], s->extend[2], s->extend[3]);
}

static void
show_file (AtlStartGroup *self)
{
  AtlPictureFile *file = atl_pictures_session_get_start (self->pictures);
  g_autofree char *name = atl_pictures_input_name (settings_of (self)->start);
  g_autofree char *size = NULL;
  g_autoptr (GdkTexture) texture = NULL;

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->row), name);
  if (file == NULL)
    {
      gtk_picture_set_paintable (GTK_PICTURE (self->thumbnail), NULL);
      adw_action_row_set_subtitle (ADW_ACTION_ROW (self->row), _ ("Is being read…"));
      return;
    }
  size = g_strdup_printf (_ ("%u × %u pixels"), file->full_width, file->full_height);
  texture = gdk_memory_texture_new ((int) file->width, (int) file->height, GDK_MEMORY_R8G8B8,
                                    file->rgb, (gsize) file->width * 3);
  gtk_picture_set_paintable (GTK_PICTURE (self->thumbnail), GDK_PAINTABLE (texture));
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->row), size);
}

void
atl_start_group_refresh (AtlStartGroup *self)
{
  const AtlModelInfo *info = atl_pictures_session_get_info (self->pictures);
  const AtlPictureSettings *settings = settings_of (self);
  /* Nothing moves when a model comes: most of them begin with a picture. */
  guint abilities = info != NULL ? info->abilities : ATL_PICTURE_IMAGE;
  gboolean has_start = settings->start != NULL;
  gboolean masks = has_start && (abilities & ATL_PICTURE_MASK) != 0;
  g_autofree char *extend = extend_words (settings);

  gtk_widget_set_visible (GTK_WIDGET (self), (abilities & ATL_PICTURE_BEGINS) != 0);
  gtk_widget_set_visible (self->choose_row, !has_start);
  gtk_widget_set_visible (self->row, has_start);
  gtk_widget_set_visible (self->strength_row, has_start && (abilities & ATL_PICTURE_IMAGE) != 0);
  gtk_widget_set_visible (self->paint_row, masks);
  gtk_widget_set_visible (self->extend_row, masks);
  gtk_widget_set_visible (self->unpaint_button, settings->mask != NULL);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->paint_row),
                               settings->mask != NULL ? _ ("Only what is painted changes")
                               : atl_picture_settings_is_extended (settings)
                                   ? _ ("Now only what is beyond its edges changes")
                               : (abilities & ATL_PICTURE_IMAGE) != 0
                                   ? _ ("Now all of it may change")
                                   : _ ("This model draws nowhere else"));
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->extend_row), extend);
  self->showing = TRUE;
  show_strength (self);
  self->showing = FALSE;
  if (has_start)
    show_file (self);
}

/* --- What a person does --- */

static void
chosen_cb (GtkNativeDialog *chooser, int response, AtlStartGroup *self)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (chooser));
      g_autofree char *path = file != NULL ? g_file_get_path (file) : NULL;

      if (path != NULL)
        atl_pictures_session_set_start (self->pictures, path);
    }
  g_clear_object (&self->chooser);
}

static void
choose_cb (AtlStartGroup *self)
{
  g_clear_object (&self->chooser);
  self->chooser = atl_gallery_choose_picture (GTK_WIDGET (self), _ ("Choose a picture"));
  g_signal_connect (self->chooser, "response", G_CALLBACK (chosen_cb), self);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (self->chooser));
}

static void
remove_cb (AtlStartGroup *self)
{
  atl_pictures_session_set_start (self->pictures, NULL);
  gtk_widget_grab_focus (self->choose_row);
}

static void
unpaint_cb (AtlStartGroup *self)
{
  g_clear_pointer (&settings_of (self)->mask, g_bytes_unref);
  atl_start_group_refresh (self);
  gtk_widget_grab_focus (self->paint_row);
  g_signal_emit (self, changed_signal, 0);
}

static void
strength_cb (AtlStartGroup *self)
{
  if (self->showing || self->pictures == NULL)
    return;
  settings_of (self)->strength = gtk_range_get_value (GTK_RANGE (self->strength_scale));
  self->showing = TRUE;
  show_strength (self);
  self->showing = FALSE;
  g_signal_emit (self, changed_signal, 0);
}

void
atl_start_group_set_session (AtlStartGroup *self, AtlPicturesSession *pictures)
{
  g_return_if_fail (self->pictures == NULL);

  self->pictures = pictures;
  g_signal_connect_object (pictures, "notify::start", G_CALLBACK (atl_start_group_refresh), self,
                           G_CONNECT_SWAPPED);
  atl_start_group_refresh (self);
}

/* --- Building --- */

static GtkWidget *
new_button (const char *icon, const char *words, GCallback clicked, AtlStartGroup *self)
{
  GtkWidget *button = gtk_button_new_from_icon_name (icon);

  gtk_widget_add_css_class (button, "flat");
  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  gtk_widget_set_tooltip_text (button, words);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, words,
                                  -1);
  g_signal_connect_swapped (button, "clicked", clicked, self);
  return button;
}

static GtkWidget *
new_action_row (AtlStartGroup *self, const char *title, const char *icon, const char *action)
{
  GtkWidget *row = adw_action_row_new ();

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  adw_action_row_add_prefix (ADW_ACTION_ROW (row), gtk_image_new_from_icon_name (icon));
  gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), TRUE);
  gtk_actionable_set_action_name (GTK_ACTIONABLE (row), action);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self), row);
  return row;
}

static void
build_strength (AtlStartGroup *self)
{
  GtkWidget *grid = gtk_grid_new (), *label = gtk_label_new (_ ("How much may change"));

  self->strength_row = adw_preferences_row_new ();
  self->strength_scale = gtk_scale_new_with_range (GTK_ORIENTATION_HORIZONTAL, 0.05, 1, 0.05);
  self->strength_label = gtk_label_new (NULL);
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_widget_set_hexpand (label, TRUE);
  gtk_label_set_xalign (GTK_LABEL (self->strength_label), 1);
  gtk_label_set_wrap (GTK_LABEL (self->strength_label), TRUE);
  gtk_widget_add_css_class (self->strength_label, "dim-label");
  gtk_widget_add_css_class (self->strength_label, "caption");
  gtk_widget_set_tooltip_text (
      self->strength_scale,
      _ ("Low values stay with the picture, high values with your words (strength)"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->strength_scale),
                                  GTK_ACCESSIBLE_PROPERTY_LABEL, _ ("How much may change"), -1);
  gtk_grid_attach (GTK_GRID (grid), label, 0, 0, 1, 1);
  gtk_grid_attach (GTK_GRID (grid), self->strength_label, 1, 0, 1, 1);
  gtk_grid_attach (GTK_GRID (grid), self->strength_scale, 0, 1, 2, 1);
  gtk_grid_set_column_spacing (GTK_GRID (grid), 6);
  gtk_widget_set_margin_start (grid, 12);
  gtk_widget_set_margin_end (grid, 12);
  gtk_widget_set_margin_top (grid, 10);
  gtk_widget_set_margin_bottom (grid, 6);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->strength_row),
                                 _ ("How much may change"));
  gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (self->strength_row), FALSE);
  gtk_widget_set_focusable (self->strength_row, FALSE);
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (self->strength_row), grid);
  g_signal_connect_swapped (self->strength_scale, "value-changed", G_CALLBACK (strength_cb), self);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self), self->strength_row);
}

static void
atl_start_group_dispose (GObject *object)
{
  g_clear_object (&ATL_START_GROUP (object)->chooser);
  G_OBJECT_CLASS (atl_start_group_parent_class)->dispose (object);
}

static void
atl_start_group_class_init (AtlStartGroupClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = atl_start_group_dispose;
  changed_signal = g_signal_new ("changed", ATL_TYPE_START_GROUP, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                 NULL, G_TYPE_NONE, 0);
}

static void
atl_start_group_init (AtlStartGroup *self)
{
  adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (self), _ ("Begin with a picture"));
  self->choose_row = new_action_row (self, _ ("Choose a picture…"), "document-open-symbolic", NULL);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->choose_row), _ ("Or drop or paste one"));
  g_signal_connect_swapped (self->choose_row, "activated", G_CALLBACK (choose_cb), self);
  self->row = adw_action_row_new ();
  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (self->row), FALSE);
  adw_action_row_set_title_lines (ADW_ACTION_ROW (self->row), 1);
  self->thumbnail = gtk_picture_new ();
  gtk_picture_set_content_fit (GTK_PICTURE (self->thumbnail), GTK_CONTENT_FIT_COVER);
  gtk_widget_set_size_request (self->thumbnail, THUMBNAIL_PX, THUMBNAIL_PX);
  gtk_widget_set_valign (self->thumbnail, GTK_ALIGN_CENTER);
  gtk_widget_set_overflow (self->thumbnail, GTK_OVERFLOW_HIDDEN);
  gtk_widget_add_css_class (self->thumbnail, "thumbnail");
  adw_action_row_add_prefix (ADW_ACTION_ROW (self->row), self->thumbnail);
  adw_action_row_add_suffix (ADW_ACTION_ROW (self->row),
                             new_button ("window-close-symbolic", _ ("Begin without a picture"),
                                         G_CALLBACK (remove_cb), self));
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self), self->row);
  build_strength (self);
  self->paint_row =
      new_action_row (self, _ ("Paint what may change"), "atl-brush-symbolic", "images.paint");
  self->unpaint_button = new_button ("edit-clear-symbolic", _ ("Forget what is painted"),
                                     G_CALLBACK (unpaint_cb), self);
  adw_action_row_add_suffix (ADW_ACTION_ROW (self->paint_row), self->unpaint_button);
  self->extend_row =
      new_action_row (self, _ ("Extend it"), "atl-extend-symbolic", "images.extend-canvas");
}
