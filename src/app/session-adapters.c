/* The settings that say which adapters and which draft model each model is loaded with. */
#include "app/session.h"

char **
atl_session_dup_adapters (AtlSession *self, const char *path)
{
  g_autoptr (GVariant) all = g_settings_get_value (atl_session_get_settings (self), "adapters");
  char **adapters = NULL;

  if (g_variant_lookup (all, path, "^as", &adapters))
    return adapters;
  return g_new0 (char *, 1);
}

void
atl_session_set_adapters (AtlSession *self, const char *path, const char *const *adapters)
{
  GSettings *settings = atl_session_get_settings (self);
  g_autoptr (GVariant) before = g_settings_get_value (settings, "adapters");
  GVariantBuilder all;
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_builder_init (&all, G_VARIANT_TYPE ("a{sas}"));
  g_variant_iter_init (&iter, before);
  while (g_variant_iter_loop (&iter, "{&s@as}", &key, &value))
    if (!g_str_equal (key, path))
      g_variant_builder_add (&all, "{s@as}", key, value);
  if (adapters[0] != NULL)
    g_variant_builder_add (&all, "{s^as}", path, adapters);
  g_settings_set_value (settings, "adapters", g_variant_builder_end (&all));
}

char *
atl_session_dup_draft (AtlSession *self, const char *path)
{
  g_autoptr (GVariant) all = g_settings_get_value (atl_session_get_settings (self), "drafts");
  char *draft = NULL;

  g_variant_lookup (all, path, "s", &draft);
  return draft;
}

void
atl_session_set_draft (AtlSession *self, const char *path, const char *draft)
{
  GSettings *settings = atl_session_get_settings (self);
  g_autoptr (GVariant) before = g_settings_get_value (settings, "drafts");
  GVariantBuilder all;
  GVariantIter iter;
  const char *key, *value;

  g_variant_builder_init (&all, G_VARIANT_TYPE ("a{ss}"));
  g_variant_iter_init (&iter, before);
  while (g_variant_iter_loop (&iter, "{&s&s}", &key, &value))
    if (!g_str_equal (key, path))
      g_variant_builder_add (&all, "{ss}", key, value);
  if (draft != NULL)
    g_variant_builder_add (&all, "{ss}", path, draft);
  g_settings_set_value (settings, "drafts", g_variant_builder_end (&all));
}
