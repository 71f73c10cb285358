/* One model of the library. */
#include "app/models/model-list-row.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/images/pictures-session.h"
#include "app/models/model-verifier.h"
#include "app/models/open-model.h"
#include "app/window/undo.h"
#include "app/words.h"
#include "hub/library.h"

struct _AtlModelListRow
{
  AdwActionRow parent_instance;

  AtlSession *session;
  AtlModelEntry *entry;

  GtkWidget *warning; /* instead of the badge: a reason needs the room */
  GtkWidget *badge;
  GtkWidget *use_button;
  GtkWidget *menu_button;
  gboolean is_verifying; /* its menu says so */
};

G_DEFINE_FINAL_TYPE (AtlModelListRow, atl_model_list_row, ADW_TYPE_ACTION_ROW)

AtlModelEntry *
atl_model_list_row_get_entry (AtlModelListRow *self)
{
  return self->entry;
}

static void
set_badge (AtlModelListRow *self, const char *words, const char *tooltip, const char *style)
{
  static const char *const styles[] = { "success", "warning", "error" };

  for (guint i = 0; i < G_N_ELEMENTS (styles); i++)
    gtk_widget_remove_css_class (self->badge, styles[i]);
  if (style != NULL)
    gtk_widget_add_css_class (self->badge, style);
  gtk_label_set_text (GTK_LABEL (self->badge), words);
  gtk_widget_set_tooltip_text (self->badge, tooltip);
  gtk_widget_set_visible (self->badge, *words != '\0');
}

static AtlModelVerifier *
get_verifier (AtlModelListRow *self)
{
  return atl_model_verifier_get (self->session);
}

static char *
subtitle (AtlModelEntry *entry)
{
  g_autofree char *size = atl_format_bytes (entry->size_bytes);
  g_autofree char *used = entry->last_used_us ? atl_format_time (entry->last_used_us) : NULL;

  if (entry->why_not != NULL || entry->is_toy || used == NULL)
    return atl_model_entry_describe (entry);
  return g_strdup_printf (_ ("%s · used %s"), size, used);
}

static void
refresh_badge (AtlModelListRow *self)
{
  const AtlModelEntry *entry = self->entry;
  const char *why;
  AtlModelVerdict verdict = atl_model_verifier_result (get_verifier (self), entry->path, &why);

  gtk_widget_set_visible (self->warning, entry->why_not != NULL);
  gtk_widget_set_visible (self->use_button, entry->why_not == NULL);
  if (entry->why_not != NULL)
    set_badge (self, "", NULL, NULL);
  else if (verdict != ATL_MODEL_NOT_VERIFIED)
    set_badge (self, verdict == ATL_MODEL_INTACT ? _ ("Intact") : _ ("Damaged"), why,
               verdict == ATL_MODEL_INTACT ? "success" : "error");
  else if (entry->too_large != NULL)
    set_badge (self, _ ("Does not fit"), entry->too_large, "warning");
  else if (entry->lacks != NULL)
    set_badge (self, _ ("Parts missing"), entry->lacks, "warning");
  else if (entry->fit_words != NULL)
    set_badge (self, _ ("Fits"), entry->fit_words, "success");
  else
    set_badge (self, "", NULL, NULL);
}

/* What the row shows, and not the path, which is its tooltip. */
static void
describe (AtlModelListRow *self, const char *words)
{
  const char *badge = gtk_label_get_text (GTK_LABEL (self->badge));
  const char *more = gtk_widget_get_tooltip_text (self->badge);
  g_autofree char *all = *badge != '\0'
                             ? g_strdup_printf ("%s. %s. %s", words, badge, more ? more : "")
                             : g_strdup (words);

  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, all,
                                  -1);
}

static void
set_menu (AtlModelListRow *self, gboolean is_verifying)
{
  g_autoptr (GMenu) menu = NULL;

  if (gtk_menu_button_get_menu_model (GTK_MENU_BUTTON (self->menu_button)) != NULL &&
      self->is_verifying == is_verifying)
    return;
  self->is_verifying = is_verifying;
  menu = g_menu_new ();
  g_menu_append (menu, _ ("_Show in Files"), "model.show");
  if (is_verifying)
    g_menu_append (menu, _ ("S_top verifying"), "model.stop-verifying");
  else
    g_menu_append (menu, _ ("_Verify"), "model.verify");
  if (self->entry->in_library)
    g_menu_append (menu,
                   self->entry->reference ? _ ("_Remove (the file stays)") : _ ("_Move to trash"),
                   "model.remove");
  gtk_menu_button_set_menu_model (GTK_MENU_BUTTON (self->menu_button), G_MENU_MODEL (menu));
}

void
atl_model_list_row_refresh (AtlModelListRow *self)
{
  gboolean is_picture = self->entry->kind == ATL_MODEL_PICTURES;
  gboolean is_upscaler = self->entry->kind == ATL_MODEL_UPSCALER;
  AtlModel *model = is_picture
                        ? atl_pictures_session_get_model (atl_pictures_session_get (self->session))
                        : atl_session_get_model (self->session);
  gboolean in_use = model != NULL && g_str_equal (atl_model_get_key (model), self->entry->path);
  g_autofree char *use_name = g_strdup_printf (is_picture    ? _ ("Make pictures with “%s”")
                                               : is_upscaler ? _ ("Enlarge pictures with “%s”")
                                                             : _ ("Chat with “%s”"),
                                               self->entry->name);
  const char *why_not = self->entry->kind == ATL_MODEL_LORA
                            ? _ ("A LoRA: add it on the Images page, under Styles")
                            : self->entry->why_not;
  char *progress = atl_model_verifier_words (get_verifier (self), self->entry->path);
  g_autofree char *words = progress != NULL ? progress : subtitle (self->entry);

  set_menu (self, progress != NULL);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self), words);
  /* The reason must be readable in whole, in a narrow window, too. */
  adw_action_row_set_subtitle_lines (ADW_ACTION_ROW (self), why_not != NULL ? 0 : 1);
  refresh_badge (self);
  gtk_button_set_icon_name (GTK_BUTTON (self->use_button), in_use        ? "object-select-symbolic"
                                                           : is_picture  ? "atl-images-symbolic"
                                                           : is_upscaler ? "zoom-in-symbolic"
                                                                         : "atl-chats-symbolic");
  gtk_widget_set_tooltip_text (self->use_button, in_use            ? _ ("This model is in use")
                                                 : why_not != NULL ? why_not
                                                 : is_picture ? _ ("Make pictures with this model")
                                                 : is_upscaler
                                                     ? _ ("Enlarge pictures with this network")
                                                     : _ ("Chat with this model"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->use_button), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  use_name, GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                  why_not ? why_not : "", -1);
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "model.use", !in_use && why_not == NULL);
  describe (self, words);
}

static void
use_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlModelListRow *self = ATL_MODEL_LIST_ROW (widget);

  atl_open_model (widget, self->session, self->entry->path);
}

static void
show_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlModelListRow *self = ATL_MODEL_LIST_ROW (widget);
  g_autoptr (GFile) file = g_file_new_for_path (self->entry->path);
  g_autoptr (GFile) folder = g_file_get_parent (file);
  g_autofree char *uri = g_file_get_uri (folder ? folder : file);

  gtk_show_uri (GTK_WINDOW (gtk_widget_get_root (widget)), uri, GDK_CURRENT_TIME);
}

static void
verify_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlModelListRow *self = ATL_MODEL_LIST_ROW (widget);

  atl_model_verifier_verify (get_verifier (self), GTK_WINDOW (gtk_widget_get_root (widget)),
                             self->entry->path, self->entry->name);
}

static void
stop_verifying_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlModelListRow *self = ATL_MODEL_LIST_ROW (widget);

  atl_model_verifier_stop (get_verifier (self), self->entry->path);
}

static void
verifier_changed_cb (AtlModelListRow *self, const char *path)
{
  if (g_str_equal (path, self->entry->path))
    atl_model_list_row_refresh (self);
}

typedef struct
{
  AtlSession *session;
  char *path;
  GPtrArray *parts; /* that went with it */
} Removed;

static void
free_removed (gpointer data)
{
  Removed *removed = data;
  g_object_unref (removed->session);
  g_free (removed->path);
  g_ptr_array_unref (removed->parts);
  g_free (removed);
}

static gboolean
restore (gpointer data, GError **error)
{
  Removed *removed = data;

  if (!atl_library_restore (removed->path, error))
    return FALSE;
  atl_library_restore_parts (removed->parts);
  atl_session_emit_models_changed (removed->session);
  return TRUE;
}

static void
remove_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlModelListRow *self = ATL_MODEL_LIST_ROW (widget);
  AtlModel *model = atl_session_get_model (self->session);
  g_autoptr (GError) error = NULL;
  g_autofree char *parts = atl_client_parts_dir (self->entry->path);
  g_autofree char *words = NULL;
  Removed *removed;

  if (!atl_library_remove (self->entry->path, &error))
    {
      atl_session_emit_notice (self->session, error->message);
      return;
    }
  if (model != NULL && g_str_equal (atl_model_get_key (model), self->entry->path))
    atl_session_unload_model (self->session);
  model = atl_pictures_session_get_model (atl_pictures_session_get (self->session));
  if (model != NULL && g_str_equal (atl_model_get_key (model), self->entry->path))
    atl_pictures_session_unload_model (atl_pictures_session_get (self->session));
  removed = g_new0 (Removed, 1);
  removed->session = g_object_ref (self->session);
  removed->path = g_strdup (self->entry->path);
  removed->parts = atl_library_remove_parts (parts);
  words = g_strdup_printf (_ ("“%s” removed"), self->entry->name);
  atl_undo_offer (widget, words, restore, removed, free_removed);
  atl_session_emit_models_changed (self->session);
}

/* What its menu has. */
static gboolean
key_cb (GtkEventControllerKey *keys,
        guint keyval,
        guint code,
        GdkModifierType state,
        AtlModelListRow *self)
{
  GdkModifierType modifiers = state & gtk_accelerator_get_default_mod_mask ();

  if (keyval == GDK_KEY_Menu || (keyval == GDK_KEY_F10 && modifiers == GDK_SHIFT_MASK))
    gtk_menu_button_popup (GTK_MENU_BUTTON (self->menu_button));
  else if ((keyval == GDK_KEY_Delete || keyval == GDK_KEY_KP_Delete) && modifiers == 0 &&
           self->entry->in_library)
    gtk_widget_activate_action (GTK_WIDGET (self), "model.remove", NULL);
  else
    return GDK_EVENT_PROPAGATE;
  return GDK_EVENT_STOP;
}

static void
atl_model_list_row_dispose (GObject *object)
{
  AtlModelListRow *self = ATL_MODEL_LIST_ROW (object);

  g_clear_object (&self->session);
  g_clear_object (&self->entry);
  G_OBJECT_CLASS (atl_model_list_row_parent_class)->dispose (object);
}

static void
atl_model_list_row_class_init (AtlModelListRowClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_model_list_row_dispose;
  gtk_widget_class_install_action (widget_class, "model.use", NULL, use_action);
  gtk_widget_class_install_action (widget_class, "model.show", NULL, show_action);
  gtk_widget_class_install_action (widget_class, "model.verify", NULL, verify_action);
  gtk_widget_class_install_action (widget_class, "model.stop-verifying", NULL,
                                   stop_verifying_action);
  gtk_widget_class_install_action (widget_class, "model.remove", NULL, remove_action);
}

static void
atl_model_list_row_init (AtlModelListRow *self)
{
  GtkEventController *keys = gtk_event_controller_key_new ();

  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self), keys);
  self->warning = gtk_image_new_from_icon_name ("dialog-warning-symbolic");
  gtk_widget_add_css_class (self->warning, "error");
  gtk_widget_set_tooltip_text (self->warning, _ ("Cannot be used"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->warning), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Cannot be used"), -1);
  self->badge = gtk_label_new (NULL);
  gtk_widget_add_css_class (self->badge, "badge");
  gtk_widget_add_css_class (self->badge, "caption");
  gtk_widget_set_valign (self->badge, GTK_ALIGN_CENTER);
  gtk_widget_set_visible (self->badge, FALSE);
  self->use_button = gtk_button_new_from_icon_name ("atl-chats-symbolic");
  gtk_widget_set_valign (self->use_button, GTK_ALIGN_CENTER);
  gtk_widget_add_css_class (self->use_button, "flat");
  gtk_actionable_set_action_name (GTK_ACTIONABLE (self->use_button), "model.use");
  adw_action_row_set_activatable_widget (ADW_ACTION_ROW (self), self->use_button);
  self->menu_button = gtk_menu_button_new ();
  gtk_menu_button_set_icon_name (GTK_MENU_BUTTON (self->menu_button), "view-more-symbolic");
  gtk_widget_set_valign (self->menu_button, GTK_ALIGN_CENTER);
  gtk_widget_add_css_class (self->menu_button, "flat");
  adw_action_row_add_prefix (ADW_ACTION_ROW (self), self->warning);
  adw_action_row_add_suffix (ADW_ACTION_ROW (self), self->badge);
  adw_action_row_add_suffix (ADW_ACTION_ROW (self), self->use_button);
  adw_action_row_add_suffix (ADW_ACTION_ROW (self), self->menu_button);
}

GtkWidget *
atl_model_list_row_new (AtlSession *session, AtlModelEntry *entry)
{
  AtlModelListRow *self = g_object_new (ATL_TYPE_MODEL_LIST_ROW, NULL);
  g_autofree char *menu_name = g_strdup_printf (_ ("Menu of “%s”"), entry->name);

  self->session = g_object_ref (session);
  self->entry = g_object_ref (entry);
  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (self), FALSE);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self), entry->name);
  adw_action_row_set_title_lines (ADW_ACTION_ROW (self), 2);
  gtk_widget_set_tooltip_text (GTK_WIDGET (self), entry->path);
  atl_accessible_set_menu_button (GTK_MENU_BUTTON (self->menu_button), menu_name);
  g_signal_connect_object (get_verifier (self), "changed", G_CALLBACK (verifier_changed_cb), self,
                           G_CONNECT_SWAPPED);
  atl_model_list_row_refresh (self);
  return GTK_WIDGET (self);
}
