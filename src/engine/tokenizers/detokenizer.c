/* Token ids to valid UTF-8, piece by piece. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/detokenizer.h"

#include "engine/tokenizers/codepoints.h"

struct _AtlDetokenizer
{
  AtlTokenizer *tokenizer; /* (owned) */
  gboolean show_special;
  gboolean strip_prefix;
  gboolean at_start; /* no text was seen yet */
  char held[4];      /* the beginning of an unfinished character */
  guint n_held;
};

AtlDetokenizer *
atl_detokenizer_new (AtlTokenizer *tokenizer, gboolean show_special, gboolean strip_prefix)
{
  AtlDetokenizer *self = g_new0 (AtlDetokenizer, 1);

  self->tokenizer = atl_tokenizer_ref (tokenizer);
  self->show_special = show_special;
  self->strip_prefix = strip_prefix && atl_tokenizer_adds_space_prefix (tokenizer);
  self->at_start = TRUE;
  return self;
}

void
atl_detokenizer_free (AtlDetokenizer *self)
{
  if (self == NULL)
    return;
  atl_tokenizer_unref (self->tokenizer);
  g_free (self);
}

/* Whether [p, end), no character by itself, may become one with more bytes. */
static gboolean
may_go_on (const char *p, const char *end)
{
  const guint8 *s = (const guint8 *) p;
  gsize n = (gsize) (end - p), length;

  if (s[0] >= 0xc2 && s[0] <= 0xdf)
    length = 2;
  else if (s[0] >= 0xe0 && s[0] <= 0xef)
    length = 3;
  else if (s[0] >= 0xf0 && s[0] <= 0xf4)
    length = 4;
  else
    return FALSE;
  if (n >= length)
    return FALSE;
  /* The second byte already rules out overlong forms, surrogates and values past U+10FFFF. */
  if (n > 1 && ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
                (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)))
    return FALSE;
  for (gsize i = 1; i < n; i++)
    if ((s[i] & 0xc0) != 0x80)
      return FALSE;
  return TRUE;
}

static void
push_byte (AtlDetokenizer *self, char byte, GString *out)
{
  self->held[self->n_held++] = byte;
  while (self->n_held > 0)
    {
      gunichar c;
      guint n = atl_utf8_decode (self->held, self->held + self->n_held, &c);

      if (n > 0)
        g_string_append_len (out, self->held, n);
      else if (may_go_on (self->held, self->held + self->n_held))
        return;
      else
        {
          /* The longest beginning of a character is one mistake, as in every UTF-8 decoder. */
          n = MAX (self->n_held - 1, 1);
          g_string_append (out, "\xef\xbf\xbd");
        }
      for (guint i = n; i < self->n_held; i++)
        self->held[i - n] = self->held[i];
      self->n_held -= n;
    }
}

void
atl_detokenizer_push (AtlDetokenizer *self, gint32 id, GString *out)
{
  gsize len;
  const char *bytes = atl_tokenizer_token_bytes (self->tokenizer, id, self->show_special, &len);

  if (len == 0)
    return;
  if (self->at_start && self->strip_prefix &&
      atl_tokenizer_token_type (self->tokenizer, id) != ATL_TOKEN_CONTROL)
    {
      self->at_start = FALSE;
      if (bytes[0] == ' ')
        {
          bytes++;
          len--;
        }
    }
  for (gsize i = 0; i < len; i++)
    push_byte (self, bytes[i], out);
}

void
atl_detokenizer_finish (AtlDetokenizer *self, GString *out)
{
  if (self->n_held > 0)
    g_string_append (out, "\xef\xbf\xbd");
  self->n_held = 0;
  self->at_start = TRUE;
}

char *
atl_tokenizer_decode (AtlTokenizer *tokenizer,
                      const gint32 *ids,
                      gsize n_ids,
                      gboolean show_special,
                      gboolean strip_prefix)
{
  g_autoptr (AtlDetokenizer) detok = atl_detokenizer_new (tokenizer, show_special, strip_prefix);
  GString *out = g_string_new (NULL);

  for (gsize i = 0; i < n_ids; i++)
    atl_detokenizer_push (detok, ids[i], out);
  atl_detokenizer_finish (detok, out);
  return g_string_free (out, FALSE);
}
