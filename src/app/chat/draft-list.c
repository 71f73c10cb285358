/* A row that opens into the models that may guess ahead. */
#include "app/chat/draft-list.h"

#include <glib/gi18n.h>

#include "app/chat/choice-row.h"
#include "app/models/model-list.h"
#include "app/words.h"

struct _AtlDraftList
{
  AdwPreferencesGroup parent_instance;

  AtlSession *session;
  GtkWidget *row;  /* the expander */
  GtkWidget *none; /* its first choice: no draft model */
  GPtrArray *rows; /* (element-type GtkWidget) borrowed */
  guint next;      /* of `rows`, the one that is asked about next */
  GCancellable *asking;
  gboolean showing; /* choices are being set, not made */
};

G_DEFINE_FINAL_TYPE (AtlDraftList, atl_draft_list, ADW_TYPE_PREFERENCES_GROUP)

static AtlModel *
get_model (AtlDraftList *self)
{
  return self->session != NULL ? atl_session_get_model (self->session) : NULL;
}

static const char *
path_of (GtkWidget *row)
{
  return g_object_get_data (G_OBJECT (row), "path");
}

/* --- Asking the engine which of them fit --- */

static void ask_next (AtlDraftList *self);

static void
asked_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlDraftList) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModelInfo) info = atl_client_inspect_finish (ATL_CLIENT (source), result, &error);
  GtkWidget *row;

  /* Another model is shown by now. */
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || self->rows == NULL ||
      self->next >= self->rows->len)
    return;
  row = self->rows->pdata[self->next++];
  if (info == NULL)
    {
      g_autofree char *words = g_error_matches (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED)
                                   ? g_strdup (_ ("Does not fit: it has other word pieces"))
                                   : g_strdup (error->message);

      adw_action_row_set_subtitle (ADW_ACTION_ROW (row), words);
      gtk_widget_set_tooltip_text (row, error->message);
      gtk_widget_set_sensitive (row, FALSE);
    }
  else
    {
      const guint64 *size_bytes = g_object_get_data (G_OBJECT (row), "size-bytes");
      g_autofree char *size = atl_format_bytes (*size_bytes);
      /* Translators: a draft model fits, and needs 491 MB of memory beside the other */
      g_autofree char *words = g_strdup_printf (_ ("Fits; takes %s more memory"), size);

      adw_action_row_set_subtitle (ADW_ACTION_ROW (row), words);
      gtk_widget_set_sensitive (row, TRUE);
    }
  ask_next (self);
}

static void
ask_next (AtlDraftList *self)
{
  AtlLoadOptions options = ATL_LOAD_OPTIONS_INIT;

  if (self->next >= self->rows->len || get_model (self) == NULL)
    return;
  options.draft = path_of (self->rows->pdata[self->next]);
  atl_client_inspect_async (atl_session_get_client (self->session),
                            atl_model_get_paths (get_model (self)), &options, self->asking,
                            asked_cb, g_object_ref (self));
}

static void
expanded_cb (AtlDraftList *self)
{
  if (adw_expander_row_get_expanded (ADW_EXPANDER_ROW (self->row)) && self->asking == NULL)
    {
      self->asking = g_cancellable_new ();
      ask_next (self);
    }
}

/* --- Choosing --- */

static void
chosen_cb (GtkCheckButton *button, AtlDraftList *self)
{
  AtlModel *model = get_model (self);
  const char *path = g_object_get_data (G_OBJECT (button), "path");
  g_auto (GStrv) paths = NULL;

  if (self->showing || model == NULL || !gtk_check_button_get_active (button))
    return;
  paths = g_strdupv ((char **) atl_model_get_paths (model));
  atl_session_set_draft (self->session, paths[0], path);
  atl_session_load_model (self->session, (const char *const *) paths, FALSE);
}

static GtkWidget *
add_choice (AtlDraftList *self, const char *title, const char *path)
{
  GtkWidget *row = atl_choice_row_new (title);
  GtkCheckButton *button = atl_choice_row_get_button (row);

  g_object_set_data_full (G_OBJECT (row), "path", g_strdup (path), g_free);
  g_object_set_data_full (G_OBJECT (button), "path", g_strdup (path), g_free);
  g_signal_connect (button, "toggled", G_CALLBACK (chosen_cb), self);
  adw_expander_row_add_row (ADW_EXPANDER_ROW (self->row), row);
  return row;
}

/* --- What is offered --- */

static void
show_current (AtlDraftList *self, const char *draft)
{
  AtlModel *model = get_model (self);
  const char *used = model != NULL && *atl_model_get_info (model)->draft != '\0'
                         ? atl_model_get_options (model)->draft
                         : NULL;
  /* As it is called in the list. */
  g_autofree char *name =
      used != NULL ? atl_model_list_get_name (atl_session_get_models (self->session), used)
                   : g_strdup (_ ("None"));

  self->showing = TRUE;
  gtk_check_button_set_active (atl_choice_row_get_button (self->none), TRUE);
  for (guint i = 0; i < self->rows->len; i++)
    if (g_strcmp0 (path_of (self->rows->pdata[i]), draft) == 0)
      gtk_check_button_set_active (atl_choice_row_get_button (self->rows->pdata[i]), TRUE);
  self->showing = FALSE;
  adw_expander_row_set_subtitle (ADW_EXPANDER_ROW (self->row), name);
}

static void
show_models (AtlDraftList *self)
{
  GListModel *models = G_LIST_MODEL (atl_session_get_models (self->session));
  AtlModel *model = get_model (self);
  g_autofree char *draft = NULL;
  AtlModelEntry *own;
  guint64 size;

  g_cancellable_cancel (self->asking);
  g_clear_object (&self->asking);
  for (guint i = 0; i < self->rows->len; i++)
    adw_expander_row_remove (ADW_EXPANDER_ROW (self->row), self->rows->pdata[i]);
  g_ptr_array_set_size (self->rows, 0);
  self->next = 0;
  gtk_widget_set_sensitive (self->row, model != NULL);
  if (model == NULL)
    {
      show_current (self, NULL);
      return;
    }
  /* With a draft model, what was loaded is larger than the model. */
  own = atl_model_list_find (atl_session_get_models (self->session), atl_model_get_key (model));
  size = own != NULL ? own->size_bytes : atl_model_get_info (model)->size_bytes;
  draft = atl_session_dup_draft (self->session, atl_model_get_paths (model)[0]);
  for (guint i = 0; i < g_list_model_get_n_items (models); i++)
    {
      g_autoptr (AtlModelEntry) entry = g_list_model_get_item (models, i);
      GtkWidget *row;

      if (!atl_model_entry_may_answer (entry) || entry->why_not != NULL || entry->size_bytes == 0 ||
          entry->size_bytes >= size || entry == own)
        continue;
      row = add_choice (self, entry->name, entry->path);
      g_object_set_data_full (G_OBJECT (row), "size-bytes",
                              g_memdup2 (&entry->size_bytes, sizeof entry->size_bytes), g_free);
      adw_action_row_set_subtitle (ADW_ACTION_ROW (row), _ ("Looking whether it fits…"));
      gtk_widget_set_sensitive (row, FALSE);
      gtk_check_button_set_group (atl_choice_row_get_button (row),
                                  atl_choice_row_get_button (self->none));
      g_ptr_array_add (self->rows, row);
    }
  show_current (self, draft);
  expanded_cb (self);
}

void
atl_draft_list_set_session (AtlDraftList *self, AtlSession *session)
{
  if (!g_set_object (&self->session, session))
    return;
  g_signal_connect_object (session, "notify::model", G_CALLBACK (show_models), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "load-failed", G_CALLBACK (show_models), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_session_get_models (session), "refreshed", G_CALLBACK (show_models),
                           self, G_CONNECT_SWAPPED);
  show_models (self);
}

static void
atl_draft_list_dispose (GObject *object)
{
  AtlDraftList *self = ATL_DRAFT_LIST (object);

  g_cancellable_cancel (self->asking);
  g_clear_object (&self->asking);
  g_clear_pointer (&self->rows, g_ptr_array_unref);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_draft_list_parent_class)->dispose (object);
}

static void
atl_draft_list_class_init (AtlDraftListClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = atl_draft_list_dispose;
}

static void
atl_draft_list_init (AtlDraftList *self)
{
  self->rows = g_ptr_array_new ();
  self->row = adw_expander_row_new ();
  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (self->row), FALSE);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->row), _ ("Draft model"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->row), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Draft model"), -1);
  self->none = add_choice (self, _ ("None"), NULL);
  gtk_widget_set_sensitive (self->row, FALSE);
  g_signal_connect_swapped (self->row, "notify::expanded", G_CALLBACK (expanded_cb), self);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self), self->row);
  adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (self), _ ("Faster answers"));
  adw_preferences_group_set_description (
      ADW_PREFERENCES_GROUP (self),
      _ ("A smaller model of the same family guesses the next words, and this one checks several "
         "at a time. The answers stay the same and often come faster, most with a much larger "
         "model."));
}
