/* From names to tensors: the modules that a name of GGUF gathers become one tensor, and beside it,
 * where its inputs are in an order of groups, the same sorted. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf-translation.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/convert/hf-module-name.h"
#include "engine/convert/hf-recipe.h"

static gboolean
bad_shape (const HfTranslation *self, const char *name, const char *what, GError **error)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, "%s: “%s”: %s", atl_checkpoint_name (self->hf),
               name, what);
  return FALSE;
}

static void
free_sources (AtlHfSource **sources, guint n)
{
  for (guint i = 0; i < n; i++)
    atl_hf_source_free (sources[i]);
  g_free (sources);
}

static char *
target_name (const HfTarget *target)
{
  gboolean bare = (target->name->layout & ATL_HF_BARE) != 0;

  return g_strconcat (target->gguf, bare ? NULL : target->is_bias ? ".bias" : ".weight", NULL);
}

/* Whether the experts of a family that publishes them as [expert, in, out] are saved the other way
 * round, as newer versions of the authors' library do: their inputs or outputs are the model's
 * width. */
static gboolean
lies_in_order (const HfTranslation *self, const HfTarget *target, const AtlHfSource *source)
{
  gboolean is_down = g_str_has_suffix (target->gguf, "_down_exps");
  gint64 outer = source->dim[is_down ? 1 : 2], inner = source->dim[is_down ? 2 : 1];
  double width;

  return source->n_dims == 3 && outer != inner &&
         atl_hf_config_number (&self->config, "hidden_size", (double) outer, (double) outer,
                               &width);
}

static void
shape_source (const HfTranslation *self, const HfTarget *target, AtlHfSource *source)
{
  double vocabulary;

  if ((self->config.family->flags & ATL_HF_TURNED) != 0 && !target->is_bias &&
      g_str_has_suffix (target->gguf, "_exps") && !lies_in_order (self, target, source))
    atl_hf_source_turn (source);
  /* EXL2's outputs are filled up to a multiple of 32. */
  if (source->streams != NULL && strcmp (target->gguf, "output") == 0 &&
      atl_hf_config_number (&self->config, "vocab_size", (double) MAX (1, source->dim[0] - 31),
                            (double) source->dim[0], &vocabulary))
    {
      source->dim[0] = (gint64) vocabulary;
      atl_hf_source_set_dtype (source, source->dtype);
    }
  /* A convolution of every channel by itself has a dimension of one. */
  if (source->n_dims == 3 && source->dim[1] == 1)
    {
      source->n_dims = 2;
      source->dim[1] = source->dim[2];
    }
}

/* "….experts.3.up_proj.weight" when that of another expert is there. */
static gboolean
missing_part (const HfTranslation *self, const HfTarget *target, guint i, GError **error)
{
  for (guint k = 0; k < target->modules->len; k++)
    {
      const HfModule *like = target->modules->pdata[k];
      g_autofree char *number = g_strdup_printf (".%u", k);
      const char *at = like != NULL ? g_strrstr (like->name, number) : NULL;

      if (at == NULL)
        continue;
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("%s: the tensor “%.*s.%u%s.%s” is missing"), atl_checkpoint_name (self->hf),
                   (int) (at - like->name), like->name, i, at + strlen (number),
                   target->is_bias ? "bias" : "weight");
      return FALSE;
    }
  return TRUE;
}

/* Experts that the settings speak of. */
static guint
n_needed (const HfTranslation *self, const HfTarget *target)
{
  g_autofree char *key = g_strconcat (self->config.family->arch, ".expert_count", NULL);
  guint64 n = 0;

  if (target->is_stack && g_str_has_suffix (target->gguf, "_exps"))
    atl_checkpoint_get_uint (self->out, key, 0, HF_MAX_STACK, &n, NULL);
  return (guint) n;
}

static const char *
shown_name (const HfModule *module, gboolean is_bias)
{
  const AtlTensorInfo *info = module->part[is_bias ? ATL_HF_BIAS : ATL_HF_WEIGHT];

  return info != NULL ? info->name : module->name;
}

/* The i-th does not go with the first; which of the two is the odd one nobody can tell. */
static gboolean
unlike (
    const HfTranslation *self, const HfTarget *target, guint i, gboolean in_shape, GError **error)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
               in_shape ? _ ("%s: the shapes of “%s” and “%s” should be the same")
                        : _ ("%s: the types of “%s” and “%s” should be the same"),
               atl_checkpoint_name (self->hf),
               shown_name (target->modules->pdata[0], target->is_bias),
               shown_name (target->modules->pdata[i], target->is_bias));
  return FALSE;
}

/* The sources of a target, sorted or as they are; all of one shape and, where they were packed, of
 * the widest type. */
static AtlHfSource **
open_sources (HfTranslation *self, const HfTarget *target, gboolean is_sorted, GError **error)
{
  guint n = target->modules->len;
  AtlHfSource **sources = g_new0 (AtlHfSource *, n + 1);
  gboolean ok = n >= n_needed (self, target) || missing_part (self, target, n, error);
  AtlDType widest = ATL_N_DTYPES;

  for (guint i = 0; ok && i < n; i++)
    {
      HfModule *module = target->modules->pdata[i];
      const AtlTensorInfo *bias[ATL_HF_N_PARTS] = { NULL };

      if (module == NULL)
        {
          ok = missing_part (self, target, i, error);
          break;
        }
      bias[ATL_HF_WEIGHT] = module->part[ATL_HF_BIAS];
      sources[i] = atl_hf_source_new (module->name, target->is_bias ? bias : module->part,
                                      &self->quant, error);
      ok = sources[i] != NULL;
      if (ok && is_sorted)
        ok = atl_hf_source_sort (sources[i]);
      if (ok)
        shape_source (self, target, sources[i]);
      if (ok && (sources[i]->n_dims != sources[0]->n_dims ||
                 memcmp (sources[i]->dim, sources[0]->dim, sizeof sources[i]->dim) != 0))
        ok = unlike (self, target, i, TRUE, error);
      if (!ok)
        break;
      if (widest == ATL_N_DTYPES || widest == sources[i]->dtype)
        widest = sources[i]->dtype;
      else if (module->part[ATL_HF_QWEIGHT] != NULL || module->part[ATL_HF_PACKED] != NULL)
        widest = (widest == ATL_DTYPE_Q4_0 && sources[i]->dtype == ATL_DTYPE_Q5_0) ||
                         (widest == ATL_DTYPE_Q5_0 && sources[i]->dtype == ATL_DTYPE_Q4_0)
                     ? ATL_DTYPE_Q5_0
                     : ATL_DTYPE_F16;
      else
        ok = unlike (self, target, i, FALSE, error);
    }
  for (guint i = 0; ok && i < n; i++)
    atl_hf_source_set_dtype (sources[i], widest);
  if (ok)
    return sources;
  free_sources (sources, n);
  return NULL;
}

/* The rows of one expert, or of the whole, and their numbers; a list has rows of one. */
static void
unit_size (const AtlHfSource *source, gboolean is_list, gint64 *n_rows, gint64 *n_columns)
{
  guint n = source->n_dims;

  *n_columns = is_list || n == 0 ? 1 : source->dim[n - 1];
  *n_rows = n == 0 ? 1 : source->dim[is_list ? n - 1 : n - 2];
}

static gboolean
make_plan (HfTranslation *self,
           const HfTarget *target,
           gint64 n_rows,
           gint64 n_columns,
           AtlHfPlan *plan,
           GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *name = target_name (target);

  if (target->is_bias && target->name->factors != NULL)
    return bad_shape (self, name, _ ("it has a bias and a multiplier, which is not known here"),
                      error);
  if (!atl_hf_layout_plan (plan, &self->config, target->name, n_rows, n_columns, &local))
    return bad_shape (self, name, local->message, error);
  /* The 1 belongs to the weights of a norm. */
  if (target->is_bias)
    plan->change = ATL_HF_UNCHANGED;
  return TRUE;
}

/* The shape of what the plan makes of the rows; gives the number of dimensions. */
static guint
planned_shape (const HfTarget *target,
               const AtlHfSource *source,
               gboolean is_list,
               const AtlHfPlan *plan,
               gint64 *dim)
{
  guint n = source->n_dims, n_dims = 0;
  gint64 n_rows, n_columns;

  unit_size (source, is_list, &n_rows, &n_columns);
  if (target->is_stack)
    dim[n_dims++] = target->modules->len;
  if (atl_hf_plan_is_plain (plan, n_rows))
    {
      for (guint i = 0; i < n; i++)
        dim[n_dims++] = source->dim[i];
      return n_dims;
    }
  for (guint i = 0; i + (is_list ? 1 : 2) < n; i++)
    dim[n_dims++] = source->dim[i];
  if (plan->list_rows > 0)
    dim[n_dims++] = plan->list_rows;
  dim[n_dims++] = plan->list_rows > 0 ? plan->n_rows / plan->list_rows : plan->n_rows;
  if (!is_list)
    dim[n_dims++] = n_columns;
  return n_dims;
}

/* Runs of columns are whole blocks, if need be of another type. */
static gboolean
fit_columns (AtlHfSource **sources, guint n, const AtlHfPlan *plan)
{
  gint64 run = plan->columns.size[ATL_HF_LEVELS - 1];

  if (plan->columns.size[0] == 0 || run % atl_dtype_info (sources[0]->dtype)->block_elems == 0)
    return TRUE;
  if (sources[0]->part[ATL_HF_QWEIGHT] == NULL && sources[0]->part[ATL_HF_PACKED] == NULL &&
      sources[0]->dtype != ATL_DTYPE_F8_E4M3_32)
    return FALSE;
  for (guint i = 0; i < n; i++)
    atl_hf_source_set_dtype (sources[i], sources[0]->part[ATL_HF_WEIGHT] != NULL ? ATL_DTYPE_F32
                                                                                 : ATL_DTYPE_F16);
  return TRUE;
}

/* --- Sorted forms --- */

static guint32 *
join_orders (AtlHfSource *const *sources, guint n)
{
  gint64 n_in = sources[0]->dim[sources[0]->n_dims - 1];
  guint32 *orders = g_new (guint32, (gsize) (n * n_in));

  for (guint i = 0; i < n; i++)
    memcpy (orders + i * n_in, sources[i]->order, (gsize) n_in * sizeof *orders);
  return orders;
}

/* The same tensor with its inputs sorted, where that keeps it in few bits and as it is does not. */
static const AtlSortedTensor *
sort_tensor (HfTranslation *self,
             const HfTarget *target,
             AtlHfSource *const *as_is,
             const AtlHfPlan *plan,
             gint64 n_rows,
             const char *name,
             guint n_dims,
             const gint64 *dim)
{
  guint n = target->modules->len;
  gboolean in_order = TRUE, ok = TRUE;
  AtlHfSource **sources;
  AtlSortedTensor *sorted;
  AtlHfRecipe *recipe;

  for (guint i = 0; i < n; i++)
    in_order &= as_is[i]->group_of == NULL;
  if (in_order || plan->columns.size[0] > 0)
    return NULL;
  sources = open_sources (self, target, TRUE, NULL);
  if (sources == NULL)
    return NULL;
  for (guint i = 0; i < n; i++)
    ok &= sources[i]->order != NULL && atl_dtype_info (sources[i]->dtype)->quantized;
  recipe = atl_hf_recipe_new (sources, n_rows, plan);
  if (!ok || !atl_dtype_info (recipe->dtype)->quantized)
    {
      atl_hf_recipe_free (recipe);
      return NULL;
    }
  sorted = g_new0 (AtlSortedTensor, 1);
  atl_checkpoint_take (self->out, sorted, g_free);
  sorted->order = join_orders (sources, n);
  atl_checkpoint_take (self->out, (gpointer) sorted->order, g_free);
  atl_hf_recipe_describe (recipe, self->out, n_dims, dim, &sorted->info);
  sorted->info.name = g_strdup (name);
  atl_checkpoint_take (self->out, (gpointer) sorted->info.name, g_free);
  return sorted;
}

gboolean
hf_add_tensor (HfTranslation *self, const HfTarget *target, GError **error)
{
  g_autofree char *name = target_name (target);
  gboolean is_list;
  guint n = target->modules->len, n_dims;
  AtlHfSource **sources = open_sources (self, target, FALSE, error);
  const AtlSortedTensor *sorted;
  AtlHfRecipe *recipe;
  AtlHfPlan plan;
  gint64 dim[ATL_MAX_DIMS + 2], n_rows, n_columns;

  if (sources == NULL)
    return FALSE;
  is_list = target->is_bias || sources[0]->n_dims <= 1;
  unit_size (sources[0], is_list, &n_rows, &n_columns);
  if (!make_plan (self, target, n_rows, n_columns, &plan, error) ||
      (!fit_columns (sources, n, &plan) &&
       !bad_shape (self, name, _ ("it is packed in blocks that its heads cut through"), error)))
    {
      free_sources (sources, n);
      return FALSE;
    }
  n_dims = planned_shape (target, sources[0], is_list, &plan, dim);
  if (n_dims > 4 || n_rows < 1 || n_columns < 1)
    {
      free_sources (sources, n);
      return bad_shape (self, name, _ ("it has too many dimensions, or an empty one"), error);
    }
  for (guint i = 0; is_list && i < n; i++)
    atl_hf_source_flatten (sources[i]);
  sorted = is_list ? NULL : sort_tensor (self, target, sources, &plan, n_rows, name, n_dims, dim);
  recipe = atl_hf_recipe_new (sources, n_rows, &plan);
  return is_list && (n > 1 || sources[0]->plain == NULL || !atl_hf_plan_is_plain (&plan, n_rows))
             ? atl_hf_recipe_add_list (recipe, self->out, name, n_dims, dim, error)
             : atl_hf_recipe_add (recipe, self->out, name, n_dims, dim, sorted, error);
}
