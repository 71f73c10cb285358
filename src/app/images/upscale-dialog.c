/* One question and, where it is needed, one download. */
#include "app/images/upscale-dialog.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/combo-row.h"
#include "app/fetch-progress.h"
#include "app/models/model-list.h"
#include "app/words.h"
#include "hub/starter-upscaler.h"

#define N_FACTORS 3

static const guint factors[N_FACTORS] = { 2, 3, 4 };

/* One to choose from. */
typedef struct
{
  char *path;        /* (nullable) not here yet */
  guint starter;     /* its place among the starters, where path is NULL */
  const char *about; /* (nullable) */
} Network;

struct _AtlUpscaleDialog
{
  AdwWindow parent_instance;

  AtlPicturesSession *pictures; /* borrowed */
  char *path;                   /* (nullable) */
  GPtrArray *networks;          /* (element-type Network) */
  GCancellable *reading;        /* (nullable) of the picture */
  guint width, height;          /* of the picture; 0: not known yet */

  GtkWidget *title;
  GtkWidget *size_group;
  GtkWidget *factor_buttons[N_FACTORS];
  GtkWidget *size_label;
  GtkWidget *network_row;
  GtkWidget *about_label;
  GtkWidget *fetch_label;
  GtkWidget *progress;
  GtkWidget *error_label;
  GtkWidget *go_button;
};

G_DEFINE_FINAL_TYPE (AtlUpscaleDialog, atl_upscale_dialog, ADW_TYPE_WINDOW)

static guint chosen_signal;

static void
network_free (gpointer data)
{
  Network *network = data;

  g_free (network->path);
  g_free (network);
}

static const Network *
chosen (AtlUpscaleDialog *self)
{
  guint at = adw_combo_row_get_selected (ADW_COMBO_ROW (self->network_row));

  return at < self->networks->len ? self->networks->pdata[at] : NULL;
}

static guint
factor (AtlUpscaleDialog *self)
{
  for (guint i = 0; i < N_FACTORS; i++)
    if (gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (self->factor_buttons[i])))
      return factors[i];
  return factors[0];
}

/* --- What is shown --- */

/* Once the network has made something larger here; negative before. */
static double
seconds_of (AtlUpscaleDialog *self, const Network *network)
{
  AtlSession *session = atl_pictures_session_get_session (self->pictures);

  return network == NULL || network->path == NULL
             ? -1
             : atl_client_price_larger (atl_session_get_client (session), network->path,
                                        self->width, self->height);
}

static void
refresh_size (AtlUpscaleDialog *self)
{
  double seconds = seconds_of (self, chosen (self));
  g_autofree char *time = seconds >= 0 ? atl_format_seconds (seconds) : NULL;
  g_autofree char *words = NULL, *priced = NULL;

  if (self->width == 0)
    return;
  for (guint i = 0; i < N_FACTORS; i++)
    gtk_widget_set_sensitive (self->factor_buttons[i],
                              MAX (self->width, self->height) * factors[i] <=
                                  ATL_MAX_UPSCALED_SIDE);
  words = g_strdup_printf (_ ("From %u × %u to %u × %u pixels"), self->width, self->height,
                           self->width * factor (self), self->height * factor (self));
  priced = time != NULL ? g_strdup_printf ("%s · ≈ %s", words, time) : g_strdup (words);
  gtk_label_set_text (GTK_LABEL (self->size_label), priced);
}

static void
refresh (AtlUpscaleDialog *self)
{
  const Network *network = chosen (self);
  gboolean fetching = atl_fetch_progress_get_is_running (ATL_FETCH_PROGRESS (self->progress));
  gboolean is_here = network != NULL && network->path != NULL;
  g_autofree char *words = NULL;
  guint n;

  if (network == NULL)
    return;
  gtk_label_set_text (GTK_LABEL (self->about_label), network->about != NULL ? network->about : "");
  gtk_widget_set_visible (self->about_label, network->about != NULL);
  if (!is_here)
    {
      const AtlStarterUpscaler *starter = &atl_starter_upscaler_list (&n)[network->starter];
      g_autofree char *size = atl_format_bytes (starter->download_bytes);

      /* Translators: a size such as "46 MB", and a licence. */
      words = g_strdup_printf (
          _ ("Not on this computer yet: %s are downloaded once, then it begins. Licence: %s"), size,
          starter->license);
      gtk_label_set_text (GTK_LABEL (self->fetch_label), words);
    }
  gtk_widget_set_visible (self->fetch_label, !is_here && !fetching);
  gtk_button_set_label (GTK_BUTTON (self->go_button), !is_here             ? _ ("_Download")
                                                      : self->path == NULL ? _ ("_Use It")
                                                                           : _ ("_Enlarge"));
  gtk_widget_set_sensitive (self->go_button, !fetching && (self->path == NULL || self->width > 0));
  gtk_widget_set_sensitive (self->network_row, !fetching);
  gtk_widget_set_sensitive (self->size_group, !fetching);
  refresh_size (self);
}

static void
fail (AtlUpscaleDialog *self, const char *words)
{
  gtk_label_set_text (GTK_LABEL (self->error_label), words);
  gtk_widget_set_visible (self->error_label, TRUE);
  atl_accessible_announce (GTK_WIDGET (self), words);
}

/* --- What there is to choose from --- */

static void
add_network (
    AtlUpscaleDialog *self, GtkStringList *names, const char *name, char *path, guint starter)
{
  Network *network = g_new0 (Network, 1);
  guint n;

  network->path = path;
  network->starter = starter;
  if (starter != G_MAXUINT)
    network->about = atl_starter_upscaler_list (&n)[starter].about;
  g_ptr_array_add (self->networks, network);
  gtk_string_list_append (names, name);
}

static gboolean
has_network (AtlUpscaleDialog *self, const char *path)
{
  for (guint i = 0; i < self->networks->len; i++)
    if (g_strcmp0 (((Network *) self->networks->pdata[i])->path, path) == 0)
      return TRUE;
  return FALSE;
}

/* The starters first, then what else is in the library. */
static void
fill_networks (AtlUpscaleDialog *self)
{
  AtlModelList *list = atl_session_get_models (atl_pictures_session_get_session (self->pictures));
  GListModel *models = G_LIST_MODEL (list);
  g_autoptr (GtkStringList) names = gtk_string_list_new (NULL);
  g_autofree char *used = atl_pictures_session_dup_upscaler (self->pictures);
  guint n, at = 0;
  const AtlStarterUpscaler *starters = atl_starter_upscaler_list (&n);

  g_ptr_array_set_size (self->networks, 0);
  for (guint i = 0; i < n; i++)
    add_network (self, names, starters[i].title, atl_starter_upscaler_find (NULL, i), i);
  for (guint i = 0; i < g_list_model_get_n_items (models); i++)
    {
      g_autoptr (AtlModelEntry) entry = g_list_model_get_item (models, i);

      if (entry->kind == ATL_MODEL_UPSCALER && entry->why_not == NULL &&
          !has_network (self, entry->path))
        add_network (self, names, entry->name, g_strdup (entry->path), G_MAXUINT);
    }
  /* The one used last, when nobody has looked into it yet. */
  if (used != NULL && !has_network (self, used))
    {
      g_autofree char *name = atl_model_list_get_name (list, used);

      add_network (self, names, name, g_strdup (used), G_MAXUINT);
    }
  adw_combo_row_set_model (ADW_COMBO_ROW (self->network_row), G_LIST_MODEL (names));
  for (guint i = 0; used != NULL && i < self->networks->len; i++)
    if (g_strcmp0 (((Network *) self->networks->pdata[i])->path, used) == 0)
      at = i;
  adw_combo_row_set_selected (ADW_COMBO_ROW (self->network_row), at);
}

/* --- Going on --- */

static void
accept (AtlUpscaleDialog *self, const char *network)
{
  atl_pictures_session_set_upscaler (self->pictures, network);
  g_signal_emit (self, chosen_signal, 0, self->path != NULL ? factor (self) : 0);
  gtk_window_destroy (GTK_WINDOW (self));
}

static void
progress_cb (const AtlHubProgress *progress, gpointer data)
{
  AtlUpscaleDialog *self = data;

  if (self->pictures != NULL)
    atl_fetch_progress_show (ATL_FETCH_PROGRESS (self->progress), progress);
}

static void
fetched_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlUpscaleDialog) self = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = atl_starter_upscaler_fetch_finish (result, &error);

  if (self->pictures == NULL)
    return;
  atl_fetch_progress_end (ATL_FETCH_PROGRESS (self->progress));
  if (path != NULL)
    {
      atl_session_emit_models_changed (atl_pictures_session_get_session (self->pictures));
      accept (self, path);
      return;
    }
  refresh (self);
  gtk_widget_grab_focus (self->go_button);
  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    fail (self, error->message);
}

static void
go_cb (AtlUpscaleDialog *self)
{
  const Network *network = chosen (self);
  GCancellable *cancel;

  if (network == NULL)
    return;
  if (network->path != NULL)
    {
      accept (self, network->path);
      return;
    }
  gtk_widget_set_visible (self->error_label, FALSE);
  cancel = atl_fetch_progress_begin (ATL_FETCH_PROGRESS (self->progress));
  refresh (self);
  atl_starter_upscaler_fetch_async (NULL, network->starter, progress_cb, self, cancel, fetched_cb,
                                    g_object_ref (self));
}

/* Enter on a size begins; Space chooses it. */
static gboolean
size_key_cb (GtkEventControllerKey *keys,
             guint key,
             guint code,
             GdkModifierType mods,
             AtlUpscaleDialog *self)
{
  if (key != GDK_KEY_Return && key != GDK_KEY_KP_Enter && key != GDK_KEY_ISO_Enter)
    return GDK_EVENT_PROPAGATE;
  if (gtk_widget_is_sensitive (self->go_button))
    gtk_widget_activate (self->go_button);
  return GDK_EVENT_STOP;
}

static void
read_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlUpscaleDialog) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPictureFile) file =
      atl_client_read_picture_finish (ATL_CLIENT (source), result, &error);

  if (self->pictures == NULL)
    return;
  if (file == NULL)
    {
      fail (self, error->message);
      return;
    }
  self->width = file->full_width;
  self->height = file->full_height;
  refresh (self);
}

/* --- GObject --- */

/* Closed: fetched_cb() would keep it, and all of it would come. */
static void
atl_upscale_dialog_unmap (GtkWidget *widget)
{
  atl_fetch_progress_cancel (ATL_FETCH_PROGRESS (ATL_UPSCALE_DIALOG (widget)->progress));
  GTK_WIDGET_CLASS (atl_upscale_dialog_parent_class)->unmap (widget);
}

static void
atl_upscale_dialog_dispose (GObject *object)
{
  AtlUpscaleDialog *self = ATL_UPSCALE_DIALOG (object);

  self->pictures = NULL;
  if (self->reading != NULL)
    g_cancellable_cancel (self->reading);
  g_clear_object (&self->reading);
  G_OBJECT_CLASS (atl_upscale_dialog_parent_class)->dispose (object);
}

static void
atl_upscale_dialog_finalize (GObject *object)
{
  AtlUpscaleDialog *self = ATL_UPSCALE_DIALOG (object);

  g_free (self->path);
  g_ptr_array_unref (self->networks);
  G_OBJECT_CLASS (atl_upscale_dialog_parent_class)->finalize (object);
}

static void
atl_upscale_dialog_class_init (AtlUpscaleDialogClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_upscale_dialog_dispose;
  G_OBJECT_CLASS (klass)->finalize = atl_upscale_dialog_finalize;
  widget_class->unmap = atl_upscale_dialog_unmap;
  g_type_ensure (ATL_TYPE_FETCH_PROGRESS);
  chosen_signal = g_signal_new ("chosen", ATL_TYPE_UPSCALE_DIALOG, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                NULL, G_TYPE_NONE, 1, G_TYPE_UINT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/upscale-dialog.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlUpscaleDialog, name)
  BIND (title);
  BIND (size_group);
  BIND (size_label);
  BIND (network_row);
  BIND (about_label);
  BIND (fetch_label);
  BIND (progress);
  BIND (error_label);
  BIND (go_button);
#undef BIND
  for (guint i = 0; i < N_FACTORS; i++)
    {
      g_autofree char *name = g_strdup_printf ("factor_%u", factors[i]);

      gtk_widget_class_bind_template_child_full (
          widget_class, g_intern_string (name), FALSE,
          (gssize) (G_STRUCT_OFFSET (AtlUpscaleDialog, factor_buttons) + i * sizeof (GtkWidget *)));
    }
  gtk_widget_class_bind_template_callback (widget_class, refresh);
  gtk_widget_class_bind_template_callback (widget_class, go_cb);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_Escape, 0, "window.close", NULL);
}

static void
atl_upscale_dialog_init (AtlUpscaleDialog *self)
{
  GtkEventController *keys = gtk_event_controller_key_new ();

  self->networks = g_ptr_array_new_with_free_func (network_free);
  gtk_widget_init_template (GTK_WIDGET (self));
  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (size_key_cb), self);
  gtk_widget_add_controller (self->size_group, keys);
  atl_combo_row_show_whole (ADW_COMBO_ROW (self->network_row));
  atl_accessible_name_combo_row (self->network_row);
}

AtlUpscaleDialog *
atl_upscale_dialog_new (GtkWindow *parent, AtlPicturesSession *pictures, const char *path)
{
  /* GTK 4.8 forgets the role of a window whose template gives it a name. */
  AtlUpscaleDialog *self =
      g_object_new (ATL_TYPE_UPSCALE_DIALOG, "accessible-role", GTK_ACCESSIBLE_ROLE_DIALOG,
                    "transient-for", parent, "modal", TRUE, "destroy-with-parent", TRUE, NULL);

  self->pictures = pictures;
  self->path = g_strdup (path);
  gtk_widget_set_visible (self->size_group, path != NULL);
  if (path != NULL)
    {
      g_autofree char *name = g_path_get_basename (path);

      adw_window_title_set_subtitle (ADW_WINDOW_TITLE (self->title), name);
      self->reading = g_cancellable_new ();
      atl_client_read_picture_async (
          atl_session_get_client (atl_pictures_session_get_session (pictures)), path, NULL, 16,
          self->reading, read_cb, g_object_ref (self));
    }
  fill_networks (self);
  refresh (self);
  gtk_window_set_default_widget (GTK_WINDOW (self), self->go_button);
  gtk_window_set_focus (GTK_WINDOW (self),
                        path != NULL ? self->factor_buttons[0] : self->go_button);
  return self;
}
