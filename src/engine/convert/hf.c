/* From a Hugging Face checkpoint to GGUF's names: tensors are gathered by module, modules by the
 * name they get, and each name becomes one tensor. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/convert/hf-module-name.h"
#include "engine/convert/hf-origin.h"
#include "engine/convert/hf-recipe.h"
#include "engine/convert/hf-settings.h"

typedef struct
{
  char *name; /* (owned) in the file, for messages */
  const AtlTensorInfo *part[ATL_HF_N_PARTS];
} Module;

/* One tensor in the making. */
typedef struct
{
  char *gguf; /* (owned) without "weight" or "bias" */
  const AtlHfName *name;
  gboolean is_bias;
  gboolean is_stack;
  GPtrArray *modules; /* Module (borrowed) by index in the stack */
} Target;

typedef struct
{
  AtlCheckpoint *hf, *out;
  AtlHfConfig config;
  AtlHfQuant quant;
  GPtrArray *modules; /* (owned) Module */
  GHashTable *by_name;
  GPtrArray *targets; /* (owned) Target */
  GHashTable *by_gguf;
  HfOrigins *origins; /* of `out` */
  gboolean tied;
} Translation;

static void
module_free (gpointer data)
{
  Module *module = data;

  g_free (module->name);
  g_free (module);
}

static void
target_free (gpointer data)
{
  Target *target = data;

  g_free (target->gguf);
  g_ptr_array_unref (target->modules);
  g_free (target);
}

gboolean
atl_hf_is_model (const AtlCheckpoint *hf)
{
  return atl_checkpoint_meta (hf, "general.architecture") == NULL &&
         (atl_checkpoint_get_string (hf, "model_type") != NULL ||
          atl_checkpoint_get_string (hf, "text_config.model_type") != NULL);
}

static gboolean
unknown_tensor (const Translation *self, const char *name, GError **error)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
               _ ("%s: the tensor “%s” has no place in a %s model as it is known here"),
               atl_checkpoint_name (self->hf), name, self->config.family->arch);
  return FALSE;
}

/* --- Tensors to modules --- */

static void
gather (Translation *self, const AtlTensorInfo *info)
{
  g_autofree char *name = g_strdup (info->name);
  AtlHfPart part = hf_take_part (name);
  Module *module = g_hash_table_lookup (self->by_name, name);
  if (module == NULL)
    {
      module = g_new0 (Module, 1);
      module->name = g_steal_pointer (&name);
      g_ptr_array_add (self->modules, module);
      g_hash_table_insert (self->by_name, module->name, module);
    }
  module->part[part] = info;
}

/* --- Modules to GGUF's names --- */

static void
add_target (Translation *self,
            const char *gguf,
            const AtlHfName *name,
            gboolean is_bias,
            gint64 number,
            Module *module)
{
  g_autofree char *key = g_strconcat (gguf, is_bias ? ".bias" : ".weight", NULL);
  Target *target = g_hash_table_lookup (self->by_gguf, key);

  if (target == NULL)
    {
      target = g_new0 (Target, 1);
      target->gguf = g_strdup (gguf);
      target->name = name;
      target->is_bias = is_bias;
      target->is_stack = number >= 0;
      target->modules = g_ptr_array_new ();
      g_ptr_array_add (self->targets, target);
      g_hash_table_insert (self->by_gguf, g_steal_pointer (&key), target);
    }
  if (target->modules->len <= (guint) MAX (number, 0))
    g_ptr_array_set_size (target->modules, (gint) MAX (number, 0) + 1);
  target->modules->pdata[MAX (number, 0)] = module;
}

/* "blk.3.ffn_up" */
static char *
full_name (const Translation *self, const AtlHfName *name, gint64 layer)
{
  gsize length = strlen (name->gguf);
  g_autofree char *inner = NULL;
  double n_experts = 0;

  atl_hf_config_number (&self->config, "num_local_experts", 0, HF_MAX_STACK, &n_experts);
  if ((self->config.family->flags & ATL_HF_SHARED_IS_DENSE) != 0 && n_experts < 1 &&
      g_str_has_suffix (name->gguf, "_shexp"))
    length -= strlen ("_shexp");
  inner = g_strndup (name->gguf, length);
  return layer >= 0 ? g_strdup_printf ("blk.%u.%s", (guint) layer, inner)
                    : g_steal_pointer (&inner);
}

static gboolean
place_module (Translation *self, Module *module, double n_layers, GError **error)
{
  const char *inner = hf_without_root (module->name);
  g_autofree char *pattern = NULL;
  gint64 layer = hf_take_layer (&inner), number;
  gboolean has_weight = FALSE;
  const AtlHfName *name;

  /* Layers beyond those of the network predict ahead. */
  if (layer >= 0 && (double) layer >= n_layers)
    return TRUE;
  pattern = g_strdup (inner);
  number = hf_take_number (pattern);
  name = atl_hf_family_name (self->config.family, pattern, layer >= 0);
  if (name == NULL)
    return unknown_tensor (self, module->name, error);
  for (guint i = 0; i < ATL_HF_N_PARTS; i++)
    has_weight |= i != ATL_HF_BIAS && module->part[i] != NULL;
  for (; name != NULL; name = atl_hf_name_next (name))
    {
      gboolean for_tied = (name->layout & ATL_HF_LAYOUT_MASK) == ATL_HF_TIED_HEAD;
      g_autofree char *gguf = NULL;

      if (name->gguf == NULL || (for_tied && !self->tied) ||
          (self->tied && !for_tied && strcmp (name->gguf, "output") == 0))
        continue;
      gguf = full_name (self, name, layer);
      hf_origins_add (self->origins, gguf, (name->layout & ATL_HF_BARE) != 0, module->part);
      if (has_weight)
        add_target (self, gguf, name, FALSE, number, module);
      if (module->part[ATL_HF_BIAS] != NULL)
        add_target (self, gguf, name, TRUE, number, module);
    }
  return TRUE;
}

/* --- Names to tensors --- */

static gboolean
bad_shape (const Translation *self, const char *name, const char *what, GError **error)
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
target_name (const Target *target)
{
  gboolean bare = (target->name->layout & ATL_HF_BARE) != 0;

  return g_strconcat (target->gguf, bare ? NULL : target->is_bias ? ".bias" : ".weight", NULL);
}

static void
shape_source (const Translation *self, const Target *target, AtlHfSource *source)
{
  double vocabulary;

  if ((self->config.family->flags & ATL_HF_TURNED) != 0 && !target->is_bias &&
      g_str_has_suffix (target->gguf, "_exps"))
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
missing_part (const Translation *self, const Target *target, guint i, GError **error)
{
  for (guint k = 0; k < target->modules->len; k++)
    {
      const Module *like = target->modules->pdata[k];
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
n_needed (const Translation *self, const Target *target)
{
  g_autofree char *key = g_strconcat (self->config.family->arch, ".expert_count", NULL);
  guint64 n = 0;

  if (target->is_stack && g_str_has_suffix (target->gguf, "_exps"))
    atl_checkpoint_get_uint (self->out, key, 0, HF_MAX_STACK, &n, NULL);
  return (guint) n;
}

/* The sources of a target; all of one shape and, where they were packed, of the widest type. */
static AtlHfSource **
open_sources (Translation *self, const Target *target, GError **error)
{
  guint n = target->modules->len;
  AtlHfSource **sources = g_new0 (AtlHfSource *, n + 1);
  gboolean ok = n >= n_needed (self, target) || missing_part (self, target, n, error);
  AtlDType widest = ATL_N_DTYPES;

  for (guint i = 0; ok && i < n; i++)
    {
      Module *module = target->modules->pdata[i];
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
      if (ok)
        shape_source (self, target, sources[i]);
      if (ok && (sources[i]->n_dims != sources[0]->n_dims ||
                 memcmp (sources[i]->dim, sources[0]->dim, sizeof sources[i]->dim) != 0))
        ok = bad_shape (self, module->name, _ ("it has another shape than its fellows"), error);
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
        ok = bad_shape (self, module->name, _ ("it has another type than its fellows"), error);
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
make_plan (Translation *self,
           const Target *target,
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
planned_shape (const Target *target,
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
  gint64 run = plan->columns.size[2];

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

static gboolean
add_tensor (Translation *self, const Target *target, GError **error)
{
  g_autofree char *name = target_name (target);
  gboolean is_list;
  guint n = target->modules->len, n_dims;
  AtlHfSource **sources = open_sources (self, target, error);
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
  recipe = atl_hf_recipe_new (sources, n_rows, &plan);
  return is_list && (n > 1 || sources[0]->plain == NULL || !atl_hf_plan_is_plain (&plan, n_rows))
             ? atl_hf_recipe_add_list (recipe, self->out, name, n_dims, dim, error)
             : atl_hf_recipe_add (recipe, self->out, name, n_dims, dim, error);
}

/* Only what it is said of is wrong without an output layer: parts of pictures' models have none. */
static void
add_untied (Translation *self)
{
  const AtlMetaValue *tied = atl_hf_config_meta (&self->config, "tie_word_embeddings");
  g_autofree char *key = g_strconcat (self->config.family->arch, ".tie_word_embeddings", NULL);

  if (tied != NULL && tied->type == ATL_META_BOOL && !tied->v_bool &&
      !g_hash_table_contains (self->by_gguf, "output.weight"))
    atl_checkpoint_add_meta (self->out, key, tied, NULL);
}

static gboolean
translate (Translation *self, GError **error)
{
  g_autofree char *words = NULL;
  double n_layers = 0;

  if (!atl_hf_config_init (&self->config, self->hf, error) ||
      !atl_hf_quant_read (&self->quant, self->hf, error) ||
      !atl_hf_settings_add (&self->config, self->out, error))
    return FALSE;
  self->origins = hf_origins_new (&self->config);
  atl_checkpoint_take (self->out, self->origins, (GDestroyNotify) hf_origins_free);
  atl_checkpoint_set_origin (self->out, hf_origins_find, self->origins);
  words = atl_hf_quant_words (&self->quant);
  if (words != NULL)
    {
      AtlMetaValue value = { .type = ATL_META_STRING };

      value.v_string.chars = words;
      value.v_string.length = strlen (words);
      atl_checkpoint_add_meta (self->out, "general.quantisation", &value, NULL);
    }
  self->tied = atl_hf_config_bool (&self->config, "tie_word_embeddings", FALSE);
  atl_hf_config_number (&self->config, "num_hidden_layers", 1, HF_MAX_LAYERS, &n_layers);
  for (guint i = 0; i < atl_checkpoint_n_tensors (self->hf); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (self->hf, i);

      if (!hf_is_ignored (info->name))
        gather (self, info);
    }
  for (guint i = 0; i < self->modules->len; i++)
    if (!place_module (self, self->modules->pdata[i], n_layers, error))
      return FALSE;
  add_untied (self);
  for (guint i = 0; i < self->targets->len; i++)
    if (!add_tensor (self, self->targets->pdata[i], error))
      return FALSE;
  return TRUE;
}

AtlCheckpoint *
atl_hf_adopt (AtlCheckpoint *cp, GError **error)
{
  return atl_hf_is_model (cp) ? atl_hf_translate (cp, error) : atl_checkpoint_ref (cp);
}

AtlCheckpoint *
atl_hf_translate (AtlCheckpoint *hf, GError **error)
{
  Translation self = {
    .hf = hf,
    .out = atl_checkpoint_new (atl_checkpoint_name (hf)),
    .modules = g_ptr_array_new_with_free_func (module_free),
    .by_name = g_hash_table_new (g_str_hash, g_str_equal),
    .targets = g_ptr_array_new_with_free_func (target_free),
    .by_gguf = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL),
  };
  GError *mistake = NULL;
  gboolean ok;

  atl_checkpoint_set_base (self.out, hf);
  ok = translate (&self, &mistake);
  if (!ok)
    {
      atl_checkpoint_say_origins (self.out, mistake);
      g_propagate_error (error, mistake);
    }
  g_ptr_array_unref (self.targets);
  g_ptr_array_unref (self.modules);
  g_hash_table_unref (self.by_name);
  g_hash_table_unref (self.by_gguf);
  if (ok)
    return self.out;
  atl_checkpoint_unref (self.out);
  return NULL;
}
