/* GGUF: the header of each file, and the order of shards. */
#define G_LOG_DOMAIN "atl-formats"

#include "engine/formats/gguf.h"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

#include "engine/formats/format-error.h"
#include "engine/formats/gguf-private.h"

#define DEFAULT_ALIGNMENT 32
#define MAX_SHARDS 65535

/* The smallest pair or tensor info: an empty name, and what must follow. */
#define MIN_PAIR_BYTES(version) ((version) >= 2 ? 8 + 4 + 1 : 4 + 4 + 1)
#define MIN_TENSOR_BYTES(version) ((version) >= 2 ? 8 + 4 + 8 + 4 + 8 : 4 + 4 + 4 + 4 + 8)

gboolean
atl_gguf_is_gguf (const guint8 *data, gsize size)
{
  return size >= 4 && memcmp (data, "GGUF", 4) == 0;
}

static gboolean
check_count (const AtlGgufFile *self,
             gboolean of_tensors,
             guint64 n,
             guint64 max,
             gsize min_bytes,
             GError **error)
{
  gsize left = atl_gguf_remaining (&self->cursor);

  if (n > left / min_bytes)
    return atl_format_fail (
        error, ATL_ERROR_BAD_FILE,
        of_tensors ? _ ("%s claims %" PRIu64 " tensors, but only %zu bytes follow: it is damaged "
                        "or its download was not finished")
                   : _ ("%s claims %" PRIu64 " settings, but only %zu bytes follow: it is damaged "
                        "or its download was not finished"),
        self->cursor.file, n, left);
  if (n > max)
    return atl_format_fail (
        error, ATL_ERROR_UNSUPPORTED,
        of_tensors ? _ ("%s holds %" PRIu64 " tensors; at most %" PRIu64 " can be read")
                   : _ ("%s holds %" PRIu64 " settings; at most %" PRIu64 " can be read"),
        self->cursor.file, n, max);
  return TRUE;
}

static gboolean
read_header (AtlGgufFile *self, AtlFileMap *map, GError **error)
{
  AtlGgufCursor *cursor = &self->cursor;
  const guint8 *magic;
  guint32 version;

  *self = (AtlGgufFile){
    .cursor = { .data = atl_file_map_data (map),
                .size = atl_file_map_size (map),
                .file = atl_file_map_name (map) },
    .map = map,
    .alignment = DEFAULT_ALIGNMENT,
  };
  if (!atl_gguf_is_gguf (cursor->data, cursor->size))
    return atl_format_fail (error, ATL_ERROR_BAD_FILE, _ ("%s is no GGUF file"), cursor->file);
  if (!atl_gguf_take (cursor, 4, N_ ("the header"), &magic, error) ||
      !atl_gguf_u32 (cursor, N_ ("the header"), &version, error))
    return FALSE;
  if (version < 1 || version > 3)
    {
      guint32 swapped = GUINT32_SWAP_LE_BE (version);

      if (swapped >= 1 && swapped <= 3)
        return atl_format_fail (
            error, ATL_ERROR_UNSUPPORTED,
            _ ("%s is a GGUF file for big-endian computers; this computer needs "
               "the little-endian file of the same model"),
            cursor->file);
      return atl_format_fail (error, ATL_ERROR_UNSUPPORTED,
                              _ ("%s is of GGUF version %u; versions 1 to 3 can be read"),
                              cursor->file, version);
    }
  cursor->version = version;
  if (!atl_gguf_count (cursor, N_ ("the header"), &self->n_tensors, error) ||
      !atl_gguf_count (cursor, N_ ("the header"), &self->n_pairs, error))
    return FALSE;
  if (version == 1 && self->n_tensors == 0 && self->n_pairs == 0)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE, _ ("%s is empty: it holds no model"),
                            cursor->file);
  return check_count (self, TRUE, self->n_tensors, ATL_GGUF_MAX_TENSORS, MIN_TENSOR_BYTES (version),
                      error) &&
         check_count (self, FALSE, self->n_pairs, ATL_GGUF_MAX_PAIRS, MIN_PAIR_BYTES (version),
                      error);
}

static gboolean
get_split (AtlCheckpoint *cp, const char *key, guint64 max, guint64 *out, GError **error)
{
  g_autoptr (GError) local = NULL;

  *out = 0;
  if (atl_checkpoint_get_uint (cp, key, 0, max, out, &local) || local == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* Finds each file's place: order[k] is the index of the file that is part k. */
static gboolean
order_shards (AtlCheckpoint *const *cps, guint n, guint *order, GError **error)
{
  g_autofree gboolean *seen = g_new0 (gboolean, n);

  for (guint i = 0; i < n; i++)
    {
      const char *name = atl_checkpoint_name (cps[i]);
      guint64 no, count;

      if (!get_split (cps[i], "split.no", MAX_SHARDS - 1, &no, error) ||
          !get_split (cps[i], "split.count", MAX_SHARDS, &count, error))
        return FALSE;
      if (count <= 1 && n > 1)
        return atl_format_fail (
            error, ATL_ERROR_INVALID,
            _ ("%s is a whole model by itself and cannot be opened together with "
               "%s"),
            name, atl_checkpoint_name (cps[i == 0 ? 1 : 0]));
      count = MAX (count, 1);
      if (no >= count)
        return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                                _ ("%s says it is part %" PRIu64 " of %" PRIu64), name, no + 1,
                                count);
      if (count > n)
        return atl_format_fail (error, ATL_ERROR_NOT_FOUND,
                                _ ("%s is part %" PRIu64 " of %" PRIu64
                                   "; put all parts into one folder and open that"),
                                name, no + 1, count);
      if (count < n)
        return atl_format_fail (
            error, ATL_ERROR_INVALID,
            _ ("%s belongs to a model of %" PRIu64 " parts, but %u files were given"), name, count,
            n);
      if (seen[no])
        return atl_format_fail (error, ATL_ERROR_INVALID,
                                _ ("%s and %s are both part %" PRIu64 " of the model"), name,
                                atl_checkpoint_name (cps[order[no]]), no + 1);
      seen[no] = TRUE;
      order[no] = i;
    }
  return TRUE;
}

static gboolean
check_total (AtlCheckpoint *cp, GError **error)
{
  guint64 total;

  if (atl_checkpoint_meta (cp, "split.tensors.count") == NULL)
    return TRUE;
  if (!get_split (cp, "split.tensors.count", G_MAXINT32, &total, error))
    return FALSE;
  if (total != atl_checkpoint_n_tensors (cp))
    return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                            _ ("%s: all parts together hold %u tensors; expected %" PRIu64),
                            atl_checkpoint_name (cp), atl_checkpoint_n_tensors (cp), total);
  return TRUE;
}

AtlCheckpoint *
atl_gguf_open (AtlFileMap *const *maps, guint n_maps, GError **error)
{
  g_autoptr (GPtrArray) cps =
      g_ptr_array_new_with_free_func ((GDestroyNotify) atl_checkpoint_unref);
  g_autofree AtlGgufFile *files = NULL;
  g_autofree guint *order = NULL;
  AtlCheckpoint *whole;
  guint64 n_tensors = 0;
  const char *architecture;

  g_return_val_if_fail (n_maps >= 1, NULL);
  if (n_maps > MAX_SHARDS)
    {
      atl_format_fail (error, ATL_ERROR_INVALID, _ ("%u files are too many for one model"), n_maps);
      return NULL;
    }

  files = g_new0 (AtlGgufFile, n_maps);
  order = g_new0 (guint, n_maps);
  for (guint i = 0; i < n_maps; i++)
    {
      AtlCheckpoint *cp = atl_checkpoint_new (atl_file_map_name (maps[i]));

      g_ptr_array_add (cps, cp);
      if (!read_header (&files[i], maps[i], error) || !atl_gguf_read_meta (&files[i], cp, error))
        return NULL;
      n_tensors += files[i].n_tensors;
    }
  if (!order_shards ((AtlCheckpoint **) cps->pdata, n_maps, order, error))
    return NULL;

  whole = cps->pdata[order[0]];
  if (n_tensors > ATL_GGUF_MAX_TENSORS)
    {
      atl_format_fail (
          error, ATL_ERROR_UNSUPPORTED,
          _ ("%s: all parts together hold %" PRIu64 " tensors; at most %u can be read"),
          atl_checkpoint_name (whole), n_tensors, ATL_GGUF_MAX_TENSORS);
      return NULL;
    }
  architecture = atl_checkpoint_get_string (whole, "general.architecture");
  for (guint i = 0; i < n_maps; i++)
    {
      atl_checkpoint_add_map (whole, maps[order[i]]);
      if (!atl_gguf_read_tensors (&files[order[i]], architecture, whole, error))
        return NULL;
    }
  if (!check_total (whole, error))
    return NULL;
  return atl_checkpoint_ref (whole);
}
