/* What was deleted last can come back: by the toast's button or Ctrl+Z. */
#include "app/window/undo.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/dialogs.h"
#include "app/window/window-private.h"

#define MAX_UNDO 20

typedef struct
{
  AtlUndoFunc undo;
  gpointer data;
  GDestroyNotify free_data;
  AdwToast *toast;
} Undo;

static void
free_undo (Undo *undo)
{
  if (undo->free_data != NULL)
    undo->free_data (undo->data);
  g_object_unref (undo->toast);
  g_free (undo);
}

void
atl_window_clear_undo (AtlWindow *self)
{
  g_queue_clear_full (&self->undo, (GDestroyNotify) free_undo);
}

static void
run_undo (AtlWindow *self, Undo *undo)
{
  g_autoptr (GError) error = NULL;

  g_queue_remove (&self->undo, undo);
  adw_toast_dismiss (undo->toast);
  if (!undo->undo (undo->data, &error))
    atl_window_toast (self, error->message);
  free_undo (undo);
}

void
atl_window_undo_last (AtlWindow *self)
{
  Undo *undo = g_queue_peek_head (&self->undo);

  if (undo != NULL)
    run_undo (self, undo);
  else
    atl_window_toast (self, _ ("There is nothing to undo"));
}

static void
button_cb (AdwToast *toast, AtlWindow *self)
{
  for (GList *l = self->undo.head; l != NULL; l = l->next)
    if (((Undo *) l->data)->toast == toast)
      {
        run_undo (self, l->data);
        return;
      }
}

void
atl_undo_offer (GtkWidget *widget,
                const char *sentence,
                AtlUndoFunc undo_func,
                gpointer data,
                GDestroyNotify free_data)
{
  AtlWindow *self = ATL_WINDOW (gtk_widget_get_root (widget));
  GtkWidget *toasts = atl_window_get_toasts (self);
  Undo *undo = g_new0 (Undo, 1);

  undo->undo = undo_func;
  undo->data = data;
  undo->free_data = free_data;
  undo->toast = atl_toast_new (toasts, sentence, _ ("_Undo"));
  adw_toast_set_timeout (undo->toast, 8);
  /* Its button is about what was deleted just now. */
  adw_toast_set_priority (undo->toast, ADW_TOAST_PRIORITY_HIGH);
  g_signal_connect_object (undo->toast, "button-clicked", G_CALLBACK (button_cb), self, 0);
  g_queue_push_head (&self->undo, undo);
  if (g_queue_get_length (&self->undo) > MAX_UNDO)
    free_undo (g_queue_pop_tail (&self->undo));
  atl_toast_add (toasts, g_object_ref (undo->toast));
  atl_accessible_announce (widget, sentence);
}
