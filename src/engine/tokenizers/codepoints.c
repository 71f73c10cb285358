/* Decoding, classes of characters, and normal forms in linear time. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/codepoints.h"

#include <string.h>

/* The longest full decomposition in Unicode, as g_unichar_fully_decompose promises. */
#define MAX_DECOMPOSITION G_UNICHAR_MAX_DECOMPOSITION_LENGTH

static gboolean
is_white_space (gunichar c)
{
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

guint8
atl_cp_class (gunichar c)
{
  if (is_white_space (c))
    return ATL_CP_SPACE;

  switch (g_unichar_type (c))
    {
    case G_UNICODE_UPPERCASE_LETTER:
    case G_UNICODE_TITLECASE_LETTER:
      return ATL_CP_UPPER;
    case G_UNICODE_LOWERCASE_LETTER:
      return ATL_CP_LOWER;
    case G_UNICODE_MODIFIER_LETTER:
    case G_UNICODE_OTHER_LETTER:
      return ATL_CP_OTHER_LETTER;
    case G_UNICODE_SPACING_MARK:
    case G_UNICODE_ENCLOSING_MARK:
    case G_UNICODE_NON_SPACING_MARK:
      return ATL_CP_MARK;
    case G_UNICODE_DECIMAL_NUMBER:
    case G_UNICODE_LETTER_NUMBER:
    case G_UNICODE_OTHER_NUMBER:
      return ATL_CP_NUMBER;
    case G_UNICODE_CONNECT_PUNCTUATION:
    case G_UNICODE_DASH_PUNCTUATION:
    case G_UNICODE_CLOSE_PUNCTUATION:
    case G_UNICODE_FINAL_PUNCTUATION:
    case G_UNICODE_INITIAL_PUNCTUATION:
    case G_UNICODE_OTHER_PUNCTUATION:
    case G_UNICODE_OPEN_PUNCTUATION:
      return ATL_CP_PUNCT;
    case G_UNICODE_CURRENCY_SYMBOL:
    case G_UNICODE_MODIFIER_SYMBOL:
    case G_UNICODE_MATH_SYMBOL:
    case G_UNICODE_OTHER_SYMBOL:
      return ATL_CP_SYMBOL;
    default:
      return 0;
    }
}

gboolean
atl_cp_is_han (gunichar c)
{
  return c >= 0x2e80 && g_unichar_get_script (c) == G_UNICODE_SCRIPT_HAN;
}

guint
atl_cp_lower (gunichar c, gunichar out[2])
{
  if (c == 0x130)
    {
      out[0] = 'i';
      out[1] = 0x307;
      return 2;
    }
  /* GLib lowers letters only; Unicode also pairs Roman numerals and circled letters. */
  if (c >= 0x2160 && c <= 0x216f)
    out[0] = c + 0x10;
  else if (c >= 0x24b6 && c <= 0x24cf)
    out[0] = c + 26;
  else
    out[0] = g_unichar_tolower (c);
  return 1;
}

guint
atl_utf8_decode (const char *p, const char *end, gunichar *c)
{
  const guint8 *s = (const guint8 *) p;
  gsize left = (gsize) (end - p);
  guint length;
  gunichar value, least;

  if (left == 0)
    return 0;
  if (s[0] < 0x80)
    {
      *c = s[0];
      return 1;
    }

  if ((s[0] & 0xe0) == 0xc0)
    {
      length = 2;
      value = s[0] & 0x1f;
      least = 0x80;
    }
  else if ((s[0] & 0xf0) == 0xe0)
    {
      length = 3;
      value = s[0] & 0x0f;
      least = 0x800;
    }
  else if ((s[0] & 0xf8) == 0xf0)
    {
      length = 4;
      value = s[0] & 0x07;
      least = 0x10000;
    }
  else
    return 0;
  if (left < length)
    return 0;

  for (guint i = 1; i < length; i++)
    {
      if ((s[i] & 0xc0) != 0x80)
        return 0;
      value = value << 6 | (s[i] & 0x3f);
    }
  if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
    return 0;
  *c = value;
  return length;
}

char *
atl_utf8_repair (const char *text, gsize len, gsize *out_len)
{
  const char *p = text, *end = text + len;
  GString *out;
  gunichar c;
  guint n;

  while (p < end && (n = atl_utf8_decode (p, end, &c)) > 0)
    p += n;
  if (p == end)
    return NULL;

  out = g_string_new_len (text, p - text);
  while (p < end)
    {
      n = atl_utf8_decode (p, end, &c);
      if (n > 0)
        g_string_append_len (out, p, n);
      else
        g_string_append (out, "\xef\xbf\xbd");
      p += MAX (n, 1);
    }
  *out_len = out->len;
  return g_string_free (out, FALSE);
}

void
atl_codepoints_set (AtlCodepoints *self, const char *text, gsize len)
{
  const char *p = text, *end = text + len;
  gsize n = 0;

  /* A character is at least one byte, so `len` entries always suffice. */
  if (self->capacity < len + 1)
    {
      self->capacity = len + 1;
      self->cp = g_renew (gunichar, self->cp, self->capacity);
      self->cls = g_renew (guint8, self->cls, self->capacity);
      self->offset = g_renew (guint32, self->offset, self->capacity);
    }

  while (p < end)
    {
      gunichar c = 0xfffd;
      guint length = atl_utf8_decode (p, end, &c);

      g_assert (length > 0);
      self->cp[n] = c;
      self->cls[n] = atl_cp_class (c);
      self->offset[n++] = (guint32) (p - text);
      p += length;
    }
  self->offset[n] = (guint32) len;
  self->text = text;
  self->n = n;
}

void
atl_codepoints_clear (AtlCodepoints *self)
{
  g_free (self->cp);
  g_free (self->cls);
  g_free (self->offset);
  memset (self, 0, sizeof *self);
}

/* --- Normal forms (Unicode Standard Annex 15) --- */

/* Sorts marks[0 .. n) by combining class, equal classes in their order. A counting sort for long
 * runs keeps a text made of nothing but marks linear. */
static void
order_marks (gunichar *marks, guint8 *ccc, gsize n)
{
  if (n <= 16)
    {
      for (gsize i = 1; i < n; i++)
        {
          gunichar c = marks[i];
          guint8 k = ccc[i];
          gsize j = i;

          for (; j > 0 && ccc[j - 1] > k; j--)
            {
              marks[j] = marks[j - 1];
              ccc[j] = ccc[j - 1];
            }
          marks[j] = c;
          ccc[j] = k;
        }
    }
  else
    {
      gsize start[257] = { 0 };
      gunichar *sorted = g_new (gunichar, n);
      guint8 *sorted_ccc = g_new (guint8, n);

      for (gsize i = 0; i < n; i++)
        start[ccc[i] + 1]++;
      for (guint i = 1; i < 257; i++)
        start[i] += start[i - 1];
      for (gsize i = 0; i < n; i++)
        {
          gsize at = start[ccc[i]]++;

          sorted[at] = marks[i];
          sorted_ccc[at] = ccc[i];
        }
      memcpy (marks, sorted, n * sizeof *marks);
      memcpy (ccc, sorted_ccc, n);
      g_free (sorted);
      g_free (sorted_ccc);
    }
}

/* Composes in place; returns the new length. */
static gsize
compose (gunichar *cp, const guint8 *ccc, gsize n)
{
  gsize out = 0, starter = 0;
  gboolean have_starter = FALSE;
  int last_ccc = -1; /* of the last character kept after the starter; −1: none was */

  for (gsize i = 0; i < n; i++)
    {
      gunichar joined;

      /* A character is blocked from the starter when one of the same or a higher class stands
       * between them. */
      if (have_starter && last_ccc < (int) ccc[i] &&
          g_unichar_compose (cp[starter], cp[i], &joined))
        {
          cp[starter] = joined;
          continue;
        }
      if (ccc[i] == 0)
        {
          starter = out;
          have_starter = TRUE;
          last_ccc = -1;
        }
      else
        last_ccc = ccc[i];
      cp[out++] = cp[i];
    }
  return out;
}

static gunichar
first_unstable (AtlNormalForm form)
{
  switch (form)
    {
    case ATL_FORM_NFC:
      return 0x300;
    case ATL_FORM_NFD:
      return 0xc0;
    default:
      return 0xa0;
    }
}

void
atl_utf8_normalize (const char *text, gsize len, AtlNormalForm form, GString *out)
{
  gboolean compatible = form == ATL_FORM_NFKC || form == ATL_FORM_NFKD;
  const char *p = text, *end = text + len;
  gunichar least = first_unstable (form), c = 0;
  g_autoptr (GArray) cps = NULL;
  g_autofree guint8 *ccc = NULL;
  gunichar *cp;
  gsize n;

  for (guint length = 1; p < end && length > 0; p += length)
    {
      length = atl_utf8_decode (p, end, &c);
      if (length > 0 && c >= least)
        break;
    }
  if (p == end)
    {
      g_string_append_len (out, text, (gssize) len);
      return;
    }

  cps = g_array_sized_new (FALSE, FALSE, sizeof (gunichar), (guint) len);
  for (p = text; p < end;)
    {
      gunichar parts[MAX_DECOMPOSITION];
      guint length = atl_utf8_decode (p, end, &c);

      g_assert (length > 0);
      p += length;
      if (c < 0xa0)
        g_array_append_val (cps, c);
      else
        g_array_append_vals (
            cps, parts,
            (guint) g_unichar_fully_decompose (c, compatible, parts, MAX_DECOMPOSITION));
    }

  cp = (gunichar *) (gpointer) cps->data;
  n = cps->len;
  ccc = g_new (guint8, n + 1);
  for (gsize i = 0; i < n; i++)
    ccc[i] = cp[i] < 0x300 ? 0 : (guint8) g_unichar_combining_class (cp[i]);
  for (gsize i = 0; i < n;)
    {
      gsize run = i;

      while (run < n && ccc[run] != 0)
        run++;
      if (run - i > 1)
        order_marks (cp + i, ccc + i, run - i);
      i = MAX (run, i + 1);
    }
  if (form == ATL_FORM_NFC || form == ATL_FORM_NFKC)
    n = compose (cp, ccc, n);
  for (gsize i = 0; i < n; i++)
    g_string_append_unichar (out, cp[i]);
}
