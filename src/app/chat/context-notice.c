/* The warning above the composer and what its buttons do. */
#include "app/chat/context-notice.h"

#include <glib/gi18n.h>

#include "app/chat/follow-up.h"

#define NEARLY_FULL 0.9

struct _AtlContextNotice
{
  GtkWidget parent_instance;

  AtlSession *session;           /* (nullable) */
  AtlConversation *conversation; /* (nullable) */
  GCancellable *summing;         /* (nullable) while the model sums up */

  GtkWidget *revealer;
  GtkWidget *label;
  GtkWidget *bar;
  GtkWidget *buttons;
  GtkWidget *context_button;
  GtkWidget *summarize_button;
  GtkWidget *start_button;
  GtkWidget *cancel_button;
};

G_DEFINE_FINAL_TYPE (AtlContextNotice, atl_context_notice, GTK_TYPE_WIDGET)

/* Who chose that the oldest is forgotten needs no other way on. */
static gboolean
forgets (AtlContextNotice *self)
{
  g_auto (AtlChatParams) params;

  atl_chat_params_init (&params);
  atl_conversation_get_params (self->conversation, &params);
  return params.shift_context;
}

/* Then nothing tells how much is used. */
static gboolean
is_last_refused (AtlContextNotice *self)
{
  GListModel *messages = atl_conversation_get_messages (self->conversation);
  const guint n = g_list_model_get_n_items (messages);
  g_autoptr (AtlMessageItem) last = n > 0 ? g_list_model_get_item (messages, n - 1) : NULL;

  /* One question alone leaves nothing to sum up. */
  return n > 2 && atl_conversation_is_refused (self->conversation, last);
}

static char *
words (AtlContextNotice *self)
{
  guint used, total;

  atl_conversation_get_context (self->conversation, &used, &total);
  if (forgets (self))
    return NULL;
  if (total > 0 && (used >= total || is_last_refused (self)))
    return g_strdup (_ ("This chat fills the context of the model: nothing more fits."));
  if (total > 0 && used >= NEARLY_FULL * total)
    return g_strdup_printf (
        _ ("This chat is nearly too long: %d %% of what the model can see at once is used. When "
           "it is full, answers end early."),
        (int) (100.0 * used / total));
  return NULL;
}

void
atl_context_notice_refresh (AtlContextNotice *self)
{
  g_autofree char *text = NULL;

  if (self->conversation == NULL || self->summing != NULL)
    return;
  text = words (self);
  if (text != NULL)
    gtk_label_set_text (GTK_LABEL (self->label), text);
  gtk_widget_set_visible (self->context_button,
                          atl_conversation_get_longer_context (self->conversation) > 0);
  gtk_widget_set_visible (self->buttons, TRUE);
  gtk_widget_set_visible (self->bar, FALSE);
  gtk_widget_set_visible (self->cancel_button, FALSE);
  gtk_revealer_set_reveal_child (GTK_REVEALER (self->revealer), text != NULL);
}

static void
give_up (AtlContextNotice *self)
{
  if (self->summing != NULL)
    g_cancellable_cancel (self->summing);
  g_clear_object (&self->summing);
}

void
atl_context_notice_set_conversation (AtlContextNotice *self,
                                     AtlSession *session,
                                     AtlConversation *conversation)
{
  g_set_object (&self->session, session);
  if (!g_set_object (&self->conversation, conversation))
    return;
  give_up (self);
  atl_context_notice_refresh (self);
}

static void
start (AtlContextNotice *self, AtlConversation *conversation, const char *summary)
{
  g_autoptr (GError) error = NULL;
  gint64 id = atl_follow_up_start (conversation, summary, &error);

  if (id == 0)
    {
      atl_session_emit_notice (self->session, error->message);
      return;
    }
  gtk_widget_activate_action (GTK_WIDGET (self), "win.open-chat", "x", id);
  atl_session_emit_notice (self->session, _ ("The chat goes on here. The long one is kept."));
}

static void
start_cb (AtlContextNotice *self)
{
  start (self, self->conversation, NULL);
}

static void
longer_cb (AtlContextNotice *self)
{
  atl_conversation_use_longer_context (self->conversation);
}

static void
progress_cb (guint part, guint n_parts, gpointer data)
{
  AtlContextNotice *self = data;
  g_autofree char *text = NULL;

  if (self->summing == NULL || g_cancellable_is_cancelled (self->summing))
    return;
  text = n_parts > 1 ? g_strdup_printf (_ ("Summarising the chat, part %u of %u…"), part, n_parts)
                     : g_strdup (_ ("Summarising the chat…"));
  gtk_label_set_text (GTK_LABEL (self->label), text);
  gtk_widget_set_visible (self->bar, n_parts > 1);
  gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (self->bar), (double) (part - 1) / n_parts);
}

typedef struct
{
  AtlContextNotice *notice;
  AtlConversation *conversation;
} Asked;

static void
summarized_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Asked *asked = data;
  AtlContextNotice *self = asked->notice;
  g_autoptr (GError) error = NULL;
  g_autofree char *summary = atl_follow_up_summarize_finish (result, &error);

  /* Cancelled ones were given up already; their place may be another's. */
  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      g_clear_object (&self->summing);
      atl_context_notice_refresh (self);
      if (summary != NULL)
        start (self, asked->conversation, summary);
      else
        atl_session_emit_notice (self->session, error->message);
    }
  g_object_unref (asked->conversation);
  g_object_unref (asked->notice);
  g_free (asked);
}

static void
summarize_cb (AtlContextNotice *self)
{
  Asked *asked;

  if (self->summing != NULL)
    return;
  asked = g_new0 (Asked, 1);
  asked->notice = g_object_ref (self);
  asked->conversation = g_object_ref (self->conversation);
  self->summing = g_cancellable_new ();
  gtk_widget_set_visible (self->buttons, FALSE);
  gtk_widget_set_visible (self->cancel_button, TRUE);
  gtk_widget_grab_focus (self->cancel_button);
  atl_follow_up_summarize_async (self->conversation, progress_cb, self, self->summing,
                                 summarized_cb, asked);
}

static void
cancel_cb (AtlContextNotice *self)
{
  give_up (self);
  atl_context_notice_refresh (self);
  gtk_widget_grab_focus (self->summarize_button);
}

static void
atl_context_notice_dispose (GObject *object)
{
  AtlContextNotice *self = ATL_CONTEXT_NOTICE (object);

  give_up (self);
  g_clear_pointer (&self->revealer, gtk_widget_unparent);
  g_clear_object (&self->conversation);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (atl_context_notice_parent_class)->dispose (object);
}

static void
atl_context_notice_class_init (AtlContextNoticeClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_context_notice_dispose;
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/context-notice.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlContextNotice, name)
  BIND (revealer);
  BIND (label);
  BIND (bar);
  BIND (buttons);
  BIND (context_button);
  BIND (summarize_button);
  BIND (start_button);
  BIND (cancel_button);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, longer_cb);
  gtk_widget_class_bind_template_callback (widget_class, summarize_cb);
  gtk_widget_class_bind_template_callback (widget_class, start_cb);
  gtk_widget_class_bind_template_callback (widget_class, cancel_cb);
}

static void
atl_context_notice_init (AtlContextNotice *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}
