/* The handle of a model: its files, how it was loaded, and whether the running engine has it. */
#define G_LOG_DOMAIN "atl-client"

#include "client/client-private.h"

#include <string.h>

G_DEFINE_FINAL_TYPE (AtlModel, atl_model, G_TYPE_OBJECT)

enum
{
  PROP_0,
  PROP_IS_LOADED,
  PROP_INFO,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

static void
atl_model_finalize (GObject *object)
{
  AtlModel *self = ATL_MODEL (object);

  g_assert (g_queue_is_empty (&self->reloading));
  g_strfreev (self->paths);
  g_free (self->kv_type);
  g_strfreev (self->adapters);
  g_free (self->draft);
  g_free (self->device);
  g_clear_pointer (&self->info, atl_model_info_unref);
  G_OBJECT_CLASS (atl_model_parent_class)->finalize (object);
}

static void
atl_model_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AtlModel *self = ATL_MODEL (object);

  switch (id)
    {
    case PROP_IS_LOADED:
      g_value_set_boolean (value, atl_model_get_is_loaded (self));
      break;
    case PROP_INFO:
      g_value_set_boxed (value, self->info);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
atl_model_class_init (AtlModelClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->finalize = atl_model_finalize;
  object_class->get_property = atl_model_get_property;

  props[PROP_IS_LOADED] = g_param_spec_boolean ("is-loaded", NULL, NULL, FALSE,
                                                G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  props[PROP_INFO] = g_param_spec_boxed ("info", NULL, NULL, ATL_TYPE_MODEL_INFO,
                                         G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
atl_model_init (AtlModel *self)
{
  g_queue_init (&self->reloading);
}

AtlModel *
atl_model_new (const char *const *paths, const AtlLoadOptions *options)
{
  static const AtlLoadOptions defaults = ATL_LOAD_OPTIONS_INIT;
  AtlModel *self = g_object_new (ATL_TYPE_MODEL, NULL);

  self->paths = g_strdupv ((char **) paths);
  self->options = options != NULL ? *options : defaults;
  self->kv_type = g_strdup (self->options.kv_type);
  self->device = g_strdup (self->options.device);
  self->options.kv_type = self->kv_type;
  self->adapters = g_strdupv ((char **) self->options.adapters);
  self->options.adapters = (const char *const *) self->adapters;
  self->options.device = self->device;
  self->draft = g_strdup (self->options.draft);
  self->options.draft = self->draft;
  self->info = atl_model_info_new_from_variant (NULL);
  return self;
}

void
atl_model_set_loaded (AtlModel *self, guint id, AtlModelInfo *info)
{
  gboolean was_loaded = atl_model_get_is_loaded (self);

  self->id = id;
  if (info != NULL)
    {
      atl_model_info_unref (self->info);
      self->info = atl_model_info_ref (info);
      g_object_notify_by_pspec (G_OBJECT (self), props[PROP_INFO]);
    }
  if (was_loaded != atl_model_get_is_loaded (self))
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_IS_LOADED]);
}

const AtlModelInfo *
atl_model_get_info (AtlModel *self)
{
  g_return_val_if_fail (ATL_IS_MODEL (self), NULL);
  return self->info;
}

gboolean
atl_model_get_is_loaded (AtlModel *self)
{
  g_return_val_if_fail (ATL_IS_MODEL (self), FALSE);
  return self->id != 0;
}

const char *
atl_model_get_key (AtlModel *self)
{
  g_return_val_if_fail (ATL_IS_MODEL (self), NULL);
  return self->paths[0];
}

const char *const *
atl_model_get_paths (AtlModel *self)
{
  g_return_val_if_fail (ATL_IS_MODEL (self), NULL);
  return (const char *const *) self->paths;
}

const AtlLoadOptions *
atl_model_get_options (AtlModel *self)
{
  g_return_val_if_fail (ATL_IS_MODEL (self), NULL);
  return &self->options;
}

gint64
atl_model_get_unused_us (AtlModel *self)
{
  g_return_val_if_fail (ATL_IS_MODEL (self), 0);

  if (self->n_requests > 0)
    return 0;
  return self->used_us != 0 ? g_get_monotonic_time () - self->used_us : G_MAXINT64;
}

const char *const *
atl_model_get_adapters (AtlModel *self)
{
  g_return_val_if_fail (ATL_IS_MODEL (self), NULL);
  return (const char *const *) self->adapters;
}

char *
atl_adapter_parse (const char *text, double *strength)
{
  const char *colon = strrchr (text, ':');
  char *end = NULL;
  double number = colon != NULL ? g_ascii_strtod (colon + 1, &end) : 1;
  gboolean has_strength = colon != NULL && end != colon + 1 && *end == '\0';

  if (strength != NULL)
    *strength = has_strength ? number : 1;
  return has_strength ? g_strndup (text, (gsize) (colon - text)) : g_strdup (text);
}
