/* Adapters (LoRA) of a model to chat with: their files, and how strong each is. */
#define G_LOG_DOMAIN "atl-pipelines"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/convert/hf-adapter.h"
#include "engine/formats/open.h"
#include "engine/pipelines/chat-adapters.h"
#include "engine/pipelines/chat-model-private.h"
#include "engine/pipelines/conversations.h"

#define MAX_ADAPTERS 64

/* "adapter-3/adapter_model.safetensors" -> 3; -1 for a file of the model. */
static gint
adapter_number (const char *name)
{
  char *end;
  guint64 number;

  if (name == NULL || !g_str_has_prefix (name, ATL_CHAT_ADAPTER_PREFIX))
    return -1;
  name += strlen (ATL_CHAT_ADAPTER_PREFIX);
  number = g_ascii_strtoull (name, &end, 10);
  return end != name && *end == '/' && number < MAX_ADAPTERS ? (gint) number : -1;
}

guint
atl_chat_adapters_n_model_files (const char *const *names, guint n)
{
  guint count = 0;

  while (count < n && (names == NULL || adapter_number (names[count]) < 0))
    count++;
  return count;
}

gboolean
atl_chat_adapters_open (
    AtlChatModel *self, AtlFileMap *const *maps, const char *const *names, guint n, GError **error)
{
  self->adapters = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_checkpoint_unref);
  for (guint first = 0, end; first < n; first = end)
    {
      g_autoptr (AtlCheckpoint) files = NULL;
      AtlCheckpoint *adapter;

      end = first + 1;
      while (end < n && adapter_number (names[end]) == adapter_number (names[first]))
        end++;
      if (adapter_number (names[first]) != (gint) self->adapters->len)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                       _ ("The files of adapters are not in order"));
          return FALSE;
        }
      files = atl_checkpoint_open (maps + first, names + first, end - first, error);
      adapter = files != NULL ? atl_hf_adapter_adopt (files, self->checkpoint, error) : NULL;
      if (adapter == NULL)
        return FALSE;
      g_ptr_array_add (self->adapters, adapter);
    }
  self->strengths = g_new (double, self->adapters->len + 1);
  for (guint i = 0; i < self->adapters->len; i++)
    self->strengths[i] = 1;
  return TRUE;
}

guint64
atl_chat_adapters_bytes (const AtlChatModel *self)
{
  guint64 bytes = 0;

  for (guint i = 0; i < self->adapters->len; i++)
    bytes += atl_checkpoint_weight_bytes (self->adapters->pdata[i]);
  return bytes;
}

gboolean
atl_chat_adapters_apply (AtlChatModel *self, GError **error)
{
  guint n = self->adapters->len;
  g_autofree AtlLlmAdapter *adapters = g_new (AtlLlmAdapter, n + 1);

  for (guint i = 0; i < n; i++)
    adapters[i] = (AtlLlmAdapter){ self->adapters->pdata[i], self->strengths[i] };
  return n == 0 || atl_llm_set_adapters (self->llm, adapters, n, error);
}

/* Inside the turnstile. */
static gboolean
change (AtlChatModel *self, const double *strengths, GError **error)
{
  g_autofree double *before = g_memdup2 (self->strengths, self->adapters->len * sizeof (double));

  if (self->llm == NULL)
    {
      memcpy (self->strengths, strengths, self->adapters->len * sizeof (double));
      return TRUE;
    }
  if (!atl_chat_model_is_idle (self))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BUSY,
                   _ ("The model is answering; adapters can be changed when it is done"));
      return FALSE;
    }
  memcpy (self->strengths, strengths, self->adapters->len * sizeof (double));
  if (!atl_chat_adapters_apply (self, error))
    {
      memcpy (self->strengths, before, self->adapters->len * sizeof (double));
      return FALSE;
    }
  /* Keys and values of other strengths would go into the next answer. */
  atl_conversations_clear (self->conversations);
  return TRUE;
}

gboolean
atl_chat_model_set_strengths (AtlChatModel *self, const double *strengths, guint n, GError **error)
{
  gboolean ok;

  if (n != self->adapters->len)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("%u strengths were given; the model has %u adapters"), n,
                   self->adapters->len);
      return FALSE;
    }
  if (n == 0 || memcmp (strengths, self->strengths, n * sizeof *strengths) == 0)
    return TRUE;
  if (self->turnstile != NULL)
    atl_turnstile_enter (self->turnstile);
  ok = change (self, strengths, error);
  if (self->turnstile != NULL)
    atl_turnstile_leave (self->turnstile);
  return ok;
}

/* As PEFT names what it changes in a language model; a GGUF file says it itself. */
static gboolean
is_for_chat_model (const AtlCheckpoint *cp)
{
  guint n = atl_checkpoint_n_tensors (cp);

  if (g_strcmp0 (atl_checkpoint_get_string (cp, "general.type"), "adapter") == 0)
    return TRUE;
  for (guint i = 0; i < n; i++)
    {
      const char *name = atl_checkpoint_tensor (cp, i)->name;

      if (!g_str_has_prefix (name, "base_model.model.model.layers.") ||
          strstr (name, ".lora_") == NULL)
        return FALSE;
    }
  return n > 0;
}

gboolean
atl_chat_adapters_recognize (AtlFileMap *map, const char *name)
{
  g_autoptr (AtlCheckpoint) cp = atl_checkpoint_open (&map, &name, 1, NULL);

  return cp != NULL && is_for_chat_model (cp);
}
