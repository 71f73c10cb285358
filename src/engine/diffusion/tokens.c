/* Texts as token ids with masks. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/tokens.h"

#include <string.h>

gint64
atl_run_text_length (const AtlRun *run, gint64 fallback, gint64 most)
{
  return (gint64) CLAMP (
      atl_settings_number (run->settings, "max_sequence_length", (double) fallback), 1,
      (double) most);
}

static gint32
padding_of (const AtlTokenizer *tokenizer)
{
  gint32 pad = atl_tokenizer_special (tokenizer, ATL_SPECIAL_PAD);

  return pad >= 0 ? pad : MAX (atl_tokenizer_special (tokenizer, ATL_SPECIAL_EOS), 0);
}

/* The text and its frame, at most `length`. */
static GArray *
read_ids (AtlTokenizer *tokenizer, const char *text, gint64 length, guint flags, GError **error)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  gint32 begin = atl_tokenizer_special (tokenizer, ATL_SPECIAL_BOS);
  gint32 end = atl_tokenizer_special (tokenizer, ATL_SPECIAL_EOS);
  gboolean has_end = (flags & ATL_TEXT_END) != 0 && end >= 0;

  if (!atl_tokenizer_encode (
          tokenizer, text, -1,
          flags & ATL_TEXT_SPECIAL ? ATL_TOKENIZE_PARSE_SPECIAL : ATL_TOKENIZE_NONE, ids, error))
    return NULL;
  if ((flags & ATL_TEXT_BEGIN) != 0 && begin >= 0)
    g_array_prepend_val (ids, begin);
  if ((gint64) ids->len > length - has_end)
    g_array_set_size (ids, (guint) (length - has_end));
  if (has_end)
    g_array_append_val (ids, end);
  return g_steal_pointer (&ids);
}

gboolean
atl_request_add_text (AtlRequest *request,
                      AtlRun *run,
                      const char *tokenizer,
                      const char *text,
                      gint64 length,
                      guint flags,
                      gint64 *n_valid,
                      GError **error)
{
  AtlTokenizer *vocabulary = atl_bundle_tokenizer (run->bundle, tokenizer, error);
  g_autoptr (GArray) ids =
      vocabulary != NULL ? read_ids (vocabulary, text, length, flags, error) : NULL;
  gboolean is_padded = (flags & ATL_TEXT_PAD) != 0;
  AtlArray *array, *mask;
  gint64 n, first;

  if (ids == NULL)
    return FALSE;
  n = is_padded ? length : ids->len;
  first = flags & ATL_TEXT_IN_FRONT ? n - ids->len : 0;
  array = atl_array_new ("token_ids", ATL_DTYPE_I32, 2, (gint64[]){ 1, n });
  for (gint64 i = 0; i < n; i++)
    atl_array_i32 (array)[i] = padding_of (vocabulary);
  if (ids->len > 0)
    memcpy (atl_array_i32 (array) + first, ids->data, ids->len * sizeof (gint32));
  atl_request_add (request, array);
  if (is_padded)
    {
      mask = atl_array_new ("attention_mask", ATL_DTYPE_I32, 2, (gint64[]){ 1, n });
      for (gint64 i = 0; i < n; i++)
        atl_array_i32 (mask)[i] =
            (flags & ATL_TEXT_ALL_SEEN) != 0 || (i >= first && i < first + ids->len);
      atl_request_add (request, mask);
    }
  if (n_valid != NULL)
    *n_valid = ids->len;
  return TRUE;
}
