/* An ordered list of tasks. */
#include "app/images/picture-queue.h"

struct _AtlPictureQueue
{
  GObject parent_instance;

  GPtrArray *tasks; /* (element-type AtlPictureTask) */
};

static GType
get_item_type (GListModel *list)
{
  return ATL_TYPE_PICTURE_TASK;
}

static guint
get_n_items (GListModel *list)
{
  return ATL_PICTURE_QUEUE (list)->tasks->len;
}

static gpointer
get_item (GListModel *list, guint position)
{
  AtlPictureQueue *self = ATL_PICTURE_QUEUE (list);

  return position < self->tasks->len ? g_object_ref (self->tasks->pdata[position]) : NULL;
}

static void
list_model_init (GListModelInterface *interface)
{
  interface->get_item_type = get_item_type;
  interface->get_n_items = get_n_items;
  interface->get_item = get_item;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (AtlPictureQueue,
                               atl_picture_queue,
                               G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, list_model_init))

static void
atl_picture_queue_finalize (GObject *object)
{
  g_ptr_array_unref (ATL_PICTURE_QUEUE (object)->tasks);
  G_OBJECT_CLASS (atl_picture_queue_parent_class)->finalize (object);
}

static void
atl_picture_queue_class_init (AtlPictureQueueClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = atl_picture_queue_finalize;
}

static void
atl_picture_queue_init (AtlPictureQueue *self)
{
  self->tasks = g_ptr_array_new_with_free_func (g_object_unref);
}

AtlPictureQueue *
atl_picture_queue_new (void)
{
  return g_object_new (ATL_TYPE_PICTURE_QUEUE, NULL);
}

void
atl_picture_queue_append (AtlPictureQueue *self, AtlPictureTask *task)
{
  g_ptr_array_add (self->tasks, g_object_ref (task));
  g_list_model_items_changed (G_LIST_MODEL (self), self->tasks->len - 1, 0, 1);
}

void
atl_picture_queue_remove (AtlPictureQueue *self, AtlPictureTask *task)
{
  guint at;

  if (!g_ptr_array_find (self->tasks, task, &at))
    return;
  g_ptr_array_remove_index (self->tasks, at);
  g_list_model_items_changed (G_LIST_MODEL (self), at, 1, 0);
}

static gboolean
is_at_work (AtlPictureTask *task)
{
  AtlPictureTaskState state = atl_picture_task_get_state (task);

  return state == ATL_TASK_RUNNING || state == ATL_TASK_SAVING;
}

/* Where it would go, which is where it is when it cannot move. */
static guint
target (AtlPictureQueue *self, guint at, gint by)
{
  guint first = 0;
  gint64 to = (gint64) at + by;

  if (is_at_work (self->tasks->pdata[at]))
    return at;
  while (first < self->tasks->len && is_at_work (self->tasks->pdata[first]))
    first++;
  return (guint) CLAMP (to, (gint64) first, (gint64) self->tasks->len - 1);
}

gboolean
atl_picture_queue_can_move (AtlPictureQueue *self, AtlPictureTask *task, gint by)
{
  guint at;

  return g_ptr_array_find (self->tasks, task, &at) && target (self, at, by) != at;
}

gboolean
atl_picture_queue_move (AtlPictureQueue *self, AtlPictureTask *task, gint by)
{
  guint at, to, low, high;

  if (!g_ptr_array_find (self->tasks, task, &at))
    return FALSE;
  to = target (self, at, by);
  if (to == at)
    return FALSE;
  g_object_ref (task);
  g_ptr_array_remove_index (self->tasks, at);
  g_ptr_array_insert (self->tasks, (gint) to, task);
  low = MIN (at, to);
  high = MAX (at, to);
  g_list_model_items_changed (G_LIST_MODEL (self), low, high - low + 1, high - low + 1);
  return TRUE;
}

void
atl_picture_queue_insert (AtlPictureQueue *self, AtlPictureTask *task, guint at)
{
  guint last = self->tasks->len;

  atl_picture_queue_append (self, task);
  atl_picture_queue_move (self, task, (gint) MIN (at, last) - (gint) last);
}

AtlPictureTask *
atl_picture_queue_next (AtlPictureQueue *self)
{
  for (guint i = 0; i < self->tasks->len; i++)
    if (atl_picture_task_get_state (self->tasks->pdata[i]) == ATL_TASK_WAITING)
      return self->tasks->pdata[i];
  return NULL;
}

gboolean
atl_picture_queue_contains (AtlPictureQueue *self, AtlPictureTask *task)
{
  return g_ptr_array_find (self->tasks, task, NULL);
}

static guint
count (AtlPictureQueue *self, AtlPictureTaskState state)
{
  guint n = 0;

  for (guint i = 0; i < self->tasks->len; i++)
    n += atl_picture_task_get_state (self->tasks->pdata[i]) == state;
  return n;
}

guint
atl_picture_queue_n_waiting (AtlPictureQueue *self)
{
  return count (self, ATL_TASK_WAITING);
}

guint
atl_picture_queue_n_failed (AtlPictureQueue *self)
{
  return count (self, ATL_TASK_FAILED);
}
