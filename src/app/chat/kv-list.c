/* A row that opens into the ways to keep what was read of a chat. */
#include "app/chat/kv-list.h"

#include <glib/gi18n.h>

#include "app/chat/choice-row.h"
#include "app/words.h"

#define N_CHOICES 3

typedef struct
{
  const char *kv_type; /* as AtlLoadOptions has it */
  const char *label, *effect;
} Choice;

static const Choice choices[N_CHOICES] = {
  { NULL, N_ ("Exact"), NULL },
  { "q8_0", N_ ("Half"), N_ ("answers hardly differ") },
  { "q4_0", N_ ("A quarter"), N_ ("details of a long chat may be lost") },
};

struct _AtlKvList
{
  AdwPreferencesGroup parent_instance;

  AtlSession *session;
  GtkWidget *row; /* the expander */
  GtkWidget *rows[N_CHOICES];
  guint chosen; /* of `rows`, what the model in use was loaded with */
  guint next;   /* of `rows`, the one that is asked about next */
  GCancellable *asking;
  gboolean showing; /* choices are being set, not made */
};

G_DEFINE_FINAL_TYPE (AtlKvList, atl_kv_list, ADW_TYPE_PREFERENCES_GROUP)

static AtlModel *
get_model (AtlKvList *self)
{
  return self->session != NULL ? atl_session_get_model (self->session) : NULL;
}

/* --- Asking the engine what each would take --- */

static void ask_next (AtlKvList *self);

/* "98 MB for 8192 tokens; answers hardly differ"; the caller's. */
static char *
price_words (const AtlModelInfo *info, const Choice *choice)
{
  g_autofree char *bytes = atl_format_bytes (info->kv_bytes);
  g_autofree char *price = g_strdup_printf (
      ngettext ("%s for %u token", "%s for %u tokens", info->n_ctx), bytes, info->n_ctx);

  /* Translators: a price ("98 MB for 8192 tokens") and what it costs ("answers hardly differ") */
  return choice->effect != NULL ? g_strdup_printf (_ ("%s; %s"), price, _ (choice->effect))
                                : g_steal_pointer (&price);
}

/* "Half, 98 MB", seen though the rows are folded away. */
static void
show_price (AtlKvList *self, guint64 kv_bytes)
{
  g_autofree char *bytes = atl_format_bytes (kv_bytes);
  /* Translators: "Half, 98 MB" */
  g_autofree char *words = g_strdup_printf (_ ("%s, %s"), _ (choices[self->chosen].label), bytes);

  adw_expander_row_set_subtitle (ADW_EXPANDER_ROW (self->row), words);
}

static void
asked_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlKvList) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModelInfo) info = atl_client_inspect_finish (ATL_CLIENT (source), result, &error);
  g_autofree char *words = NULL;
  guint i;

  /* Another model is shown by now. */
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || self->next >= N_CHOICES)
    return;
  i = self->next++;
  if (info == NULL)
    words = g_error_matches (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED)
                ? g_strdup (_ ("Not possible with this model"))
                : g_strdup (error->message);
  else
    words = info->fits ? price_words (info, &choices[i]) : g_strdup (info->fit_words);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->rows[i]), words);
  gtk_widget_set_tooltip_text (self->rows[i], error != NULL ? error->message : NULL);
  gtk_widget_set_sensitive (self->rows[i], info != NULL && info->fits);
  if (info != NULL && i == self->chosen)
    show_price (self, info->kv_bytes);
  ask_next (self);
}

static void
ask_next (AtlKvList *self)
{
  AtlModel *model = get_model (self);
  AtlLoadOptions options = ATL_LOAD_OPTIONS_INIT;

  if (self->next >= N_CHOICES || model == NULL)
    return;
  options.kv_type = choices[self->next].kv_type;
  options.n_ctx = atl_model_get_info (model)->n_ctx;
  atl_client_inspect_async (atl_session_get_client (self->session), atl_model_get_paths (model),
                            &options, self->asking, asked_cb, g_object_ref (self));
}

/* A draft model keeps the chat for itself, too: what is known of both says nothing of the one. */
static gboolean
has_draft (AtlKvList *self)
{
  return get_model (self) != NULL && *atl_model_get_info (get_model (self))->draft != '\0';
}

static void
expanded_cb (AtlKvList *self)
{
  if ((adw_expander_row_get_expanded (ADW_EXPANDER_ROW (self->row)) || has_draft (self)) &&
      self->asking == NULL)
    {
      self->asking = g_cancellable_new ();
      ask_next (self);
    }
}

/* --- Choosing --- */

static void
chosen_cb (GtkCheckButton *button, AtlKvList *self)
{
  AtlModel *model = get_model (self);
  const Choice *choice = g_object_get_data (G_OBJECT (button), "choice");
  g_auto (GStrv) paths = NULL;

  if (self->showing || model == NULL || !gtk_check_button_get_active (button))
    return;
  paths = g_strdupv ((char **) atl_model_get_paths (model));
  atl_session_set_kv_type (self->session, paths[0], choice->kv_type);
  atl_session_load_model (self->session, (const char *const *) paths, FALSE);
}

static GtkWidget *
new_choice (AtlKvList *self, const Choice *choice)
{
  GtkWidget *row = atl_choice_row_new (_ (choice->label));
  GtkCheckButton *button = atl_choice_row_get_button (row);

  g_object_set_data (G_OBJECT (button), "choice", (gpointer) choice);
  g_signal_connect (button, "toggled", G_CALLBACK (chosen_cb), self);
  adw_expander_row_add_row (ADW_EXPANDER_ROW (self->row), row);
  return row;
}

/* --- The model in use --- */

static void
show_model (AtlKvList *self)
{
  AtlModel *model = get_model (self);
  g_autofree char *kv_type =
      model != NULL ? atl_session_dup_kv_type (self->session, atl_model_get_paths (model)[0])
                    : NULL;

  g_cancellable_cancel (self->asking);
  g_clear_object (&self->asking);
  self->next = self->chosen = 0;
  self->showing = TRUE;
  for (guint i = 0; i < N_CHOICES; i++)
    {
      if (g_strcmp0 (choices[i].kv_type, kv_type) == 0)
        self->chosen = i;
      adw_action_row_set_subtitle (ADW_ACTION_ROW (self->rows[i]), _ ("Looking what it takes…"));
      gtk_widget_set_sensitive (self->rows[i], FALSE);
    }
  gtk_check_button_set_active (atl_choice_row_get_button (self->rows[self->chosen]), TRUE);
  self->showing = FALSE;
  gtk_widget_set_sensitive (self->row, model != NULL);
  if (model == NULL)
    adw_expander_row_set_subtitle (ADW_EXPANDER_ROW (self->row), "");
  else if (has_draft (self))
    adw_expander_row_set_subtitle (ADW_EXPANDER_ROW (self->row), _ (choices[self->chosen].label));
  else
    show_price (self, atl_model_get_info (model)->kv_bytes);
  expanded_cb (self);
}

void
atl_kv_list_set_session (AtlKvList *self, AtlSession *session)
{
  if (!g_set_object (&self->session, session))
    return;
  g_signal_connect_object (session, "notify::model", G_CALLBACK (show_model), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "load-failed", G_CALLBACK (show_model), self,
                           G_CONNECT_SWAPPED);
  show_model (self);
}

static void
atl_kv_list_dispose (GObject *object)
{
  AtlKvList *self = ATL_KV_LIST (object);

  g_cancellable_cancel (self->asking);
  g_clear_object (&self->asking);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_kv_list_parent_class)->dispose (object);
}

static void
atl_kv_list_class_init (AtlKvListClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = atl_kv_list_dispose;
}

static void
atl_kv_list_init (AtlKvList *self)
{
  self->row = adw_expander_row_new ();
  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (self->row), FALSE);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->row), _ ("What it keeps of a chat"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->row), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("What it keeps of a chat"), -1);
  gtk_widget_set_tooltip_text (self->row, _ ("How finely the numbers are kept (KV cache type)"));
  for (guint i = 0; i < N_CHOICES; i++)
    {
      self->rows[i] = new_choice (self, &choices[i]);
      if (i > 0)
        gtk_check_button_set_group (atl_choice_row_get_button (self->rows[i]),
                                    atl_choice_row_get_button (self->rows[0]));
    }
  gtk_widget_set_sensitive (self->row, FALSE);
  g_signal_connect_swapped (self->row, "notify::expanded", G_CALLBACK (expanded_cb), self);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self), self->row);
  adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (self), _ ("Memory for long chats"));
  adw_preferences_group_set_description (
      ADW_PREFERENCES_GROUP (self),
      _ ("Every word of a chat takes memory while the model is loaded. Kept less exactly, twice or "
         "four times as long a chat fits."));
}
