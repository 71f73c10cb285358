/* Loading a decoder, placing its layers, and running batches of tokens through it. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/llm-private.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "base/language.h"

#define DEFAULT_BATCH 512
#define DEFAULT_CONTEXT 4096

gboolean
atl_llm_supports (const AtlCheckpoint *cp, char **why)
{
  const char *architecture = atl_checkpoint_get_string (cp, "general.architecture");

  if (architecture != NULL && atl_llm_traits_find (architecture) != NULL)
    return TRUE;
  if (why != NULL && architecture != NULL)
    *why = g_strdup_printf (
        _ ("%s is a “%s” model, which cannot be run yet. Llama, Mistral, Qwen, Gemma, "
           "Phi, DeepSeek, GLM, gpt-oss, Granite and some other families can."),
        atl_checkpoint_name (cp), architecture);
  else if (why != NULL)
    *why =
        g_strdup_printf (_ ("%s does not say what kind of model it is. Open the whole folder that "
                            "it came in, with its config.json, or a .gguf file."),
                         atl_checkpoint_name (cp));
  return FALSE;
}

static void
fill_info (AtlLlmInfo *info, const AtlDecoder *d, AtlCheckpoint *cp)
{
  const AtlLlmHparams *h = &d->h;
  guint64 by_dtype[ATL_N_DTYPES] = { 0 };
  guint most = 0;

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *t = atl_checkpoint_tensor (cp, i);
      guint64 n = 1;

      for (guint k = 0; k < t->n_dims; k++)
        n *= (guint64) t->dim[k];
      info->n_params += n;
      by_dtype[t->dtype] += n;
      if (by_dtype[t->dtype] > by_dtype[most])
        most = t->dtype;
    }
  info->architecture = h->traits->architecture;
  info->n_layer = h->n_layer;
  info->n_vocab = h->n_vocab;
  info->n_embd = h->n_embd;
  info->n_head = h->n_head;
  info->n_head_kv = h->n_head_kv;
  info->head_dim = h->head_dim;
  info->n_ctx_train = h->n_ctx_train;
  info->is_recurrent = h->ssm.n_slots > 0;
  info->weight_bytes = atl_checkpoint_weight_bytes (cp);
  info->matrix_dtypes = atl_decoder_latent_dtypes (d);
  for (guint i = 0; i < atl_weights_n (d->weights); i++)
    {
      const AtlWeight *w = atl_weights_get (d->weights, i);

      if (w->use & ~ATL_USE_VECTOR)
        info->matrix_dtypes |= 1ull << w->dtype;
    }
  if (info->n_params >= 1000000000)
    info->description =
        atl_language_printf (_ ("%s, %u layers, %.1f B parameters, %s"), info->architecture,
                             h->n_layer, info->n_params / 1e9, atl_dtype_name (most));
  else
    info->description =
        atl_language_printf (_ ("%s, %u layers, %.3g M parameters, %s"), info->architecture,
                             h->n_layer, info->n_params / 1e6, atl_dtype_name (most));
}

void
atl_llm_info_clear (AtlLlmInfo *info)
{
  g_clear_pointer (&info->description, g_free);
}

/* Activations of one chunk; an upper bound that is cheap to know before any graph is built. */
static guint64
scratch_estimate (const AtlLlmHparams *h, guint n_batch)
{
  guint64 per_token =
      6 * (guint64) h->n_embd * h->n_streams + 3 * (guint64) h->n_embd_per_layer * h->n_layer +
      3 * (guint64) h->n_head * (h->head_dim + h->head_dim_v) + 4 * (guint64) h->ssm.n_channels +
      3 * (guint64) MAX (h->n_ff, (guint64) h->experts.n_ff * h->experts.n_used);

  return per_token * n_batch * sizeof (float) + (guint64) h->n_vocab * 2 * sizeof (float) +
         (guint64) 8 * 1024 * 1024;
}

gboolean
atl_llm_estimate (AtlCheckpoint *cp,
                  guint n_ctx,
                  AtlDType kv_dtype,
                  guint64 *weight_bytes,
                  guint64 *kv_bytes,
                  guint64 *scratch_bytes,
                  AtlLlmInfo *info,
                  GError **error)
{
  AtlDecoder decoder;

  if (!atl_decoder_init (&decoder, cp, n_ctx, error))
    return FALSE;
  if (!atl_llm_hparams_check_kv (&decoder.h, kv_dtype, error))
    {
      atl_decoder_clear (&decoder);
      return FALSE;
    }
  *weight_bytes = atl_checkpoint_weight_bytes (cp);
  *kv_bytes = atl_llm_hparams_cache_bytes (&decoder.h, n_ctx, kv_dtype);
  *scratch_bytes = scratch_estimate (&decoder.h, DEFAULT_BATCH);
  if (info != NULL)
    {
      *info = (AtlLlmInfo){ 0 };
      fill_info (info, &decoder, cp);
    }
  atl_decoder_clear (&decoder);
  return TRUE;
}

static AtlBackend *
place_weight (const AtlWeight *weight, gpointer user_data)
{
  return llm_weight_backend (user_data, weight);
}

static void
prepare_rope (AtlLlm *self)
{
  const AtlLlmHparams *h = &self->decoder.h;
  g_autofree float *divisors = NULL; /* aligned */

  if (h->rope_divisors != NULL)
    divisors = g_memdup2 (h->rope_divisors->data, h->rope_divisors->size_bytes);
  self->rope_freqs = g_new (double, h->rope.n_rot / 2);
  self->rope_multiplier = atl_rope_frequencies (&h->rope, divisors, self->rope_freqs);
  self->rope_local_freqs = g_new (double, h->rope_local.n_rot / 2);
  self->rope_local_multiplier =
      atl_rope_frequencies (&h->rope_local, divisors, self->rope_local_freqs);
}

AtlLlm *
atl_llm_new (AtlCheckpoint *cp,
             AtlBackend *const *backends,
             guint n_backends,
             const AtlLlmOptions *options,
             AtlProgressFunc progress,
             gpointer progress_data,
             GCancellable *cancellable,
             GError **error)
{
  g_autoptr (AtlLlm) self = g_new0 (AtlLlm, 1);
  AtlLlmOptions defaults = { .n_gpu_layers = G_MAXUINT, .n_cpu_experts = G_MAXUINT };
  guint n_ctx;

  g_assert (n_backends >= 1 && backends[n_backends - 1]->is_host);
  if (options == NULL)
    options = &defaults;
  self->n_backends = n_backends;
  memcpy (self->backends, backends, n_backends * sizeof *backends);
  self->n_batch =
      options->n_batch > 0 ? MIN (options->n_batch, ATL_LLM_LOCAL_SPARE) : DEFAULT_BATCH;
  n_ctx = options->n_ctx_hint > 0 ? options->n_ctx_hint : DEFAULT_CONTEXT;
  if (!atl_decoder_init (&self->decoder, cp, n_ctx, error))
    return NULL;
  atl_decoder_unfold (&self->decoder);
  llm_place (self, options, scratch_estimate (&self->decoder.h, self->n_batch), n_ctx);
  if (options->weight_budget > 0)
    llm_keep_in_file (self, options->weight_budget);
  if (!atl_weights_upload (self->decoder.weights, place_weight, self, progress, progress_data,
                           cancellable, error))
    return NULL;
  fill_info (&self->info, &self->decoder, cp);
  for (guint i = 0; i < atl_weights_n (self->decoder.weights); i++)
    {
      AtlWeight *w = atl_weights_get (self->decoder.weights, i);
      if (w->home == NULL)
        continue;
      guint64 cost = w->home->klass->upload_cost (w->home, w);
      if (w->home->is_host)
        self->info.host_bytes += cost;
      else
        self->info.device_bytes += cost;
      /* What was copied elsewhere need not stay in the page cache. */
      const AtlTensorInfo *info = atl_checkpoint_find (cp, w->name);
      if (cost > 0 && info != NULL)
        atl_checkpoint_forget (cp, info);
    }
  prepare_rope (self);
  return g_steal_pointer (&self);
}

void
atl_llm_free (AtlLlm *self)
{
  if (self == NULL)
    return;
  for (guint i = 0; i < ATL_LLM_MAX_PLANS; i++)
    llm_plan_clear (&self->plans[i]);
  g_clear_pointer (&self->adapters, g_ptr_array_unref);
  atl_decoder_clear (&self->decoder);
  atl_llm_info_clear (&self->info);
  g_free (self->rope_freqs);
  g_free (self->rope_local_freqs);
  g_free (self->logits);
  g_free (self);
}

const AtlLlmInfo *
atl_llm_info (const AtlLlm *self)
{
  return &self->info;
}

/* First key that a query at `position` sees in a windowed layer. */
static gint32
window_start (const AtlLlmHparams *h, gint32 position)
{
  gint32 window = (gint32) MIN (h->window, (guint) G_MAXINT32);

  return h->traits->window_kind == ATL_WINDOW_CHUNKS ? position / window * window
                                                     : MAX (0, position - window + 1);
}

/* Inputs that few families have. */
static gboolean
set_rare_inputs (AtlLlm *self, AtlPlan *plan, const gint32 *positions, guint T, GError **error)
{
  const guint n_head = self->decoder.h.n_head;

  if (atl_plan_tensor (plan, "heads") != NULL)
    {
      g_autofree gint32 *heads = g_new (gint32, (gsize) T * n_head);

      for (gsize i = 0; i < (gsize) T * n_head; i++)
        heads[i] = (gint32) (i % n_head);
      if (!atl_plan_set_input (plan, "heads", heads, (gsize) T * n_head * sizeof *heads, error))
        return FALSE;
    }
  if (atl_plan_tensor (plan, "warmth") != NULL)
    {
      const AtlLlmWarmth *w = &self->decoder.h.warmth;
      g_autofree float *warmth = g_new (float, T);

      for (guint t = 0; t < T; t++)
        warmth[t] =
            (float) (1.0 +
                     w->scale * log (1.0 + floor ((double) ((guint) positions[t] + w->offset) /
                                                  w->length)));
      if (!atl_plan_set_input (plan, "warmth", warmth, T * sizeof *warmth, error))
        return FALSE;
    }
  return TRUE;
}

/* The first piece of a decode reads what the sequence is, the others what those before wrote. */
static gboolean
set_slots (AtlPlan *plan, const LlmPiece *pieces, guint n_pieces, GError **error)
{
  g_autofree gint32 *slots = g_new (gint32, 2 * n_pieces);

  if (atl_plan_tensor (plan, "slots") == NULL)
    return TRUE;
  for (guint i = 0; i < n_pieces; i++)
    {
      const AtlLlmCache *cache = pieces[i].cache;

      slots[2 * i] = pieces[i].start == cache->length ? cache->slots.now : cache->slots.next;
      slots[2 * i + 1] = cache->slots.next;
    }
  return atl_plan_set_input (plan, "slots", slots, 2 * n_pieces * sizeof *slots, error);
}

static gboolean
set_inputs (
    AtlLlm *self, AtlPlan *plan, const LlmPiece *pieces, guint n_pieces, guint T, GError **error)
{
  const AtlLlmHparams *h = &self->decoder.h;
  g_autofree gint32 *ids = g_new (gint32, T);
  g_autofree gint32 *cells = g_new (gint32, T);
  g_autofree gint32 *ranges = g_new (gint32, 2 * T);
  g_autofree float *table = g_new (float, ((gsize) T * MAX (h->rope.n_rot, h->rope_local.n_rot)));
  guint t = 0;

  for (guint i = 0; i < n_pieces; i++)
    for (guint k = 0; k < pieces[i].n_tokens; k++, t++)
      {
        ids[t] = pieces[i].tokens[k];
        cells[t] = (gint32) (pieces[i].start + k);
        ranges[2 * t] = 0;
        ranges[2 * t + 1] = cells[t] + 1;
      }
  if (!atl_plan_set_input (plan, "ids", ids, T * sizeof *ids, error) ||
      !set_slots (plan, pieces, n_pieces, error))
    return FALSE;
  if (atl_plan_tensor (plan, "cells") == NULL)
    return TRUE;
  if (!atl_plan_set_input (plan, "cells", cells, T * sizeof *cells, error) ||
      !atl_plan_set_input (plan, "ranges", ranges, 2 * T * sizeof *ranges, error) ||
      !set_rare_inputs (self, plan, cells, T, error))
    return FALSE;
  if (atl_plan_tensor (plan, "rope") != NULL)
    {
      atl_rope_table (self->rope_freqs, h->rope.n_rot, self->rope_multiplier, cells, T, table);
      if (!atl_plan_set_input (plan, "rope", table, (gsize) T * h->rope.n_rot * sizeof *table,
                               error))
        return FALSE;
    }
  if (atl_plan_tensor (plan, "ranges_local") == NULL)
    return TRUE;

  atl_rope_table (self->rope_local_freqs, h->rope_local.n_rot, self->rope_local_multiplier, cells,
                  T, table);
  t = 0;
  for (guint i = 0; i < n_pieces; i++)
    for (guint k = 0; k < pieces[i].n_tokens; k++, t++)
      {
        gint32 base = (gint32) pieces[i].cache->local_base;

        ranges[2 * t] = MAX (0, window_start (h, cells[t]) - base);
        cells[t] -= base;
        ranges[2 * t + 1] = cells[t] + 1;
      }
  return atl_plan_set_input (plan, "cells_local", cells, T * sizeof *cells, error) &&
         atl_plan_set_input (plan, "ranges_local", ranges, 2 * T * sizeof *ranges, error) &&
         atl_plan_set_input (plan, "rope_local", table,
                             (gsize) T * h->rope_local.n_rot * sizeof *table, error);
}

/* Runs the pieces and appends n_rows rows to the logits. */
static gboolean
run_pieces (AtlLlm *self,
            const LlmPiece *pieces,
            guint n_pieces,
            guint n_rows,
            GCancellable *cancellable,
            GError **error)
{
  gsize row_bytes = (gsize) self->decoder.h.n_vocab * sizeof (float);
  AtlPlan *plan;
  guint T = 0;

  for (guint i = 0; i < n_pieces; i++)
    {
      T += pieces[i].n_tokens;
      if (!llm_window_slide (pieces[i].cache, pieces[i].start, pieces[i].n_tokens, error))
        return FALSE;
    }
  plan = llm_plan_for (self, pieces, n_pieces, n_rows, error);
  if (plan == NULL || !set_inputs (self, plan, pieces, n_pieces, T, error) ||
      !atl_plan_run (plan, cancellable, error))
    return FALSE;
  if (n_rows == 0)
    return TRUE;
  if (!atl_plan_get_output (plan, "logits",
                            self->logits + (gsize) self->n_logits * self->decoder.h.n_vocab,
                            n_rows * row_bytes, error))
    return FALSE;
  self->n_logits += n_rows;
  return TRUE;
}

static gboolean
check_batch (const AtlLlm *self, const AtlLlmBatch *batch, guint n_batch, GError **error)
{
  for (guint i = 0; i < n_batch; i++)
    {
      const AtlLlmBatch *b = &batch[i];

      g_assert (b->cache->llm == self && b->n_tokens > 0);
      for (guint k = 0; k < i; k++)
        g_assert (batch[k].cache != b->cache);
      if (b->n_tokens > b->cache->n_ctx - b->cache->length)
        {
          g_set_error (
              error, ATL_ERROR, ATL_ERROR_TOO_LONG,
              _ ("The context of %u tokens is full: %u are used and %u more were to be added"),
              b->cache->n_ctx, b->cache->length, b->n_tokens);
          return FALSE;
        }
      for (guint k = 0; k < b->n_tokens; k++)
        if (b->tokens[k] < 0 || (guint) b->tokens[k] >= self->decoder.h.n_vocab)
          {
            g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                         _ ("The token %d is outside the model's vocabulary of %u"), b->tokens[k],
                         self->decoder.h.n_vocab);
            return FALSE;
          }
    }
  return TRUE;
}

gboolean
atl_llm_decode (AtlLlm *self,
                const AtlLlmBatch *batch,
                guint n_batch,
                GCancellable *cancellable,
                GError **error)
{
  guint T = 0, n_rows = 0;
  gboolean all = FALSE, some = FALSE, ok = TRUE;

  if (!check_batch (self, batch, n_batch, error))
    return FALSE;
  for (guint i = 0; i < n_batch; i++)
    if (!atl_llm_cache_reserve (batch[i].cache, batch[i].n_tokens, error))
      return FALSE;
  for (guint i = 0; i < n_batch; i++)
    {
      T += batch[i].n_tokens;
      n_rows += batch[i].all_logits ? batch[i].n_tokens : 1;
      all |= batch[i].all_logits && batch[i].n_tokens > 1;
      some |= !batch[i].all_logits && batch[i].n_tokens > 1;
    }
  if ((gsize) n_rows * self->decoder.h.n_vocab > self->logits_room)
    {
      g_free (self->logits);
      self->logits_room = (gsize) n_rows * self->decoder.h.n_vocab;
      self->logits = g_new (float, self->logits_room);
    }
  self->n_logits = 0;
  for (guint i = 0; i < n_batch; i++)
    llm_slots_begin (&batch[i].cache->slots);

  if (T <= self->n_batch && !(all && some))
    {
      g_autofree LlmPiece *pieces = g_new (LlmPiece, n_batch);

      for (guint i = 0; i < n_batch; i++)
        pieces[i] = (LlmPiece){ batch[i].cache, batch[i].tokens, batch[i].n_tokens,
                                batch[i].cache->length };
      ok = run_pieces (self, pieces, n_batch, n_rows, cancellable, error);
    }
  else
    for (guint i = 0; i < n_batch && ok; i++)
      for (guint done = 0; done < batch[i].n_tokens && ok;)
        {
          guint n = MIN (self->n_batch, batch[i].n_tokens - done);
          LlmPiece piece = { batch[i].cache, batch[i].tokens + done, n,
                             batch[i].cache->length + done };

          done += n;
          ok = run_pieces (self, &piece, 1,
                           batch[i].all_logits         ? n
                           : done == batch[i].n_tokens ? 1
                                                       : 0,
                           cancellable, error);
        }
  if (!ok)
    {
      self->n_logits = 0;
      /* Windows that moved on with the first pieces of a long text cannot come back. */
      for (guint i = 0; i < n_batch; i++)
        if (!llm_window_holds (batch[i].cache, batch[i].cache->length))
          atl_llm_cache_truncate (batch[i].cache, 0);
      return FALSE;
    }
  for (guint i = 0; i < n_batch; i++)
    {
      batch[i].cache->length += batch[i].n_tokens;
      llm_slots_commit (&batch[i].cache->slots, batch[i].cache->length);
    }
  return TRUE;
}

guint
atl_llm_n_logits (const AtlLlm *self)
{
  return self->n_logits;
}

const float *
atl_llm_logits (const AtlLlm *self, guint row)
{
  g_return_val_if_fail (row < self->n_logits, NULL);
  return self->logits + (gsize) row * self->decoder.h.n_vocab;
}

guint
atl_llm_few_rows (const AtlLlm *self)
{
  guint few = self->n_batch;

  for (guint i = 0; i < self->n_backends; i++)
    if (self->backends[i]->few_rows != 0)
      few = MIN (few, self->backends[i]->few_rows);
  return MAX (few, 1);
}

guint
atl_llm_many_rows (const AtlLlm *self)
{
  guint many = 1;

  for (guint i = 0; i < self->n_backends; i++)
    many = MAX (many, self->backends[i]->many_rows);
  return many;
}
