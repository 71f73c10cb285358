/* Nunchaku's modules to diffusers', and the tensors that are made of them. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/svdq.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/name-hash.h"
#include "engine/convert/svdq-names.h"
#include "engine/convert/svdq-rows.h"
#include "engine/formats/safetensors.h"
#include "engine/tensor/quants/half.h"

#define GELU_SHIFT 0.171875f

typedef struct
{
  char *name; /* (owned) in the file */
  AtlSvdqMatrix matrix;
} Module;

typedef struct
{
  AtlCheckpoint *cp, *out;
  GPtrArray *modules;    /* (owned) Module; owned by `out` in the end */
  GHashTable *by_module; /* char* (borrowed) -> Module */
  GHashTable *halves;    /* (owned) char* (owned) -> AtlSvdqLayer (borrowed): ATL_SVDQ_AS_LEFT and
                            ATL_SVDQ_AS_RIGHT */
} Translation;

static void
module_free (gpointer data)
{
  Module *module = data;

  atl_svdq_matrix_clear (&module->matrix);
  g_free (module->name);
  g_free (module);
}

static void
translation_clear (Translation *self)
{
  g_clear_pointer (&self->by_module, g_hash_table_unref);
  g_clear_pointer (&self->halves, g_hash_table_unref);
  g_clear_pointer (&self->modules, g_ptr_array_unref);
  g_clear_pointer (&self->out, atl_checkpoint_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Translation, translation_clear)

static void
gather (const AtlCheckpoint *cp, GPtrArray *modules, GHashTable *by_module)
{
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);
      gsize length = 0;
      AtlSvdqPart part = atl_svdq_part_of (info->name, &length);
      g_autofree char *name = g_strndup (info->name, length);
      Module *module;

      if (part == ATL_SVDQ_N_PARTS)
        continue;
      module = g_hash_table_lookup (by_module, name);
      if (module == NULL)
        {
          module = g_new0 (Module, 1);
          module->name = g_steal_pointer (&name);
          g_ptr_array_add (modules, module);
          g_hash_table_insert (by_module, module->name, module);
        }
      module->matrix.part[part] = info;
    }
  for (guint i = modules->len; i-- > 0;)
    {
      Module *module = modules->pdata[i];

      if (!atl_svdq_is_matrix (&module->matrix))
        {
          g_hash_table_remove (by_module, module->name);
          g_ptr_array_remove_index_fast (modules, i);
        }
    }
}

gboolean
atl_svdq_is_model (const AtlCheckpoint *cp)
{
  g_autoptr (GPtrArray) modules = NULL;
  g_autoptr (GHashTable) by_module = NULL;
  gboolean has_words = FALSE;

  for (guint i = 0; !has_words && i < atl_checkpoint_n_tensors (cp); i++)
    has_words = g_str_has_suffix (atl_checkpoint_tensor (cp, i)->name, ".qweight");
  if (!has_words)
    return FALSE;
  modules = g_ptr_array_new_with_free_func (module_free);
  by_module = g_hash_table_new (atl_name_hash, g_str_equal);
  gather (cp, modules, by_module);
  return modules->len > 0;
}

/* --- Tensors --- */

static gboolean
add (Translation *self,
     const AtlSvdqLayer *layer,
     const char *name,
     const char *what,
     AtlDType dtype,
     AtlRowsFunc rows,
     gint64 n_rows,
     gint64 n_columns,
     GError **error)
{
  g_autofree char *full = g_strconcat (name, what, NULL);
  AtlTensorInfo info = { .name = full,
                         .dtype = dtype,
                         .n_dims = n_rows > 0 ? 2 : 1,
                         .dim = { n_rows > 0 ? n_rows : n_columns, n_rows > 0 ? n_columns : 0 },
                         .rows = rows,
                         .rows_data = layer };
  guint64 row_bytes;

  if (!atl_dtype_row_bytes (dtype, (guint64) n_columns, &row_bytes))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("The quantised weight “%s” does not have the rows it should"), name);
      return FALSE;
    }
  info.size_bytes = (gsize) row_bytes * (gsize) MAX (n_rows, 1);
  return atl_checkpoint_add_tensor (self->out, &info, error);
}

static gboolean
add_layer (Translation *self, AtlSvdqLayer *layer, const char *name, GError **error)
{
  const AtlSvdqMatrix *first = layer->of[0];
  gboolean has_bias = FALSE, fits = TRUE;
  AtlDType down = ATL_N_DTYPES; /* F32: two of different types */

  layer->n_in = layer->rank = 0;
  for (guint i = 0; i < layer->n_of; i++)
    {
      const AtlSvdqMatrix *m = layer->of[i];

      layer->n_in += m->n_in;
      layer->rank += m->rank;
      if (m->rank > 0)
        down = down == ATL_N_DTYPES || down == m->part[ATL_SVDQ_DOWN]->dtype
                   ? m->part[ATL_SVDQ_DOWN]->dtype
                   : ATL_DTYPE_F32;
      has_bias |= m->part[ATL_SVDQ_BIAS] != NULL || layer->shift[i] != 0;
      fits = fits && atl_svdq_fits_blocks (m);
    }
  if (has_bias &&
      !add (self, layer, name, ".bias", ATL_DTYPE_F32, atl_svdq_bias_rows, 0, layer->n_rows, error))
    return FALSE;
  if (first->is_affine)
    return add (self, layer, name, ".weight", fits ? ATL_DTYPE_Q4_1 : ATL_DTYPE_F32,
                fits ? atl_svdq_block_rows : atl_svdq_plain_rows, layer->n_rows, layer->n_in,
                error);
  if (!add (self, layer, name, ".weight", ATL_DTYPE_F16, atl_svdq_whole_rows, layer->n_rows,
            layer->n_in, error))
    return FALSE;
  if (!fits || down == ATL_DTYPE_F32)
    return TRUE;
  if (!add (self, layer, name, ".svd.weight", ATL_DTYPE_Q4_0, atl_svdq_block_rows, layer->n_rows,
            layer->n_in, error) ||
      !add (self, layer, name, ".svd.smooth", ATL_DTYPE_F32, atl_svdq_smooth_rows, 0, layer->n_in,
            error))
    return FALSE;
  if (layer->rank == 0)
    return TRUE;
  return add (self, layer, name, ".svd.down", down, atl_svdq_down_rows, layer->rank, layer->n_in,
              error) &&
         add (self, layer, name, ".svd.up", down, atl_svdq_up_rows, layer->n_rows, layer->rank,
              error);
}

static AtlSvdqLayer *
new_layer (Translation *self, const AtlSvdqMatrix *matrix)
{
  AtlSvdqLayer *layer = g_new0 (AtlSvdqLayer, 1);

  layer->of[0] = matrix;
  layer->n_of = layer->alternate = 1;
  layer->n_rows = matrix->n_out;
  atl_checkpoint_take (self->out, layer, g_free);
  return layer;
}

static gboolean
has_odd_rows (const char *module, GError **error)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
               _ ("The quantised weight “%s” does not have the rows it should"), module);
  return FALSE;
}

/* One of two matrices side by side: the layer is added with the second. */
static gboolean
add_half (Translation *self,
          const Module *module,
          const AtlSvdqRename *rename,
          const char *name,
          GError **error)
{
  guint place = rename->form == ATL_SVDQ_AS_LEFT ? 0 : 1;
  AtlSvdqLayer *layer = g_hash_table_lookup (self->halves, name);

  if (layer == NULL)
    {
      layer = new_layer (self, &module->matrix);
      layer->of[0] = NULL;
      g_hash_table_insert (self->halves, g_strdup (name), layer);
    }
  else if (layer->of[1 - place] == NULL || layer->of[place] != NULL ||
           layer->n_rows != module->matrix.n_out ||
           layer->of[1 - place]->is_affine != module->matrix.is_affine)
    return has_odd_rows (module->name, error);
  layer->of[place] = &module->matrix;
  layer->n_rows = module->matrix.n_out;
  layer->shift[place] = rename->of_gelu && !module->matrix.is_fp4 ? GELU_SHIFT : 0.0f;
  if (layer->of[1 - place] == NULL)
    return TRUE;
  layer->n_of = ATL_SVDQ_MAX_TOGETHER;
  g_hash_table_remove (self->halves, name);
  return add_layer (self, layer, name, error);
}

static gboolean
add_module (Translation *self, Module *module, GError **error)
{
  const char *at;
  const AtlSvdqRename *rename = atl_svdq_rename (module->name, &at);
  AtlSvdqMatrix *matrix = &module->matrix;
  guint n;

  if (!atl_svdq_matrix_read (matrix, module->name, error))
    return FALSE;
  n = atl_svdq_n_kinds (module->name);
  if (n > 1)
    {
      AtlSvdqLayer *layer = new_layer (self, matrix);

      layer->alternate = n;
      return matrix->is_affine && matrix->n_out % n == 0
                 ? add_layer (self, layer, module->name, error)
                 : has_odd_rows (module->name, error);
    }
  if (rename == NULL)
    return add_layer (self, new_layer (self, matrix), module->name, error);
  n = atl_svdq_n_names (rename);
  if (matrix->n_out % n != 0)
    return has_odd_rows (module->name, error);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *name = atl_svdq_renamed (module->name, at, rename->to[i]);
      AtlSvdqLayer *layer;

      if (rename->form != ATL_SVDQ_AS_ROWS)
        return add_half (self, module, rename, name, error);
      layer = new_layer (self, matrix);
      layer->n_rows = matrix->n_out / n;
      layer->first = i * layer->n_rows;
      layer->shift[0] = rename->of_gelu && !matrix->is_fp4 && !matrix->is_affine ? GELU_SHIFT : 0;
      if (!add_layer (self, layer, name, error))
        return FALSE;
    }
  return TRUE;
}

/* A tensor that is not quantised, which may still be called otherwise, or be several in one. */
static gboolean
add_plain (Translation *self, const AtlTensorInfo *info, GError **error)
{
  const char *dot = strrchr (info->name, '.'), *at;
  g_autofree char *module = g_strndup (info->name, dot != NULL ? (gsize) (dot - info->name) : 0);
  const AtlSvdqRename *rename = dot != NULL ? atl_svdq_rename (module, &at) : NULL;
  guint n = rename != NULL && rename->form == ATL_SVDQ_AS_ROWS ? atl_svdq_n_names (rename) : 0;

  if (n == 0)
    return atl_checkpoint_add_tensor (self->out, info, error);
  if (n > 1 && (info->n_dims < 1 || info->dim[0] % n != 0 || info->data == NULL))
    return has_odd_rows (module, error);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *head = atl_svdq_renamed (module, at, rename->to[i]);
      g_autofree char *name = g_strconcat (head, dot, NULL);
      AtlTensorInfo part = *info;

      part.name = name;
      if (n > 1)
        {
          part.dim[0] /= n;
          part.size_bytes /= n;
          part.data += i * part.size_bytes;
        }
      if (!atl_checkpoint_add_tensor (self->out, &part, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
add_settings (Translation *self, GError **error)
{
  const char *config = atl_checkpoint_get_string (self->cp, "__metadata__.config");
  AtlMetaValue words = { .type = ATL_META_STRING,
                         .v_string = { "SVDQuant, 4 bits", strlen ("SVDQuant, 4 bits") } };

  for (guint i = 0; i < atl_checkpoint_n_meta (self->cp); i++)
    {
      const char *key = atl_checkpoint_meta_key (self->cp, i);

      if (!atl_checkpoint_add_meta (self->out, key, atl_checkpoint_meta (self->cp, key), error))
        return FALSE;
    }
  if (config != NULL && !atl_config_add_json (self->out, config, strlen (config),
                                              atl_checkpoint_name (self->cp), error))
    return FALSE;
  return atl_checkpoint_meta (self->out, "general.quantisation") != NULL ||
         atl_checkpoint_add_meta (self->out, "general.quantisation", &words, error);
}

/* Whether a tensor belongs to a packed matrix, used or not ("smooth_orig"). */
static gboolean
is_packed (const Translation *self, const AtlTensorInfo *info)
{
  const char *dot = strrchr (info->name, '.');
  g_autofree char *module = g_strndup (info->name, dot != NULL ? (gsize) (dot - info->name) : 0);

  return g_hash_table_contains (self->by_module, module);
}

AtlCheckpoint *
atl_svdq_translate (AtlCheckpoint *cp, GError **error)
{
  g_auto (Translation) self = { .cp = cp };
  GHashTableIter iter;
  gpointer name;

  self.out = atl_checkpoint_new (atl_checkpoint_name (cp));
  self.modules = g_ptr_array_new_with_free_func (module_free);
  self.by_module = g_hash_table_new (atl_name_hash, g_str_equal);
  self.halves = g_hash_table_new_full (atl_name_hash, g_str_equal, g_free, NULL);
  atl_checkpoint_set_base (self.out, cp);
  atl_checkpoint_take (self.out, g_ptr_array_ref (self.modules),
                       (GDestroyNotify) g_ptr_array_unref);
  gather (cp, self.modules, self.by_module);
  for (guint i = 0; i < self.modules->len; i++)
    if (!add_module (&self, self.modules->pdata[i], error))
      return NULL;
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    if (!is_packed (&self, atl_checkpoint_tensor (cp, i)) &&
        !add_plain (&self, atl_checkpoint_tensor (cp, i), error))
      return NULL;
  g_hash_table_iter_init (&iter, self.halves);
  if (g_hash_table_iter_next (&iter, &name, NULL))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("%s: only half of the quantised weight “%s” is there"),
                   atl_checkpoint_name (cp), (char *) name);
      return NULL;
    }
  return add_settings (&self, error) ? g_steal_pointer (&self.out) : NULL;
}
