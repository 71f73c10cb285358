/* Cleaning of prompts: HTML entities and white space. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/prompt-clean.h"

#include <stdlib.h>
#include <string.h>

#include "engine/tokenizers/codepoints.h"
#include "engine/tokenizers/html-entities.h"

#define MAX_NAME 10

static int
compare_name (const void *key, const void *entry)
{
  return strcmp (key, *(const char *const *) entry);
}

/* "&#123;" or "&#x7b;" at `p`: the character and the length of the whole; 0 when it is neither. */
static gsize
numeric_entity (const char *p, const char *end, gunichar *c)
{
  const char *q = p + 2;
  guint base = q < end && (*q == 'x' || *q == 'X') ? 16 : 10;
  const char *digits;
  guint64 value = 0;

  q += base == 16;
  for (digits = q; q < end && (base == 16 ? g_ascii_isxdigit (*q) : g_ascii_isdigit (*q)); q++)
    value = MIN (value * base + (guint) g_ascii_xdigit_value (*q), 0x110000);
  if (q == digits)
    return 0;
  *c = value == 0 || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff) ? 0xfffd
                                                                              : (gunichar) value;
  return (gsize) (q - p) + (q < end && *q == ';');
}

static gsize
named_entity (const char *p, const char *end, gunichar *c)
{
  char name[MAX_NAME + 1];
  gsize n = 0;

  while (p + 1 + n < end && n < MAX_NAME && g_ascii_isalnum (p[1 + n]))
    {
      name[n] = p[1 + n];
      n++;
    }
  name[n] = 0;
  if (n > 0 && p + 1 + n < end && p[1 + n] == ';')
    {
      const void *hit = bsearch (name, html_entities, G_N_ELEMENTS (html_entities),
                                 sizeof html_entities[0], compare_name);

      if (hit != NULL)
        {
          *c = html_entities[((const char *) hit - (const char *) html_entities) /
                             sizeof html_entities[0]]
                   .c;
          return n + 2;
        }
    }
  return 0;
}

static GString *
unescape (const char *text, gsize len)
{
  GString *out = g_string_sized_new (len + 1);
  const char *p = text, *end = text + len;

  while (p < end)
    {
      gunichar c = 0;
      gsize n = 0;

      if (*p == '&' && p + 2 < end)
        n = p[1] == '#' ? numeric_entity (p, end, &c) : named_entity (p, end, &c);
      if (n > 0)
        g_string_append_unichar (out, c);
      else
        g_string_append_len (out, p, n = 1);
      p += n;
    }
  return out;
}

char *
atl_prompt_clean (const char *text, gssize len)
{
  gsize size = len < 0 ? strlen (text) : (gsize) len;
  g_autofree char *repaired = atl_utf8_repair (text, size, &size);
  g_autoptr (GString) once = unescape (repaired != NULL ? repaired : text, size);
  g_autoptr (GString) twice = unescape (once->str, once->len);
  GString *out = g_string_sized_new (twice->len + 1);
  gboolean space = FALSE;

  for (const char *p = twice->str, *end = p + twice->len, *next; p < end; p = next)
    {
      next = g_utf8_next_char (p);
      if (atl_cp_class (g_utf8_get_char (p)) == ATL_CP_SPACE)
        space = TRUE;
      else
        {
          if (space && out->len > 0)
            g_string_append_c (out, ' ');
          g_string_append_len (out, p, next - p);
          space = FALSE;
        }
    }
  return g_string_free (out, FALSE);
}
