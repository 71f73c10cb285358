/* Joining pieces of text: signals have no flow control, and each costs the window 40 µs. */
#define G_LOG_DOMAIN "atl-service"

#include "engine/service/text-sender.h"

#include "protocol/protocol.h"

struct _AtlTextSender
{
  gint ref_count;
  GDBusConnection *connection;
  GMainContext *context;
  guint request;

  GMutex mutex;
  GString *waiting; /* (mutex mutex) */
  gboolean is_thinking;
  GPtrArray *tokens; /* (mutex mutex) GVariant */
  gint64 sent_at;
  gboolean has_timer;
};

AtlTextSender *
atl_text_sender_new (GDBusConnection *connection, GMainContext *context, guint request)
{
  AtlTextSender *self = g_new0 (AtlTextSender, 1);

  self->ref_count = 1;
  self->connection = g_object_ref (connection);
  self->context = g_main_context_ref (context);
  self->request = request;
  self->waiting = g_string_new (NULL);
  self->tokens = g_ptr_array_new_with_free_func ((GDestroyNotify) g_variant_unref);
  g_mutex_init (&self->mutex);
  return self;
}

AtlTextSender *
atl_text_sender_ref (AtlTextSender *self)
{
  g_atomic_int_inc (&self->ref_count);
  return self;
}

void
atl_text_sender_unref (AtlTextSender *self)
{
  if (self == NULL || !g_atomic_int_dec_and_test (&self->ref_count))
    return;
  g_object_unref (self->connection);
  g_main_context_unref (self->context);
  g_string_free (self->waiting, TRUE);
  g_ptr_array_unref (self->tokens);
  g_mutex_clear (&self->mutex);
  g_free (self);
}

/* Under the mutex, so that messages keep their order. */
static void
send_locked (AtlTextSender *self)
{
  if (self->tokens->len > 0)
    {
      g_dbus_connection_emit_signal (
          self->connection, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, "Tokens",
          g_variant_new ("(u@a(isdba(isd)))", self->request,
                         g_variant_new_array (G_VARIANT_TYPE ("(isdba(isd))"),
                                              (GVariant *const *) self->tokens->pdata,
                                              self->tokens->len)),
          NULL);
      g_ptr_array_set_size (self->tokens, 0);
    }
  if (self->waiting->len == 0)
    return;
  g_dbus_connection_emit_signal (
      self->connection, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, "Text",
      g_variant_new ("(usb)", self->request, self->waiting->str, self->is_thinking), NULL);
  g_string_truncate (self->waiting, 0);
  self->sent_at = g_get_monotonic_time ();
}

static gboolean timer_cb (gpointer user_data);

/* Sends what waits if the last message is long enough ago, else sees to it later. */
static void
send_or_wait_locked (AtlTextSender *self)
{
  gint64 since_ms = (g_get_monotonic_time () - self->sent_at) / 1000;
  g_autoptr (GSource) source = NULL;

  if (since_ms >= ATL_TEXT_INTERVAL_MS)
    {
      send_locked (self);
      return;
    }
  if (self->has_timer || self->waiting->len == 0)
    return;
  self->has_timer = TRUE;
  source = g_timeout_source_new (ATL_TEXT_INTERVAL_MS - (guint) since_ms);
  g_source_set_callback (source, timer_cb, atl_text_sender_ref (self),
                         (GDestroyNotify) atl_text_sender_unref);
  g_source_attach (source, self->context);
}

static gboolean
timer_cb (gpointer user_data)
{
  AtlTextSender *self = user_data;

  g_mutex_lock (&self->mutex);
  self->has_timer = FALSE;
  /* A piece may have been sent meanwhile, from the computing thread. */
  send_or_wait_locked (self);
  g_mutex_unlock (&self->mutex);
  return G_SOURCE_REMOVE;
}

void
atl_text_sender_push (AtlTextSender *self, const char *text, gboolean is_thinking)
{
  g_mutex_lock (&self->mutex);
  if (is_thinking != self->is_thinking)
    send_locked (self);
  self->is_thinking = is_thinking;
  g_string_append (self->waiting, text);
  send_or_wait_locked (self);
  g_mutex_unlock (&self->mutex);
}

void
atl_text_sender_push_token (AtlTextSender *self, GVariant *token)
{
  g_mutex_lock (&self->mutex);
  g_ptr_array_add (self->tokens, g_variant_ref_sink (token));
  g_mutex_unlock (&self->mutex);
}

void
atl_text_sender_flush (AtlTextSender *self)
{
  g_mutex_lock (&self->mutex);
  send_locked (self);
  g_mutex_unlock (&self->mutex);
}
