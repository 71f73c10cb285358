/* Opening, loading and freeing a model to chat with. */
#define G_LOG_DOMAIN "atl-pipelines"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/convert/hf.h"
#include "engine/formats/open.h"
#include "engine/pipelines/chat-model-private.h"
#include "engine/pipelines/conversations.h"
#include "engine/pipelines/draft-model.h"
#include "engine/pipelines/scheduler.h"
#include "engine/tokenizers/chat-template-known.h"

const char *
atl_chat_special (const AtlChatModel *self, AtlSpecialToken which)
{
  return atl_tokenizer_token_text (self->tokenizer, atl_tokenizer_special (self->tokenizer, which));
}

static AtlChatTemplate *
new_template (AtlChatModel *self, const char *source, GError **error)
{
  return atl_chat_template_new (source, atl_chat_special (self, ATL_SPECIAL_BOS),
                                atl_chat_special (self, ATL_SPECIAL_EOS), error);
}

/* What it needs to run beyond its weights; a failure is a reason why it cannot run. A template that
 * is broken is none: `*warning` says so. */
static gboolean
open_language (AtlChatModel *self,
               AtlFileMap *const *maps,
               const char *const *names,
               guint n_maps,
               char **warning,
               GError **error)
{
  g_autoptr (GError) broken = NULL;
  const char *source;

  if (atl_checkpoint_meta (self->checkpoint, "tokenizer.ggml.model") != NULL)
    self->tokenizer = atl_tokenizer_new_from_checkpoint (self->checkpoint, error);
  else
    self->tokenizer = atl_tokenizer_new_from_maps (maps, names, n_maps, error);
  if (self->tokenizer == NULL)
    return FALSE;
  source = atl_tokenizer_chat_template (self->tokenizer, NULL);
  if (source != NULL && (self->chat = new_template (self, source, &broken)) == NULL)
    *warning = g_strdup_printf (
        _ ("The chat template of this model cannot be used (%s). Messages are written for it in "
           "a usual form instead, so its answers may be worse."),
        broken->message);
  /* A base model's texts end otherwise than the turns that its vocabulary has marks for. */
  if (self->chat == NULL)
    self->chat = new_template (
        self, atl_chat_known_by_end (atl_chat_special (self, ATL_SPECIAL_EOT)), error);
  if (self->chat == NULL)
    return FALSE;
  atl_chat_tools_detect (self);
  return TRUE;
}

/* Brings a Hugging Face folder into GGUF's vocabulary. What is whole but not known here is a reason
 * why it cannot run; damage is an error. */
static gboolean
adopt_authors_files (AtlChatModel *self, char **why_not, GError **error)
{
  g_autoptr (GError) local = NULL;
  AtlCheckpoint *adopted = atl_hf_adopt (self->checkpoint, &local);

  if (adopted != NULL)
    {
      atl_checkpoint_unref (self->checkpoint);
      self->checkpoint = adopted;
      return TRUE;
    }
  if (!g_error_matches (local, ATL_ERROR, ATL_ERROR_UNSUPPORTED))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  *why_not = g_strdup (local->message);
  return TRUE;
}

AtlChatModel *
atl_chat_model_open (AtlFileMap *const *maps,
                     const char *const *names,
                     guint n_maps,
                     GError **error)
{
  g_autoptr (AtlChatModel) self = g_new0 (AtlChatModel, 1);
  g_autoptr (GError) local = NULL;
  g_autofree char *why_not = NULL, *warning = NULL;
  gboolean is_damaged;
  guint64 size = 0;
  guint n_all = n_maps, n_other;

  g_mutex_init (&self->mutex);
  self->maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
  for (guint i = 0; i < n_maps; i++)
    {
      size += atl_file_map_size (maps[i]);
      g_ptr_array_add (self->maps, atl_file_map_ref (maps[i]));
    }
  n_other = atl_chat_draft_n_other_files (names, n_all);
  /* What guesses ahead changes no number. */
  g_ptr_array_set_size (self->maps, (gint) n_other);
  n_maps = atl_chat_adapters_n_model_files (names, n_other);
  if (n_maps == 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   n_other > 0 ? _ ("There is an adapter, but no model for it")
                               : _ ("There is a draft model, but no model for it"));
      return NULL;
    }
  self->checkpoint = atl_checkpoint_open (maps, names, n_maps, error);
  if (self->checkpoint == NULL)
    return NULL;
  if (!adopt_authors_files (self, &why_not, error) ||
      !atl_chat_adapters_open (self, maps + n_maps, names + n_maps, n_other - n_maps, error))
    return NULL;
  if (why_not == NULL && atl_llm_supports (self->checkpoint, &why_not) &&
      !open_language (self, maps, names, n_maps, &warning, &local))
    why_not = g_strdup (local->message);
  is_damaged = g_error_matches (local, ATL_ERROR, ATL_ERROR_BAD_FILE) &&
               atl_checkpoint_meta (self->checkpoint, "tokenizer.ggml.model") != NULL;
  atl_chat_facts_init (&self->facts, self->checkpoint, self->tokenizer, self->chat, size);
  self->facts.can_run = why_not == NULL;
  self->facts.why_not = g_steal_pointer (&why_not);
  self->facts.is_damaged = is_damaged;
  if (warning != NULL)
    {
      self->facts.has_template = FALSE;
      g_free (self->facts.warning);
      self->facts.warning = g_steal_pointer (&warning);
    }
  if (!atl_chat_draft_open (self, maps + n_other, names != NULL ? names + n_other : NULL,
                            n_all - n_other, error))
    return NULL;
  return g_steal_pointer (&self);
}

void
atl_chat_model_unload_idle (AtlChatModel *self)
{
  g_clear_pointer (&self->scheduler, atl_scheduler_free);
  atl_chat_model_drop_draft (self); /* from here nobody is guessing */
  g_clear_pointer (&self->guesser, atl_draft_model_free);
  g_clear_pointer (&self->conversations, atl_conversations_free);
  g_clear_pointer (&self->llm, atl_llm_free);
  self->turnstile = NULL;
}

void
atl_chat_model_end_turns (AtlChatModel *self)
{
  g_clear_pointer (&self->scheduler, atl_scheduler_free);
}

void
atl_chat_model_unload (AtlChatModel *self)
{
  AtlTurnstile *turnstile = self->turnstile;

  /* They need the turnstile to end. */
  atl_chat_model_end_turns (self);
  if (turnstile == NULL)
    return;
  atl_turnstile_enter (turnstile);
  atl_chat_model_unload_idle (self);
  atl_turnstile_leave (turnstile);
  g_clear_pointer (&self->own_turnstile, atl_turnstile_free);
}

void
atl_chat_model_free (AtlChatModel *self)
{
  if (self == NULL)
    return;
  atl_chat_model_unload (self);
  g_clear_pointer (&self->grammar_vocab, atl_grammar_vocab_unref);
  g_mutex_clear (&self->mutex);
  g_clear_pointer (&self->chat, atl_chat_template_free);
  g_clear_pointer (&self->tool_chat, atl_chat_template_free);
  g_clear_pointer (&self->tokenizer, atl_tokenizer_unref);
  g_clear_pointer (&self->draft, atl_chat_model_free);
  g_clear_pointer (&self->adapters, g_ptr_array_unref);
  g_clear_pointer (&self->strengths, g_free);
  g_clear_pointer (&self->checkpoint, atl_checkpoint_unref);
  g_clear_pointer (&self->maps, g_ptr_array_unref);
  g_free (self->files_sum);
  atl_chat_facts_clear (&self->facts);
  g_free (self);
}

const AtlChatFacts *
atl_chat_model_facts (const AtlChatModel *self)
{
  return &self->facts;
}

gboolean
atl_chat_model_estimate (
    const AtlChatModel *self, guint n_ctx, AtlDType kv_dtype, AtlChatMemory *memory, GError **error)
{
  guint64 copied = 0;

  *memory = (AtlChatMemory){ 0 };
  if (!atl_llm_estimate (self->checkpoint, n_ctx, kv_dtype, &copied, &memory->kv_bytes,
                         &memory->scratch_bytes, NULL, error))
    return FALSE;
  /* Copies replace mapped pages, which are given back: the larger of the two counts. */
  memory->weight_bytes =
      MAX (copied, atl_checkpoint_weight_bytes (self->checkpoint)) + atl_chat_adapters_bytes (self);
  if (self->draft != NULL)
    {
      AtlChatMemory more;

      if (!atl_chat_model_estimate (self->draft, n_ctx, ATL_DTYPE_F16, &more, error))
        return FALSE;
      memory->weight_bytes += more.weight_bytes;
      memory->kv_bytes += more.kv_bytes;
      memory->scratch_bytes += more.scratch_bytes;
    }
  return TRUE;
}

guint64
atl_chat_model_matrix_dtypes (const AtlChatModel *self)
{
  guint64 weights, kv, scratch, dtypes;
  AtlLlmInfo info;

  if (!self->facts.can_run ||
      !atl_llm_estimate (self->checkpoint, 1, ATL_DTYPE_F16, &weights, &kv, &scratch, &info, NULL))
    return 0;
  dtypes = info.matrix_dtypes;
  if (self->adapters->len > 0)
    dtypes |= ATL_LLM_ADAPTER_DTYPES;
  atl_llm_info_clear (&info);
  return self->draft != NULL ? dtypes | atl_chat_model_matrix_dtypes (self->draft) : dtypes;
}

typedef struct
{
  AtlTurnstile *turnstile;
  AtlChatProgressFunc progress;
  gpointer user_data;
} LoadProgress;

/* Between two weights: running answers need not wait for the whole model. */
static void
progress_cb (double fraction, const char *phase, gpointer user_data)
{
  LoadProgress *self = user_data;

  atl_turnstile_yield (self->turnstile);
  if (self->progress != NULL)
    self->progress (fraction, phase, self->user_data);
}

/* Inside the turnstile. */
static gboolean
load (AtlChatModel *self,
      AtlBackend *const *backends,
      guint n_backends,
      const AtlChatModelOptions *options,
      LoadProgress *progress,
      GCancellable *cancellable,
      GError **error)
{
  AtlLlmOptions llm_options = { .n_gpu_layers = options->n_gpu_layers,
                                .n_cpu_experts = options->n_cpu_experts,
                                .n_ctx_hint = options->n_ctx,
                                .kv_dtype = options->kv_dtype,
                                .weight_budget = options->weight_budget };
  g_autoptr (AtlLlmCache) probe = NULL;
  guint n_vocab;

  if (!atl_chat_draft_load (self, backends, n_backends, options, progress_cb, progress, cancellable,
                            error))
    return FALSE;
  if (self->draft != NULL && llm_options.weight_budget > 0)
    {
      guint64 taken = atl_checkpoint_weight_bytes (self->draft->checkpoint);

      llm_options.weight_budget = MAX (llm_options.weight_budget, taken + 1) - taken;
    }
  self->llm = atl_llm_new (self->checkpoint, backends, n_backends, &llm_options, progress_cb,
                           progress, cancellable, error);
  if (self->llm == NULL || !atl_chat_adapters_apply (self, error))
    return FALSE;
  /* What the context cannot be kept as is known now rather than with the first question. */
  probe = atl_llm_cache_new (self->llm, options->n_ctx, options->kv_dtype, error);
  if (probe == NULL)
    return FALSE;
  n_vocab = atl_llm_info (self->llm)->n_vocab;
  if (atl_tokenizer_n_vocab (self->tokenizer) > n_vocab)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("%s: the vocabulary lists %u tokens, but the weights know only %u"),
                   self->facts.name, atl_tokenizer_n_vocab (self->tokenizer), n_vocab);
      return FALSE;
    }
  return TRUE;
}

gboolean
atl_chat_model_load (AtlChatModel *self,
                     AtlBackend *const *backends,
                     guint n_backends,
                     const AtlChatModelOptions *options,
                     AtlChatProgressFunc progress,
                     gpointer progress_data,
                     GCancellable *cancellable,
                     GError **error)
{
  LoadProgress own = { .progress = progress, .user_data = progress_data };
  gboolean ok;

  g_return_val_if_fail (self->llm == NULL, FALSE);
  if (!self->facts.can_run)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED, "%s", self->facts.why_not);
      return FALSE;
    }
  self->may_leave_memory = options->weight_budget > 0;
  self->turnstile = options->turnstile;
  if (self->turnstile == NULL)
    self->turnstile = self->own_turnstile = atl_turnstile_new ();
  own.turnstile = self->turnstile;
  atl_turnstile_enter (self->turnstile);
  ok = load (self, backends, n_backends, options, &own, cancellable, error);
  atl_turnstile_leave (self->turnstile);
  if (!ok)
    {
      atl_chat_model_unload (self);
      return FALSE;
    }
  self->n_ctx = options->n_ctx;
  self->conversations =
      atl_conversations_new (self->llm, options->n_ctx, options->kv_dtype, &options->room);
  atl_conversations_set_keep (self->conversations, self, &options->keep);
  self->scheduler = atl_scheduler_new (self, error);
  if (self->scheduler == NULL)
    {
      atl_chat_model_unload (self);
      return FALSE;
    }
  return TRUE;
}

gboolean
atl_chat_model_is_loaded (const AtlChatModel *self)
{
  return self->llm != NULL;
}

guint
atl_chat_model_n_ctx (const AtlChatModel *self)
{
  return self->llm != NULL ? self->n_ctx : 0;
}

guint64
atl_chat_model_host_bytes (const AtlChatModel *self)
{
  const AtlLlmInfo *info = self->llm != NULL ? atl_llm_info (self->llm) : NULL;
  guint64 more = self->draft != NULL ? atl_chat_model_host_bytes (self->draft) : 0;

  if (info == NULL)
    return more;
  return MAX (info->host_bytes + info->device_bytes, info->weight_bytes) - info->device_bytes +
         atl_chat_adapters_bytes (self) + more;
}

guint64
atl_chat_model_mapped_bytes (const AtlChatModel *self)
{
  const AtlLlmInfo *info = self->llm != NULL ? atl_llm_info (self->llm) : NULL;
  guint64 copied = info != NULL ? info->host_bytes + info->device_bytes : 0;
  guint64 more = self->draft != NULL ? atl_chat_model_mapped_bytes (self->draft) : 0;

  return info != NULL && !self->may_leave_memory && info->weight_bytes > copied
             ? info->weight_bytes - copied + more
             : more;
}

guint64
atl_chat_model_conversation_bytes (const AtlChatModel *self)
{
  return (self->conversations != NULL ? atl_conversations_bytes (self->conversations) : 0) +
         (self->guesser != NULL ? atl_draft_model_bytes (self->guesser) : 0);
}

gboolean
atl_chat_model_is_idle (const AtlChatModel *self)
{
  return self->scheduler == NULL || atl_scheduler_is_idle (self->scheduler);
}

gint64
atl_chat_model_oldest_conversation (const AtlChatModel *self)
{
  gint64 own =
      self->conversations != NULL ? atl_conversations_oldest (self->conversations) : G_MAXINT64;

  return self->guesser != NULL ? MIN (own, atl_draft_model_oldest (self->guesser)) : own;
}

guint64
atl_chat_model_drop_conversation (AtlChatModel *self)
{
  guint64 bytes = 0;

  /* What only makes answers faster goes first. */
  if (self->guesser != NULL)
    bytes = atl_draft_model_drop_oldest (self->guesser);
  if (bytes == 0 && self->conversations != NULL)
    bytes = atl_conversations_drop_oldest (self->conversations);
  return bytes;
}

void
atl_chat_model_keep_conversations (AtlChatModel *self,
                                   gint64 deadline,
                                   gboolean (*should_stop) (gpointer user_data),
                                   gpointer user_data)
{
  if (self->conversations != NULL)
    atl_conversations_keep (self->conversations, deadline, should_stop, user_data);
}

guint
atl_chat_model_n_unkept (const AtlChatModel *self)
{
  return self->conversations != NULL ? atl_conversations_n_unkept (self->conversations) : 0;
}

guint64
atl_chat_model_device_bytes (const AtlChatModel *self)
{
  return (self->llm != NULL ? atl_llm_info (self->llm)->device_bytes : 0) +
         (self->draft != NULL ? atl_chat_model_device_bytes (self->draft) : 0);
}

char *
atl_chat_model_placement (const AtlChatModel *self)
{
  if (self->llm == NULL || atl_llm_info (self->llm)->n_layers_on_device == 0)
    return NULL;
  return atl_llm_placement (self->llm);
}
