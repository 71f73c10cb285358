/* CLIP text encoders at work. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/clip-encode.h"

#include <glib/gi18n.h>
#include <string.h>

#define WIDTH_OF_G 1280

static gboolean
has_any (const AtlCheckpoint *cp, const char *const *names, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (atl_checkpoint_find (cp, names[i]) != NULL)
      return TRUE;
  return FALSE;
}

/* The width of an encoder that has a file to itself; 0 when there is none. */
static gint64
lone_width (const AtlCheckpoint *cp)
{
  const AtlTensorInfo *norm = atl_checkpoint_find (cp, "text_model.final_layer_norm.weight");

  return norm != NULL && norm->n_dims == 1 ? norm->dim[0] : 0;
}

gboolean
atl_is_clip_g (const AtlCheckpoint *cp)
{
  static const char *const names[] = {
    "conditioner.embedders.1.model.ln_final.weight",
    "conditioner.embedders.0.model.ln_final.weight",
    "text_encoders.clip_g.transformer.text_model.final_layer_norm.weight",
    "ln_final.weight",
  };

  return has_any (cp, names, G_N_ELEMENTS (names)) || lone_width (cp) >= WIDTH_OF_G;
}

gboolean
atl_is_clip_l (const AtlCheckpoint *cp)
{
  static const char *const names[] = {
    "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight",
    "text_encoders.clip_l.transformer.text_model.final_layer_norm.weight",
  };
  gint64 width = lone_width (cp);

  return has_any (cp, names, G_N_ELEMENTS (names)) || (width > 0 && width < WIDTH_OF_G);
}

void
atl_clip_text_clear (AtlClipText *self)
{
  g_clear_pointer (&self->hidden, atl_array_free);
  g_clear_pointer (&self->pooled, atl_array_free);
}

/* The rule that the run asks for ("weighting": "a1111", "comfyui"; anything else is plain). */
static AtlPromptRule
prompt_rule (const AtlRun *run)
{
  const char *rule = atl_settings_string (run->settings, "weighting", "");

  return g_str_equal (rule, "a1111")     ? ATL_PROMPT_A1111
         : g_str_equal (rule, "comfyui") ? ATL_PROMPT_COMFYUI
                                         : ATL_PROMPT_PLAIN;
}

AtlClipPrompt *
atl_clip_read (AtlRun *run, const AtlClipEncoder *encoder, const char *text, GError **error)
{
  AtlTokenizer *tokenizer = atl_bundle_tokenizer (run->bundle, encoder->tokenizer, error);

  if (tokenizer == NULL)
    return NULL;
  return atl_clip_prompt_new (tokenizer, text, prompt_rule (run),
                              atl_tokenizer_special (tokenizer, ATL_SPECIAL_PAD), error);
}

static gboolean
encode_chunk (
    AtlRun *run, const AtlClipEncoder *encoder, const gint32 *ids, AtlClipText *out, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("encode_text");
  g_autoptr (GPtrArray) outputs = NULL;
  AtlArray *array = atl_array_new ("token_ids", ATL_DTYPE_I32, 2, (gint64[]){ 1, ATL_CLIP_CHUNK });
  AtlArray *hidden, *pooled;

  memcpy (array->data, ids, ATL_CLIP_CHUNK * sizeof *ids);
  atl_request_add (request, array);
  atl_request_set_number (request, "layer", encoder->layer);
  atl_request_set_number (request, "final_layer_norm", encoder->final_norm);
  outputs = atl_run_component (run, encoder->encoder, request, error);
  if (outputs == NULL)
    return FALSE;
  hidden = atl_arrays_find (outputs, "hidden");
  pooled = atl_arrays_find (outputs, "pooled");
  out->hidden = atl_array_copy (hidden, "hidden");
  out->pooled = pooled != NULL ? atl_array_copy (pooled, "pooled") : NULL;
  return TRUE;
}

gboolean
atl_clip_encode (AtlRun *run,
                 const AtlClipEncoder *encoder,
                 const AtlClipPrompt *prompt,
                 AtlClipText *out,
                 GError **error)
{
  AtlPromptRule rule = prompt_rule (run);
  g_autoptr (GPtrArray) chunks = atl_arrays_new ();
  g_auto (AtlClipText) empty = { 0 };

  if (!prompt->is_even && rule == ATL_PROMPT_COMFYUI)
    {
      gint32 ids[ATL_CLIP_CHUNK];

      for (guint i = 0; i < ATL_CLIP_CHUNK; i++)
        ids[i] = i == 0 ? prompt->start : i == 1 ? prompt->end : prompt->pad;
      if (!encode_chunk (run, encoder, ids, &empty, error))
        return FALSE;
    }
  for (guint k = 0; k < prompt->n_chunks; k++)
    {
      g_auto (AtlClipText) chunk = { 0 };

      if (!encode_chunk (run, encoder, prompt->ids + k * ATL_CLIP_CHUNK, &chunk, error))
        return FALSE;
      if (!prompt->is_even)
        atl_prompt_weights_apply (rule, chunk.hidden, prompt->weights + k * ATL_CLIP_CHUNK,
                                  empty.hidden);
      if (k == 0)
        out->pooled = g_steal_pointer (&chunk.pooled);
      g_ptr_array_add (chunks, g_steal_pointer (&chunk.hidden));
    }
  out->hidden = atl_array_join ("hidden", 1, chunks->len, (const AtlArray *const *) chunks->pdata);
  return TRUE;
}

gboolean
atl_clip_encode_pair (AtlRun *run,
                      const AtlClipEncoder *encoder,
                      const char *negative,
                      const char *positive,
                      AtlClipText *out_negative,
                      AtlClipText *out_positive,
                      GError **error)
{
  g_autoptr (AtlClipPrompt) good = atl_clip_read (run, encoder, positive, error);
  g_autoptr (AtlClipPrompt) bad = NULL;

  if (good == NULL)
    return FALSE;
  if (negative != NULL)
    {
      bad = atl_clip_read (run, encoder, negative, error);
      if (bad == NULL)
        return FALSE;
      atl_clip_prompt_extend (good, bad->n_chunks);
      atl_clip_prompt_extend (bad, good->n_chunks);
      if (!atl_clip_encode (run, encoder, bad, out_negative, error))
        return FALSE;
    }
  return atl_clip_encode (run, encoder, good, out_positive, error);
}

gboolean
atl_clip_side_by_side (const AtlArray *before,
                       const AtlArray *hidden,
                       AtlArray **out,
                       GError **error)
{
  if (before != NULL && before->dim[1] != hidden->dim[1])
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                   _ ("The two text encoders cut this prompt differently; make it shorter"));
      return FALSE;
    }
  *out = before != NULL
             ? atl_array_join ("hidden", 2, 2, (const AtlArray *const[]){ before, hidden })
             : atl_array_copy (hidden, "hidden");
  return TRUE;
}
