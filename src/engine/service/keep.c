/* KeepConversation and KeepAll: files for conversations that leave the memory, and when they are
 * written.
 *
 * That is when a conversation is dropped, when its model is unloaded, when nobody asked for a
 * minute, and when the client is about to end. Not after every answer: what is kept of a long chat
 * may be a gigabyte, and a disk bears only so many of them. */
#define G_LOG_DOMAIN "atl-service"

#include <gio/gunixfdlist.h>
#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

#include "engine/service/handlers.h"
#include "engine/service/job.h"
#include "engine/service/keep.h"
#include "engine/service/service-private.h"
#include "protocol/protocol.h"

/* After so long nobody is likely to be in the middle of a chat. */
#define IDLE_US (60 * G_USEC_PER_SEC)
/* Memory is wanted, or a model is to go: so long it may take to keep its conversations. */
#define UNLOAD_PATIENCE_US (5 * G_USEC_PER_SEC)
/* Answers that were asked to end need about a token. */
#define STOP_PATIENCE_US (2 * G_USEC_PER_SEC)
#define POLL_US (10 * 1000)

/* --- The files of a model's conversations --- */

typedef struct
{
  char *key;
  int kept, room; /* -1: none */
  guint64 number, max_bytes;
  gboolean is_writing;  /* the room is in use: nobody closes it */
  gboolean is_unwanted; /* when it was written it is of no use */
} Files;

struct _AtlKeepTable
{
  AtlService *service; /* borrowed */
  GMutex mutex;
  GQueue list; /* (mutex mutex) Files, the latest last */
};

static void
end_room (AtlKeepTable *self, Files *files, guint n_tokens)
{
  if (files->room < 0)
    return;
  close (files->room);
  files->room = -1;
  atl_service_emit (self->service, "Kept", g_variant_new ("(tu)", files->number, n_tokens));
}

static void
files_free (AtlKeepTable *self, Files *files)
{
  end_room (self, files, 0);
  if (files->kept >= 0)
    close (files->kept);
  g_free (files->key);
  g_free (files);
}

static GList *
find (AtlKeepTable *self, const char *key)
{
  for (GList *link = self->list.head; link != NULL; link = link->next)
    if (g_str_equal (((Files *) link->data)->key, key))
      return link;
  return NULL;
}

static void
drop (AtlKeepTable *self, GList *link)
{
  files_free (self, link->data);
  g_queue_delete_link (&self->list, link);
}

static int
open_kept_cb (const char *key, gpointer user_data)
{
  AtlKeepTable *self = user_data;
  GList *link;
  int fd = -1;

  g_mutex_lock (&self->mutex);
  link = find (self, key);
  if (link != NULL && ((Files *) link->data)->kept >= 0)
    fd = dup (((Files *) link->data)->kept);
  g_mutex_unlock (&self->mutex);
  return fd;
}

static int
begin_keep_cb (const char *key, guint64 *max_bytes, gpointer user_data)
{
  AtlKeepTable *self = user_data;
  GList *link;
  int fd = -1;

  g_mutex_lock (&self->mutex);
  link = find (self, key);
  if (link != NULL)
    {
      Files *files = link->data;

      fd = files->room;
      *max_bytes = files->max_bytes;
      files->is_writing = fd >= 0;
    }
  g_mutex_unlock (&self->mutex);
  return fd;
}

static void
end_keep_cb (const char *key, guint n_tokens, gboolean is_again, gpointer user_data)
{
  AtlKeepTable *self = user_data;
  GList *link;
  Files *files;

  g_mutex_lock (&self->mutex);
  link = find (self, key);
  g_assert (link != NULL);
  files = link->data;
  files->is_writing = FALSE;
  if (files->is_unwanted)
    drop (self, link);
  else if (!is_again)
    end_room (self, files, n_tokens);
  g_mutex_unlock (&self->mutex);
}

AtlKeepTable *
atl_keep_table_new (AtlService *service)
{
  AtlKeepTable *self = g_new0 (AtlKeepTable, 1);

  self->service = service;
  g_mutex_init (&self->mutex);
  g_queue_init (&self->list);
  return self;
}

void
atl_keep_table_free (AtlKeepTable *self)
{
  if (self == NULL)
    return;
  while (self->list.head != NULL)
    drop (self, self->list.head);
  g_mutex_clear (&self->mutex);
  g_free (self);
}

AtlChatKeep
atl_keep_table_files (AtlKeepTable *self)
{
  return (AtlChatKeep){ open_kept_cb, begin_keep_cb, end_keep_cb, self };
}

/* Takes the files. */
static void
put (AtlKeepTable *self, Files *files)
{
  GList *link;

  g_mutex_lock (&self->mutex);
  link = find (self, files->key);
  if (link != NULL && ((Files *) link->data)->is_writing)
    {
      /* Those come too late. */
      ((Files *) link->data)->is_unwanted = files->room < 0;
      files_free (self, files);
      files = NULL;
    }
  else if (link != NULL)
    drop (self, link);
  if (files != NULL && files->kept < 0 && files->room < 0)
    files_free (self, files);
  else if (files != NULL)
    {
      link = self->list.head;
      while (self->list.length >= ATL_MAX_KEPT_CONVERSATIONS && link != NULL)
        {
          GList *next = link->next;

          if (!((Files *) link->data)->is_writing)
            drop (self, link);
          link = next;
        }
      g_queue_push_tail (&self->list, files);
    }
  g_mutex_unlock (&self->mutex);
}

/* --- KeepConversation --- */

static gboolean
take_file (Files *files, GUnixFDList *fds, const char *name, gint32 handle, GError **error)
{
  int n_fds = fds != NULL ? g_unix_fd_list_get_length (fds) : 0;
  int *place = g_str_equal (name, ATL_KEEP_KEPT)   ? &files->kept
               : g_str_equal (name, ATL_KEEP_ROOM) ? &files->room
                                                   : NULL;

  if (place == NULL || *place >= 0 || handle < 0 || handle >= n_fds)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "“%.20s” is no file for a conversation",
                   name);
      return FALSE;
    }
  *place = g_unix_fd_list_get (fds, handle, error);
  return *place >= 0;
}

static gboolean
take_files (Files *files, GUnixFDList *fds, GVariant *list, GError **error)
{
  GVariantIter iter;
  const char *name;
  gint32 handle;

  g_variant_iter_init (&iter, list);
  while (g_variant_iter_next (&iter, "(&sh)", &name, &handle))
    if (!take_file (files, fds, name, handle, error))
      return FALSE;
  return TRUE;
}

gboolean
atl_handle_keep_conversation (AtlIpcEngine1 *skeleton,
                              GDBusMethodInvocation *invocation,
                              GUnixFDList *fds,
                              guint model,
                              const char *conversation,
                              GVariant *files,
                              guint64 number,
                              guint64 max_bytes,
                              AtlService *self)
{
  AtlSlot *slot = g_hash_table_lookup (self->slots, GUINT_TO_POINTER (model));
  GError *error = NULL;
  Files *taken;

  if (!self->is_greeted)
    g_set_error (&error, ATL_ERROR, ATL_ERROR_INVALID, "Hello must come first");
  else if (slot == NULL)
    g_set_error (&error, ATL_ERROR, ATL_ERROR_NOT_FOUND, "%s", _ (ATL_NOT_LOADED_WORDS));
  else if (*conversation == '\0' || strlen (conversation) > ATL_MAX_CONVERSATION_BYTES)
    g_set_error (&error, ATL_ERROR, ATL_ERROR_INVALID, "a conversation's name has 1 to %u bytes",
                 ATL_MAX_CONVERSATION_BYTES);
  if (error != NULL)
    {
      g_dbus_method_invocation_take_error (invocation, error);
      return G_DBUS_METHOD_INVOCATION_HANDLED;
    }
  taken = g_new0 (Files, 1);
  taken->kept = taken->room = -1;
  taken->key = g_strdup (conversation);
  taken->number = number;
  taken->max_bytes = max_bytes;
  if (!take_files (taken, fds, files, &error))
    {
      files_free (slot->keeping, taken);
      g_dbus_method_invocation_take_error (invocation, error);
      return G_DBUS_METHOD_INVOCATION_HANDLED;
    }
  put (slot->keeping, taken);
  atl_ipc_engine1_complete_keep_conversation (skeleton, invocation, NULL);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

/* --- Keeping --- */

void
atl_keep_before_unload (AtlSlot *slot)
{
  if (slot->model == NULL)
    return;
  atl_chat_model_keep_conversations (slot->model, g_get_monotonic_time () + UNLOAD_PATIENCE_US,
                                     NULL, NULL);
}

static gboolean
is_due (AtlSlot *slot)
{
  gboolean has_some;

  if (slot->n_jobs > 0 ||
      g_get_monotonic_time () - __atomic_load_n (&slot->used_at, __ATOMIC_RELAXED) < IDLE_US ||
      !g_rw_lock_reader_trylock (&slot->lock))
    return FALSE;
  has_some = slot->model != NULL && atl_chat_model_n_unkept (slot->model) > 0;
  g_rw_lock_reader_unlock (&slot->lock);
  return has_some;
}

static gboolean
is_asked_cb (gpointer user_data)
{
  const AtlSlot *slot = user_data;

  return !atl_chat_model_is_idle (slot->model);
}

/* Inside the turnstile, whose others wait: for a model that is being unloaded not at all. */
static void
keep_slot (AtlSlot *slot, gint64 deadline, gboolean (*should_stop) (gpointer))
{
  if (!g_rw_lock_reader_trylock (&slot->lock))
    return;
  if (slot->model != NULL)
    atl_chat_model_keep_conversations (slot->model, deadline, should_stop, slot);
  g_rw_lock_reader_unlock (&slot->lock);
}

static gboolean
keep_due_run (AtlJob *job, GError **error)
{
  for (guint i = 0; i < job->keep.slots->len; i++)
    {
      atl_turnstile_enter (job->service->turnstile);
      keep_slot (job->keep.slots->pdata[i], 0, is_asked_cb);
      atl_turnstile_leave (job->service->turnstile);
    }
  return TRUE;
}

static void
keep_due_done (AtlJob *job, const GError *error)
{
}

static GPtrArray *
new_slots (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) atl_slot_unref);
}

void
atl_keep_due (AtlService *self)
{
  g_autoptr (GPtrArray) due = new_slots ();
  GHashTableIter iter;
  gpointer slot;
  AtlJob *job;

  g_hash_table_iter_init (&iter, self->slots);
  while (g_hash_table_iter_next (&iter, NULL, &slot))
    if (is_due (slot))
      g_ptr_array_add (due, atl_slot_ref (slot));
  if (due->len == 0)
    return;
  job = atl_job_new_own (self, keep_due_run, keep_due_done);
  job->keep.slots = g_steal_pointer (&due);
  atl_job_start (job, self->compute);
}

/* --- KeepAll --- */

static void
wait_idle (const AtlSlot *slot, gint64 until)
{
  gboolean is_idle = FALSE;

  while (!is_idle && g_get_monotonic_time () < until)
    {
      g_rw_lock_reader_lock ((GRWLock *) &slot->lock);
      is_idle = slot->model == NULL || atl_chat_model_is_idle (slot->model);
      g_rw_lock_reader_unlock ((GRWLock *) &slot->lock);
      if (!is_idle)
        g_usleep (POLL_US);
    }
}

static gboolean
keep_all_run (AtlJob *job, GError **error)
{
  gint64 until = MIN (job->keep.deadline, g_get_monotonic_time () + STOP_PATIENCE_US);

  for (guint i = 0; i < job->keep.slots->len; i++)
    {
      wait_idle (job->keep.slots->pdata[i], until);
      atl_turnstile_enter (job->service->turnstile);
      keep_slot (job->keep.slots->pdata[i], job->keep.deadline, NULL);
      atl_turnstile_leave (job->service->turnstile);
    }
  return TRUE;
}

static void
keep_all_done (AtlJob *job, const GError *error)
{
  atl_ipc_engine1_complete_keep_all (job->service->skeleton, g_steal_pointer (&job->invocation));
}

gboolean
atl_handle_keep_all (AtlIpcEngine1 *skeleton,
                     GDBusMethodInvocation *invocation,
                     guint timeout_ms,
                     AtlService *self)
{
  AtlJob *job = atl_job_new (self, 0, TRUE, invocation);
  GHashTableIter iter;
  gpointer slot;

  if (job == NULL)
    return G_DBUS_METHOD_INVOCATION_HANDLED;
  job->run = keep_all_run;
  job->done = keep_all_done;
  job->keep.deadline = g_get_monotonic_time () + (gint64) timeout_ms * 1000;
  job->keep.slots = new_slots ();
  g_hash_table_iter_init (&iter, self->slots);
  while (g_hash_table_iter_next (&iter, NULL, &slot))
    g_ptr_array_add (job->keep.slots, atl_slot_ref (slot));
  atl_job_start (job, self->preparing);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}
