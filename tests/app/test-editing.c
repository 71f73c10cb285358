/* Models that edit, or draw only inside a picture, and what a person does with pictures that go in:
 * their order, what is painted, what stays for another model. No picture is drawn: the model of the
 * golden cases says that it can what others can. */
#include "images-steps.h"

#include <string.h>

#include "app/images/images-page.h"
#include "app/images/mask-area.h"
#include "app/images/pen-stroke.h"
#include "app/images/picture-prepare.h"
#include "app/images/reference-group.h"
#include "app/images/start-group.h"
#include "app/words.h"
#include "client/client-private.h"
#include "media/picture.h"

#define WAIT_S 60

/* The model in use as one that can this. */
static void
can (AppFixture *f, guint abilities, guint max_references)
{
  AtlModelInfo *info = (AtlModelInfo *) atl_pictures_session_get_info (app_pictures (f));

  info->abilities = ATL_PICTURE_STILL | abilities;
  info->max_references = max_references;
  g_object_notify (G_OBJECT (app_pictures (f)), "model");
  atl_pictures_session_take_settings (app_pictures (f), atl_picture_settings_copy (app_draft (f)));
}

/* Beside the models; the caller's. */
static char *
write_sized (const char *name, guint width, guint height)
{
  g_autoptr (AtlPicture) picture = atl_picture_new (width, height);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) png = NULL;
  char *path = g_build_filename (app_models_dir, name, NULL);
  gsize size;

  memset (picture->rgb, 99, (gsize) width * height * 3);
  png = atl_picture_encode (picture, ATL_PICTURE_PNG, 0, &error);
  g_assert_no_error (error);
  g_assert_true (g_file_set_contents (path, g_bytes_get_data (png, &size),
                                      (gssize) g_bytes_get_size (png), NULL));
  return path;
}

static char *
write_picture (const char *name)
{
  return write_sized (name, 72, 64);
}

static void
drop (AppFixture *f, const char *path)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);

  atl_images_page_drop (ATL_IMAGES_PAGE (f->window->images_page), NULL, file);
}

static GtkWidget *
group_of (AppFixture *f, GType type)
{
  GtkWidget *group = app_fixture_find (f->window->images_page, type, NULL, NULL);

  g_assert_nonnull (group);
  return group;
}

/* --- Pictures to follow --- */

/* "a, b": the names of the draft's references. */
static char *
order (AppFixture *f)
{
  g_autoptr (GString) names = g_string_new (NULL);

  for (guint i = 0; i < app_draft (f)->references->len; i++)
    {
      g_autofree char *name = g_path_get_basename (app_draft (f)->references->pdata[i]);

      g_string_append_printf (names, "%s%s", i > 0 ? ", " : "", name);
    }
  return g_string_free (g_steal_pointer (&names), FALSE);
}

static void
check_order (AppFixture *f, const char *expected)
{
  g_autofree char *names = order (f);

  g_assert_cmpstr (names, ==, expected);
}

static gboolean
is_titled (GtkWidget *widget, gconstpointer title)
{
  return g_strcmp0 (adw_preferences_row_get_title (ADW_PREFERENCES_ROW (widget)), title) == 0;
}

static GtkWidget *
row_titled (GtkWidget *group, const char *title)
{
  GtkWidget *row = app_fixture_find (group, ADW_TYPE_ACTION_ROW, is_titled, title);

  g_assert_nonnull (row);
  return row;
}

/* The price is asked for with the sizes of pictures that were looked at. */
static void
check_size_is_known (AppFixture *f)
{
  const AtlModelInfo *info = atl_pictures_session_get_info (app_pictures (f));
  AtlClient *client = atl_session_get_client (f->session);
  g_autoptr (AtlPictureRequest) request = atl_picture_prepare_price (app_draft (f), info);
  g_autoptr (GVariant) asked =
      g_variant_ref_sink (atl_picture_request_make_settings (request, client->picture_sizes));
  g_autoptr (GVariant) sizes = atl_dict_lookup (asked, ATL_PRICE_SIZES, "a(uu)");
  guint width, height;

  g_assert_cmpuint (g_variant_n_children (sizes), ==, 1);
  g_variant_get_child (sizes, 0, "(uu)", &width, &height);
  g_assert_cmpuint (width, ==, 72);
  g_assert_cmpuint (height, ==, 64);
}

/* A picture of one of the model's shapes is that shape, not a size of one's own. */
static void
test_start_of_a_shape (void)
{
  g_autofree char *square = write_sized ("square.png", 200, 200);
  g_autofree char *odd = write_sized ("odd.png", 200, 30);
  AppFixture f;

  app_start_drawing (&f);
  can (&f, ATL_PICTURE_IMAGE, 0);
  atl_set_string (&app_draft (&f)->shape, "3:2");
  drop (&f, square);
  app_assert_soon (app_draft (&f)->start != NULL);
  g_assert_cmpstr (app_draft (&f)->shape, ==, "1:1");
  drop (&f, odd);
  app_assert_soon (g_str_has_suffix (app_draft (&f)->start, "odd.png"));
  g_assert_cmpstr (app_draft (&f)->shape, ==, "");
  app_fixture_stop (&f);
}

static void
check_focus (AppFixture *f, GtkWidget *row)
{
  g_assert_true (gtk_window_get_focus (GTK_WINDOW (f->window)) == row);
}

static void
test_references (void)
{
  static const char *const names[] = { "one.png", "two.png", "three.png", "four.png" };
  AppFixture f;
  GtkWidget *group;

  app_start_drawing (&f);
  group = group_of (&f, ATL_TYPE_REFERENCE_GROUP);
  g_assert_false (gtk_widget_get_mapped (group));
  can (&f, ATL_PICTURE_REFERENCE, 3);
  g_assert_true (atl_pictures_session_follows (app_pictures (&f)));
  for (guint i = 0; i < 3; i++)
    {
      g_autofree char *path = write_picture (names[i]);

      drop (&f, path);
      app_assert_soon (app_draft (&f)->references->len == i + 1);
      /* The result has the first one's shape, and a person's own after that. */
      if (i == 0)
        {
          g_assert_cmpstr (app_draft (&f)->shape, ==, "");
          app_draft (&f)->width = app_draft (&f)->height = 96;
          check_size_is_known (&f);
        }
      g_assert_cmpuint (app_draft (&f)->width, ==, 96);
    }
  check_order (&f, "one.png, two.png, three.png");
  app_assert_soon (gtk_widget_get_mapped (group));
  app_fixture_shot (GTK_WIDGET (f.window), "images-references");
  gtk_widget_grab_focus (row_titled (group, "Picture 1"));
  g_assert_false (app_press (group, GDK_KEY_Up, GDK_ALT_MASK));
  g_assert_true (app_press (group, GDK_KEY_Down, GDK_ALT_MASK));
  check_order (&f, "two.png, one.png, three.png");
  check_focus (&f, row_titled (group, "Picture 2"));
  g_assert_true (app_press (group, GDK_KEY_Down, GDK_ALT_MASK));
  g_assert_false (app_press (group, GDK_KEY_Down, GDK_ALT_MASK));
  check_order (&f, "two.png, three.png, one.png");
  /* There is no room for a fourth: the first one goes. */
  {
    g_autofree char *path = write_picture (names[3]);

    drop (&f, path);
    app_assert_soon (
        !g_str_equal (app_draft (&f)->references->pdata[2], app_draft (&f)->references->pdata[0]) &&
        g_str_has_suffix (app_draft (&f)->references->pdata[2], "four.png"));
  }
  check_order (&f, "three.png, one.png, four.png");
  gtk_widget_grab_focus (row_titled (group, "Picture 3"));
  g_assert_true (app_press (group, GDK_KEY_Delete, 0));
  check_order (&f, "three.png, one.png");
  check_focus (&f, row_titled (group, "Picture 2"));
  g_assert_true (app_press (group, GDK_KEY_Delete, 0));
  g_assert_true (app_press (group, GDK_KEY_Delete, 0));
  check_order (&f, "");
  check_focus (&f, row_titled (group, "Choose a picture…"));
  app_fixture_stop (&f);
}

/* --- Pictures to begin with --- */

static gboolean
has_start (gpointer f)
{
  return atl_pictures_session_get_start (app_pictures (f)) != NULL;
}

static gboolean
is_mapped (GtkWidget *widget, gconstpointer data)
{
  return gtk_widget_get_mapped (widget);
}

/* The canvas shows what is begun with only while the model in use begins with it; one that only
 * fills masks does, without a strength. */
static void
test_begins (void)
{
  g_autofree char *path = NULL;
  GtkWidget *canvas, *group;
  AppFixture f;

  app_start_drawing (&f);
  path = write_picture ("begin.png");
  drop (&f, path);
  g_assert_true (app_fixture_wait (has_start, &f, WAIT_S));
  canvas = app_fixture_find_id (f.window->images_page, "picture");
  g_assert_true (gtk_widget_get_mapped (canvas));
  can (&f, ATL_PICTURE_REFERENCE, 1);
  app_assert_soon (!gtk_widget_get_mapped (canvas));
  g_assert_cmpstr (app_draft (&f)->start, ==, path);
  can (&f, ATL_PICTURE_MASK, 0);
  app_assert_soon (gtk_widget_get_mapped (canvas));
  group = group_of (&f, ATL_TYPE_START_GROUP);
  app_assert_soon (gtk_widget_get_mapped (group));
  g_assert_true (gtk_widget_get_mapped (row_titled (group, "Paint what may change")));
  g_assert_null (app_fixture_find (group, GTK_TYPE_SCALE, is_mapped, NULL));
  /* Another one is taken as well. */
  g_clear_pointer (&path, g_free);
  path = write_picture ("other.png");
  drop (&f, path);
  app_assert_soon (g_strcmp0 (app_draft (&f)->start, path) == 0);
  app_fixture_stop (&f);
}

static void
check_request (AtlPictureRequest *request, const char *const *expected)
{
  g_autoptr (GVariant) asked =
      g_variant_ref_sink (atl_picture_request_make_settings (request, NULL));
  g_autoptr (GVariant) roles = atl_dict_lookup (asked, ATL_PRICE_INPUTS, "as");
  g_autofree const char **names =
      roles != NULL ? g_variant_get_strv (roles, NULL) : g_new0 (const char *, 1);

  g_assert_true (g_strv_equal (names, expected));
}

static void
prepared_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  *(GAsyncResult **) data = g_object_ref (result);
}

/* Which pictures go in, by the roles that the engine is told, for the price and for drawing: what
 * was chosen for another model stays in the draft. */
static void
check_roles (AppFixture *f, guint abilities, const char *const *expected)
{
  const AtlModelInfo *info = atl_pictures_session_get_info (app_pictures (f));
  g_autoptr (AtlPictureRequest) price = NULL, request = NULL, ready = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  can (f, abilities, 1);
  price = atl_picture_prepare_price (app_draft (f), info);
  check_request (price, expected);
  request = atl_picture_prepare_request (app_draft (f), info, 1);
  atl_picture_prepare_async (atl_session_get_client (f->session), request, app_draft (f),
                             info->abilities, NULL, prepared_cb, &result);
  app_assert_soon (result != NULL);
  ready = atl_picture_prepare_finish (result, &error);
  g_assert_no_error (error);
  g_assert_true (ready == request);
  check_request (ready, expected);
}

static void
test_roles (void)
{
  g_autofree char *path = NULL;
  AtlPictureSettings *settings;
  AppFixture f;

  app_start_drawing (&f);
  path = write_picture ("roles.png");
  settings = atl_picture_settings_copy (app_draft (&f));
  g_ptr_array_add (settings->references, g_strdup (path));
  settings->start = g_strdup (path);
  settings->mask = g_bytes_new_static ("", 0);
  atl_pictures_session_take_settings (app_pictures (&f), settings);
  check_roles (&f, 0, (const char *const[]){ NULL });
  check_roles (&f, ATL_PICTURE_REFERENCE, (const char *const[]){ ATL_CREATE_REFERENCE, NULL });
  check_roles (&f, ATL_PICTURE_IMAGE, (const char *const[]){ ATL_CREATE_IMAGE, NULL });
  check_roles (&f, ATL_PICTURE_MASK,
               (const char *const[]){ ATL_CREATE_IMAGE, ATL_CREATE_MASK, NULL });
  app_fixture_stop (&f);
}

static void
dab (AppFixture *f, double x)
{
  GtkWidget *area = app_fixture_find (f->window->images_page, ATL_TYPE_MASK_AREA, NULL, NULL);

  app_assert_soon (gtk_widget_get_mapped (area));
  atl_mask_begin (atl_mask_area_get_mask (ATL_MASK_AREA (area)));
  atl_mask_line (atl_mask_area_get_mask (ATL_MASK_AREA (area)), x, 20, x, 20, 4, FALSE);
}

static void
check_mask_grew (AppFixture *f, gsize *size)
{
  g_assert_nonnull (app_draft (f)->mask);
  g_assert_cmpuint (g_bytes_get_size (app_draft (f)->mask), !=, *size);
  *size = g_bytes_get_size (app_draft (f)->mask);
}

/* Who paints and goes on to something else means what is painted. */
static void
test_not_lost (void)
{
  g_autofree char *path = NULL;
  AppFixture f;
  gsize size = 0;

  app_start_drawing (&f);
  path = write_picture ("paint.png");
  drop (&f, path);
  g_assert_true (app_fixture_wait (has_start, &f, WAIT_S));
  gtk_widget_activate_action (f.window->images_page, "images.paint", NULL);
  dab (&f, 10);
  /* Asked for once more, it is what it was. */
  gtk_widget_activate_action (f.window->images_page, "images.paint", NULL);
  dab (&f, 20);
  gtk_widget_activate_action (f.window->images_page, "images.extend-canvas", NULL);
  check_mask_grew (&f, &size);
  gtk_widget_activate_action (f.window->images_page, "images.paint", NULL);
  dab (&f, 40);
  atl_images_page_find (ATL_IMAGES_PAGE (f.window->images_page));
  check_mask_grew (&f, &size);
  g_assert_nonnull (app_fixture_find_id (f.window->images_page, "gallery"));
  gtk_widget_activate_action (f.window->images_page, "images.paint", NULL);
  dab (&f, 60);
  can (&f, ATL_PICTURE_IMAGE, 0);
  check_mask_grew (&f, &size);
  g_assert_false (gtk_widget_get_mapped (
      app_fixture_find (f.window->images_page, ATL_TYPE_MASK_AREA, NULL, NULL)));
  app_fixture_stop (&f);
}

/* Which end of a pen erases, whose pressure counts, and how much. */
static void
test_pen (void)
{
  static const struct
  {
    AtlPenInput input;
    AtlPenStroke stroke;
  } cases[] = {
    { { TRUE, GDK_DEVICE_TOOL_TYPE_PEN, GDK_SOURCE_MOUSE, TRUE, 0 }, { 0.25, FALSE } },
    { { TRUE, GDK_DEVICE_TOOL_TYPE_PEN, GDK_SOURCE_MOUSE, TRUE, 0.5 }, { 0.625, FALSE } },
    { { TRUE, GDK_DEVICE_TOOL_TYPE_AIRBRUSH, GDK_SOURCE_PEN, TRUE, 1 }, { 1, FALSE } },
    { { TRUE, GDK_DEVICE_TOOL_TYPE_ERASER, GDK_SOURCE_MOUSE, TRUE, 0.5 }, { 0.625, TRUE } },
    { { TRUE, GDK_DEVICE_TOOL_TYPE_UNKNOWN, GDK_SOURCE_MOUSE, TRUE, 7 }, { 1, FALSE } },
    { { TRUE, GDK_DEVICE_TOOL_TYPE_PEN, GDK_SOURCE_PEN, FALSE, 0 }, { 1, FALSE } },
    { { TRUE, GDK_DEVICE_TOOL_TYPE_MOUSE, GDK_SOURCE_PEN, TRUE, 0 }, { 1, FALSE } },
    { { TRUE, GDK_DEVICE_TOOL_TYPE_LENS, GDK_SOURCE_PEN, TRUE, 0 }, { 1, FALSE } },
    { { FALSE, GDK_DEVICE_TOOL_TYPE_UNKNOWN, GDK_SOURCE_PEN, TRUE, 0.5 }, { 0.625, FALSE } },
    { { FALSE, GDK_DEVICE_TOOL_TYPE_UNKNOWN, GDK_SOURCE_MOUSE, TRUE, 0 }, { 1, FALSE } },
    { { FALSE, GDK_DEVICE_TOOL_TYPE_ERASER, GDK_SOURCE_TOUCHSCREEN, TRUE, 0 }, { 1, FALSE } },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      AtlPenStroke stroke = atl_pen_stroke (&cases[i].input);

      g_assert_cmpfloat (stroke.width, ==, cases[i].stroke.width);
      g_assert_cmpint (stroke.erases, ==, cases[i].stroke.erases);
    }
  g_assert_cmpfloat (atl_pen_stroke_of_event (NULL).width, ==, 1);
  g_assert_false (atl_pen_stroke_of_event (NULL).erases);
}

static GtkEventController *
find_drag (GtkWidget *widget)
{
  g_autoptr (GListModel) all = gtk_widget_observe_controllers (widget);

  for (guint i = 0; i < g_list_model_get_n_items (all); i++)
    {
      g_autoptr (GtkEventController) controller = g_list_model_get_item (all, i);

      if (GTK_IS_GESTURE_DRAG (controller))
        return controller;
    }
  g_assert_not_reached ();
}

/* A stroke from pointer or pen, as GTK tells of it: it follows the movement, is one step of undo,
 * and is as wide as the brush says. */
static void
test_stroke (void)
{
  g_autofree char *path = NULL;
  GtkEventController *drag;
  AppFixture f;
  AtlMask *mask;
  GtkWidget *area;
  double width, height, scale;

  app_start_drawing (&f);
  path = write_picture ("stroke.png");
  drop (&f, path);
  g_assert_true (app_fixture_wait (has_start, &f, WAIT_S));
  gtk_widget_activate_action (f.window->images_page, "images.paint", NULL);
  area = app_fixture_find (f.window->images_page, ATL_TYPE_MASK_AREA, NULL, NULL);
  app_assert_soon (gtk_widget_get_mapped (area) && gtk_widget_get_width (area) > 0);
  mask = atl_mask_area_get_mask (ATL_MASK_AREA (area));
  width = atl_mask_get_width (mask);
  height = atl_mask_get_height (mask);
  scale = MIN (gtk_widget_get_width (area) / width, gtk_widget_get_height (area) / height);
  atl_mask_area_set_brush (ATL_MASK_AREA (area), 0.1);
  drag = find_drag (area);
  g_signal_emit_by_name (drag, "drag-begin", gtk_widget_get_width (area) / 2.0,
                         gtk_widget_get_height (area) / 2.0);
  for (guint i = 1; i <= 4; i++)
    g_signal_emit_by_name (drag, "drag-update", width / 4 * i / 4 * scale, 0.0);
  g_signal_emit_by_name (drag, "drag-end", width / 4 * scale, 0.0);
  {
    const guint8 *row = atl_mask_get_bytes (mask) + (gsize) (height / 2) * (gsize) width;

    g_assert_cmpuint (row[(gsize) (width / 2)], ==, 255);
    g_assert_cmpuint (row[(gsize) (width * 5 / 8)], ==, 255);
    g_assert_cmpuint (row[(gsize) (width * 3 / 4) - 1], ==, 255);
    g_assert_cmpuint (row[(gsize) (width / 4)], ==, 0);
    g_assert_cmpuint (
        atl_mask_get_bytes (mask)[(gsize) (height / 4) * (gsize) width + (gsize) (width / 2)], ==,
        0);
  }
  /* What comes after the end is no stroke. */
  g_signal_emit_by_name (drag, "drag-update", 0.0, -height / 4 * scale);
  atl_mask_undo (mask);
  g_assert_true (atl_mask_is_empty (mask));
  g_assert_false (atl_mask_can_undo (mask));
  app_fixture_stop (&f);
}

/* A window of 360 px has room for the settings of a picture to begin with, and for what it is
 * painted on and extended with, in letters of twice the size. */
static void
test_large_letters (void)
{
  static const char *const ids[] = { "pane", "mask_editor", "extend_editor" };
  g_autofree char *path = NULL;
  AppFixture f;
  int dpi;

  app_start_drawing (&f);
  path = write_picture ("wide.png");
  drop (&f, path);
  g_assert_true (app_fixture_wait (has_start, &f, WAIT_S));
  g_object_get (gtk_settings_get_default (), "gtk-xft-dpi", &dpi, NULL);
  g_object_set (gtk_settings_get_default (), "gtk-xft-dpi", 2 * 96 * 1024, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      int least;

      if (i > 0)
        gtk_widget_activate_action (f.window->images_page,
                                    i == 1 ? "images.paint" : "images.extend-canvas", NULL);
      app_fixture_spin (100);
      gtk_widget_measure (app_fixture_find_id (f.window->images_page, ids[i]),
                          GTK_ORIENTATION_HORIZONTAL, -1, &least, NULL, NULL, NULL);
      g_test_message ("%s: %d", ids[i], least);
      g_assert_cmpint (least, <=, 360);
    }
  g_object_set (gtk_settings_get_default (), "gtk-xft-dpi", dpi, NULL);
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_begin_pictures (&argc, &argv);
  app_add_case ("/editing/references", test_references);
  app_add_case ("/editing/start-of-a-shape", test_start_of_a_shape);
  app_add_case ("/editing/begins", test_begins);
  app_add_case ("/editing/roles", test_roles);
  app_add_case ("/editing/large-letters", test_large_letters);
  app_add_case ("/editing/not-lost", test_not_lost);
  g_test_add_func ("/editing/pen", test_pen);
  app_add_case ("/editing/stroke", test_stroke);
  return app_run_pictures ();
}
