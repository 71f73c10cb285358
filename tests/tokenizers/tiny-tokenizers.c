/* Tiny tokenizers, spelled out. */
#include "tiny-tokenizers.h"

#include <string.h>

#define MARK "\xe2\x96\x81" /* U+2581 */
#define DOT "\xc4\xa0"      /* GPT-2's letter for a space */

const char *const tiny_json[] = {
  /* Byte-level BPE, as Llama 3 and Qwen. */
  "{\"version\":\"1.0\",\"truncation\":null,\"added_tokens\":["
  "{\"id\":11,\"content\":\"<|im_end|>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":true,"
  "\"normalized\":false,\"special\":true},"
  "{\"id\":12,\"content\":\"zz\",\"single_word\":true,\"lstrip\":true,\"rstrip\":false,"
  "\"normalized\":true,\"special\":false}],"
  "\"normalizer\":{\"type\":\"NFC\"},"
  "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
  "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\p{L}+|[^a-c]\"},\"behavior\":\"Isolated\","
  "\"invert\":false},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}]},"
  "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
  "\"<|im_end|>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],"
  "\"special_tokens\":{\"<|im_end|>\":{\"id\":\"<|im_end|>\",\"ids\":[11],\"tokens\":[]}}},"
  "\"decoder\":{\"type\":\"ByteLevel\"},"
  "\"model\":{\"type\":\"BPE\",\"ignore_merges\":true,\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"" DOT
  "\":3,\"ab\":4,\"" DOT "a\":5,\"abc\":6,\"\xc3\xa9\":7,\"\xc3\x83\":8,\"\xc2\xa9\":9,"
  "\"\xc3\x83\xc2\xa9\":10},"
  "\"merges\":[\"a b\",[\"" DOT "\",\"a\"],\"ab c\",\"\xc3\x83 \xc2\xa9\"]}}",
  /* BPE over characters with byte fallback, as Llama 2 and Gemma. */
  "{\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"special\":true},{\"id\":1,\"content\":"
  "\"<s>\",\"special\":true}],"
  "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"" MARK
  "\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" MARK "\"}]},"
  "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":"
  "\"" MARK "\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]},"
  "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"byte_fallback\":true,"
  "\"vocab\":{\"<unk>\":0,\"<s>\":1,\"" MARK "\":2,\"a\":3,\"b\":4,\"" MARK "a\":5,\"ab\":6,"
  "\"<0x0A>\":7},\"merges\":[[\"" MARK "\",\"a\"],[\"a\",\"b\"]]}}",
  /* Unigram, as T5. */
  "{\"added_tokens\":[{\"id\":1,\"content\":\"</s>\",\"special\":true}],"
  "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Precompiled\","
  "\"precompiled_charsmap\":\"CAAAAAAEAAAAAAAAeHkA\"},{\"type\":\"NFKC\"},{\"type\":\"Lowercase\"},"
  "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\" \"}]},"
  "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"" MARK "\",\"prepend_scheme\":"
  "\"always\",\"split\":true},"
  "\"post_processor\":{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",1],\"cls\":[\"</s>\",1]},"
  "\"decoder\":{\"type\":\"Metaspace\"},"
  "\"model\":{\"type\":\"Unigram\",\"unk_id\":2,\"vocab\":[[\"<pad>\",0.0],[\"</s>\",0],[\"<unk>\","
  "0.0],[\"" MARK "\",-2.5],[\"a\",-3.25],[\"" MARK "ab\",-4.5],[\"b\",-4]]}}",
  /* WordPiece, as BERT. */
  "{\"added_tokens\":[{\"id\":0,\"content\":\"[CLS]\",\"special\":true}],"
  "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"lowercase\":true},"
  "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"decoder\":{\"type\":\"WordPiece\","
  "\"prefix\":"
  "\"##\"},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\","
  "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":20,\"vocab\":{\"[CLS]\":0,"
  "\"[UNK]\":1,\"a\":2,\"ab\":3,\"##b\":4,\"##c\":5,\".\":6}}}",
  NULL
};

const char tiny_config[] =
    "{\"bos_token\":\"<s>\",\"eos_token\":{\"content\":\"<|im_end|>\"},\"add_bos_token\":true,"
    "\"chat_template\":[{\"name\":\"default\",\"template\":\"{{ 1 }}\"},{\"name\":\"tool_use\","
    "\"template\":\"{{ 2 }}\"}]}";

const char tiny_clip_vocab[] = "{\"a\":0,\"b\":1,\"a</w>\":2,\"b</w>\":3,\"ab</w>\":4,"
                               "\"<|startoftext|>\":5,\"<|endoftext|>\":6}";
const char tiny_clip_merges[] = "#version: 0.2\na b</w>\n";

/* --- SentencePiece --- */

static void
put_varint (GByteArray *out, guint64 value)
{
  do
    {
      guint8 byte = (guint8) (value & 0x7f) | (value > 0x7f ? 0x80 : 0);

      g_byte_array_append (out, &byte, 1);
      value >>= 7;
    }
  while (value > 0);
}

static void
put_bytes (GByteArray *out, guint field, const void *bytes, gsize size)
{
  put_varint (out, field << 3 | 2);
  put_varint (out, size);
  g_byte_array_append (out, bytes, (guint) size);
}

static void
put_piece (GByteArray *out, const char *text, float score, guint type)
{
  g_autoptr (GByteArray) piece = g_byte_array_new ();
  guint32 bits;

  memcpy (&bits, &score, sizeof bits);
  bits = GUINT32_TO_LE (bits);
  put_bytes (piece, 1, text, strlen (text));
  put_varint (piece, 2 << 3 | 5);
  g_byte_array_append (piece, (const guint8 *) &bits, sizeof bits);
  put_varint (piece, 3 << 3);
  put_varint (piece, type);
  put_bytes (out, 1, piece->data, piece->len);
}

GByteArray *
tiny_sentencepiece (guint model_type)
{
  GByteArray *out = g_byte_array_new ();
  const guint8 trainer[] = { 3 << 3, (guint8) model_type, 0x98, 0x02, 0x00 }; /* byte_fallback 0 */
  const guint8 normalizer[] = { 3 << 3, 1, 4 << 3, 1, 5 << 3, 1 };

  put_piece (out, "<unk>", 0, 2);
  put_piece (out, "<s>", 0, 3);
  put_piece (out, "</s>", 0, 3);
  put_piece (out, MARK, -1, 1);
  put_piece (out, "a", -2, 1);
  put_piece (out, "b", -3, 1);
  put_piece (out, MARK "ab", -4, 1);
  put_piece (out, "ab", -5, 1);
  put_piece (out, "<0x0A>", -6, 6);
  put_piece (out, "<user>", 0, 4);
  put_bytes (out, 2, trainer, sizeof trainer);
  put_bytes (out, 3, normalizer, sizeof normalizer);
  return out;
}

/* --- GGUF metadata --- */

typedef struct
{
  AtlCheckpoint *cp;
  TinyFilter filter;
  gpointer data;
} Adder;

static void
add (Adder *self, const char *key, AtlMetaValue value)
{
  if (self->filter != NULL && !self->filter (key, &value, self->data))
    return;
  atl_checkpoint_add_meta (self->cp, key, &value, NULL);
}

static void
add_text (Adder *self, const char *key, const char *text)
{
  AtlMetaValue value = { .type = ATL_META_STRING };

  value.v_string.chars = text;
  value.v_string.length = strlen (text);
  add (self, key, value);
}

static void
add_uint (Adder *self, const char *key, guint64 number)
{
  add (self, key, (AtlMetaValue){ .type = ATL_META_UINT, .v_uint = number });
}

static void
add_list (Adder *self, const char *key, AtlMetaType type, gsize n, gconstpointer elems)
{
  AtlMetaValue value = { .type = ATL_META_ARRAY };

  value.v_array.elem_type = type;
  value.v_array.n = n;
  value.v_array.elems = (gpointer) elems;
  add (self, key, value);
}

AtlCheckpoint *
tiny_checkpoint (TinyKind kind, TinyFilter filter, gpointer data)
{
  static const char *const models[] = { "gpt2", "llama", "t5", "bert", "gemma4" };
  static const char *const tokens[][8] = {
    { "a", "b", "c", DOT, "ab", DOT "a", "<|im_end|>", "<|im_start|>" },
    { "<unk>", "<s>", "</s>", MARK, "a", "b", "ab", "<0x0A>" },
    { "<pad>", "</s>", "<unk>", MARK, "a", MARK "ab", "b", "<user>" },
    { "[PAD]", "[UNK]", "[CLS]", "[SEP]", MARK "a", "b", MARK "ab", MARK "." },
    { "<pad>", "<eos>", "<bos>", MARK, "a", MARK "a", "b", "\n\n" },
  };
  static const gint64 types[][8] = {
    { 1, 1, 1, 1, 1, 1, 3, 3 }, { 2, 3, 3, 1, 1, 1, 1, 6 }, { 3, 3, 2, 1, 1, 1, 1, 4 },
    { 3, 3, 3, 3, 1, 1, 1, 1 }, { 3, 3, 3, 1, 1, 1, 1, 1 },
  };
  static const double scores[] = { 0, 0, 0, -1, -2, -3, -4, -5 };
  static const char *const gpt2_merges[] = { "a b", DOT " a" };
  static const char *const gemma_merges[] = { MARK " a" };
  static const guint64 charsmap[] = { 8, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 'x', 'y', 0 };
  Adder adder = { atl_checkpoint_new ("tiny.gguf"), filter, data };

  add_text (&adder, "general.architecture", "llama");
  add_text (&adder, "tokenizer.ggml.model", models[kind]);
  add_text (&adder, "tokenizer.ggml.pre", "llama-bpe");
  add_list (&adder, "tokenizer.ggml.tokens", ATL_META_STRING, 8, tokens[kind]);
  add_list (&adder, "tokenizer.ggml.token_type", ATL_META_INT, 8, types[kind]);
  add_list (&adder, "tokenizer.ggml.scores", ATL_META_FLOAT, 8, scores);
  if (kind == TINY_GPT2)
    add_list (&adder, "tokenizer.ggml.merges", ATL_META_STRING, 2, gpt2_merges);
  if (kind == TINY_GEMMA4)
    add_list (&adder, "tokenizer.ggml.merges", ATL_META_STRING, 1, gemma_merges);
  if (kind == TINY_T5)
    add_list (&adder, "tokenizer.ggml.precompiled_charsmap", ATL_META_UINT, 15, charsmap);
  add_uint (&adder, "tokenizer.ggml.bos_token_id", kind == TINY_GPT2 ? 7 : 1);
  add_uint (&adder, "tokenizer.ggml.eos_token_id", kind == TINY_GPT2 ? 6 : 2);
  add_uint (&adder, "tokenizer.ggml.unknown_token_id", kind == TINY_T5 ? 2 : 0);
  add_uint (&adder, "tokenizer.ggml.padding_token_id", 0);
  add (&adder, "tokenizer.ggml.add_bos_token",
       (AtlMetaValue){ .type = ATL_META_BOOL, .v_bool = TRUE });
  add_text (&adder, "tokenizer.chat_template", "{{ messages }}");
  add_text (&adder, "tokenizer.chat_template.tool_use", "{{ tools }}");
  return adder.cp;
}
