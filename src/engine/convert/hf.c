/* From a Hugging Face checkpoint to GGUF's names: tensors are gathered by module, modules by the
 * name they get, and each name becomes one tensor. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/convert/hf-recipe.h"
#include "engine/convert/hf-settings.h"

#define MAX_LAYERS 1024
#define MAX_STACK 4096 /* experts of a layer, heads of a stacked norm */

/* Endings that tell the parts of a module from each other; the first that fits counts. */
static const struct
{
  const char *ending;
  AtlHfPart part;
} endings[] = {
  { ".weight", ATL_HF_WEIGHT },
  { ".bias", ATL_HF_BIAS },
  { ".weight_scale_inv", ATL_HF_SCALE_INV },
  { ".weight_scale", ATL_HF_SCALE },
  { ".scale_weight", ATL_HF_SCALE },
  { ".qweight", ATL_HF_QWEIGHT },
  { ".qzeros", ATL_HF_QZEROS },
  { ".scales", ATL_HF_SCALES },
  { ".g_idx", ATL_HF_G_IDX },
  { ".weight_g_idx", ATL_HF_G_IDX },
  { ".weight_packed", ATL_HF_PACKED },
  { ".weight_zero_point", ATL_HF_PACKED_ZERO },
  { ".weight_shape", ATL_HF_PACKED_SHAPE },
  { ".q_weight", ATL_HF_EXL_WEIGHT },
  { ".q_scale", ATL_HF_EXL_SCALE },
  { ".q_scale_max", ATL_HF_EXL_SCALE_MAX },
  { ".q_groups", ATL_HF_EXL_GROUPS },
  { ".q_invperm", ATL_HF_EXL_INVPERM },
  { ".q_perm", ATL_HF_EXL_PERM },
  { "_blocks", ATL_HF_MX_BLOCKS },
  { "_scales", ATL_HF_MX_SCALES },
  { "_bias", ATL_HF_BIAS },
};

/* Tensors that a quantiser leaves behind and nothing here needs. */
static const char *const ignored_endings[] = { ".input_scale",  ".k_scale",     ".v_scale",
                                               ".output_scale", ".inv_freq",    ".kv_cache_scale",
                                               ".q_group_map",  ".scale_input", ".comfy_quant" };

/* Parts of a model that see or hear, and layers that predict ahead. */
static const char *const ignored_roots[] = {
  "vision_tower.", "vision_model.", "multi_modal_projector.", "visual.", "audio_tower.",
  "mtp.",          "embed_vision.", "embed_audio.",           "mtp_",    "scaled_fp8",
  "tekken_model"
};

static const char *const roots[] = { "model.language_model.",
                                     "language_model.model.",
                                     "language_model.",
                                     "model.",
                                     "transformer.",
                                     "backbone.",
                                     "gpt_neox." };

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

/* The name without the root that wraps the decoder. */
static const char *
without_root (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (roots); i++)
    if (g_str_has_prefix (name, roots[i]))
      return name + strlen (roots[i]);
  return name;
}

static gboolean
is_ignored (const char *name)
{
  const char *inner = without_root (name);

  for (guint i = 0; i < G_N_ELEMENTS (ignored_roots); i++)
    if (g_str_has_prefix (name, ignored_roots[i]) || g_str_has_prefix (inner, ignored_roots[i]))
      return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (ignored_endings); i++)
    if (g_str_has_suffix (name, ignored_endings[i]))
      return TRUE;
  return FALSE;
}

static void
gather (Translation *self, const AtlTensorInfo *info)
{
  g_autofree char *name = g_strdup (info->name);
  AtlHfPart part = ATL_HF_WEIGHT;
  Module *module;

  for (guint i = 0; i < G_N_ELEMENTS (endings); i++)
    if (g_str_has_suffix (name, endings[i].ending))
      {
        part = endings[i].part;
        name[strlen (name) - strlen (endings[i].ending)] = '\0';
        break;
      }
  module = g_hash_table_lookup (self->by_name, name);
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

/* "experts.12.up_proj" -> "experts.*.up_proj" and 12; -1 when there is no number. */
static gint64
take_number (char *name)
{
  for (char *dot = strchr (name, '.'); dot != NULL; dot = strchr (dot + 1, '.'))
    if (g_ascii_isdigit (dot[1]))
      {
        char *end;
        guint64 number = g_ascii_strtoull (dot + 1, &end, 10);

        if ((*end != '.' && *end != '\0') || number >= MAX_STACK)
          continue;
        dot[1] = '*';
        memmove (dot + 2, end, strlen (end) + 1);
        return (gint64) number;
      }
  return -1;
}

/* "layers.3.mlp.up_proj" -> 3 and "mlp.up_proj"; -1 outside of layers. */
static gint64
take_layer (const char **name)
{
  char *end;
  guint64 layer;

  if (!g_str_has_prefix (*name, "layers.") || !g_ascii_isdigit ((*name)[7]))
    return -1;
  layer = g_ascii_strtoull (*name + 7, &end, 10);
  if (*end != '.' || layer >= MAX_LAYERS)
    return -1;
  *name = end + 1;
  return (gint64) layer;
}

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

  atl_hf_config_number (&self->config, "num_local_experts", 0, MAX_STACK, &n_experts);
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
  const char *inner = without_root (module->name);
  g_autofree char *pattern = NULL;
  gint64 layer = take_layer (&inner), number;
  gboolean has_weight = FALSE;
  const AtlHfName *name;

  /* Layers beyond those of the network predict ahead. */
  if (layer >= 0 && (double) layer >= n_layers)
    return TRUE;
  pattern = g_strdup (inner);
  number = take_number (pattern);
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

/* The sources of a target; all of one shape and, where they were packed, of the widest type. */
static AtlHfSource **
open_sources (Translation *self, const Target *target, GError **error)
{
  guint n = target->modules->len;
  AtlHfSource **sources = g_new0 (AtlHfSource *, n + 1);
  gboolean ok = TRUE;
  AtlDType widest = ATL_N_DTYPES;

  for (guint i = 0; ok && i < n; i++)
    {
      Module *module = target->modules->pdata[i];
      const AtlTensorInfo *bias[ATL_HF_N_PARTS] = { NULL };

      if (module == NULL)
        {
          g_autofree char *what = g_strdup_printf (_ ("it has no part %u of %u"), i, n);
          ok = bad_shape (self, target->gguf, what, error);
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

  if (target->is_bias && target->name->factors != NULL)
    return bad_shape (self, target->gguf,
                      _ ("it has a bias and a multiplier, which is not known here"), error);
  if (!atl_hf_layout_plan (plan, &self->config, target->name, n_rows, n_columns, &local))
    return bad_shape (self, target->gguf, local->message, error);
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
  gboolean bare = (target->name->layout & ATL_HF_BARE) != 0, is_list;
  g_autofree char *name = g_strconcat (target->gguf,
                                       bare              ? NULL
                                       : target->is_bias ? ".bias"
                                                         : ".weight",
                                       NULL);
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

static void
add_words (Translation *self)
{
  const char *method = self->quant.method;
  g_autofree char *words = NULL;
  AtlMetaValue value = { .type = ATL_META_STRING };

  if (g_strcmp0 (method, "gptq") == 0 || g_strcmp0 (method, "awq") == 0)
    {
      g_autofree char *upper = g_ascii_strup (method, -1);
      words = g_strdup_printf (_ ("%s, %u bits"), upper, self->quant.bits);
    }
  else if (g_strcmp0 (method, "fp8") == 0 || g_strcmp0 (method, "exl2") == 0)
    words = g_ascii_strup (method, -1);
  else if (method != NULL && g_strcmp0 (method, "mxfp4") != 0)
    words = g_strdup (method);
  if (words == NULL)
    return;
  value.v_string.chars = words;
  value.v_string.length = strlen (words);
  atl_checkpoint_add_meta (self->out, "general.quantisation", &value, NULL);
}

static gboolean
translate (Translation *self, GError **error)
{
  double n_layers = 0;

  if (!atl_hf_config_init (&self->config, self->hf, error) ||
      !atl_hf_quant_read (&self->quant, self->hf, error) ||
      !atl_hf_settings_add (&self->config, self->out, error))
    return FALSE;
  add_words (self);
  self->tied = atl_hf_config_bool (&self->config, "tie_word_embeddings", FALSE);
  atl_hf_config_number (&self->config, "num_hidden_layers", 1, MAX_LAYERS, &n_layers);
  for (guint i = 0; i < atl_checkpoint_n_tensors (self->hf); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (self->hf, i);

      if (!is_ignored (info->name))
        gather (self, info);
    }
  for (guint i = 0; i < self->modules->len; i++)
    if (!place_module (self, self->modules->pdata[i], n_layers, error))
      return FALSE;
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
  gboolean ok;

  atl_checkpoint_set_base (self.out, hf);
  ok = translate (&self, error);
  g_ptr_array_unref (self.targets);
  g_ptr_array_unref (self.modules);
  g_hash_table_unref (self.by_name);
  g_hash_table_unref (self.by_gguf);
  if (ok)
    return self.out;
  atl_checkpoint_unref (self.out);
  return NULL;
}
