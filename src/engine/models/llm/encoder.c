/* Language models as text encoders: the decoder of chats without memory and without its last layer,
 * for pipelines that take the hidden states of a prompt (Z-Image, Flux.2, Qwen-Image, HiDream).
 *
 * encode_text: token_ids [1, T], attention_mask [1, T] (ones in one run: padding stands before or
 * behind the text, never inside) -> hidden. Numbers and lists of the request:
 *   layer: which of [embeddings, after layer 1 … after the last layer and its norm], from the end
 *     where negative (-1); a list "layer" i32 [1, n] gives several, one after the other in each
 *     row: [1, T, n * D]
 *   all_layers: not 0: all but the embeddings, [n_layer, 1, T, D]
 *   drop_padding: not 0: rows of the padding are left out
 *   drop: rows that are left out at the beginning
 *   rows f32 [1, n, D]: what takes the place of the embeddings of tokens `row_tokens` i32 [1, n],
 *     as pictures in a prompt do
 *   positions i32 [3, T]: where each token stands, by axis (time, row, column), for models whose
 *     frequencies are shared out among them (rope.dimension_sections)
 *
 * Padding is never seen by the text. Behind it, padding sees the text and nothing else. In front of
 * it, it sees nothing, so that attention adds zero to it (torch's SDPA with a mask without any
 * key). Positions count from the first row, padding or not; only their differences matter.
 */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/models/blocks/runner.h"
#include "engine/models/classes.h"
#include "engine/models/llm/decoder.h"

#define MAX_TOKENS 16384
#define CONTEXT 4096 /* what rotary scalings that depend on it are chosen for */
#define N_AXES 3

typedef struct
{
  AtlDecoder decoder;
  AtlRunner *runner; /* (owned) */
  double *freqs;     /* (owned) [n_rot / 2] */
  double multiplier;
  guint8 *axes;      /* (owned) [n_rot / 2] which position turns a frequency */
  gboolean *wanted;  /* (owned) [n_layer + 1] of the run under way */
  gboolean has_rows; /* of the run under way */
} Encoder;

/* What a request asks for. */
typedef struct
{
  gint64 T, begin, end; /* rows, and those of the text */
  gint64 drop;
  gboolean drop_padding, all_layers;
  guint *layers; /* (owned) [n_layers] */
  guint n_layers;
  const AtlArray *rows, *row_tokens, *positions; /* (nullable) */
} Wish;

static void
wish_clear (Wish *self)
{
  g_free (self->layers);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Wish, wish_clear)

static void
encoder_free (gpointer model)
{
  Encoder *m = model;

  g_free (m->wanted);
  g_free (m->axes);
  g_free (m->freqs);
  atl_runner_free (m->runner);
  atl_decoder_clear (&m->decoder);
  g_free (m);
}

/* The first sections[0] frequencies turn with time, and so on; all with it where nothing is said.
 */
static guint8 *
read_axes (const AtlCheckpoint *cp, guint n)
{
  const char *arch = atl_checkpoint_get_string (cp, "general.architecture");
  g_autofree char *key = g_strconcat (arch != NULL ? arch : "", ".rope.dimension_sections", NULL);
  const AtlMetaValue *list = atl_checkpoint_meta (cp, key);
  guint8 *axes = g_new0 (guint8, MAX (n, 1));
  gint64 end = 0;
  guint at = 0;

  if (list == NULL || list->type != ATL_META_ARRAY || list->v_array.elem_type != ATL_META_INT)
    return axes;
  for (guint8 axis = 0; axis < MIN (list->v_array.n, N_AXES); axis++)
    for (end += CLAMP (((gint64 *) list->v_array.elems)[axis], 0, (gint64) n); at < MIN (end, n);)
      axes[at++] = axis;
  return axes;
}

static gpointer
encoder_load (AtlCheckpoint *cp,
              AtlBackend *const *backends,
              guint n_backends,
              const AtlLoadOptions *options,
              GError **error)
{
  Encoder *m = g_new0 (Encoder, 1);
  const AtlLlmHparams *h = &m->decoder.h;
  g_autofree float *divisors = NULL; /* aligned */

  if (!atl_decoder_init_headless (&m->decoder, cp, CONTEXT, error))
    {
      g_free (m);
      return NULL;
    }
  if (!atl_decoder_can_encode (&m->decoder))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("%s: “%s” models are not known as text encoders"), atl_checkpoint_name (cp),
                   h->traits->architecture);
      encoder_free (m);
      return NULL;
    }
  m->runner = atl_runner_new (backends, n_backends);
  m->wanted = g_new0 (gboolean, h->n_layer + 1);
  if (h->rope_divisors != NULL)
    divisors = g_memdup2 (h->rope_divisors->data, h->rope_divisors->size_bytes);
  m->freqs = g_new (double, MAX (h->rope.n_rot / 2, 1));
  m->multiplier = atl_rope_frequencies (&h->rope, divisors, m->freqs);
  m->axes = read_axes (cp, h->rope.n_rot / 2);
  if (options->in_file)
    atl_weights_save_memory (m->decoder.weights, backends[0], options->keep_bytes);
  if (!atl_weights_upload (m->decoder.weights, atl_place_on, backends[0], options->progress,
                           options->progress_data, options->cancellable, error))
    {
      encoder_free (m);
      return NULL;
    }
  return m;
}

/* --- The request --- */

static gboolean
read_mask (const AtlRequest *request, const AtlArray *ids, Wish *wish, GError **error)
{
  const AtlArray *mask = atl_request_find (request, "attention_mask");
  gint64 i = 0;

  wish->T = wish->end = ids->dim[1];
  if (mask == NULL)
    return TRUE;
  if (mask->dtype == ATL_DTYPE_I32 && atl_array_n_elems (mask) == wish->T)
    {
      while (i < wish->T && atl_array_i32 (mask)[i] == 0)
        i++;
      wish->begin = i;
      while (i < wish->T && atl_array_i32 (mask)[i] != 0)
        i++;
      wish->end = i;
      while (i < wish->T && atl_array_i32 (mask)[i] == 0)
        i++;
    }
  if (i == wish->T && wish->end > wish->begin)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               _ ("The attention mask must have one number a token and one run of ones"));
  return FALSE;
}

static gboolean
add_layer (const Encoder *m, double number, Wish *wish, GError **error)
{
  gint64 n = m->decoder.h.n_layer + 1, layer = (gint64) CLAMP (number, -1e6, 1e6);

  if (layer < -n || layer >= n)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The text encoder has %d hidden states, from 0 on; number %d is asked for"),
                   (int) n, (int) layer);
      return FALSE;
    }
  wish->layers[wish->n_layers++] = (guint) (layer < 0 ? layer + n : layer);
  return TRUE;
}

static gboolean
read_layers (const Encoder *m, const AtlRequest *request, Wish *wish, GError **error)
{
  const AtlArray *list = atl_request_find (request, "layer");
  guint n_layer = m->decoder.h.n_layer;
  gint64 n = 1;

  wish->all_layers = atl_request_number (request, "all_layers", 0) != 0;
  if (wish->all_layers)
    n = n_layer;
  else if (list != NULL)
    n = list->dtype == ATL_DTYPE_I32 ? atl_array_n_elems (list) : 0;
  if (n < 1 || n > 1024)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The list of hidden states is empty, or too long"));
      return FALSE;
    }
  wish->layers = g_new0 (guint, n);
  for (gint64 i = 0; i < n; i++)
    {
      double layer = wish->all_layers ? (double) (i + 1)
                     : list != NULL   ? atl_array_i32 (list)[i]
                                      : atl_request_number (request, "layer", -1);

      if (!add_layer (m, layer, wish, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
read_rows (const Encoder *m, const AtlRequest *request, Wish *wish, GError **error)
{
  const AtlArray *tokens, *rows = wish->rows = atl_request_find (request, "rows");
  gboolean fits = TRUE;

  wish->positions = atl_request_find (request, "positions");
  if (wish->positions != NULL)
    fits = wish->positions->dtype == ATL_DTYPE_I32 && wish->positions->n_dims == 2 &&
           wish->positions->dim[0] == N_AXES && wish->positions->dim[1] == wish->T;
  if (rows != NULL)
    {
      tokens = wish->row_tokens = atl_request_find (request, "row_tokens");
      fits = fits && rows->dtype == ATL_DTYPE_F32 && rows->n_dims == 3 && rows->dim[0] == 1 &&
             rows->dim[2] == (gint64) m->decoder.h.n_embd && tokens != NULL &&
             tokens->dtype == ATL_DTYPE_I32 && atl_array_n_elems (tokens) == rows->dim[1];
      for (gint64 i = 0; fits && i < rows->dim[1]; i++)
        fits = atl_array_i32 (tokens)[i] >= 0 && atl_array_i32 (tokens)[i] < wish->T;
    }
  if (!fits)
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                 _ ("The pictures in the prompt do not fit the text encoder"));
  return fits;
}

static gboolean
read_wish (const Encoder *m, const AtlRequest *request, Wish *wish, GError **error)
{
  const AtlArray *ids = atl_request_require (request, "token_ids", ATL_DTYPE_I32, 2, error);
  gint64 n_rows;

  if (ids == NULL)
    return FALSE;
  if (ids->dim[0] != 1 || ids->dim[1] > MAX_TOKENS)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("One text of at most %d tokens is encoded at a time"), MAX_TOKENS);
      return FALSE;
    }
  for (gint64 i = 0; i < ids->dim[1]; i++)
    if (atl_array_i32 (ids)[i] < 0 || atl_array_i32 (ids)[i] >= (gint64) m->decoder.h.n_vocab)
      {
        g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                     _ ("The token %d is outside the vocabulary"), atl_array_i32 (ids)[i]);
        return FALSE;
      }
  if (!read_mask (request, ids, wish, error) || !read_layers (m, request, wish, error) ||
      !read_rows (m, request, wish, error))
    return FALSE;
  wish->drop_padding = atl_request_number (request, "drop_padding", 0) != 0;
  wish->drop = (gint64) CLAMP (atl_request_number (request, "drop", 0), 0, MAX_TOKENS);
  n_rows = wish->drop_padding ? wish->end - wish->begin : wish->T;
  if (wish->drop < n_rows)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               _ ("%d of %d tokens are to be left out: nothing is left"), (int) wish->drop,
               (int) n_rows);
  return FALSE;
}

/* --- The pass --- */

static void
describe (AtlGraph *g, gpointer model, GPtrArray *inputs)
{
  const Encoder *m = model;

  atl_decoder_describe_hidden (&m->decoder, g, (guint) ((AtlArray *) inputs->pdata[0])->dim[0],
                               m->wanted, m->has_rows);
}

/* Cosines and sines of the rows [first, first + n), each frequency by the axis that turns it. */
static void
fill_rope (const Encoder *m, const AtlArray *positions, gint64 first, gint64 n, float *table)
{
  gint64 n_rot = m->decoder.h.rope.n_rot, T = positions->dim[1];

  for (gint64 t = 0; t < n; t++)
    for (gint64 i = 0; i < n_rot / 2; i++)
      {
        double angle = atl_array_i32 (positions)[m->axes[i] * T + first + t] * m->freqs[i];

        table[t * n_rot + i] = (float) (cos (angle) * m->multiplier);
        table[t * n_rot + n_rot / 2 + i] = (float) (sin (angle) * m->multiplier);
      }
}

/* What takes the place of embeddings, and 0 where it does. */
static void
add_rows (const Encoder *m, const Wish *wish, gint64 first, gint64 n, GPtrArray *inputs)
{
  gint64 D = m->decoder.h.n_embd;
  AtlArray *rows = atl_array_new ("rows", ATL_DTYPE_F32, 2, (gint64[]){ n, D });
  AtlArray *keep = atl_array_new ("keep", ATL_DTYPE_F32, 2, (gint64[]){ n, 1 });

  for (gint64 i = 0; i < n; i++)
    atl_array_f32 (keep)[i] = 1.0f;
  for (gint64 i = 0; i < wish->rows->dim[1]; i++)
    {
      gint64 at = atl_array_i32 (wish->row_tokens)[i] - first;

      if (at < 0 || at >= n)
        continue;
      atl_array_f32 (keep)[at] = 0.0f;
      memcpy (atl_array_f32 (rows) + at * D, atl_array_f32 (wish->rows) + i * D,
              (gsize) D * sizeof (float));
    }
  g_ptr_array_add (inputs, rows);
  g_ptr_array_add (inputs, keep);
}

/* Inputs for the rows [first, first + n) of the text and its padding. */
static GPtrArray *
make_inputs (const Encoder *m, const AtlRequest *request, const Wish *wish, gint64 first, gint64 n)
{
  GPtrArray *inputs = atl_arrays_new ();
  guint n_rot = m->decoder.h.rope.n_rot;
  AtlArray *ids = atl_array_new ("ids", ATL_DTYPE_I32, 1, &n);
  AtlArray *ranges = atl_array_new ("ranges", ATL_DTYPE_I32, 2, (gint64[]){ n, 2 });
  AtlArray *rope = atl_array_new ("rope", ATL_DTYPE_F32, 2, (gint64[]){ n, n_rot });
  g_autofree gint32 *positions = g_new (gint32, n);

  memcpy (ids->data, atl_array_i32 (atl_request_find (request, "token_ids")) + first,
          (gsize) n * sizeof (gint32));
  for (gint64 i = 0; i < n; i++)
    {
      gint64 row = first + i;

      positions[i] = (gint32) row;
      if (row < wish->begin)
        continue;
      atl_array_i32 (ranges)[2 * i] = (gint32) (wish->begin - first);
      atl_array_i32 (ranges)[2 * i + 1] = (gint32) (MIN (row + 1, wish->end) - first);
    }
  if (wish->positions != NULL)
    fill_rope (m, wish->positions, first, n, atl_array_f32 (rope));
  else
    atl_rope_table (m->freqs, n_rot, m->multiplier, positions, (guint) n, atl_array_f32 (rope));
  g_ptr_array_add (inputs, ids);
  g_ptr_array_add (inputs, ranges);
  g_ptr_array_add (inputs, rope);
  if (wish->rows != NULL)
    add_rows (m, wish, first, n, inputs);
  return inputs;
}

/* States as one array: apart, or side by side in each row. */
static AtlArray *
gather (const Encoder *m, const Wish *wish, GPtrArray *computed, gint64 n)
{
  gint64 D = m->decoder.h.n_embd, rows = n - wish->drop, L = wish->n_layers;
  AtlArray *hidden = wish->all_layers
                         ? atl_array_new ("hidden", ATL_DTYPE_F32, 4, (gint64[]){ L, 1, rows, D })
                         : atl_array_new ("hidden", ATL_DTYPE_F32, 3, (gint64[]){ 1, rows, L * D });

  for (gint64 l = 0; l < L; l++)
    {
      g_autofree char *name = g_strdup_printf ("hidden_%u", wish->layers[l]);
      const float *from = atl_array_f32 (atl_arrays_find (computed, name)) + wish->drop * D;

      for (gint64 i = 0; i < rows; i++)
        memcpy (atl_array_f32 (hidden) + (wish->all_layers ? (l * rows + i) * D : (i * L + l) * D),
                from + i * D, (gsize) D * sizeof (float));
    }
  return hidden;
}

static gboolean
encoder_run (gpointer model,
             const AtlRequest *request,
             GPtrArray *outputs,
             GCancellable *cancellable,
             GError **error)
{
  Encoder *m = model;
  g_auto (Wish) wish = { 0 };
  g_autoptr (GPtrArray) inputs = NULL;
  g_autoptr (GPtrArray) computed = atl_arrays_new ();
  g_autoptr (GString) key = g_string_new ("encode");
  gint64 first, n;

  if (!read_wish (m, request, &wish, error))
    return FALSE;
  first = wish.drop_padding ? wish.begin : 0;
  n = wish.drop_padding ? wish.end - wish.begin : wish.T;
  memset (m->wanted, 0, (m->decoder.h.n_layer + 1) * sizeof *m->wanted);
  for (guint i = 0; i < wish.n_layers; i++)
    {
      m->wanted[wish.layers[i]] = TRUE;
      g_string_append_printf (key, " %u", wish.layers[i]);
    }
  m->has_rows = wish.rows != NULL;
  if (m->has_rows)
    g_string_append (key, " rows");
  inputs = make_inputs (m, request, &wish, first, n);
  if (!atl_runner_run (m->runner, key->str, describe, m, inputs, computed, cancellable, error))
    return FALSE;
  g_ptr_array_add (outputs, gather (m, &wish, computed, n));
  return TRUE;
}

/* Only what has GGUF's names by now: engine/convert gives them to everything else. */
static gboolean
recognizes (const AtlCheckpoint *cp)
{
  return atl_checkpoint_find (cp, "token_embd.weight") != NULL &&
         atl_checkpoint_find (cp, "blk.0.attn_q.weight") != NULL;
}

const AtlComponentClass atl_llm_encoder_class = {
  .name = "llm-encoder",
  .origins =
      (const char *const[]){ "LlamaForCausalLM", "MistralForCausalLM", "Qwen3ForCausalLM",
                             "Qwen3Model", "Mistral3ForConditionalGeneration", "MistralModel",
                             "Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLModel", "LlamaModel",
                             "llama", "qwen2", "qwen2vl", "qwen3", "mistral3", NULL },
  .recognizes = recognizes,
  .functions = (const char *const[]){ "encode_text", NULL },
  .load = encoder_load,
  .run = encoder_run,
  .free = encoder_free,
};
