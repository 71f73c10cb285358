/* A row of the settings: a number with its plain name, the term of the field, its range (or a
 * switch), and a button back to the recommended value while it differs.
 *
 *   GtkWidget *row = atl_param_row_new (atl_chat_param_find ("top-p"));
 *   g_signal_connect (row, "edited", G_CALLBACK (edited_cb), self);   // (double)
 *   g_signal_connect (row, "reset", G_CALLBACK (reset_cb), self);
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "protocol/chat-params.h"

G_BEGIN_DECLS

#define ATL_TYPE_PARAM_ROW (atl_param_row_get_type ())
G_DECLARE_FINAL_TYPE (AtlParamRow, atl_param_row, ATL, PARAM_ROW, AdwActionRow)

/* `spec` is static. */
GtkWidget *atl_param_row_new (const AtlChatParamSpec *spec);
const AtlChatParamSpec *atl_param_row_get_spec (AtlParamRow *self);
/* Emits nothing. `is_changed`: the person set it, so it can be reset. */
void atl_param_row_set_value (AtlParamRow *self, double value, gboolean is_changed);
/* The most that can be set; emits nothing. */
void atl_param_row_set_max (AtlParamRow *self, double max);

G_END_DECLS
