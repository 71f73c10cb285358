/* Prompt and settings of the next picture. */
#include "app/images/picture-pane.h"

#include <adwaita.h>
#include <glib/gi18n.h>

#include "app/images/lora-group.h"
#include "app/images/picture-advanced.h"
#include "app/images/reference-group.h"
#include "app/images/shape-picker.h"
#include "app/images/start-group.h"
#include "app/wheel.h"
#include "app/words.h"

struct _AtlPicturePane
{
  GtkWidget parent_instance;

  AtlPicturesSession *pictures; /* (nullable) borrowed */
  AtlPictureAdvanced *advanced; /* (nullable) */
  gboolean is_narrow, showing;

  GtkWidget *box;
  GtkWidget *scroller;
  GtkWidget *settings_box;
  GtkWidget *prompt_overlay;
  GtkWidget *prompt_view;
  GtkWidget *placeholder;
  GtkWidget *start_group;
  GtkWidget *reference_group;
  GtkWidget *lora_group;
  GtkWidget *shape_picker;
  GtkWidget *fast_button;
  GtkWidget *balanced_button;
  GtkWidget *best_button;
  GtkWidget *count_spin;
  GtkWidget *advanced_row;
  GtkWidget *settings_toggle;
  GtkWidget *create_button;
  GtkWidget *price_label;
  GtkWidget *cheaper_box;
  GtkWidget *quicker_button;
  GtkWidget *smaller_button;
};

G_DEFINE_FINAL_TYPE (AtlPicturePane, atl_picture_pane, GTK_TYPE_WIDGET)

enum
{
  PROP_SHOWS_SETTINGS = 1
};
static GParamSpec *shows_prop;
static guint changed_signal;

static AtlPictureSettings *
settings_of (AtlPicturePane *self)
{
  return atl_pictures_session_get_settings (self->pictures);
}

static GtkTextBuffer *
prompt_buffer (AtlPicturePane *self)
{
  return gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->prompt_view));
}

static char *
prompt_text (AtlPicturePane *self)
{
  GtkTextIter start, end;

  gtk_text_buffer_get_bounds (prompt_buffer (self), &start, &end);
  return gtk_text_buffer_get_text (prompt_buffer (self), &start, &end, FALSE);
}

/* --- Showing --- */

static void
show_shapes (AtlPicturePane *self)
{
  const AtlModelInfo *info = atl_pictures_session_get_info (self->pictures);
  guint width, height;

  atl_picture_settings_size (settings_of (self), info, &width, &height);
  atl_shape_picker_set_model (ATL_SHAPE_PICKER (self->shape_picker), info, width, height);
}

static char *
quality_words (AtlQuality quality, guint n_steps)
{
  if (quality == ATL_QUALITY_FAST)
    return g_strdup_printf (ngettext ("A sketch: %u step", "A sketch: %u steps", n_steps), n_steps);
  if (quality == ATL_QUALITY_BALANCED)
    return g_strdup_printf (ngettext ("What the authors of the model recommend: %u step",
                                      "What the authors of the model recommend: %u steps", n_steps),
                            n_steps);
  return g_strdup_printf (
      ngettext ("More care for details: %u step", "More care for details: %u steps", n_steps),
      n_steps);
}

static void
show_quality (AtlPicturePane *self)
{
  GtkWidget *buttons[] = { self->fast_button, self->balanced_button, self->best_button };
  const AtlModelInfo *info = atl_pictures_session_get_info (self->pictures);
  const AtlPictureSettings *settings = settings_of (self);

  for (guint i = 0; i < G_N_ELEMENTS (buttons); i++)
    {
      guint recommended = info != NULL && info->steps > 0 ? info->steps : 20;
      g_autofree char *words =
          quality_words ((AtlQuality) i, atl_quality_steps ((AtlQuality) i, recommended));

      gtk_widget_set_tooltip_text (buttons[i], words);
      gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (buttons[i]),
                                    settings->steps == 0 && settings->quality == (AtlQuality) i);
    }
}

static void
refresh_placeholder (AtlPicturePane *self)
{
  gtk_widget_set_visible (self->placeholder,
                          gtk_text_buffer_get_char_count (prompt_buffer (self)) == 0);
}

static void
show_all (AtlPicturePane *self)
{
  const AtlPictureSettings *settings = settings_of (self);
  g_autofree char *text = prompt_text (self);

  self->showing = TRUE;
  if (!g_str_equal (text, settings->prompt))
    gtk_text_buffer_set_text (prompt_buffer (self), settings->prompt, -1);
  show_shapes (self);
  atl_shape_picker_set_shape (ATL_SHAPE_PICKER (self->shape_picker), settings->shape);
  show_quality (self);
  gtk_spin_button_set_value (GTK_SPIN_BUTTON (self->count_spin), settings->count);
  atl_start_group_refresh (ATL_START_GROUP (self->start_group));
  atl_reference_group_refresh (ATL_REFERENCE_GROUP (self->reference_group));
  atl_lora_group_refresh (ATL_LORA_GROUP (self->lora_group));
  atl_picture_advanced_show (self->advanced);
  self->showing = FALSE;
}

/* --- What a person changes --- */

static void
touched (AtlPicturePane *self)
{
  atl_pictures_session_settings_touched (self->pictures);
  g_signal_emit (self, changed_signal, 0);
}

/* It may have set steps and prompt strength, or given them back. */
static void
lora_cb (AtlPicturePane *self)
{
  self->showing = TRUE;
  show_quality (self);
  atl_picture_advanced_show (self->advanced);
  self->showing = FALSE;
  touched (self);
}

static void
prompt_cb (AtlPicturePane *self)
{
  refresh_placeholder (self);
  if (self->showing || self->pictures == NULL)
    return;
  g_free (settings_of (self)->prompt);
  settings_of (self)->prompt = prompt_text (self);
  touched (self);
}

/* What a LoRA listens to: at the end, after a comma, unless it is said already. */
static void
say_cb (AtlPicturePane *self, const char *words)
{
  g_autofree char *text = prompt_text (self);
  g_autofree char *added = atl_picture_prompt_with (text, words);
  GtkTextIter end;

  if (added == NULL)
    {
      g_autofree char *notice = g_strdup_printf (_ ("“%s” is in the prompt already."), words);

      atl_session_emit_notice (atl_pictures_session_get_session (self->pictures), notice);
      return;
    }
  gtk_text_buffer_get_end_iter (prompt_buffer (self), &end);
  gtk_text_buffer_insert (prompt_buffer (self), &end, added, -1);
}

static void
shape_cb (AtlPicturePane *self)
{
  AtlPictureSettings *settings = settings_of (self);
  const char *shape = atl_shape_picker_get_shape (ATL_SHAPE_PICKER (self->shape_picker));

  if (self->showing)
    return;
  /* The size in px begins with what was chosen before. */
  if (*shape == '\0' && *settings->shape != '\0')
    {
      guint width, height;

      atl_picture_settings_size (settings, atl_pictures_session_get_info (self->pictures), &width,
                                 &height);
      settings->width = width;
      settings->height = height;
    }
  atl_set_string (&settings->shape, shape);
  show_all (self);
  /* The numbers that were asked for lie further down. */
  if (*shape == '\0')
    {
      adw_expander_row_set_expanded (ADW_EXPANDER_ROW (self->advanced_row), TRUE);
      atl_picture_advanced_focus_size (self->advanced);
    }
  touched (self);
}

static void
quality_cb (GtkToggleButton *button, AtlPicturePane *self)
{
  AtlPictureSettings *settings;

  if (self->showing || self->pictures == NULL || !gtk_toggle_button_get_active (button))
    return;
  settings = settings_of (self);
  settings->quality = button == GTK_TOGGLE_BUTTON (self->fast_button)   ? ATL_QUALITY_FAST
                      : button == GTK_TOGGLE_BUTTON (self->best_button) ? ATL_QUALITY_BEST
                                                                        : ATL_QUALITY_BALANCED;
  settings->steps = 0;
  show_all (self);
  touched (self);
}

static void
count_cb (AtlPicturePane *self)
{
  if (self->showing || self->pictures == NULL)
    return;
  settings_of (self)->count =
      (guint) gtk_spin_button_get_value_as_int (GTK_SPIN_BUTTON (self->count_spin));
  touched (self);
}

static void
advanced_cb (gpointer data)
{
  AtlPicturePane *self = data;

  show_all (self);
  touched (self);
}

/* Enter breaks a line, as in every box of several lines; with Ctrl it creates. */
static gboolean
key_cb (GtkEventControllerKey *controller,
        guint keyval,
        guint keycode,
        GdkModifierType state,
        AtlPicturePane *self)
{
  if ((keyval != GDK_KEY_Return && keyval != GDK_KEY_KP_Enter) || (state & GDK_CONTROL_MASK) == 0)
    return FALSE;
  gtk_widget_activate_action (GTK_WIDGET (self), "images.create", NULL);
  return TRUE;
}

/* --- Wide and narrow --- */

static void
refresh_layout (AtlPicturePane *self)
{
  gboolean shows = atl_picture_pane_get_shows_settings (self);

  gtk_widget_set_visible (self->settings_box, shows);
  gtk_widget_set_visible (self->settings_toggle, self->is_narrow);
  gtk_widget_set_vexpand (self->scroller, shows);
}

static void
toggle_cb (AtlPicturePane *self)
{
  refresh_layout (self);
  g_object_notify_by_pspec (G_OBJECT (self), shows_prop);
}

void
atl_picture_pane_set_is_narrow (AtlPicturePane *self, gboolean is_narrow)
{
  self->is_narrow = is_narrow;
  toggle_cb (self);
}

gboolean
atl_picture_pane_get_shows_settings (AtlPicturePane *self)
{
  return !self->is_narrow ||
         gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (self->settings_toggle));
}

void
atl_picture_pane_hide_settings (AtlPicturePane *self)
{
  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (self->settings_toggle), FALSE);
}

/* --- What others ask for --- */

void
atl_picture_pane_scroll_up (AtlPicturePane *self)
{
  gtk_adjustment_set_value (
      gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (self->scroller)), 0);
}

/* The row that has the focus may be about a number: digits are its, where letters are the prompt's.
 * (nullable) borrowed */
static GtkWidget *
number_of_row (AtlPicturePane *self)
{
  GtkWidget *row = gtk_root_get_focus (gtk_widget_get_root (GTK_WIDGET (self)));
  GtkWidget *entry =
      ADW_IS_ACTION_ROW (row) ? adw_action_row_get_activatable_widget (ADW_ACTION_ROW (row)) : NULL;

  return GTK_IS_EDITABLE (entry) ? entry : NULL;
}

void
atl_picture_pane_focus (AtlPicturePane *self)
{
  gtk_widget_grab_focus (self->prompt_view);
}

gboolean
atl_picture_pane_take_letter (AtlPicturePane *self, GtkEventControllerKey *keys)
{
  GdkEvent *event = gtk_event_controller_get_current_event (GTK_EVENT_CONTROLLER (keys));
  gunichar letter = event != NULL ? gdk_keyval_to_unicode (gdk_key_event_get_keyval (event)) : 0;
  GtkWidget *number = g_unichar_isdigit (letter) ? number_of_row (self) : NULL;

  if (number != NULL)
    {
      gtk_widget_grab_focus (number);
      return gtk_event_controller_key_forward (
          keys, GTK_WIDGET (gtk_editable_get_delegate (GTK_EDITABLE (number))));
    }
  if (!gtk_widget_get_mapped (self->prompt_view) || gtk_widget_has_focus (self->prompt_view))
    return GDK_EVENT_PROPAGATE;
  gtk_widget_grab_focus (self->prompt_view);
  return gtk_event_controller_key_forward (keys, self->prompt_view);
}

gboolean
atl_picture_pane_is_prompt (AtlPicturePane *self, GtkWidget *widget)
{
  return widget == self->prompt_overlay || gtk_widget_is_ancestor (widget, self->prompt_overlay);
}

void
atl_picture_pane_take_lora (AtlPicturePane *self, const char *path, const AtlModelInfo *info)
{
  atl_lora_group_take (ATL_LORA_GROUP (self->lora_group), path, info);
}

/* What is offered no longer leaves the keyboard to what it was offered for. */
static void
offer (AtlPicturePane *self, GtkWidget *button, const char *words)
{
  if (words == NULL && gtk_widget_has_focus (button))
    gtk_widget_grab_focus (self->create_button);
  gtk_widget_set_visible (button, words != NULL);
  if (words != NULL)
    gtk_button_set_label (GTK_BUTTON (button), words);
}

void
atl_picture_pane_set_refusal (AtlPicturePane *self, const char *words)
{
  gtk_widget_set_tooltip_text (self->create_button,
                               words != NULL ? words : _ ("Makes the picture (Ctrl+Enter)"));
}

void
atl_picture_pane_set_price_words (AtlPicturePane *self, const char *words)
{
  gtk_label_set_text (GTK_LABEL (self->price_label), words);
  gtk_widget_set_visible (self->price_label, *words != '\0');
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->create_button),
                                  GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, words, -1);
}

void
atl_picture_pane_set_price (AtlPicturePane *self,
                            const char *words,
                            const char *quicker,
                            const char *smaller)
{
  offer (self, self->quicker_button, quicker);
  offer (self, self->smaller_button, smaller);
  gtk_widget_set_visible (self->cheaper_box, quicker != NULL || smaller != NULL);
  atl_picture_pane_set_price_words (self, words);
}

void
atl_picture_pane_set_session (AtlPicturePane *self, AtlPicturesSession *pictures)
{
  GSettings *settings = atl_session_get_settings (atl_pictures_session_get_session (pictures));

  g_return_if_fail (self->pictures == NULL);

  self->pictures = pictures;
  self->advanced =
      atl_picture_advanced_new (ADW_EXPANDER_ROW (self->advanced_row), pictures, advanced_cb, self);
  atl_start_group_set_session (ATL_START_GROUP (self->start_group), pictures);
  atl_reference_group_set_session (ATL_REFERENCE_GROUP (self->reference_group), pictures);
  atl_lora_group_set_session (ATL_LORA_GROUP (self->lora_group), pictures);
  g_settings_bind (settings, "images-advanced-expanded", self->advanced_row, "expanded",
                   G_SETTINGS_BIND_DEFAULT);
  atl_wheel_ignore (GTK_WIDGET (self));
  g_signal_connect_object (pictures, "settings-changed", G_CALLBACK (show_all), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (pictures, "notify::model", G_CALLBACK (show_all), self,
                           G_CONNECT_SWAPPED);
  show_all (self);
}

/* --- GObject --- */

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id == PROP_SHOWS_SETTINGS)
    g_value_set_boolean (value, atl_picture_pane_get_shows_settings (ATL_PICTURE_PANE (object)));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
atl_picture_pane_dispose (GObject *object)
{
  AtlPicturePane *self = ATL_PICTURE_PANE (object);

  g_clear_pointer (&self->advanced, atl_picture_advanced_free);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  G_OBJECT_CLASS (atl_picture_pane_parent_class)->dispose (object);
}

static void
atl_picture_pane_class_init (AtlPicturePaneClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  object_class->get_property = get_property;
  object_class->dispose = atl_picture_pane_dispose;
  shows_prop = g_param_spec_boolean ("shows-settings", NULL, NULL, TRUE,
                                     G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_property (object_class, PROP_SHOWS_SETTINGS, shows_prop);
  changed_signal = g_signal_new ("settings-changed", ATL_TYPE_PICTURE_PANE, G_SIGNAL_RUN_LAST, 0,
                                 NULL, NULL, NULL, G_TYPE_NONE, 0);
  g_type_ensure (ATL_TYPE_LORA_GROUP);
  g_type_ensure (ATL_TYPE_REFERENCE_GROUP);
  g_type_ensure (ATL_TYPE_SHAPE_PICKER);
  g_type_ensure (ATL_TYPE_START_GROUP);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/picture-pane.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlPicturePane, name)
  BIND (box);
  BIND (scroller);
  BIND (settings_box);
  BIND (prompt_overlay);
  BIND (prompt_view);
  BIND (placeholder);
  BIND (start_group);
  BIND (reference_group);
  BIND (lora_group);
  BIND (shape_picker);
  BIND (fast_button);
  BIND (balanced_button);
  BIND (best_button);
  BIND (count_spin);
  BIND (advanced_row);
  BIND (settings_toggle);
  BIND (create_button);
  BIND (price_label);
  BIND (cheaper_box);
  BIND (quicker_button);
  BIND (smaller_button);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, touched);
  gtk_widget_class_bind_template_callback (widget_class, lora_cb);
}

static void
atl_picture_pane_init (AtlPicturePane *self)
{
  GtkEventController *keys = gtk_event_controller_key_new ();
  GtkEventController *focus = gtk_event_controller_focus_new ();
  GtkWidget *qualities[3];

  gtk_widget_init_template (GTK_WIDGET (self));
  qualities[0] = self->fast_button;
  qualities[1] = self->balanced_button;
  qualities[2] = self->best_button;
  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self), keys);
  /* Its upper edge, too, comes into sight. */
  g_signal_connect_swapped (focus, "enter", G_CALLBACK (atl_picture_pane_scroll_up), self);
  gtk_widget_add_controller (self->prompt_view, focus);
  g_signal_connect_swapped (prompt_buffer (self), "changed", G_CALLBACK (prompt_cb), self);
  g_signal_connect_swapped (self->shape_picker, "notify::shape", G_CALLBACK (shape_cb), self);
  g_signal_connect_swapped (self->lora_group, "say", G_CALLBACK (say_cb), self);
  for (gsize i = 0; i < G_N_ELEMENTS (qualities); i++)
    {
      /* Large letters make the page no wider. */
      gtk_label_set_ellipsize (GTK_LABEL (gtk_button_get_child (GTK_BUTTON (qualities[i]))),
                               PANGO_ELLIPSIZE_END);
      g_signal_connect (qualities[i], "toggled", G_CALLBACK (quality_cb), self);
    }
  g_signal_connect_swapped (self->count_spin, "value-changed", G_CALLBACK (count_cb), self);
  g_signal_connect_swapped (self->settings_toggle, "notify::active", G_CALLBACK (toggle_cb), self);
}
