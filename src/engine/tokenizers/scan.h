/* The word patterns of pre-tokenisers, written out as scanners.
 *
 * Every scanner stands for one regular expression of the published tokenizers and says where a
 * match that begins at `pos` ends (`pos` itself: none). A scanner looks at each character a small
 * constant number of times per match, so splitting a text is linear in it; the expressions
 * themselves, with a backtracking matcher, are not.
 *
 *   AtlScan scan = { .kind = ATL_SCAN_CL100K, .digits = 3, .tail = "\r\n" };
 *   gsize end = atl_scan_match (&scan, &text, start, pos, limit, &skip);
 *
 * Threading: any thread.
 */
#pragma once

#include "engine/tokenizers/codepoints.h"

G_BEGIN_DECLS

typedef enum
{
  /* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
  ATL_SCAN_GPT2,
  /* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}|
   *  ?[^\s\p{L}\p{N}]+[tail]*|\s*[\r\n]+|\s+(?!\S)|\s+
   * With `marks`, \p{M} counts as a letter throughout. */
  ATL_SCAN_CL100K,
  /* [^\r\n\p{L}\p{N}]?U*L+ C?|[^\r\n\p{L}\p{N}]?U+L* C?|\p{N}{1,digits}|… as above, where
   * U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], L = [\p{Ll}\p{Lm}\p{Lo}\p{M}] and C = (?i:'s|…|'d) with
   * `contractions`. With `han`, runs of Han come first and are no letters (Kimi). */
  ATL_SCAN_O200K,
  /* [!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|
   * \s*[\r\n]+|\s+(?!\S)|\s+ */
  ATL_SCAN_DEEPSEEK3,
  /* 's|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+ */
  ATL_SCAN_CLIP,
  /* \p{N}{1,digits}, digits 0: \p{N}+ */
  ATL_SCAN_NUMBERS,
  /* Groups of three counted from the right; with `boundary` only where the run of numbers ends at
   * the end of a word: \d{1,3}(?=(?:\d{3})*\b) */
  ATL_SCAN_NUMBERS_RIGHT,
  ATL_SCAN_THREE_DIGITS,    /* [0-9][0-9][0-9] */
  ATL_SCAN_CLASSES,         /* \s?[classes and `extra`]+, \s? with `space` */
  ATL_SCAN_RANGES,          /* \s?[ranges]+, \s? with `space` */
  ATL_SCAN_NEWLINE,         /* [\r\n] */
  ATL_SCAN_TRAILING_SPACES, /* \s+$ */
  ATL_SCAN_SPACES,          /* \s+ */
  ATL_SCAN_LINES,           /* [^\n]+|\n+ */
  ATL_SCAN_BLOOM,           /*  ?[^(\s|.,!?…。，、।۔،)]+ */
  ATL_SCAN_WORDS,           /* \w+|[^\w\s]+ */
  ATL_SCAN_CLASS_ONE,       /* one character of `classes` or of `extra` */
  ATL_SCAN_LITERAL,         /* the text `extra` */
} AtlScanKind;

typedef struct
{
  gunichar first, last;
} AtlScanRange;

typedef struct
{
  AtlScanKind kind;
  guint digits;
  gboolean marks, contractions, han, boundary, space;
  guint classes;              /* AtlCpClass */
  const char *extra;          /* (nullable) static or owned by the user: ASCII characters */
  const char *tail;           /* (nullable) what may follow punctuation: ASCII characters */
  const AtlScanRange *ranges; /* sorted, ended by { 0, 0 } */
} AtlScan;

/* Where the match that begins at `pos` ends; `pos` when none does. The piece being split is
 * [start, limit), start <= pos < limit <= text->n: nothing outside it is looked at. When nothing
 * matches, `*skip` (at least 1) says how many characters may be passed over because no match begins
 * in them either. */
gsize atl_scan_match (const AtlScan *self,
                      const AtlCodepoints *text,
                      gsize start,
                      gsize pos,
                      gsize limit,
                      gsize *skip);

extern const AtlScanRange atl_scan_cjk_kana[];      /* [一-龥぀-ゟ゠-ヿ] */
extern const AtlScanRange atl_scan_cjk_hangul[];    /* [一-龥ࠀ-一가-퟿] */
extern const AtlScanRange atl_scan_cased_letters[]; /* DeepSeek LLM's list of cased letters */
extern const AtlScanRange atl_scan_ascii_punct[];   /* [!-/:-~！-／：-～‘-‟　-。] */

G_END_DECLS
