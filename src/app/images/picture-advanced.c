/* Steps, prompt strength, sampler, seed, size in px, negative prompt. */
#include "app/images/picture-advanced.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/chat/param-row.h"
#include "app/combo-row.h"
#include "app/images/picture-knobs.h"
#include "app/words.h"
#include "media/sampler-names.h"

struct _AtlPictureAdvanced
{
  AtlPicturesSession *pictures;
  void (*changed) (gpointer data);
  gpointer data;
  gboolean showing;

  GtkWidget *steps_row, *guidance_row, *width_row, *height_row;
  GtkWidget *sampler_row, *schedule_row, *enlarge_row;
  AtlPictureKnobs *knobs;
  const AtlModelInfo *info; /* (nullable) borrowed: the rows are for it; only compared */
  GtkWidget *seed_row, *seed_entry, *seed_lock;
  GtkWidget *negative_row, *negative_view;
};

static const AtlChatParamSpec steps_spec = {
  "steps", ATL_PARAM_INT,
  1,       ATL_MAX_PICTURE_STEPS,
  20,      1,
  FALSE,   N_ ("Steps"),
  "",      N_ ("How often the picture is worked over: more take longer and show finer details"),
  0
};
static const AtlChatParamSpec guidance_spec = {
  "guidance",
  ATL_PARAM_DOUBLE,
  0,
  ATL_MAX_GUIDANCE,
  7,
  0.5,
  FALSE,
  N_ ("Prompt strength"),
  "CFG, guidance",
  N_ ("How closely the picture follows your words; too high and colours become harsh"),
  0
};
static const AtlChatParamSpec width_spec = {
  "width", ATL_PARAM_INT, 16,           4096, 512,
  8,       FALSE,         N_ ("Width"), "px", N_ ("In pixels, brought to what the model can draw"),
  0
};
static const AtlChatParamSpec height_spec = {
  "height", ATL_PARAM_INT,
  16,       4096,
  512,      8,
  FALSE,    N_ ("Height"),
  "px",     N_ ("In pixels, brought to what the model can draw"),
  0
};

static AtlPictureSettings *
settings_of (AtlPictureAdvanced *self)
{
  return atl_pictures_session_get_settings (self->pictures);
}

static void
tell (AtlPictureAdvanced *self)
{
  self->changed (self->data);
}

/* --- Numbers --- */

static void
edited_cb (AtlParamRow *row, double value, AtlPictureAdvanced *self)
{
  AtlPictureSettings *settings = settings_of (self);
  const AtlChatParamSpec *spec = atl_param_row_get_spec (row);

  if (self->showing)
    return;
  if (spec == &steps_spec)
    settings->steps = (guint) value;
  else if (spec == &guidance_spec)
    settings->guidance = value;
  else if (spec == &width_spec)
    settings->width = (guint) value;
  else
    settings->height = (guint) value;
  tell (self);
}

static void
reset_cb (AtlParamRow *row, AtlPictureAdvanced *self)
{
  AtlPictureSettings *settings = settings_of (self);
  const AtlChatParamSpec *spec = atl_param_row_get_spec (row);

  if (spec == &steps_spec)
    settings->steps = 0;
  else if (spec == &guidance_spec)
    settings->guidance = -1;
  else if (spec == &width_spec)
    settings->width = 0;
  else
    settings->height = 0;
  tell (self);
}

static GtkWidget *
add_number (AtlPictureAdvanced *self, AdwExpanderRow *expander, const AtlChatParamSpec *spec)
{
  GtkWidget *row = atl_param_row_new (spec);

  g_signal_connect (row, "edited", G_CALLBACK (edited_cb), self);
  g_signal_connect (row, "reset", G_CALLBACK (reset_cb), self);
  adw_expander_row_add_row (expander, row);
  return row;
}

/* --- Sampler and schedule: the first is the model's own, whose schedule has no name --- */

static char **
schedules_of (const AtlModelInfo *info)
{
  g_autoptr (GStrvBuilder) names = g_strv_builder_new ();

  if (info == NULL || info->schedules == NULL || info->schedules[0] == NULL)
    return NULL;
  g_strv_builder_add (names, _ ("The model's own"));
  g_strv_builder_addv (names, (const char **) info->schedules);
  return g_strv_builder_end (names);
}

/* A LoRA takes a sampler of its own where none is said: then the model's own is said, too. */
static gboolean
is_led (AtlPictureAdvanced *self)
{
  const GPtrArray *loras = settings_of (self)->loras;

  for (guint i = 0; i < loras->len; i++)
    if (((AtlPictureLora *) loras->pdata[i])->sampler != NULL)
      return TRUE;
  return FALSE;
}

/* `says_first`: the first is said by its name. */
static void
choose (AtlPictureAdvanced *self, GtkWidget *row, char **names, char **field, gboolean says_first)
{
  guint chosen = adw_combo_row_get_selected (ADW_COMBO_ROW (row));

  if (self->showing || names == NULL || chosen >= g_strv_length (names))
    return;
  atl_set_string (field, chosen == 0 && !says_first ? "" : names[chosen]);
  tell (self);
}

static void
sampler_cb (AtlPictureAdvanced *self)
{
  const AtlModelInfo *info = atl_pictures_session_get_info (self->pictures);

  choose (self, self->sampler_row, info != NULL ? info->samplers : NULL,
          &settings_of (self)->sampler, is_led (self));
}

static void
schedule_cb (AtlPictureAdvanced *self)
{
  g_auto (GStrv) names = schedules_of (atl_pictures_session_get_info (self->pictures));

  choose (self, self->schedule_row, names, &settings_of (self)->schedule, FALSE);
}

/* --- Afterwards --- */

static void
enlarge_cb (AtlPictureAdvanced *self)
{
  guint chosen = adw_combo_row_get_selected (ADW_COMBO_ROW (self->enlarge_row));

  if (self->showing || chosen > ATL_MAX_ENLARGE - 1)
    return;
  settings_of (self)->enlarge = chosen == 0 ? 0 : chosen + 1;
  tell (self);
}

static GtkWidget *
add_choice (AtlPictureAdvanced *self,
            AdwExpanderRow *expander,
            const char *title,
            const char *tooltip,
            void (*chosen) (AtlPictureAdvanced *self))
{
  GtkWidget *row = adw_combo_row_new ();
  g_autoptr (GtkStringList) none = gtk_string_list_new (NULL);

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  gtk_widget_set_tooltip_text (row, tooltip);
  adw_combo_row_set_model (ADW_COMBO_ROW (row), G_LIST_MODEL (none));
  atl_combo_row_show_whole (ADW_COMBO_ROW (row));
  atl_accessible_name_combo_row (row);
  g_signal_connect_swapped (row, "notify::selected", G_CALLBACK (chosen), self);
  adw_expander_row_add_row (expander, row);
  return row;
}

static void
set_choices (GtkWidget *row, char **names)
{
  g_autoptr (GtkStringList) list = gtk_string_list_new ((const char *const *) names);

  adw_combo_row_set_model (ADW_COMBO_ROW (row), G_LIST_MODEL (list));
  gtk_widget_set_visible (row, names != NULL && g_strv_length (names) > 1);
}

static void
show_choice (GtkWidget *row, char **names, const char *wanted)
{
  guint at = 0;

  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    if (g_ascii_strcasecmp (names[i], wanted) == 0)
      at = i;
  adw_combo_row_set_selected (ADW_COMBO_ROW (row), at);
}

/* --- Seed --- */

/* Where what is typed is none, in words; the one before stays in use until it is. */
static void
show_seed_problem (AtlPictureAdvanced *self, gboolean is_wrong)
{
  g_autofree char *words =
      is_wrong ? g_strdup_printf (_ ("A whole number from 0 to %u"), G_MAXUINT32) : g_strdup ("");

  if (is_wrong)
    gtk_widget_add_css_class (self->seed_entry, "error");
  else
    gtk_widget_remove_css_class (self->seed_entry, "error");
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->seed_row), words);
  gtk_accessible_update_state (
      GTK_ACCESSIBLE (self->seed_entry), GTK_ACCESSIBLE_STATE_INVALID,
      is_wrong ? GTK_ACCESSIBLE_INVALID_TRUE : GTK_ACCESSIBLE_INVALID_FALSE, -1);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->seed_entry),
                                  GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, words, -1);
}

/* An open lock where each picture gets a seed of its own. */
static void
show_lock (AtlPictureAdvanced *self, gboolean is_locked)
{
  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (self->seed_lock), is_locked);
  gtk_button_set_icon_name (GTK_BUTTON (self->seed_lock),
                            is_locked ? "changes-prevent-symbolic" : "changes-allow-symbolic");
}

static void
seed_cb (AtlPictureAdvanced *self)
{
  const char *text = gtk_editable_get_text (GTK_EDITABLE (self->seed_entry));
  gboolean is_locked;
  guint64 seed;

  if (self->showing)
    return;
  /* An empty one is random again, as its placeholder says. */
  is_locked = *text != '\0';
  if (is_locked && !g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT32, &seed, NULL))
    {
      show_seed_problem (self, TRUE);
      return;
    }
  show_seed_problem (self, FALSE);
  if (is_locked)
    settings_of (self)->seed = (guint32) seed;
  settings_of (self)->seed_is_locked = is_locked;
  self->showing = TRUE;
  show_lock (self, is_locked);
  self->showing = FALSE;
  tell (self);
}

static void
lock_cb (AtlPictureAdvanced *self)
{
  AtlPictureSettings *settings = settings_of (self);

  if (self->showing)
    return;
  settings->seed_is_locked = gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (self->seed_lock));
  if (settings->seed_is_locked && settings->seed == 0)
    settings->seed = g_random_int ();
  show_lock (self, settings->seed_is_locked);
  tell (self);
}

static void
add_seed (AtlPictureAdvanced *self, AdwExpanderRow *expander)
{
  self->seed_row = adw_action_row_new ();
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->seed_row), _ ("Seed"));
  gtk_widget_set_tooltip_text (
      self->seed_row, _ ("The number that the noise begins with: the same one gives the same "
                         "picture again"));
  self->seed_entry = gtk_entry_new ();
  gtk_entry_set_placeholder_text (GTK_ENTRY (self->seed_entry), _ ("random"));
  gtk_entry_set_input_purpose (GTK_ENTRY (self->seed_entry), GTK_INPUT_PURPOSE_DIGITS);
  gtk_editable_set_width_chars (GTK_EDITABLE (self->seed_entry), 10);
  gtk_editable_set_max_width_chars (GTK_EDITABLE (self->seed_entry), 10);
  gtk_widget_set_valign (self->seed_entry, GTK_ALIGN_CENTER);
  self->seed_lock = gtk_toggle_button_new ();
  gtk_widget_add_css_class (self->seed_lock, "flat");
  gtk_widget_set_valign (self->seed_lock, GTK_ALIGN_CENTER);
  gtk_widget_set_tooltip_text (self->seed_lock, _ ("Keep this seed for the next pictures"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->seed_lock), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Keep this seed for the next pictures"), -1);
  adw_action_row_add_suffix (ADW_ACTION_ROW (self->seed_row), self->seed_entry);
  adw_action_row_add_suffix (ADW_ACTION_ROW (self->seed_row), self->seed_lock);
  adw_action_row_set_activatable_widget (ADW_ACTION_ROW (self->seed_row), self->seed_entry);
  g_signal_connect_swapped (self->seed_entry, "changed", G_CALLBACK (seed_cb), self);
  g_signal_connect_swapped (self->seed_lock, "toggled", G_CALLBACK (lock_cb), self);
  adw_expander_row_add_row (expander, self->seed_row);
}

static void
show_seed (AtlPictureAdvanced *self)
{
  const AtlPictureSettings *settings = settings_of (self);
  g_autofree char *text =
      settings->seed_is_locked ? g_strdup_printf ("%u", settings->seed) : g_strdup ("");

  if (!g_str_equal (text, gtk_editable_get_text (GTK_EDITABLE (self->seed_entry))))
    gtk_editable_set_text (GTK_EDITABLE (self->seed_entry), text);
  show_seed_problem (self, FALSE);
  show_lock (self, settings->seed_is_locked);
}

/* --- Negative prompt --- */

static char *
negative_text (AtlPictureAdvanced *self)
{
  GtkTextBuffer *buffer = gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->negative_view));
  GtkTextIter start, end;

  gtk_text_buffer_get_bounds (buffer, &start, &end);
  return gtk_text_buffer_get_text (buffer, &start, &end, FALSE);
}

static void
negative_cb (AtlPictureAdvanced *self)
{
  if (self->showing)
    return;
  g_free (settings_of (self)->negative);
  settings_of (self)->negative = negative_text (self);
  tell (self);
}

static void
add_negative (AtlPictureAdvanced *self, AdwExpanderRow *expander)
{
  GtkWidget *label = gtk_label_new (_ ("What should not be there"));
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);

  self->negative_view = gtk_text_view_new ();
  gtk_text_view_set_wrap_mode (GTK_TEXT_VIEW (self->negative_view), GTK_WRAP_WORD_CHAR);
  gtk_text_view_set_accepts_tab (GTK_TEXT_VIEW (self->negative_view), FALSE);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->negative_view),
                                  GTK_ACCESSIBLE_PROPERTY_LABEL, _ ("What should not be there"),
                                  -1);
  gtk_widget_add_css_class (self->negative_view, "negative-prompt");
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER,
                                  GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_min_content_height (GTK_SCROLLED_WINDOW (scroller), 56);
  gtk_scrolled_window_set_max_content_height (GTK_SCROLLED_WINDOW (scroller), 160);
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (scroller), TRUE);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), self->negative_view);
  gtk_widget_add_css_class (scroller, "negative-frame");
  gtk_box_append (GTK_BOX (box), label);
  gtk_box_append (GTK_BOX (box), scroller);
  gtk_widget_set_margin_start (box, 12);
  gtk_widget_set_margin_end (box, 12);
  gtk_widget_set_margin_top (box, 9);
  gtk_widget_set_margin_bottom (box, 9);
  self->negative_row = adw_preferences_row_new ();
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->negative_row),
                                 _ ("What should not be there"));
  gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (self->negative_row), FALSE);
  gtk_widget_set_focusable (self->negative_row, FALSE);
  gtk_widget_set_tooltip_text (self->negative_row, _ ("Negative prompt"));
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (self->negative_row), box);
  g_signal_connect_swapped (gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->negative_view)),
                            "changed", G_CALLBACK (negative_cb), self);
  adw_expander_row_add_row (expander, self->negative_row);
}

static void
show_negative (AtlPictureAdvanced *self, const AtlModelInfo *info)
{
  g_autofree char *text = negative_text (self);
  const char *wanted = settings_of (self)->negative;

  if (!g_str_equal (text, wanted))
    gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->negative_view)),
                              wanted, -1);
  gtk_widget_set_visible (self->negative_row,
                          atl_picture_settings_uses_negative (settings_of (self), info));
}

/* --- All --- */

static void
set_model (AtlPictureAdvanced *self, const AtlModelInfo *info)
{
  g_auto (GStrv) schedules = schedules_of (info);

  self->info = info;
  set_choices (self->sampler_row, info != NULL ? info->samplers : NULL);
  set_choices (self->schedule_row, schedules);
  atl_picture_knobs_set_model (self->knobs, info);
}

/* Some samplers have steps of their own. */
static gboolean
takes_schedule (const AtlPictureSettings *settings, const AtlModelInfo *info)
{
  const AtlSamplerName *sampler;
  const char *name = *settings->sampler != '\0' ? settings->sampler : NULL;

  if (info == NULL || info->schedules == NULL || info->schedules[0] == NULL)
    return FALSE;
  if (name == NULL && info->samplers != NULL)
    name = info->samplers[0];
  /* Models that match flows are offered none. */
  sampler = name != NULL ? atl_sampler_find (name, FALSE) : NULL;
  return sampler == NULL || sampler->has_schedule || sampler->has_spacing;
}

void
atl_picture_advanced_show (AtlPictureAdvanced *self)
{
  const AtlModelInfo *info = atl_pictures_session_get_info (self->pictures);
  const AtlPictureSettings *settings = settings_of (self);
  g_auto (GStrv) schedules = schedules_of (info);
  guint width, height;

  self->showing = TRUE;
  if (info != self->info)
    set_model (self, info);
  atl_picture_settings_size (settings, info, &width, &height);
  atl_param_row_set_value (ATL_PARAM_ROW (self->steps_row),
                           atl_picture_settings_steps (settings, info), settings->steps > 0);
  atl_param_row_set_value (ATL_PARAM_ROW (self->guidance_row),
                           atl_picture_settings_guidance (settings, info), settings->guidance >= 0);
  atl_param_row_set_value (ATL_PARAM_ROW (self->width_row), width, FALSE);
  atl_param_row_set_value (ATL_PARAM_ROW (self->height_row), height, FALSE);
  gtk_widget_set_visible (self->width_row, *settings->shape == '\0');
  gtk_widget_set_visible (self->height_row, *settings->shape == '\0');
  gtk_widget_set_visible (self->guidance_row,
                          info == NULL || (info->abilities & ATL_PICTURE_GUIDANCE) != 0);
  show_choice (self->sampler_row, info != NULL ? info->samplers : NULL, settings->sampler);
  show_choice (self->schedule_row, schedules, settings->schedule);
  gtk_widget_set_visible (self->schedule_row, takes_schedule (settings, info));
  show_seed (self);
  adw_combo_row_set_selected (ADW_COMBO_ROW (self->enlarge_row),
                              settings->enlarge > 1 ? settings->enlarge - 1 : 0);
  show_negative (self, info);
  atl_picture_knobs_show (self->knobs);
  self->showing = FALSE;
}

/* Not before it is there: what it stands in may unfold first. */
static gboolean
focus_cb (GtkWidget *row, GdkFrameClock *clock, gpointer data)
{
  GtkWidget *number = adw_action_row_get_activatable_widget (ADW_ACTION_ROW (row));

  if (gtk_widget_get_height (row) == 0)
    return G_SOURCE_CONTINUE;
  gtk_widget_grab_focus (number);
  return G_SOURCE_REMOVE;
}

void
atl_picture_advanced_focus_size (AtlPictureAdvanced *self)
{
  gtk_widget_add_tick_callback (self->width_row, focus_cb, NULL, NULL);
}

AtlPictureAdvanced *
atl_picture_advanced_new (AdwExpanderRow *row,
                          AtlPicturesSession *pictures,
                          void (*changed) (gpointer data),
                          gpointer data)
{
  AtlPictureAdvanced *self = g_new0 (AtlPictureAdvanced, 1);

  self->pictures = pictures;
  self->changed = changed;
  self->data = data;
  self->width_row = add_number (self, row, &width_spec);
  self->height_row = add_number (self, row, &height_spec);
  self->steps_row = add_number (self, row, &steps_spec);
  self->guidance_row = add_number (self, row, &guidance_spec);
  self->sampler_row = add_choice (self, row, _ ("Sampler"),
                                  _ ("The method that gets from noise to a picture"), sampler_cb);
  self->schedule_row = add_choice (self, row, _ ("Schedule"),
                                   _ ("How much noise goes in each of the steps"), schedule_cb);
  add_seed (self, row);
  self->enlarge_row = add_choice (
      self, row, _ ("Enlarge afterwards"),
      _ ("Another network makes the finished picture larger; what is drawn stays the same"),
      enlarge_cb);
  self->showing = TRUE;
  set_choices (self->enlarge_row, (char *[]){ _ ("No"), "2×", "3×", "4×", NULL });
  self->showing = FALSE;
  add_negative (self, row);
  self->knobs = atl_picture_knobs_new (row, pictures, changed, data);
  return self;
}

void
atl_picture_advanced_free (AtlPictureAdvanced *self)
{
  if (self == NULL)
    return;
  g_signal_handlers_disconnect_by_data (self->steps_row, self);
  g_signal_handlers_disconnect_by_data (self->guidance_row, self);
  g_signal_handlers_disconnect_by_data (self->width_row, self);
  g_signal_handlers_disconnect_by_data (self->height_row, self);
  g_signal_handlers_disconnect_by_data (self->sampler_row, self);
  g_signal_handlers_disconnect_by_data (self->schedule_row, self);
  g_signal_handlers_disconnect_by_data (self->enlarge_row, self);
  g_signal_handlers_disconnect_by_data (self->seed_entry, self);
  g_signal_handlers_disconnect_by_data (self->seed_lock, self);
  g_signal_handlers_disconnect_by_data (
      gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->negative_view)), self);
  atl_picture_knobs_free (self->knobs);
  g_free (self);
}
