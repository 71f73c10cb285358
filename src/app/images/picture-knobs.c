/* One row a knob: a number, a switch or a choice. */
#include "app/images/picture-knobs.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/chat/param-row.h"
#include "app/combo-row.h"
#include "app/wheel.h"

typedef struct
{
  AtlPictureKnobs *knobs;
  AtlPictureKnob *knob;  /* borrowed of the info */
  AtlChatParamSpec spec; /* of a number */
  GtkWidget *row;        /* in the expander */
  GtkWidget *switch_;    /* (nullable) */
} Row;

struct _AtlPictureKnobs
{
  AdwExpanderRow *expander;
  AtlPicturesSession *pictures;
  void (*changed) (gpointer data);
  gpointer data;
  AtlModelInfo *info; /* (nullable) whose knobs the rows are */
  GPtrArray *rows;    /* (element-type Row) */
  gboolean showing;
};

static AtlPictureSettings *
settings_of (AtlPictureKnobs *self)
{
  return atl_pictures_session_get_settings (self->pictures);
}

/* What has its fallback is not said at all: the engine knows it. */
static void
set (Row *row, GVariant *value, gboolean is_fallback)
{
  GHashTable *knobs = settings_of (row->knobs)->knobs;

  g_variant_ref_sink (value);
  if (is_fallback)
    g_hash_table_remove (knobs, row->knob->name);
  else
    g_hash_table_replace (knobs, g_strdup (row->knob->name), g_variant_ref (value));
  g_variant_unref (value);
  row->knobs->changed (row->knobs->data);
}

static double
number_of (const Row *row)
{
  GVariant *value = g_hash_table_lookup (settings_of (row->knobs)->knobs, row->knob->name);

  return value != NULL && g_variant_is_of_type (value, G_VARIANT_TYPE_DOUBLE)
             ? CLAMP (g_variant_get_double (value), row->knob->min, row->knob->max)
             : row->knob->fallback;
}

static guint
choice_of (const Row *row)
{
  GVariant *value = g_hash_table_lookup (settings_of (row->knobs)->knobs, row->knob->name);

  if (value != NULL && g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
    for (guint i = 0; row->knob->choices[i] != NULL; i++)
      if (g_str_equal (row->knob->choices[i], g_variant_get_string (value, NULL)))
        return i;
  return (guint) row->knob->fallback;
}

static void
edited_cb (AtlParamRow *widget, double value, Row *row)
{
  if (!row->knobs->showing)
    set (row, g_variant_new_double (value), value == row->knob->fallback);
}

static void
reset_cb (AtlParamRow *widget, Row *row)
{
  set (row, g_variant_new_double (row->knob->fallback), TRUE);
}

static void
switched_cb (GtkSwitch *widget, GParamSpec *pspec, Row *row)
{
  double value = gtk_switch_get_active (widget) ? 1 : 0;

  if (!row->knobs->showing)
    set (row, g_variant_new_double (value), value == row->knob->fallback);
}

static void
chosen_cb (AdwComboRow *widget, GParamSpec *pspec, Row *row)
{
  guint chosen = adw_combo_row_get_selected (widget);

  if (!row->knobs->showing && chosen < g_strv_length (row->knob->choices))
    set (row, g_variant_new_string (row->knob->choices[chosen]), chosen == row->knob->fallback);
}

/* What other programs call it, where the label does not say that already. */
static const char *
term_of (const AtlPictureKnob *knob)
{
  g_autofree char *label = g_utf8_casefold (knob->label, -1);
  g_autofree char *name = g_utf8_casefold (knob->name, -1);

  return strstr (label, name) == NULL ? knob->name : "";
}

static void
make_number (Row *row)
{
  const AtlPictureKnob *knob = row->knob;

  row->spec =
      (AtlChatParamSpec){ .key = knob->name,
                          .kind = ATL_PARAM_DOUBLE,
                          .min = knob->min,
                          .max = knob->max,
                          .step = knob->kind == ATL_KNOB_WHOLE ? MAX (1, knob->step) : knob->step,
                          .fallback = knob->fallback,
                          .label = knob->label,
                          .term = term_of (knob),
                          .tooltip = knob->help };
  row->row = atl_param_row_new (&row->spec);
  g_signal_connect (row->row, "edited", G_CALLBACK (edited_cb), row);
  g_signal_connect (row->row, "reset", G_CALLBACK (reset_cb), row);
}

static void
make_switch (Row *row)
{
  row->row = adw_action_row_new ();
  row->switch_ = gtk_switch_new ();
  gtk_widget_set_valign (row->switch_, GTK_ALIGN_CENTER);
  adw_action_row_add_suffix (ADW_ACTION_ROW (row->row), row->switch_);
  adw_action_row_set_activatable_widget (ADW_ACTION_ROW (row->row), row->switch_);
  g_signal_connect (row->switch_, "notify::active", G_CALLBACK (switched_cb), row);
}

static void
make_choice (Row *row)
{
  g_autoptr (GtkStringList) words = gtk_string_list_new (NULL);

  /* Methods are called by their authors' names. */
  for (char **choice = row->knob->choices; *choice != NULL; choice++)
    gtk_string_list_append (words, g_str_equal (*choice, "auto") ? _ ("auto") : *choice);
  row->row = adw_combo_row_new ();
  adw_combo_row_set_model (ADW_COMBO_ROW (row->row), G_LIST_MODEL (words));
  atl_combo_row_show_whole (ADW_COMBO_ROW (row->row));
  g_signal_connect (row->row, "notify::selected", G_CALLBACK (chosen_cb), row);
}

static void
add (AtlPictureKnobs *self, AtlPictureKnob *knob)
{
  Row *row = g_new0 (Row, 1);

  row->knobs = self;
  row->knob = knob;
  if (knob->kind == ATL_KNOB_SWITCH)
    make_switch (row);
  else if (knob->kind == ATL_KNOB_CHOICE)
    make_choice (row);
  else
    make_number (row);
  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (row->row), FALSE);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row->row), knob->label);
  if (knob->kind == ATL_KNOB_CHOICE)
    atl_accessible_name_combo_row (row->row);
  gtk_widget_set_tooltip_text (row->row, knob->help);
  atl_wheel_ignore (row->row);
  adw_expander_row_add_row (self->expander, row->row);
  g_ptr_array_add (self->rows, row);
}

void
atl_picture_knobs_show (AtlPictureKnobs *self)
{
  self->showing = TRUE;
  for (guint i = 0; i < self->rows->len; i++)
    {
      Row *row = self->rows->pdata[i];

      if (row->knob->kind == ATL_KNOB_SWITCH)
        gtk_switch_set_active (GTK_SWITCH (row->switch_), number_of (row) != 0);
      else if (row->knob->kind == ATL_KNOB_CHOICE)
        adw_combo_row_set_selected (ADW_COMBO_ROW (row->row), choice_of (row));
      else
        atl_param_row_set_value (ATL_PARAM_ROW (row->row), number_of (row),
                                 number_of (row) != row->knob->fallback);
    }
  self->showing = FALSE;
}

static void
clear (AtlPictureKnobs *self)
{
  /* Taking a row away may change what has the focus, and with it values: nobody listens any more.
   */
  self->showing = TRUE;
  for (guint i = 0; i < self->rows->len; i++)
    adw_expander_row_remove (self->expander, ((Row *) self->rows->pdata[i])->row);
  self->showing = FALSE;
  g_ptr_array_set_size (self->rows, 0);
  g_clear_pointer (&self->info, atl_model_info_unref);
}

void
atl_picture_knobs_set_model (AtlPictureKnobs *self, const AtlModelInfo *info)
{
  if (info == self->info)
    return;
  clear (self);
  if (info == NULL)
    return;
  self->info = atl_model_info_ref ((AtlModelInfo *) info);
  for (guint i = 0; i < info->n_knobs; i++)
    add (self, &self->info->knobs[i]);
}

AtlPictureKnobs *
atl_picture_knobs_new (AdwExpanderRow *row,
                       AtlPicturesSession *pictures,
                       void (*changed) (gpointer data),
                       gpointer data)
{
  AtlPictureKnobs *self = g_new0 (AtlPictureKnobs, 1);

  self->expander = row;
  self->pictures = pictures;
  self->changed = changed;
  self->data = data;
  self->rows = g_ptr_array_new_with_free_func (g_free);
  return self;
}

void
atl_picture_knobs_free (AtlPictureKnobs *self)
{
  if (self == NULL)
    return;
  clear (self);
  g_ptr_array_unref (self->rows);
  g_free (self);
}
