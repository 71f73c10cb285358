/* Pictures that go in: dropped, pasted, results used again; painting and extending them. */
#include <glib/gi18n.h>

#include "app/gallery/gallery-actions.h"
#include "app/images/extend-editor.h"
#include "app/images/images-page-private.h"
#include "app/images/mask-editor.h"
#include "app/images/picture-pane.h"
#include "app/images/upscale-dialog.h"
#include "app/words.h"

/* A copied picture larger than this is not pasted. */
#define MAX_PASTED (64u << 20)
#define VARIATIONS 4u

static void
show_work (AtlImagesPage *self, const char *name)
{
  gtk_stack_set_visible_child_name (GTK_STACK (self->work_stack), name);
  atl_images_page_show_side (self);
}

static AtlPictureSettings *
settings_of (AtlImagesPage *self)
{
  return atl_pictures_session_get_settings (self->pictures);
}

/* --- Painting and extending --- */

static void
editing_over_cb (AtlImagesPage *self)
{
  show_work (self, "canvas");
  atl_picture_pane_focus (ATL_PICTURE_PANE (self->pane));
}

static void
mask_done_cb (AtlImagesPage *self, GBytes *png)
{
  AtlPictureSettings *settings = atl_picture_settings_copy (settings_of (self));

  g_clear_pointer (&settings->mask, g_bytes_unref);
  settings->mask = png != NULL ? g_bytes_ref (png) : NULL;
  atl_pictures_session_take_settings (self->pictures, settings);
  editing_over_cb (self);
}

static void
extend_done_cb (AtlImagesPage *self, guint left, guint top, guint right, guint bottom)
{
  const guint extend[4] = { left, top, right, bottom };

  atl_pictures_session_set_extend (self->pictures, extend);
  editing_over_cb (self);
}

static gboolean
shows (AtlImagesPage *self, const char *name)
{
  return g_strcmp0 (gtk_stack_get_visible_child_name (GTK_STACK (self->work_stack)), name) == 0;
}

void
atl_images_page_finish_editing (AtlImagesPage *self)
{
  if (shows (self, "mask"))
    atl_mask_editor_finish (ATL_MASK_EDITOR (self->mask_editor));
  else if (shows (self, "extend"))
    atl_extend_editor_finish (ATL_EXTEND_EDITOR (self->extend_editor));
}

static GdkTexture *
start_texture (AtlImagesPage *self)
{
  AtlPictureFile *start = atl_pictures_session_get_start (self->pictures);

  if (start == NULL)
    return NULL;
  return gdk_memory_texture_new ((int) start->width, (int) start->height, GDK_MEMORY_R8G8B8,
                                 start->rgb, (gsize) start->width * 3);
}

static void
begin_painting (AtlImagesPage *self, const AtlPictureFile *mask)
{
  g_autoptr (GdkTexture) texture = start_texture (self);

  if (texture == NULL)
    return;
  show_work (self, "mask");
  atl_mask_editor_begin (ATL_MASK_EDITOR (self->mask_editor), texture,
                         mask != NULL ? mask->rgb : NULL, mask != NULL ? mask->width : 0,
                         mask != NULL ? mask->height : 0);
}

static void
mask_read_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlImagesPage) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPictureFile) mask =
      atl_client_read_picture_finish (ATL_CLIENT (source), result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  g_clear_object (&self->reading);
  begin_painting (self, mask);
}

static void
paint_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlImagesPage *self = ATL_IMAGES_PAGE (widget);
  GBytes *mask;

  if (shows (self, "mask"))
    return;
  atl_images_page_finish_editing (self);
  mask = settings_of (self)->mask;
  if (mask == NULL)
    {
      begin_painting (self, NULL);
      return;
    }
  if (self->reading != NULL)
    return;
  self->reading = g_cancellable_new ();
  atl_client_read_picture_async (
      atl_session_get_client (atl_pictures_session_get_session (self->pictures)), NULL, mask, 0,
      self->reading, mask_read_cb, g_object_ref (self));
}

static void
extend_canvas_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlImagesPage *self = ATL_IMAGES_PAGE (widget);
  g_autoptr (GdkTexture) texture = start_texture (self);

  if (texture == NULL || shows (self, "extend"))
    return;
  atl_images_page_finish_editing (self);
  show_work (self, "extend");
  atl_extend_editor_begin (ATL_EXTEND_EDITOR (self->extend_editor), texture,
                           settings_of (self)->extend);
}

/* --- Results that are used again; the parameter is the path --- */

static void
use_settings_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  atl_pictures_session_restore_recipe (ATL_IMAGES_PAGE (widget)->pictures,
                                       g_variant_get_string (parameter, NULL));
}

/* The picture that was painted on or extended is gone. */
static void
stop_editing (AtlImagesPage *self)
{
  if (shows (self, "mask") || shows (self, "extend"))
    show_work (self, "canvas");
}

/* What is to be done once the picture is there. */
static void
start_read_cb (AtlImagesPage *self)
{
  const char *then = self->then;

  if (atl_pictures_session_get_start (self->pictures) == NULL)
    {
      stop_editing (self);
      return;
    }
  if (self->brings_start)
    {
      self->brings_start = FALSE;
      self->fronts_start = TRUE;
      atl_picture_pane_scroll_up (ATL_PICTURE_PANE (self->pane));
      atl_images_page_refresh_canvas (self);
    }
  if (then == NULL)
    return;
  self->then = NULL;
  gtk_widget_activate_action (GTK_WIDGET (self), then, NULL);
}

static void
use_start_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlImagesPage *self = ATL_IMAGES_PAGE (widget);
  const AtlModelInfo *info = atl_pictures_session_get_info (self->pictures);
  const char *path = g_variant_get_string (parameter, NULL);

  self->then = g_str_equal (name, "images.edit-part") ? "images.paint"
               : g_str_equal (name, "images.extend")  ? "images.extend-canvas"
                                                      : NULL;
  if (self->then != NULL && info != NULL && (info->abilities & ATL_PICTURE_MASK) == 0)
    {
      g_autofree char *words =
          g_strdup_printf (_ ("%s changes pictures as a whole, not a part of them."),
                           atl_pictures_session_get_model_name (self->pictures));

      atl_session_emit_notice (atl_pictures_session_get_session (self->pictures), words);
      self->then = NULL;
    }
  atl_images_page_finish_editing (self);
  show_work (self, "canvas");
  self->brings_start = TRUE;
  /* It is there already, so that nobody tells when it is read. */
  if (g_strcmp0 (settings_of (self)->start, path) == 0)
    start_read_cb (self);
  else
    atl_pictures_session_set_start (self->pictures, path);
}

typedef struct
{
  AtlImagesPage *self;
  char *path;
} Upscale;

static void
upscale_free (gpointer data, GClosure *closure)
{
  Upscale *upscale = data;

  g_object_unref (upscale->self);
  g_free (upscale->path);
  g_free (upscale);
}

static void
upscale_chosen_cb (AtlUpscaleDialog *dialog, guint factor, Upscale *upscale)
{
  if (upscale->self->pictures == NULL)
    return;
  atl_images_page_finish_editing (upscale->self);
  show_work (upscale->self, "canvas");
  atl_pictures_session_enlarge (upscale->self->pictures, upscale->path, factor);
}

static void
upscale (AtlImagesPage *self, const char *path)
{
  GtkWindow *window = GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self)));
  AtlUpscaleDialog *dialog = atl_upscale_dialog_new (window, self->pictures, path);
  Upscale *data = g_new0 (Upscale, 1);

  data->self = g_object_ref (self);
  data->path = g_strdup (path);
  g_signal_connect_data (dialog, "chosen", G_CALLBACK (upscale_chosen_cb), data, upscale_free, 0);
  gtk_window_present (GTK_WINDOW (dialog));
}

static void
upscale_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  upscale (ATL_IMAGES_PAGE (widget), g_variant_get_string (parameter, NULL));
}

static void
file_chosen_cb (GtkNativeDialog *chooser, int response, AtlImagesPage *self)
{
  if (response == GTK_RESPONSE_ACCEPT && self->pictures != NULL)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (chooser));
      const char *path = file != NULL ? g_file_peek_path (file) : NULL;

      if (path != NULL)
        upscale (self, path);
    }
  g_object_unref (chooser);
}

/* A picture of one's own: it needs no model that draws. */
static void
upscale_file_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  GtkFileChooserNative *chooser =
      atl_gallery_choose_picture (widget, _ ("Which picture is to be enlarged?"));

  g_signal_connect_object (chooser, "response", G_CALLBACK (file_chosen_cb), widget, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (chooser));
}

/* The same recipe with other seeds. */
static void
recipe_read_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlImagesPage) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPictureFile) file =
      atl_client_read_picture_finish (ATL_CLIENT (source), result, &error);
  g_autofree char *missing = NULL, *lacks = NULL;
  AtlPictureSettings *settings;
  GListModel *queue;
  guint count, n_before;

  if (self->pictures == NULL)
    return;
  if (file == NULL || file->recipe == NULL)
    {
      atl_session_emit_notice (atl_pictures_session_get_session (self->pictures),
                               file == NULL ? error->message
                                            : _ ("This picture does not say how it was made."));
      return;
    }
  settings = atl_picture_settings_copy (settings_of (self));
  missing = atl_pictures_session_apply_recipe (self->pictures, settings, file->recipe);
  lacks = atl_pictures_session_lacks_words (self->pictures, file->recipe, missing);
  if (lacks != NULL)
    atl_session_emit_notice (atl_pictures_session_get_session (self->pictures), lacks);
  count = settings->count;
  settings->seed_is_locked = FALSE;
  settings->count = VARIATIONS;
  atl_pictures_session_take_settings (self->pictures, settings);
  queue = G_LIST_MODEL (atl_pictures_session_get_queue (self->pictures));
  n_before = g_list_model_get_n_items (queue);
  gtk_widget_activate_action (GTK_WIDGET (self), "images.create", NULL);
  /* Several only this time; unless it is asked first what enlarges them. */
  if (g_list_model_get_n_items (queue) == n_before)
    return;
  settings = atl_picture_settings_copy (settings_of (self));
  settings->count = count;
  atl_pictures_session_take_settings (self->pictures, settings);
}

static void
variations_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlImagesPage *self = ATL_IMAGES_PAGE (widget);

  atl_client_read_picture_async (
      atl_session_get_client (atl_pictures_session_get_session (self->pictures)),
      g_variant_get_string (parameter, NULL), NULL, 16, NULL, recipe_read_cb, g_object_ref (self));
}

/* --- Dropping and pasting --- */

gboolean
atl_images_page_is_picture_name (const char *name)
{
  static const char *const endings[] = { ".png", ".jpg", ".jpeg", ".webp" };
  g_autofree char *lower = g_ascii_strdown (name, -1);

  for (guint i = 0; i < G_N_ELEMENTS (endings); i++)
    if (g_str_has_suffix (lower, endings[i]))
      return TRUE;
  return FALSE;
}

void
atl_images_page_drop (AtlImagesPage *self, GtkWidget *at, GFile *file)
{
  g_autofree char *path = g_file_get_path (file);

  if (path == NULL)
    atl_session_emit_notice (
        atl_pictures_session_get_session (self->pictures),
        _ ("Only files on this computer can be used. Download the file first."));
  else if (at != NULL && atl_picture_pane_is_prompt (ATL_PICTURE_PANE (self->pane), at))
    atl_pictures_session_restore_recipe (self->pictures, path);
  else
    {
      self->brings_start = TRUE;
      atl_pictures_session_set_start (self->pictures, path);
    }
}

gboolean
atl_images_page_is_prompt (AtlImagesPage *self, GtkWidget *widget)
{
  return atl_picture_pane_is_prompt (ATL_PICTURE_PANE (self->pane), widget);
}

gboolean
atl_images_page_take_lora (AtlImagesPage *self, const char *path, const AtlModelInfo *info)
{
  if (self->pictures == NULL)
    return FALSE;
  atl_picture_pane_take_lora (ATL_PICTURE_PANE (self->pane), path, info);
  return TRUE;
}

static void
pasted_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlImagesPage) self = data;
  GOutputStream *out = G_OUTPUT_STREAM (source);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = NULL;

  if (g_output_stream_splice_finish (out, result, &error) >= 0 && self->pictures != NULL)
    {
      bytes = g_memory_output_stream_steal_as_bytes (G_MEMORY_OUTPUT_STREAM (out));
      if (g_bytes_get_size (bytes) > MAX_PASTED)
        atl_session_emit_notice (atl_pictures_session_get_session (self->pictures),
                                 _ ("The copied picture is too large."));
      else
        {
          self->brings_start = TRUE;
          atl_pictures_session_set_start_bytes (self->pictures, bytes);
        }
    }
  else if (error != NULL)
    g_debug ("paste: %s", error->message);
}

/* The bytes as they are: the engine decodes them. */
static void
clipboard_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlImagesPage) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GInputStream) in =
      gdk_clipboard_read_finish (GDK_CLIPBOARD (source), result, NULL, &error);
  g_autoptr (GOutputStream) out = g_memory_output_stream_new_resizable ();

  if (in == NULL)
    {
      g_debug ("paste: %s", error->message);
      return;
    }
  g_output_stream_splice_async (
      out, in, G_OUTPUT_STREAM_SPLICE_CLOSE_SOURCE | G_OUTPUT_STREAM_SPLICE_CLOSE_TARGET,
      G_PRIORITY_DEFAULT, NULL, pasted_cb, g_object_ref (self));
}

static void
pasted_files_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlImagesPage) self = data;
  const GValue *value = gdk_clipboard_read_value_finish (GDK_CLIPBOARD (source), result, NULL);
  GSList *files = value != NULL ? g_value_get_boxed (value) : NULL;

  if (files != NULL && self->pictures != NULL)
    atl_images_page_drop (self, NULL, files->data);
}

/* A copied picture is pasted as one to begin with; text goes where it always goes. */
static gboolean
key_cb (GtkEventControllerKey *controller,
        guint keyval,
        guint keycode,
        GdkModifierType state,
        AtlImagesPage *self)
{
  static const char *mimes[] = { "image/png", "image/jpeg", "image/webp", NULL };
  GdkClipboard *clipboard = gtk_widget_get_clipboard (GTK_WIDGET (self));
  GdkContentFormats *formats = gdk_clipboard_get_formats (clipboard);
  gboolean has_picture = FALSE;

  if (keyval != GDK_KEY_v || (state & GDK_CONTROL_MASK) == 0 || self->pictures == NULL)
    return FALSE;
  for (guint i = 0; mimes[i] != NULL; i++)
    has_picture |= gdk_content_formats_contain_mime_type (formats, mimes[i]);
  if (gdk_content_formats_contain_gtype (formats, GDK_TYPE_FILE_LIST))
    gdk_clipboard_read_value_async (clipboard, GDK_TYPE_FILE_LIST, G_PRIORITY_DEFAULT, NULL,
                                    pasted_files_cb, g_object_ref (self));
  else if (has_picture)
    gdk_clipboard_read_async (clipboard, mimes, G_PRIORITY_DEFAULT, NULL, clipboard_cb,
                              g_object_ref (self));
  else
    return FALSE;
  return TRUE;
}

void
atl_images_page_install_inputs (GtkWidgetClass *widget_class)
{
  gtk_widget_class_bind_template_callback (widget_class, mask_done_cb);
  gtk_widget_class_bind_template_callback (widget_class, extend_done_cb);
  gtk_widget_class_bind_template_callback (widget_class, editing_over_cb);
  gtk_widget_class_install_action (widget_class, "images.paint", NULL, paint_action);
  gtk_widget_class_install_action (widget_class, "images.extend-canvas", NULL,
                                   extend_canvas_action);
  gtk_widget_class_install_action (widget_class, "images.use-settings", "s", use_settings_action);
  gtk_widget_class_install_action (widget_class, "images.use-as-start", "s", use_start_action);
  gtk_widget_class_install_action (widget_class, "images.edit-part", "s", use_start_action);
  gtk_widget_class_install_action (widget_class, "images.extend", "s", use_start_action);
  gtk_widget_class_install_action (widget_class, "images.variations", "s", variations_action);
  gtk_widget_class_install_action (widget_class, "images.upscale", "s", upscale_action);
  gtk_widget_class_install_action (widget_class, "images.upscale-file", NULL, upscale_file_action);
}

void
atl_images_page_init_inputs (AtlImagesPage *self)
{
  GtkEventController *keys = gtk_event_controller_key_new ();

  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self), keys);
}

void
atl_images_page_connect_inputs (AtlImagesPage *self)
{
  g_signal_connect_object (self->pictures, "notify::start", G_CALLBACK (start_read_cb), self,
                           G_CONNECT_SWAPPED);
}
