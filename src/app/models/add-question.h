/* The question about models that a person brought: use them where they are, or copy them in.
 *
 *   GtkWidget *question = atl_add_question_new (window, models, answered_cb, self);
 *   gtk_window_present (GTK_WINDOW (question));
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

typedef enum
{
  ATL_ADD_ANSWER_CANCEL,
  ATL_ADD_ANSWER_COPY,
  ATL_ADD_ANSWER_REFERENCE,
} AtlAddAnswer;

/* Called once, while the question still exists. */
typedef void (*AtlAddAnswerFunc) (GtkWidget *question, AtlAddAnswer answer, gpointer data);

/* `models`: (element-type AtlModelFile), at least one; of several each can be left out. `reasons`:
 * paths of those that cannot be used by themselves, and why. `data` is referenced (a GObject) as
 * long as the question is open. */
GtkWidget *atl_add_question_new (GtkWindow *parent,
                                 GPtrArray *models,
                                 GHashTable *reasons,
                                 AtlAddAnswerFunc answered,
                                 gpointer data);

/* Whether the model at that place of the list is wanted. */
gboolean atl_add_question_is_chosen (GtkWidget *question, guint index);

/* Closes it without an answer. */
void atl_add_question_withdraw (GtkWidget *question);

G_END_DECLS
