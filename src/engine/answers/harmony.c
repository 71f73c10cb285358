/* Messages one after the other: a header up to <|message|>, a body up to a mark that ends it. */
#define G_LOG_DOMAIN "atl-answers"

#include "engine/answers/harmony.h"

#include <string.h>

#define MAX_HEADER 512u
#define MESSAGE "<|message|>"
#define TO "to="
#define FUNCTIONS "functions."

static const char *const marks[] = { "<|start|>",  "<|end|>",  "<|message|>",   "<|channel|>",
                                     "<|return|>", "<|call|>", "<|constrain|>", NULL };
/* What ends a body; the first begins the next header. */
static const char *const ends[] = { "<|start|>", "<|end|>", "<|call|>", "<|return|>", NULL };

typedef enum
{
  HEADER,
  TEXT,
  THINKING,
  CALL,
} State;

struct _AtlHarmony
{
  AtlToolSet *tools; /* (nullable) */
  AtlHarmonyTextFunc text;
  AtlToolCallSink calls;
  State state;
  GString *held;      /* header, or what may be the beginning of a mark */
  GString *body;      /* of a call */
  char *recipient;    /* (nullable) of a call */
  gboolean was_taken; /* the beginning of a call in this header was told */
};

AtlHarmony *
atl_harmony_new (AtlToolSet *tools,
                 gboolean is_body,
                 gboolean is_thinking,
                 AtlHarmonyTextFunc text,
                 const AtlToolCallSink *calls)
{
  AtlHarmony *self = g_new0 (AtlHarmony, 1);

  self->tools = tools != NULL ? atl_tool_set_ref (tools) : NULL;
  self->text = text;
  self->calls = *calls;
  self->state = is_thinking ? THINKING : is_body ? TEXT : HEADER;
  self->held = g_string_new (NULL);
  self->body = g_string_new (NULL);
  return self;
}

void
atl_harmony_free (AtlHarmony *self)
{
  if (self == NULL)
    return;
  atl_tool_set_unref (self->tools);
  g_string_free (self->held, TRUE);
  g_string_free (self->body, TRUE);
  g_free (self->recipient);
  g_free (self);
}

void
atl_harmony_visit_marks (void (*visit) (const char *mark, gpointer data), gpointer data)
{
  for (const char *const *mark = marks; *mark != NULL; mark++)
    visit (*mark, data);
}

static void
emit (AtlHarmony *self, const char *text, gsize n)
{
  g_autofree char *copy = g_strndup (text, n);

  if (n == 0)
    return;
  if (self->state == CALL)
    g_string_append_len (self->body, text, (gssize) n);
  else
    self->text (copy, self->state == THINKING, self->calls.user_data);
}

/* --- Headers --- */

/* The word behind "to="; (nullable). */
static char *
find_recipient (const char *header)
{
  const char *to = strstr (header, TO);

  if (to == NULL)
    return NULL;
  to += strlen (TO);
  return g_strndup (to, strcspn (to, " <\t\n"));
}

static void
read_header (AtlHarmony *self, const char *header)
{
  const char *channel = strstr (header, "<|channel|>");

  g_clear_pointer (&self->recipient, g_free);
  self->recipient = find_recipient (header);
  g_string_truncate (self->body, 0);
  self->was_taken = FALSE;
  if (channel != NULL)
    channel += strlen ("<|channel|>");
  if (self->recipient != NULL && !g_str_equal (self->recipient, "user"))
    self->state = CALL;
  else
    self->state = channel != NULL && g_str_has_prefix (channel, "analysis") ? THINKING : TEXT;
}

/* A header is made of marks and a few words: an answer that begins without one is text. */
static gboolean
may_be_header (const GString *held, gsize length)
{
  static const char *const begins[] = { "<|", "assistant", " to=", "to=", " ", NULL };

  if (length > MAX_HEADER)
    return FALSE;
  for (const char *const *begin = begins; *begin != NULL; begin++)
    if (strncmp (held->str, *begin, MIN (held->len, strlen (*begin))) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
step_header (AtlHarmony *self)
{
  char *end = strstr (self->held->str, MESSAGE);
  gsize length = self->held->len;

  if (length == 0)
    return FALSE;
  /* The last bytes may be the beginning of the mark: where the text is cut makes no difference. */
  length =
      end != NULL ? (gsize) (end - self->held->str) : length - MIN (length, strlen (MESSAGE) - 1);
  if (!may_be_header (self->held, length))
    {
      self->state = TEXT;
      return TRUE;
    }
  if (end != NULL)
    {
      g_autofree char *header = g_strndup (self->held->str, (gsize) (end - self->held->str));

      g_string_erase (self->held, 0, end - self->held->str + (gssize) strlen (MESSAGE));
      read_header (self, header);
      return TRUE;
    }
  return FALSE;
}

/* --- Bodies --- */

static void
end_call (AtlHarmony *self)
{
  const char *name = self->recipient;

  if (g_str_has_prefix (name, FUNCTIONS))
    name += strlen (FUNCTIONS);
  if (!atl_tool_call_tell (self->tools, &self->calls, NULL, name, self->body->str, self->body->len))
    {
      g_autofree char *words =
          g_strdup_printf ("%s%s%s ", "to=", self->recipient, self->body->len > 0 ? ":" : "");

      self->text (words, FALSE, self->calls.user_data);
      if (self->body->len > 0)
        self->text (self->body->str, FALSE, self->calls.user_data);
    }
  g_string_truncate (self->body, 0);
  g_clear_pointer (&self->recipient, g_free);
}

static void
end_body (AtlHarmony *self)
{
  if (self->state == CALL)
    end_call (self);
  self->state = HEADER;
}

static gboolean
step_body (AtlHarmony *self)
{
  const char *first = NULL, *which = NULL;
  gsize keep = 0;

  for (const char *const *end = ends; *end != NULL; end++)
    {
      const char *found = strstr (self->held->str, *end);
      gsize n = MIN (self->held->len, strlen (*end) - 1);

      if (found != NULL && (first == NULL || found < first))
        {
          first = found;
          which = *end;
        }
      while (n > 0 && memcmp (self->held->str + self->held->len - n, *end, n) != 0)
        n--;
      keep = MAX (keep, n);
    }
  if (first == NULL)
    {
      emit (self, self->held->str, self->held->len - keep);
      g_string_erase (self->held, 0, (gssize) (self->held->len - keep));
      /* More than any arguments: it is shown instead. */
      if (self->state == CALL && self->body->len > ATL_TOOL_CALL_MAX_BYTES)
        {
          end_call (self);
          self->state = TEXT;
        }
      return FALSE;
    }
  emit (self, self->held->str, (gsize) (first - self->held->str));
  g_string_erase (self->held, 0, first - self->held->str + (gssize) strlen (which));
  end_body (self);
  return TRUE;
}

void
atl_harmony_push (AtlHarmony *self, const char *text)
{
  g_string_append (self->held, text);
  while (self->state == HEADER ? step_header (self) : step_body (self))
    ;
}

void
atl_harmony_finish (AtlHarmony *self)
{
  if (self->state != HEADER)
    {
      emit (self, self->held->str, self->held->len);
      end_body (self);
    }
  /* Of a header that never ended, only words that may have been an answer are shown. */
  else if (self->held->len > 0 && !may_be_header (self->held, self->held->len))
    self->text (self->held->str, FALSE, self->calls.user_data);
  g_string_truncate (self->held, 0);
}

gboolean
atl_harmony_is_thinking (const AtlHarmony *self)
{
  return self->state == THINKING;
}

const char *
atl_harmony_take_opened (AtlHarmony *self)
{
  const char *to =
      self->state == HEADER && !self->was_taken ? strstr (self->held->str, TO FUNCTIONS) : NULL;

  if (to == NULL)
    return NULL;
  self->was_taken = TRUE;
  return to + strlen (TO FUNCTIONS);
}
