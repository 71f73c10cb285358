/* Code in an answer, shown with GtkSourceView. */
#include "app/chat/code-block.h"

#include <adwaita.h>
#include <glib/gi18n.h>
#include <gtksourceview/gtksource.h>

#include "app/accessible.h"
#include "app/words.h"

/* Highlighting longer code makes frames late. */
#define MAX_HIGHLIGHT_BYTES (64 * 1024)
#define COPIED_MS 1500

struct _AtlCodeBlock
{
  GtkWidget parent_instance;

  GtkWidget *frame;
  GtkWidget *language_label;
  GtkWidget *copy_button;
  GtkWidget *view;
  GtkSourceBuffer *buffer;
  char *language;
  char *code; /* (nullable) without our marks */
  guint copied_source;
};

G_DEFINE_FINAL_TYPE (AtlCodeBlock, atl_code_block, GTK_TYPE_WIDGET)

static void
apply_scheme (AtlCodeBlock *self)
{
  AdwStyleManager *manager = adw_style_manager_get_default ();
  const char *name = adw_style_manager_get_dark (manager) ? "Adwaita-dark" : "Adwaita";
  GtkSourceStyleScheme *scheme = gtk_source_style_scheme_manager_get_scheme (
      gtk_source_style_scheme_manager_get_default (), name);
  gtk_source_buffer_set_style_scheme (self->buffer, scheme);
}

/* What models write after a fence -> GtkSourceView's names, where they differ. */
static const char *
canonical_language (const char *name)
{
  static const struct
  {
    const char *alias, *id;
  } aliases[] = { { "py", "python3" },       { "python", "python3" }, { "bash", "sh" },
                  { "shell", "sh" },         { "zsh", "sh" },         { "console", "sh" },
                  { "c++", "cpp" },          { "cc", "cpp" },         { "c#", "c-sharp" },
                  { "cs", "c-sharp" },       { "csharp", "c-sharp" }, { "javascript", "js" },
                  { "jsx", "jsx" },          { "ts", "typescript" },  { "tsx", "typescript-jsx" },
                  { "rs", "rust" },          { "golang", "go" },      { "rb", "ruby" },
                  { "yml", "yaml" },         { "md", "markdown" },    { "objective-c", "objc" },
                  { "kt", "kotlin" },        { "tex", "latex" },      { "make", "makefile" },
                  { "dockerfile", "docker" } };

  for (guint i = 0; i < G_N_ELEMENTS (aliases); i++)
    if (g_str_equal (name, aliases[i].alias))
      return aliases[i].id;
  return name;
}

static void
apply_language (AtlCodeBlock *self)
{
  GtkSourceLanguage *language = NULL;

  if (self->language != NULL && *self->language != '\0')
    {
      g_autofree char *lower = g_ascii_strdown (self->language, -1);
      language = gtk_source_language_manager_get_language (
          gtk_source_language_manager_get_default (), canonical_language (lower));
    }
  gtk_source_buffer_set_language (self->buffer, language);
  gtk_label_set_text (GTK_LABEL (self->language_label),
                      language         ? gtk_source_language_get_name (language)
                      : self->language ? self->language
                                       : _ ("Code"));
}

/* Lines never wrap, so the height is known before the view has laid itself out: no jump. */
static void
apply_height (AtlCodeBlock *self)
{
  PangoContext *context = gtk_widget_get_pango_context (self->view);
  g_autoptr (PangoLayout) layout = pango_layout_new (context);
  int n_lines = gtk_text_buffer_get_line_count (GTK_TEXT_BUFFER (self->buffer));
  int height;

  pango_layout_set_text (layout, "Xg", -1);
  pango_layout_get_pixel_size (layout, NULL, &height);
  gtk_widget_set_size_request (self->view, -1, n_lines * height + 20);
}

#define MARK "\342\200\216" /* the left-to-right mark */

/* Code runs from left to right also where the first letter of a line, in a comment or a text, is
 * Arabic or Hebrew: such a letter gets a mark before it. The caller's. */
static char *
left_to_right (const char *code)
{
  g_autoptr (GString) text = g_string_sized_new (strlen (code));
  gboolean is_decided = FALSE;

  for (const char *p = code, *next; *p != '\0'; p = next)
    {
      const gunichar c = g_utf8_get_char (p);

      next = g_utf8_next_char (p);
      if (!is_decided && g_unichar_isalpha (c) && atl_letter_direction (c) == GTK_TEXT_DIR_RTL)
        g_string_append (text, MARK);
      is_decided = c != '\n' && (is_decided || g_unichar_isalpha (c));
      g_string_append_len (text, p, next - p);
    }
  return g_strdup (text->str);
}

/* Takes the marks out of what a person selected; the caller's. */
static char *
without_marks (const char *text)
{
  g_auto (GStrv) pieces = g_strsplit (text, MARK, -1);

  return g_strjoinv ("", pieces);
}

/* Like the copy button: what the model wrote. */
static void
copy_selection_cb (GtkTextView *view)
{
  GtkTextBuffer *buffer = gtk_text_view_get_buffer (view);
  GtkTextIter start, end;
  g_autofree char *text = NULL;
  g_autofree char *own = NULL;

  if (!gtk_text_buffer_get_selection_bounds (buffer, &start, &end))
    return;
  text = gtk_text_buffer_get_text (buffer, &start, &end, FALSE);
  own = without_marks (text);
  if (g_str_equal (own, text))
    return;
  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (view)), own);
  g_signal_stop_emission_by_name (view, "copy-clipboard");
}

void
atl_code_block_set (AtlCodeBlock *self, const char *code, const char *language)
{
  GtkTextBuffer *buffer = GTK_TEXT_BUFFER (self->buffer);
  GtkTextIter start, end;
  g_autofree char *old = NULL;
  g_autofree char *text = left_to_right (code);
  gsize n_old;

  if (g_strcmp0 (self->language, language) != 0)
    {
      g_free (self->language);
      self->language = g_strdup (language);
      apply_language (self);
    }
  gtk_text_buffer_get_bounds (buffer, &start, &end);
  old = gtk_text_buffer_get_text (buffer, &start, &end, FALSE);
  n_old = strlen (old);
  if (g_str_has_prefix (text, old))
    gtk_text_buffer_insert (buffer, &end, text + n_old, -1);
  else
    gtk_text_buffer_set_text (buffer, text, -1);
  g_free (self->code);
  self->code = g_strdup (code);
  gtk_source_buffer_set_highlight_syntax (self->buffer, strlen (code) <= MAX_HIGHLIGHT_BYTES);
  apply_height (self);
}

static gboolean
copied_cb (gpointer data)
{
  AtlCodeBlock *self = data;

  self->copied_source = 0;
  gtk_button_set_icon_name (GTK_BUTTON (self->copy_button), "edit-copy-symbolic");
  return G_SOURCE_REMOVE;
}

static void
copy_cb (GtkButton *button, AtlCodeBlock *self)
{
  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (self)),
                          self->code != NULL ? self->code : "");
  gtk_button_set_icon_name (button, "object-select-symbolic");
  g_clear_handle_id (&self->copied_source, g_source_remove);
  self->copied_source = g_timeout_add (COPIED_MS, copied_cb, self);
}

static void
css_changed (GtkWidget *widget, GtkCssStyleChange *change)
{
  GTK_WIDGET_CLASS (atl_code_block_parent_class)->css_changed (widget, change);
  apply_height (ATL_CODE_BLOCK (widget));
}

static void
atl_code_block_dispose (GObject *object)
{
  AtlCodeBlock *self = ATL_CODE_BLOCK (object);

  g_clear_handle_id (&self->copied_source, g_source_remove);
  g_clear_pointer (&self->frame, gtk_widget_unparent);
  g_clear_pointer (&self->language, g_free);
  g_clear_pointer (&self->code, g_free);
  G_OBJECT_CLASS (atl_code_block_parent_class)->dispose (object);
}

static void
atl_code_block_class_init (AtlCodeBlockClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = atl_code_block_dispose;
  GTK_WIDGET_CLASS (klass)->css_changed = css_changed;
  gtk_widget_class_set_css_name (GTK_WIDGET_CLASS (klass), "codeblock");
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
}

static void
atl_code_block_init (AtlCodeBlock *self)
{
  GtkWidget *bar = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  GtkWidget *scroller = gtk_scrolled_window_new ();

  atl_accessible_set_name (scroller, _ ("Code"));
  self->frame = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  gtk_widget_set_parent (self->frame, GTK_WIDGET (self));
  gtk_widget_set_overflow (self->frame, GTK_OVERFLOW_HIDDEN);
  gtk_widget_add_css_class (self->frame, "code-frame");

  self->language_label = gtk_label_new (_ ("Code"));
  gtk_label_set_xalign (GTK_LABEL (self->language_label), 0);
  gtk_label_set_ellipsize (GTK_LABEL (self->language_label), PANGO_ELLIPSIZE_END);
  gtk_widget_set_hexpand (self->language_label, TRUE);
  gtk_widget_add_css_class (self->language_label, "caption");
  gtk_widget_add_css_class (self->language_label, "dim-label");
  self->copy_button = gtk_button_new_from_icon_name ("edit-copy-symbolic");
  gtk_widget_add_css_class (self->copy_button, "flat");
  gtk_widget_set_tooltip_text (self->copy_button, _ ("Copy code"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->copy_button), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Copy code"), -1);
  g_signal_connect (self->copy_button, "clicked", G_CALLBACK (copy_cb), self);
  gtk_widget_add_css_class (bar, "code-bar");
  gtk_box_append (GTK_BOX (bar), self->language_label);
  gtk_box_append (GTK_BOX (bar), self->copy_button);
  gtk_box_append (GTK_BOX (self->frame), bar);

  self->buffer = gtk_source_buffer_new (NULL);
  gtk_source_buffer_set_highlight_matching_brackets (self->buffer, FALSE);
  gtk_text_buffer_set_enable_undo (GTK_TEXT_BUFFER (self->buffer), FALSE);
  self->view = gtk_source_view_new_with_buffer (self->buffer);
  g_object_unref (self->buffer);
  g_signal_connect (self->view, "copy-clipboard", G_CALLBACK (copy_selection_cb), NULL);
  gtk_text_view_set_editable (GTK_TEXT_VIEW (self->view), FALSE);
  gtk_text_view_set_cursor_visible (GTK_TEXT_VIEW (self->view), FALSE);
  gtk_text_view_set_monospace (GTK_TEXT_VIEW (self->view), TRUE);
  gtk_text_view_set_left_margin (GTK_TEXT_VIEW (self->view), 12);
  gtk_text_view_set_right_margin (GTK_TEXT_VIEW (self->view), 12);
  gtk_text_view_set_top_margin (GTK_TEXT_VIEW (self->view), 6);
  gtk_text_view_set_bottom_margin (GTK_TEXT_VIEW (self->view), 10);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->view), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Code"), -1);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_AUTOMATIC,
                                  GTK_POLICY_NEVER);
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (scroller), TRUE);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), self->view);
  gtk_box_append (GTK_BOX (self->frame), scroller);

  apply_scheme (self);
  g_signal_connect_object (adw_style_manager_get_default (), "notify::dark",
                           G_CALLBACK (apply_scheme), self, G_CONNECT_SWAPPED);
}

GtkWidget *
atl_code_block_new (void)
{
  return g_object_new (ATL_TYPE_CODE_BLOCK, NULL);
}
