/* Tokens as tags of a text. */
#include "app/notebook/token-tags.h"

#include <glib/gi18n.h>
#include <math.h>

#define CHOICES "atl-choices"

typedef struct
{
  char *text;
  double percent;
  gboolean chosen;
} Choice;

/* A token that waits for its text. */
typedef struct
{
  int n_chars;
  GArray *choices; /* (element-type Choice) */
} Waiting;

struct _AtlTokenTags
{
  GtkTextBuffer *buffer; /* borrowed */
  GQueue waiting;        /* (element-type Waiting) */
  int tagged;            /* offset in the buffer up to which tokens have their tags */
  int written;           /* offset up to which the model wrote */
};

static void
clear_choice (gpointer data)
{
  g_free (((Choice *) data)->text);
}

static void
free_waiting (gpointer data)
{
  Waiting *waiting = data;

  g_clear_pointer (&waiting->choices, g_array_unref);
  g_free (waiting);
}

AtlTokenTags *
atl_token_tags_new (GtkTextBuffer *buffer)
{
  AtlTokenTags *self = g_new0 (AtlTokenTags, 1);

  self->buffer = buffer;
  g_queue_init (&self->waiting);
  return self;
}

void
atl_token_tags_free (AtlTokenTags *self)
{
  if (self == NULL)
    return;
  g_queue_clear_full (&self->waiting, free_waiting);
  g_free (self);
}

void
atl_token_tags_begin (AtlTokenTags *self, int offset)
{
  g_queue_clear_full (&self->waiting, free_waiting);
  self->tagged = self->written = offset;
}

static void
add_choice (GArray *choices, const AtlTokenChoice *token, gboolean chosen)
{
  const Choice choice = { g_strdup (token->text), 100 * exp (token->logprob), chosen };

  g_array_append_val (choices, choice);
}

static GArray *
choices_of (const AtlChatToken *token)
{
  GArray *choices = g_array_new (FALSE, FALSE, sizeof (Choice));
  gboolean listed = FALSE;

  g_array_set_clear_func (choices, clear_choice);
  for (guint i = 0; i < token->n_top; i++)
    {
      gboolean chosen = token->top[i].id == token->chosen.id;
      listed |= chosen;
      add_choice (choices, &token->top[i], chosen);
    }
  if (!listed)
    add_choice (choices, &token->chosen, TRUE);
  return choices;
}

/* Tokens are told before their text is. */
static void
tag_written (AtlTokenTags *self)
{
  Waiting *next;

  while ((next = g_queue_peek_head (&self->waiting)) != NULL &&
         self->tagged + next->n_chars <= self->written)
    {
      GtkTextIter start, end;
      GtkTextTag *tag = gtk_text_buffer_create_tag (self->buffer, NULL, NULL);
      g_object_set_data_full (G_OBJECT (tag), CHOICES, g_steal_pointer (&next->choices),
                              (GDestroyNotify) g_array_unref);
      gtk_text_buffer_get_iter_at_offset (self->buffer, &start, self->tagged);
      gtk_text_buffer_get_iter_at_offset (self->buffer, &end, self->tagged + next->n_chars);
      gtk_text_buffer_apply_tag (self->buffer, tag, &start, &end);
      self->tagged += next->n_chars;
      free_waiting (g_queue_pop_head (&self->waiting));
    }
}

void
atl_token_tags_add (AtlTokenTags *self, GPtrArray *tokens)
{
  for (guint i = 0; i < tokens->len; i++)
    {
      const AtlChatToken *token = g_ptr_array_index (tokens, i);
      const char *text = token->chosen.text ? token->chosen.text : "";
      Waiting *waiting;

      /* Half a character, or the end: there is nothing to point at. */
      if (token->is_thinking || *text == '\0')
        continue;
      waiting = g_new0 (Waiting, 1);
      waiting->n_chars = (int) g_utf8_strlen (text, -1);
      waiting->choices = choices_of (token);
      g_queue_push_tail (&self->waiting, waiting);
    }
  tag_written (self);
}

void
atl_token_tags_inserted (AtlTokenTags *self, int n_chars)
{
  self->written += n_chars;
  tag_written (self);
}

/* Spaces and line ends are part of tokens and must be seen. */
static char *
visible (const char *text)
{
  g_autoptr (GString) out = g_string_new (NULL);

  for (const char *p = text ? text : ""; *p != '\0'; p = g_utf8_next_char (p))
    if (*p == '\n')
      g_string_append (out, "↵");
    else if (*p == ' ')
      g_string_append (out, "␣");
    else if (*p == '\t')
      g_string_append (out, "⇥");
    else if (*p == '\r')
      g_string_append (out, "␍");
    else
      g_string_append_unichar (out, g_utf8_get_char (p));
  return g_strdup (out->len > 0 ? out->str : "∅");
}

gboolean
atl_token_tags_point (GtkTextView *view, int x, int y, GtkTextIter *iter)
{
  int top, height;

  gtk_text_view_window_to_buffer_coords (view, GTK_TEXT_WINDOW_WIDGET, x, y, &x, &y);
  if (gtk_text_view_get_iter_at_location (view, iter, x, y))
    return TRUE;
  /* Nothing is drawn for a line end: the empty space behind a line, which is nearest to it, stands
   * for it. */
  gtk_text_view_get_line_yrange (view, iter, &top, &height);
  return gtk_text_iter_ends_line (iter) && !gtk_text_iter_is_end (iter) && y >= top &&
         y < top + height;
}

char *
atl_token_tags_describe (AtlTokenTags *self, const GtkTextIter *iter, gboolean as_markup)
{
  g_autoptr (GSList) tags = gtk_text_iter_get_tags (iter);
  g_autoptr (GString) words = g_string_new (NULL);
  GArray *choices = NULL;

  for (GSList *l = tags; l != NULL && choices == NULL; l = l->next)
    choices = g_object_get_data (l->data, CHOICES);
  if (choices == NULL)
    return NULL;
  for (guint i = 0; i < choices->len; i++)
    {
      const Choice *choice = &g_array_index (choices, Choice, i);
      g_autofree char *text = visible (choice->text);
      /* Translators: a piece of text and how likely the model found it */
      g_autofree char *line = g_strdup_printf (_ ("%s  %.1f %%"), text, choice->percent);
      g_autofree char *escaped = as_markup ? g_markup_escape_text (line, -1) : g_strdup (line);
      if (words->len > 0)
        g_string_append (words, as_markup ? "\n" : " · ");
      g_string_append_printf (words, choice->chosen ? (as_markup ? "<b>%s</b>" : "[%s]") : "%s",
                              escaped);
    }
  return g_strdup (words->str);
}
