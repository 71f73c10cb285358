/* The neutral view of a model's files: a table of tensors and a table of metadata. */
#define G_LOG_DOMAIN "atl-base"

#include "base/checkpoint.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/checkpoint-private.h"
#include "base/name-hash.h"
#include "base/parallel.h"

/* Rows made by one thread at a time: enough work to be worth handing out, few enough to share. */
#define MADE_CHUNK_BYTES (256 * 1024)

struct _AtlCheckpoint
{
  gatomicrefcount refs;
  char *name;           /* (owned) */
  GPtrArray *maps;      /* (owned) AtlFileMap */
  GArray *tensors;      /* (owned) AtlTensorInfo, names owned by tensor_index */
  GHashTable *by_name;  /* (owned) char* (owned) -> index + 1 */
  GPtrArray *meta_keys; /* (owned) borrowed from meta */
  GHashTable *meta;     /* (owned) char* (owned) -> AtlMetaValue* (owned) */
  GArray *taken;        /* (owned) Taken */
  AtlCheckpoint *base;  /* (owned) (nullable) */
  guint64 weight_bytes;
  AtlOriginFunc origin; /* (nullable) */
  gconstpointer origin_data;
};

typedef struct
{
  gpointer data;
  GDestroyNotify destroy;
} Taken;

static void
taken_clear (gpointer data)
{
  Taken *taken = data;

  taken->destroy (taken->data);
}

AtlCheckpoint *
atl_checkpoint_new (const char *name)
{
  AtlCheckpoint *self = g_new0 (AtlCheckpoint, 1);

  g_atomic_ref_count_init (&self->refs);
  self->name = g_strdup (name);
  self->maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
  self->tensors = g_array_new (FALSE, FALSE, sizeof (AtlTensorInfo));
  self->by_name = g_hash_table_new_full (atl_name_hash, g_str_equal, g_free, NULL);
  self->meta_keys = g_ptr_array_new ();
  self->taken = g_array_new (FALSE, FALSE, sizeof (Taken));
  g_array_set_clear_func (self->taken, taken_clear);
  self->meta = g_hash_table_new_full (atl_name_hash, g_str_equal, g_free,
                                      (GDestroyNotify) atl_meta_value_free);
  return self;
}

AtlCheckpoint *
atl_checkpoint_ref (AtlCheckpoint *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
atl_checkpoint_unref (AtlCheckpoint *self)
{
  if (self == NULL || !g_atomic_ref_count_dec (&self->refs))
    return;
  g_hash_table_unref (self->by_name);
  g_array_unref (self->tensors);
  g_ptr_array_unref (self->meta_keys);
  g_hash_table_unref (self->meta);
  g_ptr_array_unref (self->maps);
  g_array_unref (self->taken);
  atl_checkpoint_unref (self->base);
  g_free (self->name);
  g_free (self);
}

void
atl_checkpoint_add_map (AtlCheckpoint *self, AtlFileMap *map)
{
  g_ptr_array_add (self->maps, atl_file_map_ref (map));
}

void
atl_checkpoint_take (AtlCheckpoint *self, gpointer data, GDestroyNotify destroy)
{
  Taken taken = { data, destroy };

  g_array_append_val (self->taken, taken);
}

void
atl_checkpoint_set_base (AtlCheckpoint *self, AtlCheckpoint *base)
{
  g_assert (self->base == NULL);
  self->base = atl_checkpoint_ref (base);
}

void
atl_checkpoint_set_origin (AtlCheckpoint *self, AtlOriginFunc func, gconstpointer data)
{
  self->origin = func;
  self->origin_data = data;
}

/* Names are found by their letters, as every language has its own quotation marks. */
void
atl_checkpoint_say_origins (const AtlCheckpoint *self, GError *error)
{
  static const char letters[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_.-";
  g_autoptr (GString) text = NULL;

  if (error == NULL || self->origin == NULL)
    return;
  text = g_string_new (NULL);
  for (const char *p = error->message; *p != '\0';)
    {
      gsize n = strspn (p, letters), rest;
      g_autofree char *name = NULL;
      g_autofree char *said = NULL;

      for (rest = n; rest > 0 && p[rest - 1] == '.'; rest--)
        ;
      name = g_strndup (p, rest);
      said = rest > 0 ? self->origin (self->origin_data, name) : NULL;
      g_string_append (text, said != NULL ? said : name);
      g_string_append_len (text, p + rest, (gssize) (n - rest));
      p += n;
      n = strcspn (p, letters);
      g_string_append_len (text, p, (gssize) n);
      p += n;
    }
  g_free (error->message);
  error->message = g_string_free (g_steal_pointer (&text), FALSE);
}

gboolean
atl_checkpoint_add_tensor (AtlCheckpoint *self, const AtlTensorInfo *info, GError **error)
{
  AtlTensorInfo copy = *info;
  char *name;

  g_assert (info->n_dims <= ATL_MAX_DIMS);
  if (g_hash_table_contains (self->by_name, info->name))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s: the tensor “%s” is there twice"),
                   self->name, info->name);
      return FALSE;
    }
  name = g_strdup (info->name);
  copy.name = name;
  g_array_append_val (self->tensors, copy);
  g_hash_table_insert (self->by_name, name, GUINT_TO_POINTER (self->tensors->len));
  self->weight_bytes += info->sorted != NULL ? info->sorted->info.size_bytes : info->size_bytes;
  return TRUE;
}

gboolean
atl_checkpoint_add_meta (AtlCheckpoint *self,
                         const char *key,
                         const AtlMetaValue *value,
                         GError **error)
{
  char *own;

  if (g_hash_table_contains (self->meta, key))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s: the key “%s” is there twice"),
                   self->name, key);
      return FALSE;
    }
  own = g_strdup (key);
  g_ptr_array_add (self->meta_keys, own);
  g_hash_table_insert (self->meta, own, atl_meta_value_copy (value));
  return TRUE;
}

const char *
atl_checkpoint_name (const AtlCheckpoint *self)
{
  return self->name;
}

guint
atl_checkpoint_n_tensors (const AtlCheckpoint *self)
{
  return self->tensors->len;
}

const AtlTensorInfo *
atl_checkpoint_tensor (const AtlCheckpoint *self, guint index)
{
  g_return_val_if_fail (index < self->tensors->len, NULL);
  return &g_array_index (self->tensors, AtlTensorInfo, index);
}

const AtlTensorInfo *
atl_checkpoint_find (const AtlCheckpoint *self, const char *name)
{
  guint index = GPOINTER_TO_UINT (g_hash_table_lookup (self->by_name, name));

  return index > 0 ? &g_array_index (self->tensors, AtlTensorInfo, index - 1) : NULL;
}

guint64
atl_checkpoint_weight_bytes (const AtlCheckpoint *self)
{
  return self->weight_bytes;
}

gint64
atl_tensor_info_n_elems (const AtlTensorInfo *info)
{
  gint64 n = 1;

  /* That this does not overflow was made sure of where no dimension is 0. */
  for (guint i = 0; i < info->n_dims; i++)
    if (info->dim[i] == 0)
      return 0;
  for (guint i = 0; i < info->n_dims; i++)
    n *= info->dim[i];
  return n;
}

gint64
atl_tensor_info_n_rows (const AtlTensorInfo *info)
{
  gint64 n = 1;

  for (guint i = 0; i + 1 < info->n_dims; i++)
    n *= info->dim[i];
  return n;
}

typedef struct
{
  const AtlTensorInfo *info;
  gint64 first_row, n_rows, rows_per_chunk;
  gsize row_bytes;
  guint8 *out;
} Reading;

static void
make_chunk (gpointer data, guint chunk)
{
  const Reading *r = data;
  gint64 first = chunk * r->rows_per_chunk, n = MIN (r->rows_per_chunk, r->n_rows - first);

  r->info->rows (r->info, r->first_row + first, n, r->out + (gsize) first * r->row_bytes);
}

void
atl_tensor_info_read (const AtlTensorInfo *info, gint64 first_row, gint64 n_rows, guint8 *out)
{
  gint64 total = atl_tensor_info_n_rows (info);
  Reading r = { info, first_row, n_rows, 1, total > 0 ? info->size_bytes / (gsize) total : 0, out };

  g_assert (first_row >= 0 && n_rows >= 0 && n_rows <= total && first_row <= total - n_rows);
  if (n_rows == 0 || r.row_bytes == 0)
    return;
  if (info->rows == NULL)
    {
      memcpy (out, info->data + (gsize) first_row * r.row_bytes, (gsize) n_rows * r.row_bytes);
      return;
    }
  /* At most a million chunks. */
  r.rows_per_chunk = MAX (1, MAX (MADE_CHUNK_BYTES / (gint64) r.row_bytes, n_rows >> 20));
  atl_parallel_run ((guint) ((n_rows + r.rows_per_chunk - 1) / r.rows_per_chunk), make_chunk, &r);
}

AtlFileMap *
atl_checkpoint_map_of (const AtlCheckpoint *self, const guint8 *data)
{
  for (guint i = 0; data != NULL && i < self->maps->len; i++)
    {
      AtlFileMap *map = self->maps->pdata[i];
      const guint8 *base = atl_file_map_data (map);

      if (data >= base && data < base + atl_file_map_size (map))
        return map;
    }
  return self->base != NULL ? atl_checkpoint_map_of (self->base, data) : NULL;
}

void
atl_checkpoint_forget (const AtlCheckpoint *self, const AtlTensorInfo *info)
{
  AtlFileMap *map = atl_checkpoint_map_of (self, info->data);

  if (map != NULL)
    atl_file_map_forget (map, info->data, info->size_bytes);
}

guint
atl_checkpoint_n_meta (const AtlCheckpoint *self)
{
  return self->meta_keys->len;
}

const char *
atl_checkpoint_meta_key (const AtlCheckpoint *self, guint index)
{
  g_return_val_if_fail (index < self->meta_keys->len, NULL);
  return self->meta_keys->pdata[index];
}

const AtlMetaValue *
atl_checkpoint_meta (const AtlCheckpoint *self, const char *key)
{
  return g_hash_table_lookup (self->meta, key);
}
