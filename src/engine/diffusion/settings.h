/* What a person asks of a picture or clip: values by name, under the names that the authors'
 * pipelines use for their arguments.
 *
 *   g_autoptr (AtlSettings) s = atl_settings_new ();
 *   atl_settings_set (s, "prompt", g_variant_new_string ("a red fox"));
 *   atl_settings_set (s, "steps", g_variant_new_int32 (20));
 *   atl_settings_number (s, "guidance", 7.5)          7.5, as it was not set
 *
 * Which names a family knows, with their ranges and defaults, its parameter table says (family.h).
 * Values that nobody knows stay without effect.
 *
 * Threading: plain data, one owner; reading from any thread.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "base/error.h"

G_BEGIN_DECLS

typedef struct _AtlSettings AtlSettings;

AtlSettings *atl_settings_new (void);
/* A copy that may be changed alone. */
AtlSettings *atl_settings_copy (const AtlSettings *self);
void atl_settings_free (AtlSettings *self);

/* Takes a floating reference. An empty maybe ("null") takes the value away. */
void atl_settings_set (AtlSettings *self, const char *name, GVariant *value);
void atl_settings_set_string (AtlSettings *self, const char *name, const char *value);
void atl_settings_set_number (AtlSettings *self, const char *name, double value);
/* All members of an a{sv} or of a JSON object. */
void atl_settings_add_dict (AtlSettings *self, GVariant *dict);
void atl_settings_add_json (AtlSettings *self, JsonObject *object);

gboolean atl_settings_has (const AtlSettings *self, const char *name);
/* Borrowed. Absent or no string: the fallback (nullable). */
const char *atl_settings_string (const AtlSettings *self, const char *name, const char *fallback);
/* Numbers of any type and booleans. Absent, of another type or not finite: the fallback. */
double atl_settings_number (const AtlSettings *self, const char *name, double fallback);
/* A list of numbers: the caller's, `*n` 0 and NULL when it is absent or holds anything else. */
double *atl_settings_numbers (const AtlSettings *self, const char *name, guint *n);
/* All of them as one text, in order, the same for the same values. The caller's. */
char *atl_settings_to_key (const AtlSettings *self);
/* A nested dictionary; NULL when absent or of another type. The caller's. */
JsonObject *atl_settings_object (const AtlSettings *self, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlSettings, atl_settings_free)

G_END_DECLS
