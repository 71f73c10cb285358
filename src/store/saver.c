/* A thread that writes the newest text of each streaming answer and the files of drafts, and goes
 * on trying where the disk was full. */
#define G_LOG_DOMAIN "atl-store"

#include "store/saver.h"

#include "store/store-private.h"

#define RETRY_US (2 * G_USEC_PER_SEC)

/* Pages the log of the window's own handle may reach before that handle tidies up itself; the
 * thread's handle does so after SQLite's usual 1000. */
#define LOG_PAGES 10000

typedef enum
{
  CHECKPOINT,  /* of an answer; the next one may take its place */
  LAST_WORD,   /* ends the answer */
  DRAFT_FILES, /* of a chat */
} Kind;

typedef struct
{
  Kind kind;
  gint64 id; /* of the answer, or the chat */
  char *text;
  char *thinking; /* (nullable) */
  AtlMessageState state;
  GError *failure;  /* (nullable) */
  char *stats_json; /* (nullable) */
  GPtrArray *files; /* (nullable) (element-type AtlAttachment) */
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
  GQueue failed;     /* (mutex) (element-type Pending) what is tried again: no checkpoints */
  gboolean failing;  /* (mutex) the last try failed */
  char *trouble;     /* (mutex) (nullable) why, until it is taken */
};

static void
free_pending (gpointer data)
{
  Pending *pending = data;

  g_free (pending->text);
  g_free (pending->thinking);
  g_clear_error (&pending->failure);
  g_free (pending->stats_json);
  g_clear_pointer (&pending->files, g_ptr_array_unref);
  g_free (pending);
}

static Pending *
find (GQueue *queue, Kind kind, gint64 id)
{
  for (GList *l = queue->head; l != NULL; l = l->next)
    if (((Pending *) l->data)->kind == kind && ((Pending *) l->data)->id == id)
      return l->data;
  return NULL;
}

static gboolean
write_to (AtlStore *store, const Pending *pending, GError **error)
{
  switch (pending->kind)
    {
    case CHECKPOINT:
      return atl_store_message_checkpoint (store, pending->id, pending->text, pending->thinking,
                                           error);
    case LAST_WORD:
      return atl_store_answer_finish (store, pending->id, pending->state, pending->text,
                                      pending->thinking, pending->failure, pending->stats_json,
                                      error);
    case DRAFT_FILES:
      return atl_store_draft_files_set (store, pending->id, pending->files, error);
    }
  g_return_val_if_reached (FALSE);
}

/* NULL when it is written, or need not be: an answer that was finished meanwhile has its last word
 * already, a chat may be gone. Else why not. */
static char *
write_one (AtlStore **store, const char *dir, const Pending *pending)
{
  g_autoptr (GError) error = NULL;
  gboolean written;

  if (*store == NULL)
    *store = atl_store_open (dir, &error);
  written = *store != NULL && write_to (*store, pending, &error);
  if (written || g_error_matches (error, ATL_ERROR, ATL_ERROR_NOT_FOUND))
    return NULL;
  return g_strdup (error->message);
}

/* Called with the mutex held. Files that were put meanwhile take the place of those that could not
 * be written. */
static gboolean
is_tried_again (AtlSaver *self, const Pending *pending)
{
  return !self->quitting && pending->kind != CHECKPOINT &&
         !(pending->kind == DRAFT_FILES && find (&self->pending, DRAFT_FILES, pending->id) != NULL);
}

/* Called with the mutex held. */
static void
try_again (AtlSaver *self)
{
  Pending *failed;

  while ((failed = g_queue_pop_head (&self->failed)) != NULL)
    g_queue_push_tail (&self->pending, failed);
}

/* Called with the mutex held. Where one thing could be written, others can. */
static void
note_result (AtlSaver *self, Pending *pending, char *trouble)
{
  self->active |= trouble == NULL;
  if (trouble == NULL)
    {
      g_clear_pointer (&self->trouble, g_free);
      try_again (self);
    }
  else if (!self->failing)
    {
      g_free (self->trouble);
      self->trouble = g_strdup (trouble);
    }
  self->failing = trouble != NULL;
  if (trouble != NULL && is_tried_again (self, pending))
    g_queue_push_tail (&self->failed, pending);
  else
    free_pending (pending);
}

/* Called with the mutex held: what failed is tried again, now or when its time comes. */
static void
wait_for_work (AtlSaver *self)
{
  if (self->failed.length == 0)
    {
      g_cond_wait (&self->changed, &self->mutex);
      return;
    }
  if (!self->quitting &&
      g_cond_wait_until (&self->changed, &self->mutex, g_get_monotonic_time () + RETRY_US) &&
      !self->quitting)
    return;
  try_again (self);
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

/* Called with the mutex held: what is to be written next of that kind and id; what it was before is
 * forgotten. */
static Pending *
renew (AtlSaver *self, Kind kind, gint64 id)
{
  Pending *pending = find (&self->pending, kind, id);
  Pending *failed = find (&self->failed, kind, id);

  if (failed != NULL)
    {
      g_queue_remove (&self->failed, failed);
      free_pending (failed);
    }
  if (pending == NULL)
    {
      pending = g_new0 (Pending, 1);
      pending->kind = kind;
      pending->id = id;
      g_queue_push_tail (&self->pending, pending);
    }
  return pending;
}

void
atl_saver_put (AtlSaver *self, gint64 answer_id, const char *text, const char *thinking)
{
  Pending *pending;

  g_return_if_fail (text != NULL);
  g_mutex_lock (&self->mutex);
  pending = renew (self, CHECKPOINT, answer_id);
  g_free (pending->text);
  g_free (pending->thinking);
  pending->text = g_strdup (text);
  pending->thinking = g_strdup (thinking);
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->mutex);
}

void
atl_saver_put_draft_files (AtlSaver *self, gint64 chat_id, GPtrArray *files)
{
  Pending *pending;

  g_mutex_lock (&self->mutex);
  pending = renew (self, DRAFT_FILES, chat_id);
  g_clear_pointer (&pending->files, g_ptr_array_unref);
  pending->files = atl_attachments_new ();
  for (guint i = 0; i < files->len; i++)
    g_ptr_array_add (pending->files, atl_attachment_ref (files->pdata[i]));
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->mutex);
}

void
atl_saver_finish (AtlSaver *self,
                  gint64 answer_id,
                  AtlMessageState state,
                  const char *text,
                  const char *thinking,
                  const GError *failure,
                  const char *stats_json)
{
  Pending *pending = g_new0 (Pending, 1);

  g_return_if_fail (text != NULL && state != ATL_MESSAGE_STREAMING);
  pending->kind = LAST_WORD;
  pending->id = answer_id;
  pending->state = state;
  pending->text = g_strdup (text);
  pending->thinking = g_strdup (thinking);
  pending->failure = failure != NULL ? g_error_copy (failure) : NULL;
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

gboolean
atl_saver_get_is_failing (AtlSaver *self)
{
  gboolean failing;

  g_mutex_lock (&self->mutex);
  failing = self->failing;
  g_mutex_unlock (&self->mutex);
  return failing;
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
