/* Reading, quantising and writing tensor by tensor. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/requant.h"

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
  gint failed; /* (atomic) a number that is not finite */
} Turn;

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
  atl_quantize (t->dtype, floats, out, (gsize) (n * t->n_in));
}

typedef struct
{
  const AtlRequant *job;
  AtlGgufWriter *writer;
  AtlDType *dtypes; /* (owned) by tensor */
  AtlRequantSummary *summary;
  guint64 done, total;
} Run;

static guint64
n_elems (const AtlTensorInfo *info)
{
  guint64 n = 1;

  for (guint i = 0; i < info->n_dims; i++)
    n *= (guint64) info->dim[i];
  return n;
}

static gboolean
write_tensor (Run *run, const AtlTensorInfo *info, AtlDType dtype, GError **error)
{
  guint64 in_bytes = 0, out_bytes = 0;
  gint64 rows = atl_tensor_info_n_rows (info),
         n_in = info->n_dims > 0 ? info->dim[info->n_dims - 1] : 1;
  gint64 per_turn;
  g_autofree guint8 *buffer = NULL;

  if (n_elems (info) == 0)
    return TRUE;
  atl_dtype_row_bytes (info->dtype, (guint64) n_in, &in_bytes);
  atl_dtype_row_bytes (dtype, (guint64) n_in, &out_bytes);
  per_turn = MAX (1, TURN_BYTES / (gint64) out_bytes);
  buffer = g_try_malloc ((gsize) MIN (per_turn, rows) * out_bytes);
  if (buffer == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "There is no memory left for “%s”",
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
                    0 };

      if (g_cancellable_set_error_if_cancelled (run->job->cancellable, error))
        return FALSE;
      atl_parallel_run ((guint) ((turn.n_rows + turn.rows_per_chunk - 1) / turn.rows_per_chunk),
                        turn_chunk, &turn);
      if (turn.failed)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                       "%s: the tensor “%s” holds numbers that are not finite",
                       atl_checkpoint_name (run->job->cp), info->name);
          return FALSE;
        }
      if (!atl_gguf_writer_append (run->writer, buffer, (gsize) turn.n_rows * turn.out_bytes,
                                   error))
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

static guint
get_uint (const AtlCheckpoint *cp, const char *arch, const char *name, guint fallback)
{
  g_autofree char *key = g_strconcat (arch, ".", name, NULL);
  guint64 value;

  return atl_checkpoint_get_uint (cp, key, 0, G_MAXUINT32, &value, NULL) ? (guint) value : fallback;
}

static void
read_model (const AtlCheckpoint *cp, AtlMixModel *model)
{
  const char *arch = atl_checkpoint_get_string (cp, "general.architecture");
  guint heads = get_uint (cp, arch, "attention.head_count", 1);
  guint kv = get_uint (cp, arch, "attention.head_count_kv", heads);

  model->n_layers = get_uint (cp, arch, "block_count", 0);
  model->n_experts = get_uint (cp, arch, "expert_count", 0);
  model->n_gqa = kv > 0 ? MAX (heads / kv, 1) : 1;
  model->has_output = atl_checkpoint_find (cp, "output.weight") != NULL;
}

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

      count[info->dtype] += n_elems (info);
      if (count[info->dtype] > count[most])
        most = info->dtype;
    }
  return atl_mix_of_dtype ((AtlDType) most);
}

static void
add_metadata (Run *run)
{
  const AtlCheckpoint *sources[] = { run->job->cp, run->job->extra };
  const AtlMix *mix = run->job->mix != NULL ? run->job->mix : main_mix (run->job->cp);

  for (guint s = 0; s < G_N_ELEMENTS (sources); s++)
    for (guint i = 0; sources[s] != NULL && i < atl_checkpoint_n_meta (sources[s]); i++)
      {
        const char *key = atl_checkpoint_meta_key (sources[s], i);

        if (is_replaced (key) || (s > 0 && atl_checkpoint_meta (sources[0], key) != NULL))
          continue;
        atl_gguf_writer_add_meta (run->writer, key, atl_checkpoint_meta (sources[s], key));
      }
  if (mix != NULL)
    atl_gguf_writer_add_meta (run->writer, "general.file_type",
                              &(AtlMetaValue){ .type = ATL_META_UINT, .v_uint = mix->file_type });
  atl_gguf_writer_add_meta (run->writer, "general.quantization_version",
                            &(AtlMetaValue){ .type = ATL_META_UINT, .v_uint = 2 });
}

static gboolean
can_write (const AtlTensorInfo *info, AtlDType dtype)
{
  const AtlDTypeInfo *from = atl_dtype_info (info->dtype), *to = atl_dtype_info (dtype);
  gint64 n_in = info->n_dims > 0 ? info->dim[info->n_dims - 1] : 1;

  return info->n_dims <= 4 && n_in % from->block_elems == 0 && n_in % to->block_elems == 0 &&
         dtype != ATL_DTYPE_F8_E4M3 && dtype != ATL_DTYPE_F8_E5M2 &&
         (dtype == info->dtype || atl_dtype_is_float_like (info->dtype));
}

static gboolean
plan_tensors (Run *run, GError **error)
{
  const AtlCheckpoint *cp = run->job->cp;
  AtlMixModel model;

  read_model (cp, &model);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);
      AtlDType dtype = atl_mix_choose (run->job->mix, &model, info);
      gint64 one = 1;

      if (!can_write (info, dtype))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                       "%s: the tensor “%s” of the type %s cannot be written as %s",
                       atl_checkpoint_name (cp), info->name, atl_dtype_name (info->dtype),
                       atl_dtype_name (dtype));
          return FALSE;
        }
      run->dtypes[i] = dtype;
      run->total += n_elems (info);
      run->summary->bytes_before += info->size_bytes;
      if (atl_dtype_info (info->dtype)->quantised && dtype != info->dtype)
        run->summary->n_requantised++;
      if (run->job->mix != NULL && info->n_dims >= 2 && dtype == ATL_DTYPE_F16 &&
          run->job->mix->dtype != ATL_DTYPE_F16)
        run->summary->n_other_type++;
      atl_gguf_writer_add_tensor (run->writer, info->name, dtype, MAX (info->n_dims, 1),
                                  info->n_dims > 0 ? info->dim : &one);
    }
  run->summary->n_tensors = atl_checkpoint_n_tensors (cp);
  run->summary->n_weights = run->total;
  return TRUE;
}

gboolean
atl_requant_write (const AtlRequant *self,
                   const char *path,
                   AtlRequantSummary *summary,
                   GError **error)
{
  g_autoptr (AtlGgufWriter) writer = NULL;
  g_autofree AtlDType *dtypes = g_new (AtlDType, MAX (atl_checkpoint_n_tensors (self->cp), 1));
  Run run = { .job = self, .dtypes = dtypes, .summary = summary };

  *summary = (AtlRequantSummary){ 0 };
  if (atl_checkpoint_get_string (self->cp, "general.architecture") == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   "%s does not say of which family it is; language models can be written",
                   atl_checkpoint_name (self->cp));
      return FALSE;
    }
  run.writer = writer = atl_gguf_writer_new (path, error);
  if (writer == NULL)
    return FALSE;
  add_metadata (&run);
  if (!plan_tensors (&run, error) || !atl_gguf_writer_begin (writer, error))
    return FALSE;
  summary->bytes_after = atl_gguf_writer_size (writer);
  for (guint i = 0; i < atl_checkpoint_n_tensors (self->cp); i++)
    if (!write_tensor (&run, atl_checkpoint_tensor (self->cp, i), dtypes[i], error))
      return FALSE;
  return atl_gguf_writer_finish (writer, error);
}
