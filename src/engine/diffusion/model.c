/* Opening a model and running its family's pipeline. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/model.h"

#include <glib/gi18n.h>

#include "base/json-bounded.h"
#include "engine/diffusion/preview.h"

struct _AtlDiffusionModel
{
  AtlBundle *bundle; /* (owned) */
  const AtlDiffusionFamily *family;
  AtlTraits traits;
  char *pipeline; /* (owned) (nullable) */
  char *sampler;  /* (owned) (nullable) of the last run */
  AtlPreview preview;
  AtlRun *run;     /* (nullable) the one under way, borrowed */
  AtlParts *parts; /* (owned) NULL until it is to be used */
};

static gboolean
check_parts (AtlDiffusionModel *self, GError **error)
{
  g_autoptr (GString) missing = g_string_new (NULL);

  for (guint i = 0; i < self->family->n_parts; i++)
    {
      const AtlPart *part = &self->family->parts[i];

      if (part->is_optional || atl_bundle_has (self->bundle, part->role))
        continue;
      g_string_append_printf (missing, "%s%s", missing->len > 0 ? ", " : "", _ (part->words));
    }
  if (missing->len == 0)
    return TRUE;
  /* Translators: the first %s is a model family, the second a list of its parts. */
  g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s also needs: %s"), self->family->words,
               missing->str);
  return FALSE;
}

AtlDiffusionModel *
atl_diffusion_model_open (AtlFileMap *const *maps,
                          const char *const *names,
                          guint n,
                          const char *pipeline,
                          GError **error)
{
  g_autoptr (AtlDiffusionModel) self = g_new0 (AtlDiffusionModel, 1);

  self->bundle = atl_bundle_new (maps, names, n, error);
  if (self->bundle == NULL)
    return NULL;
  self->pipeline = g_strdup (pipeline != NULL ? pipeline : atl_bundle_pipeline (self->bundle));
  self->family = atl_diffusion_family_for (self->bundle, pipeline, error);
  if (self->family == NULL || !check_parts (self, error))
    return NULL;
  self->traits = (AtlTraits){ .abilities = ATL_CAN_PICTURE,
                              .multiple = 8,
                              .side = 512,
                              .steps = 20,
                              .guidance = 7.0,
                              .frames = 1 };
  self->family->traits (self->bundle, &self->traits);
  atl_family_complete (self->family, self->bundle, &self->traits);
  return g_steal_pointer (&self);
}

void
atl_diffusion_model_free (AtlDiffusionModel *self)
{
  if (self == NULL)
    return;
  g_clear_pointer (&self->parts, atl_parts_free);
  atl_bundle_free (self->bundle);
  g_free (self->pipeline);
  g_free (self->sampler);
  g_free (self);
}

const AtlDiffusionFamily *
atl_diffusion_model_family (const AtlDiffusionModel *self)
{
  return self->family;
}

const AtlTraits *
atl_diffusion_model_traits (const AtlDiffusionModel *self)
{
  return &self->traits;
}

void
atl_diffusion_model_use (AtlDiffusionModel *self, AtlBackend *const *backends, guint n)
{
  g_clear_pointer (&self->parts, atl_parts_free);
  self->parts = atl_parts_new (self->bundle, backends, n);
}

/* Of the autoencoder's outermost two levels, whose activations have the size of the picture. */
static guint64
outer_channels (AtlDiffusionModel *self)
{
  JsonArray *list =
      atl_json_array (atl_bundle_json (self->bundle, "vae", "config.json"), "block_out_channels");
  guint64 channels[2] = { 128, 256 };

  for (guint i = 0; list != NULL && i < MIN (json_array_get_length (list), 2); i++)
    {
      JsonNode *node = json_array_get_element (list, i);

      if (JSON_NODE_HOLDS_VALUE (node))
        channels[i] = (guint64) CLAMP (json_node_get_int (node), 1, 8192);
    }
  return 2 * channels[0] + channels[1];
}

gboolean
atl_diffusion_model_memory (AtlDiffusionModel *self,
                            gint64 width,
                            gint64 height,
                            AtlDiffusionMemory *memory,
                            GError **error)
{
  *memory = (AtlDiffusionMemory){ 0 };
  for (guint i = 0; i < self->family->n_parts; i++)
    {
      const char *role = self->family->parts[i].role;
      AtlCheckpoint *cp;
      guint64 bytes;

      if (!atl_bundle_has (self->bundle, role))
        continue;
      cp = atl_bundle_checkpoint (self->bundle, role, error);
      if (cp == NULL)
        return FALSE;
      bytes = atl_checkpoint_weight_bytes (cp);
      memory->weights += bytes;
      memory->largest = MAX (memory->largest, bytes);
    }
  memory->scratch = (guint64) width * (guint64) height * outer_channels (self) * sizeof (float);
  return TRUE;
}

void
atl_diffusion_model_drop (AtlDiffusionModel *self)
{
  if (self->parts != NULL)
    atl_parts_drop (self->parts);
}

void
atl_diffusion_model_set_frugal (AtlDiffusionModel *self, gboolean is_frugal)
{
  atl_parts_set_frugal (self->parts, is_frugal);
}

void
atl_diffusion_model_set_loras (AtlDiffusionModel *self, const AtlLoraFile *loras, guint n)
{
  atl_parts_set_loras (self->parts, loras, n);
}

GPtrArray *
atl_diffusion_model_run (AtlDiffusionModel *self,
                         const AtlSettings *settings,
                         GPtrArray *inputs,
                         const AtlRunHooks *hooks,
                         GCancellable *cancellable,
                         GError **error)
{
  g_autoptr (AtlNoise) noise =
      atl_noise_new ((guint64) MAX (atl_settings_number (settings, "seed", 0), 0));
  g_autoptr (GPtrArray) none = atl_arrays_new ();
  g_autoptr (GPtrArray) outputs = atl_arrays_new ();
  AtlRun run = { .pipeline = self->pipeline,
                 .bundle = self->bundle,
                 .parts = self->parts,
                 .settings = settings,
                 .inputs = inputs != NULL ? inputs : none,
                 .noise = noise,
                 .cancellable = cancellable,
                 .outputs = outputs };
  gboolean ok;

  g_return_val_if_fail (self->parts != NULL, NULL);
  if (hooks != NULL)
    run.hooks = *hooks;
  self->run = &run;
  ok = self->family->run (&run, error);
  self->run = NULL;
  if (ok)
    atl_preview_learn (&self->preview, &run);
  g_free (self->sampler);
  self->sampler = run.sampler;
  return ok ? g_steal_pointer (&outputs) : NULL;
}

const char *
atl_diffusion_model_sampler (const AtlDiffusionModel *self)
{
  return self->sampler;
}

gboolean
atl_diffusion_model_preview (AtlDiffusionModel *self,
                             const AtlArray *latent,
                             guint max_side,
                             guint8 **rgb,
                             guint *width,
                             guint *height)
{
  g_return_val_if_fail (self->run != NULL && max_side > 0, FALSE);
  *rgb = atl_preview_paint (&self->preview, self->run, latent, max_side, width, height);
  return *rgb != NULL;
}
