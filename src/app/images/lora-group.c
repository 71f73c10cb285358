/* A row a LoRA, with its strength. */
#include "app/images/lora-group.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/accessible.h"
#include "app/wheel.h"
#include "app/words.h"

#define MAX_LORAS 8u
#define ENDING ".safetensors"

struct _AtlLoraGroup
{
  AdwPreferencesGroup parent_instance;

  AtlPicturesSession *pictures;  /* (nullable) borrowed */
  GtkFileChooserNative *chooser; /* (nullable) */
  GHashTable *infos;             /* path -> AtlModelInfo */
  GHashTable *asked;             /* paths that are being looked into */
  GPtrArray *rows;               /* (element-type GtkWidget) borrowed */
  GtkWidget *first_row;          /* adds one while there is none */
  GtkWidget *add_button;
};

G_DEFINE_FINAL_TYPE (AtlLoraGroup, atl_lora_group, ADW_TYPE_PREFERENCES_GROUP)

static guint changed_signal, say_signal;

static AtlSession *
session_of (AtlLoraGroup *self)
{
  return atl_pictures_session_get_session (self->pictures);
}

static AtlPictureSettings *
settings_of (AtlLoraGroup *self)
{
  return atl_pictures_session_get_settings (self->pictures);
}

static void
tell (AtlLoraGroup *self)
{
  atl_lora_group_refresh (self);
  g_signal_emit (self, changed_signal, 0);
}

static AtlPictureLora *
lora_of (GtkWidget *widget)
{
  return g_object_get_data (G_OBJECT (gtk_widget_get_ancestor (widget, ADW_TYPE_PREFERENCES_ROW)),
                            "lora");
}

/* What people know it by: its file's name without the ending that all of them have. The caller's.
 */
static char *
name_of (const char *path)
{
  char *name = g_filename_display_basename (path);

  if (g_str_has_suffix (name, ENDING) && strlen (name) > strlen (ENDING))
    name[strlen (name) - strlen (ENDING)] = '\0';
  return name;
}

/* --- Rows --- */

static void
strength_cb (GtkRange *range, AtlLoraGroup *self)
{
  GtkWidget *label = g_object_get_data (G_OBJECT (range), "label");
  g_autofree char *words = g_strdup_printf ("%.2f", gtk_range_get_value (range));

  lora_of (GTK_WIDGET (range))->strength = gtk_range_get_value (range);
  gtk_label_set_text (GTK_LABEL (label), words);
  g_signal_emit (self, changed_signal, 0);
}

static void
remove_cb (GtkButton *button, AtlLoraGroup *self)
{
  atl_picture_settings_remove_lora (settings_of (self), lora_of (GTK_WIDGET (button)));
  tell (self);
}

static void
say_cb (GtkButton *button, AtlLoraGroup *self)
{
  g_signal_emit (self, say_signal, 0, g_object_get_data (G_OBJECT (button), "words"));
}

/* A click puts it into the prompt. */
static GtkWidget *
new_trigger (AtlLoraGroup *self, const char *words)
{
  GtkWidget *button = gtk_button_new (), *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  GtkWidget *label = gtk_label_new (words);
  g_autofree char *what = g_strdup_printf (_ ("Add “%s” to the prompt"), words);

  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (label), PANGO_WRAP_WORD_CHAR);
  gtk_box_append (GTK_BOX (box), gtk_image_new_from_icon_name ("list-add-symbolic"));
  gtk_box_append (GTK_BOX (box), label);
  gtk_button_set_child (GTK_BUTTON (button), box);
  gtk_widget_add_css_class (button, "flat");
  gtk_widget_add_css_class (button, "caption");
  gtk_widget_set_halign (button, GTK_ALIGN_START);
  gtk_widget_set_tooltip_text (button, what);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, what, -1);
  g_object_set_data_full (G_OBJECT (button), "words", g_strdup (words), g_free);
  g_signal_connect (button, "clicked", G_CALLBACK (say_cb), self);
  return button;
}

static void
append_words (GtkWidget *box, const char *words, const char *style)
{
  GtkWidget *label = gtk_label_new (words);

  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (label), PANGO_WRAP_WORD_CHAR);
  gtk_widget_add_css_class (label, "caption");
  gtk_widget_add_css_class (label, style);
  gtk_box_append (GTK_BOX (box), label);
}

/* Why it cannot be used with the model that is; NULL when nothing is known against it. `info` is
 * nullable; the caller's. */
static char *
why_not (AtlLoraGroup *self, const char *path, const AtlModelInfo *info)
{
  const AtlModelInfo *model = atl_pictures_session_get_info (self->pictures);
  g_autofree char *name = name_of (path);

  if (info == NULL || model == NULL || *info->family == '\0' ||
      g_strv_contains ((const char *const *) model->lora_families, info->family))
    return NULL;
  return g_strdup_printf (_ ("“%s” is for %s; the model in use is %s."), name, info->family,
                          model->family);
}

static char *
steps_are_set (guint steps)
{
  return g_strdup_printf (
      ngettext ("Made for few steps: %u is set.", "Made for few steps: %u are set.", steps), steps);
}

/* Of one that was made for few steps, which other numbers than its own would burn or blur; NULL of
 * others. `info` is nullable; the caller's. */
static char *
few_steps (AtlLoraGroup *self, const AtlPictureLora *lora, const AtlModelInfo *info)
{
  guint made = lora->steps > 0 || info == NULL ? lora->steps : info->steps;
  guint set = atl_picture_settings_steps (settings_of (self),
                                          atl_pictures_session_get_info (self->pictures));

  if (made == 0)
    return NULL;
  if (set == made)
    return steps_are_set (set);
  return g_strdup_printf (
      ngettext ("Made for %u step; %u are set.", "Made for %u steps; %u are set.", made), made,
      set);
}

/* Below its slider: why it cannot be used, what it needs, what it listens to. */
static void
show_info (AtlLoraGroup *self, GtkWidget *row)
{
  const AtlPictureLora *lora = g_object_get_data (G_OBJECT (row), "lora");
  const char *path = lora->path;
  GtkWidget *box = g_object_get_data (G_OBJECT (row), "more"), *child;
  const AtlModelInfo *info = g_hash_table_lookup (self->infos, path);
  g_autofree char *problem = g_file_test (path, G_FILE_TEST_EXISTS)
                                 ? why_not (self, path, info)
                                 : g_strdup (_ ("Its file is not there any more."));
  g_autofree char *steps = few_steps (self, lora, info);

  while ((child = gtk_widget_get_first_child (box)) != NULL)
    gtk_box_remove (GTK_BOX (box), child);
  if (problem != NULL)
    append_words (box, problem, "error");
  if (steps != NULL)
    append_words (box, steps, "dim-label");
  if (info != NULL && info->triggers != NULL && info->triggers[0] != NULL)
    {
      /* Translators: followed by words that a LoRA listens to in the prompt. */
      append_words (box, _ ("Listens to:"), "dim-label");
      for (guint i = 0; info->triggers[i] != NULL; i++)
        gtk_box_append (GTK_BOX (box), new_trigger (self, info->triggers[i]));
    }
  gtk_widget_set_visible (box, gtk_widget_get_first_child (box) != NULL);
}

static GtkWidget *
new_row (AtlLoraGroup *self, AtlPictureLora *lora)
{
  GtkWidget *row = adw_preferences_row_new (), *grid = gtk_grid_new ();
  g_autofree char *name = name_of (lora->path);
  g_autofree char *remove = g_strdup_printf (_ ("Remove “%s”"), name);
  g_autofree char *strength = g_strdup_printf (_ ("Strength of “%s”"), name);
  g_autofree char *value = g_strdup_printf ("%.2f", lora->strength);
  GtkWidget *title = gtk_label_new (name), *number = gtk_label_new (value);
  GtkWidget *scale = gtk_scale_new_with_range (GTK_ORIENTATION_HORIZONTAL, -1, 2, 0.05);
  GtkWidget *button = gtk_button_new_from_icon_name ("window-close-symbolic");
  GtkWidget *more = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);

  g_object_set_data (G_OBJECT (row), "lora", lora);
  g_object_set_data (G_OBJECT (row), "scale", scale);
  g_object_set_data (G_OBJECT (row), "more", more);
  g_object_set_data (G_OBJECT (scale), "label", number);
  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (row), FALSE);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), name);
  atl_accessible_set_name (row, name);
  gtk_label_set_xalign (GTK_LABEL (title), 0);
  gtk_label_set_ellipsize (GTK_LABEL (title), PANGO_ELLIPSIZE_MIDDLE);
  gtk_widget_set_hexpand (title, TRUE);
  /* Else the sign of a negative one goes to its end where the language runs to the left. */
  gtk_widget_set_direction (number, GTK_TEXT_DIR_LTR);
  gtk_widget_add_css_class (number, "numeric");
  gtk_widget_add_css_class (number, "dim-label");
  gtk_range_set_value (GTK_RANGE (scale), lora->strength);
  gtk_scale_add_mark (GTK_SCALE (scale), 1, GTK_POS_BOTTOM, NULL);
  gtk_accessible_update_property (GTK_ACCESSIBLE (scale), GTK_ACCESSIBLE_PROPERTY_LABEL, strength,
                                  -1);
  gtk_widget_add_css_class (button, "flat");
  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  gtk_widget_set_tooltip_text (button, remove);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, remove,
                                  -1);
  gtk_grid_attach (GTK_GRID (grid), title, 0, 0, 1, 1);
  gtk_grid_attach (GTK_GRID (grid), number, 1, 0, 1, 1);
  gtk_grid_attach (GTK_GRID (grid), button, 2, 0, 1, 2);
  gtk_grid_attach (GTK_GRID (grid), scale, 0, 1, 2, 1);
  gtk_grid_attach (GTK_GRID (grid), more, 0, 2, 3, 1);
  gtk_grid_set_column_spacing (GTK_GRID (grid), 6);
  gtk_widget_set_margin_start (grid, 12);
  gtk_widget_set_margin_end (grid, 6);
  gtk_widget_set_margin_top (grid, 9);
  gtk_widget_set_margin_bottom (grid, 9);
  gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), FALSE);
  gtk_widget_set_focusable (row, FALSE);
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), grid);
  gtk_widget_set_tooltip_text (row, lora->path);
  g_signal_connect (scale, "value-changed", G_CALLBACK (strength_cb), self);
  g_signal_connect (button, "clicked", G_CALLBACK (remove_cb), self);
  atl_wheel_ignore (row);
  show_info (self, row);
  return row;
}

typedef struct
{
  AtlLoraGroup *self;
  char *path;
} Looking;

static Looking *
looking_new (AtlLoraGroup *self, const char *path)
{
  Looking *looking = g_new0 (Looking, 1);

  looking->self = g_object_ref (self);
  looking->path = g_strdup (path);
  return looking;
}

static void
known_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Looking *looking = data;
  g_autoptr (AtlLoraGroup) self = looking->self;
  g_autofree char *path = looking->path;
  g_autoptr (AtlModelInfo) info = atl_client_inspect_finish (ATL_CLIENT (source), result, NULL);

  g_free (looking);
  if (self->rows == NULL)
    return;
  g_hash_table_remove (self->asked, path);
  if (info == NULL || !info->is_lora)
    return;
  g_hash_table_replace (self->infos, g_strdup (path), atl_model_info_ref (info));
  for (guint i = 0; i < self->rows->len; i++)
    {
      const AtlPictureLora *lora = g_object_get_data (self->rows->pdata[i], "lora");

      if (g_str_equal (lora->path, path))
        show_info (self, self->rows->pdata[i]);
    }
}

/* Those that came before the model did were not compared with it. */
static void
model_cb (AtlLoraGroup *self)
{
  const AtlPictureSettings *settings = settings_of (self);

  for (guint i = 0; i < settings->loras->len; i++)
    {
      const AtlPictureLora *lora = settings->loras->pdata[i];
      g_autofree char *words =
          why_not (self, lora->path, g_hash_table_lookup (self->infos, lora->path));

      if (words != NULL)
        {
          atl_session_emit_notice (session_of (self), words);
          return;
        }
    }
}

/* One of an earlier time, or of a recipe: what is in its file is not known yet. */
static void
ask_about (AtlLoraGroup *self, const char *path)
{
  AtlSession *session = atl_pictures_session_get_session (self->pictures);

  if (g_hash_table_contains (self->infos, path) || g_hash_table_contains (self->asked, path) ||
      !g_file_test (path, G_FILE_TEST_EXISTS))
    return;
  g_hash_table_add (self->asked, g_strdup (path));
  atl_client_inspect_async (atl_session_get_client (session), (const char *[]){ path, NULL }, NULL,
                            NULL, known_cb, looking_new (self, path));
}

void
atl_lora_group_refresh (AtlLoraGroup *self)
{
  const AtlModelInfo *info = atl_pictures_session_get_info (self->pictures);
  const AtlPictureSettings *settings = settings_of (self);

  gtk_widget_set_visible (GTK_WIDGET (self),
                          info == NULL || (info->abilities & ATL_PICTURE_LORA) != 0);
  for (guint i = 0; i < self->rows->len; i++)
    adw_preferences_group_remove (ADW_PREFERENCES_GROUP (self), self->rows->pdata[i]);
  g_ptr_array_set_size (self->rows, 0);
  gtk_widget_set_visible (self->first_row, settings->loras->len == 0);
  gtk_widget_set_visible (self->add_button, settings->loras->len > 0);
  for (guint i = 0; i < settings->loras->len; i++)
    {
      AtlPictureLora *lora = settings->loras->pdata[i];
      GtkWidget *row = new_row (self, lora);

      adw_preferences_group_add (ADW_PREFERENCES_GROUP (self), row);
      g_ptr_array_add (self->rows, row);
      if (info != NULL)
        ask_about (self, lora->path);
    }
}

/* --- Adding --- */

/* Who adds one twice looks for its strength. TRUE: it is there. */
static gboolean
is_used (AtlLoraGroup *self, const char *path)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);

  for (guint i = 0; i < self->rows->len; i++)
    {
      const AtlPictureLora *lora = g_object_get_data (self->rows->pdata[i], "lora");
      g_autoptr (GFile) used = g_file_new_for_path (lora->path);

      if (!g_file_equal (file, used))
        continue;
      gtk_widget_grab_focus (g_object_get_data (self->rows->pdata[i], "scale"));
      return TRUE;
    }
  return FALSE;
}

void
atl_lora_group_take (AtlLoraGroup *self, const char *path, const AtlModelInfo *info)
{
  AtlPictureSettings *settings = settings_of (self);
  g_autofree char *name = name_of (path);
  g_autofree char *words = why_not (self, path, info);

  if (words == NULL && is_used (self, path))
    words = g_strdup_printf (_ ("“%s” is in use already."), name);
  else if (words == NULL && settings->loras->len >= MAX_LORAS)
    words = g_strdup_printf (_ ("More than %u LoRAs at a time are not used."), MAX_LORAS);
  if (words != NULL)
    {
      atl_session_emit_notice (session_of (self), words);
      return;
    }
  g_hash_table_replace (self->infos, g_strdup (path), atl_model_info_ref ((AtlModelInfo *) info));
  /* One that was trained for few steps would burn with the model's own. */
  atl_picture_settings_add_lora (settings, path, info,
                                 atl_pictures_session_get_info (self->pictures));
  if (info->steps > 0)
    {
      words = steps_are_set (info->steps);
      atl_session_emit_notice (session_of (self), words);
    }
  tell (self);
}

static void
looked_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Looking *looking = data;
  g_autoptr (AtlLoraGroup) self = looking->self;
  g_autofree char *path = looking->path;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModelInfo) info = atl_client_inspect_finish (ATL_CLIENT (source), result, &error);
  g_autofree char *name = name_of (path);
  g_autofree char *words = NULL;

  g_free (looking);
  if (self->rows == NULL)
    return;
  if (info != NULL && info->is_lora)
    {
      atl_lora_group_take (self, path, info);
      return;
    }
  words = info == NULL ? g_strdup (error->message)
                       : g_strdup_printf (_ ("“%s” is no LoRA for pictures."), name);
  atl_session_emit_notice (session_of (self), words);
}

static void
chosen_cb (GtkNativeDialog *chooser, int response, AtlLoraGroup *self)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (chooser));
      g_autofree char *path = file != NULL ? g_file_get_path (file) : NULL;

      if (path != NULL)
        atl_client_inspect_async (atl_session_get_client (session_of (self)),
                                  (const char *[]){ path, NULL }, NULL, NULL, looked_cb,
                                  looking_new (self, path));
    }
  g_clear_object (&self->chooser);
}

static void
add_cb (AtlLoraGroup *self)
{
  g_autoptr (GtkFileFilter) filter = gtk_file_filter_new ();

  gtk_file_filter_set_name (filter, _ ("LoRA (.safetensors)"));
  gtk_file_filter_add_pattern (filter, "*.safetensors");
  g_clear_object (&self->chooser);
  self->chooser = gtk_file_chooser_native_new (_ ("Add a LoRA"),
                                               GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))),
                                               GTK_FILE_CHOOSER_ACTION_OPEN, _ ("_Open"), NULL);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (self->chooser), TRUE);
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (self->chooser), filter);
  g_signal_connect (self->chooser, "response", G_CALLBACK (chosen_cb), self);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (self->chooser));
}

void
atl_lora_group_set_session (AtlLoraGroup *self, AtlPicturesSession *pictures)
{
  g_return_if_fail (self->pictures == NULL);

  self->pictures = pictures;
  g_signal_connect_object (pictures, "notify::model", G_CALLBACK (model_cb), self,
                           G_CONNECT_SWAPPED);
  atl_lora_group_refresh (self);
}

static void
atl_lora_group_dispose (GObject *object)
{
  AtlLoraGroup *self = ATL_LORA_GROUP (object);

  g_clear_object (&self->chooser);
  g_clear_pointer (&self->rows, g_ptr_array_unref);
  g_clear_pointer (&self->infos, g_hash_table_unref);
  g_clear_pointer (&self->asked, g_hash_table_unref);
  G_OBJECT_CLASS (atl_lora_group_parent_class)->dispose (object);
}

static void
atl_lora_group_class_init (AtlLoraGroupClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = atl_lora_group_dispose;
  changed_signal = g_signal_new ("changed", ATL_TYPE_LORA_GROUP, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                 NULL, G_TYPE_NONE, 0);
  say_signal = g_signal_new ("say", ATL_TYPE_LORA_GROUP, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                             G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void
atl_lora_group_init (AtlLoraGroup *self)
{
  self->rows = g_ptr_array_new ();
  self->infos = g_hash_table_new_full (g_str_hash, g_str_equal, g_free,
                                       (GDestroyNotify) atl_model_info_unref);
  self->asked = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (self), _ ("Styles (LoRA)"));
  self->first_row = adw_action_row_new ();
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->first_row), _ ("Add a LoRA…"));
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->first_row), _ ("Or drop its file"));
  adw_action_row_add_prefix (ADW_ACTION_ROW (self->first_row),
                             gtk_image_new_from_icon_name ("list-add-symbolic"));
  gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (self->first_row), TRUE);
  g_signal_connect_swapped (self->first_row, "activated", G_CALLBACK (add_cb), self);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self), self->first_row);
  self->add_button = gtk_button_new_from_icon_name ("list-add-symbolic");
  gtk_widget_add_css_class (self->add_button, "flat");
  gtk_widget_set_tooltip_text (self->add_button, _ ("Add a LoRA"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->add_button), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Add a LoRA"), -1);
  g_signal_connect_swapped (self->add_button, "clicked", G_CALLBACK (add_cb), self);
  adw_preferences_group_set_header_suffix (ADW_PREFERENCES_GROUP (self), self->add_button);
}
