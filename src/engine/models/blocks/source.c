/* Weights by canonical name, under whatever names the file has. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/blocks/source.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/models/blocks/lora.h"
#include "engine/models/blocks/runner.h"
#include "engine/tensor/quants/dequant.h"

static char *
file_name (const AtlSource *self, const char *canonical)
{
  g_autofree char *mapped = self->map != NULL ? self->map (self, canonical) : g_strdup (canonical);

  if (mapped == NULL)
    return NULL;
  return g_strconcat (self->prefix != NULL ? self->prefix : "", mapped, NULL);
}

static const AtlTensorInfo *
find (const AtlSource *self, const char *canonical)
{
  g_autofree char *name = file_name (self, canonical);

  return name != NULL ? atl_checkpoint_find (atl_weights_checkpoint (self->weights), name) : NULL;
}

gboolean
atl_source_has (const AtlSource *self, const char *format, ...)
{
  g_autofree char *name = NULL;
  g_autofree char *weight = NULL;
  va_list args;

  va_start (args, format);
  name = g_strdup_vprintf (format, args);
  va_end (args);
  weight = g_strconcat (name, ".weight", NULL);
  return find (self, weight) != NULL || find (self, name) != NULL;
}

gboolean
atl_source_shape (const AtlSource *self, const char *name, guint *n_dims, gint64 *dim)
{
  g_autofree char *weight = g_strconcat (name, ".weight", NULL);
  const AtlTensorInfo *info = find (self, weight);

  if (info == NULL)
    info = find (self, name);
  if (info == NULL)
    return FALSE;
  *n_dims = info->n_dims;
  for (guint i = 0; i < info->n_dims; i++)
    dim[i] = info->dim[i];
  return TRUE;
}

/* Scaled fp8 files: "<layer>.scale_weight" or "<layer>.weight_scale"; `name` is the file's. */
static void
apply_fp8_scale (AtlSource *source, AtlWeight *weight, const char *name)
{
  static const char *const suffixes[] = { ".scale_weight", ".weight_scale" };
  AtlCheckpoint *cp = atl_weights_checkpoint (source->weights);
  g_autofree char *layer = NULL;

  if ((weight->dtype != ATL_DTYPE_F8_E4M3 && weight->dtype != ATL_DTYPE_F8_E5M2) ||
      !g_str_has_suffix (name, ".weight"))
    return;
  layer = g_strndup (name, strlen (name) - strlen (".weight"));
  for (gsize i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *key = g_strconcat (layer, suffixes[i], NULL);
      const AtlTensorInfo *info = atl_checkpoint_find (cp, key);
      float scale;

      if (info == NULL)
        continue;
      if (info->size_bytes != atl_dtype_info (info->dtype)->block_bytes ||
          !atl_dequantize (info->dtype, info->data, &scale, 1))
        {
          atl_weights_fail (source->weights, _ ("%s: “%s” should be one number"),
                            atl_checkpoint_name (cp), key);
          return;
        }
      weight->scale = scale;
    }
}

/* What LoRA files say of `module`, or of its bias: of its `total` rows the weight is those from
 * `first` on. */
static void
change (AtlSource *self,
        AtlWeight *weight,
        const char *module,
        gboolean is_bias,
        gint64 first,
        gint64 total)
{
  g_autofree char *full =
      g_strconcat (self->lora_root != NULL ? self->lora_root : "", module, NULL);

  if (weight != NULL && self->loras != NULL)
    atl_lora_apply (self, weight, full, is_bias, first, total);
}

static AtlWeight *
add (AtlSource *self,
     AtlWeightUse use,
     guint n_dims,
     const gint64 *dim,
     gboolean optional,
     const char *canonical)
{
  g_autofree char *name = file_name (self, canonical);
  AtlWeight *w;

  if (name == NULL)
    {
      if (!optional)
        atl_weights_fail (self->weights, _ ("%s: there is no tensor for “%s”"),
                          atl_checkpoint_name (atl_weights_checkpoint (self->weights)), canonical);
      return NULL;
    }
  w = optional ? atl_weights_add_optional (self->weights, use, 0, n_dims, dim, "%s", name)
               : atl_weights_add (self->weights, use, 0, n_dims, dim, "%s", name);
  if (w == NULL)
    return NULL;
  apply_fp8_scale (self, w, name);
  if (self->loras != NULL)
    {
      gboolean is_bias = g_str_has_suffix (canonical, ".bias");
      const char *end = is_bias                                   ? ".bias"
                        : g_str_has_suffix (canonical, ".weight") ? ".weight"
                                                                  : "";
      g_autofree char *module = g_strndup (canonical, strlen (canonical) - strlen (end));

      change (self, w, module, is_bias, 0, w->dim[0]);
    }
  return w;
}

static guint
n_changed (const AtlSource *self)
{
  return self->loras != NULL ? atl_loras_n_changed (self->loras) : 0;
}

/* The layer in few bits, if the file has that too and LoRAs change it by what is added beside it at
 * most. `n_before` were changed before it was asked for. */
static void
choose_low_rank (AtlSource *self, AtlAffine *a, guint n_before, const char *base)
{
  g_autofree char *weight = g_strconcat (base, ".svd.weight", NULL);
  g_autofree char *smooth = g_strconcat (base, ".svd.smooth", NULL);
  g_autofree char *down = g_strconcat (base, ".svd.down", NULL);
  g_autofree char *up = g_strconcat (base, ".svd.up", NULL);
  AtlWeight *whole = a->w;

  if (!self->takes_low_rank || whole == NULL || find (self, weight) == NULL ||
      (n_changed (self) != n_before && !atl_loras_only_add (self->loras, whole)))
    return;
  a->w = add (self, ATL_USE_LINEAR, 2, whole->dim, FALSE, weight);
  a->smooth = add (self, ATL_USE_VECTOR, 1, whole->dim + 1, FALSE, smooth);
  a->down = add (self, ATL_USE_LINEAR, 2, (gint64[]){ -1, whole->dim[1] }, TRUE, down);
  if (a->down != NULL)
    a->up = add (self, ATL_USE_LINEAR, 2, (gint64[]){ whole->dim[0], a->down->dim[0] }, FALSE, up);
  whole->use = 0;
  a->whole = whole->n_deltas > 0 ? whole : NULL;
}

static AtlAffine
add_affine (AtlSource *self,
            AtlWeightUse use,
            guint n_dims,
            const gint64 *dim,
            gboolean optional,
            char *name)
{
  g_autofree char *base = name;
  g_autofree char *weight = g_strconcat (base, ".weight", NULL);
  g_autofree char *bias = g_strconcat (base, ".bias", NULL);
  guint n_before = n_changed (self);
  AtlAffine a = { 0 };

  a.w = add (self, use, n_dims, dim, optional, weight);
  a.b = add (self, ATL_USE_VECTOR, 1, a.w != NULL ? a.w->dim : dim, TRUE, bias);
  choose_low_rank (self, &a, n_before, base);
  return a;
}

AtlAffine
atl_source_linear (AtlSource *self, gint64 out, gint64 in, const char *format, ...)
{
  char *name;
  va_list args;

  va_start (args, format);
  name = g_strdup_vprintf (format, args);
  va_end (args);
  return add_affine (self, ATL_USE_LINEAR, 2, (gint64[]){ out, in }, FALSE, name);
}

AtlAffine
atl_source_conv (
    AtlSource *self, gint64 out, gint64 in, gint64 kf, gint64 k, const char *format, ...)
{
  char *name;
  va_list args;

  va_start (args, format);
  name = g_strdup_vprintf (format, args);
  va_end (args);
  if (kf > 0)
    return add_affine (self, ATL_USE_CONV, 5, (gint64[]){ out, in, kf, k, k }, FALSE, name);
  return add_affine (self, ATL_USE_CONV, 4, (gint64[]){ out, in, k, k }, FALSE, name);
}

AtlAffine
atl_source_norm (AtlSource *self, gint64 n, gboolean optional, const char *format, ...)
{
  char *name;
  va_list args;

  va_start (args, format);
  name = g_strdup_vprintf (format, args);
  va_end (args);
  return add_affine (self, ATL_USE_VECTOR, 1, &n, optional, name);
}

void
atl_source_split (AtlSource *self,
                  gint64 in,
                  guint n,
                  const char *prefix,
                  const char *const *names,
                  const gint64 *rows,
                  const char *fused,
                  AtlAffine *out)
{
  gboolean is_fused = fused != NULL && atl_source_has (self, "%s", fused);
  gint64 total = 0, first = 0, size[4];
  gboolean takes_low_rank = self->takes_low_rank;
  gboolean was_changed[G_N_ELEMENTS (size)] = { FALSE };
  guint n_before;
  AtlAffine whole = { 0 };

  g_assert (n <= G_N_ELEMENTS (size));
  /* Not before it is known what a LoRA for the fused layer changes. */
  self->takes_low_rank = FALSE;
  if (is_fused)
    {
      gint64 all = atl_source_rows (self, fused), rest = all;
      AtlLoras *loras = self->loras;

      for (guint i = 0; i < n; i++)
        rest -= MAX (rows[i], 0);
      for (guint i = 0; i < n; i++)
        size[i] = rows[i] >= 0 ? rows[i] : rest;
      /* LoRAs go into the slices. */
      self->loras = NULL;
      whole = atl_source_linear (self, all, in, "%s", fused);
      self->loras = loras;
      for (guint i = 0; i < n; i++)
        {
          total += size[i];
          if (size[i] < 1 || total > all)
            {
              atl_weights_fail (self->weights, _ ("%s: “%s” does not have the rows it should"),
                                atl_checkpoint_name (atl_weights_checkpoint (self->weights)),
                                fused);
              self->takes_low_rank = takes_low_rank;
              return;
            }
        }
    }
  else
    for (guint i = 0; i < n; i++)
      {
        n_before = n_changed (self);
        out[i] = atl_source_linear (self, rows[i], in, "%s.%s", prefix, names[i]);
        was_changed[i] = n_changed (self) != n_before;
        size[i] = out[i].w != NULL ? out[i].w->dim[0] : 0;
        total += size[i];
      }
  for (guint i = 0; i < n; first += size[i], i++)
    {
      if (is_fused)
        {
          g_autofree char *name = g_strdup_printf ("%s.%s", prefix, names[i]);

          out[i].w = atl_weights_add_rows (self->weights, whole.w, ATL_USE_LINEAR, first, size[i]);
          out[i].b = atl_weights_add_rows (self->weights, whole.b, ATL_USE_VECTOR, first, size[i]);
          change (self, out[i].w, name, FALSE, 0, size[i]);
          change (self, out[i].b, name, TRUE, 0, size[i]);
        }
      n_before = n_changed (self);
      if (fused != NULL)
        {
          change (self, out[i].w, fused, FALSE, first, total);
          change (self, out[i].b, fused, TRUE, first, total);
        }
      self->takes_low_rank = takes_low_rank;
      if (!is_fused && !was_changed[i])
        {
          g_autofree char *name = g_strdup_printf ("%s.%s", prefix, names[i]);

          choose_low_rank (self, &out[i], n_before, name);
        }
    }
  /* Only its slices are used. */
  if (whole.w != NULL)
    whole.w->use = 0;
  if (whole.b != NULL)
    whole.b->use = 0;
}

AtlWeight *
atl_source_tensor (AtlSource *self,
                   AtlWeightUse use,
                   guint n_dims,
                   const gint64 *dim,
                   gboolean optional,
                   const char *format,
                   ...)
{
  g_autofree char *name = NULL;
  va_list args;

  va_start (args, format);
  name = g_strdup_vprintf (format, args);
  va_end (args);
  return add (self, use, n_dims, dim, optional, name);
}

gint64
atl_source_rows (const AtlSource *self, const char *name)
{
  gint64 dim[ATL_MAX_DIMS];
  guint n_dims;

  return atl_source_shape (self, name, &n_dims, dim) && n_dims >= 1 ? dim[0] : -1;
}

gboolean
atl_source_finish (AtlSource *self,
                   AtlBackend *backend,
                   const AtlLoadOptions *options,
                   GError **error)
{
  atl_lora_finish (self);
  if (options->in_file)
    atl_weights_save_memory (self->weights, backend, options->keep_bytes);
  return atl_weights_check (self->weights, error) &&
         atl_weights_upload (self->weights, atl_place_on, backend, options->progress,
                             options->progress_data, options->cancellable, error);
}
