/* T5 text encoders at work. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/t5-encode.h"
#include "engine/diffusion/tokens.h"

AtlArray *
atl_t5_encode (
    AtlRun *run, const AtlT5Encoder *encoder, const char *text, gint64 *n_valid, GError **error)
{
  guint flags = ATL_TEXT_END | ATL_TEXT_PAD | (encoder->is_masked ? 0 : ATL_TEXT_ALL_SEEN);
  g_autoptr (AtlRequest) request = atl_request_new ("encode_text");

  if (!atl_request_add_text (request, run, encoder->tokenizer, text,
                             atl_run_text_length (run, encoder->max_tokens, encoder->max_tokens),
                             flags, n_valid, error))
    return NULL;
  return atl_run_output_of (run, encoder->encoder, request, "hidden", error);
}
