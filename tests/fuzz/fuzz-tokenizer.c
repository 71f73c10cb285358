/* Any bytes as a tokenizer.json, as its settings and as a SentencePiece model: refused in words, or
 * a vocabulary that never hands out an id outside itself and spells valid UTF-8. */
#include <string.h>

#include "engine/tokenizers/detokenizer.h"
#include "fuzz.h"
#include "tokenizers/tiny-tokenizers.h"

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES ("\"type\":\"ByteLevel\","),
  ATL_FUZZ_BYTES ("\"type\":\"Sequence\","),
  ATL_FUZZ_BYTES ("\"pretokenizers\":[],"),
  ATL_FUZZ_BYTES ("{\"Regex\":\"(a+)+b\"}"),
  ATL_FUZZ_BYTES ("{\"Regex\":\"\\\\p{L}{1,9999}\"}"),
  ATL_FUZZ_BYTES ("\"byte_fallback\":true,"),
  ATL_FUZZ_BYTES ("\"unk_id\":-1,"),
  ATL_FUZZ_BYTES ("\"vocab\":{},"),
  ATL_FUZZ_BYTES ("\"merges\":[\"a b\"],"),
  ATL_FUZZ_BYTES ("\"added_tokens\":[{\"id\":4294967295,\"content\":\"x\"}],"),
  ATL_FUZZ_BYTES ("\"content\":\"\","),
  ATL_FUZZ_BYTES ("99999999999999999999"),
  ATL_FUZZ_BYTES ("1e999"),
  ATL_FUZZ_BYTES ("\\u0000"),
  ATL_FUZZ_BYTES ("\\ud800"),
  ATL_FUZZ_BYTES ("[[[["),
  ATL_FUZZ_BYTES ("null"),
  { NULL, 0 },
};

/* The tiny tokenizers, filled in before the first run. */
static AtlFuzzBytes seeds[16];

const AtlFuzzTarget atl_fuzz_target = { "tokenizer", NULL, NULL, seeds, words };

__attribute__ ((constructor)) static void
fill_seeds (void)
{
  guint n = 0;

  for (guint i = 0; tiny_json[i] != NULL; i++)
    seeds[n++] = (AtlFuzzBytes){ tiny_json[i], strlen (tiny_json[i]) };
  seeds[n++] = (AtlFuzzBytes){ tiny_config, strlen (tiny_config) };
  for (guint type = 1; type <= 2; type++)
    {
      GByteArray *bytes = tiny_sentencepiece (type);

      seeds[n].size = bytes->len;
      seeds[n++].bytes = (char *) g_byte_array_free (bytes, FALSE);
    }
  g_assert_cmpuint (n, <, G_N_ELEMENTS (seeds));
}

static void
use (AtlTokenizer *tokenizer)
{
  static const char *const texts[] = { "", "ab abc\n\n zz 123", "<s>[CLS]<|im_end|>",
                                       "\xe4\xb8\x80 e\xcc\x81\xff\xfe" };
  const gint32 n = (gint32) atl_tokenizer_n_vocab (tokenizer);

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
      g_autofree char *back = NULL;

      if (!atl_tokenizer_encode (tokenizer, texts[i], -1, (AtlTokenizeFlags) (i & 3), ids, NULL))
        continue;
      g_assert_cmpuint (ids->len, <, 1000);
      for (guint k = 0; k < ids->len; k++)
        {
          g_assert_cmpint (g_array_index (ids, gint32, k), >=, 0);
          g_assert_cmpint (g_array_index (ids, gint32, k), <, n);
        }
      back =
          atl_tokenizer_decode (tokenizer, (gint32 *) (gpointer) ids->data, ids->len, i & 1, i & 2);
      g_assert_true (g_utf8_validate (back, -1, NULL));
    }
  for (guint i = 0; i < ATL_N_SPECIAL; i++)
    g_assert_cmpint (atl_tokenizer_special (tokenizer, (AtlSpecialToken) i), <, n);
}

static void
settle (AtlTokenizer *made, GError **where)
{
  g_autoptr (AtlTokenizer) tokenizer = made;
  g_autoptr (GError) error = g_steal_pointer (where);

  if (tokenizer != NULL)
    {
      use (tokenizer);
      return;
    }
  g_assert_nonnull (error);
  g_assert_true (error->domain == ATL_ERROR);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  const char *text = (const char *) data;
  GError *error = NULL;

  if (size == 0)
    return 0;
  settle (atl_tokenizer_new_from_json (text, size, tiny_config, strlen (tiny_config), &error),
          &error);
  settle (atl_tokenizer_new_from_json (tiny_json[size % 3], strlen (tiny_json[size % 3]), text,
                                       size, &error),
          &error);
  settle (atl_tokenizer_new_sentencepiece (data, size, &error), &error);
  settle (atl_tokenizer_new_clip (size % 2 ? text : tiny_clip_vocab,
                                  size % 2 ? size : strlen (tiny_clip_vocab),
                                  size % 2 ? tiny_clip_merges : text,
                                  size % 2 ? strlen (tiny_clip_merges) : size, &error),
          &error);
  return 0;
}
