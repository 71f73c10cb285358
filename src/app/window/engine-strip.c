/* What the engine holds and does, as the engine itself says it. */
#include "app/window/engine-strip.h"

#include <glib/gi18n.h>

#include "app/images/pictures-session.h"
#include "app/models/model-list.h"
#include "app/words.h"

struct _AtlEngineStrip
{
  GtkWidget parent_instance;

  AtlSession *session;   /* (nullable) */
  GSignalGroup *task;    /* of the picture that is being drawn */
  gboolean for_pictures; /* the model of the page in sight is one for pictures */

  GtkWidget *button;
  GtkWidget *title_label;
  GtkWidget *detail_label;
  GtkWidget *memory_bar;
  GtkWidget *job_bar;
  GtkWidget *popover;
  GtkWidget *popover_box;
};

G_DEFINE_FINAL_TYPE (AtlEngineStrip, atl_engine_strip, GTK_TYPE_WIDGET)

static AtlEngineStatus *
get_status (AtlEngineStrip *self)
{
  return atl_client_get_status (atl_session_get_client (self->session));
}

static guint64
parts_bytes (const AtlEngineStatus *status)
{
  guint64 sum = 0;

  for (guint i = 0; status != NULL && i < status->n_parts; i++)
    sum += status->parts[i].ram_bytes + status->parts[i].vram_bytes;
  return sum;
}

/* Whether a model is at an answer. One that draws is told by what is drawn: what the engine said of
 * it last may be older. */
static gboolean
is_writing (AtlEngineStrip *self, const AtlEngineStatus *status)
{
  AtlModel *picture = atl_pictures_session_get_model (atl_pictures_session_get (self->session));
  const char *draws = picture != NULL ? atl_model_get_info (picture)->name : NULL;

  for (guint i = 0; status != NULL && i < status->n_parts; i++)
    if (status->parts[i].is_busy && g_strcmp0 (status->parts[i].name, draws) != 0)
      return TRUE;
  return atl_session_get_running (self->session) != NULL;
}

/* The picture that is being drawn, or NULL. */
static AtlPictureTask *
drawing (AtlEngineStrip *self)
{
  return atl_pictures_session_get_current (atl_pictures_session_get (self->session));
}

char *
atl_engine_strip_memory_words (guint64 used, guint64 total)
{
  g_autofree char *used_words = atl_format_bytes (used);
  g_autofree char *total_words = atl_format_bytes (total);

  if (used == 0)
    return g_strdup (_ ("Memory is free"));
  if (used > total)
    return g_strdup_printf (_ ("%s, in part on the disk"), used_words);
  return g_strdup_printf (_ ("%s of %s"), used_words, total_words);
}

static char *
detail_words (AtlEngineStrip *self, const AtlEngineStatus *status)
{
  g_autofree char *memory = atl_engine_strip_memory_words (
      parts_bytes (status), status ? atl_engine_status_memory (status) : 0);

  if (atl_session_get_is_loading (self->session))
    return g_strdup (atl_session_get_load_phase (self->session));
  if (drawing (self) != NULL)
    return g_strdup_printf (
        atl_pictures_session_get_is_paused (atl_pictures_session_get (self->session)) &&
                !atl_picture_task_pauses_after (drawing (self))
            ? _ ("Paused · %d %%")
        : atl_picture_task_get_source (drawing (self)) != NULL ? _ ("Enlarging · %d %%")
                                                               : _ ("Drawing · %d %%"),
        (int) (100 * atl_picture_task_get_fraction (drawing (self))));
  if (parts_bytes (status) > 0 && is_writing (self, status))
    return g_strdup_printf (_ ("Writing · %s"), memory);
  return g_steal_pointer (&memory);
}

/* What the engine calls a model, by the name that it has in the lists. */
static const char *
part_name (AtlEngineStrip *self, const char *name)
{
  AtlPicturesSession *pictures = atl_pictures_session_get (self->session);
  AtlModel *chat = atl_session_get_model (self->session);
  AtlModel *picture = atl_pictures_session_get_model (pictures);

  if (chat != NULL && g_strcmp0 (atl_model_get_info (chat)->name, name) == 0)
    return atl_session_get_model_name (self->session);
  if (picture != NULL && g_strcmp0 (atl_model_get_info (picture)->name, name) == 0)
    return atl_pictures_session_get_model_name (pictures);
  return name;
}

static gboolean
is_part (AtlModel *model, const char *name)
{
  return model != NULL && g_strcmp0 (atl_model_get_info (model)->name, name) == 0;
}

/* The model in use on the page in sight, else the one that is in use elsewhere, and not another of
 * several, as for a comparison; else the first that was loaded. */
static const char *
first_name (AtlEngineStrip *self, const AtlEngineStatus *status)
{
  AtlModel *chat = atl_session_get_model (self->session);
  AtlModel *picture = atl_pictures_session_get_model (atl_pictures_session_get (self->session));
  AtlModel *used[] = { self->for_pictures ? picture : chat, self->for_pictures ? chat : picture };

  for (gsize k = 0; k < G_N_ELEMENTS (used); k++)
    for (guint i = 0; i < status->n_parts; i++)
      if (is_part (used[k], status->parts[i].name))
        return part_name (self, status->parts[i].name);
  return part_name (self, status->parts[0].name);
}

static void
refresh (AtlEngineStrip *self)
{
  const AtlEngineStatus *status = get_status (self);
  AtlEngineState state = atl_client_get_state (atl_session_get_client (self->session));
  gboolean loading = atl_session_get_is_loading (self->session);
  guint64 total = status ? atl_engine_status_memory (status) : 0;
  g_autofree char *detail = detail_words (self, status);
  g_autofree char *upscaler = NULL;
  const char *title = _ ("No model in memory");

  if (drawing (self) != NULL && atl_picture_task_get_source (drawing (self)) != NULL)
    {
      AtlPicturesSession *pictures = atl_pictures_session_get (self->session);
      g_autofree char *path = atl_pictures_session_dup_upscaler (pictures);

      title = upscaler =
          path != NULL ? atl_model_list_get_name (atl_session_get_models (self->session), path)
                       : NULL;
    }
  else if (drawing (self) != NULL)
    title = atl_pictures_session_get_model_name (atl_pictures_session_get (self->session));
  else if (status != NULL && status->n_parts > 0)
    title = first_name (self, status);
  if (loading)
    title = atl_session_get_load_name (self->session);
  else if (state == ATL_ENGINE_NOT_RESPONDING)
    title = _ ("The engine does not respond");
  gtk_label_set_text (GTK_LABEL (self->title_label), title);
  gtk_label_set_text (GTK_LABEL (self->detail_label), detail);
  gtk_level_bar_set_value (GTK_LEVEL_BAR (self->memory_bar),
                           total ? MIN ((double) parts_bytes (status) / (double) total, 1) : 0);
  gtk_widget_set_visible (self->job_bar, loading || drawing (self) != NULL);
  gtk_widget_set_visible (self->memory_bar, !loading && drawing (self) == NULL);
  if (loading)
    gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (self->job_bar),
                                   atl_session_get_load_fraction (self->session));
  else if (drawing (self) != NULL)
    gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (self->job_bar),
                                   atl_picture_task_get_fraction (drawing (self)));
}

/* --- The ledger --- */

/* It is as wide as the narrowest window allows. */
#define NAME_CHARS 20
#define LINE_CHARS 32

/* A line with a value on the right, a heading, or, without a value, words that wrap. */
static void
add_line (AtlEngineStrip *self, const char *name, const char *value, gboolean heading)
{
  GtkWidget *left = gtk_label_new (name);

  gtk_label_set_xalign (GTK_LABEL (left), 0);
  gtk_widget_set_hexpand (left, TRUE);
  if (value != NULL)
    {
      GtkWidget *line = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
      GtkWidget *right = gtk_label_new (value);
      gtk_label_set_ellipsize (GTK_LABEL (left), PANGO_ELLIPSIZE_MIDDLE);
      gtk_label_set_max_width_chars (GTK_LABEL (left), NAME_CHARS);
      gtk_widget_set_tooltip_text (left, name);
      gtk_widget_add_css_class (right, "numeric");
      gtk_widget_add_css_class (right, "dim-label");
      gtk_box_append (GTK_BOX (line), left);
      gtk_box_append (GTK_BOX (line), right);
      gtk_box_append (GTK_BOX (self->popover_box), line);
      return;
    }
  gtk_label_set_wrap (GTK_LABEL (left), TRUE);
  gtk_label_set_width_chars (GTK_LABEL (left), LINE_CHARS);
  gtk_label_set_max_width_chars (GTK_LABEL (left), LINE_CHARS);
  if (heading && gtk_widget_get_first_child (self->popover_box) != NULL)
    gtk_widget_set_margin_top (left, 6);
  gtk_widget_add_css_class (left, heading ? "heading" : "caption");
  if (!heading)
    gtk_widget_add_css_class (left, "dim-label");
  gtk_box_append (GTK_BOX (self->popover_box), left);
}

static void
add_total (AtlEngineStrip *self, const char *name, guint64 n_free, guint64 n_total)
{
  g_autofree char *free_words = atl_format_bytes (n_free);
  g_autofree char *total_words = atl_format_bytes (n_total);
  g_autofree char *value = g_strdup_printf (_ ("%s of %s free"), free_words, total_words);

  if (n_total > 0)
    add_line (self, name, value, FALSE);
}

/* A reason that is also used inside of sentences. The caller's. */
static char *
as_sentence (const char *words)
{
  g_autofree char *first = g_utf8_strup (words, (gssize) (g_utf8_next_char (words) - words));

  return g_strconcat (first, g_utf8_next_char (words), NULL);
}

static void
fill_popover (AtlEngineStrip *self)
{
  const AtlEngineStatus *status = get_status (self);
  GtkWidget *child;

  while ((child = gtk_widget_get_first_child (self->popover_box)) != NULL)
    gtk_box_remove (GTK_BOX (self->popover_box), child);
  add_line (self, _ ("Memory"), NULL, TRUE);
  if (status == NULL)
    {
      add_line (self, _ ("The engine is not running. It starts when it is needed."), NULL, FALSE);
      return;
    }
  for (guint i = 0; i < status->n_parts; i++)
    {
      guint64 n_bytes = status->parts[i].ram_bytes + status->parts[i].vram_bytes;
      g_autofree char *bytes = atl_format_bytes (n_bytes);

      /* A model for pictures, between two of them. */
      if (n_bytes > 0)
        add_line (self, part_name (self, status->parts[i].name), bytes, FALSE);
    }
  add_total (self, _ ("Computer"), status->ram_free, status->ram_total);
  if (!status->vram_is_shared)
    add_total (self, _ ("Graphics card"), status->vram_free, status->vram_total);
  add_line (self, _ ("Devices"), NULL, TRUE);
  for (guint i = 0; i < status->n_devices; i++)
    {
      const AtlDeviceInfo *device = &status->devices[i];
      add_line (self, device->name, device->is_used ? _ ("in use") : _ ("not used"), FALSE);
      if (!device->is_used && device->why_not[0] != '\0')
        {
          g_autofree char *why = as_sentence (device->why_not);
          add_line (self, why, NULL, FALSE);
        }
    }
  if (status->sandbox[0] != '\0')
    {
      add_line (self, _ ("Safety"), NULL, TRUE);
      add_line (self, status->sandbox, NULL, FALSE);
    }
}

static void
status_cb (AtlEngineStrip *self)
{
  refresh (self);
  if (gtk_widget_get_visible (self->popover))
    fill_popover (self);
}

static void
model_cb (AtlEngineStrip *self)
{
  refresh (self);
}

static void
drawing_cb (AtlEngineStrip *self)
{
  g_signal_group_set_target (self->task, drawing (self));
  refresh (self);
}

void
atl_engine_strip_set_session (AtlEngineStrip *self, AtlSession *session)
{
  AtlClient *client = atl_session_get_client (session);
  static const char *const watched[] = { "notify::model", "notify::is-loading",
                                         "notify::load-fraction", "notify::load-phase" };

  g_return_if_fail (self->session == NULL);
  self->session = g_object_ref (session);
  for (guint i = 0; i < G_N_ELEMENTS (watched); i++)
    g_signal_connect_object (session, watched[i], G_CALLBACK (model_cb), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (client, "notify::status", G_CALLBACK (status_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (client, "notify::state", G_CALLBACK (status_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_pictures_session_get (session), "notify::current",
                           G_CALLBACK (drawing_cb), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_pictures_session_get (session), "notify::is-paused",
                           G_CALLBACK (refresh), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_pictures_session_get (session), "notify::model",
                           G_CALLBACK (refresh), self, G_CONNECT_SWAPPED);
  refresh (self);
}

void
atl_engine_strip_set_for_pictures (AtlEngineStrip *self, gboolean for_pictures)
{
  self->for_pictures = for_pictures;
  if (self->session != NULL)
    refresh (self);
}

static void
atl_engine_strip_dispose (GObject *object)
{
  AtlEngineStrip *self = ATL_ENGINE_STRIP (object);

  g_clear_object (&self->task);
  g_clear_pointer (&self->button, gtk_widget_unparent);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_engine_strip_parent_class)->dispose (object);
}

static void
atl_engine_strip_class_init (AtlEngineStripClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_engine_strip_dispose;
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/engine-strip.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlEngineStrip, name)
  BIND (button);
  BIND (title_label);
  BIND (detail_label);
  BIND (memory_bar);
  BIND (job_bar);
  BIND (popover);
  BIND (popover_box);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, fill_popover);
}

/* Read when the focus comes, and not at each change. */
static void
focused_cb (AtlEngineStrip *self)
{
  g_autofree char *words =
      g_strdup_printf ("%s, %s", gtk_label_get_text (GTK_LABEL (self->title_label)),
                       gtk_label_get_text (GTK_LABEL (self->detail_label)));

  gtk_accessible_update_property (GTK_ACCESSIBLE (gtk_widget_get_first_child (self->button)),
                                  GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, words, -1);
}

static void
atl_engine_strip_init (AtlEngineStrip *self)
{
  GtkEventController *focus = gtk_event_controller_focus_new ();

  gtk_widget_init_template (GTK_WIDGET (self));
  g_signal_connect_swapped (focus, "enter", G_CALLBACK (focused_cb), self);
  gtk_widget_add_controller (self->button, focus);
  self->task = g_signal_group_new (ATL_TYPE_PICTURE_TASK);
  g_signal_group_connect_swapped (self->task, "notify::progress", G_CALLBACK (refresh), self);
  /* A menu button centres its child; the strip fills the sidebar. */
  for (GtkWidget *child = gtk_widget_get_parent (self->memory_bar);
       child != NULL && child != self->button; child = gtk_widget_get_parent (child))
    {
      gtk_widget_set_halign (child, GTK_ALIGN_FILL);
      gtk_widget_set_hexpand (child, TRUE);
    }
}
