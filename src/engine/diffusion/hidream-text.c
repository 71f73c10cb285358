/* HiDream's texts: four encoders, and batches of what they say. */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/diffusion/hidream-private.h"
#include "engine/diffusion/t5-encode.h"
#include "engine/diffusion/tokens.h"

#define MAX_TEXT 128
#define MAX_CLIP 218

void
atl_hidream_text_clear (AtlHiDreamText *self)
{
  g_clear_pointer (&self->pooled, atl_array_free);
  g_clear_pointer (&self->context, atl_array_free);
  g_clear_pointer (&self->llama, atl_array_free);
}

static gint64
text_length (const AtlRun *run)
{
  return atl_run_text_length (run, MAX_TEXT, MAX_CLIP);
}

/* The projected vector. What stands behind the end token has no effect on it. */
static AtlArray *
encode_clip (AtlRun *run, guint encoder, const char *text, GError **error)
{
  static const char *const roles[2] = { "text_encoder", "text_encoder_2" };
  static const char *const tokenizers[2] = { "tokenizer", "tokenizer_2" };
  g_autoptr (AtlRequest) request = atl_request_new ("encode_text");

  if (!atl_request_add_text (request, run, tokenizers[encoder], text, text_length (run),
                             ATL_TEXT_BEGIN | ATL_TEXT_END, NULL, error))
    return NULL;
  return atl_run_output_of (run, roles[encoder], request, "pooled", error);
}

static AtlArray *
encode_t5 (AtlRun *run, guint encoder, const char *text, GError **error)
{
  AtlT5Encoder t5 = { "text_encoder_3", "tokenizer_3", (guint) text_length (run), TRUE };

  return atl_t5_encode (run, &t5, text, NULL, error);
}

/* All layers, [layers, 1, n, dim]. */
static AtlArray *
encode_llama (AtlRun *run, guint encoder, const char *text, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("encode_text");

  if (!atl_request_add_text (request, run, "tokenizer_4", text, text_length (run),
                             ATL_TEXT_BEGIN | ATL_TEXT_PAD, NULL, error))
    return NULL;
  atl_request_set_number (request, "all_layers", 1);
  return atl_run_output_of (run, "text_encoder_4", request, "hidden", error);
}

typedef AtlArray *(*EncodeFunc) (AtlRun *run, guint encoder, const char *text, GError **error);

/* All texts through encoder number `encoder`. */
static gboolean
encode_all (AtlRun *run,
            const AtlHiDream *self,
            guint encoder,
            EncodeFunc encode,
            AtlArray *out[ATL_HIDREAM_N_TEXTS],
            GError **error)
{
  static const char *const settings[] = { "negative_prompt", "prompt", "target_prompt" };
  g_autofree char *role =
      encoder == 0 ? g_strdup ("text_encoder") : g_strdup_printf ("text_encoder_%u", encoder + 1);
  const char *whole = atl_run_text_for (run, "prompt", encoder);
  const char *target = strstr (whole, ATL_HIDREAM_TARGET);

  for (guint i = 0; i < ATL_HIDREAM_N_TEXTS; i++)
    {
      const char *text =
          i == ATL_HIDREAM_POSITIVE ? whole : atl_run_text_for (run, settings[i], encoder);

      if ((i == ATL_HIDREAM_NEGATIVE && !self->is_guided) ||
          (i == ATL_HIDREAM_REFINED && self->refiner == NULL))
        continue;
      if (i == ATL_HIDREAM_REFINED && *text == '\0' && target != NULL)
        text = target + strlen (ATL_HIDREAM_TARGET) +
               strspn (target + strlen (ATL_HIDREAM_TARGET), " ");
      out[i] = encode (run, encoder, text, error);
      if (out[i] == NULL)
        return FALSE;
    }
  atl_parts_release (run->parts, role);
  return TRUE;
}

static gboolean
encode_clips (AtlRun *run, AtlHiDream *self, GError **error)
{
  AtlArray *pooled[2][ATL_HIDREAM_N_TEXTS] = { { NULL }, { NULL } };
  gboolean ok = encode_all (run, self, 0, encode_clip, pooled[0], error) &&
                encode_all (run, self, 1, encode_clip, pooled[1], error);

  for (guint i = 0; i < ATL_HIDREAM_N_TEXTS; i++)
    {
      if (ok && pooled[0][i] != NULL)
        self->texts[i].pooled = atl_array_join (
            "pooled", 1, 2, (const AtlArray *const[]){ pooled[0][i], pooled[1][i] });
      atl_array_free (pooled[0][i]);
      atl_array_free (pooled[1][i]);
    }
  return ok;
}

gboolean
atl_hidream_encode_text (AtlRun *run, AtlHiDream *self, GError **error)
{
  AtlArray *context[ATL_HIDREAM_N_TEXTS] = { NULL }, *llama[ATL_HIDREAM_N_TEXTS] = { NULL };
  gboolean ok;

  atl_run_progress (run, _ ("Reading the prompt"), 0, 0);
  ok = encode_clips (run, self, error) && encode_all (run, self, 2, encode_t5, context, error) &&
       encode_all (run, self, 3, encode_llama, llama, error);
  for (guint i = 0; i < ATL_HIDREAM_N_TEXTS; i++)
    {
      self->texts[i].context = context[i];
      self->texts[i].llama = llama[i];
    }
  return ok;
}

void
atl_hidream_set_batch (AtlHiDream *self, const guint *which, guint n)
{
  const AtlArray *pooled[3], *context[3], *llama[3];

  g_assert (n <= G_N_ELEMENTS (pooled));
  atl_hidream_text_clear (&self->batch);
  for (guint i = 0; i < n; i++)
    {
      pooled[i] = self->texts[which[i]].pooled;
      context[i] = self->texts[which[i]].context;
      llama[i] = self->texts[which[i]].llama;
    }
  self->batch.pooled = atl_array_join ("pooled", 0, n, pooled);
  self->batch.context = atl_array_join ("context", 0, n, context);
  self->batch.llama = atl_array_join ("context_2", 1, n, llama);
}
