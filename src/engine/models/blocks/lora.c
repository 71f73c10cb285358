/* Changes of weights by LoRA files: beside them where they are thin. */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/models/blocks/lora-private.h"

AtlLoras *
atl_loras_new (const AtlLoraFile *loras, guint n)
{
  AtlLoras *self = g_new0 (AtlLoras, 1);

  self->n = n;
  self->indices = g_new0 (AtlLoraIndex *, n + 1);
  self->scales = g_new0 (float, n + 1);
  for (guint i = 0; i < n; i++)
    {
      self->indices[i] = atl_lora_index_new (loras[i].cp);
      self->scales[i] = loras[i].scale;
    }
  self->deltas = g_array_new (FALSE, FALSE, sizeof (LoraDelta));
  self->made = g_ptr_array_new_with_free_func (lora_made_free);
  self->notice = g_string_new (NULL);
  return self;
}

void
atl_loras_free (AtlLoras *self)
{
  if (self == NULL)
    return;
  for (guint i = 0; i < self->n; i++)
    atl_lora_index_free (self->indices[i]);
  g_free (self->indices);
  g_free (self->scales);
  g_array_unref (self->deltas);
  g_ptr_array_unref (self->made);
  g_string_free (self->notice, TRUE);
  g_free (self);
}

const char *
atl_loras_notice (const AtlLoras *self)
{
  return self->notice->len > 0 ? self->notice->str : NULL;
}

guint
atl_loras_n_changed (const AtlLoras *self)
{
  return self->n_changed;
}

gboolean
atl_loras_only_add (const AtlLoras *self, const AtlWeight *weight)
{
  for (guint i = 0; i < weight->n_deltas; i++)
    if (weight->deltas[i].gain != NULL)
      return FALSE;
  for (guint i = 0; i < self->made->len; i++)
    if (((LoraMade *) self->made->pdata[i])->weight == weight)
      return FALSE;
  return TRUE;
}

/* --- Finding --- */

/* The module's name in another scheme; NULL if it has none. */
static char *
map_module (const AtlSource *s, guint which, const char *module)
{
  g_autofree char *canonical = g_strconcat (module, ".weight", NULL);
  char *mapped = s->lora_maps[which](s, canonical);

  if (mapped != NULL && g_str_has_suffix (mapped, ".weight"))
    mapped[strlen (mapped) - strlen (".weight")] = '\0';
  return mapped;
}

/* What the file has under each of the module's names; and whether its rows stand as the model's do,
 * or its halves the other way round. */
static guint
find_groups (const AtlSource *s,
             const AtlLoraIndex *index,
             const char *module,
             AtlLoraGroup **out,
             gboolean *is_turned)
{
  gboolean is_mapped = s->map != NULL && s->map == s->lora_maps[0];
  guint n = 0;

  for (guint i = 0; i <= G_N_ELEMENTS (s->lora_maps); i++)
    {
      g_autofree char *name = NULL;
      AtlLoraGroup *group;
      gboolean is_known = FALSE;

      if (i > 0 && s->lora_maps[i - 1] == NULL)
        break;
      name = i == 0 ? g_strdup (module) : map_module (s, i - 1, module);
      group = name != NULL ? atl_lora_index_find (index, s->lora_places, name) : NULL;
      for (guint k = 0; k < n; k++)
        is_known = is_known || out[k] == group;
      if (group == NULL || is_known)
        continue;
      is_turned[n] = s->turns_halves && (i == 1) != is_mapped;
      out[n++] = group;
    }
  return n;
}

/* --- Beside --- */

typedef struct
{
  AtlSource *source;
  AtlLoraGroup *group;
  guint lora;
  AtlWeight *weight;
  gint64 first, total; /* the weight is these rows of it */
  gint64 cols;
  gint64 turn;        /* AtlLoraChange's */
  gboolean is_hollow; /* nobody reads numbers */
} Place;

static gboolean
is_float (const AtlTensorInfo *info)
{
  return info->data != NULL && (info->dtype == ATL_DTYPE_F32 || info->dtype == ATL_DTYPE_F16 ||
                                info->dtype == ATL_DTYPE_BF16);
}

static AtlWeight *
add_bytes (const Place *p,
           AtlWeightUse use,
           AtlDType dtype,
           guint n_dims,
           const gint64 *dim,
           GBytes *bytes,
           const char *what)
{
  g_autofree char *name = g_strdup_printf ("%s.%s", p->group->module, what);

  return atl_weights_add_bytes (p->source->weights, use, p->weight->layer, dtype, n_dims, dim,
                                bytes, name);
}

/* `n` rows of the file's tensor from `first` on, as they lie there. */
static AtlWeight *
add_stored (const Place *p,
            const AtlTensorInfo *info,
            AtlWeightUse use,
            guint n_dims,
            const gint64 *dim,
            gint64 first,
            gint64 n)
{
  AtlCheckpoint *cp = atl_lora_index_checkpoint (p->source->loras->indices[p->lora]);
  gsize row = info->size_bytes / (gsize) info->dim[0];
  GBytes *bytes =
      g_bytes_new_with_free_func (info->data + (gsize) first * row, (gsize) n * row,
                                  (GDestroyNotify) atl_checkpoint_unref, atl_checkpoint_ref (cp));

  return add_bytes (p, use, info->dtype, n_dims, dim, bytes, "stored");
}

/* Takes `numbers` (nullable where nobody reads them). */
static AtlWeight *
add_numbers (const Place *p, AtlWeightUse use, guint n_dims, const gint64 *dim, float *numbers)
{
  gsize size = sizeof *numbers;

  for (guint i = 0; i < n_dims; i++)
    size *= (gsize) dim[i];
  return add_bytes (p, use, ATL_DTYPE_F32, n_dims, dim,
                    numbers != NULL ? g_bytes_new_take (numbers, size)
                                    : g_bytes_new_static (p->weight, size),
                    "made");
}

/* Rows [first, first + n) of a matrix. */
static float *
copy_rows (const AtlLoraMatrix *m, gint64 first, gint64 n)
{
  return m->data != NULL
             ? g_memdup2 (m->data + first * m->cols, (gsize) (n * m->cols) * sizeof (float))
             : NULL;
}

/* The shape of what is multiplied first: of `rows` rows, and as wide as the weight. */
static guint
inner_shape (const AtlWeight *weight, gint64 rows, gint64 cols, gint64 *dim)
{
  if (weight->use != ATL_USE_CONV)
    {
      dim[0] = rows;
      dim[1] = cols;
      return 2;
    }
  memcpy (dim, weight->dim, sizeof weight->dim);
  dim[0] = rows;
  return weight->n_dims;
}

static void
add_pair (const Place *p, const AtlLoraChange *shape, AtlLoraChange *change, AtlWeightDelta *delta)
{
  const AtlTensorInfo *down = p->group->part[ATL_LORA_DOWN], *up = p->group->part[ATL_LORA_UP];
  gint64 rank = shape->a.rows, n = p->weight->dim[0], dim[ATL_MAX_DIMS];
  guint n_dims = inner_shape (p->weight, rank, p->cols, dim);

  if (p->group->part[ATL_LORA_MID] == NULL && is_float (down))
    delta->a = add_stored (p, down, p->weight->use, n_dims, dim, 0, rank);
  else
    delta->a = add_numbers (p, p->weight->use, n_dims, dim, copy_rows (&change->a, 0, rank));
  dim[0] = n;
  dim[1] = rank;
  if (is_float (up))
    delta->b = add_stored (p, up, ATL_USE_LINEAR, 2, dim, p->first, n);
  else
    delta->b = add_numbers (p, ATL_USE_LINEAR, 2, dim, copy_rows (&change->b, p->first, n));
}

/* (b . a) * (b2 . a2) is one product whose rank is the product of both ranks: of all pairs of rows
 * of a and a2, and of columns of b and b2. */
static void
add_hadamard (const Place *p,
              const AtlLoraChange *shape,
              const AtlLoraChange *change,
              AtlWeightDelta *delta)
{
  gint64 r1 = shape->a.rows, r2 = shape->a2.rows, n = p->weight->dim[0], dim[ATL_MAX_DIMS];
  guint n_dims = inner_shape (p->weight, r1 * r2, p->cols, dim);
  float *a = NULL, *b = NULL;

  if (!p->is_hollow)
    {
      a = g_new (float, (r1 * r2 * p->cols));
      b = g_new (float, (n * r1 * r2));
      for (gint64 i = 0; i < r1 * r2; i++)
        for (gint64 k = 0; k < p->cols; k++)
          a[i * p->cols + k] =
              change->a.data[i / r2 * p->cols + k] * change->a2.data[i % r2 * p->cols + k];
      for (gint64 row = 0; row < n; row++)
        for (gint64 i = 0; i < r1 * r2; i++)
          b[row * r1 * r2 + i] = change->b.data[(p->first + row) * r1 + i / r2] *
                                 change->b2.data[(p->first + row) * r2 + i % r2];
    }
  delta->a = add_numbers (p, p->weight->use, n_dims, dim, a);
  dim[0] = n;
  dim[1] = r1 * r2;
  delta->b = add_numbers (p, ATL_USE_LINEAR, 2, dim, b);
}

static void
add_kronecker (const Place *p,
               const AtlLoraChange *shape,
               const AtlLoraChange *change,
               AtlWeightDelta *delta)
{
  gint64 rows_a = shape->a.rows, n = p->weight->dim[0], dim[ATL_MAX_DIMS];
  gint64 from = p->first / rows_a, to = (p->first + n + rows_a - 1) / rows_a;
  guint n_dims = inner_shape (p->weight, rows_a, shape->a.cols, dim);

  if (n_dims == 4)
    dim[1] = p->weight->dim[1] / shape->b.cols;
  delta->a = add_numbers (p, p->weight->use, n_dims, dim, copy_rows (&change->a, 0, rows_a));
  dim[0] = to - from;
  dim[1] = shape->b.cols;
  delta->b = add_numbers (p, ATL_USE_LINEAR, 2, dim, copy_rows (&change->b, from, to - from));
  delta->is_kronecker = TRUE;
  delta->first = p->first - from * rows_a;
}

/* Whether the change is less beside the weight than as large as it. */
static gboolean
is_thin (const Place *p, const AtlLoraChange *shape)
{
  const AtlWeight *w = p->weight;
  gint64 n = w->dim[0], rank = shape->a.rows * shape->a2.rows;

  if ((w->use != ATL_USE_LINEAR && w->use != ATL_USE_CONV) || p->turn != 0 || p->source->only_bytes)
    return FALSE;
  switch (shape->form)
    {
    case ATL_LORA_PRODUCT:
      return TRUE;
    case ATL_LORA_HADAMARD:
      return rank * (p->cols + n) <= p->cols * n;
    case ATL_LORA_KRONECKER:
      /* The kernel is the second factor's, and there are no frames. */
      return w->use == ATL_USE_LINEAR || (w->n_dims == 4 && w->dim[1] % shape->b.cols == 0);
    case ATL_LORA_NOTHING:
    case ATL_LORA_WHOLE:
    default:
      return FALSE;
    }
}

/* DoRA's gains; NULL with the table's mistake. */
static AtlWeight *
add_gains (const Place *p, const AtlLoraChange *change, AtlLoraAxis axis)
{
  const AtlWeight *of =
      axis == ATL_LORA_OF_INPUT && p->weight->dim[0] != p->total ? p->weight->part_of : p->weight;
  gint64 n = axis == ATL_LORA_OF_INPUT ? of->dim[1] : of->dim[0];
  AtlWeight weight = *of;
  float *gains = NULL;

  if (p->is_hollow)
    gains = g_new0 (float, n);
  else
    {
      g_autoptr (GError) error = NULL;

      weight.bytes = of->bytes != NULL ? g_bytes_ref (of->bytes) : NULL;
      if (atl_weight_make (&weight, &error))
        {
          g_autofree float *m =
              atl_lora_magnitudes (p->group, axis == ATL_LORA_OF_INPUT ? n : p->total);

          gains = atl_lora_gains (change, p->group->factor, m, &weight,
                                  axis == ATL_LORA_OF_INPUT ? 0 : p->first, axis);
        }
      else
        atl_weights_fail (p->source->weights, "%s", error->message);
      g_clear_pointer (&weight.bytes, g_bytes_unref);
    }
  return gains != NULL ? add_numbers (p, ATL_USE_VECTOR, 1, &n, gains) : NULL;
}

static void
add_beside (const Place *p, const AtlLoraChange *shape, AtlLoraAxis axis)
{
  AtlLoras *loras = p->source->loras;
  AtlWeight *weight = p->weight;
  float factor = p->group->factor, scale = loras->scales[p->lora];
  gboolean has_gain = axis != ATL_LORA_NO_MAGNITUDE;
  AtlWeightDelta delta = { .scale = has_gain ? scale : scale * factor,
                           .factor = has_gain ? factor : 1.0f,
                           .is_gain_of_input = axis == ATL_LORA_OF_INPUT };
  LoraDelta record = { weight, weight->n_deltas, p->lora, has_gain ? 1.0f : factor };
  g_auto (AtlLoraChange) change = { 0 };

  /* Numbers of what the file has in another form, or that gains depend on. */
  if (!atl_lora_change_read (p->group, p->total, p->cols, !p->is_hollow, &change))
    return;
  if (shape->form == ATL_LORA_PRODUCT)
    add_pair (p, shape, &change, &delta);
  else if (shape->form == ATL_LORA_HADAMARD)
    add_hadamard (p, shape, &change, &delta);
  else
    add_kronecker (p, shape, &change, &delta);
  if (has_gain && (delta.gain = add_gains (p, &change, axis)) == NULL)
    return;
  weight->deltas = g_renew (AtlWeightDelta, weight->deltas, weight->n_deltas + 1);
  weight->deltas[weight->n_deltas++] = delta;
  g_array_append_val (loras->deltas, record);
}

/* --- Applying --- */

static void
fail_shape (const Place *p, const char *module)
{
  AtlLoraIndex *index = p->source->loras->indices[p->lora];

  atl_weights_fail_lora (p->source->weights, p->lora,
                         _ ("%s does not fit this model: its change of “%s” has another shape"),
                         atl_checkpoint_name (atl_lora_index_checkpoint (index)), module);
}

static void
apply_bias (const Place *p, const char *module)
{
  static const AtlLoraPart parts[] = { ATL_LORA_DIFF_BIAS, ATL_LORA_UP_BIAS };
  LoraPart part = { p->group, p->lora, TRUE, p->first, p->total, p->turn };

  for (gsize i = 0; i < G_N_ELEMENTS (parts); i++)
    {
      const AtlTensorInfo *info = p->group->part[parts[i]];

      if (info == NULL)
        continue;
      if (!lora_is_vector (info, p->total))
        {
          fail_shape (p, module);
          return;
        }
      p->group->is_bias_used = TRUE;
    }
  if (!p->group->is_bias_used)
    return;
  lora_made_add (p->source->loras, p->weight, &part);
  p->source->loras->n_changed++;
}

static void
apply_weight (const Place *p, const char *module)
{
  AtlLoras *loras = p->source->loras;
  LoraPart part = { p->group, p->lora, FALSE, p->first, p->total, p->turn };
  const AtlWeight *w = p->weight;
  gint64 in = w->n_dims > 1 ? w->dim[1] : 0;
  AtlLoraAxis axis = ATL_LORA_NO_MAGNITUDE;
  AtlLoraChange shape;

  if (!atl_lora_change_read (p->group, p->total, p->cols, FALSE, &shape) ||
      !atl_lora_magnitude_axis (p->group, p->total, in, &axis) ||
      /* Every row counts for a channel's length. */
      (axis == ATL_LORA_OF_INPUT && w->dim[0] != p->total &&
       (w->part_of == NULL || w->part_of->dim[0] != p->total)))
    {
      fail_shape (p, module);
      return;
    }
  if (shape.form == ATL_LORA_NOTHING)
    return;
  p->group->is_used = TRUE;
  loras->n_changed++;
  if (is_thin (p, &shape))
    add_beside (p, &shape, axis);
  else
    lora_made_add (loras, p->weight, &part);
}

void
atl_lora_apply (AtlSource *source,
                AtlWeight *weight,
                const char *module,
                gboolean is_bias,
                gint64 first,
                gint64 total)
{
  AtlLoraGroup *groups[G_N_ELEMENTS (source->lora_maps) + 1];
  gboolean is_turned[G_N_ELEMENTS (groups)];
  Place p = { .source = source, .weight = weight, .first = first, .total = total, .cols = 1 };

  for (guint i = 1; i < weight->n_dims; i++)
    p.cols *= weight->dim[i];
  p.is_hollow = atl_bytes_are_hollow ((gsize) (p.cols * total) * sizeof (float));
  for (p.lora = 0; p.lora < source->loras->n; p.lora++)
    {
      guint n = find_groups (source, source->loras->indices[p.lora], module, groups, is_turned);

      for (guint i = 0; i < n; i++)
        {
          p.group = groups[i];
          p.turn = is_turned[i] ? total / 2 : 0;
          if (is_bias)
            apply_bias (&p, module);
          else
            apply_weight (&p, module);
        }
    }
}

gboolean
atl_loras_set_scales (AtlLoras *self, const AtlLoraFile *loras, guint n, gboolean *is_changed)
{
  g_return_val_if_fail (n == self->n, FALSE);
  for (guint i = 0; i < n; i++)
    self->scales[i] = loras[i].scale;
  for (guint i = 0; i < self->deltas->len; i++)
    {
      const LoraDelta *d = &g_array_index (self->deltas, LoraDelta, i);

      d->weight->deltas[d->delta].scale = d->factor * self->scales[d->lora];
    }
  *is_changed = self->deltas->len > 0 || self->made->len > 0;
  for (guint i = 0; i < self->made->len; i++)
    if (!lora_made_remake (self, self->made->pdata[i]))
      return FALSE;
  return TRUE;
}
