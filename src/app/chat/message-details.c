/* Words for the numbers of an answer. */
#include "app/chat/message-details.h"

#include <glib/gi18n.h>

#include "app/words.h"
#include "protocol/protocol.h"

/* Upwards: a chat that was begun never uses nothing. */
static guint
percent (guint n_used, guint n_total)
{
  return (guint) (((guint64) n_used * 100 + n_total - 1) / n_total);
}

char *
atl_message_details_line (const AtlMessageItem *item)
{
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func (g_free);

  if (item->stats.tokens_per_s > 0)
    g_ptr_array_add (parts,
                     /* Translators: speed of an answer; a token is a piece of a word */
                     g_strdup_printf (_ ("%.*f tokens/s"), item->stats.tokens_per_s < 10 ? 1 : 0,
                                      item->stats.tokens_per_s));
  if (item->stats.first_token_ms > 0)
    {
      g_autofree char *time = atl_format_seconds (item->stats.first_token_ms / 1000);
      g_ptr_array_add (parts, g_strdup_printf (_ ("first word after %s"), time));
    }
  if (item->stats.context_used > 0 && item->stats.context_size > 0)
    g_ptr_array_add (
        parts,
        /* Translators: how much of what the model can see at once is used */
        g_strdup_printf (_ ("%u %% of the context"),
                         percent (item->stats.context_used, item->stats.context_size)));
  if (item->stats.ran_on != NULL && *item->stats.ran_on != '\0')
    g_ptr_array_add (parts, g_strdup (item->stats.ran_on));
  if (parts->len == 0)
    return NULL;
  g_ptr_array_add (parts, NULL);
  return g_strjoinv (" · ", (char **) parts->pdata);
}

char *
atl_message_details_note (const AtlMessageItem *item)
{
  const char *reason = item->stats.stop_reason;

  if (item->role != ATL_ROLE_ASSISTANT)
    return NULL;
  if (item->state == ATL_MESSAGE_INTERRUPTED && g_strcmp0 (reason, ATL_STOP_STOPPED) == 0)
    return g_strdup (_ ("Stopped"));
  if (item->state == ATL_MESSAGE_INTERRUPTED)
    return g_strdup (item->content->len > 0 || item->thinking->len > 0
                         ? _ ("Interrupted: the text so far was kept")
                         : _ ("Interrupted before the first word"));
  if (g_strcmp0 (reason, ATL_STOP_LENGTH) == 0)
    return g_strdup (_ ("Ended at the longest length you allow"));
  if (g_strcmp0 (reason, ATL_STOP_CONTEXT_FULL) == 0)
    return g_strdup (_ ("Ended because the context is full"));
  if (item->state == ATL_MESSAGE_COMPLETE && item->content->len == 0)
    return g_strdup (item->thinking->len > 0 ? _ ("The model ended after its thoughts")
                                             : _ ("The model wrote nothing"));
  return NULL;
}

/* The last line that has text, for the folded thoughts. */
static char *
last_line (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (guint i = g_strv_length (lines); i-- > 0;)
    if (*g_strstrip (lines[i]) != '\0')
      return g_strdup (lines[i]);
  return g_strdup ("");
}

char *
atl_message_details_thinking (const AtlMessageItem *item, gboolean is_open)
{
  if (item->thinking_since_us != 0)
    {
      g_autofree char *line = last_line (item->thinking->str);
      return is_open || *line == '\0' ? g_strdup (_ ("Thinking…"))
                                      : g_strdup_printf (_ ("Thinking… %s"), line);
    }
  if (item->stats.thinking_ms >= 500)
    {
      g_autofree char *time = atl_format_seconds (item->stats.thinking_ms / 1000);
      return g_strdup_printf (_ ("Thought for %s"), time);
    }
  return g_strdup (_ ("Thoughts"));
}

static void
add_row (GtkGrid *grid, int *row, const char *title, char *value)
{
  GtkWidget *name = gtk_label_new (title);
  GtkWidget *text = gtk_label_new (value);

  gtk_label_set_xalign (GTK_LABEL (name), 0);
  gtk_label_set_xalign (GTK_LABEL (text), 0);
  gtk_widget_set_valign (name, GTK_ALIGN_START);
  gtk_label_set_wrap (GTK_LABEL (text), TRUE);
  gtk_label_set_width_chars (GTK_LABEL (text), 22);
  gtk_label_set_max_width_chars (GTK_LABEL (text), 22);
  gtk_widget_add_css_class (name, "dim-label");
  gtk_widget_add_css_class (text, "numeric");
  gtk_grid_attach (grid, name, 0, *row, 1, 1);
  gtk_grid_attach (grid, text, 1, (*row)++, 1, 1);
  g_free (value);
}

GtkWidget *
atl_message_details_popover (const AtlMessageItem *item)
{
  GtkWidget *popover = gtk_popover_new ();
  GtkWidget *grid = gtk_grid_new ();
  const AtlAnswerStats *stats = &item->stats;
  int row = 0;

  gtk_grid_set_column_spacing (GTK_GRID (grid), 12);
  gtk_grid_set_row_spacing (GTK_GRID (grid), 6);
  gtk_widget_add_css_class (grid, "details");
  if (item->model_name != NULL)
    add_row (GTK_GRID (grid), &row, _ ("Model"), g_strdup (item->model_name));
  add_row (GTK_GRID (grid), &row, _ ("Written"), atl_format_time (item->created_us));
  if (stats->tokens_per_s > 0)
    add_row (GTK_GRID (grid), &row, _ ("Speed"),
             g_strdup_printf (_ ("%.1f tokens per second"), stats->tokens_per_s));
  if (stats->first_token_ms > 0)
    add_row (GTK_GRID (grid), &row, _ ("First word after"),
             atl_format_seconds (stats->first_token_ms / 1000));
  if (stats->thinking_ms > 0)
    add_row (GTK_GRID (grid), &row, _ ("Thought for"),
             atl_format_seconds (stats->thinking_ms / 1000));
  if (stats->n_tokens > 0)
    add_row (GTK_GRID (grid), &row, _ ("Length"), atl_format_tokens (stats->n_tokens));
  if (stats->n_drafted > 0)
    add_row (
        GTK_GRID (grid), &row, _ ("Guessed ahead"),
        g_strdup_printf (_ ("%'u of %'u tokens were right"), stats->n_accepted, stats->n_drafted));
  if (stats->context_size > 0 && stats->context_used == 0)
    add_row (GTK_GRID (grid), &row, _ ("Context length"), atl_format_tokens (stats->context_size));
  else if (stats->context_size > 0)
    add_row (GTK_GRID (grid), &row, _ ("Context used"),
             g_strdup_printf (_ ("%'u of %'u tokens (%u %%)"), stats->context_used,
                              stats->context_size,
                              percent (stats->context_used, stats->context_size)));
  if (stats->ran_on != NULL && *stats->ran_on != '\0')
    add_row (GTK_GRID (grid), &row, _ ("Ran on"), g_strdup (stats->ran_on));
  gtk_popover_set_child (GTK_POPOVER (popover), grid);
  return popover;
}
