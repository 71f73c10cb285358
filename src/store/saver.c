/* A thread that writes the newest text of each streaming answer, and goes on trying where the disk
 * was full. */
#define G_LOG_DOMAIN "atl-store"

#include "store/saver.h"

#include "store/store-private.h"

#define RETRY_US (2 * G_USEC_PER_SEC)

/* Pages the log of the window's own handle may reach before that handle tidies up itself; the
 * thread's handle does so after SQLite's usual 1000. */
#define LOG_PAGES 10000

typedef struct
{
  gint64 id;
  char *text;
  char *thinking;   /* (nullable) */
  gboolean is_last; /* ends the answer; then */
  AtlMessageState state;
  char *error_text; /* (nullable) */
  char *stats_json; /* (nullable) */
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
  GQueue failed;     /* (mutex) (element-type Pending) last words that are tried again */
  gboolean failing;  /* (mutex) the last try failed */
  char *trouble;     /* (mutex) (nullable) why, until it is taken */
};

static void
free_pending (gpointer data)
{
  Pending *pending = data;

  g_free (pending->text);
  g_free (pending->thinking);
  g_free (pending->error_text);
  g_free (pending->stats_json);
  g_free (pending);
}

/* NULL when it is written, or need not be: an answer that was finished meanwhile has its last word
 * already. Else why not. */
static char *
write_one (AtlStore **store, const char *dir, const Pending *pending)
{
  g_autoptr (GError) error = NULL;
  gboolean written = FALSE;

  if (*store == NULL)
    *store = atl_store_open (dir, &error);
  if (*store != NULL && pending->is_last)
    written = atl_store_answer_finish (*store, pending->id, pending->state, pending->text,
                                       pending->thinking, pending->error_text, pending->stats_json,
                                       &error);
  else if (*store != NULL)
    written = atl_store_message_checkpoint (*store, pending->id, pending->text, pending->thinking,
                                            &error);
  if (written || g_error_matches (error, ATL_ERROR, ATL_ERROR_NOT_FOUND))
    return NULL;
  return g_strdup (error->message);
}

/* Called with the mutex held. */
static void
note_result (AtlSaver *self, Pending *pending, char *trouble)
{
  self->active |= trouble == NULL;
  if (trouble == NULL)
    g_clear_pointer (&self->trouble, g_free);
  else if (!self->failing)
    {
      g_free (self->trouble);
      self->trouble = g_strdup (trouble);
    }
  self->failing = trouble != NULL;
  if (trouble != NULL && pending->is_last && !self->quitting)
    g_queue_push_tail (&self->failed, pending);
  else
    free_pending (pending);
}

/* Called with the mutex held: what failed is tried again, now or when its time comes. */
static void
wait_for_work (AtlSaver *self)
{
  Pending *failed;

  if (self->failed.length == 0)
    {
      g_cond_wait (&self->changed, &self->mutex);
      return;
    }
  if (!self->quitting &&
      g_cond_wait_until (&self->changed, &self->mutex, g_get_monotonic_time () + RETRY_US) &&
      !self->quitting)
    return;
  while ((failed = g_queue_pop_head (&self->failed)) != NULL)
    g_queue_push_tail (&self->pending, failed);
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
      g_autofree char *trouble = NULL;

      if (next == NULL && self->quitting && self->failed.length == 0)
        break;
      if (next == NULL)
        {
          wait_for_work (self);
          continue;
        }
      self->writing = TRUE;
      g_mutex_unlock (&self->mutex);
      trouble = write_one (&store, self->dir, next);
      g_mutex_lock (&self->mutex);
      self->writing = FALSE;
      note_result (self, next, trouble);
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
  g_queue_init (&self->failed);
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
  g_free (self->trouble);
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
    if (((Pending *) l->data)->id == answer_id && !((Pending *) l->data)->is_last)
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
atl_saver_finish (AtlSaver *self,
                  gint64 answer_id,
                  AtlMessageState state,
                  const char *text,
                  const char *thinking,
                  const char *error_text,
                  const char *stats_json)
{
  Pending *pending = g_new0 (Pending, 1);

  g_return_if_fail (text != NULL && state != ATL_MESSAGE_STREAMING);
  pending->id = answer_id;
  pending->is_last = TRUE;
  pending->state = state;
  pending->text = g_strdup (text);
  pending->thinking = g_strdup (thinking);
  pending->error_text = g_strdup (error_text);
  pending->stats_json = g_strdup (stats_json);
  g_mutex_lock (&self->mutex);
  g_queue_push_tail (&self->pending, pending);
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->mutex);
}

char *
atl_saver_take_trouble (AtlSaver *self)
{
  char *trouble;

  g_mutex_lock (&self->mutex);
  trouble = g_steal_pointer (&self->trouble);
  g_mutex_unlock (&self->mutex);
  return trouble;
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
