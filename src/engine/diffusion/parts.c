/* Loading a bundle's networks one after the other. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/parts.h"

#include <string.h>

typedef struct
{
  char *role;              /* (owned) */
  AtlComponent *component; /* (owned) */
} Part;

struct _AtlParts
{
  AtlBundle *bundle;
  AtlBackend *backends[ATL_MAX_BACKENDS];
  guint n_backends;
  gboolean is_frugal, streams;
  guint64 keep_bytes; /* of a part that streams */
  gint64 load_us;
  AtlPartKinds on_host;
  GArray *loras;      /* (owned) AtlLoraFile, with references */
  GPtrArray *parts;   /* (owned) Part */
  GPtrArray *notices; /* (owned) char*, each once */
};

static void
part_free (gpointer data)
{
  Part *part = data;

  g_free (part->role);
  atl_component_free (part->component);
  g_free (part);
}

static void
lora_clear (gpointer data)
{
  AtlLoraFile *lora = data;

  atl_checkpoint_unref (lora->cp);
}

AtlParts *
atl_parts_new (AtlBundle *bundle, AtlBackend *const *backends, guint n_backends)
{
  AtlParts *self = g_new0 (AtlParts, 1);

  self->bundle = bundle;
  self->n_backends = n_backends;
  memcpy (self->backends, backends, n_backends * sizeof *backends);
  self->loras = g_array_new (FALSE, FALSE, sizeof (AtlLoraFile));
  g_array_set_clear_func (self->loras, lora_clear);
  self->parts = g_ptr_array_new_with_free_func (part_free);
  self->notices = g_ptr_array_new_with_free_func (g_free);
  return self;
}

void
atl_parts_free (AtlParts *self)
{
  if (self == NULL)
    return;
  g_ptr_array_unref (self->parts);
  g_array_unref (self->loras);
  g_ptr_array_unref (self->notices);
  g_free (self);
}

void
atl_parts_use (AtlParts *self, AtlBackend *const *backends, guint n_backends)
{
  if (n_backends == self->n_backends &&
      memcmp (backends, self->backends, n_backends * sizeof *backends) == 0)
    return;
  atl_parts_drop (self);
  self->n_backends = n_backends;
  memcpy (self->backends, backends, n_backends * sizeof *backends);
}

void
atl_parts_set_on_host (AtlParts *self, AtlPartKinds kinds)
{
  if (self->on_host != kinds)
    atl_parts_drop (self);
  self->on_host = kinds;
}

static AtlPartKinds
kind_of (const char *function)
{
  return g_str_has_prefix (function, "forward") ? ATL_PARTS_DENOISER
         : g_str_has_prefix (function, "vae_")  ? ATL_PARTS_VAE
                                                : ATL_PARTS_TEXT;
}

void
atl_parts_set_frugal (AtlParts *self, gboolean is_frugal)
{
  self->is_frugal = is_frugal;
}

void
atl_parts_set_streams (AtlParts *self, gboolean streams, guint64 keep_bytes)
{
  if (self->streams != streams || (streams && self->keep_bytes != keep_bytes))
    atl_parts_drop (self);
  self->streams = streams;
  self->keep_bytes = keep_bytes;
}

guint
atl_parts_n_loras (const AtlParts *self)
{
  return self->loras->len;
}

gboolean
atl_parts_set_loras (AtlParts *self, const AtlLoraFile *loras, guint n)
{
  gboolean is_same = n == self->loras->len, is_as_strong = TRUE;
  guint n_parts = self->parts->len;

  for (guint i = 0; is_same && i < n; i++)
    {
      const AtlLoraFile *old = &g_array_index (self->loras, AtlLoraFile, i);

      is_same = old->cp == loras[i].cp;
      is_as_strong = is_as_strong && old->scale == loras[i].scale;
    }
  if (is_same && is_as_strong)
    return FALSE;
  if (!is_same)
    g_ptr_array_set_size (self->notices, 0);
  for (guint i = self->parts->len; i-- > 0;)
    if (!is_same ||
        !atl_component_set_lora_scales (((Part *) self->parts->pdata[i])->component, loras, n))
      g_ptr_array_remove_index (self->parts, i);
  for (guint i = 0; i < n; i++)
    atl_checkpoint_ref (loras[i].cp);
  g_array_set_size (self->loras, 0);
  g_array_append_vals (self->loras, loras, n);
  return self->parts->len < n_parts;
}

static void
note (AtlParts *self, const char *notice)
{
  if (notice != NULL &&
      !g_ptr_array_find_with_equal_func (self->notices, notice, g_str_equal, NULL))
    g_ptr_array_add (self->notices, g_strdup (notice));
}

char *
atl_parts_notice (const AtlParts *self)
{
  GString *all = g_string_new (NULL);

  for (guint i = 0; i < self->notices->len; i++)
    g_string_append_printf (all, "%s%s", i > 0 ? "\n" : "", (char *) self->notices->pdata[i]);
  return g_string_free (all, all->len == 0);
}

AtlComponent *
atl_parts_get (AtlParts *self,
               const char *role,
               const char *function,
               GCancellable *cancellable,
               GError **error)
{
  AtlLoadOptions options = { .loras = (const AtlLoraFile *) self->loras->data,
                             .n_loras = self->loras->len,
                             .role = role,
                             .in_file = self->streams,
                             .keep_bytes = self->keep_bytes,
                             .cancellable = cancellable };
  guint first = (self->on_host & kind_of (function)) != 0 ? self->n_backends - 1 : 0;
  gint64 began = g_get_monotonic_time ();
  const AtlComponentClass *klass;
  AtlCheckpoint *cp;
  AtlComponent *component;
  Part *part;

  for (guint i = 0; i < self->parts->len; i++)
    {
      part = self->parts->pdata[i];
      if (g_str_equal (part->role, role))
        return part->component;
    }
  cp = atl_bundle_checkpoint (self->bundle, role, error);
  if (cp == NULL)
    return NULL;
  klass = atl_component_class_for (cp, atl_bundle_class (self->bundle, role), function, error);
  if (klass == NULL)
    return NULL;
  component = atl_component_load (klass, cp, self->backends + first, self->n_backends - first,
                                  &options, error);
  if (component == NULL)
    return NULL;
  self->load_us += g_get_monotonic_time () - began;
  note (self, atl_component_notice (component));
  part = g_new0 (Part, 1);
  part->role = g_strdup (role);
  part->component = component;
  g_ptr_array_add (self->parts, part);
  return component;
}

double
atl_parts_load_seconds (const AtlParts *self)
{
  return (double) self->load_us / G_USEC_PER_SEC;
}

void
atl_parts_forget (AtlParts *self, const char *role)
{
  for (guint i = 0; i < self->parts->len; i++)
    if (g_str_equal (((Part *) self->parts->pdata[i])->role, role))
      {
        g_ptr_array_remove_index (self->parts, i);
        return;
      }
}

void
atl_parts_release (AtlParts *self, const char *role)
{
  if (self->is_frugal)
    atl_parts_forget (self, role);
}

void
atl_parts_drop (AtlParts *self)
{
  g_ptr_array_set_size (self->parts, 0);
}
