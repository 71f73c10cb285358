/* Text to token ids and back, for every vocabulary a model file can carry.
 *
 * Kinds: byte-level BPE (GPT-2, Llama 3, Qwen…), SentencePiece BPE with scores (Llama 2, Mistral,
 * Gemma), unigram (T5, UMT5), WordPiece (BERT) and CLIP's lower-casing BPE. Sources: the
 * `tokenizer.ggml.*` metadata of a GGUF file, a Hugging Face `tokenizer.json`, CLIP's `vocab.json`
 * with `merges.txt`, and a SentencePiece `spiece.model`. A GGUF file behaves as llama.cpp does, a
 * tokenizer.json as the Hugging Face library does.
 *
 *   g_autoptr (AtlTokenizer) tok = atl_tokenizer_new_from_checkpoint (cp, error);
 *   g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
 *   if (!atl_tokenizer_encode (tok, "Hello", -1, ATL_TOKENIZE_ADD_SPECIAL, ids, error)) ...
 *
 *   g_autoptr (AtlDetokenizer) detok = atl_detokenizer_new (tok, FALSE, TRUE);   (detokenizer.h)
 *   atl_detokenizer_push (detok, id, out);          for each generated id; `out` is valid UTF-8
 *
 * Everything a file says is checked when it is loaded: an id handed out is always inside
 * [0, n_vocab). Encoding takes time near-linear in the text, whatever the text.
 *
 * Threading: immutable once built, so any number of threads may use one tokenizer; reference
 * counting is atomic.
 */
#pragma once

#include "base/checkpoint.h"

G_BEGIN_DECLS

/* The longest text one call encodes, in bytes. */
#define ATL_TOKENIZER_MAX_TEXT (16 * 1024 * 1024)

typedef enum
{
  ATL_TOKENIZE_NONE = 0,
  ATL_TOKENIZE_ADD_SPECIAL = 1 << 0,   /* begin and end tokens as the file says */
  ATL_TOKENIZE_PARSE_SPECIAL = 1 << 1, /* control tokens written in the text become their ids;
                                        * otherwise they are ordinary letters (user text!) */
} AtlTokenizeFlags;

/* The numbers are those of GGUF's `tokenizer.ggml.token_type`. */
typedef enum
{
  ATL_TOKEN_NORMAL = 1,
  ATL_TOKEN_UNKNOWN = 2,
  ATL_TOKEN_CONTROL = 3,      /* has a meaning to the model and no text of its own */
  ATL_TOKEN_USER_DEFINED = 4, /* always matched as a whole, text as it stands */
  ATL_TOKEN_UNUSED = 5,
  ATL_TOKEN_BYTE = 6, /* "<0x0A>": one byte of text */
} AtlTokenType;

typedef enum
{
  ATL_SPECIAL_BOS,
  ATL_SPECIAL_EOS,
  ATL_SPECIAL_EOT, /* end of a turn */
  ATL_SPECIAL_EOM, /* end of a message that calls a tool */
  ATL_SPECIAL_PAD,
  ATL_SPECIAL_UNK,
  ATL_SPECIAL_SEP,
  ATL_SPECIAL_CLS,
  ATL_SPECIAL_MASK,
  ATL_SPECIAL_FIM_PREFIX, /* code infilling */
  ATL_SPECIAL_FIM_SUFFIX,
  ATL_SPECIAL_FIM_MIDDLE,
  ATL_N_SPECIAL
} AtlSpecialToken;

typedef struct _AtlTokenizer AtlTokenizer;

/* --- Building. All return NULL with ATL_ERROR_BAD_FILE when the data contradict themselves and
 * ATL_ERROR_UNSUPPORTED (naming the part) when they ask for something unknown here. The data are
 * copied; nothing is kept. --- */

/* From the `tokenizer.*` metadata of a GGUF file. */
AtlTokenizer *atl_tokenizer_new_from_checkpoint (const AtlCheckpoint *checkpoint, GError **error);

/* From the text of a tokenizer.json and, where present, its tokenizer_config.json (`config_json`
 * may be NULL), which names the begin and end tokens and the chat templates. */
AtlTokenizer *atl_tokenizer_new_from_json (const char *tokenizer_json,
                                           gsize tokenizer_size,
                                           const char *config_json,
                                           gsize config_size,
                                           GError **error);

/* CLIP: the text of merges.txt (first line a version comment) and of vocab.json. Without vocab.json
 * (NULL) the ids follow OpenAI's rule: 256 byte letters, the same with "</w>", one id a merge,
 * <|startoftext|>, <|endoftext|>; at most the 48,894 merges of their list are then used. */
AtlTokenizer *atl_tokenizer_new_clip (const char *vocab_json,
                                      gsize vocab_size,
                                      const char *merges_txt,
                                      gsize merges_size,
                                      GError **error);

/* A SentencePiece model file (unigram or BPE), such as spiece.model or tokenizer.model. */
AtlTokenizer *atl_tokenizer_new_sentencepiece (const guint8 *data, gsize size, GError **error);

/* Reads what a Hugging Face or diffusers folder holds, best first: tokenizer.json (with
 * tokenizer_config.json), spiece.model or tokenizer.model, vocab.json with merges.txt; a chat
 * template in a file of its own (chat_template.jinja, chat_template.json) wins over the config's,
 * and tokens that generation_config.json names end generation. ATL_ERROR_NOT_FOUND when there is
 * no vocabulary. */
AtlTokenizer *atl_tokenizer_new_from_folder (const char *folder, GError **error);
/* The same from files that are open already: `names` (nullable) are the logical names of the `n`
 * maps, a missing one is the map's own; others than those above, and CLIP's, are passed over. */
AtlTokenizer *atl_tokenizer_new_from_maps (AtlFileMap *const *maps,
                                           const char *const *names,
                                           guint n,
                                           GError **error);

/* The same for the tokenizer folder of a picture or clip model, whose vocab.json with merges.txt is
 * CLIP's. */
AtlTokenizer *atl_tokenizer_new_from_part (AtlFileMap *const *maps,
                                           const char *const *names,
                                           guint n,
                                           GError **error);

/* The other way round: adds the `tokenizer.*` keys of a GGUF file to `checkpoint`, for a model
 * whose embedding has `n_rows` rows (those past the vocabulary become unused pieces). `*warning`
 * (nullable, the caller's) is set to a sentence when readers of the file may cut words a little
 * differently. ATL_ERROR_UNSUPPORTED for kinds that GGUF cannot say, ATL_ERROR_BAD_FILE when there
 * are more pieces than rows. */
gboolean atl_tokenizer_add_metadata (const AtlTokenizer *self,
                                     guint n_rows,
                                     AtlCheckpoint *checkpoint,
                                     char **warning,
                                     GError **error);

AtlTokenizer *atl_tokenizer_ref (AtlTokenizer *self);
void atl_tokenizer_unref (AtlTokenizer *self); /* accepts NULL */

/* --- Encoding --- */

/* Appends the ids (gint32) of `text` to `ids`. `len` is in bytes, −1 for a terminated string; text
 * that is not valid UTF-8 is read as if each bad byte were U+FFFD. ATL_ERROR_INVALID when it is
 * longer than ATL_TOKENIZER_MAX_TEXT, ATL_ERROR_TOO_COMPLEX when a regular expression of the file
 * gives up; `ids` is then as it was. */
gboolean atl_tokenizer_encode (const AtlTokenizer *self,
                               const char *text,
                               gssize len,
                               AtlTokenizeFlags flags,
                               GArray *ids,
                               GError **error);

/* --- The vocabulary --- */

/* How many ids there are, added tokens included. */
guint atl_tokenizer_n_vocab (const AtlTokenizer *self);

/* The piece as the file spells it ("Ġthe", "▁the", "<0x0A>"); borrowed, valid UTF-8. NULL for an id
 * outside the vocabulary or one that the file leaves out. */
const char *atl_tokenizer_token_text (const AtlTokenizer *self, gint32 id);
AtlTokenType atl_tokenizer_token_type (const AtlTokenizer *self, gint32 id);

/* The id of a piece spelled as in the file, or −1. */
gint32 atl_tokenizer_find (const AtlTokenizer *self, const char *text);

/* What the token stands for, in bytes: a part of UTF-8 text, not always a whole character.
 * Borrowed, not terminated; `*len` 0 for control tokens unless `show_special`, for unused ones and
 * for ids outside the vocabulary. */
const char *
atl_tokenizer_token_bytes (const AtlTokenizer *self, gint32 id, gboolean show_special, gsize *len);

/* The id of a special token, or −1. */
gint32 atl_tokenizer_special (const AtlTokenizer *self, AtlSpecialToken which);

/* TRUE for a token after which generation stops: the file's eos, eot and eom, and control tokens
 * with the well-known names (<|im_end|>, <|eot_id|>, <end_of_turn>, <|end|>, <|return|>…). */
gboolean atl_tokenizer_is_eog (const AtlTokenizer *self, gint32 id);

/* Whether ATL_TOKENIZE_ADD_SPECIAL puts bos in front, so that a chat template need not. */
gboolean atl_tokenizer_add_bos (const AtlTokenizer *self);

/* Whether the text of the first token of a sequence begins with a space that the encoder put there
 * (SentencePiece): AtlDetokenizer can remove it. */
gboolean atl_tokenizer_adds_space_prefix (const AtlTokenizer *self);

/* --- What the file says besides --- */

/* The chat template of the file, or the one of that name ("tool_use"); NULL when absent. */
const char *atl_tokenizer_chat_template (const AtlTokenizer *self, const char *name);
/* Names of further templates, NULL-terminated, borrowed; empty when there is only the default. */
const char *const *atl_tokenizer_chat_template_names (const AtlTokenizer *self);

/* A short name of the algorithm for people: "BPE (llama-bpe)", "SentencePiece BPE", "unigram",
 * "WordPiece", "CLIP BPE". */
const char *atl_tokenizer_kind (const AtlTokenizer *self);

/* A sentence to show when the file names a pre-tokeniser unknown here, so that the default one
 * splits words and answers may be a little worse; else NULL. */
const char *atl_tokenizer_warning (const AtlTokenizer *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlTokenizer, atl_tokenizer_unref)

G_END_DECLS
