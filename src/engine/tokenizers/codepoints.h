/* Unicode text as arrays of code points with their classes, and the normal forms.
 *
 * Pre-tokenisers and normalisers ask, for every character, whether it is a letter, mark, number,
 * punctuation, symbol or white space; decoding once into flat arrays keeps their scanners short and
 * bounded. Classes are Unicode's general categories as GLib knows them; white space is Unicode's
 * White_Space property, which is what \s means in the regular expressions of tokenizer files.
 *
 *   AtlCodepoints t = { 0 };
 *   atl_codepoints_set (&t, text, len);
 *   if (t.cls[i] & ATL_CP_LETTER) ... the bytes are text[t.offset[i] .. t.offset[i + 1])
 *   atl_codepoints_clear (&t);
 *
 * Threading: any thread; an AtlCodepoints belongs to one.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  ATL_CP_UPPER = 1 << 0,        /* Lu, Lt */
  ATL_CP_LOWER = 1 << 1,        /* Ll */
  ATL_CP_OTHER_LETTER = 1 << 2, /* Lm, Lo */
  ATL_CP_MARK = 1 << 3,
  ATL_CP_NUMBER = 1 << 4,
  ATL_CP_PUNCT = 1 << 5,
  ATL_CP_SYMBOL = 1 << 6,
  ATL_CP_SPACE = 1 << 7,
  ATL_CP_LETTER = ATL_CP_UPPER | ATL_CP_LOWER | ATL_CP_OTHER_LETTER,
} AtlCpClass;

/* Bits of AtlCpClass; 0 for a control or unassigned character. */
guint8 atl_cp_class (gunichar c);
gboolean atl_cp_is_han (gunichar c); /* the Han script, as \p{Han} */

/* The simple lower case of `c` in out[0], and the further character that U+0130 needs in out[1].
 * Returns how many there are. Never depends on the locale. */
guint atl_cp_lower (gunichar c, gunichar out[2]);

/* The character at `p` and its length in bytes; 0 when the bytes before `end` are no valid UTF-8
 * (overlong forms, surrogates and values past U+10FFFF included). */
guint atl_utf8_decode (const char *p, const char *end, gunichar *c);

/* NULL when `text` is valid UTF-8 (NUL allowed), else a copy with U+FFFD for every bad byte. */
char *atl_utf8_repair (const char *text, gsize len, gsize *out_len);

typedef struct
{
  const char *text; /* borrowed; valid UTF-8 */
  gunichar *cp;     /* [n] */
  guint8 *cls;      /* [n] bits of AtlCpClass */
  guint32 *offset;  /* [n + 1] byte offsets into text */
  gsize n;
  gsize capacity;
} AtlCodepoints;

/* Decodes `text`, which must be valid and stay alive as long as `self` is used. Reuses memory. */
void atl_codepoints_set (AtlCodepoints *self, const char *text, gsize len);
void atl_codepoints_clear (AtlCodepoints *self);

typedef enum
{
  ATL_FORM_NFC,
  ATL_FORM_NFD,
  ATL_FORM_NFKC,
  ATL_FORM_NFKD,
} AtlNormalForm;

/* Appends the normal form of valid `text`. Linear in the text, however its marks are ordered. */
void atl_utf8_normalize (const char *text, gsize len, AtlNormalForm form, GString *out);

G_END_DECLS
