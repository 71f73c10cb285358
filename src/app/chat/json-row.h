/* A row that is switched on and holds JSON: a schema for answers, or tools. What is no such JSON,
 * or what no answer could keep to, is said below the text and not taken over.
 *
 *   GtkWidget *row = atl_json_row_new (ATL_JSON_ROW_SCHEMA);
 *   g_signal_connect (row, "edited", G_CALLBACK (edited_cb), self);    (const char *json, nullable)
 *   atl_json_row_set_text (ATL_JSON_ROW (row), json);
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "client/client.h"

G_BEGIN_DECLS

#define ATL_TYPE_JSON_ROW (atl_json_row_get_type ())
G_DECLARE_FINAL_TYPE (AtlJsonRow, atl_json_row, ATL, JSON_ROW, AdwExpanderRow)

typedef enum
{
  ATL_JSON_ROW_SCHEMA, /* a JSON schema: an object */
  ATL_JSON_ROW_TOOLS,  /* a list of tools with names */
} AtlJsonRowKind;

GtkWidget *atl_json_row_new (AtlJsonRowKind kind);
/* Whose engine is asked whether a schema can be kept to. */
void atl_json_row_set_client (AtlJsonRow *self, AtlClient *client);
/* What was edited a moment ago and nobody has looked at yet counts now, if it is JSON. */
void atl_json_row_flush (AtlJsonRow *self);
/* NULL: switched off. Emits nothing; a text being edited that means the same stays. */
void atl_json_row_set_text (AtlJsonRow *self, const char *json);

G_END_DECLS
