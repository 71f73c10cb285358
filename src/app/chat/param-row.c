/* One number of the settings, or one that is on or off. */
#include "app/chat/param-row.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "app/accessible.h"
#include "app/chat/load-params.h"
#include "app/wheel.h"

struct _AtlParamRow
{
  AdwActionRow parent_instance;

  const AtlChatParamSpec *spec;
  GtkWidget *spin;   /* (nullable) */
  GtkWidget *toggle; /* (nullable) instead, of what is on or off */
  const char *none;  /* (nullable) what the least value means, which is -1 or 0 */
  GtkWidget *reset_button;
  double cut; /* what the last entry was cut to, while that is said; else NAN */
  gboolean setting;
};

G_DEFINE_FINAL_TYPE (AtlParamRow, atl_param_row, ADW_TYPE_ACTION_ROW)

enum
{
  EDITED,
  RESET,
  N_SIGNALS
};

static guint signals[N_SIGNALS];

/* An entry beyond what can be had is cut, one that is no number is not taken: said in place of the
 * term, until the value is another.
 * `words` (nullable): no longer. */
static void
say_cut (AtlParamRow *self, double cut, const char *words)
{
  self->cut = words != NULL ? cut : NAN;
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self), words != NULL ? words : self->spec->term);
  if (words != NULL)
    atl_accessible_announce (GTK_WIDGET (self), words);
}

/* "8,192", "8.192" or "8 192", where only whole numbers are meant. */
static gboolean
is_grouped (const char *text)
{
  gsize n_first = strspn (text, "0123456789");

  if (n_first == 0 || n_first > 3 || text[n_first] == '\0')
    return FALSE;
  for (text += n_first; *text != '\0'; text += 4)
    if (strchr (".,\' ", *text) == NULL || strspn (text + 1, "0123456789") != 3)
      return FALSE;
  return TRUE;
}

/* A point or a comma, whatever the language has: GTK reads "1,3" as 1 where it has points, and
 * makes the least value of letters. */
static gboolean
read_number (const char *text, gboolean is_whole, double *value)
{
  g_autofree char *plain = g_strstrip (g_strdup (text));
  char *end;

  if (is_whole && is_grouped (plain))
    {
      char *to = plain;

      for (const char *from = plain; *from != '\0'; from++)
        if (g_ascii_isdigit (*from))
          *to++ = *from;
      *to = '\0';
    }
  g_strdelimit (plain, ",", '.');
  *value = g_ascii_strtod (plain, &end);
  return end != plain && *end == '\0' && isfinite (*value);
}

/* What was typed, before GTK brings it between the limits. */
static void
check_limits (AtlParamRow *self, double typed)
{
  GtkAdjustment *adjustment = gtk_spin_button_get_adjustment (GTK_SPIN_BUTTON (self->spin));
  double least = gtk_adjustment_get_lower (adjustment);
  double most = gtk_adjustment_get_upper (adjustment);
  guint n_digits = gtk_spin_button_get_digits (GTK_SPIN_BUTTON (self->spin));
  g_autofree char *words = NULL;

  if (typed > most)
    words = g_strdup_printf (_ ("At most %.*f"), (int) n_digits, most);
  else if (typed < least)
    words = g_strdup_printf (_ ("At least %.*f"), (int) n_digits, least);
  if (words != NULL)
    say_cut (self, typed > most ? most : least, words);
}

static void
forget_cut (AtlParamRow *self)
{
  if (!isnan (self->cut) && gtk_spin_button_get_value (GTK_SPIN_BUTTON (self->spin)) != self->cut)
    say_cut (self, 0, NULL);
}

static void
value_cb (GtkSpinButton *spin, AtlParamRow *self)
{
  forget_cut (self);
  if (!self->setting)
    g_signal_emit (self, signals[EDITED], 0, gtk_spin_button_get_value (spin));
}

static void
active_cb (AtlParamRow *self)
{
  if (!self->setting)
    g_signal_emit (self, signals[EDITED], 0,
                   gtk_switch_get_active (GTK_SWITCH (self->toggle)) ? 1.0 : 0.0);
}

/* The least value stands for "none": it is said in words. */
static gboolean
output_cb (GtkSpinButton *spin, AtlParamRow *self)
{
  if (gtk_spin_button_get_value (spin) > self->spec->min)
    return FALSE;
  gtk_editable_set_text (GTK_EDITABLE (spin), self->none);
  return TRUE;
}

static int
input_cb (GtkSpinButton *spin, double *value, AtlParamRow *self)
{
  const char *text = gtk_editable_get_text (GTK_EDITABLE (spin));
  double now = gtk_adjustment_get_value (gtk_spin_button_get_adjustment (spin));

  /* GTK reads nothing as 0, and makes the least of it. */
  if (*text == '\0')
    *value = now;
  else if (g_strcmp0 (text, self->none) == 0)
    *value = self->spec->min;
  else if (read_number (text, gtk_spin_button_get_digits (spin) == 0, value))
    check_limits (self, *value);
  else
    {
      *value = now;
      say_cut (self, now, _ ("Only a number can be set here"));
    }
  return TRUE;
}

static void
reset_cb (GtkButton *button, AtlParamRow *self)
{
  g_signal_emit (self, signals[RESET], 0);
  gtk_widget_grab_focus (self->spin != NULL ? self->spin : self->toggle);
}

void
atl_param_row_set_value (AtlParamRow *self, double value, gboolean is_changed)
{
  self->setting = TRUE;
  if (self->toggle != NULL)
    gtk_switch_set_active (GTK_SWITCH (self->toggle), value != 0);
  else
    gtk_spin_button_set_value (GTK_SPIN_BUTTON (self->spin), value);
  self->setting = FALSE;
  gtk_widget_set_visible (self->reset_button, is_changed);
}

void
atl_param_row_set_max (AtlParamRow *self, double max)
{
  self->setting = TRUE;
  gtk_adjustment_set_upper (gtk_spin_button_get_adjustment (GTK_SPIN_BUTTON (self->spin)), max);
  self->setting = FALSE;
}

const AtlChatParamSpec *
atl_param_row_get_spec (AtlParamRow *self)
{
  return self->spec;
}

static void
atl_param_row_class_init (AtlParamRowClass *klass)
{
  signals[EDITED] = g_signal_new ("edited", ATL_TYPE_PARAM_ROW, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                  NULL, G_TYPE_NONE, 1, G_TYPE_DOUBLE);
  signals[RESET] = g_signal_new ("reset", ATL_TYPE_PARAM_ROW, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                 NULL, G_TYPE_NONE, 0);
}

static void
atl_param_row_init (AtlParamRow *self)
{
  self->cut = NAN;
  self->reset_button = gtk_button_new_from_icon_name ("edit-undo-symbolic");
  gtk_widget_set_valign (self->reset_button, GTK_ALIGN_CENTER);
  gtk_widget_set_visible (self->reset_button, FALSE);
  gtk_widget_add_css_class (self->reset_button, "flat");
  gtk_widget_set_tooltip_text (self->reset_button, _ ("Back to the recommended value"));
  g_signal_connect (self->reset_button, "clicked", G_CALLBACK (reset_cb), self);
  adw_action_row_add_suffix (ADW_ACTION_ROW (self), self->reset_button);
}

static guint
digits (double step)
{
  return step >= 1 ? 0 : step >= 0.1 ? 1 : 2;
}

/* A row names what it activates: a label of their own would be read out twice. */
static void
add_toggle (AtlParamRow *self)
{
  self->toggle = gtk_switch_new ();
  gtk_widget_set_valign (self->toggle, GTK_ALIGN_CENTER);
  g_signal_connect_swapped (self->toggle, "notify::active", G_CALLBACK (active_cb), self);
  adw_action_row_add_suffix (ADW_ACTION_ROW (self), self->toggle);
  adw_action_row_set_activatable_widget (ADW_ACTION_ROW (self), self->toggle);
}

static void
add_spin (AtlParamRow *self)
{
  const AtlChatParamSpec *spec = self->spec;
  int width = spec->max >= 1e9 ? 10 : 6; /* a seed's last digits count too */

  self->spin = gtk_spin_button_new_with_range (spec->min, spec->max, spec->step);
  if (spec->min == -1 || spec == &atl_load_n_ctx)
    {
      self->none = g_str_equal (spec->key, "seed")         ? _ ("random")
                   : g_str_equal (spec->key, "max-tokens") ? _ ("no limit")
                                                           : _ ("auto");
      g_signal_connect (self->spin, "output", G_CALLBACK (output_cb), self);
    }
  /* Else a comma could not be typed where numbers have points. */
  gtk_spin_button_set_numeric (GTK_SPIN_BUTTON (self->spin), FALSE);
  g_signal_connect (self->spin, "input", G_CALLBACK (input_cb), self);
  gtk_spin_button_set_digits (GTK_SPIN_BUTTON (self->spin), digits (spec->step));
  gtk_editable_set_width_chars (GTK_EDITABLE (self->spin), width);
  gtk_editable_set_max_width_chars (GTK_EDITABLE (self->spin), width);
  gtk_widget_set_valign (self->spin, GTK_ALIGN_CENTER);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->spin), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                  _ (spec->tooltip), -1);
  g_signal_connect (self->spin, "value-changed", G_CALLBACK (value_cb), self);
  adw_action_row_add_suffix (ADW_ACTION_ROW (self), self->spin);
  adw_action_row_set_activatable_widget (ADW_ACTION_ROW (self), self->spin);
  atl_wheel_ignore (self->spin);
}

GtkWidget *
atl_param_row_new (const AtlChatParamSpec *spec)
{
  AtlParamRow *self = g_object_new (ATL_TYPE_PARAM_ROW, NULL);
  const char *label = _ (spec->label);
  g_autofree char *reset = g_strdup_printf (_ ("%s: back to the recommended value"), label);

  self->spec = spec;
  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (self), FALSE);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self), label);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self), spec->term);
  gtk_widget_set_tooltip_text (GTK_WIDGET (self), _ (spec->tooltip));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->reset_button),
                                  GTK_ACCESSIBLE_PROPERTY_LABEL, reset, -1);
  if (spec->kind == ATL_PARAM_BOOL)
    add_toggle (self);
  else
    add_spin (self);
  return GTK_WIDGET (self);
}
