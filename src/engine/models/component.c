/* Requests, the list of component classes, and the door to them. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/component.h"

#include <glib/gi18n.h>

#include "engine/models/blocks/lora.h"
#include "engine/models/blocks/runner.h"
#include "engine/models/blocks/source.h"
#include "engine/models/classes.h"
#include "engine/models/tiles.h"

/* One a line, so that two additions do not meet. */
/* clang-format off */
static const AtlComponentClass *const classes[] = {
  &atl_chroma_class,
  &atl_clip_text_class,
  &atl_clip_vision_class,
  &atl_compact_class,
  &atl_esrgan_class,
  &atl_flux2_class,
  &atl_flux_class,
  &atl_hidream_class,
  &atl_llm_encoder_class,
  &atl_qwen_image_class,
  &atl_qwen_vision_class,
  &atl_sd3_class,
  &atl_sd_unet_class,
  &atl_siglip_class,
  &atl_t5_class,
  &atl_tae_class,
  &atl_taehv_class,
  &atl_vae_kl_class,
  &atl_vae_wan_class,
  &atl_wan_class,
  &atl_zimage_class,
  NULL,
};
/* clang-format on */

struct _AtlRequest
{
  char *function;      /* (owned) */
  GPtrArray *arrays;   /* (owned) */
  GHashTable *numbers; /* (owned) char* -> double* */
};

struct _AtlComponent
{
  const AtlComponentClass *klass;
  gpointer model; /* (owned) */
};

AtlRequest *
atl_request_new (const char *function)
{
  AtlRequest *self = g_new0 (AtlRequest, 1);

  self->function = g_strdup (function);
  self->arrays = atl_arrays_new ();
  self->numbers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return self;
}

void
atl_request_free (AtlRequest *self)
{
  if (self == NULL)
    return;
  g_free (self->function);
  g_ptr_array_unref (self->arrays);
  g_hash_table_unref (self->numbers);
  g_free (self);
}

const char *
atl_request_function (const AtlRequest *self)
{
  return self->function;
}

void
atl_request_set_function (AtlRequest *self, const char *function)
{
  g_free (self->function);
  self->function = g_strdup (function);
}

void
atl_request_add (AtlRequest *self, AtlArray *array)
{
  g_assert (atl_arrays_find (self->arrays, array->name) == NULL);
  g_ptr_array_add (self->arrays, array);
}

void
atl_request_set_number (AtlRequest *self, const char *name, double value)
{
  g_hash_table_replace (self->numbers, g_strdup (name), g_memdup2 (&value, sizeof value));
}

double
atl_request_number (const AtlRequest *self, const char *name, double fallback)
{
  const double *value = g_hash_table_lookup (self->numbers, name);

  return value != NULL ? *value : fallback;
}

AtlArray *
atl_request_find (const AtlRequest *self, const char *name)
{
  return atl_arrays_find (self->arrays, name);
}

AtlArray *
atl_request_take (AtlRequest *self, const char *name)
{
  AtlArray *array = atl_request_find (self, name);
  guint i;

  return array != NULL && g_ptr_array_find (self->arrays, array, &i)
             ? g_ptr_array_steal_index (self->arrays, i)
             : NULL;
}

const GPtrArray *
atl_request_arrays (const AtlRequest *self)
{
  return self->arrays;
}

AtlArray *
atl_request_require (
    const AtlRequest *self, const char *name, AtlDType dtype, guint n_dims, GError **error)
{
  AtlArray *array = atl_request_find (self, name);

  if (array == NULL || array->dtype != dtype || array->n_dims != n_dims ||
      atl_array_n_elems (array) < 1)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("“%s” needs the input “%s” as %s with %u dimensions"), self->function, name,
                   atl_dtype_name (dtype), n_dims);
      return NULL;
    }
  return array;
}

gboolean
atl_request_require_all (const AtlRequest *self,
                         const AtlNeededInput *needed,
                         gsize n,
                         AtlArray **arrays,
                         GError **error)
{
  for (gsize i = 0; i < n; i++)
    {
      arrays[i] =
          atl_request_require (self, needed[i].name, ATL_DTYPE_F32, needed[i].n_dims, error);
      if (arrays[i] == NULL)
        return FALSE;
    }
  return TRUE;
}

const AtlComponentClass *const *
atl_component_classes (void)
{
  return classes;
}

static gboolean
names_contain (const char *const *names, const char *name)
{
  return name != NULL && names != NULL && g_strv_contains (names, name);
}

static gboolean
claims (const AtlComponentClass *klass, const AtlCheckpoint *cp)
{
  const AtlMetaValue *list = atl_checkpoint_meta (cp, "architectures");

  if (names_contain (klass->origins, atl_checkpoint_get_string (cp, "_class_name")) ||
      names_contain (klass->origins, atl_checkpoint_get_string (cp, "general.architecture")))
    return TRUE;
  if (list != NULL && list->type == ATL_META_ARRAY && list->v_array.elem_type == ATL_META_STRING)
    for (gsize i = 0; i < list->v_array.n; i++)
      if (names_contain (klass->origins, ((char **) list->v_array.elems)[i]))
        return TRUE;
  return FALSE;
}

gboolean
atl_component_class_claims (const AtlComponentClass *klass, const AtlCheckpoint *cp)
{
  return claims (klass, cp) || (klass->recognizes != NULL && klass->recognizes (cp));
}

const AtlComponentClass *
atl_component_class_for (const AtlCheckpoint *cp,
                         const char *origin,
                         const char *function,
                         GError **error)
{
  for (guint pass = 0; pass < 3; pass++)
    for (guint i = 0; classes[i] != NULL; i++)
      {
        const AtlComponentClass *klass = classes[i];

        if (!g_strv_contains (klass->functions, function))
          continue;
        if (pass == 0   ? names_contain (klass->origins, origin)
            : pass == 1 ? claims (klass, cp)
                        : klass->recognizes != NULL && klass->recognizes (cp))
          return klass;
      }
  if (origin != NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                 _ ("%s holds no network that can do “%s”; it is said to be %s"),
                 atl_checkpoint_name (cp), function, origin);
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                 _ ("%s holds no network that can do “%s”"), atl_checkpoint_name (cp), function);
  return NULL;
}

static void
free_network (const AtlComponentClass *klass, gpointer model)
{
  AtlNetwork *net = model;

  atl_runner_free (net->runner);
  atl_weights_free (net->weights);
  atl_loras_free (net->loras);
  if (klass->clear != NULL)
    klass->clear (model);
  g_free (model);
}

static gpointer
load_network (const AtlComponentClass *klass,
              AtlCheckpoint *cp,
              AtlBackend *const *backends,
              guint n_backends,
              const AtlLoadOptions *options,
              GError **error)
{
  gpointer model = g_malloc0 (klass->size);
  AtlNetwork *net = model;
  AtlSource s = { .lora_places = klass->lora_places };

  net->weights = s.weights = atl_weights_new (cp);
  net->runner = atl_runner_new (backends, n_backends);
  if (klass->lora_places != 0 && options->n_loras > 0)
    net->loras = s.loras = atl_loras_new (options->loras, options->n_loras);
  if (klass->read (model, &s, cp, options, error) &&
      atl_source_finish (&s, backends[0], options, error))
    return model;
  free_network (klass, model);
  return NULL;
}

void
atl_component_dtypes (const AtlCheckpoint *cp, guint64 *matrices, guint64 *convs)
{
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);

      if (info->n_dims >= 2)
        *matrices |= 1ull << info->dtype;
      if (info->n_dims >= 4)
        *convs |= 1ull << info->dtype;
    }
}

AtlComponent *
atl_component_load (const AtlComponentClass *klass,
                    AtlCheckpoint *cp,
                    AtlBackend *const *backends,
                    guint n_backends,
                    const AtlLoadOptions *options,
                    GError **error)
{
  AtlLoadOptions none = { 0 };
  AtlComponent *self;
  gpointer model;

  if (options == NULL)
    options = &none;
  model = klass->load != NULL ? klass->load (cp, backends, n_backends, options, error)
                              : load_network (klass, cp, backends, n_backends, options, error);
  if (model == NULL)
    return NULL;
  self = g_new0 (AtlComponent, 1);
  self->klass = klass;
  self->model = model;
  return self;
}

void
atl_component_free (AtlComponent *self)
{
  if (self == NULL)
    return;
  if (self->klass->free != NULL)
    self->klass->free (self->model);
  else
    free_network (self->klass, self->model);
  g_free (self);
}

gboolean
atl_component_set_lora_scales (AtlComponent *self, const AtlLoraFile *loras, guint n)
{
  AtlNetwork *net = self->model;
  gboolean is_changed = FALSE, ok;

  /* Those that load themselves take no LoRAs. */
  if (self->klass->load != NULL)
    return TRUE;
  if (net->loras == NULL)
    return TRUE;
  ok = atl_loras_set_scales (net->loras, loras, n, &is_changed);
  if (is_changed)
    atl_runner_forget (net->runner);
  return ok;
}

const char *
atl_component_notice (const AtlComponent *self)
{
  const AtlNetwork *net = self->model;

  return self->klass->load == NULL && net->loras != NULL ? atl_loras_notice (net->loras) : NULL;
}

GPtrArray *
atl_component_run (AtlComponent *self,
                   const AtlRequest *request,
                   GCancellable *cancellable,
                   GError **error)
{
  g_autoptr (GPtrArray) outputs = atl_arrays_new ();

  if (!g_strv_contains (self->klass->functions, request->function))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED, _ ("%s cannot do “%s”"),
                   self->klass->name, request->function);
      return NULL;
    }
  if (!(atl_tiles_wanted (request)
            ? atl_tiles_run (self->klass, self->model, request, outputs, cancellable, error)
            : self->klass->run (self->model, request, outputs, cancellable, error)))
    return NULL;
  return g_steal_pointer (&outputs);
}
