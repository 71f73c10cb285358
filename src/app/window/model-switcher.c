/* Choosing the model that answers. */
#include "app/window/model-switcher.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/images/pictures-session.h"
#include "app/models/model-list.h"
#include "app/words.h"

/* Its width fits the narrowest window. */
#define NAME_CHARS 26
#define REASON_CHARS 38

struct _AtlModelSwitcher
{
  GtkWidget parent_instance;

  AtlSession *session;          /* (nullable) */
  AtlPicturesSession *pictures; /* (nullable) borrowed: models for pictures are chosen */

  GtkWidget *button;
  GtkWidget *dot;
  GtkWidget *label;
  GtkWidget *popover;
  GtkWidget *focus_before; /* (nullable) a weak pointer */
  GtkWidget *entry;
  GtkWidget *stack;
  GtkWidget *list;
  GtkWidget *open_button;
  GtkWidget *unload_button;
};

G_DEFINE_FINAL_TYPE (AtlModelSwitcher, atl_model_switcher, GTK_TYPE_WIDGET)

/* --- Whose model is chosen --- */

static AtlModel *
get_model (AtlModelSwitcher *self)
{
  if (self->pictures != NULL)
    return atl_pictures_session_get_model (self->pictures);
  return self->session != NULL ? atl_session_get_model (self->session) : NULL;
}

static const char *
get_model_name (AtlModelSwitcher *self)
{
  return self->pictures != NULL ? atl_pictures_session_get_model_name (self->pictures)
                                : atl_session_get_model_name (self->session);
}

/* NULL while nothing is being loaded. */
static const char *
get_load_name (AtlModelSwitcher *self)
{
  if (self->pictures != NULL)
    return atl_pictures_session_get_is_loading (self->pictures)
               ? atl_pictures_session_get_load_name (self->pictures)
               : NULL;
  return atl_session_get_is_loading (self->session) ? atl_session_get_load_name (self->session)
                                                    : NULL;
}

static void
load (AtlModelSwitcher *self, const char *path)
{
  const char *paths[] = { path, NULL };

  if (self->pictures != NULL)
    atl_pictures_session_load_model (self->pictures, paths, TRUE);
  else
    atl_session_load_model (self->session, paths, TRUE);
}

static gboolean
is_of_kind (AtlModelSwitcher *self, const AtlModelEntry *entry)
{
  return self->pictures != NULL ? entry->kind == ATL_MODEL_PICTURES
                                : atl_model_entry_may_answer (entry);
}

static gboolean
is_loaded (AtlModelSwitcher *self, const char *path)
{
  AtlModel *model = get_model (self);

  return model != NULL && atl_model_get_is_loaded (model) &&
         g_strcmp0 (atl_model_get_key (model), path) == 0;
}

static void
refresh_title (AtlModelSwitcher *self)
{
  AtlModel *model = get_model (self);
  const char *loading = get_load_name (self);
  const char *name = _ ("Choose a model");
  const char *state = _ ("No model is loaded");
  g_autofree char *words = NULL;

  if (loading != NULL)
    {
      name = loading;
      state = _ ("Loading");
    }
  else if (model != NULL)
    {
      name = get_model_name (self);
      state = atl_model_get_is_loaded (model) ? _ ("In memory")
              : self->pictures != NULL        ? _ ("Not in memory: the next picture loads it")
                                              : _ ("Not in memory: the next message loads it");
    }
  gtk_label_set_text (GTK_LABEL (self->label), name);
  gtk_widget_set_visible (self->dot, model != NULL && atl_model_get_is_loaded (model));
  gtk_widget_set_visible (self->unload_button, model != NULL);
  words = g_strdup_printf (_ ("Model: %s. %s."), name, state);
  atl_accessible_set_menu_button (GTK_MENU_BUTTON (self->button), words);
}

static GtkWidget *
new_row (AtlModelSwitcher *self, AtlModelEntry *entry)
{
  GtkWidget *grid = gtk_grid_new ();
  GtkWidget *name = gtk_label_new (entry->name);
  g_autofree char *words = atl_model_entry_describe (entry);
  /* Its mark is only seen. */
  g_autofree char *heard = is_loaded (self, entry->path)
                               ? g_strdup_printf ("%s. %s", _ ("In memory"), words)
                               : g_strdup (words);
  gboolean has_reason = entry->why_not != NULL || entry->too_large != NULL || entry->lacks != NULL;
  g_autofree char *tooltip =
      has_reason ? g_strdup_printf ("%s\n%s", words, entry->path) : g_strdup (entry->path);
  GtkWidget *detail = gtk_label_new (words);
  GtkWidget *row = gtk_list_box_row_new ();

  gtk_label_set_xalign (GTK_LABEL (name), 0);
  gtk_label_set_xalign (GTK_LABEL (detail), 0);
  gtk_label_set_ellipsize (GTK_LABEL (name), PANGO_ELLIPSIZE_MIDDLE);
  gtk_label_set_ellipsize (GTK_LABEL (detail), PANGO_ELLIPSIZE_END);
  gtk_label_set_max_width_chars (GTK_LABEL (name), NAME_CHARS);
  gtk_label_set_max_width_chars (GTK_LABEL (detail), REASON_CHARS);
  gtk_widget_set_hexpand (name, TRUE);
  gtk_widget_add_css_class (detail, "caption");
  gtk_widget_add_css_class (detail, "dim-label");
  if (has_reason)
    {
      gtk_label_set_wrap (GTK_LABEL (detail), TRUE);
      gtk_label_set_wrap_mode (GTK_LABEL (detail), PANGO_WRAP_WORD_CHAR);
      gtk_label_set_lines (GTK_LABEL (detail), 5);
      atl_label_never_hyphenate (GTK_LABEL (detail));
    }
  gtk_widget_set_tooltip_text (row, tooltip);
  gtk_grid_set_column_spacing (GTK_GRID (grid), 9);
  gtk_widget_set_margin_top (grid, 6);
  gtk_widget_set_margin_bottom (grid, 6);
  gtk_widget_set_margin_start (grid, 6);
  gtk_widget_set_margin_end (grid, 6);
  gtk_grid_attach (GTK_GRID (grid), name, 0, 0, 1, 1);
  gtk_grid_attach (GTK_GRID (grid), detail, 0, 1, 1, 1);
  if (is_loaded (self, entry->path))
    {
      GtkWidget *dot = gtk_image_new_from_icon_name ("object-select-symbolic");
      gtk_widget_set_valign (dot, GTK_ALIGN_CENTER);
      gtk_grid_attach (GTK_GRID (grid), dot, 1, 0, 1, 2);
    }
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), grid);
  gtk_accessible_update_property (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_PROPERTY_LABEL, entry->name,
                                  GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, heard, -1);
  /* It can still be walked to, so that who uses the keyboard hears why; and the reason is to be
   * read, so the name alone is grey. */
  if (entry->why_not != NULL)
    {
      gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), FALSE);
      gtk_widget_set_sensitive (name, FALSE);
      gtk_accessible_update_state (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_STATE_DISABLED, TRUE, -1);
    }
  g_object_set_data_full (G_OBJECT (row), "entry", g_object_ref (entry), g_object_unref);
  return row;
}

static gboolean
matches (AtlModelEntry *entry, const char *query)
{
  g_autofree char *name = g_utf8_casefold (entry->name, -1);
  g_autofree char *wanted = g_utf8_casefold (query, -1);
  return strstr (name, wanted) != NULL;
}

/* The row of `path`, else that of the model in memory, else the first that can be chosen, else the
 * first; NULL when there is none. */
static GtkListBoxRow *
row_to_focus (AtlModelSwitcher *self, const char *path)
{
  GtkListBoxRow *best = gtk_list_box_get_row_at_index (GTK_LIST_BOX (self->list), 0);
  GtkListBoxRow *row;

  for (gint i = 0; (row = gtk_list_box_get_row_at_index (GTK_LIST_BOX (self->list), i)); i++)
    {
      AtlModelEntry *entry = g_object_get_data (G_OBJECT (row), "entry");

      if (path != NULL ? g_strcmp0 (entry->path, path) == 0 : is_loaded (self, entry->path))
        return row;
      if (!gtk_list_box_row_get_activatable (best))
        best = row;
    }
  return best;
}

static void
focus_row (AtlModelSwitcher *self, const char *path)
{
  GtkListBoxRow *row = row_to_focus (self, path);

  if (row != NULL && !gtk_widget_get_visible (self->entry))
    gtk_widget_grab_focus (GTK_WIDGET (row));
}

static void
refresh_list (AtlModelSwitcher *self)
{
  GListModel *models = G_LIST_MODEL (atl_session_get_models (self->session));
  const char *query = gtk_editable_get_text (GTK_EDITABLE (self->entry));
  GtkWidget *focus = gtk_window_get_focus (GTK_WINDOW (gtk_widget_get_root (self->button)));
  GtkWidget *in_list =
      focus != NULL ? gtk_widget_get_ancestor (focus, GTK_TYPE_LIST_BOX_ROW) : NULL;
  g_autofree char *path = NULL;
  GtkWidget *child;
  guint n = 0, n_of_kind = 0;

  /* New rows take the place of the old ones: the keyboard stays where it was. */
  if (in_list != NULL && gtk_widget_is_ancestor (in_list, self->list))
    path = g_strdup (((AtlModelEntry *) g_object_get_data (G_OBJECT (in_list), "entry"))->path);
  while ((child = gtk_widget_get_first_child (self->list)) != NULL)
    gtk_list_box_remove (GTK_LIST_BOX (self->list), child);
  for (guint i = 0; i < g_list_model_get_n_items (models); i++)
    {
      g_autoptr (AtlModelEntry) entry = g_list_model_get_item (models, i);
      if (!is_of_kind (self, entry))
        continue;
      n_of_kind++;
      if (!matches (entry, query))
        continue;
      gtk_list_box_append (GTK_LIST_BOX (self->list), new_row (self, entry));
      n++;
    }
  gtk_widget_set_visible (self->entry, n_of_kind > 6);
  gtk_button_set_label (GTK_BUTTON (self->open_button), n_of_kind > 0 || get_model (self) != NULL
                                                            ? _ ("Load another…")
                                                            : _ ("Open a model file…"));
  gtk_stack_set_visible_child_name (GTK_STACK (self->stack), n > 0 ? "list" : "empty");
  if (path != NULL)
    focus_row (self, path);
}

static void
shown_cb (AtlModelSwitcher *self)
{
  gtk_editable_set_text (GTK_EDITABLE (self->entry), "");
  atl_model_list_refresh (atl_session_get_models (self->session));
  refresh_list (self);
  focus_row (self, NULL);
  atl_model_list_inspect (atl_session_get_models (self->session), FALSE);
}

static void
models_changed_cb (AtlModelSwitcher *self)
{
  refresh_title (self);
  if (!gtk_widget_get_visible (self->popover))
    return;
  refresh_list (self);
  atl_model_list_inspect (atl_session_get_models (self->session), FALSE);
}

/* One row changes its looks: the others, and the keyboard, stay. */
static void
judged_cb (AtlModelSwitcher *self, AtlModelEntry *entry)
{
  GtkListBoxRow *row;

  for (gint i = 0; (row = gtk_list_box_get_row_at_index (GTK_LIST_BOX (self->list), i)); i++)
    if (g_object_get_data (G_OBJECT (row), "entry") == entry)
      {
        gboolean has_focus = gtk_widget_has_focus (GTK_WIDGET (row));

        if (!is_of_kind (self, entry))
          {
            gtk_list_box_remove (GTK_LIST_BOX (self->list), GTK_WIDGET (row));
            return;
          }
        gtk_list_box_remove (GTK_LIST_BOX (self->list), GTK_WIDGET (row));
        gtk_list_box_insert (GTK_LIST_BOX (self->list), new_row (self, entry), i);
        /* Nobody should begin at a model that cannot be chosen. */
        if (has_focus)
          focus_row (self, entry->why_not != NULL ? NULL : entry->path);
        return;
      }
  /* Of what kind it is was not known before. */
  if (is_of_kind (self, entry))
    refresh_list (self);
}

static void
activated_cb (GtkListBox *list, GtkListBoxRow *row, AtlModelSwitcher *self)
{
  AtlModelEntry *entry = g_object_get_data (G_OBJECT (row), "entry");

  gtk_popover_popdown (GTK_POPOVER (self->popover));
  if (!is_loaded (self, entry->path))
    load (self, entry->path);
  /* Who chose a model goes on writing. */
  gtk_widget_activate_action (GTK_WIDGET (self), "win.focus-prompt", NULL);
}

/* Escape, which the entry keeps to itself. */
static void
search_ended_cb (AtlModelSwitcher *self)
{
  gtk_popover_popdown (GTK_POPOVER (self->popover));
}

static void
search_activated_cb (AtlModelSwitcher *self)
{
  GtkListBoxRow *row;

  /* Whoever types fast presses Enter before the list has followed. */
  refresh_list (self);
  for (gint i = 0; (row = gtk_list_box_get_row_at_index (GTK_LIST_BOX (self->list), i)); i++)
    if (gtk_list_box_row_get_activatable (row))
      {
        activated_cb (GTK_LIST_BOX (self->list), row, self);
        return;
      }
}

/* Into what was found: without it the arrow would stop at what scrolls the list, and go on to
 * “Unload”. */
static gboolean
entry_key_cb (GtkEventControllerKey *keys,
              guint key,
              guint code,
              GdkModifierType mods,
              AtlModelSwitcher *self)
{
  GtkListBoxRow *row = row_to_focus (self, NULL);

  if ((key != GDK_KEY_Down && key != GDK_KEY_KP_Down) || row == NULL)
    return GDK_EVENT_PROPAGATE;
  gtk_widget_grab_focus (GTK_WIDGET (row));
  return GDK_EVENT_STOP;
}

/* Keys of the window, such as that to quit, which do not come to it from what is open above it. */
static gboolean
window_key_cb (GtkEventControllerKey *keys,
               guint key,
               guint code,
               GdkModifierType mods,
               AtlModelSwitcher *self)
{
  GtkApplication *app =
      gtk_window_get_application (GTK_WINDOW (gtk_widget_get_root (self->popover)));
  g_autofree char *accel =
      gtk_accelerator_name (key, mods & gtk_accelerator_get_default_mod_mask ());
  g_auto (GStrv) actions = NULL;
  g_autofree char *name = NULL;
  g_autoptr (GVariant) target = NULL;

  if ((mods & GDK_CONTROL_MASK) == 0 || app == NULL)
    return GDK_EVENT_PROPAGATE;
  actions = gtk_application_get_actions_for_accel (app, accel);
  if (actions[0] == NULL || !g_action_parse_detailed_name (actions[0], &name, &target, NULL))
    return GDK_EVENT_PROPAGATE;
  gtk_popover_popdown (GTK_POPOVER (self->popover));
  gtk_widget_activate_action_variant (GTK_WIDGET (self), name, target);
  return GDK_EVENT_STOP;
}

static void
close_cb (AtlModelSwitcher *self)
{
  gtk_popover_popdown (GTK_POPOVER (self->popover));
}

/* The keyboard goes back to where it was when the list was called for. */
static void
closed_cb (AtlModelSwitcher *self)
{
  GtkWidget *before = self->focus_before;

  g_clear_weak_pointer (&self->focus_before);
  if (before != NULL && gtk_widget_get_mapped (before))
    gtk_widget_grab_focus (before);
}

void
atl_model_switcher_popup (AtlModelSwitcher *self)
{
  GtkWidget *focus = gtk_window_get_focus (GTK_WINDOW (gtk_widget_get_root (self->button)));

  if (!gtk_widget_get_visible (self->popover))
    g_set_weak_pointer (&self->focus_before, focus);
  gtk_menu_button_popup (GTK_MENU_BUTTON (self->button));
}

static void
model_cb (AtlModelSwitcher *self)
{
  AtlModel *model = get_model (self);

  if (model != NULL)
    g_signal_connect_object (model, "notify::is-loaded", G_CALLBACK (refresh_title), self,
                             G_CONNECT_SWAPPED);
  refresh_title (self);
}

static void
unload_cb (AtlModelSwitcher *self)
{
  gtk_popover_popdown (GTK_POPOVER (self->popover));
  if (self->pictures != NULL)
    atl_pictures_session_unload_model (self->pictures);
  else
    atl_session_unload_model (self->session);
}

void
atl_model_switcher_set_session (AtlModelSwitcher *self, AtlSession *session, gboolean for_pictures)
{
  gpointer holder = session;

  g_return_if_fail (self->session == NULL);

  self->session = g_object_ref (session);
  if (for_pictures)
    holder = self->pictures = atl_pictures_session_get (session);
  g_signal_connect_object (holder, "notify::model", G_CALLBACK (model_cb), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (holder, "notify::is-loading", G_CALLBACK (refresh_title), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_session_get_models (session), "items-changed",
                           G_CALLBACK (models_changed_cb), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_session_get_models (session), "judged", G_CALLBACK (judged_cb), self,
                           G_CONNECT_SWAPPED);
  model_cb (self);
}

static void
atl_model_switcher_dispose (GObject *object)
{
  AtlModelSwitcher *self = ATL_MODEL_SWITCHER (object);

  g_clear_weak_pointer (&self->focus_before);
  g_clear_pointer (&self->button, gtk_widget_unparent);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_model_switcher_parent_class)->dispose (object);
}

static void
atl_model_switcher_class_init (AtlModelSwitcherClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_model_switcher_dispose;
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/model-switcher.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlModelSwitcher, name)
  BIND (button);
  BIND (dot);
  BIND (label);
  BIND (popover);
  BIND (entry);
  BIND (stack);
  BIND (list);
  BIND (open_button);
  BIND (unload_button);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, shown_cb);
  gtk_widget_class_bind_template_callback (widget_class, closed_cb);
  gtk_widget_class_bind_template_callback (widget_class, refresh_list);
  gtk_widget_class_bind_template_callback (widget_class, activated_cb);
  gtk_widget_class_bind_template_callback (widget_class, search_activated_cb);
  gtk_widget_class_bind_template_callback (widget_class, search_ended_cb);
  gtk_widget_class_bind_template_callback (widget_class, close_cb);
  gtk_widget_class_bind_template_callback (widget_class, unload_cb);
}

static void
atl_model_switcher_init (AtlModelSwitcher *self)
{
  GtkEventController *keys = gtk_event_controller_key_new ();
  GtkEventController *window_keys = gtk_event_controller_key_new ();

  gtk_widget_init_template (GTK_WIDGET (self));
  gtk_event_controller_set_propagation_phase (window_keys, GTK_PHASE_CAPTURE);
  g_signal_connect (window_keys, "key-pressed", G_CALLBACK (window_key_cb), self);
  gtk_widget_add_controller (self->popover, window_keys);
  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (entry_key_cb), self);
  gtk_widget_add_controller (self->entry, keys);
}
