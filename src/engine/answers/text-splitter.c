/* The thinking section and stop strings of a stream, decided as early as possible. */
#define G_LOG_DOMAIN "atl-answers"

#include "engine/answers/text-splitter.h"

#include <string.h>

typedef enum
{
  START,    /* only blanks so far: an opening mark may come */
  OPENED,   /* after the opening mark: blanks are dropped */
  THINKING, /* until the closing mark */
  GAP,      /* after the closing mark: blanks are dropped */
  ANSWER,
  STOPPED,
} State;

struct _AtlTextSplitter
{
  char *open, *close;               /* (nullable) */
  char *answer_open, *answer_close; /* (nullable) */
  char **stop;
  AtlTextSplitterFunc emit;
  gpointer user_data;
  State state;
  gboolean is_wrapped; /* answer_open came */
  GString *held;       /* not decided yet */
};

AtlTextSplitter *
atl_text_splitter_new (const char *open,
                       const char *close,
                       gboolean is_open,
                       const char *const *stop,
                       AtlTextSplitterFunc emit,
                       gpointer user_data)
{
  AtlTextSplitter *self = g_new0 (AtlTextSplitter, 1);

  self->open = g_strdup (open);
  self->close = g_strdup (close);
  self->stop = stop != NULL ? g_strdupv ((char **) stop) : g_new0 (char *, 1);
  self->emit = emit;
  self->user_data = user_data;
  self->held = g_string_new (NULL);
  self->state = close == NULL ? ANSWER : is_open ? OPENED : START;
  return self;
}

void
atl_text_splitter_set_wrapper (AtlTextSplitter *self, const char *open, const char *close)
{
  g_free (self->answer_open);
  g_free (self->answer_close);
  self->answer_open = g_strdup (open);
  self->answer_close = g_strdup (close);
}

void
atl_text_splitter_free (AtlTextSplitter *self)
{
  if (self == NULL)
    return;
  g_free (self->open);
  g_free (self->close);
  g_free (self->answer_open);
  g_free (self->answer_close);
  g_strfreev (self->stop);
  g_string_free (self->held, TRUE);
  g_free (self);
}

/* Emits and forgets the first `n` bytes held. */
static void
release (AtlTextSplitter *self, gsize n, gboolean is_thinking)
{
  g_autofree char *text = NULL;

  if (n == 0)
    return;
  text = g_strndup (self->held->str, n);
  g_string_erase (self->held, 0, (gssize) n);
  self->emit (text, is_thinking, self->user_data);
}

/* How many bytes at the end of the held text could be the beginning of `mark`. */
static gsize
overlap (const GString *held, const char *mark)
{
  gsize n = MIN (held->len, strlen (mark) - 1);

  while (n > 0 && strncmp (held->str + held->len - n, mark, n) != 0)
    n--;
  return n;
}

static gsize
count_blanks (const GString *held)
{
  return strspn (held->str, " \t\r\n");
}

/* Each step returns TRUE when the state changed and the rest must be looked at again. */
static gboolean
step_start (AtlTextSplitter *self)
{
  const char *text = self->held->str + count_blanks (self->held);
  gsize open_len = self->open != NULL ? strlen (self->open) : 0;

  if (*text == '\0')
    return FALSE;
  if (open_len > 0 && g_str_has_prefix (text, self->open))
    {
      g_string_erase (self->held, 0, text - self->held->str + (gssize) open_len);
      self->state = OPENED;
      return TRUE;
    }
  if (open_len > 0 && strlen (text) < open_len && g_str_has_prefix (self->open, text))
    return FALSE;
  self->state = ANSWER;
  return TRUE;
}

static gboolean
step_opened (AtlTextSplitter *self)
{
  g_string_erase (self->held, 0, (gssize) count_blanks (self->held));
  if (self->held->len == 0)
    return FALSE;
  self->state = THINKING;
  return TRUE;
}

static gboolean
step_thinking (AtlTextSplitter *self)
{
  const char *end = strstr (self->held->str, self->close);

  if (end == NULL)
    {
      release (self, self->held->len - overlap (self->held, self->close), TRUE);
      return FALSE;
    }
  release (self, end - self->held->str, TRUE);
  g_string_erase (self->held, 0, (gssize) strlen (self->close));
  self->state = GAP;
  return TRUE;
}

static gboolean
step_gap (AtlTextSplitter *self)
{
  const char *mark = self->answer_open;

  g_string_erase (self->held, 0, (gssize) count_blanks (self->held));
  if (self->held->len == 0)
    return FALSE;
  if (mark != NULL && self->held->len < strlen (mark) && g_str_has_prefix (mark, self->held->str))
    return FALSE;
  if (mark != NULL && g_str_has_prefix (self->held->str, mark))
    {
      g_string_erase (self->held, 0, (gssize) strlen (mark));
      self->is_wrapped = TRUE;
      g_clear_pointer (&self->answer_open, g_free);
      return TRUE;
    }
  self->state = ANSWER;
  return TRUE;
}

/* Takes the mark behind the answer, and the line end before it, out of the text. */
static void
drop_wrapper (AtlTextSplitter *self, const char *mark)
{
  gsize at = (gsize) (mark - self->held->str), n = strlen (self->answer_close);

  if (at > 0 && self->held->str[at - 1] == '\n')
    {
      at--;
      n++;
    }
  g_string_erase (self->held, (gssize) at, (gssize) n);
  self->is_wrapped = FALSE;
}

static gboolean
step_answer (AtlTextSplitter *self)
{
  gsize keep = 0;
  const char *first = NULL;

  if (self->is_wrapped)
    {
      const char *mark = strstr (self->held->str, self->answer_close);

      if (mark != NULL)
        drop_wrapper (self, mark);
      else
        {
          keep = overlap (self->held, self->answer_close);
          keep += keep < self->held->len && self->held->str[self->held->len - keep - 1] == '\n';
        }
    }

  for (char **stop = self->stop; *stop != NULL; stop++)
    {
      const char *found = strstr (self->held->str, *stop);

      if (found != NULL && (first == NULL || found < first))
        first = found;
      keep = MAX (keep, overlap (self->held, *stop));
    }
  if (first == NULL)
    {
      release (self, self->held->len - keep, FALSE);
      return FALSE;
    }
  release (self, first - self->held->str, FALSE);
  g_string_truncate (self->held, 0);
  self->state = STOPPED;
  return FALSE;
}

gboolean
atl_text_splitter_push (AtlTextSplitter *self, const char *text)
{
  static gboolean (*const steps[]) (AtlTextSplitter *) = {
    [START] = step_start, [OPENED] = step_opened, [THINKING] = step_thinking,
    [GAP] = step_gap,     [ANSWER] = step_answer,
  };

  if (self->state == STOPPED)
    return TRUE;
  g_string_append (self->held, text);
  while (self->state != STOPPED && steps[self->state](self))
    ;
  return self->state == STOPPED;
}

void
atl_text_splitter_finish (AtlTextSplitter *self)
{
  if (self->state != STOPPED && self->state != GAP)
    release (self, self->held->len, self->state == THINKING);
  g_string_truncate (self->held, 0);
  self->state = STOPPED;
}

gboolean
atl_text_splitter_is_thinking (const AtlTextSplitter *self)
{
  return self->state == OPENED || self->state == THINKING;
}
