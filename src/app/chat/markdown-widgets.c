/* Markdown blocks -> widgets. Every block is a grid of marker and body, because a grid gives
 * wrapping labels the right height (a horizontal box does not in GTK 4.8). */
#include "app/chat/markdown-widgets.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/chat/code-block.h"
#include "app/chat/tool-card.h"
#include "app/words.h"

#define INDENT_PX 26
#define QUOTE_PX 14
#define BODY "atl-body"
/* Characters after which a table cell wraps. */
#define CELL_CHARS 34

/* A text runs as its first letter does, whatever way the window does: it begins at that side, and
 * the signs of lists stand there. Without a letter it has no way of its own. */
static GtkTextDirection
label_direction (GtkWidget *label)
{
  for (const char *c = gtk_label_get_text (GTK_LABEL (label)); *c != '\0'; c = g_utf8_next_char (c))
    if (g_unichar_isalpha (g_utf8_get_char (c)))
      return atl_letter_direction (g_utf8_get_char (c));
  return GTK_TEXT_DIR_NONE;
}

/* What a person copies is what the model wrote. */
static void
copy_cb (GtkLabel *label, gpointer data)
{
  g_autofree char *words = NULL, *own = NULL;
  int start, end;

  if (!gtk_label_get_selection_bounds (label, &start, &end))
    return;
  words = g_utf8_substring (gtk_label_get_text (label), start, end);
  own = atl_markdown_without_isolates (words);
  if (g_str_equal (own, words))
    return;
  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (label)), own);
  g_signal_stop_emission_by_name (label, "copy-clipboard");
}

static void
set_markup (GtkWidget *label, const char *markup)
{
  g_autofree char *apart = NULL;

  gtk_label_set_markup (GTK_LABEL (label), markup ? markup : "");
  if (markup == NULL || label_direction (label) != GTK_TEXT_DIR_RTL)
    return;
  apart = atl_markdown_isolate_code (markup);
  gtk_label_set_markup (GTK_LABEL (label), apart);
}

static GtkWidget *
new_label (const char *markup)
{
  GtkWidget *label = gtk_label_new (NULL);

  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (label), PANGO_WRAP_WORD_CHAR);
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_selectable (GTK_LABEL (label), TRUE);
  gtk_widget_set_hexpand (label, TRUE);
  atl_label_never_hyphenate (GTK_LABEL (label));
  g_signal_connect (label, "copy-clipboard", G_CALLBACK (copy_cb), NULL);
  set_markup (label, markup);
  if (markup == NULL || strstr (markup, "<a href") == NULL)
    atl_accessible_focus_by_click (label);
  return label;
}

static int
cell_width (GtkWidget *label)
{
  g_auto (GStrv) lines = g_strsplit (gtk_label_get_text (GTK_LABEL (label)), "\n", -1);
  glong width = 1;

  for (guint i = 0; lines[i] != NULL; i++)
    width = MAX (width, g_utf8_strlen (lines[i], -1));
  /* Bold heads and wide letters need more than the average character. */
  return (int) MIN (width + 2, CELL_CHARS);
}

static GtkWidget *
new_cell (const AtlMdBlock *block, guint index)
{
  GtkWidget *label = new_label (g_ptr_array_index (block->cells, index));
  guint8 align = block->align[index % block->n_columns];
  guint n_rows = block->cells->len / block->n_columns;
  int width = cell_width (label);

  gtk_label_set_xalign (GTK_LABEL (label), align * 0.5f);
  gtk_label_set_yalign (GTK_LABEL (label), 0);
  /* The same least and natural width: a scrolled table gets the height of what it shows. */
  gtk_label_set_width_chars (GTK_LABEL (label), width);
  gtk_label_set_max_width_chars (GTK_LABEL (label), width);
  gtk_widget_add_css_class (label, "cell");
  if (index < block->n_columns)
    gtk_widget_add_css_class (label, "head");
  if (index / block->n_columns + 1 == n_rows)
    gtk_widget_add_css_class (label, "last-row");
  return label;
}

static GtkWidget *
new_table (const AtlMdBlock *block)
{
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *grid = gtk_grid_new ();
  GtkTextDirection direction = GTK_TEXT_DIR_NONE;

  for (guint i = 0; i < block->cells->len; i++)
    {
      GtkWidget *cell = new_cell (block, i);

      if (direction == GTK_TEXT_DIR_NONE)
        direction = label_direction (cell);
      gtk_grid_attach (GTK_GRID (grid), cell, (int) (i % block->n_columns),
                       (int) (i / block->n_columns), 1, 1);
    }
  for (GtkWidget *cell = gtk_widget_get_first_child (grid); cell != NULL;
       cell = gtk_widget_get_next_sibling (cell))
    gtk_widget_set_direction (cell, direction);
  gtk_widget_set_direction (grid, direction);
  gtk_widget_set_direction (scroller, direction);
  gtk_widget_add_css_class (grid, "table");
  gtk_widget_set_overflow (grid, GTK_OVERFLOW_HIDDEN);
  gtk_widget_set_halign (grid, GTK_ALIGN_START);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_AUTOMATIC,
                                  GTK_POLICY_NEVER);
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (scroller), TRUE);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), grid);
  atl_accessible_set_name (scroller, _ ("Table"));
  return scroller;
}

static gboolean
is_tool_call (const AtlMdBlock *block)
{
  return block->kind == ATL_MD_CODE && g_strcmp0 (block->language, ATL_TOOL_CARD_LANGUAGE) == 0;
}

static GtkWidget *
new_body (const AtlMdBlock *block)
{
  GtkWidget *body;

  switch (block->kind)
    {
    case ATL_MD_CODE:
      if (is_tool_call (block))
        {
          body = atl_tool_card_new (block->text);
          break;
        }
      body = atl_code_block_new ();
      atl_code_block_set (ATL_CODE_BLOCK (body), block->text, block->language);
      break;
    case ATL_MD_TABLE:
      body = new_table (block);
      break;
    case ATL_MD_RULE:
      body = gtk_separator_new (GTK_ORIENTATION_HORIZONTAL);
      break;
    case ATL_MD_MATH:
      body = new_label (block->markup);
      gtk_label_set_xalign (GTK_LABEL (body), 0.5f);
      gtk_label_set_justify (GTK_LABEL (body), GTK_JUSTIFY_LEFT);
      gtk_widget_add_css_class (body, "math");
      break;
    case ATL_MD_HEADING:
      {
        g_autofree char *class = g_strdup_printf ("h%u", CLAMP (block->level, 1, 6));
        body = new_label (block->markup);
        gtk_widget_add_css_class (body, class);
      }
      break;
    case ATL_MD_PARAGRAPH:
    default:
      body = new_label (block->markup);
      break;
    }
  gtk_widget_set_hexpand (body, TRUE);
  return body;
}

static GtkWidget *
new_marker (const AtlMdBlock *block)
{
  GtkWidget *marker = gtk_label_new (block->task == ATL_MD_TASK_NONE   ? block->marker
                                     : block->task == ATL_MD_TASK_DONE ? "☑"
                                                                       : "☐");

  gtk_widget_set_size_request (marker, INDENT_PX - 8, -1);
  gtk_label_set_xalign (GTK_LABEL (marker), 1);
  gtk_widget_set_valign (marker, GTK_ALIGN_START);
  gtk_widget_set_margin_end (marker, 8);
  gtk_widget_add_css_class (marker, "marker");
  return marker;
}

/* The whole block runs as its words do; widgets do not take that from what they are in. */
static void
set_direction (GtkWidget *grid, GtkWidget *body)
{
  GtkTextDirection direction =
      GTK_IS_LABEL (body) ? label_direction (body) : gtk_widget_get_direction (body);

  for (GtkWidget *child = gtk_widget_get_first_child (grid); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    gtk_widget_set_direction (child, direction);
  gtk_widget_set_direction (grid, direction);
}

static gboolean
is_box (const AtlMdBlock *block)
{
  return block->kind != ATL_MD_PARAGRAPH && block->kind != ATL_MD_HEADING;
}

/* What belongs together stands closer: a heading to what it heads, items to each other. */
static int
gap (const AtlMdBlock *before, const AtlMdBlock *block)
{
  if (before == NULL || block->continued)
    return 0;
  if (block->kind == ATL_MD_HEADING)
    return before->kind == ATL_MD_HEADING ? 12 : 18;
  if (before->kind == ATL_MD_HEADING)
    return is_box (block) ? 9 : 6;
  if (is_box (before) || is_box (block))
    return 12;
  if (before->quote != block->quote)
    return 10;
  if (before->indent > 0 && block->indent > 0)
    return block->marker != NULL ? 4 : 6;
  return block->indent > 0 ? 6 : 10;
}

void
atl_markdown_widget_set_before (GtkWidget *widget,
                                const AtlMdBlock *before,
                                const AtlMdBlock *block)
{
  /* Within a quote the line at its side goes on: the room is made inside. */
  gboolean inside = before != NULL && before->quote > 0 && block->quote > 0;
  int height = gap (before, block);

  gtk_widget_set_margin_top (widget, inside ? 0 : height);
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    gtk_widget_set_margin_top (child, inside ? height : 0);
}

GtkWidget *
atl_markdown_widget_new (const AtlMdBlock *block)
{
  GtkWidget *grid = gtk_grid_new ();
  GtkWidget *body = new_body (block);
  int indent = (int) block->indent * INDENT_PX;

  gtk_widget_add_css_class (grid, "md-block");
  if (block->quote > 0)
    {
      gtk_widget_add_css_class (grid, "md-quote");
      gtk_widget_set_margin_start (grid, (int) (block->quote - 1) * QUOTE_PX);
    }
  if (block->marker != NULL)
    {
      GtkWidget *marker = new_marker (block);
      gtk_widget_set_margin_start (marker, MAX (indent - INDENT_PX, 0));
      gtk_grid_attach (GTK_GRID (grid), marker, 0, 0, 1, 1);
    }
  else
    gtk_widget_set_margin_start (body, indent);
  gtk_grid_attach (GTK_GRID (grid), body, 1, 0, 1, 1);
  g_object_set_data (G_OBJECT (grid), BODY, body);
  if (GTK_IS_LABEL (body) || block->kind == ATL_MD_TABLE)
    set_direction (grid, body);
  return grid;
}

gboolean
atl_markdown_widget_update (GtkWidget *widget, const AtlMdBlock *old, const AtlMdBlock *block)
{
  GtkWidget *body = g_object_get_data (G_OBJECT (widget), BODY);

  if (old->kind != block->kind || old->quote != block->quote || old->indent != block->indent ||
      old->level != block->level || old->task != block->task ||
      old->continued != block->continued || is_tool_call (old) || is_tool_call (block) ||
      g_strcmp0 (old->marker, block->marker) != 0)
    return FALSE;
  switch (block->kind)
    {
    case ATL_MD_CODE:
      atl_code_block_set (ATL_CODE_BLOCK (body), block->text, block->language);
      return TRUE;
    case ATL_MD_PARAGRAPH:
    case ATL_MD_HEADING:
    case ATL_MD_MATH:
      set_markup (body, block->markup);
      set_direction (widget, body);
      return TRUE;
    case ATL_MD_RULE:
      return TRUE;
    case ATL_MD_TABLE:
    default:
      return FALSE;
    }
}
