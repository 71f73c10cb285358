/* A list of paths in the store, the one used last first. */
#define G_LOG_DOMAIN "atl-app"

#include "app/images/known-loras.h"

#include <string.h>

#include "app/models/model-list.h"
#include "protocol/protocol.h"

#define KEY "known-loras"
#define MAX_KNOWN 64u

static GPtrArray *
read_known (AtlSession *session)
{
  g_autofree char *text = atl_store_setting_get (atl_session_get_store (session), KEY, NULL);
  g_auto (GStrv) lines = g_strsplit (text != NULL ? text : "", "\n", MAX_KNOWN + 1);
  GPtrArray *known = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; lines[i] != NULL && i < MAX_KNOWN; i++)
    if (g_path_is_absolute (lines[i]))
      g_ptr_array_add (known, g_strdup (lines[i]));
  return known;
}

void
atl_known_loras_note (AtlSession *session, const char *path)
{
  g_autoptr (GPtrArray) known = read_known (session);
  g_autoptr (GString) text = g_string_new (path);
  g_autoptr (GError) error = NULL;

  /* A name that is no UTF-8 or has a line break cannot stand in the list. */
  if (!g_utf8_validate (path, -1, NULL) || strchr (path, '\n') != NULL ||
      (known->len > 0 && g_str_equal (known->pdata[0], path)))
    return;
  for (guint i = 0; i < known->len && i < MAX_KNOWN - 1; i++)
    if (!g_str_equal (known->pdata[i], path))
      g_string_append_printf (text, "\n%s", (char *) known->pdata[i]);
  if (!atl_store_setting_set (atl_session_get_store (session), KEY, text->str, &error))
    g_warning ("Where a LoRA is could not be kept: %s", error->message);
}

gboolean
atl_known_loras_is_called (const char *path, const char *name)
{
  g_autofree char *base = g_path_get_basename (path);
  g_autofree char *wanted = g_path_get_basename (name);
  char *dot = strrchr (base, '.');

  if (g_ascii_strcasecmp (base, wanted) == 0)
    return TRUE;
  if (dot != NULL && dot != base)
    *dot = '\0';
  return g_ascii_strcasecmp (base, wanted) == 0;
}

static gboolean
is_it (const char *path, const char *name)
{
  return atl_known_loras_is_called (path, name) && g_file_test (path, G_FILE_TEST_EXISTS);
}

/* Those in use first: what is meant is most likely there. The caller's. */
static char *
find (AtlSession *session, const GPtrArray *in_use, const GPtrArray *known, const char *name)
{
  GListModel *models = G_LIST_MODEL (atl_session_get_models (session));

  for (guint i = 0; i < in_use->len; i++)
    if (is_it (((AtlPictureLora *) in_use->pdata[i])->path, name))
      return g_strdup (((AtlPictureLora *) in_use->pdata[i])->path);
  for (guint i = 0; i < known->len; i++)
    if (is_it (known->pdata[i], name))
      return g_strdup (known->pdata[i]);
  for (guint i = 0; i < g_list_model_get_n_items (models); i++)
    {
      g_autoptr (AtlModelEntry) entry = g_list_model_get_item (models, i);

      if (entry->kind == ATL_MODEL_LORA && is_it (entry->path, name))
        return g_strdup (entry->path);
    }
  return NULL;
}

char *
atl_known_loras_restore (AtlSession *session, AtlPictureSettings *settings, GVariant *recipe)
{
  g_autoptr (GVariant) rows = atl_dict_lookup (recipe, ATL_MADE_LORAS, "aa{sv}");
  g_autoptr (GPtrArray) known = read_known (session);
  GPtrArray *loras = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_picture_lora_free);
  GString *missing = NULL;

  for (gsize i = 0; rows != NULL && i < MIN (g_variant_n_children (rows), ATL_MAX_LORAS); i++)
    {
      g_autoptr (GVariant) row = g_variant_get_child_value (rows, i);
      g_autofree char *name = atl_dict_string (row, "name", "");
      g_autofree char *path = *name != '\0' ? find (session, settings->loras, known, name) : NULL;
      double weight = CLAMP (atl_dict_double (row, "weight", 1), -2, 2);

      if (path != NULL)
        g_ptr_array_add (loras, atl_picture_lora_new (path, weight));
      else if (*name != '\0' && missing == NULL)
        missing = g_string_new (name);
      else if (*name != '\0')
        g_string_append_printf (missing, ", %s", name);
    }
  g_ptr_array_unref (settings->loras);
  settings->loras = loras;
  return missing != NULL ? g_string_free (missing, FALSE) : NULL;
}
