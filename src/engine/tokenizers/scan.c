/* Scanners for the word patterns of published tokenizers. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/scan.h"

#include <string.h>

/* What a scanner may see: the piece [start, limit). */
typedef struct
{
  const gunichar *cp;
  const guint8 *cls;
  gsize start, limit;
} View;

static gboolean
is (const View *v, gsize i, guint classes)
{
  return i < v->limit && (v->cls[i] & classes) != 0;
}

static gunichar
at (const View *v, gsize i)
{
  return i < v->limit ? v->cp[i] : 0;
}

static gboolean
one_of (gunichar c, const char *set)
{
  return set != NULL && c != 0 && c < 0x80 && strchr (set, (int) c) != NULL;
}

static gboolean
is_newline (const View *v, gsize i)
{
  return i < v->limit && (v->cp[i] == '\r' || v->cp[i] == '\n');
}

static gsize
run_of (const View *v, gsize i, guint classes)
{
  while (is (v, i, classes))
    i++;
  return i;
}

/* Characters of none of `classes`. */
static gsize
run_without (const View *v, gsize i, guint classes)
{
  while (i < v->limit && (v->cls[i] & classes) == 0)
    i++;
  return i;
}

static gsize
numbers (const View *v, gsize pos, guint at_most)
{
  gsize end = pos;

  while (is (v, end, ATL_CP_NUMBER) && (at_most == 0 || end - pos < at_most))
    end++;
  return end;
}

/* 's|'t|'re|'ve|'m|'ll|'d */
static gsize
contraction (const View *v, gsize pos, gboolean any_case)
{
  gunichar a, b;

  if (at (v, pos) != '\'')
    return pos;
  a = at (v, pos + 1);
  b = at (v, pos + 2);
  if (any_case)
    {
      a = a < 0x80 ? (gunichar) g_ascii_tolower ((char) a) : a;
      b = b < 0x80 ? (gunichar) g_ascii_tolower ((char) b) : b;
    }
  if (a == 's' || a == 't' || a == 'm' || a == 'd')
    return pos + 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
    return pos + 3;
  return pos;
}

/* \s+(?!\S)|\s+ */
static gsize
spaces_before_word (const View *v, gsize pos)
{
  gsize end = run_of (v, pos, ATL_CP_SPACE);

  return end < v->limit && end - pos > 1 ? end - 1 : end;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ */
static gsize
spaces_with_newlines (const View *v, gsize pos)
{
  gsize end = run_of (v, pos, ATL_CP_SPACE);

  for (gsize i = end; i > pos; i--)
    if (is_newline (v, i - 1))
      return i;
  return spaces_before_word (v, pos);
}

static gsize
match_gpt2 (const View *v, gsize pos)
{
  gsize p = contraction (v, pos, FALSE);

  if (p > pos)
    return p;
  p = at (v, pos) == ' ' ? pos + 1 : pos;
  if (is (v, p, ATL_CP_LETTER))
    return run_of (v, p, ATL_CP_LETTER);
  if (is (v, p, ATL_CP_NUMBER))
    return run_of (v, p, ATL_CP_NUMBER);
  if (p < v->limit && !is (v, p, ATL_CP_SPACE))
    return run_without (v, p, ATL_CP_SPACE | ATL_CP_LETTER | ATL_CP_NUMBER);
  return spaces_before_word (v, pos);
}

static gboolean
may_lead_a_word (const View *v, gsize pos)
{
  return !is_newline (v, pos) && !is (v, pos, ATL_CP_LETTER | ATL_CP_NUMBER);
}

/*  ?[none of `classes`]+[tail]* */
static gsize
punctuation_run (const View *v, gsize pos, guint classes, const char *tail)
{
  gsize p = at (v, pos) == ' ' ? pos + 1 : pos;
  gsize end = run_without (v, p, classes);

  if (end == p)
    return pos;
  while (end < v->limit && one_of (v->cp[end], tail))
    end++;
  return end;
}

static gsize
match_cl100k (const AtlScan *self, const View *v, gsize pos)
{
  guint letters = ATL_CP_LETTER | (self->marks ? ATL_CP_MARK : 0);
  gsize end = contraction (v, pos, TRUE);

  if (end > pos)
    return end;
  if (may_lead_a_word (v, pos) && is (v, pos + 1, letters))
    return run_of (v, pos + 1, letters);
  if (is (v, pos, letters))
    return run_of (v, pos, letters);
  if (is (v, pos, ATL_CP_NUMBER))
    return numbers (v, pos, self->digits);
  end = punctuation_run (v, pos, ATL_CP_SPACE | ATL_CP_NUMBER | letters, self->tail);
  return end > pos ? end : spaces_with_newlines (v, pos);
}

/* The two halves of a word in o200k: capitals and caseless characters, then small and caseless. */
static gboolean
word_class (const AtlScan *self, const View *v, gsize i, guint classes)
{
  return is (v, i, classes) && !(self->han && atl_cp_is_han (v->cp[i]));
}

/* U*L+ for `small`, else U+L*, beginning at `pos`. */
static gsize
cased_word (const AtlScan *self, const View *v, gsize pos, gboolean small)
{
  const guint caseless = ATL_CP_OTHER_LETTER | ATL_CP_MARK;
  gsize upper = pos, end;

  while (word_class (self, v, upper, ATL_CP_UPPER | caseless))
    upper++;
  end = upper;
  while (word_class (self, v, end, ATL_CP_LOWER | caseless))
    end++;
  if (!small)
    return upper > pos ? end : pos;
  if (end > upper)
    return end;

  /* Nothing small follows the capitals: L+ takes the last caseless character among them. */
  for (; upper > pos; upper--)
    if (is (v, upper - 1, caseless))
      return upper;
  return pos;
}

static gsize
match_o200k (const AtlScan *self, const View *v, gsize pos)
{
  gsize end;

  if (self->han && atl_cp_is_han (v->cp[pos]))
    {
      for (end = pos; end < v->limit && atl_cp_is_han (v->cp[end]); end++)
        ;
      return end;
    }
  for (guint half = 0; half < 2; half++)
    {
      gboolean small = half == 0;

      end = pos;
      if (may_lead_a_word (v, pos) && pos + 1 < v->limit)
        {
          end = cased_word (self, v, pos + 1, small);
          end = end > pos + 1 ? end : pos;
        }
      if (end == pos)
        end = cased_word (self, v, pos, small);
      if (end > pos)
        return self->contractions ? contraction (v, end, TRUE) : end;
    }
  if (is (v, pos, ATL_CP_NUMBER))
    return numbers (v, pos, self->digits);
  end = punctuation_run (v, pos, ATL_CP_SPACE | ATL_CP_LETTER | ATL_CP_NUMBER, self->tail);
  return end > pos ? end : spaces_with_newlines (v, pos);
}

static gsize
match_deepseek3 (const View *v, gsize pos)
{
  const guint letters = ATL_CP_LETTER | ATL_CP_MARK;
  gunichar c = v->cp[pos];
  gsize end;

  if (c < 0x80 && g_ascii_ispunct ((char) c) && at (v, pos + 1) < 0x80 &&
      g_ascii_isalpha ((char) at (v, pos + 1)))
    {
      for (end = pos + 1; at (v, end) < 0x80 && g_ascii_isalpha ((char) at (v, end)); end++)
        ;
      return end;
    }
  if (!is_newline (v, pos) && !is (v, pos, ATL_CP_LETTER | ATL_CP_PUNCT | ATL_CP_SYMBOL) &&
      is (v, pos + 1, letters))
    return run_of (v, pos + 1, letters);
  if (is (v, pos, letters))
    return run_of (v, pos, letters);

  end = at (v, pos) == ' ' ? pos + 1 : pos;
  if (is (v, end, ATL_CP_PUNCT | ATL_CP_SYMBOL))
    {
      end = run_of (v, end, ATL_CP_PUNCT | ATL_CP_SYMBOL);
      while (is_newline (v, end))
        end++;
      return end;
    }
  return spaces_with_newlines (v, pos);
}

static gsize
match_clip (const View *v, gsize pos)
{
  gsize end = contraction (v, pos, TRUE);

  if (end > pos)
    return end;
  if (is (v, pos, ATL_CP_LETTER))
    return run_of (v, pos, ATL_CP_LETTER);
  if (is (v, pos, ATL_CP_NUMBER))
    return pos + 1;
  return run_without (v, pos, ATL_CP_SPACE | ATL_CP_LETTER | ATL_CP_NUMBER);
}

/* \w: letters, marks, numbers but fractions and the like, connectors and joiners. */
static gboolean
is_word (const View *v, gsize i)
{
  gunichar c = at (v, i);

  if (is (v, i, ATL_CP_LETTER | ATL_CP_MARK))
    return TRUE;
  if (is (v, i, ATL_CP_NUMBER))
    return g_unichar_type (c) != G_UNICODE_OTHER_NUMBER;
  return (is (v, i, ATL_CP_PUNCT) && g_unichar_type (c) == G_UNICODE_CONNECT_PUNCTUATION) ||
         c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9);
}

static gsize
match_numbers_right (const AtlScan *self, const View *v, gsize pos, gsize *skip)
{
  gsize end, n;

  if (!is (v, pos, ATL_CP_NUMBER))
    return pos;
  /* Only the first group of a run may be short, and it left a multiple of three behind it. */
  if (pos > v->start && is (v, pos - 1, ATL_CP_NUMBER))
    return pos + 3;
  end = run_of (v, pos, ATL_CP_NUMBER);
  n = end - pos;
  if (self->boundary && is_word (v, end))
    {
      *skip = n;
      return pos;
    }
  return pos + (n % 3 != 0 ? n % 3 : 3);
}

static gsize
match_run (const AtlScan *self,
           const View *v,
           gsize pos,
           gboolean (*inside) (const AtlScan *self, const View *v, gsize i))
{
  gsize p = pos;

  if (self->space && is (v, pos, ATL_CP_SPACE) && pos + 1 < v->limit && inside (self, v, pos + 1))
    p = pos + 1;
  while (p < v->limit && inside (self, v, p))
    p++;
  return p;
}

static gboolean
in_classes (const AtlScan *self, const View *v, gsize i)
{
  return is (v, i, self->classes) || one_of (v->cp[i], self->extra);
}

static gboolean
in_ranges (const AtlScan *self, const View *v, gsize i)
{
  gunichar c = v->cp[i];

  for (const AtlScanRange *r = self->ranges; r->last != 0 && r->first <= c; r++)
    if (c <= r->last)
      return TRUE;
  return FALSE;
}

static gsize
match_bloom (const View *v, gsize pos)
{
  static const gunichar ends[] = { 0x2026, 0x3002, 0xff0c, 0x3001, 0x964, 0x6d4, 0x60c };
  gsize p = at (v, pos) == ' ' ? pos + 1 : pos, end = p;

  for (; end < v->limit; end++)
    {
      gunichar c = v->cp[end];
      gboolean stop = is (v, end, ATL_CP_SPACE) || one_of (c, "(|.,!?)");

      for (guint i = 0; i < G_N_ELEMENTS (ends) && !stop; i++)
        stop = c == ends[i];
      if (stop)
        break;
    }
  return end > p ? end : pos;
}

static gsize
match_literal (const AtlScan *self, const AtlCodepoints *text, gsize pos, gsize limit)
{
  gsize n = strlen (self->extra), from = text->offset[pos];

  if (n == 0 || n > text->offset[limit] - from || memcmp (text->text + from, self->extra, n) != 0)
    return pos;
  while (pos < limit && text->offset[pos] < from + n)
    pos++;
  return pos;
}

gsize
atl_scan_match (const AtlScan *self,
                const AtlCodepoints *text,
                gsize start,
                gsize pos,
                gsize limit,
                gsize *skip)
{
  View view = { text->cp, text->cls, start, limit };
  const View *v = &view;
  gsize end;

  *skip = 1;
  switch (self->kind)
    {
    case ATL_SCAN_GPT2:
      return match_gpt2 (v, pos);
    case ATL_SCAN_CL100K:
      return match_cl100k (self, v, pos);
    case ATL_SCAN_O200K:
      return match_o200k (self, v, pos);
    case ATL_SCAN_DEEPSEEK3:
      return match_deepseek3 (v, pos);
    case ATL_SCAN_CLIP:
      return match_clip (v, pos);
    case ATL_SCAN_NUMBERS:
      return numbers (v, pos, self->digits);
    case ATL_SCAN_NUMBERS_RIGHT:
      return match_numbers_right (self, v, pos, skip);
    case ATL_SCAN_THREE_DIGITS:
      for (end = pos; end < limit && end < pos + 3 && v->cp[end] < 0x80; end++)
        if (!g_ascii_isdigit ((char) v->cp[end]))
          break;
      return end == pos + 3 ? end : pos;
    case ATL_SCAN_CLASSES:
      return match_run (self, v, pos, in_classes);
    case ATL_SCAN_RANGES:
      return match_run (self, v, pos, in_ranges);
    case ATL_SCAN_NEWLINE:
      return is_newline (v, pos) ? pos + 1 : pos;
    case ATL_SCAN_TRAILING_SPACES:
      end = run_of (v, pos, ATL_CP_SPACE);
      *skip = MAX (end - pos, 1);
      return end == limit ? end : pos;
    case ATL_SCAN_SPACES:
      return run_of (v, pos, ATL_CP_SPACE);
    case ATL_SCAN_LINES:
      for (end = pos; end < limit && (v->cp[end] == '\n') == (v->cp[pos] == '\n'); end++)
        ;
      return end;
    case ATL_SCAN_BLOOM:
      return match_bloom (v, pos);
    case ATL_SCAN_WORDS:
      for (end = pos; end < limit && is_word (v, end) == is_word (v, pos); end++)
        if (is (v, end, ATL_CP_SPACE))
          break;
      return end;
    case ATL_SCAN_CLASS_ONE:
      return in_classes (self, v, pos) ? pos + 1 : pos;
    case ATL_SCAN_LITERAL:
      return match_literal (self, text, pos, limit);
    default:
      g_return_val_if_reached (pos);
    }
}

const AtlScanRange atl_scan_cjk_kana[] = {
  { 0x3040, 0x309f }, { 0x30a0, 0x30ff }, { 0x4e00, 0x9fa5 }, { 0, 0 }
};

const AtlScanRange atl_scan_cjk_hangul[] = {
  { 0x800, 0x4e00 }, { 0x4e00, 0x9fa5 }, { 0xac00, 0xd7ff }, { 0, 0 }
};

const AtlScanRange atl_scan_ascii_punct[] = {
  { 0x21, 0x2f },     { 0x3a, 0x7e }, { 0x2018, 0x201f }, { 0x3000, 0x3002 }, { 0xff01, 0xff0f },
  { 0xff1a, 0xff5e }, { 0, 0 }
};

const AtlScanRange atl_scan_cased_letters[] = { { 0x41, 0x5a },
                                                { 0x61, 0x7a },
                                                { 0xb5, 0xb5 },
                                                { 0xc0, 0xd6 },
                                                { 0xd8, 0xf6 },
                                                { 0xf8, 0x1ba },
                                                { 0x1bc, 0x1bf },
                                                { 0x1c4, 0x293 },
                                                { 0x295, 0x2af },
                                                { 0x370, 0x373 },
                                                { 0x376, 0x377 },
                                                { 0x37b, 0x37d },
                                                { 0x37f, 0x37f },
                                                { 0x386, 0x386 },
                                                { 0x388, 0x38a },
                                                { 0x38c, 0x38c },
                                                { 0x38e, 0x3a1 },
                                                { 0x3a3, 0x3f5 },
                                                { 0x3f7, 0x481 },
                                                { 0x48a, 0x52f },
                                                { 0x531, 0x556 },
                                                { 0x10a0, 0x10c5 },
                                                { 0x13a0, 0x13f5 },
                                                { 0x13f8, 0x13fd },
                                                { 0x1c90, 0x1cba },
                                                { 0x1cbd, 0x1cbf },
                                                { 0x1d00, 0x1d2b },
                                                { 0x1d6b, 0x1d77 },
                                                { 0x1d79, 0x1d9a },
                                                { 0x1e00, 0x1f15 },
                                                { 0x1f18, 0x1f1d },
                                                { 0x1f20, 0x1f45 },
                                                { 0x1f48, 0x1f4d },
                                                { 0x1f50, 0x1f57 },
                                                { 0x1f59, 0x1f59 },
                                                { 0x1f5b, 0x1f5b },
                                                { 0x1f5d, 0x1f5d },
                                                { 0x1f5f, 0x1f7d },
                                                { 0x1f80, 0x1fb4 },
                                                { 0x1fb6, 0x1fbc },
                                                { 0x1fbe, 0x1fbe },
                                                { 0x1fc2, 0x1fc4 },
                                                { 0x1fc6, 0x1fcc },
                                                { 0x1fd0, 0x1fd3 },
                                                { 0x1fd6, 0x1fdb },
                                                { 0x1fe0, 0x1fec },
                                                { 0x1ff2, 0x1ff4 },
                                                { 0x1ff6, 0x1ffc },
                                                { 0x2102, 0x2102 },
                                                { 0x2107, 0x2107 },
                                                { 0x210a, 0x2113 },
                                                { 0x2115, 0x2115 },
                                                { 0x2119, 0x211d },
                                                { 0x2124, 0x2124 },
                                                { 0x2126, 0x2126 },
                                                { 0x2128, 0x2128 },
                                                { 0x212a, 0x212d },
                                                { 0x212f, 0x2134 },
                                                { 0x2139, 0x2139 },
                                                { 0x213c, 0x213f },
                                                { 0x2145, 0x2149 },
                                                { 0x214e, 0x214e },
                                                { 0x2183, 0x2184 },
                                                { 0x2c00, 0x2c7b },
                                                { 0x2c7e, 0x2ce4 },
                                                { 0x2ceb, 0x2cee },
                                                { 0x2cf2, 0x2cf3 },
                                                { 0xa640, 0xa66d },
                                                { 0xa680, 0xa69b },
                                                { 0xa722, 0xa76f },
                                                { 0xa771, 0xa787 },
                                                { 0xa78b, 0xa78e },
                                                { 0xab70, 0xabbf },
                                                { 0xfb00, 0xfb06 },
                                                { 0xfb13, 0xfb17 },
                                                { 0xff21, 0xff3a },
                                                { 0xff41, 0xff5a },
                                                { 0x10400, 0x1044f },
                                                { 0x104b0, 0x104d3 },
                                                { 0x104d8, 0x104fb },
                                                { 0x10c80, 0x10cb2 },
                                                { 0x10cc0, 0x10cf2 },
                                                { 0x118a0, 0x118df },
                                                { 0x1e900, 0x1e943 },
                                                { 0, 0 } };
