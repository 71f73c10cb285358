/* One picture as large as the room is, or words in its place. */
#include "app/images/picture-canvas.h"

#include <adwaita.h>
#include <glib/gi18n.h>

#include "app/gallery/gallery-actions.h"
#include "app/images/missing-parts.h"

struct _AtlPictureCanvas
{
  GtkWidget parent_instance;

  GtkWidget *stack;
  GtkWidget *none_page;
  GtkWidget *choose_button;
  GtkWidget *empty_page;
  GtkWidget *examples;
  const char *const *shown_examples; /* (nullable) */
  GtkWidget *picture;
  GtkWidget *failed_page;
  GtkWidget *better_button;
  GtkWidget *menu_button;
  GMenuModel *menu; /* (nullable) */
  GtkWidget *missing_parts;
};

G_DEFINE_FINAL_TYPE (AtlPictureCanvas, atl_picture_canvas, GTK_TYPE_WIDGET)

static void
show (AtlPictureCanvas *self, const char *name)
{
  gtk_stack_set_visible_child_name (GTK_STACK (self->stack), name);
}

void
atl_picture_canvas_show_no_model (AtlPictureCanvas *self, gboolean has_some)
{
  adw_status_page_set_title (ADW_STATUS_PAGE (self->none_page),
                             has_some ? _ ("No model is chosen") : _ ("No model for pictures yet"));
  gtk_widget_set_visible (self->choose_button, has_some);
  show (self, "none");
}

void
atl_picture_canvas_set_session (AtlPictureCanvas *self, AtlPicturesSession *pictures)
{
  atl_missing_parts_set_session (ATL_MISSING_PARTS (self->missing_parts), pictures);
}

void
atl_picture_canvas_show_missing (AtlPictureCanvas *self)
{
  show (self, "parts");
}

static void
set_examples (AtlPictureCanvas *self, const char *const *examples)
{
  GtkWidget *child;

  while ((child = gtk_widget_get_first_child (self->examples)) != NULL)
    gtk_box_remove (GTK_BOX (self->examples), child);
  for (; *examples != NULL; examples++)
    {
      GtkWidget *button = gtk_button_new (), *label = gtk_label_new (_ (*examples));

      gtk_label_set_wrap (GTK_LABEL (label), TRUE);
      gtk_label_set_justify (GTK_LABEL (label), GTK_JUSTIFY_CENTER);
      gtk_button_set_child (GTK_BUTTON (button), label);
      gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                      _ (*examples), -1);
      gtk_actionable_set_action_name (GTK_ACTIONABLE (button), "images.try");
      gtk_actionable_set_action_target (GTK_ACTIONABLE (button), "s", _ (*examples));
      gtk_widget_add_css_class (button, "example");
      gtk_box_append (GTK_BOX (self->examples), button);
    }
}

void
atl_picture_canvas_show_loading (AtlPictureCanvas *self)
{
  static const char *const none[] = { NULL };

  /* What it draws well is not known before it is there. */
  self->shown_examples = none;
  set_examples (self, none);
  adw_status_page_set_description (ADW_STATUS_PAGE (self->empty_page), _ ("Loading the model"));
  show (self, "empty");
}

void
atl_picture_canvas_show_empty (AtlPictureCanvas *self, gboolean is_toy)
{
  /* The toy understands these English words and hardly any others. */
  static const char *const toy[] = { "A panda in the snow", "A frog on the grass", "A penguin",
                                     "A strawberry", NULL };
  static const char *const examples[] = { N_ ("A lighthouse at dusk, oil painting"),
                                          N_ ("A fox asleep in autumn leaves, photograph"),
                                          N_ ("A small house on a hill, children's book"), NULL };

  if (self->shown_examples != (is_toy ? toy : examples))
    {
      self->shown_examples = is_toy ? toy : examples;
      set_examples (self, self->shown_examples);
    }
  adw_status_page_set_description (
      ADW_STATUS_PAGE (self->empty_page),
      is_toy ? _ ("This model is a toy that shows how the page works. It draws simple things:")
             : _ ("Write what it shows and press Create, or begin with one of these:"));
  show (self, "empty");
}

void
atl_picture_canvas_show_texture (AtlPictureCanvas *self, GdkTexture *texture, const char *words)
{
  gtk_picture_set_paintable (GTK_PICTURE (self->picture), GDK_PAINTABLE (texture));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->picture), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  words, -1);
  show (self, "picture");
}

static const char *
error_title (const GError *error)
{
  if (error->domain == ATL_ERROR && error->code == ATL_ERROR_NO_MEMORY)
    return _ ("Not enough memory for this picture");
  if (error->domain == ATL_ERROR && error->code == ATL_ERROR_FULL)
    return _ ("The picture could not be saved");
  if (error->domain == ATL_ERROR && error->code == ATL_ERROR_ENGINE_GONE)
    return _ ("The engine stopped while drawing");
  return _ ("There is no picture");
}

void
atl_picture_canvas_set_menu (AtlPictureCanvas *self, GMenuModel *menu)
{
  if (g_set_object (&self->menu, menu) &&
      gtk_menu_button_get_menu_model (GTK_MENU_BUTTON (self->menu_button)) != NULL)
    gtk_menu_button_set_menu_model (GTK_MENU_BUTTON (self->menu_button), NULL);
  gtk_widget_set_visible (self->menu_button, menu != NULL);
}

/* Made when it is opened: GTK 4.8 keeps some of each menu that was made, and there is another one
 * for each picture. */
static void
make_menu_cb (GtkMenuButton *button, gpointer data)
{
  AtlPictureCanvas *self = data;

  if (gtk_menu_button_get_menu_model (button) != self->menu)
    gtk_menu_button_set_menu_model (button, self->menu);
}

void
atl_picture_canvas_show_error (AtlPictureCanvas *self,
                               const GError *error,
                               gboolean is_drawn,
                               gboolean has_lora)
{
  gboolean smaller = g_error_matches (error, ATL_ERROR, ATL_ERROR_NO_MEMORY);
  gboolean other = has_lora || g_error_matches (error, ATL_ERROR, ATL_ERROR_NOT_FOUND) ||
                   g_error_matches (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED) ||
                   g_error_matches (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_autofree char *words = g_markup_escape_text (error->message, -1);

  adw_status_page_set_title (ADW_STATUS_PAGE (self->failed_page), error_title (error));
  adw_status_page_set_description (ADW_STATUS_PAGE (self->failed_page), words);
  gtk_widget_set_visible (self->better_button, is_drawn && (smaller || other));
  gtk_button_set_label (GTK_BUTTON (self->better_button), smaller    ? _ ("Make it smaller")
                                                          : has_lora ? _ ("Draw without it")
                                                                     : _ ("Choose another model"));
  gtk_actionable_set_action_name (GTK_ACTIONABLE (self->better_button), smaller ? "images.smaller"
                                                                        : has_lora
                                                                            ? "images.without-lora"
                                                                            : "win.choose-model");
  show (self, "failed");
}

/* --- The menu, where the picture is --- */

static gboolean
popup (AtlPictureCanvas *self, double x, double y)
{
  if (self->menu == NULL)
    return FALSE;
  /* The keyboard comes back here when the menu is closed. */
  gtk_widget_grab_focus (self->picture);
  gtk_widget_translate_coordinates (self->picture, GTK_WIDGET (self), x, y, &x, &y);
  atl_gallery_popup_model (GTK_WIDGET (self), self->menu, x, y);
  return TRUE;
}

static void
pressed_cb (GtkGestureClick *click, int n, double x, double y, AtlPictureCanvas *self)
{
  GdkEvent *event = gtk_event_controller_get_current_event (GTK_EVENT_CONTROLLER (click));

  if (event != NULL && gdk_event_triggers_context_menu (event) && popup (self, x, y))
    gtk_gesture_set_state (GTK_GESTURE (click), GTK_EVENT_SEQUENCE_CLAIMED);
}

static gboolean
key_cb (GtkEventControllerKey *keys,
        guint key,
        guint code,
        GdkModifierType mods,
        AtlPictureCanvas *self)
{
  if (key != GDK_KEY_Menu && (key != GDK_KEY_F10 || (mods & GDK_SHIFT_MASK) == 0))
    return GDK_EVENT_PROPAGATE;
  return popup (self, gtk_widget_get_width (self->picture) / 2.0,
                gtk_widget_get_height (self->picture) / 2.0);
}

static void
atl_picture_canvas_dispose (GObject *object)
{
  AtlPictureCanvas *self = ATL_PICTURE_CANVAS (object);

  g_clear_pointer (&self->stack, gtk_widget_unparent);
  g_clear_object (&self->menu);
  G_OBJECT_CLASS (atl_picture_canvas_parent_class)->dispose (object);
}

static void
atl_picture_canvas_class_init (AtlPictureCanvasClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_picture_canvas_dispose;
  g_type_ensure (ATL_TYPE_MISSING_PARTS);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/picture-canvas.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlPictureCanvas, name)
  BIND (stack);
  BIND (none_page);
  BIND (choose_button);
  BIND (empty_page);
  BIND (examples);
  BIND (picture);
  BIND (failed_page);
  BIND (better_button);
  BIND (menu_button);
  BIND (missing_parts);
#undef BIND
}

static void
atl_picture_canvas_init (AtlPictureCanvas *self)
{
  GtkGesture *click = gtk_gesture_click_new ();
  GtkEventController *keys = gtk_event_controller_key_new ();

  gtk_widget_init_template (GTK_WIDGET (self));
  gtk_menu_button_set_create_popup_func (GTK_MENU_BUTTON (self->menu_button), make_menu_cb, self,
                                         NULL);
  gtk_gesture_single_set_button (GTK_GESTURE_SINGLE (click), 0);
  g_signal_connect (click, "pressed", G_CALLBACK (pressed_cb), self);
  gtk_widget_add_controller (self->picture, GTK_EVENT_CONTROLLER (click));
  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self), keys);
}
