/* The steps of a normaliser. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/normalizer.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/tokenizers/bounded-regex.h"
#include "engine/tokenizers/tokenizer.h"

#define MARK "\xe2\x96\x81" /* U+2581 */
#define MAX_OUTPUT (4 * (gsize) ATL_TOKENIZER_MAX_TEXT)

typedef enum
{
  STEP_FORM,
  STEP_LOWERCASE,
  STEP_STRIP_ACCENTS,
  STEP_REPLACE,
  STEP_REPLACE_SPACES, /* \s+, the one expression that needs no matcher */
  STEP_REPLACE_REGEX,
  STEP_PREPEND,
  STEP_STRIP,
  STEP_BERT,
  STEP_CHARSMAP,
  STEP_SENTENCEPIECE,
} StepKind;

typedef struct
{
  StepKind kind;
  AtlNormalForm form;
  char *what, *with;      /* (owned) (nullable) */
  AtlBoundedRegex *regex; /* (owned) (nullable) */
  AtlCharsmap *charsmap;  /* (owned) (nullable) */
  gboolean left, right;
  gboolean clean, cjk, strip_accents, base_only, lowercase;
  gboolean merge, prefix, suffix, escape;
} Step;

struct _AtlNormalizer
{
  GArray *steps; /* Step */
  guint n_regexes;
};

static void
clear_step (gpointer data)
{
  Step *step = data;

  g_free (step->what);
  g_free (step->with);
  atl_bounded_regex_free (step->regex);
  atl_charsmap_free (step->charsmap);
}

AtlNormalizer *
atl_normalizer_new (void)
{
  AtlNormalizer *self = g_new0 (AtlNormalizer, 1);

  self->steps = g_array_new (FALSE, TRUE, sizeof (Step));
  g_array_set_clear_func (self->steps, clear_step);
  return self;
}

void
atl_normalizer_free (AtlNormalizer *self)
{
  if (self == NULL)
    return;
  g_array_unref (self->steps);
  g_free (self);
}

gboolean
atl_normalizer_is_empty (const AtlNormalizer *self)
{
  return self->steps->len == 0;
}

static void
add_step (AtlNormalizer *self, Step step)
{
  g_array_append_val (self->steps, step);
}

void
atl_normalizer_add_form (AtlNormalizer *self, AtlNormalForm form)
{
  add_step (self, (Step){ .kind = STEP_FORM, .form = form });
}

void
atl_normalizer_add_lowercase (AtlNormalizer *self)
{
  add_step (self, (Step){ .kind = STEP_LOWERCASE });
}

void
atl_normalizer_add_strip_accents (AtlNormalizer *self)
{
  add_step (self, (Step){ .kind = STEP_STRIP_ACCENTS });
}

void
atl_normalizer_add_replace (AtlNormalizer *self, const char *what, const char *with)
{
  g_return_if_fail (*what != 0);
  add_step (self, (Step){ .kind = STEP_REPLACE, .what = g_strdup (what), .with = g_strdup (with) });
}

gboolean
atl_normalizer_add_replace_regex (AtlNormalizer *self,
                                  const char *pattern,
                                  const char *with,
                                  GError **error)
{
  Step step = { .kind = STEP_REPLACE_REGEX };

  if (strcmp (pattern, "\\s+") == 0)
    step.kind = STEP_REPLACE_SPACES;
  else
    {
      step.regex = atl_bounded_regex_new (pattern, self->n_regexes, error);
      if (step.regex == NULL)
        return FALSE;
      self->n_regexes++;
    }
  step.with = g_strdup (with);
  add_step (self, step);
  return TRUE;
}

void
atl_normalizer_add_prepend (AtlNormalizer *self, const char *text)
{
  add_step (self, (Step){ .kind = STEP_PREPEND, .with = g_strdup (text) });
}

void
atl_normalizer_add_strip (AtlNormalizer *self, gboolean left, gboolean right)
{
  add_step (self, (Step){ .kind = STEP_STRIP, .left = left, .right = right });
}

void
atl_normalizer_add_bert (AtlNormalizer *self,
                         gboolean clean,
                         gboolean cjk,
                         gboolean strip_accents,
                         gboolean base_only,
                         gboolean lowercase)
{
  add_step (self, (Step){ .kind = STEP_BERT,
                          .clean = clean,
                          .cjk = cjk,
                          .strip_accents = strip_accents,
                          .base_only = base_only,
                          .lowercase = lowercase });
}

void
atl_normalizer_add_charsmap (AtlNormalizer *self, AtlCharsmap *charsmap)
{
  add_step (self, (Step){ .kind = STEP_CHARSMAP, .charsmap = charsmap });
}

void
atl_normalizer_add_sentencepiece_spaces (
    AtlNormalizer *self, gboolean merge, gboolean prefix, gboolean suffix, gboolean escape)
{
  add_step (self, (Step){ .kind = STEP_SENTENCEPIECE,
                          .merge = merge,
                          .prefix = prefix,
                          .suffix = suffix,
                          .escape = escape });
}

/* --- The steps --- */

static void
append_lower (gunichar c, GString *out)
{
  gunichar lower[2];
  guint n = atl_cp_lower (c, lower);

  for (guint i = 0; i < n; i++)
    g_string_append_unichar (out, lower[i]);
}

static void
lowercase (const char *text, gsize len, GString *out)
{
  for (const char *p = text, *end = text + len; p < end; p = g_utf8_next_char (p))
    append_lower (g_utf8_get_char (p), out);
}

static void
drop_marks (const char *text, gsize len, gboolean all, GString *out)
{
  for (const char *p = text, *end = text + len, *next; p < end; p = next)
    {
      gunichar c = g_utf8_get_char (p);

      next = g_utf8_next_char (p);
      if (all ? atl_cp_class (c) != ATL_CP_MARK : g_unichar_type (c) != G_UNICODE_NON_SPACING_MARK)
        g_string_append_len (out, p, next - p);
    }
}

static void
base_letters (const char *text, gsize len, GString *out)
{
  for (const char *p = text, *end = text + len; p < end; p = g_utf8_next_char (p))
    {
      gunichar parts[G_UNICHAR_MAX_DECOMPOSITION_LENGTH];

      g_unichar_fully_decompose (g_utf8_get_char (p), FALSE, parts, G_N_ELEMENTS (parts));
      if (atl_cp_class (parts[0]) != ATL_CP_MARK)
        g_string_append_unichar (out, parts[0]);
    }
}

static void
replace (const char *text, gsize len, const char *what, const char *with, GString *out)
{
  const char *p = text, *end = text + len;
  gsize n = strlen (what);

  while (p < end && out->len <= MAX_OUTPUT)
    {
      const char *hit = memmem (p, end - p, what, n);

      g_string_append_len (out, p, (hit != NULL ? hit : end) - p);
      if (hit == NULL)
        return;
      g_string_append (out, with);
      p = hit + n;
    }
}

static gboolean
is_space_at (const char *p)
{
  return atl_cp_class (g_utf8_get_char (p)) == ATL_CP_SPACE;
}

static void
replace_spaces (const char *text, gsize len, const char *with, GString *out)
{
  gboolean inside = FALSE;

  for (const char *p = text, *end = text + len, *next; p < end; p = next)
    {
      next = g_utf8_next_char (p);
      if (out->len > MAX_OUTPUT)
        return;
      if (!is_space_at (p))
        g_string_append_len (out, p, next - p);
      else if (!inside)
        g_string_append (out, with);
      inside = is_space_at (p);
    }
}

static void
strip (const char *text, gsize len, gboolean left, gboolean right, GString *out)
{
  const char *p = text, *end = text + len;

  while (left && p < end && is_space_at (p))
    p = g_utf8_next_char (p);
  while (right && end > p && is_space_at (g_utf8_prev_char (end)))
    end = g_utf8_prev_char (end);
  g_string_append_len (out, p, end - p);
}

/* The ranges BERT calls Chinese characters, with the odd 2B920 of the Hugging Face library. */
static gboolean
is_bert_cjk (gunichar c)
{
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
         (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
         (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static gboolean
is_bert_control (gunichar c)
{
  GUnicodeType type;

  if (c == '\t' || c == '\n' || c == '\r')
    return FALSE;
  type = g_unichar_type (c);
  return type == G_UNICODE_CONTROL || type == G_UNICODE_FORMAT || type == G_UNICODE_UNASSIGNED ||
         type == G_UNICODE_PRIVATE_USE;
}

static void
bert (const Step *step, const char *text, gsize len, GString *out)
{
  g_autoptr (GString) clean = g_string_sized_new (len + 1);

  for (const char *p = text, *end = text + len; p < end; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      gboolean cjk = step->cjk && is_bert_cjk (c);

      if (step->clean && (c == 0 || c == 0xfffd || is_bert_control (c)))
        continue;
      if (step->clean && atl_cp_class (c) == ATL_CP_SPACE)
        c = ' ';
      if (cjk)
        g_string_append_c (clean, ' ');
      g_string_append_unichar (clean, c);
      if (cjk)
        g_string_append_c (clean, ' ');
    }
  if (step->strip_accents && step->base_only)
    {
      g_autoptr (GString) base = g_string_sized_new (clean->len + 1);

      base_letters (clean->str, clean->len, base);
      g_string_assign (clean, base->str);
    }
  else if (step->strip_accents)
    {
      g_autoptr (GString) parts = g_string_sized_new (clean->len + 1);

      atl_utf8_normalize (clean->str, clean->len, ATL_FORM_NFD, parts);
      g_string_truncate (clean, 0);
      drop_marks (parts->str, parts->len, FALSE, clean);
    }
  if (step->lowercase)
    lowercase (clean->str, clean->len, out);
  else
    g_string_append_len (out, clean->str, (gssize) clean->len);
}

static void
sentencepiece (const Step *step, const char *text, gsize len, GString *out)
{
  const char *space = step->escape ? MARK : " ";
  const char *p = text, *end = text + len;
  gboolean inside = FALSE;

  if (step->merge)
    {
      while (p < end && *p == ' ')
        p++;
      while (end > p && end[-1] == ' ')
        end--;
    }
  if (p == end)
    return;
  if (step->prefix && !step->suffix)
    g_string_append (out, space);
  for (; p < end; p++)
    {
      if (*p != ' ')
        g_string_append_c (out, *p);
      else if (!(step->merge && inside))
        g_string_append (out, space);
      inside = *p == ' ';
    }
  if (step->prefix && step->suffix)
    g_string_append (out, space);
}

static gboolean
replace_regex (const Step *step, const char *text, gsize len, GString *out, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *result = NULL;

  result = g_regex_replace_literal (atl_bounded_regex_for (step->regex, len), text, (gssize) len, 0,
                                    step->with, 0, &local);
  if (result == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_TOO_COMPLEX,
                   _ ("The tokenizer's own expression gave up on this text: %s"),
                   local != NULL ? local->message : _ ("no reason given"));
      return FALSE;
    }
  g_string_append (out, result);
  return TRUE;
}

static gboolean
run_step (const Step *step, const char *text, gsize len, GString *out, GError **error)
{
  switch (step->kind)
    {
    case STEP_FORM:
      atl_utf8_normalize (text, len, step->form, out);
      break;
    case STEP_LOWERCASE:
      lowercase (text, len, out);
      break;
    case STEP_STRIP_ACCENTS:
      drop_marks (text, len, TRUE, out);
      break;
    case STEP_REPLACE:
      replace (text, len, step->what, step->with, out);
      break;
    case STEP_REPLACE_SPACES:
      replace_spaces (text, len, step->with, out);
      break;
    case STEP_REPLACE_REGEX:
      return replace_regex (step, text, len, out, error);
    case STEP_PREPEND:
      if (len > 0)
        g_string_append (out, step->with);
      g_string_append_len (out, text, (gssize) len);
      break;
    case STEP_STRIP:
      strip (text, len, step->left, step->right, out);
      break;
    case STEP_BERT:
      bert (step, text, len, out);
      break;
    case STEP_CHARSMAP:
      atl_charsmap_apply (step->charsmap, text, len, out);
      break;
    case STEP_SENTENCEPIECE:
      sentencepiece (step, text, len, out);
      break;
    }
  return TRUE;
}

gboolean
atl_normalizer_run (
    const AtlNormalizer *self, const char *text, gsize len, GString *out, GError **error)
{
  g_autoptr (GString) before = g_string_new_len (text, (gssize) len);

  for (guint i = 0; i < self->steps->len; i++)
    {
      g_autoptr (GString) after = g_string_sized_new (before->len + 16);
      GString *swap;

      if (!run_step (&g_array_index (self->steps, Step, i), before->str, before->len, after, error))
        return FALSE;
      if (after->len > MAX_OUTPUT)
        {
          g_set_error_literal (error, ATL_ERROR, ATL_ERROR_TOO_COMPLEX,
                               _ ("The tokenizer's rules make this text grow without bound"));
          return FALSE;
        }
      swap = before;
      before = after;
      after = swap;
    }
  g_string_append_len (out, before->str, (gssize) before->len);
  return TRUE;
}
