/* Rows of adapters under the settings of a chat. */
#include "app/chat/adapter-list.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/wheel.h"

#define STRENGTH_MS 200
/* Between two tries while the model answers. */
#define BUSY_MS 1000
#define MAX_STRENGTH 2.0

struct _AtlAdapterList
{
  AdwPreferencesGroup parent_instance;

  AtlSession *session;
  GPtrArray *rows; /* (element-type GtkWidget) borrowed */
  GtkWidget *add_button;
  GStrv added; /* (nullable) what the load under way adds: taken back when it fails */
  guint strength_source;
  gboolean showing; /* sliders are being set, not moved */
  gboolean waiting; /* it was said that the strengths wait for an answer's end */
};

G_DEFINE_FINAL_TYPE (AtlAdapterList, atl_adapter_list, ADW_TYPE_PREFERENCES_GROUP)

static guint notice_signal;

static AtlModel *
get_model (AtlAdapterList *self)
{
  return self->session != NULL ? atl_session_get_model (self->session) : NULL;
}

/* "PATH:STRENGTH" of every adapter of the model; the caller's. */
static char **
get_adapters (AtlAdapterList *self)
{
  return atl_session_dup_adapters (self->session, atl_model_get_paths (get_model (self))[0]);
}

static void
set_adapters (AtlAdapterList *self, char **adapters)
{
  atl_session_set_adapters (self->session, atl_model_get_paths (get_model (self))[0],
                            (const char *const *) adapters);
}

static GtkRange *
slider_of (GtkWidget *row)
{
  return g_object_get_data (G_OBJECT (row), "slider");
}

/* Whether the model was loaded with it; else its file was gone or refused. */
static gboolean
is_used (AtlAdapterList *self, const char *adapter)
{
  const char *const *used = atl_model_get_adapters (get_model (self));
  g_autofree char *path = atl_adapter_parse (adapter, NULL);

  for (; used != NULL && *used != NULL; used++)
    {
      g_autofree char *other = atl_adapter_parse (*used, NULL);

      if (g_str_equal (path, other))
        return TRUE;
    }
  return FALSE;
}

static char *
with_strength (const char *adapter, double strength)
{
  g_autofree char *path = atl_adapter_parse (adapter, NULL);
  int hundredths = (int) (strength * 100 + 0.5);

  return g_strdup_printf ("%s:%d.%02d", path, hundredths / 100, hundredths % 100);
}

static gboolean strength_timeout_cb (gpointer data);

static void
strengths_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlAdapterList) self = data;
  g_autoptr (GError) error = NULL;

  gboolean was_waiting = self->waiting;
  gboolean done = atl_client_set_strengths_finish (ATL_CLIENT (source), result, &error);

  self->waiting = g_error_matches (error, ATL_ERROR, ATL_ERROR_BUSY);
  if (!done && !(self->waiting && was_waiting))
    g_signal_emit (self, notice_signal, 0, error->message);
  /* What the sliders show is used as soon as it can be. */
  if (self->waiting && self->session != NULL && self->strength_source == 0)
    self->strength_source = g_timeout_add (BUSY_MS, strength_timeout_cb, self);
}

static void
apply_strengths (AtlAdapterList *self)
{
  g_auto (GStrv) adapters = NULL;
  g_autofree double *strengths = NULL;
  guint n, n_used = 0;

  g_clear_handle_id (&self->strength_source, g_source_remove);
  if (get_model (self) == NULL)
    return;
  adapters = get_adapters (self);
  n = g_strv_length (adapters);
  if (n != self->rows->len)
    return;
  strengths = g_new (double, n + 1);
  for (guint i = 0; i < n; i++)
    {
      double strength = gtk_range_get_value (slider_of (self->rows->pdata[i]));
      char *changed = with_strength (adapters[i], strength);

      if (is_used (self, adapters[i]))
        strengths[n_used++] = strength;
      g_free (adapters[i]);
      adapters[i] = changed;
    }
  set_adapters (self, adapters);
  atl_client_set_strengths_async (atl_session_get_client (self->session), get_model (self),
                                  strengths, n_used, NULL, strengths_cb, g_object_ref (self));
}

static gboolean
strength_timeout_cb (gpointer data)
{
  AtlAdapterList *self = data;

  self->strength_source = 0;
  apply_strengths (self);
  return G_SOURCE_REMOVE;
}

static void
moved_cb (AtlAdapterList *self)
{
  if (self->showing || self->strength_source != 0)
    return;
  self->strength_source = g_timeout_add (STRENGTH_MS, strength_timeout_cb, self);
}

static void
load_again (AtlAdapterList *self)
{
  g_auto (GStrv) paths = g_strdupv ((char **) atl_model_get_paths (get_model (self)));

  atl_session_load_model (self->session, (const char *const *) paths, FALSE);
}

/* The list without `adapter`'s file. */
static void
take_out (AtlAdapterList *self, const char *adapter)
{
  g_auto (GStrv) adapters = get_adapters (self);
  g_autoptr (GStrvBuilder) rest = g_strv_builder_new ();
  g_autofree char *gone = atl_adapter_parse (adapter, NULL);
  g_auto (GStrv) list = NULL;

  for (guint i = 0; adapters[i] != NULL; i++)
    {
      g_autofree char *path = atl_adapter_parse (adapters[i], NULL);

      if (!g_str_equal (path, gone))
        g_strv_builder_add (rest, adapters[i]);
    }
  list = g_strv_builder_end (rest);
  set_adapters (self, list);
}

static void
remove_cb (GtkButton *button, AtlAdapterList *self)
{
  if (get_model (self) == NULL)
    return;
  take_out (self, g_object_get_data (G_OBJECT (button), "adapter"));
  load_again (self);
}

char *
atl_adapter_list_dup_name (const char *path)
{
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *base = g_path_get_basename (path);
  char *name =
      g_filename_display_basename (g_str_has_prefix (base, "adapter_model.") ? folder : path);

  if (g_str_has_suffix (name, ".safetensors") || g_str_has_suffix (name, ".gguf"))
    *strrchr (name, '.') = '\0';
  return name;
}

static GtkWidget *
make_row (AtlAdapterList *self, const char *adapter)
{
  double strength;
  g_autofree char *path = atl_adapter_parse (adapter, &strength);
  g_autofree char *name = atl_adapter_list_dup_name (path);
  g_autofree char *words = g_strdup_printf (_ ("Strength of %s"), name);
  GtkWidget *row = adw_action_row_new ();
  GtkWidget *slider = gtk_scale_new_with_range (GTK_ORIENTATION_HORIZONTAL, 0, MAX_STRENGTH, 0.05);
  GtkWidget *remove = gtk_button_new_from_icon_name ("user-trash-symbolic");

  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (row), FALSE);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), name);
  if (!is_used (self, adapter))
    {
      adw_action_row_set_subtitle (ADW_ACTION_ROW (row),
                                   g_file_test (path, G_FILE_TEST_EXISTS)
                                       ? _ ("Not used: the model was refused with it.")
                                       : _ ("Its file is not there any more."));
      gtk_widget_set_sensitive (slider, FALSE);
    }
  gtk_scale_set_draw_value (GTK_SCALE (slider), TRUE);
  gtk_scale_set_value_pos (GTK_SCALE (slider), GTK_POS_RIGHT);
  gtk_scale_add_mark (GTK_SCALE (slider), 1, GTK_POS_BOTTOM, NULL);
  gtk_widget_set_size_request (slider, 130, -1);
  gtk_range_set_value (GTK_RANGE (slider), strength);
  gtk_accessible_update_property (GTK_ACCESSIBLE (slider), GTK_ACCESSIBLE_PROPERTY_LABEL, words,
                                  -1);
  atl_wheel_ignore (slider);
  g_signal_connect_swapped (slider, "value-changed", G_CALLBACK (moved_cb), self);
  gtk_widget_set_valign (remove, GTK_ALIGN_CENTER);
  gtk_widget_add_css_class (remove, "flat");
  gtk_widget_set_tooltip_text (remove, _ ("Do not use this adapter any more"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (remove), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Do not use this adapter any more"), -1);
  g_object_set_data_full (G_OBJECT (remove), "adapter", g_strdup (adapter), g_free);
  g_signal_connect (remove, "clicked", G_CALLBACK (remove_cb), self);
  adw_action_row_add_suffix (ADW_ACTION_ROW (row), slider);
  adw_action_row_add_suffix (ADW_ACTION_ROW (row), remove);
  g_object_set_data (G_OBJECT (row), "slider", slider);
  return row;
}

static void
show_adapters (AtlAdapterList *self)
{
  g_auto (GStrv) adapters = NULL;

  for (guint i = 0; i < self->rows->len; i++)
    adw_preferences_group_remove (ADW_PREFERENCES_GROUP (self), self->rows->pdata[i]);
  g_ptr_array_set_size (self->rows, 0);
  gtk_widget_set_sensitive (self->add_button, get_model (self) != NULL);
  if (get_model (self) == NULL)
    return;
  adapters = get_adapters (self);
  self->showing = TRUE;
  for (guint i = 0; adapters[i] != NULL; i++)
    {
      GtkWidget *row = make_row (self, adapters[i]);

      adw_preferences_group_add (ADW_PREFERENCES_GROUP (self), row);
      g_ptr_array_add (self->rows, row);
    }
  self->showing = FALSE;
}

static void
model_cb (AtlAdapterList *self)
{
  g_clear_pointer (&self->added, g_strfreev);
  g_clear_handle_id (&self->strength_source, g_source_remove);
  self->waiting = FALSE;
  show_adapters (self);
}

/* An adapter that does not fit is not asked for again: the model in use is still there. */
static void
failed_cb (AtlAdapterList *self)
{
  if (self->added == NULL || get_model (self) == NULL)
    return;
  for (guint i = 0; self->added[i] != NULL; i++)
    take_out (self, self->added[i]);
  g_clear_pointer (&self->added, g_strfreev);
  show_adapters (self);
}

void
atl_adapter_list_set_session (AtlAdapterList *self, AtlSession *session)
{
  if (!g_set_object (&self->session, session))
    return;
  g_signal_connect_object (session, "notify::model", G_CALLBACK (model_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "load-failed", G_CALLBACK (failed_cb), self, G_CONNECT_SWAPPED);
  show_adapters (self);
}

void
atl_adapter_list_add (AtlAdapterList *self, GFile *const *files, guint n_files)
{
  g_auto (GStrv) adapters = NULL, added = NULL, all = NULL;
  g_autoptr (GStrvBuilder) list = g_strv_builder_new (), news = g_strv_builder_new ();

  if (get_model (self) == NULL || self->added != NULL)
    return;
  for (guint i = 0; i < n_files; i++)
    {
      g_autofree char *path = g_file_get_path (files[i]);
      g_autofree char *adapter = path != NULL ? g_strconcat (path, ":1.00", NULL) : NULL;

      if (adapter == NULL)
        continue;
      take_out (self, adapter);
      g_strv_builder_add (news, adapter);
    }
  added = g_strv_builder_end (news);
  if (added[0] == NULL)
    return;
  adapters = get_adapters (self);
  g_strv_builder_addv (list, (const char **) adapters);
  g_strv_builder_addv (list, (const char **) added);
  all = g_strv_builder_end (list);
  set_adapters (self, all);
  self->added = g_steal_pointer (&added);
  load_again (self);
}

static void
chosen_cb (GtkNativeDialog *chooser, int response, AtlAdapterList *self)
{
  g_autoptr (GFile) file = response == GTK_RESPONSE_ACCEPT
                               ? gtk_file_chooser_get_file (GTK_FILE_CHOOSER (chooser))
                               : NULL;

  if (file != NULL)
    atl_adapter_list_add (self, &file, 1);
  g_object_unref (chooser);
}

static void
add_cb (AtlAdapterList *self)
{
  GtkFileChooserNative *chooser = gtk_file_chooser_native_new (
      _ ("Add an adapter"), GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))),
      GTK_FILE_CHOOSER_ACTION_OPEN, _ ("_Open"), NULL);
  g_autoptr (GtkFileFilter) filter = gtk_file_filter_new ();

  gtk_file_filter_set_name (filter, _ ("Adapters (.gguf, .safetensors)"));
  gtk_file_filter_add_pattern (filter, "*.gguf");
  gtk_file_filter_add_pattern (filter, "*.safetensors");
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (chooser), filter);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (chooser), TRUE);
  g_signal_connect_object (chooser, "response", G_CALLBACK (chosen_cb), self, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (chooser));
}

static void
atl_adapter_list_dispose (GObject *object)
{
  AtlAdapterList *self = ATL_ADAPTER_LIST (object);

  g_clear_handle_id (&self->strength_source, g_source_remove);
  g_clear_pointer (&self->rows, g_ptr_array_unref);
  g_clear_pointer (&self->added, g_strfreev);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_adapter_list_parent_class)->dispose (object);
}

static void
atl_adapter_list_class_init (AtlAdapterListClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = atl_adapter_list_dispose;
  notice_signal = g_signal_new ("notice", ATL_TYPE_ADAPTER_LIST, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void
atl_adapter_list_init (AtlAdapterList *self)
{
  self->rows = g_ptr_array_new ();
  self->add_button = gtk_button_new_from_icon_name ("list-add-symbolic");
  gtk_widget_add_css_class (self->add_button, "flat");
  gtk_widget_set_tooltip_text (self->add_button, _ ("Add an adapter"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->add_button), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Add an adapter"), -1);
  gtk_widget_set_sensitive (self->add_button, FALSE);
  g_signal_connect_swapped (self->add_button, "clicked", G_CALLBACK (add_cb), self);
  adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (self), _ ("Adapters"));
  adw_preferences_group_set_description (
      ADW_PREFERENCES_GROUP (self),
      _ ("LoRA files that give this model another manner. Drop one here."));
  adw_preferences_group_set_header_suffix (ADW_PREFERENCES_GROUP (self), self->add_button);
}
