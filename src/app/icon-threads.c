/* An icon that another thread is about to finalise lives on until the main thread lets go of it. */
#define G_LOG_DOMAIN "atl-app"

#include "app/icon-threads.h"

#include <gtk/gtk.h>

#define LET_GO_MS 100

static GThread *main_thread;
static void (*dispose_of_icons) (GObject *icon);

/* Not before it is the only reference: the thread may still be about to count its own down, and
 * would then be the last after all. Widgets that have found the icon again let go of it some day.
 */
static gboolean
let_go_cb (gpointer icon)
{
  if (g_atomic_int_get (&G_OBJECT (icon)->ref_count) > 1)
    return G_SOURCE_CONTINUE;
  g_object_unref (icon);
  return G_SOURCE_REMOVE;
}

static void
dispose (GObject *icon)
{
  if (g_thread_self () == main_thread)
    dispose_of_icons (icon);
  else
    g_timeout_add (LET_GO_MS, let_go_cb, g_object_ref (icon));
}

void
atl_icon_threads_init (void)
{
  GObjectClass *klass;

  if (main_thread != NULL)
    return;
  main_thread = g_thread_self ();
  /* Kept for good. */
  klass = g_type_class_ref (GTK_TYPE_ICON_PAINTABLE);
  dispose_of_icons = klass->dispose;
  klass->dispose = dispose;
}
