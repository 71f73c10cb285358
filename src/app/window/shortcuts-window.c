/* A list of keys that fits any width and any size of text, which GtkShortcutsWindow does not: each
 * line puts the keys below the words where both do not fit side by side. */
#include "app/window/shortcuts-window.h"

#include <adwaita.h>
#include <glib/gi18n.h>

typedef struct
{
  const char *title;       /* of a group where there is no key */
  const char *accelerator; /* (nullable) */
} Line;

static const Line lines[] = {
  { N_ ("Chat"), NULL },
  { N_ ("New chat"), "<Control>n" },
  { N_ ("Send"), "Return" },
  { N_ ("New line"), "<Shift>Return" },
  { N_ ("Stop the answer"), "Escape" },
  { N_ ("Edit your last message (in an empty composer)"), "Up" },
  { N_ ("Find in this chat"), "<Control>f" },
  { N_ ("Rename chat"), "F2" },
  { N_ ("Compare models"), "<Control><Shift>c" },
  { N_ ("Notebook"), "<Control><Shift>t" },
  { N_ ("All chats"), NULL },
  { N_ ("Search all chats"), "<Control>k" },
  { N_ ("New folder"), "<Control><Shift>n" },
  { N_ ("Delete"), "Delete" },
  { N_ ("Undo the last delete"), "<Control>z" },
  { N_ ("Notebook"), NULL },
  { N_ ("Go on at the cursor"), "<Control>Return" },
  { N_ ("Stop writing"), "Escape" },
  { N_ ("Images"), NULL },
  { N_ ("New picture"), "<Control>n" },
  { N_ ("Create"), "<Control>Return" },
  { N_ ("Stop what is drawn"), "Escape" },
  { N_ ("Begin with the copied picture"), "<Control>v" },
  { N_ ("Search pictures"), "<Control>f" },
  { N_ ("Look closer at a picture"), "space" },
  { N_ ("Full size"), "f" },
  { N_ ("Whole screen"), "F11" },
  { N_ ("How it was made"), "i" },
  { N_ ("Give it a star"), "s" },
  { N_ ("Choose all"), "<Control>a" },
  { N_ ("Compare two chosen pictures"), "c" },
  { N_ ("Delete"), "Delete" },
  { N_ ("Earlier in the queue"), "<Alt>Up" },
  { N_ ("Later in the queue"), "<Alt>Down" },
  { N_ ("Smaller brush"), "bracketleft" },
  { N_ ("Larger brush"), "bracketright" },
  { N_ ("Models"), NULL },
  { N_ ("Choose a model"), "<Control>l" },
  { N_ ("Open a model file"), "<Control>o" },
  { N_ ("Window"), NULL },
  { N_ ("Chats"), "<Control>1" },
  { N_ ("Images"), "<Control>2" },
  { N_ ("Models"), "<Control>4" },
  { N_ ("Sidebar"), "F9" },
  { N_ ("Settings of this chat"), "<Control><Alt>p" },
  { N_ ("Larger text"), "<Control>plus" },
  { N_ ("Smaller text"), "<Control>minus" },
  { N_ ("Normal text"), "<Control>0" },
  { N_ ("Preferences"), "<Control>comma" },
  { N_ ("Keyboard shortcuts"), "<Control>question" },
  { N_ ("Main menu"), "F10" },
  { N_ ("Close this window"), "<Control>w" },
  { N_ ("Quit"), "<Control>q" },
};

/* --- Words and keys side by side, or the keys below --- */

#define GAP 12
#define LINE_GAP 4

static int
measure_child (GtkWidget *child, GtkOrientation orientation, int for_size, gboolean natural)
{
  int minimum, wanted;

  gtk_widget_measure (child, orientation, for_size, &minimum, &wanted, NULL, NULL);
  return natural ? wanted : minimum;
}

static gboolean
fits_side_by_side (GtkWidget *words, GtkWidget *keys, int width)
{
  return width < 0 || width >= measure_child (words, GTK_ORIENTATION_HORIZONTAL, -1, TRUE) + GAP +
                                   measure_child (keys, GTK_ORIENTATION_HORIZONTAL, -1, TRUE);
}

static GtkSizeRequestMode
request_mode (GtkWidget *line)
{
  return GTK_SIZE_REQUEST_HEIGHT_FOR_WIDTH;
}

static void
measure_line (GtkWidget *line,
              GtkOrientation orientation,
              int for_size,
              int *minimum,
              int *natural,
              int *minimum_baseline,
              int *natural_baseline)
{
  GtkWidget *words = gtk_widget_get_first_child (line);
  GtkWidget *keys = gtk_widget_get_last_child (line);

  if (orientation == GTK_ORIENTATION_HORIZONTAL)
    {
      *minimum = MAX (measure_child (words, orientation, -1, FALSE),
                      measure_child (keys, orientation, -1, FALSE));
      *natural = measure_child (words, orientation, -1, TRUE) + GAP +
                 measure_child (keys, orientation, -1, TRUE);
      return;
    }
  if (fits_side_by_side (words, keys, for_size))
    *minimum = MAX (measure_child (words, orientation, -1, FALSE),
                    measure_child (keys, orientation, -1, FALSE));
  else
    *minimum = measure_child (words, orientation, for_size, FALSE) + LINE_GAP +
               measure_child (keys, orientation, -1, FALSE);
  *natural = *minimum;
}

static void
allocate_line (GtkWidget *line, int width, int height, int baseline)
{
  GtkWidget *words = gtk_widget_get_first_child (line);
  GtkWidget *keys = gtk_widget_get_last_child (line);
  int keys_width = measure_child (keys, GTK_ORIENTATION_HORIZONTAL, -1, TRUE);
  int keys_height = measure_child (keys, GTK_ORIENTATION_VERTICAL, -1, FALSE);
  gboolean side_by_side = fits_side_by_side (words, keys, width);
  gboolean keys_left = side_by_side == (gtk_widget_get_direction (line) == GTK_TEXT_DIR_RTL);
  GtkAllocation space = { 0, 0, width, height };

  if (side_by_side)
    {
      space.x = keys_left ? keys_width + GAP : 0;
      space.width = width - keys_width - GAP;
    }
  else
    space.height = height - keys_height - LINE_GAP;
  gtk_widget_size_allocate (words, &space, -1);
  space.x = keys_left ? 0 : width - keys_width;
  space.y = side_by_side ? (height - keys_height) / 2 : height - keys_height;
  space.width = keys_width;
  space.height = keys_height;
  gtk_widget_size_allocate (keys, &space, -1);
}

static GtkWidget *
new_line (const Line *line)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 0);
  GtkWidget *words = gtk_label_new (_ (line->title));

  gtk_label_set_xalign (GTK_LABEL (words), 0);
  gtk_label_set_wrap (GTK_LABEL (words), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (words), PANGO_WRAP_WORD_CHAR);
  gtk_box_append (GTK_BOX (box), words);
  gtk_box_append (GTK_BOX (box), gtk_shortcut_label_new (line->accelerator));
  gtk_widget_set_layout_manager (box,
                                 gtk_custom_layout_new (request_mode, measure_line, allocate_line));
  return box;
}

/* --- The list --- */

static GtkWidget *
new_row (const Line *line)
{
  GtkWidget *row = adw_preferences_row_new ();
  GtkWidget *box = new_line (line);
  g_autofree char *keys = NULL, *name = NULL;
  guint key;
  GdkModifierType modifiers;

  gtk_widget_set_margin_start (box, 12);
  gtk_widget_set_margin_end (box, 12);
  gtk_widget_set_margin_top (box, 8);
  gtk_widget_set_margin_bottom (box, 8);
  /* What a search in the window looks at. */
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), _ (line->title));
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), box);
  gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), FALSE);
  if (gtk_accelerator_parse (line->accelerator, &key, &modifiers))
    keys = gtk_accelerator_get_label (key, modifiers);
  name = g_strdup_printf ("%s: %s", _ (line->title), keys);
  gtk_accessible_update_property (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
  return row;
}

GtkWidget *
atl_shortcuts_window_new (void)
{
  GtkWidget *window = adw_preferences_window_new ();
  GtkWidget *page = adw_preferences_page_new ();
  GtkWidget *group = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++)
    if (lines[i].accelerator == NULL)
      {
        group = adw_preferences_group_new ();
        adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (group), _ (lines[i].title));
        adw_preferences_page_add (ADW_PREFERENCES_PAGE (page), ADW_PREFERENCES_GROUP (group));
      }
    else
      adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), new_row (&lines[i]));
  adw_preferences_window_add (ADW_PREFERENCES_WINDOW (window), ADW_PREFERENCES_PAGE (page));
  gtk_window_set_title (GTK_WINDOW (window), _ ("Keyboard shortcuts"));
  gtk_window_set_default_size (GTK_WINDOW (window), 520, 640);
  adw_preferences_page_set_title (ADW_PREFERENCES_PAGE (page), _ ("Keyboard shortcuts"));
  return window;
}
