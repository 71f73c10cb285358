/* The draft model of a model to chat with: whether it fits, and when it is there. */
#define G_LOG_DOMAIN "atl-pipelines"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/pipelines/chat-model-private.h"
#include "engine/pipelines/draft-model.h"

/* --- The vocabulary --- */

/* Files fill up the vocabulary to a round number, each in its own words. */
static gboolean
is_padding (const AtlTokenizer *tokenizer, gint32 id)
{
  const char *text = atl_tokenizer_token_text (tokenizer, id);

  return text == NULL || atl_tokenizer_token_type (tokenizer, id) == ATL_TOKEN_UNUSED ||
         g_str_has_prefix (text, "[PAD");
}

static gboolean
is_control (const AtlTokenizer *tokenizer, gint32 id)
{
  return atl_tokenizer_token_type (tokenizer, id) == ATL_TOKEN_CONTROL;
}

/* Whether one takes the token for text and the other for a mark. What converters call
 * user-defined may be either. */
static gboolean
is_other_kind (const AtlTokenizer *a, const AtlTokenizer *b, gint32 id)
{
  return is_control (a, id) != is_control (b, id) &&
         atl_tokenizer_token_type (a, id) != ATL_TOKEN_USER_DEFINED &&
         atl_tokenizer_token_type (b, id) != ATL_TOKEN_USER_DEFINED;
}

/* The tokens from `first` on, which the other vocabulary does not have, mean nothing. */
static gboolean
check_rest (const AtlChatModel *self, guint first, GError **error)
{
  for (guint i = first; i < atl_tokenizer_n_vocab (self->tokenizer); i++)
    if (!is_padding (self->tokenizer, (gint32) i))
      {
        g_set_error (
            error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
            _ ("the vocabulary of %s has tokens that the other lacks, such as “%s” (number "
               "%u)"),
            self->facts.name, atl_tokenizer_token_text (self->tokenizer, (gint32) i), i);
        return FALSE;
      }
  return TRUE;
}

static gboolean
check_vocabulary (const AtlChatModel *self, const AtlChatModel *draft, GError **error)
{
  guint n = MIN (atl_tokenizer_n_vocab (self->tokenizer), atl_tokenizer_n_vocab (draft->tokenizer));

  for (guint i = 0; i < n; i++)
    {
      const char *own = atl_tokenizer_token_text (self->tokenizer, (gint32) i);
      const char *other = atl_tokenizer_token_text (draft->tokenizer, (gint32) i);

      if (is_padding (self->tokenizer, (gint32) i) && is_padding (draft->tokenizer, (gint32) i))
        continue;
      if (g_strcmp0 (own, other) != 0)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                       _ ("token %u is “%s” in the one vocabulary and “%s” in the other"), i,
                       own != NULL ? own : "", other != NULL ? other : "");
          return FALSE;
        }
      if (is_other_kind (self->tokenizer, draft->tokenizer, (gint32) i))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                       _ ("token %u, “%s”, is text in the one vocabulary and a mark in the other"),
                       i, own);
          return FALSE;
        }
    }
  return check_rest (self, n, error) && check_rest (draft, n, error);
}

/* --- Its files --- */

static gboolean
is_draft_file (const char *name)
{
  return name != NULL && g_str_has_prefix (name, ATL_CHAT_DRAFT_PREFIX);
}

guint
atl_chat_draft_n_other_files (const char *const *names, guint n)
{
  guint count = 0;

  while (count < n && (names == NULL || !is_draft_file (names[count])))
    count++;
  return count;
}

gboolean
atl_chat_draft_open (
    AtlChatModel *self, AtlFileMap *const *maps, const char *const *names, guint n, GError **error)
{
  g_autofree const char **own = g_new0 (const char *, n + 1);
  g_autoptr (AtlChatModel) draft = NULL;
  g_autoptr (GError) local = NULL;

  if (n == 0)
    return TRUE;
  for (guint i = 0; i < n; i++)
    {
      if (!is_draft_file (names[i]))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                       _ ("The files of the draft model are not the last ones"));
          return FALSE;
        }
      own[i] = names[i] + strlen (ATL_CHAT_DRAFT_PREFIX);
    }
  draft = atl_chat_model_open (maps, own, n, error);
  if (draft == NULL)
    return FALSE;
  if (!draft->facts.can_run)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED, _ ("The draft model cannot be run. %s"),
                   draft->facts.why_not);
      return FALSE;
    }
  /* A model that cannot run is told as that. */
  if (self->facts.can_run && !check_vocabulary (self, draft, &local))
    {
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
          _ ("%s cannot guess ahead for %s: %s. Choose a smaller model of the same family"),
          draft->facts.name, self->facts.name, local->message);
      return FALSE;
    }
  self->draft = g_steal_pointer (&draft);
  return TRUE;
}

const AtlChatFacts *
atl_chat_model_draft_facts (const AtlChatModel *self)
{
  return self->draft != NULL ? &self->draft->facts : NULL;
}

/* --- Loading --- */

gboolean
atl_chat_draft_load (AtlChatModel *self,
                     AtlBackend *const *backends,
                     guint n_backends,
                     const AtlChatModelOptions *options,
                     AtlProgressFunc progress,
                     gpointer progress_data,
                     GCancellable *cancellable,
                     GError **error)
{
  AtlLlmOptions own = { .n_gpu_layers = options->n_gpu_layers == 0 ? 0 : G_MAXUINT,
                        .n_cpu_experts = G_MAXUINT,
                        .n_ctx_hint = options->n_ctx,
                        .kv_dtype = ATL_DTYPE_F16 };
  AtlChatModel *draft = self->draft;
  guint n_ctx = options->n_ctx;

  if (draft == NULL)
    return TRUE;
  if (draft->facts.n_ctx_train > 0)
    n_ctx = MIN (n_ctx, draft->facts.n_ctx_train);
  draft->llm = atl_llm_new (draft->checkpoint, backends, n_backends, &own, progress, progress_data,
                            cancellable, error);
  if (draft->llm == NULL)
    return FALSE;
  self->guesser = atl_draft_model_new (
      draft->llm, n_ctx,
      MIN (atl_tokenizer_n_vocab (self->tokenizer), atl_tokenizer_n_vocab (draft->tokenizer)),
      &options->room);
  return TRUE;
}

guint64
atl_chat_model_drop_draft (AtlChatModel *self)
{
  guint64 bytes;

  if (self->guesser == NULL || self->draft->llm == NULL)
    return 0;
  bytes = atl_draft_model_bytes (self->guesser) + atl_chat_model_host_bytes (self->draft) +
          atl_chat_model_device_bytes (self->draft);
  if (!atl_draft_model_retire (self->guesser))
    return 0;
  g_clear_pointer (&self->draft->llm, atl_llm_free);
  return bytes;
}
