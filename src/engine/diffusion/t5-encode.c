/* T5 text encoders at work. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/t5-encode.h"

AtlArray *
atl_t5_encode (
    AtlRun *run, const AtlT5Encoder *encoder, const char *text, gint64 *n_valid, GError **error)
{
  gint64 n = (gint64) CLAMP (
      atl_settings_number (run->settings, "max_sequence_length", encoder->max_tokens), 1,
      encoder->max_tokens);
  AtlTokenizer *tokenizer = atl_bundle_tokenizer (run->bundle, encoder->tokenizer, error);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (AtlRequest) request = atl_request_new ("encode_text");
  AtlArray *padded, *mask;
  gint32 end, pad;
  gint64 n_text;

  if (tokenizer == NULL ||
      !atl_tokenizer_encode (tokenizer, text, -1, ATL_TOKENIZE_NONE, ids, error))
    return NULL;
  end = atl_tokenizer_special (tokenizer, ATL_SPECIAL_EOS);
  pad = MAX (atl_tokenizer_special (tokenizer, ATL_SPECIAL_PAD), 0);
  n_text = MIN ((gint64) ids->len, n - 1);
  padded = atl_array_new ("token_ids", ATL_DTYPE_I32, 2, (gint64[]){ 1, n });
  mask = atl_array_new ("attention_mask", ATL_DTYPE_I32, 2, (gint64[]){ 1, n });
  for (gint64 i = 0; i < n; i++)
    {
      atl_array_i32 (padded)[i] = i < n_text    ? g_array_index (ids, gint32, i)
                                  : i == n_text ? end
                                                : pad;
      atl_array_i32 (mask)[i] = !encoder->is_masked || i <= n_text;
    }
  if (n_valid != NULL)
    *n_valid = n_text + 1;
  atl_request_add (request, padded);
  atl_request_add (request, mask);
  return atl_run_output_of (run, encoder->encoder, request, "hidden", error);
}
