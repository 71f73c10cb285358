/* A thread that writes the newest text of each streaming answer. */
#define G_LOG_DOMAIN "atl-store"

#include "store/saver.h"

#include "store/messages.h"
#include "store/store-private.h"

/* Pages the log of the window's own handle may reach before that handle tidies up itself; the
 * thread's handle does so after SQLite's usual 1000. */
#define LOG_PAGES 10000

typedef struct
{
  gint64 id;
  char *text;
  char *thinking; /* (nullable) */
} Pending;

struct _AtlSaver
{
  char *dir;
  GThread *thread;
  GMutex mutex;
  GCond changed;
  GQueue pending;    /* (mutex) (element-type Pending) */
  gboolean writing;  /* (mutex) */
  gboolean quitting; /* (mutex) */
  gboolean active;   /* (mutex) since the last take_activity() */
};

static void
free_pending (gpointer data)
{
  Pending *pending = data;

  g_free (pending->text);
  g_free (pending->thinking);
  g_free (pending);
}

static gboolean
write_one (AtlStore **store, const char *dir, const Pending *pending)
{
  g_autoptr (GError) error = NULL;

  if (*store == NULL)
    *store = atl_store_open (dir, &error);
  if (*store != NULL &&
      atl_store_message_checkpoint (*store, pending->id, pending->text, pending->thinking, &error))
    return TRUE;
  /* An answer that was finished meanwhile has its last word already. */
  if (!g_error_matches (error, ATL_ERROR, ATL_ERROR_NOT_FOUND))
    g_warning ("The answer could not be saved yet: %s", error->message);
  return FALSE;
}

static gpointer
run (gpointer data)
{
  AtlSaver *self = data;
  AtlStore *store = NULL;

  g_mutex_lock (&self->mutex);
  for (;;)
    {
      Pending *next = g_queue_pop_head (&self->pending);
      gboolean written;
      if (next == NULL && self->quitting)
        break;
      if (next == NULL)
        {
          g_cond_wait (&self->changed, &self->mutex);
          continue;
        }
      self->writing = TRUE;
      g_mutex_unlock (&self->mutex);
      written = write_one (&store, self->dir, next);
      free_pending (next);
      g_mutex_lock (&self->mutex);
      self->writing = FALSE;
      self->active |= written;
      g_cond_broadcast (&self->changed);
    }
  g_mutex_unlock (&self->mutex);
  atl_store_free (store);
  return NULL;
}

AtlSaver *
atl_saver_new (AtlStore *store)
{
  AtlSaver *self = g_new0 (AtlSaver, 1);

  self->dir = g_strdup (store->dir);
  g_mutex_init (&self->mutex);
  g_cond_init (&self->changed);
  g_queue_init (&self->pending);
  sqlite3_wal_autocheckpoint (store->db, LOG_PAGES);
  self->thread = g_thread_new ("saver", run, self);
  return self;
}

void
atl_saver_free (AtlSaver *self)
{
  if (self == NULL)
    return;
  g_mutex_lock (&self->mutex);
  self->quitting = TRUE;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->mutex);
  g_thread_join (self->thread);
  g_cond_clear (&self->changed);
  g_mutex_clear (&self->mutex);
  g_free (self->dir);
  g_free (self);
}

void
atl_saver_put (AtlSaver *self, gint64 answer_id, const char *text, const char *thinking)
{
  Pending *pending = NULL;

  g_return_if_fail (text != NULL);
  g_mutex_lock (&self->mutex);
  for (GList *l = self->pending.head; l != NULL && pending == NULL; l = l->next)
    if (((Pending *) l->data)->id == answer_id)
      pending = l->data;
  if (pending == NULL)
    {
      pending = g_new0 (Pending, 1);
      pending->id = answer_id;
      g_queue_push_tail (&self->pending, pending);
    }
  g_free (pending->text);
  g_free (pending->thinking);
  pending->text = g_strdup (text);
  pending->thinking = g_strdup (thinking);
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->mutex);
}

void
atl_saver_flush (AtlSaver *self)
{
  g_mutex_lock (&self->mutex);
  while (self->writing || self->pending.length > 0)
    g_cond_wait (&self->changed, &self->mutex);
  g_mutex_unlock (&self->mutex);
}

gboolean
atl_saver_take_activity (AtlSaver *self)
{
  gboolean active;

  g_mutex_lock (&self->mutex);
  active = self->active;
  self->active = FALSE;
  g_mutex_unlock (&self->mutex);
  return active;
}
