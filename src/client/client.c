/* The client object: what it has, and tells of itself. */
#define G_LOG_DOMAIN "atl-client"

#include "client/client-private.h"

#include <glib/gi18n.h>

G_DEFINE_FINAL_TYPE (AtlClient, atl_client, G_TYPE_OBJECT)

enum
{
  PROP_0,
  PROP_STATE,
  PROP_SENTENCE,
  PROP_STATUS,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

enum
{
  ENGINE_LOST,
  MODEL_CRASHED,
  MODEL_UNLOADED,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

GType
atl_engine_state_get_type (void)
{
  static gsize type = 0;

  if (g_once_init_enter (&type))
    {
      static const GEnumValue values[] = {
        { ATL_ENGINE_STOPPED, "ATL_ENGINE_STOPPED", "stopped" },
        { ATL_ENGINE_STARTING, "ATL_ENGINE_STARTING", "starting" },
        { ATL_ENGINE_READY, "ATL_ENGINE_READY", "ready" },
        { ATL_ENGINE_NOT_RESPONDING, "ATL_ENGINE_NOT_RESPONDING", "not-responding" },
        { ATL_ENGINE_LOST, "ATL_ENGINE_LOST", "lost" },
        { 0, NULL, NULL },
      };

      g_once_init_leave (&type, g_enum_register_static ("AtlEngineState", values));
    }
  return type;
}

static void
atl_client_dispose (GObject *object)
{
  AtlClient *self = ATL_CLIENT (object);

  self->is_disposed = TRUE;
  atl_client_stop (self);
  G_OBJECT_CLASS (atl_client_parent_class)->dispose (object);
}

static void
atl_client_finalize (GObject *object)
{
  AtlClient *self = ATL_CLIENT (object);

  g_free (self->sentence);
  g_clear_pointer (&self->status, atl_engine_status_unref);
  g_hash_table_unref (self->loaded);
  g_hash_table_unref (self->requests);
  g_hash_table_unref (self->crashes);
  g_ptr_array_unref (self->handed);
  atl_kept_chats_free (self->kept);
  atl_picture_rates_free (self->rates);
  g_hash_table_unref (self->picture_sizes);
  g_main_context_unref (self->context);
  G_OBJECT_CLASS (atl_client_parent_class)->finalize (object);
}

static void
atl_client_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AtlClient *self = ATL_CLIENT (object);

  switch (id)
    {
    case PROP_STATE:
      g_value_set_enum (value, self->state);
      break;
    case PROP_SENTENCE:
      g_value_set_string (value, self->sentence);
      break;
    case PROP_STATUS:
      g_value_set_boxed (value, self->status);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
atl_client_class_init (AtlClientClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = atl_client_dispose;
  object_class->finalize = atl_client_finalize;
  object_class->get_property = atl_client_get_property;

  props[PROP_STATE] =
      g_param_spec_enum ("state", NULL, NULL, ATL_TYPE_ENGINE_STATE, ATL_ENGINE_STOPPED,
                         G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  props[PROP_SENTENCE] =
      g_param_spec_string ("sentence", NULL, NULL, NULL, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  props[PROP_STATUS] = g_param_spec_boxed ("status", NULL, NULL, ATL_TYPE_ENGINE_STATUS,
                                           G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);

  signals[ENGINE_LOST] = g_signal_new ("engine-lost", ATL_TYPE_CLIENT, G_SIGNAL_RUN_LAST, 0, NULL,
                                       NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
  signals[MODEL_UNLOADED] =
      g_signal_new ("model-unloaded", ATL_TYPE_CLIENT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                    G_TYPE_NONE, 2, ATL_TYPE_MODEL, G_TYPE_STRING);
  signals[MODEL_CRASHED] =
      g_signal_new ("model-crashed", ATL_TYPE_CLIENT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                    G_TYPE_NONE, 2, ATL_TYPE_MODEL, G_TYPE_UINT);
}

static void
atl_client_init (AtlClient *self)
{
  self->context = g_main_context_ref_thread_default ();
  self->sentence = g_strdup (_ ("The engine is not running."));
  self->loaded = g_hash_table_new_full (NULL, NULL, g_object_unref, NULL);
  self->requests = g_hash_table_new (NULL, NULL);
  self->crashes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_queue_init (&self->waiting);
  atl_client_init_keeping (self);
  self->rates = atl_picture_rates_new ();
  self->picture_sizes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
}

AtlClient *
atl_client_new (void)
{
  return g_object_new (ATL_TYPE_CLIENT, NULL);
}

char *
atl_client_find_engine (GError **error)
{
  return atl_engine_process_find_program (error);
}

AtlEngineState
atl_client_get_state (AtlClient *self)
{
  g_return_val_if_fail (ATL_IS_CLIENT (self), ATL_ENGINE_STOPPED);
  return self->state;
}

AtlEngineStatus *
atl_client_get_status (AtlClient *self)
{
  g_return_val_if_fail (ATL_IS_CLIENT (self), NULL);
  return self->status;
}

GPid
atl_client_get_pid (AtlClient *self)
{
  g_return_val_if_fail (ATL_IS_CLIENT (self), 0);
  return self->process != NULL ? atl_engine_process_get_pid (self->process) : 0;
}

guint
atl_client_get_crash_count (AtlClient *self, const char *key)
{
  g_return_val_if_fail (ATL_IS_CLIENT (self) && key != NULL, 0);
  return GPOINTER_TO_UINT (g_hash_table_lookup (self->crashes, key));
}

void
atl_client_set_crash_count (AtlClient *self, const char *key, guint count)
{
  g_return_if_fail (ATL_IS_CLIENT (self) && key != NULL);
  g_hash_table_insert (self->crashes, g_strdup (key), GUINT_TO_POINTER (count));
}

void
atl_client_set_model_loaded (AtlClient *self, AtlModel *model, guint id, AtlModelInfo *info)
{
  g_object_ref (model);
  if (id != 0)
    g_hash_table_add (self->loaded, g_object_ref (model));
  else
    g_hash_table_remove (self->loaded, model);
  atl_model_set_loaded (model, id, info);
  g_object_unref (model);
}
