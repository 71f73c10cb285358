/* One answer of a comparison: which model gives it, with which settings, and what it says.
 *
 *   GtkWidget *column = atl_compare_column_new (session);
 *   atl_compare_column_set_path (column, path);
 *   atl_compare_column_ask (column, model, "Why is the sky blue?");
 *
 * Signals: "remove" (its button was pressed), "keep" (go on with this answer), "ended" (the answer
 * or its failure is there). Settings are those of a chat: defaults, the model's recommendation,
 * then what the person changed here.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_COMPARE_COLUMN (atl_compare_column_get_type ())
G_DECLARE_FINAL_TYPE (AtlCompareColumn, atl_compare_column, ATL, COMPARE_COLUMN, GtkWidget)

/* With the session's model, where there is one, and its settings. Takes a reference of the session.
 */
GtkWidget *atl_compare_column_new (AtlSession *session);

void atl_compare_column_set_removable (AtlCompareColumn *self, gboolean removable);
/* The file of the chosen model; borrowed, NULL without models. */
const char *atl_compare_column_get_path (AtlCompareColumn *self);
void atl_compare_column_set_path (AtlCompareColumn *self, const char *path);
/* A number of the settings, by its key of chat-params.h. */
void atl_compare_column_set_param (AtlCompareColumn *self, const char *key, double value);
/* The model without the adapters that the settings give it. The getter is FALSE where it has none.
 */
void atl_compare_column_set_plain (AtlCompareColumn *self, gboolean plain);
gboolean atl_compare_column_get_is_plain (AtlCompareColumn *self);

/* Empties the answer and says what is waited for. */
void atl_compare_column_wait (AtlCompareColumn *self, const char *phase, double fraction);
/* `messages` as atl_client_chat() takes it. */
void atl_compare_column_ask (AtlCompareColumn *self, AtlModel *model, const char *messages);
/* `error` NULL or cancelled: the answer ends without words. */
void atl_compare_column_fail (AtlCompareColumn *self, const GError *error);
void atl_compare_column_stop (AtlCompareColumn *self);
gboolean atl_compare_column_get_is_running (AtlCompareColumn *self);
const char *atl_compare_column_get_answer (AtlCompareColumn *self); /* borrowed, may be "" */
/* The file of the model that made the answer, whatever was chosen since; borrowed, NULL before the
 * first. */
const char *atl_compare_column_get_answered_path (AtlCompareColumn *self);
/* Saves the answer to `question` as a new chat with the settings that it was made with;
 * `attachments_json` as in AtlMessage. The chat's id, 0 on error. */
gint64 atl_compare_column_save (AtlCompareColumn *self,
                                const char *question,
                                const char *attachments_json,
                                GError **error);

G_END_DECLS
