/* Opening a model and running its family's pipeline. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/model.h"

#include <glib/gi18n.h>

#include <string.h>

#include "base/json-bounded.h"
#include "engine/diffusion/missing.h"
#include "engine/diffusion/preview.h"

#define MAX_PRICES 64
/* Texts of about the same length cost about the same. */
#define TEXT_UNIT 200

typedef struct
{
  char *key; /* (owned) */
  AtlDiffusionCost cost;
} Price;

struct _AtlDiffusionModel
{
  AtlBundle *bundle; /* (owned) */
  const AtlDiffusionFamily *family;
  AtlTraits traits;
  JsonObject *own;     /* (nullable) what the bundle says of itself, borrowed from it */
  char *pipeline;      /* (owned) (nullable) */
  char *sampler;       /* (owned) (nullable) of the last run */
  guint n_computed;    /* steps of the last run */
  const char *method;  /* (nullable) how it left out others; static */
  double load_seconds; /* of the last run */
  gint is_warm;        /* (atomic) */
  AtlPreview preview;
  AtlRun *run;     /* (nullable) the one under way, borrowed */
  AtlParts *parts; /* (owned) NULL until it is to be used */
  AtlDiffusionHow how;
  AtlBackend *backends[ATL_MAX_BACKENDS]; /* borrowed */
  guint n_backends;

  GMutex price_mutex;
  AtlBundle *priced; /* (mutex price_mutex) (owned) the same files, for another thread */
  GArray *prices;    /* (mutex price_mutex) (owned) Price, the newest last */
  GArray *loras;     /* (mutex price_mutex) (owned) AtlLoraFile, with references: those in use */
};

static gboolean
check_parts (AtlDiffusionModel *self, GError **error)
{
  g_autoptr (GArray) missing = atl_missing_parts (self->bundle, self->family);
  g_autofree char *words = atl_missing_to_words (missing);

  if (words == NULL)
    return TRUE;
  /* Translators: the first %s is a model family, the second a list of its parts. */
  g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s also needs: %s"), self->family->words,
               words);
  return FALSE;
}

static void
lora_clear (gpointer data)
{
  atl_checkpoint_unref (((AtlLoraFile *) data)->cp);
}

static void
price_clear (gpointer data)
{
  g_free (((Price *) data)->key);
}

/* What the bundle says of itself. */
static void
read_own_traits (JsonObject *own, AtlTraits *traits)
{
  if (own == NULL)
    return;
  traits->side = (guint) CLAMP (atl_json_int (own, "side", traits->side), 8, 16384);
  traits->steps = (guint) CLAMP (atl_json_int (own, "steps", traits->steps), 1, 1000);
  traits->guidance = CLAMP (atl_json_double (own, "guidance", traits->guidance), 0, 100);
  traits->frames = (guint) CLAMP (atl_json_int (own, "frames", traits->frames), 1, 1025);
  traits->fps = CLAMP (atl_json_double (own, "fps", traits->fps), 0, 240);
  traits->is_toy = atl_json_bool (own, "toy", FALSE);
}

AtlDiffusionModel *
atl_diffusion_model_open (AtlFileMap *const *maps,
                          const char *const *names,
                          guint n,
                          const char *pipeline,
                          GError **error)
{
  g_autoptr (AtlDiffusionModel) self = g_new0 (AtlDiffusionModel, 1);

  g_mutex_init (&self->price_mutex);
  self->prices = g_array_new (FALSE, FALSE, sizeof (Price));
  g_array_set_clear_func (self->prices, price_clear);
  self->loras = g_array_new (FALSE, FALSE, sizeof (AtlLoraFile));
  g_array_set_clear_func (self->loras, lora_clear);
  self->bundle = atl_bundle_new (maps, names, n, error);
  if (self->bundle == NULL)
    return NULL;
  self->pipeline = g_strdup (pipeline != NULL ? pipeline : atl_bundle_pipeline (self->bundle));
  self->family = atl_diffusion_family_for (self->bundle, pipeline, error);
  if (self->family == NULL || !check_parts (self, error))
    return NULL;
  atl_family_read_traits (self->family, self->bundle, &self->traits);
  self->priced = atl_bundle_copy (self->bundle);
  self->own = atl_json_object (atl_bundle_json (self->bundle, NULL, "model_index.json"), "atelier");
  read_own_traits (self->own, &self->traits);
  if (self->traits.max_side > 0)
    self->traits.side = MIN (self->traits.side, self->traits.max_side);
  return g_steal_pointer (&self);
}

void
atl_diffusion_model_free (AtlDiffusionModel *self)
{
  if (self == NULL)
    return;
  g_clear_pointer (&self->parts, atl_parts_free);
  atl_bundle_free (self->bundle);
  atl_bundle_free (self->priced);
  g_array_unref (self->prices);
  g_array_unref (self->loras);
  g_mutex_clear (&self->price_mutex);
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
  if (self->parts == NULL)
    self->parts = atl_parts_new (self->bundle, backends, n);
  atl_parts_use (self->parts, backends, n);
  memcpy (self->backends, backends, n * sizeof *backends);
  self->n_backends = n;
}

/* What a bundle says of itself holds where the request says nothing. The caller's. */
static AtlSettings *
with_own_settings (AtlDiffusionModel *self, const AtlSettings *settings)
{
  const AtlTraits *traits = &self->traits;
  const struct
  {
    const char *member, *name;
    double value;
  } own[] = { { "side", "width", traits->side },
              { "side", "height", traits->side },
              { "steps", "steps", traits->steps },
              { "guidance", "guidance", traits->guidance } };
  AtlSettings *whole = atl_settings_copy (settings);

  for (gsize i = 0; self->own != NULL && i < G_N_ELEMENTS (own); i++)
    if (json_object_has_member (self->own, own[i].member) && !atl_settings_has (whole, own[i].name))
      atl_settings_set_number (whole, own[i].name, own[i].value);
  return whole;
}

/* Of the settings with what the bundle recommends, and the sizes of inputs. */
static char *
price_key (const AtlSettings *settings,
           GPtrArray *inputs,
           AtlBackend *const *backends,
           guint n_backends,
           const AtlDiffusionHow *how)
{
  static const char *const texts[] = {
    "prompt",          "prompt_2",          "prompt_3",          "prompt_4",
    "negative_prompt", "negative_prompt_2", "negative_prompt_3", "negative_prompt_4"
  };
  g_autoptr (AtlSettings) rough = atl_settings_copy (settings);
  g_autofree char *key = NULL;
  GString *all;

  atl_settings_set_number (rough, "seed", 0);
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      const char *text = atl_settings_string (settings, texts[i], NULL);

      if (text != NULL)
        atl_settings_set_number (rough, texts[i], (double) (strlen (text) / TEXT_UNIT));
    }
  key = atl_settings_to_key (rough);
  all = g_string_new (key);
  for (guint i = 0; inputs != NULL && i < inputs->len; i++)
    {
      const AtlArray *a = inputs->pdata[i];
      g_autofree char *shape = atl_shape_to_string (a->n_dims, a->dim);

      g_string_append_printf (all, "%s %s\n", a->name, shape);
    }
  for (guint i = 0; i < n_backends; i++)
    g_string_append_printf (all, "%u ", backends[i]->index);
  g_string_append_printf (all, "%d %u %d %" G_GUINT64_FORMAT " %d", how->is_frugal, how->tile,
                          how->streams, how->keep, how->on_host);
  return g_string_free (all, FALSE);
}

/* With the prices' lock. */
static gboolean
find_price (AtlDiffusionModel *self,
            AtlBackend *const *backends,
            guint n_backends,
            const AtlSettings *settings,
            GPtrArray *inputs,
            const AtlDiffusionHow *how,
            AtlDiffusionCost *cost,
            GError **error)
{
  Price price = { .key = price_key (settings, inputs, backends, n_backends, how) };

  for (guint i = 0; i < self->prices->len; i++)
    if (g_str_equal (g_array_index (self->prices, Price, i).key, price.key))
      {
        *cost = g_array_index (self->prices, Price, i).cost;
        price_clear (&price);
        return TRUE;
      }
  if (!atl_bundle_assign (self->priced, self->family->parts, self->family->n_parts, error) ||
      !atl_diffusion_rehearse (self->priced, self->family, self->pipeline, backends, n_backends,
                               settings, inputs, (const AtlLoraFile *) self->loras->data,
                               self->loras->len, how, &price.cost, error))
    {
      price_clear (&price);
      return FALSE;
    }
  *cost = price.cost;
  if (self->prices->len == MAX_PRICES)
    g_array_remove_index (self->prices, 0);
  g_array_append_val (self->prices, price);
  return TRUE;
}

/* The side of tiles that the request asks for, else `otherwise`. */
static guint
tile_for (const AtlSettings *settings, guint otherwise)
{
  return (guint) CLAMP (atl_settings_number (settings, "vae_tile", otherwise), 0, 16384);
}

gboolean
atl_diffusion_model_rehearse (AtlDiffusionModel *self,
                              AtlBackend *const *backends,
                              guint n_backends,
                              const AtlSettings *settings,
                              GPtrArray *inputs,
                              const AtlDiffusionHow *how,
                              AtlDiffusionCost *cost,
                              GError **error)
{
  g_autoptr (AtlSettings) whole = with_own_settings (self, settings);
  AtlDiffusionHow way = *how;
  gboolean ok;

  if (backends == NULL)
    {
      backends = self->backends;
      n_backends = self->n_backends;
    }
  g_return_val_if_fail (n_backends > 0, FALSE);
  way.tile = tile_for (settings, how->tile);
  g_mutex_lock (&self->price_mutex);
  ok = find_price (self, backends, n_backends, whole, inputs, &way, cost, error);
  g_mutex_unlock (&self->price_mutex);
  return ok;
}

gboolean
atl_diffusion_model_cost (AtlDiffusionModel *self,
                          AtlBackend *const *backends,
                          guint n_backends,
                          const AtlSettings *settings,
                          GPtrArray *inputs,
                          AtlDiffusionCost *cost,
                          GError **error)
{
  const AtlDiffusionHow kept = { 0 }, frugal = { .is_frugal = TRUE };
  AtlDiffusionCost other;

  if (!atl_diffusion_model_rehearse (self, backends, n_backends, settings, inputs, &kept, cost,
                                     error) ||
      !atl_diffusion_model_rehearse (self, backends, n_backends, settings, inputs, &frugal, &other,
                                     error))
    return FALSE;
  cost->peak_frugal = other.peak;
  return TRUE;
}

void
atl_diffusion_model_dtypes (AtlDiffusionModel *self, guint64 *matrices, guint64 *convs)
{
  /* LoRAs are floats, or make floats of weights. */
  *matrices = *convs = 1ull << ATL_DTYPE_F32 | 1ull << ATL_DTYPE_F16 | 1ull << ATL_DTYPE_BF16;
  g_mutex_lock (&self->price_mutex);
  atl_bundle_assign (self->priced, self->family->parts, self->family->n_parts, NULL);
  for (guint i = 0; i < self->family->n_parts; i++)
    {
      AtlCheckpoint *cp = atl_bundle_checkpoint (self->priced, self->family->parts[i].role, NULL);

      if (cp != NULL)
        atl_component_dtypes (cp, matrices, convs);
    }
  g_mutex_unlock (&self->price_mutex);
}

void
atl_diffusion_model_drop (AtlDiffusionModel *self)
{
  g_atomic_int_set (&self->is_warm, FALSE);
  if (self->parts != NULL)
    atl_parts_drop (self->parts);
}

void
atl_diffusion_model_set_how (AtlDiffusionModel *self, const AtlDiffusionHow *how)
{
  self->how = *how;
  atl_parts_set_frugal (self->parts, how->is_frugal);
  atl_parts_set_streams (self->parts, how->streams, how->keep);
  atl_parts_set_on_host (self->parts, how->on_host);
}

gboolean
atl_diffusion_model_set_loras (AtlDiffusionModel *self, const AtlLoraFile *loras, guint n)
{
  gboolean is_same, is_freed = atl_parts_set_loras (self->parts, loras, n);

  if (is_freed)
    g_atomic_int_set (&self->is_warm, FALSE);

  g_mutex_lock (&self->price_mutex);
  is_same = n == self->loras->len;
  for (guint i = 0; is_same && i < n; i++)
    is_same = g_array_index (self->loras, AtlLoraFile, i).cp == loras[i].cp;
  for (guint i = 0; i < n; i++)
    atl_checkpoint_ref (loras[i].cp);
  g_array_set_size (self->loras, 0);
  g_array_append_vals (self->loras, loras, n);
  /* How strong they are costs nothing. */
  if (!is_same)
    g_array_set_size (self->prices, 0);
  g_mutex_unlock (&self->price_mutex);
  return is_freed;
}

guint64
atl_diffusion_model_lora_bytes (AtlDiffusionModel *self)
{
  guint64 sum = 0;

  g_mutex_lock (&self->price_mutex);
  for (guint i = 0; i < self->loras->len; i++)
    {
      AtlCheckpoint *cp = g_array_index (self->loras, AtlLoraFile, i).cp;

      for (guint k = 0; k < atl_checkpoint_n_tensors (cp); k++)
        sum += atl_checkpoint_tensor (cp, k)->size_bytes;
    }
  g_mutex_unlock (&self->price_mutex);
  return sum;
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
  g_autoptr (AtlSettings) whole = with_own_settings (self, settings);
  g_autoptr (GPtrArray) none = atl_arrays_new ();
  g_autoptr (GPtrArray) outputs = atl_arrays_new ();
  AtlRun run = { .family = self->family,
                 .pipeline = self->pipeline,
                 .bundle = self->bundle,
                 .parts = self->parts,
                 .settings = whole,
                 .tile = tile_for (settings, self->how.tile),
                 .inputs = inputs != NULL ? inputs : none,
                 .noise = noise,
                 .cancellable = cancellable,
                 .outputs = outputs };
  double loaded_before;
  gboolean ok;

  g_return_val_if_fail (self->parts != NULL, NULL);
  loaded_before = atl_parts_load_seconds (self->parts);
  if (hooks != NULL)
    run.hooks = *hooks;
  self->run = &run;
  ok = self->family->run (&run, error);
  self->run = NULL;
  self->load_seconds = atl_parts_load_seconds (self->parts) - loaded_before;
  if (ok)
    atl_preview_learn (&self->preview, &run);
  if (ok)
    g_atomic_int_set (&self->is_warm, !self->how.is_frugal);
  g_free (self->sampler);
  self->sampler = run.sampler;
  self->n_computed = run.n_computed;
  self->method = run.method;
  return ok ? g_steal_pointer (&outputs) : NULL;
}

const char *
atl_diffusion_model_sampler (const AtlDiffusionModel *self)
{
  return self->sampler;
}

double
atl_diffusion_model_load_seconds (const AtlDiffusionModel *self)
{
  return self->load_seconds;
}

gboolean
atl_diffusion_model_is_warm (const AtlDiffusionModel *self)
{
  return g_atomic_int_get (&self->is_warm);
}

char *
atl_diffusion_model_notice (const AtlDiffusionModel *self)
{
  g_autofree char *loras = self->parts != NULL ? atl_parts_notice (self->parts) : NULL;
  g_autofree char *unused = atl_missing_unused (self->bundle, self->family);

  if (loras != NULL && unused != NULL)
    return g_strjoin ("; ", loras, unused, NULL);
  return loras != NULL ? g_steal_pointer (&loras) : g_steal_pointer (&unused);
}

const char *
atl_diffusion_model_method (const AtlDiffusionModel *self)
{
  return self->method;
}

guint
atl_diffusion_model_n_computed (const AtlDiffusionModel *self)
{
  return self->n_computed;
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
