/* The table of well-known pre-tokenisers. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/pre-kinds.h"

#include <string.h>

#define MAX_STAGES 6

#define GPT2                                                                                       \
  {                                                                                                \
    .kind = ATL_SCAN_GPT2                                                                          \
  }
#define NUMBERS(n)                                                                                 \
  {                                                                                                \
    .kind = ATL_SCAN_NUMBERS, .digits = n                                                          \
  }
#define CL100K(n)                                                                                  \
  {                                                                                                \
    .kind = ATL_SCAN_CL100K, .digits = n, .tail = "\r\n"                                           \
  }
#define O200K(n, apostrophe)                                                                       \
  {                                                                                                \
    .kind = ATL_SCAN_O200K, .digits = n, .contractions = apostrophe, .tail = "\r\n/"               \
  }
#define PUNCT(symbols)                                                                             \
  {                                                                                                \
    .kind = ATL_SCAN_CLASSES, .classes = ATL_CP_PUNCT, .extra = symbols                            \
  }

typedef struct
{
  AtlScan stages[MAX_STAGES];
  guint n_stages;
  const char *names; /* with a space around each */
  AtlPreTraits traits;
} Kind;

static const Kind kinds[] = {
  { { GPT2 },
    1,
    " gpt-2 mpt olmo jais phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum "
    "modern-bert trillion granite-docling exaone4 jina-v1-en jina-v2-code roberta-bpe ",
    { 0 } },
  { { CL100K (3) },
    1,
    " llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano ",
    { .ignore_merges = TRUE, .add_bos = TRUE } },
  { { CL100K (3) }, 1, " dbrx smaug-bpe glm4 chatglm-bpe ", { 0 } },
  { { CL100K (1) },
    1,
    " qwen2 stablelm2 deepseek-r1-qwen kormo f2llmv2 megrez hunyuan solar-open grok-2 ",
    { 0 } },
  { { { .kind = ATL_SCAN_CL100K, .digits = 1, .marks = TRUE, .tail = "\r\n" } },
    1,
    " qwen35 ",
    { 0 } },
  { { CL100K (1) }, 1, " bailingmoe bailingmoe2 llada-moe ", { 0 } },
  { { { .kind = ATL_SCAN_CL100K, .digits = 1 } }, 1, " seed-coder ", { 0 } },
  { { NUMBERS (3), CL100K (0) }, 2, " minicpm5 ", { 0 } },
  { { NUMBERS (1), GPT2 },
    2,
    " starcoder refact command-r smollm codeshell exaone minerva-7b ",
    { 0 } },
  { { PUNCT ("$+<=>^~|`"), GPT2, { .kind = ATL_SCAN_THREE_DIGITS } }, 3, " falcon ", { 0 } },
  { { PUNCT ("$+<=>^~|"), GPT2, NUMBERS (0), { .kind = ATL_SCAN_THREE_DIGITS } },
    4,
    " default ",
    { 0 } },
  { { O200K (1, FALSE) }, 1, " tekken ", { .ignore_merges = TRUE, .add_bos = TRUE } },
  { { O200K (3, TRUE) }, 1, " gpt-4o llama4 kanana2 minimax-m2 ", { 0 } },
  { { { .kind = ATL_SCAN_O200K, .digits = 3, .contractions = TRUE, .han = TRUE, .tail = "\r\n" } },
    1,
    " kimi-k2 ",
    { 0 } },
  { { { .kind = ATL_SCAN_NUMBERS_RIGHT, .boundary = TRUE }, O200K (3, TRUE) },
    2,
    " tiny_aya ",
    { 0 } },
  { { { .kind = ATL_SCAN_NEWLINE },
      { .kind = ATL_SCAN_RANGES, .ranges = atl_scan_cased_letters, .space = TRUE },
      { .kind = ATL_SCAN_RANGES, .ranges = atl_scan_ascii_punct, .space = TRUE },
      { .kind = ATL_SCAN_TRAILING_SPACES },
      { .kind = ATL_SCAN_RANGES, .ranges = atl_scan_cjk_hangul },
      NUMBERS (0) },
    6,
    " deepseek-llm ",
    { 0 } },
  { { { .kind = ATL_SCAN_NEWLINE },
      { .kind = ATL_SCAN_CLASSES, .classes = ATL_CP_LETTER, .space = TRUE },
      { .kind = ATL_SCAN_CLASSES, .classes = ATL_CP_PUNCT, .space = TRUE },
      { .kind = ATL_SCAN_RANGES, .ranges = atl_scan_cjk_hangul },
      NUMBERS (1) },
    5,
    " deepseek-coder ",
    { 0 } },
  { { NUMBERS (3),
      { .kind = ATL_SCAN_RANGES, .ranges = atl_scan_cjk_kana },
      { .kind = ATL_SCAN_DEEPSEEK3 } },
    3,
    " deepseek-v3 step35 hunyuan-dense joyai-llm ",
    { 0 } },
  { { { .kind = ATL_SCAN_BLOOM } }, 1, " poro-chat bloom gpt3-finnish ", { 0 } },
  { { { .kind = ATL_SCAN_BLOOM }, NUMBERS (1) }, 2, " viking ", { 0 } },
  { { { .kind = ATL_SCAN_NUMBERS_RIGHT } }, 1, " superbpe ", { 0 } },
  { { { .kind = ATL_SCAN_LINES } }, 1, " gemma4 sarvam-moe ", { .plain_chars = TRUE } },
};

static const Kind *
find_kind (const char *name)
{
  g_autofree char *framed = g_strconcat (" ", name, " ", NULL);

  if (strchr (name, ' ') != NULL)
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (strstr (kinds[i].names, framed) != NULL)
      return &kinds[i];
  return NULL;
}

AtlPreTokenizer *
atl_pre_tokenizer_new_named (const char *name)
{
  const Kind *kind = find_kind (name);
  AtlPreTokenizer *self;

  if (kind == NULL)
    return NULL;
  self = atl_pre_tokenizer_new ();
  for (guint i = 0; i < kind->n_stages; i++)
    atl_pre_tokenizer_add_scan (self, &kind->stages[i], ATL_SPLIT_ISOLATED);
  return self;
}

AtlPreTokenizer *
atl_pre_tokenizer_new_default (void)
{
  return atl_pre_tokenizer_new_named ("default");
}

AtlPreTraits
atl_pre_kind_traits (const char *name)
{
  const Kind *kind = find_kind (name);

  return kind != NULL ? kind->traits : (AtlPreTraits){ 0 };
}

static gboolean
same_scan (const AtlScan *a, const AtlScan *b)
{
  return a->kind == b->kind && a->digits == b->digits && a->marks == b->marks &&
         a->contractions == b->contractions && a->han == b->han && a->boundary == b->boundary &&
         a->space == b->space && a->classes == b->classes && a->ranges == b->ranges &&
         g_strcmp0 (a->extra, b->extra) == 0 && g_strcmp0 (a->tail, b->tail) == 0;
}

const char *
atl_pre_kind_of_scans (const AtlScan *const *scans, guint n, gboolean ignore_merges)
{
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      const Kind *kind = &kinds[i];
      gboolean same = kind->n_stages == n && kind->traits.ignore_merges == ignore_merges;

      for (guint k = 0; k < n && same; k++)
        same = same_scan (scans[k], &kind->stages[k]);
      if (same)
        {
          g_autofree char *first = g_strndup (kind->names + 1, strcspn (kind->names + 1, " "));

          return g_intern_string (first);
        }
    }
  return NULL;
}

/* --- By pattern --- */

#define ANY_CASE "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPELLED "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CL100K_BODY(numbers)                                                                       \
  "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
#define CL100K_POSSESSIVE(numbers)                                                                 \
  "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|" numbers                                  \
  "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
#define O200K_UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define O200K_LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define O200K_BODY(suffix, numbers)                                                                \
  "[^\\r\\n\\p{L}\\p{N}]?" O200K_UPPER "*" O200K_LOWER "+" suffix                                  \
  "|[^\\r\\n\\p{L}\\p{N}]?" O200K_UPPER "+" O200K_LOWER "*" suffix "|" numbers                     \
  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES
#define GPT2_HEAD "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"

typedef struct
{
  const char *pattern;
  AtlScan scan;
} Pattern;

static const Pattern patterns[] = {
  { GPT2_HEAD "|\\s+", GPT2 },
  { GPT2_HEAD, GPT2 },
  { ANY_CASE CL100K_BODY ("\\p{N}{1,3}"), CL100K (3) },
  { ANY_CASE CL100K_BODY ("\\p{N}"), CL100K (1) },
  { ANY_CASE CL100K_BODY ("\\p{N}+"), CL100K (0) },
  { SPELLED CL100K_BODY ("\\p{N}{1,3}"), CL100K (3) },
  { SPELLED CL100K_BODY ("\\p{N}"), CL100K (1) },
  { CL100K_POSSESSIVE ("\\p{N}{1,3}"), CL100K (3) },
  { CL100K_POSSESSIVE ("\\p{N}"), CL100K (1) },
  { ANY_CASE
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES,
    { .kind = ATL_SCAN_CL100K, .digits = 1, .marks = TRUE, .tail = "\r\n" } },
  { O200K_BODY ("", "\\p{N}"), O200K (1, FALSE) },
  { O200K_BODY (ANY_CASE "?", "\\p{N}{1,3}"), O200K (3, TRUE) },
  { O200K_BODY (ANY_CASE "?", "\\p{N}"), O200K (1, TRUE) },
  { "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?"
    "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACES,
    { .kind = ATL_SCAN_DEEPSEEK3 } },
  { "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?"
    "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
    { .kind = ATL_SCAN_DEEPSEEK3 } },
  { "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|"
    "[^\\s\\p{L}\\p{N}]+",
    { .kind = ATL_SCAN_CLIP } },
  { "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+", { .kind = ATL_SCAN_CLIP } },
  { "\\p{N}", NUMBERS (1) },
  { "\\p{N}{1,3}", NUMBERS (3) },
  { "\\p{N}+", NUMBERS (0) },
  { "[0-9][0-9][0-9]", { .kind = ATL_SCAN_THREE_DIGITS } },
  { "\\s+", { .kind = ATL_SCAN_SPACES } },
  { "[\r\n]", { .kind = ATL_SCAN_NEWLINE } },
  { "[\\r\\n]", { .kind = ATL_SCAN_NEWLINE } },
  { "\\s?\\p{L}+", { .kind = ATL_SCAN_CLASSES, .classes = ATL_CP_LETTER, .space = TRUE } },
  { "\\s?\\p{P}+", { .kind = ATL_SCAN_CLASSES, .classes = ATL_CP_PUNCT, .space = TRUE } },
};

const AtlScan *
atl_pre_kind_of_pattern (const char *pattern)
{
  for (guint i = 0; i < G_N_ELEMENTS (patterns); i++)
    if (strcmp (patterns[i].pattern, pattern) == 0)
      return &patterns[i].scan;
  return NULL;
}
