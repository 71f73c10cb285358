/* What the Images page does with a picture, asked from wherever pictures are shown. */
#include "gallery-steps.h"

#include "app/images/gallery-actions.h"
#include "app/images/gallery-strip.h"
#include "app/images/pictures-session.h"
#include "app/images/viewer-window.h"
#include "app/words.h"

#define WAIT_S 30

static gboolean
has_prompt (gpointer data)
{
  AppFixture *f = data;
  const AtlPictureSettings *settings =
      atl_pictures_session_get_settings (atl_pictures_session_get (f->session));

  return g_strcmp0 (settings->prompt, APP_FIRST_PROMPT) == 0;
}

/* What the page does with a picture is reached from another page's side, from the strip's menu, the
 * viewer and from two that are compared. */
static void
test_page_actions (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *path = app_write_picture (0, folder);
  AtlPicturesSession *pictures;
  AtlPictureSettings *settings;
  GtkWidget *strip, *from;
  AtlGallery *gallery;
  AppFixture f;

  app_make_old (path, 0);
  app_fixture_start (&f);
  gallery = atl_gallery_get (f.session);
  atl_gallery_look (gallery);
  app_wait_for_pictures (&f, 1);
  strip = f.window->picture_list;
  pictures = atl_pictures_session_get (f.session);
  for (guint i = 0; i < 3; i++)
    {
      settings = atl_picture_settings_copy (atl_pictures_session_get_settings (pictures));
      atl_set_string (&settings->prompt, "");
      atl_pictures_session_take_settings (pictures, settings);
      atl_window_show_page (f.window, "chats");
      if (i == 1)
        atl_viewer_window_show (strip, gallery, atl_gallery_get_pictures (gallery), 0, FALSE);
      else if (i == 2)
        atl_viewer_compare (strip, gallery, app_picture_at (&f, 0), app_picture_at (&f, 0));
      app_fixture_spin (300);
      from = i == 0 ? strip : app_viewer ();
      g_assert_true (gtk_widget_activate_action (from, "images.use-settings", "s", path));
      g_assert_true (app_fixture_wait (has_prompt, &f, WAIT_S));
      g_assert_true (atl_window_shows_page (f.window, "images"));
      app_fixture_spin (100);
      g_assert_null (app_viewer ());
    }
  for (gsize i = 0; i < ATL_GALLERY_N_PAGE_ACTIONS; i++)
    g_assert_true (
        gtk_widget_activate_action (strip, atl_gallery_page_actions[i], "s", "/nowhere.png"));
  app_fixture_spin (300);
  app_fixture_stop (&f);
  app_clear_pictures ();
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/page-actions/from-everywhere", test_page_actions);
  return g_test_run ();
}
