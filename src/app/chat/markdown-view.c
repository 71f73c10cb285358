/* One widget a block, kept as long as the block stays the same. */
#include "app/chat/markdown-view.h"

#include <glib/gi18n.h>

#include "app/chat/markdown-widgets.h"

/* Blocks shown at first and with each press of the button. */
#define PAGE_BLOCKS 300
/* Of one answer, read by a screen reader without a pause. */
#define MAX_WORDS_BYTES 4000

struct _AtlMarkdownView
{
  GtkWidget parent_instance;

  GPtrArray *blocks;  /* (element-type AtlMdBlock) as shown */
  GPtrArray *widgets; /* (element-type GtkWidget) borrowed, one a shown block */
  GtkWidget *more;    /* (nullable) */
  guint limit;
  guint n_rebuilt;
};

G_DEFINE_FINAL_TYPE (AtlMarkdownView, atl_markdown_view, GTK_TYPE_WIDGET)

static void
drop_widgets_from (AtlMarkdownView *self, guint first)
{
  for (guint i = self->widgets->len; i-- > first;)
    gtk_widget_unparent (g_ptr_array_index (self->widgets, i));
  g_ptr_array_set_size (self->widgets, MIN (first, self->widgets->len));
}

/* Changing a widget in place keeps selections and scroll positions. */
static void
show_block (AtlMarkdownView *self, guint i, const AtlMdBlock *old, const AtlMdBlock *block)
{
  GtkWidget *widget = i < self->widgets->len ? g_ptr_array_index (self->widgets, i) : NULL;
  GtkWidget *before = i > 0 ? g_ptr_array_index (self->widgets, i - 1) : NULL;

  if (widget != NULL && old != NULL && atl_markdown_widget_update (widget, old, block))
    return;
  self->n_rebuilt++;
  if (widget != NULL)
    gtk_widget_unparent (widget);
  widget = atl_markdown_widget_new (block);
  gtk_widget_insert_after (widget, GTK_WIDGET (self), before);
  if (i < self->widgets->len)
    self->widgets->pdata[i] = widget;
  else
    g_ptr_array_add (self->widgets, widget);
}

static void more_cb (GtkButton *button, AtlMarkdownView *self);

static void
show_more_button (AtlMarkdownView *self, gboolean show)
{
  if (!show)
    {
      g_clear_pointer (&self->more, gtk_widget_unparent);
      return;
    }
  if (self->more == NULL)
    {
      self->more = gtk_button_new_with_label (_ ("Show more"));
      gtk_widget_set_halign (self->more, GTK_ALIGN_START);
      gtk_widget_set_margin_top (self->more, 6);
      g_signal_connect (self->more, "clicked", G_CALLBACK (more_cb), self);
    }
  gtk_widget_insert_before (self->more, GTK_WIDGET (self), NULL);
}

static void
show_blocks (AtlMarkdownView *self, GPtrArray *blocks)
{
  guint n = MIN (blocks->len, self->limit);

  self->n_rebuilt = 0;
  for (guint i = 0; i < n; i++)
    {
      const AtlMdBlock *block = g_ptr_array_index (blocks, i);
      const AtlMdBlock *old = i < self->blocks->len ? g_ptr_array_index (self->blocks, i) : NULL;
      if (i >= self->widgets->len || old == NULL || !atl_md_block_equal (old, block))
        show_block (self, i, old, block);
      atl_markdown_widget_set_before (g_ptr_array_index (self->widgets, i),
                                      i > 0 ? g_ptr_array_index (blocks, i - 1) : NULL, block);
    }
  drop_widgets_from (self, n);
  show_more_button (self, blocks->len > n);
  if (blocks != self->blocks)
    {
      g_ptr_array_unref (self->blocks);
      self->blocks = g_ptr_array_ref (blocks);
    }
}

static void
more_cb (GtkButton *button, AtlMarkdownView *self)
{
  self->limit += PAGE_BLOCKS;
  show_blocks (self, self->blocks);
}

void
atl_markdown_view_set_text (AtlMarkdownView *self, const char *text)
{
  g_autoptr (GPtrArray) blocks = atl_markdown_parse (text, -1);
  show_blocks (self, blocks);
}

char *
atl_markdown_view_get_words (AtlMarkdownView *self)
{
  return atl_markdown_to_words (self->blocks, MAX_WORDS_BYTES);
}

guint
atl_markdown_view_get_n_rebuilt (AtlMarkdownView *self)
{
  return self->n_rebuilt;
}

static void
atl_markdown_view_dispose (GObject *object)
{
  AtlMarkdownView *self = ATL_MARKDOWN_VIEW (object);

  drop_widgets_from (self, 0);
  g_clear_pointer (&self->more, gtk_widget_unparent);
  G_OBJECT_CLASS (atl_markdown_view_parent_class)->dispose (object);
}

static void
atl_markdown_view_finalize (GObject *object)
{
  AtlMarkdownView *self = ATL_MARKDOWN_VIEW (object);

  g_ptr_array_unref (self->blocks);
  g_ptr_array_unref (self->widgets);
  G_OBJECT_CLASS (atl_markdown_view_parent_class)->finalize (object);
}

/* --- Layout: one below the other ---
 *
 * Not a GtkBoxLayout: GTK 4.8 remembers that a box without children has one size for every width,
 * and goes on to ask an answer that came in one piece for its height at no width at all. */

static GtkSizeRequestMode
get_request_mode (GtkWidget *widget)
{
  return GTK_SIZE_REQUEST_HEIGHT_FOR_WIDTH;
}

static void
measure (GtkWidget *widget,
         GtkOrientation orientation,
         int for_size,
         int *minimum,
         int *natural,
         int *minimum_baseline,
         int *natural_baseline)
{
  gboolean across = orientation == GTK_ORIENTATION_HORIZONTAL;

  *minimum = *natural = 0;
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    {
      int child_minimum = 0, child_natural = 0;

      if (!gtk_widget_should_layout (child))
        continue;
      gtk_widget_measure (child, orientation, across ? -1 : for_size, &child_minimum,
                          &child_natural, NULL, NULL);
      *minimum = across ? MAX (*minimum, child_minimum) : *minimum + child_minimum;
      *natural = across ? MAX (*natural, child_natural) : *natural + child_natural;
    }
}

static void
size_allocate (GtkWidget *widget, int width, int height, int baseline)
{
  GtkAllocation place = { 0, 0, width, 0 };

  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    {
      if (!gtk_widget_should_layout (child))
        continue;
      gtk_widget_measure (child, GTK_ORIENTATION_VERTICAL, width, &place.height, NULL, NULL, NULL);
      gtk_widget_size_allocate (child, &place, -1);
      place.y += place.height;
    }
}

static void
atl_markdown_view_class_init (AtlMarkdownViewClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = atl_markdown_view_dispose;
  G_OBJECT_CLASS (klass)->finalize = atl_markdown_view_finalize;
  gtk_widget_class_set_css_name (GTK_WIDGET_CLASS (klass), "markdown");
  GTK_WIDGET_CLASS (klass)->get_request_mode = get_request_mode;
  GTK_WIDGET_CLASS (klass)->measure = measure;
  GTK_WIDGET_CLASS (klass)->size_allocate = size_allocate;
}

static void
atl_markdown_view_init (AtlMarkdownView *self)
{
  self->blocks = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_md_block_free);
  self->widgets = g_ptr_array_new ();
  self->limit = PAGE_BLOCKS;
}

GtkWidget *
atl_markdown_view_new (void)
{
  return g_object_new (ATL_TYPE_MARKDOWN_VIEW, NULL);
}
