/* The streaming reader of all framed formats; the rows of tool-format.c say what stands where.
 *
 * Everything not decided yet is in `held`; `at` is where reading goes on. A step returns TRUE when
 * it got further; without new text it returns FALSE and waits. */
#define G_LOG_DOMAIN "atl-answers"

#include "engine/answers/tool-call-parser.h"

#include <string.h>

#include "engine/answers/tool-call-private.h"

AtlToolCallParser *
atl_tool_call_parser_new (const AtlToolFormat *format,
                          AtlToolSet *tools,
                          const AtlToolCallSink *sink)
{
  AtlToolCallParser *self = g_new0 (AtlToolCallParser, 1);

  g_return_val_if_fail (format->style != ATL_CALL_HARMONY, NULL);
  self->format = format;
  self->tools = tools != NULL ? atl_tool_set_ref (tools) : NULL;
  self->sink = *sink;
  self->held = g_string_new (NULL);
  self->since = g_string_new (NULL);
  self->arguments = g_string_new (NULL);
  return self;
}

void
atl_tool_call_parser_free (AtlToolCallParser *self)
{
  if (self == NULL)
    return;
  atl_tool_set_unref (self->tools);
  g_string_free (self->held, TRUE);
  g_string_free (self->since, TRUE);
  g_string_free (self->arguments, TRUE);
  g_free (self->id);
  g_free (self->name);
  g_free (self->key);
  g_free (self);
}

/* --- Marks --- */

static gboolean
is_blank (char c)
{
  return c != '\0' && strchr (ATL_CALL_BLANKS, c) != NULL;
}

/* Whether `mark` stands at `at`, any blanks for its blanks; those at its ends do not count. */
AtlCallMatch
atl_call_match (const AtlToolCallParser *self, gsize at, const char *mark, gsize *end)
{
  const char *text = self->held->str;

  mark += strspn (mark, ATL_CALL_BLANKS);
  while (*mark != '\0')
    {
      if (is_blank (*mark))
        {
          mark += strspn (mark, ATL_CALL_BLANKS);
          if (*mark == '\0')
            break;
          at += strspn (text + at, ATL_CALL_BLANKS);
          continue;
        }
      if (at >= self->held->len)
        return self->at_end ? ATL_CALL_NO : ATL_CALL_PARTLY;
      if (text[at] != *mark)
        return ATL_CALL_NO;
      at++;
      mark++;
    }
  *end = at;
  return ATL_CALL_YES;
}

gsize
atl_call_skip_blanks (const AtlToolCallParser *self, gsize at)
{
  return at + strspn (self->held->str + at, ATL_CALL_BLANKS);
}

/* Whether the word before plain text stands at `at`, with blanks behind it. */
AtlCallMatch
atl_call_match_head (const AtlToolCallParser *self, gsize at, gsize *end)
{
  AtlCallMatch match = atl_call_match (self, at, self->format->text_head, end);

  if (match != ATL_CALL_YES)
    return match;
  if (*end == self->held->len)
    return self->at_end ? ATL_CALL_NO : ATL_CALL_PARTLY;
  at = *end;
  *end = atl_call_skip_blanks (self, at);
  return *end > at ? ATL_CALL_YES : ATL_CALL_NO;
}

/* `mark` without the blanks at its ends. */
char *
atl_call_trimmed (const char *mark)
{
  char *copy = g_strdup (mark + strspn (mark, ATL_CALL_BLANKS));
  gsize n = strlen (copy);

  while (n > 0 && is_blank (copy[n - 1]))
    copy[--n] = '\0';
  return copy;
}

/* How many bytes at the end of the held text could be the beginning of `mark`. */
static gsize
overlap (const GString *held, const char *mark)
{
  gsize n = MIN (held->len, strlen (mark) - 1);

  while (n > 0 && memcmp (held->str + held->len - n, mark, n) != 0)
    n--;
  return n;
}

/* --- Text --- */

static void
release (AtlToolCallParser *self, gsize n)
{
  g_autofree char *text = NULL;

  if (n == 0)
    return;
  text = g_strndup (self->held->str, n);
  g_string_erase (self->held, 0, (gssize) n);
  self->sink.text (text, self->sink.user_data);
}

/* The first `mark` bytes of held text, blanks among them, open a section. */
static void
open_section (AtlToolCallParser *self, gsize mark)
{
  self->mark_len = self->at = mark;
  self->n_in_section = 0;
  self->state = ATL_CALL_AT_CALL;
}

/* It was no call. */
gboolean
atl_call_fail (AtlToolCallParser *self)
{
  self->n_failures++;
  self->has_since = FALSE;
  release (self, self->mark_len);
  self->mark_len = self->at = 0;
  self->state =
      self->n_failures > ATL_TOOL_CALL_MAX_FAILURES ? ATL_CALL_AT_PLAIN : ATL_CALL_AT_TEXT;
  return TRUE;
}

/* What was read is done with. */
void
atl_call_consume (AtlToolCallParser *self)
{
  g_string_erase (self->held, 0, (gssize) self->at);
  self->at = self->mark_len = 0;
}

gboolean
atl_call_end_section (AtlToolCallParser *self)
{
  atl_call_consume (self);
  self->state = ATL_CALL_AT_TEXT;
  return TRUE;
}

static gboolean
step_start (AtlToolCallParser *self)
{
  const AtlToolFormat *f = self->format;
  gsize at = atl_call_skip_blanks (self, 0), end;
  gsize n = strspn (self->held->str + at, ATL_CALL_NAME_LETTERS);

  if (at == self->held->len)
    return FALSE;
  if (f->text_head != NULL)
    switch (atl_call_match_head (self, at, &end))
      {
      case ATL_CALL_PARTLY:
        return FALSE;
      case ATL_CALL_YES:
        g_string_erase (self->held, 0, (gssize) end);
        self->state = ATL_CALL_AT_TEXT;
        return TRUE;
      case ATL_CALL_NO:
      default:
        break;
      }
  if ((f->is_bare || f->reads_bare) && f->style == ATL_CALL_JSON && self->held->str[at] == '{')
    {
      open_section (self, at);
      return TRUE;
    }
  if (f->is_bare && f->style == ATL_CALL_NAMED && n > 0 && n <= ATL_CALL_MAX_NAME)
    {
      if (at + n == self->held->len && !self->at_end)
        return FALSE;
      if (self->tools == NULL || atl_tool_set_find (self->tools, self->held->str + at, n) >= 0)
        {
          open_section (self, at);
          return TRUE;
        }
    }
  self->state = ATL_CALL_AT_TEXT;
  return TRUE;
}

/* The first place of one of the two marks. */
static const char *
find_open (const AtlToolCallParser *self, const char *open, const char *alt, gboolean *is_alt)
{
  const char *first = strstr (self->held->str, open);
  const char *other = alt != NULL ? strstr (self->held->str, alt) : NULL;

  *is_alt = other != NULL && (first == NULL || other < first);
  return *is_alt ? other : first;
}

static gboolean
step_text (AtlToolCallParser *self)
{
  g_autofree char *open = atl_call_trimmed (self->format->open);
  const char *alt = self->format->alt_open, *found;
  gsize n, keep;
  gboolean is_alt;

  found = find_open (self, open, alt, &is_alt);
  n = found != NULL ? (gsize) (found - self->held->str) : self->held->len;
  if (found == NULL)
    {
      keep = overlap (self->held, open);
      if (alt != NULL)
        keep = MAX (keep, overlap (self->held, alt));
      n -= keep;
    }
  /* Blanks wait: before a call they go. */
  while (n > 0 && is_blank (self->held->str[n - 1]))
    n--;
  release (self, n);
  if (found == NULL)
    return FALSE;
  n = atl_call_skip_blanks (self, 0);
  open_section (self, n + strlen (is_alt ? alt : open));
  /* The alternative mark is the beginning of the call itself. */
  if (is_alt)
    self->at = n;
  else
    {
      g_string_assign (self->since, self->held->str + self->at);
      self->has_since = TRUE;
    }
  return TRUE;
}

/* --- Life of a call --- */

void
atl_call_forget (AtlToolCallParser *self)
{
  g_clear_pointer (&self->id, g_free);
  g_clear_pointer (&self->name, g_free);
  g_clear_pointer (&self->key, g_free);
  g_string_truncate (self->arguments, 0);
}

/* --- The whole --- */

static gboolean
step (AtlToolCallParser *self)
{
  static gboolean (*const steps[]) (AtlToolCallParser *) = {
    [ATL_CALL_AT_START] = step_start,          [ATL_CALL_AT_TEXT] = step_text,
    [ATL_CALL_AT_CALL] = atl_call_step_call,   [ATL_CALL_AT_NAME] = atl_call_step_name,
    [ATL_CALL_AT_ARGS] = atl_call_step_args,   [ATL_CALL_AT_AFTER_ARGS] = atl_call_step_after_args,
    [ATL_CALL_AT_KEY] = atl_call_step_key,     [ATL_CALL_AT_VALUE] = atl_call_step_value,
    [ATL_CALL_AT_WHOLE] = atl_call_step_whole, [ATL_CALL_AT_CLOSE] = atl_call_step_close,
  };

  if (self->state == ATL_CALL_AT_PLAIN)
    {
      release (self, self->held->len);
      return FALSE;
    }
  return steps[self->state](self);
}

static gboolean
is_inside (const AtlToolCallParser *self)
{
  return self->state != ATL_CALL_AT_START && self->state != ATL_CALL_AT_TEXT &&
         self->state != ATL_CALL_AT_PLAIN;
}

void
atl_tool_call_parser_push (AtlToolCallParser *self, const char *text)
{
  g_string_append (self->held, text);
  self->has_since = FALSE;
  while (step (self))
    ;
  if (is_inside (self) && self->held->len > ATL_TOOL_CALL_MAX_BYTES)
    {
      atl_call_forget (self);
      self->state = ATL_CALL_AT_PLAIN;
      release (self, self->held->len);
    }
}

void
atl_tool_call_parser_finish (AtlToolCallParser *self)
{
  gboolean drops;

  self->at_end = TRUE;
  while (self->held->len > 0 && self->state != ATL_CALL_AT_PLAIN && step (self))
    ;
  /* Blanks behind the last call, and a closing mark that was begun, say nothing. */
  drops = self->state == ATL_CALL_AT_CLOSE || self->state == ATL_CALL_AT_AFTER_ARGS ||
          (self->n_calls > 0 && atl_call_skip_blanks (self, 0) == self->held->len) ||
          (self->state == ATL_CALL_AT_CALL && self->n_in_section > 0 &&
           atl_call_skip_blanks (self, self->at) == self->held->len);
  if (drops)
    g_string_truncate (self->held, 0);
  atl_call_forget (self);
  self->state = ATL_CALL_AT_PLAIN;
  release (self, self->held->len);
}

const char *
atl_tool_call_parser_take_opened (AtlToolCallParser *self)
{
  gboolean has_since = self->has_since;

  self->has_since = FALSE;
  return has_since ? self->since->str : NULL;
}
