/* A row of the list of models, as data. */
#include "app/models/model-entry.h"

#include <glib/gi18n.h>

#include "app/words.h"

G_DEFINE_FINAL_TYPE (AtlModelEntry, atl_model_entry, G_TYPE_OBJECT)

enum
{
  PROP_NAME = 1
};

static void
atl_model_entry_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id == PROP_NAME)
    g_value_set_string (value, ATL_MODEL_ENTRY (object)->name);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
atl_model_entry_finalize (GObject *object)
{
  AtlModelEntry *self = ATL_MODEL_ENTRY (object);

  g_free (self->path);
  g_free (self->name);
  g_free (self->origin);
  g_free (self->why_not);
  g_free (self->too_large);
  g_free (self->lacks);
  g_free (self->fit_words);
  G_OBJECT_CLASS (atl_model_entry_parent_class)->finalize (object);
}

static void
atl_model_entry_class_init (AtlModelEntryClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = atl_model_entry_get_property;
  object_class->finalize = atl_model_entry_finalize;
  g_object_class_install_property (
      object_class, PROP_NAME,
      g_param_spec_string ("name", NULL, NULL, NULL, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

static void
atl_model_entry_init (AtlModelEntry *self)
{
}

AtlModelEntry *
atl_model_entry_new (const char *path, const char *name)
{
  AtlModelEntry *self = g_object_new (ATL_TYPE_MODEL_ENTRY, NULL);

  self->path = g_strdup (path);
  self->name = g_strdup (name);
  return self;
}

gboolean
atl_model_entry_may_answer (const AtlModelEntry *self)
{
  return self->kind == ATL_MODEL_CHAT || self->kind == ATL_MODEL_UNKNOWN;
}

char *
atl_model_entry_describe (AtlModelEntry *self)
{
  g_autofree char *size = atl_format_bytes (self->size_bytes);

  if (self->why_not != NULL || self->too_large != NULL || self->lacks != NULL)
    return g_strdup (self->why_not     ? self->why_not
                     : self->too_large ? self->too_large
                                       : self->lacks);
  if (self->is_toy)
    return g_strdup_printf (_ ("%s · toy for trying out"), size);
  if (self->origin != NULL)
    return g_strdup_printf (_ ("%s · from %s"), size, self->origin);
  return g_steal_pointer (&size);
}
