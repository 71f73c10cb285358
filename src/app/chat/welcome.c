/* The first thing a person sees. */
#include "app/chat/welcome.h"

#include <adwaita.h>
#include <glib/gi18n.h>

#include "app/models/model-list.h"
#include "app/models/starter-button.h"

struct _AtlWelcome
{
  GtkWidget parent_instance;

  AtlSession *session; /* (nullable) */

  GtkWidget *scroller;
  GtkWidget *status;
  GtkWidget *prompts;
  GtkWidget *choices;
  GtkWidget *starter;
  GtkWidget *choose_button;
  GtkWidget *hint;
};

G_DEFINE_FINAL_TYPE (AtlWelcome, atl_welcome, GTK_TYPE_WIDGET)

static const struct
{
  const char *icon, *title, *prompt;
} examples[] = {
  { "atl-thought-symbolic", N_ ("Explain something"),
    N_ ("Explain how a rainbow comes about, so that a ten-year-old understands it.") },
  { "document-edit-symbolic", N_ ("Help me write"),
    N_ ("Write a short, friendly letter to a neighbour whose dog barks at night.") },
  { "atl-chats-symbolic", N_ ("Think it over with me"),
    N_ ("I have a free weekend and little money. Suggest five things to do, with reasons.") },
};

static GtkWidget *
new_example (guint i)
{
  GtkWidget *button = gtk_button_new ();
  GtkWidget *grid = gtk_grid_new ();
  GtkWidget *icon = gtk_image_new_from_icon_name (examples[i].icon);
  GtkWidget *title = gtk_label_new (_ (examples[i].title));
  GtkWidget *prompt = gtk_label_new (_ (examples[i].prompt));

  gtk_grid_set_column_spacing (GTK_GRID (grid), 12);
  gtk_grid_set_row_spacing (GTK_GRID (grid), 3);
  gtk_label_set_xalign (GTK_LABEL (title), 0);
  gtk_label_set_xalign (GTK_LABEL (prompt), 0);
  gtk_label_set_wrap (GTK_LABEL (prompt), TRUE);
  gtk_widget_set_hexpand (prompt, TRUE);
  gtk_widget_add_css_class (title, "heading");
  gtk_widget_add_css_class (prompt, "dim-label");
  gtk_widget_add_css_class (prompt, "body");
  gtk_grid_attach (GTK_GRID (grid), icon, 0, 0, 1, 2);
  gtk_grid_attach (GTK_GRID (grid), title, 1, 0, 1, 1);
  gtk_grid_attach (GTK_GRID (grid), prompt, 1, 1, 1, 1);
  gtk_button_set_child (GTK_BUTTON (button), grid);
  gtk_widget_add_css_class (button, "card");
  gtk_widget_add_css_class (button, "example");
  gtk_actionable_set_action_name (GTK_ACTIONABLE (button), "chat.use-prompt");
  gtk_actionable_set_action_target (GTK_ACTIONABLE (button), "s", _ (examples[i].prompt));
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ (examples[i].prompt), -1);
  return button;
}

static void
set_status (AtlWelcome *self, const char *icon, const char *title, const char *description)
{
  AdwStatusPage *status = ADW_STATUS_PAGE (self->status);

  adw_status_page_set_icon_name (status, icon);
  adw_status_page_set_title (status, title);
  adw_status_page_set_description (status, description);
}

static void
refresh (AtlWelcome *self)
{
  AtlModel *model = atl_session_get_model (self->session);
  AtlModelList *models = atl_session_get_models (self->session);
  gboolean loading = atl_session_get_is_loading (self->session);
  /* A model for pictures alone does not help here. */
  gboolean have_models = atl_model_list_may_answer (models, FALSE);
  gboolean have_usable = atl_model_list_may_answer (models, TRUE);
  gboolean know = atl_model_list_get_is_ready (models) || have_models;

  gtk_widget_set_visible (self->prompts, model != NULL && !loading);
  gtk_widget_set_visible (self->choices, model == NULL && !loading && know);
  gtk_widget_set_visible (self->starter, !have_usable);
  gtk_widget_set_visible (self->choose_button, have_models);
  if (loading)
    {
      g_autofree char *name = g_markup_escape_text (atl_session_get_load_name (self->session), -1);
      set_status (self, "atl-models-symbolic", _ ("Getting the model ready"), name);
    }
  else if (model != NULL)
    set_status (self, "atl-chats-symbolic", _ ("What would you like to talk about?"),
                _ ("Write below, or begin with one of these."));
  else if (have_usable)
    set_status (self, "atl-models-symbolic", _ ("Which model should answer?"),
                _ ("It answers on this computer. Nothing you write leaves it."));
  else
    set_status (self, "io.github.atelier.Atelier", _ ("Welcome to Atelier"),
                _ ("Chat with a language model that runs on this computer. Nothing you write "
                   "leaves it. To begin, bring a model."));
}

void
atl_welcome_set_session (AtlWelcome *self, AtlSession *session)
{
  g_return_if_fail (self->session == NULL);

  self->session = g_object_ref (session);
  atl_starter_button_set_session (ATL_STARTER_BUTTON (self->starter), session);
  g_signal_connect_object (session, "notify::model", G_CALLBACK (refresh), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "notify::is-loading", G_CALLBACK (refresh), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_session_get_models (session), "refreshed", G_CALLBACK (refresh),
                           self, G_CONNECT_SWAPPED);
  g_signal_connect_object (atl_session_get_models (session), "judged", G_CALLBACK (refresh), self,
                           G_CONNECT_SWAPPED);
  refresh (self);
}

static void
atl_welcome_dispose (GObject *object)
{
  AtlWelcome *self = ATL_WELCOME (object);

  g_clear_pointer (&self->scroller, gtk_widget_unparent);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_welcome_parent_class)->dispose (object);
}

static void
atl_welcome_class_init (AtlWelcomeClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_welcome_dispose;
  g_type_ensure (ATL_TYPE_STARTER_BUTTON);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/welcome.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlWelcome, name)
  BIND (scroller);
  BIND (status);
  BIND (prompts);
  BIND (choices);
  BIND (starter);
  BIND (choose_button);
  BIND (hint);
#undef BIND
}

static void
atl_welcome_init (AtlWelcome *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  for (guint i = 0; i < G_N_ELEMENTS (examples); i++)
    gtk_box_append (GTK_BOX (self->prompts), new_example (i));
}
