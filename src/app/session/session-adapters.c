/* The settings that say how each model is loaded: adapters, draft model, memory of chats. */
#include "app/session/session.h"

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

/* Of the setting `name`, which has a string for some models. */
static char *
dup_string (AtlSession *self, const char *name, const char *path)
{
  g_autoptr (GVariant) all = g_settings_get_value (atl_session_get_settings (self), name);
  char *value = NULL;

  g_variant_lookup (all, path, "s", &value);
  return value;
}

static void
set_string (AtlSession *self, const char *name, const char *path, const char *wanted)
{
  GSettings *settings = atl_session_get_settings (self);
  g_autoptr (GVariant) before = g_settings_get_value (settings, name);
  GVariantBuilder all;
  GVariantIter iter;
  const char *key, *value;

  g_variant_builder_init (&all, G_VARIANT_TYPE ("a{ss}"));
  g_variant_iter_init (&iter, before);
  while (g_variant_iter_loop (&iter, "{&s&s}", &key, &value))
    if (!g_str_equal (key, path))
      g_variant_builder_add (&all, "{ss}", key, value);
  if (wanted != NULL)
    g_variant_builder_add (&all, "{ss}", path, wanted);
  g_settings_set_value (settings, name, g_variant_builder_end (&all));
}

char *
atl_session_dup_draft (AtlSession *self, const char *path)
{
  return dup_string (self, "drafts", path);
}

void
atl_session_set_draft (AtlSession *self, const char *path, const char *draft)
{
  set_string (self, "drafts", path, draft);
}

char *
atl_session_dup_kv_type (AtlSession *self, const char *path)
{
  return dup_string (self, "kv-types", path);
}

void
atl_session_set_kv_type (AtlSession *self, const char *path, const char *kv_type)
{
  set_string (self, "kv-types", path, kv_type);
}

void
atl_session_load_init (AtlSessionLoad *load, AtlSession *self, const char *path)
{
  static const AtlLoadOptions defaults = ATL_LOAD_OPTIONS_INIT;
  GSettings *settings = atl_session_get_settings (self);

  load->options = defaults;
  load->adapters = atl_session_dup_adapters (self, path);
  load->draft = atl_session_dup_draft (self, path);
  load->kv_type = atl_session_dup_kv_type (self, path);
  load->options.adapters = (const char *const *) load->adapters;
  load->options.draft = load->draft;
  load->options.kv_type = load->kv_type;
  load->options.device = g_settings_get_enum (settings, "device") == 1 ? "cpu" : "auto";
  load->options.n_threads = (guint) g_settings_get_int (settings, "n-threads");
  load->options.idle_minutes = (guint) g_settings_get_int (settings, "idle-unload-minutes");
}

void
atl_session_load_clear (AtlSessionLoad *load)
{
  g_clear_pointer (&load->adapters, g_strfreev);
  g_clear_pointer (&load->draft, g_free);
  g_clear_pointer (&load->kv_type, g_free);
}
