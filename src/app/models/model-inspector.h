/* Whether model files can be used, and why not: asked of the engine, one file after the other.
 *
 *   AtlModelInspector *inspector = atl_model_inspector_new (client);
 *   atl_model_inspector_fill (inspector, entry);          // what is known already
 *   atl_model_inspector_look (inspector, entries, FALSE); // asks for what is not
 *
 * That a file is sound, damaged or of an unknown kind stays true while the file is the same (path,
 * size, time of change) and the engine's program is: it is remembered in the cache folder over the
 * end of the program. Whether a model fits depends on what else is in memory and is asked anew.
 *
 * Signal "judged" (const char *path): something was learnt about that file; fill() has it.
 *
 * Threading: the main thread.
 */
#pragma once

#include "app/models/model-entry.h"
#include "client/client.h"

G_BEGIN_DECLS

#define ATL_TYPE_MODEL_INSPECTOR (atl_model_inspector_get_type ())
G_DECLARE_FINAL_TYPE (AtlModelInspector, atl_model_inspector, ATL, MODEL_INSPECTOR, GObject)

/* Takes a reference of the client, whose engine is asked. */
AtlModelInspector *atl_model_inspector_new (AtlClient *client);

/* Sets why_not, too_large and fit_words of an entry whose other fields are there; an entry whose
 * why_not is set and which was never asked about keeps it. */
void atl_model_inspector_fill (AtlModelInspector *self, AtlModelEntry *entry);

/* Asks about the entries of which nothing is known, about those that did not fit when they were
 * looked at last, and about those that may be too large; `all`: about every one whose fit was not
 * asked in this session. The first 40 of them, and instead of those that an earlier call left
 * waiting. (element-type AtlModelEntry) */
void atl_model_inspector_look (AtlModelInspector *self, GPtrArray *entries, gboolean all);

G_END_DECLS
