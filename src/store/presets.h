/* Named sets of chat settings.
 *
 * The JSON is an object whose members belong to the window (temperature, top_p, system_prompt...);
 * the store only checks that it is one.
 *
 * Threading: that of the handle.
 */
#pragma once

#include "store/store.h"

G_BEGIN_DECLS

typedef struct
{
  gint64 id;
  char *name;          /* unique, without regard to case */
  char *settings_json; /* never NULL */
  gint64 updated_us;
} AtlPreset;

/* NULL is fine. */
void atl_preset_free (AtlPreset *preset);

/* Adds, or replaces the one of that name. Its id, or 0 on error. */
gint64
atl_store_preset_save (AtlStore *self, const char *name, const char *settings_json, GError **error);

/* By name. (transfer full) (element-type AtlPreset) */
GPtrArray *atl_store_preset_list (AtlStore *self, GError **error);

/* ATL_ERROR_BUSY when another one has that name. */
gboolean atl_store_preset_rename (AtlStore *self, gint64 id, const char *name, GError **error);

/* For undo, keep the struct and save it again. */
gboolean atl_store_preset_remove (AtlStore *self, gint64 id, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlPreset, atl_preset_free)

G_END_DECLS
