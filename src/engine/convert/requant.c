/* Reading, quantising and writing tensor by tensor. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/requant.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "engine/formats/gguf-writer.h"
#include "engine/tensor/quants/dequant.h"
#include "engine/tensor/quants/quantize.h"

/* Output of one turn: quantised on all processors, then written. */
#define TURN_BYTES (16 * 1024 * 1024)
/* Floats of a chunk, the work of one thread at a time. */
#define CHUNK_FLOATS (64 * 1024)
/* All of them are open at a time. */
#define MAX_PARTS 500u

/* Some rows of one tensor. A "row" here is a run of the innermost dimension, or several where that
 * is no multiple of the new type's block (never: types are chosen to fit). */
typedef struct
{
  const AtlTensorInfo *info;
  AtlDType dtype;
  gint64 n_in;
  gsize in_bytes, out_bytes; /* of a row */
  gint64 first, n_rows, rows_per_chunk;
  guint8 *out;
  gint failed;    /* (atomic) a number that is not finite */
  gint too_large; /* (atomic) one that half precision cannot hold */
} Turn;

/* From here on half precision rounds to infinity. */
#define F16_END 65520.0f

static void
turn_chunk (gpointer data, guint chunk)
{
  Turn *t = data;
  gint64 first = (gint64) chunk * t->rows_per_chunk, n = MIN (t->rows_per_chunk, t->n_rows - first);
  guint8 *out = t->out + (gsize) first * t->out_bytes;
  g_autofree guint8 *made = NULL;
  g_autofree float *floats = NULL;
  const guint8 *in;

  if (t->info->rows != NULL)
    {
      in = made = g_malloc ((gsize) n * t->in_bytes);
      t->info->rows (t->info, t->first + first, n, made);
    }
  else
    in = t->info->data + (gsize) (t->first + first) * t->in_bytes;
  if (t->dtype == t->info->dtype)
    {
      memcpy (out, in, (gsize) n * t->in_bytes);
      return;
    }
  floats = g_new (float, n * t->n_in);
  atl_dequantize (t->info->dtype, in, floats, (gsize) (n * t->n_in));
  for (gint64 i = 0; i < n * t->n_in; i++)
    if (!isfinite (floats[i]))
      {
        g_atomic_int_set (&t->failed, 1);
        floats[i] = 0;
      }
    else if (t->dtype == ATL_DTYPE_F16 && fabsf (floats[i]) >= F16_END)
      g_atomic_int_set (&t->too_large, 1);
  atl_quantize (t->dtype, floats, out, (gsize) (n * t->n_in));
}

typedef struct
{
  const AtlRequant *job;
  GPtrArray *writers; /* AtlGgufWriter, one a part */
  AtlDType *dtypes;   /* by tensor */
  guint *part;        /* by tensor */
  AtlRequantSummary *summary;
  guint64 done, total;
} Run;

static gboolean
write_tensor (
    Run *run, AtlGgufWriter *writer, const AtlTensorInfo *info, AtlDType dtype, GError **error)
{
  guint64 in_bytes = 0, out_bytes = 0;
  gint64 rows = atl_tensor_info_n_rows (info),
         n_in = info->n_dims > 0 ? info->dim[info->n_dims - 1] : 1;
  gint64 per_turn;
  g_autofree guint8 *buffer = NULL;

  if (atl_tensor_info_n_elems (info) == 0)
    return TRUE;
  atl_dtype_row_bytes (info->dtype, (guint64) n_in, &in_bytes);
  atl_dtype_row_bytes (dtype, (guint64) n_in, &out_bytes);
  per_turn = MAX (1, TURN_BYTES / (gint64) out_bytes);
  buffer = g_try_malloc ((gsize) MIN (per_turn, rows) * out_bytes);
  if (buffer == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, _ ("There is no memory left for “%s”"),
                   info->name);
      return FALSE;
    }
  for (gint64 first = 0; first < rows; first += per_turn)
    {
      Turn turn = { info,
                    dtype,
                    n_in,
                    (gsize) in_bytes,
                    (gsize) out_bytes,
                    first,
                    MIN (per_turn, rows - first),
                    MAX (1, CHUNK_FLOATS / n_in),
                    buffer,
                    0,
                    0 };

      if (g_cancellable_set_error_if_cancelled (run->job->cancellable, error))
        return FALSE;
      atl_parallel_run ((guint) ((turn.n_rows + turn.rows_per_chunk - 1) / turn.rows_per_chunk),
                        turn_chunk, &turn);
      if (turn.failed)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                       _ ("%s: the tensor “%s” holds numbers that are not finite"),
                       atl_checkpoint_name (run->job->cp), info->name);
          return FALSE;
        }
      if (turn.too_large)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                       _ ("%s: the tensor “%s” holds numbers that are too large for the type %s; "
                          "%s can hold them"),
                       atl_checkpoint_name (run->job->cp), info->name, "F16", "BF16");
          return FALSE;
        }
      if (!atl_gguf_writer_append (writer, buffer, (gsize) turn.n_rows * turn.out_bytes, error))
        return FALSE;
      run->done += (guint64) (turn.n_rows * n_in);
      if (run->job->progress != NULL)
        run->job->progress ((double) run->done / (double) MAX (run->total, 1), info->name,
                            run->job->progress_data);
    }
  atl_checkpoint_forget (run->job->cp, info);
  return TRUE;
}

/* --- What comes before the tensors --- */

/* Shards are joined, alignment is the writer's own, and these two say what the file then is. */
static gboolean
is_replaced (const char *key)
{
  return g_str_has_prefix (key, "split.") || strcmp (key, "general.alignment") == 0 ||
         strcmp (key, "general.file_type") == 0 || strcmp (key, "general.quantisation") == 0 ||
         strcmp (key, "general.quantization_version") == 0;
}

/* The type that most weights have, where each keeps its own. */
static const AtlMix *
main_mix (const AtlCheckpoint *cp)
{
  guint64 count[ATL_N_DTYPES] = { 0 };
  guint most = 0;

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);

      count[info->dtype] += (guint64) atl_tensor_info_n_elems (info);
      if (count[info->dtype] > count[most])
        most = info->dtype;
    }
  return atl_mix_of_dtype ((AtlDType) most);
}

static void
put_number (AtlGgufWriter *writer, const char *key, AtlMetaType type, guint width, guint64 number)
{
  atl_gguf_writer_add_meta (
      writer, key, &(AtlMetaValue){ .type = type, .width = (guint8) width, .v_uint = number });
}

/* Keys and widths of llama.cpp, tools/gguf-split. */
static void
add_split (Run *run)
{
  guint n = run->writers->len;

  for (guint i = 0; n > 1 && i < n; i++)
    {
      put_number (run->writers->pdata[i], "split.no", ATL_META_UINT, 2, i);
      put_number (run->writers->pdata[i], "split.count", ATL_META_UINT, 2, n);
      put_number (run->writers->pdata[i], "split.tensors.count", ATL_META_INT, 4,
                  atl_checkpoint_n_tensors (run->job->cp));
    }
}

static void
add_metadata (Run *run)
{
  AtlGgufWriter *writer = run->writers->pdata[0];
  const AtlCheckpoint *sources[] = { run->job->cp, run->job->extra };
  const AtlMix *mix = run->job->mix != NULL ? run->job->mix : main_mix (run->job->cp);

  for (guint s = 0; s < G_N_ELEMENTS (sources); s++)
    for (guint i = 0; sources[s] != NULL && i < atl_checkpoint_n_meta (sources[s]); i++)
      {
        const char *key = atl_checkpoint_meta_key (sources[s], i);

        if (is_replaced (key) || (s > 0 && atl_checkpoint_meta (sources[0], key) != NULL))
          continue;
        atl_gguf_writer_add_meta (writer, key, atl_checkpoint_meta (sources[s], key));
      }
  if (mix != NULL)
    put_number (writer, "general.file_type", ATL_META_UINT, 4, mix->file_type);
  put_number (writer, "general.quantization_version", ATL_META_UINT, 4, 2);
}

static gboolean
can_write (const AtlTensorInfo *info, AtlDType dtype)
{
  const AtlDTypeInfo *from = atl_dtype_info (info->dtype), *to = atl_dtype_info (dtype);
  gint64 n_in = info->n_dims > 0 ? info->dim[info->n_dims - 1] : 1;

  return info->n_dims <= 4 && n_in % from->block_elems == 0 && n_in % to->block_elems == 0 &&
         dtype != ATL_DTYPE_F8_E4M3 && dtype != ATL_DTYPE_F8_E5M2 &&
         dtype != ATL_DTYPE_F8_E4M3_32 &&
         (dtype == info->dtype || atl_dtype_is_float_like (info->dtype));
}

/* Whether it would have had another type if its rows were longer. */
static gboolean
has_shorter_blocks (const AtlMix *mix,
                    const AtlMixModel *model,
                    const AtlTensorInfo *info,
                    AtlDType dtype)
{
  AtlTensorInfo longer = *info;

  if (mix == NULL || info->n_dims < 2 || !atl_dtype_info (dtype)->quantized)
    return FALSE;
  longer.dim[info->n_dims - 1] = (info->dim[info->n_dims - 1] + 255) / 256 * 256;
  return atl_mix_choose (mix, model, &longer) != dtype;
}

static gboolean
plan_tensors (Run *run, GError **error)
{
  const AtlCheckpoint *cp = run->job->cp;
  g_auto (AtlMixModel) model = { 0 };
  guint64 in_part = 0;

  atl_mix_model_init (&model, cp);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);
      AtlDType dtype = atl_mix_choose (run->job->mix, &model, info);
      guint64 bytes = 0;

      if (!can_write (info, dtype))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                       _ ("%s: the tensor “%s” of the type %s cannot be written as %s"),
                       atl_checkpoint_name (cp), info->name, atl_dtype_name (info->dtype),
                       atl_dtype_name (dtype));
          return FALSE;
        }
      run->dtypes[i] = dtype;
      run->total += (guint64) atl_tensor_info_n_elems (info);
      run->summary->bytes_before += info->size_bytes;
      if (atl_dtype_info (info->dtype)->quantized && dtype != info->dtype)
        run->summary->n_requantized++;
      if (run->job->mix != NULL && info->n_dims >= 2 && dtype == ATL_DTYPE_F16 &&
          run->job->mix->dtype != ATL_DTYPE_F16)
        run->summary->n_other_type++;
      else if (has_shorter_blocks (run->job->mix, &model, info, dtype))
        run->summary->n_shorter_blocks++;
      atl_dtype_row_bytes (dtype, (guint64) atl_tensor_info_n_elems (info), &bytes);
      if (i > 0 && run->job->split_bytes > 0 && in_part + bytes > run->job->split_bytes)
        {
          run->summary->n_parts++;
          in_part = 0;
        }
      in_part += bytes;
      run->part[i] = run->summary->n_parts - 1;
    }
  if (run->summary->n_parts > MAX_PARTS)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("%u parts are too many; choose a larger size for a part (%u parts at most)"),
                   run->summary->n_parts, MAX_PARTS);
      return FALSE;
    }
  run->summary->n_tensors = atl_checkpoint_n_tensors (cp);
  run->summary->n_weights = run->total;
  return TRUE;
}

/* "model-00002-of-00003.gguf" */
static char *
part_path (const char *path, guint part, guint n_parts)
{
  gsize length = strlen (path) - (g_str_has_suffix (path, ".gguf") ? strlen (".gguf") : 0);

  return n_parts == 1
             ? g_strdup (path)
             : g_strdup_printf ("%.*s-%05u-of-%05u.gguf", (int) length, path, part + 1, n_parts);
}

/* The files with all that comes before their bytes, none of which is written yet. */
static gboolean
open_parts (Run *run, const char *path, GError **error)
{
  const AtlCheckpoint *cp = run->job->cp;
  guint n = run->summary->n_parts;
  guint64 more = 0;

  for (guint i = 0; i < n; i++)
    {
      g_autofree char *name = part_path (path, i, n);
      AtlGgufWriter *writer = atl_gguf_writer_new (name, error);

      if (writer == NULL)
        return FALSE;
      g_ptr_array_add (run->writers, writer);
    }
  add_metadata (run);
  add_split (run);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);
      gint64 one = 1;

      atl_gguf_writer_add_tensor (run->writers->pdata[run->part[i]], info->name, run->dtypes[i],
                                  MAX (info->n_dims, 1), info->n_dims > 0 ? info->dim : &one);
    }
  for (guint i = 0; i < n; i++)
    run->summary->bytes_after += atl_gguf_writer_size (run->writers->pdata[i]);
  more = run->summary->bytes_after - atl_gguf_writer_size (run->writers->pdata[0]);
  if (!atl_gguf_writer_check_room (run->writers->pdata[0], more, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (!atl_gguf_writer_begin (run->writers->pdata[i], error))
      return FALSE;
  return TRUE;
}

/* All parts take their names, or none does. */
static gboolean
finish_parts (Run *run, GError **error)
{
  for (guint i = 0; i < run->writers->len; i++)
    if (!atl_gguf_writer_finish (run->writers->pdata[i], error))
      {
        while (i-- > 0)
          atl_gguf_writer_undo (run->writers->pdata[i]);
        return FALSE;
      }
  return TRUE;
}

gboolean
atl_requant_write (const AtlRequant *self,
                   const char *path,
                   AtlRequantSummary *summary,
                   GError **error)
{
  const guint n = atl_checkpoint_n_tensors (self->cp);
  g_autoptr (GPtrArray) writers =
      g_ptr_array_new_with_free_func ((GDestroyNotify) atl_gguf_writer_free);
  g_autofree AtlDType *dtypes = g_new (AtlDType, MAX (n, 1));
  g_autofree guint *part = g_new (guint, MAX (n, 1));
  Run run = { .job = self, .writers = writers, .dtypes = dtypes, .part = part, .summary = summary };

  *summary = (AtlRequantSummary){ .n_parts = 1 };
  if (atl_checkpoint_get_string (self->cp, "general.architecture") == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("%s does not say what kind of model it is. Open the whole folder that "
                      "it came in, with its config.json, or a .gguf file."),
                   atl_checkpoint_name (self->cp));
      return FALSE;
    }
  if (!plan_tensors (&run, error) || !open_parts (&run, path, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (!write_tensor (&run, writers->pdata[part[i]], atl_checkpoint_tensor (self->cp, i),
                       dtypes[i], error))
      return FALSE;
  return finish_parts (&run, error);
}
