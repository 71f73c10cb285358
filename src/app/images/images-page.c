/* Brings prompt, canvas and queue together. */
#include "app/images/images-page-private.h"

#include <adwaita.h>
#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/gallery/gallery-strip.h"
#include "app/gallery/gallery-view.h"
#include "app/gallery/gallery.h"
#include "app/images/extend-editor.h"
#include "app/images/job-bar.h"
#include "app/images/mask-editor.h"
#include "app/images/picture-canvas.h"
#include "app/images/picture-pane.h"
#include "app/images/split-box.h"
#include "app/images/upscale-dialog.h"
#include "app/models/model-adder.h"
#include "app/models/model-list.h"
#include "app/words.h"

G_DEFINE_FINAL_TYPE (AtlImagesPage, atl_images_page, GTK_TYPE_WIDGET)

enum
{
  PROP_SHOWN = 1
};
static GParamSpec *shown_prop;

/* --- What is shown --- */

/* Among those that are there. */
static gboolean
has_picture_models (AtlImagesPage *self)
{
  GListModel *models =
      G_LIST_MODEL (atl_session_get_models (atl_pictures_session_get_session (self->pictures)));

  for (guint i = 0; i < g_list_model_get_n_items (models); i++)
    {
      g_autoptr (AtlModelEntry) entry = g_list_model_get_item (models, i);

      if (entry->kind == ATL_MODEL_PICTURES && entry->why_not == NULL)
        return TRUE;
    }
  return FALSE;
}

/* The LoRA of the failed picture that its error is about; borrowed, NULL when it is about something
 * else. */
static AtlPictureLora *
find_unfit_lora (AtlImagesPage *self, const AtlPictureSettings *settings)
{
  gint at = atl_error_lora (atl_picture_task_get_error (self->failed));

  /* Those that are off were not asked for. */
  for (guint i = 0; i < settings->loras->len && at >= 0; i++)
    {
      AtlPictureLora *lora = settings->loras->pdata[i];

      if (!lora->is_off && at-- == 0)
        return lora;
    }
  return NULL;
}

void
atl_images_page_refresh_canvas (AtlImagesPage *self)
{
  AtlPictureCanvas *canvas = ATL_PICTURE_CANVAS (self->canvas);
  AtlPictureTask *task = atl_pictures_session_get_current (self->pictures);
  const AtlModelInfo *info = atl_pictures_session_get_info (self->pictures);
  /* One that the model does not begin with waits for another model. */
  AtlPictureFile *start = info == NULL || (info->abilities & ATL_PICTURE_BEGINS) != 0
                              ? atl_pictures_session_get_start (self->pictures)
                              : NULL;
  GdkTexture *preview = task != NULL ? atl_picture_task_get_preview (task) : NULL;
  gboolean shows_result = FALSE;
  const char *path;

  if (preview != NULL)
    atl_picture_canvas_show_texture (canvas, preview, _ ("The picture so far"));
  else if (atl_pictures_session_get_lacking (self->pictures, &path) != NULL)
    atl_picture_canvas_show_missing (canvas);
  else if (self->failed != NULL && task == NULL)
    atl_picture_canvas_show_error (
        canvas, atl_picture_task_get_error (self->failed),
        atl_picture_task_get_source (self->failed) == NULL,
        find_unfit_lora (self, atl_picture_task_get_settings (self->failed)) != NULL);
  else if (self->result != NULL && (start == NULL || !self->fronts_start))
    {
      atl_picture_canvas_show_texture (canvas, self->result, self->result_words);
      shows_result = TRUE;
    }
  else if (start != NULL)
    {
      g_autoptr (GdkTexture) texture =
          gdk_memory_texture_new ((int) start->width, (int) start->height, GDK_MEMORY_R8G8B8,
                                  start->rgb, (gsize) start->width * 3);

      atl_picture_canvas_show_texture (canvas, texture, _ ("The picture to begin with"));
    }
  else if (atl_pictures_session_get_model (self->pictures) == NULL &&
           !atl_pictures_session_get_is_loading (self->pictures))
    atl_picture_canvas_show_no_model (canvas, has_picture_models (self));
  else if (info == NULL)
    atl_picture_canvas_show_loading (canvas);
  else
    atl_picture_canvas_show_empty (canvas, info->is_toy);
  atl_images_page_offer_menu (self, shows_result);
}

void
atl_images_page_refresh_create (AtlImagesPage *self)
{
  const char *path;
  /* While the parts of another model are asked for, the one before it is not what is meant. */
  gboolean can_draw = atl_pictures_session_get_model (self->pictures) != NULL &&
                      atl_pictures_session_get_lacking (self->pictures, &path) == NULL;

  gtk_widget_action_set_enabled (GTK_WIDGET (self), "images.create",
                                 can_draw && self->refusal == NULL);
  atl_picture_pane_set_refusal (ATL_PICTURE_PANE (self->pane), can_draw ? self->refusal : NULL);
}

static void
refresh_actions (AtlImagesPage *self)
{
  atl_images_page_refresh_create (self);
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "images.stop",
                                 atl_pictures_session_get_current (self->pictures) != NULL);
  atl_images_page_reprice (self);
}

static void
refresh (AtlImagesPage *self)
{
  atl_images_page_refresh_canvas (self);
  refresh_actions (self);
}

/* What went wrong with another model is in the queue, and no longer what is to be seen. */
static void
forget_other_failure (AtlImagesPage *self)
{
  AtlModel *model = atl_pictures_session_get_model (self->pictures);
  const char *path = self->failed != NULL ? atl_picture_task_get_model_path (self->failed) : NULL;

  if (model != NULL && path != NULL && !g_str_equal (path, atl_model_get_key (model)))
    g_clear_object (&self->failed);
}

static void
model_cb (AtlImagesPage *self)
{
  const AtlModelInfo *info = atl_pictures_session_get_info (self->pictures);

  if (info != NULL && (info->abilities & ATL_PICTURE_MASK) == 0)
    atl_images_page_finish_editing (self);
  forget_other_failure (self);
  refresh (self);
}

static void
current_cb (AtlImagesPage *self)
{
  AtlPictureTask *task = atl_pictures_session_get_current (self->pictures);

  /* What failed before it is in the queue. */
  if (task != NULL)
    g_clear_object (&self->failed);
  g_signal_group_set_target (self->task, task);
  refresh (self);
}

/* The strips mark the picture that is on the canvas, and no other one. */
static void
set_result_path (AtlImagesPage *self, const char *path)
{
  atl_set_string (&self->result_path, path);
  atl_gallery_strip_set_selected (ATL_GALLERY_STRIP (self->strip), path);
  g_object_notify_by_pspec (G_OBJECT (self), shown_prop);
}

void
atl_images_page_show_result (AtlImagesPage *self,
                             const char *path,
                             GdkTexture *texture,
                             const char *words)
{
  self->fronts_start = FALSE;
  g_set_object (&self->result, texture);
  atl_set_string (&self->result_words, words);
  set_result_path (self, path);
  g_clear_object (&self->failed);
  atl_images_page_refresh_canvas (self);
}

void
atl_images_page_forget_result (AtlImagesPage *self)
{
  g_clear_object (&self->result);
  set_result_path (self, NULL);
  atl_images_page_refresh_canvas (self);
}

static void
saved_cb (AtlImagesPage *self, const char *path, GdkTexture *texture, gint64 id)
{
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *words = g_strdup_printf (_ ("Finished picture: %s"), name);
  g_autoptr (AtlPictureTask) failed = g_steal_pointer (&self->failed);

  atl_images_page_stop_showing (self);
  atl_images_page_show_result (self, path, texture, words);
  atl_accessible_announce_beside (GTK_WIDGET (self), self->canvas, words);
  /* The one after it has failed while this one was saved. */
  if (g_set_object (&self->failed, failed))
    atl_images_page_refresh_canvas (self);
}

static void
failed_cb (AtlImagesPage *self, AtlPictureTask *task)
{
  g_set_object (&self->failed, task);
  atl_images_page_refresh_canvas (self);
  atl_accessible_announce_beside (GTK_WIDGET (self), self->canvas,
                                  atl_picture_task_get_error (task)->message);
}

static void
load_failed_cb (AtlImagesPage *self, const GError *error, const char *name)
{
  g_autofree char *words = g_strdup_printf ("%s: %s", name, error->message);

  atl_session_emit_notice (atl_pictures_session_get_session (self->pictures), words);
  refresh (self);
}

/* --- Wide and narrow --- */

/* Where only one has room: the pane with all its settings, or what is painted on, has all of it. */
static void
shows_settings_cb (AtlImagesPage *self)
{
  gboolean folded = atl_split_box_get_is_folded (ATL_SPLIT_BOX (self->split));
  gboolean edits =
      g_strcmp0 (gtk_stack_get_visible_child_name (GTK_STACK (self->work_stack)), "canvas") != 0;
  gboolean settings = atl_picture_pane_get_shows_settings (ATL_PICTURE_PANE (self->pane));

  gtk_widget_set_visible (self->pane, !folded || !edits);
  gtk_widget_set_visible (self->side, !folded || edits || !settings);
}

static void
folded_cb (AtlImagesPage *self)
{
  atl_picture_pane_set_is_narrow (ATL_PICTURE_PANE (self->pane),
                                  atl_split_box_get_is_folded (ATL_SPLIT_BOX (self->split)));
  shows_settings_cb (self);
}

void
atl_images_page_show_side (AtlImagesPage *self)
{
  atl_picture_pane_hide_settings (ATL_PICTURE_PANE (self->pane));
}

static void
settings_changed_cb (AtlImagesPage *self)
{
  atl_images_page_reprice (self);
}

/* --- Actions --- */

static void
upscaler_chosen_cb (AtlImagesPage *self)
{
  gtk_widget_activate_action (GTK_WIDGET (self), "images.create", NULL);
}

/* What enlarges the picture afterwards has to be there before it is drawn. */
static gboolean
lacks_upscaler (AtlImagesPage *self)
{
  g_autofree char *upscaler = NULL;
  AtlUpscaleDialog *dialog;

  if (atl_pictures_session_get_settings (self->pictures)->enlarge < 2)
    return FALSE;
  upscaler = atl_pictures_session_dup_upscaler (self->pictures);
  if (upscaler != NULL)
    return FALSE;
  dialog = atl_upscale_dialog_new (GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))),
                                   self->pictures, NULL);
  g_signal_connect_object (dialog, "chosen", G_CALLBACK (upscaler_chosen_cb), self,
                           G_CONNECT_SWAPPED);
  gtk_window_present (GTK_WINDOW (dialog));
  return TRUE;
}

static void
create_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlImagesPage *self = ATL_IMAGES_PAGE (widget);

  atl_images_page_finish_editing (self);
  if (lacks_upscaler (self))
    return;
  g_clear_object (&self->failed);
  gtk_stack_set_visible_child_name (GTK_STACK (self->work_stack), "canvas");
  atl_images_page_show_side (self);
  atl_pictures_session_create (self->pictures);
}

/* One of the examples was clicked. */
static void
try_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlImagesPage *self = ATL_IMAGES_PAGE (widget);
  AtlPictureSettings *settings =
      atl_picture_settings_copy (atl_pictures_session_get_settings (self->pictures));

  atl_set_string (&settings->prompt, g_variant_get_string (parameter, NULL));
  atl_pictures_session_take_settings (self->pictures, settings);
  gtk_widget_activate_action (widget, "images.create", NULL);
}

static void
stop_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  atl_images_page_ask_to_stop (ATL_IMAGES_PAGE (widget));
}

static void
retry_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlImagesPage *self = ATL_IMAGES_PAGE (widget);
  g_autoptr (AtlPictureTask) failed = g_steal_pointer (&self->failed);

  if (failed != NULL && atl_picture_task_get_state (failed) == ATL_TASK_FAILED)
    atl_pictures_session_retry (self->pictures, failed);
  refresh (self);
}

void
atl_images_page_draw_instead (AtlImagesPage *self, AtlPictureSettings *settings)
{
  g_autoptr (AtlPictureTask) failed = g_steal_pointer (&self->failed);

  atl_picture_queue_remove (atl_pictures_session_get_queue (self->pictures), failed);
  atl_pictures_session_take_settings (self->pictures, settings);
  atl_pictures_session_create (self->pictures);
  refresh (self);
}

static void
without_lora_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlImagesPage *self = ATL_IMAGES_PAGE (widget);
  AtlPictureSettings *settings;
  AtlPictureLora *lora;

  if (self->failed == NULL)
    return;
  settings = atl_picture_settings_copy (atl_picture_task_get_settings (self->failed));
  lora = find_unfit_lora (self, settings);
  if (lora != NULL)
    atl_picture_settings_remove_lora (settings, lora);
  atl_images_page_draw_instead (self, settings);
}

void
atl_images_page_new (AtlImagesPage *self)
{
  AtlPictureSettings *settings =
      atl_picture_settings_copy (atl_pictures_session_get_settings (self->pictures));

  atl_set_string (&settings->prompt, "");
  atl_picture_settings_clear_start (settings);
  g_ptr_array_set_size (settings->references, 0);
  atl_pictures_session_take_settings (self->pictures, settings);
  g_clear_object (&self->failed);
  atl_images_page_forget_result (self);
  atl_picture_pane_focus (ATL_PICTURE_PANE (self->pane));
}

void
atl_images_page_focus (AtlImagesPage *self)
{
  atl_picture_pane_focus (ATL_PICTURE_PANE (self->pane));
}

gboolean
atl_images_page_take_letter (AtlImagesPage *self, GtkEventControllerKey *keys)
{
  const char *shown = gtk_stack_get_visible_child_name (GTK_STACK (self->work_stack));

  return g_strcmp0 (shown, "canvas") == 0 &&
         atl_picture_pane_take_letter (ATL_PICTURE_PANE (self->pane), keys);
}

gboolean
atl_images_page_escape (AtlImagesPage *self)
{
  const char *shown = gtk_stack_get_visible_child_name (GTK_STACK (self->work_stack));

  if (self->pictures == NULL)
    return FALSE;
  if (atl_pictures_session_get_current (self->pictures) == NULL)
    {
      if (g_strcmp0 (shown, "gallery") != 0)
        return FALSE;
      gtk_stack_set_visible_child_name (GTK_STACK (self->work_stack), "canvas");
      gtk_widget_grab_focus (self->all_button);
      return TRUE;
    }
  gtk_widget_activate_action (GTK_WIDGET (self), "images.stop", NULL);
  return TRUE;
}

void
atl_images_page_flush (AtlImagesPage *self)
{
  if (self->pictures != NULL)
    atl_pictures_session_flush (self->pictures);
}

static void
ensure_model (AtlImagesPage *self)
{
  if (gtk_widget_get_mapped (GTK_WIDGET (self)))
    atl_pictures_session_ensure_model (self->pictures);
}

/* Of those there are now one may be chosen. */
static void
models_cb (AtlImagesPage *self)
{
  ensure_model (self);
  atl_images_page_refresh_canvas (self);
}

void
atl_images_page_set_session (AtlImagesPage *self, AtlSession *session)
{
  AtlPicturesSession *pictures = atl_pictures_session_get (session);

  g_return_if_fail (self->pictures == NULL);

  self->pictures = pictures;
  atl_picture_pane_set_session (ATL_PICTURE_PANE (self->pane), pictures);
  atl_job_bar_set_session (ATL_JOB_BAR (self->job_bar), pictures);
  g_signal_connect_object (pictures, "notify::current", G_CALLBACK (current_cb), self,
                           G_CONNECT_SWAPPED);
  atl_picture_canvas_set_session (ATL_PICTURE_CANVAS (self->canvas), pictures);
  g_signal_connect_object (pictures, "notify::lacking", G_CALLBACK (refresh), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (pictures, "notify::model", G_CALLBACK (model_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (pictures, "notify::start", G_CALLBACK (refresh), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (pictures, "notify::is-loading", G_CALLBACK (refresh), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (pictures, "settings-changed", G_CALLBACK (atl_images_page_reprice), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_model_adder_get (session), "lora",
                           G_CALLBACK (atl_images_page_take_lora), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (pictures, "saved", G_CALLBACK (saved_cb), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (pictures, "failed", G_CALLBACK (failed_cb), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (pictures, "load-failed", G_CALLBACK (load_failed_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_session_get_models (session), "refreshed", G_CALLBACK (models_cb),
                           self, G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_pictures_session_get_queue (pictures), "items-changed",
                           G_CALLBACK (atl_images_page_queue_changed), self, G_CONNECT_SWAPPED);
  atl_images_page_connect_inputs (self);
  atl_images_page_connect_gallery (self);
  current_cb (self);
}

/* --- GObject --- */

static void
map (GtkWidget *widget)
{
  AtlImagesPage *self = ATL_IMAGES_PAGE (widget);

  GTK_WIDGET_CLASS (atl_images_page_parent_class)->map (widget);
  if (self->pictures == NULL)
    return;
  ensure_model (self);
  atl_gallery_look_first (atl_gallery_get (atl_pictures_session_get_session (self->pictures)));
  atl_images_page_reprice (self);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id == PROP_SHOWN)
    g_value_set_string (value, ATL_IMAGES_PAGE (object)->result_path);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
atl_images_page_dispose (GObject *object)
{
  AtlImagesPage *self = ATL_IMAGES_PAGE (object);

  g_clear_object (&self->task);
  g_clear_object (&self->result);
  g_clear_object (&self->failed);
  g_clear_pointer (&self->result_words, g_free);
  g_clear_pointer (&self->result_path, g_free);
  atl_images_page_dispose_price (self);
  if (self->reading != NULL)
    g_cancellable_cancel (self->reading);
  g_clear_object (&self->reading);
  atl_images_page_stop_showing (self);
  g_clear_pointer (&self->split, gtk_widget_unparent);
  G_OBJECT_CLASS (atl_images_page_parent_class)->dispose (object);
}

static void
atl_images_page_class_init (AtlImagesPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_images_page_dispose;
  G_OBJECT_CLASS (klass)->get_property = get_property;
  shown_prop =
      g_param_spec_string ("shown", NULL, NULL, NULL, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_property (G_OBJECT_CLASS (klass), PROP_SHOWN, shown_prop);
  widget_class->map = map;
  g_type_ensure (ATL_TYPE_EXTEND_EDITOR);
  g_type_ensure (ATL_TYPE_GALLERY_STRIP);
  g_type_ensure (ATL_TYPE_GALLERY_VIEW);
  g_type_ensure (ATL_TYPE_JOB_BAR);
  g_type_ensure (ATL_TYPE_MASK_EDITOR);
  g_type_ensure (ATL_TYPE_PICTURE_CANVAS);
  g_type_ensure (ATL_TYPE_PICTURE_PANE);
  g_type_ensure (ATL_TYPE_SPLIT_BOX);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/images-page.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlImagesPage, name)
  BIND (split);
  BIND (pane);
  BIND (side);
  BIND (work_stack);
  BIND (canvas);
  BIND (mask_editor);
  BIND (extend_editor);
  BIND (job_bar);
  BIND (strip_row);
  BIND (strip);
  BIND (all_button);
  BIND (gallery);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, folded_cb);
  gtk_widget_class_bind_template_callback (widget_class, shows_settings_cb);
  gtk_widget_class_bind_template_callback (widget_class, settings_changed_cb);
  atl_images_page_install_gallery (widget_class);
  gtk_widget_class_install_action (widget_class, "images.create", NULL, create_action);
  gtk_widget_class_install_action (widget_class, "images.try", "s", try_action);
  gtk_widget_class_install_action (widget_class, "images.stop", NULL, stop_action);
  gtk_widget_class_install_action (widget_class, "images.retry", NULL, retry_action);
  gtk_widget_class_install_action (widget_class, "images.without-lora", NULL, without_lora_action);
  atl_images_page_install_inputs (widget_class);
  atl_images_page_install_price (widget_class);
}

static void
atl_images_page_init (AtlImagesPage *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  atl_split_box_set_children (ATL_SPLIT_BOX (self->split), self->pane, self->side);
  atl_images_page_init_inputs (self);
  folded_cb (self);
  self->task = g_signal_group_new (ATL_TYPE_PICTURE_TASK);
  g_signal_group_connect_swapped (self->task, "notify::preview",
                                  G_CALLBACK (atl_images_page_refresh_canvas), self);
}
