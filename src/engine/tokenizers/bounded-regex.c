/* One expression compiled with two bounds. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/bounded-regex.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/tokenizers/vocabulary.h"

#define MAX_PATTERN 4096 /* bytes */
#define SHORT_TEXT (16 * 1024)

struct _AtlBoundedRegex
{
  GRegex *for_short, *for_long; /* (owned) */
};

static GRegex *
compile (const char *pattern, guint limit, GError **error)
{
  g_autofree char *bounded =
      g_strdup_printf ("(*LIMIT_MATCH=%u)(*LIMIT_DEPTH=2000)%s", limit, pattern);

  /* With any other idea of line ends PCRE looks for no match between CR and LF. */
  return g_regex_new (bounded, G_REGEX_OPTIMIZE | G_REGEX_NEWLINE_LF, 0, error);
}

AtlBoundedRegex *
atl_bounded_regex_new (const char *pattern, guint before, GError **error)
{
  g_autoptr (AtlBoundedRegex) self = g_new0 (AtlBoundedRegex, 1);
  g_autofree char *shown = atl_vocabulary_quote (pattern, strlen (pattern));
  g_autoptr (GError) local = NULL;

  if (before >= ATL_BOUNDED_REGEX_MAX)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("The tokenizer goes over text with more than %d expressions of its own"),
                   ATL_BOUNDED_REGEX_MAX);
      return NULL;
    }
  /* Oniguruma reads "&&" inside a class as an intersection, PCRE as two letters. */
  if (strlen (pattern) <= MAX_PATTERN && strstr (pattern, "&&") == NULL)
    {
      self->for_short = compile (pattern, 100 * 1000, &local);
      if (local == NULL)
        self->for_long = compile (pattern, 25 * 1000, &local);
    }
  if (self->for_long == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("The tokenizer cuts text by an expression that is not known here: %s"),
                   local != NULL ? local->message : shown);
      return NULL;
    }
  return g_steal_pointer (&self);
}

void
atl_bounded_regex_free (AtlBoundedRegex *self)
{
  if (self == NULL)
    return;
  g_clear_pointer (&self->for_short, g_regex_unref);
  g_clear_pointer (&self->for_long, g_regex_unref);
  g_free (self);
}

GRegex *
atl_bounded_regex_for (const AtlBoundedRegex *self, gsize len)
{
  return len <= SHORT_TEXT ? self->for_short : self->for_long;
}
